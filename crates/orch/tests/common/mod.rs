//! A user of the real binary: a git repository that is nobody's sample, a clone of it with an `orch.toml` made by `orch
//! init`, the daemon as a child process, and the command line as the only way to speak to it. It decides nothing: what
//! is true is read from the bare repository, the process table and the files runs leave. Nothing it starts outlives it.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, reason = "every test binary uses its own part of this")]

pub mod agents;
mod daemon;
pub mod fixture;
pub mod processes;
mod repository;

use serde_json::Value;
use std::fmt::Write as _;
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The real binary.
pub const ORCH: &str = env!("CARGO_BIN_EXE_orch");
/// Longest wait for anything: generous, because two cores are shared with a compiler.
const PATIENCE: Duration = Duration::from_mins(3);
/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(60);
/// The file every well-behaved developer of these tests changes.
pub const CODE: &str = "src/приложение с пробелом.txt";
/// What it holds at first.
pub const CODE_TEXT: &str = "версия: 1\n";
/// What must never be seen by an agent or a project's command: it is in the daemon's own environment.
pub const DECOY: &str = "decoy-5f2b9c-not-for-agents";

/// What a test wants to be different.
pub struct Setup {
    /// `full` or `lite`.
    pub pipeline: &'static str,
    /// Shell functions that replace roles of the well-behaved agent.
    pub agent: String,
    /// Lines for `[agents.programs.mine]`.
    pub program: String,
    /// Lines below `[[project]]`, sub-tables included.
    pub project: String,
    /// The remote that is worked on, in the place of a copy.
    pub remote: Option<String>,
}

impl Default for Setup {
    fn default() -> Self {
        Self { pipeline: "lite", agent: String::new(), program: String::new(), project: String::new(), remote: None }
    }
}

/// A machine with one user, one repository and one daemon.
pub struct World {
    pub root: PathBuf,
    /// The clone; `orch.toml` and the agent are in it.
    pub repo: PathBuf,
    /// The project's key as `orch init` found it.
    pub key: String,
    /// Tip of the default branch before orch did anything.
    pub tip: String,
    /// What `orch init --json` said.
    pub init: Value,
    /// An argument for `sleep` that no other process on this machine uses.
    pub nap: String,
    /// What is in the environment of everything that starts from now on.
    pub env: Vec<(&'static str, String)>,
    port: u16,
    serve: Option<Child>,
    _dir: TempDir,
}

/// A command that has ended.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Ran {
    pub fn of(output: &Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
    pub fn ok(self) -> Self {
        assert_eq!(self.code, 0, "{self:#?}");
        self
    }
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("not JSON ({e}): {self:#?}"))
    }
}

/// What one run of an agent or command left in its directory.
#[derive(Debug)]
pub struct RunDir {
    pub dir: PathBuf,
    pub name: String,
    pub out: String,
    pub err: String,
}

impl RunDir {
    /// Did an agent start here, in this role?
    pub fn role(&self, role: &str) -> bool {
        self.out.lines().any(|l| l.starts_with(&format!("start {role} ")))
    }
    /// The brief.
    pub fn prompt(&self) -> String {
        fs::read_to_string(self.dir.join("prompt.md")).unwrap_or_default()
    }
    /// The supervisor's record of processes.
    pub fn pids(&self) -> Value {
        serde_json::from_slice(&fs::read(self.dir.join("pids.json")).unwrap()).unwrap()
    }
}

impl World {
    /// A repository, a clone, a configuration. No daemon yet.
    pub fn new(setup: &Setup) -> Self {
        static NAPS: AtomicU32 = AtomicU32::new(0);
        let dir = tempfile::Builder::new().prefix("orch-e2e-").tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        fs::create_dir(root.join("tmp")).unwrap();
        let repo = root.join("проект лавка");
        let nap = format!("{}{:03}", 1_000_000 + std::process::id(), NAPS.fetch_add(1, Ordering::Relaxed));
        let mut world = Self {
            root,
            repo,
            key: String::new(),
            tip: String::new(),
            init: Value::Null,
            nap,
            env: Vec::new(),
            port: daemon::free_port(),
            serve: None,
            _dir: dir,
        };
        world.build_repository();
        world.tip = world.git(&world.repo, &["rev-parse", "HEAD"]);
        world.init = world.orch(&["init", "--json"]).ok().json();
        world.init["key"].as_str().unwrap().clone_into(&mut world.key);
        world.configure(setup);
        world.agent(&setup.agent);
        world
    }

    /// The same, with the daemon up.
    pub fn up(setup: &Setup) -> Self {
        let mut world = Self::new(setup);
        world.start();
        world
    }

