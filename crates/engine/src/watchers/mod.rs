//! Watchers: each looks at the truth and emits events. A watcher takes no input, changes no task itself, and says nothing
//! when nothing is wrong.

mod disk;
mod inbox;
mod main;
mod reaper;
pub(crate) mod report;
mod retention;
mod timers;
pub(crate) mod tracker;

use crate::engine::{Engine, Options};
use orch_ports::Fault;
use report::Report;
use std::future::Future;
use std::pin::Pin;
use tokio::sync::Notify;

type Sweep = for<'a> fn(&'a Engine) -> Pin<Box<dyn Future<Output = Result<Report, Fault>> + Send + 'a>>;

/// A watcher.
pub(crate) struct Watcher {
    /// Its name, and that of its block in `/queue`.
    pub(crate) name: &'static str,
    /// How often it looks when nothing wakes it.
    pub(crate) period: fn(&Options) -> u64,
    /// What makes it look at once, where anything does.
    pub(crate) wakes: Option<fn(&Engine) -> &Notify>,
    /// The look.
    pub(crate) sweep: Sweep,
}

/// All of them.
pub(crate) static WATCHERS: &[Watcher] = &[
    Watcher {
        name: "inbox",
        period: |o| o.sweep_ms,
        wakes: Some(|e| &e.inbound.wake),
        sweep: |e| Box::pin(inbox::sweep(e)),
    },
    Watcher {
        name: "timers",
        period: |o| o.sweep_ms.min(1_000),
        wakes: Some(|e| &e.wake_driver),
        sweep: |e| Box::pin(timers::sweep(e)),
    },
    Watcher { name: "reaper", period: reaper_period, wakes: None, sweep: |e| Box::pin(reaper::sweep(e)) },
    Watcher { name: "disk", period: |_| 300_000, wakes: None, sweep: |e| Box::pin(disk::sweep(e)) },
    Watcher {
        name: "reconcile",
        period: |o| o.reconcile.interval_ms,
        wakes: None,
        sweep: |e| Box::pin(tracker::sweep(e)),
    },
    Watcher { name: "main", period: |o| o.reconcile.interval_ms, wakes: None, sweep: |e| Box::pin(main::sweep(e)) },
];

/// As configured, but often enough that the merge leases it renews do not run out in between.
fn reaper_period(options: &Options) -> u64 {
    options.reaper.interval_ms.min(u64::try_from(options.merge_lease_ms / 3).unwrap_or(u64::MAX))
}
