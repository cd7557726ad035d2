//! A main that somebody else moves, with real git: what is kept, who is told, who waits, and what becomes of a task whose own
//! pull request came in that way.

use crate::faults::How;
use crate::runs::Does;
use crate::world::{World, anna, approve, demo, git};
use orch_core::event::Event;
use orch_core::ids::{Actor, WorkItem};
use orch_core::landing::{History, LandingPlan};
use orch_core::task::{ApprovalKind, BlockReason, Phase, Task, WaitReason, WayOut};
use orch_engine::{MainMove, MainRecord};
use orch_ports::forge::{Forge as _, MergeMethod, PullState};

fn eve() -> Actor {
    "local:eve".into()
}

async fn main_of(world: &World) -> (MainRecord, Vec<MainMove>) {
    world.engine().main_of(&demo(), 100).await.unwrap().expect("it was looked at")
}

/// The watcher of main has seen where it is.
async fn seen(world: &World) {
    let tip = world.main_tip().await;
    let there = async || {
        let record = world.engine().main_of(&demo(), 0).await.unwrap();
        record.is_some_and(|(record, _)| record.tip == tip && record.told == record.moves)
    };
    world.eventually("main is seen", there).await;
}

fn asked(task: &Task, what: ApprovalKind) -> bool {
    matches!(&task.phase, Phase::Waiting { why: WaitReason::Approval { what: w, .. }, .. } if *w == what)
}

/// Nobody holds the merge lease.
async fn free(world: &World) -> bool {
    world.store.leases().await.unwrap().iter().all(|l| l.holder.is_none())
}

/// A started task whose developer is at work.
async fn at_work(world: &World, title: &str) -> WorkItem {
    world.runs.on("developer", |_| Does::Hang);
    let item = world.begin(title).await;
    world.eventually("the developer works", async || world.runs.live("developer")).await;
    item
}

fn developed(world: &World) {
    world.runs.finish("developer", |run| run.write(&format!("{}.txt", run.var("ORCH_WORK_ITEM")), "written\n"));
}

/// A task whose code has passed its tests, and whose reviewer is at work.
async fn in_review(world: &World, title: &str) -> WorkItem {
    world.runs.on("reviewer", |_| Does::Hang);
    let item = world.begin(title).await;
    world.eventually("the reviewer works", async || world.runs.live("reviewer")).await;
    item
}

#[tokio::test]
async fn what_a_colleague_puts_on_main_is_kept_and_in_the_journal_and_stops_nobody() {
    let world = World::new().await;
    world.start();
    seen(&world).await;
    let item = at_work(&world, "Add a file").await;
    let commit = world.outsider_on_main("evil.txt", "nobody has seen this\n");
    seen(&world).await;
    let (record, moves) = main_of(&world).await;
    assert_eq!((record.moves, record.tip.clone(), moves[0].rewound), (1, commit.clone(), false));
    assert_eq!(
        moves[0].commits.iter().map(|c| (&c.id, c.subject.as_str())).collect::<Vec<_>>(),
        [(&commit, "outsider")]
    );
    assert!(!moves[0].commits[0].author.is_empty());
    developed(&world);
    world.until_done(&item).await;
    assert_eq!(world.says(&item, &format!("somebody else has moved main to {}", commit.short())).await, 1);
    assert_eq!(world.says(&item, "outsider").await, 1, "{:?}", world.told_story(&item).await);
    assert!(world.told_people().is_empty(), "{:?}", world.told_people());
    // What comes after is prepared on it, too, and begins with it: it is no news.
    world.runs.on("developer", |run| {
        run.write("next.txt", "next\n");
        Does::Exit(0)
    });
    let next = world.begin("Next").await;
    world.until_done(&next).await;
    assert_eq!(world.says(&next, "somebody else has moved main").await, 0);
    assert_eq!(main_of(&world).await.0.moves, 1, "orch's own merges are no news");
}

