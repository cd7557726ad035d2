//! Tickets that are moved by people who may not, and by people whom the tracker does not name.

use crate::faults::How;
use crate::world::{World, anna};
use orch_core::event::Event;
use orch_core::ids::{Actor, WorkItem};
use orch_engine::commands::Answer;
use orch_ports::tracker::TicketState;

fn first() -> WorkItem {
    "DEMO-1".into()
}

async fn says_why(world: &World, words: &str) -> String {
    let task = world.task(&first()).await;
    let waiting = world.engine().show(&task).await.unwrap().waiting.unwrap();
    assert!(waiting.reason.contains(words), "{}", waiting.reason);
    waiting.reason
}

async fn comment_that_begins(world: &World, words: &str) -> String {
    let found = async || world.comments(1).await.into_iter().find(|text| text.starts_with(words));
    world.eventually(words, async || found().await.is_some()).await;
    found().await.unwrap()
}

#[tokio::test]
async fn a_ticket_moved_by_a_stranger_or_by_a_person_who_is_not_named_starts_nothing_and_says_so() {
    for mover in [Actor::unknown(), "local:mallory".into()] {
        let world = World::new().await;
        world.start();
        world.ticket("Add a file").await;
        world.move_ticket(1, TicketState::InProgress, &mover).await;
        let said = comment_that_begins(&world, "Not started: ").await;
        assert!(said.contains(mover.shown()) && said.contains("`orch task start DEMO-1`"), "{said}");
        assert!(said.contains("local:anna"), "it says who may: {said}");
        says_why(&world, &said).await;
        let task = world.task(&first()).await;
        assert_eq!((task.phase_word(), world.runs.count("developer")), ("idle", 0));
        // A person who may says it; what was refused before is no news any more.
        assert!(matches!(world.ask(&first(), Event::Started { by: anna() }).await, Answer::Done(_)));
        let task = world.until_done(&first()).await;
        assert_eq!(task.started_by, Some(anna()));
    }
}

#[tokio::test]
async fn an_approval_by_a_person_who_is_not_named_counts_for_nothing_and_the_ticket_waits_again() {
    let world = World::with(|c| c.policy.production_approval = true).await;
    world.start();
    let item = world.begin("Add a file").await;
    let asked = world.until(&item, "the approval", |t| t.asked().is_some()).await;
    world.until_quiet().await;
    world.move_ticket(1, TicketState::Approved, &Actor::unknown()).await;
    let said = comment_that_begins(&world, "Not approved: ").await;
    assert!(said.contains("`orch approve DEMO-1`"), "{said}");
    world.eventually("it waits again", async || world.ticket_now(1).await.state == TicketState::AwaitingApproval).await;
    says_why(&world, "Not approved").await;
    assert_eq!(world.task(&item).await.phase, asked.phase, "not even its time has changed");
    // Moved by one who may, it counts, though the ticket was put back in between.
    world.move_ticket(1, TicketState::Approved, &anna()).await;
    let task = world.until_done(&item).await;
    let shown = world.engine().show(&task).await.unwrap();
    assert!(!format!("{:?}", shown.waiting).contains("Not approved"), "{:?}", shown.waiting);
}

#[tokio::test]
async fn a_refused_move_is_answered_although_the_tracker_fails_in_between() {
    for (call, how) in [
        ("tracker.put_comment", How::Before),
        ("tracker.put_comment", How::After),
        ("tracker.set_state", How::Before),
        ("tracker.set_state", How::After),
    ] {
        let world = World::with(|c| c.policy.production_approval = true).await;
        world.start();
        let item = world.begin("Add a file").await;
        world.until(&item, "the approval", |t| t.asked().is_some()).await;
        world.until_quiet().await;
        world.faults.plan(call, &[how]);
        world.move_ticket(1, TicketState::Cancelled, &"local:mallory".into()).await;
        let waits = TicketState::AwaitingApproval;
        world.eventually("it is put back", async || world.ticket_now(1).await.state == waits).await;
        comment_that_begins(&world, "Not cancelled: local:mallory may not").await;
        let said = world.comments(1).await.into_iter().filter(|text| text.starts_with("Not cancelled")).count();
        assert_eq!(said, 1, "{call} {how:?}");
        assert!(world.task(&item).await.asked().is_some());
    }
}

#[tokio::test]
async fn a_stranger_cancels_nothing_and_the_ticket_shows_again_where_its_task_is() {
    let world = World::with(|c| c.policy.production_approval = true).await;
    world.start();
    let item = world.begin("Add a file").await;
    world.until(&item, "the approval", |t| t.asked().is_some()).await;
    world.until_quiet().await;
    world.move_ticket(1, TicketState::Cancelled, &"local:mallory".into()).await;
    comment_that_begins(&world, "Not cancelled: local:mallory may not").await;
    world.eventually("it is put back", async || world.ticket_now(1).await.state == TicketState::AwaitingApproval).await;
    assert!(world.task(&item).await.asked().is_some());
}
