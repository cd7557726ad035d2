//! The story as it happens, and the evidence at its end: everything comes from the HTTP API.

use super::setting::Setting;
use super::{DONE_WITHIN, Daemon, LOOK_EVERY};
use crate::cli::client::Client;
use crate::cli::{Context, Exit, Failure, Tone};
use orch_engine::gates::PASS_DEGRADED;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Tells what happens until the task is over; returns the task.
pub(super) fn tell(
    client: &Client,
    id: &str,
    context: &mut Context<'_>,
    began: Instant,
    fast: bool,
    daemon: &mut Daemon,
) -> Result<Value, Failure> {
    let mut after = 0_i64;
    // What a row tells happened in the stage before it; `told` is the stage last printed.
    let mut stage = "created".to_owned();
    let mut told = String::new();
    let mut approved = String::new();
    loop {
        daemon.must_live()?;
        let task = client.get(&["api", "v1", "tasks", id], &[])?;
        let rows = client.get(&["api", "v1", "tasks", id, "journal"], &[("after", &after.to_string())])?;
        let rows = rows.get("journal").unwrap_or(&rows).as_array().cloned().unwrap_or_default();
        for row in &rows {
            after = row.get("id").and_then(Value::as_i64).unwrap_or(after);
            for sentence in row.get("story").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
                let shown = if told == stage { String::new() } else { stage.clone() };
                told.clone_from(&stage);
                let tone = tone(sentence);
                let line = tone.map_or_else(|| sentence.to_owned(), |t| context.paint(t, sentence));
                context.say(format!("{:>5.1}s  {shown:<15} {line}", began.elapsed().as_secs_f32()));
                if !fast {
                    client.pause(Duration::from_millis(25));
                }
            }
            stage = text(row, "stage");
        }
        context.flush();
        let phase = text(&task, "phase");
        if ["done", "blocked", "cancelled"].contains(&phase.as_str()) && rows.is_empty() {
            return Ok(task);
        }
        if phase == "awaiting_approval" {
            let reason = task.pointer("/waiting/reason").and_then(Value::as_str).unwrap_or_default().to_owned();
            if reason != approved {
                context.say(format!("       {:<15} orch is {reason}.", ""));
                context.say(format!("       {:<15} In this demo you say yes at once: orch approve {id}", ""));
                client.post(&["api", "v1", "tasks", id, "approve"], &json!({}))?;
                approved = reason;
            }
        }
        if DONE_WITHIN < began.elapsed() {
            let line = text(&task, "line");
            return Err(Failure::new(Exit::CannotTell, format!("{id} is still not done: {line}")));
        }
        client.pause(LOOK_EVERY);
    }
}

fn tone(sentence: &str) -> Option<Tone> {
    if sentence.contains(": pass") || sentence.starts_with("merged") || sentence.starts_with("done: healthy") {
        Some(Tone::Good)
    } else if sentence.contains("skipped") || sentence.contains("back to") || sentence.starts_with("- ") {
        Some(Tone::Warn)
    } else if sentence.contains("blocked") || sentence.contains("spent") || sentence.contains("cannot") {
        Some(Tone::Bad)
    } else {
        None
    }
}

/// Shows what the result rests on. `true` if the task is done, healthy, and users really see the change.
pub(super) fn evidence(
    client: &Client,
    id: &str,
    end: &Value,
    setting: &Setting,
    before: &str,
    context: &mut Context<'_>,
) -> Result<bool, Failure> {
    let evidence = client.get(&["api", "v1", "tasks", id, "evidence"], &[])?;
    context.say("");
    context.say("What it rests on");
    for j in array(&evidence, "gates") {
        let verdict = text(j, "verdict");
        if verdict == "wait" {
            continue;
        }
        let verdict = if array(j, "degraded").is_empty() { verdict } else { PASS_DEGRADED.to_owned() };
        let tone = match verdict.as_str() {
            "pass" => Tone::Good,
            "fail" => Tone::Bad,
            _ => Tone::Warn,
        };
        let head: String = text(j, "head").chars().take(10).collect();
        let again = if j.get("reused").and_then(Value::as_bool) == Some(true) { " (same code as before)" } else { "" };
        // Padded before it is painted: colour codes have no width.
        let word = context.paint(tone, &format!("{verdict:<12}"));
        context.say(format!("  {:<28} {word} {head}{again}", text(j, "gate")));
    }
    let not_checked = array(&evidence, "not_checked");
    if !not_checked.is_empty() {
        context.say("Not checked");
        for line in not_checked.iter().filter_map(Value::as_str) {
            context.say(format!("  {line}"));
        }
    }
    let runs = array(&evidence, "runs").len();
    let number = end.get("pull_request").and_then(Value::as_u64).unwrap_or_default();
    let merge = text(end, "merge_commit");
    context
        .say(format!("Pull request {number}, merged as {}; {runs} supervised runs", merge.get(..10).unwrap_or(&merge)));
    let page = client.page(&setting.production_url())?;
    let new: Vec<&str> = page.lines().filter(|l| !before.lines().any(|b| b == *l)).collect();
    context.say("");
    context.say("What users see that they did not see before");
    for line in &new {
        context.say(format!("  {}", line.trim()));
    }
    let shown = page.contains("class=\"notice\"") && page.contains(&merge) && !merge.is_empty();
    Ok(text(end, "phase") == "done" && text(end, "outcome") == "healthy" && shown)
}

fn text(value: &Value, key: &str) -> String {
    value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn array<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}
