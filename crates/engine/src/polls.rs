//! When a project's tracker is read: at its pace, or at once where a signal says that a ticket has news.

use crate::engine::Engine;
use crate::pace::{Pace, Poll, pace};
use crate::project::Project;
use std::sync::PoisonError;

/// Signals may have a tracker read this often, milliseconds.
const BY_SIGNAL_MS: i64 = 1_000;

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
