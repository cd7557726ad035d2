//! Kills what a dead supervisor left behind. Decides which processes belong to a run when nobody is left to ask: by
//! evidence only (control group, marker, identity, descent, a session that cannot be anybody else's), never by a pid
//! alone.
//!
//! Limit: a process that left the run's control group or never had one, cleared its environment, left every session of
//! the run, closed the run's files and lost its parent before the sweep leaves no evidence. While the supervisor lives
//! there is no such gap (see `tree`).

use crate::cgroup::Cgroup;
use crate::files::{self, Pids};
use crate::proc::{self, Identity, Stat};
use crate::standing::{Standing, standing};
use std::collections::{HashMap, HashSet};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// Environment variable by which strays are found: its value is the canonical path of the run directory.
pub const MARKER: &str = "ORCH_RUN_MARKER";

/// How long a sweep runs after processes that keep forking.
const LIMIT: Duration = Duration::from_secs(2);
/// Between two scans, spent on watching births. Nothing found must be seen twice: a process in the middle of an exec has no environment.
const PAUSE: Duration = Duration::from_millis(10);

/// Kills every process of a run whose supervisor is gone and says how many there were. Leaves a run alone that is live
/// or was never started. Blocks for up to two seconds.
pub fn sweep(run_dir: &Path) -> u32 {
    let Ok(dir) = run_dir.canonicalize() else { return 0 };
    match standing(&dir) {
        Ok(Standing::Lost | Standing::Ended(_)) => sweep_tree(&dir),
        // A directory that cannot be read (we may be out of descriptors) proves nothing; its supervisor may live.
        Ok(Standing::Absent | Standing::Waiting | Standing::Live) | Err(_) => 0,
    }
}

/// The sweep itself; `dir` is canonical and the caller knows that no living supervisor owns it.
pub(crate) fn sweep_tree(dir: &Path) -> u32 {
    let entered = Instant::now();
    let mut evidence = Evidence::of(dir);
    // Looked at once before anything dies: who has left the group is known by descent from who has not.
    let mut killed = HashSet::new();
    let mut found = proc::scan().map(|all| evidence.members(&all)).unwrap_or_default();
    if let Some(group) = &evidence.group {
        let mut members = group.members();
        if group.kill(LIMIT, || members.extend(group.members())) {
            killed = members;
        }
    }
    let by_group = killed.len();
    killed.extend(found.drain(..).filter(|id| id.kill()));
    let mut quiet = 0;
    let begun = Instant::now();
    while (quiet < 2 || evidence.unnamed) && begun.elapsed() < LIMIT {
        let before = killed.len();
        if quiet > 0 || before > 0 {
            evidence.hunt(&mut killed);
        }
        let found = proc::scan().map(|all| evidence.members(&all)).unwrap_or_default();
        quiet = if found.is_empty() && killed.len() == before { quiet + 1 } else { 0 };
        killed.extend(found.into_iter().filter(|id| id.kill()));
    }
    if let Some(group) = &evidence.group {
        group.remove();
    }
    if !killed.is_empty() {
        let (took, others) = (entered.elapsed().as_millis(), killed.len() - by_group);
        let line = format!("swept in {took} ms: killed {by_group} by control group, {others} by other evidence");
        let _ = files::open_log(dir, files::LOG).and_then(|mut log| writeln!(log, "{line}"));
    }
    killed.len() as u32
}

/// Births between two looks that are looked at.
const MOST_BIRTHS: i32 = 1024;
/// How long a number nobody has is kept in mind: it is given out some time before its process can be seen.
const UNBORN: Duration = Duration::from_millis(2);
/// How long births are watched where there is always one more.
const HUNT_LIMIT: Duration = Duration::from_millis(200);

/// What is known of a run while it is being swept.
struct Evidence<'a> {
    dir: &'a Path,
    marker: Vec<u8>,
    /// Only if it was written during this boot.
    pids: Option<Pids>,
    /// The control group written down there, if it is one and the run's.
    group: Option<Cgroup>,
    /// Members seen in an earlier scan.
    known: HashSet<Identity>,
    /// Was there, in the last scan, a process in the middle of an exec? It has no environment then.
    unnamed: bool,
    /// The number given out last before the last look at the births.
    seen: Option<i32>,
    /// Sessions members were seen in. Kept, because a fork may outlive the last member we saw.
    sessions: HashSet<i32>,
}

impl<'a> Evidence<'a> {
    fn of(dir: &'a Path) -> Self {
        let mut marker = format!("{MARKER}=").into_bytes();
        marker.extend_from_slice(dir.as_os_str().as_bytes());
        let boot = proc::boot_id().ok();
        let pids = files::read_pids(dir).ok().flatten().filter(|p| Some(&p.boot_id) == boot.as_ref());
        let known = pids.iter().filter_map(|p| p.child).collect();
        let group = pids.iter().find_map(|p| Cgroup::recorded(p.cgroup.as_deref()?, dir));
        Self { dir, marker, pids, group, known, unnamed: false, seen: proc::newest(), sessions: HashSet::new() }
    }

