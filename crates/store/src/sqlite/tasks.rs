//! Rows of tasks: the value itself as JSON, and beside it only what a query has to find it by. The columns are derived
//! from the value at every save, so they can never say something else. Its pipeline never changes and has a row of its own.

use super::sql::{Db, DbError, all, json, one, parse, run};
use super::{jobs, spends};
use crate::rows::{Standing, TaskFilter, Whose};
use orch_core::ids::{JobId, ProjectKey, Seq, TaskId, Time, WorkItem};
use orch_core::pipeline::Pipeline;
use orch_core::task::{NewTask, Phase, Task, WaitReason};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row, params};
use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;

/// Tasks whose timer has come.
pub(super) const DUE: &str = "SELECT id FROM task WHERE wake_at IS NOT NULL AND wake_at <= ?1 ORDER BY wake_at";
/// Tasks that wait for the lease of a repository, in any order. Few wait for any.
pub(super) const WAITERS: &str = "SELECT id FROM task INDEXED BY task_waits \
     WHERE waits_lease = 1 AND coalesce(body ->> '$.repository', project) = ?1";
/// The next timer.
pub(super) const NEXT_TIMER: &str = "SELECT wake_at FROM task WHERE wake_at IS NOT NULL ORDER BY wake_at LIMIT 1";
/// The next job that was put off. Its time may have passed: then its lane is busy, and nothing has to wake for it.
pub(super) const NEXT_DELAYED: &str = "SELECT available_at FROM job \
     WHERE state = 'queued' AND available_at > created_at ORDER BY available_at LIMIT 1";

/// Writes a task: the value, and the columns derived from it.
pub(super) const SAVE: &str = "UPDATE task SET stage = ?2, phase = ?3, open = ?4, wake_at = ?5, waits_lease = ?6, \
     body = ?7, updated_at = ?8 WHERE id = ?1";

/// Projects with open tasks: from one to the next, however many tasks each has.
pub(super) const OPEN_PROJECTS: &str = "WITH RECURSIVE open (project) AS (SELECT min(project) FROM task WHERE open = 1 \
     UNION ALL SELECT (SELECT min(t.project) FROM task t WHERE t.open = 1 AND t.project > open.project) \
     FROM open WHERE open.project IS NOT NULL) SELECT project FROM open WHERE project IS NOT NULL";

pub(super) fn open_projects(c: &Connection) -> Db<Vec<ProjectKey>> {
    all(c, OPEN_PROJECTS, [], |row| Ok(ProjectKey::new(row.get::<_, String>(0)?)))
}

pub(super) fn highest_number(c: &Connection, project: &ProjectKey) -> Db<u64> {
    let highest = "SELECT coalesce(max(number), 0) FROM task WHERE project = ?1";
    Ok(one(c, highest, [project.as_str()], |row| Ok(row.get::<_, i64>(0)? as u64))?.unwrap_or(0))
}

/// Where tasks are read with their pipelines.
macro_rules! tasks {
    ($rest:literal) => {
        concat!("SELECT t.body, p.body FROM task t LEFT JOIN pipeline p ON p.id = t.pipeline ", $rest)
    };
}

thread_local! {
    /// Pipelines this thread has read, by their text: a few, and the same for nearly every task.
    static PIPELINES: RefCell<HashMap<Box<str>, Arc<Pipeline>>> = RefCell::default();
}
/// Most of them that are kept.
const KNOWN_PIPELINES: usize = 64;

fn pipeline(text: &str) -> Db<Arc<Pipeline>> {
    if let Some(known) = PIPELINES.with_borrow(|all| all.get(text).map(Arc::clone)) {
        return Ok(known);
    }
    let read: Arc<Pipeline> = Arc::new(parse("pipeline", text)?);
    PIPELINES.with_borrow_mut(|all| {
        if KNOWN_PIPELINES <= all.len() {
            all.clear();
        }
        all.insert(text.into(), Arc::clone(&read));
    });
    Ok(read)
}

fn body(row: &Row<'_>) -> Db<Task> {
    let text = |column: usize| row.get_ref(column)?.as_str().map_err(rusqlite::Error::from);
    let mut task: Task = parse("task", text(0)?)?;
    if row.get_ref(1)? == ValueRef::Null {
        return Err(DbError::bug(format!("the stored task {} has no pipeline", task.work_item)));
    }
    task.pipeline = pipeline(text(1)?)?;
    Ok(task)
}
fn id(row: &Row<'_>) -> Db<TaskId> {
    Ok(TaskId(row.get(0)?))
}

pub(super) fn load(c: &Connection, task: TaskId) -> Db<Option<Task>> {
    one(c, tasks!("WHERE t.id = ?1"), [task.0], body)
}

pub(super) fn by_ticket(c: &Connection, project: &ProjectKey, number: u64) -> Db<Option<Task>> {
    let sql = tasks!("WHERE t.project = ?1 AND t.number = ?2");
    one(c, sql, params![project.as_str(), number as i64], body)
}

pub(super) fn by_item(c: &Connection, item: &WorkItem) -> Db<Option<Task>> {
    one(c, tasks!("WHERE t.item = ?1"), [item.as_str()], body)
}

