//! A task's own pull request that somebody else has merged. It is on main, whatever anybody thinks of it; what is open is
//! whether the task goes on from there by itself, or a person is asked first.

use crate::ids::{Actor, Digest, Sha};
use crate::policy::{Act, Policy};
use serde::{Deserialize, Serialize};

/// What is known of such a merge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Landed {
    /// Commit on the default branch.
    pub commit: Sha,
    /// Its tree.
    pub tree: Digest,
    /// Head of the branch that was merged.
    pub head: Sha,
    /// Who merged it; nothing: nobody says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Actor>,
    /// Has exactly this code passed the tests and CI of the task?
    pub tested: bool,
}

impl Landed {
    /// Is it taken as the task's merge without a question? Only where a person who may approve has merged what was tested.
    pub fn counts(&self, policy: &Policy) -> bool {
        self.tested && self.by.as_ref().is_some_and(|by| policy.may(by, Act::Approve))
    }

    /// What a person is asked about, a line each.
    pub fn shown(&self, policy: &Policy) -> Vec<String> {
        let who = match &self.by {
            None => "the forge does not say who merged it".to_owned(),
            Some(by) if policy.may(by, Act::Approve) => format!("{by} merged it"),
            Some(by) => format!("{by} merged it, who may not approve tasks of this project"),
        };
        let what = if self.tested {
            "exactly this code has passed its tests"
        } else {
            "this is not the code that has passed its tests"
        };
        vec![who, what.to_owned()]
    }
}
