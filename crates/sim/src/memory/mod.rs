//! A store in memory: the primitives of a transaction over plain values, under the same choreography as SQLite. It passes
//! the same contract, and a life lived on it is the same life.

mod claim;
mod deliveries;
mod evidence;
mod forget;
mod state;
mod tx;

use orch_core::budget::Sums;
use orch_core::effect::Lane;
use orch_core::event::Event;
use orch_core::ids::{Actor, Environment, GateId, JobId, ProjectKey, Seq, TaskId, Time, WorkItem};
use orch_core::lease::Held;
use orch_core::task::{NewTask, Task};
use orch_store::{
    ArtefactRow, Beat, ClaimRequest, Dealt, Deployment, Fence, InboxRow, Job, JobState, JournalRow, Judgement,
    LeaseRow, OpenSample, QueueCounts, Reaped, Requeue, RunRow, Standing, StepRequest, Stepped, StoreClock, StoreError,
    TaskFilter, UnknownJob, Used, Whose,
};
use orch_store::{Evidence, Fact, Forget, Forgotten, Journal, Memory, Queue, Tasks, lease, money, queue, step};
use state::{Result, Row, State};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// The store. Every verb is one transaction under one lock.
#[derive(Debug, Default)]
pub struct MemoryStore(Mutex<State>);

impl MemoryStore {
    /// An empty one, measured by this clock.
    pub fn new(clock: StoreClock) -> Self {
        Self(Mutex::new(State { clock, ..State::default() }))
    }

