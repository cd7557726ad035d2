//! `orch land`: a person's own branch through the same gates and the same queue, without agents.

use super::client::{Client, ServerArgs};
use super::context::Context;
use super::exit::{Exit, Failure, Outcome};
use super::pr::project;
use super::show;
use clap::Args;
use orch_core::source::odd_name;
use serde_json::{Value, json};

/// `orch land`
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "The branch is taken as it stands on the forge at this moment. It goes through CI, tests, security, the merge queue, \
                  staging and deploy; orch works on a copy and leaves your branch alone. What does not pass waits for you: push a \
                  repair and land it again.\n\n\
                  Example:\n  orch land anna/fix-rounding\n  \
                  orch land anna/fix-rounding --head \"$(git rev-parse HEAD)\" --title 'Round half up'"
)]
pub struct LandArgs {
    /// The branch, as it is named on the forge
    pub branch: String,
    /// Key of the project (default: the only one there is)
    #[arg(long, value_name = "KEY")]
    pub project: Option<String>,
    /// Only if the branch stands at this commit
    #[arg(long, value_name = "SHA")]
    pub head: Option<String>,
    /// What the ticket and the commit are called (default: as its only commit, or `Land BRANCH`)
    #[arg(long, value_name = "TEXT")]
    pub title: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub server: ServerArgs,
}

/// Runs it.
pub fn run(args: &LandArgs, context: &mut Context<'_>) -> Outcome {
    if let Some(why) = odd_name(&args.branch) {
        return Err(Failure::usage(why));
    }
    let client = Client::find(context, &args.server)?;
    let project = project(&client, args.project.as_deref())?;
    let body = json!({ "branch": args.branch, "head": args.head, "title": args.title });
    let answer = client.post_keyed(&["api", "v1", "projects", &project, "land"], &body)?;
    if args.json {
        context.say(show::json(&answer));
        return Ok(Exit::Done);
    }
    let item = answer.pointer("/task/id").and_then(Value::as_str).unwrap_or_default().to_owned();
    let head: String = show::field(&answer, "head").chars().take(12).collect();
    let branch = show::field(&answer, "branch");
    if answer.get("already").and_then(Value::as_bool) == Some(true) {
        context.say(format!("{item} is landing {branch} at {head} already"));
    } else {
        context.say(format!("{item} lands {branch} at {head}"));
    }
    context.note(format!(
        "`orch why {item}` says how far it is; what you push from now on lands when you ask for it again"
    ));
    Ok(Exit::Done)
}
