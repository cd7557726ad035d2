//! The real gitleaks, pip-audit and npm, over real repositories and lists: that the flags they are given do what they
//! are given for, in the versions that `scripts/tools.sh` installs. Where a program is missing its stories say so and
//! pass; with `ORCH_NOTHING_SKIPPED=1` they fail.

#![allow(clippy::unwrap_used, reason = "a test's fixture has nobody to report to")]

use orch_adapters::audit::{Network, NpmAudit, PipAudit};
use orch_adapters::gitleaks::Gitleaks;
use orch_core::ids::Sha;
use orch_ports::Fault;
use orch_ports::security::{AuditAnswer, Auditor, Leak, ManifestFile, Range, Scanned, SecretScanner, Sides};
use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// A `PATH` on which the program is, the workspace's own tools first.
fn path_to(program: &str) -> Option<String> {
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/tools/bin");
    let path = std::env::var("PATH").unwrap_or_default();
    let path = tools.canonicalize().map_or(path.clone(), |tools| format!("{}:{path}", tools.display()));
    if std::env::split_paths(&path).any(|dir| dir.join(program).is_file()) {
        return Some(path);
    }
    let skipped = format!("skipped: needs {program} (run scripts/tools.sh)\n");
    assert!(std::env::var_os("ORCH_NOTHING_SKIPPED").is_none_or(|v| v != "1"), "{skipped}");
    let _ = std::io::stderr().write_all(skipped.as_bytes());
    None
}

/// A token nobody ever had; whole only while the tests run.
fn token() -> String {
    format!("{}{}", "ghp_", "q7Zt2LmX9vRb4KcN8sWd1FhJ6yPg3TaE5uQo")
}

/// A repository whose default branch has one commit; what a story commits is the branch.
struct Repository {
    dir: tempfile::TempDir,
    base: Sha,
}

impl Repository {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("work")).unwrap();
        let mut new = Self { dir, base: Sha::new("0".repeat(40)) };
        new.git(&["init", "-q", "-b", "main"]);
        new.commit(&[("readme", "hello\n")]);
        new.base = new.head();
        new.git(&["switch", "-q", "-c", "task"]);
        new
    }

    fn work(&self) -> PathBuf {
        self.dir.path().join("work")
    }

    fn git(&self, args: &[&str]) -> String {
        let out = Command::new("git")
            .current_dir(self.work())
            .args(["-c", "user.name=t", "-c", "user.email=t@example.invalid", "-c", "safe.directory=*"])
            .args(args)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .output()
            .unwrap();
        assert!(out.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap().trim().to_owned()
    }

    fn write(&self, files: &[(&str, &str)]) {
        for (name, text) in files {
            let file = self.work().join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        self.git(&["add", "--all"]);
    }

    fn commit(&self, files: &[(&str, &str)]) {
        self.write(files);
        self.git(&["commit", "-q", "-m", "work"]);
    }

    fn head(&self) -> Sha {
        Sha::new(self.git(&["rev-parse", "HEAD"]))
    }

    /// What gitleaks says about the branch: asked in a bare clone, as orch does, and in the repository of the working
    /// directory, beside which the branch's files lie; both have to say the same.
    async fn scan(&self, path: &str, rules: Option<&str>) -> Vec<Leak> {
        let bare = self.dir.path().join("bare.git");
        if bare.exists() {
            fs::remove_dir_all(&bare).unwrap();
        }
        self.git(&["clone", "-q", "--bare", ".", "../bare.git"]);
        let mut said = Vec::new();
        for repository in [&bare, &self.work().join(".git")] {
            let before = everything_in(repository);
            said.push(scan(path, repository, &self.base, &self.head(), rules).await.unwrap());
            assert!(before == everything_in(repository), "gitleaks left something in {}", repository.display());
        }
        assert_eq!(said[0], said[1]);
        match said.swap_remove(0) {
            Scanned::Done { by, leaks } => {
                assert!(by.starts_with("gitleaks 8."), "{by}");
                leaks
            }
            other @ Scanned::Missing { .. } => panic!("{other:?}"),
        }
    }
}

async fn scan(path: &str, repo: &Path, base: &Sha, head: &Sha, rules: Option<&str>) -> Result<Scanned, Fault> {
    let range = Range { repository: repo, base, head, rules, timeout: Duration::from_mins(2) };
    Gitleaks::new(path).scan(&range).await
}

/// Every file below a directory with what is in it.
fn everything_in(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let (mut found, mut open) = (BTreeMap::new(), vec![dir.to_owned()]);
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                found.insert(path.clone(), fs::read(path).unwrap());
            }
        }
    }
    found
}

/// That it found the token, in this file and nowhere else, and told where without telling what.
fn found_in(leaks: &[Leak], path: &str, commit: &Sha) {
    let brief: Vec<_> = leaks.iter().map(|l| (l.rule.as_str(), l.path.as_str(), l.commit.as_deref())).collect();
    assert_eq!(brief, [("github-pat", path, Some(commit.as_str()))]);
    assert!(!format!("{leaks:?}").contains(&token()[4..12]), "the secret itself is in the answer");
}

