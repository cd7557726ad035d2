//! Drives the watchers: each sweeps the truth on its own period and when it is woken, within a deadline, and a fault or a
//! panic of one is counted, shown and survived. Together with the job runner this is the only place where a fault may
//! end.

use crate::engine::Engine;
use crate::watchers::report::Report;
use crate::watchers::{WATCHERS, Watcher};
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument as _;

/// Longest sweep; one that takes longer is given up and starts again next time.
const DEADLINE: Duration = Duration::from_mins(2);

/// Runs all watchers until `shutdown`.
pub(crate) async fn run(engine: Arc<Engine>, shutdown: CancellationToken) {
    let mut loops = JoinSet::new();
    for watcher in WATCHERS {
        loops.spawn(drive(Arc::clone(&engine), watcher, shutdown.clone()));
    }
    while loops.join_next().await.is_some() {}
}

async fn drive(engine: Arc<Engine>, watcher: &'static Watcher, shutdown: CancellationToken) {
    let period_ms = (watcher.period)(&engine.options).max(1);
    loop {
        // A task of its own, so that a panic of one sweep ends there; it ends with whoever waits for it.
        #[allow(clippy::disallowed_methods)]
        let sweep = AbortOnDropHandle::new(tokio::spawn({
            let engine = Arc::clone(&engine);
            let span = tracing::error_span!("watcher", name = watcher.name);
            async move { tokio::time::timeout(DEADLINE, (watcher.sweep)(&engine)).await }.instrument(span)
        }));
        let result = match sweep.await {
            Ok(Ok(Ok(report))) => Ok(report),
            Ok(Ok(Err(fault))) => Err(fault.text),
            Ok(Err(_)) => Err(format!("it took longer than {} s", DEADLINE.as_secs())),
            Err(error) => Err(format!("it panicked: {error}")),
        };
        note(&engine, watcher, period_ms, result);
        let woken = async {
            match watcher.wakes {
                Some(by) => by(&engine).notified().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = woken => {}
            () = engine.ports.clock.sleep_ms(period_ms) => {}
            () = shutdown.cancelled() => return,
        }
    }
}

fn note(engine: &Engine, watcher: &Watcher, period_ms: u64, result: Result<Report, String>) {
    let mut states = engine.watchers.lock().unwrap_or_else(PoisonError::into_inner);
    let state = states.entry(watcher.name).or_default();
    state.interval_ms = period_ms;
    state.last_run = Some(engine.ports.clock.now());
    state.runs += 1;
    match result {
        Ok(report) => {
            state.found_total += report.found;
            state.acted_total += report.acted;
            state.lease_reclaimed += report.leases;
            if report.last.is_some() {
                state.last_act = report.last;
            }
            state.fault = None;
        }
        Err(text) => {
            // Said when it begins, not at every sweep.
            if state.fault.as_ref() != Some(&text) {
                tracing::error!(watcher = watcher.name, "a sweep failed: {text}");
            }
            state.fault = Some(text);
        }
    }
}
