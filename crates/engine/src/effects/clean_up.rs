//! Removes what a closed task no longer needs: its working directory, and its branch on the forge where nobody else has
//! pushed to it. Late documents are brought to the default branch before, where that is asked for. Its pull request's history and its runs' logs stay; its commits stay in the private repository for a while.

use super::documents::{self, Documents};
use super::landing;
use crate::cx::{Cx, Ended};
use crate::shell;
use orch_core::effect::Outcome;
use orch_core::task::Phase;
use orch_ports::Fault;
use orch_ports::forge::PullState;
use orch_ports::supervisor::RunState;
use orch_store::Charge;
use std::path::Path;

pub(super) async fn ensure(cx: &Cx) -> Result<Ended, Fault> {
    // Begun again before this was done, it still has to lose what that life left: the next branch is not opened before.
    let Some(task) = cx.task.as_of(cx.job.id.seq).filter(|task| task.is_closed()) else {
        return Ok(Outcome::Sent.into());
    };
    let cx = &cx.with(task.clone());
    if let (Phase::Cancelled { .. }, Some(number), None) =
        (&cx.task.phase, cx.task.branch.pull_request, &cx.task.landing.merged)
    {
        cx.project.forge.close_pull_request(&cx.project.key, number).await?;
    }
    // What it was for is on main another way: a repair was given up, or it was opened before orch knew that a person had
    // merged the one before.
    if let (Phase::Done { .. }, Some(number)) = (&cx.task.phase, cx.task.branch.pull_request)
        && cx.project.forge.pull_request(&cx.project.key, number).await?.state == PullState::Open
    {
        cx.project.forge.close_pull_request(&cx.project.key, number).await?;
    }
    close_the_persons(cx).await?;
    // A cancelled job may have left a run behind that nobody waits for any more.
    for run in cx.store().runs(cx.task.id).await?.into_iter().filter(|r| r.ended.is_none() && r.job < cx.job.id.seq) {
        let dir = Path::new(&run.dir);
        match cx.engine.ports.supervisor.look(dir)? {
            RunState::Live => {
                cx.engine.ports.supervisor.cancel(dir)?;
                let fault = Fault::transient(format!("the run in {} is being ended", run.dir));
                return Ok(Ended::Again { charge: Charge::Transient, new_run: false, not_before: None, fault });
            }
            RunState::Ended(exit) => {
                // An agent's has cost something, whoever waited for it.
                let role = run.what.role().filter(|_| !run.is_command());
                let program = role.map(|role| cx.project.program(role));
                let report = program.map(|program| program.read(dir, &exit));
                shell::finish(cx, dir, &exit, report.as_ref()).await?;
            }
            RunState::Absent | RunState::Lost => {}
        }
    }
    cx.still_ours().await?;
    cx.engine.ports.git.remove_worktree(&cx.task.project, &cx.task.work_item).await?;
    forget_sessions(cx);
    landing::publish_history(cx).await?;
    let late = documents::ensure(cx).await?;
    if let Documents::Later { not_before, why: fault } = late {
        return Ok(Ended::Again { charge: Charge::Nothing, new_run: false, not_before: Some(not_before), fault });
    }
    landing::delete_branches(cx, matches!(late, Documents::Left)).await?;
    Ok(Outcome::Sent.into())
}

/// What agents' programs kept to go on with: no run of this task follows.
fn forget_sessions(cx: &Cx) {
    let (dir, mine) = (&cx.engine.options.sessions_dir, format!("{}-", cx.task.id.0));
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(&mine)
            && let Err(error) = crate::prepare::remove(&entry.path())
        {
            tracing::debug!(dir = %entry.path().display(), %error, "sessions of a closed task stay");
        }
    }
}

/// A pull request that a person opened for the branch that has landed is closed, and says how it landed: it is not merged, for
/// what landed is orch's copy. One whose branch has moved on since stays.
async fn close_the_persons(cx: &Cx) -> Result<(), Fault> {
    let (Some(source), Some(merged), Phase::Done { .. }) =
        (&cx.task.branch.source, &cx.task.landing.merged, &cx.task.phase)
    else {
        return Ok(());
    };
    // What landed last took the person's change back: their pull request is about bringing it in again.
    if cx.task.production.reverting.as_ref().is_some_and(|r| !r.by_hand) {
        return Ok(());
    }
    let (forge, project, item) = (&cx.project.forge, &cx.project.key, &cx.task.work_item);
    let open = forge.pull_requests(project).await?;
    for pull in open.iter().filter(|p| p.head_branch == source.name && p.head == source.head) {
        let text = format!("Landed as {} by {item}.", merged.commit);
        forge.put_comment(project, pull.number, "orch-landed", &text).await?;
        forge.close_pull_request(project, pull.number).await?;
    }
    Ok(())
}
