//! A person who is forgotten is in no table of the file, nor in the parts of it that nothing uses any more, whenever the
//! process dies.

// A story that cannot go on ends where it is.
#![allow(clippy::unwrap_used, clippy::panic)]

use futures::executor::block_on;
use orch_core::event::Event;
use orch_core::ids::{Actor, TaskId, Time};
use orch_core::pipeline::Pipeline;
use orch_core::policy::Policy;
use orch_core::task::NewTask;
use orch_store::sqlite::OpenOptions;
use orch_store::{Cause, Fact, Forget, Journal, Memory, SqliteStore, StepRequest, Tasks};
use rusqlite::Connection;
use std::path::Path;

/// Never part of another word here.
const NAME: &str = "zebulon";

fn open(path: &Path) -> SqliteStore {
    SqliteStore::open(path, OpenOptions { holder: "a test".into(), ..OpenOptions::default() }).unwrap()
}

fn who() -> Actor {
    Actor::new(format!("local:{NAME}"))
}

fn tell(store: &SqliteStore, task: TaskId, key: &str, event: Event) {
    let row = block_on(store.put_inbox("test", key, task, event.clone(), Time(5))).unwrap().unwrap();
    let policy = Policy { approvers: vec![who()], ..Policy::default() };
    let (cause, worker) = (Cause::Inbox(row), "w".to_owned());
    let request = StepRequest { task, cause, event, policy, now: Time(5), worker, lease_ttl_ms: 1_000 };
    block_on(store.step(request)).unwrap();
}

/// A task that names the person in every way there is.
fn lived(store: &SqliteStore) {
    let new = NewTask {
        project: "DEMO".into(),
        number: 1,
        title: "t".into(),
        body: "b".into(),
        pipeline: Pipeline::lite(),
        landing: orch_core::landing::LandingPlan::default(),
        repository: None,
        source: None,
    };
    let id = block_on(store.create_task(new, Time(1))).unwrap().0.id;
    tell(store, id, "1", Event::Started { by: who() });
    for n in 0..200 {
        tell(
            store,
            id,
            &format!("c{n}"),
            Event::Commented { by: who(), text: format!("{n}: ask local:{NAME}, please") },
        );
    }
    tell(store, id, "2", Event::PutOnHold { by: who(), reason: Some(format!("local:{NAME} is away")) });
    tell(store, id, "3", Event::CancelAsked { by: "gitea:eve".into() });
    block_on(store.remember(&Fact::Paused, &format!(r#"{{"all":{{"by":"local:{NAME}","since":1}}}}"#), Time(1)))
        .unwrap();
    block_on(store.person_ids(vec![format!("local:{NAME}")])).unwrap();
}

fn forget(store: &SqliteStore) -> orch_store::Forgotten {
    let names = vec![who(), Actor::new(NAME)];
    let id = block_on(store.person_ids(vec![who().to_string()])).unwrap()[0].1;
    block_on(store.forget_person(Forget { id, names, mentions: false, facts: Vec::new(), now: Time(9) })).unwrap()
}

/// Tables with a column of text, or of bytes, in which the name is.
fn tables_with_name(path: &Path) -> Vec<String> {
    let c = Connection::open(path).unwrap();
    let mut columns = c
        .prepare(
            "SELECT t.name, p.name FROM pragma_table_list t JOIN pragma_table_info(t.name) p \
             WHERE t.schema = 'main' AND t.type = 'table' AND p.type IN ('TEXT', 'BLOB', '')",
        )
        .unwrap();
    let columns = columns.query_map([], |r| Ok((r.get::<_, String>(0)?, r.get::<_, String>(1)?))).unwrap();
    let columns: Vec<(String, String)> = columns.map(Result::unwrap).collect();
    assert!(40 < columns.len(), "the whole schema is looked through: {}", columns.len());
    let has = |(table, column): &(String, String)| {
        let sql = format!("SELECT count(*) FROM \"{table}\" WHERE instr(lower(CAST(\"{column}\" AS TEXT)), ?1)");
        0 < c.query_row(&sql, [NAME], |r| r.get::<_, i64>(0)).unwrap()
    };
    columns.into_iter().filter(has).map(|(table, column)| format!("{table}.{column}")).collect()
}

/// Is the name anywhere in the file or in the log beside it?
fn bytes_have_name(path: &Path) -> bool {
    ["", "-wal"].iter().any(|end| {
        let mut name = path.as_os_str().to_owned();
        name.push(end);
        let bytes = std::fs::read(name).unwrap_or_default();
        bytes.windows(NAME.len()).any(|part| part.eq_ignore_ascii_case(NAME.as_bytes()))
    })
}

#[test]
fn no_table_and_no_unused_page_has_the_name_of_a_person_who_was_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("orch.db");
    let store = open(&path);
    lived(&store);
    assert!(bytes_have_name(&path) && 5 < tables_with_name(&path).len(), "{:?}", tables_with_name(&path));
    let done = forget(&store);
    assert!(done.scrubbed, "{done:?}");
    // With the daemon still at work, and nothing waiting for a checkpoint.
    assert_eq!(tables_with_name(&path), [] as [String; 0]);
    assert!(!bytes_have_name(&path));
    assert_eq!(block_on(store.recall(&Fact::ScrubDue)).unwrap(), None);
    // What is copied from now on does not have it either, and is sound.
    let copy = dir.path().join("copy.db");
    block_on(store.backup(&copy)).unwrap();
    block_on(store.check()).unwrap();
    drop(store);
    assert!(!bytes_have_name(&path) && !bytes_have_name(&copy));
    let journal = block_on(open(&copy).journal(None, 0, 1_000)).unwrap();
    assert!(format!("{journal:?}").contains("started by person-1"));
}

#[test]
fn a_process_that_dies_between_the_rows_and_the_file_is_finished_by_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("orch.db");
    let store = open(&path);
    lived(&store);
    drop(store);
    // As the rows are left by a process that dies behind its transaction.
    let c = Connection::open(&path).unwrap();
    c.execute_batch(
        "DELETE FROM inbox; UPDATE journal SET story = '[]', event = '{}', actor = NULL, ignored = NULL; \
         INSERT INTO of_instance (kind, value) VALUES ('scrub_due', 'true'); UPDATE person SET name = NULL; \
         DELETE FROM of_instance WHERE kind = 'paused'; DELETE FROM job; UPDATE task SET body = json_object('gone', 1)",
    )
    .unwrap();
    drop(c);
    assert!(tables_with_name(&path).is_empty() && bytes_have_name(&path), "only unused pages have it");
    let store = open(&path);
    assert!(!bytes_have_name(&path), "the next start finishes what was begun");
    assert_eq!(block_on(store.recall(&Fact::ScrubDue)).unwrap(), None);
}

#[test]
fn a_file_that_somebody_reads_is_not_scrubbed_and_says_so_and_the_rows_are() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("orch.db");
    let store = open(&path);
    lived(&store);
    let reader = Connection::open(&path).unwrap();
    reader.execute_batch("BEGIN; SELECT count(*) FROM task").unwrap();
    let done = forget(&store);
    assert!(!done.scrubbed, "{done:?}");
    reader.execute_batch("COMMIT").unwrap();
    assert_eq!(tables_with_name(&path), [] as [String; 0]);
    drop(store);
    let store = open(&path);
    assert!(!bytes_have_name(&path));
    assert_eq!(block_on(store.recall(&Fact::ScrubDue)).unwrap(), None);
}
