//! Does production run what was merged? The deploy's own word, then the world: the merge commit is on the default
//! branch, and the service reports its revision.

use super::papers::Paper;
use super::{Gate, Look, Meta, Subject};
use crate::project::Project;
use orch_core::ids::GateId;
use orch_core::verdict::{FaultKind, FaultNote, Finding, Verdict};
use orch_ports::Fault;
use serde::Serialize;

/// Longest wait for the service's answer, milliseconds.
const PROBE_MS: u64 = 10_000;

pub(super) struct DeployStatus;

#[derive(Serialize)]
pub(super) struct Evidence {
    paper: Paper,
    on_default_branch: bool,
    service: Service,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Service {
    /// No `health_url`.
    NotAsked,
    Says {
        status: u16,
        revision: Option<String>,
        /// Is that another commit, which contains the one that is judged? A later task may have been deployed since.
        later: bool,
    },
    Down(String),
    Unknown(String),
}

impl Gate for DeployStatus {
    const META: Meta = Meta { id: GateId::DeployStatus, asks: "does production run what was merged?" };
    type Evidence = Evidence;

    async fn key(look: &Look<'_>) -> Result<String, Fault> {
        let run = look.subject.task.as_ref().and_then(|t| t.run).unwrap_or(0);
        Ok(format!("revision {} run {run}", look.subject.head))
    }

    async fn collect(look: &Look<'_>) -> Result<Evidence, Fault> {
        let project = &look.project.key;
        let branch = look.project.forge.default_branch(project).await?;
        let tip = look.git.forge_branch(project, &branch).await?;
        let on_default_branch = match &tip {
            Some(tip) => look.git.is_ancestor(project, &look.subject.head, tip).await?,
            None => false,
        };
        let service = match &look.project.deploy.health_url {
            None => Service::NotAsked,
            Some(url) => match look.probe.get(url, PROBE_MS).await {
                Ok(answer) => {
                    let later = match &answer.revision {
                        Some(running) => later(look, running).await?,
                        None => false,
                    };
                    Service::Says { status: answer.status, revision: answer.revision, later }
                }
                Err(fault) if fault.is_transient() => Service::Unknown(fault.text),
                Err(fault) => Service::Down(fault.text),
            },
        };
        Ok(Evidence { paper: Paper::find(look, "14-deploy-log.md").await?, on_default_branch, service })
    }

    fn judge(evidence: &Evidence, subject: &Subject, project: &Project) -> Verdict {
        let fail = |text: String| Verdict::Fail { findings: vec![Finding::must_fix(text)] };
        if !evidence.on_default_branch {
            let text = format!("{} is not on the default branch", subject.head.short());
            return Verdict::Inconclusive { fault: FaultNote { kind: FaultKind::Permanent, text } };
        }
        if project.deploy.production.is_none() {
            return Verdict::Skipped { why: "nothing to deploy: no production hook is configured".into() };
        }
        let said = evidence.paper.judge("deploy_status", "SUCCESS", "FAILED");
        if !matches!(said, Verdict::Pass) {
            return said;
        }
        match &evidence.service {
            Service::Says { status, .. } if !(200..300).contains(status) => {
                fail(format!("production answers HTTP {status}"))
            }
            Service::Says { revision: Some(running), later: false, .. } if *running != subject.head.as_str() => {
                fail(format!("production reports revision {running}, not {}", subject.head))
            }
            Service::NotAsked | Service::Says { .. } => Verdict::Pass,
            Service::Down(why) => fail(format!("production does not answer: {why}")),
            Service::Unknown(why) => {
                let text = format!("production could not be looked at: {why}");
                Verdict::Inconclusive { fault: FaultNote { kind: FaultKind::Transient, text } }
            }
        }
    }
}

/// Is what runs another commit, one that contains the judged one?
async fn later(look: &Look<'_>, running: &str) -> Result<bool, Fault> {
    let (project, head) = (&look.project.key, &look.subject.head);
    match look.git.resolve(project, running).await? {
        Some(commit) if commit.as_str() == running && commit != *head => {
            look.git.is_ancestor(project, head, &commit).await
        }
        Some(_) | None => Ok(false),
    }
}
