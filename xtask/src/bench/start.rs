//! P3: from asking for work to the start of the work, in a real engine on a real database: `step` makes the job durable
//! and wakes its lane, the lane claims it durably, and the executor's first word to the outside is its start. That word
//! is said to a tracker of ours; everything else is what `orch serve` uses.

use super::stats::{Line, Times, ms};
use super::{Bench, life};
use anyhow::{Context, Result};
use async_trait::async_trait;
use orch_adapters::command::{CommandAgent, CommandSettings};
use orch_adapters::git_cli::GitCli;
use orch_adapters::git_forge::GitForge;
use orch_adapters::http_probe::HttpProbe;
use orch_adapters::log_notifier::LogNotifier;
use orch_adapters::system_clock::SystemClock;
use orch_core::event::Event;
use orch_core::ids::{Actor, ProjectKey, Time};
use orch_core::landing::LandingPlan;
use orch_core::pipeline::Pipeline;
use orch_core::task::NewTask;
use orch_engine::project::WatchPlan;
use orch_engine::{Deploy, Engine, Options, Ports, Project, Projects};
use orch_ports::Fault;
use orch_ports::attachment::Attachment;
use orch_ports::clock::Clock;
use orch_ports::forge::MergeMethod;
use orch_ports::tracker::{Comment, Ticket, TicketState, Tracker};
use orch_store::sqlite::OpenOptions;
use orch_store::{Cause, Queue, SqliteStore, Tasks};
use orch_supervise::ProcessSupervisor;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_util::sync::CancellationToken;

const PROJECT: &str = "BENCH";
/// Jobs that are started at most, and the time after which no more are.
const SAMPLES: u64 = 1_000;
const LONGEST: Duration = Duration::from_secs(30);
/// Starts between two turns of another queue.
const TURN: u64 = 50;

/// Notes when it is asked for a ticket, and has none.
struct Ear(UnboundedSender<(u64, Instant)>);

fn none() -> Fault {
    Fault::permanent("this tracker only listens")
}

#[async_trait]
impl Tracker for Ear {
    async fn create(&self, _: &ProjectKey, _: &str, _: &str, _: &Actor, _: &str, _: u64) -> Result<Ticket, Fault> {
        Err(none())
    }
    async fn ticket(&self, _: &ProjectKey, number: u64) -> Result<Ticket, Fault> {
        let _ = self.0.send((number, Instant::now()));
        Err(none())
    }
    async fn edit(&self, _: &ProjectKey, _: u64, _: &str, _: &str, _: &Actor) -> Result<(), Fault> {
        Err(none())
    }
    async fn changed_since(&self, _: &ProjectKey, _: Time) -> Result<Vec<Ticket>, Fault> {
        Ok(Vec::new())
    }
    async fn set_state(&self, _: &ProjectKey, _: u64, _: TicketState, _: &Actor) -> Result<(), Fault> {
        Err(none())
    }
    async fn put_comment(&self, _: &ProjectKey, _: u64, _: &str, _: &str) -> Result<(), Fault> {
        Err(none())
    }
    async fn attach(&self, _: &ProjectKey, _: u64, _: &str, _: &[u8], _: &Actor) -> Result<Attachment, Fault> {
        Err(none())
    }
    async fn attachments(&self, _: &ProjectKey, _: u64) -> Result<Vec<Attachment>, Fault> {
        Err(none())
    }
    async fn attachment(&self, _: &ProjectKey, _: u64, _: &str) -> Result<Vec<u8>, Fault> {
        Err(none())
    }
    async fn comments(&self, _: &ProjectKey, _: u64) -> Result<Vec<Comment>, Fault> {
        Err(none())
    }
}

