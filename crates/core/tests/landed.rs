//! A main that somebody else moves, and a pull request that somebody else merges: in every phase a task can be in.
#![allow(clippy::unwrap_used)] // a test that cannot go on must say so where it stands

mod common;
use common::{World, anna, bob, failed, mallory, report, sha, tree};
use orch_core::effect::{NotMerged, Outcome};
use orch_core::event::Event;
use orch_core::ids::Actor;
use orch_core::pipeline::Pipeline;
use orch_core::task::{ApprovalKind, BlockReason, DoneOutcome, Phase, WaitReason, WayOut};

fn landed(by: Option<Actor>, tested: bool) -> Event {
    Event::Landed { commit: sha(7_000), tree: tree(7), head: sha(7_000), by, tested }
}

fn asks(w: &World) -> bool {
    let asked = matches!(&w.task.phase, Phase::Waiting { why: WaitReason::Approval { what: ApprovalKind::Landed, subject, .. }, .. } if *subject == sha(7_000).to_string());
    assert!(!asked || !w.holds_lease());
    asked
}

/// Everything is behind it: the deploy of exactly what landed is under way.
fn deploys(w: &World) -> bool {
    w.doing() == "deploy production" && w.task.landing.merged.as_ref().is_some_and(|m| m.commit == sha(7_000))
}

/// The job under way was stopped, and says so or ends as it would have.
fn stopped(w: &mut World, well: bool) {
    let job = w.task.job().unwrap();
    assert_eq!(w.last.as_ref().unwrap().stop, Some(job), "the job under way is stopped");
    let outcome = if well { w.good() } else { Outcome::Cancelled };
    w.end(outcome);
}

#[test]
fn a_mapped_persons_merge_of_what_was_tested_is_the_tasks_merge_wherever_it_works() {
    let places = [
        "run reviewer 0",
        "publish reviewer",
        "judge check_reviewer_verdict",
        "judge check_security_gate",
        "update",
        "judge check_ci_green exact",
        "judge check_branch_mergeable exact",
    ];
    for place in places {
        for well in [false, true] {
            let mut w = World::at(Pipeline::lite(), place);
            let rounds = w.task.repairs();
            w.ok(landed(Some(anna()), true));
            stopped(&mut w, well);
            assert!(deploys(&w), "{place}: {} {:?}", w.doing(), w.task.phase);
            assert_eq!((w.task.repairs(), w.holds_lease(), w.told.len()), (rounds, false, 0), "{place}");
            w.finish();
            assert!(matches!(w.task.phase, Phase::Done { outcome: DoneOutcome::Healthy, .. }));
            assert_eq!(w.merges, 0, "orch merged nothing");
        }
    }
}

#[test]
fn whatever_a_job_that_was_stopped_ends_with_nothing_is_begun_and_nobody_is_blocked() {
    let mut w = World::at(Pipeline::lite(), "publish reviewer");
    w.ok(landed(Some(anna()), true));
    w.end(Outcome::BranchMoved { now: None });
    assert!(deploys(&w));
    let mut w = World::at(Pipeline::lite(), "judge check_reviewer_verdict");
    w.ok(landed(Some(anna()), true));
    w.fail("not like this");
    assert!(deploys(&w), "{:?}", w.task.phase);
    assert!(w.task.findings.open.is_empty() && w.task.findings.raised.is_empty());
    let mut w = World::at(Pipeline::lite(), "update");
    w.ok(landed(None, true));
    w.end(Outcome::Conflict { onto: sha(7_000), files: vec!["a.rs".into()], record: None });
    assert!(asks(&w), "{:?}", w.task.phase);
    w.step();
    assert!(deploys(&w) && w.task.landing.conflict.is_none());
}

#[test]
fn waiting_or_blocked_it_is_taken_at_once() {
    let mut w = World::at(Pipeline::lite(), "judge check_ci_green");
    w.judge(report("`build`", None));
    w.ok(landed(Some(anna()), true));
    assert!(deploys(&w));

    let mut w = World::at(Pipeline::lite(), "judge check_ci_green exact");
    w.judge(report("`build`", Some(w.now.plus_ms(60_000))));
    assert!(w.holds_lease());
    w.ok(landed(Some(anna()), true));
    assert!(deploys(&w) && !w.holds_lease());

    let mut w = World::at(Pipeline::lite(), "merge");
    w.end(Outcome::NotMerged { why: NotMerged::Refused { text: "protected".into() } });
    assert!(matches!(w.task.phase, Phase::Blocked { why: BlockReason::MergeRefused { .. }, .. }));
    w.ok(landed(Some(anna()), true));
    assert!(deploys(&w));
    w.finish();
}

