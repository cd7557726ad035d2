//! `orch task`: make, start, stop, retry and look at tasks.

use super::acting::act;
use super::attach::{self, AttachArgs};
use super::client::{Client, ServerArgs};
use super::context::{Context, Tone};
use super::exit::{Exit, Failure, Outcome};
use super::read::read_text;
use super::show;
use super::table;
use super::task_arrange::{self as arrange, AfterArgs, EditArgs, FinishArgs, HoldArgs, ReleaseArgs, RevertArgs};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

/// `orch task`
#[derive(Clone, Debug, Subcommand)]
#[command(after_help = "Example:\n  orch task new --project DEMO --title 'Add a health check' --start")]
pub enum TaskCommand {
    /// Make a task; prints its work item id
    New(NewArgs),
    /// Start a task that waits to be started, or begin one again that is over
    Start(StartArgs),
    /// Cancel a task
    Cancel(CancelArgs),
    /// Let a blocked task try again, or choose how a failed production goes on
    Retry(RetryArgs),
    /// Say something to everybody who works on a task: on its ticket, and in the next brief
    Comment(CommentArgs),
    /// Say how early a task goes among those of its project
    Priority(PriorityArgs),
    /// Hold a task: what runs is finished, and nothing new begins
    Hold(HoldArgs),
    /// Let a held task go on
    Release(ReleaseArgs),
    /// Say which tasks are to be over before one starts
    After(AfterArgs),
    /// Put files to a task's ticket, for whoever works on it
    Attach(AttachArgs),
    /// Change the text of a task's ticket
    Edit(EditArgs),
    /// Say that a task is finished outside of orch
    Finish(FinishArgs),
    /// Take back what a task merged, through the same gates
    Revert(RevertArgs),
    /// List the tasks under way
    List(ListArgs),
    /// Show one task; exit 1 if it ended Blocked
    Show(ShowArgs),
}

/// `orch task new`
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Example:\n  orch task new --project DEMO --title 'Add a health check' --body-file ticket.md --start"
)]
pub struct NewArgs {
    /// Key of the project
    #[arg(long, value_name = "KEY")]
    pub project: String,
    /// What is wanted, in one line
    #[arg(long, value_name = "TEXT")]
    pub title: String,
    /// What is wanted, in full
    #[arg(long, value_name = "TEXT", conflicts_with = "body_file")]
    pub body: Option<String>,
    /// File with what is wanted in full; `-` reads standard input
    #[arg(long, value_name = "FILE")]
    pub body_file: Option<PathBuf>,
    /// Start it at once
    #[arg(long)]
    pub start: bool,
    /// A task that is to be done or cancelled before this one starts; can be given more than once
    #[arg(long, value_name = "ID")]
    pub after: Vec<String>,
    /// Idempotency key: the same key never makes a second task (default: a new one)
    #[arg(long, value_name = "TEXT")]
    pub key: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub server: ServerArgs,
}

macro_rules! act_args {
    ($name:ident, $word:literal) => {
        #[doc = concat!("`orch task ", $word, "`")]
        #[derive(Clone, Debug, Args)]
        #[command(after_help = concat!("Example:\n  orch task ", $word, " DEMO-1"))]
        pub struct $name {
            /// The task
            pub id: String,
            /// Print JSON
            #[arg(long)]
            pub json: bool,
            #[command(flatten)]
            #[allow(missing_docs)]
            pub server: ServerArgs,
        }
    };
}
act_args!(StartArgs, "start");
act_args!(CancelArgs, "cancel");
act_args!(ShowArgs, "show");

/// `orch task retry`
#[derive(Clone, Debug, Args)]
#[command(after_help = "When production failed, a task waits for one of four words:\n  \
    deploy  the same revision is deployed again (what a retry without --as means)\n  \
    repair  back to development, with the log in the brief\n  \
    revert  the change is taken back, through the same gates\n  \
    accept  production stays as it is\n\n\
    Example:\n  orch task retry DEMO-1\n  orch task retry DEMO-1 --as revert")]
pub struct RetryArgs {
    /// The task
    pub id: String,
    /// How a merged change goes on that production did not take: deploy, repair, revert or accept
    #[arg(long = "as", value_name = "WAY", value_parser = ["deploy", "repair", "revert", "accept"])]
    pub way: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub server: ServerArgs,
}

