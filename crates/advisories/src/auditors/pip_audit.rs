//! `pip-audit --format json` from 2.7 on (<https://github.com/pypa/pip-audit>). It exits 0 and prints "no known
//! vulnerabilities" when it could reach nothing; each package then has a `skip_reason`, which is a problem here.

use super::{Audited, Report, Unusable};
use crate::Advisory;
use crate::Ecosystem;
use crate::Severity;
use crate::text;
use serde::Deserialize;
use std::collections::BTreeMap;

const PROGRAM: &str = "pip-audit";

#[derive(Deserialize)]
struct Output {
    dependencies: Vec<Package>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Package {
    Skipped { name: String, skip_reason: String },
    Audited { name: String, version: String, vulns: Vec<Vuln> },
}

#[derive(Deserialize)]
struct Vuln {
    id: String,
    fix_versions: Vec<String>,
    #[serde(default)]
    aliases: Vec<String>,
    #[serde(default)]
    description: String,
}

/// Reads its output. It names no severity: join it with what the mirror knows (`unite`).
pub fn parse(stdout: &[u8], audited: Audited<'_>) -> Result<Report, Unusable> {
    let output: Output = text::utf8(stdout)
        .and_then(text::json)
        .map_err(|why| Unusable { program: PROGRAM, why: format!("printed what {why}") })?;
    let mut report = Report::default();
    let mut silent = given(audited);
    for package in output.dependencies {
        let (name, version, vulns) = match package {
            Package::Audited { name, version, vulns } => (Ecosystem::PyPI.normal(&name), version, vulns),
            Package::Skipped { name, skip_reason } => {
                silent.remove(&*Ecosystem::PyPI.normal(&name));
                let why = text::short(&skip_reason);
                report.problems.push(format!("{PROGRAM} did not look at {name} of {}: {why}", audited.manifest));
                continue;
            }
        };
        silent.remove(&*name);
        for vuln in vulns {
            if vuln.id.trim().is_empty() {
                return Err(Unusable { program: PROGRAM, why: format!("reports something without an id for {name}") });
            }
            report.advisories.push(Advisory {
                malicious: std::iter::once(&vuln.id).chain(&vuln.aliases).any(|name| name.starts_with("MAL-")),
                id: vuln.id,
                aliases: vuln.aliases,
                ecosystem: Ecosystem::PyPI,
                line: audited.line(&name, Some(&version)),
                name: name.clone(),
                version: Some(version.clone()),
                severity: Severity::Unknown,
                fixed: vuln.fix_versions,
                summary: if vuln.description.trim().is_empty() {
                    String::new()
                } else {
                    text::short(&vuln.description)
                },
                manifest: audited.manifest.to_owned(),
                sources: vec![PROGRAM.into()],
            });
        }
    }
    let silent = silent.keys().map(|name| format!("{PROGRAM} says nothing about {name} of {}", audited.manifest));
    report.problems.extend(silent);
    Ok(report)
}

/// A requirements file of our own making with the pinned packages of a manifest: what pip-audit is given instead of the
/// repository's file, so that no option, include, address or name in that file reaches the program. Packages that are
/// pinned twice are left to the mirror in their other versions: pip-audit takes each name once.
pub fn requirements(audited: Audited<'_>) -> String {
    let mut lines: Vec<_> = given(audited).into_iter().collect();
    lines.sort_by_key(|(_, (at, _))| *at);
    lines.into_iter().fold(String::new(), |text, (name, (_, version))| format!("{text}{name}=={version}\n"))
}

/// The packages it is given, each with its place and version.
fn given(audited: Audited<'_>) -> BTreeMap<&str, (usize, &str)> {
    let plain = |text: &str| {
        text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '!' | '+'))
    };
    let mut found = BTreeMap::new();
    for (at, dependency) in audited.dependencies.iter().enumerate() {
        let Some(version) = dependency.version.as_deref().filter(|v| plain(v)) else { continue };
        let ours = dependency.manifest == audited.manifest && dependency.ecosystem == Ecosystem::PyPI;
        if ours && plain(&dependency.name) {
            found.entry(dependency.name.as_str()).or_insert((at, version));
        }
    }
    found
}
