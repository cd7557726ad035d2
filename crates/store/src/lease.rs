//! The merge lease of a project: one holder, an epoch that grows with every taking, and a time to live on the boot clock.
//! Written once, for every store; which task keeps it is decided by `orch_core::lease`. A lease is never taken from a
//! holder whose merge has an unknown outcome, however old it is: the tree that lands would not be the one that was tested.

use crate::tx::{Holder, Lease, Tx, bug, need};
use orch_core::decide::LeaseView;
use orch_core::ids::{ProjectKey, TaskId, Time, WorkItem};
use orch_core::lease::{Hold, hold};
use orch_core::task::Task;
use orch_ports::clock::BootTime;

/// What `decide` sees of a project's lease.
pub(crate) fn view<T: Tx>(tx: &mut T, project: &ProjectKey) -> Result<LeaseView, T::Error> {
    let lease = tx.lease(project)?.unwrap_or_default();
    Ok(LeaseView { epoch: lease.epoch, holder: lease.holder.map(|h| (h.task, h.item)) })
}

/// The task takes a free lease.
pub(crate) fn take<T: Tx>(
    tx: &mut T,
    task: &Task,
    boot: &BootTime,
    lease_ttl_ms: i64,
    now: Time,
) -> Result<(), T::Error> {
    let lease = tx.lease(&task.project)?.unwrap_or_default();
    if lease.holder.is_some() {
        return Err(bug(format!("{} takes the merge lease of {}, which is not free", task.work_item, task.project)));
    }
    let holder = Holder {
        task: task.id,
        item: task.work_item.clone(),
        branch: task.branch.clone(),
        pid: std::process::id(),
        boot_id: boot.boot_id.to_string(),
        until_ms: boot.ms.saturating_add(lease_ttl_ms),
        taken_at: now,
    };
    tx.save_lease(&task.project, &Lease { epoch: lease.epoch + 1, holder: Some(holder) })
}

/// The task gives it back; those who wait for it. Nothing happens if it is not the holder.
pub(crate) fn free<T: Tx>(tx: &mut T, project: &ProjectKey, task: TaskId) -> Result<Vec<TaskId>, T::Error> {
    match tx.lease(project)? {
        Some(lease) if lease.holder.as_ref().is_some_and(|h| h.task == task) => {
            tx.save_lease(project, &Lease { holder: None, ..lease })?;
            tx.waiters(project)
        }
        Some(_) | None => Ok(Vec::new()),
    }
}

/// The holder lives; nothing happens to another task's lease.
pub(crate) fn renew<T: Tx>(
    tx: &mut T,
    project: &ProjectKey,
    task: TaskId,
    boot: &BootTime,
    lease_ttl_ms: i64,
) -> Result<(), T::Error> {
    let Some(Lease { epoch, holder: Some(holder) }) = tx.lease(project)? else { return Ok(()) };
    if holder.task != task {
        return Ok(());
    }
    let (pid, boot_id, until_ms) = (std::process::id(), boot.boot_id.to_string(), boot.ms.saturating_add(lease_ttl_ms));
    tx.save_lease(project, &Lease { epoch, holder: Some(Holder { pid, boot_id, until_ms, ..holder }) })
}

/// Renews the leases of tasks that still need them, for the process that works on them.
pub fn renew_all<T: Tx>(tx: &mut T, boot: &BootTime, lease_ttl_ms: i64) -> Result<(), T::Error> {
    for (project, lease) in tx.held_leases()? {
        let Some(holder) = lease.holder else { continue };
        let task = need(tx, holder.task)?;
        if hold(&task, task.updated_at) != Hold::Free {
            renew(tx, &project, task.id, boot, lease_ttl_ms)?;
        }
    }
    Ok(())
}

/// A lease that was freed: whose repository, who lost it, who waits for it.
pub type Lost = (ProjectKey, Option<WorkItem>, Vec<TaskId>);

/// Frees what was not renewed, and what another process took: a database has one owner at a time, so that one is dead.
pub fn reclaim<T: Tx>(tx: &mut T, boot: &BootTime) -> Result<Vec<Lost>, T::Error> {
    let mut lost = Vec::new();
    for (project, lease) in tx.held_leases()? {
        let Some(holder) = lease.holder else { continue };
        let dead = holder.pid != std::process::id() || *holder.boot_id != *boot.boot_id;
        let task = need(tx, holder.task)?;
        if (dead || holder.until_ms < boot.ms) && !hold(&task, task.updated_at).outlasts_its_time() {
            let waiters = free(tx, &project, task.id)?;
            lost.push((project, Some(task.work_item), waiters));
        }
    }
    Ok(lost)
}

/// Does this task hold its project's merge lease under this epoch?
pub fn holds<T: Tx>(tx: &mut T, task: TaskId, epoch: u64) -> Result<bool, T::Error> {
    let Some(task) = tx.task(task)? else { return Ok(false) };
    let lease = tx.lease(&task.project)?.unwrap_or_default();
    Ok(lease.epoch == epoch && lease.holder.is_some_and(|h| h.task == task.id))
}
