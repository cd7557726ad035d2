//! `orch evidence ID`: each gate's verdict and what it looked at, and what was not checked.

use super::client::{Client, ServerArgs};
use super::context::{Context, Tone};
use super::exit::{Exit, Outcome};
use super::show;
use super::table;
use clap::Args;
use orch_engine::gates::PASS_DEGRADED;
use serde_json::Value;

/// `orch evidence`
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  orch evidence DEMO-1")]
pub struct EvidenceArgs {
    /// The task
    pub id: String,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub server: ServerArgs,
}

/// Runs it.
pub fn run(args: &EvidenceArgs, context: &mut Context<'_>) -> Outcome {
    let client = Client::find(context, &args.server)?;
    let answer = client.get(&["api", "v1", "tasks", &args.id, "evidence"], &[])?;
    if args.json {
        context.say(show::json(&answer));
        return Ok(Exit::Done);
    }
    let gates = show::items(&answer, "gates");
    if gates.is_empty() {
        context.note(format!("{}: no gate has judged yet", args.id));
    }
    for gate in gates {
        let missed = show::items(gate, "degraded");
        let word = if missed.is_empty() { show::field(gate, "verdict") } else { PASS_DEGRADED.to_owned() };
        let tone = match word.as_str() {
            "pass" => Tone::Good,
            "fail" | "unreadable" => Tone::Bad,
            _ => Tone::Warn,
        };
        // The word is padded before it is painted: colour has no width.
        let painted = context.paint(tone, &format!("{word:<12}"));
        let head: String = show::field(gate, "head").chars().take(10).collect();
        let again = if gate.get("reused").and_then(Value::as_bool) == Some(true) { ", as judged before" } else { "" };
        context.say(format!("{painted} {:<26} {head} {}{again}", show::field(gate, "gate"), show::time(gate, "at")));
        for line in missed.iter().filter_map(Value::as_str) {
            context.say(format!("             not seen: {}", table::plain(line)));
        }
        let why = show::field(gate, "why");
        if !why.is_empty() && show::items(gate, "findings").is_empty() {
            context.say(format!("             {}", table::plain(&why)));
        }
        for finding in show::items(gate, "findings") {
            let place = [show::field(finding, "file"), show::field(finding, "line")];
            let place: Vec<&str> = place.iter().map(String::as_str).filter(|p| !p.is_empty()).collect();
            let text = show::field(finding, "text");
            let first = text.lines().next().unwrap_or_default();
            context.say(format!(
                "             {} {} {}",
                show::field(finding, "severity"),
                place.join(":"),
                table::plain(first)
            ));
        }
    }
    if let Some(rest) = answer.as_object() {
        for (name, value) in rest.iter().filter(|(name, _)| !["gates", "artefacts", "task"].contains(&name.as_str())) {
            context.say(format!("\n{}", table::plain(&name.replace('_', " "))));
            for line in show::tree(value) {
                context.say(format!("  {line}"));
            }
        }
    }
    Ok(Exit::Done)
}
