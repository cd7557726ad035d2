//! The forge over git remotes: the contract over every way git reaches a repository, and hostile moments.
#![allow(clippy::unwrap_used, reason = "test code outside of test functions")]

mod contract;
mod hostile;
mod servers;

use orch_adapters::git_forge::{GitForge, Home, ServedRepo};
use orch_adapters::system_clock::SystemClock;
use orch_core::ids::{Actor, ProjectKey, Sha};
use orch_ports::forge::{Forge, PullRequest};
use orch_ports::{Fault, Remote, Secret};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The password of orch; nobody else may ever see it.
const WORD: &str = "w0rd-of-orch-4711";

fn demo() -> ProjectKey {
    "DEMO".into()
}

/// Git as somebody else uses it: not our runner, not our configuration.
fn git(dir: &Path, args: &[&str]) -> Result<String, String> {
    let out = Command::new("git")
        .args(["-c", "user.name=Anna", "-c", "user.email=anna@example.org", "-c", "commit.gpgSign=false"])
        .args(args)
        .current_dir(dir)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_TERMINAL_PROMPT", "0")
        .output()
        .unwrap();
    if out.status.success() {
        Ok(String::from_utf8(out.stdout).unwrap().trim().to_owned())
    } else {
        Err(String::from_utf8_lossy(&out.stderr).into_owned())
    }
}

/// A bare repository on a server, a colleague with a clone of it, and orch's forge.
struct World {
    root: tempfile::TempDir,
    /// As orch reaches it.
    remote: Remote,
    /// As the colleague reaches it.
    colleague: String,
    runs: AtomicU64,
}

impl World {
    /// The repository; how it is reached is said afterwards.
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let work = root.path().join("work");
        std::fs::create_dir(&work).unwrap();
        git(&work, &["init", "--quiet", "--initial-branch=main"]).unwrap();
        std::fs::write(work.join("readme.txt"), "hello\n").unwrap();
        git(&work, &["add", "."]).unwrap();
        git(&work, &["commit", "--quiet", "-m", "first"]).unwrap();
        std::fs::create_dir(root.path().join("served")).unwrap();
        git(root.path(), &["clone", "--quiet", "--bare", "work", "served/shop.git"]).unwrap();
        let bare = root.path().join("served/shop.git");
        git(&bare, &["config", "http.receivepack", "true"]).unwrap();
        git(&bare, &["config", "core.logAllRefUpdates", "true"]).unwrap();
        let path = bare.to_str().unwrap().to_owned();
        Self { root, remote: Remote::of(&path), colleague: path, runs: AtomicU64::new(0) }
    }

    /// Over HTTP, where only orch may push to main. Nothing if this git has no such server.
    fn over_http() -> Option<(Self, servers::Http)> {
        let mut world = Self::new();
        let http = servers::Http::start(&world.root.path().join("served"), &[("orch", WORD), ("anna", "a")])?;
        world.remote = Remote::of(&http.url("shop.git")).with_password("orch", &Secret::new(WORD));
        world.colleague = http.url_of("anna", "shop.git");
        world.hook(
            "update",
            "[ \"$1\" != refs/heads/main ] || [ \"${REMOTE_USER:-}\" = orch ] || { echo main is protected >&2; exit 1; }",
        );
        Some((world, http))
    }

    fn bare(&self) -> PathBuf {
        self.root.path().join("served/shop.git")
    }

    /// A hook on the server.
    fn hook(&self, name: &str, script: &str) {
        use std::os::unix::fs::PermissionsExt;
        let file = self.bare().join("hooks").join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    async fn open(&self) -> Result<GitForge, Fault> {
        let home = Home::There { remote: self.remote.clone(), objects: None };
        let repo = ServedRepo { key: demo(), home, default_branch: "main".into() };
        let members: Vec<Actor> = vec!["local:rita".into()];
        GitForge::open(&self.root.path().join("forge"), vec![repo], members, Arc::new(SystemClock::new().unwrap()))
            .await
    }

    /// A colleague commits a file on top of `parent` and pushes it by force.
    fn push(&self, branch: &str, parent: &str, path: &str, text: &str) -> Result<Sha, String> {
        let work = self.root.path().join("work");
        let bare = self.bare();
        git(&work, &["fetch", "--quiet", bare.to_str().unwrap(), "+refs/heads/*:refs/forge/*"])?;
        git(&work, &["checkout", "--quiet", "--detach", parent])?;
        std::fs::write(work.join(path), text).unwrap();
        git(&work, &["add", "."])?;
        git(&work, &["commit", "--quiet", "-m", text])?;
        git(&work, &["push", "--quiet", "--force", &self.colleague, &format!("HEAD:refs/heads/{branch}")])?;
        git(&work, &["rev-parse", "HEAD"]).map(Sha::new)
    }

    /// Where a branch of the server is, seen by the server.
    fn tip(&self, branch: &str) -> String {
        git(&self.bare(), &["rev-parse", &format!("refs/heads/{branch}")]).unwrap()
    }

    /// How often the server's main has moved.
    fn moves(&self) -> usize {
        let file = self.bare().join("logs/refs/heads/main");
        std::fs::read_to_string(file).unwrap_or_default().lines().count()
    }

    /// A pull request with one commit on top of main.
    async fn proposal(&self, forge: &GitForge) -> (PullRequest, Sha) {
        let n = self.runs.fetch_add(1, Ordering::Relaxed);
        let (branch, base) = (format!("feature/{n}"), self.tip("main"));
        self.push(&branch, &base, &format!("{n}.txt"), &branch).unwrap();
        let pull = forge.ensure_pull_request(&demo(), &branch, "main", &branch, "").await.unwrap();
        (pull, Sha::new(base))
    }

    fn db(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.root.path().join("forge/forge.db")).unwrap()
    }

    /// What a process leaves that died during the merge of a pull request.
    fn begun(&self, pull: &PullRequest, base: &Sha) {
        let change = "UPDATE pull_request SET state = 'merging', expect_head = ?1, old_base = ?2, intended = ?1 WHERE number = ?3";
        let number = i64::try_from(pull.number).unwrap();
        self.db().execute(change, rusqlite::params![pull.head.as_str(), base.as_str(), number]).unwrap();
    }

    async fn count(&self, forge: &GitForge, effect: &str) -> usize {
        forge.log(&demo()).await.unwrap().iter().filter(|l| l.effect == effect).count()
    }
}
