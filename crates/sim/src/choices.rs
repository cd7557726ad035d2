//! The only source of chance: every choice of a life is drawn here, by name, from a seed or from a script, and written
//! down. What was written down is a script that makes the same life again. Nothing else in the simulation may be random,
//! or a failing life could be neither replayed nor made smaller.

use std::borrow::Cow;

/// A choice that was made: its name and which of the possibilities; 0 is the calm one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Choice {
    pub(crate) name: Cow<'static, str>,
    pub(crate) value: u64,
}

/// The choices of one thing that happened. Those that are missing are 0, so that a line means the same wherever it
/// stands and whatever else is drawn in it one day.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Line {
    /// Could things fail while it happened?
    pub(crate) faults: bool,
    pub(crate) choices: Vec<Choice>,
}

impl Line {
    /// Drops zeros nothing follows under the same name: a missing choice is the same.
    fn tidy(&mut self) {
        let all = std::mem::take(&mut self.choices);
        for (at, choice) in all.iter().enumerate() {
            if choice.value != 0 || all[at + 1..].iter().any(|c| c.name == choice.name && c.value != 0) {
                self.choices.push(choice.clone());
            }
        }
    }
}

#[derive(Clone, Debug)]
enum Source {
    /// Splitmix64: small, well mixed, and the same on every machine.
    Seed(u64),
    /// Lines to take choices from; behind them everything is calm and everybody's turn comes.
    Script { lines: Vec<Line>, used: Vec<bool> },
}

#[derive(Clone, Debug)]
pub(crate) struct Choices {
    source: Source,
    taken: Vec<Line>,
    /// Lines behind the end of the script.
    turns: u64,
}

impl Choices {
    pub(crate) fn seeded(seed: u64) -> Self {
        let source = Source::Seed(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x5DEE_CE66);
        Self { source, taken: Vec::new(), turns: 0 }
    }

    pub(crate) fn scripted(lines: Vec<Line>) -> Self {
        Self { source: Source::Script { lines, used: Vec::new() }, taken: Vec::new(), turns: 0 }
    }

    /// Are the lines of a script followed, and can things fail in the next one? `None`: there is no script (any more).
    pub(crate) fn next_line(&self) -> Option<bool> {
        match &self.source {
            Source::Seed(_) => None,
            Source::Script { lines, .. } => lines.get(self.taken.len()).map(|l| l.faults),
        }
    }

    pub(crate) fn is_scripted(&self) -> bool {
        matches!(self.source, Source::Script { .. })
    }

    /// Begins the next line.
    pub(crate) fn begin(&mut self, faults: bool) {
        if let Some(last) = self.taken.last_mut() {
            last.tidy();
        }
        let at = self.taken.len();
        self.taken.push(Line { faults, choices: Vec::new() });
        if let Source::Script { lines, used } = &mut self.source {
            *used = vec![false; lines.get(at).map_or(0, |l| l.choices.len())];
            if lines.len() <= at {
                self.turns += 1;
            }
        }
    }

    /// What was chosen, without what followed the end of a script.
    pub(crate) fn written(&self) -> Vec<Line> {
        let mut taken = self.taken.clone();
        if let Source::Script { lines, .. } = &self.source {
            taken.truncate(lines.len());
        }
        if let Some(last) = taken.last_mut() {
            last.tidy();
        }
        taken
    }

