//! From a judged branch to a merged one, and what can go wrong on the way: the lease, the tip, conflicts, cancels, and
//! a merge nobody knows the outcome of.
#![allow(clippy::unwrap_used)] // a test that cannot go on must say so where it stands

mod common;
mod samples;
use common::{World, bob, failed, report, sha, tree};
use orch_core::LeaseOp;
use orch_core::conflict::{Resolution, Resolved, Take};
use orch_core::effect::{Effect, NotMerged, Outcome};
use orch_core::event::Event;
use orch_core::pipeline::{Pipeline, Step};
use orch_core::task::{BlockReason, Phase, WaitReason};
use orch_core::verdict::{FaultKind, FaultNote, Finding, Verdict};

fn lite(name: &str) -> World {
    World::at(Pipeline::lite(), name)
}

#[test]
fn a_conflict_goes_to_the_developer_with_the_files_and_publishing_clears_it() {
    let mut w = lite("update");
    w.end(Outcome::Conflict { onto: sha(7), files: vec!["a.rs".into(), "b.rs".into()], record: None });
    assert_eq!((w.doing().as_str(), w.holds_lease()), ("run developer 1", false));
    assert_eq!(w.task.landing.conflict.as_ref().map(|c| (&c.onto, c.files.len())), Some((&sha(7), 2)));
    assert_eq!(w.task.findings.open.len(), 2);
    refuse(&mut w, "b.rs");
    assert!(w.task.landing.conflict.is_some(), "markers are still there");
    assert_eq!((w.doing().as_str(), w.task.spent.rounds, w.task.spent.role_attempts), ("run developer 1", 0, 0));
    w.step();
    w.step();
    assert_eq!((w.task.landing.conflict.clone(), w.task.branch.base.clone()), (None, Some(sha(7))));
    assert_eq!(
        w.task.landing.resolved.iter().map(|c| c.refused).collect::<Vec<_>>(),
        [1],
        "what was in conflict is still known"
    );
    w.finish();
}

/// The developer's run ends and its repair does not count.
fn refuse(w: &mut World, file: &str) {
    w.step();
    let head = w.fresh();
    let finding = Finding { file: Some(file.into()), ..common::must("conflict markers are still in this file") };
    let (unresolved, refused) = (vec![file.into()], vec![finding]);
    w.end(Outcome::Published { head, empty: false, discarded: vec![], unresolved, refused });
}

#[test]
fn two_finished_repairs_that_do_not_count_block_and_a_fault_between_them_is_none() {
    for fault_between in [false, true] {
        let mut w = lite("update");
        w.end(Outcome::Conflict { onto: sha(7), files: vec!["a.rs".into(), "b.rs".into()], record: None });
        refuse(&mut w, "a.rs");
        if fault_between {
            // The run ends by a fault, and a person lets it go on: the record is the same, and nothing was counted.
            w.end(failed("the disk is full"));
            assert!(matches!(w.task.phase, Phase::Blocked { why: BlockReason::JobFailed { .. }, .. }));
            assert_eq!(w.task.landing.conflict.as_ref().map(|c| c.refused), Some(1));
            w.ok(Event::RetryAsked { by: bob() });
            assert_eq!(w.doing(), "run developer 0", "a person looked: what was counted begins anew");
            refuse(&mut w, "a.rs");
        }
        assert!(matches!(w.task.phase, Phase::Working { .. }));
        refuse(&mut w, "b.rs");
        let Phase::Blocked { why: BlockReason::ConflictLeft { findings }, .. } = &w.task.phase else {
            panic!("{:?}", w.task.phase)
        };
        assert_eq!(findings.iter().map(|f| f.file.as_deref()).collect::<Vec<_>>(), [Some("b.rs")]);
        assert_eq!((w.task.spent.rounds, w.told.len() - usize::from(fault_between)), (0, 1));
        assert!(w.told.last().unwrap().contains("b.rs: conflict markers are still in this file"), "{:?}", w.told);
        w.ok(Event::RetryAsked { by: bob() });
        assert!(w.doing().starts_with("run developer"), "{}", w.doing());
        assert!(w.task.landing.conflict.is_some(), "the record is kept");
        w.finish();
    }
}

