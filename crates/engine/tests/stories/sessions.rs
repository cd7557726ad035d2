//! Sessions of agent programs: which run goes on with the one before, on which files, and what an end of each class costs.

use crate::runs::{Does, Run, SESSIONS};
use crate::world::{World, anna};
use orch_core::end_class::EndClass;
use orch_core::event::Event;
use orch_core::ids::Role;
use orch_core::task::{Phase, WaitReason};
use orch_store::RunRow;
use std::sync::{Arc, Mutex};

/// A run ends with this class and leaves a session to go on with.
fn ends(run: &Run, class: EndClass) -> Does {
    std::fs::write(run.dir.join("session"), format!("session-{}", run.nth)).unwrap();
    let place = EndClass::ALL.iter().position(|c| *c == class).unwrap();
    Does::Exit(SESSIONS + i32::try_from(place).unwrap())
}

/// What each developer's run began with: the session it was to go on with, and the half-done file.
type Began = Arc<Mutex<Vec<(String, String)>>>;

/// Developers whose first run ends with a class in the middle of its work, and whose second one does the rest.
fn interrupted(world: &World, class: EndClass) -> Began {
    let began = Began::default();
    let seen = began.clone();
    world.runs.on("developer", move |run| {
        seen.lock().unwrap().push((run.var("RESUME").to_owned(), run.read("half.txt")));
        run.write("half.txt", "done by half");
        if run.nth == 1 {
            return ends(run, class);
        }
        run.write("whole.txt", "done");
        Does::Exit(0)
    });
    began
}

async fn developers(world: &World, item: &orch_core::ids::WorkItem) -> Vec<RunRow> {
    let task = world.task(item).await;
    let runs = world.store.runs(task.id).await.unwrap();
    runs.into_iter().filter(|r| r.what.role() == Some(&Role::Developer)).collect()
}

#[tokio::test]
async fn after_a_passing_fault_a_crash_or_a_limit_the_session_goes_on_on_the_files_it_left() {
    for class in [EndClass::Overloaded, EndClass::Crash, EndClass::TurnLimit, EndClass::Silence] {
        let world = World::new().await;
        let began = interrupted(&world, class);
        world.start();
        let item = world.begin("One").await;
        world.until_done(&item).await;
        let seen = began.lock().unwrap().clone();
        assert_eq!(seen[0], (String::new(), String::new()), "{class:?}");
        assert_eq!(seen[1], ("session-1".to_owned(), "done by half".to_owned()), "{class:?}");
        let runs = developers(&world, &item).await;
        assert_eq!((runs[0].class, runs[1].class), (Some(class), Some(EndClass::Finished)), "{class:?}");
        assert_eq!(world.show("main", "half.txt"), "done by half");
    }
}

#[tokio::test]
async fn what_cannot_go_on_begins_anew_in_a_fresh_clone() {
    for class in [EndClass::TooBig, EndClass::BadRequest, EndClass::SessionLost, EndClass::Failed] {
        let world = World::new().await;
        let began = interrupted(&world, class);
        world.start();
        let item = world.begin("One").await;
        world.until_done(&item).await;
        let fresh = (String::new(), String::new());
        assert_eq!(*began.lock().unwrap(), [fresh.clone(), fresh], "{class:?}");
    }
}

#[tokio::test]
async fn refused_tools_hold_the_task_as_a_fault_of_the_configuration_and_cost_nobody_anything() {
    let world = World::new().await;
    world.runs.on("developer", |run| {
        if run.nth == 1 {
            return ends(run, EndClass::ToolRefused);
        }
        run.write("whole.txt", "done");
        Does::Exit(0)
    });
    world.start();
    let item = world.begin("One").await;
    let held = world.until(&item, "it is held", |t| matches!(&t.phase, Phase::Waiting { .. })).await;
    assert!(matches!(held.phase, Phase::Waiting { why: WaitReason::Unable { .. }, .. }), "{:?}", held.phase);
    assert_eq!((held.spent.rounds, held.spent.role_attempts), (0, 0));
    let why = world.engine().show_item(&item).await.unwrap().unwrap().waiting.unwrap();
    assert!(why.reason.contains("was refused by its own tools"), "{why:?}");
    world.ask(&item, Event::RetryAsked { by: anna() }).await;
    world.until_done(&item).await;
}

#[tokio::test]
async fn a_key_that_is_not_valid_keeps_every_job_of_the_program_away_and_spends_no_attempt() {
    let world = World::with(|c| c.agents = 1).await;
    let repaired = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let now = repaired.clone();
    world.runs.on("developer", move |run| {
        if now.load(std::sync::atomic::Ordering::SeqCst) {
            run.write(&format!("{}.txt", run.var("ORCH_WORK_ITEM")), "x\n");
            return Does::Exit(0);
        }
        ends(run, EndClass::Auth)
    });
    world.start();
    let items = [world.begin("First").await, world.begin("Second").await];
    let parked = async || {
        let open = world.store.open_jobs(None).await.unwrap();
        open.iter().any(|j| j.parked.as_deref() == Some("agent:played"))
    };
    world.eventually("the others wait", parked).await;
    let open = world.store.open_jobs(None).await.unwrap();
    assert!(open.iter().all(|j| j.attempts == 0));
    repaired.store(true, std::sync::atomic::Ordering::SeqCst);
    for item in &items {
        world.until_done(item).await;
    }
}
