//! How a clean checkout is made ready for a command of the project: its environment, and the project's `setup` before its
//! tests. Gates, CI and whoever runs the tests by hand build their runs here, so that all of them see the same.
//!
//! Setup and command are one run of the supervisor, one after the other in the same checkout with the same HOME: one thing
//! to find again after a restart, one log, and nothing that outlives the checkout.

use orch_ports::supervisor::{PoliteSignal, RunSpec};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Says in the run directory what is under way: [`SETUP`] or [`COMMAND`]. Not there where there is no setup.
const PHASE_FILE: &str = "phase";
const SETUP: &str = "setup";
const COMMAND: &str = "command";

/// The setup in a shell of its own, then the command. `$1` is the phase file, `$2` the setup, `$3` the command.
const SETUP_FIRST: &str = r#"echo setup >"$1" && sh -c "$2" || exit; echo command >"$1"; exec sh -c "$3""#;

/// What every checkout of a project is prepared with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Preparation {
    /// Shell line before the tests: installs what they need.
    pub setup: Option<String>,
    /// Environment of the project's commands beyond the cleared basis.
    pub env: BTreeMap<String, String>,
}

/// A command and where it runs.
#[derive(Clone, Debug)]
pub struct Prepared<'a> {
    /// Shell line.
    pub line: &'a str,
    /// Run the project's setup before it.
    pub setup: bool,
    /// Clean checkout it starts in.
    pub checkout: PathBuf,
    /// The run's own directory.
    pub run_dir: &'a Path,
    /// HOME and TMPDIR, for this run alone.
    pub home: &'a Path,
    /// `PATH`, unless the project has one of its own.
    pub path: &'a str,
    /// Environment beyond the project's.
    pub env: BTreeMap<String, String>,
    /// Longest run of setup and command together, milliseconds.
    pub timeout_ms: u64,
    /// What it puts into a session of its own goes on when it has ended.
    pub detach: bool,
}

impl Preparation {
    /// What the supervisor is asked for.
    pub fn spec(&self, run: Prepared<'_>) -> RunSpec {
        let mut env = basic_env(run.path, run.home);
        env.extend(self.env.clone());
        env.extend(run.env);
        let phase = run.run_dir.join(PHASE_FILE).display().to_string();
        let words = match self.setup.as_deref().filter(|_| run.setup) {
            None => vec!["sh", "-c", run.line],
            Some(setup) => vec!["sh", "-c", SETUP_FIRST, "orch", &phase, setup, run.line],
        };
        RunSpec {
            argv: words.into_iter().map(str::to_owned).collect(),
            cwd: run.checkout,
            env,
            stdin: None,
            deadline_ms: run.timeout_ms,
            silence_ms: None,
            grace_ms: GRACE_MS,
            polite: PoliteSignal::Term,
            detach: run.detach,
            keep: false,
        }
    }

    /// Setup and command as one text: what was green under another pair is no answer.
    pub(crate) fn identity(&self, line: &str) -> String {
        self.setup.as_ref().map_or_else(|| line.to_owned(), |setup| format!("{setup}\n{line}"))
    }
}

/// What a command has between being asked to end and being killed, milliseconds.
pub const GRACE_MS: u64 = 5_000;

/// What is, or was last, under way in a run with a setup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The setup: the command has not begun.
    Setup,
    /// The command.
    Command,
}

impl Phase {
    /// Read from a run directory.
    pub fn of(run_dir: &Path) -> Self {
        let text = std::fs::read_to_string(run_dir.join(PHASE_FILE)).unwrap_or_default();
        if text.trim() == SETUP { Self::Setup } else { Self::Command }
    }
    /// For people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Setup => SETUP,
            Self::Command => COMMAND,
        }
    }
}

/// The environment every foreign program starts from.
pub(crate) fn basic_env(path: &str, scratch: &Path) -> BTreeMap<String, String> {
    let scratch = scratch.display().to_string();
    [("PATH", path), ("HOME", &scratch), ("TMPDIR", &scratch), ("LANG", "C.UTF-8"), ("TERM", "dumb")]
        .into_iter()
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .collect()
}
