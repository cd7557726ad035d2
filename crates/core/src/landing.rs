//! How a task's work reaches the default branch, fixed when the task is made: as one commit or as it is, and whether its
//! documents come along. A task that was stored before this was a choice has none and finishes as it began.

use serde::{Deserialize, Serialize};

/// What a merge leaves in the history of the default branch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum History {
    /// One commit on the tip of the default branch. The branch's own commits are kept in the private repository.
    #[default]
    OneCommit,
    /// The branch's own commits, rebased, or with the default branch merged in where the branch holds merges.
    AsIs,
}

/// Where the documents that a task's agents write are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Documents {
    /// On the task's branch, and so on the default branch. What is written after an approval of the forge is evidence
    /// all the same.
    #[default]
    Repository,
    /// In orch's own store only: none of them is committed.
    Evidence,
}

/// What becomes of the documents that a branch cannot carry any more: made after the merge, or after an approval of the
/// forge that a commit would void.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AfterMerge {
    /// They stay in orch's own store.
    #[default]
    Evidence,
    /// One pull request of documents alone brings them to the default branch when the task is done.
    PullRequest,
}

impl AfterMerge {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands it over so")]
    fn is_evidence(&self) -> bool {
        *self == Self::Evidence
    }
}

/// How a task lands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Landing {
    /// What the merge leaves in the history.
    #[serde(default)]
    pub history: History,
    /// Where its documents are kept.
    #[serde(default)]
    pub documents: Documents,
    /// What becomes of those that come too late for its branch.
    #[serde(default, skip_serializing_if = "AfterMerge::is_evidence")]
    pub after_merge: AfterMerge,
}
