//! The job runner: claims by lane, keeps the claim alive, lets the effect ensure what it is for, and settles. One rule
//! for retries and back-off for all kinds of work. A panic in an effect ends here.
//!
//! Before a job is tried it may be refused: a job that has cost too many workers their lives is quarantined, and one
//! whose outside service does not answer is parked (`services.rs`).

use crate::effects::{self, Cx, Ended};
use crate::engine::Engine;
use crate::services;
use orch_core::effect::{Class, Effect, Lane, Outcome};
use orch_core::event::Event;
use orch_core::ids::{JobId, Time};
use orch_core::verdict::FaultKind;
use orch_ports::Fault;
use orch_ports::notifier::Notice;
use orch_store::{Beat, Cause, Charge, ClaimRequest, Fence, Job, Requeue, Share, Stepped};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

tokio::task_local! {
    static AT_WORK: Fence;
}

/// The claim under which the calling task does an effect's work; `None` outside of effects.
pub fn at_work() -> Option<Fence> {
    AT_WORK.try_with(|fence| *fence).ok()
}

/// A person is told after this many faults of one job that cost it nothing: it is never given up, so nobody else would.
const TELL_AFTER: u32 = 10;

/// A refusal whose kind is a guess is final when a job has met the same one this often in a row.
const REFUSALS: u32 = 5;

/// A job whose workers died this often is not tried again: it would take the next one along, and everybody's work with it.
const DEATHS: u32 = 3;

/// From this many deaths on, a job that does its work inside the process is tried alone at a start.
const SUSPECT: u32 = DEATHS - 1;
/// How long such a trial may keep everybody else waiting, milliseconds.
const TRIAL_MS: u64 = 60_000;

