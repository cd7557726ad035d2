//! Does the branch bring in a secret, a vulnerable dependency, or a change of what guards the project? The gate writes
//! `17-security-report.md`, reads it back, and answers what the file says. A scan that was not whole is never a pass.

use super::{Gate, Look, Meta, Subject};
use crate::project::Project;
use crate::security::{self, Dependencies, Protection, Secrets, Standing};
use orch_advisories::Dependency;
use orch_artefacts::security_report::{self, Engine, ReportLine, Section, SecurityReport, Status, Summary};
use orch_core::ids::GateId;
use orch_core::verdict::{FaultKind, FaultNote, Finding, Verdict};
use orch_ports::Fault;
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
        let s = &look.subject;
        let brought = look.git.brought_in(&look.project.key, &s.base, &s.head).await?;
        let at_head = look.git.entries(&look.project.key, &s.head).await?;
        let secrets = security::secrets(look, &brought).await?;
        let dependencies = security::dependencies(look, &at_head).await?;
        let protection = security::protection(look, &look.project.security, &brought, &at_head).await?;
        let report = report(look, &secrets, &dependencies, &protection);
        let kept = look.bench.keep(security_report::FILE, report.render().into_bytes()).await?;
        let said = security_report::parse(&kept).map(Said::from).map_err(|e| e.to_string());
        let blocking = report.findings.iter().filter(|line| line.blocking);
        let findings = blocking.map(finding).collect();
        let ran = report.engines.iter().map(|e| (e.name.clone(), e.outcome.clone(), e.complete)).collect();
        Ok(Evidence {
            said,
            findings,
            protection,
            incomplete: secrets.incomplete,
            degraded: dependencies.degraded,
            ran,
            report: String::from_utf8_lossy(&kept).into_owned(),
        })
    }

    fn judge(evidence: &Evidence, subject: &Subject, project: &Project) -> Verdict {
        let cannot = |text: String| Verdict::Inconclusive { fault: FaultNote { kind: FaultKind::Permanent, text } };
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
        let why = evidence.degraded.join("; ");
        (!why.is_empty()).then(|| format!("the audit of dependencies saw less than it should have: {why}"))
    }
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

fn report(look: &Look<'_>, secrets: &Secrets, dependencies: &Dependencies, protection: &Protection) -> SecurityReport {
    let security = &look.project.security;
    let mut lines = Vec::new();
    let mut secrets_found = 0;
    for secret in &secrets.found {
        let (section, blocking, text) = match &secret.standing {
            Standing::New => (Section::Secrets, security.secrets_block, secret.text.clone()),
            Standing::Inherited => (Section::Inherited, false, secret.text.clone()),
            Standing::Allowed(by) => (Section::Allowed, false, format!("{}; allowed by {by}", secret.text)),
        };
        secrets_found += u32::from(blocking);
        let (file, line) = (Some(secret.path.clone()), secret.line);
        lines.push(ReportLine { section, blocking, rule: secret.rule.clone(), file, line, text });
    }
    lines.extend(secrets.too_large.iter().map(|(path, text)| ReportLine {
        section: Section::Secrets,
        blocking: true,
        rule: "too-large".into(),
        file: Some(path.clone()),
        line: None,
        text: text.clone(),
    }));
    let judged = &dependencies.judged;
    let groups = [
        (Section::Dependencies, true, &judged.blocking),
        (Section::Warnings, false, &judged.warning),
        (Section::Inherited, false, &judged.inherited),
    ];
    for (section, blocking, advisories) in groups {
        lines.extend(advisories.iter().map(|a| ReportLine {
            section,
            blocking,
            rule: a.id.clone(),
            file: Some(a.manifest.clone()),
            line: a.line,
            text: security::sentence(a),
        }));
    }
    lines.extend(dependencies.unreadable.iter().map(|(path, why)| ReportLine {
        section: Section::Dependencies,
        blocking: true,
        rule: "unreadable-manifest".into(),
        file: Some(path.clone()),
        line: None,
        text: format!("nobody can say what it brings in: {why}"),
    }));
    let doubt = |(d, why): &(Dependency, String), blocking| ReportLine {
        section: if blocking { Section::Dependencies } else { Section::Warnings },
        blocking,
        rule: if blocking { "malicious-releases" } else { "unknown" }.into(),
        file: Some(d.manifest.clone()),
        line: d.line,
        text: {
            let wanted = d.version.as_deref().or(d.wanted.as_deref()).unwrap_or("(any version)");
            let name = &d.name;
            let known = if blocking { "releases of it are attacks, and nothing pins one that is not: " } else { "" };
            format!("{name} {wanted}: {known}{why}")
        },
    };
    lines.extend(dependencies.suspect.iter().map(|suspect| doubt(suspect, true)));
    lines.extend(dependencies.unknown.iter().map(|unknown| doubt(unknown, false)));
    let warning = |rule: &str, text: &String| ReportLine {
        section: Section::Warnings,
        blocking: false,
        rule: rule.into(),
        file: None,
        line: None,
        text: text.clone(),
    };
    lines.extend(dependencies.degraded.iter().map(|why| warning("audit-degraded", why)));
    lines.extend(secrets.warnings.iter().map(|why| warning("rules", why)));
    lines.extend(secrets.incomplete.iter().map(|why| warning("scan-incomplete", why)));
    lines.extend(protection.changes.iter().map(|f| ReportLine {
        section: Section::NeedsPerson,
        blocking: false,
        rule: f.id.clone().unwrap_or_default(),
        file: f.file.clone(),
        line: f.line,
        text: match &protection.approval {
            Some(approval) => format!("{}; approved by {}", f.text, approval.by),
            None => f.text.clone(),
        },
    }));
    let engines: Vec<Engine> = secrets.engines.iter().chain(&dependencies.engines).cloned().collect();
    let failed = !secrets.incomplete.is_empty() || security.audit_fail_closed && !dependencies.degraded.is_empty();
    SecurityReport {
        status: if failed { Status::Fail } else { Status::Pass },
        secrets_found,
        deps_blocking: u32::try_from(
            judged.blocking.len() + dependencies.suspect.len() + dependencies.unreadable.len(),
        )
        .unwrap_or(u32::MAX),
        deps_warning: u32::try_from(judged.warning.len() + judged.inherited.len() + dependencies.unknown.len())
            .unwrap_or(u32::MAX),
        deps_audit_degraded: !dependencies.degraded.is_empty(),
        range: (look.subject.base.to_string(), look.subject.head.to_string()),
        findings: lines,
        engines,
    }
}
