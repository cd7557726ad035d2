//! Makes a life smaller that shows something: fewer tasks, fewer things that happen, fewer choices that are not calm. A
//! person reads what is left, so that every line less counts; what is left shows the same thing.

use crate::actions::Action;
use crate::choices::Line;
use crate::life::{replay, replay_script};
use crate::report::Report;
use crate::scenario::Scenario;
use std::time::{Duration, Instant};

struct Shrinker {
    best: Scenario,
    until: Instant,
    /// Does it come to it before the end of what is written? Then most candidates need not be lived any further.
    early: bool,
}

impl Shrinker {
    fn over(&self) -> bool {
        self.until <= Instant::now()
    }

    /// Keeps the candidate if it is smaller and shows the same.
    fn keeps(&mut self, candidate: &Scenario) -> bool {
        if self.over() {
            return false;
        }
        let mut report = if self.early { replay_script(candidate) } else { replay(candidate, false) };
        let whole = !self.early || report.violation.is_some();
        if !candidate.wanted.is_met(&report) {
            return false;
        }
        if !whole {
            report = replay(candidate, false);
            if !candidate.wanted.is_met(&report) {
                return false;
            }
        }
        let found = Scenario { lines: report.choices, ..candidate.clone() };
        let smaller = size(&found) < size(&self.best);
        if smaller {
            self.best = found;
        }
        smaller
    }

    fn with(&self, lines: Vec<Line>) -> Scenario {
        Scenario { lines, ..self.best.clone() }
    }

    /// Without what happens in the end, if the calm end of every script will do.
    fn cut_the_end(&mut self) {
        let rough = self.best.lines.iter().rposition(|l| l.faults).map_or(1, |at| at + 1);
        for keep in [1, rough] {
            let lines = self.best.lines[..keep.min(self.best.lines.len())].to_vec();
            self.keeps(&self.with(lines));
        }
    }

    fn fewer_tasks(&mut self) {
        for tasks in 1..self.best.tasks {
            if self.keeps(&Scenario { tasks, ..self.best.clone() }) {
                return;
            }
        }
    }

    /// Without anything of a kind: strangers, paused workers, watchers.
    fn fewer_kinds(&mut self) {
        for action in Action::all() {
            let is = |l: &Line| l.choices.iter().any(|c| c.name == Action::NAME && c.value == action.index() as u64);
            // Waking is 0, which is not written down.
            let wakes = |l: &Line| action == Action::Wake && l.choices.iter().all(|c| c.name != Action::NAME);
            let mut lines = self.best.lines.clone();
            let setup = lines.remove(0);
            lines.retain(|l| !is(l) && !wakes(l));
            lines.insert(0, setup);
            self.keeps(&self.with(lines));
        }
    }

    /// Drops runs of lines, long ones first, from the end: what failed last is needed most, what came in between least.
    fn fewer_lines(&mut self) {
        let mut chunk = (self.best.lines.len() / 2).max(1);
        loop {
            let mut end = self.best.lines.len();
            while 1 < end && !self.over() {
                let from = end.saturating_sub(chunk).max(1);
                let mut lines = self.best.lines.clone();
                lines.drain(from..end.min(lines.len()));
                self.keeps(&self.with(lines));
                end = from.min(self.best.lines.len());
            }
            if chunk == 1 || self.over() {
                return;
            }
            chunk /= 2;
        }
    }

    /// Makes lines calm, as a whole and choice by choice.
    fn calmer_lines(&mut self) {
        let mut at = 0;
        while at < self.best.lines.len() && !self.over() {
            let first = usize::from(at != 0);
            let mut lines = self.best.lines.clone();
            lines[at].choices.truncate(first);
            let all_calm = first < self.best.lines[at].choices.len() && self.keeps(&self.with(lines));
            let mut n = first;
            while !all_calm && at < self.best.lines.len() && n < self.best.lines[at].choices.len() && !self.over() {
                let before = self.best.lines[at].choices.len();
                let value = self.best.lines[at].choices[n].value;
                for lower in [0, 1, value / 2, value.saturating_sub(1)] {
                    if value <= lower {
                        break;
                    }
                    let mut lines = self.best.lines.clone();
                    lines[at].choices[n].value = lower;
                    if self.keeps(&self.with(lines)) {
                        break;
                    }
                }
                if self.best.lines.get(at).is_some_and(|l| before <= l.choices.len()) {
                    n += 1;
                }
            }
            at += 1;
        }
    }
}

/// Smaller is easier to read: fewer tasks, then fewer lines, then fewer and lower choices.
fn size(scenario: &Scenario) -> (u64, usize, usize, u64) {
    let choices = || scenario.lines.iter().flat_map(|l| &l.choices);
    (scenario.tasks, scenario.lines.len(), choices().count(), choices().map(|c| c.value).sum())
}

/// Shrinks a scenario for at most this long. Whatever comes back shows what was wanted; `None` if the scenario itself does
/// not.
pub fn shrink(scenario: &Scenario, time: Duration) -> Option<(Scenario, Report)> {
    let early = scenario.wanted.is_met(&replay_script(scenario));
    let mut s = Shrinker { best: scenario.clone(), until: Instant::now() + time, early };
    loop {
        let before = size(&s.best);
        s.cut_the_end();
        s.fewer_tasks();
        s.fewer_kinds();
        s.fewer_lines();
        s.calmer_lines();
        if s.over() || size(&s.best) == before {
            break;
        }
    }
    let report = replay(&s.best, true);
    s.best.wanted.is_met(&report).then_some((s.best, report))
}
