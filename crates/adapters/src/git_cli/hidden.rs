//! What an agent's clone hides. A file that is not in the working directory was deleted, or the clone does not show it: a
//! sparse checkout, an entry of the index that git was asked not to look at, a directory that cannot be read or that
//! something is mounted over. Decides which absent files must not be taken for deleted.
//!
//! The clone's `.git` is the agent's. Its index and configuration are read here as bytes, by no git, and count in one
//! direction only: they can refuse a deletion, never allow one. What this cannot see: files that were taken out of the
//! index as well (`git rm`, a new `git init`), and what only the agent's own mount namespace hid. What is left of those is
//! caught by the size of the deletion.

use super::dirs::{inside, is_real_dir};
use orch_ports::Fault;
use rustix::fs::OFlags;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs;
use std::io::{ErrorKind, Read as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// A larger index is not read: ten million files.
const LARGEST_INDEX: u64 = 1024 * 1024 * 1024;
/// A larger configuration file is not read.
const LARGEST_CONFIG: u64 = 1024 * 1024;

const SKIPPED: &str = "the clone's index says that git does not look at it (skip-worktree)";
const ASSUMED: &str = "the clone's index says that it is unchanged (assume-unchanged)";
const OUTSIDE: &str = "it lies outside the clone's sparse checkout";

/// A path that is not in the working directory.
pub(super) struct Absent<'a> {
    pub(super) path: &'a [u8],
    /// Is its content there under another name?
    pub(super) moved: bool,
    /// Did the clone's index know it when the clone was made?
    pub(super) known: bool,
}

/// The absent files that were not shown, with the reason; those that are left out were deleted, as far as can be seen.
/// Transient: a file is there after all, so whatever says that it is absent is wrong. `closed` are the directories that
/// cannot be read, below `worktree`; `id_bytes` is the length of an object id.
pub(super) fn hidden(
    worktree: &Path,
    closed: &[PathBuf],
    id_bytes: usize,
    absent: &[Absent<'_>],
) -> Result<Vec<(Vec<u8>, String)>, Fault> {
    if absent.is_empty() {
        return Ok(Vec::new());
    }
    let mounts = mounts_below(worktree);
    let clone = Clone::read(&worktree.join(".git"), id_bytes);
    let mut found = Vec::new();
    for file in absent {
        let relative = Path::new(OsStr::from_bytes(file.path));
        let below = |dirs: &[PathBuf]| dirs.iter().any(|dir| relative.starts_with(dir));
        let why = if below(closed) {
            Some("its directory cannot be read".to_owned())
        } else if below(&mounts) {
            Some("something is mounted over its directory".to_owned())
        } else if let Some(why) = unreadable(worktree, file.path)? {
            Some(why)
        } else {
            clone.hides(file)
        };
        found.extend(why.map(|why| (file.path.to_vec(), why)));
    }
    Ok(found)
}

/// Why it cannot be said whether this file is there.
fn unreadable(worktree: &Path, path: &[u8]) -> Result<Option<String>, Fault> {
    let Ok(text) = std::str::from_utf8(path) else { return Ok(None) };
    let Some(full) = inside(worktree, text)? else { return Ok(None) };
    match fs::symlink_metadata(&full) {
        Ok(meta) if meta.is_file() || meta.is_symlink() => {
            Err(Fault::transient(format!("{text} is in the working directory, and git took it for deleted")))
        }
        Ok(_) => Ok(None),
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(e) => Ok(Some(format!("it cannot be looked at: {e}"))),
    }
}

/// What the clone's own files say of what it shows.
#[derive(Debug, Default)]
struct Clone {
    /// By path; with a slash at the end for a directory that a sparse index keeps as one entry.
    paths: HashMap<Vec<u8>, &'static str>,
    /// Its configuration says that it shows only a part, or another directory.
    partial: Option<&'static str>,
    /// Why its index cannot be read.
    unknown: Option<String>,
}

impl Clone {
    fn read(dot_git: &Path, id_bytes: usize) -> Self {
        if !is_real_dir(dot_git) {
            let unknown = Some("the clone's .git directory was removed or replaced".to_owned());
            return Self { unknown, ..Self::default() };
        }
        let read = bytes(&dot_git.join("index"), LARGEST_INDEX).and_then(|index| flagged(&index, id_bytes));
        let partial = partial(dot_git);
        match read {
            Ok(paths) => Self { paths, partial, unknown: None },
            Err(why) => Self { partial, unknown: Some(format!("the clone's index {why}")), ..Self::default() },
        }
    }

    fn hides(&self, file: &Absent<'_>) -> Option<String> {
        if let Some(why) = self.paths.get(file.path) {
            return Some((*why).to_owned());
        }
        let mut ends = file.path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at + 1);
        if let Some(why) = ends.find_map(|end| self.paths.get(&file.path[..end])) {
            return Some((*why).to_owned());
        }
        if file.moved {
            return None;
        }
        match &self.unknown {
            Some(why) if file.known => Some(format!("{why}, so that whether it was shown is not known")),
            _ => self.partial.map(str::to_owned),
        }
    }
}

