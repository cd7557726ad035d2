//! `orch approve` and `orch reject`: a person's word. Who the person is, and whether they may, the server decides.

use super::acting::said;
use super::client::{Client, ServerArgs};
use super::context::Context;
use super::exit::{Exit, Failure, Outcome};
use super::show;
use clap::Args;
use orch_core::ids::GateId;
use serde_json::{Map, Value};

/// So many characters name a digest at least.
const LEAST: usize = 6;

macro_rules! word_args {
    ($name:ident, $word:literal, $comment:literal $(, $subject:ident)?) => {
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
            $(
                /// Only if this is what is asked: the digest that `orch why` shows, or its first 6 or more characters
                #[arg(long, value_name = "DIGEST")]
                pub $subject: Option<String>,
            )?
            /// Print JSON
            #[arg(long)]
            pub json: bool,
            #[command(flatten)]
            #[allow(missing_docs)]
            pub server: ServerArgs,
        }
    };
}
word_args!(ApproveArgs, "approve", "as we spoke", subject);
word_args!(RejectArgs, "reject", "the limits are missing");

/// Approves.
pub fn approve(args: &ApproveArgs, context: &mut Context<'_>) -> Outcome {
    let parts = (args.gate.as_deref(), args.comment.as_deref());
    let seen = seen(&Client::find(context, &args.server)?, &args.id, args.subject.as_deref())?;
    send(context, &args.server, &args.id, "approve", parts, (seen, args.json))
}

/// Refuses.
pub fn reject(args: &RejectArgs, context: &mut Context<'_>) -> Outcome {
    let parts = (args.gate.as_deref(), args.comment.as_deref());
    send(context, &args.server, &args.id, "reject", parts, (None, args.json))
}

/// What is asked now: that, which is printed then, is approved, and nothing that comes up meanwhile.
fn seen(client: &Client, id: &str, given: Option<&str>) -> Result<Option<String>, Failure> {
    let asked = match client.get(&["api", "v1", "tasks", id], &[]) {
        Ok(task) => task["waiting"]["subject"].as_str().map(ToOwned::to_owned),
        // Whatever is wrong, the approval itself is told of it in its own words.
        Err(_) => None,
    };
    Ok(match (given, asked) {
        (Some(given), _) if given.len() < LEAST => {
            return Err(Failure::usage(format!("`--subject`: at least {LEAST} characters of the digest")));
        }
        (Some(given), Some(asked)) if asked.starts_with(given) => Some(asked),
        (Some(given), _) => Some(given.to_owned()),
        (None, asked) => asked,
    })
}

fn send(
    context: &mut Context<'_>,
    server: &ServerArgs,
    id: &str,
    verb: &str,
    (gate, comment): (Option<&str>, Option<&str>),
    (subject, json): (Option<String>, bool),
) -> Outcome {
    let mut body = Map::new();
    if let Some(subject) = subject {
        body.insert("subject".into(), subject.into());
    }
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
