//! Builds of the workspace. Everything is built with `--workspace`, whatever part of it is wanted: features of
//! dependencies are decided by what is selected, and two selections are two builds of the same crates.

use anyhow::{Context as _, Result, ensure};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A program that cargo built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Built {
    /// Package it belongs to: `orch-core`.
    pub(crate) package: String,
    /// Directory of that package.
    pub(crate) dir: PathBuf,
    /// Its target: `orch_core`, `wire`.
    pub(crate) target: String,
    /// What kind of target: `lib`, `bin`, `test`.
    pub(crate) kind: String,
    /// Is it a test binary?
    pub(crate) test: bool,
    /// Where it is.
    pub(crate) exe: PathBuf,
}

/// The directory of the workspace.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

/// Runs cargo on the workspace and returns the programs it built or found built. What does not compile is on standard
/// error.
pub(crate) fn build(what: &[&str]) -> Result<Vec<Built>> {
    let done = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(what)
        .args(["--workspace", "--locked", "--quiet", "--message-format=json-render-diagnostics"])
        .current_dir(root())
        .stderr(Stdio::inherit())
        .output()
        .context("start cargo")?;
    ensure!(done.status.success(), "`cargo {}` failed", what.join(" "));
    Ok(String::from_utf8_lossy(&done.stdout).lines().filter_map(named).collect())
}

/// A program of the workspace, built with these features beside the default ones.
pub(crate) fn program(name: &str, features: &[&str]) -> Result<PathBuf> {
    let mut what = vec!["build", "--bin", name];
    let list = features.join(",");
    if !features.is_empty() {
        what.extend(["--features", &list]);
    }
    let found = build(&what)?.into_iter().find(|b| b.target == name && b.kind == "bin" && !b.test);
    Ok(found.with_context(|| format!("cargo does not say where {name} is"))?.exe)
}

/// Where cargo builds.
pub(crate) fn target_dir() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |dir| root().join(dir))
}

/// The program that a line of cargo's messages speaks of.
fn named(line: &str) -> Option<Built> {
    let message: serde_json::Value = serde_json::from_str(line).ok()?;
    let text = |pointer: &str| message.pointer(pointer).and_then(serde_json::Value::as_str).map(str::to_owned);
    let exe = text("/executable")?;
    let dir = PathBuf::from(text("/manifest_path")?).parent()?.to_owned();
    // `path+file:///src/crates/core#orch-core@0.1.0`, or `...#0.1.0` where the directory has the package's name.
    let id = text("/package_id")?;
    let (place, version) = id.rsplit_once('#')?;
    let name = version.split_once('@').map_or_else(|| place.rsplit('/').next(), |(name, _)| Some(name))?;
    Some(Built {
        package: name.to_owned(),
        dir,
        target: text("/target/name")?,
        kind: text("/target/kind/0")?,
        test: message.pointer("/profile/test")?.as_bool()?,
        exe: exe.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_line_of_cargo_names_a_program_or_nothing() {
        let line = r#"{"reason":"compiler-artifact","package_id":"path+file:///s/crates/core#orch-core@0.1.0","manifest_path":"/s/crates/core/Cargo.toml","target":{"kind":["test"],"name":"wire"},"profile":{"test":true},"executable":"/t/wire-1"}"#;
        let built = named(line).unwrap();
        assert_eq!((built.package.as_str(), built.target.as_str(), built.kind.as_str()), ("orch-core", "wire", "test"));
        assert_eq!((built.dir.as_path(), built.exe.as_path()), (Path::new("/s/crates/core"), Path::new("/t/wire-1")));
        let same = line.replace("orch-core@0.1.0", "0.1.0").replace("crates/core#", "crates/xtask#");
        assert_eq!(named(&same).unwrap().package, "xtask");
        assert_eq!(named(&line.replace("\"/t/wire-1\"", "null")), None);
        assert_eq!(named("not a message"), None);
    }

    /// Chores and the demonstration are built without tests, and use what was built with them.
    #[test]
    fn dependencies_have_the_same_features_with_tests_and_without() {
        let features = |edges: &str| -> BTreeSet<String> {
            let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
            let arguments = ["tree", "--workspace", "--locked", "--offline", "--prefix", "none", "--format", "{p} {f}"];
            let said =
                Command::new(cargo).args(arguments).args(["--edges", edges]).current_dir(root()).output().unwrap();
            assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
            String::from_utf8_lossy(&said.stdout).lines().map(str::to_owned).collect()
        };
        let (without, with) = (features("normal,build"), features("normal,build,dev"));
        let other: Vec<&String> = without.difference(&with).filter(|line| !line.ends_with("(*)")).collect();
        assert!(other.is_empty(), "give xtask these with the features that tests ask for: {other:?}");
    }
}
