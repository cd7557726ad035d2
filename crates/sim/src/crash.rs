//! How processes, workers and machines end, and the time in which they do not: kills at any time and around every effect,
//! reboots, workers that stop in the middle and wake much later. Each life hunts one kind of crash, so that each kind
//! meets each phase.

use crate::invariants as inv;
use crate::node;
use crate::sim::{CLAIM_MS, Flight, Live, Sim, TTL_MS};
use orch_core::effect::Class;
use orch_core::ids::JobId;
use orch_core::lease::{self, Hold};
use orch_store::{Beat, Fence};

/// Not at a job in particular.
pub(crate) const CRASH_NOW: &str = "process killed";
pub(crate) const CRASH_BEFORE: &str = "process killed before the effect";
pub(crate) const CRASH_AFTER: &str = "process killed after the effect";
pub(crate) const DIES_BEFORE: &str = "worker dies before the effect";
pub(crate) const DIES_AFTER: &str = "worker dies after the effect";
pub(crate) const PAUSED_BEFORE: &str = "worker paused before the effect";
pub(crate) const PAUSED_AFTER: &str = "worker paused after the effect";
const REBOOT: &str = "machine rebooted";

/// Every kind of crash. The first two meet whatever is going on, the others the job in hand.
pub(crate) const CRASHES: &[&str] =
    &[CRASH_NOW, REBOOT, CRASH_BEFORE, CRASH_AFTER, DIES_BEFORE, DIES_AFTER, PAUSED_BEFORE, PAUSED_AFTER];

/// Does this kind of crash happen to one job, and so only where there is one?
pub(crate) fn needs_a_job(kind: &str) -> bool {
    kind != CRASH_NOW && kind != REBOOT
}

/// How a crash in a phase is counted.
pub(crate) fn cell(kind: &str, phase: &str) -> String {
    format!("{kind} while {phase}")
}

impl Sim {
    /// Is this the crash this life is after, and has it not met that phase yet?
    fn hunts(&self, kind: &str, phase: &'static str) -> bool {
        self.faults_on && self.prey == kind && !self.hunted.contains(phase)
    }

    /// Is it after a crash that meets everything, in a phase it has not met yet?
    pub(crate) fn hunts_a_process(&self) -> bool {
        !needs_a_job(self.prey) && self.tasks.values().any(|t| self.hunts(self.prey, t.phase_word()))
    }

    /// Does this crash meet this job? More probably if this life is after it.
    pub(crate) fn crashes_at(&mut self, kind: &'static str, job: JobId, per_mille: u64) -> bool {
        let Some(phase) = self.tasks.get(&job.task).map(orch_core::task::Task::phase_word) else { return false };
        let odds = if self.hunts(kind, phase) { 600 } else { per_mille };
        let hit = self.hit(kind, odds);
        if hit {
            self.meets(kind, phase);
        }
        hit
    }

    fn meets(&mut self, kind: &'static str, phase: &'static str) {
        self.seen.count("crash", cell(kind, phase));
        if self.prey == kind {
            self.hunted.insert(phase);
        }
    }

    /// The process dies; the next one takes over. Programs under supervisors live on, unless the machine went down too.
    pub(crate) fn crash(&mut self, kind: &'static str) -> Live<()> {
        let in_order = kind == CRASH_NOW && self.hit("process ends in order", 250);
        if in_order {
            // It gives back what it has claimed; nobody has died.
            let (worker, held) = (self.worker(), self.ledger.held_by(self.node.process));
            let given = self.db(async |s| s.release(&worker).await)?;
            inv::ensure(given == held.len() as u64, "recover_takes_everything_back", || {
                format!("claimed were {held:?}, given back {given}")
            })?;
            for job in held {
                self.ledger.release(job);
            }
        }
        let rebooted = self.hit(REBOOT, if self.prey == REBOOT { 700 } else { 300 });
        let phases: Vec<&'static str> = self.tasks.values().map(orch_core::task::Task::phase_word).collect();
        for phase in phases {
            if kind == CRASH_NOW {
                self.meets(kind, phase);
            }
            if rebooted {
                self.meets(REBOOT, phase);
            }
        }
        if rebooted {
            for run in self.sites.values_mut().flat_map(|s| s.runs.values_mut()).filter(|r| !r.over) {
                run.over = true;
                run.plan = crate::site::Plan::Lost;
            }
        }
        let downtime = 1_000 + self.choices.below("downtime ms", 30_000) as i64;
        let gone = self.worker();
        self.flights.retain(|f| !rebooted && f.process != self.node.process);
        if rebooted {
            self.pass_ms(downtime);
        } else {
            self.others_go_on(downtime)?;
        }
        self.say(|| {
            if rebooted {
                "== the machine goes down and comes back".into()
            } else {
                format!("== the process {gone} is killed and starts again")
            }
        });
        self.start_again(rebooted)?;
        for (id, task) in &self.tasks {
            let stored = self.db(async |s| s.task(*id).await)?;
            inv::ensure(stored.as_ref() == Some(task), "what_was_answered_is_durable", || {
                format!("{} changed", task.work_item)
            })?;
        }
        Ok(())
    }

    /// Was somebody paused in the middle of a merge that somebody else has done with?
    pub(crate) fn a_merge_is_over_for_a_sleeper(&self) -> bool {
        self.flights.iter().any(|f| f.asleep && self.is_late_in_a_merge(f))
    }

