//! Who merges into each repository, and who waits for that: one queue, whichever project a task is of.

use crate::engine::Engine;
use crate::view::rfc3339;
use orch_core::ids::{ProjectKey, WorkItem};
use orch_ports::Fault;
use orch_store::{LeaseRow, TaskFilter};
use serde::Serialize;
use std::collections::BTreeMap;

/// The queue of a repository into which somebody merges, or waits to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MergeQueue {
    /// The repository, by the key of the first project that has it.
    pub repository: ProjectKey,
    /// The configured projects on it.
    pub projects: Vec<ProjectKey>,
    /// Who holds its merge lease.
    pub holder: Option<WorkItem>,
    /// Since when.
    pub since: Option<String>,
    /// Who waits for it, in the order in which they are asked when it is free.
    pub waiting: Vec<WorkItem>,
}

/// All of them, by repository.
pub(crate) async fn all(engine: &Engine, leases: &[LeaseRow]) -> Result<Vec<MergeQueue>, Fault> {
    let mut queues: BTreeMap<ProjectKey, MergeQueue> = BTreeMap::new();
    let projects = engine.projects();
    let empty = |repository: &ProjectKey| MergeQueue {
        repository: repository.clone(),
        projects: projects.values().filter(|p| p.repository == *repository).map(|p| p.key.clone()).collect(),
        holder: None,
        since: None,
        waiting: Vec::new(),
    };
    for lease in leases.iter().filter(|lease| lease.holder.is_some()) {
        let queue = queues.entry(lease.project.clone()).or_insert_with(|| empty(&lease.project));
        queue.holder.clone_from(&lease.holder);
        queue.since = lease.taken_at.map(rfc3339);
    }
    let filter = TaskFilter { phases: &["waiting_for_lease"], ..TaskFilter::default() };
    // The newest first.
    for task in engine.store().tasks(filter).await?.into_iter().rev() {
        let repository = task.repository();
        let queue = queues.entry(repository.clone()).or_insert_with(|| empty(repository));
        queue.waiting.push(task.work_item);
    }
    Ok(queues.into_values().collect())
}
