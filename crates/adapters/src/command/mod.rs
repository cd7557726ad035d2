//! `kind = "command"`: any program that keeps the contract of an agent (environment `ORCH_*`, files, exit code). It
//! decides how such a program is started and what its end was worth. It may never hand it more than the contract names:
//! no inherited environment, a home and a temporary directory of the run's own.

mod keys;
pub(crate) mod report;

pub use keys::{EnvFile, read_env_file, read_secret_file};

use orch_core::word::Word;
use orch_ports::agent::{AgentEnd, AgentProgram, AgentReport, Brief, EndClass, Usage, files};
use orch_ports::supervisor::{EndReason, ExitRecord, Keys, PoliteSignal, RunSpec};
use orch_ports::{Fault, Secret};
use orch_sandbox::{Places, Sandbox};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Exit code of a transient failure (EX_TEMPFAIL of sysexits.h).
const EX_TEMPFAIL: i32 = 75;

/// A program as it is configured.
#[derive(Clone, Debug)]
pub struct CommandSettings {
    /// Its name in the configuration: `mine` of `[agents.programs.mine]`.
    pub name: String,
    /// Program and arguments. A program with a `/` in it that is not absolute is looked for in `config_dir`, then in the
    /// worktree; one without is found through `PATH`.
    pub command: Vec<String>,
    /// Directory of the configuration file.
    pub config_dir: PathBuf,
    /// `PATH` of the run.
    pub path: String,
    /// What the configuration adds. Names that start with `ORCH_` are the contract's and are refused.
    pub env: BTreeMap<String, String>,
    /// File with its keys, read before each run.
    pub env_file: Option<PathBuf>,
    /// Variables of the daemon's environment that it gets, with what they hold there; `None`: nothing.
    pub pass_env: BTreeMap<String, Option<Secret>>,
    /// Longest run, milliseconds.
    pub deadline_ms: u64,
    /// Longest silence, milliseconds; `None`: silence is fine.
    pub silence_ms: Option<u64>,
    /// Between the polite signal and SIGKILL, milliseconds.
    pub grace_ms: u64,
    /// What encloses it.
    pub sandbox: Sandbox,
}

/// A program that keeps the contract.
#[derive(Clone, Debug)]
pub struct CommandAgent {
    settings: CommandSettings,
}

impl CommandAgent {
    /// A program with these settings; they are checked at each launch, where the worktree is known.
    pub fn new(settings: CommandSettings) -> Self {
        Self { settings }
    }

    /// The program's path: what cannot be found is a matter for a person, not for another attempt.
    fn program(&self, worktree: &Path) -> Result<String, Fault> {
        let CommandSettings { name, command, config_dir, .. } = &self.settings;
        let program = command.first().filter(|p| !p.is_empty()).ok_or_else(|| {
            Fault::denied(format!("agent program `{name}`: set `command` under [agents.programs.{name}]"))
        })?;
        if !program.contains('/') {
            return Ok(program.clone());
        }
        // `join` leaves an absolute path as it is.
        let places = [config_dir.join(program), worktree.join(program)];
        places.iter().find(|p| p.is_file()).map(|p| p.display().to_string()).ok_or_else(|| {
            Fault::denied(format!(
                "agent program `{name}`: {program} is neither in {} nor in the worktree; correct `command` under \
                 [agents.programs.{name}]",
                config_dir.display()
            ))
        })
    }

    pub(crate) fn env(&self, brief: &Brief) -> Result<BTreeMap<String, String>, Fault> {
        let in_run = |name: &str| brief.run_dir.join(name).display().to_string();
        let base = [
            ("PATH", self.settings.path.clone()),
            ("HOME", in_run(files::HOME)),
            ("LANG", "C.UTF-8".to_owned()),
            ("TERM", "dumb".to_owned()),
            ("TMPDIR", in_run(files::TMP)),
        ];
        let mut env: BTreeMap<String, String> = base.into_iter().map(|(k, v)| (k.to_owned(), v)).collect();
        for (key, value) in &self.settings.env {
            if key.starts_with("ORCH_") {
                let name = &self.settings.name;
                return Err(Fault::denied(format!(
                    "agent program `{name}`: {key} belongs to the contract; take it out of [agents.programs.{name}.env]"
                )));
            }
            env.insert(key.clone(), value.clone());
        }
        env.extend(brief.env());
        Ok(env)
    }
}

impl AgentProgram for CommandAgent {
    fn name(&self) -> &str {
        &self.settings.name
    }

