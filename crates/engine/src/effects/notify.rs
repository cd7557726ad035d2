//! Tells a person.

use crate::cx::{Cx, Ended};
use orch_core::effect::Outcome;
use orch_ports::Fault;
use orch_ports::notifier::Notice;

pub(super) async fn ensure(cx: &Cx, key: &str, text: &str) -> Result<Ended, Fault> {
    let notice = Notice { work_item: Some(cx.task.work_item.to_string()), text: text.to_owned(), key: key.to_owned() };
    cx.engine.ports.notifier.tell(&notice).await?;
    Ok(Outcome::Sent.into())
}
