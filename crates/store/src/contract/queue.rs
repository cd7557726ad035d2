//! Jobs: who gets which, when, how often, and what is left of them.

use super::world::{LEASE_MS, World, anna, applied, fault};
use crate::{Cause, Charge, JobState, QueueCounts, Requeue, Stepped, StoreError, TaskFilter};
use futures::executor::block_on;
use orch_core::effect::{Effect, Lane, Outcome};
use orch_core::event::Event;
use orch_core::fault_code::FaultCode;
use orch_core::ids::Time;
use orch_core::phase::PhaseKind;
use orch_core::pipeline::Pipeline;
use orch_core::task::{NewTask, Phase};
use orch_core::verdict::{FaultKind, Verdict, WaitFor};

fn goes_to_done(w: &mut World, pipeline: Pipeline) {
    let id = w.create("DEMO", 1, pipeline);
    let (lanes, stop, _) = applied(w.tell(id, Event::Started { by: anna() }));
    assert!(lanes.contains(&Lane::Forge) && stop.is_none());
    w.settle();
    assert!(matches!(w.task(id).phase, Phase::Done { .. }), "{:?}", w.task(id).phase);
    assert_eq!(w.open_jobs(), Vec::new());

    let counts = block_on(w.store.counts(w.now)).unwrap();
    let recent = block_on(w.store.recent_jobs(1000)).unwrap();
    assert_eq!(counts, QueueCounts { done: recent.len() as u64, ..QueueCounts::default() });
    assert!(recent.iter().all(|j| j.state == JobState::Done && j.finished_at == Some(w.now) && j.epoch == 1));
    assert!(recent.iter().filter(|j| j.id.task == id).any(|j| j.effect == Effect::CleanUp));
    assert_eq!(block_on(w.store.job(recent[0].id)).unwrap().as_ref(), Some(&recent[0]));

    // The journal tells it all, in order, and can be read in pieces.
    let rows = block_on(w.store.journal(Some(id), 0, 1000)).unwrap();
    assert_eq!((rows[0].event.as_str(), rows[0].actor.clone()), ("started", Some(anna())));
    assert_eq!((rows.last().unwrap().stage.as_str(), rows.last().unwrap().phase.as_str()), ("done", "done"));
    assert!(rows.iter().any(|r| r.story.iter().any(|s| s.starts_with("merged as"))));
    let mut pieces = Vec::new();
    while let Some(last) = Some(pieces.last().map_or(0, |r: &crate::JournalRow| r.id)) {
        let piece = block_on(w.store.journal(None, last, 3)).unwrap();
        if piece.is_empty() {
            break;
        }
        pieces.extend(piece);
    }
    assert_eq!(pieces, rows);

    // Nobody holds anything, nothing wakes, and closed tasks are out of sight unless asked for.
    assert!(block_on(w.store.leases()).unwrap().iter().all(|l| l.holder.is_none() && l.epoch == 1));
    assert_eq!(block_on(w.store.next_wake()).unwrap(), None);
    assert_eq!(block_on(w.store.tasks(TaskFilter::default())).unwrap(), Vec::new());
    let closed = TaskFilter { closed: true, project: Some("DEMO".into()), limit: 5, ..TaskFilter::default() };
    assert_eq!(block_on(w.store.tasks(closed)).unwrap().len(), 1);
}

pub fn a_lite_task_goes_to_done(w: &mut World) {
    goes_to_done(w, Pipeline::lite());
}
pub fn a_full_task_goes_to_done(w: &mut World) {
    goes_to_done(w, Pipeline::full());
}

pub fn the_oldest_job_is_claimed_first(w: &mut World) {
    let ids: Vec<_> = (1..=3).map(|n| w.started("DEMO", n)).collect();
    let got: Vec<_> = std::iter::from_fn(|| w.claim(Lane::Forge)).map(|j| (j.id.task, j.state, j.epoch)).collect();
    assert_eq!(got, ids.iter().map(|id| (*id, JobState::Running, 1)).collect::<Vec<_>>());
    assert_eq!(w.claim(Lane::Agent), None, "another lane has nothing");
}

