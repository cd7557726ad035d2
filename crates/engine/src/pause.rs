//! Stop means stop: nothing is begun, and agents that run stand still, their limits with them. Decides what goes on all
//! the same, because half of it would be worse than the end of it: a merge that may have been asked for, a deploy that was
//! begun, and what follows one in production (its judgement, its watch, bringing production back). Commands of a project
//! that run go on to their end, too: they ask no model, and a test that stood still for an hour fails for reasons that are
//! not in the code.
//!
//! What is paused is durable before it is answered. Runs are told through their directories, so that their supervisors keep
//! them still whoever dies; a loop compares the two, and may do so again at any time.

use crate::engine::Engine;
use crate::halt::{Halt, Pause, Pauses, end_of};
use crate::programs;
use orch_core::effect::{Effect, Lane};
use orch_core::ids::{Actor, GateId, ProjectKey, Time};
use orch_ports::Fault;
use orch_ports::supervisor::RunState;
use orch_store::{ClaimRequest, Fact, Job, JobState};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// How soon runs are compared with what is paused again while something is, milliseconds.
const AGAIN_MS: u64 = 5_000;
/// The same while nothing is paused: an agent can write into its run's directory, and must not put off its own limits.
const IDLE_MS: u64 = 60_000;
/// The same where runs could not be told.
const SOON_MS: u64 = 200;
/// Between two looks at runs that are about to stand, milliseconds.
const LOOK_MS: u64 = 20;

/// Agents of what is paused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Agents {
    /// Every process of theirs is stopped.
    pub frozen: usize,
    /// They still run.
    pub running: usize,
}

impl Engine {
    /// Stops claiming, or starts again. Agents go on either way. Kept over restarts.
    pub async fn drain(&self, on: bool) -> Result<(), Fault> {
        let changing = self.halting.changing.lock().await;
        let now = self.ports.clock.now();
        self.ports.store.remember(&Fact::Draining, if on { "true" } else { "false" }, now).await?;
        self.take_over(Halt { drained: on, ..self.halting.now() });
        drop(changing);
        self.claims_are_through().await;
        Ok(())
    }

    /// Stops everything, or one project: nothing is begun, and agents stand still. Kept over restarts. When this returns,
    /// whatever is at work was begun before.
    pub async fn pause(&self, project: Option<&ProjectKey>, by: &Actor) -> Result<(), Fault> {
        let (now, by) = (self.ports.clock.now(), &self.written(by));
        self.change_pauses(|pauses| pauses.begin(project, by, now)).await?;
        let (what, end) = (what(project), end_of(project));
        tracing::warn!("{what} is paused by {by}: nothing is begun, agents stand still; `{end}` ends it");
        self.claims_are_through().await;
        Ok(())
    }

    /// Ends the pause of everything and a drain, or the pause of one project. Projects that were paused by themselves stay so.
    pub async fn resume(&self, project: Option<&ProjectKey>) -> Result<(), Fault> {
        let now = self.ports.clock.now();
        let end = |pauses: &mut Pauses| {
            pauses.end(project, now);
        };
        self.change_pauses(end).await?;
        tracing::info!("{} goes on", what(project));
        if project.is_none() {
            self.drain(false).await?;
        }
        Ok(())
    }

    async fn change_pauses(&self, change: impl FnOnce(&mut Pauses)) -> Result<(), Fault> {
        let _changing = self.halting.changing.lock().await;
        let mut halt = self.halting.now();
        change(&mut halt.pauses);
        let text = serde_json::to_string(&halt.pauses).map_err(|e| Fault::bug(format!("write down a pause: {e}")))?;
        self.ports.store.remember(&Fact::Paused, &text, self.ports.clock.now()).await?;
        self.take_over(halt);
        Ok(())
    }

    /// From now on this holds in this process.
    fn take_over(&self, halt: Halt) {
        self.halting.set(halt, self.ports.clock.boot().ms);
        self.wake.values().for_each(tokio::sync::Notify::notify_one);
    }

    /// Waits for claims that were under way when something was halted.
    async fn claims_are_through(&self) {
        drop(self.halting.claiming.write().await);
    }

    /// What was drained or paused by a process before this one? To be asked before anybody is shown the queue: until then it
    /// would be said to be open.
    pub async fn know_what_is_halted(&self) -> Result<(), Fault> {
        let _changing = self.halting.changing.lock().await;
        self.read_what_is_halted().await
    }

    /// The same for who keeps others from halting anything meanwhile.
    pub(crate) async fn read_what_is_halted(&self) -> Result<(), Fault> {
        let drained = self.ports.store.recall(&Fact::Draining).await?.as_deref() == Some("true");
        let pauses = match self.ports.store.recall(&Fact::Paused).await? {
            None => Pauses::default(),
            // Nobody can say what was paused: everything is, until a person says otherwise.
            Some(text) => serde_json::from_str(&text).unwrap_or_else(|error| {
                tracing::error!("what is paused cannot be read ({error}): everything is taken to be");
                let mut pauses = Pauses::default();
                pauses.begin(None, &Actor::orch(), self.ports.clock.now());
                pauses
            }),
        };
        self.take_over(Halt { drained, pauses });
        Ok(())
    }

    /// Is it draining?
    pub fn is_draining(&self) -> bool {
        self.halting.now().drained
    }

    /// What is paused.
    pub fn pauses(&self) -> Pauses {
        self.halting.now().pauses
    }

    /// The pause that holds a project, and what ends it.
    pub fn pause_of(&self, project: &ProjectKey) -> Option<(Pause, String)> {
        self.halting.now().pauses.of(project).map(|(pause, end)| (pause.clone(), end))
    }

