//! A small world to tell stories in: one repository, one tracker, a few people, and an engine that can die.

use crate::faults::Faults;
use crate::flaky::{FlakyForge, FlakyGit, FlakyTracker, Gitea, Production, Told};
use crate::runs::{Does, InProcess, Played, Run, Runs};
use crate::time::FastClock;
use orch_adapters::git_cli::{GitCli, Signing};
use orch_adapters::git_forge::{GitForge, ServedRepo};
use orch_adapters::local_tracker::LocalTracker;
use orch_core::effect::Lane;
use orch_core::event::Event;
use orch_core::ids::{Actor, GateId, ProjectKey, Sha, WorkItem};
use orch_core::landing::LandingPlan;
use orch_core::pipeline::Pipeline;
use orch_core::policy::Policy;
use orch_core::task::{Phase, Task};
use orch_engine::commands::Answer;
use orch_engine::project::{Merging, WatchPlan};
use orch_engine::{
    Deploy, Engine, GateMode, Options, Ports, Project, Projects, ReaperOptions, ReconcileOptions, Retention,
};
use orch_ports::Repositories;
use orch_ports::clock::Clock as _;
use orch_ports::forge::{Forge, MergeMethod, Right};
use orch_ports::tracker::{CallBudget, Ticket, TicketState, Tracker};
use orch_security::Security;
use orch_store::sqlite::{Durability, OpenOptions};
use orch_store::{SqliteStore, Store, StoreClock};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A story that has not come to its point by then has failed.
const PATIENCE: Duration = Duration::from_mins(3);

/// The store's file, where there is one.
pub const DB: &str = "orch.db";

pub fn side() -> ProjectKey {
    "SIDE".into()
}
pub fn demo() -> ProjectKey {
    "DEMO".into()
}
pub fn anna() -> Actor {
    "local:anna".into()
}
pub fn orch() -> Actor {
    Actor::orch()
}

/// What a story may choose.
pub struct Choice {
    pub pipeline: Pipeline,
    pub policy: Policy,
    pub money: orch_engine::project::Money,
    pub test: Option<String>,
    pub ci: Option<String>,
    pub parts: Vec<orch_engine::parts::Part>,
    pub preparation: orch_engine::prepare::Preparation,
    pub ci_wait_ms: i64,
    pub deploy: Deploy,
    pub gates: BTreeMap<GateId, (GateMode, String)>,
    pub gate_limits: BTreeMap<GateId, u64>,
    pub claim_ms: i64,
    pub agents: usize,
    pub least_free_bytes: u64,
    pub poll: bool,
    pub poll_ms: u64,
    pub reaper: ReaperOptions,
    pub reconcile: ReconcileOptions,
    pub watch_ms: i64,
    pub retention: Retention,
    pub landing: LandingPlan,
    pub merging: Merging,
    pub merge_method: MergeMethod,
    pub review_approval: bool,
    pub signing: Option<Signing>,
    /// A repository to begin with, instead of one with a single commit.
    pub source: Option<PathBuf>,
    pub security: Arc<Security>,
    /// A second project, SIDE, on the same repository, that ships nothing.
    pub side: bool,
    /// Keep the store in a file a story can look into behind the engine's back.
    pub file: bool,
}

pub struct World {
    dir: tempfile::TempDir,
    pub clock: Arc<FastClock>,
    pub store: Arc<dyn Store>,
    pub faults: Arc<Faults>,
    pub forge: GitForge,
    pub flaky: Arc<FlakyForge>,
    pub tracker: Arc<LocalTracker>,
    pub git: Arc<GitCli>,
    pub runs: Arc<Runs>,
    pub told: Arc<Told>,
    pub production: Arc<Production>,
    /// What the tracker's server says of calls that are left.
    pub budget: Arc<Mutex<Option<CallBudget>>>,
    choice: Choice,
    born: Mutex<usize>,
    alive: Mutex<Option<Alive>>,
}

struct Alive {
    engine: Arc<Engine>,
    running: JoinHandle<()>,
    shutdown: CancellationToken,
}

