//! Projects that ask for packages and pin none. Decides by paths alone: a `package.json`, `Cargo.toml` or `Pipfile` with
//! no lock file beside it or above it. What such a project installs is not known to anybody, and without this list it
//! would look as if it installed nothing.

use super::{Kind, is_manifest};
use std::collections::HashSet;

/// Those of `paths` (all files of a repository) that have no lock file. What lies below `node_modules` is somebody
/// else's. `pyproject.toml` is not among them: its names are read.
pub fn unlocked<'a>(paths: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let (mut locks, mut projects) = (HashSet::new(), Vec::new());
    for path in paths {
        let (dir, name) = path.rsplit_once('/').unwrap_or(("", path));
        let language = match (is_manifest(path), name) {
            (Some(Kind::PackageLock | Kind::PnpmLock | Kind::YarnLock), _) => Language::Node,
            (Some(Kind::CargoLock), _) => Language::Rust,
            (Some(Kind::PipfileLock), _) => Language::Python,
            (_, "package.json") => {
                projects.push((path, dir, Language::Node));
                continue;
            }
            (_, "Cargo.toml") => {
                projects.push((path, dir, Language::Rust));
                continue;
            }
            (_, "Pipfile") => {
                projects.push((path, dir, Language::Python));
                continue;
            }
            _ => continue,
        };
        locks.insert((dir, language));
    }
    let locked = |dir: &str, language| {
        let above = dir.match_indices('/').map(|(at, _)| &dir[..at]);
        above.chain([dir, ""]).any(|dir| locks.contains(&(dir, language)))
    };
    let foreign = |path: &str| path.split('/').any(|part| part == "node_modules");
    let mut out: Vec<String> = projects
        .into_iter()
        .filter(|(path, dir, language)| !foreign(path) && !locked(dir, *language))
        .map(|(path, ..)| path.to_owned())
        .collect();
    out.sort();
    out
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Language {
    Node,
    Python,
    Rust,
}

#[cfg(test)]
mod tests {
    use super::unlocked;

    #[test]
    fn a_project_without_a_lock_file_is_named() {
        let paths = [
            "Cargo.toml",
            "crates/a/Cargo.toml",
            "Cargo.lock",
            "web/package.json",
            "web/ui/package.json",
            "web/pnpm-lock.yaml",
            "tools/x/package.json",
            "tools/x/node_modules/y/package.json",
            "tools/Cargo.lock",
            "py/Pipfile",
        ];
        assert_eq!(unlocked(paths), ["py/Pipfile", "tools/x/package.json"]);
        assert_eq!(unlocked(["webby/package.json", "web/yarn.lock"]), ["webby/package.json"]);
        assert_eq!(unlocked(["package.json", "yarn.lock"]), Vec::<String>::new());
    }
}