    /// Since when something of a project waits, were it not for the time in which the project stood still.
    pub(crate) fn waits_since(&self, project: &ProjectKey, since: Time) -> Time {
        self.halting.now().pauses.put_off(project, since, self.ports.clock.now())
    }

    /// Agents of everything that is paused. Waits up to `longest_ms` for all of them to stand.
    pub async fn frozen(&self, longest_ms: u64) -> Result<Agents, Fault> {
        let mut waited_ms = 0;
        loop {
            let mut agents = Agents::default();
            let lives = |dir: &Path| matches!(self.ports.supervisor.look(dir), Ok(RunState::Live));
            for (job, dir) in open_runs(self).await? {
                if self.pause_of(&job.project).is_none() || !lives(&dir) {
                    continue;
                }
                *(if self.ports.supervisor.is_frozen(&dir).unwrap_or(false) {
                    &mut agents.frozen
                } else {
                    &mut agents.running
                }) += 1;
            }
            if agents.running == 0 || longest_ms <= waited_ms {
                return Ok(agents);
            }
            self.ports.clock.sleep_ms(LOOK_MS).await;
            waited_ms += LOOK_MS;
        }
    }
}

fn what(project: Option<&ProjectKey>) -> String {
    project.map_or_else(|| "everything".to_owned(), |key| format!("project {key}"))
}

/// Agents' runs whose end is not written down, with their jobs.
async fn open_runs(engine: &Engine) -> Result<Vec<(Job, PathBuf)>, Fault> {
    let mut found = Vec::new();
    for job in engine.ports.store.open_jobs(None).await? {
        if job.lane != Lane::Agent || job.epoch == 0 {
            continue;
        }
        let runs = engine.ports.store.runs(job.id.task).await?.into_iter();
        let mine = runs.filter(|r| r.job == job.id.seq && r.attempt == job.run_attempt && r.ended.is_none());
        found.extend(mine.map(|run| (job.clone(), PathBuf::from(run.dir))));
    }
    Ok(found)
}

/// Does the agent of this job stand still? Not being able to look is taken for a no.
pub(crate) async fn stands(engine: &Engine, job: &Job) -> bool {
    let Ok(runs) = engine.ports.store.runs(job.id.task).await else { return false };
    let mine = runs.iter().filter(|r| r.job == job.id.seq && r.attempt == job.run_attempt && r.ended.is_none());
    mine.map(|r| Path::new(&r.dir)).any(|dir| engine.ports.supervisor.is_frozen(dir).unwrap_or(false))
}

/// Sees to it that agents stand still exactly where something is paused, until `shutdown`.
pub(crate) async fn follow(engine: Arc<Engine>, shutdown: CancellationToken) {
    let mut halt = engine.halting.subscribe();
    loop {
        halt.borrow_and_update();
        let told = tell(&engine).await;
        if let Err(fault) = &told {
            tracing::error!(%fault, "agents could not be told to stand still or to go on; trying again");
        }
        let again = async {
            match told {
                Err(_) => engine.ports.clock.sleep_ms(SOON_MS).await,
                Ok(()) if engine.pauses().is_empty() => engine.ports.clock.sleep_ms(IDLE_MS).await,
                Ok(()) => engine.ports.clock.sleep_ms(AGAIN_MS).await,
            }
        };
        tokio::select! {
            _ = halt.changed() => {}
            () = again => {}
            () = shutdown.cancelled() => return,
        }
    }
}

async fn tell(engine: &Engine) -> Result<(), Fault> {
    let mut told = Ok(());
    // Also those that are about to start: they find the wish in their directory.
    for (job, dir) in open_runs(engine).await? {
        // One that cannot be told keeps nobody else from being told.
        told = told.and(obey(engine, &job, &dir));
    }
    told
}

/// Lets a run of this job stand still or go on, as its project does. Also asked just before a run is begun, so that one
/// whose row came too late for the loop stands too: it does not begin.
pub(crate) fn obey(engine: &Engine, job: &Job, dir: &Path) -> Result<(), Fault> {
    if job.lane != Lane::Agent {
        return Ok(());
    }
    let supervisor = &engine.ports.supervisor;
    if engine.pause_of(&job.project).is_some() {
        supervisor.freeze(dir)?;
    }
    // Asked again: a pause that ended in between has told its runs already.
    if engine.pause_of(&job.project).is_none() {
        supervisor.thaw(dir)?;
    }
    Ok(())
}

/// Claims a job of a paused project that goes on all the same.
pub(crate) async fn claim_under_way(
    engine: &Engine,
    request: &ClaimRequest,
    pauses: &Pauses,
) -> Result<Option<Job>, Fault> {
    if pauses.is_empty() {
        return Ok(None);
    }
    for job in engine.ports.store.open_jobs(None).await? {
        let may = job.state == JobState::Queued && job.lane == request.lane && job.available_at <= request.now;
        if may
            && pauses.of(&job.project).is_some()
            && goes_on(engine, &job).await?
            && let Some(job) = engine.ports.store.claim_one(job.id, request.clone()).await?
        {
            return Ok(Some(job));
        }
    }
    Ok(None)
}

/// Is it under way, to be ended, or what follows a deploy?
async fn goes_on(engine: &Engine, job: &Job) -> Result<bool, Fault> {
    Ok(match &job.effect {
        _ if job.stop => true,
        Effect::Judge { gate: GateId::DeployStatus, .. } | Effect::Watch { .. } => true,
        // Claimed is not begun: it may have been put back before its hook.
        Effect::Deploy { .. } => engine.ports.store.runs(job.id.task).await?.iter().any(|r| r.job == job.id.seq),
        effect @ (Effect::Merge { .. } | Effect::Rollback { .. }) => {
            engine.task(job.id.task).await?.is_begun(effect, job.epoch, false)
        }
        _ => 0 < job.epoch && programs::has_program(engine, job).await,
    })
}