#[test]
fn about_everything_else_one_question_is_asked_and_no_queue_is_frozen() {
    for (by, tested) in
        [(Some(mallory()), true), (Some(bob()), true), (None, true), (Some(anna()), false), (None, false)]
    {
        let mut w = World::at(Pipeline::lite(), "judge check_security_gate exact");
        w.ok(landed(by.clone(), tested));
        stopped(&mut w, false);
        assert!(asks(&w), "{by:?} {tested}: {:?}", w.task.phase);
        assert_eq!(w.told.iter().filter(|t| t.contains("needs you")).count(), 1, "{:?}", w.told);
        assert!(w.told[0].contains("merged as") && w.told[0].contains("not by orch"), "{:?}", w.told);
        // Told again, it is no news; time and hints end nothing.
        assert!(w.send(landed(by.clone(), tested)).is_err());
        assert!(w.send(Event::Nudged { what: "CI".into() }).is_err() && w.send(Event::LeaseFreed).is_err());
        assert!(w.send(Event::Approved { by: bob(), gate: None, subject: None, comment: None }).is_err());
        let other = Some("what is not shown".to_owned());
        assert!(w.send(Event::Approved { by: anna(), gate: None, subject: other, comment: None }).is_err());
        w.ok(Event::Approved { by: anna(), gate: None, subject: Some(sha(7_000).to_string()), comment: None });
        assert!(deploys(&w), "{:?}", w.task.phase);
        w.finish();
        assert_eq!(w.told.len(), 1, "{:?}", w.told);
    }
}

#[test]
fn what_a_person_does_not_take_can_be_asked_again_taken_back_or_left() {
    let refused = || {
        let mut w = World::at(Pipeline::lite(), "judge check_ci_green");
        w.judge(report("`build`", None));
        w.ok(landed(Some(mallory()), true));
        w.ok(Event::Rejected { by: anna(), gate: None, comment: "not ours".into() });
        let Phase::Blocked { why: BlockReason::Rejected { what, .. }, .. } = &w.task.phase else {
            panic!("{:?}", w.task.phase)
        };
        assert_eq!(*what, Some(ApprovalKind::Landed));
        assert!(w.told.last().unwrap().contains("rejected the merge by somebody else: not ours"), "{:?}", w.told);
        w
    };
    let mut w = refused();
    w.ok(Event::RetryAsked { by: bob() });
    assert!(asks(&w), "the question again: {:?}", w.task.phase);

    let mut w = refused();
    for way in [WayOut::Deploy, WayOut::Repair, WayOut::Accept] {
        assert!(w.send(Event::WayChosen { by: bob(), way }).unwrap_err().contains("--as revert"));
    }
    w.ok(Event::WayChosen { by: bob(), way: WayOut::Revert });
    assert_eq!((w.doing().as_str(), w.task.branch.generation), ("open", 2));
    assert_eq!(w.task.production.reverting.as_ref().map(|r| &r.commit), Some(&sha(7_000)));
    assert!(
        w.task.findings.notes.iter().all(|n| !n.to_string().contains("failed in production")),
        "{:?}",
        w.task.findings.notes
    );
    w.finish();
    assert!(matches!(w.task.phase, Phase::Done { outcome: DoneOutcome::Reverted, .. }), "{:?}", w.task.phase);
    assert_eq!(w.merges, 1);

    let mut w = refused();
    w.ok(Event::CancelAsked { by: bob() });
    assert!(matches!(w.task.phase, Phase::Cancelled { .. }));
    assert!(w.story.iter().any(|s| s.contains("stays on main as")), "{:?}", w.story);
}

#[test]
fn a_question_can_be_answered_by_a_cancel_and_that_says_what_stays() {
    let mut w = World::at(Pipeline::lite(), "judge check_ci_green");
    w.judge(report("`build`", None));
    w.ok(landed(None, false));
    w.ok(Event::CancelAsked { by: bob() });
    assert!(matches!(w.task.phase, Phase::Cancelled { .. }));
    assert!(w.story.iter().any(|s| s.contains("stays on main as")));
    assert!(w.send(landed(None, false)).is_err(), "closed is closed");
}

