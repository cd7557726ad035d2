//! Has a person approved exactly this analysis? An approval is bound to the digest of what was shown.

use super::gate::{Gate, Look, Meta, Subject};
use super::papers;
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
        // Returned to analysis, the same documents are approved anew.
        let returned = look.subject.task.as_ref().map_or(0, |t| t.findings.returned.len());
        let again = if returned == 0 { String::new() } else { format!(" again {returned}") };
        Ok(format!("{}{again}", papers::digest(look, ANALYSIS).await?))
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
        let why =
            WaitFor::Approval { what: ApprovalKind::Analysis, subject: evidence.shown.clone(), shown: Vec::new() };
        Verdict::Wait { why, until: None, recheck: None }
    }
}

#[cfg(test)]
mod tests {
    use super::super::find;
    use super::super::gate::Subject;
    use super::super::testing::{Papers, over, project, subject, task, unknown};
    use super::*;
    use orch_core::ids::Time;

    #[test]
    fn without_an_approval_it_waits_for_a_person_and_shows_what_for() {
        let evidence = Evidence { shown: "abc".into(), approval: None };
        let verdict = AnalysisApproved::judge(&evidence, &subject(), &project());
        let why = WaitFor::Approval { what: ApprovalKind::Analysis, subject: "abc".into(), shown: Vec::new() };
        assert_eq!(verdict, Verdict::Wait { why, until: None, recheck: None });
    }

    #[tokio::test]
    async fn an_approval_holds_for_exactly_what_was_shown() {
        let gate = find(GateId::AnalysisApproved).unwrap();
        let with = |shown: &str, what| {
            let approval = Approval { what, subject: shown.into(), by: "local:anna".into(), at: Time(1) };
            Subject { task: Some(orch_core::task::Task { approvals: vec![approval], ..task() }), ..subject() }
        };
        let papers = || Papers(vec![("01-brd.md", "a")]);
        let shown = over(gate, papers(), subject()).await.0.unwrap();
        let kind = ApprovalKind::Analysis;
        assert_eq!(over(gate, papers(), with(&shown, kind)).await.1.verdict, Verdict::Pass);
        let wait = |v: &Verdict| matches!(v, Verdict::Wait { .. });
        assert!(wait(&over(gate, papers(), with("older", kind)).await.1.verdict));
        assert!(wait(&over(gate, papers(), with(&shown, ApprovalKind::Production)).await.1.verdict));
        assert!(wait(&over(gate, Papers(vec![("01-brd.md", "b")]), with(&shown, kind)).await.1.verdict));
    }

    #[tokio::test]
    async fn by_hand_there_is_nobody_who_approved() {
        let alone = Subject { task: None, ..subject() };
        unknown(&over(find(GateId::AnalysisApproved).unwrap(), Papers(Vec::new()), alone).await.1.verdict);
    }
}
