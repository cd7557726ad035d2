//! How the server's JSON becomes lines for people. Reads tolerantly: a field that is missing is left out, never made up.

use super::table::{plain, plain_lines};
use orch_core::ids::Time;
use serde_json::Value;

/// The list in an answer: the answer itself, or its field of that name.
pub fn items<'v>(answer: &'v Value, name: &str) -> &'v [Value] {
    answer.as_array().or_else(|| answer.get(name).and_then(Value::as_array)).map_or(&[], Vec::as_slice)
}

/// A field as one line; empty if it is not there. Tagged values are named by their tag.
pub fn field(value: &Value, name: &str) -> String {
    value.get(name).map_or_else(String::new, scalar)
}

fn scalar(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => plain(text),
        Value::Array(items) => items.iter().map(scalar).collect::<Vec<_>>().join(", "),
        Value::Object(map) => {
            let tag = ["phase", "kind", "name", "text"].iter().find_map(|k| map.get(*k)?.as_str());
            tag.map_or_else(|| map.keys().next().cloned().unwrap_or_default(), plain)
        }
        Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

/// A time in the local zone: Unix milliseconds, or a text that is shown as it is.
pub fn time(value: &Value, name: &str) -> String {
    match value.get(name) {
        Some(Value::Number(ms)) => ms.as_i64().map(|ms| local_time(Time(ms))).unwrap_or_default(),
        _ => field(value, name),
    }
}

fn local_time(at: Time) -> String {
    jiff::Timestamp::from_millisecond(at.0).map_or_else(
        |_| at.0.to_string(),
        |t| t.to_zoned_datetime(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string(),
    )
}

/// Did this task end badly: Blocked, not taken by production, or rolled back or reverted after its deploy?
pub fn ended_badly(task: &Value) -> bool {
    let blocked = |text: &str| text.eq_ignore_ascii_case("blocked") || text == "production_failed";
    let waiting = task.pointer("/waiting/reason").and_then(Value::as_str).is_some_and(blocked);
    let outcome = field(task, "outcome");
    blocked(&field(task, "phase")) || waiting || matches!(outcome.as_str(), "rolled_back" | "reverted")
}

/// Has this task ended, well or badly?
pub fn ended(task: &Value) -> bool {
    let phase = field(task, "phase").to_lowercase();
    ended_badly(task)
        || ["done", "cancelled", "finished"].contains(&phase.as_str())
        || task.get("done_at").is_some_and(|at| !at.is_null())
}

/// Any JSON as indented `name: value` lines.
pub fn tree(value: &Value) -> Vec<String> {
    let mut out = Vec::new();
    branch(value, 0, &mut out);
    out
}

fn branch(value: &Value, depth: usize, out: &mut Vec<String>) {
    let pad = "  ".repeat(depth);
    match value {
        Value::Object(map) => {
            for (name, inner) in map {
                leaf(&format!("{pad}{name}:"), inner, depth, out);
            }
        }
        Value::Array(items) => {
            for inner in items {
                let first = out.len();
                if inner.as_object().is_some_and(|map| !map.is_empty()) {
                    // The dash stands in front of the first field: one line per small thing, not two.
                    branch(inner, depth + 1, out);
                    if let Some(line) = out.get_mut(first) {
                        line.replace_range(2 * depth..=2 * depth, "-");
                    }
                } else {
                    leaf(&format!("{pad}-"), inner, depth, out);
                }
            }
        }
        _ => out.push(format!("{pad}{}", scalar(value))),
    }
}

fn leaf(head: &str, inner: &Value, depth: usize, out: &mut Vec<String>) {
    match inner {
        Value::Object(map) if map.is_empty() => out.push(format!("{head} none")),
        Value::Array(items) if items.is_empty() => out.push(format!("{head} none")),
        Value::Object(_) | Value::Array(_) => {
            out.push(head.to_owned());
            branch(inner, depth + 1, out);
        }
        Value::Null => out.push(format!("{head} none")),
        Value::String(text) if text.contains('\n') => {
            out.push(head.to_owned());
            let pad = "  ".repeat(depth + 1);
            out.extend(plain_lines(text).lines().map(|line| format!("{pad}{line}")));
        }
        _ => out.push(format!("{head} {}", scalar(inner))),
    }
}

/// JSON as it came, for scripts: what would control a terminal is escaped in it.
pub fn json(value: &Value) -> String {
    let text = serde_json::to_string_pretty(value).unwrap_or_else(|_| value.to_string());
    orch_core::plain::in_json(&text).into_owned()
}

/// The same on one line.
pub fn line(value: &Value) -> String {
    orch_core::plain::in_json(&value.to_string()).into_owned()
}
