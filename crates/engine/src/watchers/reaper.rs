//! The one recovery mechanism while the process lives: it ends what a dead or hung worker still holds. Claims whose lease
//! has run out, whose supervisor is dead, whose run has ended and is never finalised, or that are too old, go back to the
//! queue; merge leases nobody renews are freed. What a claim was for is found out by whoever claims it next, because every
//! executor looks before it acts: the claim comes before the act, and the old one is worth nothing from then on.
//!
//! A live agent within its time limit is never touched. Ages are measured on the boot clock, from the first look at a
//! claim: a wall clock that jumps reaps nobody.

use super::Report;
use crate::engine::{Engine, ReaperOptions};
use orch_core::effect::Effect;
use orch_core::event::Event;
use orch_core::ids::JobId;
use orch_ports::Fault;
use orch_ports::notifier::Notice;
use orch_ports::supervisor::{RunSpec, RunState, files};
use orch_store::{Cause, Job, Reaped};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::PoisonError;

/// What the reaper remembers of a claim between two looks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sighting {
    /// The claim.
    epoch: u64,
    /// Its newest run: another run is another beginning.
    run: Option<String>,
    /// First look, boot clock, milliseconds.
    since_ms: i64,
    /// Looks in a row at which its supervisor was dead.
    dead: u32,
    /// First look at which its run had ended.
    ended_ms: Option<i64>,
}

/// What can be seen of a claim's work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    /// Work inside this process, or a run that lives; it ends by itself within this time.
    Live { limit_ms: i64 },
    /// The supervisor of its run is dead and left no record.
    Dead,
    /// Its run has ended.
    Ended,
}

pub(super) async fn sweep(engine: &Engine) -> Result<Report, Fault> {
    let mut report = Report::default();
    let store = &engine.ports.store;
    let options = &engine.options.reaper;
    store.renew_leases(engine.ports.clock.boot(), engine.options.merge_lease_ms).await?;
    if options.enabled {
        for reaped in store.reap(engine.ports.clock.boot()).await? {
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
    for (project, holder, waiting) in engine.ports.store.reclaim_leases(engine.ports.clock.boot()).await? {
        report.found += 1;
        report.leases += 1;
        let holder = holder.map_or_else(|| "nobody known".to_owned(), |h| h.to_string());
        let text = format!("the merge lease of {project}, held by {holder}, was not renewed and is free");
        tracing::warn!("{text}");
        tell(engine, format!("lease-{project}-{}", engine.ports.clock.now().0), text.clone()).await;
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
        let fresh = || Sighting { epoch: job.epoch, run: run.clone(), since_ms: now_ms, dead: 0, ended_ms: None };
        let sighting = seen.entry(job.id).or_insert_with(fresh);
        if sighting.run != run {
            *sighting = fresh();
        }
        let Some(why) = judge(sighting, what, now_ms, &engine.options.reaper) else { continue };
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

/// Is the worker of this claim dead or hung? Why, if it is.
fn judge(s: &mut Sighting, seen: Seen, now_ms: i64, o: &ReaperOptions) -> Option<String> {
    s.dead = if seen == Seen::Dead { s.dead + 1 } else { 0 };
    s.ended_ms = if seen == Seen::Ended { Some(s.ended_ms.unwrap_or(now_ms)) } else { None };
    let age_ms = now_ms - s.since_ms;
    match seen {
        Seen::Dead if o.dead_ticks <= s.dead => Some(format!("its supervisor was dead at {} looks", s.dead)),
        Seen::Ended if s.ended_ms.is_some_and(|at| o.finalize_grace_ms < now_ms - at) => {
            let seconds = (now_ms - s.ended_ms.unwrap_or(now_ms)) / 1_000;
            Some(format!("its run ended {seconds} s ago and nobody took the result"))
        }
        Seen::Live { limit_ms } if o.max_running_ms.max(limit_ms.saturating_add(o.finalize_grace_ms)) < age_ms => {
            Some(format!("it has been running for {} s", age_ms / 1_000))
        }
        Seen::Live { .. } | Seen::Dead | Seen::Ended => None,
    }
}

async fn taken(engine: &Engine, report: &mut Report, reaped: &Reaped, text: String) {
    report.found += 1;
    report.acted += 1;
    tracing::warn!("{text}");
    tell(engine, format!("reaped-{}-{}", reaped.job, engine.ports.clock.now().0), text.clone()).await;
    report.last = Some(text);
}

async fn tell(engine: &Engine, key: String, text: String) {
    if let Err(fault) = engine.ports.notifier.tell(&Notice { work_item: None, text, key }).await {
        tracing::warn!(%fault, "could not tell a person");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: ReaperOptions = ReaperOptions {
        enabled: true,
        interval_ms: 60_000,
        dead_ticks: 2,
        max_running_ms: 3_600_000,
        finalize_grace_ms: 300_000,
        lease_reclaim: true,
    };

    const NOBODY: [i64; 0] = [];

    fn sighting() -> Sighting {
        Sighting { epoch: 1, run: Some("r".into()), since_ms: 0, dead: 0, ended_ms: None }
    }

    /// Looks at a claim at these seconds; the ones at which it is reaped.
    fn reaped_at(looks: &[(i64, Seen)]) -> Vec<i64> {
        let mut s = sighting();
        looks
            .iter()
            .filter(|(at, seen)| judge(&mut s, *seen, at * 1_000, &LIMITS).is_some())
            .map(|(at, _)| *at)
            .collect()
    }

    #[test]
    fn a_dead_supervisor_must_be_dead_at_so_many_looks_in_a_row() {
        let live = Seen::Live { limit_ms: 0 };
        assert_eq!(reaped_at(&[(60, Seen::Dead)]), NOBODY);
        assert_eq!(reaped_at(&[(60, Seen::Dead), (120, live), (180, Seen::Dead)]), NOBODY);
        assert_eq!(reaped_at(&[(60, Seen::Dead), (120, Seen::Dead)]), [120]);
    }

    #[test]
    fn an_end_has_its_grace_to_be_finalised() {
        let ended: Vec<(i64, Seen)> = (1..=8).map(|n| (n * 60, Seen::Ended)).collect();
        assert_eq!(reaped_at(&ended), [420, 480], "more than 300 s after the first look that saw the end");
    }

    #[test]
    fn a_live_run_within_its_limit_is_never_reaped() {
        let long = Seen::Live { limit_ms: 20_000_000 };
        assert_eq!(reaped_at(&(1..300).map(|n| (n * 60, long)).collect::<Vec<_>>()), NOBODY, "5 hours of 5.5");
        assert_eq!(reaped_at(&[(20_301, long)]), [20_301], "its own limit and the grace are over");
        let short = Seen::Live { limit_ms: 60_000 };
        assert_eq!(reaped_at(&[(3_600, short), (3_601, short)]), [3_601], "the backstop");
    }

    #[test]
    fn a_clock_that_goes_back_reaps_nobody() {
        let live = Seen::Live { limit_ms: 0 };
        assert_eq!(reaped_at(&[(60, live), (-86_400, live), (-86_400, Seen::Ended)]), NOBODY);
    }
}
