//! Talking to the forge's copy of a repository: fetch, look, push. Decides what may be pushed and what an answer means.
//! It may never push the protected default branch, whoever asks, and never overwrite what somebody else pushed.

use super::dirs::{discard, unique};
use super::run::{Call, GitRun, Output, told};
use super::tree::{Repo, checked};
use orch_core::ids::Sha;
use orch_ports::Fault;
use orch_ports::git::PushAnswer;
use std::path::Path;
use std::time::Duration;

/// A lock file this old belongs to no running git: none of ours runs that long.
const STALE_LOCK: Duration = Duration::from_hours(1);

/// A remote's address; credentials written into it travel in the environment, not in the list of processes.
pub(super) struct Remote {
    address: String,
    authorization: Option<String>,
}

impl Remote {
    /// Reads an address as the forge names it.
    pub(super) fn new(remote: &str) -> Result<Self, Fault> {
        if remote.is_empty() || remote.starts_with('-') || remote.contains(['\n', '\0']) {
            return Err(Fault::bug("the address of the remote is empty or malformed"));
        }
        let plain = Self { address: remote.to_owned(), authorization: None };
        let Some((scheme, rest)) = remote.split_once("://") else { return Ok(plain) };
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        match authority.rsplit_once('@') {
            Some((user, host)) if scheme == "http" || scheme == "https" => Ok(Self {
                address: format!("{scheme}://{host}{path}"),
                authorization: Some(format!("Authorization: Basic {}", base64(&percent_decoded(user)))),
            }),
            _ => Ok(plain),
        }
    }

    /// Where it is, without credentials.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    pub(super) fn with<'g>(&self, call: Call<'g>) -> Call<'g> {
        match &self.authorization {
            Some(header) => call.config(format!("http.{}.extraHeader", self.address), header),
            None => call,
        }
    }
}

/// The one spelling of a branch: without `refs/`, `heads/` in front.
fn branch_name(name: &str) -> &str {
    let mut name = name;
    while let Some(rest) = name.strip_prefix("refs/").or_else(|| name.strip_prefix("heads/")) {
        name = rest;
    }
    name
}

/// The law: a task's branch may be pushed, the default branch never.
pub(super) fn refuse_protected<'b>(branch: &'b str, protected: &str) -> Result<&'b str, Fault> {
    let name = branch_name(branch);
    let default = branch_name(protected);
    if default.is_empty() {
        return Err(Fault::bug("push without naming the protected default branch"));
    }
    // Case does not count: on some forges' file systems it is the same branch.
    if name.eq_ignore_ascii_case(default) || name.eq_ignore_ascii_case("HEAD") || name == "@" {
        return Err(Fault::bug(format!(
            "refused to push '{branch}': orch never pushes the default branch '{default}'"
        )));
    }
    Ok(name)
}

/// Creates a private repository that speaks the remote's object format. A crash leaves a temporary directory only.
pub(super) async fn create(git: &GitRun, dir: &Path, remote: &Remote) -> Result<(), Fault> {
    let listed =
        remote.with(git.call(None, "ls-remote")).args(["-q", "--end-of-options", &remote.address]).ok().await?;
    let long = listed.split(|b| *b == b'\t').next().is_some_and(|id| id.len() == 64);
    let format = if long { "--object-format=sha256" } else { "--object-format=sha1" };
    let fresh = dir.with_extension(format!("new-{}", unique()));
    let init = git.call(None, "init").args(["-q", "--bare", "--template=", "--initial-branch=orch-none", format]);
    init.arg("--end-of-options").arg(&fresh).ok().await?;
    // Working directories are cut from any commit, not only from tips.
    let config = git.call(Some(&fresh), "config").args(["uploadpack.allowAnySHA1InWant", "true"]).ok().await;
    let moved = config.and_then(|_| std::fs::rename(&fresh, dir).map_err(|e| super::run::io(dir, "create", &e)));
    if moved.is_err() {
        discard(&fresh)?;
        if dir.is_dir() {
            return Ok(());
        }
    }
    moved
}

impl Repo {
    /// Mirrors the remote's branches to `refs/forge/`.
    pub(super) async fn fetch(&self, remote: &Remote) -> Result<(), Fault> {
        let fetch = || {
            let call = remote.with(self.call("fetch"));
            let call = call.args(["-q", "--prune", "--no-tags", "--no-write-fetch-head", "--no-auto-maintenance"]);
            call.args(["--no-recurse-submodules", "--end-of-options", &remote.address, "+refs/heads/*:refs/forge/*"])
        };
        let first = fetch().run().await?;
        if first.status == Some(0) {
            return Ok(());
        }
        if String::from_utf8_lossy(&first.stderr).contains(".lock': File exists") && self.remove_stale_locks() {
            return fetch().ok().await.map(drop);
        }
        Err(first.fault("fetch"))
    }

