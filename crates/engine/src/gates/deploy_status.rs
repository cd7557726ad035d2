//! Does production run what was merged? The deploy's own word, then the world: the merge commit is on the default
//! branch, and the service reports its revision.

use super::gate::{Gate, Look, Meta, Subject};
use super::papers::Paper;
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
            return Verdict::Inconclusive { fault: FaultNote::new(FaultKind::Permanent, text) };
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
                Verdict::Inconclusive { fault: FaultNote::new(FaultKind::Transient, text) }
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

#[cfg(test)]
mod tests {
    use super::super::testing::{HEAD, OTHER, fails, project, subject, unknown, unreadable};
    use super::*;

    const GOOD: &str = "---\ndeploy_status: SUCCESS\n---\n";

    fn judge(text: Option<&str>, on_default_branch: bool, service: Service, project: &Project) -> Verdict {
        let paper =
            Paper { name: "14-deploy-log.md", sha256: None, text: None, bytes: text.map(|t| t.as_bytes().to_vec()) };
        DeployStatus::judge(&Evidence { paper, on_default_branch, service }, &subject(), project)
    }
    fn says(status: u16, revision: Option<&str>) -> Service {
        Service::Says { status, revision: revision.map(ToOwned::to_owned), later: false }
    }

    #[test]
    fn the_log_and_the_world_must_agree() {
        let p = project();
        for service in [Service::NotAsked, says(200, Some(HEAD)), says(204, None)] {
            assert_eq!(judge(Some(GOOD), true, service, &p), Verdict::Pass);
        }
        let other = fails(&judge(Some(GOOD), true, says(200, Some(OTHER)), &p));
        assert!(other[0].contains(OTHER) && other[0].contains(HEAD));
        let later = Service::Says { status: 200, revision: Some(OTHER.into()), later: true };
        assert_eq!(judge(Some(GOOD), true, later, &p), Verdict::Pass, "a later task's deploy contains this one");
        let broken = Service::Says { status: 500, revision: Some(OTHER.into()), later: true };
        fails(&judge(Some(GOOD), true, broken, &p));
        assert!(fails(&judge(Some(GOOD), true, says(200, Some("")), &p))[0].contains("reports revision"));
        for status in [199, 301, 404, 500, 503] {
            assert!(fails(&judge(Some(GOOD), true, says(status, Some(HEAD)), &p))[0].contains(&status.to_string()));
        }
        assert!(fails(&judge(Some(GOOD), true, Service::Down("refused".into()), &p))[0].contains("refused"));
    }

    #[test]
    fn not_being_able_to_look_is_neither_good_nor_bad() {
        let (kind, _) = unknown(&judge(Some(GOOD), true, Service::Unknown("no dns".into()), &project()));
        assert_eq!(kind, FaultKind::Transient);
    }

    #[test]
    fn a_good_service_cannot_make_up_for_a_bad_or_missing_log() {
        let p = project();
        unreadable(&judge(None, true, says(200, Some(HEAD)), &p));
        unreadable(&judge(Some("it went well"), true, says(200, Some(HEAD)), &p));
        let failed = "---\ndeploy_status: FAILED\n---\nport taken\n";
        assert_eq!(fails(&judge(Some(failed), true, says(200, Some(HEAD)), &p)), ["port taken"]);
    }

    #[test]
    fn what_is_not_on_the_default_branch_never_passes() {
        unknown(&judge(Some(GOOD), false, says(200, Some(HEAD)), &project()));
        let mut bare = project();
        bare.deploy.production = None;
        unknown(&judge(None, false, Service::NotAsked, &bare));
        assert!(matches!(judge(None, true, Service::NotAsked, &bare), Verdict::Skipped { .. }));
    }
}
