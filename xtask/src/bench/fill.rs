//! A database as it is after years: a million finished jobs, ten thousand open ones. A few tasks live their lives in the
//! real store; their rows are multiplied with SQL, so that every row is one the store wrote and can read.

use super::life;
use anyhow::{Context, Result};
use orch_core::effect::{Effect, Lane, Outcome};
use orch_core::event::Event;
use orch_core::ids::TaskId;
use orch_core::pipeline::Pipeline;
use orch_core::verdict::Verdict;
use orch_ports::agent::Usage;
use orch_store::sqlite::OpenOptions;
use orch_store::{Cause, Evidence, Job, Judgement, Queue, RunRow, SqliteStore, Tasks};
use rusqlite::Connection;
use std::path::Path;

/// Finished jobs.
pub(super) const FINISHED: i64 = 1_000_000;
/// Open tasks, with an open job each.
pub(super) const OPEN: i64 = 10_000;
/// Claims of a process that is gone.
pub(super) const IN_FLIGHT: i64 = 64;
/// Tasks that are multiplied.
const MODELS: u64 = 8;
/// Key of their project. No configuration knows it: nothing is really done for them.
const PROJECT: &str = "BIG";
/// Far enough away that no measurement meets it, and not so far that it would be taken for a wrong clock.
const LATER_MS: i64 = 15 * 60_000;

/// Makes the database, every time: what waits in it waits for a time that comes.
pub(super) async fn ensure(path: &Path) -> Result<()> {
    for end in ["", "-wal", "-shm"] {
        let mut name = path.to_owned().into_os_string();
        name.push(end);
        let _ = std::fs::remove_file(name);
    }
    let part = path.with_extension("part");
    for end in ["", "-wal", "-shm", ".lock"] {
        let mut name = part.clone().into_os_string();
        name.push(end);
        let _ = std::fs::remove_file(name);
    }
    models(&part).await?;
    multiply(&part)?;
    std::fs::rename(&part, path).context("put the big database in its place")
}

/// The lives that are multiplied: `MODELS` that are done, and one that stands before its first gate.
async fn models(path: &Path) -> Result<()> {
    let store = SqliteStore::open(path, OpenOptions::default())?;
    for number in 1..=MODELS {
        life::begin(&store, PROJECT, number, Pipeline::full()).await?;
        loop {
            let mut claimed = None;
            for lane in Lane::ALL {
                claimed = store.claim(life::claim(*lane, "w")).await?;
                if claimed.is_some() {
                    break;
                }
            }
            let Some(job) = claimed else { break };
            evidence(&store, &job).await?;
            store.step(life::settle(&job)).await?;
        }
    }
    let (task, _) = life::begin(&store, PROJECT, MODELS + 1, Pipeline::full()).await?;
    for lane in [Lane::Forge, Lane::Agent, Lane::Forge] {
        let job = store.claim(life::claim(lane, "w")).await?.context("the model's next job is not there")?;
        store.step(life::settle(&job)).await?;
    }
    let open = store.open_jobs(Some(task)).await?;
    anyhow::ensure!(open.iter().any(|j| j.lane == Lane::Gate), "the model does not stand before a gate: {open:?}");
    // Its ticket is written; then the gate is all there is to do.
    while let Some(job) = store.claim(life::claim(Lane::Message, "w")).await? {
        let event = Event::JobEnded { job: job.id.seq, outcome: Outcome::Sent };
        store.step(life::step(task, Cause::Job(job.fence()), event)).await?;
    }
    let left = store.open_jobs(None).await?;
    anyhow::ensure!(left.len() == 1, "more than the model's gate is left to do: {left:?}");
    Ok(())
}

/// What executors keep beside the job.
async fn evidence(store: &SqliteStore, job: &Job) -> Result<()> {
    let task = store.task(job.id.task).await?.context("a job without a task")?;
    match &job.effect {
        Effect::Judge { gate, stage, head, .. } => {
            let judgement = Judgement {
                task: task.id,
                gate: *gate,
                stage: stage.clone(),
                job: job.id.seq,
                head: head.clone(),
                key: head.to_string(),
                verdict: Verdict::Pass,
                mode: "enforce".into(),
                evidence: serde_json::json!({ "looked_at": head, "found": "everything that was asked for" }),
                reused: false,
                at: life::now(),
                took_ms: 3,
            };
            anyhow::ensure!(store.put_judgement(job.fence(), judgement).await?, "a judgement was fenced off");
        }
        Effect::RunAgent { role, stage, .. } => {
            let run = RunRow {
                task: task.id,
                job: job.id.seq,
                attempt: 1,
                what: role.clone().into(),
                program: "scripted".into(),
                stage: stage.clone(),
                dir: format!("{}-1", job.id),
                revision: None,
                started: life::now(),
                ended: Some(life::now()),
                end: Some("exit 0".into()),
                ok: Some(true),
                usage: Usage::default(),
                model: None,
                session: None,
                summary: Some("Did what the ticket asks for.".into()),
                class: None,
                version: None,
                sandbox: None,
            };
            anyhow::ensure!(store.put_run(job.fence(), run).await?, "a run was fenced off");
        }
        _ => {}
    }
    Ok(())
}

