//! `orch drain` and `orch resume`: stop and start claiming. Agents that run keep running.

use super::client::{Client, ServerArgs};
use super::context::Context;
use super::exit::{Exit, Outcome};
use super::task::said;
use clap::Args;
use serde_json::json;

/// `orch drain`
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  orch drain")]
pub struct DrainArgs {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub server: ServerArgs,
}

/// `orch resume`
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  orch resume")]
pub struct ResumeArgs {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub server: ServerArgs,
}

/// Stops claiming.
pub fn drain(args: &DrainArgs, context: &mut Context<'_>) -> Outcome {
    let answer = Client::find(context, &args.server)?.post(&["api", "v1", "drain"], &json!({}))?;
    said(context, &answer, args.json, "draining: nothing new is claimed, agents keep running");
    Ok(Exit::Done)
}

/// Starts claiming.
pub fn resume(args: &ResumeArgs, context: &mut Context<'_>) -> Outcome {
    let answer = Client::find(context, &args.server)?.post(&["api", "v1", "resume"], &json!({}))?;
    said(context, &answer, args.json, "claiming again");
    Ok(Exit::Done)
}
