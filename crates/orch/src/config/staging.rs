//! `[staging]`: what a staging instance of orch itself tolerates.

use super::section::section;

section! {
    /// Staging.
    Staging {
        /// This instance is the staging one; shown in its status.
        instance: bool = false;
        /// Waive failed checks named as sandbox infrastructure where every real check is green; each waiver is listed.
        infra_tolerance_enabled: bool = true;
    }
}
