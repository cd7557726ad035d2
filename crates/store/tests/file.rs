//! The database as a file: who may open it, what is refused and how, what survives.

// A story that cannot go on ends where it is.
#![allow(clippy::unwrap_used)]

use futures::executor::block_on;
use orch_core::ids::{TaskId, Time};
use orch_core::pipeline::Pipeline;
use orch_core::task::NewTask;
use orch_store::sqlite::OpenOptions;
use orch_store::{Evidence, Journal, Memory, Queue, SqliteStore, StoreError, TaskFilter, Tasks};
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

fn options(holder: &str) -> OpenOptions {
    OpenOptions { holder: holder.into(), ..OpenOptions::default() }
}
/// A child has the locks of this process until it has become another program; whoever opens meanwhile would find its own.
static SPAWNS: RwLock<()> = RwLock::new(());

fn open(path: &Path) -> Result<SqliteStore, StoreError> {
    let _nobody_is_born = SPAWNS.read().unwrap_or_else(PoisonError::into_inner);
    SqliteStore::open(path, options("a test"))
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
fn make(store: &SqliteStore, number: u64) -> TaskId {
    block_on(store.create_task(ticket(number), Time(1))).unwrap().0.id
}
fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
fn refused(path: &Path) -> StoreError {
    open(path).expect_err("it must be refused")
}

struct Place {
    _dir: tempfile::TempDir,
    path: PathBuf,
}

fn place() -> Place {
    let dir = tempfile::tempdir().unwrap();
    Place { path: dir.path().join("orch.db"), _dir: dir }
}

#[test]
fn the_second_owner_is_refused_and_told_who_has_it() {
    let p = place();
    let first = SqliteStore::open(&p.path, options("orch serve, since noon")).unwrap();
    // A link is another name of the same file, not another file.
    let link = p.path.with_file_name("link.db");
    std::os::unix::fs::symlink(&p.path, &link).unwrap();
    for path in [&p.path, &link] {
        let error = refused(path);
        let StoreError::Held { holder, .. } = &error else { panic!("{error}") };
        assert_eq!(*holder, format!("pid {}, orch serve, since noon", std::process::id()));
        assert!(error.to_string().contains("stop that process"), "{error}");
    }
    make(&first, 1);
    drop(first);
    let second = open(&p.path).expect("the first one has let go");
    assert!(block_on(second.task_by_item(&"DEMO-1".into())).unwrap().is_some());
}

#[test]
fn what_was_answered_survives_a_crash() {
    let p = place();
    let store = open(&p.path).unwrap();
    let ids: Vec<_> = (1..=50).map(|n| make(&store, n)).collect();
    // The files as a power cut would leave them: taken while the owner is still at work, never closed.
    let after = p.path.with_file_name("after.db");
    for end in ["", "-wal"] {
        let with = |path: &Path| PathBuf::from(format!("{}{end}", path.display()));
        std::fs::copy(with(&p.path), with(&after)).unwrap();
    }
    make(&store, 51);
    let found = open(&after).unwrap();
    let tasks = block_on(found.tasks(TaskFilter::default())).unwrap();
    assert_eq!(tasks.iter().rev().map(|t| t.id).collect::<Vec<_>>(), ids);
    block_on(found.check()).unwrap();
}

/// The test starts itself again as the process that is killed.
#[test]
fn a_killed_process_loses_nothing_it_acknowledged() {
    use std::io::{BufRead, BufReader};
    const CHILD: &str = "ORCH_TEST_CHILD_DB";
    if let Some(path) = std::env::var_os(CHILD) {
        let store = open(Path::new(&path)).unwrap();
        for n in 1.. {
            make(&store, n);
            println!("acknowledged {n}");
        }
    }
    let p = place();
    let spawns = SPAWNS.write().unwrap();
    let mut child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_killed_process_loses_nothing_it_acknowledged", "--nocapture"])
        .env(CHILD, &p.path)
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(spawns);
    let mut acknowledged = 0;
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        if let Some((_, n)) = line.unwrap().split_once("acknowledged ") {
            acknowledged = n.parse().unwrap();
            if acknowledged == 20 {
                assert!(matches!(refused(&p.path), StoreError::Held { .. }));
                child.kill().unwrap();
            }
        }
    }
    child.wait().unwrap();
    assert!(acknowledged >= 20);
    let store = open(&p.path).expect("the lock died with its owner");
    block_on(store.check()).unwrap();
    let found = block_on(store.tasks(TaskFilter::default())).unwrap().len() as u64;
    assert!(acknowledged <= found && found <= acknowledged + 1, "{acknowledged} acknowledged, {found} found");
}

