//! Data directories of earlier versions, with tasks in every phase and runs under way: this version adopts them and
//! finishes every task, and the version that wrote them refuses them afterwards.
//!
//! A fixture is made by `scripts/data-directory.py` with the binary of that version. Every change of a stored form keeps
//! them all passing; a change of the schema adds one.
#![allow(clippy::unwrap_used, reason = "test code outside of test functions")]

mod common;

use common::World;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

/// Every fixture: the schema version of `orch.db` in it, and its file.
const FIXTURES: &[(i64, &str)] = &[(3, "data-directory-3.tar.gz")];

/// Phases in which nothing but a person or an agent moves a task.
const RESTS: &[&str] = &["idle", "needs_input", "blocked", "awaiting_approval", "done", "cancelled"];

/// Every phase word a fixture must hold, so that a new one cannot leave out what is hard to come by.
const MUST_HOLD: &[&str] = &[
    "idle",
    "running",
    "needs_input",
    "awaiting_approval",
    "waiting",
    "waiting_for_lease",
    "judging",
    "merging",
    "deploying",
    "watching",
    "stopping",
    "blocked",
    "cancelled",
    "done",
];

fn act(world: &World, id: &str, what: &str, body: &str) {
    let (status, answer) = world.http("POST", &format!("/api/v1/tasks/{id}/{what}"), Some("local:anna"), body).unwrap();
    assert!(status < 300, "{id} {what}: {status} {answer}\n{}", world.story(id));
}

fn phase(world: &World, id: &str) -> String {
    let (_, body) = world.http("GET", &format!("/api/v1/tasks/{id}"), None, "").unwrap_or_default();
    let task: Value = serde_json::from_str(&body).unwrap_or_default();
    task["phase"].as_str().unwrap_or_default().to_owned()
}

/// Does what a person would do until every task is over.
fn finish(world: &World, ids: &[&String]) {
    let began = Instant::now();
    let mut retried: BTreeMap<&String, u32> = BTreeMap::new();
    loop {
        let mut open = Vec::new();
        for id in ids {
            let phase = phase(world, id);
            match phase.as_str() {
                "done" | "cancelled" => continue,
                "idle" => act(world, id, "start", "{}"),
                "awaiting_approval" => act(world, id, "approve", r#"{"comment": "fine"}"#),
                "needs_input" => act(world, id, "answer", r#"{"text": "green"}"#),
                "blocked" => {
                    let times = retried.entry(id).or_default();
                    *times += 1;
                    assert!(*times <= 3, "{id} stays blocked\n{}", world.story(id));
                    act(world, id, "retry", "{}");
                }
                _ => {}
            }
            open.push(format!("{id} {phase}"));
        }
        if open.is_empty() {
            return;
        }
        assert!(began.elapsed() < Duration::from_mins(4), "not over: {open:?}\n{}", world.log());
        std::thread::sleep(Duration::from_millis(150));
    }
}

#[test]
fn a_data_directory_of_an_earlier_version_is_adopted_and_finished_and_refused_by_that_version() {
    for (version, file) in FIXTURES {
        let tar = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(file);
        let (mut world, expected) = World::of_fixture(&tar);
        let phases: BTreeSet<&str> = expected.values().map(String::as_str).collect();
        for must in MUST_HOLD {
            assert!(phases.contains(must), "{file} has no task that is `{must}`: {phases:?}");
        }
        assert_eq!(world.schema_version("orch.db"), *version);

        // One agent is still at work when the new daemon comes, and one run has lost its supervisor with the machine.
        world.allow("hold-LITE-4-developer");
        let runs = world.recorded_runs();
        assert!(runs.len() >= 6, "{runs:#?}");
        let lost = |item: &str| item == "FULL-4";
        for run in runs.iter().filter(|run| !lost(&run.item)) {
            world.supervise(run);
        }
        world.start();
        for (id, was) in &expected {
            if RESTS.contains(&was.as_str()) {
                assert_eq!(phase(&world, id), *was, "{id} stays what it was");
            }
        }
        assert_eq!(phase(&world, "LITE-4"), "running", "its agent is adopted");
        std::fs::remove_file(world.repo.join("hold-LITE-4-developer")).unwrap();
        world.allow("green");
        // One waits for a check that only another system reports; the configuration gives it up later.
        let others: Vec<&String> = expected.keys().filter(|id| !id.starts_with("EXT-")).collect();
        finish(&world, &others);
        world.edit_config("required = [\"external\"]", "required = []");
        assert!(world.terminate().0.success(), "{}", world.log());
        world.start();
        let all: Vec<&String> = expected.keys().collect();
        finish(&world, &all);

        let mut merges = BTreeSet::new();
        for (id, was) in &expected {
            let task = world.show(id);
            let cancelled = ["cancelled", "stopping"].contains(&was.as_str());
            assert_eq!(task["phase"], if cancelled { "cancelled" } else { "done" }, "{id} was {was}");
            let Some(merge) = task["merge_commit"].as_str() else {
                assert!(cancelled, "{id} is done and was never merged: {task:#}");
                continue;
            };
            assert!(merges.insert(merge.to_owned()), "{id} landed with another task");
            let project = task["project"].as_str().unwrap();
            let forge = world.data().join("forge").join(format!("{project}.git"));
            world.git(&forge, &["merge-base", "--is-ancestor", merge, "refs/heads/main"]);
        }
        // What a supervisor brought to its end was not begun again.
        for run in runs.iter().filter(|run| !lost(&run.item)) {
            let name = run.dir.file_name().unwrap().to_string_lossy().into_owned();
            let mut parts = name.splitn(4, '-');
            let (task, seq, attempt) = (parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap());
            let next = format!("{task}-{seq}-{}", attempt.parse::<u32>().unwrap() + 1);
            assert!(!run.dir.with_file_name(&next).exists(), "{name} of {} was run again as {next}", run.item);
        }
        assert!(world.terminate().0.success(), "{}", world.log());
        world.until("nothing is left running", || world.all_quiet().then_some(()));
        // The old code refuses what has a schema version over its own; this version has brought it to its newest one.
        let now = world.schema_version("orch.db");
        assert_eq!(now, orch_store::SqliteStore::newest_version(), "{file}");
        assert!(now >= *version, "{file}");
    }
}
