//! A repository that lives elsewhere: what git asks its remote, and the one push that moves a branch there. Decides what
//! the remote's answer to that push means, and never believes it: whether the branch moved is read back. Works from a bare
//! repository of orch's own that is a cache: it borrows what orch has of the project already, names no branch of orch's, and
//! is made anew by every process.

use super::repo::Repo;
use crate::durable;
use crate::git_cli::dirs::{blocking, discard};
use crate::git_cli::names::is_branch_name;
use crate::git_cli::remote::Address;
use crate::git_cli::run::{GitRun, Output, io, told};
use crate::owner::git_at_work;
use orch_core::fault_code::FaultCode;
use orch_core::ids::Sha;
use orch_core::verdict::FaultKind;
use orch_ports::{Fault, Remote};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Longest look at branches. A fetch and a push may take longer: they carry objects.
const LOOK: Duration = Duration::from_mins(1);

/// Branches of the remote, as they were brought.
pub(super) const BROUGHT: &str = "refs/forge/";

/// What became of the push of a merge, as far as git says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Pushed {
    /// It says that the branch moved, or that it was elsewhere by then. The branch tells.
    Look,
    /// The remote answered, and will not: a hook, a protected branch.
    Refused(String),
}

/// A remote, and the cache beside it.
pub(super) struct There {
    address: Address,
    git: GitRun,
    cache: PathBuf,
    borrowed: Option<PathBuf>,
    made: tokio::sync::Mutex<bool>,
}

impl There {
    /// Nothing is asked and nothing is made yet. `borrowed` is a git directory whose objects may be read, if it is there.
    pub(super) fn new(git: &GitRun, remote: &Remote, cache: PathBuf, borrowed: Option<PathBuf>) -> Result<Self, Fault> {
        let address = Address::of(remote)?;
        Ok(Self { address, git: git.clone(), cache, borrowed, made: tokio::sync::Mutex::default() })
    }

    /// The cache. Only behind `ready` it is there.
    pub(super) fn repo(&self) -> Repo {
        Repo::new(self.git.clone(), self.cache.clone())
    }

    /// Where it is.
    pub(super) fn url(&self) -> &str {
        self.address.url()
    }

    /// Tips of these branches, in their order.
    pub(super) async fn heads(&self, branches: &[&str]) -> Result<Vec<Option<Sha>>, Fault> {
        let names: Vec<String> =
            branches.iter().filter(|b| is_branch_name(b)).map(|b| format!("refs/heads/{b}")).collect();
        let all = if names.is_empty() { BTreeMap::new() } else { self.listed(&names).await? };
        Ok(branches.iter().map(|b| all.get(*b).cloned()).collect())
    }

    /// Names of all branches.
    pub(super) async fn branches(&self) -> Result<Vec<String>, Fault> {
        Ok(self.listed(&["refs/heads/*".to_owned()]).await?.into_keys().collect())
    }

    async fn listed(&self, names: &[String]) -> Result<BTreeMap<String, Sha>, Fault> {
        let call = self.address.with(self.git.call(None, "ls-remote")).within(LOOK);
        let out = call.args(["-q", "--end-of-options", self.url()]).args(names).ok().await?;
        let text = String::from_utf8_lossy(&out);
        let lines = text.lines().filter_map(|l| l.split_once("\trefs/heads/"));
        Ok(lines.map(|(id, name)| (name.to_owned(), Sha::new(id))).collect())
    }

