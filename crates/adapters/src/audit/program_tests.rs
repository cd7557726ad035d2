//! What auditors may say and what is made of it, with programs that play them; the real ones are asked in
//! `tests/scanners.rs`.

use super::*;
use crate::test_program;
use orch_advisories::Ecosystem;
use orch_ports::Fault;
use orch_ports::security::{AuditAnswer, Audited, Auditor, Sides};
use std::path::Path;
use std::time::{Duration, Instant};

/// A program of this name that answers to a question about its version, and otherwise does what the script says.
fn program(dir: &Path, name: &str, version: &str, script: &str) -> String {
    let script = format!("[ \"$1\" = --version ] && {{ echo '{version}'; exit 0; }}\n{script}");
    test_program::program(dir, name, &script)
}

fn file(path: &str, text: &str) -> ManifestFile {
    ManifestFile { path: path.into(), bytes: text.as_bytes().to_vec() }
}

fn sides<'a>(head: &'a [ManifestFile], base: &'a [ManifestFile]) -> Sides<'a> {
    Sides { head, base, timeout: Duration::from_secs(30), now_s: 0 }
}

fn network() -> Network {
    let env = [("HTTPS_PROXY", "http://user:word@proxy:1"), ("NODE_EXTRA_CA_CERTS", "/ca.pem"), ("AWS_SECRET", "x")];
    Network::of(&env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect())
}

fn done(answer: Result<AuditAnswer, Fault>) -> Audited {
    match answer.unwrap() {
        AuditAnswer::Done(audited) => audited,
        other => panic!("{other:?}"),
    }
}

const PINS: &str = "--index-url https://elsewhere\njinja2==2.4.1\n";
const PIP_CLEAN: &str = r#"{"dependencies":[{"name":"jinja2","version":"2.4.1","vulns":[]}],"fixes":[]}"#;
const PIP_FOUND: &str = r#"{"dependencies":[{"name":"jinja2","version":"2.4.1","vulns":[{"id":"PYSEC-2019-217",
    "fix_versions":["2.10.1"],"aliases":["CVE-2019-10906"]}]}],"fixes":[]}"#;
const PIP_SKIPPED: &str =
    r#"{"dependencies":[{"name":"jinja2","skip_reason":"could not be found on PyPI"}],"fixes":[]}"#;

fn printing(json: &str, code: u8) -> String {
    format!("cat <<'X'\n{json}\nX\nexit {code}")
}

/// What is made of a pip-audit that does what the script says about one pinned requirement.
async fn pip(script: &str) -> Result<AuditAnswer, Fault> {
    let dir = tempfile::tempdir().unwrap();
    let path = program(dir.path(), "pip-audit", "pip-audit 2.10.1", script);
    let head = [file("requirements.txt", PINS)];
    PipAudit::new(path, network()).audit(&sides(&head, &[])).await
}

#[tokio::test]
async fn pip_audit_finds_or_finds_nothing_and_has_then_answered_for_python() {
    let clean = done(pip(&printing(PIP_CLEAN, 0)).await);
    let expected = Audited { by: "pip-audit 2.10.1".into(), covered: vec![Ecosystem::PyPI], ..Audited::default() };
    assert_eq!(clean, expected);
    let found = done(pip(&printing(PIP_FOUND, 1)).await);
    assert_eq!((found.head.len(), found.base.len(), &found.covered), (1, 0, &vec![Ecosystem::PyPI]));
    assert_eq!((found.head[0].id.as_str(), found.head[0].line), ("PYSEC-2019-217", Some(2)));
}

