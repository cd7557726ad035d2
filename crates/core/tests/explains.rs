//! Every phase with every reason at every step explains itself: what it waits for, what ends it, and the command where
//! a person must act. Nothing is ever "unknown".
#![allow(clippy::unwrap_used)] // a test that cannot go on must say so where it stands

mod common;
mod samples;
use orch_core::explain::{Waiting, explain, line};
use orch_core::pipeline::{Cursor, Pipeline};
use orch_core::task::{Phase, Task, WaitReason};

fn check(task: &Task) {
    let Some(Waiting { reason, ends_when, command, .. }) = explain(task) else {
        assert!(task.is_closed(), "{:?} does not explain itself", task.phase);
        assert!(!line(task).is_empty());
        return;
    };
    for text in [&reason, &ends_when, &line(task)] {
        let lower = text.to_lowercase();
        assert!(!text.trim().is_empty() && !lower.contains("unknown") && !lower.contains("does not have"), "{text}");
    }
    let item = task.work_item.as_str();
    let expected = match &task.phase {
        Phase::Idle => Some(format!("orch task start {item}")),
        Phase::Blocked { .. } | Phase::Waiting { why: WaitReason::Unable { .. }, .. } => {
            Some(format!("orch task retry {item}"))
        }
        Phase::Waiting { why: WaitReason::Approval { .. }, .. } => Some(format!("orch approve {item}")),
        Phase::Waiting { why: WaitReason::Production { .. }, .. } => {
            Some(format!("orch task retry {item} --as deploy|repair|revert|accept"))
        }
        Phase::Waiting { why: WaitReason::After { .. }, .. } => {
            Some(format!("orch task after {item} --remove DEMO-3 DEMO-4"))
        }
        Phase::Waiting { why: WaitReason::OnHold, .. } => Some(format!("orch task release {item}")),
        Phase::Waiting { why: WaitReason::Held { by, .. }, .. } => Some(format!("orch why {by}")),
        Phase::Waiting { why: WaitReason::Answer { .. }, .. } => Some(format!("orch answer {item} \"...\"")),
        _ => None,
    };
    assert_eq!(command, expected, "{:?}", task.phase);
    assert!(!task.phase_word().is_empty());
}

#[test]
fn every_phase_and_reason_at_every_step_explains_itself() {
    let mut seen = 0;
    for pipeline in [Pipeline::lite(), Pipeline::full()] {
        let mut task = common::new_task(pipeline.clone());
        for (stage, s) in pipeline.stages.iter().enumerate() {
            for step in 0..s.steps.len() {
                task.at = Cursor { stage, step };
                for phase in samples::phases() {
                    task.phase = phase;
                    for rolling_back in [false, true] {
                        task.production.rolling_back = rolling_back;
                        check(&task);
                        seen += 1;
                    }
                }
            }
        }
    }
    assert!(2_000 < seen, "{seen}");
}

#[test]
fn every_state_of_a_real_life_explains_itself() {
    for pipeline in [Pipeline::lite(), Pipeline::full()] {
        let mut w = common::World::new(pipeline);
        check(&w.task);
        w.ok(orch_core::event::Event::Started { by: common::bob() });
        while !w.task.is_closed() {
            check(&w.task);
            w.step();
        }
        assert_eq!(line(&w.task), "done, healthy");
    }
}

#[test]
fn what_is_merged_or_may_be_is_not_offered_to_be_cancelled() {
    let mut w = common::World::at(Pipeline::lite(), "merge");
    w.end(common::failed("nobody knows"));
    assert!(!explain(&w.task).unwrap().ends_when.contains("cancel"));
    let mut w = common::World::at(Pipeline::lite(), "deploy production");
    w.end(common::failed("the disk is full"));
    assert!(!explain(&w.task).unwrap().ends_when.contains("cancel"));
    let mut w = common::World::at(Pipeline::lite(), "pull request");
    w.end(common::failed("401"));
    assert!(explain(&w.task).unwrap().ends_when.contains("cancel"));
}
