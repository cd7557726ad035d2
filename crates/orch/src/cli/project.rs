//! `orch project`: the configured projects, from the configuration file, and what the server has seen of their default
//! branches. Only the latter needs one.

use super::client::{Client, ServerArgs};
use super::context::Context;
use super::exit::{Exit, Failure, Outcome};
use super::show;
use super::table;
use crate::config::Config;
use crate::config::problem::did_you_mean;
use crate::config::project::{Part, Project};
use clap::{Args, Subcommand};
use orch_core::pipeline::Step;
use serde_json::{Value, json};
use std::path::PathBuf;

/// `orch project`
#[derive(Clone, Debug, Subcommand)]
#[command(after_help = "Example:\n  orch project show DEMO")]
pub enum ProjectCommand {
    /// List the projects
    List(ListArgs),
    /// Show one project: its stages, gates with their switches, people and commands
    Show(ShowArgs),
    /// Show what came into a default branch otherwise than by orch's merges
    Main(MainArgs),
    /// Show the tests that are known to fail by chance, or forget one
    Flaky(FlakyArgs),
}

/// `orch project flaky`
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  orch project flaky DEMO\n  orch project flaky DEMO --forget cart::total\n  \
                  orch project flaky DEMO --quarantine cart::total --until 2026-12-31 --because 'the rounding is repaired in DEMO-12'\n  \
                  orch project flaky DEMO --release cart::total\n\nWhat is known on the default branch, or from tasks of others, \
                  costs no task a round. One that is repaired is forgotten after 60 days by itself.\n\nA test in quarantine \
                  stops nothing until the end of that day ([server] timezone), 92 days at most: a run that failed at nothing \
                  else passes, and says so. A runner that stops at its first failure has not run what comes after it: make \
                  yours go on.")]
pub struct FlakyArgs {
    /// Key of the project
    pub key: String,
    /// Forget this test: it is judged anew the next time it fails
    #[arg(long, value_name = "TEST")]
    pub forget: Option<String>,
    /// Let this test fail until a day (with --until and --because)
    #[arg(long, value_name = "TEST", requires_all = ["until", "because"], conflicts_with_all = ["forget", "release"])]
    pub quarantine: Option<String>,
    /// The last day of the quarantine
    #[arg(long, value_name = "YYYY-MM-DD", requires = "quarantine")]
    pub until: Option<String>,
    /// Why the test may fail: whoever reads a verdict is told
    #[arg(long, value_name = "TEXT", requires = "quarantine")]
    pub because: Option<String>,
    /// Release this test from quarantine: it counts again
    #[arg(long, value_name = "TEST", conflicts_with = "forget")]
    pub release: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub server: ServerArgs,
}

/// `orch project main`
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  orch project main DEMO")]
pub struct MainArgs {
    /// Key of the project
    pub key: String,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub server: ServerArgs,
}

