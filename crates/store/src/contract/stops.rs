//! Cancelling: what has not begun is gone at once, what runs is asked, what cannot be recalled is awaited.

use super::evidence::run;
use super::leases::holder;
use super::world::{LEASE_MS, World, anna, applied};
use crate::{Beat, Charge, JobState, Requeue, RunRow};
use futures::executor::block_on;
use orch_core::effect::{Effect, Lane, Outcome};
use orch_core::event::Event;
use orch_core::ids::TaskId;
use orch_core::pipeline::Pipeline;
use orch_core::verdict::FaultKind;

fn cancel(w: &mut World, id: TaskId) -> Option<orch_core::ids::JobId> {
    applied(w.tell(id, Event::CancelAsked { by: anna() })).1
}

pub fn a_queued_job_is_cancelled_at_once(w: &mut World) {
    let id = w.started("DEMO", 1);
    w.go_to(id, "running");
    let job = w.job_of(id);
    assert_eq!(cancel(w, id), None, "nobody has to be told");
    assert_eq!(w.word(id), "cancelled");
    assert_eq!(block_on(w.store.job(job.id)).unwrap().unwrap().state, JobState::Cancelled);
    assert_eq!(block_on(w.store.counts(w.now)).unwrap().cancelled, 1);
    assert_eq!(w.claim(Lane::Agent), None);
    assert!(w.open_jobs().iter().any(|j| j.effect == Effect::CleanUp));
    let rows = block_on(w.store.journal(Some(id), 0, 100)).unwrap();
    let last: Vec<_> = rows[rows.len() - 2..].iter().map(|r| (r.event.as_str(), r.phase.as_str())).collect();
    assert_eq!(last, [("cancel_asked", "stopping"), ("job_ended", "cancelled")]);
}

/// Its worker is gone and its program may run on: whoever claims it next ends that. A job whose run has ended, or was lost
/// and is begun anew, is just cancelled: it does not wait for a place.
pub fn a_queued_job_whose_program_may_run_is_not_cancelled_behind_it(w: &mut World) {
    for (number, ended, new_run) in [(1, None, false), (2, Some(w.now), false), (3, None, true)] {
        let id = w.started("DEMO", number);
        w.go_to(id, "running");
        let job = w.claim_of(id);
        let open = RunRow { ended, ..run(id, job.id.seq, 1) };
        assert!(block_on(w.store.put_run(job.fence(), open)).unwrap());
        let (not_before, fault) = (w.now.plus_ms(60_000), super::world::fault(FaultKind::Transient));
        let back = Requeue { charge: Charge::Transient, new_run, not_before, fault, parked: None };
        assert!(w.put_back(&job, back));
        let (lanes, _, _) = applied(w.tell(id, Event::CancelAsked { by: anna() }));
        if ended.is_some() || new_run {
            assert_eq!(w.word(id), "cancelled");
            continue;
        }
        assert_eq!((w.word(id), lanes.as_slice()), ("stopping", [Lane::Agent].as_slice()));
        let again = w.claim_of(id);
        assert!(again.stop, "at once, and to be ended");
        w.end(&again, Outcome::Cancelled);
        assert_eq!(w.word(id), "cancelled");
    }
}

/// Held, it ends before it begins, and the lease is free at once. One that is claimed goes on to its end; put back for another
/// try it waits for no time, because it is claimed to be ended and not to be tried.
pub fn a_job_of_a_held_task_ends_unless_it_is_under_way(w: &mut World) {
    let hold = || Event::PutOnHold { by: anna(), reason: None };
    let id = w.started("DEMO", 1);
    w.go_to(id, "preparing_merge");
    assert!(holder(w).is_some());
    let queued = w.job_of(id);
    applied(w.tell(id, hold()));
    assert_eq!((w.word(id), holder(w)), ("on_hold", None));
    assert_eq!(block_on(w.store.job(queued.id)).unwrap().unwrap().state, JobState::Cancelled);
    applied(w.tell(id, Event::Released { by: anna() }));
    let claimed = w.claim_of(id);
    applied(w.tell(id, hold()));
    assert_eq!((w.word(id), w.beat(claimed.fence())), ("preparing_merge", Beat::Held), "what runs is not stopped");
    let (not_before, fault) = (w.now.plus_ms(60_000), super::world::fault(FaultKind::Transient));
    let back = Requeue { charge: Charge::Transient, new_run: false, not_before, fault, parked: Some("forge".into()) };
    assert!(w.put_back(&claimed, back));
    let again = w.claim_of(id);
    assert!(w.task(id).holds_back(again.id.seq, &again.effect, again.epoch - 1, false));
    w.end(&again, Outcome::Cancelled);
    assert_eq!((w.word(id), holder(w)), ("on_hold", None));
    // A program that may run on is waited for.
    let id = w.started("DEMO", 2);
    w.go_to(id, "running");
    let job = w.claim_of(id);
    assert!(block_on(w.store.put_run(job.fence(), run(id, job.id.seq, 1))).unwrap());
    applied(w.tell(id, hold()));
    let (not_before, fault) = (w.now.plus_ms(60_000), super::world::fault(FaultKind::Transient));
    let back = Requeue { charge: Charge::Transient, new_run: false, not_before, fault, parked: None };
    assert!(w.put_back(&job, back));
    assert_eq!((w.word(id), w.job_of(id).available_at), ("running", not_before));
}

