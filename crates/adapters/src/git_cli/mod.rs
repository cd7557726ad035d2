//! The port `Git` by the `git` program (2.39 or later). Decides where repositories and working directories lie:
//! `<repos>/<REPOSITORY>.git` (bare, private), `<repos>/<REPOSITORY>.index/` (indexes in use),
//! `<worktrees>/<PROJECT>/<task>`. A repository is named by the first of its projects, and everything that is kept of it is
//! there once. It may never run git on a repository an agent wrote to, nor let two changes of one repository's references
//! overlap.
//!
//! `run` starts git, `reader` keeps some that answer what objects are, `trees` asks them, `objects` writes single ones,
//! `facts` keeps what never changes, `remote` speaks to the forge, `deliver` to one of this machine, `tree` reads,
//! `history` makes commits, `worktree` and `snapshot` deal with what agents get and leave, `dirs` with the file system
//! under them.

mod brought;
mod clone;
mod commits;
mod conflict;
mod deliver;
mod diff;
pub(crate) mod dirs;
pub(crate) mod facts;
mod hidden;
mod history;
mod index;
mod landing;
mod lfs;
mod lines;
mod mirror;
mod modules;
pub(crate) mod names;
mod objects;
mod packs;
mod pieces;
pub(crate) mod reader;
mod references;
pub(crate) mod remote;
pub(crate) mod run;
mod said;
mod set_up;
mod signing;
mod snapshot;
mod staged;
mod tree;
mod trees;
mod turns;
pub(crate) mod whole;
mod worktree;

pub use modules::{Submodules, Unfilled};

use dirs::component;
use orch_core::conflict::{Conflict, Shown};
use orch_core::ids::{Digest, ProjectKey, Sha, Time, WorkItem};
use orch_ports::diff::{Diff, DiffLimits};
use orch_ports::git::{
    Author, BroughtIn, Carry, Changed, ChangedLines, CommitLine, FileWrite, Git, OneCommit, PrepareWorktree,
    PushAnswer, Shelf, Snapshot, Snapshotted, Updated, Worktree, Written,
};
use orch_ports::{Fault, Remote, Repositories};
use remote::Address;
use run::{GitRun, io};
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use tree::{Entry, Repo, artefact_dir, checked, shown};

pub use signing::Signing;

/// Directory of the mirrors of submodules, below that of the repositories.
const MODULES_DIR: &str = ".modules";

/// Git by its own program.
#[derive(Debug)]
pub struct GitCli {
    git: GitRun,
    repos_dir: PathBuf,
    worktrees_dir: PathBuf,
    /// Which projects share a repository.
    repositories: Repositories,
    /// Where submodules may come from; those of other projects stay empty.
    submodules: BTreeMap<ProjectKey, Submodules>,
    /// How commits are signed that are to be signed.
    signing: Option<Signing>,
    /// Where the forge keeps what git-lfs stores, for forges on this machine, by repository.
    forge_stores: Mutex<HashMap<ProjectKey, PathBuf>>,
    /// Is git-lfs installed? Without it files that it keeps stay pointers.
    lfs: bool,
    /// Do clones of a repository read main's objects from one cache?
    share_objects: bool,
    /// One lock per repository around fetch, push and changes of references.
    locks: Mutex<HashMap<ProjectKey, Arc<tokio::sync::Mutex<()>>>>,
    /// What keeps working directories that were replaced, by the place they went to.
    leaving: turns::Turns,
    /// What is known of each private repository.
    known: Mutex<HashMap<ProjectKey, mirror::Known>>,
}

