//! What an agent says of its work as a whole: it is unable, the analysis is wrong, nothing has to be changed; and what a
//! retry and a repair that changes nothing are worth. None of it costs a round or an attempt, and none of it loops by
//! itself.
#![allow(clippy::unwrap_used)] // a test that cannot go on must say so where it stands

mod common;
use common::{World, anna, bob, must, sha};
use orch_core::conflict::Resolution;
use orch_core::effect::{Effect, Outcome};
use orch_core::event::Event;
use orch_core::explain::{explain, line};
use orch_core::ids::GateId;
use orch_core::pipeline::{Pipeline, Step};
use orch_core::policy::Policy;
use orch_core::task::{ApprovalKind, BlockReason, DoneOutcome, Phase, WaitReason};
use orch_core::verdict::{FaultKind, Verdict, WaitFor};
use orch_core::word::Word;

fn says(w: &mut World, word: Word) {
    w.end(Outcome::AgentSaid { word, resolved: Resolution::default() });
}
fn unable(reason: &str) -> Word {
    Word::Unable { reason: reason.into() }
}
fn no_change(reason: &str) -> Word {
    Word::NoChange { reason: reason.into() }
}
fn back(stage: &str, reason: &str) -> Word {
    Word::Return { stage: stage.into(), reason: reason.into() }
}
fn published(w: &mut World, empty: bool) {
    let head = w.fresh();
    w.end(Outcome::Published { head, empty, discarded: vec![], unresolved: vec![], refused: vec![] });
}
/// What the developer leaves is what was there.
fn published_as_it_was(w: &mut World) {
    let head = w.task.branch.head.clone().unwrap();
    w.end(Outcome::Published { head, empty: false, discarded: vec![], unresolved: vec![], refused: vec![] });
}
fn retry(w: &mut World) {
    w.ok(Event::RetryAsked { by: bob() });
}
fn spent(w: &World) -> (u32, u32) {
    (w.task.spent.rounds, w.task.spent.role_attempts)
}
fn is_unable(w: &World) -> Option<(String, String)> {
    match &w.task.phase {
        Phase::Waiting { why: WaitReason::Unable { role, why }, .. } => Some((role.to_string(), why.clone())),
        _ => None,
    }
}
fn told(w: &World, text: &str) -> usize {
    w.told.iter().filter(|t| t.contains(text)).count()
}

#[test]
fn a_role_that_is_unable_holds_the_task_and_costs_nothing() {
    for (pipeline, role, at) in [
        (Pipeline::full(), "analyst", "run analyst 0"),
        (Pipeline::full(), "architect", "run architect 0"),
        (Pipeline::lite(), "developer", "run developer 0"),
        (Pipeline::lite(), "reviewer", "run reviewer 0"),
        (Pipeline::full(), "tester", "run tester 0"),
    ] {
        let mut w = World::at(pipeline, at);
        says(&mut w, unable("there is no network"));
        assert_eq!(w.doing(), format!("publish {role}"), "what it left is kept");
        published(&mut w, true);
        assert_eq!(is_unable(&w), Some((role.into(), "there is no network".into())));
        assert_eq!(
            (spent(&w), told(&w, "needs you: ")),
            ((0, 0), 1 + usize::from(role != "analyst" && at != "run developer 0" && at != "run reviewer 0"))
        );
        let why = explain(&w.task).unwrap();
        assert_eq!(why.command.as_deref(), Some("orch task retry DEMO-1"));
        for word in ["retry", "cancel", "edit"] {
            let said = format!("{} {}", why.ends_when, why.command.clone().unwrap());
            assert!(said.contains(word), "{said}");
        }
        let answered = w.send(Event::Answered { by: bob(), text: "try again".into() });
        assert!(answered.unwrap_err().contains("orch task retry DEMO-1"), "it asks nothing");
        w.pass(100_000_000);
        assert!(w.send(Event::TimerFired).is_err() && w.send(Event::Nudged { what: "x".into() }).is_err(), "no loop");
        // Said again it holds again, however often, and a person is told each time.
        for _ in 0..5 {
            retry(&mut w);
            assert_eq!(w.doing(), at);
            says(&mut w, unable("still no network"));
            published(&mut w, true);
            assert_eq!((is_unable(&w).unwrap().1.as_str(), spent(&w)), ("still no network", (0, 0)));
        }
        assert_eq!(told(&w, "still no network"), 5);
        retry(&mut w);
        w.finish();
    }
}

