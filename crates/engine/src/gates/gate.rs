//! The shape of a gate: what it looks at, what it answers, and how its answer is kept and read.

use super::bench::Bench;
use crate::project::Project;
use orch_core::ids::{GateId, Sha, StageId, Time, WorkItem};
use orch_core::task::Task;
use orch_core::verdict::{Finding, Verdict};
use orch_ports::Fault;
use orch_ports::git::Git;
use orch_ports::probe::Probe;
use orch_security::Range;
use std::future::Future;
use std::pin::Pin;

/// What a gate says of itself.
#[derive(Clone, Copy, Debug)]
pub struct Meta {
    /// Which gate.
    pub id: GateId,
    /// What it asks, one line.
    pub asks: &'static str,
}

/// What is judged.
#[derive(Clone, Debug)]
pub struct Subject {
    /// Stage whose edge the gate stands on.
    pub stage: StageId,
    /// Commit.
    pub head: Sha,
    /// Commit of the default branch it is compared with.
    pub base: Sha,
    /// Directory of the task's artefacts.
    pub artefact_dir: String,
    /// Where the default branch is.
    pub tip: Sha,
    /// The exact commit, not just its code.
    pub exact: bool,
    /// Since when this gate has been waiting.
    pub since: Time,
    /// Now.
    pub now: Time,
    /// The task, where there is one; `orch gate run` has none.
    pub task: Option<Task>,
}

/// Everything a gate may look at.
pub struct Look<'a> {
    /// What is judged.
    pub subject: Subject,
    /// Its project.
    pub project: &'a Project,
    /// The private repository.
    pub git: &'a dyn Git,
    /// Running services.
    pub probe: &'a dyn Probe,
    /// Papers and tests.
    pub bench: &'a dyn Bench,
}

impl Look<'_> {
    /// What is judged, for the security room.
    pub(super) fn range(&self) -> Range<'_> {
        let (subject, project) = (&self.subject, self.project);
        let range = project.range(self.git, &subject.base, &subject.head, subject.now);
        Range { task: subject.task.as_ref(), ..range }
    }
}

/// What the author of a gate writes.
pub(super) trait Gate: 'static {
    /// Which gate.
    const META: Meta;
    /// What was looked at; stored as evidence.
    type Evidence: serde::Serialize + Send;
    /// What its verdict belongs to: while this is the same, so is the verdict.
    fn key(look: &Look<'_>) -> impl Future<Output = Result<String, Fault>> + Send;
    /// All the looking.
    fn collect(look: &Look<'_>) -> impl Future<Output = Result<Self::Evidence, Fault>> + Send;
    /// All the thinking.
    fn judge(evidence: &Self::Evidence, look: &Subject, project: &Project) -> Verdict;
    /// What it found and holds nothing up, whatever the verdict: people read it on the pull request.
    fn notes(_: &Self::Evidence) -> Vec<Finding> {
        Vec::new()
    }
    /// What people should hear although it may let the task through.
    fn warns(_: &Self::Evidence) -> Option<String> {
        None
    }
}

/// A gate's answer with what it rests on.
#[derive(Debug)]
pub struct Judged {
    /// The verdict.
    pub verdict: Verdict,
    /// What was looked at.
    pub evidence: serde_json::Value,
    /// What people should hear.
    pub warns: Option<String>,
}

impl Judged {
    /// Nothing was found out.
    pub(super) fn cannot(fault: &Fault) -> Self {
        let evidence = serde_json::json!({ "fault": fault.text, "code": fault.code });
        Self { verdict: Verdict::Inconclusive { fault: fault.note() }, evidence, warns: None }
    }
}

pub(super) type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A gate with its types erased.
pub struct AnyGate {
    /// What it says of itself.
    pub meta: Meta,
    pub(super) key: for<'a> fn(&'a Look<'a>) -> Boxed<'a, Result<String, Fault>>,
    run: for<'a> fn(&'a Look<'a>) -> Boxed<'a, Judged>,
}

impl AnyGate {
    pub(super) const fn of<G: Gate>() -> Self {
        Self { meta: G::META, key: key_of::<G>, run: run_of::<G> }
    }
    /// Looks and judges. What it cannot find out is inconclusive, never an error.
    pub async fn judge(&self, look: &Look<'_>) -> Judged {
        (self.run)(look).await
    }
}

fn key_of<'a, G: Gate>(look: &'a Look<'a>) -> Boxed<'a, Result<String, Fault>> {
    Box::pin(G::key(look))
}

fn run_of<'a, G: Gate>(look: &'a Look<'a>) -> Boxed<'a, Judged> {
    Box::pin(async move {
        match G::collect(look).await {
            Ok(evidence) => {
                let verdict = G::judge(&evidence, &look.subject, look.project);
                let warns = G::warns(&evidence);
                let notes = G::notes(&evidence);
                let mut evidence = serde_json::to_value(&evidence)
                    .unwrap_or_else(|e| serde_json::json!({ "unprintable_evidence": e.to_string() }));
                if let (false, Some(fields)) = (notes.is_empty(), evidence.as_object_mut()) {
                    fields.insert(NOTES.into(), serde_json::json!(notes));
                }
                Judged { verdict, evidence, warns }
            }
            Err(fault) => Judged::cannot(&fault),
        }
    })
}

/// Where in the evidence stands what a gate should have seen and did not.
const DEGRADED: &str = "degraded";

/// What a gate that let a task through should have seen and did not, as its evidence says.
pub fn degraded(verdict: &Verdict, evidence: &serde_json::Value) -> Vec<String> {
    let lines = evidence.get(DEGRADED).and_then(serde_json::Value::as_array).filter(|_| *verdict == Verdict::Pass);
    lines.into_iter().flatten().filter_map(serde_json::Value::as_str).map(str::to_owned).collect()
}

/// A verdict as people read it: a pass that saw less than it should is never shown as a plain one.
pub fn word(verdict: &Verdict, evidence: &serde_json::Value) -> &'static str {
    if degraded(verdict, evidence).is_empty() { verdict.word() } else { PASS_DEGRADED }
}

/// That word.
pub const PASS_DEGRADED: &str = "pass, degraded";

/// Where in the evidence stands what holds nothing up; a verdict that is taken over keeps it.
const NOTES: &str = "notes";

pub(super) fn notes(judged: &Judged) -> Vec<Finding> {
    let settled = matches!(judged.verdict, Verdict::Pass | Verdict::Fail { .. });
    let noted = judged.evidence.get(NOTES).filter(|_| settled);
    noted.and_then(|notes| serde_json::from_value(notes.clone()).ok()).unwrap_or_default()
}

/// What the security gate has done since this process began.
#[derive(Clone, Debug, Default)]
pub(crate) struct SecurityState {
    pub(crate) judged_total: u64,
    pub(crate) failed_total: u64,
    pub(crate) last_run: Option<Time>,
    /// The last answer, in a few words.
    pub(crate) last: Option<String>,
    /// Why the last audit of dependencies saw less than it should have.
    pub(crate) degraded: Option<String>,
}

impl SecurityState {
    /// The gate has judged this task.
    pub(super) fn note(&mut self, item: &WorkItem, judged: &Judged, now: Time) {
        self.judged_total += 1;
        self.failed_total += u64::from(matches!(judged.verdict, Verdict::Fail { .. }));
        self.last_run = Some(now);
        self.last = Some(format!("{}: {}", item, word(&judged.verdict, &judged.evidence)));
        self.degraded.clone_from(&judged.warns);
    }
}
