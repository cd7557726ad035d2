//! A person's own branch: the same gates and the same queue, no agent, and whatever does not let it through ends with the
//! person. What lands is what the person asked for, and nothing that was pushed later.
#![allow(clippy::unwrap_used)] // a test that cannot go on must say so where it stands

mod common;
use common::{World, anna, bob, failed, mallory, must, sha};
use orch_core::effect::{Effect, Outcome};
use orch_core::event::Event;
use orch_core::explain::explain;
use orch_core::pipeline::{Cursor, Pipeline};
use orch_core::task::{BlockReason, DoneOutcome, Phase, WaitReason, WayOut};

fn started(pipeline: Pipeline) -> World {
    let mut w = World::landing(pipeline);
    w.ok(Event::Started { by: bob() });
    w
}

fn returned(w: &World) -> String {
    match &w.task.phase {
        Phase::Blocked { why: BlockReason::Returned { from, findings }, retry, .. } => {
            assert_eq!(*retry, Cursor { stage: 0, step: 0 });
            assert!(!findings.is_empty());
            from.to_string()
        }
        other => panic!("it is not with its author: {other:?}"),
    }
}

#[test]
fn a_persons_branch_goes_through_the_gates_to_production_without_an_agent() {
    for pipeline in [Pipeline::lite(), Pipeline::full()] {
        let mut w = started(pipeline);
        let mut done = vec![];
        while !w.task.is_closed() {
            let effect = &w.job.as_ref().unwrap().effect;
            assert!(!matches!(effect, Effect::RunAgent { .. } | Effect::Publish { .. }), "{effect:?}");
            done.push(w.doing());
            w.step();
        }
        assert!(matches!(w.task.phase, Phase::Done { outcome: DoneOutcome::Healthy, .. }));
        assert_eq!(w.merges, 1);
        for step in ["judge check_tests_local", "judge check_security_gate exact", "merge", "deploy production"] {
            assert!(done.iter().any(|d| d == step), "{step}: {done:?}");
        }
    }
}

#[test]
fn only_who_may_land_starts_it_and_lets_it_be_tried_again() {
    let mut w = World::landing(Pipeline::lite());
    for who in [mallory(), anna()] {
        let why = w.send(Event::Started { by: who }).unwrap_err();
        assert!(why.contains("may not land") && why.contains("local:bob"), "{why}");
    }
    w.ok(Event::Started { by: bob() });
    w.until("judge check_tests_local");
    w.fail("sums is red");
    for event in [Event::RetryAsked { by: anna() }, Event::LandAsked { by: anna(), head: sha(8) }] {
        assert!(w.send(event).unwrap_err().contains("may not land"));
    }
    w.ok(Event::RetryAsked { by: bob() });
    assert_eq!(w.doing(), "open", "exactly the same is judged again");
}

#[test]
fn what_is_refused_goes_to_its_author_at_nobodys_cost_and_goes_on_as_it_stands_when_it_is_landed_again() {
    for gate in ["judge check_ci_green", "judge check_tests_local", "judge check_security_gate exact"] {
        let mut w = started(Pipeline::full());
        w.until(gate);
        w.fail("sums is red");
        returned(&w);
        assert_eq!((w.task.spent.rounds, w.holds_lease()), (0, false));
        let why = explain(&w.task).unwrap();
        assert_eq!(why.command.as_deref(), Some("orch land bobs/fix --project DEMO"));
        assert!(why.reason.contains("says no: sums is red"), "{}", why.reason);
        assert_eq!(w.told.len(), 1, "{:?}", w.told);
        w.ok(Event::LandAsked { by: bob(), head: sha(8) });
        assert_eq!((w.doing().as_str(), w.task.branch.source.clone().unwrap().head), ("open", sha(8)));
        w.finish();
        assert_eq!(w.merges, 1);
    }
}

