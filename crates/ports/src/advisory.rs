//! The words of an audit: where packages come from, what a manifest names, and what is known against it. An auditor answers
//! in them and the security gate judges them. Nothing here reads a manifest or a feed.

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

/// How bad, in rising order. `Unknown` is below every threshold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Severity {
    /// Nobody has said.
    #[default]
    Unknown,
    /// CVSS below 4.
    Low,
    /// CVSS from 4.
    Medium,
    /// CVSS from 7.
    High,
    /// CVSS from 9.
    Critical,
}

impl Severity {
    /// The word databases and programs use, in any case. `None`: no such word.
    pub fn of_word(word: &str) -> Option<Self> {
        Some(match word.trim().to_ascii_lowercase().as_str() {
            "critical" => Self::Critical,
            "high" | "important" => Self::High,
            "medium" | "moderate" => Self::Medium,
            "low" | "minor" | "info" | "none" => Self::Low,
            _ => return None,
        })
    }

    /// The severity from which on an advisory blocks. `Unknown` is none: what nobody has judged only warns.
    pub fn parse_threshold(word: &str) -> Result<Self, String> {
        match word.trim().to_ascii_uppercase().as_str() {
            "CRITICAL" => Ok(Self::Critical),
            "HIGH" => Ok(Self::High),
            "MEDIUM" | "MODERATE" => Ok(Self::Medium),
            "LOW" => Ok(Self::Low),
            _ => Err(format!("`{}` is no severity: use CRITICAL, HIGH, MEDIUM or LOW", word.trim())),
        }
    }

    /// As it is shown.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Unknown => "UNKNOWN",
            Self::Low => "LOW",
            Self::Medium => "MEDIUM",
            Self::High => "HIGH",
            Self::Critical => "CRITICAL",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// One package that a manifest names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Dependency {
    /// Where it comes from.
    pub ecosystem: Ecosystem,
    /// Its name, normalised by `Ecosystem::normal`.
    pub name: String,
    /// The one version that is installed; `None` where the manifest leaves that open.
    pub version: Option<String>,
    /// Where it is left open: the clauses that a registry's newest version has to fit, empty if there are none. `None` if
    /// a version is pinned, if it comes from elsewhere, or if the clauses are not known here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wanted: Option<String>,
    /// The manifest's path in the repository.
    pub manifest: String,
    /// The line it stands on, from 1, if that is known.
    pub line: Option<u32>,
}

/// A dependency that is known to be vulnerable or malicious.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Advisory {
    /// The name it is shown by.
    pub id: String,
    /// Its other names.
    pub aliases: Vec<String>,
    /// Where the package comes from.
    pub ecosystem: Ecosystem,
    /// The package.
    pub name: String,
    /// The version that is covered; `None` if every version is, or the source does not say.
    pub version: Option<String>,
    /// How bad.
    pub severity: Severity,
    /// Is the package itself an attack?
    pub malicious: bool,
    /// Versions that are no longer affected, above the one that is.
    pub fixed: Vec<String>,
    /// One line for people.
    pub summary: String,
    /// The manifest that names the package.
    pub manifest: String,
    /// The line there.
    pub line: Option<u32>,
    /// Who says so: `osv`, `rustsec`, `pip-audit`, `npm audit`, `cargo audit`.
    pub sources: Vec<String>,
}

impl Advisory {
    /// Every name of it.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.id.as_str()).chain(self.aliases.iter().map(String::as_str))
    }

    /// The same vulnerability of the same package, in whatever version and manifest?
    pub fn same_matter(&self, other: &Self) -> bool {
        self.ecosystem == other.ecosystem
            && self.name == other.name
            && self.names().any(|name| other.names().any(|n| n == name))
    }
}

/// A dependency of which nobody can say that it is clean.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unknown {
    /// Which.
    pub dependency: Dependency,
    /// The advisories that may cover it.
    pub ids: Vec<String>,
    /// Is one of them about a malicious package?
    pub malicious: bool,
    /// Why nobody can say; a fragment for people.
    pub why: String,
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
