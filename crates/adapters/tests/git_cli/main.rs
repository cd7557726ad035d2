//! Stories about the private repository and the working directories: what agents do to theirs, and what is taken.

#![allow(clippy::unwrap_used, reason = "a test's fixture has nobody to report to")]

mod absent;
mod brought;
mod conflicts;
mod diffs;
mod forge;
mod lfs;
mod mirror;
mod modules;
mod set_up;
mod sharing;
mod taking;

use orch_adapters::git_cli::GitCli;
use orch_core::ids::{ProjectKey, Sha, Time, WorkItem};
use orch_core::verdict::FaultKind;
use orch_ports::Remote;
use orch_ports::git::{
    Author, FileWrite, Git, PrepareWorktree, PushAnswer, Shelf, Snapshot, Snapshotted, Updated, Worktree,
};
use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const DIR: &str = "docs/work-items/DEMO-1";
const TRUNK: &str = "trunk";
const BRANCH: &str = "feature/DEMO-1-first";

/// A forge's repository, a person's clone of it, and orch's git on top.
struct World {
    tmp: tempfile::TempDir,
    git: GitCli,
    project: ProjectKey,
    item: WorkItem,
}

fn git_bytes(dir: &Path, args: &[&str], input: &[u8]) -> Vec<u8> {
    let mut child = Command::new("git")
        .current_dir(dir)
        .args(["-c", "user.name=Person", "-c", "user.email=person@example.invalid", "-c", "safe.directory=*"])
        .args(args)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let out = child.wait_with_output().unwrap();
    assert!(out.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&out.stderr));
    out.stdout
}

fn git(dir: &Path, args: &[&str]) -> String {
    String::from_utf8_lossy(&git_bytes(dir, args, b"")).trim_end().to_owned()
}

fn write(root: &Path, path: &str, text: impl AsRef<[u8]>) {
    let file = root.join(path);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, text).unwrap();
}

impl World {
    /// A repository whose default branch is `trunk`, with code, an artefact of the analysis and an executable.
    async fn new() -> Self {
        let tmp = tempfile::tempdir().unwrap();
        let root = tmp.path();
        git(root, &["init", "-q", "--bare", "--initial-branch=trunk", "forge.git"]);
        git(root, &["init", "-q", "--initial-branch=trunk", "person"]);
        let person = root.join("person");
        write(&person, "src/lib.txt", "one\ntwo\nthree\nfour\nfive\nsix\nseven\neight\nnine\n");
        write(&person, "run.sh", "#!/bin/sh\n");
        fs::set_permissions(person.join("run.sh"), Permissions::from_mode(0o755)).unwrap();
        write(&person, &format!("{DIR}/01-brd.md"), "the approved analysis\n");
        git(&person, &["add", "-A"]);
        git(&person, &["commit", "-q", "-m", "first"]);
        git(&person, &["push", "-q", "../forge.git", TRUNK]);
        let git = GitCli::new(root.join("repos dir"), root.join("worktrees %41")).await.unwrap();
        let world = Self { tmp, git, project: "DEMO".into(), item: "DEMO-1".into() };
        world.fetch().await;
        world
    }
    fn path(&self, name: &str) -> PathBuf {
        self.tmp.path().join(name)
    }
    fn remote(&self) -> Remote {
        Remote::of(self.path("forge.git").to_str().unwrap())
    }
    fn private(&self) -> PathBuf {
        self.path("repos dir/DEMO.git")
    }
    fn worktree(&self) -> PathBuf {
        self.git.worktree_path(&self.project, &self.item)
    }
    async fn fetch(&self) {
        self.git.fetch(&self.project, &self.remote()).await.unwrap();
    }
    async fn trunk(&self) -> Sha {
        self.git.forge_branch(&self.project, TRUNK).await.unwrap().unwrap()
    }
    async fn read(&self, commit: &Sha, path: &str) -> Option<String> {
        let bytes = self.git.read_file(&self.project, commit, path).await.unwrap()?;
        Some(String::from_utf8(bytes).unwrap())
    }
    async fn files(&self, commit: &Sha) -> Vec<String> {
        self.git.list_files(&self.project, commit, "").await.unwrap()
    }
    async fn changed(&self, from: &Sha, to: &Sha) -> Vec<String> {
        let list = self.git.changed_files(&self.project, from, to).await.unwrap();
        list.into_iter().map(|c| format!("{} {}", c.how, c.path)).collect()
    }

