//! `orch backup` and `orch restore`: the whole instance, while it works, and back into an empty place.

use super::context::{Context, Tone};
use super::exit::{Exit, Failure, Outcome};
use super::show;
use crate::keep::{self, Manifest};
use clap::Args;
use orch_ports::clock::Clock;
use serde_json::{Value, json};
use std::path::PathBuf;

/// `orch backup`
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Example:\n  orch backup /srv/backup/$(date +%F)\n\nDatabases, repositories of the forge, private \
                        references, documents of ended runs and the configuration, with a manifest of digests. Not the \
                        API token."
)]
pub struct BackupArgs {
    /// Directory to make; it must not exist or be empty
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
    /// Configuration file (default: the nearest orch.toml from here upwards)
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `orch restore`
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Example:\n  orch restore /srv/backup/2026-11-29\n\nThe configuration says where the state goes; \
                        the backup's own is its file orch.toml. The first start compares the copy with the default \
                        branches and deploys nothing that is there already without a person."
)]
pub struct RestoreArgs {
    /// A backup
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
    /// Verify it and restore nothing
    #[arg(long)]
    pub verify: bool,
    /// Configuration file (default: the nearest orch.toml from here upwards)
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Takes a backup.
pub fn backup(args: &BackupArgs, context: &mut Context<'_>) -> Outcome {
    let config = context.config(args.config.as_deref())?;
    if !config.db.path.is_file() {
        return Err(Failure::new(Exit::CannotTell, format!("there is no database {}", config.db.path.display()))
            .hint("the first `orch serve` makes it"));
    }
    let clock = orch_adapters::system_clock::SystemClock::new().map_err(|f| Failure::new(Exit::CannotTell, f.text))?;
    let now = orch_engine::view::rfc3339(clock.now());
    let dir = context.cwd.join(&args.dir);
    let made = keep::take::take(&config, &dir, &now)
        .map_err(|why| Failure::new(Exit::CannotTell, why).hint("nothing was left that looks like a backup"))?;
    say(context, args.json, &made, &dir, "copied");
    for left in &made.elsewhere {
        context.note(format!("not in it, served where it is: {left}"));
    }
    Ok(Exit::Done)
}

/// Brings one back.
pub fn restore(args: &RestoreArgs, context: &mut Context<'_>) -> Outcome {
    let dir = context.cwd.join(&args.dir);
    if args.verify {
        let made = Manifest::read(&dir).map_err(|why| Failure::new(Exit::Failed, why))?;
        let wrong = made.verify(&dir);
        if wrong.is_empty() {
            say(context, args.json, &made, &dir, "whole");
            return Ok(Exit::Done);
        }
        return Err(Failure::new(
            Exit::Failed,
            format!("the backup {} is damaged: {}", dir.display(), wrong.join("; ")),
        ));
    }
    let config = context.config(args.config.as_deref()).map_err(|failure| {
        let file = dir.join("orch.toml");
        if file.exists() {
            failure.hint(format!("the backup's own is {}: put it where it belongs", file.display()))
        } else {
            failure
        }
    })?;
    crate::instance::allow(&config)?;
    let made = keep::back::bring(&config, &dir).map_err(|why| Failure::new(Exit::Failed, why))?;
    say(context, args.json, &made, config.data_dir(), "restored");
    if !args.json {
        context.say("next: `orch serve`; it compares the copy with the default branches first");
    }
    Ok(Exit::Done)
}

fn say(context: &mut Context<'_>, json: bool, made: &Manifest, dir: &std::path::Path, word: &str) {
    let bytes: u64 = made.files.iter().map(|file| file.bytes).sum();
    if json {
        let repositories: Vec<Value> = made.repositories.iter().map(|r| json!(r.path)).collect();
        context.say(show::json(&json!({
            "dir": dir, "made_at": made.made_at, "orch": made.orch, "schema": made.schema, "instance": made.instance,
            "files": made.files.len(), "bytes": bytes, "repositories": repositories, "elsewhere": made.elsewhere,
        })));
        return;
    }
    let word = context.paint(Tone::Good, word);
    context.say(format!("{word} {}", dir.display()));
    context.say(format!(
        "  as of {}, by orch {}, schema version {}: {} files, {} repositories, {:.1} MB",
        made.made_at,
        made.orch,
        made.schema,
        made.files.len(),
        made.repositories.len(),
        bytes as f64 / 1e6
    ));
}