#[tokio::test]
async fn a_pip_audit_that_ends_with_0_and_skipped_everything_is_degraded() {
    let audited = done(pip(&printing(PIP_SKIPPED, 0)).await);
    assert!(audited.head.is_empty() && audited.covered.is_empty(), "{audited:?}");
    assert!(audited.problems[0].contains("did not look at jinja2"), "{audited:?}");
    let silent = done(pip(&printing(r#"{"dependencies":[],"fixes":[]}"#, 0)).await);
    assert!(silent.covered.is_empty() && silent.problems[0].contains("jinja2"), "{silent:?}");
}

#[tokio::test]
async fn every_other_end_of_pip_audit_is_a_fault_that_says_which() {
    for (script, words) in [
        ("echo boom >&2; exit 1".to_owned(), "boom"),
        ("exit 0".into(), "exit code 0"),
        ("echo No known vulnerabilities found".into(), "pip-audit printed what"),
        ("kill -9 $$".into(), "killed by a signal"),
        (printing(PIP_FOUND, 0), "reported advisories and ended with exit code 0"),
        (printing(PIP_CLEAN, 1), "reported nothing and ended with exit code 1"),
        (printing(PIP_CLEAN, 2), "exit code 2"),
        (printing("{\"dependencies\":[{}]}", 0), "pip-audit printed what"),
        (printing(&PIP_FOUND[..60], 1), "pip-audit printed what"),
    ] {
        let fault = pip(&script).await.unwrap_err();
        assert!(fault.text.contains(words), "{script}: {}", fault.text);
    }
}

#[tokio::test]
async fn pip_audit_sees_a_list_of_ours_and_nothing_else_of_the_repository_or_of_our_environment() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    let script = format!(
        "{{ pwd; echo \"$@\"; find \"$PWD/..\" -type f | sed 's|.*/||'; cat requirements.txt; env | sort; }} >> {}\n{}",
        log.display(),
        printing(PIP_CLEAN, 0)
    );
    let path = program(dir.path(), "pip-audit", "pip-audit 2.10.1", &script);
    let head = [file("Makefile", "all:"), file("a/requirements.txt", PINS), file("pip.conf", "[global]")];
    let audited = done(PipAudit::new(path, network()).audit(&sides(&head, &head)).await);
    assert_eq!(audited.covered, [Ecosystem::PyPI]);
    let said = std::fs::read_to_string(&log).unwrap();
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines[2..4], ["requirements.txt", "jinja2==2.4.1"], "{said}");
    assert!(lines[1].contains("--no-deps --disable-pip --format json"), "{said}");
    assert!(lines[1].contains("--cache-dir ") && !said.contains("elsewhere"), "{said}");
    let names: Vec<&str> = lines[4..].iter().filter_map(|l| l.split('=').next()).collect();
    for name in ["HTTPS_PROXY", "NODE_EXTRA_CA_CERTS", "HOME", "PATH"] {
        assert!(names.contains(&name), "{name}: {said}");
    }
    assert!(!said.contains("AWS_SECRET"), "{said}");
    assert!(!Path::new(lines[0]).exists(), "the directory is left behind");
    assert_eq!(said.matches("--format json").count(), 1, "the same base is not asked about twice");
    assert!(!format!("{:?}", network()).contains("word"));
}

#[tokio::test]
async fn what_is_not_pinned_is_not_answered_for() {
    let dir = tempfile::tempdir().unwrap();
    let path = program(dir.path(), "pip-audit", "pip-audit 2.10.1", &printing(PIP_CLEAN, 0));
    let auditor = PipAudit::new(path, Network::default());
    let open = [file("requirements.txt", "jinja2==2.4.1\nrequests>=2\n")];
    assert_eq!(done(auditor.audit(&sides(&open, &[])).await).covered, []);
    let none = [file("requirements.txt", "requests>=2\n"), file("package-lock.json", LOCK)];
    assert_eq!(auditor.audit(&sides(&none, &[])).await.unwrap(), AuditAnswer::NotConcerned);
}

#[tokio::test]
async fn auditors_that_are_missing_or_too_old_say_so_and_one_that_hangs_is_ended() {
    let head = [file("requirements.txt", PINS), file("package-lock.json", LOCK)];
    let dir = tempfile::tempdir().unwrap();
    let old = program(dir.path(), "pip-audit", "pip-audit 2.4.0", "exit 9");
    program(dir.path(), "npm", "6.14.18", "exit 9");
    for (path, words) in [("/nonexistent", "not installed"), (old.as_str(), "or newer is needed")] {
        let auditors: [Box<dyn Auditor>; 2] =
            [Box::new(PipAudit::new(path, Network::default())), Box::new(NpmAudit::new(path, Network::default()))];
        for auditor in auditors {
            let answer = auditor.audit(&sides(&head, &[])).await.unwrap();
            assert!(matches!(&answer, AuditAnswer::Missing { why } if why.contains(words)), "{answer:?}");
        }
    }
    let path = program(dir.path(), "pip-audit", "pip-audit 2.10.1", "sleep 600");
    program(dir.path(), "npm", "11.0.0", "sleep 600");
    let short = Sides { timeout: Duration::from_millis(300), ..sides(&head, &[]) };
    let begun = Instant::now();
    let pip = PipAudit::new(&path, Network::default()).audit(&short).await.unwrap_err();
    let npm = NpmAudit::new(&path, Network::default()).audit(&short).await.unwrap_err();
    assert!(pip.text.contains("no end after") && npm.text.contains("no end after"), "{} {}", pip.text, npm.text);
    assert!(begun.elapsed() < Duration::from_mins(1));
}

const LOCK: &str = r#"{"name":"x","lockfileVersion":3,"packages":{"":{"dependencies":{"lodash":"4.17.20"}},
    "node_modules/lodash":{"version":"4.17.20","resolved":"https://elsewhere/lodash.tgz"}}}"#;

