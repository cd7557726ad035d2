//! A run's log for people: one event per line of `events.jsonl`, each with a text; the texts alone are the run's standard
//! output. What the program prints itself is nobody's reading.

use crate::stream::{Assistant, ResultSeen, Said, ToolAnswer, ToolUse};
use orch_core::budget;
use orch_core::ids::Time;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::path::Path;

/// Kinds of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The driver or the program says something of itself.
    Note,
    /// The model's words.
    Words,
    /// A tool is used.
    Tool,
    /// What it answered.
    Answer,
    /// A tool was refused.
    Refused,
    /// A request to the service is tried again.
    Retry,
    /// A message is over.
    Over,
    /// The model proxy raised an alarm.
    Alarm,
}

/// One event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When, milliseconds since 1970.
    pub at: Time,
    /// What.
    pub kind: Kind,
    /// For people; may have several lines.
    pub text: String,
}

/// Longest line, characters.
const LINE: usize = 400;
/// Most lines of a tool's answer.
const ANSWER_LINES: usize = 6;
/// Most lines of the model's words.
const WORDS_LINES: usize = 60;

/// What a line of the program is for people; most lines are one event, some are none.
pub fn of(said: &Said, worktree: &Path) -> Vec<(Kind, String)> {
    match said {
        Said::Init(init) => vec![(Kind::Note, format!("{} {}", init.model, short(&init.version)))],
        Said::Assistant(a) => assistant(a, worktree),
        Said::Answers(answers) => answers.iter().map(answer).collect(),
        Said::Result(result) => vec![(Kind::Over, over(result))],
        Said::Retry { attempt, max, delay_ms, status } => {
            let why = status.map_or_else(|| "no answer".to_owned(), |s| format!("HTTP {s}"));
            let after = *delay_ms as f64 / 1_000.0;
            vec![(Kind::Retry, format!("the service did not take it ({why}): try {attempt} of {max} in {after:.1} s"))]
        }
        Said::RateLimit { status, .. } if status != "allowed" => {
            vec![(Kind::Note, format!("limit of the account: {}", status.replace('_', " ")))]
        }
        Said::Denied { tool, message, .. } => vec![(Kind::Refused, format!("{tool} was refused: {}", first(message)))],
        Said::Text(text) if !text.trim().is_empty() => vec![(Kind::Note, lines(text, ANSWER_LINES))],
        _ => Vec::new(),
    }
}

fn assistant(a: &Assistant, worktree: &Path) -> Vec<(Kind, String)> {
    let words = a.texts.iter().map(|text| (Kind::Words, lines(text, WORDS_LINES)));
    words.chain(a.tools.iter().map(|tool| (Kind::Tool, tool_use(tool, worktree)))).collect()
}

/// `Bash: make test`, `Edit: src/page.rs`.
pub fn tool_use(tool: &ToolUse, worktree: &Path) -> String {
    let field = |key: &str| tool.input.get(key).and_then(Value::as_str);
    let what = ["command", "file_path", "pattern", "notebook_path", "query", "description"];
    let what = what.iter().find_map(|key| field(key)).unwrap_or_default();
    let below = Path::new(what).strip_prefix(worktree).ok().and_then(Path::to_str);
    let what = below.filter(|b| !b.is_empty()).unwrap_or(what);
    if what.is_empty() { tool.name.clone() } else { format!("{}: {}", tool.name, lines(what, 3)) }
}

fn answer(answer: &ToolAnswer) -> (Kind, String) {
    let text = lines(&answer.text, ANSWER_LINES);
    let text = if text.is_empty() { "(nothing)".to_owned() } else { text };
    let mark = if answer.failed { "failed: " } else { "" };
    let indented = text.lines().map(|l| format!("  {l}")).collect::<Vec<_>>().join("\n");
    (Kind::Answer, indented.replacen("  ", &format!("  {mark}"), 1))
}

fn over(result: &ResultSeen) -> String {
    let usd = result.cost_usd.and_then(budget::micro_usd).map(budget::usd);
    let cost = usd.map(|usd| format!(", about {usd} USD so far")).unwrap_or_default();
    let turns = result.turns;
    let how = if result.is_error { "ended with an error" } else { "over" };
    let why = if result.is_error {
        let errors = result.errors.join("; ");
        let said = if result.text.is_empty() { &errors } else { &result.text };
        format!(": {}", first(said))
    } else {
        String::new()
    };
    format!("turn {how} after {turns} turns of the model{cost}{why}")
}

fn short(version: &str) -> String {
    if version.is_empty() { String::new() } else { format!("(Claude Code {version})") }
}

fn first(text: &str) -> String {
    lines(text, 1)
}

/// The first lines of a text, each cut where it is long, and how many more there are.
fn lines(text: &str, most: usize) -> String {
    let all: Vec<&str> = text.lines().map(str::trim_end).filter(|l| !l.is_empty()).collect();
    let mut shown: Vec<String> = all.iter().take(most).map(|line| cut(line)).collect();
    if most < all.len() && 1 < most {
        shown.push(format!("... and {} more lines", all.len() - most));
    }
    shown.join("\n")
}

fn cut(line: &str) -> String {
    let mut chars = line.chars();
    let head: String = chars.by_ref().take(LINE).collect();
    if chars.next().is_some() { format!("{head}...") } else { head }
}
