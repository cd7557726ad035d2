//! What a file can get wrong although every key is spelled right: names of things that do not exist, a project nobody
//! tests, a mechanism that is not built. Each is refused with its line, before any task can run into it.

use super::env;
use super::load::{Loader, full_key};
use super::problem::did_you_mean;
use super::project::{DeployMode, Project};
use super::vendors::FORGES;
use super::{Tables, agents::ProgramKind};
use orch_core::ids::{GateId, Role};
use orch_core::landing::{AfterMerge, Documents, History};
use orch_core::message::{self, Subject};
use orch_core::pipeline::Pipeline;
use orch_ports::tracker::TicketState;
use reqwest::Url;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path};

/// Agent programs with an adapter of their own in the design.
const KINDS_NOT_BUILT: &[&str] = &["codex"];
/// Keys that only Claude Code's driver reads.
const CLAUDES: &[&str] = &[
    "program",
    "model",
    "max_turns",
    "tools",
    "deny",
    "max_denials",
    "base_url",
    "proxy",
    "max_tokens",
    "max_requests",
    "log_bodies",
];
/// Keys that only the model proxy reads.
const PROXYS: &[&str] = &["max_tokens", "max_requests", "log_bodies"];

/// Checks a whole configuration.
pub(crate) fn all(loader: &mut Loader<'_>, tables: &Tables) {
    at_least_one(loader, tables);
    if !tables.server.listen.ip().is_loopback() {
        let text =
            "[server] `listen` is not a loopback address: other machines can reach it, only the token protects it";
        loader.warn_path("server.listen", text);
    }
    if tables.reconcile.graces().is_err() {
        let text = "[reconcile] `grace_overrides_json` must be a JSON object of seconds like {\"development\": 600}";
        loader.at_path("reconcile.grace_overrides_json", text);
    }
    for (name, program) in &tables.agents.programs {
        let at = format!("agents.programs.{name}");
        if name == orch_store::SHELL {
            let text = format!("[{at}] `{name}` is what runs of commands are called: give the program another name");
            loader.at_path(&at, text);
        }
        if program.kind == ProgramKind::Command && program.command.iter().all(String::is_empty) {
            let text =
                format!("[{at}] has no `command`: write the program and its arguments, like [\"./my-agent.sh\"]");
            loader.at_path(&at, text);
        }
        if program.kind == ProgramKind::Claude && !program.command.is_empty() {
            let text = format!("[{at}] `command` has no effect with kind = \"claude\": name the program by `program`");
            loader.at_path(&format!("{at}.command"), text);
        }
        let address =
            |text: &str| Url::parse(text).is_ok_and(|url| ["http", "https"].contains(&url.scheme()) && url.has_host());
        if let Some(text) = program.base_url.as_deref().filter(|text| !address(text)) {
            let here = format!("{at}.base_url");
            let text = format!("{} `{text}` is not an address like https://gateway.example", full_key(&here));
            loader.at_path(&here, text);
        }
        for key in CLAUDES.iter().map(|key| format!("{at}.{key}")) {
            if program.kind != ProgramKind::Claude && loader.sources.contains_key(&key) {
                let text = format!("{} has an effect with kind = \"claude\" only", full_key(&key));
                loader.at_path(&key, text);
            }
        }
        for key in PROXYS.iter().map(|key| format!("{at}.{key}")) {
            if program.kind == ProgramKind::Claude && !program.proxy && loader.sources.contains_key(&key) {
                let text = format!("{} has an effect with `proxy = true` only", full_key(&key));
                loader.at_path(&key, text);
            }
        }
        if program.deadline_s == 0 {
            loader.at_path(&format!("{at}.deadline_s"), format!("[{at}] `deadline_s` must be at least 1"));
        }
    }
    // An empty directory would resolve to the one of this file, and serve the token beside it to anybody.
    for name in tables.sites.keys() {
        let at = format!("sites.{name}");
        for key in ["listen", "dir"] {
            if !loader.sources.contains_key(&format!("{at}.{key}")) {
                loader.at_path(&at, format!("[{at}] has no `{key}`"));
            }
        }
    }
    super::budget::check(loader, tables);
    super::people::check(loader, tables);
    super::sandbox::check(loader, tables);
    if zone(&tables.server.timezone).is_none() {
        let text = format!(
            "[server] `timezone` `{}` is not known to this machine: write a name like `Europe/Berlin` (the package tzdata has them)",
            tables.server.timezone
        );
        loader.at_path("server.timezone", text);
    }
    merge(loader, tables);
    artefacts(loader, tables);
    gate_names(loader, "gates", tables.gates.keys());
    gate_limits(loader, "gates", "gates", tables.gates.iter().map(|(gate, g)| (gate, g.timeout_s)));
    if tables.agents.programs.contains_key(&tables.agents.default) || tables.projects.is_empty() {
        // Known, or nobody would use it.
    } else {
        unknown_program(loader, tables, "agents.default", &tables.agents.default);
    }
    let mut keys = BTreeSet::new();
    for (i, project) in tables.projects.iter().enumerate() {
        let at = format!("project[{i}]");
        if !project.key.is_empty() && !keys.insert(&project.key) {
            loader.at_path(&format!("{at}.key"), format!("[[project]] `key` {} is used twice", project.key));
        }
        one(loader, tables, &at, project);
    }
    shared(loader, tables);
}

