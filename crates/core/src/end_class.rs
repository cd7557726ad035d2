//! The classes of ends that an agent's run may have. What each of them means is said in one table, in `agent_end`.

use crate::pauses::Pauses;
use serde::{Deserialize, Serialize};

/// Class of a run's end, as its program tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndClass {
    /// The turn is over.
    Finished,
    /// It asks a person something.
    Question,
    /// It says that it cannot do its work.
    Unable,
    /// It failed, and nothing says why.
    Failed,
    /// A passing fault that the program does not name.
    Passing,
    /// The service takes fewer requests than were sent.
    RateLimit,
    /// The service has no room, or is broken.
    Overloaded,
    /// The service cannot be reached.
    Network,
    /// What the account may use is used up, until a time.
    UsageLimit,
    /// The service knows the account, and wants money.
    Billing,
    /// The service does not take the key, or there is none.
    Auth,
    /// The program ended without a word.
    Crash,
    /// It lived past its deadline.
    Deadline,
    /// It said nothing for too long.
    Silence,
    /// It was stopped on demand.
    Stopped,
    /// It used all of its turns.
    TurnLimit,
    /// It used all that it may use.
    BudgetLimit,
    /// What it sent, or wanted to say, is larger than the model takes.
    TooBig,
    /// The service did not understand the request.
    BadRequest,
    /// The model refuses to work on this.
    Refusal,
    /// The session that was to go on is not there.
    SessionLost,
    /// Its tools refused what its role needs: a fault of the configuration.
    ToolRefused,
    /// It cannot be started as it is configured.
    Configuration,
    /// It ended in a way that is not known.
    Unknown,
}

/// First pauses of a job until an agent is started again: a start is not a fetch.
const PAUSES: i64 = 30;

impl EndClass {
    /// Every class.
    pub const ALL: [Self; 24] = [
        Self::Finished,
        Self::Question,
        Self::Unable,
        Self::Failed,
        Self::Passing,
        Self::RateLimit,
        Self::Overloaded,
        Self::Network,
        Self::UsageLimit,
        Self::Billing,
        Self::Auth,
        Self::Crash,
        Self::Deadline,
        Self::Silence,
        Self::Stopped,
        Self::TurnLimit,
        Self::BudgetLimit,
        Self::TooBig,
        Self::BadRequest,
        Self::Refusal,
        Self::SessionLost,
        Self::ToolRefused,
        Self::Configuration,
        Self::Unknown,
    ];

    /// Pauses before the next try, in those of any job: an agent is put off for 30 s where a job is for 1 s, up to the same
    /// longest pause; after a rate limit for twice as long, and up to half as long again.
    pub fn pauses(self, job: Pauses) -> Pauses {
        match self {
            Self::SessionLost => job,
            Self::RateLimit => Pauses { max_ms: job.max_ms.saturating_add(job.max_ms / 2), ..job.times(2 * PAUSES) },
            _ => job.times(PAUSES),
        }
    }

    /// As it is stored and shown: `rate_limit`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Finished => "finished",
            Self::Question => "question",
            Self::Unable => "unable",
            Self::Failed => "failed",
            Self::Passing => "passing",
            Self::RateLimit => "rate_limit",
            Self::Overloaded => "overloaded",
            Self::Network => "network",
            Self::UsageLimit => "usage_limit",
            Self::Billing => "billing",
            Self::Auth => "auth",
            Self::Crash => "crash",
            Self::Deadline => "deadline",
            Self::Silence => "silence",
            Self::Stopped => "stopped",
            Self::TurnLimit => "turn_limit",
            Self::BudgetLimit => "budget_limit",
            Self::TooBig => "too_big",
            Self::BadRequest => "bad_request",
            Self::Refusal => "refusal",
            Self::SessionLost => "session_lost",
            Self::ToolRefused => "tool_refused",
            Self::Configuration => "configuration",
            Self::Unknown => "unknown",
        }
    }
}
