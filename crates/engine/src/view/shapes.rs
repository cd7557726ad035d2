//! The shapes of what is shown, and how they come of what is stored.

use crate::budgets::BudgetView;
use crate::gates::gate;
use crate::inbound::InboundView;
use crate::standing::Trouble;
use crate::text::rfc3339;
use orch_core::task::Life;
use orch_store::{Deployment, Job, Judgement, LeaseRow, QueueCounts, RunRow, UnknownJob};
use serde::Serialize;

/// What a task waits for.
#[derive(Clone, Debug, Serialize)]
pub struct WaitingView {
    /// What for.
    pub reason: String,
    /// Since when.
    pub since: String,
    /// Until when at most.
    pub until: Option<String>,
    /// What ends it.
    pub ends_when: String,
    /// The command with which a person ends it.
    pub command: Option<String>,
    /// What a person is asked to approve, a line each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub shown: Vec<String>,
    /// Name of exactly that: an approval that gives it back is for nothing else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
}

/// A task.
#[derive(Clone, Debug, Serialize)]
pub struct TaskView {
    /// `DEMO-1`.
    pub id: String,
    /// Project key.
    pub project: String,
    /// Title.
    pub title: String,
    /// Stage.
    pub stage: String,
    /// Phase, one word.
    pub phase: String,
    /// What it does or waits for, one line.
    pub line: String,
    /// What it waits for; `null` once nothing will happen to it any more.
    pub waiting: Option<WaitingView>,
    /// Branch.
    pub branch: String,
    /// Head of the branch.
    pub head: Option<String>,
    /// Number of the pull request.
    pub pull_request: Option<u64>,
    /// Developer repairs so far.
    pub round: u32,
    /// Runs so far.
    pub runs: usize,
    /// Cost so far, US dollars; the most it can be where costs are not known.
    pub cost_usd: f64,
    /// The same for people: `1.50`, `<= 4.00`, `unknown`.
    pub cost: String,
    /// What is reserved for its run that is under way, US dollars.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reserved_usd: Option<f64>,
    /// What its runs may cost, with what people granted it, US dollars.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget_usd: Option<f64>,
    /// When it was made.
    pub created_at: String,
    /// When it changed last.
    pub updated_at: String,
    /// When it was done.
    pub done_at: Option<String>,
    /// How production took it.
    pub outcome: Option<String>,
    /// The commit on the default branch.
    pub merge_commit: Option<String>,
    /// Stages of its pipeline, in order.
    pub stages: Vec<String>,
    /// How early it goes among those of its project, where a person said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<i32>,
    /// Who holds it, where a person does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<HeldView>,
    /// Who finished it outside of orch, where a person did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished: Option<FinishedView>,
    /// Its lives before this one, where it was begun again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lives: Vec<LifeView>,
    /// The person's branch it lands, where no agent writes anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lands: Option<LandsView>,
}

/// A person's branch, and exactly what of it is landed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LandsView {
    /// Its name.
    pub branch: String,
    /// The commit it stood at when it was asked for.
    pub head: String,
}

/// An end outside of orch.
#[derive(Clone, Debug, Serialize)]
pub struct FinishedView {
    /// Who.
    pub by: String,
    /// Why, in their words.
    pub reason: String,
    /// When.
    pub at: String,
}

/// A life of a task that is over.
#[derive(Clone, Debug, Serialize)]
pub struct LifeView {
    /// Its branch.
    pub branch: String,
    /// Its pull request.
    pub pull_request: Option<u64>,
    /// The commit on the default branch.
    pub merge_commit: Option<String>,
    /// How it ended.
    pub end: String,
    /// When it was begun again.
    pub until: String,
}

/// A person's hold.
#[derive(Clone, Debug, Serialize)]
pub struct HeldView {
    /// Who.
    pub by: String,
    /// Since when.
    pub since: String,
    /// Why, in their words.
    pub reason: Option<String>,
}

/// Everything that is known about how a task was judged.
#[derive(Clone, Debug, Serialize)]
pub struct EvidenceView {
    /// The task.
    pub task: TaskView,
    /// What the gates said, oldest first.
    pub gates: Vec<GateView>,
    /// The same as it is stored.
    #[serde(skip)]
    pub judgements: Vec<Judgement>,
    /// Runs, oldest first.
    pub runs: Vec<RunRow>,
    /// Approvals.
    pub approvals: Vec<orch_core::task::Approval>,
    /// Artefacts: name, digest, run.
    pub artefacts: Vec<ArtefactView>,
    /// What was *not* checked, and why.
    pub not_checked: Vec<String>,
    /// Deploys of this task.
    pub deployments: Vec<Deployment>,
}

/// A gate's answer and what it rests on.
#[derive(Clone, Debug, Serialize)]
pub struct GateView {
    /// `check_ci_green`.
    pub gate: String,
    /// `pass`, `wait`, `fail`, `unreadable`, `inconclusive` or `skipped`.
    pub verdict: String,
    /// When.
    pub at: String,
    /// Stage whose edge it stands on.
    pub stage: String,
    /// Commit it judged.
    pub head: String,
    /// `enforce`, `shadow` or `off`.
    pub mode: String,
    /// Was an earlier verdict on the same thing taken over?
    pub reused: bool,
    /// How long it took, milliseconds.
    pub took_ms: i64,
    /// Why it was skipped, waits or cannot tell.
    pub why: Option<String>,
    /// What has to be changed.
    pub findings: Vec<orch_core::verdict::Finding>,
    /// What it looked at.
    pub evidence: serde_json::Value,
}

