//! What a finished run left: its result file and the end of its output. Both were written by a program nobody trusts, so
//! nothing in them is fatal, everything is bounded, and what would move a terminal's cursor is taken out.

use orch_core::budget::micro_usd;
use orch_core::conflict::{Resolution, Resolved, Take};
use orch_core::plain::shown;
use orch_core::word::Word;
use orch_ports::agent;
use orch_ports::agent::Usage;
use orch_ports::masks::readable;
use orch_ports::supervisor::{ExitRecord, files};
use serde_json::{Map, Value};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// More tokens than any run uses: what an agent says is a number that can be added up.
const MOST_TOKENS: u64 = 1_000_000_000_000;
/// Largest result file that is read, in bytes.
const MAX_RESULT_BYTES: u64 = 1024 * 1024;
/// Longest summary or question that is kept, in characters.
const MAX_TEXT_CHARS: usize = 8_000;
/// Most entries of `resolved` that are read.
const MAX_RESOLVED: usize = 1_000;
/// Longest reason in one of them that is kept, in characters.
const MAX_WHY_CHARS: usize = 1_000;
/// Longest time a program can ask to be left alone, in seconds: a month. A usage limit's reset is never further away.
const MAX_RETRY_AFTER_S: f64 = 31.0 * 86_400.0;
/// How much of a log's end is looked at, in bytes.
const TAIL_BYTES: u64 = 64 * 1024;
/// How many of its lines are shown.
const TAIL_LINES: usize = 20;
/// Longest line that is shown, in characters.
const MAX_LINE_CHARS: usize = 500;

/// What the result file said.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct RunResult {
    pub(crate) summary: Option<String>,
    pub(crate) question: Option<String>,
    pub(crate) word: Option<Word>,
    pub(crate) resolved: Resolution,
    pub(crate) usage: Usage,
    /// After a passing fault: how long to stay away.
    pub(crate) retry_after_s: Option<f64>,
}

/// What a run reports, where it is: an earlier version had it elsewhere.
pub(crate) fn result_of(run_dir: &Path) -> RunResult {
    let is_there = |path: &Path| path.symlink_metadata().is_ok();
    let out = run_dir.join(agent::files::OUT);
    // A link in its place would lead to what others wrote.
    let is_own = out.symlink_metadata().is_ok_and(|meta| meta.is_dir());
    let (now, before) = (run_dir.join(agent::files::RESULT), run_dir.join(agent::files::OLD_RESULT));
    result_file(if !(is_own && is_there(&now)) && is_there(&before) {
        &before
    } else if is_own {
        &now
    } else {
        &before
    })
}

/// Reads the result file. A missing one says nothing; a broken one is noted where the summary would be.
pub(crate) fn result_file(path: &Path) -> RunResult {
    let noted = |why: String| {
        tracing::warn!(path = %path.display(), why, "result file not usable");
        RunResult {
            summary: Some(format!("(the result file could not be used: {why})")),
            // Whatever it said of a conflict was not understood either.
            resolved: Resolution { broken: Some(why.clone()), ..Resolution::default() },
            usage: unread(format!("the result file could not be used: {why}")),
            ..RunResult::default()
        }
    };
    let nothing = || RunResult { usage: unread("there is no result file that says so".into()), ..RunResult::default() };
    // Looked at before it is opened: opening a fifo would wait for ever, a link would show somebody else's file.
    let bytes = match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return nothing(),
        Err(error) => return noted(error.to_string()),
        Ok(meta) if !meta.is_file() => return noted("it is not a regular file".into()),
        Ok(meta) if meta.len() > MAX_RESULT_BYTES => return noted("it is larger than 1 MiB".into()),
        Ok(_) => match read_at_most(path, 0, MAX_RESULT_BYTES) {
            Ok(bytes) => bytes,
            Err(error) => return noted(error.to_string()),
        },
    };
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return nothing();
    }
    let plain = bytes.strip_prefix("\u{feff}".as_bytes());
    let bom = plain.is_some();
    match serde_json::from_slice(plain.unwrap_or(&bytes)) {
        Ok(Value::Object(map)) => {
            let text = |key: &str| map.get(key).and_then(Value::as_str).map(clean_text).filter(|t| !t.is_empty());
            let number = |key: &str| map.get(key).and_then(Value::as_f64).filter(|n| n.is_finite() && *n >= 0.0);
            let tokens = |key: &str| {
                map.get(key)
                    .and_then(Value::as_u64)
                    .or_else(|| number(key).map(|n| n as u64))
                    .map(|n| n.min(MOST_TOKENS))
            };
            RunResult {
                retry_after_s: number("retry_after_s").filter(|s| *s <= MAX_RETRY_AFTER_S),
                summary: text("summary"),
                question: text("question"),
                word: word(&map),
                resolved: map.get("resolved").map(resolved).unwrap_or_default(),
                usage: Usage {
                    input_tokens: tokens("input_tokens").unwrap_or(0),
                    output_tokens: tokens("output_tokens").unwrap_or(0),
                    turns: 0,
                    ..cost(map.get("cost_usd"), bom)
                },
            }
        }
        Ok(_) => noted("it is not a JSON object".into()),
        Err(error) => noted(format!("it is not JSON: {error}")),
    }
}

