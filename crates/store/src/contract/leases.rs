//! The merge lease: one task at a time, kept while it lives, lost when it does not, never lost while a merge's outcome
//! is unknown.

use super::world::{LEASE_MS, TTL_MS, World, anna, applied};
use crate::{Cause, LeaseRow, Stepped};
use futures::executor::block_on;
use orch_core::effect::{Effect, Lane, Outcome};
use orch_core::event::Event;
use orch_core::ids::TaskId;

fn lease(w: &World) -> LeaseRow {
    block_on(w.store.leases()).unwrap().into_iter().find(|l| l.project.as_str() == "DEMO").expect("a lease was taken")
}
pub(super) fn holder(w: &World) -> Option<TaskId> {
    lease(w).task
}
fn reclaim(w: &World) -> Vec<(String, Option<String>, Vec<TaskId>)> {
    let lost = block_on(w.store.reclaim_leases()).unwrap();
    lost.into_iter().map(|(p, item, waiters)| (p.to_string(), item.map(|i| i.to_string()), waiters)).collect()
}

/// The first task prepares its merge, the second waits for it.
fn two(w: &mut World) -> (TaskId, TaskId) {
    let (a, b) = (w.started("DEMO", 1), w.started("DEMO", 2));
    w.go_to(a, "preparing_merge");
    w.go_to(b, "waiting_for_lease");
    (a, b)
}

pub fn the_second_task_waits_and_is_woken(w: &mut World) {
    let (a, b) = two(w);
    let row = lease(w);
    assert_eq!((row.epoch, row.task, row.holder), (1, Some(a), Some("DEMO-1".into())));
    assert_eq!((row.worker.as_deref(), row.branch), (Some("w1"), Some(w.task(a).branch.name)));
    assert!(block_on(w.store.holds_lease(a, 1)).unwrap().is_some());
    assert!(
        block_on(w.store.holds_lease(a, 2)).unwrap().is_none()
            && block_on(w.store.holds_lease(b, 1)).unwrap().is_none()
    );
    w.go_to(a, "merging");
    let merge = w.claim_of(a);
    let (_, _, freed) = applied(w.end_well(&merge));
    assert_eq!(freed, [b], "whoever waits is named in the answer");
    assert_eq!((lease(w).epoch, holder(w)), (1, None));
    assert!(block_on(w.store.holds_lease(a, 1)).unwrap().is_none());
    applied(w.step(b, Cause::Engine, Event::LeaseFreed));
    assert_eq!((lease(w).epoch, holder(w), w.word(b)), (2, Some(b), "preparing_merge"));
    let Effect::Update { lease_epoch, .. } = w.job_of(b).effect else { panic!("an update") };
    assert_eq!(lease_epoch, 2);
    w.settle();
    assert_eq!(w.word(b), "done");
}

pub fn steps_and_heartbeats_keep_a_lease(w: &mut World) {
    let (a, b) = two(w);
    let update = w.claim_of(a);
    w.pass_ms(TTL_MS - 1);
    w.beat(update.fence());
    w.pass_ms(TTL_MS - 1);
    assert_eq!(reclaim(w), [], "the heartbeat of the holder's job renewed it");
    w.end_well(&update);
    w.pass_ms(TTL_MS - 1);
    assert_eq!(reclaim(w), [], "the step renewed it");
    // The waiting task's own life renews nothing, nor does what is said of the holder, nor whoever sends that on.
    w.step(a, Cause::Engine, Event::Noticed { key: "k".into(), text: "its worker is dead".into() });
    w.tell(a, Event::Commented { by: anna(), text: "how is it going?".into() });
    w.tell(a, Event::EditAsked { by: anna(), title: Some("Better".into()), body: None });
    w.step(b, Cause::Engine, Event::TimerFired);
    let mut sent = 0;
    while let Some(message) = w.claim(Lane::Message) {
        assert_eq!(w.beat(message.fence()), crate::Beat::Held);
        sent += usize::from(message.id.task == a);
    }
    assert!(2 <= sent, "the notice and the comment");
    w.pass_ms(2);
    assert_eq!(reclaim(w).len(), 1);
}