/// A report of npm audit: the planted package, or not, and lodash, or not.
fn npm_report(canary: bool, lodash: bool) -> String {
    let entry = |name: &str, node: &str, id: &str| {
        format!(
            r#""{name}": {{"name": "{name}", "severity": "high", "nodes": ["node_modules/{node}"], "via": [{{"name":
            "{name}", "title": "a hole", "url": "https://github.com/advisories/{id}", "severity": "high",
            "range": "<4.17.21"}}]}}"#
        )
    };
    let mut all = Vec::new();
    all.extend(canary.then(|| entry("marsdb", "orch-canary", "GHSA-5mrr-rgp6-x4gr")));
    all.extend(lodash.then(|| entry("lodash", "lodash", "GHSA-35jh-r3h4-6jhm")));
    format!(
        r#"{{"auditReportVersion": 2, "vulnerabilities": {{{}}}, "metadata": {{"vulnerabilities": {{"total": {}}}}}}}"#,
        all.join(","),
        all.len()
    )
}

/// What is made of an npm that does what the script says about one lock file.
async fn npm(script: &str) -> Result<AuditAnswer, Fault> {
    let dir = tempfile::tempdir().unwrap();
    let path = program(dir.path(), "npm", "11.19.1", script);
    let head = [file("web/package-lock.json", LOCK)];
    NpmAudit::new(path, network()).audit(&sides(&head, &[])).await
}

#[tokio::test]
async fn npm_audit_is_believed_when_it_finds_the_planted_package() {
    let clean = done(npm(&printing(&npm_report(true, false), 1)).await);
    let expected = Audited { by: "npm audit 11.19.1".into(), covered: vec![Ecosystem::Npm], ..Audited::default() };
    assert_eq!(clean, expected);
    let found = done(npm(&printing(&npm_report(true, true), 1)).await);
    let brief: Vec<_> = found.head.iter().map(|a| (a.name.as_str(), a.id.as_str(), a.manifest.as_str())).collect();
    assert_eq!(brief, [("lodash", "GHSA-35jh-r3h4-6jhm", "web/package-lock.json")]);
    for (script, n) in [(npm_report(false, false), 0), (npm_report(false, true), 1)] {
        let deaf = done(npm(&printing(&script, n)).await);
        assert_eq!((deaf.head.len(), deaf.covered.len()), (usize::from(n), 0));
        assert!(deaf.problems[0].contains("its feed does not answer"), "{deaf:?}");
    }
}

