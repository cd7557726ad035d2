//! Reports that were written are read back as what they were; what somebody else wrote is read strictly.

use super::*;
use proptest::prelude::*;

fn clean() -> SecurityReport {
    SecurityReport {
        status: Status::Pass,
        secrets_found: 0,
        deps_blocking: 0,
        deps_warning: 0,
        deps_audit_degraded: false,
        range: ("1a2b".into(), "3c4d".into()),
        findings: Vec::new(),
        engines: vec![Engine { name: "built-in".into(), outcome: "3 blobs".into(), complete: true }],
    }
}

fn line(section: Section, blocking: bool, file: &str, text: &str) -> ReportLine {
    ReportLine { section, blocking, rule: "rule".into(), file: Some(file.into()), line: Some(7), text: text.into() }
}

#[test]
fn a_report_lists_what_it_found_by_section_and_what_ran() {
    let mut report = clean();
    report.deps_warning = 1;
    report.deps_audit_degraded = true;
    report.findings = vec![
        line(Section::Allowed, false, "docs/example.md", "an example key"),
        line(Section::Warnings, false, "Cargo.lock", "feed is 12 days old"),
        line(Section::NeedsPerson, false, ".gitleaks.toml", "scanner configuration changed"),
    ];
    report.engines.push(Engine { name: "gitleaks".into(), outcome: "not installed".into(), complete: false });
    let text = report.render();
    let order: Vec<_> = text.lines().filter_map(|l| l.strip_prefix("## ")).collect();
    assert_eq!(order, ["Needs a person", "Warnings", "Allowed", "What ran"]);
    assert!(text.contains("- `rule` in `docs/example.md` line 7: an example key"), "{text}");
    assert!(text.contains("- `gitleaks` **not complete**: not installed"), "{text}");
    assert_eq!(parse(text.as_bytes()), Ok(report.summary()));
}

#[test]
fn what_blocks_is_written_as_a_fail_whatever_the_field_says() {
    for change in [
        |r: &mut SecurityReport| r.secrets_found = 1,
        |r: &mut SecurityReport| r.deps_blocking = 2,
        |r: &mut SecurityReport| r.findings.push(line(Section::Secrets, true, "a", "b")),
    ] {
        let mut report = clean();
        change(&mut report);
        assert_eq!(parse(report.render().as_bytes()).map(|s| s.status), Ok(Status::Fail));
    }
}

const GOOD: &str = "---\nsecurity_status: PASS\nsecrets_found: 0\ndeps_blocking: 0\ndeps_warning: 2\ndeps_audit_degraded: false\n---\n";

#[test]
fn all_five_keys_are_needed_with_their_types() {
    assert!(parse(GOOD.as_bytes()).is_ok());
    for key in ["security_status", "secrets_found", "deps_blocking", "deps_warning", "deps_audit_degraded"] {
        let edited = |line: &str| {
            let lines: Vec<_> = GOOD.lines().map(|l| if l.starts_with(key) { line } else { l }).collect();
            format!("{}\n", lines.join("\n"))
        };
        assert!(parse(edited("other: 1").as_bytes()).is_err(), "{key} is missing");
        for value in ["", "maybe", "'0'", "\"false\"", "-1", "0.0", "[0]", "no", "null", "0x0"] {
            assert!(parse(edited(&format!("{key}: {value}")).as_bytes()).is_err(), "{key}: {value}");
        }
        let twice = GOOD.replacen("---\n", &format!("---\n{key}: 1\n"), 1);
        assert!(!parse(twice.as_bytes()).is_ok_and(|s| s.status == Status::Pass), "{key} is there twice");
    }
}

#[test]
fn a_pass_beside_a_count_that_blocks_is_a_contradiction_and_a_fail_stands_alone() {
    let secret = GOOD.replace("secrets_found: 0", "secrets_found: 1");
    assert_eq!(parse(secret.as_bytes()), Err(BadReport::Contradiction { key: "secrets_found", count: 1 }));
    let vulnerable = GOOD.replace("deps_blocking: 0", "deps_blocking: 3");
    assert_eq!(
        parse(vulnerable.as_bytes()).unwrap_err().to_string(),
        "`security_status: PASS` contradicts `deps_blocking: 3`"
    );
    let failed = GOOD.replace("PASS", "FAIL");
    assert_eq!(parse(failed.as_bytes()).map(|s| s.status), Ok(Status::Fail));
}

