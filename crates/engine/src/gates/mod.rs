//! Quality gates: one file each, all of one shape. `collect` does all the looking, `judge` all the thinking. No gate
//! changes anything outside; none asks a language model.

mod analysis_approved;
mod analysis_complete;
mod architecture_done;
pub(crate) mod bench;
mod branch_mergeable;
mod ci_green;
mod deploy_status;
pub(crate) mod gate;
mod hand_bench;
mod outline;
mod papers;
mod review_approved;
mod reviewer_verdict;
mod security_gate;
mod staging_image_fresh;
mod staging_status;
pub(crate) mod task_bench;
#[cfg(test)]
mod testing;
mod tests_local;
mod tests_passed;

pub use bench::{Bench, CommandRun, ProjectCommand, took_ms};
pub use gate::{AnyGate, Judged, Look, Meta, PASS_DEGRADED, Subject, degraded, word};
pub use hand_bench::{HandBench, Watch, runs_dir};
pub use tests_local::command as tests_of;

use crate::cx::{Cx, Ended};
use crate::effects::push;
use crate::project::GateMode;
use crate::shell;
use crate::text::hex;
use gate::notes;
use orch_core::effect::{Outcome, Warning};
use orch_core::fault_code::FaultCode;
use orch_core::ids::{GateId, Seq, Sha, StageId, Time};
use orch_core::verdict::Verdict;
use orch_ports::Fault;
use orch_security::Range;
use orch_store::Judgement;
use sha2::{Digest as _, Sha256};
use std::sync::PoisonError;
use task_bench::TaskBench;

/// Every gate, in the order of the pipeline.
pub static GATES: &[AnyGate] = &[
    AnyGate::of::<analysis_complete::AnalysisComplete>(),
    AnyGate::of::<analysis_approved::AnalysisApproved>(),
    AnyGate::of::<architecture_done::ArchitectureDone>(),
    AnyGate::of::<ci_green::CiGreen>(),
    AnyGate::of::<tests_local::TestsLocal>(),
    AnyGate::of::<reviewer_verdict::ReviewerVerdict>(),
    AnyGate::of::<review_approved::ReviewApproved>(),
    AnyGate::of::<tests_passed::TestsPassed>(),
    AnyGate::of::<staging_status::StagingStatus>(),
    AnyGate::of::<security_gate::SecurityGate>(),
    AnyGate::of::<branch_mergeable::BranchMergeable>(),
    AnyGate::of::<staging_image_fresh::StagingImageFresh>(),
    AnyGate::of::<deploy_status::DeployStatus>(),
];

/// A gate by id.
pub fn find(id: GateId) -> Option<&'static AnyGate> {
    GATES.iter().find(|g| g.meta.id == id)
}

