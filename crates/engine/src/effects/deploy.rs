//! Brings a revision to an environment by the project's hook, looks whether it is healthy, and writes down what
//! happened as the artefact that the gate reads. Whether that is good is the gate's business.

use crate::cx::{Cx, Ended};
use crate::gates;
use crate::prepare::Runs;
use crate::restored::{self, Doubt};
use crate::shell::{self, Command, Ran};
use crate::text::hex;
use orch_core::effect::Outcome;
use orch_core::ids::{Environment, GateId, Seq, Sha, StageId};
use orch_core::run_of::RunOf;
use orch_core::task::LAST_LINES;
use orch_core::verdict::Verdict;
use orch_ports::Fault;
use orch_ports::supervisor::{EndReason, ExitRecord, RunState};
use orch_store::{ArtefactRow, Deployment, TaskFilter};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Checks of sandbox infrastructure that a log lists.
const MAX_INFRA: usize = 50;
/// Characters of each one's name.
const MAX_INFRA_NAME: usize = 100;

pub(super) async fn ensure(
    cx: &Cx,
    environment: Environment,
    revision: &Sha,
    stage: &StageId,
    again: bool,
    since: Seq,
) -> Result<Ended, Fault> {
    let deploy = &cx.project.deploy;
    let hook = match environment {
        Environment::Staging => deploy.staging.as_deref(),
        Environment::Production => deploy.production.as_deref(),
    };
    let Some(hook) = hook else {
        return Ok(skipped("nothing to deploy: no hook is configured".into()));
    };
    let mut started = !matches!(cx.engine.ports.supervisor.look(&cx.run_dir("hook"))?, RunState::Absent);
    for dir in cx.earlier_run_dirs("hook") {
        started |= !matches!(cx.engine.ports.supervisor.look(&dir)?, RunState::Absent);
    }
    let what = RunOf::Deploy(environment);
    // The record of a hook belongs to the environment and the revision, whichever job ran it.
    let recorded = if started { None } else { shell::recorded(cx, &what, revision, since).await? };
    started |= recorded.is_some();
    // It was claimed before the hold, and put back before anything of it began.
    if !started && cx.is_on_hold().await? {
        return Ok(Outcome::Cancelled.into());
    }
    if environment == Environment::Production
        && !started
        && let Some(held) = held(cx, revision).await?
    {
        return Ok(held.into());
    }
    if environment == Environment::Production
        && !started
        && let Some(later) = later(cx, revision).await?
    {
        return covered(cx, revision, &later, stage).await;
    }
    if environment == Environment::Production && !started {
        match restored::doubt(cx, revision).await? {
            Doubt::None => {}
            Doubt::Live(running) => return covered(cx, revision, &running, stage).await,
            Doubt::Ask(outcome) => return Ok(outcome.into()),
        }
    }
    if again
        && !started
        && let Some(why) = gates::is_staged(cx, stage, revision).await?
    {
        return Ok(skipped(why));
    }
    // Before the merge the hook is the branch's: what it changes of it waits for a person.
    if environment == Environment::Staging
        && !started
        && let Some((subject, shown)) = gates::unapproved_hooks(cx, revision).await?
    {
        return Ok(Outcome::ApprovalNeeded { subject, shown }.into());
    }
    let previous = previous(cx, environment, revision).await?;
    let mut env = hook_env(environment, revision, previous.as_ref());
    if environment == Environment::Production {
        env.extend(image(cx, revision).await?);
    }
    let hooked = match recorded {
        Some(ran) => ran,
        None => match command(cx, "hook", what, hook, revision, env.clone()).await? {
            Ok(ran) => ran,
            Err(again) => return Ok(again),
        },
    };
    let checked = match deploy.check.as_deref() {
        Some(check) if hooked.exit.ok() => {
            match command(cx, "check", RunOf::Check(environment), check, revision, env).await? {
                Ok(ran) => Some(Checked { infra: infra(&ran.output), ran }),
                Err(again) => return Ok(again),
            }
        }
        _ => None,
    };
    // Exit 0 says that every real check is green. On staging what is named besides still counts, unless it may be waived.
    let waives = environment == Environment::Production || deploy.infra_tolerance;
    let healthy = |check: &Checked| check.ran.exit.ok() && (waives || check.infra.is_empty());
    let ok = hooked.exit.ok() && checked.as_ref().is_none_or(healthy);
    let ended = hooked.exit.strays + checked.as_ref().map_or(0, |c| c.ran.exit.strays);
    let log = log(cx, environment, revision, previous.as_ref(), ok, &hooked, checked.as_ref());
    let name = match environment {
        Environment::Staging => "15-staging-log.md",
        Environment::Production => "14-deploy-log.md",
    };
    let row = ArtefactRow {
        task: cx.task.id,
        stage: stage.clone(),
        run: cx.job.id.seq,
        name: name.into(),
        sha256: hex(&Sha256::digest(log.as_bytes())),
        bytes: log.into_bytes(),
        subject: revision.to_string(),
        at: cx.now(),
    };
    Cx::fenced(cx.store().put_artefacts(cx.job.fence(), vec![row]).await?)?;
    let deployment = Deployment {
        project: cx.project.key.clone(),
        environment,
        revision: revision.clone(),
        task: cx.task.id,
        ok,
        rollback: false,
        at: cx.now(),
    };
    Cx::fenced(cx.store().put_deployment(cx.job.fence(), deployment).await?)?;
    Ok(Outcome::Deployed { skipped: None, ended }.into())
}

