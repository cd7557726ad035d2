//! Clones: how the repository of a working directory is made. Decides where its objects come from: those of main from a
//! cache that all clones of a repository read, the few others copied, none of them linked to the private repository, which
//! must not be damaged from a clone. The files of a working directory are written from the private repository itself, so
//! that a damaged cache can spoil what `git log` says in a clone but never what is tested.
//!
//! The cache holds nothing that is not in the private repository. It lies on the side of the working directories, only
//! grows, and is made anew where it does not answer.

use super::dirs::{blocking, discard, own_dir, sweep_leftovers, unique};
use super::objects;
use super::run::io;
use super::tree::{Repo, checked, os};
use super::{GitCli, component};
use orch_core::ids::{ProjectKey, Sha};
use orch_ports::Fault;
use std::collections::HashSet;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// What a fresh clone holds.
pub(super) struct Cut<'a> {
    /// Checked out.
    pub(super) commit: &'a Sha,
    /// On this branch; detached if `None`.
    pub(super) branch: Option<&'a str>,
    /// A second local branch: main, whose history all clones of the project have in common.
    pub(super) base: Option<(&'a str, &'a Sha)>,
    /// Files of this commit instead of `commit`'s.
    pub(super) files_of: Option<&'a Sha>,
}

/// The objects that clones of a repository have in common.
struct Cache {
    dir: PathBuf,
    /// A commit whose whole history is in it.
    tip: Sha,
}

impl Cache {
    fn objects(&self) -> PathBuf {
        self.dir.join("objects")
    }
}

impl GitCli {
    /// Builds a clone at `dir`, which must not exist.
    pub(super) async fn cut(&self, project: &ProjectKey, repo: &Repo, cut: &Cut<'_>, dir: &Path) -> Result<(), Fault> {
        repo.tree_of(cut.commit).await?;
        let branch = cut.branch.unwrap_or("orch-none");
        for name in [Some(branch), cut.base.map(|(name, _)| name)].into_iter().flatten() {
            repo.check_ref(&format!("refs/heads/{name}")).await?;
        }
        if !self.share_objects {
            return repo.cut_whole(cut, dir).await;
        }
        let cache = self.cache(project, repo, cut).await?;
        repo.skeleton(cut, Some(&cache), dir).await?;
        // Its files come from elsewhere, so that both can be had at once.
        let (answers, files) = tokio::join!(repo.answers(cut, &cache, dir), repo.files(cut, dir));
        if answers? {
            files
        } else {
            // What is in a cache is in the private repository too: nothing is lost with it.
            tracing::warn!(%project, "the cache of objects for clones does not answer and is made anew");
            let (old, clone) = (self.cache_dir(project)?, dir.to_owned());
            let lock = self.lock(project);
            let held = lock.lock().await;
            blocking(move || discard(&old).and_then(|()| discard(&clone))).await?;
            drop(held);
            let cache = self.cache(project, repo, cut).await?;
            repo.skeleton(cut, Some(&cache), dir).await?;
            if !repo.answers(cut, &cache, dir).await? {
                return Err(Fault::transient(format!("clone of {project}: it has not all of its objects")));
            }
            repo.files(cut, dir).await
        }
    }

    fn cache_dir(&self, project: &ProjectKey) -> Result<PathBuf, Fault> {
        Ok(self.worktrees_dir.join(component(self.repositories.of(project).as_str())?).join(".objects.git"))
    }

