//! Stories about the private repository and the working directories: what agents do to theirs, and what is taken.

#![allow(clippy::unwrap_used, reason = "a test's fixture has nobody to report to")]

use orch_adapters::git_cli::GitCli;
use orch_core::ids::{ProjectKey, Sha, Time, WorkItem};
use orch_core::verdict::FaultKind;
use orch_ports::git::{Author, FileWrite, Git, PrepareWorktree, PushAnswer, Snapshot, Snapshotted, Updated};
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
    fn remote(&self) -> String {
        self.path("forge.git").to_str().unwrap().to_owned()
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

    async fn prepare_with(&self, commit: &Sha, base: &Sha, conflicts: bool, remove: &[String]) -> PathBuf {
        let prepare = PrepareWorktree {
            project: &self.project,
            work_item: &self.item,
            branch: BRANCH,
            commit,
            base,
            with_conflicts: conflicts,
            remove,
            attic: "DEMO-1/run-1",
        };
        self.git.prepare_worktree(&prepare).await.unwrap()
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

#[tokio::test]
async fn a_working_directory_is_a_clone_of_its_own_with_no_remote_and_no_shared_objects() {
    let w = World::new().await;
    let base = w.trunk().await;
    let dir = w.prepare(&base).await;
    assert_eq!(dir, w.worktree());
    assert_eq!(git(&dir, &["rev-parse", "HEAD", "orch-base"]), format!("{base}\n{base}"));
    assert_eq!(git(&dir, &["symbolic-ref", "--short", "HEAD"]), BRANCH);
    assert_eq!(git(&dir, &["remote"]), "");
    assert_eq!(git(&dir, &["status", "--porcelain"]), "");
    assert_eq!(fs::metadata(dir.join("run.sh")).unwrap().mode() & 0o111, 0o111);
    assert!(!dir.join(".git/objects/info/alternates").exists());
    let mut stack = vec![dir.join(".git/objects")];
    while let Some(at) = stack.pop() {
        for entry in fs::read_dir(at).unwrap().map(Result::unwrap) {
            if entry.path().is_dir() {
                stack.push(entry.path());
            } else {
                assert_eq!(entry.metadata().unwrap().nlink(), 1, "{:?} is shared", entry.path());
            }
        }
    }
    // Nothing in it says where the private repository is.
    let config = fs::read_to_string(dir.join(".git/config")).unwrap();
    assert!(!config.contains("repos dir"), "{config}");
    assert!(!dir.join(".git/FETCH_HEAD").exists());
    assert!(!dir.join(".git/logs").exists());
    // The agent can commit right away.
    write(&dir, "new.txt", "x");
    for args in [&["add", "-A"][..], &["commit", "-q", "-m", "mine"]] {
        let own = Command::new("git").current_dir(&dir).args(args).env("HOME", w.tmp.path()).status().unwrap();
        assert!(own.success());
    }
    assert_eq!(git(&dir, &["log", "-1", "--format=%an"]), "orch agent");
}

#[tokio::test]
async fn names_are_bytes_and_content_is_taken_byte_by_byte() {
    let w = World::new().await;
    let base = w.trunk().await;
    let dir = w.prepare(&base).await;
    let names = ["with space.txt", "two\nlines.txt", "прывітанне.txt", "\"quoted\"\t.txt", "-dash.txt", ":(top)magic*"];
    for name in names {
        write(&dir, name, "x");
    }
    fs::write(dir.join(OsStr::from_bytes(b"latin-\xe9.txt")), "x").unwrap();
    write(&dir, "dos.txt", "a\r\nb\r\n");
    fs::create_dir_all(dir.join("empty/inside")).unwrap();
    fs::set_permissions(dir.join("src/lib.txt"), Permissions::from_mode(0o755)).unwrap();
    symlink("/nowhere/at/all", dir.join("dangling")).unwrap();
    let taken = w.develop(&base).await;
    assert!(taken.changed && taken.code_changed);
    assert_eq!(taken.discarded, Vec::<String>::new());
    let files = w.files(&taken.commit).await;
    for name in names {
        assert!(files.contains(&name.to_owned()), "{name:?}");
        assert_eq!(w.read(&taken.commit, name).await.as_deref(), Some("x"), "{name:?}");
    }
    assert!(files.contains(&"latin-\u{fffd}.txt".to_owned()), "shown with a replacement");
    assert_eq!(w.read(&taken.commit, "dos.txt").await.as_deref(), Some("a\r\nb\r\n"));
    assert_eq!(w.read(&taken.commit, "dangling").await, None, "a link is no regular file");
    let modes = git(&w.private(), &["ls-tree", taken.commit.as_str(), "src/lib.txt", "dangling"]);
    assert!(modes.contains("100755 blob") && modes.contains("120000 blob"), "{modes}");
    // And out again, the same.
    let out = w.path("out/clean");
    w.git.checkout(&w.project, &taken.commit, &out).await.unwrap();
    assert_eq!(fs::read(out.join("dos.txt")).unwrap(), b"a\r\nb\r\n");
    assert!(out.join(OsStr::from_bytes(b"latin-\xe9.txt")).exists());
    assert_eq!(git(&out, &["rev-parse", "HEAD"]), taken.commit.as_str());
    assert_eq!(git(&out, &["status", "--porcelain"]), "");
    write(&out, "left by an earlier test run", "x");
    w.git.checkout(&w.project, &base, &out).await.unwrap();
    assert!(!out.join("left by an earlier test run").exists() && !out.join("dos.txt").exists());
    assert_eq!(git(&out, &["rev-parse", "--abbrev-ref", "HEAD"]), "HEAD", "detached");
}

#[tokio::test]
async fn the_same_run_always_makes_the_same_commit_and_nothing_makes_none() {
    let w = World::new().await;
    let base = w.trunk().await;
    let dir = w.prepare(&base).await;
    let nothing = w.develop(&base).await;
    assert_eq!((nothing.commit, nothing.changed, nothing.code_changed), (base.clone(), false, false));
    write(&dir, "new.txt", "x");
    let first = w.develop(&base).await;
    assert_eq!(w.develop(&base).await, first);
    w.prepare(&base).await;
    write(&dir, "new.txt", "x");
    assert_eq!(w.develop(&base).await, first);
    let told = git(&w.private(), &["log", "-1", "--format=%an <%ae> %at / %cn <%ce> %ct %s", first.commit.as_str()]);
    let author = "orch developer <developer@orch.invalid> 1700000000";
    assert_eq!(told, format!("{author} / orch <orch@orch.invalid> 1700000000 DEMO-1: development"));
    let held = w.git.resolve(&w.project, "refs/orch/tasks/DEMO-1").await.unwrap();
    assert_eq!(held, Some(first.commit), "no garbage collection takes it");
}

#[tokio::test]
async fn what_an_agent_committed_itself_becomes_one_commit() {
    let w = World::new().await;
    let base = w.trunk().await;
    let dir = w.prepare(&base).await;
    for n in 0..3 {
        write(&dir, &format!("file-{n}"), "x");
        git(&dir, &["add", "-A"]);
        git(&dir, &["commit", "-q", "-m", "agent"]);
    }
    git(&dir, &["checkout", "-q", "-b", "elsewhere"]);
    let taken = w.develop(&base).await;
    assert_eq!(
        git(&w.private(), &["rev-list", "--parents", "-1", taken.commit.as_str()]),
        format!("{} {base}", taken.commit)
    );
    assert_eq!(w.changed(&base, &taken.commit).await, ["A file-0", "A file-1", "A file-2"]);
}

#[tokio::test]
async fn a_deleted_or_ruined_git_directory_does_not_matter() {
    let w = World::new().await;
    let base = w.trunk().await;
    for ruin in 0..3 {
        let dir = w.prepare(&base).await;
        write(&dir, "new.txt", "x");
        fs::remove_dir_all(dir.join(".git")).unwrap();
        match ruin {
            0 => {}
            1 => fs::write(dir.join(".git"), "gitdir: /nowhere\n").unwrap(),
            _ => symlink("/etc", dir.join(".git")).unwrap(),
        }
        let taken = w.develop(&base).await;
        assert_eq!(w.changed(&base, &taken.commit).await, ["A new.txt"], "ruin {ruin}");
    }
}

#[tokio::test]
async fn a_nested_repository_is_taken_as_plain_files() {
    let w = World::new().await;
    let base = w.trunk().await;
    let dir = w.prepare(&base).await;
    for nested in ["vendor/inner", "vendor/inner/deeper"] {
        write(&dir, &format!("{nested}/code.txt"), "x");
        git(&dir.join(nested), &["init", "-q"]);
        git(&dir.join(nested), &["add", "-A"]);
        git(&dir.join(nested), &["commit", "-q", "-m", "inner"]);
    }
    write(&dir, "other/.git", "gitdir: ../../elsewhere\n");
    write(&dir, "other/code.txt", "x");
    let taken = w.develop(&base).await;
    let expected = ["A other/code.txt", "A vendor/inner/code.txt", "A vendor/inner/deeper/code.txt"];
    assert_eq!(w.changed(&base, &taken.commit).await, expected);
    assert!(!git(&w.private(), &["ls-tree", "-r", taken.commit.as_str()]).contains("160000"));
}

#[tokio::test]
async fn a_submodule_stays_what_the_parent_says_whatever_lies_there() {
    let w = World::new().await;
    let person = w.path("person");
    let first = git(&person, &["rev-parse", "HEAD"]);
    git(&person, &["update-index", "--add", "--cacheinfo", &format!("160000,{first},sub")]);
    git(&person, &["commit", "-q", "-m", "submodule"]);
    git(&person, &["push", "-q", "../forge.git", TRUNK]);
    w.fetch().await;
    let base = w.trunk().await;
    let dir = w.prepare(&base).await;
    let marker = w.path("ran");
    write(&dir, "sub/code.txt", "x");
    git(&dir.join("sub"), &["init", "-q"]);
    git(&dir.join("sub"), &["add", "-A"]);
    git(&dir.join("sub"), &["commit", "-q", "-m", "another commit"]);
    git(&dir.join("sub"), &["config", "core.fsmonitor", &format!("touch '{}'; false", marker.display())]);
    write(&dir, "new.txt", "x");
    let taken = w.develop(&base).await;
    assert_eq!(w.changed(&base, &taken.commit).await, ["A new.txt"]);
    assert!(!marker.exists(), "git was started inside the agent's repository");
}

#[tokio::test]
async fn a_working_directory_that_became_a_link_is_refused_and_its_target_survives() {
    let w = World::new().await;
    let base = w.trunk().await;
    let dir = w.prepare(&base).await;
    let precious = w.path("precious");
    write(&precious, "file", "kept");
    fs::remove_dir_all(&dir).unwrap();
    symlink(&precious, &dir).unwrap();
    let author = Author::role("developer");
    let fault = w.git.snapshot(&w.ask(&base, &author)).await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::Gone);
    assert!(fault.text.contains("replaced by a link"), "{fault}");
    w.prepare(&base).await;
    assert!(dir.join("src/lib.txt").exists() && !dir.is_symlink());
    fs::remove_dir_all(&dir).unwrap();
    symlink(&precious, &dir).unwrap();
    w.git.remove_worktree(&w.project, &w.item).await.unwrap();
    w.git.remove_worktree(&w.project, &w.item).await.unwrap();
    assert_eq!(fs::read_to_string(precious.join("file")).unwrap(), "kept");
    assert!(fs::symlink_metadata(&dir).is_err());
}

#[tokio::test]
async fn nothing_the_working_directory_names_is_run() {
    let w = World::new().await;
    let base = w.trunk().await;
    let dir = w.prepare(&base).await;
    let marker = w.path("ran");
    let run = format!("touch '{}'", marker.display());
    for (key, value) in [
        ("core.fsmonitor", run.clone()),
        ("filter.evil.clean", format!("{run}; cat")),
        ("filter.evil.smudge", format!("{run}; cat")),
        ("filter.evil.required", "true".into()),
        ("diff.evil.textconv", run.clone()),
        ("diff.evil.command", run.clone()),
        ("merge.evil.driver", run.clone()),
        ("core.hooksPath", dir.join("hooks").to_str().unwrap().to_owned()),
    ] {
        git_bytes(&dir, &["config", key, &value], b"");
    }
    for hook in ["pre-commit", "post-index-change", "post-checkout", "reference-transaction", "fsmonitor-watchman"] {
        for place in ["hooks", ".git/hooks"] {
            write(&dir, &format!("{place}/{hook}"), format!("#!/bin/sh\n{run}\n"));
            fs::set_permissions(dir.join(place).join(hook), Permissions::from_mode(0o755)).unwrap();
        }
    }
    write(&dir, ".gitattributes", "* filter=evil diff=evil merge=evil\n");
    write(&dir, "src/lib.txt", "changed\n");
    let taken = w.develop(&base).await;
    w.prepare(&taken.commit).await;
    w.git.patch_id(&w.project, &base, &taken.commit, DIR).await.unwrap();
    w.git.checkout(&w.project, &taken.commit, &w.path("clean")).await.unwrap();
    assert_eq!(w.read(&taken.commit, "src/lib.txt").await.as_deref(), Some("changed\n"));
    assert!(!marker.exists());
}

#[tokio::test]
async fn attributes_that_make_git_fail_cost_nothing() {
    let w = World::new().await;
    let base = w.trunk().await;
    let dir = w.prepare(&base).await;
    write(&dir, ".gitattributes", "*.txt working-tree-encoding=no-such-encoding\n");
    write(&dir, "odd.txt", "x\n");
    let taken = w.develop(&base).await;
    assert_eq!(w.changed(&base, &taken.commit).await, ["A .gitattributes", "A odd.txt"]);
}

#[tokio::test]
async fn what_git_cannot_take_is_reported_and_the_rest_is_taken() {
    let w = World::new().await;
    let base = w.trunk().await;
    let dir = w.prepare(&base).await;
    write(&dir, "sub/.GIT/config", "x");
    write(&dir, "good.txt", "x");
    write(&dir, "locked/file.txt", "x");
    fs::set_permissions(dir.join("locked/file.txt"), Permissions::from_mode(0o000)).unwrap();
    fs::set_permissions(dir.join("locked"), Permissions::from_mode(0o000)).unwrap();
    let taken = w.develop(&base).await;
    assert_eq!(w.changed(&base, &taken.commit).await, ["A good.txt", "A locked/file.txt"]);
    assert_eq!(taken.discarded, ["sub/.GIT/config"]);
}

#[tokio::test]
async fn a_reviewers_code_is_discarded_and_listed_and_its_verdict_taken() {
    let w = World::new().await;
    let base = w.trunk().await;
    let dir = w.prepare(&base).await;
    write(&dir, "src/lib.txt", "improved by the reviewer\n");
    write(&dir, "src/extra.txt", "x");
    fs::remove_file(dir.join("run.sh")).unwrap();
    write(&dir, &format!("{DIR}/01-brd.md"), "rewritten\n");
    write(&dir, &format!("{DIR}/hidden.py"), "print()");
    write(&dir, &format!("{DIR}/06-adr/ADR-001.md"), "not mine");
    write(&dir, &format!("{DIR}/12-review.md"), "---\nverdict: APPROVED\n---\n");
    // Left out by the project's own rules, taken all the same.
    write(&dir, ".gitignore", "docs/\n");
    let taken = w.review(&base).await;
    assert_eq!(w.changed(&base, &taken.commit).await, [format!("A {DIR}/12-review.md")]);
    let mut expected = vec![".gitignore".into(), "run.sh".into(), "src/extra.txt".into(), "src/lib.txt".into()];
    expected.extend([format!("{DIR}/01-brd.md"), format!("{DIR}/06-adr/ADR-001.md")]);
    expected.sort();
    assert_eq!(taken.discarded, expected);
    assert!(taken.changed && !taken.code_changed);
    let digest = async |c: &Sha| w.git.code_digest(&w.project, c, DIR).await.unwrap();
    assert_eq!(digest(&base).await, digest(&taken.commit).await, "an artefact voids no verdict of the code");
    assert_eq!(digest(&base).await, w.git.code_digest(&w.project, &base, &format!("{DIR}/")).await.unwrap());
}

#[tokio::test]
async fn a_file_that_is_no_known_artefact_is_code() {
    let w = World::new().await;
    let base = w.trunk().await;
    let dir = w.prepare(&base).await;
    write(&dir, &format!("{DIR}/hidden.py"), "print()");
    let review = w.review(&base).await;
    assert_eq!((review.changed, review.discarded), (false, vec![format!("{DIR}/hidden.py")]));
    let taken = w.develop(&base).await;
    assert!(taken.code_changed);
    assert_eq!(w.read(&taken.commit, &format!("{DIR}/hidden.py")).await.as_deref(), Some("print()"));
    assert_ne!(
        w.git.code_digest(&w.project, &base, DIR).await.unwrap(),
        w.git.code_digest(&w.project, &taken.commit, DIR).await.unwrap()
    );
}

#[tokio::test]
async fn a_link_under_an_artefacts_name_is_code() {
    let w = World::new().await;
    let base = w.trunk().await;
    let dir = w.prepare(&base).await;
    symlink("../../../src/lib.txt", dir.join(DIR).join("12-review.md")).unwrap();
    let taken = w.review(&base).await;
    assert_eq!((taken.commit, taken.changed), (base.clone(), false));
    assert_eq!(taken.discarded, [format!("{DIR}/12-review.md")]);
    let taken = w.develop(&base).await;
    assert!(taken.code_changed);
    let digest = async |c: &Sha| w.git.code_digest(&w.project, c, DIR).await.unwrap();
    assert_ne!(digest(&base).await, digest(&taken.commit).await);
    assert_eq!(w.read(&taken.commit, &format!("{DIR}/12-review.md")).await, None);
}

#[tokio::test]
async fn artefacts_of_other_roles_are_put_back_even_when_something_stands_in_their_place() {
    let w = World::new().await;
    let adr = format!("{DIR}/06-adr/ADR-001.md");
    let base = w.person(&[(&adr, "decided\n")]).await;
    let dir = w.prepare(&base).await;
    fs::remove_dir_all(dir.join(DIR)).unwrap();
    write(&dir, &format!("{DIR}/06-adr"), "a file where the directory was");
    write(&dir, "new.txt", "x");
    let taken = w.develop(&base).await;
    assert_eq!(w.changed(&base, &taken.commit).await, ["A new.txt"]);
    assert_eq!(w.read(&taken.commit, &adr).await.as_deref(), Some("decided\n"));
    // The architect may: by the name of the directory.
    w.prepare(&base).await;
    write(&dir, &adr, "decided again\n");
    let author = Author::role("architect");
    let ask = Snapshot { take_code: false, take_artefacts: &["06-adr/"], ..w.ask(&base, &author) };
    let taken = w.git.snapshot(&ask).await.unwrap();
    assert_eq!(w.changed(&base, &taken.commit).await, [format!("M {adr}")]);
}

#[tokio::test]
async fn a_stale_verdict_is_gone_before_the_run_and_through_no_link_outside() {
    let w = World::new().await;
    let path = format!("{DIR}/12-review.md");
    let base = w.person(&[(&path, "---\nverdict: APPROVED\n---\n")]).await;
    let dir = w.prepare_with(&base, &base, false, std::slice::from_ref(&path)).await;
    assert!(!dir.join(&path).exists() && dir.join(DIR).join("01-brd.md").exists());
    let taken = w.review(&base).await;
    assert_eq!(w.changed(&base, &taken.commit).await, [format!("D {path}")], "no verdict now, whatever it was before");
    // A branch in which the directory is a link to somewhere else.
    let outside = w.path("outside");
    write(&outside, "DEMO-1/12-review.md", "kept");
    let dir = w.prepare(&base).await;
    fs::remove_dir_all(dir.join("docs/work-items")).unwrap();
    symlink(&outside, dir.join("docs/work-items")).unwrap();
    let author = Author::role("developer");
    let ask = Snapshot { take_artefacts: &["01-brd.md", "12-review.md"], ..w.ask(&base, &author) };
    let linked = w.git.snapshot(&ask).await.unwrap().commit;
    w.prepare_with(&linked, &base, false, &[path]).await;
    assert_eq!(fs::read_to_string(outside.join("DEMO-1/12-review.md")).unwrap(), "kept");
}

#[tokio::test]
async fn uncommitted_work_is_kept_in_the_attic_and_a_second_prepare_does_not_lose_it() {
    let w = World::new().await;
    let base = w.trunk().await;
    let attic = async || w.git.resolve(&w.project, "refs/orch/attic/DEMO-1/run-1").await.unwrap();
    let dir = w.prepare(&base).await;
    w.prepare(&base).await;
    assert_eq!(attic().await, None, "an untouched directory is not worth keeping");
    write(&dir, "half done.txt", "precious");
    fs::set_permissions(dir.join("src"), Permissions::from_mode(0o500)).unwrap();
    fs::remove_dir_all(dir.join(".git")).unwrap();
    w.prepare(&base).await;
    assert!(!dir.join("half done.txt").exists());
    let kept = attic().await.unwrap();
    assert_eq!(w.read(&kept, "half done.txt").await.as_deref(), Some("precious"));
    // Crashed after that, it runs again under the same name, finding other files.
    write(&dir, "other.txt", "x");
    w.prepare(&base).await;
    assert!(w.git.is_ancestor(&w.project, &kept, &attic().await.unwrap()).await.unwrap());
    let left: Vec<_> = fs::read_dir(dir.parent().unwrap()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["DEMO-1"], "nothing temporary stays");
}

#[tokio::test]
async fn a_conflict_is_shown_to_the_agent_and_checked_when_it_says_it_is_solved() {
    let w = World::new().await;
    let base = w.trunk().await;
    let head = w.commit(&base, &[("src/lib.txt", "ours\n"), ("mine.txt", "x")]).await;
    let main = w.person(&[("src/lib.txt", "theirs\n"), ("their.txt", "x")]).await;
    let at = Time(1_700_000_001_000);
    let conflict = Updated::Conflict { files: vec!["src/lib.txt".into()] };
    assert_eq!(w.git.update(&w.project, &head, &main, at).await.unwrap(), conflict);
    assert_eq!(w.git.conflicts(&w.project, &head, &main).await.unwrap(), ["src/lib.txt"]);
    let dir = w.prepare_with(&head, &main, true, &[]).await;
    assert_eq!(git(&dir, &["rev-parse", "HEAD", "orch-base"]), format!("{head}\n{main}"));
    let text = fs::read_to_string(dir.join("src/lib.txt")).unwrap();
    assert!(text.contains("<<<<<<< ") && text.contains("ours") && text.contains("theirs"), "{text}");
    assert!(dir.join("their.txt").exists() && dir.join("mine.txt").exists());
    assert_eq!(git(&dir, &["for-each-ref", "refs/orch"]), "");
    let author = Author::role("developer");
    let ask = Snapshot { merged: Some(&main), ..w.ask(&head, &author) };
    assert_eq!(w.git.snapshot(&ask).await.unwrap().unresolved, ["src/lib.txt"]);
    write(&dir, "src/lib.txt", "ours and theirs\n");
    let taken = w.git.snapshot(&ask).await.unwrap();
    assert_eq!((taken.unresolved.clone(), taken.changed, taken.code_changed), (vec![], true, true));
    let parents = git(&w.private(), &["log", "-1", "--format=%P", taken.commit.as_str()]);
    assert_eq!(parents, format!("{head} {main}"));
    assert_eq!(w.git.update(&w.project, &taken.commit, &main, at).await.unwrap(), Updated::UpToDate);
    assert!(w.git.conflicts(&w.project, &taken.commit, &main).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_branch_is_rebased_keeping_authors_messages_and_its_patch_id() {
    let w = World::new().await;
    let base = w.trunk().await;
    let one = w.commit(&base, &[("src/lib.txt", "one\ntwo\nthree\nfour\nfive\nsix\nseven\neight\nNINE\n")]).await;
    let two = w.commit(&one, &[("picked.txt", "the same on both sides\n")]).await;
    let head = w.commit(&two, &[("mine.txt", "x")]).await;
    let changed = "ONE\ntwo\nthree\nfour\nfive\nsix\nseven\neight\nnine\n";
    let main = w.person(&[("src/lib.txt", changed), ("picked.txt", "the same on both sides\n")]).await;
    let at = Time(1_700_000_009_000);
    let moved = w.git.update(&w.project, &head, &main, at).await.unwrap();
    assert_eq!(w.git.update(&w.project, &head, &main, at).await.unwrap(), moved, "the same inputs, the same commits");
    let Updated::Moved { head: new } = moved else { panic!("{moved:?}") };
    let log = git(&w.private(), &["log", "--format=%an %at %ct %s", &format!("{main}..{new}")]);
    let line = "orch developer 1700000000 1700000009 DEMO-1: development";
    assert_eq!(log, format!("{line}\n{line}"), "the commit that main has already is left out");
    let text = w.read(&new, "src/lib.txt").await.unwrap();
    assert!(text.starts_with("ONE") && text.ends_with("NINE\n"));
    assert_eq!(w.git.update(&w.project, &new, &main, at).await.unwrap(), Updated::UpToDate);
    // The patch id: of the branch without the commit that main took.
    let branch = w.commit(&one, &[("mine.txt", "x")]).await;
    let id = async |b: &Sha, h: &Sha| w.git.patch_id(&w.project, b, h, DIR).await.unwrap();
    let Updated::Moved { head: rebased } = w.git.update(&w.project, &branch, &main, at).await.unwrap() else {
        panic!()
    };
    assert_ne!(branch, rebased);
    assert_eq!(id(&main, &branch).await, id(&main, &rebased).await);
    let file = FileWrite { path: format!("{DIR}/12-review.md"), bytes: b"---\nverdict: APPROVED\n---\n".to_vec() };
    let reviewed = w.git.commit_files(&w.project, &rebased, &[file], "review", at).await.unwrap();
    assert_eq!(id(&main, &rebased).await, id(&main, &reviewed).await, "artefacts do not count");
    let indented = FileWrite { path: "mine.txt".into(), bytes: b"  x".to_vec() };
    let other = w.git.commit_files(&w.project, &rebased, &[indented], "indent", at).await.unwrap();
    assert_ne!(id(&main, &rebased).await, id(&main, &other).await, "white space does");
}

#[tokio::test]
async fn a_branch_behind_main_without_commits_of_its_own_moves_to_main() {
    let w = World::new().await;
    let base = w.trunk().await;
    let main = w.person(&[("their.txt", "x")]).await;
    let moved = w.git.update(&w.project, &base, &main, Time(0)).await.unwrap();
    assert_eq!(moved, Updated::Moved { head: main });
}

#[tokio::test]
async fn a_branch_with_merge_commits_gets_main_merged_in() {
    let w = World::new().await;
    let base = w.trunk().await;
    let head = w.commit(&base, &[("mine.txt", "x")]).await;
    let main = w.person(&[("their.txt", "x")]).await;
    w.prepare_with(&head, &main, true, &[]).await;
    let author = Author::role("developer");
    let merge = w.git.snapshot(&Snapshot { merged: Some(&main), ..w.ask(&head, &author) }).await.unwrap().commit;
    let later = w.person(&[("later.txt", "x")]).await;
    let at = Time(1_700_000_009_000);
    let moved = w.git.update(&w.project, &merge, &later, at).await.unwrap();
    assert_eq!(w.git.update(&w.project, &merge, &later, at).await.unwrap(), moved);
    let Updated::Moved { head: new } = moved else { panic!("{moved:?}") };
    assert_eq!(git(&w.private(), &["log", "-1", "--format=%P", new.as_str()]), format!("{merge} {later}"));
    let files = w.files(&new).await;
    assert!(["mine.txt", "their.txt", "later.txt"].iter().all(|f| files.contains(&(*f).to_owned())));
}

#[tokio::test]
async fn the_default_branch_is_never_pushed() {
    let w = World::new().await;
    let base = w.trunk().await;
    let head = w.commit(&base, &[("mine.txt", "x")]).await;
    for branch in ["trunk", "refs/heads/trunk", "heads/trunk", "TRUNK"] {
        let push = w.git.push(&w.project, &w.remote(), branch, TRUNK, &head, Some(&base)).await;
        assert_eq!(push.unwrap_err().kind, FaultKind::Bug, "{branch}");
    }
    for branch in ["a:refs/heads/trunk", "", "x..y", "a b"] {
        let push = w.git.push(&w.project, &w.remote(), branch, TRUNK, &head, Some(&base)).await;
        assert_eq!(push.unwrap_err().kind, FaultKind::Bug, "{branch}");
    }
    assert_eq!(
        git(&w.path("forge.git"), &["for-each-ref", "--format=%(refname) %(objectname)"]),
        format!("refs/heads/trunk {base}")
    );
}

#[tokio::test]
async fn a_push_is_done_once_repeatable_and_never_overwrites_somebody_elses() {
    let w = World::new().await;
    let base = w.trunk().await;
    let one = w.commit(&base, &[("mine.txt", "1")]).await;
    let two = w.commit(&base, &[("mine.txt", "2")]).await;
    let remote = w.remote();
    let push = async |commit: &Sha, expect: Option<&Sha>| {
        w.git.push(&w.project, &remote, BRANCH, TRUNK, commit, expect).await.unwrap()
    };
    assert_eq!(push(&one, Some(&base)).await, PushAnswer::Rejected { now: None });
    assert_eq!(push(&one, None).await, PushAnswer::Done);
    assert_eq!(push(&one, None).await, PushAnswer::Done, "the answer got lost, it asks again");
    assert_eq!(push(&two, Some(&one)).await, PushAnswer::Done, "a rebased branch");
    assert_eq!(push(&one, Some(&one)).await, PushAnswer::Rejected { now: Some(two.clone()) });
    assert_eq!(push(&one, None).await, PushAnswer::Rejected { now: Some(two.clone()) });
    w.fetch().await;
    assert_eq!(w.git.forge_branch(&w.project, BRANCH).await.unwrap(), Some(two));
    git(&w.path("forge.git"), &["branch", "-q", "-D", BRANCH]);
    w.fetch().await;
    assert_eq!(w.git.forge_branch(&w.project, BRANCH).await.unwrap(), None, "pruned");
}

#[tokio::test]
async fn faults_of_a_remote_are_told_apart() {
    let w = World::new().await;
    let base = w.trunk().await;
    let kind = async |remote: &str| w.git.fetch(&w.project, remote).await.unwrap_err().kind;
    assert_eq!(kind(w.path("no such.git").to_str().unwrap()).await, FaultKind::Gone);
    assert_eq!(kind("http://127.0.0.1:9/x.git").await, FaultKind::Transient);
    assert_eq!(kind("ext::sh -c 'touch /tmp/never'").await, FaultKind::Permanent);
    assert_eq!(kind("--upload-pack=false").await, FaultKind::Bug);
    let hook = w.path("forge.git/hooks/update");
    fs::create_dir_all(hook.parent().unwrap()).unwrap();
    fs::write(&hook, "#!/bin/sh\necho 'ticket missing' >&2\nexit 1\n").unwrap();
    fs::set_permissions(&hook, Permissions::from_mode(0o755)).unwrap();
    let fault = w.git.push(&w.project, &w.remote(), BRANCH, TRUNK, &base, None).await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::Permanent);
    assert!(fault.text.contains("hook declined") && fault.text.contains("ticket missing"), "{fault}");
    let never: ProjectKey = "OTHER".into();
    assert_eq!(w.git.resolve(&never, "HEAD").await.unwrap_err().kind, FaultKind::Gone);
    assert_eq!(w.git.fetch(&"../x".into(), &w.remote()).await.unwrap_err().kind, FaultKind::Bug);
}

/// A web server that gives one answer to everything and hands over what it was asked.
fn web_server(answer: &'static str) -> (u16, std::sync::mpsc::Receiver<String>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (asked, questions) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut text = vec![];
            while !text.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                if stream.read(&mut byte).unwrap_or(0) == 0 {
                    break;
                }
                text.push(byte[0]);
            }
            let _ = asked.send(String::from_utf8_lossy(&text).into_owned());
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    (port, questions)
}

#[tokio::test]
async fn credentials_reach_the_forge_in_a_header_and_no_fault_tells_them() {
    let w = World::new().await;
    let cases = [
        (
            "HTTP/1.1 401 no\r\nWWW-Authenticate: Basic realm=\"x\"\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
            FaultKind::Denied,
        ),
        ("HTTP/1.1 403 no\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", FaultKind::Denied),
        ("HTTP/1.1 404 no\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", FaultKind::Gone),
        ("HTTP/1.1 503 no\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", FaultKind::Transient),
    ];
    for (answer, kind) in cases {
        let (port, questions) = web_server(answer);
        let remote = format!("http://bot:s3cret@127.0.0.1:{port}/o/r.git");
        let fault = w.git.fetch(&w.project, &remote).await.unwrap_err();
        assert_eq!(fault.kind, kind, "{fault}");
        assert!(!fault.text.contains("s3cret") && !fault.text.contains("Ym90OnMzY3JldA"), "{fault}");
        assert!(questions.recv().unwrap().contains("Authorization: Basic Ym90OnMzY3JldA=="));
    }
}

#[tokio::test]
async fn orchs_own_files_are_committed_once_and_large_ones_are_not_read() {
    let w = World::new().await;
    let base = w.trunk().await;
    let file = |path: &str, bytes: &[u8]| FileWrite { path: path.into(), bytes: bytes.to_vec() };
    let log = [file(&format!("{DIR}/15-staging-log.md"), b"---\n"), file("run.sh", b"#!/bin/sh\necho\n")];
    let at = Time(1_700_000_000_000);
    let commit = async |parent: &Sha, files: &[FileWrite]| {
        w.git.commit_files(&w.project, parent, files, "staging log", at).await
    };
    let one = commit(&base, &log).await.unwrap();
    assert_eq!(commit(&base, &log).await.unwrap(), one);
    assert_eq!(commit(&one, &log).await.unwrap(), one, "they are there already");
    assert_eq!(w.changed(&base, &one).await, [format!("A {DIR}/15-staging-log.md"), "M run.sh".into()]);
    assert!(git(&w.private(), &["ls-tree", one.as_str(), "run.sh"]).starts_with("100755"), "still executable");
    assert!(commit(&base, &[file("../out", b"x")]).await.is_err());
    assert!(commit(&base, &[file(".git/config", b"x")]).await.is_err());
    let large = commit(&base, &[file("large", &vec![b'x'; 10 * 1024 * 1024 + 1])]).await.unwrap();
    assert_eq!(w.git.read_file(&w.project, &large, "large").await.unwrap_err().kind, FaultKind::Permanent);
    assert_eq!(w.git.read_file(&w.project, &large, "src").await.unwrap(), None);
    assert_eq!(w.git.list_files(&w.project, &one, "docs/").await.unwrap().len(), 2);
    assert_eq!(w.git.list_files(&w.project, &one, "run.sh").await.unwrap(), Vec::<String>::new());
    assert_eq!(w.git.resolve(&w.project, one.short()).await.unwrap(), Some(one.clone()));
    assert_eq!(w.git.resolve(&w.project, "--all").await.unwrap(), None);
    assert_eq!(
        w.git.tree(&w.project, &one).await.unwrap().as_str(),
        git(&w.private(), &["rev-parse", &format!("{one}^{{tree}}")])
    );
    let nowhere = Sha::new("0123456789012345678901234567890123456789");
    assert_eq!(w.git.tree(&w.project, &nowhere).await.unwrap_err().kind, FaultKind::Gone);
    assert_eq!(w.git.tree(&w.project, &Sha::new("--help")).await.unwrap_err().kind, FaultKind::Bug);
}
