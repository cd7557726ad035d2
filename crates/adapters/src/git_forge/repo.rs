//! The bare repository behind the local forge: reading branches, asking who contains whom, making a merge commit without
//! a working tree, and the one call that moves a branch. It decides nothing about pull requests. Names from outside
//! become full refs before git sees them, so that no branch name can be read as an option or a revision expression.

use crate::git_cli::names::{is_branch_name, is_object_id};
use crate::git_cli::run::{Call, GitRun};
use orch_core::ids::Sha;
use orch_ports::Fault;
use orch_ports::git::Author;
use std::path::{Path, PathBuf};

/// A bare repository.
#[derive(Clone, Debug)]
pub(super) struct Repo {
    git: GitRun,
    dir: PathBuf,
}

/// What merging two commits gives.
pub(super) enum MergedTree {
    /// This tree.
    Clean(String),
    /// These files conflict.
    Conflict(Vec<String>),
}

impl Repo {
    pub(super) fn new(git: GitRun, dir: PathBuf) -> Self {
        Self { git, dir }
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(super) fn call(&self, command: &str) -> Call<'_> {
        self.git.call(Some(&self.dir), command)
    }

    /// Every branch with its tip.
    pub(super) async fn branches(&self) -> Result<Vec<(String, Sha)>, Fault> {
        self.refs("refs/heads/").await
    }

    /// Tip of a branch.
    pub(super) async fn branch(&self, branch: &str) -> Result<Option<Sha>, Fault> {
        if !is_branch_name(branch) {
            return Ok(None);
        }
        // `for-each-ref` also lists what is *below* the name, hence the comparison.
        let found = self.refs(&format!("refs/heads/{branch}")).await?;
        Ok(found.into_iter().find(|(name, _)| name == branch).map(|(_, tip)| tip))
    }

    async fn refs(&self, pattern: &str) -> Result<Vec<(String, Sha)>, Fault> {
        let out = self.call("for-each-ref").args(["--format=%(objectname) %(refname)", pattern]).ok().await?;
        let text = String::from_utf8_lossy(&out);
        let lines = text.lines().filter_map(|line| line.split_once(" refs/heads/"));
        Ok(lines.map(|(sha, name)| (name.to_owned(), Sha::new(sha))).collect())
    }

    /// Is there such a commit?
    pub(super) async fn has_commit(&self, commit: &Sha) -> Result<bool, Fault> {
        if !is_object_id(commit.as_str()) {
            return Ok(false);
        }
        let name = format!("{commit}^{{commit}}");
        let out = self.call("rev-parse").args(["--verify", "--quiet", "--end-of-options", &name]).run().await?;
        match out.status {
            Some(0) => Ok(true),
            Some(1) => Ok(false),
            _ => Err(out.fault("rev-parse")),
        }
    }

    /// Is `old` an ancestor of `new`, or the same?
    pub(super) async fn is_ancestor(&self, old: &Sha, new: &Sha) -> Result<bool, Fault> {
        let out = self.call("merge-base").args(["--is-ancestor", old.as_str(), new.as_str()]).run().await?;
        match out.status {
            Some(0) => Ok(true),
            Some(1) => Ok(false),
            _ => Err(out.fault("merge-base")),
        }
    }

    /// Merges `head` into `base` in memory; writes objects, moves nothing.
    pub(super) async fn merge_tree(&self, base: &Sha, head: &Sha) -> Result<MergedTree, Fault> {
        let args = ["--write-tree", "--name-only", "--no-messages", "-z", base.as_str(), head.as_str()];
        let out = self.call("merge-tree").args(args).run().await?;
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        let mut fields = text.split('\0').filter(|f| !f.is_empty());
        match (out.status, fields.next()) {
            (Some(0), Some(tree)) => Ok(MergedTree::Clean(tree.to_owned())),
            (Some(1), Some(_)) => Ok(MergedTree::Conflict(fields.map(str::to_owned).collect())),
            _ => Err(out.fault("merge-tree")),
        }
    }

    /// Makes a commit. The time is that of `dated_by`, so that asking again makes the same commit and not a second one.
    pub(super) async fn commit(
        &self,
        tree: &str,
        parents: &[&Sha],
        dated_by: &Sha,
        message: &str,
    ) -> Result<Sha, Fault> {
        let line = self.call("rev-list").args(["--max-count=1", "--timestamp", dated_by.as_str()]).line().await?;
        let Some((seconds, _)) = line.split_once(' ') else {
            return Err(Fault::bug(format!("git rev-list --timestamp told {line:?}")));
        };
        let date = format!("@{seconds} +0000");
        let author = Author::orch();
        let mut call = self.call("commit-tree").args(["-F", "-"]);
        for parent in parents {
            call = call.args(["-p", parent.as_str()]);
        }
        for who in ["AUTHOR", "COMMITTER"] {
            call = call
                .env(format!("GIT_{who}_NAME"), &author.name)
                .env(format!("GIT_{who}_EMAIL"), &author.email)
                .env(format!("GIT_{who}_DATE"), &date);
        }
        Ok(Sha::new(call.arg(tree).stdin(message.as_bytes()).line().await?))
    }

    /// Every object that `new` has and `old` has not, by id.
    pub(super) async fn objects_between(&self, old: &Sha, new: &Sha) -> Result<Vec<String>, Fault> {
        let args = ["--objects", "--no-object-names", new.as_str(), "--not", old.as_str()];
        let out = self.call("rev-list").args(args).ok().await?;
        Ok(String::from_utf8_lossy(&out).lines().map(str::to_owned).collect())
    }

    /// Returns when the objects and this branch are on disk.
    pub(super) async fn keep(&self, branch: &str) -> Result<(), Fault> {
        self.git.keep(&self.dir, &[&format!("refs/heads/{branch}")]).await
    }

    /// Moves a branch from `old` to `new`, or fails and leaves it where it is.
    pub(super) async fn compare_and_move(&self, branch: &str, old: &Sha, new: &Sha, why: &str) -> Result<(), Fault> {
        let name = format!("refs/heads/{branch}");
        self.call("update-ref")
            .config("core.logAllRefUpdates", "true")
            .args(["-m", why, &name, new.as_str(), old.as_str()])
            .ok()
            .await
            .map(|_| ())
    }
}
