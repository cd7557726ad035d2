//! `[merge]`: how a branch gets onto the default branch: one at a time, tested on exactly what lands.

use super::section::section;
use super::value::word_field;
use orch_ports::forge::MergeMethod;

word_field!(
    MergeMethod,
    [
        ("fast-forward-only", MergeMethod::FastForwardOnly),
        ("merge", MergeMethod::Merge),
        ("squash", MergeMethod::Squash)
    ]
);

section! {
    /// The merge gate and its lease.
    Merge {
        /// Judge `check_branch_mergeable`. False beats every other switch of that gate.
        gate_enabled: bool = true;
        /// Repositories the gate is real for. Not set: all; empty: only projects marked `self`.
        gate_repos: Option<Vec<String>> = None;
        /// How the forge merges. With `fast-forward-only` the tested head and the merge commit are one.
        method: MergeMethod = MergeMethod::FastForwardOnly;
        /// Term of the merge lease in seconds; its holder renews it.
        lock_timeout_s: u64 = 300;
        /// Longest re-test in seconds.
        retest_timeout_s: u64 = 1800;
        /// Seconds a task waits before it asks for a busy lease again.
        defer_delay_s: u64 = 30;
        /// How often a busy lease may put a task off; 0: without limit, a person is told once.
        defer_max_attempts: u64 = 0;
    }
}
