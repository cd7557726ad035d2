//! `kind = "scripted"`: the built-in agent program that needs no model and no network. It keeps the same contract as any
//! command agent (environment, files, exit code) and works on whatever repository it stands in: a role's own script
//! there, else plain, deterministic work. It decides nothing that is not in those files and may never claim what it did
//! not do: what it cannot do it reports as failed, so that no gate is passed by a fake.

mod analyst;
mod architect;
mod deployer;
mod desk;
mod developer;
mod diff;
mod document;
mod reviewer;
mod rules;
mod tester;

use crate::command::{CommandAgent, CommandSettings};
use desk::{Desk, Report};
use orch_ports::Fault;
use orch_ports::Secret;
use orch_ports::agent::{AgentProgram, AgentReport, Brief};
use orch_ports::supervisor::{ExitRecord, RunSpec};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

/// The hidden subcommand of `orch` that plays the roles.
pub const SUBCOMMAND: &str = "scripted-agent";

/// The scripted program: a command agent whose command is this very binary.
#[derive(Clone, Debug)]
pub struct ScriptedAgent(CommandAgent);

impl ScriptedAgent {
    /// `orch` is the path of the running binary; `settings.command` is replaced.
    pub fn new(mut settings: CommandSettings, orch: &Path) -> Self {
        settings.command = vec![orch.display().to_string(), SUBCOMMAND.to_owned()];
        Self(CommandAgent::new(settings))
    }
}

impl AgentProgram for ScriptedAgent {
    fn name(&self) -> &str {
        self.0.name()
    }
    fn launch(&self, brief: &Brief) -> Result<RunSpec, Fault> {
        self.0.launch(brief)
    }
    fn sandbox(&self) -> Option<String> {
        self.0.sandbox()
    }

    fn keys(&self) -> Result<BTreeMap<String, Secret>, Fault> {
        self.0.keys()
    }
    fn read(&self, run_dir: &Path, exit: &ExitRecord) -> AgentReport {
        let mut report = self.0.read(run_dir, exit);
        // It asks no model: where it says nothing of money, it has cost nothing.
        report.usage.cost_unread = None;
        report
    }
}

/// What the hidden subcommand does: reads the contract's environment, works in the current directory, and exits as any
/// agent would.
pub fn scripted_agent_main() -> ExitCode {
    let env = std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?))).collect();
    match std::env::current_dir() {
        Ok(dir) => ExitCode::from(play(&dir, env)),
        Err(error) => {
            desk::complain(&format!("cannot see the current directory: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// Plays the role that `env` names in `worktree` and returns the exit code of the run.
pub fn play(worktree: &Path, env: BTreeMap<String, String>) -> u8 {
    let done = Desk::new(worktree, env).and_then(|desk| {
        if let Some(code) = desk.run_own_script()? {
            return Ok(code);
        }
        let report = work(&desk)?;
        desk.report(&report)?;
        Ok(0)
    });
    done.unwrap_or_else(|why| {
        desk::complain(&why);
        1
    })
}

fn work(desk: &Desk) -> Result<Report, String> {
    match desk.role() {
        "analyst" => analyst::work(desk),
        "architect" => architect::work(desk),
        "developer" => developer::work(desk),
        "reviewer" => reviewer::work(desk),
        "tester" => tester::work(desk),
        "deployer" => deployer::work(desk),
        other => Err(format!(
            "the scripted program does not know the role `{other}`; put a script at .orch/agents/{other}.sh of the default branch"
        )),
    }
}
