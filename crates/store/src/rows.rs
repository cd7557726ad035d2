//! The shapes verbs take and give.

use crate::tx::Lease;
use orch_core::budget::{Refusal, Sums, Terms};
use orch_core::effect::{Effect, Lane};
use orch_core::event::Event;
use orch_core::ids::{Actor, Environment, GateId, JobId, ProjectKey, Seq, Sha, StageId, TaskId, Time, WorkItem};
use orch_core::phase::PhaseKind;
use orch_core::policy::Policy;
use orch_core::retry::Tries;
use orch_core::task::Task;
use orch_core::verdict::{FaultNote, Verdict};
use orch_ports::inbound::Delivery;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

pub use orch_core::retry::{Charge, Requeue};

/// Proof of being the one who may end a claimed job: its number and the epoch of the claim. A worker that was paused
/// past its lease holds an old epoch and can change nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fence {
    /// The job.
    pub job: JobId,
    /// How many-eth claim of it.
    pub epoch: u64,
}

/// Why a task is stepped; ends together with the step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// A claimed job ended: it is settled in the same transaction.
    Job(Fence),
    /// An inbox row: it is ticked off in the same transaction.
    Inbox(i64),
    /// The driver itself: timers, nudges, freed leases.
    Engine,
}

/// A step to be made.
#[derive(Clone, Debug)]
pub struct StepRequest {
    /// Which task.
    pub task: TaskId,
    /// Why.
    pub cause: Cause,
    /// What happened. For `Cause::Job` it is `JobEnded` of that job.
    pub event: Event,
    /// The project's policy now.
    pub policy: Policy,
    /// Wall clock.
    pub now: Time,
    /// Who makes it: the merge lease it takes or keeps is this worker's.
    pub worker: String,
    /// How long a merge lease lives without being renewed, milliseconds.
    pub lease_ttl_ms: i64,
}

/// What a step did.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant)]
pub enum Stepped {
    /// The decision is durable.
    Applied {
        /// The task now.
        task: Task,
        /// What happened, for people.
        story: Vec<String>,
        /// Lanes that got new jobs.
        lanes: Vec<Lane>,
        /// A running job that was asked to stop.
        stop: Option<JobId>,
        /// Tasks that wait for a merge lease which is free now.
        freed: Vec<TaskId>,
    },
    /// Nothing changed but the cause, which is ticked off, and the journal.
    Ignored {
        /// Why.
        why: String,
    },
    /// The fence is old: nothing changed at all.
    Fenced,
}

/// State of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JobState {
    /// Waits for a worker, perhaps until a time.
    Queued,
    /// Claimed.
    Running,
    /// Its outcome is known.
    Done,
    /// It could not be done.
    Failed,
    /// It was stopped.
    Cancelled,
}

impl JobState {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// A wish to work.
#[derive(Clone, Debug)]
pub struct ClaimRequest {
    /// Lane to take from.
    pub lane: Lane,
    /// Who claims: unique per process.
    pub worker: String,
    /// Wall clock: jobs with a later `available_at` are not taken.
    pub now: Time,
    /// How long the claim lives without a heartbeat, milliseconds.
    pub lease_ms: i64,
    /// How much of the lane one project may take.
    pub share: Share,
    /// Projects nothing is taken from, and no place is kept for. One certain job is taken all the same.
    pub except: Vec<ProjectKey>,
    /// What an agent's run of each project has to fit into; of a project that is not named, nothing.
    pub terms: BTreeMap<ProjectKey, Terms>,
}

/// How much of a lane one project may take. A project that runs nothing there may always begin; these bound one that does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// Most jobs of one project at once.
    pub each: u32,
    /// Places of the lane. Of these one is kept for every other project that is at work and has none.
    pub all: u32,
}

impl Default for Share {
    /// No bounds.
    fn default() -> Self {
        Self { each: u32::MAX, all: u32::MAX }
    }
}

/// A job, claimed or looked at.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    /// Identity.
    pub id: JobId,
    /// Project of its task.
    pub project: ProjectKey,
    /// What it is.
    pub effect: Effect,
    /// Its lane.
    pub lane: Lane,
    /// State.
    pub state: JobState,
    /// Number of claims; the fence.
    pub epoch: u64,
    /// Attempts spent: failures that were its own.
    pub attempts: u32,
    /// Attempts it has.
    pub max_attempts: u32,
    /// Failures that were the world's.
    pub transient_attempts: u32,
    /// Number of the run directory it uses now, from 1; grows when a new run must be made, not with every claim.
    pub run_attempt: u32,
    /// Not before.
    pub available_at: Time,
    /// Its last fault.
    pub last_fault: Option<FaultNote>,
    /// When it was made.
    pub created_at: Time,
    /// When it was claimed last.
    pub claimed_at: Option<Time>,
    /// When it ended.
    pub finished_at: Option<Time>,
    /// Was it asked to stop?
    pub stop: bool,
    /// Times its worker died or hung while at it.
    pub deaths: u32,
    /// The outside service, or the budget, it waits for.
    pub parked: Option<String>,
    /// What its claim reserved for its run, millionths of a US dollar; 0 where it is not read by a claim.
    pub reserved_micro_usd: u64,
    /// Why its run does not fit into a budget. Only a claim says so, and whoever has such a claim begins nothing.
    pub refused: Option<Refusal>,
}

