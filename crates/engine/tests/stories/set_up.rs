//! The project's setup: in an agent's working directory before the agent begins, and on the default branch for all later runs.

use crate::runs::{Does, Run};
use crate::world::{Choice, World, anna};
use orch_core::event::Event;
use orch_core::task::Task;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

async fn with_setup(cache: &[&str]) -> World {
    let cache: Vec<String> = cache.iter().map(|path| (*path).to_owned()).collect();
    let world = World::with(|c: &mut Choice| {
        c.test = Some("test".into());
        c.ci = None;
        c.preparation.setup = Some("install".into());
        c.preparation.cache = cache;
    })
    .await;
    world.start();
    world.outsider_merges("rules", ".gitignore", "node_modules/\n").await;
    world
}

/// The setup as an agent's working directory or the default branch sees it.
fn installs(run: &Run) -> Does {
    let in_home = Path::new(run.var("HOME")).join("downloaded");
    std::fs::write(&in_home, format!("for {}\n", run.read("lock"))).unwrap();
    // As package managers do that keep one file under two names.
    let _ = std::fs::hard_link(&in_home, run.cwd.join("linked"));
    run.write("node_modules/left/index.js", "good\n");
    run.write("package-lock.json", "rewritten\n");
    Does::Exit(0)
}

async fn setups(world: &World, task: &Task) -> Vec<String> {
    let runs = world.store.runs(task.id).await.unwrap();
    runs.into_iter().map(|run| run.what.to_string()).filter(|what| what.starts_with("setup")).collect()
}

#[tokio::test]
async fn an_agent_begins_in_a_directory_that_is_set_up_and_commits_nothing_of_it() {
    let world = with_setup(&[]).await;
    world.runs.on("install", installs);
    world.runs.on("test", |_| Does::Exit(0));
    world.runs.on("developer", |run| {
        assert_eq!(run.read("node_modules/left/index.js"), "good\n");
        assert!(run.dir.join("home/downloaded").exists(), "the agent's HOME is the setup's");
        assert!(!run.cwd.join("package-lock.json").exists(), "what git does not ignore is nobody's work");
        assert!(run.prompt().contains("has run in your working directory"), "{}", run.prompt());
        run.write("work.txt", "done\n");
        Does::Exit(0)
    });
    let item = world.begin("Add a file").await;
    let task = world.until_done(&item).await;
    assert_eq!(setups(&world, &task).await, ["setup for the developer", "setup for the reviewer"]);
    let landed = crate::world::git(&world.bare(), &["ls-tree", "-r", "--name-only", "main"]);
    assert!(landed.contains("work.txt") && !landed.contains("node_modules") && !landed.contains("package-lock"));
    assert_eq!((task.spent.rounds, task.spent.role_attempts), (0, 0));
}

#[tokio::test]
async fn a_setup_that_fails_is_told_to_the_agent_and_keeps_nobody_from_work() {
    let world = with_setup(&["~"]).await;
    world.runs.on("install", |run| {
        std::fs::write(run.dir.join("stdout.log"), "no such package: left\n").unwrap();
        Does::Exit(3)
    });
    world.runs.on("test", |_| Does::Exit(0));
    world.runs.on("developer", |run| {
        let told = "The setup 'install' failed in your working directory (exit 3): no such package: left";
        assert!(run.prompt().contains(told), "{}", run.prompt());
        run.write("work.txt", "done\n");
        Does::Exit(0)
    });
    let item = world.begin("Add a file").await;
    let task = world.until_done(&item).await;
    assert_eq!((task.spent.rounds, task.spent.role_attempts), (0, 0));
    let on_main = setups(&world, &task).await.iter().filter(|what| what.contains("default branch")).count();
    assert_eq!(on_main, 1, "what fails on the default branch is not tried before each run");
}

/// The process dies while the setup is at work, right behind it, and before the agent is started: nothing is done twice, but for
/// the setup where nobody can tell how far the directory was made ready.
#[tokio::test]
async fn a_setup_goes_on_while_nobody_watches() {
    let world = with_setup(&[]).await;
    let at_work = Arc::new(AtomicBool::new(true));
    let hangs = at_work.clone();
    world.runs.on("install", move |run| {
        installs(run);
        if hangs.swap(false, Ordering::SeqCst) { Does::Hang } else { Does::Exit(0) }
    });
    world.runs.on("test", |_| Does::Exit(0));
    world.runs.on("developer", |run| {
        assert_eq!(run.read("node_modules/left/index.js"), "good\n");
        run.write("work.txt", "done\n");
        Does::Exit(0)
    });
    let item = world.begin("Add a file").await;
    world.eventually("the setup is at work", async || world.runs.live("install")).await;
    world.kill().await;
    world.runs.finish("install", |_| {});
    world.start();
    let task = world.until_done(&item).await;
    assert_eq!((world.runs.count("developer"), task.spent.role_attempts), (1, 0));
    assert_eq!(setups(&world, &task).await.len(), 2);
}

