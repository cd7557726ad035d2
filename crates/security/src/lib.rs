//! The security gate's looking, behind one entry, `scan`: secrets in what a branch brings in, vulnerable dependencies, and
//! changes of what guards the project. It only reads. Nothing the branch contains decides what is looked for: rules and
//! allowlists come from the default branch and the operator. What could not be looked at is said, and never counted as
//! clean.

#![cfg_attr(not(test), warn(clippy::disallowed_methods))]

mod deletions;
mod dependencies;
mod guarded;
mod manifests;
mod protection;
mod report;
mod secrets;
mod tree;

pub use protection::Protection;

use orch_advisories::Severity;
use orch_artefacts::security_report::{Engine, SecurityReport};
use orch_core::ids::{ProjectKey, Sha, Time};
use orch_core::task::Task;
use orch_ports::Fault;
use orch_ports::git::Git;
use orch_ports::security::{Auditor, SecretScanner};
use orch_testguard::guard::Configured;
use orch_testguard::tamper;
use secrets::Standing;
use std::fmt::Write as _;
use std::sync::Arc;

/// What a project's security gate works with.
pub struct Security {
    /// Rules and allowlists of the operator: the file they came from, and its text.
    pub rules: Option<(String, String)>,
    /// Makes fingerprints of secrets: secret itself, and the same for as long as fingerprints are compared.
    pub key: Vec<u8>,
    /// Programs that look for secrets beside the built-in scan.
    pub scanners: Vec<Arc<dyn SecretScanner>>,
    /// What knows of vulnerable dependencies.
    pub auditors: Vec<Arc<dyn Auditor>>,
    /// Longest look of each, milliseconds.
    pub timeout_ms: u64,
    /// Does a secret fail the gate?
    pub secrets_block: bool,
    /// From which severity on an advisory fails the gate.
    pub block_from: Severity,
    /// Does an audit that saw less than it should have fail the gate?
    pub audit_fail_closed: bool,
    /// Paths whose change a person approves.
    pub protected: Vec<String>,
}

impl Default for Security {
    fn default() -> Self {
        Self {
            rules: None,
            key: Vec::new(),
            scanners: Vec::new(),
            auditors: Vec::new(),
            timeout_ms: 300_000,
            secrets_block: true,
            block_from: Severity::High,
            audit_fail_closed: false,
            protected: tamper::PROTECTED.iter().map(|p| (*p).to_owned()).collect(),
        }
    }
}

/// What is looked at: all that one commit brings in over another.
pub struct Range<'a> {
    /// The private repository.
    pub git: &'a dyn Git,
    /// Its project.
    pub project: &'a ProjectKey,
    /// Commit of the default branch.
    pub base: &'a Sha,
    /// Commit that is judged.
    pub head: &'a Sha,
    /// What the project's security gate works with.
    pub security: &'a Security,
    /// The project's commands that run what stands in its repository, by their keys.
    pub commands: Vec<Configured>,
    /// The task whose approvals count, where there is one.
    pub task: Option<&'a Task>,
    /// Now: feeds have an age.
    pub now: Time,
}

/// What came of a scan.
#[derive(Debug)]
pub struct Report {
    /// For people, and for the gate that reads it back.
    pub document: SecurityReport,
    /// What a person has to approve.
    pub protection: Protection,
    /// Why secrets cannot be ruled out; empty if the scan was whole.
    pub incomplete: Vec<String>,
    /// Why the audit of dependencies saw less than it should have; empty if it did not.
    pub degraded: Vec<String>,
}

/// Looks at everything.
pub async fn scan(range: &Range<'_>) -> Result<Report, Fault> {
    let brought = range.git.brought_in(range.project, range.base, range.head).await?;
    let at_head = range.git.entries(range.project, range.head).await?;
    let secrets = secrets::secrets(range, &brought).await?;
    let dependencies = dependencies::dependencies(range, &at_head).await?;
    let protection = protection::protection(range, &brought, &at_head).await?;
    let document = report::report(range, &secrets, &dependencies, &protection);
    Ok(Report { document, protection, incomplete: secrets.incomplete, degraded: dependencies.degraded })
}

/// The part of a scan that is about what guards the project.
pub async fn protection(range: &Range<'_>) -> Result<Protection, Fault> {
    let brought = range.git.brought_in(range.project, range.base, range.head).await?;
    let at_head = range.git.entries(range.project, range.head).await?;
    protection::protection(range, &brought, &at_head).await
}

/// The part of a scan that is about secrets: why what is brought in may hold one, a line each.
pub async fn leaks(range: &Range<'_>) -> Result<Vec<String>, Fault> {
    let brought = range.git.brought_in(range.project, range.base, range.head).await?;
    let secrets = secrets::secrets(range, &brought).await?;
    let new = secrets.found.into_iter().filter(|s| s.standing == Standing::New);
    let mut why: Vec<String> = new.map(|s| format!("{}: {}", s.path, s.text)).collect();
    why.extend(secrets.too_large.into_iter().map(|(path, what)| format!("{path}: {what}")));
    why.extend(secrets.incomplete);
    Ok(why)
}

/// One that looked, or could not, as the report tells it.
fn engine(name: impl Into<String>, outcome: impl Into<String>, complete: bool) -> Engine {
    Engine { name: name.into(), outcome: outcome.into(), complete }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
