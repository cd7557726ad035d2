//! Brings tasks in step with their tickets by polling, whether or not an event was ever delivered: a ticket moved to In
//! Progress starts its task, Approved approves, Cancelled or back to the backlog cancels, Blocked to In Progress retries.
//! It acts on what a *person* changed, once, through the same inbox a webhook would have used.

use super::report::Report;
use crate::commands::{self, Answer};
use crate::engine::Engine;
use crate::project::Project;
use crate::{lives, polls, standing, tickets};
use orch_core::effect::Effect;
use orch_core::event::Event;
use orch_core::ids::{Actor, Time};
use orch_core::source;
use orch_core::task::Task;
use orch_core::ticket;
use orch_ports::Fault;
use orch_ports::tracker::Ticket;
use orch_store::Fact;

/// Key of the comment that says why a ticket could not be cancelled.
const REFUSED: &str = "orch-refused";
/// How far back each poll overlaps the one before, milliseconds.
const OVERLAP_MS: i64 = 60_000;

pub(super) async fn sweep(engine: &Engine) -> Result<Report, Fault> {
    let mut report = Report::default();
    standing::look_again(engine, &mut report).await;
    if !engine.options.reconcile.enabled {
        return Ok(report);
    }
    let mut fault = None;
    for project in engine.projects().values() {
        if !polls::is_due(engine, project) {
            continue;
        }
        // A fault of one project never stops another.
        if let Err(f) = poll(engine, project, &mut report).await {
            fault = Some(f.context(format!("project {}", project.key)));
        }
    }
    fault.map_or(Ok(report), Err)
}

/// Takes up what changed in a project's tracker since the last look: one list call.
pub(crate) async fn poll(engine: &Engine, project: &Project, report: &mut Report) -> Result<(), Fault> {
    polls::begun(engine, project);
    let store = &engine.ports.store;
    let cursor = Fact::TrackerCursor(project.key.clone());
    let since = store.recall(&cursor).await?.and_then(|t| t.parse().ok()).map_or(Time(0), Time);
    let mut newest = since;
    let mut fault = None;
    // The oldest change that is too young to be taken up: the cursor must not pass it.
    let mut young: Option<Time> = None;
    for ticket in project.tracker.changed_since(&project.key, since.plus_ms(-OVERLAP_MS)).await? {
        if engine.ports.clock.now() < ticket.updated_at.plus_ms(grace_ms(engine, project, &ticket).await?) {
            young = Some(young.map_or(ticket.updated_at, |at| at.min(ticket.updated_at)));
            continue;
        }
        newest = newest.max(ticket.updated_at);
        match look(engine, project, &ticket).await {
            Ok(None) => {}
            Ok(Some(what)) => {
                report.found += 1;
                report.acted += 1;
                if engine.options.reconcile.notify_unblock {
                    tell(engine, &ticket, &what).await;
                }
                report.last = Some(what);
            }
            // One ticket that cannot be followed must not hide those behind it; the cursor stays, so it is seen again.
            Err(f) => fault = Some(f.context(format!("ticket {}", ticket.number))),
        }
    }
    if let Some(fault) = fault {
        return Err(fault);
    }
    let newest = young.map_or(newest, |at| newest.min(at));
    if newest != since {
        store.remember(&cursor, &newest.0.to_string(), engine.ports.clock.now()).await?;
    }
    Ok(())
}

/// How old a change must be before it is taken up: what a person does in several steps is looked at when it is over.
async fn grace_ms(engine: &Engine, project: &Project, ticket: &Ticket) -> Result<i64, Fault> {
    let grace = &engine.options.reconcile.grace_ms;
    if grace.is_empty() {
        return Ok(0);
    }
    let item = format!("{}-{}", project.key, ticket.number).into();
    let task = engine.ports.store.task_by_item(&item).await?;
    Ok(task.and_then(|t| grace.get(t.stage().as_str()).copied()).unwrap_or(0))
}

/// A person's wish was found by polling: no event had told of it.
async fn tell(engine: &Engine, ticket: &Ticket, what: &str) {
    let text = format!("found by polling the tracker: {what}");
    let key = format!("reconciled-{}-{}@{}", ticket.project, ticket.number, ticket.updated_at.0);
    let item = format!("{}-{}", ticket.project, ticket.number).into();
    if let Ok(Some(task)) = engine.ports.store.task_by_item(&item).await {
        engine.notice(task.id, key, text).await;
    }
}

