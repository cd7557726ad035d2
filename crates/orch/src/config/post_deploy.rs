//! `[post_deploy]`: the watch over production after a deploy. A probe that cannot tell never rolls back.

use super::section::section;

section! {
    /// The monitor after `done`.
    PostDeploy {
        /// Watch at all.
        enabled: bool = true;
        /// Length of the watch in seconds.
        window_s: u64 = 900;
        /// Seconds between probes.
        interval_s: u64 = 30;
        /// Roll production back once if it degrades.
        auto_rollback: bool = false;
        /// Where a project marked `self` is probed.
        base_url: String = "http://localhost:8500".into();
    }
}
