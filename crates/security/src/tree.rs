//! The paths of a commit, and where its links lead: as a file system would follow them, and never out of the repository.

use super::secrets::batches;
use crate::Range;
use orch_ports::Fault;
use orch_ports::git::{Entry, EntryKind};
use std::collections::{HashMap, VecDeque};

/// Most links that are followed one after the other, as many as Linux follows.
const MOST_LINKS: usize = 40;
/// Longest target of a link, as on Linux.
const LONGEST_TARGET: u64 = 4_096;

/// The paths of a commit, and where its links lead.
pub(super) struct Tree<'e> {
    pub(super) all: &'e [Entry],
    at: HashMap<&'e str, &'e Entry>,
    targets: HashMap<&'e str, String>,
}

impl<'e> Tree<'e> {
    pub(super) async fn read(range: &Range<'_>, all: &'e [Entry]) -> Result<Self, Fault> {
        let at = all.iter().map(|e| (e.path.as_str(), e)).collect();
        let links: Vec<&Entry> = all.iter().filter(|e| e.kind == EntryKind::Link && e.size <= LONGEST_TARGET).collect();
        let mut targets = HashMap::new();
        for some in batches(&links, |e| e.size) {
            let ids: Vec<String> = some.iter().map(|e| e.oid.clone()).collect();
            let read = range.git.read_objects(range.project, &ids).await?;
            let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
            targets.extend(some.iter().map(|e| e.path.as_str()).zip(read.into_iter().map(text)));
        }
        Ok(Self { all, at, targets })
    }

    /// Where a link leads, as it is written.
    pub(super) fn target(&self, path: &str) -> Option<&str> {
        self.targets.get(path).map(String::as_str)
    }

    /// The file a path stands for; or what is there instead, and why it is no file.
    pub(super) fn file(&self, path: &str) -> Result<&'e Entry, (String, String)> {
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
    pub(super) fn place(&self, path: &str) -> Result<String, String> {
        self.follow(path, &mut Vec::new())
    }

    /// The links on the way, and the place if there is one.
    pub(super) fn trail(&self, path: &str) -> (Vec<String>, Option<String>) {
        let mut links = Vec::new();
        let place = self.follow(path, &mut links).ok();
        (links, place)
    }

    fn follow(&self, path: &str, links: &mut Vec<String>) -> Result<String, String> {
        let out = |target: &str| format!("it is a link that leads out of the repository: {target}");
        // Part by part, because `..` behind a link leaves the directory the link leads to.
        let mut todo: VecDeque<String> = path.split('/').map(str::to_owned).collect();
        let (mut place, mut last) = (Vec::new(), String::new());
        while let Some(part) = todo.pop_front() {
            match part.as_str() {
                "" | "." => continue,
                ".." => {
                    place.pop().ok_or_else(|| out(&last))?;
                    continue;
                }
                _ => place.push(part),
            }
            let here = place.join("/");
            if self.at.get(here.as_str()).is_none_or(|e| e.kind != EntryKind::Link) {
                continue;
            }
            let target = self.targets.get(here.as_str()).map(String::as_str).unwrap_or_default();
            if links.len() == MOST_LINKS {
                return Err("it is a link that leads in circles".to_owned());
            }
            if target.is_empty() || target.starts_with('/') {
                return Err(out(target));
            }
            links.push(here);
            place.pop();
            target.clone_into(&mut last);
            for part in target.rsplit('/') {
                todo.push_front(part.to_owned());
            }
        }
        Ok(place.join("/"))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Files, links (`name -> target`) and submodules (`name @`).
    pub(crate) fn entries(of: &[&str]) -> Vec<Entry> {
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

    pub(crate) fn tree<'e>(all: &'e [Entry], of: &[&'e str]) -> Tree<'e> {
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
            "sly -> x/../deps.dat",
            "a/deps.dat",
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
            ("twice", Ok("deps.dat")),
            ("sly", Ok("a/deps.dat")),
            ("never", Err("is not there")),
        ] {
            match (tree.file(path), leads) {
                (Ok(entry), Ok(leads)) => assert_eq!(entry.path, leads, "{path}"),
                (Err((_, why)), Err(word)) => assert!(why.contains(word), "{path}: {why}"),
                (is, _) => panic!("{path}: {is:?}"),
            }
        }
        assert_eq!(tree.trail("twice").0, ["twice", "x", "requirements.txt"]);
        assert_eq!(tree.trail("a/requirements.txt").1.as_deref(), Some("deps.dat"));
    }
}
