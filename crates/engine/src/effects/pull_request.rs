//! Sees to it that the task's branch has an open pull request.

use super::landing;
use crate::cx::{Cx, Ended};
use crate::main_moved;
use orch_artefacts::markdown;
use orch_core::effect::Outcome;
use orch_core::landing::Documents;
use orch_ports::Fault;
use orch_ports::forge::PullState;

pub(super) async fn ensure(cx: &Cx) -> Result<Ended, Fault> {
    let (forge, project) = (&cx.project.forge, &cx.project.key);
    if let Some(number) = cx.task.branch.pull_request {
        let known = forge.pull_request(project, number).await?;
        if known.state == PullState::Open {
            return Ok(Outcome::PullRequestOpen { number }.into());
        }
        // Another one would make two merges of one task, and the first would be forgotten.
        if known.state == PullState::Merged {
            cx.fetch().await?;
            if main_moved::own_landed(&cx.engine, &cx.project, &cx.task, &format!("-{}", cx.job.id)).await? {
                return Ok(Outcome::Cancelled.into());
            }
        }
    }
    let base = forge.default_branch(project).await?;
    let title = match cx.task.landing.plan {
        None => format!("{}: {}", cx.task.work_item, cx.task.ticket_text().0),
        Some(_) => landing::subject(cx),
    };
    let on_branch = cx.task.landing.plan.is_none_or(|l| l.documents == Documents::Repository);
    let papers = if on_branch { format!(" Its papers are in `{}`.", cx.task.artefact_dir()) } else { String::new() };
    let papers = match &cx.task.branch.source {
        Some(source) => format!(" It is the branch {} of a person.", markdown::code(&source.name)),
        None => papers,
    };
    let body = format!(
        "{}\n\n---\nOpened by orch for {}.{papers} orch merges it when every gate has passed; please do not merge it by hand.",
        cx.task.body.trim(),
        cx.task.work_item,
    );
    cx.still_ours().await?;
    let opened = forge.ensure_pull_request(project, &cx.task.branch.name, &base, &title, &body).await?;
    Ok(Outcome::PullRequestOpen { number: opened.number }.into())
}
