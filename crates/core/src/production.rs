//! What production did not take: the record of a failure, the four ways out of it, and which of them a person took. Decides
//! nothing; `decide/production.rs` does.

use crate::ids::{Actor, Seq, Sha, Time};
use crate::landing::Merged;
use crate::stored::is_default;
use serde::{Deserialize, Serialize};

/// Begins the heading, in a log of a deploy, over what its hook or its check printed.
pub const LAST_LINES: &str = "## Last lines of the ";

/// How a task stands in production.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Production {
    /// Is the job under way a rollback of production, not what the step usually does?
    #[serde(skip_serializing_if = "is_default")]
    pub rolling_back: bool,
    /// Why the last deploy did nothing, if it did nothing.
    #[serde(skip_serializing_if = "is_default")]
    pub not_deployed: Vec<String>,
    /// What of it production did not take, oldest first, and what a person said to each.
    #[serde(skip_serializing_if = "is_default")]
    pub failures: Vec<ProductionFailure>,
    /// Hooks of earlier jobs than this one do not count for the revision any more: a person wants it deployed again, or it
    /// came back to the stage.
    #[serde(skip_serializing_if = "is_default")]
    pub hooks_from: Seq,
    /// What this generation takes back, if it does.
    #[serde(skip_serializing_if = "is_default")]
    pub reverting: Option<Reverting>,
}

/// The ways out for what production did not take. The same words everywhere: command line, API, pages, tickets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WayOut {
    /// Deploy the same revision again.
    Deploy,
    /// Back to development, with the log in the brief.
    Repair,
    /// Take the change back, through the same gates.
    Revert,
    /// Leave production as it is.
    Accept,
}

impl WayOut {
    /// All of them, in the order in which they are offered.
    pub const ALL: &'static [Self] = &[Self::Deploy, Self::Repair, Self::Revert, Self::Accept];
    /// The words as a choice.
    pub const CHOICE: &'static str = "deploy|repair|revert|accept";
    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deploy => "deploy",
            Self::Repair => "repair",
            Self::Revert => "revert",
            Self::Accept => "accept",
        }
    }
    /// The way with this word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|way| way.as_str() == word.trim())
    }
    /// What it does, in a few words.
    pub fn means(self) -> &'static str {
        match self {
            Self::Deploy => "the same revision is deployed again",
            Self::Repair => "back to development, with the log in the brief",
            Self::Revert => "the change is taken back, through the same gates",
            Self::Accept => "production stays as it is",
        }
    }
    /// The four ways in a line: `deploy (...), repair (...)`.
    pub fn offer() -> String {
        let each: Vec<String> = Self::ALL.iter().map(|way| format!("{} ({})", way.as_str(), way.means())).collect();
        each.join(", ")
    }
}

/// A merged revision that production did not take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProductionFailure {
    /// What was merged.
    pub merged: Merged,
    /// The tip of the default branch before that merge, if it is known: what `revert` goes back to.
    pub base: Option<Sha>,
    /// Why: the last lines of what was printed.
    pub cause: String,
    /// What production ran afterwards.
    pub now: String,
    /// When it was known.
    pub at: Time,
    /// What a person said to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<WayTaken>,
    /// Nothing of it failed there: a person stopped it on its way.
    #[serde(default, skip_serializing_if = "crate::stored::is_default")]
    pub stopped: bool,
}

/// A way out, taken by a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WayTaken {
    /// Which.
    pub way: WayOut,
    /// By whom.
    pub by: Actor,
    /// When.
    pub at: Time,
}

/// A generation that takes a merged change back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reverting {
    /// The merge that is taken back.
    pub commit: Sha,
    /// The tip of the default branch before it, if it is known.
    pub base: Option<Sha>,
    /// It conflicts with what came later: the developer takes it back by hand.
    #[serde(default)]
    pub by_hand: bool,
}