#[test]
fn a_cancel_that_came_too_late_is_none_and_one_beside_an_open_question_is_one() {
    for (event, taken) in [(landed(Some(anna()), true), true), (landed(Some(mallory()), true), false)] {
        let mut w = World::at(Pipeline::lite(), "run developer 0");
        w.ok(Event::CancelAsked { by: bob() });
        w.ok(event);
        w.end(Outcome::Cancelled);
        assert_eq!(deploys(&w), taken, "{:?}", w.task.phase);
        assert_eq!(matches!(w.task.phase, Phase::Cancelled { .. }), !taken);
        let says = if taken { "could not be ended any more" } else { "stays on main as" };
        assert!(w.story.iter().any(|s| s.contains(says)), "{:?}", w.story);
    }
}

#[test]
fn at_the_merge_its_executor_reads_back_who_merged_and_only_another_tree_is_a_question() {
    let mut w = World::at(Pipeline::lite(), "merge");
    assert!(w.send(landed(Some(mallory()), false)).is_err(), "it reads that back itself");
    w.end(Outcome::LandedOtherwise { commit: sha(7_000), tree: tree(7), by: Some(anna()) });
    assert!(asks(&w), "{:?}", w.task.phase);
    w.step();
    assert!(deploys(&w));
    w.finish();
    // What the forge did on orch's own request stays what it was.
    let mut w = World::at(Pipeline::lite(), "merge");
    w.end(Outcome::Merged { commit: sha(7_000), tree: tree(7) });
    assert!(matches!(w.task.phase, Phase::Blocked { why: BlockReason::WrongTree { .. }, .. }) && w.holds_lease());
    // A merge nobody knows of is read back by its retry.
    let mut w = World::at(Pipeline::lite(), "merge");
    w.end(failed("nobody may look"));
    assert!(w.send(landed(Some(anna()), true)).is_err());
    // Cancelled while it merges: it is not tried again and again, and what landed is said.
    let mut w = World::at(Pipeline::lite(), "merge");
    w.ok(Event::CancelAsked { by: bob() });
    w.end(Outcome::LandedOtherwise { commit: sha(7_000), tree: tree(7), by: Some(anna()) });
    assert!(matches!(w.task.phase, Phase::Cancelled { .. }));
    assert!(w.story.iter().any(|s| s.contains("stays on main as")));
}

#[test]
fn behind_the_merge_before_the_start_and_after_the_end_it_is_no_news() {
    let mut w = World::at(Pipeline::lite(), "deploy production");
    assert!(w.send(landed(Some(anna()), true)).unwrap_err().contains("merged already"));
    w.finish();
    assert!(w.send(landed(Some(anna()), true)).is_err());
    let mut w = World::at(Pipeline::lite(), "run developer 0");
    w.ok(Event::CancelAsked { by: bob() });
    w.end(Outcome::Cancelled);
    assert!(w.send(landed(Some(anna()), true)).is_err());
}

#[test]
fn a_repair_that_somebody_else_merges_is_the_repair() {
    let mut w = World::at(Pipeline::lite(), "judge check_deploy_status");
    w.fail("port 80 is taken");
    w.step();
    w.ok(Event::WayChosen { by: bob(), way: WayOut::Repair });
    w.until("judge check_ci_green");
    w.ok(landed(Some(anna()), true));
    stopped(&mut w, false);
    assert!(deploys(&w), "{:?}", w.task.phase);
    w.finish();
    assert!(matches!(w.task.phase, Phase::Done { outcome: DoneOutcome::Healthy, .. }));
}

/// A person merged it, production did not take it, and it is being repaired: a late look at main finds the same merge again.
#[test]
fn the_merge_that_is_being_repaired_is_no_news_however_late_it_is_heard_again() {
    let mut w = World::at(Pipeline::lite(), "judge check_security_gate");
    w.ok(landed(Some(anna()), true));
    stopped(&mut w, false);
    w.until("judge check_deploy_status");
    w.fail("port 80 is taken");
    w.step();
    for way in [WayOut::Repair, WayOut::Revert] {
        w.ok(Event::WayChosen { by: bob(), way });
        let refused = w.send(landed(Some(anna()), true)).unwrap_err();
        assert!(refused.contains("an earlier branch"), "{refused}");
        assert!(w.task.landing.merged.is_none() && w.task.landing.landed.is_none(), "nothing is deployed again by it");
        w.ok(Event::CancelAsked { by: bob() });
        w.end(Outcome::Cancelled);
        assert!(matches!(w.task.phase, Phase::Waiting { why: WaitReason::Production { .. }, .. }));
    }
}