#[test]
fn a_verb_that_was_sent_is_finished_before_the_file_is_closed() {
    let p = place();
    let store = open(&p.path).unwrap();
    for n in 0..100 {
        // The caller asks and goes away without waiting.
        let fact = orch_store::Fact::Circuit(format!("k{n}"));
        let mut asked = store.remember(&fact, "v", Time(1));
        let waker = futures::task::noop_waker();
        let _ = asked.as_mut().poll(&mut std::task::Context::from_waker(&waker));
    }
    drop(store);
    let again = open(&p.path).unwrap();
    assert_eq!(block_on(again.recall(&orch_store::Fact::Circuit("k99".into()))).unwrap().as_deref(), Some("v"));
}

#[test]
fn a_newer_file_is_refused_and_left_alone() {
    let p = place();
    drop(open(&p.path).unwrap());
    rusqlite::Connection::open(&p.path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let before = std::fs::read(&p.path).unwrap();
    let error = refused(&p.path);
    assert!(matches!(error, StoreError::Newer { found: 99, known: 8, .. }), "{error}");
    assert_eq!(std::fs::read(&p.path).unwrap(), before);
}

#[test]
fn a_strangers_file_is_refused_and_left_alone() {
    let p = place();
    rusqlite::Connection::open(&p.path).unwrap().execute_batch("CREATE TABLE theirs (x)").unwrap();
    let before = std::fs::read(&p.path).unwrap();
    let error = refused(&p.path);
    assert!(matches!(&error, StoreError::Unusable { detail, .. } if detail.contains("another program")), "{error}");
    assert_eq!(std::fs::read(&p.path).unwrap(), before);
    assert_eq!(names(p.path.parent().unwrap()), ["orch.db"], "no lock file is left beside it");
}

#[test]
fn a_damaged_file_is_refused_by_name() {
    let p = place();
    std::fs::write(&p.path, "this is no database ".repeat(100)).unwrap();
    let error = refused(&p.path);
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
    assert!(error.to_string().contains("orch.db") && error.to_string().contains("backup"), "{error}");

    let holed = p.path.with_file_name("holed.db");
    let store = open(&holed).unwrap();
    for n in 1..=50 {
        make(&store, n);
    }
    drop(store);
    let mut bytes = std::fs::read(&holed).unwrap();
    // Everything but the first page, so that the header still looks right.
    bytes[4096..].iter_mut().step_by(7).for_each(|b| *b = 0xA5);
    std::fs::write(&holed, &bytes).unwrap();
    let error = refused(&holed);
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
    assert_eq!(std::fs::read(&holed).unwrap(), bytes);
}

#[test]
fn of_a_large_file_only_what_work_begins_with_is_read_before_it_opens() {
    let p = place();
    let store = open(&p.path).unwrap();
    block_on(store.create_task(NewTask { body: "x".repeat(20_000_000), ..ticket(1) }, Time(1))).unwrap();
    drop(store);
    let root = |table: &str| -> usize {
        let c = rusqlite::Connection::open(&p.path).unwrap();
        let page: i64 =
            c.query_row("SELECT rootpage FROM sqlite_schema WHERE name = ?1", [table], |r| r.get(0)).unwrap();
        usize::try_from(page).unwrap()
    };
    let whole = std::fs::read(&p.path).unwrap();
    let hole = |page: usize| {
        let mut bytes = whole.clone();
        bytes[(page - 1) * 4096..page * 4096].fill(0xA5);
        std::fs::write(&p.path, &bytes).unwrap();
    };
    let (job, job_done) = (root("job"), root("job_done"));
    hole(job);
    assert!(matches!(refused(&p.path), StoreError::Corrupt { .. }));
    hole(job_done);
    assert!(
        matches!(SqliteStore::inspect(&p.path), Err(StoreError::Corrupt { .. })),
        "who looks at all of it finds it"
    );
    let store = open(&p.path).unwrap();
    assert!(matches!(block_on(store.check()), Err(StoreError::Corrupt { .. })));
}

#[test]
fn a_place_that_cannot_be_used_says_how_to_fix_it_and_stays_clean() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("file"), "x").unwrap();
    let below_a_file = dir.path().join("file").join("sub").join("orch.db");
    let error = refused(&below_a_file);
    assert!(matches!(&error, StoreError::Unusable { detail, .. } if detail.contains("[db] path")), "{error}");
    let nowhere = Path::new("/proc/orch-nowhere/orch.db");
    let error = refused(nowhere);
    assert!(matches!(&error, StoreError::Unusable { detail, .. } if detail.contains("[db] path")), "{error}");
    let a_directory = dir.path().join("made");
    std::fs::create_dir(&a_directory).unwrap();
    let error = refused(&a_directory);
    assert!(matches!(&error, StoreError::Unusable { detail, .. } if detail.contains("directory")), "{error}");
    assert_eq!(names(dir.path()), ["file", "made"]);
    assert_eq!(names(&a_directory), Vec::<String>::new());
}

