//! Databases as each schema version wrote them, with jobs in flight, that later versions must read and go on from.
//! `ORCH_WRITE_FIXTURE=1` writes the one of today's version anew, which is right only until that version is released;
//! a new schema version gets a fixture of its own and leaves the older ones alone.

use futures::executor::block_on;
use orch_core::event::Event;
use orch_core::verdict::FaultKind;
use orch_store::contract::evidence::{artefact, deployment, judgement, run};
use orch_store::contract::world::{World, anna, fault};
use orch_store::sqlite::OpenOptions;
use orch_store::{Charge, Fact, Requeue, SqliteStore, StoreClock};
use rusqlite::Connection;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;

/// Schema version of today.
const TODAY: usize = 8;
const HEADER: &str = "two tasks, the second waits for the merge lease of the first.\n";

#[test]
fn released_migrations_are_never_edited() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("orch.db");
    fill(&path);
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let fixture = |version: usize| here.join(format!("tests/data/version{version}.sql"));
    let today = Connection::open(&path).unwrap();
    if std::env::var_os("ORCH_WRITE_FIXTURE").is_some() {
        std::fs::write(fixture(TODAY), dump(&today)).unwrap();
    }
    let migration = |n: usize| std::fs::read_to_string(here.join(format!("migrations/sqlite/{n:04}.sql"))).unwrap();
    assert!(!here.join(format!("migrations/sqlite/{:04}.sql", TODAY + 1)).exists(), "a new version has no fixture yet");
    for version in 1..=TODAY {
        let then = Connection::open_in_memory().unwrap();
        then.execute_batch(&std::fs::read_to_string(fixture(version)).unwrap()).unwrap();
        for n in version + 1..=TODAY {
            then.execute_batch(&migration(n)).unwrap();
        }
        assert_eq!(
            schema(&then),
            schema(&today),
            "a change of the schema is a new migration, not an edit of an old one"
        );
    }
}

fn fill(path: &Path) {
    let hand = Arc::new(AtomicI64::new(0));
    let options = OpenOptions { clock: StoreClock::by_hand(&hand), ..OpenOptions::default() };
    let mut world = World::new(Arc::new(SqliteStore::open(path, options).unwrap()), hand);
    let w = &mut world;
    let (a, b) = (w.started("DEMO", 1), w.started("DEMO", 2));
    w.go_to(a, "preparing_merge");
    w.go_to(b, "waiting_for_lease");
    let fence = w.claim_of(a).fence();
    assert!(block_on(w.store.put_judgement(fence, judgement(a, "k1", w.now))).unwrap());
    assert!(
        block_on(w.store.put_artefacts(fence, vec![artefact(a, 2, "12-review.md", "verdict: APPROVED\n")])).unwrap()
    );
    assert!(block_on(w.store.put_run(fence, run(a, 2, 1))).unwrap());
    assert!(block_on(w.store.put_deployment(fence, deployment(a, "r1"))).unwrap());
    block_on(w.store.remember(&Fact::Draining, "no", w.now)).unwrap();
    // One job has cost its worker its life and waits for a service.
    let c = w.started("DEMO", 3);
    let job = w.claim_of(c);
    let lost = Requeue {
        charge: Charge::Death,
        new_run: true,
        not_before: w.now.plus_ms(1_000),
        fault: fault(FaultKind::Transient),
        parked: Some("forge:DEMO".into()),
    };
    assert!(w.put_back(&job, lost));
    block_on(w.store.put_inbox("http", "k", a, Event::CancelAsked { by: anna() }, w.now)).unwrap();
}

fn texts(c: &Connection, sql: &str) -> Vec<String> {
    c.prepare(sql).unwrap().query_map([], |r| r.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
}

fn schema(c: &Connection) -> Vec<String> {
    texts(c, "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%' ORDER BY rowid")
}

fn dump(c: &Connection) -> String {
    let mut out = format!("-- A database of version {TODAY}: {HEADER}");
    for pragma in ["application_id", "user_version"] {
        let value: i64 = c.pragma_query_value(None, pragma, |r| r.get(0)).unwrap();
        writeln!(out, "PRAGMA {pragma} = {value};").unwrap();
    }
    for sql in schema(c) {
        writeln!(out, "{sql};").unwrap();
    }
    // Rows may name rows of a table that comes later.
    writeln!(out, "PRAGMA foreign_keys = OFF;").unwrap();
    let tables = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY rowid";
    for table in texts(c, tables) {
        let columns = texts(c, &format!("SELECT name FROM pragma_table_info('{table}')"));
        let quoted = columns.iter().map(|name| format!("quote({name})")).collect::<Vec<_>>().join(" || ', ' || ");
        for row in texts(c, &format!("SELECT {quoted} FROM {table}")) {
            writeln!(out, "INSERT INTO {table} VALUES ({row});").unwrap();
        }
    }
    writeln!(out, "PRAGMA foreign_keys = ON;").unwrap();
    out
}
