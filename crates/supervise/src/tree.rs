//! The living supervisor's hold on its tree. Decides when the tree is empty, and by a proof, not by a scan. Kills first
//! by the run's control group, if there is one, then by descent whatever has left it.
//!
//! The supervisor is a child subreaper: whatever the program does (setsid, double fork, closed files, cleared
//! environment), an orphan becomes the supervisor's child. So `wait` answering ECHILD means that nothing of the run is
//! left, and a pid that is our unreaped child cannot be reused. Never signals anything that does not descend from us.

use crate::cgroup::Cgroup;
use crate::proc::{self, Stat};
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, kill_process, kill_process_group, wait};
use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

/// Everything that descends from this process.
pub(crate) struct Tree {
    own: i32,
    leads_session: bool,
    child: i32,
    /// How the program ended, once it was reaped.
    pub(crate) status: Option<WaitStatus>,
    /// Other processes that had to be killed.
    pub(crate) strays: u32,
    /// How many of those that were killed, the program included, the control group killed.
    pub(crate) by_group: u32,
    /// How many were killed in all.
    killed: u32,
    killing: bool,
    /// How many were left alone, in sessions of their own.
    pub(crate) left: u32,
    group: Option<Cgroup>,
}

/// How long the control group alone is waited for before the other rungs join in.
const GROUP_LIMIT: Duration = Duration::from_secs(1);

impl Tree {
    /// The tree of the program `child`, which this process has spawned, in `group` if there is one, and nobody has
    /// reaped.
    pub(crate) fn new(child: i32, leads_session: bool, group: Option<Cgroup>) -> Self {
        let own = std::process::id() as i32;
        Self {
            own,
            leads_session,
            child,
            status: None,
            strays: 0,
            by_group: 0,
            killed: 0,
            killing: false,
            left: 0,
            group,
        }
    }

    /// How many were killed by descent.
    pub(crate) fn by_descent(&self) -> u32 {
        self.killed - self.by_group
    }

    /// Gives the control group back; to be called when the tree is out.
    pub(crate) fn close(&mut self) {
        if let Some(group) = self.group.take() {
            group.step_out();
            group.remove();
        }
    }

