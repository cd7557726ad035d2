//! What the doctor says of Claude Code: is it there, does it start, which version is it, has it a key?

use super::finding::{self, Check};
use crate::cli::context::Tone;
use crate::cli::programs::on_path;
use crate::config::Config;
use crate::config::agents::AgentProgram;
use orch_driver::classify;
use std::path::Path;
use std::process::{Command, Stdio};

/// How a version is got that fits. The package of that name falls back to 2.1.197 on Node before 22, without a word.
const INSTALL: &str = "install its native program: `npm install @anthropic-ai/claude-code-linux-x64` brings one that needs no \
                       Node (the package `@anthropic-ai/claude-code` brings 2.1.197 on Node before 22), and set `program` to it";

/// The program of one table.
pub(super) fn check_of(title: &str, at: Option<&Path>, program: &str, said: Option<String>, has_key: bool) -> Check {
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
    if !has_key {
        let fix = "set `env_file` (ANTHROPIC_API_KEY or CLAUDE_CODE_OAUTH_TOKEN) or `pass_env` of the program";
        let detail = format!("{detail}; it is given no key, and a login in your home directory is not found");
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
    let keys = agent.env_file.is_some() || !agent.pass_env.is_empty();
    let in_env = agent.env.keys().any(|k| k.starts_with("ANTHROPIC_") || k.starts_with("CLAUDE_CODE_OAUTH"));
    check_of(&format!("agent {name}"), at.as_deref(), &program, said, keys || in_env)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_missing_broken_old_or_without_a_key_is_said_with_the_fix() {
        let at = Path::new("/opt/claude");
        let of = |said: Option<&str>, has_key| {
            let check = check_of("agent c", Some(at), "claude", said.map(ToOwned::to_owned), has_key);
            (check.tone, check.detail, check.fix.unwrap_or_default())
        };
        assert_eq!(of(Some("2.1.332 (Claude Code)"), true).0, Tone::Good);
        let (tone, detail, fix) = of(Some("2.1.332 (Claude Code)"), false);
        assert!(tone == Tone::Warn && detail.contains("no key") && fix.contains("env_file"), "{detail} {fix}");
        let (tone, detail, fix) = of(Some("2.1.197 (Claude Code)"), true);
        assert!(tone == Tone::Warn && detail.contains("2.1.300") && fix.contains("Node before 22"), "{detail} {fix}");
        let (tone, detail, _) = of(Some("node: bad option\nmore"), true);
        assert!(tone == Tone::Bad && detail.contains("says no version: node: bad option"), "{detail}");
        assert_eq!(of(None, true).0, Tone::Bad);
        let missing = check_of("agent c", None, "claude", None, true);
        assert!(missing.tone == Tone::Bad && missing.detail.contains("`claude` not found"));
    }
}
