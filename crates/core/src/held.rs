//! A task that a person holds: which of its jobs must not begin. The store, the runner and the simulation ask here, so that no
//! way of beginning a job forgets the hold: a fresh one, one that goes back for another attempt, and one that a dead worker
//! left.

use crate::effect::Effect;
use crate::ids::Seq;
use crate::task::{Phase, Task};

impl Task {
    /// A job of this task is queued: must it not begin, because a person holds the task? `claims`: how often it was claimed
    /// so far; `open_run`: is there a program of it whose end was not written down? What is under way outside is finished:
    /// such a program, a merge that may have been asked for, a deploy or a watch that was begun, and bringing production back.
    pub fn holds_back(&self, job: Seq, effect: &Effect, claims: u64, open_run: bool) -> bool {
        let waits_for_it = matches!(self.phase, Phase::Working { job: mine, .. } if mine == job);
        self.wait.on_hold.is_some() && waits_for_it && !self.is_begun(effect, claims, open_run)
    }

    /// Is this job of the task under way outside, so that it has to be finished whatever stops the rest? See
    /// [`Task::holds_back`].
    pub fn is_begun(&self, effect: &Effect, claims: u64, open_run: bool) -> bool {
        match effect {
            Effect::Merge { .. } => 0 < claims || self.merge_is_asked_again(),
            Effect::Rollback { .. } => true,
            // Between its hook and its check nothing runs, and a watch has no program; both are half done all the same.
            Effect::Deploy { .. } | Effect::Watch { .. } => open_run || 0 < claims,
            _ => open_run,
        }
    }
}
