//! Does the reviewer approve what this branch changes? Read from the front matter of `12-review.md` and from nothing else.

use super::papers::{self, Paper};
use super::{Gate, Look, Meta, Subject};
use crate::project::Project;
use orch_core::ids::GateId;
use orch_core::verdict::Verdict;
use orch_ports::Fault;

pub(super) struct ReviewerVerdict;

impl Gate for ReviewerVerdict {
    const META: Meta = Meta { id: GateId::ReviewerVerdict, asks: "does the reviewer approve?" };
    type Evidence = Paper;

    async fn key(look: &Look<'_>) -> Result<String, Fault> {
        papers::patch_key(look).await
    }

    async fn collect(look: &Look<'_>) -> Result<Paper, Fault> {
        Paper::find(look, "12-review.md").await
    }

    fn judge(paper: &Paper, _: &Subject, _: &Project) -> Verdict {
        paper.judge("verdict", "APPROVED", "REQUEST_CHANGES")
    }
}
