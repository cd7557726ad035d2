//! The real forge, tracker and git behind the plan of faults, and the two ports a test plays itself: people who are
//! told, and the service in production.

use crate::faults::Faults;
use orch_adapters::git_cli::GitCli;
use orch_adapters::local_forge::LocalForge;
use orch_adapters::local_tracker::LocalTracker;
use orch_core::conflict::{Conflict, Shown};
use orch_core::ids::{Actor, Digest, ProjectKey, Sha, Time, WorkItem};
use orch_ports::Fault;
use orch_ports::forge::{CommitStatus, Forge, MergeAnswer, MergeMethod, PullRequest, Review};
use orch_ports::git::{
    Author, BroughtIn, Changed, ChangedLines, FileWrite, Git, PrepareWorktree, PushAnswer, Snapshot, Snapshotted,
    Updated,
};
use orch_ports::notifier::{Notice, Notifier};
use orch_ports::probe::{Probe, ProbeAnswer};
use orch_ports::tracker::{Comment, Ticket, TicketState, Tracker};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

pub struct FlakyForge {
    pub real: LocalForge,
    pub faults: Arc<Faults>,
    /// The next merge is answered with this, and nothing is done.
    pub lie: Mutex<Option<MergeAnswer>>,
}

#[async_trait::async_trait]
impl Forge for FlakyForge {
    async fn remote(&self, p: &ProjectKey) -> Result<String, Fault> {
        self.faults.call("forge.remote", self.real.remote(p)).await
    }
    async fn default_branch(&self, p: &ProjectKey) -> Result<String, Fault> {
        self.faults.call("forge.default_branch", self.real.default_branch(p)).await
    }
    async fn branch_head(&self, p: &ProjectKey, branch: &str) -> Result<Option<Sha>, Fault> {
        self.faults.call("forge.branch_head", self.real.branch_head(p, branch)).await
    }
    async fn ensure_pull_request(
        &self,
        p: &ProjectKey,
        head: &str,
        base: &str,
        title: &str,
        body: &str,
    ) -> Result<PullRequest, Fault> {
        let act = self.real.ensure_pull_request(p, head, base, title, body);
        self.faults.call("forge.ensure_pull_request", act).await
    }
    async fn pull_request(&self, p: &ProjectKey, number: u64) -> Result<PullRequest, Fault> {
        self.faults.call("forge.pull_request", self.real.pull_request(p, number)).await
    }
    async fn close_pull_request(&self, p: &ProjectKey, number: u64) -> Result<(), Fault> {
        self.faults.call("forge.close_pull_request", self.real.close_pull_request(p, number)).await
    }
    async fn statuses(&self, p: &ProjectKey, commit: &Sha) -> Result<Vec<CommitStatus>, Fault> {
        self.faults.call("forge.statuses", self.real.statuses(p, commit)).await
    }
    async fn set_status(&self, p: &ProjectKey, commit: &Sha, status: &CommitStatus) -> Result<(), Fault> {
        self.faults.call("forge.set_status", self.real.set_status(p, commit, status)).await
    }
    async fn reviews(&self, p: &ProjectKey, number: u64) -> Result<Vec<Review>, Fault> {
        self.faults.call("forge.reviews", self.real.reviews(p, number)).await
    }
    async fn submit_review(&self, p: &ProjectKey, number: u64, review: &Review) -> Result<(), Fault> {
        self.faults.call("forge.submit_review", self.real.submit_review(p, number, review)).await
    }
    async fn put_comment(&self, p: &ProjectKey, number: u64, key: &str, body: &str) -> Result<(), Fault> {
        self.faults.call("forge.put_comment", self.real.put_comment(p, number, key, body)).await
    }
    async fn merge(
        &self,
        p: &ProjectKey,
        number: u64,
        head: &Sha,
        method: MergeMethod,
        message: &str,
    ) -> Result<MergeAnswer, Fault> {
        let lie = self.lie.lock().unwrap().take();
        if let Some(lie) = lie {
            return Ok(lie);
        }
        self.faults.call("forge.merge", self.real.merge(p, number, head, method, message)).await
    }
}

pub struct FlakyTracker {
    pub real: Arc<LocalTracker>,
    pub faults: Arc<Faults>,
}

