//! Private repositories are caches. Decides whether one is sound, sets a damaged one aside and makes it anew, and goes on
//! where a single branch of the forge cannot be read. What only the damaged one had (work that was not pushed, the attic)
//! is taken over where it can be read, and named where it cannot. It never trusts a repository because its directory
//! is there, and never lets one bad branch stop a project.

use super::GitCli;
use super::dirs::{blocking, discard};
use super::references;
use super::remote::{self, Address};
use super::run::{Output, told};
use super::tree::Repo;
use crate::{durable, owner};
use orch_core::ids::ProjectKey;
use orch_core::verdict::FaultKind;
use orch_ports::{Fault, Remote};
use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// What this process knows of a private repository.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// It was found sound, or made, since this process began.
    probed: bool,
    /// Where it was fetched from last.
    pub(super) remote: Option<Remote>,
    /// Branches of the forge that cannot be read, and what git said.
    pub(super) unreadable: BTreeMap<String, String>,
}

/// In a repository that was set aside: all of it that could be read is in the new one.
const TAKEN: &str = "orch-taken-over";
/// Where a repository names another one whose objects it may read.
const BORROWED: &str = "objects/info/alternates";

/// What git says of a repository that is damaged. Whether it is, a probe decides.
const DAMAGE: &[&str] = &[
    "object file",
    "loose object",
    "corrupt",
    "not a git repository",
    "missing object",
    "missing blob",
    "missing tree",
    "unable to read",
    "bad object",
    "bad tree",
    "could not parse",
    "not a valid object",
    "not our ref",
    "possible repository corruption",
    "never fetched",
];

fn speaks_of_damage(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    DAMAGE.iter().any(|word| text.contains(word))
}

impl GitCli {
    pub(super) fn known<T>(&self, project: &ProjectKey, with: impl FnOnce(&mut Known) -> T) -> T {
        let mut known = self.known.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        with(known.entry(self.repositories.of(project)).or_default())
    }

    /// See [`orch_ports::git::Git::fetch`]. Called under the repository's lock.
    pub(super) async fn bring(&self, project: &ProjectKey, repo: &Repo, remote: &Address) -> Result<(), Fault> {
        let aside = aside(&repo.dir);
        if !repo.dir.is_dir() {
            self.make(project, repo, remote, aside.is_dir().then_some(aside.as_path())).await?;
        } else if !self.known(project, |k| k.probed) {
            let thorough = boot_changed(&repo.dir);
            if let Some(damage) = repo.probe(thorough).await? {
                self.renew(project, repo, remote, &damage).await?;
            }
        }
        self.known(project, |k| k.probed = true);
        let unreadable = match self.fetched(repo, remote).await {
            Ok(()) => BTreeMap::new(),
            Err(fault) if fault.kind == FaultKind::Denied => return Err(fault),
            Err(fault) => {
                if let Some(damage) = repo.probe(true).await? {
                    self.renew(project, repo, remote, &damage).await?;
                }
                repo.fetch_each(remote, fault).await?
            }
        };
        remember_boot(&repo.dir);
        let before = self.known(project, |k| std::mem::replace(&mut k.unreadable, unreadable.clone()));
        for (branch, why) in unreadable.iter().filter(|(branch, _)| !before.contains_key(*branch)) {
            tracing::warn!(
                target: "orch::notice",
                %project,
                "branch {branch} of the forge cannot be read, its task stands still and the others go on: {why}"
            );
        }
        Ok(())
    }

    /// A fetch, but where every branch is here already: of a repository of this machine its files say so.
    async fn fetched(&self, repo: &Repo, remote: &Address) -> Result<(), Fault> {
        if let Some(there) = remote.local().map(Path::to_owned) {
            let here = repo.dir.clone();
            let same = blocking(move || {
                let (there, here) = (references::below(&there, "heads"), references::below(&here, "forge"));
                Ok(there.is_some() && there == here)
            });
            if same.await? {
                return Ok(());
            }
        }
        repo.fetch(remote).await
    }