#[test]
fn a_test_report_that_says_unable_holds_until_the_tester_is_let_to_try_again() {
    let mut w = World::at(Pipeline::full(), "judge check_tests_passed");
    w.judge(Verdict::Wait { why: WaitFor::Unable { reason: "no browser".into() }, until: None, recheck: None });
    assert_eq!((is_unable(&w), spent(&w)), (Some(("tester".into(), "no browser".into())), (0, 0)));
    retry(&mut w);
    assert_eq!(w.doing(), "run tester 0");
    w.finish();
}

#[test]
fn unable_counts_also_where_nothing_of_the_run_is_taken_and_is_cancelled_like_any_wait() {
    let mut w = World::at(Pipeline::lite(), "run developer 0");
    says(&mut w, unable("the disk is read-only"));
    w.end(Outcome::NotTaken { findings: vec![must("files are hidden")] });
    assert_eq!((is_unable(&w).unwrap().1.as_str(), spent(&w)), ("the disk is read-only", (0, 0)));
    assert!(w.task.findings.notes.contains(&"files are hidden".to_owned().into()));
    w.ok(Event::CancelAsked { by: anna() });
    assert!(w.task.is_closed());
}

#[test]
fn a_reason_that_is_a_book_is_cut_and_one_that_is_missing_is_said_to_be() {
    let mut w = World::at(Pipeline::lite(), "run developer 0");
    says(&mut w, unable(&"x".repeat(1_000_000)));
    published(&mut w, true);
    assert!(is_unable(&w).unwrap().1.len() < 5_000);
    retry(&mut w);
    says(&mut w, unable("  \n"));
    published(&mut w, true);
    assert_eq!(is_unable(&w).unwrap().1, "it does not say why");
}

#[test]
fn a_run_without_a_word_forgets_the_word_before() {
    let mut w = World::at(Pipeline::lite(), "run developer 0");
    says(&mut w, unable("no network"));
    w.end(Outcome::Cancelled);
    assert_eq!(w.doing(), "publish developer");
    published(&mut w, false);
    assert!(is_unable(&w).is_some(), "stopped from outside, it is published again");
    retry(&mut w);
    w.until("update");
    assert_eq!(w.task.wait.said, None);
}

fn outcome(w: &World) -> Option<DoneOutcome> {
    match w.task.phase {
        Phase::Done { outcome, .. } => Some(outcome),
        _ => None,
    }
}

#[test]
fn nothing_to_change_is_judged_by_the_reviewer_and_ends_without_a_merge() {
    for pipeline in [Pipeline::lite(), Pipeline::full()] {
        let mut w = World::at(pipeline, "run developer 0");
        says(&mut w, no_change("src/a.rs:3 does it already"));
        published(&mut w, true);
        assert_eq!(w.doing(), "run reviewer 0", "no pull request, no CI, no tests");
        assert_eq!(w.task.findings.no_change.as_ref().unwrap().reason, "src/a.rs:3 does it already");
        w.until("judge check_reviewer_verdict");
        w.step();
        assert_eq!(outcome(&w), Some(DoneOutcome::NothingToChange));
        assert_eq!((w.merges, w.task.landing.merged.clone(), w.task.branch.pull_request), (0, None, None));
        assert_eq!(line(&w.task), "done, nothing to change: src/a.rs:3 does it already");
        assert!(w.jobs.iter().any(|j| j.effect == Effect::CleanUp));
        assert_eq!(orch_core::ticket::state(&w.task), Some(orch_core::ticket::TicketState::Done));
        assert!(
            orch_core::ticket::comment(&w.task, &orch_core::budget::Sums::default())
                .contains("nothing to change: src/a.rs:3 does it already")
        );
        assert!(w.send(Event::RevertAsked { by: anna(), reason: None }).is_err(), "there is nothing to take back");
        w.ok(Event::BegunAgain { by: anna(), ticket: Box::new(common::ticket(Pipeline::lite())) });
        assert_eq!(w.task.findings.no_change, None, "another life declares anew");
    }
}

