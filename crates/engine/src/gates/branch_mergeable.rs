//! May exactly this prepared head be merged now? It must contain the tip of the default branch, be what the pull request
//! shows, be what was prepared, and hold nothing of a conflict that was resolved on the way. By hand (`orch gate run`) it asks git whether head and base would merge.

use super::gate::{Gate, Look, Meta, Subject};
use crate::cx::EMPTIED;
use crate::project::Project;
use orch_core::conflict;
use orch_core::fault_code::FaultCode;
use orch_core::ids::{GateId, Sha};
use orch_core::verdict::{FaultKind, FaultNote, Finding, Verdict};
use orch_ports::Fault;
use orch_ports::forge::PullState;
use orch_security::Protection;
use serde::Serialize;

pub(super) struct BranchMergeable;

#[derive(Serialize)]
pub(super) struct Evidence {
    /// Tip of the default branch.
    tip: Sha,
    contains_tip: bool,
    conflicts: Vec<String>,
    /// Head the pull request shows, and whether it is open.
    pull: Option<(Sha, bool)>,
    /// Somebody has merged it already.
    merged: bool,
    /// Head that was prepared.
    prepared: Option<Sha>,
    /// What is left of conflicts that were resolved on this branch.
    left: Vec<Finding>,
    /// It holds no code, although the default branch does.
    emptied: bool,
    /// What a person has to approve.
    protection: Protection,
}

impl Gate for BranchMergeable {
    const META: Meta = Meta { id: GateId::BranchMergeable, asks: "may exactly this head be merged now?" };
    type Evidence = Evidence;

    async fn key(look: &Look<'_>) -> Result<String, Fault> {
        let tree = look.git.tree(&look.project.key, &look.subject.head).await?;
        Ok(format!("tree {tree} on {} as {}", look.subject.base, look.subject.head))
    }

    async fn collect(look: &Look<'_>) -> Result<Evidence, Fault> {
        let (project, head) = (&look.project.key, &look.subject.head);
        let protection = orch_security::protection(&look.range()).await?;
        let emptied = look.git.is_emptied(project, &look.subject.base, head, &look.subject.artefact_dir).await?;
        let Some(task) = &look.subject.task else {
            let tip = look.subject.base.clone();
            let contains_tip = look.git.is_ancestor(project, &tip, head).await?;
            let conflicts = look.git.conflicts(project, head, &tip).await?;
            return Ok(Evidence {
                tip,
                contains_tip,
                conflicts,
                pull: None,
                merged: false,
                prepared: None,
                left: Vec::new(),
                emptied,
                protection,
            });
        };
        let branch = look.project.forge.default_branch(project).await?;
        let tip = look.git.forge_branch(project, &branch).await?;
        let tip = tip
            .ok_or_else(|| Fault::gone(format!("the forge has no branch `{branch}`")).coded(FaultCode::NoSuchBranch))?;
        let contains_tip = look.git.is_ancestor(project, &tip, head).await?;
        let number = task.branch.pull_request.ok_or_else(|| Fault::permanent("there is no pull request to merge"))?;
        let pull = look.project.forge.pull_request(project, number).await?;
        let prepared = task.landing.intent.as_ref().map(|i| i.head.clone());
        let merged = pull.state == PullState::Merged;
        let pull = Some((pull.head, pull.state == PullState::Open));
        let mut left = Vec::new();
        for record in task.all_conflicts() {
            let shown = look.git.conflict_shown(project, head, record, &tip, &task.artefact_dir()).await?;
            left.extend(conflict::leftovers(record, &shown));
            left.extend(conflict::flipped(record, &shown));
        }
        if let Some(open) = &task.landing.conflict {
            left.extend(open.files.iter().map(|file| Finding {
                file: Some(file.clone()),
                ..Finding::must_fix("the conflict with the default branch is not resolved here")
            }));
        }
        Ok(Evidence { tip, contains_tip, conflicts: Vec::new(), pull, merged, prepared, left, emptied, protection })
    }

