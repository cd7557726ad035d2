//! Project chores: what keeps documentation and tests honest. Run as `cargo xtask <chore>`.

mod bench;
mod generate;
mod mutants;
mod secrets;
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
    /// Measure the speed goals: `cargo run --release -p xtask -- bench`
    Bench(bench::BenchArgs),
    /// Plant every bug of crates/sim/mutants in a copy of the sources; the simulation must catch each
    Mutants {
        /// Only those whose name contains this
        #[arg(long)]
        only: Option<String>,
        /// Lives a mutant gets before it has survived
        #[arg(long, default_value_t = 400)]
        seeds: u64,
        /// Seconds to make a life that caught a mutant smaller
        #[arg(long, default_value_t = 4)]
        shrink: u64,
        /// Where to build, kept and used again; a temporary directory if it is not given
        #[arg(long)]
        target: Option<PathBuf>,
        /// Keep the small lives here
        #[arg(long)]
        scn_dir: Option<PathBuf>,
    },
    /// Plant secrets in a repository and measure who finds them: `cargo run --release -p xtask -- secrets`
    Secrets(secrets::SecretsArgs),
    /// Break the world under the real daemon; nothing may be lost, done twice or stuck
    Torture(torture::TortureArgs),
}

fn main() -> anyhow::Result<()> {
    match Options::parse().chore {
        Chore::Bench(args) => bench::run(args),
        Chore::Generate { check } => generate::run(check),
        Chore::Mutants { only, seeds, shrink, target, scn_dir } => {
            mutants::run(&mutants::Wishes { only, seeds, shrink, target, scn_dir })
        }
        Chore::Secrets(args) => secrets::run(&args),
        Chore::Torture(args) => torture::run(&args),
    }
}
