//! Which ticket a task was made for, and which numbers are given out. A tracker that was lost begins its numbers again: a
//! ticket with a task's number may be another one. Such a ticket never moves the task, is never written to for it, and its
//! number is never given to a second task.

use crate::engine::Engine;
use orch_core::explain;
use orch_core::ids::{ProjectKey, Time, WorkItem};
use orch_core::task::Task;
use orch_ports::Fault;
use orch_ports::tracker::Ticket;
use orch_store::{Fact, Memory, Store};

/// The number up to which all are given out.
pub(crate) async fn given_out(store: &dyn Store, project: &ProjectKey) -> Result<u64, Fault> {
    let kept = store.recall(&Fact::NumbersGiven(project.clone())).await?.and_then(|text| text.parse().ok());
    Ok(store.highest_number(project).await?.max(kept.unwrap_or(0)))
}

/// Is it the ticket that the task was made for? One that a task of an earlier version has is told by its age.
pub(crate) async fn is_own(store: &dyn Memory, task: &Task, ticket: &Ticket) -> Result<bool, Fault> {
    let own = store.recall(&Fact::TicketId(task.project.clone(), task.number)).await?;
    Ok(own.map_or(ticket.created_at <= task.created_at, |own| own == ticket.id))
}

/// The work item that a branch of orch's own is about: `feature/SHOP-12-show` and `land/SHOP-12-show` are about SHOP-12.
pub fn item_of_branch(project: &ProjectKey, branch: &str) -> Option<WorkItem> {
    let rest = branch.strip_prefix("feature/").or_else(|| branch.strip_prefix("land/"))?;
    let number = rest.strip_prefix(project.as_str())?.strip_prefix('-')?.split('-').next()?;
    let digits = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| WorkItem::new(format!("{project}-{number}")))
}

/// What is said of a ticket that is not the task's own.
pub(crate) fn not_own(task: &Task) -> String {
    format!(
        "the tracker's ticket {item} is not the one that task {item} was made for: it was made later, as by a tracker that \
         was lost and begun anew; it moves nothing, and nothing is written to it. Bring the tracker back (`orch restore DIR`), \
         or make the wish known with `orch task` commands",
        item = task.work_item
    )
}

/// Tells a person, once for each such ticket.
pub(crate) async fn tell_not_own(engine: &Engine, task: &Task, ticket: &Ticket) {
    let key = format!("not-own-{}-{}", task.work_item, ticket.id);
    engine.notice(task.id, key, not_own(task)).await;
}

/// Since when the task is as it is, milliseconds: what was refused in an earlier wait is no news in this one.
fn wait_of(task: &Task) -> Option<i64> {
    explain::explain(task).map(|waiting| waiting.since.0)
}

/// Keeps why a move of the task's ticket was not followed.
pub(crate) async fn remember_refused(store: &dyn Memory, task: &Task, text: &str, now: Time) -> Result<(), Fault> {
    let Some(since) = wait_of(task) else { return Ok(()) };
    let fact = Fact::TicketRefused(task.project.clone(), task.number);
    Ok(store.remember(&fact, &format!("{since} {text}"), now).await?)
}

/// Why the last move of its ticket was not followed, if that was in the wait the task is in.
pub(crate) async fn refused_in_this_wait(store: &dyn Memory, task: &Task) -> Result<Option<String>, Fault> {
    let kept = store.recall(&Fact::TicketRefused(task.project.clone(), task.number)).await?;
    let told = kept.as_deref().and_then(|kept| kept.split_once(' '));
    let now = wait_of(task);
    Ok(told.filter(|(since, _)| since.parse().ok() == now && now.is_some()).map(|(_, text)| text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn branches_of_tasks_are_known_by_their_names() {
        let of = |branch: &str| item_of_branch(&"SHOP".into(), branch).map(|item| item.to_string());
        for branch in ["feature/SHOP-12-show-it", "feature/SHOP-12-show-it-r2", "land/SHOP-12-theirs", "land/SHOP-12"] {
            assert_eq!(of(branch).as_deref(), Some("SHOP-12"), "{branch}");
        }
        for branch in
            ["feature/SHOP-x", "feature/SHOPPING-1-x", "feature/SHOP-1x", "SHOP-1-x", "feature/login", "x/SHOP-1"]
        {
            assert_eq!(of(branch), None, "{branch}");
        }
    }
}
