//! The verbs. Each is one transaction, however many tables it touches; none is held open across an await on the
//! outside world; every one that ends or changes a claimed job takes its fence.

use crate::error::StoreError;
use crate::forget::{Forget, Forgotten};
use crate::memory::Fact;
use crate::rows::{
    ArtefactRow, Beat, ClaimRequest, Dealt, DeliveryRow, DeliverySource, Deployment, Fence, InboxRow, Job, JournalRow,
    Judgement, LeaseRow, NewDelivery, OpenSample, QueueCounts, Reaped, Requeue, Standing, StepRequest, Stepped,
    TaskFilter, UnknownJob, Whose,
};
use crate::run_row::RunRow;
use crate::used::Used;
use orch_core::budget::Sums;
use orch_core::effect::Lane;
use orch_core::event::Event;
use orch_core::ids::{Actor, Environment, GateId, JobId, ProjectKey, Seq, TaskId, Time, WorkItem};
use orch_core::lease::Held;
use orch_core::task::{NewTask, Task};

/// Result of a verb.
pub(crate) type Result<T> = std::result::Result<T, StoreError>;

/// Tasks, and the only way to change one. Its users: whoever decides, shows, or looks for what is due.
#[async_trait::async_trait]
pub trait Tasks: Send + Sync + 'static {
    /// Makes a task of a ticket; there is one per project and number, a second call returns the first one's task and
    /// `false`.
    async fn create_task(&self, new: NewTask, now: Time) -> Result<(Task, bool)>;
    /// Decides an event and writes everything that follows from it: the task, its jobs, the merge lease, the settled
    /// job or the ticked-off inbox row, and the journal. The only way to change a task.
    ///
    /// A job asked to stop that is still queued is cancelled at once, and the task is told in the same transaction.
    /// A step of the lease's holder that keeps the lease renews it. New jobs get `max_attempts` from `Effect::class`:
    /// 2 for repeatable ones, no limit (`u32::MAX`) for irreversible ones. A side effect whose `coalesce` key is still
    /// queued for the task is not queued again. A settled side effect is settled without asking `decide`.
    async fn step(&self, request: StepRequest) -> Result<Stepped>;
    /// Reads a task.
    async fn task(&self, id: TaskId) -> Result<Option<Task>>;
    /// Reads a task by the name people use; upper and lower case do not matter.
    async fn task_by_item(&self, item: &WorkItem) -> Result<Option<Task>>;
    /// Reads tasks, newest first.
    async fn tasks(&self, filter: TaskFilter) -> Result<Vec<Task>>;
    /// Reads tasks, newest first, with what stands beside each.
    async fn overviews(&self, filter: TaskFilter) -> Result<Vec<(Task, Standing)>>;
    /// What stands beside a task whose phase waits for this job.
    async fn standing(&self, task: TaskId, job: Option<Seq>) -> Result<Standing>;
    /// Projects that have open tasks.
    async fn open_projects(&self) -> Result<Vec<ProjectKey>>;
    /// The highest number a task of a project has; 0 if it has none.
    async fn highest_number(&self, project: &ProjectKey) -> Result<u64>;
    /// Tasks that are over and changed last after `after` and not after `until`, in the order of their end.
    async fn closed_between(&self, after: (Time, TaskId), until: Time, limit: u32) -> Result<Vec<(TaskId, Time)>>;
    /// Tasks whose timer has come.
    async fn due(&self, now: Time) -> Result<Vec<TaskId>>;
    /// When the next timer comes, or the next delayed job becomes available.
    async fn next_wake(&self) -> Result<Option<Time>>;
    /// How many open tasks are in which stage.
    async fn open_by_stage(&self) -> Result<Vec<(String, u64)>>;
}

