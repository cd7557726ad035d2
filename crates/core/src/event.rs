//! What can happen to a task. Webhook, poller, timer, button and command line all end here.

use crate::effect::Outcome;
use crate::ids::{Actor, GateId, Seq};
use crate::task::WayOut;
use serde::{Deserialize, Serialize};

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// Somebody wants it worked on.
    Started {
        /// Who.
        by: Actor,
    },
    /// A job of the task ended.
    JobEnded {
        /// Which.
        job: Seq,
        /// How.
        outcome: Outcome,
    },
    /// A time the task asked to be woken at has come.
    TimerFired,
    /// Something the task may be waiting for has changed outside: look now.
    Nudged {
        /// What changed, for the journal.
        what: String,
    },
    /// The merge lease of the repository is free.
    LeaseFreed,
    /// A person approved.
    Approved {
        /// Who.
        by: Actor,
        /// Which gate they named, if they named one.
        gate: Option<GateId>,
        /// What they saw, if they said so; must still be what is shown.
        subject: Option<String>,
    },
    /// A person refused.
    Rejected {
        /// Who.
        by: Actor,
        /// Why, word for word.
        comment: String,
    },
    /// A person answered a question.
    Answered {
        /// Who.
        by: Actor,
        /// The answer.
        text: String,
    },
    /// A person wants it ended.
    CancelAsked {
        /// Who.
        by: Actor,
    },
    /// A person wants a blocked task to go on.
    RetryAsked {
        /// Who.
        by: Actor,
    },
    /// A person chooses what becomes of a merged change that production did not take.
    WayChosen {
        /// Who.
        by: Actor,
        /// Which way.
        way: WayOut,
    },
    /// The ticket's text changed.
    TicketEdited {
        /// Title now.
        title: String,
        /// Text now.
        body: String,
    },
}

impl Event {
    /// Who did it, if a person did.
    pub fn actor(&self) -> Option<&Actor> {
        match self {
            Self::Started { by }
            | Self::Approved { by, .. }
            | Self::Rejected { by, .. }
            | Self::Answered { by, .. }
            | Self::CancelAsked { by }
            | Self::RetryAsked { by }
            | Self::WayChosen { by, .. } => Some(by),
            Self::JobEnded { .. }
            | Self::TimerFired
            | Self::Nudged { .. }
            | Self::LeaseFreed
            | Self::TicketEdited { .. } => None,
        }
    }

    /// Its name in the journal.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Started { .. } => "started",
            Self::JobEnded { .. } => "job_ended",
            Self::TimerFired => "timer_fired",
            Self::Nudged { .. } => "nudged",
            Self::LeaseFreed => "lease_freed",
            Self::Approved { .. } => "approved",
            Self::Rejected { .. } => "rejected",
            Self::Answered { .. } => "answered",
            Self::CancelAsked { .. } => "cancel_asked",
            Self::RetryAsked { .. } => "retry_asked",
            Self::WayChosen { .. } => "way_chosen",
            Self::TicketEdited { .. } => "ticket_edited",
        }
    }
}
