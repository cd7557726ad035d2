//! A life: first everything goes wrong that can, at random; then nothing does any more and people help, and everything
//! must come to an end.

use crate::invariants as inv;
use crate::outside;
use crate::report::{Report, Violation};
use crate::sim::{CLAIM_MS, Ended, Flight, Live, Sim, TTL_MS, pipeline};
use crate::site::{Setup, Site};
use crate::{Life, words};
use orch_core::effect::{Class, Effect, Lane, Outcome};
use orch_core::event::Event;
use orch_core::ids::{JobId, TaskId};
use orch_core::policy::Policy;
use orch_core::task::NewTask;
use orch_store::{Beat, Cause, Charge, ClaimRequest, Fence, Reaped, Requeue, Store};
use std::collections::BTreeMap;

/// Things that happen while faults are on.
const ROUGH: u64 = 1_000;
/// Longest quiet time before that.
const PRELUDE: usize = 1_000;
/// Things that may happen after that before whatever has not ended is stuck.
const CALM: u64 = 6_000;

/// Lives one life.
pub fn run(life: &Life) -> Report {
    let mut sim = match Sim::new(life) {
        Ok(sim) => sim,
        Err(violation) => {
            let seen = crate::report::Coverage::default();
            return Report { seed: life.seed, steps: 0, seen, violation: Some(violation), lines: Vec::new() };
        }
    };
    let violation = sim.live(life).err();
    Report { seed: life.seed, steps: sim.steps, seen: sim.seen.clone(), violation, lines: sim.lines.into() }
}

impl Sim {
    fn live(&mut self, life: &Life) -> Live<()> {
        self.settle_down(life)?;
        let mut patience = BTreeMap::new();
        // Half of the lives are quiet at first, so that faults meet tasks at every stage, not only young ones.
        let prelude = if self.rng.chance(800) { self.rng.below(PRELUDE) as u64 } else { 0 };
        self.faults_on = false;
        while self.steps < prelude {
            self.steps += 1;
            self.calm(&mut patience)?;
        }
        self.faults_on = true;
        self.say(|| "-- from here on everything can fail --".into());
        let rough_until = self.steps + ROUGH;
        while self.steps < rough_until {
            self.steps += 1;
            self.rough()?;
        }
        self.faults_on = false;
        self.say(|| "-- from here on nothing fails and people help --".into());
        for flight in &mut self.flights {
            flight.asleep = false;
        }
        patience.clear();
        let mut quiet = 0;
        let end = self.steps + CALM;
        while self.steps < end && quiet < 60 {
            self.steps += 1;
            self.calm(&mut patience)?;
            let open = self.tasks.values().filter(|t| !t.is_closed());
            let given_up = open.into_iter().all(|t| {
                matches!(t.phase, orch_core::task::Phase::Blocked { .. }) && patience.get(&t.id).is_some_and(|n| 5 < *n)
            });
            let over = given_up
                && self.flights.is_empty()
                && self.db(async |s| s.open_jobs(None).await)?.is_empty()
                && self.db(async |s| s.pending_inbox(1).await)?.is_empty();
            quiet = if over { quiet + 1 } else { 0 };
        }
        self.seen.count("life", "lived");
        inv::invariant_everything_ends(self)?;
        inv::invariant_nothing_is_left_over(self)?;
        outside::invariant_the_outside_agrees(self)
    }

    fn settle_down(&mut self, life: &Life) -> Live<()> {
        self.roughness = [20, 50, 100, 100, 180][self.rng.below(5)];
        let projects = if self.rng.chance(250) { vec!["DEMO", "SIDE"] } else { vec!["DEMO"] };
        for key in &projects {
            let policy = Policy {
                max_developer_retries: 1 + self.rng.below(3) as u32,
                max_role_attempts: 2,
                max_updates: 20,
                starters: vec!["local:sam".into()],
                approvers: vec!["local:anna".into()],
                production_approval: self.rng.chance(600),
                watch: self.rng.chance(700),
                auto_rollback: self.rng.chance(500),
                own_ci: self.rng.chance(600),
                ..Policy::default()
            };
            let setup = Setup {
                policy,
                staging_hook: self.rng.chance(800),
                production_hook: self.rng.chance(850),
                local_tests: self.rng.chance(700),
                review_on_forge: self.rng.chance(300),
                shadow_security: self.rng.chance(150),
            };
            self.sites.insert((*key).into(), Site::new((*key).into(), setup));
        }
        for number in 1..=life.tasks.max(1) {
            let project = projects[self.rng.below(projects.len())];
            let new = NewTask {
                project: project.into(),
                number,
                title: format!("ticket {number}"),
                body: "please".into(),
                pipeline: pipeline(life.profile, &mut self.rng),
            };
            let now = self.now;
            let again = new.clone();
            let (task, made) = self.db(async |s| s.create_task(new, now).await)?;
            let (same, twice) = self.db(async |s| s.create_task(again, now).await)?;
            inv::ensure(made && !twice && same == task, "one_task_per_ticket", || format!("{} twice", task.work_item))?;
            self.seen.task(&task);
            self.tasks.insert(task.id, task);
        }
        Ok(())
    }

