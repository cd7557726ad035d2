//! What piles up has an end: outputs of runs beyond their limit, and what an agent left before its directory was made
//! anew.

use crate::runs::{Does, Run};
use crate::world::{World, demo, git};
use orch_core::ids::{GateId, WorkItem};
use orch_core::verdict::Verdict;
use orch_engine::Retention;
use orch_ports::git::{Git, Shelf};
use std::path::Path;

/// One look of the watcher that makes room, milliseconds.
const LOOK_MS: i64 = 300_000;
const DAY_MS: i64 = 86_400_000;

fn prints(run: &Run, bytes: usize) {
    std::fs::write(run.dir.join("stdout.log"), "x".repeat(bytes)).unwrap();
    run.write(&format!("{}.txt", run.var("ORCH_WORK_ITEM")), "done\n");
}

fn printed(world: &World, run: &str) -> u64 {
    std::fs::metadata(world.path("runs").join(run).join("stdout.log")).map_or(0, |m| m.len())
}

/// The run directory of a task's developer.
async fn developer(world: &World, item: &WorkItem) -> String {
    let task = world.task(item).await.id.0;
    let mut all = std::fs::read_dir(world.path("runs")).unwrap();
    let of_task = |dir: &Path| {
        let name = dir.file_name().unwrap().to_str().unwrap().to_owned();
        (name.starts_with(&format!("{task}-")) && dir.join("stdout.log").exists()).then_some(name)
    };
    all.find_map(|e| of_task(&e.unwrap().path())).unwrap()
}

#[tokio::test]
async fn beyond_the_limit_the_outputs_that_ended_first_go_first_and_a_run_under_way_keeps_all_of_its() {
    let world = World::with(|c| c.retention = Retention { runs_max_bytes: 400_000, ..Retention::default() }).await;
    world.runs.on("developer", |run| {
        match run.nth {
            1 | 2 => prints(run, 300_000),
            _ => {
                prints(run, 900_000);
                return Does::Hang;
            }
        }
        Does::Exit(0)
    });
    world.start();
    let first = world.begin("First").await;
    world.until_done(&first).await;
    world.until_quiet().await;
    let one = developer(&world, &first).await;
    world.clock.advance(LOOK_MS);
    assert_eq!(printed(&world, &one), 300_000, "within the limit nothing goes");

    let second = world.begin("Second").await;
    world.until_done(&second).await;
    world.until_quiet().await;
    let two = developer(&world, &second).await;
    world.clock.advance(LOOK_MS);
    world.eventually("the older one makes room", async || printed(&world, &one) < 1_000).await;
    assert_eq!(printed(&world, &two), 300_000, "there is room again");

    let third = world.begin("Third").await;
    world.eventually("it prints", async || world.runs.live("developer")).await;
    let three = developer(&world, &third).await;
    world.clock.advance(LOOK_MS);
    world.eventually("the next one makes room", async || printed(&world, &two) < 1_000).await;
    for _ in 0..3 {
        world.clock.advance(LOOK_MS);
        tokio::task::yield_now().await;
    }
    assert_eq!(printed(&world, &three), 900_000, "whatever it takes");
    world.runs.finish("developer", |_| {});
    world.until_done(&third).await;
    world.until_quiet().await;
}

#[tokio::test]
async fn what_an_agent_left_goes_with_its_days_of_tasks_that_are_over_only() {
    let world = World::with(|c| c.retention = Retention { attic_ms: Some(30 * DAY_MS), ..Retention::default() }).await;
    world.runs.on("developer", |run| {
        let item = run.var("ORCH_WORK_ITEM").to_owned();
        run.write(&format!("{item}.txt"), &format!("run {}\n", run.nth));
        // The supervisor of each task's first run dies; the second task's developer never ends well.
        match (item.as_str(), run.nth) {
            ("DEMO-1", 1) | ("DEMO-2", 3) => Does::Vanish,
            ("DEMO-2", _) => Does::Exit(1),
            _ => Does::Exit(0),
        }
    });
    world.start();
    let over = world.begin("Over").await;
    world.until_done(&over).await;
    let open = world.begin("Open").await;
    world.until_blocked(&open).await;
    world.until_quiet().await;
    let kept = async || {
        let all = world.git.kept(&demo(), Shelf::Attic).await.unwrap();
        all.into_iter().map(|(name, _)| name).collect::<Vec<_>>()
    };
    let (of_over, of_open) = (world.task(&over).await.id.0, world.task(&open).await.id.0);
    let of = |names: &[String], task: i64| names.iter().filter(|n| n.starts_with(&format!("{task}-"))).count();
    let before = kept().await;
    assert!(of(&before, of_over) == 1 && 0 < of(&before, of_open), "{before:?}");
    world.clock.advance(29 * DAY_MS);
    world.clock.advance(LOOK_MS);
    assert_eq!(kept().await, before);
    world.clock.advance(2 * DAY_MS);
    world.eventually("its days are over", async || of(&kept().await, of_over) == 0).await;
    assert_eq!(of(&kept().await, of_open), of(&before, of_open), "somebody may still want it");
}

#[tokio::test]
async fn own_commits_are_kept_for_their_days_and_published_only_where_asked_and_passed() {
    for (published, passes) in [(false, true), (true, true), (true, false)] {
        let world = World::with(|c| {
            c.merging.history_ref = published;
            c.retention.history_ms = Some(86_400_000);
            if !passes {
                c.gates.insert(GateId::SecurityGate, (orch_engine::GateMode::Off, "a test".into()));
            }
        })
        .await;
        world.start();
        let item = world.begin("Add a file").await;
        let task = world.until_done(&item).await;
        world.until_quiet().await;
        let kept = world.git.kept(&demo(), Shelf::History).await.unwrap();
        let [(name, own)] = &kept[..] else { panic!("{kept:?}") };
        assert!(name.starts_with("DEMO-1/"), "{name}");
        let judged = world.store.judgements(task.id).await.unwrap();
        let security = judged.iter().find(|j| j.gate == GateId::SecurityGate).unwrap();
        assert_eq!((&security.head, security.verdict == Verdict::Pass), (own, passes));
        let refs = git(&world.bare(), &["for-each-ref", "--format=%(objectname)", "refs/orch/history"]);
        let want = if published && passes { own.as_str() } else { "" };
        assert_eq!(refs, want, "published {published}, passes {passes}");
        world.clock.advance(86_400_000 + 600_000);
        world
            .eventually("its days are over", async || world.git.kept(&demo(), Shelf::History).await.unwrap().is_empty())
            .await;
    }
}