/// The key `cost_usd`. What is no amount is never taken for nothing: it is not known then, and why is said.
fn cost(value: Option<&Value>, bom: bool) -> Usage {
    let (read, text) = match value {
        Some(Value::Number(number)) => (number.as_f64(), false),
        Some(Value::String(text)) => (text.trim().parse().ok(), true),
        _ => (None, false),
    };
    let skipped = bom.then(|| "a byte order mark before the result was skipped".to_owned());
    let Some(cost_usd) = read.filter(|usd| micro_usd(*usd).is_some()) else {
        let why = match value {
            None | Some(Value::Null) => "the result has no `cost_usd`".to_owned(),
            Some(value) => {
                let value: String = shown(&value.to_string()).chars().take(60).collect();
                format!("`cost_usd` of the result is no amount of dollars: {value}")
            }
        };
        return Usage { cost_note: skipped, ..unread(why) };
    };
    let quoted = text.then(|| format!("`cost_usd` of the result was text and was read as {cost_usd}"));
    let notes: Vec<String> = skipped.into_iter().chain(quoted).collect();
    Usage { cost_usd, cost_note: (!notes.is_empty()).then(|| notes.join("; ")), ..Usage::default() }
}

/// What nobody knows the cost of.
fn unread(why: String) -> Usage {
    Usage { cost_unread: Some(why), ..Usage::default() }
}

/// What a key holds that says something of the work as a whole. Nothing, `false` and an empty text say nothing: a program may
/// write every key it knows. Whatever else is there was meant, also where its reason cannot be read.
fn meant(value: Option<&Value>) -> Option<String> {
    match value {
        None | Some(Value::Null | Value::Bool(false)) => None,
        Some(Value::String(text)) => Some(clean_text(text)).filter(|t| !t.is_empty()),
        Some(_) => Some(String::new()),
    }
}

/// `unable`, `return_to` and `no_change`. One of them counts, in this order; what else was said stands beside its reason.
fn word(map: &Map<String, Value>) -> Option<Word> {
    let unable = meant(map.get("unable")).map(|reason| Word::Unable { reason });
    let return_to = map.get("return_to").and_then(|value| {
        let text = |key: &str| value.get(key).and_then(Value::as_str).map(clean_text).unwrap_or_default();
        match value {
            Value::Object(_) => Some(Word::Return { stage: text("stage"), reason: text("reason") }),
            other => meant(Some(other)).map(|reason| Word::Return { stage: "analysis".into(), reason }),
        }
    });
    // Without a reason that can be read it declares nothing: an empty change stays a failure.
    let no_change = meant(map.get("no_change")).filter(|r| !r.is_empty()).map(|reason| Word::NoChange { reason });
    let mut said = [unable, return_to, no_change].into_iter().flatten();
    let mut first = said.next()?;
    let beside: Vec<String> = said.map(|word| format!("it also says `{}`: {}", word.key(), word.reason())).collect();
    let (Word::Unable { reason } | Word::Return { reason, .. } | Word::NoChange { reason }) = &mut first;
    if reason.is_empty() {
        *reason = "it gives no reason that can be read".into();
    }
    for more in beside {
        *reason = format!("{reason}\n({more})");
    }
    Some(first)
}

