//! CI, where the forge leaves it to orch: the project's `ci` command on a clean checkout of exactly the commit, its
//! result as a commit status. The same code is judged once: a commit that differs only in its papers takes the result
//! over, and says so.

use super::{Cx, Ended, hex};
use crate::gates::TaskBench;
use crate::shell;
use crate::trial::Trial;
use orch_artefacts::failing;
use orch_core::blame::Blame;
use orch_core::effect::Outcome;
use orch_core::ids::{GateId, Sha, Time};
use orch_ports::Fault;
use orch_ports::forge::{CommitStatus, StatusState};
use orch_store::Fact;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;

/// Name of the check.
pub(crate) const CONTEXT: &str = "ci";

/// Begins what is said of a check that let through and saw less than it should.
pub(crate) const DEGRADED: &str = "green, degraded: ";

/// Does a status answer what was asked at this time? What was red before is asked again: the commit came back as it was,
/// and what made it red may have passed. Checks of others are no answer of orch's, and nothing to ask again.
pub(crate) fn answers(status: &CommitStatus, asked: Time) -> bool {
    match status.state {
        _ if status.context != CONTEXT => true,
        StatusState::Success | StatusState::Skipped => true,
        StatusState::Failure | StatusState::Error => asked <= status.at,
        StatusState::Pending => false,
    }
}

pub(super) async fn ensure(cx: &Cx, commit: &Sha) -> Result<Ended, Fault> {
    let Some(line) = cx.project.ci.as_deref() else { return Ok(Outcome::Sent.into()) };
    if cx.task.is_closed() {
        // Nobody needs it any more.
        return Ok(Outcome::Sent.into());
    }
    let (forge, project) = (&cx.project.forge, &cx.project.key);
    let known = forge.statuses(project, commit).await?;
    if known.iter().any(|s| s.context == CONTEXT && answers(s, cx.job.created_at)) {
        return Ok(Outcome::Sent.into());
    }
    let git = &cx.engine.ports.git;
    if git.resolve(project, commit.as_str()).await?.is_none() {
        cx.fetch().await?;
    }
    let digest = git.code_digest(project, commit, &cx.task.artefact_dir()).await?;
    // Green under another command is no answer.
    let command = hex(&Sha256::digest(cx.project.preparation.identity(line).as_bytes())[..8]);
    let memory = Fact::GreenCi { project: project.clone(), code: digest.to_string(), command };
    if let Some(green) = cx.store().recall(&memory).await? {
        super::judge_base::was_green(cx, commit, line).await?;
        let description = format!("the same code was green as {green}");
        let status =
            CommitStatus { context: CONTEXT.into(), state: StatusState::Success, description, url: None, at: cx.now() };
        forge.set_status(project, commit, &status).await?;
        return Ok(Outcome::Sent.into());
    }
    let pending = CommitStatus {
        context: CONTEXT.into(),
        state: StatusState::Pending,
        description: format!("running `{line}`"),
        url: None,
        at: cx.now(),
    };
    forge.set_status(project, commit, &pending).await?;
    let bench = TaskBench::new(cx, None, None);
    let fetched = cx.fetch().await?;
    let base = cx.task.branch.base.as_ref().unwrap_or(&fetched.tip);
    let artefact_dir = cx.task.artefact_dir();
    let trial = Trial {
        name: CONTEXT,
        line,
        env: BTreeMap::from([("CI".to_owned(), "true".to_owned())]),
        tells_revision: true,
        project,
        git: &**git,
        bench: &bench,
        head: commit,
        base,
        is_base: false,
        // What is prepared for the merge stands on the tip; everything else is judged again there.
        tip: (cx.task.pipeline.judges_again(GateId::CiGreen)
            && cx.task.landing.intent.as_ref().is_none_or(|i| i.head != *commit))
        .then_some(&fetched.tip),
        artefact_dir: &artefact_dir,
        repairs_base: cx.task.repairs_base(),
    };
    let tried = match trial.run().await {
        Ok(tried) => tried,
        // Stopped from outside, too: that says nothing about the code. Who waits for it would wait for ever.
        Err(fault) if fault.is_transient() => return Ok(shell::again(cx, &bench.under_way(), fault)),
        Err(fault) => return Err(fault),
    };
    let (state, description) = match (tried.cannot(line), tried.degraded()) {
        (Some(fault), _) => (StatusState::Error, fault.text),
        (None, Some(less)) => (StatusState::Success, format!("{DEGRADED}{less}")),
        (None, None) if tried.blame == Blame::Green => (StatusState::Success, "green".to_owned()),
        (None, None) => {
            let end = &tried.run.end;
            let what = match &tried.run.failed_setup {
                Some(setup) => format!("the setup `{setup}` failed, so that CI did not begin: {end}"),
                None => format!("`{line}`: {end}"),
            };
            let flaky: Vec<String> = tried.flaky().map(|finding| finding.text).collect();
            (StatusState::Failure, [vec![failing::text(&what, &tried.run.output)], flaky].concat().join("\n"))
        }
    };
    let status = CommitStatus {
        context: CONTEXT.into(),
        state,
        description,
        url: Some(format!("file://{}", tried.run.log)),
        at: cx.now(),
    };
    cx.still_ours().await?;
    forge.set_status(project, commit, &status).await?;
    // What was green on the tip alone is judged again there.
    if matches!(tried.blame, Blame::Green | Blame::Chance { .. }) {
        cx.store().remember(&memory, commit.short(), cx.now()).await?;
        super::judge_base::was_green(cx, commit, line).await?;
    }
    Ok(Outcome::Sent.into())
}
