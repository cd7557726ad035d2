//! Takes over zips that somebody brought. Decides whether a file is a feed of OSV and of which ecosystem, by what is in
//! it and never by its name; it may never leave a mirror half written or replace a good feed by nonsense: the copy is
//! checked, and only then moved into its place in one step.

use super::zipped::{self, Entry};
use super::{AsOf, Newest, file_time};
use crate::Ecosystem;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufReader, Read, Seek};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use zip::read::Config;
use zip::unstable::read::ZipIterable;

/// Largest zip that is taken.
const MAX_ZIP: u64 = 4 * 1024 * 1024 * 1024;

/// A feed that was taken over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// Of which packages.
    pub ecosystem: Ecosystem,
    /// Where it is now.
    pub path: PathBuf,
    /// Records in it.
    pub records: u64,
    /// Records that could not be read; a feed with more than one in a hundred is refused.
    pub unreadable: u64,
    /// How old it is.
    pub as_of: AsOf,
    /// How many records the feed had that it replaces. Many more than now: worth a look.
    pub before: Option<u64>,
}

/// Why nothing was taken over. What was there before still is.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// It is not there, or not for us to read.
    #[error("{path} cannot be read: {why}")]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        why: io::Error,
    },
    /// It is no feed.
    #[error("{path} {why}")]
    NotOsv {
        /// Which file.
        path: PathBuf,
        /// A fragment for people.
        why: String,
    },
    /// The mirror cannot be written.
    #[error("{path} cannot be written: {why}")]
    NotWritten {
        /// Which file or directory.
        path: PathBuf,
        /// What the system says.
        why: io::Error,
    },
}

/// Takes over a zip, or every zip of a directory (`*.zip` and `*/all.zip`), into `osv_dir`. All of a directory are
/// checked before the first is put in its place.
pub fn import(from: &Path, osv_dir: &Path) -> Result<Vec<Imported>, ImportError> {
    let unreadable = |why| ImportError::Unreadable { path: from.to_owned(), why };
    let zips = if fs::metadata(from).map_err(unreadable)?.is_dir() {
        let zips = zips_below(from).map_err(unreadable)?;
        if zips.is_empty() {
            let why = "holds no zip: expected `<ECOSYSTEM>/all.zip` or `*.zip`".into();
            return Err(ImportError::NotOsv { path: from.to_owned(), why });
        }
        zips
    } else {
        vec![from.to_owned()]
    };
    fs::create_dir_all(osv_dir).map_err(|why| ImportError::NotWritten { path: osv_dir.to_owned(), why })?;
    let mut checked = Vec::new();
    for zip in &zips {
        checked.push(check(zip, osv_dir)?);
    }
    let mut seen: BTreeMap<Ecosystem, &Path> = BTreeMap::new();
    for ((_, found), zip) in checked.iter().zip(&zips) {
        if let Some(other) = seen.insert(found.ecosystem, zip) {
            let why = format!("holds advisories for {}, and so does {}", found.ecosystem, other.display());
            return Err(ImportError::NotOsv { path: zip.clone(), why });
        }
    }
    checked.into_iter().map(|(copy, found)| put(copy, found)).collect()
}

fn zips_below(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let inner = path.join("all.zip");
        if path.is_file() && path.extension().is_some_and(|e| e.eq_ignore_ascii_case("zip")) {
            found.push(path);
        } else if inner.is_file() {
            found.push(inner);
        }
    }
    found.sort();
    Ok(found)
}