impl GitCli {
    /// Uses these directories, created if need be; fails if git is missing or older than 2.39.
    pub async fn new(repos_dir: impl AsRef<Path>, worktrees_dir: impl AsRef<Path>) -> Result<Self, Fault> {
        let whole = |dir: &Path| {
            let dir = std::path::absolute(dir).map_err(|e| io(dir, "make absolute", &e))?;
            crate::durable::make_dir(&dir)?;
            Ok::<_, Fault>(dir)
        };
        let (repos_dir, worktrees_dir) = (whole(repos_dir.as_ref())?, whole(worktrees_dir.as_ref())?);
        let git = GitRun::new(&repos_dir.join(".git-home"))?;
        let output = git.run(None, &["--version"], &[], None).await?;
        let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        if !recent(&text) {
            return Err(Fault::permanent(format!("orch needs git 2.39 or later, found '{text}': install a newer git")));
        }
        let path = std::env::var_os("PATH").unwrap_or_default().to_string_lossy().into_owned();
        let lfs = crate::tool::Tool::new("git-lfs", path).find().is_some();
        Ok(Self {
            git,
            repos_dir,
            worktrees_dir,
            repositories: Repositories::default(),
            submodules: BTreeMap::new(),
            forge_stores: Mutex::default(),
            signing: None,
            lfs,
            share_objects: true,
            locks: Mutex::default(),
            leaving: turns::Turns::default(),
            known: Mutex::default(),
        })
    }

    /// Gives every clone all of its objects, for agents that see nothing but their working directory (a container).
    #[must_use]
    pub fn with_whole_clones(self, whole: bool) -> Self {
        Self { share_objects: !whole, ..self }
    }

    /// Knows which projects share a repository.
    #[must_use]
    pub fn with_repositories(self, repositories: Repositories) -> Self {
        Self { repositories, ..self }
    }

    fn repo(&self, project: &ProjectKey) -> Result<Repo, Fault> {
        let repository = self.repositories.of(project);
        let key = component(repository.as_str())?;
        let dir = self.repos_dir.join(format!("{key}.git"));
        Ok(Repo { git: self.git.clone(), dir, index_dir: self.repos_dir.join(format!("{key}.index")) })
    }

    /// The private repository, which must have been fetched.
    fn open(&self, project: &ProjectKey) -> Result<Repo, Fault> {
        let repo = self.repo(project)?;
        if repo.dir.is_dir() {
            Ok(repo)
        } else {
            Err(Fault::gone(format!("{project} has no private repository yet: it was never fetched")))
        }
    }

    fn lock(&self, project: &ProjectKey) -> Arc<tokio::sync::Mutex<()>> {
        let mut locks = self.locks.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(locks.entry(self.repositories.of(project)).or_default())
    }
}

/// Copies what one store of git-lfs has and another lacks.
pub(crate) async fn bring_lfs(from: &Path, to: &Path) -> Result<(), Fault> {
    let (from, to) = (from.to_owned(), to.to_owned());
    dirs::blocking(move || lfs::bring(&from, &to)).await
}

/// Does the branch of a repository give files to git-lfs?
pub(crate) async fn has_lfs(git: &GitRun, dir: &Path, branch: &str) -> Result<bool, Fault> {
    let repo = Repo { git: git.clone(), dir: dir.to_owned(), index_dir: dir.with_extension("index") };
    match repo.peel(&format!("refs/heads/{branch}"), "tree").await? {
        Some(tree) => repo.has_lfs(&tree).await,
        None => Ok(false),
    }
}

/// Is `git version 2.47.3` recent enough?
fn recent(version: &str) -> bool {
    let number = version.split_whitespace().nth(2).unwrap_or_default();
    let mut parts = number.split('.').map(|p| p.parse::<u32>().unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0)) >= (2, 39)
}

#[async_trait::async_trait]
impl Git for GitCli {
    async fn fetch(&self, project: &ProjectKey, remote: &Remote) -> Result<(), Fault> {
        let repo = self.repo(project)?;
        self.note_store(project, remote);
        let address = Address::of(remote)?;
        let lock = self.lock(project);
        let _held = lock.lock().await;
        self.known(project, |k| k.remote = Some(remote.clone()));
        self.bring(project, &repo, &address).await.map_err(|f| f.context(format!("fetch {project}")))
    }

