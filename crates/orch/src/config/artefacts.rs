//! `[artefacts]`: where documents go that are made after the merge and can no longer be on the task's branch.

use super::section::section;
use super::value::choices;

choices! {
    /// Where they go.
    AfterMerge {
        /// Into orch's own store.
        Evidence = "evidence",
        /// To the default branch, by a small pull request.
        PullRequest = "pull-request",
    }
}

section! {
    /// The documents a task leaves.
    Artefacts {
        /// What becomes of the deploy and post-deploy logs.
        after_merge: AfterMerge = AfterMerge::Evidence;
    }
}
