//! The contract, and what only the local forge promises; merging and serving have files of their own.

mod merging;
mod serving;

use super::asked::url_of;
use super::*;
use crate::test_clock::TestClock;
use orch_core::verdict::FaultKind;
use orch_ports::contract::forge::{self as contract, ForgeFixture};
use orch_ports::forge::{PullState, StatusState};
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};

/// Git as somebody else uses it: not our runner, not our configuration.
fn git(dir: &Path, args: &[&str]) -> Result<String, String> {
    let out = Command::new("git")
        .args(["-c", "user.name=Anna", "-c", "user.email=anna@example.org", "-c", "commit.gpgSign=false"])
        .args(args)
        .current_dir(dir)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .output()
        .unwrap();
    if out.status.success() {
        Ok(String::from_utf8(out.stdout).unwrap().trim().to_owned())
    } else {
        Err(String::from_utf8_lossy(&out.stderr).into_owned())
    }
}

/// A clone with one commit on `branch`.
fn a_clone(dir: &Path, branch: &str) {
    std::fs::create_dir_all(dir).unwrap();
    git(dir, &["init", "--quiet", &format!("--initial-branch={branch}")]).unwrap();
    std::fs::write(dir.join("readme.txt"), "hello\n").unwrap();
    git(dir, &["add", "."]).unwrap();
    git(dir, &["commit", "--quiet", "-m", "first"]).unwrap();
    git(dir, &["tag", "v1"]).unwrap();
}

struct Bench {
    root: tempfile::TempDir,
    clock: Arc<TestClock>,
    forge: GitForge,
}

fn demo() -> ProjectKey {
    "DEMO".into()
}
fn sha(text: String) -> Sha {
    Sha::new(text)
}

impl Bench {
    /// A forge that imported a clone with default branch `main`.
    async fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        a_clone(&root.path().join("src"), "main");
        let clock = TestClock::at(1_000);
        let forge = open(root.path(), &clock).await.unwrap();
        Self { root, clock, forge }
    }

    async fn reopen(self) -> Self {
        let Self { root, clock, forge } = self;
        drop(forge);
        let forge = open(root.path(), &clock).await.unwrap();
        Self { root, clock, forge }
    }

    fn bare(&self) -> PathBuf {
        self.root.path().join("forge").join("DEMO.git")
    }
    fn work(&self) -> PathBuf {
        self.root.path().join("src")
    }
    fn db(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.root.path().join("forge").join("forge.db")).unwrap()
    }

    /// Commits a file on top of `parent` in somebody's clone and pushes it.
    fn push(&self, branch: &str, parent: &str, path: &str, text: &str) -> Result<Sha, String> {
        let (work, bare) = (self.work(), self.bare());
        git(&work, &["fetch", "--quiet", bare.to_str().unwrap(), "+refs/heads/*:refs/forge/*"])?;
        git(&work, &["checkout", "--quiet", "--detach", parent])?;
        std::fs::write(work.join(path), text).unwrap();
        git(&work, &["add", "."])?;
        git(&work, &["commit", "--quiet", "-m", text])?;
        let head = git(&work, &["rev-parse", "HEAD"])?;
        git(&work, &["push", "--quiet", "--force", bare.to_str().unwrap(), &format!("HEAD:refs/heads/{branch}")])?;
        Ok(sha(head))
    }

    async fn tip(&self) -> Sha {
        self.forge.branch_head(&demo(), "main").await.unwrap().unwrap()
    }

    async fn proposal(&self, branch: &str, path: &str) -> PullRequest {
        let tip = self.tip().await;
        self.push(branch, tip.as_str(), path, branch).unwrap();
        self.forge.ensure_pull_request(&demo(), branch, "main", branch, "").await.unwrap()
    }

    async fn merge(&self, pull: &PullRequest, method: MergeMethod) -> MergeAnswer {
        self.forge.merge(&demo(), pull.number, &pull.head, Right::Person, method, "message").await.unwrap()
    }

    async fn effects(&self) -> Vec<String> {
        self.forge.log(&demo()).await.unwrap().into_iter().map(|l| l.effect).collect()
    }

    async fn count(&self, effect: &str) -> usize {
        self.effects().await.iter().filter(|e| *e == effect).count()
    }
}

async fn open(root: &Path, clock: &Arc<TestClock>) -> Result<GitForge, Fault> {
    serve(root, clock, &root.join("src"), "main").await
}

async fn serve(root: &Path, clock: &Arc<TestClock>, source: &Path, branch: &str) -> Result<GitForge, Fault> {
    let source = source.to_str().unwrap().to_owned();
    let project = ServedRepo::here(demo(), source, branch);
    GitForge::open(&root.join("forge"), vec![project], vec!["local:rita".into()], clock.clone()).await
}

struct Fixture {
    bench: Bench,
    runs: AtomicU64,
}

