//! Bringing a repository into service. A bare repository on disk is served where it is; anything else is imported once
//! into a bare repository of the forge's own, by way of a temporary directory and a rename, so that a crash leaves
//! either nothing or all of it. Whatever is wrong with a repository is said once, with the path, the key and the fix.

use super::LocalRepo;
use super::repo::{Repo, is_branch_name};
use super::whole;
use crate::git_cli::run::{GitRun, io, mask};
use orch_core::ids::ProjectKey;
use orch_core::verdict::FaultKind;
use orch_ports::Fault;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// A repository in service.
pub(super) struct Served {
    pub(super) key: ProjectKey,
    pub(super) repo: Repo,
    pub(super) default_branch: String,
    /// Its directory as text, as `git` is told it.
    pub(super) remote: String,
    /// One merge at a time. The branch moves by compare-and-swap anyway; this keeps two callers from overwriting each
    /// other's intent. Outlives a second registration of the project.
    pub(super) merging: Arc<tokio::sync::Mutex<()>>,
}

impl Served {
    /// Finds or imports the repository. Its default branch is not protected yet.
    pub(super) async fn new(git: &GitRun, forge_dir: &Path, project: LocalRepo) -> Result<Self, Fault> {
        let LocalRepo { key, source, default_branch } = project;
        let about = format!("project {key}: repository {}", mask(&source));
        let served = Self::bring(git, forge_dir, &key, &source, &default_branch).await;
        let repo = served.map_err(|f| f.context(&about))?;
        let remote = repo.dir().to_str().map(str::to_owned).ok_or_else(|| {
            Fault::permanent(format!("{about}: the path {} is not UTF-8; move it", repo.dir().display()))
        })?;
        Ok(Self { key, repo, default_branch, remote, merging: Arc::default() })
    }

    /// A process or a machine that died inside a merge may leave git's lock on the branch behind, and every later merge
    /// would fail. Nothing but a merge ever locks a base branch, that takes milliseconds, and the caller holds
    /// `merging`, so an old lock belongs to nobody.
    pub(super) fn drop_stale_lock(&self, branch: &str) {
        let lock = self.repo.dir().join(format!("refs/heads/{branch}.lock"));
        let age = lock.metadata().and_then(|m| m.modified()).ok().and_then(|at| at.elapsed().ok());
        if age.is_some_and(|age| age > Duration::from_mins(1)) && std::fs::remove_file(&lock).is_ok() {
            tracing::warn!(lock = %lock.display(), "removed a lock that a merge cut off by a crash left behind");
        }
    }

    async fn bring(
        git: &GitRun,
        forge_dir: &Path,
        key: &ProjectKey,
        source: &str,
        default_branch: &str,
    ) -> Result<Repo, Fault> {
        if !is_branch_name(default_branch) {
            return Err(Fault::permanent(format!(
                "{default_branch:?} cannot be a branch name; correct `default_branch` in [[project]]"
            )));
        }
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if key.as_str().is_empty() || !key.as_str().chars().all(fits) {
            return Err(Fault::permanent(format!(
                "the key {:?} cannot name a directory; use letters, digits, `-` and `_` for `key` in [[project]]",
                key.as_str()
            )));
        }
        let source = Source::of(source)?;
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
                        Source::Url(url) => whole::directory(url),
                    };
                    if let Some(path) = on_disk {
                        whole::refuse_parts(git, &path, default_branch).await?;
                    }
                    import(git, &source, default_branch, &dir).await?;
                }
                Repo::new(git.clone(), dir)
            }
        };
        let branches = repo.branches().await?;
        if !branches.iter().any(|(name, _)| name == default_branch) {
            let names = branches.into_iter().map(|(name, _)| name).collect::<Vec<_>>();
            return Err(no_default_branch(repo.dir(), default_branch, &names));
        }
        Ok(repo)
    }
}

enum Source {
    Path(PathBuf),
    Url(String),
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
            return Ok(Self::Url(text.to_owned()));
        }
        Err(Fault::permanent("there is no such directory; correct `repo` in [[project]]"))
    }

    fn as_os_str(&self) -> &std::ffi::OsStr {
        match self {
            Self::Path(path) => path.as_os_str(),
            Self::Url(url) => url.as_ref(),
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
    let listed = git.call(None, "ls-remote").args(["--heads", "--"]).arg(source.as_os_str()).run().await?;
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
                "{}; the local forge has no credentials: clone it yourself and name the clone in `repo` in [[project]]",
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

    let parent = dir.parent().unwrap_or(dir);
    let temp = dir.with_extension("git-importing");
    // What is there is what a crashed import left: nothing else ever has this name.
    match std::fs::remove_dir_all(&temp) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            return Err(io(&temp, "remove the unfinished import", &e));
        }
        _ => {}
    }
    let sha256 = text.split('\t').next().is_some_and(|id| id.len() == 64);
    git.call(None, "init")
        .args([
            "--quiet",
            "--bare",
            "--template=",
            if sha256 { "--object-format=sha256" } else { "--object-format=sha1" },
        ])
        .arg(format!("--initial-branch={default_branch}"))
        .arg(&temp)
        .ok()
        .await?;
    let repo = Repo::new(git.clone(), temp.clone());
    for (name, value) in
        [("core.fsync", "committed"), ("core.logAllRefUpdates", "true"), ("receive.denyDeleteCurrent", "true")]
    {
        repo.call("config").args(["--local", name, value]).ok().await?;
    }
    repo.call("fetch")
        .config("core.fsync", "committed")
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
    lfs(git, source, default_branch, &temp).await?;
    std::fs::rename(&temp, dir).map_err(|e| io(dir, "put the imported repository in place at", &e))?;
    std::fs::File::open(parent).and_then(|d| d.sync_all()).map_err(|e| io(parent, "make durable", &e))
}

/// What git-lfs keeps beside a repository comes along: from the store of one on this machine, else by git-lfs itself.
/// Without either the files stay pointers, and that is said.
async fn lfs(git: &GitRun, source: &Source, branch: &str, to: &Path) -> Result<(), Fault> {
    let on_disk = match source {
        Source::Path(path) => Some(path.clone()),
        Source::Url(url) => whole::directory(url),
    };
    if let Some(path) = on_disk {
        let asked = git.call(None, "-C").arg(&path).args(["rev-parse", "--git-common-dir"]).line().await?;
        return crate::git_cli::bring_lfs(&path.join(asked).join("lfs"), &to.join("lfs")).await;
    }
    let Source::Url(url) = source else { return Ok(()) };
    if !crate::git_cli::has_lfs(git, to, branch).await? {
        return Ok(());
    }
    let fetched = git.call(Some(to), "lfs").args(["fetch", "--all"]).arg(url).arg(branch).run().await?;
    if fetched.status != Some(0) {
        let why = crate::git_cli::run::told(&fetched.stderr);
        tracing::warn!(repository = %mask(url), %why, "files of git-lfs stay pointers: install git-lfs, or name a clone with them");
    }
    Ok(())
}

fn no_default_branch(path: &Path, default_branch: &str, there: &[String]) -> Fault {
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
