//! `decide`: the only place where anything about a task is decided. Total and pure: every event on every phase has an
//! answer, and what does not apply is ignored with a reason that goes into the journal.
//!
//! The shape of it: a task is at one step of its pipeline. The step's job ends, the outcome says where to go: forward,
//! back with findings, wait, or to a person. Three things follow from where the task stands and are therefore not
//! decided case by case but at the end, for all: the merge lease, the ticket, and telling people (`ending.rs`).

mod after;
mod arranged;
mod base;
mod conflict;
mod ending;
mod flow;
mod landed;
mod lives;
mod outcome;
mod people;
mod production;
mod said;
mod source;
mod updating;
mod verdicts;

use crate::effect::Effect;
use crate::event::Event;
use crate::ids::{Seq, TaskId, Time, WorkItem};
use crate::policy::Policy;
use crate::task::{Landed, Phase, Task};
use serde::{Deserialize, Serialize};

/// What `decide` sees.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The task.
    pub task: Task,
    /// The merge lease of its repository.
    pub lease: LeaseView,
    /// What its agents have cost so far, millionths of a US dollar. Looked at only where the policy sets a limit.
    pub spent_micro_usd: u64,
}

/// The merge lease of a repository.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeaseView {
    /// Grows with every taking; the number of the last one.
    pub epoch: u64,
    /// Who holds it.
    pub holder: Option<(TaskId, WorkItem)>,
}

/// A job to be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewJob {
    /// Its number within the task.
    pub seq: Seq,
    /// What it is.
    pub effect: Effect,
}

/// What happens to the merge lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaseOp {
    /// Nothing.
    Keep,
    /// The task takes it; its epoch grows by one.
    Take,
    /// The task gives it back; whoever waits for it is told.
    Free,
}

/// A decision: all of it is written in one transaction, or none of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// The task as it is now.
    pub task: Task,
    /// Jobs to make.
    pub jobs: Vec<NewJob>,
    /// A job to stop.
    pub stop: Option<Seq>,
    /// A job that is to end before it begins, if nothing of it is under way.
    pub hold_back: Option<Seq>,
    /// What happens to the lease.
    pub lease: LeaseOp,
    /// What happened, in sentences for people.
    pub story: Vec<String>,
}

/// The answer to an event.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::large_enum_variant)]
pub enum Decided {
    /// This happens.
    Apply(Decision),
    /// Nothing happens, and this is why.
    Ignore(String),
}

/// Everything a part of the decision needs at hand.
struct Cx<'a> {
    d: Decision,
    lease: &'a LeaseView,
    spent_micro_usd: u64,
    policy: &'a Policy,
    now: Time,
}

/// `Err` is the reason to ignore the event.
type Step = Result<(), String>;

/// Decides what an event means for a task.
pub fn decide(snapshot: &Snapshot, policy: &Policy, event: &Event, now: Time) -> Decided {
    let before = &snapshot.task;
    let d = Decision {
        task: before.clone(),
        jobs: Vec::new(),
        stop: None,
        hold_back: None,
        lease: LeaseOp::Keep,
        story: Vec::new(),
    };
    let mut cx = Cx { d, lease: &snapshot.lease, spent_micro_usd: snapshot.spent_micro_usd, policy, now };
    if let Err(why) = cx.dispatch(event) {
        return Decided::Ignore(why);
    }
    // Of a task that is over, too, there are things people should know, and its ticket can be edited: nothing else changes.
    let edits_what_is_over = before.is_closed() && matches!(event, Event::EditAsked { .. });
    if !edits_what_is_over && !matches!(event, Event::Noticed { .. }) {
        cx.finish(before);
    }
    Decided::Apply(cx.d)
}

impl Cx<'_> {
    fn dispatch(&mut self, event: &Event) -> Step {
        match event {
            Event::JobEnded { job, outcome } => self.job_ended(*job, outcome),
            Event::TimerFired => self.timer_fired(),
            Event::Nudged { what } => self.nudged(what),
            Event::LeaseFreed => self.lease_freed(),
            Event::Started { by } => self.started(by),
            Event::Approved { by, gate, subject, comment } => {
                self.approved(by, *gate, subject.as_deref(), comment.as_deref())
            }
            Event::Commented { by, text } => self.commented(by, text),
            Event::Prioritised { by, priority } => self.prioritised(by, *priority),
            Event::PutOnHold { by, reason } => self.put_on_hold(by, reason.as_deref()),
            Event::Released { by } => self.released(by),
            Event::EditAsked { by, title, body } => self.edit_asked(by, title.as_deref(), body.as_deref()),
            Event::FinishAsked { by, reason } => self.finish_asked(by, reason),
            Event::AfterSet { by, add, remove } => self.after_set(by, add, remove),
            Event::Attached { by, name, size, sha256 } => self.attached(by, name, *size, sha256),
            Event::BlockersSeen { open, looked_at } => self.blockers_seen(open, looked_at),
            Event::BegunAgain { by, ticket } => self.begun_again(by, ticket),
            Event::RevertAsked { by, reason } => self.revert_asked(by, reason.as_deref()),
            Event::Noticed { key, text } => {
                self.noticed(key, text);
                Ok(())
            }
            Event::Rejected { by, gate, comment } => self.rejected(by, *gate, comment),
            Event::Answered { by, text } => self.answered(by, text),
            Event::CancelAsked { by } => self.cancel_asked(by),
            Event::RetryAsked { by } => self.retry_asked(by),
            Event::LandAsked { by, head } => self.land_asked(by, head),
            Event::WayChosen { by, way } => self.way_chosen(by, *way),
            Event::TicketEdited { title, body } => self.ticket_edited(title, body),
            Event::MainMoved { tip, shown } => self.main_moved(tip, shown),
            Event::Landed { commit, tree, head, by, tested } => {
                let (commit, tree, head) = (commit.clone(), tree.clone(), head.clone());
                self.landed(Landed { commit, tree, head, by: by.clone(), tested: *tested })
            }
        }
    }

    /// Makes a job; its number is the task's next.
    fn emit(&mut self, effect: Effect) -> Seq {
        let seq = self.d.task.next_seq;
        self.d.task.next_seq += 1;
        self.d.jobs.push(NewJob { seq, effect });
        seq
    }

    /// Makes the job the task now waits for.
    fn work(&mut self, effect: Effect) {
        let job = self.emit(effect);
        self.d.task.phase = Phase::Working { job, since: self.now };
    }

    fn say(&mut self, sentence: impl Into<String>) {
        self.d.story.push(sentence.into());
    }

    fn holds_lease(&self) -> bool {
        self.lease.holder.as_ref().is_some_and(|(holder, _)| *holder == self.d.task.id)
    }
}
