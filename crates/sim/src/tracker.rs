//! Tickets in the modelled tracker: people move and edit them, a hint says so at once or is lost, and the watcher of tickets
//! finds by polling what no hint told. What a person wants by moving a ticket, and what
//! a ticket shows, is decided by `orch_core::ticket`, as in the engine.

use crate::invariants::{self as inv, ensure};
use crate::landers;
use crate::outside;
use crate::sim::{CLAIM_MS, Flight, Live, Sim, TTL_MS};
use orch_core::effect::Outcome;
use orch_core::ids::{Actor, ProjectKey, Time};
use orch_core::retry::Tried;
use orch_core::task::{NewTask, Task};
use orch_core::ticket;
use orch_ports::tracker::{Ticket, TicketState};
use orch_store::Beat;
use orch_store::Fact;

/// How far back each poll overlaps the one before.
const OVERLAP_MS: i64 = 60_000;

/// What a look at a ticket came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Looked {
    /// Nothing was new, or nothing came of it.
    Nothing,
    /// This event was applied.
    Found(&'static str),
    /// It broke off in the middle.
    CutOff,
}

impl Sim {
    /// A person puts a ticket into a state. It is known at once, or when it is polled.
    pub(crate) fn move_ticket(&mut self, project: &ProjectKey, number: u64, to: TicketState, by: Actor) -> Live<()> {
        self.say(|| format!("   {by} moves ticket {project}-{number} to {}", to.as_str()));
        self.change_ticket(project, number, |ticket| {
            ticket.state = to.into();
            ticket.state_by = Some(by);
        })
    }

    /// A person writes something else into a ticket.
    pub(crate) fn edit_ticket(&mut self, project: &ProjectKey, number: u64, title: String) -> Live<()> {
        self.say(|| format!("   ticket {project}-{number} is edited: {title}"));
        self.change_ticket(project, number, |ticket| ticket.title = title)
    }

    fn change_ticket(&mut self, project: &ProjectKey, number: u64, how: impl FnOnce(&mut Ticket)) -> Live<()> {
        // No two changes of one ticket share a time.
        self.now = self.now.plus_ms(1);
        let now = self.now;
        let site = self.site(project)?;
        let Some(ticket) = site.tickets.get_mut(&number) else { return Ok(()) };
        how(ticket);
        ticket.updated_at = now;
        let ticket = ticket.clone();
        if !self.hints || self.hit("ticket hint lost", 400) {
            return Ok(());
        }
        self.look(project, &ticket).map(|_| ())
    }

    /// The watcher of tickets.
    pub(crate) fn sweep_tickets(&mut self) -> Live<()> {
        let projects: Vec<ProjectKey> = self.sites.keys().cloned().collect();
        for project in projects {
            if self.hit("tracker is down", 150) {
                continue;
            }
            let (cursor, now) = (Fact::TrackerCursor(project.clone()), self.now);
            let since = self.db(async |s| s.recall(&cursor).await)?.and_then(|t| t.parse().ok()).map_or(Time(0), Time);
            let old = self.hit("list of tickets is old", 200);
            let site = self.site(&project)?;
            let mut changed: Vec<Ticket> = site.tickets.values().cloned().collect();
            changed.retain(|t| since.plus_ms(-OVERLAP_MS) <= t.updated_at);
            changed.sort_by_key(|t| t.updated_at);
            // A list that was read a while ago and is looked through only now.
            let list = if old { std::mem::take(&mut site.listed) } else { changed.clone() };
            site.listed = changed;
            let newest = list.iter().map(|t| t.updated_at).fold(since, Time::max);
            for ticket in &list {
                match self.look(&project, ticket)? {
                    Looked::Nothing => {}
                    Looked::Found(done) => self.seen.count("watcher", format!("poll found {done}")),
                    // The cursor stays where it is.
                    Looked::CutOff => return Ok(()),
                }
            }
            if newest != since {
                self.db(async |s| s.remember(&cursor, &newest.0.to_string(), now).await)?;
            }
        }
        Ok(())
    }