    async fn forge_branch(&self, project: &ProjectKey, branch: &str) -> Result<Option<Sha>, Fault> {
        let branch = branch.strip_prefix("refs/heads/").unwrap_or(branch);
        if let Some(why) = self.known(project, |k| k.unreadable.get(branch).cloned()) {
            return Err(Fault::permanent(format!(
                "branch {branch} of the forge cannot be read ({why}): repair or delete it there"
            )));
        }
        Ok(self.open(project)?.peel(&format!("refs/forge/{branch}"), "commit").await?.map(Sha::new))
    }

    async fn resolve(&self, project: &ProjectKey, rev: &str) -> Result<Option<Sha>, Fault> {
        Ok(self.open(project)?.peel(rev, "commit").await?.map(Sha::new))
    }

    async fn tree(&self, project: &ProjectKey, commit: &Sha) -> Result<Digest, Fault> {
        let done = async { Ok(Digest::new(self.open(project)?.tree_of(commit).await?)) }.await;
        self.sound(project, done).await
    }

    async fn code_digest(&self, project: &ProjectKey, commit: &Sha, dir: &str) -> Result<Digest, Fault> {
        let done = async { Ok(Digest::new(self.open(project)?.code_tree(commit, artefact_dir(dir)?).await?)) }.await;
        self.sound(project, done).await
    }

    async fn is_emptied(&self, project: &ProjectKey, base: &Sha, head: &Sha, dir: &str) -> Result<bool, Fault> {
        let (repo, dir) = (self.open(project)?, artefact_dir(dir)?);
        Ok(tree::is_empty_tree(&repo.code_tree(head, dir).await?)
            && !tree::is_empty_tree(&repo.code_tree(base, dir).await?))
    }

    async fn patch_id(&self, project: &ProjectKey, base: &Sha, head: &Sha, dir: &str) -> Result<Digest, Fault> {
        let done = async { self.open(project)?.patch_id(base, head, artefact_dir(dir)?).await }.await;
        self.sound(project, done).await
    }

    async fn is_ancestor(&self, project: &ProjectKey, old: &Sha, new: &Sha) -> Result<bool, Fault> {
        let done = async { self.open(project)?.is_ancestor(old, new).await }.await;
        self.sound(project, done).await
    }

    async fn diff(&self, project: &ProjectKey, from: &Sha, to: &Sha, limits: DiffLimits) -> Result<Diff, Fault> {
        let done = async { self.open(project)?.diff(from, to, limits).await }.await;
        self.sound(project, done).await
    }

    async fn commits(
        &self,
        project: &ProjectKey,
        to: &Sha,
        without: &[Sha],
        limit: usize,
    ) -> Result<Vec<CommitLine>, Fault> {
        let done = async { self.open(project)?.commits(to, without, limit).await }.await;
        self.sound(project, done).await
    }

    async fn written(
        &self,
        project: &ProjectKey,
        to: &Sha,
        without: &[Sha],
        limit: usize,
    ) -> Result<Vec<Written>, Fault> {
        let done = async { self.open(project)?.written(to, without, limit).await }.await;
        self.sound(project, done).await
    }

    async fn merge_bases(&self, project: &ProjectKey, one: &Sha, other: &Sha) -> Result<Vec<Sha>, Fault> {
        let done = async { self.open(project)?.merge_bases(one, other).await }.await;
        self.sound(project, done).await
    }

    async fn read_file(&self, project: &ProjectKey, commit: &Sha, path: &str) -> Result<Option<Vec<u8>>, Fault> {
        let repo = self.open(project)?;
        if path.is_empty() {
            return Ok(None);
        }
        let tree = repo.tree_of(commit).await?;
        match repo.entry(&tree, path.as_bytes()).await?.filter(Entry::is_regular) {
            Some(entry) => Ok(Some(repo.blob(&entry.oid, path).await?)),
            None => Ok(None),
        }
    }

