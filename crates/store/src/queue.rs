//! Jobs: made, kept alive, put back, taken back, ended. Written once, for every store. Every change of a claimed job is
//! made under its fence: a worker that was paused past its lease changes nothing.

use crate::lease;
use crate::money;
use crate::rows::{Beat, Charge, Fence, Job, JobState, Reaped, Requeue};
use crate::tx::{AddedJob, Claim, End, Tx, bug, need};
use orch_core::decide::NewJob;
use orch_core::effect::{Class, Lane, Outcome};
use orch_core::event::Event;
use orch_core::fault_code::FaultCode;
use orch_core::ids::{JobId, Seq, Time};
use orch_core::task::{NewTask, Task};
use orch_core::verdict::{FaultKind, FaultNote};

/// Attempts of what may be given up.
const MAX_ATTEMPTS: u32 = 2;

/// Makes a task of a ticket; a second call returns the first one's task and `false`.
pub fn create_task<T: Tx>(tx: &mut T, new: NewTask, now: Time) -> Result<(Task, bool), T::Error> {
    if let Some(task) = tx.task_of_ticket(&new.project, new.number)? {
        return Ok((task, false));
    }
    let item = new.work_item();
    if let Some(other) = tx.task_named(&item)? {
        return Err(bug(format!(
            "{item} and {} differ in case only: two projects must not have such keys",
            other.work_item
        )));
    }
    Ok((tx.add_task(new, now)?, true))
}

/// Makes a job; `false` if one with its coalescing key is queued already.
pub(crate) fn add<T: Tx>(tx: &mut T, task: &Task, new: &NewJob, now: Time) -> Result<bool, T::Error> {
    let NewJob { seq, effect } = new;
    if let Some(key) = effect.coalesce()
        && tx.is_queued(task.id, key)?
    {
        return Ok(false);
    }
    let max_attempts = match effect.class() {
        Class::Repeatable => MAX_ATTEMPTS,
        Class::Irreversible => u32::MAX,
    };
    let (task, project) = (task.id, &task.project);
    tx.add_job(&AddedJob { task, seq: *seq, project, effect, max_attempts, now })?;
    Ok(true)
}

/// The job, if this fence still holds it.
pub fn held<T: Tx>(tx: &mut T, fence: Fence) -> Result<Option<Job>, T::Error> {
    Ok(tx.open_job(fence.job)?.filter(|job| job.state == JobState::Running && job.epoch == fence.epoch))
}

/// Renews a claim, and the merge lease if the job's task holds one.
pub fn heartbeat<T: Tx>(tx: &mut T, fence: Fence, lease_ms: i64, lease_ttl_ms: i64) -> Result<Beat, T::Error> {
    let Some(job) = held(tx, fence)? else { return Ok(Beat::Lost) };
    let worker = tx.renew_claim(fence, tx.now_ms().saturating_add(lease_ms))?;
    // What is sent beside a task is no sign that anybody works on it.
    if !job.effect.is_side() {
        let repository = need(tx, fence.job.task)?.repository().clone();
        lease::renew(tx, &repository, fence.job.task, &worker, lease_ttl_ms)?;
    }
    Ok(if job.stop { Beat::Stop } else { Beat::Held })
}

/// Puts a claimed job back; `false` if the fence is old.
pub fn requeue<T: Tx>(tx: &mut T, fence: Fence, r: &Requeue) -> Result<bool, T::Error> {
    let Some(mut job) = held(tx, fence)? else { return Ok(false) };
    match r.charge {
        Charge::Attempt => job.attempts += 1,
        Charge::Transient => job.transient_attempts += 1,
        Charge::Death => job.deaths += 1,
        Charge::Nothing => {}
    }
    job.run_attempt += u32::from(r.new_run);
    job.state = JobState::Queued;
    job.available_at = r.not_before;
    job.last_fault = Some(r.fault.clone());
    job.parked.clone_from(&r.parked);
    // Whoever claims it next goes on with what has begun; another run has a reservation of its own.
    if r.new_run {
        money::let_go(tx, fence.job)?;
    } else {
        money::give_back(tx, fence.job)?;
    }
    let open_run = tx.has_open_run(fence.job, job.run_attempt)?;
    if need(tx, fence.job.task)?.holds_back(fence.job.seq, &job.effect, job.epoch, open_run) {
        // It is claimed next to be ended, and waits for nothing: its task may hold the merge lease.
        job.available_at = job.available_at.min(job.created_at);
        job.parked = None;
    }
    tx.save_job(&job)?;
    Ok(true)
}