#[test]
fn a_branch_that_conflicts_again_and_again_ends_with_a_person_and_spends_no_round() {
    let mut w = lite("update");
    assert!(w.policy.max_developer_retries < w.policy.max_updates, "repairs that count are no rounds");
    for n in 1..=w.policy.max_updates {
        w.end(Outcome::Conflict { onto: sha(7 + u64::from(n)), files: vec!["a.rs".into()], record: None });
        assert_eq!((w.doing(), w.task.spent.rounds), (format!("run developer {n}"), 0));
        w.until("update");
    }
    w.end(Outcome::Conflict { onto: sha(200), files: vec!["a.rs".into()], record: None });
    assert!(matches!(w.task.phase, Phase::Blocked { why: BlockReason::JobFailed { .. }, .. }), "{:?}", w.task.phase);
    w.ok(Event::RetryAsked { by: bob() });
    assert_eq!(w.doing(), "run developer 0");
    w.finish();
}

#[test]
fn one_conflict_too_many_is_said_as_one() {
    let mut w = lite("update");
    w.policy.max_updates = 0;
    w.end(Outcome::Conflict { onto: sha(7), files: vec!["a.rs".into()], record: None });
    let Phase::Blocked { why: BlockReason::JobFailed { fault, .. }, .. } = &w.task.phase else {
        panic!("{:?}", w.task.phase)
    };
    assert_eq!(fault.text, "main conflicted with the branch once");
}

#[test]
fn a_conflict_is_resolved_also_where_no_repair_is_allowed() {
    let mut w = lite("update");
    w.policy.max_developer_retries = 0;
    w.end(Outcome::Conflict { onto: sha(7), files: vec!["a.rs".into()], record: None });
    assert_eq!(w.doing(), "run developer 1");
    w.finish();
}

#[test]
fn what_cannot_be_read_of_resolved_is_said_where_nothing_was_in_conflict() {
    let mut w = lite("run developer 0");
    let resolved = Resolution { takes: vec![], unreadable: vec!["it is not a list".into()], broken: None };
    w.end(Outcome::AgentFinished { question: None, resolved });
    assert!(
        w.task.findings.notes.iter().any(|n| n.to_string().contains("it is not a list")),
        "{:?}",
        w.task.findings.notes
    );
    assert!(w.story.iter().any(|s| s.contains("it is not a list")));
    w.finish();
}

/// A review may want the other side after all: the word is said again, and it is the one that counts from then on.
#[test]
fn a_later_round_says_anew_what_it_takes_of_a_path_that_was_resolved() {
    let mut w = lite("update");
    let record = samples::conflict();
    w.end(Outcome::Conflict { onto: sha(1), files: vec!["a.bin".into()], record: Some(record) });
    let word = |take| Resolved { path: "a.bin".into(), take, why: String::new() };
    let says = |take| Resolution { takes: vec![word(take)], ..Resolution::default() };
    w.end(Outcome::AgentFinished { question: None, resolved: says(Take::Base) });
    w.until("judge check_reviewer_verdict");
    assert_eq!(w.task.landing.resolved[0].answer.takes.last(), Some(&word(Take::Base)));
    w.fail("take the branch's");
    w.end(Outcome::AgentFinished { question: None, resolved: says(Take::Branch) });
    let words: Vec<_> = w.task.landing.resolved[0].answer.takes.iter().filter(|t| t.path == "a.bin").cloned().collect();
    assert_eq!(words, [word(Take::Branch)]);
    assert!(w.story.iter().any(|s| s.contains("a.bin: the developer now says `branch`")));
    w.finish();
}

