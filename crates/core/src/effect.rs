//! What the core asks for. An effect is a row before it is an act; whoever carries it out looks first, acts, and reports
//! the truth. Effects and outcomes are stored, so their wire form is pinned by tests and only ever grows.

use crate::conflict::{Conflict, Resolution};
use crate::ids::{Actor, Digest, Environment, GateId, ProjectKey, Role, Seq, Sha, StageId, Time, WorkItem};
use crate::task::{DoneOutcome, MergeIntent};
use crate::verdict::{FaultNote, Finding, Verdict};
use crate::word::Word;
use serde::{Deserialize, Serialize};

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands it over so")]
fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// Something to be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "effect", rename_all = "snake_case")]
pub enum Effect {
    /// Branch with `00-business-request.md`.
    OpenBranch,
    /// An agent's turn.
    RunAgent {
        /// Role.
        role: Role,
        /// Stage.
        stage: StageId,
        /// Times the developer was sent back so far.
        round: u32,
    },
    /// Commit and push what the run left.
    Publish {
        /// Role whose work it is.
        role: Role,
        /// Stage.
        stage: StageId,
        /// The run.
        run: Seq,
    },
    /// An open pull request for the branch.
    EnsurePullRequest,
    /// A gate's judgement.
    Judge {
        /// Gate.
        gate: GateId,
        /// Stage whose edge it stands on.
        stage: StageId,
        /// Head to judge.
        head: Sha,
        /// The exact commit, not just its code.
        exact: bool,
        /// Run whose artefacts count.
        run: Option<Seq>,
        /// Since when this gate has been waiting.
        since: Time,
    },
    /// Bring a revision to an environment.
    Deploy {
        /// Where.
        environment: Environment,
        /// What.
        revision: Sha,
        /// Stage.
        stage: StageId,
        /// Only if its code is not what ran there.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        again: bool,
        /// A hook of an earlier job of the task that ended for this revision has done it, from this job on.
        #[serde(default, skip_serializing_if = "is_zero")]
        since: Seq,
    },
    /// Bring an environment back to what ran before a failed revision.
    Rollback {
        /// Where.
        environment: Environment,
        /// What failed.
        failed: Sha,
    },
    /// Run the project's setup, tests and CI on the default branch as it is, before anybody works on top of it.
    JudgeBase,
    /// Bring the branch to the tip of the default branch, under the lease.
    Update {
        /// Head it must be at now.
        head: Sha,
        /// Epoch of the lease.
        lease_epoch: u64,
    },
    /// Let the forge merge.
    Merge {
        /// Pull request.
        pull_request: u64,
        /// Exactly what.
        intent: MergeIntent,
    },
    /// Watch production.
    Watch {
        /// What should be running.
        revision: Sha,
        /// Since when.
        since: Time,
    },
    /// See to it that CI judges a commit, where the forge leaves that to us.
    EnsureCi {
        /// Which commit.
        commit: Sha,
    },
    /// Make the ticket show the task's state.
    SyncTicket,
    /// Tell a person, once per key.
    Notify {
        /// Key.
        key: String,
        /// One line.
        text: String,
    },
    /// Write a comment to the ticket, once per key.
    Comment {
        /// Key.
        key: String,
        /// For people.
        text: String,
    },
    /// Change the ticket's text; what is not given stays.
    EditTicket {
        /// Title from now on.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        title: Option<String>,
        /// Text from now on.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        body: Option<String>,
        /// Who wants it.
        by: Actor,
    },
    /// Remove the working directory of a closed task.
    CleanUp,
    /// List on the pull request what a gate found, holds nothing up, and somebody should still read.
    NoteFindings {
        /// Pull request.
        pull_request: u64,
        /// Gate that let it through.
        gate: GateId,
        /// The run whose paper says it: one list per run.
        run: Seq,
        /// Word for word.
        findings: Vec<Finding>,
    },
}

/// Where jobs queue up; each lane has its own width.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Lane {
    /// Agent runs: `max_concurrency`.
    Agent,
    /// Tests and CI commands.
    Command,
    /// Deploys and rollbacks.
    Deploy,
    /// Git and forge.
    Forge,
    /// Gates that only look.
    Gate,
    /// Watches on production: long, idle.
    Watch,
    /// Tickets and notices.
    Message,
}