/// Is a person's edit of its ticket on its way to the tracker? What the ticket says until then is no news.
async fn is_being_edited(engine: &Engine, task: &Task) -> Result<bool, Fault> {
    let open = engine.ports.store.open_jobs(Some(task.id)).await?;
    Ok(open.iter().any(|job| matches!(job.effect, Effect::EditTicket { .. })))
}

/// A move that is not followed: the ticket says why, and shows again where its task is. A ticket that says Approved or
/// Cancelled while its task is neither would be a lie.
async fn refused(
    engine: &Engine,
    project: &Project,
    task: &Task,
    ticket: &Ticket,
    text: &str,
) -> Result<Option<String>, Fault> {
    let (tracker, store, now) = (&project.tracker, &engine.ports.store, engine.ports.clock.now());
    let (key, number) = (&project.key, ticket.number);
    // Known here before anybody reads it there. After a fault the move is seen again, is answered as it was, and both are
    // repeated.
    tickets::remember_refused(&**store, task, text, now).await?;
    tracker.put_comment(key, number, REFUSED, text).await?;
    let mut shown = ticket.state.clone();
    if let Some(state) = ticket::state(task).filter(|_| !task.is_closed()) {
        tracker.set_state(key, number, state, &Actor::orch()).await?;
        shown = state.into();
    }
    store.remember(&Fact::TicketSeen(key.clone(), number), shown.as_str(), now).await?;
    Ok(Some(format!("{}: {text}", task.work_item)))
}

/// Takes up what a person did to a ticket since it was seen last.
pub(crate) async fn look(engine: &Engine, project: &Project, listed: &Ticket) -> Result<Option<String>, Fault> {
    let store = &engine.ports.store;
    let fact = Fact::TicketSeen(project.key.clone(), listed.number);
    let seen = store.recall(&fact).await?;
    let differs = |t: &Ticket| ticket::is_moved(seen.as_deref(), &t.state, t.state_by.as_ref());
    // What was listed may be older than what was seen: orch itself may have moved the ticket on meanwhile, and a person
    // would seem to have moved it back. Read after `seen`, it cannot be.
    let now = if differs(listed) { Some(project.tracker.ticket(&project.key, listed.number).await?) } else { None };
    let ticket = now.as_ref().unwrap_or(listed);
    let moved = differs(ticket);
    let state = ticket.state.as_str();
    let item = format!("{}-{}", project.key, ticket.number).into();
    let task = store.task_by_item(&item).await?;
    if let Some(task) = &task
        && !tickets::is_own(&**store, task, ticket).await?
    {
        tickets::tell_not_own(engine, task, ticket).await;
        return Ok(None);
    }
    let mut done = None;
    let (by, at) = (ticket.state_by.as_ref(), ticket.updated_at);
    let intent = ticket::intent(&ticket.state, by, task.as_ref(), seen.is_some(), at);
    // Made to land a branch, and its task is not known any more: agents must not begin with a person's change.
    let intent = intent.filter(|_| task.is_some() || !source::is_of_landing(&ticket.body));
    if moved && let Some(event) = intent {
        let task = match task.clone() {
            Some(task) => task,
            None => commands::adopt(engine, project, ticket).await?,
        };
        let dedupe = format!("{}-{}@{}-{}", project.key, ticket.number, ticket.updated_at.0, event.name());
        let name = event.name();
        let event = match event {
            Event::Started { by } => lives::start(engine, &task, by).await?,
            other => other,
        };
        let answer = commands::send(engine, &format!("tracker:{}", project.key), &dedupe, &task, event.clone()).await?;
        match answer {
            Answer::Refused(why) if why != commands::ASKED_BEFORE => {
                let text = ticket::refusal(&event, &task.work_item, &project.policy, &why);
                return Box::pin(refused(engine, project, &task, ticket, &text)).await;
            }
            Answer::Refused(_) | Answer::Done(_) => {}
        }
        let by = ticket.state_by.as_ref().map_or("a person", Actor::as_str);
        done = Some(format!("{}: {name} by {by}", task.work_item));
    }
    if let Some(task) = &task
        && ticket::edit(task, &ticket.title, &ticket.body).is_some()
        && !is_being_edited(engine, task).await?
        // What was listed may be older than an edit that orch made meanwhile.
        && let now = project.tracker.ticket(&project.key, listed.number).await?
        && let Some(event) = ticket::edit(task, &now.title, &now.body)
    {
        let dedupe = format!("{}-{}@{}-edited", project.key, ticket.number, ticket.updated_at.0);
        commands::send(engine, &format!("tracker:{}", project.key), &dedupe, task, event).await?;
    }
    if seen.as_deref() != Some(state) {
        store.remember(&fact, state, engine.ports.clock.now()).await?;
    }
    Ok(done)
}
