//! Where code is hosted: branches, pull requests, reviews, statuses, and the only thing that may move the default
//! branch. Shaped for Gitea: a pull request is found by its stored number, `mergeable` is computed later and may be
//! unknown, an approval names a commit, and after any answer to a merge the truth is read again.

use crate::fault::Fault;
use crate::remote::Remote;
use orch_core::ids::{Actor, ProjectKey, Sha, Time};
use orch_core::lease::Held;
use serde::{Deserialize, Serialize};

/// Most pull requests that are listed.
pub const PULLS_LISTED: usize = 200;

/// A pull request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullRequest {
    /// Its number in the repository.
    pub number: u64,
    /// Title.
    pub title: String,
    /// Branch with the change.
    pub head_branch: String,
    /// Its tip now.
    pub head: Sha,
    /// Branch it goes into.
    pub base_branch: String,
    /// Open, closed or merged.
    pub state: PullState,
    /// The commit the merge made on the base branch.
    pub merge_commit: Option<Sha>,
    /// Who merged it, as the forge knows people; `orch` for what orch asked for. Nothing where it is not merged, or where the
    /// forge does not say.
    pub merged_by: Option<Actor>,
    /// `Some(false)` may mean a conflict *or* "still computing": never decide on it.
    pub mergeable: Option<bool>,
    /// Where people look at it.
    pub url: String,
}

/// State of a pull request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PullState {
    /// Open.
    Open,
    /// Closed without a merge.
    Closed,
    /// Merged.
    Merged,
}

/// State of a commit status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StatusState {
    /// Running or waiting to.
    Pending,
    /// Green.
    Success,
    /// Red: the code.
    Failure,
    /// Red: the machinery.
    Error,
    /// Did not apply; counts as green.
    Skipped,
}

/// A commit status: one check's word on one commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitStatus {
    /// Which check: `ci`.
    pub context: String,
    /// What it says.
    pub state: StatusState,
    /// Why, in a line or a log's tail.
    pub description: String,
    /// Its log.
    pub url: Option<String>,
    /// When it was reported.
    pub at: Time,
}

/// A review on a pull request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Review {
    /// Who.
    pub by: Actor,
    /// Approved or not; a mere comment is neither and is not listed.
    pub approved: bool,
    /// The commit that was looked at.
    pub commit: Sha,
    /// Text.
    pub body: String,
    /// Does this person's approval count (write access, not dismissed)?
    pub official: bool,
    /// When.
    pub at: Time,
}

/// How a merge is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MergeMethod {
    /// Move the base branch to the tested commit or refuse. The default: label, tested head and merge commit are one.
    FastForwardOnly,
    /// A merge commit with the tested tree.
    Merge,
    /// One squashed commit with the tested tree.
    Squash,
}

/// By what right the default branch is moved.
#[derive(Clone, Copy, Debug)]
pub enum Right<'a> {
    /// A task's tested head, by whoever holds the merge lease, on top of the commit it was tested on.
    Lease {
        /// The proof.
        held: &'a Held,
        /// That commit.
        base: &'a Sha,
    },
    /// Documents alone, of a task that is over, on this tip: nothing that anybody tests has changed.
    Documents {
        /// The tip.
        base: &'a Sha,
    },
    /// A person's own merge, into whatever is there.
    Person,
}

impl Right<'_> {
    /// Where the base branch has to be, if that matters.
    pub fn base(&self) -> Option<&Sha> {
        match self {
            Self::Lease { base, .. } | Self::Documents { base } => Some(base),
            Self::Person => None,
        }
    }
}

/// What a forge answers to a merge. Never the last word: read the pull request again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MergeAnswer {
    /// It says it merged.
    Merged {
        /// The commit now on the base branch.
        commit: Sha,
    },
    /// The branch is not at the expected head.
    HeadMoved,
    /// The base branch is not where a fast-forward needs it.
    BaseMoved,
    /// It will not, and says why; asking again will not help.
    Refused {
        /// The forge's words.
        why: String,
    },
}

/// Why a project's repository is out of service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutOfService {
    /// What is wrong, with the fix.
    pub why: String,
    /// Since when.
    pub since: Time,
    /// Does [`Forge::look_again`] find out when that is over? Else it takes a restart.
    pub by_itself: bool,
}

/// A forge.
#[async_trait::async_trait]
pub trait Forge: Send + Sync + 'static {
    /// Is this project's repository out of service? Answers from memory, asks nothing outside.
    fn out_of_service(&self, project: &ProjectKey) -> Option<OutOfService>;
    /// Looks at a repository that is out of service, and brings it back if it can be served.
    async fn look_again(&self, project: &ProjectKey) -> Result<(), Fault>;
    /// Where `git` fetches and pushes, and with which credentials.
    async fn remote(&self, project: &ProjectKey) -> Result<Remote, Fault>;
    /// Name of the protected default branch.
    async fn default_branch(&self, project: &ProjectKey) -> Result<String, Fault>;
    /// Tip of a branch, `None` if there is no such branch.
    async fn branch_head(&self, project: &ProjectKey, branch: &str) -> Result<Option<Sha>, Fault>;
    /// Sees to it that one open pull request exists from `head_branch`; an open one is returned as it is.
    async fn ensure_pull_request(
        &self,
        project: &ProjectKey,
        head_branch: &str,
        base_branch: &str,
        title: &str,
        body: &str,
    ) -> Result<PullRequest, Fault>;
    /// Reads a pull request by its stored number; a missing one is `Fault::gone`.
    async fn pull_request(&self, project: &ProjectKey, number: u64) -> Result<PullRequest, Fault>;
    /// The open ones, newest first, at most [`PULLS_LISTED`].
    async fn pull_requests(&self, project: &ProjectKey) -> Result<Vec<PullRequest>, Fault>;
    /// Closes an open pull request without merging; closed or merged already is success.
    async fn close_pull_request(&self, project: &ProjectKey, number: u64) -> Result<(), Fault>;
    /// The newest status of each context of a commit.
    async fn statuses(&self, project: &ProjectKey, commit: &Sha) -> Result<Vec<CommitStatus>, Fault>;
    /// Reports a status; the newest of a context counts.
    async fn set_status(&self, project: &ProjectKey, commit: &Sha, status: &CommitStatus) -> Result<(), Fault>;
    /// Reviews of a pull request, the newest of each person.
    async fn reviews(&self, project: &ProjectKey, number: u64) -> Result<Vec<Review>, Fault>;
    /// Reviews a pull request.
    async fn submit_review(&self, project: &ProjectKey, number: u64, review: &Review) -> Result<(), Fault>;
    /// Writes the comment with this key, or replaces its text.
    async fn put_comment(&self, project: &ProjectKey, number: u64, key: &str, body: &str) -> Result<(), Fault>;
    /// Compare-and-merge: only if the branch is at `expect_head`, and the base branch where `right` says. A base branch that
    /// was taken back has moved, too.
    async fn merge(
        &self,
        project: &ProjectKey,
        number: u64,
        expect_head: &Sha,
        right: Right<'_>,
        method: MergeMethod,
        message: &str,
    ) -> Result<MergeAnswer, Fault>;
}
