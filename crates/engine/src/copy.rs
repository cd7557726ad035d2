//! Copies of directory trees, and how one tells that somebody has changed one. A copy shares no inode with what it was made
//! from: what is written into it does not reach it.

use crate::text::hex;
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};
use sha2::{Digest as _, Sha256};
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// Looks at every entry of a tree: the name, kind, size, times and inode of each file. Nobody but the system sets a change
/// time, so that a file which was written since does not look the same.
///
/// # Errors
/// Something cannot be read.
pub(crate) fn look(root: &Path) -> io::Result<String> {
    let mut seen = Sha256::new();
    walk(root, Path::new(""), &mut |path, meta| {
        note(&mut seen, path, meta);
        Ok(())
    })?;
    Ok(hex(&seen.finalize()))
}

/// Copies a tree to a place where nothing is or an empty directory, with permissions and times; links are copied as links, and
/// one that leads below the first of a pair leads below the second then. Returns what [`look`] says of `from` meanwhile.
///
/// # Errors
/// Something cannot be read or written: a part of the copy is there.
pub(crate) fn copy(from: &Path, to: &Path, moved: &[(PathBuf, PathBuf)]) -> io::Result<String> {
    let mut seen = Sha256::new();
    let mut dirs = Vec::new();
    walk(from, Path::new(""), &mut |path, meta| {
        note(&mut seen, path, meta);
        let (here, there) = (from.join(path), to.join(path));
        if meta.is_dir() {
            match fs::create_dir(&there) {
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists && path == Path::new("") => {}
                made => made?,
            }
            dirs.push((there, meta.clone()));
        } else if meta.is_symlink() {
            let target = fs::read_link(&here)?;
            let of = |(old, new): &(PathBuf, PathBuf)| target.strip_prefix(old).ok().map(|rest| new.join(rest));
            std::os::unix::fs::symlink(moved.iter().find_map(of).unwrap_or(target), &there)?;
        } else if meta.is_file() {
            // Shares blocks where the file system can.
            fs::copy(&here, &there)?;
            dated(&there, meta)?;
        }
        Ok(())
    })?;
    // From the inside out: a directory that nobody may write to is filled before.
    for (dir, meta) in dirs.iter().rev() {
        fs::set_permissions(dir, fs::Permissions::from_mode(meta.mode() & 0o7777))?;
        dated(dir, meta)?;
    }
    Ok(hex(&seen.finalize()))
}

/// In the order of names, each directory before what is in it.
fn walk(root: &Path, path: &Path, visit: &mut impl FnMut(&Path, &Metadata) -> io::Result<()>) -> io::Result<()> {
    let meta = fs::symlink_metadata(root.join(path))?;
    visit(path, &meta)?;
    if meta.is_dir() {
        let names = fs::read_dir(root.join(path))?.map(|entry| Ok(entry?.file_name()));
        let mut names = names.collect::<io::Result<Vec<_>>>()?;
        names.sort_unstable();
        for name in names {
            walk(root, &path.join(name), visit)?;
        }
    }
    Ok(())
}

fn note(seen: &mut Sha256, path: &Path, meta: &Metadata) {
    seen.update(path.as_os_str().as_bytes());
    seen.update([0]);
    seen.update(meta.mode().to_le_bytes());
    if !meta.is_dir() {
        for number in [meta.ctime(), meta.ctime_nsec(), meta.mtime(), meta.mtime_nsec()] {
            seen.update(number.to_le_bytes());
        }
        seen.update(meta.ino().to_le_bytes());
        seen.update(meta.len().to_le_bytes());
    }
}

/// Build tools compare times.
fn dated(path: &Path, meta: &Metadata) -> io::Result<()> {
    let of = |tv_sec: i64, tv_nsec: i64| Timespec { tv_sec, tv_nsec };
    let times = Timestamps {
        last_access: of(meta.atime(), meta.atime_nsec()),
        last_modification: of(meta.mtime(), meta.mtime_nsec()),
    };
    Ok(utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_copy_is_the_same_and_nothing_written_into_it_reaches_the_first() {
        let temp = tempfile::tempdir().unwrap();
        let (from, to) = (temp.path().join("from"), temp.path().join("to"));
        fs::create_dir_all(from.join("go/mod")).unwrap();
        fs::write(from.join("go/mod/a"), "one").unwrap();
        fs::hard_link(from.join("go/mod/a"), from.join("b")).unwrap();
        fs::set_permissions(from.join("b"), fs::Permissions::from_mode(0o755)).unwrap();
        symlink("b", from.join("near")).unwrap();
        symlink(from.join("go/mod/a"), from.join("far")).unwrap();
        symlink("/etc/passwd", from.join("out")).unwrap();
        let old = Timespec { tv_sec: 1_000_000, tv_nsec: 5 };
        let times = Timestamps { last_access: old, last_modification: old };
        utimensat(CWD, from.join("b"), &times, AtFlags::empty()).unwrap();
        fs::set_permissions(from.join("go/mod"), fs::Permissions::from_mode(0o555)).unwrap();
        let before = look(&from).unwrap();
        assert_eq!(copy(&from, &to, &[(from.clone(), to.clone())]).unwrap(), before);
        let meta = fs::metadata(to.join("b")).unwrap();
        assert_eq!((meta.mode() & 0o777, meta.mtime(), meta.mtime_nsec()), (0o755, 1_000_000, 5));
        assert_eq!(fs::metadata(to.join("go/mod")).unwrap().mode() & 0o777, 0o555);
        let leads = |name: &str| fs::read_link(to.join(name)).unwrap();
        assert_eq!(
            (leads("near"), leads("far"), leads("out")),
            ("b".into(), to.join("go/mod/a"), "/etc/passwd".into())
        );
        fs::set_permissions(to.join("go/mod/a"), fs::Permissions::from_mode(0o644)).unwrap();
        fs::write(to.join("go/mod/a"), "two").unwrap();
        fs::write(to.join("b"), "two").unwrap();
        assert_eq!(fs::read_to_string(from.join("b")).unwrap(), "one");
        assert_eq!(look(&from).unwrap(), before);
        fs::set_permissions(from.join("go/mod"), fs::Permissions::from_mode(0o755)).unwrap();
    }

    #[test]
    fn a_change_shows_whatever_its_times_say() {
        let temp = tempfile::tempdir().unwrap();
        let file = temp.path().join("tool");
        fs::write(&file, "good").unwrap();
        let (before, meta) = (look(temp.path()).unwrap(), fs::metadata(&file).unwrap());
        // The clock of files stands still for some milliseconds at a time.
        while fs::metadata(&file).unwrap().ctime_nsec() == meta.ctime_nsec() {
            fs::write(&file, "evil").unwrap();
            dated(&file, &meta).unwrap();
        }
        assert_eq!(fs::metadata(&file).unwrap().mtime_nsec(), meta.mtime_nsec());
        assert_ne!(look(temp.path()).unwrap(), before, "as long, as old, in the same place");
        let (before, more) = (look(temp.path()).unwrap(), temp.path().join("more"));
        fs::write(&more, "").unwrap();
        assert_ne!(look(temp.path()).unwrap(), before);
        fs::remove_file(&more).unwrap();
        assert_eq!(look(temp.path()).unwrap(), before);
    }
}
