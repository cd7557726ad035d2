//! Workers that die or hang while the process lives: what they hold is taken from them without a restart, nothing is done
//! twice, and a live agent is left alone.

use crate::faults::How;
use crate::runs::Does;
use crate::world::{World, anna};
use orch_core::effect::Effect;
use orch_core::event::Event;
use orch_core::task::{BlockReason, Phase};
use orch_engine::ReaperOptions;

const MINUTE_MS: i64 = 60_000;

/// The limits a story passes by moving the clock: long enough that a slow machine never does.
fn limits() -> ReaperOptions {
    ReaperOptions {
        dead_ticks: 200,
        finalize_grace_ms: 10 * MINUTE_MS,
        max_running_ms: 20 * MINUTE_MS,
        ..ReaperOptions::default()
    }
}

/// The reaper has looked twice since now.
async fn looked_at(world: &World) {
    let runs = world.engine().watcher("reaper").runs;
    world.eventually("looked at", async || runs + 2 < world.engine().watcher("reaper").runs).await;
}

#[tokio::test]
async fn an_end_nobody_takes_is_taken_up_without_a_restart_and_the_queue_goes_on() {
    let world = World::with(|c| (c.agents, c.reaper) = (1, limits())).await;
    // The worker that waits for this run is never told: it hangs, and its claim is renewed for ever.
    world.faults.plan("answer developer", &[How::Pause]);
    world.start();
    let first = world.begin("First").await;
    world.faults.reached("answer developer").await;
    // The only agent slot is taken.
    let second = world.begin("Second").await;
    looked_at(&world).await;
    world.clock.advance(10 * MINUTE_MS);
    for item in [&first, &second] {
        let task = world.until_done(item).await;
        assert_eq!((task.spent.rounds, task.spent.role_attempts), (0, 0));
    }
    assert_eq!(world.runs.count("developer"), 2, "the run that had ended was not done again");
    assert_eq!(world.forge_did("merge-done").await, 2);
    let queue = world.engine().queue().await.unwrap().reaper;
    assert_eq!((queue["enabled"].as_bool(), queue["reaped_total"].as_u64()), (Some(true), Some(1)), "{queue}");
    assert!(queue["last_reaped"].as_str().unwrap().contains("its result was not taken"), "{queue}");
    assert!(queue["last_run_ts"].is_string() && queue["interval"].is_u64(), "{queue}");
    assert_eq!(queue["lease_reclaimed_total"].as_u64(), Some(0));
    assert_eq!(world.told_people().iter().filter(|t| t.contains("goes back to the queue")).count(), 1);
}

/// Whoever meets something writes down that people should know it, and goes on: a job of the task sends it.
#[tokio::test]
async fn a_notifier_that_does_not_answer_stops_no_watcher_and_says_it_later() {
    let world = World::with(|c| (c.agents, c.reaper) = (1, limits())).await;
    world.told.1.send_replace(true);
    world.faults.plan("answer developer", &[How::Pause]);
    world.start();
    let item = world.begin("First").await;
    world.faults.reached("answer developer").await;
    looked_at(&world).await;
    world.clock.advance(10 * MINUTE_MS);
    world.until_done(&item).await;
    // What cleans up behind the task is through: a clock that jumps would take it back, which people hear, too.
    world
        .eventually("only notices are left", async || {
            let open = world.store.open_jobs(None).await.unwrap();
            open.iter().all(|job| matches!(job.effect, Effect::Notify { .. }))
        })
        .await;
    looked_at(&world).await;
    assert_eq!(world.told_people(), Vec::<String>::new());
    // The job that hangs with it is taken back again and again, and makes no other one of that.
    let notices = async || {
        let open = world.store.open_jobs(None).await.unwrap();
        open.iter().filter(|j| matches!(j.effect, Effect::Notify { .. })).count()
    };
    let waiting = notices().await;
    for _ in 0..3 {
        world.clock.advance(90 * MINUTE_MS);
        looked_at(&world).await;
    }
    assert_eq!(notices().await, waiting);
    world.told.1.send_replace(false);
    world
        .eventually("they hear it", async || {
            world.told_people().iter().filter(|t| t.contains("goes back to the queue")).count() == 1
        })
        .await;
}

