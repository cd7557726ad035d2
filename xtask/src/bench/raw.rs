//! The bare engine: the same rows, the same two commits per job, the same pragmas, on one connection of this process and
//! without any of the store. Every row is a copy of one the real store wrote for the same job, so that both sides move
//! the same bytes.

use super::life;
use anyhow::{Context, Result};
use orch_core::pipeline::Pipeline;
use orch_store::sqlite::OpenOptions;
use orch_store::{Queue, SqliteStore, Tasks};
use rusqlite::types::Value;
use rusqlite::{Connection, OpenFlags, params_from_iter};
use std::path::Path;

type Row = Vec<Value>;

const TASK: &str = "stage, phase, open, wake_at, waits_lease, body, updated_at";
const JOURNAL: &str = "item, at, name, event, actor, ignored, story, stage, phase";
const JOB: &str = "project, lane, effect, kind, exclusive, coalesce, state, epoch, attempts, max_attempts, \
     transient_attempts, run_attempt, available_at, stop, created_at";
/// Place of the exclusive key among them.
const EXCLUSIVE: usize = 4;

/// What the store wrote for one job.
pub(super) struct Shape {
    lane: String,
    outcome: String,
    task: Row,
    journal: Vec<Row>,
    jobs: Vec<Row>,
}

/// A whole life as it was written.
pub(super) struct Recording {
    task: Row,
    first: Vec<Row>,
    shapes: Vec<Shape>,
}

fn rows(c: &Connection, sql: &str, p: impl rusqlite::Params) -> Result<Vec<Row>> {
    let mut statement = c.prepare_cached(sql)?;
    let width = statement.column_count();
    let read = |row: &rusqlite::Row<'_>| (0..width).map(|i| row.get(i)).collect();
    Ok(statement.query_map(p, read)?.collect::<rusqlite::Result<Vec<Row>>>()?)
}

/// Lets one task live in a store of its own and copies every row that is written.
pub(super) async fn record(path: &Path, pipeline: Pipeline) -> Result<Recording> {
    let store = SqliteStore::open(path, OpenOptions::default())?;
    let look = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let (task, mut lane) = life::begin(&store, "RAW", 1, pipeline).await?;
    let newest = |table: &str| -> Result<i64> {
        Ok(look.query_row(&format!("SELECT coalesce(max(id), 0) FROM {table}"), [], |r| r.get(0))?)
    };
    let jobs = |over: i64| {
        rows(&look, &format!("SELECT {JOB} FROM job WHERE task = ?1 AND seq > ?2 ORDER BY seq"), [task.0, over])
    };
    let row =
        || Ok::<_, anyhow::Error>(rows(&look, &format!("SELECT {TASK} FROM task WHERE id = ?1"), [task.0])?.remove(0));
    let first = jobs(0)?;
    let mut recording = Recording { task: row()?, first, shapes: Vec::new() };
    let mut last_seq = recording.first.len() as i64;
    loop {
        let journal = newest("journal")?;
        let job = store.claim(life::claim(lane, "w")).await?.context("the job that was just made is not there")?;
        let stepped = store.step(life::settle(&job)).await?;
        let Some(next) = life::next_lane(&stepped) else { break };
        let made = jobs(last_seq)?;
        last_seq += made.len() as i64;
        recording.shapes.push(Shape {
            lane: lane.as_str().into(),
            outcome: look.query_row("SELECT outcome FROM job_done ORDER BY id DESC LIMIT 1", [], |r| r.get(0))?,
            task: row()?,
            journal: rows(&look, &format!("SELECT {JOURNAL} FROM journal WHERE id > ?1 ORDER BY id"), [journal])?,
            jobs: made,
        });
        lane = next;
    }
    Ok(recording)
}

/// Where one of its tasks stands.
#[derive(Clone, Copy)]
struct Place {
    seq: i64,
    at: usize,
}

/// One connection that does what a store does for jobs, for so many tasks side by side.
pub(super) struct Raw {
    c: Connection,
    life: Recording,
    /// By task; the id of the first is 1. One that has ended makes room for the next one's start.
    tasks: Vec<Place>,
    open: Vec<usize>,
}

impl Raw {
    /// A database with the store's schema and pragmas.
    pub(super) fn open(path: &Path, life: Recording, side_by_side: usize) -> Result<Self> {
        // The store makes it, so that the schema is the real one.
        drop(SqliteStore::open(path, OpenOptions::default())?);
        let c = Connection::open(path)?;
        c.set_prepared_statement_cache_capacity(64);
        for (name, value) in [("journal_mode", "WAL"), ("synchronous", "FULL"), ("foreign_keys", "ON")] {
            c.pragma_update_and_check(None, name, value, |_| Ok(())).or_else(|e| match e {
                rusqlite::Error::QueryReturnedNoRows => Ok(()),
                other => Err(other),
            })?;
        }
        c.pragma_update_and_check(None, "journal_size_limit", 64 * 1024 * 1024, |_| Ok(()))?;
        let mut raw = Self { c, life, tasks: Vec::new(), open: Vec::new() };
        for _ in 0..side_by_side {
            let task = raw.new_task()?;
            raw.open.push(task);
        }
        Ok(raw)
    }

