//! Arguments of `orch init`.

use clap::Args;
use std::path::PathBuf;

/// `orch init`
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Exit codes: 0 written, and what was run is green; 1 written, and the tests are red; 2 nothing written; \
                        3 the tests could not be run.\n\nExample:\n  orch init ~/src/shop\n  orch init --run       # runs the \
                        tests once, in a clean checkout of the default branch\n  orch init --global    # nothing is written \
                        into the clone"
)]
pub struct InitArgs {
    /// A directory in the repository (default: here)
    #[arg(value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Write the file to $XDG_CONFIG_HOME/orch instead of the clone; it is found again from inside the clone
    #[arg(long)]
    pub global: bool,
    /// Run setup and tests once on the default branch; where an orch.toml is there already, with what it says
    #[arg(long)]
    pub run: bool,
    /// Do not ask whether to run the tests
    #[arg(long, conflicts_with = "run")]
    pub no_run: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}
