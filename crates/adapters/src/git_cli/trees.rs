//! Trees and histories read by a git that stays, entry by entry: what lies below a path, how two trees differ, a tree
//! without some of its files, whether one commit follows another. Each says `None` where git has to answer itself: an
//! object that is not there, a shape git itself would not write, more trees than one git lists faster.

use super::names::is_object_id;
use super::objects::{self, Loose};
use super::reader::{Ask, Object};
use super::tree::{Delta, Entry, Repo, checked, hex};
use orch_core::ids::Sha;
use orch_ports::Fault;
use std::collections::{BTreeMap, HashMap};

/// Mode of a tree in a tree.
const TREE: &str = "040000";
/// All modes git writes, as they stand in a tree.
const MODES: [&str; 5] = ["40000", "100644", "100755", "120000", "160000"];
/// Of more trees one git lists the files faster.
const MOST_TREES: usize = 64;
/// Commits that are looked at in a row.
const MOST_COMMITS: usize = 64;

/// How two trees differ.
#[derive(Debug, Default)]
pub(super) struct Difference {
    /// File by file, in the order of their paths.
    pub(super) deltas: Vec<Delta>,
    /// The trees of the second that the first has not in the same place.
    pub(super) trees: Vec<String>,
}

/// What a commit says of others.
pub(super) struct Commit {
    pub(super) tree: String,
    pub(super) parents: Vec<String>,
}

impl Repo {
    /// What this names, if a git that stays knows it.
    pub(super) async fn ask(&self, ask: Ask, name: &str) -> Option<Object> {
        self.git.readers.ask(&self.git, &self.dir, ask, name).await
    }

    /// The same as [`Repo::entries`] below a path, if a git that stays knows every tree on the way.
    pub(super) async fn walk(&self, treeish: &str, path: &[u8]) -> Option<Vec<Entry>> {
        let (path, below_only) = match path.strip_suffix(b"/") {
            Some(path) => (path, true),
            None => (path, false),
        };
        let names: Vec<&[u8]> = path.split(|b| *b == b'/').collect();
        if !is_object_id(treeish) || names.iter().any(|name| matches!(*name, b"" | b"." | b"..")) {
            return None;
        }
        let mut here = self.children(&format!("{treeish}^{{tree}}"), b"").await?;
        for (nth, name) in names.iter().enumerate() {
            let last = nth + 1 == names.len();
            let prefix = if nth == 0 { Vec::new() } else { names[..nth].join(&b'/') };
            let full = below(&prefix, name);
            let Some(found) = here.into_iter().find(|e| e.path == full) else { return Some(Vec::new()) };
            match found.mode.as_str() {
                TREE => here = self.children(&found.oid, &full).await?,
                // What git makes of a path into a submodule, or a directory that is none, it says itself.
                _ if last && !below_only => return Some(vec![found]),
                _ => return None,
            }
        }
        let (mut all, mut open, mut trees) = (Vec::new(), here, 0);
        open.reverse();
        while let Some(entry) = open.pop() {
            if entry.mode != TREE {
                all.push(entry);
                continue;
            }
            trees += 1;
            if MOST_TREES < trees {
                return None;
            }
            let mut children = self.children(&entry.oid, &entry.path).await?;
            children.reverse();
            open.append(&mut children);
        }
        Some(all)
    }

    /// Entries of one tree, with the paths they have below `dir`.
    async fn children(&self, tree: &str, dir: &[u8]) -> Option<Vec<Entry>> {
        let object = self.ask(Ask::Contents, tree).await.filter(|o| o.kind == "tree")?;
        let id_bytes = object.id.len() / 2;
        let (mut rest, mut entries) = (object.bytes.as_slice(), Vec::new());
        while !rest.is_empty() {
            let blank = rest.iter().position(|b| *b == b' ')?;
            let end = rest.iter().position(|b| *b == 0).filter(|end| blank < *end)?;
            let id = rest.get(end + 1..end + 1 + id_bytes)?;
            let mode = std::str::from_utf8(&rest[..blank]).ok().filter(|mode| MODES.contains(mode))?;
            let path = below(dir, &rest[blank + 1..end]);
            entries.push(Entry { mode: format!("{mode:0>6}"), oid: hex(id), path });
            rest = &rest[end + 1 + id_bytes..];
        }
        Some(entries)
    }

