//! A task at its beginning: what is known of its ticket, and everything else empty.

use crate::ids::{ProjectKey, TaskId, Time, WorkItem};
use crate::landing::Landing;
use crate::pipeline::{Cursor, Pipeline};
use crate::task::{Phase, Task};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What is known of a ticket when a task is made of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NewTask {
    /// Project.
    pub project: ProjectKey,
    /// Ticket number.
    pub number: u64,
    /// Title.
    pub title: String,
    /// Text.
    pub body: String,
    /// Pipeline of the project as configured now.
    pub pipeline: Pipeline,
    /// How the project's tasks land as configured now.
    pub landing: Landing,
}

impl NewTask {
    /// The name people use.
    pub fn work_item(&self) -> WorkItem {
        WorkItem::new(format!("{}-{}", self.project, self.number))
    }

    /// The task at its beginning.
    pub fn into_task(self, id: TaskId, now: Time) -> Task {
        let work_item = self.work_item();
        let branch = crate::slug::branch(&work_item, &self.title, 1);
        Task {
            id,
            project: self.project,
            work_item,
            number: self.number,
            title: self.title,
            body: self.body,
            pipeline: std::sync::Arc::new(self.pipeline),
            priority: 0,
            at: Cursor { stage: 0, step: 0 },
            phase: Phase::Idle,
            next_seq: 1,
            branch,
            generation: 1,
            head: None,
            base: None,
            conflict: None,
            resolved: Vec::new(),
            conflicts: 0,
            pull_request: None,
            run: None,
            rounds: 0,
            stage_rounds: BTreeMap::new(),
            role_attempts: 0,
            updates: 0,
            repatched: 0,
            landing: Some(self.landing),
            started_by: None,
            approval_again: None,
            voided: 0,
            old_branches: Vec::new(),
            earlier_merges: Vec::new(),
            branch_again: false,
            prepared: None,
            findings: Vec::new(),
            findings_from: None,
            findings_at: None,
            raised: Vec::new(),
            hold: None,
            unsure: None,
            rolling_back: false,
            question: None,
            budget_from_micro_usd: 0,
            answers: Vec::new(),
            comments: Vec::new(),
            approvals: Vec::new(),
            intent: None,
            merged: None,
            landed: None,
            passed: Vec::new(),
            not_deployed: Vec::new(),
            production: Vec::new(),
            hooks_from: 0,
            reverting: None,
            notes: Vec::new(),
            created_at: now,
            updated_at: now,
            done_at: None,
        }
    }
}
