//! The environment over the file: which variable stands for which key, and a word about variables that look like ours
//! but stand for nothing. The one place that reads the process's environment.

use super::problem::{Problem, Source, Warning, did_you_mean};
use super::reference;
use std::collections::BTreeMap;
use std::path::Path;

/// Names that are not `ORCH_<SECTION>_<KEY>`: kept because they stand in people's `.env` files.
pub const ALIASES: &[(&str, &str)] = &[
    ("agents.max_concurrency", "ORCH_MAX_CONCURRENCY"),
    ("agents.max_developer_retries", "ORCH_MAX_DEVELOPER_RETRIES"),
    ("reaper.lease_reclaim_enabled", "ORCH_LEASE_RECLAIM_ENABLED"),
    ("repos.worktrees_dir", "ORCH_WORKTREES_DIR"),
    ("staging.instance", "ORCH_STAGING"),
];

/// Variables that mean something, but not a key: the client's own, and what orch gives to agents and hooks.
const CONTRACT: &[&str] = &[
    "ORCH_URL",
    "ORCH_TOKEN",
    "ORCH_LOG",
    "ORCH_LOG_FORMAT",
    "ORCH_WORK_ITEM",
    "ORCH_PROJECT",
    "ORCH_ROLE",
    "ORCH_STAGE",
    "ORCH_ATTEMPT",
    "ORCH_ROUND",
    "ORCH_RUN_ID",
    "ORCH_BRANCH",
    "ORCH_BASE",
    "ORCH_ARTEFACT_DIR",
    "ORCH_PROMPT_FILE",
    "ORCH_RESULT_FILE",
    "ORCH_RUN_MARKER",
    "ORCH_SUPERVISE_CGROUP",
    "ORCH_ENVIRONMENT",
    "ORCH_REVISION",
    "ORCH_PREVIOUS_REVISION",
    "ORCH_IMAGE_DIGEST",
    "ORCH_RUN_DIR",
    // Of the tests: what needs a program that is missing fails instead of being skipped.
    "ORCH_NOTHING_SKIPPED",
    #[cfg(feature = "fault-points")]
    orch_torture::fault_points::VARIABLE,
];

/// The process's environment; what is not UTF-8 cannot be a value of ours and is left out.
pub fn process_env() -> BTreeMap<String, String> {
    std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?))).collect()
}

/// Variables that stand for a path like `reaper.dead_ticks`, the plain one first. Free tables and projects have none.
pub(crate) fn names(path: &str) -> Vec<String> {
    let Some((section, key)) = path.split_once('.') else { return Vec::new() };
    if key.contains('.') || section.contains('[') || section == "project" {
        return Vec::new();
    }
    let plain = format!("ORCH_{}_{}", section.to_uppercase(), key.to_uppercase());
    let alias = ALIASES.iter().filter(|(of, _)| *of == path).map(|(_, name)| (*name).to_owned());
    std::iter::once(plain).chain(alias).collect()
}

/// Variables that begin like ours and mean nothing: most likely a slip, and a switch that was not thrown.
pub(crate) fn unknown(file: &Path, env: &BTreeMap<String, String>) -> Vec<Warning> {
    let known: Vec<String> = reference::keys().iter().flat_map(|k| k.env.clone()).collect();
    env.keys()
        .filter(|name| name.starts_with("ORCH_"))
        .filter(|name| !known.contains(name) && !CONTRACT.contains(&name.as_str()))
        .map(|name| {
            let hint = did_you_mean(name, known.iter().map(String::as_str));
            Problem::new(file, Source::Env { name: name.clone() }, format!("stands for no key and is ignored{hint}"))
        })
        .collect()
}
