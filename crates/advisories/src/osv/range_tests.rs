//! The borders of ranges, in both orders of versions, by examples and by properties.

use super::*;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

fn affected(ecosystem: Ecosystem, events: &[Event], versions: &[&str]) -> Affected {
    let package = super::super::Package { ecosystem: ecosystem.name().into(), name: "p".into() };
    let range = Range { kind: RangeKind::Ecosystem, events: events.to_vec() };
    let ranges = if events.is_empty() { Vec::new() } else { vec![range] };
    Affected { versions: versions.iter().map(|v| (*v).to_owned()).collect(), ..Affected::new(package, ranges) }
}

fn introduced(v: &str) -> Event {
    Event::Introduced(v.into())
}

fn fixed(v: &str) -> Event {
    Event::Fixed(v.into())
}

fn last(v: &str) -> Event {
    Event::LastAffected(v.into())
}

fn check(ecosystem: Ecosystem, events: &[Event], yes: &[&str], no: &[&str]) {
    let affected = affected(ecosystem, events, &[]);
    for version in yes {
        assert_eq!(covered(ecosystem, &affected, Some(version)), Covered::Yes, "{version} of {events:?}");
    }
    for version in no {
        assert_eq!(covered(ecosystem, &affected, Some(version)), Covered::No, "{version} of {events:?}");
    }
}

#[test]
fn the_borders_of_semantic_versions() {
    use Ecosystem::{CratesIo, Go, Npm};
    check(
        CratesIo,
        &[introduced("0"), fixed("1.2.3")],
        &["0.0.0-0", "0.0.0", "1.2.2", "1.2.3-rc.1"],
        &["1.2.3", "1.2.3+build", "2.0.0"],
    );
    check(CratesIo, &[introduced("0.0.0-0"), fixed("1.0.0-0")], &["0.9.9"], &["1.0.0-0", "1.0.0-alpha", "1.0.0"]);
    check(
        Npm,
        &[introduced("1.0.0"), last("1.2.3")],
        &["1.0.0", "1.2.3", "v1.2.3"],
        &["0.9.9", "1.0.0-rc.1", "1.2.4", "1.2.4-0"],
    );
    check(
        Go,
        &[introduced("0"), fixed("0.0.0-20200101000000-aaaaaaaaaaaa")],
        &["v0.0.0-20190101000000-bbbbbbbbbbbb"],
        &["v0.0.0-20200101000000-aaaaaaaaaaaa", "v0.1.0"],
    );
    check(Go, &[introduced("2.0.0"), fixed("2.0.1")], &["v2.0.0+incompatible"], &["v2.0.1+incompatible"]);
}

#[test]
fn the_borders_of_python_versions() {
    use Ecosystem::PyPI;
    check(
        PyPI,
        &[introduced("0"), fixed("1.0")],
        &["0.dev0", "0.9", "1.0rc1", "1.0.dev5"],
        &["1.0", "1.0.0", "1.0.post1", "1.0+cu118", "1!0.1"],
    );
    check(
        PyPI,
        &[introduced("1.0"), last("2.0")],
        &["1.0", "1.0+local", "2.0", "2.0+cu118", "2.0.0"],
        &["1.0a1", "2.0.post1", "2.0.1", "1!1.5"],
    );
    check(PyPI, &[introduced("0.3"), fixed("0.3+patched")], &["0.3"], &["0.3+patched", "0.4", "0.2"]);
    check(PyPI, &[introduced("1!0"), fixed("1!2.0")], &["1!1.0"], &["5.0", "1!2.0"]);
}

#[test]
fn several_spans_in_any_order_and_touching_ones() {
    let events = [fixed("2.0.5"), introduced("2.0.0"), fixed("1.0.5"), introduced("1.0.0")];
    check(Ecosystem::Npm, &events, &["1.0.0", "1.0.4", "2.0.0"], &["0.9.0", "1.0.5", "1.9.9", "2.0.5"]);
    let touching = [introduced("1.0.0"), fixed("2.0.0"), introduced("2.0.0"), fixed("3.0.0")];
    check(Ecosystem::Npm, &touching, &["1.9.9", "2.0.0", "2.9.9"], &["3.0.0"]);
    let one = [introduced("1.0.0"), last("1.0.0")];
    check(Ecosystem::Npm, &one, &["1.0.0"], &["0.9.9", "1.0.1"]);
    let limited = [introduced("0"), Event::Limit("2.0.0".into())];
    check(Ecosystem::Npm, &limited, &["1.9.9"], &["2.0.0", "3.0.0"]);
    check(Ecosystem::Npm, &[introduced("0"), Event::Limit("*".into())], &["9.0.0"], &[]);
}

#[test]
fn what_cannot_be_compared_is_unknown_unless_a_list_of_versions_decides() {
    let unknown = |a: &Affected, v: &str| matches!(covered(Ecosystem::Npm, a, Some(v)), Covered::Unknown(_));
    let odd = affected(Ecosystem::Npm, &[introduced("0"), fixed("soon")], &[]);
    assert!(unknown(&odd, "1.0.0"));
    let plain = affected(Ecosystem::Npm, &[introduced("0"), fixed("1.0.0")], &[]);
    assert!(unknown(&plain, "latest"));
    let listed = affected(Ecosystem::Npm, &[introduced("0"), fixed("soon")], &["1.0.0", "weird"]);
    assert_eq!(covered(Ecosystem::Npm, &listed, Some("1.0.0")), Covered::Yes);
    assert_eq!(covered(Ecosystem::Npm, &listed, Some("weird")), Covered::Yes);
    assert_eq!(covered(Ecosystem::Npm, &listed, Some("1.0.1")), Covered::No);
    assert!(unknown(&affected(Ecosystem::Npm, &[], &[]), "1.0.0"), "an advisory that names no versions");
    assert!(unknown(&affected(Ecosystem::Npm, &[fixed("1.0.0")], &[]), "2.0.0"), "a range without a beginning");
    let mut git = plain;
    git.ranges[0].kind = RangeKind::Git;
    assert!(unknown(&git, "1.0.0"));
}

