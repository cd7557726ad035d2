//! References of a repository of this machine, read from its files: what a git would be started for dozens of times an hour
//! only to say that nothing has changed. Those of the private repository are moved so, too, under the lock that git takes.
//! Where they are kept in another way, or say anything else than an object id, this says nothing, and git is asked.

use super::dirs::blocking;
use super::names::{is_branch_name, is_object_id};
use super::tree::{Repo, checked};
use crate::locks::Held;
use orch_core::ids::Sha;
use orch_ports::Fault;
use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::Path;

impl Repo {
    /// Lets a reference of the private repository name this commit, which is there. A power cut leaves it as it was before,
    /// or as it is now; which of the two is the caller's to settle.
    pub(super) async fn point(&self, reference: &str, commit: &Sha) -> Result<(), Fault> {
        let (dir, name, id) = (self.dir.clone(), reference.to_owned(), checked(commit)?.to_owned());
        if !blocking(move || Ok(Move { to: &id, from: From::Anywhere, log: None }.of(&dir, &name).is_some())).await? {
            self.call("update-ref").args(["--end-of-options", reference, commit.as_str()]).ok().await?;
        }
        Ok(())
    }
}

/// A reference that is to name another commit.
pub(super) struct Move<'m> {
    pub(super) to: &'m str,
    pub(super) from: From<'m>,
    /// What is noted of it: who and when, as git writes it.
    pub(super) log: Option<&'m str>,
}

/// What a reference must name before it is moved.
pub(super) enum From<'m> {
    /// That does not matter.
    Anywhere,
    /// It must not be there.
    Nowhere,
    /// This commit.
    Commit(&'m str),
}

impl From<'_> {
    fn is(&self, now: Option<&str>) -> bool {
        match self {
            Self::Anywhere => true,
            Self::Nowhere => now.is_none(),
            Self::Commit(id) => now == Some(*id),
        }
    }
}

impl Move<'_> {
    /// Does it as git does (`refs/files-backend.c`): its lock, the new id in it, synced, then in its place. `None`, and nothing
    /// done, where git has to.
    pub(super) fn of(&self, git_dir: &Path, reference: &str) -> Option<()> {
        let id = self.to;
        let name = reference.strip_prefix("refs/").filter(|name| is_branch_name(name))?;
        if !git_dir.join("HEAD").is_file() || git_dir.join("reftable").exists() || !is_object_id(id) {
            return None;
        }
        // Is its place free among those that are packed?
        let below = |one: &str, other: &str| one.strip_prefix(other).is_some_and(|rest| rest.starts_with('/'));
        let free = |packed: &[(String, String)]| !packed.iter().any(|(_, it)| below(it, name) || below(name, it));
        free(&packed(git_dir)?).then_some(())?;
        let path = git_dir.join(reference);
        // A directory of references that are gone; one that is not empty stays.
        let _ = fs::remove_dir(&path);
        fs::create_dir_all(path.parent()?).ok()?;
        let lock = path.with_file_name(format!("{}.lock", path.file_name()?.to_str()?));
        let mut held = Held::take(&lock)?;
        let mut moved = || {
            let before = match fs::read_to_string(&path) {
                Ok(before) => Some(before.trim_end().to_owned()).filter(|id| is_object_id(id)).map(Some)?,
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                    let packed = packed(git_dir)?;
                    free(&packed).then_some(())?;
                    packed.into_iter().find(|(_, other)| other == name).map(|(id, _)| id)
                }
                Err(_) => return None,
            };
            self.from.is(before.as_deref()).then_some(())?;
            held.file.write_all(format!("{id}\n").as_bytes()).and_then(|()| held.file.sync_all()).ok()?;
            if let Some(who) = self.log.filter(|_| before.as_deref() != Some(id)) {
                let log = git_dir.join("logs").join(reference);
                let old = before.unwrap_or_else(|| "0".repeat(id.len()));
                fs::create_dir_all(log.parent()?).ok()?;
                let mut log = fs::OpenOptions::new().append(true).create(true).open(log).ok()?;
                log.write_all(format!("{old} {id} {who}\n").as_bytes()).ok()?;
            }
            fs::rename(&lock, &path).ok()
        };
        let done = moved();
        if done.is_none() {
            let _ = fs::remove_file(&lock);
        }
        done
    }
}

