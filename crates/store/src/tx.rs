//! One transaction of a store, as the choreography needs it: rows are read and written, and nothing is decided. What is
//! done with them is written once, in `step.rs`, `queue.rs` and `lease.rs`, for every store there is. An error anywhere
//! takes the whole transaction back.

use crate::error::StoreError;
use crate::rows::{Fence, Job, JobState, Spend, Whose};
use orch_core::budget::Sums;
use orch_core::effect::{Effect, Lane, Outcome};
use orch_core::event::Event;
use orch_core::ids::{JobId, ProjectKey, Seq, TaskId, Time, WorkItem};
use orch_core::task::{NewTask, Task};
use orch_core::verdict::FaultNote;

/// A transaction.
pub trait Tx {
    /// What goes wrong: an error of the backend, or a rule of the store that would be broken.
    type Error: From<StoreError>;

    /// What the store's clock says, milliseconds.
    fn now_ms(&self) -> i64;

    // ---- tasks ----

    /// Reads a task.
    fn task(&mut self, id: TaskId) -> Result<Option<Task>, Self::Error>;
    /// Reads the task of a ticket.
    fn task_of_ticket(&mut self, project: &ProjectKey, number: u64) -> Result<Option<Task>, Self::Error>;
    /// Reads a task by the name people use; upper and lower case do not matter.
    fn task_named(&mut self, item: &WorkItem) -> Result<Option<Task>, Self::Error>;
    /// Adds a task under the next id, which no task ever had.
    fn add_task(&mut self, new: NewTask, now: Time) -> Result<Task, Self::Error>;
    /// Writes a task that is there.
    fn save_task(&mut self, task: &Task) -> Result<(), Self::Error>;
    /// What is queued of a task, and what comes, is claimed as early as its priority says.
    fn prioritise(&mut self, task: &Task) -> Result<(), Self::Error>;
    /// The task goes by another pipeline from now on.
    fn set_pipeline(&mut self, task: &Task) -> Result<(), Self::Error>;
    /// Tasks that wait for the merge lease of a repository, of whichever project, the oldest first.
    fn waiters(&mut self, repository: &ProjectKey) -> Result<Vec<TaskId>, Self::Error>;

    // ---- money ----

    /// The money of this attempt of a job.
    fn spend(&mut self, job: JobId, attempt: u32) -> Result<Option<Spend>, Self::Error>;
    /// The money of the attempt of a job that is not over, if there is one.
    fn open_spend(&mut self, job: JobId) -> Result<Option<Spend>, Self::Error>;
    /// Writes it, in place of what was there for this attempt.
    fn save_spend(&mut self, spend: &Spend) -> Result<(), Self::Error>;
    /// Removes it: nothing began.
    fn drop_spend(&mut self, job: JobId, attempt: u32) -> Result<(), Self::Error>;
    /// What runs come to that were reserved at a time or later.
    fn sums(&mut self, whose: &Whose, from: Time) -> Result<Sums, Self::Error>;
    /// Was a run of this attempt of the job written down, whether it has ended or not? Commands of the project do not count.
    fn has_run(&mut self, job: JobId, attempt: u32) -> Result<bool, Self::Error>;
    /// Queued jobs that are parked for this may be claimed at once.
    fn let_go_on(&mut self, parked: &str) -> Result<(), Self::Error>;

    // ---- jobs ----