    /// The differences of two trees, renames not followed.
    pub(super) async fn compare(&self, from: &str, to: &str) -> Option<Difference> {
        if !is_object_id(from) || !is_object_id(to) {
            return None;
        }
        let mut found = Difference::default();
        let mut open = vec![(Some(from.to_owned()), Some(to.to_owned()), Vec::new())];
        let mut trees = 0;
        while let Some((old, new, dir)) = open.pop() {
            if old == new {
                continue;
            }
            trees += 1;
            if MOST_TREES < trees {
                return None;
            }
            let mut before: HashMap<Vec<u8>, Entry> = HashMap::new();
            if let Some(old) = &old {
                before.extend(self.children(old, &dir).await?.into_iter().map(|e| (e.path.clone(), e)));
            }
            let mut pairs = Vec::new();
            if let Some(new) = new {
                let after = self.children(&new, &dir).await?;
                pairs.extend(after.into_iter().map(|e| (before.remove(&e.path), Some(e))));
                found.trees.push(new);
            }
            pairs.extend(before.into_values().map(|e| (Some(e), None)));
            for (old, new) in pairs.into_iter().filter(|(old, new)| old != new) {
                let tree = |e: &Option<Entry>| e.as_ref().filter(|e| e.mode == TREE).map(|e| e.oid.clone());
                let file = |e: Option<Entry>| e.filter(|e| e.mode != TREE);
                let path = old.as_ref().or(new.as_ref())?.path.clone();
                let deeper = (tree(&old), tree(&new));
                found.deltas.extend(Delta::between(file(old), file(new)));
                if deeper != (None, None) {
                    open.push((deeper.0, deeper.1, path));
                }
            }
        }
        found.deltas.sort_by(|one, other| one.new.path.cmp(&other.new.path));
        Some(found)
    }

    /// The tree without these files, written if it is not there yet.
    pub(super) async fn without(&self, tree: &str, files: &[Entry]) -> Option<Result<String, Fault>> {
        // Each directory on the way, the deepest last.
        let mut dirs: BTreeMap<(usize, Vec<u8>), Vec<Entry>> = BTreeMap::new();
        dirs.insert((0, Vec::new()), self.children(tree, b"").await?);
        for file in files {
            for (at, _) in file.path.iter().enumerate().filter(|(_, b)| **b == b'/') {
                let dir = file.path[..at].to_vec();
                let depth = dir.split(|b| *b == b'/').count();
                if dirs.contains_key(&(depth, dir.clone())) {
                    continue;
                }
                let above = dirs.get(&(depth - 1, parent(&dir).to_vec()))?;
                let here = above.iter().find(|e| e.path == dir && e.mode == TREE)?.oid.clone();
                let children = self.children(&here, &dir).await?;
                dirs.insert((depth, dir), children);
            }
            let slashes = file.path.split(|b| *b == b'/').count() - 1;
            let siblings = dirs.get_mut(&(slashes, parent(&file.path).to_vec()))?;
            let before = siblings.len();
            siblings.retain(|e| e.path != file.path);
            (siblings.len() + 1 == before).then_some(())?;
        }
        let mut written = tree.to_owned();
        while let Some(((depth, dir), entries)) = dirs.pop_last() {
            if depth == 0 {
                written = match self.put_tree(&entries, tree.len() == 64).await? {
                    Ok(id) => id,
                    Err(fault) => return Some(Err(fault)),
                };
                break;
            }
            let above = dirs.get_mut(&(depth - 1, parent(&dir).to_vec()))?;
            let place = above.iter().position(|e| e.path == dir)?;
            if entries.is_empty() {
                above.remove(place);
                continue;
            }
            match self.put_tree(&entries, tree.len() == 64).await? {
                Ok(id) => above[place].oid = id,
                Err(fault) => return Some(Err(fault)),
            }
        }
        Some(Ok(written))
    }

    /// A tree of these entries, in this order.
    async fn put_tree(&self, entries: &[Entry], long: bool) -> Option<Result<String, Fault>> {
        let mut bytes = Vec::new();
        for entry in entries {
            let name = &entry.path[entry.path.iter().rposition(|b| *b == b'/').map_or(0, |at| at + 1)..];
            bytes.extend_from_slice(entry.mode.trim_start_matches('0').as_bytes());
            bytes.push(b' ');
            bytes.extend_from_slice(name);
            bytes.push(0);
            bytes.extend(unhex(&entry.oid)?);
        }
        Some(self.put_object(Loose::new("tree", bytes, long)).await)
    }

    /// Writes an object, if it is not there; on disk then, but for the directories that name it.
    pub(super) async fn put_object(&self, object: Loose) -> Result<String, Fault> {
        let id = object.id.clone();
        self.put_objects(vec![object]).await?;
        Ok(id)
    }

    /// The same for several.
    pub(super) async fn put_objects(&self, all: Vec<Loose>) -> Result<(), Fault> {
        let mut new = Vec::new();
        for object in all {
            if self.ask(Ask::Info, &object.id).await.is_none() {
                new.push(object);
            }
        }
        if new.is_empty() { Ok(()) } else { objects::write(self.dir.join("objects"), new, true).await }
    }

