//! What an agent has before it: the contract's environment, a working directory, git and a shell. Every command gets
//! exactly that environment; git never runs a hook or a driver the repository names.

use orch_core::ids::WorkItem;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Branch of the worktree that is the tip of the default branch.
const BASE: &str = "orch-base";

/// What a role reports at the end.
#[derive(Debug, Default)]
pub(super) struct Report {
    /// What was done.
    pub(super) summary: String,
    /// What only a person can answer.
    pub(super) question: Option<String>,
}

impl Report {
    pub(super) fn done(summary: impl Into<String>) -> Self {
        Self { summary: summary.into(), question: None }
    }
}

/// The end of a command's run.
#[derive(Debug)]
pub(super) struct Ran {
    /// Exit code; `None` if a signal killed it.
    pub(super) code: Option<i32>,
    /// Standard output and error, in that order.
    pub(super) output: String,
}

impl Ran {
    pub(super) fn ok(&self) -> bool {
        self.code == Some(0)
    }
    pub(super) fn describe(&self) -> String {
        self.code.map_or("killed by a signal".into(), |c| format!("exit {c}"))
    }
    /// The last lines of the output.
    pub(super) fn tail(&self, most: usize) -> String {
        let lines: Vec<&str> = self.output.lines().collect();
        lines[lines.len().saturating_sub(most)..].join("\n")
    }
}

/// The contract as this run sees it.
#[derive(Debug)]
pub(super) struct Desk {
    worktree: PathBuf,
    env: BTreeMap<String, String>,
}

impl Desk {
    pub(super) fn new(worktree: &Path, env: BTreeMap<String, String>) -> Result<Self, String> {
        for key in ["ORCH_WORK_ITEM", "ORCH_ROLE", "ORCH_STAGE", "ORCH_ARTEFACT_DIR", "ORCH_RESULT_FILE", "TMPDIR"] {
            if env.get(key).is_none_or(String::is_empty) {
                return Err(format!("{key} is not set: this program is started by orch, not by hand"));
            }
        }
        let desk = Self { worktree: worktree.to_owned(), env };
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if !desk.role().chars().all(plain) {
            return Err("ORCH_ROLE is no plain name".into());
        }
        Ok(desk)
    }

    fn var(&self, key: &str) -> &str {
        self.env.get(key).map_or("", String::as_str)
    }
    pub(super) fn role(&self) -> &str {
        self.var("ORCH_ROLE")
    }
    pub(super) fn stage(&self) -> &str {
        self.var("ORCH_STAGE")
    }
    pub(super) fn round(&self) -> &str {
        self.var("ORCH_ROUND")
    }
    pub(super) fn work_item(&self) -> WorkItem {
        WorkItem::new(self.var("ORCH_WORK_ITEM"))
    }
    pub(super) fn artefact_dir(&self) -> &str {
        self.var("ORCH_ARTEFACT_DIR").trim_end_matches('/')
    }
    pub(super) fn worktree(&self) -> &Path {
        &self.worktree
    }

    /// The brief; empty if there is none.
    pub(super) fn prompt(&self) -> String {
        std::fs::read_to_string(self.var("ORCH_PROMPT_FILE")).unwrap_or_default()
    }

    /// Text of one of the task's artefacts, if it is there.
    pub(super) fn artefact(&self, name: &str) -> Option<String> {
        std::fs::read_to_string(self.worktree.join(self.artefact_dir()).join(name)).ok()
    }

    /// Writes one of the task's artefacts.
    pub(super) fn write_artefact(&self, name: &str, text: &str) -> Result<(), String> {
        let path = self.worktree.join(self.artefact_dir()).join(name);
        let dir = path.parent().unwrap_or(&self.worktree);
        std::fs::create_dir_all(dir)
            .and_then(|()| std::fs::write(&path, text))
            .map_err(|e| format!("write {}: {e}", path.display()))?;
        say(&format!("wrote {}/{name}", self.artefact_dir()));
        Ok(())
    }

    /// Writes the result file.
    pub(super) fn report(&self, report: &Report) -> Result<(), String> {
        say(&report.summary);
        let mut json = serde_json::json!({ "summary": report.summary });
        if let Some(question) = &report.question {
            json["question"] = question.as_str().into();
        }
        std::fs::write(self.var("ORCH_RESULT_FILE"), format!("{json}\n"))
            .map_err(|e| format!("write the result file: {e}"))
    }

    /// Runs the role's own script, if the default branch has one, and returns its exit code. The *default* branch's: a task
    /// may not bring its own reviewer.
    pub(super) fn run_own_script(&self) -> Result<Option<u8>, String> {
        let name = format!(".orch/agents/{}.sh", self.role());
        let Ok(script) = self.git(&["show", &format!("{}:{name}", self.base())]) else { return Ok(None) };
        let path = Path::new(self.var("TMPDIR")).join(format!("{}.sh", self.role()));
        std::fs::write(&path, script).map_err(|e| format!("write {}: {e}", path.display()))?;
        say(&format!("playing {} by {name}", self.role()));
        let status = self.command("sh").arg(&path).status().map_err(|e| format!("run {name}: {e}"))?;
        Ok(Some(status.code().and_then(|c| u8::try_from(c).ok()).unwrap_or(1)))
    }

    /// The commit or branch a change is compared with.
    pub(super) fn base(&self) -> String {
        let there = self.git(&["rev-parse", "--verify", "--quiet", &format!("refs/heads/{BASE}")]).is_ok();
        // An empty name would make git read the index, that is: the task's own files.
        if there || self.var("ORCH_BASE").is_empty() { BASE.to_owned() } else { self.var("ORCH_BASE").to_owned() }
    }

    /// The commit that is checked out.
    pub(super) fn head(&self) -> Result<String, String> {
        Ok(self.git(&["rev-parse", "HEAD"])?.trim().to_owned())
    }

    /// Standard output of a git command; a failure says what git said.
    pub(super) fn git(&self, args: &[&str]) -> Result<String, String> {
        let quiet = ["core.hooksPath=/dev/null", "core.fsmonitor=false", "core.quotePath=false"];
        let out = self
            .command("git")
            .args(quiet.iter().flat_map(|c| ["-c", c]))
            .args(args)
            .output()
            .map_err(|e| format!("run git: {e}"))?;
        if out.status.success() {
            Ok(String::from_utf8_lossy(&out.stdout).into_owned())
        } else {
            let what = args.first().unwrap_or(&"");
            Err(format!("git {what}: {}", String::from_utf8_lossy(&out.stderr).trim()))
        }
    }

    /// Runs a shell command of the project with some more environment.
    pub(super) fn shell(&self, command: &str, more: &[(&str, &str)]) -> Result<Ran, String> {
        say(&format!("$ {command}"));
        let out = self
            .command("sh")
            .args(["-c", command])
            .envs(more.iter().copied())
            .output()
            .map_err(|e| format!("run `{command}`: {e}"))?;
        let output = [out.stdout, out.stderr].map(|b| String::from_utf8_lossy(&b).into_owned()).concat();
        say(output.trim_end());
        Ok(Ran { code: out.status.code(), output })
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.worktree).env_clear().envs(&self.env).env("GIT_CONFIG_NOSYSTEM", "1");
        command
    }
}

/// A line of the live log. A log nobody reads any more is no reason to stop.
pub(super) fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// A line of the live log that says what went wrong.
pub(super) fn complain(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
