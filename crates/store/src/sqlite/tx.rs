//! The primitives of a transaction in SQL. Nothing is decided here.

use super::sql::{Db, DbError, all, json, one, run};
use super::{jobs, journal, leases, spends, tasks};
use crate::rows::{Fence, Job, JobState, Spend, Whose};
use crate::run_row::SHELL;
use crate::tx::{AddedJob, Claim, End, Entry, Lease, Tx};
use orch_core::budget::Sums;
use orch_core::ids::{JobId, ProjectKey, TaskId, Time, WorkItem};
use orch_core::task::{NewTask, Task};
use orch_core::verdict::FaultNote;
use rusqlite::{Connection, params};

/// A transaction of this connection, at this time of the store's clock.
pub(super) struct Rows<'c>(pub(super) &'c Connection, pub(super) i64);

impl<'c> Rows<'c> {
    /// Where nothing is asked for the time.
    pub(super) fn timeless(c: &'c Connection) -> Self {
        Self(c, 0)
    }
}

impl Tx for Rows<'_> {
    type Error = DbError;

    fn now_ms(&self) -> i64 {
        self.1
    }

    fn task(&mut self, id: TaskId) -> Db<Option<Task>> {
        tasks::load(self.0, id)
    }
    fn task_of_ticket(&mut self, project: &ProjectKey, number: u64) -> Db<Option<Task>> {
        tasks::by_ticket(self.0, project, number)
    }
    fn task_named(&mut self, item: &WorkItem) -> Db<Option<Task>> {
        tasks::by_item(self.0, item)
    }
    fn add_task(&mut self, new: NewTask, now: Time) -> Db<Task> {
        tasks::add(self.0, new, now)
    }
    fn save_task(&mut self, task: &Task) -> Db<()> {
        tasks::save(self.0, task)
    }
    fn prioritise(&mut self, task: &Task) -> Db<()> {
        jobs::prioritise(self.0, task)
    }
    fn set_pipeline(&mut self, task: &Task) -> Db<()> {
        tasks::set_pipeline(self.0, task)
    }
    fn waiters(&mut self, repository: &ProjectKey) -> Db<Vec<TaskId>> {
        tasks::waiters(self.0, repository)
    }

    fn spend(&mut self, job: JobId, attempt: u32) -> Db<Option<Spend>> {
        spends::load(self.0, job, attempt)
    }
    fn open_spend(&mut self, job: JobId) -> Db<Option<Spend>> {
        spends::open(self.0, job)
    }
    fn save_spend(&mut self, spend: &Spend) -> Db<()> {
        spends::save(self.0, spend)
    }
    fn drop_spend(&mut self, job: JobId, attempt: u32) -> Db<()> {
        spends::remove(self.0, job, attempt)
    }
    fn sums(&mut self, whose: &Whose, from: Time) -> Db<Sums> {
        spends::sums(self.0, whose, from)
    }
    fn has_run(&mut self, job: JobId, attempt: u32) -> Db<bool> {
        let sql = "SELECT 1 FROM run WHERE task = ?1 AND job = ?2 AND attempt = ?3 AND body ->> '$.program' <> ?4";
        Ok(one(self.0, sql, params![job.task.0, job.seq, attempt, SHELL], |_| Ok(()))?.is_some())
    }
    fn let_go_on(&mut self, parked: &str) -> Db<()> {
        jobs::let_go_on(self.0, parked)
    }

    fn open_job(&mut self, id: JobId) -> Db<Option<Job>> {
        jobs::open(self.0, id)
    }
    fn is_queued(&mut self, task: TaskId, coalesce: &str) -> Db<bool> {
        let same = "SELECT 1 FROM job WHERE task = ?1 AND coalesce = ?2 AND state = 'queued'";
        Ok(one(self.0, same, params![task.0, coalesce], |_| Ok(()))?.is_some())
    }
    fn add_job(&mut self, job: &AddedJob<'_>) -> Db<()> {
        jobs::add(self.0, job)
    }
    fn save_job(&mut self, job: &Job) -> Db<()> {
        let (fault, queued) = (job.last_fault.as_ref().map(json).transpose()?, job.state == JobState::Queued);
        let changed = run(
            self.0,
            "UPDATE job SET state = ?3, attempts = ?4, transient_attempts = ?5, deaths = ?6, run_attempt = ?7, \
             available_at = ?8, last_fault = ?9, parked = ?10, stop = ?11, worker = iif(?12, NULL, worker), \
             lease_ms = iif(?12, NULL, lease_ms) WHERE task = ?1 AND seq = ?2",
            params![
                job.id.task.0,
                job.id.seq,
                job.state.as_str(),
                job.attempts,
                job.transient_attempts,
                job.deaths,
                job.run_attempt,
                job.available_at.0,
                fault,
                job.parked,
                job.stop,
                queued
            ],
        )?;
        if changed == 1 { Ok(()) } else { Err(DbError::bug(format!("there is no open job {}", job.id))) }
    }
    fn renew_claim(&mut self, fence: Fence, until_ms: i64) -> Db<String> {
        let sql = "UPDATE job SET lease_ms = ?1 \
                   WHERE task = ?2 AND seq = ?3 AND state = 'running' AND epoch = ?4 RETURNING worker";
        let claim = params![until_ms, fence.job.task.0, fence.job.seq, fence.epoch as i64];
        let worker = one(self.0, sql, claim, |row| Ok(row.get(0)?))?;
        worker.ok_or_else(|| DbError::bug(format!("job {} is not claimed", fence.job)))
    }
    fn claims(&mut self) -> Db<Vec<Claim>> {
        all(self.0, jobs::CLAIMS, [], jobs::claim_row)
    }
    fn has_open_run(&mut self, job: JobId, attempt: u32) -> Db<bool> {
        let sql = "SELECT 1 FROM run WHERE task = ?1 AND job = ?2 AND attempt = ?3 AND ended IS NULL";
        Ok(one(self.0, sql, params![job.task.0, job.seq, attempt], |_| Ok(()))?.is_some())
    }
    fn give_back(&mut self, job: JobId, deaths: u32, died: Option<&FaultNote>) -> Db<()> {
        let died = died.map(json).transpose()?;
        run(self.0, jobs::GIVE_BACK, params![job.task.0, job.seq, deaths, died])?;
        Ok(())
    }
    fn end_job(&mut self, id: JobId, end: &End<'_>) -> Db<bool> {
        jobs::end(self.0, id, end)
    }

    fn lease(&mut self, repository: &ProjectKey) -> Db<Option<Lease>> {
        leases::load(self.0, repository)
    }
    fn save_lease(&mut self, repository: &ProjectKey, lease: &Lease) -> Db<()> {
        leases::save(self.0, repository, lease)
    }
    fn held_leases(&mut self) -> Db<Vec<(ProjectKey, Lease)>> {
        leases::held(self.0)
    }

    fn tick(&mut self, row: i64, task: TaskId, now: Time) -> Db<bool> {
        journal::tick(self.0, row, task, now)
    }
    fn note(&mut self, row: i64, why: &str) -> Db<()> {
        journal::note(self.0, row, why)
    }
    fn keep(&mut self, entry: &Entry<'_>) -> Db<()> {
        journal::keep(self.0, entry)
    }
}
