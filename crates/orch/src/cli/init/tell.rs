//! What `orch init` says: the question on a terminal, what is begun, what was written and what came out.

use super::super::context::{Context, Tone};
use super::super::exit::Exit;
use super::super::{git_probe, show};
use super::args::InitArgs;
use super::file::{Found, Instance, STATE_DIR, repo_of, token_env};
use super::missing::Missing;
use super::origin::Origin;
use super::plan::Plan;
use super::verdict::{Outcome, Trial, duration};
use serde_json::{Value, json};
use std::io::BufRead as _;
use std::path::Path;

/// Asks on a terminal whether to run the tests.
pub(super) fn asks(args: &InitArgs, context: &mut Context<'_>, found: &Found, has_commit: bool) -> bool {
    if !context.asks || args.json || args.no_run || !has_commit {
        return false;
    }
    let Some(plan) = &found.plan else { return false };
    let setup = plan.setup.as_ref().map(|setup| format!("`{setup}`, then ")).unwrap_or_default();
    context.say(format!("tests: {setup}`{}` (because of {})", plan.test, plan.because));
    context.pour(&format!("run them once on {}, in a clean checkout? They may take minutes. [Y/n] ", found.branch));
    let mut answer = String::new();
    let read = std::io::stdin().lock().read_line(&mut answer);
    read.is_ok_and(|bytes| 0 < bytes) && matches!(answer.trim().to_lowercase().as_str(), "" | "y" | "yes")
}

/// Says what is run now.
pub(super) fn begins(args: &InitArgs, context: &mut Context<'_>, plan: &Plan, branch: &str, commit: &str) {
    if args.json {
        return;
    }
    let setup = plan.setup.as_ref().map(|setup| format!("`{setup}`, then ")).unwrap_or_default();
    context.note(format!("running {setup}`{}` on {branch} ({})", plan.test, short(commit)));
}

fn short(commit: &str) -> &str {
    commit.get(..12).unwrap_or(commit)
}

/// What came out, for the written file.
pub(super) fn in_a_line(trial: &Trial, branch: &str) -> String {
    let at = format!("{branch} at {}", short(&trial.commit));
    let text = match &trial.outcome {
        Outcome::Green => format!("Green on {at} in {}, when this file was written.", duration(trial.took)),
        Outcome::Red { step, end, .. } => format!("Red on {at} when this file was written: {step}, {end}."),
        Outcome::Unknown { why, .. } => format!("Could not be run on {at} when this file was written: {why}"),
    };
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

pub(super) fn exit_of(trial: &Trial) -> Exit {
    match trial.outcome {
        Outcome::Green => Exit::Done,
        Outcome::Red { .. } => Exit::Failed,
        Outcome::Unknown { .. } => Exit::CannotTell,
    }
}

/// Everything a report is made of.
pub(super) struct Said<'a> {
    pub(super) top: &'a Path,
    pub(super) file: &'a Path,
    pub(super) found: &'a Found,
    pub(super) trial: Option<&'a Trial>,
    pub(super) kept_back: Vec<String>,
}