#[test]
fn a_read_only_file_is_refused_with_the_fix() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let locked = dir.path().join("locked");
    std::fs::create_dir(&locked).unwrap();
    std::fs::set_permissions(&locked, std::fs::Permissions::from_mode(0o500)).unwrap();
    // The superuser may write anywhere: then there is nothing to refuse.
    if std::fs::write(locked.join("probe"), "").is_ok() {
        return;
    }
    let error = refused(&locked.join("orch.db"));
    assert!(matches!(&error, StoreError::Unusable { detail, .. } if detail.contains("writable")), "{error}");
    assert_eq!(names(&locked), Vec::<String>::new());
}

#[test]
fn missing_directories_are_made_for_this_user_alone() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("var").join("orch").join("orch.db");
    drop(open(&path).unwrap());
    for made in ["var", "var/orch"] {
        let mode = std::fs::metadata(dir.path().join(made)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700, "{made}");
    }
    assert_eq!(names(path.parent().unwrap()), ["orch.db", "orch.db.lock"], "closed cleanly: no WAL is left");
}

#[test]
fn a_backup_is_a_whole_database_and_overwrites_nothing() {
    let p = place();
    let store = open(&p.path).unwrap();
    make(&store, 1);
    let to = p.path.with_file_name("backup.db");
    block_on(store.backup(&to)).unwrap();
    make(&store, 2);
    let error = block_on(store.backup(&to)).unwrap_err();
    assert!(error.to_string().contains("exists already"), "{error}");
    assert!(block_on(store.backup(Path::new("/proc/nowhere/b.db"))).is_err());
    let copy = open(&to).unwrap();
    assert_eq!(block_on(copy.tasks(TaskFilter::default())).unwrap().len(), 1);
    block_on(copy.check()).unwrap();
}

