//! Files that git-lfs keeps outside of git. In commits they are pointers, a few lines that name the content by its
//! SHA-256; in working directories they are the content. Decides which is which, by the attribute `filter=lfs` of the
//! tree, and runs no filter: a filter is a program that a repository names. Contents lie in stores, directories laid out
//! as git-lfs has them: orch's own beside the private repository, and that of the forge's repository where it is on this
//! machine.

use super::GitCli;
use super::dirs::{blocking, inside, unique};
use super::index::Index;
use super::remote::Address;
use super::run::io;
use super::tree::{Entry, Repo, os, shown};
use orch_core::ids::{ProjectKey, Sha};
use orch_ports::{Fault, Remote};
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;
use std::fs;
use std::io::{Read, Write as _};
use std::path::{Path, PathBuf};

/// A pointer is shorter than this, bytes.
const POINTER: u64 = 1024;
const VERSION: &str = "version https://git-lfs.github.com/spec/v1\n";
/// A larger `.gitattributes` is not read, bytes.
const LARGEST: u64 = 1024 * 1024;

/// What a pointer names.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Pointer {
    /// SHA-256 of the content, hexadecimal.
    oid: String,
    /// Bytes.
    size: u64,
}

impl Pointer {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok().filter(|t| (t.len() as u64) < POINTER)?;
        let rest = text.strip_prefix(VERSION)?;
        let field = |name: &str| rest.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        let oid = field("oid")?.strip_prefix("sha256:")?.to_owned();
        let hex = oid.len() == 64 && oid.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        Some(Self { oid, size: field("size")?.parse().ok()? }).filter(|_| hex)
    }

    fn text(&self) -> String {
        format!("{VERSION}oid sha256:{}\nsize {}\n", self.oid, self.size)
    }

    /// Where a store has the content.
    fn place(&self, store: &Path) -> PathBuf {
        store.join("objects").join(&self.oid[..2]).join(&self.oid[2..4]).join(&self.oid)
    }
}

/// Copies what `from` has to `to` while it computes what a pointer to it says.
fn copied(mut from: impl Read, mut to: impl std::io::Write) -> std::io::Result<Pointer> {
    let (mut sum, mut size, mut buffer) = (Sha256::new(), 0, vec![0; 64 * 1024]);
    loop {
        let n = from.read(&mut buffer)?;
        if n == 0 {
            break;
        }
        sum.update(&buffer[..n]);
        to.write_all(&buffer[..n])?;
        size += n as u64;
    }
    let mut oid = String::with_capacity(64);
    for byte in sum.finalize() {
        let _ = write!(oid, "{byte:02x}");
    }
    Ok(Pointer { oid, size })
}

/// Puts a file into a store, durably, and says what points to it.
fn keep(file: &Path, store: &Path) -> Result<Pointer, Fault> {
    let objects = store.join("objects");
    fs::create_dir_all(&objects).map_err(|e| io(&objects, "create", &e))?;
    let new = objects.join(format!(".new-{}", unique()));
    let put = || -> std::io::Result<Pointer> {
        let mut to = fs::File::create(&new)?;
        let pointer = copied(fs::File::open(file)?, &mut to)?;
        to.flush()?;
        to.sync_all()?;
        let place = pointer.place(store);
        if let Some(parent) = place.parent() {
            fs::create_dir_all(parent)?;
            fs::rename(&new, &place)?;
            fs::File::open(parent)?.sync_all()?;
        }
        Ok(pointer)
    };
    put().map_err(|e| {
        let _ = fs::remove_file(&new);
        io(file, "keep the content of", &e)
    })
}

/// Every content of one store that another lacks is copied there.
pub(super) fn bring(from: &Path, to: &Path) -> Result<(), Fault> {
    let list = |dir: &Path| fs::read_dir(dir).into_iter().flatten().flatten().map(|e| e.path()).collect::<Vec<_>>();
    for file in list(&from.join("objects")).iter().flat_map(|d| list(d)).flat_map(|d| list(&d)) {
        let Some(oid) = file.file_name().and_then(|n| n.to_str()).filter(|n| n.len() == 64) else { continue };
        let there = Pointer { oid: oid.to_owned(), size: 0 }.place(to);
        if file.is_file() && !there.exists() {
            keep(&file, to)?;
        }
    }
    Ok(())
}

