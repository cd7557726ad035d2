//! The default branch is judged before a task's first agent: what is red there holds, costs nothing, and ends by itself.
#![allow(clippy::unwrap_used)] // a test that cannot go on must say so where it stands

mod common;
use common::{World, anna, fault, sha};
use orch_core::effect::Outcome;
use orch_core::event::Event;
use orch_core::explain::explain;
use orch_core::pipeline::Pipeline;
use orch_core::policy::Policy;
use orch_core::task::{ApprovalKind, BlockReason, Phase, WaitReason};
use orch_core::ticket::{self, TicketState};
use orch_core::verdict::FaultKind;

fn world() -> World {
    let mut world = World::with(Pipeline::lite(), Policy { base_first: true, ..common::policy() });
    world.ok(Event::Started { by: anna() });
    assert_eq!(world.doing(), "judge the base");
    world
}

fn red(what: &str) -> Outcome {
    Outcome::BaseRed {
        subject: what.into(),
        shown: vec!["`test` on 1a2b3c: exit 1".into(), format!("fails: {what}")],
        commit: Some(sha(1)),
    }
}

fn green() -> Outcome {
    Outcome::BaseGreen { text: "the base is green".into(), commit: Some(sha(2)) }
}

fn approve() -> Event {
    Event::Approved { by: anna(), gate: None, subject: None, comment: None }
}

fn is_held(world: &World) -> bool {
    matches!(&world.task.phase, Phase::Waiting { why: WaitReason::Approval { what: ApprovalKind::Base, .. }, .. })
}

#[test]
fn a_red_base_is_looked_at_ever_later_tells_once_and_a_green_one_opens_the_branch() {
    let mut world = world();
    let mut pauses = Vec::new();
    for _ in 0..20 {
        world.end(red("cart::old"));
        assert!(is_held(&world), "{:?}", world.task.phase);
        pauses.push(world.task.wake_at().unwrap().since_ms(world.now));
        world.wake();
        assert_eq!(world.doing(), "judge the base");
    }
    let least = common::policy().recheck_ms;
    assert!(pauses.is_sorted() && pauses[0] == least && pauses[19] == 10 * least, "{pauses:?}");
    assert_eq!(world.told.len(), 1);
    assert_eq!(world.task.branch.head, None);
    world.end(green());
    assert_eq!(world.doing(), "open");
    assert!(!world.task.repairs_base());
}

#[test]
fn an_approver_says_that_the_ticket_repairs_exactly_this() {
    let mut world = world();
    world.end(red("cart::old"));
    let why = explain(&world.task).unwrap();
    assert!(why.reason.starts_with("the base itself fails: `test` on 1a2b3c: exit 1; fails: cart::old"), "{why:?}");
    assert_eq!(why.command.as_deref(), Some("orch approve DEMO-1"));
    world.ok(approve());
    world.end(red("cart::other"));
    assert!(is_held(&world), "something else fails by now");
    world.ok(approve());
    world.end(red("cart::other"));
    assert_eq!(world.doing(), "open");
    assert_eq!(world.task.findings.base[1], "fails: cart::other");
    assert!(world.task.repairs_base());
}

#[test]
fn a_machine_that_lacks_something_is_waited_for_and_nothing_to_approve() {
    let mut world = world();
    let full = || Outcome::BaseUnclear { fault: fault(FaultKind::Permanent, "12 bytes are free in /x") };
    world.end(full());
    assert!(matches!(world.task.phase, Phase::Waiting { why: WaitReason::CannotTell { .. }, .. }));
    assert!(world.send(approve()).is_err());
    world.wake();
    world.end(full());
    world.wake();
    world.end(green());
    assert_eq!(world.doing(), "open");
}

#[test]
fn who_rejects_blocks_it_and_a_retry_judges_again() {
    let mut world = world();
    world.end(red("cart::old"));
    world.ok(Event::Rejected { by: anna(), gate: None, comment: "somebody else repairs it".into() });
    assert!(matches!(&world.task.phase, Phase::Blocked { why: BlockReason::Rejected { .. }, .. }));
    world.ok(Event::RetryAsked { by: anna() });
    assert_eq!(world.doing(), "judge the base");
}

