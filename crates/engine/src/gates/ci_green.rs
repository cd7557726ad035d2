//! Is every required check of this very commit green on the forge? Nothing reported yet is a wait with a deadline, and
//! after it a question for a person; it never costs the developer a round.

use super::gate::{Gate, Look, Meta, Subject};
use crate::effects::ensure_ci;
use crate::parts::Of;
use crate::project::Project;
use crate::quarantine;
use orch_artefacts::failing;
use orch_core::ids::{GateId, Time};
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
    /// Since when orch's own CI is asked, if it has not answered yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    asked: Option<Time>,
    /// What the checks saw less than they should.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    degraded: Vec<String>,
}

impl Gate for CiGreen {
    const META: Meta = Meta { id: GateId::CiGreen, asks: "are the required checks of this commit green?" };
    type Evidence = Evidence;

    /// Statuses belong to the commit itself. In the merge all parts are to be green, and what was green for some of them is
    /// no answer; nor is what was green because of a quarantine.
    async fn key(look: &Look<'_>) -> Result<String, Fault> {
        let whole = if look.subject.exact && !look.project.parts.is_empty() { " whole" } else { "" };
        let quarantine = quarantine::identity(&look.bench.quarantine().await?);
        let quarantine = if quarantine.is_empty() { quarantine } else { format!(" quarantine {quarantine}") };
        Ok(format!("commit {}{whole}{quarantine}", look.subject.head))
    }

    async fn collect(look: &Look<'_>) -> Result<Evidence, Fault> {
        let asked = look.bench.ci_asked_at(&look.subject.head).await?;
        let mut statuses = look.project.forge.statuses(&look.project.key, &look.subject.head).await?;
        // A commit that came back as it was is run again: its old red is no answer any more.
        let old = |s: &CommitStatus| asked.is_some_and(|at| !ensure_ci::answers(s, at));
        // In the merge all parts are to be green.
        let less = |s: &CommitStatus| look.subject.exact && ensure_ci::is_of_parts(s);
        let quarantine = quarantine::identity(&look.bench.quarantine().await?);
        let over = |s: &CommitStatus| ensure_ci::is_of_old_quarantine(s, &quarantine);
        for status in statuses.iter_mut().filter(|s| old(s) || less(s) || over(s)) {
            status.state = StatusState::Pending;
        }
        let own = statuses.iter().filter(|s| s.context == ensure_ci::CONTEXT && s.state == StatusState::Success);
        let degraded = own.filter_map(ensure_ci::degraded).collect();
        Ok(Evidence { statuses, asked, degraded })
    }

