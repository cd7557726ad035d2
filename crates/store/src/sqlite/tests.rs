//! What only the inside can show: how verbs share a commit, what a full disk undoes, which plans the queries have.

use super::sql::{DbError, run};
use super::tx::Rows;
use super::{OpenOptions, SqliteStore, deliveries, jobs, journal, tasks, writer};
use crate::error::StoreError;
use crate::verbs::{Memory, Queue, Tasks};
use futures::executor::block_on;
use orch_core::ids::Time;
use orch_core::pipeline::Pipeline;
use orch_core::task::NewTask;

fn file() -> (SqliteStore, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    (SqliteStore::open(dir.path().join("orch.db"), OpenOptions::default()).unwrap(), dir)
}

fn ticket(number: u64) -> NewTask {
    let (title, body) = ("t".to_owned(), "b".to_owned());
    NewTask {
        project: "DEMO".into(),
        number,
        title,
        body,
        pipeline: Pipeline::lite(),
        landing: orch_core::landing::LandingPlan::default(),
        repository: None,
        source: None,
    }
}

#[test]
fn a_verb_that_fails_takes_back_only_itself() {
    let store = SqliteStore::open_in_memory(crate::StoreClock::default()).unwrap();
    let c = super::schema::open_in_memory().unwrap();
    let set =
        |key: &'static str| move |c: &rusqlite::Connection| run(c, "INSERT INTO of_instance VALUES (?1, 'v')", [key]);
    let (a, got_a) = writer::Call::new(set("a"));
    let (bad, got_bad) = writer::Call::new(move |c: &rusqlite::Connection| {
        set("b")(c)?;
        Err::<(), _>(DbError::bug("no"))
    });
    let (mad, got_mad) = writer::Call::new(move |c: &rusqlite::Connection| {
        set("c")(c)?;
        panic!("a test panics on purpose");
        #[allow(unreachable_code)]
        Ok(())
    });
    let (d, got_d) = writer::Call::new(set("d"));
    writer::commit(&c, store.path(), vec![a, bad, mad, d]);
    assert!(block_on(got_a).unwrap().is_ok() && block_on(got_d).unwrap().is_ok());
    assert!(matches!(block_on(got_bad).unwrap(), Err(StoreError::Bug(t)) if t == "no"));
    assert!(matches!(block_on(got_mad).unwrap(), Err(StoreError::Bug(t)) if t.contains("panicked")));
    let keys =
        super::sql::all(&c, "SELECT kind FROM of_instance ORDER BY kind", [], |r| Ok(r.get::<_, String>(0)?)).unwrap();
    assert_eq!(keys, ["a", "d"]);
}

#[test]
fn nobody_is_answered_before_the_commit() {
    let c = super::schema::open_in_memory().unwrap();
    // A deferred foreign key is the one thing that lets every verb pass and the commit fail.
    c.execute_batch("CREATE TABLE late (task INTEGER REFERENCES task (id) DEFERRABLE INITIALLY DEFERRED) STRICT")
        .unwrap();
    let (good, got_good) = writer::Call::new(|c| run(c, "INSERT INTO of_instance VALUES ('draining', 'v')", []));
    let (late, got_late) = writer::Call::new(|c| run(c, "INSERT INTO late VALUES (7)", []));
    writer::commit(&c, std::path::Path::new("x.db"), vec![good, late]);
    assert!(block_on(got_good).unwrap().is_err() && block_on(got_late).unwrap().is_err());
    assert!(c.is_autocommit(), "the transaction is over");
    assert_eq!(super::memory::recall(&c, &crate::Fact::Draining).unwrap(), None);
}

#[test]
fn a_thousand_verbs_at_once_share_commits() {
    let (store, dir) = file();
    let wal = dir.path().join("orch.db-wal");
    let before = std::fs::metadata(&wal).unwrap().len();
    let facts: Vec<_> = (0..1000).map(|n| crate::Fact::Circuit(format!("k{n}"))).collect();
    let all = facts.iter().map(|fact| store.remember(fact, "v", Time(1)));
    for done in block_on(futures::future::join_all(all)) {
        done.unwrap();
    }
    // Every commit writes at least one page of 4096 bytes and its header.
    let pages = (std::fs::metadata(&wal).unwrap().len() - before) / 4120;
    assert!(pages < 500, "{pages} pages: each verb had a commit of its own");
    let count = block_on(
        store.read(|c| super::sql::one(c, "SELECT count(*) FROM of_service", [], |r| Ok(r.get::<_, i64>(0)?))),
    );
    assert_eq!(count.unwrap(), Some(1000));
}

