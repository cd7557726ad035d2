//! Working directories: clones of their own, built beside their place and moved there whole. Never lets a symbolic link, a permission or
//! the content of an old working directory decide what happens outside it. The old one is moved out of the way, and what
//! it holds is kept and it is deleted while the next agent works: nobody waits for that.

use super::clone::Cut;
use super::dirs::{blocking, component, discard, inside, own_dir, sweep, sweep_leftovers, unique};
use super::history::NewCommit;
use super::index::{Index, Written};
use super::run::{Call, Output, io};
use super::tree::{Repo, checked, os, shown};
use super::{GitCli, dirs};
use crate::owner;
use orch_core::ids::{ProjectKey, Sha, WorkItem};
use orch_ports::Fault;
use orch_ports::git::{Author, PrepareWorktree, Worktree};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// What a checkout is called that is being made; behind it stands whose it is.
const NEW: &str = ".new-";

/// Where things of a task are.
pub(super) struct Place {
    /// Directory of the project; holds nothing but orch's own names.
    pub(super) project: PathBuf,
    /// The task's working directory.
    pub(super) worktree: PathBuf,
    /// Where nested `.git` entries go.
    pub(super) aside: PathBuf,
    /// The index its files were written with, so that those nobody has touched need not be read again.
    pub(super) seen: PathBuf,
    /// Where working directories go that were replaced, each as `<commit>-<attic>`: what it is compared with, and the name
    /// under which it is kept.
    left: PathBuf,
}

impl Place {
    pub(super) fn of(git: &GitCli, project: &ProjectKey, work_item: &WorkItem) -> Result<Self, Fault> {
        let item = component(work_item.as_str())?;
        let project = git.worktrees_dir.join(component(project.as_str())?);
        let beside = |what: &str| project.join(format!(".{what}-{item}"));
        let (aside, seen, left) = (beside("aside"), beside("seen"), beside("left"));
        Ok(Self { worktree: project.join(item), aside, seen, left, project })
    }
}

/// Tasks that have a working directory, by project and name.
pub(super) fn there(worktrees_dir: &Path) -> Result<Vec<(ProjectKey, WorkItem)>, Fault> {
    let mut found = Vec::new();
    for project in dirs::names_of_dirs(worktrees_dir)? {
        for item in dirs::names_of_dirs(&worktrees_dir.join(&project))? {
            found.push((ProjectKey::new(&project), WorkItem::new(item)));
        }
    }
    Ok(found)
}