    fn read<T>(&self, verb: impl FnOnce(&State) -> T) -> T {
        verb(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn write<T>(&self, verb: impl FnOnce(&mut State) -> Result<T>) -> Result<T> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = state.now.clone();
        let (made, done, journal) = (state.made, state.done.len(), state.journal.len());
        let answer = verb(&mut state);
        if answer.is_err() {
            state.now = before;
            state.made = made;
            state.done.truncate(done);
            state.journal.truncate(journal);
        }
        answer
    }
}

#[async_trait::async_trait]
impl Tasks for MemoryStore {
    async fn create_task(&self, new: NewTask, now: Time) -> Result<(Task, bool)> {
        self.write(|tx| queue::create_task(tx, new, now))
    }
    async fn step(&self, request: StepRequest) -> Result<Stepped> {
        self.write(|tx| step::step(tx, &request))
    }
    async fn task(&self, id: TaskId) -> Result<Option<Task>> {
        Ok(self.read(|s| s.now.tasks.get(&id).map(|t| (**t).clone())))
    }
    async fn task_by_item(&self, item: &WorkItem) -> Result<Option<Task>> {
        Ok(self.read(|s| tx::named(s, item)))
    }
    async fn tasks(&self, filter: TaskFilter) -> Result<Vec<Task>> {
        Ok(self.read(|s| s.tasks(&filter)))
    }
    async fn overviews(&self, filter: TaskFilter) -> Result<Vec<(Task, Standing)>> {
        Ok(self.read(|s| {
            let tasks = s.tasks(&filter).into_iter();
            tasks.map(|t| (s.standing(t.id, t.job()), t)).map(|(standing, task)| (task, standing)).collect()
        }))
    }
    async fn standing(&self, task: TaskId, job: Option<Seq>) -> Result<Standing> {
        Ok(self.read(|s| s.standing(task, job)))
    }
    async fn open_projects(&self) -> Result<Vec<ProjectKey>> {
        let open = |s: &State| s.now.tasks.values().filter(|t| !t.is_closed()).map(|t| t.project.clone()).collect();
        Ok(self.read(|s| -> std::collections::BTreeSet<ProjectKey> { open(s) }).into_iter().collect())
    }
    async fn highest_number(&self, project: &ProjectKey) -> Result<u64> {
        let mine = |t: &&Arc<Task>| t.project == *project;
        Ok(self.read(|s| s.now.tasks.values().filter(mine).map(|t| t.number).max().unwrap_or(0)))
    }
    async fn closed_between(&self, after: (Time, TaskId), until: Time, limit: u32) -> Result<Vec<(TaskId, Time)>> {
        Ok(self.read(|s| {
            let closed = s.now.tasks.values().filter(|t| t.is_closed()).map(|t| (t.updated_at, t.id));
            let mut found: Vec<_> = closed.filter(|at| after < *at && at.0 <= until).collect();
            found.sort_unstable();
            found.into_iter().take(limit as usize).map(|(at, id)| (id, at)).collect()
        }))
    }
    async fn due(&self, now: Time) -> Result<Vec<TaskId>> {
        Ok(self.read(|s| {
            let timers = s.now.tasks.values().filter_map(|t| Some((t.wake_at()?, t.id)));
            let mut due: Vec<_> = timers.filter(|(at, _)| *at <= now).collect();
            due.sort_unstable();
            due.into_iter().map(|(_, id)| id).collect()
        }))
    }
    async fn next_wake(&self) -> Result<Option<Time>> {
        Ok(self.read(|s| {
            let timers = s.now.tasks.values().filter_map(|t| t.wake_at());
            let put_off = s.now.jobs.iter().map(|row| &row.job);
            let put_off = put_off.filter(|j| j.state == JobState::Queued && j.created_at < j.available_at);
            timers.chain(put_off.map(|j| j.available_at)).min()
        }))
    }
    async fn open_by_stage(&self) -> Result<Vec<(String, u64)>> {
        Ok(self.read(|s| {
            let mut stages: BTreeMap<String, u64> = BTreeMap::new();
            for task in s.now.tasks.values().filter(|t| !t.is_closed()) {
                *stages.entry(task.stage().to_string()).or_default() += 1;
            }
            stages.into_iter().collect()
        }))
    }
}

#[async_trait::async_trait]
impl Queue for MemoryStore {
    async fn claim(&self, request: ClaimRequest) -> Result<Option<Job>> {
        self.write(|s| s.claim(&request))
    }
    async fn claim_one(&self, id: JobId, request: ClaimRequest) -> Result<Option<Job>> {
        self.write(|s| s.claim_one(id, &request))
    }
    async fn heartbeat(&self, fence: Fence, lease_ms: i64, lease_ttl_ms: i64) -> Result<Beat> {
        self.write(|tx| queue::heartbeat(tx, fence, lease_ms, lease_ttl_ms))
    }
    async fn requeue(&self, fence: Fence, requeue: Requeue) -> Result<bool> {
        self.write(|tx| queue::requeue(tx, fence, &requeue))
    }
    async fn reap(&self) -> Result<Vec<Reaped>> {
        self.write(queue::reap)
    }
    async fn take_back(&self, fence: Fence) -> Result<Option<Reaped>> {
        self.write(|tx| queue::take_from(tx, fence))
    }
    async fn release(&self, worker: &str) -> Result<u64> {
        self.write(|tx| queue::release(tx, worker))
    }
    async fn unpark(&self, service: &str, now: Time) -> Result<Vec<Lane>> {
        self.write(|s| {
            let mut lanes = Vec::new();
            let waits =
                |row: &&mut Arc<Row>| row.job.state == JobState::Queued && row.job.parked.as_deref() == Some(service);
            for job in s.now.jobs.iter_mut().filter(waits).map(|row| &mut Arc::make_mut(row).job) {
                job.parked = None;
                job.available_at = job.available_at.min(now);
                lanes.push(job.lane);
            }
            Ok(Lane::ALL.iter().copied().filter(|lane| lanes.contains(lane)).collect())
        })
    }
    async fn hurry(&self, beyond: Time, now: Time) -> Result<u64> {
        self.write(|s| {
            let mut late = 0;
            for row in s.now.jobs.iter_mut().filter(|row| beyond < row.job.available_at) {
                Arc::make_mut(row).job.available_at = now;
                late += 1;
            }
            Ok(late)
        })
    }
    async fn recover(&self, worker: &str, lease_ttl_ms: i64) -> Result<Vec<Reaped>> {
        self.write(|tx| {
            let reaped = queue::take_from_others(tx, worker)?;
            lease::take_from_others(tx, worker, lease_ttl_ms)?;
            Ok(reaped)
        })
    }
    async fn renew_leases(&self, worker: &str, lease_ttl_ms: i64) -> Result<()> {
        self.write(|tx| lease::renew_own(tx, worker, lease_ttl_ms))
    }
    async fn reclaim_leases(&self) -> Result<Vec<(ProjectKey, Option<WorkItem>, Vec<TaskId>)>> {
        self.write(lease::reclaim)
    }
    async fn leases(&self) -> Result<Vec<LeaseRow>> {
        Ok(self.read(|s| s.now.leases.iter().map(|(key, lease)| LeaseRow::of(key.clone(), lease.clone())).collect()))
    }
    async fn holds_lease(&self, task: TaskId, epoch: u64) -> Result<Option<Held>> {
        self.write(|tx| lease::holds(tx, task, epoch))
    }
    async fn job(&self, id: JobId) -> Result<Option<Job>> {
        Ok(self.read(|s| s.any(id)))
    }
    async fn open_jobs(&self, task: Option<TaskId>) -> Result<Vec<Job>> {
        Ok(self.read(|s| s.open_jobs(task)))
    }
    async fn open_sample(&self, limit: u32) -> Result<OpenSample> {
        Ok(self.read(|s| {
            let mut jobs = s.open_jobs(None);
            let (total, watching) = (jobs.len() as u64, jobs.iter().filter(|j| j.lane == Lane::Watch).count() as u64);
            let mut parked: BTreeMap<String, u64> = BTreeMap::new();
            for service in jobs.iter().filter_map(|j| j.parked.clone()) {
                *parked.entry(service).or_default() += 1;
            }
            jobs.sort_by_key(|j| (j.state != JobState::Running, j.deaths == 0, j.transient_attempts == 0));
            jobs.truncate(limit as usize);
            OpenSample { jobs, total, watching, parked: parked.into_iter().collect() }
        }))
    }
    async fn running_jobs(&self) -> Result<Vec<Job>> {
        let jobs = self.read(|s| s.open_jobs(None));
        Ok(jobs.into_iter().filter(|j| j.state == JobState::Running).collect())
    }
    async fn unknown_jobs(&self) -> Result<Vec<UnknownJob>> {
        // Nothing of another version was ever written here.
        Ok(Vec::new())
    }
    async fn recent_jobs(&self, limit: u32) -> Result<Vec<Job>> {
        Ok(self.read(|s| s.done.iter().rev().take(limit as usize).cloned().collect()))
    }
    async fn counts(&self, now: Time) -> Result<QueueCounts> {
        Ok(self.read(|s| {
            let open = |f: &dyn Fn(&Job) -> bool| s.now.jobs.iter().filter(|row| f(&row.job)).count() as u64;
            let ended = |state| s.done.iter().filter(|job| job.state == state).count() as u64;
            QueueCounts {
                queued: open(&|j| j.state == JobState::Queued && j.available_at <= now),
                delayed: open(&|j| j.state == JobState::Queued && now < j.available_at),
                running: open(&|j| j.state == JobState::Running),
                done: ended(JobState::Done),
                failed: ended(JobState::Failed),
                cancelled: ended(JobState::Cancelled),
            }
        }))
    }
}

#[async_trait::async_trait]
impl Journal for MemoryStore {
    async fn put_inbox(&self, source: &str, key: &str, task: TaskId, event: Event, at: Time) -> Result<Option<i64>> {
        self.write(|s| Ok(s.put_inbox(source, key, task, event, at)))
    }
    async fn dealt(&self, source: &str, key: &str) -> Result<Option<Dealt>> {
        self.read(|s| Ok(s.dealt(source, key)))
    }
    async fn pending_inbox(&self, limit: u32) -> Result<Vec<InboxRow>> {
        Ok(self.read(|s| s.pending(limit)))
    }
    async fn journal(&self, task: Option<TaskId>, after: i64, limit: u32) -> Result<Vec<JournalRow>> {
        let fits = |row: &&JournalRow| after < row.id && task.is_none_or(|task| row.task == task);
        Ok(self.read(|s| s.journal.iter().filter(fits).take(limit as usize).cloned().collect()))
    }
    async fn journal_head(&self) -> Result<i64> {
        Ok(self.read(|s| s.journal.last().map_or(0, |row| row.id)))
    }
    async fn journal_tail(&self, task: TaskId, limit: u32) -> Result<Vec<JournalRow>> {
        let says = |row: &&JournalRow| !row.story.is_empty() || (row.ignored.is_some() && row.actor.is_some());
        let fits = |row: &&JournalRow| row.task == task && says(row);
        Ok(self.read(|s| s.journal.iter().rev().filter(fits).take(limit as usize).cloned().collect()))
    }
    async fn drop_bodies(&self, after: i64, until: Time, limit: u32) -> Result<i64> {
        self.write(|s| Ok(s.drop_bodies(after, until, limit)))
    }
    async fn person_ids(&self, names: Vec<String>) -> Result<Vec<(String, i64)>> {
        self.write(|s| {
            let mut number = |name: String| {
                let known = |known: &Option<String>| known.as_ref() == Some(&name);
                let at = s.people.iter().position(known).unwrap_or_else(|| {
                    s.people.push(Some(name.clone()));
                    s.people.len() - 1
                });
                (name, at as i64 + 1)
            };
            Ok(names.into_iter().map(&mut number).collect())
        })
    }
    async fn named(&self) -> Result<Vec<Actor>> {
        Ok(self.read(|s| {
            let acted = s.journal.iter().filter_map(|row| row.actor.clone());
            let numbered = s.people.iter().flatten().map(|name| Actor::new(name.clone()));
            acted.chain(numbered).collect::<std::collections::BTreeSet<_>>().into_iter().collect()
        }))
    }
    async fn forget_person(&self, forget: Forget) -> Result<Forgotten> {
        self.write(|s| s.forget_person(&forget))
    }
}

#[async_trait::async_trait]
impl Evidence for MemoryStore {
    async fn put_judgement(&self, fence: Fence, judgement: Judgement) -> Result<bool> {
        self.write(|s| s.put(fence, judgement.task, |s| s.judgements.push(judgement)))
    }
    async fn judgements(&self, task: TaskId) -> Result<Vec<Judgement>> {
        Ok(self.read(|s| s.judgements.iter().filter(|j| j.task == task).cloned().collect()))
    }
    async fn judgement(&self, task: TaskId, gate: GateId, key: &str) -> Result<Option<Judgement>> {
        let fits = |j: &&Judgement| {
            (j.task, j.gate, j.key.as_str()) == (task, gate, key)
                && ["pass", "skipped", "fail"].contains(&j.verdict.word())
        };
        Ok(self.read(|s| s.judgements.iter().rev().find(fits).cloned()))
    }
    async fn last_judgement(&self, task: TaskId, gate: GateId) -> Result<Option<Judgement>> {
        let fits = |j: &&Judgement| (j.task, j.gate) == (task, gate);
        Ok(self.read(|s| s.judgements.iter().rev().find(fits).cloned()))
    }
    async fn put_artefacts(&self, fence: Fence, rows: Vec<ArtefactRow>) -> Result<bool> {
        self.write(|s| s.put_artefacts(fence, rows))
    }
    async fn artefact(&self, task: TaskId, run: Seq, name: &str) -> Result<Option<ArtefactRow>> {
        let fits = |a: &&ArtefactRow| (a.task, a.run, a.name.as_str()) == (task, run, name);
        Ok(self.read(|s| s.artefacts.iter().rev().find(fits).cloned()))
    }
    async fn artefacts(&self, task: TaskId) -> Result<Vec<ArtefactRow>> {
        Ok(self.read(|s| {
            let mine = s.artefacts.iter().filter(|a| a.task == task);
            let newest: BTreeMap<&str, &ArtefactRow> = mine.map(|a| (a.name.as_str(), a)).collect();
            newest.into_values().cloned().collect()
        }))
    }
    async fn put_run(&self, fence: Fence, run: RunRow) -> Result<bool> {
        if !run.usage.cost_usd.is_finite() {
            return Err(StoreError::Bug(format!("run {}-{}: its cost is not a number", run.task.0, run.job)));
        }
        self.write(|s| {
            let held = s.put(fence, run.task, |s| s.runs.push(run.clone()))?;
            if held {
                money::settle(s, &run)?;
            }
            Ok(held)
        })
    }
    async fn runs(&self, task: TaskId) -> Result<Vec<RunRow>> {
        Ok(self.read(|s| s.runs_of(task)))
    }
    async fn used(&self, from: Time, until: Time) -> Result<Vec<Used>> {
        Ok(self.read(|s| s.used(from, until)))
    }
    async fn put_deployment(&self, fence: Fence, deployment: Deployment) -> Result<bool> {
        self.write(|s| s.put(fence, deployment.task, |s| s.deployments.push(deployment)))
    }
    async fn deployments(&self, project: &ProjectKey, environment: Environment, limit: u32) -> Result<Vec<Deployment>> {
        let fits = |d: &&Deployment| d.project == *project && d.environment == environment;
        Ok(self.read(|s| s.deployments.iter().rev().filter(fits).take(limit as usize).cloned().collect()))
    }
    async fn spending(&self, whose: Whose, from: Time) -> Result<Sums> {
        Ok(self.read(|s| s.spending(&whose, from)))
    }
    async fn drop_evidence(&self, task: TaskId) -> Result<u64> {
        self.write(|s| Ok(s.drop_evidence(task)))
    }
}

#[async_trait::async_trait]
impl Memory for MemoryStore {
    async fn remember(&self, fact: &Fact, value: &str, now: Time) -> Result<()> {
        self.write(|s| {
            s.facts.insert(fact.clone(), (value.to_owned(), fact.until(now)));
            Ok(())
        })
    }
    async fn recall(&self, fact: &Fact) -> Result<Option<String>> {
        Ok(self.read(|s| s.facts.get(fact).map(|(value, _)| value.clone())))
    }
    async fn forget(&self, fact: &Fact) -> Result<()> {
        self.write(|s| {
            s.facts.remove(fact);
            Ok(())
        })
    }
    async fn forget_ended(&self, now: Time) -> Result<u64> {
        self.write(|s| {
            let before = s.facts.len();
            s.facts.retain(|_, (_, until)| until.is_none_or(|until| now < until));
            Ok((before - s.facts.len()) as u64)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::MemoryStore;

    orch_store::store_contract!(memory, |clock| (MemoryStore::new(clock), ()));
}
