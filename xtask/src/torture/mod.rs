//! `cargo xtask torture`: builds the daemon twice, as people run it and with fault points, and tortures it; and its
//! supervisor with hostile process trees.

pub(crate) mod trees;

use crate::cargo::{self, root};
use anyhow::{Context as _, Result, bail, ensure};
use clap::{Args, Subcommand};
use orch_torture::modes::Binaries;
use orch_torture::modes::outages::Outage;
use orch_torture::session::{Entry, Session, read, report};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

#[derive(Args)]
pub(crate) struct TortureArgs {
    #[command(subcommand)]
    mode: Mode,
    /// First seed; every world has the next one
    #[arg(long, default_value_t = 1, global = true)]
    seed: u64,
    /// Keep one line per world here; a session that broke off is taken up again
    #[arg(long, global = true)]
    state: Option<PathBuf>,
    /// Only at points (kills, zombies) or faults with this in their name: `forge.merge`, `store.step:after=kill`
    #[arg(long, global = true)]
    only: Option<String>,
    /// Torture the daemons that were built last, whatever has changed since
    #[arg(long, global = true)]
    built: bool,
}

#[derive(Subcommand)]
enum Mode {
    /// SIGKILL orchestrator, supervisors and agents at random
    Kills(Amount),
    /// Strike at every fault point: kill before and behind the call, refuse it, lose its answer
    Faults {
        /// Longest session, worlds
        #[arg(long, default_value_t = 1_000)]
        worlds: u64,
    },
    /// Pause workers past their claim at every kind of effect and let them go on
    Zombies(Amount),
    /// Fill the disk of the data directory (needs the right to mount)
    Disk(Amount),
    /// Cut the power of the data directory and of the repositories (needs root and loop devices)
    Power {
        #[command(flatten)]
        amount: Amount,
        /// Number of the first world: it has the seed `--seed` plus this
        #[arg(long, default_value_t = 0)]
        from: u64,
    },
    /// Let the store and the other ports fail
    Io(Amount),
    /// Take away file descriptors
    Nofile(Amount),
    /// Let the wall clock jump a day
    Clock(Amount),
    /// Let it jump while other things fail
    ClockAndFaults(Amount),
    /// Hostile process trees under the real supervisor: nothing may survive, nobody else may be hit
    Trees(trees::Options),
    /// Some of everything, but trees
    All {
        /// As CI runs it, a few minutes
        #[arg(long)]
        short: bool,
    },
    /// Sum up a state file
    Report,
}

#[derive(Args)]
struct Amount {
    /// How many
    #[arg(long, default_value_t = 100)]
    count: u64,
    /// How many in one world
    #[arg(long)]
    per_world: Option<u64>,
}

