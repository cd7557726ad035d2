//! `orch doctor`: what is missing or wrong on this machine, each with the fix. It looks and changes nothing: a directory
//! that does not exist yet is judged by its nearest ancestor. With `--run` it judges the default branches, too.

mod base;
mod claude;
mod finding;
mod scanners;
mod secrets;
mod webhooks;

use super::client::local_url;
use super::context::{Context, Tone};
use super::exit::{Exit, Outcome};
use super::programs::on_path;
use super::{git_probe, show};
use crate::config::agents::ProgramKind;
use crate::config::{Config, FILE_NAME};
use crate::enclosed;
use crate::instance::place;
use crate::lost;
use crate::odd::{self, Odd};
use clap::Args;
use finding::{Check, check};
use orch_adapters::git_forge::GitForge;
use orch_sandbox::Kind;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Below this much free space work will fail soon.
const DISK_FAIL: u64 = 200 << 20;
/// Below this much free space it is time to look.
const DISK_WARN: u64 = 2 << 30;

/// `orch doctor`
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  orch doctor --json\n  orch doctor --run")]
pub struct DoctorArgs {
    /// Configuration file (default: the nearest orch.toml from here upwards)
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Run each project's tests on its default branch, as before a task's first agent; may take minutes
    #[arg(long)]
    pub run: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

fn word(tone: Tone) -> &'static str {
    match tone {
        Tone::Good => "ok",
        Tone::Warn => "warn",
        Tone::Bad => "fail",
    }
}

/// The database itself: whole, ours, and of a version this orch knows.
fn database(path: &Path) -> Check {
    let shown = path.display();
    match orch_store::SqliteStore::inspect(path) {
        Ok(None) => check("database", Tone::Good, format!("{shown} is made at the first start"), None),
        Ok(Some(version)) => check("database", Tone::Good, format!("{shown}, schema version {version}"), None),
        // The message of a store error ends with the fix.
        Err(error) => {
            let text = error.to_string();
            let (what, fix) = text.split_once("; ").unwrap_or((text.as_str(), "look at the file"));
            check("database", Tone::Bad, what, Some(fix.to_owned()))
        }
    }
}

/// Runs it; exit 1 if anything fails.
pub fn run(args: &DoctorArgs, context: &mut Context<'_>) -> Outcome {
    let path = context.env.get("PATH").cloned().unwrap_or_default();
    let mut checks = vec![git(), shell(&path), pidfd(), process_trees()];
    let (config, finding) = configuration(args, context);
    checks.push(finding);
    if let Some(config) = &config {
        checks.extend(state(config));
        checks.extend(data_dir(config.data_dir()));
        checks.extend(secrets::state(config));
        checks.push(match lost::refuse(config) {
            Ok(()) => database(&config.db.path),
            Err(lost) => check("database", Tone::Bad, lost.message, lost.hint),
        });
        checks.push(sandbox(config, &path));
        checks.push(port(config));
        checks.extend(troubles(config));
        checks.extend(degraded(config));
        checks.extend(programs(config, &path));
        checks.extend(secrets::keys(config, &context.env, &|name| used(config).contains(name)));
        let emptied = emptied(config);
        // What is said of an emptied branch is what there is to say of its project.
        checks.extend(repositories(config).into_iter().filter(|c| emptied.iter().all(|e| e.name != c.name)));
        checks.extend(emptied);
        checks.extend(parts(config));
        checks.extend(approvers(config));
        checks.extend(scanners::checks(config, &path));
        checks.extend(webhooks::checks(config));
        checks.extend(base::checks(config, args, context)?);
    }
    let failed = checks.iter().any(|c| c.tone == Tone::Bad);
    if args.json {
        let list: Vec<Value> = checks
            .iter()
            .map(|c| json!({ "name": c.name, "status": word(c.tone), "detail": c.detail, "fix": c.fix }))
            .collect();
        context.say(show::json(&json!({ "ok": !failed, "checks": list })));
    } else {
        for c in &checks {
            let painted = context.paint(c.tone, &format!("{:<5}", word(c.tone)));
            context.say(format!("{painted} {:<18} {}", c.name, c.detail.replace('\n', "\n                         ")));
            if let Some(fix) = &c.fix {
                context.say(format!("      {:<18} fix: {fix}", ""));
            }
        }
    }
    Ok(if failed { Exit::Failed } else { Exit::Done })
}

