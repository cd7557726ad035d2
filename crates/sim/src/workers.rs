//! Workers: they claim, do what they claimed against the modelled outside, and report, as the runner of the engine does.
//! Any of it can be cut off.

use crate::crash::{CRASH_AFTER, CRASH_BEFORE, DIES_AFTER, DIES_BEFORE, PAUSED_AFTER, PAUSED_BEFORE};
use crate::effects::transient;
use crate::invariants as inv;
use crate::services::PAUSES;
use crate::sim::{CLAIM_MS, End, Flight, Live, Sim};
use crate::words;
use orch_core::effect::{Class, Effect, Lane};
use orch_core::event::Event;
use orch_core::ids::JobId;
use orch_core::retry::{self, Failure, Next, Tried};
use orch_core::verdict::FaultKind;
use orch_store::{Cause, Charge, ClaimRequest, Job, Requeue, Share};

/// How long a service that has a limit wants to be left alone.
const LIMIT_MS: i64 = 45_000;

/// How a claim is named in a scenario: 2014.03 without the dot is the third claim of job 14 of task 2.
fn key(job: &Job) -> u64 {
    job.id.task.0.unsigned_abs() * 100_000 + u64::from(job.id.seq) * 100 + job.epoch.min(99)
}

impl Sim {
    /// One of these workers.
    pub(crate) fn pick_worker(&mut self, among: &[usize]) -> Option<usize> {
        let keys: Vec<u64> = self.flights.iter().map(|f| key(&f.job)).collect();
        self.choices.pick("claim", among, |at| keys[*at])
    }

    pub(crate) fn claim_any(&mut self) -> Live<()> {
        let start = self.choices.below("lane", Lane::ALL.len());
        for n in 0..Lane::ALL.len() {
            let lane = Lane::ALL[(start + n) % Lane::ALL.len()];
            let width = if lane == Lane::Agent { 2 } else { 3 };
            if width
                <= self
                    .flights
                    .iter()
                    .filter(|f| f.process == self.node.process && f.job.lane == lane && !f.asleep)
                    .count()
            {
                continue;
            }
            let request = ClaimRequest {
                lane,
                worker: self.worker(),
                now: self.now,
                lease_ms: CLAIM_MS,
                share: Share::default(),
                except: Vec::new(),
                terms: self.terms(lane),
            };
            let Some(job) = self.db(async |s| s.claim(request).await)? else { continue };
            inv::invariant_what_ended_is_not_claimed(self, &job)?;
            inv::invariant_exclusive_jobs_run_alone(self, &job)?;
            inv::invariant_attempts_are_spent_by_failures_only(self, &job)?;
            inv::invariant_deaths_are_counted(self, job.id, job.deaths)?;
            inv::invariant_what_is_claimed_waits_for_nothing(&job)?;
            self.invariant_no_budget_is_passed(&job)?;
            let (process, until_ms) = (self.node.process, self.ms() + CLAIM_MS);
            self.ledger.claim(&job, process, until_ms);
            let id = job.id.task;
            let task = self.db(async |s| s.task(id).await)?;
            inv::ensure(task.as_ref() == self.tasks.get(&id), "what_is_not_applied_changes_nothing", || {
                format!("task {id} changed without a step")
            })?;
            let Some(task) = task else { return Ok(()) };
            self.say(|| format!("   {}: claims {} ({})", job.id, words::effect(&job.effect), job.epoch));
            if self.crashes_at(DIES_BEFORE, job.id, if job.deaths == 0 { 30 } else { 120 }) {
                return Ok(());
            }
            let asleep = self.crashes_at(
                PAUSED_BEFORE,
                job.id,
                if job.effect.class() == Class::Irreversible { 450 } else { 40 },
            );
            let hung = !asleep && self.hit("worker hangs", 15);
            let stop = job.stop;
            let ended = self.refuse(&job).map(End::Refused);
            crate::arranged::invariant_what_is_held_is_not_tried(self, &job, &task, ended.is_some())?;
            if let Some(End::Refused(Next::Requeue(Requeue { parked: Some(service), .. }))) = &ended {
                let (id, service) = (job.id, service.clone());
                self.say(|| format!("   {id}: waits for {service}"));
            }
            self.flights.push(Flight { job, process, task, ended, asleep, stop, hung, blind: false });
            return Ok(());
        }
        Ok(())
    }