pub fn a_delayed_job_waits_for_its_time(w: &mut World) {
    let first = w.started("DEMO", 1);
    let second = w.started("DEMO", 2);
    let job = w.claim_of(first);
    let later = w.now.plus_ms(60_000);
    let fault = fault(FaultKind::Transient);
    assert!(
        w.put_back(&job, Requeue { charge: Charge::Transient, new_run: false, not_before: later, fault, parked: None })
    );
    let counts = block_on(w.store.counts(w.now)).unwrap();
    assert_eq!((counts.delayed, counts.running), (1, 0));
    assert_eq!(w.claim(Lane::Forge).unwrap().id.task, second, "the one that may run now goes first");
    assert_eq!(w.claim(Lane::Forge), None);
    w.pass_ms(60_000);
    assert_eq!(w.claim(Lane::Forge).unwrap().id, job.id);
}

pub fn an_exclusive_key_runs_once_at_a_time(w: &mut World) {
    let (a, b) = (w.started("DEMO", 1), w.started("DEMO", 2));
    let other = w.started("SHOP", 1);
    for id in [a, b, other] {
        w.go_to(id, "deploying");
    }
    let first = w.claim(Lane::Deploy).unwrap();
    let elsewhere = w.claim(Lane::Deploy).unwrap();
    assert_eq!((first.id.task, elsewhere.id.task), (a, other), "the second one of DEMO is passed over");
    assert_eq!(w.claim(Lane::Deploy), None);
    w.end_well(&first);
    assert_eq!(w.claim(Lane::Deploy).unwrap().id.task, b);
}

pub fn a_deploy_that_was_begun_keeps_its_environment(w: &mut World) {
    let (a, b) = (w.started("DEMO", 1), w.started("DEMO", 2));
    for id in [a, b] {
        w.go_to(id, "deploying");
    }
    let first = w.claim(Lane::Deploy).unwrap();
    // Its worker cannot tell how the hook is doing and looks again later; the hook may still be running.
    let (fault, later) = (fault(FaultKind::Transient), w.now.plus_ms(60_000));
    let put = Requeue { charge: Charge::Transient, new_run: false, not_before: later, fault, parked: None };
    assert!(w.put_back(&first, put));
    assert_eq!(w.claim(Lane::Deploy), None, "the second one does not begin beside it");
    w.pass_ms(60_000);
    let again = w.claim(Lane::Deploy).unwrap();
    assert_eq!(again.id, first.id);
    w.end_well(&again);
    assert_eq!(w.claim(Lane::Deploy).unwrap().id.task, b);
}

pub fn a_ticket_is_synced_once_per_wish(w: &mut World) {
    let id = w.started("DEMO", 1);
    w.go_to(id, "merging");
    let syncs = |w: &World| w.open_jobs().iter().filter(|j| j.effect == Effect::SyncTicket).count();
    assert_eq!(syncs(w), 1, "stages went by, the ticket was not looked at: one job is enough");
    let running = w.claim(Lane::Message).unwrap();
    w.go_to(id, "deploying");
    assert_eq!(syncs(w), 2, "one that runs may have seen the old state");
    w.end_well(&running);
    assert_eq!(syncs(w), 1);
}

pub fn putting_back_spends_what_it_says(w: &mut World) {
    let id = w.started("DEMO", 1);
    w.go_to(id, "running");
    let job = w.claim_of(id);
    assert_eq!((job.epoch, job.attempts, job.max_attempts, job.transient_attempts, job.run_attempt), (1, 0, 2, 0, 1));
    let put =
        |charge, new_run, kind| Requeue { charge, new_run, not_before: Time(0), fault: fault(kind), parked: None };
    assert!(w.put_back(&job, put(Charge::Transient, false, FaultKind::Transient)));
    let job = w.claim_of(id);
    assert_eq!((job.epoch, job.attempts, job.transient_attempts, job.run_attempt), (2, 0, 1, 1));
    assert!(w.put_back(&job, put(Charge::Attempt, true, FaultKind::Permanent)));
    let job = w.claim_of(id);
    assert_eq!((job.epoch, job.attempts, job.transient_attempts, job.run_attempt), (3, 1, 1, 2));
    assert_eq!(job.last_fault, Some(fault(FaultKind::Permanent)));
}

