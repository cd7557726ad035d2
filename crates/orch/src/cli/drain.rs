//! `orch drain`, `orch pause`, `orch resume` and `orch reload`: stop claiming, stop everything, go on, read the
//! configuration again. Agents that run keep running in a drain, and stand still in a pause.

use super::acting::said;
use super::client::{Client, ServerArgs};
use super::context::Context;
use super::exit::{Exit, Failure, Outcome};
use super::{show, table};
use clap::Args;
use serde_json::{Value, json};

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
                        over restarts. The daemon has to run when it is asked. `orch resume` ends it."
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
    let answer = Client::find(context, &args.server)?.post(&["api", "v1", "pause"], &of(args.project.as_ref()))?;
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