/// A regular file's bytes, through no link.
fn bytes(path: &Path, largest: u64) -> Result<Vec<u8>, String> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits();
    let open = fs::OpenOptions::new().read(true).custom_flags(flags as i32).open(path);
    let file = open.map_err(|e| format!("cannot be opened: {e}"))?;
    let meta = file.metadata().map_err(|e| format!("cannot be looked at: {e}"))?;
    if !meta.is_file() || meta.len() > largest {
        return Err("is no file of a size that is read".into());
    }
    let mut bytes = Vec::new();
    file.take(largest).read_to_end(&mut bytes).map_err(|e| format!("cannot be read: {e}"))?;
    Ok(bytes)
}

/// The paths of an index that git does not look at in the working directory.
///
/// Versions 2 to 4, as gitformat-index(5) has them: a header of 12 bytes; entries of 40 bytes of file data (the mode at
/// 24), an id, 16 bits of flags and 16 more if bit 14 is set, and a name; extensions; a checksum.
fn flagged(index: &[u8], id_bytes: usize) -> Result<HashMap<Vec<u8>, &'static str>, String> {
    let short = || "ends too early".to_owned();
    let number = |at: usize| -> Result<u32, String> {
        let four: [u8; 4] = index.get(at..at + 4).and_then(|b| b.try_into().ok()).ok_or_else(short)?;
        Ok(u32::from_be_bytes(four))
    };
    let half = |at: usize| -> Result<u16, String> {
        let two: [u8; 2] = index.get(at..at + 2).and_then(|b| b.try_into().ok()).ok_or_else(short)?;
        Ok(u16::from_be_bytes(two))
    };
    if index.get(..4) != Some(b"DIRC") {
        return Err("does not begin as one".into());
    }
    let (version, count) = (number(4)?, number(8)?);
    if !(2..=4).contains(&version) {
        return Err(format!("has the version {version}"));
    }
    let mut found = HashMap::new();
    let (mut at, mut name) = (12, Vec::new());
    for _ in 0..count {
        let begin = at;
        let mode = number(begin + 24)?;
        at += 40 + id_bytes;
        let flags = half(at)?;
        at += 2;
        let mut more = 0;
        if flags & 0x4000 != 0 {
            more = half(at)?;
            at += 2;
        }
        if version == 4 {
            let (strip, next) = varint(index, at).ok_or_else(short)?;
            let keep = name.len().checked_sub(strip).ok_or("strips more of a name than it has")?;
            name.truncate(keep);
            at = next;
        } else {
            name.clear();
        }
        let rest = index.get(at..).ok_or_else(short)?;
        let end = rest.iter().position(|byte| *byte == 0).ok_or_else(short)?;
        name.extend_from_slice(&rest[..end]);
        at += end + 1;
        if version < 4 {
            // Padded with at least one NUL to a multiple of eight.
            at = begin + (at - begin).next_multiple_of(8);
        }
        let why = match (mode, flags & 0x8000 != 0, more & 0x4000 != 0) {
            (0o040_000, ..) => OUTSIDE,
            (_, _, true) => SKIPPED,
            (_, true, _) => ASSUMED,
            _ => continue,
        };
        let mut path = name.clone();
        if mode == 0o040_000 && path.last() != Some(&b'/') {
            path.push(b'/');
        }
        found.insert(path, why);
    }
    let end = index.len().checked_sub(id_bytes).filter(|end| at <= *end).ok_or_else(short)?;
    while at + 8 <= end {
        if index[at..].starts_with(b"link") {
            return Err("is split in two".into());
        }
        at = at.saturating_add(8).saturating_add(number(at + 4)? as usize);
    }
    Ok(found)
}

/// Git's number of variable length: seven bits a byte, the most significant first, each further byte adds one.
fn varint(bytes: &[u8], mut at: usize) -> Option<(usize, usize)> {
    let mut value = 0_usize;
    loop {
        let byte = *bytes.get(at)?;
        at += 1;
        value = value.checked_mul(128)?.checked_add(usize::from(byte & 0x7f))?;
        if byte & 0x80 == 0 {
            return Some((value, at));
        }
        value = value.checked_add(1)?;
    }
}

/// Does the clone's configuration say that it shows only a part of its files? The last word counts, as with git;
/// `config.worktree` is read behind `config`.
fn partial(dot_git: &Path) -> Option<&'static str> {
    let (mut sparse, mut elsewhere) = (false, false);
    for name in ["config", "config.worktree"] {
        let Ok(text) = bytes(&dot_git.join(name), LARGEST_CONFIG) else { continue };
        for line in String::from_utf8_lossy(&text).to_ascii_lowercase().lines() {
            let line = line.trim_start();
            let line = if line.starts_with('[') { line.split_once(']').map_or("", |(_, rest)| rest) } else { line };
            let line = line.split(['#', ';']).next().unwrap_or_default();
            let (key, value) = line.split_once('=').unwrap_or((line, "true"));
            let value = value.trim().trim_matches('"');
            match key.trim() {
                "sparsecheckout" => sparse = !matches!(value, "" | "false" | "no" | "off" | "0"),
                "worktree" => elsewhere = !value.is_empty(),
                _ => {}
            }
        }
    }
    match (sparse, elsewhere) {
        (true, _) => Some("the clone is a sparse checkout, which shows only a part of its files"),
        (_, true) => Some("the clone's configuration names another directory for its files"),
        _ => None,
    }
}