    pub(crate) fn act_any(&mut self) -> Live<()> {
        let mut awake: Vec<usize> = (0..self.flights.len()).filter(|i| self.flights[*i].works()).collect();
        // Whoever wakes in a merge that somebody else has done with goes on at once: a moment later it knows better.
        let late = awake.iter().copied().find(|at| self.is_late_in_a_merge(&self.flights[*at]));
        awake.retain(|at| self.flights[*at].process == self.node.process);
        let Some(at) = late.or_else(|| self.pick_worker(&awake)) else { return Ok(()) };
        let mut flight = self.flights[at].clone();
        self.turn_of(flight.process);
        if self.crashes_at(CRASH_BEFORE, flight.job.id, 6) {
            return self.crash(CRASH_BEFORE);
        }
        if self.is_down(&flight.job)
            || self.hit("outside is down", if flight.job.lane == Lane::Deploy { 300 } else { 30 })
        {
            // Some say when they want us back.
            let wait = self.choices.chance("says when to come back", 400).then_some(LIMIT_MS);
            let failure = Failure { retry_after_ms: wait, ..Failure::new(FaultKind::Transient, "the forge is down") };
            self.flights[at].ended = Some(End::Tried(Tried::Failed(failure)));
            return Ok(());
        }
        let stale = !self.ledger.holds(flight.job.fence());
        if stale {
            self.seen.fault("zombie acts");
            flight.blind = matches!(flight.job.effect, Effect::Merge { .. }) && self.hit("zombie merges blindly", 150);
        }
        inv::invariant_poison_is_not_tried(&flight.job)?;
        let Some(ended) = self.ensure(&flight)? else { return Ok(()) };
        self.say(|| match &ended {
            Tried::Outcome(o) => format!("   {}: {}", flight.job.id, words::outcome(o)),
            Tried::Again { failure, .. } => format!("   {}: again: {}", flight.job.id, failure.text),
            Tried::Failed(failure) => format!("   {}: failed: {}", flight.job.id, failure.text),
        });
        if self.crashes_at(CRASH_AFTER, flight.job.id, 8) {
            return self.crash(CRASH_AFTER);
        }
        if self.crashes_at(DIES_AFTER, flight.job.id, 25) {
            self.flights.swap_remove(at);
            return Ok(());
        }
        let asleep = self.crashes_at(PAUSED_AFTER, flight.job.id, 40);
        let ended = if self.hit("answer lost", 25) { transient("no answer") } else { ended };
        self.flights[at].ended = Some(End::Tried(ended));
        self.flights[at].asleep = asleep;
        Ok(())
    }

    pub(crate) fn settle_any(&mut self) -> Live<()> {
        let ready: Vec<usize> = (0..self.flights.len()).filter(|i| self.may_report(&self.flights[*i])).collect();
        let Some(at) = self.pick_worker(&ready) else { return Ok(()) };
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

    fn may_report(&self, f: &Flight) -> bool {
        f.process == self.node.process && !f.asleep && f.ended.is_some()
    }

    /// What the runner does with an end.
    fn settle(&mut self, flight: &Flight) -> Live<()> {
        let job = &flight.job;
        let next = match flight.ended.clone() {
            None => return Ok(()),
            Some(End::Refused(next)) => next,
            Some(End::Tried(tried)) => {
                let tried = tried.weighed(flight.stop, self.still_runs(job));
                if !tried.is_a_guess() {
                    self.node.refusals.forget(job.id);
                }
                self.hear(job, &tried)?;
                let world = match &tried {
                    Tried::Failed(failure) => failure.kind == FaultKind::Transient,
                    Tried::Again { charge, .. } => *charge == Charge::Transient,
                    Tried::Outcome(_) => false,
                };
                let refusals = &mut self.node.refusals;
                let is_final = |text: &str| refusals.is_final(job.id, text);
                let next = retry::conclude(&job.effect, &job.tries(), tried, self.now, PAUSES, is_final);
                inv::invariant_the_world_costs_nothing(job, world, &next)?;
                next
            }
        };
        match next {
            Next::Settle(outcome) => {
                let event = Event::JobEnded { job: job.id.seq, outcome };
                self.step(job.id.task, Cause::Job(job.fence()), event)?;
                self.nudge_after(job.id, &job.effect)
            }
            Next::Requeue(requeue) => {
                let (fence, charge) = (job.fence(), requeue.charge);
                let taken = self.db(async |s| s.requeue(fence, requeue).await)?;
                inv::invariant_fences_hold("requeue", fence, self.ledger.holds(fence), taken)?;
                if taken {
                    self.ledger.release(job.id);
                    self.charge(job.id, charge);
                    self.say(|| format!("   {}: goes back to the queue", job.id));
                }
                Ok(())
            }
        }
    }

    fn nudge_after(&mut self, job: JobId, effect: &Effect) -> Live<()> {
        if matches!(effect, Effect::EnsureCi { .. }) && !self.hit("hint lost", 300) {
            self.step(job.task, Cause::Engine, Event::Nudged { what: "CI has judged".into() })?;
        }
        Ok(())
    }
}
