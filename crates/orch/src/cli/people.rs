//! `orch people`: who works with orch under which names, and taking the names of one of them out of what orch keeps.

use super::client::{Client, ServerArgs};
use super::context::Context;
use super::exit::{Exit, Failure, Outcome};
use super::{show, table};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use std::io::BufRead as _;

/// `orch people`
#[derive(Clone, Debug, Subcommand)]
#[command(after_help = "Example:\n  orch people list")]
pub enum PeopleCommand {
    /// List the people of the configuration with their names and roles, and other names in what orch keeps
    List(ListArgs),
    /// Take a person's names out of what orch keeps; a number stands in their place
    Forget(ForgetArgs),
}

/// `orch people list`
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  orch people list --json")]
pub struct ListArgs {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub server: ServerArgs,
}

/// `orch people forget`
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Example:\n  orch people forget anna\n  orch people forget gitea:anna.b --yes\n\nRemove the person from the \
                  configuration before. A key of [people] means every name the person had there; a name with its system \
                  (`gitea:anna.b`) that was in no table means that account alone, and one without a system means it on every \
                  system.\n\nThe journal, tasks, comments, approvals, verdicts and questions name the person by a number from \
                  then on (`person-3`), and so does what the person does later. It cannot be undone. Asked again it finds what \
                  was written meanwhile.\n\nIt does not change git, the tracker or the forge, logs and briefs of earlier runs, \
                  or backups made before: make a new backup and remove the old ones. Backups made afterwards do not hold the \
                  name in the database."
)]
pub struct ForgetArgs {
    /// Key in `[people]`, or a name: `local:anna`
    pub name: String,
    /// Take the name out of sentences, too, wherever it is a whole word without a system in front
    #[arg(long)]
    pub mentions: bool,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub server: ServerArgs,
}

/// Runs it.
pub fn run(command: &PeopleCommand, context: &mut Context<'_>) -> Outcome {
    match command {
        PeopleCommand::List(args) => list(args, context),
        PeopleCommand::Forget(args) => forget(args, context),
    }
}

fn words(value: &Value, name: &str) -> String {
    show::items(value, name).iter().filter_map(Value::as_str).map(table::plain).collect::<Vec<_>>().join(", ")
}

/// `SHOP: approver, starter; BLOG: lander`
fn roles(person: &Value) -> String {
    let of = |(project, roles): (&String, &Value)| {
        let roles: Vec<&str> = roles.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        format!("{project}: {}", roles.join(", "))
    };
    let roles = person.get("roles").and_then(Value::as_object);
    roles.into_iter().flatten().map(of).collect::<Vec<_>>().join("; ")
}

fn list(args: &ListArgs, context: &mut Context<'_>) -> Outcome {
    let answer = Client::find(context, &args.server)?.get(&["api", "v1", "people"], &[])?;
    if args.json {
        context.say(show::json(&answer));
        return Ok(Exit::Done);
    }
    let row = |person: &Value| vec![table::plain(&show::field(person, "name")), words(person, "names"), roles(person)];
    let rows: Vec<Vec<String>> = show::items(&answer, "people").iter().map(row).collect();
    if rows.is_empty() {
        context.say("the configuration names nobody: add [people], or `approvers` of a project");
    } else {
        for line in table::lines(&["PERSON", "NAMES", "MAY"], &rows) {
            context.say(line);
        }
    }
    let others = words(&answer, "others");
    if !others.is_empty() {
        context.say(format!("not in the configuration, named in what orch keeps: {others}"));
    }
    Ok(Exit::Done)
}

/// Asks on a terminal; elsewhere the command has to say it.
fn is_meant(args: &ForgetArgs, context: &mut Context<'_>) -> Result<bool, Failure> {
    if args.yes {
        return Ok(true);
    }
    let name = args.name.escape_debug();
    if !context.asks || args.json {
        return Err(Failure::usage(format!("forgetting `{name}` cannot be undone")).hint("say --yes if you mean it"));
    }
    context.pour(&format!("take every name of `{name}` out of what orch keeps? It cannot be undone. [y/N] "));
    let mut answer = String::new();
    let read = std::io::stdin().lock().read_line(&mut answer);
    Ok(read.is_ok() && matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}

fn forget(args: &ForgetArgs, context: &mut Context<'_>) -> Outcome {
    let client = Client::find(context, &args.server)?;
    if !is_meant(args, context)? {
        context.say("nothing was changed");
        return Ok(Exit::Failed);
    }
    let body = json!({ "name": args.name, "mentions": args.mentions });
    let answer = client.post(&["api", "v1", "people", "forget"], &body)?;
    if args.json {
        context.say(show::json(&answer));
        return Ok(Exit::Done);
    }
    let rows: u64 =
        answer.get("rows").and_then(Value::as_object).into_iter().flatten().filter_map(|(_, n)| n.as_u64()).sum();
    let again =
        if answer.get("before").and_then(Value::as_bool) == Some(true) { "was forgotten before and " } else { "" };
    let rows = if rows == 1 { "1 row".to_owned() } else { format!("{rows} rows") };
    let called = show::field(&answer, "called");
    context.say(format!("{} {again}is {called} now: {rows} changed", table::plain(&args.name)));
    context.say("what stays:");
    for line in show::items(&answer, "stays").iter().filter_map(Value::as_str) {
        context.say(format!("  {line}"));
    }
    Ok(Exit::Done)
}