impl GitCli {
    /// See [`orch_ports::git::Git::prepare_worktree`].
    pub(super) async fn prepare(&self, p: &PrepareWorktree<'_>) -> Result<Worktree, Fault> {
        let place = Place::of(self, p.project, p.work_item)?;
        let repo = self.open(p.project)?;
        own_dir(&place.project)?;
        let away = self.away(&repo, &place, p).await?;
        let left = if p.as_left { self.as_left(&repo, &place, p, &away).await? } else { None };
        let as_left = left.is_some();
        let merged = if let Some(left) = left {
            left.files
        } else if p.with_conflicts {
            let merged = repo.merge_trees(checked(p.commit)?, checked(p.base)?).await?;
            let author = Author::orch();
            let parents = [p.commit, p.base];
            let message = "files with conflict markers";
            let new = NewCommit { tree: &merged.tree, parents: &parents, message, author: &author, at: None };
            Some(repo.commit(&new).await?)
        } else {
            None
        };
        let fresh = place.project.join(format!(".new-{}", p.work_item));
        let (old, project, indexes) = (fresh.clone(), place.project.clone(), repo.index_dir.clone());
        blocking(move || {
            sweep(&project);
            sweep_leftovers(&indexes, "");
            discard(&old)
        })
        .await?;
        let base = Some(("orch-base", p.base));
        let cut = Cut { commit: p.commit, branch: Some(p.branch), base, files_of: merged.as_ref() };
        self.cut(p.project, &repo, &cut, &fresh).await?;
        self.fill(p.project, &repo, merged.as_ref().unwrap_or(p.commit), &fresh).await?;
        self.smudge(p.project, &repo, merged.as_ref().unwrap_or(p.commit), &fresh).await?;
        if p.after_setup {
            repo.keep_ignored(&place.worktree, &fresh, merged.as_ref().unwrap_or(p.commit)).await?;
        }
        let after_setup = p.after_setup;
        let left = self.left(&repo, &place, p.project, p.work_item);
        let (worktree, aside) = (place.worktree.clone(), place.aside);
        // What it has left there is this very job's.
        let remove = if as_left { Vec::new() } else { p.remove.to_vec() };
        let seen = blocking(move || {
            // What a setup left is nobody's work.
            if !after_setup {
                away.go()?;
            }
            discard(&place.seen)?;
            if let Err(e) = copied(&fresh.join(".git/index"), &place.seen) {
                tracing::debug!(error = %e, "every file will be read again");
                discard(&place.seen)?;
            }
            let seen = Index::of_seen(&place.seen);
            for path in &remove {
                if let Some(file) = inside(&fresh, path.trim_end_matches('/'))? {
                    discard(&file)?;
                }
            }
            discard(&aside)?;
            discard(&worktree)?;
            std::fs::rename(&fresh, &worktree).map_err(|e| io(&worktree, "create", &e))?;
            Ok(seen)
        })
        .await?;
        if let Some(question) = seen {
            repo.git.facts.put(&repo.dir, question, &repo.tree_of(p.commit).await?);
        }
        self.put_away_behind(left);
        Ok(Worktree { dir: place.worktree, as_left })
    }

    /// The way out of a task's working directory.
    async fn away(&self, repo: &Repo, place: &Place, p: &PrepareWorktree<'_>) -> Result<Away, Fault> {
        repo.check_ref(&format!("{}/{}", super::landing::ATTIC, p.attic)).await?;
        Ok(Away {
            worktree: place.worktree.clone(),
            seen: place.seen.clone(),
            left: place.left.clone(),
            name: format!("{}-{}", checked(p.commit)?, p.attic.replace('/', SLASH)),
            repo: repo.clone(),
        })
    }

    /// What a working directory held when its run ended, kept first: a crash on the way loses nothing of it. `None`: neither
    /// it nor anything that was kept of it is there.
    async fn as_left(
        &self,
        repo: &Repo,
        place: &Place,
        p: &PrepareWorktree<'_>,
        away: &Away,
    ) -> Result<Option<AsLeft>, Fault> {
        let mut turn = self.leaving.take(&place.left);
        turn.begins().await;
        let was_there = !p.after_setup && dirs::is_real_dir(&place.worktree);
        if was_there {
            let away = away.clone();
            blocking(move || away.go()).await?;
        }
        self.left(repo, place, p.project, p.work_item).put_away().await;
        let reference = format!("{}/{}", super::landing::ATTIC, p.attic);
        let files = repo.peel(&reference, "commit").await?.map(Sha::new);
        // Where nothing was kept of it, nothing had changed, unless it could not be kept.
        let unchanged = was_there && std::fs::remove_dir(&place.left).is_ok();
        Ok((files.is_some() || unchanged).then_some(AsLeft { files }))
    }

    fn left(&self, repo: &Repo, place: &Place, project: &ProjectKey, work_item: &WorkItem) -> Left {
        let (dir, lock) = (place.left.clone(), self.lock(project));
        Left { repo: repo.clone(), dir, work_item: work_item.clone(), lock }
    }

    /// Keeps what was replaced while its caller goes on: after what was replaced before it, and with what an orch before this
    /// one had left.
    fn put_away_behind(&self, left: Left) {
        let mut turn = self.leaving.take(&left.dir);
        tokio::spawn(async move {
            turn.begins().await;
            left.put_away().await;
        });
    }

