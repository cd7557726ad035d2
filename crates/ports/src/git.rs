//! The orchestrator's own view of a repository: a private bare repository per project that no agent can reach, and
//! working directories that agents may ruin as they like. Everything that is judged, committed or pushed is resolved in
//! the private repository, from a fresh fetch; an agent's own `.git` is never believed.

use crate::diff::{Diff, DiffLimits};
use crate::fault::Fault;
use crate::remote::Remote;
use orch_core::conflict::{Conflict, Shown};
use orch_core::ids::{Digest, ProjectKey, Sha, Time, WorkItem};
use orch_core::verdict::ChangedRange;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

pub use crate::diff::EntryKind;

/// A commit's author, attributed to the role that did the work: `orch developer <developer@orch.invalid>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Author {
    /// Name.
    pub name: String,
    /// Address.
    pub email: String,
}

impl Author {
    /// The author for what a role wrote.
    pub fn role(role: &str) -> Self {
        Self { name: format!("orch {role}"), email: format!("{role}@orch.invalid") }
    }
    /// The author for what orch wrote itself.
    pub fn orch() -> Self {
        Self { name: "orch".into(), email: "orch@orch.invalid".into() }
    }
}

/// What an agent's working directory must hold before a run.
#[derive(Clone, Debug)]
pub struct PrepareWorktree<'a> {
    /// Project.
    pub project: &'a ProjectKey,
    /// Task; the directory is its own and never overlaps another's.
    pub work_item: &'a WorkItem,
    /// Branch name the agent sees checked out.
    pub branch: &'a str,
    /// Commit it starts from.
    pub commit: &'a Sha,
    /// Tip of the default branch, there for the agent as branch `orch-base`.
    pub base: &'a Sha,
    /// Files of `commit` merged with `base`, conflict markers included, instead of `commit` alone.
    pub with_conflicts: bool,
    /// Paths removed before the run: verdicts of earlier rounds.
    pub remove: &'a [String],
    /// What is there and not committed is kept on the shelf `Attic` under this name first.
    pub attic: &'a str,
    /// Nobody but the project's setup has worked there since it was prepared: what git ignores of it is there again, the rest
    /// of what the setup made is gone.
    pub after_setup: bool,
    /// What is there, or was kept under `attic`, is what the next run begins with, if anything is: its session goes on.
    /// Nothing is removed then.
    pub as_left: bool,
}

/// A working directory that is ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Worktree {
    /// Where it is.
    pub dir: PathBuf,
    /// It holds what the run before left, as `as_left` asked for.
    pub as_left: bool,
}

/// Where commits are kept by name in the private repository, beside all branches: `refs/orch/history`, `refs/orch/attic`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shelf {
    /// A branch's own commits that one commit took the place of: `<work item>/<short id>`.
    History,
    /// What an agent left uncommitted before its working directory was made anew, by the name of the run that followed.
    Attic,
}

/// What is taken from an agent's working directory after a run.
#[derive(Clone, Debug)]
pub struct Snapshot<'a> {
    /// Project.
    pub project: &'a ProjectKey,
    /// Task.
    pub work_item: &'a WorkItem,
    /// First parent and source of everything that is not taken.
    pub parent: &'a Sha,
    /// Second parent: main, when the agent resolved a conflict with it.
    pub merged: Option<&'a Sha>,
    /// The task's artefact directory, without a trailing slash.
    pub artefact_dir: &'a str,
    /// Take changes outside the artefact directory? Only the developer's are.
    pub take_code: bool,
    /// Artefacts below `artefact_dir` (names as in `orch_core::artefact`) whose changes are taken; the others are
    /// restored from `parent`. Files in that directory that are no known artefacts count as code.
    pub take_artefacts: &'a [&'a str],
    /// Commit message.
    pub message: &'a str,
    /// Author.
    pub author: &'a Author,
    /// Author and committer time: the same run always makes the same commit.
    pub at: Time,
    /// When the run began that left this, if that is known: nobody but orch wrote there before.
    pub since: Option<Time>,
}

/// A snapshot's result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshotted {
    /// The commit; `parent` itself if nothing that is taken changed and nothing was merged.
    pub commit: Sha,
    /// Does the commit differ from `parent`?
    pub changed: bool,
    /// Did anything but known artefacts change?
    pub code_changed: bool,
    /// Changes that were not taken, by path, for the record.
    pub discarded: Vec<String>,
    /// Why nothing was taken, for the role: files are absent that its clone did not show, or no file is left.
    pub refused: Option<String>,
}

/// A file orch writes itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileWrite {
    /// Path in the repository.
    pub path: String,
    /// Content.
    pub bytes: Vec<u8>,
}

