//! Proves that the simulation can fail: every planted bug must be caught by a named invariant.
//! It works on a copy of the sources and never touches the checkout.

use anyhow::{Context as _, Result, bail};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

/// What became of a planted bug.
enum Fate {
    Caught { by: String, seed: String },
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

pub(crate) fn run(only: Option<&str>, seeds: u64, target: Option<PathBuf>) -> Result<()> {
    let root = root()?;
    let mut patches: Vec<PathBuf> = fs::read_dir(root.join("crates/sim/mutants"))?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<Vec<_>>>()?
        .into_iter()
        .filter(|p| p.extension().is_some_and(|e| e == "patch"))
        .filter(|p| only.is_none_or(|only| name(p).contains(only)))
        .collect();
    patches.sort();
    if patches.is_empty() {
        bail!("there is no such patch in crates/sim/mutants");
    }
    let scratch = tempfile::tempdir().context("make a temporary directory")?;
    let copy = scratch.path().join("copy");
    let target = target.unwrap_or_else(|| scratch.path().join("target"));
    copy_sources(&root, &copy)?;

    let began = Instant::now();
    match live(&copy, &target, 20)? {
        Fate::Survived => {}
        Fate::Caught { by, seed } => bail!("without any mutant {by} does not hold (seed {seed}): mend that first"),
        Fate::DoesNotBuild(why) | Fate::DoesNotApply(why) => bail!("the simulation does not build:\n{why}"),
    }
    let mut bad = 0;
    for patch in &patches {
        let expected = expected(patch)?;
        let fate = plant(&copy, patch, || live(&copy, &target, seeds))?;
        let name = name(patch);
        match fate {
            Fate::Caught { by, seed } => {
                let surprise = if by == expected { "" } else { "   (expected another: see the patch)" };
                say(&format!("{name} → {by} → {seed}{surprise}"))?;
            }
            Fate::Survived => {
                bad += 1;
                say(&format!("{name} → SURVIVED {seeds} lives; {expected} was to catch it"))?;
            }
            Fate::DoesNotApply(why) => {
                bad += 1;
                say(&format!("{name} → DOES NOT APPLY any more: bring the patch up to date\n{why}"))?;
            }
            Fate::DoesNotBuild(why) => {
                bad += 1;
                say(&format!("{name} → DOES NOT BUILD\n{why}"))?;
            }
        }
    }
    say(&format!("{} mutants, {} not caught, {} s", patches.len(), bad, began.elapsed().as_secs()))?;
    if bad == 0 { Ok(()) } else { bail!("{bad} of {} mutants were not caught", patches.len()) }
}

fn root() -> Result<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    Ok(here.parent().context("xtask has no parent directory")?.to_owned())
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
    for dir in ["crates/core", "crates/ports", "crates/store", "crates/sim"] {
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
fn plant(copy: &Path, patch: &Path, then: impl FnOnce() -> Result<Fate>) -> Result<Fate> {
    let apply = |back: bool| {
        let mut command = Command::new("patch");
        command.args(["-p1", "--batch", "--fuzz=2", "--no-backup-if-mismatch", "--reject-file=-", "-d"]).arg(copy);
        if back {
            command.arg("-R");
        }
        command.arg("-i").arg(patch).output().context("run `patch`")
    };
    let dry = Command::new("patch")
        .args(["-p1", "--batch", "--fuzz=2", "--dry-run", "--reject-file=-", "-d"])
        .arg(copy)
        .arg("-i")
        .arg(patch)
        .output()
        .context("run `patch`")?;
    if !dry.status.success() {
        return Ok(Fate::DoesNotApply(String::from_utf8_lossy(&dry.stdout).into_owned()));
    }
    if !apply(false)?.status.success() {
        bail!("{} applied only half", patch.display());
    }
    let fate = then();
    if !apply(true)?.status.success() {
        bail!("{} cannot be taken back", patch.display());
    }
    fate
}

fn live(copy: &Path, target: &Path, seeds: u64) -> Result<Fate> {
    let built = Command::new("cargo")
        .args(["build", "--quiet", "--offline", "-p", "orch-sim"])
        .current_dir(copy)
        .env("CARGO_TARGET_DIR", target)
        .output()
        .context("run cargo")?;
    if !built.status.success() {
        return Ok(Fate::DoesNotBuild(String::from_utf8_lossy(&built.stderr).into_owned()));
    }
    let lived = Command::new(target.join("debug/orch-sim"))
        .args(["--short", "--seeds", &seeds.to_string()])
        .output()
        .context("run the simulation")?;
    let text = String::from_utf8_lossy(&lived.stdout).into_owned();
    let words: Vec<&str> = text.split_whitespace().collect();
    match words.as_slice() {
        ["survived"] => Ok(Fate::Survived),
        ["caught", by, seed] => Ok(Fate::Caught { by: (*by).to_owned(), seed: (*seed).to_owned() }),
        _ => Ok(Fate::Caught { by: "a panic".into(), seed: String::from_utf8_lossy(&lived.stderr).into_owned() }),
    }
}
