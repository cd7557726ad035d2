//! What an agent's tools may do: the answers to its requests for permission. A fence against mistakes, not against malice: a
//! shell line can do whatever its user can, until a sandbox stands around it. Asked are only calls that the program itself
//! does not take for harmless.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::path::{Component, Path, PathBuf};

/// Where an agent may write, and what it may not run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Rules {
    /// Tools it has.
    pub tools: Vec<String>,
    /// Directories and files in which it may write.
    pub places: Vec<PathBuf>,
    /// Where it works: paths that are not absolute are below it.
    pub worktree: PathBuf,
    /// Beginnings of commands that it may not run.
    pub deny: Vec<String>,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Yes.
    Allow,
    /// No, with the reason for the model.
    Deny(String),
}

impl Rules {
    /// The answer to a wish.
    pub fn answer(&self, tool: &str, input: &Value) -> Answer {
        if !self.tools.iter().any(|t| t == tool) {
            return Answer::Deny(format!("the tool {tool} is not given to this role"));
        }
        match tool {
            "Bash" => self.command(input.get("command").and_then(Value::as_str).unwrap_or_default()),
            "Write" | "Edit" | "NotebookEdit" => {
                let path = ["file_path", "notebook_path"].iter().find_map(|key| input.get(key).and_then(Value::as_str));
                match path {
                    Some(path) => self.write(Path::new(path)),
                    None => Answer::Deny("the call names no file".into()),
                }
            }
            _ => Answer::Allow,
        }
    }

    fn command(&self, line: &str) -> Answer {
        let words = |text: &str| text.split_whitespace().map(ToOwned::to_owned).collect::<Vec<_>>();
        let parts = line.split(['\n', ';', '&', '|', '(', ')']);
        let denied = parts.map(words).find_map(|part| self.deny.iter().find(|deny| part.starts_with(&words(deny))));
        match denied {
            Some(deny) => Answer::Deny(format!("`{deny}` is not for agents: orch does it")),
            None => Answer::Allow,
        }
    }

    fn write(&self, path: &Path) -> Answer {
        let Some(path) = plain(&self.worktree.join(path)) else {
            return Answer::Deny("the path leaves its own root".into());
        };
        if path.starts_with(self.worktree.join(".git")) {
            return Answer::Deny("the files of git are not for agents".into());
        }
        if self.places.iter().any(|place| path.starts_with(place)) {
            return Answer::Allow;
        }
        let first = self.places.first().map(|p| p.display().to_string()).unwrap_or_default();
        Answer::Deny(format!("files are written below {first} only, or as the brief names them"))
    }
}

/// A path without `.` and `..`, by its words alone; links are not followed.
fn plain(path: &Path) -> Option<PathBuf> {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                if !out.pop() {
                    return None;
                }
            }
            Component::CurDir => {}
            other => out.push(other),
        }
    }
    Some(out)
}

/// Two shell lines that mean the same words: for seeing that a command that was refused runs the test command.
pub fn runs(line: &str, command: &str) -> bool {
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let (line, command) = (words(line), words(command));
    !command.is_empty() && line.contains(&command)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn rules() -> Rules {
        Rules {
            tools: ["Bash", "Read", "Write", "Edit"].map(Into::into).into(),
            places: ["/w/tree", "/runs/1-1-1/tmp", "/runs/1-1-1/result.json"].map(PathBuf::from).into(),
            worktree: "/w/tree".into(),
            deny: vec!["git push".into(), "sudo".into()],
        }
    }

    #[test]
    fn an_agent_writes_where_its_brief_says_and_nowhere_else() {
        for (path, may) in [
            ("src/a.rs", true),
            ("/w/tree/src/a.rs", true),
            ("/runs/1-1-1/result.json", true),
            ("/runs/1-1-1/tmp/x", true),
            ("/runs/1-1-1/spec.json", false),
            ("/w/tree/../other/x", false),
            ("../../etc/passwd", false),
            ("/w/tree2/x", false),
            ("/w/tree/.git/hooks/pre-commit", false),
            ("src/../.git/config", false),
        ] {
            for tool in ["Write", "Edit"] {
                let answer = rules().answer(tool, &json!({"file_path": path}));
                assert_eq!(answer == Answer::Allow, may, "{tool} {path}: {answer:?}");
            }
        }
        assert!(matches!(rules().answer("Write", &json!({})), Answer::Deny(_)));
    }

    #[test]
    fn commands_run_but_those_that_are_orchs_and_tools_that_were_not_given() {
        let may = |line: &str| rules().answer("Bash", &json!({"command": line})) == Answer::Allow;
        for line in ["make test", "python3 -c 'print(1)'", "git commit -m 'git push later'", "git pushx"] {
            assert!(may(line), "{line}");
        }
        for line in ["git push", "true && git  push origin x", "(sudo ls)", "echo a; git push"] {
            assert!(!may(line), "{line}");
        }
        assert!(matches!(rules().answer("WebFetch", &json!({})), Answer::Deny(_)));
    }

    #[test]
    fn the_test_command_is_known_in_a_longer_line() {
        assert!(runs("cd /w && make   test 2>&1 | tail", "make test"));
        assert!(!runs("make lint", "make test") && !runs("make test", ""));
    }
}
