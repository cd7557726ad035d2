//! Rows of merge leases; the column `project` names the repository, by the key of the first project that has it. What is
//! done with them is decided in `crate::lease`.

use super::sql::{Db, all, one, run};
use crate::rows::LeaseRow;
use crate::tx::{Holder, Lease};
use orch_core::ids::{ProjectKey, TaskId, Time, WorkItem};
use rusqlite::{Connection, Row, params};

macro_rules! columns {
    () => {
        "l.epoch, l.holder_task, t.item, l.branch, l.worker, l.expires_ms, l.taken_at"
    };
}

fn read(row: &Row<'_>, from: usize) -> Db<Lease> {
    let epoch = row.get::<_, i64>(from)? as u64;
    let Some(task) = row.get::<_, Option<i64>>(from + 1)? else { return Ok(Lease { epoch, holder: None }) };
    let holder = Holder {
        task: TaskId(task),
        item: WorkItem::new(row.get::<_, String>(from + 2)?),
        branch: row.get(from + 3)?,
        worker: row.get(from + 4)?,
        until_ms: row.get(from + 5)?,
        taken_at: Time(row.get(from + 6)?),
    };
    Ok(Lease { epoch, holder: Some(holder) })
}

pub(super) fn load(c: &Connection, project: &ProjectKey) -> Db<Option<Lease>> {
    let sql =
        concat!("SELECT ", columns!(), " FROM lease l LEFT JOIN task t ON t.id = l.holder_task WHERE l.project = ?1");
    one(c, sql, [project.as_str()], |row| read(row, 0))
}

pub(super) fn held(c: &Connection) -> Db<Vec<(ProjectKey, Lease)>> {
    let sql = concat!(
        "SELECT l.project, ",
        columns!(),
        " FROM lease l JOIN task t ON t.id = l.holder_task ORDER BY l.project"
    );
    all(c, sql, [], |row| Ok((ProjectKey::new(row.get::<_, String>(0)?), read(row, 1)?)))
}

pub(super) fn save(c: &Connection, project: &ProjectKey, lease: &Lease) -> Db<()> {
    let h = lease.holder.as_ref();
    run(
        c,
        "INSERT INTO lease (project, epoch, holder_task, branch, worker, expires_ms, taken_at) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (project) DO UPDATE SET epoch = excluded.epoch, \
         holder_task = excluded.holder_task, branch = excluded.branch, worker = excluded.worker, \
         expires_ms = excluded.expires_ms, taken_at = excluded.taken_at",
        params![
            project.as_str(),
            lease.epoch as i64,
            h.map(|h| h.task.0),
            h.map(|h| &h.branch),
            h.map(|h| &h.worker),
            h.map(|h| h.until_ms),
            h.map(|h| h.taken_at.0)
        ],
    )?;
    Ok(())
}

pub(super) fn list(c: &Connection) -> Db<Vec<LeaseRow>> {
    let sql = concat!(
        "SELECT l.project, ",
        columns!(),
        " FROM lease l LEFT JOIN task t ON t.id = l.holder_task ORDER BY l.project"
    );
    all(c, sql, [], |row| Ok(LeaseRow::of(ProjectKey::new(row.get::<_, String>(0)?), read(row, 1)?)))
}
