//! The verbs, each handed to the writer or to a reader. Nothing is decided here.

use super::tx::Rows;
use super::{SqliteStore, deliveries, evidence, forget, jobs, journal, leases, memory, retention, spends, tasks};
use crate::forget::{Forget, Forgotten};
use crate::rows::{
    ArtefactRow, Beat, ClaimRequest, Dealt, DeliveryRow, DeliverySource, Deployment, Fence, InboxRow, Job, JournalRow,
    Judgement, LeaseRow, NewDelivery, OpenSample, QueueCounts, Reaped, Requeue, Standing, StepRequest, Stepped,
    TaskFilter, UnknownJob, Whose,
};
use crate::run_row::RunRow;
use crate::used::Used;
use crate::verbs::{Deliveries, Evidence, Journal, Memory, Queue, Result, Tasks};
use crate::{Fact, lease, money, queue, step};
use orch_core::budget::Sums;
use orch_core::effect::Lane;
use orch_core::event::Event;
use orch_core::ids::{Actor, Environment, GateId, JobId, ProjectKey, Seq, TaskId, Time, WorkItem};
use orch_core::lease::Held;
use orch_core::task::{NewTask, Task};

#[async_trait::async_trait]
impl Tasks for SqliteStore {
    async fn create_task(&self, new: NewTask, now: Time) -> Result<(Task, bool)> {
        self.change(move |tx| queue::create_task(tx, new, now)).await
    }
    async fn step(&self, request: StepRequest) -> Result<Stepped> {
        // On the heap: a request carries a policy and an event and would make every caller's future as large.
        let request = Box::new(request);
        self.change(move |tx| step::step(tx, &request)).await
    }
    async fn task(&self, id: TaskId) -> Result<Option<Task>> {
        self.read(move |c| tasks::load(c, id)).await
    }
    async fn task_by_item(&self, item: &WorkItem) -> Result<Option<Task>> {
        let item = item.clone();
        self.read(move |c| tasks::by_item(c, &item)).await
    }
    async fn tasks(&self, filter: TaskFilter) -> Result<Vec<Task>> {
        self.read(move |c| tasks::list(c, &filter)).await
    }
    async fn overviews(&self, filter: TaskFilter) -> Result<Vec<(Task, Standing)>> {
        self.read(move |c| tasks::overviews(c, &filter)).await
    }
    async fn standing(&self, task: TaskId, job: Option<Seq>) -> Result<Standing> {
        self.read(move |c| tasks::standing(c, task, job)).await
    }
    async fn open_projects(&self) -> Result<Vec<ProjectKey>> {
        self.read(tasks::open_projects).await
    }
    async fn highest_number(&self, project: &ProjectKey) -> Result<u64> {
        let project = project.clone();
        self.read(move |c| tasks::highest_number(c, &project)).await
    }
    async fn closed_between(&self, after: (Time, TaskId), until: Time, limit: u32) -> Result<Vec<(TaskId, Time)>> {
        self.read(move |c| retention::closed_between(c, after, until, limit)).await
    }
    async fn due(&self, now: Time) -> Result<Vec<TaskId>> {
        self.read(move |c| tasks::due(c, now)).await
    }
    async fn next_wake(&self) -> Result<Option<Time>> {
        self.read(tasks::next_wake).await
    }
    async fn open_by_stage(&self) -> Result<Vec<(String, u64)>> {
        self.read(tasks::open_by_stage).await
    }
}

