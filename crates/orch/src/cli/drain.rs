//! `orch drain`, `orch pause`, `orch resume` and `orch reload`: stop claiming, stop everything, go on, read the
//! configuration again. Agents that run keep running in a drain, and stand still in a pause.

use super::acting::said;
use super::client::{Client, ServerArgs};
use super::context::Context;
use super::exit::{Exit, Failure, Outcome};
use super::{show, table};
use crate::listen::LINGER;
use crate::paused;
use clap::Args;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// `orch drain`
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  orch drain")]
pub struct DrainArgs {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub server: ServerArgs,
}

/// `orch pause`
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Example:\n  orch pause\n  orch pause --project SHOP\n\nWhile paused nothing is begun, and every \
                        process of every agent is stopped (SIGSTOP) within a second; no limit counts the time. A merge, \
                        a deploy or a rollback that has begun goes on to its end, and so do tests that run. It is kept \
                        over restarts. Where no daemon runs, no model is asked any more and agents are told to stand \
                        still; the next `orch serve` keeps that. `orch resume` ends it."
)]
pub struct PauseArgs {
    /// Only this project
    #[arg(long, value_name = "KEY")]
    pub project: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub server: ServerArgs,
}

/// `orch resume`
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Example:\n  orch resume\n  orch resume --project SHOP\n\nWithout a project it ends a drain and the \
                        pause of everything; a project that was paused by itself stays paused."
)]
pub struct ResumeArgs {
    /// End the pause of this project
    #[arg(long, value_name = "KEY")]
    pub project: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub server: ServerArgs,
}

/// Stops claiming.
pub fn drain(args: &DrainArgs, context: &mut Context<'_>) -> Outcome {
    let answer = Client::find(context, &args.server)?.post(&["api", "v1", "drain"], &json!({}))?;
    said(context, &answer, args.json, "draining: nothing new is claimed, agents keep running");
    Ok(Exit::Done)
}

/// What one project is meant by, or all.
fn of(project: Option<&String>) -> Value {
    project.map_or_else(|| json!({}), |key| json!({ "project": key }))
}

/// Stops everything, or one project.
pub fn pause(args: &PauseArgs, context: &mut Context<'_>) -> Outcome {
    let ask = |context: &mut Context<'_>| {
        Client::find(context, &args.server)?.post(&["api", "v1", "pause"], &of(args.project.as_ref()))
    };
    let answer = match ask(context) {
        Err(failure) if failure.exit == Exit::CannotTell => match without_daemon(args, context, failure)? {
            None => return Ok(Exit::Done),
            // One has begun meanwhile, and may have looked for what was left before it was there.
            Some(()) => ask(context)?,
        },
        answer => answer?,
    };
    let count = |name: &str| answer.pointer(&format!("/agents/{name}")).and_then(Value::as_u64).unwrap_or(0);
    let agents = |n: u64| if n == 1 { "1 agent".to_owned() } else { format!("{n} agents") };
    let ends =
        args.project.as_ref().map_or_else(|| "orch resume".to_owned(), |key| format!("orch resume --project {key}"));
    let (frozen, running) = (count("frozen"), count("running"));
    let stand = if frozen == 1 { "stands" } else { "stand" };
    let sentence = format!("paused: nothing is begun, {} {stand} still; `{ends}` ends it", agents(frozen));
    said(context, &answer, args.json, &sentence);
    if 0 < running {
        let text = format!(
            "{} could not be stopped yet; `orch queue` shows them, `orch task cancel` ends one",
            agents(running)
        );
        return Err(Failure::new(Exit::Failed, text));
    }
    Ok(Exit::Done)
}

/// The file of the instance that is meant, unless a server is named: that may be anybody's.
fn own_file(server: &ServerArgs, context: &Context<'_>) -> Option<PathBuf> {
    let named = server.url.is_some() || context.env.get("ORCH_URL").is_some_and(|url| !url.trim().is_empty());
    context.find_config(server.config.as_deref()).filter(|_| !named)
}

/// Stop means stop, whoever lives: where this instance's daemon is dead, its model proxies are told by a file. Something: a
/// daemon is there after all.
fn without_daemon(args: &PauseArgs, context: &mut Context<'_>, failure: Failure) -> Result<Option<()>, Failure> {
    let Some(file) = own_file(&args.server, context) else { return Err(failure) };
    let (config, _) = context.load(&file)?;
    let known = args.project.as_ref().is_none_or(|key| config.projects.iter().any(|p| p.key == *key));
    // The lock of one that was killed may live a moment longer than it.
    let begun = Instant::now();
    while super::client::daemon_of(&config.db.path).is_some() {
        if LINGER < begun.elapsed() {
            return Err(failure);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    if !config.data_dir().is_dir() || !known {
        return Err(failure);
    }
    let told = paused::begin(config.data_dir(), args.project.as_deref(), &context.actor()).map_err(|e| {
        Failure::new(Exit::CannotTell, format!("{}; and no pause could be left for it: {e}", failure.message))
    })?;
    if super::client::daemon_of(&config.db.path).is_some() {
        return Ok(Some(()));
    }
    let answer = json!({"paused": [], "daemon": false, "agents": {"told": told}});
    let agents = if told == 1 { "1 agent is".to_owned() } else { format!("{told} agents are") };
    let sentence = format!(
        "paused without a daemon: no model is asked any more, {agents} told to stand still; the next `orch serve` keeps it, and \
         `orch resume` ends it then"
    );
    said(context, &answer, args.json, &sentence);
    Ok(None)
}

/// Goes on.
pub fn resume(args: &ResumeArgs, context: &mut Context<'_>) -> Outcome {
    let answer = Client::find(context, &args.server)?.post(&["api", "v1", "resume"], &of(args.project.as_ref()))?;
    said(context, &answer, args.json, if args.project.is_some() { "it goes on" } else { "claiming again" });
    if !args.json {
        for pause in show::items(&answer, "paused") {
            context.say(super::queue::paused_line(pause));
        }
    }
    Ok(Exit::Done)
}

/// `orch reload`
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  orch reload --json")]
pub struct ReloadArgs {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub server: ServerArgs,
}

/// Reads the configuration again.
pub fn reload(args: &ReloadArgs, context: &mut Context<'_>) -> Outcome {
    let answer = Client::find(context, &args.server)?.post(&["api", "v1", "reload"], &json!({}))?;
    if args.json {
        context.say(show::json(&answer));
        return Ok(Exit::Done);
    }
    let keys = |name: &str| -> Vec<String> {
        show::items(&answer, name).iter().filter_map(|key| key.as_str().map(table::plain)).collect()
    };
    let (applied, restart) = (keys("applied"), keys("needs_restart"));
    if applied.is_empty() && restart.is_empty() {
        context.say("the configuration is in force as it is written");
    }
    for key in applied {
        context.say(format!("taken up       {key}"));
    }
    for key in restart {
        context.say(format!("needs restart  {key}"));
    }
    for why in keys("out_of_service") {
        context.say(format!("out of service {why}"));
    }
    Ok(Exit::Done)
}
