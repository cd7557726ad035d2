//! People: wishes at any time, sensible and not, twice or stale, over the API or by moving a ticket, by people who may and
//! who may not.

use crate::sim::{Live, Sim};
use orch_core::event::Event;
use orch_core::ids::{Actor, GateId, ProjectKey, TaskId};
use orch_core::pipeline::Step;
use orch_core::task::{ApprovalKind, Phase, Task, WaitReason, WayOut};
use orch_ports::tracker::{Ticket, TicketState};
use orch_store::{Cause, Stepped};

impl Sim {
    pub(crate) fn open_task(&mut self) -> Option<Task> {
        let open: Vec<TaskId> = self.tasks.values().filter(|t| !t.is_closed()).map(|t| t.id).collect();
        let id = self.choices.pick("task", &open, |t| t.0.unsigned_abs())?;
        self.tasks.get(&id).cloned()
    }

    /// A wish over the API or the command line.
    pub(crate) fn ask(&mut self, task: TaskId, event: Event) -> Live<()> {
        self.keys += 1;
        let key = format!("k{}", self.keys);
        let event = match self.tasks.get(&task).cloned() {
            Some(task) => self.start(&task, event)?,
            None => event,
        };
        self.deliver("people", &key, task, event).map(|_| ())
    }

    /// Puts a wish into the inbox and steps it, as command line, API and tracker do. Did it change anything?
    pub(crate) fn deliver(&mut self, source: &str, key: &str, task: TaskId, event: Event) -> Live<bool> {
        let at = self.now;
        let row = self.db(async |s| s.put_inbox(source, key, task, event.clone(), at).await)?;
        let fresh = self.ledger.wishes.insert(format!("{source} {key}"));
        crate::invariants::ensure(row.is_some() == fresh, "a_wish_is_kept_once", || format!("{key}: {row:?}"))?;
        let Some(row) = row else { return Ok(false) };
        if self.hit("wish twice", 150) {
            let again = self.db(async |s| s.put_inbox(source, key, task, event.clone(), at).await)?;
            crate::invariants::ensure(again.is_none(), "a_wish_is_kept_once", || format!("{key} twice: {again:?}"))?;
        }
        if self.hit("wish acknowledged, not stepped", 100) {
            return Ok(false);
        }
        let stepped = self.step(task, Cause::Inbox(row), event.clone())?;
        if self.hit("inbox row stepped twice", 100) {
            self.step(task, Cause::Inbox(row), event)?;
        }
        Ok(matches!(stepped, Stepped::Applied { .. }))
    }

    /// The same wish by moving the ticket, if that can be said by it.
    fn ask_by_ticket(&mut self, task: &Task, event: &Event) -> Live<bool> {
        let (to, by) = match event {
            Event::Started { by } | Event::RetryAsked { by } => (TicketState::InProgress, by),
            Event::Approved { by, .. } => (TicketState::Approved, by),
            Event::CancelAsked { by } => {
                let to = [TicketState::Cancelled, TicketState::Backlog, TicketState::Todo];
                (to[self.choices.below("to", to.len())], by)
            }
            _ => return Ok(false),
        };
        self.move_ticket(&task.project, task.number, to, by.clone())?;
        Ok(true)
    }

    /// Somebody moves any ticket anywhere.
    fn moves_anything(&mut self, by: Actor) -> Live<()> {
        let all: Vec<(ProjectKey, u64)> =
            self.sites.values().flat_map(|s| s.tickets.keys().map(|n| (s.key.clone(), *n))).collect();
        let Some((project, number)) = self.choices.pick("ticket", &all, |t| t.1) else { return Ok(()) };
        let to = TicketState::ALL[self.choices.below("to", TicketState::ALL.len())];
        self.move_ticket(&project, number, to, by)
    }

