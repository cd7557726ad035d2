//! Both built-in pipelines from ticket to done, with every effect that is asked for on the way.
#![allow(clippy::unwrap_used)] // a test that cannot go on must say so where it stands

mod common;
use common::{World, name, names, policy};
use orch_core::LeaseOp;
use orch_core::event::Event;
use orch_core::pipeline::Pipeline;
use orch_core::task::{DoneOutcome, Phase};

/// Effects and lease operations of a whole task, a line a decision.
fn journey(pipeline: Pipeline, own_ci: bool) -> (World, Vec<String>) {
    let mut w = World::with(pipeline, orch_core::policy::Policy { own_ci, ..policy() });
    w.ok(Event::Started { by: common::bob() });
    let mut lines = vec![line(&w)];
    while !w.task.is_closed() {
        w.step();
        lines.push(line(&w));
    }
    (w, lines)
}

fn line(w: &World) -> String {
    let lease = match w.last.as_ref().unwrap().lease {
        LeaseOp::Keep => "",
        LeaseOp::Take => " +lease",
        LeaseOp::Free => " -lease",
    };
    format!("{}: {}{lease}", w.task.stage(), names(&w.jobs))
}

#[test]
fn lite_goes_from_ticket_to_done() {
    let (w, lines) = journey(Pipeline::lite(), true);
    let expected = "\
created: open, ticket
development: run developer 0, ticket
development: publish developer
development: ci, pull request
development: judge check_ci_green
development: judge check_tests_local
review: run reviewer 0, ticket
review: publish reviewer
review: ci, judge check_reviewer_verdict
review: judge check_security_gate
review: update +lease
review: ci, judge check_ci_green exact
review: judge check_tests_local exact
review: judge check_security_gate exact
review: judge check_branch_mergeable exact
review: merge
deploy: deploy production, ticket -lease
deploy: judge check_deploy_status
done: watch, ticket
done: clean up, ticket";
    assert_eq!(lines.join("\n"), expected);
    assert!(matches!(w.task.phase, Phase::Done { outcome: DoneOutcome::Healthy, .. }));
    assert_eq!((w.merges, w.task.spent.rounds), (1, 0));
    assert_eq!(w.told, Vec::<String>::new(), "success is quiet");
    assert_eq!(w.task.done_at, Some(w.now));
}

#[test]
fn full_goes_from_ticket_to_done() {
    let (w, lines) = journey(Pipeline::full(), false);
    let expected = "\
created: open, ticket
analysis: run analyst 0, ticket
analysis: publish analyst
analysis: judge check_analysis_complete
analysis: judge check_analysis_approved
analysis: notify, ticket
analysis: judge check_analysis_approved, ticket
architecture: run architect 0, ticket
architecture: publish architect
architecture: judge check_architecture_done
development: run developer 0, ticket
development: publish developer
development: pull request
development: judge check_ci_green
development: judge check_tests_local
review: run reviewer 0, ticket
review: publish reviewer
review: judge check_reviewer_verdict
review: judge check_review_approved
testing: run tester 0, ticket
testing: publish tester
testing: judge check_tests_passed
deploy-staging: deploy staging, ticket
deploy-staging: judge check_staging_status
deploy-staging: judge check_security_gate
deploy-staging: update +lease
deploy-staging: judge check_ci_green exact
deploy-staging: judge check_tests_local exact
deploy-staging: judge check_security_gate exact
deploy-staging: deploy staging
deploy-staging: judge check_branch_mergeable exact
deploy-staging: judge check_staging_image_fresh exact
deploy-staging: merge
deploy: deploy production, ticket -lease
deploy: judge check_deploy_status
done: watch, ticket
done: clean up, ticket";
    assert_eq!(lines.join("\n"), expected);
    assert_eq!(w.told.len(), 1, "a person is asked once: {:?}", w.told);
    assert!(w.told[0].contains("analysis"));
}

#[test]
fn a_task_finishes_on_the_pipeline_it_started_with() {
    let mut own = Pipeline::lite();
    own.name = "ours".into();
    own.stages[1].steps.pop();
    let (done, lines) = journey(own, false);
    assert_eq!(done.task.pipeline.name, "ours");
    assert!(!lines.iter().any(|l| l == "development: judge check_tests_local"));
}

#[test]
fn every_job_belongs_to_the_run_its_gates_read() {
    let mut w = World::started(Pipeline::lite());
    w.until("run reviewer 0");
    let run = w.task.job();
    assert_eq!(w.task.run, run);
    w.until("judge check_reviewer_verdict");
    match &w.job.as_ref().unwrap().effect {
        orch_core::effect::Effect::Judge { run: read, head, exact, .. } => {
            assert_eq!((*read, Some(head), *exact), (run, w.task.branch.head.as_ref(), false));
        }
        other => panic!("{}", name(other)),
    }
}