fn skipped(why: String) -> Ended {
    Outcome::Deployed { skipped: Some(why), ended: 0 }.into()
}

/// What keeps a revision from production: it contains one of another task that failed there, and neither its repair nor
/// its revert.
async fn held(cx: &Cx, revision: &Sha) -> Result<Option<Outcome>, Fault> {
    let (git, project) = (&cx.engine.ports.git, &cx.project.key);
    let filter = TaskFilter { project: Some(project.clone()), ..TaskFilter::default() };
    let known = cx.store().deployments(project, Environment::Production, 50).await?;
    for task in cx.store().tasks(filter).await?.iter().filter(|t| t.id != cx.task.id) {
        // A hook that has just failed counts before its gate has spoken.
        let last = known.iter().find(|d| d.task == task.id && !d.rollback);
        let just = last.filter(|d| !d.ok && task.landing.merged.as_ref().is_some_and(|m| m.commit == d.revision));
        for (failed, repaired) in task.production_holds(just.map(|deployed| &deployed.revision)) {
            if git.resolve(project, failed.as_str()).await?.is_none()
                || git.resolve(project, revision.as_str()).await?.is_none()
            {
                cx.fetch().await?;
            }
            if !git.is_ancestor(project, &failed, revision).await? {
                continue;
            }
            if let Some(repaired) = &repaired
                && git.is_ancestor(project, repaired, revision).await?
            {
                continue;
            }
            return Ok(Some(Outcome::Held { revision: failed, by: task.work_item.clone() }));
        }
    }
    Ok(None)
}

/// The revision that was brought to production last, if that is a later one which contains this one. Tasks merge in one
/// order and are approved and deployed in another: going back to an earlier revision would take the later change away
/// from users.
pub(super) async fn later(cx: &Cx, revision: &Sha) -> Result<Option<Sha>, Fault> {
    let newest = cx.store().deployments(&cx.project.key, Environment::Production, 1).await?.pop();
    match newest.filter(|d| d.ok) {
        Some(live) if contains(cx, live.revision.as_str(), revision).await? => Ok(Some(live.revision)),
        _ => Ok(None),
    }
}

/// Is this another commit, which contains the revision?
pub(super) async fn contains(cx: &Cx, commit: &str, revision: &Sha) -> Result<bool, Fault> {
    if commit == revision.as_str() {
        return Ok(false);
    }
    let (git, project) = (&cx.engine.ports.git, &cx.project.key);
    let mut found = git.resolve(project, commit).await?;
    if found.is_none() {
        cx.fetch().await?;
        found = git.resolve(project, commit).await?;
    }
    match found {
        Some(found) if found.as_str() == commit => git.is_ancestor(project, revision, &found).await,
        _ => Ok(false),
    }
}

