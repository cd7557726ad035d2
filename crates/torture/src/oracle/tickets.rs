//! What people see in the tracker: one ticket, one living comment, and the state their task ended in.

use super::landed::clock;
use crate::api::field;
use crate::world::{PROJECTS, World};
use anyhow::Result;
use orch_adapters::local_tracker::LocalTracker;
use orch_core::ids::ProjectKey;
use orch_ports::tracker::{TicketState, Tracker};
use serde_json::Value;

/// One ticket and one living comment for each task, and the ticket shows how it ended.
pub(super) fn tickets(world: &World, tasks: &[Value], found: &mut Vec<String>) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let tracker = LocalTracker::open(&world.data().join("tracker.db"), clock()?)?;
    for (project, _) in PROJECTS {
        let key = ProjectKey::new(project);
        let log = runtime.block_on(tracker.log(&key))?;
        let made = log.iter().filter(|l| l.effect == "ticket-created").count();
        let wanted = world.made.keys().filter(|item| item.starts_with(project)).count();
        if made != wanted {
            found.push(format!("{project} has {made} tickets, {wanted} were asked for"));
        }
        for number in 1..=made as u64 {
            let comments = runtime.block_on(tracker.comments(&key, number))?;
            if comments.len() != 1 {
                found.push(format!("{project}-{number} has {} comments", comments.len()));
            }
            let written = log.iter().filter(|l| l.number == number && l.effect == "comment-written").count();
            if written != 1 {
                found.push(format!("{project}-{number}: its comment was written {written} times"));
            }
            let state = runtime.block_on(tracker.ticket(&key, number))?.state;
            let item = format!("{project}-{number}");
            let phase = tasks.iter().find(|t| field(t, "id") == item).map(|t| field(t, "phase")).unwrap_or_default();
            let wanted = match phase.as_str() {
                "blocked" => TicketState::Blocked,
                "cancelled" => TicketState::Cancelled,
                _ => TicketState::Done,
            };
            if state != wanted {
                found.push(format!("the ticket {item} shows {}, its task is {phase}", state.as_str()));
            }
        }
    }
    Ok(())
}