    fn raw(state: &mut u64) -> u64 {
        *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = *state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Draws one of `n`, by `how` from a seed, by `turn` behind the end of a script.
    fn draw(&mut self, name: &'static str, n: u64, how: impl FnOnce(u64) -> u64, turn: impl FnOnce(u64) -> u64) -> u64 {
        let at = self.taken.len().saturating_sub(1);
        let value = match &mut self.source {
            Source::Seed(state) => how(Self::raw(state)),
            Source::Script { lines, used } => match lines.get(at) {
                None => turn(self.turns),
                Some(line) => Self::written_next(line, used, name),
            },
        };
        let value = value.min(n.saturating_sub(1));
        self.note(name, value);
        value
    }

    /// A number below `n`; 0 if `n` is 0.
    pub(crate) fn below(&mut self, name: &'static str, n: usize) -> usize {
        let n = n as u64;
        if n <= 1 {
            return 0;
        }
        self.draw(name, n, |raw| raw % n, |turn| turn / Self::ROUND % n) as usize
    }

    /// True in `per_mille` of a thousand cases, and where a script says so.
    pub(crate) fn chance(&mut self, name: &'static str, per_mille: u64) -> bool {
        per_mille != 0 && self.draw(name, 2, |raw| u64::from(raw % 1000 < per_mille), |_| 0) == 1
    }

    /// One of them, written down by its key and not by its place: with something else gone, it is still the same one. `None`
    /// if there is nothing, or not the one a script wants.
    pub(crate) fn pick<T: Clone>(&mut self, name: &'static str, from: &[T], key: impl Fn(&T) -> u64) -> Option<T> {
        let first = from.first()?;
        let n = from.len() as u64;
        let at = self.taken.len().saturating_sub(1);
        let (value, found) = match &mut self.source {
            Source::Seed(state) => {
                let found = &from[if n == 1 { 0 } else { (Self::raw(state) % n) as usize }];
                (key(found), Some(found))
            }
            Source::Script { lines, used } => match lines.get(at) {
                None => {
                    let found = &from[(self.turns / Self::ROUND % n) as usize];
                    (key(found), Some(found))
                }
                Some(line) => match Self::written_next(line, used, name) {
                    0 => (0, Some(first)),
                    value => (value, from.iter().find(|f| key(f) == value)),
                },
            },
        };
        self.note(name, value);
        found.cloned()
    }

    fn written_next(line: &Line, used: &mut [bool], name: &'static str) -> u64 {
        let next = (0..line.choices.len()).find(|i| !used[*i] && line.choices[*i].name == name);
        next.map_or(0, |i| {
            used[i] = true;
            line.choices[i].value
        })
    }

    fn note(&mut self, name: &'static str, value: u64) {
        if let Some(line) = self.taken.last_mut() {
            line.choices.push(Choice { name: name.into(), value });
        }
    }

    /// A place in the list, as often as its weight says; behind the end of a script by `turns`.
    pub(crate) fn weighted(&mut self, name: &'static str, weights: &[u64], turns: &[u64]) -> usize {
        let total = weights.iter().sum::<u64>().max(1);
        let by_weight = |raw: u64| {
            let mut left = raw % total;
            weights
                .iter()
                .position(|w| {
                    if left < *w {
                        true
                    } else {
                        left -= w;
                        false
                    }
                })
                .unwrap_or(0) as u64
        };
        let by_turn = |turn: u64| turns.get((turn % Self::ROUND) as usize).copied().unwrap_or(0);
        self.draw(name, weights.len() as u64, by_weight, by_turn) as usize
    }

    /// Lines after which behind the end of a script it is everybody's turn again.
    pub(crate) const ROUND: u64 = 12;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draws(choices: &mut Choices) -> Vec<u64> {
        let mut out = Vec::new();
        for n in 0..50 {
            choices.begin(n % 2 == 0);
            out.push(choices.below("which", 7) as u64);
            out.push(u64::from(choices.chance("fails", 300)));
            out.push(u64::from(choices.chance("fails", 300)));
            out.push(choices.weighted("do", &[1, 2, 3], &[]) as u64);
        }
        out
    }

    #[test]
    fn what_was_written_down_makes_the_same_choices_again() {
        let mut seeded = Choices::seeded(9);
        let first = draws(&mut seeded);
        let mut again = Choices::scripted(seeded.written());
        assert_eq!(first, draws(&mut again));
        assert_eq!(seeded.written(), again.written());
        assert!(first.contains(&6), "{first:?}");
    }

    #[test]
    fn a_missing_choice_is_calm_and_one_out_of_bounds_is_the_last() {
        let choice = |name: &'static str, value| Choice { name: name.into(), value };
        let line = Line { faults: true, choices: vec![choice("which", 99), choice("unknown", 3)] };
        let mut script = Choices::scripted(vec![line]);
        assert_eq!(script.next_line(), Some(true));
        script.begin(true);
        assert_eq!((script.below("which", 5), script.below("other", 5)), (4, 0));
        assert!(!script.chance("fails", 1000));
        assert_eq!(script.next_line(), None);
        script.begin(false);
        assert!(!script.chance("fails", 1000), "nothing fails behind the end of a script");
    }
}
