//! What knows of vulnerable dependencies: a mirror of the OSV database (and of RustSec) that needs no network, and
//! pip-audit where it is installed. No file of the scanned repository reaches a program: it is given a list of our own
//! making, so that no option, index or plugin named there can redirect it or make it build anything.

use crate::tool::{Scratch, Tool};
use orch_advisories::auditors::{Audited as Manifest, pip_audit};
use orch_advisories::manifests::{self, Dependency, Kind};
use orch_advisories::{Ecosystem, Mirror, audit, is_manifest};
use orch_ports::Fault;
use orch_ports::security::{AuditAnswer, Audited, Auditor, ManifestFile, Sides};
use std::path::PathBuf;

/// Dependencies of all manifests.
fn dependencies(files: &[ManifestFile]) -> Vec<Dependency> {
    let read = |f: &ManifestFile| {
        // Whatever a requirements file includes is one, whatever it is called.
        manifests::read(is_manifest(&f.path).unwrap_or(Kind::Requirements), &f.path, &f.bytes).dependencies
    };
    files.iter().flat_map(read).collect()
}

/// A local mirror of advisories.
#[derive(Clone, Debug)]
pub struct AdvisoryMirror {
    osv: Option<PathBuf>,
    rustsec: Option<PathBuf>,
    max_age_s: i64,
}

impl AdvisoryMirror {
    /// Directories of `<ECOSYSTEM>/all.zip` and of a RustSec checkout; what is older than `max_age_s` is stale.
    pub fn new(osv: Option<PathBuf>, rustsec: Option<PathBuf>, max_age_s: i64) -> Self {
        Self { osv, rustsec, max_age_s }
    }

    fn open(&self) -> Result<Option<Mirror>, Fault> {
        let opened = match (&self.osv, &self.rustsec) {
            (None, None) => return Ok(None),
            (Some(osv), None) => Mirror::open(osv),
            (None, Some(rustsec)) => Mirror::of_rustsec(rustsec),
            (Some(osv), Some(rustsec)) => Mirror::open(osv).and_then(|m| m.with_rustsec(rustsec)),
        };
        opened.map(Some).map_err(|e| Fault::permanent(e.to_string()))
    }
}

#[async_trait::async_trait]
impl Auditor for AdvisoryMirror {
    fn name(&self) -> &'static str {
        "advisory mirror"
    }

    async fn audit(&self, sides: &Sides<'_>) -> Result<AuditAnswer, Fault> {
        let Some(mirror) = self.open()? else {
            let why = "no advisory mirror is configured: set [security] osv_dir and run `orch audit import`";
            return Ok(AuditAnswer::Missing { why: why.into() });
        };
        let (head, base) = (dependencies(sides.head), dependencies(sides.base));
        let (max_age_s, now_s) = (self.max_age_s, sides.now_s);
        let look = move || {
            let wanted: Vec<Dependency> = head.iter().chain(&base).cloned().collect();
            let records = mirror.read(&wanted);
            let there: Vec<Ecosystem> = records.feeds.iter().map(|f| f.ecosystem).collect();
            let known = |all: &[Dependency]| -> Vec<Dependency> {
                all.iter().filter(|d| there.contains(&d.ecosystem)).cloned().collect()
            };
            let (head, base) = (audit(&known(&head), &records), audit(&known(&base), &records));
            let mut problems = head.problems;
            let (mut covered, mut feeds) = (Vec::new(), Vec::new());
            for feed in &records.feeds {
                covered.push(feed.ecosystem);
                let age = feed.as_of.seconds().map(|at| now_s.saturating_sub(at) / 86_400);
                let age = age.map_or_else(|| "of unknown age".to_owned(), |days| format!("{days} days old"));
                feeds.push(format!("{} {} {age}", feed.source, feed.ecosystem));
                if feed.as_of.is_older_than(max_age_s, now_s) {
                    problems.push(format!("the advisories of {} for {} are {age}", feed.source, feed.ecosystem));
                }
            }
            Audited {
                by: format!("advisory mirror ({})", feeds.join(", ")),
                covered,
                head: head.advisories,
                base: base.advisories,
                unknown: head.unknown,
                problems,
            }
        };
        let audited = tokio::task::spawn_blocking(look).await;
        Ok(AuditAnswer::Done(audited.map_err(|e| Fault::bug(format!("the advisory mirror: {e}")))?))
    }
}

/// pip-audit on `PATH`.
#[derive(Clone, Debug)]
pub struct PipAudit {
    tool: Tool,
}

impl PipAudit {
    /// Looks for it in `path` whenever it is asked.
    pub fn new(path: impl Into<String>) -> Self {
        Self { tool: Tool::new("pip-audit", path) }
    }

    /// Audits the manifests of one side, one after the other.
    async fn side(&self, files: &[ManifestFile], sides: &Sides<'_>, out: &mut Audited) -> Result<Found, Fault> {
        let all = dependencies(files);
        let mut found = Vec::new();
        for file in files {
            let manifest = Manifest { manifest: &file.path, dependencies: &all };
            let list = pip_audit::requirements(manifest);
            if list.is_empty() {
                continue;
            }
            let dir = Scratch::new("pip-audit")?;
            let to = dir.0.join("requirements.txt");
            std::fs::write(&to, list).map_err(|e| Fault::transient(format!("write {}: {e}", to.display())))?;
            let args = ["--requirement", "requirements.txt", "--no-deps", "--disable-pip", "--format", "json"];
            let more = ["--progress-spinner", "off", "--desc", "off", "--aliases", "on"];
            let said = self.tool.run(args.iter().chain(&more), &dir.0, &[], sides.timeout).await?;
            // 0: nothing; 1: something, or an error. Only what it printed tells.
            let report = pip_audit::parse(&said.stdout, manifest);
            let report = report.map_err(|e| Fault::transient(format!("{e}; it {}", said.end())))?;
            if said.code == Some(0) && !report.advisories.is_empty() || !matches!(said.code, Some(0 | 1)) {
                return Err(Fault::transient(format!("pip-audit {}", said.end())));
            }
            found.extend(report.advisories);
            out.problems.extend(report.problems);
        }
        Ok(found)
    }
}

type Found = Vec<orch_advisories::Advisory>;

#[async_trait::async_trait]
impl Auditor for PipAudit {
    fn name(&self) -> &'static str {
        "pip-audit"
    }

    async fn audit(&self, sides: &Sides<'_>) -> Result<AuditAnswer, Fault> {
        let python = |d: &Dependency| d.ecosystem == Ecosystem::PyPI && d.version.is_some();
        if !dependencies(sides.head).iter().any(python) {
            return Ok(AuditAnswer::NotConcerned);
        }
        if self.tool.find().is_none() {
            return Ok(AuditAnswer::Missing { why: "pip-audit is not installed".into() });
        }
        let mut out = Audited { by: "pip-audit".into(), ..Audited::default() };
        out.head = self.side(sides.head, sides, &mut out).await?;
        out.base =
            if sides.base == sides.head { out.head.clone() } else { self.side(sides.base, sides, &mut out).await? };
        if out.problems.is_empty() {
            out.covered.push(Ecosystem::PyPI);
        }
        Ok(AuditAnswer::Done(out))
    }
}
