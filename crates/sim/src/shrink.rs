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
    /// Lives that may be tried.
    tries: u64,
    /// Does it come to it before the end of what is written? Then most candidates need not be lived any further.
    early: bool,
}

impl Shrinker {
    fn over(&self) -> bool {
        self.tries == 0 || self.until <= Instant::now()
    }

    /// Keeps the candidate if it is smaller and shows the same.
    fn keeps(&mut self, candidate: &Scenario) -> bool {
        if self.over() {
            return false;
        }
        self.tries -= 1;
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
            let mut lines = self.best.lines.clone();
            let setup = lines.remove(0);
            lines.retain(|l| !is(l, action));
            lines.insert(0, setup);
            self.keeps(&self.with(lines));
        }
    }

    /// Without what led to nothing that was told, what was ignored, and what was about one task, each at once.
    fn fewer_stories(&mut self) {
        let silent = |told: &[&str]| told.is_empty();
        let ignored = |told: &[&str]| told.iter().all(|t| t.contains(" ignored: "));
        self.drop_told(|told, line| ignored(told) && !is(line, Action::Pass));
        self.drop_told(|told, line| silent(told) && !is(line, Action::Pass));
        self.drop_told(|told, _| silent(told));
        for task in 1..=self.best.tasks {
            // Its name, its ticket or its job.
            let (name, job) = (format!("-{task}: "), format!("{task}-"));
            let about = |t: &&str| t.contains(&name) || t.trim_start().starts_with(&job);
            self.drop_told(|told, _| !told.is_empty() && told.iter().all(&about));
        }
    }

    fn drop_told(&mut self, drop: impl Fn(&[&str], &Line) -> bool) {
        let story = replay(&self.best, true).story;
        let mut lines = Vec::new();
        for (at, line) in self.best.lines.iter().enumerate() {
            let told: Vec<&str> = story.iter().filter(|(s, _)| *s == at as u64).map(|(_, t)| t.as_str()).collect();
            if at == 0 || !drop(&told, line) {
                lines.push(line.clone());
            }
        }
        self.keeps(&self.with(lines));
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

/// Is this line a thing of this kind? The first kind is 0, which is not written down.
fn is(line: &Line, action: Action) -> bool {
    let value = line.choices.iter().find(|c| c.name == Action::NAME).map_or(0, |c| c.value);
    value == action.index() as u64
}

/// Smaller is easier to read: fewer tasks, then fewer lines, then fewer and lower choices.
fn size(scenario: &Scenario) -> (u64, usize, usize, u64) {
    let choices = || scenario.lines.iter().flat_map(|l| &l.choices);
    (scenario.tasks, scenario.lines.len(), choices().count(), choices().map(|c| c.value).sum())
}

/// Shrinks a scenario for at most this long and with at most so many lives tried. Whatever comes back shows what was wanted;
/// `None` if the scenario itself does not.
pub fn shrink(scenario: &Scenario, time: Duration, tries: u64) -> Option<(Scenario, Report)> {
    let early = scenario.wanted.is_met(&replay_script(scenario));
    let mut s = Shrinker { best: scenario.clone(), until: Instant::now() + time, tries, early };
    loop {
        let before = size(&s.best);
        s.cut_the_end();
        s.fewer_tasks();
        s.fewer_kinds();
        s.fewer_stories();
        s.fewer_lines();
        s.calmer_lines();
        if s.over() || size(&s.best) == before {
            break;
        }
    }
    let report = replay(&s.best, true);
    s.best.wanted.is_met(&report).then_some((s.best, report))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Life, Profile, Wanted, run};

    #[test]
    fn what_is_left_is_small_and_comes_to_the_same_place() {
        let life = Life { seed: 1, tasks: 3, profile: Profile::Mixed, on: crate::On::Memory, trace: false };
        let wanted = Wanted::Reaches("phase".into(), "merging".into());
        let (life, report) = (1..100)
            .map(|seed| Life { seed, ..life.clone() })
            .map(|life| (life.clone(), run(&life)))
            .find(|(_, report)| wanted.is_met(report))
            .unwrap();
        let whole = Scenario::of(&life, &report, wanted);
        let (small, again) = shrink(&whole, Duration::from_hours(1), 150).unwrap();
        assert!(small.wanted.is_met(&again));
        assert!(small.steps() * 4 < whole.steps(), "{} of {} are left", small.steps(), whole.steps());
        let text = small.to_text("small", &again);
        let read = Scenario::parse(&text).unwrap();
        assert_eq!(replay(&read, true).story, again.story, "{text}");
    }

    #[test]
    fn what_a_life_does_not_show_is_not_shrunk() {
        let life = Life { seed: 2, tasks: 1, profile: Profile::Lite, on: crate::On::Memory, trace: false };
        let wanted = Wanted::Violation("told_once".into());
        let whole = Scenario::of(&life, &run(&life), wanted);
        assert!(shrink(&whole, Duration::from_hours(1), 1).is_none());
    }
}