#[tokio::test]
async fn a_person_cancels_in_the_middle_of_a_setup() {
    let world = with_setup(&[]).await;
    world.runs.on("install", |_| Does::Hang);
    let item = world.begin("Add a file").await;
    world.eventually("the setup is at work", async || world.runs.live("install")).await;
    world.ask(&item, Event::CancelAsked { by: anna() }).await;
    world.until(&item, "cancelled", |t| matches!(t.phase, orch_core::task::Phase::Cancelled { .. })).await;
    world.until_quiet().await;
    assert!(!world.runs.live("install"));
    assert_eq!(world.runs.count("developer"), 0);
}

#[tokio::test]
async fn who_is_held_in_the_middle_of_a_setup_begins_no_agent_before_it_is_released() {
    let world = with_setup(&[]).await;
    let hangs = AtomicBool::new(true);
    world.runs.on("install", move |run| {
        installs(run);
        if hangs.swap(false, Ordering::SeqCst) { Does::Hang } else { Does::Exit(0) }
    });
    world.runs.on("test", |_| Does::Exit(0));
    let item = world.begin("Add a file").await;
    world.eventually("the setup is at work", async || world.runs.live("install")).await;
    world.ask(&item, Event::PutOnHold { by: anna(), reason: None }).await;
    world.runs.finish("install", |_| {});
    world.until_quiet().await;
    assert_eq!(world.runs.count("developer"), 0);
    world.ask(&item, Event::Released { by: anna() }).await;
    let task = world.until_done(&item).await;
    assert_eq!((world.runs.count("developer"), task.spent.role_attempts), (1, 0));
}

#[tokio::test]
async fn what_a_setup_brought_into_an_agents_home_ends_with_it_and_nothing_else_does() {
    let world = with_setup(&["~"]).await;
    world.runs.on("install", installs);
    world.runs.on("test", |_| Does::Exit(0));
    let precious = world.path("precious");
    std::fs::create_dir(&precious).unwrap();
    let (outside, home) = (precious.clone(), Arc::new(Mutex::new(PathBuf::new())));
    let place = home.clone();
    world.runs.on("developer", move |run| {
        let home = run.dir.join("home");
        assert!(home.join("downloaded").exists());
        std::fs::write(home.join("own"), "x").unwrap();
        // It finds the list of what is to go.
        let name = run.dir.file_name().unwrap().to_string_lossy().into_owned();
        let list = run.dir.with_file_name(format!("{name}-setup")).join("taken");
        let told = std::fs::read_to_string(&list).unwrap();
        std::fs::write(&list, format!("{told}\n{}\n../../precious\n..\n.\n", outside.display())).unwrap();
        *place.lock().unwrap() = home;
        run.write("work.txt", "done\n");
        Does::Exit(0)
    });
    let item = world.begin("Add a file").await;
    world.until_done(&item).await;
    let home = home.lock().unwrap().clone();
    assert!(!home.join("downloaded").exists() && home.join("own").exists() && precious.exists());
    let left: Vec<_> = std::fs::read_dir(world.path("checkouts")).unwrap().flatten().map(|e| e.file_name()).collect();
    assert!(left.is_empty(), "{left:?}");
}

/// The daemon ends while a setup makes a layer, and comes back with another setup.
#[tokio::test]
async fn what_another_setup_left_is_never_taken_for_what_this_one_leaves() {
    let world = with_setup(&["~"]).await;
    let leaves = |run: &Run| std::fs::write(Path::new(run.var("HOME")).join("downloaded"), &run.what).unwrap();
    world.runs.on("install", move |run| {
        leaves(run);
        Does::Hang
    });
    let item = world.begin("Add a file").await;
    world.eventually("the setup is at work", async || world.runs.live("install")).await;
    world.kill().await;
    world.runs.finish("install", |_| {});
    world.runs.on("other", move |run| {
        leaves(run);
        Does::Exit(0)
    });
    world.runs.on("test", |run| {
        let text = std::fs::read_to_string(Path::new(run.var("HOME")).join("downloaded"));
        assert_eq!(text.unwrap(), "other");
        Does::Exit(0)
    });
    world.runs.on("developer", |run| {
        assert_eq!(std::fs::read_to_string(run.dir.join("home/downloaded")).unwrap(), "other");
        run.write("work.txt", "done\n");
        Does::Exit(0)
    });
    let world = world.configured(|c| c.preparation.setup = Some("other".into()));
    world.start();
    world.until_done(&item).await;
}

