//! `[reconcile]`: polling that makes lost webhooks harmless.

use super::section::section;
use std::collections::BTreeMap;

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

impl Reconcile {
    /// Grace by stage in milliseconds.
    pub fn graces(&self) -> serde_json::Result<BTreeMap<String, i64>> {
        if self.grace_overrides_json.trim().is_empty() {
            return Ok(BTreeMap::new());
        }
        let seconds: BTreeMap<String, u64> = serde_json::from_str(&self.grace_overrides_json)?;
        let ms = |s: u64| i64::try_from(s.saturating_mul(1_000)).unwrap_or(i64::MAX);
        Ok(seconds.into_iter().map(|(stage, s)| (stage, ms(s))).collect())
    }
}
