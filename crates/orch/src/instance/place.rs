//! Where state lies. Pure but for looks at the file system; makes nothing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Where root and system services keep theirs.
const SYSTEM: &str = "/var/lib/orch";
/// Letters of a name that come from a directory's name.
const STEM: usize = 40;

/// Directory of all instances of this user; `None`: the environment names no home.
pub fn home(env: &BTreeMap<String, String>, root: bool) -> Option<PathBuf> {
    let whole = |name: &str| env.get(name).map(PathBuf::from).filter(|p| p.is_absolute());
    // systemd may give several, the first one is the service's own; it is made for orch alone.
    let systemd = env.get("STATE_DIRECTORY").and_then(|all| all.split(':').next()).map(PathBuf::from);
    systemd
        .filter(|p| p.is_absolute())
        .or_else(|| Some(whole("XDG_STATE_HOME")?.join("orch")))
        .or_else(|| root.then(|| PathBuf::from(SYSTEM)))
        .or_else(|| Some(whole("HOME")?.join(".local/state/orch")))
}

/// Every directory that may hold instances this user can see, the one for new ones first.
pub fn homes(env: &BTreeMap<String, String>, root: bool) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> = home(env, root).into_iter().collect();
    if !env.contains_key("XDG_STATE_HOME") || !root {
        all.extend(env.get("HOME").map(|home| Path::new(home).join(".local/state/orch")).filter(|p| p.is_absolute()));
        all.push(SYSTEM.into());
    }
    let mut seen = Vec::new();
    all.retain(|dir| {
        !seen.contains(dir) && {
            seen.push(dir.clone());
            true
        }
    });
    all
}

/// State directory of an instance: where it is already, else where it would be made.
///
/// A service of systemd keeps its state in `/var/lib/orch`, and whoever asks about it from a shell has no
/// `STATE_DIRECTORY`: what exists wins over what would be made.
pub fn state_dir(env: &BTreeMap<String, String>, root: bool, name: &str) -> Option<PathBuf> {
    let first = home(env, root)?.join(name);
    if first.exists() {
        return Some(first);
    }
    let there = homes(env, root).into_iter().map(|dir| dir.join(name)).find(|dir| dir.join("orch.db").exists());
    Some(there.unwrap_or(first))
}

/// Directory of configurations that lie in no clone.
pub fn config_home(env: &BTreeMap<String, String>) -> Option<PathBuf> {
    let whole = |name: &str| env.get(name).map(PathBuf::from).filter(|p| p.is_absolute());
    whole("XDG_CONFIG_HOME").or_else(|| Some(whole("HOME")?.join(".config"))).map(|dir| dir.join("orch"))
}

/// Is this process root's?
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Is this a name of an instance? It becomes one part of a path.
pub fn is_name(name: &str) -> bool {
    name.len() <= 64
        && name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

/// A new name for a clone: its directory's name and four digits, so that two clones called `shop` stay apart.
pub fn new_name(clone: &Path, random: u16) -> String {
    let name = clone.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let plain: String = deunicode::deunicode(&name)
        .to_lowercase()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .collect();
    let words: Vec<&str> = plain.split('-').filter(|word| !word.is_empty()).collect();
    let mut stem: String = words.join("-").chars().take(STEM).collect();
    stem.truncate(stem.trim_end_matches('-').len());
    let stem = if stem.is_empty() { "orch" } else { &stem };
    format!("{stem}-{random:04x}")
}

/// A path with its links resolved as far as it exists.
pub fn real(path: &Path) -> PathBuf {
    for above in path.ancestors() {
        if let Ok(real) = above.canonicalize() {
            // Joined with nothing, a path would end in a slash, and a file of that name cannot be read.
            let rest = path.strip_prefix(above).ok().filter(|rest| *rest != Path::new(""));
            return rest.map_or_else(|| real.clone(), |rest| real.join(rest));
        }
    }
    path.to_owned()
}

/// Top of the working tree a place lies in, found as git finds it: a `.git` in a directory above.
pub fn working_tree_above(path: &Path) -> Option<PathBuf> {
    let real = real(path);
    real.ancestors().skip(1).find(|dir| std::fs::symlink_metadata(dir.join(".git")).is_ok()).map(Path::to_owned)
}

/// A part of the path that is a symbolic link and is tracked by the repository it lies in.
pub fn tracked_link(path: &Path) -> Option<PathBuf> {
    let links = path.ancestors().filter(|p| std::fs::symlink_metadata(p).is_ok_and(|m| m.is_symlink()));
    links.map(Path::to_owned).find(|link| {
        let (Some(dir), Some(name)) = (link.parent(), link.file_name()) else { return false };
        if working_tree_above(&dir.join("x")).is_none() {
            return false;
        }
        Command::new("git")
            .arg("-C")
            .arg(dir)
            .args(["--literal-pathspecs", "ls-files", "--error-unmatch", "--"])
            .arg(name)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn the_home_of_state_is_what_the_platform_says() {
        let anna = ("HOME", "/home/anna");
        for (pairs, root, want) in [
            (&[anna][..], false, Some("/home/anna/.local/state/orch")),
            (&[anna], true, Some("/var/lib/orch")),
            (&[anna, ("XDG_STATE_HOME", "/x")], false, Some("/x/orch")),
            (&[anna, ("XDG_STATE_HOME", "/x")], true, Some("/x/orch")),
            // The standard says that a relative one is to be ignored.
            (&[anna, ("XDG_STATE_HOME", "x")], false, Some("/home/anna/.local/state/orch")),
            (&[anna, ("STATE_DIRECTORY", "/var/lib/orch:/var/lib/more")], false, Some("/var/lib/orch")),
            (&[anna, ("STATE_DIRECTORY", "")], false, Some("/home/anna/.local/state/orch")),
            (&[], false, None),
        ] {
            assert_eq!(home(&env(pairs), root).as_deref(), want.map(Path::new), "{pairs:?} {root}");
        }
    }

    #[test]
    fn a_name_is_one_plain_part_of_a_path() {
        for (dir, want) in [
            ("/src/shop", "shop-00af"),
            ("/src/p flag проект", "p-flag-proekt-00af"),
            ("/src/..", "orch-00af"),
            ("/src/---", "orch-00af"),
            ("/", "orch-00af"),
            ("/src/.dotfiles", "dotfiles-00af"),
        ] {
            let name = new_name(Path::new(dir), 0xaf);
            assert_eq!(name, want);
            assert!(is_name(&name), "{name}");
        }
        let long = new_name(Path::new(&format!("/src/{}", "я".repeat(200))), 1);
        assert!(is_name(&long), "{long}");
        for bad in ["", "-x", ".", "..", "a/b", "a b", "A", "ä", &"x".repeat(65)] {
            assert!(!is_name(bad), "{bad}");
        }
    }

    #[test]
    fn a_working_tree_is_seen_through_links_and_where_nothing_is_yet() {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().canonicalize().unwrap().join("clone");
        std::fs::create_dir_all(top.join("sub")).unwrap();
        std::fs::write(top.join(".git"), "gitdir: elsewhere").unwrap();
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(top.join("sub"), &link).unwrap();
        assert_eq!(working_tree_above(&top.join("sub/deep/er")).as_ref(), Some(&top));
        assert_eq!(working_tree_above(&link.join("state")).as_ref(), Some(&top));
        assert_eq!(working_tree_above(&dir.path().join("beside/state")), None);
    }
}
