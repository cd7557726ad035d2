//! How people end what is under way in another way, and what becomes of a task that was over.
#![allow(clippy::unwrap_used)] // a test that cannot go on must say so where it stands

mod common;
use common::{World, anna, bob, failed, mallory};
use orch_core::effect::{Effect, NotMerged, Outcome};
use orch_core::event::Event;
use orch_core::explain::{explain, line};
use orch_core::pipeline::Pipeline;
use orch_core::task::{DoneOutcome, Phase, WaitReason, WayOut};
use orch_core::ticket::{self, TicketState};

fn edit(title: Option<&str>, body: Option<&str>) -> Event {
    Event::EditAsked { by: bob(), title: title.map(Into::into), body: body.map(Into::into) }
}
fn finish(reason: &str) -> Event {
    Event::FinishAsked { by: bob(), reason: reason.into() }
}
fn revert() -> Event {
    Event::RevertAsked { by: bob(), reason: Some("too loud".into()) }
}
fn outcome(w: &World) -> Option<DoneOutcome> {
    match w.task.phase {
        Phase::Done { outcome, .. } => Some(outcome),
        _ => None,
    }
}
fn done() -> World {
    let mut w = World::started(Pipeline::lite());
    w.finish();
    w
}

#[test]
fn an_edit_is_a_job_for_the_ticket_and_in_the_next_brief_at_once() {
    let mut w = World::new(Pipeline::lite());
    w.ok(edit(Some("Show the build"), None));
    let effect = |w: &World| w.jobs.iter().map(|j| j.effect.clone()).find(|e| matches!(e, Effect::EditTicket { .. }));
    let wanted = Effect::EditTicket { title: Some("Show the build".into()), body: None, by: bob() };
    assert_eq!(effect(&w), Some(wanted));
    assert_eq!(
        (w.task.title.as_str(), w.task.branch.name.as_str()),
        ("Show the build", "feature/DEMO-1-show-the-build")
    );
    w.ok(Event::Started { by: bob() });
    w.until("run developer 0");
    w.ok(edit(None, Some("On every page.\n\nIn small print.")));
    let note = w.task.findings.notes.last().unwrap().to_string();
    assert!(note.ends_with("It now reads:\nShow the build\n\nOn every page.\n\nIn small print."), "{note}");
    // The next one goes on from there, and says what it leaves alone.
    w.ok(edit(Some("Show the version"), None));
    let note = w.task.findings.notes.last().unwrap().to_string();
    assert!(note.ends_with("Show the version\n\nOn every page.\n\nIn small print."), "{note}");
    assert!(w.story.iter().any(|s| s == "local:bob edits the ticket"));
    // What the tracker tells of it afterwards is no news.
    let said =
        Event::TicketEdited { title: "Show the version".into(), body: "On every page.\n\nIn small print.".into() };
    assert!(w.send(said).unwrap_err().contains("noted already"));
}

#[test]
fn an_edit_that_cannot_be_is_refused_by_what_is_wrong() {
    let mut w = World::started(Pipeline::lite());
    for (event, why) in [
        (edit(None, None), "nothing is to be changed"),
        (edit(Some(" "), None), "one line"),
        (edit(Some("a\nb"), None), "one line"),
        (edit(Some(&"x".repeat(301)), None), "300 characters"),
        (edit(None, Some(&"x".repeat(1024 * 1024 + 1))), "bytes"),
        (edit(Some("Show the version"), Some("On the front page.")), "says already"),
        (Event::EditAsked { by: mallory(), title: Some("x".into()), body: None }, "may not edit"),
    ] {
        let refused = w.send(event).unwrap_err();
        assert!(refused.contains(why), "{refused}");
    }
    // One that is over can be edited before it is begun again.
    let mut w = done();
    let before = w.task.phase.clone();
    w.ok(edit(Some("Better"), None));
    assert_eq!((&w.task.phase, w.task.title.as_str()), (&before, "Show the version"));
    assert!(matches!(&w.jobs[..], [job] if matches!(job.effect, Effect::EditTicket { .. })));
}