#[tokio::test]
async fn a_dead_supervisor_nobody_noticed_is_noticed_at_the_second_look() {
    let world = World::with(|c| c.reaper = ReaperOptions { dead_ticks: 2, ..limits() }).await;
    world.runs.on("developer", |run| {
        run.write("work.txt", "x\n");
        if run.nth == 1 { Does::Hang } else { Does::Exit(0) }
    });
    world.start();
    let item = world.begin("Add a file").await;
    world.eventually("the developer works", async || world.runs.live("developer")).await;
    world.runs.lose("developer");
    let task = world.until_done(&item).await;
    assert_eq!(world.runs.count("developer"), 2, "a new run, because nobody knows what became of the first");
    assert_eq!((task.spent.rounds, task.spent.role_attempts), (0, 0));
    let last = world.engine().queue().await.unwrap().reaper["last_reaped"].clone();
    assert!(last.as_str().unwrap().contains("its supervisor was dead at 2 looks"), "{last}");
}

#[tokio::test]
async fn a_live_agent_within_its_limit_is_never_reaped() {
    // Its own limit is an hour, the backstop comes after 20 minutes.
    let world = World::with(|c| c.reaper = limits()).await;
    world.runs.on("developer", |_| Does::Hang);
    world.start();
    let item = world.begin("Add a file").await;
    world.eventually("the developer works", async || world.runs.live("developer")).await;
    looked_at(&world).await;
    world.clock.advance(50 * MINUTE_MS);
    looked_at(&world).await;
    world.runs.finish("developer", |run| run.write("work.txt", "x\n"));
    world.until_done(&item).await;
    assert_eq!(world.runs.count("developer"), 1);
    assert_eq!(world.engine().watcher("reaper").acted_total, 0);
}

#[tokio::test]
async fn what_is_past_every_limit_is_taken_back() {
    let world = World::with(|c| c.reaper = limits()).await;
    // Work inside the process that never ends.
    world.faults.plan("git.push", &[How::Pause]);
    world.start();
    let item = world.begin("Add a file").await;
    world.faults.reached("git.push").await;
    looked_at(&world).await;
    world.clock.advance(20 * MINUTE_MS);
    world.until_done(&item).await;
    world.eventually("the sweep that did it is over", async || world.engine().watcher("reaper").acted_total == 1).await;
    assert_eq!(world.commits("main").iter().filter(|s| s.contains("Add a file")).count(), 1);
}

#[tokio::test]
async fn a_merge_on_its_way_cannot_land_once_its_task_is_cancelled() {
    let world = World::with(|c| c.reaper = limits()).await;
    let before = world.main_tip().await;
    // A request that nobody answers; the forge gets it when all is over.
    world.faults.plan("forge.merge", &[How::Pause]);
    world.start();
    let item = world.begin("Add a file").await;
    world.faults.reached("forge.merge").await;
    world.ask(&item, Event::CancelAsked { by: anna() }).await;
    looked_at(&world).await;
    world.clock.advance(20 * MINUTE_MS);
    world.until(&item, "cancelled", |t| matches!(t.phase, Phase::Cancelled { .. })).await;
    assert_eq!(world.forge_did("pull-closed").await, 1);
    world.faults.release();
    world.until_quiet().await;
    assert_eq!((world.main_tip().await, world.forge_did("merge-done").await), (before, 0));
}

#[tokio::test]
async fn switched_off_it_reaps_nobody_and_says_so() {
    let world = World::with(|c| c.reaper = ReaperOptions { enabled: false, ..limits() }).await;
    world.faults.plan("answer developer", &[How::Pause]);
    world.start();
    let item = world.begin("Add a file").await;
    world.faults.reached("answer developer").await;
    looked_at(&world).await;
    world.clock.advance(30 * MINUTE_MS);
    looked_at(&world).await;
    let queue = world.engine().queue().await.unwrap().reaper;
    assert_eq!((queue["enabled"].as_bool(), queue["reaped_total"].as_u64()), (Some(false), Some(0)));
    assert_eq!(world.task(&item).await.phase_word(), "running");
    // A restart finds it, as it always did.
    world.kill().await;
    world.start();
    world.until_done(&item).await;
    assert_eq!(world.runs.count("developer"), 1);
}

#[tokio::test]
async fn a_job_that_kills_three_workers_is_quarantined_and_the_others_go_on() {
    let world = World::new().await;
    world.runs.on("developer", |run| {
        if run.var("ORCH_WORK_ITEM") == "DEMO-1" {
            return Does::Vanish;
        }
        run.write("work.txt", "x\n");
        Does::Exit(0)
    });
    world.start();
    let (poison, fine) = (world.begin("Poison").await, world.begin("Fine").await);
    world.until_done(&fine).await;
    let task = world.until_blocked(&poison).await;
    let Phase::Blocked { why: BlockReason::JobFailed { fault, .. }, .. } = &task.phase else {
        panic!("{:?}", task.phase)
    };
    assert!(fault.text.contains("quarantined: 3 workers died"), "{fault:?}");
    assert_eq!(world.runs.count("developer"), 4, "three of the one, one of the other");
    let told = || world.told_people().into_iter().filter(|t| t.contains("quarantined")).count();
    world.eventually("a person is told", async || told() == 1).await;
    // A person lets it go on: it gets its three lives again, not an endless supply.
    world.ask(&poison, Event::RetryAsked { by: anna() }).await;
    world.eventually("quarantined again", async || told() == 2).await;
    assert_eq!(world.runs.count("developer"), 7);
}

