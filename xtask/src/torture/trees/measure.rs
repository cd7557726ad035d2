//! What is measured, and on what: the commit, the binary, when a process ended and when a record got its name.

use super::LONGEST;
use anyhow::Result;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::task::JoinHandle;

/// What the numbers are about.
pub(super) fn commit() -> String {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let head = git(&["rev-parse", "--short=12", "HEAD"]).unwrap_or_else(|| "unknown".into());
    let clean = git(&["status", "--porcelain"]).is_some_and(|changes| changes.is_empty());
    if clean { head } else { format!("{head} and uncommitted changes") }
}

/// The supervisor alone, from this checkout.
pub(super) fn build() -> Result<PathBuf> {
    crate::cargo::program("orch-supervise", &[])
}

/// When a process ends, on a thread that waits for nothing else.
pub(super) fn watch(fd: OwnedFd) -> JoinHandle<Option<SystemTime>> {
    tokio::task::spawn_blocking(move || {
        let longest = Timespec { tv_sec: LONGEST.as_secs() as i64, tv_nsec: 0 };
        let ended = poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(&longest));
        matches!(ended, Ok(1)).then(SystemTime::now)
    })
}

pub(super) async fn join(watched: Option<JoinHandle<Option<SystemTime>>>) -> Option<Option<SystemTime>> {
    watched?.await.ok()
}

/// When the record got its name.
pub(super) fn changed(of: &fs::Metadata) -> SystemTime {
    UNIX_EPOCH + Duration::new(of.ctime().unsigned_abs(), of.ctime_nsec() as u32)
}

pub(super) fn ms(from: SystemTime, to: SystemTime) -> u64 {
    to.duration_since(from).map_or(0, |took| took.as_millis() as u64)
}
