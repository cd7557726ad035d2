//! What people arrange about a task: it is held, and goes on exactly where it was held.
#![allow(clippy::unwrap_used)] // a test that cannot go on must say so where it stands

mod common;
use common::{World, anna, bob, failed, mallory, policy, report};
use orch_core::effect::{Effect, NotMerged, Outcome};
use orch_core::event::Event;
use orch_core::explain::explain;
use orch_core::pipeline::Pipeline;
use orch_core::task::{BlockReason, Blocker, BlockerState, DoneOutcome, Phase, WaitReason};

fn hold(by: orch_core::ids::Actor) -> Event {
    Event::PutOnHold { by, reason: Some("the release is frozen".into()) }
}

fn rests(w: &World) -> bool {
    matches!(w.task.phase, Phase::Waiting { why: WaitReason::OnHold, .. })
}

#[test]
fn a_held_task_finishes_what_runs_begins_nothing_and_goes_on_exactly_there() {
    for name in ["open", "run developer 0", "publish developer", "pull request", "judge check_security_gate"] {
        let mut w = World::at(Pipeline::lite(), name);
        w.ok(hold(bob()));
        assert_eq!(w.doing(), name, "what is under way is not stopped");
        let said = explain(&w.task).unwrap();
        assert!(said.reason.contains("held by local:bob: the release is frozen; still under way"), "{said:?}");
        assert_eq!(said.command.as_deref(), Some("orch task release DEMO-1"));
        w.step();
        assert!(rests(&w), "{name}: {:?}", w.task.phase);
        let said = explain(&w.task).unwrap();
        assert_eq!(said.reason, "held by local:bob: the release is frozen");
        let at = w.task.at;
        w.ok(Event::Released { by: anna() });
        assert_eq!(w.task.at, at);
        assert!(w.task.job().is_some() && w.task.wait.on_hold.is_none());
        w.finish();
    }
}

#[test]
fn holding_twice_and_releasing_what_is_not_held_is_refused_with_the_reason() {
    let mut w = World::at(Pipeline::lite(), "run developer 0");
    assert!(w.send(Event::Released { by: bob() }).unwrap_err().contains("not held"));
    assert!(w.send(hold(mallory())).unwrap_err().contains("may not hold"));
    w.ok(hold(bob()));
    let twice = w.send(hold(anna())).unwrap_err();
    assert!(twice.contains("local:bob holds it already") && twice.contains("orch task release DEMO-1"), "{twice}");
    assert!(w.send(Event::Released { by: mallory() }).unwrap_err().contains("may not release"));
    w.ok(Event::Released { by: anna() });
    assert!(w.send(Event::Released { by: anna() }).unwrap_err().contains("not held"));
    let long = Some("x".repeat(5_000));
    assert!(w.send(Event::PutOnHold { by: bob(), reason: long }).unwrap_err().contains("5000 bytes"));
    w.finish();
    assert!(w.send(hold(bob())).unwrap_err().contains("over"));
}

/// The store ends a job that nobody has begun, or that would be tried again, as cancelled.
#[test]
fn a_job_that_nobody_has_begun_ends_and_begins_again_after_the_release() {
    let mut w = World::at(Pipeline::lite(), "run developer 0");
    w.ok(hold(bob()));
    assert_eq!(w.last.as_ref().unwrap().hold_back, w.task.job());
    w.end(Outcome::Cancelled);
    assert!(rests(&w));
    w.ok(Event::Released { by: bob() });
    assert_eq!(w.doing(), "run developer 0");
}

#[test]
fn which_jobs_are_held_back() {
    let mut w = World::at(Pipeline::lite(), "run developer 0");
    let (job, agent) = (w.task.job().unwrap(), w.job.as_ref().unwrap().effect.clone());
    assert!(!w.task.holds_back(job, &agent, 0, false), "it is not held");
    w.ok(hold(bob()));
    assert!(w.task.holds_back(job, &agent, 3, false), "put back for another attempt");
    assert!(!w.task.holds_back(job, &agent, 3, true), "its program may run");
    assert!(!w.task.holds_back(job + 1, &agent, 0, false), "another job");
    let mut w = World::at(Pipeline::lite(), "merge");
    let (job, merge) = (w.task.job().unwrap(), w.job.as_ref().unwrap().effect.clone());
    w.ok(hold(bob()));
    assert!(w.task.holds_back(job, &merge, 0, false));
    assert!(!w.task.holds_back(job, &merge, 1, false), "it may have been asked for");
    w.ok(Event::CancelAsked { by: bob() });
    assert!(!w.task.holds_back(job, &merge, 0, false), "a cancel goes its way");
    for name in ["deploy production", "watch"] {
        let mut w = World::at(Pipeline::lite(), name);
        let (job, effect) = (w.task.job().unwrap(), w.job.as_ref().unwrap().effect.clone());
        w.ok(hold(bob()));
        assert!(w.task.holds_back(job, &effect, 0, false), "{name}: nobody has begun it");
        assert!(!w.task.holds_back(job, &effect, 1, false), "{name}: half done, with nothing running at the moment");
    }
}