    /// What a read came to. If it failed because the private repository is damaged, that is made anew, and the read is to
    /// be tried again; if the repository is sound, the fault is what it says.
    pub(super) async fn sound<T>(&self, project: &ProjectKey, done: Result<T, Fault>) -> Result<T, Fault> {
        let Err(fault) = done else { return done };
        let suspect = matches!(fault.kind, FaultKind::Gone | FaultKind::Permanent) && speaks_of_damage(&fault.text);
        let Some(remote) = self.known(project, |k| k.remote.clone()).filter(|_| suspect) else { return Err(fault) };
        let repo = self.repo(project)?;
        let lock = self.lock(project);
        let _held = lock.lock().await;
        let damage = if repo.dir.is_dir() { repo.probe(true).await? } else { Some("it was removed".to_owned()) };
        let Some(damage) = damage else { return Err(fault) };
        let remote = Address::of(&remote)?;
        self.renew(project, &repo, &remote, &damage).await?;
        repo.fetch(&remote).await?;
        Err(Fault::transient(format!("{fault}; the private repository was damaged and has been made anew")))
    }

    /// Sets a damaged repository aside and makes it anew, with what only the old one had.
    async fn renew(&self, project: &ProjectKey, repo: &Repo, remote: &Address, damage: &str) -> Result<(), Fault> {
        let aside = aside(&repo.dir);
        tracing::warn!(
            target: "orch::notice",
            %project,
            "the private repository {} is damaged ({damage}): it is set aside and made anew",
            repo.dir.display()
        );
        let (from, to) = (repo.dir.clone(), aside.clone());
        blocking(move || {
            if from.is_dir() {
                // One is kept, the last.
                discard(&to)?;
                fs::rename(&from, &to).map_err(|e| super::run::io(&from, "set aside", &e))?;
                durable::dir(to.parent().unwrap_or(&to))?;
            }
            Ok(())
        })
        .await?;
        self.git.readers.forget(&repo.dir);
        self.git.facts.forget(&repo.dir);
        self.make(project, repo, remote, Some(&aside)).await
    }

    /// Makes a private repository, and takes over what can be read of one that was set aside.
    async fn make(
        &self,
        project: &ProjectKey,
        repo: &Repo,
        remote: &Address,
        aside: Option<&Path>,
    ) -> Result<(), Fault> {
        let aside = aside.filter(|dir| dir.is_dir() && !dir.join(TAKEN).exists());
        let from = aside.map(Path::to_owned);
        let git = self.git.clone();
        let fresh = remote::create(&self.git, &repo.dir, remote).await?;
        let Some(aside) = from else {
            let fresh = self.share_objects(repo, fresh, remote).await?;
            return remote::place(fresh, repo.dir.clone()).await;
        };
        let old = Repo { git: git.clone(), dir: aside.clone(), index_dir: repo.index_dir.clone() };
        let new = Repo { git, dir: fresh.clone(), index_dir: repo.index_dir.clone() };
        // Its branches first: what was not pushed builds on them. The forge may be away; that shows at the next fetch.
        let _ = new.fetch(remote).await;
        let taken = new.take_over(&old).await;
        let _ = fs::remove_file(old.dir.join(BORROWED));
        let (taken, lost) = match taken {
            Ok(done) => done,
            Err(fault) => {
                blocking(move || discard(&fresh)).await?;
                return Err(fault);
            }
        };
        remote::place(fresh, repo.dir.clone()).await?;
        if lost.is_empty() {
            tracing::info!(%project, taken, "everything that only the damaged repository had was taken over");
            return blocking(move || discard(&aside)).await;
        }
        for (what, why) in &lost {
            tracing::warn!(
                target: "orch::notice",
                %project,
                "{what} was only in the damaged private repository and cannot be read: {why}; what is left of it stays in {} until \
                 the next one is set aside",
                aside.display()
            );
        }
        durable::put(&aside.join(TAKEN), b"", 0o644)
    }
}

impl GitCli {
    /// What begins may have the objects of a repository of this machine; what was damaged is brought anew.
    async fn share_objects(&self, repo: &Repo, fresh: PathBuf, remote: &Address) -> Result<PathBuf, Fault> {
        let Some(there) = remote.local() else { return Ok(fresh) };
        let new = Repo { git: self.git.clone(), dir: fresh.clone(), index_dir: repo.index_dir.clone() };
        let done = async { if new.share(there).await? { new.fetch(remote).await } else { Ok(()) } };
        let Err(fault) = done.await else { return Ok(fresh) };
        // Without them, if they do not hold what the branches need: then the fetch says what is wrong.
        tracing::debug!(%fault, "the objects of the served repository are copied");
        blocking(move || discard(&fresh)).await?;
        remote::create(&self.git, &repo.dir, remote).await
    }
}