impl Job {
    /// The fence of this claim.
    pub fn fence(&self) -> Fence {
        Fence { job: self.id, epoch: self.epoch }
    }
    /// What it has spent.
    pub fn tries(&self) -> Tries {
        Tries {
            job: self.id,
            attempts: self.attempts,
            max_attempts: self.max_attempts,
            transient: self.transient_attempts,
            deaths: self.deaths,
        }
    }
}

/// Answer to a heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beat {
    /// Go on.
    Held,
    /// Somebody wants this job stopped.
    Stop,
    /// The job is no longer yours: let go without a trace.
    Lost,
}

/// A job whose kind or form this version does not know, kept for one that does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UnknownJob {
    /// Which.
    pub id: JobId,
    /// Project of its task.
    pub project: ProjectKey,
    /// What it calls itself.
    pub kind: String,
    /// Why it cannot be read.
    pub why: String,
    /// When it was made.
    pub since: Time,
}

/// A claim that was taken back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reaped {
    /// Which job.
    pub job: JobId,
    /// Who had it.
    pub worker: String,
    /// Deaths of its workers so far, this one included if it was one.
    pub deaths: u32,
}

/// A row of the inbox.
#[derive(Clone, Debug, PartialEq)]
pub struct InboxRow {
    /// Row id.
    pub id: i64,
    /// Where it came from: `http`, `tracker:local`, ...
    pub source: String,
    /// Task it is for.
    pub task: TaskId,
    /// What happened.
    pub event: Event,
    /// When it arrived.
    pub at: Time,
}

/// What became of an event that was put into the inbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dealt {
    /// It waits to be stepped: the id of its row.
    Waits(i64),
    /// It was stepped, and something came of it.
    Taken,
    /// It was stepped, and nothing came of it: why.
    Ignored(String),
}

/// A delivery of a webhook that was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewDelivery {
    /// Who sent it: `gitea`, `plane`.
    pub source: String,
    /// SHA-256 of its body.
    pub digest: Vec<u8>,
    /// What it says of itself.
    pub delivery: Delivery,
    /// The body, where it is kept.
    pub body: Option<Vec<u8>>,
    /// When it arrived.
    pub at: Time,
}

/// A delivery that is to be resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryRow {
    /// Row id, growing.
    pub id: i64,
    /// Who sent it.
    pub source: String,
    /// What it says of itself.
    pub delivery: Delivery,
    /// When it arrived.
    pub at: Time,
}

/// How a source of deliveries stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DeliverySource {
    /// Its name.
    pub source: String,
    /// Deliveries that were not resolved yet.
    pub open: u64,
    /// When the oldest of them arrived.
    pub oldest_open: Option<Time>,
    /// When the newest delivery arrived.
    pub last: Option<Time>,
}

/// A row of the journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JournalRow {
    /// Row id, growing.
    pub id: i64,
    /// Task.
    pub task: TaskId,
    /// Its name.
    pub work_item: WorkItem,
    /// When.
    pub at: Time,
    /// Name of the event.
    pub event: String,
    /// Who, if a person.
    pub actor: Option<Actor>,
    /// Why it was ignored, if it was.
    pub ignored: Option<String>,
    /// What happened, in sentences.
    pub story: Vec<String>,
    /// Stage afterwards.
    pub stage: StageId,
    /// Phase afterwards, one word.
    pub phase: String,
}

/// A gate's judgement as evidence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Judgement {
    /// Task.
    pub task: TaskId,
    /// Gate.
    pub gate: GateId,
    /// Stage.
    pub stage: StageId,
    /// Job that judged.
    pub job: Seq,
    /// Head it judged.
    pub head: Sha,
    /// Key the verdict belongs to: it stands while this is unchanged.
    pub key: String,
    /// Verdict as the pipeline took it.
    pub verdict: Verdict,
    /// `enforce`, `shadow` or `off`.
    pub mode: String,
    /// What was looked at: JSON.
    pub evidence: serde_json::Value,
    /// Was an earlier verdict with the same key taken over?
    pub reused: bool,
    /// When.
    pub at: Time,
    /// How long it took, milliseconds.
    pub took_ms: i64,
}

