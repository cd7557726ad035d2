//! `step`: load, decide, write. All that follows from an event (the task, its jobs, the merge lease, the settled job or
//! ticked-off inbox row, the journal) is written by this function in one transaction; an error anywhere takes all of it
//! back, so no crash can leave a task waiting for a job that was never made.

use super::sql::{Db, DbError};
use super::{evidence, jobs, journal, leases, tasks};
use crate::rows::{Cause, Fence, JobState, StepRequest, Stepped};
use orch_core::decide::{Decided, Decision, LeaseOp, LeaseView, Snapshot, decide};
use orch_core::effect::{Lane, Outcome};
use orch_core::event::Event;
use orch_core::ids::{JobId, TaskId};
use rusqlite::Connection;

/// What the decisions of one step add up to.
#[derive(Default)]
struct Sum {
    story: Vec<String>,
    lanes: Vec<Lane>,
    stop: Option<JobId>,
    freed: Vec<TaskId>,
}

pub(super) fn step(c: &Connection, r: &StepRequest) -> Db<Stepped> {
    match &r.cause {
        Cause::Job(fence) => {
            if let Some(over) = settle(c, r, *fence)? {
                return Ok(over);
            }
        }
        Cause::Inbox(id) => {
            if !journal::tick(c, *id, r.task, r.now)? {
                return Ok(Stepped::Fenced);
            }
        }
        Cause::Engine if matches!(r.event, Event::JobEnded { .. }) => {
            return Err(DbError::bug(format!("task {}: a job can only be ended by its claim", r.task)));
        }
        Cause::Engine => {}
    }
    let mut sum = Sum::default();
    let mut task = tasks::need(c, r.task)?;
    let mut event = r.event.clone();
    let mut first = true;
    loop {
        let lease = leases::view(c, &task.project)?;
        // Runs are written down by their jobs, none of which ends within a step.
        let spent_micro_usd = match r.policy.task_budget_micro_usd {
            Some(_) => evidence::spent_micro_usd(c, task.id)?,
            None => 0,
        };
        let snapshot = Snapshot { task, lease, spent_micro_usd };
        match decide(&snapshot, &r.policy, &event, r.now) {
            Decided::Ignore(why) => {
                if journal::worth_keeping(&event) {
                    journal::keep(c, &snapshot.task, &event, Some(&why), &[], r.now)?;
                }
                if first {
                    if let Cause::Inbox(id) = r.cause {
                        journal::note(c, id, &why)?;
                    }
                    return Ok(Stepped::Ignored { why });
                }
                task = snapshot.task;
                break;
            }
            Decided::Apply(decision) => {
                task = decision.task.clone();
                let Some(next) = apply(c, r, &snapshot.lease, &event, decision, &mut sum)? else { break };
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
fn settle(c: &Connection, r: &StepRequest, fence: Fence) -> Db<Option<Stepped>> {
    let outcome = match &r.event {
        Event::JobEnded { job, outcome } if fence.job == (JobId { task: r.task, seq: *job }) => outcome,
        _ => return Err(DbError::bug(format!("the claim of job {} ends something else: {:?}", fence.job, r.event))),
    };
    let Some(job) = jobs::held(c, fence)? else { return Ok(Some(Stepped::Fenced)) };
    jobs::end(c, fence.job, outcome, r.now)?;
    if !job.effect.is_side() {
        return Ok(None);
    }
    let what = job.effect.describe();
    let why = match outcome {
        Outcome::Failed { fault } => {
            let why = format!("could not {what}: {}", fault.text);
            journal::keep(c, &tasks::need(c, r.task)?, &r.event, Some(&why), &[], r.now)?;
            why
        }
        _ => format!("{what}: the task does not wait for it"),
    };
    Ok(Some(Stepped::Ignored { why }))
}

/// Writes a decision. What follows from it at once is returned as the next event.
fn apply(
    c: &Connection,
    r: &StepRequest,
    lease: &LeaseView,
    event: &Event,
    d: Decision,
    sum: &mut Sum,
) -> Db<Option<Event>> {
    let task = &d.task;
    tasks::save(c, task)?;
    for new in &d.jobs {
        if jobs::insert(c, task.id, &task.project, new, r.now)? && !sum.lanes.contains(&new.effect.lane()) {
            sum.lanes.push(new.effect.lane());
        }
    }
    match d.lease {
        LeaseOp::Take => {
            leases::take(c, task, &r.boot, r.lease_ttl_ms, r.now)?;
            sum.freed.clear();
        }
        LeaseOp::Free => sum.freed = leases::free(c, &task.project, task.id)?,
        LeaseOp::Keep if lease.holder.as_ref().is_some_and(|(holder, _)| *holder == task.id) => {
            leases::renew(c, &task.project, task.id, &r.boot, r.lease_ttl_ms)?;
        }
        LeaseOp::Keep => {}
    }
    journal::keep(c, task, event, None, &d.story, r.now)?;
    sum.story.extend(d.story);
    let Some(seq) = d.stop else { return Ok(None) };
    let id = JobId { task: task.id, seq };
    match jobs::open(c, id)? {
        Some(job) if job.state == JobState::Running => {
            jobs::ask_to_stop(c, id)?;
            sum.stop = Some(id);
            return Ok(None);
        }
        // Its hook may be running: whoever takes it up now ends it, and until then nobody else deploys there.
        Some(job) if job.lane == Lane::Deploy && 0 < job.epoch => {
            jobs::ask_to_stop(c, id)?;
            jobs::hurry(c, id, r.now)?;
            sum.lanes.push(job.lane);
            return Ok(None);
        }
        Some(_) => jobs::end(c, id, &Outcome::Cancelled, r.now)?,
        // It has ended already: the task must not wait for it.
        None => {}
    }
    Ok(Some(Event::JobEnded { job: seq, outcome: Outcome::Cancelled }))
}
