//! `cargo audit --json` (<https://github.com/rustsec/rustsec/tree/main/cargo-audit>). Its report carries the settings it
//! ran with: what a `.cargo/audit.toml` of the repository told it to ignore is a problem here and never passes in silence.

use super::{Audited, Report, Unusable};
use crate::Advisory;
use crate::Ecosystem;
use crate::Severity;
use crate::osv;
use crate::text;
use serde::Deserialize;
use std::collections::BTreeMap;

const PROGRAM: &str = "cargo audit";

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Output {
    database: Database,
    settings: Settings,
    vulnerabilities: Vulnerabilities,
    warnings: BTreeMap<String, Vec<Entry>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Database {
    advisory_count: u64,
}

#[derive(Deserialize)]
struct Settings {
    target_arch: Vec<String>,
    target_os: Vec<String>,
    severity: Option<String>,
    ignore: Vec<String>,
}

#[derive(Deserialize)]
struct Vulnerabilities {
    found: bool,
    count: usize,
    list: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    // Absent for a yanked crate, which is no advisory.
    advisory: Option<Told>,
    package: Package,
    versions: Option<Versions>,
}

#[derive(Deserialize)]
struct Told {
    id: String,
    title: String,
    #[serde(default)]
    aliases: Vec<String>,
    cvss: Option<String>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
}

#[derive(Deserialize)]
struct Versions {
    patched: Vec<String>,
}

/// Reads its output.
pub fn parse(stdout: &[u8], audited: Audited<'_>) -> Result<Report, Unusable> {
    let unusable = |why: String| Unusable { program: PROGRAM, why };
    let output: Output =
        text::utf8(stdout).and_then(text::json).map_err(|why| unusable(format!("printed what {why}")))?;
    let list = output.vulnerabilities;
    if list.count != list.list.len()
        || list.found == list.list.is_empty()
        || list.list.iter().any(|e| e.advisory.is_none())
    {
        return Err(unusable("printed a report whose counts contradict its list".into()));
    }
    if output.database.advisory_count == 0 {
        return Err(unusable("had no advisories to look up".into()));
    }
    let mut report = Report::default();
    let Settings { target_arch, target_os, severity, ignore } = output.settings;
    for (what, said) in [
        ("advisories", ignore),
        ("targets", target_arch),
        ("targets", target_os),
        ("severities", severity.into_iter().collect()),
    ] {
        if !said.is_empty() {
            let said = text::short(&said.join(", "));
            report
                .problems
                .push(format!("{PROGRAM} of {} was told to look only at some {what} ({said})", audited.manifest));
        }
    }
    let warnings = output.warnings.into_values().flatten().filter(|e| e.advisory.is_some());
    report.advisories = list.list.into_iter().chain(warnings).filter_map(|entry| advisory(entry, audited)).collect();
    Ok(report)
}

fn advisory(entry: Entry, audited: Audited<'_>) -> Option<Advisory> {
    let Entry { advisory: told, package, versions } = entry;
    let told = told?;
    Some(Advisory {
        malicious: told.id.starts_with("MAL-"),
        id: told.id,
        aliases: told.aliases,
        ecosystem: Ecosystem::CratesIo,
        severity: told.cvss.as_deref().and_then(osv::of_vector).unwrap_or(Severity::Unknown),
        fixed: versions.map(|v| v.patched).unwrap_or_default(),
        summary: text::short(&told.title),
        manifest: audited.manifest.to_owned(),
        line: audited.line(&package.name, Some(&package.version)),
        name: package.name,
        version: Some(package.version),
        sources: vec![PROGRAM.into()],
    })
}