/// Jobs, claims and merge leases. Its users: the runner, the reaper, and the pages that show the queue.
#[async_trait::async_trait]
pub trait Queue: Send + Sync + 'static {
    /// Takes the next available job of a lane whose exclusive key nobody runs; raises its epoch. Projects take turns;
    /// within a project the highest priority goes first, then the oldest. How much of the lane one project may have is
    /// bounded by the request. What an agent's run may cost is reserved for it by the terms of the request, or the job says
    /// why that does not fit ([`Job::refused`]). A job of a kind this version does not know is put aside for one that does.
    async fn claim(&self, request: ClaimRequest) -> Result<Option<Job>>;
    /// Takes one certain job, under the same conditions.
    async fn claim_one(&self, id: JobId, request: ClaimRequest) -> Result<Option<Job>>;
    /// Renews a claim, and the merge lease if the job's task holds one, for the worker that has the claim.
    async fn heartbeat(&self, fence: Fence, lease_ms: i64, lease_ttl_ms: i64) -> Result<Beat>;
    /// Puts a claimed job back; `false` if the fence is old.
    async fn requeue(&self, fence: Fence, requeue: Requeue) -> Result<bool>;
    /// Takes back claims that were not renewed in time, by the store's clock and whoever had them. No attempt is spent; it
    /// counts as a death in lanes where the worker itself did the work ([`Lane::outlives_workers`]).
    ///
    /// [`Lane::outlives_workers`]: orch_core::effect::Lane::outlives_workers
    async fn reap(&self) -> Result<Vec<Reaped>>;
    /// Takes back exactly this claim: its worker hangs. Counts as a death. `None`: the fence is old.
    async fn take_back(&self, fence: Fence) -> Result<Option<Reaped>>;
    /// Gives back everything this worker has claimed, at the orderly end of its process; how many jobs.
    async fn release(&self, worker: &str) -> Result<u64>;
    /// Lets jobs run that wait for an outside service; their lanes.
    async fn unpark(&self, service: &str, now: Time) -> Result<Vec<Lane>>;
    /// Lets jobs run now that were put off beyond a time, those that wait for an outside service too; how many. For a
    /// wall clock that was set back: nobody may wait for a time that was never meant.
    async fn hurry(&self, beyond: Time, now: Time) -> Result<u64>;
    /// For a worker that knows every other one to be dead, because the store has one owner at a time and it is that:
    /// everything claimed by others is taken back, merge leases of tasks that are still inside their merge are this
    /// worker's for a full time, and jobs that were put aside are looked at again. In a store of several workers nobody
    /// may ask for it: what a dead one leaves runs out.
    async fn recover(&self, worker: &str, lease_ttl_ms: i64) -> Result<Vec<Reaped>>;
    /// Renews the merge leases this worker holds of tasks that are inside their merge, for it lives: a gate
    /// that waits for its turn, or for CI, must not cost its task the lease.
    async fn renew_leases(&self, worker: &str, lease_ttl_ms: i64) -> Result<()>;
    /// Frees merge leases that were not renewed in time, by the store's clock and whoever held them, unless their holder's
    /// merge has an unknown outcome or the repository's queue is frozen. Returns whose repository, who lost it and who
    /// waits for it.
    async fn reclaim_leases(&self) -> Result<Vec<(ProjectKey, Option<WorkItem>, Vec<TaskId>)>>;
    /// Merge leases.
    async fn leases(&self) -> Result<Vec<LeaseRow>>;
    /// Does this task hold its repository's merge lease under this epoch? The proof of it is what a merge has to be given.
    async fn holds_lease(&self, task: TaskId, epoch: u64) -> Result<Option<Held>>;
    /// Reads a job, finished or not; one that cannot be read is not there, see [`Queue::unknown_jobs`].
    async fn job(&self, id: JobId) -> Result<Option<Job>>;
    /// Jobs that are queued or running; of one task or of all.
    async fn open_jobs(&self, task: Option<TaskId>) -> Result<Vec<Job>>;
    /// At most so many of the open jobs, and how many there are.
    async fn open_sample(&self, limit: u32) -> Result<OpenSample>;
    /// Jobs that are claimed, by whomever.
    async fn running_jobs(&self) -> Result<Vec<Job>>;
    /// Open jobs of a kind this version does not know: kept, and nobody works on them.
    async fn unknown_jobs(&self) -> Result<Vec<UnknownJob>>;
    /// Newest finished jobs.
    async fn recent_jobs(&self, limit: u32) -> Result<Vec<Job>>;
    /// Counts.
    async fn counts(&self, now: Time) -> Result<QueueCounts>;
}

/// What happened, and what has been said and not yet been stepped. Its users: webhooks and commands, the export, the live
/// pages.
#[async_trait::async_trait]
pub trait Journal: Send + Sync + 'static {
    /// Keeps an event for a task until it is stepped. `None`: the same source and key was there before.
    async fn put_inbox(&self, source: &str, key: &str, task: TaskId, event: Event, at: Time) -> Result<Option<i64>>;
    /// What became of an event that was put there. `None`: it never was.
    async fn dealt(&self, source: &str, key: &str) -> Result<Option<Dealt>>;
    /// Events not stepped yet, oldest first.
    async fn pending_inbox(&self, limit: u32) -> Result<Vec<InboxRow>>;
    /// Journal rows after an id, oldest first; of one task or of all.
    async fn journal(&self, task: Option<TaskId>, after: i64, limit: u32) -> Result<Vec<JournalRow>>;
    /// Id of the newest journal row; 0 if there is none.
    async fn journal_head(&self) -> Result<i64>;
    /// The newest journal rows of a task that say something to people (what it came to, or a wish that was refused), newest
    /// first.
    async fn journal_tail(&self, task: TaskId, limit: u32) -> Result<Vec<JournalRow>>;
    /// Empties events of the inbox behind the row `after` that were dealt with before `until`, at most `limit` of them;
    /// the last row that was looked at. That they were delivered stays known.
    async fn drop_bodies(&self, after: i64, until: Time, limit: u32) -> Result<i64>;
    /// The numbers by which people are named in exports; who has none gets one.
    async fn person_ids(&self, names: Vec<String>) -> Result<Vec<(String, i64)>>;
    /// Everybody who is named as having done something, and everybody who has a number, each once, by name.
    async fn named(&self) -> Result<Vec<Actor>>;
    /// Puts the number of a person in the place of their names in everything that is kept, in one transaction with what is
    /// remembered of it; then sees to it that the names are in no unused part of the file either. May be asked again.
    async fn forget_person(&self, forget: Forget) -> Result<Forgotten>;
}