fn git() -> Check {
    let (major, minor) = git_probe::OLDEST;
    let fix = Some(format!("install git {major}.{minor} or newer"));
    match git_probe::version() {
        None => check("git", Tone::Bad, "not found on PATH", fix),
        Some((text, number)) => {
            let tone = if number >= git_probe::OLDEST { Tone::Good } else { Tone::Bad };
            check("git", tone, format!("version {text}"), fix)
        }
    }
}

fn shell(path: &str) -> Check {
    match on_path("sh", path) {
        Some(at) => check("sh", Tone::Good, at.display().to_string(), None),
        None => check(
            "sh",
            Tone::Bad,
            "not found on PATH",
            Some("install a POSIX shell; commands of projects need it".into()),
        ),
    }
}

/// A process handle of the kernel: the end of an agent is seen at once instead of at the next look.
fn pidfd() -> Check {
    let opened = rustix::process::pidfd_open(rustix::process::getpid(), rustix::process::PidfdFlags::empty());
    match opened {
        Ok(_) => check("kernel pidfd", Tone::Good, "available", None),
        Err(e) => {
            let fix = "run Linux 5.3 or newer, and allow pidfd_open in the container's seccomp profile";
            check("kernel pidfd", Tone::Bad, format!("pidfd_open: {e}"), Some(fix.into()))
        }
    }
}

/// How supervisors started from here would end a run's whole process tree. Never a failure: each way does alone what
/// the others do, only less surely.
fn process_trees() -> Check {
    let (have, missing): (Vec<_>, Vec<_>) = orch_supervise::rungs().into_iter().partition(|r| r.missing.is_none());
    let have: Vec<&str> = have.iter().map(|rung| rung.name).collect();
    let without = missing.iter().map(|rung| format!("no {}: {}", rung.name, rung.missing.as_deref().unwrap_or("")));
    let ways: Vec<String> = std::iter::once(format!("ended by {}", have.join(", "))).chain(without).collect();
    check("process trees", Tone::Good, ways.join("; "), None)
}

fn configuration(args: &DoctorArgs, context: &Context<'_>) -> (Option<Config>, Check) {
    let Some(file) = context.find_config(args.config.as_deref()) else {
        let finding =
            check("configuration", Tone::Bad, format!("no {FILE_NAME} here or above"), Some("orch init".into()));
        return (None, finding);
    };
    match Config::load(&file, &context.env) {
        Err(errors) => {
            let fix = Some(format!("edit {}; `orch config check` checks it again", file.display()));
            (None, check("configuration", Tone::Bad, errors.seen_from(&context.cwd).to_string(), fix))
        }
        Ok((config, warnings)) => {
            if let Err(errors) = Config::load_strictly(&file, &context.env) {
                let fix = Some(format!("edit {}; `orch config check` checks it again", file.display()));
                let told = errors.seen_from(&context.cwd).to_string();
                return (Some(config), check("configuration", Tone::Bad, told, fix));
            }
            let lines: Vec<String> = warnings.into_iter().map(|w| w.seen_from(&context.cwd).to_string()).collect();
            let finding = if lines.is_empty() {
                check("configuration", Tone::Good, file.display().to_string(), None)
            } else {
                check("configuration", Tone::Warn, lines.join("\n"), Some(format!("edit {}", file.display())))
            };
            (Some(config), finding)
        }
    }
}