    /// Returns when no working directory of the project is on its way out, or soon.
    pub(super) async fn all_left(&self, project: &ProjectKey) -> Result<(), Fault> {
        let below = self.worktrees_dir.join(component(project.as_str())?);
        let _ = tokio::time::timeout(SOON, self.leaving.over(&below)).await;
        Ok(())
    }

    /// See [`orch_ports::git::Git::checkout`].
    pub(super) async fn cut_checkout(&self, project: &ProjectKey, commit: &Sha, dir: &Path) -> Result<(), Fault> {
        let repo = self.open(project)?;
        let dir = std::path::absolute(dir).map_err(|e| io(dir, "make absolute", &e))?;
        let (Some(parent), Some(name)) = (dir.parent(), dir.file_name()) else {
            return Err(Fault::bug(format!("{} cannot be a checkout", dir.display())));
        };
        std::fs::create_dir_all(parent).map_err(|e| io(parent, "create", &e))?;
        let fresh = parent.join(format!("{NEW}{}-{}", name.to_string_lossy(), owner::mark()));
        let around = parent.to_owned();
        blocking(move || {
            sweep_leftovers(&around, NEW);
            Ok(())
        })
        .await?;
        let made = async {
            self.cut(project, &repo, &Cut { commit, branch: None, base: None, files_of: None }, &fresh).await?;
            self.fill(project, &repo, commit, &fresh).await?;
            self.smudge(project, &repo, commit, &fresh).await
        };
        let made = made.await;
        blocking(move || {
            if made.is_err() {
                discard(&fresh)?;
                return made;
            }
            discard(&dir)?;
            std::fs::rename(&fresh, &dir).map_err(|e| io(&dir, "create", &e))
        })
        .await
    }

    /// See [`orch_ports::git::Git::remove_worktree`].
    pub(super) async fn remove(&self, project: &ProjectKey, work_item: &WorkItem) -> Result<(), Fault> {
        let place = Place::of(self, project, work_item)?;
        let fresh = place.project.join(format!(".new-{work_item}"));
        let mut turn = self.leaving.take(&place.left);
        turn.begins().await;
        if dirs::is_real_dir(&place.left) {
            self.left(&self.open(project)?, &place, project, work_item).put_away().await;
            if std::fs::remove_dir(&place.left).is_err() {
                let text = format!("what is in {} is not kept yet, and stays", place.left.display());
                return Err(Fault::transient(text));
            }
        }
        blocking(move || {
            discard(&fresh)?;
            discard(&place.aside)?;
            discard(&place.seen)?;
            discard(&place.left)?;
            discard(&place.worktree)
        })
        .await
    }
}

/// Longest that somebody who lists what was kept waits for what is being kept.
const SOON: Duration = Duration::from_secs(30);
/// Behind the name of a directory that left: the index it was written with.
const SEEN: &str = ".seen";
/// And its nested `.git` entries.
const ASIDE: &str = ".aside";
/// In place of a slash, which no directory's name has; no reference's name has this.
const SLASH: &str = "~";

/// What a run left.
struct AsLeft {
    /// The commit that keeps it; `None`: what the run began with.
    files: Option<Sha>,
}

/// How a working directory leaves its place.
#[derive(Clone)]
struct Away {
    worktree: PathBuf,
    seen: PathBuf,
    left: PathBuf,
    /// What it is compared with, and the name under which it is kept.
    name: String,
    repo: Repo,
}

