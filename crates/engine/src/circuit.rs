//! One circuit per outside service: what is used by many jobs and fails for all of them alike. Decides whether a job may
//! try now, or waits until the service is likely to answer; and who tries first then: one job, the canary, whose end
//! decides for the others. It spends nobody's attempts and gives nothing up.
//!
//! It opens at once where the other side names a time (a usage limit's reset, a rate limit), else after several transient
//! faults in a row. What is open is kept over restarts.

use orch_core::effect::Effect;
use orch_core::ids::{JobId, Time};
use serde::{Deserialize, Serialize};

/// Transient faults in a row that open a circuit.
const FAULTS: u32 = 5;
/// How soon a job looks again while the canary is on its way, milliseconds.
const CANARY_LOOK_MS: i64 = 5_000;

/// The circuit of one service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Circuit {
    /// Transient faults in a row while it is closed.
    #[serde(default)]
    pub(crate) faults: u32,
    /// Set while it is open.
    #[serde(default)]
    pub(crate) open: Option<Open>,
}

/// An open circuit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Open {
    /// Since when.
    pub(crate) since: Time,
    /// Nobody tries before this.
    pub(crate) until: Time,
    /// What the service said last.
    pub(crate) why: String,
    /// How often it was tried in vain since then, the first time included.
    pub(crate) tries: u32,
    /// The job that tries for all; of this process only.
    #[serde(skip)]
    pub(crate) canary: Option<JobId>,
}

/// May a job try?
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Admit {
    /// Yes.
    Go,
    /// Not before this time.
    Wait { until: Time, why: String },
}

/// What a fault did to a circuit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum After {
    /// Nothing anybody has to know.
    Nothing,
    /// It is open now.
    Opened,
    /// It stays open, for longer.
    Extended,
}

impl Circuit {
    /// Asks for a job that is about to try. `works` says whether another job is still at work.
    pub(crate) fn admit(&mut self, job: JobId, now: Time, works: impl FnOnce(JobId) -> bool) -> Admit {
        let Some(open) = &mut self.open else { return Admit::Go };
        if now < open.until {
            return Admit::Wait { until: open.until, why: open.why.clone() };
        }
        match open.canary {
            Some(canary) if canary != job && works(canary) => Admit::Wait {
                until: now.plus_ms(CANARY_LOOK_MS),
                why: format!("job {canary} tries first; {}", open.why),
            },
            _ => {
                open.canary = Some(job);
                Admit::Go
            }
        }
    }

    /// The service answered a job. True: the circuit was open and is closed now.
    pub(crate) fn answered(&mut self, job: JobId) -> bool {
        self.faults = 0;
        // What was begun before the limit was met says nothing about now.
        let closes = self.open.as_ref().is_some_and(|open| open.canary == Some(job));
        if closes {
            self.open = None;
        }
        closes
    }

    /// The service failed a job; `back_at` is when it wants us back, if it said so. `pause_ms` gives the pause after the
    /// n-th try in vain.
    pub(crate) fn failed(
        &mut self,
        job: JobId,
        now: Time,
        back_at: Option<Time>,
        why: &str,
        pause_ms: impl Fn(u32) -> i64,
    ) -> After {
        let asked = back_at.filter(|at| now < *at);
        match &mut self.open {
            Some(open) if open.canary == Some(job) => {
                open.tries += 1;
                open.canary = None;
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
                self.open = Some(Open { since: now, until, why: why.to_owned(), tries: 1, canary: None });
                After::Opened
            }
        }
    }
}

/// The outside service an effect depends on, as people are told: `agent:claude`, `forge:DEMO`. None where it depends on
/// none, or where not being able to tell is an answer of its own (gates).
pub(crate) fn service(project: &crate::project::Project, effect: &Effect) -> Option<String> {
    match effect {
        Effect::RunAgent { role, .. } => Some(format!("agent:{}", project.program(role).name())),
        Effect::OpenBranch
        | Effect::Publish { .. }
        | Effect::EnsurePullRequest
        | Effect::Update { .. }
        | Effect::Merge { .. }
        | Effect::NoteFindings { .. } => Some(format!("forge:{}", project.key)),
        Effect::SyncTicket => Some(format!("tracker:{}", project.key)),
        Effect::Notify { .. } => Some("notifier".into()),
        Effect::Judge { .. }
        | Effect::Deploy { .. }
        | Effect::Rollback { .. }
        | Effect::Watch { .. }
        | Effect::EnsureCi { .. }
        | Effect::CleanUp => None,
    }
}