/// Does the state lie where nothing but orch touches it?
fn state(config: &Config) -> Vec<Check> {
    const MOVE: &str = "`orch drain`, stop the daemon, `orch instance move`, start it";
    let data = config.data_dir();
    let mut out = Vec::new();
    if let Err(failure) = crate::instance::allow(config) {
        out.push(check("instance", Tone::Bad, failure.message, failure.hint));
    } else if let Some(tree) = place::working_tree_above(data) {
        let detail = format!(
            "the state lies in the working tree {}: `git clean` there removes it, and agents read that tree's files",
            tree.display()
        );
        out.push(check("instance", Tone::Warn, detail, Some(MOVE.into())));
    } else if config.instance.name.is_none() && data.exists() {
        let detail = format!("the state in {} belongs to no named instance", data.display());
        out.push(check("instance", Tone::Warn, detail, Some(MOVE.into())));
    } else {
        let name = config.instance.name.as_deref().unwrap_or("without a name");
        out.push(check("instance", Tone::Good, format!("{name}, {}", data.display()), None));
    }
    for (key, dir) in [("[repos] dir", config.repos_dir()), ("[repos] worktrees_dir", config.worktrees_dir())] {
        if let Some(tree) = place::working_tree_above(&dir).filter(|_| !crate::instance::lies_in(&dir, data)) {
            let detail = format!("{key} lies in the working tree {}: agents read that tree's files", tree.display());
            out.push(check("instance", Tone::Warn, detail, Some(format!("set {key} to a place outside of it"))));
        }
    }
    out
}

/// The directory of the database, or its nearest ancestor that exists: can it be written, is there room?
fn data_dir(dir: &Path) -> Vec<Check> {
    let there = dir.ancestors().find(|d| d.exists()).unwrap_or(Path::new("/"));
    let writable = rustix::fs::access(there, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK).is_ok();
    let mut out = Vec::new();
    if writable && there.is_dir() {
        let detail = if there == dir { dir.display().to_string() } else { format!("{} (will be made)", dir.display()) };
        out.push(check("data directory", Tone::Good, detail, None));
    } else {
        let fix = format!("make {} writable for this user, or set [db] path", there.display());
        out.push(check("data directory", Tone::Bad, format!("{} cannot be written", there.display()), Some(fix)));
    }
    match rustix::fs::statvfs(there) {
        Ok(stat) => {
            let free = stat.f_bavail.saturating_mul(stat.f_frsize);
            let tone = match free {
                f if f < DISK_FAIL => Tone::Bad,
                f if f < DISK_WARN => Tone::Warn,
                _ => Tone::Good,
            };
            let detail = format!("{:.1} GiB free at {}", free as f64 / f64::from(1 << 30), there.display());
            out.push(check("disk", tone, detail, Some("free some space, or move [db] path and [repos] dir".into())));
        }
        Err(e) => out.push(check("disk", Tone::Warn, format!("free space unknown: {e}"), None)),
    }
    out
}

/// Is the port free, or is it orch that holds it?
fn port(config: &Config) -> Check {
    let listen = config.server.listen;
    match std::net::TcpListener::bind(listen) {
        Ok(_) => check("port", Tone::Good, format!("{listen} is free"), None),
        Err(e) if e.kind() == std::io::ErrorKind::AddrInUse => {
            if health(&format!("{}/health", local_url(listen))).is_some() {
                return check("port", Tone::Good, format!("orch is running at {listen}"), None);
            }
            let fix = "stop the other program, or set [server] listen to another port";
            check("port", Tone::Bad, format!("{listen} is held by another program"), Some(fix.into()))
        }
        Err(e) => {
            let fix = "set [server] listen to an address of this machine and a port this user may open";
            check("port", Tone::Bad, format!("{listen}: {e}"), Some(fix.into()))
        }
    }
}

/// What a running daemon says is not well: watchers that fail, recorded merges that are missing.
fn degraded(config: &Config) -> Vec<Check> {
    let Some(health) = health(&format!("{}/health", local_url(config.server.listen))) else { return Vec::new() };
    let said = |d: &Value, key: &str| d.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let list = health.get("degraded").and_then(Value::as_array).cloned().unwrap_or_default();
    let fix = "look at the daemon's log; a merge that is missing comes back from a clone or a backup";
    list.iter().map(|d| check(&said(d, "watcher"), Tone::Warn, said(d, "fault"), Some(fix.into()))).collect()
}

/// The answer of an orch that runs there.
fn health(url: &str) -> Option<Value> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    runtime.block_on(async {
        let client = reqwest::Client::builder().timeout(Duration::from_secs(3)).no_proxy().build().ok()?;
        let health: Value = client.get(url).send().await.ok()?.json().await.ok()?;
        (health.get("service")?.as_str()? == "orchestrator").then_some(health)
    })
}

