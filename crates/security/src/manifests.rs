//! The manifests of a commit: by name, through links, with the files they include. A file that cannot be read is said, and
//! which content it was that could not be; it is never taken for one that names no packages.

use super::secrets::batches;
use super::tree::Tree;
use crate::Range;
use orch_advisories::manifests::{self, Kind};
use orch_advisories::{is_manifest, unlocked};
use orch_ports::Fault;
use orch_ports::git::{Entry, EntryKind};
use orch_ports::security::ManifestFile;
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// Most manifests that are read; a repository with more says so.
const MOST: usize = 1_000;
/// Largest manifest that is read, bytes.
const LARGEST: u64 = 32 * 1024 * 1024;
/// Most bytes of manifests held at a time.
const MOST_BYTES: u64 = 256 * 1024 * 1024;

/// What was found at a commit.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Whole, in the order of their paths.
    pub(super) files: Vec<ManifestFile>,
    /// What could not be read: path and content it has, and why.
    pub(super) unreadable: BTreeMap<(String, String), String>,
    /// What was left out because there is too much, and is the same on the other side.
    pub(super) left_out: Vec<String>,
    /// Projects that pin nothing.
    pub(super) unlocked: Vec<String>,
}

/// A manifest under one of its names.
struct Wanted<'e> {
    path: String,
    kind: Kind,
    file: &'e Entry,
}

/// Everything that names packages at a commit. Where there is too much to be read, what `other`, the other side, has as
/// well comes last: what a branch changes is not hidden by adding more.
pub(super) async fn find(range: &Range<'_>, all: &[Entry], other: &[Entry]) -> Result<Found, Fault> {
    let tree = Tree::read(range, all).await?;
    let old: HashSet<(&str, &str)> = other.iter().map(|e| (e.path.as_str(), e.oid.as_str())).collect();
    let mut found = Found { unlocked: unlocked(all.iter().map(|e| e.path.as_str())), ..Found::default() };
    let mut wanted = named(&tree, &mut found);
    let mut seen: BTreeSet<String> = wanted.iter().map(|w| w.path.clone()).collect();
    let unchanged = |w: &Wanted<'_>| old.contains(&(w.path.as_str(), w.file.oid.as_str()));
    wanted.sort_by_key(unchanged);
    // As many files that are included come on top.
    let (mut left, mut bytes, mut included) = (MOST, 0, false);
    while !wanted.is_empty() {
        let mut read = Vec::new();
        for one in std::mem::take(&mut wanted) {
            let too_much = left == 0 || bytes + one.file.size > MOST_BYTES;
            if one.file.size > LARGEST {
                let why = format!("it is too large to be read ({} bytes)", one.file.size);
                found.unreadable.insert((one.path, one.file.oid.clone()), why);
            } else if too_much && !included && unchanged(&one) {
                found.left_out.push(one.path);
            } else if too_much {
                let why = format!("there are too many manifests: {MOST}, and {MOST_BYTES} bytes, are read");
                found.unreadable.insert((one.path, one.file.oid.clone()), why);
            } else {
                (left, bytes) = (left - 1, bytes + one.file.size);
                read.push(one);
            }
        }
        if !included {
            (left, included) = (MOST, true);
        }
        for some in batches(&read, |w| w.file.size) {
            let ids: Vec<String> = some.iter().map(|w| w.file.oid.clone()).collect();
            for (one, bytes) in some.iter().zip(range.git.read_objects(range.project, &ids).await?) {
                for include in manifests::read(one.kind, &one.path, &bytes).includes {
                    if !seen.insert(include.clone()) {
                        continue;
                    }
                    match tree.file(&include) {
                        Ok(file) => wanted.push(Wanted { path: include, kind: Kind::Requirements, file }),
                        Err((oid, why)) => {
                            found.unreadable.insert((include, oid), format!("{} names it, and {why}", one.path));
                        }
                    }
                }
                found.files.push(ManifestFile { path: one.path.clone(), bytes });
            }
        }
    }
    found.files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

/// Everything that has the name of a manifest.
fn named<'e>(tree: &Tree<'e>, found: &mut Found) -> Vec<Wanted<'e>> {
    let mut wanted = Vec::new();
    for entry in tree.all {
        if let Some(kind) = is_manifest(&entry.path) {
            match tree.file(&entry.path) {
                // Of two names that are shown alike, each stands for itself.
                _ if entry.kind == EntryKind::File => {
                    wanted.push(Wanted { path: entry.path.clone(), kind, file: entry });
                }
                Ok(file) => wanted.push(Wanted { path: entry.path.clone(), kind, file }),
                Err((oid, why)) => {
                    found.unreadable.insert((entry.path.clone(), oid), why);
                }
            }
        }
        // What makes a file a manifest may be the directory it is in, and that may be a link.
        let name = entry.path.rsplit('/').next().unwrap_or_default();
        if entry.kind == EntryKind::Link && name.eq_ignore_ascii_case("requirements") {
            let dir = match tree.place(&entry.path) {
                Ok(dir) => dir,
                Err(why) => {
                    found.unreadable.insert((entry.path.clone(), entry.oid.clone()), why);
                    continue;
                }
            };
            let below = |e: &&'e Entry| e.path.strip_prefix(&dir).is_some_and(|rest| rest.starts_with('/'));
            for file in tree.all.iter().filter(below).filter(|e| e.kind == EntryKind::File) {
                let path = format!("{}{}", entry.path, &file.path[dir.len()..]);
                if let (Some(kind), None) = (is_manifest(&path), is_manifest(&file.path)) {
                    wanted.push(Wanted { path, kind, file });
                }
            }
        }
    }
    wanted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::tests::{entries, tree};

    #[test]
    fn a_manifest_is_one_under_every_name_that_makes_it_one() {
        let of = [
            "deps/base.txt",
            "deps/requirements-dev.txt",
            "requirements -> deps",
            "poetry.lock -> nowhere",
            "notes.txt -> deps/base.txt",
            "Cargo.lock",
        ];
        let all = entries(&of);
        let mut found = Found::default();
        let mut wanted: Vec<String> =
            named(&tree(&all, &of), &mut found).iter().map(|w| format!("{} = {}", w.path, w.file.path)).collect();
        wanted.sort();
        assert_eq!(
            wanted,
            [
                "Cargo.lock = Cargo.lock",
                "deps/requirements-dev.txt = deps/requirements-dev.txt",
                "requirements/base.txt = deps/base.txt",
            ]
        );
        let unreadable: Vec<&str> = found.unreadable.keys().map(|(path, _)| path.as_str()).collect();
        assert_eq!(unreadable, ["poetry.lock"]);
    }
}
