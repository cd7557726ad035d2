//! Rows of the store as the API shows them: flat, with times as text. Field names are pinned: people script against
//! them.

use orch_core::end_class::EndClass;
use orch_core::task::Approval;
use orch_core::verdict::{Finding, Verdict, WaitFor};
use orch_engine::view::{ArtefactView, EvidenceView, TaskView, rfc3339};
use orch_store::{Deployment, JournalRow, Judgement, RunRow};
use serde::Serialize;

/// A judgement.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct GateView {
    pub(crate) gate: String,
    /// `pass`, `wait`, `fail`, `unreadable`, `inconclusive` or `skipped`.
    pub(crate) verdict: &'static str,
    /// Why it is no pass, in a few words.
    pub(crate) why: Option<String>,
    pub(crate) findings: Vec<Finding>,
    pub(crate) stage: String,
    pub(crate) head: String,
    /// The verdict stands while this is unchanged.
    pub(crate) key: String,
    pub(crate) mode: String,
    /// Was an earlier verdict with the same key taken over?
    pub(crate) reused: bool,
    pub(crate) at: String,
    pub(crate) took_ms: i64,
    /// What a pass should have seen and did not; then it is shown as `pass, degraded`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) degraded: Vec<String>,
    /// What was looked at.
    pub(crate) evidence: serde_json::Value,
}

impl From<&Judgement> for GateView {
    fn from(j: &Judgement) -> Self {
        let findings = match &j.verdict {
            Verdict::Fail { findings } | Verdict::Unreadable { findings } => findings.clone(),
            _ => Vec::new(),
        };
        Self {
            gate: j.gate.to_string(),
            verdict: j.verdict.word(),
            why: why(&j.verdict),
            findings,
            stage: j.stage.to_string(),
            head: j.head.to_string(),
            key: j.key.clone(),
            mode: j.mode.clone(),
            reused: j.reused,
            at: rfc3339(j.at),
            took_ms: j.took_ms,
            degraded: orch_engine::gates::degraded(&j.verdict, &j.evidence),
            evidence: j.evidence.clone(),
        }
    }
}

/// Why a verdict is no pass, in a few words.
fn why(verdict: &Verdict) -> Option<String> {
    match verdict {
        Verdict::Pass => None,
        Verdict::Wait { why: WaitFor::Report { what }, .. } => Some(format!("waits for {what}")),
        Verdict::Wait { why: WaitFor::Unable { reason }, .. } => Some(format!("unable: {reason}")),
        Verdict::Wait { why: WaitFor::Approval { subject, shown, .. }, .. } => {
            let shown = if shown.is_empty() { String::new() } else { format!(": {}", shown.join("; ")) };
            Some(format!("waits for an approval of {}{shown}", subject.chars().take(12).collect::<String>()))
        }
        Verdict::Fail { findings } | Verdict::Unreadable { findings } => {
            findings.first().and_then(|f| f.text.lines().next()).map(ToOwned::to_owned)
        }
        Verdict::Inconclusive { fault } => Some(fault.text.clone()),
        Verdict::Skipped { why } => Some(why.clone()),
    }
}

/// A run. Its directory stays with us.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct RunView {
    /// From 1, in the order they began.
    pub(crate) number: usize,
    pub(crate) what: String,
    pub(crate) program: String,
    pub(crate) stage: String,
    pub(crate) attempt: u32,
    pub(crate) started_at: String,
    pub(crate) ended_at: Option<String>,
    pub(crate) end: Option<String>,
    pub(crate) ok: Option<bool>,
    pub(crate) model: Option<String>,
    pub(crate) session: Option<String>,
    /// Class of an agent's end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) class: Option<&'static str>,
    /// Version of an agent's program.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) version: Option<String>,
    /// What enclosed it, and what was open in that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sandbox: Option<String>,
    pub(crate) summary: Option<String>,
    pub(crate) cost_usd: f64,
    pub(crate) cost: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cost_unread: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cost_note: Option<String>,
    pub(crate) input_tokens: u64,
    pub(crate) output_tokens: u64,
    pub(crate) turns: u64,
}

