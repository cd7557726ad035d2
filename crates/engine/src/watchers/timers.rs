//! Wakes tasks at the time they asked for.

use super::reaper;
use super::report::Report;
use crate::engine::Engine;
use crate::services;
use orch_core::event::Event;
use orch_core::ids::Time;
use orch_core::task::{Phase, Task, WaitReason};
use orch_ports::Fault;
use orch_store::{Cause, Stepped};
use std::sync::PoisonError;
use tokio::sync::Notify;

/// A wall clock that is set back by less is not worth a word.
const SET_BACK_MS: i64 = 10_000;

pub(super) async fn sweep(engine: &Engine) -> Result<Report, Fault> {
    let mut report = Report::default();
    clock_set_back(engine).await?;
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

/// What was put off to a time of a wall clock that has been set back since would wait for all of the difference: it is
/// looked at now. The boot clock, which nobody can set, tells.
async fn clock_set_back(engine: &Engine) -> Result<(), Fault> {
    let clock = &engine.ports.clock;
    let offset_ms = clock.now().0 - clock.boot().ms;
    let before = engine.clock_offset_ms.lock().unwrap_or_else(PoisonError::into_inner).replace(offset_ms);
    let back_ms = before.map_or(0, |before| before - offset_ms);
    if back_ms < SET_BACK_MS {
        return Ok(());
    }
    tracing::warn!("the wall clock was set back by {} s; what waits is looked at now", back_ms / 1_000);
    services::shift(engine, -back_ms);
    let now = clock.now();
    engine.ports.store.hurry(now, now).await?;
    engine.wake.values().for_each(Notify::notify_one);
    for task in engine.ports.store.due(Time(i64::MAX)).await? {
        let what = "the wall clock was set back".to_owned();
        engine.step(task, Cause::Engine, Event::Nudged { what }).await?;
    }
    Ok(())
}

fn waits_for_lease(task: &Task) -> bool {
    matches!(task.phase, Phase::Waiting { why: WaitReason::Lease { .. }, .. })
}
