//! What the end of a try means for a job: is it over, or does it go back to the queue, until when, and what does that
//! cost? One rule for every kind of work; the engine's runner and the simulation both ask here.
//!
//! A job fails by itself (an attempt), is failed by the world (a transient attempt, without end), or takes its worker
//! along (a death; three of them quarantine it). A merge, and CI that a gate waits for, are never given up.

use crate::effect::{Class, Effect, Outcome};
use crate::end_class::EndClass;
use crate::fault_code::FaultCode;
use crate::ids::{JobId, Time};
use crate::pauses::Pauses;
use crate::verdict::{FaultKind, FaultNote};

/// Attempts in a row that the world failed, after which a person is told: the job is never given up, so nothing else
/// would say so.
pub const TELL_AFTER: u32 = 10;

/// A job whose workers died this often is quarantined: it would take the next one along, and all work in its process.
pub const DEATHS: u32 = 3;

/// First pause of a quarantined job that may not be lost, in first pauses of a job.
const QUARANTINE_PAUSES: i64 = 10;

/// What going back to the queue costs a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Charge {
    /// One of its attempts: it failed.
    Attempt,
    /// A transient attempt: the world failed it.
    Transient,
    /// A death: its worker died of it, or at it.
    Death,
    /// Nothing: it was not even tried.
    Nothing,
}

/// A claimed job that is not done yet goes back to the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requeue {
    /// What this costs.
    pub charge: Charge,
    /// Must the next claim use a new run directory?
    pub new_run: bool,
    /// Not before.
    pub not_before: Time,
    /// What happened.
    pub fault: FaultNote,
    /// The outside service it waits for, if it does; it may run earlier once that answers.
    pub parked: Option<String>,
}

/// A failure, as far as trying again depends on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Which kind.
    pub kind: FaultKind,
    /// Which fault it is.
    pub code: FaultCode,
    /// What happened.
    pub text: String,
    /// How long the other side wants to be left alone, milliseconds.
    pub retry_after_ms: Option<i64>,
    /// The kind is a guess: the service said no, and whether it says so again is not known.
    pub unsure: bool,
    /// The end of an agent's run that it is.
    pub class: Option<EndClass>,
}

impl Failure {
    /// A failure of a kind that is known.
    pub fn new(kind: FaultKind, text: impl Into<String>) -> Self {
        Self { kind, code: kind.code(), text: text.into(), retry_after_ms: None, unsure: false, class: None }
    }
    /// The form that is stored.
    pub fn note(&self) -> FaultNote {
        FaultNote::new(self.kind, self.text.clone()).coded(self.code)
    }
}

/// How a try of a job ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tried {
    /// Its outcome is known.
    Outcome(Outcome),
    /// It has to be done again, and says itself what that costs.
    Again {
        /// What this costs.
        charge: Charge,
        /// Must the next claim start a new run?
        new_run: bool,
        /// Not before.
        not_before: Option<Time>,
        /// What happened.
        failure: Failure,
    },
    /// It broke off.
    Failed(Failure),
}

impl Tried {
    /// What a try means where it is known whether the job was asked to stop, and whether a program of its present run still
    /// runs. A job is never over while one does: it goes back to the queue, and whoever claims it next waits for the end of
    /// that program, or ends it. A job that was asked to stop is not done again otherwise.
    #[must_use]
    pub fn weighed(self, stop: bool, still_runs: bool) -> Self {
        if still_runs {
            let failure = match self {
                Self::Outcome(_) => {
                    Failure::new(FaultKind::Transient, "a program of it still runs; its end is awaited")
                }
                Self::Again { failure, .. } | Self::Failed(failure) => failure,
            };
            return Self::Again { charge: Charge::Transient, new_run: false, not_before: None, failure };
        }
        match self {
            Self::Again { .. } | Self::Failed(_) if stop => Self::Outcome(Outcome::Cancelled),
            known => known,
        }
    }
    /// May the next refusal be the same as the last one? Anything but a refusal that is a guess begins the count anew.
    pub fn is_a_guess(&self) -> bool {
        matches!(self, Self::Failed(failure) if failure.unsure)
    }
}

/// What becomes of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// It is over.
    Settle(Outcome),
    /// It is tried again.
    Requeue(Requeue),
}