#[test]
fn a_held_task_holds_no_lease_and_prepares_its_merge_again() {
    for name in ["update", "judge check_ci_green exact", "judge check_branch_mergeable exact"] {
        let mut w = World::at(Pipeline::lite(), name);
        assert!(w.holds_lease());
        w.ok(hold(bob()));
        assert!(w.holds_lease(), "what runs is finished under it");
        w.step();
        assert!(rests(&w) && !w.holds_lease(), "{name}: {:?}", w.task.phase);
        w.ok(Event::Released { by: bob() });
        assert_eq!(w.doing(), "update", "{name}");
        w.finish();
    }
    // What runs ends in a wait.
    for what in ["report", "cannot tell"] {
        let mut w = World::at(Pipeline::lite(), "judge check_ci_green exact");
        let until = w.now.plus_ms(60_000);
        w.ok(hold(bob()));
        match what {
            "report" => w.judge(report("`build`", Some(until))),
            _ => w.cannot_tell("the forge is down"),
        }
        assert!(rests(&w) && !w.holds_lease() && w.task.wake_at().is_none(), "{what}: {:?}", w.task.phase);
        w.ok(Event::Released { by: bob() });
        assert_eq!(w.doing(), "update", "{what}");
        w.finish();
    }
    // A gate that holds is counted on over the hold, whenever that was.
    for held_first in [true, false] {
        let mut w = World::at(Pipeline::lite(), "judge check_ci_green exact");
        let (gate, since) = (w.task.at, w.now);
        if held_first {
            w.ok(hold(bob()));
            w.cannot_tell("the forge is down");
        } else {
            w.cannot_tell("the forge is down");
            w.ok(hold(bob()));
        }
        w.pass(60_000);
        let unsure = w.task.wait.unsure.unwrap();
        assert_eq!((unsure.at, unsure.hold.since), (gate, since), "held first: {held_first}");
        w.ok(Event::Released { by: bob() });
        w.until("judge check_ci_green exact");
        let Effect::Judge { since: counted, .. } = w.job.as_ref().unwrap().effect.clone() else { panic!() };
        assert_eq!(counted, since);
    }
    let mut w = World::at(Pipeline::lite(), "deploy production");
    w.ok(hold(bob()));
    w.end(Outcome::Held { revision: common::sha(9), by: "DEMO-2".into() });
    assert!(rests(&w) && w.task.wake_at().is_none());
    // A wait for a report in the middle of it.
    let mut w = World::at(Pipeline::lite(), "judge check_ci_green exact");
    let until = w.now.plus_ms(60_000);
    w.judge(report("`build`", Some(until)));
    assert!(w.holds_lease());
    w.ok(hold(bob()));
    assert!(rests(&w) && !w.holds_lease() && w.task.wake_at().is_none());
    w.ok(Event::Released { by: bob() });
    assert_eq!(w.doing(), "update");
}

#[test]
fn a_merge_in_flight_is_read_back_and_then_it_waits() {
    let mut w = World::at(Pipeline::lite(), "merge");
    w.ok(hold(bob()));
    w.step();
    assert!(w.task.landing.merged.is_some() && rests(&w) && !w.holds_lease());
    w.ok(Event::Released { by: bob() });
    assert_eq!(w.doing(), "deploy production");
    // One that nobody asked for does not happen.
    let mut w = World::at(Pipeline::lite(), "merge");
    w.ok(hold(bob()));
    w.end(Outcome::Cancelled);
    assert!(w.task.landing.merged.is_none() && rests(&w) && !w.holds_lease());
    w.ok(Event::Released { by: bob() });
    assert_eq!(w.doing(), "update");
    w.finish();
}

