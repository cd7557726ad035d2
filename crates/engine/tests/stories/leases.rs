//! Merge leases left behind by a holder that is gone: whoever waits for one is not kept waiting.

use crate::world::{DB, World};
use orch_core::ids::WorkItem;
use orch_core::task::{Phase, WaitReason};
use orch_engine::ReaperOptions;

/// A task nobody works on holds the lease for a process that is dead; another task waits for it.
async fn left_behind(lease_reclaim: bool) -> (World, WorkItem) {
    let world = World::with(|c| {
        c.file = true;
        c.policy.lease_recheck_ms = 600_000;
        c.reaper = ReaperOptions { lease_reclaim, ..c.reaper };
    })
    .await;
    world.start();
    let gone = world.ticket("Gone").await;
    let holder = world.task(&gone).await.id.0;
    world.kill().await;
    let c = rusqlite::Connection::open(world.path(DB)).unwrap();
    // Its time is far from over. Whoever comes next owns the file, so whoever held it is dead.
    c.execute(
        "INSERT INTO lease (project, epoch, holder_task, branch, worker, expires_ms, taken_at) \
         VALUES ('DEMO', 7, ?1, 'b', '1@before', 9000000000000, 0)",
        [holder],
    )
    .unwrap();
    drop(c);
    world.start();
    let item = world.begin("Waits").await;
    (world, item)
}

#[tokio::test]
async fn a_dead_process_loses_its_lease_before_its_time_and_before_anybody_asks() {
    let (world, item) = left_behind(true).await;
    world.eventually("it is free", async || world.engine().watcher("reaper").lease_reclaimed == 1).await;
    let task = world.until_done(&item).await;
    assert!(task.landing.merged.is_some());
    assert_eq!(world.store.leases().await.unwrap()[0].epoch, 8, "nobody merges under the old number");
    let told = world.told_people();
    assert_eq!(told.iter().filter(|t| t.contains("the merge lease of DEMO, held by DEMO-1")).count(), 1, "{told:?}");
    let queue = world.engine().queue().await.unwrap().reaper;
    assert_eq!(queue["lease_reclaimed_total"].as_u64(), Some(1));
}

#[tokio::test]
async fn with_reclaiming_switched_off_it_is_freed_when_somebody_who_waits_looks() {
    let (world, item) = left_behind(false).await;
    let waits = |t: &orch_core::task::Task| matches!(&t.phase, Phase::Waiting { why: WaitReason::Lease { .. }, .. });
    world.until(&item, "waiting for the lease", waits).await;
    let runs = world.engine().watcher("reaper").runs;
    world.eventually("the reaper has looked", async || runs + 2 < world.engine().watcher("reaper").runs).await;
    assert_eq!(world.store.leases().await.unwrap()[0].holder, Some("DEMO-1".into()), "nobody has asked for it");
    world.clock.advance(600_000);
    world.until_done(&item).await;
    assert_eq!(world.engine().watcher("reaper").lease_reclaimed, 0);
}