pub fn a_dead_holder_loses_the_lease(w: &mut World) {
    let (a, b) = two(w);
    let update = w.claim_of(a);
    w.pass_ms(TTL_MS);
    assert_eq!(reclaim(w), [], "a live holder within its time never loses it");
    w.pass_ms(1);
    assert_eq!(reclaim(w), [("DEMO".to_owned(), Some("DEMO-1".to_owned()), vec![b])]);
    assert_eq!(reclaim(w), [], "once");
    applied(w.step(b, Cause::Engine, Event::LeaseFreed));
    assert!(
        block_on(w.store.holds_lease(b, 2)).unwrap().is_some()
            && block_on(w.store.holds_lease(a, 1)).unwrap().is_none()
    );
    // The old holder finds out and queues up again; the new one keeps what it has.
    applied(w.end(&update, Outcome::LeaseLost));
    assert_eq!((w.word(a), holder(w), lease(w).epoch), ("waiting_for_lease", Some(b), 2), "{:?}", w.task(a).phase);
}

pub fn an_unknown_merge_keeps_the_lease(w: &mut World) {
    let (a, _) = two(w);
    w.go_to(a, "merging");
    w.pass_ms(TTL_MS * 100);
    assert_eq!(reclaim(w), []);
    let merge = w.claim_of(a);
    w.tell(a, Event::CancelAsked { by: anna() });
    w.pass_ms(TTL_MS * 100);
    assert_eq!(reclaim(w), [], "nor while its cancelling waits for the outcome");
    assert_eq!(holder(w), Some(a));
    w.end_well(&merge);
    assert_eq!(holder(w), None);
}

pub fn a_wrong_tree_freezes_the_queue(w: &mut World) {
    let (a, b) = two(w);
    w.go_to(a, "merging");
    let merge = w.claim_of(a);
    let (_, _, freed) = applied(w.end(&merge, Outcome::Merged { commit: "c1".into(), tree: "another".into() }));
    assert_eq!((freed, w.word(a)), (vec![], "blocked"));
    w.pass_ms(TTL_MS * 100);
    assert_eq!(reclaim(w), []);
    assert!(matches!(w.step(b, Cause::Engine, Event::LeaseFreed), Stepped::Applied { .. }));
    assert_eq!((w.word(b), holder(w)), ("waiting_for_lease", Some(a)));
    let (_, _, freed) = applied(w.tell(a, Event::RetryAsked { by: anna() }));
    assert_eq!(freed, [b], "a person looked at it");
}

pub fn a_new_owner_adopts_merges_under_way(w: &mut World) {
    let (a, _) = two(w);
    w.claim_of(a);
    w.worker = "w2".into();
    let back = block_on(w.store.recover("w2", TTL_MS)).unwrap();
    assert_eq!(back.len(), 1);
    w.pass_ms(TTL_MS);
    assert_eq!((reclaim(w), holder(w)), (vec![], Some(a)), "it has its full time under the new owner");
    w.pass_ms(1);
    assert_eq!(reclaim(w).len(), 1);
}

pub fn projects_do_not_share_a_lease(w: &mut World) {
    let (a, b) = (w.started("DEMO", 1), w.started("SHOP", 1));
    w.go_to(a, "preparing_merge");
    w.go_to(b, "preparing_merge");
    let holders: Vec<_> =
        block_on(w.store.leases()).unwrap().into_iter().map(|l| (l.project.to_string(), l.task)).collect();
    assert_eq!(holders, [("DEMO".to_owned(), Some(a)), ("SHOP".to_owned(), Some(b))]);
}

