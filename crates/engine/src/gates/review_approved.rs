//! Does the forge show an approval of this very commit by a person who may approve and is not its author, where the project
//! asks for one?

use super::gate::{Gate, Look, Meta, Subject};
use super::papers;
use crate::project::Project;
use orch_core::ids::GateId;
use orch_core::verdict::{Finding, Verdict, WaitFor};
use orch_ports::Fault;
use orch_ports::forge::Review;
use serde::Serialize;

/// How soon to look again, milliseconds, if no event comes first.
const RECHECK_MS: i64 = 30_000;

pub(super) struct ReviewApproved;

#[derive(Serialize)]
pub(super) struct Evidence {
    reviews: Vec<Review>,
    /// Which reviews looked at what the branch changes now.
    current: Vec<bool>,
}

impl Gate for ReviewApproved {
    const META: Meta = Meta { id: GateId::ReviewApproved, asks: "does the forge show a person's approval?" };
    type Evidence = Evidence;

    async fn key(look: &Look<'_>) -> Result<String, Fault> {
        // Asked for again, an earlier answer does not count.
        let voided = look.subject.task.as_ref().map_or(0, |t| t.landing.voided);
        let again = if voided == 0 { String::new() } else { format!(" again {voided}") };
        Ok(format!("{}{again}", papers::patch_key(look).await?))
    }

    async fn collect(look: &Look<'_>) -> Result<Evidence, Fault> {
        if !look.project.review_approval {
            return Ok(Evidence { reviews: Vec::new(), current: Vec::new() });
        }
        let number = look.subject.task.as_ref().and_then(|t| t.branch.pull_request);
        let number = number.ok_or_else(|| Fault::permanent("there is no pull request to look at"))?;
        let s = &look.subject;
        let (git, project) = (look.git, &look.project.key);
        let now = git.patch_id(project, &s.base, &s.head, &s.artefact_dir).await?;
        let reviews = look.project.forge.reviews(project, number).await?;
        let mut current = Vec::new();
        for review in &reviews {
            // A commit git no longer knows was force-pushed away: nobody approved what is here now.
            let same = match git.resolve(project, review.commit.as_str()).await? {
                Some(seen) => git.patch_id(project, &s.base, &seen, &s.artefact_dir).await? == now,
                None => false,
            };
            current.push(same);
        }
        Ok(Evidence { reviews, current })
    }

    fn judge(evidence: &Evidence, subject: &Subject, project: &Project) -> Verdict {
        if !project.review_approval {
            return Verdict::Skipped { why: "the project does not ask for an approval on the forge".into() };
        }
        let valid = || evidence.reviews.iter().zip(&evidence.current).filter(|(r, current)| **current && r.official);
        let refused: Vec<_> = valid()
            .filter(|(r, _)| !r.approved)
            .map(|(r, _)| Finding::must_fix(format!("{} requests changes: {}", r.by, r.body)))
            .collect();
        if !refused.is_empty() {
            return Verdict::Fail { findings: refused };
        }
        if valid().any(|(r, _)| r.approved && project.policy.approves(subject.task.as_ref(), &r.by)) {
            return Verdict::Pass;
        }
        let what = format!("an approval of {} on the forge", subject.head.short());
        let recheck = Some(subject.now.plus_ms(RECHECK_MS));
        Verdict::Wait { why: WaitFor::Report { what }, until: None, recheck }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{HEAD, fails, project, sha, subject, task};
    use super::*;
    use orch_core::ids::Time;
    use orch_core::people::Person;
    use orch_core::source::Source;
    use orch_core::task::{Branch, Task};

    fn review(by: &str, approved: bool, official: bool) -> Review {
        Review { by: by.into(), approved, commit: sha(HEAD), body: "because".into(), official, at: Time(0) }
    }
    fn judge(reviews: Vec<(Review, bool)>) -> Verdict {
        let (reviews, current) = reviews.into_iter().unzip();
        ReviewApproved::judge(&Evidence { reviews, current }, &subject(), &project())
    }
    fn waits(verdict: &Verdict) -> bool {
        matches!(verdict, Verdict::Wait { until: None, recheck: Some(_), .. })
    }

    #[test]
    fn an_official_approval_of_what_is_there_now_by_an_approver_passes() {
        assert_eq!(judge(vec![(review("local:anna", true, true), true)]), Verdict::Pass);
        assert!(waits(&judge(Vec::new())));
        assert!(waits(&judge(vec![(review("local:anna", true, true), false)])), "of something else");
        assert!(waits(&judge(vec![(review("local:anna", true, false), true)])), "not official");
        assert!(waits(&judge(vec![(review("local:bob", true, true), true)])), "not an approver");
    }

    #[test]
    fn who_asked_for_the_change_does_not_approve_it_under_another_name() {
        let anna = Person { name: "anna".into(), names: vec!["local:anna".into(), "gitea:a.b".into()] };
        let bob = Person { name: "bob".into(), names: vec!["gitea:anna".into()] };
        let mut p = project();
        p.policy.people = vec![anna, bob];
        p.policy.approvers = vec!["anna".into(), "bob".into()];
        let mut s = subject();
        let mut source = Source::new("fix", sha(HEAD));
        source.asked_by = vec!["local:anna".into()];
        s.task = Some(Task { branch: Branch { source: Some(source), ..task().branch }, ..task() });
        let judged = |by: &str, subject: &Subject| {
            let evidence = Evidence { reviews: vec![review(by, true, true)], current: vec![true] };
            ReviewApproved::judge(&evidence, subject, &p)
        };
        for own in ["gitea:A.B", "local:anna", "anna"] {
            assert!(waits(&judged(own, &s)), "{own}");
        }
        // Bob's account has her name; and what agents wrote is nobody's own.
        assert_eq!(judged("gitea:anna", &s), Verdict::Pass);
        s.task = Some(Task { started_by: Some("local:anna".into()), ..task() });
        assert_eq!(judged("gitea:a.b", &s), Verdict::Pass);
    }

    #[test]
    fn a_current_refusal_beats_an_approval() {
        let verdict = judge(vec![(review("local:anna", true, true), true), (review("local:bob", false, true), true)]);
        assert_eq!(fails(&verdict), ["local:bob requests changes: because"]);
        let old = judge(vec![(review("local:anna", true, true), true), (review("local:bob", false, true), false)]);
        assert_eq!(old, Verdict::Pass);
    }

    #[test]
    fn a_project_that_does_not_ask_skips() {
        let p = Project { review_approval: false, ..project() };
        let evidence = Evidence { reviews: Vec::new(), current: Vec::new() };
        assert!(matches!(ReviewApproved::judge(&evidence, &subject(), &p), Verdict::Skipped { .. }));
    }
}