#[test]
fn threads_that_ask_at_once_get_each_job_once() {
    let (store, _dir) = file();
    block_on(async {
        for n in 1..=200 {
            let id = store.create_task(ticket(n), Time(1)).await.unwrap().0.id;
            store.step(started(id)).await.unwrap();
        }
    });
    let claimed: Vec<_> = std::thread::scope(|scope| {
        let claim = |worker: usize| {
            let store = &store;
            move || {
                let request = crate::ClaimRequest {
                    lane: orch_core::effect::Lane::Forge,
                    worker: format!("w{worker}"),
                    now: Time(9),
                    lease_ms: 1000,
                    share: crate::Share::default(),
                    except: Vec::new(),
                    terms: std::collections::BTreeMap::new(),
                };
                std::iter::from_fn(|| block_on(store.claim(request.clone())).unwrap().map(|j| j.id)).collect::<Vec<_>>()
            }
        };
        let threads: Vec<_> = (0..8).map(|w| scope.spawn(claim(w))).collect();
        threads.into_iter().flat_map(|t| t.join().unwrap()).collect()
    });
    let unique: std::collections::BTreeSet<_> = claimed.iter().collect();
    assert_eq!((claimed.len(), unique.len()), (200, 200));
}

fn started(task: orch_core::ids::TaskId) -> crate::StepRequest {
    let by = orch_core::ids::Actor::new("local:anna");
    crate::StepRequest {
        task,
        cause: crate::Cause::Engine,
        event: orch_core::event::Event::Started { by: by.clone() },
        policy: orch_core::policy::Policy { starters: vec![by], ..Default::default() },
        now: Time(2),
        worker: "w".into(),
        lease_ttl_ms: 1000,
    }
}

#[test]
fn a_full_disk_changes_nothing_and_passes_by_itself() {
    let (store, _dir) = file();
    let (task, _) = block_on(store.create_task(ticket(1), Time(1))).unwrap();
    let limit = |pages: i64| {
        block_on(
            store.write(move |c| Ok(c.pragma_update_and_check(None, "max_page_count", pages, |r| r.get::<_, i64>(0))?)),
        )
        .unwrap()
    };
    let pages =
        block_on(store.read(|c| Ok(c.pragma_query_value(None, "page_count", |r| r.get::<_, i64>(0))?))).unwrap();
    limit(pages);
    let big = NewTask { body: "x".repeat(200_000), ..ticket(2) };
    let (refused, with) =
        block_on(futures::future::join(store.create_task(big.clone(), Time(1)), store.step(started(task.id))));
    assert!(matches!(refused, Err(StoreError::Full)), "{refused:?}");
    // What shared its transaction is either done or refused for the same reason, and the answer is true.
    let now = block_on(store.task(task.id)).unwrap().unwrap();
    match with {
        Ok(_) => assert_eq!(now.phase_word(), "opening"),
        Err(error) => {
            assert!(matches!(error, StoreError::Full), "{error}");
            assert_eq!(now, task);
        }
    }
    assert_eq!(block_on(store.task_by_item(&"DEMO-2".into())).unwrap(), None);
    limit(1_000_000);
    assert!(block_on(store.create_task(big, Time(1))).unwrap().1, "with space again it goes on");
    block_on(store.check()).unwrap();
}