impl Lane {
    /// Every lane.
    pub const ALL: &'static [Self] =
        &[Self::Agent, Self::Command, Self::Deploy, Self::Forge, Self::Gate, Self::Watch, Self::Message];
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Command => "command",
            Self::Deploy => "deploy",
            Self::Forge => "forge",
            Self::Gate => "gate",
            Self::Watch => "watch",
            Self::Message => "message",
        }
    }
    /// Does the work go on when the worker that waits for it dies? It is done under a supervisor, or nothing happens but
    /// that time passes.
    pub fn outlives_workers(self) -> bool {
        match self {
            Self::Agent | Self::Command | Self::Deploy | Self::Watch => true,
            Self::Forge | Self::Gate | Self::Message => false,
        }
    }
}

/// May an effect be given up?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Yes, after `max_attempts`.
    Repeatable,
    /// Never: it is observed until its outcome is known; a person is told after a while.
    Irreversible,
}

impl Effect {
    /// Its lane.
    pub fn lane(&self) -> Lane {
        match self {
            Self::RunAgent { .. } => Lane::Agent,
            Self::Judge { gate: GateId::TestsLocal | GateId::StagingImageFresh, .. }
            | Self::EnsureCi { .. }
            | Self::JudgeBase => Lane::Command,
            Self::Judge { .. } => Lane::Gate,
            Self::Deploy { .. } | Self::Rollback { .. } => Lane::Deploy,
            Self::OpenBranch
            | Self::Publish { .. }
            | Self::EnsurePullRequest
            | Self::Update { .. }
            | Self::Merge { .. }
            | Self::CleanUp => Lane::Forge,
            Self::Watch { .. } => Lane::Watch,
            Self::SyncTicket
            | Self::Notify { .. }
            | Self::Comment { .. }
            | Self::EditTicket { .. }
            | Self::NoteFindings { .. } => Lane::Message,
        }
    }

    /// Does it work with the project's repository? The others go on while that is out of service.
    pub fn needs_repository(&self) -> bool {
        match self {
            Self::SyncTicket | Self::Notify { .. } | Self::Comment { .. } | Self::EditTicket { .. } => false,
            Self::OpenBranch
            | Self::RunAgent { .. }
            | Self::Publish { .. }
            | Self::EnsurePullRequest
            | Self::Judge { .. }
            | Self::Deploy { .. }
            | Self::Rollback { .. }
            | Self::Update { .. }
            | Self::Merge { .. }
            | Self::Watch { .. }
            | Self::EnsureCi { .. }
            | Self::JudgeBase
            | Self::NoteFindings { .. }
            | Self::CleanUp => true,
        }
    }

    /// Jobs with the same key never run at the same time.
    pub fn exclusive(&self, project: &ProjectKey) -> Option<String> {
        match self {
            Self::Deploy { environment, .. } | Self::Rollback { environment, .. } => {
                Some(format!("deploy:{project}:{environment}"))
            }
            Self::Merge { .. } => Some(format!("merge:{project}")),
            Self::EnsureCi { commit } => Some(format!("ci:{project}:{commit}")),
            // Two at once could leave a ticket with the older of two states.
            Self::SyncTicket | Self::EditTicket { .. } => Some(format!("ticket:{project}")),
            Self::OpenBranch
            | Self::RunAgent { .. }
            | Self::Publish { .. }
            | Self::EnsurePullRequest
            | Self::Judge { .. }
            | Self::Update { .. }
            | Self::Watch { .. }
            | Self::Notify { .. }
            | Self::Comment { .. }
            | Self::CleanUp
            | Self::NoteFindings { .. } => None,
            // What one has found out the next one is told.
            Self::JudgeBase => Some(format!("base:{project}")),
        }
    }