/// For each project the first one on the same repository, by its place in the list.
pub(crate) fn firsts(projects: &[Project]) -> Vec<usize> {
    let repos: Vec<&str> = projects.iter().map(|p| p.repo.as_str()).collect();
    super::repository::first_of_each(&repos)
}

/// Projects on one repository share its forge and its default branch: there is one lease for one branch.
fn shared(loader: &mut Loader<'_>, tables: &Tables) {
    for (i, first) in firsts(&tables.projects).into_iter().enumerate().filter(|(i, first)| i != first) {
        let (one, other) = (&tables.projects[first], &tables.projects[i]);
        for (key, a, b) in
            [("forge", &one.forge, &other.forge), ("default_branch", &one.default_branch, &other.default_branch)]
        {
            if a != b {
                let text = format!(
                    "[[project]] {} and {} have one repository and different `{key}` (`{a}` and `{b}`): write the same in both",
                    one.key, other.key
                );
                loader.at_path(&format!("project[{i}].{key}"), text);
            }
        }
    }
}

/// A time zone by its name. That of the machine is not meant by any.
pub fn zone(name: &str) -> Option<jiff::tz::TimeZone> {
    if name == "UTC" { Some(jiff::tz::TimeZone::UTC) } else { jiff::tz::TimeZone::get(name).ok() }
}

/// What the commit that lands says of itself.
fn merge(loader: &mut Loader<'_>, tables: &Tables) {
    let merge = &tables.merge;
    if let Err(why) = Subject::parse(&merge.subject) {
        loader.at_path("merge.subject", format!("[merge] `subject` {why}"));
    }
    for (key, text) in [("author", &merge.author), ("committer", &merge.committer)] {
        if let Err(why) = message::identity(text) {
            loader.at_path(&format!("merge.{key}"), format!("[merge] `{key}` {why}"));
        }
    }
    if merge.sign && merge.history == History::AsIs {
        let text = "[merge] `sign` signs the one commit a task lands as, and `history = \"as-is\"` makes none: set one of them otherwise";
        loader.at_path("merge.sign", text);
    }
}

/// Nothing of the documents is committed, and some are: only one of them can be meant.
fn artefacts(loader: &mut Loader<'_>, tables: &Tables) {
    let artefacts = &tables.artefacts;
    if artefacts.keep == Some(Documents::Evidence) && artefacts.after_merge == AfterMerge::PullRequest {
        let text = "[artefacts] `keep = \"evidence\"` commits no document, and `after_merge = \"pull-request\"` commits some: remove one of them";
        loader.at_path("artefacts.after_merge", text);
    }
}

