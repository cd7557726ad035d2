//! What production did not take: a person is told why, once, and chooses among four ways out. It is nobody's round.
#![allow(clippy::unwrap_used)] // a test that cannot go on must say so where it stands

mod common;
use common::{World, anna, bob, failed, mallory, must, policy, sha};
use orch_core::effect::{Effect, Outcome};
use orch_core::event::Event;
use orch_core::explain::explain;
use orch_core::ids::Sha;
use orch_core::pipeline::Pipeline;
use orch_core::policy::Policy;
use orch_core::task::{BlockReason, DoneOutcome, Phase, WaitReason, WayOut};

/// Production has said no, and is back on what ran before.
fn failed_in(pipeline: Pipeline) -> (World, Sha) {
    let mut w = World::at(pipeline, "judge check_deploy_status");
    let bad = w.task.landing.merged.clone().unwrap().commit;
    w.fail("# DEMO-1 on production\n\n- hook: exit 7\n\n    connecting\n    no such table: people\n");
    assert!(matches!(&w.job.as_ref().unwrap().effect, Effect::Rollback { failed, .. } if *failed == bad));
    assert!(explain(&w.task).unwrap().reason.contains("brought back"));
    w.step();
    (w, bad)
}

fn choose(w: &mut World, way: WayOut) {
    w.ok(Event::WayChosen { by: bob(), way });
}

fn waits(w: &World) -> bool {
    matches!(w.task.phase, Phase::Waiting { why: WaitReason::Production { .. }, .. })
}

#[test]
fn a_failed_deploy_waits_for_a_person_costs_no_round_and_is_told_once_with_its_cause() {
    for pipeline in [Pipeline::lite(), Pipeline::full()] {
        let (w, bad) = failed_in(pipeline);
        assert!(waits(&w), "{:?}", w.task.phase);
        assert_eq!(
            (w.task.spent.rounds, w.task.branch.generation, w.task.landing.merged.clone().unwrap().commit),
            (0, 1, bad.clone())
        );
        let about: Vec<_> = w.told.iter().filter(|t| t.contains("production failed")).collect();
        assert_eq!(about.len(), 1, "{:?}", w.told);
        for said in
            ["no such table: people", "production is back on v1", "--as deploy|repair|revert|accept", bad.short()]
        {
            assert!(about[0].contains(said), "{said}: {}", about[0]);
        }
        let why = explain(&w.task).unwrap();
        assert_eq!(why.command.as_deref(), Some("orch task retry DEMO-1 --as deploy|repair|revert|accept"));
        assert!(why.reason.contains("no such table: people"), "{}", why.reason);
        for way in WayOut::ALL {
            assert!(why.ends_when.contains(&format!("{} ({})", way.as_str(), way.means())), "{}", why.ends_when);
        }
    }
}

#[test]
fn a_rollback_that_fails_in_any_way_is_told_at_once_and_has_the_same_ways_out() {
    for end in [Outcome::RolledBack { ok: false, text: "no previous revision".into() }, failed("no hook")] {
        for way in WayOut::ALL {
            let mut w = World::at(Pipeline::lite(), "judge check_deploy_status");
            w.fail("down");
            w.end(end.clone());
            assert!(waits(&w) && w.told.len() == 1, "{:?} {:?}", w.task.phase, w.told);
            choose(&mut w, *way);
            w.finish();
        }
    }
    let mut w = World::at(Pipeline::lite(), "judge check_deploy_status");
    w.end(Outcome::RolledBack { ok: true, text: "nobody asked".into() });
    assert!(matches!(w.task.phase, Phase::Blocked { why: BlockReason::JobFailed { .. }, .. }), "not asked for");
}

#[test]
fn deploy_deploys_the_same_revision_again_with_hooks_that_run_again() {
    for plain in [false, true] {
        let (mut w, bad) = failed_in(Pipeline::lite());
        let event =
            if plain { Event::RetryAsked { by: bob() } } else { Event::WayChosen { by: bob(), way: WayOut::Deploy } };
        w.ok(event);
        let job = w.job.clone().unwrap();
        let Effect::Deploy { revision, since, .. } = job.effect else { panic!("{job:?}") };
        assert_eq!((revision, since), (bad, job.seq), "hooks of earlier jobs do not count");
        w.finish();
        assert_eq!((w.merges, w.task.branch.generation, w.task.spent.rounds), (1, 1, 0));
        assert!(matches!(w.task.phase, Phase::Done { outcome: DoneOutcome::Healthy, .. }));
        let answer = w.task.production.failures[0].answer.clone().unwrap();
        assert_eq!((answer.way, answer.by), (WayOut::Deploy, bob()));
    }
}