    /// While a job of the task with this key is still queued, another one adds nothing.
    pub fn coalesce(&self) -> Option<&'static str> {
        matches!(self, Self::SyncTicket).then_some("sync-ticket")
    }

    /// Does the task's phase wait for its outcome?
    pub fn is_side(&self) -> bool {
        matches!(
            self,
            Self::EnsureCi { .. }
                | Self::SyncTicket
                | Self::Notify { .. }
                | Self::Comment { .. }
                | Self::EditTicket { .. }
                | Self::CleanUp
                | Self::NoteFindings { .. }
        )
    }

    /// May it be given up?
    pub fn class(&self) -> Class {
        match self {
            Self::Merge { .. } => Class::Irreversible,
            _ => Class::Repeatable,
        }
    }

    /// For people: `run the developer`, `merge`.
    pub fn describe(&self) -> String {
        match self {
            Self::OpenBranch => "open the branch".into(),
            Self::RunAgent { role, .. } => format!("run the {role}"),
            Self::Publish { role, .. } => format!("commit and push the {role}'s work"),
            Self::EnsurePullRequest => "open the pull request".into(),
            Self::Judge { gate, .. } => format!("judge {gate}"),
            Self::Deploy { environment, revision, .. } => format!("deploy {} to {environment}", revision.short()),
            Self::Rollback { environment, .. } => format!("roll {environment} back"),
            Self::JudgeBase => "run the tests on the default branch".into(),
            Self::Update { .. } => "bring the branch to the tip of the default branch".into(),
            Self::Merge { pull_request, .. } => format!("merge pull request {pull_request}"),
            Self::Watch { .. } => "watch production".into(),
            Self::EnsureCi { commit } => format!("run CI on {}", commit.short()),
            Self::SyncTicket => "update the ticket".into(),
            Self::Notify { .. } => "tell a person".into(),
            Self::Comment { .. } => "write a comment to the ticket".into(),
            Self::EditTicket { .. } => "change the ticket's text".into(),
            Self::CleanUp => "remove the working directory".into(),
            Self::NoteFindings { gate, .. } => format!("list on the pull request what {gate} also found"),
        }
    }
}

