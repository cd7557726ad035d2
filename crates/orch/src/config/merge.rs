//! `[merge]`: how a branch gets onto the default branch: one at a time, tested on exactly what lands.

use super::section::section;
use super::value::word_field;
use orch_core::landing::History;
use orch_ports::forge::MergeMethod;

word_field!(History, [("one-commit", History::OneCommit), ("as-is", History::AsIs)]);

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
        /// What a merge leaves in the history: one commit on the tip of the default branch, which is what is tested, or the
        /// branch's own commits as they are. A task keeps what it began with.
        history: History = History::OneCommit;
        /// Subject of that commit. May use `{{title}}`, `{{work_item}}`, `{{number}}` and `{{project}}`.
        subject: String = "{{title}}".into();
        /// Its author: `Name <address>`.
        author: String = "orch <orch@orch.invalid>".into();
        /// Its committer: `Name <address>`.
        committer: String = "orch <orch@orch.invalid>".into();
        /// Sign it as the git configuration of the user orch runs as says: `user.signingkey`, `gpg.format`, `gpg.program`
        /// and their like. Tried out at the start. Needs `history = "one-commit"`.
        sign: bool = false;
        /// Add a `Signed-off-by` of the committer.
        sign_off: bool = false;
        /// After the merge, push the branch's own commits to `refs/orch/history/` of the forge, if the security gate let
        /// every one of them pass.
        history_ref: bool = false;
        /// Nobody but orch may move the default branch: before a merge is prepared on top of what somebody else put there, a
        /// person sees it and approves, once for all tasks of the project. Without it that is written down, and told where
        /// the branch was rewound or protected paths came in.
        only_orch: bool = false;
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
