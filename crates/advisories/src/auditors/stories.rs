//! The true output of the programs, recorded from pip-audit 2.10, npm 11 and cargo-audit 0.22 (findings against small
//! feeds of our own), good and bad.

use super::*;
use crate::manifests::{Kind, read};
use crate::{Ecosystem, Severity};

macro_rules! fixture {
    ($name:literal) => {
        include_bytes!(concat!("../../tests/fixtures/", $name))
    };
}

fn audited<'a>(manifest: &'a str, dependencies: &'a [Dependency]) -> Audited<'a> {
    Audited { manifest, dependencies }
}

#[test]
fn pip_audit_finds_a_vulnerable_pin() {
    let deps = read(Kind::Requirements, "requirements.txt", b"# pins\nrequests==2.19.1\njinja2==2.10\n").dependencies;
    let report = pip_audit::parse(fixture!("pip_audit_found.json"), audited("requirements.txt", &deps)).unwrap();
    assert_eq!((report.advisories.len(), report.problems.len()), (1, 0));
    let found = &report.advisories[0];
    assert_eq!((found.id.as_str(), found.version.as_deref(), found.line), ("PYSEC-2018-28", Some("2.19.1"), Some(2)));
    assert_eq!(found.fixed, ["2.20.0"]);
    assert_eq!(found.severity, Severity::Unknown, "it names none");
    assert!(found.names().any(|n| n == "CVE-2018-18074"));
}

#[test]
fn pip_audit_is_given_a_file_of_our_own_making() {
    let text = "--index-url https://elsewhere\n-r other.txt\nrequests[socks]==2.19.1 ; x\nopen>=1\nodd===a/b\nrequests==2.0\nx @ file:///x.whl\n";
    let deps = read(Kind::Requirements, "requirements.txt", text.as_bytes()).dependencies;
    assert_eq!(pip_audit::requirements(audited("requirements.txt", &deps)), "requests==2.19.1\n");
    assert_eq!(pip_audit::requirements(audited("other.txt", &deps)), "");
}

#[test]
fn pip_audit_whose_feed_is_down_is_not_clean() {
    let report = pip_audit::parse(fixture!("pip_audit_skipped.json"), audited("r.txt", &[])).unwrap();
    assert_eq!(report.advisories, []);
    assert_eq!(report.problems.len(), 2);
    assert!(report.problems[0].contains("requests") && report.problems[0].contains("not found on PyPI"), "{report:?}");
}

#[test]
fn a_package_that_pip_audit_says_nothing_about_was_not_looked_at() {
    let deps = read(Kind::Requirements, "r.txt", b"requests==2.19.1\njinja2==2.10\nfine==1.0\n").dependencies;
    let report = pip_audit::parse(fixture!("pip_audit_found.json"), audited("r.txt", &deps)).unwrap();
    assert_eq!(report.advisories.len(), 1);
    assert_eq!(report.problems, ["pip-audit says nothing about fine of r.txt"]);
}

#[test]
fn npm_audit_finds_with_version_line_and_severity() {
    let deps = read(Kind::PackageLock, "web/package-lock.json", fixture!("npm_lock.json")).dependencies;
    let report = npm_audit::parse(fixture!("npm_audit_found.json"), audited("web/package-lock.json", &deps)).unwrap();
    let brief: Vec<_> = report
        .advisories
        .iter()
        .map(|a| (a.id.as_str(), a.name.as_str(), a.version.as_deref(), a.severity, a.line.is_some()))
        .collect();
    assert_eq!(
        brief,
        [
            ("GHSA-35jh-r3h4-6jhm", "lodash", Some("4.17.20"), Severity::High, true),
            ("GHSA-xvch-5gv4-984h", "minimist", Some("0.0.8"), Severity::Critical, true),
        ]
    );
    assert!(report.advisories.iter().all(|a| a.ecosystem == Ecosystem::Npm && !a.malicious));
    assert_eq!(report.problems, Vec::<String>::new(), "what was planted was found, and is not shown");
}

#[test]
fn npm_audit_that_does_not_find_what_was_planted_is_not_clean() {
    let report = npm_audit::parse(fixture!("npm_audit_offline.json"), audited("l", &[])).unwrap();
    assert_eq!(report.advisories, []);
    assert!(report.problems[0].contains("feed does not answer"), "{report:?}");
}