/// Columns of a table without its row id.
fn columns(c: &Connection, table: &str) -> Result<Vec<String>> {
    let mut statement = c.prepare(&format!("SELECT name FROM pragma_table_info('{table}') WHERE name <> 'id'"))?;
    Ok(statement.query_map([], |r| r.get(0))?.collect::<rusqlite::Result<_>>()?)
}

fn multiply(path: &Path) -> Result<()> {
    let c = Connection::open(path)?;
    c.pragma_update(None, "synchronous", "OFF")?;
    c.pragma_update(None, "cache_size", -200_000)?;
    let models = MODELS as i64;
    let jobs: i64 = c.query_row("SELECT count(*) FROM job_done WHERE task <= ?1", [models], |r| r.get(0))?;
    let times = FINISHED / jobs + 1;
    let all = c.unchecked_transaction()?;
    // The open one first, and then away with it: its number is needed. The newest tasks are the open ones, as in life.
    let open = TaskId(models + 1);
    let last_closed = models * times;
    tasks(&all, "t.id = ?1", [open.0], &format!("{last_closed} + n.i"), 1, OPEN)?;
    for table in ["job", "job_done", "journal"] {
        rows(&all, table, "t.task = ?1", [open.0], &format!("{last_closed} + n.i"), 1, OPEN)?;
    }
    for table in ["job", "job_done", "journal"] {
        all.execute(&format!("DELETE FROM {table} WHERE task = ?1"), [open.0])?;
    }
    all.execute("DELETE FROM task WHERE id = ?1", [open.0])?;
    tasks(&all, "t.id <= ?1", [models], &format!("t.id + n.i * {models}"), 1, times - 1)?;
    for table in ["job_done", "journal", "judgement", "run"] {
        rows(&all, table, "t.task <= ?1", [models], &format!("t.task + n.i * {models}"), 1, times - 1)?;
    }
    all.execute("UPDATE job SET available_at = created_at + ?1", [LATER_MS])?;
    all.execute("UPDATE task SET wake_at = wake_at + ?1 WHERE wake_at IS NOT NULL", [LATER_MS])?;
    all.execute("UPDATE counter SET n = (SELECT count(*) FROM job_done WHERE state = counter.name)", [])?;
    all.commit()?;
    c.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    Ok(())
}

const NUMBERS: &str = "WITH RECURSIVE n(i) AS (SELECT ?2 UNION ALL SELECT i + 1 FROM n WHERE i < ?3)";

/// Copies tasks under new ids; the value says the same id as its columns.
fn tasks(c: &Connection, which: &str, p: [i64; 1], id: &str, from: i64, to: i64) -> Result<()> {
    let sql = format!(
        "{NUMBERS} INSERT INTO task (id, project, number, item, stage, phase, open, wake_at, waits_lease, body, updated_at) \
         SELECT {id}, project, {id}, project || '-' || ({id}), stage, phase, open, wake_at, waits_lease, \
         json_set(body, '$.id', {id}, '$.number', {id}, '$.work_item', project || '-' || ({id})), updated_at \
         FROM n CROSS JOIN task t WHERE {which}"
    );
    c.execute(&sql, [p[0], from, to])?;
    Ok(())
}

/// Copies rows of tasks under their new ids.
fn rows(c: &Connection, table: &str, which: &str, p: [i64; 1], id: &str, from: i64, to: i64) -> Result<()> {
    let names = columns(c, table)?;
    let values: Vec<String> = names
        .iter()
        .map(|name| match name.as_str() {
            "task" => id.to_owned(),
            "item" => format!("'{PROJECT}-' || ({id})"),
            name => format!("t.{name}"),
        })
        .collect();
    let sql = format!(
        "{NUMBERS} INSERT INTO {table} ({}) SELECT {} FROM n CROSS JOIN {table} t WHERE {which}",
        names.join(", "),
        values.join(", ")
    );
    c.execute(&sql, [p[0], from, to])?;
    Ok(())
}

/// Lets some jobs look claimed by a process that is gone, and the rest as the database was made.
pub(super) fn put_in_flight(path: &Path) -> Result<()> {
    let c = Connection::open(path)?;
    c.busy_timeout(std::time::Duration::from_secs(10))?;
    c.execute(
        "UPDATE job SET state = 'running', worker = 'gone', lease_ms = 1, claimed_at = created_at, \
         epoch = epoch + 1 WHERE id IN (SELECT id FROM job WHERE state = 'queued' AND kind = 'judge' ORDER BY id DESC LIMIT ?1)",
        [IN_FLIGHT],
    )?;
    Ok(())
}

/// How many jobs that process still holds.
pub(super) fn in_flight(c: &Connection) -> Result<i64> {
    let sql = "SELECT count(*) FROM job INDEXED BY job_running WHERE state = 'running' AND worker = 'gone'";
    Ok(c.prepare_cached(sql)?.query_row([], |r| r.get(0))?)
}