#[test]
fn a_hold_during_the_judging_opens_no_branch_and_a_release_judges_again() {
    let mut world = world();
    world.ok(Event::PutOnHold { by: anna(), reason: None });
    world.end(green());
    assert!(matches!(world.task.phase, Phase::Waiting { why: WaitReason::OnHold, .. }), "{:?}", world.task.phase);
    world.ok(Event::Released { by: anna() });
    assert_eq!(world.doing(), "judge the base");
}

#[test]
fn main_that_moves_is_looked_at_at_once() {
    let mut world = world();
    world.end(red("cart::old"));
    world.ok(Event::Nudged { what: "main is at 3c4d5e".into() });
    assert_eq!(world.doing(), "judge the base");
}

#[test]
fn where_nobody_wants_it_the_branch_is_opened_at_once() {
    let mut world = World::with(Pipeline::lite(), common::policy());
    world.ok(Event::Started { by: anna() });
    assert_eq!(world.doing(), "open");
}

#[test]
fn the_branch_is_to_be_opened_on_what_was_judged_and_on_nothing_else() {
    let mut world = world();
    world.end(green());
    assert_eq!((world.doing().as_str(), world.task.branch.judged.clone()), ("open", Some(sha(2))));
    world.end(Outcome::BaseGone);
    assert_eq!((world.doing().as_str(), world.task.branch.judged.clone()), ("judge the base", None));
    world.end(red("cart::old"));
    world.ok(approve());
    world.end(red("cart::old"));
    assert_eq!((world.doing().as_str(), world.task.branch.judged.clone()), ("open", Some(sha(1))));
    world.end(Outcome::Opened { head: sha(9), base: sha(1) });
    assert_eq!(world.task.branch.judged, None, "it says nothing of a branch that is opened later");
}

/// Held by a red base, and the next look is under way.
fn looked_at_again() -> World {
    let mut world = world();
    world.end(red("cart::old"));
    world.wake();
    assert_eq!(world.doing(), "judge the base");
    world
}

#[test]
fn while_a_red_base_is_looked_at_again_nothing_of_it_changes_for_people() {
    let mut world = world();
    world.end(red("cart::old"));
    let held = (world.task.phase_word(), ticket::state(&world.task), explain(&world.task).unwrap());
    world.wake();
    let looked_at = explain(&world.task).unwrap();
    assert_eq!((world.task.phase_word(), ticket::state(&world.task)), (held.0, held.1));
    assert_eq!(held.1, Some(TicketState::AwaitingApproval));
    assert_eq!((&looked_at.reason, &looked_at.shown, looked_at.since), (&held.2.reason, &held.2.shown, held.2.since));
    let synced = |world: &World| world.jobs.iter().any(|job| common::name(&job.effect) == "ticket");
    assert!(!synced(&world), "{:?}", world.jobs);
    world.end(red("cart::old"));
    assert!(!synced(&world) && is_held(&world), "{:?}", world.jobs);
}

#[test]
fn an_approval_while_it_is_looked_at_again_counts_at_the_end_of_the_look() {
    let mut world = looked_at_again();
    let job = world.task.job();
    let by_ticket = ticket::intent(&TicketState::Approved.into(), Some(&anna()), Some(&world.task), true, world.now);
    world.ok(by_ticket.expect("the ticket's state says the same"));
    assert_eq!(world.task.job(), job, "no second look");
    assert_eq!(ticket::state(&world.task), Some(TicketState::InProgress));
    assert!(world.send(approve()).is_err(), "once is enough");
    world.end(red("cart::old"));
    assert_eq!(world.doing(), "open");
    assert!(world.task.repairs_base() && world.task.wait.base.is_none());
}

