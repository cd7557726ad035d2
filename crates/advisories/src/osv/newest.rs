//! Where a version is left open: would an installer end up with one that an advisory covers? Decides by the versions that
//! the advisory and the clauses name and by those around them, because nobody here knows what a registry has. It may
//! never say "yes" where a version that is not covered could be newer: then a warning is right.

use super::range::{Covered, covered};
use super::record::{Affected, Event};
use super::version::Version;
use crate::Ecosystem;
use std::cmp::Ordering;
use std::str::FromStr;

/// Most versions an advisory may name, because each is compared with each. One that names more gets no answer.
const MOST_NAMED: usize = 500;
/// Most versions of clauses that are tried; what a manifest excludes beyond them is not.
const MOST_CLAUSES: usize = 100;

/// Is the newest version that `clauses` let through one that the advisory covers? Installers take the newest. Empty
/// clauses let everything through; those that are not understood are answered with no.
pub fn newest_is_covered(ecosystem: Ecosystem, affected: &Affected, clauses: &str) -> bool {
    let Some(clauses) = Clauses::read(ecosystem, clauses) else { return false };
    let events = affected.ranges.iter().flat_map(|r| &r.events).map(|event| match event {
        Event::Introduced(v) | Event::Fixed(v) | Event::LastAffected(v) | Event::Limit(v) => v.clone(),
    });
    let mut named: Vec<String> = events.chain(affected.versions.iter().cloned()).take(MOST_NAMED + 1).collect();
    if named.len() > MOST_NAMED {
        return false;
    }
    named.extend(clauses.versions().into_iter().take(MOST_CLAUSES));
    let mut points: Vec<Point> = Vec::new();
    for version in &named {
        points.push(Point { text: version.clone(), real: true });
        points.extend(around(ecosystem, version));
    }
    points.push(Point { text: newest(ecosystem).to_owned(), real: true });
    let allowed = points.into_iter().filter_map(|point| {
        let version = Version::read(ecosystem, &point.text)?;
        clauses.allow(&version).then(|| (covered(ecosystem, affected, Some(&point.text)), version, point.real))
    });
    let (mut bad, mut clean): (Option<Version>, Option<Version>) = (None, None);
    for (covered, version, real) in allowed {
        let best = match covered {
            Covered::Yes => &mut bad,
            _ if real => &mut clean,
            // Between two that are named nobody releases one so that it counts as a way out.
            _ => continue,
        };
        if best.as_ref().is_none_or(|b| b.order(&version) == Some(Ordering::Less)) {
            *best = Some(version);
        }
    }
    match (bad, clean) {
        (Some(bad), Some(clean)) => clean.order(&bad) == Some(Ordering::Less),
        (bad, None) => bad.is_some(),
        (None, Some(_)) => false,
    }
}

struct Point {
    text: String,
    /// Might a registry have it?
    real: bool,
}

/// A version above all others.
const fn newest(ecosystem: Ecosystem) -> &'static str {
    match ecosystem {
        Ecosystem::PyPI => "9999!99999999",
        Ecosystem::CratesIo | Ecosystem::Go | Ecosystem::Npm => "99999999.0.0",
    }
}

/// The next version after one, and one right behind it.
fn around(ecosystem: Ecosystem, text: &str) -> Vec<Point> {
    match Version::read(ecosystem, text) {
        Some(Version::Pep440(version)) => {
            let mut numbers = version.release().to_vec();
            let with = |numbers: &[u64]| {
                let numbers: Vec<String> = numbers.iter().map(u64::to_string).collect();
                format!("{}!{}", version.epoch(), numbers.join("."))
            };
            let behind = Point { text: with(&[numbers.as_slice(), &[0, 0, 1]].concat()), real: false };
            if let Some(last) = numbers.last_mut() {
                *last = last.saturating_add(1);
            }
            vec![behind, Point { text: with(&numbers), real: true }]
        }
        Some(Version::Semver(mut version)) => {
            version.pre = semver::Prerelease::EMPTY;
            version.patch = version.patch.saturating_add(1);
            vec![Point { text: version.to_string(), real: true }]
        }
        None => Vec::new(),
    }
}

/// What a manifest asks of a version, in the language of its ecosystem.
enum Clauses {
    Python(pep440_rs::VersionSpecifiers),
    /// One of them has to fit. With the versions that they name.
    Node(Vec<semver::VersionReq>),
}

impl Clauses {
    fn read(ecosystem: Ecosystem, text: &str) -> Option<Self> {
        match ecosystem {
            Ecosystem::PyPI => pep440_rs::VersionSpecifiers::from_str(text).ok().map(Self::Python),
            Ecosystem::Npm => text.split("||").map(node).collect::<Option<_>>().map(Self::Node),
            // Their manifests are lock files.
            Ecosystem::CratesIo | Ecosystem::Go => None,
        }
    }

    fn allow(&self, version: &Version) -> bool {
        match (self, version) {
            (Self::Python(all), Version::Pep440(version)) => all.contains(version),
            (Self::Node(any), Version::Semver(version)) => any.iter().any(|one| one.matches(version)),
            _ => false,
        }
    }

