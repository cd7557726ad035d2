//! The real forge, tracker and git behind the plan of faults, and the two ports a test plays itself: people who are
//! told, and the service in production.

use crate::faults::Faults;
use crate::world::git;
use orch_adapters::git_cli::GitCli;
use orch_adapters::git_forge::GitForge;
use orch_adapters::local_tracker::LocalTracker;
use orch_core::conflict::{Conflict, Shown};
use orch_core::ids::{Actor, Digest, ProjectKey, Sha, Time, WorkItem};
use orch_ports::attachment::Attachment;
use orch_ports::diff::{Diff, DiffLimits};
use orch_ports::forge::{CommitStatus, Forge, MergeAnswer, MergeMethod, OutOfService, PullRequest, Review, Right};
use orch_ports::git::{
    Author, BroughtIn, Carry, Changed, ChangedLines, FileWrite, Git, OneCommit, PrepareWorktree, PushAnswer, Shelf,
    Snapshot, Snapshotted, Updated, Worktree,
};
use orch_ports::notifier::{Notice, Notifier};
use orch_ports::probe::{Probe, ProbeAnswer};
use orch_ports::tracker::{CallBudget, Comment, Ticket, TicketState, Tracker};
use orch_ports::{Fault, Remote};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

pub struct FlakyForge {
    pub real: GitForge,
    pub faults: Arc<Faults>,
    /// The next merge is answered with this, and nothing is done.
    pub lie: Mutex<Option<MergeAnswer>>,
    /// Who merged which pull request, as this forge says it, where it is not as the real one says.
    pub merged_by: Mutex<BTreeMap<u64, Option<Actor>>>,
    /// Dismisses approvals as Gitea does.
    pub gitea: Option<Gitea>,
}

#[async_trait::async_trait]
impl Forge for FlakyForge {
    fn out_of_service(&self, p: &ProjectKey) -> Option<OutOfService> {
        self.real.out_of_service(p)
    }
    async fn look_again(&self, p: &ProjectKey) -> Result<(), Fault> {
        self.faults.call("forge.look_again", self.real.look_again(p)).await
    }
    async fn remote(&self, p: &ProjectKey) -> Result<Remote, Fault> {
        let real = self.faults.call("forge.remote", self.real.remote(p)).await?;
        Ok(self.faults.shown(real))
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
        let mut pull = self.faults.call("forge.pull_request", self.real.pull_request(p, number)).await?;
        if let Some(by) = self.merged_by.lock().unwrap().get(&number)
            && pull.merge_commit.is_some()
        {
            pull.merged_by.clone_from(by);
        }
        Ok(pull)
    }
    async fn pull_requests(&self, p: &ProjectKey) -> Result<Vec<PullRequest>, Fault> {
        self.faults.call("forge.pull_requests", self.real.pull_requests(p)).await
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
        let mut reviews = self.faults.call("forge.reviews", self.real.reviews(p, number)).await?;
        if let Some(gitea) = &self.gitea {
            let pull = self.real.pull_request(p, number).await?;
            gitea.look(&pull, &mut reviews);
        }
        Ok(reviews)
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
        base: Right<'_>,
        method: MergeMethod,
        message: &str,
    ) -> Result<MergeAnswer, Fault> {
        let lie = self.lie.lock().unwrap().take();
        if let Some(lie) = lie {
            return Ok(lie);
        }
        if self.gitea.is_some() && !self.reviews(p, number).await?.iter().any(|r| r.approved && r.official) {
            return Ok(MergeAnswer::Refused { why: "Does not have enough approvals".into() });
        }
        self.faults.call("forge.merge", self.real.merge(p, number, head, base, method, message)).await
    }
}

pub struct FlakyTracker {
    pub real: Arc<LocalTracker>,
    pub faults: Arc<Faults>,
    /// What its server says of calls that are left.
    pub budget: Arc<Mutex<Option<CallBudget>>>,
}