/// Held before or behind the retry: what may be on main is read back first, and neither a cancel nor a finish goes past it.
#[test]
fn a_merge_nobody_knows_of_is_read_back_also_while_it_is_held() {
    let finish = Event::FinishAsked { by: bob(), reason: "by hand".into() };
    let cancel = Event::CancelAsked { by: bob() };
    let retry = Event::RetryAsked { by: bob() };
    for order in [[hold(bob()), retry.clone()], [retry.clone(), hold(bob())]] {
        let unknown = || {
            let mut w = World::at(Pipeline::lite(), "merge");
            w.end(failed("the forge answers nothing"));
            for event in order.clone() {
                w.ok(event);
            }
            assert_eq!((w.doing().as_str(), w.holds_lease(), w.task.wait.on_hold.is_some()), ("merge", true, true));
            let merge = w.job.clone().unwrap();
            assert!(
                !w.task.holds_back(merge.seq, &merge.effect, 0, false),
                "it may have been asked for by a job before"
            );
            w
        };
        let mut w = unknown();
        assert!(w.send(finish.clone()).unwrap_err().contains("a merge is under way"));
        w.step();
        assert!(w.task.landing.merged.is_some() && rests(&w) && !w.holds_lease());
        assert!(w.send(finish.clone()).unwrap_err().contains("is merged as"));
        let mut w = unknown();
        w.ok(cancel.clone());
        assert_eq!((w.last.as_ref().unwrap().stop, w.doing().as_str()), (None, "merge"));
        w.step();
        assert!(w.task.landing.merged.is_some() && rests(&w), "the cancel came too late");
        // Still nobody knows; stopped from outside; not merged after all: then only it is prepared anew, and held.
        let mut w = unknown();
        w.end(failed("nothing"));
        assert!(w.task.merge_unknown() && w.holds_lease());
        for event in [&cancel, &finish] {
            assert!(w.send(event.clone()).unwrap_err().contains("not known"));
        }
        w.ok(retry.clone());
        w.end(Outcome::Cancelled);
        assert_eq!((w.doing().as_str(), w.holds_lease()), ("merge", true));
        w.end(Outcome::NotMerged { why: NotMerged::BaseMoved });
        assert!(rests(&w) && !w.holds_lease());
        w.ok(Event::Released { by: bob() });
        w.until("merge");
        assert!(!w.task.landing.asked);
        w.ok(hold(bob()));
        let merge = w.job.clone().unwrap();
        assert!(w.task.holds_back(merge.seq, &merge.effect, 0, false), "nobody has asked for this one");
    }
}

#[test]
fn a_held_task_can_be_cancelled_and_nothing_of_the_hold_is_left() {
    let mut w = World::at(Pipeline::lite(), "run developer 0");
    w.ok(hold(bob()));
    w.ok(Event::CancelAsked { by: anna() });
    assert!(w.send(hold(bob())).unwrap_err().contains("being ended"));
    w.end(Outcome::Cancelled);
    assert!(matches!(w.task.phase, Phase::Cancelled { .. }) && w.task.wait.on_hold.is_none());
    let mut w = World::at(Pipeline::lite(), "run developer 0");
    w.ok(hold(bob()));
    w.step();
    w.ok(Event::CancelAsked { by: anna() });
    assert!(matches!(w.task.phase, Phase::Cancelled { .. }));
}

#[test]
fn people_still_answer_a_held_task_and_it_goes_on_after_the_release_only() {
    let mut w = World::at(Pipeline::full(), "judge check_analysis_approved");
    w.judge(common::approval("d1"));
    w.ok(hold(bob()));
    let said = explain(&w.task).unwrap();
    assert!(said.reason.contains("held by") && said.reason.contains("approve the analysis"), "{said:?}");
    assert_eq!(said.command.as_deref(), Some("orch approve DEMO-1"));
    w.ok(Event::Approved { by: anna(), gate: None, subject: None, comment: None });
    assert!(rests(&w));
    w.ok(Event::Released { by: bob() });
    assert_eq!(w.doing(), "judge check_analysis_approved");
    // A blocked one.
    let mut w = World::at(Pipeline::lite(), "run developer 0");
    w.end(failed("no access"));
    w.ok(hold(bob()));
    assert!(matches!(w.task.phase, Phase::Blocked { why: BlockReason::JobFailed { .. }, .. }));
    w.ok(Event::RetryAsked { by: bob() });
    assert!(rests(&w));
    w.ok(Event::Released { by: bob() });
    assert_eq!(w.doing(), "run developer 0");
    // One that was not started.
    let mut w = World::new(Pipeline::lite());
    w.ok(hold(bob()));
    w.ok(Event::Started { by: bob() });
    assert!(rests(&w));
    w.ok(Event::Released { by: bob() });
    assert_eq!(w.doing(), "open");
}

