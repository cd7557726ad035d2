//! `orch pr`: the open pull requests of a project, what they change, and one for a person's own branch.

use super::client::{Client, ServerArgs};
use super::context::Context;
use super::diff;
use super::exit::{Exit, Failure, Outcome};
use super::show;
use super::table;
use clap::{Args, Subcommand};
use orch_core::plain::marked_line;
use serde_json::{Value, json};

/// `orch pr`
#[derive(Clone, Debug, Subcommand)]
#[command(after_help = "Example:\n  orch pr list")]
pub enum PrCommand {
    /// List the open pull requests, newest first
    List(ListArgs),
    /// Show what a pull request changes
    Diff(DiffArgs),
    /// Open a pull request for a branch of your own; one that is open already is shown
    Open(OpenArgs),
}

/// `orch pr list`
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  orch pr list --project DEMO")]
pub struct ListArgs {
    /// Key of the project (default: the only one there is)
    #[arg(long, value_name = "KEY")]
    pub project: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub server: ServerArgs,
}

/// `orch pr diff`
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  orch pr diff 7\n  orch pr diff 7 --stat")]
pub struct DiffArgs {
    /// Number of the pull request
    pub number: u64,
    /// Key of the project (default: the only one there is)
    #[arg(long, value_name = "KEY")]
    pub project: Option<String>,
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

/// `orch pr open`
#[derive(Clone, Debug, Args)]
#[command(after_help = "The branch must be pushed. Branches of tasks have pull requests of their own.\n\n\
                        Example:\n  orch pr open fix-the-footer --title 'Fix the footer'")]
pub struct OpenArgs {
    /// The branch
    pub branch: String,
    /// Key of the project (default: the only one there is)
    #[arg(long, value_name = "KEY")]
    pub project: Option<String>,
    /// Title (default: the subject of its newest commit)
    #[arg(long, value_name = "TEXT")]
    pub title: Option<String>,
    /// Text
    #[arg(long, value_name = "TEXT")]
    pub body: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub server: ServerArgs,
}

/// Runs it.
pub fn run(command: &PrCommand, context: &mut Context<'_>) -> Outcome {
    match command {
        PrCommand::List(args) => list(args, context),
        PrCommand::Diff(args) => {
            let client = Client::find(context, &args.server)?;
            let project = project(&client, args.project.as_deref())?;
            let number = args.number.to_string();
            let path = ["api", "v1", "projects", &project, "pulls", &number, "diff"];
            let answer = client.get(&path, diff::query(args.stat))?;
            if args.json {
                context.say(show::json(&answer));
            } else {
                let title = answer.pointer("/pull/title").and_then(Value::as_str).unwrap_or_default();
                diff::tell(&answer, &format!("#{number} {}", marked_line(title)), args.stat, context);
            }
            Ok(Exit::Done)
        }
        PrCommand::Open(args) => open(args, context),
    }
}

fn list(args: &ListArgs, context: &mut Context<'_>) -> Outcome {
    let client = Client::find(context, &args.server)?;
    let project = project(&client, args.project.as_deref())?;
    let answer = client.get(&["api", "v1", "projects", &project, "pulls"], &[])?;
    if args.json {
        context.say(show::json(&answer));
        return Ok(Exit::Done);
    }
    let pulls = show::items(&answer, "pulls");
    if pulls.is_empty() {
        context.note(format!("no open pull request in {}", show::field(&answer, "project")));
        return Ok(Exit::Done);
    }
    let text = |pull: &Value, name: &str| marked_line(pull.get(name).and_then(Value::as_str).unwrap_or_default());
    let row = |pull: &Value| {
        let head = show::field(pull, "head").chars().take(10).collect();
        let task = Some(show::field(pull, "task")).filter(|t| !t.is_empty()).unwrap_or_else(|| "-".into());
        let number = format!("#{}", show::field(pull, "number"));
        vec![number, task, head, text(pull, "author"), text(pull, "branch"), text(pull, "title")]
    };
    let rows: Vec<Vec<String>> = pulls.iter().map(row).collect();
    for line in table::lines(&["PR", "TASK", "HEAD", "AUTHOR", "BRANCH", "TITLE"], &rows) {
        context.say(line);
    }
    if answer.get("truncated").and_then(Value::as_bool) == Some(true) {
        context.note(format!("only the newest {} are listed", pulls.len()));
    }
    Ok(Exit::Done)
}

fn open(args: &OpenArgs, context: &mut Context<'_>) -> Outcome {
    for (name, given) in [("title", &args.title), ("body", &args.body)] {
        if given.as_ref().is_some_and(|text| text.trim().is_empty()) {
            return Err(Failure::usage(format!("--{name} is empty")));
        }
    }
    let client = Client::find(context, &args.server)?;
    let project = project(&client, args.project.as_deref())?;
    let mut body = json!({ "branch": args.branch });
    for (name, given) in [("title", &args.title), ("body", &args.body)] {
        if let Some(text) = given {
            body[name] = json!(text);
        }
    }
    let answer = client.post(&["api", "v1", "projects", &project, "pulls"], &body)?;
    if args.json {
        context.say(show::json(&answer));
        return Ok(Exit::Done);
    }
    let pull = answer.get("pull").unwrap_or(&Value::Null);
    let text = |name: &str| marked_line(pull.get(name).and_then(Value::as_str).unwrap_or_default());
    let number = show::field(pull, "number");
    let existed = answer.get("existed").and_then(Value::as_bool) == Some(true);
    let how = if existed { "was open already" } else { "is open" };
    context.say(format!("#{number} {how}: `{}` into `{}`, {}", text("branch"), text("into"), text("title")));
    context.say(format!("  {}", text("url")));
    context.say(format!("  see what it changes: orch pr diff {number}"));
    Ok(Exit::Done)
}

/// The project that was named, or the only one there is.
pub(super) fn project(client: &Client, named: Option<&str>) -> Result<String, Failure> {
    if let Some(key) = named {
        return Ok(key.to_owned());
    }
    let answer = client.get(&["api", "v1", "projects"], &[])?;
    let keys: Vec<String> = show::items(&answer, "projects").iter().map(|p| show::field(p, "key")).collect();
    match &keys[..] {
        [only] => Ok(only.clone()),
        [] => Err(Failure::usage("the server has no project")),
        _ => Err(Failure::usage("which project? There are several").hint(format!("--project {}", keys.join("|")))),
    }
}
