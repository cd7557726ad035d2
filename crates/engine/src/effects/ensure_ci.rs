//! CI, where the forge leaves it to orch: the project's `ci` command on a clean checkout of exactly the commit, its
//! result as a commit status. The same code is judged once: a commit that differs only in its papers takes the result
//! over, and says so.

use crate::base;
use crate::base_known;
use crate::cx::{Cx, Ended};
use crate::gates::bench::Bench as _;
use crate::gates::task_bench::TaskBench;
use crate::parts::{self, Of, Run, Touched};
use crate::quarantine;
use crate::shell;
use crate::trial::Trial;
use orch_artefacts::failing;
use orch_core::blame::Blame;
use orch_core::effect::Outcome;
use orch_core::ids::{GateId, Sha, Time};
use orch_core::run_of::RunOf;
use orch_ports::Fault;
use orch_ports::forge::{CommitStatus, StatusState};
use orch_store::Fact;
use std::collections::BTreeMap;

/// Name of the check.
pub(crate) const CONTEXT: &str = "ci";

/// Begins what is said of a check that let through and saw less than it should.
const DEGRADED: &str = "green, degraded: ";

/// Begins what is said of a check that has run for the parts alone that a branch touches.
const PARTS: &str = "only for its parts (";

/// Begins what is said of a check that let tests in quarantine be: with the identity of that quarantine.
const QUARANTINE: &str = "in quarantine ";

/// Is this check green because of a quarantine that is over by now, or another one? That is no answer. `now`: the identity of
/// the one that holds, empty where there is none.
pub(crate) fn is_of_old_quarantine(status: &CommitStatus, now: &str) -> bool {
    let own = status.context == CONTEXT && status.state == StatusState::Success;
    own && after_parts(status).and_then(in_quarantine).is_some_and(|(identity, _)| identity != now)
}

/// The identity of a quarantine, and what follows.
fn in_quarantine(said: &str) -> Option<(&str, &str)> {
    said.strip_prefix(QUARANTINE)?.split_once(": ")
}

/// What is said of a check, without the parts it was run for.
fn after_parts(status: &CommitStatus) -> Option<&str> {
    match status.description.strip_prefix(PARTS) {
        Some(rest) => Some(rest.split_once("): ")?.1),
        None => Some(&status.description),
    }
}

/// Was this check run for some parts alone? In the merge that is no answer.
pub(crate) fn is_of_parts(status: &CommitStatus) -> bool {
    status.context == CONTEXT && status.state == StatusState::Success && status.description.starts_with(PARTS)
}

