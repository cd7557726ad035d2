//! A task: one ticket on its way to production. Everything that is decided about it is in this value; what a person is
//! shown is derived from it by `explain`, never stored beside it.

pub use crate::approval::{Approval, ApprovalKind, Asked};
pub use crate::blocker::{Blocker, BlockerState};
pub use crate::branch::Branch;
pub use crate::conflict::Conflict;
pub use crate::findings::{Answer, Comment, Findings, NoChange, Raised, Returned};
use crate::ids::{Actor, Digest, ProjectKey, Role, Seq, Sha, StageId, TaskId, Time, WorkItem};
pub use crate::landed::Landed;
pub use crate::landing::{Landing, LandingPlan, MergeIntent, Merged, Passed};
pub use crate::lives::{BeforeRevert, Finished, Life, Lives};
pub use crate::new_task::NewTask;
use crate::phase::PhaseKind;
use crate::pipeline::{Cursor, Pipeline, Step};
pub use crate::production::{LAST_LINES, Production, ProductionFailure, Reverting, WayOut, WayTaken};
use crate::stored::is_default;
use crate::verdict::{FaultNote, Finding};
pub use crate::wait::{Hold, OnHold, RedBase, Rejected, Unsure, Wait};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

/// A task as it is stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// Row id.
    pub id: TaskId,
    /// Project.
    pub project: ProjectKey,
    /// The repository it lands in, where that is not its project's alone: see [`Task::repository`].
    #[serde(default, skip_serializing_if = "is_default")]
    pub repository: Option<ProjectKey>,
    /// Name people use.
    pub work_item: WorkItem,
    /// Ticket number in the tracker.
    pub number: u64,
    /// Title of the ticket when the task was made.
    pub title: String,
    /// Text of the ticket; untrusted.
    pub body: String,
    /// The pipeline it started with and finishes on. It never changes, and is no part of the stored form: a store keeps each
    /// pipeline once, whatever number of tasks have it, and puts it back. (Before schema version 5 it was part of it.)
    #[serde(default, skip_serializing)]
    pub pipeline: Arc<Pipeline>,
    /// How early its jobs are claimed among those of its project: more goes first, 0 is what every task begins with.
    #[serde(default, skip_serializing_if = "is_default")]
    pub priority: i32,
    /// Which step it is at.
    pub at: Cursor,
    /// What is going on at that step.
    pub phase: Phase,
    /// Number the next job gets.
    pub next_seq: Seq,
    /// Its branch.
    pub branch: Branch,
    /// Its way to the default branch.
    #[serde(default, skip_serializing_if = "is_default")]
    pub landing: Landing,
    /// What the next brief must carry.
    #[serde(default, skip_serializing_if = "is_default")]
    pub findings: Findings,
    /// How long it has been waiting, and for whose words.
    #[serde(default, skip_serializing_if = "is_default")]
    pub wait: Wait,
    /// What it has used of what it may.
    #[serde(default, skip_serializing_if = "is_default")]
    pub spent: Spent,
    /// How it stands in production.
    #[serde(default, skip_serializing_if = "is_default")]
    pub production: Production,
    /// The agent or hook run of this visit to the stage: the only one whose artefacts count.
    #[serde(default, skip_serializing_if = "is_default")]
    pub run: Option<Seq>,
    /// Who started it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub started_by: Option<Actor>,
    /// Approvals given; each is bound to what was shown.
    #[serde(default, skip_serializing_if = "is_default")]
    pub approvals: Vec<Approval>,
    /// Its ends: earlier ones, and one outside of orch.
    #[serde(default, skip_serializing_if = "is_default")]
    pub lives: Lives,
    /// When it was made.
    pub created_at: Time,
    /// When it changed last.
    pub updated_at: Time,
    /// When it was done.
    pub done_at: Option<Time>,
}