    /// Takes up what a person did to a ticket since it was seen last.
    pub(crate) fn look(&mut self, project: &ProjectKey, listed: &Ticket) -> Live<Looked> {
        let number = listed.number;
        let fact = Fact::TicketSeen(project.clone(), number);
        let seen = self.db(async |s| s.recall(&fact).await)?;
        let differs = |t: &Ticket| ticket::is_moved(seen.as_deref(), &t.state, t.state_by.as_ref());
        let now = if differs(listed) { self.site(project)?.tickets.get(&number).cloned() } else { None };
        let ticket = now.unwrap_or_else(|| listed.clone());
        let task = self.tasks.values().find(|t| t.project == *project && t.number == number).cloned();
        let at = ticket.updated_at.0;
        let mut done = None;
        if differs(&ticket)
            && let Some(event) = ticket::intent(
                &ticket.state,
                ticket.state_by.as_ref(),
                task.as_ref(),
                seen.is_some(),
                ticket.updated_at,
            )
        {
            let task = match task.clone() {
                Some(task) => task,
                None => self.adopt(&ticket)?,
            };
            let name = event.name();
            let event = self.start(&task, event)?;
            if self.deliver(
                &format!("tracker:{project}"),
                &format!("{project}-{number}@{at}-{name}"),
                task.id,
                event,
            )? {
                done = Some(name);
            }
        }
        if let Some(task) = &task
            && ticket::edit(task, &ticket.title, &ticket.body).is_some()
            && !self.is_being_edited(task)?
            && let Some(now) = self.site(project)?.tickets.get(&number).cloned()
            && let Some(event) = ticket::edit(task, &now.title, &now.body)
        {
            let name = event.name();
            if self.deliver(
                &format!("tracker:{project}"),
                &format!("{project}-{number}@{at}-edited"),
                task.id,
                event,
            )? {
                done = done.or(Some(name));
            }
        }
        if seen.as_deref() != Some(ticket.state.as_str()) {
            if self.hit("ticket taken up, not marked as seen", 50) {
                return Ok(Looked::CutOff);
            }
            let now = self.now;
            self.db(async |s| s.remember(&fact, ticket.state.as_str(), now).await)?;
        }
        Ok(done.map_or(Looked::Nothing, Looked::Found))
    }

    /// What is known of a ticket, with the pipeline of today.
    pub(crate) fn known_of(&mut self, ticket: &Ticket) -> Live<NewTask> {
        let pipeline = self.site(&ticket.project)?.pipelines.get(&ticket.number).cloned();
        let landing = self.site(&ticket.project)?.setup.landing;
        let persons = pipeline.as_ref().is_some_and(landers::is_a_persons);
        let source = if persons { Some(self.source_of(&ticket.project, ticket.number)?) } else { None };
        Ok(NewTask {
            project: ticket.project.clone(),
            number: ticket.number,
            title: ticket.title.clone(),
            body: ticket.body.clone(),
            pipeline: pipeline.unwrap_or_else(orch_core::pipeline::Pipeline::lite),
            landing,
            repository: Some(self.repository_of(&ticket.project)),
            source,
        })
    }

    /// Makes a task of a ticket nobody has made one of.
    pub(crate) fn adopt(&mut self, ticket: &Ticket) -> Live<Task> {
        let new = self.known_of(ticket)?;
        let now = self.now;
        let again = new.clone();
        let (task, made) = self.db(async |s| s.create_task(new, now).await)?;
        let (same, twice) = self.db(async |s| s.create_task(again, now).await)?;
        ensure(made && !twice && same == task, "one_task_per_ticket", || format!("{} twice", task.work_item))?;
        self.seen.task(&task);
        self.tasks.insert(task.id, task.clone());
        Ok(task)
    }

    /// Shows the task as it is now, not as it was when the job was made; what a person did meanwhile is taken up first.
    pub(crate) fn sync_ticket(&mut self, f: &Flight) -> Live<Tried> {
        let (project, number) = (f.task.project.clone(), f.task.number);
        if let Some(ticket) = self.site(&project)?.tickets.get(&number).cloned()
            && let Looked::CutOff = self.look(&project, &ticket)?
        {
            return Ok(crate::effects::transient("what was seen could not be written down"));
        }
        let task = self.tasks.get(&f.task.id).unwrap_or(&f.task).clone();
        let fence = f.job.fence();
        let beat = self.db(async |s| s.heartbeat(fence, CLAIM_MS, TTL_MS).await)?;
        inv::invariant_fences_hold("heartbeat", fence, self.ledger.holds(fence), beat != Beat::Lost)?;
        if beat == Beat::Lost {
            return Ok(crate::effects::transient("the claim is somebody else's by now"));
        }
        self.renewed(fence)?;
        if let Some(state) = ticket::state(&task) {
            let now = self.now;
            let site = self.site(&project)?;
            if let Some(ticket) = site.tickets.get_mut(&number).filter(|t| t.state != state) {
                ticket.state = state.into();
                ticket.state_by = Some(Actor::orch());
                ticket.updated_at = now;
            }
            let seen = Fact::TicketSeen(project.clone(), number);
            self.db(async |s| s.remember(&seen, state.as_str(), now).await)?;
        }
        self.site(&project)?.comments.insert(task.id, outside::comment(&task));
        Ok(Tried::Outcome(Outcome::Sent))
    }

    /// Tickets whose last change by a person has not been taken up.
    pub(crate) fn unseen(&self) -> Live<Vec<String>> {
        let mut unseen = Vec::new();
        for site in self.sites.values() {
            for ticket in site.tickets.values().filter(|t| t.state_by != Some(Actor::orch())) {
                let fact = Fact::TicketSeen(site.key.clone(), ticket.number);
                let seen = self.db(async |s| s.recall(&fact).await)?;
                if seen.as_deref() != Some(ticket.state.as_str()) {
                    unseen.push(format!("{}-{} in {}", site.key, ticket.number, ticket.state.as_str()));
                }
            }
        }
        Ok(unseen)
    }
}
