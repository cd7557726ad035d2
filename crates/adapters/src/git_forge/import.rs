//! The repository of this machine behind a project. A bare one on disk is served where it is; anything else is imported once
//! into a bare repository of the forge's own, by way of a temporary directory and a rename, so that a crash leaves either
//! nothing or all of it. Whatever is wrong with a repository is said once, with the path, the key and the fix.

use super::emptied::repair_head;
use super::repo::Repo;
use crate::git_cli::dirs::{blocking, discard, sweep_leftovers};
use crate::git_cli::remote::Address;
use crate::git_cli::run::{Call, GitRun, io, mask};
use crate::git_cli::whole;
use crate::{durable, owner};
use orch_core::ids::ProjectKey;
use orch_core::verdict::FaultKind;
use orch_ports::{Fault, Remote};
use std::path::{Path, PathBuf};

/// The bare repository of this machine that is served.
pub(super) async fn own(
    git: &GitRun,
    forge_dir: &Path,
    key: &ProjectKey,
    source: &str,
    default_branch: &str,
) -> Result<Repo, Fault> {
    let source = Source::of(source)?;
    if let Source::Path(path) = &source {
        repair_head(path, default_branch)?;
    }
    let repo = match &source {
        Source::Path(path) if is_bare(git, path).await? => {
            whole::refuse_parts(git, path, default_branch).await?;
            Repo::new(git.clone(), path.clone())
        }
        Source::Path(_) | Source::Url(_) => {
            let dir = forge_dir.join(format!("{key}.git"));
            if !dir.exists() {
                let on_disk = match &source {
                    Source::Path(path) => Some(path.clone()),
                    Source::Url(address) => whole::directory(address.url()),
                };
                if let Some(path) = on_disk {
                    whole::refuse_parts(git, &path, default_branch).await?;
                }
                import(git, &source, default_branch, &dir).await?;
            }
            repair_head(&dir, default_branch)?;
            Repo::new(git.clone(), dir)
        }
    };
    Ok(repo)
}

enum Source {
    Path(PathBuf),
    Url(Address),
}

impl Source {
    fn of(text: &str) -> Result<Self, Fault> {
        if let Ok(path) = Path::new(text).canonicalize() {
            return Ok(Self::Path(path));
        }
        // `https://host/x.git`, or ssh's short form `git@host:x.git`.
        let short = text
            .split_once(':')
            .is_some_and(|(host, rest)| !host.contains('/') && !host.is_empty() && !rest.is_empty());
        if text.contains("://") || short {
            return Ok(Self::Url(Address::of(&Remote::of(text))?));
        }
        Err(Fault::permanent("there is no such directory; correct `repo` in [[project]]"))
    }

    fn as_os_str(&self) -> &std::ffi::OsStr {
        match self {
            Self::Path(path) => path.as_os_str(),
            Self::Url(address) => address.url().as_ref(),
        }
    }

    /// A call that goes there.
    fn with<'g>(&self, call: Call<'g>) -> Call<'g> {
        match self {
            Self::Path(_) => call,
            Self::Url(address) => address.with(call),
        }
    }
}

/// Is this directory itself a bare repository (and not one inside something else)?
async fn is_bare(git: &GitRun, path: &Path) -> Result<bool, Fault> {
    let out = git.call(Some(path), "rev-parse").arg("--is-bare-repository").run().await?;
    Ok(out.status == Some(0) && out.stdout.starts_with(b"true"))
}

/// Copies the default branch and the tags, nothing else: no remote with somebody's credentials, no half-done branches.
async fn import(git: &GitRun, source: &Source, default_branch: &str, dir: &Path) -> Result<(), Fault> {
    let listed = source.with(git.call(None, "ls-remote")).args(["--heads", "--"]).arg(source.as_os_str()).run().await?;
    if listed.status != Some(0) {
        let fault = listed.fault("ls-remote");
        return Err(match (source, fault.kind) {
            (Source::Path(_), FaultKind::Gone) => {
                Fault::permanent("it is not a git repository; correct `repo` in [[project]], or run `git init` there")
            }
            (Source::Url(_), FaultKind::Gone) => {
                Fault::permanent(format!("{}; correct `repo` in [[project]]", fault.text))
            }
            (Source::Url(_), FaultKind::Denied) => Fault::denied(format!(
                "{}; `forge = \"local\"` has no credentials: set `forge = \"git\"` in [[project]], with [project.git] `token_env`",
                fault.text
            )),
            _ => fault,
        });
    }
    let text = String::from_utf8_lossy(&listed.stdout);
    let names: Vec<_> = text.lines().filter_map(|l| Some(l.split_once("\trefs/heads/")?.1.to_owned())).collect();
    let from = Path::new(source.as_os_str());
    if !names.iter().any(|name| name == default_branch) {
        return Err(no_default_branch(from, default_branch, &names));
    }

    sweep_imports(dir);
    let temp = dir.with_extension(format!("{IMPORTING}-{}", owner::mark()));
    let sha256 = text.split('\t').next().is_some_and(|id| id.len() == 64);
    let imported = fill(git, source, default_branch, &temp, sha256).await;
    let (place, to) = (temp.clone(), dir.to_owned());
    blocking(move || {
        if imported.is_err() {
            discard(&place)?;
            return imported;
        }
        durable::tree(&place)?;
        std::fs::rename(&place, &to).map_err(|e| io(&to, "put the imported repository in place at", &e))?;
        durable::dir(to.parent().unwrap_or(&to))
    })
    .await
}