/// Judges a gate for a task: switch, earlier verdict, look, evidence.
pub(crate) async fn ensure(
    cx: &Cx,
    id: GateId,
    stage: &StageId,
    head: &Sha,
    exact: bool,
    run: Option<Seq>,
    since: Time,
) -> Result<Ended, Fault> {
    let gate = find(id).ok_or_else(|| Fault::bug(format!("{id} is not built into this orch")))?;
    let (mode, switch) = cx.project.mode(id);
    let began = cx.now();
    let limit = cx.project.gate_limits.get(&id).copied();
    let bench = TaskBench::new(cx, run, limit);
    let (key, judged, reused) = if mode == GateMode::Off {
        let why = format!("switched off: {switch}");
        let verdict = Verdict::Skipped { why };
        ("off".to_owned(), Judged { verdict, evidence: serde_json::Value::Null, warns: None }, false)
    } else {
        // A gate only looks, and a merge compares again. What a person may have pushed meanwhile is to be seen at once.
        let fetched = if cx.task.spent.granted { cx.fetch().await } else { cx.fetch_waiting().await };
        let base = cx.task.branch.base.clone().or_else(|| fetched.as_ref().ok().map(|f| f.tip.clone()));
        let subject = Subject {
            stage: stage.clone(),
            head: head.clone(),
            base: base.unwrap_or_else(|| head.clone()),
            artefact_dir: cx.task.artefact_dir(),
            tip: fetched.as_ref().map_or_else(|_| head.clone(), |f| f.tip.clone()),
            exact,
            since,
            now: began,
            task: Some(cx.task.clone()),
        };
        let git = &*cx.engine.ports.git;
        let look = Look { subject, project: &cx.project, git, probe: &*cx.engine.ports.probe, bench: &bench };
        if fetched.is_ok()
            && let Some(now) = pushed_by_somebody(cx, head).await?
        {
            return Ok(Outcome::BranchMoved { now: Some(now) }.into());
        }
        match fetched {
            Err(fault) => (String::new(), Judged::cannot(&fault), false),
            // A command has its limit under its supervisor: who stopped waiting for it would leave it running.
            Ok(_) => match limit.filter(|_| !runs_a_command(id)) {
                None => judge(cx, gate, &look).await?,
                Some(ms) => tokio::select! {
                    judged = judge(cx, gate, &look) => judged?,
                    () = cx.engine.ports.clock.sleep_ms(ms) => {
                        let text = format!("it took longer than it may ({} s, `timeout_s` of the gate)", ms / 1_000);
                        (String::new(), Judged::cannot(&Fault::transient(text).coded(FaultCode::TimedOut)), false)
                    }
                },
            },
        }
    };
    if cx.stop.is_cancelled() {
        return Ok(Outcome::Cancelled.into());
    }
    if runs_a_command(id)
        && let Verdict::Inconclusive { fault } = &judged.verdict
        && fault.kind == orch_core::verdict::FaultKind::Transient
    {
        return Ok(shell::again(cx, &bench.under_way(), Fault::from(fault.clone())));
    }
    let warning = judged.warns.as_deref().map(|text| warning(cx, id, text));
    if id == GateId::SecurityGate && mode != GateMode::Off && !reused {
        cx.engine.security.lock().unwrap_or_else(PoisonError::into_inner).note(&cx.task.work_item, &judged, cx.now());
    }
    let notes = notes(&judged);
    let verdict = match mode {
        GateMode::Shadow if !judged.verdict.lets_through() => {
            Verdict::Skipped { why: format!("shadow: it would have said {}", judged.verdict.word()) }
        }
        GateMode::Off | GateMode::Shadow | GateMode::Enforce => judged.verdict,
    };
    // A look repeated while waiting is not a new judgement.
    if !repeats(cx, id, head, &verdict).await? {
        let row = Judgement {
            task: cx.task.id,
            gate: id,
            stage: stage.clone(),
            job: cx.job.id.seq,
            head: head.clone(),
            key,
            verdict: verdict.clone(),
            mode: mode.as_str().to_owned(),
            evidence: judged.evidence,
            reused,
            at: cx.now(),
            took_ms: cx.now().since_ms(began),
        };
        Cx::fenced(cx.store().put_judgement(cx.job.fence(), row).await?)?;
    }
    Ok(Outcome::Judged { head: head.clone(), verdict, notes, warning }.into())
}

/// Where a person lets a task go on, they may have repaired its branch: what somebody else pushed there is not judged as the head
/// that is known, and not passed over either.
async fn pushed_by_somebody(cx: &Cx, head: &Sha) -> Result<Option<Sha>, Fault> {
    let task = &cx.task;
    if !task.spent.granted || task.landing.merged.is_some() || task.branch.head.as_ref() != Some(head) {
        return Ok(None);
    }
    let Some(now) = cx.project.forge.branch_head(&task.project, &task.branch.name).await? else { return Ok(None) };
    let ours = now == *head || push::pushed(cx).await?.contains(&now);
    let known = cx.engine.ports.git.resolve(&task.project, now.as_str()).await?;
    Ok(known.filter(|_| !ours))
}

/// Does a gate run a command of the project?
fn runs_a_command(id: GateId) -> bool {
    matches!(id, GateId::TestsLocal | GateId::StagingImageFresh)
}

