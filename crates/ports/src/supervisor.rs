//! Running other people's programs: agents, tests, CI commands, deploy hooks. One mechanism for all of them, because
//! all of them may outlive us, hang, fork daemons and fill pipes.
//!
//! A run is a directory. The supervisor process holds an exclusive lock on it from before the spawn to after the exit
//! record: a held lock is the proof of life, an exit record is the proof of death, neither is a lost run.

use crate::fault::Fault;
use crate::remote::Secret;
use orch_core::ids::Time;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What to run, written to `<run dir>/spec.json` before anything starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunSpec {
    /// Program and arguments; never a shell line.
    pub argv: Vec<String>,
    /// Where it starts.
    pub cwd: PathBuf,
    /// Its environment, but for `keys`: nothing is inherited. The supervisor adds `ORCH_RUN_MARKER`, by which strays are
    /// found.
    pub env: BTreeMap<String, String>,
    /// What is added to it and never written down: in the file are names alone.
    #[serde(default, skip_serializing_if = "Keys::is_empty")]
    pub keys: Keys,
    /// The program reads its keys from its standard input, as one JSON object of texts, and has none in its environment:
    /// that of a process can be read as long as it lives.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub keys_on_stdin: bool,
    /// File that becomes its standard input; `None` is `/dev/null`.
    #[serde(default)]
    pub stdin: Option<PathBuf>,
    /// Longest life, milliseconds from the spawn.
    pub deadline_ms: u64,
    /// Longest time without a byte on stdout or stderr; `None`: silence is fine.
    #[serde(default)]
    pub silence_ms: Option<u64>,
    /// Between the polite signal and SIGKILL at a limit or a cancel.
    #[serde(default = "default_grace")]
    pub grace_ms: u64,
    /// The polite signal: `INT` or `TERM`.
    #[serde(default)]
    pub polite: PoliteSignal,
    /// Once the program has ended by itself: leave alone what it has put into a session of its own.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub detach: bool,
    /// What it writes below `cwd` and into its run directory is its result: it is on disk before the record is. Costs a
    /// sync of those file systems.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub keep: bool,
}

/// Variables whose values are keys. They travel from the daemon to the supervisor and on to the program without touching a
/// disk; what is serialized, and read back, are their names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keys(BTreeMap<String, Option<Secret>>);

impl Keys {
    /// Of a program that is about to be asked for.
    pub fn new(keys: BTreeMap<String, Secret>) -> Self {
        Self(keys.into_iter().map(|(name, value)| (name, Some(value))).collect())
    }
    /// Are there none?
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
    /// Gives those that were read back by name their values; others are not added.
    pub fn fill(&mut self, mut known: BTreeMap<String, Secret>) {
        for (name, value) in &mut self.0 {
            *value = known.remove(name).or_else(|| value.take());
        }
    }
    /// Names and values.
    ///
    /// # Errors
    /// The first name whose value is not known.
    pub fn values(&self) -> Result<BTreeMap<&str, &str>, &str> {
        self.0
            .iter()
            .map(|(name, value)| value.as_ref().map(|v| (name.as_str(), v.expose())).ok_or(name.as_str()))
            .collect()
    }
}

/// Where keys come from, read anew for each run.
pub trait KeySource: std::fmt::Debug + Send + Sync {
    /// Names and values.
    ///
    /// # Errors
    /// `denied`, with the place and the fix, and never with a value.
    fn keys(&self) -> Result<BTreeMap<String, Secret>, Fault>;
}

impl Serialize for Keys {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.keys())
    }
}

impl<'de> Deserialize<'de> for Keys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let names = Vec::<String>::deserialize(deserializer)?;
        Ok(Self(names.into_iter().map(|name| (name, None)).collect()))
    }
}

fn default_grace() -> u64 {
    5_000
}

/// How a program is asked to stop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum PoliteSignal {
    /// SIGTERM, what most programs expect.
    #[default]
    Term,
    /// SIGINT, on which Claude Code reaps its tools and prints its usage.
    Int,
}

/// Why a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndReason {
    /// It ended by itself.
    Exited,
    /// It lived past its deadline.
    Deadline,
    /// It said nothing for too long.
    Silence,
    /// Somebody asked for it.
    Cancelled,
    /// It could not be started at all.
    SpawnFailed,
}