impl Away {
    fn go(&self) -> Result<(), Fault> {
        if !dirs::is_real_dir(&self.worktree) {
            return Ok(());
        }
        own_dir(&self.left)?;
        let (facts, dir, name) = (&self.repo.git.facts, &self.repo.dir, &self.name);
        let names = (0..).map(|n| if n == 0 { name.clone() } else { format!("{name}-{n}") });
        let free = names.map(|name| self.left.join(name)).find(|to| std::fs::symlink_metadata(to).is_err());
        let leaves = free.unwrap_or_else(|| self.left.join(unique()));
        let seen = with(&leaves, SEEN);
        discard(&seen)?;
        let known = Index::of_seen(&self.seen).and_then(|question| facts.get(dir, &question));
        // Without it every file is read again.
        let _ = std::fs::rename(&self.seen, &seen);
        // It is the same, and its file system says that something happened to it.
        if let Some((question, tree)) = Index::of_seen(&seen).zip(known) {
            facts.put(dir, question, &tree);
        }
        std::fs::rename(&self.worktree, &leaves).map_err(|e| io(&self.worktree, "move away", &e))
    }
}

/// The working directories of a task that were replaced.
struct Left {
    repo: Repo,
    dir: PathBuf,
    work_item: WorkItem,
    /// Around changes of the project's references.
    lock: Arc<tokio::sync::Mutex<()>>,
}

impl Left {
    /// Keeps what they hold, and deletes them then. One that cannot be kept now stays for the next time.
    async fn put_away(&self) {
        let here = self.dir.clone();
        let swept = blocking(move || {
            if dirs::is_real_dir(&here) {
                sweep(&here);
                drop_orphans(&here);
            }
            Ok(())
        });
        if let Err(fault) = swept.await {
            tracing::warn!(work_item = %self.work_item, %fault, "leftovers of working directories stay");
        }
        for (directory, commit, attic) in self.all() {
            if let Err(fault) = self.keep(&directory, &commit, &attic).await {
                tracing::warn!(
                    work_item = %self.work_item, %fault, directory = %directory.display(),
                    "what was left in a working directory could not be kept, and stays there"
                );
                continue;
            }
            let gone = blocking(move || {
                discard(&directory)?;
                discard(&with(&directory, SEEN))?;
                discard(&with(&directory, ASIDE))
            });
            if let Err(fault) = gone.await {
                tracing::warn!(work_item = %self.work_item, %fault, "a working directory that was replaced stays");
            }
        }
    }

    fn all(&self) -> Vec<(PathBuf, Sha, String)> {
        if !dirs::is_real_dir(&self.dir) {
            return Vec::new();
        }
        let entries = std::fs::read_dir(&self.dir).into_iter().flatten().flatten().map(|entry| entry.path());
        let directories = entries.filter(|path| dirs::is_real_dir(path) && !path.to_string_lossy().ends_with(ASIDE));
        let named = directories.filter_map(|path| {
            let name = path.file_name()?.to_str()?.to_owned();
            let (commit, attic) = name.split_once('-')?;
            Some((path, Sha::new(commit), attic.replace(SLASH, "/")))
        });
        named.filter(|(_, commit, _)| checked(commit).is_ok()).collect()
    }

    /// Saves what a directory holds under `refs/orch/attic/`. A second call under the same name keeps the first one's
    /// commit as a parent, so that one that is repeated after a crash cannot overwrite it.
    async fn keep(&self, directory: &Path, commit: &Sha, attic: &str) -> Result<(), Fault> {
        let repo = &self.repo;
        let reference = format!("{}/{attic}", super::landing::ATTIC);
        repo.check_ref(&reference).await?;
        // A private repository that was made anew since may not have it.
        let commit = repo.peel(checked(commit)?, "commit").await?.map(Sha::new);
        let parent_tree = match &commit {
            Some(commit) => repo.tree_of(commit).await?,
            None => repo.empty_tree().await?,
        };
        let (worktree, aside) = (directory.to_owned(), with(directory, ASIDE));
        let walked = blocking(move || dirs::neutralise(&worktree, &aside)).await?;
        let written = Written { seen: with(directory, SEEN), worktree: directory.to_owned(), since: None };
        let index = Index::seen(repo, component(self.work_item.as_str())?, &parent_tree, &written).await?;
        let large = repo.too_large(&index, directory, walked.large).await?;
        repo.add_all(&index, directory, &large).await?;
        let tree = index.tree().await?;
        let before = repo.peel(&reference, "commit").await?.map(Sha::new);
        let before_tree = match &before {
            Some(sha) => Some(repo.tree_of(sha).await?),
            None => None,
        };
        if tree == parent_tree || before_tree.as_ref() == Some(&tree) {
            return Ok(());
        }
        let parents: Vec<&Sha> = commit.iter().chain(before.as_ref()).collect();
        let message = format!("Left in the working directory of {}", self.work_item);
        let author = Author::orch();
        let new = NewCommit { tree: &tree, parents: &parents, message: &message, author: &author, at: None };
        let commit = repo.commit(&new).await?;
        let _held = self.lock.lock().await;
        repo.point(&reference, &commit).await?;
        repo.keep(&[&reference]).await
    }
}

