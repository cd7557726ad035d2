//! A person's own branch that a task lands: which branch, and exactly where it stood when a person asked for it. orch never
//! writes to that branch and never deletes it: what is tested, brought to the tip of the default branch and merged is a copy
//! on a branch of orch's own. What is pushed to the person's branch later lands only when it is asked for again.

use crate::ids::{Actor, GateId, Sha, StageId};
use crate::pipeline::{Pipeline, Stage, Step};
use crate::plain::is_odd;
use serde::{Deserialize, Serialize};

/// A branch that a person wants landed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Its name on the forge.
    pub name: String,
    /// The commit that a person asked for: this one, and no later one.
    pub head: Sha,
    /// Who asked for it to be landed: they answer for what is in it, and another person approves it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub asked_by: Vec<Actor>,
}

impl Source {
    /// The branch as it is asked for.
    pub fn new(name: impl Into<String>, head: Sha) -> Self {
        Self { name: name.into(), head, asked_by: Vec::new() }
    }
}

/// How the text of a ticket begins that was made to land a branch.
const TICKET: &str = "Lands the branch ";
/// What it says, too.
const NO_AGENT: &str = "No agent works on it.";

/// First lines of the ticket of a landing; `branch` is its name as it may stand in Markdown.
pub fn ticket_text(branch: &str, head: &Sha) -> String {
    format!("{TICKET}{branch} as it stood at {head}. {NO_AGENT}\n")
}

/// Was this ticket made to land a branch? Then no agent begins with it, also where nobody knows its task any more.
pub fn is_of_landing(body: &str) -> bool {
    let first = body.lines().next().unwrap_or_default();
    first.starts_with(TICKET) && first.trim_end().ends_with(NO_AGENT)
}

/// Longest name of a branch that is landed, bytes: it is in messages, in file names of git, and in every step of the task.
const NAME: usize = 200;

/// What is wrong with the name of a branch that comes from outside; nothing if it can be one. The rules are those of
/// `git check-ref-format --branch`, and that it can be shown on a terminal as it is.
#[expect(clippy::case_sensitive_file_extension_comparisons, reason = "git compares these letters as they are")]
pub fn odd_name(name: &str) -> Option<String> {
    let bad = |why: &str| Some(format!("`{}` is no name of a branch: {why}", name.escape_debug()));
    if name.is_empty() {
        return Some("the name of the branch is empty".into());
    }
    if NAME < name.len() {
        return Some(format!("the name of the branch is {} bytes long, and {NAME} are the most", name.len()));
    }
    if name.starts_with("refs/") {
        return bad("say the name alone, without `refs/heads/`");
    }
    if name.starts_with('-') || name == "@" || name == "HEAD" {
        return bad("git takes it for something else");
    }
    if let Some(c) = name.chars().find(|c| c.is_whitespace() || is_odd(*c) || "~^:?*[\\".contains(*c)) {
        return bad(&format!("it holds `{}`", c.escape_debug()));
    }
    if name.contains("..") || name.contains("@{") || name.contains("//") {
        return bad("it holds `..`, `@{` or `//`");
    }
    if name.split('/').any(|part| part.is_empty() || part.starts_with('.') || part.ends_with(".lock"))
        || name.ends_with('.')
    {
        return bad("a part of it is empty, begins or ends with a dot, or ends with `.lock`");
    }
    None
}

