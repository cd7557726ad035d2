//! Measures the secret scanner against gitleaks: one repository full of planted secrets, tricks and look-alikes, every
//! engine over the same range in the same run. Fails if the built-in engine misses one thing or reports one too many.
//! With `--tree` it looks through a directory instead, to see what real sources make of the rules.

mod engines;
mod planting;

use anyhow::{Context, bail, ensure};
use clap::Args;
use engines::{Engine, Outcome};
use planting::Repository;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

#[derive(Args)]
pub(crate) struct SecretsArgs {
    /// Commits on the branch
    #[arg(long, default_value_t = 5_000)]
    commits: usize,
    /// Look-alikes among them
    #[arg(long, default_value_t = 2_000)]
    look_alikes: usize,
    /// Another seed plants other secrets
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Times each engine runs; the fastest counts
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// The gitleaks program; without it only the built-in engine is measured
    #[arg(long, default_value = "gitleaks")]
    gitleaks: PathBuf,
    /// Make the repository here and keep it
    #[arg(long)]
    keep: Option<PathBuf>,
    /// Plant nothing: report what is found in the files below this directory
    #[arg(long)]
    tree: Option<PathBuf>,
}

pub(crate) fn run(args: &SecretsArgs) -> anyhow::Result<()> {
    if let Some(tree) = &args.tree {
        return look_through(tree);
    }
    let temporary = tempfile::tempdir()?;
    let place = args.keep.clone().unwrap_or_else(|| temporary.path().join("repository"));
    ensure!(!place.exists(), "{} is there already", place.display());
    let repository = planting::make(&place, args.seed, args.commits, args.look_alikes)?;
    say(&format!(
        "{} commits, {} kinds of secrets, {} tricks, {} look-alikes (seed {})",
        args.commits,
        repository.kinds.len(),
        repository.tricks.len(),
        repository.look_alikes,
        args.seed
    ));
    let mut table = vec![Engine::BuiltIn.measure(&repository, temporary.path(), args.runs)?];
    let orch = std::env::current_exe()?.with_file_name("orch");
    if orch.is_file() {
        table.push(Engine::Gate(orch).measure(&repository, temporary.path(), args.runs)?);
    } else {
        say("without the whole gate: build it with `cargo build --release -p orch`");
    }
    match engines::version(&args.gitleaks) {
        Ok(version) => {
            say(&format!("gitleaks {version}"));
            for engine in [Engine::Gitleaks(args.gitleaks.clone()), Engine::GitleaksStrict(args.gitleaks.clone())] {
                table.push(engine.measure(&repository, temporary.path(), args.runs)?);
            }
        }
        Err(e) => say(&format!("without gitleaks: {e:#}")),
    }
    say(&format!(
        "{:<24} {:>10} {:>10} {:>12} {:>9} {:>9}",
        "engine", "kinds", "tricks", "wrong files", "seconds", "objects"
    ));
    for outcome in &table {
        say(&row(&repository, outcome));
    }
    for outcome in &table {
        say(&format!("{} misses {}", outcome.engine, names(&missed(&repository, outcome))));
        if !outcome.wrong.is_empty() {
            let first: Vec<&str> = outcome.wrong.iter().take(12).map(String::as_str).collect();
            say(&format!("{} reports wrongly: {}", outcome.engine, first.join(", ")));
        }
    }
    let own = &table[0];
    let missed = missed(&repository, own);
    if !missed.is_empty() || !own.wrong.is_empty() {
        bail!("the built-in engine misses {} and reports {} files wrongly", missed.len(), own.wrong.len());
    }
    Ok(())
}

fn row(repository: &Repository, outcome: &Outcome) -> String {
    let found = |expected: &[planting::Expected]| {
        let found = expected.iter().filter(|e| outcome.found.contains(&e.place)).count();
        format!("{found}/{}", expected.len())
    };
    let objects = outcome.objects.map(|n| n.to_string()).unwrap_or_default();
    format!(
        "{:<24} {:>10} {:>10} {:>12} {:>9.2} {objects:>9}",
        outcome.engine,
        found(&repository.kinds),
        found(&repository.tricks),
        outcome.wrong.len(),
        outcome.seconds
    )
}

fn missed<'a>(repository: &'a Repository, outcome: &Outcome) -> BTreeSet<&'a str> {
    let all = repository.kinds.iter().chain(&repository.tricks);
    all.filter(|e| !outcome.found.contains(&e.place)).map(|e| e.name.as_str()).collect()
}

fn names(set: &BTreeSet<&str>) -> String {
    if set.is_empty() { "nothing".into() } else { set.iter().copied().collect::<Vec<_>>().join(", ") }
}

/// Reports every finding below a directory, masked.
fn look_through(tree: &Path) -> anyhow::Result<()> {
    let scanner = orch_secrets::Scanner::new(&orch_secrets::Rules::builtin(), b"xtask")?;
    let started = std::time::Instant::now();
    let (mut files, mut bytes, mut findings) = (0_u64, 0_u64, 0_u64);
    let mut todo = vec![tree.to_owned()];
    while let Some(place) = todo.pop() {
        for entry in std::fs::read_dir(&place).with_context(|| place.display().to_string())? {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_dir() && entry.file_name() != ".git" {
                todo.push(entry.path());
            } else if kind.is_file() {
                let text = std::fs::read(entry.path())?;
                let path = entry.path();
                let path = path.strip_prefix(tree)?.to_string_lossy().into_owned();
                files += 1;
                bytes += text.len() as u64;
                let blob = orch_secrets::Blob { path: &path, bytes: &text, commit: None };
                match scanner.scan(&blob) {
                    Ok(hits) => {
                        for hit in scanner.scan_name(&path).into_iter().chain(hits) {
                            findings += 1;
                            say(&format!("{}:{} {} {} {:?}", hit.path, hit.line, hit.rule, hit.masked, hit.encoding));
                        }
                    }
                    Err(e) => say(&format!("{path}: not scanned: {e}")),
                }
            }
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    say(&format!("{findings} findings in {files} files, {:.1} MB, {seconds:.2} s", bytes as f64 / 1e6));
    Ok(())
}

#[expect(clippy::print_stdout, reason = "a chore talks to the person who runs it")]
fn say(text: &str) {
    println!("{text}");
}
