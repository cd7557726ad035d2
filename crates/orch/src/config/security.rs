//! `[security]`: the secret scan and the dependency audit. A secret always blocks, whatever the network does.

use super::section::section;
use super::value::choices;
use std::path::PathBuf;

choices! {
    /// How bad an advisory is.
    AdvisorySeverity {
        /// CVSS below 4.
        Low = "LOW",
        /// CVSS from 4.
        Medium = "MEDIUM",
        /// CVSS from 7.
        High = "HIGH",
        /// CVSS from 9.
        Critical = "CRITICAL",
    }
}

choices! {
    /// Is a program used?
    Use {
        /// Where it is installed.
        Auto = "auto",
        /// Never.
        Off = "off",
    }
}

section! {
    /// The security gate.
    Security {
        /// Judge `check_security_gate`. False beats every other switch of that gate.
        gate_enabled: bool = true;
        /// Repositories the gate is real for. Not set: all; empty: only projects marked `self`.
        gate_repos: Option<Vec<String>> = None;
        /// A secret outside the allowlist blocks.
        secrets_block: bool = true;
        /// Rules and allowlists of yours, a file in gitleaks' TOML form; those of a project are `.gitleaks.toml` on its
        /// default branch. Never taken from a task's branch.
        rules: Option<PathBuf> = None;
        /// Let gitleaks (8.18 or newer) look for secrets as well. What it finds is added.
        gitleaks: Use = Use::Auto;
        /// Advisories from this severity on block; known-malicious packages always do.
        dep_block_severity: AdvisorySeverity = AdvisorySeverity::High;
        /// Longest scan in seconds; a scan that takes longer fails closed.
        scan_timeout_s: u64 = 300;
        /// Fail instead of warn where the advisory feed is unreachable or stale.
        dep_audit_fail_closed: bool = false;
        /// Directory of OSV mirrors, `<ECOSYSTEM>/all.zip`; `orch audit import` fills it.
        osv_dir: Option<PathBuf> = None;
        /// A checkout of the RustSec advisory database, one more source for crates.
        rustsec_dir: Option<PathBuf> = None;
        /// A mirror whose newest advisory is older than this many days is stale.
        feed_max_age_days: u64 = 14;
        /// Let pip-audit and npm audit look at dependencies as well, where they are installed. They ask their own feeds
        /// over the network.
        auditors: Use = Use::Auto;
        /// Paths whose change a person has to approve, as in `.gitignore`. Not set: CI definitions, agent instructions,
        /// orch.toml, scanner configuration and CODEOWNERS.
        protected_paths: Option<Vec<String>> = None;
    }
}
