//! A modelled git: commits are named by their content, so that making one twice makes one; files are numbers. It knows
//! just enough to merge, to conflict, and to tell which tree a commit has.

use orch_core::conflict::{Conflict, ConflictKind, ConflictPath, Found, Marks, PathShown, Shown, Side, look};
use orch_core::ids::{Digest, Sha};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// Path to content. What a number means is said by the functions below.
pub(crate) type Tree = BTreeMap<String, u64>;
/// The file that is no text: git can only keep one side of it.
pub(crate) const BINARY: &str = "f3";
/// Content of a file with conflict markers.
pub(crate) const MARKERS: u64 = 7_777_777;

#[derive(Clone, Debug)]
struct Commit {
    parents: Vec<Sha>,
    tree: Tree,
    depth: u32,
}

/// What bringing a head to a tip came to.
#[derive(Clone, Debug)]
pub(crate) enum Brought {
    UpToDate,
    Moved(Sha),
    Conflict(Vec<String>),
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Repo(BTreeMap<Sha, Commit>);

/// A stable number of a text.
pub(crate) fn hash(text: &str) -> u64 {
    text.bytes().fold(0xCBF2_9CE4_8422_2325, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01B3))
}

fn name(text: &str) -> String {
    let (a, b) = (hash(text), hash(&format!("{text}#")));
    format!("{a:016x}{b:016x}{:08x}", (a ^ b) as u32)
}

/// A file with this content.
pub(crate) fn side(content: u64) -> Side {
    Side { mode: "100644".into(), oid: content.to_string() }
}

fn listing(tree: &Tree) -> String {
    tree.iter().fold(String::new(), |mut text, (path, content)| {
        let _ = write!(text, "{path}={content};");
        text
    })
}

impl Repo {
    pub(crate) fn commit(&mut self, parents: &[Sha], tree: Tree, salt: &str) -> Sha {
        let joined: Vec<&str> = parents.iter().map(Sha::as_str).collect();
        let id = Sha::new(name(&format!("{}|{}|{salt}", joined.join(","), listing(&tree))));
        let depth = parents.iter().filter_map(|p| self.0.get(p)).map(|c| c.depth + 1).max().unwrap_or(0);
        self.0.entry(id.clone()).or_insert_with(|| Commit { parents: parents.to_vec(), tree, depth });
        id
    }

    pub(crate) fn tree(&self, commit: &Sha) -> Tree {
        self.0.get(commit).map(|c| c.tree.clone()).unwrap_or_default()
    }
    pub(crate) fn tree_id(&self, commit: &Sha) -> Digest {
        Digest::new(name(&listing(&self.tree(commit))))
    }
    pub(crate) fn parents(&self, commit: &Sha) -> Vec<Sha> {
        self.0.get(commit).map(|c| c.parents.clone()).unwrap_or_default()
    }

    /// The commit and everything before it.
    fn history(&self, of: &Sha) -> BTreeSet<Sha> {
        let mut seen = BTreeSet::new();
        let mut next = vec![of.clone()];
        while let Some(commit) = next.pop() {
            if seen.insert(commit.clone()) {
                next.extend(self.parents(&commit));
            }
        }
        seen
    }

    pub(crate) fn is_ancestor(&self, commit: &Sha, of: &Sha) -> bool {
        commit == of || self.history(of).contains(commit)
    }

    pub(crate) fn merge_base(&self, a: &Sha, b: &Sha) -> Option<Sha> {
        let depth = |c: &&Sha| self.0.get(*c).map_or(0, |c| c.depth);
        self.history(a).intersection(&self.history(b)).max_by_key(depth).cloned()
    }

    /// The tree of a head merged with a tip, and the files that conflict.
    pub(crate) fn merged(&self, head: &Sha, tip: &Sha) -> (Tree, Vec<String>) {
        let base = self.merge_base(head, tip).map(|b| self.tree(&b)).unwrap_or_default();
        let (ours, theirs) = (self.tree(head), self.tree(tip));
        let mut tree = ours.clone();
        let mut conflicts = Vec::new();
        for path in base.keys().chain(theirs.keys()) {
            let (was, mine, yours) = (base.get(path), ours.get(path), theirs.get(path));
            if was == yours || mine == yours {
                continue;
            }
            if was == mine {
                match yours {
                    Some(content) => tree.insert(path.clone(), *content),
                    None => tree.remove(path),
                };
            } else if !conflicts.contains(path) {
                if path != BINARY {
                    tree.insert(path.clone(), MARKERS);
                }
                conflicts.push(path.clone());
            }
        }
        (tree, conflicts)
    }

