//! Proves that the simulation can fail: every planted bug must be caught by a named invariant, and the life that caught it
//! made small enough to be read. It works on a copy of the sources and never touches the checkout. While one bug is built,
//! the one before it lives. A bug that was caught, and of which nothing it depends on has changed since, is not planted
//! again unless all are asked for; which those are is said, with the commit they were caught on.

mod copy;
mod record;

use crate::cargo::{root, target_dir};
use anyhow::{Context as _, Result, bail, ensure};
use copy::{copy_sources, take_over};
use record::{Caught, Record};
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
    /// Those that were caught before, too.
    pub(crate) all: bool,
    /// Write down what was caught.
    pub(crate) record: bool,
}

/// The bugs of a run: to be planted, and what is known of them.
struct Plan {
    patches: Vec<PathBuf>,
    /// What is known still, or became known.
    record: Record,
    skipped: usize,
}

impl Plan {
    fn new(root: &Path, wishes: &Wishes) -> Result<Self> {
        let mut patches = patches(root)?;
        patches.retain(|p| wishes.only.as_ref().is_none_or(|only| name(p).contains(only)));
        ensure!(!patches.is_empty(), "there is no such patch in crates/sim/mutants");
        let (known, base) = (Record::read(root)?, record::base(root)?);
        let mut record = Record { commit: commit(root)?, base, ..Record::default() };
        if wishes.all || wishes.only.is_some() {
            return Ok(Self { patches, record, skipped: 0 });
        }
        let mut left = Vec::new();
        for patch in patches {
            match known.holds(&name(&patch), &record::patch(&patch)?, &record.base) {
                Some(caught) => drop(record.caught.insert(name(&patch), caught.clone())),
                None => left.push(patch),
            }
        }
        let skipped = record.caught.len();
        if skipped > 0 {
            let why = format!("skipped: {skipped} mutants; they were caught on {}, and neither they", known.commit);
            say(&format!("{why} nor the sources of the simulation have changed since (--all plants them again)"))?;
        } else if !known.caught.is_empty() {
            say(&format!(
                "the sources of the simulation have changed since {}: every mutant is planted",
                known.commit
            ))?;
        }
        Ok(Self { patches: left, record, skipped })
    }

    fn caught(&mut self, patch: &Path, fate: &Fate) -> Result<()> {
        if let Fate::Caught { by, seed, .. } = fate {
            let by = by.replace(char::is_whitespace, "-");
            let seed = seed.split_whitespace().next().unwrap_or("?").to_owned();
            let caught = Caught { patch: record::patch(patch)?, by, seed };
            self.record.caught.insert(name(patch), caught);
        }
        Ok(())
    }
}

pub(crate) fn run(wishes: &Wishes) -> Result<()> {
    ensure!(!(wishes.record && wishes.only.is_some()), "only a complete run is recorded: leave out --only");
    let root = root();
    let began = Instant::now();
    let mut plan = Plan::new(root, wishes)?;
    let patches = std::mem::take(&mut plan.patches);
    let mut bad = 0;
    if !patches.is_empty() {
        bad = plant_all(root, wishes, &patches, &mut plan)?;
    }
    let (all, skipped) = (patches.len() + plan.skipped, plan.skipped);
    say(&format!(
        "{all} mutants: {} planted, {bad} not caught, {skipped} skipped, {} s",
        patches.len(),
        began.elapsed().as_secs()
    ))?;
    ensure!(bad == 0, "{bad} of {} mutants were not caught", patches.len());
    if wishes.record {
        plan.record.write(root)?;
        say(&format!("wrote {}", record::FILE))?;
    }
    Ok(())
}

/// Plants one after the other; how many were not caught.
fn plant_all(root: &Path, wishes: &Wishes, patches: &[PathBuf], plan: &mut Plan) -> Result<u32> {
    let scratch = tempfile::tempdir().context("make a temporary directory")?;
    // At one place, so that what was built of it is used again; and never where the checkout is built.
    let place = target_dir().join("mutants");
    let (copy, target) = (place.join("src"), wishes.target.clone().unwrap_or_else(|| place.join("target")));
    take_over(&target_dir().join("debug"), &target.join("debug"))?;
    let scenarios = wishes.scn_dir.clone().unwrap_or_else(|| scratch.path().join("scn"));
    copy_sources(root, &copy)?;
    let sane = scratch.path().join("sane");
    let began = Instant::now();
    if let Some(why) = build(&copy, &target, &sane)? {
        bail!("the simulation does not build:\n{why}");
    }
    if let Fate::Caught { by, seed, .. } = live(&sane, ("memory", "mixed"), 20, 0, &scenarios)? {
        bail!("without any mutant {by} does not hold (seed {seed}): mend that first");
    }
    say(&format!("the simulation is built and holds without any of them, {} s", began.elapsed().as_secs()))?;
    let mut bad = 0;
    let mut living: Option<(&PathBuf, JoinHandle<Result<Fate>>)> = None;
    let mut ended = |patch: &Path, fate: Fate| -> Result<()> {
        plan.caught(patch, &fate)?;
        bad += report(patch, fate, wishes.seeds)?;
        Ok(())
    };
    for patch in patches {
        let binary = scratch.path().join(name(patch));
        let built = plant(&copy, patch, || Ok(build(&copy, &target, &binary)?.map(Fate::DoesNotBuild)))?;
        if let Some((before, handle)) = living.take() {
            ended(before, lived(handle)?)?;
        }
        if let Some(fate) = built {
            ended(patch, fate)?;
        } else {
            let (seeds, shrink, dir) = (wishes.seeds, wishes.shrink, scenarios.join(name(patch)));
            let text = fs::read_to_string(patch)?;
            let lived = move || live(&binary, (lives_on(&text), whose(&text)), seeds, shrink, &dir);
            living = Some((patch, std::thread::spawn(lived)));
        }
    }
    if let Some((last, handle)) = living {
        ended(last, lived(handle)?)?;
    }
    Ok(bad)
}

