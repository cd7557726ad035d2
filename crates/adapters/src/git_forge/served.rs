//! Bringing a repository into service. One that lives elsewhere stays there, and is only looked at. Of the others a bare
//! one on disk is served where it is; anything else is imported once into a bare repository of the forge's own, by way of
//! a temporary directory and a rename, so that a crash leaves either nothing or all of it. Whatever is wrong with a
//! repository is said once, with the path, the key and the fix.

use super::pulls::Intent;
use super::recorded::repair_head;
use super::repo::Repo;
use super::there::{BROUGHT, Pushed, There};
use super::{GitForge, Home, ServedRepo, branch};
use crate::git_cli::dirs::{blocking, discard, sweep_leftovers};
use crate::git_cli::names::{is_branch_name, is_object_id};
use crate::git_cli::remote::Address;
use crate::git_cli::run::{Call, GitRun, io, mask};
use crate::git_cli::whole;
use crate::{durable, locks, owner};
use orch_core::ids::{ProjectKey, Sha};
use orch_core::verdict::FaultKind;
use orch_ports::{Fault, Remote};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// A merge of more objects than this is kept by syncing the whole file system.
const MANY_OBJECTS: usize = 2_000;

/// A repository in service.
pub(super) struct Served {
    pub(super) key: ProjectKey,
    /// Where objects are read and made: the repository itself, or the cache beside one that lives elsewhere.
    pub(super) repo: Repo,
    pub(super) default_branch: String,
    /// Where git fetches and pushes.
    pub(super) remote: Remote,
    /// Nothing where the repository is the forge's own.
    pub(super) there: Option<There>,
    /// One merge at a time. The branch moves by compare-and-swap anyway; this keeps two callers from overwriting each
    /// other's intent. Outlives a second registration of the project.
    pub(super) merging: Arc<tokio::sync::Mutex<()>>,
    /// Where the last merge left its branch, all of it on disk.
    kept: Mutex<Option<Sha>>,
}

impl Served {
    /// Finds or imports the repository. Its default branch is not protected yet.
    /// `last` is the last merge into it that was recorded.
    pub(super) async fn new(
        git: &GitRun,
        forge_dir: &Path,
        project: ServedRepo,
        last: Option<&Sha>,
    ) -> Result<Self, Fault> {
        let ServedRepo { key, home, default_branch } = project;
        let place = match &home {
            Home::Here(source) => mask(source),
            Home::There { remote, .. } => remote.url.clone(),
        };
        let about = format!("project {key}: repository {place}");
        fits(&key, &default_branch).map_err(|f| f.context(&about))?;
        let source = match home {
            Home::Here(source) => source,
            Home::There { remote, objects } => {
                let cache = forge_dir.join("remote").join(format!("{key}.git"));
                let there = There::new(git, &remote, cache, objects).map_err(|f| f.context(&about))?;
                look(&there, &default_branch).await.map_err(|f| f.context(&about))?;
                let (repo, there) = (there.repo(), Some(there));
                return Ok(Self {
                    key,
                    repo,
                    default_branch,
                    remote,
                    there,
                    merging: Arc::default(),
                    kept: Mutex::default(),
                });
            }
        };
        let served = async {
            let repo = Self::own(git, forge_dir, &key, &source, &default_branch).await?;
            branch::mend(&repo, &default_branch, last).await?;
            let branches = repo.branches().await?;
            if !branches.iter().any(|(name, _)| *name == default_branch) {
                let names = branches.into_iter().map(|(name, _)| name).collect::<Vec<_>>();
                return Err(no_default_branch(repo.dir(), &default_branch, &names));
            }
            Ok(repo)
        };
        let repo = served.await.map_err(|f| f.context(&about))?;
        let url = repo.dir().to_str().map(str::to_owned).ok_or_else(|| {
            Fault::permanent(format!("{about}: the path {} is not UTF-8; move it", repo.dir().display()))
        })?;
        let remote = Remote { url, credentials: None };
        Ok(Self { key, repo, default_branch, remote, there: None, merging: Arc::default(), kept: Mutex::default() })
    }

    /// Tips of these branches as of now, in their order. Elsewhere that is one question.
    pub(super) async fn heads(&self, branches: &[&str]) -> Result<Vec<Option<Sha>>, Fault> {
        if let Some(there) = &self.there {
            return there.heads(branches).await;
        }
        let mut tips = Vec::new();
        for branch in branches {
            tips.push(self.repo.branch(branch).await?);
        }
        Ok(tips)
    }

    /// Tip of one branch as of now.
    pub(super) async fn head(&self, branch: &str) -> Result<Option<Sha>, Fault> {
        Ok(self.heads(&[branch]).await?.pop().flatten())
    }

    /// Sees to it that these commits, which were seen at the tips of these branches, can be read.
    pub(super) async fn bring(&self, wanted: &[(&str, &Sha)]) -> Result<(), Fault> {
        match &self.there {
            Some(there) => there.bring(wanted).await,
            None => Ok(()),
        }
    }

    /// Is there such a commit? One that was pushed just now may have to be brought first.
    pub(super) async fn has_commit(&self, commit: &Sha) -> Result<bool, Fault> {
        let Some(there) = self.there.as_ref().filter(|_| is_object_id(commit.as_str())) else {
            return self.repo.has_commit(commit).await;
        };
        there.ready(commit).await?;
        if self.repo.has_commit(commit).await? {
            return Ok(true);
        }
        there.bring_all().await?;
        self.repo.has_commit(commit).await
    }