    /// Fetches one commit by its id, and the tags. That the remote does not give it is no fault: it is not there then.
    pub(super) async fn fetch_commit(&self, remote: &Remote, commit: &Sha) -> Result<(), Fault> {
        for what in ["+refs/tags/*:refs/forge-tags/*", checked(commit)?] {
            let call = remote.with(self.call("fetch")).args(["-q", "--no-tags", "--no-write-fetch-head"]);
            let call = call.args(["--no-auto-maintenance", "--no-recurse-submodules", "--end-of-options"]);
            let output = call.args([&remote.address, what]).run().await?;
            let fault = (output.status != Some(0)).then(|| output.fault("fetch"));
            if let Some(fault) = fault.filter(Fault::is_transient) {
                return Err(fault);
            }
        }
        Ok(())
    }

    /// A git process that was killed while it changed a reference leaves its lock file; nothing else ever removes it.
    fn remove_stale_locks(&self) -> bool {
        let mut removed = false;
        let mut stack = vec![self.dir.join("refs")];
        let mut files = vec![self.dir.join("packed-refs.lock"), self.dir.join("config.lock")];
        while let Some(dir) = stack.pop() {
            for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
                if entry.file_type().is_ok_and(|t| t.is_dir()) {
                    stack.push(entry.path());
                } else {
                    files.push(entry.path());
                }
            }
        }
        for file in files.into_iter().filter(|f| f.extension().is_some_and(|e| e == "lock")) {
            let age = std::fs::metadata(&file).and_then(|m| m.modified()).ok().and_then(|t| t.elapsed().ok());
            if age.is_some_and(|a| a > STALE_LOCK) && std::fs::remove_file(&file).is_ok() {
                tracing::warn!(file = %file.display(), "removed a lock file that a killed git left");
                removed = true;
            }
        }
        removed
    }

    /// Where the remote's branch is now.
    pub(super) async fn look(&self, remote: &Remote, reference: &str) -> Result<Option<Sha>, Fault> {
        let call = remote.with(self.call("ls-remote")).args(["-q", "--end-of-options", &remote.address, reference]);
        let out = String::from_utf8_lossy(&call.ok().await?).into_owned();
        Ok(out
            .lines()
            .filter_map(|l| l.split_once('\t'))
            .find(|(_, name)| *name == reference)
            .map(|(id, _)| Sha::new(id)))
    }

    /// A branch of the remote that cannot be there beside `name`: `a` and `a/b`, and one that differs in case only, or
    /// clashes so, where the remote's file system takes both for the same.
    async fn clash(&self, remote: &Remote, name: &str) -> Result<Option<String>, Fault> {
        let call = remote.with(self.call("ls-remote")).args(["-q", "--heads", "--end-of-options", &remote.address]);
        let out = String::from_utf8_lossy(&call.ok().await?).into_owned();
        let heads = out.lines().filter_map(|l| l.split_once("\trefs/heads/")).map(|(_, head)| head);
        Ok(heads.filter(|head| *head != name).find(|head| clashes(head, name)).map(str::to_owned))
    }

    /// Pushes a task's branch.
    pub(super) async fn push(
        &self,
        remote: &Remote,
        branch: &str,
        protected: &str,
        commit: &Sha,
        expect: Option<&Sha>,
    ) -> Result<PushAnswer, Fault> {
        let name = refuse_protected(branch, protected)?;
        let reference = format!("refs/heads/{name}");
        self.check_ref(&reference).await?;
        let lease = expect.map(checked).transpose()?.unwrap_or_default();
        let call = remote.with(self.call("push")).args(["--porcelain", "--no-verify", "--no-recurse-submodules"]);
        let call = call.arg(format!("--force-with-lease={reference}:{lease}"));
        let call = call.args(["--end-of-options", &remote.address, &format!("{}:{reference}", checked(commit)?)]);
        let output = call.run().await?;
        if output.status == Some(0) {
            return Ok(PushAnswer::Done);
        }
        let Some(reason) = rejection(&output) else { return Err(output.fault("push")) };
        // Whatever the words: where the branch is decides what it means.
        let now = self.look(remote, &reference).await?;
        if now.as_ref() == Some(commit) {
            Ok(PushAnswer::Done)
        } else if now.as_ref() != expect {
            Ok(PushAnswer::Rejected { now })
        } else {
            if let Some(other) = self.clash(remote, name).await? {
                return Err(Fault::permanent(format!(
                    "push {name}: its name clashes with the branch `{other}`, which is on the forge: git keeps the two in one \
                     place; rename or delete `{other}`, then let the task go on"
                )));
            }
            // The forge answered, and said no to this. Whether it will say so for ever its words do not tell.
            Err(Fault::permanent(format!("push {name}: the forge refused: {reason}: {}", told(&output.stderr)))
                .unsure())
        }
    }

    /// Refuses a name that git would not take as a reference.
    pub(super) async fn check_ref(&self, reference: &str) -> Result<(), Fault> {
        let output = self.call("check-ref-format").arg(reference).run().await?;
        if output.status == Some(0) { Ok(()) } else { Err(Fault::bug(format!("'{reference}' cannot name a branch"))) }
    }
}

