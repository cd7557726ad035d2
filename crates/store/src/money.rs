//! Reservations: made in the transaction that claims an agent's job, turned into the cost of its run in the transaction
//! that writes down the run's end, and given back where no run began. Written once, for every store. What fits is decided
//! in `orch_core::budget`.
//!
//! A run has one row from its reservation on, by job and attempt. The row outlives claims: a daemon that dies between the
//! reservation and the run, or between the run's end and its settling, finds it again.

use crate::rows::{ClaimRequest, Cost, Job, Spend, Whose};
use crate::run_row::RunRow;
use crate::tx::{Tx, need};
use orch_core::budget::{self, Balance, RESERVED, Scope, Sums, Terms};
use orch_core::effect::Effect;
use orch_core::ids::{JobId, ProjectKey, TaskId, Time};
use std::collections::BTreeMap;

/// Reserves what the run of a job that was just claimed may cost, or says in the job why it does not fit. A run that has
/// its reservation, or is under way, keeps what it has.
pub fn reserved<T: Tx>(tx: &mut T, job: Option<Job>, request: &ClaimRequest) -> Result<Option<Job>, T::Error> {
    let Some(mut job) = job else { return Ok(None) };
    reserve(tx, &mut job, &request.terms, request.now)?;
    Ok(Some(job))
}

fn reserve<T: Tx>(tx: &mut T, job: &mut Job, terms: &BTreeMap<ProjectKey, Terms>, now: Time) -> Result<(), T::Error> {
    if !matches!(job.effect, Effect::RunAgent { .. }) {
        return Ok(());
    }
    if let Some(spend) = tx.spend(job.id, job.run_attempt)? {
        job.reserved_micro_usd = spend.reserved_micro_usd;
        return Ok(());
    }
    // What is to be stopped begins nothing; what has begun keeps what it has, also while it ends.
    if job.stop {
        return Ok(());
    }
    let none = Terms::default();
    let terms = terms.get(&job.project).unwrap_or(&none);
    let mut balances = Vec::new();
    for limit in &terms.limits {
        balances.push(balance(tx, job.id.task, limit)?);
    }
    let reserved_micro_usd = match budget::reserve(terms.run_micro_usd, &balances) {
        Ok(reserved) => reserved,
        // It is under way: that it began cannot be taken back.
        Err(_) if tx.has_run(job.id, job.run_attempt)? => 0,
        Err(refusal) => {
            job.refused = Some(refusal);
            return Ok(());
        }
    };
    job.reserved_micro_usd = reserved_micro_usd;
    let (project, attempt) = (job.project.clone(), job.run_attempt);
    tx.save_spend(&Spend { job: job.id, attempt, project, at: now, reserved_micro_usd, cost: None })
}

/// What is spent and reserved of a budget that holds for a task. What a person granted a task is worth as much again.
fn balance<T: Tx>(tx: &mut T, task: TaskId, limit: &budget::Limit) -> Result<Balance, T::Error> {
    let mut limit = limit.clone();
    let whose = match &limit.scope {
        Scope::Task => {
            limit.micro_usd = limit.micro_usd.saturating_add(need(tx, task)?.spent.budget_from_micro_usd);
            Whose::Task(task)
        }
        Scope::Project(project) => Whose::Project(project.clone()),
        Scope::Instance => Whose::Everybody,
    };
    let sums = tx.sums(&whose, limit.from)?;
    Ok(Balance { limit, sums })
}

/// The end of a run is written down: its cost takes the place of its reservation. A cost that could not be read counts as
/// what was reserved, or as the most that was measured.
pub fn settle<T: Tx>(tx: &mut T, run: &RunRow) -> Result<(), T::Error> {
    let id = JobId { task: run.task, seq: run.job };
    // What prepares an agent's run is not the run.
    if run.ended.is_none() || run.is_command() {
        return Ok(());
    }
    let Some(mut spend) = tx.spend(id, run.attempt)? else { return Ok(()) };
    let measured = || budget::micro_usd(run.usage.cost_usd).filter(|_| run.usage.measured);
    let known = run.usage.micro_usd().map(Cost::Known);
    spend.cost = Some(known.unwrap_or_else(|| Cost::AtMost(measured().unwrap_or(spend.reserved_micro_usd))));
    tx.save_spend(&spend)?;
    tx.let_go_on(RESERVED)
}

/// What is still reserved for a job is needed no more: it is given back if no run began, and counts as spent if one did
/// whose end nobody knows.
pub(crate) fn let_go<T: Tx>(tx: &mut T, id: JobId) -> Result<(), T::Error> {
    let Some(mut spend) = tx.open_spend(id)? else { return Ok(()) };
    if tx.has_run(id, spend.attempt)? {
        spend.cost = Some(Cost::AtMost(spend.reserved_micro_usd));
        tx.save_spend(&spend)?;
    } else {
        tx.drop_spend(id, spend.attempt)?;
    }
    tx.let_go_on(RESERVED)
}

/// The claim is over, and whoever claims the job next goes on with what has begun: what was reserved for a run that did not
/// begin is given back.
pub(crate) fn give_back<T: Tx>(tx: &mut T, id: JobId) -> Result<(), T::Error> {
    match tx.open_spend(id)? {
        Some(spend) if !tx.has_run(id, spend.attempt)? => let_go(tx, id),
        _ => Ok(()),
    }
}

/// What rows of runs come to.
pub fn sums<'a>(rows: impl Iterator<Item = &'a Spend>) -> Sums {
    let mut sums = Sums::default();
    for spend in rows {
        match spend.cost {
            None => sums.reserved_micro_usd = sums.reserved_micro_usd.saturating_add(spend.reserved_micro_usd),
            Some(Cost::Known(cost)) => sums.spent_micro_usd = sums.spent_micro_usd.saturating_add(cost),
            Some(Cost::AtMost(0)) => sums.unknown += 1,
            Some(Cost::AtMost(most)) => {
                sums.spent_micro_usd = sums.spent_micro_usd.saturating_add(most);
                sums.at_most += 1;
            }
        }
    }
    sums
}
