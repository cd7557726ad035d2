//! What a failure costs its task. Four things are counted, each with an end: the developer's repairs (rounds), the repairs
//! of a role in a stage of its own, the attempts of a role to deliver what can be judged, and returns to analysis. Production that does not take
//! a merge costs none of them. Nor do a job that failed, a run that was stopped and a gate that could not find out: they send
//! no role back, so that they never come here (unless the pipeline says that not knowing is a no).
//!
//! This is the only place that charges one of them. What is charged for what is a table; a cause gets its price here, and
//! nowhere else.

use crate::ids::StageId;
use crate::policy::Policy;
use crate::task::Task;

/// What went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// A gate said no to what was made, or could not find out where the pipeline takes that for a no, or the preparation of
    /// the merge said no.
    Red,
    /// The same, in the stage of the role that made it: analysis, architecture.
    RedInOwnStage,
    /// What a role delivered cannot be judged: a document is missing or unreadable, nothing of its run was taken, or it
    /// changed nothing.
    NotDelivered,
    /// A role says that the analysis cannot be built.
    WrongAnalysis,
    /// Production did not take what is merged: a person says whose fault that is.
    Production,
}

/// Who pays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cost {
    /// Nobody.
    Nothing,
    /// The role of the stage, one of its attempts in this visit.
    Attempt,
    /// The role of the stage that is gone back to, one of its own repairs.
    OwnRound,
    /// The developer, one of the repairs.
    Round,
    /// Nobody but the task: one of its returns to analysis.
    Return,
}

/// Times a task may be returned to its analysis before a person decides what is wanted.
pub const MAX_RETURNS: u32 = 2;

impl Cause {
    /// Its price.
    pub fn cost(self) -> Cost {
        match self {
            Self::Red => Cost::Round,
            Self::RedInOwnStage => Cost::OwnRound,
            Self::NotDelivered => Cost::Attempt,
            Self::WrongAnalysis => Cost::Return,
            Self::Production => Cost::Nothing,
        }
    }
}

/// What a charge came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Charged {
    /// How many are spent now.
    pub(crate) spent: u32,
    /// How many there are.
    pub(crate) max: u32,
    /// There was none left.
    pub(crate) exhausted: bool,
}

impl Cost {
    /// Charges the task for going back to a stage. The first run of a role is free of rounds, and none of attempts: the last
    /// attempt that fails is the end, while a round that cannot be paid is.
    pub(crate) fn charge(self, task: &mut Task, policy: &Policy, to: &StageId) -> Charged {
        let max_rounds = policy.max_developer_retries;
        if matches!(self, Self::OwnRound | Self::Round) && std::mem::take(&mut task.spent.granted) {
            // A person let it go on, and what said no was asked first: the repair that follows is their word.
            let spent = if self == Self::Round {
                task.spent.rounds
            } else {
                task.spent.stage_rounds.get(to).copied().unwrap_or(0)
            };
            return Charged { spent, max: max_rounds, exhausted: false };
        }
        match self {
            Self::Nothing => Charged { spent: 0, max: 0, exhausted: false },
            Self::Attempt => {
                task.spent.role_attempts += 1;
                let (spent, max) = (task.spent.role_attempts, policy.max_role_attempts);
                Charged { spent, max, exhausted: max <= spent }
            }
            Self::OwnRound => round(task.spent.stage_rounds.entry(to.clone()).or_insert(0), max_rounds),
            Self::Round => round(&mut task.spent.rounds, max_rounds),
            Self::Return => round(&mut task.spent.returns, MAX_RETURNS),
        }
    }
}

fn round(spent: &mut u32, max: u32) -> Charged {
    let exhausted = max <= *spent;
    if !exhausted {
        *spent += 1;
    }
    Charged { spent: *spent, max, exhausted }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_work_is_to_blame_for_costs_a_round() {
        let table = [
            (Cause::Red, Cost::Round),
            (Cause::RedInOwnStage, Cost::OwnRound),
            (Cause::NotDelivered, Cost::Attempt),
            (Cause::WrongAnalysis, Cost::Return),
            (Cause::Production, Cost::Nothing),
        ];
        for (cause, cost) in table {
            assert_eq!(cause.cost(), cost, "{cause:?}");
        }
    }

    #[test]
    fn one_first_run_and_so_many_repairs_and_then_it_is_over() {
        let mut spent = 0;
        let rounds: Vec<(u32, bool)> = (0..5).map(|_| round(&mut spent, 3)).map(|c| (c.spent, c.exhausted)).collect();
        assert_eq!(rounds, [(1, false), (2, false), (3, false), (3, true), (3, true)]);
    }
}
