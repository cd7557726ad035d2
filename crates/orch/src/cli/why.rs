//! `orch why ID`: what a task waits for, since when, and what ends it.

use super::client::{Client, ServerArgs};
use super::context::Context;
use super::exit::{Exit, Outcome};
use super::show;
use clap::Args;

/// `orch why`
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  orch why DEMO-1")]
pub struct WhyArgs {
    /// The task
    pub id: String,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub server: ServerArgs,
}

/// Runs it; exit 1 if the task ended Blocked.
pub fn run(args: &WhyArgs, context: &mut Context<'_>) -> Outcome {
    let client = Client::find(context, &args.server)?;
    let why = client.get(&["api", "v1", "tasks", &args.id, "why"], &[])?;
    if args.json {
        context.say(show::json(&why));
    } else {
        context.say(show::field(&why, "sentence"));
        if let Some(waiting) = why.get("waiting").filter(|w| !w.is_null()) {
            for (name, text) in [
                ("since", show::time(waiting, "since")),
                ("until", show::time(waiting, "until")),
                ("ends when", show::field(waiting, "ends_when")),
                ("do", show::field(waiting, "command")),
                ("approves", show::field(waiting, "subject")),
            ] {
                if !text.is_empty() {
                    context.say(format!("  {name:<10} {text}"));
                }
            }
            for line in show::items(waiting, "shown").iter().filter_map(serde_json::Value::as_str) {
                context.say(format!("  {:<10} {line}", "to approve"));
            }
        }
        for line in show::items(&why, "degraded").iter().filter_map(serde_json::Value::as_str) {
            context.say(format!("  {:<10} {line}", "not seen"));
        }
    }
    Ok(if show::ended_badly(&why) { Exit::Failed } else { Exit::Done })
}
