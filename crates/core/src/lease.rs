//! Who keeps the merge lease of a repository, and who may take it away. The lease covers the steps from `Update` to the
//! read-back of `Merge`. It is kept while something with a deadline is awaited, and never while a person is, with two
//! exceptions: what landed was not what was tested, and it is not known whether anything landed. Then nobody else may merge.
//!
//! `decide` frees by it, the store renews and reclaims by it, and the simulation checks both against a rule of its own.

use crate::ids::{TaskId, Time};
use crate::pipeline::Step;
use crate::task::{BlockReason, Phase, Task, WaitReason};

/// What becomes of the lease that a task holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// It is given back.
    Free,
    /// The task is on its way to the merge. The lease is renewed, and lost when it was not.
    Renew,
    /// A merge is under way: the lease stays, whoever dies and however old it is, until the outcome is known.
    Keep,
    /// A person has to look at the default branch first: it stays until then.
    Frozen,
}

impl Hold {
    /// Does the lease stay with its holder although it was not renewed?
    pub fn outlasts_its_time(self) -> bool {
        matches!(self, Self::Keep | Self::Frozen)
    }
}

/// Proof that a task held the merge lease of its repository when a store was asked. Nothing merges a task's head without one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    task: TaskId,
    epoch: u64,
}

impl Held {
    /// For a store that has just looked, and nobody else: `clippy.toml` refuses it in other rooms.
    pub fn witnessed(task: TaskId, epoch: u64) -> Self {
        Self { task, epoch }
    }
    /// Who held it.
    pub fn task(&self) -> TaskId {
        self.task
    }
    /// The number of the taking under which it was held.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }
}

/// What becomes of the lease if this task holds it. The store asks as of the task's last decision (`updated_at`), `decide`
/// as of now: a wait for a report may have run out between the two, and is then ended by its own timer.
pub fn hold(task: &Task, now: Time) -> Hold {
    let in_span = |hold| if task.pipeline.in_lease_span(task.at) { hold } else { Hold::Free };
    match &task.phase {
        Phase::Working { .. } | Phase::Stopping { .. } => {
            in_span(if matches!(task.step(), Some(Step::Merge)) { Hold::Keep } else { Hold::Renew })
        }
        Phase::Waiting { why: WaitReason::Report { .. }, until: Some(until), .. } if now < *until => {
            in_span(Hold::Renew)
        }
        Phase::Blocked { why: BlockReason::WrongTree { .. }, .. } => Hold::Frozen,
        Phase::Blocked { .. } if task.merge_unknown() => Hold::Frozen,
        Phase::Idle | Phase::Waiting { .. } | Phase::Blocked { .. } | Phase::Cancelled { .. } | Phase::Done { .. } => {
            Hold::Free
        }
    }
}
