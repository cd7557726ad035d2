//! Is every required check of this very commit green on the forge? Nothing reported yet is a wait with a deadline, and
//! after it a question for a person; it never costs the developer a round.

use super::{Gate, Look, Meta, Subject};
use crate::project::Project;
use orch_core::ids::GateId;
use orch_core::verdict::{FaultKind, FaultNote, Finding, Verdict, WaitFor};
use orch_ports::Fault;
use orch_ports::forge::{CommitStatus, StatusState};
use serde::Serialize;

/// How soon to look again, milliseconds, if no event comes first.
const RECHECK_MS: i64 = 5_000;

pub(super) struct CiGreen;

#[derive(Serialize)]
pub(super) struct Evidence {
    statuses: Vec<CommitStatus>,
}

impl Gate for CiGreen {
    const META: Meta = Meta { id: GateId::CiGreen, asks: "are the required checks of this commit green?" };
    type Evidence = Evidence;

    /// Statuses belong to the commit itself.
    async fn key(look: &Look<'_>) -> Result<String, Fault> {
        Ok(format!("commit {}", look.subject.head))
    }

    async fn collect(look: &Look<'_>) -> Result<Evidence, Fault> {
        Ok(Evidence { statuses: look.project.forge.statuses(&look.project.key, &look.subject.head).await? })
    }

    fn judge(evidence: &Evidence, subject: &Subject, project: &Project) -> Verdict {
        if project.policy.own_ci && project.ci.is_none() && project.ci_required.is_empty() {
            return Verdict::Skipped { why: "no `ci` command is configured; check_tests_local judges".into() };
        }
        let required = |s: &&CommitStatus| project.ci_required.is_empty() || project.ci_required.contains(&s.context);
        let known: Vec<&CommitStatus> = evidence.statuses.iter().filter(required).collect();
        let red: Vec<Finding> = known
            .iter()
            .filter(|s| matches!(s.state, StatusState::Failure))
            .map(|s| Finding {
                id: Some(s.context.clone()),
                ..Finding::must_fix(format!("the check `{}` is red: {}", s.context, s.description))
            })
            .collect();
        if !red.is_empty() {
            return Verdict::Fail { findings: red };
        }
        if let Some(broken) = known.iter().find(|s| s.state == StatusState::Error) {
            let text = format!("the check `{}` could not run: {}", broken.context, broken.description);
            return Verdict::Inconclusive { fault: FaultNote { kind: FaultKind::Transient, text } };
        }
        let open: Vec<String> = if project.ci_required.is_empty() {
            let pending = known.iter().filter(|s| s.state == StatusState::Pending).map(|s| s.context.clone());
            if known.is_empty() { vec!["any check".into()] } else { pending.collect() }
        } else {
            let green = |name: &&String| {
                known
                    .iter()
                    .any(|s| s.context == **name && matches!(s.state, StatusState::Success | StatusState::Skipped))
            };
            project.ci_required.iter().filter(|n| !green(n)).cloned().collect()
        };
        if open.is_empty() {
            return Verdict::Pass;
        }
        let what = format!("CI on {}: {}", subject.head.short(), open.join(", "));
        let until = subject.since.plus_ms(project.ci_wait_ms);
        if until <= subject.now {
            let text = format!("{what} was not reported in {} s", project.ci_wait_ms / 1000);
            return Verdict::Inconclusive { fault: FaultNote { kind: FaultKind::Transient, text } };
        }
        let recheck = Some(subject.now.plus_ms(RECHECK_MS));
        Verdict::Wait { why: WaitFor::Report { what }, until: Some(until), recheck }
    }
}
