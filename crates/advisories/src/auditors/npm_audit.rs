//! `npm audit --json`, `auditReportVersion` 2 (npm 7 and later, <https://docs.npmjs.com/cli/commands/npm-audit>). When
//! the registry refuses it prints another object without that number, which is an error here. With `offline` in any
//! `.npmrc` it prints a report that is empty and exits 0, exactly as if all were well: nothing in the output tells, so
//! the caller must run it where no `.npmrc` of the repository is read and with `--offline=false`.

use super::{Audited, Report, Unusable};
use crate::Ecosystem;
use crate::audit::Advisory;
use crate::osv;
use crate::policy::Severity;
use crate::text;
use serde::Deserialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

const PROGRAM: &str = "npm audit";

#[derive(Deserialize)]
struct Output {
    vulnerabilities: BTreeMap<String, Package>,
    metadata: Metadata,
}

#[derive(Deserialize)]
struct Package {
    via: Vec<Via>,
}

/// An advisory about the package itself, or the name of a package it depends on which has one of its own.
#[derive(Deserialize)]
#[serde(untagged)]
enum Via {
    Name(String),
    Advisory(Told),
}

#[derive(Deserialize)]
struct Told {
    name: String,
    title: String,
    url: String,
    severity: String,
    range: String,
    #[serde(default)]
    cvss: Option<Score>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Score {
    #[serde(default)]
    vector_string: Option<String>,
}

#[derive(Deserialize)]
struct Metadata {
    vulnerabilities: Counts,
}

#[derive(Deserialize)]
struct Counts {
    total: u64,
}

/// Reads its output.
pub fn parse(stdout: &[u8], audited: Audited<'_>) -> Result<Report, Unusable> {
    let unusable = |why: String| Unusable { program: PROGRAM, why };
    let printed = |why: String| unusable(format!("printed what {why}"));
    let text = text::utf8(stdout).map_err(printed)?;
    let value: Value = text::json(text).map_err(printed)?;
    if value.get("error").is_some() {
        return Err(unusable(format!("could not audit: {}", error(&value))));
    }
    match value.get("auditReportVersion").map(Value::as_u64) {
        Some(Some(2)) => {}
        Some(_) => return Err(unusable("printed a report of a version that is not known".into())),
        None => return Err(unusable("printed something that is no report".into())),
    }
    let output: Output = serde_json::from_value(value).map_err(|e| {
        unusable(format!("printed a report that is not the one expected: {}", text::short(&e.to_string())))
    })?;
    if output.metadata.vulnerabilities.total != output.vulnerabilities.len() as u64 {
        return Err(unusable("printed a report whose counts contradict its list".into()));
    }
    let mut told = BTreeSet::new();
    let mut report = Report::default();
    for via in output.vulnerabilities.values().flat_map(|p| &p.via) {
        match via {
            // Each advisory stands under every package it reaches.
            Via::Advisory(a) if told.insert((a.name.clone(), a.url.clone(), a.range.clone())) => {
                report.advisories.push(advisory(a, audited));
            }
            Via::Advisory(_) => {}
            Via::Name(name) if output.vulnerabilities.contains_key(name) => {}
            Via::Name(name) => {
                return Err(unusable(format!("printed a report that blames {name} and does not list it")));
            }
        }
    }
    Ok(report)
}

fn advisory(told: &Told, audited: Audited<'_>) -> Advisory {
    let id = told.url.rsplit('/').next().filter(|id| !id.is_empty()).unwrap_or(&told.url);
    let scored = told.cvss.as_ref().and_then(|c| c.vector_string.as_deref()).and_then(osv::of_vector);
    let version = audited.only_version(&told.name);
    Advisory {
        id: id.to_owned(),
        aliases: Vec::new(),
        ecosystem: Ecosystem::Npm,
        line: audited.line(&told.name, version.as_deref()),
        version,
        severity: scored.max(Severity::of_word(&told.severity)).unwrap_or_default(),
        // GitHub titles its advisories about malicious packages so; npm hands on no other mark.
        malicious: id.starts_with("MAL-") || told.title.starts_with("Malware in ") || told.title == "Malicious Package",
        fixed: Vec::new(),
        summary: format!("{} ({})", text::short(&told.title), text::short(&told.range)),
        name: told.name.clone(),
        manifest: audited.manifest.to_owned(),
        sources: vec![PROGRAM.into()],
    }
}

/// The most telling words of an error object.
fn error(value: &Value) -> String {
    let error = value.get("error");
    let said = [error.and_then(|e| e.get("summary")), value.get("message"), error.and_then(|e| e.get("code"))];
    let said = said.into_iter().flatten().filter_map(Value::as_str).find(|s| !s.trim().is_empty());
    text::short(said.unwrap_or("it does not say why"))
}
