//! Who merges into each repository, and who waits for that: one queue, whichever project a task is of.

use orch_core::ids::{ProjectKey, Time, WorkItem};
use orch_core::task::Task;
use orch_store::LeaseRow;
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

/// All of them, by repository. `projects`: each with its repository. `waiting`: those that wait for a lease, the oldest
/// first.
pub(super) fn all(
    leases: &[LeaseRow],
    waiting: Vec<Task>,
    projects: &[(ProjectKey, ProjectKey)],
    shown: fn(Time) -> String,
) -> Vec<MergeQueue> {
    let mut queues: BTreeMap<ProjectKey, MergeQueue> = BTreeMap::new();
    let empty = |repository: &ProjectKey| MergeQueue {
        repository: repository.clone(),
        projects: projects.iter().filter(|(_, of)| of == repository).map(|(key, _)| key.clone()).collect(),
        holder: None,
        since: None,
        waiting: Vec::new(),
    };
    for lease in leases.iter().filter(|lease| lease.holder.is_some()) {
        let queue = queues.entry(lease.project.clone()).or_insert_with(|| empty(&lease.project));
        queue.holder.clone_from(&lease.holder);
        queue.since = lease.taken_at.map(shown);
    }
    for task in waiting {
        let repository = task.repository();
        let queue = queues.entry(repository.clone()).or_insert_with(|| empty(repository));
        queue.waiting.push(task.work_item);
    }
    queues.into_values().collect()
}
