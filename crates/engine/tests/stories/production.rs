//! Production that does not take it, and the way back.

use crate::faults::How;
use crate::runs::Does;
use crate::world::{World, demo};
use orch_core::ids::Environment;
use orch_core::task::{DoneOutcome, Phase, Task};
use orch_ports::Fault;
use orch_ports::tracker::TicketState;

fn outcome(task: &Task) -> DoneOutcome {
    match task.phase {
        Phase::Done { outcome, .. } => outcome,
        _ => panic!("not done: {:?}", task.phase),
    }
}

/// A hook that fails on its `bad`-th run.
fn deploy_fails_on(world: &World, bad: usize) {
    let production = world.production.clone();
    world.runs.on("deploy", move |run| {
        if run.nth == bad {
            std::fs::write(run.dir.join("stdout.log"), "port 80 is taken\n").unwrap();
            return Does::Exit(1);
        }
        *production.revision.lock().unwrap() = Some(run.var("ORCH_REVISION").to_owned());
        Does::Exit(0)
    });
}

fn developer_repairs(world: &World) {
    world.runs.on("developer", |run| {
        if run.var("ORCH_ROUND") != "0" {
            assert!(run.var("ORCH_BRANCH").ends_with("-r2"), "{}", run.var("ORCH_BRANCH"));
            assert!(run.prompt().contains("port 80 is taken"), "the brief carries the log: {}", run.prompt());
        }
        let file = format!("{}.txt", run.var("ORCH_WORK_ITEM"));
        run.write(&file, &format!("round {}\n", run.var("ORCH_ROUND")));
        Does::Exit(0)
    });
}

#[tokio::test]
async fn a_failed_deploy_goes_back_and_is_repaired_on_a_new_branch() {
    let world = World::new().await;
    deploy_fails_on(&world, 2);
    developer_repairs(&world);
    world.start();
    let before = world.begin("First").await;
    let good = world.until_done(&before).await.merged.unwrap().commit;
    let item = world.begin("Second").await;
    let task = world.until_done(&item).await;
    world.until_quiet().await;
    assert_eq!((task.generation, task.rounds), (2, 1));
    assert!(task.branch.ends_with("-r2"));
    assert_eq!((world.runs.count("deploy"), world.runs.count("rollback")), (3, 1));
    assert_eq!(world.forge_did("merge-done").await, 3);
    assert_eq!(world.forge_did("pull-opened").await, 3);
    assert_eq!(world.show("main", "DEMO-2.txt"), "round 1");
    let tip = world.main_tip().await;
    assert_eq!(world.production.revision.lock().unwrap().as_deref(), Some(tip.as_str()));
    let deployed = world.store.deployments(&demo(), Environment::Production, 10).await.unwrap();
    let newest_first: Vec<_> = deployed.iter().map(|d| (d.revision.clone(), d.ok, d.rollback)).collect();
    assert_eq!(newest_first[0], (tip, true, false));
    assert_eq!(newest_first[1], (good.clone(), true, true), "in between production was back on what ran before");
    assert!(!newest_first[2].1);
    assert_eq!(newest_first[3], (good, true, false));
}

#[tokio::test]
async fn a_crash_while_the_second_branch_is_opened_opens_it_once() {
    let world = World::new().await;
    deploy_fails_on(&world, 1);
    developer_repairs(&world);
    let faults = world.faults.clone();
    let production = world.production.clone();
    let mut first = true;
    world.runs.on("deploy", move |run| {
        if std::mem::take(&mut first) {
            std::fs::write(run.dir.join("stdout.log"), "port 80 is taken\n").unwrap();
            // The next push opens the second branch, and the process dies on it.
            faults.plan("git.push", &[How::DieAfter]);
            return Does::Exit(1);
        }
        *production.revision.lock().unwrap() = Some(run.var("ORCH_REVISION").to_owned());
        Does::Exit(0)
    });
    world.start();
    let item = world.begin("First").await;
    world.faults.reached("git.push").await;
    world.kill().await;
    world.start();
    let task = world.until_done(&item).await;
    assert_eq!((task.generation, task.rounds), (2, 1));
    assert_eq!(world.runs.count("developer"), 2);
    assert_eq!(world.forge_did("merge-done").await, 2);
    assert_eq!(world.runs.count("rollback"), 0, "nothing ran there before");
}

