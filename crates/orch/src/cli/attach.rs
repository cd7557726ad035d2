//! `orch task attach`: files on the ticket of a task.

use super::client::{Client, ServerArgs};
use super::context::Context;
use super::exit::{Exit, Failure, Outcome};
use super::show;
use clap::Args;
use orch_ports::attachment::{FILE_MOST, wrong_name};
use serde_json::{Value, json};
use std::path::PathBuf;

/// `orch task attach`
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Agents are given copies beside their brief; nothing of them is committed. A file of the same name is replaced. \
    10 MB each, 20 MB in all.\n\n\
    Example:\n  orch task attach DEMO-1 screenshot.png trace.txt"
)]
pub struct AttachArgs {
    /// The task
    pub id: String,
    /// The files
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub server: ServerArgs,
}

/// Puts them to the ticket, one after the other: all of them are looked at before the first is sent.
pub fn attach(a: &AttachArgs, context: &mut Context<'_>) -> Outcome {
    let mut files = Vec::new();
    for file in &a.files {
        let path = context.cwd.join(file);
        let shown = file.display();
        let cannot = |e: std::io::Error| Failure::usage(format!("cannot read {shown}: {e}"));
        let known = std::fs::metadata(&path).map_err(cannot)?;
        if !known.is_file() {
            return Err(Failure::usage(format!("{shown} is no file")));
        }
        if FILE_MOST < known.len() {
            let size = known.len();
            return Err(Failure::usage(format!("{shown} has {size} bytes, and {FILE_MOST} are the most for a file")));
        }
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        if let Some(why) = wrong_name(&name) {
            return Err(Failure::usage(format!("{shown}: {why}")));
        }
        if known.len() == 0 {
            return Err(Failure::usage(format!("{shown} is empty")));
        }
        files.push((name, std::fs::read(&path).map_err(cannot)?));
    }
    let client = Client::find(context, &a.server)?;
    let mut last = json!({});
    for (name, bytes) in &files {
        last = client.post_bytes(&["api", "v1", "tasks", &a.id, "files", name], bytes)?;
        if !a.json {
            context.say(format!("{}: {name} attached ({} bytes)", a.id, bytes.len()));
        }
    }
    if a.json {
        context.say(show::json(&last));
    }
    Ok(Exit::Done)
}

/// The files of a task for `orch task show`: names with sizes. Not being able to list them is no reason to show nothing.
pub fn listed(client: &Client, id: &str) -> String {
    let Ok(answer) = client.get(&["api", "v1", "tasks", id, "files"], &[]) else { return String::new() };
    let line = |file: &Value| format!("{} ({} bytes)", show::field(file, "name"), show::field(file, "size"));
    show::items(&answer, "files").iter().map(line).collect::<Vec<_>>().join(", ")
}