#[async_trait::async_trait]
impl ForgeFixture for Fixture {
    fn project(&self) -> ProjectKey {
        demo()
    }
    fn unique(&self) -> String {
        format!("u{}", self.runs.fetch_add(1, Ordering::Relaxed))
    }
    fn reviewer(&self) -> Actor {
        "local:rita".into()
    }
    async fn push(&self, branch: &str, parent: &Sha, path: &str, text: &str) -> Result<Sha, String> {
        self.bench.push(branch, parent.as_str(), path, text)
    }
    async fn push_deletion(&self, branch: &str) -> Result<(), String> {
        let bare = self.bench.bare();
        git(&self.bench.work(), &["push", "--quiet", bare.to_str().unwrap(), &format!(":refs/heads/{branch}")])
            .map(|_| ())
    }
    async fn tree(&self, commit: &Sha) -> String {
        git(&self.bench.bare(), &["rev-parse", &format!("{commit}^{{tree}}")]).unwrap()
    }
    async fn parents(&self, commit: &Sha) -> Vec<Sha> {
        let line = git(&self.bench.bare(), &["show", "-s", "--format=%P", commit.as_str()]).unwrap();
        line.split(' ').map(Sha::new).collect()
    }
    async fn comment(&self, number: u64, key: &str) -> (Option<String>, usize) {
        let comments = self.bench.forge.comments(&demo(), number).await.unwrap();
        (comments.iter().find(|(k, _)| k == key).map(|(_, body)| body.clone()), comments.len())
    }
    async fn settled(&self) {}
}

#[tokio::test]
async fn it_keeps_the_contract() {
    let fixture = Fixture { bench: Bench::new().await, runs: AtomicU64::new(0) };
    contract::all(&fixture.bench.forge, &fixture).await;
}

#[tokio::test]
async fn it_keeps_the_contract_when_it_serves_somebodys_bare_repository_in_place() {
    let root = tempfile::tempdir().unwrap();
    a_clone(&root.path().join("src"), "main");
    std::fs::create_dir(root.path().join("forge")).unwrap();
    // Where the bench looks for the bare repository; for the forge it is just a bare repository on disk.
    let bare = root.path().join("forge").join("DEMO.git");
    git(root.path(), &["clone", "--quiet", "--bare", "src", bare.to_str().unwrap()]).unwrap();
    let clock = TestClock::at(1_000);
    let forge = serve(root.path(), &clock, &bare, "main").await.unwrap();
    assert_eq!(forge.remote(&demo()).await.unwrap().url, bare.canonicalize().unwrap().to_str().unwrap());
    let fixture = Fixture { bench: Bench { root, clock, forge }, runs: AtomicU64::new(0) };
    contract::all(&fixture.bench.forge, &fixture).await;
}

#[tokio::test]
async fn twenty_who_ask_at_once_get_one_pull_request() {
    let bench = Bench::new().await;
    let tip = bench.tip().await;
    bench.push("feature/x", tip.as_str(), "x.txt", "x").unwrap();
    let tasks: Vec<_> = (0..20)
        .map(|n| {
            let forge = bench.forge.clone();
            tokio::spawn(async move {
                forge.ensure_pull_request(&demo(), "feature/x", "main", &format!("title {n}"), "").await.unwrap()
            })
        })
        .collect();
    let mut titles = std::collections::BTreeSet::new();
    for task in tasks {
        let pull = task.await.unwrap();
        assert_eq!(pull.number, 1);
        titles.insert(pull.title);
    }
    assert_eq!(titles.len(), 1, "one of them opened it, the others found it: {titles:?}");
    assert_eq!(bench.effects().await, ["pull-opened"]);
}

#[tokio::test]
async fn a_deleted_branch_closes_its_pull_request_for_as_long_as_it_is_away() {
    let bench = Bench::new().await;
    let pull = bench.proposal("feature/x", "x.txt").await;
    assert_eq!(pull.mergeable, Some(true));
    git(&bench.bare(), &["update-ref", "-d", "refs/heads/feature/x"]).unwrap();
    let read = bench.forge.pull_request(&demo(), 1).await.unwrap();
    assert_eq!((read.state, &read.head, read.mergeable), (PullState::Closed, &pull.head, None));
    assert_eq!(bench.merge(&pull, MergeMethod::FastForwardOnly).await, MergeAnswer::HeadMoved);
    git(&bench.bare(), &["update-ref", "refs/heads/feature/x", pull.head.as_str()]).unwrap();
    assert_eq!(bench.forge.pull_request(&demo(), 1).await.unwrap().state, PullState::Open);
}

#[tokio::test]
async fn only_a_members_review_is_official() {
    let bench = Bench::new().await;
    let pull = bench.proposal("feature/x", "x.txt").await;
    for (by, official) in [("local:rita", false), ("local:mallory", true)] {
        let review = Review {
            by: by.into(),
            approved: true,
            commit: pull.head.clone(),
            body: String::new(),
            official,
            at: Time(5),
        };
        bench.forge.submit_review(&demo(), 1, &review).await.unwrap();
    }
    let read = bench.forge.reviews(&demo(), 1).await.unwrap();
    let told: Vec<_> = read.iter().map(|r| (r.by.as_str(), r.official)).collect();
    assert_eq!(told, [("local:rita", true), ("local:mallory", false)], "whatever the review says of itself");
}

#[tokio::test]
async fn a_status_that_arrives_later_wins_even_with_an_earlier_time() {
    let bench = Bench::new().await;
    let tip = bench.tip().await;
    for (state, at) in [(StatusState::Failure, 9_000), (StatusState::Success, 10)] {
        let status = CommitStatus { context: "ci".into(), state, description: "tail".into(), url: None, at: Time(at) };
        bench.forge.set_status(&demo(), &tip, &status).await.unwrap();
    }
    let bench = bench.reopen().await;
    let read = bench.forge.statuses(&demo(), &tip).await.unwrap();
    assert_eq!(read.iter().map(|s| (s.state, s.at)).collect::<Vec<_>>(), [(StatusState::Success, Time(10))]);
    assert_eq!(bench.effects().await, ["status-set", "status-set"]);
}
