//! One circuit per outside service: what is used by many jobs and fails for all of them alike. It decides whether a job
//! may try now, or waits until the service is likely to answer; and which job tries first then: the probe, whose end
//! decides for the others. It spends no attempts and gives nothing up.
//!
//! It opens at once where the other side names a time (a usage limit's reset, a rate limit), else after several transient
//! faults in a row. What is open is kept over restarts.

use crate::agent_end::Service;
use crate::effect::{Effect, Outcome};
use crate::ids::{JobId, ProjectKey, Role, Time};
use crate::pauses::Pauses;
use crate::retry::{Charge, Failure, Requeue, Tried};
use crate::verdict::{FaultKind, FaultNote};
use serde::{Deserialize, Serialize};

/// Transient faults in a row that open a circuit.
const FAULTS: u32 = 5;
/// How soon a job looks again while the probe is under way, milliseconds.
const PROBE_LOOK_MS: i64 = 5_000;
/// First pause of a circuit that opens after faults, in first pauses of a job.
const PAUSES: i64 = 30;

/// The circuit of one service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Circuit {
    /// Transient faults in a row while it is closed.
    #[serde(default)]
    pub faults: u32,
    /// Set while it is open.
    #[serde(default)]
    pub open: Option<Open>,
}

/// An open circuit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Open {
    /// Since when.
    pub since: Time,
    /// No job tries before this.
    pub until: Time,
    /// What the service said last.
    pub why: String,
    /// How often it was tried in vain since then, the first time included.
    pub tries: u32,
    /// The job that tries for all; of this process only.
    #[serde(skip)]
    pub probe: Option<JobId>,
}

/// May a job try?
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admit {
    /// Yes.
    Go,
    /// Not before a time.
    Wait {
        /// This time.
        until: Time,
        /// What the service said.
        why: String,
    },
}

impl Admit {
    /// How a job goes back to the queue that has to wait: it pays nothing. `shown` is the time as people read it.
    pub fn requeue(self, service: &str, shown: impl FnOnce(Time) -> String) -> Option<Requeue> {
        let Self::Wait { until, why } = self else { return None };
        let text = format!("{service} is not asked before {}: {why}", shown(until));
        Some(Requeue {
            charge: Charge::Nothing,
            new_run: false,
            not_before: until,
            fault: FaultNote::new(FaultKind::Transient, text),
            parked: Some(service.to_owned()),
        })
    }
}

/// What a fault did to a circuit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// Nothing that has to be kept or told.
    Nothing,
    /// It is open now.
    Opened,
    /// It stays open, for longer.
    Extended,
}

impl Circuit {
    /// Asks for a job that is about to try. `works` says whether another job is still at work.
    pub fn admit(&mut self, job: JobId, now: Time, works: impl FnOnce(JobId) -> bool) -> Admit {
        let Some(open) = &mut self.open else { return Admit::Go };
        if now < open.until {
            return Admit::Wait { until: open.until, why: open.why.clone() };
        }
        match open.probe {
            Some(probe) if probe != job && works(probe) => {
                Admit::Wait { until: now.plus_ms(PROBE_LOOK_MS), why: format!("job {probe} tries first; {}", open.why) }
            }
            _ => {
                open.probe = Some(job);
                Admit::Go
            }
        }
    }

    /// The service answered a job. True: the circuit was open and is closed now.
    pub fn answered(&mut self, job: JobId) -> bool {
        self.faults = 0;
        // What was begun before the limit was met says nothing about now.
        let closes = self.open.as_ref().is_some_and(|open| open.probe == Some(job));
        if closes {
            self.open = None;
        }
        closes
    }

    /// The service refused a job, and would refuse every other one: it opens at once.
    pub fn refused(&mut self, job: JobId, now: Time, why: &str, pauses: Pauses) -> After {
        self.faults = FAULTS;
        self.failed(job, now, None, why, pauses)
    }

    /// The service failed a job; `back_at` is when it wants us back, if it said so. `pauses` are those of a job.
    pub fn failed(&mut self, job: JobId, now: Time, back_at: Option<Time>, why: &str, pauses: Pauses) -> After {
        let pause_ms = |tries: u32| pauses.times(PAUSES).after(tries.saturating_sub(1), job);
        let asked = back_at.filter(|at| now < *at);
        match &mut self.open {
            Some(open) if open.probe == Some(job) => {
                open.tries += 1;
                open.probe = None;
                open.until = asked.unwrap_or_else(|| now.plus_ms(pause_ms(open.tries)));
                why.clone_into(&mut open.why);
                After::Extended
            }
            Some(open) => match asked.filter(|at| open.until < *at) {
                Some(later) => {
                    open.until = later;
                    why.clone_into(&mut open.why);
                    After::Extended
                }
                None => After::Nothing,
            },
            None => {
                self.faults += 1;
                if asked.is_none() && self.faults < FAULTS {
                    return After::Nothing;
                }
                let until = asked.unwrap_or_else(|| now.plus_ms(pause_ms(1)));
                self.faults = 0;
                self.open = Some(Open { since: now, until, why: why.to_owned(), tries: 1, probe: None });
                After::Opened
            }
        }
    }
}

