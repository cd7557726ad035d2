//! What people can ask of the engine. Every wish is durable before it is answered: it goes through the inbox, exactly as
//! an event from a tracker or a forge does.

use crate::engine::Engine;
use crate::project::{Project, Projects};
use crate::{budgets, driver, lives, pause, runner, standing, tickets};
use orch_core::effect::Lane;
use orch_core::event::Event;
use orch_core::ids::{Actor, ProjectKey, WorkItem};
use orch_core::landing::LandingPlan;
use orch_core::pipeline::Pipeline;
use orch_core::source::Source;
use orch_core::task::{NewTask, Task};
use orch_ports::Fault;
use orch_ports::tracker::Ticket;
use orch_store::{Cause, Fact, Stepped};
use std::sync::Arc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

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

/// Puts an event into the inbox and steps it; the same source and key is stepped once.
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
    let Some(row) = store.put_inbox(source, key, task.id, event.clone(), engine.ports.clock.now()).await? else {
        return Ok(Answer::Refused(ASKED_BEFORE.into()));
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

    /// From now on these are the projects. Jobs under way keep what they began with, tasks their pipeline.
    pub async fn reload(&self, projects: Projects) -> Result<(), Fault> {
        self.set_projects(projects);
        standing::take_up(self).await?;
        budgets::look_again(self).await;
        self.wake.values().for_each(tokio::sync::Notify::notify_one);
        Ok(())
    }

    /// Works until `shutdown`: takes over what a dead process left, then claims, watches and settles.
    pub async fn run(self: &Arc<Self>, shutdown: CancellationToken) -> Result<(), Fault> {
        let store = &self.ports.store;
        let lease_ms = self.options.merge_lease_ms;
        let recover = || store.recover(&self.options.worker, lease_ms);
        let Some(taken) = self.until_answered(&shutdown, recover).await? else { return Ok(()) };
        if !taken.is_empty() {
            tracing::info!("{} jobs of the process before are taken over", taken.len());
        }
        for reaped in taken.iter().filter(|r| 0 < r.deaths) {
            tracing::warn!(job = %reaped.job, "its worker died {} times", reaped.deaths);
        }
        // Whatever was put off for longer than anything ever is was put off by a clock that was wrong.
        let longest = || self.ports.clock.now().plus_ms(self.options.backoff_max_ms.saturating_mul(2));
        let hurry = || store.hurry(longest(), self.ports.clock.now());
        let Some(_) = self.until_answered(&shutdown, hurry).await? else { return Ok(()) };
        let Some(unknown) = self.until_answered(&shutdown, || store.unknown_jobs()).await? else { return Ok(()) };
        for unknown in unknown {
            let (id, kind, why) = (unknown.id, &unknown.kind, &unknown.why);
            tracing::warn!("job {id} is of a kind this version does not know (`{kind}`) and is kept: {why}");
        }
        let Some(()) = self.until_answered(&shutdown, || self.load_circuits()).await? else { return Ok(()) };
        let Some(()) = self.until_answered(&shutdown, || standing::at_start(self)).await? else { return Ok(()) };
        let Some(()) = self.until_answered(&shutdown, || self.know_what_is_halted()).await? else { return Ok(()) };
        for pause in self.paused() {
            tracing::warn!("{}: nothing is begun, agents stand still; `{}` ends it", pause.line(), pause.ends);
        }
        let mut loops = JoinSet::new();
        // Before anything is tried: agents that ran on without this process stand again.
        loops.spawn(pause::follow(Arc::clone(self), shutdown.clone()));
        runner::trials(self, &shutdown, &mut loops).await;
        for lane in Lane::ALL {
            loops.spawn(runner::run_lane(Arc::clone(self), *lane, shutdown.clone()));
        }
        loops.spawn(driver::run(Arc::clone(self), shutdown.clone()));
        while loops.join_next().await.is_some() {}
        // What is still claimed has not failed anybody: nobody has died.
        match store.release(&self.options.worker).await {
            Ok(0) => {}
            Ok(released) => tracing::info!("{released} jobs are left to the next process"),
            // The next process takes them back; it only cannot know that nobody died.
            Err(error) => tracing::warn!(%error, "could not give back what was claimed"),
        }
        Ok(())
    }

    /// Asks the store until it answers: a disk that is full at the start is no reason to end. `None`: `shutdown` came
    /// first.
    async fn until_answered<T, E, F>(
        &self,
        shutdown: &CancellationToken,
        ask: impl Fn() -> F,
    ) -> Result<Option<T>, Fault>
    where
        F: Future<Output = Result<T, E>>,
        E: Into<Fault>,
    {
        loop {
            match ask().await.map_err(Into::into) {
                Ok(answer) => return Ok(Some(answer)),
                Err(fault) if fault.is_transient() => {
                    tracing::error!(%fault, "cannot begin; trying again");
                    tokio::select! {
                        () = self.ports.clock.sleep_ms(1_000) => {}
                        () = shutdown.cancelled() => return Ok(None),
                    }
                }
                Err(fault) => return Err(fault),
            }
        }
    }
}