#[test]
fn a_declaration_that_the_reviewer_refuses_goes_back_with_what_has_to_be_changed() {
    let mut w = World::at(Pipeline::lite(), "run developer 0");
    says(&mut w, no_change("it is there"));
    published(&mut w, true);
    w.until("judge check_reviewer_verdict");
    w.fail("it is not: the empty list crashes");
    assert_eq!((w.doing().as_str(), w.task.spent.rounds), ("run developer 1", 1));
    assert_eq!(w.task.findings.no_change, None);
    w.finish();
    assert_eq!((outcome(&w), w.merges), (Some(DoneOutcome::Healthy), 1));
}

#[test]
fn a_declaration_beside_a_change_is_a_contradiction_and_an_empty_change_without_one_a_failure() {
    let mut w = World::at(Pipeline::lite(), "run developer 0");
    says(&mut w, no_change("it is there"));
    published(&mut w, false);
    assert_eq!((w.doing().as_str(), spent(&w)), ("run developer 0", (0, 1)));
    assert!(w.task.findings.open[0].text.contains("the branch changes code"), "{:?}", w.task.findings.open);
    w.step();
    published(&mut w, true);
    let Phase::Blocked { why: BlockReason::RoleFailed { findings, .. }, .. } = &w.task.phase else { panic!() };
    assert!(findings[0].text.contains("no code was changed") && findings[0].text.contains("no_change"));
}

#[test]
fn a_person_confirms_where_the_project_asks_and_where_no_reviewer_has_judged() {
    let asking = Policy { confirm_no_change: true, ..common::policy() };
    let mut unreviewed = Pipeline::lite();
    unreviewed.stages[2].steps.retain(|s| {
        !matches!(s, Step::Agent { .. } | Step::Publish | Step::Gate { gate: GateId::ReviewerVerdict, .. })
    });
    for (pipeline, policy, skipped) in [
        (Pipeline::lite(), asking, false),
        (Pipeline::lite(), common::policy(), true),
        (unreviewed, common::policy(), false),
    ] {
        let reviewed = pipeline.stages[2].steps.iter().any(|s| matches!(s, Step::Agent { .. }));
        let mut w = World::with(pipeline, policy);
        w.ok(Event::Started { by: anna() });
        let declares = |w: &mut World, reason: &str, round: u32| {
            w.until(&format!("run developer {round}"));
            says(w, no_change(reason));
            published(w, true);
            if reviewed {
                w.until("judge check_reviewer_verdict");
                w.judge(if skipped { Verdict::Skipped { why: "off".into() } } else { Verdict::Pass });
            }
        };
        declares(&mut w, "it is there", 0);
        let asked = |w: &World| match &w.task.phase {
            Phase::Waiting { why: WaitReason::Approval { what: ApprovalKind::NoChange, subject, shown }, .. } => {
                (subject.clone(), shown.join("; "))
            }
            other => panic!("{other:?}"),
        };
        let (first, shown) = asked(&w);
        assert!(shown.contains("it is there"), "{shown}");
        assert_eq!(shown.contains("the reviewer agrees"), reviewed && !skipped, "{shown}");
        w.ok(Event::Rejected { by: anna(), gate: None, comment: "look at the other page".into() });
        assert_eq!(
            (w.doing().as_str(), w.task.findings.open[0].text.as_str()),
            ("run developer 1", "look at the other page")
        );
        declares(&mut w, "the other page, too", 1);
        let (second, _) = asked(&w);
        assert_ne!(first, second, "what was said of one declaration does not count for another");
        let stale = Event::Approved { by: anna(), gate: None, subject: Some(first), comment: None };
        assert!(w.send(stale).is_err());
        w.ok(Event::Approved { by: anna(), gate: Some(GateId::ReviewerVerdict), subject: Some(second), comment: None });
        if reviewed {
            w.judge(if skipped { Verdict::Skipped { why: "off".into() } } else { Verdict::Pass });
        }
        assert_eq!(outcome(&w), Some(DoneOutcome::NothingToChange));
    }
}

