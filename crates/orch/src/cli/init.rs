//! `orch init`: an orch.toml for the repository at hand. It looks, writes a file that passes the check, and never
//! writes over one; what it does not know it leaves commented out and says so.

use super::context::{Context, Tone};
use super::exit::{Exit, Failure, Outcome};
use super::{git_probe, show};
use crate::config::check::is_project_key;
use crate::config::{Config, FILE_NAME};
use clap::Args;
use serde_json::json;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Where the daemon keeps what is its own.
const STATE_DIR: &str = ".orch-state";

/// `orch init`
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  orch init ~/src/shop")]
pub struct InitArgs {
    /// A directory in the repository (default: here)
    #[arg(value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// What was found out about a repository.
struct Found {
    key: String,
    branch: String,
    actor: String,
    /// The test command and the file it was guessed from.
    test: Option<(&'static str, &'static str)>,
    agent: Agent,
}

/// An agent program that reads its brief from standard input.
struct Agent {
    name: &'static str,
    line: &'static str,
}

/// Known programs, driven by the generic contract; the first one on PATH is taken, else the first.
const AGENTS: &[Agent] = &[
    Agent { name: "claude", line: r#"exec claude -p --permission-mode acceptEdits < "$ORCH_PROMPT_FILE""# },
    Agent { name: "codex", line: r#"exec codex exec --full-auto - < "$ORCH_PROMPT_FILE""# },
];

/// Runs it.
pub fn run(args: &InitArgs, context: &mut Context<'_>) -> Outcome {
    let dir = args.dir.as_ref().map_or_else(|| context.cwd.clone(), |d| context.cwd.join(d));
    if !dir.is_dir() {
        return Err(Failure::usage(format!("{} is not a directory", dir.display())));
    }
    let top = git_probe::top(&dir).ok_or_else(|| {
        Failure::usage(format!("{} is not in the working tree of a git repository", dir.display()))
            .hint("make one with `git init`, or name another directory")
    })?;
    let file = top.join(FILE_NAME);
    if fs::symlink_metadata(&file).is_ok() {
        return Err(Failure::usage(format!("{} exists already: it is left as it is", file.display()))
            .hint("`orch config check` says whether it is right"));
    }
    let branch = git_probe::default_branch(&top).ok_or_else(|| {
        Failure::usage("no branch is checked out, so the default branch cannot be known")
            .hint("`git switch` to it first")
    })?;
    let found =
        Found { key: key_of(&top), branch, actor: context.actor(), test: guess_test(&top), agent: pick_agent(context) };
    let text = render(&found);
    // The file must pass the very check it will meet, whatever names this machine came up with.
    let trial = text.replace("# allow_untested = true", "allow_untested = true");
    Config::parse(&file, &trial, &std::collections::BTreeMap::from([("HOME".to_owned(), "/".to_owned())]))
        .map_err(|e| Failure::new(Exit::CannotTell, format!("the file that would be written is not right: {e}")))?;
    // First what is harmless alone, last the file, at once.
    exclude(&top).map_err(|e| Failure::new(Exit::CannotTell, format!("cannot exclude {STATE_DIR}/ from git: {e}")))?;
    write_new(&file, &text)
        .map_err(|e| Failure::new(Exit::CannotTell, format!("cannot write {}: {e}", file.display())))?;
    report(args, context, &top, &file, &found);
    Ok(Exit::Done)
}

fn report(args: &InitArgs, context: &mut Context<'_>, top: &Path, file: &Path, found: &Found) {
    let empty = !git_probe::has_commit(top);
    if args.json {
        context.say(show::json(&json!({
            "file": file, "key": found.key, "default_branch": found.branch, "approvers": [found.actor],
            "test": found.test.map(|(command, _)| command), "agent": found.agent.name, "has_commit": !empty,
        })));
        return;
    }
    let word = context.paint(Tone::Good, "wrote");
    context.say(format!("{word} {}", file.display()));
    context.say(format!("  project {}, branch {}, approver {}", found.key, found.branch, found.actor));
    match found.test {
        Some((command, from)) => context.say(format!("  tests: `{command}` (because of {from})")),
        None => context.say("  tests: none found; name a command under [project.commands], then `orch config check`"),
    }
    context.say(format!("  agent: {}", found.agent.name));
    if empty {
        context.note("the repository has no commit yet: make one before the first task");
    }
    let next =
        if found.test.is_some() { "`orch doctor`, then `orch serve`" } else { "fill in the tests, then `orch serve`" };
    context.say(format!("next: {next}"));
}

/// A project key from the name of a directory, in any script.
fn key_of(top: &Path) -> String {
    let name = top.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let upper = deunicode::deunicode(&name).to_ascii_uppercase();
    let letters = upper.chars().filter(char::is_ascii_alphanumeric).skip_while(char::is_ascii_digit);
    let key: String = letters.take(10).collect();
    if is_project_key(&key) { key } else { "APP".into() }
}

/// The usual test command of a kind of repository.
fn guess_test(top: &Path) -> Option<(&'static str, &'static str)> {
    let has = |name: &str| top.join(name).is_file();
    if has("Cargo.toml") {
        return Some(("cargo test", "Cargo.toml"));
    }
    if has("package.json") {
        return Some(("npm test", "package.json"));
    }
    if has("pyproject.toml") {
        return Some(("pytest", "pyproject.toml"));
    }
    let makefile = fs::read_to_string(top.join("Makefile")).unwrap_or_default();
    if makefile
        .lines()
        .any(|l| l.strip_prefix("test").is_some_and(|r| r.trim_start().starts_with(':') && !r.contains(":=")))
    {
        return Some(("make test", "Makefile"));
    }
    has("test.sh").then_some(("sh test.sh", "test.sh"))
}

fn pick_agent(context: &Context<'_>) -> Agent {
    let path = context.env.get("PATH").map(String::as_str).unwrap_or_default();
    let there = |a: &&Agent| super::doctor::on_path(a.name, path).is_some();
    let Agent { name, line } = AGENTS.iter().find(there).unwrap_or(&AGENTS[0]);
    Agent { name, line }
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

fn render(found: &Found) -> String {
    let Found { key, branch, actor, agent, .. } = found;
    let (branch, actor) = (quoted(branch), quoted(actor));
    let (name, line) = (agent.name, agent.line);
    let tests = match found.test {
        Some((command, from)) => format!(
            "# Run in a clean checkout of every commit that is judged; exit 0 is green. Guessed from {from}.\n\
             test = {}\n# What continuous integration runs for each push, if that is something else:\n# ci = \"make ci\"\n",
            quoted(command)
        ),
        None => "# No test command was found. Name one: it is run in a clean checkout of every commit that is judged, and\n\
                 # exit 0 is green. Without one nothing checks the code, and the file is refused unless you say so with\n\
                 # `allow_untested` above.\n# test = \"sh test.sh\"\n"
            .into(),
    };
    let untested = if found.test.is_some() {
        ""
    } else {
        "# Nothing checks the code of this project, and that is meant (remove the `#`):\n# allow_untested = true\n"
    };
    format!(
        r#"# Configuration of orch. `orch config check` checks it, `orch config explain KEY` explains a key,
# `orch config reference` lists them all. A variable ORCH_<SECTION>_<KEY> wins over this file.
# Relative paths are relative to this file.

[server]
# Loopback: only this machine can reach it.
listen = "127.0.0.1:8500"

[db]
# Everything the daemon keeps is beside this file: run logs, the local forge, the API token.
path = "{STATE_DIR}/orch.db"

[repos]
dir = "{STATE_DIR}/repos"

[agents]
# The agent program for every role that [project.agents] does not give to another one.
default = "{name}"
# Agents at work at the same time.
max_concurrency = 1

[agents.programs.{name}]
# Any program that works in its current directory and finds its brief in the file $ORCH_PROMPT_FILE.
kind = "command"
command = ["sh", "-c", '{line}']
# Longest run, and longest silence, in seconds.
deadline_s = 3600
silence_s = 1200

[[project]]
# Prefix of the work items: {key}-1, {key}-2, ...
key = "{key}"
repo = "."
default_branch = {branch}
# Tickets and pull requests in orch's own store; no other server is needed.
tracker = "local"
forge = "local"
# full: analysis, architecture, development, review, testing, staging, deploy. lite: development, review, deploy.
pipeline = "lite"
# Who may approve, and who may start tasks.
approvers = [{actor}]
starters = [{actor}]
{untested}
[project.commands]
{tests}
# [project.deploy]
# Shell lines run in a clean checkout of $ORCH_REVISION. Without them nothing is deployed, and that is shown.
# staging = "./deploy.sh staging"
# production = "./deploy.sh production"
# rollback = "./deploy.sh production"     # with $ORCH_PREVIOUS_REVISION
# check = "./smoke.sh"
# health_url = "http://127.0.0.1:8080/health"
# approval = true                         # a person says yes before production

# [project.agents]
# developer = "{name}"                    # role to agent program

# [project.gates.check_security_gate]
# mode = "shadow"                         # off | shadow | enforce
"#
    )
}

/// Adds the state directory to the clone's own ignore list, once.
fn exclude(top: &Path) -> std::io::Result<()> {
    let Some(file) = git_probe::exclude_file(top) else {
        return Err(std::io::Error::other("git names no info/exclude"));
    };
    let line = format!("/{STATE_DIR}/");
    let now = match fs::read_to_string(&file) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(e) => return Err(e),
    };
    if now.lines().any(|l| l.trim() == line) {
        return Ok(());
    }
    if let Some(dir) = file.parent() {
        fs::create_dir_all(dir)?;
    }
    let gap = if now.is_empty() || now.ends_with('\n') { "" } else { "\n" };
    fs::OpenOptions::new().create(true).append(true).open(&file)?.write_all(format!("{gap}{line}\n").as_bytes())
}

/// Writes a file whole or not at all, and never over another one.
fn write_new(file: &Path, text: &str) -> std::io::Result<()> {
    let partial = file.with_file_name(format!(".{FILE_NAME}.{}", std::process::id()));
    let written = fs::write(&partial, text).and_then(|()| fs::hard_link(&partial, file));
    let _ = fs::remove_file(&partial);
    written
}