    async fn list_files(&self, project: &ProjectKey, commit: &Sha, dir: &str) -> Result<Vec<String>, Fault> {
        let repo = self.open(project)?;
        let dir = dir.trim_end_matches('/');
        let below = if dir.is_empty() { String::new() } else { format!("{dir}/") };
        let entries = repo.entries(&repo.tree_of(commit).await?, below.as_bytes()).await?;
        let files = entries.iter().filter(|e| e.is_regular() && e.path.starts_with(below.as_bytes()));
        Ok(files.map(|e| shown(&e.path)).collect())
    }

    async fn entries(&self, project: &ProjectKey, commit: &Sha) -> Result<Vec<orch_ports::git::Entry>, Fault> {
        self.open(project)?.everything(commit).await
    }

    async fn changed_files(&self, project: &ProjectKey, from: &Sha, to: &Sha) -> Result<Vec<Changed>, Fault> {
        self.open(project)?.changed_files(from, to).await
    }

    async fn changed_lines(&self, project: &ProjectKey, from: &Sha, to: &Sha) -> Result<Vec<ChangedLines>, Fault> {
        self.open(project)?.changed_lines(from, to).await
    }

    async fn brought_in(&self, project: &ProjectKey, base: &Sha, head: &Sha) -> Result<BroughtIn, Fault> {
        self.open(project)?.brought_in(base, head).await
    }

    async fn read_objects(&self, project: &ProjectKey, ids: &[String]) -> Result<Vec<Vec<u8>>, Fault> {
        self.open(project)?.contents(ids).await
    }

    fn repository(&self, project: &ProjectKey) -> PathBuf {
        self.repos_dir.join(format!("{}.git", self.repositories.of(project)))
    }

    async fn prepare_worktree(&self, prepare: &PrepareWorktree<'_>) -> Result<Worktree, Fault> {
        let done = self.prepare(prepare).await.map_err(|f| f.context(format!("prepare {}", prepare.work_item)));
        self.sound(prepare.project, done).await
    }

    async fn snapshot(&self, snapshot: &Snapshot<'_>) -> Result<Snapshotted, Fault> {
        let done = self.take(snapshot).await.map_err(|f| f.context(format!("snapshot {}", snapshot.work_item)));
        self.sound(snapshot.project, done).await
    }

    async fn commit_files(
        &self,
        project: &ProjectKey,
        parent: &Sha,
        files: &[FileWrite],
        message: &str,
        at: Time,
    ) -> Result<Sha, Fault> {
        let done = async {
            let repo = self.open(project)?;
            let commit = repo.commit_files(parent, files, message, at).await?;
            repo.keep(&[]).await?;
            Ok(commit)
        };
        self.sound(project, done.await).await
    }

    async fn squash(
        &self,
        project: &ProjectKey,
        head: &Sha,
        onto: &Sha,
        message: &str,
        author: &Author,
        at: Time,
    ) -> Result<Sha, Fault> {
        let repo = self.open(project)?;
        let tree = repo.tree_of(head).await?;
        let new = history::NewCommit { tree: &tree, parents: &[onto], message, author, at: Some(at) };
        let commit = repo.commit(&new).await?;
        repo.keep(&[]).await?;
        Ok(commit)
    }

    async fn update(&self, project: &ProjectKey, head: &Sha, onto: &Sha, at: Time) -> Result<Updated, Fault> {
        let done = async {
            let repo = self.open(project)?;
            let updated = repo.update(head, onto, at).await?;
            repo.keep(&[]).await?;
            Ok(updated)
        };
        self.sound(project, done.await).await
    }

    async fn one_commit(&self, one: &OneCommit<'_>) -> Result<Updated, Fault> {
        self.open(one.project)?.one_commit(one, self.signing.as_ref()).await
    }

    async fn carry(&self, carry: &Carry<'_>) -> Result<Sha, Fault> {
        self.open(carry.project)?.carry(carry).await
    }

    async fn delete_branch(
        &self,
        project: &ProjectKey,
        remote: &Remote,
        branch: &str,
        protected: &str,
        expect: &Sha,
    ) -> Result<PushAnswer, Fault> {
        let (repo, remote) = (self.open(project)?, Address::of(remote)?);
        let lock = self.lock(project);
        let _held = lock.lock().await;
        repo.delete_branch(&remote, branch, protected, expect).await
    }

