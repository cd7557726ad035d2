//! Arguments of `orch gate`.

use clap::{Args, Subcommand};
use std::path::PathBuf;

/// `orch gate`
#[derive(Clone, Debug, Subcommand)]
#[command(after_help = "Example:\n  orch gate run check_security_gate --repo . --base origin/main")]
pub enum GateCommand {
    /// List the gates and what each asks
    List(GateListArgs),
    /// Judge one gate for real, whatever switches and scopes say; exit 0 pass, 1 fail, 3 cannot tell
    Run(GateRunArgs),
}

/// `orch gate list`
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  orch gate list --json")]
pub struct GateListArgs {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `orch gate run`
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  orch gate run check_security_gate --repo . --base origin/main --head HEAD")]
pub struct GateRunArgs {
    /// The gate: check_security_gate, or security-gate
    pub name: String,
    /// The repository
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub repo: PathBuf,
    /// What the work started from (default: the remote's default branch)
    #[arg(long, value_name = "REF")]
    pub base: Option<String>,
    /// The work
    #[arg(long, value_name = "REF", default_value = "HEAD")]
    pub head: String,
    /// Configuration file (default: the nearest orch.toml from here upwards; what of it the repository holds, as of the base)
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}
