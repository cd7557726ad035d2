//! `orch journal`: the journal as JSON lines in which each line carries the digest of the one before, and a check that such
//! a file is as it was written. The check needs no server and believes nothing but the file.

use super::client::{Client, ServerArgs};
use super::context::Context;
use super::exit::{Exit, Failure, Outcome};
use super::show;
use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;
use std::path::PathBuf;

/// What the first line says it is.
const FORMAT: &str = "orch-journal";

/// `orch journal`
#[derive(Clone, Debug, Subcommand)]
#[command(after_help = "Example:\n  orch journal export --out journal.jsonl")]
pub enum JournalCommand {
    /// Write the journal as JSON lines, people named by a number each
    Export(ExportArgs),
    /// Check that an exported journal has no changed, missing or reordered line
    Verify(VerifyArgs),
}

/// `orch journal export`
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  orch journal export --out journal.jsonl")]
pub struct ExportArgs {
    /// File to write; it must not exist (default: standard output)
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub server: ServerArgs,
}

/// `orch journal verify`
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  orch journal verify journal.jsonl")]
pub struct VerifyArgs {
    /// The exported file
    pub file: PathBuf,
    /// The digest `export` printed: with it, a file that was written anew as a whole is found too
    #[arg(long, value_name = "HEX")]
    pub digest: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Runs it.
pub fn run(command: &JournalCommand, context: &mut Context<'_>) -> Outcome {
    match command {
        JournalCommand::Export(args) => export(args, context),
        JournalCommand::Verify(args) => verify(args, context),
    }
}

/// Lines that hang together.
struct Chain {
    text: String,
    last: String,
    lines: u64,
}

impl Chain {
    fn new() -> Self {
        Self { text: String::new(), last: digest(""), lines: 0 }
    }

    fn push(&mut self, mut line: Map<String, Value>) {
        line.insert("prev".into(), json!(self.last));
        let line = Value::Object(line).to_string();
        self.last = digest(&line);
        self.lines += 1;
        self.text.push_str(&line);
        self.text.push('\n');
    }
}

fn digest(line: &str) -> String {
    Sha256::digest(line.as_bytes()).iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        other => Map::from_iter([("value".to_owned(), other)]),
    }
}

fn export(args: &ExportArgs, context: &mut Context<'_>) -> Outcome {
    let client = Client::find(context, &args.server)?;
    let mut chain = Chain::new();
    chain.push(object(json!({ "format": FORMAT, "version": 1 })));
    let mut after = 0_i64;
    loop {
        let page = client.get(&["api", "v1", "journal"], &[("after", &after.to_string())])?;
        let rows = show::items(&page, "journal");
        for row in rows {
            chain.push(object(row.clone()));
        }
        match page.get("next").and_then(Value::as_i64) {
            Some(next) if !rows.is_empty() => after = next,
            _ => break,
        }
    }
    let lines = chain.lines + 1;
    chain.push(object(json!({ "end": true, "lines": lines })));
    match &args.out {
        None => context.say(chain.text.trim_end_matches('\n')),
        Some(file) => {
            let file = context.cwd.join(file);
            let written = std::fs::File::create_new(&file).and_then(|mut out| {
                std::io::Write::write_all(&mut out, chain.text.as_bytes()).and_then(|()| out.sync_all())
            });
            written.map_err(|e| Failure::new(Exit::CannotTell, format!("cannot write {}: {e}", file.display())))?;
        }
    }
    context.note(format!("{} lines, digest {}", chain.lines, chain.last));
    Ok(Exit::Done)
}

/// What is wrong with an exported journal; `Ok`: its lines and the digest of the last one.
fn check(text: &str) -> Result<(u64, String), String> {
    let mut last = digest("");
    let mut lines = 0;
    let mut ended = false;
    if !text.ends_with('\n') {
        return Err("the last line is cut off".into());
    }
    for line in text.lines() {
        lines += 1;
        if ended {
            return Err(format!("line {lines}: there is more after the end"));
        }
        let value: Value = serde_json::from_str(line).map_err(|e| format!("line {lines}: no JSON: {e}"))?;
        let said = value.get("prev").and_then(Value::as_str).unwrap_or_default();
        if said != last {
            return Err(match lines {
                1 => "line 1: it does not begin as an export does; lines before it are missing".to_owned(),
                _ => format!(
                    "line {lines}: it does not follow the line before it: that one was changed, or lines between them are \
                     missing or in another order"
                ),
            });
        }
        if lines == 1 && value.get("format").and_then(Value::as_str) != Some(FORMAT) {
            return Err("line 1: this is no exported journal".into());
        }
        if value.get("end").is_some() {
            if value.get("lines").and_then(Value::as_u64) != Some(lines) {
                return Err(format!("line {lines}: the end counts other lines than there are"));
            }
            ended = true;
        }
        last = digest(line);
    }
    if ended { Ok((lines, last)) } else { Err(format!("after line {lines}: the end is missing")) }
}

fn verify(args: &VerifyArgs, context: &mut Context<'_>) -> Outcome {
    let file = context.cwd.join(&args.file);
    let text =
        std::fs::read_to_string(&file).map_err(|e| Failure::usage(format!("cannot read {}: {e}", file.display())))?;
    let found = check(&text).and_then(|(lines, last)| match &args.digest {
        Some(wanted) if !wanted.eq_ignore_ascii_case(&last) => {
            Err(format!("its digest is {last} and not {wanted}: it was written anew"))
        }
        _ => Ok((lines, last)),
    });
    if args.json {
        context.say(show::json(&match &found {
            Ok((lines, last)) => json!({ "ok": true, "lines": lines, "digest": last }),
            Err(why) => json!({ "ok": false, "why": why }),
        }));
    } else {
        match &found {
            Ok((lines, last)) => context.say(format!("{lines} lines, whole and in order; digest {last}")),
            Err(why) => context.say(format!("{}: {why}", file.display())),
        }
    }
    Ok(if found.is_ok() { Exit::Done } else { Exit::Failed })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> String {
        let mut chain = Chain::new();
        chain.push(object(json!({ "format": FORMAT, "version": 1 })));
        for n in 1..=5 {
            chain.push(object(json!({ "id": n, "task": "SHOP-1", "story": [format!("step {n}")] })));
        }
        let lines = chain.lines + 1;
        chain.push(object(json!({ "end": true, "lines": lines })));
        chain.text
    }

    #[test]
    fn a_changed_missing_or_reordered_line_is_found_wherever_it_is() {
        let text = sample();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(check(&text).unwrap().0, 7);
        let join = |lines: &[&str]| lines.join("\n") + "\n";
        for at in 0..lines.len() {
            let mut missing = lines.clone();
            missing.remove(at);
            assert!(check(&join(&missing)).is_err(), "line {at} missing");
            let changed = lines[at].replacen(['5', '1', '7', '3'], "9", 1);
            let mut other = lines.clone();
            other[at] = &changed;
            assert!(changed == lines[at] || check(&join(&other)).is_err(), "line {at} changed");
            for to in at + 1..lines.len() {
                let mut swapped = lines.clone();
                swapped.swap(at, to);
                assert!(check(&join(&swapped)).is_err(), "{at} and {to} swapped");
            }
            let mut twice = lines.clone();
            twice.insert(at, lines[at]);
            assert!(check(&join(&twice)).is_err(), "line {at} twice");
        }
        for end in 0..text.len() {
            assert!(check(&text[..end]).is_err(), "cut off at {end}");
        }
        assert!(check(&format!("{text}{}\n", lines[3])).is_err(), "more after the end");
        assert!(check("").is_err() && check("{}\n").is_err());
    }
}
