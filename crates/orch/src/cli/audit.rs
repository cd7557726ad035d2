//! `orch audit import`: takes zips of advisories that somebody brought into the mirror the security gate reads. Decides
//! where to and what to say about it; what is a feed is decided by its content, and a good feed is never replaced by
//! nonsense. It reaches no network.

use super::context::{Context, Tone};
use super::exit::{Exit, Failure, Outcome};
use super::show;
use clap::{Args, Subcommand};
use orch_advisories::Ecosystem;
use orch_advisories::mirror::{AsOf, ImportError, Imported, import};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Where feeds come from.
pub(super) const BUCKET: &str = "https://storage.googleapis.com/osv-vulnerabilities";

/// `orch audit`
#[derive(Clone, Debug, Subcommand)]
#[command(after_help = "Example:\n  orch audit import osv-download/")]
pub enum AuditCommand {
    /// Take advisories of OSV into the mirror
    ///
    /// A feed is the all.zip of one ecosystem as OSV publishes it (<https://google.github.io/osv.dev/data/>). Each is
    /// checked, by what is in it and never by its name, and then put in its place in one step; what was there before
    /// stays where the new one is no good. A daemon that runs sees it at its next audit.
    Import(ImportArgs),
}

/// `orch audit import`
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  orch audit import npm.zip pypi.zip\n  orch audit import /media/stick/osv --to \
                  /srv/osv\n\nOn a machine with a network, for crates.io, Go, npm and PyPI:\n  curl -fLo npm.zip \
                  https://storage.googleapis.com/osv-vulnerabilities/npm/all.zip\n\nExit codes: 0 all were taken; 1 at \
                  least one was not; 2 usage or configuration error.")]
