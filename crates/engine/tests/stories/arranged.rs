//! What people arrange about a task: held, released, edited, finished, taken back, begun again, started after others. Each act
//! meets a death of the process, a passing fault or somebody else at the same moment.

use crate::faults::How;
use crate::runs::Does;
use crate::world::{World, anna, demo, git, orch};
use orch_core::effect::Effect;
use orch_core::event::Event;
use orch_core::ids::WorkItem;
use orch_core::task::{DoneOutcome, Phase, Task, WaitReason};
use orch_engine::commands::Answer;
use orch_ports::tracker::{TicketState, Tracker};

fn hold() -> Event {
    Event::PutOnHold { by: anna(), reason: Some("the release is frozen".into()) }
}
fn release() -> Event {
    Event::Released { by: anna() }
}
fn finish() -> Event {
    Event::FinishAsked { by: anna(), reason: "done by hand".into() }
}
fn revert() -> Event {
    Event::RevertAsked { by: anna(), reason: None }
}
fn edit(title: &str) -> Event {
    Event::EditAsked { by: anna(), title: Some(title.into()), body: None }
}
fn refused(answer: Answer) -> String {
    match answer {
        Answer::Refused(why) => why,
        Answer::Done(task) => panic!("{} was done: {:?}", task.work_item, task.phase),
    }
}
fn is_edit(effect: &Effect) -> bool {
    matches!(effect, Effect::EditTicket { .. })
}
/// A task whose developer is at work.
async fn at_work(title: &str) -> (World, WorkItem) {
    let world = World::new().await;
    world.runs.on("developer", |_| Does::Hang);
    world.start();
    let item = world.begin(title).await;
    world.eventually("the developer works", async || world.runs.live("developer")).await;
    (world, item)
}
fn is_held(task: &Task) -> bool {
    matches!(task.phase, Phase::Waiting { why: WaitReason::OnHold, .. })
}

/// What is under way ends; the process dies meanwhile; a passing fault in between is not tried again until the release.
#[tokio::test]
async fn a_held_task_begins_nothing_through_a_death_and_a_failed_try() {
    let world = World::new().await;
    world.runs.on("developer", |run| {
        run.write(&format!("{}.txt", run.var("ORCH_WORK_ITEM")), "written\n");
        if run.nth == 1 { Does::Hang } else { Does::Exit(0) }
    });
    world.start();
    let item = world.begin("Add a file").await;
    world.eventually("the developer works", async || world.runs.live("developer")).await;
    world.ask(&item, hold()).await;
    assert!(refused(world.ask(&item, hold()).await).contains("holds it already"));
    world.kill().await;
    world.start();
    world.runs.finish("developer", |_| {});
    world.until(&item, "held", is_held).await;
    world.until_quiet().await;
    world.clock.advance(24 * 60 * 60 * 1_000);
    world.until_quiet().await;
    assert!(is_held(&world.task(&item).await));
    assert_eq!((world.runs.count("developer"), world.commits("main").len()), (1, 1));
    world.ask(&item, release()).await;
    world.until_done(&item).await;
    assert!(refused(world.ask(&item, release()).await).contains("not held"));
}

/// The hold comes between the moment the merge was asked for and the moment its answer is known.
#[tokio::test]
async fn a_hold_does_not_forget_a_merge_that_was_asked_for() {
    for how in [How::DieBefore, How::DieAfter] {
        let world = World::new().await;
        world.faults.plan("forge.merge", &[how]);
        world.start();
        let item = world.begin("Add a file").await;
        world.faults.reached("forge.merge").await;
        world.ask(&item, hold()).await;
        world.kill().await;
        world.start();
        world.until(&item, "held", is_held).await;
        let task = world.task(&item).await;
        let on_main = world.commits("main").len() == 2;
        assert_eq!(task.landing.merged.is_some(), on_main, "{how:?}: what is on main is known");
        world.ask(&item, release()).await;
        world.until_done(&item).await;
        assert_eq!(world.commits("main"), ["first", "Add a file"], "{how:?}: and it is there once");
    }
}

