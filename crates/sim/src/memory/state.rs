//! What the store in memory holds, and how it is looked through.

use super::deliveries::Kept;
use orch_core::budget::Sums;
use orch_core::effect::Lane;
use orch_core::event::Event;
use orch_core::ids::{JobId, ProjectKey, Seq, TaskId, Time};
use orch_core::task::Task;
use orch_store::Fact;
use orch_store::tx::Lease;
use orch_store::{
    ArtefactRow, Deployment, Job, JournalRow, Judgement, RunRow, Spend, Standing, StoreClock, StoreError, TaskFilter,
    Whose, money,
};
use std::collections::BTreeMap;
use std::sync::Arc;

pub(super) type Result<T> = std::result::Result<T, StoreError>;

/// What an error takes back.
#[derive(Clone, Debug, Default)]
pub(super) struct Changing {
    pub(super) tasks: BTreeMap<TaskId, Arc<Task>>,
    /// Open jobs, in the order in which they were made.
    pub(super) jobs: Vec<Arc<Row>>,
    pub(super) leases: BTreeMap<ProjectKey, Lease>,
    pub(super) inbox: Vec<Arc<Inbox>>,
    /// Money, by job and attempt.
    pub(super) spends: BTreeMap<(JobId, u32), Spend>,
}

/// Everything there is. What is beside `now` is only added to, or changed by verbs that cannot fail.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) clock: StoreClock,
    pub(super) now: Changing,
    pub(super) made: u64,
    pub(super) done: Vec<Job>,
    pub(super) journal: Vec<JournalRow>,
    /// When a project was last served in a lane.
    pub(super) turns: BTreeMap<(Lane, ProjectKey), u64>,
    pub(super) judgements: Vec<Judgement>,
    pub(super) artefacts: Vec<ArtefactRow>,
    pub(super) runs: Vec<RunRow>,
    pub(super) deployments: Vec<Deployment>,
    pub(super) facts: BTreeMap<Fact, (String, Option<Time>)>,
    /// Deliveries that are kept, oldest first, and how many there were.
    pub(super) deliveries: Vec<Kept>,
    pub(super) delivered: i64,
    /// Names by number, from 1; of a person who is forgotten there is none.
    pub(super) people: Vec<Option<String>>,
}

/// An open job and its claim.
#[derive(Clone, Debug)]
pub(super) struct Row {
    /// Grows with every job that is made.
    pub(super) id: u64,
    pub(super) job: Job,
    pub(super) worker: String,
    pub(super) until_ms: i64,
}

/// A row of the inbox; its id is its place.
#[derive(Clone, Debug)]
pub(super) struct Inbox {
    pub(super) source: String,
    pub(super) key: String,
    pub(super) task: TaskId,
    /// `None`: it was dealt with, and its text is gone.
    pub(super) event: Option<Event>,
    pub(super) at: Time,
    pub(super) done_at: Option<Time>,
    pub(super) note: Option<String>,
}

impl State {
    pub(super) fn open(&self, id: JobId) -> Option<&Row> {
        self.now.jobs.iter().find(|row| row.job.id == id).map(AsRef::as_ref)
    }

    /// An open job that is changed.
    pub(super) fn change(&mut self, id: JobId) -> Result<&mut Row> {
        let row = self.now.jobs.iter_mut().find(|row| row.job.id == id);
        row.map(Arc::make_mut).ok_or_else(|| StoreError::Bug(format!("there is no open job {id}")))
    }

    pub(super) fn any(&self, id: JobId) -> Option<Job> {
        let done = || self.done.iter().find(|job| job.id == id).cloned();
        self.open(id).map(|row| row.job.clone()).or_else(done)
    }

    pub(super) fn standing(&self, task: TaskId, job: Option<Seq>) -> Standing {
        let runs = self.runs_of(task);
        Standing {
            job: job.and_then(|seq| self.any(JobId { task, seq })),
            runs: runs.len() as u64,
            cost: self.spending(&Whose::Task(task), Time(i64::MIN)),
        }
    }

    pub(super) fn spending(&self, whose: &Whose, from: Time) -> Sums {
        let counts = |s: &&Spend| {
            let theirs = match whose {
                Whose::Task(task) => s.job.task == *task,
                Whose::Project(project) => s.project == *project,
                Whose::Everybody => true,
            };
            theirs && from <= s.at
        };
        money::sums(self.now.spends.values().filter(counts))
    }

    pub(super) fn tasks(&self, filter: &TaskFilter) -> Vec<Task> {
        let fits = |t: &&Arc<Task>| {
            filter.before.is_none_or(|before| t.id < before)
                && filter.project.as_ref().is_none_or(|p| *p == t.project)
                && filter.stage.as_ref().is_none_or(|s| s == t.stage().as_str())
                && (filter.closed || !t.is_closed())
                && (filter.phases.is_empty() || filter.phases.contains(&t.phase_kind()))
        };
        let limit = if filter.limit == 0 { usize::MAX } else { filter.limit as usize };
        self.now.tasks.values().rev().filter(fits).take(limit).map(|t| (**t).clone()).collect()
    }

    pub(super) fn open_jobs(&self, task: Option<TaskId>) -> Vec<Job> {
        let mine = self.now.jobs.iter().filter(|row| task.is_none_or(|task| row.job.id.task == task));
        let mut jobs: Vec<Job> = mine.map(|row| row.job.clone()).collect();
        if task.is_some() {
            jobs.sort_by_key(|job| job.id.seq);
        }
        jobs
    }
}