#[tokio::test]
async fn every_other_end_of_npm_audit_is_a_fault_that_says_which() {
    let refused = r#"{"message": "405 Method Not Allowed", "error": {"summary": "", "detail": ""}}"#;
    for (script, words) in [
        ("echo boom >&2; exit 1".to_owned(), "boom"),
        ("exit 0".into(), "exit code 0"),
        ("kill -9 $$".into(), "killed by a signal"),
        ("echo found 0 vulnerabilities".into(), "npm audit printed what"),
        (printing(refused, 1), "405 Method Not Allowed"),
        (printing(&npm_report(true, true), 0), "exit code 0"),
        (printing(&npm_report(true, true), 7), "exit code 7"),
        (printing("{}", 0), "npm audit printed"),
    ] {
        let fault = npm(&script).await.unwrap_err();
        assert!(fault.text.contains(words), "{script}: {}", fault.text);
    }
}

#[tokio::test]
async fn npm_sees_one_lock_file_with_a_package_planted_and_two_empty_configurations() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    let script = format!(
        "for a; do case $a in --userconfig=*) u=${{a#*=}};; --globalconfig=*) g=${{a#*=}};; --prefix=*) p=${{a#*=}};; \
         esac; done\n{{ echo \"$PWD $p\"; echo \"$@\"; ls -A; wc -c < $u; wc -c < $g; [ $u != $g ] && echo two; \
         ls -A $HOME | wc -l; cat package-lock.json; }} >> {}\n{}",
        log.display(),
        printing(&npm_report(true, false), 1)
    );
    let path = program(dir.path(), "npm", "11.19.1", &script);
    let head = [file("web/package-lock.json", LOCK), file("web/.npmrc", "offline=true"), file("web/yarn.lock", "")];
    let audited = done(NpmAudit::new(path, network()).audit(&sides(&head, &head)).await);
    assert_eq!(audited.covered, [Ecosystem::Npm]);
    let said = std::fs::read_to_string(&log).unwrap();
    let lines: Vec<&str> = said.lines().collect();
    let (cwd, prefix) = lines[0].split_once(' ').unwrap();
    assert_eq!((cwd, lines[2..7].to_vec()), (prefix, vec!["package-lock.json", "0", "0", "two", "0"]), "{said}");
    for option in [
        "audit --json --package-lock-only --ignore-scripts --registry=https://registry.npmjs.org/ ",
        " --offline=false --prefer-offline=false ",
        " --include=dev --include=optional --include=peer",
    ] {
        assert!(lines[1].contains(option), "{option} in {}", lines[1]);
    }
    assert!(said.contains("\"node_modules/orch-canary\"") && said.contains("lodash"), "{said}");
    assert!(!Path::new(cwd).exists(), "the directory is left behind");
}

#[tokio::test]
async fn npm_answers_for_its_own_locks_and_for_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let path = program(dir.path(), "npm", "11.19.1", &printing(&npm_report(true, false), 1));
    let auditor = NpmAudit::new(path, network());
    let yarn = file("yarn.lock", "# yarn lockfile v1\n\n\nlodash@^4:\n  version \"4.17.20\"\n");
    let only_yarn = [yarn.clone()];
    assert_eq!(auditor.audit(&sides(&only_yarn, &[])).await.unwrap(), AuditAnswer::NotConcerned);
    let both = [file("package-lock.json", LOCK), yarn];
    assert_eq!(done(auditor.audit(&sides(&both, &[])).await).covered, []);
    // A lock that is broken on the default branch is not held against the branch that mends it.
    let (mended, broken) = ([file("package-lock.json", LOCK)], [file("package-lock.json", "<<<<<<<")]);
    assert_eq!(done(auditor.audit(&sides(&mended, &broken)).await).covered, [Ecosystem::Npm]);
    let half = [file("a/package-lock.json", LOCK), file("package-lock.json", "<<<<<<<")];
    let audited = done(auditor.audit(&sides(&half, &[])).await);
    assert!(audited.covered.is_empty() && audited.problems[0].starts_with("package-lock.json"), "{audited:?}");
}