/// A person holds the task: its job ends if nobody has begun it. What follows from that is returned as the next event; one
/// that is claimed goes on to its end.
pub(crate) fn hold_back<T: Tx>(tx: &mut T, task: &Task, seq: Seq, now: Time) -> Result<Option<Event>, T::Error> {
    let id = JobId { task: task.id, seq };
    let Some(job) = tx.open_job(id)?.filter(|job| job.state == JobState::Queued) else { return Ok(None) };
    if !task.holds_back(seq, &job.effect, job.epoch, tx.has_open_run(id, job.run_attempt)?) {
        return Ok(None);
    }
    end(tx, id, &Outcome::Cancelled, now)?;
    Ok(Some(Event::JobEnded { job: seq, outcome: Outcome::Cancelled }))
}

/// Takes back every claim that was not renewed in time, whoever had it.
pub fn reap<T: Tx>(tx: &mut T) -> Result<Vec<Reaped>, T::Error> {
    let now_ms = tx.now_ms();
    take_back(tx, |claim| claim.until_ms < now_ms)
}

/// Every other worker is known to be dead: takes back every claim of one.
pub fn take_from_others<T: Tx>(tx: &mut T, worker: &str) -> Result<Vec<Reaped>, T::Error> {
    take_back(tx, |claim| claim.worker != worker)
}

/// What is taken back is queued again at once. It is a death of its worker where the worker was what did the work; where a
/// supervisor does it, or nothing but time passes, the death of the process that waited says nothing. Nothing is charged in
/// a lane this version does not know.
fn take_back<T: Tx>(tx: &mut T, which: impl Fn(&Claim) -> bool) -> Result<Vec<Reaped>, T::Error> {
    let mut back = Vec::new();
    for claim in tx.claims()?.into_iter().filter(which) {
        let died = claim.lane.is_some_and(|lane| !lane.outlives_workers());
        let deaths = claim.deaths + u32::from(died);
        tx.give_back(claim.job, deaths, died.then(worker_died).as_ref())?;
        money::give_back(tx, claim.job)?;
        back.push(Reaped { job: claim.job, worker: claim.worker, deaths });
    }
    Ok(back)
}

fn worker_died() -> FaultNote {
    FaultNote::new(FaultKind::Transient, "the worker that had it died or did not answer").coded(FaultCode::WorkerDied)
}

/// Takes back exactly this claim: its worker hangs, which counts as a death. `None`: the fence is old.
pub fn take_from<T: Tx>(tx: &mut T, fence: Fence) -> Result<Option<Reaped>, T::Error> {
    let mine = |claim: &Claim| claim.job == fence.job && claim.epoch == fence.epoch;
    let Some(claim) = tx.claims()?.into_iter().find(mine) else { return Ok(None) };
    let deaths = claim.deaths + 1;
    // What an agent's own attempt came to is in its next brief: its worker is nothing to it.
    let died = (claim.lane != Some(Lane::Agent)).then(worker_died);
    tx.give_back(claim.job, deaths, died.as_ref())?;
    money::give_back(tx, claim.job)?;
    Ok(Some(Reaped { job: claim.job, worker: claim.worker, deaths }))
}

/// A process that ends in order gives back what it has claimed; no worker has died.
pub fn release<T: Tx>(tx: &mut T, worker: &str) -> Result<u64, T::Error> {
    let mut released = 0;
    for claim in tx.claims()?.into_iter().filter(|claim| claim.worker == worker) {
        tx.give_back(claim.job, claim.deaths, None)?;
        released += 1;
        money::give_back(tx, claim.job)?;
    }
    Ok(released)
}

/// Ends a job.
pub(crate) fn end<T: Tx>(tx: &mut T, id: JobId, outcome: &Outcome, now: Time) -> Result<(), T::Error> {
    let (state, fault) = match outcome {
        Outcome::Failed { fault } => (JobState::Failed, Some(fault)),
        Outcome::Cancelled => (JobState::Cancelled, None),
        _ => (JobState::Done, None),
    };
    money::let_go(tx, id)?;
    let spends = u32::from(fault.is_some_and(|f| f.kind != FaultKind::Transient));
    if tx.end_job(id, &End { state, spends, fault, outcome, now })? {
        return Ok(());
    }
    Err(bug(format!("there is no open job {id} to end")))
}
