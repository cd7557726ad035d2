//! The one recovery mechanism while the process lives: it ends what a dead or hung worker still holds. Claims whose lease
//! has run out, whose supervisor is dead, whose run has ended and is never finalised, or that are too old, go back to the
//! queue; merge leases nobody renews are freed. What a claim was for is found out by whoever claims it next, because every
//! executor looks before it acts: the claim comes before the act, and the old one is worth nothing from then on.
//!
//! A live agent within its time limit is never touched. Ages are measured on the boot clock, from the first look at a
//! claim: a wall clock that jumps reaps nobody.

use super::report::Report;
use crate::engine::Engine;
use orch_core::effect::{Effect, Lane};
use orch_core::event::Event;
use orch_core::ids::JobId;
use orch_core::reap::{Seen, Sighting};
use orch_ports::Fault;
use orch_ports::supervisor::{RunSpec, RunState, files};
use orch_store::{Cause, Job, Reaped};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::PoisonError;

pub(super) async fn sweep(engine: &Engine) -> Result<Report, Fault> {
    let mut report = Report::default();
    let store = &engine.ports.store;
    let options = &engine.options.reaper;
    store.renew_leases(&engine.options.worker, engine.options.merge_lease_ms).await?;
    if options.enabled {
        for reaped in store.reap().await? {
            let worker = &reaped.worker;
            let text = format!("job {} of worker {worker} was not renewed and goes back to the queue", reaped.job);
            taken(engine, &mut report, &reaped, text).await;
        }
        hung(engine, &mut report).await?;
        if 0 < report.acted {
            for notify in engine.wake.values() {
                notify.notify_one();
            }
        }
    }
    if options.lease_reclaim {
        reclaim(engine, &mut report).await?;
    }
    Ok(report)
}

/// Frees merge leases nobody renews, and wakes who waits for them.
pub(super) async fn reclaim(engine: &Engine, report: &mut Report) -> Result<(), Fault> {
    let store = &engine.ports.store;
    let held = store.leases().await?;
    for (project, holder, waiting) in store.reclaim_leases().await? {
        report.found += 1;
        report.leases += 1;
        let holder = holder.map_or_else(|| "nobody known".to_owned(), |h| h.to_string());
        let text = format!("the merge lease of {project}, held by {holder}, was not renewed and is free");
        let lease = held.iter().find(|lease| lease.project == project);
        let (worker, branch) = (lease.and_then(|l| l.worker.as_deref()), lease.and_then(|l| l.branch.as_deref()));
        let pid = worker.and_then(pid_of);
        tracing::warn!(repo = %project, branch, pid, "{text}");
        if let Some(task) = lease.and_then(|l| l.task) {
            engine.notice(task, format!("lease-{project}-{}", engine.ports.clock.now().0), text.clone()).await;
        }
        report.last = Some(text);
        for task in waiting {
            engine.step(task, Cause::Engine, Event::LeaseFreed).await?;
        }
    }
    Ok(())
}

/// Takes back the claims of workers that hang.
async fn hung(engine: &Engine, report: &mut Report) -> Result<(), Fault> {
    let store = &engine.ports.store;
    let now_ms = engine.ports.clock.boot().ms;
    let limits = engine.options.reaper.limits();
    let running = store.running_jobs().await?;
    let mut seen: BTreeMap<JobId, Sighting> = {
        let mut kept = engine.sightings.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *kept)
    };
    // Of claims that are over nothing is remembered.
    seen.retain(|id, s| running.iter().any(|j| j.id == *id && j.epoch == s.epoch));
    for job in &running {
        let run = newest_run(engine, job).await?;
        let what = look(engine, job, run.as_deref());
        // Where an agent stands still, so does the clock of its claim.
        let stood_ms = if job.lane == Lane::Agent { engine.halting.stood_ms(&job.project, now_ms) } else { 0 };
        let now_ms = now_ms - stood_ms;
        let first = || Sighting::first(job.epoch, run.clone(), now_ms);
        let sighting = seen.entry(job.id).or_insert_with(first);
        let Some(why) = sighting.look(run.clone(), what, now_ms, &limits) else { continue };
        seen.remove(&job.id);
        // Nobody is robbed: the verb takes exactly this claim, or nothing.
        if let Some(reaped) = store.take_back(job.fence()).await? {
            let text = format!("job {} ({}) goes back to the queue: {why}", job.id, job.effect.describe());
            taken(engine, report, &reaped, text).await;
        }
    }
    *engine.sightings.lock().unwrap_or_else(PoisonError::into_inner) = seen;
    Ok(())
}

/// The directory of the newest run of this attempt.
async fn newest_run(engine: &Engine, job: &Job) -> Result<Option<String>, Fault> {
    if !job.lane.outlives_workers() {
        return Ok(None);
    }
    let runs = engine.ports.store.runs(job.id.task).await?.into_iter();
    let of_job = runs.filter(|r| r.job == job.id.seq && r.attempt == job.run_attempt);
    Ok(of_job.max_by_key(|r| r.started).map(|r| r.dir))
}

fn look(engine: &Engine, job: &Job, run: Option<&str>) -> Seen {
    let window_ms = match &job.effect {
        Effect::Watch { .. } => engine.projects().get(&job.project).map_or(0, |p| p.watch.window_ms),
        _ => 0,
    };
    let Some(dir) = run.map(Path::new) else { return Seen::Live { limit_ms: window_ms } };
    match engine.ports.supervisor.look(dir) {
        Ok(RunState::Lost) => Seen::Dead,
        Ok(RunState::Ended(_)) => Seen::Ended,
        // Not being able to look is no evidence of a death.
        Ok(RunState::Live | RunState::Absent) | Err(_) => Seen::Live { limit_ms: deadline_ms(dir) },
    }
}

/// How long a run may take by its own specification, its grace included.
fn deadline_ms(dir: &Path) -> i64 {
    let spec = std::fs::read(dir.join(files::SPEC)).ok();
    let spec: Option<RunSpec> = spec.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    spec.map_or(0, |s| i64::try_from(s.deadline_ms.saturating_add(s.grace_ms)).unwrap_or(i64::MAX))
}

async fn taken(engine: &Engine, report: &mut Report, reaped: &Reaped, text: String) {
    report.found += 1;
    report.acted += 1;
    let (job, task) = (engine.ports.store.job(reaped.job).await, engine.task(reaped.job.task).await);
    let job = job.ok().flatten();
    // Of a notice nobody could be told by another one.
    let is_notice = job.as_ref().is_some_and(|job| matches!(job.effect, Effect::Notify { .. }));
    let run = job.map(|job| format!("{}-{}", job.id, job.run_attempt));
    let (repo, branch) = task.map(|t| (t.project.to_string(), t.branch.name)).ok().unzip();
    let pid = pid_of(&reaped.worker);
    tracing::warn!(job_id = %reaped.job, run_id = run, pid, repo, branch, "{text}");
    if !is_notice {
        let key = format!("reaped-{}-{}", reaped.job, engine.ports.clock.now().0);
        engine.notice(reaped.job.task, key, text.clone()).await;
    }
    report.last = Some(text);
}

/// A worker is named by its process: `4711@boot+12`. For people only: nothing is decided by it.
fn pid_of(worker: &str) -> Option<&str> {
    worker.split('@').next()
}
