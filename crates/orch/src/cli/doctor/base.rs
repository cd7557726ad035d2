//! Do the default branches of the projects pass their own tests, as they are judged before a task's first agent? It shows
//! what was found last, and with `--run` finds it.

use super::DoctorArgs;
use super::finding::{Check, check};
use crate::by_hand::{Asked, Ground, unless_stopped, was_stopped};
use crate::cli::context::{Context, Tone};
use crate::cli::exit::{Exit, Failure};
use crate::cli::{git_probe, init};
use crate::config::Config;
use crate::config::project::Project;
use orch_core::ids::{ProjectKey, Sha};
use orch_engine::base::{Found, Verdict};
use orch_engine::parts::Of;
use orch_ports::Fault;
use orch_store::sqlite::OpenOptions;
use orch_store::{Fact, Memory as _, SqliteStore};
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// How often something is said of a run, in looks.
const WORD_EVERY: u32 = 30;

/// What is known, or with `--run` found, of each project that judges its default branch.
pub(super) fn checks(config: &Config, args: &DoctorArgs, context: &mut Context<'_>) -> Result<Vec<Check>, Failure> {
    let judged = config.projects.iter().filter(|p| p.whole(Of::Test).is_some() || p.whole(Of::Ci).is_some());
    let mut out = Vec::new();
    for project in judged.filter(|p| p.commands.base_first) {
        out.push(if args.run { run(config, project, args, context)? } else { known(config, project) });
    }
    Ok(out)
}

/// What to do where it could not be made.
const AGAIN: &str = "repair what it says, then `orch doctor --run`";

fn title(project: &Project) -> String {
    format!("base of {}", project.key)
}

/// What was found last.
fn known(config: &Config, project: &Project) -> Check {
    let title = title(project);
    let fact = Fact::BaseShown(ProjectKey::new(&project.key));
    let verdict = match SqliteStore::glance(&config.db.path, &fact) {
        Ok(kept) => kept.and_then(|text| Verdict::read(&text)),
        // What is wrong with the database is said elsewhere.
        Err(error) => {
            let detail = format!("what was found last cannot be read: {error}");
            return check(&title, Tone::Warn, detail, Some("repair the database".into()));
        }
    };
    let Some(verdict) = verdict else {
        let text = "nobody has judged it yet: that is done before the first task begins";
        return check(&title, Tone::Warn, text, Some("`orch doctor --run` does it now".into()));
    };
    let tip = place(config, project).map(|(_, tip)| tip);
    match tip.filter(|tip| *tip != verdict.commit) {
        Some(tip) if !matches!(verdict.found, Found::Green { .. }) => {
            let detail = format!("{}; main is at {} since", verdict.told(), tip.short());
            check(&title, Tone::Warn, detail, Some("orch doctor --run".into()))
        }
        _ => of(&title, &verdict),
    }
}

trait Told {
    fn told(&self) -> String;
}

impl Told for Verdict {
    fn told(&self) -> String {
        match &self.found {
            Found::Green { text } if text.is_empty() => format!("green on {}", self.commit.short()),
            Found::Green { text } => text.clone(),
            Found::Red { shown, .. } => format!("the base itself fails: {}", shown.join("\n")),
            Found::Unclear { why } => format!("cannot tell: {why}"),
        }
    }
}

fn of(title: &str, verdict: &Verdict) -> Check {
    match &verdict.found {
        Found::Green { .. } => check(title, Tone::Good, verdict.told(), None),
        Found::Red { shown, .. } => {
            let lacks = init::lacks(&shown.join("\n"));
            let fix = if lacks.is_empty() {
                "repair the default branch, or the lines under [project.commands]".to_owned()
            } else {
                lacks.join("; ")
            };
            let fix = format!("{fix}; tasks go on by themselves then, or `orch approve ITEM` lets a ticket repair it");
            check(title, Tone::Bad, verdict.told(), Some(fix))
        }
        Found::Unclear { .. } => {
            let fix = "free some space or memory: it is judged again by itself";
            check(title, Tone::Warn, verdict.told(), Some(fix.into()))
        }
    }
}