/// Bringing a branch to the tip of main.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Updated {
    /// It contains the tip already.
    UpToDate,
    /// It does now: rebased, or main merged in if the branch has merge commits.
    Moved {
        /// The new head.
        head: Sha,
    },
    /// These files conflict.
    Conflict {
        /// By path.
        files: Vec<String>,
    },
}

/// The one commit a task lands as.
#[derive(Clone, Debug)]
pub struct OneCommit<'a> {
    /// Project.
    pub project: &'a ProjectKey,
    /// Head of the branch.
    pub head: &'a Sha,
    /// Tip of the default branch, its only parent.
    pub onto: &'a Sha,
    /// The whole message.
    pub message: &'a str,
    /// Author.
    pub author: &'a Author,
    /// Committer.
    pub committer: &'a Author,
    /// Sign it as the operator's git would?
    pub sign: bool,
    /// Both dates.
    pub at: Time,
    /// Commits that may be this one already, made before a crash: a signature differs each time.
    pub known: &'a [Sha],
}

/// A commit of which some documents stay behind.
#[derive(Clone, Debug)]
pub struct Carry<'a> {
    /// Project.
    pub project: &'a ProjectKey,
    /// The commit whose files are taken.
    pub commit: &'a Sha,
    /// Parent of the result, and source of the documents that are not carried.
    pub parent: &'a Sha,
    /// Second parent.
    pub merged: Option<&'a Sha>,
    /// The task's artefact directory, without a trailing slash.
    pub artefact_dir: &'a str,
    /// Known artefacts that are carried.
    pub documents: &'a [&'a str],
    /// Commit message.
    pub message: &'a str,
    /// Author.
    pub author: &'a Author,
    /// Both dates.
    pub at: Time,
}

/// Answer to a push.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PushAnswer {
    /// The branch is at the commit.
    Done,
    /// The branch is not where we left it: somebody else pushed.
    Rejected {
        /// Where it is now.
        now: Option<Sha>,
    },
}

/// How a file changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// Path.
    pub path: String,
    /// `A`, `M`, `D` or `T`.
    pub how: char,
}

/// Which lines of a file are not what they were.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangedLines {
    /// Path.
    pub path: String,
    /// `A`, `M`, `D` or `T`.
    pub how: char,
    /// Lines of the file as it is now, in order. Empty if no line of it is there or none is different.
    pub lines: Vec<ChangedRange>,
}

/// A blob under one of its names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlobAt {
    /// Path; what is not UTF-8 in it is replaced.
    pub path: String,
    /// Object id.
    pub oid: String,
    /// Size, bytes.
    pub size: u64,
    /// The commit that put it there.
    pub commit: Sha,
}

/// A commit, as people tell it from others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitLine {
    /// Its id.
    pub id: Sha,
    /// Name of its author, on one line; anybody may write anything there.
    pub author: String,
    /// First line of its message.
    pub subject: String,
}

/// A commit as its author wrote it. Anybody may have written anything: nothing of it is made harmless.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// Its id.
    pub id: Sha,
    /// Who says to have written it.
    pub author: Author,
    /// The whole message.
    pub message: String,
}

/// A path at a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Path; what is not UTF-8 in it is replaced.
    pub path: String,
    /// What it stands for.
    pub kind: EntryKind,
    /// Object id; a commit's for a submodule.
    pub oid: String,
    /// Size, bytes; 0 for a submodule.
    pub size: u64,
}

/// What a range of commits brings in: objects, so that no attribute, merge, deletion or binary flag hides any of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BroughtIn {
    /// Every blob that cannot be reached from the base, under every path it has in any commit of the range.
    pub blobs: Vec<BlobAt>,
    /// The commits of the range, newest first: they have messages.
    pub commits: Vec<Sha>,
    /// What stands under the paths that are different at the head where the branch left the base.
    pub before: Vec<BlobAt>,
    /// What stands under them at the head.
    pub after: Vec<BlobAt>,
    /// Those of the paths of `before` that are not there at the head, and that git does not find again under another name.
    pub gone: Vec<String>,
    /// Those of these paths that lead elsewhere at the head: links, which are blobs too, and submodules, which are not.
    pub leading: Vec<Entry>,
}