#[async_trait::async_trait]
impl Tracker for FlakyTracker {
    fn calls_left(&self, _: &ProjectKey) -> Option<CallBudget> {
        self.budget.lock().unwrap().clone()
    }
    fn delivered_as(&self, p: &ProjectKey) -> Vec<String> {
        vec![format!("plane:{p}")]
    }
    async fn create(
        &self,
        p: &ProjectKey,
        title: &str,
        body: &str,
        by: &Actor,
        key: &str,
        above: u64,
    ) -> Result<Ticket, Fault> {
        self.faults.call("tracker.create", self.real.create(p, title, body, by, key, above)).await
    }
    async fn ticket(&self, p: &ProjectKey, number: u64) -> Result<Ticket, Fault> {
        self.faults.call("tracker.ticket", self.real.ticket(p, number)).await
    }
    async fn edit(&self, p: &ProjectKey, number: u64, title: &str, body: &str, by: &Actor) -> Result<(), Fault> {
        self.faults.call("tracker.edit", self.real.edit(p, number, title, body, by)).await
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
    async fn attach(
        &self,
        p: &ProjectKey,
        number: u64,
        name: &str,
        content: &[u8],
        by: &Actor,
    ) -> Result<Attachment, Fault> {
        self.faults.call("tracker.attach", self.real.attach(p, number, name, content, by)).await
    }
    async fn attachments(&self, p: &ProjectKey, number: u64) -> Result<Vec<Attachment>, Fault> {
        self.real.attachments(p, number).await
    }
    async fn attachment(&self, p: &ProjectKey, number: u64, name: &str) -> Result<Vec<u8>, Fault> {
        self.real.attachment(p, number, name).await
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
    async fn fetch(&self, p: &ProjectKey, remote: &Remote) -> Result<(), Fault> {
        self.faults.call("git.fetch", self.real.fetch(p, &self.faults.meant(remote))).await
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
        self.faults.call("git.is_emptied", self.real.is_emptied(p, base, head, dir)).await
    }
    async fn patch_id(&self, p: &ProjectKey, base: &Sha, head: &Sha, dir: &str) -> Result<Digest, Fault> {
        self.real.patch_id(p, base, head, dir).await
    }
    async fn is_ancestor(&self, p: &ProjectKey, old: &Sha, new: &Sha) -> Result<bool, Fault> {
        self.real.is_ancestor(p, old, new).await
    }
    async fn commits(
        &self,
        p: &ProjectKey,
        to: &Sha,
        without: &[Sha],
        limit: usize,
    ) -> Result<Vec<orch_ports::git::CommitLine>, Fault> {
        self.faults.call("git.commits", self.real.commits(p, to, without, limit)).await
    }
    async fn written(
        &self,
        p: &ProjectKey,
        to: &Sha,
        without: &[Sha],
        limit: usize,
    ) -> Result<Vec<orch_ports::git::Written>, Fault> {
        self.faults.call("git.written", self.real.written(p, to, without, limit)).await
    }
    async fn merge_bases(&self, p: &ProjectKey, one: &Sha, other: &Sha) -> Result<Vec<Sha>, Fault> {
        self.real.merge_bases(p, one, other).await
    }
    async fn diff(&self, p: &ProjectKey, from: &Sha, to: &Sha, limits: DiffLimits) -> Result<Diff, Fault> {
        self.faults.call("git.diff", self.real.diff(p, from, to, limits)).await
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
    async fn prepare_worktree(&self, prepare: &PrepareWorktree<'_>) -> Result<Worktree, Fault> {
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
    async fn one_commit(&self, one: &OneCommit<'_>) -> Result<Updated, Fault> {
        self.faults.call("git.update", self.real.one_commit(one)).await
    }
    async fn carry(&self, carry: &Carry<'_>) -> Result<Sha, Fault> {
        self.real.carry(carry).await
    }
    async fn delete_branch(
        &self,
        p: &ProjectKey,
        remote: &Remote,
        branch: &str,
        protected: &str,
        expect: &Sha,
    ) -> Result<PushAnswer, Fault> {
        let remote = &self.faults.meant(remote);
        let deleted = self.real.delete_branch(p, remote, branch, protected, expect);
        self.faults.call("git.delete_branch", deleted).await
    }
    async fn keep_history(&self, p: &ProjectKey, name: &str, commit: &Sha) -> Result<(), Fault> {
        self.real.keep_history(p, name, commit).await
    }
    async fn let_go(&self, p: &ProjectKey, shelf: Shelf, name: &str) -> Result<(), Fault> {
        self.real.let_go(p, shelf, name).await
    }
    async fn kept(&self, p: &ProjectKey, shelf: Shelf) -> Result<Vec<(String, Sha)>, Fault> {
        self.real.kept(p, shelf).await
    }
    async fn push_history(&self, p: &ProjectKey, remote: &Remote, name: &str, commit: &Sha) -> Result<(), Fault> {
        let remote = &self.faults.meant(remote);
        self.real.push_history(p, remote, name, commit).await
    }
    async fn conflicts(&self, p: &ProjectKey, head: &Sha, onto: &Sha) -> Result<Vec<String>, Fault> {
        self.real.conflicts(p, head, onto).await
    }
    async fn push(
        &self,
        p: &ProjectKey,
        remote: &Remote,
        branch: &str,
        protected: &str,
        commit: &Sha,
        expect: Option<&Sha>,
    ) -> Result<PushAnswer, Fault> {
        let remote = &self.faults.meant(remote);
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

/// Who was told what, each key once; and whether it answers nobody for now.
#[derive(Default)]
pub struct Told(pub Mutex<Vec<Notice>>, pub tokio::sync::watch::Sender<bool>);

#[async_trait::async_trait]
impl Notifier for Told {
    async fn tell(&self, notice: &Notice) -> Result<(), Fault> {
        let _ = self.1.subscribe().wait_for(|silent| !silent).await;
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

/// Gitea's rule: a push dismisses an approval when a file is neither what was approved nor what the default branch has.
/// It is asked of every push, whoever made it, so a hook of the repository writes them down.
pub struct Gitea {
    bare: PathBuf,
    state: Mutex<Dismissals>,
}

#[derive(Default)]
struct Dismissals {
    /// Lines of the log that were looked at.
    seen: usize,
    /// Pull requests with an approval, and the commit it is for.
    approved: BTreeMap<String, Sha>,
    /// Commits whose approval was dismissed, by branch.
    dismissed: Vec<(String, Sha)>,
}

impl Gitea {
    pub fn over(bare: &Path) -> Self {
        use std::os::unix::fs::PermissionsExt;
        let hook = bare.join("hooks/post-receive");
        std::fs::create_dir_all(hook.parent().unwrap()).unwrap();
        std::fs::write(&hook, "#!/bin/sh\ncat >> pushes.log\n").unwrap();
        std::fs::set_permissions(&hook, std::fs::Permissions::from_mode(0o755)).unwrap();
        Self { bare: bare.to_owned(), state: Mutex::default() }
    }

    /// How many approvals were dismissed.
    pub fn dismissed(&self) -> usize {
        self.state.lock().unwrap().dismissed.len()
    }

    fn differ(&self, a: &str, b: &str) -> Vec<String> {
        let names = git(&self.bare, &["diff", "--no-renames", "--name-only", a, b]);
        names.lines().map(ToOwned::to_owned).collect()
    }

    /// Every push since the last look, then what is left of the reviews of this pull request.
    fn look(&self, pull: &PullRequest, reviews: &mut [Review]) {
        let mut state = self.state.lock().unwrap();
        let log = std::fs::read_to_string(self.bare.join("pushes.log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        for line in &lines[state.seen..] {
            let words: Vec<&str> = line.split(' ').collect();
            let [old, new, branch] = words[..] else { continue };
            let branch = branch.trim_start_matches("refs/heads/").to_owned();
            let gone = |id: &str| id.bytes().all(|b| b == b'0');
            let Some(approved) = state.approved.get(&branch).cloned() else { continue };
            if gone(old) || gone(new) {
                continue;
            }
            let base = git(&self.bare, &["merge-base", new, "main"]);
            let against_base = self.differ(&base, new);
            if self.differ(old, new).iter().any(|f| against_base.contains(f)) {
                state.dismissed.push((branch.clone(), approved));
                state.approved.remove(&branch);
            }
        }
        state.seen = lines.len();
        for review in reviews {
            let is_dismissed = state.dismissed.contains(&(pull.head_branch.clone(), review.commit.clone()));
            review.official &= !is_dismissed;
            if review.approved && review.official {
                state.approved.insert(pull.head_branch.clone(), review.commit.clone());
            }
        }
    }
}
