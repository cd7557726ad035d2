//! What of the instance does not go on: drained, paused, or a project of it paused. Decides of which project nothing is
//! begun, and how long one has stood still, so that no limit counts that time.
//!
//! A drain is "no new claims". A pause is that, and agents that run stand still (`pause.rs`).

use orch_core::ids::{Actor, ProjectKey, Time};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// Pauses that are over are remembered for what still waits since before them; this many of them.
const REMEMBERED: usize = 100;

/// A pause that is in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// Who paused.
    pub by: Actor,
    /// When.
    pub since: Time,
}

/// A pause that is over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Past {
    /// One project's; `None`: everything was paused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    project: Option<ProjectKey>,
    from: Time,
    to: Time,
}

/// All pauses, as they are remembered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pauses {
    /// Of everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub all: Option<Pause>,
    /// Of single projects.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub projects: BTreeMap<ProjectKey, Pause>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    past: Vec<Past>,
}

impl Pauses {
    /// Is nothing paused?
    pub fn is_empty(&self) -> bool {
        self.all.is_none() && self.projects.is_empty()
    }

    /// The pause that holds a project, and what ends it.
    pub fn of(&self, project: &ProjectKey) -> Option<(&Pause, String)> {
        let all = self.all.as_ref().map(|pause| (pause, end_of(None)));
        all.or_else(|| self.projects.get(project).map(|pause| (pause, end_of(Some(project)))))
    }

    /// All that are in force, that of everything first.
    pub fn in_force(&self) -> impl Iterator<Item = (Option<&ProjectKey>, &Pause)> {
        let projects = self.projects.iter().map(|(key, pause)| (Some(key), pause));
        self.all.iter().map(|pause| (None, pause)).chain(projects)
    }

    /// Begins one. Who pauses what is paused already changes nothing.
    pub(crate) fn begin(&mut self, project: Option<&ProjectKey>, by: &Actor, now: Time) {
        let pause = || Pause { by: by.clone(), since: now };
        match project {
            None => drop(self.all.get_or_insert_with(pause)),
            Some(key) => drop(self.projects.entry(key.clone()).or_insert_with(pause)),
        }
    }

    /// Ends one; `false`: there is none.
    pub(crate) fn end(&mut self, project: Option<&ProjectKey>, now: Time) -> bool {
        let ended = match project {
            None => self.all.take(),
            Some(key) => self.projects.remove(key),
        };
        let Some(Pause { since, .. }) = ended else { return false };
        self.past.push(Past { project: project.cloned(), from: since, to: now });
        self.past.drain(..self.past.len().saturating_sub(REMEMBERED));
        true
    }

    /// A wait of a project that began at `since`, put off by the time for which the project has stood still since then.
    pub(crate) fn put_off(&self, project: &ProjectKey, since: Time, now: Time) -> Time {
        let ours = |of: Option<&ProjectKey>| of.is_none_or(|key| key == project);
        let past = self.past.iter().filter(|p| ours(p.project.as_ref())).map(|p| (p.from, p.to));
        let present = self.in_force().filter(|(of, _)| ours(*of)).map(|(_, pause)| (pause.since, now));
        let mut spans: Vec<(Time, Time)> = past.chain(present).collect();
        spans.sort_unstable();
        // Of spans that overlap each moment counts once.
        let (mut stood_ms, mut counted) = (0, since);
        for (from, to) in spans {
            stood_ms += to.min(now).since_ms(from.max(counted)).max(0);
            counted = counted.max(to);
        }
        since.plus_ms(stood_ms)
    }
}

/// The command that ends a pause.
pub fn end_of(project: Option<&ProjectKey>) -> String {
    project.map_or_else(|| "orch resume".to_owned(), |key| format!("orch resume --project {key}"))
}

/// What does not go on now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Halt {
    /// Nothing is claimed; what runs goes on.
    pub drained: bool,
    /// Pauses.
    pub pauses: Pauses,
}

/// Time in which something stood still, boot clock, milliseconds.
#[derive(Debug, Default)]
struct Stood {
    earlier_ms: i64,
    since_ms: Option<i64>,
}

impl Stood {
    fn note(&mut self, stands: bool, now_ms: i64) {
        match (stands, self.since_ms) {
            (true, None) => self.since_ms = Some(now_ms),
            (false, Some(since)) => {
                self.earlier_ms += now_ms - since;
                self.since_ms = None;
            }
            _ => {}
        }
    }
    fn ms(&self, now_ms: i64) -> i64 {
        self.earlier_ms + self.since_ms.map_or(0, |since| now_ms - since)
    }
}

