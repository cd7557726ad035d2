//! What the doctor says of Claude Code: is it there, does it start, which version is it, has it a key?

use super::finding::{self, Check};
use crate::cli::context::Tone;
use crate::cli::programs::on_path;
use crate::config::Config;
use crate::config::agents::AgentProgram;
use crate::config::env::process_env;
use orch_adapters::claude::credential;
use orch_adapters::command::read_env_file;
use orch_driver::{classify, proxied};
use orch_ports::Secret;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

/// How a version is got that fits. The package of that name falls back to 2.1.197 on Node before 22, without a word.
const INSTALL: &str = "install its native program: `npm install @anthropic-ai/claude-code-linux-x64` brings one that needs no \
                       Node (the package `@anthropic-ai/claude-code` brings 2.1.197 on Node before 22), and set `program` to it";

/// The program of one table.
pub(super) fn check_of(
    title: &str,
    at: Option<&Path>,
    program: &str,
    said: Option<String>,
    key: Result<(), String>,
) -> Check {
    let check = finding::check;
    let bad = |detail: String| check(title, Tone::Bad, detail, Some(INSTALL.to_owned()));
    let Some(at) = at else { return bad(format!("`{program}` not found")) };
    let Some(said) = said else { return bad(format!("{} cannot be started", at.display())) };
    if classify::version(&said).is_none() {
        let line = said.lines().next().unwrap_or_default();
        return bad(format!("{} --version says no version: {line}", at.display()));
    }
    let version = said.split_whitespace().next().unwrap_or_default();
    let detail = format!("{}, version {version}", at.display());
    if classify::is_old(&said) {
        let detail = format!("{detail}: before 2.1.300 failed requests are told apart by their words");
        return check(title, Tone::Warn, detail, Some(INSTALL.to_owned()));
    }
    if let Err(why) = key {
        let fix = "set `env_file` (ANTHROPIC_API_KEY, or CLAUDE_CODE_OAUTH_TOKEN as `claude setup-token` prints it) or `pass_env` of \
                   the program";
        let detail = format!("{detail}; {why}");
        return check(title, Tone::Warn, detail, Some(fix.into()));
    }
    check(title, Tone::Good, detail, None)
}

/// Looks and starts it once, without a network.
pub(super) fn check(name: &str, agent: &AgentProgram, config: &Config, path: &str) -> Check {
    let program = agent.program_at(config.file.parent().unwrap_or(Path::new("/"))).unwrap_or_default();
    let at = on_path(&program, path);
    let said = at.as_ref().and_then(|at| {
        let home = tempfile::tempdir().ok()?;
        let output = Command::new(at)
            .arg("--version")
            .env_clear()
            .env("PATH", path)
            .env("HOME", home.path())
            .env("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1")
            .env("DISABLE_AUTOUPDATER", "1")
            .stdin(Stdio::null())
            .output()
            .ok()?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        let said = text(&output.stdout);
        Some(if said.is_empty() { text(&output.stderr) } else { said })
    });
    check_of(&format!("agent {name}"), at.as_deref(), &program, said, key_of(agent))
}

/// Has it a key that can be used? A file that cannot be read is spoken of elsewhere.
fn key_of(agent: &AgentProgram) -> Result<(), String> {
    if !agent.proxy {
        let keys = agent.env_file.is_some() || !agent.pass_env.is_empty();
        let none = "it is given no key, and a login in your home directory is not found".to_owned();
        return if keys { Ok(()) } else { Err(none) };
    }
    let mut keys = BTreeMap::new();
    if let Some(file) = &agent.env_file {
        let Ok(read) = read_env_file(file) else { return Ok(()) };
        keys.extend(read);
    }
    let env = process_env();
    keys.extend(
        agent.pass_env.iter().filter_map(|name| Some((name.clone(), Secret::of(name, env.get(name)?.clone())))),
    );
    let plain = agent.env.iter().map(|(name, value)| (name.clone(), value.expose().to_owned())).collect();
    credential(&proxied::with_plain(&plain, &keys), agent.base_url.as_deref()).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_missing_broken_old_or_without_a_key_is_said_with_the_fix() {
        let at = Path::new("/opt/claude");
        let no_key = || key_of(&AgentProgram::default());
        let of = |said: Option<&str>, has_key: bool| {
            let has_key = if has_key { Ok(()) } else { no_key() };
            let check = check_of("agent c", Some(at), "claude", said.map(ToOwned::to_owned), has_key);
            (check.tone, check.detail, check.fix.unwrap_or_default())
        };
        assert_eq!(of(Some("2.1.332 (Claude Code)"), true).0, Tone::Good);
        let (tone, detail, fix) = of(Some("2.1.332 (Claude Code)"), false);
        assert!(tone == Tone::Warn && detail.contains("no key") && fix.contains("env_file"), "{detail} {fix}");
        assert!(detail.contains("`claude setup-token`"), "{detail}");
        let (tone, detail, fix) = of(Some("2.1.197 (Claude Code)"), true);
        assert!(tone == Tone::Warn && detail.contains("2.1.300") && fix.contains("Node before 22"), "{detail} {fix}");
        let (tone, detail, _) = of(Some("node: bad option\nmore"), true);
        assert!(tone == Tone::Bad && detail.contains("says no version: node: bad option"), "{detail}");
        assert_eq!(of(None, true).0, Tone::Bad);
        let missing = check_of("agent c", None, "claude", None, Ok(()));
        assert!(missing.tone == Tone::Bad && missing.detail.contains("`claude` not found"));
    }
}
