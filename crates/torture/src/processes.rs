//! The processes of a world's runs, found by what they carry with them, and hit by pidfd.

use crate::world::World;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::path::PathBuf;

/// A process of a run.
#[derive(Debug)]
pub struct Process {
    fd: rustix::fd::OwnedFd,
    /// Its number.
    pub pid: i32,
    /// Its run directory.
    pub run: PathBuf,
    /// Work item of an agent.
    pub item: String,
    /// Role of an agent.
    pub role: String,
    /// Is it an agent's own process?
    pub is_agent: bool,
    /// Is it the supervisor?
    pub supervises: bool,
}

impl Process {
    /// By pidfd: a number that is reused in the meantime cannot be hit.
    pub fn kill(&self) -> bool {
        pidfd_send_signal(&self.fd, Signal::KILL).is_ok()
    }
}

impl World {
    /// Every process of a run in this world.
    pub fn processes(&self) -> Vec<Process> {
        let pids = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids = pids.filter_map(|e| e.file_name().to_str()?.parse::<i32>().ok());
        pids.filter_map(|pid| self.process(pid)).collect()
    }

    fn process(&self, pid: i32) -> Option<Process> {
        let fd = pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok()?;
        let read = |name: &str| std::fs::read(format!("/proc/{pid}/{name}")).ok();
        let words = |bytes: Vec<u8>| -> Vec<String> {
            bytes.split(|b| *b == 0).map(|w| String::from_utf8_lossy(w).into_owned()).collect()
        };
        let (args, env) = (words(read("cmdline")?), words(read("environ")?));
        let get = |name: &str| env.iter().find_map(|v| v.strip_prefix(name)?.strip_prefix('=')).map(str::to_owned);
        let supervises = args.get(1).is_some_and(|a| a == "supervise");
        let run = if supervises { args.get(2).cloned() } else { get(orch_supervise::MARKER) }.map(PathBuf::from)?;
        if !run.starts_with(&self.dir) {
            return None;
        }
        let is_agent = args.iter().any(|a| a.ends_with("agent.sh"));
        let (item, role) = (get("ORCH_WORK_ITEM").unwrap_or_default(), get("ORCH_ROLE").unwrap_or_default());
        Some(Process { fd, pid, run, item, role, is_agent, supervises })
    }
}
