//! Which job is claimed next. Projects take turns; within a project the highest priority goes first, then the oldest. A
//! second writing of what the SQL of the other store says, on purpose: the contract and the lives compare the two.

use super::state::{Result, Row, State};
use orch_core::effect::Lane;
use orch_core::ids::{JobId, ProjectKey};
use orch_store::{ClaimRequest, Job, JobState, money};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

impl State {
    pub(super) fn claim(&mut self, r: &ClaimRequest) -> Result<Option<Job>> {
        let job = self.next(r);
        money::reserved(self, job, r)
    }

    pub(super) fn claim_one(&mut self, id: JobId, r: &ClaimRequest) -> Result<Option<Job>> {
        let job = self.certain(id, r);
        money::reserved(self, job, r)
    }

    fn next(&mut self, r: &ClaimRequest) -> Option<Job> {
        let rows = self.now.jobs.iter().map(AsRef::as_ref);
        let rank = |row: &Row| self.now.tasks.get(&row.job.id.task).map_or(0, |task| -i64::from(task.priority));
        // The first of every project and rank that may be claimed now.
        let mut first: BTreeMap<(&ProjectKey, i64), &Row> = BTreeMap::new();
        for row in rows.clone().filter(|row| self.may_run(row, r) && !r.except.contains(&row.job.project)) {
            let best = first.entry((&row.job.project, rank(row))).or_insert(row);
            if (row.job.available_at, row.id) < (best.job.available_at, best.id) {
                *best = row;
            }
        }
        let mut held: BTreeMap<&ProjectKey, u32> = BTreeMap::new();
        for row in rows.clone().filter(|row| row.job.state == JobState::Running && row.job.lane == r.lane) {
            *held.entry(&row.job.project).or_default() += 1;
        }
        // Projects that are at work, could begin something, and have no place in the lane: one is kept for each.
        let at_work =
            |row: &&Row| !matches!(row.job.lane, Lane::Watch | Lane::Message) && row.job.available_at <= r.now;
        let others = rows.filter(at_work).map(|row| &row.job.project).filter(|project| !r.except.contains(project));
        let others: BTreeSet<&ProjectKey> = others.collect();
        let kept = others.iter().filter(|project| !held.contains_key(*project)).count() as u64;
        let taken: u64 = held.values().map(|n| u64::from(*n)).sum();
        let may_begin = |project: &ProjectKey| {
            held.get(project).is_none_or(|n| *n < r.share.each && taken + kept < u64::from(r.share.all))
        };
        let turn = |project: &ProjectKey| self.turns.get(&(r.lane, project.clone())).copied().unwrap_or(0);
        let next = first.into_iter().filter(|((project, _), _)| may_begin(project));
        let next =
            next.min_by_key(|((project, rank), _)| (turn(project), *project, *rank)).map(|(_, row)| row.job.id)?;
        let job = self.take(next, r)?;
        self.served(r.lane, &job.project);
        Some(job)
    }

    fn certain(&mut self, id: JobId, r: &ClaimRequest) -> Option<Job> {
        self.open(id).filter(|row| self.may_run(row, r))?;
        self.take(id, r)
    }

    /// Is it there to be claimed, and does nothing with its exclusive key run? A deploy that was begun holds its environment
    /// until it has ended, also while it waits for another try.
    fn may_run(&self, row: &Row, r: &ClaimRequest) -> bool {
        let job = &row.job;
        if job.state != JobState::Queued || job.lane != r.lane || r.now < job.available_at {
            return false;
        }
        let Some(key) = job.effect.exclusive(&job.project) else { return true };
        !self.now.jobs.iter().any(|other| {
            let o = &other.job;
            if o.effect.exclusive(&o.project).as_ref() != Some(&key) {
                return false;
            }
            let begun = o.state == JobState::Queued && o.lane == Lane::Deploy && 0 < o.epoch && other.id != row.id;
            o.state == JobState::Running || job.lane == Lane::Deploy && begun && (job.epoch == 0 || other.id < row.id)
        })
    }

    fn take(&mut self, id: JobId, r: &ClaimRequest) -> Option<Job> {
        let until_ms = self.clock.ms().saturating_add(r.lease_ms);
        let row = Arc::make_mut(self.now.jobs.iter_mut().find(|row| row.job.id == id)?);
        row.worker.clone_from(&r.worker);
        row.until_ms = until_ms;
        row.job.state = JobState::Running;
        row.job.epoch += 1;
        row.job.claimed_at = Some(r.now);
        row.job.parked = None;
        Some(row.job.clone())
    }

    fn served(&mut self, lane: Lane, project: &ProjectKey) {
        let last = self.turns.iter().filter(|((l, _), _)| *l == lane).map(|(_, n)| *n).max().unwrap_or(0);
        let turn = self.turns.entry((lane, project.clone())).or_default();
        if *turn < last || last == 0 {
            *turn = last + 1;
        }
    }
}