#[test]
fn only_the_developer_declares_it_and_a_repair_of_production_is_never_nothing() {
    let mut w = World::at(Pipeline::lite(), "run reviewer 0");
    says(&mut w, no_change("I like it"));
    published(&mut w, false);
    assert_eq!(w.doing(), "judge check_reviewer_verdict");
    assert!(w.task.findings.notes.iter().any(|n| n.to_string().contains("`no_change`")), "{:?}", w.task.findings.notes);

    let mut w = World::at(Pipeline::lite(), "judge check_deploy_status");
    w.fail("port 80 is taken");
    w.step();
    w.ok(Event::WayChosen { by: anna(), way: orch_core::task::WayOut::Repair });
    w.until("run developer 0");
    says(&mut w, no_change("not my fault"));
    published(&mut w, true);
    assert_eq!((w.doing().as_str(), w.task.spent.role_attempts), ("run developer 0", 1));
    assert!(w.task.findings.open.iter().any(|f| f.text.contains("production failed")));
}

#[test]
fn a_retry_asks_the_red_gate_before_it_runs_anybody() {
    for (pipeline, gate) in [
        (Pipeline::lite(), "judge check_ci_green"),
        (Pipeline::lite(), "judge check_tests_local"),
        (Pipeline::lite(), "judge check_reviewer_verdict"),
        (Pipeline::full(), "judge check_tests_passed"),
        (Pipeline::lite(), "judge check_tests_local exact"),
    ] {
        let mut w = World::started(pipeline);
        for round in 0..4 {
            w.until(&format!("run developer {round}"));
            w.until(gate);
            w.fail("red");
        }
        assert!(matches!(w.task.phase, Phase::Blocked { why: BlockReason::RoundsSpent { .. }, .. }));
        let runs = w.story.iter().filter(|s| s.contains("developer is finished")).count();
        retry(&mut w);
        w.until(gate);
        assert_eq!(w.story.iter().filter(|s| s.contains("developer is finished")).count(), runs, "{gate}: nobody ran");
        // Green by now: it goes on, and no agent was paid for it.
        let mut green = World {
            task: w.task.clone(),
            job: w.job.clone(),
            lease: w.lease.clone(),
            exact: w.exact.clone(),
            ..World::new(Pipeline::lite())
        };
        green.policy = w.policy.clone();
        green.finish();
        assert_eq!(outcome(&green), Some(DoneOutcome::Healthy), "{gate}");
        assert_eq!(green.story.iter().filter(|s| s.contains("developer is finished")).count(), 0, "{gate}");
        // Still red: the developer is run, at no cost, and has all repairs again.
        w.fail("still red");
        assert_eq!((w.doing().as_str(), w.task.spent.rounds), ("run developer 0", 0), "{gate}");
        for round in 0..3 {
            w.until(&format!("run developer {round}"));
            w.until(gate);
            w.fail("red");
            assert_eq!(w.task.spent.rounds, round + 1);
        }
    }
}

