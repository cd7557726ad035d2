//! What the doctor says of keys: can those of the agents be read, are they masked, and can others get at the state?

use super::finding::{Check, check};
use crate::cli::context::Tone;
use crate::config::Config;
use crate::instance::private::{Others, others};
use orch_adapters::command::read_env_file;
use orch_ports::masks::why_not_of;
use std::collections::BTreeMap;

/// Keys of every program that is used.
pub(super) fn keys<'c>(config: &'c Config, env: &BTreeMap<String, String>, used: &dyn Fn(&str) -> bool) -> Vec<Check> {
    let programs = config.agents.programs.iter().filter(|(name, _)| used(name));
    programs.filter_map(|(name, program)| of_program(name, program, env)).collect()
}

fn of_program(
    name: &str,
    program: &crate::config::agents::AgentProgram,
    env: &BTreeMap<String, String>,
) -> Option<Check> {
    let title = format!("keys of {name}");
    let mut found = BTreeMap::new();
    if let Some(file) = &program.env_file {
        match read_env_file(file) {
            Ok(keys) => found.extend(keys.into_iter().map(|(key, value)| (key, value.expose().to_owned()))),
            Err(fault) => {
                let fix = format!("write {}, for you alone", file.display());
                return Some(check(&title, Tone::Bad, fault.text, Some(fix)));
            }
        }
    }
    let (set, unset): (Vec<_>, Vec<_>) = program.pass_env.iter().partition(|key| env.contains_key(*key));
    found.extend(set.into_iter().map(|key| (key.clone(), env[key].clone())));
    if found.is_empty() && unset.is_empty() {
        return None;
    }
    let open: Vec<String> = found
        .iter()
        .filter_map(|(key, value)| Some(format!("{key} is not masked: {}", why_not_of(key, value)?)))
        .collect();
    let names = found.keys().cloned().collect::<Vec<_>>().join(", ");
    let mut lines: Vec<String> = Some(names).filter(|names| !names.is_empty()).into_iter().collect();
    let warn = !unset.is_empty();
    lines.extend(unset.iter().map(|key| format!("{key} is not set here; the daemon may have it where it is started")));
    lines.extend(open);
    let tone = if warn { Tone::Warn } else { Tone::Good };
    Some(check(
        &title,
        tone,
        lines.join("; "),
        Some("set what is named by pass_env where `orch serve` is started".into()),
    ))
}

/// Can others read or write the state?
pub(super) fn state(config: &Config) -> Option<Check> {
    let dir = config.data_dir();
    let (tone, what) = match others(dir) {
        Others::No => return None,
        Others::Read => (Tone::Warn, "others on this machine can look into"),
        Others::Write => (Tone::Bad, "everybody on this machine can write to"),
    };
    Some(check("state", tone, format!("{what} {}", dir.display()), Some(format!("chmod 700 {}", dir.display()))))
}
