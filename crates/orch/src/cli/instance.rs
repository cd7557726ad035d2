//! `orch instance`: which instances this machine has, and the move of a state directory out of a clone. It refuses while
//! anything works on the state, and finishes a move that was cut off.

use super::context::{Context, Tone};
use super::exit::{Exit, Failure, Outcome};
use super::{init, show};
use crate::config::{Config, FILE_NAME, Source};
use crate::instance::moving::{self, Plan};
use crate::instance::record::{self, Record};
use crate::instance::{lies_in, place};
use clap::{Args, Subcommand};
use orch_adapters::git_forge::GitForge;
use orch_ports::supervisor::{RunState, Supervisor};
use orch_store::SqliteStore;
use orch_supervise::ProcessSupervisor;
use serde_json::{Value, json};
use std::io;
use std::path::{Path, PathBuf};

/// `orch instance`
#[derive(Clone, Debug, Subcommand)]
#[command(after_help = "Example:\n  orch instance list")]
pub enum InstanceCommand {
    /// List the instances of this machine that this user can see
    List(ListArgs),
    /// Move this instance's state out of the clone, or from ~/.local/share/orch
    Move(MoveArgs),
}

/// `orch instance list`
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  orch instance list --json")]
pub struct ListArgs {
    /// Configuration file (default: the nearest orch.toml from here upwards)
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `orch instance move`
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  orch drain && systemctl stop orch && orch instance move\n\nMay be killed at any \
                        moment: the same command goes on from there, and no daemon starts meanwhile.")]
pub struct MoveArgs {
    /// Configuration file (default: the nearest orch.toml from here upwards)
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Runs it.
pub fn run(command: &InstanceCommand, context: &mut Context<'_>) -> Outcome {
    match command {
        InstanceCommand::List(args) => {
            list(args, context);
            Ok(Exit::Done)
        }
        InstanceCommand::Move(args) => move_state(args, context),
    }
}

fn list(args: &ListArgs, context: &mut Context<'_>) {
    let here = context.find_config(args.config.as_deref());
    let config = here.and_then(|file| Some(context.load(&file).ok()?.0));
    let mut found = record::all(&place::homes(&context.env, place::is_root()));
    // One that lies elsewhere is known by its configuration alone.
    if let Some(config) = &config
        && config.data_dir().exists()
        && !found.iter().any(|(dir, _)| place::real(dir) == place::real(config.data_dir()))
    {
        let name = config.instance.name.clone().unwrap_or_default();
        let record = Record::of(&name, &config.file, config.clone_dir().as_deref());
        found.push((config.data_dir().to_owned(), Some(record)));
    }
    let lines: Vec<Value> = found
        .iter()
        .map(|(dir, record)| {
            let this = config.as_ref().is_some_and(|c| place::real(c.data_dir()) == place::real(dir));
            let name = record.as_ref().map(|r| r.name.clone()).filter(|n| !n.is_empty());
            json!({
                "name": name, "state": dir, "here": this,
                "config": record.as_ref().map(|r| &r.config),
                "clone": record.as_ref().and_then(|r| r.clone.as_ref()),
                "schema": SqliteStore::inspect(&dir.join("orch.db")).ok().flatten(),
                "in_use_by": SqliteStore::holder(&dir.join("orch.db")),
            })
        })
        .collect();
    if args.json {
        context.say(show::json(&json!({ "instances": lines })));
        return;
    }
    if lines.is_empty() {
        context.say("no instance; `orch init` in a clone names one, and `orch serve` makes its state");
    }
    for line in lines {
        let text = |key: &str| line.get(key).and_then(Value::as_str).map(super::table::plain);
        let mark = if line["here"] == true { "*" } else { " " };
        context.say(format!("{mark} {}", text("name").unwrap_or_else(|| "(without a name)".into())));
        context.say(format!("    state    {}", text("state").unwrap_or_default()));
        if let Some(file) = text("config") {
            context.say(format!("    config   {file}"));
        }
        if let Some(clone) = text("clone") {
            context.say(format!("    clone    {clone}"));
        }
        context.say(format!("    in use   {}", text("in_use_by").map_or("no".into(), |who| format!("by {who}"))));
    }
}

fn move_state(args: &MoveArgs, context: &mut Context<'_>) -> Outcome {
    let file = context.find_config(args.config.as_deref()).ok_or_else(|| {
        Failure::usage(format!("no {FILE_NAME} here or in a directory above")).hint("name it with --config FILE")
    })?;
    let file = std::path::absolute(&file).unwrap_or(file);
    let (plan, begun) = match moving::pending(&file) {
        Some(Ok(plan)) => (plan, true),
        Some(Err(e)) => {
            let at = moving::plan_file(&file);
            return Err(Failure::new(Exit::CannotTell, format!("cannot read {}: {e}", at.display())));
        }
        None => {
            let (config, _) = context.load(&file)?;
            let Some(plan) = plan(&config, context)? else {
                let at = config.data_dir().display().to_string();
                if args.json {
                    context.say(show::json(&json!({ "moved": false, "state": at })));
                } else {
                    context.say(format!("nothing to move: the state is in {at}"));
                }
                return Ok(Exit::Done);
            };
            (plan, false)
        }
    };
    let now = if plan.to.join("orch.db").exists() { &plan.to } else { &plan.from };
    let hold = SqliteStore::hold(&now.join("orch.db"), "orch instance move").map_err(|e| {
        Failure::new(Exit::Failed, e.to_string()).hint("`orch drain`, stop the daemon, then move the state")
    })?;
    idle(now)?;
    let pairs = pairs(&plan).map_err(|e| trouble(&plan, &e))?;
    let mut relocate = |at: &Path| {
        SqliteStore::relocate(&at.join("orch.db"), &pairs).map_err(io::Error::other)?;
        GitForge::relocate(&at.join("forge"), &pairs).map_err(io::Error::other)
    };
    let mut tick = |_: &str| Ok(());
    if !begun {
        moving::begin(&plan, &mut tick).map_err(|e| trouble(&plan, &e))?;
    }
    moving::finish(&plan, false, &mut relocate, &mut tick).map_err(|e| trouble(&plan, &e))?;
    drop(hold);
    if let Some(clone) = plan.from.parent().filter(|dir| dir.join(".git").exists()) {
        // The link is nobody's business but this clone's; an old pattern with a `/` does not hold for it.
        let _ = init::exclude(clone);
    }
    if args.json {
        context.say(show::json(&json!({
            "moved": true, "from": plan.from, "state": plan.to, "name": plan.record.name, "config": plan.config,
        })));
        return Ok(Exit::Done);
    }
    let word = context.paint(Tone::Good, "moved");
    context.say(format!("{word} {} to {}", plan.from.display(), plan.to.display()));
    context.say(format!("  a link stays at {}: remotes that name it go on working", plan.from.display()));
    context.say(format!("  {} names the instance {} now", plan.config.display(), plan.record.name));
    context.say("next: `orch serve`");
    Ok(Exit::Done)
}

/// What is to be done; `None`: nothing.
fn plan(config: &Config, context: &Context<'_>) -> Result<Option<Plan>, Failure> {
    let from = config.data_dir().to_owned();
    let name = if let Some(name) = &config.instance.name {
        name.clone()
    } else {
        let clone = config.clone_dir().or_else(|| config.file.parent().map(Path::to_owned)).unwrap_or_default();
        place::new_name(&clone, init::random()?)
    };
    let to = place::state_dir(&context.env, place::is_root(), &name)
        .ok_or_else(|| Failure::usage("HOME is not set, so there is no place to move to").hint("set XDG_STATE_HOME"))?;
    if place::real(&from) == place::real(&to) {
        return Ok(None);
    }
    let db = &config.db.path;
    if db.file_name().is_none_or(|n| n != "orch.db") || !db.is_file() {
        return Err(Failure::usage(format!("there is no database orch.db in {} to move", from.display())).hint(
            "without state there is nothing to do but name the instance: remove [db] path, add [instance] name",
        ));
    }
    let link = std::fs::symlink_metadata(&from).is_ok_and(|m| m.is_symlink());
    if link {
        return Err(Failure::usage(format!(
            "{} is a symbolic link to {}",
            from.display(),
            place::real(&from).display()
        ))
        .hint("set [db] path to the place itself"));
    }
    if std::fs::read_dir(&to).is_ok_and(|mut all| all.next().is_some()) {
        return Err(Failure::usage(format!("{} holds something already", to.display()))
            .hint("choose another [instance] name, or look at what it is with `orch instance list`"));
    }
    if let Some(tree) = place::working_tree_above(&to) {
        return Err(Failure::usage(format!("{} lies in the working tree {}", to.display(), tree.display()))
            .hint("set XDG_STATE_HOME to a directory outside of every repository"));
    }
    if lies_in(&to, &from) {
        return Err(Failure::usage(format!("{} lies in {} itself", to.display(), from.display())));
    }
    let text = edited(config, &from, &name)?;
    let (after, _) = Config::parse(&config.file, &text, &context.env)
        .map_err(|e| Failure::new(Exit::CannotTell, format!("the file that would be written is not right: {e}")))?;
    if after.data_dir() != to || (lies_in(&config.repos_dir(), &from) && !after.repos_dir().starts_with(&to)) {
        return Err(Failure::usage("the configuration would not name the new place".to_owned())
            .hint("set [instance] name and remove [db] path and [repos] by hand, or unset ORCH_DB_PATH"));
    }
    let record = Record::of(&name, &config.file, config.clone_dir().as_deref());
    Ok(Some(Plan { from, to, config: config.file.clone(), text, record }))
}

/// The configuration with the instance's name, and without the places that lay in the old directory.
fn edited(config: &Config, from: &Path, name: &str) -> Result<String, Failure> {
    let text = std::fs::read_to_string(&config.file)
        .map_err(|e| Failure::new(Exit::CannotTell, format!("cannot read {}: {e}", config.file.display())))?;
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let repos = config.repos.dir.clone().unwrap_or_default();
    let worktrees = config.repos.worktrees_dir.clone().unwrap_or_default();
    for (key, at, path) in [
        ("path", "db.path", config.db.path.as_path()),
        ("dir", "repos.dir", &repos),
        ("worktrees_dir", "repos.worktrees_dir", &worktrees),
    ] {
        match config.source(at) {
            Some(Source::File { line }) if lies_in(path, from) => {
                let old = lines.get_mut(line - 1).filter(|l| l.trim_start().starts_with(key)).ok_or_else(|| {
                    Failure::usage(format!(
                        "{}:{line}: `{at}` does not stand on a line of its own",
                        config.file.display()
                    ))
                    .hint("write the section as a table of its own, then move")
                })?;
                *old = format!("# {old}   # moved by `orch instance move`");
            }
            Some(Source::Env { name }) => {
                return Err(Failure::usage(format!("{name} names the place of the state"))
                    .hint("unset it where orch is started, then move"));
            }
            _ => {}
        }
    }
    if config.instance.name.is_none() {
        let new = format!("[instance]\nname = \"{name}\"\n");
        if let Some(at) = lines.iter().position(|l| l.trim_start().starts_with("[instance]")) {
            lines.insert(at + 1, format!("name = \"{name}\""));
        } else {
            let first = lines.iter().position(|l| l.trim_start().starts_with('[')).unwrap_or(lines.len());
            lines.insert(first, new);
        }
    }
    Ok(format!("{}\n", lines.join("\n")))
}

/// Refuses while a supervisor works in the directory.
fn idle(state: &Path) -> Result<(), Failure> {
    let supervisor = ProcessSupervisor::current()
        .map_err(|e| Failure::new(Exit::CannotTell, format!("cannot find this program's own file: {e}")))?;
    let mut live = Vec::new();
    for run in std::fs::read_dir(state.join("runs")).into_iter().flatten().flatten() {
        if matches!(supervisor.look(&run.path()), Ok(RunState::Live)) {
            live.push(run.file_name().to_string_lossy().into_owned());
        }
    }
    if live.is_empty() {
        return Ok(());
    }
    live.sort();
    Err(Failure::new(Exit::Failed, format!("runs are still at work in {}: {}", state.display(), live.join(", ")))
        .hint("start the daemon, `orch drain`, wait until `orch queue` says that nothing runs, stop it, then move"))
}

/// What is replaced in stored text: plain, and as it stands in JSON.
fn pairs(plan: &Plan) -> io::Result<Vec<(String, String)>> {
    let plain = |path: &Path| format!("{}/", path.display());
    let json = |path: &Path| Ok::<_, io::Error>(format!("{}/", moving::inner(path)?));
    let mut all = vec![(plain(&plan.from), plain(&plan.to)), (json(&plan.from)?, json(&plan.to)?)];
    all.dedup();
    Ok(all)
}

fn trouble(plan: &Plan, e: &io::Error) -> Failure {
    Failure::new(Exit::CannotTell, format!("the state is on its way to {}: {e}", plan.to.display()))
        .hint("repair the cause and run `orch instance move` again: it goes on from there, and no daemon starts before")
}