pub fn a_merge_is_never_given_up(w: &mut World) {
    let id = w.started("DEMO", 1);
    w.go_to(id, "merging");
    assert_eq!(w.job_of(id).max_attempts, u32::MAX);
}

pub fn an_expired_claim_is_reaped_and_costs_no_attempt(w: &mut World) {
    let (a, b) = (w.started("DEMO", 1), w.started("DEMO", 2));
    let (dead, alive) = (w.claim_of(a), w.claim_of(b));
    w.pass_ms(LEASE_MS - 1);
    assert_eq!(block_on(w.store.reap()).unwrap(), Vec::new(), "nobody is late yet");
    assert_eq!(w.beat(alive.fence()), crate::Beat::Held);
    w.pass_ms(2);
    let reaped = block_on(w.store.reap()).unwrap();
    assert_eq!(reaped.iter().map(|r| (r.job, r.worker.as_str())).collect::<Vec<_>>(), [(dead.id, "w1")]);
    let job = block_on(w.store.job(dead.id)).unwrap().unwrap();
    assert_eq!((job.state, job.attempts, job.transient_attempts, job.run_attempt), (JobState::Queued, 0, 0, 1));
    assert_eq!(w.claim_of(a).epoch, 2);
}

pub fn a_new_owner_takes_back_what_others_claimed(w: &mut World) {
    let (a, b) = (w.started("DEMO", 1), w.started("DEMO", 2));
    let old = w.claim_of(a);
    w.worker = "w2".into();
    let mine = w.claim_of(b);
    let back = block_on(w.store.recover("w2", 1)).unwrap();
    assert_eq!(back.iter().map(|r| r.job).collect::<Vec<_>>(), [old.id]);
    assert_eq!(block_on(w.store.job(mine.id)).unwrap().unwrap().state, JobState::Running);
    let again = w.claim_of(a);
    assert_eq!((again.id, again.epoch, again.attempts, again.run_attempt), (old.id, 2, 0, 1));
}

pub fn a_failed_job_is_kept_with_its_fault(w: &mut World) {
    let id = w.started("DEMO", 1);
    let job = w.claim_of(id);
    applied(w.end(&job, Outcome::Failed { fault: fault(FaultKind::Permanent) }));
    assert_eq!(w.word(id), "blocked");
    let kept = block_on(w.store.job(job.id)).unwrap().unwrap();
    assert_eq!((kept.state, kept.attempts, kept.last_fault), (JobState::Failed, 1, Some(fault(FaultKind::Permanent))));
    assert_eq!(block_on(w.store.counts(w.now)).unwrap().failed, 1);
    // Nobody is told twice: the claim is used up.
    assert!(matches!(w.end(&job, Outcome::Sent), Stepped::Fenced));
}

pub fn timers_and_delays_say_when_to_wake(w: &mut World) {
    let id = w.started("DEMO", 1);
    assert_eq!(block_on(w.store.next_wake()).unwrap(), None, "what may run now needs no alarm");
    w.go_to(id, "judging");
    let Effect::Judge { head, .. } = w.job_of(id).effect else { panic!("a gate judges") };
    let recheck = w.now.plus_ms(30_000);
    let why = WaitFor::Report { what: "build".into() };
    let verdict = Verdict::Wait { why, until: Some(w.now.plus_ms(900_000)), recheck: Some(recheck) };
    let job = w.claim_of(id);
    w.end(&job, Outcome::Judged { head, verdict, notes: Vec::new(), warning: None });
    assert_eq!(block_on(w.store.next_wake()).unwrap(), Some(recheck));
    assert_eq!(block_on(w.store.due(w.now)).unwrap(), []);
    w.pass_ms(30_000);
    assert_eq!(block_on(w.store.due(w.now)).unwrap(), [id]);
    applied(w.step(id, Cause::Engine, Event::TimerFired));
    assert_eq!(block_on(w.store.due(w.now)).unwrap(), [], "the timer is gone with the wait");
    let job = w.claim_of(id);
    let later = w.now.plus_ms(7);
    let fault = fault(FaultKind::Transient);
    w.put_back(&job, Requeue { charge: Charge::Transient, new_run: false, not_before: later, fault, parked: None });
    assert_eq!(block_on(w.store.next_wake()).unwrap(), Some(later));
}

