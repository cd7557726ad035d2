//! Makes the ticket show where its task is: its state, and one living comment instead of a stream of noise. It shows
//! the task as it is now, not as it was when the job was made. What a person did to the ticket in the meantime is taken
//! up first: it must never be overwritten unseen.

use crate::cx::{Cx, Ended};
use crate::tickets;
use orch_core::effect::Outcome;
use orch_core::ids::{Actor, Time};
use orch_core::ticket;
use orch_ports::Fault;
use orch_store::{Fact, Whose};

/// Key of the living comment.
const COMMENT: &str = "orch-status";

pub(super) async fn ensure(cx: &Cx) -> Result<Ended, Fault> {
    let (tracker, project, number) = (&cx.project.tracker, &cx.project.key, cx.task.number);
    let shown = tracker.ticket(project, number).await?;
    if !tickets::is_own(cx.store(), &cx.task, &shown).await? {
        return Err(Fault::permanent(tickets::not_own(&cx.task)));
    }
    Box::pin(crate::watchers::tracker::look(&cx.engine, &cx.project, &shown)).await?;
    let task = cx.engine.task(cx.task.id).await?;
    cx.still_ours().await?;
    if let Some(state) = ticket::state(&task) {
        tracker.set_state(project, number, state, &Actor::orch()).await?;
        // What orch set itself is nothing new to the watcher of tickets.
        let seen = Fact::TicketSeen(project.clone(), number);
        cx.store().remember(&seen, state.as_str(), cx.now()).await?;
    }
    let cost = cx.store().spending(Whose::Task(task.id), Time(i64::MIN)).await?;
    let comment = ticket::comment(&task, &cost);
    tracker.put_comment(project, number, COMMENT, &comment).await?;
    Ok(Outcome::Sent.into())
}

/// Writes a comment of a person's or of orch's own. The key makes a second writing replace the first.
pub(super) async fn comment(cx: &Cx, key: &str, text: &str) -> Result<Ended, Fault> {
    let (tracker, project, number) = (&cx.project.tracker, &cx.project.key, cx.task.number);
    let shown = tracker.ticket(project, number).await?;
    if !tickets::is_own(cx.store(), &cx.task, &shown).await? {
        return Err(Fault::permanent(tickets::not_own(&cx.task)));
    }
    cx.still_ours().await?;
    tracker.put_comment(project, number, key, text).await?;
    Ok(Outcome::Sent.into())
}