#[async_trait::async_trait]
impl Tracker for FlakyTracker {
    async fn create(&self, p: &ProjectKey, title: &str, body: &str, by: &Actor, key: &str) -> Result<Ticket, Fault> {
        self.faults.call("tracker.create", self.real.create(p, title, body, by, key)).await
    }
    async fn ticket(&self, p: &ProjectKey, number: u64) -> Result<Ticket, Fault> {
        self.faults.call("tracker.ticket", self.real.ticket(p, number)).await
    }
    async fn changed_since(&self, p: &ProjectKey, since: Time) -> Result<Vec<Ticket>, Fault> {
        self.faults.call("tracker.changed_since", self.real.changed_since(p, since)).await
    }
    async fn set_state(&self, p: &ProjectKey, number: u64, state: TicketState, by: &Actor) -> Result<(), Fault> {
        self.faults.call("tracker.set_state", self.real.set_state(p, number, state, by)).await
    }
    async fn put_comment(&self, p: &ProjectKey, number: u64, key: &str, body: &str) -> Result<(), Fault> {
        self.faults.call("tracker.put_comment", self.real.put_comment(p, number, key, body)).await
    }
    async fn comments(&self, p: &ProjectKey, number: u64) -> Result<Vec<Comment>, Fault> {
        self.real.comments(p, number).await
    }
}

pub struct FlakyGit {
    pub real: Arc<GitCli>,
    pub faults: Arc<Faults>,
}

