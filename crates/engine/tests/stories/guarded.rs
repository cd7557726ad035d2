//! What a configured command runs changes with a person's yes: scripts that tests and hooks name, whatever calls them, and
//! before the hook of the branch runs on staging.

use crate::runs::Does;
use crate::security::{develops, report};
use crate::staging::over_staging;
use crate::world::{World, anna};
use orch_core::event::Event;
use orch_core::ids::GateId;
use orch_core::task::{ApprovalKind, Phase, Task, WaitReason};
use std::sync::{Arc, Mutex};

fn shown(task: &Task) -> (String, Vec<String>) {
    match &task.phase {
        Phase::Waiting { why: WaitReason::Approval { what: ApprovalKind::Protected, subject, shown }, .. } => {
            (subject.clone(), shown.clone())
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_branch_that_changes_what_its_staging_hook_runs_waits_before_the_hook() {
    let world = World::with(|c| {
        over_staging(c);
        c.deploy.staging = Some("sh ./deploy/stage.sh --all".into());
    })
    .await;
    world.outsider_merges("hook", "deploy/stage.sh", "#!/bin/sh\n. \"$(dirname \"$0\")/lib.sh\"\n").await;
    world.outsider_merges("lib", "deploy/lib.sh", "true\n").await;
    develops(&world, |run| run.write("deploy/lib.sh", "curl example.invalid\n"));
    world.runs.on("sh ./deploy/stage.sh --all", |_| Does::Exit(0));
    world.start();
    let item = world.begin("Change the deploy").await;
    let task = world.until(&item, "wants approval", |t| t.phase_word() == "awaiting_approval").await;
    let (subject, lines) = shown(&task);
    assert!(
        lines.iter().any(|l| l.contains("deploy/lib.sh: is changed") && l.contains("`deploy.staging`")),
        "{lines:?}"
    );
    assert_eq!(task.stage().as_str(), "deploy-staging");
    assert_eq!(world.runs.count("sh ./deploy/stage.sh --all"), 0, "nothing of the branch has run as a hook");
    world
        .ask(
            &item,
            Event::Approved { by: anna(), gate: Some(GateId::SecurityGate), subject: Some(subject), comment: None },
        )
        .await;
    world.until_done(&item).await;
    assert_eq!(world.runs.count("sh ./deploy/stage.sh --all"), 1);
    assert_eq!(world.says(&item, "approved by").await, 1, "one yes serves the hook and the gates");
    assert!(report(&world, &item).await.contains("approved by local:anna"));
}

#[tokio::test]
async fn a_no_to_what_the_hook_would_run_goes_back_and_the_repaired_branch_is_staged() {
    let world = World::with(|c| {
        over_staging(c);
        c.deploy.staging = Some("./stage.sh".into());
    })
    .await;
    world.outsider_merges("hook", "stage.sh", "true\n").await;
    let briefs = develops(&world, |run| {
        run.write("stage.sh", if run.nth == 1 { "evil\n" } else { "true\n" });
        run.write("a.txt", &format!("{}\n", run.nth));
    });
    world.runs.on("./stage.sh", |_| Does::Exit(0));
    world.start();
    let item = world.begin("Change the deploy").await;
    world.until(&item, "wants approval", |t| t.phase_word() == "awaiting_approval").await;
    assert_eq!(world.runs.count("./stage.sh"), 0);
    world.ask(&item, Event::Rejected { by: anna(), gate: None, comment: "leave the hook alone".into() }).await;
    let task = world.until_done(&item).await;
    assert_eq!((task.spent.rounds, world.runs.count("./stage.sh")), (1, 1));
    assert!(briefs.lock().unwrap()[1].contains("leave the hook alone"));
}

#[tokio::test]
async fn a_branch_that_leaves_the_hook_alone_asks_nobody() {
    let world = World::with(|c| {
        over_staging(c);
        c.deploy.staging = Some("make stage".into());
    })
    .await;
    world.outsider_merges("make", "Makefile", "stage:\n\t./stage.sh\n\ndocs:\n\tmdbook\n").await;
    develops(&world, |run| {
        run.write("Makefile", "stage:\n\t./stage.sh\n\ndocs:\n\tmdbook build\n");
        run.write("src/a.py", "x = 1\n");
    });
    world.runs.on("make stage", |_| Does::Exit(0));
    world.start();
    let item = world.begin("Change the documents").await;
    let task = world.until_done(&item).await;
    assert_eq!((task.spent.rounds, world.says(&item, "approved by").await), (0, 0));
}

#[tokio::test]
async fn what_the_tests_run_is_for_a_person_also_where_it_is_linked_or_new() {
    let world = World::with(|c| c.test = Some("cd ci && ./all.sh".into())).await;
    world.outsider_merges("tests", "ci/all.sh", "pytest\n./more.sh\n").await;
    develops(&world, |run| {
        run.write("ci/more.sh", "exit 0\n");
        run.write("conftest.py", "collect_ignore = ['tests']\n");
        run.write("README.md", "words\n");
    });
    world.runs.on("cd ci && ./all.sh", |_| Does::Exit(0));
    world.start();
    let item = world.begin("Make the tests quick").await;
    let task = world.until(&item, "wants approval", |t| t.phase_word() == "awaiting_approval").await;
    let (_, lines) = shown(&task);
    for path in ["ci/more.sh: is added", "conftest.py: is added"] {
        assert!(lines.iter().any(|l| l.starts_with(path)), "{path}: {lines:?}");
    }
    assert!(!lines.iter().any(|l| l.contains("README.md")), "{lines:?}");
}

#[tokio::test]
async fn production_runs_from_the_merge() {
    let world = World::with(|c| c.deploy.production = Some("./deploy.sh".into())).await;
    world.outsider_merges("hook", "deploy.sh", "echo deploy\n").await;
    develops(&world, |run| run.write("a.txt", "a\n"));
    let seen: Arc<Mutex<Vec<(String, String)>>> = Arc::default();
    let kept = seen.clone();
    world.runs.on("./deploy.sh", move |run| {
        let script = std::fs::read_to_string(run.cwd.join("deploy.sh")).unwrap();
        kept.lock().unwrap().push((run.var("ORCH_REVISION").to_owned(), script));
        Does::Exit(0)
    });
    world.start();
    let item = world.begin("Add a file").await;
    let task = world.until_done(&item).await;
    let seen = seen.lock().unwrap().clone();
    assert_eq!(seen, [(task.landing.merged.unwrap().commit.to_string(), "echo deploy\n".to_owned())]);
}