/// `<run dir>/exit.json`, written atomically as the supervisor's last act.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExitRecord {
    /// Why it ended.
    pub reason: EndReason,
    /// Exit code, if it exited.
    pub code: Option<i32>,
    /// Signal, if one killed it.
    pub signal: Option<i32>,
    /// Why the spawn failed, if it did.
    #[serde(default)]
    pub error: Option<String>,
    /// When the program was started.
    pub started: Time,
    /// When the record was written, after the whole tree was gone.
    pub ended: Time,
    /// Processes of the tree that had to be killed after the program itself had ended.
    pub strays: u32,
}

impl ExitRecord {
    /// Did it end by itself with code 0?
    pub fn ok(&self) -> bool {
        self.reason == EndReason::Exited && self.code == Some(0)
    }
    /// Did it end by itself, with a code of its own? From 126 on a shell tells that nothing was run, or of a signal.
    pub fn exited(&self) -> bool {
        self.reason == EndReason::Exited && self.code.is_some_and(|code| code < 126)
    }
    /// For people: `exit 1`, `signal 9`, `stopped at its deadline`.
    pub fn describe(&self) -> String {
        match (self.reason, self.code, self.signal) {
            (EndReason::Exited, Some(code), _) => format!("exit {code}"),
            (EndReason::Exited, None, Some(signal)) => format!("killed by signal {signal}"),
            (EndReason::Exited, None, None) => self.error.clone().unwrap_or_else(|| "ended in an unknown way".into()),
            (EndReason::Deadline, ..) => "stopped at its deadline".into(),
            (EndReason::Silence, ..) => "stopped after its silence limit".into(),
            (EndReason::Cancelled, ..) => "cancelled".into(),
            (EndReason::SpawnFailed, ..) => {
                format!("could not be started: {}", self.error.as_deref().unwrap_or("unknown reason"))
            }
        }
    }
}

/// State of a run directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunState {
    /// Nothing of it was ever started: no spec, or one that no supervisor has taken. Safe to ensure.
    Absent,
    /// Its supervisor lives.
    Live,
    /// Its exit record is there.
    Ended(ExitRecord),
    /// It was asked for, nobody holds the lock and there is no record: the supervisor died. Its tree must be swept.
    Lost,
}

/// Starts, finds again, stops and sweeps runs.
#[async_trait::async_trait]
pub trait Supervisor: Send + Sync + 'static {
    /// Sees to it that the run of this directory happened and reports how it ended: an exit record is returned, a live
    /// run is adopted and waited for, an absent one is started. A lost one is swept and reported as
    /// `Fault::transient`: the caller decides on a new attempt in a new directory. Dropping the future leaves the run
    /// alone: it goes on and can be found again.
    async fn ensure(&self, dir: &Path, spec: &RunSpec) -> Result<ExitRecord, Fault>;
    /// What is known of a run directory. Never blocks on the run.
    fn look(&self, dir: &Path) -> Result<RunState, Fault>;
    /// Asks a live run to stop; its record will say `cancelled`. A run that is not live is left as it is. One that is frozen
    /// is killed without being asked politely first.
    fn cancel(&self, dir: &Path) -> Result<(), Fault>;
    /// Lets the whole process tree of a run stand still until it is thawed, whoever lives until then; a run that is only
    /// about to start does not start. Its limits stand still with it. Says what is wished; [`Supervisor::is_frozen`] says
    /// when it is so. A directory that is not there is left alone.
    fn freeze(&self, dir: &Path) -> Result<(), Fault>;
    /// Lets a frozen run go on where it was. One that is not frozen is left as it is.
    fn thaw(&self, dir: &Path) -> Result<(), Fault>;
    /// Is every process of this live run stopped, or none started yet? False also for a run of a supervisor that cannot do
    /// it.
    fn is_frozen(&self, dir: &Path) -> Result<bool, Fault>;
}

/// Names of files in a run directory.
pub mod files {
    /// The request.
    pub const SPEC: &str = "spec.json";
    /// The answer.
    pub const EXIT: &str = "exit.json";
    /// Locked exclusively by the supervisor for its life.
    pub const LOCK: &str = "lock";
    /// The program's standard output.
    pub const STDOUT: &str = "stdout.log";
    /// The program's standard error.
    pub const STDERR: &str = "stderr.log";
    /// Identity of the supervisor and of the program: boot id, pid, start time.
    pub const PIDS: &str = "pids.json";
    /// Its being there asks the supervisor to stop the run.
    pub const CANCEL: &str = "cancel";
    /// As long as it is there, the run stands still.
    pub const PAUSE: &str = "pause";
    /// The supervisor's answer to it: how many processes are stopped.
    pub const FROZEN: &str = "frozen";
}
