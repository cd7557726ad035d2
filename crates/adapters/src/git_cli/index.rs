//! Indexes of orch's own: of a tree, changed entry by entry, and the tree of one. Git takes a missing index for an empty one
//! and says nothing, so each step looks whether it is still there.

use super::dirs::{blocking, unique};
use super::names::is_object_id;
use super::run::io;
use super::staged;
use super::tree::{Entry, Repo, is_empty_tree};
use super::worktree::copied;
use orch_core::ids::Time;
use orch_ports::Fault;
use std::ffi::OsStr;
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// An index file of its own, removed at the end. Git takes a missing index for an empty one and says nothing: a tree made
/// of it has no file, and a commit of that tree deletes everything. So that the file is there is looked at before and
/// after each step, and so is how many entries it says it has.
pub(super) struct Index<'r> {
    repo: &'r Repo,
    pub(super) file: PathBuf,
    /// Bytes of an object's id in it, if the tree it was made of says so.
    id_bytes: Option<usize>,
}

/// A working directory that orch wrote.
#[derive(Clone, Debug)]
pub(super) struct Written {
    /// The index it was written with.
    pub(super) seen: PathBuf,
    /// Where it is now.
    pub(super) worktree: PathBuf,
    /// When somebody else was let in, if that is known; not before the index was written.
    pub(super) since: Option<Time>,
}

/// More than the clock of files stands still at a time: 10 ms on the slowest kernel (`CONFIG_HZ=100`), 4 ms on most.
const TICK_NANOS: i64 = 12_000_000;

/// As many as this id has.
fn id_bytes(treeish: &str) -> Option<usize> {
    is_object_id(treeish).then_some(treeish.len() / 2)
}

impl Drop for Index<'_> {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.file);
        let mut lock = self.file.clone().into_os_string();
        lock.push(".lock");
        let _ = std::fs::remove_file(lock);
    }
}

impl<'r> Index<'r> {
    /// The index of a tree. `name` keeps two kinds of use apart.
    pub(super) async fn of(repo: &'r Repo, name: &str, treeish: &str) -> Result<Self, Fault> {
        std::fs::create_dir_all(&repo.index_dir).map_err(|e| io(&repo.index_dir, "create", &e))?;
        let file = repo.index_dir.join(format!("{name}-{}", unique()));
        let index = Self { repo, file, id_bytes: id_bytes(treeish) };
        repo.call("read-tree").env("GIT_INDEX_FILE", &index.file).arg(treeish).ok().await?;
        index.count()?;
        Ok(index)
    }

    /// The same, with what is known of the files in a working directory that was written with the index `seen`: git looks at
    /// their sizes and times, which nobody can set back without being noticed, and reads what has changed.
    pub(super) async fn seen(repo: &'r Repo, name: &str, treeish: &str, written: &Written) -> Result<Self, Fault> {
        let seen = &written.seen;
        std::fs::create_dir_all(&repo.index_dir).map_err(|e| io(&repo.index_dir, "create", &e))?;
        let file = repo.index_dir.join(format!("{name}-{}", unique()));
        let index = Self { repo, file, id_bytes: id_bytes(treeish) };
        if copied(seen, &index.file).is_ok() {
            index.doubt(written).await?;
            let of = Self::of_seen(seen).and_then(|question| repo.git.facts.get(&repo.dir, &question));
            if of.as_deref() == Some(treeish) {
                index.count()?;
                return Ok(index);
            }
            let call = repo.call("read-tree").env("GIT_INDEX_FILE", &index.file);
            // `-i`: without it git wants a working directory.
            if call.args(["--reset", "-i", treeish]).run().await?.status == Some(0) {
                index.count()?;
                // It is as young as its files again.
                index.doubt(written).await?;
                return Ok(index);
            }
        }
        drop(index);
        Self::of(repo, name, treeish).await
    }

    /// Git takes a file that is as young as its index for one that may have changed since, to the second, and reads it again:
    /// after a hand-over, all of them. Those that nobody can have touched are told apart, and the index is dated behind them.
    async fn doubt(&self, written: &Written) -> Result<(), Fault> {
        let Some(id_bytes) = self.id_bytes else { return Ok(()) };
        let (file, written) = (self.file.clone(), written.clone());
        blocking(move || {
            // That it is lost is said by whoever counts its entries.
            let Ok(mut bytes) = std::fs::read(&file) else { return Ok(()) };
            let mut done = || -> std::io::Result<()> {
                // As old as the index it is a copy of, wherever it was moved since.
                let begun = std::fs::symlink_metadata(&written.seen).ok().map(|m| (m.mtime(), m.mtime_nsec()));
                let since = written.since.map(|t| (t.0.div_euclid(1_000), t.0.rem_euclid(1_000) * 1_000_000));
                let Some((seconds, nanos)) = begun.max(since) else { return Ok(()) };
                let before = match nanos - TICK_NANOS {
                    nanos @ 0.. => (seconds, nanos),
                    nanos => (seconds - 1, nanos + 1_000_000_000),
                };
                let look = |path: &[u8]| written.worktree.join(OsStr::from_bytes(path)).symlink_metadata().ok();
                let Some(newest) = staged::doubt(&mut bytes, id_bytes, before, look) else { return Ok(()) };
                std::fs::write(&file, &bytes)?;
                let dated = u64::try_from(newest).unwrap_or(0) + 1;
                let dated = SystemTime::now().max(UNIX_EPOCH + Duration::from_secs(dated));
                std::fs::File::options().write(true).open(&file)?.set_modified(dated)
            };
            done().map_err(|e| io(&file, "write", &e))
        })
        .await
    }

