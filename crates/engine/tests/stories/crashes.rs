//! The process dies between an act and its being written down, at every effect. The next one finds out; nothing happens
//! twice.

use crate::faults::How;
use crate::runs::Does;
use crate::world::{World, approve};
use std::collections::BTreeMap;

/// Dies as planned, is started again, and must come to the same end as if nothing had happened.
async fn dies_and_ends_well(world: World, call: &str) {
    world.start();
    let item = world.begin("Add a file").await;
    world.faults.reached(call).await;
    world.kill().await;
    world.start();
    let task = world.until_done(&item).await;
    world.until_quiet().await;
    assert_eq!(world.forge_did("merge-done").await, 1, "merges");
    assert_eq!(world.forge_did("pull-opened").await, 1, "pull requests");
    for what in ["developer", "reviewer", "deploy"] {
        assert_eq!(world.runs.count(what), 1, "runs of the {what}");
    }
    assert_eq!((task.spent.rounds, task.spent.role_attempts), (0, 0));
    let mut subjects = BTreeMap::new();
    for subject in world.commits("main") {
        *subjects.entry(subject).or_insert(0) += 1;
    }
    assert!(subjects.values().all(|n| *n == 1), "a commit was made twice: {subjects:?}");
    let mut runs: Vec<String> = world.store.runs(task.id).await.unwrap().into_iter().map(|r| r.dir).collect();
    let all = runs.len();
    runs.dedup();
    assert_eq!(runs.len(), all);
}

#[tokio::test]
async fn after_the_branch_was_pushed() {
    let world = World::new().await;
    world.faults.plan("git.push", &[How::DieAfter]);
    dies_and_ends_well(world, "git.push").await;
}

#[tokio::test]
async fn before_the_branch_was_pushed() {
    let world = World::new().await;
    world.faults.plan("git.push", &[How::DieBefore]);
    dies_and_ends_well(world, "git.push").await;
}

#[tokio::test]
async fn after_the_work_was_published() {
    let world = World::new().await;
    world.faults.plan("git.push", &[How::Well, How::DieAfter]);
    dies_and_ends_well(world, "git.push").await;
}

#[tokio::test]
async fn after_the_pull_request_was_opened() {
    let world = World::new().await;
    world.faults.plan("forge.ensure_pull_request", &[How::DieAfter]);
    dies_and_ends_well(world, "forge.ensure_pull_request").await;
}

#[tokio::test]
async fn after_the_branch_was_brought_to_the_tip_and_main_moved_meanwhile() {
    let world = World::new().await;
    // Open, developer, reviewer, update.
    world.faults.plan("git.push", &[How::Well, How::Well, How::Well, How::DieAfter]);
    world.faults.plan("git.update", &[How::Pause]);
    world.start();
    let item = world.begin("Add a file").await;
    world.faults.reached("git.update").await;
    // The tip is known before: this one comes too late for the first update, which is rejected later.
    world.outsider_merges("by-hand-1", "other.txt", "1\n").await;
    world.faults.release();
    world.faults.reached("git.push").await;
    world.kill().await;
    world.outsider_merges("by-hand-2", "other.txt", "2\n").await;
    world.start();
    let task = world.until_done(&item).await;
    assert_eq!(world.forge_did("merge-done").await, 3);
    assert_eq!(world.show("main", "other.txt"), "2");
    assert_eq!(world.show("main", "DEMO-1.txt"), "written in run 1");
    assert_eq!((task.spent.rounds, world.runs.count("developer")), (0, 1));
}

#[tokio::test]
async fn after_the_forge_merged() {
    let world = World::new().await;
    world.faults.plan("forge.merge", &[How::DieAfter]);
    dies_and_ends_well(world, "forge.merge").await;
}

#[tokio::test]
async fn before_the_forge_merged() {
    let world = World::new().await;
    world.faults.plan("forge.merge", &[How::DieBefore]);
    dies_and_ends_well(world, "forge.merge").await;
}

#[tokio::test]
async fn a_prepared_merge_is_driven_on_without_testing_again() {
    let world = World::with(|c| c.test = Some("test".into())).await;
    world.faults.plan("forge.merge", &[How::DieBefore]);
    world.start();
    let item = world.begin("Add a file").await;
    world.faults.reached("forge.merge").await;
    let tested = (world.runs.count("test"), world.runs.count("ci"), world.forge_did("status-set").await);
    world.kill().await;
    world.start();
    world.until_done(&item).await;
    assert_eq!((world.runs.count("test"), world.runs.count("ci"), world.forge_did("status-set").await), tested);
    assert_eq!(world.forge_did("merge-done").await, 1);
}

#[tokio::test]
async fn after_an_agent_had_ended() {
    let world = World::new().await;
    world.runs.die_after("developer");
    dies_and_ends_well(world, "dead").await;
}

#[tokio::test]
async fn after_production_was_deployed() {
    let world = World::new().await;
    world.runs.die_after("deploy");
    dies_and_ends_well(world, "dead").await;
}

#[tokio::test]
async fn while_an_agent_works_and_the_next_process_adopts_it() {
    let world = World::new().await;
    world.runs.on("developer", |_| Does::Hang);
    world.start();
    let item = world.begin("Add a file").await;
    world.eventually("the developer works", async || world.runs.live("developer")).await;
    world.shut_down().await;
    assert!(world.runs.live("developer"), "an agent outlives the process");
    world.start();
    world.runs.finish("developer", |run| run.write("adopted.txt", "yes\n"));
    world.until_done(&item).await;
    assert_eq!(world.runs.count("developer"), 1);
    assert_eq!(world.show("main", "adopted.txt"), "yes");
}

#[tokio::test]
async fn a_worker_whose_claim_is_gone_pushes_nothing() {
    let world = World::new().await;
    world.runs.on("developer", |run| {
        run.write("work.txt", &format!("run {}\n", run.nth));
        Does::Exit(0)
    });
    // The first process stands still between its commit and its push.
    world.faults.plan("git.snapshot", &[How::Pause]);
    world.start();
    let item = world.begin("Add a file").await;
    world.faults.reached("git.snapshot").await;
    let old = world.engine();
    old.drain(true).await.unwrap();
    let engine = world.start();
    engine.drain(false).await.unwrap();
    world.runs.on("reviewer", |run| if run.nth == 1 { Does::Hang } else { approve(run) });
    world.eventually("the second process is at the review", async || world.runs.live("reviewer")).await;
    let before = world.task(&item).await;
    let worktree = orch_ports::git::Git::worktree_path(&*world.git, &"DEMO".into(), &item);
    std::fs::write(worktree.join("half.txt"), "half of something\n").unwrap();
    let pushes = world.faults.calls("git.push");
    world.faults.release();
    world.faults.reached("git.snapshot released").await;
    // The old worker goes on from where it stood, commits what lies about, and must not push it.
    for _ in 0..40 {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    assert_eq!(world.faults.calls("git.push"), pushes, "it pushed without a claim");
    let head = orch_ports::forge::Forge::branch_head(&world.forge, &"DEMO".into(), &before.branch.name).await.unwrap();
    assert_eq!(head, before.branch.head);
    std::fs::remove_file(worktree.join("half.txt")).unwrap();
    world.runs.finish("reviewer", |run| {
        approve(run);
    });
    world.until_done(&item).await;
    assert_eq!(world.forge_did("merge-done").await, 1);
}