/// Copies a zip beside its later place and checks the copy: what was checked is what is put there.
fn check(from: &Path, osv_dir: &Path) -> Result<(tempfile::NamedTempFile, Imported), ImportError> {
    let unreadable = |why| ImportError::Unreadable { path: from.to_owned(), why };
    let not_written = |why| ImportError::NotWritten { path: osv_dir.to_owned(), why };
    let refuse = |why: String| ImportError::NotOsv { path: from.to_owned(), why };
    let source = File::open(from).map_err(unreadable)?;
    let written = source.metadata().ok().and_then(|meta| file_time(&meta));
    let mut copy = tempfile::NamedTempFile::new_in(osv_dir).map_err(not_written)?;
    // A pipe or a device would never end.
    let copied = io::copy(&mut source.take(MAX_ZIP + 1), copy.as_file_mut()).map_err(not_written)?;
    if copied > MAX_ZIP {
        return Err(refuse(format!("is larger than {} GiB", MAX_ZIP >> 30)));
    }
    copy.as_file_mut().rewind().map_err(not_written)?;
    let mut newest = Newest::before(written);
    let (mut records, mut unreadable, mut example) = (0_u64, 0_u64, None);
    let mut names: BTreeMap<String, u64> = BTreeMap::new();
    let ended = zipped::walk(copy.as_file(), |name, entry| {
        records += 1;
        match entry {
            Entry::Broken(why) => {
                unreadable += 1;
                example.get_or_insert_with(|| format!("{name} {}", crate::text::short(&why)));
            }
            Entry::Whole(outline, _) if outline.id.trim().is_empty() => unreadable += 1,
            Entry::Whole(outline, _) => {
                newest.see(&outline.modified);
                let packages = outline.affected.iter().filter_map(|a| a.package.as_ref());
                let mut of: Vec<&str> = packages.map(|p| p.ecosystem.split(':').next().unwrap_or_default()).collect();
                of.sort_unstable();
                of.dedup();
                for ecosystem in of {
                    // A file of nonsense may have as many of them as it likes.
                    if names.len() < 1000 || names.contains_key(ecosystem) {
                        *names.entry(ecosystem.to_owned()).or_default() += 1;
                    }
                }
            }
        }
    });
    ended.map_err(|why| refuse(crate::text::short(&why)))?;
    if records == 0 {
        return Err(refuse("holds no OSV records: there is no .json file in it".into()));
    }
    if unreadable.saturating_mul(100) > records {
        let example = example.unwrap_or_else(|| "one without an id".into());
        return Err(refuse(format!(
            "is no feed of OSV: {unreadable} of its {records} files cannot be read, such as {example}"
        )));
    }
    let Some((name, of_it)) = names.iter().max_by_key(|(_, count)| **count) else {
        return Err(refuse("is no feed of OSV: its records name no packages".into()));
    };
    if of_it.saturating_mul(100) < (records - unreadable).saturating_mul(99) {
        let why = format!("is no feed of one ecosystem: only {of_it} of its {records} records are about {name}");
        return Err(refuse(why));
    }
    let Some(ecosystem) = Ecosystem::of(name) else {
        let known = Ecosystem::ALL.map(Ecosystem::name).join(", ");
        return Err(refuse(format!("holds advisories for {name}, which nothing here uses (only {known})")));
    };
    // Public knowledge, and often brought by another user than the one who reads it.
    let everybody = fs::Permissions::from_mode(0o644);
    copy.as_file().set_permissions(everybody).and_then(|()| copy.as_file().sync_all()).map_err(not_written)?;
    let path = osv_dir.join(ecosystem.name()).join("all.zip");
    let before = File::open(&path).ok().and_then(|old| count(&old));
    Ok((copy, Imported { ecosystem, path, records, unreadable, as_of: newest.as_of(written), before }))
}

fn count(zip: &File) -> Option<u64> {
    let zip = ZipIterable::try_new(BufReader::new(zip), Config::default()).ok()?;
    u64::try_from(zip.len()).ok()
}

fn put(copy: tempfile::NamedTempFile, found: Imported) -> Result<Imported, ImportError> {
    let not_written = |why| ImportError::NotWritten { path: found.path.clone(), why };
    if let Some(dir) = found.path.parent() {
        fs::create_dir_all(dir).map_err(not_written)?;
    }
    copy.persist(&found.path).map_err(|e| not_written(e.error))?;
    // The rename itself has to survive a power cut as well.
    if let Some(dir) = found.path.parent() {
        File::open(dir).and_then(|dir| dir.sync_all()).map_err(not_written)?;
    }
    Ok(found)
}
