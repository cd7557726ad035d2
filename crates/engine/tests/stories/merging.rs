//! Merging, whatever the forge answers and whoever else merges.

use crate::faults::How;
use crate::runs::Does;
use crate::world::{World, anna, approve, demo, git};
use orch_core::event::Event;
use orch_core::task::{BlockReason, Phase, Task, WaitReason, WayOut};
use orch_ports::forge::MergeAnswer;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

#[tokio::test]
async fn a_ticket_goes_to_production_and_everything_happens_once() {
    let world = World::new().await;
    world.start();
    let item = world.begin("Add a file").await;
    let task = world.until_done(&item).await;
    world.until_quiet().await;
    let merged = task.landing.merged.unwrap().commit;
    assert_eq!(world.main_tip().await, merged);
    assert_eq!(world.production.revision.lock().unwrap().as_deref(), Some(merged.as_str()));
    assert_eq!(world.show("main", "DEMO-1.txt"), "written in run 1");
    assert_eq!(world.forge_did("merge-done").await, 1);
    assert_eq!(world.forge_did("pull-opened").await, 1);
    assert_eq!((world.runs.count("developer"), world.runs.count("reviewer"), world.runs.count("deploy")), (1, 1, 1));
    assert!(world.told_people().is_empty(), "quiet on success: {:?}", world.told_people());
}

#[tokio::test]
async fn a_merge_that_happened_behind_an_error_is_one_merge() {
    let world = World::new().await;
    world.faults.plan("forge.merge", &[How::After]);
    world.start();
    let item = world.begin("Add a file").await;
    world.until_done(&item).await;
    assert_eq!(world.forge_did("merge-done").await, 1);
    assert_eq!(world.faults.calls("forge.merge"), 1, "it was seen, not asked for again");
}

#[tokio::test]
async fn a_merge_that_timed_out_before_it_happened_is_asked_for_again() {
    let world = World::new().await;
    world.faults.plan("forge.merge", &[How::Before, How::Before]);
    world.start();
    let item = world.begin("Add a file").await;
    world.until_done(&item).await;
    assert_eq!(world.forge_did("merge-done").await, 1);
    assert_eq!(world.faults.calls("forge.merge"), 3);
}

#[tokio::test]
async fn a_forge_that_says_it_merged_and_did_not_is_not_believed() {
    let world = World::new().await;
    let liar = world.main_tip().await;
    *world.flaky.lie.lock().unwrap() = Some(MergeAnswer::Merged { commit: liar.clone() });
    world.start();
    let item = world.begin("Add a file").await;
    let task = world.until_done(&item).await;
    assert_ne!(task.landing.merged.unwrap().commit, liar);
    assert_eq!(world.forge_did("merge-done").await, 1);
}

#[tokio::test]
async fn a_forge_that_is_down_while_ci_is_awaited_costs_no_round() {
    let world = World::new().await;
    let gate = Arc::new(AtomicBool::new(false));
    let open = gate.clone();
    world.runs.on("ci", move |_| if open.load(Ordering::SeqCst) { Does::Exit(0) } else { Does::Hang });
    world.start();
    let item = world.begin("Add a file").await;
    let waits = |t: &orch_core::task::Task| matches!(&t.phase, Phase::Waiting { why: WaitReason::Report { .. }, .. });
    world.until(&item, "waiting for CI", waits).await;
    world.faults.down("forge.");
    world.faults.down("git.fetch");
    let held =
        |t: &orch_core::task::Task| matches!(&t.phase, Phase::Waiting { why: WaitReason::CannotTell { .. }, .. });
    world.until(&item, "holding", held).await;
    gate.store(true, Ordering::SeqCst);
    world.runs.finish("ci", |_| {});
    world.faults.up();
    let task = world.until_done(&item).await;
    assert_eq!(task.spent.rounds, 0);
    assert_eq!(world.runs.count("developer"), 1);
}

