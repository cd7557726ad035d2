//! Medians, percentiles and the table of results. A goal is met or it is not: nothing is rounded in its favour.

use anyhow::{Result, ensure};
use std::fmt::Write as _;
use std::time::Duration;

/// Measured times, sorted.
pub(super) struct Times(Vec<Duration>);

impl Times {
    /// Of nothing there are no times: a goal would be met by not having measured it.
    pub(super) fn of(mut all: Vec<Duration>) -> Result<Self> {
        ensure!(!all.is_empty(), "nothing was measured");
        all.sort_unstable();
        Ok(Self(all))
    }
    /// The time below which this share of them lies (nearest rank).
    pub(super) fn at(&self, share: f64) -> Duration {
        let rank = (share * self.0.len() as f64).ceil() as usize;
        self.0.get(rank.clamp(1, self.0.len().max(1)) - 1).copied().unwrap_or_default()
    }
    pub(super) fn worst(&self) -> Duration {
        self.0.last().copied().unwrap_or_default()
    }
    pub(super) fn count(&self) -> usize {
        self.0.len()
    }
}

pub(super) fn median(mut all: Vec<f64>) -> f64 {
    all.sort_unstable_by(f64::total_cmp);
    all.get(all.len() / 2).copied().unwrap_or(0.0)
}

/// Milliseconds with as many digits as mean something.
pub(super) fn ms(time: Duration) -> String {
    let ms = time.as_secs_f64() * 1_000.0;
    if ms < 10.0 { format!("{ms:.2} ms") } else { format!("{ms:.0} ms") }
}

/// A line of the table.
pub(super) struct Line {
    pub(super) what: String,
    pub(super) goal: String,
    pub(super) measured: String,
    /// Against the bare engine or the goal, where there is one.
    pub(super) ratio: String,
    pub(super) met: Met,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Met {
    Yes,
    No,
    /// Shown beside a goal, not a goal itself.
    Info,
}

impl Met {
    pub(super) fn when(yes: bool) -> Self {
        if yes { Self::Yes } else { Self::No }
    }
    fn word(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::No => "**no**",
            Self::Info => "",
        }
    }
}

impl Line {
    pub(super) fn goal(what: &str, goal: &str, measured: String, ratio: String, met: bool) -> Self {
        Self { what: what.into(), goal: goal.into(), measured, ratio, met: Met::when(met) }
    }
    /// A time that must not be longer than the goal.
    pub(super) fn time(what: &str, time: Duration, most: Duration) -> Self {
        let ratio = format!("{:.2} of it", time.as_secs_f64() / most.as_secs_f64());
        Self::goal(what, &format!("<= {}", ms(most)), ms(time), ratio, time <= most)
    }
    pub(super) fn info(what: &str, measured: String) -> Self {
        Self { what: what.into(), goal: String::new(), measured, ratio: String::new(), met: Met::Info }
    }
}

/// The lines as a Markdown table.
pub(super) fn table(lines: &[Line]) -> String {
    let mut text = String::from("| what | goal | measured | ratio | met |\n|---|---|---|---|---|\n");
    for Line { what, goal, measured, ratio, met } in lines {
        let _ = writeln!(text, "| {what} | {goal} | {measured} | {ratio} | {} |", met.word());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_by_nearest_rank() {
        let times = Times::of((1..=100).rev().map(Duration::from_millis).collect()).unwrap();
        assert_eq!(times.at(0.5), Duration::from_millis(50));
        assert_eq!(times.at(0.99), Duration::from_millis(99));
        assert_eq!(times.worst(), Duration::from_millis(100));
        assert!(Times::of(Vec::new()).is_err(), "what was not measured is not met");
    }

    #[test]
    fn a_time_over_its_goal_is_not_met() {
        let most = Duration::from_millis(20);
        assert!(Line::time("x", most, most).met == Met::Yes);
        assert!(Line::time("x", most + Duration::from_nanos(1), most).met == Met::No);
    }
}