/// Databases as earlier versions wrote them, with jobs in flight. Each is opened and read by every later version, field
/// by field, and gone on from.
#[test]
fn databases_of_earlier_versions_are_read_and_gone_on_from() {
    let versions = [
        (1, include_str!("data/version1.sql")),
        (2, include_str!("data/version2.sql")),
        (3, include_str!("data/version3.sql")),
        (4, include_str!("data/version4.sql")),
        (5, include_str!("data/version5.sql")),
        (6, include_str!("data/version6.sql")),
        (7, include_str!("data/version7.sql")),
    ];
    for (version, sql) in versions {
        let p = place();
        let c = rusqlite::Connection::open(&p.path).unwrap();
        c.execute_batch(sql).unwrap();
        drop(c);
        // What was promised in it has run out, whatever clock it was promised by.
        let copy = p.path.with_extension("copy");
        std::fs::copy(&p.path, &copy).unwrap();
        let hand = std::sync::Arc::new(std::sync::atomic::AtomicI64::new(3));
        let clock = orch_store::StoreClock::by_hand(&hand);
        let at = |path: &Path| {
            let options = OpenOptions { clock: clock.clone(), ..OpenOptions::default() };
            SqliteStore::open(path, options).unwrap()
        };
        assert_eq!(block_on(at(&copy).reap()).unwrap().len(), 1, "version {version}");
        let store = at(&p.path);
        block_on(store.check()).unwrap();
        let two = TaskFilter { closed: true, ..TaskFilter::default() };
        let tasks: Vec<_> = block_on(store.tasks(two)).unwrap().into_iter().filter(|t| t.number <= 2).collect();
        let words: Vec<_> = tasks.iter().map(|t| (t.work_item.to_string(), t.phase_word())).collect();
        assert_eq!(words, [("DEMO-2".to_owned(), "waiting_for_lease"), ("DEMO-1".to_owned(), "preparing_merge")]);
        let leases = block_on(store.leases()).unwrap();
        assert_eq!((leases.len(), leases[0].task, leases[0].epoch), (1, Some(tasks[1].id), 1));
        assert_eq!(block_on(store.pending_inbox(10)).unwrap().len(), 1);
        let open_jobs = block_on(store.open_jobs(None)).unwrap();
        let running: Vec<_> = open_jobs.iter().filter(|j| j.state == orch_store::JobState::Running).collect();
        assert_eq!(running.len(), 1);
        let parked: Vec<_> = open_jobs.iter().filter_map(|j| Some((j.deaths, j.parked.as_deref()?))).collect();
        assert_eq!(parked, if version == 1 { vec![] } else { vec![(1, "forge:DEMO")] });
        assert!(!block_on(store.journal(None, 0, 100)).unwrap().is_empty());
        let counts = block_on(store.counts(Time(i64::MAX))).unwrap();
        assert_eq!(counts.done as usize, block_on(store.recent_jobs(100)).unwrap().len());
        let id = tasks[1].id;
        assert_eq!(block_on(store.judgements(id)).unwrap().len(), 1);
        assert_eq!(block_on(store.artefacts(id)).unwrap().len(), 1);
        assert_eq!(block_on(store.runs(id)).unwrap().len(), 1);
        let production = orch_core::ids::Environment::Production;
        assert_eq!(block_on(store.deployments(&"DEMO".into(), production, 5)).unwrap().len(), 1);
        assert_eq!(block_on(store.recall(&orch_store::Fact::Draining)).unwrap().as_deref(), Some("no"));
        // And it goes on from there: what was in flight is taken over, and the merge under way keeps its lease.
        let taken = block_on(store.recover("me", 1000)).unwrap();
        assert_eq!(taken.iter().map(|r| r.job).collect::<Vec<_>>(), [running[0].id]);
        hand.fetch_add(1_000, std::sync::atomic::Ordering::SeqCst);
        assert_eq!(block_on(store.reclaim_leases()).unwrap(), [], "for a full time");
        hand.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        assert_eq!(block_on(store.reclaim_leases()).unwrap().len(), 1);
    }
}

