//! Proves that the simulation can fail: every planted bug must be caught by a named invariant, and the life that caught it
//! made small enough to be read. It works on a copy of the sources and never touches the checkout. While one bug is built,
//! the one before it lives.

use anyhow::{Context as _, Result, bail};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::JoinHandle;
use std::time::Instant;

/// What became of a planted bug.
enum Fate {
    Caught { by: String, seed: String, steps: String, shrunk: String },
    Survived,
    DoesNotApply(String),
    DoesNotBuild(String),
}

fn say(line: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()?;
    Ok(())
}

/// What a run is to do.
pub(crate) struct Wishes {
    /// Only mutants whose name contains this.
    pub(crate) only: Option<String>,
    /// Lives a mutant gets.
    pub(crate) seeds: u64,
    /// Seconds to make a life that caught one smaller.
    pub(crate) shrink: u64,
    /// Where to build.
    pub(crate) target: Option<PathBuf>,
    /// Where the small lives are kept.
    pub(crate) scn_dir: Option<PathBuf>,
}

pub(crate) fn run(wishes: &Wishes) -> Result<()> {
    let root = root()?;
    let mut patches = patches(&root)?;
    patches.retain(|p| wishes.only.as_ref().is_none_or(|only| name(p).contains(only)));
    if patches.is_empty() {
        bail!("there is no such patch in crates/sim/mutants");
    }
    let scratch = tempfile::tempdir().context("make a temporary directory")?;
    let copy = scratch.path().join("copy");
    let target = wishes.target.clone().unwrap_or_else(|| scratch.path().join("target"));
    let scenarios = wishes.scn_dir.clone().unwrap_or_else(|| scratch.path().join("scn"));
    copy_sources(&root, &copy)?;

    let began = Instant::now();
    let sane = scratch.path().join("sane");
    if let Some(why) = build(&copy, &target, &sane)? {
        bail!("the simulation does not build:\n{why}");
    }
    if let Fate::Caught { by, seed, .. } = live(&sane, 20, 0, &scenarios)? {
        bail!("without any mutant {by} does not hold (seed {seed}): mend that first");
    }
    let mut bad = 0;
    let mut living: Option<(&PathBuf, JoinHandle<Result<Fate>>)> = None;
    for patch in &patches {
        let binary = scratch.path().join(name(patch));
        let built = plant(&copy, patch, || Ok(build(&copy, &target, &binary)?.map(Fate::DoesNotBuild)))?;
        if let Some((before, handle)) = living.take() {
            bad += report(before, lived(handle)?, wishes.seeds)?;
        }
        if let Some(fate) = built {
            bad += report(patch, fate, wishes.seeds)?;
        } else {
            let (seeds, shrink, dir) = (wishes.seeds, wishes.shrink, scenarios.join(name(patch)));
            living = Some((patch, std::thread::spawn(move || live(&binary, seeds, shrink, &dir))));
        }
    }
    if let Some((last, handle)) = living {
        bad += report(last, lived(handle)?, wishes.seeds)?;
    }
    say(&format!("{} mutants, {} not caught, {} s", patches.len(), bad, began.elapsed().as_secs()))?;
    if bad == 0 { Ok(()) } else { bail!("{bad} of {} mutants were not caught", patches.len()) }
}

fn lived(handle: JoinHandle<Result<Fate>>) -> Result<Fate> {
    handle.join().map_err(|_| anyhow::anyhow!("the thread that watches a mutant panicked"))?
}

/// Says what became of a mutant; 1 if it was not caught.
fn report(patch: &Path, fate: Fate, seeds: u64) -> Result<u32> {
    let (expected, name) = (expected(patch)?, name(patch));
    let (bad, line) = match fate {
        Fate::Caught { by, seed, steps, shrunk } => {
            let surprise = if by == expected { "" } else { "   (expected another: see the patch)" };
            (0, format!("{name} → {by} → seed {seed} → {steps} steps, shrunk to {shrunk}{surprise}"))
        }
        Fate::Survived => (1, format!("{name} → SURVIVED {seeds} lives; {expected} was to catch it")),
        Fate::DoesNotApply(why) => (1, format!("{name} → DOES NOT APPLY any more: bring the patch up to date\n{why}")),
        Fate::DoesNotBuild(why) => (1, format!("{name} → DOES NOT BUILD\n{why}")),
    };
    say(&line)?;
    Ok(bad)
}

fn root() -> Result<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    Ok(here.parent().context("xtask has no parent directory")?.to_owned())
}

/// Every planted bug there is.
fn patches(root: &Path) -> Result<Vec<PathBuf>> {
    let files = fs::read_dir(root.join("crates/sim/mutants"))?.map(|entry| Ok(entry?.path()));
    let mut files: Vec<PathBuf> = files.collect::<Result<_>>()?;
    files.retain(|p| p.extension().is_some_and(|e| e == "patch"));
    files.sort();
    Ok(files)
}

fn name(patch: &Path) -> String {
    patch.file_stem().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default()
}

/// The first line of a patch names the invariant that is to catch it: `# invariant_fences_hold: why`.
fn expected(patch: &Path) -> Result<String> {
    let text = fs::read_to_string(patch)?;
    let first = text.lines().next().unwrap_or_default();
    let name = first.strip_prefix("# ").and_then(|l| l.split(':').next()).filter(|n| n.starts_with("invariant_"));
    name.map(ToOwned::to_owned)
        .with_context(|| format!("{}: the first line must be `# invariant_<name>: <what is planted>`", patch.display()))
}