    /// What is asked of the facts for the tree that this index was written from. Nobody changes a file and keeps its change
    /// time.
    pub(super) fn of_seen(seen: &Path) -> Option<String> {
        let meta = std::fs::symlink_metadata(seen).ok()?;
        let (ino, at, nanos, size) = (meta.ino(), meta.ctime(), meta.ctime_nsec(), meta.len());
        Some(format!("seen {} {ino} {at} {nanos} {size}", seen.display()))
    }

    /// The repository it is of.
    pub(super) fn repo(&self) -> &'r Repo {
        self.repo
    }

    /// How many entries it has, by its own header. Transient if it is not there or no index: something outside took it.
    pub(super) fn count(&self) -> Result<u32, Fault> {
        let lost = |why: &dyn std::fmt::Display| {
            Fault::transient(format!("the index {} is lost while it is in use: {why}", self.file.display()))
        };
        let mut header = [0; 12];
        let read = std::fs::File::open(&self.file).and_then(|mut file| file.read_exact(&mut header));
        read.map_err(|e| lost(&e))?;
        match header {
            [b'D', b'I', b'R', b'C', _, _, _, _, count @ ..] => Ok(u32::from_be_bytes(count)),
            _ => Err(lost(&"it is no index any more")),
        }
    }

    /// Sets or (mode `0`) removes entries, in this order. Whatever is in the way of a new entry goes.
    pub(super) async fn set(&self, entries: &[Entry]) -> Result<(), Fault> {
        let before = self.count()?;
        let mut input = vec![];
        let mut removed = 0_u32;
        for e in entries {
            let mode = if e.is_absent() { "0" } else { &e.mode };
            removed += u32::from(e.is_absent());
            input.extend_from_slice(format!("{mode} {}\t", e.oid).as_bytes());
            input.extend_from_slice(&e.path);
            input.push(0);
        }
        let call = self.repo.call("update-index").env("GIT_INDEX_FILE", &self.file);
        let output = call.args(["--replace", "-z", "--index-info"]).stdin(input).run().await?;
        // A path git does not allow (`.git/config`) is left out with a warning and exit code 0.
        let dropped = String::from_utf8_lossy(&output.stderr).contains("Ignoring path");
        if output.status != Some(0) || dropped {
            return Err(output.fault("update-index"));
        }
        // What is added may take the place of a whole directory; what is only removed takes no more than itself.
        let only_removals = removed as usize == entries.len();
        if only_removals && self.count()? < before.saturating_sub(removed) {
            return Err(Fault::transient(format!(
                "the index {} lost entries while it was in use",
                self.file.display()
            )));
        }
        Ok(())
    }

    /// Its tree.
    pub(super) async fn tree(&self) -> Result<String, Fault> {
        let before = self.count()?;
        let tree = match self.plain_tree().await? {
            Some(tree) => tree,
            None => self.repo.call("write-tree").env("GIT_INDEX_FILE", &self.file).line().await?,
        };
        // Git leaves an index of no entries where it found none.
        let after = self.count()?;
        if before != after || before > 0 && is_empty_tree(&tree) {
            let text =
                format!("the index {} had {before} entries, and git wrote a tree of another", self.file.display());
            return Err(Fault::transient(text));
        }
        Ok(tree)
    }

    /// The same without a git, where little has changed.
    async fn plain_tree(&self) -> Result<Option<String>, Fault> {
        let file = self.file.clone();
        let bytes = blocking(move || std::fs::read(&file).map_err(|e| io(&file, "read", &e))).await?;
        let Some(id_bytes) = self.id_bytes else { return Ok(None) };
        let Some((tree, made)) = staged::tree(&bytes, id_bytes) else { return Ok(None) };
        self.repo.put_objects(made).await?;
        Ok(Some(tree))
    }
}

#[cfg(test)]
mod tests {
    use super::super::run::GitRun;
    use super::*;