    /// The tree and the parents of a commit.
    pub(super) async fn commit_of(&self, id: &str) -> Option<Commit> {
        let object = self.ask(Ask::Contents, id).await.filter(|o| o.kind == "commit" && o.id == id)?;
        let mut lines = object.bytes.split(|b| *b == b'\n').map(|line| std::str::from_utf8(line).unwrap_or_default());
        let tree = lines.next()?.strip_prefix("tree ").filter(|id| is_object_id(id))?.to_owned();
        let parents = lines.map_while(|line| line.strip_prefix("parent ")).map(str::to_owned).collect();
        Some(Commit { tree, parents })
    }

    /// Does `new` follow `old` by single parents, with few commits between? `None` is not a no.
    pub(super) async fn follows(&self, old: &Sha, new: &Sha) -> Option<()> {
        let (old, mut here) = (checked(old).ok()?, checked(new).ok()?.to_owned());
        for _ in 0..MOST_COMMITS {
            if here == old {
                return Some(());
            }
            let [parent] = <[String; 1]>::try_from(self.commit_of(&here).await?.parents).ok()?;
            here = parent;
        }
        None
    }
}

impl Delta {
    /// What became of a file, as `git diff-tree --raw` shows it; `None` if there was none.
    fn between(old: Option<Entry>, new: Option<Entry>) -> Option<Self> {
        let path = old.as_ref().or(new.as_ref())?.path.clone();
        let how = match (&old, &new) {
            (None, _) => 'A',
            (_, None) => 'D',
            (Some(old), Some(new)) if old.kind() != new.kind() => 'T',
            _ => 'M',
        };
        let digits = old.as_ref().or(new.as_ref())?.oid.len();
        let absent = || Entry { mode: "000000".into(), oid: "0".repeat(digits), path: path.clone() };
        Some(Self { old: old.unwrap_or_else(absent), new: new.unwrap_or_else(absent), how })
    }
}

fn below(dir: &[u8], name: &[u8]) -> Vec<u8> {
    if dir.is_empty() { name.to_vec() } else { [dir, name].join(&b'/') }
}

fn parent(path: &[u8]) -> &[u8] {
    &path[..path.iter().rposition(|b| *b == b'/').unwrap_or(0)]
}

