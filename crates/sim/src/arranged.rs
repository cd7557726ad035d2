//! What people arrange about tasks, and what must hold of it: a held task begins nothing, in no way there is of beginning a
//! job; a ticket says what was asked for last; a life does not touch what the next one has.

use crate::invariants::{Change, ensure};
use crate::ledger::main_jobs;
use crate::sim::{Flight, Live, Sim};
use orch_core::effect::{Effect, Outcome};
use orch_core::event::Event;
use orch_core::ids::{Actor, TaskId, WorkItem};
use orch_core::retry::Tried;
use orch_core::task::{Blocker, BlockerState, Phase, Task, WaitReason};
use orch_store::{Cause, Charge, Job, JobState};

impl Sim {
    /// Is what this task left before still being cleaned up?
    pub(crate) fn is_cleaned_up_after(&self, f: &Flight) -> Live<bool> {
        let open = self.db(async |s| s.open_jobs(Some(f.task.id)).await)?;
        Ok(open.iter().any(|job| job.id.seq < f.job.id.seq && job.effect == Effect::CleanUp))
    }

    /// Does a person hold the task now, whatever it was when the work began?
    pub(crate) fn is_on_hold(&self, f: &Flight) -> bool {
        self.tasks.get(&f.task.id).is_some_and(|t| t.wait.on_hold.is_some())
    }

    /// Changes a ticket for a person, in the order in which it was asked for.
    pub(crate) fn make_edit(&mut self, f: &Flight, title: Option<&str>, body: Option<&str>, by: &Actor) -> Live<Tried> {
        let open = self.db(async |s| s.open_jobs(Some(f.task.id)).await)?;
        let is_earlier = |j: &Job| j.id.seq < f.job.id.seq && matches!(j.effect, Effect::EditTicket { .. });
        if open.iter().any(is_earlier) {
            let kind = orch_core::verdict::FaultKind::Transient;
            return Ok(crate::effects::again(Charge::Nothing, false, kind, "an earlier edit is made first"));
        }
        if !self.ledger.holds(f.job.fence()) {
            return Ok(crate::effects::transient("the claim is somebody else's by now"));
        }
        let (project, number) = (f.task.project.clone(), f.task.number);
        self.say(|| format!("   ticket {project}-{number} is edited for {by}"));
        self.now = self.now.plus_ms(1);
        let now = self.now;
        if let Some(ticket) = self.site(&project)?.tickets.get_mut(&number) {
            let (title, body) = (title.unwrap_or(&ticket.title).to_owned(), body.unwrap_or(&ticket.body).to_owned());
            if (&ticket.title, &ticket.body) != (&title, &body) {
                (ticket.title, ticket.body, ticket.updated_at) = (title, body, now);
            }
        }
        Ok(Tried::Outcome(Outcome::Sent))
    }

    /// Is a person's edit of its ticket on its way to the tracker?
    pub(crate) fn is_being_edited(&self, task: &Task) -> Live<bool> {
        let open = self.db(async |s| s.open_jobs(Some(task.id)).await)?;
        Ok(open.iter().any(|job| matches!(job.effect, Effect::EditTicket { .. })))
    }

    /// Tasks that are to be told how those stand they wait for, behind a step.
    pub(crate) fn waits_for_others(&self, task: &Task, event: &Event) -> Vec<TaskId> {
        let waits = |t: &Task| matches!(t.phase, Phase::Waiting { why: WaitReason::After { .. }, .. });
        if waits(task) && !matches!(event, Event::BlockersSeen { .. }) {
            return vec![task.id];
        }
        let ends = task.is_closed();
        self.tasks
            .values()
            .filter(|t| ends && waits(t) && t.wait.after.contains(&task.work_item))
            .map(|t| t.id)
            .collect()
    }

