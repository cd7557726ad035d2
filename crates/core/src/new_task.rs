//! A task at its beginning: what is known of its ticket, and everything else empty.

use crate::ids::{ProjectKey, TaskId, Time, WorkItem};
use crate::landing::LandingPlan;
use crate::pipeline::{Cursor, Pipeline};
use crate::source::Source;
use crate::task::{Branch, Findings, Landing, Lives, Phase, Production, Spent, Task, Wait};
use serde::{Deserialize, Serialize};

/// What is known of a ticket when a task is made of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
    pub landing: LandingPlan,
    /// The repository it lands in, named by the key of the first project that has it; nothing: its project is that one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<ProjectKey>,
    /// The person's branch to land, if no agent is to write anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
}

impl NewTask {
    /// The name people use.
    pub fn work_item(&self) -> WorkItem {
        WorkItem::new(format!("{}-{}", self.project, self.number))
    }

    /// The task at its beginning.
    pub fn into_task(self, id: TaskId, now: Time) -> Task {
        let work_item = self.work_item();
        let branch = Branch::first(&work_item, &self.title, self.source);
        Task {
            id,
            repository: self.repository.filter(|repository| *repository != self.project),
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
            landing: Landing { plan: Some(self.landing), ..Landing::default() },
            findings: Findings::default(),
            wait: Wait::default(),
            spent: Spent::default(),
            production: Production::default(),
            run: None,
            started_by: None,
            approvals: Vec::new(),
            lives: Lives::default(),
            created_at: now,
            updated_at: now,
            done_at: None,
        }
    }
}
