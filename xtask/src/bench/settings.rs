//! What was measured on: printed before anything is measured, because a number without it means nothing.

use anyhow::{Context, Result};
use std::fs;
use std::path::Path;
use std::process::Command;

/// One setting a line.
pub(super) fn describe(dir: &Path) -> Result<String> {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let profile = if cfg!(debug_assertions) { "debug: NOT for comparison, use --release" } else { "release" };
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load: Vec<&str> = load.split_whitespace().take(3).collect();
    Ok(format!(
        "commit        {}\nprofile       {profile}\nSQLite        {}, journal_mode WAL, synchronous FULL (fsync at every commit)\n\
         database in   {} ({})\ncores         {cores}, {}\nmemory        {}\nkernel        {}\nload          {}\n",
        commit(),
        rusqlite::version(),
        dir.display(),
        file_system(dir)?,
        first("/proc/cpuinfo", "model name"),
        first("/proc/meminfo", "MemTotal"),
        fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim(),
        load.join(" "),
    ))
}

fn commit() -> String {
    let git = |args: &[&str]| {
        let out = Command::new("git").args(args).output().ok().filter(|o| o.status.success())?;
        Some(String::from_utf8_lossy(&out.stdout).trim().to_owned())
    };
    let Some(commit) = git(&["rev-parse", "--short=12", "HEAD"]) else { return "unknown".into() };
    match git(&["status", "--porcelain", "--untracked-files=no"]) {
        Some(changes) if changes.is_empty() => commit,
        _ => format!("{commit} with changes"),
    }
}

/// The first value of a key in a file of `key : value` lines.
fn first(file: &str, key: &str) -> String {
    let text = fs::read_to_string(file).unwrap_or_default();
    let line = text.lines().find(|l| l.starts_with(key)).unwrap_or_default();
    line.split_once(':').map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
}

/// Device and type of the file system a directory is on: the mount with the longest path above it.
fn file_system(dir: &Path) -> Result<String> {
    let dir = dir.canonicalize().with_context(|| format!("find {}", dir.display()))?;
    let mounts = fs::read_to_string("/proc/mounts").context("read /proc/mounts")?;
    let all = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ');
        Some((words.next()?, words.next()?, words.next()?, words.next()?))
    });
    let best = all.filter(|(_, at, ..)| dir.starts_with(at)).max_by_key(|(_, at, ..)| at.len());
    Ok(best.map_or_else(|| "unknown".into(), |(device, _, kind, options)| format!("{kind} on {device}, {options}")))
}
