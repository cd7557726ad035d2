//! `17-security-report.md`: how the security gate writes down what it found, and how it is read back. It decides what a
//! report says, by the same strict reader as every other verdict. It may never write text from outside so that it could
//! be taken for front matter, for a heading or for another finding (a file may be named anything), and never read a
//! pass beside a count that blocks.

use crate::frontmatter::{self, Unreadable};
use crate::markdown::{code, prose};
use std::fmt::Write as _;

/// Its file name below the artefact directory.
pub const FILE: &str = "17-security-report.md";
/// Most lines of one section; more are counted, not listed.
const MAX_LINES: usize = 1_000;

/// The word under `security_status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Nothing blocks.
    Pass,
    /// Something does, or the scan itself failed.
    Fail,
}

/// Where in the report a line stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Section {
    /// A secret that the branch adds.
    Secrets,
    /// A vulnerable or malicious dependency.
    Dependencies,
    /// A change that a person has to approve: scanner configuration, protected paths, tests that were taken away.
    NeedsPerson,
    /// Worth knowing, blocks nobody: unknown or low severity, a degraded feed.
    Warnings,
    /// The default branch had it already.
    Inherited,
    /// Allowed by the allowlist of the default branch or the operator.
    Allowed,
}

impl Section {
    const ALL: [Self; 6] =
        [Self::Secrets, Self::Dependencies, Self::NeedsPerson, Self::Warnings, Self::Inherited, Self::Allowed];

    fn title(self) -> &'static str {
        match self {
            Self::Secrets => "Secrets",
            Self::Dependencies => "Dependencies",
            Self::NeedsPerson => "Needs a person",
            Self::Warnings => "Warnings",
            Self::Inherited => "Inherited from the default branch",
            Self::Allowed => "Allowed",
        }
    }
}

/// One finding as the report lists it. Nothing here may hold a secret: text is what a masking caller made of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportLine {
    /// Where it is listed.
    pub section: Section,
    /// Does it fail the gate?
    pub blocking: bool,
    /// Rule, advisory or kind: `aws-access-key`, `RUSTSEC-2024-0001`.
    pub rule: String,
    /// File, if it has one.
    pub file: Option<String>,
    /// Line in that file.
    pub line: Option<u32>,
    /// What it is, masked.
    pub text: String,
}

/// One program or table that looked, or that could not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Engine {
    /// `built-in`, `gitleaks 8.30.1`, `OSV mirror`.
    pub name: String,
    /// What came of it: "42 blobs in 0.3 s", "not installed", "feed is 12 days old".
    pub outcome: String,
    /// Did it do all it was asked for?
    pub complete: bool,
}

/// The whole report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecurityReport {
    /// The verdict. Written as `FAIL` whatever stands here if something blocks, see `status_written`.
    pub status: Status,
    /// Secrets outside the allowlist.
    pub secrets_found: u32,
    /// Dependencies that block.
    pub deps_blocking: u32,
    /// Dependencies that warn.
    pub deps_warning: u32,
    /// The dependency audit saw less than it should have.
    pub deps_audit_degraded: bool,
    /// The commits that were looked at: base, then head.
    pub range: (String, String),
    /// Findings in any order.
    pub findings: Vec<ReportLine>,
    /// What ran.
    pub engines: Vec<Engine>,
}

/// What the front matter of a report says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Its verdict: `Pass` only if it says so and no count contradicts it.
    pub status: Status,
    /// Secrets outside the allowlist.
    pub secrets_found: u32,
    /// Dependencies that block.
    pub deps_blocking: u32,
    /// Dependencies that warn.
    pub deps_warning: u32,
    /// The dependency audit saw less than it should have.
    pub deps_audit_degraded: bool,
}

/// Why a report is no verdict.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadReport {
    /// The strict reader refuses it.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// `PASS` beside a count that blocks.
    #[error("`security_status: PASS` contradicts `{key}: {count}`")]
    Contradiction {
        /// Which count.
        key: &'static str,
        /// What it says.
        count: u32,
    },
}