#[async_trait::async_trait]
impl Queue for SqliteStore {
    async fn claim(&self, request: ClaimRequest) -> Result<Option<Job>> {
        self.change(move |tx| {
            let job = jobs::claim(tx.0, &request, tx.1)?;
            money::reserved(tx, job, &request)
        })
        .await
    }
    async fn claim_one(&self, id: JobId, request: ClaimRequest) -> Result<Option<Job>> {
        self.change(move |tx| {
            let job = jobs::claim_one(tx.0, id, &request, tx.1)?;
            money::reserved(tx, job, &request)
        })
        .await
    }
    async fn heartbeat(&self, fence: Fence, lease_ms: i64, lease_ttl_ms: i64) -> Result<Beat> {
        self.change(move |tx| queue::heartbeat(tx, fence, lease_ms, lease_ttl_ms)).await
    }
    async fn requeue(&self, fence: Fence, requeue: Requeue) -> Result<bool> {
        self.change(move |tx| queue::requeue(tx, fence, &requeue)).await
    }
    async fn reap(&self) -> Result<Vec<Reaped>> {
        self.change(move |tx| queue::reap(tx)).await
    }
    async fn take_back(&self, fence: Fence) -> Result<Option<Reaped>> {
        self.change(move |tx| queue::take_from(tx, fence)).await
    }
    async fn release(&self, worker: &str) -> Result<u64> {
        let worker = worker.to_owned();
        self.change(move |tx| queue::release(tx, &worker)).await
    }
    async fn unpark(&self, service: &str, now: Time) -> Result<Vec<Lane>> {
        let service = service.to_owned();
        self.write(move |c| jobs::unpark(c, &service, now)).await
    }
    async fn hurry(&self, beyond: Time, now: Time) -> Result<u64> {
        self.write(move |c| jobs::hurry_all(c, beyond, now)).await
    }
    async fn recover(&self, worker: &str, lease_ttl_ms: i64) -> Result<Vec<Reaped>> {
        let worker = worker.to_owned();
        self.change(move |tx| {
            let reaped = queue::take_from_others(tx, &worker)?;
            lease::take_from_others(tx, &worker, lease_ttl_ms)?;
            jobs::take_up_again(tx.0)?;
            Ok(reaped)
        })
        .await
    }
    async fn renew_leases(&self, worker: &str, lease_ttl_ms: i64) -> Result<()> {
        let worker = worker.to_owned();
        self.change(move |tx| lease::renew_own(tx, &worker, lease_ttl_ms)).await
    }
    async fn reclaim_leases(&self) -> Result<Vec<(ProjectKey, Option<WorkItem>, Vec<TaskId>)>> {
        self.change(move |tx| lease::reclaim(tx)).await
    }
    async fn leases(&self) -> Result<Vec<LeaseRow>> {
        self.read(leases::list).await
    }
    async fn holds_lease(&self, task: TaskId, epoch: u64) -> Result<Option<Held>> {
        self.read(move |c| lease::holds(&mut Rows::timeless(c), task, epoch)).await
    }
    async fn job(&self, id: JobId) -> Result<Option<Job>> {
        self.read(move |c| jobs::any(c, id)).await
    }
    async fn open_jobs(&self, task: Option<TaskId>) -> Result<Vec<Job>> {
        self.read(move |c| jobs::list_open(c, task)).await
    }
    async fn open_sample(&self, limit: u32) -> Result<OpenSample> {
        self.read(move |c| jobs::open_sample(c, limit)).await
    }
    async fn running_jobs(&self) -> Result<Vec<Job>> {
        self.read(jobs::list_running).await
    }
    async fn unknown_jobs(&self) -> Result<Vec<UnknownJob>> {
        self.read(jobs::unknown).await
    }
    async fn recent_jobs(&self, limit: u32) -> Result<Vec<Job>> {
        self.read(move |c| jobs::recent(c, limit)).await
    }
    async fn counts(&self, now: Time) -> Result<QueueCounts> {
        self.read(move |c| jobs::counts(c, now)).await
    }
}

#[async_trait::async_trait]
impl Journal for SqliteStore {
    async fn put_inbox(&self, source: &str, key: &str, task: TaskId, event: Event, at: Time) -> Result<Option<i64>> {
        let (source, key) = (source.to_owned(), key.to_owned());
        self.write(move |c| journal::put(c, &source, &key, task, &event, at)).await
    }
    async fn dealt(&self, source: &str, key: &str) -> Result<Option<Dealt>> {
        let (source, key) = (source.to_owned(), key.to_owned());
        self.read(move |c| journal::dealt(c, &source, &key)).await
    }
    async fn pending_inbox(&self, limit: u32) -> Result<Vec<InboxRow>> {
        self.read(move |c| journal::pending(c, limit)).await
    }
    async fn journal(&self, task: Option<TaskId>, after: i64, limit: u32) -> Result<Vec<JournalRow>> {
        self.read(move |c| journal::rows(c, task, after, limit)).await
    }
    async fn journal_head(&self) -> Result<i64> {
        self.read(journal::head).await
    }
    async fn journal_tail(&self, task: TaskId, limit: u32) -> Result<Vec<JournalRow>> {
        self.read(move |c| journal::tail(c, task, limit)).await
    }
    async fn drop_bodies(&self, after: i64, until: Time, limit: u32) -> Result<i64> {
        self.write(move |c| retention::drop_bodies(c, after, until, limit)).await
    }
    async fn person_ids(&self, names: Vec<String>) -> Result<Vec<(String, i64)>> {
        self.write(move |c| retention::person_ids(c, names)).await
    }
    async fn named(&self) -> Result<Vec<Actor>> {
        self.read(forget::named).await
    }
    async fn forget_person(&self, forget: Forget) -> Result<Forgotten> {
        let mut done = self.write(move |c| forget::forget(c, &forget)).await?;
        done.scrubbed = self.alone(forget::scrub).await?;
        Ok(done)
    }
}