#[test]
fn the_last_step_ends_a_held_task_and_a_failed_production_is_brought_back() {
    let mut w = World::at(Pipeline::lite(), "watch");
    w.ok(hold(bob()));
    w.end(Outcome::Watched { outcome: DoneOutcome::Healthy });
    assert!(matches!(w.task.phase, Phase::Done { .. }) && w.task.wait.on_hold.is_none());
    let mut w = World::at(Pipeline::lite(), "judge check_deploy_status");
    w.ok(hold(bob()));
    w.fail("port taken");
    assert_eq!(w.doing(), "rollback production");
    w.step();
    assert!(matches!(w.task.phase, Phase::Waiting { why: WaitReason::Production { .. }, .. }));
    w.ok(Event::RetryAsked { by: bob() });
    assert!(rests(&w));
    w.ok(Event::Released { by: bob() });
    assert_eq!(w.doing(), "deploy production");
}

#[test]
fn the_ticket_shows_the_hold_and_its_end() {
    let mut w = World::with(Pipeline::lite(), policy());
    w.ok(Event::Started { by: bob() });
    for event in [hold(bob()), Event::Released { by: bob() }] {
        w.ok(event);
        assert!(w.jobs.iter().any(|j| j.effect == Effect::SyncTicket), "{:?}", w.jobs);
    }
}

fn after(add: &[&str], remove: &[&str]) -> Event {
    let items = |list: &[&str]| list.iter().map(|item| (*item).into()).collect();
    Event::AfterSet { by: bob(), add: items(add), remove: items(remove) }
}
fn seen(open: &[&str], looked_at: &[&str]) -> Event {
    Event::BlockersSeen {
        open: open.iter().map(|item| Blocker::open(&(*item).into())).collect(),
        looked_at: looked_at.iter().map(|item| (*item).into()).collect(),
    }
}

#[test]
fn a_blocker_that_is_added_behind_the_look_is_not_dropped_by_it() {
    let mut w = World::new(Pipeline::lite());
    w.ok(after(&["DEMO-2"], &[]));
    w.ok(Event::Started { by: bob() });
    // DEMO-2 was looked at and is over; before that is told, a person adds DEMO-3.
    w.ok(after(&["DEMO-3"], &[]));
    w.ok(seen(&[], &["DEMO-2"]));
    assert_eq!(explain(&w.task).unwrap().reason, "its start waits for DEMO-3");
    assert!(w.story.iter().any(|s| s == "DEMO-2 is over"));
    assert!(w.send(seen(&[], &["DEMO-2"])).unwrap_err().contains("as they did"));
    // What was added and taken out again is no matter of a late look.
    w.ok(after(&["DEMO-4"], &["DEMO-2"]));
    assert!(w.send(seen(&["DEMO-2"], &["DEMO-2"])).unwrap_err().contains("as they did"));
    w.ok(seen(&[], &["DEMO-3", "DEMO-4"]));
    assert_eq!(w.doing(), "open");
}

#[test]
fn a_start_waits_for_others_names_them_and_goes_on_by_itself() {
    let mut w = World::new(Pipeline::lite());
    w.ok(after(&["DEMO-2", "SHOP-3"], &[]));
    w.ok(Event::Started { by: bob() });
    assert_eq!((w.task.phase_word(), w.doing().as_str()), ("waiting_for_others", ""));
    let said = explain(&w.task).unwrap();
    assert_eq!(said.reason, "its start waits for DEMO-2; SHOP-3");
    assert!(said.ends_when.contains("DEMO-2, SHOP-3 is done or cancelled"), "{said:?}");
    let since = said.since;
    w.wake();
    assert_eq!(explain(&w.task).unwrap().since, since, "looked at again, it waits as long");
    assert!(w.send(seen(&["DEMO-2", "SHOP-3"], &["DEMO-2", "SHOP-3"])).unwrap_err().contains("as they did"));
    w.ok(seen(&["SHOP-3"], &["DEMO-2", "SHOP-3"]));
    assert_eq!(explain(&w.task).unwrap().reason, "its start waits for SHOP-3");
    w.ok(seen(&[], &["DEMO-2", "SHOP-3"]));
    assert_eq!(w.doing(), "open");
    assert!(w.story.iter().any(|s| s == "DEMO-2 is over") && w.task.wait.after.is_empty());
    assert!(w.send(after(&["DEMO-4"], &[])).unwrap_err().contains("it has begun"));
    w.finish();
}