/// Git, as orch uses it.
#[async_trait::async_trait]
pub trait Git: Send + Sync + 'static {
    /// Brings the private repository up to date with the forge (branches as `refs/forge/<branch>`), creating it first
    /// if need be.
    async fn fetch(&self, project: &ProjectKey, remote: &Remote) -> Result<(), Fault>;
    /// Tip of a forge branch as of the last fetch.
    async fn forge_branch(&self, project: &ProjectKey, branch: &str) -> Result<Option<Sha>, Fault>;
    /// The full commit id of any revision expression, `None` if there is none.
    async fn resolve(&self, project: &ProjectKey, rev: &str) -> Result<Option<Sha>, Fault>;
    /// Tree of a commit: names exactly what was tested.
    async fn tree(&self, project: &ProjectKey, commit: &Sha) -> Result<Digest, Fault>;
    /// Tree of a commit without the known artefacts below `artefact_dir` (regular files only).
    async fn code_digest(&self, project: &ProjectKey, commit: &Sha, artefact_dir: &str) -> Result<Digest, Fault>;
    /// Does `head` hold no code although `base` does? Artefacts below `artefact_dir` are no code.
    async fn is_emptied(&self, project: &ProjectKey, base: &Sha, head: &Sha, artefact_dir: &str)
    -> Result<bool, Fault>;
    /// What the branch changes against its merge base, artefacts aside: survives a conflict-free rebase.
    async fn patch_id(&self, project: &ProjectKey, base: &Sha, head: &Sha, artefact_dir: &str)
    -> Result<Digest, Fault>;
    /// Is `old` an ancestor of (or the same as) `new`?
    async fn is_ancestor(&self, project: &ProjectKey, old: &Sha, new: &Sha) -> Result<bool, Fault>;
    /// The commits of `to` that none of `without` contains, newest first, at most `limit`. What people wrote in them is on
    /// one line each, without characters that control a terminal or turn text, and cut where it is long.
    async fn commits(
        &self,
        project: &ProjectKey,
        to: &Sha,
        without: &[Sha],
        limit: usize,
    ) -> Result<Vec<CommitLine>, Fault>;
    /// The same commits without merges, as their authors wrote them.
    async fn written(
        &self,
        project: &ProjectKey,
        to: &Sha,
        without: &[Sha],
        limit: usize,
    ) -> Result<Vec<Written>, Fault>;
    /// The best common ancestors of two commits: none if they share no history, several where histories cross.
    async fn merge_bases(&self, project: &ProjectKey, one: &Sha, other: &Sha) -> Result<Vec<Sha>, Fault>;
    /// A file at a commit, `None` if it is not there or no regular file.
    async fn read_file(&self, project: &ProjectKey, commit: &Sha, path: &str) -> Result<Option<Vec<u8>>, Fault>;
    /// Regular files below a directory at a commit, full paths.
    async fn list_files(&self, project: &ProjectKey, commit: &Sha, dir: &str) -> Result<Vec<String>, Fault>;
    /// Everything a commit holds that is no directory.
    async fn entries(&self, project: &ProjectKey, commit: &Sha) -> Result<Vec<Entry>, Fault>;
    /// Files that differ between two commits.
    async fn changed_files(&self, project: &ProjectKey, from: &Sha, to: &Sha) -> Result<Vec<Changed>, Fault>;
    /// Lines that differ between two commits, for every file that does; renames are not followed. Nothing a branch may
    /// say (attributes, binary flags, drivers) leaves any out.
    async fn changed_lines(&self, project: &ProjectKey, from: &Sha, to: &Sha) -> Result<Vec<ChangedLines>, Fault>;
    /// The difference between two commits as people read it; renames are not followed. It is cut while it is read, so that
    /// none is too large. Nothing a branch may say (attributes, drivers) leaves any out or runs anything.
    async fn diff(&self, project: &ProjectKey, from: &Sha, to: &Sha, limits: DiffLimits) -> Result<Diff, Fault>;
    /// What the commits `base..head` bring in.
    async fn brought_in(&self, project: &ProjectKey, base: &Sha, head: &Sha) -> Result<BroughtIn, Fault>;
    /// Contents of objects by id, in the order asked for. The caller keeps the sum of their sizes within its memory.
    async fn read_objects(&self, project: &ProjectKey, ids: &[String]) -> Result<Vec<Vec<u8>>, Fault>;
    /// The private repository's git directory, for programs that read it. Nothing but this port writes there.
    fn repository(&self, project: &ProjectKey) -> PathBuf;
    /// A fresh working directory for an agent: a clone of its own, with no remote. Returns its path.
    async fn prepare_worktree(&self, prepare: &PrepareWorktree<'_>) -> Result<Worktree, Fault>;
    /// Takes what an agent left, as one commit in the private repository. Runs nothing the working directory names:
    /// no hooks, no filters, no drivers. `Gone`: the agent removed its working directory or put a link in its place.
    async fn snapshot(&self, snapshot: &Snapshot<'_>) -> Result<Snapshotted, Fault>;
    /// One commit on top of `parent` with files of orch's own; `parent` itself if they are there already.
    async fn commit_files(
        &self,
        project: &ProjectKey,
        parent: &Sha,
        files: &[FileWrite],
        message: &str,
        at: Time,
    ) -> Result<Sha, Fault>;
    /// One commit on top of `onto` with the files of `head`: what its history held and its files do not hold any more is
    /// in no commit of the branch.
    async fn squash(
        &self,
        project: &ProjectKey,
        head: &Sha,
        onto: &Sha,
        message: &str,
        author: &Author,
        at: Time,
    ) -> Result<Sha, Fault>;
    /// Brings `head` to the tip `onto`, inside the private repository.
    async fn update(&self, project: &ProjectKey, head: &Sha, onto: &Sha, at: Time) -> Result<Updated, Fault>;
    /// The files of `head`, merged with `onto`, as one commit on top of `onto`. `UpToDate`: `head` is that commit already.
    /// Where `onto` holds all of it, `onto` itself is the new head.
    async fn one_commit(&self, one: &OneCommit<'_>) -> Result<Updated, Fault>;
    /// The files of a commit without the known artefacts that are not carried, on top of `parent`; `parent` itself if that
    /// changes nothing and nothing was merged.
    async fn carry(&self, carry: &Carry<'_>) -> Result<Sha, Fault>;
    /// Deletes a task's branch on the forge, only where it is at `expect`; gone already is `Done`. The default branch is
    /// refused as in [`Git::push`].
    async fn delete_branch(
        &self,
        project: &ProjectKey,
        remote: &Remote,
        branch: &str,
        protected: &str,
        expect: &Sha,
    ) -> Result<PushAnswer, Fault>;
    /// Keeps a commit and all before it on the shelf `History` under a name.
    async fn keep_history(&self, project: &ProjectKey, name: &str, commit: &Sha) -> Result<(), Fault>;
    /// What is kept on a shelf, by name; nothing where there is no private repository yet.
    async fn kept(&self, project: &ProjectKey, shelf: Shelf) -> Result<Vec<(String, Sha)>, Fault>;
    /// Lets one of these go; gone already is done.
    async fn let_go(&self, project: &ProjectKey, shelf: Shelf, name: &str) -> Result<(), Fault>;
    /// Publishes what is kept on the forge as `refs/orch/history/<name>`, beside all branches.
    async fn push_history(&self, project: &ProjectKey, remote: &Remote, name: &str, commit: &Sha) -> Result<(), Fault>;
    /// Would `head` merge into `onto`? The files that conflict, empty if none.
    async fn conflicts(&self, project: &ProjectKey, head: &Sha, onto: &Sha) -> Result<Vec<String>, Fault>;
    /// What bringing `head` to the tip `onto` conflicts in, path by path; `None` if it merges. The same two commits give
    /// the same record, and exactly the markers that `prepare_worktree` writes for them.
    async fn conflict(&self, project: &ProjectKey, head: &Sha, onto: &Sha) -> Result<Option<Conflict>, Fault>;
    /// What the tree of `commit` shows of a recorded conflict: at its paths, and in every other file that is not as in
    /// `over`, the tip of the default branch. Nothing is merged.
    async fn conflict_shown(
        &self,
        project: &ProjectKey,
        commit: &Sha,
        record: &Conflict,
        over: &Sha,
        artefact_dir: &str,
    ) -> Result<Shown, Fault>;
    /// Pushes a task branch with `--force-with-lease=<branch>:<expect>`. `protected` is the default branch: naming it as
    /// `branch` is a bug and refused here, whatever the forge would say. The branch being at `commit` already is `Done`.
    async fn push(
        &self,
        project: &ProjectKey,
        remote: &Remote,
        branch: &str,
        protected: &str,
        commit: &Sha,
        expect: Option<&Sha>,
    ) -> Result<PushAnswer, Fault>;
    /// A clean checkout of a commit at `dir` (replaced if there), with a `.git` of its own and no remote.
    async fn checkout(&self, project: &ProjectKey, commit: &Sha, dir: &Path) -> Result<(), Fault>;
    /// Where a task's working directory is or would be.
    fn worktree_path(&self, project: &ProjectKey, work_item: &WorkItem) -> PathBuf;
    /// Tasks that have a working directory now, by project and name.
    async fn worktrees(&self) -> Result<Vec<(ProjectKey, WorkItem)>, Fault>;
    /// Removes a task's working directory; gone already is success.
    async fn remove_worktree(&self, project: &ProjectKey, work_item: &WorkItem) -> Result<(), Fault>;
}