/// Where a damaged repository goes.
fn aside(dir: &Path) -> PathBuf {
    dir.with_extension("git.aside")
}

/// The file beside a repository that names the boot in which it was sound.
fn boot_file(dir: &Path) -> PathBuf {
    dir.with_extension("git.boot")
}

/// Did the machine start again since the repository was found sound? Only then can a file be emptier than it was written.
fn boot_changed(dir: &Path) -> bool {
    fs::read_to_string(boot_file(dir)).ok().as_deref() != Some(owner::boot())
}

fn remember_boot(dir: &Path) {
    if boot_changed(dir) {
        // Without it the next start looks more thoroughly than it must.
        let _ = fs::write(boot_file(dir), owner::boot());
    }
}

impl Repo {
    /// What is wrong with the repository, if anything is: is it one, are its references and its youngest objects whole;
    /// `thorough`: does every tip have its files and its history?
    pub(super) async fn probe(&self, thorough: bool) -> Result<Option<String>, Fault> {
        for name in ["HEAD", "config"] {
            match fs::metadata(self.dir.join(name)) {
                Ok(meta) if meta.len() == 0 => return Ok(Some(format!("{name} is empty"))),
                Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Some(format!("{name} is missing"))),
                _ => {}
            }
        }
        let dir = self.dir.clone();
        if let Some(empty) = blocking(move || Ok(empty_object(&dir))).await? {
            return Ok(Some(format!("the object {} is empty", empty.display())));
        }
        let refs = self.call("for-each-ref").args(["--format=%(objecttype)"]).run().await?;
        let said = told(&refs.stderr);
        if refs.status != Some(0) || said.contains("broken ref") {
            return verdict("for-each-ref", &refs).map(|()| Some(said));
        }
        if !thorough {
            return Ok(None);
        }
        for args in [&["--objects", "--no-walk=unsorted", "--all", "--quiet"][..], &["--all", "--quiet"]] {
            let walked = self.call("rev-list").args(args).run().await?;
            if walked.status != Some(0) {
                return verdict("rev-list", &walked).map(|()| Some(told(&walked.stderr)));
            }
        }
        Ok(None)
    }

    /// Fetches branch by branch, because all at once failed with `fault`: that is the answer if the forge does not even
    /// say which branches there are. Returns those that cannot be read.
    async fn fetch_each(&self, remote: &Address, fault: Fault) -> Result<BTreeMap<String, String>, Fault> {
        let listed = remote.list(&self.git).await?;
        let Some(listed) = listed else { return Err(fault) };
        let here = self.call("for-each-ref").args(["--format=%(objectname) %(refname)", "refs/forge/"]).ok().await?;
        let here = String::from_utf8_lossy(&here).into_owned();
        let here: BTreeMap<&str, &str> =
            here.lines().filter_map(|l| l.split_once(" refs/forge/")).map(|(id, name)| (name, id)).collect();
        for gone in here.keys().filter(|name| !listed.contains_key(**name)) {
            self.call("update-ref").args(["-d", &format!("refs/forge/{gone}")]).ok().await?;
        }
        let mut unreadable = BTreeMap::new();
        for (name, id) in &listed {
            if here.get(name.as_str()) == Some(&id.as_str()) {
                continue;
            }
            let mut done = self.fetch_one(remote, name).await?;
            if done.status != Some(0) {
                // It may have moved between being listed and being asked for.
                done = self.fetch_one(remote, name).await?;
            }
            if done.status == Some(0) {
                continue;
            }
            let said = told(&done.stderr);
            if !speaks_of_damage(&said) {
                // Not the branch: the way to the forge, or this machine.
                return Err(done.fault("fetch"));
            }
            unreadable.insert(name.clone(), said);
        }
        self.keep(&[]).await?;
        Ok(unreadable)
    }

    /// Takes over what `old` has under `refs/orch/`, and commits nobody names there. Returns how much, and what cannot be
    /// read, with git's words.
    async fn take_over(&self, old: &Self) -> Result<(usize, Vec<(String, String)>), Fault> {
        let dir = old.dir.clone();
        // What is missing below its own work, the forge may have given back by now.
        let objects = self.dir.join("objects");
        let names = blocking(move || {
            make_readable(&dir)?;
            durable::make_dir(&dir.join("objects/info"))?;
            durable::put(&dir.join(BORROWED), format!("{}\n", objects.display()).as_bytes(), 0o644)?;
            Ok(own_references(&dir))
        })
        .await?;
        let dangling = old.call("fsck").args(["--connectivity-only", "--no-progress", "--no-reflogs"]).run().await?;
        let dangling = String::from_utf8_lossy(&dangling.stdout).into_owned();
        let commits = dangling.lines().filter_map(|l| l.strip_prefix("dangling commit ")).map(str::to_owned);
        let wanted: Vec<(String, String)> = names
            .into_iter()
            .map(|name| (name.clone(), format!("+{name}:{name}")))
            .chain(commits.map(|id| (format!("commit {id}"), id)))
            .collect();
        let bring = async |specs: Vec<String>| {
            let fetch = self.call("fetch").args(["-q", "--no-tags", "--no-write-fetch-head", "--no-auto-maintenance"]);
            let fetch = fetch.args(["--stdin", "--no-recurse-submodules", "--end-of-options"]).arg(&old.dir);
            fetch.stdin(format!("{}\n", specs.join("\n"))).run().await
        };
        if wanted.is_empty() {
            return Ok((0, vec![]));
        }
        if bring(wanted.iter().map(|(_, spec)| spec.clone()).collect()).await?.status == Some(0) {
            return Ok((wanted.len(), vec![]));
        }
        let mut lost = vec![];
        for (what, spec) in &wanted {
            let one = bring(vec![spec.clone()]).await?;
            if one.status != Some(0) {
                lost.push((what.clone(), told(&one.stderr)));
            }
        }
        Ok((wanted.len() - lost.len(), lost))
    }
}

