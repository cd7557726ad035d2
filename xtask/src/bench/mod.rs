//! `cargo xtask bench`: the speed goals, measured. Never part of the tests: what a shared machine does to a time is no
//! reason to fail a build. Every run prints what it ran on, and every comparison is made in turns in the same process.

mod daemon;
mod fill;
mod handover;
mod inbound;
mod jobs;
mod large;
mod life;
mod peer;
mod raw;
mod scale;
mod settings;
mod start;
mod stats;

use anyhow::{Context, Result};
use clap::Args;
use peer::{Beside, Peer};
use stats::Line;
use std::cell::{RefCell, RefMut};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::time::Duration;

/// What to measure, and how long.
#[derive(Args)]
pub(crate) struct BenchArgs {
    /// Only these, by name: p1, p3, p4, p5, p5-beside, p5-large, p6, p9, w1; all if none is given
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Measure p1 and p3 in turns with another queue too; what it needs and is missing is said, and it is left out
    #[arg(long)]
    beside: Option<Beside>,
    /// Where the databases are made; beside the build if it is not given
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Turns of each comparison
    #[arg(long, default_value_t = 15)]
    rounds: usize,
    /// Workers that claim at once where commits are shared
    #[arg(long, default_value_t = 256)]
    workers: usize,
}

type Chore = for<'a> fn(&'a Bench, &'a mut Vec<Line>) -> Pin<Box<dyn Future<Output = Result<()>> + 'a>>;

/// What can be measured.
const CHORES: &[(&str, Chore)] = &[
    ("p1", |bench, lines| Box::pin(jobs::throughput(bench, lines))),
    ("p3", |bench, lines| Box::pin(start::measure(bench, lines))),
    ("p4", |bench, lines| Box::pin(jobs::contention(bench, lines))),
    ("p5", |bench, lines| Box::pin(std::future::ready(handover::measure(bench, lines)))),
    ("p5-beside", |bench, lines| Box::pin(std::future::ready(handover::beside_others(bench, lines)))),
    ("p5-large", |bench, lines| Box::pin(std::future::ready(large::handovers(bench, lines)))),
    ("p6", |bench, lines| Box::pin(scale::measure(bench, lines))),
    ("p9", |bench, lines| Box::pin(std::future::ready(large::disk(bench, lines)))),
    ("w1", |bench, lines| Box::pin(std::future::ready(inbound::measure(bench, lines)))),
];

/// Where and how long.
struct Bench {
    dir: PathBuf,
    rounds: usize,
    workers: usize,
    turn: Duration,
    beside: Option<RefCell<Peer>>,
}

impl Bench {
    fn dir(&self) -> Result<&Path> {
        fs::create_dir_all(&self.dir).with_context(|| format!("make {}", self.dir.display()))?;
        Ok(&self.dir)
    }

    /// The other queue, if there is one.
    fn peer(&self) -> Option<RefMut<'_, Peer>> {
        self.beside.as_ref().map(RefCell::borrow_mut)
    }

    /// A path in the directory at which there is no database.
    fn fresh(&self, name: &str) -> Result<PathBuf> {
        let path = self.dir()?.join(name);
        for end in ["", "-wal", "-shm", ".lock"] {
            let mut name = path.clone().into_os_string();
            name.push(end);
            if let Err(error) = fs::remove_file(&name)
                && error.kind() != std::io::ErrorKind::NotFound
            {
                return Err(error).with_context(|| format!("remove {}", name.display()));
            }
        }
        Ok(path)
    }
}

fn say(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()?;
    Ok(())
}

/// Measures and prints.
pub(crate) fn run(args: BenchArgs) -> Result<()> {
    let target =
        std::env::current_exe()?.parent().and_then(Path::parent).context("find the build directory")?.to_owned();
    let dir = std::path::absolute(args.dir.unwrap_or_else(|| target.join("bench")))?;
    let (rounds, workers) = (args.rounds.max(1), args.workers.max(1));
    let mut bench = Bench { dir, rounds, workers, turn: Duration::from_secs(1), beside: None };
    say(&settings::describe(bench.dir()?)?)?;
    if let Some(beside) = args.beside {
        let (peer, about) = Peer::start(beside, bench.dir()?)?;
        say(&format!("beside        {about}\n"))?;
        bench.beside = peer.map(RefCell::new);
    }
    let wanted = |name: &str| args.only.is_empty() || args.only.iter().any(|o| o.eq_ignore_ascii_case(name));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let mut lines: Vec<Line> = Vec::new();
    for chore in CHORES.iter().filter(|(name, _)| wanted(name)) {
        let from = lines.len();
        runtime.block_on((chore.1)(&bench, &mut lines))?;
        // What comes after it may fail or take long.
        say(&stats::table(&lines[from..]))?;
    }
    say(&stats::table(&lines))
}
