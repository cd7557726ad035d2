//! What runs of agents may cost. A budget is a reservation: before a run begins, what it may cost is taken from every
//! budget that holds for it, and its real cost takes that place when it ends. Whether a run still fits is decided here and
//! nowhere else; the store asks in the transaction that claims the run's job, so that runs beside each other cannot pass a
//! limit together. Amounts are whole millionths of a US dollar: sums do not drift.

use crate::effect::Outcome;
use crate::ids::{ProjectKey, Time};
use crate::retry::{Charge, Next, Requeue};
use crate::verdict::{FaultKind, FaultNote};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Whose runs a budget counts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Those of one task.
    Task,
    /// Those of a project.
    Project(ProjectKey),
    /// All of them.
    Instance,
}

/// Which runs of them, by when each was reserved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Span {
    /// Those of the day.
    Day,
    /// Those of the month.
    Month,
    /// All that there ever were.
    Whole,
}

/// A budget: a limit, and which runs count.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    /// Whose runs.
    pub scope: Scope,
    /// Over which time.
    pub span: Span,
    /// What they may cost together, millionths of a US dollar.
    pub micro_usd: u64,
    /// Runs that were reserved before do not count.
    pub from: Time,
    /// When the next span begins; `None`: by itself never.
    pub until: Option<Time>,
}

impl Limit {
    /// The key that sets it: `day_usd`.
    pub fn key(&self) -> &'static str {
        match (&self.scope, self.span) {
            (Scope::Task, _) => "task_usd",
            (_, Span::Day) => "day_usd",
            (_, Span::Month) => "month_usd",
            (_, Span::Whole) => "total_usd",
        }
    }

    /// Where it is set, for people: `[project.budget] day_usd`.
    pub fn place(&self) -> String {
        let table = if matches!(self.scope, Scope::Project(_)) { "project.budget" } else { "budget" };
        format!("[{table}] {}", self.key())
    }

    /// A name that tells it from every other one: `day`, `SHOP:month`.
    pub fn name(&self) -> String {
        let span = match self.span {
            Span::Day => "day",
            Span::Month => "month",
            Span::Whole => "total",
        };
        match &self.scope {
            Scope::Task => "task".to_owned(),
            Scope::Project(key) => format!("{key}:{span}"),
            Scope::Instance => span.to_owned(),
        }
    }
}

impl fmt::Display for Limit {
    /// For people: `the day's budget of SHOP`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.scope, self.span) {
            (Scope::Task, _) => f.write_str("the task's budget"),
            (Scope::Project(key), Span::Day) => write!(f, "the day's budget of {key}"),
            (Scope::Project(key), Span::Month) => write!(f, "the month's budget of {key}"),
            (Scope::Project(key), Span::Whole) => write!(f, "the whole budget of {key}"),
            (Scope::Instance, Span::Day) => f.write_str("the day's budget"),
            (Scope::Instance, Span::Month) => f.write_str("the month's budget"),
            (Scope::Instance, Span::Whole) => f.write_str("the whole budget"),
        }
    }
}

/// What holds for the runs of a project.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// What one run may cost, millionths of a US dollar; `None`: whatever is left.
    pub run_micro_usd: Option<u64>,
    /// Every budget that a run of it has to fit into. That of a task says what one grant is worth.
    pub limits: Vec<Limit>,
}

/// What runs came to so far, millionths of a US dollar.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sums {
    /// Those that are over. What could not be read counts as what was reserved for it.
    pub spent_micro_usd: u64,
    /// What is reserved for those that are not over.
    pub reserved_micro_usd: u64,
    /// How many of those that are over count with what they may have cost at most.
    pub at_most: u64,
    /// How many cost nobody knows what, and count as nothing.
    pub unknown: u64,
}

impl Sums {
    /// What was spent, for people: `1.50`, `<= 4.00`, `unknown`.
    pub fn spent(&self) -> String {
        let usd = usd(self.spent_micro_usd);
        match (self.at_most, self.unknown, self.spent_micro_usd) {
            (0, 0, _) => usd,
            (_, 0, _) => format!("<= {usd}"),
            (_, _, 0) => "unknown".to_owned(),
            (0, n, _) => format!("{usd} and {n} unknown"),
            (_, n, _) => format!("<= {usd} and {n} unknown"),
        }
    }
}

/// A budget and what it came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Balance {
    /// The budget.
    pub limit: Limit,
    /// What is spent and reserved of it.
    pub sums: Sums,
}

