//! The branch a task works on: its name, where orch last pushed it, and the pull request that shows it.

use crate::ids::{Sha, WorkItem};
use crate::slug;
use crate::source::Source;
use crate::stored::is_default;
use serde::{Deserialize, Serialize};

/// A task's branch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Branch {
    /// Its name.
    pub name: String,
    /// 1, then 2 (`...-r2`) after a failure in production.
    pub generation: u32,
    /// Its head as orch last pushed it.
    #[serde(skip_serializing_if = "is_default")]
    pub head: Option<Sha>,
    /// Commit of the default branch the head contains.
    #[serde(skip_serializing_if = "is_default")]
    pub base: Option<Sha>,
    /// Commit of the default branch that was judged before it is opened: it is opened there and nowhere else.
    #[serde(skip_serializing_if = "is_default")]
    pub judged: Option<Sha>,
    /// Number of its pull request.
    #[serde(skip_serializing_if = "is_default")]
    pub pull_request: Option<u64>,
    /// Branches of earlier generations and where orch last pushed them; they are deleted with the task's own.
    #[serde(skip_serializing_if = "is_default")]
    pub old: Vec<(String, Sha)>,
    /// A person lets it go on although its branch is gone from the forge: the next push makes the branch again.
    #[serde(skip_serializing_if = "is_default")]
    pub again: bool,
    /// The person's branch that it lands a copy of; nothing: agents write what is on it.
    #[serde(skip_serializing_if = "is_default")]
    pub source: Option<Source>,
}

impl Branch {
    /// A task's first branch.
    pub fn first(work_item: &WorkItem, title: &str, source: Option<Source>) -> Self {
        let mut branch = Self { generation: 1, source, ..Self::default() };
        branch.rename(work_item, title);
        branch
    }

    /// Gives it the name that goes with its work item, title and generation.
    pub fn rename(&mut self, work_item: &WorkItem, title: &str) {
        self.name = match self.source {
            None => slug::branch(work_item, title, self.generation),
            Some(_) => slug::landing(work_item, title, self.generation),
        };
    }
}
