//! What the user of the demonstration has: a repository with a small service, an `orch.toml`, and the service live.

use crate::cli::{Exit, Failure};
use crate::demo_files::FILES;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

pub(super) struct Setting {
    pub(super) dir: PathBuf,
    pub(super) config: PathBuf,
    repo: PathBuf,
    sites: PathBuf,
    orch: SocketAddr,
    production: SocketAddr,
    path: String,
}

impl Setting {
    pub(super) fn build(dir: &Path, agent: &str, actor: &str, env: &BTreeMap<String, String>) -> Result<Self, Failure> {
        let [orch, staging, production] = free_addresses()?;
        let setting = Self {
            dir: dir.to_owned(),
            config: dir.join("orch.toml"),
            repo: dir.join("status-page"),
            sites: dir.join("sites"),
            orch,
            production,
            path: env.get("PATH").cloned().unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into()),
        };
        for (path, text, executable) in FILES {
            let file = setting.repo.join(path);
            let write = || -> std::io::Result<()> {
                if let Some(parent) = file.parent() {
                    std::fs::create_dir_all(parent)?;
                }
                std::fs::write(&file, text)?;
                let mode = if *executable { 0o755 } else { 0o644 };
                std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode))
            };
            write().map_err(|e| trouble(&format!("write {}", file.display()), &e.to_string()))?;
        }
        setting.git(&["init", "--quiet", "--initial-branch=main"])?;
        setting.git(&["add", "--all"])?;
        setting.git(&["commit", "--quiet", "--message=A small status page"])?;
        std::fs::create_dir_all(&setting.sites).map_err(|e| trouble("make the sites' directory", &e.to_string()))?;
        std::fs::write(&setting.config, setting.toml(agent, actor, staging))
            .map_err(|e| trouble("write orch.toml", &e.to_string()))?;
        Ok(setting)
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.orch)
    }
    pub(super) fn production_url(&self) -> String {
        format!("http://{}/", self.production)
    }

    /// What was live before orch came: deployed by hand, with the project's own script.
    pub(super) fn deploy_first(&self) -> Result<(), Failure> {
        let revision = self.git(&["rev-parse", "HEAD"])?;
        for environment in ["staging", "production"] {
            let done = Command::new("sh")
                .arg("deploy.sh")
                .current_dir(&self.repo)
                .env_clear()
                .env("PATH", &self.path)
                .env("DEMO_SITE_DIR", &self.sites)
                .env("ORCH_REVISION", revision.trim())
                .env("ORCH_ENVIRONMENT", environment)
                .stdin(Stdio::null())
                .output()
                .map_err(|e| trouble("run sh", &e.to_string()))?;
            if !done.status.success() {
                return Err(trouble("deploy the sample service", &String::from_utf8_lossy(&done.stderr)));
            }
        }
        Ok(())
    }

    fn git(&self, args: &[&str]) -> Result<String, Failure> {
        let done = Command::new("git")
            .args(["-c", "user.name=Demo", "-c", "user.email=demo@orch.invalid", "-c", "commit.gpgSign=false"])
            .args(["-c", "core.hooksPath=/dev/null"])
            .args(args)
            .current_dir(&self.repo)
            .env_clear()
            .env("PATH", &self.path)
            .env("HOME", &self.dir)
            .stdin(Stdio::null())
            .output()
            .map_err(|e| trouble("run git", &format!("{e}; git must be installed")))?;
        if done.status.success() {
            Ok(String::from_utf8_lossy(&done.stdout).into_owned())
        } else {
            Err(trouble("make the sample repository", &String::from_utf8_lossy(&done.stderr)))
        }
    }

    fn toml(&self, agent: &str, actor: &str, staging: SocketAddr) -> String {
        let quoted = |path: &Path| format!("{:?}", path.display().to_string());
        let hook = |script: &str| {
            format!("DEMO_SITE_DIR='{}' sh {script}", self.sites.display().to_string().replace('\'', r"'\''"))
        };
        let mut text = format!(
            "# The configuration of the demonstration. `orch serve` in this directory goes on from here.\n\
             [server]\nlisten = \"{}\"\n\n[db]\npath = \".orch-state/orch.db\"\n\n\
             # Production is watched for three seconds here; 900 is the default.\n\
             [post_deploy]\nwindow_s = 3\ninterval_s = 1\n\n[agents]\ndefault = {agent:?}\n\n",
            self.orch
        );
        if agent != "scripted" {
            let _ = write!(text, "[agents.programs.{agent:?}]\nkind = \"command\"\ncommand = [{agent:?}]\n\n");
        }
        text.push_str("[agents.programs.scripted]\nkind = \"scripted\"\n\n");
        for (name, address) in [("staging", staging), ("production", self.production)] {
            let dir = self.sites.join(name).join("current");
            let _ = write!(text, "[sites.{name}]\nlisten = \"{address}\"\ndir = {}\n\n", quoted(&dir));
        }
        let _ = write!(
            text,
            "[[project]]\nkey = \"DEMO\"\nrepo = \"status-page\"\ndefault_branch = \"main\"\npipeline = \"full\"\n\
             approvers = [{actor:?}]\nstarters = [{actor:?}]\n\n\
             [project.commands]\ntest = \"sh test.sh\"\nci = \"sh test.sh\"\n\n[project.deploy]\n"
        );
        for (key, line) in [
            ("staging", hook("deploy.sh")),
            ("production", hook("deploy.sh")),
            ("rollback", hook("rollback.sh")),
            ("check", hook("check.sh")),
            ("health_url", self.production_url()),
        ] {
            let _ = writeln!(text, "{key} = {line:?}");
        }
        text
    }
}

/// Three addresses nobody listens on now. Another program may still take one; then `serve` says so.
fn free_addresses() -> Result<[SocketAddr; 3], Failure> {
    let bind = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(|e| trouble("find a free port", &e.to_string()));
    let held = [bind()?, bind()?, bind()?];
    let address = |l: &TcpListener| l.local_addr().map_err(|e| trouble("find a free port", &e.to_string()));
    Ok([address(&held[0])?, address(&held[1])?, address(&held[2])?])
}

fn trouble(what: &str, why: &str) -> Failure {
    Failure::new(Exit::CannotTell, format!("cannot {what}: {}", why.trim()))
}
