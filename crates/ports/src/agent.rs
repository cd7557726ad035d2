//! Agent programs: how a role's brief becomes a command, and what its exit, its output and its result file mean.

use crate::fault::Fault;
use crate::remote::Secret;
use crate::supervisor::{ExitRecord, RunSpec};
use orch_core::budget;
use orch_core::conflict::Resolution;
use orch_core::ids::{ProjectKey, Role, StageId, WorkItem};
use orch_core::word::Word;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub use orch_core::agent_end::AgentEnd;
pub use orch_core::end_class::EndClass;

/// Everything an agent program needs to start a run.
#[derive(Clone, Debug)]
pub struct Brief {
    /// Task.
    pub work_item: WorkItem,
    /// Project.
    pub project: ProjectKey,
    /// Role to play.
    pub role: Role,
    /// Stage it is played in.
    pub stage: StageId,
    /// How many-eth attempt of this job, from 1.
    pub attempt: u32,
    /// Developer repairs so far: 0..=3.
    pub round: u32,
    /// Unique name of this run: `<task>-<seq>-<attempt>`.
    pub run_id: String,
    /// Branch checked out in the worktree.
    pub branch: String,
    /// Commit of the default branch the task started from or was last brought to.
    pub base: String,
    /// Directory of the task's artefacts, relative to the worktree.
    pub artefact_dir: String,
    /// Where the agent works.
    pub worktree: PathBuf,
    /// Run directory, outside the worktree: prompt, result, logs.
    pub run_dir: PathBuf,
    /// The full brief.
    pub prompt_file: PathBuf,
    /// Where a result may be written.
    pub result_file: PathBuf,
    /// What is reserved for the run, millionths of a US dollar: a program that can stop at an amount is told to. 0: nothing.
    pub reserved_micro_usd: u64,
    /// Where the program may keep what its sessions need to go on: one directory per task and role, outside the worktree. It
    /// may not be there yet.
    pub session_dir: PathBuf,
    /// The session it goes on with; only a program that named one is asked to.
    pub resume: Option<Resume>,
    /// Documents the role has to leave in `artefact_dir`; with a trailing `/`: a directory with at least one file.
    pub artefacts: Vec<String>,
    /// The project's test command, as people read it.
    pub test: Option<String>,
}

/// A session that goes on. The files are as that run left them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resume {
    /// Its name, as the program told it.
    pub session: String,
    /// How its run ended.
    pub after: EndClass,
}

impl Brief {
    /// The pinned environment of an agent (`ORCH_*`), without `PATH`, `HOME` and the like.
    pub fn env(&self) -> BTreeMap<String, String> {
        // Dollars with every digit: it is read by programs.
        let micro_usd = self.reserved_micro_usd;
        let reserved = format!("{}.{:06}", micro_usd / 1_000_000, micro_usd % 1_000_000);
        let budget = (0 < micro_usd).then_some(("ORCH_BUDGET_USD", reserved));
        [
            ("ORCH_WORK_ITEM", self.work_item.to_string()),
            ("ORCH_PROJECT", self.project.to_string()),
            ("ORCH_ROLE", self.role.to_string()),
            ("ORCH_STAGE", self.stage.to_string()),
            ("ORCH_ATTEMPT", self.attempt.to_string()),
            ("ORCH_ROUND", self.round.to_string()),
            ("ORCH_RUN_ID", self.run_id.clone()),
            ("ORCH_BRANCH", self.branch.clone()),
            ("ORCH_BASE", self.base.clone()),
            ("ORCH_ARTEFACT_DIR", self.artefact_dir.clone()),
            ("ORCH_PROMPT_FILE", self.prompt_file.display().to_string()),
            ("ORCH_RESULT_FILE", self.result_file.display().to_string()),
            ("ORCH_OUT", self.run_dir.join(files::OUT).display().to_string()),
        ]
        .into_iter()
        .chain(budget)
        .map(|(k, v)| (k.to_owned(), v))
        .collect()
    }
}

