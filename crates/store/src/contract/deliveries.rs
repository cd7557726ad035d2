//! Deliveries of webhooks: the same one is kept once, is open until it is resolved, and ends in its time.

use super::world::World;
use crate::NewDelivery;
use futures::executor::block_on;
use orch_core::ids::Time;
use orch_ports::inbound::{About, Delivery};

fn delivery(w: &World, source: &str, body: &str, sent_as: Option<&str>) -> NewDelivery {
    let about = About { repository: Some("acme/shop".into()), branches: vec!["main".into()], ..About::default() };
    let sent_as = sent_as.map(str::to_owned);
    NewDelivery {
        source: source.into(),
        digest: body.bytes().cycle().take(32).collect(),
        delivery: Delivery { event: "push".into(), sent_as, about, ..Delivery::default() },
        body: Some(body.as_bytes().to_vec()),
        at: w.now,
    }
}

fn put(w: &World, new: &NewDelivery) -> Option<i64> {
    block_on(w.store.put_delivery(new.clone())).unwrap()
}

fn open(w: &World) -> Vec<i64> {
    block_on(w.store.open_deliveries(100)).unwrap().iter().map(|row| row.id).collect()
}

pub fn a_delivery_is_kept_once_by_its_name_and_by_its_body(w: &mut World) {
    let first = delivery(w, "gitea", "one", Some("n1"));
    let id = put(w, &first).expect("new");
    assert_eq!(put(w, &first), None);
    assert_eq!(put(w, &delivery(w, "gitea", "two", Some("n1"))), None, "another body under the same name");
    assert_eq!(put(w, &delivery(w, "gitea", "one", Some("n2"))), None, "the same body under another name");
    let nameless = put(w, &delivery(w, "gitea", "three", None)).expect("new");
    let other = put(w, &delivery(w, "gitea", "four", None)).expect("two without a name are two");
    let plane = put(w, &delivery(w, "plane", "one", Some("n1"))).expect("another source has names of its own");
    assert_eq!(open(w), [id, nameless, other, plane]);
    let row = block_on(w.store.open_deliveries(1)).unwrap().remove(0);
    assert_eq!((row.id, row.source.as_str(), &row.delivery, row.at), (id, "gitea", &first.delivery, w.now));
    block_on(w.store.end_deliveries(vec![(id, None)], w.now)).unwrap();
    assert_eq!(put(w, &first), None, "nor after it was resolved");
}

pub fn a_delivery_is_open_until_it_is_resolved(w: &mut World) {
    let sources = |w: &World| {
        let all = block_on(w.store.delivery_sources(vec!["gitea".into(), "plane".into()])).unwrap();
        all.into_iter().map(|s| (s.source, s.open, s.oldest_open, s.last)).collect::<Vec<_>>()
    };
    assert_eq!(sources(w), [("gitea".to_owned(), 0, None, None), ("plane".to_owned(), 0, None, None)]);
    let (first, began) = (put(w, &delivery(w, "gitea", "one", None)).unwrap(), w.now);
    w.pass_ms(1_000);
    let second = put(w, &delivery(w, "gitea", "two", None)).unwrap();
    assert_eq!(sources(w)[0], ("gitea".to_owned(), 2, Some(began), Some(w.now)));
    block_on(w.store.end_deliveries(vec![(first, Some("no project has it".into()))], w.now)).unwrap();
    block_on(w.store.end_deliveries(vec![(first, None), (999, None)], w.now)).unwrap();
    assert_eq!((open(w), sources(w)[0].1), (vec![second], 1));
    assert_eq!(sources(w)[1], ("plane".to_owned(), 0, None, None));
}

pub fn a_delivery_loses_its_body_first_and_goes_once_it_is_resolved(w: &mut World) {
    let first = put(w, &delivery(w, "gitea", "one", None)).unwrap();
    let began = w.now;
    w.pass_ms(1_000);
    let second = put(w, &delivery(w, "gitea", "two", None)).unwrap();
    let never = Time(0);
    let drop = |w: &World, bodies: Time, rows: Time| block_on(w.store.drop_deliveries(bodies, rows, 100)).unwrap();
    assert_eq!((drop(w, began, never), drop(w, began, never)), (1, 0), "its body, once");
    assert_eq!(put(w, &delivery(w, "gitea", "one", None)), None, "that it was delivered stays known");
    assert_eq!(drop(w, began, w.now), 0, "what is open stays");
    block_on(w.store.end_deliveries(vec![(first, None), (second, None)], w.now)).unwrap();
    assert_eq!(drop(w, began, began), 1);
    assert!(put(w, &delivery(w, "gitea", "one", None)).is_some(), "it is not known any more");
    assert_eq!(drop(w, never, w.now), 1, "with its body");
}
