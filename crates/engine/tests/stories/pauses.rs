//! Stop means stop: nothing is begun, agents stand still, no limit counts the time, and what would be worse half done is
//! done to its end.

use crate::faults::How;
use crate::runs::Does;
use crate::world::{World, anna, demo};
use orch_core::event::Event;
use orch_core::ids::{Actor, WorkItem};
use orch_core::task::{Phase, Task, WaitReason};
use orch_engine::ReaperOptions;
use orch_engine::pause::Agents;

const MINUTE_MS: i64 = 60_000;
const DAY_MS: i64 = 24 * 60 * MINUTE_MS;

async fn pause(world: &World) {
    world.engine().pause(None, &anna()).await.unwrap();
}

async fn resume(world: &World) {
    world.engine().resume(None).await.unwrap();
}

/// Every lane has had time to claim, and the watchers to look.
async fn time_passes(world: &World, ms: i64) {
    let runs = world.engine().watcher("reaper").runs;
    world.clock.advance(ms);
    world.eventually("looked at", async || runs + 2 < world.engine().watcher("reaper").runs).await;
}

/// A developer is at work and stands still.
async fn frozen_developer(choose: impl FnOnce(&mut crate::world::Choice)) -> (World, WorkItem) {
    let world = World::with(choose).await;
    world.runs.on("developer", |_| Does::Hang);
    world.start();
    let item = world.begin("Add a file").await;
    world.eventually("the developer works", async || world.runs.live("developer")).await;
    pause(&world).await;
    world.eventually("it stands still", async || world.runs.frozen("developer")).await;
    (world, item)
}

#[tokio::test]
async fn paused_nothing_is_begun_and_agents_stand_also_after_a_kill_and_resumed_they_go_on() {
    let (world, item) = frozen_developer(|_| {}).await;
    assert_eq!(world.engine().frozen(0).await.unwrap(), Agents { frozen: 1, running: 0 });
    let second = world.begin("Another one").await;
    time_passes(&world, MINUTE_MS).await;
    world.kill().await;
    // Whatever let it go on while nobody was there.
    world.runs.thaw_all();
    world.start();
    world.eventually("it stands still again", async || world.runs.frozen("developer")).await;
    time_passes(&world, MINUTE_MS).await;
    let paused = world.engine().paused();
    assert_eq!((paused.len(), paused[0].by.as_str(), paused[0].ends.as_str()), (1, "local:anna", "orch resume"));
    for (item, so) in [(&item, "its agent stands still"), (&second, "nothing new is begun")] {
        let view = world.engine().show(&world.task(item).await).await.unwrap().waiting.unwrap();
        assert!(view.reason.starts_with("paused by local:anna since ") && view.reason.contains(so), "{view:?}");
        assert!(view.ends_when.contains("`orch resume`"), "{view:?}");
    }
    assert_eq!(world.task(&second).await.branch.head, None, "its branch is not made");
    assert_eq!(world.runs.count("developer"), 1);

    resume(&world).await;
    world.eventually("it goes on", async || !world.runs.frozen("developer")).await;
    world.runs.on("developer", |run| {
        run.write("other.txt", "x\n");
        Does::Exit(0)
    });
    world.runs.finish("developer", |run| run.write("work.txt", "x\n"));
    world.until_done(&item).await;
    world.until_done(&second).await;
    assert_eq!(world.runs.count("developer"), 2, "one run each");
}

#[tokio::test]
async fn who_pauses_or_resumes_twice_changes_nothing_and_a_resume_ends_a_drain_too() {
    let world = World::new().await;
    world.start();
    world.engine().drain(true).await.unwrap();
    pause(&world).await;
    let first = world.engine().pauses();
    world.clock.advance(MINUTE_MS);
    world.engine().pause(None, &Actor::new("local:bert")).await.unwrap();
    assert_eq!(world.engine().pauses(), first);
    resume(&world).await;
    resume(&world).await;
    assert!(world.engine().pauses().is_empty() && !world.engine().is_draining());
    let item = world.begin("Add a file").await;
    world.until_done(&item).await;
}

#[tokio::test]
async fn a_run_that_is_about_to_begin_when_orch_is_paused_does_not_begin() {
    let world = World::new().await;
    world.faults.plan("git.prepare_worktree", &[How::Pause]);
    world.start();
    let item = world.begin("Add a file").await;
    world.faults.reached("git.prepare_worktree").await;
    pause(&world).await;
    world.faults.release();
    world.eventually("its supervisor holds it back", async || world.runs.holds_one_back()).await;
    time_passes(&world, MINUTE_MS).await;
    assert_eq!(world.runs.count("developer"), 0);
    resume(&world).await;
    world.until_done(&item).await;
    assert_eq!(world.runs.count("developer"), 1);
}

/// It can write into its run's directory.
#[tokio::test]
async fn an_agent_that_lets_itself_stand_still_to_put_off_its_limits_is_let_go_on() {
    let world = World::new().await;
    world.runs.on("developer", |_| Does::Hang);
    world.start();
    let item = world.begin("Add a file").await;
    world.eventually("the developer works", async || world.runs.live("developer")).await;
    world.runs.freeze_all();
    assert!(world.runs.frozen("developer"));
    world.clock.advance(MINUTE_MS);
    world.eventually("it goes on", async || !world.runs.frozen("developer")).await;
    world.runs.finish("developer", |run| run.write("work.txt", "x\n"));
    world.until_done(&item).await;
}