/// Everything that version 5 kept under keys of its own has an owner now, and is found again.
#[test]
fn settings_of_version_5_are_facts_with_an_owner() {
    use orch_store::Fact;
    let p = place();
    let c = rusqlite::Connection::open(&p.path).unwrap();
    c.execute_batch(include_str!("data/version5.sql")).unwrap();
    let project = || orch_core::ids::ProjectKey::new("DEMO");
    let one = orch_core::ids::TaskId(1);
    let green = Fact::GreenCi { project: project(), code: "c0de".into(), command: "11aa".into() };
    let kept = [
        ("security/fingerprint-key", Fact::FingerprintKey),
        ("retention/bodies", Fact::BodiesDropped),
        ("retention/evidence", Fact::EvidenceDropped),
        ("people/DEMO", Fact::People(project())),
        ("tracker-cursor/DEMO", Fact::TrackerCursor(project())),
        ("numbers/DEMO", Fact::NumbersGiven(project())),
        ("restored/DEMO", Fact::Restored(project())),
        ("main/DEMO", Fact::Main(project())),
        ("main/DEMO/1", Fact::MainMove(project(), 1)),
        ("main/DEMO/12", Fact::MainMove(project(), 12)),
        ("ci/DEMO/c0de/11aa", green),
        ("ticket/DEMO/7", Fact::TicketSeen(project(), 7)),
        ("ticket-id/DEMO/7", Fact::TicketId(project(), 7)),
        ("pushed/1/feature/DEMO-1-a/b", Fact::Pushed(one, "feature/DEMO-1-a/b".into())),
        ("restored-asked/DEMO-1/abc", Fact::DeployAsked(one, orch_core::ids::Sha::new("abc"))),
        ("circuit/forge:DEMO", Fact::Circuit("forge:DEMO".into())),
    ];
    for (key, _) in &kept {
        c.execute("INSERT INTO setting VALUES (?1, ?1)", [key]).unwrap();
    }
    // Of a task that is not there, and of a version that nobody knows.
    c.execute("INSERT INTO setting VALUES ('pushed/99/x', 'y'), ('who knows', 'what')", []).unwrap();
    drop(c);
    let store = open(&p.path).unwrap();
    for (key, fact) in &kept {
        assert_eq!(block_on(store.recall(fact)).unwrap().as_deref(), Some(*key));
    }
    assert_eq!(block_on(store.recall(&Fact::Draining)).unwrap().as_deref(), Some("no"));
}

/// What runs of agents have cost counts on, to the millionth; one that is under way has its row, and no command has one.
#[test]
fn what_was_spent_and_what_is_under_way_is_brought_over_to_version_7() {
    use orch_core::ids::{Seq, TaskId, Time};
    use orch_store::Whose;
    let p = place();
    let c = rusqlite::Connection::open(&p.path).unwrap();
    c.execute_batch(include_str!("data/version6.sql")).unwrap();
    c.execute("DELETE FROM run", []).unwrap();
    let run = "INSERT INTO run (task, job, attempt, dir, what, model, started, ended, cost_usd, body) \
               VALUES (1, ?1, ?2, ?3, 'x', NULL, ?4, ?5, ?6, '{}')";
    let row = |job: Seq, attempt: u32, started: i64, ended: Option<i64>, cost: f64| {
        let dir = format!("runs/1-{job}-{attempt}");
        c.execute(run, rusqlite::params![job, attempt, dir, started, ended, cost]).unwrap();
    };
    row(70, 1, 10, Some(11), 0.1);
    row(70, 2, 20, Some(21), 0.2);
    row(71, 1, 30, Some(31), 0.0);
    // An agent that is at work, and a command that is.
    c.execute_batch(
        "INSERT INTO job (task, seq, project, lane, effect, kind, state, epoch, attempts, max_attempts, transient_attempts, \
         run_attempt, available_at, stop, created_at) SELECT 1, n, 'DEMO', 'agent', '{}', kind, 'queued', 1, 0, 2, 0, 1, 1, 0, 1 \
         FROM (SELECT 72 AS n, 'run_agent' AS kind UNION SELECT 73, 'ensure_ci')",
    )
    .unwrap();
    row(72, 1, 40, None, 0.0);
    row(73, 1, 50, None, 0.0);
    drop(c);
    let store = open(&p.path).unwrap();
    let spent = |from| block_on(store.spending(Whose::Task(TaskId(1)), Time(from))).unwrap().spent_micro_usd;
    assert_eq!((spent(0), spent(20), spent(21)), (300_000, 200_000, 0));
    drop(store);
    let c = rusqlite::Connection::open(&p.path).unwrap();
    let open: i64 = c
        .query_row("SELECT group_concat(job) FROM spend WHERE cost IS NULL", [], |r| r.get::<_, String>(0))
        .unwrap()
        .parse()
        .unwrap();
    assert_eq!(open, 72);
}