#[test]
fn a_retry_works_also_where_no_repair_is_allowed() {
    let mut w = World::with(Pipeline::lite(), Policy { max_developer_retries: 0, ..common::policy() });
    w.ok(Event::Started { by: anna() });
    for _ in 0..3 {
        w.until("judge check_tests_local");
        w.fail("red");
        assert!(matches!(w.task.phase, Phase::Blocked { .. }));
        retry(&mut w);
        assert_eq!(w.doing(), "judge check_tests_local");
        w.fail("red");
        assert_eq!(w.doing(), "run developer 0", "a person's word is worth a run");
    }
}

#[test]
fn own_ci_that_was_red_is_run_again_by_a_retry() {
    let mut w = World::with(Pipeline::lite(), Policy { max_developer_retries: 0, own_ci: true, ..common::policy() });
    w.ok(Event::Started { by: anna() });
    w.until("judge check_ci_green");
    w.fail("red");
    retry(&mut w);
    assert_eq!(w.doing(), "judge check_ci_green");
    let commit = w.task.branch.head.clone().unwrap();
    assert!(w.jobs.iter().any(|j| j.effect == Effect::EnsureCi { commit: commit.clone() }), "{:?}", w.jobs);
}

#[test]
fn a_branch_that_a_person_repaired_is_judged_without_an_agent() {
    let mut w = World::with(Pipeline::lite(), Policy { max_developer_retries: 0, ..common::policy() });
    w.ok(Event::Started { by: anna() });
    w.until("judge check_tests_local");
    w.fail("red");
    retry(&mut w);
    w.end(Outcome::BranchMoved { now: Some(sha(77)) });
    assert!(
        matches!(&w.task.phase, Phase::Blocked { why: BlockReason::BranchMoved { now: Some(now) }, .. } if *now == sha(77))
    );
    retry(&mut w);
    assert_eq!((w.doing().as_str(), w.task.branch.head.clone()), ("pull request", Some(sha(77))));
    w.until("judge check_tests_local");
    w.finish();
    assert_eq!(outcome(&w), Some(DoneOutcome::Healthy));
}

#[test]
fn a_persons_no_is_not_asked_again() {
    let mut w = World::started(Pipeline::full());
    for _ in 0..4 {
        w.until("judge check_analysis_approved");
        w.judge(common::approval("analysis-1"));
        w.ok(Event::Rejected { by: anna(), gate: None, comment: "no".into() });
    }
    assert!(matches!(w.task.phase, Phase::Blocked { why: BlockReason::RoundsSpent { .. }, .. }));
    retry(&mut w);
    assert_eq!(w.doing(), "run analyst 0");
}

#[test]
fn a_repair_that_changes_nothing_is_judged_once_more_and_no_third_time() {
    let mut w = World::with(Pipeline::lite(), Policy { own_ci: true, ..common::policy() });
    w.ok(Event::Started { by: anna() });
    w.until("judge check_tests_local");
    w.fail("test_total: 3 is not 4");
    w.until("publish developer");
    published_as_it_was(&mut w);
    w.until("judge check_tests_local");
    w.fail("test_total: 3 is not 4");
    assert_eq!((w.doing().as_str(), spent(&w)), ("run developer 2", (2, 0)), "what made it red might have passed");
    w.until("publish developer");
    published_as_it_was(&mut w);
    assert!(w.jobs.iter().all(|j| !matches!(j.effect, Effect::EnsureCi { .. })), "CI is not asked either");
    let Phase::Blocked { why: BlockReason::RoleFailed { role, findings }, .. } = &w.task.phase else { panic!() };
    assert!(role == "developer" && findings[0].text.starts_with("the repair changed nothing"), "{findings:?}");
    assert!(w.task.findings.open.iter().any(|f| f.text == "test_total: 3 is not 4"), "what was found stands");
    // The machine may be repaired by now: that is seen before anybody is run.
    retry(&mut w);
    assert_eq!(w.doing(), "judge check_tests_local");
    w.fail("test_total: 3 is not 4");
    assert_eq!((w.doing().as_str(), w.task.spent.rounds), ("run developer 2", 2), "at no cost");
    w.finish();
}

