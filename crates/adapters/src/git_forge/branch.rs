//! The file of the default branch, which a power cut may leave empty. Decides whether it is written again: only where
//! the repository shows which commit it named, by its reflog, the merges that were recorded, and its packed references,
//! and one of them contains all the others. Else nothing is changed, and the file and the way out are named.

use super::GitForge;
use super::emptied::{is_bare, says_nothing};
use super::repo::Repo;
use crate::durable;
use crate::git_cli::names::is_object_id;
use crate::git_cli::run::GitRun;
use orch_core::ids::{ProjectKey, Sha};
use orch_ports::Fault;
use std::path::{Path, PathBuf};

/// What the file of a branch is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Nothing is wrong with it, or nothing says that there ever was one.
    Whole,
    /// It says nothing, and named this.
    Named(Sha),
    /// It says nothing, and what it named cannot be told.
    Lost(String),
}

/// Looks at the file of a branch; `recorded` is the last merge into it that is known.
pub(super) async fn look(repo: &Repo, branch: &str, recorded: Option<&Sha>) -> Result<Found, Fault> {
    let dir = repo.dir();
    let file = file_of(dir, branch);
    if !is_bare(dir) || !is_damaged(&file) {
        return Ok(Found::Whole);
    }
    let name = format!("refs/heads/{branch}");
    let packed = std::fs::read_to_string(dir.join("packed-refs")).unwrap_or_default();
    let packed =
        packed.lines().find_map(|l| l.split_once(' ').filter(|(_, n)| *n == name)).map(|(id, _)| id.to_owned());
    let log = last_of_reflog(&dir.join("logs").join(&name));
    // Without its file a packed reference is the whole one, and a branch that left no trace was never there.
    if !file.exists() && (packed.is_some() || log.is_none()) {
        return Ok(Found::Whole);
    }
    let mut named: Vec<Sha> = Vec::new();
    for commit in log.into_iter().chain(recorded.map(ToString::to_string)).chain(packed) {
        let commit = Sha::new(commit);
        if is_object_id(commit.as_str()) && !named.contains(&commit) && repo.is_readable(&commit).await? {
            named.push(commit);
        }
    }
    for commit in &named {
        let mut contains_all = true;
        for other in &named {
            contains_all &= repo.is_ancestor(other, commit).await?;
        }
        if contains_all {
            return Ok(Found::Named(commit.clone()));
        }
    }
    let ids = named.iter().map(Sha::short).collect::<Vec<_>>().join(", ");
    Ok(Found::Lost(match named.len() {
        0 => "neither its reflog nor a recorded merge nor packed-refs names a commit that can be read".into(),
        _ => format!("reflog, recorded merges and packed-refs name {ids}, and none of them contains the others"),
    }))
}

/// Writes the file again where what it named is known.
pub(super) async fn mend(repo: &Repo, branch: &str, recorded: Option<&Sha>) -> Result<(), Fault> {
    let file = file_of(repo.dir(), branch);
    match look(repo, branch, recorded).await? {
        Found::Whole => Ok(()),
        Found::Named(commit) => {
            durable::make_dir(file.parent().unwrap_or(repo.dir()))?;
            durable::put(&file, format!("{commit}\n").as_bytes(), 0o644)?;
            tracing::warn!(
                target: "orch::notice",
                "{} was empty, as a power cut leaves it: it names {} again, the last commit that is known of it; what others \
                 pushed there after that is not in it (`git -C {} fsck --lost-found` shows it)",
                file.display(),
                commit.short(),
                repo.dir().display()
            );
            Ok(())
        }
        Found::Lost(why) => Err(Fault::permanent(lost(repo.dir(), branch, &why))),
    }
}

fn lost(dir: &Path, branch: &str, why: &str) -> String {
    let file = file_of(dir, branch);
    format!(
        "{} is empty, as a power cut leaves it, and which commit it named cannot be told: {why}; find the commit in a clone \
         or a backup, push it to {} under another name if it is not there, and write its id into that file",
        file.display(),
        dir.display()
    )
}

fn file_of(dir: &Path, branch: &str) -> PathBuf {
    dir.join("refs/heads").join(branch)
}

/// Not there, or no id in it.
fn is_damaged(file: &Path) -> bool {
    if says_nothing(file) {
        return true;
    }
    match std::fs::read_to_string(file) {
        Ok(text) => !text.starts_with("ref:") && !is_object_id(text.trim_end()),
        Err(e) => e.kind() == std::io::ErrorKind::InvalidData,
    }
}

/// Where the newest line of a reflog that can be read says that the branch is.
fn last_of_reflog(file: &Path) -> Option<String> {
    let bytes = std::fs::read(file).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let id = |line: &str| {
        let mut words = line.split(' ');
        let (old, new) = (words.next()?, words.next()?);
        let real = is_object_id(old) && is_object_id(new) && new.bytes().any(|b| b != b'0');
        real.then(|| new.to_owned())
    };
    text.lines().rev().find_map(id)
}

impl GitForge {
    /// What `orch doctor` says of the file of a default branch of a repository that a forge in `dir` serves to these
    /// projects: what a start does about it, and whether that is enough. `None`: nothing is wrong with it. Changes nothing
    /// in either place.
    pub async fn examine_branch(
        dir: &Path,
        served: &Path,
        projects: &[ProjectKey],
        branch: &str,
        scratch: &Path,
    ) -> Result<Option<(bool, String)>, Fault> {
        let recorded = super::pulls::last_merge_in(&dir.join("forge.db"), projects, branch);
        let repo = Repo::new(GitRun::new(scratch)?, served.to_owned());
        let file = file_of(served, branch);
        Ok(match look(&repo, branch, recorded.as_ref()).await? {
            Found::Whole => None,
            Found::Named(commit) => {
                let text = format!("{} is empty; the next start lets it name {} again", file.display(), commit.short());
                Some((true, text))
            }
            Found::Lost(why) => Some((false, lost(served, branch, &why))),
        })
    }
}