/// A word as a shell reads it: as it is where nothing in it means anything to a shell, else in quotes.
pub fn shell_word(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=+@,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

impl Pipeline {
    /// The same way for a change that no agent writes: without agents, and without the gates that read what agents write. A gate
    /// that says no goes back to the first stage, which takes the person's branch.
    #[must_use]
    pub fn without_agents(&self) -> Self {
        let first = self.stages.first().map_or_else(|| StageId::from("created"), |s| s.id.clone());
        let kept = |step: &Step| -> Option<Step> {
            match step {
                Step::Agent { .. }
                | Step::Publish
                | Step::Gate {
                    gate:
                        GateId::AnalysisComplete
                        | GateId::AnalysisApproved
                        | GateId::ArchitectureDone
                        | GateId::ReviewerVerdict
                        | GateId::TestsPassed,
                    ..
                } => None,
                Step::Gate { gate, on_inconclusive, exact, .. } => {
                    let (gate, on_inconclusive, exact) = (*gate, *on_inconclusive, *exact);
                    Some(Step::Gate { gate, on_fail: first.clone(), on_inconclusive, exact })
                }
                Step::Open
                | Step::PullRequest
                | Step::Deploy { .. }
                | Step::Restage
                | Step::Update
                | Step::Merge
                | Step::ApproveProduction
                | Step::Watch => Some(step.clone()),
            }
        };
        let stages = self.stages.iter().filter_map(|stage| {
            let steps: Vec<Step> = stage.steps.iter().filter_map(kept).collect();
            (!steps.is_empty()).then(|| Stage { id: stage.id.clone(), steps })
        });
        Self { name: format!("{} without agents", self.name), stages: stages.collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_of_a_persons_branch_has_every_gate_but_those_that_read_what_agents_write() {
        let steps = |pipeline: &Pipeline| -> Vec<String> {
            let shown = |s: &Stage| {
                let steps = s.steps.iter().map(|step| match step {
                    Step::Gate { gate, exact, on_fail, .. } => {
                        assert_eq!(on_fail.as_str(), "created");
                        format!("{gate}{}", if *exact { "!" } else { "" })
                    }
                    other => serde_json::to_value(other).unwrap()["step"].as_str().unwrap().to_owned(),
                });
                format!("{}: {}", s.id, steps.collect::<Vec<_>>().join(" "))
            };
            pipeline.stages.iter().map(shown).collect()
        };
        let full = Pipeline::full().without_agents();
        assert_eq!(full.problems(), Vec::<String>::new());
        assert_eq!(
            steps(&full),
            [
                "created: open",
                "development: pull-request check_ci_green check_tests_local",
                "review: check_review_approved",
                "deploy-staging: deploy check_staging_status check_security_gate update check_ci_green! \
                 check_tests_local! check_security_gate! restage check_branch_mergeable! \
                 check_staging_image_fresh! merge",
                "deploy: approve-production deploy check_deploy_status",
                "done: watch",
            ]
        );
        let lite = Pipeline::lite().without_agents();
        assert_eq!(lite.problems(), Vec::<String>::new());
        assert_eq!(
            steps(&lite)[2],
            "review: check_security_gate update check_ci_green! check_tests_local! check_security_gate! \
             check_branch_mergeable! merge"
        );
    }

    #[test]
    fn a_name_that_git_or_a_terminal_reads_otherwise_is_refused_and_every_other_is_taken() {
        for fine in ["fix", "anna/fix-1", "fix@2", "a.b", "größe", "x'y", "a$(b)", "dependabot/npm/@types/node-1.2"] {
            assert_eq!(odd_name(fine), None, "{fine}");
        }
        for odd in [
            "",
            "-x",
            "a b",
            "a..b",
            "a~1",
            "a^",
            "a:b",
            "refs/heads/a",
            "HEAD",
            "@",
            "a@{1}",
            "/a",
            "a/",
            "a//b",
            ".a",
            "a/.b",
            "a.lock",
            "a.",
            "a\u{202e}b",
            "a\nb",
            "a\u{200b}",
            "a[b",
            "a\\b",
            "a*",
        ] {
            assert!(odd_name(odd).is_some(), "{odd:?}");
        }
        assert!(odd_name(&"x".repeat(201)).is_some());
    }

    #[test]
    fn the_ticket_of_a_landing_is_known_by_its_text() {
        let text = ticket_text("`anna/fix`", &Sha::new("1a2b"));
        assert!(is_of_landing(&text) && is_of_landing(&format!("{text}\nIts commits:\n")));
        assert!(
            !is_of_landing("Lands the branch of the bank")
                && !is_of_landing("")
                && !is_of_landing(&format!("x\n{text}"))
        );
    }

    #[test]
    fn a_word_in_a_hint_can_be_pasted_into_a_shell() {
        assert_eq!(shell_word("anna/fix-1"), "anna/fix-1");
        assert_eq!(shell_word("a$(b)"), "'a$(b)'");
        assert_eq!(shell_word("x'y"), "'x'\\''y'");
        assert_eq!(shell_word(""), "''");
    }
}
