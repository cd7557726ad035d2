//! Evidence: what gates found, what runs left and cost, what was brought where.

use super::world::{World, anna, fault};
use crate::{ArtefactRow, Deployment, Fact, Judgement, QUARTER_MS, RunRow, SHELL};
use futures::executor::block_on;
use orch_core::ids::{Environment, GateId, ProjectKey, Role, Seq, Sha, TaskId, Time};
use orch_core::verdict::{FaultKind, Finding, Verdict, WaitFor};
use orch_ports::agent::Usage;

pub fn judgement(task: TaskId, key: &str, at: Time) -> Judgement {
    Judgement {
        task,
        gate: GateId::CiGreen,
        stage: "development".into(),
        job: 4,
        head: "h1".into(),
        key: key.into(),
        verdict: Verdict::Pass,
        mode: "enforce".into(),
        evidence: serde_json::json!({"checks": [{"name": "build", "state": "green"}]}),
        reused: false,
        at,
        took_ms: 12,
    }
}

pub fn artefact(task: TaskId, run: Seq, name: &str, text: &str) -> ArtefactRow {
    ArtefactRow {
        task,
        stage: "review".into(),
        run,
        name: name.into(),
        sha256: "00".repeat(32),
        bytes: text.as_bytes().to_vec(),
        subject: "patch-1".into(),
        at: Time(5),
    }
}

pub fn run(task: TaskId, job: Seq, attempt: u32) -> RunRow {
    RunRow {
        task,
        job,
        attempt,
        what: Role::Developer.into(),
        program: "claude".into(),
        stage: "development".into(),
        dir: format!("runs/{}-{job}-{attempt}", task.0),
        revision: None,
        started: Time(1),
        ended: None,
        end: None,
        ok: None,
        usage: Usage::default(),
        model: None,
        session: None,
        summary: None,
        class: None,
        version: None,
        sandbox: None,
    }
}

pub fn deployment(task: TaskId, revision: &str) -> Deployment {
    let (project, environment) = ("DEMO".into(), Environment::Production);
    Deployment { project, environment, revision: revision.into(), task, ok: true, rollback: false, at: Time(9) }
}