    /// The name of a branch in `repo`, after it was brought there as it is now. `None`: there is no such branch.
    pub(super) async fn reference(&self, branch: &str) -> Result<Option<String>, Fault> {
        if self.there.is_none() {
            return Ok(Some(format!("refs/heads/{branch}")));
        }
        let Some(tip) = self.head(branch).await? else { return Ok(None) };
        self.bring(&[(branch, &tip)]).await?;
        let name = format!("{BROUGHT}{branch}");
        self.repo.call("update-ref").args([&name, tip.as_str()]).ok().await?;
        Ok(Some(name))
    }

    /// Returns when no git of an earlier process can carry out this merge any more.
    pub(super) async fn quiet(&self, begun: &Intent) -> Result<(), Fault> {
        match &self.there {
            Some(there) => there.ready(&begun.old_base).await,
            None => Ok(()),
        }
    }

    /// Moves a branch from where a merge found it to where it takes it, or leaves it. What it says is a hint; the branch
    /// tells.
    pub(super) async fn compare_and_move(&self, branch: &str, intent: &Intent, why: &str) -> Result<Pushed, Fault> {
        if let Some(there) = &self.there {
            return there.push(branch, &intent.old_base, &intent.intended).await;
        }
        let moved = self.repo.compare_and_move(branch, &intent.old_base, &intent.intended, why).await;
        moved.map(|()| Pushed::Look)
    }

    /// Returns when a merge is on disk, whoever wrote its objects: people push with a git of their own, which does not
    /// sync them. Where the branch was not where the last merge left it, nothing is known of what lies below.
    pub(super) async fn keep(&self, branch: &str, intent: &Intent) -> Result<(), Fault> {
        if let Some(there) = &self.there {
            return there.keep(branch).await;
        }
        let kept = || self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let known = kept().as_ref() == Some(&intent.old_base);
        let objects = if known { self.repo.objects_between(&intent.old_base, &intent.intended).await? } else { vec![] };
        let dir = self.repo.dir().to_owned();
        if !known || MANY_OBJECTS < objects.len() {
            blocking(move || durable::file_system(&dir)).await?;
        } else {
            blocking(move || {
                let files =
                    objects.iter().filter_map(|id| Some(dir.join("objects").join(id.get(..2)?).join(id.get(2..)?)));
                let files: Vec<PathBuf> = files.collect();
                // What is not a file of its own is in a pack, and packs are synced by every git.
                durable::all(&files.iter().map(PathBuf::as_path).collect::<Vec<_>>())
            })
            .await?;
            self.repo.keep(branch).await?;
        }
        *kept() = Some(intent.intended.clone());
        Ok(())
    }

    /// A git that died while it changed a reference or the configuration leaves its lock, and every later change of the
    /// same thing would fail. A lock is dead if no git is at work in the repository.
    pub(super) fn drop_dead_locks(&self) {
        locks::drop_dead(self.repo.dir());
    }

    /// The bare repository of this machine that is served.
    async fn own(
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
}

/// Can the key name a directory, and the branch a branch?
fn fits(key: &ProjectKey, default_branch: &str) -> Result<(), Fault> {
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
    Ok(())
}

impl GitForge {
    /// What `orch doctor` says of a remote with this default branch: nothing if it can be read and pushed to. Works in
    /// `scratch` and changes nothing over there.
    ///
    /// # Errors
    /// Transient: it does not answer. Any other: it cannot be worked with, and why, with the fix.
    pub async fn examine_remote(remote: &Remote, default_branch: &str, scratch: &Path) -> Result<(), Fault> {
        let there = There::new(&GitRun::new(&scratch.join("home"))?, remote, scratch.join("cache.git"), None)?;
        there.refuse_checked_out(default_branch).await?;
        let tip = match there.heads(&[default_branch]).await {
            Ok(tips) => tips.into_iter().flatten().next(),
            Err(fault) if fault.is_transient() => return Err(fault.context("it does not answer")),
            Err(_) => None,
        };
        let Some(tip) = tip else {
            look(&there, default_branch).await?;
            return Err(Fault::transient("its branches changed while they were looked at"));
        };
        there.ready(&tip).await?;
        there.lets_push().await.map_err(|f| match f.kind {
            FaultKind::Transient => f,
            _ => Fault::denied(format!("it can be read, but not pushed to: {}; {LET_IN}", f.text)),
        })
    }
}

/// What to do where a remote lets nobody in.
const LET_IN: &str = "over HTTP name in [project.git] `token_env` the environment variable that holds the password or token, \
                      over ssh let the user orch runs as log in without being asked";

/// Can this remote be worked with? One that does not answer now may answer later: whoever needs it then waits for it.
async fn look(there: &There, default_branch: &str) -> Result<(), Fault> {
    there.refuse_checked_out(default_branch).await?;
    match there.heads(&[default_branch]).await {
        Ok(heads) if heads.iter().any(Option::is_some) => Ok(()),
        Ok(_) => {
            let names = there.branches().await?;
            Err(no_default_branch(Path::new(there.url()), default_branch, &names))
        }
        Err(fault) if fault.is_transient() => {
            tracing::warn!(repository = there.url(), %fault, "the repository does not answer; its tasks wait for it");
            Ok(())
        }
        Err(fault) if fault.kind == FaultKind::Denied => Err(Fault::denied(format!("{}; {LET_IN}", fault.text))),
        Err(fault) => Err(Fault::permanent(format!("{}; correct `repo` in [[project]]", fault.text))),
    }
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
