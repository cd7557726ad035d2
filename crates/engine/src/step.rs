//! The step through which all workers speak to the store, with what follows from it in this process.

use crate::blockers;
use crate::engine::Engine;
use orch_core::event::Event;
use orch_core::ids::TaskId;
use orch_ports::Fault;
use orch_store::{Cause, Stepped};
use std::collections::VecDeque;

impl Engine {
    /// Steps a task, and everything that follows in this process: lanes wake, stopped jobs stop, tasks that waited for a
    /// freed lease are stepped too.
    pub async fn step(&self, task: TaskId, cause: Cause, event: Event) -> Result<Stepped, Fault> {
        let first = self.step_and_free(task, cause, event.clone()).await?;
        if let Stepped::Applied { task, .. } = &first {
            Box::pin(blockers::follow(self, task, &event)).await;
        }
        Ok(first)
    }

    async fn step_and_free(&self, task: TaskId, cause: Cause, event: Event) -> Result<Stepped, Fault> {
        let first = self.step_one(task, cause, event).await?;
        let mut waiting: VecDeque<TaskId> = VecDeque::new();
        if let Stepped::Applied { freed, .. } = &first {
            waiting.extend(freed.iter().copied());
        }
        while let Some(next) = waiting.pop_front() {
            // A fault here loses nothing: the waiting task's own timer looks again.
            match self.step_one(next, Cause::Engine, Event::LeaseFreed).await {
                Ok(Stepped::Applied { freed, .. }) => waiting.extend(freed),
                Ok(Stepped::Ignored { .. } | Stepped::Fenced) => {}
                Err(fault) => {
                    tracing::warn!(task = next.0, %fault, "could not tell a task that the merge lease is free");
                }
            }
        }
        Ok(first)
    }
}
