//! Directories that agents had their hands on. Decides how they are looked at and removed. Never follows a symbolic link
//! and never recurses: a directory turned into a link must not lead us outside, and a path deeper than the system's
//! limit must not stop us.

use super::run::io;
use crate::owner::is_leftover;
pub(super) use crate::owner::mark as unique;
use orch_ports::Fault;
use std::fs::{self, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

/// Prefix of a directory that holds nothing but what is being deleted.
const BIN: &str = ".discard-";

/// Runs file system work where it may block.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Fault> + Send + 'static,
) -> Result<T, Fault> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|e| Err(Fault::bug(format!("file work ended early: {e}"))))
}

/// A name that becomes one path component and must stay one.
pub(super) fn component(name: &str) -> Result<&str, Fault> {
    let plain = !name.is_empty() && !name.starts_with(['.', '-']) && !name.contains(['/', '\\', '\0', '\n']);
    if plain { Ok(name) } else { Err(Fault::bug(format!("'{name}' cannot name a directory"))) }
}

/// Is there a real directory here, not a link to one?
pub(super) fn is_real_dir(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|m| m.is_dir())
}

/// Names of the real directories in a directory that `component` would take; a directory that is not there has none.
pub(super) fn names_of_dirs(path: &Path) -> Result<Vec<String>, Fault> {
    let entries = match fs::read_dir(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(|e| io(path, "list", &e))?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|e| io(path, "list", &e))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if component(&name).is_ok() && is_real_dir(&entry.path()) {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// Creates a directory of orch's own and refuses one that has become a link.
pub(super) fn own_dir(path: &Path) -> Result<(), Fault> {
    fs::create_dir_all(path).map_err(|e| io(path, "create", &e))?;
    if is_real_dir(path) {
        Ok(())
    } else {
        Err(Fault::permanent(format!("{} is not a directory of its own: somebody replaced it", path.display())))
    }
}

/// Removes whatever is at `path`: a link itself, never its target; directories whatever their permissions. Nothing
/// being there is success.
pub(crate) fn discard(path: &Path) -> Result<(), Fault> {
    match fs::symlink_metadata(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
        Err(e) => Err(io(path, "look at", &e)),
        Ok(meta) if !meta.is_dir() => forgive(fs::remove_file(path), path, "remove"),
        Ok(_) => {
            let bin = path.with_file_name(format!("{BIN}{}", unique()));
            fs::create_dir_all(&bin).map_err(|e| io(&bin, "create", &e))?;
            open_up(path);
            forgive(fs::rename(path, bin.join("0")), path, "move away")?;
            empty(&bin)
        }
    }
}

/// Removes what earlier processes left half deleted in `dir`.
pub(super) fn sweep(dir: &Path) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(BIN)
            && is_leftover(&name)
            && let Err(fault) = empty(&entry.path())
        {
            tracing::warn!(%fault, "leftover of an interrupted removal stays");
        }
    }
}

/// Removes what begins with `prefix` and belongs to a process that is gone. What a process that runs has made is in use,
/// however old it looks. A git of a dead process may still be writing: what cannot be removed now goes at the next look.
pub(crate) fn sweep_leftovers(dir: &Path, prefix: &str) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(prefix)
            && is_leftover(&name)
            && let Err(fault) = discard(&entry.path())
        {
            tracing::warn!(%fault, "leftover of a process that is gone stays until the next look");
        }
    }
}

/// Deletes a bin: every directory in it is first moved to the top, so that no path ever grows long.
fn empty(bin: &Path) -> Result<(), Fault> {
    let mut queue: Vec<PathBuf> = list(bin)?.into_iter().map(|(path, _)| path).collect();
    while let Some(dir) = queue.pop() {
        open_up(&dir);
        for (path, is_dir) in list(&dir)? {
            if is_dir {
                let up = bin.join(unique());
                open_up(&path);
                forgive(fs::rename(&path, &up), &path, "move away")?;
                queue.push(up);
            } else {
                forgive(fs::remove_file(&path), &path, "remove")?;
            }
        }
        forgive(fs::remove_dir(&dir), &dir, "remove")?;
    }
    forgive(fs::remove_dir(bin), bin, "remove")
}

fn list(dir: &Path) -> Result<Vec<(PathBuf, bool)>, Fault> {
    match fs::read_dir(dir) {
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(vec![]),
        Err(e) => Err(io(dir, "list", &e)),
        Ok(entries) => {
            Ok(entries.flatten().map(|e| (e.path(), e.file_type().is_ok_and(|t| t.is_dir()))).collect::<Vec<_>>())
        }
    }
}

fn forgive(result: std::io::Result<()>, path: &Path, what: &str) -> Result<(), Fault> {
    match result {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(io(path, what, &e)),
        _ => Ok(()),
    }
}

