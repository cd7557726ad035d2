//! Whose fault a red run of the tests is: the branch's, the base's, chance, or the machine's. Only the first costs a round.

use crate::runs::{Does, Run};
use crate::world::{World, demo};
use orch_core::ids::GateId;
use orch_core::task::{Phase, Task, WaitReason};
use orch_core::verdict::Verdict;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// A run that printed this.
fn said(run: &Run, text: &str, code: i32) -> Does {
    std::fs::write(run.dir.join("stdout.log"), text).unwrap();
    Does::Exit(code)
}

fn works(world: &World) {
    world.runs.on("developer", |run| {
        run.write(&format!("{}.txt", run.var("ORCH_WORK_ITEM")), &format!("{}\n", run.nth));
        Does::Exit(0)
    });
}

/// Does the checkout hold what a branch brings?
fn is_branch(run: &Run) -> bool {
    run.cwd.join(format!("{}.txt", run.var("ORCH_WORK_ITEM"))).exists()
}

fn holds(task: &Task) -> Option<&str> {
    match &task.phase {
        Phase::Waiting { why: WaitReason::CannotTell { fault }, .. } => Some(&fault.text),
        _ => None,
    }
}

async fn tested(choose: impl FnOnce(&mut crate::world::Choice)) -> World {
    let world = World::with(|c| {
        (c.test, c.ci) = (Some("test".into()), None);
        choose(c);
    })
    .await;
    works(&world);
    world
}

