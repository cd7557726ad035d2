//! What must hold of jobs whenever one is claimed or goes back, and of everything once nothing fails any more.

use crate::invariants::{Change, ensure};
use crate::ledger::main_jobs;
use crate::sim::{Live, Sim};
use orch_core::cost::MAX_RETURNS;
use orch_core::effect::{Class, Effect};
use orch_core::ids::{GateId, JobId};
use orch_core::retry::{Charge, Next, Requeue};
use orch_core::task::{ApprovalKind, BlockReason, Phase, Task, WaitReason};
use orch_store::{Job, JobState};

/// A claim has exactly the attempts that its own failures spent: crashes and reapers spend none.
pub(crate) fn invariant_attempts_are_spent_by_failures_only(sim: &Sim, job: &Job) -> Live<()> {
    let known = sim.ledger.spent.get(&job.id).copied().unwrap_or_default();
    let spent = (job.attempts, job.transient_attempts);
    ensure((known.attempts, known.transient) == spent, "attempts_are_spent_by_failures_only", || {
        format!("job {} has spent {spent:?}, its own failures were {known:?}", job.id)
    })
}

/// Every worker that died of a job or hung at it is counted, and no other: three too few and poison is never found, one too
/// many and good work is put away.
pub(crate) fn invariant_deaths_are_counted(sim: &Sim, job: JobId, deaths: u32) -> Live<()> {
    let known = sim.ledger.spent.get(&job).map_or(0, |s| s.deaths);
    ensure(known == deaths, "deaths_are_counted", || format!("job {job} has {deaths} deaths, {known} were seen"))
}

/// What has killed three workers is not tried once more. Merges and side effects are: they must not be lost.
pub(crate) fn invariant_poison_is_not_tried(job: &Job) -> Live<()> {
    let may_not_be_lost = job.effect.class() == Class::Irreversible || job.effect.is_side();
    ensure(job.deaths < 3 || may_not_be_lost || job.stop, "poison_is_not_tried", || {
        format!("job {} is tried although {} workers died at it: {}", job.id, job.deaths, job.effect.describe())
    })
}

/// What the world fails is tried again, and costs its job nothing.
pub(crate) fn invariant_the_world_costs_nothing(job: &Job, world: bool, next: &Next) -> Live<()> {
    let free = matches!(next, Next::Requeue(Requeue { charge: Charge::Transient | Charge::Nothing, .. }));
    ensure(!world || free, "the_world_costs_nothing", || format!("job {} pays for the world: {next:?}", job.id))
}

/// When a service answers again, what waits for it may run at once; what is claimed waits for nothing.
pub(crate) fn invariant_nobody_waits_for_what_answers(sim: &Sim, service: &str, waited: &[JobId]) -> Live<()> {
    for job in sim.db(async |s| s.open_jobs(None).await)?.iter().filter(|j| waited.contains(&j.id)) {
        let free = job.parked.is_none() && (job.state == JobState::Running || job.available_at <= sim.now);
        ensure(free, "nobody_waits_for_what_answers", || {
            format!("job {} still waits for {service}: {:?} until {}", job.id, job.parked, job.available_at.0)
        })?;
    }
    Ok(())
}

/// A job is over when no program of it runs any more: what went on would work beside the next one, and cost money.
pub(crate) fn invariant_what_ended_runs_no_more(sim: &Sim, job: JobId) -> Live<()> {
    let runs = sim.sites.values().flat_map(|s| &s.runs).find(|((of, _), run)| *of == job && !run.over);
    ensure(runs.is_none(), "what_ended_runs_no_more", || {
        format!("job {job} is over and its program runs on in {:?}", runs.map(|(_, run)| run.place))
    })
}

pub(crate) fn invariant_what_is_claimed_waits_for_nothing(job: &Job) -> Live<()> {
    ensure(job.parked.is_none(), "what_is_claimed_waits_for_nothing", || {
        format!("job {} was claimed and waits for {:?}", job.id, job.parked)
    })
}

pub(crate) fn invariant_exclusive_jobs_run_alone(sim: &Sim, job: &Job) -> Live<()> {
    let rival = sim.ledger.rival(job);
    ensure(rival.is_none(), "exclusive_jobs_run_alone", || {
        format!("job {} runs beside {rival:?}: {}", job.id, job.effect.describe())
    })
}

pub(crate) fn invariant_what_ended_is_not_claimed(sim: &Sim, job: &Job) -> Live<()> {
    ensure(!sim.ledger.ended.contains(&job.id), "what_ended_is_not_claimed", || {
        format!("job {} is over and was claimed", job.id)
    })
}

/// In a world without faults and with people who help, everything ends.
pub(crate) fn invariant_everything_ends(sim: &Sim) -> Live<()> {
    for task in sim.tasks.values() {
        let ended = task.is_closed() || matches!(task.phase, Phase::Blocked { .. });
        ensure(ended, "everything_ends", || {
            format!("{} is stuck at {} in {:?}", task.work_item, crate::words::place(task), task.phase)
        })?;
    }
    Ok(())
}

