//! `[artefacts]`: where the documents of a task go, and those that are made after the merge and can no longer be on its
//! branch.

use super::section::section;
use super::value::{choices, word_field};
use orch_core::landing::Documents;

word_field!(Documents, [("repository", Documents::Repository), ("evidence", Documents::Evidence)]);

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
        /// Where documents are kept: on the branch, and so on the default branch, or in orch's own store only. Not set:
        /// `evidence` for the pipeline `lite`, else `repository`. A task keeps what it began with.
        keep: Option<Documents> = None;
        /// What becomes of the deploy and post-deploy logs.
        after_merge: AfterMerge = AfterMerge::Evidence;
    }
}
