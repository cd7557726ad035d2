//! `step`: load, decide, write. All that follows from an event (the task, its jobs, the merge lease, the settled job or
//! ticked-off inbox row, the journal) is written by this function in one transaction; an error anywhere takes all of it
//! back, so no crash can leave a task waiting for a job that was never made. It is written once, for every store.

use crate::rows::{Cause, Fence, Job, JobState, StepRequest, Stepped, Whose};
use crate::tx::{Entry, Tx, bug, need};
use crate::{lease, queue};
use orch_core::decide::{Decided, Decision, LeaseOp, LeaseView, Snapshot, decide};
use orch_core::effect::{Lane, Outcome};
use orch_core::event::Event;
use orch_core::ids::{JobId, TaskId, Time};

/// What the decisions of one step add up to.
#[derive(Default)]
struct Sum {
    story: Vec<String>,
    lanes: Vec<Lane>,
    stop: Option<JobId>,
    freed: Vec<TaskId>,
}

/// Decides an event and writes everything that follows from it.
pub fn step<T: Tx>(tx: &mut T, r: &StepRequest) -> Result<Stepped, T::Error> {
    match &r.cause {
        Cause::Job(fence) => {
            if let Some(over) = settle(tx, r, *fence)? {
                return Ok(over);
            }
        }
        Cause::Inbox(id) => {
            if !tx.tick(*id, r.task, r.now)? {
                return Ok(Stepped::Fenced);
            }
        }
        Cause::Engine if matches!(r.event, Event::JobEnded { .. }) => {
            return Err(bug(format!("task {}: a job can only be ended by its claim", r.task)));
        }
        Cause::Engine => {}
    }
    let mut sum = Sum::default();
    let mut task = need(tx, r.task)?;
    let mut event = r.event.clone();
    let mut first = true;
    loop {
        let lease = lease::view(tx, task.repository())?;
        // Runs are written down by their jobs, none of which ends within a step.
        let spent_micro_usd = match r.policy.task_budget_micro_usd {
            Some(_) => tx.sums(&Whose::Task(task.id), Time(i64::MIN))?.spent_micro_usd,
            None => 0,
        };
        let snapshot = Snapshot { task, lease, spent_micro_usd };
        match decide(&snapshot, &r.policy, &event, r.now) {
            Decided::Ignore(why) => {
                if worth_keeping(&event) {
                    let task = &snapshot.task;
                    tx.keep(&Entry { task, event: &event, ignored: Some(&why), story: &[], at: r.now })?;
                }
                if first {
                    if let Cause::Inbox(id) = r.cause {
                        tx.note(id, &why)?;
                    }
                    return Ok(Stepped::Ignored { why });
                }
                task = snapshot.task;
                break;
            }
            Decided::Apply(decision) => {
                task = decision.task.clone();
                let Some(next) = apply(tx, r, &snapshot.lease, &event, decision, &mut sum)? else { break };
                event = next;
                first = false;
            }
        }
    }
    let Sum { story, lanes, stop, mut freed } = sum;
    freed.retain(|waiter| *waiter != r.task);
    Ok(Stepped::Applied { task, story, lanes, stop, freed })
}

/// Ends the claimed job. `Some`: that is all, because the claim is old, or because what a side effect came to is no
/// business of the task.
fn settle<T: Tx>(tx: &mut T, r: &StepRequest, fence: Fence) -> Result<Option<Stepped>, T::Error> {
    let outcome = match &r.event {
        Event::JobEnded { job, outcome } if fence.job == (JobId { task: r.task, seq: *job }) => outcome,
        _ => return Err(bug(format!("the claim of job {} ends something else: {:?}", fence.job, r.event))),
    };
    let Some(job) = queue::held(tx, fence)? else { return Ok(Some(Stepped::Fenced)) };
    queue::end(tx, fence.job, outcome, r.now)?;
    if !job.effect.is_side() {
        return Ok(None);
    }
    let what = job.effect.describe();
    let why = match outcome {
        Outcome::Failed { fault } => {
            let why = format!("could not {what}: {}", fault.text);
            let task = &need(tx, r.task)?;
            tx.keep(&Entry { task, event: &r.event, ignored: Some(&why), story: &[], at: r.now })?;
            why
        }
        _ => format!("{what}: the task does not wait for it"),
    };
    Ok(Some(Stepped::Ignored { why }))
}

/// Writes a decision. What follows from it at once is returned as the next event.
fn apply<T: Tx>(
    tx: &mut T,
    r: &StepRequest,
    lease: &LeaseView,
    event: &Event,
    d: Decision,
    sum: &mut Sum,
) -> Result<Option<Event>, T::Error> {
    let task = &d.task;
    tx.save_task(task)?;
    if matches!(event, Event::Prioritised { .. }) {
        tx.prioritise(task)?;
    }
    if matches!(event, Event::BegunAgain { .. }) {
        tx.set_pipeline(task)?;
    }
    for new in &d.jobs {
        if queue::add(tx, task, new, r.now)? && !sum.lanes.contains(&new.effect.lane()) {
            sum.lanes.push(new.effect.lane());
        }
    }
    match d.lease {
        LeaseOp::Take => {
            lease::take(tx, task, &r.worker, r.lease_ttl_ms, r.now)?;
            sum.freed.clear();
        }
        LeaseOp::Free => sum.freed = lease::free(tx, task.repository(), task.id)?,
        // What people say and are told of a task is no sign that anybody works on it.
        LeaseOp::Keep if !event.is_said() && lease.holder.as_ref().is_some_and(|(holder, _)| *holder == task.id) => {
            lease::renew(tx, task.repository(), task.id, &r.worker, r.lease_ttl_ms)?;
        }
        LeaseOp::Keep => {}
    }
    tx.keep(&Entry { task, event, ignored: None, story: &d.story, at: r.now })?;
    sum.story.extend(d.story);
    if let Some(seq) = d.hold_back {
        return queue::hold_back(tx, task, seq, r.now);
    }
    let Some(seq) = d.stop else { return Ok(None) };
    let id = JobId { task: task.id, seq };
    match tx.open_job(id)? {
        Some(job) if job.state == JobState::Running => {
            tx.save_job(&Job { stop: true, ..job })?;
            sum.stop = Some(id);
            return Ok(None);
        }
        // Its program may be running: the worker that claims it now ends it. Until then no other deploy begins in the place
        // of a hook, and no agent in the place of an agent.
        Some(job) if job.lane == Lane::Deploy && 0 < job.epoch || tx.has_open_run(id, job.run_attempt)? => {
            let available_at = job.available_at.min(r.now);
            sum.lanes.push(job.lane);
            tx.save_job(&Job { stop: true, available_at, ..job })?;
            return Ok(None);
        }
        Some(_) => queue::end(tx, id, &Outcome::Cancelled, r.now)?,
        // It has ended already: the task must not wait for it.
        None => {}
    }
    Ok(Some(Event::JobEnded { job: seq, outcome: Outcome::Cancelled }))
}

/// Is an ignored event worth a row? What a person did and what a job reported is; clocks and hints would be noise.
fn worth_keeping(event: &Event) -> bool {
    event.actor().is_some() || matches!(event, Event::JobEnded { .. })
}