/// What a task has used of what it may.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Spent {
    /// Developer repairs.
    #[serde(skip_serializing_if = "is_default")]
    pub rounds: u32,
    /// Repairs of stages that go back to themselves.
    #[serde(skip_serializing_if = "is_default")]
    pub stage_rounds: BTreeMap<StageId, u32>,
    /// Attempts the role of this stage has used on missing or unreadable evidence in this visit.
    #[serde(skip_serializing_if = "is_default")]
    pub role_attempts: u32,
    /// A person's retry has whatever said no asked again first: if it says no once more, that repair costs no round.
    #[serde(skip_serializing_if = "is_default")]
    pub granted: bool,
    /// Returns to analysis.
    #[serde(skip_serializing_if = "is_default")]
    pub returns: u32,
    /// What its agents had cost when a person granted the present budget, millionths of a US dollar.
    #[serde(skip_serializing_if = "is_default")]
    pub budget_from_micro_usd: u64,
}

/// What is going on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "phase", rename_all = "snake_case")]
pub enum Phase {
    /// Known, not started.
    Idle,
    /// The job of the current step is under way.
    Working {
        /// Which job.
        job: Seq,
        /// Since when.
        since: Time,
    },
    /// Nothing is under way; something outside ends this.
    Waiting {
        /// What for.
        why: WaitReason,
        /// Since when (kept over re-checks).
        since: Time,
        /// When it becomes a matter for a person.
        until: Option<Time>,
        /// When to look again.
        recheck: Option<Time>,
    },
    /// A cancel was asked for; the job under way is being ended.
    Stopping {
        /// Which job.
        job: Seq,
        /// Who asked.
        by: Actor,
        /// Since when.
        since: Time,
        /// Not a cancel: it is finished outside of orch, and why.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        finish: Option<String>,
    },
    /// A person must act.
    Blocked {
        /// Why.
        why: BlockReason,
        /// Since when.
        since: Time,
        /// Where a retry goes on.
        retry: Cursor,
    },
    /// Ended by a person.
    Cancelled {
        /// Who.
        by: Actor,
        /// When.
        since: Time,
    },
    /// Ended well or not so well, in production.
    Done {
        /// How production took it.
        outcome: DoneOutcome,
        /// When.
        since: Time,
    },
}

/// What a waiting task waits for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum WaitReason {
    /// A gate waits for a report.
    Report {
        /// What.
        what: String,
    },
    /// A gate could not find out and holds.
    CannotTell {
        /// Why not.
        fault: FaultNote,
    },
    /// A person must approve.
    Approval {
        /// Which decision.
        what: ApprovalKind,
        /// What was shown.
        subject: String,
        /// The same in words, a line each.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        shown: Vec<String>,
    },
    /// A person must answer.
    Answer {
        /// Who asks.
        role: Role,
        /// What.
        question: String,
    },
    /// A role says that it cannot do its work: a person removes what is in its way, and lets it try again.
    Unable {
        /// Who.
        role: Role,
        /// Why, in its words.
        why: String,
    },
    /// Another task holds the merge lease.
    Lease {
        /// Which, if it is known.
        holder: Option<WorkItem>,
    },
    /// Production did not take what was merged: a person chooses a [`WayOut`].
    Production {
        /// What failed there.
        revision: Sha,
        /// Why: the last lines of what was printed.
        cause: String,
        /// What production runs now.
        now: String,
    },
    /// The revision to be deployed contains one that failed in production and is not repaired.
    Held {
        /// The one that failed.
        revision: Sha,
        /// The task that merged it.
        by: WorkItem,
    },
    /// Other tasks are to be over before it starts.
    After {
        /// Those that are not, as they stood when they were looked at last.
        open: Vec<Blocker>,
    },
    /// A person holds it; who and why is beside the phase, in [`Wait::on_hold`].
    OnHold,
}

impl WaitReason {
    /// Does orch look again by itself, and go on when it is over?
    pub fn is_looked_at(&self) -> bool {
        matches!(self, Self::Report { .. } | Self::CannotTell { .. } | Self::Lease { .. } | Self::Held { .. })
    }
}

