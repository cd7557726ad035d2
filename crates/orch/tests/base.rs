//! A default branch that fails its own tests, on the real binary: no agent works on top of it, whoever dies meanwhile, and
//! a push that repairs it is all it takes.
#![allow(clippy::unwrap_used, reason = "test code outside of test functions")]

mod common;

use common::{Setup, World, processes};
use std::fs;

/// Puts a commit on the clone's branch.
fn commit(world: &World, path: &str, text: &str) {
    fs::write(world.repo.join(path), text).unwrap();
    world.git(&world.repo, &["add", "--", path]);
    world.git(&world.repo, &["commit", "--quiet", "-m", path]);
}

/// Tests that wait while there is a file `wait`, say so in `judged`, and are red until `repaired.txt` is on the branch.
fn red(world: &World) {
    let root = world.root.display();
    let text = format!(
        "while [ -e '{root}/wait' ]; do sleep 0.05; done\necho judged >> '{root}/judged'\n\
         test -e repaired.txt && exit 0\necho 'the shelf is empty'\nexit 3\n"
    );
    commit(world, "test.sh", &text);
}

/// A world whose default branch is that of a remote, and red.
fn red_world() -> (tempfile::TempDir, World) {
    let dir = tempfile::tempdir().unwrap();
    let bare = dir.path().join("shop.git").display().to_string();
    let world = World::new(&Setup { remote: Some(bare.clone()), ..Setup::default() });
    world.git(&world.root, &["init", "--quiet", "--bare", "--initial-branch=trunk", &bare]);
    red(&world);
    world.git(&world.repo, &["push", "--quiet", &bare, "HEAD:refs/heads/trunk"]);
    (dir, world)
}

/// Somebody repairs it.
fn repair(dir: &tempfile::TempDir, world: &World) {
    commit(world, "repaired.txt", "whole\n");
    let bare = dir.path().join("shop.git").display().to_string();
    world.git(&world.repo, &["push", "--quiet", &bare, "HEAD:refs/heads/trunk"]);
}

/// Waits until a task is held by its base.
fn held(world: &World, id: &str) {
    let is_held = || world.orch(&["why", id]).out.contains("the base itself fails").then_some(());
    world.until("it is held by its base", is_held);
}

/// Waits until it is over; that it waits for a person meanwhile is no failure here.
fn done(world: &World, id: &str) {
    world.until("it goes on by itself", || (world.show(id)["phase"] == "done").then_some(()));
}

/// What the doctor says of the base: status, detail, fix.
fn base(world: &World, args: &[&str]) -> [String; 3] {
    let json = world.orch(&[&["doctor", "--json"], args].concat()).json();
    let checks = json["checks"].as_array().unwrap();
    let name = format!("base of {}", world.key);
    let mine = checks.iter().find(|check| check["name"] == name.as_str());
    let mine = mine.unwrap_or_else(|| panic!("no check of the base: {json:#}"));
    ["status", "detail", "fix"].map(|key| mine[key].as_str().unwrap_or_default().to_owned())
}

#[test]
fn a_base_that_is_red_by_itself_is_held_and_a_push_that_repairs_it_lets_it_go_on() {
    let (dir, mut world) = red_world();
    fs::write(world.root.join("wait"), "").unwrap();
    world.start();
    let id = world.task("Версия");
    world.until("the base is judged", || (!processes::of_runs_below(&world.data()).is_empty()).then_some(()));
    world.kill();
    world.start();
    let why = world.orch(&["why", &id]).ok().out;
    assert!(why.contains("the default branch is judged as it is"), "{why}");
    fs::remove_file(world.root.join("wait")).unwrap();
    held(&world, &id);
    let why = world.orch(&["why", &id]).ok().out;
    for text in ["the base itself fails: `sh test.sh` on ", "exit 3", "the shelf is empty", "orch approve"] {
        assert!(why.contains(text), "{text}: {why}");
    }
    assert_eq!(world.runs_of("developer").len(), 0);
    let log = world.log();
    assert_eq!(log.matches("needs you: the base itself fails").count(), 1, "{log}");
    repair(&dir, &world);
    done(&world, &id);
    assert_eq!(world.runs_of("developer").len(), 1);
}

#[test]
fn the_doctor_shows_the_verdict_on_the_base_and_makes_it_with_run() {
    let (dir, mut world) = red_world();
    let [status, detail, fix] = base(&world, &[]);
    assert!(
        status == "warn" && detail.contains("nobody has judged it yet") && fix.contains("orch doctor --run"),
        "{detail}"
    );
    let [status, detail, fix] = base(&world, &["--run"]);
    assert_eq!(status, "fail", "{detail}");
    assert!(
        detail.contains("the base itself fails: `sh test.sh` on ") && detail.contains("the shelf is empty"),
        "{detail}"
    );
    assert!(fix.contains("repair the default branch") && fix.contains("orch approve"), "{fix}");

    world.start();
    let id = world.task("Версия");
    held(&world, &id);
    let [status, detail, _] = base(&world, &[]);
    assert!(status == "fail" && detail.contains("the shelf is empty"), "{detail}");
    repair(&dir, &world);
    done(&world, &id);
    let [status, detail, _] = base(&world, &[]);
    assert!(status == "ok" && detail.contains("is green on "), "{detail}");

    // Without a daemon what is found is kept for the next one, and not run again by it.
    world.terminate();
    let judged = || fs::read_to_string(world.root.join("judged")).unwrap().lines().count();
    let before = judged();
    let [status, detail, _] = base(&world, &["--run"]);
    assert!(status == "ok" && before < judged(), "{detail}");
    assert!(detail.contains("`sh test.sh` is green on "), "{detail}");
    assert_eq!(base(&world, &[])[1], detail);
}