#[test]
fn a_finished_task_is_done_without_a_merge_and_says_who_and_why() {
    for name in ["open", "run developer 0", "judge check_security_gate", "update", "judge check_ci_green exact"] {
        let mut w = World::at(Pipeline::lite(), name);
        assert!(w.send(finish("  ")).unwrap_err().contains("say why"));
        w.ok(finish("done by hand in the console"));
        assert!(explain(&w.task).unwrap().reason.contains("being finished for local:bob"));
        assert_eq!(w.last.as_ref().unwrap().stop, w.task.job(), "{name}");
        w.end(Outcome::Cancelled);
        assert_eq!(outcome(&w), Some(DoneOutcome::Finished), "{name}");
        assert_eq!(line(&w.task), "done, finished outside of orch by local:bob: done by hand in the console");
        assert_eq!(ticket::state(&w.task), Some(TicketState::Done));
        assert!(w.task.landing.merged.is_none() && w.task.done_at.is_some() && !w.holds_lease());
        assert!(w.jobs.iter().any(|j| j.effect == Effect::CleanUp));
        assert!(w.send(finish("again")).unwrap_err().contains("over"));
    }
    for mut w in [World::new(Pipeline::lite()), World::at(Pipeline::full(), "judge check_analysis_approved")] {
        if w.task.job().is_some() {
            w.judge(common::approval("d1"));
        }
        w.ok(finish("not needed"));
        assert_eq!(outcome(&w), Some(DoneOutcome::Finished));
    }
}

#[test]
fn nothing_is_finished_under_a_merge_a_hook_or_an_open_question_of_production() {
    for (name, why) in [
        ("merge", "a merge is under way"),
        ("deploy production", "production is not settled"),
        ("watch", "production is not settled"),
    ] {
        let mut w = World::at(Pipeline::lite(), name);
        let refused = w.send(finish("by hand")).unwrap_err();
        assert!(refused.contains(why), "{refused}");
    }
    let mut w = World::at(Pipeline::full(), "deploy staging");
    assert!(w.send(finish("by hand")).unwrap_err().contains("a deploy is under way"));
    let mut w = World::at(Pipeline::lite(), "merge");
    w.end(failed("nobody knows"));
    assert!(w.send(finish("by hand")).unwrap_err().contains("not known"));
    let mut w = World::at(Pipeline::lite(), "judge check_deploy_status");
    w.fail("port taken");
    w.step();
    assert!(w.send(finish("by hand")).unwrap_err().contains("--as accept"));
    w.ok(Event::WayChosen { by: bob(), way: WayOut::Repair });
    assert!(w.send(finish("by hand")).unwrap_err().contains("orch task cancel DEMO-1"));
    assert!(w.send(Event::FinishAsked { by: mallory(), reason: "x".into() }).unwrap_err().contains("may not finish"));
}

#[test]
fn what_is_done_and_healthy_is_taken_back_through_the_same_gates() {
    let mut w = done();
    let merged = w.task.landing.merged.clone().unwrap();
    w.ok(revert());
    assert_eq!((w.doing().as_str(), w.task.branch.name.as_str()), ("open", "feature/DEMO-1-show-the-version-r2"));
    let reverting = w.task.production.reverting.clone().unwrap();
    assert_eq!((&reverting.commit, reverting.by_hand), (&merged.commit, false));
    assert!(w.story.iter().any(|s| s.contains("local:bob wants it taken back: too loud")));
    assert!(w.task.production_holds(None).is_empty(), "it holds up nobody's deploy");
    assert!(w.send(revert()).unwrap_err().contains("being taken back already"));
    assert!(w.send(finish("by hand")).unwrap_err().contains("being taken back"));
    w.step();
    assert_ne!(w.doing(), "run developer 0", "nobody has to develop anything");
    w.finish();
    assert_eq!(outcome(&w), Some(DoneOutcome::Reverted));
    assert!(w.task.lives.before_revert.is_none());
    assert!(w.send(revert()).unwrap_err().contains("taken back already"));
}

