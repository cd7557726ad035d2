//! CI that orch runs itself, local tests, and runs that say nothing.

use crate::faults::How;
use crate::runs::{Does, Run};
use crate::world::{World, anna, demo, git};
use orch_core::effect::Effect;
use orch_core::event::Event;
use orch_core::ids::{GateId, Role};
use orch_core::task::{BlockReason, Phase, WaitReason};
use orch_core::verdict::Verdict;
use orch_ports::forge::{Forge, StatusState};
use orch_store::JobState;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

#[tokio::test]
async fn the_same_code_is_judged_by_ci_once() {
    let world = World::new().await;
    world.runs.on("ci", |run| {
        assert_eq!(
            run.var("ORCH_REVISION"),
            git(&run.cwd, &["rev-parse", "HEAD"]),
            "it is told which commit it runs on"
        );
        Does::Exit(0)
    });
    world.start();
    let item = world.begin("Add a file").await;
    let merged = world.until_done(&item).await.landing.merged.unwrap().commit;
    assert_eq!(world.runs.count("ci"), 1, "the review's paper is no code");
    let statuses = world.forge.statuses(&demo(), &merged).await.unwrap();
    assert!(statuses[0].description.contains("the same code was green"), "{statuses:?}");
}

#[tokio::test]
async fn red_code_is_judged_again_when_it_comes_back() {
    let world = World::new().await;
    let attempt = Arc::new(AtomicUsize::new(0));
    let now = attempt.clone();
    world.runs.on("developer", move |run| {
        now.store(run.nth, Ordering::SeqCst);
        if 1 < run.nth {
            assert!(run.prompt().contains("assertion failed: 1 + 1"), "the brief carries the log");
        }
        // The third attempt is the first one again.
        run.write("work.txt", if run.nth == 2 { "second\n" } else { "first\n" });
        Does::Exit(0)
    });
    world.runs.on("ci", move |run| {
        std::fs::write(run.dir.join("stdout.log"), "assertion failed: 1 + 1\n").unwrap();
        Does::Exit(i32::from(!run.read("work.txt").is_empty() && attempt.load(Ordering::SeqCst) < 3))
    });
    world.start();
    let item = world.begin("Add a file").await;
    let task = world.until_done(&item).await;
    assert_eq!((task.spent.rounds, world.runs.count("ci")), (2, 9), "each red: three times the branch, once its base");
}

#[tokio::test]
async fn a_setup_runs_before_ci_and_tests_and_its_failure_is_told_as_its_own() {
    let world = World::with(|choice| {
        choice.test = Some("test".into());
        choice.preparation.setup = Some("install".into());
        choice.preparation.env.insert("LEVEL".into(), "project".into());
    })
    .await;
    world.runs.on("developer", |run| {
        assert_eq!(run.prompt().contains("the setup `install` failed"), run.nth == 2, "{}", run.prompt());
        assert!(run.prompt().contains("ready for the tests: install"));
        run.write("work.txt", &format!("{}\n", run.nth));
        Does::Exit(0)
    });
    world.runs.on("install", |_| Does::Exit(0));
    let prepared = |run: &Run| {
        assert_eq!((run.var("LEVEL"), &*run.argv[run.argv.len() - 2]), ("project", "install"));
        let red = run.read("work.txt") == "1\n";
        std::fs::write(run.dir.join("phase"), if red { "setup\n" } else { "command\n" }).unwrap();
        Does::Exit(i32::from(red))
    };
    world.runs.on("ci", prepared);
    world.runs.on("test", move |run| {
        assert_eq!((run.var("LEVEL"), &*run.argv[run.argv.len() - 2]), ("project", "install"));
        Does::Exit(0)
    });
    world.start();
    let item = world.begin("Add a file").await;
    let task = world.until_done(&item).await;
    assert_eq!((task.spent.rounds, 0 < world.runs.count("test")), (1, true));
}

#[tokio::test]
async fn a_red_ci_of_a_commit_that_came_back_as_it_was_is_run_again() {
    let world = World::new().await;
    let attempt = Arc::new(AtomicUsize::new(0));
    let now = attempt.clone();
    world.runs.on("developer", move |run| {
        now.store(run.nth, Ordering::SeqCst);
        run.write("work.txt", "always the same\n");
        Does::Exit(0)
    });
    // What made it red is no business of the code, and passes.
    world.runs.on("ci", move |run| {
        Does::Exit(i32::from(!run.read("work.txt").is_empty() && attempt.load(Ordering::SeqCst) < 2))
    });
    world.start();
    let item = world.begin("Add a file").await;
    let task = world.until_done(&item).await;
    assert_eq!((task.spent.rounds, world.runs.count("ci")), (1, 5));
}

