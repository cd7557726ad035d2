//! `[retention]`: how long what is left of closed tasks is kept.

use super::section::section;

section! {
    /// Ends of what is kept.
    Retention {
        /// Days a closed task's own commits stay in the private repository after it was closed; 0: for good.
        history_days: u64 = 90;
    }
}