/// Something a gate has to tell people, once for all tasks that meet the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning {
    /// The same for the same matter.
    pub key: String,
    /// For people.
    pub text: String,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Outcome {
    /// The branch is there.
    Opened {
        /// Its head.
        head: Sha,
        /// The commit of the default branch it starts from.
        base: Sha,
    },
    /// The default branch can be worked on.
    BaseGreen {
        /// What was found, for people.
        text: String,
        /// The commit that was judged; nothing: an older version judged it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        commit: Option<Sha>,
    },
    /// It cannot: its own tests fail, or could not be run.
    BaseRed {
        /// Digest of what fails: an approval is for exactly this.
        subject: String,
        /// What was run, how it ended, and what failed, a line each.
        shown: Vec<String>,
        /// The commit that was judged; nothing: an older version judged it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        commit: Option<Sha>,
    },
    /// The commit that was judged is no part of the default branch any more: nothing is opened there.
    BaseGone,
    /// Nobody can tell: this machine lacks something.
    BaseUnclear {
        /// What.
        fault: FaultNote,
    },
    /// The agent's turn is over.
    AgentFinished {
        /// It wants an answer first.
        question: Option<String>,
        /// What it says of the paths that were in conflict.
        #[serde(default, skip_serializing_if = "Resolution::is_empty")]
        resolved: Resolution,
    },
    /// The agent's turn is over, and it says something of its work as a whole. What it left is published all the same.
    AgentSaid {
        /// What.
        word: Word,
        /// What it says of the paths that were in conflict.
        #[serde(default, skip_serializing_if = "Resolution::is_empty")]
        resolved: Resolution,
    },
    /// The work is on the branch.
    Published {
        /// New head.
        head: Sha,
        /// Does the branch change any code against its base?
        empty: bool,
        /// Changes that were not taken.
        discarded: Vec<String>,
        /// Paths whose conflict is not resolved.
        unresolved: Vec<String>,
        /// What is wrong with them, in words for the next brief.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        refused: Vec<Finding>,
    },
    /// What there is cannot be taken as it is: the branch stays where it is. What a role left, the same role delivers
    /// again; what was to be prepared for the merge goes back to the developer.
    NotTaken {
        /// Why, for whoever repairs it.
        findings: Vec<Finding>,
    },
    /// Somebody else pushed to the branch.
    BranchMoved {
        /// Where it is now.
        now: Option<Sha>,
    },
    /// The pull request is open.
    PullRequestOpen {
        /// Its number.
        number: u64,
    },
    /// The gate has spoken.
    Judged {
        /// The head it looked at.
        head: Sha,
        /// What it says.
        verdict: Verdict,
        /// What else was found. It blocks nobody and is shown to people.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        notes: Vec<Finding>,
        /// What people should hear, whatever the verdict.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        warning: Option<Warning>,
    },
    /// The deploy is over; whether it is good the gate will say.
    Deployed {
        /// Why nothing was deployed, if nothing was.
        skipped: Option<String>,
        /// How many processes that the hooks left running were ended.
        #[serde(default, skip_serializing_if = "is_zero")]
        ended: u32,
    },
    /// Nothing is deployed: the revision contains one that failed in production and is not repaired.
    Held {
        /// The one that failed.
        revision: Sha,
        /// The task that merged it.
        by: WorkItem,
    },
    /// Nothing was done yet, and a person has to approve something first: before a hook, that the branch changes what it
    /// runs; before the merge is prepared, that somebody else has moved the default branch.
    ApprovalNeeded {
        /// Digest of exactly these changes; the tip.
        subject: String,
        /// The changes, a line each.
        shown: Vec<String>,
    },
    /// The previous revision is back, or not.
    RolledBack {
        /// Is it?
        ok: bool,
        /// What happened.
        text: String,
    },
    /// The branch contains the tip.
    Updated {
        /// Head now.
        head: Sha,
        /// The tip.
        base: Sha,
        /// Tree of the head.
        tree: Digest,
        /// Has the patch of the branch another id now? Then main has changed what is around its changes, or has some of them
        /// already: what was reviewed and tested is not what would land.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        repatched: bool,
        /// Does the forge's approval not count for this head? Main has changed files of the change.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        voids: bool,
    },
    /// It conflicts.
    Conflict {
        /// With this tip.
        onto: Sha,
        /// In these files.
        files: Vec<String>,
        /// What conflicts, path by path.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        record: Option<Conflict>,
    },
    /// The lease is somebody else's by now.
    LeaseLost,
    /// It is merged.
    Merged {
        /// The commit on the default branch.
        commit: Sha,
        /// Its tree.
        tree: Digest,
    },
    /// It is not merged.
    NotMerged {
        /// Why.
        why: NotMerged,
    },
    /// Somebody else has merged the pull request, and what landed is not what was tested.
    LandedOtherwise {
        /// The commit on the default branch.
        commit: Sha,
        /// Its tree.
        tree: Digest,
        /// Who; nothing: nobody says.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<Actor>,
    },
    /// The watch is over.
    Watched {
        /// How it went.
        outcome: DoneOutcome,
    },
    /// A side effect is done.
    Sent,
    /// It was stopped because somebody asked for it.
    Cancelled,
    /// Nothing was begun: the task's budget has no room for another run of an agent.
    OverBudget {
        /// What its agents have cost so far, millionths of a US dollar.
        spent_micro_usd: u64,
        /// What they may cost, likewise.
        limit_micro_usd: u64,
        /// What the run may cost; nothing: whatever is left.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        run_micro_usd: Option<u64>,
        /// Costs that nobody could read are in it: it is the most they have cost.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        at_most: bool,
    },
    /// It could not be done.
    Failed {
        /// Why.
        fault: FaultNote,
    },
}

/// Why a merge did not happen; known for certain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "why", rename_all = "snake_case")]
pub enum NotMerged {
    /// The branch is not at the judged head.
    HeadMoved,
    /// The default branch moved on.
    BaseMoved,
    /// A person holds the task: it was read back, has not happened, and is not asked for.
    OnHold,
    /// The forge refuses.
    Refused {
        /// Its words.
        text: String,
    },
}
