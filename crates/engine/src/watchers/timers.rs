//! Wakes tasks at the time they asked for.

use super::{Report, reaper};
use crate::engine::Engine;
use orch_core::event::Event;
use orch_core::task::{Phase, Task, WaitReason};
use orch_ports::Fault;
use orch_store::{Cause, Stepped};

pub(super) async fn sweep(engine: &Engine) -> Result<Report, Fault> {
    let mut report = Report::default();
    let due = engine.ports.store.due(engine.ports.clock.now()).await?;
    for task in due {
        // Somebody is about to ask for a lease whose holder may be gone; see `ReaperOptions::lease_reclaim`.
        if !engine.options.reaper.lease_reclaim && waits_for_lease(&engine.task(task).await?) {
            reaper::reclaim(engine, &mut report).await?;
        }
        report.found += 1;
        if let Stepped::Applied { task, .. } = engine.step(task, Cause::Engine, Event::TimerFired).await? {
            report.acted += 1;
            report.last = Some(format!("woke {}", task.work_item));
        }
    }
    Ok(report)
}

fn waits_for_lease(task: &Task) -> bool {
    matches!(task.phase, Phase::Waiting { why: WaitReason::Lease { .. }, .. })
}