pub(super) fn unhex(id: &str) -> Option<Vec<u8>> {
    (0..id.len() / 2).map(|n| u8::from_str_radix(id.get(2 * n..2 * n + 2)?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::super::run::GitRun;
    use super::super::tree::shown;
    use super::*;
    use std::fmt::Write as _;
    use std::path::Path;

    async fn made(home: &Path, format: &str) -> Repo {
        let git = GitRun::new(home).unwrap();
        let dir = home.join(format);
        let init = git.call(None, "init").args(["-q", "--bare", &format!("--object-format={format}")]);
        init.arg(&dir).ok().await.unwrap();
        Repo { git, dir, index_dir: home.join("index") }
    }

    /// The tree of these lines of `mode id<tab>path`.
    async fn tree(repo: &Repo, list: &str) -> String {
        let index = repo.dir.join("list");
        let _ = std::fs::remove_file(&index);
        let call = repo.call("update-index").env("GIT_INDEX_FILE", &index);
        call.args(["--add", "-z", "--index-info"]).stdin(list).ok().await.unwrap();
        repo.call("write-tree").env("GIT_INDEX_FILE", &index).arg("--missing-ok").line().await.unwrap()
    }

    #[tokio::test]
    async fn a_git_that_stays_lists_what_a_git_of_its_own_lists() {
        let tmp = tempfile::tempdir().unwrap();
        for format in ["sha1", "sha256"] {
            let repo = made(tmp.path(), format).await;
            let blob = repo.store_blob(b"text").await.unwrap();
            let mut list = format!("160000 commit {blob}\tdocs/module\0120000 blob {blob}\tdocs/link\0");
            for path in ["docs/a.md", "docs/a/deep/er.md", "docs-b/x", "docs/with blank", "docs/größe\n.md", "z"] {
                let _ = write!(list, "100644 blob {blob}\t{path}\0");
            }
            let _ = write!(list, "100755 blob {blob}\tdocs/a0\0");
            let tree = tree(&repo, &list).await;
            let mut by_itself = 0;
            for path in [
                "docs",
                "docs/",
                "docs/a",
                "docs/a/",
                "docs/a.md",
                "docs/a.md/",
                "docs/a.md/x",
                "docs/link",
                "docs/link/x",
                "docs/module",
                "docs/module/",
                "docs/module/x",
                "docs/with blank",
                "doc",
                "docs/gone/x",
                "docs//a",
                "./z",
                "z",
            ] {
                let path = path.as_bytes();
                let listed = repo.listed(&tree, path).await;
                if let Some(walked) = repo.walk(&tree, path).await {
                    by_itself += 1;
                    assert_eq!(walked, listed.unwrap(), "{}", shown(path));
                }
            }
            assert_eq!(by_itself, 11, "the others are git's to answer");
        }
    }

    /// Trees that differ from each other in every way two trees can.
    async fn trees(repo: &Repo) -> Vec<String> {
        let (one, two) = (repo.store_blob(b"one").await.unwrap(), repo.store_blob(b"two").await.unwrap());
        let lists = [
            vec![],
            vec![("100644", &one, "a"), ("100644", &one, "b/c/d"), ("100644", &one, "b/c.md"), ("100755", &two, "z")],
            vec![("100644", &two, "a"), ("100755", &one, "b/c/d"), ("100644", &one, "b/c.md"), ("120000", &two, "z")],
            vec![("100644", &one, "a/now/below"), ("100644", &one, "b"), ("160000", &one, "z")],
            vec![("100644", &one, "a"), ("100644", &one, "a-b"), ("100644", &one, "a.b"), ("100644", &two, "größe/ü")],
            vec![("100644", &one, "docs/1.md"), ("100644", &two, "docs/deep/2.md"), ("100644", &two, "src/x")],
        ];
        let mut made = vec![];
        for list in lists {
            let lines: Vec<String> = list.iter().map(|(mode, id, path)| format!("{mode} {id}\t{path}\0")).collect();
            made.push(tree(repo, &lines.concat()).await);
        }
        made
    }

    #[tokio::test]
    async fn two_trees_differ_as_git_says_they_do() {
        let tmp = tempfile::tempdir().unwrap();
        for format in ["sha1", "sha256"] {
            let repo = made(tmp.path(), format).await;
            let all = trees(&repo).await;
            for from in &all {
                for to in &all {
                    let found = repo.compare(from, to).await.expect("all of it is there");
                    assert_eq!(found.deltas, repo.listed_deltas(from, to).await.unwrap(), "{from} {to}");
                    assert_eq!(found.trees.is_empty(), from == to);
                }
            }
            let gone = "0123".repeat(all[0].len() / 4);
            assert!(repo.compare(&all[1], &gone).await.is_none());
        }
    }

    #[tokio::test]
    async fn a_tree_without_some_files_has_the_name_git_gives_it() {
        let tmp = tempfile::tempdir().unwrap();
        for format in ["sha1", "sha256"] {
            let repo = made(tmp.path(), format).await;
            for tree in trees(&repo).await {
                let all = repo.listed(&tree, b"").await.unwrap();
                // Every choice of its files.
                for choice in 0..1_u32 << all.len() {
                    let chosen = all.iter().enumerate().filter(|(n, _)| choice >> n & 1 == 1);
                    let some: Vec<Entry> = chosen.map(|(_, e)| e.clone()).collect();
                    let left = repo.without(&tree, &some).await.unwrap().unwrap();
                    let by_git = repo.without_by_index(&tree, some.clone()).await.unwrap();
                    assert_eq!(left, by_git, "{tree} without {}", some.len());
                    assert_eq!(repo.listed(&left, b"").await.unwrap().len(), all.len() - some.len());
                }
                let absent = Entry { mode: "100644".into(), oid: tree.clone(), path: b"not/there".to_vec() };
                assert!(repo.without(&tree, &[absent]).await.is_none());
            }
        }
    }

    #[tokio::test]
    async fn a_commit_follows_another_where_git_finds_it_and_a_merge_is_left_to_git() {
        let tmp = tempfile::tempdir().unwrap();
        let repo = made(tmp.path(), "sha1").await;
        let tree = repo.empty_tree().await.unwrap();
        let author = orch_ports::git::Author::orch();
        let commit = async |parents: &[&Sha], message: &str| {
            let at = Some(orch_core::ids::Time(1_000));
            let new = super::super::history::NewCommit { tree: &tree, parents, message, author: &author, at };
            repo.commit(&new).await.unwrap()
        };
        let root = commit(&[], "root").await;
        let one = commit(&[&root], "one").await;
        let other = commit(&[&root], "other").await;
        let merge = commit(&[&one, &other], "merge").await;
        for (old, new, follows) in [
            (&root, &root, true),
            (&root, &one, true),
            (&one, &root, false),
            (&one, &other, false),
            (&merge, &merge, true),
            (&one, &merge, false),
        ] {
            assert_eq!(repo.follows(old, new).await.is_some(), follows);
        }
        assert!(repo.is_ancestor(&other, &merge).await.unwrap());
        assert_eq!(repo.merge_base(&one, &other).await.unwrap(), Some(root.clone()));
        assert_eq!(repo.merge_base(&root, &one).await.unwrap(), Some(root));
    }
}