/// The job was claimed before the hold and put back before it had begun anything: a death right before the first act.
#[tokio::test]
async fn a_claim_that_came_to_nothing_is_no_beginning_of_a_deploy_or_a_merge() {
    let world = World::new().await;
    world.faults.plan("forge.merge", &[How::Pause]);
    world.start();
    let item = world.begin("Add a file").await;
    world.faults.reached("forge.merge").await;
    world.faults.plan("git.checkout", &[How::DieBefore]);
    world.faults.release();
    world.faults.reached("git.checkout").await;
    world.ask(&item, hold()).await;
    world.kill().await;
    world.start();
    let task = world.until(&item, "held", is_held).await;
    assert!(task.landing.merged.is_some());
    assert_eq!(world.runs.count("deploy"), 0, "nothing of it is on production");
    // Nobody has to let it go there to be rid of it.
    world.ask(&item, revert()).await;
    world.ask(&item, release()).await;
    world.until_done(&item).await;
    assert_eq!(git(&world.bare(), &["diff", "--stat", "main~2", "main", "--", ".", ":!docs"]), "");

    let world = World::new().await;
    world.faults.plan("git.is_emptied", &[How::DieBefore]);
    world.start();
    let item = world.begin("Add a file").await;
    world.faults.reached("git.is_emptied").await;
    world.ask(&item, hold()).await;
    world.kill().await;
    world.start();
    world.until(&item, "held", is_held).await;
    assert_eq!(world.commits("main"), ["first"]);
    world.ask(&item, release()).await;
    world.until_done(&item).await;
}

#[tokio::test]
async fn an_unknown_merge_of_a_held_task_is_read_back_and_frees_the_queue() {
    let world = World::new().await;
    world.faults.plan("forge.merge", &[How::DieBefore]);
    world.start();
    let item = world.begin("Add a file").await;
    world.faults.reached("forge.merge").await;
    world.ask(&item, hold()).await;
    world.kill().await;
    world.start();
    world.until(&item, "held", is_held).await;
    assert_eq!((world.commits("main"), world.faults.calls("forge.merge")), (vec!["first".to_owned()], 1));
    let second = world.begin("Second").await;
    world.until_done(&second).await;
    world.ask(&item, release()).await;
    world.until_done(&item).await;
    assert_eq!(world.commits("main"), ["first", "Second", "Add a file"]);
}

/// Of a task that is over the text is only in the job, until the ticket has it.
#[tokio::test]
async fn what_is_over_and_edited_begins_again_with_its_new_text_also_before_the_ticket_has_it() {
    let world = World::new().await;
    world.start();
    let item = world.begin("Add a file").await;
    world.until_done(&item).await;
    world.until_quiet().await;
    world.faults.down("tracker.edit");
    world.ask(&item, edit("Add another file")).await;
    world.ask(&item, Event::Started { by: anna() }).await;
    let task = world.task(&item).await;
    assert_eq!(task.title, "Add another file");
    assert!(task.branch.name.contains("add-another-file"), "{}", task.branch.name);
    world.faults.up();
    world.clock.advance(60_000);
    world.eventually("the ticket says so", async || world.ticket_now(1).await.title == "Add another file").await;
    world.until_done(&item).await;
}

/// The held one gives the merge lease back, and the next one lands.
#[tokio::test]
async fn a_held_task_holds_nobody_up() {
    let world = World::new().await;
    world.faults.plan("git.update", &[How::Pause]);
    world.start();
    let first = world.begin("First").await;
    world.faults.reached("git.update").await;
    world.ask(&first, hold()).await;
    world.faults.release();
    world.until(&first, "held", is_held).await;
    let second = world.begin("Second").await;
    world.until_done(&second).await;
    world.ask(&first, release()).await;
    world.until_done(&first).await;
    assert_eq!(world.commits("main"), ["first", "Second", "First"]);
}

