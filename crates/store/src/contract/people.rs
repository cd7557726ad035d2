//! People whose names are taken out of what is kept.

use super::world::{World, anna};
use crate::{Fact, Forget};
use futures::executor::block_on;
use orch_core::event::Event;
use orch_core::ids::Actor;
use orch_core::pipeline::Pipeline;
use orch_core::task::Phase;

fn forget(w: &World, names: &[&str], facts: Vec<(Fact, String)>) -> crate::Forgotten {
    let names: Vec<Actor> = names.iter().map(|name| Actor::from(*name)).collect();
    let ids = block_on(w.store.person_ids(names.iter().map(ToString::to_string).collect())).unwrap();
    let id = ids.iter().map(|(_, id)| *id).min().unwrap();
    assert_eq!(id, 1, "the story counts on it");
    block_on(w.store.forget_person(Forget { id, names, mentions: false, facts, now: w.now })).unwrap()
}

pub fn a_person_who_is_forgotten_is_a_number_wherever_they_were_named(w: &mut World) {
    let id = w.started("DEMO", 1);
    w.tell(id, Event::Commented { by: anna(), text: "as local:anna said, mind the annual report".into() });
    w.tell(id, Event::CancelAsked { by: "local:joanna".into() });
    let paused = r#"{"all":{"by":"local:anna","since":1}}"#;
    block_on(w.store.remember(&Fact::Paused, paused, w.now)).unwrap();
    let done = forget(w, &["local:anna", "gitea:anna.b", "anna"], vec![(Fact::Persons, "kept".into())]);
    assert!(done.scrubbed && 4 <= done.rows.values().sum::<u64>(), "{done:?}");
    let task = w.task(id);
    assert_eq!(task.started_by, Some("person-1".into()));
    let comment = &task.findings.comments[0];
    assert_eq!((comment.by.as_str(), comment.text.as_str()), ("person-1", "as person-1 said, mind the annual report"));
    assert!(!task.pipeline.stages.is_empty(), "what is no name is as it was");
    let rows = block_on(w.store.journal(None, 0, 100)).unwrap();
    let told = format!("{rows:?}");
    assert!(told.contains("started by person-1") && !told.contains("local:anna"), "{told}");
    assert!(told.contains("local:joanna may not cancel tasks of this project (people who may: person-1)"), "{told}");
    let effects = block_on(w.store.open_jobs(Some(id))).unwrap();
    assert!(!format!("{effects:?}").contains("local:anna"), "{effects:?}");
    let recall = |fact: &Fact| block_on(w.store.recall(fact)).unwrap();
    assert_eq!(recall(&Fact::Paused).unwrap(), r#"{"all":{"by":"person-1","since":1}}"#);
    assert_eq!(recall(&Fact::Persons).unwrap(), "kept");
    assert_eq!(block_on(w.store.named()).unwrap(), ["local:joanna", "person-1"].map(Actor::from));
    // Asked again, nothing is left to change; the number is nobody else's.
    let ids = block_on(w.store.person_ids(vec!["local:bob".into()])).unwrap();
    assert_ne!(ids[0].1, 1);
    let again = Forget { id: 1, names: vec![anna()], mentions: false, facts: Vec::new(), now: w.now };
    assert_eq!(block_on(w.store.forget_person(again)).unwrap().rows.values().sum::<u64>(), 0);
    // And the task goes on.
    w.tell(id, Event::CancelAsked { by: anna() });
    assert!(matches!(w.task(id).phase, Phase::Cancelled { .. } | Phase::Stopping { .. }));
}

pub fn what_names_somebody_else_stays_as_it_is(w: &mut World) {
    w.policy.approvers = vec!["gitea:Anna".into(), "anna".into(), "local:started".into()];
    let id = w.create("DEMO", 1, Pipeline::lite());
    w.tell(id, Event::Started { by: "gitea:anna".into() });
    w.tell(id, Event::Commented { by: "local:anna".into(), text: "started by local:anna.b".into() });
    let before = (w.task(id), block_on(w.store.journal(None, 0, 100)).unwrap());
    forget(w, &["local:ann", "plane:anna", "gitea:anna2", "lite"], Vec::new());
    assert_eq!((w.task(id), block_on(w.store.journal(None, 0, 100)).unwrap()), before);
    // A name that is a word of the form: the form stays readable.
    w.tell(id, Event::Commented { by: "local:started".into(), text: "started".into() });
    let names = vec!["local:started".into(), "started".into()];
    block_on(w.store.forget_person(Forget { id: 9, names, mentions: true, facts: Vec::new(), now: w.now })).unwrap();
    let comment = w.task(id).findings.comments.pop().unwrap();
    assert_eq!((comment.by.as_str(), comment.text.as_str()), ("person-9", "person-9"));
    let rows = block_on(w.store.journal(None, 0, 100)).unwrap();
    assert_eq!(rows[0].event, "started", "the name of an event is no name of a person");
    assert_eq!(w.task(id).started_by, Some("gitea:anna".into()));
}
