//! Did the tester's run pass? Read from the front matter of `13-test-report.md` and from nothing else.

use super::papers::{self, Paper};
use super::{Gate, Look, Meta, Subject};
use crate::project::Project;
use orch_core::ids::GateId;
use orch_core::verdict::{Finding, Verdict};
use orch_ports::Fault;

pub(super) struct TestsPassed;

impl Gate for TestsPassed {
    const META: Meta = Meta { id: GateId::TestsPassed, asks: "did the tester's run pass?" };
    type Evidence = Paper;

    async fn key(look: &Look<'_>) -> Result<String, Fault> {
        papers::patch_key(look).await
    }

    async fn collect(look: &Look<'_>) -> Result<Paper, Fault> {
        Paper::find(look, "13-test-report.md").await
    }

    fn judge(paper: &Paper, _: &Subject, _: &Project) -> Verdict {
        paper.judge("result", "PASS", "FAIL")
    }

    /// What a tester saw that blocks nobody.
    fn notes(paper: &Paper) -> Vec<Finding> {
        paper.notes("result", "PASS", "FAIL")
    }
}