    /// Reaps every zombie. True: no child is left, hence no descendant.
    pub(crate) fn reap(&mut self) -> bool {
        loop {
            match wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) if pid.as_raw_pid() == self.child && self.status.is_none() => {
                    self.killed += self.by_us(status);
                    self.status = Some(status);
                }
                Ok(Some((_, status))) => {
                    self.killed += self.by_us(status);
                    self.strays += self.by_us(status);
                }
                Err(rustix::io::Errno::CHILD) => return true,
                Err(rustix::io::Errno::INTR) => {}
                Ok(None) | Err(_) => return false,
            }
        }
    }

    /// 1 if we have killed it. Asked when it is reaped, not when it is signalled: a zombie can be signalled too.
    fn by_us(&self, status: WaitStatus) -> u32 {
        u32::from(self.killing && status.terminating_signal() == Some(Signal::KILL.as_raw()))
    }

    /// Waits for the rest of the tree to end by itself. True: it did.
    pub(crate) fn wind_down(&mut self, longest: Duration) -> bool {
        let begun = Instant::now();
        loop {
            if self.reap() {
                return true;
            }
            if begun.elapsed() >= longest {
                return false;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Kills until nothing is left. False: something could not be killed within `longest` (it sleeps in the kernel with
    /// SIGKILL pending, or belongs to another user).
    pub(crate) fn kill_all(&mut self, longest: Duration) -> bool {
        self.killing = true;
        let begun = Instant::now();
        if let Some(group) = self.group.take() {
            group.step_out();
            group.kill(GROUP_LIMIT.min(longest), || {
                self.reap();
            });
            self.reap();
            self.by_group = self.killed;
            self.group = Some(group);
        }
        let mut rounds = 0_u32;
        while !self.reap() {
            let elapsed = begun.elapsed();
            if elapsed >= longest {
                return false;
            }
            // Who forks and exits faster than a scan of /proc always escapes the scan, but falls to us as an orphan:
            // between two scans hunt our own children, which is two system calls each.
            if rounds.is_multiple_of(16) {
                self.kill_scanned();
            } else {
                self.kill_children();
            }
            rounds = rounds.wrapping_add(1);
            if elapsed > Duration::from_secs(2) {
                std::thread::sleep(Duration::from_millis(50));
            } else if rounds > 64 {
                std::thread::sleep(Duration::from_micros(500));
            }
        }
        true
    }

    /// Kills what is in this process's session, where the program was born, until nothing of that is left, and moves what
    /// has a session of its own out of the run's control group. False: it could not be done within `longest`.
    ///
    /// A process that is on its way into a session of its own when it is looked at may be killed or kept.
    pub(crate) fn kill_attached(&mut self, longest: Duration) -> bool {
        self.killing = true;
        let begun = Instant::now();
        loop {
            self.reap();
            let Ok(all) = proc::scan() else { return false };
            let Some(session) = all.iter().find(|s| s.id.pid == self.own).map(|s| s.session) else { return false };
            let (mut attached, detached): (Vec<Stat>, Vec<Stat>) =
                descendants(self.own, &all).into_iter().partition(|s| s.session == session);
            if self.leads_session {
                // Nobody else is in a session that we lead; of one whose parent ended during the scan the descent says nothing.
                attached =
                    all.iter().filter(|s| s.session == session && s.id.pid != self.own && s.alive()).copied().collect();
            }
            // Who ended between our reaping and the scan is not counted yet, and may have left a child that was not seen.
            let killed = self.killed;
            self.reap();
            if attached.is_empty() && self.killed == killed {
                if let Some(group) = &self.group {
                    for s in &detached {
                        group.release(s.id.pid);
                    }
                }
                self.left = detached.len() as u32;
                return true;
            }
            if begun.elapsed() >= longest {
                return false;
            }
            for s in attached {
                s.id.kill();
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// One round over all descendants: whole groups first (the kernel signals a group atomically, which ends a fork
    /// storm), then one by one.
    fn kill_scanned(&self) {
        let Ok(all) = proc::scan() else { return self.kill_children() };
        let own_group = all.iter().find(|s| s.id.pid == self.own).map_or(self.own, |s| s.pgrp);
        // A group of a child that we have not reaped (a zombie will do) is pinned: its number cannot be reused. In our
        // own session and in those made by descendants no group can hold a stranger.
        if self.leads_session {
            let groups: HashSet<i32> = all.iter().filter(|s| s.ppid == self.own).map(|s| s.pgrp).collect();
            for group in groups.into_iter().filter(|g| *g > 1 && *g != own_group) {
                if let Some(group) = Pid::from_raw(group) {
                    let _ = kill_process_group(group, Signal::KILL);
                }
            }
        }
        for s in descendants(self.own, &all) {
            s.id.kill();
        }
    }

    /// Kills our own children. They are not reaped before [`Tree::reap`], so these pids cannot be anybody else's.
    fn kill_children(&self) {
        let own = self.own;
        let list = std::fs::read_to_string(format!("/proc/{own}/task/{own}/children")).unwrap_or_default();
        for pid in list.split_ascii_whitespace().filter_map(|p| Pid::from_raw(p.parse().ok()?)) {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

/// Living descendants of `root`, by the walk over parents: each behind the one that it descends from.
pub(crate) fn descendants(root: i32, all: &[Stat]) -> Vec<Stat> {
    let mut children: HashMap<i32, Vec<&Stat>> = HashMap::new();
    for s in all {
        children.entry(s.ppid).or_default().push(s);
    }
    let mut found = Vec::new();
    let mut seen = HashSet::from([root]);
    let mut open = vec![root];
    while let Some(pid) = open.pop() {
        for s in children.get(&pid).into_iter().flatten() {
            if seen.insert(s.id.pid) {
                open.push(s.id.pid);
                found.push(**s);
            }
        }
    }
    found.retain(Stat::alive);
    found
}
