//! What the end of an agent's run means: each class of ends has one action, and this table is the only place that gives it
//! one. Programs say what they saw; whether the run is over, is tried again, goes on with its session, or is a matter for a
//! person is decided here, for every program alike.

use crate::effect::Outcome;
use crate::end_class::EndClass;
use crate::ids::Time;
use crate::retry::{Charge, Failure, Tried};
use crate::verdict::{FaultKind, FaultNote};

/// What becomes of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// The turn is over, the gates decide.
    Over,
    /// The task waits for a person, as if the role had said that it cannot work. Nobody pays.
    Hold,
    /// The job has failed: a person has to act.
    Person,
    /// It is tried again.
    Again {
        /// What this costs.
        charge: Charge,
        /// The next run goes on with this one's session, on the files as it left them, where the program can.
        resume: bool,
    },
}

/// What it says of the service behind the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// Nothing.
    Nothing,
    /// It answers.
    Answers,
    /// It failed this one; many in a row, or a time it names, keep the others away.
    Fails,
    /// It will fail everybody: the others are kept away at once, and one looks again later.
    Refuses,
}

impl EndClass {
    /// The table: what becomes of the run, and what it says of the service.
    pub fn means(self) -> (Action, Service) {
        use Action::{Hold, Over, Person};
        use Service::{Answers, Fails, Nothing, Refuses};
        let again = |charge, resume| Action::Again { charge, resume };
        match self {
            Self::Finished | Self::Question | Self::Unable => (Over, Answers),
            Self::Passing | Self::RateLimit | Self::Overloaded | Self::Network => {
                (again(Charge::Transient, true), Fails)
            }
            Self::UsageLimit | Self::Billing | Self::Auth => (again(Charge::Transient, true), Refuses),
            Self::Crash => (again(Charge::Death, true), Nothing),
            Self::Deadline | Self::Silence | Self::TurnLimit | Self::BudgetLimit | Self::Unknown => {
                (again(Charge::Attempt, true), Answers)
            }
            Self::Failed | Self::Stopped | Self::TooBig | Self::BadRequest => (again(Charge::Attempt, false), Answers),
            // No session is named in the next run, so that it does not come here again.
            Self::SessionLost => (again(Charge::Nothing, false), Nothing),
            Self::ToolRefused => (Hold, Answers),
            Self::Refusal => (Person, Answers),
            Self::Configuration => (Person, Nothing),
        }
    }

    /// May the next run go on with this one's session? After a question it does so with the answer.
    pub fn resumes(self) -> bool {
        self == Self::Question || matches!(self.means().0, Action::Again { resume: true, .. })
    }

    /// What happened, for people, behind "the developer": `met a limit of requests`.
    fn says(self) -> &'static str {
        match self {
            Self::Finished | Self::Question | Self::Unable => "has ended its turn",
            Self::Failed => "has failed",
            Self::Passing => "met a passing fault",
            Self::RateLimit => "sent more requests than the service takes",
            Self::Overloaded => "met a service without room",
            Self::Network => "could not reach the service",
            Self::UsageLimit => "met the account's usage limit",
            Self::Billing => "was refused by the service for want of money",
            Self::Auth => "was refused by the service: the key is missing or not valid",
            Self::Crash => "ended without a word",
            Self::Deadline => "was stopped at its deadline",
            Self::Silence => "was stopped because it said nothing for too long",
            Self::Stopped => "was stopped",
            Self::TurnLimit => "used all of its turns",
            Self::BudgetLimit => "used all that it may use",
            Self::TooBig => "sent more than the model takes",
            Self::BadRequest => "sent what the service did not understand",
            Self::Refusal => "was refused by the model",
            Self::SessionLost => "could not go on with its session",
            Self::ToolRefused => "was refused by its own tools",
            Self::Configuration => "cannot be started as it is configured",
            Self::Unknown => "ended in an unknown way",
        }
    }
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentEnd {
    /// Its class.
    pub class: EndClass,
    /// The program's words and the last lines of its output; empty where there is nothing to say.
    pub why: String,
    /// When the service wants it back, if it named a time.
    pub not_before: Option<Time>,
}

impl AgentEnd {
    /// An end with these words.
    pub fn new(class: EndClass, why: impl Into<String>) -> Self {
        Self { class, why: why.into(), not_before: None }
    }
    /// A good one.
    pub fn finished() -> Self {
        Self::new(EndClass::Finished, "")
    }

