//! The look at a start whether what was acknowledged is still there: every merge that forge or store have recorded must be
//! in its default branch and readable. What is not is told to a person and shown in `/health`; it stops no project. Work
//! goes on meanwhile.

use crate::vendors::Hosted;
use orch_core::ids::{ProjectKey, Sha};
use orch_engine::Engine;
use orch_ports::Fault;
use orch_store::TaskFilter;
use std::sync::Arc;

/// Tasks read at once.
const PAGE: u32 = 500;

/// Looks at every project, one after the other.
pub(crate) async fn look(engine: Arc<Engine>, projects: Vec<(ProjectKey, Arc<dyn Hosted>)>) {
    let mut found = Vec::new();
    for (project, forge) in projects {
        match missing(&engine, &*forge, &project).await {
            Ok(said) => found.extend(said.into_iter().map(|line| format!("{project}: {line}"))),
            Err(fault) => found.push(format!("{project}: recorded merges could not be looked at: {fault}")),
        }
    }
    for line in &found {
        tracing::warn!(target: "orch::notice", "{line}: what was lost must be brought back from a clone or a backup");
    }
    engine.found_at_start("recorded merges", found);
}

async fn missing(engine: &Engine, forge: &dyn Hosted, project: &ProjectKey) -> Result<Vec<String>, Fault> {
    forge.missing_merges(project, merged(engine, project).await?).await
}

/// What the store has recorded as merged.
async fn merged(engine: &Engine, project: &ProjectKey) -> Result<Vec<(String, Sha)>, Fault> {
    let mut merges = Vec::new();
    let mut before = None;
    loop {
        let filter =
            TaskFilter { project: Some(project.clone()), closed: true, limit: PAGE, before, ..TaskFilter::default() };
        let page = engine.store().tasks(filter).await?;
        let Some(last) = page.last() else { return Ok(merges) };
        before = Some(last.id);
        merges.extend(
            page.iter().filter_map(|t| Some((t.work_item.to_string(), t.landing.merged.as_ref()?.commit.clone()))),
        );
    }
}
