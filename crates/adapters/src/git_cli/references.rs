//! References of a repository of this machine, read from its files: what a git would be started for dozens of times an hour
//! only to say that nothing has changed. Where they are kept in another way, or say anything else than an object id, this
//! says nothing, and git is asked.

use crate::local_forge::is_object_id;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

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
    let packed = match fs::read_to_string(git_dir.join("packed-refs")) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(_) => return None,
    };
    let prefix = format!("refs/{dir}/");
    for line in packed.lines().filter(|line| !line.starts_with(['#', '^'])) {
        let (id, name) = line.split_once(' ').filter(|(id, _)| is_object_id(id))?;
        if let Some(name) = name.strip_prefix(&prefix) {
            found.entry(name.to_owned()).or_insert_with(|| id.to_owned());
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
}
