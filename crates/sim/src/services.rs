//! What the runner asks before it lets a job be tried: has it cost too many workers their lives, and does its outside
//! service answer? The rules are the engine's (`runner.rs`, `services.rs`, `circuit.rs`), small enough to be read beside
//! them. Services go down for all jobs alike, and come back.

use crate::effects::fault;
use crate::invariants as inv;
use crate::sim::{Ended, Live, Sim};
use orch_core::effect::{Class, Effect, Outcome};
use orch_core::ids::{JobId, Time};
use orch_core::verdict::FaultKind;
use orch_store::{Charge, Job, Store};

/// Dead workers of one job after which it is not tried again.
pub(crate) const DEATHS: u32 = 3;
/// First pause of an open circuit, milliseconds.
const PAUSE_MS: i64 = 30_000;

/// An open circuit: nobody tries before a time, and then one job does for all.
#[derive(Clone, Debug)]
pub(crate) struct Open {
    until: Time,
    canary: Option<JobId>,
}

/// What a job needs from outside, as the engine names it.
pub(crate) fn service(job: &Job) -> Option<String> {
    match &job.effect {
        Effect::RunAgent { role, .. } => Some(format!("agent:{role}")),
        Effect::OpenBranch
        | Effect::Publish { .. }
        | Effect::EnsurePullRequest
        | Effect::Update { .. }
        | Effect::Merge { .. }
        | Effect::NoteFindings { .. } => Some(format!("forge:{}", job.project)),
        Effect::SyncTicket => Some(format!("tracker:{}", job.project)),
        Effect::Notify { .. } => Some("notifier".into()),
        _ => None,
    }
}

impl Sim {
    /// Must this job not be tried now?
    pub(crate) fn refuse(&mut self, job: &Job) -> Option<Ended> {
        if job.stop {
            return None;
        }
        if DEATHS <= job.deaths && job.effect.class() == Class::Repeatable {
            self.seen.count("watcher", "runner: poison quarantined");
            if job.effect.is_side() {
                self.ledger.put_away.insert(job.id.task);
            }
            let fault = fault(FaultKind::Permanent, "quarantined");
            return Some(Ended::Outcome(Outcome::Failed { fault }));
        }
        let service = service(job)?;
        let (now, id) = (self.now, job.id);
        let open = self.circuits.get(&service)?.clone();
        let works = open.canary.is_some_and(|c| c != id && self.flights.iter().any(|f| f.job.id == c));
        let until = if now < open.until { open.until } else { now.plus_ms(5_000) };
        if now < open.until || works {
            self.seen.count("watcher", "circuit: job parked");
            return Some(Ended::Parked { service, until });
        }
        self.seen.count("watcher", "circuit: one job tries first");
        self.circuits.insert(service, Open { canary: Some(id), ..open });
        None
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
    pub(crate) fn hear(&mut self, job: &Job, ended: &Ended) -> Live<()> {
        let Some(service) = service(job) else { return Ok(()) };
        let failed = self.down.contains(&service);
        let canary = self.circuits.get(&service).and_then(|c| c.canary) == Some(job.id);
        if failed {
            let until = self.now.plus_ms(PAUSE_MS);
            match self.circuits.get_mut(&service) {
                Some(open) if canary => *open = Open { until, canary: None },
                Some(_) => {}
                None => {
                    self.circuits.insert(service, Open { until, canary: None });
                }
            }
        } else if canary && matches!(ended, Ended::Outcome(o) if *o != Outcome::Cancelled) {
            self.seen.count("watcher", "circuit: closed");
            self.circuits.remove(&service);
            let now = self.now;
            let parked = self.parked(&service)?;
            self.db(async |s| s.unpark(&service, now).await)?;
            self.say(|| format!("   the jobs that wait for {service} go on: {}", parked.len()));
            inv::invariant_nobody_waits_for_what_answers(self, &service, &parked)?;
        }
        Ok(())
    }

    /// Jobs that wait for a service.
    fn parked(&self, service: &str) -> Live<Vec<JobId>> {
        let open = self.db(async |s| s.open_jobs(None).await)?;
        Ok(open.iter().filter(|j| j.parked.as_deref() == Some(service)).map(|j| j.id).collect())
    }

    /// The process is another one: nobody of it tries first any more.
    pub(crate) fn forget_canaries(&mut self) {
        for open in self.circuits.values_mut() {
            open.canary = None;
        }
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
    /// nobody else's.
    pub(crate) fn take_back_hung(&mut self) -> Live<()> {
        let suspects: Vec<_> =
            self.flights.iter().filter(|f| f.hung || f.asleep).map(|f| (f.job.fence(), f.hung)).collect();
        for (fence, hung) in suspects {
            let valid = self.ledger.holds(fence);
            // Of those that only sleep, the reaper may have a sighting of an earlier claim.
            if !hung && valid {
                continue;
            }
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
            self.say(|| format!("   {}: taken back from a worker that hangs", fence.job));
        }
        Ok(())
    }
}