/// Nothing is deployed, because a later revision brought this one along; the artefact says so.
async fn covered(cx: &Cx, revision: &Sha, later: &Sha, stage: &StageId) -> Result<Ended, Fault> {
    let text = format!(
        "---\ndeploy_status: SUCCESS\nenvironment: production\nrevision: \"{revision}\"\n---\n\n# {} on production\n\n\
         - in production already: `{later}`, deployed before, contains `{revision}`\n- hook: not run\n",
        cx.task.work_item
    );
    let row = ArtefactRow {
        task: cx.task.id,
        stage: stage.clone(),
        run: cx.job.id.seq,
        name: "14-deploy-log.md".into(),
        sha256: hex(&Sha256::digest(text.as_bytes())),
        bytes: text.into_bytes(),
        subject: revision.to_string(),
        at: cx.now(),
    };
    Cx::fenced(cx.store().put_artefacts(cx.job.fence(), vec![row]).await?)?;
    let why = format!("in production already as a part of {}", later.short());
    Ok(skipped(why))
}

/// Runs a hook; a run that was lost is done again in a new directory.
pub(super) async fn command(
    cx: &Cx,
    name: &str,
    what: RunOf,
    line: &str,
    revision: &Sha,
    env: BTreeMap<String, String>,
) -> Result<Result<Ran, Ended>, Fault> {
    // What has its answer is not done again because something behind it has to be: a hook before a lost check.
    if let Some(ran) = shell::earlier(cx, name).await? {
        return Ok(Ok(ran));
    }
    if cx.engine.ports.git.resolve(&cx.project.key, revision.as_str()).await?.is_none() {
        cx.fetch().await?;
    }
    let timeout_ms = cx.project.deploy.timeout_ms;
    let command = Command {
        name,
        what,
        line,
        commit: revision,
        timeout_ms,
        env,
        runs: Runs::Command,
        layer: None,
        keep: false,
        detach: cx.project.deploy.detach,
    };
    match shell::run(cx, &command).await {
        Ok(ran) => Ok(Ok(ran)),
        Err(fault) if fault.is_transient() => Ok(Err(shell::again(cx, name, fault))),
        Err(fault) => Err(fault),
    }
}

/// What ran there before, and came up.
pub(super) async fn previous(cx: &Cx, environment: Environment, revision: &Sha) -> Result<Option<Sha>, Fault> {
    let known = cx.store().deployments(&cx.project.key, environment, 50).await?;
    Ok(known.into_iter().find(|d| d.ok && d.revision != *revision).map(|d| d.revision))
}

/// The image that ran on staging with the code of a revision, for the environment of a hook: what was tested there is what
/// ships. Told by the task that merged it; one that rolled production back to it knows another image.
pub(super) async fn image(cx: &Cx, revision: &Sha) -> Result<Option<(String, String)>, Fault> {
    if cx.project.deploy.image.is_none() {
        return Ok(None);
    }
    let (git, project) = (&cx.engine.ports.git, &cx.project.key);
    let known = cx.store().deployments(project, Environment::Production, 50).await?;
    let first = known.iter().find(|d| !d.rollback && d.revision == *revision);
    let judged = cx.store().judgements(first.map_or(cx.task.id, |d| d.task)).await?;
    for judged in judged.iter().rev().filter(|j| j.gate == GateId::StagingImageFresh && j.verdict == Verdict::Pass) {
        let digest = judged.evidence.pointer("/image/digest").and_then(serde_json::Value::as_str);
        if let Some(digest) = digest
            && git.tree(project, &judged.head).await? == git.tree(project, revision).await?
        {
            return Ok(Some(("ORCH_IMAGE_DIGEST".to_owned(), digest.to_owned())));
        }
    }
    Ok(None)
}

/// The pinned environment of a hook.
pub(super) fn hook_env(environment: Environment, revision: &Sha, previous: Option<&Sha>) -> BTreeMap<String, String> {
    BTreeMap::from([
        ("ORCH_ENVIRONMENT".to_owned(), environment.to_string()),
        (shell::REVISION.to_owned(), revision.to_string()),
        ("ORCH_PREVIOUS_REVISION".to_owned(), previous.map(ToString::to_string).unwrap_or_default()),
    ])
}

/// The project's check, and what it named as sandbox infrastructure.
struct Checked {
    ran: Ran,
    infra: Vec<String>,
}

