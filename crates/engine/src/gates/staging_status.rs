//! Did this revision come up on staging? Read from the front matter of `15-staging-log.md` that this deploy wrote.

use super::gate::{Gate, Look, Meta, Subject};
use super::papers::{Paper, code_key};
use crate::project::Project;
use orch_core::ids::GateId;
use orch_core::verdict::{Finding, Verdict};
use orch_ports::Fault;

pub(super) struct StagingStatus;

impl Gate for StagingStatus {
    const META: Meta = Meta { id: GateId::StagingStatus, asks: "did this revision come up on staging?" };
    type Evidence = Paper;

    async fn key(look: &Look<'_>) -> Result<String, Fault> {
        let run = look.subject.task.as_ref().and_then(|t| t.run).unwrap_or(0);
        Ok(format!("{} run {run}", code_key(look).await?))
    }

    async fn collect(look: &Look<'_>) -> Result<Paper, Fault> {
        Paper::find(look, "15-staging-log.md").await
    }

    fn judge(paper: &Paper, _: &Subject, project: &Project) -> Verdict {
        if project.deploy.staging.is_none() {
            return Verdict::Skipped { why: "nothing to deploy: no staging hook is configured".into() };
        }
        paper.judge("staging_status", "SUCCESS", "FAILED")
    }

    /// Waivers.
    fn notes(paper: &Paper) -> Vec<Finding> {
        paper.notes("staging_status", "SUCCESS", "FAILED")
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{project, subject};
    use super::*;

    #[test]
    fn without_a_hook_there_is_nothing_to_judge_and_it_says_so() {
        let mut p = project();
        p.deploy.staging = None;
        let paper = Paper { name: "15-staging-log.md", sha256: None, text: None, bytes: None };
        assert!(matches!(StagingStatus::judge(&paper, &subject(), &p), Verdict::Skipped { .. }));
    }
}
