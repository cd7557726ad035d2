//! The text of the orch.toml that `orch init` writes, and how it comes to its place.

use super::hosts;
use super::origin::Origin;
use super::plan::Plan;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// Where earlier versions kept what is the daemon's own, and the link that `orch instance move` leaves there.
pub(super) const STATE_DIR: &str = ".orch-state";

/// What was found out about a repository.
pub(super) struct Found {
    pub(super) key: String,
    pub(super) branch: String,
    pub(super) origin: Origin,
    pub(super) actor: String,
    /// How its tests are run.
    pub(super) plan: Option<Plan>,
    /// Environment of its commands.
    pub(super) env: BTreeMap<String, String>,
    /// Hosts of its submodules that are not its own.
    pub(super) submodule_hosts: Vec<String>,
    /// What came out when its tests were run: a sentence.
    pub(super) tried: Option<String>,
    pub(super) agent: Agent,
    pub(super) instance: Instance,
    /// The clone, where the file does not lie in it.
    pub(super) clone: Option<PathBuf>,
}

/// Where the state will lie.
pub(super) struct Instance {
    pub(super) name: String,
    /// The instance was there before.
    pub(super) known: bool,
    /// State of an earlier version in the clone: it is used where it is.
    pub(super) old: bool,
    pub(super) state: PathBuf,
}

/// A known agent program.
pub(super) struct Agent {
    pub(super) name: &'static str,
    /// The shell line by which it reads its brief from standard input; none: orch has a driver of its own for it.
    pub(super) line: Option<&'static str>,
}

/// The name of the variable that is proposed for a password.
pub(super) fn token_env(key: &str) -> String {
    format!("{key}_GIT_TOKEN")
}