    fn launch(&self, brief: &Brief) -> Result<RunSpec, Fault> {
        if brief.result_file != brief.run_dir.join(files::RESULT) {
            return Err(Fault::bug(format!("launch {}: the result file is not in the run directory", brief.run_id)));
        }
        let mut argv = vec![self.program(&brief.worktree)?];
        argv.extend(self.settings.command.iter().skip(1).cloned());
        let env = self.env(brief)?;
        let keys = Keys::new(self.keys()?);
        for dir in [files::HOME, files::TMP, files::OUT] {
            private_dir(&brief.run_dir.join(dir))?;
        }
        Ok(RunSpec {
            argv: self.settings.sandbox.enclose(argv, &places(brief, &env)),
            cwd: brief.worktree.clone(),
            env,
            keys,
            keys_on_stdin: false,
            stdin: None,
            deadline_ms: self.settings.deadline_ms,
            silence_ms: self.settings.silence_ms,
            grace_ms: self.settings.grace_ms,
            polite: PoliteSignal::Term,
            detach: false,
            keep: true,
        })
    }

    fn sandbox(&self) -> Option<String> {
        Some(self.settings.sandbox.shown())
    }

    fn keys(&self) -> Result<BTreeMap<String, Secret>, Fault> {
        let CommandSettings { name, env_file, pass_env, .. } = &self.settings;
        let mut keys = BTreeMap::new();
        for (key, value) in pass_env {
            let value = value.clone().ok_or_else(|| {
                Fault::denied(format!(
                    "agent program `{name}`: the variable {key} is not set where orch is started, and [agents.programs.{name}] \
                     pass_env names it: set it there, and start orch again"
                ))
            })?;
            keys.insert(key.clone(), value);
        }
        if let Some(file) = env_file {
            keys.extend(read_env_file(file).map_err(|f| f.context(format!("agent program `{name}`: env_file")))?);
        }
        Ok(keys)
    }

    fn read(&self, run_dir: &Path, exit: &ExitRecord) -> AgentReport {
        let result = report::result_of(run_dir);
        let class = if is_unmade(run_dir) { EndClass::Configuration } else { class(exit, &result) };
        let end = match class {
            EndClass::Finished | EndClass::Question | EndClass::Unable => AgentEnd::new(class, ""),
            EndClass::Passing => AgentEnd {
                not_before: result.retry_after_s.map(|s| exit.ended.plus_ms((s * 1_000.0) as i64)),
                ..AgentEnd::new(class, report::why(exit, run_dir))
            },
            class => AgentEnd::new(class, report::why(exit, run_dir)),
        };
        AgentReport {
            end,
            summary: result.summary,
            question: result.question,
            word: result.word,
            resolved: result.resolved,
            // What was not started has cost nothing.
            usage: if exit.reason == EndReason::SpawnFailed { Usage::default() } else { result.usage },
            model: None,
            session: None,
            version: None,
            alarms: Vec::new(),
        }
    }
}

/// What a run may see and write in its sandbox.
pub(crate) fn places(brief: &Brief, env: &BTreeMap<String, String>) -> Places {
    let in_run = |name: &str| brief.run_dir.join(name);
    Places {
        cwd: brief.worktree.clone(),
        env: env.clone(),
        write: [brief.worktree.clone()].into_iter().chain([files::HOME, files::TMP, files::OUT].map(in_run)).collect(),
        read: vec![brief.run_dir.clone()],
        door: in_run(DOOR),
    }
}

/// Was nothing run, because its sandbox could not be made?
pub(crate) fn is_unmade(run_dir: &Path) -> bool {
    orch_sandbox::door::unmade(&run_dir.join(DOOR)).symlink_metadata().is_ok()
}

/// Where the way out of a run's sandbox is.
const DOOR: &str = "net.sock";

/// What the contract says of an end.
fn class(exit: &ExitRecord, result: &report::RunResult) -> EndClass {
    match (exit.reason, exit.code) {
        (EndReason::Exited, Some(0)) => match (&result.question, &result.word) {
            (Some(_), _) => EndClass::Question,
            (None, Some(Word::Unable { .. })) => EndClass::Unable,
            (None, _) => EndClass::Finished,
        },
        (EndReason::Exited, Some(EX_TEMPFAIL)) => EndClass::Passing,
        (EndReason::Exited, _) => EndClass::Failed,
        (EndReason::SpawnFailed, _) => EndClass::Configuration,
        (EndReason::Deadline, _) => EndClass::Deadline,
        (EndReason::Silence, _) => EndClass::Silence,
        (EndReason::Cancelled, _) => EndClass::Stopped,
    }
}

/// Makes a directory that only this user can enter; being there already is fine.
pub(crate) fn private_dir(dir: &Path) -> Result<(), Fault> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(|e| Fault::transient(format!("make {}: {e}", dir.display())))
}

#[cfg(test)]
mod tests;