async fn engine(dir: &Path, store: Arc<SqliteStore>, ear: Ear) -> Result<Arc<Engine>> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new()?);
    let exe = std::env::current_exe()?;
    let path = "/usr/bin:/bin".to_owned();
    let settings = CommandSettings {
        name: "true".into(),
        command: vec!["true".into()],
        config_dir: dir.to_owned(),
        path: path.clone(),
        env: BTreeMap::new(),
        env_file: None,
        pass_env: BTreeMap::new(),
        deadline_ms: 60_000,
        silence_ms: None,
        grace_ms: 1_000,
        sandbox: orch_sandbox::Sandbox::default(),
    };
    // It serves no repository: the branch of a task cannot be opened, and the task is blocked at once.
    let forge = GitForge::open(&dir.join("forge"), Vec::new(), Vec::new(), Arc::clone(&clock)).await?;
    let project = Project {
        key: PROJECT.into(),
        repository: PROJECT.into(),
        pipeline: Pipeline::full(),
        policy: life::policy(),
        money: orch_engine::project::Money::default(),
        forge: Arc::new(forge),
        tracker: Arc::new(ear),
        default_program: Arc::new(CommandAgent::new(settings)),
        programs: BTreeMap::new(),
        test: None,
        preparation: orch_engine::prepare::Preparation::default(),
        ci: None,
        parts: Vec::new(),
        ci_required: Vec::new(),
        ci_wait_ms: 60_000,
        test_timeout_ms: 60_000,
        deploy: Deploy::default(),
        watch: WatchPlan { window_ms: 1_000, interval_ms: 1_000, fails: 3 },
        gates: BTreeMap::new(),
        gate_limits: BTreeMap::new(),
        review_approval: false,
        merge_method: MergeMethod::FastForwardOnly,

        landing: LandingPlan::default(),
        merging: orch_engine::project::Merging::default(),
        security: Arc::default(),
    };
    let ports = Ports {
        store,
        git: Arc::new(GitCli::new(dir.join("repos"), dir.join("worktrees")).await?),
        supervisor: Arc::new(ProcessSupervisor::new(exe)),
        probe: Arc::new(HttpProbe::new()?),
        notifier: Arc::new(LogNotifier::new()),
        clock,
    };
    let options = Options {
        worker: "bench".into(),
        runs_dir: dir.join("runs"),
        checkouts_dir: dir.join("checkouts"),
        layers_dir: dir.join("layers"),
        sessions_dir: dir.join("sessions"),
        widths: BTreeMap::new(),
        claim_ms: 30_000,
        merge_lease_ms: 300_000,
        // Between two starts nothing is to be waited for.
        backoff_ms: 1,
        backoff_max_ms: 1,
        sweep_ms: 10_000,
        reaper: orch_engine::ReaperOptions::default(),
        reconcile: orch_engine::ReconcileOptions::default(),
        worktrees_max_bytes: 0,
        retention: orch_engine::Retention::default(),
        least_free_bytes: 0,
        written_dirs: std::collections::BTreeSet::new(),
        path,
    };
    Ok(Engine::new(ports, options, Projects::from([(PROJECT.into(), Arc::new(project))])))
}

/// P3.
pub(super) async fn measure(bench: &Bench, lines: &mut Vec<Line>) -> Result<()> {
    let dir = bench.dir()?.join("start");
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(&dir)?;
    let store = Arc::new(SqliteStore::open(dir.join("orch.db"), OpenOptions::default())?);
    let (say, mut heard) = unbounded_channel();
    let engine = engine(&dir, Arc::clone(&store), Ear(say)).await?;
    let shutdown = CancellationToken::new();
    let running = tokio::spawn({
        let (engine, shutdown) = (Arc::clone(&engine), shutdown.clone());
        async move { engine.run(shutdown).await }
    });
    let (mut all, mut beside) = (Vec::new(), Vec::new());
    let mut peer = bench.peer();
    let first = Instant::now();
    for number in 1..=SAMPLES {
        if LONGEST < first.elapsed() {
            break;
        }
        let took = one(&engine, &store, number, &mut heard).await?;
        // The first ones fill caches.
        if 20 < number {
            all.push(took);
        }
        if number % TURN == 0
            && let Some(peer) = &mut peer
        {
            beside.extend(peer.starts(TURN as usize)?);
        }
    }
    shutdown.cancel();
    running.await??;
    let all = Times::of(all)?;
    lines.push(Line::time("P3 enqueue → handler start p50, in an engine", all.at(0.5), Duration::from_micros(500)));
    lines.push(Line::time("P3 enqueue → handler start p99, in an engine", all.at(0.99), Duration::from_millis(3)));
    lines.push(Line::info("of the same, worst", format!("{} of {}", ms(all.worst()), all.count())));
    if !beside.is_empty() {
        let theirs = Times::of(beside)?;
        let [ours, p50, p99] = [all.at(0.5), theirs.at(0.5), theirs.at(0.99)];
        let measured = format!("graphile-worker p50 {}, p99 {}, {} of them", ms(p50), ms(p99), theirs.count());
        let mut line = Line::info("P3, beside graphile-worker", measured);
        line.ratio = format!("p50 {:.2} of its", ours.as_secs_f64() / p50.as_secs_f64());
        lines.push(line);
    }
    Ok(())
}

/// Starts a task and waits until its ticket is asked for, and then until nothing is left to do.
async fn one(
    engine: &Arc<Engine>,
    store: &Arc<SqliteStore>,
    number: u64,
    heard: &mut UnboundedReceiver<(u64, Instant)>,
) -> Result<Duration> {
    let (title, body) = ("Show the version".to_owned(), "Please.".to_owned());
    let new = NewTask {
        project: PROJECT.into(),
        number,
        title,
        body,
        pipeline: Pipeline::full(),
        landing: LandingPlan::default(),
        repository: None,
        source: None,
    };
    let (task, _) = store.create_task(new, life::now()).await?;
    let began = Instant::now();
    engine.step(task.id, Cause::Engine, Event::Started { by: life::anna() }).await?;
    let at = loop {
        let (asked, at) = heard.recv().await.context("the engine has ended")?;
        if asked == number {
            break at;
        }
    };
    while !store.open_jobs(Some(task.id)).await?.is_empty() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    Ok(at.saturating_duration_since(began))
}