/// What other servers have sent, from its arrival until it was resolved. Its users: whoever takes webhooks in, and resolves
/// them.
#[async_trait::async_trait]
pub trait Deliveries: Send + Sync + 'static {
    /// Keeps a verified delivery. `None`: its source had sent the same body, or under the same name, before.
    async fn put_delivery(&self, new: NewDelivery) -> Result<Option<i64>>;
    /// Deliveries that were not resolved yet, oldest first.
    async fn open_deliveries(&self, limit: u32) -> Result<Vec<DeliveryRow>>;
    /// Ticks off deliveries, each with a word about what came of it where it is worth one. Once is enough.
    async fn end_deliveries(&self, ended: Vec<(i64, Option<String>)>, now: Time) -> Result<()>;
    /// How these sources stand, in their order.
    async fn delivery_sources(&self, sources: Vec<String>) -> Result<Vec<DeliverySource>>;
    /// Drops bodies that arrived up to `bodies`, and deliveries that were resolved and arrived up to `rows`, at most `limit`
    /// of each; how many, together.
    async fn drop_deliveries(&self, bodies: Time, rows: Time, limit: u32) -> Result<u64>;
}

/// What gates found, what runs left and cost, what was brought where. Its users: executors, gates, whoever asks why.
#[async_trait::async_trait]
pub trait Evidence: Send + Sync + 'static {
    /// Keeps a judgement; `false` if the fence is old.
    async fn put_judgement(&self, fence: Fence, judgement: Judgement) -> Result<bool>;
    /// Judgements of a task, oldest first.
    async fn judgements(&self, task: TaskId) -> Result<Vec<Judgement>>;
    /// The newest judgement of a gate on a key that let the task pass or failed it (not waits, not "cannot tell").
    async fn judgement(&self, task: TaskId, gate: GateId, key: &str) -> Result<Option<Judgement>>;
    /// The newest judgement of a gate, whatever it says.
    async fn last_judgement(&self, task: TaskId, gate: GateId) -> Result<Option<Judgement>>;
    /// Keeps artefacts; the same name of the same run is replaced. `false` if the fence is old.
    async fn put_artefacts(&self, fence: Fence, rows: Vec<ArtefactRow>) -> Result<bool>;
    /// An artefact of exactly this run.
    async fn artefact(&self, task: TaskId, run: Seq, name: &str) -> Result<Option<ArtefactRow>>;
    /// The newest of each artefact of a task.
    async fn artefacts(&self, task: TaskId) -> Result<Vec<ArtefactRow>>;
    /// Keeps or completes a run (by task, job and attempt); with its end, its cost takes the place of what was reserved for
    /// it. `false` if the fence is old.
    async fn put_run(&self, fence: Fence, run: RunRow) -> Result<bool>;
    /// Runs of a task, oldest first.
    async fn runs(&self, task: TaskId) -> Result<Vec<RunRow>>;
    /// What agents have used whose runs began from `from` on and before `until`, and have ended: one row for each task, role,
    /// model and quarter of an hour, in the order of these.
    async fn used(&self, from: Time, until: Time) -> Result<Vec<Used>>;
    /// Keeps a deployment; `false` if the fence is old.
    async fn put_deployment(&self, fence: Fence, deployment: Deployment) -> Result<bool>;
    /// Deployments of an environment, newest first.
    async fn deployments(&self, project: &ProjectKey, environment: Environment, limit: u32) -> Result<Vec<Deployment>>;
    /// What runs of agents come to that were reserved at a time or later.
    async fn spending(&self, whose: Whose, from: Time) -> Result<Sums>;
    /// Removes the verdicts and documents of a task that is over; how many rows. Of an open task nothing is removed.
    async fn drop_evidence(&self, task: TaskId) -> Result<u64>;
}

/// What the engine remembers beside its tasks: cursors, what it pushed, open circuits. Its users: watchers.
#[async_trait::async_trait]
pub trait Memory: Send + Sync + 'static {
    /// Remembers a fact in place of what it said before. It ends by itself where [`Fact::until`] says so.
    async fn remember(&self, fact: &Fact, value: &str, now: Time) -> Result<()>;
    /// What is remembered.
    async fn recall(&self, fact: &Fact) -> Result<Option<String>>;
    /// Forgets a fact.
    async fn forget(&self, fact: &Fact) -> Result<()>;
    /// Forgets what has ended by itself; how much.
    async fn forget_ended(&self, now: Time) -> Result<u64>;
}

/// The store: all of it, for whoever is built around one.
pub trait Store: Tasks + Queue + Journal + Deliveries + Evidence + Memory {}

impl<S: Tasks + Queue + Journal + Deliveries + Evidence + Memory> Store for S {}