    /// What it means for the job of a role. `None`: the turn is over, and what it left decides.
    pub fn tried(&self, role: &str) -> Option<Tried> {
        let text = format!("the {role} {}: {}", self.class.says(), self.why);
        let failure = |kind| Failure { class: Some(self.class), ..Failure::new(kind, text.as_str()) };
        match self.class.means().0 {
            Action::Over => None,
            Action::Hold => Some(Tried::Outcome(Outcome::AgentSaid {
                word: crate::word::Word::Unable { reason: text },
                resolved: crate::conflict::Resolution::default(),
            })),
            Action::Person => Some(Tried::Outcome(Outcome::Failed { fault: FaultNote::new(FaultKind::Denied, text) })),
            Action::Again { charge, .. } => {
                let kind = if charge == Charge::Attempt { FaultKind::Permanent } else { FaultKind::Transient };
                let not_before = self.not_before;
                Some(Tried::Again { charge, new_run: true, not_before, failure: failure(kind) })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::circuit::{Heard, heard};
    use crate::effect::Effect;
    use crate::ids::{JobId, TaskId};
    use crate::pauses::Pauses;
    use crate::retry::{Next, Tries, conclude};

    const JOB: Pauses = Pauses { first_ms: 1_000, max_ms: 600_000 };
    const NOW: Time = Time(1_000_000);

    fn agent() -> Effect {
        Effect::RunAgent { role: "developer".into(), stage: "development".into(), round: 0 }
    }
    fn tries(transient: u32) -> Tries {
        Tries { job: JobId { task: TaskId(7), seq: 3 }, attempts: 0, max_attempts: 2, transient, deaths: 0 }
    }
    /// Price and pause in seconds, without jitter; nothing: it is over.
    fn again(end: &AgentEnd, transient: u32) -> Option<(Charge, i64)> {
        let tried = end.tried("developer")?;
        match conclude(&agent(), &tries(transient), tried, NOW, JOB, |_| false) {
            Next::Settle(_) => None,
            Next::Requeue(r) => {
                assert!(r.new_run, "a run is never started twice in one directory");
                Some((r.charge, r.not_before.since_ms(NOW) * 4 / 5_000))
            }
        }
    }

    #[test]
    fn each_class_has_one_action_and_one_word() {
        use EndClass::*;
        let of = |wanted: &dyn Fn(Action) -> bool| -> Vec<EndClass> {
            EndClass::ALL.into_iter().filter(|c| wanted(c.means().0)).collect()
        };
        let charged = |charge| of(&|a| matches!(a, Action::Again { charge: c, .. } if c == charge));
        assert_eq!(of(&|a| a == Action::Over), [Finished, Question, Unable]);
        assert_eq!(of(&|a| a == Action::Hold), [ToolRefused]);
        assert_eq!(of(&|a| a == Action::Person), [Refusal, Configuration]);
        assert_eq!(
            charged(Charge::Transient),
            [Passing, RateLimit, Overloaded, Network, UsageLimit, Billing, Auth],
            "the world spends no attempt"
        );
        assert_eq!(charged(Charge::Death), [Crash]);
        assert_eq!(charged(Charge::Nothing), [SessionLost]);
        let spent = [Failed, Deadline, Silence, Stopped, TurnLimit, BudgetLimit, TooBig, BadRequest, Unknown];
        assert_eq!(charged(Charge::Attempt), spent);
        let fresh: Vec<_> = EndClass::ALL.into_iter().filter(|c| !c.resumes()).collect();
        let anew =
            [Finished, Unable, Failed, Stopped, TooBig, BadRequest, Refusal, SessionLost, ToolRefused, Configuration];
        assert_eq!(fresh, anew);
        let mut words: Vec<_> = EndClass::ALL.iter().map(|c| c.as_str()).collect();
        for (class, word) in EndClass::ALL.iter().zip(&words) {
            assert_eq!(serde_json::to_string(class).unwrap(), format!("\"{word}\""));
        }
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), EndClass::ALL.len());
    }

    #[test]
    fn an_agent_is_put_off_for_longer_than_a_fetch_and_never_without_end() {
        let wait = |class, transient| again(&AgentEnd::new(class, "x"), transient).unwrap().1;
        for (class, first, longest) in
            [(EndClass::Overloaded, 30, 600), (EndClass::Network, 30, 600), (EndClass::RateLimit, 60, 900)]
        {
            // Four fifths of the pause with at most a quarter of jitter.
            assert!((first * 4 / 5..=first).contains(&wait(class, 0)), "{class:?}: {}", wait(class, 0));
            assert!((first * 8 / 5..=first * 2).contains(&wait(class, 1)), "{class:?}");
            assert!((longest * 4 / 5..=longest).contains(&wait(class, 30)), "{class:?}: {}", wait(class, 30));
        }
    }

    #[test]
    fn a_usage_limit_waits_for_its_reset_and_keeps_the_others_away_until_then() {
        let end = AgentEnd { not_before: Some(NOW.plus_ms(3_600_000)), ..AgentEnd::new(EndClass::UsageLimit, "x") };
        assert_eq!(again(&end, 0), Some((Charge::Transient, 2_880)));
        let tried = end.tried("developer").unwrap();
        assert!(
            matches!(heard(&agent(), &tried, NOW), Heard::Failed { back_at: Some(at), .. } if at == NOW.plus_ms(3_600_000))
        );
        for class in [EndClass::UsageLimit, EndClass::Auth, EndClass::Billing] {
            let tried = AgentEnd::new(class, "x").tried("developer").unwrap();
            assert!(matches!(heard(&agent(), &tried, NOW), Heard::Refused { .. }), "{class:?}");
        }
    }

    #[test]
    fn a_failure_of_its_own_is_tried_once_more_and_then_a_person_decides() {
        let failed = AgentEnd::new(EndClass::TurnLimit, "x").tried("developer").unwrap();
        let spent = Tries { attempts: 1, ..tries(0) };
        let next = |tries: &Tries| conclude(&agent(), tries, failed.clone(), NOW, JOB, |_| false);
        assert!(matches!(next(&tries(0)), Next::Requeue(_)));
        assert!(matches!(next(&spent), Next::Settle(Outcome::Failed { .. })));
    }
}