/// Whatever production made of it: taken back a second time, what nobody wanted would be there again.
#[test]
fn what_was_taken_back_is_not_taken_back_again_however_production_took_it() {
    let taken_back = |name: &str| {
        let mut w = done();
        w.ok(revert());
        w.until(name);
        w
    };
    for bad in [DoneOutcome::Inconclusive, DoneOutcome::Degraded, DoneOutcome::RolledBack] {
        let mut w = taken_back("watch");
        w.end(Outcome::Watched { outcome: bad });
        assert_eq!(outcome(&w), Some(bad));
        let before = w.task.clone();
        let refused = w.send(revert()).unwrap_err();
        assert!(refused.contains("taken back already") && refused.contains("orch task start DEMO-1"), "{refused}");
        assert_eq!(w.task, before);
    }
    // Its deploy fails, and is left at that; its rollback fails.
    let mut w = taken_back("judge check_deploy_status");
    assert!(w.send(revert()).unwrap_err().contains("taken back already"));
    w.fail("port taken");
    assert!(w.send(revert()).unwrap_err().contains("taken back already"));
    w.step();
    assert!(matches!(w.task.phase, Phase::Waiting { why: WaitReason::Production { .. }, .. }));
    assert!(w.send(revert()).unwrap_err().contains("taken back already"));
    w.ok(Event::WayChosen { by: bob(), way: WayOut::Accept });
    assert!(w.send(revert()).unwrap_err().contains("taken back already"));
    // Begun again, it can be taken back again.
    w.ok(again(Pipeline::lite()));
    w.finish();
    w.ok(revert());
    w.finish();
    assert_eq!(outcome(&w), Some(DoneOutcome::Reverted));
}

#[test]
fn a_revert_that_is_given_up_leaves_the_task_done_as_it_was() {
    for name in ["open", "judge check_ci_green", "judge check_reviewer_verdict"] {
        let mut w = done();
        let (phase, merged, done_at) = (outcome(&w), w.task.landing.merged.clone(), w.task.done_at);
        w.ok(revert());
        w.until(name);
        w.ok(Event::CancelAsked { by: anna() });
        w.end(Outcome::Cancelled);
        assert_eq!((outcome(&w), &w.task.landing.merged, w.task.done_at), (phase, &merged, done_at), "{name}");
        assert!(w.task.production.reverting.is_none() && w.jobs.iter().any(|j| j.effect == Effect::CleanUp));
        // And it can be taken back after all.
        w.ok(revert());
        w.finish();
        assert_eq!(outcome(&w), Some(DoneOutcome::Reverted));
    }
}

/// Whatever was forgotten with the branch of the first revert: without the tip before the merge a second one would take back
/// its last commit alone.
#[test]
fn a_revert_after_one_that_was_given_up_takes_back_all_of_it() {
    let given_up = |mut w: World| {
        w.until("judge check_ci_green");
        w.ok(Event::CancelAsked { by: anna() });
        w.end(Outcome::Cancelled);
        w
    };
    let accepted = || {
        let mut w = World::at(Pipeline::lite(), "judge check_deploy_status");
        w.fail("port taken");
        w.step();
        w.ok(Event::WayChosen { by: bob(), way: WayOut::Accept });
        w
    };
    for mut w in [done(), accepted()] {
        let failures = w.task.production.failures.clone();
        w.ok(revert());
        let first = w.task.production.reverting.clone().unwrap();
        assert!(first.base.is_some());
        for _ in 0..2 {
            w = given_up(w);
            assert_eq!(w.task.production.failures, failures);
            w.ok(revert());
            assert_eq!(w.task.production.reverting.as_ref(), Some(&first));
        }
        // What lands then has a base of its own.
        w.until("judge check_deploy_status");
        w.fail("port taken");
        w.step();
        let failure = w.task.production.failures.last().unwrap();
        assert_eq!(failure.base.as_ref(), w.task.landing.intent.as_ref().map(|i| &i.base));
        assert!(w.task.lives.base.is_none());
    }
}