/// What was written, and what came out.
pub(super) fn report(args: &InitArgs, context: &mut Context<'_>, said: &Said<'_>) {
    let Said { top, file, found, trial, kept_back } = said;
    let empty = !git_probe::has_commit(top);
    let plan = found.plan.as_ref();
    if args.json {
        context.say(show::json(&json!({
            "file": file, "key": found.key, "default_branch": found.branch, "approvers": [found.actor],
            "test": plan.map(|p| &p.test), "setup": plan.and_then(|p| p.setup.as_ref()), "env": found.env,
            "kept_back": kept_back,
            "because": plan.map(|p| &p.because), "notes": plan.map(|p| &p.notes),
            "agent": found.agent.name, "has_commit": !empty,
            "forge": forge_of(&found.origin), "repo": repo_of(found),
            "instance": found.instance.name, "instance_known": found.instance.known, "state": found.instance.state,
            "run": trial.map(run_as_json),
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
    match plan {
        Some(plan) => {
            if let Some(setup) = &plan.setup {
                context.say(format!("  setup: `{setup}`"));
            }
            context.say(format!("  tests: `{}` (because of {})", plan.test, plan.because));
        }
        None => context.say("  tests: none found; name a command under [project.commands], then `orch config check`"),
    }
    if !found.env.is_empty() {
        let names: Vec<&str> = found.env.keys().map(String::as_str).collect();
        context.say(format!("  of this shell's environment the commands get {}", names.join(", ")));
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
    for note in plan.iter().flat_map(|plan| &plan.notes).cloned().chain(found.origin.notes(&token_env(&found.key))) {
        context.note(note);
    }
    for name in kept_back {
        context.note(format!("{name} may hold a password and was not written down; the commands run without it"));
    }
    if empty {
        context.note("the repository has no commit yet: make one before the first task");
    }
    if let Some(trial) = trial {
        tell_trial(context, trial);
    }
    let next = match (plan, trial.map(|t| &t.outcome)) {
        (None, _) => "fill in the tests, then `orch serve`",
        (_, Some(Outcome::Red { .. } | Outcome::Unknown { .. })) => {
            "repair what is missing, or the lines under [project.commands]; `orch init --run` runs them again"
        }
        _ => "`orch doctor`, then `orch serve`",
    };
    context.say(format!("next: {next}"));
    if args.run && trial.is_none() {
        let why = if plan.is_none() { "no tests were found" } else { "there is no commit to run the tests on" };
        context.note(format!("{why}: nothing was run"));
    }
}

/// What came out of a configuration that was there before.
pub(super) fn report_of_known(args: &InitArgs, context: &mut Context<'_>, file: &Path, plan: &Plan, trial: &Trial) {
    if args.json {
        context.say(show::json(&json!({
            "file": file, "written": false, "test": plan.test, "setup": plan.setup, "run": run_as_json(trial),
        })));
        return;
    }
    context.say(format!("{} was there already and stays as it is", file.display()));
    tell_trial(context, trial);
}

fn run_as_json(trial: &Trial) -> Value {
    let mut run = json!({
        "commit": trial.commit, "took_s": trial.took.as_secs(), "red_before": trial.before,
    });
    let more = match &trial.outcome {
        Outcome::Green => json!({ "outcome": "green" }),
        Outcome::Red { step, end, lines, missing, .. } => {
            json!({ "outcome": "red", "step": step, "end": end, "lines": lines, "missing": missing })
        }
        Outcome::Unknown { why, missing } => json!({ "outcome": "unknown", "why": why, "missing": missing }),
    };
    if let (Some(run), Value::Object(more)) = (run.as_object_mut(), more) {
        run.extend(more);
    }
    run
}

fn tell_trial(context: &mut Context<'_>, trial: &Trial) {
    let at = short(&trial.commit).to_owned();
    match &trial.outcome {
        Outcome::Green => {
            let word = context.paint(Tone::Good, "green");
            context.say(format!("the tests are {word} on {at}, in {}", duration(trial.took)));
        }
        Outcome::Red { step, end, lines, missing, .. } => {
            let word = context.paint(Tone::Bad, "red");
            context.say(match *step {
                "setup" => {
                    format!("{word} on {at}: the setup failed ({end}, after {}); no test ran", duration(trial.took))
                }
                "tools" => format!("{word}: {end}; nothing was run"),
                _ => format!("{word} on {at}: the tests failed ({end}, after {})", duration(trial.took)),
            });
            for line in lines {
                context.say(format!("  | {}", line.chars().take(200).collect::<String>()));
            }
            if missing.is_empty() {
                context.say("  what is missing cannot be told from this output");
            }
            tell_missing(context, missing);
        }
        Outcome::Unknown { why, missing } => {
            let word = context.paint(Tone::Warn, "cannot tell");
            context.say(format!("{word}: the tests could not be run on {at}: {why}"));
            tell_missing(context, missing);
        }
    }
    for line in &trial.before {
        context.say(format!("`{line}` was red, too, and is not what was written"));
    }
}

fn tell_missing(context: &mut Context<'_>, missing: &[Missing]) {
    if !missing.is_empty() {
        context.say("missing:");
    }
    for lack in missing {
        context.say(format!("  {}: {}", lack.kind, lack.text));
    }
}

fn forge_of(origin: &Origin) -> &'static str {
    match origin {
        Origin::None => "local",
        Origin::Remote { .. } => "git",
    }
}