    fn judge(evidence: &Evidence, subject: &Subject, project: &Project) -> Verdict {
        if project.policy.own_ci && project.whole(Of::Ci).is_none() && project.ci_required.is_empty() {
            return Verdict::Skipped { why: "no `ci` command is configured; check_tests_local judges".into() };
        }
        let required = |s: &&CommitStatus| project.ci_required.is_empty() || project.ci_required.contains(&s.context);
        let known: Vec<&CommitStatus> = evidence.statuses.iter().filter(required).collect();
        let red: Vec<Finding> = known
            .iter()
            .filter(|s| matches!(s.state, StatusState::Failure))
            .flat_map(|s| {
                let (what, log) = s.description.split_once('\n').unwrap_or((&s.description, ""));
                let all = failing::findings(&format!("the check `{}` is red: {what}", s.context), log);
                all.into_iter().map(|f| Finding { id: Some(s.context.clone()), ..f })
            })
            .collect();
        if !red.is_empty() {
            return Verdict::Fail { findings: red };
        }
        if let Some(broken) = known.iter().find(|s| s.state == StatusState::Error) {
            let own = project.policy.own_ci && broken.context == ensure_ci::CONTEXT;
            // Somebody else's check may be repeated by whoever runs it; orch's own is run again when this is looked at again.
            let (kind, text) = if own {
                (FaultKind::Permanent, format!("the check `{}` tells nothing: {}", broken.context, broken.description))
            } else {
                (FaultKind::Transient, format!("the check `{}` could not run: {}", broken.context, broken.description))
            };
            return Verdict::Inconclusive { fault: FaultNote::new(kind, text) };
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
        // What is asked again is waited for again.
        let since = evidence.asked.map_or(subject.since, |asked| asked.max(subject.since));
        let until = since.plus_ms(project.ci_wait_ms);
        if until <= subject.now {
            let text = format!("{what} was not reported in {} s", project.ci_wait_ms / 1000);
            return Verdict::Inconclusive { fault: FaultNote::new(FaultKind::Transient, text) };
        }
        let recheck = Some(subject.now.plus_ms(RECHECK_MS));
        Verdict::Wait { why: WaitFor::Report { what }, until: Some(until), recheck }
    }

    fn warns(evidence: &Evidence) -> Option<String> {
        evidence.degraded.first().cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{fails, project, subject, unknown};
    use super::*;
    use orch_core::verdict::Verdict::Pass;

    fn judge(project: &Project, now: i64, statuses: &[(&str, StatusState)]) -> Verdict {
        let status = |(context, state): &(&str, StatusState)| CommitStatus {
            context: (*context).into(),
            state: *state,
            description: format!("log of {context}"),
            url: None,
            at: Time(0),
        };
        let statuses = statuses.iter().map(status).collect();
        let evidence = Evidence { statuses, asked: None, degraded: Vec::new() };
        CiGreen::judge(&evidence, &Subject { now: Time(now), ..subject() }, project)
    }

    fn waits_for(verdict: &Verdict) -> String {
        match verdict {
            Verdict::Wait { why: WaitFor::Report { what }, until: Some(until), recheck: Some(_) } => {
                assert_eq!(*until, Time(61_000));
                what.clone()
            }
            other => panic!("does not wait: {other:?}"),
        }
    }

    #[test]
    fn without_a_list_everything_reported_must_be_green_and_something_must_be() {
        use StatusState::{Error, Failure, Pending, Skipped, Success};
        let p = project();
        assert_eq!(judge(&p, 2_000, &[("ci", Success), ("lint", Skipped)]), Pass);
        assert!(waits_for(&judge(&p, 2_000, &[])).contains("any check"));
        assert!(waits_for(&judge(&p, 2_000, &[("ci", Success), ("slow", Pending)])).ends_with("slow"));
        assert_eq!(
            fails(&judge(&p, 2_000, &[("ci", Failure), ("slow", Pending)])),
            ["the check `ci` is red: log of ci"]
        );
        assert_eq!(fails(&judge(&p, 2_000, &[("ci", Failure), ("x", Error)])).len(), 1, "red wins over broken");
        let (kind, text) = unknown(&judge(&p, 2_000, &[("ci", Error), ("lint", Success)]));
        assert_eq!(kind, FaultKind::Permanent, "it is run again when it is looked at again");
        assert!(text.contains("tells nothing: log of ci"));
        let mut foreign = project();
        foreign.policy.own_ci = false;
        let (kind, text) = unknown(&judge(&foreign, 2_000, &[("ci", Error)]));
        assert!(kind == FaultKind::Transient && text.contains("could not run"), "{text}");
    }

    #[test]
    fn with_a_list_only_the_listed_count_and_all_of_them_must_be_there() {
        use StatusState::{Failure, Pending, Success};
        let p = Project { ci_required: vec!["build".into(), "lint".into()], ..project() };
        assert_eq!(judge(&p, 2_000, &[("build", Success), ("lint", Success), ("flaky", Failure)]), Pass);
        assert!(waits_for(&judge(&p, 2_000, &[("build", Success)])).ends_with("lint"));
        assert!(waits_for(&judge(&p, 2_000, &[("build", Pending), ("other", Success)])).ends_with("build, lint"));
        assert_eq!(fails(&judge(&p, 2_000, &[("build", Failure)])).len(), 1);
    }

    #[test]
    fn past_the_deadline_it_is_a_question_and_never_a_red() {
        use StatusState::{Failure, Pending, Success};
        let p = project();
        for statuses in [&[][..], &[("ci", Pending)]] {
            waits_for(&judge(&p, 60_999, statuses));
            let (_, text) = unknown(&judge(&p, 61_000, statuses));
            assert!(text.contains("not reported in 60 s"), "{text}");
        }
        assert_eq!(judge(&p, 99_000, &[("ci", Success)]), Pass);
        fails(&judge(&p, 99_000, &[("ci", Failure)]));
    }

    #[test]
    fn without_a_command_it_is_skipped_unless_checks_are_required() {
        let p = Project { ci: None, ..project() };
        assert!(matches!(judge(&p, 2_000, &[]), Verdict::Skipped { .. }));
        let p = Project { ci: None, ci_required: vec!["build".into()], ..project() };
        assert!(waits_for(&judge(&p, 2_000, &[])).ends_with("build"));
        let mut foreign = Project { ci: None, ..project() };
        foreign.policy.own_ci = false;
        assert!(waits_for(&judge(&foreign, 2_000, &[])).contains("any check"));
    }
}
