//! Boards with columns of their own, and trackers that do not say who moved a ticket.
#![allow(clippy::unwrap_used)] // a test that cannot go on must say so where it stands

mod common;

use common::{anna, new_task};
use orch_core::ids::{Actor, Time};
use orch_core::pipeline::Pipeline;
use orch_core::task::{BlockReason, Phase};
use orch_core::ticket::{self, Shown, StateGroup};

const ALL: [StateGroup; 5] =
    [StateGroup::Backlog, StateGroup::Unstarted, StateGroup::Started, StateGroup::Completed, StateGroup::Cancelled];

fn wants(name: &str, group: StateGroup, is_blocked: bool) -> Option<&'static str> {
    let mut task = new_task(Pipeline::full());
    if is_blocked {
        let why = BlockReason::RoundsSpent { from: "x".to_owned().into(), findings: Vec::new() };
        task.phase = Phase::Blocked { why, since: Time(1), retry: task.at };
    }
    let state = Shown::of(name, group);
    ticket::intent(&state, Some(&anna()), Some(&task), true, Time(9)).map(|event| event.name())
}

#[test]
fn a_column_of_the_boards_own_starts_retries_and_approves_nothing() {
    for group in ALL {
        assert_eq!(wants("QA", group, false), None, "{group:?}");
    }
    let cancel = Some("cancel_asked");
    assert_eq!(ALL.map(|group| wants("QA", group, true)), [cancel, cancel, None, None, cancel]);
    assert_eq!(wants("InProgress", StateGroup::Backlog, false), Some("started"), "a known name wins over its group");
}

#[test]
fn a_mover_who_is_not_named_counts_as_moved_but_orch_itself_does_not() {
    let state = Shown::of("QA", StateGroup::Started);
    assert!(ticket::is_moved(None, &state, None) && ticket::is_moved(Some("InProgress"), &state, None));
    assert!(!ticket::is_moved(Some("QA"), &state, None));
    assert!(!ticket::is_moved(None, &state, Some(&Actor::orch())));
}
