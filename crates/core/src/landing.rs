//! How a task's work reaches the default branch. The plan is fixed when the task is made: as one commit or as it is, and
//! whether its documents come along. The rest is how far it has come: conflicts, preparations, the intent, the merge.

use crate::conflict::Conflict;
use crate::ids::{Digest, Sha, Time};
use crate::landed::Landed;
use crate::pipeline::Cursor;
use crate::stored::is_default;
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

/// How a task is to land.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LandingPlan {
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

/// How far a task has come on its way to the default branch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Landing {
    /// How it is to land. A task that was stored before this was a choice has none: its branch lands as it is, and the
    /// documents of staging are committed when its merge is prepared.
    #[serde(skip_serializing_if = "is_default")]
    pub plan: Option<LandingPlan>,
    /// Commit of the default branch the developer has to merge by hand because it conflicts, with what conflicts.
    #[serde(skip_serializing_if = "is_default")]
    pub conflict: Option<Conflict>,
    /// Conflicts of this branch that were resolved, with what was said of each: reviewers see them, and nothing of them may
    /// be left in what is merged.
    #[serde(skip_serializing_if = "is_default")]
    pub resolved: Vec<Conflict>,
    /// Conflicts the developer was sent back with since a person last looked; they spend no round.
    #[serde(skip_serializing_if = "is_default")]
    pub conflicts: u32,
    /// Times the merge was prepared anew because main moved.
    #[serde(skip_serializing_if = "is_default")]
    pub updates: u32,
    /// Times a clean update made another patch of its changes since a developer last worked on them.
    #[serde(skip_serializing_if = "is_default")]
    pub patch_changes: u32,
    /// Where it goes on once the forge's approval, which a change of main has voided, is there again.
    #[serde(skip_serializing_if = "is_default")]
    pub approval_again: Option<Cursor>,
    /// Times a change of main has voided the forge's approval since a developer last worked.
    #[serde(skip_serializing_if = "is_default")]
    pub voided: u32,
    /// The head that has the documents of the merge: prepared again, it needs no others.
    #[serde(skip_serializing_if = "is_default")]
    pub prepared: Option<Sha>,
    /// The durable intent to merge, written before the forge is asked.
    #[serde(skip_serializing_if = "is_default")]
    pub intent: Option<MergeIntent>,
    /// Asked for once more, with that intent, because what became of an earlier request is not known: a hold does not keep
    /// it from being read back. Until the merge is prepared anew.
    #[serde(skip_serializing_if = "is_default")]
    pub asked: bool,
    /// The merge, once it is known.
    #[serde(skip_serializing_if = "is_default")]
    pub merged: Option<Merged>,
    /// Commits that were the merge of earlier branches of it. A late look at main may find one of them again.
    #[serde(skip_serializing_if = "is_default")]
    pub earlier: Vec<Sha>,
    /// That somebody else has merged its pull request, until that is taken as its merge or the task ends without it.
    #[serde(skip_serializing_if = "is_default")]
    pub landed: Option<Landed>,
    /// Verdicts that let the task pass, by gate and by the head they were given for; emptied by `Update`.
    #[serde(skip_serializing_if = "is_default")]
    pub passed: Vec<Passed>,
}

/// What is about to be merged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MergeIntent {
    /// The head all gates judged.
    pub head: Sha,
    /// The tip of the default branch it contains.
    pub base: Sha,
    /// Its tree.
    pub tree: Digest,
    /// Epoch of the lease it is merged under.
    pub lease_epoch: u64,
}

/// What was merged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Merged {
    /// Commit on the default branch.
    pub commit: Sha,
    /// Its tree, equal to the tested one.
    pub tree: Digest,
    /// When it was known.
    pub at: Time,
}

/// A gate that let a head pass.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Passed {
    /// Place of the gate in the pipeline.
    pub at: Cursor,
    /// Head it judged.
    pub head: Sha,
}
