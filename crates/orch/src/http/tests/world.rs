//! A server over a real engine and a real store. The engine's loops do not run: a test claims the jobs itself and says
//! how each ends, so that every state can be reached and nothing happens by chance.

use crate::http::{AppState, router};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Method, Request, StatusCode};
use axum::response::Response;
use orch_adapters::command::{CommandAgent, CommandSettings};
use orch_adapters::git_cli::GitCli;
use orch_adapters::git_forge::GitForge;
use orch_adapters::http_probe::HttpProbe;
use orch_adapters::local_tracker::LocalTracker;
use orch_adapters::log_notifier::LogNotifier;
use orch_core::effect::{Effect, Lane, Outcome};
use orch_core::event::Event;
use orch_core::ids::{Digest, Environment, GateId, Sha, StageId, TaskId, Time, WorkItem};
use orch_core::pipeline::Pipeline;
use orch_core::policy::Policy;
use orch_core::task::{DoneOutcome, Task};
use orch_core::verdict::{Finding, Severity, Verdict, WaitFor};
use orch_engine::project::WatchPlan;
use orch_engine::{Deploy, Engine, GateMode, Options, Ports, Project, Projects, ReaperOptions, ReconcileOptions};
use orch_ports::agent::Usage;
use orch_ports::clock::{BootTime, Clock};
use orch_ports::forge::MergeMethod;
use orch_store::{ArtefactRow, Cause, ClaimRequest, Deployment, Job, Judgement, RunRow, SqliteStore, Store};
use orch_supervise::ProcessSupervisor;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use tower::ServiceExt;

pub(crate) const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// 2026-11-23 12:00:00 UTC.
pub(crate) const NOON: i64 = 1_795_435_200_000;

pub(crate) struct TestClock(AtomicI64);

#[async_trait::async_trait]
impl Clock for TestClock {
    fn now(&self) -> Time {
        Time(self.0.load(Ordering::SeqCst))
    }
    fn boot(&self) -> BootTime {
        BootTime { boot_id: "test".into(), ms: self.0.load(Ordering::SeqCst) }
    }
    async fn sleep_ms(&self, ms: u64) {
        self.0.fetch_add(ms as i64, Ordering::SeqCst);
    }
}

pub(crate) struct World {
    pub(crate) home: tempfile::TempDir,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) engine: Arc<Engine>,
    pub(crate) forge: GitForge,
    pub(crate) app: Router,
    pub(crate) state: AppState,
}

