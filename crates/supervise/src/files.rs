//! The files of a run directory: who may write what, and how it gets there whole.
//!
//! Everything is written beside its name, synced, renamed and the directory synced: a reader sees the old state or the
//! new one, after a power cut too. Never writes into a file somebody else may be reading.

use crate::proc::Identity;
use orch_ports::supervisor::{ExitRecord, RunSpec, files};
use rustix::fs::{FlockOperation, flock};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// The supervisor's own standard output and error, and what a sweep of the run did.
pub(crate) const LOG: &str = "supervisor.log";

/// A line for it, from the supervisor. A disk too full for it must not stop anything.
pub(crate) fn log(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// `pids.json`: written once before the spawn (the intent) and once after it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Pids {
    /// Identities below belong to this boot only.
    pub(crate) boot_id: String,
    /// Who owns the run.
    pub(crate) supervisor: Identity,
    /// Does the supervisor lead a session of its own? Only then is everything in that session the run's.
    pub(crate) leads_session: bool,
    /// The program; `None` between the intent and the spawn.
    pub(crate) child: Option<Identity>,
    /// The control group made for the run, if one could be made. Older supervisors wrote none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cgroup: Option<PathBuf>,
}

/// Writes `value` as `dir/name`, atomically and durably, readable by the owner only (a spec may hold tokens).
pub(crate) fn write_json<T: Serialize>(dir: &Path, name: &str, value: &T) -> io::Result<()> {
    static UNIQUE: AtomicU32 = AtomicU32::new(0);
    let body = serde_json::to_vec_pretty(value).map_err(io::Error::other)?;
    let unique = UNIQUE.fetch_add(1, Ordering::Relaxed);
    let temporary = dir.join(format!(".{name}.{}.{unique}", std::process::id()));
    let written = (|| {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
        file.write_all(&body)?;
        file.sync_all()?;
        fs::rename(&temporary, dir.join(name))?;
        File::open(dir)?.sync_all()
    })();
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written
}

/// Reads `dir/name`; `None` if it is not there.
pub(crate) fn read_json<T: DeserializeOwned>(dir: &Path, name: &str) -> io::Result<Option<T>> {
    let body = match fs::read(dir.join(name)) {
        Ok(body) => body,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e),
    };
    serde_json::from_slice(&body).map(Some).map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))
}

/// The request.
pub(crate) fn read_spec(dir: &Path) -> io::Result<Option<RunSpec>> {
    read_json(dir, files::SPEC)
}

/// The answer.
pub(crate) fn read_exit(dir: &Path) -> io::Result<Option<ExitRecord>> {
    read_json(dir, files::EXIT)
}

/// The identities.
pub(crate) fn read_pids(dir: &Path) -> io::Result<Option<Pids>> {
    read_json(dir, files::PIDS)
}

/// Creates a run directory nobody else may enter.
pub(crate) fn create_dir(dir: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

/// Opens a log for appending. Close-on-exec like every descriptor of the standard library: what a program gets, it gets
/// as its standard output or error and nothing else.
pub(crate) fn open_log(dir: &Path, name: &str) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(dir.join(name))
}

/// Takes the run. `None`: another supervisor owns it. The lock belongs to the open file, which is close-on-exec, so it
/// ends with this process and no daemon can inherit it.
///
/// Tries for a fifth of a second, because [`is_locked`] holds a shared lock for some microseconds.
pub(crate) fn take_lock(dir: &Path) -> io::Result<Option<File>> {
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(dir.join(files::LOCK))?;
    for attempt in 0..40 {
        if attempt > 0 {
            std::thread::sleep(Duration::from_millis(5));
        }
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(Some(file)),
            Err(rustix::io::Errno::WOULDBLOCK | rustix::io::Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
    Ok(None)
}

/// Does a supervisor hold the run? Asks with a shared lock, so that those who ask do not see each other.
pub(crate) fn is_locked(dir: &Path) -> io::Result<bool> {
    let file = match File::open(dir.join(files::LOCK)) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(e) => return Err(e),
    };
    loop {
        match flock(&file, FlockOperation::NonBlockingLockShared) {
            Ok(()) => {
                // Not left to the end of the file: a program that is just being started may hold a copy of it.
                let _ = flock(&file, FlockOperation::Unlock);
                return Ok(false);
            }
            Err(rustix::io::Errno::WOULDBLOCK) => return Ok(true),
            Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_who_ask_do_not_see_each_other_but_see_the_owner() {
        let dir = tempfile::tempdir().unwrap();
        assert!(!is_locked(dir.path()).unwrap(), "no lock file yet");
        let owner = take_lock(dir.path()).unwrap().unwrap();
        assert!(is_locked(dir.path()).unwrap());
        assert!(take_lock(dir.path()).unwrap().is_none(), "one owner only");
        drop(owner);
        assert!(!is_locked(dir.path()).unwrap());
        assert!(take_lock(dir.path()).unwrap().is_some());
    }

    #[test]
    fn a_failed_write_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("exit.json/in the way")).unwrap();
        assert!(write_json(dir.path(), "exit.json", &1).is_err());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "only the obstacle");
    }
}
