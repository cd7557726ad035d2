//! `[artefacts]`: where the documents of a task go, and those that are made after the merge and can no longer be on its
//! branch.

use super::section::section;
use super::value::word_field;
use orch_core::landing::{AfterMerge, Documents};

word_field!(Documents, [("repository", Documents::Repository), ("evidence", Documents::Evidence)]);

word_field!(AfterMerge, [("evidence", AfterMerge::Evidence), ("pull-request", AfterMerge::PullRequest)]);

section! {
    /// The documents a task leaves.
    Artefacts {
        /// Where documents are kept: on the branch, and so on the default branch, or in orch's own store only. Not set:
        /// `evidence` for the pipeline `lite`, else `repository`. A task keeps what it began with.
        keep: Option<Documents> = None;
        /// What becomes of the documents that come too late for the branch, which are the logs of staging, deploy and
        /// production and the security report: `evidence` keeps them in orch's own store, `pull-request` brings them to
        /// the default branch, by one pull request of documents alone for each task, when it is done. They pass the scan
        /// for secrets and wait for no review, no CI and no deploy; a forge that refuses the merge leaves the pull request
        /// open, and a person is told. A task keeps what it began with.
        after_merge: AfterMerge = AfterMerge::Evidence;
    }
}