/// Places below `root` that something is mounted on, relative to it. As this process sees them; on Linux only.
fn mounts_below(root: &Path) -> Vec<PathBuf> {
    let Ok(table) = fs::read("/proc/self/mountinfo") else { return Vec::new() };
    let root = fs::canonicalize(root).unwrap_or_else(|_| root.to_owned());
    let places = table.split(|b| *b == b'\n').filter_map(|line| line.split(|b| *b == b' ').nth(4));
    let places = places.map(|place| PathBuf::from(std::ffi::OsString::from_vec(unescaped(place))));
    places
        .filter_map(|place| place.strip_prefix(&root).ok().map(Path::to_owned))
        .filter(|p| p != Path::new(""))
        .collect()
}

/// `\040` and the like of a mount table.
fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        let octal =
            text.get(at + 1..at + 4).filter(|d| text[at] == b'\\' && d.iter().all(|b| (b'0'..=b'7').contains(b)));
        let byte = octal.map_or(u32::from(text[at]), |d| d.iter().fold(0, |n, b| n * 8 + u32::from(b - b'0')));
        out.push(u8::try_from(byte).unwrap_or(b'?'));
        at += if octal.is_some() { 4 } else { 1 };
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn git(dir: &Path, args: &[&str]) {
        let out = std::process::Command::new("git").current_dir(dir).args(args).output().unwrap();
        assert!(out.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&out.stderr));
    }

    /// The index of a repository with 30 files of long and short names, two of them hidden.
    fn index(version: &str, format: &str) -> Vec<u8> {
        let tmp = tempfile::tempdir().unwrap();
        git(tmp.path(), &["init", "-q", &format!("--object-format={format}")]);
        for n in 0..30 {
            let file = tmp.path().join(format!("{}/{}", "d".repeat(n % 9 + 1), "f".repeat(n * 3 + 1)));
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, "x").unwrap();
        }
        git(tmp.path(), &["add", "-A"]);
        git(tmp.path(), &["update-index", "--index-version", version]);
        git(tmp.path(), &["update-index", "--skip-worktree", "d/f"]);
        git(tmp.path(), &["update-index", "--assume-unchanged", &format!("dd/{}", "f".repeat(4))]);
        fs::read(tmp.path().join(".git/index")).unwrap()
    }

    #[test]
    fn an_index_of_any_version_is_read_and_one_that_is_cut_or_scrambled_never_panics() {
        for (version, format, id) in [("2", "sha1", 20), ("3", "sha1", 20), ("4", "sha1", 20), ("4", "sha256", 32)] {
            let bytes = index(version, format);
            let found = flagged(&bytes, id).unwrap();
            let mut paths: Vec<_> =
                found.iter().map(|(path, why)| (String::from_utf8_lossy(path).into_owned(), *why)).collect();
            paths.sort();
            assert_eq!(paths, [("d/f".to_owned(), SKIPPED), ("dd/ffff".to_owned(), ASSUMED)], "{version} {format}");
            let entries = bytes.len() - id;
            for cut in 0..entries {
                // Behind the last entry only extensions are missing.
                let _ = flagged(&bytes[..cut], id);
            }
            assert!(flagged(&bytes[..entries / 2], id).is_err());
            for at in 0..bytes.len() {
                let mut other = bytes.clone();
                other[at] ^= 0xff;
                let _ = flagged(&other, id);
            }
        }
    }

    #[test]
    fn what_lies_in_a_directory_that_cannot_be_read_is_not_deleted() {
        let tmp = tempfile::tempdir().unwrap();
        git(tmp.path(), &["init", "-q"]);
        fs::create_dir_all(tmp.path().join("open")).unwrap();
        fs::write(tmp.path().join("open/there"), "x").unwrap();
        git(tmp.path(), &["add", "-A"]);
        let absent = |path| [Absent { path, moved: false, known: true }];
        let closed = [PathBuf::from("locked/inner")];
        let ask = |path| hidden(tmp.path(), &closed, 20, &absent(path));
        assert!(ask(b"locked/inner/x").unwrap()[0].1.contains("cannot be read"));
        assert_eq!(ask(b"locked/other").unwrap(), []);
        assert_eq!(ask(b"open/gone").unwrap(), []);
        let fault = ask(b"open/there").unwrap_err();
        assert!(fault.is_transient() && fault.text.contains("open/there"), "{fault}");
    }

    #[test]
    fn what_a_mount_table_escapes_is_read() {
        assert_eq!(unescaped(br"/a\040b\011c\\"), b"/a b\tc\\\\");
        assert_eq!(unescaped(br"/a\9"), br"/a\9");
    }
}