    /// Somebody does something: often what the task waits for, sometimes anything.
    pub(crate) fn person(&mut self) -> Live<()> {
        let all: Vec<TaskId> = self.tasks.keys().copied().collect();
        let closed_too = self.choices.chance("closed too", 100);
        let task = if closed_too {
            self.choices.pick("task", &all, |t| t.0.unsigned_abs()).and_then(|t| self.tasks.get(&t)).cloned()
        } else {
            self.open_task()
        };
        let by: Actor = match self.choices.below("who", 10) {
            0..6 => "local:anna".into(),
            6..9 => "local:sam".into(),
            _ => {
                self.seen.fault("wrong person");
                "local:mallory".into()
            }
        };
        if let Some(task) = &task
            && self.hit("held or released", 60)
        {
            return self.holds_or_releases(task, by);
        }
        if self.hit("ticket moved anywhere", 40) {
            return self.moves_anything(by);
        }
        let Some(task) = task else { return self.starts_a_new_one() };
        let sensible = !self.choices.chance("anything", 200);
        let asked = task.asked().map(|asked| (asked.what, asked.subject.to_owned()));
        let event = match &task.phase {
            Phase::Idle if self.hit("ticket edited", 200) => {
                let title = format!("ticket {} v{}", task.number, self.choices.below("text", 3));
                return self.edit_ticket(&task.project, task.number, title);
            }
            Phase::Idle if self.hit("starts after another", 150) => return self.arranges(&task, by),
            Phase::Waiting { why: WaitReason::After { .. }, .. } if self.choices.chance("rearranged", 300) => {
                return self.arranges(&task, by);
            }
            Phase::Idle if sensible => Event::Started { by },
            Phase::Waiting { .. } | Phase::Working { .. } if sensible && asked.is_some() => {
                let Some((what, subject)) = &asked else { return Ok(()) };
                // Few tasks come as far as production: there a no has to be heard often enough to be visited.
                let no = if *what == ApprovalKind::Production { 600 } else { 350 };
                if self.hit("stale subject", 200) {
                    Event::Approved { by, gate: None, subject: Some(format!("not {subject}")), comment: None }
                } else if self.hit("person says no", no) {
                    Event::Rejected { by, gate: None, comment: "not like this".into() }
                } else {
                    let seen = self.choices.chance("says what was seen", 500).then(|| subject.clone());
                    let comment = self.choices.chance("says more", 200).then(|| "as we spoke".to_owned());
                    Event::Approved { by, gate: None, subject: seen, comment }
                }
            }
            Phase::Waiting { why: WaitReason::Answer { .. }, .. } if sensible => {
                Event::Answered { by, text: "blue".into() }
            }
            Phase::Waiting { why: WaitReason::Unable { .. }, .. } if sensible => Event::RetryAsked { by },
            Phase::Waiting { why: WaitReason::Production { .. }, .. } if sensible => self.a_way_out(by),
            Phase::Blocked { .. }
                if sensible && task.landing.merged.is_some() && self.choices.chance("way out", 300) =>
            {
                self.a_way_out(by)
            }
            Phase::Blocked { .. } | Phase::Waiting { .. }
                if task.branch.source.is_some() && self.choices.chance("lands again", 400) =>
            {
                self.lands_again(&task, by)?
            }
            Phase::Waiting { why: WaitReason::OnHold, .. } if sensible => Event::Released { by },
            Phase::Blocked { .. } if sensible => Event::RetryAsked { by },
            Phase::Working { .. }
                if matches!(task.step(), Some(Step::PullRequest)) && self.hit("cancelled while opening", 300) =>
            {
                Event::CancelAsked { by }
            }
            Phase::Working { .. }
                if matches!(task.step(), Some(Step::Merge)) && self.hit("cancelled while merging", 100) =>
            {
                Event::CancelAsked { by }
            }
            _ => match self.choices.below("what", 20) {
                14 => self.a_way_out(by),
                15 | 16 => {
                    let title = Some(format!("ticket {} by {by} v{}", task.number, self.choices.below("text", 3)));
                    Event::EditAsked { by, title, body: None }
                }
                17 if self.hit("finished at any time", 200) => Event::FinishAsked { by, reason: "by hand".into() },
                18 => Event::RevertAsked { by, reason: None },
                19 if task.is_closed() => Event::Started { by },
                0 => Event::Started { by },
                1 => Event::Approved { by, gate: Some(GateId::DeployStatus), subject: None, comment: None },
                2 => Event::Rejected { by, gate: None, comment: String::new() },
                3 => Event::Answered { by, text: "green".into() },
                4 if self.hit("cancelled at any time", 250) => Event::CancelAsked { by },
                5 => Event::RetryAsked { by },
                6 | 7 => {
                    self.seen.fault("ticket edited");
                    let title = format!("ticket {} v{}", task.number, self.choices.below("text", 3));
                    return self.edit_ticket(&task.project, task.number, title);
                }
                8 | 9 => return self.starts_a_new_one(),
                10 => Event::Commented { by, text: "mind the limits".into() },
                11 => Event::Prioritised { by, priority: self.choices.below("priority", 5) as i32 - 2 },
                _ => return Ok(()),
            },
        };
        if self.choices.chance("by ticket", 450) && self.ask_by_ticket(&task, &event)? {
            return Ok(());
        }
        self.ask(task.id, event)
    }

    /// A person holds a task, or lets it go on; now and then what cannot be.
    fn holds_or_releases(&mut self, task: &Task, by: Actor) -> Live<()> {
        let release = task.wait.on_hold.is_some() != self.choices.chance("the other way round", 150);
        let event =
            if release { Event::Released { by } } else { Event::PutOnHold { by, reason: Some("a look first".into()) } };
        self.ask(task.id, event)
    }

    /// One of the four ways out, or no more than a retry.
    pub(crate) fn a_way_out(&mut self, by: Actor) -> Event {
        match WayOut::ALL.get(self.choices.below("way", WayOut::ALL.len() + 1)) {
            Some(way) => Event::WayChosen { by, way: *way },
            None => Event::RetryAsked { by },
        }
    }

    /// Starts a ticket orch has no task for, by moving it.
    pub(crate) fn starts_a_new_one(&mut self) -> Live<()> {
        let is_new =
            |t: &&Ticket| !self.tasks.values().any(|task| task.project == t.project && task.number == t.number);
        let new = self.sites.values().flat_map(|s| s.tickets.values()).find(is_new).cloned();
        let Some(new) = new.filter(|t| t.state != TicketState::InProgress) else { return Ok(()) };
        self.move_ticket(&new.project, new.number, TicketState::InProgress, "local:anna".into())
    }
}
