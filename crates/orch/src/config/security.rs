//! `[security]`: the secret scan and the dependency audit. A secret always blocks, whatever the network does.

use super::section::section;
use super::value::choices;

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

section! {
    /// The security gate.
    Security {
        /// Judge `check_security_gate`. False beats every other switch of that gate.
        gate_enabled: bool = true;
        /// Repositories the gate is real for. Not set: all; empty: only projects marked `self`.
        gate_repos: Option<Vec<String>> = None;
        /// A secret outside the allowlist blocks.
        secrets_block: bool = true;
        /// Advisories from this severity on block; known-malicious packages always do.
        dep_block_severity: AdvisorySeverity = AdvisorySeverity::High;
        /// Longest scan in seconds; a scan that takes longer fails closed.
        scan_timeout_s: u64 = 300;
        /// Fail instead of warn where the advisory feed is unreachable or stale.
        dep_audit_fail_closed: bool = false;
    }
}
