//! Which toolchain commands of a project meet on this machine: what a verdict and a cache were made with. Decides by where the
//! programs are and what they weigh, and starts none of them.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Programs that build, install and test.
const PROGRAMS: &[&str] = &[
    "bun", "bundle", "cargo", "cc", "clang", "cmake", "composer", "dotnet", "gcc", "go", "gradle", "java", "javac",
    "just", "make", "mix", "mvn", "node", "npm", "pdm", "php", "pip", "pnpm", "poetry", "pytest", "python", "python3",
    "ruby", "rustc", "rustup", "sh", "tox", "uv", "yarn",
];

/// What is found on a `PATH`, one line each: the same text as long as nothing of it is replaced. Of rustup, whose programs stand
/// for those of a toolchain, the toolchains count.
pub(crate) fn identity(path: &str, env: &BTreeMap<String, String>) -> String {
    let path = env.get("PATH").map_or(path, String::as_str);
    let mut lines = Vec::new();
    for program in PROGRAMS {
        let found = path.split(':').map(|dir| Path::new(dir).join(program)).find_map(|file| file.canonicalize().ok());
        lines.extend(found.and_then(|file| line(&file)));
    }
    // Without it a command, whose HOME is its own, finds no toolchain of rustup.
    if let Some(rustup) = env.get("RUSTUP_HOME").map(PathBuf::from) {
        lines.extend(line(&rustup.join("settings.toml")));
        // Written at every update, one file for each toolchain.
        let hashes = std::fs::read_dir(rustup.join("update-hashes")).into_iter().flatten().flatten();
        let mut hashes: Vec<String> = hashes.filter_map(|entry| line(&entry.path())).collect();
        hashes.sort_unstable();
        lines.extend(hashes);
    }
    lines.extend(env.get("RUSTUP_TOOLCHAIN").map(|name| format!("rustup {name}")));
    lines.join("\n")
}

fn line(file: &Path) -> Option<String> {
    let meta = std::fs::metadata(file).ok().filter(std::fs::Metadata::is_file)?;
    Some(format!("{} {} {}.{}", file.display(), meta.len(), meta.mtime(), meta.mtime_nsec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_program_of_the_name_is_another_toolchain() {
        let temp = tempfile::tempdir().unwrap();
        let (one, two) = (temp.path().join("one"), temp.path().join("two"));
        for dir in [&one, &two] {
            std::fs::create_dir(dir).unwrap();
        }
        let env = BTreeMap::from([("RUSTUP_HOME".to_owned(), temp.path().display().to_string())]);
        let path = format!("{}:{}", one.display(), two.display());
        let now = || identity(&path, &env);
        let nothing = now();
        std::fs::write(two.join("node"), "20").unwrap();
        let second = now();
        std::fs::write(one.join("node"), "22.1").unwrap();
        let first = now();
        std::fs::write(one.join("other"), "x").unwrap();
        assert_eq!(now(), first, "what builds nothing is not asked");
        std::fs::create_dir(temp.path().join("update-hashes")).unwrap();
        std::fs::write(temp.path().join("update-hashes/stable"), "1a2b").unwrap();
        let all = [nothing, second, first, now()];
        for (n, text) in all.iter().enumerate() {
            assert!(!all[..n].contains(text), "{text}");
        }
        assert_eq!(all[3], now());
        let own = BTreeMap::from([("PATH".to_owned(), "/nowhere".to_owned()), env.into_iter().next().unwrap()]);
        assert!(!identity(&path, &own).contains("node"), "the project's own PATH counts");
    }
}
