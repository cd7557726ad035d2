//! Wakes tasks at the time they asked for.

use super::Report;
use crate::engine::Engine;
use orch_core::event::Event;
use orch_ports::Fault;
use orch_store::{Cause, Stepped};

pub(super) async fn sweep(engine: &Engine) -> Result<Report, Fault> {
    let mut report = Report::default();
    for task in engine.ports.store.due(engine.ports.clock.now()).await? {
        report.found += 1;
        if let Stepped::Applied { task, .. } = engine.step(task, Cause::Engine, Event::TimerFired).await? {
            report.acted += 1;
            report.last = Some(format!("woke {}", task.work_item));
        }
    }
    Ok(report)
}