/// Periods and limits for which zero would mean a busy loop or work that never starts.
fn at_least_one(loader: &mut Loader<'_>, tables: &Tables) {
    for (path, value) in [
        ("agents.max_concurrency", tables.agents.max_concurrency),
        ("reaper.interval_s", tables.reaper.interval_s),
        ("reaper.dead_ticks", tables.reaper.dead_ticks),
        ("reaper.max_running_s", tables.reaper.max_running_s),
        ("merge.lock_timeout_s", tables.merge.lock_timeout_s),
        ("merge.retest_timeout_s", tables.merge.retest_timeout_s),
        ("merge.defer_delay_s", tables.merge.defer_delay_s),
        ("security.scan_timeout_s", tables.security.scan_timeout_s),
        ("reconcile.interval_s", tables.reconcile.interval_s),
        ("post_deploy.window_s", tables.post_deploy.window_s),
        ("post_deploy.interval_s", tables.post_deploy.interval_s),
    ] {
        if value == 0 {
            loader.at_path(path, format!("{} must be at least 1", full_key(path)));
        }
    }
}

/// A judgement that may take no time cannot tell for ever.
fn gate_limits<'a>(
    loader: &mut Loader<'_>,
    at: &str,
    table: &str,
    limits: impl Iterator<Item = (&'a String, Option<u64>)>,
) {
    for (gate, _) in limits.filter(|(_, limit)| *limit == Some(0)) {
        loader.at_path(&format!("{at}.{gate}.timeout_s"), format!("[{table}.{gate}] `timeout_s` must be at least 1"));
    }
}

/// What is said of `[[project.parts]]`.
fn parts(loader: &mut Loader<'_>, at: &str, project: &Project) {
    let blank = |command: &Option<String>| command.as_ref().is_none_or(|c| c.trim().is_empty());
    for (i, part) in project.parts.iter().enumerate() {
        let at = format!("{at}.parts[{i}]");
        let mut say = |key: &str, text: String| {
            let at = if key.is_empty() { at.clone() } else { format!("{at}.{key}") };
            loader.at_path(&at, text);
        };
        let name = &part.name;
        let named = if name.is_empty() { String::new() } else { format!(" {name}") };
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if name.is_empty() {
            say("", "[[project.parts]] has no `name`: what people call it, like \"web\"".into());
        } else if !name.chars().all(plain) {
            say("name", format!("[[project.parts]] `name`: only letters, digits, `-` and `_`, not `{name}`"));
        } else if project.parts[..i].iter().any(|other| other.name == *name) {
            say("name", format!("[[project.parts]] `name`: there are two parts `{name}`"));
        }
        let means = |path: &&String| !path.trim().is_empty() && !path.starts_with(['#', '!']);
        if !part.paths.iter().any(|path| means(&path)) {
            let text = format!("[[project.parts]]{named} has no `paths`: what belongs to it, like [\"/web/\"]");
            say(if part.paths.is_empty() { "" } else { "paths" }, text);
        }
        for path in part.paths.iter().filter(|path| path.split('/').any(|piece| piece == "..")) {
            say("paths", format!("[[project.parts]] `paths`: `{path}` leaves the repository"));
        }
        for (key, command) in [("test", &part.test), ("ci", &part.ci)] {
            if command.as_ref().is_some_and(|c| c.trim().is_empty()) {
                say(key, format!("[[project.parts]]{named}: `{key}` is empty; leave the line out"));
            }
        }
        if blank(&part.test) && blank(&part.ci) {
            say("", format!("[[project.parts]]{named} has neither `test` nor `ci`: nothing would be run for it"));
        }
    }
}