#[test]
fn a_conflict_with_main_and_a_branch_that_cannot_be_taken_go_to_the_author_too() {
    let mut w = started(Pipeline::lite());
    w.until("update");
    w.end(Outcome::Conflict { onto: sha(3), files: vec!["a.rs".into()], record: None });
    assert_eq!(returned(&w), "the merge with main");
    let reason = explain(&w.task).unwrap().reason;
    assert!(
        reason.starts_with("the merge with main says no: a.rs: conflicts with the default branch: rebase"),
        "{reason}"
    );
    assert_eq!((w.task.landing.conflict.clone(), w.task.landing.conflicts), (None, 0));
    w.ok(Event::LandAsked { by: bob(), head: sha(8) });
    w.end(Outcome::NotTaken { findings: vec![must("main has all of it already")] });
    assert_eq!(returned(&w), "the branch");
    w.ok(Event::LandAsked { by: bob(), head: sha(9) });
    w.until("update");
    w.end(Outcome::NotTaken { findings: vec![must("migration 7 is given out twice")] });
    assert_eq!(returned(&w), "prepare-merge");
}

#[test]
fn a_retry_judges_exactly_the_same_again_with_hooks_that_run_again() {
    let mut w = started(Pipeline::full());
    w.until("judge check_staging_status");
    w.fail("the host was down");
    returned(&w);
    let before = w.task.next_seq;
    w.ok(Event::RetryAsked { by: bob() });
    w.until("deploy staging");
    let Effect::Deploy { since, .. } = w.job.clone().unwrap().effect else { unreachable!() };
    assert!(before <= since, "a hook that failed before does not count");
    assert_eq!(w.task.branch.source.clone().unwrap().head, sha(7));
    w.finish();
}

#[test]
fn who_may_land_may_say_how_it_goes_on_and_an_edited_ticket_is_what_the_commit_says() {
    let mut w = started(Pipeline::lite());
    w.policy.starters.clear();
    w.ok(Event::TicketEdited { title: "Round half up".into(), body: "b".into() });
    assert_eq!((w.task.title.as_str(), w.task.findings.notes.len()), ("Round half up", 0));
    w.ok(Event::Commented { by: bob(), text: "soon".into() });
    assert!(w.send(Event::CancelAsked { by: mallory() }).is_err());
    w.until("judge check_deploy_status");
    w.fail("no answer");
    w.step();
    w.ok(Event::WayChosen { by: bob(), way: WayOut::Accept });
    let mut w = started(Pipeline::lite());
    w.policy.starters.clear();
    w.ok(Event::CancelAsked { by: bob() });
}

#[test]
fn it_is_landed_anew_only_where_nothing_of_it_is_under_way() {
    let mut w = started(Pipeline::lite());
    assert!(w.send(Event::LandAsked { by: bob(), head: sha(8) }).unwrap_err().contains("is at work"));
    w.until("judge check_security_gate");
    w.judge(common::approval("the tests are changed"));
    assert!(w.send(Event::LandAsked { by: bob(), head: sha(7) }).unwrap_err().contains("exactly this"));
    w.ok(Event::LandAsked { by: bob(), head: sha(8) });
    w.until("merge");
    w.end(failed("nobody knows"));
    assert!(w.send(Event::LandAsked { by: bob(), head: sha(9) }).unwrap_err().contains("not known"));
    w.ok(Event::RetryAsked { by: bob() });
    w.finish();
    assert!(w.send(Event::LandAsked { by: bob(), head: sha(9) }).is_err());
    let mut agents = World::started(Pipeline::lite());
    assert!(agents.send(Event::LandAsked { by: anna(), head: sha(9) }).unwrap_err().contains("agents work on it"));
}

#[test]
fn what_a_stranger_pushed_to_the_copy_is_put_aside_and_never_landed() {
    for pipeline in [Pipeline::lite(), Pipeline::full()] {
        for event in [Event::RetryAsked { by: bob() }, Event::LandAsked { by: bob(), head: sha(8) }] {
            let mut w = started(pipeline.clone());
            w.until("update");
            w.end(Outcome::BranchMoved { now: Some(sha(50)) });
            let why = explain(&w.task).unwrap();
            assert!(why.reason.contains("orch's copy of bobs/fix"), "{}", why.reason);
            w.ok(event);
            assert_eq!(
                (w.doing().as_str(), w.task.branch.head.clone()),
                ("open", Some(sha(50))),
                "it is pushed over that"
            );
            assert!(w.story.iter().any(|s| s.contains("is put aside and kept")), "{:?}", w.story);
            w.finish();
            assert_eq!(w.merges, 1);
        }
    }
}

