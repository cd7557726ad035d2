//! What a ticket and its task say to each other: what a person wants by moving a ticket, and what the ticket should show
//! of the task. The watcher of tickets, the effect that writes to the tracker, and the simulation all ask here.

use crate::budget::Sums;
use crate::event::Event;
use crate::explain;
use crate::ids::{Actor, Time, WorkItem};
use crate::policy::{Act, Policy};
use crate::task::{DoneOutcome, Phase, Task, WaitReason};
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;

/// The states orch knows, mapped to a tracker's own by `[project.states]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum TicketState {
    Backlog,
    Todo,
    InProgress,
    NeedsInput,
    AwaitingApproval,
    Approved,
    Blocked,
    Done,
    Cancelled,
}

impl TicketState {
    /// Every state.
    pub const ALL: &'static [Self] = &[
        Self::Backlog,
        Self::Todo,
        Self::InProgress,
        Self::NeedsInput,
        Self::AwaitingApproval,
        Self::Approved,
        Self::Blocked,
        Self::Done,
        Self::Cancelled,
    ];
    /// Its name: `InProgress`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Backlog => "Backlog",
            Self::Todo => "Todo",
            Self::InProgress => "InProgress",
            Self::NeedsInput => "NeedsInput",
            Self::AwaitingApproval => "AwaitingApproval",
            Self::Approved => "Approved",
            Self::Blocked => "Blocked",
            Self::Done => "Done",
            Self::Cancelled => "Cancelled",
        }
    }
    /// Reads a name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|s| s.as_str() == text)
    }
}

/// What trackers sort a board's columns by. Plane's five groups: `backlog`, `unstarted`, `started`, `completed`, `cancelled`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum StateGroup {
    Backlog,
    Unstarted,
    Started,
    Completed,
    Cancelled,
}

/// The state a ticket shows: one that orch knows, or a column of the board's own. Orch never sets the second kind.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Shown {
    /// A state that orch knows.
    Known(TicketState),
    /// Another one.
    Other {
        /// Its name on the board.
        name: String,
        /// What the tracker sorts it under.
        group: StateGroup,
    },
}

impl Shown {
    /// A column by its name; one that orch does not know is read by its group.
    pub fn of(name: &str, group: StateGroup) -> Self {
        TicketState::parse(name).map_or_else(|| Self::Other { name: name.to_owned(), group }, Self::Known)
    }
    /// Its name.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Known(state) => state.as_str(),
            Self::Other { name, .. } => name,
        }
    }
    /// Does the board say that its work is over?
    pub fn is_over(&self) -> bool {
        match self {
            Self::Known(state) => matches!(state, TicketState::Done | TicketState::Cancelled),
            Self::Other { group, .. } => matches!(group, StateGroup::Completed | StateGroup::Cancelled),
        }
    }
    /// The state of orch's that a person means by it. A column of the board's own never starts, retries or approves: what
    /// it is for is not known.
    fn meant(&self) -> Option<TicketState> {
        match self {
            Self::Known(state) => Some(*state),
            Self::Other { group, .. } => match group {
                StateGroup::Backlog => Some(TicketState::Backlog),
                StateGroup::Unstarted => Some(TicketState::Todo),
                StateGroup::Cancelled => Some(TicketState::Cancelled),
                StateGroup::Started | StateGroup::Completed => None,
            },
        }
    }
}

impl PartialEq<TicketState> for Shown {
    fn eq(&self, state: &TicketState) -> bool {
        matches!(self, Self::Known(known) if known == state)
    }
}

impl From<TicketState> for Shown {
    fn from(state: TicketState) -> Self {
        Self::Known(state)
    }
}

/// Did a person move the ticket since it was seen last? `seen` is the name of the state it was seen in, or that orch set.
/// A ticket whose mover the tracker does not name counts as moved.
pub fn is_moved(seen: Option<&str>, state: &Shown, by: Option<&Actor>) -> bool {
    seen != Some(state.as_str()) && by != Some(&Actor::orch())
}