    /// Writes the agent: the well-behaved one with these functions over it. Works on a running system as well.
    pub fn agent(&self, changes: &str) {
        let changes = changes.replace("$state", &self.data().display().to_string());
        let text = format!("{}\nNAP={}\n{changes}\n\"$ORCH_ROLE\"\n", agents::GOOD, self.nap);
        let (file, fresh) = (self.repo.join("agent.sh"), self.repo.join("agent.sh.new"));
        fs::write(&fresh, text).unwrap();
        fs::set_permissions(&fresh, fs::Permissions::from_mode(0o755)).unwrap();
        // At once: a shell reads its script bit by bit, and one may be running.
        fs::rename(fresh, file).unwrap();
    }

    /// Puts a program before all others on the `PATH` of everything that starts from now on.
    pub fn program(&self, name: &str, script: &str) {
        fs::create_dir_all(self.bin()).unwrap();
        let file = self.bin().join(name);
        fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    }
    fn bin(&self) -> PathBuf {
        self.root.join("bin")
    }

    /// Lets agents go on that wait for `$here/NAME`.
    pub fn allow(&self, name: &str) {
        fs::write(self.repo.join(name), "").unwrap();
    }

    pub fn config_file(&self) -> PathBuf {
        self.repo.join("orch.toml")
    }
    /// Where the state lies: where `init` said, else in the clone, as earlier versions had it.
    pub fn data(&self) -> PathBuf {
        self.init["state"].as_str().map_or_else(|| self.repo.join(".orch-state"), PathBuf::from)
    }
    pub fn forge(&self) -> PathBuf {
        self.data().join("forge").join(format!("{}.git", self.key))
    }
    pub fn worktree(&self, id: &str) -> PathBuf {
        self.data().join("repos/worktrees").join(&self.key).join(id)
    }

    /// Changes the configuration file.
    pub fn edit_config(&self, from: &str, to: &str) {
        let text = fs::read_to_string(self.config_file()).unwrap();
        assert!(text.contains(from), "{from:?} is not in:\n{text}");
        fs::write(self.config_file(), text.replace(from, to)).unwrap();
    }

    fn command(&self, program: &str, dir: &Path) -> Command {
        let mut command = Command::new(program);
        let path = std::env::var_os("PATH").unwrap();
        let path = std::env::join_paths(std::iter::once(self.bin()).chain(std::env::split_paths(&path))).unwrap();
        command.current_dir(dir).env_clear().env("PATH", path);
        command.env("XDG_STATE_HOME", self.root.join("state"));
        command.env("HOME", &self.root).env("TMPDIR", self.tmp()).env("LANG", "C.UTF-8").stdin(Stdio::null());
        // Agents and tests of these worlds write what they are asked to write outside of their places: a sandbox has tests of
        // its own, on every machine alike.
        command.env("ORCH_SANDBOX_LEVEL", "off");
        command.envs(self.env.iter().map(|(name, value)| (*name, value)));
        command
    }

    /// Git as the user; fails the test if git fails.
    pub fn git(&self, dir: &Path, args: &[&str]) -> String {
        let mut command = self.command("git", dir);
        command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
        command.args(["-c", "user.name=Аня", "-c", "user.email=anna@example.invalid", "-c", "core.quotePath=false"]);
        let done = Ran::of(&command.args(args).output().unwrap());
        assert_eq!(done.code, 0, "git {args:?}: {}", done.err);
        done.out.trim_end_matches('\n').to_owned()
    }

    /// Git in the forge's bare repository.
    pub fn forge_git(&self, args: &[&str]) -> String {
        self.git(&self.forge(), args)
    }
    /// Where the forge's default branch is.
    pub fn trunk(&self) -> String {
        self.forge_git(&["rev-parse", "refs/heads/trunk"])
    }
    /// How often the forge's default branch has moved since it was imported.
    pub fn moves_of_trunk(&self) -> usize {
        let log = self.forge_git(&["reflog", "show", "--format=%H", "refs/heads/trunk"]);
        log.lines().filter(|sha| *sha != self.tip).count()
    }