#[tokio::test]
async fn protected_paths_that_came_in_past_everybody_are_told_once_with_who_and_what() {
    let world = World::with(|c| c.test = Some("bash check.sh".into())).await;
    world.runs.on("bash check.sh", |_| Does::Exit(0));
    world.start();
    seen(&world).await;
    world.outsider_on_main(".github/workflows/ci.yml", "on: push\n");
    seen(&world).await;
    world.outsider_on_main("check.sh", "exit 0\n");
    seen(&world).await;
    world.outsider_on_main("plain.txt", "plain\n");
    seen(&world).await;
    world.kill().await;
    world.start();
    let item = world.begin("Add a file").await;
    world.until_done(&item).await;
    let told = world.told_people();
    assert_eq!(told.len(), 2, "{told:#?}");
    for (text, path) in told.iter().zip([".github/workflows/ci.yml", "check.sh"]) {
        assert!(text.contains(path) && text.contains("outsider") && text.contains("somebody else"), "{text}");
    }
    assert_eq!(main_of(&world).await.0.moves, 3);
}

#[tokio::test]
async fn a_main_that_was_taken_back_is_told_with_what_is_gone() {
    let world = World::new().await;
    world.start();
    seen(&world).await;
    let before = world.main_tip().await;
    let lost = world.outsider_on_main("soon.txt", "gone soon\n");
    seen(&world).await;
    git(&world.bare(), &["update-ref", "refs/heads/main", before.as_str()]);
    world.eventually("it is told", async || !world.told_people().is_empty()).await;
    let told = world.told_people();
    assert!(told[0].contains("main was rewound") && told[0].contains(&format!("gone: {}", lost.short())), "{told:?}");
    let item = world.begin("Add a file").await;
    world.until_done(&item).await;
    assert_eq!(world.told_people().len(), 1);
    let (_, moves) = main_of(&world).await;
    assert_eq!(moves.iter().map(|m| m.rewound).collect::<Vec<_>>(), [true, false]);
}

#[tokio::test]
async fn where_only_orch_may_move_main_one_approval_releases_every_task_and_the_lease_is_free_meanwhile() {
    let world = World::with(|c| c.merging.only_orch = true).await;
    world.start();
    seen(&world).await;
    let (one, two) = (at_work(&world, "One").await, at_work(&world, "Two").await);
    let first = world.outsider_on_main("evil.txt", "nobody has seen this\n");
    world.eventually("both work", async || world.runs.count("developer") == 2).await;
    developed(&world);
    for item in [&one, &two] {
        let task = world.until(item, "asking for an approval of main", |t| asked(t, ApprovalKind::Main)).await;
        let Phase::Waiting { why: WaitReason::Approval { subject, shown, .. }, .. } = task.phase else { panic!() };
        assert_eq!(subject, first.as_str());
        assert!(shown[0].contains("outsider"), "{shown:?}");
    }
    world.eventually("nobody holds the lease", async || free(&world).await).await;
    // Main moves on: what was shown does not count any more.
    let second = world.outsider_on_main("more.txt", "more\n");
    let sees = |t: &Task| matches!(&t.phase, Phase::Waiting { why: WaitReason::Approval { subject, shown, .. }, .. } if subject == second.as_str() && shown.len() == 2);
    world.until(&one, "asking for the new tip", sees).await;
    world.until(&two, "asking for the new tip", sees).await;
    let stale = Event::Approved { by: anna(), gate: None, subject: Some(first.to_string()), comment: None };
    assert!(matches!(world.ask(&one, stale).await, orch_engine::commands::Answer::Refused(_)));
    assert_eq!(world.forge_did("merge-done").await, 0);
    world.ask(&one, Event::Approved { by: anna(), gate: None, subject: Some(second.to_string()), comment: None }).await;
    let (one, two) = (world.until_done(&one).await, world.until_done(&two).await);
    assert_eq!(one.approvals.len() + two.approvals.len(), 1);
    assert_eq!(world.show("main", "evil.txt"), "nobody has seen this");
    assert_eq!(main_of(&world).await.0.pending, None);
}

