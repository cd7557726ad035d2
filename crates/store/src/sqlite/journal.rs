//! The inbox (what is to be stepped, once) and the journal (what was stepped, for ever). Both are written in the
//! transaction of the step, so that neither can say something the task does not.

use super::sql::{Db, all, json, one, parse, run};
use crate::rows::{Dealt, InboxRow, JournalRow};
use crate::tx::Entry;
use orch_core::event::Event;
use orch_core::ids::{Actor, StageId, TaskId, Time, WorkItem};
use rusqlite::{Connection, Row, params};

/// Events nobody has stepped.
pub(super) const PENDING: &str =
    "SELECT id, source, task, event, at FROM inbox WHERE done_at IS NULL ORDER BY id LIMIT ?1";

/// `None`: it was there before, stepped or not.
pub(super) fn put(c: &Connection, source: &str, key: &str, task: TaskId, event: &Event, at: Time) -> Db<Option<i64>> {
    one(
        c,
        "INSERT INTO inbox (source, key, task, event, at) VALUES (?1, ?2, ?3, ?4, ?5) \
         ON CONFLICT (source, key) DO NOTHING RETURNING id",
        params![source, key, task.0, json(event)?, at.0],
        |row| Ok(row.get(0)?),
    )
}

/// What became of a row.
pub(super) const DEALT: &str = "SELECT id, done_at IS NULL, note FROM inbox WHERE source = ?1 AND key = ?2";

pub(super) fn dealt(c: &Connection, source: &str, key: &str) -> Db<Option<Dealt>> {
    one(c, DEALT, params![source, key], |row| {
        Ok(match (row.get(1)?, row.get(2)?) {
            (true, _) => Dealt::Waits(row.get(0)?),
            (false, Some(why)) => Dealt::Ignored(why),
            (false, None) => Dealt::Taken,
        })
    })
}

/// Ticks a row off; `false` if it is not there, not this task's, or ticked off before.
pub(super) fn tick(c: &Connection, id: i64, task: TaskId, now: Time) -> Db<bool> {
    let sql = "UPDATE inbox SET done_at = ?3 WHERE id = ?1 AND task = ?2 AND done_at IS NULL";
    Ok(run(c, sql, params![id, task.0, now.0])? == 1)
}

/// Says at the row why nothing came of it.
pub(super) fn note(c: &Connection, id: i64, why: &str) -> Db<()> {
    run(c, "UPDATE inbox SET note = ?2 WHERE id = ?1", params![id, why])?;
    Ok(())
}

pub(super) fn pending(c: &Connection, limit: u32) -> Db<Vec<InboxRow>> {
    all(c, PENDING, [limit], |row| {
        Ok(InboxRow {
            id: row.get(0)?,
            source: row.get(1)?,
            task: TaskId(row.get(2)?),
            event: parse("event", &row.get::<_, String>(3)?)?,
            at: Time(row.get(4)?),
        })
    })
}

/// Writes what became of an event.
pub(super) fn keep(c: &Connection, entry: &Entry<'_>) -> Db<()> {
    let Entry { task, event, ignored, story, at } = *entry;
    run(
        c,
        "INSERT INTO journal (task, item, at, name, event, actor, ignored, story, stage, phase) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        params![
            task.id.0,
            task.work_item.as_str(),
            at.0,
            event.name(),
            json(event)?,
            event.actor().map(Actor::as_str),
            ignored,
            json(&story)?,
            task.stage().as_str(),
            task.phase_word()
        ],
    )?;
    Ok(())
}

macro_rules! columns {
    () => {
        "id, task, item, at, name, actor, ignored, story, stage, phase"
    };
}

fn row(row: &Row<'_>) -> Db<JournalRow> {
    Ok(JournalRow {
        id: row.get(0)?,
        task: TaskId(row.get(1)?),
        work_item: WorkItem::new(row.get::<_, String>(2)?),
        at: Time(row.get(3)?),
        event: row.get(4)?,
        actor: row.get::<_, Option<String>>(5)?.map(Actor::new),
        ignored: row.get(6)?,
        story: parse("story", &row.get::<_, String>(7)?)?,
        stage: StageId::new(row.get::<_, String>(8)?),
        phase: row.get(9)?,
    })
}

pub(super) fn rows(c: &Connection, task: Option<TaskId>, after: i64, limit: u32) -> Db<Vec<JournalRow>> {
    match task {
        None => {
            let sql = concat!("SELECT ", columns!(), " FROM journal WHERE id > ?1 ORDER BY id LIMIT ?2");
            all(c, sql, params![after, limit], row)
        }
        Some(task) => {
            let sql = concat!("SELECT ", columns!(), " FROM journal WHERE task = ?1 AND id > ?2 ORDER BY id LIMIT ?3");
            all(c, sql, params![task.0, after, limit], row)
        }
    }
}

/// The newest id.
pub(super) fn head(c: &Connection) -> Db<i64> {
    let newest = one(c, "SELECT max(id) FROM journal", [], |row| Ok(row.get::<_, Option<i64>>(0)?))?;
    Ok(newest.flatten().unwrap_or(0))
}

/// The newest rows of a task that say something to people, newest first.
pub(super) fn tail(c: &Connection, task: TaskId, limit: u32) -> Db<Vec<JournalRow>> {
    let sql = concat!(
        "SELECT ",
        columns!(),
        " FROM journal WHERE task = ?1 AND (story <> '[]' OR (ignored IS NOT NULL AND actor IS NOT NULL)) ",
        "ORDER BY id DESC LIMIT ?2"
    );
    all(c, sql, params![task.0, limit], row)
}
