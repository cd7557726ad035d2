//! Are the merges that were acknowledged still there? Looks whether each recorded merge commit is in its branch and can be
//! read, with all that the newest of them brought in. Of what is missing it decides nothing; it says it.

use super::GitForge;
use super::repo::Repo;
use crate::git_cli::names::is_object_id;
use crate::git_cli::run::told;
use orch_core::ids::{ProjectKey, Sha};
use orch_ports::Fault;
use std::collections::{BTreeMap, BTreeSet};

/// Recorded merges whose content is read at a start, the newest ones.
const MERGES: usize = 200;

impl GitForge {
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
        if recorded.is_empty() {
            return Ok(vec![]);
        }
        let branch = &served.default_branch;
        let Some(name) = served.reference(branch).await? else {
            return Ok(vec![format!("there is no branch {branch} at {}", served.remote.url)]);
        };
        // What a remote's own disk still holds is its server's business; that the merges are in the branch is not.
        served.repo.missing(branch, &name, &recorded, served.there.is_none()).await
    }
}

impl Repo {
    /// `name` is the branch as this repository has it; `whole`: is its content looked at, too?
    async fn missing(
        &self,
        branch: &str,
        name: &str,
        recorded: &BTreeMap<Sha, String>,
        whole: bool,
    ) -> Result<Vec<String>, Fault> {
        let listed = self.call("rev-list").args(["--parents", name, "--"]).run().await?;
        if listed.status != Some(0) {
            let why = told(&listed.stderr);
            return Ok(vec![format!("branch {branch} of {} cannot be read: {why}", self.dir().display())]);
        }
        let there = String::from_utf8_lossy(&listed.stdout).into_owned();
        // Each with its first parent, newest first.
        let there: Vec<(&str, Option<&str>)> =
            there.lines().filter_map(|l| l.split(' ').next().map(|id| (id, l.split(' ').nth(1)))).collect();
        let known: BTreeSet<&str> = there.iter().map(|(id, _)| *id).collect();
        let (inside, outside): (Vec<_>, Vec<_>) =
            recorded.iter().partition(|(commit, _)| known.contains(commit.as_str()));
        let mut said: Vec<String> = outside
            .iter()
            .map(|(commit, who)| format!("{who} is recorded as merged and {} is not in {branch}", commit.short()))
            .collect();
        if !whole {
            return Ok(said);
        }
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
        let mut bad: BTreeSet<&Sha> = BTreeSet::new();
        if readable(&commits).await?.status != Some(0) {
            for (commit, who) in inside {
                let looked = readable(&[commit]).await?;
                if looked.status != Some(0) {
                    let why = told(&looked.stderr);
                    said.push(format!("{who} is recorded as merged and {} cannot be read: {why}", commit.short()));
                    bad.insert(commit);
                }
            }
        }
        said.extend(self.unreadable(branch, recorded, &there, &bad).await?);
        Ok(said)
    }

    /// Reads every object that the newest recorded merges brought in, and what came between them, all of its bytes: a
    /// file that a power cut emptied is there, and only reading it shows what it is.
    async fn unreadable(
        &self,
        branch: &str,
        recorded: &BTreeMap<Sha, String>,
        there: &[(&str, Option<&str>)],
        bad: &BTreeSet<&Sha>,
    ) -> Result<Vec<String>, Fault> {
        let merges = there.iter().filter_map(|(id, parent)| {
            let (commit, who) = recorded.get_key_value(&Sha::new(*id))?;
            Some((commit, who, *parent))
        });
        let merges: Vec<_> = merges.take(MERGES).collect();
        let Some((_, _, before)) = merges.last() else { return Ok(vec![]) };
        let Some(why) = self.verify(&format!("refs/heads/{branch}"), *before).await? else { return Ok(vec![]) };
        let mut said = Vec::new();
        for (commit, who, parent) in merges.iter().filter(|(commit, _, _)| !bad.contains(commit)) {
            if let Some(why) = self.verify(commit.as_str(), *parent).await? {
                let short = commit.short();
                said.push(format!("{who} is recorded as merged and what {short} brought in cannot be read: {why}"));
            }
        }
        if said.is_empty() && bad.is_empty() {
            let since = before.map_or_else(|| "its beginning".to_owned(), |id| Sha::new(id).short().to_owned());
            said.push(format!("what {branch} holds since {since} cannot be read: {why}"));
        }
        Ok(said)
    }

    /// What cannot be read of the objects that `new` has and `old` has not.
    async fn verify(&self, new: &str, old: Option<&str>) -> Result<Option<String>, Fault> {
        let mut call = self.call("rev-list").args(["--verify-objects", "--quiet", "--end-of-options", new]);
        if let Some(old) = old {
            call = call.arg(format!("^{old}"));
        }
        let out = call.run().await?;
        // Of a damaged content git only says so and goes on (seen with 2.39).
        let complains = String::from_utf8_lossy(&out.stderr).lines().any(|line| line.starts_with("error: "));
        Ok((out.status != Some(0) || complains).then(|| told(&out.stderr)))
    }

    /// Are a commit and its tree there and readable?
    pub(super) async fn is_readable(&self, commit: &Sha) -> Result<bool, Fault> {
        let call =
            self.call("rev-list").args(["--objects", "--no-walk", "--quiet", "--end-of-options", commit.as_str()]);
        Ok(call.run().await?.status == Some(0))
    }
}