#[tokio::test]
async fn a_ci_run_that_vanished_is_done_again_and_costs_nothing() {
    let world = World::new().await;
    world.runs.on("ci", |run| if run.nth == 1 { Does::Vanish } else { Does::Exit(0) });
    world.start();
    let item = world.begin("Add a file").await;
    let task = world.until_done(&item).await;
    assert_eq!((task.spent.rounds, world.runs.count("ci")), (0, 2));
}

#[tokio::test]
async fn local_tests_that_vanished_are_done_again_and_cost_nothing() {
    let world = World::with(|c| c.test = Some("test".into())).await;
    world.runs.on("test", |run| if run.nth == 1 { Does::Vanish } else { Does::Exit(0) });
    world.start();
    let item = world.begin("Add a file").await;
    let task = world.until_done(&item).await;
    assert_eq!(task.spent.rounds, 0);
    assert_eq!(world.runs.count("developer"), 1);
}

#[tokio::test]
async fn ci_that_was_stopped_from_outside_is_not_red_and_not_forgotten() {
    let world = World::new().await;
    world.runs.on("ci", |run| if run.nth == 1 { Does::Hang } else { Does::Exit(0) });
    world.start();
    let item = world.begin("Add a file").await;
    world.eventually("CI runs", async || world.runs.live("ci")).await;
    world.runs.cancel_all("ci");
    let task = world.until_done(&item).await;
    assert_eq!((task.spent.rounds, world.runs.count("ci")), (0, 2));
}

#[tokio::test]
async fn ci_that_never_answers_is_a_question_for_a_person_told_once_and_written_down_once() {
    let world = World::with(|c| c.ci_wait_ms = 60_000).await;
    world.runs.on("ci", |_| Does::Hang);
    world.start();
    let item = world.begin("Add a file").await;
    let waits = |t: &orch_core::task::Task| matches!(t.phase, Phase::Waiting { why: WaitReason::Report { .. }, .. });
    world.until(&item, "waiting for CI", waits).await;
    // It is waited for from the time it began.
    world.eventually("CI runs", async || world.runs.live("ci")).await;
    world.clock.advance(100_000);
    let held = |t: &orch_core::task::Task| matches!(t.phase, Phase::Waiting { why: WaitReason::CannotTell { .. }, .. });
    world.until(&item, "not able to tell", held).await;
    for _ in 0..3 {
        world.clock.advance(2_000_000);
        let looks = world.faults.calls("forge.statuses");
        world.eventually("another look", async || looks + 1 < world.faults.calls("forge.statuses")).await;
    }
    let task = world.until(&item, "holding still", held).await;
    assert_eq!(task.spent.rounds, 0);
    let told = world.told_people();
    assert_eq!(told.iter().filter(|t| t.contains("waiting too long")).count(), 1, "{told:?}");
    let words: Vec<_> = world.store.judgements(task.id).await.unwrap();
    let words: Vec<_> = words.iter().filter(|j| j.gate == GateId::CiGreen).map(|j| j.verdict.word()).collect();
    assert_eq!(words, ["wait", "inconclusive"]);
    world.runs.finish("ci", |_| {});
    world.runs.on("ci", |_| Does::Exit(0));
    world.until_done(&item).await;
}

#[tokio::test]
async fn an_agent_whose_supervisor_died_gets_a_new_run_and_spends_no_attempt() {
    let world = World::new().await;
    world.runs.on("developer", |run| {
        run.write("work.txt", "x\n");
        if run.nth < 3 { Does::Vanish } else { Does::Exit(0) }
    });
    world.start();
    let item = world.begin("Add a file").await;
    let task = world.until_done(&item).await;
    assert_eq!((task.spent.rounds, task.spent.role_attempts), (0, 0));
    let runs = world.store.runs(task.id).await.unwrap();
    let developers: Vec<u32> =
        runs.iter().filter(|r| r.what.role() == Some(&Role::Developer)).map(|r| r.attempt).collect();
    assert_eq!(developers, [1, 2, 3]);
}

#[tokio::test]
async fn an_agent_that_fails_twice_blocks_the_task_and_a_retry_goes_on() {
    let world = World::new().await;
    world.runs.on("developer", |run| {
        run.write("work.txt", "x\n");
        Does::Exit(i32::from(run.nth < 3))
    });
    world.start();
    let item = world.begin("Add a file").await;
    let task = world.until_blocked(&item).await;
    assert!(matches!(&task.phase, Phase::Blocked { why: BlockReason::JobFailed { .. }, .. }));
    assert_eq!(world.runs.count("developer"), 2);
    world.eventually("a person is told", async || !world.told_people().is_empty()).await;
    world.ask(&item, Event::RetryAsked { by: anna() }).await;
    world.until_done(&item).await;
    assert_eq!(world.runs.count("developer"), 3);
    assert_eq!(world.told_people().len(), 1);
}