pub fn a_task_keeps_the_pipeline_it_began_with(w: &mut World) {
    let mut own = Pipeline::lite();
    own.name = "ours".into();
    own.stages[1].steps.pop();
    let (a, b) = (w.create("DEMO", 1, own.clone()), w.create("DEMO", 2, Pipeline::full()));
    w.tell(a, Event::Started { by: anna() });
    assert_eq!((&*w.task(a).pipeline, &*w.task(b).pipeline), (&own, &Pipeline::full()));
    let item = block_on(w.store.task_by_item(&"DEMO-1".into())).unwrap().unwrap();
    let listed = block_on(w.store.tasks(crate::TaskFilter::default())).unwrap();
    assert_eq!((&*item.pipeline, &*listed[1].pipeline), (&own, &own));
    w.settle();
    assert_eq!((w.word(a), &*w.task(a).pipeline), ("done", &own));
}

pub fn a_ticket_makes_one_task(w: &mut World) {
    let new = |number| NewTask {
        project: "DEMO".into(),
        number,
        title: "Add a button".into(),
        body: "now".into(),
        pipeline: Pipeline::full(),
        landing: orch_core::landing::LandingPlan::default(),
        repository: None,
        source: None,
    };
    let (task, made) = block_on(w.store.create_task(new(7), w.now)).unwrap();
    let (same, again) = block_on(w.store.create_task(new(7), w.now.plus_ms(5))).unwrap();
    assert!(made && !again);
    assert_eq!(task, same);
    let (other, _) = block_on(w.store.create_task(new(8), w.now)).unwrap();
    assert_eq!(block_on(w.store.task_by_item(&"demo-7".into())).unwrap().map(|t| t.id), Some(task.id));
    assert_eq!(block_on(w.store.task_by_item(&"DEMO-9".into())).unwrap(), None);
    let newest_first = block_on(w.store.tasks(TaskFilter::default())).unwrap();
    assert_eq!(newest_first.iter().map(|t| t.id).collect::<Vec<_>>(), [other.id, task.id]);
    let one = TaskFilter { limit: 1, ..TaskFilter::default() };
    assert_eq!(block_on(w.store.tasks(one)).unwrap().len(), 1);
    let page = TaskFilter { limit: 1, before: Some(other.id), ..TaskFilter::default() };
    assert_eq!(block_on(w.store.tasks(page)).unwrap().iter().map(|t| t.id).collect::<Vec<_>>(), [task.id]);
    let here = TaskFilter { stage: Some("created".into()), phases: &[PhaseKind::Idle], ..TaskFilter::default() };
    assert_eq!(block_on(w.store.overviews(here)).unwrap().len(), 2);
    for nowhere in [
        TaskFilter { stage: Some("review".into()), ..TaskFilter::default() },
        TaskFilter { phases: &[PhaseKind::Done, PhaseKind::Blocked], closed: true, ..TaskFilter::default() },
    ] {
        assert_eq!(block_on(w.store.tasks(nowhere)).unwrap(), []);
    }
    let of_nobody = TaskFilter { project: Some("SHOP".into()), ..TaskFilter::default() };
    assert_eq!(block_on(w.store.tasks(of_nobody)).unwrap(), []);
}

