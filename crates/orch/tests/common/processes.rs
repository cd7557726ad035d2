//! The process table, read from /proc: what is still alive is seen here and nowhere else.

use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

fn all() -> impl Iterator<Item = u32> {
    fs::read_dir("/proc").unwrap().flatten().filter_map(|e| e.file_name().to_str()?.parse().ok())
}

/// Is a process with this pid running? One that has ended and was not waited for is not.
pub fn alive(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().and_then(|rest| rest.chars().next()).is_some_and(|state| !matches!(state, 'Z' | 'X'))
}

/// Processes with this text as one of their arguments.
pub fn with_argument(argument: &str) -> Vec<u32> {
    let has = |pid: &u32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.split(|b| *b == 0).any(|a| a == argument.as_bytes())
    };
    all().filter(has).filter(|pid| alive(*pid)).collect()
}

/// Processes of runs whose directory is below `root`: their marker says so, or the supervisor's argument.
pub fn of_runs_below(root: &Path) -> Vec<u32> {
    let marker = format!("ORCH_RUN_MARKER={}/", root.display());
    let dir = format!("{}/", root.display());
    let ours = |pid: &u32| {
        let environ = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        environ.split(|b| *b == 0).any(|v| v.starts_with(marker.as_bytes()))
            || line.split(|b| *b == 0).any(|a| a.starts_with(dir.as_bytes()))
    };
    all().filter(|pid| *pid != std::process::id()).filter(ours).filter(|pid| alive(*pid)).collect()
}

/// SIGTERM.
pub fn terminate(pid: u32) {
    send(pid, Signal::TERM);
}
/// SIGINT, which is what Ctrl-C sends.
pub fn interrupt(pid: u32) {
    send(pid, Signal::INT);
}
/// SIGHUP, which a terminal that is closed sends.
pub fn hang_up(pid: u32) {
    send(pid, Signal::HUP);
}
/// SIGQUIT.
pub fn quit(pid: u32) {
    send(pid, Signal::QUIT);
}
/// SIGKILL.
pub fn kill(pid: u32) {
    send(pid, Signal::KILL);
}

fn send(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        // It may have ended by itself meanwhile.
        let _ = kill_process(pid, signal);
    }
}

/// Ends everything that a test's runs left; a tree that goes on forking meets this several times.
pub fn end_all_below(root: &Path) {
    let began = Instant::now();
    loop {
        let left = of_runs_below(root);
        if left.is_empty() || Duration::from_secs(5) < began.elapsed() {
            return;
        }
        left.into_iter().for_each(kill);
        std::thread::sleep(Duration::from_millis(20));
    }
}
