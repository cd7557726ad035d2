//! The documents a task leaves behind, by name. What is *not* on this list under a work item's directory is code, so
//! that nothing can hide from the gates by sitting beside the paperwork.

use crate::ids::StageId;

/// One known artefact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// File name below the work item's directory; a trailing `/` means every `.md` file in that directory.
    pub name: &'static str,
    /// The stage that writes it.
    pub stage: &'static str,
    /// Front matter key of its machine verdict, if it carries one.
    pub verdict_key: Option<&'static str>,
    /// Made after the merge, so it cannot be committed to the task's branch.
    pub after_merge: bool,
}

/// Every artefact orch knows, in the order of the pipeline.
pub const KNOWN: &[Known] = &[
    plain("00-business-request.md", "created"),
    plain("01-brd.md", "analysis"),
    plain("02-trz.md", "analysis"),
    plain("03-acceptance-criteria.md", "analysis"),
    plain("04-test-plan.yaml", "analysis"),
    plain("06-adr/", "architecture"),
    plain("07-infra-requirements.md", "architecture"),
    plain("08-data-requirements.md", "architecture"),
    plain("10-tech-risks.md", "architecture"),
    verdict("12-review.md", "review", "verdict"),
    verdict("13-test-report.md", "testing", "result"),
    Known { after_merge: true, ..verdict("14-deploy-log.md", "deploy", "deploy_status") },
    verdict("15-staging-log.md", "deploy-staging", "staging_status"),
    Known { after_merge: true, ..verdict("16-post-deploy-log.md", "done", "post_deploy_status") },
    verdict("17-security-report.md", "deploy-staging", "security_status"),
];

const fn plain(name: &'static str, stage: &'static str) -> Known {
    Known { name, stage, verdict_key: None, after_merge: false }
}
const fn verdict(name: &'static str, stage: &'static str, key: &'static str) -> Known {
    Known { name, stage, verdict_key: Some(key), after_merge: false }
}

/// The four documents the analysis stage must leave.
pub const ANALYSIS: &[&str] = &["01-brd.md", "02-trz.md", "03-acceptance-criteria.md", "04-test-plan.yaml"];

/// What the role of a stage has to leave, so that its gates can judge: names below the work item's directory; a trailing
/// `/` means at least one file in that directory.
pub fn expected(stage: &StageId) -> &'static [&'static str] {
    match stage.as_str() {
        "analysis" => ANALYSIS,
        "architecture" => &["06-adr/"],
        "review" => &["12-review.md"],
        "testing" => &["13-test-report.md"],
        _ => &[],
    }
}

/// Looks an artefact up by its path below the work item's directory.
pub fn known(name: &str) -> Option<&'static Known> {
    KNOWN.iter().find(|k| match k.name.strip_suffix('/') {
        Some(dir) => name.strip_prefix(dir).and_then(|rest| rest.strip_prefix('/')).is_some_and(|file| {
            !file.contains('/') && std::path::Path::new(file).extension().is_some_and(|e| e == "md")
        }),
        None => k.name == name,
    })
}

/// The documents of staging and of what follows: a branch that carried them would not be what was approved and tested.
pub fn closing() -> impl Iterator<Item = &'static Known> {
    KNOWN.iter().filter(|k| matches!(k.stage, "deploy-staging" | "deploy" | "done"))
}

/// Files with a machine verdict that a stage itself writes: removed before its run, so that what is there afterwards
/// was written by this attempt.
pub fn own_verdicts(stage: &StageId) -> impl Iterator<Item = &'static Known> + use<'_> {
    KNOWN.iter().filter(move |k| k.stage == stage.as_str() && k.verdict_key.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_too_late_for_a_branch_are_the_logs_of_staging_deploy_and_production() {
        let names: Vec<&str> = closing().map(|k| k.name).collect();
        assert_eq!(names, ["14-deploy-log.md", "15-staging-log.md", "16-post-deploy-log.md", "17-security-report.md"]);
    }

    #[test]
    fn what_a_role_has_to_leave_is_known_and_its_own() {
        for stage in ["analysis", "architecture", "review", "testing", "development", "deploy"] {
            for name in expected(&stage.into()) {
                assert!(KNOWN.iter().any(|k| k.name == *name && k.stage == stage), "{stage}: {name}");
            }
        }
    }

    #[test]
    fn only_listed_names_are_artefacts() {
        assert!(known("12-review.md").is_some());
        assert!(known("06-adr/ADR-001-store.md").is_some());
        assert!(known("06-adr/nested/x.md").is_none());
        assert!(known("06-adr/run.sh").is_none());
        assert!(known("06-adr").is_none());
        assert!(known("hidden.py").is_none());
    }
}
