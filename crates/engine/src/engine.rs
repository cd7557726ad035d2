//! The engine: everything it needs to work, and `step`, through which all of its workers speak to the store.

use crate::freshness::{self, Fetched, For, Freshness, With};
use crate::halt::Halting;
use crate::project::{Project, Projects};
use crate::who_may;
use orch_core::circuit::Circuit;
use orch_core::effect::Lane;
use orch_core::event::Event;
use orch_core::ids::{JobId, ProjectKey, Sha, TaskId, Time, WorkItem};
use orch_core::pauses::Pauses;
use orch_core::reap::{Limits, Sighting};
use orch_core::refusals::Refusals;
use orch_core::task::Task;
use orch_ports::Fault;
use orch_ports::clock::Clock;
use orch_ports::git::Git;
use orch_ports::notifier::Notifier;
use orch_ports::probe::Probe;
use orch_ports::supervisor::Supervisor;
use orch_store::{Cause, StepRequest, Stepped, Store};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use tokio::sync::{Notify, broadcast};
use tokio_util::sync::CancellationToken;

/// What the engine works with.
pub struct Ports {
    /// Durable state.
    pub store: Arc<dyn Store>,
    /// Git.
    pub git: Arc<dyn Git>,
    /// Other people's programs.
    pub supervisor: Arc<dyn Supervisor>,
    /// Running services.
    pub probe: Arc<dyn Probe>,
    /// People.
    pub notifier: Arc<dyn Notifier>,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

/// How the engine works.
#[derive(Clone, Debug)]
pub struct Options {
    /// Name of this process in claims, unique per start.
    pub worker: String,
    /// Run directories live here.
    pub runs_dir: PathBuf,
    /// Clean checkouts for tests and hooks live here.
    pub checkouts_dir: PathBuf,
    /// What setups left on default branches lives here.
    pub layers_dir: PathBuf,
    /// What sessions of agent programs need to go on lives here, a directory per task and role.
    pub sessions_dir: PathBuf,
    /// Width of each lane; a lane that is not named has width 4.
    pub widths: BTreeMap<Lane, usize>,
    /// Life of a claim without a heartbeat, milliseconds.
    pub claim_ms: i64,
    /// Life of a merge lease without a renewal, milliseconds.
    pub merge_lease_ms: i64,
    /// First pause after a transient fault, milliseconds; doubles up to `backoff_max_ms`.
    pub backoff_ms: i64,
    /// Longest such pause, milliseconds.
    pub backoff_max_ms: i64,
    /// How often the inbox and timers are looked at when nothing wakes their watchers, milliseconds.
    pub sweep_ms: u64,
    /// How dead workers are noticed.
    pub reaper: ReaperOptions,
    /// How lost events are made up for.
    pub reconcile: ReconcileOptions,
    /// Working directories of tasks may take this much together, bytes; 0: no limit.
    pub worktrees_max_bytes: u64,
    /// How long what piles up is kept.
    pub retention: Retention,
    /// A run that leaves less room than this where it worked, bytes, and was red, says nothing about the code.
    pub least_free_bytes: u64,
    /// Directories work cannot go on without; `/health` says which of them cannot be written.
    pub written_dirs: BTreeSet<PathBuf>,
    /// `PATH` for commands of projects.
    pub path: String,
}

impl Options {
    /// The pauses between two tries of a job.
    pub(crate) fn pauses(&self) -> Pauses {
        Pauses { first_ms: self.backoff_ms, max_ms: self.backoff_max_ms }
    }
}

/// How long what piles up is kept, milliseconds after its end; `None`: for ever.
#[derive(Clone, Copy, Debug, Default)]
pub struct Retention {
    /// Run directories may take this much together, bytes; 0: no limit.
    pub runs_max_bytes: u64,
    /// Run directories: brief, output, result.
    pub transcripts_ms: Option<i64>,
    /// Events from outside that were dealt with.
    pub bodies_ms: Option<i64>,
    /// Verdicts and documents of tasks that are over.
    pub evidence_ms: Option<i64>,
    /// Commits that tasks were made of.
    pub history_ms: Option<i64>,
    /// What an agent left uncommitted before its directory was made anew.
    pub attic_ms: Option<i64>,
}

/// How dead and hung workers are noticed; see the reaper.
#[derive(Clone, Copy, Debug)]
pub struct ReaperOptions {
    /// Look while running, not only at a start.
    pub enabled: bool,
    /// How often, milliseconds.
    pub interval_ms: u64,
    /// Looks in a row at which a supervisor must be dead.
    pub dead_ticks: u32,
    /// Backstop: longest life of a claim whose own limit is not later, milliseconds.
    pub max_running_ms: i64,
    /// How long a run may have ended without its result being taken, milliseconds.
    pub finalize_grace_ms: i64,
    /// Free merge leases nobody renews, without being asked. Else it is done when somebody who waits for one looks.
    pub lease_reclaim: bool,
}

impl ReaperOptions {
    /// What the judgement of a claim depends on.
    pub(crate) fn limits(&self) -> Limits {
        Limits {
            dead_looks: self.dead_ticks,
            max_running_ms: self.max_running_ms,
            finalize_grace_ms: self.finalize_grace_ms,
        }
    }
}

impl Default for ReaperOptions {
    fn default() -> Self {
        Self {
            enabled: true,
            interval_ms: 60_000,
            dead_ticks: 2,
            max_running_ms: 3_600_000,
            finalize_grace_ms: 300_000,
            lease_reclaim: true,
        }
    }
}

/// How lost events are made up for by polling.
#[derive(Clone, Debug)]
pub struct ReconcileOptions {
    /// Poll trackers at all.
    pub enabled: bool,
    /// How often, milliseconds.
    pub interval_ms: u64,
    /// How old a change must be before it is taken up, by the stage its task is in, milliseconds; nothing: at once.
    pub grace_ms: BTreeMap<String, i64>,
    /// Tell a person when a missed event set a task free.
    pub notify_unblock: bool,
}

impl Default for ReconcileOptions {
    fn default() -> Self {
        Self { enabled: true, interval_ms: 30_000, grace_ms: BTreeMap::new(), notify_unblock: true }
    }
}

/// A line of a task's story, as it happens.
#[derive(Clone, Debug)]
pub struct StoryLine {
    /// Task.
    pub work_item: WorkItem,
    /// Stage now.
    pub stage: String,
    /// Phase now.
    pub phase: &'static str,
    /// What happened.
    pub sentence: String,
    /// When.
    pub at: Time,
}

/// A job this process is at work on.
pub(crate) struct AtWork {
    pub(crate) epoch: u64,
    /// Somebody wants the job stopped.
    pub(crate) stop: CancellationToken,
    /// Its claim is somebody else's.
    pub(crate) give_up: CancellationToken,
    /// It can cause nothing outside any more.
    pub(crate) over: CancellationToken,
}

/// The engine. Cheap to share; `run` does the work.
pub struct Engine {
    pub(crate) ports: Ports,
    pub(crate) options: Options,
    /// The projects as they are configured now; a job under way keeps the one it began with.
    projects: RwLock<Arc<Projects>>,
    /// Lanes wake here when they get a job.
    pub(crate) wake: BTreeMap<Lane, Notify>,
    /// Watchers wake here.
    pub(crate) wake_driver: Notify,
    /// Jobs this process runs, to be stopped at once when somebody asks.
    pub(crate) running: Mutex<BTreeMap<JobId, AtWork>>,
    /// What does not go on.
    pub(crate) halting: Halting,
    pub(crate) story: broadcast::Sender<StoryLine>,
    pub(crate) watchers: Mutex<BTreeMap<&'static str, crate::watchers::report::WatcherState>>,
    /// What a look at the start found, until the next start.
    pub(crate) at_start: Mutex<BTreeMap<&'static str, Vec<String>>>,
    /// Circuits of outside services, by name.
    pub(crate) circuits: Mutex<BTreeMap<String, Circuit>>,
    /// What jobs were refused last.
    pub(crate) refusals: Mutex<Refusals>,
    /// Wall clock less boot clock at the last look, milliseconds.
    pub(crate) clock_offset_ms: Mutex<Option<i64>>,
    /// What the reaper remembers of claims.
    pub(crate) sightings: Mutex<BTreeMap<JobId, Sighting>>,
    /// One at a time looks at the default branch of a project.
    pub(crate) looking: Mutex<BTreeMap<ProjectKey, Arc<tokio::sync::Mutex<()>>>>,
    /// One at a time lands a branch of a project, so that two requests for one branch make one task; how many did.
    pub(crate) landing: Mutex<BTreeMap<ProjectKey, Arc<tokio::sync::Mutex<u64>>>>,
    /// Who is known by which names, and who was forgotten.
    pub(crate) persons: Mutex<crate::persons::Persons>,
    /// One at a time writes down which tests fail by chance.
    pub(crate) flaky: tokio::sync::Mutex<()>,
    /// What setups left on default branches.
    pub(crate) layers: crate::layer::Layers,
    /// When each repository was fetched last.
    pub(crate) freshness: Freshness,
    /// When each tracker was read last, and how often it may be.
    pub(crate) polls: Mutex<BTreeMap<ProjectKey, crate::pace::Poll>>,
    /// Webhooks, and what came in by them.
    pub(crate) inbound: crate::inbound::Inbound,
    /// What the security gate has done.
    pub(crate) security: Mutex<crate::gates::gate::SecurityState>,
}

impl Engine {
    /// An engine over ports, for projects.
    pub fn new(ports: Ports, options: Options, projects: Projects) -> Arc<Self> {
        let wake = Lane::ALL.iter().map(|lane| (*lane, Notify::new())).collect();
        Arc::new(Self {
            ports,
            options,
            projects: RwLock::new(Arc::new(projects)),
            wake,
            wake_driver: Notify::new(),
            running: Mutex::default(),
            halting: Halting::default(),
            story: broadcast::channel(1024).0,
            watchers: Mutex::default(),
            at_start: Mutex::default(),
            circuits: Mutex::default(),
            refusals: Mutex::default(),
            clock_offset_ms: Mutex::default(),
            sightings: Mutex::default(),
            looking: Mutex::default(),
            landing: Mutex::default(),
            persons: Mutex::default(),
            flaky: tokio::sync::Mutex::default(),
            layers: crate::layer::Layers::default(),
            freshness: Freshness::default(),
            polls: Mutex::default(),
            inbound: crate::inbound::Inbound::default(),
            security: Mutex::default(),
        })
    }

