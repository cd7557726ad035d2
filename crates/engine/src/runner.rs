//! The job runner: claims by lane, keeps the claim alive, lets the effect ensure what it is for, and settles. What an end
//! means for the job is decided in `orch_core::retry`, by one rule for all kinds of work. A panic in an effect ends here.
//!
//! Before a job is tried it may be refused: a job that has cost too many workers their lives is quarantined, and one
//! whose outside service does not answer is parked (`services.rs`), as is an agent's whose run fits into no budget
//! (`budgets.rs`).

use crate::budgets;
use crate::cx::{Cx, Ended};
use crate::effects;
use crate::engine::{AtWork, Engine};
use crate::halt::Halt;
use crate::{pause, programs, services, standing};
use orch_core::effect::{Class, Effect, Lane, Outcome};
use orch_core::event::Event;
use orch_core::retry::{self, DEATHS, Next, TELL_AFTER, Tried};
use orch_ports::Fault;
use orch_store::{Beat, Cause, ClaimRequest, Fence, Job, Requeue, Share, Stepped};
use std::sync::{Arc, PoisonError};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument as _;

tokio::task_local! {
    static AT_WORK: Fence;
}

/// The claim under which the calling task does an effect's work; `None` outside of effects.
pub fn at_work() -> Option<Fence> {
    AT_WORK.try_with(|fence| *fence).ok()
}

/// How long such a trial may keep everybody else waiting, milliseconds.
const TRIAL_MS: u64 = 60_000;

/// Before anything else is claimed, jobs that were at work at several deaths are tried one by one. Whoever takes the
/// process along then has done it: of those that only stood beside it the next start will know.
pub(crate) async fn trials(engine: &Arc<Engine>, shutdown: &CancellationToken, jobs: &mut JoinSet<()>) {
    let open = match engine.ports.store.open_jobs(None).await {
        Ok(open) => open,
        Err(error) => return tracing::warn!(%error, "cannot look for jobs that are to be tried alone"),
    };
    let halt = engine.halting.now();
    let may_begin = |j: &Job| !halt.drained && halt.pauses.of(&j.project).is_none();
    let suspects = open.iter().filter(|j| j.tries().is_suspect() && !j.lane.outlives_workers() && may_begin(j));
    for suspect in suspects {
        let request = claim_request(engine, suspect.lane);
        // One that waits for something else is not tried now, nor is anything lost by a claim that fails.
        let Ok(Some(job)) = engine.ports.store.claim_one(suspect.id, request).await else { continue };
        tracing::info!(job = %job.id, what = job.effect.describe(), deaths = job.deaths, "is tried alone");
        let over = CancellationToken::new();
        let (engine_, shutdown_, guard) = (Arc::clone(engine), shutdown.clone(), over.clone().drop_guard());
        jobs.spawn(async move {
            run_job(&engine_, job, &shutdown_).await;
            drop(guard);
        });
        tokio::select! { () = over.cancelled() => {}, () = engine.ports.clock.sleep_ms(TRIAL_MS) => {} }
    }
}

/// Claims and runs the jobs of one lane until `shutdown`. Runs under supervisors are left to them; everything else is
/// short and is waited for.
pub(crate) async fn run_lane(engine: Arc<Engine>, lane: Lane, shutdown: CancellationToken) {
    let mut jobs = JoinSet::new();
    let mut halt = engine.halting.subscribe();
    loop {
        while jobs.try_join_next().is_some() {}
        if shutdown.is_cancelled() {
            break;
        }
        if halt.borrow_and_update().drained {
            tokio::select! { _ = halt.changed() => {}, () = shutdown.cancelled() => {} }
            continue;
        }
        if places(&engine, lane) <= jobs.len() {
            tokio::select! { _ = jobs.join_next() => {}, () = shutdown.cancelled() => {} }
            continue;
        }
        match claim(&engine, lane).await {
            Ok(Some(job)) => {
                let engine = Arc::clone(&engine);
                let shutdown = shutdown.clone();
                jobs.spawn(async move { run_job(&engine, job, &shutdown).await });
            }
            Ok(None) => {
                // A job that ends may be what its project's next one waits for.
                tokio::select! {
                    () = idle(&engine, lane, &shutdown) => {}
                    Some(_) = jobs.join_next() => {}
                }
            }
            Err(fault) => {
                tracing::error!(lane = lane.as_str(), %fault, "cannot claim work; trying again");
                tokio::select! { () = engine.ports.clock.sleep_ms(1_000) => {}, () = shutdown.cancelled() => {} }
            }
        }
    }
    while jobs.join_next().await.is_some() {}
}