pub fn git(dir: &Path, args: &[&str]) -> String {
    let out = Command::new("git")
        .args(["-c", "user.name=Anna", "-c", "user.email=anna@example.org", "-c", "commit.gpgSign=false"])
        .args(args)
        .current_dir(dir)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .output()
        .unwrap();
    assert!(out.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap().trim().to_owned()
}

impl World {
    pub async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub async fn with(choose: impl FnOnce(&mut Choice)) -> Self {
        let mut choice = Choice {
            pipeline: Pipeline::lite(),
            money: orch_engine::project::Money::default(),
            policy: Policy {
                approvers: vec![anna()],
                recheck_ms: 500,
                lease_recheck_ms: 2_000,
                tell_after_ms: 900_000,
                ..Policy::default()
            },
            test: None,
            preparation: orch_engine::prepare::Preparation::default(),
            ci: Some("ci".into()),
            parts: Vec::new(),
            ci_wait_ms: 600_000,
            deploy: Deploy {
                production: Some("deploy".into()),
                rollback: Some("rollback".into()),
                health_url: Some("http://production.invalid/".into()),
                timeout_ms: 60_000,
                ..Deploy::default()
            },
            gates: BTreeMap::new(),
            gate_limits: BTreeMap::new(),
            claim_ms: 3_000_000,
            agents: 2,
            least_free_bytes: 0,
            poll: true,
            poll_ms: 2_000,
            // Virtual time runs fast: on a busy machine a worker that is only slow must not look dead.
            reaper: ReaperOptions { dead_ticks: 200, ..ReaperOptions::default() },
            reconcile: ReconcileOptions::default(),
            watch_ms: 600,
            retention: Retention::default(),
            landing: LandingPlan::default(),
            merging: Merging::default(),
            merge_method: MergeMethod::FastForwardOnly,
            review_approval: false,
            signing: None,
            source: None,
            security: Arc::default(),
            side: false,
            file: false,
        };
        choose(&mut choice);
        let dir = tempfile::tempdir().unwrap();
        let src = dir.path().join("src");
        if let Some(source) = &choice.source {
            git(dir.path(), &["clone", "--quiet", source.to_str().unwrap(), "src"]);
            git(&src, &["checkout", "--quiet", "-B", "main"]);
        } else {
            std::fs::create_dir_all(&src).unwrap();
            git(&src, &["init", "--quiet", "--initial-branch=main"]);
        }
        std::fs::write(src.join("shared.txt"), "one\ntwo\nthree\n").unwrap();
        git(&src, &["add", "."]);
        git(&src, &["commit", "--quiet", "-m", "first"]);
        let clock = FastClock::new();
        let source = src.to_str().unwrap().to_owned();
        let keys: Vec<ProjectKey> = if choice.side { vec![demo(), side()] } else { vec![demo()] };
        let repos = keys.iter().map(|key| ServedRepo::here(key.clone(), &source, "main")).collect();
        let repositories = Repositories::new(keys.iter().map(|key| (key.clone(), demo())));
        let as_clock: Arc<dyn orch_ports::clock::Clock> = clock.clone();
        let forge = GitForge::open_shared(
            &dir.path().join("forge"),
            repos,
            vec![anna()],
            as_clock.clone(),
            repositories.clone(),
        )
        .await
        .unwrap();
        let tracker = Arc::new(LocalTracker::open(&dir.path().join("tracker.db"), as_clock).unwrap());
        let git = GitCli::new(dir.path().join("repos"), dir.path().join("worktrees")).await.unwrap();
        let mut git = git.with_repositories(repositories);
        if let Some(signing) = choice.signing.take() {
            git = git.signing_with(signing).await.unwrap();
        }
        let git = Arc::new(git);
        let runs = Runs::new(clock.clone());
        let faults = Arc::new(Faults::default());
        let flaky = Arc::new(FlakyForge {
            real: forge.clone(),
            faults: faults.clone(),
            lie: Mutex::default(),
            merged_by: Mutex::default(),
            gitea: choice.review_approval.then(|| Gitea::over(&dir.path().join("forge").join("DEMO.git"))),
        });
        let production = Arc::new(Production::default());
        let (durability, ticks) = (Durability::Off, clock.clone());
        let ticks = StoreClock::new(move || ticks.boot().ms);
        let store = if choice.file {
            SqliteStore::open(dir.path().join(DB), OpenOptions { durability, holder: "a story".into(), clock: ticks })
        } else {
            SqliteStore::open_in_memory(ticks)
        };
        let world = Self {
            dir,
            clock,
            store: Arc::new(store.unwrap()),
            faults,
            forge,
            flaky,
            tracker,
            git,
            runs,
            told: Arc::default(),
            production,
            budget: Arc::default(),
            choice,
            born: Mutex::new(0),
            alive: Mutex::default(),
        };
        world.everybody_does_well();
        world
    }

    /// The same world, with this security gate.
    pub fn guarded(mut self, security: Security) -> Self {
        self.choice.security = Arc::new(security);
        self
    }

    /// The same world, with another configuration from the next start on.
    pub fn configured(mut self, change: impl FnOnce(&mut Choice)) -> Self {
        change(&mut self.choice);
        self
    }

    fn everybody_does_well(&self) {
        self.runs.on("developer", |run| {
            run.write(&format!("{}.txt", run.var("ORCH_WORK_ITEM")), &format!("written in run {}\n", run.nth));
            Does::Exit(0)
        });
        self.runs.on("reviewer", approve);
        self.runs.on("ci", |_| Does::Exit(0));
        self.runs.on("test", |_| Does::Exit(0));
        let production = self.production.clone();
        self.runs.on("deploy", move |run| {
            *production.revision.lock().unwrap() = Some(run.var("ORCH_REVISION").to_owned());
            Does::Exit(0)
        });
        let production = self.production.clone();
        self.runs.on("rollback", move |run| {
            *production.revision.lock().unwrap() = Some(run.var("ORCH_PREVIOUS_REVISION").to_owned());
            Does::Exit(0)
        });
    }

    /// A new process over what is there.
    pub fn start(&self) -> Arc<Engine> {
        let nth = {
            let mut born = self.born.lock().unwrap();
            *born += 1;
            *born
        };
        let c = &self.choice;
        let project = |key: ProjectKey, policy: Policy, deploy: Deploy| Project {
            key,
            repository: demo(),
            pipeline: c.pipeline.clone(),
            policy,
            money: c.money.clone(),
            forge: self.flaky.clone(),
            tracker: Arc::new(FlakyTracker {
                real: self.tracker.clone(),
                faults: self.faults.clone(),
                budget: self.budget.clone(),
            }),
            default_program: Arc::new(Played),
            programs: BTreeMap::new(),
            test: c.test.clone(),
            preparation: c.preparation.clone(),
            ci: c.ci.clone(),
            parts: c.parts.clone(),
            ci_required: Vec::new(),
            ci_wait_ms: c.ci_wait_ms,
            test_timeout_ms: 60_000,
            deploy,
            watch: WatchPlan { window_ms: c.watch_ms, interval_ms: 200, fails: 3 },
            gates: c.gates.clone(),
            gate_limits: c.gate_limits.clone(),
            review_approval: c.review_approval,
            merge_method: c.merge_method,
            landing: c.landing,
            merging: c.merging.clone(),
            security: c.security.clone(),
        };
        let mut projects = Projects::from([(demo(), Arc::new(project(demo(), c.policy.clone(), c.deploy.clone())))]);
        if c.side {
            let policy = Policy { watch: false, ..c.policy.clone() };
            projects.insert(side(), Arc::new(project(side(), policy, Deploy::default())));
        }
        let ports = Ports {
            store: self.store.clone(),
            git: Arc::new(FlakyGit { real: self.git.clone(), faults: self.faults.clone() }),
            supervisor: Arc::new(InProcess { runs: self.runs.clone(), faults: self.faults.clone() }),
            probe: self.production.clone(),
            notifier: self.told.clone(),
            clock: self.clock.clone(),
        };
        let options = Options {
            worker: format!("process-{nth}"),
            runs_dir: self.path("runs"),
            checkouts_dir: self.path("checkouts"),
            layers_dir: self.path("layers"),
            sessions_dir: self.path("sessions"),
            widths: BTreeMap::from([(Lane::Agent, c.agents)]),
            claim_ms: c.claim_ms,
            merge_lease_ms: 3_000_000,
            backoff_ms: 200,
            backoff_max_ms: 1_000,
            sweep_ms: 2_000,
            reaper: ReaperOptions { interval_ms: 2_000, ..c.reaper },
            reconcile: ReconcileOptions {
                interval_ms: if c.poll { c.poll_ms } else { 1_000_000_000 },
                ..c.reconcile.clone()
            },
            worktrees_max_bytes: 0,
            retention: c.retention,
            least_free_bytes: self.choice.least_free_bytes,
            written_dirs: std::collections::BTreeSet::new(),
            path: "/usr/bin:/bin".into(),
        };
        let engine = Engine::new(ports, options, projects);
        let shutdown = CancellationToken::new();
        let running = tokio::spawn({
            let (engine, shutdown) = (engine.clone(), shutdown.clone());
            async move { engine.run(shutdown).await.unwrap() }
        });
        *self.alive.lock().unwrap() = Some(Alive { engine: engine.clone(), running, shutdown });
        engine
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn engine(&self) -> Arc<Engine> {
        self.alive.lock().unwrap().as_ref().expect("an engine is alive").engine.clone()
    }

    /// The process dies: nothing of it is waited for.
    pub async fn kill(&self) {
        let alive = self.alive.lock().unwrap().take().expect("an engine is alive");
        alive.running.abort();
        let _ = alive.running.await;
    }

    /// The process ends in order.
    pub async fn shut_down(&self) {
        let alive = self.alive.lock().unwrap().take().expect("an engine is alive");
        alive.shutdown.cancel();
        alive.running.await.unwrap();
    }

    /// A ticket and its task, started.
    pub async fn begin(&self, title: &str) -> WorkItem {
        let item = self.ticket(title).await;
        self.ask(&item, Event::Started { by: anna() }).await;
        item
    }

    /// The same in the second project.
    pub async fn begin_aside(&self, title: &str) -> WorkItem {
        let item = self.engine().new_task(&side(), title, "Please.", &anna(), title).await.unwrap().work_item;
        self.ask(&item, Event::Started { by: anna() }).await;
        item
    }

    /// A ticket and its task, not started.
    pub async fn ticket(&self, title: &str) -> WorkItem {
        self.engine().new_task(&demo(), title, "Please.", &anna(), title).await.unwrap().work_item
    }

    pub async fn ask(&self, item: &WorkItem, event: Event) -> Answer {
        let key = format!("{}-{}", event.name(), Instant::now().elapsed().as_nanos());
        let key = format!("{key}-{}", self.store.journal(None, 0, 10_000).await.unwrap().len());
        self.engine().ask(item, &key, event).await.unwrap()
    }

    pub async fn task(&self, item: &WorkItem) -> Task {
        self.store.task_by_item(item).await.unwrap().unwrap()
    }

    /// Waits until the task is as wanted.
    pub async fn until(&self, item: &WorkItem, what: &str, want: impl Fn(&Task) -> bool) -> Task {
        let began = Instant::now();
        loop {
            if let Some(task) = self.store.task_by_item(item).await.unwrap()
                && want(&task)
            {
                return task;
            }
            if PATIENCE < began.elapsed() {
                let task = self.store.task_by_item(item).await.unwrap();
                let story = self.told_story(item).await.join("\n");
                let jobs = self.store.open_jobs(None).await.unwrap();
                panic!("{item} never came to: {what}\n{:?}\n{story}\n{jobs:#?}", task.map(|t| t.phase));
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits for something else.
    pub async fn eventually(&self, what: &str, mut want: impl AsyncFnMut() -> bool) {
        let began = Instant::now();
        while !want().await {
            assert!(began.elapsed() < PATIENCE, "it never came to: {what}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub async fn until_done(&self, item: &WorkItem) -> Task {
        self.until(item, "done", |t| matches!(t.phase, Phase::Done { .. })).await
    }

    pub async fn until_blocked(&self, item: &WorkItem) -> Task {
        self.until(item, "blocked", |t| matches!(t.phase, Phase::Blocked { .. })).await
    }

    /// Waits until nothing is to be done any more; a story may not leave work behind.
    pub async fn until_quiet(&self) {
        self.eventually("no open jobs", async || self.store.open_jobs(None).await.unwrap().is_empty()).await;
    }

    /// The story of a task, a sentence per line; what was ignored says so.
    pub async fn told_story(&self, item: &WorkItem) -> Vec<String> {
        let task = self.task(item).await.id;
        let mut lines = Vec::new();
        for row in self.store.journal(Some(task), 0, 10_000).await.unwrap() {
            lines.extend(row.story);
            lines.extend(row.ignored.map(|why| format!("ignored {}: {why}", row.event)));
        }
        lines
    }

    pub async fn says(&self, item: &WorkItem, sentence: &str) -> usize {
        self.told_story(item).await.iter().filter(|l| l.contains(sentence)).count()
    }

    /// How often the forge did something.
    pub async fn forge_did(&self, effect: &str) -> usize {
        self.forge_did_in(&demo(), effect).await
    }

    pub async fn forge_did_in(&self, project: &ProjectKey, effect: &str) -> usize {
        self.forge.log(project).await.unwrap().iter().filter(|l| l.effect == effect).count()
    }

    pub async fn main_tip(&self) -> Sha {
        self.forge.branch_head(&demo(), "main").await.unwrap().unwrap()
    }

    pub fn bare(&self) -> PathBuf {
        self.path("forge").join("DEMO.git")
    }

    /// Commits on a branch of the forge, oldest first, main's own excluded.
    pub fn commits(&self, range: &str) -> Vec<String> {
        git(&self.bare(), &["log", "--reverse", "--format=%s", range]).lines().map(ToOwned::to_owned).collect()
    }

    pub fn show(&self, rev: &str, path: &str) -> String {
        git(&self.bare(), &["show", &format!("{rev}:{path}")])
    }

    /// Somebody else changes a file and has it merged.
    pub async fn outsider_merges(&self, branch: &str, path: &str, text: &str) {
        let head = self.outsider_pushes(branch, "main", path, text);
        let pull = self.forge.ensure_pull_request(&demo(), branch, "main", branch, "").await.unwrap();
        self.forge
            .merge(&demo(), pull.number, &head, Right::Person, MergeMethod::FastForwardOnly, "by hand")
            .await
            .unwrap();
    }

    /// Somebody else pushes a commit on top of `from` to `branch`.
    pub fn outsider_pushes(&self, branch: &str, from: &str, path: &str, text: &str) -> Sha {
        let (src, bare) = (self.path("src"), self.bare());
        let bare = bare.to_str().unwrap();
        git(&src, &["fetch", "--quiet", bare, "+refs/heads/*:refs/forge/*"]);
        git(&src, &["checkout", "--quiet", "--detach", &format!("refs/forge/{from}")]);
        let file = src.join(path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
        git(&src, &["add", "."]);
        git(&src, &["commit", "--quiet", "-m", branch]);
        git(&src, &["push", "--quiet", "--force", bare, &format!("HEAD:refs/heads/{branch}")]);
        Sha::new(git(&src, &["rev-parse", "HEAD"]))
    }

    /// Somebody else puts a commit on main past the forge.
    pub fn outsider_on_main(&self, path: &str, text: &str) -> Sha {
        let commit = self.outsider_pushes("outsider", "main", path, text);
        git(&self.bare(), &["update-ref", "refs/heads/main", commit.as_str()]);
        git(&self.bare(), &["update-ref", "-d", "refs/heads/outsider"]);
        commit
    }

    /// A person merges the task's pull request on the forge, who then says it was them.
    pub async fn person_merges(&self, item: &WorkItem, by: Option<&Actor>, method: MergeMethod) {
        let task = self.task(item).await;
        let (number, head) = (task.branch.pull_request.unwrap(), task.branch.head.unwrap());
        self.flaky.merged_by.lock().unwrap().insert(number, by.cloned());
        let answer = self.forge.merge(&demo(), number, &head, Right::Person, method, "merged by hand").await.unwrap();
        assert!(matches!(answer, orch_ports::forge::MergeAnswer::Merged { .. }), "{answer:?}");
    }

    /// A person moves a ticket.
    pub async fn move_ticket(&self, number: u64, state: TicketState, by: &Actor) {
        self.tracker.set_state(&demo(), number, state, by).await.unwrap();
    }
    pub async fn ticket_now(&self, number: u64) -> Ticket {
        self.tracker.ticket(&demo(), number).await.unwrap()
    }

    /// Comments on a ticket, oldest first.
    pub async fn comments(&self, number: u64) -> Vec<String> {
        self.tracker.comments(&demo(), number).await.unwrap().into_iter().map(|c| c.body).collect()
    }

    pub fn told_people(&self) -> Vec<String> {
        self.told.0.lock().unwrap().iter().map(|n| n.text.clone()).collect()
    }
}

/// The reviewer who likes everything.
pub fn approve(run: &Run) -> Does {
    run.paper("12-review.md", "---\nverdict: APPROVED\nfindings: []\n---\n\nFine.\n");
    Does::Exit(0)
}
