//! Does the branch bring in a secret, a vulnerable dependency, or a change of what guards the project? The gate writes
//! `17-security-report.md`, reads it back, and answers what the file says. A scan that was not whole is never a pass.

use super::gate::{Gate, Look, Meta, Subject};
use crate::project::Project;
use orch_artefacts::security_report::{self, ReportLine, Status, Summary};
use orch_core::ids::GateId;
use orch_core::verdict::{FaultKind, FaultNote, Finding, Verdict};
use orch_ports::Fault;
use orch_security::{Protection, Report};
use serde::Serialize;

pub(super) struct SecurityGate;

#[derive(Serialize)]
pub(super) struct Evidence {
    /// What the report says, read back; or why it cannot be read.
    said: Result<Said, String>,
    /// What has to be changed.
    findings: Vec<Finding>,
    /// What a person has to approve.
    protection: Protection,
    /// Why secrets cannot be ruled out.
    incomplete: Vec<String>,
    /// Why the audit of dependencies saw less than it should have.
    degraded: Vec<String>,
    /// What ran: name, what came of it, was it whole.
    ran: Vec<(String, String, bool)>,
    /// The report.
    report: String,
}

#[derive(Serialize)]
struct Said {
    pass: bool,
    secrets_found: u32,
    deps_blocking: u32,
    deps_warning: u32,
    deps_audit_degraded: bool,
}

impl From<Summary> for Said {
    fn from(s: Summary) -> Self {
        Self {
            pass: s.status == Status::Pass,
            secrets_found: s.secrets_found,
            deps_blocking: s.deps_blocking,
            deps_warning: s.deps_warning,
            deps_audit_degraded: s.deps_audit_degraded,
        }
    }
}

impl Gate for SecurityGate {
    const META: Meta = Meta {
        id: GateId::SecurityGate,
        asks: "does the branch bring in a secret, a vulnerable dependency or a change of what guards the project?",
    };
    type Evidence = Evidence;

    async fn key(look: &Look<'_>) -> Result<String, Fault> {
        Ok(format!("{}..{}", look.subject.base, look.subject.head))
    }

    async fn collect(look: &Look<'_>) -> Result<Evidence, Fault> {
        let Report { document: report, protection, incomplete, degraded } = orch_security::scan(&look.range()).await?;
        let kept = look.bench.keep(security_report::FILE, report.render().into_bytes()).await?;
        let said = security_report::parse(&kept).map(Said::from).map_err(|e| e.to_string());
        let blocking = report.findings.iter().filter(|line| line.blocking);
        let findings = blocking.map(finding).collect();
        let ran = report.engines.iter().map(|e| (e.name.clone(), e.outcome.clone(), e.complete)).collect();
        Ok(Evidence {
            said,
            findings,
            protection,
            incomplete,
            degraded,
            ran,
            report: String::from_utf8_lossy(&kept).into_owned(),
        })
    }

    fn judge(evidence: &Evidence, subject: &Subject, project: &Project) -> Verdict {
        let cannot = |text: String| Verdict::Inconclusive { fault: FaultNote::new(FaultKind::Permanent, text) };
        match &evidence.said {
            Err(why) => cannot(format!("the security report cannot be read back: {why}")),
            Ok(_) if !evidence.findings.is_empty() => Verdict::Fail { findings: evidence.findings.clone() },
            Ok(_) if !evidence.incomplete.is_empty() => {
                cannot(format!("secrets cannot be ruled out: {}", evidence.incomplete.join("; ")))
            }
            Ok(_) if project.security.audit_fail_closed && !evidence.degraded.is_empty() => {
                cannot(format!("the audit of dependencies is degraded: {}", evidence.degraded.join("; ")))
            }
            Ok(said) if !said.pass => cannot("the security report says FAIL without a finding".into()),
            Ok(_) => evidence.protection.verdict(subject.task.is_none()).unwrap_or(Verdict::Pass),
        }
    }

    fn warns(evidence: &Evidence) -> Option<String> {
        (!evidence.degraded.is_empty()).then(|| saw_less(&evidence.degraded))
    }
}

/// What people hear of an audit that was not whole.
pub(super) fn saw_less(degraded: &[String]) -> String {
    format!("the audit of dependencies saw less than it should have: {}", degraded.join("; "))
}

/// As the developer's next brief carries it.
fn finding(line: &ReportLine) -> Finding {
    Finding {
        id: Some(line.rule.clone()),
        file: line.file.clone(),
        line: line.line,
        ..Finding::must_fix(line.text.clone())
    }
}