/// What keeps the running daemon's projects from going on, as it says itself, and whether it runs on this file.
fn troubles(config: &Config) -> Vec<Check> {
    let Some(health) = health(&format!("{}/health", local_url(config.server.listen))) else { return Vec::new() };
    let mut out = Vec::new();
    for trouble in show::items(&health, "troubles") {
        let project = show::field(trouble, "project");
        let title = if project.is_empty() { "instance".to_owned() } else { format!("project {project}") };
        let fix = match show::field(trouble, "kind").as_str() {
            "repository" => format!("correct `repo` or `default_branch` of {project}, then `orch reload`"),
            "configuration" => format!("add [[project]] {project} again and `orch reload`, or cancel its tasks"),
            _ => "free some space, or make it writable for this user".into(),
        };
        out.push(check(&title, Tone::Bad, show::field(trouble, "why"), Some(fix)));
    }
    if let Some(pending) = health.get("configuration").filter(|c| !c.is_null()) {
        let fix = Some("orch reload".to_owned());
        out.push(check("configuration in force", Tone::Warn, show::field(pending, "text"), fix));
    }
    out
}

/// What encloses runs, and which ways stay open without it.
fn sandbox(config: &Config, path: &str) -> Check {
    match enclosed::found(config, path) {
        Ok(found) if found.kind != Kind::Off => {
            let tone = if found.fix.is_some() { Tone::Warn } else { Tone::Good };
            check("sandbox", tone, found.detail, found.fix)
        }
        Ok(found) => {
            let detail = format!("{}: {}", found.detail, enclosed::OPEN);
            let fix = found.fix.unwrap_or_else(|| "take `level = \"off\"` out of [sandbox]".to_owned());
            check("sandbox", Tone::Warn, detail, Some(fix))
        }
        Err(fault) => check("sandbox", Tone::Bad, fault.text, Some("or set [sandbox] level = \"auto\"".to_owned())),
    }
}

/// Names of programs that some role would use.
fn used(config: &Config) -> BTreeSet<&str> {
    let named = config.projects.iter().flat_map(|p| p.agents.values().map(String::as_str));
    named.chain([config.agents.default.as_str()]).collect()
}

fn programs(config: &Config, path: &str) -> Vec<Check> {
    let used = used(config);
    let mut out = Vec::new();
    for (name, agent) in config.agents.programs.iter().filter(|(name, _)| used.contains(name.as_str())) {
        let title = format!("agent {name}");
        if agent.kind == ProgramKind::Claude {
            out.push(claude::check(name, agent, config, path));
            continue;
        }
        let Some(program) = agent.program() else { continue };
        let fix = |p: &str| Some(format!("install `{p}`, or change [agents.programs.{name}] command"));
        let finding = match (on_path(program, path), agent.inner_program()) {
            (None, _) => check(&title, Tone::Bad, format!("`{program}` not found"), fix(program)),
            (Some(_), Some(inner)) if on_path(inner, path).is_none() => check(
                &title,
                Tone::Bad,
                format!("`{inner}` not found on PATH (started by {})", agent.show_command()),
                fix(inner),
            ),
            (Some(at), _) => check(&title, Tone::Good, at.display().to_string(), None),
        };
        out.push(finding);
    }
    out
}

/// Repositories that are directories here: are they git's? And remotes: do they let orch read and push?
fn repositories(config: &Config) -> Vec<Check> {
    let local = config.projects.iter().filter(|p| p.forge == "git" || Path::new(&p.repo).is_absolute());
    local
        .map(|p| {
            let title = format!("project {}", p.key);
            let dir = Path::new(&p.repo);
            let fix = Some(format!("correct `repo` of {} in {}", p.key, config.file.display()));
            if p.forge == "git" {
                odd(&title, p, odd::remote(p))
            } else if !git_probe::is_repository(dir) {
                check(&title, Tone::Bad, format!("{} is not a git repository", dir.display()), fix)
            } else if !git_probe::has_branch(dir, &p.default_branch) {
                let detail = format!("{} has no branch `{}`", dir.display(), p.default_branch);
                check(&title, Tone::Bad, detail, Some("make a first commit on it, or correct `default_branch`".into()))
            } else {
                odd(&title, p, odd::look(p, &config.repos_dir()))
            }
        })
        .collect()
}