/// `orch project list`
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  orch project list --json")]
pub struct ListArgs {
    /// Configuration file (default: the nearest orch.toml from here upwards)
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `orch project show`
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  orch project show DEMO")]
pub struct ShowArgs {
    /// Key of the project
    pub key: String,
    /// Configuration file (default: the nearest orch.toml from here upwards)
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Runs it.
pub fn run(command: &ProjectCommand, context: &mut Context<'_>) -> Outcome {
    match command {
        ProjectCommand::List(args) => {
            let config = context.config(args.config.as_deref())?;
            if args.json {
                let all: Vec<Value> = config.projects.iter().map(|p| as_json(&config, p)).collect();
                context.say(show::json(&json!({ "projects": all })));
                return Ok(Exit::Done);
            }
            let rows: Vec<Vec<String>> = config
                .projects
                .iter()
                .map(|p| vec![p.key.clone(), p.pipeline.clone(), p.default_branch.clone(), p.repo.clone()])
                .collect();
            if rows.is_empty() {
                context.note("no [[project]] in the configuration");
            } else {
                for line in table::lines(&["KEY", "PIPELINE", "BRANCH", "REPOSITORY"], &rows) {
                    context.say(line);
                }
            }
        }
        ProjectCommand::Main(args) => {
            let client = Client::find(context, &args.server)?;
            let main = client.get(&["api", "v1", "projects", &args.key, "main"], &[])?;
            if args.json {
                context.say(show::json(&main));
            } else {
                tell_main(&main, context);
            }
        }
        ProjectCommand::Flaky(args) => return flaky(args, context),
        ProjectCommand::Show(args) => {
            let config = context.config(args.config.as_deref())?;
            let found = config.projects.iter().find(|p| p.key.eq_ignore_ascii_case(&args.key));
            let project = found.ok_or_else(|| {
                let hint = did_you_mean(&args.key, config.projects.iter().map(|p| p.key.as_str()));
                Failure::usage(format!("no project `{}` in {}{hint}", args.key, config.file.display()))
            })?;
            let value = as_json(&config, project);
            if args.json {
                context.say(show::json(&value));
            } else {
                for line in show::tree(&value) {
                    context.say(line);
                }
            }
        }
    }
    Ok(Exit::Done)
}

fn flaky(args: &FlakyArgs, context: &mut Context<'_>) -> Outcome {
    let client = Client::find(context, &args.server)?;
    if let Some(test) = &args.forget {
        let body = json!({ "test": test });
        let answer = client.post(&["api", "v1", "projects", &args.key, "flaky", "forget"], &body)?;
        super::acting::said(context, &answer, args.json, &format!("forgotten: {test}"));
        return Ok(Exit::Done);
    }
    if let Some(test) = &args.quarantine {
        let body = json!({ "test": test, "until": args.until, "because": args.because });
        let answer = client.post(&["api", "v1", "projects", &args.key, "flaky", "quarantine"], &body)?;
        let day = args.until.as_deref().unwrap_or_default();
        super::acting::said(context, &answer, args.json, &format!("in quarantine until the end of {day}: {test}"));
        return Ok(Exit::Done);
    }
    if let Some(test) = &args.release {
        let body = json!({ "test": test });
        let answer = client.post(&["api", "v1", "projects", &args.key, "flaky", "release"], &body)?;
        super::acting::said(context, &answer, args.json, &format!("released, it counts again: {test}"));
        return Ok(Exit::Done);
    }
    let answer = client.get(&["api", "v1", "projects", &args.key, "flaky"], &[])?;
    if args.json {
        context.say(show::json(&answer));
        return Ok(Exit::Done);
    }
    let row = |test: &Value| {
        let main = test.get("on_main").and_then(Value::as_bool) == Some(true);
        let on = if main { "default branch" } else { "one branch" };
        let text = |name: &str| table::plain(&show::field(test, name));
        vec![text("test"), on.to_owned(), text("times"), show::time(test, "last"), text("seen_first_by")]
    };
    let rows: Vec<Vec<String>> = show::items(&answer, "tests").iter().map(row).collect();
    if rows.is_empty() {
        context.say("no test is known to fail by chance");
    } else {
        for line in table::lines(&["TEST", "ON", "TIMES", "LAST", "FIRST SEEN BY"], &rows) {
            context.say(line);
        }
    }
    let let_be =
        |test: &Value| ["test", "until", "by", "because"].map(|name| table::plain(&show::field(test, name))).to_vec();
    let rows: Vec<Vec<String>> = show::items(&answer, "quarantine").iter().map(let_be).collect();
    if !rows.is_empty() {
        context.say("");
        for line in table::lines(&["IN QUARANTINE", "UNTIL", "BY", "BECAUSE"], &rows) {
            context.say(line);
        }
    }
    Ok(Exit::Done)
}

/// For people: where the default branch is, and what came in otherwise, newest first.
fn tell_main(main: &Value, context: &mut Context<'_>) {
    if main.get("tip").is_none_or(Value::is_null) {
        context.say("orch has not looked at this default branch yet");
        return;
    }
    let short = |value: &Value, name: &str| show::field(value, name).chars().take(12).collect::<String>();
    context.say(format!(
        "{} at {}, seen {}",
        show::field(main, "project"),
        short(main, "tip"),
        show::time(main, "seen_at")
    ));
    let moves = show::items(main, "moves");
    if moves.is_empty() {
        context.say("nothing came in but orch's own merges");
    }
    for moved in moves {
        let how = if moved.get("rewound").and_then(Value::as_bool) == Some(true) { "rewound" } else { "moved" };
        context.say(format!(
            "{how} by somebody else from {} to {}, seen {}",
            short(moved, "from"),
            short(moved, "to"),
            show::time(moved, "seen_at")
        ));
        for line in show::items(moved, "lines").iter().filter_map(Value::as_str) {
            context.say(format!("  {}", table::plain(line)));
        }
    }
    if main.get("waits_for_approval").and_then(Value::as_bool) == Some(true) {
        context.say("a person has to approve this before the next merge is prepared: `orch why` of a waiting task");
    }
}

/// One project with its effective switches.
fn as_json(config: &Config, project: &Project) -> Value {
    let (pipeline, lists) = (config.pipeline(project), config.lists(project));
    let steps = pipeline.iter().flat_map(|p| &p.stages).flat_map(|s| &s.steps);
    let mut gates = Vec::new();
    for step in steps {
        if let Step::Gate { gate, .. } = step
            && !gates.contains(gate)
        {
            gates.push(*gate);
        }
    }
    let gates: Vec<Value> = gates
        .into_iter()
        .map(|gate| {
            let switch = config.gate_switch(project, gate);
            json!({ "gate": gate.as_str(), "mode": switch.mode.as_str(), "because": switch.why })
        })
        .collect();
    let stages: Vec<&str> = pipeline.iter().flat_map(|p| &p.stages).map(|s| s.id.as_str()).collect();
    let part = |p: &Part| json!({ "name": p.name, "paths": p.paths, "test": p.test, "ci": p.ci });
    let parts: Vec<Value> = project.parts.iter().map(part).collect();
    json!({
        "key": project.key, "repo": project.repo, "default_branch": project.default_branch,
        "tracker": project.tracker, "forge": project.forge, "pipeline": project.pipeline, "stages": stages,
        "approvers": lists.approvers, "starters": lists.starters,
        "landers": if lists.landers.is_empty() { &lists.approvers } else { &lists.landers }, "self": project.is_self,
        "setup": project.commands.setup, "test": project.commands.test, "ci": project.commands.ci,
        "parts": parts,
        "deploy": {
            "mode": project.deploy.mode.as_str(), "staging": project.deploy.staging,
            "production": project.deploy.production, "rollback": project.deploy.rollback,
            "check": project.deploy.check, "health_url": project.deploy.health_url, "approval": project.deploy.approval,
        },
        "gates": gates,
    })
}
