//! The phases of a task by their names.

use std::fmt;

/// What a task is doing, as tables, filters and the API tell it: a phase and, where it works, the kind of its step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PhaseKind {
    /// Not begun.
    Idle,
    /// Production goes back.
    RollingBack,
    /// A person is asked for a yes.
    AwaitingApproval,
    /// Its branch is made.
    Opening,
    /// An agent works.
    Running,
    /// What an agent left is pushed.
    Publishing,
    /// A gate looks.
    Judging,
    /// A hook of the project runs.
    Deploying,
    /// Its branch is brought to main.
    PreparingMerge,
    /// The forge is asked to merge.
    Merging,
    /// Production is asked for.
    Approving,
    /// Production is watched.
    Watching,
    /// A job of no step.
    Working,
    /// A gate waits.
    Waiting,
    /// A gate cannot tell.
    Holding,
    /// An agent asks, or cannot go on.
    NeedsInput,
    /// Another task merges.
    WaitingForLease,
    /// It failed in production.
    ProductionFailed,
    /// Production holds a failure.
    HeldBack,
    /// A person holds it.
    OnHold,
    /// Other tasks come first.
    WaitingForOthers,
    /// What runs is ended.
    Stopping,
    /// A person has to act.
    Blocked,
    /// A person ended it.
    Cancelled,
    /// It is over.
    Done,
}

impl PhaseKind {
    /// Its name, which is stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::RollingBack => "rolling_back",
            Self::AwaitingApproval => "awaiting_approval",
            Self::Opening => "opening",
            Self::Running => "running",
            Self::Publishing => "publishing",
            Self::Judging => "judging",
            Self::Deploying => "deploying",
            Self::PreparingMerge => "preparing_merge",
            Self::Merging => "merging",
            Self::Approving => "approving",
            Self::Watching => "watching",
            Self::Working => "working",
            Self::Waiting => "waiting",
            Self::Holding => "holding",
            Self::NeedsInput => "needs_input",
            Self::WaitingForLease => "waiting_for_lease",
            Self::ProductionFailed => "production_failed",
            Self::HeldBack => "held_back",
            Self::OnHold => "on_hold",
            Self::WaitingForOthers => "waiting_for_others",
            Self::Stopping => "stopping",
            Self::Blocked => "blocked",
            Self::Cancelled => "cancelled",
            Self::Done => "done",
        }
    }
}

impl fmt::Display for PhaseKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
