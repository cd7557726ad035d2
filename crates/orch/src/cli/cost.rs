//! `orch cost`: what agents have cost, by task, project, role, model or day.

use super::client::{Client, ServerArgs};
use super::context::Context;
use super::exit::{Exit, Outcome};
use super::{show, table};
use clap::{Args, ValueEnum};
use serde_json::Value;

/// `orch cost`
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Example:\n  orch cost\n  orch cost --by role --days 7\n  orch cost --by day --project SHOP --json\n\nRuns that ended \
                  count, at the time they began. `<=` is said of what is not known exactly and counts as the most it can be; \
                  `included` of what a subscription paid."
)]
pub struct CostArgs {
    /// What is added up
    #[arg(long, value_enum, default_value_t = By::Task)]
    pub by: By,
    /// Only this project
    #[arg(long, value_name = "KEY")]
    pub project: Option<String>,
    /// Of so many days, until now
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..))]
    pub days: u32,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub server: ServerArgs,
}

/// What costs are added up by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs)]
pub enum By {
    Task,
    Project,
    Role,
    Model,
    Day,
}

/// Runs it.
pub fn run(args: &CostArgs, context: &mut Context<'_>) -> Outcome {
    let by = args.by.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
    let days = args.days.to_string();
    let mut query = vec![("by", by.as_str()), ("days", days.as_str())];
    query.extend(args.project.as_deref().map(|key| ("project", key)));
    let said = Client::find(context, &args.server)?.get(&["api", "v1", "cost"], &query)?;
    if args.json {
        context.say(show::json(&said));
        return Ok(Exit::Done);
    }
    let rows = show::items(&said, "rows");
    if rows.is_empty() {
        context.say(format!("no run of an agent has ended in the last {} days", args.days));
        return Ok(Exit::Done);
    }
    let line = |row: &Value| {
        let text = |name: &str| table::plain(&show::field(row, name));
        let number = |name: &str| row.get(name).and_then(Value::as_u64).unwrap_or(0).to_string();
        vec![text("key"), number("runs"), text("cost"), number("input_tokens"), number("output_tokens")]
    };
    let mut lines: Vec<Vec<String>> = rows.iter().map(line).collect();
    lines.extend(said.get("total").map(line));
    for line in table::lines(&[by.as_str(), "runs", "USD", "tokens in", "tokens out"], &lines) {
        context.say(line);
    }
    Ok(Exit::Done)
}
