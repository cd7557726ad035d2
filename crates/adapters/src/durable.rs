//! What must be on disk before anybody hears that it is done. Git syncs the files it is asked to sync and never the
//! directories that name them; this does, for repositories and for whatever else is written beside its place and renamed.
//! It decides when a change counts as kept. It never decides what is changed, and never takes a failure to sync for
//! success: what could not be synced was not done.

use crate::git_cli::run::io;
use orch_ports::Fault;
use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{self as std_io, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What git syncs by itself, in every repository that is ours or that we serve: objects, indexes of packs, references;
/// and by a real sync, whatever the repository's own configuration says. `committed` would leave references out.
pub(crate) const FSYNC: [(&str, &str); 2] =
    [("core.fsync", "objects,derived-metadata,reference"), ("core.fsyncMethod", "fsync")];

/// A directory's time changes in steps of some milliseconds, so one that changed just now may change again unseen.
const TICK: Duration = Duration::from_millis(200);

/// The server side of a push to a repository on this machine, made to sync what it writes without a line in that
/// repository's configuration. Branches that cannot be read are hidden from it: it would refuse every push for the sake of
/// one of them. Git hands the text to a shell.
pub(crate) fn receive_pack(unreadable: &BTreeSet<String>) -> String {
    let mut line = String::from("--receive-pack=git");
    for (key, value) in FSYNC {
        let _ = write!(line, " -c {key}={value}");
    }
    if !unreadable.is_empty() {
        // While it receives, git sees the repository itself as one it borrows from, with all its branches.
        line.push_str(" -c core.alternateRefsPrefixes=refs/orch-none");
    }
    for branch in unreadable {
        let _ = write!(line, " -c {}", quoted(&format!("receive.hideRefs=refs/heads/{branch}")));
    }
    line.push_str(" receive-pack");
    line
}

/// One word for a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// Syncs a directory, which is the names in it, or a file.
pub(crate) fn dir(path: &Path) -> Result<(), Fault> {
    File::open(path).and_then(|d| d.sync_all()).map_err(|e| io(path, "make durable", &e))
}

/// Makes a directory and those above it that are missing, each kept before the next.
pub(crate) fn make_dir(path: &Path) -> Result<(), Fault> {
    if path.as_os_str().is_empty() || path.is_dir() {
        return Ok(());
    }
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    make_dir(parent)?;
    match fs::create_dir(path) {
        Err(e) if e.kind() == ErrorKind::AlreadyExists && path.is_dir() => {}
        Err(e) => return Err(io(path, "create", &e)),
        Ok(()) => {}
    }
    dir(parent)
}

/// Syncs every file and directory of a tree that was written from scratch, the root last; links are left alone.
pub(crate) fn tree(root: &Path) -> Result<(), Fault> {
    for entry in fs::read_dir(root).map_err(|e| io(root, "list", &e))? {
        let entry = entry.map_err(|e| io(root, "list", &e))?;
        let (path, kind) = (entry.path(), entry.file_type().map_err(|e| io(root, "list", &e))?);
        if kind.is_dir() {
            tree(&path)?;
        } else if kind.is_file() {
            dir(&path)?;
        }
    }
    dir(root)
}

/// Everything that is waiting in memory for the file system of `path`: for what others wrote there before us.
pub(crate) fn file_system(path: &Path) -> Result<(), Fault> {
    let opened = File::open(path).map_err(|e| io(path, "make durable", &e))?;
    rustix::fs::syncfs(&opened).map_err(|e| io(path, "make durable", &e.into()))
}

/// Puts a file in its place whole or not at all, with this mode.
pub(crate) fn put(path: &Path, bytes: &[u8], mode: u32) -> Result<(), Fault> {
    let parent = path.parent().unwrap_or(Path::new("."));
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}", crate::owner::mark()));
    let temp = parent.join(name);
    let put = || -> std_io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&temp)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temp, path)?;
        File::open(parent)?.sync_all()
    };
    put().map_err(|e| {
        let _ = fs::remove_file(&temp);
        io(path, "write", &e)
    })
}

/// When a directory's names last changed, as its file system counts.
type Stamp = (u64, i64, i64);

/// Which directories of repositories are on disk as they are. A directory nobody changed since it was synced is not
/// synced again; what is not known is. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Kept {
    seen: Arc<Mutex<HashMap<PathBuf, Stamp>>>,
}