/// One lease, whichever of the projects a task is of: who waits is told by whoever frees it, and the heartbeat of its job
/// renews it.
pub fn projects_on_one_repository_share_its_lease(w: &mut World) {
    let (a, b) = (w.started("DEMO", 1), w.started_in("DEMO", "SHOP", 1));
    let (other, third) = (w.started("SIDE", 1), w.started("DEMO", 2));
    w.go_to(b, "preparing_merge");
    w.go_to(a, "waiting_for_lease");
    w.go_to(third, "waiting_for_lease");
    w.go_to(other, "preparing_merge");
    let holders: Vec<_> =
        block_on(w.store.leases()).unwrap().into_iter().map(|l| (l.project.to_string(), l.task)).collect();
    assert_eq!(holders, [("DEMO".to_owned(), Some(b)), ("SIDE".to_owned(), Some(other))]);
    assert!(block_on(w.store.holds_lease(b, 1)).unwrap().is_some());
    let update = w.claim_of(b);
    w.pass_ms(TTL_MS - 1);
    w.beat(update.fence());
    w.pass_ms(TTL_MS - 1);
    let lost = reclaim(w);
    assert_eq!(lost, [("SIDE".to_owned(), Some("SIDE-1".to_owned()), vec![])], "the heartbeat renewed the shared one");
    applied(w.end_well(&update));
    w.go_to(b, "merging");
    let merge = w.claim_of(b);
    let (_, _, freed) = applied(w.end_well(&merge));
    assert_eq!(freed, [a, third], "those of the other project are named, too, and nobody of another repository");
    applied(w.step(a, Cause::Engine, Event::LeaseFreed));
    assert_eq!((w.word(a), holder(w), lease(w).epoch), ("preparing_merge", Some(a), 2));
    applied(w.step(third, Cause::Engine, Event::LeaseFreed));
    assert_eq!(w.word(third), "waiting_for_lease");
    // Of a dead holder those of the other project hear, too.
    let fourth = w.started_in("DEMO", "SHOP", 2);
    w.go_to(fourth, "waiting_for_lease");
    w.pass_ms(TTL_MS + 1);
    assert_eq!(reclaim(w), [("DEMO".to_owned(), Some("DEMO-1".to_owned()), vec![third, fourth])]);
}

/// What one worker does, and its looking for what others left, is nothing to another that lives.
pub fn two_workers_on_one_store_leave_each_other_what_they_have(w: &mut World) {
    let (a, b) = (w.started("DEMO", 1), w.started("SHOP", 1));
    w.go_to(a, "preparing_merge");
    let first = w.claim_of(a);
    w.worker = "w2".into();
    w.go_to(b, "preparing_merge");
    let second = w.claim_of(b);
    let beats = |w: &World, fence, worker: &str| {
        block_on(w.store.renew_leases(worker, TTL_MS)).unwrap();
        w.beat(fence)
    };
    // Both live: whoever looks, and however long.
    for _ in 0..100 {
        w.pass_ms(LEASE_MS - 1);
        assert_eq!(beats(w, first.fence(), "w1"), crate::Beat::Held);
        assert_eq!(beats(w, second.fence(), "w2"), crate::Beat::Held);
        assert_eq!((block_on(w.store.reap()).unwrap(), reclaim(w)), (vec![], vec![]));
    }
    // The first is gone. Nobody renews for it, and each thing it had is free when its own time is over, not before.
    let passes = |w: &mut World, ms: i64| {
        for _ in 0..ms / LEASE_MS {
            w.pass_ms(LEASE_MS);
            assert_eq!(beats(w, second.fence(), "w2"), crate::Beat::Held);
        }
    };
    passes(w, LEASE_MS);
    assert_eq!(block_on(w.store.reap()).unwrap(), vec![], "its time is over now, and not yet past");
    w.pass_ms(1);
    let back = block_on(w.store.reap()).unwrap();
    assert_eq!(back.iter().map(|r| (r.job, r.worker.as_str())).collect::<Vec<_>>(), [(first.id, "w1")]);
    assert_eq!(w.beat(first.fence()), crate::Beat::Lost, "and it finds out when it wakes");
    passes(w, TTL_MS - LEASE_MS);
    assert_eq!(reclaim(w).len(), 1, "of the lease, too");
    assert_eq!((w.job_of(b).id, holder(w)), (second.id, None));
    assert!(block_on(w.store.holds_lease(b, 1)).unwrap().is_some(), "the other's is its own");
}

/// Whoever works on a task keeps its lease for it.
pub fn a_lease_goes_on_with_whoever_works_on_its_task(w: &mut World) {
    let (a, _) = two(w);
    let worker = |w: &World| lease(w).worker;
    w.worker = "w2".into();
    let update = w.claim_of(a);
    assert_eq!(worker(w).as_deref(), Some("w1"));
    w.beat(update.fence());
    assert_eq!(worker(w).as_deref(), Some("w2"), "the worker at its job");
    w.worker = "w3".into();
    w.end_well(&update);
    assert_eq!(worker(w).as_deref(), Some("w3"), "the one that made its last step");
    w.pass_ms(TTL_MS);
    block_on(w.store.renew_leases("w1", TTL_MS)).unwrap();
    w.pass_ms(1);
    assert_eq!(reclaim(w).len(), 1, "somebody else's renewing is not its own");
}