    /// The real command line, in the clone, not waited for.
    pub fn orch_started(&self, args: &[&str]) -> Child {
        self.command(ORCH, &self.repo).args(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    /// What is in the system's temporary directory.
    pub fn temporary(&self) -> Vec<String> {
        let names = fs::read_dir(self.tmp()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
        names.collect()
    }
    fn tmp(&self) -> PathBuf {
        self.root.join("tmp")
    }

    /// The real command line, in the clone.
    pub fn orch(&self, args: &[&str]) -> Ran {
        self.orch_in(args, "")
    }

    /// The same with standard input.
    pub fn orch_in(&self, args: &[&str], input: &str) -> Ran {
        let mut command = self.command(ORCH, &self.repo);
        command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        Ran::of(&child.wait_with_output().unwrap())
    }

    /// A started task; its name.
    pub fn task(&self, title: &str) -> String {
        let args = ["task", "new", "--project", &self.key, "--title", title, "--body-file", "-", "--start", "--json"];
        let made = self.orch_in(&args, "Команда должна показывать версию.\n\n- видно номер\n").ok().json();
        made["id"].as_str().unwrap().to_owned()
    }

    /// `orch task show --json`; exit 0, or 1 for a task that ended badly.
    pub fn show(&self, id: &str) -> Value {
        let shown = self.orch(&["task", "show", id, "--json"]);
        assert!([0, 1].contains(&shown.code), "{shown:#?}");
        shown.json()
    }

    /// Waits until the task is in one of these phases. One that has come to rest elsewhere will never be: that fails
    /// at once.
    pub fn wait(&self, id: &str, phases: &[&str]) -> Value {
        let began = Instant::now();
        loop {
            // Looked at without a process each time; what is judged is what the command line shows.
            let (_, body) = self.http("GET", &format!("/api/v1/tasks/{id}"), None, "").unwrap_or_default();
            let task: Value = serde_json::from_str(&body).unwrap_or_default();
            let phase = task["phase"].as_str().unwrap_or_default();
            if phases.contains(&phase) {
                return self.show(id);
            }
            let rests = ["done", "blocked", "cancelled", "needs_input", "awaiting_approval"].contains(&phase);
            let hopeless = rests || PATIENCE < began.elapsed();
            assert!(!hopeless, "{id} should be {phases:?} and is `{phase}`\n{task:#}\n{}", self.story(id));
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// The sentence a person is shown for a blocked task: `orch why` must exit 1 and name a command.
    pub fn why_blocked(&self, id: &str) -> String {
        self.wait(id, &["blocked"]);
        let why = self.orch(&["why", id]);
        assert_eq!(why.code, 1, "{why:#?}");
        assert!(why.out.contains(&format!("orch task retry {id}")), "it must say what to do: {why:#?}");
        why.out
    }

    /// `orch evidence --json`.
    pub fn evidence(&self, id: &str) -> Value {
        self.orch(&["evidence", id, "--json"]).ok().json()
    }

    /// Waits until something is so.
    pub fn until<T>(&self, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
        let began = Instant::now();
        loop {
            if let Some(found) = look() {
                return found;
            }
            assert!(began.elapsed() < PATIENCE, "never: {what}\n{}", self.log_tail());
            std::thread::sleep(LOOK_EVERY / 2);
        }
    }

    /// Every run directory, oldest first.
    pub fn runs(&self) -> Vec<RunDir> {
        let text = |dir: &Path, name: &str| {
            String::from_utf8_lossy(&fs::read(dir.join(name)).unwrap_or_default()).into_owned()
        };
        let mut runs: Vec<(std::time::SystemTime, RunDir)> = fs::read_dir(self.data().join("runs"))
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| {
                let dir = entry.path();
                // The spec is written once, when the run is asked for.
                let at = dir.join("spec.json").metadata().and_then(|m| m.modified());
                let run = RunDir {
                    name: entry.file_name().to_string_lossy().into_owned(),
                    out: text(&dir, "stdout.log"),
                    err: text(&dir, "stderr.log"),
                    dir,
                };
                (at.unwrap_or(std::time::SystemTime::UNIX_EPOCH), run)
            })
            .collect();
        runs.sort_by_key(|(at, _)| *at);
        runs.into_iter().map(|(_, run)| run).collect()
    }

    /// Runs of one role.
    pub fn runs_of(&self, role: &str) -> Vec<RunDir> {
        self.runs().into_iter().filter(|r| r.role(role)).collect()
    }

    /// Waits for the n-th run (from 1) of a role to have said something.
    pub fn run_said(&self, role: &str, n: usize, said: &str) -> RunDir {
        self.until(&format!("run {n} of the {role} says {said:?}"), || {
            self.runs_of(role).into_iter().nth(n - 1).filter(|r| r.out.contains(said))
        })
    }

    fn log_tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(60)..].join("\n")
    }

    /// Everything there is to know when a test fails.
    pub fn story(&self, id: &str) -> String {
        let mut text = String::new();
        let journal = self.http("GET", &format!("/api/v1/tasks/{id}/journal"), None, "");
        let _ = writeln!(text, "--- journal\n{}", journal.map(|(_, body)| body).unwrap_or_default());
        for run in self.runs() {
            let _ = writeln!(text, "--- run {}\n{}{}", run.name, run.out, run.err);
        }
        let _ = writeln!(text, "--- serve\n{}", self.log_tail());
        text
    }
}