#[test]
fn what_production_did_not_take_is_taken_back_by_the_same_word() {
    let mut w = World::at(Pipeline::lite(), "judge check_deploy_status");
    assert!(w.send(revert()).unwrap_err().contains("production is being worked at"));
    w.fail("port taken");
    w.step();
    assert!(matches!(w.task.phase, Phase::Waiting { why: WaitReason::Production { .. }, .. }));
    w.ok(revert());
    assert!(w.task.production.reverting.is_some() && w.task.lives.before_revert.is_none());
    assert_eq!(w.task.production.failures[0].answer.as_ref().unwrap().way, WayOut::Revert);
    w.finish();
    assert_eq!(outcome(&w), Some(DoneOutcome::Reverted));
}

#[test]
fn what_is_not_merged_is_not_taken_back() {
    let mut w = World::at(Pipeline::lite(), "run developer 0");
    assert!(w.send(revert()).unwrap_err().contains("orch task cancel DEMO-1"));
    assert!(w.send(Event::RevertAsked { by: mallory(), reason: None }).unwrap_err().contains("may not revert"));
    w.ok(finish("by hand"));
    w.end(Outcome::Cancelled);
    assert!(w.send(revert()).unwrap_err().contains("nothing of it is merged"));
}

fn again(pipeline: Pipeline) -> Event {
    let ticket = orch_core::task::NewTask { title: "Show it better".into(), ..common::ticket(pipeline) };
    Event::BegunAgain { by: bob(), ticket: Box::new(ticket) }
}

#[test]
fn what_is_over_is_begun_again_on_a_branch_of_its_own_with_the_pipeline_of_today() {
    let mut w = done();
    w.task.approvals.push(orch_core::task::Approval {
        what: orch_core::task::ApprovalKind::Protected,
        subject: "d1".into(),
        by: anna(),
        at: w.now,
    });
    let (merged, old) = (w.task.landing.merged.clone().unwrap().commit, w.task.branch.name.clone());
    let first_job = w.task.next_seq;
    assert!(w.send(Event::Started { by: bob() }).unwrap_err().contains("over"));
    w.ok(again(Pipeline::full()));
    assert_eq!((w.doing().as_str(), w.task.branch.name.as_str()), ("open", "feature/DEMO-1-show-it-better-r2"));
    assert_eq!((w.task.pipeline.name.as_str(), w.task.title.as_str()), ("full", "Show it better"));
    assert!(w.task.landing.merged.is_none() && w.task.landing.earlier.contains(&merged));
    assert!(w.task.approvals.is_empty() && w.task.done_at.is_none() && w.task.branch.pull_request.is_none());
    assert_eq!(w.task.branch.old.last().unwrap().0, old);
    let notes = w.task.past_notes();
    assert!(notes[0].contains("done, healthy") && notes[0].contains(merged.short()), "{notes:?}");
    assert_eq!(w.task.lives.past[0].jobs_before, first_job);
    assert!(w.jobs.iter().any(|j| j.effect == Effect::SyncTicket));
    assert!(w.send(again(Pipeline::lite())).unwrap_err().contains("under way already"));
    w.finish();
    // And a third time, after a cancel.
    w.ok(again(Pipeline::lite()));
    w.until("run developer 0");
    w.ok(Event::CancelAsked { by: bob() });
    w.end(Outcome::Cancelled);
    assert!(matches!(w.task.phase, Phase::Cancelled { .. }));
    w.ok(again(Pipeline::lite()));
    assert_eq!((w.task.branch.generation, w.task.past_notes().len()), (4, 3));
    assert!(w.task.branch.name.ends_with("-r4"));
    w.finish();
}

