//! `orch sandbox-door` and `orch sandbox-relay`: the two ends of a run's way out of its sandbox. They are started with the run
//! and depend on nothing but their arguments.

use clap::Args;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

/// `orch sandbox-door`
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  orch sandbox-door --socket run/net.sock --allow crates.io -- cargo fetch")]
pub struct DoorArgs {
    /// Socket that is made
    #[arg(long, value_name = "PATH")]
    pub socket: PathBuf,
    /// Host that may be reached; may be given several times
    #[arg(long, value_name = "NAME")]
    pub allow: Vec<String>,
    /// Program and arguments
    #[arg(last = true, value_name = "PROGRAM")]
    pub program: Vec<OsString>,
}

/// `orch sandbox-relay`
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  orch sandbox-relay run/net.sock -- cargo fetch")]
pub struct RelayArgs {
    /// Socket of the door
    #[arg(value_name = "SOCKET")]
    pub socket: PathBuf,
    /// Program and arguments
    #[arg(last = true, value_name = "PROGRAM")]
    pub program: Vec<OsString>,
}

/// The outer end.
pub fn door(args: &DoorArgs) -> ExitCode {
    orch_sandbox::door::door_main(&args.socket, args.allow.clone(), &args.program)
}

/// The inner end.
pub fn relay(args: &RelayArgs) -> ExitCode {
    orch_sandbox::relay::relay_main(args.socket.clone(), &args.program)
}
