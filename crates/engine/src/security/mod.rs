//! The security gate's looking: secrets in what a branch brings in, vulnerable dependencies, and changes of what guards
//! the project. It only reads. Nothing the branch contains decides what is looked for: rules and allowlists come from the
//! default branch and the operator. What could not be looked at is said, and never counted as clean.

mod deletions;
mod dependencies;
mod guarded;
mod manifests;
mod protection;
mod secrets;
mod tree;

pub(crate) use dependencies::{Dependencies, dependencies, sentence};
pub(crate) use protection::{Protection, protection};
pub(crate) use secrets::{Secrets, Standing, secrets};

use orch_advisories::Severity;
use orch_ports::security::{Auditor, SecretScanner};
use orch_testguard::tamper;
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

/// One that looked, or could not, as the report tells it.
pub(crate) type Engine = orch_artefacts::security_report::Engine;

fn engine(name: impl Into<String>, outcome: impl Into<String>, complete: bool) -> Engine {
    Engine { name: name.into(), outcome: outcome.into(), complete }
}
