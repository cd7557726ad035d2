//! What an executor of an effect works with, and how it ends.

use crate::engine::Engine;
use crate::freshness::{Fetched, For};
use crate::project::Project;
use orch_core::effect::Outcome;
use orch_core::ids::Time;
use orch_core::retry::Tried;
use orch_core::task::Task;
use orch_ports::Fault;
use orch_store::{Beat, Charge, Job, Store};
use std::path::PathBuf;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Why a tree without code does not land, whatever the pipeline and its switches say.
pub(crate) const EMPTIED: &str =
    "the branch holds no file of code, although the default branch does: a change that leaves no file never lands";

/// What an executor works with.
pub(crate) struct Cx {
    pub(crate) engine: Arc<Engine>,
    pub(crate) job: Job,
    pub(crate) task: Task,
    pub(crate) project: Arc<Project>,
    /// Cancelled when somebody wants the job stopped.
    pub(crate) stop: CancellationToken,
}

/// How an executor ends.
#[derive(Debug)]
pub(crate) enum Ended {
    /// Its outcome is known.
    Outcome(Outcome),
    /// It must be done again.
    Again {
        /// What this costs.
        charge: Charge,
        /// Must the next claim start a new run?
        new_run: bool,
        /// Not before.
        not_before: Option<Time>,
        /// What happened.
        fault: Fault,
    },
    /// The rules of the core have said it.
    Tried(Box<Tried>),
}

impl From<Outcome> for Ended {
    fn from(outcome: Outcome) -> Self {
        Self::Outcome(outcome)
    }
}

impl Cx {
    /// Does a person hold the task now? To be asked before the first act of a job that cannot be taken back.
    pub(crate) async fn is_on_hold(&self) -> Result<bool, Fault> {
        Ok(self.engine.task(self.job.id.task).await?.wait.on_hold.is_some())
    }

    /// The same job, for the task as it was.
    pub(crate) fn with(&self, task: Task) -> Self {
        let Self { engine, job, project, stop, .. } = self;
        Self { engine: engine.clone(), job: job.clone(), task, project: project.clone(), stop: stop.clone() }
    }

    pub(crate) async fn load(engine: Arc<Engine>, job: Job, stop: CancellationToken) -> Result<Self, Fault> {
        let task = engine.task(job.id.task).await?;
        let span = tracing::Span::current();
        span.record("work_item", tracing::field::display(&task.work_item)).record("branch", &task.branch.name);
        let project = engine.project(&task.project)?;
        Ok(Self { engine, job, task, project, stop })
    }

    pub(crate) fn store(&self) -> &dyn Store {
        &*self.engine.ports.store
    }
    pub(crate) fn now(&self) -> Time {
        self.engine.ports.clock.now()
    }

    /// Unique name of a run of this job's present attempt.
    pub(crate) fn run_name(&self, name: &str) -> String {
        self.run_name_of(self.job.run_attempt, name)
    }

    fn run_name_of(&self, attempt: u32, name: &str) -> String {
        let base = format!("{}-{attempt}", self.job.id);
        if name.is_empty() { base } else { format!("{base}-{name}") }
    }

    /// Run directory of this job's present attempt.
    pub(crate) fn run_dir(&self, name: &str) -> PathBuf {
        self.engine.options.runs_dir.join(self.run_name(name))
    }

    /// Run directories of its earlier attempts, the newest first.
    pub(crate) fn earlier_run_dirs(&self, name: &str) -> impl Iterator<Item = PathBuf> {
        let attempts = (1..self.job.run_attempt).rev();
        attempts.map(move |attempt| self.engine.options.runs_dir.join(self.run_name_of(attempt, name)))
    }

    /// Turns "the fence is old" into a reason to stop at once.
    pub(crate) fn fenced(kept: bool) -> Result<(), Fault> {
        if kept { Ok(()) } else { Err(Fault::transient("the claim of this job is somebody else's by now")) }
    }

    /// The last look before an act outside: a worker whose claim was taken back must not act any more. Renews the claim.
    pub(crate) async fn still_ours(&self) -> Result<(), Fault> {
        let options = &self.engine.options;
        let beat = self.store().heartbeat(self.job.fence(), options.claim_ms, options.merge_lease_ms).await?;
        Self::fenced(beat != Beat::Lost)
    }

    /// Brings the private repository up to date and says where the default branch is: an act follows.
    pub(crate) async fn fetch(&self) -> Result<Fetched, Fault> {
        self.engine.fetch(&self.project, For::Act).await
    }
    /// The same for a look at what is waited for: what the last minute brought will do.
    pub(crate) async fn fetch_waiting(&self) -> Result<Fetched, Fault> {
        self.engine.fetch(&self.project, For::Wait).await
    }
}