/// Are these two the same place, or one of them a directory of the other, for a file system without case?
fn clashes(one: &str, other: &str) -> bool {
    let (one, other) = (one.to_lowercase(), other.to_lowercase());
    let below = |dir: &str, path: &str| path.strip_prefix(dir).is_some_and(|rest| rest.starts_with('/'));
    one == other || below(&one, &other) || below(&other, &one)
}

/// The reason a reference was refused: the parenthesis of its `!` line.
fn rejection(output: &Output) -> Option<String> {
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().find(|l| l.starts_with("!\t"))?;
    Some(line.split('\t').nth(2).unwrap_or(line).to_owned())
}

fn percent_decoded(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut out = vec![];
    let mut at = 0;
    while at < bytes.len() {
        let hex = text.get(at + 1..at + 3).filter(|_| bytes[at] == b'%').and_then(|h| u8::from_str_radix(h, 16).ok());
        out.push(hex.unwrap_or(bytes[at]));
        at += if hex.is_some() { 3 } else { 1 };
    }
    out
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().chain([0, 0].iter()).take(3).fold(0_usize, |w, b| w << 8 | usize::from(*b));
        for place in 0..4 {
            let digit = DIGITS[word >> (18 - 6 * place) & 63];
            out.push(if place <= chunk.len() { char::from(digit) } else { '=' });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_branch_is_refused_in_any_spelling() {
        for name in ["main", "refs/heads/main", "heads/main", "MAIN", "refs/heads/refs/heads/main", "HEAD", "@"] {
            assert!(refuse_protected(name, "main").is_err(), "{name}");
            assert!(refuse_protected(name, "refs/heads/main").is_err(), "{name}");
        }
        assert!(refuse_protected("feature/x", "").is_err(), "not knowing what is protected is no permission");
        assert_eq!(refuse_protected("feature/main", "main").unwrap(), "feature/main");
        assert_eq!(refuse_protected("refs/heads/feature/x", "main").unwrap(), "feature/x");
    }

    #[test]
    fn two_names_clash_when_one_is_a_directory_of_the_other_or_only_case_differs() {
        for (one, other, clash) in [
            ("feature", "feature/SHOP-1-x", true),
            ("feature/SHOP-1-x/old", "feature/SHOP-1-x", true),
            ("Feature", "feature/SHOP-1-x", true),
            ("feature/shop-1-x", "feature/SHOP-1-x", true),
            ("features", "feature/SHOP-1-x", false),
            ("feature/SHOP-1-xy", "feature/SHOP-1-x", false),
            ("main", "feature/SHOP-1-x", false),
        ] {
            assert_eq!(clashes(one, other), clash, "{one} {other}");
        }
    }

    #[test]
    fn credentials_leave_the_address() {
        let remote = Remote::new("https://bot:p%40ss@forge:3000/o/r.git").unwrap();
        assert_eq!(remote.address, "https://forge:3000/o/r.git");
        assert_eq!(remote.authorization.as_deref(), Some("Authorization: Basic Ym90OnBAc3M="));
        assert_eq!(Remote::new("ssh://git@forge/o/r.git").unwrap().address, "ssh://git@forge/o/r.git");
        assert_eq!(Remote::new("/srv/a@b.git").unwrap().authorization, None);
        assert!(Remote::new("--upload-pack=touch x").is_err());
        assert_eq!((base64(b"a"), base64(b"ab"), base64(b"abc")), ("YQ==".into(), "YWI=".into(), "YWJj".into()));
    }
}