/// Gives us back a directory that its permissions lock us out of; what cannot be opened shows at its first use.
fn open_up(dir: &Path) {
    if let Ok(meta) = fs::symlink_metadata(dir) {
        let mode = meta.permissions().mode();
        if meta.is_dir() && mode & 0o700 != 0o700 {
            let _ = fs::set_permissions(dir, Permissions::from_mode(mode | 0o700));
        }
    }
}

/// Makes a working directory safe and readable for `git add`: moves every nested `.git` to `aside`, so that nested
/// repositories are plain files to git and git never starts in one (their configuration names programs), and lifts
/// permissions that lock us out. The top `.git` is left alone: git skips it.
pub(super) fn neutralise(root: &Path, aside: &Path) -> Result<Walked, Fault> {
    let (mut unreadable, mut large) = (vec![], vec![]);
    let mut stack = vec![root.to_owned()];
    while let Some(dir) = stack.pop() {
        open_up(&dir);
        let Ok(entries) = fs::read_dir(&dir) else {
            unreadable.push(dir.strip_prefix(root).unwrap_or(&dir).to_owned());
            continue;
        };
        for entry in entries.flatten() {
            let path = entry.path();
            let Ok(kind) = entry.file_type() else { continue };
            if entry.file_name() == ".git" {
                if dir != root {
                    open_up(&path);
                    own_dir(aside)?;
                    forgive(fs::rename(&path, aside.join(unique())), &path, "move aside")?;
                }
            } else if kind.is_dir() {
                stack.push(path);
            } else if kind.is_file()
                && let Ok(meta) = entry.metadata()
            {
                let mode = meta.permissions().mode();
                if mode & 0o400 == 0 {
                    let _ = fs::set_permissions(&path, Permissions::from_mode(mode | 0o400));
                }
                if LARGEST < meta.len() {
                    large.push((path.strip_prefix(root).unwrap_or(&path).to_owned(), meta.len()));
                }
            }
        }
    }
    Ok(Walked { unreadable, large })
}

/// Largest file that git is given, bytes; it reads, packs and pushes what it is given, minutes for each of these.
pub(super) const LARGEST: u64 = 256 * 1024 * 1024;

/// What was seen of a working directory that was made readable. Paths are relative to it.
pub(super) struct Walked {
    /// What stays unreadable.
    pub(super) unreadable: Vec<PathBuf>,
    /// Files above [`LARGEST`], with their bytes.
    pub(super) large: Vec<(PathBuf, u64)>,
}

/// `root` joined with a path of the repository, if every directory on the way is a real one and so below `root`.
pub(super) fn inside(root: &Path, path: &str) -> Result<Option<PathBuf>, Fault> {
    let relative = Path::new(path);
    if path.is_empty() || !relative.components().all(|c| matches!(c, Component::Normal(_))) {
        return Err(Fault::bug(format!("'{path}' is not a path in a repository")));
    }
    let full = root.join(relative);
    let mut way = full.parent();
    while let Some(dir) = way.filter(|d| *d != root) {
        if !is_real_dir(dir) {
            return Ok(None);
        }
        way = dir.parent();
    }
    Ok(Some(full))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_goes_whatever_its_permissions_depth_or_links() {
        let tmp = tempfile::tempdir().unwrap();
        let outside = tmp.path().join("outside");
        fs::write(&outside, "kept").unwrap();
        let root = tmp.path().join("root");
        fs::create_dir(&root).unwrap();
        std::os::unix::fs::symlink(tmp.path(), root.join("link")).unwrap();
        let locked = root.join("locked");
        fs::create_dir(&locked).unwrap();
        fs::write(locked.join("file"), "x").unwrap();
        fs::set_permissions(&locked, Permissions::from_mode(0o000)).unwrap();
        // Deeper than any path the system takes: grown from the inside out.
        let mut deep = tmp.path().join("deep-0");
        fs::create_dir(&deep).unwrap();
        for n in 1..60 {
            let outer = tmp.path().join(format!("deep-{n}"));
            fs::create_dir(&outer).unwrap();
            fs::rename(&deep, outer.join("x".repeat(200))).unwrap();
            deep = outer;
        }
        fs::rename(&deep, root.join("deep")).unwrap();
        discard(&root).unwrap();
        discard(&root).unwrap();
        assert_eq!(fs::read_to_string(&outside).unwrap(), "kept");
        assert_eq!(fs::read_dir(tmp.path()).unwrap().count(), 1, "no bin is left");
    }

    #[test]
    fn names_that_would_leave_their_directory_are_refused() {
        for name in ["", "..", ".hidden", "a/b", "-x", "a\0b"] {
            assert!(component(name).is_err(), "{name}");
        }
        assert!(component("DEMO-1").is_ok());
        let tmp = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/etc", tmp.path().join("docs")).unwrap();
        assert_eq!(inside(tmp.path(), "docs/passwd").unwrap(), None);
        assert!(inside(tmp.path(), "../x").is_err());
        assert!(inside(tmp.path(), "/etc/passwd").is_err());
    }
}