/// Tokens and money of a run. The CLI's own figure is an estimate; see the program's documentation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Usage {
    /// US dollars; where `cost_unread` is set, what it counts as.
    pub cost_usd: f64,
    /// Why what it cost is not known. It then counts as what was reserved for the run, and that is the most it is taken for;
    /// but with `measured`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_unread: Option<String>,
    /// With `cost_unread`: `cost_usd` was measured, and is the most that it can have cost.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub measured: bool,
    /// It is included in a subscription: it costs no dollars of its own.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub included: bool,
    /// How the cost was read, where it was not written plainly.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_note: Option<String>,
    /// Input tokens, cached ones included.
    pub input_tokens: u64,
    /// Output tokens.
    pub output_tokens: u64,
    /// Turns, if known.
    pub turns: u64,
}

impl Usage {
    /// What it cost, millionths of a US dollar; `None`: that is not known.
    pub fn micro_usd(&self) -> Option<u64> {
        if self.cost_unread.is_some() { None } else { budget::micro_usd(self.cost_usd) }
    }
    /// What it cost, for people: `1.50`, `<= 2.00`, `unknown`, `included`.
    pub fn shown(&self) -> String {
        let counted = budget::micro_usd(self.cost_usd).unwrap_or(0);
        if self.included && counted == 0 {
            return "included".to_owned();
        }
        match (&self.cost_unread, counted) {
            (None, _) => budget::usd(counted),
            (Some(_), 0) => "unknown".to_owned(),
            (Some(_), _) => format!("<= {}", budget::usd(counted)),
        }
    }
}

/// What a run has said of itself so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Live {
    /// Model, if known.
    pub model: Option<String>,
    /// Session to go on with, if there is one.
    pub session: Option<String>,
    /// What it has used. Output tokens and cost may lag behind.
    pub usage: Usage,
}

/// Report on a run.
#[derive(Clone, Debug, PartialEq)]
pub struct AgentReport {
    /// What it was worth, before any gate looks at its work.
    pub end: AgentEnd,
    /// The agent's own words, one line to a paragraph.
    pub summary: Option<String>,
    /// A question for a person: the task waits for the answer.
    pub question: Option<String>,
    /// What it says of its work as a whole.
    pub word: Option<Word>,
    /// What it says of the paths that were in conflict, and what of that could not be read.
    pub resolved: Resolution,
    /// What it cost.
    pub usage: Usage,
    /// Model, if known.
    pub model: Option<String>,
    /// Session to resume, if known.
    pub session: Option<String>,
    /// Version of the program, if known.
    pub version: Option<String>,
    /// What a person has to hear of when the run ends, whatever becomes of the run: a token of somebody else's was used.
    pub alarms: Vec<String>,
}

/// A kind of agent program.
pub trait AgentProgram: Send + Sync + 'static {
    /// Its name in the configuration.
    fn name(&self) -> &str;
    /// Writes what the program needs into `brief.run_dir` and says how to start it.
    fn launch(&self, brief: &Brief) -> Result<RunSpec, Fault>;
    /// The keys it is given, read anew for each run; the names that [`Self::launch`] put into the specification are among
    /// them.
    fn keys(&self) -> Result<BTreeMap<String, Secret>, Fault> {
        Ok(BTreeMap::new())
    }
    /// What encloses its runs, and what is open in that, for people.
    fn sandbox(&self) -> Option<String> {
        None
    }
    /// What a run has said of itself so far, whether it still runs, has ended or was lost. Must accept anything, as
    /// [`Self::read`] does. `None`: it says nothing before its end.
    fn live(&self, _run_dir: &Path) -> Option<Live> {
        None
    }
    /// Reads what a finished run left. Must accept anything: nothing an agent writes is trusted or fatal.
    fn read(&self, run_dir: &Path, exit: &ExitRecord) -> AgentReport;
}

/// Names of an agent's files in its run directory, beside those of the supervisor.
pub mod files {
    /// The full brief (`Brief::prompt_file`).
    pub const PROMPT: &str = "prompt.md";
    /// What it may write of the run directory.
    pub const OUT: &str = "out";
    /// What the agent reports (`Brief::result_file`).
    pub const RESULT: &str = "out/result.json";
    /// The same of a run that an earlier version began.
    pub const OLD_RESULT: &str = "result.json";
    /// The agent's private home directory.
    pub const HOME: &str = "home";
    /// The agent's private temporary directory.
    pub const TMP: &str = "tmp";
}
