//! Taking what an agent left. Decides which changes become part of the task's branch: a role's own artefacts, and code
//! only from the developer. Everything else is put back as the parent has it and reported. A file that is absent because
//! the clone did not show it, and a working directory without any code, are no change: then nothing is taken. Never
//! believes the agent's `.git` (see `hidden` for what is read there, and in which direction it counts), never starts git
//! inside a nested repository, never stores a reference to one (its content would escape the gates).

use super::GitCli;
use super::dirs::{LARGEST, Walked, blocking, component, inside, is_real_dir, neutralise};
use super::hidden::{Absent, hidden};
use super::history::NewCommit;
use super::index::{Index, Written};
use super::tree::{Delta, Entry, Repo, artefact_dir, known_at, shown};
use super::worktree::Place;
use orch_core::artefact::{KNOWN, known};
use orch_core::ids::Sha;
use orch_ports::Fault;
use orch_ports::git::{Snapshot, Snapshotted};
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// Of the files that keep a snapshot from being taken, this many are named.
const NAMED: usize = 20;

impl GitCli {
    /// See [`orch_ports::git::Git::snapshot`].
    pub(super) async fn take(&self, s: &Snapshot<'_>) -> Result<Snapshotted, Fault> {
        let place = Place::of(self, s.project, s.work_item)?;
        let dir = artefact_dir(s.artefact_dir)?;
        let repo = self.open(s.project)?;
        for path in [&place.project, &place.worktree] {
            if !is_real_dir(path) {
                let text = format!("the working directory {} is gone or was replaced by a link", path.display());
                return Err(Fault::gone(text));
            }
        }
        let parent_tree = repo.tree_of(s.parent).await?;
        let (worktree, aside) = (place.worktree.clone(), place.aside.clone());
        let Walked { unreadable: closed, large } = blocking(move || neutralise(&worktree, &aside)).await?;
        let mut discarded: Vec<String> = closed.iter().map(|p| p.to_string_lossy().into_owned()).collect();

        let written = Written { seen: place.seen.clone(), worktree: place.worktree.clone(), since: s.since };
        let index = Index::seen(&repo, component(s.work_item.as_str())?, &parent_tree, &written).await?;
        let large = repo.too_large(&index, &place.worktree, large).await?;
        if s.take_code && !large.is_empty() {
            let (commit, refused) = (s.parent.clone(), Some(too_large(&large)));
            return Ok(Snapshotted { commit, changed: false, code_changed: false, discarded, refused });
        }
        discarded.extend(large.iter().map(|(path, _)| path.display().to_string()));
        discarded.extend(repo.add_all(&index, &place.worktree, &large).await?);
        let mut added = index.tree().await?;
        if repo.add_artefacts(&index, &added, &place.worktree, dir).await? {
            added = index.tree().await?;
        }
        if s.take_code {
            let changed = repo.deltas(&parent_tree, &added).await?.into_iter().map(|d| d.new).filter(Entry::is_regular);
            if self.clean(s.project, &index, &place.worktree, changed.collect()).await? {
                added = index.tree().await?;
            }
        }

        let mut code_changed = false;
        let mut gone = vec![];
        let deltas = repo.deltas(&parent_tree, &added).await?;
        let new: HashSet<&str> = deltas.iter().map(|d| d.new.oid.as_str()).collect();
        let (mut removals, mut restored) = (vec![], vec![]);
        for delta in &deltas {
            let artefact = delta.artefact(dir);
            let taken = match artefact {
                Some((known, name)) => s.take_artefacts.iter().any(|t| *t == known.name || *t == name),
                None => s.take_code,
            };
            if taken {
                code_changed |= artefact.is_none();
                if artefact.is_none() && delta.new.is_absent() {
                    gone.push((delta, new.contains(delta.old.oid.as_str())));
                }
            } else {
                discarded.push(shown(&delta.new.path));
                let list = if delta.old.is_absent() { &mut removals } else { &mut restored };
                list.push(delta.old.clone());
            }
        }
        // Removals first: what is restored may need the place of what was put in its way.
        removals.append(&mut restored);
        let tree = if removals.is_empty() {
            added
        } else {
            index.set(&removals).await?;
            index.tree().await?
        };
        discarded.sort();
        discarded.dedup();
        if let Some(why) = repo.refusal(s, &place.worktree, closed, &gone, &tree, dir).await? {
            let (commit, refused) = (s.parent.clone(), Some(why));
            let (changed, code_changed) = (false, false);
            return Ok(Snapshotted { commit, changed, code_changed, discarded, refused });
        }

        // A repair that goes on from one that did not count contains main already.
        let merged = match s.merged {
            Some(merged) if !repo.is_ancestor(merged, s.parent).await? => Some(merged),
            _ => None,
        };
        let commit = if tree == parent_tree && merged.is_none() {
            s.parent.clone()
        } else {
            let mut parents = vec![s.parent];
            parents.extend(merged);
            let new =
                NewCommit { tree: &tree, parents: &parents, message: s.message, author: s.author, at: Some(s.at) };
            self.hold(s, &repo, repo.commit(&new).await?).await?
        };
        Ok(Snapshotted { changed: commit != *s.parent, commit, code_changed, discarded, refused: None })
    }

    /// Names the commit, so that no housekeeping takes it for garbage before it is pushed. On disk with the push.
    async fn hold(&self, s: &Snapshot<'_>, repo: &Repo, commit: Sha) -> Result<Sha, Fault> {
        let reference = format!("{}/{}", super::landing::TASKS, s.work_item);
        repo.check_ref(&reference).await?;
        let lock = self.lock(s.project);
        let _held = lock.lock().await;
        repo.point(&reference, &commit).await?;
        Ok(commit)
    }
}

