//! `[reaper]`: how a dead worker is noticed. A live agent within its time limit is never reaped.

use super::section::section;

section! {
    /// The watcher that ends what a dead process still holds.
    Reaper {
        /// Look for dead workers while running, not only at a start.
        enabled: bool = true;
        /// Seconds between looks.
        interval_s: u64 = 60;
        /// Looks in a row at which a worker must be dead before its job is taken from it.
        dead_ticks: u64 = 2;
        /// Backstop: seconds after which a job is taken to be lost, if its own deadline is not later.
        max_running_s: u64 = 3600;
        /// Seconds a run may have ended without its job being settled.
        finalize_grace_s: u64 = 300;
        /// Also free merge leases whose holder is dead or whose term is over.
        lease_reclaim_enabled: bool = true;
    }
}
