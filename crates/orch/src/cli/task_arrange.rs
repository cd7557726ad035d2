//! What people arrange about a task: that it is held for a while, that its ticket says something else, that it is finished
//! outside of orch or taken back.

use super::acting::act;
use super::client::ServerArgs;
use super::context::Context;
use super::exit::{Failure, Outcome};
use super::read::read_text;
use clap::Args;
use serde_json::json;
use std::path::PathBuf;

/// `orch task hold`
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "What is under way is finished: an agent's turn, a merge that was asked for. Nothing new begins, and no \
    merge lease is held.\n\n\
    Example:\n  orch task hold DEMO-1 --reason 'after the release'"
)]
pub struct HoldArgs {
    /// The task
    pub id: String,
    /// Why, for everybody who looks at it
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub server: ServerArgs,
}

/// `orch task release`
#[derive(Clone, Debug, Args)]
#[command(after_help = "It goes on exactly where it was held.\n\nExample:\n  orch task release DEMO-1")]
pub struct ReleaseArgs {
    /// The task
    pub id: String,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub server: ServerArgs,
}

/// `orch task edit`
#[derive(Clone, Debug, Args)]
#[command(after_help = "What is not given stays as it is. The next brief has the new text.\n\n\
    Example:\n  orch task edit DEMO-1 --title 'Show the build' --body-file ticket.md")]
pub struct EditArgs {
    /// The task
    pub id: String,
    /// What is wanted, in one line
    #[arg(long, value_name = "TEXT")]
    pub title: Option<String>,
    /// What is wanted, in full
    #[arg(long, value_name = "TEXT", conflicts_with = "body_file")]
    pub body: Option<String>,
    /// File with what is wanted in full; `-` reads standard input
    #[arg(long, value_name = "FILE")]
    pub body_file: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub server: ServerArgs,
}

/// `orch task finish`
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "It ends as done, and orch merges nothing for it; what runs is ended, its branch and pull request are cleaned up.\n\n\
    Example:\n  orch task finish DEMO-1 --reason 'changed by hand in the console'"
)]
pub struct FinishArgs {
    /// The task
    pub id: String,
    /// Why, for its evidence
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub server: ServerArgs,
}

/// `orch task revert`
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "A branch that takes the merged change back goes through the same gates. `orch task cancel` gives it up.\n\n\
    Example:\n  orch task revert DEMO-1 --reason 'too slow on the old machines'"
)]
pub struct RevertArgs {
    /// The task
    pub id: String,
    /// Why
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub server: ServerArgs,
}

/// `orch task after`
#[derive(Clone, Debug, Args)]
#[command(after_help = "It starts at once when the last of them is done or cancelled. Other projects count too.\n\n\
    Example:\n  orch task after DEMO-3 DEMO-1 SHOP-7\n  orch task after DEMO-3 --remove SHOP-7")]
pub struct AfterArgs {
    /// The task
    pub id: String,
    /// Those that are to be over before it starts
    #[arg(value_name = "OTHER", required = true)]
    pub others: Vec<String>,
    /// It does not wait for them any more
    #[arg(long)]
    pub remove: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub server: ServerArgs,
}

/// `orch task after`
pub fn after(a: &AfterArgs, context: &mut Context<'_>) -> Outcome {
    let body = if a.remove { json!({ "remove": a.others }) } else { json!({ "add": a.others }) };
    act(context, &a.server, &a.id, "after", &body, a.json)
}

/// `orch task edit`
pub fn edit(a: &EditArgs, context: &mut Context<'_>) -> Outcome {
    let body = match &a.body_file {
        Some(file) => Some(read_text(context, file)?),
        None => a.body.clone(),
    };
    if a.title.is_none() && body.is_none() {
        return Err(Failure::usage("nothing is to be changed: give --title, --body or --body-file"));
    }
    if a.title.as_ref().is_some_and(|title| title.trim().is_empty()) {
        return Err(Failure::usage("a task needs a title"));
    }
    act(context, &a.server, &a.id, "edit", &json!({ "title": a.title, "body": body }), a.json)
}

/// `orch task finish`
pub fn finish(a: &FinishArgs, context: &mut Context<'_>) -> Outcome {
    if a.reason.trim().is_empty() {
        return Err(Failure::usage("say why it is finished: the reason stays with its evidence"));
    }
    act(context, &a.server, &a.id, "finish", &json!({ "reason": a.reason }), a.json)
}

/// `orch task revert`
pub fn revert(a: &RevertArgs, context: &mut Context<'_>) -> Outcome {
    act(context, &a.server, &a.id, "revert", &json!({ "reason": a.reason }), a.json)
}

/// `orch task hold`
pub fn hold(a: &HoldArgs, context: &mut Context<'_>) -> Outcome {
    act(context, &a.server, &a.id, "hold", &json!({ "reason": a.reason }), a.json)
}

/// `orch task release`
pub fn release(a: &ReleaseArgs, context: &mut Context<'_>) -> Outcome {
    act(context, &a.server, &a.id, "release", &json!({}), a.json)
}