#[tokio::test]
async fn orchs_own_merges_are_never_reported_whatever_the_method_and_the_history() {
    for (merge_method, history) in [
        (MergeMethod::FastForwardOnly, History::OneCommit),
        (MergeMethod::FastForwardOnly, History::AsIs),
        (MergeMethod::Merge, History::AsIs),
        (MergeMethod::Merge, History::OneCommit),
        (MergeMethod::Squash, History::AsIs),
    ] {
        let world = World::with(|c| {
            c.merge_method = merge_method;
            c.landing = LandingPlan { history, ..c.landing };
        })
        .await;
        // The forge merges, and its answer is lost.
        world.faults.plan("forge.merge", &[How::After]);
        world.start();
        let items = [world.begin("One").await, world.begin("Two").await, world.begin("Three").await];
        for item in &items {
            world.until_done(item).await;
        }
        seen(&world).await;
        let (record, _) = main_of(&world).await;
        assert_eq!((record.moves, record.tip), (0, world.main_tip().await), "{merge_method:?} {history:?}");
        assert!(world.told_people().is_empty());
    }
}

#[tokio::test]
async fn a_mapped_persons_merge_of_what_was_tested_is_the_tasks_merge() {
    for method in [MergeMethod::Merge, MergeMethod::FastForwardOnly, MergeMethod::Squash] {
        let world = World::new().await;
        world.start();
        seen(&world).await;
        let item = in_review(&world, "Add a file").await;
        world.person_merges(&item, Some(&anna()), method).await;
        let landed = world.main_tip().await;
        let task = world.until_done(&item).await;
        assert_eq!(task.landing.merged.map(|m| m.commit), Some(landed.clone()), "{method:?}");
        assert_eq!(world.production.revision.lock().unwrap().as_deref(), Some(landed.as_str()));
        assert_eq!((world.forge_did("merge-done").await, world.runs.count("deploy")), (1, 1));
        assert_eq!(world.says(&item, "by local:anna and not by orch").await, 1);
        assert!(world.told_people().is_empty(), "{:?}", world.told_people());
        assert_eq!(main_of(&world).await.1[0].tasks, [item]);
    }
}

#[tokio::test]
async fn a_merge_by_whom_nobody_mapped_or_knows_is_one_question_and_the_queue_goes_on() {
    for by in [Some(eve()), None] {
        let world = World::new().await;
        world.start();
        seen(&world).await;
        let item = in_review(&world, "Add a file").await;
        world.person_merges(&item, by.as_ref(), MergeMethod::Merge).await;
        let landed = world.main_tip().await;
        let task = world.until(&item, "asking", |t| asked(t, ApprovalKind::Landed)).await;
        assert!(task.landing.landed.is_some_and(|l| l.tested && l.commit == landed));
        world.runs.on("reviewer", approve);
        let other = world.begin("Another").await;
        world.until_done(&other).await;
        assert!(asked(&world.task(&item).await, ApprovalKind::Landed));
        assert_eq!(world.told_people().len(), 1, "{:?}", world.told_people());
        world.ask(&item, Event::Approved { by: anna(), gate: None, subject: None, comment: None }).await;
        let task = world.until_done(&item).await;
        assert_eq!(task.landing.merged.map(|m| m.commit), Some(landed));
        assert_eq!(world.forge_did("merge-done").await, 2);
    }
}