impl From<&Judgement> for GateView {
    fn from(j: &Judgement) -> Self {
        use orch_core::verdict::{Verdict, WaitFor};
        let (why, findings) = match &j.verdict {
            Verdict::Pass => (None, Vec::new()),
            Verdict::Fail { findings } | Verdict::Unreadable { findings } => (None, findings.clone()),
            Verdict::Inconclusive { fault } => (Some(fault.text.clone()), Vec::new()),
            Verdict::Skipped { why } => (Some(why.clone()), Vec::new()),
            Verdict::Wait { why: WaitFor::Report { what }, .. } => (Some(format!("waits for {what}")), Vec::new()),
            Verdict::Wait { why: WaitFor::Unable { reason }, .. } => (Some(format!("unable: {reason}")), Vec::new()),
            Verdict::Wait { why: WaitFor::Approval { .. }, .. } => (Some("waits for a person".into()), Vec::new()),
        };
        Self {
            gate: j.gate.to_string(),
            verdict: j.verdict.word().into(),
            at: rfc3339(j.at),
            stage: j.stage.to_string(),
            head: j.head.to_string(),
            mode: j.mode.clone(),
            reused: j.reused,
            took_ms: j.took_ms,
            why,
            findings,
            evidence: j.evidence.clone(),
        }
    }
}

/// What a pass missed, a line each.
pub(super) fn saw_less(j: &Judgement) -> impl Iterator<Item = String> + use<> {
    let gate = j.gate;
    let missed = gate::degraded(&j.verdict, &j.evidence).into_iter();
    missed.map(move |missed| format!("{gate}: {}: {missed}", gate::PASS_DEGRADED))
}

/// An artefact.
#[derive(Clone, Debug, Serialize)]
pub struct ArtefactView {
    /// Name.
    pub name: String,
    /// SHA-256.
    pub sha256: String,
    /// Run that left it.
    pub run: u32,
    /// Its text.
    pub text: String,
}

/// A pause that is in force.
#[derive(Clone, Debug, Serialize)]
pub struct PauseView {
    /// The project that is paused; `None`: everything.
    pub project: Option<String>,
    /// Who paused.
    pub by: String,
    /// When.
    pub since: String,
    /// The command that ends it.
    pub ends: String,
}

impl PauseView {
    /// `paused by anna since ...`, with the project where it is one project's.
    pub fn line(&self) -> String {
        let what = self.project.as_ref().map_or_else(String::new, |key| format!("project {key} is "));
        format!("{what}paused by {} since {}", self.by, self.since)
    }
}

/// What `GET /queue` shows.
#[derive(Clone, Debug, Serialize)]
pub struct QueueView {
    /// Jobs by state.
    pub counts: QueueCounts,
    /// Width of the agent lane.
    pub max_concurrency: usize,
    /// Is claiming stopped?
    pub draining: bool,
    /// What is paused.
    pub paused: Vec<PauseView>,
    /// Budgets of days, months and projects.
    pub budgets: Vec<BudgetView>,
    /// What keeps projects or the whole instance from going on.
    pub troubles: Vec<Trouble>,
    /// Transient faults.
    pub resilience: serde_json::Value,
    /// Polling of trackers and forges.
    pub reconcile: serde_json::Value,
    /// The reaper.
    pub reaper: serde_json::Value,
    /// Watch on production.
    pub post_deploy: serde_json::Value,
    /// Security gate.
    pub security: serde_json::Value,
    /// What other servers sent by webhooks.
    pub inbound: Vec<InboundView>,
    /// Who merges into which repository, and who waits for that.
    pub merging: Vec<super::queues::MergeQueue>,
    /// Merge leases.
    pub leases: Vec<LeaseRow>,
    /// Jobs of kinds this version does not know: kept, and nobody works on them.
    pub unknown: Vec<serde_json::Value>,
    /// Open jobs: running ones first, at most 200.
    pub open: Vec<JobView>,
    /// How many open jobs there are.
    pub open_total: u64,
    /// Newest finished jobs.
    pub recent: Vec<JobView>,
}

/// A job.
#[derive(Clone, Debug, Serialize)]
pub struct JobView {
    /// `<task>-<seq>`.
    pub id: String,
    /// What it does.
    pub what: String,
    /// Lane.
    pub lane: String,
    /// State.
    pub state: String,
    /// Attempts spent.
    pub attempts: u32,
    /// Failures that were the world's.
    pub transient_attempts: u32,
    /// Times its worker died or hung while at it.
    pub deaths: u32,
    /// The outside service it waits for.
    pub parked: Option<String>,
    /// Not before.
    pub available_at: String,
    /// Its last fault.
    pub fault: Option<String>,
    /// Which fault that was: its code.
    pub fault_code: Option<&'static str>,
    /// When it ended.
    pub finished_at: Option<String>,
}

impl From<&Job> for JobView {
    fn from(job: &Job) -> Self {
        Self {
            id: job.id.to_string(),
            what: job.effect.describe(),
            lane: job.lane.as_str().into(),
            state: job.state.as_str().into(),
            attempts: job.attempts,
            transient_attempts: job.transient_attempts,
            deaths: job.deaths,
            parked: job.parked.clone(),
            available_at: rfc3339(job.available_at),
            fault: job.last_fault.as_ref().map(|f| f.text.clone()),
            fault_code: job.last_fault.as_ref().map(|f| f.code.as_str()),
            finished_at: job.finished_at.map(rfc3339),
        }
    }
}

pub(super) fn unknown_view(job: &UnknownJob) -> serde_json::Value {
    serde_json::json!({
        "id": job.id.to_string(), "project": job.project, "kind": job.kind, "why": job.why, "since": rfc3339(job.since),
    })
}

pub(super) fn life_view(life: &Life) -> LifeView {
    LifeView {
        branch: life.branch.clone(),
        pull_request: life.pull_request,
        merge_commit: life.merged.as_ref().map(ToString::to_string),
        end: life.end.clone(),
        until: rfc3339(life.at),
    }
}
