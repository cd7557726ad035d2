//! Changes a ticket's text for a person. Edits of one task are made in the order in which they were asked for: an earlier one
//! that waits for another try must not come after a later one and undo it.

use crate::cx::{Cx, Ended};
use crate::text::hex;
use crate::tickets;
use orch_core::effect::{Effect, Outcome};
use orch_core::ids::Actor;
use orch_ports::Fault;
use orch_store::{Charge, Fact};
use sha2::{Digest as _, Sha256};

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
    let digests = [digest(&shown.title), digest(&shown.body)];
    let fact = Fact::TicketBefore(cx.task.id, cx.job.id.seq);
    let before = cx.store().recall(&fact).await?;
    let mut fields = [("title", &*shown.title, title), ("text", &*shown.body, body)];
    let mut yields = Vec::new();
    // A try before may have made the edit, and somebody another one of the same field since: theirs is later and stays.
    for (n, (name, says, wanted)) in fields.iter_mut().enumerate() {
        let same = |known: &String| known.split(' ').nth(n) == Some(&*digests[n]);
        if wanted.is_some_and(|new| new != *says) && before.as_ref().is_some_and(|known| !same(known)) {
            yields.push(*name);
            *wanted = None;
        }
    }
    if !yields.is_empty() {
        let text = format!(
            "{}: the {} of its ticket was changed by somebody while an edit by {by} was on its way; that edit is not made",
            cx.task.work_item,
            yields.join(" and the ")
        );
        cx.engine.notice(cx.task.id, format!("edit-{}", cx.job.id), text).await;
    }
    let (new_title, new_body) = (fields[0].2.unwrap_or(&shown.title), fields[1].2.unwrap_or(&shown.body));
    if (new_title, new_body) == (shown.title.as_str(), shown.body.as_str()) {
        return Ok(Outcome::Sent.into());
    }
    if before.is_none() {
        cx.store().remember(&fact, &digests.join(" "), cx.now()).await?;
    }
    cx.still_ours().await?;
    tracker.edit(project, number, new_title, new_body, by).await?;
    Ok(Outcome::Sent.into())
}

/// SHA-256 of what a ticket says, hexadecimal.
fn digest(text: &str) -> String {
    hex(&Sha256::digest(text))
}
