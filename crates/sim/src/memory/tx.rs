//! The primitives of a transaction over plain values.

use super::state::{Result, Row, State};
use orch_core::budget::Sums;
use orch_core::ids::{JobId, ProjectKey, TaskId, Time, WorkItem};
use orch_core::task::{NewTask, Phase, Task, WaitReason};
use orch_core::verdict::FaultNote;
use orch_store::tx::{AddedJob, Claim, End, Entry, Lease, Tx};
use orch_store::{Fence, Job, JobState, JournalRow, RunRow, Spend, StoreError, Whose};
use std::sync::Arc;

pub(super) fn named(state: &State, item: &WorkItem) -> Option<Task> {
    let same = |t: &&Arc<Task>| t.work_item.as_str().eq_ignore_ascii_case(item.as_str());
    state.now.tasks.values().find(same).map(|t| (**t).clone())
}

impl Tx for State {
    type Error = StoreError;

    fn now_ms(&self) -> i64 {
        self.clock.ms()
    }

    fn task(&mut self, id: TaskId) -> Result<Option<Task>> {
        Ok(self.now.tasks.get(&id).map(|t| (**t).clone()))
    }
    fn task_of_ticket(&mut self, project: &ProjectKey, number: u64) -> Result<Option<Task>> {
        let same = |t: &&Arc<Task>| t.project == *project && t.number == number;
        Ok(self.now.tasks.values().find(same).map(|t| (**t).clone()))
    }
    fn task_named(&mut self, item: &WorkItem) -> Result<Option<Task>> {
        Ok(named(self, item))
    }
    fn add_task(&mut self, new: NewTask, now: Time) -> Result<Task> {
        let next = TaskId(self.now.tasks.keys().next_back().map_or(0, |last| last.0) + 1);
        let task = new.into_task(next, now);
        self.now.tasks.insert(next, Arc::new(task.clone()));
        Ok(task)
    }
    fn save_task(&mut self, task: &Task) -> Result<()> {
        let known = self.now.tasks.get_mut(&task.id);
        *known.ok_or_else(|| StoreError::Bug(format!("there is no task {}", task.id)))? = Arc::new(task.clone());
        Ok(())
    }
    fn prioritise(&mut self, _: &Task) -> Result<()> {
        // A claim reads the priority from the task.
        Ok(())
    }
    fn set_pipeline(&mut self, _: &Task) -> Result<()> {
        // Kept with the task.
        Ok(())
    }
    fn waiters(&mut self, repository: &ProjectKey) -> Result<Vec<TaskId>> {
        let waits = |t: &&Arc<Task>| {
            t.repository() == repository && matches!(t.phase, Phase::Waiting { why: WaitReason::Lease { .. }, .. })
        };
        Ok(self.now.tasks.values().filter(waits).map(|t| t.id).collect())
    }

    fn spend(&mut self, job: JobId, attempt: u32) -> Result<Option<Spend>> {
        Ok(self.now.spends.get(&(job, attempt)).cloned())
    }
    fn open_spend(&mut self, job: JobId) -> Result<Option<Spend>> {
        Ok(self.now.spends.values().rev().find(|s| s.job == job && s.cost.is_none()).cloned())
    }
    fn save_spend(&mut self, spend: &Spend) -> Result<()> {
        self.now.spends.insert((spend.job, spend.attempt), spend.clone());
        Ok(())
    }
    fn drop_spend(&mut self, job: JobId, attempt: u32) -> Result<()> {
        self.now.spends.remove(&(job, attempt));
        Ok(())
    }
    fn sums(&mut self, whose: &Whose, from: Time) -> Result<Sums> {
        Ok(self.spending(whose, from))
    }
    fn has_run(&mut self, job: JobId, attempt: u32) -> Result<bool> {
        Ok(self.runs_of(job.task).iter().any(|run| (run.job, run.attempt) == (job.seq, attempt) && !run.is_command()))
    }
    fn let_go_on(&mut self, parked: &str) -> Result<()> {
        let waits =
            |row: &&mut Arc<Row>| row.job.state == JobState::Queued && row.job.parked.as_deref() == Some(parked);
        for job in self.now.jobs.iter_mut().filter(waits).map(|row| &mut Arc::make_mut(row).job) {
            job.parked = None;
            job.available_at = job.available_at.min(job.created_at);
        }
        Ok(())
    }