    /// A person changes the default branch on the forge.
    async fn person(&self, files: &[(&str, &str)]) -> Sha {
        let person = self.path("person");
        for (path, text) in files {
            write(&person, path, text);
        }
        git(&person, &["add", "-A"]);
        git(&person, &["commit", "-q", "-m", "by a person"]);
        git(&person, &["push", "-q", "../forge.git", TRUNK]);
        self.fetch().await;
        self.trunk().await
    }

    /// The same, wherever that person's clone stands.
    async fn person_on_trunk(&self, files: &[(&str, &str)]) -> Sha {
        git(&self.path("person"), &["checkout", "-q", TRUNK]);
        self.person(files).await
    }

    async fn prepare_with(&self, commit: &Sha, base: &Sha, conflicts: bool, remove: &[String]) -> PathBuf {
        self.prepare_as(commit, base, conflicts, remove, false).await
    }
    /// Once more after a setup, of a merge with conflicts if there are any.
    async fn after_setup(&self, commit: &Sha, base: &Sha, remove: &[String]) {
        self.prepare_as(commit, base, true, remove, true).await;
    }
    async fn prepare_as(
        &self,
        commit: &Sha,
        base: &Sha,
        conflicts: bool,
        remove: &[String],
        after_setup: bool,
    ) -> PathBuf {
        let prepare = PrepareWorktree {
            project: &self.project,
            work_item: &self.item,
            branch: BRANCH,
            commit,
            base,
            with_conflicts: conflicts,
            remove,
            attic: "DEMO-1/run-1",
            after_setup,
            as_left: false,
        };
        self.git.prepare_worktree(&prepare).await.unwrap().dir
    }
    /// Prepares it with what is there, for a run whose session goes on.
    async fn prepare_as_left(&self, commit: &Sha, base: &Sha, attic: &str, after_setup: bool) -> Worktree {
        let prepare = PrepareWorktree {
            project: &self.project,
            work_item: &self.item,
            branch: BRANCH,
            commit,
            base,
            with_conflicts: false,
            remove: &["docs/verdict.md".to_owned()],
            attic,
            after_setup,
            as_left: true,
        };
        self.git.prepare_worktree(&prepare).await.unwrap()
    }
    /// What was kept under this name of a working directory that was replaced.
    async fn attic(&self, name: &str) -> Option<Sha> {
        let all = self.git.kept(&self.project, Shelf::Attic).await.unwrap();
        all.into_iter().find(|(kept, _)| kept == name).map(|(_, commit)| commit)
    }
    async fn prepare(&self, commit: &Sha) -> PathBuf {
        self.prepare_with(commit, &self.trunk().await, false, &[]).await
    }

    fn ask<'a>(&'a self, parent: &'a Sha, author: &'a Author) -> Snapshot<'a> {
        Snapshot {
            project: &self.project,
            work_item: &self.item,
            parent,
            merged: None,
            artefact_dir: DIR,
            take_code: true,
            take_artefacts: &[],
            message: "DEMO-1: development",
            author,
            at: Time(1_700_000_000_000),
            since: None,
        }
    }
    /// What the developer left.
    async fn develop(&self, parent: &Sha) -> Snapshotted {
        self.git.snapshot(&self.ask(parent, &Author::role("developer"))).await.unwrap()
    }
    /// What the reviewer left.
    async fn review(&self, parent: &Sha) -> Snapshotted {
        let author = Author::role("reviewer");
        let ask = Snapshot { take_code: false, take_artefacts: &["12-review.md"], ..self.ask(parent, &author) };
        self.git.snapshot(&ask).await.unwrap()
    }
    /// A commit on top of `parent` that changes these files, by way of a working directory.
    async fn commit(&self, parent: &Sha, files: &[(&str, &str)]) -> Sha {
        let dir = self.prepare(parent).await;
        for (path, text) in files {
            write(&dir, path, text);
        }
        self.develop(parent).await.commit
    }
}