#[tokio::test]
async fn an_edit_reaches_the_ticket_once_through_a_death_and_in_the_order_of_asking() {
    for how in [How::DieBefore, How::DieAfter, How::Before, How::After] {
        let (world, item) = at_work("Frist").await;
        world.faults.plan("tracker.edit", &[how]);
        world.ask(&item, edit("Frist one")).await;
        world.eventually("it is tried", async || 0 < world.faults.calls("tracker.edit")).await;
        world.ask(&item, edit("First")).await;
        if matches!(how, How::DieBefore | How::DieAfter) {
            world.kill().await;
            world.start();
        }
        let says = async || world.ticket_now(1).await.title == "First";
        world.eventually("the ticket says the last of them", says).await;
        let told = world.task(&item).await.ticket_text().0;
        assert_eq!(told, "First", "{how:?}");
    }
}

/// Somebody edits in the tracker at the same time: what they wrote is not undone by an edit whose answer was lost.
#[tokio::test]
async fn an_edit_whose_answer_was_lost_does_not_undo_what_a_person_wrote_since() {
    let (world, item) = at_work("Frist").await;
    world.faults.plan("tracker.edit", &[How::DieAfter]);
    world.ask(&item, edit("First")).await;
    world.faults.reached("tracker.edit").await;
    world.kill().await;
    assert_eq!(world.ticket_now(1).await.title, "First");
    world.tracker.edit(&demo(), 1, "The first", "Please.", &anna()).await.unwrap();
    world.start();
    let made = async || world.store.open_jobs(None).await.unwrap().iter().all(|j| !is_edit(&j.effect));
    world.eventually("the edit is over", made).await;
    assert_eq!(world.ticket_now(1).await.title, "The first");
    let told = async || world.told_people().iter().any(|t| t.contains("that edit is not made"));
    world.eventually("people hear of it", told).await;
}

/// They wrote another field: both stay.
#[tokio::test]
async fn an_edit_whose_answer_was_lost_is_made_beside_what_a_person_wrote_since() {
    let (world, item) = at_work("Frist").await;
    world.faults.plan("tracker.edit", &[How::DieBefore]);
    world.ask(&item, edit("First")).await;
    world.faults.reached("tracker.edit").await;
    world.kill().await;
    world.tracker.edit(&demo(), 1, "Frist", "Thank you.", &anna()).await.unwrap();
    world.start();
    let says = async || {
        let ticket = world.ticket_now(1).await;
        (ticket.title.as_str(), ticket.body.as_str()) == ("First", "Thank you.")
    };
    world.eventually("both are there", says).await;
}

#[tokio::test]
async fn a_file_is_put_there_once_it_is_written_down_and_asked_again_it_is_the_same_file() {
    let (world, item) = at_work("Add a file").await;
    world.faults.plan("tracker.attach", &[How::Before]);
    let put = async |content: &[u8]| world.engine().attach(&item, "k", &anna(), "a.txt", content).await;
    put(b"one").await.unwrap_err();
    assert!(world.engine().attachments(&item).await.unwrap().is_empty());
    put(b"one").await.unwrap();
    put(b"two").await.unwrap();
    let files = world.engine().attachments(&item).await.unwrap();
    assert_eq!((files.len(), files[0].size), (1, 3));
    let story = world.told_story(&item).await.join("\n");
    assert_eq!(story.matches("attached a.txt").count(), 2, "each content has its line: {story}");
    world.ask(&item, finish()).await;
    world.until_done(&item).await;
    assert!(refused(put(b"three").await.unwrap()).contains("it is over"));
    assert_eq!(world.engine().attachments(&item).await.unwrap()[0].size, 3);
}

#[tokio::test]
async fn what_is_finished_by_hand_is_done_merges_nothing_and_leaves_nothing() {
    let world = World::new().await;
    world.runs.on("reviewer", |_| Does::Hang);
    world.start();
    let item = world.begin("Add a file").await;
    world.eventually("the reviewer works", async || world.runs.live("reviewer")).await;
    world.ask(&item, finish()).await;
    world.kill().await;
    world.start();
    let task = world.until_done(&item).await;
    assert!(matches!(task.phase, Phase::Done { outcome: DoneOutcome::Finished, .. }), "{:?}", task.phase);
    world.until_quiet().await;
    assert_eq!(world.commits("main"), ["first"]);
    assert!(!world.runs.live("reviewer"));
    assert_eq!(world.forge_did("pull-closed").await, 1);
    assert_eq!(world.ticket_now(1).await.state, TicketState::Done);
    assert!(refused(world.ask(&item, revert()).await).contains("nothing of it is merged"));
}

