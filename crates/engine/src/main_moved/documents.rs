//! Pull requests of documents alone, which orch merges for tasks that are done: what was asked for is written down before,
//! so that the merge is never taken for somebody else's.

use super::record::{DocumentsAsked, MainRecord, Merge, key, read, turn, write};
use crate::engine::Engine;
use crate::project::Project;
use orch_core::ids::Actor;
use orch_core::verdict::FaultKind;
use orch_ports::Fault;
use orch_ports::forge::PullState;

/// orch is about to ask for this merge.
pub(crate) async fn asked(engine: &Engine, project: &Project, asked: DocumentsAsked) -> Result<(), Fault> {
    let turn = turn(engine, project);
    let _held = turn.lock().await;
    // Whatever is there at the first look is what there is.
    let Some(mut record) = read(engine, &project.repository).await? else { return Ok(()) };
    record.documents.retain(|d| d.work_item != asked.work_item);
    record.documents.push(asked);
    write(engine, &key(&project.repository), &record).await
}

/// Those that have been merged and not been read back.
pub(super) async fn merged(engine: &Engine, project: &Project, record: &MainRecord) -> Result<Vec<Merge>, Fault> {
    let mut merged = Vec::new();
    for asked in &record.documents {
        // Perhaps of another project on the same repository.
        let task = engine.ports.store.task_by_item(&asked.work_item).await?;
        let projects = engine.projects();
        let of = task.and_then(|task| projects.get(&task.project));
        merged.extend(merge(of.map_or(project, |of| of), asked).await?);
    }
    Ok(merged)
}

/// The merge of exactly what was asked for, by whoever was asked.
pub(super) async fn merge(project: &Project, asked: &DocumentsAsked) -> Result<Option<Merge>, Fault> {
    let pull = match project.forge.pull_request(&project.key, asked.pull_request).await {
        Ok(pull) => pull,
        Err(fault) if fault.kind == FaultKind::Gone => return Ok(None),
        Err(fault) => return Err(fault),
    };
    let stranger = pull.head != asked.head || pull.merged_by.is_some_and(|by| by != Actor::orch());
    match (pull.state, pull.merge_commit) {
        (PullState::Merged, _) if stranger => Ok(None),
        (PullState::Merged, Some(commit)) => Ok(Some(Merge { head: pull.head, commit })),
        (PullState::Merged, None) => Err(Fault::transient(format!(
            "pull request {} is merged, but its commit is not known yet",
            asked.pull_request
        ))),
        (PullState::Open | PullState::Closed, _) => Ok(None),
    }
}
