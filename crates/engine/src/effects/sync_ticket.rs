//! Makes the ticket show where its task is: its state, and one living comment instead of a stream of noise. It shows
//! the task as it is now, not as it was when the job was made. What a person did to the ticket in the meantime is taken
//! up first: it must never be overwritten unseen.

use super::{Cx, Ended};
use crate::tickets;
use orch_core::effect::Outcome;
use orch_core::explain;
use orch_core::ids::Actor;
use orch_core::task::{DoneOutcome, Phase, Task, WaitReason};
use orch_ports::Fault;
use orch_ports::tracker::TicketState;
use std::fmt::Write as _;

/// Key of the living comment.
const COMMENT: &str = "orch-status";

pub(super) async fn ensure(cx: &Cx) -> Result<Ended, Fault> {
    let (tracker, project, number) = (&cx.project.tracker, &cx.project.key, cx.task.number);
    let ticket = tracker.ticket(project, number).await?;
    if !tickets::is_own(cx.store(), &cx.task, &ticket).await? {
        return Err(Fault::permanent(tickets::not_own(&cx.task)));
    }
    crate::watchers::look(&cx.engine, &cx.project, &ticket).await?;
    let task = cx.engine.task(cx.task.id).await?;
    cx.still_ours().await?;
    if let Some(state) = state(&task) {
        tracker.set_state(project, number, state, &Actor::orch()).await?;
        // What orch set itself is nothing new to the watcher of tickets.
        let key = crate::watchers::seen_key(project.as_str(), number);
        cx.store().set_setting(&key, state.as_str()).await?;
    }
    tracker.put_comment(project, number, COMMENT, &comment(&task, cx.store().cost_usd(task.id).await?)).await?;
    Ok(Outcome::Sent.into())
}

/// The ticket's state; `None` leaves it to the person who moves it.
pub fn state(task: &Task) -> Option<TicketState> {
    Some(match &task.phase {
        Phase::Idle => return None,
        Phase::Working { .. } | Phase::Stopping { .. } => TicketState::InProgress,
        Phase::Waiting { why, .. } => match why {
            WaitReason::Approval { .. } => TicketState::AwaitingApproval,
            WaitReason::Answer { .. } => TicketState::NeedsInput,
            WaitReason::Production { .. } => TicketState::Blocked,
            WaitReason::Report { .. }
            | WaitReason::CannotTell { .. }
            | WaitReason::Lease { .. }
            | WaitReason::Held { .. } => TicketState::InProgress,
        },
        Phase::Cancelled { .. } | Phase::Done { outcome: DoneOutcome::Reverted, .. } => TicketState::Cancelled,
        Phase::Done { outcome, .. } if outcome.is_well() => TicketState::Done,
        Phase::Blocked { .. } | Phase::Done { outcome: DoneOutcome::RolledBack, .. } => TicketState::Blocked,
        Phase::Done { .. } => TicketState::Done,
    })
}

fn comment(task: &Task, cost_usd: f64) -> String {
    let mut text =
        format!("**{}** — stage **{}**, {}\n\n", task.work_item, task.stage(), task.phase_word().replace('_', " "));
    let _ = writeln!(text, "{}", explain::line(task));
    if let Some(waiting) = explain::explain(task) {
        let _ = writeln!(text, "Ends when: {}.", waiting.ends_when);
        if let Some(command) = waiting.command {
            let _ = writeln!(text, "`{command}`");
        }
    }
    let _ = writeln!(text, "\nBranch `{}`", task.branch);
    if let Some(number) = task.pull_request {
        let _ = writeln!(text, "Pull request {number}");
    }
    if let Some(merged) = &task.merged {
        let _ = writeln!(text, "Merged as {}", merged.commit.short());
    }
    let _ = writeln!(text, "Repairs {}; cost {cost_usd:.2} USD", task.rounds);
    text
}
