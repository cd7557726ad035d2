//! `orch config`: is the file right, what does a key mean and where does its value come from, and the whole reference.

use super::context::{Context, Tone};
use super::exit::{Exit, Failure, Outcome};
use super::show;
use crate::config::later::not_used_yet;
use crate::config::problem::did_you_mean;
use crate::config::reference::{self, KeyDoc};
use crate::config::{Config, FILE_NAME, Source};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use std::path::PathBuf;

/// `orch config`
#[derive(Clone, Debug, Subcommand)]
#[command(after_help = "Example:\n  orch config explain merge.lock_timeout_s")]
pub enum ConfigCommand {
    /// Check the file and the environment; exit 2 with every problem at once
    Check(CheckArgs),
    /// What a key means, its default, its variables, and where its value comes from
    Explain(ExplainArgs),
    /// The whole reference, as Markdown
    Reference(ReferenceArgs),
    /// A .env with every variable, commented out
    Env(EnvArgs),
}

/// `orch config check`
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  orch config check --config /etc/orch/orch.toml")]
pub struct CheckArgs {
    /// Configuration file (default: the nearest orch.toml from here upwards)
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `orch config explain`
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  orch config explain ORCH_REAPER_DEAD_TICKS")]
pub struct ExplainArgs {
    /// A key like merge.lock_timeout_s, a table like merge, or a variable
    pub key: String,
    /// Configuration file (default: the nearest orch.toml from here upwards, else the defaults)
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `orch config reference`
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  orch config reference > docs/configuration.md")]
pub struct ReferenceArgs {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `orch config env`
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  orch config env > .env.example")]
pub struct EnvArgs {}

/// Runs it.
pub fn run(command: &ConfigCommand, context: &mut Context<'_>) -> Outcome {
    match command {
        ConfigCommand::Check(args) => check(args, context),
        ConfigCommand::Explain(args) => explain(args, context),
        ConfigCommand::Reference(args) => {
            let text = if args.json {
                show::json(&Value::Array(reference::keys().iter().map(as_json).collect()))
            } else {
                reference::markdown().trim_end().to_owned()
            };
            context.say(text);
            Ok(Exit::Done)
        }
        ConfigCommand::Env(_) => {
            context.say(reference::dot_env().trim_end());
            Ok(Exit::Done)
        }
    }
}

fn as_json(key: &KeyDoc) -> Value {
    json!({
        "path": key.path, "table": key.is_table(), "type": key.kind, "default": key.default, "env": key.env,
        "meaning": key.doc, "used": !not_used_yet(&key.path),
    })
}

fn check(args: &CheckArgs, context: &mut Context<'_>) -> Outcome {
    let Some(file) = context.find_config(args.config.as_deref()) else {
        return Err(
            Failure::usage(format!("no {FILE_NAME} here or in a directory above")).hint("write one with `orch init`")
        );
    };
    let loaded = Config::load_strictly(&file, &context.env);
    let shown = file.strip_prefix(&context.cwd).unwrap_or(&file).display().to_string();
    if args.json {
        let list = |items: &[crate::config::Problem]| {
            let one = |p: &crate::config::Problem| json!({ "where": source(&p.source), "text": p.text });
            Value::Array(items.iter().map(one).collect())
        };
        let (ok, problems, warnings) = match &loaded {
            Ok((_, warnings)) => (true, list(&[]), list(warnings)),
            Err(errors) => (false, list(&errors.0), list(&[])),
        };
        context.say(show::json(&json!({ "ok": ok, "file": shown, "problems": problems, "warnings": warnings })));
        return Ok(if ok { Exit::Done } else { Exit::Usage });
    }
    match loaded {
        Ok((config, warnings)) => {
            for warning in warnings {
                let warning = warning.seen_from(&context.cwd);
                let word = context.paint(Tone::Warn, "warning");
                context.note(format!("{word}: {warning}"));
            }
            let count = config.projects.len();
            let projects = if count == 1 { "1 project".to_owned() } else { format!("{count} projects") };
            let word = context.paint(Tone::Good, "ok");
            context.say(format!("{word}: {shown}, {projects}"));
            Ok(Exit::Done)
        }
        Err(errors) => {
            context.note(errors.seen_from(&context.cwd).to_string());
            Ok(Exit::Usage)
        }
    }
}

/// Where a value was written, in words.
fn source(source: &Source) -> String {
    match source {
        Source::Default => "default".into(),
        Source::File { line } => format!("line {line}"),
        Source::Env { name } => format!("environment {name}"),
    }
}

fn explain(args: &ExplainArgs, context: &mut Context<'_>) -> Outcome {
    let keys = reference::keys();
    let asked = args.key.trim().trim_matches(['[', ']']);
    let matching: Vec<&KeyDoc> = keys
        .iter()
        .filter(|k| {
            let named = format!("{asked}.NAME");
            k.env.iter().any(|n| n == asked) || same_key(&k.path, asked) || (k.is_table() && k.path == named)
        })
        .collect();
    let Some(key) = matching.first() else {
        let names = keys.iter().flat_map(|k| k.env.iter().chain([&k.path])).map(String::as_str);
        let hint = did_you_mean(asked, names);
        return Err(Failure::usage(format!("no key `{asked}`{hint}")).hint("`orch config reference` lists all keys"));
    };
    let values = match context.find_config(args.config.as_deref()) {
        Some(file) => Some(context.load(&file)?.0),
        None => Config::parse(&context.cwd.join(FILE_NAME), "", &context.env).ok().map(|(config, _)| config),
    }
    .map(|config| config.values())
    .unwrap_or_default();
    let values: Vec<_> = values.iter().filter(|(path, ..)| same_key(&key.path, path)).collect();
    if args.json {
        let now: Vec<Value> = values
            .iter()
            .map(|(path, shown, from)| json!({ "path": path, "value": shown, "from": source(from) }))
            .collect();
        let mut out = as_json(key);
        out["values"] = Value::Array(now);
        context.say(show::json(&out));
        return Ok(Exit::Done);
    }
    context.say(&key.path);
    context.say(format!("  {}", key.doc));
    if not_used_yet(&key.path) {
        context.say("  accepted, not used yet: nothing in this version reads it");
    }
    if key.is_table() {
        let prefix = format!("{}.", key.path);
        for inner in keys.iter().filter(|k| !k.is_table() && k.path.starts_with(&prefix)) {
            context.say(format!("  {:<24} {}", inner.path.trim_start_matches(&prefix), inner.doc));
        }
        return Ok(Exit::Done);
    }
    context.say(format!("  type     {}", key.kind));
    context.say(format!("  default  {}", key.default.as_deref().unwrap_or("not set")));
    if !key.env.is_empty() {
        context.say(format!("  env      {}", key.env.join(" or ")));
    }
    for (path, shown, from) in values {
        let place = if *path == key.path { String::new() } else { format!("{path} = ") };
        context.say(format!("  now      {place}{shown} ({})", source(from)));
    }
    Ok(Exit::Done)
}

/// Tables of plain text whose names people choose: one key in the reference, many values.
const FREE_TABLES: &[&str] = &["project.states", "project.agents", "agents.programs.NAME.env"];

/// Is a concrete path (`project[0].key`, `agents.programs.mine.kind`) this documented one (`..programs.NAME.kind`)?
fn same_key(documented: &str, path: &str) -> bool {
    let mut left = documented.split('.');
    let mut right = path.split('.').map(|part| part.split_once('[').map_or(part, |(name, _)| name));
    loop {
        match (left.next(), right.next()) {
            (None, None) => return true,
            // A free table shows its entries one by one: `project.states` is `project[0].states.Blocked`.
            (None, Some(_)) => {
                return FREE_TABLES.contains(&documented);
            }
            (Some("NAME"), Some(_)) => {}
            (Some(a), Some(b)) if a == b => {}
            _ => return false,
        }
    }
}