/// Runs in their order.
pub(crate) fn runs(rows: &[RunRow]) -> Vec<RunView> {
    rows.iter()
        .enumerate()
        .map(|(i, r)| RunView {
            number: i + 1,
            what: r.what.to_string(),
            program: r.program.clone(),
            stage: r.stage.to_string(),
            attempt: r.attempt,
            started_at: rfc3339(r.started),
            ended_at: r.ended.map(rfc3339),
            end: r.end.clone(),
            ok: r.ok,
            model: r.model.clone(),
            session: r.session.clone(),
            class: r.class.map(EndClass::as_str),
            version: r.version.clone(),
            sandbox: r.sandbox.clone(),
            summary: r.summary.clone(),
            cost_usd: r.usage.cost_usd,
            cost: r.usage.shown(),
            cost_unread: r.usage.cost_unread.clone(),
            cost_note: r.usage.cost_note.clone(),
            input_tokens: r.usage.input_tokens,
            output_tokens: r.usage.output_tokens,
            turns: r.usage.turns,
        })
        .collect()
}

/// A line of the journal.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct JournalView {
    pub(crate) id: i64,
    pub(crate) task: String,
    pub(crate) at: String,
    pub(crate) event: String,
    pub(crate) actor: Option<String>,
    pub(crate) ignored: Option<String>,
    pub(crate) story: Vec<String>,
    pub(crate) stage: String,
    pub(crate) phase: String,
}

impl From<&JournalRow> for JournalView {
    fn from(row: &JournalRow) -> Self {
        Self {
            id: row.id,
            task: row.work_item.to_string(),
            at: rfc3339(row.at),
            event: row.event.clone(),
            actor: row.actor.as_ref().map(ToString::to_string),
            ignored: row.ignored.clone(),
            story: row.story.clone(),
            stage: row.stage.to_string(),
            phase: row.phase.clone(),
        }
    }
}

/// An approval.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ApprovalView {
    pub(crate) what: &'static str,
    pub(crate) subject: String,
    pub(crate) by: String,
    pub(crate) at: String,
}

impl From<&Approval> for ApprovalView {
    fn from(a: &Approval) -> Self {
        Self { what: a.what.as_str(), subject: a.subject.clone(), by: a.by.to_string(), at: rfc3339(a.at) }
    }
}

/// A deployment.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct DeploymentView {
    pub(crate) environment: String,
    pub(crate) revision: String,
    pub(crate) ok: bool,
    pub(crate) rollback: bool,
    pub(crate) at: String,
}

impl From<&Deployment> for DeploymentView {
    fn from(d: &Deployment) -> Self {
        Self {
            environment: d.environment.to_string(),
            revision: d.revision.to_string(),
            ok: d.ok,
            rollback: d.rollback,
            at: rfc3339(d.at),
        }
    }
}

/// Everything known about how a task was judged.
#[derive(Debug, Serialize)]
pub(crate) struct EvidenceBody {
    pub(crate) task: TaskView,
    pub(crate) gates: Vec<GateView>,
    pub(crate) not_checked: Vec<String>,
    pub(crate) runs: Vec<RunView>,
    pub(crate) approvals: Vec<ApprovalView>,
    pub(crate) artefacts: Vec<ArtefactView>,
    pub(crate) deployments: Vec<DeploymentView>,
}

impl From<EvidenceView> for EvidenceBody {
    fn from(e: EvidenceView) -> Self {
        Self {
            gates: e.judgements.iter().map(GateView::from).collect(),
            not_checked: e.not_checked,
            runs: runs(&e.runs),
            approvals: e.approvals.iter().map(ApprovalView::from).collect(),
            artefacts: e.artefacts,
            deployments: e.deployments.iter().map(DeploymentView::from).collect(),
            task: e.task,
        }
    }
}
