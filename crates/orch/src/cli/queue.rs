//! `orch queue`: what `GET /queue` returns.

use super::client::{Client, ServerArgs};
use super::context::Context;
use super::exit::{Exit, Outcome};
use super::{show, table};
use clap::Args;
use serde_json::Value;

/// `orch queue`
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  orch queue --json")]
pub struct QueueArgs {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub server: ServerArgs,
}

/// Runs it.
pub fn run(args: &QueueArgs, context: &mut Context<'_>) -> Outcome {
    let client = Client::find(context, &args.server)?;
    let queue = client.get(&["queue"], &[])?;
    if args.json {
        context.say(show::json(&queue));
    } else {
        tell(&queue, context);
    }
    Ok(Exit::Done)
}

/// A pause that is in force, and what ends it.
pub(super) fn paused_line(pause: &Value) -> String {
    let project = pause.get("project").and_then(Value::as_str).map(|key| format!("project {key} is "));
    table::plain(&format!(
        "{}paused by {} since {}: nothing is begun, agents stand still; `{}` ends it",
        project.unwrap_or_default(),
        show::field(pause, "by"),
        show::time(pause, "since"),
        show::field(pause, "ends")
    ))
}

/// For people: what waits, what runs, who merges, what ended lately, and which watcher is in trouble.
fn tell(queue: &Value, context: &mut Context<'_>) {
    let count = |name: &str| queue.pointer(&format!("/counts/{name}")).and_then(Value::as_u64).unwrap_or(0);
    let draining = queue.get("draining").and_then(Value::as_bool) == Some(true);
    context.say(format!(
        "{} running, {} queued, {} waiting for a time; {} done, {} failed, {} cancelled so far{}",
        count("running"),
        count("queued"),
        count("delayed"),
        count("done"),
        count("failed"),
        count("cancelled"),
        if draining { "; draining: nothing new is started (`orch resume`)" } else { "" }
    ));
    for pause in show::items(queue, "paused") {
        context.say(paused_line(pause));
    }
    for lease in show::items(queue, "leases").iter().filter(|l| !l.get("holder").is_none_or(Value::is_null)) {
        context.say(format!("{} is merging into {}", show::field(lease, "holder"), show::field(lease, "project")));
    }
    for circuit in queue.pointer("/resilience/circuits").and_then(Value::as_array).into_iter().flatten() {
        let parked = circuit.get("parked").and_then(Value::as_u64).unwrap_or(0);
        let wait = if parked == 1 { "1 job waits".to_owned() } else { format!("{parked} jobs wait") };
        context.say(format!(
            "{} is not asked before {}: {} ({wait} for it; then one tries first)",
            show::field(circuit, "service"),
            show::time(circuit, "until"),
            table::plain(&show::field(circuit, "why"))
        ));
    }
    for budget in show::items(queue, "budgets") {
        let until = match show::time(budget, "until") {
            until if until.is_empty() => String::new(),
            until => format!("; begins anew at {until}"),
        };
        context.say(format!("{}: {}{until}", show::field(budget, "what"), show::field(budget, "line")));
    }
    for trouble in show::items(queue, "troubles") {
        context.say(table::plain(&show::field(trouble, "why")));
    }
    for unknown in show::items(queue, "unknown") {
        context.say(format!(
            "job {} is of a kind this version does not know (`{}`): it is kept for one that does",
            show::field(unknown, "id"),
            show::field(unknown, "kind")
        ));
    }
    for name in ["reaper", "reconcile"] {
        if let Some(fault) = queue.pointer(&format!("/{name}/fault")).and_then(Value::as_str) {
            context.say(format!("the watcher {name} fails: {}", table::plain(fault)));
        }
    }
    for (title, list, last) in [("Open", "open", "fault"), ("Ended lately", "recent", "finished_at")] {
        let jobs = show::items(queue, list);
        if jobs.is_empty() {
            continue;
        }
        context.say(format!("\n{title}"));
        let rows: Vec<Vec<String>> = jobs
            .iter()
            .map(|job| {
                let end = if last == "fault" { show::field(job, last) } else { show::time(job, last) };
                vec![show::field(job, "id"), show::field(job, "state"), show::field(job, "what"), end]
            })
            .collect();
        let head = if last == "fault" { "LAST FAULT" } else { "ENDED" };
        for line in table::lines(&["JOB", "STATE", "WHAT", head], &rows) {
            context.say(line);
        }
        let total = queue.get("open_total").and_then(Value::as_u64).unwrap_or(0);
        if list == "open" && (jobs.len() as u64) < total {
            context.say(format!("... and {} more", total - jobs.len() as u64));
        }
    }
}