fn log(
    cx: &Cx,
    environment: Environment,
    revision: &Sha,
    previous: Option<&Sha>,
    ok: bool,
    hooked: &Ran,
    checked: Option<&Checked>,
) -> String {
    let key = match environment {
        Environment::Staging => "staging_status",
        Environment::Production => "deploy_status",
    };
    let status = if ok { "SUCCESS" } else { "FAILED" };
    let mut text = format!("---\n{key}: {status}\nenvironment: {environment}\nrevision: \"{revision}\"\n");
    let infra = checked.map_or(&[][..], |c| &c.infra);
    let waived = ok && environment == Environment::Staging;
    if !infra.is_empty() {
        let key = if waived { "infra_waived" } else { "infra_failed" };
        let _ = writeln!(text, "{key}: {}", serde_json::json!(infra));
    }
    if waived && !infra.is_empty() {
        // People read these on the pull request, as whatever else is let through.
        let waivers = infra.iter().map(|name| {
            let said = format!("{name} failed on staging; waived as sandbox infrastructure, every real check is green");
            serde_json::json!({ "severity": "P3", "text": said })
        });
        let _ = writeln!(text, "findings: {}", waivers.collect::<serde_json::Value>());
    }
    let _ = writeln!(text, "---\n\n# {} on {environment}\n", cx.task.work_item);
    let _ = writeln!(text, "- revision `{revision}`, before it `{}`", previous.map_or("nothing", Sha::as_str));
    let _ = writeln!(text, "- {} to {}", shell::stamp(hooked.exit.started), shell::stamp(hooked.exit.ended));
    let _ = writeln!(text, "- hook: {}", hooked.exit.describe());
    if let n @ 1.. = hooked.exit.strays {
        let _ = writeln!(
            text,
            "- ended with the hook: {n} processes that it left running ([project.deploy] detach keeps what is in a session \
             of its own)"
        );
    }
    match checked {
        Some(check) => {
            let _ = writeln!(text, "- check: {}", check.ran.exit.describe());
        }
        None => text.push_str("- check: not run\n"),
    }
    for name in infra {
        let what = if waived { "waived: every real check is green" } else { "not waived" };
        let _ = writeln!(text, "- failed, and only sandbox infrastructure: {name} ({what})");
    }
    for (name, ran) in [("hook", Some(hooked)), ("check", checked.map(|c| &c.ran))] {
        let Some(ran) = ran else { continue };
        let silent = ran.tail.trim().is_empty();
        if silent && ran.exit.ok() {
            continue;
        }
        let _ = writeln!(text, "\n{LAST_LINES}{name}\n");
        for line in ran.tail.lines().filter(|_| !silent) {
            let _ = writeln!(text, "    {line}");
        }
        // Where nothing, or not all, is said by what it printed: how it ended.
        if silent {
            let _ = writeln!(text, "    {} and printed nothing", in_words(name, &ran.exit));
        } else if ran.exit.reason != EndReason::Exited || ran.exit.signal.is_some() {
            let _ = writeln!(text, "    {}", in_words(name, &ran.exit));
        }
    }
    text
}

/// How a hook or a check ended, as a sentence.
fn in_words(name: &str, exit: &ExitRecord) -> String {
    match (exit.reason, exit.code, exit.signal) {
        (EndReason::Exited, Some(_), _) => format!("the {name} ended with {}", exit.describe()),
        (EndReason::Exited, None, None) | (EndReason::SpawnFailed, ..) => format!("the {name} {}", exit.describe()),
        _ => format!("the {name} was {}", exit.describe()),
    }
}

/// Names after `INFRA:` in a check's output; only the first few of very many, each cut short.
fn infra(output: &str) -> Vec<String> {
    let names = output.lines().filter_map(|l| l.trim().strip_prefix("INFRA:")).map(str::trim).filter(|n| !n.is_empty());
    names.take(MAX_INFRA).map(|n| n.chars().take(MAX_INFRA_NAME).collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn infrastructure_is_named_line_by_line() {
        assert_eq!(infra("ok\nINFRA: dns\n  INFRA:  smtp \nINFRA:\nINFRASTRUCTURE: no"), ["dns", "smtp"]);
    }
}