    pub(crate) fn tell_blockers(&mut self, id: TaskId) -> Live<()> {
        let Some(task) = self.tasks.get(&id).cloned() else { return Ok(()) };
        let named = |item: &WorkItem| self.tasks.values().find(|t| t.work_item == *item);
        let open = task.wait.after.iter().filter_map(|item| match named(item) {
            None => Some(Blocker { item: item.clone(), state: BlockerState::Gone }),
            Some(other) if other.is_closed() => None,
            Some(_) => Some(Blocker::open(item)),
        });
        let open: Vec<Blocker> = open.collect();
        let seen = Event::BlockersSeen { open, looked_at: task.wait.after };
        if self.hit("a look at blockers is told late", 300) {
            self.late_looks.push((id, seen));
            return Ok(());
        }
        self.step_one(id, Cause::Engine, seen).map(|_| ())
    }

    /// What was seen a while ago is told now; people may have arranged it otherwise meanwhile.
    pub(crate) fn tell_late_looks(&mut self) -> Live<()> {
        for (id, seen) in std::mem::take(&mut self.late_looks) {
            let waits = |t: &&Task| matches!(t.phase, Phase::Waiting { why: WaitReason::After { .. }, .. });
            if let Some(task) = self.tasks.get(&id).filter(waits).cloned()
                && self.choices.chance("arranged behind a look", 400)
            {
                self.arranges(&task, "local:anna".into())?;
            }
            self.step_one(id, Cause::Engine, seen)?;
        }
        Ok(())
    }

    /// A person says that one starts after another, or does not.
    pub(crate) fn arranges(&mut self, task: &Task, by: Actor) -> Live<()> {
        let others: Vec<TaskId> = self.tasks.keys().copied().filter(|id| *id != task.id).collect();
        let Some(other) = self.choices.pick("other", &others, |t| t.0.unsigned_abs()) else { return Ok(()) };
        let item = self.tasks[&other].work_item.clone();
        let both = vec![item];
        let event = if task.wait.after.is_empty() || self.choices.chance("one more", 500) {
            Event::AfterSet { by, add: both, remove: vec![] }
        } else {
            Event::AfterSet { by, add: vec![], remove: both }
        };
        self.ask(task.id, event)
    }

    /// What a person does about a start that nothing else frees: a cycle, or one that is blocked for good.
    pub(crate) fn frees_a_start(&mut self, task: &Task, by: Actor) -> Option<Event> {
        let stuck = |item: &&WorkItem| {
            let other = self.tasks.values().find(|t| t.work_item == **item);
            other.is_none_or(|t| matches!(t.phase, Phase::Blocked { .. }) || !t.wait.after.is_empty())
        };
        let remove: Vec<WorkItem> = task.wait.after.iter().filter(stuck).cloned().collect();
        (!remove.is_empty()).then_some(Event::AfterSet { by, add: vec![], remove })
    }

    /// What a wish to start a task is: one that is over is begun again, with its ticket as it is now.
    pub(crate) fn start(&mut self, task: &Task, event: Event) -> Live<Event> {
        let Event::Started { by } = event else { return Ok(event) };
        let Some(ticket) = self.site(&task.project)?.tickets.get(&task.number).cloned().filter(|_| task.is_closed())
        else {
            return Ok(Event::Started { by });
        };
        let ticket = Box::new(self.known_of(&ticket)?);
        Ok(Event::BegunAgain { by, ticket })
    }
}

