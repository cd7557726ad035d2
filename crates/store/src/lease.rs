//! The merge lease of a repository, which is named by the key of the first project that has it: one holder, an epoch that
//! grows with every taking, and a time to live on the store's clock. Written once, for every store; which task keeps it is
//! decided by `orch_core::lease`. A lease is never taken from a holder whose merge has an unknown outcome, however old it
//! is: the tree that lands would not be the one that was tested.

use crate::tx::{Holder, Lease, Tx, bug, need};
use orch_core::decide::LeaseView;
use orch_core::ids::{ProjectKey, TaskId, Time, WorkItem};
use orch_core::lease::{Held, Hold, hold};
use orch_core::task::Task;

/// What `decide` sees of a repository's lease.
pub(crate) fn view<T: Tx>(tx: &mut T, repository: &ProjectKey) -> Result<LeaseView, T::Error> {
    let lease = tx.lease(repository)?.unwrap_or_default();
    Ok(LeaseView { epoch: lease.epoch, holder: lease.holder.map(|h| (h.task, h.item)) })
}

/// The task takes a free lease.
pub(crate) fn take<T: Tx>(tx: &mut T, task: &Task, worker: &str, lease_ttl_ms: i64, now: Time) -> Result<(), T::Error> {
    let lease = tx.lease(task.repository())?.unwrap_or_default();
    if lease.holder.is_some() {
        return Err(bug(format!(
            "{} takes the merge lease of {}, which is not free",
            task.work_item,
            task.repository()
        )));
    }
    let holder = Holder {
        task: task.id,
        item: task.work_item.clone(),
        branch: task.branch.name.clone(),
        worker: worker.to_owned(),
        until_ms: tx.now_ms().saturating_add(lease_ttl_ms),
        taken_at: now,
    };
    tx.save_lease(task.repository(), &Lease { epoch: lease.epoch + 1, holder: Some(holder) })
}

/// The task gives it back; those who wait for it. Nothing happens if it is not the holder.
pub(crate) fn free<T: Tx>(tx: &mut T, repository: &ProjectKey, task: TaskId) -> Result<Vec<TaskId>, T::Error> {
    match tx.lease(repository)? {
        Some(lease) if lease.holder.as_ref().is_some_and(|h| h.task == task) => {
            tx.save_lease(repository, &Lease { holder: None, ..lease })?;
            tx.waiters(repository)
        }
        Some(_) | None => Ok(Vec::new()),
    }
}

/// The holder lives; nothing happens to another task's lease.
pub(crate) fn renew<T: Tx>(
    tx: &mut T,
    repository: &ProjectKey,
    task: TaskId,
    worker: &str,
    lease_ttl_ms: i64,
) -> Result<(), T::Error> {
    let Some(Lease { epoch, holder: Some(holder) }) = tx.lease(repository)? else { return Ok(()) };
    if holder.task != task {
        return Ok(());
    }
    let (worker, until_ms) = (worker.to_owned(), tx.now_ms().saturating_add(lease_ttl_ms));
    tx.save_lease(repository, &Lease { epoch, holder: Some(Holder { worker, until_ms, ..holder }) })
}

/// Renews the leases this worker holds for tasks that still need them.
pub fn renew_own<T: Tx>(tx: &mut T, worker: &str, lease_ttl_ms: i64) -> Result<(), T::Error> {
    for (repository, lease) in tx.held_leases()? {
        let Some(holder) = lease.holder.filter(|h| h.worker == worker) else { continue };
        let task = need(tx, holder.task)?;
        if hold(&task, task.updated_at) != Hold::Free {
            renew(tx, &repository, task.id, worker, lease_ttl_ms)?;
        }
    }
    Ok(())
}

/// Every other worker is known to be dead: what tasks still need is this worker's for a full time, the rest runs out now.
pub fn take_from_others<T: Tx>(tx: &mut T, worker: &str, lease_ttl_ms: i64) -> Result<(), T::Error> {
    for (repository, Lease { epoch, holder }) in tx.held_leases()? {
        let Some(holder) = holder else { continue };
        let task = need(tx, holder.task)?;
        let lives_ms = if hold(&task, task.updated_at) == Hold::Free { -1 } else { lease_ttl_ms };
        let until_ms = tx.now_ms().saturating_add(lives_ms);
        let holder = Some(Holder { worker: worker.to_owned(), until_ms, ..holder });
        tx.save_lease(&repository, &Lease { epoch, holder })?;
    }
    Ok(())
}

/// A lease that was freed: whose repository, who lost it, who waits for it.
pub type Lost = (ProjectKey, Option<WorkItem>, Vec<TaskId>);

/// Frees what was not renewed in time, whoever held it.
pub fn reclaim<T: Tx>(tx: &mut T) -> Result<Vec<Lost>, T::Error> {
    let mut lost = Vec::new();
    for (repository, lease) in tx.held_leases()? {
        let Some(holder) = lease.holder.filter(|h| h.until_ms < tx.now_ms()) else { continue };
        let task = need(tx, holder.task)?;
        if !hold(&task, task.updated_at).outlasts_its_time() {
            let waiters = free(tx, &repository, task.id)?;
            lost.push((repository, Some(task.work_item), waiters));
        }
    }
    Ok(lost)
}

/// Does this task hold its repository's merge lease under this epoch?
#[expect(clippy::disallowed_methods, reason = "here it is looked up")]
pub fn holds<T: Tx>(tx: &mut T, task: TaskId, epoch: u64) -> Result<Option<Held>, T::Error> {
    let Some(task) = tx.task(task)? else { return Ok(None) };
    let lease = tx.lease(task.repository())?.unwrap_or_default();
    let held = lease.epoch == epoch && lease.holder.is_some_and(|h| h.task == task.id);
    Ok(held.then(|| Held::witnessed(task.id, epoch)))
}