    /// Sees to it that the cache is there, and that no git of a process that died is pushing from it any more: what that one
    /// was asked for has happened by then, or never will. `like` is a commit of the repository, whose length tells the
    /// format.
    pub(super) async fn ready(&self, like: &Sha) -> Result<(), Fault> {
        let mut made = self.made.lock().await;
        if *made {
            return Ok(());
        }
        let dir = self.cache.clone();
        if blocking(move || Ok(git_at_work(&dir))).await? {
            return Err(Fault::transient(format!(
                "a git of an earlier process is at work in {} yet",
                self.cache.display()
            )));
        }
        let (dir, borrowed) = (self.cache.clone(), self.borrowed.clone());
        blocking(move || {
            discard(&dir)?;
            durable::make_dir(dir.parent().unwrap_or(&dir))
        })
        .await?;
        let format = if like.as_str().len() == 64 { "--object-format=sha256" } else { "--object-format=sha1" };
        let init =
            self.git.call(None, "init").args(["-q", "--bare", "--template=", "--initial-branch=orch-none", format]);
        init.arg("--end-of-options").arg(&self.cache).ok().await?;
        if let Some(from) = borrowed {
            let file = self.cache.join("objects/info/alternates");
            let line = format!("{}\n", from.join("objects").display());
            blocking(move || {
                durable::make_dir(file.parent().unwrap_or(&file))?;
                std::fs::write(&file, line).map_err(|e| io(&file, "write", &e))
            })
            .await?;
        }
        *made = true;
        Ok(())
    }