#[test]
fn a_pipeline_without_a_developer_says_that_nobody_can_resolve_the_conflict() {
    let mut nobody = Pipeline::lite();
    for stage in &mut nobody.stages {
        for step in &mut stage.steps {
            if let Step::Agent { role } = step
                && role.as_str() == "developer"
            {
                *role = "writer".into();
            }
        }
    }
    let mut w = World::at(nobody, "update");
    w.end(Outcome::Conflict { onto: sha(7), files: vec!["a.rs".into()], record: None });
    assert!(w.told.last().is_some_and(|t| t.contains("no developer")), "{:?}", w.told);
    w.ok(Event::RetryAsked { by: bob() });
    assert_eq!(w.doing(), "update");
    w.finish();
}

#[test]
fn when_main_moves_the_merge_is_prepared_again_on_the_new_tip() {
    let mut w = lite("merge");
    w.end(Outcome::NotMerged { why: NotMerged::BaseMoved });
    assert_eq!((w.doing().as_str(), w.holds_lease(), w.task.landing.updates), ("update", true, 1));
    assert_eq!(w.task.landing.intent, None);
    let head = w.fresh();
    w.end(Outcome::Updated { head: head.clone(), base: sha(9), tree: tree(9), repatched: false, voids: false });
    assert_eq!(w.doing(), "judge check_ci_green exact", "nothing judged before counts");
    w.until("merge");
    assert_eq!(w.task.landing.intent.as_ref().map(|i| (&i.head, &i.base)), Some((&head, &sha(9))));
    assert_eq!(w.task.spent.rounds, 0);
    w.finish();
}

/// A merge without a conflict can still put another change on main than the one that was reviewed.
#[test]
fn a_change_that_an_update_made_another_is_reviewed_and_tested_again_at_nobodys_cost() {
    for lost in [false, true] {
        let mut w = World::at(Pipeline::full(), "update");
        if lost {
            w.lease.epoch += 1;
            w.lease.holder = None;
        }
        let head = w.fresh();
        w.end(Outcome::Updated { head: head.clone(), base: sha(9), tree: tree(9), repatched: true, voids: false });
        assert_eq!((w.doing().as_str(), w.holds_lease()), ("run reviewer 0", false));
        assert_eq!(
            (w.task.spent.rounds, w.task.branch.head.clone(), w.task.branch.base.clone()),
            (0, Some(head), Some(sha(9)))
        );
        assert_eq!((w.task.landing.intent.clone(), w.task.landing.passed.len()), (None, 0));
        let seen = w.story.len();
        w.finish();
        for needed in ["check_reviewer_verdict: pass", "check_tests_passed: pass", "check_ci_green: pass"] {
            assert!(w.story[seen..].iter().any(|s| s.contains(needed)), "{needed}: {:#?}", &w.story[seen..]);
        }
    }
    // Each time costs a review: at last a person decides.
    let mut w = World::at(Pipeline::full(), "update");
    for times in 1..=4 {
        let head = w.fresh();
        w.end(Outcome::Updated { head, base: sha(9), tree: tree(9), repatched: true, voids: false });
        if times < 4 {
            w.until("update");
        }
    }
    assert!(matches!(&w.task.phase, Phase::Blocked { why: BlockReason::JobFailed { .. }, .. }), "{:?}", w.task.phase);
    assert_eq!((w.told.iter().filter(|t| t.contains("blocked")).count(), w.holds_lease()), (1, false));
    w.ok(Event::RetryAsked { by: bob() });
    assert_eq!((w.doing().as_str(), w.task.landing.patch_changes), ("run reviewer 0", 0));
    w.finish();

    let mut nobody = Pipeline::lite();
    for stage in &mut nobody.stages {
        stage.steps.retain(|s| !matches!(s, Step::Gate { gate, .. } if gate.is_of_the_patch()));
    }
    let mut w = World::at(nobody, "update");
    let head = w.fresh();
    w.end(Outcome::Updated { head, base: sha(9), tree: tree(9), repatched: true, voids: false });
    assert_eq!(w.doing(), "judge check_ci_green exact", "nobody judges the patch");
    assert_eq!(w.task.landing.prepared, w.task.branch.head, "it has its papers");
}

