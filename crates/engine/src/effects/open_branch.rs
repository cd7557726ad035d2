//! Opens a task's branch: `00-business-request.md` on top of the default branch.

use super::{Cx, Ended, push};
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
        return Ok(match written {
            Some(bytes) if bytes == request(cx).into_bytes() => {
                let base = merge_base(cx, &head, &fetched.tip).await?;
                Outcome::Opened { head, base }.into()
            }
            _ => Outcome::BranchMoved { now: Some(head) }.into(),
        });
    }
    let file = FileWrite { path, bytes: request(cx).into_bytes() };
    let message = format!("{}: open\n\n{}", cx.task.work_item, cx.task.title);
    let head = git.commit_files(project, &fetched.tip, &[file], &message, cx.job.created_at).await?;
    match push::push(cx, &fetched, &head).await? {
        PushAnswer::Done => Ok(Outcome::Opened { head, base: fetched.tip }.into()),
        PushAnswer::Rejected { now } => Ok(Outcome::BranchMoved { now }.into()),
    }
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
