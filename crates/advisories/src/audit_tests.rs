//! Stories of dependencies and advisories.

use super::*;
use crate::Severity;
use crate::policy::classify;

fn dependency(ecosystem: Ecosystem, name: &str, version: Option<&str>, manifest: &str) -> Dependency {
    let version = version.map(ToOwned::to_owned);
    Dependency { ecosystem, name: name.into(), version, wanted: None, manifest: manifest.into(), line: Some(7) }
}

fn record(text: &str) -> Record {
    Record::read(text.as_bytes()).unwrap()
}

fn requests(id: &str, aliases: &str, more: &str) -> Record {
    record(&format!(
        r#"{{"id": "{id}", "aliases": [{aliases}], "summary": "leaks credentials", {more}
            "affected": [{{"package": {{"ecosystem": "PyPI", "name": "Requests"}},
              "ranges": [{{"type": "ECOSYSTEM", "events": [{{"introduced": "0"}}, {{"fixed": "2.20.0"}}]}}]}}]}}"#
    ))
}

fn pypi(records: Vec<Record>) -> Records {
    Records::of(&[Ecosystem::PyPI], records)
}

#[test]
fn one_vulnerability_under_three_names_is_one_finding_with_the_worst_severity() {
    let scored = r#""severity": [{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}],"#;
    let records = pypi(vec![
        requests("PYSEC-2018-28", r#""CVE-2018-18074""#, ""),
        requests("GHSA-x84v-xcm2-53pg", r#""CVE-2018-18074""#, scored),
        requests("GHSA-other", "", ""),
    ]);
    let deps = [dependency(Ecosystem::PyPI, "requests", Some("2.19.1"), "requirements.txt")];
    let found = audit(&deps, &records);
    assert_eq!(found.advisories.len(), 2);
    let first = found.advisories.iter().find(|a| a.id == "GHSA-x84v-xcm2-53pg").unwrap();
    assert_eq!(first.aliases, ["PYSEC-2018-28", "CVE-2018-18074"]);
    assert_eq!((first.severity, first.line), (Severity::Critical, Some(7)));
    assert_eq!(first.fixed, ["2.20.0"]);
    assert_eq!((found.unknown, found.problems), (Vec::new(), Vec::new()));
}

#[test]
fn a_fixed_version_another_name_and_a_withdrawn_record_are_clean() {
    let withdrawn = requests("GHSA-gone", "", r#""withdrawn": "2024-01-01T00:00:00Z","#);
    let records = pypi(vec![requests("GHSA-1", "", ""), withdrawn.clone()]);
    let deps = [
        dependency(Ecosystem::PyPI, "requests", Some("2.20.0"), "a"),
        dependency(Ecosystem::PyPI, "requests2", Some("1.0"), "a"),
    ];
    assert_eq!(audit(&deps, &records), Audit::default());
    let deps = [dependency(Ecosystem::PyPI, "requests", Some("1.0"), "a")];
    assert_eq!(audit(&deps, &pypi(vec![withdrawn])).advisories, []);
}

#[test]
fn what_is_not_pinned_or_not_comparable_is_unknown_and_never_clean() {
    let records = pypi(vec![requests("GHSA-1", "", "")]);
    for version in [None, Some("main-branch")] {
        let deps = [dependency(Ecosystem::PyPI, "requests", version, "requirements.txt")];
        let found = audit(&deps, &records);
        assert_eq!(found.advisories, []);
        assert_eq!((found.unknown.len(), found.unknown[0].ids.as_slice()), (1, &["GHSA-1".to_owned()][..]));
    }
}

#[test]
fn what_a_lock_file_beside_it_pins_is_not_unknown() {
    let records = pypi(vec![requests("GHSA-1", "", "")]);
    let open = |manifest: &str| dependency(Ecosystem::PyPI, "requests", None, manifest);
    let lock = |manifest: &str| dependency(Ecosystem::PyPI, "requests", Some("2.31.0"), manifest);
    let unknown = |a, b| audit(&[a, b], &records).unknown.len();
    assert_eq!(unknown(open("pyproject.toml"), lock("uv.lock")), 0);
    assert_eq!(unknown(open("packages/x/pyproject.toml"), lock("uv.lock")), 0);
    assert_eq!(unknown(open("pyproject.toml"), lock("other/uv.lock")), 1);
    assert_eq!(unknown(open("app2/pyproject.toml"), lock("app/uv.lock")), 1);
}

#[test]
fn a_malicious_package_is_found_even_without_a_version() {
    let record = record(
        r#"{"id": "MAL-2024-1", "affected": [{"package": {"ecosystem": "PyPI", "name": "reqeusts"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}]}]}]}"#,
    );
    let deps = [dependency(Ecosystem::PyPI, "reqeusts", None, "requirements.txt")];
    let found = audit(&deps, &pypi(vec![record]));
    assert!(found.advisories[0].malicious && found.unknown.is_empty());
    assert_eq!(classify(&found.advisories, &[], Severity::Critical).blocking.len(), 1);
}

/// A record of malice in PyPI's `a`; what of it is affected comes last.
fn malice(what: &str) -> Records {
    pypi(vec![record(&format!(
        r#"{{"id": "MAL-2024-2", "affected": [{{"package": {{"ecosystem": "PyPI", "name": "a"}}, {what}}}]}}"#
    ))])
}

fn in_requirements(text: &str) -> Vec<Dependency> {
    let found = crate::manifests::read(Kind::Requirements, "requirements.txt", text.as_bytes());
    assert_eq!(found.problems, Vec::<String>::new());
    found.dependencies
}

#[test]
fn a_package_of_which_all_is_malicious_is_found_in_any_version_that_is_written() {
    let records = malice(r#""ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}]}], "versions": ["1.0"]"#);
    for text in
        ["a", "a>=1,<2", "a==not-a-version", "a==9.9", "a @ https://h/x.zip", "-e git+https://h/a#egg=A", "a==${V}"]
    {
        let found = audit(&in_requirements(text), &records);
        assert_eq!((found.advisories.len(), found.unknown.len()), (1, 0), "{text}");
        assert_eq!(classify(&found.advisories, &[], Severity::Critical).blocking.len(), 1);
    }
}

#[test]
fn malice_that_names_no_version_is_that_of_the_package() {
    let records = malice(r#""versions": []"#);
    for text in ["a", "a==1.0", "a==odd"] {
        let found = audit(&in_requirements(text), &records);
        assert_eq!((found.advisories.len(), found.unknown.len()), (1, 0), "{text}");
    }
    // Commits are versions, only none that can be compared.
    let commits = malice(r#""ranges": [{"type": "GIT", "events": [{"introduced": "abc"}]}]"#);
    assert_eq!(audit(&in_requirements("a==1.0"), &commits).unknown.len(), 1);
}

#[test]
fn a_malicious_release_is_found_where_the_newest_that_fits_is_one() {
    let open_end = r#""ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "1.0.1"}]}]"#;
    let mended = r#""ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "1.0.1"}, {"fixed": "1.0.2"}]}]"#;
    let listed = r#""versions": ["1.0.1"]"#;
    for (what, text, found) in [
        (open_end, "a", (1, 0)),
        (open_end, "a>=1", (1, 0)),
        (open_end, "a<1.0.1", (0, 1)),
        (mended, "a", (0, 1)),
        (mended, "a>=1", (0, 1)),
        (mended, "a<=1.0.1", (1, 0)),
        (mended, "a>=1.0.1,<1.0.2", (1, 0)),
        (listed, "a", (0, 1)),
        (listed, "a<=1.0.1", (1, 0)),
        (listed, "a==1.0.1", (1, 0)),
        (listed, "a==1.0.2", (0, 0)),
        // What comes from elsewhere is not the registry's newest.
        (open_end, "a @ https://h/x.zip", (0, 1)),
    ] {
        let audited = audit(&in_requirements(text), &malice(what));
        assert_eq!((audited.advisories.len(), audited.unknown.len()), found, "{text} of {what}");
        assert!(audited.unknown.iter().all(|u| u.malicious));
    }
}

#[test]
fn a_range_of_a_project_without_a_lock_file_is_found_where_it_ends_in_malice() {
    let records = |events: &str| {
        let text = format!(
            r#"{{"id": "MAL-2024-3", "affected": [{{"package": {{"ecosystem": "npm", "name": "a"}},
                "ranges": [{{"type": "SEMVER", "events": [{events}]}}]}}]}}"#
        );
        Records::of(&[Ecosystem::Npm], vec![record(&text)])
    };
    let counts = |asked: &str, events: &str| {
        let text = format!(r#"{{"dependencies": {{"x": "npm:a@{asked}"}}}}"#);
        let found = crate::manifests::read(Kind::PackageJson, "package.json", text.as_bytes());
        let audited = audit(&found.dependencies, &records(events));
        (audited.advisories.len(), audited.unknown.len())
    };
    assert_eq!(counts("^1.0.0", r#"{"introduced": "0"}"#), (1, 0));
    assert_eq!(counts("^1.0.0", r#"{"introduced": "1.0.1"}"#), (1, 0));
    let mended = r#"{"introduced": "1.0.1"}, {"fixed": "1.0.2"}"#;
    assert_eq!(counts("^1.0.0", mended), (0, 1));
    assert_eq!(counts("1.0.1", mended), (1, 0));
    assert_eq!(counts("<1.0.2", mended), (1, 0));
    assert_eq!(counts("1.0.2", mended), (0, 0));
}

#[test]
fn what_only_leaves_open_a_vulnerability_stays_a_warning() {
    let records = pypi(vec![requests("GHSA-1", "", "")]);
    let found = audit(&in_requirements("requests<2\n"), &records);
    assert_eq!((found.advisories.len(), found.unknown.len()), (0, 1));
}

#[test]
fn a_lock_file_settles_a_malicious_release_and_another_list_of_requirements_does_not() {
    let records =
        malice(r#""ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "1.0.1"}, {"fixed": "1.0.2"}]}]"#);
    let unknown = |open: &str, lock: &str| {
        let open = dependency(Ecosystem::PyPI, "a", None, open);
        let lock = dependency(Ecosystem::PyPI, "a", Some("1.0.0"), lock);
        audit(&[open, lock], &records).unknown.len()
    };
    assert_eq!(unknown("pyproject.toml", "uv.lock"), 0);
    assert_eq!(unknown("requirements.txt", "requirements.txt"), 0);
    for lock in ["constraints.txt", "uv.lock", "pyproject.toml"] {
        assert_eq!(unknown("requirements.txt", lock), 1, "pip need not read {lock}");
    }
    assert_eq!(unknown("pyproject.toml", "constraints.txt"), 1);
}

#[test]
fn an_ecosystem_without_a_feed_is_a_problem() {
    let deps = [dependency(Ecosystem::Go, "a.b/c", Some("v1.0.0"), "go.mod")];
    let found = audit(&deps, &pypi(Vec::new()));
    assert_eq!(found.problems, ["there are no advisories for Go: none of its packages was looked up"]);
}

#[test]
fn only_the_fixes_above_the_installed_version_are_offered() {
    let record = record(
        r#"{"id": "GHSA-1", "affected": [{"package": {"ecosystem": "npm", "name": "a"}, "ranges": [
            {"type": "SEMVER", "events": [{"introduced": "1.0.0"}, {"fixed": "1.0.5"}]},
            {"type": "SEMVER", "events": [{"introduced": "2.0.0"}, {"fixed": "2.0.5"}]}]}]}"#,
    );
    let deps = [dependency(Ecosystem::Npm, "a", Some("2.0.1"), "package-lock.json")];
    let found = audit(&deps, &Records::of(&[Ecosystem::Npm], vec![record]));
    assert_eq!(found.advisories[0].fixed, ["2.0.5"]);
}

#[test]
fn what_an_auditor_and_the_mirror_both_say_becomes_one() {
    let base = Advisory {
        id: "PYSEC-1".into(),
        aliases: vec!["CVE-1".into()],
        ecosystem: Ecosystem::PyPI,
        name: "a".into(),
        version: Some("1.0".into()),
        severity: Severity::Unknown,
        malicious: false,
        fixed: Vec::new(),
        summary: String::new(),
        manifest: "uv.lock".into(),
        line: None,
        sources: vec!["pip-audit".into()],
    };
    let osv = Advisory {
        id: "GHSA-1".into(),
        severity: Severity::High,
        sources: vec!["osv".into()],
        line: Some(3),
        ..base.clone()
    };
    let unversioned = Advisory { version: None, sources: vec!["other".into()], ..base.clone() };
    let elsewhere = Advisory { manifest: "b/uv.lock".into(), ..base.clone() };
    let second = Advisory { version: Some("2.0".into()), ..osv.clone() };
    let found = unite(vec![unversioned, base, osv, elsewhere, second]);
    assert_eq!(found.len(), 3, "{found:#?}");
    let one = found.iter().find(|a| a.version.as_deref() == Some("1.0") && a.manifest == "uv.lock").unwrap();
    assert_eq!((one.id.as_str(), one.severity, one.line), ("GHSA-1", Severity::High, Some(3)));
    assert_eq!(one.sources.len(), 3);
}

#[test]
fn chains_of_aliases_are_followed() {
    let record = |id: &str, alias: &str| requests(id, &format!("\"{alias}\""), "");
    let records =
        pypi(vec![record("GHSA-1", "CVE-1"), record("PYSEC-9", "CVE-2"), requests("X-1", r#""CVE-1", "CVE-2""#, "")]);
    let deps = [dependency(Ecosystem::PyPI, "requests", Some("1.0"), "r")];
    assert_eq!(audit(&deps, &records).advisories.len(), 1);
}