    /// What git and the record of orch know of a conflict.
    pub(crate) fn record(&self, head: &Sha, tip: &Sha, files: &[String]) -> Conflict {
        let (ours, theirs) = (self.tree(head), self.tree(tip));
        let path = |file: &String| ConflictPath {
            path: file.clone(),
            raw: None,
            kind: if file == BINARY { ConflictKind::Binary } else { ConflictKind::Content },
            marked: file != BINARY,
            ancestor: None,
            branch: ours.get(file).copied().map(side),
            base: theirs.get(file).copied().map(side),
            written: None,
            alike: Marks::default(),
        };
        let labels = vec![head.to_string(), tip.to_string()];
        let paths = files.iter().map(path).collect();
        Conflict { labels, paths, ..Conflict::of_files(tip.clone(), files.to_vec()) }
    }

    /// What a commit shows of it.
    pub(crate) fn shown(&self, commit: &Sha, record: &Conflict) -> Shown {
        let tree = self.tree(commit);
        let label = record.labels.first().cloned().unwrap_or_default();
        let text = format!("<<<<<<< {label}\n=======\n>>>>>>> {label}\n");
        let at = |path: &ConflictPath| {
            let content = tree.get(&path.path).copied();
            let marked = content == Some(MARKERS);
            let found = if marked { look(text.as_bytes(), &record.labels) } else { Found::default() };
            PathShown { entry: content.map(side), found, moved_on: None }
        };
        Shown { paths: record.paths.iter().map(at).collect(), ..Shown::default() }
    }

    /// The tree of a tip without what a merge changed since `before`; documents stay. `Err`: files that later changes
    /// stand in the way in.
    pub(crate) fn taken_back(&self, tip: &Sha, merged: &Sha, before: &Sha) -> Result<Tree, Vec<String>> {
        let (mut tree, was, is) = (self.tree(tip), self.code(before), self.code(merged));
        let mut conflicts = Vec::new();
        for path in was.keys().chain(is.keys()) {
            let (old, new) = (was.get(path), is.get(path));
            if old == new || tree.get(path) == old {
                continue;
            }
            if tree.get(path) != new {
                if !conflicts.contains(path) {
                    conflicts.push(path.clone());
                }
            } else if let Some(content) = old {
                tree.insert(path.clone(), *content);
            } else {
                tree.remove(path);
            }
        }
        if conflicts.is_empty() { Ok(tree) } else { Err(conflicts) }
    }

    pub(crate) fn bring(&mut self, head: &Sha, tip: &Sha) -> Brought {
        if self.is_ancestor(tip, head) {
            return Brought::UpToDate;
        }
        let (tree, conflicts) = self.merged(head, tip);
        if conflicts.is_empty() {
            Brought::Moved(self.commit(&[head.clone(), tip.clone()], tree, "update"))
        } else {
            Brought::Conflict(conflicts)
        }
    }

    /// The code of a commit, without papers.
    pub(crate) fn code(&self, commit: &Sha) -> Tree {
        let mut tree = self.tree(commit);
        tree.retain(|path, _| is_code(path));
        tree
    }

    pub(crate) fn code_id(&self, commit: &Sha) -> String {
        name(&listing(&self.code(commit)))
    }
}

pub(crate) fn is_code(path: &str) -> bool {
    !path.starts_with("docs/")
}

/// Code with nothing wrong in it by itself: as it is, or repaired.
pub(crate) fn mended(content: u64) -> u64 {
    if content == MARKERS || content % 8 < 3 { content / 8 * 8 + 3 } else { content }
}

/// The file that makes the tests of this tree fail, if they fail. Single files can be broken, and files that are fine by
/// themselves can be broken together: that is what a merge queue is for.
pub(crate) fn red(tree: &Tree) -> Option<String> {
    let code: Vec<(&String, &u64)> = tree.iter().filter(|(path, _)| is_code(path)).collect();
    let broken = code.iter().find(|(_, content)| **content % 8 == 0 || **content == MARKERS);
    let sum: u64 = code.iter().map(|(_, content)| **content / 8).sum();
    broken
        .map(|(path, _)| (*path).clone())
        .or_else(|| (sum % 11 == 5).then(|| "files that do not go together".to_owned()))
}

/// The file with a secret in it.
pub(crate) fn secret(tree: &Tree) -> Option<String> {
    tree.iter().find(|(path, content)| is_code(path) && **content % 8 == 1).map(|(path, _)| path.clone())
}

/// The file a reviewer must not let pass.
pub(crate) fn ugly(tree: &Tree) -> Option<String> {
    tree.iter().find(|(path, content)| is_code(path) && **content % 8 == 2).map(|(path, _)| path.clone())
}