/// The key `resolved`: a list of `{path, take, why}`. What cannot be read is kept as a sentence each: a word that is
/// misspelt must not look like one that was never said.
fn resolved(value: &Value) -> Resolution {
    let mut all = Resolution::default();
    let list = match value {
        Value::Null => return all,
        Value::Array(list) => list,
        _ => {
            all.unreadable.push("it is not a list of {path, take, why}".into());
            return all;
        }
    };
    for (nth, entry) in (1..).zip(list.iter().take(MAX_RESOLVED)) {
        match one_resolved(entry) {
            Ok(one) => match all.takes.iter().find(|t| t.path == one.path) {
                Some(before) if before.take != one.take => {
                    let (a, b) = (before.take.as_str(), one.take.as_str());
                    all.unreadable.push(format!("{} is named twice, as `{a}` and as `{b}`", one.path));
                }
                Some(_) => {}
                None => all.takes.push(one),
            },
            Err(why) => all.unreadable.push(format!("entry {nth} {why}")),
        }
    }
    if MAX_RESOLVED < list.len() {
        all.unreadable.push(format!("it has {} entries, and {MAX_RESOLVED} are read", list.len()));
    }
    all
}

fn one_resolved(entry: &Value) -> Result<Resolved, String> {
    let Value::Object(map) = entry else { return Err("is not an object {path, take, why}".into()) };
    let text = |key: &str| map.get(key).map(|v| v.as_str().ok_or_else(|| format!("has a `{key}` that is no text")));
    let path = text("path").transpose()?.unwrap_or_default();
    let path = path.strip_prefix("./").unwrap_or(path);
    if path.is_empty() {
        return Err("has no `path`".into());
    }
    let path_shown: String = shown(path).chars().take(200).collect();
    let words = Take::ALL.map(|t| format!("`{}`", t.as_str())).join(", ");
    let take =
        text("take").transpose()?.ok_or_else(|| format!("({path_shown}) has no `take`: it is one of {words}"))?;
    let take = Take::ALL.into_iter().find(|t| t.as_str() == take).ok_or_else(|| {
        let take: String = shown(take).chars().take(40).collect();
        format!("({path_shown}) has the `take` `{take}`, which is none of {words}")
    })?;
    let why = text("why").transpose()?.map(clean_text).unwrap_or_default();
    Ok(Resolved { path: path.to_owned(), take, why: why.chars().take(MAX_WHY_CHARS).collect() })
}

/// How a run ended, with the last lines it wrote: standard error's, and standard output's before them if there is room.
pub(crate) fn why(exit: &ExitRecord, run_dir: &Path) -> String {
    let mut lines = tail(&run_dir.join(files::STDERR), TAIL_LINES);
    let room = TAIL_LINES - lines.len();
    let mut all = tail(&run_dir.join(files::STDOUT), room);
    all.append(&mut lines);
    if all.is_empty() { exit.describe() } else { format!("{}\n{}", exit.describe(), all.join("\n")) }
}

pub(crate) fn tail(path: &Path, most: usize) -> Vec<String> {
    let is_file = std::fs::symlink_metadata(path).map(|m| (m.is_file(), m.len()));
    let Ok((true, length)) = is_file else { return Vec::new() };
    let Ok(bytes) = read_at_most(path, length.saturating_sub(TAIL_BYTES), TAIL_BYTES) else { return Vec::new() };
    let text = readable(&String::from_utf8_lossy(&bytes));
    let lines: Vec<&str> = text.lines().map(str::trim_end).filter(|l| !l.is_empty()).collect();
    lines[lines.len().saturating_sub(most)..].iter().map(|l| l.chars().take(MAX_LINE_CHARS).collect()).collect()
}

fn read_at_most(path: &Path, from: u64, most: u64) -> std::io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

pub(crate) fn clean_text(text: &str) -> String {
    // Cut behind the masking: a half of a key would be none any more.
    readable(text).trim().chars().take(MAX_TEXT_CHARS).collect()
}
