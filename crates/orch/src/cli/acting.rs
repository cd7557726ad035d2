//! What all commands that change something have in common: one request, and the server's answer in a sentence.

use super::client::{Client, ServerArgs};
use super::context::Context;
use super::exit::{Exit, Outcome};
use super::show;
use serde_json::Value;

/// Asks the server to do something to a task.
pub(super) fn act(
    context: &mut Context<'_>,
    server: &ServerArgs,
    id: &str,
    verb: &str,
    body: &Value,
    json: bool,
) -> Outcome {
    let client = Client::find(context, server)?;
    let answer = client.post(&["api", "v1", "tasks", id, verb], body)?;
    said(context, &answer, json, &format!("{id}: {verb} accepted"));
    Ok(Exit::Done)
}

/// Prints the server's answer to something it accepted.
pub(super) fn said(context: &mut Context<'_>, answer: &Value, json: bool, sentence: &str) {
    if json {
        context.say(show::json(answer));
    } else {
        context.say(sentence);
    }
}
