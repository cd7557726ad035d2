//! What people approve. An approval is bound to exactly what was shown: what can change after the yes has another subject.

use crate::ids::{Actor, Time};
use serde::{Deserialize, Serialize};

/// What can be approved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ApprovalKind {
    /// The analysis artefacts, by their digest.
    Analysis,
    /// A production deploy, by revision.
    Production,
    /// Changes of protected paths and tests that were taken away, by their digest.
    Protected,
    /// A default branch that somebody else has moved, by its tip. It counts for every task of the project.
    Main,
    /// A merge of the task's pull request that orch did not ask for, by its commit.
    Landed,
    /// A ticket that is to repair what fails on the default branch, by what fails there.
    Base,
    /// That nothing has to be changed, as the developer declares it and the reviewer judged it, by the head and the run.
    NoChange,
}

impl ApprovalKind {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Analysis => "analysis",
            Self::Production => "production",
            Self::Protected => "protected changes",
            Self::Main => "main as somebody else moved it",
            Self::Landed => "merge by somebody else",
            Self::Base => "repair of what fails on the default branch",
            Self::NoChange => "declaration that nothing has to be changed",
        }
    }
}

/// An approval and what it is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// Which decision.
    pub what: ApprovalKind,
    /// Exactly what was shown.
    pub subject: String,
    /// By whom.
    pub by: Actor,
    /// When.
    pub at: Time,
}

/// What a person is asked to approve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked<'a> {
    /// Which decision.
    pub what: ApprovalKind,
    /// Exactly what is shown: an approval is for this and nothing else.
    pub subject: &'a str,
    /// The same in words, a line each.
    pub shown: &'a [String],
}
