//! What other auditors printed. Decides nothing about versions: it reads their JSON, strictly. A shape that is not known
//! is an error and never an empty list, and an answer that left something out says so in `problems`, because these
//! programs exit 0 with nothing found when their feed is down.

pub mod cargo_audit;
pub mod npm_audit;
pub mod pip_audit;

use crate::Advisory;
use crate::Dependency;

/// What one run of an auditor says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// What it found.
    pub advisories: Vec<Advisory>,
    /// What it did not look at. Not empty: the audit is degraded.
    pub problems: Vec<String>,
}

/// The output says nothing that could be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{program} {why}")]
pub struct Unusable {
    /// Whose output.
    pub program: &'static str,
    /// A fragment for people.
    pub why: String,
}

/// The manifest that was audited, and what is known of it.
#[derive(Clone, Copy, Debug)]
pub struct Audited<'a> {
    /// Its path in the repository.
    pub manifest: &'a str,
    /// What this crate read in it: gives lines, and versions where the program names none.
    pub dependencies: &'a [Dependency],
}

impl Audited<'_> {
    fn lines<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Dependency> {
        self.dependencies.iter().filter(move |d| d.manifest == self.manifest && d.name == name)
    }

    /// The line of a package, in this version if it is known.
    fn line(&self, name: &str, version: Option<&str>) -> Option<u32> {
        self.lines(name).find(|d| version.is_none() || d.version.as_deref() == version).and_then(|d| d.line)
    }

    /// The version of a package, if the manifest has only one of it.
    fn only_version(&self, name: &str) -> Option<String> {
        let mut found = self.lines(name);
        match (found.next(), found.next()) {
            (Some(one), None) => one.version.clone(),
            _ => None,
        }
    }
}

#[cfg(test)]
#[path = "stories.rs"]
mod tests;