/// `orch task comment`
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  orch task comment DEMO-1 'Keep the old endpoint until May'")]
pub struct CommentArgs {
    /// The task
    pub id: String,
    /// What to say; `-` reads standard input
    pub text: String,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub server: ServerArgs,
}

/// `orch task priority`
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "0 is what every task begins with; more goes first. What is at work already is not stopped.\n\n\
    Example:\n  orch task priority DEMO-7 10"
)]
pub struct PriorityArgs {
    /// The task
    pub id: String,
    /// From -1000 to 1000
    #[arg(allow_negative_numbers = true, value_parser = clap::value_parser!(i32).range(-1_000..=1_000))]
    pub priority: i32,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub server: ServerArgs,
}

/// `orch task list`
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  orch task list --project DEMO --all")]
pub struct ListArgs {
    /// Only this project
    #[arg(long, value_name = "KEY")]
    pub project: Option<String>,
    /// Finished tasks as well
    #[arg(long)]
    pub all: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub server: ServerArgs,
}

/// Runs it.
pub fn run(command: &TaskCommand, context: &mut Context<'_>) -> Outcome {
    match command {
        TaskCommand::New(args) => new(args, context),
        TaskCommand::Start(a) => act(context, &a.server, &a.id, "start", &json!({}), a.json),
        TaskCommand::Cancel(a) => act(context, &a.server, &a.id, "cancel", &json!({}), a.json),
        TaskCommand::Retry(a) => {
            let body = a.way.as_ref().map_or_else(|| json!({}), |way| json!({ "as": way }));
            act(context, &a.server, &a.id, "retry", &body, a.json)
        }
        TaskCommand::Comment(args) => comment(args, context),
        TaskCommand::Priority(a) => {
            act(context, &a.server, &a.id, "priority", &json!({ "priority": a.priority }), a.json)
        }
        TaskCommand::Hold(args) => arrange::hold(args, context),
        TaskCommand::Release(args) => arrange::release(args, context),
        TaskCommand::After(args) => arrange::after(args, context),
        TaskCommand::Attach(args) => attach::attach(args, context),
        TaskCommand::Edit(args) => arrange::edit(args, context),
        TaskCommand::Finish(args) => arrange::finish(args, context),
        TaskCommand::Revert(args) => arrange::revert(args, context),
        TaskCommand::List(args) => list(args, context),
        TaskCommand::Show(args) => one(args, context),
    }
}

fn new(args: &NewArgs, context: &mut Context<'_>) -> Outcome {
    let body = match (&args.body, &args.body_file) {
        (Some(text), _) => text.clone(),
        (None, Some(file)) => read_text(context, file)?,
        (None, None) => String::new(),
    };
    if args.title.trim().is_empty() {
        return Err(Failure::usage("a task needs a title"));
    }
    let key = args.key.clone().unwrap_or_else(fresh_key);
    let client = Client::find(context, &args.server)?;
    let body = json!({
        "project": args.project, "title": args.title, "body": body, "start": args.start, "after": args.after, "key": key,
    });
    let task = client.post_keyed(&["api", "v1", "tasks"], &body)?;
    if args.json {
        context.say(show::json(&task));
    } else {
        context.say(show::field(&task, "id"));
    }
    Ok(Exit::Done)
}

fn comment(args: &CommentArgs, context: &mut Context<'_>) -> Outcome {
    let text = if args.text == "-" { read_text(context, std::path::Path::new("-"))? } else { args.text.clone() };
    if text.trim().is_empty() {
        return Err(Failure::usage("the comment is empty"));
    }
    act(context, &args.server, &args.id, "comment", &json!({ "text": text }), args.json)
}

/// A key no other call has: when, which process, which call of it.
fn fresh_key() -> String {
    static CALLS: AtomicU64 = AtomicU64::new(0);
    let mut hasher = DefaultHasher::new();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_nanos());
    (now, std::process::id(), CALLS.fetch_add(1, Ordering::Relaxed)).hash(&mut hasher);
    format!("cli-{:016x}", hasher.finish())
}