#[test]
fn a_cycle_and_a_blocker_that_is_gone_are_said_with_the_way_out() {
    let mut w = World::new(Pipeline::lite());
    assert!(w.send(after(&["DEMO-1"], &[])).unwrap_err().contains("itself (DEMO-1 -> DEMO-1)"));
    w.ok(after(&["DEMO-2", "DEMO-3"], &[]));
    w.ok(Event::Started { by: bob() });
    let path = vec!["DEMO-1".into(), "DEMO-2".into(), "DEMO-1".into()];
    let cycle = Blocker { item: "DEMO-2".into(), state: BlockerState::Cycle { path } };
    let gone = Blocker { item: "DEMO-3".into(), state: BlockerState::Gone };
    w.ok(Event::BlockersSeen { open: vec![cycle, gone], looked_at: vec!["DEMO-2".into(), "DEMO-3".into()] });
    let said = explain(&w.task).unwrap();
    assert!(
        said.reason.contains("DEMO-1 -> DEMO-2 -> DEMO-1") && said.reason.contains("DEMO-3, which is gone"),
        "{said:?}"
    );
    assert_eq!(said.command.as_deref(), Some("orch task after DEMO-1 --remove DEMO-2 DEMO-3"));
    w.ok(after(&[], &["DEMO-2"]));
    assert_eq!(w.task.phase_word(), "waiting_for_others");
    w.ok(after(&[], &["DEMO-3"]));
    assert_eq!(w.doing(), "open");
}

#[test]
fn a_hold_and_blockers_both_hold_and_a_cancel_ends_both() {
    let mut w = World::new(Pipeline::lite());
    w.ok(after(&["DEMO-2"], &[]));
    w.ok(hold(bob()));
    w.ok(Event::Started { by: bob() });
    assert!(rests(&w));
    assert!(w.send(seen(&[], &["DEMO-2"])).is_err(), "held, it is not looked at");
    w.ok(Event::Released { by: bob() });
    assert_eq!(w.task.phase_word(), "waiting_for_others");
    w.ok(hold(bob()));
    w.ok(seen(&[], &["DEMO-2"]));
    assert!(rests(&w), "{:?}", w.task.phase);
    w.ok(Event::CancelAsked { by: bob() });
    assert!(matches!(w.task.phase, Phase::Cancelled { .. }));
}

#[test]
fn what_starts_held_can_be_told_to_wait_for_others_before_it_is_released() {
    let mut w = World::new(Pipeline::lite());
    w.ok(hold(bob()));
    w.ok(Event::Started { by: bob() });
    assert!(rests(&w));
    w.ok(after(&["DEMO-2"], &[]));
    w.ok(Event::Released { by: bob() });
    assert_eq!(w.task.phase_word(), "waiting_for_others");
    w.ok(seen(&[], &["DEMO-2"]));
    w.until("run developer 0");
    w.ok(hold(bob()));
    w.end(Outcome::Cancelled);
    assert!(rests(&w) && w.send(after(&["DEMO-3"], &[])).unwrap_err().contains("it has begun"));
}

#[test]
fn what_was_to_be_waited_for_still_holds_a_life_that_begins_again_before_it_ever_began() {
    let mut w = World::new(Pipeline::lite());
    w.ok(after(&["DEMO-2"], &[]));
    w.ok(Event::CancelAsked { by: bob() });
    w.ok(Event::BegunAgain { by: bob(), ticket: Box::new(common::ticket(Pipeline::lite())) });
    assert_eq!(w.task.phase_word(), "waiting_for_others");
    w.ok(seen(&[], &["DEMO-2"]));
    w.finish();
}