#[tokio::test]
async fn what_was_not_tested_is_a_question_whoever_merged_it() {
    // Before its tests have ended.
    let world = World::new().await;
    world.runs.on("ci", |_| Does::Hang);
    world.start();
    seen(&world).await;
    let item = world.begin("Add a file").await;
    let waits = |t: &Task| matches!(&t.phase, Phase::Waiting { why: WaitReason::Report { .. }, .. });
    world.until(&item, "waiting for CI", waits).await;
    world.person_merges(&item, Some(&anna()), MergeMethod::Merge).await;
    let task = world.until(&item, "asking", |t| asked(t, ApprovalKind::Landed)).await;
    assert!(task.landing.landed.is_some_and(|l| !l.tested));

    // Tested, and merged with a main that has moved.
    let world = World::new().await;
    world.start();
    seen(&world).await;
    let item = in_review(&world, "Add a file").await;
    world.outsider_on_main("other.txt", "somebody else\n");
    world.person_merges(&item, Some(&anna()), MergeMethod::Merge).await;
    let task = world.until(&item, "asking", |t| asked(t, ApprovalKind::Landed)).await;
    assert!(task.landing.landed.is_some_and(|l| !l.tested), "the tree is another one");
    world.ask(&item, Event::Rejected { by: anna(), gate: None, comment: "untested".into() }).await;
    world.until_blocked(&item).await;
    world.runs.on("reviewer", approve);
    world.ask(&item, Event::WayChosen { by: anna(), way: WayOut::Revert }).await;
    let task = world.until_done(&item).await;
    assert_eq!(task.branch.generation, 2);
    assert_eq!(world.show("main", "other.txt"), "somebody else");
    assert!(!git(&world.bare(), &["ls-tree", "-r", "--name-only", "main"]).contains("DEMO-1.txt"), "it is taken back");
}

#[tokio::test]
async fn a_branch_pushed_to_main_as_it_is_is_asked_about_and_taken_as_one_revision() {
    let world = World::new().await;
    world.start();
    seen(&world).await;
    let item = in_review(&world, "Add a file").await;
    let head = world.task(&item).await.branch.head.unwrap();
    git(&world.bare(), &["update-ref", "refs/heads/main", head.as_str()]);
    let task = world.until(&item, "asking", |t| asked(t, ApprovalKind::Landed)).await;
    assert!(task.landing.landed.is_some_and(|l| l.tested && l.by.is_none() && l.commit == head));
    world.ask(&item, Event::Approved { by: anna(), gate: None, subject: Some(head.to_string()), comment: None }).await;
    let task = world.until_done(&item).await;
    assert_eq!(task.landing.merged.map(|m| m.commit), Some(head.clone()));
    assert_eq!(world.production.revision.lock().unwrap().as_deref(), Some(head.as_str()));
    assert_eq!(world.forge_did("merge-done").await, 0);
    // The forge does not know that it is merged: it would stay open for ever.
    let pull = task.branch.pull_request.unwrap();
    let state = async || world.forge.pull_request(&demo(), pull).await.unwrap().state;
    world.eventually("its pull request is closed", async || state().await == PullState::Closed).await;
}

#[tokio::test]
async fn a_persons_merge_beside_orchs_own_is_taken_where_it_is_what_was_tested_and_asked_about_otherwise() {
    for moved in [false, true] {
        let world = World::new().await;
        world.faults.plan("forge.merge", &[How::Pause]);
        world.start();
        seen(&world).await;
        let item = world.begin("Add a file").await;
        world.faults.reached("forge.merge").await;
        if moved {
            world.outsider_on_main("other.txt", "somebody else\n");
        }
        world.person_merges(&item, Some(&eve()), MergeMethod::Merge).await;
        let landed = world.main_tip().await;
        world.faults.release();
        if moved {
            world.until(&item, "asking", |t| asked(t, ApprovalKind::Landed)).await;
            assert!(free(&world).await, "the queue is not frozen");
            let other = world.begin("Another").await;
            world.until_done(&other).await;
            world.ask(&item, Event::Approved { by: anna(), gate: None, subject: None, comment: None }).await;
        }
        let task = world.until_done(&item).await;
        assert_eq!(task.landing.merged.map(|m| m.commit), Some(landed));
        assert!(!matches!(task.phase, Phase::Blocked { why: BlockReason::WrongTree { .. }, .. }));
        seen(&world).await;
        let (record, moves) = main_of(&world).await;
        assert_eq!(record.moves, u64::from(moved), "what came in before it is kept: {moves:?}");
    }
}

