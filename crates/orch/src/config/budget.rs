//! `[budget]`: what agents may cost. A limit is looked at before each run; the run that meets it is finished.

use super::section::section;

section! {
    /// Limits of money.
    Budget {
        /// What the agents of one task may cost together, US dollars; 0: no limit. Then the task is Blocked until a
        /// person retries it, which grants as much again.
        task_usd: f64 = 0.0;
    }
}