#[tokio::test]
async fn a_clean_branch_is_clean_whatever_the_default_branch_holds() {
    let Some(path) = path_to("gitleaks") else { return };
    let mut repo = Repository::new();
    repo.commit(&[("old.env", &format!("T={}\n", token()))]);
    repo.base = repo.head();
    repo.commit(&[("src/main.c", "int main(void) { return 0; }\n")]);
    assert_eq!(repo.scan(&path, None).await, []);
}

#[tokio::test]
async fn a_secret_is_found_with_its_line_and_also_when_a_later_commit_takes_it_away() {
    let Some(path) = path_to("gitleaks") else { return };
    let repo = Repository::new();
    repo.commit(&[("my app/.env", &format!("A=1\nT={}\n", token()))]);
    let by = repo.head();
    let leaks = repo.scan(&path, None).await;
    found_in(&leaks, "my app/.env", &by);
    assert_eq!(leaks[0].line, Some(2));
    repo.commit(&[("my app/.env", "A=1\n")]);
    found_in(&repo.scan(&path, None).await, "my app/.env", &by);
}

#[tokio::test]
async fn its_lines_are_those_of_the_file_at_the_commit() {
    let Some(path) = path_to("gitleaks") else { return };
    let plain: Vec<String> = (1..400).map(|n| format!("line {n}")).collect();
    let mut repo = Repository::new();
    repo.commit(&[("a.txt", &plain.join("\n"))]);
    repo.base = repo.head();
    let mut lines = plain;
    for at in [0, 1, 2, 50, 51, 120, 200, 201, 202, 300, 398] {
        lines[at] = format!("{}t{at} = \"{}\" # x", "é ".repeat(at / 20), token());
    }
    lines.insert(100, token());
    let key = format!(
        "x\n-----BEGIN {} KEY-----\n{}-----END {} KEY-----\n",
        "PRIVATE",
        "MIGHAgEAMBMG0123\n".repeat(9),
        "PRIVATE"
    );
    let windows = format!("a\r\nb\r\n{}\r\n", token());
    repo.commit(&[("a.txt", &lines.join("\n")), ("key.pem", &key), ("crlf.txt", &windows), ("end.txt", &token())]);
    lines.drain(10..40);
    lines[60] = token();
    repo.commit(&[("a.txt", &lines.join("\n"))]);
    let leaks = repo.scan(&path, None).await;
    assert!(leaks.len() >= 15, "{leaks:#?}");
    for leak in leaks {
        let text = repo.git(&["show", &format!("{}:{}", leak.commit.unwrap(), leak.path)]);
        let (first, last) = (leak.line.unwrap() as usize, leak.last_line.unwrap() as usize);
        let lines: Vec<&str> = text.split('\n').collect();
        let has = |at: usize, what: &str| lines[at - 1].contains(what);
        if leak.path == "key.pem" {
            assert!(has(first, "BEGIN") && has(last, "END"), "{first} {last}: {text}");
        } else {
            assert!(first == last && has(first, &token()), "{} {first} {last}", leak.path);
            let at = u32::try_from(lines[first - 1].find(&token()).unwrap()).unwrap() + 1;
            let (from, to) = leak.columns.unwrap();
            assert!(
                from <= at + 2 && at <= to + 2 && to <= at + 45,
                "{} line {first}: {at} in {from}..{to}",
                leak.path
            );
        }
    }
}

#[tokio::test]
async fn a_branch_cannot_vouch_for_itself() {
    let Some(path) = path_to("gitleaks") else { return };
    let secret = format!("T={}\n", token());
    let allowed = format!("T={} # gitleaks:allow\n", token());
    // To git this is no text: it says "binary files differ" unless it is told to show it.
    let binary = format!("\0\0\nT={}\n", token());
    for files in [
        vec![(".env", binary.as_str())],
        vec![(".env", allowed.as_str())],
        vec![(".env", &secret), (".gitleaks.toml", "[[rules]]\nid = \"none\"\nregex = '''never-in-any-file'''\n")],
        vec![(".env", &secret), (".gitleaks.toml", "[extend]\nuseDefault = true\n[allowlist]\npaths = ['''.*''']\n")],
        vec![(".env", &secret), (".gitattributes", "* -diff\n")],
        vec![(".env", &secret), (".gitattributes", "* binary\n")],
    ] {
        let repo = Repository::new();
        repo.commit(&files);
        found_in(&repo.scan(&path, None).await, ".env", &repo.head());
    }
    // An ignore file with the very fingerprint of the finding.
    let repo = Repository::new();
    repo.commit(&[(".env", &secret)]);
    let by = repo.head();
    repo.commit(&[(".gitleaksignore", &format!("{}:.env:github-pat:1\n.env:github-pat:1\n", by.as_str()))]);
    found_in(&repo.scan(&path, None).await, ".env", &by);
}

