//! `orch approve` and `orch reject`: a person's word. Who the person is, and whether they may, the server decides.

use super::acting::said;
use super::client::{Client, ServerArgs};
use super::context::Context;
use super::exit::{Exit, Failure, Outcome};
use super::show;
use clap::Args;
use orch_core::ids::GateId;
use serde_json::{Map, Value};

macro_rules! word_args {
    ($name:ident, $word:literal, $comment:literal) => {
        #[doc = concat!("`orch ", $word, "`")]
        #[derive(Clone, Debug, Args)]
        #[command(after_help = concat!("See what it changes: orch diff DEMO-1\n\nExample:\n  orch ", $word, " DEMO-1 --comment '", $comment, "'"))]
        pub struct $name {
            /// The task
            pub id: String,
            /// Only if this gate is what the task waits at
            #[arg(long, value_name = "NAME")]
            pub gate: Option<String>,
            /// Why; goes to the ticket and into the next brief
            #[arg(long, value_name = "TEXT")]
            pub comment: Option<String>,
            /// Print JSON
            #[arg(long)]
            pub json: bool,
            #[command(flatten)]
            #[allow(missing_docs)]
            pub server: ServerArgs,
        }
    };
}
word_args!(ApproveArgs, "approve", "as we spoke");
word_args!(RejectArgs, "reject", "the limits are missing");

/// Approves.
pub fn approve(args: &ApproveArgs, context: &mut Context<'_>) -> Outcome {
    let parts = (args.gate.as_deref(), args.comment.as_deref());
    send(context, &args.server, &args.id, "approve", parts, args.json)
}

/// Refuses.
pub fn reject(args: &RejectArgs, context: &mut Context<'_>) -> Outcome {
    let parts = (args.gate.as_deref(), args.comment.as_deref());
    send(context, &args.server, &args.id, "reject", parts, args.json)
}

fn send(
    context: &mut Context<'_>,
    server: &ServerArgs,
    id: &str,
    verb: &str,
    (gate, comment): (Option<&str>, Option<&str>),
    json: bool,
) -> Outcome {
    let mut body = Map::new();
    if let Some(name) = gate {
        // Kept as it is if it is no quality gate: production approval has a name of its own.
        let gate = GateId::parse(name).map_or_else(|| name.to_owned(), |gate| gate.as_str().to_owned());
        body.insert("gate".into(), gate.into());
    }
    if let Some(comment) = comment {
        if comment.trim().is_empty() {
            return Err(Failure::usage("the comment is empty"));
        }
        body.insert("comment".into(), comment.into());
    }
    let client = Client::find(context, server)?;
    let answer = client.post(&["api", "v1", "tasks", id, verb], &Value::Object(body))?;
    said(context, &answer, json, &format!("{id}: {verb} recorded for {}", context.actor()));
    if let (false, Some(approved)) = (json, answer.get("approved")) {
        for line in show::items(approved, "shown").iter().filter_map(Value::as_str) {
            context.say(format!("  {}: {line}", show::field(approved, "what")));
        }
    }
    Ok(Exit::Done)
}