/// Gitea dismisses an approval when main and the change touch the same file: a person has to look again, and nobody else.
#[test]
fn an_approval_that_main_has_voided_is_asked_for_on_the_prepared_head_with_no_lease_held() {
    let voids = |head| Outcome::Updated { head, base: sha(9), tree: tree(9), repatched: false, voids: true };
    let mut w = World::at(Pipeline::full(), "update");
    let (run, rounds) = (w.task.run, w.task.spent.rounds);
    let head = w.fresh();
    w.end(voids(head.clone()));
    assert_eq!((w.doing().as_str(), w.holds_lease()), ("judge check_review_approved", false));
    assert_eq!((w.task.branch.head.clone(), w.task.landing.intent.clone()), (Some(head), None));
    w.judge(report("an approval of the prepared head on the forge", None));
    assert!(!w.holds_lease());
    w.wake();
    let seen = w.story.len();
    w.step();
    assert_eq!(w.doing(), "update", "straight on to the merge: no agent and no gate is asked twice");
    assert_eq!((w.task.run, w.task.spent.rounds, w.task.landing.approval_again), (run, rounds, None));
    w.finish();
    assert!(!w.story[seen..].iter().any(|s| s.contains("the reviewer") || s.contains("the tester")));

    // Each time costs a person a look: after three times they are asked whether it goes on at all.
    let mut w = World::at(Pipeline::full(), "update");
    for times in 1..=4 {
        let head = w.fresh();
        w.end(voids(head));
        if times < 4 {
            w.until("update");
        }
    }
    assert!(matches!(&w.task.phase, Phase::Blocked { why: BlockReason::JobFailed { .. }, .. }), "{:?}", w.task.phase);
    assert_eq!((w.told.iter().filter(|t| t.contains("blocked")).count(), w.holds_lease()), (1, false));
    w.ok(Event::RetryAsked { by: bob() });
    assert_eq!((w.doing().as_str(), w.task.landing.voided), ("judge check_review_approved", 0));
    w.finish();

    // What was asked on the way back to development is asked on the way forward again, not skipped over.
    let mut w = World::at(Pipeline::full(), "update");
    let head = w.fresh();
    w.end(voids(head));
    w.fail("not like this");
    assert_eq!(
        (w.doing().as_str(), w.task.landing.approval_again, w.task.landing.voided),
        ("run developer 1", None, 0)
    );
    w.finish();

    // A pipeline in which nobody asks the forge goes on.
    let mut w = lite("update");
    let head = w.fresh();
    w.end(voids(head));
    assert_eq!(w.doing(), "judge check_ci_green exact");
    w.finish();
}

#[test]
fn a_prepared_head_that_is_out_of_date_is_prepared_again_at_once() {
    let mut w = lite("judge check_branch_mergeable exact");
    let head = w.task.branch.head.clone().unwrap();
    let fault = FaultNote::new(FaultKind::Gone, "the default branch moved");
    w.end(Outcome::Judged { head, verdict: Verdict::Inconclusive { fault }, notes: vec![], warning: None });
    assert_eq!(
        (w.doing().as_str(), w.holds_lease(), w.task.landing.updates, w.task.spent.rounds),
        ("update", true, 1, 0)
    );
    w.finish();
}

#[test]
fn main_that_never_stops_moving_ends_with_a_person() {
    let mut w = lite("merge");
    for _ in 0..w.policy.max_updates {
        w.end(Outcome::NotMerged { why: NotMerged::BaseMoved });
        w.until("merge");
    }
    w.end(Outcome::NotMerged { why: NotMerged::BaseMoved });
    assert!(matches!(w.task.phase, Phase::Blocked { .. }));
    assert!(!w.holds_lease());
    w.ok(Event::RetryAsked { by: bob() });
    assert_eq!(w.doing(), "update");
    w.finish();
}