pub fn a_side_effect_is_settled_without_the_task(w: &mut World) {
    let id = w.started("DEMO", 1);
    w.go_to(id, "running");
    let (task, rows) = (w.task(id), block_on(w.store.journal(None, 0, 100)).unwrap().len());
    let sync = w.claim(Lane::Message).unwrap();
    assert!(matches!(w.end(&sync, Outcome::Sent), Stepped::Ignored { .. }));
    assert_eq!(w.task(id), task);
    assert_eq!(block_on(w.store.journal(None, 0, 100)).unwrap().len(), rows, "success is quiet");
    w.go_to(id, "preparing_merge");
    let sync = w.claim(Lane::Message).unwrap();
    w.end(&sync, Outcome::Failed { fault: fault(FaultKind::Denied) });
    let row = block_on(w.store.journal(None, 0, 100)).unwrap().pop().unwrap();
    assert_eq!(row.ignored.as_deref(), Some("could not update the ticket: the forge said 500"));
    assert_eq!(w.word(id), "preparing_merge");
}

pub fn only_the_claim_ends_a_job(w: &mut World) {
    let id = w.started("DEMO", 1);
    let job = w.claim_of(id);
    let ended = |seq| Event::JobEnded { job: seq, outcome: Outcome::Cancelled };
    for (cause, event) in [
        (Cause::Engine, ended(job.id.seq)),
        (Cause::Job(job.fence()), ended(job.id.seq + 1)),
        (Cause::Job(job.fence()), Event::TimerFired),
    ] {
        assert!(matches!(w.try_step(id, cause, event), Err(StoreError::Bug(_))));
    }
    let nobody = orch_core::ids::TaskId(99);
    assert!(matches!(w.try_step(nobody, Cause::Engine, Event::TimerFired), Err(StoreError::Bug(_))));
    assert_eq!(block_on(w.store.job(job.id)).unwrap(), Some(job), "nothing was changed by any of them");
}

pub fn only_a_worker_that_did_the_work_itself_dies_of_it(w: &mut World) {
    let (a, b) = (w.started("DEMO", 1), w.started("DEMO", 2));
    w.go_to(b, "running");
    let (forge, agent) = (w.claim_of(a), w.claim_of(b));
    w.worker = "w2".into();
    let deaths = |back: Vec<crate::Reaped>| back.iter().map(|r| (r.job, r.deaths)).collect::<Vec<_>>();
    let back = block_on(w.store.recover("w2", 1)).unwrap();
    assert_eq!(deaths(back), [(forge.id, 1), (agent.id, 0)], "the agent lives on under its supervisor");
    let code = |w: &World, job: &crate::Job| {
        block_on(w.store.job(job.id)).unwrap().unwrap().last_fault.map(|fault| fault.code)
    };
    assert_eq!((code(w, &forge), code(w, &agent)), (Some(FaultCode::WorkerDied), None));
    // It hangs, or its lease runs out: the same count.
    let forge = w.claim_of(a);
    w.pass_ms(LEASE_MS + 1);
    assert_eq!(deaths(block_on(w.store.reap()).unwrap()), [(forge.id, 2)]);
    assert_eq!(w.claim_of(a).deaths, 2);
    // An orderly end is nobody's death.
    assert_eq!(block_on(w.store.release("w2")).unwrap(), 1);
    assert_eq!(block_on(w.store.release("w2")).unwrap(), 0);
    assert_eq!(w.claim_of(a).deaths, 2);
    // What killed its supervisor is charged by whoever found out.
    let agent = w.claim_of(b);
    let (not_before, fault) = (w.now, fault(FaultKind::Transient));
    let lost = Requeue { charge: Charge::Death, new_run: true, not_before, fault, parked: None };
    assert!(w.put_back(&agent, lost));
    let agent = w.claim_of(b);
    assert_eq!((agent.deaths, agent.attempts, agent.transient_attempts, agent.run_attempt), (1, 0, 0, 2));
}