#[test]
fn a_repair_that_changes_something_is_judged_and_so_is_what_somebody_else_pushed() {
    let mut w = World::at(Pipeline::lite(), "judge check_tests_local");
    w.fail("red");
    w.until("publish developer");
    published(&mut w, false);
    w.until("judge check_tests_local");

    w.fail("red");
    w.until("publish developer");
    w.end(Outcome::BranchMoved { now: Some(sha(77)) });
    retry(&mut w);
    w.until("publish developer");
    published_as_it_was(&mut w);
    assert_eq!(w.doing(), "pull request", "what they pushed was never judged");
}

#[test]
fn an_answer_to_the_reviewer_is_judged_once() {
    let mut w = World::at(Pipeline::lite(), "judge check_reviewer_verdict");
    w.fail("R1: quadratic");
    w.until("publish developer");
    published_as_it_was(&mut w);
    w.until("run reviewer 1");
    w.until("judge check_reviewer_verdict");
    w.fail("R1: still quadratic");
    assert_eq!(w.task.spent.rounds, 2);
    w.until("publish developer");
    published_as_it_was(&mut w);
    assert!(
        line(&w.task).contains("the repair changed nothing"),
        "the same answer is not given twice: {}",
        line(&w.task)
    );
    retry(&mut w);
    assert_eq!(w.doing(), "run developer 2");
    w.step();
    published(&mut w, false);
    w.until("judge check_reviewer_verdict");
    w.fail("R2: no test");
    w.until("publish developer");
    published_as_it_was(&mut w);
    w.until("run reviewer 3");
}

#[test]
fn a_return_to_analysis_is_counted_on_its_own_and_voids_the_approval() {
    let mut w = World::started(Pipeline::full());
    for (n, (role, at)) in [("developer", "run developer 0"), ("reviewer", "run reviewer 0")].into_iter().enumerate() {
        w.until(at);
        assert!(w.task.approved(ApprovalKind::Analysis, "analysis-1").is_some());
        let head = w.task.branch.head.clone();
        says(&mut w, back("analysis", &format!("AC-{n} cannot be built")));
        published_as_it_was(&mut w);
        assert_eq!((w.doing().as_str(), spent(&w), w.task.spent.returns), ("run analyst 0", (0, 0), n as u32 + 1));
        assert_eq!(w.task.branch.head, head, "what was made stays on the branch");
        assert_eq!(w.task.approvals, vec![], "the approval is void");
        assert_eq!(w.task.findings.open.len(), 1, "what was returned before is settled");
        assert!(
            w.task.findings.open[0]
                .text
                .contains(&format!("the {role} returned the task to its analysis: AC-{n} cannot be built"))
        );
        w.until("judge check_analysis_approved");
        w.step();
        assert!(matches!(w.task.phase, Phase::Waiting { why: WaitReason::Approval { .. }, .. }), "approved anew");
    }
    w.until("run architect 0");
    says(&mut w, back("analysis", "AC-9 contradicts AC-1"));
    published(&mut w, false);
    let Phase::Blocked { why: BlockReason::ReturnsSpent { returns }, .. } = &w.task.phase else {
        panic!("{:?}", w.task.phase)
    };
    assert_eq!(returns.iter().map(|r| r.by.as_str()).collect::<Vec<_>>(), ["developer", "reviewer", "architect"]);
    for text in ["AC-0 cannot be built", "AC-1 cannot be built", "AC-9 contradicts AC-1"] {
        assert!(line(&w.task).contains(text), "{}", line(&w.task));
    }
    retry(&mut w);
    assert_eq!((w.doing().as_str(), w.task.spent.returns), ("run analyst 0", 0));
    w.finish();
    assert_eq!(outcome(&w), Some(DoneOutcome::Healthy));
}