/// Adds a task under the next id.
pub(super) fn add(c: &Connection, new: NewTask, now: Time) -> Db<Task> {
    let number = new.number as i64;
    // Tasks are never deleted, so the next number is never a used one.
    let next = one(c, "SELECT coalesce(max(id), 0) + 1 FROM task", [], id)?.unwrap_or(TaskId(1));
    let task = new.into_task(next, now);
    let pipeline = json(&task.pipeline)?;
    run(c, "INSERT INTO pipeline (body) VALUES (?1) ON CONFLICT DO NOTHING", [&pipeline])?;
    run(
        c,
        "INSERT INTO task (id, project, number, item, stage, phase, open, wake_at, waits_lease, body, updated_at, pipeline) \
         VALUES (?1, ?2, ?3, ?4, '', '', 1, NULL, 0, '', 0, (SELECT id FROM pipeline WHERE body = ?5))",
        params![task.id.0, task.project.as_str(), number, task.work_item.as_str(), pipeline],
    )?;
    save(c, &task)?;
    Ok(task)
}

/// Pipelines are kept by content: those of other tasks stay as they are.
pub(super) fn set_pipeline(c: &Connection, task: &Task) -> Db<()> {
    let body = json(&task.pipeline)?;
    run(c, "INSERT INTO pipeline (body) VALUES (?1) ON CONFLICT DO NOTHING", [&body])?;
    let sql = "UPDATE task SET pipeline = (SELECT id FROM pipeline WHERE body = ?2) WHERE id = ?1";
    run(c, sql, params![task.id.0, body])?;
    Ok(())
}

pub(super) fn save(c: &Connection, task: &Task) -> Db<()> {
    let waits = matches!(task.phase, Phase::Waiting { why: WaitReason::Lease { .. }, .. });
    let changed = run(
        c,
        SAVE,
        params![
            task.id.0,
            task.stage().as_str(),
            task.phase_word(),
            !task.is_closed(),
            task.wake_at().map(|t| t.0),
            waits,
            json(task)?,
            task.updated_at.0
        ],
    )?;
    if changed == 1 { Ok(()) } else { Err(DbError::bug(format!("there is no task {}", task.id))) }
}

pub(super) fn list(c: &Connection, filter: &TaskFilter) -> Db<Vec<Task>> {
    let mut sql = tasks!("WHERE t.id < ?1").to_owned();
    let before = filter.before.map_or(i64::MAX, |t| t.0);
    let limit = if filter.limit == 0 { -1 } else { i64::from(filter.limit) };
    let mut values: Vec<Box<dyn rusqlite::ToSql>> = vec![Box::new(before), Box::new(limit)];
    let mut only = |column: &str, value: &str| {
        values.push(Box::new(value.to_owned()));
        let _ = write!(sql, " AND t.{column} = ?{}", values.len());
    };
    if let Some(project) = &filter.project {
        only("project", project.as_str());
    }
    if let Some(stage) = &filter.stage {
        only("stage", stage);
    }
    if !filter.closed {
        sql.push_str(" AND t.open = 1");
    }
    if !filter.phases.is_empty() {
        let phases: Vec<String> = filter.phases.iter().map(|p| format!("'{p}'")).collect();
        let _ = write!(sql, " AND t.phase IN ({})", phases.join(", "));
    }
    sql.push_str(" ORDER BY t.id DESC LIMIT ?2");
    all(c, &sql, rusqlite::params_from_iter(values), body)
}

pub(super) fn overviews(c: &Connection, filter: &TaskFilter) -> Db<Vec<(Task, Standing)>> {
    let mut found = Vec::new();
    for task in list(c, filter)? {
        let standing = standing(c, task.id, task.job())?;
        found.push((task, standing));
    }
    Ok(found)
}

pub(super) fn standing(c: &Connection, task: TaskId, job: Option<Seq>) -> Db<Standing> {
    let sql = "SELECT count(*) FROM run WHERE task = ?1";
    let runs = one(c, sql, [task.0], |row| Ok(row.get::<_, i64>(0)?.unsigned_abs()))?.unwrap_or(0);
    let cost = spends::sums(c, &Whose::Task(task), Time(i64::MIN))?;
    let job = job.map(|seq| jobs::any(c, JobId { task, seq })).transpose()?.flatten();
    Ok(Standing { job, runs, cost })
}

pub(super) fn open_by_stage(c: &Connection) -> Db<Vec<(String, u64)>> {
    let sql = "SELECT stage, count(*) FROM task WHERE open = 1 GROUP BY stage ORDER BY stage";
    all(c, sql, [], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?.unsigned_abs())))
}

pub(super) fn due(c: &Connection, now: Time) -> Db<Vec<TaskId>> {
    all(c, DUE, [now.0], id)
}

pub(super) fn waiters(c: &Connection, repository: &ProjectKey) -> Db<Vec<TaskId>> {
    let mut waiting = all(c, WAITERS, [repository.as_str()], id)?;
    waiting.sort_unstable();
    Ok(waiting)
}

pub(super) fn next_wake(c: &Connection) -> Db<Option<Time>> {
    let time = |row: &Row<'_>| Ok(Time(row.get(0)?));
    let timer = one(c, NEXT_TIMER, [], time)?;
    let job = one(c, NEXT_DELAYED, [], time)?;
    Ok(match (timer, job) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    })
}
