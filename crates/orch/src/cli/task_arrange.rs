//! What people arrange about a task: that it is held for a while, and goes on.

use super::acting::act;
use super::client::ServerArgs;
use super::context::Context;
use super::exit::Outcome;
use clap::Args;
use serde_json::json;

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

/// `orch task hold`
pub fn hold(a: &HoldArgs, context: &mut Context<'_>) -> Outcome {
    act(context, &a.server, &a.id, "hold", &json!({ "reason": a.reason }), a.json)
}

/// `orch task release`
pub fn release(a: &ReleaseArgs, context: &mut Context<'_>) -> Outcome {
    act(context, &a.server, &a.id, "release", &json!({}), a.json)
}
