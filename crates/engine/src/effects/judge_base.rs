//! Judges the default branch as it is before a task's first agent. What was found is remembered by tree, command and
//! tools, for every task of the project: what landed was tested as the tree it is now and is not tested again, and what is
//! red is run again ever later.

use crate::base::{self, Asked, Found, Verdict};
use crate::base_known::{fact, recall, remember};
use crate::cx::{Cx, Ended};
use crate::gates::bench::Bench as _;
use crate::gates::task_bench::TaskBench;
use crate::quarantine;
use crate::shell;
use orch_core::effect::Outcome;
use orch_core::ids::Sha;
use orch_core::verdict::FaultKind;
use orch_ports::Fault;
use orch_store::Fact;

pub(super) async fn ensure(cx: &Cx) -> Result<Ended, Fault> {
    // Everything else that fails here is no fault of the forge.
    let again = cx.task.wait.hold.is_some();
    let fetched = if again { cx.fetch_waiting().await } else { cx.fetch().await };
    let fetched = fetched.map_err(|fault| fault.context("the forge cannot be asked"))?;
    let tip = &fetched.tip;
    let mut green = Vec::new();
    for asked in base::commands(&cx.project) {
        let bench = TaskBench::new(cx, None, None);
        let fact = fact(cx, tip, &asked.run.line, &quarantine::identity(&bench.quarantine().await?)).await?;
        let verdict = match known(cx, &fact, &asked).await? {
            Some(verdict) => verdict,
            None => match judge(cx, &bench, (tip, &fact), &asked).await {
                Ok(verdict) => verdict,
                Err(_) if cx.stop.is_cancelled() => return Ok(Outcome::Cancelled.into()),
                Err(fault) if fault.kind == FaultKind::Transient => {
                    return Ok(shell::again(cx, &bench.under_way(), fault));
                }
                Err(fault) => return Err(fault),
            },
        };
        show(cx, &verdict).await?;
        // Whatever has this tree has its verdict; the branch is opened on the commit that is asked about.
        let commit = Some(tip.clone());
        match verdict.found {
            Found::Green { text } => green.push(text),
            Found::Red { subject, shown } => return Ok(Outcome::BaseRed { subject, shown, commit }.into()),
            Found::Unclear { why } => return Ok(Outcome::BaseUnclear { fault: Found::unclear(&why) }.into()),
        }
    }
    let text = if green.is_empty() { String::new() } else { format!("the base: {}", green.join("; ")) };
    Ok(Outcome::BaseGreen { text, commit: Some(tip.clone()) }.into())
}

/// What is known of it and need not be run again now.
async fn known(cx: &Cx, fact: &Fact, asked: &Asked) -> Result<Option<Verdict>, Fault> {
    let Some(mut verdict) = recall(cx, fact).await? else { return Ok(None) };
    match &mut verdict.found {
        Found::Green { text } => {
            *text = format!("`{}` was green on this code at {}", asked.run.shown, verdict.commit.short());
        }
        Found::Red { .. } => {
            let next = verdict.at.plus_ms(cx.project.policy.later_ms(verdict.at.since_ms(verdict.since)));
            if next <= cx.now() {
                return Ok(None);
            }
        }
        // The task that met it waits as long as it must.
        Found::Unclear { .. } => return Ok(None),
    }
    Ok(Some(verdict))
}

async fn judge(cx: &Cx, bench: &TaskBench<'_>, (tip, fact): (&Sha, &Fact), asked: &Asked) -> Result<Verdict, Fault> {
    let git = &*cx.engine.ports.git;
    let found = base::judge(&cx.project, git, bench, tip, asked).await?;
    let (at, before) = (cx.now(), recall(cx, fact).await?);
    let since = before.filter(|before| before.is_as(&found)).map_or(at, |before| before.since);
    let verdict = Verdict { commit: tip.clone(), since, at, found };
    cx.still_ours().await?;
    remember(cx, fact, &verdict).await?;
    Ok(verdict)
}

/// Keeps the newest of the project for people who ask.
async fn show(cx: &Cx, verdict: &Verdict) -> Result<(), Fault> {
    let fact = Fact::BaseShown(cx.project.key.clone());
    Ok(cx.store().remember(&fact, &verdict.write()?, cx.now()).await?)
}
