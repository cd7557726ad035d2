//! `orch drain`, `orch resume` and `orch reload`: stop and start claiming, read the configuration again. Agents that run
//! keep running.

use super::acting::said;
use super::client::{Client, ServerArgs};
use super::context::Context;
use super::exit::{Exit, Outcome};
use super::{show, table};
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

/// `orch reload`
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  orch reload --json")]
pub struct ReloadArgs {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub server: ServerArgs,
}

/// Reads the configuration again.
pub fn reload(args: &ReloadArgs, context: &mut Context<'_>) -> Outcome {
    let answer = Client::find(context, &args.server)?.post(&["api", "v1", "reload"], &json!({}))?;
    if args.json {
        context.say(show::json(&answer));
        return Ok(Exit::Done);
    }
    let keys = |name: &str| -> Vec<String> {
        show::items(&answer, name).iter().filter_map(|key| key.as_str().map(table::plain)).collect()
    };
    let (applied, restart) = (keys("applied"), keys("needs_restart"));
    if applied.is_empty() && restart.is_empty() {
        context.say("the configuration is in force as it is written");
    }
    for key in applied {
        context.say(format!("taken up       {key}"));
    }
    for key in restart {
        context.say(format!("needs restart  {key}"));
    }
    for why in keys("out_of_service") {
        context.say(format!("out of service {why}"));
    }
    Ok(Exit::Done)
}
