//! `orch project`: the configured projects, from the configuration file. Needs no server.

use super::context::Context;
use super::exit::{Exit, Failure, Outcome};
use super::show;
use super::table;
use crate::config::problem::did_you_mean;
use crate::config::{Config, project::Project};
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

/// One project with its effective switches.
fn as_json(config: &Config, project: &Project) -> Value {
    let pipeline = config.pipeline(project);
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
    json!({
        "key": project.key, "repo": project.repo, "default_branch": project.default_branch,
        "tracker": project.tracker, "forge": project.forge, "pipeline": project.pipeline, "stages": stages,
        "approvers": project.approvers, "starters": project.starters, "self": project.is_self,
        "test": project.commands.test, "ci": project.commands.ci,
        "deploy": {
            "mode": project.deploy.mode.as_str(), "staging": project.deploy.staging,
            "production": project.deploy.production, "rollback": project.deploy.rollback,
            "check": project.deploy.check, "health_url": project.deploy.health_url, "approval": project.deploy.approval,
        },
        "gates": gates,
    })
}