#[test]
fn a_return_where_there_is_no_analysis_holds_with_a_clear_answer() {
    let mut w = World::at(Pipeline::lite(), "run developer 0");
    says(&mut w, back("analysis", "two wishes contradict each other"));
    published(&mut w, true);
    let (role, why) = is_unable(&w).unwrap();
    assert_eq!(role, "developer");
    assert!(why.contains("this pipeline has none: two wishes contradict each other"), "{why}");
    retry(&mut w);
    w.finish();
}

#[test]
fn a_return_that_is_none_counts_for_nothing_and_is_said() {
    for (pipeline, at, word) in [
        (Pipeline::full(), "run tester 0", back("analysis", "x")),
        (Pipeline::full(), "run analyst 0", back("analysis", "x")),
        (Pipeline::full(), "run developer 0", back("architecture", "x")),
    ] {
        let mut w = World::at(pipeline, at);
        says(&mut w, word);
        published(&mut w, false);
        assert!(w.doing().starts_with("judge") || w.doing() == "pull request", "{at}: {}", w.doing());
        assert!(
            w.task.findings.notes.iter().any(|n| n.to_string().contains("`return_to`")),
            "{:?}",
            w.task.findings.notes
        );
        assert_eq!(w.task.spent.returns, 0);
    }
}

#[test]
fn a_passing_fault_of_a_gate_that_is_asked_first_is_waited_for() {
    let mut w = World::with(Pipeline::lite(), Policy { max_developer_retries: 0, ..common::policy() });
    w.ok(Event::Started { by: anna() });
    w.until("judge check_tests_local");
    w.fail("red");
    retry(&mut w);
    let fault = common::fault(FaultKind::Transient, "the forge is down");
    w.judge(Verdict::Inconclusive { fault });
    assert!(matches!(w.task.phase, Phase::Waiting { why: WaitReason::CannotTell { .. }, .. }));
    w.wake();
    w.fail("red");
    assert_eq!(w.doing(), "run developer 0");
}

#[test]
fn a_word_that_counts_for_nothing_leaves_no_older_one_behind() {
    let mut w = World::at(Pipeline::lite(), "run developer 0");
    says(&mut w, no_change("it is there"));
    w.end(Outcome::NotTaken { findings: vec![must("it is too large")] });
    assert_eq!(w.doing(), "run developer 0");
    says(&mut w, back("architecture", "another plan"));
    published(&mut w, true);
    assert_eq!((w.task.findings.no_change.clone(), w.doing().as_str()), (None, ""), "nobody declares it any more");
    assert!(matches!(&w.task.phase, Phase::Blocked { why: BlockReason::RoleFailed { .. }, .. }), "{:?}", w.task.phase);
}

#[test]
fn ci_runs_for_no_head_of_a_task_that_its_words_stop() {
    type Published = fn(&mut World);
    let asks = Outcome::AgentFinished { question: Some("which colour?".into()), resolved: Resolution::default() };
    let word = |word| Outcome::AgentSaid { word, resolved: Resolution::default() };
    let plain = Outcome::AgentFinished { question: None, resolved: Resolution::default() };
    let cases: [(Outcome, Published, usize); 7] = [
        (plain, |w| published(w, false), 1),
        (word(unable("no network")), |w| published(w, false), 0),
        (word(no_change("it is there")), |w| published(w, true), 0),
        (word(no_change("it is there")), |w| published(w, false), 0),
        (word(back("analysis", "it cannot be built")), |w| published(w, false), 0),
        (word(back("architecture", "it counts for nothing")), |w| published(w, false), 1),
        (asks, |w| published(w, false), 0),
    ];
    for (end, publishes, runs) in cases {
        let mut w = World::with(Pipeline::full(), Policy { own_ci: true, ..common::policy() });
        w.ok(Event::Started { by: bob() });
        w.until("run developer 0");
        w.end(end.clone());
        publishes(&mut w);
        let ci = w.jobs.iter().filter(|job| matches!(job.effect, Effect::EnsureCi { .. })).count();
        assert_eq!(ci, runs, "{end:?}");
    }
}