#[tokio::test]
async fn a_claim_does_not_age_in_a_pause_and_what_was_left_of_its_life_is_left() {
    let limits = ReaperOptions {
        dead_ticks: 200,
        finalize_grace_ms: 10 * MINUTE_MS,
        max_running_ms: 20 * MINUTE_MS,
        ..ReaperOptions::default()
    };
    // By the run's own limit, an hour, and the grace: 70 minutes.
    let (world, item) = frozen_developer(|c| c.reaper = limits).await;
    let reaped = async || world.engine().queue().await.unwrap().reaper["reaped_total"].as_u64().unwrap();
    for _ in 0..3 {
        time_passes(&world, DAY_MS).await;
    }
    assert_eq!(reaped().await, 0);
    resume(&world).await;
    time_passes(&world, 50 * MINUTE_MS).await;
    assert_eq!(reaped().await, 0);
    time_passes(&world, 25 * MINUTE_MS).await;
    assert_eq!(reaped().await, 1);
    world.runs.finish("developer", |run| run.write("work.txt", "x\n"));
    assert_eq!(world.until_done(&item).await.spent.role_attempts, 0);
}

#[tokio::test]
async fn a_wait_with_a_limit_is_not_over_because_of_a_pause() {
    let world = World::with(|c| c.ci_wait_ms = 10 * MINUTE_MS).await;
    world.runs.on("ci", |_| Does::Hang);
    world.start();
    let item = world.begin("Add a file").await;
    let waits = |t: &Task| matches!(t.phase, Phase::Waiting { why: WaitReason::Report { .. }, .. });
    world.until(&item, "waiting for CI", waits).await;
    world.eventually("CI runs", async || world.runs.live("ci")).await;
    pause(&world).await;
    time_passes(&world, DAY_MS).await;
    resume(&world).await;
    let looks = world.faults.calls("forge.statuses");
    world.eventually("two looks", async || looks + 1 < world.faults.calls("forge.statuses")).await;
    world.until(&item, "still waiting", waits).await;
    world.clock.advance(10 * MINUTE_MS);
    let cannot = |t: &Task| matches!(t.phase, Phase::Waiting { why: WaitReason::CannotTell { .. }, .. });
    world.until(&item, "not able to tell", cannot).await;
}

#[tokio::test]
async fn a_task_is_cancelled_while_paused_also_after_a_restart() {
    for restarted in [false, true] {
        let (world, item) = frozen_developer(|_| {}).await;
        if restarted {
            world.kill().await;
            world.start();
            world.eventually("paused", async || !world.engine().pauses().is_empty()).await;
        }
        world.ask(&item, Event::CancelAsked { by: anna() }).await;
        world.until(&item, "cancelled", |t| matches!(t.phase, Phase::Cancelled { .. })).await;
        assert!(!world.runs.live("developer") && !world.engine().pauses().is_empty());
        resume(&world).await;
        world.until_quiet().await;
    }
}

#[tokio::test]
async fn a_deploy_that_was_begun_is_judged_and_watched_while_paused() {
    for restarted in [false, true] {
        let world = World::new().await;
        world.runs.on("deploy", |_| Does::Hang);
        world.start();
        let item = world.begin("Add a file").await;
        world.eventually("the hook runs", async || world.runs.live("deploy")).await;
        pause(&world).await;
        if restarted {
            world.kill().await;
            world.start();
        }
        time_passes(&world, MINUTE_MS).await;
        assert!(!world.runs.frozen("deploy"));
        let production = world.production.clone();
        world.runs.finish("deploy", |run| {
            *production.revision.lock().unwrap() = Some(run.var("ORCH_REVISION").to_owned());
        });
        world.until_done(&item).await;
        assert!(!world.engine().pauses().is_empty());
        assert_eq!(world.runs.count("deploy"), 1);
    }
}

#[tokio::test]
async fn production_is_brought_back_while_paused() {
    let world = World::new().await;
    world.start();
    let before = world.begin("First").await;
    world.until_done(&before).await;
    world.runs.on("deploy", |_| Does::Hang);
    let item = world.begin("Second").await;
    world.eventually("the hook runs", async || world.runs.live("deploy")).await;
    pause(&world).await;
    // The hook ends well and what answers is not the revision: the watch sees it.
    *world.production.status.lock().unwrap() = Some(500);
    world.runs.finish("deploy", |_| {});
    world.until(&item, "production failed", |t| t.phase_word() == "production_failed").await;
    assert_eq!(world.runs.count("rollback"), 1);
    assert!(!world.engine().pauses().is_empty());
}

#[tokio::test]
async fn a_merge_that_was_asked_for_is_found_out_while_paused_and_nothing_follows_it() {
    let world = World::new().await;
    world.faults.plan("forge.merge", &[How::After]);
    world.start();
    let item = world.begin("Add a file").await;
    world.eventually("the merge is asked for", async || 0 < world.faults.calls("forge.merge")).await;
    pause(&world).await;
    world.until(&item, "merged", |t| t.landing.merged.is_some()).await;
    time_passes(&world, MINUTE_MS).await;
    assert_eq!((world.runs.count("deploy"), world.forge_did("merge-done").await), (0, 1));
    resume(&world).await;
    world.until_done(&item).await;
}

#[tokio::test]
async fn a_paused_project_is_named_and_its_own_resume_ends_it() {
    let (world, item) = frozen_developer(|_| {}).await;
    let key = demo();
    world.engine().pause(Some(&key), &anna()).await.unwrap();
    resume(&world).await;
    time_passes(&world, MINUTE_MS).await;
    assert!(world.runs.frozen("developer"), "it was paused by itself, too");
    let view = world.engine().show(&world.task(&item).await).await.unwrap().waiting.unwrap();
    assert!(view.ends_when.contains("`orch resume --project DEMO`"), "{view:?}");
    world.engine().resume(Some(&key)).await.unwrap();
    world.eventually("it goes on", async || !world.runs.frozen("developer")).await;
    world.runs.finish("developer", |run| run.write("work.txt", "x\n"));
    world.until_done(&item).await;
}
