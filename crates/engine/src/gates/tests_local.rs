//! Do the project's tests pass in a clean checkout of this commit? For projects without CI, or as a second opinion.

use super::{CommandRun, Gate, Look, Meta, ProjectCommand, Subject, papers};
use crate::project::Project;
use orch_core::ids::GateId;
use orch_core::verdict::{Finding, Verdict};
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

impl Gate for TestsLocal {
    const META: Meta = Meta { id: GateId::TestsLocal, asks: "do the tests pass in a clean checkout?" };
    type Evidence = Evidence;

    async fn key(look: &Look<'_>) -> Result<String, Fault> {
        papers::code_key(look).await
    }

    async fn collect(look: &Look<'_>) -> Result<Evidence, Fault> {
        let Some(line) = &look.project.test else { return Ok(Evidence { command: None, run: None }) };
        let commit = &look.subject.head;
        let what = format!("tests on {}", commit.short());
        let env = BTreeMap::from([("CI".to_owned(), "true".to_owned())]);
        let run = look.bench.run(&ProjectCommand { name: RUN, what, line, commit, env }).await?;
        Ok(Evidence { command: Some(line.clone()), run: Some(run) })
    }

    fn judge(evidence: &Evidence, _: &Subject, _: &Project) -> Verdict {
        match (&evidence.command, &evidence.run) {
            (Some(_), Some(run)) if run.ok => Verdict::Pass,
            (Some(command), Some(run)) => {
                let text = format!("`{command}`: {}\n{}", run.end, run.tail);
                Verdict::Fail { findings: vec![Finding::must_fix(text)] }
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
            tail: "1 failed".into(),
            log: String::new(),
            output: String::new(),
        });
        TestsLocal::judge(&Evidence { command: command.map(Into::into), run }, &subject(), &project())
    }

    #[test]
    fn red_tests_carry_command_end_and_tail() {
        assert_eq!(judge(Some("make test"), Some(true)), Verdict::Pass);
        assert_eq!(fails(&judge(Some("make test"), Some(false))), ["`make test`: exit 1\n1 failed"]);
        assert!(matches!(judge(None, None), Verdict::Skipped { .. }));
    }

    #[tokio::test]
    async fn tests_that_could_not_run_are_no_red_tests() {
        let (kind, _) = unknown(&of(GateId::TestsLocal, Vec::new()).await.1.verdict);
        assert_eq!(kind, FaultKind::Transient);
    }
}