    pub(crate) fn is_late_in_a_merge(&self, f: &Flight) -> bool {
        let merging = f.job.effect.class() == Class::Irreversible && f.ended.is_none();
        merging && self.ledger.ended.contains(&f.job.id)
    }

    pub(crate) fn wake_a_sleeper(&mut self) {
        let mut asleep: Vec<usize> = (0..self.flights.len()).filter(|i| self.flights[*i].asleep).collect();
        // Whoever was paused in a merge is worth most once somebody else has done with it.
        let merging = |f: &Flight| f.job.effect.class() == Class::Irreversible && f.ended.is_none();
        let early = |f: &Flight| merging(f) && !self.ledger.ended.contains(&f.job.id);
        if self.a_merge_is_over_for_a_sleeper() {
            asleep.retain(|i| self.is_late_in_a_merge(&self.flights[*i]));
        } else if self.flights.iter().any(|f| f.asleep && early(f)) && self.choices.chance("sleeps on in a merge", 900)
        {
            asleep.retain(|i| !early(&self.flights[*i]));
        }
        if let Some(at) = self.pick_worker(&asleep) {
            self.flights[at].asleep = false;
            let job = self.flights[at].job.id;
            self.say(|| format!("   {job}: a paused worker wakes"));
        }
    }

    /// Time passes; whoever is awake renews its claim.
    pub(crate) fn pass(&mut self) -> Live<()> {
        // All of the process stands still, and the reaper is the first to wake.
        if self.hit("process stalls", 15) {
            self.others_go_on(2 * TTL_MS)?;
            self.say(|| "== the process stands still for two minutes".into());
            return self.sweep_claims();
        }
        let ms = match self.choices.below("how long", 10) {
            0..5 => 1_000,
            5..8 => 6_000,
            8 => 31_000,
            _ => self.until_next().clamp(1_000, 1_000_000),
        };
        self.pass_ms(ms);
        let living: Vec<u32> = self.processes().collect();
        for process in living {
            if !self.hit("lease heartbeat lost", 100) {
                let worker = node::worker(process);
                self.db(async |s| s.renew_leases(&worker, TTL_MS).await)?;
                self.renewed_leases(&worker)?;
            }
        }
        self.services_come_back();
        self.beat(|_| true)
    }

    /// Time passes, and this process stands still: it renews nothing. Another one does.
    fn others_go_on(&mut self, ms: i64) -> Live<()> {
        let still = self.node.process;
        let Some(other) = self.other.as_ref().map(|node| node::worker(node.process)) else {
            self.pass_ms(ms);
            return Ok(());
        };
        let mut left = ms;
        while 0 < left {
            self.pass_ms(left.min(CLAIM_MS / 2));
            left -= CLAIM_MS / 2;
            self.db(async |s| s.renew_leases(&other, TTL_MS).await)?;
            self.renewed_leases(&other)?;
            self.beat(|f| f.process != still)?;
        }
        Ok(())
    }

    /// Whoever is awake renews its claim.
    fn beat(&mut self, whose: impl Fn(&Flight) -> bool) -> Live<()> {
        let mut at = 0;
        while at < self.flights.len() {
            let (fence, asleep) = (self.flights[at].job.fence(), self.flights[at].asleep);
            if !whose(&self.flights[at]) || asleep || self.hit("heartbeat lost", 20) {
                at += 1;
                continue;
            }
            let beat = self.db(async |s| s.heartbeat(fence, CLAIM_MS, TTL_MS).await)?;
            let valid = self.ledger.holds(fence);
            inv::invariant_fences_hold("heartbeat", fence, valid, beat != Beat::Lost)?;
            if valid {
                self.renewed(fence)?;
            }
            if beat == Beat::Stop {
                self.flights[at].stop = true;
            }
            if beat == Beat::Lost && !self.hit("zombie goes on", 400) {
                self.flights.swap_remove(at);
            } else {
                at += 1;
            }
        }
        Ok(())
    }

    fn until_next(&self) -> i64 {
        let next = self.db(async |s| s.next_wake().await).ok().flatten();
        next.map_or(1_000, |t| t.since_ms(self.now))
    }

    pub(crate) fn renewed(&mut self, fence: Fence) -> Live<()> {
        self.ledger.renew(fence.job, self.ms() + CLAIM_MS);
        if self.ledger.claim_of(fence.job).is_some_and(|claim| claim.side) {
            return Ok(());
        }
        let task = fence.job.task;
        let Some(repository) = self.tasks.get(&task).map(|t| t.repository().clone()) else { return Ok(()) };
        if self.lease(&repository)?.task == Some(task) {
            self.ledger.lease_until.insert(task, self.ms() + TTL_MS);
        }
        Ok(())
    }

    /// What this worker holds of what tasks still need has a full time now.
    fn renewed_leases(&mut self, worker: &str) -> Live<()> {
        for lease in self.db(async |s| s.leases().await)?.into_iter().filter(|l| l.worker.as_deref() == Some(worker)) {
            if let Some(task) = lease.task.and_then(|id| self.tasks.get(&id))
                && lease::hold(task, task.updated_at) != Hold::Free
            {
                self.ledger.lease_until.insert(task.id, self.ms() + TTL_MS);
            }
        }
        Ok(())
    }
}
