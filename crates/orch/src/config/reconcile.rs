//! `[reconcile]`: polling that makes lost webhooks harmless.

use super::section::section;

section! {
    /// The watcher that finds tasks out of step with tracker and forge.
    Reconcile {
        /// Look for missed events.
        enabled: bool = true;
        /// Seconds between looks.
        interval_s: u64 = 30;
        /// Seconds of grace by stage, as a JSON object: `{"development": 600}`. Empty: none.
        grace_overrides_json: String = String::new();
        /// Tell a person when a missed event set a task free.
        notify_unblock: bool = true;
        /// Leave Blocked tasks alone.
        skip_blocked_enabled: bool = true;
    }
}
