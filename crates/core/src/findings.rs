//! What the next brief of a task must carry: findings that are open, and what people and earlier runs had to say.

use crate::ids::{Actor, Seq, Sha};
use crate::origin::Origin;
use crate::pipeline::Cursor;
use crate::remark::Remark;
use crate::stored::is_default;
use crate::verdict::Finding;
use serde::{Deserialize, Serialize};

/// What whoever works on the task next has to know.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Findings {
    /// What the next brief must carry, word for word.
    #[serde(skip_serializing_if = "is_default")]
    pub open: Vec<Finding>,
    /// Where those came from: a gate's name, a person, a hook.
    #[serde(skip_serializing_if = "is_default")]
    pub from: Option<String>,
    /// The place they were raised at: they are settled once the task is past its stage.
    #[serde(skip_serializing_if = "is_default")]
    pub at: Option<Cursor>,
    /// The same, one entry per place, for as long as each is open: a red CI must not make the next brief forget what the
    /// review said before. The three fields above are derived from it.
    #[serde(skip_serializing_if = "is_default")]
    pub raised: Vec<Raised>,
    /// Remarks for the next brief: discarded changes and the like.
    #[serde(skip_serializing_if = "is_default")]
    pub notes: Vec<Remark>,
    /// What failed on the default branch before anybody worked on it, where the ticket is to repair that.
    #[serde(skip_serializing_if = "is_default")]
    pub base: Vec<String>,
    /// Questions answered so far.
    #[serde(skip_serializing_if = "is_default")]
    pub answers: Vec<Answer>,
    /// What people had to say to whoever works on it, the newest last and not more than the newest few.
    #[serde(skip_serializing_if = "is_default")]
    pub comments: Vec<Comment>,
    /// The developer declares that nothing has to be changed.
    #[serde(skip_serializing_if = "is_default")]
    pub no_change: Option<NoChange>,
    /// The head that was sent back to the developer: a repair that leaves it as it is has changed nothing.
    #[serde(skip_serializing_if = "is_default")]
    pub refused: Option<Sha>,
    /// The last repair changed nothing, and what said no was asked once more: the same is not asked a third time.
    #[serde(skip_serializing_if = "is_default")]
    pub answered: bool,
    /// Why the task was returned to its analysis, by whom, the oldest first.
    #[serde(skip_serializing_if = "is_default")]
    pub returned: Vec<Returned>,
}

/// That nothing has to be changed, as the developer declares it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoChange {
    /// Why, in its words.
    pub reason: String,
    /// The run that said so: another declaration is another one, and what was said of this one does not count for it.
    pub run: Seq,
    /// Has the reviewer judged it?
    #[serde(default, skip_serializing_if = "is_default")]
    pub judged: bool,
}

/// A return to analysis.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Returned {
    /// The role that found the analysis wrong.
    pub by: String,
    /// Why, in its words.
    pub reason: String,
}

/// Findings that are still open, and the place that will see whether they are settled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Raised {
    /// Where they were raised.
    pub at: Cursor,
    /// By whom.
    pub from: Origin,
    /// Word for word.
    pub findings: Vec<Finding>,
}

/// An answered question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// What was asked.
    pub question: String,
    /// What was answered.
    pub answer: String,
    /// By whom.
    pub by: Actor,
}

/// What a person had to say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Comment {
    /// Who.
    pub by: Actor,
    /// What, word for word.
    pub text: String,
}
