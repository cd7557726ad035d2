//! What a run may still use. Decides whether a request goes out, waits for others of its run, or is refused.
//!
//! What a response costs is known at its end only, so a run passes what was reserved for it by one response at most: a request
//! goes out beside others only where all of them together fit, each taken at the most it can cost.

use serde::{Deserialize, Serialize};

/// What a run may use in all; `None`: as much as it likes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Millionths of a US dollar.
    pub micro_usd: Option<u64>,
    /// Tokens, input (cached too) and output together.
    pub tokens: Option<u64>,
    /// Requests.
    pub requests: Option<u64>,
}

/// An amount.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Amount {
    /// Millionths of a US dollar.
    pub micro_usd: u64,
    /// Tokens.
    pub tokens: u64,
}

impl Amount {
    /// Both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            micro_usd: self.micro_usd.saturating_add(other.micro_usd),
            tokens: self.tokens.saturating_add(other.tokens),
        }
    }
    fn less(self, other: Self) -> Self {
        Self {
            micro_usd: self.micro_usd.saturating_sub(other.micro_usd),
            tokens: self.tokens.saturating_sub(other.tokens),
        }
    }
}

/// What becomes of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It goes out.
    Go,
    /// It waits until one of the others is over.
    Wait,
    /// The run has used what it may: why, for people.
    Cut(String),
}

/// The account of one run.
#[derive(Clone, Debug, Default)]
pub struct Gate {
    limits: Limits,
    spent: Amount,
    requests: u64,
    /// Requests under way, and what they can cost at most.
    open: u64,
    held: Amount,
}

impl Gate {
    /// A run that has used `spent` in `requests` so far.
    pub fn new(limits: Limits, spent: Amount, requests: u64) -> Self {
        Self { limits, spent, requests, ..Self::default() }
    }

    /// May a request that costs `most` at most go out? One that goes is written down as under way.
    pub fn ask(&mut self, most: Amount) -> Answer {
        let Limits { micro_usd, tokens, requests } = self.limits;
        if let Some(limit) = micro_usd.filter(|limit| *limit <= self.spent.micro_usd) {
            let (spent, limit) = (usd(self.spent.micro_usd), usd(limit));
            return Answer::Cut(format!("the run has used {spent} USD of the {limit} USD that are reserved for it"));
        }
        if let Some(limit) = tokens.filter(|limit| *limit <= self.spent.tokens) {
            return Answer::Cut(format!("the run has used {} of the {limit} tokens it may use", self.spent.tokens));
        }
        if let Some(limit) = requests.filter(|limit| *limit <= self.requests) {
            return Answer::Cut(format!("the run has sent the {limit} requests it may send"));
        }
        let all = self.spent.and(self.held).and(most);
        let fits =
            micro_usd.is_none_or(|limit| all.micro_usd <= limit) && tokens.is_none_or(|limit| all.tokens <= limit);
        if 0 < self.open && !fits {
            return Answer::Wait;
        }
        self.open += 1;
        self.requests += 1;
        self.held = self.held.and(most);
        Answer::Go
    }

    /// One that went out is over and has cost this.
    pub fn over(&mut self, most: Amount, cost: Amount) {
        self.open = self.open.saturating_sub(1);
        self.held = self.held.less(most);
        self.spent = self.spent.and(cost);
    }

    /// What was used so far.
    pub fn spent(&self) -> Amount {
        self.spent
    }
}

/// Dollars with all six digits: `0.003125` is not `0.00`.
fn usd(micro_usd: u64) -> String {
    format!("{}.{:06}", micro_usd / 1_000_000, micro_usd % 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(micro_usd: u64) -> Amount {
        Amount { micro_usd, tokens: micro_usd / 10 }
    }
    fn capped(micro_usd: u64) -> Gate {
        Gate::new(Limits { micro_usd: Some(micro_usd), ..Limits::default() }, Amount::default(), 0)
    }

    #[test]
    fn the_first_request_behind_the_cap_is_cut_and_says_why() {
        let mut gate = capped(70_000);
        assert_eq!(gate.ask(of(500_000)), Answer::Go, "alone it goes, whatever it may cost");
        gate.over(of(500_000), of(75_000));
        let Answer::Cut(why) = gate.ask(of(1)) else { panic!("it was not cut") };
        assert_eq!(why, "the run has used 0.075000 USD of the 0.070000 USD that are reserved for it");
        let mut tokens = Gate::new(Limits { tokens: Some(5), ..Limits::default() }, of(50), 0);
        assert!(matches!(tokens.ask(of(1)), Answer::Cut(why) if why.contains("5 of the 5 tokens")));
        let mut turns = Gate::new(Limits { requests: Some(2), ..Limits::default() }, Amount::default(), 1);
        assert_eq!(turns.ask(of(1)), Answer::Go);
        assert!(matches!(turns.ask(of(1)), Answer::Cut(why) if why.contains("2 requests")));
    }

    #[test]
    fn beside_others_a_request_waits_unless_all_of_them_fit() {
        let mut gate = capped(100);
        assert_eq!(gate.ask(of(60)), Answer::Go);
        assert_eq!(gate.ask(of(60)), Answer::Wait);
        assert_eq!(gate.ask(of(40)), Answer::Go);
        gate.over(of(60), of(10));
        assert_eq!(gate.ask(of(50)), Answer::Go);
        let mut free = Gate::default();
        for _ in 0..9 {
            assert_eq!(free.ask(of(u64::MAX)), Answer::Go);
        }
    }

    proptest! {
        /// However many are sent at once and in whatever order they end: the cap is passed by one response at most.
        #[test]
        fn no_cap_is_passed_by_more_than_one_response(
            cap in 1_u64..2_000,
            acts in prop::collection::vec((any::<bool>(), 1_u64..900, 0_u64..=100, any::<prop::sample::Index>()), 1..80),
        ) {
            let mut gate = capped(cap);
            let mut open: Vec<(u64, u64)> = Vec::new();
            for (ask, most, percent, index) in acts {
                if ask || open.is_empty() {
                    if gate.ask(of(most)) == Answer::Go {
                        open.push((most, most * percent / 100));
                    }
                } else {
                    let (most, cost) = open.swap_remove(index.index(open.len()));
                    gate.over(of(most), of(cost));
                }
            }
            for (most, cost) in open.drain(..) {
                gate.over(of(most), of(cost));
            }
            let spent = gate.spent().micro_usd;
            prop_assert!(spent < cap + 900, "{spent} of {cap}, and no response costs 900");
        }
    }
}