    fn judge(evidence: &Evidence, subject: &Subject, _: &Project) -> Verdict {
        let fault = |kind, text| Verdict::Inconclusive { fault: FaultNote::new(kind, text) };
        // `Gone`: what was prepared no longer holds, so that it is prepared again instead of waited for.
        let outdated = |text: String| fault(FaultKind::Gone, text);
        if !evidence.conflicts.is_empty() {
            let findings = evidence.conflicts.iter().map(|file| Finding {
                file: Some(file.clone()),
                ..Finding::must_fix("conflicts with the default branch")
            });
            return Verdict::Fail { findings: findings.collect() };
        }
        if evidence.emptied && !evidence.merged {
            return Verdict::Fail { findings: vec![Finding::must_fix(EMPTIED)] };
        }
        if subject.task.is_none() {
            return evidence.protection.verdict(true).unwrap_or(Verdict::Pass);
        }
        let shown = evidence.pull.as_ref().map(|(head, _)| head);
        if evidence.merged && shown == Some(&subject.head) && evidence.prepared.as_ref() == Some(&subject.head) {
            // The merge looks before it acts, finds it done, and compares what landed with what was tested.
            return Verdict::Pass;
        }
        if !evidence.left.is_empty() {
            return Verdict::Fail { findings: evidence.left.clone() };
        }
        if !evidence.contains_tip {
            return outdated(format!(
                "the default branch moved to {} while the merge was prepared",
                evidence.tip.short()
            ));
        }
        if evidence.prepared.as_ref() != Some(&subject.head) {
            return outdated("another head than this one was prepared".into());
        }
        match &evidence.pull {
            Some((head, true)) if *head == subject.head => evidence.protection.verdict(false).unwrap_or(Verdict::Pass),
            Some((head, true)) => outdated(format!("the pull request shows {}, not the prepared head", head.short())),
            Some((_, false)) => fault(FaultKind::Permanent, "the pull request is not open: reopen it".into()),
            None => fault(FaultKind::Permanent, "there is no pull request".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{HEAD, OTHER, fails, project, sha, subject, unknown};
    use super::*;

    fn ready() -> Evidence {
        Evidence {
            tip: sha(OTHER),
            contains_tip: true,
            conflicts: Vec::new(),
            pull: Some((sha(HEAD), true)),
            merged: false,
            prepared: Some(sha(HEAD)),
            left: Vec::new(),
            emptied: false,
            protection: Protection::default(),
        }
    }
    fn judge(evidence: &Evidence) -> Verdict {
        BranchMergeable::judge(evidence, &subject(), &project())
    }

    #[test]
    fn exactly_the_prepared_head_may_be_merged() {
        assert_eq!(judge(&ready()), Verdict::Pass);
    }

    #[test]
    fn what_somebody_has_merged_already_goes_on_to_the_merge_that_finds_it_done() {
        let merged = || Evidence { pull: Some((sha(HEAD), false)), merged: true, contains_tip: false, ..ready() };
        assert_eq!(judge(&merged()), Verdict::Pass);
        let another = Evidence { pull: Some((sha(OTHER), false)), ..merged() };
        assert_eq!(unknown(&judge(&another)).0, FaultKind::Gone, "another head than the prepared one was merged");
    }

    #[test]
    fn anything_that_moved_means_preparing_again_and_costs_nobody_a_round() {
        let cases = [
            (Evidence { contains_tip: false, ..ready() }, FaultKind::Gone, "default branch moved"),
            (Evidence { prepared: Some(sha(OTHER)), ..ready() }, FaultKind::Gone, "another head"),
            (Evidence { prepared: None, ..ready() }, FaultKind::Gone, "another head"),
            (Evidence { pull: Some((sha(OTHER), true)), ..ready() }, FaultKind::Gone, "not the prepared head"),
            (Evidence { pull: Some((sha(HEAD), false)), ..ready() }, FaultKind::Permanent, "not open"),
            (Evidence { pull: None, ..ready() }, FaultKind::Permanent, "no pull request"),
        ];
        for (evidence, expected, says) in cases {
            let (kind, text) = unknown(&judge(&evidence));
            assert_eq!(kind, expected);
            assert!(text.contains(says), "{text}");
        }
    }

    #[test]
    fn what_is_left_of_a_resolved_conflict_goes_back_with_its_place() {
        let left = vec![Finding { file: Some("a.txt".into()), ..Finding::must_fix("conflict markers are still here") }];
        for evidence in [ready(), Evidence { contains_tip: false, ..ready() }] {
            let Verdict::Fail { findings } = judge(&Evidence { left: left.clone(), ..evidence }) else { panic!() };
            assert_eq!(findings, left);
        }
    }

    #[test]
    fn a_head_without_any_code_never_lands() {
        let emptied = || Evidence { emptied: true, ..ready() };
        assert!(fails(&judge(&emptied()))[0].contains("no file of code"));
        let alone = Subject { task: None, ..subject() };
        assert_eq!(fails(&BranchMergeable::judge(&emptied(), &alone, &project())).len(), 1);
        let merged = Evidence { merged: true, pull: Some((sha(HEAD), false)), ..emptied() };
        assert_eq!(judge(&merged), Verdict::Pass, "what has landed has landed, and the merge says so");
    }

    #[test]
    fn by_hand_only_conflicts_count_and_each_file_is_named() {
        let alone = Subject { task: None, ..subject() };
        let by_hand = |conflicts: &[&str]| {
            let conflicts = conflicts.iter().map(|c| (*c).to_owned()).collect();
            let evidence = Evidence { conflicts, contains_tip: false, pull: None, prepared: None, ..ready() };
            BranchMergeable::judge(&evidence, &alone, &project())
        };
        assert_eq!(by_hand(&[]), Verdict::Pass);
        assert_eq!(fails(&by_hand(&["a.txt", "b.txt"])).len(), 2);
    }
}