#[async_trait::async_trait]
impl Deliveries for SqliteStore {
    async fn put_delivery(&self, new: NewDelivery) -> Result<Option<i64>> {
        self.write(move |c| deliveries::put(c, &new)).await
    }
    async fn open_deliveries(&self, limit: u32) -> Result<Vec<DeliveryRow>> {
        self.read(move |c| deliveries::open(c, limit)).await
    }
    async fn end_deliveries(&self, ended: Vec<(i64, Option<String>)>, now: Time) -> Result<()> {
        self.write(move |c| deliveries::end(c, &ended, now)).await
    }
    async fn delivery_sources(&self, sources: Vec<String>) -> Result<Vec<DeliverySource>> {
        self.read(move |c| deliveries::sources(c, &sources)).await
    }
    async fn drop_deliveries(&self, bodies: Time, rows: Time, limit: u32) -> Result<u64> {
        self.write(move |c| deliveries::drop_old(c, bodies, rows, limit)).await
    }
}

#[async_trait::async_trait]
impl Evidence for SqliteStore {
    async fn put_judgement(&self, fence: Fence, judgement: Judgement) -> Result<bool> {
        self.write(move |c| evidence::put_judgement(c, fence, &judgement)).await
    }
    async fn judgements(&self, task: TaskId) -> Result<Vec<Judgement>> {
        self.read(move |c| evidence::judgements(c, task)).await
    }
    async fn judgement(&self, task: TaskId, gate: GateId, key: &str) -> Result<Option<Judgement>> {
        let key = key.to_owned();
        self.read(move |c| evidence::standing(c, task, gate, &key)).await
    }
    async fn last_judgement(&self, task: TaskId, gate: GateId) -> Result<Option<Judgement>> {
        self.read(move |c| evidence::last_judgement(c, task, gate)).await
    }
    async fn put_artefacts(&self, fence: Fence, rows: Vec<ArtefactRow>) -> Result<bool> {
        self.write(move |c| evidence::put_artefacts(c, fence, &rows)).await
    }
    async fn artefact(&self, task: TaskId, run: Seq, name: &str) -> Result<Option<ArtefactRow>> {
        let name = name.to_owned();
        self.read(move |c| evidence::one_artefact(c, task, run, &name)).await
    }
    async fn artefacts(&self, task: TaskId) -> Result<Vec<ArtefactRow>> {
        self.read(move |c| evidence::artefacts(c, task)).await
    }
    async fn put_run(&self, fence: Fence, run: RunRow) -> Result<bool> {
        self.write(move |c| evidence::put_run(c, fence, &run)).await
    }
    async fn runs(&self, task: TaskId) -> Result<Vec<RunRow>> {
        self.read(move |c| evidence::runs(c, task)).await
    }
    async fn used(&self, from: Time, until: Time) -> Result<Vec<Used>> {
        self.read(move |c| evidence::used(c, from, until)).await
    }
    async fn put_deployment(&self, fence: Fence, deployment: Deployment) -> Result<bool> {
        self.write(move |c| evidence::put_deployment(c, fence, &deployment)).await
    }
    async fn deployments(&self, project: &ProjectKey, environment: Environment, limit: u32) -> Result<Vec<Deployment>> {
        let project = project.clone();
        self.read(move |c| evidence::deployments(c, &project, environment, limit)).await
    }
    async fn spending(&self, whose: Whose, from: Time) -> Result<Sums> {
        self.read(move |c| spends::sums(c, &whose, from)).await
    }
    async fn drop_evidence(&self, task: TaskId) -> Result<u64> {
        self.write(move |c| retention::drop_evidence(c, task)).await
    }
}

#[async_trait::async_trait]
impl Memory for SqliteStore {
    async fn remember(&self, fact: &Fact, value: &str, now: Time) -> Result<()> {
        let (fact, value) = (fact.clone(), value.to_owned());
        self.write(move |c| memory::remember(c, &fact, &value, now)).await
    }
    async fn recall(&self, fact: &Fact) -> Result<Option<String>> {
        let fact = fact.clone();
        self.read(move |c| memory::recall(c, &fact)).await
    }
    async fn forget(&self, fact: &Fact) -> Result<()> {
        let fact = fact.clone();
        self.write(move |c| memory::forget(c, &fact)).await
    }
    async fn forget_ended(&self, now: Time) -> Result<u64> {
        self.write(move |c| memory::forget_ended(c, now)).await
    }
}
