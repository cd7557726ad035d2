//! What /proc says about processes. Decides what an identity is: pid *and* start time, within one boot.
//!
//! Facts from proc(5): in `/proc/PID/stat` the command name is in parentheses and may itself contain spaces and
//! parentheses, so fields are counted from the last `)`; field 3 is the state, 4 the parent, 5 the process group, 6 the
//! session, 20 the number of threads, 22 the start time in clock ticks since boot.

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

/// One process of one boot. The pid alone is reused by the kernel; together with the start time it is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Identity {
    /// The number.
    pub(crate) pid: i32,
    /// Start time, clock ticks since boot.
    pub(crate) start_ticks: u64,
}

impl Identity {
    /// The identity behind a pid at this moment. Only meaningful for a pid that cannot be reused while we look: our own
    /// or that of a child nobody has reaped.
    pub(crate) fn of(pid: i32) -> Option<Self> {
        stat(pid).map(|s| s.id)
    }

    /// A pidfd of exactly this process, `None` if it is gone. The order matters: open first, then compare the start
    /// time; a pid reused before the open shows another start time, one reused after it cannot change the pidfd.
    pub(crate) fn open(self) -> Option<OwnedFd> {
        let fd = pidfd_open(Pid::from_raw(self.pid)?, PidfdFlags::empty()).ok()?;
        let now = stat(self.pid)?;
        (now.id == self && now.alive()).then_some(fd)
    }

    /// SIGKILLs exactly this process. False: it was gone already or is not ours to kill.
    pub(crate) fn kill(self) -> bool {
        self.send(Signal::KILL)
    }

    /// Signals exactly this process. False: it was gone already or is not ours to signal.
    pub(crate) fn send(self, signal: Signal) -> bool {
        self.open().is_some_and(|fd| pidfd_send_signal(&fd, signal).is_ok())
    }
}

/// One line of `/proc/PID/stat`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stat {
    pub(crate) id: Identity,
    pub(crate) ppid: i32,
    pub(crate) pgrp: i32,
    pub(crate) session: i32,
    state: u8,
    threads: u32,
}

impl Stat {
    /// Can it still run code? A zombie cannot, unless only its first thread has ended.
    pub(crate) fn alive(&self) -> bool {
        !matches!(self.state, b'X' | b'x') && (self.state != b'Z' || self.threads > 1)
    }

    /// Does it stand still, stopped by a signal or held by a debugger?
    pub(crate) fn stopped(&self) -> bool {
        matches!(self.state, b'T' | b't')
    }

    /// Is it on its way into the kernel's sleep that no signal ends, or has only its first thread ended? What it was sent
    /// is taken before it runs code of its own again, but its state does not show that.
    pub(crate) fn hides_its_stop(&self) -> bool {
        matches!(self.state, b'D' | b'Z')
    }

    fn parse(pid: i32, line: &[u8]) -> Option<Self> {
        let after = line.iter().rposition(|b| *b == b')')? + 1;
        let fields: Vec<&str> = std::str::from_utf8(&line[after..]).ok()?.split_ascii_whitespace().collect();
        // fields[0] is field 3 of the manual page.
        let number = |field: usize| fields.get(field - 3)?.parse::<i64>().ok();
        Some(Self {
            id: Identity { pid, start_ticks: fields.get(22 - 3)?.parse().ok()? },
            ppid: number(4)? as i32,
            pgrp: number(5)? as i32,
            session: number(6)? as i32,
            state: *fields.first()?.as_bytes().first()?,
            threads: number(20)?.max(0) as u32,
        })
    }
}

/// One process, `None` if there is none of that pid.
pub(crate) fn stat(pid: i32) -> Option<Stat> {
    Stat::parse(pid, &fs::read(format!("/proc/{pid}/stat")).ok()?)
}

/// Every process that can be seen. Not atomic: what forks meanwhile may be missing, callers scan again.
pub(crate) fn scan() -> io::Result<Vec<Stat>> {
    Ok(fs::read_dir("/proc")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok())
        .filter_map(stat)
        .collect())
}

/// The number the kernel gave out last, to a process or a thread.
pub(crate) fn newest() -> Option<i32> {
    fs::read_to_string("/proc/loadavg").ok()?.split_ascii_whitespace().nth(4)?.parse().ok()
}

/// The pids of this process and of everything it descends from.
pub(crate) fn ancestry() -> HashSet<i32> {
    let mut line = HashSet::new();
    let mut pid = std::process::id() as i32;
    while pid > 0 && line.insert(pid) {
        pid = stat(pid).map_or(0, |s| s.ppid);
    }
    line
}

/// The environment a process started with; empty for a zombie and in the middle of an exec, `None` if it is gone or not
/// ours to read.
pub(crate) fn environment(pid: i32) -> Option<Vec<u8>> {
    fs::read(format!("/proc/{pid}/environ")).ok()
}

/// Is a process without an environment in the middle of an exec? It has no arguments either then; nor have zombies and
/// threads of the kernel, which are number 2 and its children.
pub(crate) fn in_exec(s: &Stat) -> bool {
    let bare = || fs::read(format!("/proc/{}/cmdline", s.id.pid)).is_ok_and(|arguments| arguments.is_empty());
    s.id.pid != 2 && s.ppid != 2 && bare() && stat(s.id.pid).is_some_and(|now| now.id == s.id && now.alive())
}

/// Is `NAME=value` in this environment?
pub(crate) fn contains(env: &[u8], entry: &[u8]) -> bool {
    env.split(|b| *b == 0).any(|e| e == entry)
}

/// Does the process hold a file of this directory open?
pub(crate) fn holds_open(pid: i32, dir: &Path) -> bool {
    fs::read_dir(format!("/proc/{pid}/fd")).is_ok_and(|fds| {
        fds.flatten().any(|fd| fs::read_link(fd.path()).is_ok_and(|target| target.starts_with(dir) && target != dir))
    })
}

/// The id of this boot: without it a start time means nothing after a restart of the machine.
pub(crate) fn boot_id() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_name_full_of_parentheses_does_not_shift_the_fields() {
        let line = b"77 (a) R 1 (b) S 5 6 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 123456 9 9 9";
        let stat = Stat::parse(77, line).unwrap();
        assert_eq!(stat.id, Identity { pid: 77, start_ticks: 123_456 });
        assert_eq!((stat.ppid, stat.pgrp, stat.session, stat.threads), (5, 6, 7, 1));
        assert!(stat.alive());
    }

    #[test]
    fn a_zombie_is_dead_unless_other_threads_run() {
        let line = |threads: u32| format!("9 (x) Z 1 9 9 0 -1 0 0 0 0 0 0 0 0 0 20 0 {threads} 0 5 0");
        assert!(!Stat::parse(9, line(1).as_bytes()).unwrap().alive());
        assert!(Stat::parse(9, line(2).as_bytes()).unwrap().alive());
    }

    #[test]
    fn another_start_time_is_another_process_and_is_never_signalled() {
        let me = Identity::of(std::process::id() as i32).unwrap();
        assert!(me.open().is_some());
        let recycled = Identity { start_ticks: me.start_ticks + 1, ..me };
        assert!(recycled.open().is_none());
        assert!(!recycled.kill(), "would have killed this very test");
    }

    #[test]
    fn the_scan_sees_this_process_and_its_parent() {
        let all = scan().unwrap();
        let me = all.iter().find(|s| s.id.pid == std::process::id() as i32).unwrap();
        assert!(me.ppid > 0);
    }
}
