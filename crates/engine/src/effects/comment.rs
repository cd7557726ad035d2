//! Writes a comment to the ticket. The key makes a second writing replace the first.

use super::{Cx, Ended};
use crate::tickets;
use orch_core::effect::Outcome;
use orch_ports::Fault;

pub(super) async fn ensure(cx: &Cx, key: &str, text: &str) -> Result<Ended, Fault> {
    let (tracker, project, number) = (&cx.project.tracker, &cx.project.key, cx.task.number);
    let shown = tracker.ticket(project, number).await?;
    if !tickets::is_own(cx.store(), &cx.task, &shown).await? {
        return Err(Fault::permanent(tickets::not_own(&cx.task)));
    }
    cx.still_ours().await?;
    tracker.put_comment(project, number, key, text).await?;
    Ok(Outcome::Sent.into())
}
