//! Opens a task's branch: `00-business-request.md` on top of the default branch.

use super::{Cx, Ended, Fetched, push};
use orch_core::effect::Outcome;
use orch_core::ids::Sha;
use orch_ports::Fault;
use orch_ports::git::{FileWrite, PushAnswer};

pub(super) async fn ensure(cx: &Cx) -> Result<Ended, Fault> {
    let fetched = cx.fetch().await?;
    let git = &cx.engine.ports.git;
    let project = &cx.project.key;
    let path = format!("{}/00-business-request.md", cx.task.artefact_dir());
    if let Some(head) = git.forge_branch(project, &cx.task.branch).await? {
        // The branch is there: from an earlier attempt of this very job, or from somebody else.
        let written = git.read_file(project, &head, &path).await?;
        let outcome = match written {
            Some(bytes) if bytes == request(cx).into_bytes() => {
                let base = merge_base(cx, &head, &fetched.tip).await?;
                Outcome::Opened { head, base }
            }
            // A person has looked at what somebody else put there and lets the task go on from it.
            _ if cx.task.head.as_ref() == Some(&head) => write(cx, &fetched, &head, path).await?,
            _ => Outcome::BranchMoved { now: Some(head) },
        };
        return Ok(outcome.into());
    }
    Ok(write(cx, &fetched, &fetched.tip, path).await?.into())
}

/// The request on top of a commit, pushed.
async fn write(cx: &Cx, fetched: &Fetched, onto: &Sha, path: String) -> Result<Outcome, Fault> {
    let file = FileWrite { path, bytes: request(cx).into_bytes() };
    let message = format!("{}: open\n\n{}", cx.task.work_item, cx.task.title);
    let (git, project) = (&cx.engine.ports.git, &cx.project.key);
    let head = git.commit_files(project, onto, &[file], &message, cx.job.created_at).await?;
    Ok(match push::push(cx, fetched, &head).await? {
        PushAnswer::Done => Outcome::Opened { head, base: fetched.tip.clone() },
        PushAnswer::Rejected { now } => Outcome::BranchMoved { now },
    })
}

/// The commit of the default branch the branch was opened on: its head's first parent, if that is still on main.
async fn merge_base(cx: &Cx, head: &Sha, tip: &Sha) -> Result<Sha, Fault> {
    let git = &cx.engine.ports.git;
    // In a second generation the request is on main already, and the branch begins as main itself.
    if git.is_ancestor(&cx.project.key, head, tip).await? {
        return Ok(head.clone());
    }
    let parent = git.resolve(&cx.project.key, &format!("{head}^")).await?;
    match parent {
        Some(parent) if git.is_ancestor(&cx.project.key, &parent, tip).await? => Ok(parent),
        _ => Ok(tip.clone()),
    }
}

fn request(cx: &Cx) -> String {
    format!("# {}: {}\n\n{}\n", cx.task.work_item, cx.task.title, cx.task.body.trim_end())
}
