//! The report of a scan: every finding with its place, and which of them block. What could not be looked at is in it, and
//! a scan that was not whole is never reported as passed.

use crate::Range;
use crate::dependencies::{Dependencies, sentence};
use crate::protection::Protection;
use crate::secrets::{Secrets, Standing};
use orch_advisories::Dependency;
use orch_artefacts::security_report::{Engine, ReportLine, Section, SecurityReport, Status};

/// The report of what was found.
pub(super) fn report(
    range: &Range<'_>,
    secrets: &Secrets,
    dependencies: &Dependencies,
    protection: &Protection,
) -> SecurityReport {
    let security = range.security;
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
            text: sentence(a),
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
        range: (range.base.to_string(), range.head.to_string()),
        findings: lines,
        engines,
    }
}
