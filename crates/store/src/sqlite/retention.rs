//! What ends in the database, and the numbers people have in what leaves it. Decides which rows may go: those of tasks that
//! are over, and of events that were dealt with. Tasks, jobs, the journal, runs and deployments stay.

use super::sql::{Db, all, one, run};
use orch_core::ids::{TaskId, Time};
use rusqlite::{Connection, params};

/// Tasks that are over, by when they changed last.
pub(super) const CLOSED: &str = "SELECT id, updated_at FROM task WHERE open = 0 AND updated_at >= ?1 AND updated_at <= ?3 \
     AND (updated_at > ?1 OR id > ?2) ORDER BY updated_at, id LIMIT ?4";

pub(super) fn closed_between(
    c: &Connection,
    (at, id): (Time, TaskId),
    until: Time,
    limit: u32,
) -> Db<Vec<(TaskId, Time)>> {
    all(c, CLOSED, params![at.0, id.0, until.0, limit], |row| Ok((TaskId(row.get(0)?), Time(row.get(1)?))))
}

pub(super) fn drop_evidence(c: &Connection, task: TaskId) -> Db<u64> {
    let over = "task = ?1 AND EXISTS (SELECT 1 FROM task t WHERE t.id = ?1 AND t.open = 0)";
    let judgements = run(c, &format!("DELETE FROM judgement WHERE {over}"), [task.0])?;
    let artefacts = run(c, &format!("DELETE FROM artefact WHERE {over}"), [task.0])?;
    run(c, &format!("DELETE FROM of_task WHERE {over}"), [task.0])?;
    Ok((judgements + artefacts) as u64)
}

pub(super) fn drop_bodies(c: &Connection, after: i64, until: Time, limit: u32) -> Db<i64> {
    let sql = "SELECT id, coalesce(done_at, ?2 + 1) > ?2 FROM inbox WHERE id > ?1 ORDER BY id LIMIT ?3";
    let rows = all(c, sql, params![after, until.0, limit], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, bool>(1)?)))?;
    // Up to the first that is too young or not dealt with: it is looked at again.
    let done: Vec<i64> = rows.into_iter().take_while(|(_, stays)| !stays).map(|(id, _)| id).collect();
    let Some(last) = done.last().copied() else { return Ok(after) };
    run(c, "UPDATE inbox SET event = '' WHERE id > ?1 AND id <= ?2", params![after, last])?;
    Ok(last)
}

pub(super) fn person_ids(c: &Connection, names: Vec<String>) -> Db<Vec<(String, i64)>> {
    let mut found = Vec::new();
    for name in names {
        run(c, "INSERT INTO person (name) VALUES (?1) ON CONFLICT DO NOTHING", [&name])?;
        let id = one(c, "SELECT id FROM person WHERE name = ?1", [&name], |row| Ok(row.get::<_, i64>(0)?))?;
        found.extend(id.map(|id| (name, id)));
    }
    Ok(found)
}