/// The same for a merge that a person did not want and that is being taken back, and two branches later.
#[test]
fn a_merge_that_is_being_taken_back_is_no_news_either_nor_any_that_the_task_ever_had() {
    let mut w = World::at(Pipeline::lite(), "judge check_ci_green");
    w.ok(landed(Some(mallory()), false));
    stopped(&mut w, true);
    w.ok(Event::Rejected { by: anna(), gate: None, comment: "not ours".into() });
    w.ok(Event::WayChosen { by: bob(), way: WayOut::Revert });
    let late = |w: &mut World| {
        let refused = w.send(landed(Some(anna()), true)).unwrap_err();
        assert!(refused.contains("an earlier branch"), "{refused}");
        assert!(w.task.landing.landed.is_none(), "{:?}", w.task.phase);
    };
    late(&mut w);
    // What takes it back does not come up, and is repaired on a third branch.
    w.until("judge check_deploy_status");
    w.fail("port 80 is taken");
    w.step();
    w.ok(Event::WayChosen { by: bob(), way: WayOut::Repair });
    assert_eq!(w.task.branch.generation, 3);
    late(&mut w);
}

#[test]
fn what_failed_in_production_and_was_merged_as_it_was_is_taken_back_whole() {
    let mut w = World::at(Pipeline::lite(), "judge check_security_gate");
    let (head, base) = (w.task.branch.head.clone().unwrap(), w.task.branch.base.clone());
    let by = Some(anna());
    w.ok(Event::Landed { commit: head.clone(), tree: tree(7), head: head.clone(), by, tested: true });
    w.end(Outcome::Cancelled);
    w.until("judge check_deploy_status");
    w.fail("port 80 is taken");
    w.step();
    w.ok(Event::WayChosen { by: bob(), way: WayOut::Revert });
    let reverting = w.task.production.reverting.clone().unwrap();
    assert_eq!((reverting.commit, reverting.base), (head, base), "several commits may have landed at once");
}

#[test]
fn a_main_that_only_orch_may_move_waits_for_a_yes_to_exactly_its_tip_and_holds_no_lease() {
    let needed = |n| Outcome::ApprovalNeeded { subject: sha(n).to_string(), shown: vec!["1a2b3c Eve: evil".into()] };
    let mut w = World::at(Pipeline::lite(), "update");
    w.end(needed(50));
    let shown = |w: &World, n| matches!(&w.task.phase, Phase::Waiting { why: WaitReason::Approval { what: ApprovalKind::Main, subject, shown }, .. } if *subject == sha(n).to_string() && !shown.is_empty());
    assert!(shown(&w, 50) && !w.holds_lease());
    assert_eq!(w.told.len(), 1, "{:?}", w.told);
    // Main moves on, or another task's approval counts: it looks again.
    w.ok(Event::Nudged { what: "main".into() });
    assert_eq!((w.doing().as_str(), w.holds_lease()), ("update", true));
    w.end(needed(51));
    assert!(shown(&w, 51));
    assert_eq!(w.told.len(), 2, "something else is shown: {:?}", w.told);
    assert!(
        w.send(Event::Approved { by: anna(), gate: None, subject: Some(sha(50).to_string()), comment: None }).is_err()
    );
    assert!(w.send(Event::Approved { by: bob(), gate: None, subject: None, comment: None }).is_err());
    w.ok(Event::Approved { by: anna(), gate: None, subject: Some(sha(51).to_string()), comment: None });
    assert_eq!(w.doing(), "update");
    assert!(w.task.approved(ApprovalKind::Main, sha(51).as_str()).is_some());
    w.finish();

    let mut w = World::at(Pipeline::lite(), "update");
    w.end(needed(50));
    w.ok(Event::Rejected { by: anna(), gate: None, comment: String::new() });
    assert!(w.told.last().unwrap().contains("rejected the default branch as somebody else moved it"), "{:?}", w.told);
    w.ok(Event::RetryAsked { by: bob() });
    assert_eq!(w.doing(), "update", "asked again");
    w.finish();
}

#[test]
fn what_came_in_is_in_the_journal_and_changes_nothing() {
    let mut w = World::at(Pipeline::lite(), "update");
    let before = w.task.clone();
    w.ok(Event::MainMoved { tip: sha(50), shown: vec!["1a2b3c Eve: hello".into()] });
    assert_eq!(w.task, before);
    assert!(w.story.iter().any(|s| s.contains("1a2b3c Eve: hello")));
    w.finish();
    assert!(w.send(Event::MainMoved { tip: sha(50), shown: vec![] }).is_err());
}
