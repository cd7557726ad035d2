//! Lets a run stand still and go on where it was. Decides when its whole tree stands, and on which clock its limits are
//! measured: one that stands still with it, so that no limit ends a run because of a pause.
//!
//! SIGSTOP, and not the freezer of the control group: every machine has it, people see it (`T` in /proc), and a process
//! that left the group stops too. Parents are stopped before their children and go on after them: else a shell that watches
//! its jobs would learn of the stop. Never signals anything that does not descend from this process.

use crate::files::log;
use crate::proc::{self, Identity};
use crate::tree::descendants;
use orch_ports::supervisor::files as names;
use rustix::process::Signal;
use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long one look may run after a tree that keeps forking; the caller looks again.
const LOOK_LIMIT: Duration = Duration::from_millis(200);
/// Between two looks at a tree that stands: somebody else may have let a process of it go on.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// Between two looks for the end of a pause by a run that has not begun.
const WAIT: Duration = Duration::from_millis(40);

/// Is the run to stand still?
fn wished(dir: &Path) -> bool {
    dir.join(names::PAUSE).exists()
}

/// A run that is to stand still is not begun: returns when it may begin, or is given up.
pub(crate) fn wait_to_begin(dir: &Path, given_up: impl Fn() -> bool) {
    if !wished(dir) {
        return;
    }
    answer(dir, 0);
    while wished(dir) && !given_up() {
        std::thread::sleep(WAIT);
    }
    let _ = fs::remove_file(dir.join(names::FROZEN));
}

/// Says that the run stands. Nothing is decided by it, so it need not survive anything.
fn answer(dir: &Path, processes: usize) {
    let _ = fs::write(dir.join(names::FROZEN), format!("{processes}\n"));
}

/// Whether a run under way stands still, and for how long it has done so.
pub(crate) struct Standstill {
    begun: Instant,
    /// All earlier pauses together.
    earlier: Duration,
    since: Option<Instant>,
    /// Those we have stopped, parents before their children.
    stopped: Vec<Identity>,
    known: HashSet<Identity>,
    /// The last look, once the whole tree stood.
    stood: Option<Instant>,
}

impl Standstill {
    /// Of a run that begins now.
    pub(crate) fn new() -> Self {
        let begun = Instant::now();
        Self { begun, earlier: Duration::ZERO, since: None, stopped: Vec::new(), known: HashSet::new(), stood: None }
    }

    /// How long the run has lived, less the time in which it stood still.
    pub(crate) fn lived(&self) -> Duration {
        let now = self.since.map_or(Duration::ZERO, |since| since.elapsed());
        self.begun.elapsed().saturating_sub(self.earlier + now)
    }

    /// Does what is wished for the run in `dir`. True: it stands still, or is about to.
    pub(crate) fn obey(&mut self, dir: &Path) -> bool {
        match (wished(dir), self.since) {
            (true, None) => {
                let since = Instant::now();
                self.since = Some(since);
                if self.stop_all(dir) {
                    let line =
                        format!("stopped {} processes in {} ms", self.stopped.len(), since.elapsed().as_millis());
                    log(&line);
                }
                true
            }
            (true, Some(_)) => {
                if self.stood.is_none_or(|at| LOOK_AGAIN <= at.elapsed()) {
                    self.stop_all(dir);
                }
                true
            }
            (false, Some(since)) => {
                let _ = fs::remove_file(dir.join(names::FROZEN));
                self.go_on();
                let stood = since.elapsed();
                log(&format!("goes on after {} ms", stood.as_millis()));
                self.earlier += stood;
                (self.since, self.stood) = (None, None);
                false
            }
            (false, None) => false,
        }
    }

    /// Stops everything that descends from this process and does not stand, until two looks in a row find nobody new: a
    /// child that was forked just before its parent stopped may be missing in the first. True: all of it stands.
    fn stop_all(&mut self, dir: &Path) -> bool {
        let begun = Instant::now();
        let mut calm = 0;
        loop {
            let Ok(all) = proc::scan() else { return false };
            let members = descendants(std::process::id() as i32, &all);
            let (mut fresh, mut beyond) = (false, false);
            for s in members.iter().filter(|s| !s.stopped()) {
                if s.id.send(Signal::STOP) {
                    let first = self.known.insert(s.id);
                    if first {
                        self.stopped.push(s.id);
                    }
                    fresh |= first || !s.hides_its_stop();
                } else {
                    // Gone, or another user's, whom we cannot stop: then the answer is not given.
                    beyond |= proc::stat(s.id.pid).is_some_and(|now| now.id == s.id && now.alive());
                }
            }
            calm = if fresh { 0 } else { calm + 1 };
            if 2 <= calm || self.stood.is_some() && 1 <= calm {
                if !beyond && self.stood.is_none() {
                    answer(dir, members.len());
                }
                self.stood = Some(Instant::now());
                return !beyond;
            }
            if LOOK_LIMIT <= begun.elapsed() {
                return false;
            }
        }
    }

    /// Lets go on whom we have stopped, children before their parents. Who stood by itself before stays as it was.
    fn go_on(&mut self) {
        for id in self.stopped.drain(..).rev() {
            id.send(Signal::CONT);
        }
        self.known.clear();
    }
}