pub fn a_hung_workers_claim_is_taken_back_and_nobody_elses(w: &mut World) {
    let id = w.started("DEMO", 1);
    w.go_to(id, "running");
    let hung = w.claim_of(id);
    let back = block_on(w.store.take_back(hung.fence())).unwrap().expect("it was claimed");
    assert_eq!((back.job, back.worker.as_str(), back.deaths), (hung.id, "w1", 1));
    assert_eq!(block_on(w.store.take_back(hung.fence())).unwrap(), None, "once");
    assert_eq!(w.beat(hung.fence()), crate::Beat::Lost);
    let next = w.claim_of(id);
    assert_eq!(block_on(w.store.take_back(hung.fence())).unwrap(), None, "the next worker is not robbed");
    assert_eq!(w.beat(next.fence()), crate::Beat::Held);
    assert_eq!(block_on(w.store.running_jobs()).unwrap(), std::slice::from_ref(&next));
    // What the agent's own attempt came to is in its next brief: a worker that hangs is nothing to it.
    let fault = fault(FaultKind::Permanent);
    let (charge, not_before, last) = (Charge::Attempt, w.now, Some(fault.clone()));
    assert!(w.put_back(&next, Requeue { charge, new_run: true, not_before, fault, parked: None }));
    let hung = w.claim_of(id);
    assert_eq!(block_on(w.store.take_back(hung.fence())).unwrap().map(|back| back.deaths), Some(2));
    assert_eq!(block_on(w.store.job(hung.id)).unwrap().unwrap().last_fault, last);
}

pub fn parked_jobs_wait_for_their_service_and_cost_nothing(w: &mut World) {
    let (a, b) = (w.started("DEMO", 1), w.started("DEMO", 2));
    let (first, second) = (w.claim_of(a), w.claim_of(b));
    let park = |service: &str, not_before| Requeue {
        charge: Charge::Nothing,
        new_run: false,
        not_before,
        fault: fault(FaultKind::Transient),
        parked: Some(service.to_owned()),
    };
    let later = w.now.plus_ms(3_600_000);
    assert!(w.put_back(&first, park("forge:DEMO", later)) && w.put_back(&second, park("tracker:DEMO", later)));
    assert_eq!(w.claim(Lane::Forge), None);
    let parked = w.job_of(a);
    assert_eq!((parked.parked.as_deref(), parked.attempts, parked.transient_attempts), (Some("forge:DEMO"), 0, 0));
    assert_eq!(block_on(w.store.unpark("forge:DEMO", w.now)).unwrap(), [Lane::Forge]);
    let job = w.claim(Lane::Forge).expect("its service answers");
    assert_eq!((job.id, job.parked), (first.id, None));
    assert_eq!(w.claim(Lane::Forge), None, "the other service does not");
    assert_eq!(block_on(w.store.unpark("nobody", w.now)).unwrap(), []);
    w.pass_ms(3_600_000);
    assert_eq!(w.claim(Lane::Forge).map(|j| j.id), Some(second.id), "without a word it looks again at its time");
}

pub fn one_certain_job_can_be_claimed_if_it_is_available(w: &mut World) {
    let (a, b) = (w.started("DEMO", 1), w.started("DEMO", 2));
    let (first, second) = (w.job_of(a), w.job_of(b));
    let claim = |w: &World, id, lane| block_on(w.store.claim_one(id, w.request(lane))).unwrap();
    assert_eq!(claim(w, second.id, Lane::Agent), None, "it is in another lane");
    let got = claim(w, second.id, Lane::Forge).expect("whoever is older waits");
    assert_eq!((got.id, got.state, got.epoch), (second.id, JobState::Running, 1));
    assert_eq!(claim(w, second.id, Lane::Forge), None, "it is claimed");
    assert_eq!(w.claim(Lane::Forge).map(|j| j.id), Some(first.id));
    w.end_well(&got);
    assert_eq!(claim(w, second.id, Lane::Forge), None, "it is over");
    // Its exclusive key is somebody else's for now.
    for id in [a, b] {
        let open = block_on(w.store.running_jobs()).unwrap();
        open.iter().filter(|j| j.id == first.id).for_each(|j| drop(w.end_well(j)));
        w.go_to(id, "deploying");
    }
    let deploying = w.claim_of(a);
    let other = w.job_of(b);
    assert_eq!(claim(w, other.id, Lane::Deploy), None);
    w.end_well(&deploying);
    assert_eq!(claim(w, other.id, Lane::Deploy).map(|j| j.id), Some(other.id));
}

