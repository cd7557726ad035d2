//! Absent is not deleted: what an agent's clone hides costs its role an attempt and main nothing, and a change that takes
//! much away is seen by a person, whatever the pipeline and whatever gate is switched off.

use crate::security::develops;
use crate::world::{World, anna, git};
use orch_core::event::Event;
use orch_core::ids::{GateId, WorkItem};
use orch_core::pipeline::{Pipeline, Step};
use orch_core::task::{ApprovalKind, BlockReason, Phase, WaitReason};
use orch_engine::GateMode;
use std::fs;
use std::path::Path;

/// What an agent does in its working directory.
type Way = fn(&Path);
/// What is chosen for a world.
type Choose = Box<dyn FnOnce(&mut crate::world::Choice)>;

/// A world whose main has `count` files in `src/`, and two in `d/`.
async fn world_of(count: usize, choose: impl FnOnce(&mut crate::world::Choice)) -> World {
    let world = World::with(choose).await;
    let src = world.path("src");
    for dir in ["src", "d"] {
        fs::create_dir_all(src.join(dir)).unwrap();
    }
    for n in 0..count {
        fs::write(src.join(format!("src/{n:03}.txt")), format!("file {n}\n")).unwrap();
    }
    fs::write(src.join("d/one"), "1\n").unwrap();
    world.outsider_merges("many", "d/two", "2\n").await;
    world
}

async fn shown(world: &World, item: &WorkItem) -> (String, Vec<String>) {
    let task = world.until(item, "wants approval", |t| t.phase_word() == "awaiting_approval").await;
    match task.phase {
        Phase::Waiting { why: WaitReason::Approval { what: ApprovalKind::Protected, subject, shown }, .. } => {
            (subject, shown)
        }
        other => panic!("{other:?}"),
    }
}

fn on_main(world: &World) -> Vec<String> {
    git(&world.bare(), &["ls-tree", "-r", "--name-only", "main"]).lines().map(ToOwned::to_owned).collect()
}

fn remove_some(cwd: &Path, count: usize) {
    for n in 0..count {
        fs::remove_file(cwd.join(format!("src/{n:03}.txt"))).unwrap();
    }
}

#[tokio::test]
async fn what_a_clone_hides_costs_its_role_an_attempt_and_main_keeps_its_files() {
    let world = world_of(5, |_| {}).await;
    let briefs = develops(&world, |run| {
        if run.nth == 1 {
            git(&run.cwd, &["sparse-checkout", "set", "src"]);
        }
        run.write("src/new.txt", "new\n");
    });
    world.start();
    let item = world.begin("Add a file").await;
    let task = world.until_done(&item).await;
    assert_eq!(task.spent.rounds, 0, "no repair of the developer is spent");
    let second = briefs.lock().unwrap()[1].clone();
    assert!(second.contains("d/one") && second.contains("absent is not deleted"), "{second}");
    assert!(on_main(&world).contains(&"d/one".to_owned()) && on_main(&world).contains(&"src/new.txt".to_owned()));
}

