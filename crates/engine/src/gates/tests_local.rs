//! Do the project's tests pass in a clean checkout of this commit? For projects without CI, or as a second opinion.

use super::{Gate, Look, Meta, Subject, TestRun, papers};
use crate::project::Project;
use orch_core::ids::GateId;
use orch_core::verdict::{Finding, Verdict};
use orch_ports::Fault;
use serde::Serialize;

pub(super) struct TestsLocal;

#[derive(Serialize)]
pub(super) struct Evidence {
    command: Option<String>,
    run: Option<TestRun>,
}

impl Gate for TestsLocal {
    const META: Meta = Meta { id: GateId::TestsLocal, asks: "do the tests pass in a clean checkout?" };
    type Evidence = Evidence;

    async fn key(look: &Look<'_>) -> Result<String, Fault> {
        papers::code_key(look).await
    }

    async fn collect(look: &Look<'_>) -> Result<Evidence, Fault> {
        let Some(line) = &look.project.test else { return Ok(Evidence { command: None, run: None }) };
        let run = look.bench.run_tests(line, &look.subject.head).await?;
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
