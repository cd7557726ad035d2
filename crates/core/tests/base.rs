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
