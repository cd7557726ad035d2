//! Arguments of `orch demo`.

use clap::Args;
use std::path::PathBuf;

/// `orch demo`
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  orch demo --keep --dir /tmp/orch-demo")]
pub struct DemoArgs {
    /// Where to build the sample (default: a new temporary directory)
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Keep the directory when it is over; `orch serve` in it goes on from there
    #[arg(long)]
    pub keep: bool,
    /// Agent program to use instead of the scripted one
    #[arg(long, value_name = "NAME")]
    pub agent: Option<String>,
    /// Do not pause for the eye
    #[arg(long)]
    pub fast: bool,
    /// Do not open the dashboard in a browser
    #[arg(long)]
    pub no_open: bool,
}