    fn versions(&self) -> Vec<String> {
        match self {
            Self::Python(all) => all.iter().map(|clause| clause.version().to_string()).collect(),
            Self::Node(any) => {
                let part = |n: Option<u64>| n.unwrap_or(0);
                let one = |c: &semver::Comparator| format!("{}.{}.{}", c.major, part(c.minor), part(c.patch));
                any.iter().flat_map(|req| &req.comparators).map(one).collect()
            }
        }
    }
}

/// One range of npm as the crate of Cargo's ranges reads it: blanks are commas, and a plain version is that version.
fn node(text: &str) -> Option<semver::VersionReq> {
    let text = text.trim();
    if matches!(text, "" | "*" | "x" | "X" | "latest") {
        return Some(semver::VersionReq::STAR);
    }
    let mut clauses: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match clauses.last_mut() {
            // `>= 1.0`
            Some(open) if open.ends_with(['<', '>', '=', '^', '~']) => open.push_str(word),
            _ if word.starts_with(|c: char| c.is_ascii_digit()) => clauses.push(format!("={word}")),
            _ => clauses.push(word.to_owned()),
        }
    }
    semver::VersionReq::parse(&clauses.join(",")).ok()
}

#[cfg(test)]
mod tests {
    use super::super::{Package, Range, RangeKind};
    use super::*;

    fn asks(ecosystem: Ecosystem, events: &[Event], versions: &[&str], clauses: &str) -> bool {
        let package = Package { ecosystem: ecosystem.name().into(), name: "p".into() };
        let range = Range { kind: RangeKind::Ecosystem, events: events.to_vec() };
        let ranges = if events.is_empty() { Vec::new() } else { vec![range] };
        let versions = versions.iter().map(|v| (*v).to_owned()).collect();
        let affected = Affected { versions, ..Affected::new(package, ranges) };
        newest_is_covered(ecosystem, &affected, clauses)
    }

    fn check(ecosystem: Ecosystem, events: &[Event], versions: &[&str], yes: &[&str], no: &[&str]) {
        for clauses in yes {
            assert!(asks(ecosystem, events, versions, clauses), "{clauses} of {events:?} {versions:?}");
        }
        for clauses in no {
            assert!(!asks(ecosystem, events, versions, clauses), "{clauses} of {events:?} {versions:?}");
        }
    }

    fn from(v: &str) -> Event {
        Event::Introduced(v.into())
    }

    fn fixed(v: &str) -> Event {
        Event::Fixed(v.into())
    }

    #[test]
    fn where_the_newest_is_bad_only_clauses_that_end_before_it_are_a_way_out() {
        let (yes, no) = (["", ">=0.5", "!=1.0.1", ">1", "<2", "~=1.0"], ["<1.0.1", "<=1.0.0", ">=0.5,<1.0.1", "~=0.5"]);
        check(Ecosystem::PyPI, &[from("1.0.1")], &[], &yes, &no);
        let (yes, no) =
            (["", "*", "latest", ">=0.5", "^1.0.0", ">0.1 <2", "^0.1 || ^1"], ["<1.0.1", "^0.5.0", "0.x", "next"]);
        check(Ecosystem::Npm, &[from("1.0.1")], &[], &yes, &no);
    }

    #[test]
    fn where_a_later_version_is_clean_only_clauses_that_shut_it_out_end_in_the_bad_one() {
        let span = [from("1.0.1"), fixed("1.0.3")];
        let (yes, no) =
            (["<1.0.3", ">=1.0.1,<1.0.3", "~=1.0.1,<=1.0.2", "<=1.0.1"], ["", ">=1", "~=1.0.1", "<2", "<1.0.1"]);
        check(Ecosystem::PyPI, &span, &[], &yes, &no);
        let (yes, no) = ([">=1.0.1 <1.0.3", "<= 1.0.2"], ["^1.0.1", "1.x", "*", "~1.0.1", "1.0.0 - 1.0.2"]);
        check(Ecosystem::Npm, &span, &[], &yes, &no);
        let (yes, no) = (["<=1.0.1", ">=1.0.1,<1.0.2"], ["", "==1.0.*", "<2", "!=1.0.1", ">1.0.1", "<1.0.1"]);
        check(Ecosystem::PyPI, &[], &["1.0.1"], &yes, &no);
    }

    #[test]
    fn a_crowd_of_clauses_hides_nothing_and_a_crowd_of_versions_is_no_answer() {
        let crowd: Vec<String> = (0..2_000).map(|n| format!("!=7.{n}")).collect();
        check(Ecosystem::PyPI, &[from("1.0.1")], &[], &[&format!(">=1,{}", crowd.join(","))], &[]);
        let versions: Vec<String> = (0..2_000).map(|n| format!("1.{n}")).collect();
        let versions: Vec<&str> = versions.iter().map(String::as_str).collect();
        check(Ecosystem::PyPI, &[], &versions, &[], &["", "<2"]);
    }

    #[test]
    fn what_cannot_be_compared_is_no_answer() {
        check(Ecosystem::PyPI, &[from("1.0"), fixed("soon")], &[], &[], &["", ">1"]);
        check(Ecosystem::PyPI, &[from("1.0")], &[], &[], &["^1.0", "nonsense"]);
        check(Ecosystem::CratesIo, &[from("1.0.0")], &[], &[], &["", "*"]);
    }
}