#[async_trait::async_trait]
impl Git for FlakyGit {
    async fn fetch(&self, p: &ProjectKey, remote: &str) -> Result<(), Fault> {
        self.faults.call("git.fetch", self.real.fetch(p, remote)).await
    }
    async fn forge_branch(&self, p: &ProjectKey, branch: &str) -> Result<Option<Sha>, Fault> {
        self.real.forge_branch(p, branch).await
    }
    async fn resolve(&self, p: &ProjectKey, rev: &str) -> Result<Option<Sha>, Fault> {
        self.real.resolve(p, rev).await
    }
    async fn tree(&self, p: &ProjectKey, commit: &Sha) -> Result<Digest, Fault> {
        self.real.tree(p, commit).await
    }
    async fn code_digest(&self, p: &ProjectKey, commit: &Sha, dir: &str) -> Result<Digest, Fault> {
        self.real.code_digest(p, commit, dir).await
    }
    async fn is_emptied(&self, p: &ProjectKey, base: &Sha, head: &Sha, dir: &str) -> Result<bool, Fault> {
        self.real.is_emptied(p, base, head, dir).await
    }
    async fn patch_id(&self, p: &ProjectKey, base: &Sha, head: &Sha, dir: &str) -> Result<Digest, Fault> {
        self.real.patch_id(p, base, head, dir).await
    }
    async fn is_ancestor(&self, p: &ProjectKey, old: &Sha, new: &Sha) -> Result<bool, Fault> {
        self.real.is_ancestor(p, old, new).await
    }
    async fn read_file(&self, p: &ProjectKey, commit: &Sha, path: &str) -> Result<Option<Vec<u8>>, Fault> {
        self.real.read_file(p, commit, path).await
    }
    async fn list_files(&self, p: &ProjectKey, commit: &Sha, dir: &str) -> Result<Vec<String>, Fault> {
        self.real.list_files(p, commit, dir).await
    }
    async fn changed_files(&self, p: &ProjectKey, from: &Sha, to: &Sha) -> Result<Vec<Changed>, Fault> {
        self.real.changed_files(p, from, to).await
    }
    async fn changed_lines(&self, p: &ProjectKey, from: &Sha, to: &Sha) -> Result<Vec<ChangedLines>, Fault> {
        self.faults.call("git.changed_lines", self.real.changed_lines(p, from, to)).await
    }
    async fn prepare_worktree(&self, prepare: &PrepareWorktree<'_>) -> Result<PathBuf, Fault> {
        self.faults.call("git.prepare_worktree", self.real.prepare_worktree(prepare)).await
    }
    async fn snapshot(&self, snapshot: &Snapshot<'_>) -> Result<Snapshotted, Fault> {
        self.faults.call("git.snapshot", self.real.snapshot(snapshot)).await
    }
    async fn commit_files(
        &self,
        p: &ProjectKey,
        parent: &Sha,
        files: &[FileWrite],
        message: &str,
        at: Time,
    ) -> Result<Sha, Fault> {
        self.real.commit_files(p, parent, files, message, at).await
    }
    async fn squash(
        &self,
        p: &ProjectKey,
        head: &Sha,
        onto: &Sha,
        message: &str,
        author: &Author,
        at: Time,
    ) -> Result<Sha, Fault> {
        self.real.squash(p, head, onto, message, author, at).await
    }
    async fn entries(&self, p: &ProjectKey, commit: &Sha) -> Result<Vec<orch_ports::git::Entry>, Fault> {
        self.real.entries(p, commit).await
    }
    async fn brought_in(&self, p: &ProjectKey, base: &Sha, head: &Sha) -> Result<BroughtIn, Fault> {
        self.faults.call("git.brought_in", self.real.brought_in(p, base, head)).await
    }
    async fn read_objects(&self, p: &ProjectKey, ids: &[String]) -> Result<Vec<Vec<u8>>, Fault> {
        self.real.read_objects(p, ids).await
    }
    fn repository(&self, p: &ProjectKey) -> PathBuf {
        self.real.repository(p)
    }
    async fn update(&self, p: &ProjectKey, head: &Sha, onto: &Sha, at: Time) -> Result<Updated, Fault> {
        self.faults.call("git.update", self.real.update(p, head, onto, at)).await
    }
    async fn conflict(&self, p: &ProjectKey, head: &Sha, onto: &Sha) -> Result<Option<Conflict>, Fault> {
        self.real.conflict(p, head, onto).await
    }
    async fn conflict_shown(
        &self,
        p: &ProjectKey,
        commit: &Sha,
        record: &Conflict,
        over: &Sha,
        dir: &str,
    ) -> Result<Shown, Fault> {
        self.faults.call("git.conflict_shown", self.real.conflict_shown(p, commit, record, over, dir)).await
    }
    async fn conflicts(&self, p: &ProjectKey, head: &Sha, onto: &Sha) -> Result<Vec<String>, Fault> {
        self.real.conflicts(p, head, onto).await
    }
    async fn push(
        &self,
        p: &ProjectKey,
        remote: &str,
        branch: &str,
        protected: &str,
        commit: &Sha,
        expect: Option<&Sha>,
    ) -> Result<PushAnswer, Fault> {
        self.faults.call("git.push", self.real.push(p, remote, branch, protected, commit, expect)).await
    }
    async fn checkout(&self, p: &ProjectKey, commit: &Sha, dir: &Path) -> Result<(), Fault> {
        // That of a project's check can go wrong by itself.
        let check = dir.to_string_lossy().ends_with("-check");
        let call = if check { "git.checkout check" } else { "git.checkout" };
        self.faults.call(call, self.real.checkout(p, commit, dir)).await
    }
    fn worktree_path(&self, p: &ProjectKey, item: &WorkItem) -> PathBuf {
        self.real.worktree_path(p, item)
    }
    async fn worktrees(&self) -> Result<Vec<(ProjectKey, WorkItem)>, Fault> {
        self.faults.call("git.worktrees", self.real.worktrees()).await
    }
    async fn remove_worktree(&self, p: &ProjectKey, item: &WorkItem) -> Result<(), Fault> {
        self.faults.call("git.remove_worktree", self.real.remove_worktree(p, item)).await
    }
}

/// Who was told what, each key once.
#[derive(Default)]
pub struct Told(pub Mutex<Vec<Notice>>);

#[async_trait::async_trait]
impl Notifier for Told {
    async fn tell(&self, notice: &Notice) -> Result<(), Fault> {
        let mut told = self.0.lock().unwrap();
        if !told.iter().any(|n| n.key == notice.key) {
            told.push(notice.clone());
        }
        Ok(())
    }
}

/// The service in production.
#[derive(Default)]
pub struct Production {
    /// What runs there.
    pub revision: Mutex<Option<String>>,
    /// What it answers instead of 200.
    pub status: Mutex<Option<u16>>,
    /// Why it cannot be looked at.
    pub fault: Mutex<Option<Fault>>,
}

#[async_trait::async_trait]
impl Probe for Production {
    async fn get(&self, _: &str, _: u64) -> Result<ProbeAnswer, Fault> {
        if let Some(fault) = self.fault.lock().unwrap().clone() {
            return Err(fault);
        }
        let status = self.status.lock().unwrap().unwrap_or(200);
        Ok(ProbeAnswer { status, revision: self.revision.lock().unwrap().clone(), body: String::new() })
    }
}
