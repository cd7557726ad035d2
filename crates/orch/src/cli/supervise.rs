//! `orch supervise RUN-DIR`: the process that owns one run. It is started detached by the daemon and must depend on
//! nothing but its directory: no configuration, no terminal, no server.

use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;

/// `orch supervise`
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  orch supervise /var/lib/orch/runs/12-3-1")]
pub struct SuperviseArgs {
    /// Directory with spec.json
    #[arg(value_name = "RUN-DIR")]
    pub run_dir: PathBuf,
}

/// Runs the supervisor.
pub fn run(args: &SuperviseArgs) -> ExitCode {
    orch_supervise::supervise_main(&args.run_dir)
}