    /// Sees to it that these commits, which were seen at the tips of these branches, can be read.
    pub(super) async fn bring(&self, wanted: &[(&str, &Sha)]) -> Result<(), Fault> {
        let Some((_, like)) = wanted.first() else { return Ok(()) };
        self.ready(like).await?;
        let repo = self.repo();
        let mut missing = Vec::new();
        for (branch, commit) in wanted {
            if !repo.has_commit(commit).await? {
                missing.push((*branch, *commit));
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        let branches: Vec<String> =
            missing.iter().map(|(branch, _)| format!("+refs/heads/{branch}:{BROUGHT}{branch}")).collect();
        self.fetch(&branches).await?;
        for (branch, commit) in missing {
            if !repo.has_commit(commit).await? {
                return Err(Fault::transient(format!("branch {branch} moved while it was looked at")));
            }
        }
        Ok(())
    }

    /// Brings every branch.
    pub(super) async fn bring_all(&self) -> Result<(), Fault> {
        self.fetch(&[format!("+refs/heads/*:{BROUGHT}*")]).await
    }

    async fn fetch(&self, what: &[String]) -> Result<(), Fault> {
        let call = self.address.with(self.git.call(Some(&self.cache), "fetch"));
        let call = call.args(["-q", "--no-tags", "--no-write-fetch-head", "--no-auto-maintenance"]);
        call.args(["--no-recurse-submodules", "--end-of-options", self.url()]).args(what).ok().await.map(drop)
    }

    /// Asks the remote to move a branch from `old` to `new`, if it is there. An error says nothing about whether it did.
    pub(super) async fn push(&self, branch: &str, old: &Sha, new: &Sha) -> Result<Pushed, Fault> {
        let name = format!("refs/heads/{branch}");
        let call = self.address.with(self.git.call(Some(&self.cache), "push"));
        let call = call.args(["--porcelain", "--no-verify", "--no-recurse-submodules"]);
        let mut call = call.arg(format!("--force-with-lease={name}:{old}"));
        if self.address.local().is_some() {
            call = call.arg(durable::receive_pack(&BTreeSet::new()));
        }
        let out = call.args(["--end-of-options", self.url(), &format!("{new}:{name}")]).run().await?;
        if out.status == Some(0) {
            return Ok(Pushed::Look);
        }
        refused(&out).ok_or_else(|| out.fault("push"))
    }

    /// Does the remote let orch push? It is asked to delete a branch that is not there, and not even that is done.
    pub(super) async fn lets_push(&self) -> Result<(), Fault> {
        let call = self.address.with(self.git.call(Some(&self.cache), "push")).within(LOOK);
        let call = call.args(["--dry-run", "--porcelain", "--no-verify", "--end-of-options", self.url()]);
        let out = call.arg(":refs/heads/orch-doctor/there-is-no-such-branch").run().await?;
        if out.status == Some(0) || refused(&out).is_some() {
            return Ok(());
        }
        // Whoever is told that the branch is not there was let in.
        Some(out.fault("push")).filter(|fault| fault.code != FaultCode::NoSuchBranch).map_or(Ok(()), Err)
    }

    /// Of a repository on this machine the branch is on disk; elsewhere that is its server's own business.
    pub(super) async fn keep(&self, branch: &str) -> Result<(), Fault> {
        let Some(dir) = self.address.local().map(Path::to_owned) else { return Ok(()) };
        let dir = if dir.join("objects").is_dir() { dir } else { dir.join(".git") };
        self.git.keep(&dir, &[&format!("refs/heads/{branch}")]).await
    }

    /// Refuses a repository of this machine that refuses every push to the branch, because it is checked out there.
    pub(super) async fn refuse_checked_out(&self, branch: &str) -> Result<(), Fault> {
        let Some(dir) = self.address.local() else { return Ok(()) };
        let ask = async |args: &[&str]| {
            let out = self.git.call(None, "-C").arg(dir).args(args).run().await?;
            Ok::<_, Fault>(String::from_utf8_lossy(&out.stdout).trim().to_owned())
        };
        if ask(&["rev-parse", "--is-bare-repository"]).await? != "false"
            || ask(&["symbolic-ref", "--short", "-q", "HEAD"]).await? != branch
        {
            return Ok(());
        }
        match ask(&["config", "--get", "receive.denyCurrentBranch"]).await?.to_ascii_lowercase().as_str() {
            "updateinstead" | "ignore" | "warn" | "false" => Ok(()),
            _ => Err(Fault::permanent(format!(
                "branch {branch} is checked out there, and git refuses pushes to it; run `git config \
                 receive.denyCurrentBranch updateInstead` there, or name a bare repository in `repo` in [[project]]"
            ))),
        }
    }
}

/// What a push is that did not end well; nothing if the remote did not answer for this branch.
fn refused(out: &Output) -> Option<Pushed> {
    let text = String::from_utf8_lossy(&out.stdout);
    let line = text.lines().find(|l| l.starts_with("!\t"))?;
    let reason = line.split('\t').nth(2).unwrap_or(line).trim();
    if !reason.starts_with("[remote rejected]") {
        // `[rejected] (stale info)`: the comparison failed. `[remote failure]`: its answer was lost.
        return reason.starts_with("[rejected]").then_some(Pushed::Look);
    }
    // Somebody else was at the same branch, or the remote is short of something: that passes.
    const PASSES: [&str; 6] = [
        "failed to update ref",
        "cannot lock ref",
        "unpacker error",
        "incorrect old value",
        "fetch first",
        "stale info",
    ];
    if PASSES.iter().any(|word| reason.contains(word)) {
        return (out.fault("push").kind != FaultKind::Transient).then_some(Pushed::Look);
    }
    let reason = reason.trim_start_matches("[remote rejected]").trim().trim_matches(['(', ')']);
    Some(Pushed::Refused(format!("the remote refused the push: {reason}: {}", told(&out.stderr))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_to_a_push_is_a_refusal_a_reason_to_look_or_none_at_all() {
        let out = |line: &str, stderr: &str| Output {
            status: Some(1),
            stdout: format!("To x\n{line}\nDone\n").into(),
            stderr: stderr.into(),
        };
        let asked = |reason: &str, stderr: &str| refused(&out(&format!("!\ta:refs/heads/main\t{reason}"), stderr));
        let why = asked("[remote rejected] (pre-receive hook declined)", "remote: no merges on Fridays\n");
        assert!(matches!(why, Some(Pushed::Refused(why)) if why.contains("no merges on Fridays")));
        assert_eq!(asked("[rejected] (stale info)", ""), Some(Pushed::Look));
        assert_eq!(asked("[remote rejected] (incorrect old value provided)", ""), Some(Pushed::Look));
        assert_eq!(asked("[remote rejected] (failed to update ref)", "remote: error: cannot lock ref"), None);
        assert_eq!(asked("[remote failure] (remote failed to report status)", ""), None);
        assert_eq!(refused(&out("fatal: x", "fatal: the remote end hung up unexpectedly")), None);
    }
}