/// Why a task is blocked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum BlockReason {
    /// All repairs are spent.
    RoundsSpent {
        /// Who sent it back last.
        from: crate::origin::Origin,
        /// With what.
        findings: Vec<Finding>,
    },
    /// A person's own branch was not let through: the person repairs it and lands it again.
    Returned {
        /// Who says no: a gate, a person, the merge with the default branch.
        from: crate::origin::Origin,
        /// Why.
        findings: Vec<Finding>,
    },
    /// A role did not deliver readable evidence in all its attempts.
    RoleFailed {
        /// Which.
        role: String,
        /// What is missing.
        findings: Vec<Finding>,
    },
    /// Two finished repairs of a conflict with the default branch do not count.
    ConflictLeft {
        /// What is wrong with each path.
        findings: Vec<Finding>,
    },
    /// A job ran out of attempts or met a fault that will not pass.
    JobFailed {
        /// What was being done.
        what: String,
        /// The fault.
        fault: FaultNote,
    },
    /// The forge will not merge.
    MergeRefused {
        /// Its words.
        why: String,
    },
    /// What landed is not what was tested. The repository's queue is frozen.
    WrongTree {
        /// What was tested.
        tested: Digest,
        /// What landed.
        landed: Digest,
    },
    /// Somebody else moved the task's branch.
    BranchMoved {
        /// Where it is.
        now: Option<Sha>,
    },
    /// A person said no where nothing goes back to development for it.
    Rejected {
        /// Who.
        by: Actor,
        /// In their words.
        comment: String,
        /// To what; nothing: to production.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        what: Option<ApprovalKind>,
    },
    /// Production failed and could not be brought back.
    RollbackFailed {
        /// What happened.
        why: String,
    },
    /// Its agents have cost as much as they may. A retry grants the same again.
    BudgetSpent {
        /// What they have cost so far, millionths of a US dollar.
        spent_micro_usd: u64,
        /// What they may cost, likewise.
        limit_micro_usd: u64,
        /// What the next run may cost, likewise; nothing: whatever is left.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        run_micro_usd: Option<u64>,
        /// Costs that nobody could read are in it: it is the most they have cost.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        at_most: bool,
    },
    /// It was returned to its analysis too often: a person decides what is wanted.
    ReturnsSpent {
        /// Every return, the oldest first.
        returns: Vec<Returned>,
    },
}

/// How production took it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DoneOutcome {
    /// Watched and fine.
    Healthy,
    /// Watched and not fine; left as it is.
    Degraded,
    /// Watched, not fine, the previous revision is back.
    RolledBack,
    /// The watch could not tell.
    Inconclusive,
    /// There was nothing to watch.
    NotWatched,
    /// Production did not take it, and a person left it at that.
    Accepted,
    /// Production did not take it, or a person did not want it, and it was taken back.
    Reverted,
    /// A person finished it outside of orch.
    Finished,
    /// Nothing had to be changed: the developer declared it, and it was judged.
    NothingToChange,
}

impl DoneOutcome {
    /// Nothing a person has to look at?
    pub fn is_well(self) -> bool {
        matches!(
            self,
            Self::Healthy | Self::NotWatched | Self::Accepted | Self::Reverted | Self::Finished | Self::NothingToChange
        )
    }
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Degraded => "degraded",
            Self::RolledBack => "rolled_back",
            Self::Inconclusive => "inconclusive",
            Self::NotWatched => "not_watched",
            Self::Accepted => "accepted",
            Self::Reverted => "reverted",
            Self::Finished => "finished",
            Self::NothingToChange => "nothing_to_change",
        }
    }
}

