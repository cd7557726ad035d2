//! Removes what a closed task no longer needs: its working directory, and its branch on the forge where nobody else has
//! pushed to it. Late documents are brought to the default branch before, where that is asked for. Its pull request's history and its runs' logs stay; its commits stay in the private repository for a while.

use super::documents::{self, Documents};
use super::{Cx, Ended, landing};
use orch_core::effect::Outcome;
use orch_core::task::Phase;
use orch_ports::Fault;
use orch_ports::forge::PullState;
use orch_ports::supervisor::RunState;
use orch_store::Charge;
use std::path::Path;

pub(super) async fn ensure(cx: &Cx) -> Result<Ended, Fault> {
    // Begun again before this was done, it still has to lose what the life before left: its next branch is not opened before.
    let begun_again = cx.task.branch.generation > 1 && cx.task.branch.head.is_none();
    if !cx.task.is_closed() && !begun_again {
        return Ok(Outcome::Sent.into());
    }
    if let Some(life) = cx.task.lives.past.last().filter(|_| begun_again)
        && let Some(number) = life.pull_request
        && cx.project.forge.pull_request(&cx.project.key, number).await?.state == PullState::Open
    {
        cx.project.forge.close_pull_request(&cx.project.key, number).await?;
    }
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
    // A cancelled job may have left a run behind that nobody waits for any more.
    for run in cx.store().runs(cx.task.id).await?.into_iter().filter(|r| r.ended.is_none() && r.job < cx.job.id.seq) {
        let dir = Path::new(&run.dir);
        match cx.engine.ports.supervisor.look(dir)? {
            RunState::Live => {
                cx.engine.ports.supervisor.cancel(dir)?;
                let fault = Fault::transient(format!("the run in {} is being ended", run.dir));
                return Ok(Ended::Again { charge: Charge::Transient, new_run: false, not_before: None, fault });
            }
            RunState::Ended(exit) => crate::shell::finish(cx, dir, &exit, None).await?,
            RunState::Absent | RunState::Lost => {}
        }
    }
    cx.still_ours().await?;
    cx.engine.ports.git.remove_worktree(&cx.task.project, &cx.task.work_item).await?;
    landing::publish_history(cx).await?;
    let late = documents::ensure(cx).await?;
    if let Documents::Later { not_before, why: fault } = late {
        return Ok(Ended::Again { charge: Charge::Nothing, new_run: false, not_before: Some(not_before), fault });
    }
    landing::delete_branches(cx, matches!(late, Documents::Left)).await?;
    Ok(Outcome::Sent.into())
}