/// What belonged to directories that are gone.
fn drop_orphans(dir: &Path) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        let name = name.to_string_lossy();
        let of = [SEEN, ASIDE].iter().find_map(|behind| name.strip_suffix(behind));
        if let Some(of) = of.filter(|of| std::fs::symlink_metadata(dir.join(of)).is_err())
            && let Err(fault) = discard(&path)
        {
            tracing::debug!(%fault, of, "stays");
        }
    }
}

/// A path with more behind its name.
fn with(path: &Path, behind: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(behind);
    PathBuf::from(name)
}

/// A copy of an index that is as old as it: what was written after it is read again.
pub(super) fn copied(index: &Path, to: &Path) -> std::io::Result<()> {
    let from = std::fs::symlink_metadata(index)?;
    if !from.is_file() {
        return Err(std::io::ErrorKind::InvalidInput.into());
    }
    std::fs::copy(index, to)?;
    std::fs::File::options().write(true).open(to)?.set_modified(from.modified()?)
}

/// A git directory in which no attribute of a tree counts: `info/attributes` stands above every `.gitattributes`. It has
/// the private repository's objects and no references. (`GIT_ATTR_SOURCE` would do the same, from git 2.41 on.)
struct Plain<'r> {
    repo: &'r Repo,
    dir: PathBuf,
}

impl<'r> Plain<'r> {
    /// All built-in attributes that change what `git add` stores, taken back.
    const NONE: &'static str = "* -text !eol -crlf -ident -filter !working-tree-encoding\n";

    async fn new(repo: &'r Repo) -> Result<Self, Fault> {
        std::fs::create_dir_all(&repo.index_dir).map_err(|e| io(&repo.index_dir, "create", &e))?;
        let plain = Self { repo, dir: repo.index_dir.join(format!("plain-{}", unique())) };
        let format = format!("--object-format={}", repo.object_format().await?);
        let init = repo.git.call(None, "init").args(["-q", "--bare", "--template=", &format]);
        init.arg("--end-of-options").arg(&plain.dir).ok().await?;
        let info = plain.dir.join("info");
        std::fs::create_dir_all(&info).map_err(|e| io(&info, "create", &e))?;
        let file = info.join("attributes");
        std::fs::write(&file, Self::NONE).map_err(|e| io(&file, "write", &e))?;
        Ok(plain)
    }

    /// The same call, here.
    fn call<'c>(&self, call: Call<'c>) -> Call<'c> {
        call.env("GIT_DIR", os(&self.dir)).env("GIT_OBJECT_DIRECTORY", os(&self.repo.dir.join("objects")))
    }
}

impl Drop for Plain<'_> {
    fn drop(&mut self) {
        let _ = discard(&self.dir);
    }
}

/// Are paths that git is given nothing but paths? So it is everywhere, if nothing else is said.
const LITERAL: &str = "GIT_LITERAL_PATHSPECS";

