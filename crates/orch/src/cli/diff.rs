//! `orch diff ID`: what a task changes, as it is approved and lands. What strangers wrote is shown so that nothing in it
//! hides, turns or moves the cursor.

use super::client::{Client, ServerArgs};
use super::context::{Context, Tone};
use super::exit::{Exit, Outcome};
use super::show;
use super::table;
use crate::hunks::{self, Kind};
use clap::Args;
use orch_core::plain::{marked, marked_line};
use serde_json::Value;

/// `orch diff`
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Shown is what the branch would bring to the default branch; once it is merged, what it brought.\n\n\
                        Example:\n  orch diff DEMO-1\n  orch diff DEMO-1 --stat"
)]
pub struct DiffArgs {
    /// The task
    pub id: String,
    /// Print the files with their added and removed lines, not the text
    #[arg(long)]
    pub stat: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub server: ServerArgs,
}

/// Runs it.
pub fn run(args: &DiffArgs, context: &mut Context<'_>) -> Outcome {
    let client = Client::find(context, &args.server)?;
    let answer = client.get(&["api", "v1", "tasks", &args.id, "diff"], query(args.stat))?;
    if args.json {
        context.say(show::json(&answer));
    } else {
        let name = show::field(&answer, "task");
        tell(&answer, &name, args.stat, context);
    }
    Ok(Exit::Done)
}

/// What is asked for of a difference.
pub(super) fn query(stat: bool) -> &'static [(&'static str, &'static str)] {
    if stat { &[("stat", "true")] } else { &[] }
}

/// A difference for people: how much it is, then its files or its text, then what is missing of it.
pub(super) fn tell(answer: &Value, name: &str, stat: bool, context: &mut Context<'_>) {
    let files = show::items(answer, "files");
    let flag = |name: &str| answer.pointer(&format!("/truncated/{name}")).cloned().unwrap_or(Value::Bool(false));
    let (more_files, more_text) = (flag("files") == Value::Bool(true), flag("text") == Value::Bool(true));
    let short = |name: &str| show::field(answer, name).chars().take(10).collect::<String>();
    let total = show::field(answer, "files_total");
    context.say(format!(
        "{name}: {total} {}, {}+{} -{}, {}..{} ({})",
        if total == "1" { "file" } else { "files" },
        if more_files || flag("counts") == Value::Bool(true) { "at least " } else { "" },
        show::field(answer, "added"),
        show::field(answer, "removed"),
        short("from"),
        short("to"),
        if answer.get("merged").and_then(Value::as_bool) == Some(true) { "merged" } else { "not merged" },
    ));
    if stat {
        if !files.is_empty() {
            let rows: Vec<Vec<String>> = files.iter().map(row).collect();
            for line in table::lines(&["LINES", "HOW", "FILE"], &rows) {
                context.say(line);
            }
        }
        if more_files {
            context.say(format!("… the first {} of {total} files are listed", files.len()));
        }
        return;
    }
    let text = answer.get("text").and_then(Value::as_str).unwrap_or_default();
    if !text.is_empty() {
        context.say("");
    }
    for (kind, line) in hunks::lines(&marked(text)) {
        match kind {
            Kind::Added => context.say(context.paint(Tone::Good, line)),
            Kind::Removed => context.say(context.paint(Tone::Bad, line)),
            Kind::Head | Kind::Same => context.say(line),
        }
    }
    let range = format!("git diff {} {}", show::field(answer, "from"), show::field(answer, "to"));
    let some = |name: &str| flag(name).as_u64().is_some_and(|n| 0 < n);
    if more_text {
        context
            .say(format!("… cut here: this is not all; --stat lists the files, and a clone shows the rest: {range}"));
    } else if some("long_files") || some("lines") {
        context.say(format!("… lines were left out where it says so; a clone shows them: {range}"));
    }
}

fn row(file: &Value) -> Vec<String> {
    let is = |name: &str| file.get(name).and_then(Value::as_u64);
    let lines = match (is("added"), is("removed")) {
        (Some(added), Some(removed)) => format!("+{added} -{removed}"),
        _ if file.get("binary").and_then(Value::as_bool) == Some(true) => "binary".into(),
        _ => "?".into(),
    };
    let (how, kind) = (show::field(file, "how"), show::field(file, "kind"));
    let how = if kind == "file" { how } else { format!("{kind} {how}") };
    let path = file.get("path").and_then(Value::as_str).unwrap_or_default();
    vec![lines, how, marked_line(path)]
}