#[tokio::test]
async fn main_that_moves_between_update_and_merge_is_taken_up_and_merged_once() {
    let world = World::new().await;
    world.faults.plan("forge.merge", &[How::Pause]);
    world.start();
    let item = world.begin("Add a file").await;
    world.faults.reached("forge.merge").await;
    world.outsider_merges("by-hand", "other.txt", "somebody else\n").await;
    world.faults.release();
    let task = world.until_done(&item).await;
    assert_eq!(world.forge_did("merge-done").await, 2, "the outsider's and ours");
    assert_eq!(world.show("main", "other.txt"), "somebody else");
    assert_eq!(world.show("main", "DEMO-1.txt"), "written in run 1");
    assert_eq!(task.spent.rounds, 0);
    assert_eq!(world.says(&item, "prepared again").await, 1);
}

/// Without a conflict, and yet another change than the one that was reviewed: main has changed a line beside it.
#[tokio::test]
async fn a_change_whose_surroundings_main_has_changed_is_reviewed_again_before_it_lands() {
    for (near, reviews) in [(true, 2), (false, 1)] {
        let world = World::new().await;
        let text = |second: &str, fifth: &str, last: &str| format!("1\n{second}\n3\n4\n{fifth}\n6\n7\n8\n9\n{last}\n");
        world.outsider_merges("old", "sum.txt", &text("2", "5", "10")).await;
        world.runs.on("developer", move |run| {
            run.write("sum.txt", &text("two", "5", "10"));
            Does::Exit(0)
        });
        world.faults.plan("forge.merge", &[How::Pause]);
        world.start();
        let item = world.begin("Add a file").await;
        world.faults.reached("forge.merge").await;
        let (fifth, last) = if near { ("five", "10") } else { ("5", "ten") };
        world.outsider_merges("by-hand", "sum.txt", &text("2", fifth, last)).await;
        world.faults.release();
        let task = world.until_done(&item).await;
        assert_eq!(world.show("main", "sum.txt"), text("two", fifth, last).trim_end());
        assert_eq!(
            (task.spent.rounds, world.runs.count("developer"), world.runs.count("reviewer")),
            (0, 1, reviews),
            "{near}"
        );
        assert_eq!(world.says(&item, "main has changed what is around").await, reviews - 1);
    }
}

/// What is said of staging and of security is evidence: however often main moves, one commit without it lands.
#[tokio::test]
async fn the_papers_of_the_merge_are_evidence_and_no_commits() {
    let world = World::new().await;
    world.faults.plan("forge.merge", &[How::Pause]);
    world.runs.on("developer", |run| {
        run.write("work.txt", &format!("{}\n", run.nth));
        Does::Exit(0)
    });
    // The first prepared head is red.
    world.runs.on("ci", |run| {
        let prepared = crate::world::git(&run.cwd, &["log", "-1", "--format=%B"]).contains("Requested-by: ");
        Does::Exit(i32::from(prepared && run.read("work.txt") == "1\n"))
    });
    world.start();
    let item = world.begin("Add a file").await;
    world.faults.reached("forge.merge").await;
    world.outsider_merges("by-hand", "other.txt", "somebody else\n").await;
    world.faults.release();
    let task = world.until_done(&item).await;
    assert_eq!((task.spent.rounds, world.says(&item, "prepared again").await), (1, 1));
    assert_eq!(world.commits("main"), ["first", "by-hand", "Add a file"]);
    let papers = crate::world::git(&world.bare(), &["ls-tree", "-r", "--name-only", "main", "docs/work-items/"]);
    assert!(papers.contains("12-review.md") && !papers.contains("17-security-report.md"), "{papers}");
    let kept = world.store.artefacts(task.id).await.unwrap();
    assert!(kept.iter().any(|a| a.name == "17-security-report.md"), "it is evidence");
}

#[tokio::test]
async fn of_two_tasks_in_conflict_the_later_developer_resolves_it() {
    let world = World::new().await;
    world.runs.on("developer", |run| {
        let text = run.read("shared.txt");
        if text.contains("<<<<<<<") {
            assert!(run.prompt().contains("shared.txt"), "the brief names the file");
            run.write("shared.txt", "one\nboth\nthree\n");
        } else {
            run.write("shared.txt", &text.replace("two", run.var("ORCH_WORK_ITEM")));
        }
        Does::Exit(0)
    });
    world.start();
    let first = world.begin("First").await;
    let second = world.begin("Second").await;
    let (a, b) = (world.until_done(&first).await, world.until_done(&second).await);
    let conflicts = world.says(&first, "1 path conflicts").await + world.says(&second, "1 path conflicts").await;
    assert_eq!(
        (conflicts, a.spent.rounds + b.spent.rounds),
        (1, 0),
        "one of them had to resolve, and it cost nobody a round"
    );
    assert_eq!(world.show("main", "shared.txt"), "one\nboth\nthree");
    assert_eq!(world.forge_did("merge-done").await, 2);
    assert!(a.landing.conflict.is_none() && b.landing.conflict.is_none());
}