    async fn keep_history(&self, project: &ProjectKey, name: &str, commit: &Sha) -> Result<(), Fault> {
        let repo = self.open(project)?;
        let lock = self.lock(project);
        let _held = lock.lock().await;
        repo.keep_history(name, commit).await
    }

    async fn kept(&self, project: &ProjectKey, shelf: Shelf) -> Result<Vec<(String, Sha)>, Fault> {
        if shelf == Shelf::Attic {
            self.all_left(project).await?;
        }
        match self.open(project) {
            Ok(repo) => repo.kept(shelf).await,
            Err(_) => Ok(Vec::new()),
        }
    }

    async fn let_go(&self, project: &ProjectKey, shelf: Shelf, name: &str) -> Result<(), Fault> {
        let repo = self.open(project)?;
        let lock = self.lock(project);
        let _held = lock.lock().await;
        repo.let_go(shelf, name).await
    }

    async fn push_history(&self, project: &ProjectKey, remote: &Remote, name: &str, commit: &Sha) -> Result<(), Fault> {
        self.open(project)?.push_history(&Address::of(remote)?, name, commit).await
    }

    async fn conflicts(&self, project: &ProjectKey, head: &Sha, onto: &Sha) -> Result<Vec<String>, Fault> {
        self.open(project)?.conflicts(head, onto).await
    }

    async fn conflict(&self, project: &ProjectKey, head: &Sha, onto: &Sha) -> Result<Option<Conflict>, Fault> {
        self.open(project)?.conflict(head, onto).await
    }

    async fn conflict_shown(
        &self,
        project: &ProjectKey,
        commit: &Sha,
        record: &Conflict,
        over: &Sha,
        dir: &str,
    ) -> Result<Shown, Fault> {
        self.open(project)?.conflict_shown(commit, record, over, artefact_dir(dir)?).await
    }

    async fn push(
        &self,
        project: &ProjectKey,
        remote: &Remote,
        branch: &str,
        protected: &str,
        commit: &Sha,
        expect: Option<&Sha>,
    ) -> Result<PushAnswer, Fault> {
        let repo = self.open(project)?;
        self.upload(project, remote).await?;
        let remote = Address::of(remote)?;
        checked(commit)?;
        self.refuse_stranded(project, &remote, protected, commit).await?;
        let lock = self.lock(project);
        let held = lock.lock().await;
        let unreadable = self.known(project, |k| k.unreadable.keys().cloned().collect());
        let done = repo.push(&remote, branch, protected, commit, expect, &unreadable).await;
        drop(held);
        self.sound(project, done).await
    }

    async fn checkout(&self, project: &ProjectKey, commit: &Sha, dir: &Path) -> Result<(), Fault> {
        let done = self.cut_checkout(project, commit, dir).await;
        self.sound(project, done.map_err(|f| f.context(format!("check out {}", commit.short())))).await
    }

    fn worktree_path(&self, project: &ProjectKey, work_item: &WorkItem) -> PathBuf {
        self.worktrees_dir.join(project.as_str()).join(work_item.as_str())
    }

    async fn worktrees(&self) -> Result<Vec<(ProjectKey, WorkItem)>, Fault> {
        let all = self.worktrees_dir.clone();
        dirs::blocking(move || worktree::there(&all)).await
    }

    async fn remove_worktree(&self, project: &ProjectKey, work_item: &WorkItem) -> Result<(), Fault> {
        self.remove(project, work_item).await
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn only_a_git_that_merges_trees_is_recent_enough() {
        for (text, good) in [
            ("git version 2.47.3", true),
            ("git version 2.39.5 (Apple Git-154)", true),
            ("git version 2.38.1", false),
            ("", false),
        ] {
            assert_eq!(super::recent(text), good, "{text}");
        }
    }
}
