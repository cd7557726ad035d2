//! The process lock: a database has one owner, and the second one is told who that is. The lock is the kernel's
//! (`flock`), so that a process that dies in any way lets go of it; the text in the file is for people only.

use crate::error::StoreError;
use std::fs::{File, TryLockError};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// An owned database; letting it go frees it.
#[derive(Debug)]
pub(super) struct Lock {
    file: File,
    path: PathBuf,
    created: bool,
}

impl Lock {
    /// Takes the lock of a database file or says who has it.
    pub(super) fn take(db: &Path, holder: &str) -> Result<Self, StoreError> {
        let mut name = db.as_os_str().to_owned();
        name.push(".lock");
        let path = PathBuf::from(name);
        let unusable = |e: std::io::Error| StoreError::Unusable {
            path: db.to_owned(),
            detail: format!(
                "the lock file {} cannot be written ({e}); make its directory writable for this user, \
                 or choose another [db] path",
                path.display()
            ),
        };
        loop {
            let created = !path.exists();
            let mut file = File::options()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .open(&path)
                .map_err(unusable)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    let mut said = String::new();
                    let _ = file.read_to_string(&mut said);
                    let said = said.trim();
                    let holder = if said.is_empty() { "another process" } else { said };
                    return Err(StoreError::Held { path: db.to_owned(), holder: holder.to_owned() });
                }
                Err(TryLockError::Error(e)) => return Err(unusable(e)),
            }
            // Somebody whose opening failed may have removed the file between our open and our lock.
            let ours = file.metadata().map_err(unusable)?;
            if !std::fs::metadata(&path).is_ok_and(|m| m.ino() == ours.ino() && m.dev() == ours.dev()) {
                continue;
            }
            file.set_len(0).map_err(unusable)?;
            writeln!(file, "pid {}, {holder}", std::process::id()).map_err(unusable)?;
            return Ok(Self { file, path, created });
        }
    }

    /// Who owns a database; `None` if nobody does, or if that cannot be told. Takes nothing.
    pub(super) fn holder(db: &Path) -> Option<String> {
        let mut name = db.as_os_str().to_owned();
        name.push(".lock");
        let mut file = File::open(PathBuf::from(name)).ok()?;
        match file.try_lock_shared() {
            Err(TryLockError::WouldBlock) => {}
            Ok(()) => {
                // Not left to the end of the file: a program that is just being started may hold a copy of it.
                let _ = file.unlock();
                return None;
            }
            Err(TryLockError::Error(_)) => return None,
        }
        let mut said = String::new();
        file.read_to_string(&mut said).ok()?;
        Some(said.trim().to_owned()).filter(|said| !said.is_empty())
    }

    /// Lets go after an opening that failed: what was not there before is not there afterwards.
    pub(super) fn abandon(self) {
        if self.created {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

impl Drop for Lock {
    /// By name: the lock belongs to the open file, and a program that this process is just starting holds a copy of that until
    /// it has become that program.
    fn drop(&mut self) {
        let _ = self.file.unlock();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A program that is just being started holds copies of all files until it has become that program.
    #[test]
    fn a_lock_that_was_let_go_is_free_although_a_copy_of_its_file_lives() {
        let dir = tempfile::tempdir().unwrap();
        let db = dir.path().join("orch.db");
        let lock = Lock::take(&db, "one").unwrap();
        let copy = lock.file.try_clone().unwrap();
        assert!(Lock::holder(&db).unwrap().ends_with("one"));
        drop(lock);
        assert_eq!(Lock::holder(&db), None);
        let again = Lock::take(&db, "two").unwrap();
        drop(copy);
        assert!(Lock::holder(&db).unwrap().ends_with("two"), "a copy of the old one ends no new one");
        drop(again);
    }
}