#[tokio::test]
async fn two_tasks_at_the_merge_wait_for_each_other() {
    let world = World::new().await;
    world.faults.plan("forge.merge", &[How::Pause]);
    world.start();
    let first = world.begin("First").await;
    world.faults.reached("forge.merge").await;
    let second = world.begin("Second").await;
    let waits = |t: &orch_core::task::Task| matches!(&t.phase, Phase::Waiting { why: WaitReason::Lease { .. }, .. });
    world.until(&second, "waiting for the lease", waits).await;
    let shown = world.engine().show_item(&second).await.unwrap().unwrap();
    assert!(shown.line.contains(first.as_str()), "it names the holder: {}", shown.line);
    world.faults.release();
    world.until_done(&first).await;
    let second = world.until_done(&second).await;
    assert_eq!(second.spent.rounds, 0);
    assert_eq!(world.forge_did("merge-done").await, 2);
    assert!(world.store.leases().await.unwrap().iter().all(|l| l.holder.is_none()));
}

#[tokio::test]
async fn a_strangers_push_blocks_the_task_and_is_never_overwritten() {
    let world = World::new().await;
    world.runs.on("developer", |_| Does::Hang);
    world.start();
    let item = world.begin("Add a file").await;
    world.eventually("the developer works", async || world.runs.live("developer")).await;
    let branch = world.task(&item).await.branch.name;
    let theirs = world.outsider_pushes(&branch, &branch, "theirs.txt", "theirs\n");
    world.runs.finish("developer", |run| run.write("ours.txt", "ours\n"));
    world.until_blocked(&item).await;
    let head = orch_ports::forge::Forge::branch_head(&world.forge, &demo(), &branch).await.unwrap();
    assert_eq!(head, Some(theirs));
    assert_eq!(world.told_people().len(), 1);
}

#[tokio::test]
async fn a_branch_that_was_there_before_blocks_and_a_retry_goes_on_from_it() {
    let world = World::new().await;
    world.start();
    let item = world.ticket("Add a file").await;
    let branch = world.task(&item).await.branch.name;
    world.outsider_pushes(&branch, "main", "theirs.txt", "theirs\n");
    world.ask(&item, Event::Started { by: anna() }).await;
    let task = world.until_blocked(&item).await;
    assert!(matches!(&task.phase, Phase::Blocked { why: BlockReason::BranchMoved { .. }, .. }), "{:?}", task.phase);
    world.ask(&item, Event::RetryAsked { by: anna() }).await;
    world.until_done(&item).await;
    assert_eq!(world.show("main", "theirs.txt"), "theirs");
    assert_eq!(world.show("main", "DEMO-1.txt"), "written in run 1");
}

#[tokio::test]
async fn a_second_branch_that_was_there_before_blocks_and_a_retry_goes_on_from_it() {
    let world = World::new().await;
    let production = world.production.clone();
    world.runs.on("deploy", move |run| {
        *production.revision.lock().unwrap() = Some(run.var("ORCH_REVISION").to_owned());
        Does::Exit(i32::from(run.nth == 1))
    });
    world.runs.on("developer", |run| {
        run.write("work.txt", &format!("run {}\n", run.nth));
        Does::Exit(0)
    });
    world.start();
    let item = world.ticket("Add a file").await;
    let second = format!("{}-r2", world.task(&item).await.branch.name);
    world.outsider_pushes(&second, "main", "theirs.txt", "theirs\n");
    world.ask(&item, Event::Started { by: anna() }).await;
    let chooses =
        |t: &orch_core::task::Task| matches!(&t.phase, Phase::Waiting { why: WaitReason::Production { .. }, .. });
    world.until(&item, "a person chooses", chooses).await;
    world.ask(&item, Event::WayChosen { by: anna(), way: WayOut::Repair }).await;
    let task = world.until_blocked(&item).await;
    assert!(matches!(&task.phase, Phase::Blocked { why: BlockReason::BranchMoved { .. }, .. }), "{:?}", task.phase);
    world.ask(&item, Event::RetryAsked { by: anna() }).await;
    world.until_done(&item).await;
    assert_eq!(world.show("main", "theirs.txt"), "theirs");
    // Theirs began before the first merge, so the repair had a conflict to resolve on top.
    assert_eq!(world.show("main", "work.txt"), "run 3");
}

