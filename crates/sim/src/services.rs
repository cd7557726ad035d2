//! What the runner asks before it lets a job be tried, and what it does with an end. The rules are those of `orch_core`
//! (`retry`, `circuit`, `reap`), as the engine uses them. Here is the world they are asked about: services go down for all
//! jobs alike, and come back.

use crate::invariants as inv;
use crate::sim::{Live, Sim};
use orch_core::circuit::{self, Heard};
use orch_core::effect::Outcome;
use orch_core::ids::JobId;
use orch_core::pauses::Pauses;
use orch_core::reap::{Limits, Seen, Sighting};
use orch_core::retry::{self, Next, Tried};
use orch_store::{Charge, Fence, Job};
use std::collections::BTreeMap;

/// Pauses between two tries of a job.
pub(crate) const PAUSES: Pauses = Pauses { first_ms: 1_000, max_ms: 64_000 };
/// When a claim is taken back: a minute more than a process stands still.
const LIMITS: Limits = Limits { dead_looks: 2, max_running_ms: 180_000, finalize_grace_ms: 60_000 };

/// What a job needs from outside, as the engine names it; each role has a program of its own.
pub(crate) fn service(job: &Job) -> Option<String> {
    circuit::service(&job.project, &job.effect, ToString::to_string)
}

impl Sim {
    /// Must this job not be tried now?
    pub(crate) fn refuse(&mut self, job: &Job) -> Option<Next> {
        if job.stop {
            return None;
        }
        if self.is_held_back(job) {
            self.seen.count("watcher", "runner: held back");
            return Some(Next::Settle(Outcome::Cancelled));
        }
        let (now, id, runs) = (self.now, job.id, self.still_runs(job));
        if let Some(next) = retry::quarantine(&job.effect, &job.tries(), job.last_fault.as_ref(), now, PAUSES, runs) {
            // Its program is asked to end.
            let run = self.sites.get_mut(&job.project).and_then(|s| s.runs.get_mut(&(id, job.run_attempt)));
            if let Some(run) = run.filter(|_| runs) {
                run.over = true;
                run.killed = true;
            }
            let put_off = matches!(next, Next::Requeue(_));
            self.seen.count("watcher", if put_off { "runner: poison put off" } else { "runner: poison quarantined" });
            return Some(next);
        }
        if let Some(refusal) = &job.refused {
            self.seen.count(
                "watcher",
                if refusal.by_others { "runner: waits for others' money" } else { "runner: waits for money" },
            );
            return Some(refusal.next(now));
        }
        let service = service(job)?;
        let works = |other: JobId| self.flights.iter().any(|f| f.process == self.node.process && f.job.id == other);
        let circuit = self.node.circuits.get_mut(&service)?;
        let admit = circuit.admit(id, now, works);
        let probe = circuit.open.as_ref().is_some_and(|open| open.probe == Some(id));
        let parked = admit.requeue(&service, |until| until.0.to_string()).map(Next::Requeue);
        if parked.is_some() {
            self.seen.count("watcher", "circuit: job parked");
        } else if probe {
            self.seen.count("watcher", "circuit: one job tries first");
        }
        parked
    }

    /// Must it not begin, because a person holds its task?
    fn is_held_back(&self, job: &Job) -> bool {
        let Some(task) = self.tasks.get(&job.id.task).filter(|_| !job.effect.is_side()) else { return false };
        let runs = self.db(async |s| s.runs(job.id.task).await).unwrap_or_default();
        let open = |r: &orch_store::RunRow| (r.job, r.attempt) == (job.id.seq, job.run_attempt) && r.ended.is_none();
        task.holds_back(job.id.seq, &job.effect, job.epoch - 1, runs.iter().any(open))
    }

    /// Does a program of the job's present run still run?
    pub(crate) fn still_runs(&self, job: &Job) -> bool {
        let run = self.sites.get(&job.project).and_then(|s| s.runs.get(&(job.id, job.run_attempt)));
        job.lane.outlives_workers() && run.is_some_and(|run| !run.over)
    }

    /// Does the service of this job fail it now?
    pub(crate) fn is_down(&mut self, job: &Job) -> bool {
        let Some(service) = service(job) else { return false };
        if self.hit("service goes down", 12) {
            self.say(|| format!("   {service} goes down"));
            self.down.insert(service.clone());
        }
        self.down.contains(&service)
    }

    /// Services come back; at once, when nothing fails any more.
    pub(crate) fn services_come_back(&mut self) {
        let all = !self.faults_on;
        let down: Vec<String> = self.down.iter().cloned().collect();
        for service in down {
            if all || self.choices.chance("service comes back", 200) {
                self.say(|| format!("   {service} answers again"));
                self.down.remove(&service);
            }
        }
    }

