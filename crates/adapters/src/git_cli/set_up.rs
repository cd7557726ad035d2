//! Taking along what a project's setup made in a working directory. Decides what that is: what the branch's own rules let git
//! ignore. What a setup says itself is ignored, by a `.gitignore` where the branch has a directory, does not count: an agent's work
//! that falls under it would never be taken.

use super::dirs::{blocking, discard, inside, is_real_dir};
use super::index::Index;
use super::run::io;
use super::tree::Repo;
use orch_core::ids::Sha;
use orch_ports::Fault;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// What says which files git ignores.
const RULES: &str = ".gitignore";

impl Repo {
    /// Moves what git ignores of one working directory into one that was just written for the same commit. Running git in the first
    /// is safe: nothing of its own `.git` is read.
    pub(super) async fn keep_ignored(&self, from: &Path, to: &Path, commit: &Sha) -> Result<(), Fault> {
        if !is_real_dir(from) {
            return Ok(());
        }
        let index = Index::of(self, "set-up", &self.tree_of(commit).await?).await?;
        let ignored = self.others(&index, from, &["--ignored", "--directory"]).await?;
        let (here, there) = (from.to_owned(), to.to_owned());
        blocking(move || {
            let rules = |path: &String| {
                let parent = Path::new(path).parent().map(|parent| there.join(parent));
                Path::new(path).file_name().is_some_and(|name| name == RULES) && parent.is_some_and(|p| is_real_dir(&p))
            };
            let carried: Vec<String> = ignored.into_iter().filter(|path| !rules(path)).collect();
            carried.iter().try_for_each(|path| take_over(&here, &there, path))
        })
        .await?;
        // By the rules of the branch alone.
        let open = self.others(&index, to, &[]).await?;
        let there = to.to_owned();
        blocking(move || {
            let mut places = open.iter().filter_map(|path| inside(&there, path).transpose());
            places.try_for_each(|place| discard(&place?))
        })
        .await
    }

    /// What is in a working directory and not in the index. A directory ends with a slash; what is no text is left out.
    async fn others(&self, index: &Index<'_>, worktree: &Path, which: &[&str]) -> Result<Vec<String>, Fault> {
        let call = self.in_worktree("ls-files", index, worktree).args(["-z", "--others", "--exclude-standard"]);
        let listed = call.args(which).ok().await?;
        let paths = listed.split(|b| *b == 0).filter(|path| !path.is_empty());
        Ok(paths
            .filter_map(|path| std::str::from_utf8(path).ok())
            .map(|p| p.trim_end_matches('/').to_owned())
            .collect())
    }
}

/// Moves what is at a path below one directory to the same path below another, if nothing is there and no link leads elsewhere.
fn take_over(from: &Path, to: &Path, path: &str) -> Result<(), Fault> {
    let Some(here) = inside(from, path)? else { return Ok(()) };
    let mut there: PathBuf = to.to_owned();
    let parents = Path::new(path).parent().into_iter().flat_map(Path::components);
    for part in parents {
        there.push(part);
        match std::fs::create_dir(&there) {
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
            made => made.map_err(|e| io(&there, "create", &e))?,
        }
        if !is_real_dir(&there) {
            return Ok(());
        }
    }
    let there = to.join(path);
    if std::fs::symlink_metadata(&there).is_ok() {
        return Ok(());
    }
    std::fs::rename(&here, &there).map_err(|e| io(&there, "move in", &e))
}