/// What a person did to a ticket is taken up, hint or no hint: its last state was seen, and the task knows its last text.
pub(crate) fn invariant_no_move_is_lost(sim: &Sim) -> Live<()> {
    let unseen = sim.unseen()?;
    ensure(unseen.is_empty(), "no_move_is_lost", || format!("nobody saw that a person put {unseen:?}"))?;
    for task in sim.tasks.values().filter(|t| !t.is_closed()) {
        let ticket = sim.sites.get(&task.project).and_then(|s| s.tickets.get(&task.number));
        let knows = ticket.is_none_or(|t| {
            task.title == t.title || task.findings.notes.iter().any(|n| n.to_string().contains(&t.title))
        });
        ensure(knows, "no_move_is_lost", || format!("{} does not know how its ticket was edited", task.work_item))?;
    }
    Ok(())
}

/// The watcher of the disk never removes what is not on the branch yet.
pub(crate) fn invariant_no_work_is_thrown_away(sim: &Sim, task: &Task) -> Live<()> {
    let site = sim.sites.get(&task.project);
    // What a run left that the task has gone back from is nobody's any more.
    let unpublished = site.and_then(|s| s.left.get(&task.id)).is_some_and(|l| !l.published && task.run == Some(l.run));
    let place = crate::site::Place::Worktree(task.id);
    let at_work = site.is_some_and(|s| s.runs.values().any(|r| r.place == place && !r.over));
    ensure(task.is_closed() || !unpublished && !at_work, "no_work_is_thrown_away", || {
        format!("{}: its directory was removed, unpublished: {unpublished}, in use: {at_work}", task.work_item)
    })
}

/// In the end no job is open, no lease is held and nothing waits in the inbox.
pub(crate) fn invariant_nothing_is_left_over(sim: &Sim) -> Live<()> {
    let open = sim.db(async |s| s.open_jobs(None).await)?;
    ensure(open.is_empty(), "nothing_is_left_over", || {
        format!("open jobs: {:?}", open.iter().map(|j| j.id).collect::<Vec<_>>())
    })?;
    let inbox = sim.db(async |s| s.pending_inbox(10).await)?;
    ensure(inbox.is_empty(), "nothing_is_left_over", || format!("{inbox:?}"))?;
    for lease in sim.db(async |s| s.leases().await)? {
        let Some(task) = lease.task.and_then(|t| sim.tasks.get(&t)) else { continue };
        let frozen = matches!(task.phase, Phase::Blocked { why: BlockReason::WrongTree { .. }, .. });
        ensure(frozen || task.merge_unknown(), "nothing_is_left_over", || {
            format!("{} still holds the lease", task.work_item)
        })?;
    }
    Ok(())
}

/// A role that is unable spends neither a round nor an attempt of anybody.
pub(crate) fn invariant_unable_costs_nothing(change: &Change<'_>) -> Live<()> {
    let (before, after) = (change.before, change.after);
    let unable = matches!(after.phase, Phase::Waiting { why: WaitReason::Unable { .. }, .. });
    ensure(!unable || before.spent == after.spent, "unable_costs_nothing", || {
        format!("{} is unable, and pays: {:?} after {:?}", after.work_item, after.spent, before.spent)
    })
}

/// What is returned to its analysis is approved anew, and nothing is returned without end.
pub(crate) fn invariant_a_return_voids_the_approval(change: &Change<'_>) -> Live<()> {
    let (before, after) = (change.before, change.after);
    let spent = matches!(after.phase, Phase::Blocked { why: BlockReason::ReturnsSpent { .. }, .. });
    let returned = before.findings.returned.len() < after.findings.returned.len();
    let approved = after.approvals.iter().any(|a| a.what == ApprovalKind::Analysis);
    let bounded = after.spent.returns <= MAX_RETURNS && (!spent || after.spent.returns == MAX_RETURNS);
    ensure(bounded && (!returned || !approved), "a_return_voids_the_approval", || {
        format!("{} was returned {} times; still approved: {approved}", after.work_item, after.spent.returns)
    })
}

/// No program is asked a third time about a head that it was red on, before a person has had a word.
pub(crate) fn invariant_red_code_is_not_judged_again(sim: &Sim, change: &Change<'_>) -> Live<()> {
    let after = change.after;
    let new = main_jobs(change.open).find(|j| change.before.next_seq <= j.id.seq);
    let Some(Effect::Judge { gate: gate @ (GateId::CiGreen | GateId::TestsLocal), head, .. }) = new.map(|j| &j.effect)
    else {
        return Ok(());
    };
    let times = sim.ledger.red.get(&(after.id, *gate, head.clone())).copied().unwrap_or_default();
    let known = 1 < times && change.event.actor().is_none();
    ensure(!known, "red_code_is_not_judged_again", || {
        format!("{} asks {gate} again about {}, which it was red on {times} times", after.work_item, head.short())
    })
}