#[test]
fn what_cleans_up_after_a_life_sees_that_life_until_the_next_one_has_its_branch() {
    let mut w = done();
    let (ended, own) = (w.task.clone(), w.task.next_seq);
    w.ok(again(Pipeline::lite()));
    let clean_up = w.task.as_of(own - 1).unwrap();
    assert_eq!((&clean_up.phase, &clean_up.branch, &clean_up.landing), (&ended.phase, &ended.branch, &ended.landing));
    assert_eq!(w.task.as_of(own).unwrap().branch.name, w.task.branch.name, "its own jobs are about this life");
    // Given up before it has a branch, and begun again: each job still has its own life.
    w.ok(Event::CancelAsked { by: bob() });
    w.end(Outcome::Cancelled);
    let second = (w.task.branch.name.clone(), w.task.next_seq);
    w.ok(again(Pipeline::lite()));
    assert_eq!(w.task.as_of(own - 1).unwrap().branch.name, ended.branch.name);
    assert_eq!(w.task.as_of(second.1 - 1).unwrap().branch.name, second.0);
    w.until("run developer 0");
    assert_eq!(w.task.lives.before, None, "the branch is opened behind all of that");
    // Nobody makes a task large by giving it up over and over.
    w.ok(Event::CancelAsked { by: bob() });
    w.end(Outcome::Cancelled);
    for _ in 0..20 {
        w.ok(again(Pipeline::lite()));
        w.ok(Event::CancelAsked { by: bob() });
        w.end(Outcome::Cancelled);
    }
    let lives = std::iter::successors(w.task.lives.before.as_deref(), |t| t.lives.before.as_deref());
    assert_eq!(lives.count(), 4);
    assert!(w.task.as_of(own - 1).is_none(), "what is forgotten is not taken for another life");
}

#[test]
fn no_agent_begins_again_with_what_a_person_landed_and_landers_may_steer_it() {
    let mut w = done();
    w.task.branch.source = Some(orch_core::source::Source::new("anna/my fix", common::sha(40)));
    let refused = w.send(again(Pipeline::lite())).unwrap_err();
    assert!(refused.contains("orch land 'anna/my fix'"), "{refused}");
    let mut w = World::at(Pipeline::lite().without_agents(), "judge check_security_gate");
    w.task.branch.source = Some(orch_core::source::Source::new("anna/fix", common::sha(40)));
    w.policy.landers = vec!["local:lena".into()];
    let lena = || orch_core::ids::Actor::from("local:lena");
    assert!(w.send(Event::PutOnHold { by: "local:carl".into(), reason: None }).unwrap_err().contains("may not hold"));
    w.ok(Event::PutOnHold { by: lena(), reason: None });
    w.ok(Event::Released { by: lena() });
    let file = Event::Attached { by: lena(), name: "a.png".into(), size: 1, sha256: "0".repeat(64) };
    assert!(w.send(file).unwrap_err().contains("no agent would read it"));
    w.ok(Event::FinishAsked { by: lena(), reason: "not needed".into() });
}