#[tokio::test]
async fn a_process_that_dies_between_the_word_to_the_task_and_the_record_repeats_and_loses_nothing() {
    let world = World::new().await;
    world.start();
    seen(&world).await;
    let item = in_review(&world, "Add a file").await;
    // What came in is listed before and after the tasks are told.
    world.faults.plan("git.commits", &[How::Well, How::DieBefore]);
    world.person_merges(&item, Some(&eve()), MergeMethod::Merge).await;
    world.faults.reached("git.commits").await;
    assert_eq!(main_of(&world).await.0.moves, 0);
    world.kill().await;
    world.start();
    seen(&world).await;
    let task = world.until(&item, "asking", |t| asked(t, ApprovalKind::Landed)).await;
    assert_eq!(main_of(&world).await.1.iter().map(|m| m.tasks.clone()).collect::<Vec<_>>(), [vec![item.clone()]]);
    assert_eq!(world.says(&item, "by local:eve and not by orch").await, 1);
    world.ask(&item, Event::Approved { by: anna(), gate: None, subject: None, comment: None }).await;
    let done = world.until_done(&item).await;
    assert_eq!(done.landing.merged.map(|m| m.commit), task.landing.landed.map(|l| l.commit));
}

/// Where the watcher has not looked yet, the preparation of the merge looks for itself.
#[tokio::test]
async fn a_merge_that_only_the_preparation_of_the_next_one_sees_is_taken_up_by_it() {
    let world = World::with(|c| c.poll = false).await;
    world.start();
    seen(&world).await;
    let item = in_review(&world, "Add a file").await;
    world.person_merges(&item, Some(&anna()), MergeMethod::Merge).await;
    let landed = world.main_tip().await;
    world.runs.finish("reviewer", |run| {
        let Does::Exit(0) = approve(run) else { panic!() };
    });
    let task = world.until_done(&item).await;
    assert_eq!(task.landing.merged.map(|m| m.commit), Some(landed));
    assert_eq!((world.forge_did("merge-done").await, world.says(&item, "is taken as its merge").await), (1, 1));
    assert!(free(&world).await);
}

/// A second pull request of the same branch would be merged as well, and the first one forgotten.
#[tokio::test]
async fn what_was_merged_while_its_developer_worked_again_is_known_before_another_pull_request_is_opened() {
    let world = World::with(|c| c.poll = false).await;
    world.runs.on("developer", |run| {
        run.write("work.txt", &format!("{}\n", run.nth));
        if run.nth == 1 { Does::Exit(0) } else { Does::Hang }
    });
    world.runs.on("reviewer", |run| {
        run.paper("12-review.md", "---\nverdict: REQUEST_CHANGES\nfindings:\n  - severity: P1\n    text: no\n---\n");
        Does::Exit(0)
    });
    world.start();
    seen(&world).await;
    let item = world.begin("Add a file").await;
    world.eventually("the developer works again", async || world.runs.live("developer")).await;
    world.person_merges(&item, Some(&eve()), MergeMethod::Merge).await;
    let landed = world.main_tip().await;
    world.runs.finish("developer", |run| run.write("work.txt", "better\n"));
    world.until(&item, "asking", |t| asked(t, ApprovalKind::Landed)).await;
    world.ask(&item, Event::Approved { by: anna(), gate: None, subject: None, comment: None }).await;
    let task = world.until_done(&item).await;
    assert_eq!(task.landing.merged.map(|m| m.commit), Some(landed));
    assert_eq!((world.forge_did("merge-done").await, world.forge_did("pull-opened").await), (1, 1));
}
