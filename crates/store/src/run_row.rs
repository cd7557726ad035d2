//! A run as it is written down.

use orch_core::ids::{Seq, Sha, StageId, TaskId, Time};
use orch_core::run_of::RunOf;
use orch_ports::agent::{EndClass, Usage};
use serde::{Deserialize, Serialize};

/// A run of an agent, a command or a hook.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunRow {
    /// Task.
    pub task: TaskId,
    /// Job.
    pub job: Seq,
    /// Number of the run directory.
    pub attempt: u32,
    /// What ran.
    pub what: RunOf,
    /// Program.
    pub program: String,
    /// Stage.
    pub stage: StageId,
    /// Run directory: names the run, since one attempt of a job may run several commands.
    pub dir: String,
    /// The commit a hook was run for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<Sha>,
    /// When it began.
    pub started: Time,
    /// When it ended.
    pub ended: Option<Time>,
    /// How it ended, for people.
    pub end: Option<String>,
    /// Did it end well?
    pub ok: Option<bool>,
    /// What it cost.
    pub usage: Usage,
    /// Model.
    pub model: Option<String>,
    /// Session.
    pub session: Option<String>,
    /// The agent's words.
    pub summary: Option<String>,
    /// Class of an agent's end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<EndClass>,
    /// Version of an agent's program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// What enclosed it, and what was open in it; `None`: a hook, or a run of an earlier version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sandbox: Option<String>,
}

/// [`RunRow::program`] of a command of the project; no agent program has this name.
pub const SHELL: &str = "sh";

impl RunRow {
    /// Is it a command of the project? It costs nothing.
    pub fn is_command(&self) -> bool {
        self.program == SHELL
    }

    /// Did it, or may it have, reached all that the user of orch reaches? Hooks do, and are the default branch's.
    pub fn is_open(&self) -> bool {
        self.sandbox.as_ref().map_or(!self.is_command(), |sandbox| sandbox.starts_with("off"))
    }
}