/// Only what the simulation is built from, and a workspace of just that.
fn copy_sources(root: &Path, copy: &Path) -> Result<()> {
    for dir in ["crates/core", "crates/advisories", "crates/ports", "crates/store", "crates/sim"] {
        copy_dir(&root.join(dir), &copy.join(dir))?;
    }
    fs::copy(root.join("Cargo.lock"), copy.join("Cargo.lock"))?;
    let manifest = fs::read_to_string(root.join("Cargo.toml"))?;
    let whole = "members = [\"crates/*\", \"xtask\"]";
    if !manifest.contains(whole) {
        bail!("Cargo.toml has other members than xtask knows: teach it here");
    }
    let manifest = manifest.replace(whole, "members = [\"crates/*\"]");
    let manifest: Vec<&str> = manifest.lines().filter(|l| !l.starts_with("default-members")).collect();
    fs::write(copy.join("Cargo.toml"), manifest.join("\n"))?;
    Ok(())
}

fn copy_dir(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from).with_context(|| format!("read {}", from.display()))? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_dir(&entry.path(), &to)?;
        } else {
            fs::copy(entry.path(), &to)?;
        }
    }
    Ok(())
}

/// Applies a patch, does something, and takes the patch back.
fn plant(copy: &Path, patch: &Path, then: impl FnOnce() -> Result<Option<Fate>>) -> Result<Option<Fate>> {
    if let Some(why) = apply(copy, patch, &["--check"])? {
        return Ok(Some(Fate::DoesNotApply(why)));
    }
    if let Some(why) = apply(copy, patch, &[])? {
        bail!("{} applied only half:\n{why}", patch.display());
    }
    let fate = then();
    if let Some(why) = apply(copy, patch, &["--reverse"])? {
        bail!("{} cannot be taken back:\n{why}", patch.display());
    }
    fate
}

/// Applies a patch to the sources in `tree`, and lets one line around a change differ; why it does not apply.
fn apply(tree: &Path, patch: &Path, how: &[&str]) -> Result<Option<String>> {
    // A repository above `tree` would make git take the paths for that one's and pass over them in silence.
    let above = tree.parent().context("the sources have no directory above them")?;
    let done = Command::new("git")
        .args(["apply", "-C1"])
        .args(how)
        .arg(patch)
        .current_dir(tree)
        .env("GIT_CEILING_DIRECTORIES", above)
        .output()
        .context("run `git apply`")?;
    Ok((!done.status.success()).then(|| String::from_utf8_lossy(&done.stderr).into_owned()))
}

/// Builds the copy and keeps the program; why it does not build.
fn build(copy: &Path, target: &Path, keep: &Path) -> Result<Option<String>> {
    let built = Command::new("cargo")
        .args(["build", "--quiet", "--offline", "-p", "orch-sim"])
        .current_dir(copy)
        .env("CARGO_TARGET_DIR", target)
        .output()
        .context("run cargo")?;
    if !built.status.success() {
        return Ok(Some(String::from_utf8_lossy(&built.stderr).into_owned()));
    }
    fs::copy(target.join("debug/orch-sim"), keep).context("keep the program")?;
    Ok(None)
}

fn live(binary: &Path, seeds: u64, shrink: u64, scenarios: &Path) -> Result<Fate> {
    let lived = Command::new(binary)
        .args(["--short", "--seeds", &seeds.to_string(), "--shrink", &shrink.to_string(), "--scn-dir"])
        .arg(scenarios)
        .output()
        .context("run the simulation")?;
    let text = String::from_utf8_lossy(&lived.stdout).into_owned();
    let words: Vec<String> = text.split_whitespace().map(ToOwned::to_owned).collect();
    match <[String; 5]>::try_from(words) {
        Ok([_, by, seed, steps, shrunk]) => Ok(Fate::Caught { by, seed, steps, shrunk }),
        Err(words) if words == ["survived"] => Ok(Fate::Survived),
        Err(_) => Ok(Fate::Caught {
            by: "a panic".into(),
            seed: String::from_utf8_lossy(&lived.stderr).into_owned(),
            steps: "?".into(),
            shrunk: "?".into(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_planted_bug_fits_the_sources_as_they_are_and_names_what_catches_it() {
        let root = root().unwrap();
        let patches = patches(&root).unwrap();
        assert!(!patches.is_empty());
        for patch in &patches {
            expected(patch).unwrap();
            let why = apply(&root, patch, &["--check"]).unwrap();
            assert_eq!(why, None, "{} does not apply any more: bring it up to date", patch.display());
        }
    }

    #[test]
    fn a_planted_bug_is_there_while_it_is_built_and_gone_afterwards() {
        let dir = tempfile::tempdir().unwrap();
        let (copy, patch) = (dir.path().join("copy"), dir.path().join("bug.patch"));
        // A repository of somebody else's above it does not matter.
        assert!(Command::new("git").args(["init", "-q"]).arg(dir.path()).status().unwrap().success());
        fs::create_dir(&copy).unwrap();
        fs::write(copy.join("a"), "one\ntwo\nthree\n").unwrap();
        fs::write(&patch, "# invariant_x: y\n--- a/a\n+++ b/a\n@@ -1,3 +1,3 @@\n one\n-two\n+2\n three\n").unwrap();
        let fate = plant(&copy, &patch, || {
            assert_eq!(fs::read_to_string(copy.join("a")).unwrap(), "one\n2\nthree\n");
            Ok(None)
        });
        assert!(fate.unwrap().is_none());
        assert_eq!(fs::read_to_string(copy.join("a")).unwrap(), "one\ntwo\nthree\n");

        fs::write(copy.join("a"), "another text\n").unwrap();
        let fate = plant(&copy, &patch, || panic!("it is not built"));
        assert!(matches!(fate.unwrap(), Some(Fate::DoesNotApply(why)) if why.contains("does not apply")));
    }
}
