//! `orch init`: an orch.toml for the repository at hand. It looks, writes a file that passes the check, and never
//! writes over one; what it does not know it leaves commented out and says so.

mod guess;
mod origin;

use super::context::{Context, Tone};
use super::exit::{Exit, Failure, Outcome};
use super::{git_probe, show};
use crate::config::{Config, FILE_NAME};
use crate::instance::{place, record};
use clap::Args;
use guess::{guess_test, key_of};
use origin::Origin;
use serde_json::json;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Where earlier versions kept what is the daemon's own, and the link that `orch instance move` leaves there.
const STATE_DIR: &str = ".orch-state";

/// `orch init`
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  orch init ~/src/shop\n  orch init --global    # nothing is written into the clone")]
pub struct InitArgs {
    /// A directory in the repository (default: here)
    #[arg(value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Write the file to $XDG_CONFIG_HOME/orch instead of the clone; it is found again from inside the clone
    #[arg(long)]
    pub global: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// What was found out about a repository.
struct Found {
    key: String,
    branch: String,
    origin: Origin,
    actor: String,
    /// The test command and the file it was guessed from.
    test: Option<(&'static str, &'static str)>,
    agent: Agent,
    instance: Instance,
    /// The clone, where the file does not lie in it.
    clone: Option<PathBuf>,
}

/// Where the state will lie.
struct Instance {
    name: String,
    /// The instance was there before.
    known: bool,
    /// State of an earlier version in the clone: it is used where it is.
    old: bool,
    state: PathBuf,
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
    let instance = instance(&top, context)?;
    let file = if args.global {
        let dir = place::config_home(&context.env).ok_or_else(|| {
            Failure::usage("HOME is not set, so there is no directory for the file").hint("set XDG_CONFIG_HOME")
        })?;
        dir.join(format!("{}.toml", instance.name))
    } else {
        top.join(FILE_NAME)
    };
    let other = context.find_config_in(&top);
    for there in std::iter::once(file.clone()).chain(other) {
        if fs::symlink_metadata(&there).is_ok() {
            return Err(Failure::usage(format!("{} exists already: it is left as it is", there.display()))
                .hint("`orch config check` says whether it is right"));
        }
    }
    let branch = git_probe::default_branch(&top).ok_or_else(|| {
        Failure::usage("no branch is checked out, so the default branch cannot be known")
            .hint("`git switch` to it first")
    })?;
    let found = Found {
        key: key_of(&top),
        branch,
        origin: Origin::of(&top),
        actor: context.actor(),
        test: guess_test(&top),
        agent: pick_agent(context),
        instance,
        clone: args.global.then(|| top.clone()),
    };
    let text = render(&found);
    // The file must pass the very check it will meet, whatever names this machine came up with.
    let trial = text.replace("# allow_untested = true", "allow_untested = true");
    Config::parse(&file, &trial, &context.env)
        .map_err(|e| Failure::new(Exit::CannotTell, format!("the file that would be written is not right: {e}")))?;
    // First what is harmless alone, last the file, at once.
    if found.instance.old {
        exclude(&top)
            .map_err(|e| Failure::new(Exit::CannotTell, format!("cannot exclude {STATE_DIR} from git: {e}")))?;
    }
    if let Some(dir) = file.parent() {
        fs::create_dir_all(dir)
            .map_err(|e| Failure::new(Exit::CannotTell, format!("cannot make {}: {e}", dir.display())))?;
    }
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
            "forge": forge_of(&found.origin), "repo": repo_of(found),
            "instance": found.instance.name, "instance_known": found.instance.known, "state": found.instance.state,
        })));
        return;
    }
    let word = context.paint(Tone::Good, "wrote");
    context.say(format!("{word} {}", file.display()));
    context.say(format!("  project {}, branch {}, approver {}", found.key, found.branch, found.actor));
    match &found.origin {
        Origin::None => context.say("  branches and merges in a bare copy of this clone, which has no remote"),
        Origin::Remote { name, url, .. } => context.say(format!("  branches and merges at `{name}`, {url}")),
    }
    match found.test {
        Some((command, from)) => context.say(format!("  tests: `{command}` (because of {from})")),
        None => context.say("  tests: none found; name a command under [project.commands], then `orch config check`"),
    }
    context.say(format!("  agent: {}", found.agent.name));
    let Instance { name, known, old, state } = &found.instance;
    let again = if *known { " (this clone's instance of before: its tasks are there)" } else { "" };
    context.say(format!("  instance: {name}, state in {}{again}", state.display()));
    if *old {
        context.note(format!(
            "{STATE_DIR} holds the state of an earlier version and is used where it is; `git clean` removes it: \
             `orch instance move` brings it out of the clone"
        ));
    }
    for note in found.origin.notes(&token_env(&found.key)) {
        context.note(note);
    }
    if empty {
        context.note("the repository has no commit yet: make one before the first task");
    }
    let next =
        if found.test.is_some() { "`orch doctor`, then `orch serve`" } else { "fill in the tests, then `orch serve`" };
    context.say(format!("next: {next}"));
}

