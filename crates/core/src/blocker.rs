//! What holds the start of a task: others that are to be over first.

use crate::ids::WorkItem;
use serde::{Deserialize, Serialize};

/// A task that is to be over before another one starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blocker {
    /// Which.
    pub item: WorkItem,
    /// How it stands.
    pub state: BlockerState,
}

/// Why a blocker still holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum BlockerState {
    /// It is not over.
    Open,
    /// There is no such task any more.
    Gone,
    /// It waits for the task that waits for it.
    Cycle {
        /// From the task to itself again.
        path: Vec<WorkItem>,
    },
}

impl Blocker {
    /// One that is not over, as far as is known.
    pub fn open(item: &WorkItem) -> Self {
        Self { item: item.clone(), state: BlockerState::Open }
    }

    /// `SHOP-2`, with what is wrong where something is.
    pub fn line(&self) -> String {
        let item = &self.item;
        match &self.state {
            BlockerState::Open => item.to_string(),
            BlockerState::Gone => format!("{item}, which is gone"),
            BlockerState::Cycle { path } => format!("{item}, which waits for it in turn ({})", cycle(path)),
        }
    }
}

/// A cycle, spelled out.
pub fn cycle(path: &[WorkItem]) -> String {
    path.iter().map(WorkItem::as_str).collect::<Vec<_>>().join(" -> ")
}