    /// A job that is queued or running.
    fn open_job(&mut self, id: JobId) -> Result<Option<Job>, Self::Error>;
    /// Is a job of the task queued that has this coalescing key?
    fn is_queued(&mut self, task: TaskId, coalesce: &str) -> Result<bool, Self::Error>;
    /// Adds a queued job.
    fn add_job(&mut self, job: &AddedJob<'_>) -> Result<(), Self::Error>;
    /// Writes what can change of an open job: state, spent attempts, deaths, run, time, fault, stop, service it waits for.
    /// One that is queued has no worker.
    fn save_job(&mut self, job: &Job) -> Result<(), Self::Error>;
    /// Renews a claim that is held until this time of the store's clock; whose it is.
    fn renew_claim(&mut self, fence: Fence, until_ms: i64) -> Result<String, Self::Error>;
    /// Claims: every job that is running, the oldest first, those of kinds this version does not know too.
    fn claims(&mut self) -> Result<Vec<Claim>, Self::Error>;
    /// Is there a run of this attempt of the job whose end was not written down? Runs of earlier attempts are over.
    fn has_open_run(&mut self, job: JobId, attempt: u32) -> Result<bool, Self::Error>;
    /// Gives a claim back; its job has had this many deaths then. Also of a kind this version does not know. `died`: its last
    /// fault from now on.
    fn give_back(&mut self, job: JobId, deaths: u32, died: Option<&FaultNote>) -> Result<(), Self::Error>;
    /// Ends an open job; `false` if there is none.
    fn end_job(&mut self, id: JobId, end: &End<'_>) -> Result<bool, Self::Error>;

    // ---- leases ----

    /// The merge lease of a repository; `None` if it was never taken.
    fn lease(&mut self, repository: &ProjectKey) -> Result<Option<Lease>, Self::Error>;
    /// Writes it.
    fn save_lease(&mut self, repository: &ProjectKey, lease: &Lease) -> Result<(), Self::Error>;
    /// Repositories whose lease is held.
    fn held_leases(&mut self) -> Result<Vec<(ProjectKey, Lease)>, Self::Error>;

    // ---- inbox and journal ----

    /// Ticks a row of the inbox off; `false` if it is not there, not this task's, or ticked off before.
    fn tick(&mut self, row: i64, task: TaskId, now: Time) -> Result<bool, Self::Error>;
    /// Says at a row of the inbox why nothing came of it.
    fn note(&mut self, row: i64, why: &str) -> Result<(), Self::Error>;
    /// Writes what became of an event.
    fn keep(&mut self, entry: &Entry<'_>) -> Result<(), Self::Error>;
}

/// A job as it is added.
#[derive(Clone, Copy, Debug)]
pub struct AddedJob<'a> {
    /// Its task.
    pub task: TaskId,
    /// Its number within the task.
    pub seq: Seq,
    /// Project of its task.
    pub project: &'a ProjectKey,
    /// What it is.
    pub effect: &'a Effect,
    /// Attempts it has.
    pub max_attempts: u32,
    /// When.
    pub now: Time,
}

/// A claim, as far as taking it back depends on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The job.
    pub job: JobId,
    /// Number of the claim.
    pub epoch: u64,
    /// Who has it.
    pub worker: String,
    /// Lane of the job; `None`: one this version does not know.
    pub lane: Option<Lane>,
    /// Until when it holds, store's clock, milliseconds.
    pub until_ms: i64,
    /// Deaths of workers at this job so far.
    pub deaths: u32,
}

/// How a job ends.
#[derive(Clone, Debug)]
pub struct End<'a> {
    /// Its state.
    pub state: JobState,
    /// Attempts that this end spends.
    pub spends: u32,
    /// What went wrong, if something did.
    pub fault: Option<&'a FaultNote>,
    /// What came of it.
    pub outcome: &'a Outcome,
    /// When.
    pub now: Time,
}

/// A merge lease.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lease {
    /// Number of the last taking.
    pub epoch: u64,
    /// Who holds it.
    pub holder: Option<Holder>,
}

/// The holder of a merge lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Its task.
    pub task: TaskId,
    /// The name people use.
    pub item: WorkItem,
    /// Its branch.
    pub branch: String,
    /// The worker that took or renewed it last.
    pub worker: String,
    /// Until when it holds, store's clock, milliseconds.
    pub until_ms: i64,
    /// Since when.
    pub taken_at: Time,
}

/// What became of an event, for the journal.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// The task as it is now.
    pub task: &'a Task,
    /// What happened.
    pub event: &'a Event,
    /// Why it was ignored, if it was.
    pub ignored: Option<&'a str>,
    /// What it came to, in sentences.
    pub story: &'a [String],
    /// When.
    pub at: Time,
}

/// A rule of the store would be broken.
pub(crate) fn bug<E: From<StoreError>>(text: impl Into<String>) -> E {
    StoreError::Bug(text.into()).into()
}

/// The task of a verb that cannot do without it.
pub(crate) fn need<T: Tx>(tx: &mut T, id: TaskId) -> Result<Task, T::Error> {
    tx.task(id)?.ok_or_else(|| bug(format!("there is no task {id}")))
}