/// The instance of this clone: the one the state directory knows, else a new one.
fn instance(top: &Path, context: &Context<'_>) -> Result<Instance, Failure> {
    let root = place::is_root();
    let old = top.join(STATE_DIR);
    let is_link = fs::symlink_metadata(&old).is_ok_and(|m| m.is_symlink());
    let real = place::real(top);
    let homes = place::homes(&context.env, root);
    let known = record::all(&homes).into_iter().find_map(|(dir, record)| {
        let record = record.filter(|r| r.clone.as_deref() == Some(&*real) && place::is_name(&r.name))?;
        (dir.file_name()?.to_str()? == record.name).then_some((dir, record.name))
    });
    // A link may have come with the repository: only the one that leads to this clone's own state is taken for ours.
    if is_link && known.as_ref().is_none_or(|(dir, _)| place::real(&old) != place::real(dir)) {
        return Err(Failure::usage(format!(
            "{} is a symbolic link to {}, which is no state directory of this clone",
            old.display(),
            place::real(&old).display()
        ))
        .hint("whoever put it there decides where it leads: remove it, then run `orch init` again"));
    }
    if let Some((state, name)) = known {
        return Ok(Instance { name, known: true, old: false, state });
    }
    let name = place::new_name(&real, random()?);
    if old.join("orch.db").is_file() {
        return Ok(Instance { name, known: false, old: true, state: old });
    }
    let state = place::state_dir(&context.env, root, &name).ok_or_else(|| {
        Failure::usage("HOME is not set, so there is no directory for the state").hint("set XDG_STATE_HOME")
    })?;
    if let Some(tree) = place::working_tree_above(&state) {
        return Err(Failure::usage(format!(
            "the state would lie in {}, inside the working tree {}: agents would read that tree's files, and `git \
             clean` there would remove the state",
            state.display(),
            tree.display()
        ))
        .hint("set XDG_STATE_HOME to a directory outside of every repository"));
    }
    Ok(Instance { name, known: false, old: false, state })
}

/// What tells two clones of one name apart.
pub(super) fn random() -> Result<u16, Failure> {
    use std::io::Read as _;
    let mut bytes = [0_u8; 2];
    fs::File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut bytes))
        .map_err(|e| Failure::new(Exit::CannotTell, format!("cannot read /dev/urandom: {e}")))?;
    Ok(u16::from_be_bytes(bytes))
}

fn pick_agent(context: &Context<'_>) -> Agent {
    let path = context.env.get("PATH").map(String::as_str).unwrap_or_default();
    let there = |a: &&Agent| super::doctor::on_path(a.name, path).is_some();
    let Agent { name, line } = AGENTS.iter().find(there).unwrap_or(&AGENTS[0]);
    Agent { name, line }
}

/// The name of the variable that is proposed for a password.
fn token_env(key: &str) -> String {
    format!("{key}_GIT_TOKEN")
}

fn forge_of(origin: &Origin) -> &'static str {
    match origin {
        Origin::None => "local",
        Origin::Remote { .. } => "git",
    }
}

/// What `repo` is.
fn repo_of(found: &Found) -> String {
    match (&found.origin, &found.clone) {
        (Origin::Remote { url, .. }, _) => url.clone(),
        (Origin::None, Some(top)) => top.display().to_string(),
        (Origin::None, None) => ".".into(),
    }
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

fn render(found: &Found) -> String {
    let Found { key, branch, actor, agent, .. } = found;
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
# Any program that works in its current directory and finds its brief in the file $ORCH_PROMPT_FILE.
kind = "command"
command = ["sh", "-c", '{line}']
# Longest run, and longest silence, in seconds.
deadline_s = 3600
silence_s = 1200

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
{untested}{access}
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

/// Adds the state directory, or the link in its place, to the clone's own ignore list, once.
pub(super) fn exclude(top: &Path) -> std::io::Result<()> {
    let Some(file) = git_probe::exclude_file(top) else {
        return Err(std::io::Error::other("git names no info/exclude"));
    };
    // Without a `/` at its end the line holds for a link, too.
    let line = format!("/{STATE_DIR}");
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
    let name = file.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let partial = file.with_file_name(format!(".{name}.{}", std::process::id()));
    let written = fs::write(&partial, text).and_then(|()| fs::hard_link(&partial, file));
    let _ = fs::remove_file(&partial);
    written
}