#[test]
fn a_deploy_that_fails_again_asks_again_and_goes_past_no_approval() {
    let mut w = World::with(Pipeline::lite(), Policy { production_approval: true, ..policy() });
    w.ok(Event::Started { by: bob() });
    w.until("judge check_deploy_status");
    for nth in 1..=3 {
        w.fail("down");
        w.step();
        assert!(waits(&w));
        assert_eq!(w.task.production.failures.len(), nth);
        choose(&mut w, WayOut::Deploy);
        assert_eq!(w.doing(), "deploy production", "it is approved for this revision");
        w.step();
    }
    w.finish();
    let approvals = w.task.approvals.len();
    assert_eq!(approvals, 1);

    let mut w = World::with(Pipeline::lite(), Policy { production_approval: true, ..policy() });
    w.ok(Event::Started { by: bob() });
    w.until("merge");
    w.step();
    w.ok(Event::Rejected { by: anna(), gate: None, comment: "not on a Friday".into() });
    choose(&mut w, WayOut::Deploy);
    assert!(matches!(w.task.phase, Phase::Waiting { why: WaitReason::Approval { .. }, .. }), "{:?}", w.task.phase);
}

#[test]
fn repair_goes_to_development_on_a_new_branch_with_the_log_and_all_repairs() {
    let (mut w, _) = failed_in(Pipeline::lite());
    w.task.spent.rounds = w.policy.max_developer_retries;
    choose(&mut w, WayOut::Repair);
    assert_eq!((w.task.branch.name.as_str(), w.task.branch.generation), ("feature/DEMO-1-show-the-version-r2", 2));
    assert_eq!((w.doing().as_str(), w.task.stage().as_str()), ("open", "development"));
    assert_eq!(
        (w.task.landing.merged.clone(), w.task.landing.intent.clone(), w.task.branch.pull_request),
        (None, None, None)
    );
    w.step();
    assert_eq!(w.doing(), "run developer 0");
    assert!(w.task.findings.open[0].text.contains("no such table: people"));
    w.finish();
    assert_eq!((w.merges, w.task.branch.pull_request), (2, Some(2)));
    assert!(matches!(w.task.phase, Phase::Done { outcome: DoneOutcome::Healthy, .. }));
}

#[test]
fn revert_takes_the_change_back_through_every_gate_without_a_developer() {
    for pipeline in [Pipeline::lite(), Pipeline::full()] {
        let (mut w, bad) = failed_in(pipeline);
        let base = w.task.landing.intent.clone().unwrap().base;
        choose(&mut w, WayOut::Revert);
        assert_eq!((w.doing().as_str(), w.task.branch.generation), ("open", 2));
        let reverting = w.task.production.reverting.clone().unwrap();
        assert_eq!((reverting.commit, reverting.base), (bad, Some(base)));
        w.step();
        assert_eq!(w.doing(), "pull request", "nothing is to be developed");
        let mut asked = Vec::new();
        while !w.task.is_closed() {
            asked.push(w.doing());
            w.step();
        }
        let was = |what: &str| asked.iter().any(|a| a.starts_with(what));
        assert!(!was("run developer") && was("run reviewer") && was("judge check_security_gate exact"), "{asked:?}");
        assert!(was("merge") && was("deploy production"), "{asked:?}");
        assert!(matches!(w.task.phase, Phase::Done { outcome: DoneOutcome::Reverted, .. }), "{:?}", w.task.phase);
    }
}

#[test]
fn what_cannot_be_taken_back_by_itself_is_taken_back_by_the_developer() {
    let (mut w, _) = failed_in(Pipeline::lite());
    choose(&mut w, WayOut::Revert);
    w.end(Outcome::Conflict { onto: sha(2), files: vec!["a.rs".into()], record: None });
    assert_eq!((w.doing().as_str(), w.task.spent.rounds), ("open", 0));
    w.step();
    assert_eq!(w.doing(), "run developer 0");
    assert_eq!(w.task.findings.open[0].file.as_deref(), Some("a.rs"));
    assert!(w.task.findings.open[0].text.contains("take back"));
    w.finish();
    assert!(matches!(w.task.phase, Phase::Done { outcome: DoneOutcome::Reverted, .. }));
}

