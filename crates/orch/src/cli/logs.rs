//! `orch logs ID`: an agent's output, as it is written. Reads by offset, so that a lost connection loses nothing.

use super::client::{Client, ServerArgs};
use super::context::Context;
use super::exit::{Exit, Failure, Outcome};
use super::show;
use clap::Args;
use serde_json::Value;
use std::time::Duration;

/// Between two looks at a log that still grows.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// `orch logs`
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  orch logs DEMO-1 -f")]
pub struct LogsArgs {
    /// The task
    pub id: String,
    /// Go on as it is written; without --run on to the next runs, until the task has ended
    #[arg(short = 'f', long)]
    pub follow: bool,
    /// Which run, from 1 (default: the newest)
    #[arg(long, value_name = "N")]
    pub run: Option<u64>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub server: ServerArgs,
}

/// Runs it.
pub fn run(args: &LogsArgs, context: &mut Context<'_>) -> Outcome {
    let client = Client::find(context, &args.server)?;
    if let Some(number) = args.run {
        one(&client, context, args, number)?;
        return Ok(Exit::Done);
    }
    let mut shown = None;
    loop {
        // Asked before the runs: a run that began after the task ended does not exist, one that began before is seen.
        let over = !args.follow || show::ended(&client.get(&["api", "v1", "tasks", &args.id], &[])?);
        let numbers = runs(&client, &args.id)?;
        let next = match shown {
            None => numbers.last().copied(),
            Some(last) => numbers.iter().copied().find(|n| *n > last),
        };
        match next {
            Some(number) => {
                if args.follow {
                    context.note(format!("--- {} run {number} ---", args.id));
                }
                one(&client, context, args, number)?;
                shown = Some(number);
            }
            None if over && shown.is_none() && !args.follow => {
                return Err(Failure::new(Exit::CannotTell, format!("{} has no run yet", args.id))
                    .hint(format!("`orch why {}` says what it waits for", args.id)));
            }
            None if over => return Ok(Exit::Done),
            None => client.pause(LOOK_EVERY),
        }
        if !args.follow {
            return Ok(Exit::Done);
        }
    }
}

/// Numbers of a task's runs, oldest first; their place in the list where they carry none.
fn runs(client: &Client, id: &str) -> Result<Vec<u64>, Failure> {
    let answer = client.get(&["api", "v1", "tasks", id, "runs"], &[])?;
    let list = show::items(&answer, "runs").iter().zip(1..);
    let mut numbers: Vec<u64> =
        list.map(|(run, place)| run.get("number").and_then(Value::as_u64).unwrap_or(place)).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// Copies one run's log to the output; waits for more only when following.
fn one(client: &Client, context: &mut Context<'_>, args: &LogsArgs, number: u64) -> Result<(), Failure> {
    let number = number.to_string();
    let path = ["api", "v1", "tasks", &args.id, "runs", &number, "log"];
    let mut offset = 0;
    let mut bytes = Vec::new();
    loop {
        let part = client.log(&path, offset)?;
        // A piece may end inside a character: the rest comes with the next one.
        bytes.extend_from_slice(&part.bytes);
        let whole = match std::str::from_utf8(&bytes) {
            Err(e) if e.error_len().is_none() && !part.done => e.valid_up_to(),
            _ => bytes.len(),
        };
        let text: Vec<u8> = bytes.drain(..whole).collect();
        if !context.pour(&String::from_utf8_lossy(&text)) {
            return Ok(());
        }
        let grew = part.next > offset;
        offset = part.next.max(offset);
        if grew {
            continue;
        }
        if part.done || !args.follow {
            return Ok(());
        }
        client.pause(LOOK_EVERY);
    }
}