/// Why a prepared commit need not be brought to staging again; `None` if it must be.
pub(crate) async fn is_staged(cx: &Cx, stage: &StageId, head: &Sha) -> Result<Option<String>, Fault> {
    let (mode, switch) = cx.project.mode(GateId::StagingImageFresh);
    if mode != GateMode::Enforce {
        return Ok(Some(format!("{} is {}: {switch}", GateId::StagingImageFresh, mode.as_str())));
    }
    let gate = find(GateId::StagingImageFresh).ok_or_else(|| Fault::bug("a gate is not built in"))?;
    let fetched = cx.fetch().await?;
    let now = cx.now();
    let subject = Subject {
        stage: stage.clone(),
        head: head.clone(),
        base: cx.task.branch.base.clone().unwrap_or_else(|| head.clone()),
        artefact_dir: cx.task.artefact_dir(),
        tip: fetched.tip,
        exact: true,
        since: now,
        now,
        task: Some(cx.task.clone()),
    };
    let git = &*cx.engine.ports.git;
    let limit = cx.project.gate_limits.get(&GateId::StagingImageFresh).copied();
    let bench = TaskBench::new(cx, None, limit);
    let look = Look { subject, project: &cx.project, git, probe: &*cx.engine.ports.probe, bench: &bench };
    Ok(match gate.judge(&look).await.verdict {
        Verdict::Pass => Some("its code runs there".to_owned()),
        Verdict::Skipped { why } => Some(why),
        Verdict::Inconclusive { fault } if fault.kind == orch_core::verdict::FaultKind::Transient => {
            return Err(fault.into());
        }
        // The gate says so itself, and waits.
        Verdict::Inconclusive { fault } => Some(fault.text),
        Verdict::Fail { .. } | Verdict::Unreadable { .. } | Verdict::Wait { .. } => None,
    })
}

/// What of the branch's changes a person has to approve before a hook may run on it: digest and lines. Nothing if no hook
/// runs what is changed, if it is approved, or if the gates that ask for such an approval are switched off.
pub(crate) async fn unapproved_hooks(cx: &Cx, head: &Sha) -> Result<Option<(String, Vec<String>)>, Fault> {
    let asks = |id: GateId| cx.project.mode(id).0 == GateMode::Enforce;
    if !asks(GateId::SecurityGate) && !asks(GateId::BranchMergeable) {
        return Ok(None);
    }
    let fetched = cx.fetch().await?;
    let base = cx.task.branch.base.as_ref().unwrap_or(&fetched.tip);
    let range = cx.project.range(&*cx.engine.ports.git, base, head, cx.now());
    let found = orch_security::protection(&Range { task: Some(&cx.task), ..range }).await?;
    let waits = found.of_hooks && found.approval.is_none() && !found.changes.is_empty();
    Ok(waits.then(|| (found.subject.clone(), found.shown())))
}

/// A warning of a gate reaches people once a day: the next task that meets the same has nothing new to tell.
fn warning(cx: &Cx, id: GateId, text: &str) -> Warning {
    const DAY_MS: i64 = 86_400_000;
    let digest = hex(&Sha256::digest(text.as_bytes()));
    let (digest, day) = (digest.get(..12).unwrap_or_default(), cx.now().0.div_euclid(DAY_MS));
    let key = format!("warning-{}-{id}-{digest}-{day}", cx.project.key);
    Warning { key, text: format!("{}: {id}: {text}", cx.project.key) }
}

/// Is this the gate's last answer once more: still waiting for the same, or still not able to tell for the same reason?
async fn repeats(cx: &Cx, id: GateId, head: &Sha, verdict: &Verdict) -> Result<bool, Fault> {
    if !matches!(verdict, Verdict::Wait { .. } | Verdict::Inconclusive { .. }) {
        return Ok(false);
    }
    let last = cx.store().last_judgement(cx.task.id, id).await?.filter(|j| j.head == *head);
    Ok(last.is_some_and(|last| match (&last.verdict, verdict) {
        (Verdict::Wait { why: before, .. }, Verdict::Wait { why: now, .. }) => before == now,
        (before, now) => before == now,
    }))
}

async fn judge(cx: &Cx, gate: &AnyGate, look: &Look<'_>) -> Result<(String, Judged, bool), Fault> {
    let key = match (gate.key)(look).await {
        Ok(key) => key,
        Err(fault) => return Ok((String::new(), Judged::cannot(&fault), false)),
    };
    if let Some(earlier) = cx.store().judgement(cx.task.id, gate.meta.id, &key).await?
        && matches!(earlier.verdict, Verdict::Pass)
    {
        let less = degraded(&earlier.verdict, &earlier.evidence);
        // Said again, so that this pass is no plain one either; who was told today is not told again.
        let said = |less: &[String]| match gate.meta.id {
            GateId::SecurityGate => security_gate::saw_less(less),
            _ => less.join("; "),
        };
        let warns = (!less.is_empty()).then(|| said(&less));
        return Ok((key, Judged { verdict: Verdict::Pass, evidence: earlier.evidence, warns }, true));
    }
    Ok((key, gate.judge(look).await, false))
}