/// What `repo` is.
pub(super) fn repo_of(found: &Found) -> String {
    match (&found.origin, &found.clone) {
        (Origin::Remote { url, .. }, _) => url.clone(),
        (Origin::None, Some(top)) => top.display().to_string(),
        (Origin::None, None) => ".".into(),
    }
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// Text for a comment: one line, whatever a repository calls its directories.
fn comment(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// The commands and their environment.
fn commands(found: &Found) -> String {
    let mut text = String::new();
    match &found.plan {
        Some(plan) => {
            if let Some(setup) = &plan.setup {
                let _ = write!(
                    text,
                    "# Makes a clean checkout ready, before `test` and `ci`, in the same checkout with the same HOME.\n\
                     setup = {}\n",
                    quoted(setup)
                );
            }
            let _ = writeln!(
                text,
                "# Run in a clean checkout of every commit that is judged; exit 0 is green. Guessed from {}.",
                comment(&plan.because)
            );
            if let Some(tried) = &found.tried {
                let _ = writeln!(text, "# {}", comment(tried));
            }
            let _ = writeln!(text, "test = {}", quoted(&plan.test));
            text.push_str(
                "# What continuous integration runs for each push, if that is something else:\n# ci = \"make ci\"\n",
            );
        }
        None => text.push_str(
            "# No test command was found. Name one: it is run in a clean checkout of every commit that is judged, and\n\
             # exit 0 is green. Without one nothing checks the code, and the file is refused unless you say so with\n\
             # `allow_untested` above.\n# test = \"sh test.sh\"\n# What the tests need before, if anything:\n\
             # setup = \"npm ci\"\n",
        ),
    }
    if !found.env.is_empty() {
        text.push_str(
            "\n[project.commands.env]\n# Commands have an empty HOME and none of your environment, so this is what they need of \
             this machine. No place for\n# secrets: agents see it.\n",
        );
        for (name, value) in &found.env {
            let _ = writeln!(text, "{name} = {}", quoted(value));
        }
    }
    text
}

/// How an agent program is driven.
fn program(agent: &Agent) -> String {
    match agent.line {
        None => "# Claude Code, by its own protocol. Its key comes from a file that only you can read, or from the environment of\n\
                 # the daemon (a login in your home directory is not found):\n\
                 # env_file = \"~/.config/orch-claude.env\"\n# pass_env = [\"ANTHROPIC_API_KEY\"]\n\
                 kind = \"claude\"\nprogram = \"claude\"\n\
                 # Without a model the program takes the account's dearest.\nmodel = \"claude-sonnet-5\"\nmax_turns = 200\n"
            .into(),
        Some(line) => format!(
            "# Any program that works in its current directory and finds its brief in the file $ORCH_PROMPT_FILE.\n\
             kind = \"command\"\ncommand = [\"sh\", \"-c\", '{line}']\n"
        ),
    }
}

/// What is open in the sandbox of its runs.
fn sandbox(found: &Found) -> String {
    let tools: Vec<String> =
        found.plan.iter().flat_map(|plan| plan.tools.iter().chain(&plan.beside)).cloned().collect();
    let hosts: Vec<String> = hosts::of(&tools, &found.env).iter().map(|host| quoted(host)).collect();
    let allow = if hosts.is_empty() {
        "# allow = [\"registry.example\"]".to_owned()
    } else {
        format!("allow = [{}]", hosts.join(", "))
    };
    format!(
        "[sandbox]\n# Agents, setups and tests run in a sandbox where bubblewrap is installed, and reach these hosts alone: where\n\
         # packages come from. What is refused stands in the log of the run.\n{allow}\n"
    )
}

/// The whole file.
pub(super) fn render(found: &Found) -> String {
    let Found { key, branch, actor, agent, .. } = found;
    let actor_name = quoted(actor.strip_prefix("local:").unwrap_or(actor));
    let (branch, actor) = (quoted(branch), quoted(actor));
    let instance = quoted(&found.instance.name);
    let (mut clone, repo, mut places) = (String::new(), quoted(&repo_of(found)), String::new());
    if let Some(top) = &found.clone {
        let top = quoted(&top.display().to_string());
        clone = format!("# The clone this file is for: it is found from inside it.\nclone = {top}\n");
    }
    let forge = match found.origin {
        Origin::None => {
            "# Tickets and pull requests in orch's own store; no other server is needed. Branches and merges in a bare copy of\n\
             # `repo`, made at the first start.\ntracker = \"local\"\nforge = \"local\"\n"
        }
        Origin::Remote { .. } => {
            "# Tickets and pull requests in orch's own store; branches and merges at `repo`, where this clone comes from.\n\
             tracker = \"local\"\nforge = \"git\"\n"
        }
    };
    let access = match found.origin.http() {
        Some(_) => format!(
            "\n[project.git]\n# How orch is let in there: a name, and the environment variable of the daemon that holds the \
             password or token.\nusername = \"git\"\n# token_env = \"{}\"\n",
            token_env(key)
        ),
        None => String::new(),
    };
    if found.instance.old {
        places = format!(
            "\n[db]\n# An earlier version kept the state here; `orch instance move` brings it out of the clone.\n\
             path = {}\n",
            quoted(&found.instance.state.join("orch.db").display().to_string())
        );
    }
    let name = agent.name;
    let program = program(agent);
    let tests = commands(found);
    let sandbox = sandbox(found);
    let untested = if found.plan.is_some() {
        ""
    } else {
        "# Nothing checks the code of this project, and that is meant (remove the `#`):\n# allow_untested = true\n"
    };
    let hosts: Vec<String> = found.submodule_hosts.iter().map(|host| quoted(host)).collect();
    let modules = match hosts.as_slice() {
        [] => String::new(),
        hosts => {
            format!(
                "# Where its submodules come from, beside its own host.\nsubmodule_hosts = [{}]\n",
                hosts.join(", ")
            )
        }
    };
    format!(
        r#"# Configuration of orch. `orch config check` checks it, `orch config explain KEY` explains a key,
# `orch config reference` lists them all. A variable ORCH_<SECTION>_<KEY> wins over this file.
# Relative paths are relative to this file.

[server]
# Loopback: only this machine can reach it.
listen = "127.0.0.1:8500"

[instance]
# Everything the daemon keeps lies outside of the clone, in a directory of this name: `orch instance list` says where.
name = {instance}
{clone}{places}
[agents]
# The agent program for every role that [project.agents] does not give to another one.
default = "{name}"
# Agents at work at the same time.
max_concurrency = 1

[agents.programs.{name}]
{program}# Longest run, and longest silence, in seconds.
deadline_s = 3600
silence_s = 1200

{sandbox}
# People who are known by a name on each of several systems, and what they may do in every project that does not name its
# own people for it (remove its lists below). With this table those lists name people by their key in it.
# [people]
# anna = {{ local = {actor_name}, gitea = "anna.b", telegram = 123456, roles = ["approver"] }}   # approver | starter | lander

[[project]]
# Prefix of the work items: {key}-1, {key}-2, ...
key = "{key}"
repo = {repo}
default_branch = {branch}
{forge}# full: analysis, architecture, development, review, testing, staging, deploy. lite: development, review, deploy.
pipeline = "lite"
# Who may approve, and who may start tasks.
approvers = [{actor}]
starters = [{actor}]
{untested}{modules}{access}
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

/// Writes a file whole or not at all, and never over another one.
pub(super) fn write_new(file: &Path, text: &str) -> std::io::Result<()> {
    let name = file.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let partial = file.with_file_name(format!(".{name}.{}", std::process::id()));
    let written = fs::write(&partial, text).and_then(|()| fs::hard_link(&partial, file));
    let _ = fs::remove_file(&partial);
    written
}
