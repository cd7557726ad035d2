//! What people can ask of the engine. Every wish is durable before it is answered: it goes through the inbox, exactly as
//! an event from a tracker or a forge does.

use crate::engine::Engine;
use crate::project::Project;
use crate::{blockers, lives, tickets};
use orch_core::blocker::cycle;
use orch_core::event::Event;
use orch_core::ids::{Actor, ProjectKey, WorkItem};
use orch_core::landing::LandingPlan;
use orch_core::pipeline::Pipeline;
use orch_core::source::Source;
use orch_core::task::{NewTask, Task};
use orch_ports::Fault;
use orch_ports::tracker::Ticket;
use orch_store::{Cause, Dealt, Fact, Stepped};

/// The answer to a wish that is known already.
pub(crate) const ASKED_BEFORE: &str = "this was asked before and is taken care of";

/// Answer to a wish.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::large_enum_variant)]
pub enum Answer {
    /// It happens.
    Done(Task),
    /// It does not, and this is why.
    Refused(String),
}

/// Makes a task of a ticket, if there is none yet. A number that another ticket's task has is not given out again.
pub(crate) async fn adopt(engine: &Engine, project: &Project, ticket: &Ticket) -> Result<Task, Fault> {
    adopt_as(engine, project, ticket, (project.pipeline.clone(), project.landing), None).await
}

/// The same, by this pipeline and plan, for a person's branch.
pub(crate) async fn adopt_as(
    engine: &Engine,
    project: &Project,
    ticket: &Ticket,
    (pipeline, landing): (Pipeline, LandingPlan),
    source: Option<Source>,
) -> Result<Task, Fault> {
    let (title, body) = (ticket.title.clone(), ticket.body.clone());
    let (key, number, repository) = (project.key.clone(), ticket.number, Some(project.repository.clone()));
    let new = NewTask { project: key, number, title, body, pipeline, landing, repository, source };
    let store = &engine.ports.store;
    let source = new.source.as_ref().map(|s| s.name.clone());
    let (task, made) = store.create_task(new, engine.ports.clock.now()).await?;
    if source != task.branch.source.as_ref().map(|s| s.name.clone()) {
        let item = &task.work_item;
        return Err(Fault::permanent(format!("ticket {item} has a task already, and that one is for something else")));
    }
    if made {
        let own = Fact::TicketId(project.key.clone(), ticket.number);
        store.remember(&own, &ticket.id, engine.ports.clock.now()).await?;
    } else if !tickets::is_own(&**store, &task, ticket).await? {
        return Err(Fault::permanent(tickets::not_own(&task)));
    }
    Ok(task)
}

/// Puts an event into the inbox and steps it; the same source and key is stepped once. It is for the task it came with first.
pub(crate) async fn send(
    engine: &Engine,
    source: &str,
    key: &str,
    task: &Task,
    mut event: Event,
) -> Result<Answer, Fault> {
    let store = &engine.ports.store;
    if let Some(by) = event.actor_mut() {
        *by = engine.written(by);
    }
    let row = match store.put_inbox(source, key, task.id, event.clone(), engine.ports.clock.now()).await? {
        Some(row) => row,
        // The same wish has the same answer, however often it comes: whoever asks again may not have heard it.
        None => match store.dealt(source, key).await? {
            Some(Dealt::Waits(row)) => row,
            Some(Dealt::Ignored(why)) => return Ok(Answer::Refused(why)),
            Some(Dealt::Taken) | None => return Ok(Answer::Refused(ASKED_BEFORE.into())),
        },
    };
    match engine.step(task.id, Cause::Inbox(row), event).await? {
        Stepped::Applied { task, .. } => Ok(Answer::Done(task)),
        Stepped::Ignored { why } => Ok(Answer::Refused(why)),
        Stepped::Fenced => Ok(Answer::Refused(ASKED_BEFORE.into())),
    }
}

impl Engine {
    /// Makes a ticket and its task. The same `key` makes them once.
    pub async fn new_task(
        &self,
        project: &ProjectKey,
        title: &str,
        body: &str,
        by: &Actor,
        key: &str,
    ) -> Result<Task, Fault> {
        let project = self.project(project)?;
        let above = tickets::given_out(&*self.ports.store, &project.key).await?;
        let ticket = project.tracker.create(&project.key, title, body, by, key, above).await?;
        let task = adopt(self, &project, &ticket).await?;
        self.begun(&project.key, &ticket).await?;
        Ok(task)
    }

    /// Where a ticket begins is nothing anybody moved it to.
    pub(crate) async fn begun(&self, project: &ProjectKey, ticket: &Ticket) -> Result<(), Fault> {
        let seen = Fact::TicketSeen(project.clone(), ticket.number);
        if self.ports.store.recall(&seen).await?.is_none() {
            self.ports.store.remember(&seen, ticket.state.as_str(), self.ports.clock.now()).await?;
        }
        Ok(())
    }

    /// A person's wish about a task. `key` makes a repeated request one wish.
    pub async fn ask(&self, item: &WorkItem, key: &str, event: Event) -> Result<Answer, Fault> {
        let task = self.ports.store.task_by_item(item).await?;
        let task = task.ok_or_else(|| Fault::gone(format!("there is no task {item}")))?;
        let event = match event {
            Event::Started { by } => lives::start(self, &task, by).await?,
            other => other,
        };
        send(self, "people", key, &task, event).await
    }

    /// A person says which tasks are to be over before one starts. One that is not there, and a cycle, are refused.
    pub async fn start_after(
        &self,
        item: &WorkItem,
        key: &str,
        by: &Actor,
        add: Vec<WorkItem>,
        remove: Vec<WorkItem>,
    ) -> Result<Answer, Fault> {
        let mut named = Vec::new();
        for other in add {
            let Some(other) = self.ports.store.task_by_item(&other).await? else {
                return Ok(Answer::Refused(format!("there is no task {other} that it could wait for")));
            };
            if let Some(path) = blockers::path_back(self, &other, item).await? {
                return Ok(Answer::Refused(format!("that would be a cycle: {}", cycle(&path))));
            }
            named.push(other.work_item);
        }
        let remove = remove.into_iter().map(|item| WorkItem::new(item.as_str().to_uppercase())).collect();
        self.ask(item, key, Event::AfterSet { by: by.clone(), add: named, remove }).await
    }
}