/// The packed references, id and name without `refs/`.
fn packed(git_dir: &Path) -> Option<Vec<(String, String)>> {
    let text = match fs::read_to_string(git_dir.join("packed-refs")) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(_) => return None,
    };
    let lines = text.lines().filter(|line| !line.starts_with(['#', '^']));
    lines
        .map(|line| {
            let (id, name) = line.split_once(' ').filter(|(id, _)| is_object_id(id))?;
            Some((id.to_owned(), name.strip_prefix("refs/")?.to_owned()))
        })
        .collect()
}

/// Ids by name below `refs/<dir>`.
pub(super) fn below(git_dir: &Path, dir: &str) -> Option<BTreeMap<String, String>> {
    if !git_dir.join("HEAD").is_file() || git_dir.join("reftable").exists() {
        return None;
    }
    let mut found = BTreeMap::new();
    // Files of their own first: one that is being packed meanwhile is in the packed ones before it goes.
    let top = git_dir.join("refs").join(dir);
    let mut open = vec![(top, String::new())];
    while let Some((here, prefix)) = open.pop() {
        let entries = match fs::read_dir(&here) {
            Ok(entries) => entries,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
            Err(_) => return None,
        };
        for entry in entries {
            let entry = entry.ok()?;
            let name = entry.file_name().into_string().ok()?;
            let kind = entry.file_type().ok()?;
            if kind.is_dir() {
                open.push((entry.path(), format!("{prefix}{name}/")));
            } else if name.strip_suffix(".lock").is_none() {
                let text = fs::read_to_string(entry.path()).ok().filter(|_| kind.is_file())?;
                let id = text.trim_end();
                found.insert(format!("{prefix}{name}"), id.to_owned()).is_none().then_some(())?;
                is_object_id(id).then_some(())?;
            }
        }
    }
    let prefix = format!("{dir}/");
    for (id, name) in packed(git_dir)? {
        if let Some(name) = name.strip_prefix(&prefix) {
            found.entry(name.to_owned()).or_insert(id);
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    fn git(dir: &Path, args: &[&str]) -> String {
        let who = ["-c", "user.name=a", "-c", "user.email=a@example.org"];
        let out = Command::new("git").args(who).args(args).current_dir(dir).output().unwrap();
        assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap()
    }

    /// What git itself lists.
    fn listed(dir: &Path) -> BTreeMap<String, String> {
        let text = git(dir, &["for-each-ref", "--format=%(objectname) %(refname:lstrip=2)", "refs/heads/"]);
        text.lines().filter_map(|l| l.split_once(' ')).map(|(id, name)| (name.into(), id.into())).collect()
    }

    #[test]
    fn files_say_what_git_lists_packed_or_not_moved_or_deleted() {
        let tmp = tempfile::tempdir().unwrap();
        let repo = tmp.path();
        git(repo, &["init", "-q", "--bare", "."]);
        assert_eq!(below(repo, "heads"), Some(BTreeMap::new()));
        let tree = git(repo, &["mktree"]);
        let commit = |message: &str| git(repo, &["commit-tree", tree.trim(), "-m", message]).trim().to_owned();
        let (one, two) = (commit("one"), commit("two"));
        let set = |name: &str, id: &str| git(repo, &["update-ref", &format!("refs/heads/{name}"), id]);
        for name in ["main", "feature/a", "feature/ö/b", "x"] {
            set(name, &one);
            assert_eq!(below(repo, "heads"), Some(listed(repo)), "{name}");
        }
        git(repo, &["tag", "-a", "-m", "v1", "v1", &one]);
        git(repo, &["pack-refs", "--all"]);
        assert_eq!(below(repo, "heads"), Some(listed(repo)));
        set("main", &two);
        git(repo, &["update-ref", "-d", "refs/heads/x"]);
        set("later", &two);
        let now = below(repo, "heads").unwrap();
        assert_eq!(now, listed(repo));
        assert_eq!((now["main"].as_str(), now.len()), (two.as_str(), 4));
    }

    #[test]
    fn what_is_no_id_is_left_to_git() {
        let tmp = tempfile::tempdir().unwrap();
        let repo = tmp.path();
        assert_eq!(below(repo, "heads"), None, "no repository");
        git(repo, &["init", "-q", "--bare", "."]);
        for text in ["", "ref: refs/heads/main\n", "0123\n"] {
            fs::write(repo.join("refs/heads/odd"), text).unwrap();
            assert_eq!(below(repo, "heads"), None, "{text:?}");
        }
        fs::remove_file(repo.join("refs/heads/odd")).unwrap();
        std::os::unix::fs::symlink("/etc/hostname", repo.join("refs/heads/link")).unwrap();
        assert_eq!(below(repo, "heads"), None, "a link");
        fs::remove_file(repo.join("refs/heads/link")).unwrap();
        fs::create_dir(repo.join("reftable")).unwrap();
        assert_eq!(below(repo, "heads"), None, "kept in another way");
    }

    #[test]
    fn git_finds_a_reference_where_it_was_moved_and_is_left_what_is_not_plain() {
        let tmp = tempfile::tempdir().unwrap();
        let repo = tmp.path();
        git(repo, &["init", "-q", "--bare", "."]);
        let tree = git(repo, &["mktree"]);
        let commit = |message: &str| git(repo, &["commit-tree", tree.trim(), "-m", message]).trim().to_owned();
        let (one, two) = (commit("one"), commit("two"));
        let set = |repo: &Path, name: &str, id: &str| Move { to: id, from: From::Anywhere, log: None }.of(repo, name);
        let at = |name: &str| git(repo, &["rev-parse", name]).trim().to_owned();
        for id in [&one, &two] {
            set(repo, "refs/orch/tasks/SHOP-1", id).unwrap();
            assert_eq!(&at("refs/orch/tasks/SHOP-1"), id);
        }
        git(repo, &["pack-refs", "--all"]);
        set(repo, "refs/orch/tasks/SHOP-1", &one).unwrap();
        assert_eq!(at("refs/orch/tasks/SHOP-1"), one, "it stands above the packed one");
        git(repo, &["pack-refs", "--all"]);
        for clash in ["refs/orch/tasks", "refs/orch/tasks/SHOP-1/x", "refs/../x", "HEAD", "refs/orch/a..b"] {
            assert_eq!(set(repo, clash, &one), None, "{clash}");
        }
        fs::create_dir_all(repo.join("refs/orch/other")).unwrap();
        fs::write(repo.join("refs/orch/other/held.lock"), "").unwrap();
        assert_eq!(set(repo, "refs/orch/other/held", &one), None, "somebody else holds it");
        assert!(repo.join("refs/orch/other/held.lock").exists());
        git(repo, &["symbolic-ref", "refs/orch/other/link", "refs/heads/main"]);
        assert_eq!(set(repo, "refs/orch/other/link", &one), None, "a name of another");
        assert_eq!(set(repo, "refs/orch/other/short", "0123"), None);
        assert_eq!(git(repo, &["for-each-ref", "--format=%(refname)"]).trim(), "refs/orch/tasks/SHOP-1");
        // Only from where it is said to be, packed or not.
        fn from<'m>(from: From<'m>, to: &'m str) -> Move<'m> {
            Move { to, from, log: Some("orch <o@x> 1 +0000\tpush") }
        }
        let name = "refs/orch/tasks/SHOP-1";
        for wrong in [From::Nowhere, From::Commit(&two)] {
            assert_eq!(from(wrong, &two).of(repo, name), None);
        }
        from(From::Commit(&one), &two).of(repo, name).unwrap();
        from(From::Nowhere, &one).of(repo, "refs/heads/new").unwrap();
        assert_eq!((at(name), at("refs/heads/new")), (two.clone(), one.clone()));
        let log = git(repo, &["reflog", "show", "--format=%H %gs %gn", "refs/heads/new"]);
        assert_eq!(log.trim(), format!("{one} push orch"));
        assert!(!repo.join("refs/orch/tasks/SHOP-1.lock").exists());
    }
}