    fn rough(&mut self) -> Live<()> {
        match self.rng.below(100) {
            0..20 => self.claim_any(),
            20..52 => self.act_any(),
            52..72 => self.settle_any(),
            72..79 => self.person(),
            79 => self.stranger(),
            80..88 => self.pass(),
            88..91 => self.sweep_timers(),
            91..93 => self.sweep_claims(),
            93..95 => self.sweep_inbox(),
            95..97 => self.nudge(),
            97 => {
                if self.hit("process killed", 250) {
                    self.crash()
                } else {
                    Ok(())
                }
            }
            _ => {
                self.wake_a_sleeper();
                Ok(())
            }
        }
    }

    fn calm(&mut self, patience: &mut BTreeMap<TaskId, u32>) -> Live<()> {
        match self.rng.below(100) {
            0..25 => self.claim_any(),
            25..50 => self.act_any(),
            50..75 => self.settle_any(),
            75..82 => self.help(patience),
            82..90 => self.pass(),
            90..94 => self.sweep_timers(),
            94..97 => self.sweep_claims(),
            _ => self.sweep_inbox(),
        }
    }

    fn claim_any(&mut self) -> Live<()> {
        let start = self.rng.below(Lane::ALL.len());
        for n in 0..Lane::ALL.len() {
            let lane = Lane::ALL[(start + n) % Lane::ALL.len()];
            let width = if lane == Lane::Agent { 2 } else { 3 };
            if width <= self.flights.iter().filter(|f| f.job.lane == lane && !f.asleep).count() {
                continue;
            }
            let request = ClaimRequest {
                lane,
                worker: self.worker(),
                now: self.now,
                boot: self.boot.clone(),
                lease_ms: CLAIM_MS,
            };
            let Some(job) = self.db(async |s| s.claim(request).await)? else { continue };
            inv::invariant_what_ended_is_not_claimed(self, &job)?;
            inv::invariant_exclusive_jobs_run_alone(self, &job)?;
            inv::invariant_attempts_are_spent_by_failures_only(self, &job)?;
            self.ledger.claim(&job);
            let id = job.id.task;
            let task = self.db(async |s| s.task(id).await)?;
            inv::ensure(task.as_ref() == self.tasks.get(&id), "what_is_not_applied_changes_nothing", || {
                format!("task {id} changed without a step")
            })?;
            let Some(task) = task else { return Ok(()) };
            self.say(|| format!("   {}: claims {} ({})", job.id, words::effect(&job.effect), job.epoch));
            if self.hit("worker dies before the effect", 30) {
                return Ok(());
            }
            let asleep = self.hit("worker paused before the effect", 40);
            let stop = job.stop;
            self.flights.push(Flight { job, task, ended: None, asleep, stop, blind: false });
            return Ok(());
        }
        Ok(())
    }

    fn act_any(&mut self) -> Live<()> {
        let awake: Vec<usize> =
            (0..self.flights.len()).filter(|i| !self.flights[*i].asleep && self.flights[*i].ended.is_none()).collect();
        let Some(&at) = self.rng.pick(&awake) else { return Ok(()) };
        let mut flight = self.flights[at].clone();
        if self.hit("process killed before the effect", 6) {
            return self.crash();
        }
        if self.hit("outside is down", 30) {
            let fault = crate::effects::fault(orch_core::verdict::FaultKind::Transient, "the forge is down");
            self.flights[at].ended = Some(Ended::Again { spend: false, new_run: false, fault });
            return Ok(());
        }
        let stale = !self.ledger.holds(flight.job.fence());
        if stale {
            self.seen.fault("zombie acts");
            flight.blind = matches!(flight.job.effect, Effect::Merge { .. }) && self.hit("zombie merges blindly", 300);
        }
        let Some(ended) = self.ensure(&flight)? else { return Ok(()) };
        self.say(|| match &ended {
            Ended::Outcome(o) => format!("   {}: {}", flight.job.id, words::outcome(o)),
            Ended::Again { fault, .. } => format!("   {}: again: {}", flight.job.id, fault.text),
        });
        if self.hit("process killed after the effect", 8) {
            return self.crash();
        }
        if self.hit("worker dies after the effect", 25) {
            self.flights.swap_remove(at);
            return Ok(());
        }
        let asleep = self.hit("worker paused after the effect", 40);
        let ended = if self.hit("answer lost", 25) {
            let fault = crate::effects::fault(orch_core::verdict::FaultKind::Transient, "no answer");
            Ended::Again { spend: false, new_run: false, fault }
        } else {
            ended
        };
        self.flights[at].ended = Some(ended);
        self.flights[at].asleep = asleep;
        Ok(())
    }