/// No step of a held task makes a job to go on with, and it keeps the merge lease only for a job that is at work. Bringing
/// production back is the end of what runs, reading back a merge nobody knows of too, and withdrawing one that of a cancel.
pub(crate) fn invariant_a_held_task_begins_nothing(sim: &Sim, change: &Change<'_>) -> Live<()> {
    let (before, after) = (change.before, change.after);
    if after.wait.on_hold.is_none() {
        return Ok(());
    }
    let new = main_jobs(change.open).find(|j| before.next_seq <= j.id.seq);
    let reads_back = |j: &Job| after.landing.asked && matches!(j.effect, Effect::Merge { .. });
    let ends = new.is_none_or(|j| matches!(j.effect, Effect::Rollback { .. }) || reads_back(j))
        || matches!(after.phase, Phase::Stopping { .. });
    ensure(ends, "a_held_task_begins_nothing", || {
        format!("{} is held and begins {:?}", after.work_item, new.map(|j| j.effect.describe()))
    })?;
    let runs = |j: &Job| sim.sites.get(&j.project).is_some_and(|s| s.runs.contains_key(&(j.id, j.run_attempt)));
    let asked = |j: &Job| match j.effect {
        Effect::Merge { .. } => 0 < j.epoch || after.landing.asked,
        Effect::Deploy { .. } => 0 < j.epoch,
        _ => false,
    };
    // What was put back, or left by a dead worker, is claimed next to be ended; of what is held now that ends in this step.
    let back = |j: &Job| 0 < j.epoch && !matches!(change.event, Event::PutOnHold { .. });
    let works = |j: &Job| j.state == JobState::Running || runs(j) || asked(j) || back(j);
    // A frozen queue stays frozen: who holds the task has not looked at main. And what is being ended is not held any more.
    let stands = matches!(after.phase, Phase::Blocked { .. } | Phase::Stopping { .. });
    let kept = !stands && change.lease.task == Some(after.id);
    ensure(!kept || main_jobs(change.open).any(works), "a_held_task_begins_nothing", || {
        format!("{} is held, nobody is at work on it, and it keeps the lease", after.work_item)
    })
}

/// A job that was put back, or left by a dead worker, is not tried again while its task is held: only what may be under way.
pub(crate) fn invariant_what_is_held_is_not_tried(sim: &Sim, job: &Job, task: &Task, refused: bool) -> Live<()> {
    let free = refused || job.stop || job.effect.is_side() || task.wait.on_hold.is_none();
    let other = !matches!(task.phase, Phase::Working { .. });
    let run = sim.sites.get(&job.project).and_then(|s| s.runs.get(&(job.id, job.run_attempt)));
    let begun = match &job.effect {
        Effect::Merge { .. } => 1 < job.epoch || task.landing.asked,
        Effect::Rollback { .. } => true,
        Effect::Deploy { .. } | Effect::Watch { .. } => run.is_some() || 1 < job.epoch,
        _ => run.is_some(),
    };
    ensure(free || other || begun, "a_held_task_begins_nothing", || {
        format!("job {} is tried although {} is held: {}", job.id, task.work_item, job.effect.describe())
    })
}

/// Nothing begins while another task is to be over first and is not: a task that was never begun, and only its start.
pub(crate) fn invariant_a_start_waits_for_others(sim: &Sim, change: &Change<'_>) -> Live<()> {
    let (before, after) = (change.before, change.after);
    let named = |item: &WorkItem| sim.tasks.values().find(|t| t.work_item == *item);
    // Somebody may have said in this very step that it does not wait for one.
    let still: Vec<&WorkItem> = match change.event {
        Event::AfterSet { remove, .. } => before.wait.after.iter().filter(|item| !remove.contains(item)).collect(),
        _ => before.wait.after.iter().collect(),
    };
    // One that was over when it was looked at may have begun again since.
    let was_over = |t: &Task| match change.event {
        Event::BlockersSeen { open, looked_at } => {
            let seen = looked_at.contains(&t.work_item) && open.iter().all(|b| b.item != t.work_item);
            seen && (!t.lives.past.is_empty() || t.lives.before_revert.is_some() || t.production.reverting.is_some())
        }
        _ => false,
    };
    let open = still.into_iter().find(|item| named(item).is_some_and(|t| !t.is_closed() && !was_over(t)));
    let begins = main_jobs(change.open).any(|j| before.next_seq <= j.id.seq);
    ensure(!begins || open.is_none(), "a_start_waits_for_others", || {
        format!("{} begins although {open:?} is not over", after.work_item)
    })
}
