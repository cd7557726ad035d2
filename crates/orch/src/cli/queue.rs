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

/// Who merges into a repository, and who waits for that, of whichever project.
fn merging_line(queue: &Value) -> String {
    let names = |key: &str| -> Vec<&str> { show::items(queue, key).iter().filter_map(Value::as_str).collect() };
    let (mut of, projects) = (show::field(queue, "repository"), names("projects"));
    if 1 < projects.len() {
        of = format!("the repository of {}", projects.join(" and "));
    }
    let who = match queue.get("holder").and_then(Value::as_str) {
        Some(holder) => format!("{holder} is merging into {of}"),
        None => format!("nobody is merging into {of}"),
    };
    match names("waiting") {
        none if none.is_empty() => who,
        waiting => format!("{who}; waiting for that: {}", waiting.join(", ")),
    }
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
    for repository in show::items(queue, "merging") {
        context.say(merging_line(repository));
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

#[cfg(test)]
mod tests {
    use super::merging_line;
    use serde_json::json;

    #[test]
    fn one_line_says_who_merges_into_a_repository_and_who_waits() {
        let alone = json!({ "repository": "SHOP", "projects": ["SHOP"], "holder": "SHOP-1", "waiting": [] });
        assert_eq!(merging_line(&alone), "SHOP-1 is merging into SHOP");
        let shared = json!({ "repository": "SHOP", "projects": ["SHOP", "WEB"], "holder": "SHOP-1", "waiting": ["WEB-2", "SHOP-3"] });
        assert_eq!(
            merging_line(&shared),
            "SHOP-1 is merging into the repository of SHOP and WEB; waiting for that: WEB-2, SHOP-3"
        );
        let free = json!({ "repository": "SHOP", "projects": ["SHOP"], "holder": null, "waiting": ["SHOP-3"] });
        assert_eq!(merging_line(&free), "nobody is merging into SHOP; waiting for that: SHOP-3");
    }
}