    /// Living members of the run among `all`. Never this process, never one it descends from.
    fn members(&mut self, all: &[Stat]) -> Vec<Identity> {
        self.known.extend(self.group.iter().flat_map(Cgroup::members));
        let by_pid: HashMap<i32, &Stat> = all.iter().map(|s| (s.id.pid, s)).collect();
        let ours = proc::ancestry();
        let own_session = by_pid.get(&(std::process::id() as i32)).map(|s| s.session);
        let candidates: Vec<&Stat> = all.iter().filter(|s| s.alive() && !ours.contains(&s.id.pid)).collect();
        self.unnamed = false;
        let mut members = HashSet::new();
        for s in &candidates {
            let marked = match proc::environment(s.id.pid) {
                Some(env) if env.is_empty() => {
                    self.unnamed |= proc::in_exec(s);
                    false
                }
                Some(env) => proc::contains(&env, &self.marker),
                // Gone, and what it forked was born after we began; or another user's.
                None => false,
            };
            if marked || self.known.contains(&s.id) || self.left_behind(s, &by_pid) {
                members.insert(s.id);
            }
        }
        // Descent and sessions feed each other: until nothing is added.
        loop {
            let before = members.len();
            let pids: HashSet<i32> = members.iter().map(|id| id.pid).collect();
            if self.pids.as_ref().is_some_and(|p| p.leads_session) {
                let seen = candidates.iter().filter(|s| members.contains(&s.id) && Some(s.session) != own_session);
                self.sessions.extend(seen.map(|s| s.session));
            }
            // A session is the run's while its leader is a member or gone; a stranger as leader means a reused number.
            let session_is_ours = |s: &Stat| {
                self.sessions.contains(&s.session)
                    && by_pid.get(&s.session).is_none_or(|l| members.contains(&l.id) || !l.alive())
            };
            let added: Vec<Identity> =
                candidates.iter().filter(|s| pids.contains(&s.ppid) || session_is_ours(s)).map(|s| s.id).collect();
            members.extend(added);
            if members.len() == before {
                break;
            }
        }
        self.known.extend(members.iter().copied());
        members.into_iter().collect()
    }

    /// Kills what is born with the run's marker, for [`PAUSE`] and until every birth has been looked at. Who forks and
    /// exits faster than a scan of /proc takes is in no scan, or gone when its environment is looked at; but the kernel
    /// says which number it gave out last, and the child of whoever is gone by then has a later one.
    fn hunt(&mut self, killed: &mut HashSet<Identity>) {
        let begun = Instant::now();
        let Some(mut seen) = self.seen else { return std::thread::sleep(PAUSE) };
        let ours = proc::ancestry();
        let mut young: Vec<(i32, Instant)> = Vec::new();
        loop {
            let newest = proc::newest().unwrap_or(seen);
            // Numbers start again from below at their end; then the scan has to do.
            let born = (seen + 1).max(newest - MOST_BIRTHS)..=newest;
            let mut vanished = false;
            young.extend(born.filter(|pid| !ours.contains(pid)).map(|pid| (pid, Instant::now())));
            seen = newest;
            young.retain(|(pid, since)| {
                let Some(s) = proc::stat(*pid) else {
                    let unborn = since.elapsed() < UNBORN;
                    vanished |= !unborn;
                    return unborn;
                };
                match proc::environment(*pid) {
                    Some(env) if proc::contains(&env, &self.marker) => {
                        if s.id.kill() {
                            killed.insert(s.id);
                        }
                        false
                    }
                    Some(env) if env.is_empty() => {
                        let later = proc::in_exec(&s);
                        vanished |= !later;
                        later
                    }
                    Some(_) => false,
                    None => {
                        // Another user's, or gone just now.
                        vanished |= proc::stat(*pid).is_none();
                        false
                    }
                }
            });
            // The child of whoever vanished may be born since we asked for the newest: one more look. Who was looked at
            // and does not carry the marker has no child that does.
            let over = begun.elapsed();
            if over >= HUNT_LIMIT || over >= PAUSE && !vanished && young.is_empty() {
                break;
            }
        }
        self.seen = Some(seen);
    }

    /// In the dead supervisor's session, younger than it, and still holding a file of the run directory. The session
    /// alone would not do: once it is empty its number may be somebody else's.
    fn left_behind(&self, s: &Stat, by_pid: &HashMap<i32, &Stat>) -> bool {
        self.pids.as_ref().is_some_and(|p| {
            p.leads_session
                && s.session == p.supervisor.pid
                && s.id.start_ticks >= p.supervisor.start_ticks
                && by_pid.get(&s.session).is_none_or(|leader| leader.id == p.supervisor)
                && proc::holds_open(s.id.pid, self.dir)
        })
    }
}