#[test]
fn a_busy_lease_is_waited_for_and_the_wait_ends_with_or_without_a_hint() {
    let mut w = lite("judge check_security_gate");
    w.lease_taken_by_other();
    w.step();
    assert!(
        matches!(&w.task.phase, Phase::Waiting { why: WaitReason::Lease { holder: Some(h) }, .. } if h.as_str() == "DEMO-2")
    );
    let said = w.story.len();
    w.wake();
    w.wake();
    assert_eq!(w.story.len(), said, "waiting on is no news");
    w.lease.holder = None;
    w.ok(Event::LeaseFreed);
    assert_eq!((w.doing().as_str(), w.lease.epoch), ("update", 2));
    assert!(w.send(Event::LeaseFreed).is_err());
    w.finish();
}

#[test]
fn the_lease_is_taken_at_update_and_freed_on_every_way_out() {
    // For each exact step: a fail, an unreadable, an inconclusive and a wait for a person all free it.
    for name in ["judge check_ci_green exact", "judge check_security_gate exact", "judge check_branch_mergeable exact"]
    {
        for verdict in [
            Verdict::Fail { findings: vec![] },
            Verdict::Unreadable { findings: vec![] },
            Verdict::Inconclusive { fault: common::fault(orch_core::verdict::FaultKind::Denied, "401") },
            common::approval("protected paths"),
        ] {
            let mut w = lite(name);
            assert!(w.holds_lease());
            w.judge(verdict.clone());
            assert!(!w.holds_lease(), "{name} {verdict:?}");
            assert_eq!(w.last.as_ref().unwrap().lease, LeaseOp::Free);
        }
    }
    for (name, outcome) in [
        ("update", failed("no")),
        ("update", Outcome::BranchMoved { now: None }),
        ("merge", Outcome::NotMerged { why: NotMerged::Refused { text: "protected".into() } }),
    ] {
        let mut w = lite(name);
        w.end(outcome);
        assert!(matches!(w.task.phase, Phase::Blocked { .. }) && !w.holds_lease());
        w.ok(Event::RetryAsked { by: bob() });
        w.finish();
    }
}

#[test]
fn the_lease_is_kept_while_ci_has_a_deadline_and_not_a_moment_longer() {
    let mut w = lite("judge check_ci_green exact");
    let until = w.now.plus_ms(60_000);
    w.judge(report("`build`", Some(until)));
    assert!(w.holds_lease());
    w.wake();
    assert_eq!(w.doing(), "judge check_ci_green exact");
    w.judge(report("`build`", Some(until)));
    w.now = until;
    w.ok(Event::TimerFired);
    assert_eq!(w.doing(), "judge check_ci_green exact", "it is looked at once more before anything else");
    w.judge(report("`build`", Some(until)));
    assert!(!w.holds_lease(), "past its deadline it holds up nobody");
    w.wake();
    assert_eq!((w.doing().as_str(), w.told.len()), ("update", 1));
    w.finish();
}

#[test]
fn a_gate_that_cannot_tell_before_the_merge_frees_the_lease_and_is_told_once() {
    let mut w = lite("judge check_security_gate exact");
    let since = w.now;
    for _ in 0..60 {
        w.cannot_tell("the scanner is gone");
        assert!(!w.holds_lease());
        while w.task.job().is_none() {
            w.wake();
        }
        assert_eq!(w.doing(), "update", "main may have moved meanwhile");
        w.until("judge check_security_gate exact");
        assert!(matches!(&w.job.as_ref().unwrap().effect, Effect::Judge { since: s, .. } if *s == since));
    }
    assert_eq!(w.told.len(), 1, "{:?}", w.told);
    assert_eq!((w.task.spent.rounds, w.task.landing.updates), (0, 0));
    w.step();
    assert_eq!(w.task.wait.unsure, None);
    w.finish();
}