impl Repo {
    /// Does any `.gitattributes` of this tree give files to git-lfs?
    pub(super) async fn has_lfs(&self, treeish: &str) -> Result<bool, Fault> {
        let entries = self.entries(treeish, b"").await?;
        let named = |e: &&Entry| e.is_regular() && e.path.rsplit(|b| *b == b'/').next() == Some(b".gitattributes");
        for entry in entries.iter().filter(named) {
            let size = self.call("cat-file").args(["-s", &entry.oid]).line().await?;
            if size.parse::<u64>().is_ok_and(|n| n <= LARGEST)
                && shown(&self.call("cat-file").args(["blob", &entry.oid]).ok().await?).contains("filter=lfs")
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Those of these paths that an index's attributes give to git-lfs.
    async fn of_lfs(&self, index: &Index<'_>, paths: Vec<Vec<u8>>) -> Result<Vec<Vec<u8>>, Fault> {
        if paths.is_empty() {
            return Ok(paths);
        }
        let input: Vec<u8> = paths.into_iter().flat_map(|p| [p, vec![0]].concat()).collect();
        let call = self.call("check-attr").env("GIT_INDEX_FILE", os(&index.file));
        let out = call.args(["--cached", "-z", "--stdin", "filter"]).stdin(input).ok().await?;
        let fields: Vec<&[u8]> = out.split(|b| *b == 0).collect();
        Ok(fields.chunks_exact(3).filter(|f| f[2] == b"lfs").map(|f| f[0].to_vec()).collect())
    }
}

impl GitCli {
    /// As if git-lfs were installed, or were not.
    #[must_use]
    pub fn with_git_lfs(mut self, installed: bool) -> Self {
        self.lfs = installed;
        self
    }

    /// Does the branch of a repository on this machine give files to git-lfs, which is not installed? They stay pointers.
    pub async fn lacks_git_lfs(&self, repository: &Path, branch: &str) -> Result<bool, Fault> {
        Ok(!self.lfs && super::has_lfs(&self.git, repository, branch).await?)
    }

    /// orch's own store of a repository.
    pub(super) fn lfs_store(&self, project: &ProjectKey) -> PathBuf {
        self.repos_dir.join(format!("{}.lfs", self.repositories.of(project)))
    }

    /// Puts the content in the place of each pointer of a commit that was checked out at `dir`. One that no store has
    /// stays a pointer.
    pub(super) async fn smudge(
        &self,
        project: &ProjectKey,
        repo: &Repo,
        commit: &Sha,
        dir: &Path,
    ) -> Result<(), Fault> {
        let tree = repo.tree_of(commit).await?;
        if !self.lfs || !repo.has_lfs(&tree).await? {
            return Ok(());
        }
        // What `git lfs install --local` writes: whoever works there sees a clean tree. No git of ours runs there again.
        let at = |key: &str, value: &str| {
            let call = self.git.call(Some(&dir.join(".git")), "config");
            call.args([format!("filter.lfs.{key}").as_str(), value]).ok()
        };
        at("clean", "git-lfs clean -- %f").await?;
        at("smudge", "git-lfs smudge -- %f").await?;
        at("process", "git-lfs filter-process").await?;
        at("required", "true").await?;
        let index = Index::of(repo, "lfs", &tree).await?;
        let files = repo.entries(&tree, b"").await?.into_iter().filter(Entry::is_regular).map(|e| e.path).collect();
        let paths = repo.of_lfs(&index, files).await?;
        let stores = [self.lfs_store(project), self.forge_store(project)];
        let dir = dir.to_owned();
        blocking(move || {
            for path in paths {
                let Some(file) = std::str::from_utf8(&path).ok().map(|p| inside(&dir, p)).transpose()?.flatten() else {
                    continue;
                };
                let short = fs::symlink_metadata(&file).is_ok_and(|m| m.is_file() && m.len() < POINTER);
                let Some(pointer) = short.then(|| fs::read(&file).ok()).flatten().and_then(|b| Pointer::parse(&b)) else {
                    continue;
                };
                if let Some(place) = stores.iter().map(|store| pointer.place(store)).find(|place| place.is_file()) {
                        // Into the file that is there, so that its mode stays.
                        let written = fs::File::open(&place).and_then(|mut from| {
                            let mut to = fs::OpenOptions::new().write(true).truncate(true).open(&file)?;
                            std::io::copy(&mut from, &mut to)
                        });
                        written.map_err(|e| io(&file, "write", &e))?;
                } else {
                    tracing::warn!(file = %shown(&path), oid = %pointer.oid, "git-lfs content is not here: a pointer stays");
                }
            }
            Ok(())
        })
        .await
    }

    /// Remembers where a forge on this machine has its store.
    pub(super) fn note_store(&self, project: &ProjectKey, remote: &Remote) {
        let Ok(address) = Address::of(remote) else { return };
        if let Some(dir) = address.local() {
            let inside = dir.join(".git");
            let store = if inside.is_dir() { inside } else { dir.to_owned() }.join("lfs");
            let of = self.repositories.of(project);
            self.forge_stores.lock().unwrap_or_else(std::sync::PoisonError::into_inner).insert(of, store);
        }
    }

    /// Contents go where the pointers go, before them.
    pub(super) async fn upload(&self, project: &ProjectKey, remote: &Remote) -> Result<(), Fault> {
        self.note_store(project, remote);
        let (from, to) = (self.lfs_store(project), self.forge_store(project));
        if from == to || !from.is_dir() {
            return Ok(());
        }
        blocking(move || bring(&from, &to)).await
    }

    /// Refuses to push pointers whose contents nobody else has: no content goes to a remote over the network.
    pub(super) async fn refuse_stranded(
        &self,
        project: &ProjectKey,
        address: &Address,
        protected: &str,
        commit: &Sha,
    ) -> Result<(), Fault> {
        let store = self.lfs_store(project);
        if address.local().is_some() || !store.join("objects").is_dir() {
            return Ok(());
        }
        let repo = self.open(project)?;
        let Some(main) = repo.peel(&format!("refs/forge/{protected}"), "commit").await? else { return Ok(()) };
        let deltas = repo.deltas(&repo.tree_of(&Sha::new(main)).await?, &repo.tree_of(commit).await?).await?;
        for file in deltas.iter().map(|d| &d.new).filter(|e| e.is_regular()) {
            let path = shown(&file.path);
            let pointer = Pointer::parse(&repo.blob(&file.oid, &path).await?);
            if pointer.is_some_and(|pointer| pointer.place(&store).is_file()) {
                return Err(Fault::permanent(format!(
                    "the change holds {path}, which git-lfs keeps: its content cannot be brought to a remote over the network \
                     yet, and its pointer alone would be broken for everybody; leave such files out of the task, or bring them \
                     in by hand"
                )));
            }
        }
        Ok(())
    }

    /// Where the forge's repository has its contents, if it is on this machine: as of the last fetch.
    fn forge_store(&self, project: &ProjectKey) -> PathBuf {
        let places = self.forge_stores.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        places.get(&self.repositories.of(project)).cloned().unwrap_or_else(|| self.lfs_store(project))
    }

    /// Makes pointers of the changed files that an index gives to git-lfs, and keeps their contents. Were there any?
    pub(super) async fn clean(
        &self,
        project: &ProjectKey,
        index: &Index<'_>,
        worktree: &Path,
        changed: Vec<Entry>,
    ) -> Result<bool, Fault> {
        let repo = index.repo();
        let paths = repo.of_lfs(index, changed.iter().map(|e| e.path.clone()).collect()).await?;
        let mut pointers = vec![];
        for entry in changed.into_iter().filter(|e| paths.contains(&e.path)) {
            let Some(file) = std::str::from_utf8(&entry.path).ok().map(|p| inside(worktree, p)).transpose()?.flatten()
            else {
                continue;
            };
            let (store, source) = (self.lfs_store(project), file.clone());
            let made = blocking(move || {
                let meta = fs::symlink_metadata(&source).map_err(|e| io(&source, "look at", &e))?;
                let is_pointer = meta.len() < POINTER && fs::read(&source).is_ok_and(|b| Pointer::parse(&b).is_some());
                // An empty file is its own pointer.
                if is_pointer || meta.len() == 0 { Ok(None) } else { keep(&source, &store).map(Some) }
            });
            if let Some(pointer) = made.await? {
                let oid = repo.store_blob(pointer.text().as_bytes()).await?;
                pointers.push(Entry { oid, ..entry });
            }
        }
        if pointers.is_empty() {
            return Ok(false);
        }
        index.set(&pointers).await.map(|()| true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_is_read_as_it_is_written_and_nothing_else_is_one() {
        let pointer = copied(&b"content\n"[..], std::io::sink()).unwrap();
        assert_eq!(pointer.size, 8);
        assert_eq!(Pointer::parse(pointer.text().as_bytes()), Some(pointer.clone()));
        let extended = pointer.text().replace("oid sha256", "ext-0-x sha256:1\noid sha256");
        assert_eq!(Pointer::parse(extended.as_bytes()), Some(pointer.clone()));
        let long = format!("{}{}", pointer.text(), "x".repeat(2_000));
        for text in ["", "version 1\n", &pointer.text()[10..], &pointer.text().replace("sha256:", "sha256:../"), &long]
        {
            assert_eq!(Pointer::parse(text.as_bytes()), None, "{text}");
        }
    }
}