/// Whatever a merged task rests on: nobody has to let it go to production to be rid of it.
#[test]
fn what_is_merged_and_rests_has_every_way_out() {
    type Rest = fn(&mut World);
    let full = Pipeline::full;
    let rests: [(&str, Rest); 3] = [
        ("held", |w| {
            w.until("deploy production");
            w.ok(Event::PutOnHold { by: bob(), reason: Some("frozen".into()) });
            w.end(Outcome::Cancelled);
        }),
        ("behind another task's failure", |w| {
            w.until("deploy production");
            w.end(Outcome::Held { revision: common::sha(70), by: "DEMO-9".into() });
        }),
        ("before its approval", |w| {
            w.until("merge");
            w.step();
            assert!(
                matches!(w.task.phase, Phase::Waiting { why: WaitReason::Approval { .. }, .. }),
                "{:?}",
                w.task.phase
            );
        }),
    ];
    for (what, rest) in rests {
        let start = || {
            let mut w = World::started(full());
            w.policy.production_approval = what == "before its approval";
            rest(&mut w);
            assert!(w.task.landing.merged.is_some(), "{what}");
            w
        };
        let mut w = start();
        let refused = w.send(Event::CancelAsked { by: bob() }).unwrap_err();
        assert!(refused.contains("--as"), "{what}: {refused}");
        w.ok(revert());
        assert!(w.task.production.reverting.is_some(), "{what}");
        let lies = |s: &String| s.contains("production failed") || s.contains("failed in production");
        assert!(
            !w.story
                .iter()
                .cloned()
                .chain(w.task.findings.notes.iter().map(ToString::to_string))
                .any(|said| lies(&said)),
            "{what}: {:?}",
            w.story
        );
        assert!(w.story.iter().any(|s| s.starts_with("local:bob stops it: ")), "{what}: {:?}", w.story);
        let mut w = start();
        w.ok(Event::WayChosen { by: bob(), way: WayOut::Accept });
        assert!(w.task.is_closed(), "{what}: production is left as it is");
    }
}

#[test]
fn a_held_merge_that_was_asked_for_is_read_back_and_not_asked_for_again() {
    let mut w = World::at(Pipeline::lite(), "merge");
    w.end(failed("nobody may look"));
    assert!(w.task.merge_unknown());
    w.ok(Event::PutOnHold { by: bob(), reason: None });
    w.ok(Event::RetryAsked { by: anna() });
    assert_eq!(w.doing(), "merge", "whether it happened is looked at");
    // It has not, and whoever looks sees the hold.
    w.end(Outcome::NotMerged { why: NotMerged::OnHold });
    assert!(matches!(w.task.phase, Phase::Waiting { why: WaitReason::OnHold, .. }), "{:?}", w.task.phase);
    assert!(!w.holds_lease());
    w.ok(Event::Released { by: bob() });
    w.finish();
}

#[test]
fn the_text_of_a_landing_keeps_the_line_that_says_so() {
    let mut w = World::new(Pipeline::lite().without_agents());
    w.task.branch.source = Some(orch_core::source::Source::new("anna/fix", common::sha(40)));
    assert!(w.send(edit(None, Some("do this"))).unwrap_err().contains("leave that line"));
    w.ok(edit(None, Some(&orch_core::source::ticket_text("`anna/fix`", &common::sha(40)))));
}

fn landed(w: &World, tested: bool) -> Event {
    let head = w.task.branch.head.clone().unwrap();
    Event::Landed { commit: common::sha(77), tree: common::tree(7), head, by: Some(bob()), tested }
}

#[test]
fn what_somebody_else_merged_is_neither_finished_over_nor_forgotten() {
    // A person does not want it, and it is being taken back.
    let mut w = World::at(Pipeline::lite(), "judge check_security_gate");
    w.ok(landed(&w, false));
    w.end(Outcome::Cancelled);
    w.ok(Event::WayChosen { by: bob(), way: WayOut::Revert });
    let refused = w.send(finish("by hand")).unwrap_err();
    assert!(refused.contains("being taken back") && refused.contains("orch task cancel DEMO-1"), "{refused}");
    // The task ends without it: a late look is no news of it, and the next life knows that it is on main.
    for end in [finish("not ours"), Event::CancelAsked { by: bob() }] {
        let mut w = World::at(Pipeline::lite(), "judge check_security_gate");
        w.ok(landed(&w, false));
        w.end(Outcome::Cancelled);
        w.ok(end);
        assert!(w.task.is_closed() && w.task.landing.merged.is_none());
        let refused = w.send(revert()).unwrap_err();
        assert!(refused.contains("nothing of it is merged") && refused.contains(common::sha(77).short()), "{refused}");
        w.ok(again(Pipeline::lite()));
        let note = w.task.past_notes().remove(0);
        assert!(note.contains(&format!("on the default branch as {}", common::sha(77).short())), "{note}");
        w.until("run developer 0");
        assert!(w.send(landed(&w, true)).unwrap_err().contains("an earlier branch of it"));
        w.finish();
    }
}