/// The one place that knows in this process what does not go on.
pub(crate) struct Halting {
    now: watch::Sender<Halt>,
    /// One at a time changes it.
    pub(crate) changing: tokio::sync::Mutex<()>,
    /// Shared by claims under way: whoever halts waits for them before saying that nothing is begun any more.
    pub(crate) claiming: tokio::sync::RwLock<()>,
    /// By project; `None`: while everything was paused. A project's own time is counted only where not all is paused.
    stood: Mutex<BTreeMap<Option<ProjectKey>, Stood>>,
}

impl Default for Halting {
    fn default() -> Self {
        Self {
            now: watch::channel(Halt::default()).0,
            changing: tokio::sync::Mutex::default(),
            claiming: tokio::sync::RwLock::default(),
            stood: Mutex::default(),
        }
    }
}

impl Halting {
    /// As it is now.
    pub(crate) fn now(&self) -> Halt {
        self.now.borrow().clone()
    }

    /// Told of every change.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Halt> {
        self.now.subscribe()
    }

    /// From now on this holds. `now_ms`: boot clock.
    pub(crate) fn set(&self, halt: Halt, now_ms: i64) {
        let mut stood = self.stood();
        for key in halt.pauses.projects.keys() {
            stood.entry(Some(key.clone())).or_default();
        }
        stood.entry(None).or_default();
        for (of, stood) in stood.iter_mut() {
            let all = halt.pauses.all.is_some();
            let stands = of.as_ref().map_or(all, |key| !all && halt.pauses.projects.contains_key(key));
            stood.note(stands, now_ms);
        }
        drop(stood);
        self.now.send_replace(halt);
    }

    /// How long a project has stood still since this process began, milliseconds. `now_ms`: boot clock.
    pub(crate) fn stood_ms(&self, project: &ProjectKey, now_ms: i64) -> i64 {
        let stood = self.stood();
        [None, Some(project.clone())].iter().filter_map(|of| stood.get(of)).map(|s| s.ms(now_ms)).sum()
    }

    fn stood(&self) -> MutexGuard<'_, BTreeMap<Option<ProjectKey>, Stood>> {
        self.stood.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn anna() -> Actor {
        Actor::new("local:anna")
    }

    #[test]
    fn a_wait_is_put_off_by_every_moment_of_a_pause_once() {
        let (shop, other) = (ProjectKey::new("SHOP"), ProjectKey::new("OTHER"));
        let mut pauses = Pauses::default();
        pauses.begin(None, &anna(), Time(100));
        pauses.begin(Some(&shop), &anna(), Time(150));
        assert!(pauses.end(None, Time(200)));
        assert!(pauses.end(Some(&shop), Time(300)));
        assert!(!pauses.end(None, Time(310)), "there is none");
        assert_eq!(pauses.put_off(&shop, Time(0), Time(400)), Time(200), "100 to 300");
        assert_eq!(pauses.put_off(&other, Time(0), Time(400)), Time(100), "100 to 200");
        assert_eq!(pauses.put_off(&shop, Time(250), Time(400)), Time(300), "only what is behind its beginning");
        pauses.begin(None, &anna(), Time(400));
        assert_eq!(pauses.put_off(&shop, Time(350), Time(1_000)), Time(950), "one that is in force counts too");
    }

    #[test]
    fn the_first_who_pauses_is_the_one_who_paused() {
        let mut pauses = Pauses::default();
        pauses.begin(None, &anna(), Time(1));
        pauses.begin(None, &Actor::new("local:bert"), Time(2));
        assert_eq!(pauses.all, Some(Pause { by: anna(), since: Time(1) }));
    }

    #[test]
    fn what_is_remembered_of_pauses_is_read_back_and_stays_short() {
        let mut pauses = Pauses::default();
        pauses.begin(Some(&ProjectKey::new("SHOP")), &anna(), Time(5));
        for n in 0..300 {
            pauses.begin(None, &anna(), Time(n));
            pauses.end(None, Time(n + 1));
        }
        let text = serde_json::to_string(&pauses).unwrap();
        assert_eq!(serde_json::from_str::<Pauses>(&text).unwrap(), pauses);
        assert_eq!(pauses.past.len(), REMEMBERED);
        assert_eq!(serde_json::from_str::<Pauses>("{}").unwrap(), Pauses::default());
    }

    #[test]
    fn overlapping_pauses_stand_still_for_each_moment_once() {
        let (halting, shop) = (Halting::default(), ProjectKey::new("SHOP"));
        let halt = |all: bool, project: bool| {
            let mut pauses = Pauses::default();
            if all {
                pauses.begin(None, &anna(), Time(0));
            }
            if project {
                pauses.begin(Some(&shop), &anna(), Time(0));
            }
            Halt { drained: false, pauses }
        };
        for (at, all, project) in [(10, false, true), (20, true, true), (30, false, true), (40, false, false)] {
            halting.set(halt(all, project), at);
        }
        assert_eq!(halting.stood_ms(&shop, 100), 30);
        assert_eq!(halting.stood_ms(&ProjectKey::new("OTHER"), 100), 10);
    }
}