#[test]
fn a_lease_lost_on_the_way_is_taken_again_before_anything_is_judged_or_merged() {
    for name in ["update", "judge check_ci_green exact", "judge check_branch_mergeable exact"] {
        let mut w = lite(name);
        w.lease.holder = None;
        w.step();
        assert_eq!((w.doing().as_str(), w.lease.epoch, w.task.spent.rounds), ("update", 2, 0), "{name}");
        w.until("merge");
        assert_eq!(w.task.landing.intent.as_ref().map(|i| i.lease_epoch), Some(2));
    }
    let mut w = lite("merge");
    w.lease.holder = None;
    w.lease_taken_by_other();
    w.end(Outcome::LeaseLost);
    assert!(matches!(w.task.phase, Phase::Waiting { why: WaitReason::Lease { .. }, .. }));
}

#[test]
fn a_merge_nobody_knows_of_keeps_the_lease_and_cannot_be_cancelled_until_it_is_known() {
    let mut w = lite("merge");
    w.end(failed("the forge answers nothing"));
    assert!(w.task.merge_unknown() && w.holds_lease());
    assert!(w.send(Event::CancelAsked { by: bob() }).unwrap_err().contains("not known"));
    w.ok(Event::RetryAsked { by: bob() });
    assert_eq!((w.doing().as_str(), w.merges), ("merge", 2));
    let merged = w.good();
    w.end(merged);
    assert_eq!((w.doing().as_str(), w.holds_lease()), ("deploy production", false));
}

#[test]
fn a_cancel_during_a_merge_is_applied_once_the_outcome_is_known() {
    let cancelled = || {
        let mut w = lite("merge");
        w.ok(Event::CancelAsked { by: bob() });
        assert_eq!(w.last.as_ref().unwrap().stop, None, "a merge cannot be recalled");
        assert!(matches!(w.task.phase, Phase::Stopping { .. }) && w.holds_lease());
        w
    };
    // "Not merged" is what one request heard. Another one may be on its way: only behind a closed pull request is it sure.
    for heard in [
        Outcome::NotMerged { why: NotMerged::BaseMoved },
        Outcome::NotMerged { why: NotMerged::Refused { text: "a rule".into() } },
        Outcome::LeaseLost,
    ] {
        let mut not = cancelled();
        not.end(heard);
        assert!(matches!(not.task.phase, Phase::Stopping { .. }) && not.holds_lease());
        let mut late =
            World { task: not.task.clone(), lease: not.lease.clone(), job: not.job.clone(), ..lite("merge") };
        not.end(Outcome::Cancelled);
        assert!(matches!(not.task.phase, Phase::Cancelled { .. }) && !not.holds_lease());

        let merged = late.good();
        late.end(merged);
        assert_eq!(late.doing(), "deploy production");
    }

    let mut late = cancelled();
    let merged = late.good();
    late.end(merged);
    assert_eq!(late.doing(), "deploy production");
    assert!(late.send(Event::CancelAsked { by: bob() }).unwrap_err().contains("merged"));
    late.finish();

    let mut unknown = cancelled();
    unknown.end(failed("nothing"));
    assert!(unknown.task.merge_unknown() && unknown.holds_lease());
}

#[test]
fn a_task_can_be_cancelled_at_every_step_before_it_is_merged_and_never_after() {
    for pipeline in [Pipeline::lite(), Pipeline::full()] {
        let mut w = World::new(pipeline.clone());
        w.ok(Event::CancelAsked { by: bob() });
        assert!(matches!(w.task.phase, Phase::Cancelled { .. }));

        let mut walk = World::started(pipeline);
        while !walk.task.is_closed() {
            let mut w = World {
                task: walk.task.clone(),
                lease: walk.lease.clone(),
                job: walk.job.clone(),
                ..World::new(Pipeline::lite())
            };
            assert!(w.send(Event::CancelAsked { by: common::mallory() }).is_err());
            if w.task.landing.merged.is_some() {
                assert!(w.send(Event::CancelAsked { by: bob() }).is_err());
            } else {
                w.ok(Event::CancelAsked { by: bob() });
                if let Phase::Stopping { job, .. } = w.task.phase {
                    let merging = matches!(w.task.step(), Some(Step::Merge));
                    assert_eq!(w.last.as_ref().unwrap().stop, (!merging).then_some(job));
                    assert!(w.send(Event::CancelAsked { by: bob() }).is_err());
                    w.end(Outcome::Cancelled);
                }
                assert!(matches!(w.task.phase, Phase::Cancelled { .. }));
                assert!(!w.holds_lease());
                for event in [Event::RetryAsked { by: bob() }, Event::TimerFired, Event::Started { by: bob() }] {
                    assert!(w.send(event).is_err());
                }
            }
            walk.step();
        }
    }
}