/// What a check that let through saw less than it should.
pub(crate) fn degraded(status: &CommitStatus) -> Option<String> {
    let said = after_parts(status)?;
    let said = in_quarantine(said).map_or(said, |(_, rest)| rest);
    Some(said.strip_prefix(DEGRADED)?.to_owned())
}

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
    let Some(all) = cx.project.whole(Of::Ci) else { return Ok(Outcome::Sent.into()) };
    if cx.task.is_closed() {
        // Nobody needs it any more.
        return Ok(Outcome::Sent.into());
    }
    let (forge, project) = (&cx.project.forge, &cx.project.key);
    let known = forge.statuses(project, commit).await?;
    // What is prepared for the merge stands on the tip; everything else is judged again there.
    let prepared = cx.task.landing.intent.as_ref().is_some_and(|i| i.head == *commit);
    let again = cx.task.pipeline.judges_again(GateId::CiGreen) && !prepared;
    let bench = TaskBench::new(cx, None, None);
    let quarantine = quarantine::identity(&bench.quarantine().await?);
    let enough = |s: &CommitStatus| (again || !is_of_parts(s)) && !is_of_old_quarantine(s, &quarantine);
    if known.iter().any(|s| s.context == CONTEXT && answers(s, cx.job.created_at) && enough(s)) {
        return Ok(Outcome::Sent.into());
    }
    let git = &cx.engine.ports.git;
    if git.resolve(project, commit.as_str()).await?.is_none() {
        cx.fetch().await?;
    }
    let (run, only) = if again { of_parts(cx, &all, commit).await? } else { (Some(all), String::new()) };
    let Some(run) = run else {
        let description = format!("{only}nothing is run for it");
        let status =
            CommitStatus { context: CONTEXT.into(), state: StatusState::Success, description, url: None, at: cx.now() };
        forge.set_status(project, commit, &status).await?;
        return Ok(Outcome::Sent.into());
    };
    let line = run.shown.as_str();
    let digest = git.code_digest(project, commit, &cx.task.artefact_dir()).await?;
    // Green under another command, with other tools or in another quarantine is no answer.
    let command = base::identity(&cx.project, &cx.engine.options.path, &run.line, &quarantine);
    let memory = Fact::GreenCi { project: project.clone(), code: digest.to_string(), command };
    if let Some(green) = cx.store().recall(&memory).await? {
        base_known::was_green(cx, commit, &run.line).await?;
        let description = format!("{only}the same code was green as {green}");
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
    let fetched = cx.fetch().await?;
    let base = cx.task.branch.base.as_ref().unwrap_or(&fetched.tip);
    let artefact_dir = cx.task.artefact_dir();
    let trial = Trial {
        name: CONTEXT,
        what: RunOf::Ci,
        run: &run,
        env: BTreeMap::from([("CI".to_owned(), "true".to_owned())]),
        tells_revision: true,
        project,
        git: &**git,
        bench: &bench,
        head: commit,
        base,
        is_base: false,
        tip: again.then_some(&fetched.tip),
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
        (None, Some(less)) => {
            let because = if tried.let_be.is_empty() { String::new() } else { format!("{QUARANTINE}{quarantine}: ") };
            (StatusState::Success, format!("{only}{because}{DEGRADED}{less}"))
        }
        (None, None) if tried.blame == Blame::Green => (StatusState::Success, format!("{only}green")),
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
    if tried.is_green_by_itself() {
        cx.store().remember(&memory, commit.short(), cx.now()).await?;
        base_known::was_green(cx, commit, &run.line).await?;
    }
    Ok(Outcome::Sent.into())
}

/// CI of the parts that the branch touches, and what is said of a result that is theirs alone.
async fn of_parts(cx: &Cx, all: &Run, commit: &Sha) -> Result<(Option<Run>, String), Fault> {
    let base = match &cx.task.branch.base {
        Some(base) => base.clone(),
        None => cx.fetch().await?.tip,
    };
    let git = &*cx.engine.ports.git;
    let touched =
        parts::touched(&cx.project.parts, (git, &cx.project.key), &base, commit, &cx.task.artefact_dir()).await?;
    let run = cx.project.run(Of::Ci, &touched);
    let only = match touched {
        Touched::Only(names) if run.as_ref() != Some(all) => {
            let names: Vec<String> = names.into_iter().collect();
            let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            format!("{PARTS}{names}): ")
        }
        _ => String::new(),
    };
    Ok((run, only))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(description: &str) -> CommitStatus {
        let (context, description) = (CONTEXT.to_owned(), description.to_owned());
        CommitStatus { context, state: StatusState::Success, description, url: None, at: Time(0) }
    }

    #[test]
    fn what_is_green_because_of_a_quarantine_is_an_answer_while_that_very_one_lasts() {
        for of in [
            "in quarantine 12ab: green, degraded: why",
            "only for its parts (web): in quarantine 12ab: green, degraded: why",
        ] {
            assert!(is_of_old_quarantine(&status(of), "") && is_of_old_quarantine(&status(of), "cd34"), "{of}");
            assert!(!is_of_old_quarantine(&status(of), "12ab"), "{of}");
            assert_eq!(degraded(&status(of)).as_deref(), Some("why"), "{of}");
        }
        for of in ["green", "green, degraded: why", "only for its parts (web): green"] {
            assert!(!is_of_old_quarantine(&status(of), "12ab"), "{of}: it needed none");
        }
        let foreign = CommitStatus { context: "build".into(), ..status("in quarantine 12ab: green") };
        assert!(!is_of_old_quarantine(&foreign, ""), "what others say is theirs");
    }
}
