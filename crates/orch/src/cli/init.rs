//! `orch init`: an orch.toml for the repository at hand. It looks, writes a file that passes the check, and never
//! writes over one; what it does not know it leaves commented out and says so. With `--run`, or asked for on a terminal, it
//! runs the tests once on the default branch and says what came out.

mod args;
mod ci;
mod discovery;
mod file;
mod find;
mod guess;
mod hosts;
mod known;
mod machine;
mod missing;
mod native;
mod node;
mod origin;
mod plan;
mod python;
mod runners;
mod state;
mod tell;
mod tree;
mod trial;
mod verdict;

use super::context::Context;
use super::exit::{Exit, Failure, Outcome};
use super::git_probe;
use crate::by_hand;
use crate::config::{Config, FILE_NAME};
use crate::instance::place;
pub use args::InitArgs;
use ci::Ci;
use file::{Agent, Found, STATE_DIR, render, write_new};
use guess::key_of;
use machine::Machine;
use orch_engine::parts::Of;
use origin::Origin;
use plan::Plan;
pub(super) use state::{exclude, random};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use tree::Tree;
use trial::{Place, Stopped};
use verdict::Trial;

/// Known programs; the first one on PATH is taken, else the first.
const AGENTS: &[Agent] = &[
    Agent { name: "claude", line: None },
    Agent {
        name: "codex",
        line: Some(
            r#"exec codex exec --sandbox workspace-write --add-dir "$(dirname "$ORCH_RESULT_FILE")" -c analytics.enabled=false -c check_for_update_on_startup=false - < "$ORCH_PROMPT_FILE""#,
        ),
    },
];

/// Runs it.
pub fn run(args: &InitArgs, context: &mut Context<'_>) -> Outcome {
    let dir = args.dir.as_ref().map_or_else(|| context.cwd.clone(), |d| context.cwd.join(d));
    let top = top_of(&dir)?;
    if let Some(there) = context.find_config_in(&top)
        && args.run
    {
        return run_what_is_there(args, context, &top, &there);
    }
    let instance = state::instance(&top, context)?;
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
                .hint("`orch config check` says whether it is right, `orch init --run` runs its tests once"));
        }
    }
    let branch = git_probe::default_branch(&top).ok_or_else(|| {
        Failure::usage("no branch is checked out, so the default branch cannot be known")
            .hint("`git switch` to it first")
    })?;
    let origin = Origin::of(&top);
    let commit = git_probe::tip(&top, &branch, origin.name());
    let machine = Machine::of(&context.env);
    let (tree, plan) = look(&top, commit.as_deref(), &branch, &machine);
    let mut found = Found {
        key: key_of(&top),
        branch,
        submodule_hosts: origin::submodule_hosts(&tree.read(".gitmodules").unwrap_or_default(), &origin),
        origin,
        actor: context.actor(),
        plan,
        env: BTreeMap::new(),
        tried: None,
        agent: pick_agent(context),
        instance,
        clone: args.global.then(|| top.clone()),
    };
    let mut kept_back = carry(&mut found, &machine);
    // The file must pass the very check it will meet, whatever names this machine came up with.
    let env = context.env.clone();
    let parsed = |text: &str| {
        let trial = text.replace("# allow_untested = true", "allow_untested = true");
        Config::parse(&file, &trial, &env).map(|(config, _)| config).map_err(|e| e.to_string())
    };
    let wrong = |e: String| Failure::new(Exit::CannotTell, format!("the file that would be written is not right: {e}"));
    parsed(&render(&found)).map_err(wrong)?;
    let wants = args.run || tell::asks(args, context, &found, commit.is_some());
    let mut trial = None;
    if let (true, Some(commit), Some(plan)) = (wants, &commit, found.plan.clone()) {
        tell::begins(args, context, &plan, &found.branch, commit);
        let there = Place { top: &top, commit, env: &context.env, tells: !args.json };
        let configured = |way: &Plan| {
            let mut other = Found { plan: Some(way.clone()), ..copy(&found) };
            carry(&mut other, &machine);
            parsed(&render(&other))
        };
        let (plan, ran) = there.run(&plan, configured, |tool| machine.has(tool)).map_err(|Stopped| {
            Failure::new(Exit::CannotTell, "stopped: nothing was written and nothing is left behind")
                .hint("`orch init --no-run` writes the file without running anything")
        })?;
        found.plan = Some(plan);
        kept_back = carry(&mut found, &machine);
        found.tried = Some(tell::in_a_line(&ran, &found.branch));
        trial = Some(ran);
    }
    // First what is harmless alone, last the file, at once.
    if found.instance.old {
        exclude(&top)
            .map_err(|e| Failure::new(Exit::CannotTell, format!("cannot exclude {STATE_DIR} from git: {e}")))?;
    }
    if let Some(dir) = file.parent() {
        fs::create_dir_all(dir)
            .map_err(|e| Failure::new(Exit::CannotTell, format!("cannot make {}: {e}", dir.display())))?;
    }
    write_new(&file, &render(&found))
        .map_err(|e| Failure::new(Exit::CannotTell, format!("cannot write {}: {e}", file.display())))?;
    tell::report(
        args,
        context,
        &tell::Said { top: &top, file: &file, found: &found, trial: trial.as_ref(), kept_back },
    );
    Ok(match &trial {
        Some(trial) => tell::exit_of(trial),
        None if args.run => Exit::CannotTell,
        None => Exit::Done,
    })
}

