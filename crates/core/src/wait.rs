//! How long a task has been waiting at its step, and for whose words: what outlasts a single look.

use crate::ids::{Actor, Time, WorkItem};
use crate::pipeline::Cursor;
use crate::stored::is_default;
use crate::word::Word;
use serde::{Deserialize, Serialize};

/// What is kept about a wait beside the phase.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Wait {
    /// Since when this very step has been waiting, kept over re-checks.
    #[serde(skip_serializing_if = "is_default")]
    pub hold: Option<Hold>,
    /// The wait of a gate behind `Update` while the merge is prepared again for it: without this every preparation would
    /// start the wait anew and no person would ever be notified.
    #[serde(skip_serializing_if = "is_default")]
    pub unsure: Option<Unsure>,
    /// A question an agent asked that waits for its answer.
    #[serde(skip_serializing_if = "is_default")]
    pub question: Option<String>,
    /// What the agent of this turn said of its work, until that is published.
    #[serde(skip_serializing_if = "is_default")]
    pub said: Option<Word>,
    /// Tasks that are to be over before it starts; emptied when it does.
    #[serde(skip_serializing_if = "is_default")]
    pub after: Vec<WorkItem>,
    /// What is red on the default branch and was shown to people, also while it is looked at again.
    #[serde(skip_serializing_if = "is_default")]
    pub base: Option<RedBase>,
    /// A person holds it: what is under way is finished, and nothing new begins.
    #[serde(skip_serializing_if = "is_default")]
    pub on_hold: Option<OnHold>,
}

/// A default branch that fails by itself, as people were told of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RedBase {
    /// Digest of what fails.
    pub subject: String,
    /// What was run, how it ended, and what failed, a line each.
    pub shown: Vec<String>,
    /// A person has said no to it, and the look under way is being stopped for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejected: Option<Rejected>,
}

/// A person's no.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejected {
    /// Who.
    pub by: Actor,
    /// Why, in their words.
    pub comment: String,
}

/// That a person holds a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OnHold {
    /// Who.
    pub by: Actor,
    /// Since when.
    pub since: Time,
    /// Why, in their words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A wait that lasts over several looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Since when.
    pub since: Time,
    /// Has a person been told that it takes too long?
    pub told: bool,
    /// Has a person been asked for what this waits for?
    #[serde(default)]
    pub asked: bool,
}

/// A wait that is kept while the merge is prepared again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unsure {
    /// The gate that waits.
    pub at: Cursor,
    /// How long it has, and what was said about it.
    pub hold: Hold,
}
