//! `npm audit --json`, `auditReportVersion` 2 (npm 7 and later, <https://docs.npmjs.com/cli/commands/npm-audit>). When
//! the registry refuses it prints another object without that number, which is an error here. With `offline` in any
//! `.npmrc`, or from a registry that answers with nothing, it prints an empty report and exits 0, exactly as if all were
//! well. So it is given a lock file with one package more, which is known to be vulnerable (`with_canary`): a report that
//! does not tell of that one tells of nothing.

use super::{Audited, Report, Unusable};
use crate::Advisory;
use crate::Ecosystem;
use crate::Severity;
use crate::osv;
use crate::text;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

const PROGRAM: &str = "npm audit";

/// The package that is planted: every version of it has had a critical advisory since 2020, and there is no fix.
const CANARY: (&str, &str) = ("marsdb", "0.6.11");
/// Where it is planted.
const CANARY_NAME: &str = "orch-canary";

#[derive(Deserialize)]
struct Output {
    vulnerabilities: BTreeMap<String, Package>,
    metadata: Metadata,
}

#[derive(Deserialize)]
struct Package {
    via: Vec<Via>,
    nodes: Vec<String>,
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

/// The lock file that npm is to be given in the place of the repository's: the same packages and the canary.
pub fn with_canary(lock: &[u8]) -> Result<Vec<u8>, String> {
    let mut root: Map<String, Value> = text::utf8(lock).and_then(text::json)?;
    let (name, version) = CANARY;
    let modern = root.contains_key("packages");
    let (list, key, entry) = if modern {
        ("packages", format!("node_modules/{CANARY_NAME}"), json!({"name": name, "version": version}))
    } else {
        // Of version 1 npm passes over what has neither an address nor a checksum.
        let resolved = format!("https://registry.npmjs.org/{name}/-/{name}-{version}.tgz");
        let entry = json!({"version": format!("npm:{name}@{version}"), "resolved": resolved});
        ("dependencies", CANARY_NAME.to_owned(), entry)
    };
    let packages = root.entry(list).or_insert_with(|| json!({}));
    packages.as_object_mut().ok_or_else(|| format!("has `{list}` that are no map"))?.insert(key, entry);
    Ok(Value::Object(root).to_string().into_bytes())
}

/// Reads what it printed about a lock file `with_canary`.
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
    let (mut told, mut sings) = (BTreeSet::new(), false);
    let mut report = Report::default();
    for (name, package) in &output.vulnerabilities {
        let is_planted = |node: &String| node.strip_prefix("node_modules/") == Some(CANARY_NAME);
        sings |= name == CANARY.0 && package.nodes.iter().any(is_planted);
        // Whoever has the package himself gets to hear of it.
        if name == CANARY.0 && package.nodes.iter().all(is_planted) {
            continue;
        }
        for via in &package.via {
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
    }
    if !sings {
        let why = "does not report the package that was planted for it to find: its feed does not answer";
        report.problems.push(format!("{PROGRAM} of {} {why}", audited.manifest));
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