#[tokio::test]
async fn work_in_the_process_that_takes_it_along_three_times_is_quarantined() {
    let world = World::new().await;
    world.faults.plan("git.push", &[How::DieBefore, How::DieBefore, How::DieBefore]);
    world.start();
    let item = world.begin("Add a file").await;
    for death in 1..=3 {
        world.eventually("it dies there", async || world.faults.calls("git.push") == death).await;
        world.kill().await;
        world.start();
    }
    let task = world.until_blocked(&item).await;
    assert!(
        matches!(&task.phase, Phase::Blocked { why: BlockReason::JobFailed { fault, .. }, .. } if fault.text.contains("quarantined")),
        "{:?}",
        task.phase
    );
    world.ask(&item, Event::RetryAsked { by: anna() }).await;
    world.until_done(&item).await;
}

#[tokio::test]
async fn a_merge_is_never_quarantined() {
    let world = World::new().await;
    world.faults.plan("forge.merge", &[How::DieBefore, How::DieBefore, How::DieBefore, How::DieBefore, How::DieAfter]);
    world.start();
    let item = world.begin("Add a file").await;
    for death in 1..=5 {
        world.eventually("it dies there", async || world.faults.calls("forge.merge") == death).await;
        world.kill().await;
        world.start();
    }
    world.until_done(&item).await;
    assert_eq!(world.forge_did("merge-done").await, 1);
}

#[tokio::test]
async fn a_message_that_takes_the_process_along_is_put_off_and_never_lost() {
    let world = World::new().await;
    world.faults.plan("tracker.put_comment", &[How::DieBefore, How::DieBefore, How::DieBefore, How::DieBefore]);
    world.start();
    let item = world.begin("Add a file").await;
    for death in 1..=4 {
        world.eventually("it dies there", async || world.faults.calls("tracker.put_comment") == death).await;
        world.kill().await;
        world.start();
    }
    // The task's own way is not held up by it.
    world.until_done(&item).await;
    world.until_quiet().await;
    let comments = world.comments(1).await;
    assert!(comments[0].contains("done, healthy"), "{comments:?}");
}

#[tokio::test]
async fn an_orderly_end_is_nobodys_death() {
    let world = World::new().await;
    world.runs.on("developer", |_| Does::Hang);
    world.start();
    let item = world.begin("Add a file").await;
    world.eventually("the developer works", async || world.runs.live("developer")).await;
    for _ in 0..4 {
        world.shut_down().await;
        assert_eq!(world.store.running_jobs().await.unwrap(), [], "what was claimed is given back");
        world.start();
    }
    world.runs.finish("developer", |run| run.write("work.txt", "x\n"));
    world.until_done(&item).await;
    assert_eq!(world.runs.count("developer"), 1);
}

#[tokio::test]
async fn a_sweep_that_fails_is_shown_and_the_others_go_on() {
    let world = World::new().await;
    world.faults.down("tracker.changed_since");
    world.start();
    world.eventually("its fault is shown", async || world.engine().watcher("reconcile").fault.is_some()).await;
    assert_eq!(world.engine().failing_watchers().len(), 1);
    let item = world.begin("Add a file").await;
    world.until_done(&item).await;
    world.faults.up();
    world.eventually("it works again", async || world.engine().watcher("reconcile").fault.is_none()).await;
}

#[tokio::test]
async fn a_wall_clock_that_is_set_right_keeps_nobody_waiting() {
    const DAY_MS: i64 = 86_400_000;
    let world = World::new().await;
    world.faults.plan("git.push", &[How::Before, How::Before, How::Before]);
    world.clock.set_wrong(DAY_MS);
    world.start();
    let item = world.begin("Add a file").await;
    world
        .eventually("it is put off", async || {
            world.store.open_jobs(None).await.unwrap().iter().any(|j| 2 <= j.transient_attempts)
        })
        .await;
    world.clock.set_wrong(0);
    world.until_done(&item).await;
}