    /// The cache, with the history of the clone's main in it.
    async fn cache(&self, project: &ProjectKey, repo: &Repo, cut: &Cut<'_>) -> Result<Cache, Fault> {
        let dir = self.cache_dir(project)?;
        let lock = self.lock(project);
        let _held = lock.lock().await;
        let mut there = read_tip(&dir);
        // A tip that the private repository does not know cannot be built on.
        if let Some(tip) = &there
            && repo.peel(tip.as_str(), "commit").await?.is_none()
        {
            there = None;
        }
        // A checkout takes the cache as it is; only the first one makes it.
        let wanted = cut.base.map_or(cut.commit, |(_, base)| base);
        match there {
            Some(tip) if cut.base.is_none() || tip == *wanted => return Ok(Cache { dir, tip }),
            Some(tip) if repo.is_ancestor(wanted, &tip).await.unwrap_or(false) => return Ok(Cache { dir, tip }),
            Some(tip) => repo.pack(&[wanted], Some(&tip), &dir.join("objects")).await?,
            None => {
                let fresh = dir.with_file_name(format!("{NEW}{}", unique()));
                let (at, parent) = (fresh.clone(), dir.parent().unwrap_or(&dir).to_owned());
                blocking(move || {
                    own_dir(&parent)?;
                    sweep_leftovers(&parent, NEW);
                    bare(&at)
                })
                .await?;
                write(&fresh.join("config"), config(wanted, true).as_bytes())?;
                repo.pack(&[wanted], None, &fresh.join("objects")).await?;
                let (from, to) = (fresh, dir.clone());
                blocking(move || {
                    discard(&to)?;
                    std::fs::rename(&from, &to).map_err(|e| io(&to, "create", &e))
                })
                .await?;
            }
        }
        write(&dir.join(TIP), format!("{wanted}\n").as_bytes())?;
        Ok(Cache { dir, tip: wanted.clone() })
    }
}

impl Repo {
    /// Builds a clone that has all of its objects.
    pub(super) async fn cut_whole(&self, cut: &Cut<'_>, dir: &Path) -> Result<(), Fault> {
        self.skeleton(cut, None, dir).await?;
        self.files(cut, dir).await
    }

    /// Writes the objects of these commits, without the history of `known`, as one pack into an object directory.
    async fn pack(&self, commits: &[&Sha], known: Option<&Sha>, objects: &Path) -> Result<(), Fault> {
        let mut revisions = String::new();
        for commit in commits {
            revisions.push_str(checked(commit)?);
            revisions.push('\n');
        }
        if let Some(known) = known {
            revisions.push('^');
            revisions.push_str(checked(known)?);
            revisions.push('\n');
        }
        let call =
            self.call("pack-objects").args(["-q", "--revs", "--non-empty", "--delta-base-offset", "--end-of-options"]);
        call.arg(objects.join("pack/pack")).stdin(revisions).ok().await.map(drop)
    }

    /// The clone's `.git`, without an index.
    async fn skeleton(&self, cut: &Cut<'_>, cache: Option<&Cache>, dir: &Path) -> Result<(), Fault> {
        let dot_git = dir.join(".git");
        let mut refs = vec![];
        if let Some(name) = cut.branch {
            refs.push((name, cut.commit));
        }
        if let Some((name, base)) = cut.base.filter(|(name, _)| cut.branch != Some(*name)) {
            refs.push((name, base));
        }
        let head = cut.branch.map_or_else(|| format!("{}\n", cut.commit), |name| format!("ref: refs/heads/{name}\n"));
        let config = config(cut.commit, false);
        let alternates = cache.map(Cache::objects);
        let place = dot_git.clone();
        let files: Vec<(String, String)> =
            refs.iter().map(|(name, sha)| (format!("refs/heads/{name}"), format!("{sha}\n"))).collect();
        blocking(move || {
            bare(&place)?;
            fresh(&place.join("HEAD"), head.as_bytes())?;
            fresh(&place.join("config"), config.as_bytes())?;
            for (name, text) in files {
                fresh(&place.join(name), text.as_bytes())?;
            }
            match alternates {
                Some(objects) => fresh(&place.join("objects/info/alternates"), &alternate(&objects)?),
                None => Ok(()),
            }
        })
        .await?;
        let mut commits = vec![cut.commit];
        commits.extend(cut.base.map(|(_, base)| base));
        let known = cache.map(|c| &c.tip);
        commits.retain(|c| Some(*c) != known);
        if commits.is_empty() {
            return Ok(());
        }
        // The history of main is in the cache, and a few objects above it are written faster than a git is started.
        let there: HashSet<&str> = known.into_iter().chain(cut.base.map(|(_, base)| base)).map(Sha::as_str).collect();
        match self.above(cut.commit, &there).await.filter(|_| known.is_some()) {
            Some((few, _)) => objects::write(dot_git.join("objects"), few, false).await,
            None => self.pack(&commits, known, &dot_git.join("objects")).await,
        }
    }