#[test]
fn a_pipeline_is_kept_once_whatever_number_of_tasks_have_it() {
    let store = SqliteStore::open_in_memory(crate::StoreClock::default()).unwrap();
    for number in 1..=20 {
        block_on(store.create_task(ticket(number), Time(1))).unwrap();
    }
    let own = NewTask { pipeline: Pipeline { name: "ours".into(), ..Pipeline::lite() }, ..ticket(21) };
    block_on(store.create_task(own, Time(1))).unwrap();
    let count = |c: &rusqlite::Connection, sql: &str| c.query_row(sql, [], |r| r.get::<_, i64>(0));
    let kept = block_on(store.read(move |c| {
        let inside = "SELECT count(*) FROM task WHERE json_extract(body, '$.pipeline') IS NOT NULL";
        Ok((count(c, "SELECT count(*) FROM pipeline")?, count(c, inside)?))
    }));
    assert_eq!(kept.unwrap(), (2, 0));
}

#[test]
fn a_lease_that_is_not_free_is_not_taken() {
    let store = SqliteStore::open_in_memory(crate::StoreClock::default()).unwrap();
    let (a, _) = block_on(store.create_task(ticket(1), Time(1))).unwrap();
    let (b, _) = block_on(store.create_task(ticket(2), Time(1))).unwrap();
    let take = |task| block_on(store.write(move |c| crate::lease::take(&mut Rows(c, 0), &task, "w", 10, Time(3))));
    take(a.clone()).unwrap();
    let error = take(b).unwrap_err();
    assert!(matches!(&error, StoreError::Bug(t) if t.contains("DEMO-2") && t.contains("not free")), "{error}");
    assert!(block_on(store.holds_lease(a.id, 1)).unwrap().is_some());
}

