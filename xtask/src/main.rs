//! Project chores: what keeps documentation and tests honest. Run as `cargo xtask <chore>`.

mod bench;
mod cargo;
mod fault_texts;
mod generate;
mod guarded;
mod mutants;
mod nightly;
mod rooms;
mod secrets;
mod suite;
mod torture;

use clap::{Parser, Subcommand};
use std::path::PathBuf;

#[derive(Parser)]
#[command(name = "xtask", about = "Project chores")]
struct Options {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Write the generated pages; with --check say what is stale and fail
    Generate {
        /// Write nothing, fail if anything is stale, missing or out of place
        #[arg(long)]
        check: bool,
    },
    /// How many commits of a repository would ask a person because they change what a configured command runs
    Guarded(guarded::GuardedArgs),
    /// Measure the speed goals: `cargo run --release -p xtask -- bench`
    Bench(bench::BenchArgs),
    /// Plant every bug of crates/sim/mutants in a copy of the sources; the simulation must catch each
    Mutants {
        /// Only those whose name contains this
        #[arg(long)]
        only: Option<String>,
        /// Lives a mutant gets before it has survived
        #[arg(long, default_value_t = 2_000)]
        seeds: u64,
        /// Seconds to make a life that caught a mutant smaller
        #[arg(long, default_value_t = 4)]
        shrink: u64,
        /// Where to build, kept and used again; beside what cargo builds if it is not given
        #[arg(long)]
        target: Option<PathBuf>,
        /// Keep the small lives here
        #[arg(long)]
        scn_dir: Option<PathBuf>,
        /// Plant those as well that were caught on these very sources before
        #[arg(long)]
        all: bool,
        /// Write down what was caught, for the next run: commit the file
        #[arg(long)]
        record: bool,
    },
    /// What takes too long for every change; writes docs/nightly.md
    Nightly(nightly::NightlyArgs),
    /// Which rooms know which, and which files know each other in a circle; an arrow up or a new circle fails
    Rooms(rooms::RoomsArgs),
    /// Plant secrets in a repository and measure who finds them: `cargo run --release -p xtask -- secrets`
    Secrets(secrets::SecretsArgs),
    /// Run every test, several test binaries at a time
    Suite(suite::SuiteArgs),
    /// Break the world under the real daemon; nothing may be lost, done twice or stuck
    Torture(torture::TortureArgs),
}

fn main() -> anyhow::Result<()> {
    match Options::parse().chore {
        Chore::Bench(args) => bench::run(args),
        Chore::Generate { check } => generate::run(check),
        Chore::Guarded(args) => guarded::run(&args),
        Chore::Mutants { only, seeds, shrink, target, scn_dir, all, record } => {
            mutants::run(&mutants::Wishes { only, seeds, shrink, target, scn_dir, all, record })
        }
        Chore::Nightly(args) => nightly::run(&args),
        Chore::Rooms(args) => rooms::run(&args),
        Chore::Secrets(args) => secrets::run(&args),
        Chore::Suite(args) => suite::run(&args),
        Chore::Torture(args) => torture::run(&args),
    }
}