    fn settle_any(&mut self) -> Live<()> {
        let ready: Vec<usize> =
            (0..self.flights.len()).filter(|i| !self.flights[*i].asleep && self.flights[*i].ended.is_some()).collect();
        let Some(&at) = self.rng.pick(&ready) else { return Ok(()) };
        let flight = self.flights.swap_remove(at);
        if self.hit("result lost", 20) {
            return Ok(());
        }
        if !self.ledger.holds(flight.job.fence()) {
            self.seen.fault("late result");
        }
        self.settle(&flight)?;
        if self.hit("result twice", 60) {
            self.settle(&flight)?;
        }
        Ok(())
    }

    /// What the runner does with an end: the same rules, small enough to be read beside it.
    fn settle(&mut self, flight: &Flight) -> Live<()> {
        let job = &flight.job;
        let once_more = match flight.ended.clone() {
            None => return Ok(()),
            Some(Ended::Outcome(outcome)) => {
                let event = Event::JobEnded { job: job.id.seq, outcome };
                self.step(job.id.task, Cause::Job(job.fence()), event)?;
                return self.nudge_after(job.id, &job.effect);
            }
            Some(again) => again,
        };
        let Ended::Again { spend, new_run, fault } = once_more else { return Ok(()) };
        let irreversible = job.effect.class() == Class::Irreversible;
        if spend && !irreversible && job.max_attempts <= job.attempts + 1 {
            let event = Event::JobEnded { job: job.id.seq, outcome: Outcome::Failed { fault } };
            self.step(job.id.task, Cause::Job(job.fence()), event)?;
            return Ok(());
        }
        let spend = spend && !irreversible;
        let not_before = self.now.plus_ms(1_000 << job.transient_attempts.min(6));
        let charge = if spend { Charge::Attempt } else { Charge::Transient };
        let requeue = Requeue { charge, new_run, not_before, fault, parked: None };
        let fence = job.fence();
        let taken = self.db(async |s| s.requeue(fence, requeue).await)?;
        inv::invariant_fences_hold("requeue", fence, self.ledger.holds(fence), taken)?;
        if taken {
            self.ledger.release(job.id);
            let spent = self.ledger.spent.entry(job.id).or_default();
            *(if spend { &mut spent.0 } else { &mut spent.1 }) += 1;
            self.say(|| format!("   {}: goes back to the queue", job.id));
        }
        Ok(())
    }

    fn nudge_after(&mut self, job: JobId, effect: &Effect) -> Live<()> {
        if matches!(effect, Effect::EnsureCi { .. }) && !self.hit("hint lost", 300) {
            self.step(job.task, Cause::Engine, Event::Nudged { what: "CI has judged".into() })?;
        }
        Ok(())
    }

