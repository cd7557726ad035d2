//! Has a person approved exactly this analysis? An approval is bound to the digest of what was shown.

use super::{Gate, Look, Meta, Subject, papers};
use crate::project::Project;
use orch_core::artefact::ANALYSIS;
use orch_core::ids::GateId;
use orch_core::task::{Approval, ApprovalKind};
use orch_core::verdict::{Verdict, WaitFor};
use orch_ports::Fault;
use serde::Serialize;

pub(super) struct AnalysisApproved;

#[derive(Serialize)]
pub(super) struct Evidence {
    shown: String,
    approval: Option<Approval>,
}

impl Gate for AnalysisApproved {
    const META: Meta = Meta { id: GateId::AnalysisApproved, asks: "has a person approved exactly this analysis?" };
    type Evidence = Evidence;

    async fn key(look: &Look<'_>) -> Result<String, Fault> {
        papers::digest(look, ANALYSIS).await
    }

    async fn collect(look: &Look<'_>) -> Result<Evidence, Fault> {
        let task = look.subject.task.as_ref();
        let task = task.ok_or_else(|| Fault::permanent("approvals belong to a task: ask `orch evidence` for it"))?;
        let shown = papers::digest(look, ANALYSIS).await?;
        let approval = task.approved(ApprovalKind::Analysis, &shown).cloned();
        Ok(Evidence { shown, approval })
    }

    fn judge(evidence: &Evidence, _: &Subject, _: &Project) -> Verdict {
        if evidence.approval.is_some() {
            return Verdict::Pass;
        }
        Verdict::Wait { why: WaitFor::Approval { subject: evidence.shown.clone() }, until: None, recheck: None }
    }
}
