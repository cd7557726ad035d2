//! Stories of a branch and the main it comes from.

use super::*;
use crate::Ecosystem;

fn advisory(id: &str, version: &str, severity: Severity) -> Advisory {
    Advisory {
        id: id.into(),
        aliases: Vec::new(),
        ecosystem: Ecosystem::Npm,
        name: "lodash".into(),
        version: Some(version.into()),
        severity,
        malicious: id.starts_with("MAL-"),
        fixed: vec!["9.0.0".into()],
        summary: String::new(),
        manifest: "package-lock.json".into(),
        line: None,
        sources: vec!["osv".into()],
    }
}

fn counts(head: &[Advisory], base: &[Advisory]) -> (usize, usize, usize) {
    let c = classify(head, base, Severity::High);
    (c.blocking.len(), c.warning.len(), c.inherited.len())
}

#[test]
fn the_threshold_decides_and_unknown_only_warns() {
    use Severity::{Critical, High, Low, Medium, Unknown};
    let head: Vec<Advisory> = [Critical, High, Medium, Low, Unknown]
        .iter()
        .enumerate()
        .map(|(i, s)| advisory(&format!("GHSA-{i}"), "1.0.0", *s))
        .collect();
    let blocking = |word: &str| classify(&head, &[], Severity::parse_threshold(word).unwrap()).blocking.len();
    assert_eq!([blocking("CRITICAL"), blocking("high"), blocking(" Medium "), blocking("LOW")], [1, 2, 3, 4]);
    assert_eq!(classify(&head, &[], Unknown).blocking.len(), 4, "no threshold makes the unknown block");
    assert!(Severity::parse_threshold("UNKNOWN").is_err() && Severity::parse_threshold("").is_err());
}

#[test]
fn malicious_blocks_at_any_severity_unless_main_had_it() {
    let head = [advisory("MAL-2024-1", "1.0.0", Severity::Unknown)];
    assert_eq!(counts(&head, &[]), (1, 0, 0));
    assert_eq!(counts(&head, &head), (0, 0, 1));
    let other = [advisory("MAL-2024-1", "1.0.1", Severity::Unknown)];
    assert_eq!(counts(&head, &other), (1, 0, 0), "of malicious ones only the very version counts as main's");
}

#[test]
fn what_main_had_is_inherited_under_any_name_and_in_any_manifest() {
    let base = [Advisory { aliases: vec!["CVE-1".into()], ..advisory("GHSA-1", "1.0.0", Severity::High) }];
    let moved = Advisory { manifest: "web/package-lock.json".into(), ..advisory("GHSA-1", "1.0.0", Severity::High) };
    let renamed = Advisory { id: "CVE-1".into(), ..moved.clone() };
    assert_eq!(counts(&[moved.clone(), renamed], &base), (0, 0, 2));
    let package = Advisory { name: "lodash-es".into(), ..moved.clone() };
    let elsewhere = Advisory { ecosystem: Ecosystem::PyPI, ..moved };
    assert_eq!(counts(&[package, elsewhere], &base), (2, 0, 0));
}

#[test]
fn an_upgrade_that_does_not_go_far_enough_is_inherited_and_a_downgrade_into_a_hole_is_new() {
    let old = advisory("GHSA-1", "1.0.0", Severity::High);
    let newer = advisory("GHSA-1", "1.0.1", Severity::High);
    assert_eq!(counts(std::slice::from_ref(&newer), std::slice::from_ref(&old)), (0, 0, 1));
    assert_eq!(counts(std::slice::from_ref(&old), &[]), (1, 0, 0), "main had a version without the hole");
    assert_eq!(
        counts(&[old.clone(), newer.clone()], std::slice::from_ref(&old)),
        (1, 0, 1),
        "one copy more than main had"
    );
    let third = advisory("GHSA-1", "1.0.2", Severity::High);
    assert_eq!(counts(&[newer, third], &[old]), (1, 0, 1), "one that is gone excuses one");
}
