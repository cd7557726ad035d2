//! Do the project's tests pass in a clean checkout of this commit? For projects without CI, or as a second opinion.

use super::bench::{CommandRun, ProjectCommand};
use super::gate::{Gate, Look, Meta, Subject};
use super::papers;
use crate::parts::{self, Of, Touched};
use crate::project::Project;
use crate::quarantine;
use crate::trial::{Trial, Tried};
use orch_core::blame::Blame;
use orch_core::ids::{GateId, Sha};
use orch_core::run_of::RunOf;
use orch_core::task::Task;
use orch_core::verdict::Verdict;
use orch_ports::Fault;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// Name of the tests' run.
pub(super) const RUN: &str = "tests";

pub(super) struct TestsLocal;

#[derive(Serialize)]
pub(super) struct Evidence {
    command: Option<String>,
    /// The parts whose tests were run, where not all were.
    #[serde(skip_serializing_if = "Option::is_none")]
    parts: Option<BTreeSet<String>>,
    #[serde(flatten)]
    tried: Option<Tried>,
    /// What it saw less than it should.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    degraded: Vec<String>,
}

/// Tests on a commit, as this gate has them run. `line` is what [`Project::whole`] gives.
pub fn command<'a>(line: &'a str, commit: &'a Sha) -> ProjectCommand<'a> {
    let what = RunOf::Tests(commit.short().to_string());
    let env = BTreeMap::from([("CI".to_owned(), "true".to_owned())]);
    ProjectCommand { name: RUN.to_owned(), what, line, commit, env, setup: true }
}

/// What is run here: in the merge everything, and before that the tests of what the branch touches.
async fn touched(look: &Look<'_>) -> Result<Touched, Fault> {
    let s = &look.subject;
    let again = s.task.as_ref().is_some_and(|t| t.pipeline.judges_again(GateId::TestsLocal));
    if s.exact || !again {
        return Ok(Touched::All);
    }
    let project = look.project;
    parts::touched(&project.parts, (look.git, &project.key), &s.base, &s.head, &s.artefact_dir).await
}

impl Gate for TestsLocal {
    const META: Meta = Meta { id: GateId::TestsLocal, asks: "do the tests pass in a clean checkout?" };
    type Evidence = Evidence;

    async fn key(look: &Look<'_>) -> Result<String, Fault> {
        let quarantine = quarantine::identity(&look.bench.quarantine().await?);
        let key = papers::code_key(look).await?;
        // What is green because of a quarantine is not green without it.
        let key = if quarantine.is_empty() { key } else { format!("{key} quarantine {quarantine}") };
        Ok(match touched(look).await? {
            Touched::All => key,
            // What is green for some parts is no answer for others.
            Touched::Only(parts) => format!("{key} parts {}", names(&parts)),
        })
    }

    async fn collect(look: &Look<'_>) -> Result<Evidence, Fault> {
        let (subject, project) = (&look.subject, look.project);
        let touched = touched(look).await?;
        let parts = match &touched {
            Touched::All => None,
            Touched::Only(parts) => Some(parts.clone()),
        };
        let Some(run) = project.run(Of::Test, &touched) else {
            return Ok(Evidence { command: None, parts, tried: None, degraded: Vec::new() });
        };
        let trial = Trial {
            name: RUN,
            what: RunOf::Tests,
            run: &run,
            env: command(&run.line, &subject.head).env,
            tells_revision: false,
            project: &project.key,
            git: look.git,
            bench: look.bench,
            head: &subject.head,
            base: &subject.base,
            is_base: false,
            // What is prepared for the merge stands on the tip; everything else is judged again there.
            tip: (!subject.exact && subject.task.as_ref().is_some_and(|t| t.pipeline.judges_again(GateId::TestsLocal)))
                .then_some(&subject.tip),
            artefact_dir: &subject.artefact_dir,
            repairs_base: subject.task.as_ref().is_some_and(Task::repairs_base),
        };
        let tried = trial.run().await?;
        if tried.is_green_by_itself() {
            look.bench.was_green(&subject.head, &run.line).await?;
        }
        let degraded = tried.degraded().into_iter().collect();
        Ok(Evidence { command: Some(run.shown), parts, tried: Some(tried), degraded })
    }

    fn judge(evidence: &Evidence, _: &Subject, project: &Project) -> Verdict {
        let (Some(command), Some(tried)) = (&evidence.command, &evidence.tried) else {
            let why = match &evidence.parts {
                Some(parts) if project.whole(Of::Test).is_some() => {
                    let what = if parts.is_empty() { "no part".to_owned() } else { format!("only {}", names(parts)) };
                    format!("it touches {what}, and nothing there has tests; all parts are tested in the merge")
                }
                _ => "no `test` command is configured; check_ci_green judges".to_owned(),
            };
            return Verdict::Skipped { why };
        };
        match &tried.blame {
            Blame::Green | Blame::Chance { .. } | Blame::BaseBefore => Verdict::Pass,
            Blame::Branch { .. } => Verdict::Fail { findings: tried.findings(&failed(command, &tried.run)) },
            Blame::Base | Blame::Unlucky { .. } | Blame::Machine { .. } | Blame::Run { .. } => {
                let fault = tried.cannot(command).unwrap_or_else(|| Fault::bug("the tests were not run").note());
                Verdict::Inconclusive { fault }
            }
        }
    }