/// Where an open circuit is kept.
pub(crate) fn setting(service: &str) -> String {
    format!("circuit/{service}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use orch_core::ids::TaskId;

    fn job(seq: u32) -> JobId {
        JobId { task: TaskId(1), seq }
    }
    fn pause(tries: u32) -> i64 {
        i64::from(tries) * 1_000
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
            assert_eq!(c.failed(job(1), Time(0), None, "503", pause), After::Nothing);
        }
        assert!(!c.answered(job(2)));
        for _ in 0..FAULTS - 1 {
            assert_eq!(c.failed(job(1), Time(0), None, "503", pause), After::Nothing);
            assert_eq!(c.admit(job(1), Time(0), |_| true), Admit::Go);
        }
        assert_eq!(c.failed(job(1), Time(0), None, "503", pause), After::Opened);
        assert_eq!(waits(&c.admit(job(1), Time(0), |_| true)), Some(1_000));
    }

    #[test]
    fn a_named_time_opens_it_at_once_until_then() {
        let mut c = Circuit::default();
        assert_eq!(c.failed(job(1), Time(10), Some(Time(9_000)), "usage limit", pause), After::Opened);
        assert_eq!(waits(&c.admit(job(2), Time(8_999), |_| true)), Some(9_000));
        // A later reset is believed, an earlier one is not.
        assert_eq!(c.failed(job(3), Time(20), Some(Time(5_000)), "usage limit", pause), After::Nothing);
        assert_eq!(c.failed(job(3), Time(20), Some(Time(9_500)), "usage limit", pause), After::Extended);
        assert_eq!(waits(&c.admit(job(2), Time(9_000), |_| true)), Some(9_500));
        // A time that has passed is none.
        assert_eq!(Circuit::default().failed(job(1), Time(10), Some(Time(9)), "late", pause), After::Nothing);
    }

    #[test]
    fn one_goes_first_and_decides_for_all() {
        let mut c = Circuit::default();
        c.failed(job(1), Time(0), Some(Time(100)), "limit", pause);
        assert_eq!(c.admit(job(1), Time(100), |_| true), Admit::Go);
        assert_eq!(waits(&c.admit(job(2), Time(100), |_| true)), Some(100 + CANARY_LOOK_MS));
        assert_eq!(c.failed(job(1), Time(200), None, "still", pause), After::Extended);
        assert_eq!(waits(&c.admit(job(2), Time(200), |_| true)), Some(200 + 2_000), "the second pause is longer");
        assert_eq!(c.admit(job(2), Time(2_200), |_| true), Admit::Go);
        assert!(!c.answered(job(7)), "one that began before the limit says nothing");
        assert!(c.answered(job(2)));
        assert_eq!(c, Circuit::default());
        assert_eq!(c.admit(job(3), Time(2_300), |_| true), Admit::Go);
    }

    #[test]
    fn a_canary_that_is_gone_is_replaced() {
        let mut c = Circuit::default();
        c.failed(job(1), Time(0), Some(Time(100)), "limit", pause);
        assert_eq!(c.admit(job(1), Time(100), |_| true), Admit::Go);
        assert_eq!(c.admit(job(2), Time(101), |canary| canary != job(1)), Admit::Go);
        assert_eq!(c.open.as_ref().unwrap().canary, Some(job(2)));
    }

    #[test]
    fn what_is_kept_over_a_restart_has_no_canary() {
        let mut c = Circuit::default();
        c.failed(job(1), Time(0), Some(Time(100)), "limit", pause);
        c.admit(job(1), Time(100), |_| true);
        let kept: Circuit = serde_json::from_str(&serde_json::to_string(&c).unwrap()).unwrap();
        assert_eq!(kept.open.unwrap().canary, None);
    }
}
