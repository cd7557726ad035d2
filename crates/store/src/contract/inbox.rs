//! Deliveries: the same one counts once, a row is stepped once, and the journal keeps what people and jobs said.

use super::world::{World, anna};
use crate::{Cause, Dealt, Stepped};
use futures::executor::block_on;
use orch_core::event::Event;
use orch_core::ids::{Actor, Time};

fn started() -> Event {
    Event::Started { by: anna() }
}

pub fn the_same_delivery_counts_once(w: &mut World) {
    let id = w.create("DEMO", 1, orch_core::pipeline::Pipeline::lite());
    let put =
        |w: &World, source: &str, key: &str| block_on(w.store.put_inbox(source, key, id, started(), w.now)).unwrap();
    let first = put(w, "tracker:local", "d1").expect("new");
    assert_eq!(put(w, "tracker:local", "d1"), None);
    let other = put(w, "http", "d1").expect("another source has keys of its own");
    let rows = block_on(w.store.pending_inbox(10)).unwrap();
    assert_eq!(rows.iter().map(|r| r.id).collect::<Vec<_>>(), [first, other]);
    assert_eq!(
        (&rows[0].event, rows[0].task, rows[0].source.as_str(), rows[0].at),
        (&started(), id, "tracker:local", w.now)
    );
    assert_eq!(block_on(w.store.pending_inbox(1)).unwrap().len(), 1);
    w.step(id, Cause::Inbox(first), started());
    assert_eq!(put(w, "tracker:local", "d1"), None, "nor after it was stepped");
}

pub fn the_end_of_the_journal_is_read_without_the_rest(w: &mut World) {
    assert_eq!(block_on(w.store.journal_head()).unwrap(), 0);
    let (a, b) = (w.started("DEMO", 1), w.started("DEMO", 2));
    w.go_to(a, "running");
    // A wish that is refused says something; a timer that comes too early does not.
    w.tell(a, Event::Answered { by: anna(), text: "42".into() });
    w.tell(b, Event::TimerFired);
    let all = block_on(w.store.journal(None, 0, 1_000)).unwrap();
    assert_eq!(Some(block_on(w.store.journal_head()).unwrap()), all.last().map(|row| row.id));
    let says = |row: &&crate::JournalRow| !row.story.is_empty() || (row.ignored.is_some() && row.actor.is_some());
    let mut told: Vec<_> = all.iter().filter(|row| row.task == a).filter(says).cloned().collect();
    told.reverse();
    assert!(told[0].ignored.is_some() && 2 < told.len(), "{told:?}");
    assert_eq!(block_on(w.store.journal_tail(a, 1_000)).unwrap(), told);
    assert_eq!(block_on(w.store.journal_tail(a, 2)).unwrap(), told[..2]);
}

pub fn a_row_is_stepped_once(w: &mut World) {
    let id = w.create("DEMO", 1, orch_core::pipeline::Pipeline::lite());
    let stranger = w.create("DEMO", 2, orch_core::pipeline::Pipeline::lite());
    let row = block_on(w.store.put_inbox("http", "1", id, started(), w.now)).unwrap().unwrap();
    assert!(matches!(w.step(stranger, Cause::Inbox(row), started()), Stepped::Fenced));
    assert!(matches!(w.step(id, Cause::Inbox(row), started()), Stepped::Applied { .. }));
    let (task, jobs) = (w.task(id), w.open_jobs());
    assert!(matches!(w.step(id, Cause::Inbox(row), started()), Stepped::Fenced));
    assert!(matches!(w.step(id, Cause::Inbox(999), started()), Stepped::Fenced));
    assert_eq!((w.task(id), w.open_jobs()), (task, jobs));
    assert_eq!(block_on(w.store.pending_inbox(10)).unwrap(), []);
}

pub fn what_people_did_is_kept_and_noise_is_not(w: &mut World) {
    let id = w.started("DEMO", 1);
    let rows = |w: &World| block_on(w.store.journal(Some(id), 0, 100)).unwrap();
    assert_eq!(rows(w).len(), 1);
    let bob = Actor::new("local:bob");
    let Stepped::Ignored { why } = w.tell(id, Event::CancelAsked { by: bob.clone() }) else { panic!("bob may not") };
    let kept = rows(w).pop().unwrap();
    assert_eq!((kept.event.as_str(), kept.actor, kept.ignored), ("cancel_asked", Some(bob), Some(why)));
    for noise in [Event::TimerFired, Event::LeaseFreed, Event::Nudged { what: "a push".into() }] {
        assert!(matches!(w.step(id, Cause::Engine, noise), Stepped::Ignored { .. }));
    }
    assert_eq!(rows(w).len(), 2);
}

pub fn what_became_of_a_delivery_is_known(w: &mut World) {
    let id = w.create("DEMO", 1, orch_core::pipeline::Pipeline::lite());
    let dealt = |w: &World, key: &str| block_on(w.store.dealt("http", key)).unwrap();
    let put = |w: &World, key: &str, event: Event| {
        block_on(w.store.put_inbox("http", key, id, event, w.now)).unwrap().unwrap()
    };
    assert_eq!(dealt(w, "1"), None);
    let row = put(w, "1", started());
    assert_eq!(dealt(w, "1"), Some(Dealt::Waits(row)));
    assert_eq!(block_on(w.store.dealt("tracker:local", "1")).unwrap(), None, "another source has keys of its own");
    w.step(id, Cause::Inbox(row), started());
    assert_eq!(dealt(w, "1"), Some(Dealt::Taken));
    let row = put(w, "2", started());
    let Stepped::Ignored { why } = w.step(id, Cause::Inbox(row), started()) else { panic!("it has begun") };
    assert_eq!(dealt(w, "2"), Some(Dealt::Ignored(why)));
}

pub fn what_was_dealt_with_loses_its_text_and_stays_known(w: &mut World) {
    let id = w.started("DEMO", 1);
    let (done, event) = (w.now, Event::CancelAsked { by: anna() });
    let first = block_on(w.store.put_inbox("http", "k1", id, event.clone(), w.now)).unwrap().unwrap();
    w.step(id, Cause::Inbox(first), event.clone());
    w.pass_ms(1_000);
    let second = block_on(w.store.put_inbox("http", "k2", id, event.clone(), w.now)).unwrap().unwrap();
    let last = block_on(w.store.drop_bodies(0, done, 100)).unwrap();
    assert_eq!(last, first, "the one that waits is not touched");
    assert_eq!(block_on(w.store.drop_bodies(last, Time(i64::MAX - 1), 100)).unwrap(), last);
    assert_eq!(block_on(w.store.pending_inbox(10)).unwrap().len(), 1);
    assert_eq!(block_on(w.store.put_inbox("http", "k1", id, event.clone(), w.now)).unwrap(), None, "delivered before");
    w.step(id, Cause::Inbox(second), event);
    assert_eq!(block_on(w.store.drop_bodies(last, w.now, 100)).unwrap(), second);
}