#[tokio::test]
async fn a_test_that_fails_by_chance_costs_no_round_and_is_known_by_name_from_then_on() {
    let world = tested(|_| {}).await;
    // Red at the first task's first run; of the second task four runs in a row are red.
    let red = Arc::new(Mutex::new(vec![true, false]));
    let next = red.clone();
    world.runs.on("test", move |run| {
        let mut next = next.lock().unwrap();
        let red = !next.is_empty() && next.remove(0);
        said(run, if red { "test cart::sometimes ... FAILED\n" } else { "ok\n" }, i32::from(red))
    });
    world.start();
    let one = world.begin("One").await;
    let task = world.until_done(&one).await;
    assert_eq!((task.spent.rounds, world.runs.count("developer")), (0, 1));
    assert_eq!(world.says(&one, "check_tests_local: pass, degraded: failed by chance").await, 1);
    let judged = world.store.last_judgement(task.id, GateId::TestsLocal).await.unwrap().unwrap();
    assert_eq!(judged.verdict, Verdict::Pass);
    let known = orch_engine::flaky::of(&world.engine(), &demo()).await.unwrap();
    assert_eq!(known.keys().collect::<Vec<_>>(), ["cart::sometimes"]);

    *red.lock().unwrap() = vec![true, true, true, true, false];
    let two = world.begin("Two").await;
    let task = world.until_done(&two).await;
    assert_eq!(
        (task.spent.rounds, world.runs.count("developer")),
        (0, 2),
        "seen on another task's branch: nobody's fault"
    );
    assert!(red.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_test_that_fails_by_chance_since_the_branch_goes_back_to_its_developer() {
    let world = tested(|_| {}).await;
    world.runs.on("developer", |run| {
        let body = if run.nth == 1 { "random()" } else { "1" };
        run.write("new_test.rs", &format!("fn sometimes() {{ assert!({body} == 1) }}\n"));
        if 1 < run.nth {
            assert!(run.prompt().contains("flaky since this branch: cart::sometimes failed in 1 of 2 runs"));
        }
        Does::Exit(0)
    });
    let nth = AtomicUsize::new(0);
    world.runs.on("test", move |run| {
        let red = run.read("new_test.rs").contains("random") && nth.fetch_add(1, Ordering::SeqCst).is_multiple_of(2);
        said(run, if red { "test cart::sometimes ... FAILED\n" } else { "ok\n" }, i32::from(red))
    });
    world.start();
    let item = world.begin("One").await;
    let task = world.until_done(&item).await;
    assert_eq!((task.spent.rounds, world.runs.count("developer")), (1, 2));
}

#[tokio::test]
async fn a_registry_that_is_down_holds_the_task_with_the_cause_and_costs_no_round() {
    for own_ci in [false, true] {
        let world = World::with(|c| {
            (c.test, c.ci) = if own_ci { (None, Some("test".into())) } else { (Some("test".into()), None) };
            c.preparation.setup = Some("install".into());
        })
        .await;
        works(&world);
        let down = Arc::new(AtomicBool::new(true));
        let is_down = down.clone();
        world.runs.on("test", move |run| {
            let down = is_down.load(Ordering::SeqCst);
            std::fs::write(run.dir.join("phase"), if down { "setup\n" } else { "command\n" }).unwrap();
            said(run, if down { "could not resolve host: registry\n" } else { "ok\n" }, i32::from(down))
        });
        world.start();
        let item = world.begin("One").await;
        let task = world.until(&item, "held", |t| holds(t).is_some()).await;
        let why = holds(&task).unwrap();
        assert!(why.contains("the base itself fails") && why.contains("the setup `install`"), "{why}");
        assert!(why.contains("could not resolve host: registry"), "{why}");
        // Looked at again, and still down: it goes on waiting, ever longer, and people hear of it once.
        for _ in 0..4 {
            let runs = world.runs.count("test");
            world.clock.advance(600_000);
            world.eventually("another look", async || runs + 3 < world.runs.count("test")).await;
            world.until(&item, "held again", |t| holds(t).is_some()).await;
        }
        let told = world.told_people();
        assert_eq!(told.iter().filter(|t| t.contains("waiting too long")).count(), 1, "{told:?}");
        down.store(false, Ordering::SeqCst);
        world.clock.advance(2_000_000);
        let task = world.until_done(&item).await;
        assert_eq!((task.spent.rounds, world.runs.count("developer")), (0, 1), "own CI: {own_ci}");
    }
}

#[tokio::test]
async fn a_runner_that_is_killed_is_run_again_and_costs_no_round() {
    let world = tested(|_| {}).await;
    world.runs.on("test", |run| Does::Exit(if run.nth == 1 { 137 } else { 0 }));
    world.start();
    let item = world.begin("One").await;
    let task = world.until_done(&item).await;
    assert_eq!((task.spent.rounds, world.runs.count("developer")), (0, 1));
    assert_eq!(world.says(&item, "1 of 2 runs of the same tree failed without naming a test").await, 1);
}

#[tokio::test]
async fn a_full_disk_holds_the_task_with_the_cause_and_costs_no_round() {
    let world = tested(|c| c.least_free_bytes = u64::MAX).await;
    let full = Arc::new(AtomicBool::new(true));
    let is_full = full.clone();
    world.runs.on("test", move |run| {
        let full = is_full.load(Ordering::SeqCst);
        said(run, if full { "test cart::total ... FAILED\n" } else { "ok\n" }, i32::from(full))
    });
    world.start();
    let item = world.begin("One").await;
    let task = world.until(&item, "held", |t| holds(t).is_some()).await;
    let why = holds(&task).unwrap();
    assert!(why.contains("bytes are free in ") && why.starts_with("`test`: exit 1"), "{why}");
    assert_eq!(world.runs.count("test"), 1, "nothing more is tried on a full disk");
    full.store(false, Ordering::SeqCst);
    world.clock.advance(100_000);
    let task = world.until_done(&item).await;
    assert_eq!((task.spent.rounds, world.runs.count("developer")), (0, 1), "green where room is short is green");
}

#[tokio::test]
async fn a_main_that_was_red_and_is_repaired_meanwhile_holds_nobody_up() {
    let world = tested(|_| {}).await;
    // Main is red without this file, with or without the change.
    world.runs.on("test", |run| {
        let red = !run.cwd.join("repair.txt").exists();
        said(run, if red { "test cart::total ... FAILED\n" } else { "ok\n" }, i32::from(red))
    });
    world.start();
    let item = world.begin("One").await;
    let task = world.until(&item, "held", |t| holds(t).is_some()).await;
    assert!(holds(&task).unwrap().contains("the base itself fails: `test` on "), "{:?}", task.phase);
    world.outsider_on_main("repair.txt", "mended\n");
    world.clock.advance(2_000_000);
    let task = world.until_done(&item).await;
    assert_eq!((task.spent.rounds, world.runs.count("developer")), (0, 1));
    assert_eq!(world.says(&item, "the default branch is green since: it is judged again on top of that").await, 1);
}

/// A suite with a test that fails one time in five, whatever is changed. `ORCH_FLAKY_TASKS=50 ORCH_FLAKY_DICE=3` throws dice with
/// that seed for so many tasks; one world in fifty is then unlucky four times in a row before anybody knows the test.
#[tokio::test]
async fn a_suite_that_fails_one_time_in_five_costs_no_round_and_nothing_red_lands() {
    let number = |name: &str| std::env::var(name).ok().and_then(|n| n.parse::<usize>().ok());
    let tasks = number("ORCH_FLAKY_TASKS").unwrap_or(8);
    let dice = number("ORCH_FLAKY_DICE");
    let world = tested(|c| c.agents = 4).await;
    let green: Arc<Mutex<Vec<String>>> = Arc::default();
    let kept = green.clone();
    let mut ran: BTreeMap<String, usize> = BTreeMap::new();
    world.runs.on("test", move |run| {
        let item = run.var("ORCH_WORK_ITEM").to_owned();
        let nth = ran.entry(item.clone()).or_default();
        *nth += 1;
        let red = match dice {
            None => (item.len() + usize::from(*item.as_bytes().last().unwrap()) + *nth).is_multiple_of(5),
            Some(seed) => {
                let mut hasher = DefaultHasher::new();
                (seed, item, nth).hash(&mut hasher);
                hasher.finish().is_multiple_of(5)
            }
        };
        if !red {
            kept.lock().unwrap().push(tree(&run.cwd));
        }
        said(
            run,
            if red { "FAILED tests/test_cart.py::test_sometimes - assert\n" } else { "1 passed\n" },
            i32::from(red),
        )
    });
    world.start();
    let mut items = Vec::new();
    for n in 0..tasks {
        items.push(world.begin(&format!("Task {n}")).await);
    }
    for item in &items {
        let task = world.until_done(item).await;
        assert_eq!(task.spent.rounds, 0, "{item}: {:#?}", world.told_story(item).await);
        let landed = task.landing.merged.unwrap().commit;
        let landed = crate::world::git(&world.bare(), &["ls-tree", "-r", "--name-only", landed.as_str()]);
        assert!(green.lock().unwrap().contains(&landed), "{item} landed and was never green");
    }
    assert_eq!(world.runs.count("developer"), tasks, "nobody was sent back");
}

/// The paths of a checkout, as git lists them.
fn tree(dir: &Path) -> String {
    fn walk(dir: &Path, below: &str, all: &mut Vec<String>) {
        for entry in std::fs::read_dir(dir).unwrap().flatten() {
            let name = format!("{below}{}", entry.file_name().display());
            match entry.file_type().unwrap().is_dir() {
                true if name == ".git" => {}
                true => walk(&entry.path(), &format!("{name}/"), all),
                false => all.push(name),
            }
        }
    }
    let mut all = Vec::new();
    walk(dir, "", &mut all);
    all.sort();
    all.join("\n")
}

#[tokio::test]
async fn a_red_of_the_branch_on_a_green_base_is_a_finding_as_before() {
    let world = tested(|_| {}).await;
    world.runs.on("test", |run| {
        let red = is_branch(run) && run.read(&format!("{}.txt", run.var("ORCH_WORK_ITEM"))) == "1\n";
        said(run, if red { "test cart::total ... FAILED\n" } else { "ok\n" }, i32::from(red))
    });
    world.start();
    let item = world.begin("One").await;
    let task = world.until_done(&item).await;
    assert_eq!((task.spent.rounds, world.runs.count("developer")), (1, 2));
}