/// Tasks in every kind of trouble, as version 5 stored them, are the same tasks in the groups of version 6.
#[test]
fn tasks_of_version_5_are_the_same_tasks_in_groups() {
    let stored: Vec<serde_json::Value> = serde_json::from_str(include_str!("data/tasks_of_version5.json")).unwrap();
    let mut same: Vec<orch_core::task::Task> =
        serde_json::from_str(include_str!("../../core/tests/wire/task.json")).unwrap();
    // No task of that version lands a person's branch.
    same.retain(|task| task.branch.source.is_none());
    // Kinds that came later are at the end.
    assert!(9 == stored.len() && stored.len() <= same.len());
    for (stored, mut same) in stored.into_iter().zip(same) {
        let p = place();
        let c = rusqlite::Connection::open(&p.path).unwrap();
        c.execute_batch(include_str!("data/version5.sql")).unwrap();
        c.execute("UPDATE task SET body = ?1 WHERE number = 1", [stored.to_string()]).unwrap();
        drop(c);
        let read = block_on(open(&p.path).unwrap().task_by_item(&"DEMO-1".into())).unwrap().unwrap();
        same.pipeline = std::sync::Arc::clone(&read.pipeline);
        assert_eq!(read, same, "{stored:#}");
    }
}

/// One row that nobody can read keeps no other from being brought over to a newer version.
#[test]
fn a_row_that_cannot_be_read_stays_and_the_others_are_brought_over() {
    let p = place();
    let c = rusqlite::Connection::open(&p.path).unwrap();
    c.execute_batch(include_str!("data/version4.sql")).unwrap();
    c.execute("UPDATE task SET body = '{oops' WHERE number = 1", []).unwrap();
    drop(c);
    let store = open(&p.path).unwrap();
    let read = |item: &str| block_on(store.task_by_item(&item.into()));
    assert_eq!(read("DEMO-2").unwrap().unwrap().phase_word(), "waiting_for_lease");
    assert!(matches!(read("DEMO-1"), Err(StoreError::Bug(_))), "{:?}", read("DEMO-1"));
}

/// A version that knows more has left jobs behind that this one does not know: of another kind, of another lane, or with
/// something in them nobody here has heard of. They are kept and told, nobody waits behind them, and the next start looks
/// again.
#[test]
fn jobs_of_unknown_kinds_are_kept_and_stop_nobody() {
    use orch_core::effect::Lane;
    let p = place();
    let now = Time(9);
    let started = |store: &SqliteStore, number| {
        let task = make(store, number);
        let request = orch_store::StepRequest {
            task,
            cause: orch_store::Cause::Engine,
            event: orch_core::event::Event::Started { by: "local:anna".into() },
            policy: orch_core::policy::Policy { approvers: vec!["local:anna".into()], ..Default::default() },
            now: Time(2),
            worker: "w".into(),
            lease_ttl_ms: 1000,
        };
        block_on(store.step(request)).unwrap();
        task
    };
    let claim = |store: &SqliteStore, lane| {
        let worker = "w".to_owned();
        block_on(store.claim(orch_store::ClaimRequest {
            lane,
            worker,
            now,
            lease_ms: 1,
            share: orch_store::Share::default(),
            except: Vec::new(),
            terms: std::collections::BTreeMap::new(),
        }))
        .unwrap()
    };
    let store = open(&p.path).unwrap();
    let (odd, plain) = (started(&store, 1), started(&store, 2));
    drop(store);
    let c = rusqlite::Connection::open(&p.path).unwrap();
    let edit = |sql: &str| c.execute(sql, []).unwrap();
    edit(
        "UPDATE job SET kind = 'teleport', effect = '{\"effect\":\"teleport\",\"to\":\"moon\"}' WHERE task = 1 AND seq = 1",
    );
    edit(
        "INSERT INTO job SELECT 77, task, 77, project, 'warp', effect, kind, NULL, NULL, 'queued', 0, 0, 2, 0, 1, 2, NULL, \
         NULL, 0, NULL, 2, NULL, 0, NULL, 0 FROM job WHERE task = 1 AND seq = 1",
    );
    drop(c);

    let store = open(&p.path).unwrap();
    let mine = claim(&store, Lane::Forge).expect("the one behind it can be claimed");
    assert_eq!(mine.id.task, plain);
    assert_eq!(claim(&store, Lane::Forge), None);
    let unknown = block_on(store.unknown_jobs()).unwrap();
    let told: Vec<_> = unknown.iter().map(|u| (u.id.task, u.id.seq, u.kind.as_str())).collect();
    assert_eq!(told, [(odd, 1, "teleport"), (odd, 77, "teleport")]);
    assert!(unknown[0].why.contains("teleport"), "{}", unknown[0].why);
    assert_eq!(block_on(store.job(unknown[0].id)).unwrap(), None);
    assert!(block_on(store.open_jobs(None)).unwrap().iter().all(|j| j.id.seq != 77));
    assert!(!block_on(store.running_jobs()).unwrap().is_empty());
    drop(store);

    // The version that knows it is back.
    let c = rusqlite::Connection::open(&p.path).unwrap();
    let open_branch =
        "UPDATE job SET kind = 'open_branch', effect = '{\"effect\":\"open_branch\"}' WHERE task = 1 AND seq = 1";
    assert_eq!(c.execute(open_branch, []).unwrap(), 1, "the row is still there");
    drop(c);
    let store = open(&p.path).unwrap();
    block_on(store.recover("w", 1000)).unwrap();
    let job = claim(&store, Lane::Forge).expect("it is looked at again");
    assert_eq!((job.id.task, job.epoch, job.attempts, job.parked), (odd, 1, 0, None));
}