/// What a repository that is being imported is called until it is whole.
const IMPORTING: &str = "git-importing";

/// Removes what imports of dead processes left.
fn sweep_imports(dir: &Path) {
    if let (Some(parent), Some(name)) = (dir.parent(), dir.file_stem()) {
        sweep_leftovers(parent, &format!("{}.{IMPORTING}", name.to_string_lossy()));
    }
}

/// Fills a new repository.
async fn fill(git: &GitRun, source: &Source, default_branch: &str, temp: &Path, sha256: bool) -> Result<(), Fault> {
    git.call(None, "init")
        .args([
            "--quiet",
            "--bare",
            "--template=",
            if sha256 { "--object-format=sha256" } else { "--object-format=sha1" },
        ])
        .arg(format!("--initial-branch={default_branch}"))
        .arg(temp)
        .ok()
        .await?;
    let repo = Repo::new(git.clone(), temp.to_owned());
    let own = [("core.logAllRefUpdates", "true"), ("receive.denyDeleteCurrent", "true")];
    // For those who push here with a git of their own.
    for (name, value) in durable::FSYNC.into_iter().chain(own) {
        repo.call("config").args(["--local", name, value]).ok().await?;
    }
    source
        .with(repo.call("fetch"))
        .args(["--quiet", "--no-write-fetch-head", "--no-tags", "--"])
        .arg(source.as_os_str())
        .arg(format!("+refs/heads/{default_branch}:refs/heads/{default_branch}"))
        .arg("+refs/tags/*:refs/tags/*")
        .ok()
        .await?;
    if repo.branch(default_branch).await?.is_none() {
        return Err(Fault::permanent(format!(
            "branch {default_branch} could not be copied, as from a shallow clone; run `git fetch --unshallow` there, \
             or name a full clone in `repo` in [[project]]"
        )));
    }
    lfs(git, source, default_branch, temp).await
}

/// What git-lfs keeps beside a repository comes along: from the store of one on this machine, else by git-lfs itself.
/// Without either the files stay pointers, and that is said.
async fn lfs(git: &GitRun, source: &Source, branch: &str, to: &Path) -> Result<(), Fault> {
    let on_disk = match source {
        Source::Path(path) => Some(path.clone()),
        Source::Url(address) => whole::directory(address.url()),
    };
    if let Some(path) = on_disk {
        let asked = git.call(None, "-C").arg(&path).args(["rev-parse", "--git-common-dir"]).line().await?;
        return crate::git_cli::bring_lfs(&path.join(asked).join("lfs"), &to.join("lfs")).await;
    }
    let Source::Url(address) = source else { return Ok(()) };
    if !crate::git_cli::has_lfs(git, to, branch).await? {
        return Ok(());
    }
    let call = source.with(git.call(Some(to), "lfs")).args(["fetch", "--all"]);
    let fetched = call.arg(address.url()).arg(branch).run().await?;
    if fetched.status != Some(0) {
        let why = crate::git_cli::run::told(&fetched.stderr);
        tracing::warn!(repository = address.url(), %why, "files of git-lfs stay pointers: install git-lfs, or name a clone with them");
    }
    Ok(())
}

pub(super) fn no_default_branch(path: &Path, default_branch: &str, there: &[String]) -> Fault {
    let place = mask(&path.display().to_string());
    if there.is_empty() {
        return Fault::permanent(format!(
            "{place} is empty: no branch {default_branch} (`default_branch` in [[project]]); make a first commit on it"
        ));
    }
    let mut names = there.iter().take(10).cloned().collect::<Vec<_>>().join(", ");
    if there.len() > 10 {
        names.push_str(", …");
    }
    Fault::permanent(format!(
        "{place} has no branch {default_branch}; set `default_branch` in [[project]] to one of: {names}"
    ))
}