/// An artefact as a run left it: the copy that gates read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArtefactRow {
    /// Task.
    pub task: TaskId,
    /// Stage.
    pub stage: StageId,
    /// The run (or deploy job) that left it.
    pub run: Seq,
    /// Name below the artefact directory.
    pub name: String,
    /// SHA-256 of the bytes, lower-case hex.
    pub sha256: String,
    /// Content.
    pub bytes: Vec<u8>,
    /// What it judges: a patch id, a code digest or a revision.
    pub subject: String,
    /// When it was taken.
    pub at: Time,
}

/// What a run of an agent has cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cost {
    /// So much, millionths of a US dollar.
    Known(u64),
    /// Nobody knows: so much was reserved for it, and counts. 0: nothing counts.
    AtMost(u64),
}

/// The money of an agent's run, from its reservation on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spend {
    /// The job.
    pub job: JobId,
    /// Number of the run directory.
    pub attempt: u32,
    /// Project of its task.
    pub project: ProjectKey,
    /// When it was reserved: the day and month it counts for.
    pub at: Time,
    /// What was reserved, millionths of a US dollar.
    pub reserved_micro_usd: u64,
    /// What it cost, once it is over.
    pub cost: Option<Cost>,
}

/// Whose runs are summed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whose {
    /// Those of a task.
    Task(TaskId),
    /// Those of a project.
    Project(ProjectKey),
    /// All.
    Everybody,
}

/// What was brought where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deployment {
    /// Project.
    pub project: ProjectKey,
    /// Environment.
    pub environment: Environment,
    /// Revision.
    pub revision: Sha,
    /// Task.
    pub task: TaskId,
    /// Did it come up?
    pub ok: bool,
    /// Was it a rollback?
    pub rollback: bool,
    /// When.
    pub at: Time,
}

/// Which tasks.
#[derive(Clone, Debug, Default)]
pub struct TaskFilter {
    /// Only this project's.
    pub project: Option<ProjectKey>,
    /// Closed ones too.
    pub closed: bool,
    /// At most this many, newest first; 0: all.
    pub limit: u32,
    /// Only those older than this one: where the page before ended.
    pub before: Option<TaskId>,
    /// Only those in this stage.
    pub stage: Option<String>,
    /// Only those in one of these phases; empty: in any.
    pub phases: &'static [PhaseKind],
}

/// What stands beside a task in the database and belongs to every picture of it.
#[derive(Clone, Debug, Default)]
pub struct Standing {
    /// The job its phase waits for.
    pub job: Option<Job>,
    /// Runs so far.
    pub runs: u64,
    /// What those of agents cost.
    pub cost: Sums,
}

/// The open jobs as `/queue` shows them: not all of them, but how many.
#[derive(Clone, Debug, Default)]
pub struct OpenSample {
    /// Claimed ones and those something is to be said about first, then the oldest.
    pub jobs: Vec<Job>,
    /// How many there are, whole.
    pub total: u64,
    /// How many watches on production.
    pub watching: u64,
    /// How many wait for which outside service.
    pub parked: Vec<(String, u64)>,
}

/// Counts for `/queue`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueCounts {
    /// Jobs waiting, that could start now.
    pub queued: u64,
    /// Jobs waiting for a time.
    pub delayed: u64,
    /// Claimed.
    pub running: u64,
    /// Ended well, ever.
    pub done: u64,
    /// Ended badly, ever.
    pub failed: u64,
    /// Stopped, ever.
    pub cancelled: u64,
}

/// A merge lease as shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseRow {
    /// Its repository, by the key of the first project that has it.
    pub project: ProjectKey,
    /// Number of the last taking.
    pub epoch: u64,
    /// Who holds it.
    pub holder: Option<WorkItem>,
    /// Its task.
    pub task: Option<TaskId>,
    /// Branch of the holder.
    pub branch: Option<String>,
    /// Worker that took or renewed it last.
    pub worker: Option<String>,
    /// Since when.
    pub taken_at: Option<Time>,
}

impl LeaseRow {
    /// A lease as shown.
    pub fn of(project: ProjectKey, lease: Lease) -> Self {
        let Lease { epoch, holder } = lease;
        let h = holder.as_ref();
        Self {
            project,
            epoch,
            task: h.map(|h| h.task),
            branch: h.map(|h| h.branch.clone()),
            worker: h.map(|h| h.worker.clone()),
            taken_at: h.map(|h| h.taken_at),
            holder: holder.map(|h| h.item),
        }
    }
}
