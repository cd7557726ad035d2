//! Vulnerable dependencies of a branch, held against those of the default branch. What nobody looked up is said: an audit
//! that saw less than it should have is degraded, and never clean.

use super::{Engine, engine, manifests};
use crate::Range;
use orch_advisories::manifests::{Kind, Manifest};
use orch_advisories::{Advisory, Classified, Dependency, Ecosystem, classify, is_manifest, unite};
use orch_ports::Fault;
use orch_ports::git::Entry;
use orch_ports::security::{AuditAnswer, ManifestFile, Sides};
use std::collections::BTreeSet;
use std::time::Duration;

/// What came of the looking.
#[derive(Debug, Default)]
pub(crate) struct Dependencies {
    pub(crate) judged: Classified,
    /// Dependencies nobody can say anything about, a line each.
    pub(crate) unknown: Vec<(Dependency, String)>,
    /// The same, of packages some of whose releases are attacks, and which the branch brings in or lets loose.
    pub(crate) suspect: Vec<(Dependency, String)>,
    /// Why the audit saw less than it should have; empty if it did not.
    pub(crate) degraded: Vec<String>,
    /// Manifests the branch has made unreadable: path and why. Nobody can say what they bring in.
    pub(crate) unreadable: Vec<(String, String)>,
    pub(crate) engines: Vec<Engine>,
}

/// Audits the dependencies of the head.
pub(crate) async fn dependencies(range: &Range<'_>, at_head: &[Entry]) -> Result<Dependencies, Fault> {
    let security = range.security;
    let mut out = Dependencies::default();
    let at_base = range.git.entries(range.project, range.base).await?;
    let found = manifests::find(range, at_head, &at_base).await?;
    out.degraded.extend(found.unlocked);
    if let [first, ..] = &found.left_out[..] {
        let n = found.left_out.len();
        out.degraded
            .push(format!("there are too many manifests: {first} and {n} in all, which are as before, were not read"));
    }
    if found.files.is_empty() && found.unreadable.is_empty() {
        out.engines.push(engine("dependency audit", "no manifest of Python, Rust, Node or Go", true));
        return Ok(out);
    }
    let before = manifests::find(range, &at_base, at_head).await?;
    // What could not be read before either, and is the same, is not the branch's doing.
    for ((path, content), why) in found.unreadable {
        match before.unreadable.get(&(path.clone(), content)) {
            Some(was) if *was == why => out.degraded.push(format!("{path}: {why}")),
            _ => out.unreadable.push((path, why)),
        }
    }
    let (head, base) = (found.files, before.files);
    let needed = ecosystems(&head, &base, &mut out);
    let there: BTreeSet<_> = base.iter().flat_map(|file| read(file).dependencies).map(|d| asked(&d)).collect();
    let limit = Duration::from_millis(security.timeout_ms);
    let sides = Sides { head: &head, base: &base, timeout: limit, now_s: range.now.0 / 1_000 };
    let (mut at_head, mut at_base) = (Vec::new(), Vec::new());
    let (mut covered, mut missing) = (BTreeSet::new(), Vec::new());
    for auditor in &security.auditors {
        let answer = match tokio::time::timeout(limit, auditor.audit(&sides)).await {
            Ok(answer) => answer,
            Err(_) => Err(Fault::transient(format!("no answer after {} s", limit.as_secs()))),
        };
        match answer {
            Ok(AuditAnswer::NotConcerned) => {}
            Ok(AuditAnswer::Missing { why }) => {
                out.engines.push(engine(auditor.name(), &why, false));
                missing.push(why);
            }
            Ok(AuditAnswer::Done(audited)) => {
                let n = audited.head.len();
                out.engines.push(engine(&audited.by, format!("{n} advisories"), audited.problems.is_empty()));
                covered.extend(audited.covered);
                at_head.extend(audited.head);
                at_base.extend(audited.base);
                out.degraded.extend(audited.problems.into_iter().map(|p| format!("{}: {p}", auditor.name())));
                for unknown in audited.unknown {
                    let text = format!("{} ({})", unknown.why, unknown.ids.join(", "));
                    let held = unknown.malicious && !there.contains(&asked(&unknown.dependency));
                    let list = if held { &mut out.suspect } else { &mut out.unknown };
                    list.push((unknown.dependency, text));
                }
            }
            Err(fault) => {
                out.engines.push(engine(auditor.name(), &fault.text, false));
                out.degraded.push(format!("{}: {}", auditor.name(), fault.text));
            }
        }
    }
    for ecosystem in needed.difference(&covered) {
        let how = if missing.is_empty() { String::new() } else { format!(": {}", missing.join("; ")) };
        out.degraded.push(format!("nothing has looked at the packages of {ecosystem}{how}"));
    }
    out.judged = classify(&unite(at_head), &unite(at_base), security.block_from);
    Ok(out)
}

/// One line about an advisory, for briefs and reports.
pub(crate) fn sentence(advisory: &Advisory) -> String {
    let version = advisory.version.as_deref().map(|v| format!(" {v}")).unwrap_or_default();
    let fixed = match advisory.fixed.as_slice() {
        _ if advisory.malicious => "remove it: the package itself is an attack".to_owned(),
        [] => "no fixed version is known".to_owned(),
        all => format!("fixed in {}", all.join(", ")),
    };
    let aliases =
        if advisory.aliases.is_empty() { String::new() } else { format!(" ({})", advisory.aliases.join(", ")) };
    format!(
        "{}{version}, {}: {}{aliases}: {}; {fixed} (by {})",
        advisory.name,
        if advisory.malicious { "MALICIOUS" } else { advisory.severity.word() },
        advisory.id,
        advisory.summary,
        advisory.sources.join(", ")
    )
}

fn read(file: &ManifestFile) -> Manifest {
    orch_advisories::manifests::read(is_manifest(&file.path).unwrap_or(Kind::Requirements), &file.path, &file.bytes)
}

/// Files that tests read and pages that people read are often no manifests, whatever they are called, and nobody installs
/// from there. They still are what degrades an audit.
fn is_sample(path: &str) -> bool {
    let samples =
        ["fixtures", "fixture", "testdata", "test_data", "test-data", "__fixtures__", "docs", "doc", "samples"];
    path.contains("{{") || path.split('/').any(|part| samples.contains(&part.to_lowercase().as_str()))
}

/// A package as it is asked for, wherever that is.
fn asked(d: &Dependency) -> (Ecosystem, String, Option<String>, Option<String>) {
    (d.ecosystem, d.name.clone(), d.version.clone(), d.wanted.clone())
}

/// The ecosystems packages come from. What cannot be read of a manifest degrades the audit; one that cannot be read at
/// all, and could or was not there before, is the branch's doing.
fn ecosystems(head: &[ManifestFile], base: &[ManifestFile], out: &mut Dependencies) -> BTreeSet<Ecosystem> {
    let mut found = BTreeSet::new();
    for file in head {
        let manifest = read(file);
        let nothing = manifest.dependencies.is_empty() && !manifest.problems.is_empty();
        if nothing && !base.contains(file) && !is_sample(&file.path) {
            out.unreadable.push((file.path.clone(), manifest.problems.join("; ")));
        }
        found.extend(manifest.dependencies.iter().map(|d| d.ecosystem));
        out.degraded.extend(manifest.problems);
    }
    found
}
