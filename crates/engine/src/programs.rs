//! Programs of a job's runs, as their supervisors see them.

use crate::engine::Engine;
use orch_core::effect::Effect;
use orch_ports::supervisor::RunState;
use orch_store::{Job, RunRow};
use std::path::Path;

/// Was a program of its present attempt started whose end is not written down? Not being able to look is taken for a yes.
pub(crate) async fn has_program(engine: &Engine, job: &Job) -> bool {
    let Ok(runs) = engine.ports.store.runs(job.id.task).await else { return true };
    // What prepares an agent's run is not the run.
    let prepares = |r: &&RunRow| matches!(job.effect, Effect::RunAgent { .. }) && r.is_command();
    let mine = runs.iter().filter(|r| r.job == job.id.seq && r.attempt == job.run_attempt && r.ended.is_none());
    let mine = mine.filter(|r| !prepares(r));
    // One that was written down and never started has not begun.
    let look = |dir: &str| engine.ports.supervisor.look(Path::new(dir));
    mine.map(|r| look(&r.dir)).any(|state| !matches!(state, Ok(RunState::Absent)))
}

/// Does a program of the job's present run still run? Not being able to look is no evidence of an end. If the job is to be
/// stopped, such a program is asked to end, whatever kept the executor from it: its project may be gone.
pub(crate) async fn still_runs(engine: &Engine, job: &Job, stop: bool) -> bool {
    if !job.lane.outlives_workers() {
        return false;
    }
    let Ok(runs) = engine.ports.store.runs(job.id.task).await else { return true };
    let supervisor = &engine.ports.supervisor;
    let mut lives = false;
    let mine = runs.iter().filter(|r| r.job == job.id.seq && r.attempt == job.run_attempt && r.ended.is_none());
    for dir in mine.map(|run| Path::new(&run.dir)) {
        if !matches!(supervisor.look(dir), Ok(RunState::Live) | Err(_)) {
            continue;
        }
        lives = true;
        if stop && let Err(fault) = supervisor.cancel(dir) {
            tracing::warn!(%fault, "a program of a job that is to be stopped could not be asked to end");
        }
    }
    lives
}