#[test]
fn a_run_stopped_from_outside_starts_again_and_costs_nothing() {
    let mut w = lite("run developer 0");
    w.end(Outcome::Cancelled);
    assert_eq!((w.doing().as_str(), w.task.spent.rounds), ("run developer 0", 0));
}

#[test]
fn what_landed_differs_from_what_was_tested_and_the_queue_freezes() {
    let mut w = lite("merge");
    let head = w.task.branch.head.clone().unwrap();
    w.end(Outcome::Merged { commit: head, tree: tree(0) });
    assert!(matches!(w.task.phase, Phase::Blocked { why: BlockReason::WrongTree { .. }, .. }));
    assert!(w.holds_lease(), "nobody else merges until somebody has looked");
    assert_eq!(w.told.len(), 1);
    assert!(w.send(Event::CancelAsked { by: bob() }).is_err());
    w.ok(Event::RetryAsked { by: bob() });
    assert_eq!((w.doing().as_str(), w.holds_lease()), ("deploy production", false));
}

#[test]
fn what_a_stranger_pushed_is_judged_by_everybody_before_it_is_merged() {
    let mut w = lite("update");
    w.end(Outcome::BranchMoved { now: Some(sha(66)) });
    assert!(matches!(w.task.phase, Phase::Blocked { why: BlockReason::BranchMoved { .. }, .. }));
    w.ok(Event::RetryAsked { by: bob() });
    assert_eq!((w.doing().as_str(), w.task.branch.head.clone()), ("pull request", Some(sha(66))));
    w.until("run reviewer 0");
    w.finish();

    let mut w = lite("publish developer");
    w.end(Outcome::BranchMoved { now: Some(sha(66)) });
    w.ok(Event::RetryAsked { by: bob() });
    assert_eq!(w.doing(), "run developer 0", "on top of it, not over it");
}

#[test]
fn whatever_says_no_after_the_merge_production_goes_back_first_and_nothing_is_merged_twice() {
    let mut pipeline = Pipeline::lite();
    for step in pipeline.stages.iter_mut().flat_map(|s| &mut s.steps) {
        if let Step::Gate { on_inconclusive, .. } = step {
            *on_inconclusive = orch_core::pipeline::OnInconclusive::Fail;
        }
    }
    let mut w = World::at(pipeline, "judge check_deploy_status");
    let commit = w.task.landing.merged.clone().unwrap().commit;
    let fault = FaultNote::new(FaultKind::Transient, "no network here");
    w.end(Outcome::Judged { head: commit, verdict: Verdict::Inconclusive { fault }, notes: vec![], warning: None });
    assert_eq!(w.task.phase_word(), "rolling_back");
    w.end(Outcome::RolledBack { ok: true, text: "production is back".into() });
    assert_eq!(w.task.phase_word(), "production_failed");
    assert_eq!((w.task.branch.generation, w.task.landing.merged.is_some(), w.task.spent.rounds), (1, true, 0));
}

/// Whoever removes a branch twice is asked twice.
#[test]
fn a_branch_is_made_again_once_for_each_word_of_a_person() {
    for other in [false, true] {
        let mut w = lite("update");
        w.end(Outcome::BranchMoved { now: None });
        w.ok(Event::RetryAsked { by: bob() });
        assert!(w.task.branch.again && w.doing() == "update");
        let updated = |w: &mut World, repatched| {
            let head = w.fresh();
            w.end(Outcome::Updated { head, base: sha(1), tree: tree(9), repatched, voids: false });
        };
        updated(&mut w, other);
        assert!(!w.task.branch.again, "another patch of it: {other}");
        w.finish();
    }
}
