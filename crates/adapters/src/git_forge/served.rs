//! A repository in service, and the two ways to read and move its branches: here, or at a remote. One that lives elsewhere
//! stays there, and is only looked at; what `import` finds or makes is served. Whatever is wrong with a repository is said
//! once, with the path, the key and the fix.

use super::import::{self, no_default_branch};
use super::pulls::Intent;
use super::repo::Repo;
use super::there::{BROUGHT, Pushed, There};
use super::{GitForge, Home, ServedRepo, branch};
use crate::git_cli::dirs::blocking;
use crate::git_cli::names::{is_branch_name, is_object_id};
use crate::git_cli::run::{GitRun, mask};
use crate::{durable, locks};
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
    /// The repository, by the key of the first project that has it.
    pub(super) repository: ProjectKey,
    /// What all projects on it have in common.
    pub(super) shared: Arc<Shared>,
}

/// What the projects on one repository share. Outlives a second registration of any.
#[derive(Default)]
pub(super) struct Shared {
    /// One merge at a time. The branch moves by compare-and-swap anyway; this keeps two callers from overwriting each
    /// other's intent.
    pub(super) merging: tokio::sync::Mutex<()>,
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
        (repository, shared): (&ProjectKey, Arc<Shared>),
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
                let (repo, there, repository) = (there.repo(), Some(there), repository.clone());
                return Ok(Self { key, repo, default_branch, remote, there, repository, shared });
            }
        };
        let served = async {
            let repo = import::own(git, forge_dir, repository, &source, &default_branch).await?;
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
        let repository = repository.clone();
        Ok(Self { key, repo, default_branch, remote, there: None, repository, shared })
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
        let kept = || self.shared.kept.lock().unwrap_or_else(PoisonError::into_inner);
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
        Err(fault) if fault.kind == FaultKind::Denied => Err(Fault::denied(format!(
            "it does not let orch in, or not with the password it was given: {}; {LET_IN}",
            fault.text
        ))),
        Err(fault) => Err(Fault::permanent(format!("{}; correct `repo` in [[project]]", fault.text))),
    }
}