impl SecurityReport {
    /// The status that is written: nothing that blocks can be overlooked by whoever filled in the field.
    pub fn status_written(&self) -> Status {
        let blocked = self.secrets_found > 0 || self.deps_blocking > 0 || self.findings.iter().any(|f| f.blocking);
        if blocked { Status::Fail } else { self.status }
    }

    /// What `parse` will say of the rendered report.
    pub fn summary(&self) -> Summary {
        Summary {
            status: self.status_written(),
            secrets_found: self.secrets_found,
            deps_blocking: self.deps_blocking,
            deps_warning: self.deps_warning,
            deps_audit_degraded: self.deps_audit_degraded,
        }
    }

    /// The report as a file.
    pub fn render(&self) -> String {
        let word = match self.status_written() {
            Status::Pass => "PASS",
            Status::Fail => "FAIL",
        };
        let mut out = format!(
            "---\nsecurity_status: {word}\nsecrets_found: {}\ndeps_blocking: {}\ndeps_warning: {}\n\
             deps_audit_degraded: {}\n---\n# Security report\n\n",
            self.secrets_found, self.deps_blocking, self.deps_warning, self.deps_audit_degraded
        );
        let _ = writeln!(out, "Looked at what {} adds to {}.\n", code(&self.range.1), code(&self.range.0));
        let blocking = self.findings.iter().filter(|f| f.blocking).count();
        let _ = writeln!(out, "{blocking} of {} findings block.\n", self.findings.len());
        for section in Section::ALL {
            let lines: Vec<_> = self.findings.iter().filter(|f| f.section == section).collect();
            if lines.is_empty() {
                continue;
            }
            let _ = writeln!(out, "## {}\n", section.title());
            for line in lines.iter().take(MAX_LINES) {
                let _ = writeln!(out, "{}", item(line));
            }
            if lines.len() > MAX_LINES {
                let _ = writeln!(out, "- and {} more that are not listed", lines.len() - MAX_LINES);
            }
            out.push('\n');
        }
        out.push_str("## What ran\n\n");
        if self.engines.is_empty() {
            out.push_str("- nothing\n");
        }
        for engine in &self.engines {
            let mark = if engine.complete { "complete" } else { "**not complete**" };
            let _ = writeln!(out, "- {} {mark}: {}", code(&engine.name), prose(&engine.outcome));
        }
        out
    }
}

/// Reads a report back. All five keys must be there with their types; `FAIL` stands whatever the counts say.
pub fn parse(bytes: &[u8]) -> Result<Summary, BadReport> {
    let pass = frontmatter::verdict(bytes, "security_status", "PASS", "FAIL")?;
    let document = frontmatter::read(bytes)?;
    let summary = Summary {
        status: if pass { Status::Pass } else { Status::Fail },
        secrets_found: document.count("secrets_found")?,
        deps_blocking: document.count("deps_blocking")?,
        deps_warning: document.count("deps_warning")?,
        deps_audit_degraded: document.flag("deps_audit_degraded")?,
    };
    let counts = [("secrets_found", summary.secrets_found), ("deps_blocking", summary.deps_blocking)];
    match counts.into_iter().find(|(_, count)| pass && *count > 0) {
        Some((key, count)) => Err(BadReport::Contradiction { key, count }),
        None => Ok(summary),
    }
}

/// One line of a list.
fn item(line: &ReportLine) -> String {
    let mut out = format!("- {}{}", if line.blocking { "**blocks** " } else { "" }, code(&line.rule));
    if let Some(file) = &line.file {
        let place = line.line.map(|n| format!(" line {n}")).unwrap_or_default();
        let _ = write!(out, " in {}{place}", code(file));
    }
    let _ = write!(out, ": {}", prose(&line.text));
    out
}

#[cfg(test)]
#[path = "security_report_tests.rs"]
mod tests;
