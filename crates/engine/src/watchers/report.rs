//! What a sweep did, and what is known of a watcher by all of its sweeps.

use orch_core::ids::Time;
use serde::Serialize;

/// What a sweep did.
#[derive(Clone, Debug, Default)]
pub(crate) struct Report {
    /// Things that were out of step.
    pub(crate) found: u64,
    /// Things that were done about it.
    pub(crate) acted: u64,
    /// Merge leases that were freed.
    pub(crate) leases: u64,
    /// The newest of them, for people.
    pub(crate) last: Option<String>,
}

/// What is known of a watcher.
#[derive(Clone, Debug, Default, Serialize)]
pub struct WatcherState {
    /// How often it looks when nothing wakes it, milliseconds.
    pub interval_ms: u64,
    /// When it looked last.
    pub last_run: Option<Time>,
    /// How often it has looked.
    pub runs: u64,
    /// What it has found, ever.
    pub found_total: u64,
    /// What it has done, ever.
    pub acted_total: u64,
    /// Merge leases it has freed, ever (the reaper only).
    pub lease_reclaimed: u64,
    /// The newest thing it did.
    pub last_act: Option<String>,
    /// Its last fault, until it works again.
    pub fault: Option<String>,
}