    /// The store, for reading.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.ports.store
    }
    /// The clock.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.ports.clock
    }
    /// The projects as they are configured now.
    pub fn projects(&self) -> Arc<Projects> {
        Arc::clone(&self.projects.read().unwrap_or_else(PoisonError::into_inner))
    }
    /// From now on these are the projects. Jobs under way keep what they began with.
    pub(crate) fn set_projects(&self, projects: Projects) {
        *self.projects.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(projects);
    }
    /// How it works.
    pub fn options(&self) -> &Options {
        &self.options
    }
    /// What happens from now on.
    pub fn story(&self) -> broadcast::Receiver<StoryLine> {
        self.story.subscribe()
    }

    /// A project by key.
    pub fn project(&self, key: &ProjectKey) -> Result<Arc<Project>, Fault> {
        self.projects().get(key).cloned().ok_or_else(|| Fault::permanent(who_may::not_configured(key)))
    }

    /// The projects on a repository.
    pub fn sharing(&self, repository: &ProjectKey) -> Vec<Arc<Project>> {
        self.projects().values().filter(|p| p.repository == *repository).map(Arc::clone).collect()
    }

    fn fetching(&self) -> With<'_> {
        let interval_ms = self.options.reconcile.interval_ms;
        With { git: &*self.ports.git, clock: &*self.ports.clock, interval_ms }
    }

    /// Brings the private repository up to date, as far as that is needed, and says where the default branch is.
    pub(crate) async fn fetch(&self, project: &Project, why: For) -> Result<Fetched, Fault> {
        let found = freshness::look(&self.fetching(), &self.freshness, project, why).await?;
        let (remote, default_branch, tip) = found;
        let tip = tip.ok_or_else(|| {
            Fault::permanent(format!("project {}: the forge has no branch `{default_branch}`", project.key))
        })?;
        Ok(Fetched { remote, default_branch, tip })
    }

    /// The tip of the default branch, as a wait needs it; `None`: there is no such branch.
    pub(crate) async fn tip(&self, project: &Project) -> Result<Option<Sha>, Fault> {
        Ok(freshness::look(&self.fetching(), &self.freshness, project, For::Wait).await?.2)
    }

    pub(crate) async fn step_one(&self, task: TaskId, cause: Cause, event: Event) -> Result<Stepped, Fault> {
        let row = self.task(task).await?;
        let policy = match self.projects().get(&row.project) {
            Some(project) => project.policy.clone(),
            // A project that left the configuration: its tasks still end what they have begun, and its people may still
            // cancel them.
            None => who_may::last_policy(&*self.ports.store, &row.project).await?,
        };
        let request = StepRequest {
            task,
            cause,
            event,
            policy,
            now: self.ports.clock.now(),
            worker: self.options.worker.clone(),
            lease_ttl_ms: self.options.merge_lease_ms,
        };
        let stepped = self.ports.store.step(request).await?;
        if let Stepped::Applied { task, story, lanes, stop, .. } = &stepped {
            self.tell(task, story);
            for lane in lanes {
                if let Some(notify) = self.wake.get(lane) {
                    notify.notify_one();
                }
            }
            if let Some(job) = stop {
                self.stop(*job);
            }
            self.wake_driver.notify_one();
        }
        Ok(stepped)
    }

    /// People should know this of a task, once per key: it goes into its journal, and a job of it sends it. Whoever met it
    /// does not wait for that.
    pub(crate) async fn notice(&self, task: TaskId, key: String, text: String) {
        if let Err(fault) = self.try_notice(task, &key, text.clone()).await {
            tracing::warn!(task = task.0, %fault, "could not write down what people should know: {text}");
        }
    }

    /// The same, where whoever met it can try again.
    pub(crate) async fn try_notice(&self, task: TaskId, key: &str, text: String) -> Result<(), Fault> {
        let event = Event::Noticed { key: key.to_owned(), text };
        let now = self.ports.clock.now();
        if let Some(row) = self.ports.store.put_inbox("notice", key, task, event.clone(), now).await? {
            self.step_one(task, Cause::Inbox(row), event).await?;
        }
        Ok(())
    }

    fn tell(&self, task: &Task, story: &[String]) {
        for sentence in story {
            tracing::info!(task = %task.work_item, stage = %task.stage(), phase = task.phase_word(), "{sentence}");
            // Nobody listening is fine: the journal has it.
            let _ = self.story.send(StoryLine {
                work_item: task.work_item.clone(),
                stage: task.stage().to_string(),
                phase: task.phase_word(),
                sentence: sentence.clone(),
                at: self.ports.clock.now(),
            });
        }
    }

    fn stop(&self, job: JobId) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at_work) = running.get(&job) {
            at_work.stop.cancel();
        }
    }

    /// Reads a task that must exist.
    pub async fn task(&self, id: TaskId) -> Result<Task, Fault> {
        self.ports.store.task(id).await?.ok_or_else(|| Fault::gone(format!("there is no task {id}")))
    }
}
