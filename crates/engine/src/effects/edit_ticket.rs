//! Changes a ticket's text for a person. Edits of one task are made in the order in which they were asked for: an earlier one
//! that waits for another try must not come after a later one and undo it.

use super::{Cx, Ended};
use crate::tickets;
use orch_core::effect::{Effect, Outcome};
use orch_core::ids::Actor;
use orch_ports::Fault;
use orch_store::Charge;

/// How soon to look again whether an earlier edit is made, milliseconds.
const AGAIN_MS: i64 = 1_000;

pub(super) async fn ensure(cx: &Cx, title: Option<&str>, body: Option<&str>, by: &Actor) -> Result<Ended, Fault> {
    let open = cx.store().open_jobs(Some(cx.task.id)).await?;
    let earlier = |effect: &Effect| matches!(effect, Effect::EditTicket { .. });
    if open.iter().any(|job| job.id.seq < cx.job.id.seq && earlier(&job.effect)) {
        let fault = Fault::transient("an earlier edit of the ticket is made first");
        let not_before = Some(cx.now().plus_ms(AGAIN_MS));
        return Ok(Ended::Again { charge: Charge::Nothing, new_run: false, not_before, fault });
    }
    let (tracker, project, number) = (&cx.project.tracker, &cx.project.key, cx.task.number);
    let shown = tracker.ticket(project, number).await?;
    if !tickets::is_own(cx.store(), &cx.task, &shown).await? {
        return Err(Fault::permanent(tickets::not_own(&cx.task)));
    }
    cx.still_ours().await?;
    let (title, body) = (title.unwrap_or(&shown.title), body.unwrap_or(&shown.body));
    tracker.edit(project, number, title, body, by).await?;
    Ok(Outcome::Sent.into())
}
