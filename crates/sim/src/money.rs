//! What agents may cost in a life, and what an observer holds against it. He counts from what claims answered and from
//! what runs really cost, and never asks the store for a sum.

use crate::invariants::ensure;
use crate::ledger::Reserved;
use crate::sim::{Live, Sim};
use orch_core::budget::{Limit, Scope, Span, Terms};
use orch_core::effect::{Effect, Lane};
use orch_core::ids::{ProjectKey, TaskId, Time};
use orch_store::Job;
use std::collections::BTreeMap;

/// What the agents of a task may cost where there is a limit, millionths of a dollar: some five runs.
pub(crate) const OF_TASK: u64 = 2_000_000;
/// What one run may cost where there is a cap. Some cost more: nobody can stop them at it.
pub(crate) const OF_RUN: u64 = 600_000;
/// What all of them may cost in a day.
pub(crate) const OF_DAY: u64 = 3_000_000;
/// What those of one project may.
pub(crate) const OF_PROJECT: u64 = 2_400_000;
/// A day of a life, milliseconds: short enough to see several.
const DAY_MS: i64 = 600_000;

impl Sim {
    fn limits(&self, project: &ProjectKey) -> Vec<Limit> {
        let Some(site) = self.sites.get(project) else { return Vec::new() };
        let from = Time(self.now.0.div_euclid(DAY_MS) * DAY_MS);
        let day =
            |scope, micro_usd| Limit { scope, span: Span::Day, micro_usd, from, until: Some(from.plus_ms(DAY_MS)) };
        let task = site.setup.policy.task_budget_micro_usd.map(|micro_usd| Limit {
            scope: Scope::Task,
            span: Span::Whole,
            micro_usd,
            from: Time(i64::MIN),
            until: None,
        });
        let project = site.setup.project_day.then(|| day(Scope::Project(project.clone()), OF_PROJECT));
        let all = self.days_are_limited.then(|| day(Scope::Instance, OF_DAY));
        task.into_iter().chain(project).chain(all).collect()
    }

    /// What an agent's run of each project has to fit into now.
    pub(crate) fn terms(&self, lane: Lane) -> BTreeMap<ProjectKey, Terms> {
        if lane != Lane::Agent {
            return BTreeMap::new();
        }
        let of = |(key, site): (&ProjectKey, &crate::site::Site)| {
            let run_micro_usd = site.setup.runs_are_capped.then_some(OF_RUN);
            (key.clone(), Terms { run_micro_usd, limits: self.limits(key) })
        };
        self.sites.iter().map(of).collect()
    }

    /// What counts against a limit: what runs have cost, what is reserved for those whose cost nobody has read, and for
    /// claims that are about to begin one.
    fn counted(&self, limit: &Limit, task: TaskId) -> u64 {
        let runs = self.ledger.reserved.iter().filter(|((job, _), reserved)| match &limit.scope {
            Scope::Task => job.task == task,
            Scope::Project(key) => reserved.project == *key,
            Scope::Instance => true,
        });
        let runs = runs.filter(|(_, reserved)| limit.from <= reserved.at);
        let runs = runs.filter(|(run, reserved)| reserved.begun || self.ledger.claim_of(run.0).is_some());
        runs.map(|(run, reserved)| self.ledger.costs.get(run).copied().unwrap_or(reserved.micro_usd)).sum()
    }

    /// A claim that began nothing yet was answered: what it reserves fits into every budget, and what it refuses does not.
    pub(crate) fn invariant_no_budget_is_passed(&mut self, job: &Job) -> Live<()> {
        let run = (job.id, job.run_attempt);
        // What an earlier claim reserved and nothing came of.
        self.ledger.reserved.retain(|run, reserved| run.0 != job.id || reserved.begun);
        let begun = self.ledger.reserved.contains_key(&run);
        if !matches!(job.effect, Effect::RunAgent { .. }) || job.stop || begun {
            return Ok(());
        }
        let cap = self.sites.get(&job.project).is_some_and(|s| s.setup.runs_are_capped).then_some(OF_RUN);
        let limits = self.limits(&job.project);
        let left: Vec<u64> = limits
            .iter()
            .map(|limit| {
                let granted = if limit.scope == Scope::Task { self.ledger.granted_to(job.id.task) } else { 0 };
                (limit.micro_usd + granted).saturating_sub(self.counted(limit, job.id.task))
            })
            .collect();
        let least = left.iter().min().copied();
        let may = cap.unwrap_or_else(|| least.unwrap_or(0));
        let fits = least.is_none_or(|least| may.max(1) <= least);
        ensure(fits == job.refused.is_none(), "no_budget_is_passed", || {
            let said = job.refused.as_ref().map_or_else(|| "begins".to_owned(), |r| format!("waits: {}", r.why()));
            format!("job {} {said}, and what is left is {left:?} millionths of {limits:?}", job.id)
        })?;
        if job.refused.is_some() {
            return Ok(());
        }
        ensure(job.reserved_micro_usd == may, "no_budget_is_passed", || {
            format!("job {} reserves {} and not {may} millionths", job.id, job.reserved_micro_usd)
        })?;
        let (project, at) = (job.project.clone(), self.now);
        self.ledger.reserved.insert(run, Reserved { project, at, micro_usd: may, begun: false });
        Ok(())
    }
}