fn list(args: &ListArgs, context: &mut Context<'_>) -> Outcome {
    let client = Client::find(context, &args.server)?;
    let mut query = Vec::new();
    if let Some(project) = &args.project {
        query.push(("project", project.as_str()));
    }
    if args.all {
        query.push(("all", "true"));
    }
    let mut tasks: Vec<Value> = Vec::new();
    let mut before: Option<String> = None;
    loop {
        let mut page = query.clone();
        if let Some(before) = &before {
            page.push(("before", before));
        }
        let answer = client.get(&["api", "v1", "tasks"], &page)?;
        tasks.extend(show::items(&answer, "tasks").iter().cloned());
        match answer.get("next").and_then(Value::as_i64) {
            Some(next) => before = Some(next.to_string()),
            None => break,
        }
    }
    if args.json {
        context.say(show::json(&json!({ "tasks": tasks })));
        return Ok(Exit::Done);
    }
    if tasks.is_empty() {
        context.note("no tasks; make one with `orch task new --project KEY --title TEXT --start`");
        return Ok(Exit::Done);
    }
    let rows: Vec<Vec<String>> = tasks
        .iter()
        .map(|t| {
            let waiting = t.get("waiting").map(|w| show::field(w, "reason")).unwrap_or_default();
            let now = if waiting.is_empty() { show::field(t, "phase") } else { waiting };
            vec![show::field(t, "id"), show::field(t, "stage"), now, show::field(t, "title")]
        })
        .collect();
    for line in table::lines(&["ID", "STAGE", "NOW", "TITLE"], &rows) {
        context.say(line);
    }
    Ok(Exit::Done)
}

fn one(args: &ShowArgs, context: &mut Context<'_>) -> Outcome {
    let client = Client::find(context, &args.server)?;
    let task = client.get(&["api", "v1", "tasks", &args.id], &[])?;
    let bad = show::ended_badly(&task);
    if args.json {
        context.say(show::json(&task));
    } else {
        let tone = if bad { Tone::Bad } else { Tone::Good };
        let phase = context.paint(tone, &show::field(&task, "phase"));
        context.say(format!("{}  {}", show::field(&task, "id"), show::field(&task, "title")));
        context.say(format!("  {:<13} {} ({phase})", "stage", show::field(&task, "stage")));
        if let Some(waiting) = task.get("waiting").filter(|w| !w.is_null()) {
            let since = show::time(waiting, "since");
            context.say(format!("  {:<13} {} since {since}", "waits for", show::field(waiting, "reason")));
            for (name, text) in [
                ("until", show::time(waiting, "until")),
                ("ends when", show::field(waiting, "ends_when")),
                ("command", show::field(waiting, "command")),
            ] {
                row(context, name, &text);
            }
        }
        if let Some(lands) = task.get("lands") {
            let head: String = show::field(lands, "head").chars().take(12).collect();
            row(context, "lands", &format!("{} at {head}", show::field(lands, "branch")));
        }
        for name in ["project", "branch", "head", "pull_request", "round", "outcome", "merge_commit"] {
            row(context, &name.replace('_', " "), &show::field(&task, name));
        }
        row(context, "cost", &cost(&task));
        let runs = task.get("runs").map_or_else(String::new, |r| match r {
            Value::Array(list) => list.len().to_string(),
            other => other.to_string(),
        });
        row(context, "runs", &runs);
        row(context, "files", &attach::listed(&client, &args.id));
        for (name, field) in [("created", "created_at"), ("updated", "updated_at"), ("done", "done_at")] {
            row(context, name, &show::time(&task, field));
        }
    }
    Ok(if bad { Exit::Failed } else { Exit::Done })
}

/// What its agents have cost, of what, and what is reserved: `<= 4.00 USD of 5.00 USD, 1.00 USD reserved`.
fn cost(task: &Value) -> String {
    let shown = match show::field(task, "cost") {
        // A daemon of an earlier version.
        text if text.is_empty() => show::field(task, "cost_usd"),
        text => text,
    };
    if shown.is_empty() {
        return shown;
    }
    let dollars = |name: &str| task.get(name).and_then(Value::as_f64);
    let unit = if shown == "unknown" { "" } else { " USD" };
    let of = dollars("budget_usd").map_or_else(String::new, |limit| format!(" of {limit:.2} USD"));
    let reserved = dollars("reserved_usd").map_or_else(String::new, |usd| format!(", {usd:.2} USD reserved"));
    format!("{shown}{unit}{of}{reserved}")
}

fn row(context: &mut Context<'_>, name: &str, text: &str) {
    if !text.is_empty() {
        context.say(format!("  {name:<13} {text}"));
    }
}