/// A file has one owner at a time: what the last one was promised has run out when the next one opens it, whatever the
/// clocks of the two machines, or of two boots of one, say.
#[test]
fn the_clock_of_a_file_goes_on_behind_what_was_promised_before() {
    use orch_store::contract::world::{LEASE_MS, TTL_MS, World};
    use std::sync::{Arc, atomic::AtomicI64};
    let p = place();
    let world = |boot_ms: i64| {
        let hand = Arc::new(AtomicI64::new(boot_ms));
        let clock = orch_store::StoreClock::by_hand(&hand);
        let options = OpenOptions { clock, ..OpenOptions::default() };
        World::new(Arc::new(SqliteStore::open(&p.path, options).unwrap()), hand)
    };
    let mut first = world(900_000_000);
    let task = first.started("DEMO", 1);
    first.go_to(task, "preparing_merge");
    let job = first.claim_of(task);
    drop(first);
    // The machine restarted: its own clock begins anew, far below.
    let mut second = world(7);
    assert_eq!(block_on(second.store.reap()).unwrap().iter().map(|r| r.job).collect::<Vec<_>>(), [job.id]);
    assert_eq!(block_on(second.store.reclaim_leases()).unwrap().len(), 1);
    second.worker = "w2".into();
    let other = second.create("SHOP", 1, orch_core::pipeline::Pipeline::lite());
    let started = orch_core::event::Event::Started { by: "local:anna".into() };
    second.step(other, orch_store::Cause::Engine, started);
    second.go_to(other, "preparing_merge");
    let again = second.claim_of(other);
    second.pass_ms(LEASE_MS);
    assert_eq!(block_on(second.store.reap()).unwrap(), [], "a claim of today has its full time");
    assert_eq!(second.beat(again.fence()), orch_store::Beat::Held);
    drop(second);
    // An owner that takes over at once keeps the merge under way, for a full time.
    let mut third = world(0);
    assert_eq!(block_on(third.store.recover("w3", TTL_MS)).unwrap().len(), 1);
    third.pass_ms(TTL_MS);
    assert_eq!(block_on(third.store.reclaim_leases()).unwrap(), []);
    third.pass_ms(1);
    assert_eq!(block_on(third.store.reclaim_leases()).unwrap().len(), 1);
}
