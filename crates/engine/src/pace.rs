//! How often a tracker may be read. One list call per project and interval; more seldom where the server counts calls and has few
//! of them for all the projects of a token. Some calls are kept for what people do: orders of theirs never wait for polling.

use orch_ports::tracker::CallBudget;
use serde::Serialize;

/// Calls of a minute that polling leaves alone.
const KEPT: u32 = 10;

/// A tracker's reading.
#[derive(Clone, Debug, Default)]
pub(crate) struct Poll {
    /// When it began last, by the boot clock.
    pub(crate) begun_ms: Option<i64>,
    /// Is it to be read with the next sweep, whatever its pace?
    pub(crate) hurried: bool,
}

/// How often a project's tickets are read, and why so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Pace {
    /// Milliseconds from one look to the next.
    pub every_ms: i64,
    /// Why that is slower than configured.
    pub slower: Option<String>,
}

/// How often a tracker is read at most, by what its server says of calls. `sharing`: the projects whose calls it counts
/// together.
pub(crate) fn pace(interval_ms: i64, budget: Option<&CallBudget>, sharing: usize) -> Pace {
    let Some(budget) = budget else { return Pace { every_ms: interval_ms, slower: None } };
    let usable = i64::from(budget.per_minute.saturating_sub(KEPT).max(1));
    let projects = i64::try_from(sharing.max(1)).unwrap_or(i64::MAX);
    let needed_ms = projects.saturating_mul(60_000).saturating_add(usable - 1) / usable;
    let CallBudget { of, per_minute, left } = budget;
    if *left <= KEPT {
        // The window slides: within a minute there are calls again.
        let slower = format!("{of} has {left} of {per_minute} calls left in this minute, which are kept for people");
        return Pace { every_ms: interval_ms.max(needed_ms).max(60_000), slower: Some(slower) };
    }
    if needed_ms <= interval_ms {
        return Pace { every_ms: interval_ms, slower: None };
    }
    let slower =
        format!("{of} has {per_minute} calls a minute for {projects} projects, {KEPT} of them kept for people");
    Pace { every_ms: needed_ms, slower: Some(slower) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every_ms(per_minute: u32, left: u32, projects: usize) -> (i64, bool) {
        let budget = CallBudget { of: "the token of plane".into(), per_minute, left };
        let pace = pace(30_000, Some(&budget), projects);
        (pace.every_ms, pace.slower.is_some())
    }

    #[test]
    fn a_tracker_is_read_as_often_as_its_budget_allows_and_people_have_calls_left() {
        assert_eq!(pace(30_000, None, 1), Pace { every_ms: 30_000, slower: None });
        assert_eq!(every_ms(50, 50, 1), (30_000, false));
        assert_eq!(every_ms(50, 50, 20), (30_000, false), "20 projects twice a minute are the 40 calls there are");
        assert_eq!(every_ms(50, 50, 21), (31_500, true));
        assert_eq!(every_ms(50, 50, 80), (120_000, true));
        assert_eq!(every_ms(50, 10, 1), (60_000, true), "what is left is for people");
        assert_eq!(every_ms(5, 5, 1), (60_000, true));
        for projects in 1..200 {
            for per_minute in 11..200 {
                let (every, _) = every_ms(per_minute, per_minute, projects);
                let calls = projects as i64 * 60_000 / every;
                assert!(calls <= i64::from(per_minute - KEPT), "{projects} projects, {per_minute} calls: {calls}");
            }
        }
    }
}
