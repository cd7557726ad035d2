//! How often a tracker is read. One list call per project and interval; more seldom where the server counts calls and has few
//! of them for all the projects of a token. Some calls are kept for what people do: orders of theirs never wait for polling.

use crate::engine::Engine;
use crate::project::Project;
use orch_ports::tracker::CallBudget;
use serde::Serialize;
use std::sync::PoisonError;

/// Calls of a minute that polling leaves alone.
const KEPT: u32 = 10;
/// Signals may have a tracker read this often, milliseconds.
const BY_SIGNAL_MS: i64 = 1_000;

/// A tracker's reading.
#[derive(Clone, Debug, Default)]
pub(crate) struct Poll {
    /// When it began last, by the boot clock.
    begun_ms: Option<i64>,
    /// Is it to be read with the next sweep, whatever its pace?
    hurried: bool,
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
fn pace(interval_ms: i64, budget: Option<&CallBudget>, sharing: usize) -> Pace {
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

fn pace_of(engine: &Engine, project: &Project) -> Pace {
    let interval_ms = i64::try_from(engine.options.reconcile.interval_ms).unwrap_or(i64::MAX);
    let budget = project.tracker.calls_left(&project.key);
    let sharing = budget.as_ref().map_or(1, |budget| {
        let projects = engine.projects();
        let theirs = projects.values().filter_map(|p| p.tracker.calls_left(&p.key));
        theirs.filter(|other| other.of == budget.of).count()
    });
    pace(interval_ms, budget.as_ref(), sharing)
}

/// Is a project's tracker to be read now?
pub(crate) fn is_due(engine: &Engine, project: &Project) -> bool {
    let (now_ms, pace) = (engine.ports.clock.boot().ms, pace_of(engine, project));
    let polls = engine.polls.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(poll) = polls.get(&project.key) else { return true };
    // A sweep that comes a moment early is not the next one but one.
    let early_ms = pace.every_ms / 20;
    poll.hurried || poll.begun_ms.is_none_or(|begun| begun.saturating_add(pace.every_ms - early_ms) <= now_ms)
}

/// It is being read.
pub(crate) fn begun(engine: &Engine, project: &Project) {
    let now_ms = engine.ports.clock.boot().ms;
    let mut polls = engine.polls.lock().unwrap_or_else(PoisonError::into_inner);
    polls.insert(project.key.clone(), Poll { begun_ms: Some(now_ms), hurried: false });
}

/// A signal says that a ticket has news: may its tracker be read at once? If not, the next sweep does it.
pub(crate) fn may_hurry(engine: &Engine, project: &Project) -> bool {
    let none_left = project.tracker.calls_left(&project.key).is_some_and(|budget| budget.left == 0);
    let now_ms = engine.ports.clock.boot().ms;
    let mut polls = engine.polls.lock().unwrap_or_else(PoisonError::into_inner);
    let poll = polls.entry(project.key.clone()).or_default();
    let just_now = poll.begun_ms.is_some_and(|begun| now_ms < begun.saturating_add(BY_SIGNAL_MS));
    poll.hurried = none_left || just_now;
    !poll.hurried
}

impl Engine {
    /// How often the tickets of each project are read.
    pub fn paces(&self) -> Vec<(String, Pace)> {
        let projects = self.projects();
        projects.values().map(|project| (project.key.to_string(), pace_of(self, project))).collect()
    }

    /// The same of a project whose tickets are read more seldom than configured, as a sentence.
    pub(crate) fn slow_pace(&self, project: &Project) -> Option<String> {
        let pace = pace_of(self, project);
        let every_s = pace.every_ms / 1_000;
        pace.slower.map(|why| format!("its tickets are read every {every_s} s: {why}"))
    }
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
