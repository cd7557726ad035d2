//! The stored form of everything that is stored. It only ever grows: what an older version wrote must be read by a newer
//! one. If one of these fails after a change, the change needs a migration or another name, not a new snapshot.
#![allow(clippy::unwrap_used)] // a test that cannot go on must say so where it stands

mod common;
mod samples;
use orch_core::effect::{Effect, Outcome};
use orch_core::event::Event;
use orch_core::task::{BlockReason, Phase, Task, WaitReason};
use orch_core::verdict::Verdict;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Debug;

fn pinned<T: Serialize + DeserializeOwned + PartialEq + Debug>(file: &str, expected: &str, values: &[T]) {
    let text = serde_json::to_string_pretty(values).unwrap();
    assert_eq!(text.trim(), expected.trim(), "the wire form pinned in tests/wire/{file} has changed");
    let read: Vec<T> = serde_json::from_str(expected).unwrap();
    assert_eq!(read, values);
    // What a newer version adds does not stop an older one.
    let mut newer: Vec<serde_json::Value> = serde_json::from_str(expected).unwrap();
    for value in &mut newer {
        value.as_object_mut().unwrap().insert("added_later".into(), serde_json::json!({"x": 1}));
    }
    let read: Vec<T> = serde_json::from_value(newer.into()).unwrap();
    assert_eq!(read, values);
}

macro_rules! pins {
    ($($test:ident: $ty:ty = $samples:path, $file:literal;)*) => {$(
        #[test]
        fn $test() { pinned::<$ty>($file, include_str!(concat!("wire/", $file)), &$samples()); }
    )*};
}

pins! {
    every_event: Event = samples::events, "event.json";
    every_effect: Effect = samples::effects, "effect.json";
    every_outcome: Outcome = samples::outcomes, "outcome.json";
    every_phase: Phase = samples::phases, "phase.json";
    every_wait_reason: WaitReason = samples::wait_reasons, "wait_reason.json";
    every_block_reason: BlockReason = samples::block_reasons, "block_reason.json";
    every_verdict: Verdict = samples::verdicts, "verdict.json";
}

/// A task is stored without its pipeline, which a store keeps once. Before schema version 5 it was part of it.
#[test]
fn whole_tasks() {
    let expected = include_str!("wire/task.json");
    let tasks = samples::tasks();
    let text = serde_json::to_string_pretty(&tasks).unwrap();
    assert_eq!(text.trim(), expected.trim(), "the wire form pinned in tests/wire/task.json has changed");
    let mut read: Vec<Task> = serde_json::from_str(expected).unwrap();
    for (read, task) in read.iter_mut().zip(&tasks) {
        assert!(read.pipeline.stages.is_empty(), "the store puts it back");
        read.pipeline = std::sync::Arc::clone(&task.pipeline);
    }
    assert_eq!(read, tasks);
}

/// What was never set is not stored, so a field that comes later is one that was never set.
#[test]
fn a_task_stored_before_a_field_was_added_is_read() {
    let new = samples::tasks().remove(0);
    let stored = serde_json::to_value(&new).unwrap();
    let names: Vec<&str> = stored.as_object().unwrap().keys().map(String::as_str).collect();
    let always = "at body branch created_at done_at id next_seq number phase project title updated_at work_item";
    assert_eq!(names.join(" "), always);
    assert_eq!(stored["branch"], serde_json::json!({"name": new.branch.name, "generation": 1}));
    let mut read: Task = serde_json::from_value(stored).unwrap();
    read.pipeline = std::sync::Arc::clone(&new.pipeline);
    assert_eq!(read, new);
}

#[test]
fn an_unknown_variant_is_an_error_and_never_something_else() {
    assert!(serde_json::from_str::<Event>(r#"{"event":"exploded"}"#).is_err());
    assert!(serde_json::from_str::<Effect>(r#"{"effect":"explode"}"#).is_err());
    assert!(serde_json::from_str::<Verdict>(r#"{"verdict":"passed"}"#).is_err());
}