async fn claim(engine: &Engine, lane: Lane) -> Result<Option<Job>, Fault> {
    let _claiming = engine.halting.claiming.read().await;
    let Halt { drained, pauses } = engine.halting.now();
    if drained {
        return Ok(None);
    }
    let except = pauses.projects.keys().cloned().collect();
    let request = ClaimRequest { except, ..claim_request(engine, lane) };
    if let Some(job) = pause::claim_under_way(engine, &request, &pauses).await? {
        return Ok(Some(job));
    }
    if pauses.all.is_some() {
        return Ok(None);
    }
    Ok(engine.ports.store.claim(request).await?)
}

fn claim_request(engine: &Engine, lane: Lane) -> ClaimRequest {
    // Read once: at midnight the run would be counted to one day and fit into the budget of the other.
    let now = engine.ports.clock.now();
    ClaimRequest {
        lane,
        worker: engine.options.worker.clone(),
        now,
        lease_ms: engine.options.claim_ms,
        share: share(lane, width(engine, lane), engine.projects().len()),
        except: Vec::new(),
        terms: budgets::terms(engine, lane, now),
    }
}

fn width(engine: &Engine, lane: Lane) -> usize {
    engine.options.widths.get(&lane).copied().unwrap_or(4).max(1)
}

/// What one project may take of a lane. Agents and commands are what a machine has little of: there a place is kept for
/// every other project that is at work. An agent may take hours, so of their places one project never has the last:
/// another one's first turn does not wait for it. The rest is short or only waits, and each project has the width for
/// itself.
fn share(lane: Lane, width: usize, projects: usize) -> Share {
    let all = u32::try_from(width).unwrap_or(u32::MAX);
    match lane {
        Lane::Agent if 1 < projects && 1 < all => Share { each: all - 1, all },
        Lane::Agent | Lane::Command => Share { each: all, all },
        Lane::Deploy | Lane::Forge | Lane::Gate | Lane::Message | Lane::Watch => Share { each: all, all: u32::MAX },
    }
}

/// Most jobs of a lane at once. Agents are never more than was configured. Of commands each further project may run one
/// more, so that an hour of one project's tests does not stand before another's.
fn places(engine: &Engine, lane: Lane) -> usize {
    let (width, projects) = (width(engine, lane), engine.projects().len().max(1));
    match lane {
        Lane::Agent => width,
        Lane::Command => width + projects - 1,
        Lane::Deploy | Lane::Forge | Lane::Gate | Lane::Message | Lane::Watch => width.saturating_mul(projects),
    }
}