    fn open_job(&mut self, id: JobId) -> Result<Option<Job>> {
        Ok(self.open(id).map(|row| row.job.clone()))
    }
    fn is_queued(&mut self, task: TaskId, coalesce: &str) -> Result<bool> {
        Ok(self.now.jobs.iter().any(|row| {
            let job = &row.job;
            job.id.task == task && job.state == JobState::Queued && job.effect.coalesce() == Some(coalesce)
        }))
    }
    fn add_job(&mut self, job: &AddedJob<'_>) -> Result<()> {
        self.made += 1;
        let id = JobId { task: job.task, seq: job.seq };
        let job = Job {
            id,
            project: job.project.clone(),
            effect: job.effect.clone(),
            lane: job.effect.lane(),
            state: JobState::Queued,
            epoch: 0,
            attempts: 0,
            max_attempts: job.max_attempts,
            transient_attempts: 0,
            run_attempt: 1,
            available_at: job.now,
            last_fault: None,
            created_at: job.now,
            claimed_at: None,
            finished_at: None,
            stop: false,
            deaths: 0,
            parked: None,
            reserved_micro_usd: 0,
            refused: None,
        };
        self.now.jobs.push(Arc::new(Row { id: self.made, job, worker: String::new(), until_ms: 0 }));
        Ok(())
    }
    fn save_job(&mut self, job: &Job) -> Result<()> {
        self.change(job.id)?.job = job.clone();
        Ok(())
    }
    fn renew_claim(&mut self, fence: Fence, until_ms: i64) -> Result<String> {
        let row = self.change(fence.job)?;
        row.until_ms = until_ms;
        Ok(row.worker.clone())
    }
    fn claims(&mut self) -> Result<Vec<Claim>> {
        let running = self.now.jobs.iter().filter(|row| row.job.state == JobState::Running);
        let claim = |row: &Arc<Row>| Claim {
            job: row.job.id,
            epoch: row.job.epoch,
            worker: row.worker.clone(),
            lane: Some(row.job.lane),
            until_ms: row.until_ms,
            deaths: row.job.deaths,
        };
        Ok(running.map(claim).collect())
    }
    fn has_open_run(&mut self, job: JobId, attempt: u32) -> Result<bool> {
        let mine = |run: &RunRow| (run.job, run.attempt) == (job.seq, attempt) && run.ended.is_none();
        Ok(self.runs_of(job.task).iter().any(mine))
    }
    fn give_back(&mut self, job: JobId, deaths: u32, died: Option<&FaultNote>) -> Result<()> {
        let row = self.change(job)?;
        row.job.state = JobState::Queued;
        row.job.deaths = deaths;
        row.job.last_fault = died.cloned().or(row.job.last_fault.take());
        Ok(())
    }
    fn end_job(&mut self, id: JobId, end: &End<'_>) -> Result<bool> {
        let Some(at) = self.now.jobs.iter().position(|row| row.job.id == id) else { return Ok(false) };
        let mut job = self.now.jobs.remove(at).job.clone();
        job.state = end.state;
        job.attempts += end.spends;
        job.last_fault = end.fault.cloned().or(job.last_fault);
        job.parked = None;
        job.finished_at = Some(end.now);
        self.done.push(job);
        Ok(true)
    }

    fn lease(&mut self, project: &ProjectKey) -> Result<Option<Lease>> {
        Ok(self.now.leases.get(project).cloned())
    }
    fn save_lease(&mut self, project: &ProjectKey, lease: &Lease) -> Result<()> {
        self.now.leases.insert(project.clone(), lease.clone());
        Ok(())
    }
    fn held_leases(&mut self) -> Result<Vec<(ProjectKey, Lease)>> {
        let held = self.now.leases.iter().filter(|(_, lease)| lease.holder.is_some());
        Ok(held.map(|(project, lease)| (project.clone(), lease.clone())).collect())
    }

    fn tick(&mut self, row: i64, task: TaskId, now: Time) -> Result<bool> {
        let at = usize::try_from(row - 1).unwrap_or(usize::MAX);
        match self.now.inbox.get_mut(at) {
            Some(inbox) if inbox.task == task && inbox.done_at.is_none() => {
                Arc::make_mut(inbox).done_at = Some(now);
                Ok(true)
            }
            Some(_) | None => Ok(false),
        }
    }
    fn note(&mut self, row: i64, why: &str) -> Result<()> {
        let at = usize::try_from(row - 1).unwrap_or(usize::MAX);
        if let Some(inbox) = self.now.inbox.get_mut(at) {
            Arc::make_mut(inbox).note = Some(why.to_owned());
        }
        Ok(())
    }
    fn keep(&mut self, entry: &Entry<'_>) -> Result<()> {
        let Entry { task, event, ignored, story, at } = *entry;
        self.journal.push(JournalRow {
            id: self.journal.len() as i64 + 1,
            task: task.id,
            work_item: task.work_item.clone(),
            at,
            event: event.name().to_owned(),
            actor: event.actor().cloned(),
            ignored: ignored.map(str::to_owned),
            story: story.to_vec(),
            stage: task.stage().clone(),
            phase: task.phase_word().to_owned(),
        });
        Ok(())
    }
}
