//! Removes what a closed task no longer needs. Its branch, its pull request's history and its runs' logs stay.

use super::{Cx, Ended};
use orch_core::effect::Outcome;
use orch_core::task::Phase;
use orch_ports::Fault;

pub(super) async fn ensure(cx: &Cx) -> Result<Ended, Fault> {
    if !cx.task.is_closed() {
        return Ok(Outcome::Sent.into());
    }
    if let (Phase::Cancelled { .. }, Some(number), None) = (&cx.task.phase, cx.task.pull_request, &cx.task.merged) {
        cx.project.forge.close_pull_request(&cx.project.key, number).await?;
    }
    cx.engine.ports.git.remove_worktree(&cx.task.project, &cx.task.work_item).await?;
    Ok(Outcome::Sent.into())
}
