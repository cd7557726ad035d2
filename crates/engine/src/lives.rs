//! Lives of a task: whoever starts what is over begins it again, with its ticket and its project's pipeline as they are now.

use crate::engine::Engine;
use crate::tickets;
use orch_core::effect::Effect;
use orch_core::event::Event;
use orch_core::ids::Actor;
use orch_core::task::{NewTask, Task};
use orch_ports::Fault;

/// What a wish to start this task is.
pub(crate) async fn start(engine: &Engine, task: &Task, by: Actor) -> Result<Event, Fault> {
    if !task.is_closed() {
        return Ok(Event::Started { by });
    }
    let project = engine.project(&task.project)?;
    let ticket = project.tracker.ticket(&task.project, task.number).await?;
    if !tickets::is_own(&*engine.ports.store, task, &ticket).await? {
        return Err(Fault::permanent(tickets::not_own(task)));
    }
    let (mut text, mut open) = ((ticket.title, ticket.body), engine.ports.store.open_jobs(Some(task.id)).await?);
    // Edits that people asked for and that are on their way to the ticket count already.
    open.sort_by_key(|job| job.id.seq);
    for job in open {
        if let Effect::EditTicket { title, body, .. } = job.effect {
            text = (title.unwrap_or(text.0), body.unwrap_or(text.1));
        }
    }
    let ticket = NewTask {
        project: task.project.clone(),
        number: task.number,
        title: text.0,
        body: text.1,
        pipeline: project.pipeline.clone(),
        landing: project.landing,
        repository: Some(project.repository.clone()),
        source: None,
    };
    Ok(Event::BegunAgain { by, ticket: Box::new(ticket) })
}
