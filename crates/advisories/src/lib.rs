//! What a repository depends on, and which of it is known to be vulnerable. Decides what a manifest names, what an
//! advisory covers and what blocks; it may never run a program, reach the network, or take "could not be read" for
//! "clean": whatever was not understood is handed to the caller in words. It prevents an audit that is green because it
//! saw nothing. The only I/O is reading and importing a mirror of advisories below one directory.

pub mod audit;
pub mod auditors;
pub mod manifests;
pub mod mirror;
pub mod osv;
pub mod policy;
mod text;

pub use audit::{Advisory, Audit, Unknown, audit, unite};
pub use manifests::{Dependency, Kind, Manifest, is_manifest, unlocked};
pub use mirror::{Mirror, Records};
pub use policy::{Classified, Severity, classify};

use serde::{Deserialize, Serialize};
use std::fmt;

/// Where a package comes from, by the name OSV has for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Ecosystem {
    /// Rust.
    #[serde(rename = "crates.io")]
    CratesIo,
    /// Go modules.
    Go,
    /// Node.
    #[serde(rename = "npm")]
    Npm,
    /// Python.
    PyPI,
}

impl Ecosystem {
    /// All that are known here.
    pub const ALL: [Self; 4] = [Self::CratesIo, Self::Go, Self::Npm, Self::PyPI];

    /// The name OSV uses, which is also the name of its directory in a mirror.
    pub const fn name(self) -> &'static str {
        match self {
            Self::CratesIo => "crates.io",
            Self::Go => "Go",
            Self::Npm => "npm",
            Self::PyPI => "PyPI",
        }
    }

    /// By OSV's name. What follows a colon (`PyPI:some-index`) is a variant of the same ecosystem.
    pub fn of(name: &str) -> Option<Self> {
        let name = name.split(':').next().unwrap_or(name);
        Self::ALL.into_iter().find(|e| e.name().eq_ignore_ascii_case(name))
    }

    /// A package's name as it is compared: for PyPI as PEP 503 has it (`Zope.Interface` is `zope-interface`), for the
    /// others as written, because their lock files hold the one true spelling.
    pub fn normal(self, name: &str) -> String {
        match self {
            Self::PyPI => {
                let mut out = String::with_capacity(name.len());
                for c in name.trim().chars() {
                    if !matches!(c, '-' | '_' | '.') {
                        out.extend(c.to_lowercase());
                    } else if !out.ends_with('-') {
                        out.push('-');
                    }
                }
                out
            }
            Self::CratesIo | Self::Go | Self::Npm => name.trim().to_owned(),
        }
    }
}

impl fmt::Display for Ecosystem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::Ecosystem;

    #[test]
    fn names_that_a_registry_takes_for_one_are_one() {
        assert_eq!(Ecosystem::PyPI.normal("Zope.Interface"), "zope-interface");
        assert_eq!(Ecosystem::PyPI.normal("a-_.b"), "a-b");
        assert_ne!(Ecosystem::Npm.normal("a_b"), Ecosystem::Npm.normal("a-b"));
        assert_eq!(Ecosystem::of("PyPI:https://example.com"), Some(Ecosystem::PyPI));
        assert_eq!(Ecosystem::of("Debian:12"), None);
    }
}
