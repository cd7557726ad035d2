//! `orch queue`: what `GET /queue` returns.

use super::client::{Client, ServerArgs};
use super::context::Context;
use super::exit::{Exit, Outcome};
use super::show;
use clap::Args;

/// `orch queue`
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  orch queue --json")]
pub struct QueueArgs {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub server: ServerArgs,
}

/// Runs it.
pub fn run(args: &QueueArgs, context: &mut Context<'_>) -> Outcome {
    let client = Client::find(context, &args.server)?;
    let queue = client.get(&["queue"], &[])?;
    if args.json {
        context.say(show::json(&queue));
    } else {
        for line in show::tree(&queue) {
            context.say(line);
        }
    }
    Ok(Exit::Done)
}
