//! Versions and their order, an ecosystem at a time. Decides when two versions can be compared at all; it may never
//! guess: a version it cannot read has no place in an order, and the caller says "unknown".

use crate::Ecosystem;
use std::cmp::Ordering;
use std::str::FromStr;

/// A version that has a place in its ecosystem's order.
#[derive(Clone, Debug)]
pub enum Version {
    /// crates.io, npm, Go.
    Semver(semver::Version),
    /// PyPI.
    Pep440(pep440_rs::Version),
}

impl Version {
    /// Reads a version. `None`: it has no place in the order.
    pub fn read(ecosystem: Ecosystem, text: &str) -> Option<Self> {
        let text = text.trim();
        match ecosystem {
            Ecosystem::PyPI => pep440_rs::Version::from_str(text).ok().map(Self::Pep440),
            Ecosystem::CratesIo => semver(text).map(Self::Semver),
            // Go writes `v1.2.3`, advisories leave the letter out; npm takes `v` and `=` too.
            Ecosystem::Go => semver(text.strip_prefix('v').unwrap_or(text)).map(Self::Semver),
            Ecosystem::Npm => semver(text.trim_start_matches(['v', '='])).map(Self::Semver),
        }
    }

    /// Where an installed version stands to one that an advisory names. `None`: they are of different orders.
    ///
    /// Build metadata does not count. A local version (`1.0+cu118`) is a build of the public one, so it counts as that
    /// one, unless the advisory itself speaks of local versions.
    pub fn against(&self, named: &Self) -> Option<Ordering> {
        match (self, named) {
            (Self::Pep440(a), Self::Pep440(b)) if a.is_local() && !b.is_local() => {
                Some(a.clone().without_local().cmp(b))
            }
            _ => self.order(named),
        }
    }

    /// The order of two versions that advisories name, local ones apart. `None`: they are of different orders.
    pub fn order(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Semver(a), Self::Semver(b)) => Some(a.cmp_precedence(b)),
            (Self::Pep440(a), Self::Pep440(b)) => Some(a.cmp(b)),
            _ => None,
        }
    }
}

/// A semantic version; advisories sometimes leave out the last numbers.
fn semver(text: &str) -> Option<semver::Version> {
    if let Ok(version) = semver::Version::parse(text) {
        return Some(version);
    }
    let end = text.find(['-', '+']).unwrap_or(text.len());
    let (numbers, rest) = text.split_at(end);
    let missing = match numbers.split('.').count() {
        1 => ".0.0",
        2 => ".0",
        _ => return None,
    };
    semver::Version::parse(&format!("{numbers}{missing}{rest}")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use Ecosystem::{CratesIo, Go, Npm, PyPI};

    fn order(ecosystem: Ecosystem, a: &str, b: &str) -> Ordering {
        let (a, b) = (Version::read(ecosystem, a).unwrap(), Version::read(ecosystem, b).unwrap());
        a.against(&b).unwrap()
    }

    #[test]
    fn every_ecosystem_has_its_order() {
        use Ordering::{Equal, Greater, Less};
        assert_eq!(order(CratesIo, "1.0.0-alpha.9", "1.0.0-alpha.10"), Less);
        assert_eq!(order(CratesIo, "1.0.0-rc.1", "1.0.0"), Less);
        assert_eq!(order(CratesIo, "1.0.0+zlib-1.2", "1.0.0"), Equal);
        assert_eq!(order(Npm, "v1.2", "1.2.0"), Equal);
        assert_eq!(order(Go, "v2.0.0+incompatible", "2.0.0"), Equal);
        assert_eq!(order(Go, "v0.0.0-20190101000000-abcdefabcdef", "0.0.0-20200101000000-000000000000"), Less);
        assert_eq!(order(PyPI, "1!0.1", "2024.1"), Greater);
        assert_eq!(order(PyPI, "1.0.dev1", "1.0a1"), Less);
        assert_eq!(order(PyPI, "1.0.post1", "1.0"), Greater);
        assert_eq!(order(PyPI, "v1.0", "1.0.0"), Equal);
        assert_eq!(order(PyPI, "1.0rc1", "1.0"), Less);
    }

    #[test]
    fn a_local_build_counts_as_what_it_is_a_build_of() {
        assert_eq!(order(PyPI, "1.0+cu118", "1.0"), Ordering::Equal);
        assert_eq!(order(PyPI, "1.0+cu118", "1.0+cu117"), Ordering::Greater);
        assert_eq!(order(PyPI, "1.0+fix1", "1.0+fix1"), Ordering::Equal);
        assert_eq!(order(PyPI, "1.0", "1.0+fix1"), Ordering::Less);
    }

    #[test]
    fn what_is_no_version_has_no_place() {
        for (ecosystem, text) in [
            (PyPI, "2004d-custom"),
            (Npm, "latest"),
            (Npm, ""),
            (CratesIo, "1.2.3.4"),
            (CratesIo, "01.0.0"),
            (Go, "master"),
        ] {
            assert!(Version::read(ecosystem, text).is_none(), "{text}");
        }
        let (a, b) = (Version::read(PyPI, "1").unwrap(), Version::read(Npm, "1").unwrap());
        assert_eq!(a.against(&b), None);
    }
}
