//! The merge lease of a project: one holder, an epoch that grows with every taking, and a time to live on the boot
//! clock. A lease is never taken from a holder whose merge has an unknown outcome, however old it is: the tree that
//! lands would not be the one that was tested.

use super::sql::{Db, DbError, all, one, run};
use super::tasks;
use crate::rows::LeaseRow;
use orch_core::decide::LeaseView;
use orch_core::ids::{ProjectKey, TaskId, Time, WorkItem};
use orch_core::lease::{Hold, hold};
use orch_core::task::Task;
use orch_ports::clock::BootTime;
use rusqlite::{Connection, params};

/// What `decide` sees of a project's lease.
pub(super) fn view(c: &Connection, project: &ProjectKey) -> Db<LeaseView> {
    let sql = "SELECT l.epoch, l.holder_task, t.item FROM lease l LEFT JOIN task t ON t.id = l.holder_task \
               WHERE l.project = ?1";
    let found = one(c, sql, [project.as_str()], |row| {
        let task: Option<i64> = row.get(1)?;
        let item: Option<String> = row.get(2)?;
        let holder = task.zip(item).map(|(task, item)| (TaskId(task), WorkItem::new(item)));
        Ok(LeaseView { epoch: row.get::<_, i64>(0)? as u64, holder })
    })?;
    Ok(found.unwrap_or_default())
}

/// The task takes a free lease.
pub(super) fn take(c: &Connection, task: &Task, boot: &BootTime, ttl_ms: i64, now: Time) -> Db<()> {
    let taken = run(
        c,
        "INSERT INTO lease (project, epoch, holder_task, branch, pid, boot_id, expires_ms, taken_at) \
         VALUES (?1, 1, ?2, ?3, ?4, ?5, ?6, ?7) \
         ON CONFLICT (project) DO UPDATE SET epoch = epoch + 1, holder_task = excluded.holder_task, \
         branch = excluded.branch, pid = excluded.pid, boot_id = excluded.boot_id, \
         expires_ms = excluded.expires_ms, taken_at = excluded.taken_at WHERE holder_task IS NULL",
        params![
            task.project.as_str(),
            task.id.0,
            task.branch,
            std::process::id(),
            &*boot.boot_id,
            boot.ms.saturating_add(ttl_ms),
            now.0
        ],
    )?;
    if taken == 1 {
        return Ok(());
    }
    Err(DbError::bug(format!("{} takes the merge lease of {}, which is not free", task.work_item, task.project)))
}

/// The task gives it back; those who wait for it. Nothing happens if it is not the holder.
pub(super) fn free(c: &Connection, project: &ProjectKey, task: TaskId) -> Db<Vec<TaskId>> {
    let freed = run(
        c,
        "UPDATE lease SET holder_task = NULL, branch = NULL, pid = NULL, boot_id = NULL, expires_ms = NULL, \
         taken_at = NULL WHERE project = ?1 AND holder_task = ?2",
        params![project.as_str(), task.0],
    )?;
    if freed == 0 { Ok(Vec::new()) } else { tasks::waiters(c, project) }
}

/// The holder lives; nothing happens to anyone else's lease.
pub(super) fn renew(c: &Connection, project: &ProjectKey, task: TaskId, boot: &BootTime, ttl_ms: i64) -> Db<()> {
    run(
        c,
        "UPDATE lease SET boot_id = ?3, expires_ms = ?4, pid = ?5 WHERE project = ?1 AND holder_task = ?2",
        params![project.as_str(), task.0, &*boot.boot_id, boot.ms.saturating_add(ttl_ms), std::process::id()],
    )?;
    Ok(())
}

/// A held lease: whose it is, which process took or renewed it, and when it ends by which boot's clock.
struct Held {
    project: ProjectKey,
    task: Task,
    pid: Option<u32>,
    boot_id: String,
    expires_ms: i64,
}

fn held(c: &Connection) -> Db<Vec<Held>> {
    let sql = "SELECT project, holder_task, pid, boot_id, expires_ms FROM lease WHERE holder_task IS NOT NULL";
    all(c, sql, [], |row| {
        Ok(Held {
            project: ProjectKey::new(row.get::<_, String>(0)?),
            task: tasks::need(c, TaskId(row.get(1)?))?,
            pid: row.get(2)?,
            boot_id: row.get(3)?,
            expires_ms: row.get(4)?,
        })
    })
}

/// A new owner of the database takes over the leases of merges that are still going on.
pub(super) fn adopt(c: &Connection, boot: &BootTime, ttl_ms: i64) -> Db<()> {
    for Held { project, task, .. } in held(c)? {
        if hold(&task, task.updated_at) != Hold::Free {
            renew(c, &project, task.id, boot, ttl_ms)?;
        }
    }
    Ok(())
}

/// A lease that was freed: whose repository, who lost it, who waits for it.
type Lost = (ProjectKey, Option<WorkItem>, Vec<TaskId>);

/// Frees what was not renewed, and what another process took: a database has one owner at a time, so that one is dead.
pub(super) fn reclaim(c: &Connection, boot: &BootTime) -> Db<Vec<Lost>> {
    let mut lost = Vec::new();
    for Held { project, task, pid, boot_id, expires_ms } in held(c)? {
        let dead = pid != Some(std::process::id()) || *boot_id != *boot.boot_id;
        if (dead || expires_ms < boot.ms) && !hold(&task, task.updated_at).outlasts_its_time() {
            let waiters = free(c, &project, task.id)?;
            lost.push((project, Some(task.work_item), waiters));
        }
    }
    Ok(lost)
}

pub(super) fn list(c: &Connection) -> Db<Vec<LeaseRow>> {
    let sql = "SELECT l.project, l.epoch, t.item, l.holder_task, l.branch, l.pid, l.taken_at \
               FROM lease l LEFT JOIN task t ON t.id = l.holder_task ORDER BY l.project";
    all(c, sql, [], |row| {
        Ok(LeaseRow {
            project: ProjectKey::new(row.get::<_, String>(0)?),
            epoch: row.get::<_, i64>(1)? as u64,
            holder: row.get::<_, Option<String>>(2)?.map(WorkItem::new),
            task: row.get::<_, Option<i64>>(3)?.map(TaskId),
            branch: row.get(4)?,
            pid: row.get(5)?,
            taken_at: row.get::<_, Option<i64>>(6)?.map(Time),
        })
    })
}

pub(super) fn holds(c: &Connection, task: TaskId, epoch: u64) -> Db<bool> {
    let sql = "SELECT 1 FROM lease l JOIN task t ON t.project = l.project \
               WHERE t.id = ?1 AND l.holder_task = ?1 AND l.epoch = ?2";
    Ok(one(c, sql, params![task.0, epoch as i64], |_| Ok(()))?.is_some())
}