/// What a job has spent so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tries {
    /// Which job.
    pub job: JobId,
    /// Attempts: failures that were its own.
    pub attempts: u32,
    /// Attempts it has.
    pub max_attempts: u32,
    /// Failures that were the world's.
    pub transient: u32,
    /// Workers that died at it.
    pub deaths: u32,
}

impl Tries {
    /// Is it one death away from its quarantine? Then it is tried alone, so that a further death is known to be its own.
    pub fn is_suspect(&self) -> bool {
        DEATHS <= self.deaths + 1
    }
}

/// A merge, whose outcome must become known; and CI, which a gate waits for without owning its job: nothing else would
/// ask for it again. The CI of a closed task ends by itself.
fn is_never_given_up(effect: &Effect) -> bool {
    effect.class() == Class::Irreversible || matches!(effect, Effect::EnsureCi { .. })
}

/// What the end of a try means for its job. `is_final` is asked about a refusal whose kind is a guess, with its text: has
/// this job met it too often?
pub fn conclude(
    effect: &Effect,
    tries: &Tries,
    tried: Tried,
    now: Time,
    pauses: Pauses,
    is_final: impl FnOnce(&str) -> bool,
) -> Next {
    let again =
        |charge, new_run, not_before, failure| again(effect, tries, charge, new_run, not_before, failure, now, pauses);
    match tried {
        Tried::Outcome(outcome) => Next::Settle(outcome),
        Tried::Again { charge, new_run, not_before, failure } => again(charge, new_run, not_before, failure),
        Tried::Failed(failure) => match failure.kind {
            FaultKind::Gone | FaultKind::Bug => again(Charge::Attempt, true, None, failure),
            FaultKind::Denied | FaultKind::Permanent if !is_never_given_up(effect) => {
                if failure.unsure && !is_final(&failure.text) {
                    return again(Charge::Transient, false, None, failure);
                }
                Next::Settle(Outcome::Failed { fault: failure.note() })
            }
            FaultKind::Transient | FaultKind::Denied | FaultKind::Permanent => {
                again(Charge::Transient, false, None, failure)
            }
        },
    }
}

#[expect(clippy::too_many_arguments, reason = "three of them are what one end of a try consists of")]
fn again(
    effect: &Effect,
    tries: &Tries,
    charge: Charge,
    new_run: bool,
    not_before: Option<Time>,
    failure: Failure,
    now: Time,
    pauses: Pauses,
) -> Next {
    let forever = is_never_given_up(effect);
    if charge == Charge::Attempt && !forever && tries.max_attempts <= tries.attempts + 1 {
        return Next::Settle(Outcome::Failed { fault: failure.note() });
    }
    let spent = match charge {
        Charge::Attempt => tries.attempts,
        Charge::Death => tries.deaths,
        Charge::Transient | Charge::Nothing => tries.transient,
    };
    let pauses = failure.class.map_or(pauses, |class| class.pauses(pauses));
    let pause = pauses.after(spent, tries.job).max(failure.retry_after_ms.unwrap_or(0));
    let not_before = not_before.unwrap_or(now).max(now.plus_ms(pause));
    let charge = if charge == Charge::Attempt && forever { Charge::Transient } else { charge };
    Next::Requeue(Requeue { charge, new_run, not_before, fault: failure.note(), parked: None })
}

/// What becomes of a job that is claimed after too many of its workers died; `None`: it may be tried. A job the task waits
/// for fails, and a person decides; if a program of it still runs, that is to be ended first. A merge, or a side effect (a
/// message, a ticket's state), must not be lost: it is put off, longer after every death, so that the other jobs get on.
pub fn quarantine(
    effect: &Effect,
    tries: &Tries,
    last_fault: Option<&FaultNote>,
    now: Time,
    pauses: Pauses,
    still_runs: bool,
) -> Option<Next> {
    let more = tries.deaths.checked_sub(DEATHS)?;
    let (what, n) = (effect.describe(), tries.deaths);
    let text = format!("quarantined: {n} workers died while they were to {what}; look at the log before a retry");
    let put_off = |pause_ms, text| {
        let fault = FaultNote::new(FaultKind::Transient, text).coded(FaultCode::Quarantined);
        let not_before = now.plus_ms(pause_ms);
        Next::Requeue(Requeue { charge: Charge::Nothing, new_run: false, not_before, fault, parked: None })
    };
    if effect.class() == Class::Repeatable && !effect.is_side() {
        if still_runs {
            return Some(put_off(pauses.after(0, tries.job), format!("{text}; its program is being ended")));
        }
        let fault = FaultNote::new(FaultKind::Permanent, text).coded(FaultCode::Quarantined);
        return Some(Next::Settle(Outcome::Failed { fault }));
    }
    if last_fault.is_some_and(|fault| fault.code == FaultCode::Quarantined) {
        // It has been put off for its last death: the end of a try leaves a fault of its own.
        return None;
    }
    Some(put_off(pauses.times(QUARANTINE_PAUSES).after(more, tries.job), text))
}