#[tokio::test]
async fn what_is_done_is_taken_back_once_and_the_ticket_begins_it_again() {
    let world = World::new().await;
    world.start();
    let item = world.begin("Add a file").await;
    world.until_done(&item).await;
    world.until_quiet().await;
    world.faults.plan("forge.merge", &[How::DieAfter]);
    world.ask(&item, revert()).await;
    world.faults.reached("forge.merge").await;
    world.kill().await;
    world.start();
    world.until_done(&item).await;
    world.until_quiet().await;
    let commits = world.commits("main");
    assert_eq!(commits.len(), 3, "{commits:?}");
    let said = git(&world.bare(), &["log", "-1", "--format=%b", "main"]);
    assert!(said.contains("A person chose to take it back.") && !said.contains("failed"), "{said}");
    assert_eq!(
        git(&world.bare(), &["diff", "--stat", "main~2", "main", "--", ".", ":!docs"]),
        "",
        "the change is gone"
    );
    assert!(refused(world.ask(&item, revert()).await).contains("taken back already"));
    // A person moves the ticket: another life, on another branch.
    world.clock.advance(60_000);
    world.move_ticket(1, TicketState::InProgress, &anna()).await;
    let task = world.until(&item, "done again", |t| matches!(t.phase, Phase::Done { .. }) && !t.lives.past.is_empty());
    let task = task.await;
    assert!(task.branch.name.ends_with("-r3"), "{}", task.branch.name);
    assert_eq!((task.lives.past.len(), task.landing.earlier.len()), (1, 2));
    world.until_quiet().await;
    // What orch itself said of the ticket begins nothing.
    assert_eq!(world.ticket_now(1).await.state_by, Some(orch()));
    assert_eq!(world.task(&item).await.lives.past.len(), 1);
}

async fn after(world: &World, item: &WorkItem, key: &str, add: &[&WorkItem]) -> Answer {
    let add = add.iter().map(|i| (*i).clone()).collect();
    world.engine().start_after(item, key, &anna(), add, Vec::new()).await.unwrap()
}

#[tokio::test]
async fn a_start_waits_for_others_through_a_death_and_goes_on_when_they_are_over() {
    let world = World::new().await;
    world.runs.on("developer", |run| {
        run.write(&format!("{}.txt", run.var("ORCH_WORK_ITEM")), "written\n");
        if run.nth == 1 { Does::Hang } else { Does::Exit(0) }
    });
    world.start();
    let first = world.begin("First").await;
    world.eventually("the developer works", async || world.runs.live("developer")).await;
    let second = world.ticket("Second").await;
    after(&world, &second, "k1", &[&first]).await;
    assert!(refused(after(&world, &second, "k2", &[&second]).await).contains("wait for itself"));
    world.ask(&second, Event::Started { by: anna() }).await;
    let waits = |t: &Task| matches!(t.phase, Phase::Waiting { why: WaitReason::After { .. }, .. });
    world.until(&second, "waiting for the first", waits).await;
    world.kill().await;
    world.start();
    assert_eq!(world.runs.count("developer"), 1);
    world.runs.finish("developer", |_| {});
    world.until_done(&second).await;
    assert_eq!(world.commits("main"), ["first", "First", "Second"]);
    assert!(refused(after(&world, &second, "k3", &[&first]).await).contains("has begun"));
}

#[tokio::test]
async fn what_lands_has_the_title_that_its_ticket_has_by_then() {
    let (world, item) = at_work("Frist").await;
    world.ask(&item, edit("First")).await;
    assert_eq!(world.engine().show(&world.task(&item).await).await.unwrap().title, "First");
    world.runs.finish("developer", |run| run.write("a.txt", "written\n"));
    world.until_done(&item).await;
    assert_eq!(world.commits("main"), ["first", "First"]);
}