    fn exec(&self, sql: &str, p: impl rusqlite::Params) -> Result<usize> {
        Ok(self.c.prepare_cached(sql)?.execute(p)?)
    }

    fn insert_jobs(&self, task: usize, after: i64, rows: &[Row]) -> Result<()> {
        let sql = format!(
            "INSERT INTO job (task, seq, {JOB}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, \
             ?16, ?17)"
        );
        for (n, row) in rows.iter().enumerate() {
            let head = [Value::Integer(task as i64), Value::Integer(after + 1 + n as i64)];
            let mut row = row.clone();
            if let Some(Value::Text(exclusive)) = row.get_mut(EXCLUSIVE) {
                // Tasks side by side are of different projects.
                exclusive.push_str(&task.to_string());
            }
            self.exec(&sql, params_from_iter(head.iter().chain(&row)))?;
        }
        Ok(())
    }

    /// A task and its first jobs.
    fn new_task(&mut self) -> Result<usize> {
        self.tasks.push(Place { seq: self.life.first.len() as i64, at: 0 });
        let task = self.tasks.len();
        self.exec(
            &format!(
                "INSERT INTO task (id, project, number, item, {TASK}) \
                 VALUES (?1, 'RAW', ?1, 'RAW-' || ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)"
            ),
            params_from_iter([&Value::Integer(task as i64)].into_iter().chain(&self.life.task)),
        )?;
        self.insert_jobs(task, 0, &self.life.first)?;
        Ok(task)
    }

    /// Tasks that came to their end are replaced: not part of what is measured.
    pub(super) fn prepare(&mut self) -> Result<()> {
        for i in 0..self.open.len() {
            let task = self.open[i];
            if self.tasks[task - 1].at == self.life.shapes.len() {
                // What is left of the old one would be claimed before the new one's.
                self.exec("DELETE FROM job WHERE task = ?1 AND lane <> 'message'", [task as i64])?;
                self.open[i] = self.new_task()?;
            }
        }
        Ok(())
    }

    pub(super) fn begin(&self) -> Result<()> {
        self.exec("BEGIN IMMEDIATE", []).map(drop)
    }
    pub(super) fn commit(&self) -> Result<()> {
        self.exec("COMMIT", []).map(drop)
    }

    /// Claims as many jobs as there are tasks.
    pub(super) fn claim(&self) -> Result<Vec<(i64, i64)>> {
        let now = life::now().0;
        let sql = "UPDATE job SET state = 'running', epoch = epoch + 1, worker = 'w', lease_ms = 30000, \
                   claimed_at = ?1 WHERE id = (SELECT id FROM job WHERE state = 'queued' AND lane = ?2 AND available_at <= ?1 \
                   ORDER BY available_at, id LIMIT 1) RETURNING task, seq, effect";
        let mut claimed = Vec::new();
        for task in &self.open {
            let lane = &self.life.shapes[self.tasks[task - 1].at].lane;
            let mut statement = self.c.prepare_cached(sql)?;
            let mut rows = statement.query(rusqlite::params![now, lane])?;
            let row = rows.next()?.context("there is no job to claim")?;
            let _effect: String = row.get(2)?;
            claimed.push((row.get(0)?, row.get(1)?));
            // The statement must run to its end, or the row is not changed.
            anyhow::ensure!(rows.next()?.is_none(), "two jobs were claimed");
        }
        Ok(claimed)
    }

    /// Ends one: the finished row, the counter, the task, the journal, the next job.
    pub(super) fn finish(&mut self, (task, seq): (i64, i64)) -> Result<()> {
        let place = self.tasks[task as usize - 1];
        let shape = &self.life.shapes[place.at];
        self.exec(
            "INSERT INTO job_done (task, seq, project, lane, effect, kind, state, epoch, attempts, max_attempts, \
             transient_attempts, run_attempt, available_at, worker, stop, last_fault, created_at, claimed_at, finished_at, \
             outcome) SELECT task, seq, project, lane, effect, kind, 'done', epoch, attempts, max_attempts, \
             transient_attempts, run_attempt, available_at, worker, stop, last_fault, created_at, claimed_at, ?3, ?4 \
             FROM job WHERE task = ?1 AND seq = ?2",
            rusqlite::params![task, seq, life::now().0, shape.outcome],
        )?;
        self.exec("DELETE FROM job WHERE task = ?1 AND seq = ?2", [task, seq])?;
        self.exec("UPDATE counter SET n = n + 1 WHERE name = 'done'", [])?;
        self.exec(
            "UPDATE task SET stage = ?2, phase = ?3, open = ?4, wake_at = ?5, waits_lease = ?6, body = ?7, updated_at = ?8 \
             WHERE id = ?1",
            params_from_iter([&Value::Integer(task)].into_iter().chain(&shape.task)),
        )?;
        for row in &shape.journal {
            let sql = format!("INSERT INTO journal (task, {JOURNAL}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)");
            self.exec(&sql, params_from_iter([&Value::Integer(task)].into_iter().chain(row)))?;
        }
        self.insert_jobs(task as usize, place.seq, &shape.jobs)?;
        let seq = place.seq + shape.jobs.len() as i64;
        self.tasks[task as usize - 1] = Place { seq, at: place.at + 1 };
        Ok(())
    }
}
