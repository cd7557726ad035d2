//! Is the worker of a claim dead, or does it hang? Judged from looks at the claim in a row, on the boot clock: a wall clock
//! that jumps takes nothing from a worker that lives.

use serde::{Deserialize, Serialize};

/// What is remembered of a claim between two looks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// The claim.
    pub epoch: u64,
    /// Its newest run: another run is another beginning.
    run: Option<String>,
    /// First look, boot clock, milliseconds.
    since_ms: i64,
    /// Looks in a row at which its supervisor was dead.
    dead: u32,
    /// First look at which its run had ended.
    ended_ms: Option<i64>,
}

/// What can be seen of a claim's work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Work inside this process, or a run that lives; it ends by itself within this time.
    Live {
        /// Milliseconds.
        limit_ms: i64,
    },
    /// The supervisor of its run is dead and left no record.
    Dead,
    /// Its run has ended.
    Ended,
}

/// When a claim is taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Looks in a row at which the supervisor must be dead.
    pub dead_looks: u32,
    /// Longest life of a claim whose work has no limit of its own, milliseconds.
    pub max_running_ms: i64,
    /// How long the result of a run that has ended may be left where it is, milliseconds.
    pub finalize_grace_ms: i64,
}

impl Sighting {
    /// The first look at a claim.
    pub fn first(epoch: u64, run: Option<String>, now_ms: i64) -> Self {
        Self { epoch, run, since_ms: now_ms, dead: 0, ended_ms: None }
    }

    /// Looks again. Why the claim is to be taken back, if it is.
    pub fn look(&mut self, run: Option<String>, seen: Seen, now_ms: i64, limits: &Limits) -> Option<String> {
        if self.run != run {
            *self = Self::first(self.epoch, run, now_ms);
        }
        self.dead = if seen == Seen::Dead { self.dead + 1 } else { 0 };
        self.ended_ms = if seen == Seen::Ended { Some(self.ended_ms.unwrap_or(now_ms)) } else { None };
        let age_ms = now_ms - self.since_ms;
        let grace_ms = limits.finalize_grace_ms;
        match seen {
            Seen::Dead if limits.dead_looks <= self.dead => {
                Some(format!("its supervisor was dead at {} looks", self.dead))
            }
            Seen::Ended => {
                let ended_ms = now_ms - self.ended_ms.unwrap_or(now_ms);
                let text = || format!("its run ended {} s ago and its result was not taken", ended_ms / 1_000);
                (grace_ms < ended_ms).then(text)
            }
            Seen::Live { limit_ms } if limits.max_running_ms.max(limit_ms.saturating_add(grace_ms)) < age_ms => {
                Some(format!("it has been running for {} s", age_ms / 1_000))
            }
            Seen::Live { .. } | Seen::Dead => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { dead_looks: 2, max_running_ms: 3_600_000, finalize_grace_ms: 300_000 };
    const NEVER: [i64; 0] = [];

    fn run() -> String {
        "r".into()
    }

    /// Looks at a claim at these seconds; the ones at which it is taken back.
    fn taken_at(looks: &[(i64, Seen)]) -> Vec<i64> {
        let mut s = Sighting::first(1, Some(run()), 0);
        let taken = looks.iter().filter(|(at, seen)| s.look(Some(run()), *seen, at * 1_000, &LIMITS).is_some());
        taken.map(|(at, _)| *at).collect()
    }

    #[test]
    fn a_dead_supervisor_must_be_dead_at_so_many_looks_in_a_row() {
        let live = Seen::Live { limit_ms: 0 };
        assert_eq!(taken_at(&[(60, Seen::Dead)]), NEVER);
        assert_eq!(taken_at(&[(60, Seen::Dead), (120, live), (180, Seen::Dead)]), NEVER);
        assert_eq!(taken_at(&[(60, Seen::Dead), (120, Seen::Dead)]), [120]);
    }

    #[test]
    fn an_end_has_its_grace_to_be_finalised() {
        let ended: Vec<(i64, Seen)> = (1..=8).map(|n| (n * 60, Seen::Ended)).collect();
        assert_eq!(taken_at(&ended), [420, 480], "more than 300 s after the first look that saw the end");
    }

    #[test]
    fn a_live_run_within_its_limit_is_never_taken_back() {
        let long = Seen::Live { limit_ms: 20_000_000 };
        assert_eq!(taken_at(&(1..300).map(|n| (n * 60, long)).collect::<Vec<_>>()), NEVER, "5 hours of 5.5");
        assert_eq!(taken_at(&[(20_301, long)]), [20_301], "its own limit and the grace are over");
        let short = Seen::Live { limit_ms: 60_000 };
        assert_eq!(taken_at(&[(3_600, short), (3_601, short)]), [3_601], "the backstop");
    }

    #[test]
    fn another_run_is_another_beginning() {
        let mut s = Sighting::first(1, Some(run()), 0);
        let next = || Some("r2".to_owned());
        assert_eq!(s.look(Some(run()), Seen::Dead, 60_000, &LIMITS), None);
        assert_eq!(s.look(next(), Seen::Dead, 120_000, &LIMITS), None, "its own supervisor was dead at one look");
        assert!(s.look(next(), Seen::Dead, 180_000, &LIMITS).is_some());
    }

    #[test]
    fn a_clock_that_goes_back_takes_nothing_back() {
        let live = Seen::Live { limit_ms: 0 };
        assert_eq!(taken_at(&[(60, live), (-86_400, live), (-86_400, Seen::Ended)]), NEVER);
    }
}