fn commit(root: &Path) -> Result<String> {
    let said = Command::new("git").args(["rev-parse", "--short=12", "HEAD"]).current_dir(root).output();
    let said = said.context("start git")?;
    ensure!(said.status.success(), "git rev-parse: {}", String::from_utf8_lossy(&said.stderr).trim());
    Ok(String::from_utf8_lossy(&said.stdout).trim().to_owned())
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
        .args(["build", "--quiet", "--offline", "--locked", "--workspace", "--bin", "orch-sim"])
        .current_dir(copy)
        .env("CARGO_TARGET_DIR", target)
        // One bug after the other is a few lines after the other.
        .env("CARGO_INCREMENTAL", "1")
        .output()
        .context("run cargo")?;
    if !built.status.success() {
        return Ok(Some(String::from_utf8_lossy(&built.stderr).into_owned()));
    }
    fs::copy(target.join("debug/orch-sim"), keep).context("keep the program")?;
    Ok(None)
}

/// Whose lives show it: `# lives: people` on a line of its own.
fn whose(patch: &str) -> &str {
    patch.lines().find_map(|line| line.strip_prefix("# lives: ")).unwrap_or("mixed")
}

/// The store on which a bug shows: that in memory is much faster, and has nothing of what is planted in the SQL.
fn lives_on(patch: &str) -> &'static str {
    if patch.contains("crates/store/src/sqlite/") { "sqlite" } else { "memory" }
}

fn live(binary: &Path, (on, whose): (&str, &str), seeds: u64, shrink: u64, scenarios: &Path) -> Result<Fate> {
    let lived = Command::new(binary)
        .args([
            "--short",
            "--on",
            on,
            "--pipeline",
            whose,
            "--seeds",
            &seeds.to_string(),
            "--shrink",
            &shrink.to_string(),
            "--scn-dir",
        ])
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
    fn what_is_planted_in_sql_is_looked_for_on_sqlite() {
        assert_eq!(lives_on("--- a/crates/store/src/sqlite/jobs.rs"), "sqlite");
        assert_eq!(lives_on("--- a/crates/store/src/queue.rs"), "memory");
    }

    #[test]
    fn what_only_landing_shows_is_looked_for_where_people_land() {
        assert_eq!(whose("# invariant_x: y\n# lives: people\n--- a/x"), "people");
        assert_eq!(whose("# invariant_x: y\n--- a/x"), "mixed");
    }

    #[test]
    fn every_planted_bug_fits_the_sources_as_they_are_and_names_what_catches_it() {
        let root = root();
        let patches = patches(root).unwrap();
        assert!(!patches.is_empty());
        for patch in &patches {
            expected(patch).unwrap();
            let why = apply(root, patch, &["--check"]).unwrap();
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

    #[test]
    fn a_copy_follows_the_checkout_and_leaves_alone_what_is_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let (root, copy) = (dir.path().join("root"), dir.path().join("copy"));
        let write = |name: &str, text: &str| {
            let file = root.join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        };
        for name in ["Cargo.toml", "Cargo.lock", "xtask/src/main.rs", "crates/a/src/lib.rs", "crates/a/src/b.rs"] {
            write(name, "one");
        }
        copy_sources(&root, &copy).unwrap();
        let built = |name: &str| fs::metadata(copy.join(name)).unwrap().modified().unwrap();
        let before = built("crates/a/src/lib.rs");
        write("crates/a/src/lib.rs", "one");
        write("Cargo.toml", "two");
        fs::remove_file(root.join("crates/a/src/b.rs")).unwrap();
        copy_sources(&root, &copy).unwrap();
        assert_eq!(built("crates/a/src/lib.rs"), before);
        assert_eq!(fs::read_to_string(copy.join("Cargo.toml")).unwrap(), "two");
        assert!(!copy.join("crates/a/src/b.rs").exists());
    }
}
