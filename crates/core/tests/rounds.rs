//! What costs whom: repairs of the developer, attempts of a role, and what costs nothing; and that findings reach the
//! next brief word for word, however many things are red.
#![allow(clippy::unwrap_used)] // a test that cannot go on must say so where it stands

mod common;
use common::{World, must, report};
use orch_core::effect::{Effect, Outcome, Warning};
use orch_core::event::Event;
use orch_core::pipeline::Pipeline;
use orch_core::policy::Policy;
use orch_core::task::{BlockReason, Phase, WaitReason};
use orch_core::verdict::{FaultKind, Finding, Severity, Verdict};

fn published(w: &mut World, empty: bool, unresolved: &[&str]) {
    let head = w.fresh();
    let unresolved = unresolved.iter().map(ToString::to_string).collect();
    w.end(Outcome::Published { head, empty, discarded: vec![], unresolved, refused: vec![] });
}

#[test]
fn a_refused_review_costs_a_round_and_carries_its_findings_word_for_word() {
    let mut w = World::at(Pipeline::lite(), "judge check_reviewer_verdict");
    let finding = Finding {
        id: Some("R1".into()),
        severity: Severity::P0,
        file: Some("src/a.rs".into()),
        line: Some(7),
        text: "loses data\n  when the disk is full".into(),
    };
    w.judge(Verdict::Fail { findings: vec![finding.clone()] });
    assert_eq!((w.doing().as_str(), w.task.spent.rounds), ("run developer 1", 1));
    assert_eq!(w.task.findings.open, vec![finding.clone()]);
    assert_eq!(w.task.findings.from.as_deref(), Some("check_reviewer_verdict"));
    w.until("run reviewer 1");
    assert_eq!(w.task.findings.open, vec![finding], "the reviewer sees what was asked for");
    w.until("update");
    w.until("deploy production");
    assert_eq!(w.task.findings.open, vec![], "settled");
}

#[test]
fn a_head_that_did_not_change_is_judged_by_ci_without_a_push() {
    let mut w = World::with(Pipeline::lite(), Policy { own_ci: true, ..common::policy() });
    w.ok(Event::Started { by: common::anna() });
    w.until("publish developer");
    let head = w.task.branch.head.clone().unwrap();
    w.end(Outcome::Published {
        head: head.clone(),
        empty: false,
        discarded: vec![],
        unresolved: vec![],
        refused: vec![],
    });
    assert!(w.jobs.iter().any(|j| j.effect == Effect::EnsureCi { commit: head.clone() }), "{:?}", w.jobs);
    w.until("judge check_ci_green");
}

#[test]
fn what_is_not_taken_costs_the_same_role_an_attempt_and_nobody_a_round() {
    let mut w = World::at(Pipeline::lite(), "publish developer");
    let (head, why) = (w.task.branch.head.clone(), must("d/x is absent, and the clone did not show it"));
    let not_taken = || Outcome::NotTaken { findings: vec![why.clone()] };
    w.end(not_taken());
    assert_eq!((w.doing().as_str(), w.task.spent.rounds, &w.task.branch.head), ("run developer 0", 0, &head));
    assert_eq!(w.task.findings.open, vec![why.clone()], "the next brief says why");
    w.until("publish developer");
    w.end(not_taken());
    match &w.task.phase {
        Phase::Blocked { why: BlockReason::RoleFailed { role, findings }, .. } => {
            assert_eq!((role.as_str(), findings), ("developer", &vec![why.clone()]));
        }
        other => panic!("{other:?}"),
    }
    // A question that such a run asked is a question all the same, and what was not taken is in the next brief.
    let mut w = World::at(Pipeline::lite(), "run developer 0");
    w.end(Outcome::AgentFinished {
        question: Some("which colour?".into()),
        resolved: orch_core::conflict::Resolution::default(),
    });
    w.end(not_taken());
    assert!(matches!(&w.task.phase, Phase::Waiting { why: WaitReason::Answer { .. }, .. }), "{:?}", w.task.phase);
    assert!(w.task.findings.notes.contains(&why.text.clone().into()) && w.task.spent.role_attempts == 0);
}

