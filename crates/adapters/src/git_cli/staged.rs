//! The tree of an index, without a git: what `git write-tree` does (`gitformat-index(5)`, version 2 and 3; the extension
//! `TREE` says which directories are as they were). Says `None` where git has to do it: another version, an entry that is
//! no file of a commit, nothing known of the directories, many that changed. Also which of its files nobody can have touched,
//! to the nanosecond, where git looks at seconds and reads every file again that is as young as the index.

use super::objects::Loose;
use super::tree::hex;
use super::trees::unhex;
use sha1::Sha1;
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;

/// Of more directories git writes the trees.
const MOST_TREES: usize = 256;
/// Deeper ones, too.
const DEEPEST: usize = 200;
/// In an entry's flags: more of them follow.
const EXTENDED: u16 = 0x4000;
/// In an entry's flags: its stage in a merge.
const STAGE: u16 = 0x3000;
/// Of those that follow: it stands for a file that is to be added.
const TO_BE_ADDED: u16 = 0x2000;

/// A directory that is as it was when its tree was read.
struct Known {
    id: String,
    /// Entries of the index below it.
    entries: usize,
}

struct Entry<'i> {
    /// Where it begins.
    at: usize,
    mode: u32,
    id: &'i [u8],
    path: &'i [u8],
}

/// The tree of an index with ids of so many bytes, and the trees that are made for it, the deepest first.
pub(super) fn tree(index: &[u8], id_bytes: usize) -> Option<(String, Vec<Loose>)> {
    let (entries, rest) = entries(index, id_bytes)?;
    let known = known(rest.get(..rest.len().checked_sub(id_bytes)?)?, id_bytes)?;
    let mut build = Build { entries: &entries, known: &known, id_bytes, made: Vec::new() };
    let root = match known.get(&b""[..]) {
        Some(root) if root.entries == entries.len() => root.id.clone(),
        _ => build.directory(b"", 0, entries.len())?,
    };
    Some((root, build.made))
}

/// Marks every file of an index of which it is not sure that nobody has touched it since the index was written, so that git
/// reads it; says the latest change among the others, in seconds, if there are any. A file is as it was if all that its
/// file system says of it is, and it changed last before `before` (seconds and nanoseconds), when nobody else was there yet.
pub(super) fn doubt(
    index: &mut [u8],
    id_bytes: usize,
    before: (i64, i64),
    look: impl Fn(&[u8]) -> Option<Metadata>,
) -> Option<i64> {
    let (all, _) = entries(index, id_bytes)?;
    let mut newest = None;
    let mut doubtful = Vec::new();
    for Entry { at, mode, path, .. } in all {
        let is = |field: usize, value: i64| number(index, at + field) == Some(value as u32);
        let same = |file: &Metadata| {
            let kind = match mode {
                0o120_000 => file.file_type().is_symlink(),
                0o100_644 | 0o100_755 => file.is_file() && (file.mode() & 0o100 != 0) == (mode == 0o100_755),
                _ => false,
            };
            kind && is(0, file.ctime())
                && is(4, file.ctime_nsec())
                && is(8, file.mtime())
                && is(12, file.mtime_nsec())
                && is(20, file.ino() as i64)
                && is(28, i64::from(file.uid()))
                && is(32, i64::from(file.gid()))
                && is(36, file.size() as i64)
        };
        // A file system that counts whole seconds has no nanoseconds.
        let settled = |file: &Metadata| file.ctime_nsec() != 0 && (file.ctime(), file.ctime_nsec()) < before;
        match look(path).filter(|file| same(file) && settled(file)) {
            Some(file) => newest = newest.max(Some(file.mtime().max(file.ctime()))),
            // Of a submodule git looks at the commit alone.
            None if mode == 0o160_000 => {}
            None => doubtful.push(at),
        }
    }
    for at in doubtful {
        index[at..at + 24].fill(0);
        index[at + 36..at + 40].fill(0);
    }
    let end = index.len().checked_sub(id_bytes)?;
    let sum =
        if id_bytes == 32 { Sha256::digest(&index[..end]).to_vec() } else { Sha1::digest(&index[..end]).to_vec() };
    index[end..].copy_from_slice(&sum);
    newest
}

struct Build<'b> {
    entries: &'b [Entry<'b>],
    known: &'b HashMap<Vec<u8>, Known>,
    id_bytes: usize,
    made: Vec<Loose>,
}