#[test]
fn accept_leaves_production_as_it_is_and_says_who_did() {
    let (mut w, bad) = failed_in(Pipeline::lite());
    let told = w.told.len();
    choose(&mut w, WayOut::Accept);
    assert!(matches!(w.task.phase, Phase::Done { outcome: DoneOutcome::Accepted, .. }));
    assert_eq!((w.task.landing.merged.clone().unwrap().commit, w.told.len()), (bad, told));
    let answer = w.task.production.failures[0].answer.clone().unwrap();
    assert_eq!((answer.way, answer.by), (WayOut::Accept, bob()));
    assert!(w.story.iter().any(|s| s.contains("local:bob chooses: accept")), "{:?}", w.story);
}

#[test]
fn only_those_who_may_choose_and_only_where_there_is_something_to_choose() {
    let (mut w, _) = failed_in(Pipeline::lite());
    assert!(w.send(Event::WayChosen { by: mallory(), way: WayOut::Accept }).unwrap_err().contains("may not retry"));
    for at in ["run developer 0", "judge check_reviewer_verdict", "merge", "deploy production"] {
        let mut w = World::at(Pipeline::lite(), at);
        for way in WayOut::ALL {
            let why = w.send(Event::WayChosen { by: bob(), way: *way }).unwrap_err();
            assert!(why.contains("did not fail there"), "{at}: {why}");
        }
    }
    let mut w = World::at(Pipeline::lite(), "run developer 0");
    w.end(failed("401"));
    assert!(w.send(Event::WayChosen { by: bob(), way: WayOut::Accept }).is_err(), "it is blocked before its merge");
}

#[test]
fn whatever_stops_a_merged_task_it_has_the_four_ways_out() {
    for at in ["deploy production", "judge check_deploy_status"] {
        for way in WayOut::ALL {
            let mut w = World::at(Pipeline::lite(), at);
            if at.starts_with("judge") {
                w.judge(orch_core::verdict::Verdict::Unreadable { findings: vec![must("no log")] });
                w.step();
                w.judge(orch_core::verdict::Verdict::Unreadable { findings: vec![must("no log")] });
            } else {
                w.end(failed("fetch-pack: invalid index-pack output"));
            }
            assert!(matches!(w.task.phase, Phase::Blocked { .. }), "{:?}", w.task.phase);
            assert!(explain(&w.task).unwrap().ends_when.contains("--as"), "{:?}", explain(&w.task));
            choose(&mut w, *way);
            w.finish();
        }
    }
}

#[test]
fn a_retry_of_what_stopped_behind_a_hook_lets_the_hooks_record_count() {
    let mut w = World::at(Pipeline::lite(), "deploy production");
    w.end(failed("no checkout for the check"));
    w.ok(Event::RetryAsked { by: bob() });
    let Effect::Deploy { since, .. } = w.job.clone().unwrap().effect else { panic!() };
    assert_eq!(since, 0, "the hook that ended before still counts");
}

#[test]
fn what_is_merged_is_never_cancelled_and_a_repair_that_is_given_up_asks_again() {
    let (mut w, bad) = failed_in(Pipeline::lite());
    let why = w.send(Event::CancelAsked { by: bob() }).unwrap_err();
    assert!(why.contains(bad.short()) && why.contains("--as deploy|repair|revert|accept"), "{why}");

    // At work, waiting and blocked: the repair can be given up, the change cannot.
    for stop in ["run developer 0", "judge check_ci_green", "blocked"] {
        let (mut w, bad) = failed_in(Pipeline::lite());
        choose(&mut w, WayOut::Repair);
        if stop == "blocked" {
            w.end(failed("401"));
        } else {
            w.until(stop);
        }
        w.ok(Event::CancelAsked { by: bob() });
        if w.task.job().is_some() {
            w.end(Outcome::Cancelled);
        }
        assert!(waits(&w), "{stop}: {:?}", w.task.phase);
        assert_eq!(w.task.landing.merged.clone().unwrap().commit, bad);
        assert_eq!(w.told.iter().filter(|t| t.contains("production failed")).count(), 2);
        choose(&mut w, WayOut::Revert);
        assert_eq!((w.task.branch.generation, w.task.branch.name.ends_with("-r3")), (3, true));
        w.finish();
        assert!(matches!(w.task.phase, Phase::Done { outcome: DoneOutcome::Reverted, .. }));
    }
}

