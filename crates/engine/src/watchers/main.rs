//! Looks where the default branch of each repository is. What orch merged itself is no news; what came in otherwise is
//! written down, told where it must be, and taken up by the tasks it concerns. Tasks that wait until somebody has approved
//! what came in go on from here.

use super::report::Report;
use crate::engine::Engine;
use crate::main_moved;
use orch_ports::Fault;
use std::collections::BTreeSet;

pub(super) async fn sweep(engine: &Engine) -> Result<Report, Fault> {
    let mut report = Report::default();
    let mut fault = None;
    let mut looked_at = BTreeSet::new();
    for project in engine.projects().values() {
        // Several projects on one repository are one look, by the first that can.
        if project.forge.out_of_service(&project.key).is_some() || !looked_at.insert(project.repository.clone()) {
            continue;
        }
        // A fault of one project never stops another.
        match main_moved::watch(engine, project).await {
            Ok(None) => {}
            Ok(Some(what)) => {
                report.found += 1;
                report.acted += 1;
                report.last = Some(what);
            }
            Err(f) => fault = Some(f.context(format!("project {}", project.key))),
        }
    }
    fault.map_or(Ok(report), Err)
}
