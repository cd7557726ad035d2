//! Two projects on one repository, with real git: one lease, one copy, one record of main. What one of them merges is no news
//! to the other, and what somebody else merges is news to both.

use crate::faults::How;
use crate::runs::Does;
use crate::world::{World, approve, demo, git, side};
use orch_core::event::Event;
use orch_core::task::{ApprovalKind, Phase, WaitReason};
use orch_ports::forge::{Forge as _, MergeMethod, Right};
use orch_ports::git::{Git as _, Shelf};

async fn shared() -> World {
    let world = World::with(|c| c.side = true).await;
    world.start();
    world
}

/// Names in a directory, without hidden ones and indexes.
fn names(dir: &std::path::Path) -> Vec<String> {
    let all = std::fs::read_dir(dir).unwrap().flatten().map(|e| e.file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = all.filter(|name| name.strip_suffix(".git").is_some_and(|n| !n.is_empty())).collect();
    names.sort();
    names
}

#[tokio::test]
async fn two_projects_on_one_repository_merge_one_after_the_other_and_neither_is_a_stranger() {
    let world = shared().await;
    world.faults.plan("forge.merge", &[How::Pause]);
    let a = world.begin("From the first").await;
    world.faults.reached("forge.merge").await;
    let b = world.begin_aside("From the second").await;
    let waits = |t: &orch_core::task::Task| match &t.phase {
        Phase::Waiting { why: WaitReason::Lease { holder }, .. } => holder.as_ref() == Some(&a),
        _ => false,
    };
    let waiting = world.until(&b, "waiting for the other project's merge", waits).await;
    let line = orch_core::explain::line(&waiting);
    assert!(line.contains(a.as_str()), "{line}");
    let queue = world.engine().queue().await.unwrap().merging;
    assert_eq!((queue.len(), &queue[0].repository, &queue[0].projects), (1, &demo(), &vec![demo(), side()]));
    assert_eq!((&queue[0].holder, &queue[0].waiting), (&Some(a.clone()), &vec![b.clone()]));
    world.faults.release();
    let (a, b) = (world.until_done(&a).await, world.until_done(&b).await);
    let (first, second) = (a.landing.merged.unwrap().commit, b.landing.merged.unwrap().commit);
    assert_eq!(world.main_tip().await, second);
    assert_eq!(b.branch.base.as_ref(), Some(&first), "the second was tested on the first");
    let bare = world.bare();
    let files = git(&bare, &["ls-tree", "--name-only", "main"]);
    assert!(
        files.contains(&format!("{}.txt", a.work_item)) && files.contains(&format!("{}.txt", b.work_item)),
        "{files}"
    );
    // One of everything.
    assert_eq!(
        (names(&world.path("repos")), names(&world.path("forge"))),
        (vec!["DEMO.git".into()], vec!["DEMO.git".into()])
    );
    let leases = world.store.leases().await.unwrap();
    assert_eq!((leases.len(), leases[0].project.clone(), leases[0].epoch), (1, demo(), 2));
    assert_ne!(a.branch.pull_request, b.branch.pull_request, "their numbers are the repository's");
    // Nobody is a stranger.
    world.until_quiet().await;
    for key in [demo(), side()] {
        let tip = second.clone();
        world
            .eventually("main is seen", async || {
                world.engine().main_of(&key, 9).await.unwrap().is_some_and(|(record, _)| record.tip == tip)
            })
            .await;
        let (record, moves) = world.engine().main_of(&key, 9).await.unwrap().unwrap();
        assert_eq!((record.moves, moves.len()), (0, 0));
    }
    let told = world.told_people();
    assert!(!told.iter().any(|t| t.contains("somebody else")), "{told:?}");
    assert_eq!(world.says(&b.work_item, "somebody else").await, 0);
}

#[tokio::test]
async fn a_merge_of_the_other_project_that_was_never_read_back_is_orchs_own() {
    let world = shared().await;
    // The answer is lost, and the process dies with it: the record of main knows nothing of the merge.
    world.faults.plan("forge.merge", &[How::DieAfter]);
    let b = world.begin_aside("From the second").await;
    world.faults.reached("forge.merge").await;
    world.eventually("it is on main", async || world.forge_did_in(&side(), "merge-done").await == 1).await;
    world.kill().await;
    world.start();
    let a = world.begin("From the first").await;
    let (a, b) = (world.until_done(&a).await, world.until_done(&b).await);
    assert_eq!(a.branch.base, b.landing.merged.map(|m| m.commit));
    let (record, _) = world.engine().main_of(&demo(), 9).await.unwrap().unwrap();
    assert_eq!(record.moves, 0, "{:?}", world.told_people());
}

#[tokio::test]
async fn both_projects_hear_of_a_main_that_somebody_else_moved_and_it_is_told_once() {
    let world = World::with(|c| {
        c.side = true;
        c.merging.only_orch = true;
    })
    .await;
    world.start();
    let seen = async |moves: u64| {
        let record = world.engine().main_of(&side(), 0).await.unwrap();
        record.is_some_and(|(record, _)| record.moves == moves)
    };
    world.eventually("main is seen", async || seen(0).await).await;
    world.outsider_on_main("stranger.txt", "hello\n");
    world.eventually("the move is seen", async || seen(1).await).await;
    let (a, b) = (world.begin("From the first").await, world.begin_aside("From the second").await);
    let asks = |t: &orch_core::task::Task| {
        matches!(&t.phase, Phase::Waiting { why: WaitReason::Approval { what: ApprovalKind::Main, .. }, .. })
    };
    world.until(&a, "a person is asked", asks).await;
    world.until(&b, "a person is asked", asks).await;
    // One approval is for the repository: whoever waits in the other project goes on, too.
    let Phase::Waiting { why: WaitReason::Approval { subject, .. }, .. } = world.task(&a).await.phase else { panic!() };
    let yes = Event::Approved { by: crate::world::anna(), gate: None, subject: Some(subject), comment: None };
    world.ask(&a, yes).await;
    world.until_done(&a).await;
    world.until_done(&b).await;
    let (record, moves) = world.engine().main_of(&demo(), 9).await.unwrap().unwrap();
    assert_eq!((record.moves, moves.len(), record.pending), (1, 1, None));
    assert_eq!(world.store.recall(&orch_store::Fact::Main(side())).await.unwrap(), None, "there is one record");
}

#[tokio::test]
async fn what_is_kept_of_one_projects_branches_stays_when_the_others_time_is_over() {
    let world = World::with(|c| {
        c.side = true;
        c.landing = orch_core::landing::LandingPlan {
            history: orch_core::landing::History::OneCommit,
            ..orch_core::landing::LandingPlan::default()
        };
        c.retention.history_ms = Some(10);
    })
    .await;
    world.start();
    let a = world.begin("Over").await;
    world.until_done(&a).await;
    world.runs.on("reviewer", |_| Does::Hang);
    let b = world.begin_aside("Not over").await;
    world.eventually("the reviewer works", async || world.runs.live("reviewer")).await;
    let mine = format!("{b}/0123456");
    world.git.keep_history(&side(), &mine, &world.main_tip().await).await.unwrap();
    let kept = async |item: &str| {
        let all = world.git.kept(&side(), Shelf::History).await.unwrap();
        all.iter().filter(|(name, _)| name.starts_with(item)).count()
    };
    world.clock.advance(1_000);
    let item = format!("{a}/");
    world.eventually("the first's is gone", async || kept(&item).await == 0).await;
    assert_eq!(kept(&mine).await, 1);
    world.runs.on("reviewer", approve);
    world.runs.finish("reviewer", |run| {
        approve(run);
    });
    world.until_done(&b).await;
}

#[tokio::test]
async fn a_pull_request_of_the_other_project_that_a_person_merged_is_told_to_its_task() {
    let world = shared().await;
    world.runs.on("reviewer", |_| Does::Hang);
    let b = world.begin_aside("From the second").await;
    world.eventually("the reviewer works", async || world.runs.live("reviewer")).await;
    let task = world.task(&b).await;
    let (number, head) = (task.branch.pull_request.unwrap(), task.branch.head.unwrap());
    world.flaky.merged_by.lock().unwrap().insert(number, Some("local:eve".into()));
    let how = (Right::Person, MergeMethod::FastForwardOnly);
    world.forge.merge(&side(), number, &head, how.0, how.1, "merged by hand").await.unwrap();
    // The look is one for the repository, and the first of its projects makes it.
    let task = world.until(&b, "it knows", |t| t.landing.landed.is_some()).await;
    assert_eq!(task.landing.landed.unwrap().by, Some("local:eve".into()));
    let told = async || {
        let (_, moves) = world.engine().main_of(&demo(), 9).await.unwrap().unwrap();
        moves.first().is_some_and(|moved| moved.tasks == [b.clone()])
    };
    world.eventually("the record names it", told).await;
}