impl Task {
    /// What a person is asked to approve now. A default branch that fails is looked at again by itself: what people were told
    /// of it stands until the look is over, and can be approved all the time.
    pub fn asked(&self) -> Option<Asked<'_>> {
        match &self.phase {
            Phase::Waiting { why: WaitReason::Approval { what, subject, shown }, .. } => {
                Some(Asked { what: *what, subject, shown })
            }
            Phase::Working { .. } | Phase::Waiting { why: WaitReason::OnHold, .. }
                if matches!(self.step(), Some(Step::Open)) =>
            {
                let (what, red) = (ApprovalKind::Base, self.wait.base.as_ref()?);
                let open = red.rejected.is_none() && self.approved(what, &red.subject).is_none();
                open.then_some(Asked { what, subject: &red.subject, shown: &red.shown })
            }
            _ => None,
        }
    }

    /// The repository it lands in, by the key of the first project that has it. Decided when the task is made: all tasks of
    /// one repository share its merge lease, whatever becomes of the configuration.
    pub fn repository(&self) -> &ProjectKey {
        self.repository.as_ref().unwrap_or(&self.project)
    }
    /// Times the developer was sent back so far, with findings or with a conflict.
    pub fn repairs(&self) -> u32 {
        self.spent.rounds + self.landing.conflicts
    }
    /// Is it there to repair what fails on the default branch? An approver has said so.
    pub fn repairs_base(&self) -> bool {
        !self.findings.base.is_empty()
    }
    /// Every conflict of this branch, the one that is being resolved last.
    pub fn all_conflicts(&self) -> impl Iterator<Item = &Conflict> {
        self.landing.resolved.iter().chain(&self.landing.conflict)
    }
    /// The stage it is in.
    pub fn stage(&self) -> &StageId {
        // A cursor only ever moves through `enter` and `next`, which keep it inside the pipeline; should a stored task
        // ever disagree, the first stage is the harmless answer.
        static NONE: LazyLock<StageId> = LazyLock::new(|| StageId::from(""));
        let stages = &self.pipeline.stages;
        stages.get(self.at.stage).or_else(|| stages.first()).map_or(&*NONE, |stage| &stage.id)
    }
    /// The step it is at.
    pub fn step(&self) -> Option<&Step> {
        self.pipeline.step(self.at)
    }
    /// Is nothing ever going to happen to it again by itself?
    pub fn is_closed(&self) -> bool {
        matches!(self.phase, Phase::Cancelled { .. } | Phase::Done { .. })
    }
    /// The job under way.
    pub fn job(&self) -> Option<Seq> {
        match self.phase {
            Phase::Working { job, .. } | Phase::Stopping { job, .. } => Some(job),
            Phase::Idle
            | Phase::Waiting { .. }
            | Phase::Blocked { .. }
            | Phase::Cancelled { .. }
            | Phase::Done { .. } => None,
        }
    }
    /// When the task wants to be woken.
    pub fn wake_at(&self) -> Option<Time> {
        match self.phase {
            Phase::Waiting { until, recheck, .. } => {
                let until = if self.wait.hold.is_some_and(|h| h.told) { None } else { until };
                match (until, recheck) {
                    (Some(a), Some(b)) => Some(a.min(b)),
                    (a, b) => a.or(b),
                }
            }
            Phase::Idle
            | Phase::Working { .. }
            | Phase::Stopping { .. }
            | Phase::Blocked { .. }
            | Phase::Cancelled { .. }
            | Phase::Done { .. } => None,
        }
    }
    /// May a merge have happened that nobody has seen yet? Then the lease stays and a cancel has to wait.
    pub fn merge_unknown(&self) -> bool {
        matches!(self.phase, Phase::Blocked { why: BlockReason::JobFailed { .. }, retry, .. } if retry == self.at)
            && matches!(self.step(), Some(Step::Merge))
            && self.landing.merged.is_none()
            && self.branch.pull_request.is_some()
            && self.landing.intent.as_ref().is_some_and(|i| Some(&i.head) == self.branch.head.as_ref())
    }
    /// Is the merge it stands at one that an earlier job may have asked for already?
    pub fn merge_is_asked_again(&self) -> bool {
        self.landing.asked && matches!(self.step(), Some(Step::Merge))
    }
    /// Revisions of this task that failed in production and keep later ones from there, each with what repairs it or takes it
    /// back, once that has landed: a revision with it may go. `just_failed`: its hook has failed, and its gate has not
    /// spoken yet. A repair that fails as well leaves what it was to repair where it was.
    pub fn production_holds(&self, just_failed: Option<&Sha>) -> Vec<(Sha, Option<Sha>)> {
        let mut holds: Vec<(Sha, Option<Sha>)> = Vec::new();
        if !self.is_closed() && !matches!(self.step(), Some(Step::Watch)) {
            let failed: Vec<&Sha> = self.production.failures.iter().map(|failure| &failure.merged.commit).collect();
            let merged = self.landing.merged.as_ref().map(|merged| &merged.commit);
            for (n, commit) in failed.iter().enumerate() {
                let repair = failed[n..].iter().copied().chain(merged).find(|later| later != commit);
                holds.push(((*commit).clone(), repair.cloned()));
            }
            holds.extend(merged.filter(|_| self.production.rolling_back).map(|commit| (commit.clone(), None)));
        }
        holds.extend(just_failed.map(|commit| (commit.clone(), None)));
        holds
    }
    /// Directory of its artefacts in the repository.
    pub fn artefact_dir(&self) -> String {
        format!("docs/work-items/{}", self.work_item)
    }
    /// Has this exact thing been approved?
    pub fn approved(&self, what: ApprovalKind, subject: &str) -> Option<&Approval> {
        self.approvals.iter().rev().find(|a| a.what == what && a.subject == subject)
    }
    /// The phase as tables and the API tell it.
    pub fn phase_kind(&self) -> PhaseKind {
        match &self.phase {
            Phase::Idle => PhaseKind::Idle,
            Phase::Working { .. } if self.production.rolling_back => PhaseKind::RollingBack,
            Phase::Working { .. } if self.asked().is_some() => PhaseKind::AwaitingApproval,
            Phase::Working { .. } => match self.step() {
                Some(Step::Open) => PhaseKind::Opening,
                Some(Step::Agent { .. }) if self.branch.head.is_none() => PhaseKind::Opening,
                Some(Step::Agent { .. }) => PhaseKind::Running,
                Some(Step::Publish | Step::PullRequest) => PhaseKind::Publishing,
                Some(Step::Gate { .. }) => PhaseKind::Judging,
                Some(Step::Deploy { .. } | Step::Restage) => PhaseKind::Deploying,
                Some(Step::Update) => PhaseKind::PreparingMerge,
                Some(Step::Merge) => PhaseKind::Merging,
                Some(Step::ApproveProduction) => PhaseKind::Approving,
                Some(Step::Watch) => PhaseKind::Watching,
                None => PhaseKind::Working,
            },
            Phase::Waiting { why, .. } => match why {
                WaitReason::Report { .. } => PhaseKind::Waiting,
                WaitReason::CannotTell { .. } => PhaseKind::Holding,
                WaitReason::Approval { .. } => PhaseKind::AwaitingApproval,
                WaitReason::Answer { .. } | WaitReason::Unable { .. } => PhaseKind::NeedsInput,
                WaitReason::Lease { .. } => PhaseKind::WaitingForLease,
                WaitReason::Production { .. } => PhaseKind::ProductionFailed,
                WaitReason::Held { .. } => PhaseKind::HeldBack,
                WaitReason::OnHold => PhaseKind::OnHold,
                WaitReason::After { .. } => PhaseKind::WaitingForOthers,
            },
            Phase::Stopping { .. } => PhaseKind::Stopping,
            Phase::Blocked { .. } => PhaseKind::Blocked,
            Phase::Cancelled { .. } => PhaseKind::Cancelled,
            Phase::Done { .. } => PhaseKind::Done,
        }
    }
    /// One word for it.
    pub fn phase_word(&self) -> &'static str {
        self.phase_kind().as_str()
    }
}
