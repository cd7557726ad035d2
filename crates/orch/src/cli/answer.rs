//! `orch answer ID TEXT`: the answer to a question an agent asked; it goes into the next brief word for word.

use super::acting::said;
use super::client::{Client, ServerArgs};
use super::context::Context;
use super::exit::{Exit, Failure, Outcome};
use super::read::read_text;
use clap::Args;
use serde_json::json;
use std::path::Path;

/// `orch answer`
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  orch answer DEMO-1 'Use the existing table, no migration'")]
pub struct AnswerArgs {
    /// The task
    pub id: String,
    /// The answer; `-` reads standard input
    pub text: String,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub server: ServerArgs,
}

/// Runs it.
pub fn run(args: &AnswerArgs, context: &mut Context<'_>) -> Outcome {
    let text = if args.text == "-" { read_text(context, Path::new("-"))? } else { args.text.clone() };
    if text.trim().is_empty() {
        return Err(Failure::usage("the answer is empty"));
    }
    let client = Client::find(context, &args.server)?;
    let answer = client.post(&["api", "v1", "tasks", &args.id, "answer"], &json!({ "text": text }))?;
    said(context, &answer, args.json, &format!("{}: answered", args.id));
    Ok(Exit::Done)
}
