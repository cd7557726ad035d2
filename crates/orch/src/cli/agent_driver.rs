//! `orch agent-driver RUN-DIR`: the process that drives an agent's program in one run. It is started by the run's supervisor
//! and must depend on nothing but its directory: no configuration, no terminal, no server.

use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;

/// `orch agent-driver`
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  orch agent-driver /var/lib/orch/runs/12-3-1")]
pub struct AgentDriverArgs {
    /// Directory with driver.json
    #[arg(value_name = "RUN-DIR")]
    pub run_dir: PathBuf,
}

/// Drives.
pub fn run(args: &AgentDriverArgs) -> ExitCode {
    orch_driver::process::agent_driver_main(&args.run_dir)
}