impl Balance {
    /// What is neither spent nor reserved, millionths of a US dollar.
    pub fn left(&self) -> u64 {
        self.unspent().saturating_sub(self.sums.reserved_micro_usd)
    }
    /// What is left when all that is reserved is given back.
    fn unspent(&self) -> u64 {
        self.limit.micro_usd.saturating_sub(self.sums.spent_micro_usd)
    }
    /// Is four fifths of it spent?
    pub fn is_nearly_spent(&self) -> bool {
        0 < self.limit.micro_usd && self.limit.micro_usd / 5 * 4 <= self.sums.spent_micro_usd
    }
    /// The amounts, for people: `4.00 USD spent and 1.00 USD reserved of 5.00 USD`.
    pub fn amounts(&self) -> String {
        let (spent, limit) = (self.sums.spent(), usd(self.limit.micro_usd));
        let spent =
            if self.sums.spent_micro_usd == 0 && 0 < self.sums.unknown { spent } else { format!("{spent} USD") };
        match self.sums.reserved_micro_usd {
            0 => format!("{spent} spent of {limit} USD"),
            reserved => format!("{spent} spent and {} USD reserved of {limit} USD", usd(reserved)),
        }
    }
}

/// Why a run does not begin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The budget it does not fit into.
    pub balance: Balance,
    /// What the run may cost; `None`: whatever is left, and nothing is.
    pub run_micro_usd: Option<u64>,
    /// It would fit if what is reserved for others came to nothing: their end may make room.
    pub by_others: bool,
}

/// What a job is parked for that waits for the end of others' runs.
pub const RESERVED: &str = "budget:reserved";

impl Refusal {
    /// What its job waits for, as `parked` says it: `budget:day`, `budget:reserved`.
    pub fn waits_for(&self) -> String {
        if self.by_others { RESERVED.to_owned() } else { format!("budget:{}", self.balance.limit.name()) }
    }

    /// For people: which budget, what is spent and reserved of it, and what the run needs.
    pub fn why(&self) -> String {
        let Balance { limit, .. } = &self.balance;
        let amounts = self.balance.amounts();
        match self.run_micro_usd {
            Some(run) => format!("{limit} ({}): {amounts}, and a run may cost {} USD", limit.key(), usd(run)),
            None => format!("{limit} ({}): {amounts}", limit.key()),
        }
    }
}

/// How soon it is looked again whether a run fits now: a limit may have been raised, the clock may have been set.
const LOOK_MS: i64 = 60_000;

impl Refusal {
    /// What becomes of the job. A task whose budget is spent asks a person; everything else goes on by itself, and what
    /// was not tried costs nothing.
    pub fn next(&self, now: Time) -> Next {
        let Balance { limit, sums } = &self.balance;
        if limit.scope == Scope::Task && !self.by_others {
            let (spent_micro_usd, limit_micro_usd) = (sums.spent_micro_usd, limit.micro_usd);
            let run_micro_usd = self.run_micro_usd;
            let at_most = 0 < sums.at_most;
            return Next::Settle(Outcome::OverBudget { spent_micro_usd, limit_micro_usd, run_micro_usd, at_most });
        }
        let look = now.plus_ms(LOOK_MS);
        Next::Requeue(Requeue {
            charge: Charge::Nothing,
            new_run: false,
            not_before: limit.until.map_or(look, |until| until.min(look)).max(now.plus_ms(1)),
            fault: FaultNote::new(FaultKind::Transient, self.why()),
            parked: Some(self.waits_for()),
        })
    }
}

/// Does a run fit, and what is reserved for it? With a cap (`run_micro_usd`) that is the cap, and it must be left in every
/// budget. Without one it is what is left of the tightest budget, if anything is; without any budget nothing.
///
/// Of several budgets that refuse, the one is told that lasts longest: a person must raise it, then the month, then the
/// day, then the reservations of others.
///
/// # Errors
/// The run does not fit.
pub fn reserve(run_micro_usd: Option<u64>, balances: &[Balance]) -> Result<u64, Refusal> {
    let needs = run_micro_usd.unwrap_or(1);
    let refused = balances.iter().filter(|b| b.left() < needs);
    let lasts = |b: &&Balance| (b.unspent() < needs, b.limit.until.is_none(), b.limit.span, b.limit.until);
    if let Some(balance) = refused.max_by_key(lasts) {
        let by_others = needs <= balance.unspent();
        return Err(Refusal { balance: balance.clone(), run_micro_usd, by_others });
    }
    Ok(run_micro_usd.or_else(|| balances.iter().map(Balance::left).min()).unwrap_or(0))
}