impl Build<'_> {
    /// The tree of the entries from `at` to `end`, which all lie below `dir` (with its slash).
    fn directory(&mut self, dir: &[u8], mut at: usize, end: usize) -> Option<String> {
        let mut bytes = Vec::new();
        let mut add = |mode: &str, name: &[u8], id: &[u8]| {
            bytes.extend_from_slice(mode.as_bytes());
            bytes.push(b' ');
            bytes.extend_from_slice(name);
            bytes.push(0);
            bytes.extend_from_slice(id);
        };
        (dir.iter().fold(0, |slashes, b| slashes + usize::from(*b == b'/')) <= DEEPEST).then_some(())?;
        while at < end {
            let entry = self.entries.get(at)?;
            let name = entry.path.strip_prefix(dir)?;
            let Some(slash) = name.iter().position(|b| *b == b'/') else {
                add(&format!("{:o}", entry.mode), name, entry.id);
                at += 1;
                continue;
            };
            let (name, below) = (&name[..slash], &entry.path[..=dir.len() + slash]);
            let known = self.known.get(&below[..below.len() - 1]);
            let (id, next) = if let Some(known) = known {
                (known.id.clone(), at + known.entries)
            } else {
                let next = at + self.entries[at..end].partition_point(|e| e.path.starts_with(below));
                (self.directory(below, at, next)?, next)
            };
            // What is known of the directory must be of these entries.
            let fits = at < next && next <= end && self.entries[at..next].iter().all(|e| e.path.starts_with(below));
            fits.then_some(())?;
            add("40000", name, &unhex(&id)?);
            at = next;
        }
        (self.made.len() < MOST_TREES).then_some(())?;
        let tree = Loose::new("tree", bytes, self.id_bytes == 32);
        let id = tree.id.clone();
        self.made.push(tree);
        Some(id)
    }
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// All entries, and what follows them.
fn entries(index: &[u8], id_bytes: usize) -> Option<(Vec<Entry<'_>>, &[u8])> {
    let version = number(index, 4)?;
    (index.starts_with(b"DIRC") && matches!(version, 2 | 3)).then_some(())?;
    let count = number(index, 8)?;
    let (mut entries, mut at) = (Vec::new(), 12);
    for _ in 0..count {
        let mode = number(index, at + 24)?;
        matches!(mode, 0o100_644 | 0o100_755 | 0o120_000 | 0o160_000).then_some(())?;
        let id = index.get(at + 40..at + 40 + id_bytes)?;
        let mut name = at + 40 + id_bytes + 2;
        let flags = |at: usize| Some(u16::from_be_bytes(index.get(at..at + 2)?.try_into().ok()?));
        let first = flags(name - 2)?;
        (first & STAGE == 0).then_some(())?;
        if first & EXTENDED != 0 {
            (flags(name)? & TO_BE_ADDED == 0).then_some(())?;
            name += 2;
        }
        let length = index.get(name..)?.iter().position(|b| *b == 0)?;
        let path = &index[name..name + length];
        let follows = entries.last().is_none_or(|before: &Entry<'_>| before.path < path);
        (follows && !path.is_empty()).then_some(())?;
        entries.push(Entry { at, mode, id, path });
        // One to eight zeros, to a multiple of eight.
        at += (name + length - at + 8) & !7;
    }
    Some((entries, index.get(at..)?))
}

/// The directories that are as they were, without a slash behind their names.
fn known(mut extensions: &[u8], id_bytes: usize) -> Option<HashMap<Vec<u8>, Known>> {
    let mut known = None;
    while !extensions.is_empty() {
        let size = usize::try_from(number(extensions, 4)?).ok()?;
        let (name, bytes) = (extensions.get(..4)?, extensions.get(8..8 + size)?);
        match name {
            b"TREE" => known = Some(directories(bytes, id_bytes)?),
            // What begins with a capital one may leave aside.
            _ => name[0].is_ascii_uppercase().then_some(())?,
        }
        extensions = &extensions[8 + size..];
    }
    known
}

fn directories(mut bytes: &[u8], id_bytes: usize) -> Option<HashMap<Vec<u8>, Known>> {
    let mut found = HashMap::new();
    // The directories on the way, and how many of theirs are still to come.
    let mut open: Vec<(Vec<u8>, usize)> = Vec::new();
    while !bytes.is_empty() {
        let end = bytes.iter().position(|b| *b == 0)?;
        let line = end + 1 + bytes[end + 1..].iter().position(|b| *b == b'\n')?;
        let name = &bytes[..end];
        let (entries, below) = std::str::from_utf8(&bytes[end + 1..line]).ok()?.split_once(' ')?;
        let (entries, below): (i64, usize) = (entries.parse().ok()?, below.parse().ok()?);
        bytes = &bytes[line + 1..];
        while open.last().is_some_and(|(_, left)| *left == 0) {
            open.pop();
        }
        let path = match open.last_mut() {
            Some((dir, left)) => {
                *left -= 1;
                if dir.is_empty() { name.to_vec() } else { [dir, name].join(&b'/') }
            }
            None => name.to_vec(),
        };
        if let Ok(entries) = usize::try_from(entries) {
            let id = hex(bytes.get(..id_bytes)?);
            bytes = &bytes[id_bytes..];
            found.insert(path.clone(), Known { id, entries });
        }
        open.push((path, below));
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::super::index::Index;
    use super::super::run::GitRun;
    use super::super::tree::{Entry, Repo};
    use super::*;
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;
    use std::os::unix::fs::PermissionsExt as _;

    async fn made(home: &std::path::Path, format: &str) -> Repo {
        let git = GitRun::new(home).unwrap();
        let dir = home.join(format);
        let init = git.call(None, "init").args(["-q", "--bare", &format!("--object-format={format}")]);
        init.arg(&dir).ok().await.unwrap();
        Repo { git, dir, index_dir: home.join("index") }
    }

    /// What git makes of an index beside what this does.
    async fn both(index: &Index<'_>) -> (Option<String>, String) {
        let bytes = std::fs::read(&index.file).unwrap();
        let git = index.repo().call("write-tree").env("GIT_INDEX_FILE", &index.file).line().await.unwrap();
        let ours = tree(&bytes, git.len() / 2);
        if let Some((_, made)) = &ours {
            for tree in made {
                let kind = index.repo().call("cat-file").args(["-t", &tree.id]).line().await.unwrap();
                assert_eq!(kind, "tree", "git wrote the same one");
            }
        }
        (ours.map(|(id, _)| id), git)
    }

    #[tokio::test]
    async fn an_index_has_the_tree_that_git_writes_of_it() {
        let tmp = tempfile::tempdir().unwrap();
        for format in ["sha1", "sha256"] {
            let repo = made(tmp.path(), format).await;
            let (one, two) = (repo.store_blob(b"one").await.unwrap(), repo.store_blob(b"two").await.unwrap());
            let entry =
                |mode: &str, oid: &str, path: &str| Entry { mode: mode.into(), oid: oid.into(), path: path.into() };
            let empty = repo.empty_tree().await.unwrap();
            let index = Index::of(&repo, "test", &empty).await.unwrap();
            let steps: [Vec<Entry>; 8] = [
                vec![
                    entry("100644", &one, "a.md"),
                    entry("100755", &one, "src/deep/er/x"),
                    entry("100644", &two, "src/y"),
                ],
                vec![
                    entry("100644", &two, "src/deep/er/x"),
                    entry("120000", &one, "a-b"),
                    entry("100644", &one, "a/b"),
                ],
                vec![entry("160000", &"1".repeat(one.len()), "module"), entry("100644", &one, "größe/ü\n.md")],
                // A file where a directory was, and the other way round.
                vec![entry("100644", &two, "src")],
                vec![entry("100644", &two, "a.md/now/below"), entry("100644", &one, &"long/".repeat(60)[..299])],
                vec![entry("0", &one, "a/b"), entry("0", &one, "a-b")],
                vec![entry("100644", &one, "largest"), entry("100644", &two, "z")],
                vec![entry("0", &one, "largest")],
            ];
            for step in steps {
                let before = index.tree().await.unwrap();
                index.set(&step).await.unwrap();
                // Git knows the directories of what it wrote before: some are as they were.
                let (ours, git) = both(&index).await;
                assert_eq!(ours.as_ref(), Some(&git), "{format}");
                assert_ne!(before, git);
                // And of an index that was read from a tree all of them.
                let read = Index::of(&repo, "read", &git).await.unwrap();
                assert_eq!(both(&read).await, (Some(git.clone()), git));
            }
        }
    }

    /// The files of an index of which git will not read the content, if they look as they do there.
    async fn sure(repo: &Repo, index: &std::path::Path) -> Vec<String> {
        let list = repo.call("ls-files").env("GIT_INDEX_FILE", index).arg("--debug").line().await.unwrap();
        let known = list.split("flags: 0").filter(|e| !e.trim().is_empty() && !e.contains("mtime: 0:0"));
        known.filter_map(|e| Some(e.trim().lines().next()?.to_owned())).collect()
    }

    #[tokio::test]
    async fn only_a_file_that_is_as_it_was_to_the_nanosecond_is_not_read_again() {
        let tmp = tempfile::tempdir().unwrap();
        for format in ["sha1", "sha256"] {
            let repo = made(tmp.path(), format).await;
            let files = tmp.path().join("files");
            let _ = std::fs::remove_dir_all(&files);
            std::fs::create_dir_all(files.join("dir")).unwrap();
            let all = ["dir/deep", "empty", "gone", "moved", "open", "over", "run", "same", "times", "words"];
            for name in all {
                std::fs::write(files.join(name), if name == "empty" { "" } else { name }).unwrap();
            }
            std::os::unix::fs::symlink("same", files.join("link")).unwrap();
            let index = Index::of(&repo, "first", &repo.empty_tree().await.unwrap()).await.unwrap();
            repo.add(&index, &files, |add| add.arg("-A")).await.unwrap();
            let (bytes, width) = (std::fs::read(&index.file).unwrap(), repo.empty_tree().await.unwrap().len() / 2);
            let look = |path: &[u8]| std::fs::symlink_metadata(files.join(OsStr::from_bytes(path))).ok();
            let doubted = async |before: (i64, i64)| {
                let mut bytes = bytes.clone();
                let newest = doubt(&mut bytes, width, before, look);
                std::fs::write(tmp.path().join("doubted"), &bytes).unwrap();
                let check = repo.call("fsck").env("GIT_INDEX_FILE", tmp.path().join("doubted")).arg("--no-dangling");
                assert_eq!(check.run().await.unwrap().status, Some(0), "its checksum is right");
                (newest.is_some(), sure(&repo, &tmp.path().join("doubted")).await)
            };
            let of_link = std::fs::symlink_metadata(files.join("link")).unwrap();
            let every: Vec<&str> =
                ["dir/deep", "empty", "gone", "link"].into_iter().chain(all[3..].iter().copied()).collect();
            assert_eq!(doubted((i64::MAX, 0)).await, (true, every.iter().map(|n| (*n).to_owned()).collect()));
            // Somebody else may have been there in that moment.
            assert!(!doubted((of_link.ctime(), of_link.ctime_nsec())).await.1.contains(&"link".to_owned()));
            assert_eq!(doubted((0, 0)).await, (false, vec![]));
            // The same size, and the time it was written at is put back.
            let put_back = |name: &str, words: &str| {
                let written = std::fs::metadata(files.join(name)).unwrap().modified().unwrap();
                std::fs::write(files.join(name), words).unwrap();
                std::fs::File::options().write(true).open(files.join(name)).unwrap().set_modified(written).unwrap();
            };
            put_back("words", "sword");
            put_back("times", "times");
            std::fs::set_permissions(files.join("run"), std::fs::Permissions::from_mode(0o755)).unwrap();
            std::fs::rename(files.join("moved"), files.join("over")).unwrap();
            std::fs::remove_file(files.join("gone")).unwrap();
            std::fs::remove_file(files.join("open")).unwrap();
            std::os::unix::fs::symlink("same", files.join("open")).unwrap();
            std::fs::write(files.join("empty"), "no more").unwrap();
            assert_eq!(doubted((i64::MAX, 0)).await, (true, ["dir/deep", "link", "same"].map(String::from).to_vec()));
            // And git takes all of it.
            std::fs::copy(tmp.path().join("doubted"), &index.file).unwrap();
            repo.add(&index, &files, |add| add.arg("-A")).await.unwrap();
            let afresh = Index::of(&repo, "afresh", &repo.empty_tree().await.unwrap()).await.unwrap();
            repo.add(&afresh, &files, |add| add.arg("-A")).await.unwrap();
            assert_eq!(index.tree().await.unwrap(), afresh.tree().await.unwrap(), "{format}");
        }
    }

    #[tokio::test]
    async fn what_is_no_plain_index_is_left_to_git() {
        let tmp = tempfile::tempdir().unwrap();
        let repo = made(tmp.path(), "sha1").await;
        let blob = repo.store_blob(b"text").await.unwrap();
        let file = Entry { mode: "100644".into(), oid: blob.clone(), path: b"a/b/c".to_vec() };
        let index = Index::of(&repo, "test", &repo.empty_tree().await.unwrap()).await.unwrap();
        index.set(&[file]).await.unwrap();
        index.tree().await.unwrap();
        let good = std::fs::read(&index.file).unwrap();
        assert!(tree(&good, 20).is_some());
        assert!(tree(&good, 32).is_none(), "of the other format");
        // Cut off anywhere, it is none.
        for length in 0..good.len() - 20 {
            assert!(tree(&good[..length], 20).is_none(), "{length}");
        }
        let call = repo.call("update-index").env("GIT_INDEX_FILE", &index.file);
        call.args(["--index-version", "4"]).ok().await.unwrap();
        assert!(tree(&std::fs::read(&index.file).unwrap(), 20).is_none());
        // In the middle of a merge.
        let stages = ["1", "2", "3"].map(|stage| format!("100644 {blob} {stage}\tsrc/x\0")).concat();
        let call = repo.call("update-index").env("GIT_INDEX_FILE", &index.file);
        call.args(["--index-version", "2"]).ok().await.unwrap();
        let call = repo.call("update-index").env("GIT_INDEX_FILE", &index.file);
        call.args(["-z", "--index-info"]).stdin(stages).ok().await.unwrap();
        assert!(tree(&std::fs::read(&index.file).unwrap(), 20).is_none());
    }
}