    /// Time passes; whoever is awake renews its claim.
    fn pass(&mut self) -> Live<()> {
        // All of the process stands still, and the reaper is the first to wake.
        if self.hit("process stalls", 15) {
            self.now = self.now.plus_ms(2 * TTL_MS);
            self.boot.ms += 2 * TTL_MS;
            return self.sweep_claims();
        }
        let ms = match self.rng.below(10) {
            0..5 => 1_000,
            5..8 => 6_000,
            8 => 31_000,
            _ => self.until_next().clamp(1_000, 1_000_000),
        };
        self.now = self.now.plus_ms(ms);
        self.boot.ms += ms;
        if !self.hit("lease heartbeat lost", 100) {
            let boot = self.boot.clone();
            self.db(async |s| s.renew_leases(boot, TTL_MS).await)?;
        }
        let mut at = 0;
        while at < self.flights.len() {
            let (fence, asleep) = (self.flights[at].job.fence(), self.flights[at].asleep);
            if asleep || self.hit("heartbeat lost", 20) {
                at += 1;
                continue;
            }
            let boot = self.boot.clone();
            let beat = self.db(async |s| s.heartbeat(fence, boot, CLAIM_MS, TTL_MS).await)?;
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

    fn renewed(&mut self, fence: Fence) -> Live<()> {
        let task = fence.job.task;
        let Some(project) = self.tasks.get(&task).map(|t| t.project.clone()) else { return Ok(()) };
        if self.lease(&project)?.task == Some(task) {
            self.ledger.lease_until.insert(task, (self.boot.boot_id.clone(), self.boot.ms + TTL_MS));
        }
        Ok(())
    }

    fn sweep_timers(&mut self) -> Live<()> {
        let now = self.now;
        for task in self.db(async |s| s.due(now).await)? {
            self.step(task, Cause::Engine, Event::TimerFired)?;
        }
        Ok(())
    }

    fn taken_back(&mut self, reaped: &[Reaped]) {
        for r in reaped {
            self.ledger.release(r.job);
            self.say(|| format!("   {}: taken back from {}", r.job, r.worker));
        }
    }

    /// The reaper, as the engine's watcher does it.
    fn sweep_claims(&mut self) -> Live<()> {
        let boot = self.boot.clone();
        let reaped = self.db(async |s| s.reap(boot).await)?;
        self.taken_back(&reaped);
        let before: BTreeMap<_, _> =
            self.db(async |s| s.leases().await)?.into_iter().map(|l| (l.project.clone(), l)).collect();
        let boot = self.boot.clone();
        for (project, _, waiting) in self.db(async |s| s.reclaim_leases(boot).await)? {
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

    fn sweep_inbox(&mut self) -> Live<()> {
        for row in self.db(async |s| s.pending_inbox(20).await)? {
            self.seen.count("answer", "inbox replayed");
            self.step(row.task, Cause::Inbox(row.id), row.event)?;
        }
        Ok(())
    }

    fn nudge(&mut self) -> Live<()> {
        let all: Vec<TaskId> = self.tasks.keys().copied().collect();
        let Some(&task) = self.rng.pick(&all) else { return Ok(()) };
        self.step(task, Cause::Engine, Event::Nudged { what: "a webhook".into() })?;
        Ok(())
    }

    fn wake_a_sleeper(&mut self) {
        let asleep: Vec<usize> = (0..self.flights.len()).filter(|i| self.flights[*i].asleep).collect();
        if let Some(&at) = self.rng.pick(&asleep) {
            self.flights[at].asleep = false;
            let job = self.flights[at].job.id;
            self.say(|| format!("   {job}: a paused worker wakes"));
        }
    }

    /// The process dies; the next one takes over. Programs under supervisors live on, unless the machine went down too.
    fn crash(&mut self) -> Live<()> {
        self.flights.clear();
        self.process += 1;
        let rebooted = self.hit("machine rebooted", 300);
        if rebooted {
            self.boots += 1;
            self.boot.boot_id = format!("boot-{}", self.boots).into();
            self.boot.ms = 5_000;
            for run in self.sites.values_mut().flat_map(|s| s.runs.values_mut()).filter(|r| !r.over) {
                run.over = true;
                run.plan = crate::site::Plan::Lost;
            }
        }
        let downtime = 1_000 + (self.rng.next() % 30_000) as i64;
        self.now = self.now.plus_ms(downtime);
        self.boot.ms += downtime;
        self.open()?;
        self.say(|| {
            if rebooted {
                "== the machine goes down and comes back".into()
            } else {
                "== the process is killed and starts again".into()
            }
        });
        let (worker, boot) = (self.worker(), self.boot.clone());
        let held = self.ledger.held();
        let taken = self.db(async |s| s.recover(&worker, boot, TTL_MS).await)?;
        let back: std::collections::BTreeSet<JobId> = taken.iter().map(|r| r.job).collect();
        inv::ensure(held == back, "recover_takes_everything_back", || {
            format!("claimed were {held:?}, taken back {back:?}")
        })?;
        self.taken_back(&taken);
        for (id, task) in &self.tasks {
            let stored = self.db(async |s| s.task(*id).await)?;
            inv::ensure(stored.as_ref() == Some(task), "what_was_answered_is_durable", || {
                format!("{} changed", task.work_item)
            })?;
        }
        Ok(())
    }
}

impl From<Violation> for String {
    fn from(violation: Violation) -> Self {
        format!("{}: {}", violation.invariant, violation.what)
    }
}
