//! Programs and feeds that know more than the scan that is built in. What they find is added to it, never subtracted: no
//! answer of theirs makes a finding of ours go away. A program that is not there says so; one that failed is a fault.

use crate::advisory::{Advisory, Ecosystem, Unknown};
use crate::fault::Fault;
use orch_core::ids::Sha;
use std::path::Path;
use std::time::Duration;

/// The commits to be looked at.
#[derive(Clone, Copy, Debug)]
pub struct Range<'a> {
    /// A bare repository of orch's own that has them. It is read only.
    pub repository: &'a Path,
    /// Commit of the default branch.
    pub base: &'a Sha,
    /// Head of the branch.
    pub head: &'a Sha,
    /// Rules and allowlists of the default branch, in gitleaks' TOML form.
    pub rules: Option<&'a str>,
    /// Longest look.
    pub timeout: Duration,
}

/// A secret another program found. The secret itself is nowhere in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leak {
    /// The program's name for its rule.
    pub rule: String,
    /// What the rule finds.
    pub description: String,
    /// Path.
    pub path: String,
    /// Line, if the program says so.
    pub line: Option<u32>,
    /// Its last line, if the program says so and both are certainly those of the file at the commit.
    pub last_line: Option<u32>,
    /// First and last byte of it in its line, from 1, if the program says so and it is on one line. Off by a few at most.
    pub columns: Option<(u32, u32)>,
    /// Commit, if the program says so.
    pub commit: Option<String>,
}

/// A scanner's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scanned {
    /// It looked at everything.
    Done {
        /// Its name and version.
        by: String,
        /// What it found.
        leaks: Vec<Leak>,
    },
    /// It is not installed, or too old to be of use.
    Missing {
        /// What is missing, and how to get it.
        why: String,
    },
}

/// A program that looks for secrets. A timeout, a crash and a report nobody can read are faults.
#[async_trait::async_trait]
pub trait SecretScanner: Send + Sync + 'static {
    /// Its name.
    fn name(&self) -> &str;
    /// Looks at what `base..head` brings in.
    async fn scan(&self, range: &Range<'_>) -> Result<Scanned, Fault>;
}

/// A file that names dependencies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestFile {
    /// Path in the repository.
    pub path: String,
    /// Content.
    pub bytes: Vec<u8>,
}

/// The manifests of a branch, and of the default branch it is compared with.
#[derive(Clone, Copy, Debug)]
pub struct Sides<'a> {
    /// Of the head.
    pub head: &'a [ManifestFile],
    /// Of the base.
    pub base: &'a [ManifestFile],
    /// Longest look.
    pub timeout: Duration,
    /// Now, seconds since 1970: feeds have an age.
    pub now_s: i64,
}

/// What an auditor says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audited {
    /// Its name, version, and how old what it knows is.
    pub by: String,
    /// The ecosystems it has answered for, whole.
    pub covered: Vec<Ecosystem>,
    /// Advisories against the head.
    pub head: Vec<Advisory>,
    /// Advisories against the base.
    pub base: Vec<Advisory>,
    /// Dependencies of the head nobody can say anything about.
    pub unknown: Vec<Unknown>,
    /// What it did not look at, in words. Not empty: the audit is degraded.
    pub problems: Vec<String>,
}

/// An auditor's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuditAnswer {
    /// It looked.
    Done(Audited),
    /// It has nothing to do with these manifests.
    NotConcerned,
    /// It is not installed or not configured.
    Missing {
        /// What is missing, and how to get it.
        why: String,
    },
}

/// Something that knows which dependencies are vulnerable. An exit code alone is never believed.
#[async_trait::async_trait]
pub trait Auditor: Send + Sync + 'static {
    /// Its name.
    fn name(&self) -> &str;
    /// Looks at the manifests.
    async fn audit(&self, sides: &Sides<'_>) -> Result<AuditAnswer, Fault>;
}
