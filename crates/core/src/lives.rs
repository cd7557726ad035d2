//! The ends of a task: what it was before it was begun again, before a person wanted its change taken back, and how a person
//! finished it outside of orch.

use crate::ids::{Actor, Seq, Sha, Time};
use crate::landing::Merged;
use crate::pipeline::Cursor;
use crate::production::ProductionFailure;
use crate::stored::is_default;
use crate::task::{DoneOutcome, Task};
use serde::{Deserialize, Serialize};

/// The ends a task has had.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Lives {
    /// What it was before, the oldest first.
    #[serde(skip_serializing_if = "is_default")]
    pub past: Vec<Life>,
    /// A person finished it outside of orch.
    #[serde(skip_serializing_if = "is_default")]
    pub finished: Option<Finished>,
    /// What it was before a person wanted its change taken back, while that is under way.
    #[serde(skip_serializing_if = "is_default")]
    pub before_revert: Option<BeforeRevert>,
    /// What somebody else merged of it, where it ended without taking that as its merge.
    #[serde(skip_serializing_if = "is_default")]
    pub landed: Option<Sha>,
    /// The tip of the default branch before its merge, since a revert of it was given up: what another one goes back to.
    #[serde(skip_serializing_if = "is_default")]
    pub base: Option<Sha>,
    /// The task as it was before it was begun again: what cleans up after that life reads it, until the next one has its
    /// branch.
    #[serde(skip_serializing_if = "is_default")]
    pub before: Option<Box<Task>>,
}

/// A life of a task that is over: done or cancelled, and begun again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Life {
    /// Its branch.
    pub branch: String,
    /// Its pull request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull_request: Option<u64>,
    /// The commit on the default branch, if it was merged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merged: Option<Sha>,
    /// That took this commit back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub took_back: Option<Sha>,
    /// How it ended, in words: `done, healthy`.
    pub end: String,
    /// When.
    pub at: Time,
    /// The first job that is not its own any more.
    pub jobs_before: Seq,
}

/// Finished outside of orch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finished {
    /// By whom.
    pub by: Actor,
    /// Why, in their words.
    pub reason: String,
    /// When.
    pub at: Time,
}

/// A task that was done, before a person wanted its change taken back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BeforeRevert {
    /// Its merge.
    pub merged: Merged,
    /// How production took it.
    pub outcome: DoneOutcome,
    /// When it was done.
    pub done_at: Option<Time>,
    /// Where it stood.
    pub at: Cursor,
    /// The tip of the default branch before that merge, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<Sha>,
    /// What of it production had not taken.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<ProductionFailure>,
}

/// Lives that may wait to be cleaned up at once, each in the one after it.
const UNCLEANED: usize = 4;

/// Forgets the oldest of too many lives that wait to be cleaned up.
pub(crate) fn keep_few(before: &mut Option<Box<Task>>) {
    let mut at = before;
    for _ in 0..UNCLEANED {
        match at {
            Some(task) => at = &mut task.lives.before,
            None => return,
        }
    }
    *at = None;
}

impl Task {
    /// The first job of this life: what earlier ones made says nothing of it.
    pub fn first_job(&self) -> Seq {
        self.lives.past.last().map_or(0, |life| life.jobs_before)
    }

    /// The task as it was in the life that made this job; `None`: that is not known any more.
    pub fn as_of(&self, job: Seq) -> Option<&Self> {
        if self.first_job() <= job {
            return Some(self);
        }
        self.lives.before.as_ref()?.as_of(job)
    }

    /// What whoever works on it has to know of its earlier lives, a remark each.
    pub fn past_notes(&self) -> Vec<String> {
        let note = |(n, life): (usize, &Life)| {
            let merged = match (&life.merged, &life.took_back) {
                (None, _) => "; nothing of it was merged".to_owned(),
                (Some(commit), None) => format!("; its change is on the default branch as {}", commit.short()),
                (Some(commit), Some(change)) => {
                    format!("; its change {} was taken back as {}", change.short(), commit.short())
                }
            };
            let pull = life.pull_request.map_or_else(String::new, |number| format!(", pull request {number}"));
            format!(
                "Life {} ended as \"{}\"{merged}; branch {}{pull}; its verdicts and documents are the evidence of {} up to job {}.",
                n + 1,
                life.end,
                life.branch,
                self.work_item,
                life.jobs_before.saturating_sub(1)
            )
        };
        self.lives.past.iter().enumerate().map(note).collect()
    }
}