#[test]
fn the_settings_that_durability_hangs_on_are_set() {
    let (store, dir) = file();
    let read = |c: &rusqlite::Connection, name: &str| c.pragma_query_value(None, name, |r| r.get::<_, i64>(0));
    let got = block_on(store.write(move |c| {
        Ok((read(c, "synchronous")?, read(c, "foreign_keys")?, read(c, "user_version")?, read(c, "application_id")?))
    }));
    assert_eq!(got.unwrap(), (2, 1, i64::try_from(super::schema::MIGRATIONS.len()).unwrap(), 0x6F72_6368));
    let mode = block_on(store.write(|c| Ok(c.pragma_query_value(None, "journal_mode", |r| r.get::<_, String>(0))?)));
    assert_eq!(mode.unwrap(), "wal");
    let refused = block_on(store.read(|c| run(c, "INSERT INTO of_instance VALUES ('a', 'b')", [])));
    assert!(refused.is_err(), "a reader cannot write");
    use std::os::unix::fs::PermissionsExt;
    for name in ["orch.db", "orch.db-wal", "orch.db.lock"] {
        let mode = std::fs::metadata(dir.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

/// No query that runs while work goes on may walk a table.
#[test]
fn hot_queries_use_their_indexes() {
    let store = SqliteStore::open_in_memory(crate::StoreClock::default()).unwrap();
    let plan = |sql: &'static str| {
        block_on(store.read(move |c| {
            let mut statement = c.prepare(&format!("EXPLAIN QUERY PLAN {sql}"))?;
            for i in 1..=statement.parameter_count() {
                statement.raw_bind_parameter(i, 1)?;
            }
            let mut rows = statement.raw_query();
            let mut lines = Vec::new();
            while let Some(row) = rows.next()? {
                lines.push(row.get::<_, String>(3)?);
            }
            Ok(lines)
        }))
        .unwrap()
    };
    for (sql, indexes) in [
        (jobs::CLAIM, &["job_claim", "job_exclusive", "job_held", "job_active"][..]),
        (jobs::CLAIMS, &["job_running"]),
        (tasks::DUE, &["task_wake"]),
        (tasks::WAITERS, &["task_waits"]),
        (tasks::NEXT_TIMER, &["task_wake"]),
        (super::retention::CLOSED, &["task_closed"]),
        (tasks::OPEN_PROJECTS, &["task_open_project"]),
        (tasks::NEXT_DELAYED, &["job_delayed"]),
        (journal::PENDING, &["inbox_pending"]),
        (journal::DEALT, &["sqlite_autoindex_inbox_1"]),
        (deliveries::OPEN, &["delivery_open"]),
        (super::spends::OF_TASK, &["spend"]),
        (super::spends::OF_PROJECT, &["spend_project"]),
        (super::spends::OF_ALL, &["spend_at"]),
    ] {
        let lines = plan(sql);
        for index in indexes {
            assert!(lines.iter().any(|l| l.contains(index)), "{index} is not used:\n{sql}\n{lines:#?}");
        }
        // What the claim has gathered of projects is walked: one row for each.
        let gathered = ["SCAN here", "SCAN first", "SCAN held", "SCAN active", "SCAN open", "SCAN (subquery-1)"];
        let walks = |l: &String| l.starts_with("SCAN") && !l.contains("INDEX") && !gathered.contains(&l.as_str());
        assert!(!lines.iter().any(walks), "a table is walked:\n{sql}\n{lines:#?}");
        let sorts = lines.iter().any(|l| l.contains("TEMP B-TREE"));
        // The few running jobs may be sorted, so that the oldest is taken back first, and the projects by their turn.
        assert!(!sorts || [jobs::CLAIMS, jobs::CLAIM].contains(&sql), "sorted by hand:\n{sql}\n{lines:#?}");
    }
}

#[test]
fn claims_stay_quick_when_the_queue_is_long() {
    let store = SqliteStore::open_in_memory(crate::StoreClock::default()).unwrap();
    let (task, _) = block_on(store.create_task(ticket(1), Time(1))).unwrap();
    block_on(store.write(move |c| {
        run(
            c,
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000) \
             INSERT INTO job (task, seq, project, lane, effect, kind, state, epoch, attempts, max_attempts, \
             transient_attempts, run_attempt, available_at, stop, created_at) \
             SELECT ?1, i, 'DEMO', 'forge', '{\"effect\":\"open_branch\"}', 'open_branch', 'queued', 0, 0, 2, 0, 1, i, 0, 1 FROM n",
            [task.id.0],
        )
    }))
    .unwrap();
    // Counted in steps of SQLite's machine, not in time: 100 claims of a table scan would be millions.
    let (lane, worker, now) = (orch_core::effect::Lane::Forge, "w".to_owned(), Time(200_000));
    let request = crate::ClaimRequest {
        lane,
        worker,
        now,
        lease_ms: 1,
        share: crate::Share::default(),
        except: Vec::new(),
        terms: std::collections::BTreeMap::new(),
    };
    let steps = block_on(store.write(move |c| {
        for _ in 0..100 {
            assert!(jobs::claim(c, &request, 0)?.is_some());
        }
        let statement = c.prepare_cached(jobs::CLAIM)?;
        Ok(statement.get_status(rusqlite::StatementStatus::VmStep))
    }))
    .unwrap();
    assert!(steps < 150_000, "{steps} steps for 100 claims");
}

/// A statement that SQLite prepares again costs more than most verbs; it does so when a plan could hang on a value.
#[test]
fn statements_are_prepared_once_whatever_values_they_get() {
    let store = SqliteStore::open_in_memory(crate::StoreClock::default()).unwrap();
    for n in 1..=20_i64 {
        let task = block_on(store.create_task(ticket(n.unsigned_abs()), Time(n))).unwrap().0.id;
        block_on(store.step(started(task))).unwrap();
        let (lane, worker) = (orch_core::effect::Lane::Forge, format!("w{n}"));
        let request = crate::ClaimRequest {
            lane,
            worker,
            now: Time(10 + n),
            lease_ms: n,
            share: crate::Share::default(),
            except: Vec::new(),
            terms: std::collections::BTreeMap::new(),
        };
        let job = block_on(store.claim(request)).unwrap().unwrap();
        assert_eq!(job.id.task, task);
    }
    let again = block_on(store.write(|c| {
        let mut again = Vec::new();
        for sql in [jobs::CLAIM, tasks::SAVE] {
            let statement = c.prepare_cached(sql)?;
            assert!(0 < statement.get_status(rusqlite::StatementStatus::Run), "this is not what was run: {sql}");
            again.push((statement.get_status(rusqlite::StatementStatus::RePrepare), sql));
        }
        Ok(again)
    }));
    let again: Vec<_> = again.unwrap().into_iter().filter(|(times, _)| 0 < *times).collect();
    assert!(again.is_empty(), "prepared again: {again:?}");
}