/// Parts that hold no file of the default branch, where that lies here: most often a pattern is written wrongly.
fn parts(config: &Config) -> Vec<Check> {
    let of = |p: &crate::config::project::Project| {
        let files = git_probe::files(Path::new(&p.repo), &p.default_branch).filter(|_| !p.parts.is_empty());
        let empty = |part: &orch_engine::parts::Part| {
            let files = files.as_ref()?;
            let detail = format!("no file of {} is in its `paths`: {}", p.default_branch, part.paths.join(", "));
            let fix = format!("correct `paths` of part {} of {} in {}", part.name, p.key, config.file.display());
            let title = format!("part {} of {}", part.name, p.key);
            (!files.iter().any(|path| part.has(path))).then(|| check(&title, Tone::Warn, detail, Some(fix)))
        };
        p.parts().iter().filter_map(empty).collect::<Vec<_>>()
    };
    config.projects.iter().flat_map(of).collect()
}

/// Projects whose tasks wait for an approval that nobody may give.
fn approvers(config: &Config) -> Vec<Check> {
    let of = |p: &crate::config::project::Project| {
        let waits = config.waits_for_nobody(p);
        let detail = format!("nobody may approve, and tasks wait for {}", waits.join(", "));
        let fix = format!(
            "add `approvers` to [[project]] {}, or a person with roles = [\"approver\"] to [people], in {}",
            p.key,
            config.file.display()
        );
        (!waits.is_empty()).then(|| check(&format!("approvers of {}", p.key), Tone::Warn, detail, Some(fix)))
    };
    config.projects.iter().filter_map(of).collect()
}

/// Default branches whose file a power cut emptied, where they are served: in place, or in the forge's directory.
fn emptied(config: &Config) -> Vec<Check> {
    let forge = config.data_dir().join("forge");
    let look = |p: &crate::config::project::Project| -> Option<Check> {
        let title = format!("project {}", p.key);
        let served = [PathBuf::from(&p.repo), forge.join(format!("{}.git", config.repository(p)))];
        let scratch = tempfile::tempdir().ok()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
        for dir in served.iter().filter(|dir| dir.is_absolute() && dir.is_dir()) {
            let sharing = config.sharing(&config.repository(p));
            let looked = GitForge::examine_branch(&forge, dir, &sharing, &p.default_branch, scratch.path());
            match runtime.block_on(looked) {
                Ok(None) => {}
                Ok(Some((true, text))) => return Some(check(&title, Tone::Warn, text, None)),
                // The fix is a part of the sentence.
                Ok(Some((false, text))) => return Some(check(&title, Tone::Bad, text, None)),
                Err(fault) => {
                    return Some(check(
                        &title,
                        Tone::Warn,
                        format!("{} cannot be looked at: {fault}", dir.display()),
                        None,
                    ));
                }
            }
        }
        None
    };
    config.projects.iter().filter(|p| p.forge == "local").filter_map(look).collect()
}

/// A repository that is there: can orch work on it?
fn odd(
    title: &str,
    project: &crate::config::project::Project,
    look: impl Future<Output = Result<Option<Odd>, orch_ports::Fault>>,
) -> Check {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let looked = runtime.map_err(|e| orch_ports::Fault::transient(e.to_string()));
    match looked.and_then(|runtime| runtime.block_on(look)) {
        Ok(None) => check(title, Tone::Good, project.repo.clone(), None),
        // The fix is a part of the sentence.
        Ok(Some(Odd::Refused(why))) => check(title, Tone::Bad, format!("{}: {why}", project.repo), None),
        Ok(Some(Odd::Said(what))) => check(title, Tone::Warn, format!("{}: {what}", project.repo), None),
        Err(fault) => check(title, Tone::Warn, format!("{}: cannot be looked at: {fault}", project.repo), None),
    }
}
