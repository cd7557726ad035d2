//! What people do, by command and by ticket.

use crate::faults::How;
use crate::runs::Does;
use crate::world::{DB, World, anna, demo, orch};
use orch_adapters::local_tracker::LocalTracker;
use orch_core::event::Event;
use orch_core::ids::{Time, WorkItem};
use orch_core::task::Phase;
use orch_ports::git::Git;
use orch_ports::tracker::{TicketState, Tracker};
use orch_store::Fact;

fn first() -> WorkItem {
    "DEMO-1".into()
}

#[tokio::test]
async fn a_cancel_ends_the_agent_that_hangs_and_cleans_up() {
    let world = World::new().await;
    world.runs.on("developer", |_| Does::Hang);
    world.start();
    let item = world.begin("Add a file").await;
    world.eventually("the developer works", async || world.runs.live("developer")).await;
    world.ask(&item, Event::CancelAsked { by: anna() }).await;
    let task = world.until(&item, "cancelled", |t| matches!(t.phase, Phase::Cancelled { .. })).await;
    assert!(!world.runs.live("developer"));
    world.until_quiet().await;
    assert!(!world.git.worktree_path(&demo(), &item).exists());
    assert_eq!(world.ticket_now(1).await.state, TicketState::Cancelled);
    let runs = world.store.runs(task.id).await.unwrap();
    assert!(runs.iter().all(|r| r.ended.is_some()), "no run looks as if it were still going: {runs:?}");
}

/// What cannot be ended now is ended at a later try. Until then it costs money, and the task says that it is being stopped.
#[tokio::test]
async fn a_task_is_cancelled_when_its_program_is_gone_and_not_before() {
    for what in ["developer", "test"] {
        let world = World::with(|c| c.test = Some("test".into())).await;
        world.runs.on(what, |_| Does::Hang);
        world.start();
        let item = world.begin("Add a file").await;
        world.eventually("it runs", async || world.runs.live(what)).await;
        world.runs.refuse_to_cancel(3);
        world.ask(&item, Event::CancelAsked { by: anna() }).await;
        let task = world.until(&item, "cancelled", |t| matches!(t.phase, Phase::Cancelled { .. })).await;
        assert!(!world.runs.live(what), "{what} went on behind the cancel");
        let runs = world.store.runs(task.id).await.unwrap();
        assert!(runs.iter().all(|r| r.ended.is_some()), "{runs:?}");
    }
}

#[tokio::test]
async fn a_cancel_ends_tests_that_hang_and_closes_their_run() {
    let world = World::with(|c| c.test = Some("test".into())).await;
    world.runs.on("test", |_| Does::Hang);
    world.start();
    let item = world.begin("Add a file").await;
    world.eventually("tests run", async || world.runs.live("test")).await;
    world.ask(&item, Event::CancelAsked { by: anna() }).await;
    let task = world.until(&item, "cancelled", |t| matches!(t.phase, Phase::Cancelled { .. })).await;
    world.until_quiet().await;
    let runs = world.store.runs(task.id).await.unwrap();
    assert!(runs.iter().all(|r| r.ended.is_some()), "{runs:?}");
    assert_eq!(world.forge_did("pull-closed").await, 1);
    let left: Vec<_> = std::fs::read_dir(world.path("checkouts")).unwrap().collect();
    assert!(left.is_empty(), "checkouts are left: {left:?}");
}

#[tokio::test]
async fn what_is_cancelled_while_it_merges_is_not_merged_behind_the_persons_back() {
    // The process dies before the forge has heard of the merge, and after it has merged.
    for (how, merges) in [(How::DieBefore, 0), (How::DieAfter, 1)] {
        let world = World::new().await;
        world.faults.plan("forge.merge", &[how]);
        world.start();
        let item = world.begin("Add a file").await;
        world.faults.reached("forge.merge").await;
        world.ask(&item, Event::CancelAsked { by: anna() }).await;
        assert!(matches!(world.task(&item).await.phase, Phase::Stopping { .. }), "its outcome is awaited");
        world.kill().await;
        world.start();
        let task = world.until(&item, "over", orch_core::task::Task::is_closed).await;
        world.until_quiet().await;
        assert_eq!(matches!(task.phase, Phase::Cancelled { .. }), merges == 0, "{how:?}: {:?}", task.phase);
        assert_eq!(world.forge_did("merge-done").await, merges, "{how:?}");
        assert_eq!(world.forge_did("pull-closed").await, 1 - merges, "{how:?}");
    }
}