    /// Something outside takes the index away at this step, and git goes on as if it were empty.
    async fn lost_at(step: &str) -> Result<String, Fault> {
        let tmp = tempfile::tempdir().unwrap();
        let git = std::env::split_paths(&std::env::var_os("PATH").unwrap()).map(|p| p.join("git")).find(|p| p.exists());
        let wrapper = tmp.path().join("bin/git");
        std::fs::create_dir_all(wrapper.parent().unwrap()).unwrap();
        let took = tmp.path().join("took");
        let text = format!(
            "#!/bin/sh\nif [ \"$1\" = '{step}' ]; then rm -f \"$GIT_INDEX_FILE\"; : > '{}'; fi\nexec '{}' \"$@\"\n",
            took.display(),
            git.unwrap().display()
        );
        std::fs::write(&wrapper, text).unwrap();
        std::fs::set_permissions(&wrapper, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let run = GitRun::found_in(tmp.path(), wrapper.parent().unwrap());
        let dir = tmp.path().join("x.git");
        run.call(None, "init").args(["-q", "--bare"]).arg(&dir).ok().await.unwrap();
        let repo = Repo { git: run, dir, index_dir: tmp.path().join("index") };
        let blob = repo.store_blob(b"text").await.unwrap();
        let list: Vec<String> = (0..5).map(|n| format!("100644 blob {blob}\tfile-{n}\n")).collect();
        let tree = repo.call("mktree").stdin(list.concat()).line().await.unwrap();
        let index = Index::of(&repo, "code", &tree).await?;
        let gone = Entry { mode: "0".into(), oid: blob, path: b"file-0".to_vec() };
        index.set(&[gone]).await?;
        let result = index.tree().await;
        assert_eq!(took.exists(), step != "nothing");
        result
    }

    #[tokio::test]
    async fn what_is_known_of_files_stays_known_where_the_tree_moved_on() {
        let tmp = tempfile::tempdir().unwrap();
        let git = GitRun::new(tmp.path()).unwrap();
        let (dir, files) = (tmp.path().join("x.git"), tmp.path().join("files"));
        git.call(None, "init").args(["-q", "--bare"]).arg(&dir).ok().await.unwrap();
        let repo = Repo { git, dir, index_dir: tmp.path().join("index") };
        std::fs::create_dir(&files).unwrap();
        for name in ["same", "other", "gone"] {
            std::fs::write(files.join(name), name).unwrap();
        }
        let first = Index::of(&repo, "first", &repo.empty_tree().await.unwrap()).await.unwrap();
        repo.add(&first, &files, |add| add.arg("-A")).await.unwrap();
        let tree = first.tree().await.unwrap();
        let (same, other) = (repo.store_blob(b"same").await.unwrap(), repo.store_blob(b"another").await.unwrap());
        let next = repo.call("mktree").stdin(format!("100644 blob {other}\tother\n100644 blob {same}\tsame\n"));
        let next = next.line().await.unwrap();
        let seen = tmp.path().join("seen");
        for (of, known) in [(&tree, vec!["gone", "other", "same"]), (&next, vec!["same"])] {
            copied(&first.file, &seen).unwrap();
            let written = Written { seen: seen.clone(), worktree: files.clone(), since: None };
            let index = Index::seen(&repo, "next", of, &written).await.unwrap();
            assert_eq!(&index.tree().await.unwrap(), of);
            let list = repo.call("ls-files").env("GIT_INDEX_FILE", &index.file).arg("--debug").line().await.unwrap();
            let of_known: Vec<&str> = list
                .split("flags: 0")
                .filter(|entry| !entry.trim().is_empty() && !entry.contains("mtime: 0:0"))
                .filter_map(|entry| entry.trim().lines().next())
                .collect();
            assert_eq!(of_known, known, "{list}");
        }
    }

    #[tokio::test]
    async fn a_lost_index_is_a_fault_and_never_an_empty_tree() {
        assert!(!is_empty_tree(&lost_at("nothing").await.unwrap()));
        for step in ["update-index"] {
            let fault = lost_at(step).await.unwrap_err();
            assert!(fault.is_transient() && fault.text.contains("index"), "{step}: {fault}");
        }
        let tmp = tempfile::tempdir().unwrap();
        let git = GitRun::new(tmp.path()).unwrap();
        for format in ["sha1", "sha256"] {
            let dir = tmp.path().join(format);
            let init = git.call(None, "init").args(["-q", "--bare", &format!("--object-format={format}")]);
            init.arg(&dir).ok().await.unwrap();
            let repo = Repo { git: git.clone(), dir, index_dir: tmp.path().join("index") };
            assert!(is_empty_tree(&repo.empty_tree().await.unwrap()), "{format}");
        }
    }
}
