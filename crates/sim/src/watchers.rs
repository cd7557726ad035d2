//! The watchers of the engine, each small enough to be read beside the real one: timers, reaper, inbox, disk. The watcher of
//! tickets is in `tracker.rs`.

use crate::invariants as inv;
use crate::node;
use crate::sim::{Live, Sim};
use orch_core::effect::Effect;
use orch_core::event::Event;
use orch_core::ids::TaskId;
use orch_core::pipeline::Step;
use orch_core::task::Task;
use orch_store::{Cause, Charge, Reaped};
use std::collections::BTreeMap;

/// Working directories that are kept before the disk is full.
const KEPT: usize = 1;

impl Sim {
    pub(crate) fn sweep_timers(&mut self) -> Live<()> {
        self.tell_late_looks()?;
        let now = self.now;
        for task in self.db(async |s| s.due(now).await)? {
            self.step(task, Cause::Engine, Event::TimerFired)?;
        }
        Ok(())
    }

    /// Claims that were taken back because nobody renewed them, or their process is another one now.
    pub(crate) fn taken_back(&mut self, reaped: &[Reaped]) -> Live<()> {
        for r in reaped {
            // Where a supervisor does the work, the death of whoever waited for it says nothing.
            if !self.ledger.outlives(r.job) {
                self.charge(r.job, Charge::Death);
            }
            inv::invariant_deaths_are_counted(self, r.job, r.deaths)?;
            self.ledger.release(r.job);
            self.say(|| format!("   {}: taken back from {}", r.job, r.worker));
        }
        Ok(())
    }

    /// The reaper, as the engine's watcher does it.
    pub(crate) fn sweep_claims(&mut self) -> Live<()> {
        let reaped = self.db(async |s| s.reap().await)?;
        for r in &reaped {
            inv::invariant_a_renewed_claim_stays(self, r.job, &r.worker)?;
            if self.other.is_some() && self.processes().all(|living| node::worker(living) != r.worker) {
                self.seen.count("watcher", "two engines: what a dead one claimed is taken over");
            }
        }
        self.taken_back(&reaped)?;
        for r in &reaped {
            let id = r.job;
            let job = self.db(async |s| s.job(id).await)?;
            if job.is_some_and(|job| matches!(job.effect, Effect::Notify { .. })) {
                continue;
            }
            let (key, text) = (format!("reaped-{}-{}", r.job, self.now.0), format!("{} goes back to the queue", r.job));
            self.step(r.job.task, Cause::Engine, Event::Noticed { key, text })?;
        }
        self.take_back_hung()?;
        let before: BTreeMap<_, _> =
            self.db(async |s| s.leases().await)?.into_iter().map(|l| (l.project.clone(), l)).collect();
        for (project, _, waiting) in self.db(async |s| s.reclaim_leases().await)? {
            self.seen.count("answer", "lease reclaimed");
            let holder = before.get(&project).and_then(|l| l.task).and_then(|t| self.tasks.get(&t)).cloned();
            if let Some(task) = holder {
                self.say(|| format!("   the lease of {} is reclaimed", task.work_item));
                inv::invariant_a_merge_keeps_its_lease(self, &task)?;
                self.ledger.reclaimed.insert(task.id);
            }
            for task in waiting {
                self.step(task, Cause::Engine, Event::LeaseFreed)?;
            }
        }
        Ok(())
    }

    pub(crate) fn sweep_inbox(&mut self) -> Live<()> {
        for row in self.db(async |s| s.pending_inbox(20).await)? {
            self.seen.count("answer", "inbox replayed");
            self.step(row.task, Cause::Inbox(row.id), row.event)?;
        }
        Ok(())
    }

    pub(crate) fn nudge(&mut self) -> Live<()> {
        let all: Vec<TaskId> = self.tasks.keys().copied().collect();
        let Some(task) = self.choices.pick("task", &all, |t| t.0.unsigned_abs()) else { return Ok(()) };
        self.step(task, Cause::Engine, Event::Nudged { what: "a webhook".into() })?;
        Ok(())
    }

    /// Removes working directories nobody needs while there are too many.
    pub(crate) fn sweep_disk(&mut self) -> Live<()> {
        let mut there: Vec<(bool, TaskId)> = Vec::new();
        for site in self.sites.values() {
            there.extend(site.left.keys().map(|id| (self.tasks.get(id).is_none_or(|t| !t.is_closed()), *id)));
        }
        there.sort_unstable();
        let mut total = there.len();
        for (_, id) in there {
            let Some(task) = self.tasks.get(&id).cloned().filter(|t| KEPT < total && is_spare(t)) else { continue };
            self.seen.count("watcher", "disk: directory removed");
            inv::invariant_no_work_is_thrown_away(self, &task)?;
            self.say(|| format!("   the working directory of {} is removed: the disk is full", task.work_item));
            self.site(&task.project)?.left.remove(&id);
            total -= 1;
        }
        Ok(())
    }
}

/// Everything of it is on the branch, and nobody is at work in it.
fn is_spare(task: &Task) -> bool {
    task.is_closed() || (task.job().is_none() && !matches!(task.step(), Some(Step::Agent { .. } | Step::Publish)))
}