pub struct ImportArgs {
    /// A zip of OSV, or a directory of them (`*.zip` and `ECOSYSTEM/all.zip`)
    #[arg(required = true, value_name = "FILE|DIR")]
    pub from: Vec<PathBuf>,
    /// Directory of the mirror (default: `osv_dir` of the configuration)
    #[arg(long, value_name = "DIR")]
    pub to: Option<PathBuf>,
    /// Configuration file (default: the nearest orch.toml from here upwards)
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Runs it.
pub fn run(command: &AuditCommand, context: &mut Context<'_>) -> Outcome {
    match command {
        AuditCommand::Import(args) => take(args, context),
    }
}

/// One thing that was not taken.
struct Refused {
    text: String,
    fix: String,
}

fn take(args: &ImportArgs, context: &mut Context<'_>) -> Outcome {
    let (to, max_age_s) = target(args, context)?;
    let from: Vec<PathBuf> = args.from.iter().map(|path| context.cwd.join(path)).collect();
    if let Some(missing) = from.iter().find(|path| !path.exists()) {
        let shown = missing.strip_prefix(&context.cwd).unwrap_or(missing).display();
        return Err(Failure::usage(format!("{shown}: there is no such file or directory"))
            .hint(format!("a feed is, for one, {BUCKET}/npm/all.zip")));
    }
    let (mut taken, mut refused) = (Vec::new(), Vec::new());
    for path in &from {
        context.note(format!("checking {} ...", path.strip_prefix(&context.cwd).unwrap_or(path).display()));
        match import(path, &to) {
            Err(error) => {
                let refusal = Refused { fix: fix(&error), text: error.to_string() };
                let word = context.paint(Tone::Bad, "not taken");
                context.note(format!("{word}: {}\n  {}", refusal.text, refusal.fix));
                refused.push(refusal);
            }
            Ok(feeds) => {
                for feed in feeds {
                    if !args.json {
                        let line = sentence(&feed);
                        context.say(line);
                    }
                    taken.push(feed);
                }
            }
        }
    }
    let warnings = warnings(&taken, max_age_s);
    for warning in &warnings {
        let word = context.paint(Tone::Warn, "warning");
        context.note(format!("{word}: {warning}"));
    }
    if args.json {
        let imported: Vec<Value> = taken.iter().map(as_json).collect();
        let refusals: Vec<Value> = refused.iter().map(|r| json!({ "text": r.text, "fix": r.fix })).collect();
        context.say(show::json(&json!({
            "ok": refused.is_empty(), "to": to, "imported": imported, "refused": refusals, "warnings": warnings,
        })));
    }
    Ok(if refused.is_empty() { Exit::Done } else { Exit::Failed })
}

/// The mirror, and how old a feed in it may be.
fn target(args: &ImportArgs, context: &mut Context<'_>) -> Result<(PathBuf, i64), Failure> {
    let seconds = |days: u64| i64::try_from(days.saturating_mul(86_400)).unwrap_or(i64::MAX);
    // With a directory named, a machine needs no configuration to prepare one; if it has one, it counts.
    if let (Some(to), None, None) = (&args.to, &args.config, context.find_config(None)) {
        return Ok((context.cwd.join(to), seconds(crate::config::security::Security::default().feed_max_age_days)));
    }
    let section = context.config(args.config.as_deref())?.security.clone();
    let to = match (&args.to, section.osv_dir) {
        (Some(to), _) => context.cwd.join(to),
        (None, Some(dir)) => dir,
        (None, None) => {
            return Err(Failure::usage("there is no mirror to take them into: [security] osv_dir is not set")
                .hint("set it, or name a directory with --to DIR"));
        }
    };
    Ok((to, seconds(section.feed_max_age_days)))
}

fn fix(error: &ImportError) -> String {
    match error {
        ImportError::Unreadable { path, .. } => format!("make {} readable for this user", path.display()),
        ImportError::NotOsv { .. } => {
            format!("bring an all.zip of OSV, such as {BUCKET}/npm/all.zip; what the mirror had before, it still has")
        }
        ImportError::NotWritten { path, .. } => {
            format!(
                "make {} writable for this user and see that there is room, or name another by --to",
                path.display()
            )
        }
    }
}

/// `2026-11-20, 6 days old`
pub(super) fn age(as_of: AsOf, now_s: i64) -> String {
    let Some(at) = as_of.seconds() else { return "of unknown age".into() };
    let day = jiff::Timestamp::from_second(at).map(|t| t.strftime("%Y-%m-%d").to_string()).unwrap_or_default();
    let old = match now_s.saturating_sub(at).max(0) / 86_400 {
        0 => "less than a day old".to_owned(),
        1 => "1 day old".to_owned(),
        days => format!("{days} days old"),
    };
    let of = if matches!(as_of, AsOf::NewestRecord(_)) { "newest of" } else { "written" };
    format!("{of} {day}, {old}")
}

pub(super) fn now_s() -> i64 {
    jiff::Timestamp::now().as_second()
}

fn sentence(feed: &Imported) -> String {
    let mut line = format!("{}: {} advisories, {}", feed.ecosystem, feed.records, age(feed.as_of, now_s()));
    if let Some(before) = feed.before {
        let _ = write!(line, "; there were {before} before");
    }
    if feed.unreadable != 0 {
        let _ = write!(line, "; {} cannot be read", feed.unreadable);
    }
    format!("{line}; {}", feed.path.display())
}

fn as_json(feed: &Imported) -> Value {
    json!({
        "ecosystem": feed.ecosystem, "path": feed.path, "records": feed.records, "unreadable": feed.unreadable,
        "as_of": feed.as_of.seconds(), "before": feed.before,
    })
}

/// What is no reason to refuse a feed, and one to look at it.
fn warnings(taken: &[Imported], max_age_s: i64) -> Vec<String> {
    let mut out = Vec::new();
    let mut last: BTreeMap<Ecosystem, &Path> = BTreeMap::new();
    for feed in taken {
        if last.insert(feed.ecosystem, &feed.path).is_some() {
            out.push(format!("{} was named twice; the last one counts", feed.ecosystem));
        }
        if feed.as_of.is_older_than(max_age_s, now_s()) {
            let age = age(feed.as_of, now_s());
            out.push(format!("the feed of {} is stale already ({age}): bring a newer one", feed.ecosystem));
        }
        if feed.before.is_some_and(|before| feed.records.saturating_mul(10) < before.saturating_mul(9)) {
            out.push(format!("the feed of {} has far fewer advisories than the one before it", feed.ecosystem));
        }
    }
    out
}