pub fn a_deploy_that_was_begun_is_not_cancelled_behind_its_hook(w: &mut World) {
    let (id, other) = (w.create("DEMO", 1, Pipeline::full()), w.create("DEMO", 2, Pipeline::full()));
    for task in [id, other] {
        w.tell(task, Event::Started { by: anna() });
        w.go_to(task, "deploying");
    }
    let job = w.claim_of(id);
    let (not_before, fault) = (w.now.plus_ms(60_000), super::world::fault(FaultKind::Transient));
    let put = Requeue { charge: Charge::Transient, new_run: false, not_before, fault, parked: None };
    assert!(w.put_back(&job, put));
    cancel(w, id);
    assert_eq!(w.word(id), "stopping", "its hook may be running still");
    let again = w.claim(Lane::Deploy).unwrap();
    assert!(again.id == job.id && again.stop, "somebody has to end it, now and not when it would have looked again");
    applied(w.end(&again, Outcome::Cancelled));
    assert_eq!(w.word(id), "cancelled");
    assert_eq!(w.claim(Lane::Deploy).unwrap().id.task, other);
}

/// Between its hook and its check no program of it runs, and a watch has none at all: what was begun goes on to its end behind
/// a hold, and what nobody has begun does not begin.
pub fn a_deploy_and_a_watch_that_were_begun_are_finished_while_the_task_is_held(w: &mut World) {
    for (project, word) in [("DEMO", "deploying"), ("SHOP", "watching")] {
        let id = w.started(project, 1);
        w.go_to(id, word);
        applied(w.tell(id, Event::PutOnHold { by: anna(), reason: None }));
        assert_eq!(w.word(id), "on_hold", "nobody has begun it");
        applied(w.tell(id, Event::Released { by: anna() }));
        let begun = w.claim_of(id);
        w.pass_ms(LEASE_MS + 1);
        assert_eq!(block_on(w.store.reap()).unwrap().len(), 1);
        applied(w.tell(id, Event::PutOnHold { by: anna(), reason: None }));
        assert_eq!(w.word(id), word, "its worker is gone, and it is half done");
        let again = w.claim_of(id);
        assert!(again.id == begun.id && !again.stop);
        let (not_before, fault) = (w.now.plus_ms(60_000), super::world::fault(FaultKind::Transient));
        let put = Requeue { charge: Charge::Nothing, new_run: false, not_before, fault, parked: None };
        assert!(w.put_back(&again, put));
        assert_eq!(w.job_of(id).available_at, not_before, "it is looked at again and not claimed to be ended");
    }
}

pub fn a_running_job_is_asked_to_stop(w: &mut World) {
    let id = w.started("DEMO", 1);
    w.go_to(id, "running");
    let job = w.claim_of(id);
    assert_eq!(w.beat(job.fence()), Beat::Held);
    assert_eq!(cancel(w, id), Some(job.id));
    assert_eq!((w.word(id), w.beat(job.fence())), ("stopping", Beat::Stop));
    applied(w.end(&job, Outcome::Cancelled));
    assert_eq!(w.word(id), "cancelled");
    assert_eq!(w.beat(job.fence()), Beat::Lost);
}

pub fn a_merge_under_way_is_not_stopped(w: &mut World) {
    let id = w.started("DEMO", 1);
    w.go_to(id, "merging");
    let job = w.claim_of(id);
    assert_eq!(cancel(w, id), None);
    assert_eq!((w.word(id), w.beat(job.fence())), ("stopping", Beat::Held));
    applied(w.end_well(&job));
    assert_eq!(w.word(id), "deploying", "what has landed has landed");
}

pub fn a_stop_survives_the_death_of_its_worker(w: &mut World) {
    let id = w.started("DEMO", 1);
    w.go_to(id, "running");
    let job = w.claim_of(id);
    cancel(w, id);
    w.pass_ms(LEASE_MS + 1);
    assert_eq!(block_on(w.store.reap()).unwrap().len(), 1);
    let again = w.claim_of(id);
    assert!(again.id == job.id && again.stop, "the next worker has to end what the dead one left");
    assert_eq!(w.beat(again.fence()), Beat::Stop);
}
