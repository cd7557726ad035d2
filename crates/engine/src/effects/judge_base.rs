//! Judges the default branch as it is before a task's first agent: the project's tests and CI, with their setup, on its tip.
//! Once per tree and command: what landed was tested as the tree it is now, and is not tested again.

use super::{Cx, Ended, hex};
use crate::effects::ensure_ci;
use crate::gates::{TaskBench, tests_of};
use crate::shell;
use crate::trial::{Trial, Tried};
use orch_core::blame::Blame;
use orch_core::effect::Outcome;
use orch_core::ids::Sha;
use orch_core::verdict::FaultKind;
use orch_ports::Fault;
use orch_store::Fact;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;

pub(super) async fn ensure(cx: &Cx) -> Result<Ended, Fault> {
    let fetched = cx.fetch().await?;
    let tip = &fetched.tip;
    let bench = TaskBench::new(cx, None, None);
    let mut green = Vec::new();
    for (name, line) in commands(cx, tip) {
        if let Some(commit) = known(cx, tip, &line).await? {
            green.push(format!("`{line}` was green on this code at {commit}"));
            continue;
        }
        let trial = Trial {
            name,
            line: &line,
            env: BTreeMap::from([("CI".to_owned(), "true".to_owned())]),
            project: &cx.project.key,
            git: &*cx.engine.ports.git,
            bench: &bench,
            head: tip,
            base: tip,
            tip: None,
            artefact_dir: &cx.task.artefact_dir(),
            repairs_base: false,
        };
        let tried = match trial.run().await {
            Ok(tried) => tried,
            Err(_) if cx.stop.is_cancelled() => return Ok(Outcome::Cancelled.into()),
            Err(fault) if fault.kind == FaultKind::Transient => return Ok(shell::again(cx, &bench.under_way(), fault)),
            Err(fault) => return Err(fault),
        };
        match &tried.blame {
            Blame::Green => green.push(format!("`{line}` is green on {}", tip.short())),
            Blame::Chance { .. } => {
                let how = tried.degraded().unwrap_or_default();
                green.push(format!("`{line}` is green on {}, and {how}", tip.short()));
            }
            _ => return Ok(red(&line, tip, &tried).into()),
        }
        was_green(cx, tip, &line).await?;
    }
    let text = if green.is_empty() { String::new() } else { format!("the base: {}", green.join("; ")) };
    Ok(Outcome::BaseGreen { text }.into())
}

/// The commands that judge a commit, by the names of their runs.
fn commands(cx: &Cx, tip: &Sha) -> Vec<(&'static str, String)> {
    let test = tests_of(&cx.project, tip).map(|command| ("tests", command.line.to_owned()));
    let ci = cx.project.ci.clone().filter(|_| cx.project.policy.own_ci).map(|line| (ensure_ci::CONTEXT, line));
    let mut all: Vec<_> = test.into_iter().chain(ci).collect();
    // One command for both is run once.
    all.dedup_by(|a, b| a.1 == b.1);
    all
}

fn red(line: &str, tip: &Sha, tried: &Tried) -> Outcome {
    let failed = tried.runs.iter().flat_map(|run| run.failed.clone()).collect::<std::collections::BTreeSet<_>>();
    let mut sum = Sha256::new();
    sum.update(line);
    failed.iter().for_each(|test| sum.update(format!("\n{test}")));
    let what = match &tried.run.failed_setup {
        Some(setup) => format!("the setup `{setup}` on {}: {}", tip.short(), tried.run.end),
        None => format!("`{line}` on {}: {}", tip.short(), tried.run.end),
    };
    let lacked = tried.run.lacked.iter().map(|lacked| format!("this machine: {lacked}"));
    let last = tried.run.tail.lines().rev().filter(|line| !line.trim().is_empty()).take(LAST).collect::<Vec<_>>();
    let log = Some(format!("log: {}", tried.run.log)).filter(|_| !tried.run.log.is_empty());
    let shown = std::iter::once(what).chain(lacked);
    let shown = match failed.is_empty() {
        true => shown.chain(last.into_iter().rev().map(str::to_owned)).chain(log).collect(),
        false => shown.chain(failed.iter().map(|test| format!("fails: {test}"))).chain(log).collect(),
    };
    Outcome::BaseRed { subject: hex(&sum.finalize())[..16].to_owned(), shown }
}

/// So many last lines are shown where no test is named.
const LAST: usize = 5;

async fn fact(cx: &Cx, commit: &Sha, line: &str) -> Result<Fact, Fault> {
    let project = cx.project.key.clone();
    let tree = cx.engine.ports.git.tree(&project, commit).await?.to_string();
    let identity = format!("{}\n{}", cx.project.preparation.identity(line), cx.engine.options.path);
    let command = hex(&Sha256::digest(identity.as_bytes())[..8]);
    Ok(Fact::GreenBase { project, tree, command })
}

async fn known(cx: &Cx, commit: &Sha, line: &str) -> Result<Option<String>, Fault> {
    Ok(cx.store().recall(&fact(cx, commit, line).await?).await?)
}

/// Whatever has this tree is green with this command, the default branch too once it has landed.
pub(crate) async fn was_green(cx: &Cx, commit: &Sha, line: &str) -> Result<(), Fault> {
    let fact = fact(cx, commit, line).await?;
    Ok(cx.store().remember(&fact, commit.short(), cx.now()).await?)
}
