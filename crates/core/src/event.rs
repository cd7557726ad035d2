//! What can happen to a task. Webhook, poller, timer, button and command line all end here.

use crate::effect::Outcome;
use crate::ids::{Actor, Digest, GateId, Seq, Sha, WorkItem};
use crate::task::{Blocker, NewTask, WayOut};
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
        /// What they add for the ticket.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        comment: Option<String>,
    },
    /// A person has something to say: it goes to the ticket, and into the next brief.
    Commented {
        /// Who.
        by: Actor,
        /// What.
        text: String,
    },
    /// A person says how early its jobs go.
    Prioritised {
        /// Who.
        by: Actor,
        /// More goes first.
        priority: i32,
    },
    /// A person holds it: what is under way is finished, and nothing new begins.
    PutOnHold {
        /// Who.
        by: Actor,
        /// Why.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// A person lets it go on.
    Released {
        /// Who.
        by: Actor,
    },
    /// A person changes the ticket's text; what is not given stays.
    EditAsked {
        /// Who.
        by: Actor,
        /// Title from now on.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        title: Option<String>,
        /// Text from now on.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        body: Option<String>,
    },
    /// A person says that it is finished outside of orch.
    FinishAsked {
        /// Who.
        by: Actor,
        /// Why.
        reason: String,
    },
    /// A person says which tasks are to be over before it starts.
    AfterSet {
        /// Who.
        by: Actor,
        /// These too.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        add: Vec<WorkItem>,
        /// These no more.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        remove: Vec<WorkItem>,
    },
    /// A person has put a file to its ticket.
    Attached {
        /// Who.
        by: Actor,
        /// Its name.
        name: String,
        /// Bytes.
        size: u64,
        /// SHA-256, hexadecimal.
        sha256: String,
    },
    /// orch has looked at the tasks that are to be over before it starts.
    BlockersSeen {
        /// Those that are not.
        open: Vec<Blocker>,
        /// All that were looked at. Of what was added since, nothing is known.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        looked_at: Vec<WorkItem>,
    },
    /// A person begins again what was over, with its ticket and its project's pipeline as they are today.
    BegunAgain {
        /// Who.
        by: Actor,
        /// What is known of the ticket now.
        ticket: Box<NewTask>,
    },
    /// A person wants what is merged taken back.
    RevertAsked {
        /// Who.
        by: Actor,
        /// Why.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// orch met something about the task that people should know, once per key.
    Noticed {
        /// Key.
        key: String,
        /// For people.
        text: String,
    },
    /// A person refused.
    Rejected {
        /// Who.
        by: Actor,
        /// Which gate they named, if they named one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        gate: Option<GateId>,
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
    /// A person wants their branch landed as it stands now, in place of what was taken of it before.
    LandAsked {
        /// Who.
        by: Actor,
        /// The commit it stands at.
        head: Sha,
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
    /// Somebody else has moved the default branch, and this task's merge is prepared on top of it.
    MainMoved {
        /// Where it is now.
        tip: Sha,
        /// What came in, a line each.
        shown: Vec<String>,
    },
    /// Somebody else has merged the task's pull request.
    Landed {
        /// Commit on the default branch.
        commit: Sha,
        /// Its tree.
        tree: Digest,
        /// Head of the branch that was merged.
        head: Sha,
        /// Who; nothing: nobody says.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<Actor>,
        /// Has exactly this code passed the tests and CI of the task?
        tested: bool,
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
            | Self::Commented { by, .. }
            | Self::Prioritised { by, .. }
            | Self::PutOnHold { by, .. }
            | Self::Released { by }
            | Self::EditAsked { by, .. }
            | Self::FinishAsked { by, .. }
            | Self::RevertAsked { by, .. }
            | Self::BegunAgain { by, .. }
            | Self::AfterSet { by, .. }
            | Self::Attached { by, .. }
            | Self::CancelAsked { by }
            | Self::RetryAsked { by }
            | Self::LandAsked { by, .. }
            | Self::WayChosen { by, .. } => Some(by),
            Self::Landed { by, .. } => by.as_ref(),
            Self::JobEnded { .. }
            | Self::TimerFired
            | Self::Nudged { .. }
            | Self::LeaseFreed
            | Self::Noticed { .. }
            | Self::BlockersSeen { .. }
            | Self::TicketEdited { .. }
            | Self::MainMoved { .. } => None,
        }
    }

    /// Who did it, to be called otherwise.
    pub fn actor_mut(&mut self) -> Option<&mut Actor> {
        match self {
            Self::Started { by }
            | Self::Approved { by, .. }
            | Self::Rejected { by, .. }
            | Self::Answered { by, .. }
            | Self::Commented { by, .. }
            | Self::Prioritised { by, .. }
            | Self::PutOnHold { by, .. }
            | Self::Released { by }
            | Self::EditAsked { by, .. }
            | Self::FinishAsked { by, .. }
            | Self::RevertAsked { by, .. }
            | Self::BegunAgain { by, .. }
            | Self::AfterSet { by, .. }
            | Self::Attached { by, .. }
            | Self::CancelAsked { by }
            | Self::RetryAsked { by }
            | Self::LandAsked { by, .. }
            | Self::WayChosen { by, .. } => Some(by),
            Self::Landed { by, .. } => by.as_mut(),
            Self::JobEnded { .. }
            | Self::TimerFired
            | Self::Nudged { .. }
            | Self::LeaseFreed
            | Self::Noticed { .. }
            | Self::BlockersSeen { .. }
            | Self::TicketEdited { .. }
            | Self::MainMoved { .. } => None,
        }
    }

    /// Is it only said of the task, or told people? Nothing goes on by it.
    pub fn is_said(&self) -> bool {
        matches!(
            self,
            Self::Commented { .. }
                | Self::Prioritised { .. }
                | Self::Noticed { .. }
                | Self::Attached { .. }
                | Self::EditAsked { .. }
        )
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
            Self::Commented { .. } => "commented",
            Self::Prioritised { .. } => "prioritised",
            Self::PutOnHold { .. } => "put_on_hold",
            Self::Released { .. } => "released",
            Self::EditAsked { .. } => "edit_asked",
            Self::FinishAsked { .. } => "finish_asked",
            Self::RevertAsked { .. } => "revert_asked",
            Self::BegunAgain { .. } => "begun_again",
            Self::AfterSet { .. } => "after_set",
            Self::Attached { .. } => "attached",
            Self::BlockersSeen { .. } => "blockers_seen",
            Self::Noticed { .. } => "noticed",
            Self::CancelAsked { .. } => "cancel_asked",
            Self::RetryAsked { .. } => "retry_asked",
            Self::LandAsked { .. } => "land_asked",
            Self::WayChosen { .. } => "way_chosen",
            Self::TicketEdited { .. } => "ticket_edited",
            Self::MainMoved { .. } => "main_moved",
            Self::Landed { .. } => "landed",
        }
    }
}