fn too_large(files: &[(PathBuf, u64)]) -> String {
    let named: Vec<String> =
        files.iter().take(NAMED).map(|(path, bytes)| format!("{} has {bytes} bytes", path.display())).collect();
    let more = files.len() - named.len();
    let more = if more == 0 { String::new() } else { format!(", and {more} more") };
    format!(
        "nothing is taken of this run, because no file above {LARGEST} bytes is: {}{more}. Remove it, or name it in \
         `.gitignore` if it is made by a build; what belongs into the repository in this size belongs to git-lfs",
        named.join(", ")
    )
}

impl Repo {
    /// Why nothing of this may be taken: files that are absent without having been deleted. `gone` are the deletions of
    /// code that would be taken, each with whether its content is there under another name; `tree` is what would be.
    async fn refusal(
        &self,
        s: &Snapshot<'_>,
        worktree: &Path,
        closed: Vec<PathBuf>,
        gone: &[(&Delta, bool)],
        tree: &str,
        dir: &str,
    ) -> Result<Option<String>, Fault> {
        let (of_main, deleted_by_us) = match s.merged {
            // What the agent saw was merged with main: a file of main that is absent is one that the merge would delete.
            Some(merged) => {
                let main = self.tree_of(merged).await?;
                let gone = self.deltas(&main, tree).await?.into_iter().filter(|d| d.new.is_absent());
                let gone: Vec<Vec<u8>> = gone.filter(|d| d.artefact(dir).is_none()).map(|d| d.new.path).collect();
                let there = self.entries(&main, b"").await?.into_iter().map(|e| e.path).collect();
                (Some(there), gone)
            }
            None => (None::<HashSet<Vec<u8>>>, vec![]),
        };
        if gone.is_empty() && deleted_by_us.is_empty() {
            return Ok(None);
        }
        let left = self.entries(tree, b"").await?;
        if !left.iter().any(|e| !(e.is_regular() && known_at(&e.path, dir).is_some())) {
            return Ok(Some(format!(
                "nothing is taken of this run: the working directory holds none of the {} files of code that the branch \
                 has, and a change that leaves no file is never taken; deliver the change again in the fresh clone",
                gone.len()
            )));
        }
        let mut absent = vec![];
        for (delta, moved) in gone {
            let path = delta.old.path.as_slice();
            let known = of_main.as_ref().is_none_or(|main| main.contains(path));
            absent.push((path.to_vec(), *moved, known));
        }
        let seen: HashSet<&[u8]> = gone.iter().map(|(d, _)| d.old.path.as_slice()).collect();
        absent.extend(deleted_by_us.into_iter().filter(|p| !seen.contains(p.as_slice())).map(|p| (p, false, false)));
        let (worktree, id_bytes) = (worktree.to_owned(), tree.len() / 2);
        let found = blocking(move || {
            let absent: Vec<Absent<'_>> =
                absent.iter().map(|(path, moved, known)| Absent { path, moved: *moved, known: *known }).collect();
            hidden(&worktree, &closed, id_bytes, &absent)
        })
        .await?;
        if found.is_empty() {
            return Ok(None);
        }
        let named: Vec<String> =
            found.iter().take(NAMED).map(|(path, why)| format!("{}: {why}", shown(path))).collect();
        let more = found.len() - named.len();
        let more = if more == 0 { String::new() } else { format!("; and {more} more") };
        Ok(Some(format!(
            "nothing is taken of this run, because files are absent that the clone did not show, and absent is not \
             deleted: {}{more}. Deliver the change again in the fresh clone, with the whole of its files shown (no sparse \
             checkout, no skip-worktree, no assume-unchanged, its .git left in place); what has to go is removed with \
             `git rm`",
            named.join("; ")
        )))
    }

    /// Takes the known artefacts that are there even where `.gitignore` left them out of `added`, the tree of the index.
    /// True if there were any.
    async fn add_artefacts(&self, index: &Index<'_>, added: &str, worktree: &Path, dir: &str) -> Result<bool, Fault> {
        let mut paths = vec![];
        for artefact in KNOWN {
            let path = format!("{dir}/{}", artefact.name.trim_end_matches('/'));
            let Some(full) = inside(worktree, &path)? else { continue };
            if artefact.name.ends_with('/') {
                if is_real_dir(&full) {
                    let files = std::fs::read_dir(&full).into_iter().flatten().flatten();
                    let names = files.filter(|f| f.file_type().is_ok_and(|t| t.is_file()));
                    let names = names.filter_map(|f| f.file_name().into_string().ok());
                    paths.extend(names.map(|n| format!("{}{n}", artefact.name)).filter(|n| known(n).is_some()));
                }
            } else if std::fs::symlink_metadata(&full).is_ok_and(|m| m.is_file()) {
                paths.push(artefact.name.to_owned());
            }
        }
        if !paths.is_empty() {
            // What is in it is as the file is: git adds changes of what it knows, ignored or not.
            let there = self.entries(added, format!("{dir}/").as_bytes()).await?;
            let there: HashSet<&[u8]> = there.iter().map(|e| e.path.as_slice()).collect();
            paths.retain(|p| !there.contains(format!("{dir}/{p}").as_bytes()));
        }
        if paths.is_empty() {
            return Ok(false);
        }
        let list: Vec<u8> = paths.iter().flat_map(|p| format!("{dir}/{p}\0").into_bytes()).collect();
        let options = ["-f", "--ignore-errors", "--pathspec-from-file=-", "--pathspec-file-nul"];
        let output = self.add(index, worktree, |add| add.args(options).stdin(list.as_slice())).await?;
        // 1: a file could not be read. It is missing then, which is what its gate says.
        if matches!(output.status, Some(0 | 1)) { Ok(true) } else { Err(output.fault("add")) }
    }
}
