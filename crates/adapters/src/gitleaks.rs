//! gitleaks 8.18 or newer, one more opinion about secrets. It is told to look at everything, because the branch cannot
//! vouch for itself (all measured): `--text` and `-m`, since attributes and merges hide changes from it otherwise;
//! `--ignore-gitleaks-allow`; a configuration, an ignore file and a directory of our own, since it takes what lies beside
//! a repository. Its exit code is not believed: it ends with 0 when git fails under it, and with 1 for a leak and for
//! errors alike.

use crate::tool::Tool;
use orch_ports::Fault;
use orch_ports::security::{Leak, Range, Scanned, SecretScanner};
use serde::Deserialize;

/// The oldest version that has every flag used here.
const OLDEST: (u32, u32) = (8, 18);
/// From here on its lines are those of the file at the commit (measured: `tests/scanners.rs`).
const EXACT_LINES: (u32, u32) = (8, 30);
/// What it finds without a configuration of its own.
const DEFAULT_RULES: &str = "[extend]\nuseDefault = true\n";

/// gitleaks on `PATH`.
#[derive(Clone, Debug)]
pub struct Gitleaks {
    tool: Tool,
}

impl Gitleaks {
    /// Looks for it in `path` whenever it is asked.
    pub fn new(path: impl Into<String>) -> Self {
        Self { tool: Tool::new("gitleaks", path) }
    }

    /// It works below `dir`, an absolute path, and not in the system's temporary directory: of a process that is killed
    /// something stays there, and is for the owner of `dir` to remove.
    #[must_use]
    pub fn working_in(mut self, dir: &std::path::Path) -> Self {
        self.tool = self.tool.working_in(dir);
        self
    }

    /// Its version; inside: why it cannot be used.
    pub async fn probe(&self) -> Result<Result<String, String>, Fault> {
        self.tool.probe("version", OLDEST).await
    }
}

#[async_trait::async_trait]
impl SecretScanner for Gitleaks {
    fn name(&self) -> &'static str {
        "gitleaks"
    }

    async fn scan(&self, range: &Range<'_>) -> Result<Scanned, Fault> {
        let version = match self.probe().await? {
            Ok(version) => version,
            Err(why) => return Ok(Scanned::Missing { why }),
        };
        let dir = self.tool.scratch()?;
        let write = |name: &str, text: &str| {
            let file = dir.path().join(name);
            std::fs::write(&file, text).map_err(|e| Fault::transient(format!("write {}: {e}", file.display())))?;
            Ok::<_, Fault>(file.display().to_string())
        };
        let config = write("rules.toml", range.rules.unwrap_or(DEFAULT_RULES))?;
        let ignore = write("ignore", "")?;
        let report = dir.path().join("report.json");
        // An ignore file beside the repository is taken whatever it is told, so it stands in a directory that has none.
        let (git_dir, to) = (range.repository.display().to_string(), report.display().to_string());
        let source = dir.path().join("nothing");
        std::fs::create_dir(&source).map_err(|e| Fault::transient(format!("make {}: {e}", source.display())))?;
        let source = source.display().to_string();
        let log = format!("--log-opts=--text -m {}..{}", range.base, range.head);
        let args = [
            "detect",
            "--no-banner",
            "--source",
            &source,
            &log,
            "--config",
            &config,
            "--ignore-gitleaks-allow",
            "--gitleaks-ignore-path",
            &ignore,
            "--redact",
            "--report-format",
            "json",
            "--report-path",
            &to,
        ];
        // It starts git on a repository that may belong to another user, and must not meet anybody's configuration.
        let env = [
            ("GIT_DIR", git_dir.as_str()),
            ("GIT_CONFIG_NOSYSTEM", "1"),
            ("GIT_CONFIG_GLOBAL", "/dev/null"),
            ("GIT_ATTR_NOSYSTEM", "1"),
            ("GIT_NO_REPLACE_OBJECTS", "1"),
            ("GIT_TERMINAL_PROMPT", "0"),
            ("GIT_CONFIG_COUNT", "2"),
            ("GIT_CONFIG_KEY_0", "safe.directory"),
            ("GIT_CONFIG_VALUE_0", "*"),
            ("GIT_CONFIG_KEY_1", "core.attributesFile"),
            ("GIT_CONFIG_VALUE_1", "/dev/null"),
        ];
        let said = self.tool.run(args, dir.path(), &env, range.timeout).await?;
        if let Some(error) = error_in(&said.stderr) {
            return Err(Fault::permanent(format!("gitleaks could not look at everything: {error}")));
        }
        let text = match std::fs::read(&report) {
            Ok(text) => text,
            Err(e) => return Err(Fault::permanent(format!("gitleaks left no report ({e}); it {}", said.end()))),
        };
        let mut leaks =
            read(&text).map_err(|why| Fault::permanent(format!("gitleaks' report cannot be read: {why}")))?;
        let mut parts = version.split('.').map(|part| part.parse().unwrap_or(0));
        if (parts.next().unwrap_or(0), parts.next().unwrap_or(0)) < EXACT_LINES {
            for leak in &mut leaks {
                leak.last_line = None;
                leak.columns = None;
            }
        }
        match (said.code, leaks.is_empty()) {
            (Some(0), true) | (Some(1), false) => Ok(Scanned::Done { by: format!("gitleaks {version}"), leaks }),
            (_, none) => {
                let what = if none { "reported nothing" } else { "reported leaks" };
                Err(Fault::permanent(format!("gitleaks {what} and {}", said.end())))
            }
        }
    }
}

/// The first error it logged.
fn error_in(stderr: &str) -> Option<String> {
    let plain = orch_core::plain::shown(stderr);
    let bad = plain.lines().find(|line| line.split_whitespace().any(|w| matches!(w, "ERR" | "FTL" | "PNC")))?;
    Some(bad.chars().take(300).collect())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Row {
    #[serde(rename = "RuleID")]
    rule: String,
    description: String,
    start_line: u32,
    end_line: u32,
    start_column: u32,
    end_column: u32,
    file: String,
    commit: String,
}

/// A report, strictly: a row that is not understood makes all of it unreadable.
pub fn read(json: &[u8]) -> Result<Vec<Leak>, String> {
    let rows: Vec<Row> = serde_json::from_slice(json).map_err(|e| {
        // What it stumbled over may be a secret.
        format!("line {}, column {}: not what gitleaks writes", e.line(), e.column())
    })?;
    let leak = |row: Row| Leak {
        rule: row.rule,
        description: row.description,
        path: row.file,
        line: (row.start_line != 0).then_some(row.start_line),
        last_line: (row.end_line != 0).then_some(row.end_line),
        columns: (row.start_line == row.end_line).then_some((row.start_column, row.end_column)),
        commit: (!row.commit.is_empty()).then_some(row.commit),
    };
    let mut leaks: Vec<Leak> = rows.into_iter().map(leak).collect();
    // It looks at several files at once and says what it finds as it comes.
    leaks.sort_by(|a, b| (&a.path, a.line, &a.commit, &a.rule).cmp(&(&b.path, b.line, &b.commit, &b.rule)));
    Ok(leaks)
}

#[cfg(test)]
#[path = "gitleaks_tests.rs"]
mod tests;
