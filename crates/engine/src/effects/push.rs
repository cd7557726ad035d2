//! Pushing a task's branch, so that our own earlier push is recognised after a crash and nobody else's is ever
//! overwritten. What is about to be pushed is written down first.

use crate::cx::Cx;
use crate::freshness::Fetched;
use orch_core::ids::Sha;
use orch_core::task::Task;
use orch_ports::Fault;
use orch_ports::git::PushAnswer;
use orch_store::Fact;

/// How many of our own pushes are remembered: as many as can be in doubt at once, and some.
const REMEMBERED: usize = 4;

/// What was pushed to a branch of a task.
fn fact(task: &Task, branch: &str) -> Fact {
    Fact::Pushed(task.id, branch.to_owned())
}

/// What this task pushed to its branch, the newest last.
pub(crate) async fn pushed(cx: &Cx) -> Result<Vec<Sha>, Fault> {
    pushed_to(cx, &cx.task.branch.name).await
}

/// What this task pushed to one of its branches, the newest last.
pub(super) async fn pushed_to(cx: &Cx, branch: &str) -> Result<Vec<Sha>, Fault> {
    let kept = cx.store().recall(&fact(&cx.task, branch)).await?.unwrap_or_default();
    Ok(kept.split_whitespace().map(Sha::new).collect())
}

/// Pushes `commit` to the task's branch, which is at the task's head or at something this task tried to push before.
pub(super) async fn push(cx: &Cx, fetched: &Fetched, commit: &Sha) -> Result<PushAnswer, Fault> {
    let (git, project, branch) = (&cx.engine.ports.git, &cx.project.key, &cx.task.branch.name);
    let (remote, protected) = (&fetched.remote, &fetched.default_branch);
    match push_to(cx, fetched, branch, commit, cx.task.branch.head.as_ref()).await? {
        // A commit nobody can read is none: a task that went on from there could do nothing any more.
        PushAnswer::Rejected { now: Some(now) } if git.resolve(project, now.as_str()).await?.is_none() => {
            git.fetch(project, remote).await?;
            let now = git.resolve(project, now.as_str()).await?;
            Ok(PushAnswer::Rejected { now })
        }
        PushAnswer::Rejected { now: None } if cx.task.branch.again => {
            git.push(project, remote, branch, protected, commit, None).await
        }
        answer => Ok(answer),
    }
}

/// Pushes `commit` to a branch of the task, which is at `expect` or at something this task tried to push there before.
pub(super) async fn push_to(
    cx: &Cx,
    fetched: &Fetched,
    branch: &str,
    commit: &Sha,
    expect: Option<&Sha>,
) -> Result<PushAnswer, Fault> {
    let fact = fact(&cx.task, branch);
    let before = cx.store().recall(&fact).await?.unwrap_or_default();
    let ours: Vec<&str> = before.split_whitespace().collect();
    // After reading what is ours, not before: a worker that was paused here and lost its claim would otherwise take its
    // successor's push for its own and overwrite it.
    cx.still_ours().await?;
    if ours.last() != Some(&commit.as_str()) {
        let from = ours.len().saturating_sub(REMEMBERED - 1);
        let mut next: Vec<&str> = ours[from..].to_vec();
        next.push(commit.as_str());
        cx.store().remember(&fact, &next.join(" "), cx.now()).await?;
    }
    let (git, project) = (&cx.engine.ports.git, &cx.project.key);
    let (remote, protected) = (&fetched.remote, &fetched.default_branch);
    match git.push(project, remote, branch, protected, commit, expect).await? {
        PushAnswer::Rejected { now: Some(now) } if ours.contains(&now.as_str()) => {
            git.push(project, remote, branch, protected, commit, Some(&now)).await
        }
        answer => Ok(answer),
    }
}