    /// Lets the circuit of a job's service know how it went; what waits for a service that answers goes on.
    pub(crate) fn hear(&mut self, job: &Job, tried: &Tried) -> Live<()> {
        let Some(service) = service(job) else { return Ok(()) };
        let now = self.now;
        match circuit::heard(&job.effect, tried, now) {
            Heard::Nothing => Ok(()),
            said @ (Heard::Failed { .. } | Heard::Refused { .. }) => {
                let circuit = self.node.circuits.entry(service.clone()).or_default();
                let (after, why) = match said {
                    Heard::Failed { back_at, why } => (circuit.failed(job.id, now, back_at, &why, PAUSES), why),
                    Heard::Refused { why } => (circuit.refused(job.id, now, &why, PAUSES), why),
                    Heard::Nothing | Heard::Answered => return Ok(()),
                };
                if after == circuit::After::Opened {
                    self.seen.count("watcher", "circuit: opened");
                    self.say(|| format!("   {service} is not asked for a while: {why}"));
                }
                Ok(())
            }
            Heard::Answered => {
                let closed = self.node.circuits.get_mut(&service).is_some_and(|c| c.answered(job.id));
                if closed {
                    self.seen.count("watcher", "circuit: closed");
                    let parked = self.parked(&service)?;
                    self.db(async |s| s.unpark(&service, now).await)?;
                    self.say(|| format!("   the jobs that wait for {service} go on: {}", parked.len()));
                    inv::invariant_nobody_waits_for_what_answers(self, &service, &parked)?;
                }
                Ok(())
            }
        }
    }

    /// Jobs that wait for a service.
    fn parked(&self, service: &str) -> Live<Vec<JobId>> {
        let open = self.db(async |s| s.open_jobs(None).await)?;
        Ok(open.iter().filter(|j| j.parked.as_deref() == Some(service)).map(|j| j.id).collect())
    }

    /// What going back to the queue cost a job.
    pub(crate) fn charge(&mut self, job: JobId, charge: Charge) {
        let spent = self.ledger.spent.entry(job).or_default();
        match charge {
            Charge::Attempt => spent.attempts += 1,
            Charge::Transient => spent.transient += 1,
            Charge::Death => spent.deaths += 1,
            Charge::Nothing => {}
        }
    }

    /// Workers that hang: their claims are renewed, and nothing comes of them. Each is taken back by its own fence, and
    /// no other claim with it.
    pub(crate) fn take_back_hung(&mut self) -> Live<()> {
        let running = self.db(async |s| s.running_jobs().await)?;
        let now_ms = self.ms();
        let mut seen: BTreeMap<JobId, Sighting> = std::mem::take(&mut self.node.sightings);
        let late = self.hit("reaper is slow", 200);
        // What it has seen of claims that are over it forgets; one that is slow looks at them once more.
        seen.retain(|id, s| late || running.iter().any(|j| j.id == *id && j.epoch == s.epoch));
        let mut suspects: Vec<(Fence, String)> = Vec::new();
        for job in &running {
            let (run, what) = self.look_at_claim(job);
            let sighting = seen.entry(job.id).or_insert_with(|| Sighting::first(job.epoch, run.clone(), now_ms));
            if let Some(why) = sighting.look(run, what, now_ms, &LIMITS) {
                suspects.push((Fence { job: job.id, epoch: sighting.epoch }, why));
            }
        }
        for (fence, _) in &suspects {
            seen.remove(&fence.job);
        }
        self.node.sightings = seen;
        for (fence, why) in suspects {
            let valid = self.ledger.holds(fence);
            let taken = self.db(async |s| s.take_back(fence).await)?;
            inv::invariant_fences_hold("take_back", fence, valid, taken.is_some())?;
            let Some(reaped) = taken else { continue };
            self.seen.count("watcher", "reaper: hung claim taken back");
            self.charge(fence.job, Charge::Death);
            inv::invariant_deaths_are_counted(self, fence.job, reaped.deaths)?;
            self.ledger.release(fence.job);
            for flight in self.flights.iter_mut().filter(|f| f.job.fence() == fence) {
                flight.hung = false;
                flight.asleep = true;
            }
            self.say(|| format!("   {}: taken back: {why}", fence.job));
        }
        Ok(())
    }

    /// What can be seen of a claim: the run of its present attempt, and how that stands.
    fn look_at_claim(&self, job: &Job) -> (Option<String>, Seen) {
        let live = Seen::Live { limit_ms: 0 };
        let key = (job.id, job.run_attempt);
        match self.sites.get(&job.project).and_then(|s| s.runs.get(&key)) {
            Some(run) if job.lane.outlives_workers() => {
                let what = match (run.over, run.plan == crate::site::Plan::Lost) {
                    (true, true) => Seen::Dead,
                    (true, false) => Seen::Ended,
                    (false, _) => live,
                };
                (Some(format!("{}-{}", job.id, job.run_attempt)), what)
            }
            _ => (None, live),
        }
    }
}