/// What an output tells that this machine lacks, for people.
pub(super) fn lacks(output: &str) -> Vec<String> {
    missing::read(output, &Plan::default()).into_iter().map(|lack| lack.text).collect()
}

/// Top of the clone a directory lies in.
fn top_of(dir: &Path) -> Result<PathBuf, Failure> {
    if !dir.is_dir() {
        return Err(Failure::usage(format!("{} is not a directory", dir.display())));
    }
    git_probe::top(dir).ok_or_else(|| {
        if git_probe::is_bare(dir) {
            Failure::usage(format!("{} is a bare repository, without the files of a project", dir.display())).hint(
                "make a clone of it and run `orch init` there: its branches and merges are then at this repository",
            )
        } else {
            Failure::usage(format!("{} is not in the working tree of a git repository", dir.display()))
                .hint("make one with `git init`, or name another directory")
        }
    })
}

/// The files of the default branch and how its tests are run; if nothing in it says so, what lies in the clone may.
fn look(top: &Path, commit: Option<&str>, branch: &str, machine: &Machine) -> (Tree, Option<Plan>) {
    let here = || Tree::of_directory(top);
    let plan_of = |tree: &Tree| find::plan(tree, &Ci::of(tree), machine);
    let tree = commit.map_or_else(here, |commit| Tree::of_commit(top, commit));
    let plan = plan_of(&tree);
    if plan.is_some() || commit.is_none() {
        return (tree, plan);
    }
    let uncommitted = plan_of(&here());
    let note =
        format!("the files that say how to test are not committed on {branch}: commit them before the first task");
    (tree, uncommitted.map(|plan| plan.note(note)))
}

/// The environment for what is found; names of variables that may hold passwords are given back.
fn carry(found: &mut Found, machine: &Machine) -> Vec<String> {
    let Some(plan) = &found.plan else { return Vec::new() };
    let carried = machine.carry(&[plan.tools.as_slice(), &plan.beside].concat());
    found.env = carried.env;
    carried.kept_back
}

fn copy(found: &Found) -> Found {
    let file::Instance { name, known, old, state } = &found.instance;
    Found {
        key: found.key.clone(),
        branch: found.branch.clone(),
        origin: found.origin.clone(),
        actor: found.actor.clone(),
        plan: found.plan.clone(),
        env: found.env.clone(),
        submodule_hosts: found.submodule_hosts.clone(),
        tried: None,
        agent: Agent { ..found.agent },
        instance: file::Instance { name: name.clone(), known: *known, old: *old, state: state.clone() },
        clone: found.clone.clone(),
    }
}

/// There is a file already: its tests are run, and it stays as it is.
fn run_what_is_there(args: &InitArgs, context: &mut Context<'_>, top: &Path, file: &Path) -> Outcome {
    let (config, warnings) = context.load(file)?;
    for warning in warnings {
        context.note(format!("warning: {warning}"));
    }
    let project = by_hand::project_of(&config, top, context.env.get("PATH"))
        .map_err(|why| Failure::usage(format!("{}: {why}", file.display())).hint("go to the clone of one of them"))?;
    let project = project.ok_or_else(|| {
        Failure::usage(format!("{} names no project", file.display())).hint("add a [[project]], or remove the file")
    })?;
    let run = project.whole(Of::Test).or_else(|| project.whole(Of::Ci)).ok_or_else(|| {
        Failure::usage(format!("{} names no test command", file.display())).hint("name one under [project.commands]")
    })?;
    let branch = project.default_branch.clone();
    let origin = Origin::of(top);
    let commit = git_probe::tip(top, &branch, origin.name())
        .ok_or_else(|| Failure::new(Exit::CannotTell, format!("there is no commit on {branch} yet")))?;
    let plan = Plan { setup: project.commands.setup.clone(), ..Plan::new(run.line, file.display().to_string(), &[]) };
    tell::begins(args, context, &plan, &branch, &commit);
    let there = Place { top, commit: &commit, env: &context.env, tells: !args.json };
    let trial: Trial = there
        .once(&config, &plan)
        .map_err(|Stopped| Failure::new(Exit::CannotTell, "stopped: nothing is left behind"))?;
    tell::report_of_known(args, context, file, &plan, &trial);
    Ok(tell::exit_of(&trial))
}

fn pick_agent(context: &Context<'_>) -> Agent {
    let path = context.env.get("PATH").map(String::as_str).unwrap_or_default();
    let there = |a: &&Agent| super::programs::on_path(a.name, path).is_some();
    let Agent { name, line } = AGENTS.iter().find(there).unwrap_or(&AGENTS[0]);
    Agent { name, line: *line }
}