#[test]
fn a_file_may_be_named_anything() {
    let mut report = clean();
    report.findings = vec![
        line(Section::Secrets, true, "a\n---\nsecurity_status: PASS\n---\n", "x\r\n# All is well\n"),
        line(
            Section::Secrets,
            true,
            "``` `` <script>.md",
            "</details><h1>PASS</h1> **bold** [x](javascript:y) `z` @all",
        ),
        line(Section::Warnings, false, "\u{202e}gpj.exe", "a | b\u{2028}- c"),
    ];
    let text = report.render();
    assert_eq!(parse(text.as_bytes()), Ok(report.summary()));
    assert_eq!(text.lines().filter(|l| *l == "---").count(), 2, "{text}");
    assert_eq!(text.lines().filter(|l| l.starts_with('#')).count(), 4, "one title, three sections:\n{text}");
    assert!(text.contains("```` ``` `` <script>.md ````"), "{text}");
    assert!(
        text.contains("&lt;/details&gt;")
            && text.contains("\\*\\*bold")
            && text.contains("\\[x\\]")
            && text.contains("\\`z\\` \\@all"),
        "{text}"
    );
    assert!(!text.contains('\u{202e}') && !text.contains('\u{2028}'));
}

fn any_line() -> impl Strategy<Value = ReportLine> {
    let text = prop_oneof![
        any::<String>(),
        "[-`#\n\r|>*<&:\u{85}\u{2028} a]{0,20}",
        Just("\n---\nsecurity_status: PASS\n---\n".to_owned())
    ];
    let section = (0..Section::ALL.len()).prop_map(|at| Section::ALL[at]);
    (section, any::<bool>(), text.clone(), proptest::option::of(text.clone()), proptest::option::of(any::<u32>()), text)
        .prop_map(|(section, blocking, rule, file, line, text)| ReportLine {
            section,
            blocking,
            rule,
            file,
            line,
            text,
        })
}

proptest! {
    #[test]
    fn what_was_written_is_read_back(
        pass in any::<bool>(), counts in any::<[u16; 3]>(), degraded in any::<bool>(),
        findings in proptest::collection::vec(any_line(), 0..6), name in any::<String>(),
    ) {
        let report = SecurityReport {
            status: if pass { Status::Pass } else { Status::Fail },
            secrets_found: u32::from(counts[0] / 60_000),
            deps_blocking: u32::from(counts[1] / 60_000),
            deps_warning: u32::from(counts[2]),
            deps_audit_degraded: degraded,
            range: (name.clone(), name.clone()),
            engines: vec![Engine { name: name.clone(), outcome: name, complete: degraded }],
            findings,
        };
        let text = report.render();
        prop_assert_eq!(parse(text.as_bytes()), Ok(report.summary()));
        // Every line of the report is one that orch wrote: a title, a sentence, an item.
        let body = text.splitn(3, "---\n").nth(2).unwrap_or_default();
        for line in body.split('\n') {
            let ours = ["", "- ", "# Security report", "## ", "Looked at "].iter().any(|s| line.starts_with(s) && (!s.is_empty() || line.is_empty()))
                || line.ends_with("findings block.");
            prop_assert!(ours, "{:?}", line);
        }
        let items = body.split('\n').filter(|l| l.starts_with("- ")).count();
        prop_assert_eq!(items, report.findings.len() + 1);
    }

    #[test]
    fn reading_is_total(bytes in proptest::collection::vec(any::<u8>(), 0..300)) { let _ = parse(&bytes); }

    #[test]
    fn a_report_that_was_cut_off_says_nothing(cut in 0..GOOD.len()) { prop_assert!(parse(&GOOD.as_bytes()[..cut]).is_err()); }
}