#[tokio::test]
async fn a_role_that_hides_files_again_and_an_emptied_directory_are_blocked_with_the_reason() {
    let hides = |cwd: &Path| {
        git(cwd, &["update-index", "--skip-worktree", "d/one"]);
        fs::remove_file(cwd.join("d/one")).unwrap();
    };
    let empties = |cwd: &Path| {
        for name in ["src", "d"] {
            fs::remove_dir_all(cwd.join(name)).unwrap();
        }
        fs::remove_file(cwd.join("shared.txt")).unwrap();
    };
    let ways: [(Way, &str); 2] = [(hides, "skip-worktree"), (empties, "leaves no file")];
    for (way, says) in ways {
        let world = world_of(5, |_| {}).await;
        let tip = world.main_tip().await;
        develops(&world, move |run| way(&run.cwd));
        world.start();
        let item = world.begin("Tidy up").await;
        let task = world.until_blocked(&item).await;
        match &task.phase {
            Phase::Blocked { why: BlockReason::RoleFailed { role, findings }, .. } => {
                assert_eq!(role, "developer");
                assert!(findings[0].text.contains(says), "{findings:?}");
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(world.main_tip().await, tip);
    }
}

#[tokio::test]
async fn a_change_that_deletes_much_waits_for_a_person_who_sees_the_list_in_every_pipeline() {
    let off = |gate: GateId| {
        move |c: &mut crate::world::Choice| drop(c.gates.insert(gate, (GateMode::Off, "not here".to_owned())))
    };
    let own = |c: &mut crate::world::Choice| {
        // A pipeline of one's own, without the security gate.
        for stage in &mut c.pipeline.stages {
            stage.steps.retain(|s| !matches!(s, Step::Gate { gate: GateId::SecurityGate, .. }));
        }
        assert_eq!(c.pipeline.problems(), Vec::<String>::new());
    };
    let choices: [(&str, Choose); 3] = [
        ("lite", Box::new(|c| c.pipeline = Pipeline::lite())),
        ("without its security gate", Box::new(off(GateId::SecurityGate))),
        ("one's own", Box::new(own)),
    ];
    for (pipeline, choose) in choices {
        let world = world_of(100, choose).await;
        let tip = world.main_tip().await;
        develops(&world, |run| remove_some(&run.cwd, 30));
        world.start();
        let item = world.begin("Remove what is not used").await;
        let (subject, shown) = shown(&world, &item).await;
        assert!(shown[0].contains("deletes 30 of 103 files"), "{pipeline}: {shown:?}");
        assert_eq!(shown.iter().filter(|s| s.starts_with("deleted: src/0")).count(), 30, "{pipeline}: {shown:?}");
        assert!(world.store.leases().await.unwrap().iter().all(|l| l.holder.is_none()), "{pipeline}");
        assert_eq!(world.main_tip().await, tip, "{pipeline}");
        world.ask(&item, Event::Approved { by: anna(), gate: None, subject: Some(subject), comment: None }).await;
        world.until_done(&item).await;
        assert_eq!(on_main(&world).iter().filter(|f| f.starts_with("src/")).count(), 70, "{pipeline}");
        assert_eq!(world.says(&item, "approved by").await, 1, "{pipeline}: one approval serves all gates");
    }
}

#[tokio::test]
async fn a_whole_directory_waits_and_one_that_is_moved_does_not() {
    let world = world_of(60, |_| {}).await;
    develops(&world, |run| {
        if run.var("ORCH_WORK_ITEM") == "DEMO-1" {
            // All of it goes elsewhere, and a file of it is edited on the way.
            fs::rename(run.cwd.join("src"), run.cwd.join("code")).unwrap();
            run.write("code/000.txt", "file 0\nand more\n");
        } else {
            fs::remove_dir_all(run.cwd.join("d")).unwrap();
        }
    });
    world.start();
    let first = world.begin("Move the sources").await;
    world.until_done(&first).await;
    assert_eq!(on_main(&world).iter().filter(|f| f.starts_with("code/")).count(), 60);
    let second = world.begin("Remove d").await;
    let (_, shown) = shown(&world, &second).await;
    assert!(shown[0].contains("the whole directory d/"), "{shown:?}");
    assert_eq!(shown[1], "deleted: d/ (2 files)");
    world.ask(&second, Event::Rejected { by: anna(), gate: None, comment: "d is needed".into() }).await;
    world.until(&second, "is developed again", |t| t.spent.rounds == 1).await;
}

#[tokio::test]
async fn a_head_without_code_is_not_prepared_for_a_merge_whatever_is_switched_off() {
    let world = world_of(3, |c| {
        for gate in [GateId::SecurityGate, GateId::BranchMergeable, GateId::CiGreen] {
            c.gates.insert(gate, (GateMode::Off, "not here".to_owned()));
        }
    })
    .await;
    let tip = world.main_tip().await;
    let bare = world.bare();
    world.runs.on("reviewer", move |run| {
        // Something else than an agent makes the head one without files, and a person lets the task go on from there.
        let branch = format!("refs/heads/{}", run.var("ORCH_BRANCH"));
        if run.nth == 1 {
            let empty = git(&bare, &["hash-object", "-t", "tree", "-w", "/dev/null"]);
            let commit = git(&bare, &["commit-tree", &empty, "-p", &branch, "-m", "emptied"]);
            git(&bare, &["update-ref", &branch, &commit]);
        }
        crate::world::approve(run)
    });
    world.start();
    let item = world.begin("Add a file").await;
    let task = world.until_blocked(&item).await;
    assert!(matches!(task.phase, Phase::Blocked { why: BlockReason::BranchMoved { .. }, .. }), "{:?}", task.phase);
    world.ask(&item, Event::RetryAsked { by: anna() }).await;
    let emptied = |t: &orch_core::task::Task| match &t.phase {
        Phase::Blocked { why: BlockReason::JobFailed { fault, .. }, .. } => fault.text.contains("no file of code"),
        _ => false,
    };
    world.until(&item, "is blocked for its empty tree", emptied).await;
    assert_eq!(world.main_tip().await, tip);
}