pub fn a_verdict_stands_while_its_key_does(w: &mut World) {
    let id = w.started("DEMO", 1);
    let fence = w.claim_of(id).fence();
    let put = |verdict: &Verdict, key: &str, at| {
        let j = Judgement { verdict: verdict.clone(), ..judgement(id, key, Time(at)) };
        assert!(block_on(w.store.put_judgement(fence, j)).unwrap());
    };
    let standing =
        |key: &str| block_on(w.store.judgement(id, GateId::CiGreen, key)).unwrap().map(|j| (j.verdict, j.at));
    assert_eq!(standing("k1"), None);
    let fail = Verdict::Fail { findings: vec![Finding::must_fix("the build is red")] };
    let wait = Verdict::Wait { why: WaitFor::Report { what: "build".into() }, until: None, recheck: None };
    put(&fail, "k1", 1);
    put(&Verdict::Pass, "k1", 2);
    put(&wait, "k1", 3);
    put(&Verdict::Inconclusive { fault: fault(FaultKind::Transient) }, "k1", 4);
    put(&Verdict::Unreadable { findings: Vec::new() }, "k1", 5);
    put(&fail, "k2", 6);
    assert_eq!(standing("k1"), Some((Verdict::Pass, Time(2))), "waits and doubts decide nothing");
    assert_eq!(standing("k2"), Some((fail, Time(6))));
    assert_eq!(block_on(w.store.judgement(id, GateId::TestsLocal, "k1")).unwrap(), None);
    let all = block_on(w.store.judgements(id)).unwrap();
    assert_eq!(all.iter().map(|j| j.at.0).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
    assert_eq!(all[1], judgement(id, "k1", Time(2)), "it comes back as it was put");
}

pub fn the_newest_artefact_wins(w: &mut World) {
    let id = w.started("DEMO", 1);
    let fence = w.claim_of(id).fence();
    let put = |rows| assert!(block_on(w.store.put_artefacts(fence, rows)).unwrap());
    put(vec![artefact(id, 2, "12-review.md", "old"), artefact(id, 2, "notes.md", "n")]);
    put(vec![artefact(id, 5, "12-review.md", "draft")]);
    put(vec![artefact(id, 5, "12-review.md", "\u{fffd}\0final")]);
    let exact = |run| block_on(w.store.artefact(id, run, "12-review.md")).unwrap();
    assert_eq!(exact(2), Some(artefact(id, 2, "12-review.md", "old")));
    assert_eq!(exact(5), Some(artefact(id, 5, "12-review.md", "\u{fffd}\0final")));
    assert_eq!(exact(3), None, "an artefact of an earlier run is not this run's");
    let newest = block_on(w.store.artefacts(id)).unwrap();
    let names: Vec<_> = newest.iter().map(|a| (a.name.as_str(), a.run)).collect();
    assert_eq!(names, [("12-review.md", 5), ("notes.md", 2)]);
}

pub fn the_last_word_of_a_gate_is_read_alone(w: &mut World) {
    let id = w.started("DEMO", 1);
    let fence = w.claim_of(id).fence();
    let last = |w: &World, gate| block_on(w.store.last_judgement(id, gate)).unwrap();
    assert_eq!(last(w, GateId::CiGreen), None);
    let pass = judgement(id, "k1", w.now);
    let why = WaitFor::Report { what: "CI".into() };
    let wait = Judgement { verdict: Verdict::Wait { why, until: None, recheck: None }, ..judgement(id, "k2", w.now) };
    let other = Judgement { gate: GateId::TestsLocal, ..judgement(id, "k3", w.now) };
    for each in [&pass, &wait, &other] {
        assert!(block_on(w.store.put_judgement(fence, each.clone())).unwrap());
    }
    assert_eq!(last(w, GateId::CiGreen), Some(wait), "whatever it says");
    assert_eq!(last(w, GateId::TestsLocal), Some(other));
}

pub fn runs_are_completed(w: &mut World) {
    let id = w.started("DEMO", 1);
    let fence = w.claim_of(id).fence();
    let usage = |cost_usd| Usage { cost_usd, input_tokens: 10, output_tokens: 5, turns: 2, ..Usage::default() };
    assert!(block_on(w.store.put_run(fence, run(id, 1, 1))).unwrap());
    let ended = RunRow { ended: Some(Time(8)), ok: Some(true), usage: usage(0.25), ..run(id, 1, 1) };
    assert!(block_on(w.store.put_run(fence, ended.clone())).unwrap());
    let second = RunRow { usage: usage(0.5), model: Some("large".into()), ..run(id, 1, 2) };
    assert!(block_on(w.store.put_run(fence, second.clone())).unwrap());
    assert_eq!(block_on(w.store.runs(id)).unwrap(), [ended, second]);
    let nonsense = RunRow { usage: usage(f64::NAN), ..run(id, 1, 3) };
    assert!(block_on(w.store.put_run(fence, nonsense)).is_err());
}

pub fn what_agents_have_used_is_added_up(w: &mut World) {
    let (a, b) = (w.started("DEMO", 1), w.started("SHOP", 1));
    let usage = |cost_usd| Usage { cost_usd, input_tokens: 10, output_tokens: 5, ..Usage::default() };
    let ended = |task, attempt, started: i64, usage: Usage| RunRow {
        dir: format!("/runs/{attempt}"),
        started: Time(started),
        ended: Some(Time(started + 1)),
        usage,
        model: Some("large".into()),
        ..run(task, 1, attempt)
    };
    let fence = w.claim_of(a).fence();
    let unread = Usage { cost_unread: Some("gone".into()), ..usage(2.0) };
    let included = Usage { included: true, ..usage(0.0) };
    let command = RunRow { program: SHELL.into(), ..ended(a, 7, 60, usage(9.0)) };
    let open = RunRow { ended: None, ..ended(a, 8, 60, usage(9.0)) };
    for row in [
        ended(a, 1, 50, usage(0.25)),
        ended(a, 2, QUARTER_MS - 1, unread),
        ended(a, 3, QUARTER_MS, included),
        ended(a, 4, 3 * QUARTER_MS, usage(9.0)),
        command,
        open,
    ] {
        assert!(block_on(w.store.put_run(fence, row)).unwrap());
    }
    let fence = w.claim_of(b).fence();
    assert!(block_on(w.store.put_run(fence, ended(b, 1, 70, usage(1.0)))).unwrap());
    let used = block_on(w.store.used(Time(50), Time(3 * QUARTER_MS))).unwrap();
    let said: Vec<_> = used
        .iter()
        .map(|u| (u.item.as_str(), u.at.0, u.runs, u.cost_usd, u.at_most, u.included, u.input_tokens, u.output_tokens))
        .collect();
    assert_eq!(
        said,
        [
            ("DEMO-1", 0, 2, 2.25, 1, 0, 20, 10),
            ("DEMO-1", QUARTER_MS, 1, 0.0, 0, 1, 10, 5),
            ("SHOP-1", 0, 1, 1.0, 0, 0, 10, 5)
        ]
    );
    assert_eq!((used[0].project.as_str(), used[0].model.as_deref()), ("DEMO", Some("large")));
    assert!(block_on(w.store.used(Time(51), Time(60))).unwrap().is_empty());
}

pub fn two_commands_of_one_attempt_are_two_runs(w: &mut World) {
    let id = w.started("DEMO", 1);
    let fence = w.claim_of(id).fence();
    let named = |dir: &str, started| RunRow { dir: dir.into(), started: Time(started), ..run(id, 1, 1) };
    let (hook, check) = (named("/runs/1-1-1-hook", 5), named("/runs/1-1-1-check", 6));
    for row in [&hook, &check] {
        assert!(block_on(w.store.put_run(fence, row.clone())).unwrap());
    }
    assert_eq!(block_on(w.store.runs(id)).unwrap(), [hook, check], "in the order they began");
}

pub fn deployments_are_listed_newest_first(w: &mut World) {
    let id = w.started("DEMO", 1);
    let fence = w.claim_of(id).fence();
    for revision in ["r1", "r2", "r3"] {
        assert!(block_on(w.store.put_deployment(fence, deployment(id, revision))).unwrap());
    }
    let staging = Deployment { environment: Environment::Staging, ..deployment(id, "r4") };
    assert!(block_on(w.store.put_deployment(fence, staging)).unwrap());
    let listed = block_on(w.store.deployments(&"DEMO".into(), Environment::Production, 2)).unwrap();
    assert_eq!(listed, [deployment(id, "r3"), deployment(id, "r2")]);
    assert_eq!(block_on(w.store.deployments(&"SHOP".into(), Environment::Production, 2)).unwrap(), []);
}

/// A fact of each owner.
fn facts(task: TaskId) -> Vec<Fact> {
    let project = || ProjectKey::new("DEMO");
    let green = |command: &str| Fact::GreenCi { project: project(), code: "c".into(), command: command.into() };
    vec![
        Fact::Draining,
        Fact::Paused,
        Fact::FingerprintKey,
        Fact::Main(project()),
        Fact::MainMove(project(), 1),
        Fact::MainMove(project(), 2),
        Fact::Main(ProjectKey::new("SHOP")),
        green("a"),
        green("b"),
        Fact::TicketId(project(), 1),
        Fact::TicketSeen(project(), 1),
        Fact::TicketSeen(project(), 2),
        Fact::Pushed(task, "one".into()),
        Fact::Pushed(task, "two".into()),
        Fact::DeployAsked(task, Sha::new("r1")),
        Fact::TicketBefore(task, 3),
        Fact::Circuit("notifier".into()),
        Fact::Circuit("forge:DEMO".into()),
    ]
}

pub fn a_fact_is_remembered_under_its_owner_and_replaced(w: &mut World) {
    let task = w.create("DEMO", 1, orch_core::pipeline::Pipeline::lite());
    let recall = |w: &World, fact: &Fact| block_on(w.store.recall(fact)).unwrap();
    for (n, fact) in facts(task).iter().enumerate() {
        assert_eq!(recall(w, fact), None, "{fact:?}");
        block_on(w.store.remember(fact, "before", w.now)).unwrap();
        block_on(w.store.remember(fact, &n.to_string(), w.now)).unwrap();
    }
    for (n, fact) in facts(task).iter().enumerate() {
        assert_eq!(recall(w, fact), Some(n.to_string()), "{fact:?}");
        block_on(w.store.forget(fact)).unwrap();
        block_on(w.store.forget(fact)).unwrap();
        assert_eq!(recall(w, fact), None, "{fact:?}");
    }
}

pub fn a_fact_ends_with_its_owner_or_at_its_time(w: &mut World) {
    let (over, open) = (w.create("DEMO", 1, orch_core::pipeline::Pipeline::lite()), w.started("DEMO", 2));
    for fact in facts(over).iter().chain([&Fact::Pushed(open, "one".into())]) {
        block_on(w.store.remember(fact, "v", w.now)).unwrap();
    }
    let known = |w: &World| {
        let all = facts(over).into_iter().filter(|fact| block_on(w.store.recall(fact)).unwrap().is_some());
        all.collect::<Vec<_>>().len()
    };
    assert_eq!(block_on(w.store.forget_ended(w.now.plus_ms(30 * 86_400_000 - 1))).unwrap(), 0);
    assert_eq!((block_on(w.store.forget_ended(w.now.plus_ms(30 * 86_400_000))).unwrap(), known(w)), (2, 16));
    block_on(w.store.drop_evidence(over)).unwrap();
    assert_eq!(known(w), 16, "a task that is open keeps its own");
    w.tell(over, orch_core::event::Event::CancelAsked { by: anna() });
    block_on(w.store.drop_evidence(over)).unwrap();
    assert_eq!(known(w), 12);
    assert!(block_on(w.store.recall(&Fact::Pushed(open, "one".into()))).unwrap().is_some());
}

pub fn what_was_kept_long_enough_goes_of_tasks_that_are_over_only(w: &mut World) {
    let (over, open) = (w.create("DEMO", 1, orch_core::pipeline::Pipeline::lite()), w.started("DEMO", 2));
    w.tell(over, orch_core::event::Event::Started { by: super::world::anna() });
    for id in [over, open] {
        let job = w.claim_of(id);
        assert!(block_on(w.store.put_judgement(job.fence(), judgement(id, "k1", w.now))).unwrap());
        let row = artefact(id, 2, "12-review.md", "verdict: APPROVED\n");
        assert!(block_on(w.store.put_artefacts(job.fence(), vec![row])).unwrap());
        assert!(block_on(w.store.put_run(job.fence(), run(id, 2, 1))).unwrap());
        w.put_back(
            &job,
            crate::Requeue {
                charge: crate::Charge::Nothing,
                new_run: false,
                not_before: w.now,
                fault: fault(FaultKind::Transient),
                parked: None,
            },
        );
    }
    w.go_to(over, "done");
    let ended = w.now;
    let between = |after, until| block_on(w.store.closed_between(after, until, 10)).unwrap();
    assert_eq!(between((Time(0), TaskId(0)), ended), [(over, ended)]);
    assert_eq!(between((ended, over), Time(i64::MAX)), [], "what was looked at is not looked at again");
    assert_eq!(between((Time(0), TaskId(0)), Time(ended.0 - 1)), []);
    assert!(2 <= block_on(w.store.drop_evidence(over)).unwrap());
    assert_eq!(block_on(w.store.drop_evidence(open)).unwrap(), 0, "its gates still rest on it");
    let left = |id| {
        let (judgements, artefacts) = (block_on(w.store.judgements(id)), block_on(w.store.artefacts(id)));
        (judgements.unwrap().len(), artefacts.unwrap().len(), block_on(w.store.runs(id)).unwrap().len())
    };
    assert_eq!((left(over), left(open)), ((0, 0, 1), (1, 1, 1)), "runs stay: they say what was spent");
}

pub fn people_have_a_number_of_their_own_for_ever(w: &mut World) {
    let ids = |names: &[&str]| block_on(w.store.person_ids(names.iter().map(ToString::to_string).collect())).unwrap();
    let first = ids(&["local:anna", "local:bob"]);
    assert_ne!(first[0].1, first[1].1);
    let again = ids(&["local:bob", "local:eve", "local:anna"]);
    assert_eq!((&again[0], &again[2]), (&first[1], &first[0]));
}
