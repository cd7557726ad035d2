//! What people arrange about their tasks, with the real binary: holds, edits, ends, other beginnings. Each story kills the
//! daemon between two acts, because nothing that was acknowledged may be lost.
#![allow(clippy::unwrap_used, reason = "test code outside of test functions")]

mod common;

use common::{Setup, World};
use serde_json::json;

#[test]
fn a_held_task_begins_nothing_over_restarts_and_failed_tries_until_it_is_released() {
    let mut world = World::new(&Setup::default());
    // The first try waits, and then meets a passing fault: it would be tried again.
    world.agent("developer() { [ -e \"$here/again\" ] && { echo x >> \"$code\"; return; }; wait_for go; exit 75; }");
    world.start();
    let task = world.task("Hold it");
    world.run_said("developer", 1, "start developer");
    world.orch(&["task", "hold", &task, "--reason", "after the release"]).ok();
    let twice = world.orch(&["task", "hold", &task]);
    assert!(twice.code == 1 && twice.err.contains("holds it already"), "{twice:?}");
    world.kill();
    world.start();
    let why = world.orch(&["why", &task]).ok().out;
    assert!(why.contains("after the release") && why.contains(&format!("orch task release {task}")), "{why}");
    assert!(why.contains("still under way: the developer is at work"), "{why}");
    world.allow("go");
    let held = world.wait(&task, &["on_hold"]);
    assert_eq!((&held["held"]["reason"], world.runs_of("developer").len()), (&json!("after the release"), 1));
    world.kill();
    world.start();
    assert_eq!((&world.show(&task)["phase"], world.runs_of("developer").len()), (&json!("on_hold"), 1));
    world.allow("again");
    world.orch(&["task", "release", &task]).ok();
    let done = world.wait(&task, &["done"]);
    assert!(done.get("held").is_none(), "{done:#}");
    let not = world.orch(&["task", "release", &task]);
    assert!(not.code == 1 && not.err.contains("not held"), "{not:?}");
    let story = world.story(&task);
    assert!(story.contains("held by local:") && story.contains("released by local:"), "{story}");
}
