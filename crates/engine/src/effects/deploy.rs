//! Brings a revision to an environment by the project's hook, looks whether it is healthy, and writes down what
//! happened as the artefact that the gate reads. Whether that is good is the gate's business.

use super::{Cx, Ended};
use crate::gates;
use crate::restored::{self, Doubt};
use crate::shell::{self, Command, Ran};
use orch_core::effect::Outcome;
use orch_core::ids::{Environment, GateId, Sha, StageId};
use orch_core::verdict::Verdict;
use orch_ports::Fault;
use orch_ports::supervisor::RunState;
use orch_store::{ArtefactRow, Deployment};
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
) -> Result<Ended, Fault> {
    let deploy = &cx.project.deploy;
    let hook = match environment {
        Environment::Staging => deploy.staging.as_deref(),
        Environment::Production => deploy.production.as_deref(),
    };
    let Some(hook) = hook else {
        return Ok(Outcome::Deployed { skipped: Some("nothing to deploy: no hook is configured".into()) }.into());
    };
    let mut started = !matches!(cx.engine.ports.supervisor.look(&cx.run_dir("hook"))?, RunState::Absent);
    for dir in cx.earlier_run_dirs("hook") {
        started |= !matches!(cx.engine.ports.supervisor.look(&dir)?, RunState::Absent);
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
        return Ok(Outcome::Deployed { skipped: Some(why) }.into());
    }
    let previous = previous(cx, environment, revision).await?;
    let mut env = hook_env(environment, revision, previous.as_ref());
    if environment == Environment::Production {
        env.extend(image(cx, revision).await?);
    }
    let hooked = match command(cx, "hook", &format!("deploy to {environment}"), hook, revision, env.clone()).await? {
        Ok(ran) => ran,
        Err(again) => return Ok(again),
    };
    let checked = match deploy.check.as_deref() {
        Some(check) if hooked.exit.ok() => {
            match command(cx, "check", &format!("check {environment}"), check, revision, env).await? {
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
    Ok(Outcome::Deployed { skipped: None }.into())
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
    Ok(Outcome::Deployed { skipped: Some(why) }.into())
}

/// Runs a hook; a run that was lost is done again in a new directory.
pub(super) async fn command(
    cx: &Cx,
    name: &str,
    what: &str,
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
    let command = Command { name, what: what.to_owned(), line, commit: revision, timeout_ms, env };
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
        ("ORCH_REVISION".to_owned(), revision.to_string()),
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
        if let Some(ran) = ran.filter(|r| !r.tail.is_empty()) {
            let _ = writeln!(text, "\n## Last lines of the {name}\n");
            for line in ran.tail.lines() {
                let _ = writeln!(text, "    {line}");
            }
        }
    }
    text
}

/// Names after `INFRA:` in a check's output; only the first few of very many, each cut short.
fn infra(output: &str) -> Vec<String> {
    let names = output.lines().filter_map(|l| l.trim().strip_prefix("INFRA:")).map(str::trim).filter(|n| !n.is_empty());
    names.take(MAX_INFRA).map(|n| n.chars().take(MAX_INFRA_NAME).collect()).collect()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn infrastructure_is_named_line_by_line() {
        assert_eq!(infra("ok\nINFRA: dns\n  INFRA:  smtp \nINFRA:\nINFRASTRUCTURE: no"), ["dns", "smtp"]);
    }
}