#[test]
fn an_advisory_about_every_version_covers_those_that_nobody_knows() {
    let all = affected(Ecosystem::PyPI, &[introduced("0")], &[]);
    for version in [None, Some("1.0"), Some("not a version")] {
        assert_eq!(covered(Ecosystem::PyPI, &all, version), Covered::Yes);
    }
    for events in [vec![introduced("0.0.0-0")], vec![Event::Limit("*".into()), introduced("0")]] {
        let all = affected(Ecosystem::CratesIo, &events, &["1.0.0"]);
        for version in [None, Some("1.0.0"), Some("9.9.9"), Some("not a version")] {
            assert_eq!(covered(Ecosystem::CratesIo, &all, version), Covered::Yes, "{events:?}");
        }
    }
    let some = affected(Ecosystem::PyPI, &[introduced("0"), fixed("9")], &[]);
    assert!(matches!(covered(Ecosystem::PyPI, &some, None), Covered::Unknown(_)));
}

#[test]
fn a_list_of_versions_is_compared_as_versions() {
    let listed = affected(Ecosystem::PyPI, &[], &["1.0"]);
    for version in ["1.0", "1.0.0", "v1.0", "1.0+local"] {
        assert_eq!(covered(Ecosystem::PyPI, &listed, Some(version)), Covered::Yes, "{version}");
    }
    assert_eq!(covered(Ecosystem::PyPI, &listed, Some("1.0.post1")), Covered::No);
}

fn semver() -> impl Strategy<Value = String> {
    (0..4_u8, 0..4_u8, 0..4_u8, prop::option::of("(alpha|rc\\.[0-9]|0|beta)"), prop::option::of("b[0-9]")).prop_map(
        |(a, b, c, pre, build)| {
            let tail = |sign: &str, part: Option<String>| part.map(|p| format!("{sign}{p}")).unwrap_or_default();
            format!("{a}.{b}.{c}{}{}", tail("-", pre), tail("+", build))
        },
    )
}

fn pep440() -> impl Strategy<Value = String> {
    (
        0..2_u8,
        0..4_u8,
        0..4_u8,
        prop::sample::select(vec!["", "a1", "rc1", ".post1", ".dev1", "rc1.dev2"]),
        prop::option::of("\\+[a-z][0-9]"),
    )
        .prop_map(|(epoch, a, b, rest, local)| {
            let epoch = if epoch == 0 { String::new() } else { format!("{epoch}!") };
            format!("{epoch}{a}.{b}{rest}{}", local.unwrap_or_default())
        })
}

/// What a span means, said in another way than the code says it.
fn expected(ecosystem: Ecosystem, version: &str, from: &str, to: &str, with_end: bool) -> bool {
    let read = |text: &str| Version::read(ecosystem, text).unwrap();
    let (version, from, to) = (read(version), read(from), read(to));
    let below = match version.against(&to).unwrap() {
        Ordering::Less => true,
        Ordering::Equal => with_end,
        Ordering::Greater => false,
    };
    version.against(&from).unwrap() != Ordering::Less && below
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, rng_seed: RngSeed::Fixed(2026), ..ProptestConfig::default() })]

    #[test]
    fn a_span_of_semantic_versions_is_an_interval(v in semver(), a in semver(), b in semver(), with_end: bool, turned: bool) {
        interval(Ecosystem::CratesIo, &v, &a, &b, with_end, turned)?;
    }

    #[test]
    fn a_span_of_python_versions_is_an_interval(v in pep440(), a in pep440(), b in pep440(), with_end: bool, turned: bool) {
        interval(Ecosystem::PyPI, &v, &a, &b, with_end, turned)?;
    }

    #[test]
    fn any_text_as_a_version_is_answered(version: String, named: String) {
        for ecosystem in Ecosystem::ALL {
            let odd = affected(ecosystem, &[introduced(&named), fixed(&version)], &[&named]);
            let _ = covered(ecosystem, &odd, Some(&version));
            if Version::read(ecosystem, &version).is_none() && version != named && named.trim() != "0" {
                let plain = affected(ecosystem, &[introduced("1.0.0")], &[]);
                prop_assert_ne!(covered(ecosystem, &plain, Some(&version)), Covered::No);
            }
        }
    }
}

fn interval(
    ecosystem: Ecosystem,
    v: &str,
    a: &str,
    b: &str,
    with_end: bool,
    turned: bool,
) -> Result<(), TestCaseError> {
    let read = |text: &str| Version::read(ecosystem, text).unwrap();
    // Only true intervals: an end before its beginning means nothing.
    let (a, b) = match read(a).order(&read(b)) {
        Some(Ordering::Less) => (a, b),
        Some(Ordering::Greater) => (b, a),
        _ => return Ok(()),
    };
    let end = if with_end { last(b) } else { fixed(b) };
    let mut events = vec![introduced(a), end];
    if turned {
        events.reverse();
    }
    let found = covered(ecosystem, &affected(ecosystem, &events, &[]), Some(v));
    let wanted = if expected(ecosystem, v, a, b, with_end) { Covered::Yes } else { Covered::No };
    prop_assert_eq!(found, wanted, "{} in {}..{}", v, a, b);
    Ok(())
}