#[test]
fn a_life_that_took_its_change_back_says_so_and_a_later_one_names_what_is_on_main() {
    let mut w = done();
    let change = w.task.landing.merged.clone().unwrap().commit;
    w.ok(revert());
    w.finish();
    let back = w.task.landing.merged.clone().unwrap().commit;
    w.ok(again(Pipeline::lite()));
    let note = w.task.past_notes().remove(0);
    assert!(note.contains(&format!("its change {} was taken back as {}", change.short(), back.short())), "{note}");
    w.ok(Event::CancelAsked { by: bob() });
    w.end(Outcome::Cancelled);
    let refused = w.send(revert()).unwrap_err();
    assert!(refused.contains(back.short()) && refused.contains("not of this life"), "{refused}");
}

/// The other way round: what was to be given up has happened.
#[test]
fn a_revert_that_somebody_merged_by_hand_is_not_given_up() {
    let at_gates = || {
        let mut w = done();
        w.ok(revert());
        w.until("judge check_ci_green");
        w
    };
    let takes_it = |mut w: World| {
        assert!(!w.task.is_closed() && w.task.landing.landed.is_some(), "{:?}", w.task.phase);
        let refused = w.send(Event::CancelAsked { by: bob() }).unwrap_err();
        assert!(refused.contains("its revert is merged") && refused.contains("orch approve DEMO-1"), "{refused}");
        w.ok(Event::Approved { by: anna(), gate: None, subject: None, comment: None });
        w.finish();
        assert_eq!(outcome(&w), Some(DoneOutcome::Reverted));
    };
    let mut w = at_gates();
    w.ok(landed(&w, false));
    w.end(Outcome::Cancelled);
    takes_it(w);
    // Merged while it is being given up.
    let mut w = at_gates();
    w.ok(Event::CancelAsked { by: bob() });
    w.ok(landed(&w, false));
    w.end(Outcome::Cancelled);
    assert!(w.story.iter().any(|s| s.contains("it cannot be given up any more")));
    takes_it(w);
}

#[test]
fn who_may_not_start_does_not_begin_again_and_a_failure_of_before_holds_nobody_up() {
    let mut w = World::at(Pipeline::lite(), "judge check_deploy_status");
    w.fail("port taken");
    w.step();
    w.ok(Event::WayChosen { by: bob(), way: WayOut::Accept });
    let ticket = Box::new(common::ticket(Pipeline::lite()));
    let refused = w.send(Event::BegunAgain { by: mallory(), ticket }).unwrap_err();
    assert!(refused.contains("may not start"), "{refused}");
    w.ok(again(Pipeline::lite()));
    assert!(w.task.production_holds(None).is_empty() && w.task.production.failures.is_empty());
    // What is given up now is cancelled: nothing of this life is merged.
    w.ok(Event::CancelAsked { by: bob() });
    w.end(Outcome::Cancelled);
    assert!(matches!(w.task.phase, Phase::Cancelled { .. }));
}

#[test]
fn a_ticket_that_is_moved_back_to_in_progress_begins_again_and_one_that_was_moved_before_the_end_does_not() {
    let w = done();
    let Phase::Done { since, .. } = w.task.phase else { panic!("{:?}", w.task.phase) };
    let wants = |seen, at| ticket::intent(&TicketState::InProgress.into(), Some(&bob()), Some(&w.task), seen, at);
    assert_eq!(wants(true, since.plus_ms(1)), Some(Event::Started { by: bob() }));
    assert_eq!((wants(true, since), wants(false, since.plus_ms(1))), (None, None));
    // orch itself moved it.
    assert!(!ticket::is_moved(Some("Done"), &TicketState::InProgress.into(), Some(&orch_core::ids::Actor::orch())));
}