#[tokio::test]
async fn what_a_branch_ran_reaches_no_other_run() {
    let world = with_setup(&["~", "node_modules"]).await;
    world.runs.on("install", |run| if run.cwd.join("node_modules").exists() { Does::Exit(0) } else { installs(run) });
    world.runs.on("developer", |run| {
        run.write(&format!("{}.txt", run.nth), "done\n");
        // An agent in its own working directory.
        run.write("node_modules/left/index.js", "evil\n");
        Does::Exit(0)
    });
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let sees = seen.clone();
    world.runs.on("test", move |run| {
        let home = Path::new(run.var("HOME"));
        let text = |path: &Path| std::fs::read_to_string(path).unwrap_or_default();
        let all = [
            text(&home.join("downloaded")),
            run.read("node_modules/left/index.js"),
            text(&home.join(".cargo/config.toml")),
        ];
        sees.lock().unwrap().push(all.concat());
        std::fs::write(home.join("downloaded"), "evil").unwrap();
        std::fs::create_dir_all(home.join(".cargo")).unwrap();
        std::fs::write(home.join(".cargo/config.toml"), "evil").unwrap();
        run.write("node_modules/left/index.js", "evil\n");
        Does::Exit(0)
    });
    let one = world.begin("One").await;
    let first = world.until_done(&one).await;
    let two = world.begin("Two").await;
    let second = world.until_done(&two).await;
    let seen = seen.lock().unwrap().clone();
    assert!(4 <= seen.len() && seen.iter().all(|seen| seen == "for \ngood\n"), "{seen:?}");
    let of = |all: Vec<String>| all.into_iter().filter(|what| what.contains("default branch")).count();
    assert_eq!((of(setups(&world, &first).await), of(setups(&world, &second).await)), (1, 0), "made once for both");
}

#[tokio::test]
async fn another_lock_file_on_main_is_another_layer_and_a_branchs_own_is_not() {
    let world = with_setup(&["~"]).await;
    world.runs.on("install", |run| {
        let in_home = Path::new(run.var("HOME")).join("downloaded");
        if !in_home.exists() {
            std::fs::write(in_home, format!("for {}", run.read(".nvmrc"))).unwrap();
        }
        Does::Exit(0)
    });
    world.runs.on("developer", |run| {
        run.write(".nvmrc", "of the branch");
        Does::Exit(0)
    });
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let sees = seen.clone();
    world.runs.on("test", move |run| {
        let text = std::fs::read_to_string(Path::new(run.var("HOME")).join("downloaded")).unwrap_or_default();
        sees.lock().unwrap().push(text);
        Does::Exit(0)
    });
    let one = world.begin("One").await;
    world.until_done(&one).await;
    assert!(seen.lock().unwrap().iter().all(|text| text == "for "), "{:?}", seen.lock().unwrap());
    seen.lock().unwrap().clear();
    world.runs.on("developer", |run| {
        run.write("work.txt", "done\n");
        Does::Exit(0)
    });
    // What landed is the default branch's now.
    let two = world.begin("Two").await;
    world.until_done(&two).await;
    assert!(seen.lock().unwrap().iter().all(|text| text == "for of the branch"), "{:?}", seen.lock().unwrap());
}

#[tokio::test]
async fn a_layer_that_something_has_changed_is_thrown_away() {
    let world = with_setup(&["~"]).await;
    world.runs.on("install", installs);
    world.runs.on("test", |run| {
        let text = std::fs::read_to_string(Path::new(run.var("HOME")).join("downloaded"));
        assert_eq!(text.unwrap(), "for \n");
        Does::Exit(0)
    });
    world.runs.on("developer", |run| {
        run.write(&format!("{}.txt", run.nth), "done\n");
        Does::Exit(0)
    });
    let one = world.begin("One").await;
    world.until_done(&one).await;
    world.until_quiet().await;
    let layers = world.path("layers").join("DEMO");
    let layer = std::fs::read_dir(&layers).unwrap().next().unwrap().unwrap().path();
    std::fs::write(layer.join("home/downloaded"), "evil").unwrap();
    let two = world.begin("Two").await;
    let task = world.until_done(&two).await;
    assert_eq!((task.spent.rounds, task.spent.role_attempts), (0, 0));
}