impl Kept {
    /// Syncs the directories by which a repository's objects and these references are found.
    pub(crate) fn keep(&self, git_dir: &Path, references: &[&str]) -> Result<(), Fault> {
        let mut wanted = vec![git_dir.to_owned(), git_dir.join("objects"), git_dir.join("objects/pack")];
        for entry in fs::read_dir(git_dir.join("objects")).into_iter().flatten().flatten() {
            // Objects are in directories of two digits.
            if entry.file_name().len() == 2 {
                wanted.push(entry.path());
            }
        }
        wanted.extend(above(git_dir, references));
        self.sync(wanted)
    }

    /// Syncs the directories by which these references are found.
    pub(crate) fn keep_references(&self, git_dir: &Path, references: &[&str]) -> Result<(), Fault> {
        self.sync(above(git_dir, references))
    }

    fn sync(&self, wanted: Vec<PathBuf>) -> Result<(), Fault> {
        let mut changed = vec![];
        {
            let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            for path in wanted {
                // Gone: its reference is in the packed ones, or its last object was packed.
                let Some(stamp) = stamp(&path) else { continue };
                if seen.get(&path) != Some(&stamp) {
                    changed.push((path, stamp));
                }
            }
        }
        all(&changed.iter().map(|(path, _)| path.as_path()).collect::<Vec<_>>())?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let settled = |(_, seconds, nanos): Stamp| {
            let changed = Duration::new(u64::try_from(seconds).unwrap_or(0), u32::try_from(nanos).unwrap_or(0));
            changed + TICK < now
        };
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        for (path, stamp) in changed {
            // The time is read before the sync, and one so young is not remembered: a change behind it is seen next time.
            if settled(stamp) {
                seen.insert(path, stamp);
            }
        }
        Ok(())
    }
}

/// The directories of references, without that of the repository.
fn above(git_dir: &Path, references: &[&str]) -> Vec<PathBuf> {
    let mut found = vec![];
    for reference in references {
        let whole = git_dir.join(reference);
        found.extend(whole.ancestors().skip(1).take_while(|d| *d != git_dir).map(Path::to_owned));
    }
    found
}

fn stamp(path: &Path) -> Option<Stamp> {
    let meta = fs::metadata(path).ok().filter(fs::Metadata::is_dir)?;
    Some((meta.ino(), meta.ctime(), meta.ctime_nsec()))
}

/// Syncs these files and directories; what is not there any more needs no keeping. Several at once: syncs that wait
/// together are one for the disk.
pub(crate) fn all(paths: &[&Path]) -> Result<(), Fault> {
    const AT_ONCE: usize = 8;
    let one = |path: &&Path| match dir(path) {
        Err(_) if !path.exists() => Ok(()),
        done => done,
    };
    if paths.len() < 3 {
        return paths.iter().try_for_each(one);
    }
    let share = paths.len().div_ceil(AT_ONCE);
    std::thread::scope(|scope| {
        let at_work: Vec<_> =
            paths.chunks(share).map(|some| scope.spawn(move || some.iter().try_for_each(one))).collect();
        at_work.into_iter().try_for_each(|thread| {
            thread.join().unwrap_or_else(|_| Err(Fault::bug("a thread that syncs directories broke down")))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_put_in_its_place_whole_and_leaves_nothing_beside_it() {
        let tmp = tempfile::tempdir().unwrap();
        let file = tmp.path().join("a/b/file");
        make_dir(file.parent().unwrap()).unwrap();
        put(&file, b"one", 0o600).unwrap();
        put(&file, b"two", 0o600).unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"two");
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
        assert!(put(&tmp.path().join("a/b"), b"x", 0o600).is_err(), "a directory is in the way");
        assert_eq!(fs::read_dir(tmp.path().join("a")).unwrap().count(), 1, "nothing half-written stays");
        tree(tmp.path()).unwrap();
    }

    #[test]
    fn only_directories_that_changed_are_synced_again() {
        let tmp = tempfile::tempdir().unwrap();
        let repo = tmp.path();
        for made in ["objects/pack", "objects/ab", "objects/cd", "refs/heads/feature"] {
            fs::create_dir_all(repo.join(made)).unwrap();
        }
        let kept = Kept::default();
        let known = |kept: &Kept| kept.seen.lock().unwrap().len();
        kept.keep(repo, &["refs/heads/feature/x"]).unwrap();
        assert_eq!(known(&kept), 0, "so young that it may change again unseen");
        // As if it had been made a while ago.
        for (path, stamp) in ["objects", "objects/ab"].map(|name| (repo.join(name), stamp(&repo.join(name)).unwrap())) {
            kept.seen.lock().unwrap().insert(path, stamp);
        }
        fs::remove_dir(repo.join("objects/ab")).unwrap();
        kept.keep(repo, &["refs/heads/gone/y"]).unwrap();
    }
}