    /// Are the ends of the clone's history there, wherever their objects lie?
    async fn answers(&self, cut: &Cut<'_>, cache: &Cache, dir: &Path) -> Result<bool, Fault> {
        let mut ends = vec![cut.commit, &cache.tip];
        ends.extend(cut.base.map(|(_, base)| base));
        let mut asked = String::new();
        for end in ends {
            asked.push_str(end.as_str());
            asked.push_str("^{tree}\n");
        }
        let call = self.git.call(Some(&dir.join(".git")), "cat-file").arg("--batch-check=%(objecttype)").stdin(asked);
        let output = call.run().await?;
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        Ok(output.status == Some(0) && told.lines().count() > 0 && told.lines().all(|line| line == "tree"))
    }

    /// The clone's files and index, from the private repository.
    async fn files(&self, cut: &Cut<'_>, dir: &Path) -> Result<(), Fault> {
        let index = dir.join(".git/index");
        let at = |command: &str| self.call(command).env("GIT_WORK_TREE", os(dir)).env("GIT_INDEX_FILE", os(&index));
        let files = checked(cut.files_of.unwrap_or(cut.commit))?;
        at("read-tree").args(["--reset", "-u", files]).ok().await?;
        if cut.files_of.is_some() {
            at("read-tree").arg(checked(cut.commit)?).ok().await?;
            // Says by its exit code that files differ from HEAD, which they are meant to.
            at("update-index").args(["-q", "--refresh"]).run().await?;
        }
        Ok(())
    }
}

/// Where a cache notes whose history it holds.
const TIP: &str = "refs/heads/tip";

/// What a cache is called that is being made; behind it stands whose it is.
const NEW: &str = ".new-objects-";

fn read_tip(cache: &Path) -> Option<Sha> {
    let text = std::fs::read_to_string(cache.join(TIP)).ok()?;
    let sha = Sha::new(text.trim_end());
    checked(&sha).is_ok().then_some(sha)
}

/// A repository without objects and configuration; its directories must not exist.
fn bare(dir: &Path) -> Result<(), Fault> {
    for below in ["objects/info", "objects/pack", "refs/heads", "refs/tags"] {
        let path = dir.join(below);
        std::fs::create_dir_all(&path).map_err(|e| io(&path, "create", &e))?;
    }
    fresh(&dir.join("HEAD"), b"ref: refs/heads/tip\n")
}

/// Writes a file of a directory that nobody else knows yet.
fn fresh(path: &Path, bytes: &[u8]) -> Result<(), Fault> {
    let parent = path.parent().unwrap_or(path);
    std::fs::create_dir_all(parent).and_then(|()| std::fs::write(path, bytes)).map_err(|e| io(path, "write", &e))
}

/// Puts a file in its place, whole.
fn write(path: &Path, bytes: &[u8]) -> Result<(), Fault> {
    let parent = path.parent().unwrap_or(path);
    std::fs::create_dir_all(parent).map_err(|e| io(parent, "create", &e))?;
    let temp = parent.join(format!(".orch-{}", unique()));
    std::fs::write(&temp, bytes).and_then(|()| std::fs::rename(&temp, path)).map_err(|e| io(path, "write", &e))
}

/// Configuration of a repository of orch's own making that holds such a commit.
fn config(commit: &Sha, bare: bool) -> String {
    let long = commit.as_str().len() == 64;
    let (version, extension) = if long { (1, "[extensions]\n\tobjectformat = sha256\n") } else { (0, "") };
    let user = if bare { "" } else { "[user]\n\tname = orch agent\n\temail = agent@orch.invalid\n" };
    format!("[core]\n\trepositoryformatversion = {version}\n\tfilemode = true\n\tbare = {bare}\n{extension}{user}")
}

/// A line of `objects/info/alternates`. Git reads one that begins with a quote as quoted in C's way.
fn alternate(objects: &Path) -> Result<Vec<u8>, Fault> {
    let mut line = OsString::from(objects).into_vec();
    if line.contains(&b'\n') {
        let place = objects.display();
        return Err(Fault::permanent(format!("{place}: git cannot share objects from a path with a line break")));
    }
    line.push(b'\n');
    Ok(line)
}