#[tokio::test]
async fn a_cancelled_task_needs_no_ci_any_more() {
    let world = World::new().await;
    world.runs.on("ci", |_| Does::Hang);
    world.start();
    let item = world.begin("Add a file").await;
    world.eventually("CI runs", async || world.runs.live("ci")).await;
    world.ask(&item, Event::CancelAsked { by: anna() }).await;
    world.until(&item, "cancelled", |t| matches!(t.phase, Phase::Cancelled { .. })).await;
    world.until_quiet().await;
    assert!(!world.runs.live("ci"));
    assert_eq!(world.runs.count("ci"), 1);
}

#[tokio::test]
async fn drained_it_claims_nothing_even_after_a_restart_and_resumed_it_goes_on() {
    let world = World::new().await;
    world.runs.on("developer", |_| Does::Hang);
    world.start();
    let item = world.begin("Add a file").await;
    world.eventually("the developer works", async || world.runs.live("developer")).await;
    world.engine().drain(true).await.unwrap();
    world.runs.finish("developer", |run| run.write("work.txt", "x\n"));
    world.until(&item, "publishing", |t| t.phase_word() == "publishing").await;
    world.kill().await;
    world.start();
    world.clock.advance(60_000);
    for _ in 0..10 {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    assert!(world.engine().is_draining());
    assert_eq!(world.task(&item).await.phase_word(), "publishing");
    world.engine().drain(false).await.unwrap();
    world.until_done(&item).await;
    assert_eq!(world.runs.count("developer"), 1);
}

#[tokio::test]
async fn a_ticket_moved_by_its_people_starts_approves_and_shows_the_way() {
    let world = World::with(|c| c.policy.production_approval = true).await;
    world.start();
    world.tracker.create(&demo(), "Add a file", "Please.", &anna(), "k", 0).await.unwrap();
    world.move_ticket(1, TicketState::InProgress, &anna()).await;
    let item = first();
    world.until(&item, "wants approval", |t| t.phase_word() == "awaiting_approval").await;
    world
        .eventually("the ticket says so", async || world.ticket_now(1).await.state == TicketState::AwaitingApproval)
        .await;
    assert_eq!(world.runs.count("deploy"), 0);
    world.move_ticket(1, TicketState::Approved, &anna()).await;
    world.until_done(&item).await;
    world.until_quiet().await;
    assert_eq!(world.ticket_now(1).await.state, TicketState::Done);
    // Polls go on; what orch set itself comes back as nothing, and what was done is done once.
    let polls = world.faults.calls("tracker.changed_since");
    world.eventually("more polls", async || polls + 3 < world.faults.calls("tracker.changed_since")).await;
    let story = world.told_story(&item).await;
    let happened = |what: &str| story.iter().filter(|l| l.contains(what) && !l.starts_with("found by polling")).count();
    assert_eq!((happened("started by"), happened("approved by")), (1, 1), "{story:#?}");
    assert!(!story.iter().any(|l| l.starts_with("ignored") && !l.contains("nudged")), "{story:#?}");
}

#[tokio::test]
async fn a_ticket_tells_all_in_one_living_comment() {
    let world = World::new().await;
    world.start();
    let item = world.begin("Add a file").await;
    world.until_done(&item).await;
    world.until_quiet().await;
    let comments = world.tracker.comments(&demo(), 1).await.unwrap();
    assert_eq!(comments.len(), 1, "{comments:?}");
    assert!(comments[0].body.contains("done, healthy"), "{}", comments[0].body);
    assert!(comments[0].body.contains("cost 0.50 USD"), "{}", comments[0].body);
}

#[tokio::test]
async fn a_task_started_by_command_is_not_cancelled_by_a_ticket_that_was_never_moved() {
    let world = World::new().await;
    // Orch cannot write the ticket, so that polls see it where it was made.
    world.faults.down("tracker.set_state");
    world.runs.on("developer", |_| Does::Hang);
    world.start();
    let item = world.begin("Add a file").await;
    world.eventually("the developer works", async || world.runs.live("developer")).await;
    let polls = world.faults.calls("tracker.changed_since");
    world.eventually("polled", async || polls + 3 < world.faults.calls("tracker.changed_since")).await;
    assert_eq!(world.ticket_now(1).await.state_by, Some(anna()));
    assert_eq!(world.task(&item).await.phase_word(), "running");
}

#[tokio::test]
async fn a_ticket_moved_to_cancelled_ends_the_task_even_if_orch_writes_first() {
    // Nothing polls: only orch's own writing of the ticket could notice, or overwrite it.
    let world = World::with(|c| c.poll = false).await;
    world.runs.on("reviewer", |_| Does::Hang);
    world.runs.on("developer", |_| Does::Hang);
    world.start();
    let item = world.begin("Add a file").await;
    world.eventually("the developer works", async || world.runs.live("developer")).await;
    world
        .eventually("the ticket is in progress", async || world.ticket_now(1).await.state == TicketState::InProgress)
        .await;
    world.move_ticket(1, TicketState::Cancelled, &anna()).await;
    // The next stage makes orch write the ticket.
    world.runs.finish("developer", |run| run.write("work.txt", "x\n"));
    world.until(&item, "cancelled", |t| matches!(t.phase, Phase::Cancelled { .. })).await;
    world.until_quiet().await;
    assert_eq!(world.ticket_now(1).await.state, TicketState::Cancelled);
    assert_eq!(world.forge_did("merge-done").await, 0);
}

#[tokio::test]
async fn a_comment_is_on_the_ticket_once_and_in_the_brief() {
    let world = World::new().await;
    world.faults.plan("tracker.put_comment", &[How::Well, How::After]);
    let brief = std::sync::Arc::new(std::sync::Mutex::new(String::new()));
    let seen = std::sync::Arc::clone(&brief);
    world.runs.on("developer", move |run| {
        *seen.lock().unwrap() = run.prompt();
        run.write("work.txt", "x\n");
        Does::Exit(0)
    });
    world.start();
    let item = world.ticket("Add a file").await;
    world.ask(&item, Event::Commented { by: anna(), text: "Mind the old endpoint.".into() }).await;
    world.ask(&item, Event::Started { by: anna() }).await;
    world.until_done(&item).await;
    world.until_quiet().await;
    let said = world.comments(1).await;
    assert_eq!(said.iter().filter(|c| *c == "local:anna: Mind the old endpoint.").count(), 1, "{said:?}");
    let brief = brief.lock().unwrap();
    assert!(brief.contains("local:anna commented on the ticket:"), "{brief}");
    assert!(brief.contains("Mind the old endpoint."), "{brief}");
}

#[tokio::test]
async fn a_stranger_moves_a_ticket_and_nothing_happens_but_a_line_in_the_journal() {
    let world = World::new().await;
    world.start();
    world.tracker.create(&demo(), "Add a file", "Please.", &anna(), "k", 0).await.unwrap();
    world.move_ticket(1, TicketState::InProgress, &"local:mallory".into()).await;
    let item = first();
    world.until(&item, "known", |_| true).await;
    world
        .eventually("it is written down", async || {
            1 == world.says(&item, "ignored started: local:mallory may not start tasks of this project").await
        })
        .await;
    let polls = world.faults.calls("tracker.changed_since");
    world.eventually("more polls", async || polls + 3 < world.faults.calls("tracker.changed_since")).await;
    assert!(matches!(world.task(&item).await.phase, Phase::Idle));
    assert_eq!(world.says(&item, "mallory").await, 2, "refused once and told once, not at every poll");
    assert_eq!(world.runs.count("developer"), 0);
}

#[tokio::test]
async fn a_blocked_ticket_moved_to_in_progress_is_retried() {
    let world = World::new().await;
    world.runs.on("developer", |run| {
        run.write("work.txt", "x\n");
        Does::Exit(i32::from(run.nth < 3))
    });
    world.start();
    let item = world.begin("Add a file").await;
    world.until_blocked(&item).await;
    world.eventually("shown", async || world.ticket_now(1).await.state == TicketState::Blocked).await;
    assert_eq!(world.ticket_now(1).await.state_by, Some(orch()));
    world.move_ticket(1, TicketState::InProgress, &anna()).await;
    world.until_done(&item).await;
}

/// The tracker of the world is lost, and one that knows nothing takes its place.
async fn lose_the_tracker(world: &mut World, dir: &std::path::Path) {
    world.kill().await;
    let clock: std::sync::Arc<dyn orch_ports::clock::Clock> = world.clock.clone();
    world.tracker = std::sync::Arc::new(LocalTracker::open(&dir.join("tracker.db"), clock).unwrap());
    world.start();
}

#[tokio::test]
async fn a_number_is_never_given_out_twice_though_the_tracker_begins_anew() {
    let mut world = World::new().await;
    world.start();
    assert_eq!(world.ticket("one").await.as_str(), "DEMO-1");
    assert_eq!(world.ticket("two").await.as_str(), "DEMO-2");
    let dir = tempfile::tempdir().unwrap();
    lose_the_tracker(&mut world, dir.path()).await;
    let third = world.ticket("three").await;
    assert_eq!(third.as_str(), "DEMO-3");
    assert_eq!(world.task(&third).await.title, "three");
    assert_eq!(world.ticket("three").await, third, "and a repeated request is the same ticket");
    world.store.remember(&Fact::NumbersGiven(demo()), "40", Time(0)).await.unwrap();
    assert_eq!(world.ticket("four").await.as_str(), "DEMO-41", "no task has them, and they are given out");
}

#[tokio::test]
async fn a_ticket_that_only_has_the_number_of_a_task_moves_nothing_and_is_left_alone() {
    let mut world = World::new().await;
    world.runs.on("developer", |_| Does::Hang);
    world.start();
    let item = world.begin("Add a file").await;
    world.eventually("the developer works", async || world.runs.live("developer")).await;
    world
        .eventually("the ticket is in progress", async || world.ticket_now(1).await.state == TicketState::InProgress)
        .await;
    let dir = tempfile::tempdir().unwrap();
    lose_the_tracker(&mut world, dir.path()).await;
    // Made by whoever writes to the tracker, which knows of no other: it has the number of the task.
    world.clock.advance(1_000);
    let other = world.tracker.create(&demo(), "Another matter", "b", &anna(), "k", 0).await.unwrap();
    assert_eq!(other.number, 1);
    let polls = world.faults.calls("tracker.changed_since");
    world.eventually("polled", async || polls + 3 < world.faults.calls("tracker.changed_since")).await;
    for state in [TicketState::Todo, TicketState::Cancelled, TicketState::Backlog] {
        world.move_ticket(1, state, &anna()).await;
        let polls = world.faults.calls("tracker.changed_since");
        world.eventually("polled", async || polls + 3 < world.faults.calls("tracker.changed_since")).await;
    }
    let task = world.task(&item).await;
    assert_eq!((task.phase_word(), task.title.as_str()), ("running", "Add a file"));
    assert_eq!(world.says(&item, "cancel").await, 0);
    let told = world.told_people();
    assert_eq!(
        told.iter().filter(|t| t.contains("is not the one that task DEMO-1 was made for")).count(),
        1,
        "{told:#?}"
    );
    assert_eq!(world.says(&item, "is not the one that task DEMO-1 was made for").await, 1, "nor at every poll");
    world.runs.finish("developer", |run| run.write("work.txt", "x\n"));
    world.until_done(&item).await;
    world.until_quiet().await;
    assert_eq!(world.ticket_now(1).await.state, TicketState::Backlog, "nor is it shown as done");
    assert!(world.tracker.comments(&demo(), 1).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_ticket_of_a_task_without_a_record_of_it_is_its_own_unless_it_is_younger() {
    let world = World::with(|c| c.file = true).await;
    world.runs.on("developer", |_| Does::Hang);
    world.start();
    let item = world.begin("Add a file").await;
    world.eventually("the developer works", async || world.runs.live("developer")).await;
    world
        .eventually("the ticket is in progress", async || world.ticket_now(1).await.state == TicketState::InProgress)
        .await;
    let db = rusqlite::Connection::open(world.path(DB)).unwrap();
    assert_eq!(db.execute("DELETE FROM of_ticket WHERE kind = 'id'", []).unwrap(), 1, "as an older orch left it");
    world.move_ticket(1, TicketState::Cancelled, &anna()).await;
    world.until(&item, "cancelled", |t| matches!(t.phase, Phase::Cancelled { .. })).await;
}