#[tokio::test]
async fn a_check_that_vanished_is_done_again_and_the_deploy_before_it_is_not() {
    let world = World::with(|c| c.deploy.check = Some("check".into())).await;
    world.runs.on("check", |run| if run.nth == 1 { Does::Vanish } else { Does::Exit(0) });
    world.start();
    let item = world.begin("Add a file").await;
    world.until_done(&item).await;
    assert_eq!((world.runs.count("deploy"), world.runs.count("check")), (1, 2));
}

#[tokio::test]
async fn a_deploy_that_vanished_is_done_again() {
    let world = World::with(|c| c.deploy.check = Some("check".into())).await;
    let production = world.production.clone();
    world.runs.on("deploy", move |run| {
        *production.revision.lock().unwrap() = Some(run.var("ORCH_REVISION").to_owned());
        if run.nth == 1 { Does::Vanish } else { Does::Exit(0) }
    });
    world.runs.on("check", |_| Does::Exit(0));
    world.start();
    let item = world.begin("Add a file").await;
    world.until_done(&item).await;
    assert_eq!((world.runs.count("deploy"), world.runs.count("check")), (2, 1));
}

#[tokio::test]
async fn a_deploy_whose_end_was_not_heard_is_not_done_again() {
    let world = World::new().await;
    world.faults.plan("answer deploy", &[How::Before, How::Before]);
    world.start();
    let item = world.begin("First").await;
    world.until_done(&item).await;
    assert_eq!(world.runs.count("deploy"), 1);
}

async fn degraded(auto_rollback: bool) -> (World, Task) {
    let world = World::with(|c| {
        c.watch_ms = 120_000;
        c.policy.auto_rollback = auto_rollback;
    })
    .await;
    world.start();
    let before = world.begin("First").await;
    world.until(&before, "watched", |t| t.phase_word() == "watching").await;
    world.clock.advance(130_000);
    world.until_done(&before).await;
    let item = world.begin("Second").await;
    world.until(&item, "watched", |t| t.phase_word() == "watching").await;
    *world.production.status.lock().unwrap() = Some(500);
    let task = world.until_done(&item).await;
    world.until_quiet().await;
    (world, task)
}

#[tokio::test]
async fn a_degraded_production_is_left_alone_and_told() {
    let (world, task) = degraded(false).await;
    assert_eq!(outcome(&task), DoneOutcome::Degraded);
    assert_eq!(world.runs.count("rollback"), 0);
    assert_eq!(world.told_people(), ["DEMO-2 is done, but production is degraded"]);
}

#[tokio::test]
async fn a_degraded_production_goes_back_once_where_the_project_allows_it() {
    let (world, task) = degraded(true).await;
    assert_eq!(outcome(&task), DoneOutcome::RolledBack);
    assert_eq!(world.runs.count("rollback"), 1);
    let before = world.task(&"DEMO-1".into()).await.merged.unwrap().commit;
    assert_eq!(world.production.revision.lock().unwrap().as_deref(), Some(before.as_str()));
    assert_eq!(world.ticket_now(2).await.state, TicketState::Blocked);
}

#[tokio::test]
async fn a_watch_without_a_network_says_so_and_touches_nothing() {
    let world = World::with(|c| {
        c.watch_ms = 20_000;
        c.policy.auto_rollback = true;
    })
    .await;
    let production = world.production.clone();
    world.start();
    let item = world.begin("First").await;
    // The gate needs its look; the network goes right after it.
    world.until(&item, "watched or done", |t| matches!(t.phase_word(), "watching" | "done")).await;
    *production.fault.lock().unwrap() = Some(Fault::transient("no name resolution"));
    let task = world.until_done(&item).await;
    assert!(matches!(outcome(&task), DoneOutcome::Inconclusive | DoneOutcome::Healthy), "{:?}", task.phase);
    assert_eq!(world.runs.count("rollback"), 0);
}
