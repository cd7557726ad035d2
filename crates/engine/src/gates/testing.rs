//! What the tests of gates share: a project, a subject, papers on a bench.

use super::bench::{Bench, CommandRun, ProjectCommand};
use super::gate::{AnyGate, Judged, Look, Subject};
use crate::project::{Deploy, Project, WatchPlan};
use orch_adapters::git_cli::GitCli;
use orch_adapters::git_forge::GitForge;
use orch_adapters::local_tracker::LocalTracker;
use orch_adapters::system_clock::SystemClock;
use orch_core::ids::{GateId, Sha, Time};
use orch_core::landing::LandingPlan;
use orch_core::pipeline::Pipeline;
use orch_core::policy::Policy;
use orch_core::task::{NewTask, Task};
use orch_core::verdict::{FaultKind, Finding, Severity, Verdict};
use orch_ports::Fault;
use orch_ports::agent::{AgentProgram, AgentReport, Brief};
use orch_ports::forge::MergeMethod;
use orch_ports::probe::{Probe, ProbeAnswer};
use orch_ports::supervisor::{ExitRecord, RunSpec};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

pub(super) const HEAD: &str = "1111111111111111111111111111111111111111";
pub(super) const OTHER: &str = "2222222222222222222222222222222222222222";

struct Nobody;

impl AgentProgram for Nobody {
    fn name(&self) -> &'static str {
        "nobody"
    }
    fn launch(&self, _: &Brief) -> Result<RunSpec, Fault> {
        Err(Fault::bug("gates run no agents"))
    }
    fn read(&self, _: &Path, _: &ExitRecord) -> AgentReport {
        unreachable!("gates run no agents")
    }
}

/// A project with every hook, that asks for nothing special.
pub(super) fn project() -> Project {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(SystemClock::new().unwrap());
    let (place, time) = (dir.path().join("forge"), clock.clone());
    // A thread of its own, because some tests are on a runtime already.
    let open = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(GitForge::open(&place, Vec::new(), Vec::new(), time))
    };
    let forge = std::thread::spawn(open).join().unwrap().unwrap();
    Project {
        key: "DEMO".into(),
        repository: "DEMO".into(),
        pipeline: Pipeline::lite(),
        policy: Policy { approvers: vec!["local:anna".into()], ..Policy::default() },
        money: crate::project::Money::default(),
        forge: Arc::new(forge),
        tracker: Arc::new(LocalTracker::open(&dir.path().join("t.db"), clock).unwrap()),
        default_program: Arc::new(Nobody),
        programs: BTreeMap::new(),
        test: Some("test".into()),
        preparation: crate::prepare::Preparation::default(),
        ci: Some("ci".into()),
        parts: Vec::new(),
        ci_required: Vec::new(),
        ci_wait_ms: 60_000,
        test_timeout_ms: 60_000,
        deploy: Deploy {
            staging: Some("stage".into()),
            production: Some("deploy".into()),
            health_url: Some("http://production.invalid/".into()),
            ..Deploy::default()
        },
        watch: WatchPlan { window_ms: 1, interval_ms: 1, fails: 1 },
        gates: BTreeMap::new(),
        gate_limits: BTreeMap::new(),
        review_approval: true,
        merge_method: MergeMethod::FastForwardOnly,
        landing: LandingPlan::default(),
        merging: crate::project::Merging::default(),
        security: Arc::new(orch_security::Security::default()),
    }
}

pub(super) fn task() -> Task {
    let new = NewTask {
        project: "DEMO".into(),
        number: 1,
        title: "t".into(),
        body: String::new(),
        pipeline: Pipeline::lite(),
        landing: LandingPlan::default(),
        repository: None,
        source: None,
    };
    Task { run: Some(7), ..new.into_task(orch_core::ids::TaskId(1), Time(0)) }
}

/// `HEAD`, waited for since 1000, at 2000.
pub(super) fn subject() -> Subject {
    Subject {
        stage: "review".into(),
        head: HEAD.into(),
        base: OTHER.into(),
        artefact_dir: "docs/work-items/DEMO-1".into(),
        tip: OTHER.into(),
        exact: false,
        since: Time(1_000),
        now: Time(2_000),
        task: Some(task()),
    }
}

pub(super) fn sha(text: &str) -> Sha {
    text.into()
}

/// The findings' texts of a fail.
pub(super) fn fails(verdict: &Verdict) -> Vec<String> {
    match verdict {
        Verdict::Fail { findings } if findings.iter().all(|f| f.severity <= Severity::P3) => texts(findings),
        other => panic!("not a fail: {other:?}"),
    }
}
/// The findings' texts of what nobody can read.
pub(super) fn unreadable(verdict: &Verdict) -> Vec<String> {
    match verdict {
        Verdict::Unreadable { findings } if !findings.is_empty() => texts(findings),
        other => panic!("not unreadable: {other:?}"),
    }
}
/// The fault of what cannot be told.
pub(super) fn unknown(verdict: &Verdict) -> (FaultKind, String) {
    match verdict {
        Verdict::Inconclusive { fault } => (fault.kind, fault.text.clone()),
        other => panic!("not inconclusive: {other:?}"),
    }
}
fn texts(findings: &[Finding]) -> Vec<String> {
    findings.iter().map(|f| f.text.clone()).collect()
}

/// Papers of a run, and tests that nobody may run.
pub(super) struct Papers(pub(super) Vec<(&'static str, &'static str)>);

#[async_trait::async_trait]
impl Bench for Papers {
    async fn paper(&self, name: &str) -> Result<Option<Vec<u8>>, Fault> {
        Ok(self.0.iter().find(|(n, _)| *n == name).map(|(_, text)| text.as_bytes().to_vec()))
    }
    async fn papers(&self) -> Result<Vec<String>, Fault> {
        Ok(self.0.iter().map(|(n, _)| (*n).to_owned()).collect())
    }
    async fn keep(&self, _: &str, bytes: Vec<u8>) -> Result<Vec<u8>, Fault> {
        Ok(bytes)
    }
    async fn run(&self, _: &ProjectCommand<'_>) -> Result<CommandRun, Fault> {
        Err(Fault::transient("the supervisor died"))
    }
}

#[async_trait::async_trait]
impl Probe for Papers {
    async fn get(&self, _: &str, _: u64) -> Result<ProbeAnswer, Fault> {
        Err(Fault::transient("no network"))
    }
}

/// Key and judgement of a gate over papers alone.
pub(super) async fn over(gate: &AnyGate, papers: Papers, subject: Subject) -> (Result<String, Fault>, Judged) {
    let dir = tempfile::tempdir().unwrap();
    let git = GitCli::new(dir.path().join("repos"), dir.path().join("trees")).await.unwrap();
    let project = project();
    let look = Look { subject, project: &project, git: &git, probe: &papers, bench: &papers };
    ((gate.key)(&look).await, gate.judge(&look).await)
}

pub(super) async fn of(id: GateId, papers: Vec<(&'static str, &'static str)>) -> (Result<String, Fault>, Judged) {
    over(super::find(id).unwrap(), Papers(papers), subject()).await
}