#[tokio::test]
async fn a_failed_look_at_a_living_agent_never_starts_a_second_one() {
    let world = World::new().await;
    world.runs.on("developer", |_| Does::Hang);
    world.start();
    let item = world.begin("Add a file").await;
    world.eventually("the developer works", async || world.runs.live("developer")).await;
    world.kill().await;
    world.faults.plan("supervisor.ensure", &[How::Before, How::Before]);
    world.start();
    world.eventually("it is adopted", async || 4 <= world.faults.calls("supervisor.ensure")).await;
    world.runs.finish("developer", |run| run.write("work.txt", "x\n"));
    world.until_done(&item).await;
    assert_eq!(world.runs.count("developer"), 1);
}

#[tokio::test]
async fn what_fails_for_ever_without_its_fault_shows_in_why_and_is_told_once() {
    let world = World::new().await;
    world.faults.down("git.push");
    world.start();
    let item = world.begin("Add a file").await;
    world.eventually("told", async || !world.told_people().is_empty()).await;
    let tries = world.faults.calls("git.push");
    world.eventually("still tried", async || tries + 5 < world.faults.calls("git.push")).await;
    world
        .eventually("why says so", async || {
            let open = world.store.open_jobs(None).await.unwrap();
            let backing_off = open.iter().any(|j| j.state == JobState::Queued && j.last_fault.is_some());
            let why = world.engine().show_item(&item).await.unwrap().unwrap().line;
            backing_off && why.contains("connection refused")
        })
        .await;
    assert_eq!(world.told_people().len(), 1, "{:?}", world.told_people());
    let told = world.told_people().remove(0);
    assert!(told.starts_with("forge:DEMO is not asked before") && told.contains("connection refused"), "{told}");
    world.faults.up();
    let task = world.until_done(&item).await;
    assert_eq!(task.spent.rounds, 0);
    let judged = world.store.judgements(task.id).await.unwrap();
    assert!(judged.iter().all(|j| !matches!(j.verdict, Verdict::Fail { .. })));
}

#[tokio::test]
async fn an_overtaken_worker_is_gone_before_its_successor_begins() {
    let world = World::new().await;
    // It stands still on its way to saying that CI has begun.
    world.faults.plan("forge.set_status", &[How::Pause]);
    world.start();
    let item = world.begin("Add a file").await;
    world.faults.reached("forge.set_status").await;
    let head = world.task(&item).await.branch.head.unwrap();
    // Its claim is taken back, and another worker of the same process does the job.
    let running = world.store.running_jobs().await.unwrap();
    let fence = running.iter().find(|j| matches!(j.effect, Effect::EnsureCi { .. })).unwrap().fence();
    world.store.take_back(fence).await.unwrap();
    let green = async || {
        let statuses = world.forge.statuses(&demo(), &head).await.unwrap();
        statuses.iter().any(|s| s.state == StatusState::Success)
    };
    let began = std::time::Instant::now();
    while !green().await {
        assert!(began.elapsed() < std::time::Duration::from_mins(1), "nobody took the job over");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    world.faults.release();
    world.until_done(&item).await;
    world.until_quiet().await;
    assert!(green().await, "the late word that CI has begun replaced the later one that it is green");
    assert_eq!(world.runs.count("ci"), 1);
}

#[tokio::test]
async fn ci_that_cannot_be_run_is_not_given_up_because_nobody_would_ask_again() {
    let world = World::new().await;
    let many = [How::Never; 12];
    world.faults.plan("forge.set_status", &many);
    world.start();
    let item = world.begin("Add a file").await;
    world
        .eventually("a person is told", async || {
            world.told_people().iter().any(|t| t.contains("could not run CI on") && t.contains("cannot be done"))
        })
        .await;
    let task = world.until_done(&item).await;
    assert_eq!(task.spent.rounds, 0);
}

#[tokio::test]
async fn a_gate_that_takes_longer_than_it_may_cannot_tell_says_so_and_looks_again() {
    let world = World::with(|c| {
        c.gate_limits.insert(GateId::SecurityGate, 20_000);
    })
    .await;
    // Nobody ever answers.
    world.faults.plan("git.brought_in", &[How::Pause]);
    world.start();
    let item = world.begin("Add a file").await;
    let waits =
        |t: &orch_core::task::Task| matches!(t.phase, Phase::Waiting { why: WaitReason::CannotTell { .. }, .. });
    let task = world.until(&item, "waiting", waits).await;
    let Phase::Waiting { why: WaitReason::CannotTell { fault }, .. } = task.phase else { unreachable!() };
    assert_eq!(fault.text, "it took longer than it may (20 s, `timeout_s` of the gate)");
    let task = world.until_done(&item).await;
    assert_eq!((task.spent.rounds, world.forge_did("merge-done").await), (0, 1));
}
