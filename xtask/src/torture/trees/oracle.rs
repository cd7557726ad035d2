//! Who lives, judged by what the code under test does not go by: every process of a tree has the tree's secret directory
//! in its arguments, its working directory or its environment. And the bystanders, who look alike and must live.

use anyhow::{Context as _, Result};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Living processes that carry the secret, with their arguments.
pub(crate) fn alive(secret: &Path) -> Vec<(i32, String)> {
    let needle = secret.as_os_str().as_bytes();
    let all = fs::read_dir("/proc").into_iter().flatten().flatten();
    all.filter_map(|e| e.file_name().to_str()?.parse::<i32>().ok())
        .filter(|pid| *pid != std::process::id() as i32 && carries(*pid, needle))
        .map(|pid| {
            let arguments = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            (pid, String::from_utf8_lossy(&arguments).replace('\0', " "))
        })
        .collect()
}

/// A zombie has neither arguments nor a directory nor an environment.
fn carries(pid: i32, needle: &[u8]) -> bool {
    let holds = |text: &[u8]| text.windows(needle.len()).any(|part| part == needle);
    let file = |name: &str| fs::read(format!("/proc/{pid}/{name}")).is_ok_and(|text| holds(&text));
    file("cmdline")
        || fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| holds(cwd.as_os_str().as_bytes()))
        || file("environ")
}

/// Ends what survived, so that one failure does not spoil the machine.
pub(crate) fn clear(secret: &Path) {
    let _ = fs::write(secret.join("stop"), "");
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(5) {
        let left = alive(secret);
        if left.is_empty() {
            return;
        }
        for pid in left.into_iter().filter_map(|(pid, _)| Pid::from_raw(pid)) {
            let _ = kill_process(pid, Signal::KILL);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A pidfd of `pid`, if that still is a process with the secret, or `secret` is not asked for.
pub(crate) fn open(pid: i32, secret: Option<&Path>) -> Option<OwnedFd> {
    let fd = pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok()?;
    secret.is_none_or(|secret| carries(pid, secret.as_os_str().as_bytes())).then_some(fd)
}

/// Processes that are not the run's but look like it: same user, same kind of session, same script, almost the same
/// marker, a file of the run open, a control group with our prefix beside the run's.
pub(crate) struct Bystanders {
    all: Vec<(&'static str, Child)>,
    group: Option<PathBuf>,
}

impl Bystanders {
    /// `likeness` is a directory like a tree's, `group` the run's control group.
    pub(crate) fn new(run_dir: &Path, likeness: &Path, group: Option<&Path>) -> Result<Self> {
        let idle = likeness.join("idle");
        let quiet = |command: &mut Command| {
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        };
        let mut all = Vec::new();
        let mut add = |what, command: &mut Command| -> Result<()> {
            all.push((what, command.spawn().with_context(|| format!("start the {what}"))?));
            Ok(())
        };
        let marker = |end: &str| format!("{}{end}", run_dir.display());
        let mut similar = Command::new("setsid");
        similar.arg("sh").arg(&idle).current_dir(likeness).env("ORCH_RUN_MARKER", marker("0"));
        quiet(&mut similar);
        add("daemon with a similar marker", &mut similar)?;
        let mut speaks = Command::new("sh");
        speaks.arg(&idle).arg(format!("ORCH_RUN_MARKER={}", marker(""))).current_dir(run_dir);
        quiet(&mut speaks);
        add("shell that names the run and stands in its directory", &mut speaks)?;
        let mut reader = Command::new("setsid");
        reader.arg("sh").arg(&idle).current_dir("/");
        quiet(&mut reader);
        reader.stdin(fs::File::open(run_dir.join("spec.json")).context("open the spec")?);
        add("reader of a file of the run", &mut reader)?;
        let mut beside = None;
        if let Some(home) = group.and_then(Path::parent) {
            let path =
                home.join(format!("orch-run-{}", likeness.file_name().map_or("x".into(), |n| n.to_string_lossy())));
            let mut neighbour = Command::new("setsid");
            neighbour.arg("sh").arg(&idle).current_dir("/");
            quiet(&mut neighbour);
            fs::create_dir(&path).with_context(|| format!("make {}", path.display()))?;
            add("process in the group beside the run's", &mut neighbour)?;
            let pid = all.last().map_or(0, |(_, child)| child.id());
            fs::write(path.join("cgroup.procs"), pid.to_string()).context("move a bystander into its group")?;
            beside = Some(path);
        }
        Ok(Self { all, group: beside })
    }

    /// Ends them, and names those that were hit before.
    pub(crate) fn end(mut self) -> Vec<&'static str> {
        let mut hit = Vec::new();
        for (what, child) in &mut self.all {
            if !matches!(child.try_wait(), Ok(None)) {
                hit.push(*what);
            }
            let _ = child.kill();
            let _ = child.wait();
        }
        if let Some(group) = &self.group {
            let begun = Instant::now();
            while fs::remove_dir(group).is_err() && begun.elapsed() < Duration::from_secs(2) {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        hit
    }
}
