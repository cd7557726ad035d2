//! Rust: which new files nothing brings into the build. Their tests do not run, so they are nobody's heirs. A file is built
//! if cargo finds it by itself, if a manifest names it, or if a file that is built declares it; a file that was there
//! before is taken for built, because what declares it need not be part of the change.

use super::Changed;
use super::model::{Mark, Off, Tests};
use std::collections::{BTreeMap, BTreeSet};

/// Directories of a package in which cargo finds targets.
const TARGETS: [&str; 3] = ["tests", "benches", "examples"];

/// New files of Rust that no root reaches.
pub(super) fn dead<'p>(changed: &[&Changed<'p>], files: &BTreeMap<&str, Tests>) -> BTreeSet<&'p str> {
    let manifests = changed.iter().filter(|c| parts(c.path).1 == "Cargo.toml");
    let named: BTreeSet<String> = manifests.filter_map(|c| c.after).flat_map(named_sources).collect();
    let gone: BTreeSet<&str> = changed.iter().filter(|c| c.after.is_none()).map(|c| place(c.path)).collect();
    let is_rust = |c: &&&Changed<'p>| is_source(c.path) && c.after.is_some();
    // One that takes the place of a file of this module, `a.rs` for `a/mod.rs`, is declared where that was.
    let starts = |c: &&Changed<'p>| {
        c.before.is_some()
            || gone.contains(place(c.path))
            || named.contains(parts(c.path).1)
            || is_root(c.path, changed)
    };
    let (mut reached, mut dead): (Vec<&'p str>, BTreeSet<&'p str>) = (Vec::new(), BTreeSet::new());
    for file in changed.iter().filter(is_rust) {
        if starts(file) {
            reached.push(file.path);
        } else {
            dead.insert(file.path);
        }
    }
    // Each turn takes one file and what it brings, so that a ring of files ends.
    while let Some(from) = reached.pop() {
        let Some(brings) = files.get(from).map(|tests| &tests.brings) else { continue };
        let brought: Vec<&'p str> =
            dead.iter().copied().filter(|to| brings.iter().any(|name| declares(from, name, to))).collect();
        for path in brought {
            dead.remove(path);
            reached.push(path);
        }
    }
    dead
}

/// Modules with tests that were in every build, or in more of them, and are declared under a condition now: the file that
/// declares them, their name, and the condition. Only of those whose file is part of the change is it known what is in it.
pub(super) fn gated<'p>(
    before: &BTreeMap<&'p str, Tests>,
    after: &BTreeMap<&'p str, Tests>,
    tested: &BTreeSet<&str>,
) -> Vec<(&'p str, String, Mark)> {
    let mut found = Vec::new();
    for (path, now) in after {
        let Some(was) = before.get(path) else { continue };
        for (name, mark) in now.gates.iter().filter(|(_, mark)| mark.off > Off::Runs) {
            // Of two declarations one may be for each build.
            let least = |tests: &Tests| tests.gates.iter().filter(|(n, _)| n == name).map(|(_, m)| m.off).min();
            let worse = least(was).is_some_and(|off| mark.off > off) && least(now) == Some(mark.off);
            let said = was.declares.iter().any(|(n, _)| n == name);
            if worse && !said && tested.iter().any(|file| is_module(path, name, file)) {
                found.push((*path, name.clone(), mark.clone()));
            }
        }
    }
    found
}

/// Is a file the module of this name that another one declares?
fn is_module(from: &str, name: &str, file: &str) -> bool {
    let (dir, own) = parts(from);
    let stem = own.strip_suffix(".rs").unwrap_or(own);
    let beside = ["lib", "main", "mod"].contains(&stem);
    let above =
        [dir, if beside { "" } else { stem }].iter().filter(|p| !p.is_empty()).copied().collect::<Vec<_>>().join("/");
    let rest = if above.is_empty() { Some(file) } else { file.strip_prefix(&above).and_then(|r| r.strip_prefix('/')) };
    rest.is_some_and(|rest| place(rest) == name)
}

/// May a file be what another one brings by this name: a module below it, or a file it names?
fn declares(from: &str, name: &str, to: &str) -> bool {
    let (above, (dir, file)) = (parts(from).0, parts(to));
    let below = above.is_empty() || dir == above || dir.strip_prefix(above).is_some_and(|rest| rest.starts_with('/'));
    name == file || (below && module(to) == Some(name))
}

/// Does cargo find this file by itself? <https://doc.rust-lang.org/cargo/guide/project-layout.html>
fn is_root(path: &str, changed: &[&Changed<'_>]) -> bool {
    let (dir, name) = parts(path);
    let (above, parent) = parts(dir);
    match name {
        "lib.rs" => parent == "src",
        "main.rs" => parent == "src" || has_targets(above, changed),
        "build.rs" => !path.split('/').any(|part| part == "src" || TARGETS.contains(&part)),
        _ => has_targets(dir, changed),
    }
}

/// Is this directory one of targets, and not one of modules with the same name? Beside `tests` of a package stands its
/// manifest, and no module.
fn has_targets(dir: &str, changed: &[&Changed<'_>]) -> bool {
    let (above, name) = parts(dir);
    if name == "bin" {
        return parts(above).1 == "src";
    }
    let beside = |c: &&Changed<'_>| {
        let (dir, name) = parts(c.path);
        let is_root = ["lib.rs", "main.rs", "build.rs"].contains(&name);
        (dir == above && is_source(name) && !is_root) || c.path.strip_suffix(".rs") == Some(above)
    };
    TARGETS.contains(&name) && parts(above).1 != "src" && !changed.iter().any(beside)
}

fn is_source(path: &str) -> bool {
    path.strip_suffix(".rs").is_some()
}

/// The module a file of Rust is.
fn module(path: &str) -> Option<&str> {
    let (dir, name) = parts(path);
    match name.strip_suffix(".rs")? {
        "mod" => Some(parts(dir).1),
        stem => Some(stem),
    }
}

/// What `a.rs` and `a/mod.rs`, two places for one module, have in common.
fn place(path: &str) -> &str {
    path.strip_suffix("/mod.rs").or_else(|| path.strip_suffix(".rs")).unwrap_or(path)
}

/// Names of files of Rust in a manifest.
fn named_sources(manifest: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(manifest);
    let parts = text.split(|c: char| c.is_whitespace() || "\"'/".contains(c));
    parts.filter(|part| part.strip_suffix(".rs").is_some()).map(str::to_owned).collect()
}

/// Directory and name.
fn parts(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}
