//! Lets the forge merge exactly the head that every gate judged. The intent is durable before this runs; whatever the
//! forge answers, and after a crash, the truth is read again. The outcome is reported only when it is known.

use super::landing;
use crate::cx::{Cx, EMPTIED, Ended};
use crate::main_moved;
use orch_core::effect::{NotMerged, Outcome};
use orch_core::ids::{Actor, Sha};
use orch_core::task::{MergeIntent, Phase};
use orch_ports::Fault;
use orch_ports::forge::{MergeAnswer, MergeMethod, PullRequest, PullState, Right};

pub(super) async fn ensure(cx: &Cx, number: u64, intent: &MergeIntent) -> Result<Ended, Fault> {
    let (forge, project) = (&cx.project.forge, &cx.project.key);
    if matches!(cx.task.phase, Phase::Stopping { .. }) {
        return withdraw(cx, number, intent).await;
    }
    if let Some(outcome) = landed(cx, number, intent).await? {
        return Ok(outcome.into());
    }
    let before = forge.pull_request(project, number).await?;
    if before.state == PullState::Closed {
        let text = format!("pull request {number} was closed by somebody");
        return Ok(Outcome::NotMerged { why: NotMerged::Refused { text } }.into());
    }
    if before.head != intent.head {
        return Ok(Outcome::NotMerged { why: NotMerged::HeadMoved }.into());
    }
    if cx.is_on_hold().await? {
        return Ok(Outcome::NotMerged { why: NotMerged::OnHold }.into());
    }
    // Whatever the gates were told to look at.
    let dir = cx.task.artefact_dir();
    if cx.engine.ports.git.is_emptied(project, &intent.base, &intent.head, &dir).await? {
        return Ok(Outcome::NotMerged { why: NotMerged::Refused { text: EMPTIED.into() } }.into());
    }
    // Last look before the act: a lease that was lost while we were away must not merge.
    let Some(held) = cx.store().holds_lease(cx.task.id, intent.lease_epoch).await? else {
        return Ok(Outcome::LeaseLost.into());
    };
    cx.still_ours().await?;
    let message = match (cx.project.merge_method, cx.task.landing.plan) {
        (MergeMethod::Squash, Some(_)) => landing::message(cx).await?,
        (_, Some(_)) if cx.task.production.reverting.is_some() => {
            format!("{}: {}", cx.task.work_item, landing::subject(cx))
        }
        _ => format!("{}: {}", cx.task.work_item, cx.task.ticket_text().0),
    };
    let method = cx.project.merge_method;
    let right = Right::Lease { held: &held, base: &intent.base };
    let answer = forge.merge(project, number, &intent.head, right, method, &message).await;
    // An error may hide a merge that happened: only what is read back counts.
    if let Some(outcome) = landed(cx, number, intent).await? {
        return Ok(outcome.into());
    }
    match answer? {
        MergeAnswer::Merged { commit } => {
            Err(Fault::transient(format!("the forge says it merged as {}, but does not show it yet", commit.short())))
        }
        MergeAnswer::HeadMoved => Ok(Outcome::NotMerged { why: NotMerged::HeadMoved }.into()),
        MergeAnswer::BaseMoved => Ok(Outcome::NotMerged { why: NotMerged::BaseMoved }.into()),
        MergeAnswer::Refused { why } => Ok(Outcome::NotMerged { why: NotMerged::Refused { text: why } }.into()),
    }
}

/// The task is being cancelled: nothing asks for this merge any more. A request of a worker that was taken for dead may
/// still be on its way, and a closed pull request refuses it; what is read behind that is final.
async fn withdraw(cx: &Cx, number: u64, intent: &MergeIntent) -> Result<Ended, Fault> {
    cx.still_ours().await?;
    cx.project.forge.close_pull_request(&cx.project.key, number).await?;
    Ok(landed(cx, number, intent).await?.unwrap_or(Outcome::Cancelled).into())
}

/// Has it landed? By the pull request's state, or because the default branch contains the very head (forges are known to
/// lose track of their own merge).
async fn landed(cx: &Cx, number: u64, intent: &MergeIntent) -> Result<Option<Outcome>, Fault> {
    let pull: PullRequest = cx.project.forge.pull_request(&cx.project.key, number).await?;
    let fetched = cx.fetch().await?;
    let git = &cx.engine.ports.git;
    let commit: Sha = match (pull.state, pull.merge_commit) {
        (PullState::Merged, Some(commit)) => commit,
        (PullState::Merged, None) => {
            return Err(Fault::transient(format!("pull request {number} is merged, but its commit is not known yet")));
        }
        (PullState::Open | PullState::Closed, _) => {
            if git.is_ancestor(&cx.project.key, &intent.head, &fetched.tip).await? {
                intent.head.clone()
            } else {
                return Ok(None);
            }
        }
    };
    if !git.is_ancestor(&cx.project.key, &commit, &fetched.tip).await? {
        return Err(Fault::transient(format!("merge commit {} is not on the default branch yet", commit.short())));
    }
    main_moved::merged(&cx.engine, &cx.project, intent, &commit).await?;
    let tree = git.tree(&cx.project.key, &commit).await?;
    // orch asks for no other head than the one it names.
    let known = pull.merged_by.as_ref().is_some_and(|by| *by != Actor::orch());
    let stranger = known || pull.state == PullState::Merged && pull.head != intent.head;
    Ok(Some(if stranger && tree != intent.tree {
        Outcome::LandedOtherwise { commit, tree, by: pull.merged_by }
    } else {
        Outcome::Merged { commit, tree }
    }))
}