/// A machine without room is no damage.
fn verdict(what: &str, output: &Output) -> Result<(), Fault> {
    let fault = output.fault(what);
    if matches!(fault.kind, FaultKind::Transient | FaultKind::Denied) { Err(fault) } else { Ok(()) }
}

/// An object whose file holds nothing: what a machine leaves that lost its power before the file was written.
fn empty_object(git_dir: &Path) -> Option<PathBuf> {
    for fan in fs::read_dir(git_dir.join("objects")).into_iter().flatten().flatten() {
        if fan.file_name().len() != 2 {
            continue;
        }
        for file in fs::read_dir(fan.path()).into_iter().flatten().flatten() {
            if file.metadata().is_ok_and(|m| m.is_file() && m.len() == 0) {
                return Some(Path::new(&fan.file_name()).join(file.file_name()));
            }
        }
    }
    None
}

/// Makes a repository that was set aside one that git reads again: what is empty there says nothing.
fn make_readable(dir: &Path) -> Result<(), Fault> {
    let empty = |path: &Path| fs::metadata(path).map_or(true, |m| m.len() == 0);
    let sha256 = fs::read_to_string(dir.join("config")).is_ok_and(|c| c.contains("sha256"));
    let files = [
        ("HEAD", "ref: refs/heads/orch-none\n"),
        ("config", "[core]\n\trepositoryformatversion = 0\n\tbare = true\n[uploadpack]\n\tallowAnySHA1InWant = true\n"),
    ];
    for (name, text) in files {
        if empty(&dir.join(name)) && !sha256 {
            durable::put(&dir.join(name), text.as_bytes(), 0o644)?;
        }
    }
    for name in ["objects", "refs"] {
        durable::make_dir(&dir.join(name))?;
    }
    while let Some(object) = empty_object(dir) {
        let file = dir.join("objects").join(object);
        fs::remove_file(&file).map_err(|e| super::run::io(&file, "remove", &e))?;
    }
    Ok(())
}

/// The references of orch's own, as files and packed. Git would stop at the first that is broken.
fn own_references(dir: &Path) -> Vec<String> {
    let mut found = vec![];
    let mut stack = vec![dir.join("refs/orch")];
    while let Some(at) = stack.pop() {
        for entry in fs::read_dir(at).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|t| t.is_dir()) {
                stack.push(entry.path());
            } else if let Ok(name) = entry.path().strip_prefix(dir)
                && name.extension().is_none_or(|e| e != "lock")
                && let Some(name) = name.to_str()
            {
                found.push(name.to_owned());
            }
        }
    }
    let packed = fs::read_to_string(dir.join("packed-refs")).unwrap_or_default();
    found.extend(
        packed
            .lines()
            .filter_map(|l| Some(l.split_once(' ')?.1))
            .filter(|n| n.starts_with("refs/orch/"))
            .map(str::to_owned),
    );
    found.sort();
    found.dedup();
    found
}