pub fn nobody_waits_for_a_time_that_was_never_meant(w: &mut World) {
    let later = w.now.plus_ms(86_400_000);
    let ids: Vec<_> = (1..=3).map(|n| w.started("DEMO", n)).collect();
    let put = |charge, parked: Option<&str>| Requeue {
        charge,
        new_run: false,
        not_before: later,
        fault: fault(FaultKind::Transient),
        parked: parked.map(str::to_owned),
    };
    for (id, parked) in [(ids[0], None), (ids[1], Some("forge:DEMO"))] {
        let job = w.claim_of(id);
        assert!(w.put_back(&job, put(Charge::Nothing, parked)));
    }
    // One was made by the wrong clock and is claimed when it is set right.
    let real = w.now;
    w.now = later;
    w.go_to(ids[2], "running");
    let claimed = w.claim_of(ids[2]);
    w.now = real;
    assert!(block_on(w.store.hurry(w.now, w.now)).unwrap() >= 3);
    assert!(block_on(w.store.take_back(claimed.fence())).unwrap().is_some());
    assert_eq!(w.claim(Lane::Agent).map(|j| j.id), Some(claimed.id));
    assert!(w.open_jobs().iter().all(|j| j.available_at <= w.now), "{:?}", w.open_jobs());
}

/// Which projects are served, in order, until nothing of the lane is left or may be claimed.
fn served(w: &World, lane: Lane) -> Vec<String> {
    std::iter::from_fn(|| w.claim(lane)).map(|j| j.project.to_string()).collect()
}

pub fn fifty_tickets_of_one_project_cost_another_one_turn(w: &mut World) {
    for n in 1..=50 {
        w.started("LOUD", n);
    }
    // The others come later, and in the order of their names they stand on both sides.
    for project in ["ACME", "SHOP"] {
        w.pass_ms(1_000);
        for n in 1..=2 {
            w.started(project, n);
        }
    }
    let order = served(w, Lane::Forge);
    assert_eq!(order[..6], ["ACME", "LOUD", "SHOP", "ACME", "LOUD", "SHOP"]);
    assert!(order[6..].iter().all(|project| project == "LOUD"), "{order:?}");
    assert_eq!(order.len(), 54, "nothing is left behind");
}

pub fn whoever_was_served_last_waits_also_after_a_pause(w: &mut World) {
    for n in 1..=3 {
        w.started("ACME", n);
    }
    assert_eq!(w.claim(Lane::Forge).unwrap().project.as_str(), "ACME");
    w.started("SHOP", 1);
    w.pass_ms(3_600_000);
    assert_eq!(served(w, Lane::Forge), ["SHOP", "ACME", "ACME"]);
    // Turns are counted lane by lane.
    let (acme, shop) = (w.started("ACME", 9), w.started("SHOP", 9));
    for id in [acme, shop] {
        let job = w.claim_of(id);
        w.end_well(&job);
    }
    assert_eq!(served(w, Lane::Agent), ["ACME", "SHOP"]);
}

fn prioritise(w: &mut World, task: orch_core::ids::TaskId, priority: i32) {
    assert!(matches!(w.tell(task, Event::Prioritised { by: anna(), priority }), crate::Stepped::Applied { .. }));
}

pub fn within_a_project_the_highest_priority_goes_first(w: &mut World) {
    let ids: Vec<_> = (1..=4).map(|n| w.started("DEMO", n)).collect();
    prioritise(w, ids[2], 5);
    prioritise(w, ids[0], -1);
    let other = w.started("SHOP", 1);
    let claimed: Vec<_> = std::iter::from_fn(|| w.claim(Lane::Forge)).collect();
    let order: Vec<_> = claimed.iter().map(|j| j.id.task).collect();
    // Priority is a matter of one project: another's turn comes all the same.
    assert_eq!(order, [ids[2], other, ids[1], ids[3], ids[0]]);
    // It holds for what the task does next, too.
    for job in &claimed {
        w.end_well(job);
    }
    let order: Vec<_> = std::iter::from_fn(|| w.claim(Lane::Agent)).map(|j| j.id.task).collect();
    assert_eq!(order, [ids[2], other, ids[1], ids[3], ids[0]]);
    // A higher one that may not run yet holds nobody up.
    prioritise(w, ids[3], i32::MAX);
}