/// Before anything else is claimed, jobs that were at work at several deaths are tried one by one. Whoever takes the
/// process along then has done it: of those that only stood beside it the next start will know.
pub(crate) async fn trials(engine: &Arc<Engine>, shutdown: &CancellationToken, jobs: &mut JoinSet<()>) {
    let open = match engine.ports.store.open_jobs(None).await {
        Ok(open) => open,
        Err(error) => return tracing::warn!(%error, "cannot look for jobs that are to be tried alone"),
    };
    let suspects = open.iter().filter(|j| SUSPECT <= j.deaths && !j.lane.outlives_workers());
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
    let mut draining = engine.draining.subscribe();
    loop {
        while jobs.try_join_next().is_some() {}
        if shutdown.is_cancelled() {
            break;
        }
        if *draining.borrow() {
            tokio::select! { _ = draining.changed() => {}, () = shutdown.cancelled() => {} }
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
    Ok(engine.ports.store.claim(claim_request(engine, lane)).await?)
}

fn claim_request(engine: &Engine, lane: Lane) -> ClaimRequest {
    ClaimRequest {
        lane,
        worker: engine.options.worker.clone(),
        now: engine.ports.clock.now(),
        boot: engine.ports.clock.boot(),
        lease_ms: engine.options.claim_ms,
        share: share(lane, width(engine, lane), engine.projects().len()),
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

/// A job this process is at work on.
pub(crate) struct AtWork {
    epoch: u64,
    /// Somebody wants the job stopped.
    pub(crate) stop: CancellationToken,
    /// Its claim is somebody else's.
    give_up: CancellationToken,
    /// It can cause nothing outside any more.
    over: CancellationToken,
}

async fn run_job(engine: &Arc<Engine>, job: Job, shutdown: &CancellationToken) {
    let [stop, give_up, over] = [(); 3].map(|()| CancellationToken::new());
    let mine = AtWork { epoch: job.epoch, stop: stop.clone(), give_up: give_up.clone(), over: over.clone() };
    let before = engine.running.lock().unwrap_or_else(PoisonError::into_inner).insert(job.id, mine);
    let over = over.drop_guard();
    if let Some(before) = &before {
        before.give_up.cancel();
    }
    if let Some(next) = refuse(engine, &job) {
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
    // A task of its own, so that a panic of one effect ends there.
    #[allow(clippy::disallowed_methods)]
    let mut work = tokio::spawn(AT_WORK.scope(job.fence(), work));
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
    match ended {
        // Whatever a job that is to be stopped would still like to try again, it is stopped.
        Some(ended) if stop.is_cancelled() && !matches!(ended, Ok(Ended::Outcome(_))) => {
            write_down(engine, &job, Next::Settle(Outcome::Cancelled), shutdown).await;
        }
        Some(ended) => {
            if !matches!(&ended, Err(fault) if fault.unsure) {
                engine.refusals.forget(job.id);
            }
            services::hear(engine, &job, &ended).await;
            write_down(engine, &job, conclude(engine, &job, ended), shutdown).await;
        }
        None => {}
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
        let boot = engine.ports.clock.boot();
        let (claim, lease) = (engine.options.claim_ms, engine.options.merge_lease_ms);
        match engine.ports.store.heartbeat(job.fence(), boot, claim, lease).await {
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
fn refuse(engine: &Engine, job: &Job) -> Option<Next> {
    if job.stop {
        return None;
    }
    if DEATHS <= job.deaths
        && let Some(next) = quarantine(engine, job)
    {
        return Some(next);
    }
    services::park(engine, job).map(Next::Requeue)
}

/// A job of a task's way fails, and a person decides. A merge, or what nobody waits for (a message, a ticket's state),
/// must not be lost: it is only put off, longer after every death, so that everybody else gets on.
fn quarantine(engine: &Engine, job: &Job) -> Option<Next> {
    let (what, n) = (job.effect.describe(), job.deaths);
    let text = format!("quarantined: {n} workers died while they were to {what}; look at the log before a retry");
    if job.effect.class() == Class::Repeatable && !job.effect.is_side() {
        return Some(Next::Settle(Outcome::Failed { fault: Fault::permanent(text).note() }));
    }
    if job.last_fault.as_ref().is_some_and(|f| f.text == text) {
        // It has been put off for this death.
        return None;
    }
    let (first, max) = (engine.options.backoff_ms.saturating_mul(10), engine.options.backoff_max_ms);
    let not_before = engine.ports.clock.now().plus_ms(backoff_ms(first, max, n - DEATHS, job.id));
    let fault = Fault::transient(text).note();
    Some(Next::Requeue(Requeue { charge: Charge::Nothing, new_run: false, not_before, fault, parked: None }))
}

/// What the end of a job means for it.
fn conclude(engine: &Engine, job: &Job, ended: Result<Ended, Fault>) -> Next {
    match ended {
        Ok(Ended::Outcome(outcome)) => Next::Settle(outcome),
        Ok(Ended::Again { charge, new_run, not_before, fault }) => {
            again(engine, job, charge, new_run, not_before, fault)
        }
        Err(fault) => match fault.kind {
            FaultKind::Gone | FaultKind::Bug => again(engine, job, Charge::Attempt, true, None, fault),
            FaultKind::Denied | FaultKind::Permanent if !never_given_up(&job.effect) => {
                if fault.unsure && !engine.refusals.is_final(job.id, &fault.text) {
                    return again(engine, job, Charge::Transient, false, None, fault);
                }
                Next::Settle(Outcome::Failed { fault: fault.note() })
            }
            FaultKind::Transient | FaultKind::Denied | FaultKind::Permanent => {
                again(engine, job, Charge::Transient, false, None, fault)
            }
        },
    }
}

/// What jobs were refused last, and how often in a row. Of this process only: a new one counts from the beginning.
#[derive(Debug, Default)]
pub(crate) struct Refusals(Mutex<BTreeMap<JobId, (String, u32)>>);

impl Refusals {
    /// Notes a refusal; true if this job has met the same one too often.
    fn is_final(&self, job: JobId, text: &str) -> bool {
        let text = alike(text);
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let last = all.entry(job).or_default();
        let times = if last.0 == text { last.1 + 1 } else { 1 };
        *last = (text, times);
        if times < REFUSALS {
            return false;
        }
        all.remove(&job);
        true
    }

    /// The job has come to an end, or its service has not answered at all.
    fn forget(&self, job: JobId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&job);
    }
}

/// A refusal without what is different each time: numbers, ids and the names of temporary files, which have a digit.
fn alike(text: &str) -> String {
    let word = |word: &str| if word.contains(|c: char| c.is_ascii_digit()) { "#".to_owned() } else { word.to_owned() };
    text.split(|c: char| c.is_whitespace() || matches!(c, '/' | '\'' | ':' | ',' | '(' | ')'))
        .map(word)
        .collect::<Vec<_>>()
        .join(" ")
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

enum Next {
    Settle(Outcome),
    Requeue(Requeue),
}

/// A merge, whose outcome must become known; and CI, which somebody waits for without being its job's owner: nobody else
/// would ever ask for it again. A closed task's CI ends by itself.
fn never_given_up(effect: &Effect) -> bool {
    effect.class() == Class::Irreversible || matches!(effect, Effect::EnsureCi { .. })
}

fn again(engine: &Engine, job: &Job, charge: Charge, new_run: bool, not_before: Option<Time>, fault: Fault) -> Next {
    let forever = never_given_up(&job.effect);
    if charge == Charge::Attempt && !forever && job.max_attempts <= job.attempts + 1 {
        return Next::Settle(Outcome::Failed { fault: fault.note() });
    }
    let tries = match charge {
        Charge::Attempt => job.attempts,
        Charge::Death => job.deaths,
        Charge::Transient | Charge::Nothing => job.transient_attempts,
    };
    let pause = backoff_ms(engine.options.backoff_ms, engine.options.backoff_max_ms, tries, job.id);
    let asked = fault.retry_after.map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX));
    let now = engine.ports.clock.now();
    let not_before = not_before.unwrap_or(now).max(now.plus_ms(pause.max(asked)));
    tracing::info!(job = %job.id, what = job.effect.describe(), %fault, "goes back to the queue");
    let charge = if charge == Charge::Attempt && forever { Charge::Transient } else { charge };
    Next::Requeue(Requeue { charge, new_run, not_before, fault: fault.note(), parked: None })
}

/// Doubling pauses with up to a quarter of jitter, the same for the same job and try: jitter is there to spread jobs, not
/// to surprise tests.
pub(crate) fn backoff_ms(first: i64, max: i64, tries: u32, job: JobId) -> i64 {
    let pause = first.saturating_mul(1_i64 << tries.min(20)).min(max);
    let mixed = (job.task.0.unsigned_abs() ^ (u64::from(job.seq) << 20) ^ (u64::from(tries) << 40))
        .wrapping_mul(0x9E37_79B9_7F4A_7C15);
    pause + (pause / 4) * i64::try_from(mixed >> 56).unwrap_or(0) / 256
}

/// What the rest of the process has to know of a settled job.
async fn after(engine: &Engine, job: &Job, next: &Next) {
    match (next, &job.effect) {
        (Next::Settle(_), Effect::EnsureCi { commit }) => {
            let event = Event::Nudged { what: format!("CI has judged {}", commit.short()) };
            // Not being able to say so loses nothing: the gate looks again by itself.
            if let Err(fault) = engine.step(job.id.task, Cause::Engine, event).await {
                tracing::warn!(%fault, "could not say that CI is through");
            }
        }
        // A ticket or a comment that cannot be written is seen in the queue; it stops nothing.
        (
            Next::Requeue(_),
            Effect::SyncTicket | Effect::Notify { .. } | Effect::CleanUp | Effect::NoteFindings { .. },
        ) => {}
        (Next::Requeue(requeue), effect)
            if requeue.charge == Charge::Transient && job.transient_attempts + 1 == TELL_AFTER =>
        {
            // Of a service that does not answer at all people know already.
            if effect.class() == Class::Repeatable && services::is_open(engine, job) {
                return;
            }
            let item = engine.task(job.id.task).await.map(|t| t.work_item.to_string()).ok();
            let name = item.clone().unwrap_or_else(|| format!("task {}", job.id.task));
            let (what, fault) = (effect.describe(), &requeue.fault.text);
            let text = match effect.class() {
                Class::Irreversible => format!("{name}: cannot find out whether this has happened: {what}: {fault}"),
                Class::Repeatable => {
                    format!("{name}: could not {what} {TELL_AFTER} times, and tries again by itself: {fault}")
                }
            };
            let notice = Notice { work_item: item, text, key: format!("unknown-{}", job.id) };
            if let Err(fault) = engine.ports.notifier.tell(&notice).await {
                tracing::warn!(%fault, "could not tell a person");
            }
        }
        _ => {}
    }
    if let Next::Requeue(Requeue { parked: None, .. }) = next
        && let Some(notify) = engine.wake.get(&job.lane)
    {
        notify.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use orch_core::ids::TaskId;

    #[test]
    fn a_refusal_is_final_when_it_is_the_same_again_and_again() {
        let (one, other) = (JobId { task: TaskId(7), seq: 3 }, JobId { task: TaskId(7), seq: 4 });
        let refusals = Refusals::default();
        let said = |n: u32| format!("push feature/x: pack-objects died, see /tmp/tmp_pack_x{n}Y and 1234567{n}");
        for n in 1..REFUSALS {
            assert!(!refusals.is_final(one, &said(n)), "{n}");
            assert!(!refusals.is_final(other, &said(n)), "each job is counted alone");
        }
        assert!(refusals.is_final(one, &said(9)));
        assert!(!refusals.is_final(other, "push feature/x: something else"), "another refusal is another beginning");
        for n in 2..REFUSALS {
            assert!(!refusals.is_final(other, "push feature/x: something else"), "{n}");
        }
        refusals.forget(other);
        assert!(!refusals.is_final(other, "push feature/x: something else"));
    }

    #[test]
    fn no_project_has_the_last_place_for_an_agent_while_there_is_another_project() {
        assert_eq!(share(Lane::Agent, 4, 1), Share { each: 4, all: 4 });
        assert_eq!(share(Lane::Agent, 4, 2), Share { each: 3, all: 4 });
        // With one place they take turns.
        assert_eq!(share(Lane::Agent, 1, 2), Share { each: 1, all: 1 });
        assert_eq!(share(Lane::Command, 2, 9), Share { each: 2, all: 2 });
        assert_eq!(share(Lane::Forge, 4, 9), Share { each: 4, all: u32::MAX });
    }

    #[test]
    fn pauses_double_are_bounded_and_never_shrink_below_their_base() {
        let job = JobId { task: TaskId(7), seq: 3 };
        let pauses: Vec<i64> = (0..12).map(|n| backoff_ms(1_000, 60_000, n, job)).collect();
        for (n, pause) in pauses.iter().enumerate() {
            let base = (1_000_i64 << n).min(60_000);
            assert!((base..=base + base / 4).contains(pause), "try {n}: {pause}");
        }
        assert_eq!(pauses, (0..12).map(|n| backoff_ms(1_000, 60_000, n, job)).collect::<Vec<_>>());
    }
}