/// Dollars and cents, rounded to the nearest; what is less than a cent has as many digits as it needs.
pub fn usd(micro_usd: u64) -> String {
    if 0 < micro_usd && micro_usd < 10_000 {
        return format!("0.{micro_usd:06}").trim_end_matches('0').to_owned();
    }
    let cents = micro_usd.saturating_add(5_000) / 10_000;
    format!("{}.{:02}", cents / 100, cents % 100)
}

/// An amount of dollars in millionths, rounded to the nearest; `None`: it is no amount (negative, no number, or more than a
/// million dollars).
pub fn micro_usd(usd: f64) -> Option<u64> {
    // The largest amount is far below what a float counts exactly.
    (0.0..=1e6).contains(&usd).then(|| (usd * 1e6).round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn balance(span: Span, limit: u64, spent: u64, reserved: u64) -> Balance {
        let until = (span != Span::Whole).then_some(Time(if span == Span::Day { 100 } else { 900 }));
        let limit = Limit { scope: Scope::Instance, span, micro_usd: limit, from: Time(0), until };
        let sums = Sums { spent_micro_usd: spent, reserved_micro_usd: reserved, ..Sums::default() };
        Balance { limit, sums }
    }

    #[test]
    fn a_run_with_a_cap_takes_the_cap_and_one_without_takes_what_is_left_of_the_tightest_budget() {
        let balances =
            [balance(Span::Day, 5_000_000, 1_000_000, 500_000), balance(Span::Month, 4_000_000, 2_000_000, 0)];
        assert_eq!(reserve(Some(2_000_000), &balances), Ok(2_000_000), "exactly what is left fits");
        assert_eq!(reserve(None, &balances), Ok(2_000_000));
        assert_eq!(reserve(None, &[]), Ok(0));
        assert_eq!(reserve(Some(7), &[]), Ok(7));
        assert!(reserve(Some(2_000_001), &balances).is_err());
    }

    #[test]
    fn a_refusal_tells_whether_it_ends_with_the_runs_of_others_and_names_the_budget_that_lasts_longest() {
        let day = balance(Span::Day, 5, 1, 4);
        let refusal = reserve(None, std::slice::from_ref(&day)).unwrap_err();
        assert!(refusal.by_others && refusal.waits_for() == RESERVED);
        let month = balance(Span::Month, 5, 5, 0);
        let refusal = reserve(None, &[day.clone(), month.clone(), balance(Span::Day, 2, 2, 0)]).unwrap_err();
        assert_eq!((refusal.waits_for().as_str(), refusal.by_others), ("budget:month", false));
        let whole = balance(Span::Whole, 3, 3, 0);
        assert_eq!(reserve(None, &[month, whole, day]).unwrap_err().waits_for(), "budget:total");
    }

    #[test]
    fn a_budget_says_which_key_of_which_table_sets_it() {
        let mut limit = balance(Span::Day, 5, 0, 0).limit;
        assert_eq!(limit.place(), "[budget] day_usd");
        limit.scope = Scope::Project("SHOP".into());
        assert_eq!(limit.place(), "[project.budget] day_usd");
    }

    #[test]
    fn what_is_not_known_is_never_shown_as_nothing() {
        let sums =
            |spent, at_most, unknown| Sums { spent_micro_usd: spent, at_most, unknown, ..Sums::default() }.spent();
        assert_eq!(sums(0, 0, 0), "0.00");
        assert_eq!(sums(0, 0, 2), "unknown");
        assert_eq!(sums(4_000_000, 1, 0), "<= 4.00");
        assert_eq!(sums(4_000_000, 0, 1), "4.00 and 1 unknown");
        assert_eq!((usd(1), usd(2_500), usd(1_239_000)), ("0.000001".into(), "0.0025".into(), "1.24".into()));
    }

    #[test]
    fn an_amount_is_read_to_the_millionth_or_not_at_all() {
        assert_eq!(micro_usd(9.5), Some(9_500_000));
        assert_eq!(micro_usd(0.1 + 0.2), Some(300_000));
        for no in [f64::NAN, f64::INFINITY, -0.01, 1e9] {
            assert_eq!(micro_usd(no), None, "{no}");
        }
    }
}