impl Repo {
    /// `sha1` or `sha256`.
    async fn object_format(&self) -> Result<String, Fault> {
        self.call("rev-parse").arg("--show-object-format").line().await
    }

    /// Takes every file of a working directory into an index, as `.gitignore` has it, but those that are too large.
    /// Returns the paths git could not take. The directory must have been neutralised.
    pub(super) async fn add_all(
        &self,
        index: &Index<'_>,
        worktree: &Path,
        large: &[(PathBuf, u64)],
    ) -> Result<Vec<String>, Fault> {
        let mut paths: Vec<OsString> = Vec::new();
        if !large.is_empty() {
            paths.extend(["--", ":(top)"].map(OsString::from));
            paths.extend(large.iter().map(|(path, _)| {
                let mut pattern = OsString::from(":(top,exclude,literal)");
                pattern.push(path);
                pattern
            }));
        }
        let magic = if paths.is_empty() { "1" } else { "0" };
        let output = self
            .add(index, worktree, |add| add.env(LITERAL, magic).args(["-A", "--ignore-errors"]).args(&paths))
            .await?;
        match output.status {
            Some(0) => Ok(vec![]),
            Some(1) => {
                let rest = self
                    .in_worktree("ls-files", index, worktree)
                    .args(["-z", "-m", "-o", "--exclude-standard"])
                    .ok()
                    .await?;
                let mut paths: Vec<_> = rest.split(|b| *b == 0).filter(|p| !p.is_empty()).map(shown).collect();
                paths.dedup();
                Ok(paths)
            }
            _ => Err(output.fault("add")),
        }
    }

    /// Of files that are too large, those that git would take: not ignored, not as large in the index already, and no
    /// content of git-lfs, of which git is given a pointer.
    pub(super) async fn too_large(
        &self,
        index: &Index<'_>,
        worktree: &Path,
        large: Vec<(PathBuf, u64)>,
    ) -> Result<Vec<(PathBuf, u64)>, Fault> {
        let mut wanted = vec![];
        for (path, bytes) in large {
            // Nothing but a path here, whatever it begins with; this call knows no other way to say so.
            let plain = Path::new(".").join(&path);
            let ignored = self.in_worktree("check-ignore", index, worktree).env(LITERAL, "0").args(["-q", "--"]);
            let ignored = ignored.arg(&plain).run().await?;
            let mut staged = OsString::from(":");
            staged.push(&path);
            let before = self.in_worktree("cat-file", index, worktree).arg("-s").arg(&staged).run().await?;
            let before = shown(&before.stdout).trim().parse::<u64>().unwrap_or(0);
            let filter = self.in_worktree("check-attr", index, worktree).args(["-z", "filter", "--"]).arg(&path);
            let filter = filter.ok().await?;
            let of_lfs = filter.split(|b| *b == 0).nth(2) == Some(b"lfs");
            if ignored.status != Some(0) && before <= dirs::LARGEST && !of_lfs {
                wanted.push((path, bytes));
            }
        }
        Ok(wanted)
    }

    /// A call that looks at a working directory through an index of orch's own.
    pub(super) fn in_worktree(&self, command: &str, index: &Index<'_>, worktree: &Path) -> Call<'_> {
        self.call(command).env("GIT_WORK_TREE", os(worktree)).env("GIT_INDEX_FILE", &index.file)
    }

    /// `git add` with these arguments. Attributes the agent wrote (an encoding that does not exist) can end it: then the
    /// bytes are taken as they are.
    pub(super) async fn add(
        &self,
        index: &Index<'_>,
        worktree: &Path,
        with: impl for<'c> Fn(Call<'c>) -> Call<'c>,
    ) -> Result<Output, Fault> {
        let add = || with(self.in_worktree("add", index, worktree));
        let output = add().run().await?;
        if matches!(output.status, Some(0 | 1) | None) {
            return Ok(output);
        }
        Plain::new(self).await?.call(add()).run().await
    }
}
