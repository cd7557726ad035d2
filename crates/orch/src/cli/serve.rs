//! Arguments of `orch serve`.

use clap::Args;
use std::path::PathBuf;

/// `orch serve`
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  orch serve --config /etc/orch/orch.toml")]
pub struct ServeArgs {
    /// Configuration file (default: the nearest orch.toml from here upwards)
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}