/// What the end of a try says of the outside service that the job depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Nothing.
    Nothing,
    /// It answered.
    Answered,
    /// It failed the job.
    Failed {
        /// When it wants us back, if it said so.
        back_at: Option<Time>,
        /// Its words.
        why: String,
    },
    /// It refused the job, and would refuse every other one.
    Refused {
        /// Its words.
        why: String,
    },
}

/// What the end of a try says of the outside service that the job depends on. For agents only what their program said of
/// the world counts: the forge that an agent was to work with is not the agent's service.
pub fn heard(effect: &Effect, tried: &Tried, now: Time) -> Heard {
    let agent = matches!(effect, Effect::RunAgent { .. });
    if let (true, Tried::Again { not_before, failure: Failure { class: Some(class), text, .. }, .. }) = (agent, tried) {
        let (back_at, why) = (*not_before, text.clone());
        return match class.means().1 {
            Service::Nothing => Heard::Nothing,
            Service::Answers => Heard::Answered,
            Service::Refuses if back_at.is_none_or(|at| at <= now) => Heard::Refused { why },
            Service::Fails | Service::Refuses => Heard::Failed { back_at, why },
        };
    }
    let back = |failure: &Failure| failure.retry_after_ms.map(|ms| now.plus_ms(ms));
    let failed = |failure: &Failure, not_before: Option<Time>| Heard::Failed {
        back_at: not_before.or_else(|| back(failure)),
        why: failure.text.clone(),
    };
    match tried {
        Tried::Again { charge: Charge::Transient, new_run, not_before, failure }
            if (agent && *new_run) || (!agent && failure.kind == FaultKind::Transient) =>
        {
            failed(failure, *not_before)
        }
        Tried::Failed(failure) if !agent && failure.kind == FaultKind::Transient => failed(failure, None),
        Tried::Outcome(Outcome::Cancelled) | Tried::Failed(_) => Heard::Nothing,
        Tried::Again { charge: Charge::Attempt, .. } | Tried::Outcome(_) => Heard::Answered,
        Tried::Again { .. } => Heard::Nothing,
    }
}