fn one(loader: &mut Loader<'_>, tables: &Tables, at: &str, project: &Project) {
    let key = &project.key;
    let named = if key.is_empty() { String::new() } else { format!(" {key}") };
    let key_at = format!("{at}.key");
    if key.is_empty() {
        loader.at_path(at, "[[project]] has no `key`: the prefix of its work items, like \"DEMO\"");
    } else if !is_project_key(key) {
        let text = format!("[[project]] `key` must be 1 to 10 capital letters and digits, a letter first, not `{key}`");
        loader.at_path(&key_at, text);
    }
    if project.repo.is_empty() {
        loader.at_path(at, format!("[[project]]{named} has no `repo`: a path or an address of its repository"));
    }
    if project.default_branch.is_empty() {
        loader.at_path(&format!("{at}.default_branch"), "[[project]] `default_branch` must not be empty");
    }
    vendors(loader, tables, at, project);
    let blank = |command: &Option<String>| command.as_ref().is_none_or(|c| c.trim().is_empty());
    parts(loader, at, project);
    let has_parts = project.parts.iter().any(|part| !blank(&part.test) || !blank(&part.ci));
    if blank(&project.commands.test) && blank(&project.commands.ci) && !has_parts && !project.allow_untested {
        let text = format!(
            "[[project]]{named} has neither `commands.test` nor `commands.ci`: nothing would check its code; name one, \
             or write `allow_untested = true`"
        );
        loader.at_path(at, text);
    }
    for name in project.commands.env.keys() {
        let here = format!("{at}.commands.env.{name}");
        let well_formed = !name.is_empty()
            && !name.starts_with(|c: char| c.is_ascii_digit())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !well_formed {
            loader.at_path(&here, format!("[project.commands.env] `{name}` is no name of a variable"));
        } else if ["HOME", "TMPDIR"].contains(&name.as_str()) || name.starts_with("ORCH_") {
            loader.at_path(&here, format!("[project.commands.env] `{name}` is orch's to set: each run has its own"));
        }
    }
    for path in project.commands.cache.iter().filter(|path| *path != "~") {
        let plain = |part: Component<'_>| matches!(part, Component::Normal(name) if name != ".git");
        if path.is_empty() || path.starts_with('~') || !Path::new(path).components().all(plain) {
            let text = format!(
                "[project.commands] `cache`: `{path}` is neither `~` nor a path in the checkout, such as `node_modules`"
            );
            loader.at_path(&format!("{at}.commands.cache"), text);
        }
    }
    let declared = tables.pipelines.keys().map(String::as_str);
    if Pipeline::built_in(&project.pipeline).is_none() && !tables.pipelines.contains_key(&project.pipeline) {
        let hint = did_you_mean(&project.pipeline, ["full", "lite"].into_iter().chain(declared));
        let text = format!("[[project]] `pipeline` names no pipeline `{}`{hint}", project.pipeline);
        loader.at_path(&format!("{at}.pipeline"), text);
    }
    if let Some(what) = tables.waits_for_nobody(project).first() {
        let text = format!(
            "[[project]]{named} has no `approvers`, and the pipeline `{}` waits for {what}: no task can get past it",
            project.pipeline
        );
        loader.warn_path(at, text);
    }
    for (role, program) in &project.agents {
        let here = format!("{at}.agents.{role}");
        if let Role::Own(_) = Role::new(role.as_str()) {
            let hint = did_you_mean(role, Role::BUILT_IN.iter().map(Role::as_str));
            loader.at_path(&here, format!("[project.agents] unknown role `{role}`{hint}"));
        }
        unknown_program(loader, tables, &here, program);
    }
    gate_names(loader, &format!("{at}.gates"), project.gates.keys());
    let limits = project.gates.iter().map(|(gate, g)| (gate, g.timeout_s));
    gate_limits(loader, &format!("{at}.gates"), "project.gates", limits);
    for state in project.states.keys().filter(|s| TicketState::parse(s).is_none()) {
        let hint = did_you_mean(state, TicketState::ALL.iter().map(|s| s.as_str()));
        loader.at_path(&format!("{at}.states.{state}"), format!("[project.states] unknown state `{state}`{hint}"));
    }
    deploy(loader, at, project);
}

/// Adapters that are not there, and what they would need.
fn vendors(loader: &mut Loader<'_>, tables: &Tables, at: &str, project: &Project) {
    let name = &project.tracker;
    if name == "plane" {
        let text = format!("[[project]] `tracker` {name} is not built yet in this version: use `local`");
        loader.at_path(&format!("{at}.tracker"), text);
    } else if name != "local" {
        let hint = did_you_mean(name, ["local"]);
        loader.at_path(&format!("{at}.tracker"), format!("[[project]] `tracker` must be `local`, not `{name}`{hint}"));
    }
    let (name, here) = (&project.forge, format!("{at}.forge"));
    let forge = FORGES.iter().find(|kind| kind.name == name);
    let built = || FORGES.iter().filter(|kind| kind.built).map(|kind| kind.name);
    match forge {
        Some(kind) if kind.built => {
            for (key, text) in (kind.faults)(project) {
                loader.at_path(&format!("{at}.{key}"), text);
            }
        }
        Some(_) => {
            let text = format!("[[project]] `forge` {name} is not built yet in this version: use `git`");
            loader.at_path(&here, text);
        }
        None => {
            let names = built().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" or ");
            let hint = did_you_mean(name, built());
            loader.at_path(&here, format!("[[project]] `forge` must be {names}, not `{name}`{hint}"));
        }
    }
    if project.review_approval && forge.is_some_and(|kind| kind.built && !kind.people) {
        let text =
            format!("[[project]] `review_approval` needs a forge on which people review; `{name}` has no place for it");
        loader.at_path(&format!("{at}.review_approval"), text);
    }
    if project.tracker == "local" && forge.is_none_or(|kind| !kind.people) {
        return;
    }
    let lists = tables.lists(project);
    for (what, list) in [("approvers", &lists.approvers), ("starters", &lists.starters)] {
        if list.is_empty() {
            let text = format!(
                "[[project]] {} has no `{what}`: with a tracker or forge that others can write to, name the people",
                project.key
            );
            loader.at_path(at, text);
        }
    }
}

