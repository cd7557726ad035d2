//! Who holds the start of a task: others that are to be over first, in whichever project. The core is told what was seen; a
//! task that waits is looked at in the step that ended another one, and by its own timer where that was not heard.

use crate::engine::Engine;
use orch_core::event::Event;
use orch_core::ids::{TaskId, WorkItem};
use orch_core::phase::PhaseKind;
use orch_core::task::{Blocker, BlockerState, Phase, Task, WaitReason};
use orch_ports::Fault;
use orch_store::{Cause, Stepped, TaskFilter};
use std::collections::BTreeSet;

/// Does its start wait for others?
fn waits(task: &Task) -> bool {
    matches!(task.phase, Phase::Waiting { why: WaitReason::After { .. }, .. })
}

/// How those stand that it waits for; those that are over are left out.
async fn look(engine: &Engine, task: &Task) -> Result<Vec<Blocker>, Fault> {
    let mut open = Vec::new();
    for item in &task.wait.after {
        let state = match engine.ports.store.task_by_item(item).await? {
            None => BlockerState::Gone,
            Some(other) if other.is_closed() => continue,
            Some(other) => match path_back(engine, &other, &task.work_item).await? {
                Some(path) => BlockerState::Cycle { path },
                None => BlockerState::Open,
            },
        };
        open.push(Blocker { item: item.clone(), state });
    }
    Ok(open)
}

/// The way from `to` over `from` back to `to`, if there is one.
pub(crate) async fn path_back(engine: &Engine, from: &Task, to: &WorkItem) -> Result<Option<Vec<WorkItem>>, Fault> {
    if from.is_closed() {
        return Ok(None);
    }
    let mut seen = BTreeSet::from([from.work_item.clone()]);
    let mut ways = vec![(from.clone(), vec![to.clone(), from.work_item.clone()])];
    while let Some((task, way)) = ways.pop() {
        for next in &task.wait.after {
            let mut way = way.clone();
            way.push(next.clone());
            if next == to {
                return Ok(Some(way));
            }
            if seen.insert(next.clone())
                && let Some(next) = engine.ports.store.task_by_item(next).await?
                && !next.is_closed()
            {
                ways.push((next, way));
            }
        }
    }
    Ok(None)
}

/// What follows from a step for tasks that wait for others: for the task itself, and for those that waited for it. A fault
/// loses nothing: their own timers look again.
pub(crate) async fn follow(engine: &Engine, task: &Task, event: &Event) {
    for waiting in concerned(engine, task, event).await {
        if let Err(fault) = tell(engine, waiting).await {
            tracing::warn!(task = waiting.0, %fault, "could not tell a task who holds its start");
        }
    }
}

/// Tasks that are to be told.
async fn concerned(engine: &Engine, task: &Task, event: &Event) -> Vec<TaskId> {
    if waits(task) && !matches!(event, Event::BlockersSeen { .. }) {
        return vec![task.id];
    }
    if !task.is_closed() || event.is_said() {
        return Vec::new();
    }
    let filter = TaskFilter { phases: &[PhaseKind::WaitingForOthers], ..TaskFilter::default() };
    match engine.ports.store.tasks(filter).await {
        Ok(waiting) => waiting.into_iter().filter(|t| t.wait.after.contains(&task.work_item)).map(|t| t.id).collect(),
        Err(error) => {
            tracing::warn!(%error, "could not look who waits for {}", task.work_item);
            Vec::new()
        }
    }
}

/// Tells a task how those stand that it waits for.
async fn tell(engine: &Engine, id: TaskId) -> Result<Option<Stepped>, Fault> {
    let task = engine.task(id).await?;
    if !waits(&task) {
        return Ok(None);
    }
    let (open, looked_at) = (look(engine, &task).await?, task.wait.after);
    engine.step_one(id, Cause::Engine, Event::BlockersSeen { open, looked_at }).await.map(Some)
}
