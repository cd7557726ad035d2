//! Talking to the forge's copy of a repository: fetch, look, push. Decides what may be pushed and what an answer means.
//! It may never push the protected default branch, whoever asks, and never overwrite what somebody else pushed.

use super::dirs::{blocking, discard, sweep_leftovers};
use super::names::is_branch_name;
use super::run::{Call, GitRun, Output, told};
use super::tree::{Repo, checked};
use crate::{durable, locks, owner};
use orch_core::ids::Sha;
use orch_ports::git::PushAnswer;
use orch_ports::{Fault, Remote, Secret};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// A remote as git is told it: the address as an argument, the credentials in the environment, where neither the list of
/// processes nor a repository's configuration shows them.
pub(crate) struct Address {
    url: String,
    authorization: Option<String>,
}

impl Address {
    /// Reads what the forge names. A malformed address is a bug: it would be read as an option.
    pub(crate) fn of(remote: &Remote) -> Result<Self, Fault> {
        let url = remote.url.clone();
        if url.is_empty() || url.starts_with('-') || url.contains(['\n', '\0']) {
            return Err(Fault::bug("the address of the remote is empty or malformed"));
        }
        let basic = |secret: &Secret| format!("Authorization: Basic {}", base64(secret.expose().as_bytes()));
        Ok(Self { authorization: remote.credentials.as_ref().map(basic), url })
    }

    /// The directory, if the repository is one of this machine.
    pub(crate) fn local(&self) -> Option<&Path> {
        let path = Path::new(self.url.strip_prefix("file://").unwrap_or(&self.url));
        (path.is_absolute() && path.is_dir()).then_some(path)
    }

    /// Where it is.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Every branch it has, by name; `None` if it does not say.
    pub(super) async fn list(&self, git: &GitRun) -> Result<Option<BTreeMap<String, String>>, Fault> {
        let call = self.with(git.call(None, "ls-remote")).args(["-q", "--heads", "--end-of-options", &self.url]);
        let output = call.run().await?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let heads = text.lines().filter_map(|l| l.split_once("\trefs/heads/"));
        let heads = heads.map(|(id, name)| (name.to_owned(), id.to_owned())).collect();
        Ok((output.status == Some(0)).then_some(heads))
    }

