//! Which toolchain commands of a project meet on this machine: what a verdict and a layer depend on. Decides by the files behind
//! the names of programs, and starts none of them.

use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// Programs that build and test, though no command names them.
const TOOLS: &[&str] = &[
    "bun", "c++", "cargo", "cc", "clang", "cmake", "deno", "dotnet", "g++", "gcc", "go", "java", "javac", "make",
    "mvn", "node", "npm", "php", "pip", "pnpm", "poetry", "python", "python3", "ruby", "rustc", "rustup", "uv", "yarn",
];

/// The programs that a command finds, each with the file behind its name: none is run for it. One that is installed, replaced or
/// removed makes another text.
pub(crate) fn identity(env: &BTreeMap<String, String>, path: &str, lines: &[&str]) -> String {
    let path = env.get("PATH").map_or(path, String::as_str);
    let is_word = |c: char| c.is_ascii_alphanumeric() || "_.+-/".contains(c);
    let words = lines.iter().flat_map(|line| line.split(move |c| !is_word(c)));
    let names: BTreeSet<&str> =
        words.filter(|word| !word.is_empty() && !word.contains('/')).chain(TOOLS.iter().copied()).collect();
    let mut text = String::new();
    for name in names {
        let files = path.split(':').filter(|dir| dir.starts_with('/')).map(|dir| Path::new(dir).join(name));
        let mut there = files.filter_map(|file| {
            let real = file.canonicalize().ok()?;
            let meta = real.metadata().ok()?;
            (meta.is_file() && meta.mode() & 0o111 != 0).then_some((real, meta))
        });
        if let Some((real, meta)) = there.next() {
            let _ = write!(text, "\0{name}={} {} {}", real.display(), meta.len(), meta.mtime());
        }
    }
    // Behind rustup's names is one program for all versions.
    if let Some(home) = env.get("RUSTUP_HOME").map(Path::new) {
        let hashes = std::fs::read_dir(home.join("update-hashes")).into_iter().flatten().flatten();
        let files: BTreeSet<_> = hashes.map(|entry| entry.path()).chain([home.join("settings.toml")]).collect();
        for file in files {
            let content = std::fs::read(&file).unwrap_or_default();
            let _ = write!(text, "\0{}={:?}", file.display(), Sha256::digest(content));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn install(dir: &Path, name: &str, text: &str) {
        let file = dir.join(name);
        std::fs::write(&file, text).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    #[test]
    fn a_tool_that_is_installed_replaced_or_removed_makes_another_verdict() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().display().to_string();
        let of = || identity(&BTreeMap::new(), &path, &["prepare --all", "check-all && ./own.sh"]);
        let mut seen = vec![of()];
        for (name, text) in [("check-all", "one"), ("check-all", "other"), ("prepare", "one"), ("rustc", "one")] {
            install(dir.path(), name, text);
            seen.push(of());
        }
        std::fs::remove_file(dir.path().join("check-all")).unwrap();
        seen.push(of());
        let different: BTreeSet<&String> = seen.iter().collect();
        assert_eq!(different.len(), seen.len(), "{seen:?}");
        install(dir.path(), "nobody-names-it", "one");
        assert_eq!(of(), seen[5]);
    }

    #[test]
    fn an_update_of_rustup_makes_another_verdict() {
        let dir = tempfile::tempdir().unwrap();
        let env = BTreeMap::from([("RUSTUP_HOME".to_owned(), dir.path().display().to_string())]);
        let of = || identity(&env, "/nowhere", &["cargo test"]);
        let before = of();
        std::fs::create_dir(dir.path().join("update-hashes")).unwrap();
        std::fs::write(dir.path().join("update-hashes/stable"), "1").unwrap();
        let first = of();
        std::fs::write(dir.path().join("update-hashes/stable"), "2").unwrap();
        assert!(before != first && first != of());
    }
}