/// Has the world failed this job so often that a person is to be told? Once, and not of side effects: what cannot be
/// written to a ticket is seen in the queue, and stops nothing.
pub fn is_stuck(effect: &Effect, tries: &Tries, charge: Charge) -> bool {
    let quiet = effect.is_side() && !matches!(effect, Effect::EnsureCi { .. });
    !quiet && charge == Charge::Transient && tries.transient + 1 == TELL_AFTER
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{GateId, Sha, TaskId};
    use crate::task::MergeIntent;

    const PAUSES: Pauses = Pauses { first_ms: 1_000, max_ms: 60_000 };
    const NOW: Time = Time(1_000_000);

    fn tries() -> Tries {
        Tries { job: JobId { task: TaskId(7), seq: 3 }, attempts: 0, max_attempts: 2, transient: 0, deaths: 0 }
    }
    fn merge() -> Effect {
        let sha = || Sha::new("a".repeat(40));
        let intent = MergeIntent { head: sha(), base: sha(), tree: "t".into(), lease_epoch: 1 };
        Effect::Merge { pull_request: 1, intent }
    }
    fn ci() -> Effect {
        Effect::EnsureCi { commit: Sha::new("a".repeat(40)) }
    }
    fn branch() -> Effect {
        Effect::OpenBranch
    }
    fn failed(kind: FaultKind) -> Tried {
        Tried::Failed(Failure::new(kind, "no"))
    }
    fn ends(effect: &Effect, tries: &Tries, tried: Tried) -> Next {
        conclude(effect, tries, tried, NOW, PAUSES, |_| false)
    }
    /// What going back costs and the pause; nothing: it is over.
    fn goes_back(next: &Next) -> Option<(Charge, i64)> {
        match next {
            Next::Settle(_) => None,
            Next::Requeue(requeue) => Some((requeue.charge, requeue.not_before.since_ms(NOW))),
        }
    }

    #[test]
    fn the_world_may_fail_a_job_for_ever_and_the_job_itself_only_so_often() {
        for effect in [branch(), merge(), ci(), Effect::SyncTicket] {
            let many = Tries { transient: 1_000, ..tries() };
            let (charge, pause) = goes_back(&ends(&effect, &many, failed(FaultKind::Transient))).unwrap();
            assert_eq!(charge, Charge::Transient, "{effect:?}");
            assert!((60_000..=75_000).contains(&pause), "{pause}");
        }
        assert!(matches!(goes_back(&ends(&branch(), &tries(), failed(FaultKind::Bug))), Some((Charge::Attempt, _))));
        let last = Tries { attempts: 1, ..tries() };
        assert_eq!(goes_back(&ends(&branch(), &last, failed(FaultKind::Bug))), None, "its attempts are spent");
        assert_eq!(
            goes_back(&ends(&branch(), &tries(), failed(FaultKind::Denied))),
            None,
            "asking again will not help"
        );
    }

    #[test]
    fn a_merge_and_ci_that_a_gate_waits_for_are_never_given_up() {
        let last = Tries { attempts: 1, ..tries() };
        let kinds = [FaultKind::Transient, FaultKind::Denied, FaultKind::Gone, FaultKind::Permanent, FaultKind::Bug];
        for effect in [merge(), ci()] {
            for kind in kinds {
                let next = ends(&effect, &last, failed(kind));
                assert!(matches!(goes_back(&next), Some((Charge::Transient, _))), "{effect:?} {kind:?}: {next:?}");
            }
        }
    }

    #[test]
    fn a_job_is_over_when_nothing_of_it_runs_and_not_before() {
        let again = Tried::Again {
            charge: Charge::Nothing,
            new_run: false,
            not_before: None,
            failure: Failure::new(FaultKind::Transient, "later"),
        };
        assert_eq!(again.clone().weighed(true, false), Tried::Outcome(Outcome::Cancelled));
        assert_eq!(failed(FaultKind::Bug).weighed(true, false), Tried::Outcome(Outcome::Cancelled));
        let done = Tried::Outcome(Outcome::Sent);
        assert_eq!(done.clone().weighed(true, false), done, "what is done is done");
        let spent = Tries { attempts: 1, ..tries() };
        for tried in [again, failed(FaultKind::Bug), failed(FaultKind::Permanent), done] {
            for stop in [false, true] {
                let next = ends(&branch(), &spent, tried.clone().weighed(stop, true));
                assert!(
                    matches!(goes_back(&next), Some((Charge::Transient, _))),
                    "its program is not let go: {next:?}"
                );
            }
        }
    }

    #[test]
    fn a_job_waits_for_as_long_as_the_other_side_asks() {
        let failure = Failure { retry_after_ms: Some(300_000), ..Failure::new(FaultKind::Transient, "429") };
        assert_eq!(goes_back(&ends(&branch(), &tries(), Tried::Failed(failure.clone()))).unwrap().1, 300_000);
        let until = Some(NOW.plus_ms(500_000));
        let again = Tried::Again { charge: Charge::Transient, new_run: true, not_before: until, failure };
        assert_eq!(goes_back(&ends(&branch(), &tries(), again)).unwrap().1, 500_000);
    }

    #[test]
    fn three_deaths_quarantine_a_job_and_what_must_not_be_lost_is_only_put_off() {
        let dead = |deaths| Tries { deaths, ..tries() };
        let ask = |effect: &Effect, deaths, last: Option<&FaultNote>| {
            quarantine(effect, &dead(deaths), last, NOW, PAUSES, false)
        };
        assert_eq!(ask(&branch(), 2, None), None);
        assert!(dead(2).is_suspect() && !dead(1).is_suspect());
        assert!(matches!(ask(&branch(), 3, None), Some(Next::Settle(Outcome::Failed { .. }))));
        let runs = quarantine(&branch(), &dead(3), None, NOW, PAUSES, true);
        assert!(matches!(runs, Some(Next::Requeue(r)) if r.charge == Charge::Nothing), "its program is ended first");
        for effect in [merge(), Effect::SyncTicket, ci()] {
            let Some(Next::Requeue(first)) = ask(&effect, 3, None) else { panic!("{effect:?} is given up") };
            assert_eq!(first.charge, Charge::Nothing);
            assert!((10_000..=12_500).contains(&first.not_before.since_ms(NOW)), "{first:?}");
            assert_eq!(ask(&effect, 3, Some(&first.fault)), None, "once for each death");
            let died = FaultNote::new(FaultKind::Transient, "it died").coded(FaultCode::WorkerDied);
            let Some(Next::Requeue(second)) = ask(&effect, 4, Some(&died)) else { panic!("no longer") };
            assert!((20_000..=25_000).contains(&second.not_before.since_ms(NOW)), "{second:?}");
        }
    }

    #[test]
    fn a_person_is_told_once_of_a_job_that_the_world_fails_and_not_of_side_effects() {
        let at = |transient| Tries { transient, ..tries() };
        let told = |effect: &Effect| (0..50).filter(|n| is_stuck(effect, &at(*n), Charge::Transient)).count();
        let gate = GateId::SecurityGate;
        let judge = Effect::Judge {
            gate,
            stage: "review".into(),
            head: Sha::new("a".repeat(40)),
            exact: false,
            run: None,
            since: Time(0),
        };
        for effect in [branch(), merge(), ci(), judge] {
            assert_eq!(told(&effect), 1, "{effect:?}");
        }
        assert_eq!(told(&Effect::SyncTicket) + told(&Effect::CleanUp), 0);
        assert!(!is_stuck(&branch(), &at(TELL_AFTER - 1), Charge::Attempt));
    }

    #[test]
    fn a_refusal_that_is_a_guess_is_tried_again_until_it_is_final() {
        let guess = Failure { unsure: true, ..Failure::new(FaultKind::Permanent, "no") };
        let asks = |is_final| conclude(&branch(), &tries(), Tried::Failed(guess.clone()), NOW, PAUSES, |_| is_final);
        assert!(matches!(goes_back(&asks(false)), Some((Charge::Transient, _))));
        assert_eq!(goes_back(&asks(true)), None);
    }
}