#[test]
fn what_production_does_not_take_is_repaired_by_its_author_or_taken_back_through_the_gates() {
    let failed_there = || {
        let mut w = started(Pipeline::full());
        w.until("judge check_deploy_status");
        w.fail("no answer");
        w.step();
        assert!(matches!(w.task.phase, Phase::Waiting { why: WaitReason::Production { .. }, .. }));
        w
    };
    let mut w = failed_there();
    w.ok(Event::WayChosen { by: bob(), way: WayOut::Repair });
    returned(&w);
    assert_eq!((w.task.branch.generation, w.task.branch.head.clone()), (2, None));
    w.ok(Event::LandAsked { by: bob(), head: sha(8) });
    w.finish();
    assert_eq!(w.merges, 2);

    let mut w = failed_there();
    w.ok(Event::WayChosen { by: bob(), way: WayOut::Revert });
    assert_eq!(w.doing(), "open");
    w.step();
    assert_eq!(w.doing(), "pull request");
    w.finish();
    assert!(matches!(w.task.phase, Phase::Done { outcome: DoneOutcome::Reverted, .. }));

    let mut w = failed_there();
    w.ok(Event::WayChosen { by: bob(), way: WayOut::Revert });
    w.end(Outcome::Conflict { onto: sha(3), files: vec!["a.rs".into()], record: None });
    assert_eq!(returned(&w), "the revert");
    w.ok(Event::LandAsked { by: bob(), head: sha(8) });
    w.finish();
    assert_eq!(w.merges, 2);
}

#[test]
fn what_is_being_taken_back_is_not_replaced_by_what_its_author_lands_next() {
    let mut w = started(Pipeline::lite());
    w.finish();
    w.ok(Event::RevertAsked { by: bob(), reason: None });
    for step in ["open", "judge check_ci_green", "judge check_security_gate"] {
        w.until(step);
        assert!(!w.task.lands_next(), "{step}: new work gets a task of its own");
        let refused = w.send(Event::LandAsked { by: bob(), head: sha(8) }).unwrap_err();
        assert!(refused.contains("is being taken back"), "{step}: {refused}");
    }
    w.ok(Event::PutOnHold { by: bob(), reason: None });
    w.end(Outcome::Cancelled);
    assert!(w.send(Event::LandAsked { by: bob(), head: sha(8) }).unwrap_err().contains("is being taken back"));
    w.ok(Event::Released { by: bob() });
    w.finish();
    assert!(matches!(w.task.phase, Phase::Done { outcome: DoneOutcome::Reverted, .. }));
    let refused = w.send(Event::RevertAsked { by: bob(), reason: None }).unwrap_err();
    assert!(refused.contains("orch land") && !refused.contains("task start"), "{refused}");
}

#[test]
fn a_revert_that_a_gate_refuses_is_tried_again_by_a_retry_and_done_by_hand_by_landing() {
    let refused = || {
        let mut w = started(Pipeline::lite());
        w.until("judge check_deploy_status");
        w.fail("no answer");
        w.step();
        w.ok(Event::WayChosen { by: bob(), way: WayOut::Revert });
        w.until("judge check_ci_green");
        w.fail("red without it");
        returned(&w);
        w
    };
    let mut w = refused();
    w.ok(Event::RetryAsked { by: bob() });
    assert!(!w.task.production.reverting.as_ref().unwrap().by_hand);
    w.finish();
    assert!(matches!(w.task.phase, Phase::Done { outcome: DoneOutcome::Reverted, .. }));

    let mut w = refused();
    w.ok(Event::LandAsked { by: bob(), head: sha(8) });
    assert!(w.task.production.reverting.as_ref().unwrap().by_hand);
    w.finish();
    assert_eq!(w.merges, 2);
}