#[tokio::test]
async fn a_number_that_two_tasks_give_out_goes_back_to_the_one_that_comes_second() {
    let world = World::new().await;
    world.outsider_merges("first", "db/0001_users.sql", "create\n").await;
    world.runs.on("developer", |run| {
        let item = run.var("ORCH_WORK_ITEM").to_owned();
        // As the finding asks for it.
        let number = if run.prompt().contains("the next free number, 0003") { "0003" } else { "0002" };
        let _ = std::fs::remove_file(run.cwd.join(format!("db/0002_{item}.sql")));
        run.write(&format!("db/{number}_{item}.sql"), "alter\n");
        Does::Exit(0)
    });
    world.start();
    let (one, two) = (world.begin("Add a column").await, world.begin("Add an index").await);
    let (one, two) = (world.until_done(&one).await, world.until_done(&two).await);
    assert_eq!(one.spent.rounds + two.spent.rounds, 1, "the second one repairs it once");
    let files = crate::world::git(&world.bare(), &["ls-tree", "-r", "--name-only", "main", "db/"]);
    let numbers: Vec<&str> = files.lines().map(|f| &f[3..7]).collect();
    assert_eq!(numbers, ["0001", "0002", "0003"]);
}

#[tokio::test]
async fn a_branch_that_was_removed_is_made_again_when_a_person_lets_it_go_on() {
    let world = World::new().await;
    world.runs.on("reviewer", |run| if run.nth == 1 { Does::Hang } else { approve(run) });
    world.start();
    let item = world.begin("Add a file").await;
    world.eventually("it is reviewed", async || world.runs.live("reviewer")).await;
    let branch = world.task(&item).await.branch.name;
    git(&world.bare(), &["update-ref", "-d", &format!("refs/heads/{branch}")]);
    world.runs.finish("reviewer", |run| {
        approve(run);
    });
    let task = world.until_blocked(&item).await;
    assert!(
        matches!(task.phase, Phase::Blocked { why: BlockReason::BranchMoved { now: None }, .. }),
        "{:?}",
        task.phase
    );
    world.ask(&item, Event::RetryAsked { by: anna() }).await;
    let task = world.until_done(&item).await;
    assert_eq!((task.spent.rounds, task.branch.again), (0, false));
    assert_eq!(world.runs.count("developer"), 1, "nobody works for it twice");
}

#[tokio::test]
async fn a_branch_that_names_what_nobody_can_read_is_made_again_once_it_is_removed() {
    let world = World::new().await;
    world.runs.on("reviewer", |run| if run.nth == 1 { Does::Hang } else { approve(run) });
    world.start();
    let item = world.begin("Add a file").await;
    world.eventually("it is reviewed", async || world.runs.live("reviewer")).await;
    let branch = world.bare().join("refs/heads").join(world.task(&item).await.branch.name);
    std::fs::write(&branch, format!("{}\n", "1234567890".repeat(4))).unwrap();
    world.runs.finish("reviewer", |run| {
        approve(run);
    });
    let is_gone =
        |task: &Task| matches!(task.phase, Phase::Blocked { why: BlockReason::BranchMoved { now: None }, .. });
    let task = world.until_blocked(&item).await;
    assert!(is_gone(&task), "{:?}", task.phase);
    // A retry before it is removed changes nothing, and neither does it lead anywhere from where there is no way back.
    world.ask(&item, Event::RetryAsked { by: anna() }).await;
    let again = |task: &Task| is_gone(task) && task.branch.again;
    world.until(&item, "blocked again", again).await;
    std::fs::remove_file(&branch).unwrap();
    world.ask(&item, Event::RetryAsked { by: anna() }).await;
    world.until_done(&item).await;
}