pub(crate) fn run(args: &TortureArgs) -> Result<()> {
    if let Mode::Trees(options) = &args.mode {
        return trees::command(options, args.seed);
    }
    let mut out = std::io::stdout().lock();
    if let Mode::Report = args.mode {
        let file = args.state.as_ref().context("say which file: --state FILE")?;
        return verdict(report(&mut out, &read(file)?)?);
    }
    let dir = cargo::target_dir().join("torture");
    if !args.built {
        build(&mut out, &dir)?;
    }
    let binaries = Binaries { plain: dir.join("orch"), faulty: dir.join("orch-fault-points") };
    let built_from = fs::read_to_string(dir.join("commit")).context("nothing was built yet")?;
    let (commit, dirty) = match built_from.split_once(' ') {
        Some((commit, _)) => (commit.to_owned(), true),
        None => (built_from, false),
    };
    let mut session = Session {
        out: &mut out,
        binaries,
        state: args.state.clone(),
        commit: commit.clone(),
        dirty,
        seed: args.seed,
        only: args.only.clone(),
    };
    let outcomes = match &args.mode {
        Mode::Kills(a) => session.kills(a.count, a.per_world.unwrap_or(100))?,
        Mode::Faults { worlds } => session.faults(*worlds)?,
        Mode::Zombies(a) => session.zombies(a.count, a.per_world.unwrap_or(25))?,
        Mode::Disk(a) => session.outages(Outage::Disk, a.count, a.per_world.unwrap_or(8))?,
        Mode::Power { amount: a, from } => session.power(a.count, a.per_world.unwrap_or(10), *from)?,
        Mode::Io(a) => session.outages(Outage::Io, a.count, a.per_world.unwrap_or(8))?,
        Mode::Nofile(a) => session.outages(Outage::Nofile, a.count, a.per_world.unwrap_or(8))?,
        Mode::Clock(a) => session.outages(Outage::Clock, a.count, a.per_world.unwrap_or(8))?,
        Mode::ClockAndFaults(a) => session.outages(Outage::ClockAndFaults, a.count, a.per_world.unwrap_or(8))?,
        Mode::All { short } => {
            let n = |short_n: u64, long: u64| if *short { short_n } else { long };
            let mut all = session.kills(n(40, 300), 100)?;
            all.extend(session.faults(n(1, 1_000))?);
            all.extend(session.zombies(n(8, 200), 25)?);
            for outage in Outage::MENDED {
                all.extend(session.outages(outage, n(2, 40), 8)?);
            }
            all.extend(session.power(n(3, 60), 10, 0)?);
            all
        }
        Mode::Report | Mode::Trees(_) => Vec::new(),
    };
    let entry = |outcome| Entry { commit: commit.clone(), dirty, outcome };
    // With a state file its own lines are summed: they know which commit each world ran on.
    let entries = match args.state.as_ref().filter(|_| args.only.is_none()) {
        Some(file) => {
            let modes: Vec<String> = outcomes.iter().map(|o| o.mode.clone()).collect();
            read(file)?.into_iter().filter(|e| modes.contains(&e.outcome.mode)).collect()
        }
        None => outcomes.into_iter().map(entry).collect::<Vec<_>>(),
    };
    let well = report(&mut out, &entries)?;
    verdict(well)
}

fn verdict(well: bool) -> Result<()> {
    ensure!(well, "something was not as it must be; the commands above show it again");
    Ok(())
}

/// Commit of the working directory, and whether it holds anything else.
fn commit() -> Result<(String, bool)> {
    let git = |args: &[&str]| -> Result<String> {
        let done = Command::new("git").args(args).current_dir(root()).output().context("start git")?;
        if !done.status.success() {
            bail!("git {args:?}: {}", String::from_utf8_lossy(&done.stderr));
        }
        Ok(String::from_utf8_lossy(&done.stdout).trim().to_owned())
    };
    Ok((git(&["rev-parse", "--short=12", "HEAD"])?, !git(&["status", "--porcelain"])?.is_empty()))
}

/// Builds both daemons, puts them where no later build changes them, and writes down what they were built from.
fn build(out: &mut dyn Write, dir: &Path) -> Result<()> {
    fs::create_dir_all(dir)?;
    let (commit, dirty) = commit()?;
    let place = |name: &str, write: &dyn Fn(&Path) -> Result<()>| -> Result<PathBuf> {
        let (to, new) = (dir.join(name), dir.join(format!("{name}.{}", std::process::id())));
        write(&new)?;
        fs::rename(&new, &to)?;
        Ok(to)
    };
    let build = |name: &str, features: &[&str]| {
        let exe = cargo::program("orch", features)?;
        place(name, &|new| Ok(fs::copy(&exe, new).map(|_| ())?))
    };
    writeln!(out, "building orch with fault points and without")?;
    out.flush()?;
    let faulty = build("orch-fault-points", &["orch/fault-points"])?;
    let plain = build("orch", &[])?;
    let has_points = |file: &Path| -> Result<bool> {
        let bytes = fs::read(file)?;
        Ok(bytes.windows(VARIABLE.len()).any(|w| w == VARIABLE))
    };
    ensure!(has_points(&faulty)?, "the build with fault points has none");
    ensure!(!has_points(&plain)?, "the build without fault points has some");
    let from = if dirty { format!("{commit} dirty") } else { commit };
    place("commit", &|new| Ok(fs::write(new, &from)?))?;
    Ok(())
}

/// The variable of the plan, which only the one build knows.
const VARIABLE: &[u8] = b"ORCH_FAULT";