/// What a person wants by a ticket's new state. A ticket that was never seen before has not been moved *back* to where it
/// is: its task may have been started elsewhere. Nor has one that was moved (`at`) before its task was over. Where the
/// tracker does not name the mover, it is [`Actor::unknown`], who may do nothing.
pub fn intent(state: &Shown, by: Option<&Actor>, task: Option<&Task>, seen_before: bool, at: Time) -> Option<Event> {
    let by = by.cloned().unwrap_or_else(Actor::unknown);
    match (state.meant()?, task.map(|task| &task.phase)) {
        (TicketState::InProgress, None | Some(Phase::Idle)) => Some(Event::Started { by }),
        (TicketState::InProgress, Some(Phase::Cancelled { since, .. } | Phase::Done { since, .. })) => {
            (seen_before && *since < at).then_some(Event::Started { by })
        }
        (
            TicketState::InProgress,
            Some(
                Phase::Blocked { .. }
                | Phase::Waiting { why: WaitReason::Production { .. } | WaitReason::Unable { .. }, .. },
            ),
        ) => Some(Event::RetryAsked { by }),
        (TicketState::Approved, Some(_)) if task.is_some_and(|task| task.asked().is_some()) => {
            Some(Event::Approved { by, gate: None, subject: None, comment: None })
        }
        (TicketState::Backlog | TicketState::Todo, _) if !seen_before => None,
        (TicketState::Cancelled | TicketState::Backlog | TicketState::Todo, Some(phase)) => match phase {
            Phase::Idle | Phase::Cancelled { .. } | Phase::Done { .. } => None,
            Phase::Working { .. } | Phase::Waiting { .. } | Phase::Stopping { .. } | Phase::Blocked { .. } => {
                Some(Event::CancelAsked { by })
            }
        },
        _ => None,
    }
}

/// What is written under a ticket whose move was not followed, and shown by `orch why`. `why` is the core's refusal.
pub fn refusal(wanted: &Event, item: &WorkItem, policy: &Policy, why: &str) -> String {
    let (what, command) = match wanted {
        Event::Started { .. } => ("started", format!("orch task start {item}")),
        Event::RetryAsked { .. } => ("tried again", format!("orch task retry {item}")),
        Event::Approved { .. } => ("approved", format!("orch approve {item}")),
        Event::CancelAsked { .. } => ("cancelled", format!("orch task cancel {item}")),
        _ => ("followed", format!("orch why {item}")),
    };
    let may = match wanted {
        Event::Approved { by, .. } => policy.may(by, Act::Approve),
        Event::Started { by } | Event::RetryAsked { by } | Event::CancelAsked { by } => policy.may(by, Act::Start),
        _ => true,
    };
    let way = if may { String::new() } else { format!(". One of them says `{command}`, or moves the ticket") };
    format!("Not {what}: {why}{way}")
}

/// What a task has to be told of its ticket's words, if they are not those it knows. A closed task is told nothing.
pub fn edit(task: &Task, title: &str, body: &str) -> Option<Event> {
    let differs = task.title != title || task.body != body;
    (differs && !task.is_closed()).then(|| Event::TicketEdited { title: title.to_owned(), body: body.to_owned() })
}

/// The ticket's state; `None` leaves it to the person who moves it.
pub fn state(task: &Task) -> Option<TicketState> {
    Some(match &task.phase {
        _ if task.asked().is_some() => TicketState::AwaitingApproval,
        Phase::Idle => return None,
        Phase::Working { .. } | Phase::Stopping { .. } => TicketState::InProgress,
        Phase::Waiting { why, .. } => match why {
            WaitReason::Approval { .. } => TicketState::AwaitingApproval,
            WaitReason::Answer { .. } | WaitReason::Unable { .. } => TicketState::NeedsInput,
            WaitReason::Production { .. } => TicketState::Blocked,
            WaitReason::Report { .. }
            | WaitReason::CannotTell { .. }
            | WaitReason::Lease { .. }
            | WaitReason::Held { .. }
            | WaitReason::After { .. }
            | WaitReason::OnHold => TicketState::InProgress,
        },
        Phase::Cancelled { .. } | Phase::Done { outcome: DoneOutcome::Reverted, .. } => TicketState::Cancelled,
        Phase::Done { outcome, .. } if outcome.is_well() => TicketState::Done,
        Phase::Blocked { .. } | Phase::Done { outcome: DoneOutcome::RolledBack, .. } => TicketState::Blocked,
        Phase::Done { .. } => TicketState::Done,
    })
}

/// The living comment on the ticket: where the task is, what ends its wait, and the command for it.
pub fn comment(task: &Task, cost: &Sums) -> String {
    let mut text =
        format!("**{}** — stage **{}**, {}\n\n", task.work_item, task.stage(), task.phase_word().replace('_', " "));
    let _ = writeln!(text, "{}", explain::line(task));
    if let Some(waiting) = explain::explain(task) {
        let _ = writeln!(text, "Ends when: {}.", waiting.ends_when);
        if let Some(command) = waiting.command {
            let _ = writeln!(text, "`{command}`");
        }
    }
    let _ = writeln!(text, "\nBranch `{}`", task.branch.name);
    if let Some(source) = &task.branch.source {
        let _ = writeln!(text, "Lands {} of a person's branch", source.head.short());
    }
    if let Some(number) = task.branch.pull_request {
        let _ = writeln!(text, "Pull request {number}");
    }
    if let Some(merged) = &task.landing.merged {
        let _ = writeln!(text, "Merged as {}", merged.commit.short());
    }
    let _ = writeln!(text, "Repairs {}; cost {} USD", task.spent.rounds, cost.spent());
    text
}