#[tokio::test]
async fn a_secret_that_only_a_merge_brings_in_is_found() {
    let Some(path) = path_to("gitleaks") else { return };
    let repo = Repository::new();
    repo.commit(&[("a", "a\n")]);
    repo.git(&["switch", "-q", "-c", "side", repo.base.as_str()]);
    repo.commit(&[("b", "b\n")]);
    repo.git(&["switch", "-q", "task"]);
    repo.git(&["merge", "-q", "--no-commit", "--no-ff", "side"]);
    repo.commit(&[("evil.env", &format!("T={}\n", token()))]);
    let leaks = repo.scan(&path, None).await;
    // `-m` shows a merge once for each parent.
    assert!(!leaks.is_empty() && leaks.iter().all(|l| l.path == "evil.env" && l.rule == "github-pat"), "{leaks:?}");
    assert!(leaks.iter().all(|l| l.commit.as_deref() == Some(repo.head().as_str())), "{leaks:?}");
}

#[tokio::test]
async fn the_allowlist_of_the_default_branch_is_the_one_that_counts() {
    let Some(path) = path_to("gitleaks") else { return };
    let rules = "[extend]\nuseDefault = true\n[[allowlists]]\npaths = ['''^fixtures/''']\n";
    let repo = Repository::new();
    repo.commit(&[("fixtures/sample.env", &format!("T={}\n", token()))]);
    found_in(&repo.scan(&path, None).await, "fixtures/sample.env", &repo.head());
    assert_eq!(repo.scan(&path, Some(rules)).await, []);
    repo.commit(&[("real.env", &format!("T={}\n", token()))]);
    found_in(&repo.scan(&path, Some(rules)).await, "real.env", &repo.head());
}

#[tokio::test]
async fn what_it_cannot_look_at_is_a_fault_although_it_ends_with_0() {
    let Some(path) = path_to("gitleaks") else { return };
    let repo = Repository::new();
    repo.commit(&[("a", "a\n")]);
    let unknown = Sha::new("2".repeat(40));
    let fault = scan(&path, &repo.work().join(".git"), &repo.base, &unknown, None).await.unwrap_err();
    assert!(fault.text.contains("could not look at everything"), "{}", fault.text);
    let nowhere = scan(&path, Path::new("/nonexistent"), &repo.base, &repo.head(), None).await;
    assert!(nowhere.is_err(), "{nowhere:?}");
    let no_rules = scan(&path, &repo.work().join(".git"), &repo.base, &repo.head(), Some("[[rules")).await;
    assert!(no_rules.is_err(), "{no_rules:?}");
}

fn network() -> Network {
    Network::of(&std::env::vars().collect())
}

/// Asks about manifests of which at least one package is known to be vulnerable: whatever the network here gives, the
/// answer may be the advisory, or that nobody could look; never that all is well.
async fn never_clean(auditor: &dyn Auditor, head: &[ManifestFile], package: &str) {
    let sides = Sides { head, base: &[], timeout: Duration::from_mins(3), now_s: 0 };
    let outcome = match auditor.audit(&sides).await {
        Err(fault) => format!("a fault: {}", fault.text),
        Ok(AuditAnswer::Done(audited)) if audited.covered.is_empty() => {
            assert!(!audited.problems.is_empty(), "not covered, and it does not say why: {audited:?}");
            format!("degraded: {}", audited.problems.join("; "))
        }
        Ok(AuditAnswer::Done(audited)) => {
            assert_eq!(audited.problems, Vec::<String>::new());
            let ours = audited.head.iter().filter(|a| a.name == package && a.manifest == head[0].path);
            let ids: Vec<&str> = ours.map(|a| a.id.as_str()).collect();
            assert!(!ids.is_empty(), "{package} is clean, they say: {audited:?}");
            format!("found {}", ids.join(", "))
        }
        Ok(other) => panic!("{}: {other:?}", auditor.name()),
    };
    // Which of them it was depends on the network: people want to know.
    let _ = std::io::stderr().write_all(format!("{}: {outcome}\n", auditor.name()).as_bytes());
}

#[tokio::test]
async fn pip_audit_never_calls_an_old_jinja2_clean() {
    let Some(path) = path_to("pip-audit") else { return };
    let bytes = b"--index-url http://127.0.0.1:9/\njinja2==2.4.1\n".to_vec();
    let head = [ManifestFile { path: "requirements.txt".into(), bytes }];
    let auditor = PipAudit::new(path, network());
    assert!(auditor.probe().await.unwrap().unwrap().starts_with("2."));
    never_clean(&auditor, &head, "jinja2").await;
}

#[tokio::test]
async fn npm_audit_never_calls_an_old_lodash_clean() {
    let Some(path) = path_to("npm") else { return };
    let lock = r#"{"name": "x", "lockfileVersion": 3, "requires": true, "packages": {"": {"dependencies":
        {"lodash": "4.17.4"}}, "node_modules/lodash": {"version": "4.17.4"}}}"#;
    let head = [ManifestFile { path: "web/package-lock.json".into(), bytes: lock.into() }];
    let auditor = NpmAudit::new(path, network());
    assert!(auditor.probe().await.unwrap().is_ok());
    never_clean(&auditor, &head, "lodash").await;
}
