//! Locks that a dead git left in a bare repository: `main.lock`, `packed-refs.lock`, `config.lock`. Decides when such a
//! lock belongs to nobody. It never asks how old one is: what a live git holds stays, what a dead one left goes at once.

use crate::owner::git_at_work;
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Removes the locks of references and of the configuration that no git holds any more; true if there were any. The file
/// is the same before and behind the look at the processes: a git that began meanwhile found it there and has none.
pub(crate) fn drop_dead(git_dir: &Path) -> bool {
    // None is taken by us meanwhile.
    let ours = OURS.lock().unwrap_or_else(PoisonError::into_inner);
    let found: Vec<(PathBuf, Identity)> =
        all(git_dir).into_iter().filter_map(|f| Some((identity(&f)?, f))).map(|(i, f)| (f, i)).collect();
    if found.is_empty() || git_at_work(git_dir) {
        return false;
    }
    let mut dropped = false;
    for (file, before) in found {
        if ours.contains(&(before.0, before.1)) {
            continue;
        }
        if identity(&file) == Some(before) && fs::remove_file(&file).is_ok() {
            tracing::warn!(lock = %file.display(), "removed a lock that a dead git left behind");
            dropped = true;
        }
    }
    dropped
}

/// Locks that this process itself holds, without a git: device and inode.
static OURS: Mutex<BTreeSet<(u64, u64)>> = Mutex::new(BTreeSet::new());

/// A lock of a reference that this process holds.
#[derive(Debug)]
pub(crate) struct Held {
    /// The file that takes the place of the reference.
    pub(crate) file: fs::File,
    place: (u64, u64),
}

impl Held {
    /// Takes a lock as git does. `None` if somebody has it.
    pub(crate) fn take(lock: &Path) -> Option<Self> {
        let mut ours = OURS.lock().unwrap_or_else(PoisonError::into_inner);
        let file = fs::OpenOptions::new().write(true).create_new(true).open(lock).ok()?;
        let Ok(meta) = file.metadata() else {
            let _ = fs::remove_file(lock);
            return None;
        };
        let place = (meta.dev(), meta.ino());
        ours.insert(place);
        Some(Self { file, place })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        OURS.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.place);
    }
}

type Identity = (u64, u64, i64, i64);

fn identity(file: &Path) -> Option<Identity> {
    let meta = fs::symlink_metadata(file).ok()?;
    Some((meta.dev(), meta.ino(), meta.ctime(), meta.ctime_nsec()))
}

fn all(git_dir: &Path) -> Vec<PathBuf> {
    let is_lock = |file: &PathBuf| file.extension().is_some_and(|e| e == "lock");
    let files_of = |dir: &Path| fs::read_dir(dir).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = files_of(git_dir).map(|e| e.path()).filter(is_lock).collect();
    let mut stack = vec![git_dir.join("refs")];
    while let Some(dir) = stack.pop() {
        for entry in files_of(&dir) {
            if entry.file_type().is_ok_and(|t| t.is_dir()) {
                stack.push(entry.path());
            } else if is_lock(&entry.path()) {
                found.push(entry.path());
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn what_a_live_git_may_hold_stays_however_old_and_what_a_dead_one_left_goes_however_young() {
        let tmp = tempfile::tempdir().unwrap();
        let repo = tmp.path().join("a.git");
        assert!(Command::new("git").args(["init", "-q", "--bare"]).arg(&repo).status().unwrap().success());
        let left =
            ["refs/heads/main.lock", "refs/heads/feature/X-1.lock", "packed-refs.lock", "config.lock", "HEAD.lock"];
        fs::create_dir_all(repo.join("refs/heads/feature")).unwrap();
        for name in left {
            fs::write(repo.join(name), "").unwrap();
        }
        let old = fs::File::options().write(true).open(repo.join("packed-refs.lock")).unwrap();
        old.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
        let mut git = Command::new("git");
        git.args(["cat-file", "--batch"]).stdin(Stdio::piped()).stdout(Stdio::null()).env("GIT_DIR", &repo);
        let mut git = git.spawn().unwrap();
        // Until it has become git, it is a copy of this process.
        while fs::read_to_string(format!("/proc/{}/comm", git.id())).is_ok_and(|name| !name.starts_with("git")) {
            std::thread::yield_now();
        }
        assert!(!drop_dead(&repo));
        assert!(left.iter().all(|name| repo.join(name).exists()));
        git.kill().unwrap();
        git.wait().unwrap();
        assert!(drop_dead(&repo));
        assert!(left.iter().all(|name| !repo.join(name).exists()));
        assert!(repo.join("config").exists() && !drop_dead(&repo));
    }

    #[test]
    fn a_lock_that_this_process_holds_is_no_dead_one() {
        let tmp = tempfile::tempdir().unwrap();
        let repo = tmp.path().join("a.git");
        assert!(Command::new("git").args(["init", "-q", "--bare"]).arg(&repo).status().unwrap().success());
        let lock = |name: &str| repo.join("refs/heads").join(name);
        let held = Held::take(&lock("mine.lock")).unwrap();
        assert!(Held::take(&lock("mine.lock")).is_none());
        fs::write(lock("dead.lock"), "").unwrap();
        assert!(drop_dead(&repo));
        assert!(lock("mine.lock").exists() && !lock("dead.lock").exists());
        drop(held);
        assert!(drop_dead(&repo));
        assert!(!lock("mine.lock").exists());
    }
}