/// Sleeps until the lane is woken; a second at most, so that a lost wake-up or a delayed job costs no more than that.
async fn idle(engine: &Engine, lane: Lane, shutdown: &CancellationToken) {
    let woken = async {
        match engine.wake.get(&lane) {
            Some(notify) => notify.notified().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = woken => {}
        () = engine.ports.clock.sleep_ms(1_000) => {}
        () = shutdown.cancelled() => {}
    }
}

/// What is logged while a job is worked on says which one it is: job, run, repository, and once the task is read its name
/// and branch. An error span, so that a filter that shows warnings only shows it too.
async fn run_job(engine: &Arc<Engine>, job: Job, shutdown: &CancellationToken) {
    let run = format!("{}-{}", job.id, job.run_attempt);
    let (work_item, branch) = (tracing::field::Empty, tracing::field::Empty);
    let span = tracing::error_span!("job", job_id = %job.id, run_id = run, repo = %job.project, work_item, branch);
    work_on(engine, job, shutdown).instrument(span).await;
}

async fn work_on(engine: &Arc<Engine>, job: Job, shutdown: &CancellationToken) {
    let [stop, give_up, over] = [(); 3].map(|()| CancellationToken::new());
    let mine = AtWork { epoch: job.epoch, stop: stop.clone(), give_up: give_up.clone(), over: over.clone() };
    let before = engine.running.lock().unwrap_or_else(PoisonError::into_inner).insert(job.id, mine);
    let over = over.drop_guard();
    if let Some(before) = &before {
        before.give_up.cancel();
    }
    if let Some(next) = refuse(engine, &job).await {
        write_down(engine, &job, next, shutdown).await;
        forget(engine, &job);
        // Whoever comes next still has to wait for it.
        if let Some(before) = before.filter(|b| !b.over.is_cancelled()) {
            engine.running.lock().unwrap_or_else(PoisonError::into_inner).entry(job.id).or_insert(before);
        }
        return;
    }
    if let Some(before) = before {
        // A worker that lost its claim may stand between its last look and an act. There is only one process, so it is
        // in here: it ends before its successor begins.
        before.over.cancelled().await;
    }
    if job.stop {
        stop.cancel();
    }
    let work = {
        let (engine, job, stop) = (Arc::clone(engine), job.clone(), stop.clone());
        async move {
            match Cx::load(engine, job, stop).await {
                Ok(cx) => effects::ensure(&cx).await,
                Err(fault) => Err(fault),
            }
        }
    };
    // A task of its own, so that a panic of one effect ends there; it ends with whoever waits for it.
    #[allow(clippy::disallowed_methods)]
    let mut work = AbortOnDropHandle::new(tokio::spawn(AT_WORK.scope(job.fence(), work).in_current_span()));
    let ended = tokio::select! {
        joined = &mut work => Some(joined.unwrap_or_else(|error| {
            let text = if error.is_panic() { panic_text(error) } else { "it was aborted".to_owned() };
            Err(Fault::bug(format!("the effect panicked: {text}")))
        })),
        () = keep_alive(engine, &job, &stop) => None,
        () = give_up.cancelled() => None,
        () = out_of_time(engine, job.lane, shutdown) => None,
    };
    if ended.is_none() {
        // The claim is somebody else's by now, or the process ends: nothing of this is reported.
        work.abort();
        let _ = work.await;
    }
    drop(over);
    if let Some(ended) = ended {
        let still_runs = programs::still_runs(engine, &job, stop.is_cancelled()).await;
        let tried = tried(ended).weighed(stop.is_cancelled(), still_runs);
        if !tried.is_a_guess() {
            engine.refusals.lock().unwrap_or_else(PoisonError::into_inner).forget(job.id);
        }
        services::hear(engine, &job, &tried).await;
        write_down(engine, &job, conclude(engine, &job, tried), shutdown).await;
    }
    forget(engine, &job);
}

/// Nobody is at work on this claim any more; a later claim of the same job is left as it is.
fn forget(engine: &Engine, job: &Job) {
    let mut running = engine.running.lock().unwrap_or_else(PoisonError::into_inner);
    if running.get(&job.id).is_some_and(|at_work| at_work.epoch == job.epoch) {
        running.remove(&job.id);
    }
}

/// At shutdown, work that lives under a supervisor is left to it at once; short work may finish.
async fn out_of_time(engine: &Engine, lane: Lane, shutdown: &CancellationToken) {
    shutdown.cancelled().await;
    if !lane.outlives_workers() {
        engine.ports.clock.sleep_ms(5_000).await;
    }
}

fn panic_text(error: tokio::task::JoinError) -> String {
    let panic = error.into_panic();
    panic
        .downcast_ref::<&str>()
        .map(|s| (*s).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".into())
}

/// Renews the claim; ends when it is lost.
async fn keep_alive(engine: &Engine, job: &Job, stop: &CancellationToken) {
    let every = u64::try_from(engine.options.claim_ms / 3).unwrap_or(1_000).max(50);
    loop {
        engine.ports.clock.sleep_ms(every).await;
        let (claim, lease) = (engine.options.claim_ms, engine.options.merge_lease_ms);
        match engine.ports.store.heartbeat(job.fence(), claim, lease).await {
            Ok(Beat::Held) => {}
            Ok(Beat::Stop) => stop.cancel(),
            Ok(Beat::Lost) => {
                tracing::warn!(job = %job.id, "the claim was lost; this worker lets go");
                return;
            }
            Err(error) => tracing::error!(job = %job.id, %error, "cannot renew the claim"),
        }
    }
}

/// Must this job not be tried now?
async fn refuse(engine: &Engine, job: &Job) -> Option<Next> {
    if job.stop {
        return None;
    }
    if is_held_back(engine, job).await {
        return Some(Next::Settle(Outcome::Cancelled));
    }
    let (now, pauses) = (engine.ports.clock.now(), engine.options.pauses());
    // What has cost too many workers their lives is asked to end before its job is over.
    let runs = DEATHS <= job.deaths && programs::still_runs(engine, job, true).await;
    let quarantined = retry::quarantine(&job.effect, &job.tries(), job.last_fault.as_ref(), now, pauses, runs);
    if quarantined.is_some() {
        return quarantined;
    }
    match budgets::refuse(engine, job).await {
        Some(next) => Some(next),
        None => standing::park(engine, job).or_else(|| services::park(engine, job)).map(Next::Requeue),
    }
}

/// Must it not begin, because a person holds its task? Not being able to look is no reason to end it.
async fn is_held_back(engine: &Engine, job: &Job) -> bool {
    if job.effect.is_side() {
        return false;
    }
    let Ok(task) = engine.task(job.id.task).await else { return false };
    // Asked first as if nothing of it ran: most tasks are not held, and their runs are not looked up for this.
    let (seq, claims) = (job.id.seq, job.epoch.saturating_sub(1));
    task.holds_back(seq, &job.effect, claims, false)
        && task.holds_back(seq, &job.effect, claims, programs::has_program(engine, job).await)
}

/// An executor's end in the words of the rules.
fn tried(ended: Result<Ended, Fault>) -> Tried {
    match ended {
        Ok(Ended::Outcome(outcome)) => Tried::Outcome(outcome),
        Ok(Ended::Tried(tried)) => *tried,
        Ok(Ended::Again { charge, new_run, not_before, fault }) => {
            Tried::Again { charge, new_run, not_before, failure: fault.into() }
        }
        Err(fault) => Tried::Failed(fault.into()),
    }
}

/// What the end of a try means for its job.
fn conclude(engine: &Engine, job: &Job, tried: Tried) -> Next {
    let now = engine.ports.clock.now();
    let is_final = |text: &str| engine.refusals.lock().unwrap_or_else(PoisonError::into_inner).is_final(job.id, text);
    let next = retry::conclude(&job.effect, &job.tries(), tried, now, engine.options.pauses(), is_final);
    if let Next::Requeue(requeue) = &next {
        let (what, fault) = (job.effect.describe(), &requeue.fault.text);
        tracing::info!(job = %job.id, what, fault, "goes back to the queue");
    }
    next
}

/// Writes down what came of a job; if that cannot be written now, it is tried until it can or the claim is lost.
async fn write_down(engine: &Engine, job: &Job, next: Next, shutdown: &CancellationToken) {
    let mut pause_ms = 200;
    loop {
        let result = match &next {
            Next::Settle(outcome) => {
                let event = Event::JobEnded { job: job.id.seq, outcome: outcome.clone() };
                engine.step(job.id.task, Cause::Job(job.fence()), event).await.map(|s| matches!(s, Stepped::Fenced))
            }
            Next::Requeue(requeue) => {
                engine.ports.store.requeue(job.fence(), requeue.clone()).await.map(|kept| !kept).map_err(Into::into)
            }
        };
        match result {
            Ok(fenced) => {
                if fenced {
                    tracing::warn!(job = %job.id, epoch = job.epoch, "a late result was fenced off");
                } else {
                    after(engine, job, &next).await;
                }
                return;
            }
            Err(fault) => {
                tracing::error!(job = %job.id, %fault, "cannot write down a result; trying again");
                tokio::select! {
                    () = engine.ports.clock.sleep_ms(pause_ms) => {}
                    () = shutdown.cancelled() => return,
                }
                pause_ms = (pause_ms * 2).min(5_000);
            }
        }
    }
}

/// What the rest of the process has to know of a settled job.
async fn after(engine: &Engine, job: &Job, next: &Next) {
    if job.refused.is_none() {
        budgets::tell(engine, job).await;
    }
    match (next, &job.effect) {
        (Next::Settle(_), Effect::EnsureCi { commit }) => {
            let event = Event::Nudged { what: format!("CI has judged {}", commit.short()) };
            // Not being able to say so loses nothing: the gate looks again by itself.
            if let Err(fault) = engine.step(job.id.task, Cause::Engine, event).await {
                tracing::warn!(%fault, "could not say that CI is through");
            }
        }
        (Next::Requeue(requeue), effect) if retry::is_stuck(effect, &job.tries(), requeue.charge) => {
            say_it_is_stuck(engine, job, requeue).await;
        }
        _ => {}
    }
    if let Next::Requeue(Requeue { parked: None, .. }) = next
        && let Some(notify) = engine.wake.get(&job.lane)
    {
        notify.notify_one();
    }
}

/// People hear of a job that was tried often enough for them to look.
async fn say_it_is_stuck(engine: &Engine, job: &Job, requeue: &Requeue) {
    let effect = &job.effect;
    // Of a service that does not answer at all people know already; of a notice none could tell them.
    let known = effect.class() == Class::Repeatable && services::is_open(engine, job);
    if known || matches!(effect, Effect::Notify { .. }) {
        return;
    }
    let item = engine.task(job.id.task).await.map(|t| t.work_item.to_string()).ok();
    let name = item.unwrap_or_else(|| format!("task {}", job.id.task));
    let (what, fault) = (effect.describe(), &requeue.fault.text);
    let text = match effect.class() {
        Class::Irreversible => format!("{name}: cannot find out whether this has happened: {what}: {fault}"),
        Class::Repeatable => format!("{name}: could not {what} {TELL_AFTER} times, and tries again by itself: {fault}"),
    };
    engine.notice(job.id.task, format!("unknown-{}", job.id), text).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_project_has_the_last_place_for_an_agent_while_there_is_another_project() {
        assert_eq!(share(Lane::Agent, 4, 1), Share { each: 4, all: 4 });
        assert_eq!(share(Lane::Agent, 4, 2), Share { each: 3, all: 4 });
        // With one place they take turns.
        assert_eq!(share(Lane::Agent, 1, 2), Share { each: 1, all: 1 });
        assert_eq!(share(Lane::Command, 2, 9), Share { each: 2, all: 2 });
        assert_eq!(share(Lane::Forge, 4, 9), Share { each: 4, all: u32::MAX });
    }
}
