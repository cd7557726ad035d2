//! Keys have no place in the configuration: it is read by agents, backed up, and one slip away from being committed. Decides
//! what in it looks like one. It may never say a value.

use super::agents::AgentProgram;
use super::env;
use super::load::{Loader, full_key};
use super::problem::{Problem, Source};
use super::{Config, Tables};
use orch_ports::masks::looks_like_a_key;
use orch_secrets::{Blob, Rules, Scanner};
use std::collections::BTreeMap;
use std::path::Path;

/// Refuses what is certainly a key, at every load: what is declared as one, and what a variable's name calls one.
pub(crate) fn refuse(loader: &mut Loader<'_>, tables: &Tables) {
    let declared = [
        ("gitea.token", &tables.gitea.token),
        ("plane.api_token", &tables.plane.api_token),
        ("telegram.bot_token", &tables.telegram.bot_token),
    ];
    for (path, value) in declared {
        if value.is_some() && matches!(loader.sources.get(path), Some(Source::File { .. })) {
            let variable = env::names(path).into_iter().next().unwrap_or_default();
            let text = format!(
                "{} is a key, and keys have no place in this file: set {variable} in the environment of orch instead",
                full_key(path)
            );
            loader.at_path(path, text);
        }
    }
    for (name, program) in &tables.agents.programs {
        let at = format!("agents.programs.{name}");
        for (variable, value) in &program.env {
            if looks_like_a_key(variable, value.expose()) {
                let here = format!("{at}.env.{variable}");
                loader.at_path(&here, format!("{} {}", full_key(&here), way_out(name, variable)));
            }
        }
        pass_env(loader, &at, program);
    }
}

/// What to do with a key of a program.
fn way_out(program: &str, variable: &str) -> String {
    format!(
        "is a key, and keys have no place in this file: write the line `{variable}=...` into a file of your own, run `chmod \
         600` on it, and name it with `env_file` in [agents.programs.{program}]; or set {variable} where orch is started, and \
         write `pass_env = [\"{variable}\"]`"
    )
}

fn pass_env(loader: &mut Loader<'_>, at: &str, program: &AgentProgram) {
    for variable in &program.pass_env {
        let is_name = variable.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && variable.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        let here = format!("{at}.pass_env");
        if !is_name {
            // It may be a key that was put in place of its name.
            loader.at_path(&here, format!("{} takes names of variables, like \"ANTHROPIC_API_KEY\"", full_key(&here)));
        } else if variable.starts_with("ORCH_") {
            loader.at_path(&here, format!("{} names {variable}, which belongs to the contract", full_key(&here)));
        } else if program.env.contains_key(variable) {
            loader.at_path(&here, format!("{} and `env` both name {variable}: keep one", full_key(&here)));
        }
    }
}

impl Config {
    /// What in the text of this configuration looks like a key to the rules of the security gate, comments included. Takes
    /// some milliseconds: for whoever checks or serves it, not for every command.
    pub fn keys_in(file: &Path, text: &str, env: &BTreeMap<String, String>) -> Vec<Problem> {
        // Nobody compares fingerprints of this scan.
        let Ok(scanner) = Scanner::new(&Rules::builtin(), b"") else { return Vec::new() };
        let name = file.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let blob = Blob { path: &name, bytes: text.as_bytes(), commit: None };
        let Ok(hits) = scanner.scan(&blob) else { return Vec::new() };
        let sources = Self::parse(file, text, env).map(|(config, _)| config.sources).unwrap_or_default();
        let mut found: Vec<Problem> = Vec::new();
        for hit in hits {
            let source = Source::File { line: hit.line };
            let at = sources.iter().filter(|(_, s)| **s == source).map(|(path, _)| path).max_by_key(|path| path.len());
            let key = at.map_or_else(|| format!("line {}", hit.line), |path| full_key(path));
            let problem = Problem::new(
                file,
                source,
                format!(
                    "{key} holds what looks like a key ({}), and keys have no place in this file: put it into a file for you \
                     alone and name that with `env_file` in [agents.programs.NAME], or into the environment of orch",
                    hit.description
                ),
            );
            if !found.iter().any(|p| p.source == problem.source) {
                found.push(problem);
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_known_by_the_name_of_its_variable() {
        for (variable, value) in [
            ("ANTHROPIC_API_KEY", "..."),
            ("GITHUB_TOKEN", "x"),
            ("password", "hunter2"),
            ("DB_PASS", "12345678"),
            ("HTTPS_PROXY", "http://anna:geheim@proxy:3128"),
            ("X_API_KEY_2", "abc"),
        ] {
            assert!(looks_like_a_key(variable, value), "{variable}={value}");
        }
        for (variable, value) in [
            ("MODEL", "opus"),
            ("MAX_TOKENS", "4096"),
            ("TOKEN_LIMIT", "4096000000"),
            ("SSH_KEY_PATH", "keys/id"),
            ("SSH_KEY", "/home/anna/.ssh/id"),
            ("DISABLE_AUTH", "true"),
            ("KEY", ""),
            ("HTTPS_PROXY", "http://proxy:3128"),
            ("MONKEY", "banana"),
            ("EFFECTS", "/tmp/effects.log"),
        ] {
            assert!(!looks_like_a_key(variable, value), "{variable}={value}");
        }
    }
}
