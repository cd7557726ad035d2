//! What people arrange about a task: it is held, and goes on exactly where it was held.
#![allow(clippy::unwrap_used)] // a test that cannot go on must say so where it stands

mod common;
use common::{World, anna, bob, failed, mallory, policy, report};
use orch_core::effect::{Effect, Outcome};
use orch_core::event::Event;
use orch_core::explain::explain;
use orch_core::pipeline::Pipeline;
use orch_core::task::{BlockReason, DoneOutcome, Phase, WaitReason};

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