fn deploy(loader: &mut Loader<'_>, at: &str, project: &Project) {
    let deploy = &project.deploy;
    let hooks = [("staging", &deploy.staging), ("production", &deploy.production)];
    if deploy.mode == DeployMode::Agent {
        let text =
            "[project.deploy] `mode` agent is not built yet in this version: name the commands of `mode = \"hook\"`";
        loader.at_path(&format!("{at}.deploy.mode"), text);
        for (name, _) in hooks.iter().filter(|(_, hook)| hook.is_some()) {
            let text =
                format!("[project.deploy] `{name}` is a command, but `mode` gives the deploy to an agent: keep one");
            loader.at_path(&format!("{at}.deploy.{name}"), text);
        }
    } else {
        if !deploy.env.is_empty() {
            let text = "[project.deploy] `env` is for `mode = \"agent\"`, which must be asked for";
            loader.at_path(&format!("{at}.deploy.env"), text);
        }
        if deploy.production.is_none() && deploy.approval {
            let text = "[project.deploy] `approval` is asked for, but no `production` command is there to approve";
            loader.warn_path(&format!("{at}.deploy.approval"), text);
        }
    }
    if let Some(url) = &deploy.health_url
        && !url.starts_with("http://")
        && !url.starts_with("https://")
    {
        let text = format!("[project.deploy] `health_url` must begin with http:// or https://, not `{url}`");
        loader.at_path(&format!("{at}.deploy.health_url"), text);
    }
}

fn gate_names<'n>(loader: &mut Loader<'_>, at: &str, names: impl Iterator<Item = &'n String>) {
    let mut seen: Vec<GateId> = Vec::new();
    for name in names {
        let here = format!("{at}.{name}");
        match GateId::parse(name) {
            None => {
                let kebab = name.replace('-', "_");
                let hint = did_you_mean(&kebab, GateId::ALL.iter().map(|g| g.as_str()));
                loader.at_path(&here, format!("{} unknown gate `{name}`{hint}", super::load::label(at)));
            }
            Some(gate) if seen.contains(&gate) => {
                loader.at_path(&here, format!("{} has two tables for {gate}", super::load::label(at)));
            }
            Some(gate) => seen.push(gate),
        }
    }
}

fn unknown_program(loader: &mut Loader<'_>, tables: &Tables, at: &str, name: &str) {
    let programs = &tables.agents.programs;
    if programs.contains_key(name) {
        return;
    }
    let why = if KINDS_NOT_BUILT.contains(&name) {
        format!(
            ": its own adapter is not built yet in this version; declare [agents.programs.{name}] with kind = \"command\""
        )
    } else {
        let hint = did_you_mean(name, programs.keys().map(String::as_str));
        if hint.is_empty() { format!(": declare [agents.programs.{name}]") } else { hint }
    };
    loader.at_path(at, format!("{} names no agent program `{name}`{why}", full_key(at)));
}

/// `^[A-Z][A-Z0-9]{0,9}$`
pub fn is_project_key(key: &str) -> bool {
    key.len() <= 10
        && key.starts_with(|c: char| c.is_ascii_uppercase())
        && key.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit())
}

/// Variables that look like ours and stand for nothing.
pub(crate) fn environment(loader: &mut Loader<'_>, file: &std::path::Path, env: &BTreeMap<String, String>) {
    loader.warnings.extend(env::unknown(file, env));
}