#[test]
fn one_package_is_planted_in_every_form_of_lock_file() {
    let planted = npm_audit::with_canary(fixture!("npm_lock.json")).unwrap();
    let mut names: Vec<String> =
        read(Kind::PackageLock, "l", &planted).dependencies.into_iter().map(|d| d.name).collect();
    names.sort();
    assert_eq!(names, ["lodash", "marsdb", "minimist"]);
    let old =
        npm_audit::with_canary(br#"{"lockfileVersion": 1, "dependencies": {"a": {"version": "1.0.0"}}}"#).unwrap();
    assert_eq!(read(Kind::PackageLock, "l", &old).dependencies.len(), 2);
    for odd in [&b"[]"[..], b"{\"packages\": []}", b"<<<<"] {
        assert!(npm_audit::with_canary(odd).is_err());
    }
}

#[test]
fn whoever_depends_on_the_planted_package_hears_of_it() {
    let text = String::from_utf8_lossy(fixture!("npm_audit_found.json"));
    let own = text.replace("\"node_modules/orch-canary\"", "\"node_modules/marsdb\", \"node_modules/orch-canary\"");
    assert_ne!(own, text);
    let report = npm_audit::parse(own.as_bytes(), audited("l", &[])).unwrap();
    assert!(report.advisories.iter().any(|a| a.name == "marsdb") && report.problems.is_empty(), "{report:?}");
}

#[test]
fn npm_audit_that_could_not_audit_is_an_error() {
    let refused = npm_audit::parse(fixture!("npm_audit_refused.json"), audited("l", &[])).unwrap_err();
    assert!(refused.to_string().contains("405"), "{refused}");
    let no_lock = npm_audit::parse(fixture!("npm_audit_no_lock.json"), audited("l", &[])).unwrap_err();
    assert!(no_lock.to_string().contains("lockfile"), "{no_lock}");
}

#[test]
fn npm_audit_marks_malware_and_follows_what_reaches_it() {
    let text = r#"{"auditReportVersion": 2, "metadata": {"vulnerabilities": {"total": 2}}, "vulnerabilities": {
        "bad": {"nodes": ["node_modules/bad"], "via": [{"name": "bad", "title": "Malware in bad", "url": "https://github.com/advisories/GHSA-1", "severity": "critical", "range": ">=0"}]},
        "user": {"nodes": [], "via": ["bad"]}}}"#;
    let report = npm_audit::parse(text.as_bytes(), audited("l", &[])).unwrap();
    assert_eq!(report.advisories.len(), 1);
    assert!(report.advisories[0].malicious);
    assert_eq!(report.advisories[0].version, None);
    for broken in [
        text.replace("\"total\": 2", "\"total\": 3"),
        text.replace("[\"bad\"]", "[\"gone\"]"),
        text.replace("Version\": 2", "Version\": 3"),
    ] {
        assert!(npm_audit::parse(broken.as_bytes(), audited("l", &[])).is_err(), "{broken}");
    }
}

#[test]
fn cargo_audit_finds_and_warns() {
    let deps = read(Kind::CargoLock, "Cargo.lock", fixture!("cargo_lock.toml")).dependencies;
    let report = cargo_audit::parse(fixture!("cargo_audit_found.json"), audited("Cargo.lock", &deps)).unwrap();
    let brief: Vec<_> = report.advisories.iter().map(|a| (a.id.as_str(), a.severity, a.line.is_some())).collect();
    assert_eq!(brief, [("RUSTSEC-2020-0071", Severity::Medium, true), ("RUSTSEC-2021-0139", Severity::Unknown, true)]);
    assert_eq!(report.advisories[0].fixed, [">=0.2.23"]);
    assert_eq!(report.problems, Vec::<String>::new());
}

#[test]
fn cargo_audit_that_was_told_to_ignore_says_so() {
    let report = cargo_audit::parse(fixture!("cargo_audit_ignored.json"), audited("Cargo.lock", &[])).unwrap();
    assert!(report.problems[0].contains("RUSTSEC-2020-0071"), "{report:?}");
    let empty = String::from_utf8_lossy(fixture!("cargo_audit_found.json"))
        .replace("\"advisory-count\": 2", "\"advisory-count\": 0");
    assert!(cargo_audit::parse(empty.as_bytes(), audited("Cargo.lock", &[])).is_err());
}

#[test]
fn anything_else_is_an_error_and_never_an_empty_list() {
    for bytes in [
        &b""[..],
        b"{}",
        b"[]",
        b"null",
        b"\xff",
        b"No known vulnerabilities found",
        b"{\"dependencies\": [{\"name\": \"a\"}]}",
        b"{\"error\": {}}",
    ] {
        let shown = String::from_utf8_lossy(bytes);
        assert!(pip_audit::parse(bytes, audited("m", &[])).is_err(), "{shown}");
        assert!(npm_audit::parse(bytes, audited("m", &[])).is_err(), "{shown}");
        assert!(cargo_audit::parse(bytes, audited("m", &[])).is_err(), "{shown}");
    }
}
