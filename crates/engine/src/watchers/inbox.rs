//! Steps what was acknowledged but not stepped: a crash came between. Looks where deliveries of webhooks say that there may
//! be news.

use super::report::Report;
use crate::deliveries;
use crate::engine::Engine;
use orch_ports::Fault;
use orch_store::{Cause, Stepped};

/// Rows taken at once.
const BATCH: u32 = 200;

pub(super) async fn sweep(engine: &Engine) -> Result<Report, Fault> {
    let mut report = Report::default();
    for row in engine.ports.store.pending_inbox(BATCH).await? {
        report.found += 1;
        let name = row.event.name();
        match engine.step(row.task, Cause::Inbox(row.id), row.event).await? {
            Stepped::Applied { .. } => {
                report.acted += 1;
                report.last = Some(format!("{name} of task {}", row.task));
            }
            Stepped::Ignored { .. } | Stepped::Fenced => {}
        }
    }
    deliveries::resolve(engine, &mut report).await?;
    Ok(report)
}
