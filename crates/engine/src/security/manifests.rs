//! The manifests of a commit: by name, through links, with the files they include. A file that cannot be read is said, and
//! which content it was that could not be; it is never taken for one that names no packages.

use super::secrets::batches;
use crate::gates::Look;
use orch_advisories::manifests::{self, Kind};
use orch_advisories::{is_manifest, unlocked};
use orch_ports::Fault;
use orch_ports::git::{Entry, EntryKind};
use orch_ports::security::ManifestFile;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// Most manifests that are read; a repository with more says so.
const MOST: usize = 1_000;
/// Largest manifest that is read, bytes.
const LARGEST: u64 = 32 * 1024 * 1024;
/// Most bytes of manifests held at a time.
const MOST_BYTES: u64 = 256 * 1024 * 1024;
/// Most links that are followed one after the other, as many as Linux follows.
const MOST_LINKS: usize = 40;
/// Longest target of a link, as on Linux.
const LONGEST_TARGET: u64 = 4_096;

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
pub(super) async fn find(look: &Look<'_>, all: &[Entry], other: &[Entry]) -> Result<Found, Fault> {
    let tree = Tree::read(look, all).await?;
    let old: HashSet<(&str, &str)> = other.iter().map(|e| (e.path.as_str(), e.oid.as_str())).collect();
    let mut found = Found { unlocked: unlocked(all.iter().map(|e| e.path.as_str())), ..Found::default() };
    let mut wanted = tree.named(&mut found);
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
            for (one, bytes) in some.iter().zip(look.git.read_objects(&look.project.key, &ids).await?) {
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

/// The paths of a commit, and where its links lead.
struct Tree<'e> {
    all: &'e [Entry],
    at: HashMap<&'e str, &'e Entry>,
    targets: HashMap<&'e str, String>,
}

impl<'e> Tree<'e> {
    async fn read(look: &Look<'_>, all: &'e [Entry]) -> Result<Self, Fault> {
        let at = all.iter().map(|e| (e.path.as_str(), e)).collect();
        let links: Vec<&Entry> = all.iter().filter(|e| e.kind == EntryKind::Link && e.size <= LONGEST_TARGET).collect();
        let mut targets = HashMap::new();
        for some in batches(&links, |e| e.size) {
            let ids: Vec<String> = some.iter().map(|e| e.oid.clone()).collect();
            let read = look.git.read_objects(&look.project.key, &ids).await?;
            let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
            targets.extend(some.iter().map(|e| e.path.as_str()).zip(read.into_iter().map(text)));
        }
        Ok(Self { all, at, targets })
    }

    /// Everything that has the name of a manifest.
    fn named(&self, found: &mut Found) -> Vec<Wanted<'e>> {
        let mut wanted = Vec::new();
        for entry in self.all {
            if let Some(kind) = is_manifest(&entry.path) {
                match self.file(&entry.path) {
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
                let Ok(dir) = self.place(&entry.path) else { continue };
                let below = |e: &&'e Entry| e.path.strip_prefix(&dir).is_some_and(|rest| rest.starts_with('/'));
                for file in self.all.iter().filter(below).filter(|e| e.kind == EntryKind::File) {
                    let path = format!("{}{}", entry.path, &file.path[dir.len()..]);
                    if let (Some(kind), None) = (is_manifest(&path), is_manifest(&file.path)) {
                        wanted.push(Wanted { path, kind, file });
                    }
                }
            }
        }
        wanted
    }

    /// The file a path stands for; or what is there instead, and why it is no file.
    fn file(&self, path: &str) -> Result<&'e Entry, (String, String)> {
        let oid = || self.at.get(path).map_or_else(String::new, |e| e.oid.clone());
        let place = self.place(path).map_err(|why| (oid(), why))?;
        match self.at.get(place.as_str()) {
            Some(entry) if entry.kind == EntryKind::File => Ok(entry),
            Some(_) => Err((oid(), "it is another repository".to_owned())),
            None if place == path => Err((oid(), "it is not there".to_owned())),
            None => Err((oid(), format!("it is a link that leads to no file of the repository: {place}"))),
        }
    }

    /// Where a path leads when every link is followed. What leads out of the repository leads nowhere.
    fn place(&self, path: &str) -> Result<String, String> {
        let mut now = path.to_owned();
        for _ in 0..MOST_LINKS {
            let ends = now.match_indices('/').map(|(at, _)| at).chain([now.len()]);
            let link =
                ends.into_iter().find(|end| self.at.get(&now[..*end]).is_some_and(|e| e.kind == EntryKind::Link));
            let Some(end) = link else { return Ok(now) };
            let target = self.targets.get(&now[..end]).map(String::as_str).unwrap_or_default();
            let dir = now[..end].rsplit_once('/').map_or("", |(dir, _)| dir);
            now = joined(dir, target, &now[end..])
                .ok_or_else(|| format!("it is a link that leads out of the repository: {target}"))?;
        }
        Err("it is a link that leads in circles".to_owned())
    }
}