pub fn a_delayed_job_of_high_priority_holds_nobody_up(w: &mut World) {
    let (high, low) = (w.started("DEMO", 1), w.started("DEMO", 2));
    prioritise(w, high, 9);
    let job = w.claim(Lane::Forge).unwrap();
    let (not_before, fault) = (w.now.plus_ms(60_000), fault(FaultKind::Transient));
    w.put_back(&job, Requeue { charge: Charge::Transient, new_run: false, not_before, fault, parked: None });
    assert_eq!(w.claim(Lane::Forge).unwrap().id.task, low);
    assert_eq!(w.claim(Lane::Forge), None);
    w.pass_ms(60_000);
    assert_eq!(w.claim(Lane::Forge).unwrap().id.task, high);
}

pub fn a_project_that_fills_a_lane_leaves_a_place_to_each_that_is_at_work(w: &mut World) {
    for n in 1..=10 {
        let id = w.started("SLOW", n);
        let job = w.claim_of(id);
        w.end_well(&job);
    }
    // Alone it has the whole lane.
    w.share = crate::Share { each: 3, all: 3 };
    let running: Vec<_> = std::iter::from_fn(|| w.claim(Lane::Agent)).collect();
    assert_eq!(running.len(), 3);
    // Another one is between two agents: nothing of it waits in this lane at the moment.
    let shop = w.started("SHOP", 1);
    let gate = w.claim_of(shop);
    w.end_well(&running[0]);
    assert_eq!(w.claim(Lane::Agent), None, "the free place is kept for SHOP");
    w.end_well(&gate);
    assert_eq!(w.claim(Lane::Agent).unwrap().id.task, shop);
    assert_eq!(w.claim(Lane::Agent), None);
}

pub fn no_place_is_kept_for_a_project_that_cannot_begin(w: &mut World) {
    for n in 1..=4 {
        let id = w.started("DEMO", n);
        let job = w.claim_of(id);
        w.end_well(&job);
    }
    w.share = crate::Share { each: 2, all: 2 };
    // Its repository does not answer: what it has is parked.
    let broken = w.started("GONE", 1);
    let job = w.claim_of(broken);
    let (not_before, parked) = (w.now.plus_ms(60_000), Some("forge:GONE".to_owned()));
    let fault = fault(FaultKind::Transient);
    w.put_back(&job, Requeue { charge: Charge::Nothing, new_run: false, not_before, fault, parked });
    assert_eq!(served(w, Lane::Agent), ["DEMO", "DEMO"]);
}

pub fn no_project_has_more_than_its_share(w: &mut World) {
    for n in 1..=5 {
        w.started("ACME", n);
    }
    w.started("SHOP", 1);
    w.share = crate::Share { each: 2, all: u32::MAX };
    assert_eq!(served(w, Lane::Forge), ["ACME", "SHOP", "ACME"]);
    // A place of its own is enough to go on, whatever the rest of the lane does.
    w.share = crate::Share { each: 2, all: 1 };
    w.started("LATE", 1);
    assert_eq!(served(w, Lane::Forge), ["LATE"]);
}

pub fn a_project_that_is_left_out_is_not_claimed_from_and_keeps_no_place(w: &mut World) {
    for n in 1..=4 {
        let id = w.started("DEMO", n);
        let job = w.claim_of(id);
        w.end_well(&job);
    }
    let paused = w.started("SHOP", 1);
    w.except = vec!["SHOP".into()];
    w.share = crate::Share { each: 2, all: 2 };
    assert_eq!(w.claim(Lane::Forge), None);
    assert_eq!(served(w, Lane::Agent), ["DEMO", "DEMO"]);
    assert_eq!(w.job_of(paused).epoch, 0, "what is not claimed has not begun");
    w.except = Vec::new();
    assert_eq!(w.claim(Lane::Forge).map(|j| j.id.task), Some(paused));
}
