//! Are the merges that were acknowledged still there? Looks whether each recorded merge commit is in its branch and can be
//! read, and repairs the one thing a power cut may have emptied in a repository that is whole otherwise: `HEAD`. Of what
//! is missing it decides nothing; it says it.

use super::LocalForge;
use super::repo::{Repo, is_object_id};
use crate::durable;
use crate::git_cli::run::told;
use orch_core::ids::{ProjectKey, Sha};
use orch_ports::Fault;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

impl LocalForge {
    /// Merges that were recorded, by this forge or as `others` has them (who merged it, as what), and are not in the
    /// default branch, or cannot be read; each as a sentence.
    pub async fn missing_merges(&self, project: &ProjectKey, others: Vec<(String, Sha)>) -> Result<Vec<String>, Fault> {
        let served = self.served(project)?;
        let key = project.clone();
        let own = self.state.db.read("read recorded merges", move |t| super::pulls::merged(t, &key)).await?;
        let mut recorded: BTreeMap<Sha, String> = BTreeMap::new();
        for (number, commit) in own {
            recorded.insert(commit, format!("pull request #{number}"));
        }
        for (who, commit) in others {
            recorded.insert(commit, who);
        }
        recorded.retain(|commit, _| is_object_id(commit.as_str()));
        served.repo.missing(&served.default_branch, &recorded).await
    }
}

impl Repo {
    async fn missing(&self, branch: &str, recorded: &BTreeMap<Sha, String>) -> Result<Vec<String>, Fault> {
        if recorded.is_empty() {
            return Ok(vec![]);
        }
        let listed = self.call("rev-list").args([&format!("refs/heads/{branch}"), "--"]).run().await?;
        if listed.status != Some(0) {
            let why = told(&listed.stderr);
            return Ok(vec![format!("branch {branch} of {} cannot be read: {why}", self.dir().display())]);
        }
        let there = String::from_utf8_lossy(&listed.stdout).into_owned();
        let there: BTreeSet<&str> = there.lines().collect();
        let (inside, outside): (Vec<_>, Vec<_>) =
            recorded.iter().partition(|(commit, _)| there.contains(commit.as_str()));
        let mut said: Vec<String> = outside
            .iter()
            .map(|(commit, who)| format!("{who} is recorded as merged and {} is not in {branch}", commit.short()))
            .collect();
        let readable = async |commits: &[&Sha]| {
            let mut list = String::new();
            for commit in commits {
                list.push_str(commit.as_str());
                list.push('\n');
            }
            let call = self.call("rev-list").args(["--objects", "--no-walk=unsorted", "--quiet", "--stdin"]);
            call.stdin(list).run().await
        };
        let commits: Vec<&Sha> = inside.iter().map(|(commit, _)| *commit).collect();
        if readable(&commits).await?.status != Some(0) {
            for (commit, who) in inside {
                let looked = readable(&[commit]).await?;
                if looked.status != Some(0) {
                    let why = told(&looked.stderr);
                    said.push(format!("{who} is recorded as merged and {} cannot be read: {why}", commit.short()));
                }
            }
        }
        Ok(said)
    }
}

/// Writes the `HEAD` of a bare repository that a power cut left without one, if everything else that makes it a repository
/// is there.
pub(super) fn repair_head(dir: &Path, default_branch: &str) -> Result<(), Fault> {
    let head = dir.join("HEAD");
    let says_nothing = |path: &Path| match std::fs::read(path) {
        Ok(bytes) => bytes.iter().all(|b| *b == 0),
        Err(e) => e.kind() == std::io::ErrorKind::NotFound,
    };
    let is_bare = ["objects", "refs"].iter().all(|name| dir.join(name).is_dir()) && dir.join("config").is_file();
    if !is_bare || !says_nothing(&head) {
        return Ok(());
    }
    let name = format!("refs/heads/{default_branch}");
    let packed = std::fs::read_to_string(dir.join("packed-refs")).unwrap_or_default();
    let known =
        !says_nothing(&dir.join(&name)) || packed.lines().any(|l| l.split_once(' ').is_some_and(|(_, n)| n == name));
    if !known {
        return Ok(());
    }
    durable::put(&head, format!("ref: {name}\n").as_bytes(), 0o644)?;
    tracing::warn!(
        target: "orch::notice",
        "{} was empty, as a power cut leaves it: it names {default_branch} again; nothing else of the repository was changed",
        head.display()
    );
    Ok(())
}