#[test]
fn the_fourth_failure_blocks_and_a_person_is_told_once() {
    let mut w = World::started(Pipeline::full());
    for round in 0..4 {
        w.until(&format!("run developer {round}"));
        w.until("judge check_tests_passed");
        w.fail(&format!("TC-0{round} failed"));
    }
    match &w.task.phase {
        Phase::Blocked { why: BlockReason::RoundsSpent { from, findings }, .. } => {
            assert_eq!((from.to_string().as_str(), findings), ("check_tests_passed", &vec![must("TC-03 failed")]));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(common::names(&w.jobs), "notify, ticket");
    assert_eq!(w.task.spent.rounds, 3);
    assert_eq!(w.told.iter().filter(|t| t.contains("blocked")).count(), 1);
    w.pass(10_000_000);
    assert!(w.send(Event::TimerFired).is_err());

    w.ok(Event::RetryAsked { by: common::bob() });
    assert_eq!(w.doing(), "judge check_tests_passed", "what said no is asked first");
    w.fail("TC-03 failed");
    assert_eq!((w.doing().as_str(), w.task.spent.rounds), ("run developer 0", 0));
    assert_eq!(w.task.findings.open, vec![must("TC-03 failed")], "a retry forgets nothing");
    w.finish();
}

#[test]
fn a_review_that_refuses_a_fourth_time_blocks_and_a_person_is_told_once() {
    let mut w = World::started(Pipeline::lite());
    for round in 0..4 {
        w.until(&format!("run developer {round}"));
        w.until("judge check_reviewer_verdict");
        w.fail(&format!("R{round}: not yet"));
    }
    match &w.task.phase {
        Phase::Blocked { why: BlockReason::RoundsSpent { from, findings }, .. } => {
            assert_eq!((from.to_string().as_str(), findings), ("check_reviewer_verdict", &vec![must("R3: not yet")]));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!((w.task.spent.rounds, w.told.iter().filter(|t| t.contains("blocked")).count()), (3, 1));
}

#[test]
fn what_of_a_review_holds_nothing_up_is_noted_on_the_pull_request_and_costs_nothing() {
    let mut w = World::at(Pipeline::lite(), "judge check_reviewer_verdict");
    let run = w.task.run.unwrap();
    let nit = Finding { severity: Severity::P3, ..must("a nit") };
    let judged = |w: &World, verdict, notes: &[Finding]| Outcome::Judged {
        head: w.task.branch.head.clone().unwrap(),
        verdict,
        notes: notes.to_vec(),
        warning: None,
    };
    w.end(judged(&w, Verdict::Pass, std::slice::from_ref(&nit)));
    assert_eq!(common::names(&w.jobs), "note 1, judge check_security_gate");
    let note = Effect::NoteFindings {
        pull_request: 1,
        gate: orch_core::ids::GateId::ReviewerVerdict,
        run,
        findings: vec![nit.clone()],
    };
    assert_eq!(w.jobs[0].effect, note);
    assert_eq!((w.task.spent.rounds, w.task.findings.open.len()), (0, 0), "nobody has to do anything about it");

    let mut w = World::at(Pipeline::lite(), "judge check_reviewer_verdict");
    w.end(judged(&w, Verdict::Fail { findings: vec![must("a bug")] }, &[nit]));
    assert!(
        common::names(&w.jobs).starts_with("note 1, run developer"),
        "beside a refusal: {}",
        common::names(&w.jobs)
    );
}

/// A gate that is asked again and again while it waits says the same again and again.
#[test]
fn a_warning_of_a_gate_is_a_job_of_its_own_and_not_one_at_every_look() {
    let mut w = World::at(Pipeline::lite(), "judge check_security_gate");
    let warning = Warning { key: "feed".into(), text: "the feed is down".into() };
    let fault = common::fault(FaultKind::Transient, "secrets cannot be ruled out");
    let judged = |w: &World, verdict| Outcome::Judged {
        head: w.task.branch.head.clone().unwrap(),
        verdict,
        notes: vec![],
        warning: Some(warning.clone()),
    };
    w.end(judged(&w, Verdict::Inconclusive { fault: fault.clone() }));
    w.wake();
    w.end(judged(&w, Verdict::Inconclusive { fault }));
    w.wake();
    w.end(judged(&w, Verdict::Pass));
    assert_eq!(w.told, ["the feed is down"]);
    w.finish();
}

#[test]
fn rounds_are_shared_by_all_that_goes_back_to_development() {
    let mut w = World::at(Pipeline::lite(), "judge check_ci_green");
    w.fail("red");
    w.until("judge check_reviewer_verdict");
    w.fail("ugly");
    w.until("update");
    w.end(Outcome::Conflict { onto: common::sha(2), files: vec!["a.rs".into()], record: None });
    assert_eq!(
        (w.doing().as_str(), w.task.spent.rounds),
        ("run developer 3", 2),
        "a conflict is the developer's work and not a round"
    );
    w.until("judge check_ci_green exact");
    w.fail("red once more");
    assert_eq!((w.doing().as_str(), w.task.spent.rounds), ("run developer 4", 3));
    w.until("judge check_ci_green");
    w.fail("red again");
    assert!(matches!(w.task.phase, Phase::Blocked { why: BlockReason::RoundsSpent { .. }, .. }));
}

#[test]
fn a_missing_artefact_costs_the_role_and_never_the_developer() {
    let mut w = World::at(Pipeline::lite(), "judge check_reviewer_verdict");
    w.judge(Verdict::Unreadable { findings: vec![must("12-review.md is missing")] });
    assert_eq!((w.doing().as_str(), w.task.spent.rounds), ("run reviewer 0", 0));
    assert_eq!(w.task.findings.open, vec![must("12-review.md is missing")]);
    w.until("judge check_reviewer_verdict");
    w.judge(Verdict::Unreadable { findings: vec![must("12-review.md is broken")] });
    match &w.task.phase {
        Phase::Blocked { why: BlockReason::RoleFailed { role, .. }, .. } => assert_eq!(role, "reviewer"),
        other => panic!("{other:?}"),
    }
    assert_eq!((w.task.spent.rounds, w.told.len()), (0, 1));
    w.ok(Event::RetryAsked { by: common::bob() });
    assert_eq!(w.doing(), "run reviewer 0");
    w.finish();
}

#[test]
fn analysis_goes_back_to_itself_on_a_counter_of_its_own() {
    let mut w = World::started(Pipeline::full());
    for n in 1..=3 {
        w.until("judge check_analysis_complete");
        w.fail("TC-01 twice");
        assert_eq!((w.doing().as_str(), w.task.spent.rounds), ("run analyst 0", 0));
        assert_eq!(w.task.spent.stage_rounds.get(&"analysis".into()), Some(&n));
    }
    w.until("judge check_analysis_complete");
    w.fail("TC-01 twice");
    assert!(matches!(w.task.phase, Phase::Blocked { why: BlockReason::RoundsSpent { .. }, .. }));
}

#[test]
fn a_red_ci_does_not_make_the_next_brief_forget_the_review() {
    let mut w = World::at(Pipeline::lite(), "judge check_reviewer_verdict");
    w.fail("the lock is leaked");
    w.until("judge check_ci_green");
    w.fail("test_lock failed");
    assert_eq!(w.task.findings.open, vec![must("test_lock failed"), must("the lock is leaked")]);
    assert_eq!(w.task.findings.from.as_deref(), Some("check_ci_green, check_reviewer_verdict"));
    w.until("judge check_ci_green");
    w.fail("test_other failed");
    assert_eq!(
        w.task.findings.open,
        vec![must("test_other failed"), must("the lock is leaked")],
        "the old red is replaced"
    );
    w.until("run reviewer 3");
    assert_eq!(w.task.findings.open, vec![must("the lock is leaked")], "CI is green, the review has not looked again");
}

#[test]
fn an_unreadable_review_does_not_forget_the_first_one_and_neither_does_an_empty_repair() {
    let mut w = World::at(Pipeline::lite(), "judge check_reviewer_verdict");
    w.fail("the lock is leaked");
    w.until("publish developer");
    published(&mut w, true, &[]);
    assert_eq!((w.doing().as_str(), w.task.spent.rounds), ("run developer 1", 1));
    assert!(w.task.findings.open.contains(&must("the lock is leaked")) && w.task.findings.open.len() == 2);
    w.until("judge check_reviewer_verdict");
    w.judge(Verdict::Unreadable { findings: vec![must("12-review.md is missing")] });
    assert_eq!(w.task.findings.open, vec![must("12-review.md is missing"), must("the lock is leaked")]);
}

#[test]
fn a_red_gate_without_a_word_still_gives_the_next_brief_something() {
    let mut w = World::at(Pipeline::lite(), "judge check_ci_green");
    w.judge(Verdict::Fail { findings: vec![] });
    assert_eq!(w.task.findings.open.len(), 1);
    assert!(w.task.findings.open[0].text.contains("check_ci_green"));
}

#[test]
fn waiting_and_not_knowing_never_cost_anything() {
    let mut w = World::at(Pipeline::lite(), "judge check_ci_green");
    for _ in 0..20 {
        w.judge(report("`build`", None));
        w.wake();
        w.cannot_tell("the forge is down");
        w.wake();
    }
    assert_eq!((w.task.spent.rounds, w.task.spent.role_attempts, w.task.findings.open.len()), (0, 0, 0));
    w.finish();
}

#[test]
fn a_hold_is_told_once_and_looked_at_again() {
    let mut w = World::at(Pipeline::lite(), "judge check_ci_green");
    let since = w.now;
    for _ in 0..100 {
        w.cannot_tell("the forge is down");
        assert!(
            matches!(&w.task.phase, Phase::Waiting { why: WaitReason::CannotTell { .. }, since: s, .. } if *s == since)
        );
        while w.task.job().is_none() {
            w.wake();
        }
        assert!(matches!(&w.job.as_ref().unwrap().effect, Effect::Judge { since: s, .. } if *s == since));
    }
    assert_eq!(w.told.len(), 1, "{:?}", w.told);
    assert_eq!(w.story.iter().filter(|s| s.contains("the forge is down")).count(), 1);
    w.finish();
    assert_eq!(w.told.len(), 1);
}

/// A look that runs tests costs more than one at the forge.
#[test]
fn what_runs_a_command_looks_again_ever_later_and_own_ci_is_run_again_for_it() {
    let mut w = World::at(Pipeline::lite(), "judge check_ci_green");
    w.policy.own_ci = true;
    let asked = |w: &World| w.jobs.iter().filter(|j| matches!(j.effect, Effect::EnsureCi { .. })).count();
    let mut pauses = Vec::new();
    for _ in 0..40 {
        let fault = orch_core::verdict::FaultNote::new(FaultKind::Permanent, "the base itself fails");
        w.judge(Verdict::Inconclusive { fault });
        let from = w.now;
        while w.task.job().is_none() {
            w.wake();
        }
        pauses.push(w.now.since_ms(from));
        assert_eq!(asked(&w), 1, "with the look");
    }
    assert_eq!((pauses[0], pauses[39]), (30_000, 3_600_000));
    assert!(pauses.is_sorted(), "{pauses:?}");
    assert_eq!((w.told.len(), w.task.spent.rounds), (1, 0));
    w.finish();
}

#[test]
fn own_ci_that_told_nothing_of_what_is_prepared_for_the_merge_is_run_again_too() {
    let mut w = World::at(Pipeline::lite(), "update");
    w.policy.own_ci = true;
    w.step();
    assert_eq!(w.doing(), "judge check_ci_green exact");
    for _ in 0..5 {
        let fault = orch_core::verdict::FaultNote::new(FaultKind::Permanent, "the base itself fails");
        w.judge(Verdict::Inconclusive { fault });
        while w.task.job().is_none() {
            w.wake();
        }
        assert!(w.jobs.iter().any(|j| matches!(j.effect, Effect::EnsureCi { .. })), "{:?}", w.jobs);
        w.step();
        assert_eq!(w.doing(), "judge check_ci_green exact");
    }
    w.finish();
}

/// Neither is a pipeline's way with what nobody can tell.
#[test]
fn a_base_that_fails_is_a_hold_whatever_the_pipeline_makes_of_what_cannot_be_told() {
    use orch_core::pipeline::{OnInconclusive, Step};
    for way in [OnInconclusive::Fail, OnInconclusive::PassWithWarning] {
        let mut pipeline = Pipeline::lite();
        for step in pipeline.stages.iter_mut().flat_map(|s| &mut s.steps) {
            if let Step::Gate { gate: orch_core::ids::GateId::CiGreen, on_inconclusive, .. } = step {
                *on_inconclusive = way;
            }
        }
        let mut w = World::at(pipeline, "judge check_ci_green");
        let fault = orch_core::verdict::FaultNote::new(FaultKind::Permanent, "the base itself fails");
        w.judge(Verdict::Inconclusive { fault });
        assert!(
            matches!(w.task.phase, Phase::Waiting { why: WaitReason::CannotTell { .. }, .. }),
            "{:?}",
            w.task.phase
        );
        assert_eq!(w.task.spent.rounds, 0);
    }
}

#[test]
fn a_webhook_only_shortens_the_wait() {
    let mut w = World::at(Pipeline::lite(), "judge check_ci_green");
    w.judge(report("`build`", None));
    assert!(w.task.wake_at().is_some(), "a report nobody delivers is looked for");
    w.ok(Event::Nudged { what: "CI reported".into() });
    assert_eq!(w.doing(), "judge check_ci_green");
    assert!(w.send(Event::Nudged { what: "CI reported".into() }).is_err(), "the second delivery says nothing new");
}

#[test]
fn a_question_waits_for_an_answer_and_goes_back_to_who_asked() {
    let mut w = World::at(Pipeline::lite(), "run developer 0");
    w.end(Outcome::AgentFinished {
        question: Some("which colour?".into()),
        resolved: orch_core::conflict::Resolution::default(),
    });
    w.step();
    assert!(
        matches!(&w.task.phase, Phase::Waiting { why: WaitReason::Answer { role, .. }, .. } if role.as_str() == "developer")
    );
    assert_eq!(w.told.len(), 1);
    assert!(w.send(Event::Answered { by: common::mallory(), text: "pink".into() }).is_err());
    w.ok(Event::Answered { by: common::bob(), text: "blue".into() });
    assert_eq!(w.doing(), "run developer 0");
    assert_eq!((w.task.findings.answers.len(), w.task.findings.answers[0].answer.as_str()), (1, "blue"));
    assert!(w.send(Event::Answered { by: common::bob(), text: "red".into() }).is_err());
    w.finish();
}

#[test]
fn late_duplicate_and_foreign_words_change_nothing() {
    let mut w = World::at(Pipeline::lite(), "judge check_ci_green");
    let job = w.task.job().unwrap();
    let verdict = w.good();
    w.end(verdict.clone());
    let before = w.task.clone();
    for event in [
        Event::JobEnded { job, outcome: verdict },
        Event::JobEnded { job: 999, outcome: Outcome::Sent },
        Event::JobEnded { job: 1, outcome: common::failed("late") },
    ] {
        assert!(!w.send(event).unwrap_err().is_empty());
        assert_eq!(w.task, before);
    }
}

#[test]
fn a_job_that_ends_with_nonsense_is_shown_to_a_person_instead_of_waiting_for_ever() {
    let mut w = World::at(Pipeline::lite(), "judge check_ci_green");
    w.end(Outcome::Sent);
    assert!(matches!(w.task.phase, Phase::Blocked { why: BlockReason::JobFailed { .. }, .. }));
    w.ok(Event::RetryAsked { by: common::bob() });
    w.finish();
}

#[test]
fn an_edited_ticket_is_a_note_for_everybody_and_only_the_latest_text_counts() {
    let mut w = World::at(Pipeline::lite(), "run developer 0");
    let edit = |title: &str| Event::TicketEdited { title: title.into(), body: "b".into() };
    w.ok(edit("B"));
    w.ok(edit("C"));
    assert!(w.send(edit("C")).is_err());
    w.ok(edit("B"));
    assert_eq!(w.task.findings.notes.len(), 1);
    assert!(w.task.findings.notes[0].to_string().contains("\nB\n"));
    w.until("judge check_ci_green");
    w.fail("red");
    w.until("run reviewer 1");
    assert_eq!(w.task.findings.notes.len(), 1, "the reviewer's brief says so too");
    w.ok(Event::TicketEdited { title: w.task.title.clone(), body: w.task.body.clone() });
    assert_eq!(w.task.findings.notes.len(), 0, "edited back");

    let mut idle = World::new(Pipeline::lite());
    idle.ok(edit("Another thing"));
    assert_eq!(
        (idle.task.title.as_str(), idle.task.branch.name.as_str()),
        ("Another thing", "feature/DEMO-1-another-thing")
    );
}
