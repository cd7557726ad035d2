//! npm audit as an auditor. It is given one lock file, with a package planted in it that it has to find, in a directory
//! with nothing else, and two empty files in the place of the configuration of the machine and of the user; `--prefix`,
//! because it takes the first directory upwards with a `node_modules` otherwise (measured). It asks npm's own registry,
//! wherever the lock file says that packages come from.

use super::{Network, dependencies, kind};
use crate::tool::Tool;
use orch_advisories::auditors::{Audited as Manifest, npm_audit};
use orch_advisories::{Advisory, Dependency, Ecosystem, Kind};
use orch_ports::Fault;
use orch_ports::security::{AuditAnswer, Audited, Auditor, ManifestFile, Sides};

/// The oldest version whose report is known.
const OLDEST: (u32, u32) = (7, 0);

/// npm on `PATH`.
#[derive(Clone, Debug)]
pub struct NpmAudit {
    tool: Tool,
    network: Network,
}

impl NpmAudit {
    /// Looks for it in `path` whenever it is asked.
    pub fn new(path: impl Into<String>, network: Network) -> Self {
        Self { tool: Tool::new("npm", path), network }
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

    /// Audits the lock files of one side, one after the other; those that cannot be read are set apart.
    async fn side(
        &self,
        files: &[ManifestFile],
        sides: &Sides<'_>,
        problems: &mut Vec<String>,
        unreadable: &mut Vec<String>,
    ) -> Result<Vec<Advisory>, Fault> {
        let all = dependencies(files);
        let mut found = Vec::new();
        for file in files.iter().filter(|f| kind(f) == Kind::PackageLock) {
            let lock = match npm_audit::with_canary(&file.bytes) {
                Ok(lock) => lock,
                Err(why) => {
                    unreadable.push(format!("{} {why}", file.path));
                    continue;
                }
            };
            let manifest = Manifest { manifest: &file.path, dependencies: &all };
            let said = self.run(&lock, sides).await?;
            let report = npm_audit::parse(&said.stdout, manifest);
            let report = report.map_err(|e| Fault::transient(format!("{e}; it {}", said.end())))?;
            // 0: nothing found; 1: something found, or an error. The planted package alone makes it 1.
            if !matches!(said.code, Some(0 | 1)) || said.code == Some(0) && !report.advisories.is_empty() {
                return Err(Fault::transient(format!("npm audit {}", said.end())));
            }
            found.extend(report.advisories);
            problems.extend(report.problems);
        }
        Ok(found)
    }

    async fn run(&self, lock: &[u8], sides: &Sides<'_>) -> Result<crate::tool::Said, Fault> {
        let scratch = self.tool.scratch()?;
        let (dir, home) = (scratch.path().join("lock"), scratch.path().join("home"));
        for dir in [&dir, &home] {
            std::fs::create_dir(dir).map_err(|e| Fault::transient(format!("make {}: {e}", dir.display())))?;
        }
        // Two files: npm refuses one for both.
        let (user, global) = (scratch.path().join("user.npmrc"), scratch.path().join("global.npmrc"));
        for (file, text) in [(&user, &b""[..]), (&global, b""), (&dir.join("package-lock.json"), lock)] {
            std::fs::write(file, text).map_err(|e| Fault::transient(format!("write {}: {e}", file.display())))?;
        }
        let args = [
            "audit".to_owned(),
            "--json".into(),
            "--package-lock-only".into(),
            "--ignore-scripts".into(),
            "--registry=https://registry.npmjs.org/".into(),
            "--offline=false".into(),
            "--prefer-offline=false".into(),
            format!("--prefix={}", dir.display()),
            format!("--userconfig={}", user.display()),
            format!("--globalconfig={}", global.display()),
            "--include=dev".into(),
            "--include=optional".into(),
            "--include=peer".into(),
        ];
        let home = home.display().to_string();
        let own = [("HOME", home.as_str()), ("TMPDIR", &home), ("NO_UPDATE_NOTIFIER", "1")];
        let env: Vec<_> = self.network.vars().chain(own).collect();
        self.tool.run(&args, &dir, &env, sides.timeout).await
    }
}

/// Does one of these lock files stand beside this file or above it?
fn has_lock(file: &ManifestFile, locks: &[ManifestFile]) -> bool {
    let dir = |path: &str| path.rsplit_once('/').map_or(String::new(), |(dir, _)| format!("{dir}/"));
    locks.iter().any(|lock| dir(&file.path).starts_with(&dir(&lock.path)))
}

#[async_trait::async_trait]
impl Auditor for NpmAudit {
    fn name(&self) -> &'static str {
        "npm audit"
    }

    async fn audit(&self, sides: &Sides<'_>) -> Result<AuditAnswer, Fault> {
        let is_node = |d: &&Dependency| d.ecosystem == Ecosystem::Npm;
        let locks: Vec<ManifestFile> = sides.head.iter().filter(|f| kind(f) == Kind::PackageLock).cloned().collect();
        let known = dependencies(&locks).len();
        if known == 0 {
            return Ok(AuditAnswer::NotConcerned);
        }
        let version = match self.probe().await? {
            Ok(version) => version,
            Err(why) => return Ok(AuditAnswer::Missing { why: format!("npm: {why}") }),
        };
        let mut out = Audited { by: format!("npm audit {version}"), ..Audited::default() };
        let mut unreadable = Vec::new();
        out.head = self.side(sides.head, sides, &mut out.problems, &mut unreadable).await?;
        out.base = if sides.base == sides.head {
            out.head.clone()
        } else {
            // A lock that is broken on the default branch is not held against the branch that mends it.
            self.side(sides.base, sides, &mut out.problems, &mut Vec::new()).await?
        };
        out.problems.extend(unreadable);
        // Locks of pnpm and yarn are nothing it reads: with one of those it has not answered for all of npm. What a project
        // asks for, its lock has.
        let asks = |f: &&ManifestFile| kind(f) == Kind::PackageJson && has_lock(f, &locks);
        let rest: Vec<ManifestFile> = sides.head.iter().filter(|f| !asks(f)).cloned().collect();
        if out.problems.is_empty() && dependencies(&rest).iter().filter(is_node).count() == known {
            out.covered.push(Ecosystem::Npm);
        }
        Ok(AuditAnswer::Done(out))
    }
}