/// A path below `dir`, its `..` resolved; `None` if it leaves the repository.
fn joined(dir: &str, target: &str, rest: &str) -> Option<String> {
    if target.starts_with('/') || target.is_empty() {
        return None;
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in [dir, target, rest].iter().flat_map(|s| s.split('/')) {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Files, links (`name -> target`) and submodules (`name @`).
    fn entries(of: &[&str]) -> Vec<Entry> {
        let entry = |text: &&str| {
            let (path, kind) = match (text.split_once(" -> "), text.strip_suffix(" @")) {
                (Some((path, _)), _) => (path, EntryKind::Link),
                (_, Some(path)) => (path, EntryKind::Submodule),
                _ => (*text, EntryKind::File),
            };
            Entry { path: path.into(), kind, oid: format!("id of {path}"), size: 1 }
        };
        of.iter().map(entry).collect()
    }

    fn tree<'e>(all: &'e [Entry], of: &[&'e str]) -> Tree<'e> {
        let targets = of.iter().filter_map(|text| text.split_once(" -> "));
        Tree {
            all,
            at: all.iter().map(|e| (e.path.as_str(), e)).collect(),
            targets: targets.map(|(path, target)| (path, target.to_owned())).collect(),
        }
    }

    #[test]
    fn a_link_is_followed_as_a_file_system_would_and_never_out_of_the_repository() {
        let of = [
            "deps.dat",
            "a/b/deep.dat",
            "requirements.txt -> deps.dat",
            "a/requirements.txt -> ../deps.dat",
            "x -> a/b",
            "twice -> x/../../requirements.txt",
            "out.txt -> ../../etc/passwd",
            "absolute.txt -> /etc/passwd",
            "self -> self",
            "one -> two",
            "two -> one",
            "lost -> nowhere.txt",
            "sub @",
            "into -> sub",
        ];
        let all = entries(&of);
        let tree = tree(&all, &of);
        for (path, leads) in [
            ("deps.dat", Ok("deps.dat")),
            ("requirements.txt", Ok("deps.dat")),
            ("a/requirements.txt", Ok("deps.dat")),
            ("x/deep.dat", Ok("a/b/deep.dat")),
            ("out.txt", Err("out of the repository")),
            ("absolute.txt", Err("out of the repository")),
            ("self", Err("in circles")),
            ("one", Err("in circles")),
            ("lost", Err("no file of the repository: nowhere.txt")),
            ("x", Err("no file of the repository: a/b")),
            ("into", Err("another repository")),
            ("never", Err("is not there")),
        ] {
            match (tree.file(path), leads) {
                (Ok(entry), Ok(leads)) => assert_eq!(entry.path, leads, "{path}"),
                (Err((_, why)), Err(word)) => assert!(why.contains(word), "{path}: {why}"),
                (is, _) => panic!("{path}: {is:?}"),
            }
        }
    }

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
            tree(&all, &of).named(&mut found).iter().map(|w| format!("{} = {}", w.path, w.file.path)).collect();
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