/// A revision with the failure and without its repair stays held back when the repair fails as well; and so does the repair.
#[test]
fn a_repair_that_fails_as_well_leaves_the_first_failure_where_it_was() {
    let (mut w, first) = failed_in(Pipeline::lite());
    assert_eq!(w.task.production_holds(None), [(first.clone(), None)]);
    choose(&mut w, WayOut::Repair);
    assert_eq!(w.task.production_holds(None), [(first.clone(), None)], "nothing has landed that repairs it");
    w.until("judge check_deploy_status");
    let second = w.task.landing.merged.as_ref().unwrap().commit.clone();
    assert_ne!(first, second);
    assert_eq!(w.task.production_holds(None), [(first.clone(), Some(second.clone()))]);
    let hook_failed = w.task.production_holds(Some(&second));
    assert_eq!(
        hook_failed,
        [(first.clone(), Some(second.clone())), (second.clone(), None)],
        "before its gate has spoken"
    );
    w.fail("port 80 is taken");
    assert_eq!(w.task.production_holds(None), [(first.clone(), Some(second.clone())), (second.clone(), None)]);
    w.step();
    choose(&mut w, WayOut::Repair);
    assert_eq!(w.task.production_holds(None), [(first, Some(second.clone())), (second, None)]);
    w.finish();
    assert_eq!(w.task.production_holds(None), [], "it is over");
}

#[test]
fn a_deploy_that_is_held_back_waits_looks_again_and_costs_nothing() {
    let mut w = World::at(Pipeline::lite(), "deploy production");
    for _ in 0..3 {
        w.end(Outcome::Held { revision: sha(9), by: "DEMO-2".into() });
        assert_eq!(w.task.phase_word(), "held_back");
        let why = explain(&w.task).unwrap();
        assert!(why.reason.contains("DEMO-2") && why.reason.contains(sha(9).short()), "{}", why.reason);
        assert_eq!(why.command.as_deref(), Some("orch why DEMO-2"));
        w.wake();
        assert_eq!(w.doing(), "deploy production");
    }
    let said = w.story.iter().filter(|s| s.contains("production did not take")).count();
    assert_eq!((said, w.told.len(), w.task.spent.rounds), (1, 0, 0));
    w.finish();
}

#[test]
fn what_a_hook_left_running_and_was_ended_is_said() {
    let mut w = World::at(Pipeline::lite(), "deploy production");
    w.end(Outcome::Deployed { skipped: None, ended: 2 });
    assert!(w.story.iter().any(|s| s.contains("2 processes that the hook left running")), "{:?}", w.story);
}

/// A task of an earlier version stands in the middle of its rollback, or is blocked after one that failed.
#[test]
fn tasks_of_earlier_versions_go_on_from_where_they_stand() {
    let mut w = World::at(Pipeline::lite(), "judge check_deploy_status");
    w.fail("down");
    let stored = serde_json::to_string(&w.task).unwrap();
    assert!(!stored.contains("hooks_from") && !stored.contains("reverting") && !stored.contains("\"production\":["));
    w.step();
    assert!(waits(&w), "a rollback that was under way ends with the question");

    let mut w = World::at(Pipeline::lite(), "judge check_deploy_status");
    let retry = w.task.at;
    w.task.phase = Phase::Blocked { why: BlockReason::RollbackFailed { why: "no hook".into() }, since: w.now, retry };
    w.job = None;
    let mut chosen = World { task: w.task.clone(), ..World::new(Pipeline::lite()) };
    chosen.shas = w.shas;
    choose(&mut chosen, WayOut::Accept);
    assert!(chosen.task.is_closed());
    w.ok(Event::RetryAsked { by: bob() });
    assert_eq!(w.doing(), "judge check_deploy_status");
    w.finish();
}

/// Two revisions that failed, each waiting for the other to be settled, would wait for ever.
#[test]
fn what_failed_and_is_held_back_by_another_failure_still_has_its_ways_out() {
    let held = || Outcome::Held { revision: sha(9), by: "DEMO-2".into() };
    let mut w = World::at(Pipeline::lite(), "deploy production");
    w.end(held());
    let choose = |way| Event::WayChosen { by: bob(), way };
    let mut left = World { task: w.task.clone(), ..World::new(Pipeline::lite()) };
    left.ok(choose(WayOut::Accept));
    assert!(left.task.is_closed(), "a person does not wait for its turn");
    w.wake();
    w.until("judge check_deploy_status");
    w.fail("port 80 is taken");
    w.step();
    w.ok(choose(WayOut::Deploy));
    w.end(held());
    w.ok(choose(WayOut::Accept));
    assert!(matches!(w.task.phase, Phase::Done { outcome: DoneOutcome::Accepted, .. }), "{:?}", w.task.phase);
}