/// A repository of the project on this machine, and where its default branch is there: what orch serves, else what it was
/// made from, else the clone the configuration lies in.
fn place(config: &Config, project: &Project) -> Option<(PathBuf, Sha)> {
    let served = config.data_dir().join("forge").join(format!("{}.git", config.repository(project)));
    let (here, branch) = (config.file.parent()?, &project.default_branch);
    let clone = || git_probe::top(here);
    // What orch serves was made from the clone's own branch, whatever that one's remote says.
    let is_remote = project.forge == "git";
    let at = |dir: PathBuf| {
        let remotes = git_probe::remotes(&dir);
        let remote = remotes.iter().find(|name| *name == "origin").or(remotes.first()).filter(|_| is_remote);
        let tip = git_probe::tip(&dir, branch, remote.map(String::as_str))?;
        Some((dir, Sha::new(tip)))
    };
    let named = PathBuf::from(&project.repo);
    let named = Some(named).filter(|dir| dir.is_absolute() && dir.is_dir());
    let places = if is_remote { [None, named, clone()] } else { [Some(served), named, None] };
    places.into_iter().flatten().filter(|dir| dir.is_dir()).find_map(at)
}

/// Judges it now. What is found is remembered, unless a daemon is at work: that one judges by itself.
fn run(config: &Config, project: &Project, args: &DoctorArgs, context: &mut Context<'_>) -> Result<Check, Failure> {
    let title = title(project);
    let path = context.env.get("PATH").cloned().unwrap_or_else(|| "/usr/bin:/bin".into());
    let Some((dir, tip)) = place(config, project) else {
        let detail = format!("no repository with a branch `{}` is on this machine", project.default_branch);
        return Ok(check(&title, Tone::Warn, detail, Some("run it in a clone of the project".into())));
    };
    let asked = Asked::commit(&dir, context.env.get("PATH"), tip.as_str());
    let Some(asked) = asked.map(|asked| Asked { key: Some(project.key.clone()), ..asked }) else {
        return Ok(check(
            &title,
            Tone::Warn,
            format!("cannot find the objects of {}", dir.display()),
            Some(AGAIN.to_owned()),
        ));
    };
    if !args.json {
        context.note(format!("judging {} on {} ({})", project.key, project.default_branch, tip.short()));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|e| Failure::new(Exit::CannotTell, format!("cannot start: {e}")))?;
    let looks = std::sync::atomic::AtomicU32::new(1);
    let json = args.json;
    let watch = move |_: &Path| {
        let n = looks.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        if !json && n.is_multiple_of(WORD_EVERY) {
            // A run that takes minutes is not to look like one that hangs.
            let _ = writeln!(std::io::stderr(), "  still at it, {n} s");
        }
        false
    };
    let found = runtime.block_on(unless_stopped(async {
        let ground = Ground::make(&asked, Some(config), path).await?;
        let found = ground.base(&watch).await?;
        remember(config, project, &found).await?;
        Ok(found)
    }));
    match found {
        Ok(found) => Ok(match found.split_last() {
            None => check(&title, Tone::Good, "there is nothing to run", None),
            Some(((_, last), before)) => {
                let before: Vec<String> = before.iter().map(|(_, verdict)| verdict.told()).collect();
                let one = of(&title, last);
                let detail = before.into_iter().chain([one.detail]).collect::<Vec<_>>().join("; ");
                Check { detail, ..one }
            }
        }),
        Err(fault) if was_stopped(&fault) => {
            Err(Failure::new(Exit::CannotTell, "stopped: nothing was found and nothing is left behind"))
        }
        Err(fault) => Ok(check(&title, Tone::Warn, format!("cannot be judged: {fault}"), Some(AGAIN.to_owned()))),
    }
}

/// Keeps what was found for the daemon that is started next.
async fn remember(config: &Config, project: &Project, found: &[(Fact, Verdict)]) -> Result<(), Fault> {
    let file = &config.db.path;
    if !file.exists() || SqliteStore::holder(file).is_some() {
        return Ok(());
    }
    let store = SqliteStore::open(file, OpenOptions { holder: "orch doctor".into(), ..OpenOptions::default() })?;
    for (fact, verdict) in found {
        store.remember(fact, &verdict.write()?, verdict.at).await?;
        store.remember(&Fact::BaseShown(ProjectKey::new(&project.key)), &verdict.write()?, verdict.at).await?;
    }
    Ok(())
}
