//! pip-audit as an auditor. It is given a list of pinned packages of our own making, one manifest after the other, and
//! asks PyPI about them. Its exit code and its "no known vulnerabilities" are not believed: a package it does not tell of
//! was not looked at.

use super::{Network, dependencies};
use crate::tool::Tool;
use orch_advisories::auditors::{Audited as Manifest, pip_audit};
use orch_advisories::{Advisory, Dependency, Ecosystem};
use orch_ports::Fault;
use orch_ports::security::{AuditAnswer, Audited, Auditor, ManifestFile, Sides};

/// The oldest version whose report is known.
const OLDEST: (u32, u32) = (2, 7);

/// pip-audit on `PATH`.
#[derive(Clone, Debug)]
pub struct PipAudit {
    tool: Tool,
    network: Network,
}

impl PipAudit {
    /// Looks for it in `path` whenever it is asked.
    pub fn new(path: impl Into<String>, network: Network) -> Self {
        Self { tool: Tool::new("pip-audit", path), network }
    }

    /// It works below `dir`, an absolute path, and not in the system's temporary directory: of a process that is killed
    /// something stays there, and is for the owner of `dir` to remove.
    #[must_use]
    pub fn working_in(mut self, dir: &std::path::Path) -> Self {
        self.tool = self.tool.working_in(dir);
        self
    }

    /// Its version; inside: why it cannot be used.
    pub async fn probe(&self) -> Result<Result<String, String>, Fault> {
        self.tool.probe("--version", OLDEST).await
    }

    /// Audits the manifests of one side, one after the other.
    async fn side(
        &self,
        files: &[ManifestFile],
        all: &[Dependency],
        sides: &Sides<'_>,
        problems: &mut Vec<String>,
    ) -> Result<Vec<Advisory>, Fault> {
        let mut found = Vec::new();
        for file in files {
            let manifest = Manifest { manifest: &file.path, dependencies: all };
            let list = pip_audit::requirements(manifest);
            if list.is_empty() {
                continue;
            }
            let scratch = self.tool.scratch()?;
            let (dir, cache) = (scratch.path().join("list"), scratch.path().join("cache"));
            let home = scratch.path().join("home");
            for dir in [&dir, &cache, &home] {
                std::fs::create_dir(dir).map_err(|e| Fault::transient(format!("make {}: {e}", dir.display())))?;
            }
            let to = dir.join("requirements.txt");
            std::fs::write(&to, list).map_err(|e| Fault::transient(format!("write {}: {e}", to.display())))?;
            let (cache, home) = (cache.display().to_string(), home.display().to_string());
            let args = ["--requirement", "requirements.txt", "--no-deps", "--disable-pip", "--format", "json"];
            let more = ["--progress-spinner", "off", "--desc", "off", "--aliases", "on", "--cache-dir", &cache];
            let env: Vec<_> = self.network.vars().chain([("HOME", home.as_str()), ("TMPDIR", &home)]).collect();
            let said = self.tool.run(args.iter().chain(&more), &dir, &env, sides.timeout).await?;
            let report = pip_audit::parse(&said.stdout, manifest);
            let report = report.map_err(|e| Fault::transient(format!("{e}; it {}", said.end())))?;
            // 0: nothing found; 1: something found, or an error.
            match (said.code, report.advisories.is_empty()) {
                (Some(0), true) | (Some(1), false) => {}
                (_, none) => {
                    let what = if none { "reported nothing" } else { "reported advisories" };
                    return Err(Fault::transient(format!("pip-audit {what} and {}", said.end())));
                }
            }
            found.extend(report.advisories);
            problems.extend(report.problems);
        }
        Ok(found)
    }
}

#[async_trait::async_trait]
impl Auditor for PipAudit {
    fn name(&self) -> &'static str {
        "pip-audit"
    }

    async fn audit(&self, sides: &Sides<'_>) -> Result<AuditAnswer, Fault> {
        let head = dependencies(sides.head);
        let python: Vec<&Dependency> = head.iter().filter(|d| d.ecosystem == Ecosystem::PyPI).collect();
        if python.iter().all(|d| d.version.is_none()) {
            return Ok(AuditAnswer::NotConcerned);
        }
        let version = match self.probe().await? {
            Ok(version) => version,
            Err(why) => return Ok(AuditAnswer::Missing { why: format!("pip-audit: {why}") }),
        };
        let mut out = Audited { by: format!("pip-audit {version}"), ..Audited::default() };
        out.head = self.side(sides.head, &head, sides, &mut out.problems).await?;
        out.base = if sides.base == sides.head {
            out.head.clone()
        } else {
            self.side(sides.base, &dependencies(sides.base), sides, &mut out.problems).await?
        };
        // What is not pinned, or pinned twice, was not asked about; with a mirror beside it that is the mirror's part.
        let asked = |f: &ManifestFile| {
            pip_audit::requirements(Manifest { manifest: &f.path, dependencies: &head }).lines().count()
        };
        if out.problems.is_empty() && sides.head.iter().map(asked).sum::<usize>() == python.len() {
            out.covered.push(Ecosystem::PyPI);
        }
        Ok(AuditAnswer::Done(out))
    }
}