/// The outside service an effect depends on, as people are told: `agent:claude`, `forge:DEMO`. `program` names the agent
/// program of a role. None where it depends on none, or where being inconclusive is an answer of its own (gates).
pub fn service(project: &ProjectKey, effect: &Effect, program: impl FnOnce(&Role) -> String) -> Option<String> {
    match effect {
        Effect::RunAgent { role, .. } => Some(format!("agent:{}", program(role))),
        Effect::OpenBranch
        | Effect::Publish { .. }
        | Effect::EnsurePullRequest
        | Effect::Update { .. }
        | Effect::Merge { .. }
        | Effect::NoteFindings { .. } => Some(format!("forge:{project}")),
        Effect::SyncTicket | Effect::Comment { .. } | Effect::EditTicket { .. } => Some(format!("tracker:{project}")),
        Effect::Notify { .. } => Some("notifier".into()),
        Effect::Judge { .. }
        | Effect::Deploy { .. }
        | Effect::Rollback { .. }
        | Effect::Watch { .. }
        | Effect::EnsureCi { .. }
        | Effect::JudgeBase
        | Effect::CleanUp => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::TaskId;

    fn job(seq: u32) -> JobId {
        JobId { task: TaskId(1), seq }
    }
    const PAUSE: Pauses = Pauses { first_ms: 100, max_ms: 60_000 };
    /// A pause and its jitter.
    fn pause(tries: u32) -> i64 {
        PAUSE.times(PAUSES).after(tries - 1, job(1))
    }
    fn waits(admit: &Admit) -> Option<i64> {
        match admit {
            Admit::Go => None,
            Admit::Wait { until, .. } => Some(until.0),
        }
    }

    #[test]
    fn a_few_faults_are_weather_and_many_in_a_row_open_it() {
        let mut c = Circuit::default();
        for _ in 0..FAULTS - 1 {
            assert_eq!(c.failed(job(1), Time(0), None, "503", PAUSE), After::Nothing);
        }
        assert!(!c.answered(job(2)));
        for _ in 0..FAULTS - 1 {
            assert_eq!(c.failed(job(1), Time(0), None, "503", PAUSE), After::Nothing);
            assert_eq!(c.admit(job(1), Time(0), |_| true), Admit::Go);
        }
        assert_eq!(c.failed(job(1), Time(0), None, "503", PAUSE), After::Opened);
        assert_eq!(waits(&c.admit(job(1), Time(0), |_| true)), Some(pause(1)));
    }

    #[test]
    fn a_named_time_opens_it_at_once_until_then() {
        let mut c = Circuit::default();
        assert_eq!(c.failed(job(1), Time(10), Some(Time(9_000)), "usage limit", PAUSE), After::Opened);
        assert_eq!(waits(&c.admit(job(2), Time(8_999), |_| true)), Some(9_000));
        // A later reset is believed, an earlier one is not.
        assert_eq!(c.failed(job(3), Time(20), Some(Time(5_000)), "usage limit", PAUSE), After::Nothing);
        assert_eq!(c.failed(job(3), Time(20), Some(Time(9_500)), "usage limit", PAUSE), After::Extended);
        assert_eq!(waits(&c.admit(job(2), Time(9_000), |_| true)), Some(9_500));
        // A time that has passed is none.
        assert_eq!(Circuit::default().failed(job(1), Time(10), Some(Time(9)), "late", PAUSE), After::Nothing);
    }

    #[test]
    fn a_refusal_that_meets_everybody_opens_it_at_once() {
        let mut c = Circuit::default();
        assert_eq!(c.refused(job(1), Time(0), "the key is not valid", PAUSE), After::Opened);
        assert_eq!(waits(&c.admit(job(2), Time(0), |_| true)), Some(pause(1)));
        assert_eq!(c.refused(job(2), Time(0), "the key is not valid", PAUSE), After::Nothing, "people hear of it once");
        assert_eq!(c.admit(job(2), Time(pause(1)), |_| true), Admit::Go);
        assert_eq!(c.refused(job(2), Time(pause(1)), "still not", PAUSE), After::Extended);
    }

    #[test]
    fn one_goes_first_and_decides_for_all() {
        let mut c = Circuit::default();
        c.failed(job(1), Time(0), Some(Time(100)), "limit", PAUSE);
        assert_eq!(c.admit(job(1), Time(100), |_| true), Admit::Go);
        assert_eq!(waits(&c.admit(job(2), Time(100), |_| true)), Some(100 + PROBE_LOOK_MS));
        assert_eq!(c.failed(job(1), Time(200), None, "still", PAUSE), After::Extended);
        assert_eq!(waits(&c.admit(job(2), Time(200), |_| true)), Some(200 + pause(2)), "the second pause is longer");
        assert_eq!(c.admit(job(2), Time(200 + pause(2)), |_| true), Admit::Go);
        assert!(!c.answered(job(7)), "one that began before the limit says nothing");
        assert!(c.answered(job(2)));
        assert_eq!(c, Circuit::default());
        assert_eq!(c.admit(job(3), Time(200 + pause(2) + 1), |_| true), Admit::Go);
    }

    #[test]
    fn a_probe_that_is_gone_is_replaced() {
        let mut c = Circuit::default();
        c.failed(job(1), Time(0), Some(Time(100)), "limit", PAUSE);
        assert_eq!(c.admit(job(1), Time(100), |_| true), Admit::Go);
        assert_eq!(c.admit(job(2), Time(101), |probe| probe != job(1)), Admit::Go);
        assert_eq!(c.open.as_ref().unwrap().probe, Some(job(2)));
    }

    #[test]
    fn what_is_kept_over_a_restart_has_no_probe() {
        let mut c = Circuit::default();
        c.failed(job(1), Time(0), Some(Time(100)), "limit", PAUSE);
        c.admit(job(1), Time(100), |_| true);
        let kept: Circuit = serde_json::from_str(&serde_json::to_string(&c).unwrap()).unwrap();
        assert_eq!(kept.open.unwrap().probe, None);
    }

    #[test]
    fn only_what_an_agents_program_said_of_the_world_counts_for_an_agent() {
        let agent = Effect::RunAgent { role: "developer".into(), stage: "development".into(), round: 0 };
        let failure = || Failure::new(FaultKind::Transient, "no answer");
        let again = |charge, new_run, failure| Tried::Again { charge, new_run, not_before: None, failure };
        let says = |effect: &Effect, tried: Tried| match heard(effect, &tried, Time(7)) {
            Heard::Nothing => "nothing",
            Heard::Answered => "answered",
            Heard::Failed { .. } => "failed",
            Heard::Refused { .. } => "refused",
        };
        let forge = Effect::OpenBranch;
        assert_eq!(says(&agent, again(Charge::Transient, true, failure())), "failed");
        assert_eq!(says(&agent, again(Charge::Transient, false, failure())), "nothing");
        assert_eq!(says(&agent, Tried::Failed(failure())), "nothing");
        assert_eq!(says(&agent, again(Charge::Attempt, true, failure())), "answered");
        assert_eq!(says(&forge, again(Charge::Transient, false, failure())), "failed");
        assert_eq!(says(&forge, Tried::Failed(failure())), "failed");
        assert_eq!(says(&forge, Tried::Failed(Failure::new(FaultKind::Denied, "no"))), "nothing");
        assert_eq!(says(&forge, Tried::Outcome(Outcome::Sent)), "answered");
        assert_eq!(says(&forge, Tried::Outcome(Outcome::Cancelled)), "nothing", "it was not asked to the end");
        let asked = Failure { retry_after_ms: Some(100), ..failure() };
        let back = Heard::Failed { back_at: Some(Time(107)), why: "no answer".into() };
        assert_eq!(heard(&forge, &Tried::Failed(asked), Time(7)), back);
    }
}
