//! Do the project's tests pass in a clean checkout of this commit? For projects without CI, or as a second opinion.

use super::{CommandRun, Gate, Look, Meta, ProjectCommand, Subject, papers};
use crate::project::Project;
use orch_artefacts::failing;
use orch_core::ids::{GateId, Sha};
use orch_core::verdict::Verdict;
use orch_ports::Fault;
use serde::Serialize;
use std::collections::BTreeMap;

/// Name of the tests' run.
pub(super) const RUN: &str = "tests";

pub(super) struct TestsLocal;

#[derive(Serialize)]
pub(super) struct Evidence {
    command: Option<String>,
    run: Option<CommandRun>,
}

/// The tests of a project on a commit, as this gate has them run; `None` if it has none.
pub fn command<'a>(project: &'a Project, commit: &'a Sha) -> Option<ProjectCommand<'a>> {
    let line = project.test.as_deref()?;
    let what = format!("tests on {}", commit.short());
    let env = BTreeMap::from([("CI".to_owned(), "true".to_owned())]);
    Some(ProjectCommand { name: RUN, what, line, commit, env, setup: true })
}

impl Gate for TestsLocal {
    const META: Meta = Meta { id: GateId::TestsLocal, asks: "do the tests pass in a clean checkout?" };
    type Evidence = Evidence;

    async fn key(look: &Look<'_>) -> Result<String, Fault> {
        papers::code_key(look).await
    }

    async fn collect(look: &Look<'_>) -> Result<Evidence, Fault> {
        let Some(command) = command(look.project, &look.subject.head) else {
            return Ok(Evidence { command: None, run: None });
        };
        let run = look.bench.run(&command).await?;
        Ok(Evidence { command: Some(command.line.to_owned()), run: Some(run) })
    }

    fn judge(evidence: &Evidence, _: &Subject, _: &Project) -> Verdict {
        match (&evidence.command, &evidence.run) {
            (Some(_), Some(run)) if run.ok => Verdict::Pass,
            (Some(command), Some(run)) => {
                let what = match &run.failed_setup {
                    Some(setup) => format!("the setup `{setup}` failed, so that no test ran: {}", run.end),
                    None => format!("`{command}`: {}", run.end),
                };
                Verdict::Fail { findings: failing::findings(&what, &run.output) }
            }
            _ => Verdict::Skipped { why: "no `test` command is configured; check_ci_green judges".into() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{fails, of, project, subject, unknown};
    use super::*;
    use orch_core::verdict::FaultKind;

    fn judge(command: Option<&str>, ok: Option<bool>) -> Verdict {
        let run = ok.map(|ok| CommandRun {
            ok,
            end: "exit 1".into(),
            tail: String::new(),
            log: String::new(),
            failed_setup: None,
            output: "test cart::total ... FAILED\n1 failed\n".into(),
        });
        TestsLocal::judge(&Evidence { command: command.map(Into::into), run }, &subject(), &project())
    }

    #[test]
    fn red_tests_carry_their_names_the_command_its_end_and_what_it_printed() {
        assert_eq!(judge(Some("make test"), Some(true)), Verdict::Pass);
        assert_eq!(
            fails(&judge(Some("make test"), Some(false))),
            ["failed: test cart::total ... FAILED", "`make test`: exit 1\ntest cart::total ... FAILED\n1 failed"]
        );
        assert!(matches!(judge(None, None), Verdict::Skipped { .. }));
    }

    #[test]
    fn a_setup_that_failed_is_the_cause_and_not_the_tests() {
        let run = CommandRun {
            ok: false,
            end: "exit 1".into(),
            tail: String::new(),
            log: String::new(),
            failed_setup: Some("npm ci".into()),
            output: "npm error code E404\n".into(),
        };
        let verdict =
            TestsLocal::judge(&Evidence { command: Some("npm test".into()), run: Some(run) }, &subject(), &project());
        assert_eq!(fails(&verdict), ["the setup `npm ci` failed, so that no test ran: exit 1\nnpm error code E404"]);
    }

    #[tokio::test]
    async fn tests_that_could_not_run_are_no_red_tests() {
        let (kind, _) = unknown(&of(GateId::TestsLocal, Vec::new()).await.1.verdict);
        assert_eq!(kind, FaultKind::Transient);
    }
}