#[test]
fn an_approval_while_it_is_looked_at_again_is_for_what_was_shown() {
    let mut world = looked_at_again();
    world.ok(approve());
    world.end(red("cart::other"));
    assert!(is_held(&world) && world.told.len() == 2, "{:?}", world.told);
}

#[test]
fn a_no_while_it_is_looked_at_again_stops_the_look_and_blocks() {
    for end in [Outcome::Cancelled, green(), red("cart::other")] {
        let mut world = looked_at_again();
        let job = world.task.job();
        world.ok(Event::Rejected { by: anna(), gate: None, comment: "somebody else repairs it".into() });
        assert_eq!(world.last.as_ref().and_then(|d| d.stop), job);
        assert!(world.send(approve()).is_err());
        world.end(end);
        let Phase::Blocked { why: BlockReason::Rejected { comment, what, .. }, .. } = &world.task.phase else {
            panic!("{:?}", world.task.phase)
        };
        assert_eq!((comment.as_str(), *what), ("somebody else repairs it", Some(ApprovalKind::Base)));
        world.ok(Event::RetryAsked { by: anna() });
        assert_eq!(world.doing(), "judge the base");
        world.end(red("cart::old"));
        assert!(is_held(&world));
    }
}

#[test]
fn another_red_is_another_question_and_people_are_told_of_it() {
    let mut world = looked_at_again();
    world.pass(60_000);
    world.end(red("cart::other"));
    assert_eq!(world.told.len(), 2, "{:?}", world.told);
    assert!(world.told[1].contains("fails: cart::other"), "{:?}", world.told);
    assert_eq!(explain(&world.task).unwrap().since, world.now);
    assert!(world.jobs.iter().any(|job| common::name(&job.effect) == "ticket"), "the ticket says what is asked now");
    let seen = |subject: &str| Event::Approved { by: anna(), gate: None, subject: Some(subject.into()), comment: None };
    assert!(world.send(seen("cart::old")).is_err(), "nobody has seen the other one");
    world.wake();
    assert!(world.send(seen("cart::old")).is_err());
    world.ok(seen("cart::other"));
    world.end(red("cart::other"));
    assert_eq!(world.doing(), "open");
}

#[test]
fn a_machine_that_cannot_tell_in_between_leaves_no_old_question() {
    let mut world = looked_at_again();
    world.end(Outcome::BaseUnclear { fault: fault(FaultKind::Permanent, "12 bytes are free in /x") });
    world.wake();
    assert!(world.send(approve()).is_err());
    world.end(red("cart::other"));
    assert_eq!(world.told.len(), 2, "{:?}", world.told);
}

#[test]
fn a_hold_while_it_is_looked_at_again_takes_an_approval_and_a_no() {
    let held = || {
        let mut world = looked_at_again();
        world.ok(Event::PutOnHold { by: anna(), reason: None });
        world.end(Outcome::Cancelled);
        assert!(matches!(world.task.phase, Phase::Waiting { why: WaitReason::OnHold, .. }));
        assert_eq!(ticket::state(&world.task), Some(TicketState::AwaitingApproval));
        world
    };
    let mut world = held();
    world.ok(approve());
    world.ok(Event::Released { by: anna() });
    world.end(red("cart::old"));
    assert_eq!(world.doing(), "open");
    let mut world = held();
    world.ok(Event::Rejected { by: anna(), gate: None, comment: String::new() });
    assert!(matches!(&world.task.phase, Phase::Blocked { why: BlockReason::Rejected { .. }, .. }));
}

#[test]
fn a_cancel_while_it_is_looked_at_again_leaves_nothing_to_approve() {
    for end in [Outcome::Cancelled, red("cart::old")] {
        let mut world = looked_at_again();
        world.ok(Event::CancelAsked { by: anna() });
        assert!(world.send(approve()).is_err());
        world.end(end);
        assert!(matches!(world.task.phase, Phase::Cancelled { .. }) && world.task.wait.base.is_none());
    }
}
