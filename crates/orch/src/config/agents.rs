//! `[agents]`: which programs do the creative work, how many at once and for how long. A program kind that is not
//! built is refused at load: a task must not find out after an hour in the queue.

use super::section::section;
use super::value::{choices, quoted};
use orch_ports::Secret;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

section! {
    /// Agent programs and their limits.
    Agents {
        /// Name of the agent program for every role a project does not give to another one.
        default: String = "claude".into();
        /// Agents at work at the same time, over all projects. With several projects and 2 or more, one project never has the
        /// last place; with 1 they take turns.
        max_concurrency: u64 = 1;
        /// Repairs a developer gets after the first run, shared by all failing gates; then the task is Blocked.
        max_developer_retries: u64 = 3;
        /// The programs, by name: `[agents.programs.NAME]`.
        programs: BTreeMap<String, AgentProgram> = BTreeMap::new();
    }
}

choices! {
    /// How an agent program is driven.
    ProgramKind {
        /// Claude Code, by its own protocol.
        Claude = "claude",
        /// Any program that keeps the generic contract.
        Command = "command",
        /// The deterministic stand-in used by `orch demo`.
        Scripted = "scripted",
    }
}

section! {
    /// One agent program. It starts in the task's worktree with an environment of its own and finds its brief in the
    /// file named by `ORCH_PROMPT_FILE`.
    AgentProgram {
        /// How it is driven.
        kind: ProgramKind = ProgramKind::Command;
        /// Program and arguments, for `kind = "command"`. A program written with a `/` is relative to this file.
        command: Vec<String> = Vec::new();
        /// The program, for `kind = "claude"`. One written with a `/` is relative to this file, else it is found through PATH.
        program: String = "claude".into();
        /// Model, for `kind = "claude"`. Without one the program takes the account's dearest.
        model: Option<String> = None;
        /// Most turns of the model in one run, for `kind = "claude"`; 0: no limit.
        max_turns: u64 = 200;
        /// Tools it has, for `kind = "claude"`. The tool by which it asks people is always given.
        tools: Vec<String> = orch_adapters::claude::TOOLS.iter().map(ToString::to_string).collect();
        /// Beginnings of commands that it may not run, for `kind = "claude"`. A fence against mistakes, no boundary.
        deny: Vec<String> = vec!["git push".into()];
        /// Refusals of one and the same wish that end a run, for `kind = "claude"`.
        max_denials: u64 = 5;
        /// Address of the service instead of the vendor's, for `kind = "claude"`: a gateway, without `/v1`.
        base_url: Option<String> = None;
        /// Puts a proxy between it and the service of its model, for `kind = "claude"`: its key stays outside the run, what it
        /// uses is counted, and it is cut where its reservation is used up. Off: it is given the key itself.
        proxy: bool = true;
        /// Most tokens of one run, input and output together, for `proxy`; 0: no limit.
        max_tokens: u64 = 0;
        /// Most requests of one run to the model, for `proxy`; 0: no limit.
        max_requests: u64 = 0;
        /// Writes bodies of requests and responses into the run directory, for `proxy`. They hold all that the model sees.
        log_bodies: bool = false;
        /// File with its keys, one `NAME=value` per line, for this user alone (`chmod 600`). Read before each run; the
        /// values are masked wherever orch shows a text.
        env_file: Option<PathBuf> = None;
        /// Names of variables that it gets from the environment orch is started in, masked like those of `env_file`.
        pass_env: Vec<String> = Vec::new();
        /// Hosts that it may reach from its sandbox beside `[sandbox] allow`: a program of `kind = "command"` needs that of its
        /// model here.
        allow: Vec<String> = Vec::new();
        /// Variables added to its environment, which is otherwise empty but for PATH, HOME, LANG, TERM and TMPDIR.
        /// Never shown, and no place for keys: what looks like one is refused.
        env: BTreeMap<String, Secret> = BTreeMap::new();
        /// Longest run in seconds; then it is stopped and the attempt has failed.
        deadline_s: u64 = 3600;
        /// Longest time in seconds without a word of output; 0: silence is fine.
        silence_s: u64 = 1200;
    }
}

impl AgentProgram {
    /// The program that would be started, without its arguments.
    pub fn program(&self) -> Option<&str> {
        match self.kind {
            ProgramKind::Claude => Some(&self.program),
            ProgramKind::Command | ProgramKind::Scripted => self.command.first().map(String::as_str),
        }
    }

    /// Where that is: a path is relative to the directory of the file.
    pub fn program_at(&self, config_dir: &Path) -> Option<String> {
        let program = self.program()?;
        Some(if program.contains('/') { config_dir.join(program).display().to_string() } else { program.to_owned() })
    }

    /// What a shell line among the arguments would start, as far as can be seen: the word after `sh -c "exec`.
    pub fn inner_program(&self) -> Option<&str> {
        let [shell, flag, line, ..] = self.command.as_slice() else { return None };
        let shell = PathBuf::from(shell);
        if flag != "-c" || !["sh", "bash"].contains(&shell.file_name()?.to_str()?) {
            return None;
        }
        let word = line.split_whitespace().find(|w| *w != "exec")?;
        word.chars().all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c)).then_some(word)
    }

    /// For people: the command as it would stand in the file.
    pub fn show_command(&self) -> String {
        self.command.iter().map(|s| quoted(s)).collect::<Vec<_>>().join(" ")
    }
}