/// An answer.
pub(crate) struct Seen {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Seen {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |v| v.to_str().unwrap())
    }
    /// Code and message of a refusal.
    pub(crate) fn error(&self) -> (u16, String, String) {
        let body = self.json();
        let part = |name: &str| body["error"][name].as_str().unwrap().to_owned();
        (self.status.as_u16(), part("code"), part("message"))
    }
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with_store(Arc::new(SqliteStore::open_in_memory(orch_store::StoreClock::default()).unwrap())).await
    }

    pub(crate) async fn with_store(store: Arc<dyn Store>) -> Self {
        let home = tempfile::tempdir().unwrap();
        let at = |name: &str| home.path().join(name);
        let clock = Arc::new(TestClock(AtomicI64::new(NOON)));
        let dyn_clock: Arc<dyn Clock> = Arc::<TestClock>::clone(&clock);
        let tracker = Arc::new(LocalTracker::open(&at("tracker.db"), Arc::clone(&dyn_clock)).unwrap());
        let forge = GitForge::open(&at("forge"), Vec::new(), Vec::new(), Arc::clone(&dyn_clock)).await.unwrap();
        let agent = CommandAgent::new(CommandSettings {
            name: "mine".into(),
            command: vec!["/bin/true".into()],
            config_dir: at("."),
            path: "/usr/bin:/bin".into(),
            env: BTreeMap::new(),
            env_file: None,
            pass_env: BTreeMap::new(),
            deadline_ms: 1_000,
            silence_ms: None,
            grace_ms: 100,
            sandbox: orch_sandbox::Sandbox::default(),
        });
        let project = Project {
            key: "DEMO".into(),
            repository: "DEMO".into(),
            pipeline: Pipeline::full(),
            policy: Policy {
                starters: vec!["local:anna".into()],
                approvers: vec!["local:anna".into()],
                ..Policy::default()
            },
            money: orch_engine::project::Money::default(),
            forge: Arc::new(forge.clone()),
            tracker,
            default_program: Arc::new(agent),
            programs: BTreeMap::new(),
            test: None,
            preparation: orch_engine::prepare::Preparation::default(),
            ci: Some("sh test.sh".into()),
            parts: Vec::new(),
            ci_required: Vec::new(),
            ci_wait_ms: 60_000,
            test_timeout_ms: 60_000,
            deploy: Deploy::default(),
            watch: WatchPlan { window_ms: 1_000, interval_ms: 100, fails: 3 },
            gates: BTreeMap::from([(GateId::SecurityGate, (GateMode::Off, "ORCH_SECURITY_GATE_ENABLED".into()))]),
            gate_limits: BTreeMap::new(),
            review_approval: false,
            merge_method: MergeMethod::FastForwardOnly,
            landing: orch_core::landing::LandingPlan::default(),
            merging: orch_engine::project::Merging::default(),
            security: Arc::default(),
        };
        let ports = Ports {
            store,
            git: Arc::new(GitCli::new(at("repos"), at("worktrees")).await.unwrap()),
            supervisor: Arc::new(ProcessSupervisor::new(PathBuf::from("/bin/false"))),
            probe: Arc::new(HttpProbe::new().unwrap()),
            notifier: Arc::new(LogNotifier::new()),
            clock: dyn_clock,
        };
        let options = Options {
            worker: "test".into(),
            runs_dir: at("runs"),
            checkouts_dir: at("checkouts"),
            layers_dir: at("layers"),
            sessions_dir: at("sessions"),
            widths: BTreeMap::from([(Lane::Agent, 1)]),
            claim_ms: 600_000,
            merge_lease_ms: 600_000,
            backoff_ms: 1_000,
            backoff_max_ms: 60_000,
            sweep_ms: 1_000,
            reaper: ReaperOptions { interval_ms: 1_000, ..ReaperOptions::default() },
            reconcile: ReconcileOptions { interval_ms: 1_000, ..ReconcileOptions::default() },
            worktrees_max_bytes: 0,
            retention: orch_engine::Retention::default(),
            least_free_bytes: 0,
            written_dirs: std::collections::BTreeSet::new(),
            path: "/usr/bin:/bin".into(),
        };
        std::fs::create_dir(at("runs")).unwrap();
        let projects: Projects = BTreeMap::from([(project.key.clone(), Arc::new(project))]);
        let engine = Engine::new(ports, options, projects);
        let address = "127.0.0.1:8500".parse().unwrap();
        let state = AppState::new(Arc::clone(&engine), TOKEN.into(), at("orch.db"), address);
        let app = router(state.clone());
        Self { home, clock, engine, forge, app, state }
    }

    pub(crate) fn pass(&self, ms: i64) {
        self.clock.0.fetch_add(ms, Ordering::SeqCst);
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Response {
        self.app.clone().oneshot(request).await.unwrap()
    }

    pub(crate) async fn see(&self, request: Request<Body>) -> Seen {
        self.see_of(&self.app, request).await
    }

    /// Of other routes behind the same guard.
    pub(crate) async fn see_of(&self, app: &Router, request: Request<Body>) -> Seen {
        let response = app.clone().oneshot(request).await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        Seen { status, headers, body }
    }

    pub(crate) async fn get(&self, path: &str) -> Seen {
        self.see(Self::asked(path)).await
    }

    pub(crate) fn asked(path: &str) -> Request<Body> {
        Request::get(path).header("host", "127.0.0.1:8500").body(Body::empty()).unwrap()
    }

    /// As anna, with the token.
    pub(crate) async fn post(&self, path: &str, body: Value) -> Seen {
        self.post_with(path, body.to_string(), &[]).await
    }

    pub(crate) async fn post_with(&self, path: &str, body: String, more: &[(&str, &str)]) -> Seen {
        let mut all = BTreeMap::from([
            ("host", "127.0.0.1:8500"),
            ("authorization", "Bearer 0123456789abcdef0123456789abcdef"),
            ("x-orch-actor", "local:anna"),
        ]);
        all.extend(more.iter().copied());
        let mut request = Request::builder().method(Method::POST).uri(path);
        for (name, value) in all.into_iter().filter(|(_, v)| !v.is_empty()) {
            request = request.header(name, value);
        }
        self.see(request.body(Body::from(body)).unwrap()).await
    }

    /// A task made and started over HTTP.
    pub(crate) async fn started(&self, title: &str) -> Task {
        let made = self.post("/api/v1/tasks", json!({ "project": "DEMO", "title": title, "start": true })).await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.text());
        self.task(made.json()["id"].as_str().unwrap()).await
    }

    pub(crate) async fn task(&self, id: &str) -> Task {
        self.engine.store().task_by_item(&WorkItem::new(id)).await.unwrap().unwrap()
    }

    /// Claims the oldest job of any lane.
    pub(crate) async fn claim(&self) -> Option<Job> {
        for lane in Lane::ALL {
            let claim = ClaimRequest {
                lane: *lane,
                worker: "test".into(),
                now: self.clock.now(),
                lease_ms: 3_600_000,
                share: orch_store::Share::default(),
                except: Vec::new(),
                terms: std::collections::BTreeMap::new(),
            };
            if let Some(job) = self.engine.store().claim(claim).await.unwrap() {
                return Some(job);
            }
        }
        None
    }

    pub(crate) async fn settle(&self, job: &Job, outcome: Outcome) {
        let event = Event::JobEnded { job: job.id.seq, outcome };
        self.engine.step(job.id.task, Cause::Job(job.fence()), event).await.unwrap();
    }

    /// Works every job until there is none, or until `stop` wants to keep one as it is claimed.
    pub(crate) async fn work(&self, stop: impl Fn(&Effect) -> bool) -> Option<Job> {
        for _ in 0..400 {
            let job = self.claim().await?;
            if stop(&job.effect) {
                return Some(job);
            }
            self.pass(1_700);
            let outcome = self.outcome(&job).await;
            self.settle(&job, outcome).await;
        }
        panic!("there is no end to the jobs");
    }

    /// Writes down that a run has begun and makes its directory.
    pub(crate) async fn run(&self, job: &Job, what: &str, ended: Option<bool>) -> PathBuf {
        let dir = self.home.path().join("runs").join(job.id.to_string());
        std::fs::create_dir_all(&dir).unwrap();
        let now = self.clock.now();
        let row = RunRow {
            task: job.id.task,
            job: job.id.seq,
            attempt: job.run_attempt,
            what: what.to_owned().into(),
            program: "mine".into(),
            stage: self.stage(job.id.task).await,
            dir: dir.display().to_string(),
            revision: None,
            started: now.plus_ms(-42_000),
            ended: ended.map(|_| now),
            end: ended.map(|ok| if ok { "exit 0" } else { "exit 1" }.into()),
            ok: ended,
            usage: Usage { cost_usd: 0.184, input_tokens: 48_210, output_tokens: 3_904, turns: 12, ..Usage::default() },
            model: Some("model-4".into()),
            session: None,
            summary: ended.map(|_| format!("The {what} has done its part.")),
            class: None,
            version: None,
            sandbox: None,
        };
        assert!(self.engine.store().put_run(job.fence(), row).await.unwrap());
        dir
    }

    async fn stage(&self, task: TaskId) -> StageId {
        self.engine.task(task).await.unwrap().stage().clone()
    }

    pub(crate) async fn judge(&self, job: &Job, verdict: Verdict) -> Outcome {
        let Effect::Judge { gate, stage, head, .. } = &job.effect else { panic!("{:?}", job.effect) };
        let judgement = Judgement {
            task: job.id.task,
            gate: *gate,
            stage: stage.clone(),
            job: job.id.seq,
            head: head.clone(),
            key: "key".into(),
            verdict: verdict.clone(),
            mode: "enforce".into(),
            evidence: json!({ "commit": head, "checks": [{ "name": "ci", "state": "success" }] }),
            reused: false,
            at: self.clock.now(),
            took_ms: 1_240,
        };
        assert!(self.engine.store().put_judgement(job.fence(), judgement).await.unwrap());
        Outcome::Judged { head: head.clone(), verdict, notes: Vec::new(), warning: None }
    }

    /// What a world in which all goes well answers.
    async fn outcome(&self, job: &Job) -> Outcome {
        let sha = |c: char| Sha::new(c.to_string().repeat(40));
        match &job.effect {
            Effect::JudgeBase => Outcome::BaseGreen { text: "green".into(), commit: None },
            Effect::OpenBranch => Outcome::Opened { head: sha('a'), base: sha('b') },
            Effect::RunAgent { role, stage, .. } => {
                let dir = self.run(job, role.as_str(), Some(true)).await;
                std::fs::write(dir.join("stdout.log"), format!("{role}: reading the brief\n{role}: done\n")).unwrap();
                let name = match stage.as_str() {
                    "analysis" => "01-brd.md",
                    "architecture" => "06-adr/ADR-001-store.md",
                    "review" => "12-review.md",
                    _ => "13-test-report.md",
                };
                let row = ArtefactRow {
                    task: job.id.task,
                    stage: stage.clone(),
                    run: job.id.seq,
                    name: name.into(),
                    sha256: "e3b0c44298fc1c149afbf4c8996fb924".into(),
                    bytes: format!("---\nverdict: APPROVED\n---\n\n# {role}\n\nWritten by the {role}.\n").into_bytes(),
                    subject: "s".into(),
                    at: self.clock.now(),
                };
                assert!(self.engine.store().put_artefacts(job.fence(), vec![row]).await.unwrap());
                Outcome::AgentFinished { question: None, resolved: orch_core::conflict::Resolution::default() }
            }
            Effect::Publish { .. } => Outcome::Published {
                head: sha('c'),
                empty: false,
                discarded: Vec::new(),
                unresolved: Vec::new(),
                refused: vec![],
            },
            Effect::EnsurePullRequest => Outcome::PullRequestOpen { number: 7 },
            Effect::Judge { gate: GateId::AnalysisApproved, .. }
                if self.engine.task(job.id.task).await.unwrap().approvals.is_empty() =>
            {
                let why = WaitFor::Approval {
                    what: orch_core::task::ApprovalKind::Analysis,
                    subject: "3fa9c1d27be04411".into(),
                    shown: Vec::new(),
                };
                self.judge(job, Verdict::Wait { why, until: None, recheck: None }).await
            }
            Effect::Judge { gate: GateId::SecurityGate, .. } => {
                self.judge(job, Verdict::Skipped { why: "switched off by ORCH_SECURITY_GATE_ENABLED".into() }).await
            }
            Effect::Judge { .. } => self.judge(job, Verdict::Pass).await,
            Effect::Deploy { environment, revision, .. } => {
                let project = self.engine.task(job.id.task).await.unwrap().project;
                let deployment = Deployment {
                    project,
                    environment: *environment,
                    revision: revision.clone(),
                    task: job.id.task,
                    ok: true,
                    rollback: false,
                    at: self.clock.now(),
                };
                assert!(self.engine.store().put_deployment(job.fence(), deployment).await.unwrap());
                assert!(matches!(environment, Environment::Staging | Environment::Production));
                Outcome::Deployed { skipped: None, ended: 0 }
            }
            Effect::Rollback { .. } => Outcome::RolledBack { ok: true, text: "back".into() },
            Effect::Update { .. } => Outcome::Updated {
                head: sha('d'),
                base: sha('b'),
                tree: Digest::new("t".repeat(40)),
                repatched: false,
                voids: false,
            },
            Effect::Merge { intent, .. } => Outcome::Merged { commit: intent.head.clone(), tree: intent.tree.clone() },
            Effect::Watch { .. } => Outcome::Watched { outcome: DoneOutcome::Healthy },
            Effect::EnsureCi { .. }
            | Effect::SyncTicket
            | Effect::Notify { .. }
            | Effect::CleanUp
            | Effect::Comment { .. }
            | Effect::EditTicket { .. }
            | Effect::NoteFindings { .. } => Outcome::Sent,
        }
    }
}

/// A finding of a review.
pub(crate) fn finding(text: &str) -> Finding {
    Finding {
        id: Some("R1".into()),
        severity: Severity::P1,
        file: Some("src/limits.rs".into()),
        line: Some(42),
        text: text.into(),
    }
}
