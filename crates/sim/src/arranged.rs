//! What must hold of what people arrange: a held task begins nothing, in no way there is of beginning a job.

use crate::invariants::{Change, ensure};
use crate::ledger::main_jobs;
use crate::sim::{Live, Sim};
use orch_core::effect::{Class, Effect};
use orch_core::event::Event;
use orch_core::task::{Phase, Task};
use orch_store::{Job, JobState};

/// No step of a held task makes a job to go on with, and one that is being held keeps the merge lease only for a job that is
/// at work. Bringing production back is the end of what runs, and withdrawing a merge that of a cancel.
pub(crate) fn invariant_a_held_task_begins_nothing(sim: &Sim, change: &Change<'_>) -> Live<()> {
    let (before, after) = (change.before, change.after);
    if after.wait.on_hold.is_none() {
        return Ok(());
    }
    let new = main_jobs(change.open).find(|j| before.next_seq <= j.id.seq);
    let ends = new.is_none_or(|j| matches!(j.effect, Effect::Rollback { .. }))
        || matches!(after.phase, Phase::Stopping { .. });
    ensure(ends, "a_held_task_begins_nothing", || {
        format!("{} is held and begins {:?}", after.work_item, new.map(|j| j.effect.describe()))
    })?;
    let runs = |j: &Job| sim.sites.get(&j.project).is_some_and(|s| s.runs.contains_key(&(j.id, j.run_attempt)));
    let asked = |j: &Job| j.effect.class() == Class::Irreversible && 0 < j.epoch;
    let works = |j: &Job| j.state == JobState::Running || runs(j) || asked(j);
    let held_now = matches!(change.event, Event::PutOnHold { .. });
    // A frozen queue stays frozen: who holds the task has not looked at main.
    let stands = matches!(after.phase, Phase::Blocked { .. });
    let kept = held_now && !stands && change.lease.task == Some(after.id);
    ensure(!kept || main_jobs(change.open).any(works), "a_held_task_begins_nothing", || {
        format!("{} is held, nobody is at work on it, and it keeps the lease", after.work_item)
    })
}

/// A job that was put back, or left by a dead worker, is not tried again while its task is held: only what may be under way.
pub(crate) fn invariant_what_is_held_is_not_tried(sim: &Sim, job: &Job, task: &Task, refused: bool) -> Live<()> {
    let free = refused || job.stop || job.effect.is_side() || task.wait.on_hold.is_none();
    let other = !matches!(task.phase, Phase::Working { .. });
    let run = sim.sites.get(&job.project).and_then(|s| s.runs.get(&(job.id, job.run_attempt)));
    let begun = match &job.effect {
        Effect::Merge { .. } => 1 < job.epoch,
        Effect::Rollback { .. } => true,
        _ => run.is_some(),
    };
    ensure(free || other || begun, "a_held_task_begins_nothing", || {
        format!("job {} is tried although {} is held: {}", job.id, task.work_item, job.effect.describe())
    })
}