    fn warns(evidence: &Evidence) -> Option<String> {
        evidence.degraded.first().cloned()
    }
}

fn names(parts: &BTreeSet<String>) -> String {
    parts.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}

/// What failed, and how it ended.
fn failed(command: &str, run: &CommandRun) -> String {
    match &run.failed_setup {
        Some(setup) => format!("the setup `{setup}` failed, so that no test ran: {}", run.end),
        None => format!("`{command}`: {}", run.end),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{HEAD, OTHER, fails, of, project, subject, unknown};
    use super::*;
    use crate::trial::Line;
    use orch_core::blame::Tree;
    use orch_core::verdict::FaultKind;

    fn evidence(blame: Blame, ok: bool, failed_setup: Option<&str>, output: &str) -> Evidence {
        let run = CommandRun {
            ok,
            exited: true,
            end: "exit 1".into(),
            tail: String::new(),
            log: String::new(),
            failed_setup: failed_setup.map(Into::into),
            took_ms: 0,
            lacked: None,
            output: output.into(),
        };
        let failed = if ok { BTreeSet::new() } else { orch_artefacts::named::names(output) };
        let line = |tree, commit: &str| Line {
            tree,
            commit: commit.into(),
            ok,
            end: "exit 1".into(),
            log: String::new(),
            failed: failed.clone(),
        };
        let runs = vec![line(Tree::Branch, HEAD), line(Tree::Branch, HEAD), line(Tree::Base, OTHER)];
        let tried = Tried { blame, run, runs, let_be: BTreeMap::new() };
        let degraded = tried.degraded().into_iter().collect();
        Evidence { command: Some("make test".into()), parts: None, tried: Some(tried), degraded }
    }
    fn judge(evidence: &Evidence) -> Verdict {
        TestsLocal::judge(evidence, &subject(), &project())
    }
    const RED: &str = "test cart::total ... FAILED\n1 failed\n";

    #[test]
    fn red_tests_carry_their_names_the_command_its_end_and_what_it_printed() {
        assert_eq!(judge(&evidence(Blame::Green, true, None, "")), Verdict::Pass);
        assert_eq!(
            fails(&judge(&evidence(Blame::Branch { flaky: BTreeSet::new() }, false, None, RED))),
            ["failed: test cart::total ... FAILED", "`make test`: exit 1\ntest cart::total ... FAILED\n1 failed"]
        );
        let none = Evidence { command: None, parts: None, tried: None, degraded: Vec::new() };
        assert!(matches!(judge(&none), Verdict::Skipped { .. }));
        let none = Evidence { parts: Some(BTreeSet::from(["web".to_owned()])), ..none };
        let why = |p: &Project| match TestsLocal::judge(&none, &subject(), p) {
            Verdict::Skipped { why } => why,
            other => panic!("{other:?}"),
        };
        assert!(why(&project()).contains("it touches only web") && why(&project()).contains("tested in the merge"));
        let untested = Project { test: None, ..project() };
        assert!(why(&untested).contains("no `test` command"), "nothing tests it in the merge either");
    }

    #[test]
    fn a_setup_that_failed_is_the_cause_and_not_the_tests() {
        let red = evidence(Blame::Branch { flaky: BTreeSet::new() }, false, Some("npm ci"), "npm error code E404\n");
        assert_eq!(
            fails(&judge(&red)),
            ["the setup `npm ci` failed, so that no test ran: exit 1\nnpm error code E404"]
        );
    }

    #[test]
    fn what_is_not_the_branchs_fault_is_no_finding_and_says_whose_it_is() {
        let tests = BTreeSet::from(["cart::total".to_owned()]);
        let (kind, text) = unknown(&judge(&evidence(Blame::Base, false, None, RED)));
        assert_eq!(kind, FaultKind::Permanent, "the job is not done again at once");
        assert_eq!(text, "the base itself fails: `make test` on 2222222222: exit 1: cart::total; 1 failed");
        let (_, text) = unknown(&judge(&evidence(Blame::Unlucky { tests: tests.clone() }, false, None, RED)));
        assert!(text.ends_with("failed in 2 runs of the same tree: cart::total"), "{text}");
        let full = Blame::Machine { lacked: "12 bytes are free in /x".into() };
        let (_, text) = unknown(&judge(&evidence(full, false, None, RED)));
        assert_eq!(text, "`make test`: exit 1, and 12 bytes are free in /x");

        let chance = evidence(Blame::Chance { tests: tests.clone() }, false, None, RED);
        assert_eq!(judge(&chance), Verdict::Pass);
        assert_eq!(chance.degraded, ["failed by chance: 2 of 2 runs of the same tree failed: cart::total"]);
        assert_eq!(TestsLocal::warns(&chance).as_ref(), chance.degraded.first());
        let mine = fails(&judge(&evidence(Blame::Branch { flaky: tests }, false, None, RED)));
        assert!(mine[0].starts_with("flaky since this branch: cart::total failed in 2 of 2 runs"), "{mine:?}");
    }

    #[tokio::test]
    async fn tests_that_could_not_run_are_no_red_tests() {
        let (kind, _) = unknown(&of(GateId::TestsLocal, Vec::new()).await.1.verdict);
        assert_eq!(kind, FaultKind::Transient);
    }
}