    /// Gives a call what it needs to be let in.
    pub(crate) fn with<'g>(&self, call: Call<'g>) -> Call<'g> {
        match &self.authorization {
            Some(header) => call.config(format!("http.{}.extraHeader", self.url), header),
            None if self.is_ssh() => match std::env::var_os("SSH_AUTH_SOCK") {
                // The keys themselves, `known_hosts` and `config` ssh finds in the user's own home.
                Some(agent) => call.env("SSH_AUTH_SOCK", agent),
                None => call,
            },
            None => call,
        }
    }

    /// `ssh://` or ssh's short form `git@host:path`.
    fn is_ssh(&self) -> bool {
        match self.url.split_once("://") {
            Some((scheme, _)) => scheme == "ssh" || scheme.ends_with("+ssh"),
            None => self.url.split_once(':').is_some_and(|(host, _)| !host.contains('/')),
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

/// Creates a private repository that speaks the remote's object format, beside its place `dir`; returns where. What a crash
/// leaves there goes with the next one.
pub(super) async fn create(git: &GitRun, dir: &Path, remote: &Address) -> Result<PathBuf, Fault> {
    let listed = remote.with(git.call(None, "ls-remote")).args(["-q", "--end-of-options", remote.url()]).ok().await?;
    let long = listed.split(|b| *b == b'\t').next().is_some_and(|id| id.len() == 64);
    let format = if long { "--object-format=sha256" } else { "--object-format=sha1" };
    let at = dir.to_owned();
    blocking(move || {
        // What dead processes left of repositories they were making.
        if let (Some(parent), Some(name)) = (at.parent(), at.file_stem()) {
            sweep_leftovers(parent, &format!("{}.{NEW}-", name.to_string_lossy()));
        }
        Ok(())
    })
    .await?;
    let fresh = dir.with_extension(format!("{NEW}-{}", owner::mark()));
    let init = git.call(None, "init").args(["-q", "--bare", "--template=", "--initial-branch=orch-none", format]);
    init.arg("--end-of-options").arg(&fresh).ok().await?;
    // Working directories are cut from any commit, not only from tips.
    let config = git.call(Some(&fresh), "config").args(["uploadpack.allowAnySHA1InWant", "true"]).ok().await;
    if let Err(fault) = config {
        blocking(move || discard(&fresh)).await?;
        return Err(fault);
    }
    Ok(fresh)
}

/// What a repository is called that is being made.
const NEW: &str = "new";

/// Moves a repository that was built beside its place there; after a power cut it is there whole or not at all.
pub(super) async fn place(fresh: PathBuf, dir: PathBuf) -> Result<(), Fault> {
    blocking(move || {
        let placed = durable::tree(&fresh)
            .and_then(|()| std::fs::rename(&fresh, &dir).map_err(|e| super::run::io(&dir, "create", &e)))
            .and_then(|()| durable::dir(dir.parent().unwrap_or(&dir)));
        if placed.is_err() {
            discard(&fresh)?;
        }
        placed
    })
    .await
}

impl Repo {
    /// Mirrors the remote's branches to `refs/forge/`.
    pub(super) async fn fetch(&self, remote: &Address) -> Result<(), Fault> {
        let call = remote.with(self.call("fetch"));
        let call = call.args(["-q", "--prune", "--no-tags", "--no-write-fetch-head", "--no-auto-maintenance"]);
        let call =
            call.args(["--no-recurse-submodules", "--end-of-options", remote.url(), "+refs/heads/*:refs/forge/*"]);
        let first = call.run().await?;
        if first.status == Some(0) {
            return self.keep(&[]).await;
        }
        Err(first.fault("fetch"))
    }

    /// Fetches one commit by its id, and the tags. That the remote does not give it is no fault: it is not there then.
    pub(super) async fn fetch_commit(&self, remote: &Address, commit: &Sha) -> Result<(), Fault> {
        for what in ["+refs/tags/*:refs/forge-tags/*", checked(commit)?] {
            let call = remote.with(self.call("fetch")).args(["-q", "--no-tags", "--no-write-fetch-head"]);
            let call = call.args(["--no-auto-maintenance", "--no-recurse-submodules", "--end-of-options"]);
            let output = call.args([remote.url(), what]).run().await?;
            let fault = (output.status != Some(0)).then(|| output.fault("fetch"));
            if let Some(fault) = fault.filter(Fault::is_transient) {
                return Err(fault);
            }
        }
        Ok(())
    }

    /// Fetches a single branch.
    pub(super) async fn fetch_one(&self, remote: &Address, branch: &str) -> Result<Output, Fault> {
        let call = remote.with(self.call("fetch"));
        let call = call.args(["-q", "--no-tags", "--no-write-fetch-head", "--no-auto-maintenance"]);
        let call = call.args(["--no-recurse-submodules", "--end-of-options", remote.url()]);
        call.arg(format!("+refs/heads/{branch}:refs/forge/{branch}")).run().await
    }

    /// Where the remote's branch is now.
    pub(super) async fn look(&self, remote: &Address, reference: &str) -> Result<Option<Sha>, Fault> {
        let call = remote.with(self.call("ls-remote")).args(["-q", "--end-of-options", remote.url(), reference]);
        let out = String::from_utf8_lossy(&call.ok().await?).into_owned();
        Ok(out
            .lines()
            .filter_map(|l| l.split_once('\t'))
            .find(|(_, name)| *name == reference)
            .map(|(id, _)| Sha::new(id)))
    }

    /// A branch of the remote that cannot be there beside `name`: `a` and `a/b`, and one that differs in case only, or
    /// clashes so, where the remote's file system takes both for the same.
    async fn clash(&self, remote: &Address, name: &str) -> Result<Option<String>, Fault> {
        let call = remote.with(self.call("ls-remote")).args(["-q", "--heads", "--end-of-options", remote.url()]);
        let out = String::from_utf8_lossy(&call.ok().await?).into_owned();
        let heads = out.lines().filter_map(|l| l.split_once("\trefs/heads/")).map(|(_, head)| head);
        Ok(heads.filter(|head| *head != name).find(|head| clashes(head, name)).map(str::to_owned))
    }

    /// Pushes a task's branch.
    pub(super) async fn push(
        &self,
        remote: &Address,
        branch: &str,
        protected: &str,
        commit: &Sha,
        expect: Option<&Sha>,
        unreadable: &BTreeSet<String>,
    ) -> Result<PushAnswer, Fault> {
        let name = refuse_protected(branch, protected)?;
        let reference = format!("refs/heads/{name}");
        self.check_ref(&reference).await?;
        let lease = expect.map(checked).transpose()?.unwrap_or_default();
        let local = remote.local();
        // What a snapshot left here, and what is brought there, are on disk when this says that it is done.
        let ours = self.keep(&[]);
        let theirs = async {
            match local.filter(|_| unreadable.is_empty()) {
                Some(there) => self.deliver(there, name, commit, expect).await.unwrap_or_else(|fault| {
                    tracing::debug!(%fault, "git is asked to push");
                    false
                }),
                None => false,
            }
        };
        let (kept, delivered) = tokio::join!(ours, theirs);
        kept?;
        // As the next fetch would find it; whoever moves it until then is found by that, and so is what is not noted.
        let note = async || {
            if let Err(fault) = self.point(&format!("refs/forge/{name}"), commit).await {
                tracing::debug!(%fault, "the next fetch notes it");
            }
        };
        if delivered {
            note().await;
            return Ok(PushAnswer::Done);
        }
        let push = async || {
            let call = remote.with(self.call("push")).args(["--porcelain", "--no-verify", "--no-recurse-submodules"]);
            let mut call = call.arg(format!("--force-with-lease={reference}:{lease}"));
            if local.is_some() {
                call = call.arg(durable::receive_pack(unreadable));
            }
            let call = call.args(["--end-of-options", remote.url(), &format!("{}:{reference}", checked(commit)?)]);
            call.run().await
        };
        let mut output = push().await?;
        // The lock is one of the repository that receives.
        if let Some(dir) = local.map(Path::to_owned).filter(|_| output.met_a_lock())
            && blocking(move || Ok(locks::drop_dead(&dir))).await?
        {
            output = push().await?;
        }
        // Whoever answers "done" has it on disk; elsewhere that is the forge's own business.
        let keep = async || match local {
            Some(dir) => self.git.keep(dir, &[&reference]).await,
            None => Ok(()),
        };
        if output.status == Some(0) {
            keep().await?;
            note().await;
            return Ok(PushAnswer::Done);
        }
        let Some(reason) = rejection(&output) else { return Err(output.fault("push")) };
        // Whatever the words: where the branch is decides what it means.
        let now = self.look(remote, &reference).await?;
        if now.as_ref() == Some(commit) {
            keep().await?;
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
        // Nearly all are of a kind that git takes.
        if is_branch_name(reference) {
            return Ok(());
        }
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
    fn credentials_travel_beside_the_address() {
        let address = Address::of(&Remote::of("https://bot:p%40ss@forge:3000/o/r.git")).unwrap();
        assert_eq!(address.url, "https://forge:3000/o/r.git");
        assert_eq!(address.authorization.as_deref(), Some("Authorization: Basic Ym90OnBAc3M="));
        assert!(Address::of(&Remote::of("--upload-pack=touch x")).is_err());
        for (url, ssh) in [
            ("ssh://git@forge/o/r.git", true),
            ("git@forge:o/r.git", true),
            ("git+ssh://forge/r", true),
            ("https://forge/r", false),
            ("/srv/a:b.git", false),
        ] {
            assert_eq!(Address::of(&Remote::of(url)).unwrap().is_ssh(), ssh, "{url}");
        }
        assert_eq!((base64(b"a"), base64(b"ab"), base64(b"abc")), ("YQ==".into(), "YWI=".into(), "YWJj".into()));
    }
}
