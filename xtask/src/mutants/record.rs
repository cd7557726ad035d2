//! What the last complete run of the planted bugs came to, kept as a committed file: the commit it ran on, a digest of all
//! that the simulation is built from, and for each bug a digest of its patch and what caught it. A bug is passed over only
//! while both digests are the same. It never says that one was caught which was not.

use anyhow::{Context as _, Result, bail};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// Where it is kept.
pub(crate) const FILE: &str = "crates/sim/mutants/record.txt";

/// The crates whose sources the simulation is built from.
const SOURCES: [&str; 4] = ["crates/core/src", "crates/ports/src", "crates/store/src", "crates/sim/src"];
/// What of them the simulation never calls: tests.
const NEVER_CALLED: [&str; 2] = ["crates/ports/src/contract/", "crates/store/src/contract/"];

/// A planted bug that was caught.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Caught {
    /// Digest of its patch.
    pub(crate) patch: String,
    /// The invariant that caught it, or `a-panic`.
    pub(crate) by: String,
    /// In which life.
    pub(crate) seed: String,
}

/// A run in which every planted bug was caught.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Record {
    /// Commit it ran on.
    pub(crate) commit: String,
    /// Digest of what the simulation was built from.
    pub(crate) base: String,
    /// The bugs, by name.
    pub(crate) caught: BTreeMap<String, Caught>,
}

impl Record {
    /// The record of a checkout; an empty one if there is none.
    pub(crate) fn read(root: &Path) -> Result<Self> {
        match fs::read_to_string(root.join(FILE)) {
            Ok(text) => Self::parse(&text).with_context(|| format!("{FILE}: run `cargo xtask mutants --all --record`")),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error).with_context(|| format!("read {FILE}")),
        }
    }

    fn parse(text: &str) -> Result<Self> {
        let mut record = Self::default();
        for line in text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty()) {
            let words: Vec<&str> = line.split_whitespace().collect();
            match words[..] {
                ["commit", commit] => commit.clone_into(&mut record.commit),
                ["base", base] => base.clone_into(&mut record.base),
                [name, patch, by, seed] => {
                    let caught = Caught { patch: patch.into(), by: by.into(), seed: seed.into() };
                    record.caught.insert(name.into(), caught);
                }
                _ => bail!("the line `{line}` says nothing"),
            }
        }
        Ok(record)
    }

    fn render(&self) -> String {
        let mut text = String::from(
            "# Written by `cargo xtask mutants --record`: what the planted bugs came to, and on which sources. A bug is not planted\n\
             # again while neither its patch nor the sources have changed. Columns: name, digest of the patch, caught by, seed.\n",
        );
        let _ = writeln!(text, "commit {}\nbase {}", self.commit, self.base);
        for (name, caught) in &self.caught {
            let _ = writeln!(text, "{name} {} {} {}", caught.patch, caught.by, caught.seed);
        }
        text
    }

    /// Writes it into a checkout.
    pub(crate) fn write(&self, root: &Path) -> Result<()> {
        fs::write(root.join(FILE), self.render()).with_context(|| format!("write {FILE}"))
    }

    /// What caught a bug, if nothing it depends on has changed since.
    pub(crate) fn holds(&self, name: &str, patch: &str, base: &str) -> Option<&Caught> {
        self.caught.get(name).filter(|caught| self.base == base && caught.patch == patch)
    }
}

/// Digest of all that the simulation is built from: names and contents, in the order of the names.
pub(crate) fn base(root: &Path) -> Result<String> {
    let mut files = BTreeMap::new();
    for dir in SOURCES {
        list(root, dir, &mut files)?;
    }
    let mut sum = Sha256::new();
    for (name, bytes) in &files {
        sum.update(format!("{} {name} {}\n", name.len(), bytes.len()));
        sum.update(bytes);
    }
    Ok(hex(&sum.finalize()))
}

/// Digest of a patch.
pub(crate) fn patch(file: &Path) -> Result<String> {
    let bytes = fs::read(file).with_context(|| format!("read {}", file.display()))?;
    Ok(hex(&Sha256::digest(bytes)))
}

fn list(root: &Path, dir: &str, files: &mut BTreeMap<String, Vec<u8>>) -> Result<()> {
    for entry in fs::read_dir(root.join(dir)).with_context(|| format!("read {dir}"))? {
        let entry = entry?;
        let name = format!("{dir}/{}", entry.file_name().to_string_lossy());
        let is_test = name.ends_with("_tests.rs") || name.ends_with("/tests.rs");
        if is_test || NEVER_CALLED.iter().any(|never| format!("{name}/").starts_with(never) || name == *never) {
            continue;
        }
        if entry.file_type()?.is_dir() {
            list(root, &name, files)?;
        } else {
            files.insert(name, fs::read(entry.path())?);
        }
    }
    Ok(())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().take(16).fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_planted_bug_is_passed_over_only_while_patch_and_sources_are_the_same() {
        let caught = Caught { patch: "p1".into(), by: "invariant_x".into(), seed: "7".into() };
        let caught = BTreeMap::from([("a-bug".to_owned(), caught)]);
        let record = Record { commit: "c1".into(), base: "b1".into(), caught };
        assert_eq!(Record::parse(&record.render()).unwrap(), record);
        assert!(record.holds("a-bug", "p1", "b1").is_some());
        for (name, patch, base) in [("b-bug", "p1", "b1"), ("a-bug", "p2", "b1"), ("a-bug", "p1", "b2")] {
            assert_eq!(record.holds(name, patch, base), None, "{name} {patch} {base}");
        }
        assert!(Record::parse("a line that says nothing at all").is_err());
        assert_eq!(Record::default().holds("a-bug", "p1", ""), None);
    }

    #[test]
    fn the_digest_changes_with_what_the_simulation_calls_and_with_nothing_else() {
        let root = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let file = root.path().join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        };
        for dir in SOURCES {
            write(&format!("{dir}/lib.rs"), "");
        }
        write("crates/ports/src/contract/forge.rs", "");
        let first = base(root.path()).unwrap();
        write("crates/ports/src/contract/forge.rs", "pub fn x() {}");
        write("crates/ports/src/contract/mod.rs", "mod forge;");
        write("crates/sim/src/life_tests.rs", "#[test] fn x() {}");
        assert_eq!(base(root.path()).unwrap(), first);
        write("crates/ports/src/contracts.rs", "");
        let second = base(root.path()).unwrap();
        assert_ne!(second, first, "another file is another base");
        for dir in SOURCES {
            let before = base(root.path()).unwrap();
            write(&format!("{dir}/deep/a.rs"), "1");
            assert_ne!(base(root.path()).unwrap(), before, "{dir}");
        }
    }

    /// What is left out of the digest must not be able to change what a life does.
    #[test]
    fn the_simulation_never_calls_what_the_digest_leaves_out() {
        let root = crate::cargo::root();
        let mut files = BTreeMap::new();
        for dir in SOURCES {
            list(root, dir, &mut files).unwrap();
        }
        let says = |name: &str, text: &str| {
            let outside = text.lines().filter(|l| !l.trim_start().starts_with("//")).any(|l| l.contains("contract::"));
            outside.then(|| name.to_owned())
        };
        let callers: Vec<String> =
            files.iter().filter_map(|(name, bytes)| says(name, &String::from_utf8_lossy(bytes))).collect();
        assert_eq!(callers, Vec::<String>::new());
    }
}
