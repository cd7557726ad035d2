//! A repository with several parts: a branch runs those it touches, the merge runs them all.

use crate::runs::Does;
use crate::world::{World, demo};
use orch_core::ids::GateId;
use orch_core::landing::{History, LandingPlan};
use orch_core::verdict::Verdict;
use orch_engine::parts::{Of, Part, Touched, run};
use orch_ports::forge::Forge;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

fn part(name: &str, test: Option<&str>, ci: Option<&str>) -> Part {
    Part { name: name.into(), paths: vec![format!("/{name}/")], test: test.map(Into::into), ci: ci.map(Into::into) }
}

fn line(name: &str) -> String {
    format!("{name} line")
}

/// Two, both with tests or both with CI, and what all of it is as one line.
fn both(of: Of) -> (Vec<Part>, String) {
    let part = |name| match of {
        Of::Test => part(name, Some(&line(name)), None),
        Of::Ci => part(name, None, Some(&line(name))),
    };
    let parts: Vec<Part> = ["web", "api"].map(part).into();
    let all = run(None, &parts, of, &Touched::All).unwrap().line;
    (parts, all)
}

/// A world with both, and what was run of it, in order.
async fn world(of: Of, plan: LandingPlan) -> (World, Arc<Mutex<Vec<String>>>) {
    let (parts, all) = both(of);
    let world = World::with(|c| {
        (c.test, c.ci, c.parts, c.landing) = (None, None, parts, plan);
    })
    .await;
    let ran: Arc<Mutex<Vec<String>>> = Arc::default();
    for (what, name) in [(line("web"), "web"), (line("api"), "api"), (all, "all")] {
        is_noted(&world, &what, name, &ran);
    }
    (world, ran)
}

/// A command that is green, and written down by this name.
fn is_noted(world: &World, what: &str, name: &'static str, ran: &Arc<Mutex<Vec<String>>>) {
    let ran = ran.clone();
    world.runs.on(what, move |_| {
        ran.lock().unwrap().push(name.into());
        Does::Exit(0)
    });
}

fn writes(world: &World, path: &'static str) {
    world.runs.on("developer", move |run| {
        assert!(run.prompt().contains("web: web line; api: api line"), "{}", run.prompt());
        run.write(path, "new\n");
        Does::Exit(0)
    });
}

#[tokio::test]
async fn a_branch_runs_the_tests_of_the_part_it_touches_and_the_merge_those_of_all() {
    let (world, ran) = world(Of::Test, LandingPlan::default()).await;
    writes(&world, "web/page.txt");
    world.start();
    let item = world.begin("A page").await;
    let task = world.until_done(&item).await;
    assert_eq!(*ran.lock().unwrap(), ["web", "all"]);
    let judged = world.store.judgements(task.id).await.unwrap();
    let of = judged.iter().filter(|j| j.gate == GateId::TestsLocal).map(|j| &j.evidence["parts"]);
    assert_eq!(of.collect::<Vec<_>>(), [&serde_json::json!(["web"]), &serde_json::Value::Null]);
}

#[tokio::test]
async fn a_path_of_no_part_runs_them_all_and_once() {
    let (world, ran) = world(Of::Test, LandingPlan::default()).await;
    writes(&world, "lock.json");
    world.start();
    let item = world.begin("A lock").await;
    world.until_done(&item).await;
    assert!(ran.lock().unwrap().iter().all(|name| name == "all"), "{ran:?}");
}

#[tokio::test]
async fn a_part_without_tests_lets_its_change_through_to_the_merge_where_all_are_run() {
    let parts = vec![part("web", None, Some("web ci")), part("api", Some("api line"), None)];
    let world = World::with(|c| (c.test, c.ci, c.parts) = (None, None, parts)).await;
    let ran: Arc<Mutex<Vec<String>>> = Arc::default();
    for what in ["web ci", "api line"] {
        is_noted(&world, what, what, &ran);
    }
    world.runs.on("developer", |run| {
        run.write("web/a.txt", "new\n");
        Does::Exit(0)
    });
    world.start();
    let item = world.begin("A page").await;
    let task = world.until_done(&item).await;
    assert_eq!(*ran.lock().unwrap(), ["web ci", "api line"], "what was green as a whole is green in the merge");
    let judged = world.store.judgements(task.id).await.unwrap();
    let skipped = judged.iter().find(|j| j.gate == GateId::TestsLocal).unwrap();
    let Verdict::Skipped { why } = &skipped.verdict else { panic!("{:?}", skipped.verdict) };
    assert_eq!(why, "it touches only web, and nothing there has tests; all parts are tested in the merge");
}

#[tokio::test]
async fn ci_of_some_parts_is_no_answer_in_the_merge_also_of_a_branch_that_did_not_move() {
    for history in [History::OneCommit, History::AsIs] {
        let (world, ran) = world(Of::Ci, LandingPlan { history, ..LandingPlan::default() }).await;
        writes(&world, "api/a.txt");
        world.start();
        let item = world.begin("Api").await;
        let task = world.until_done(&item).await;
        assert_eq!(*ran.lock().unwrap(), ["api", "all"], "{history:?}");
        let merged = task.landing.merged.unwrap().commit;
        let head = task.branch.head.unwrap();
        let mut said = BTreeSet::new();
        for commit in [merged, head] {
            said.extend(world.forge.statuses(&demo(), &commit).await.unwrap().into_iter().map(|s| s.description));
        }
        assert!(said.iter().any(|text| !text.contains("only for its parts")), "{said:?}");
        let judged = world.store.judgements(task.id).await.unwrap();
        assert!(judged.iter().filter(|j| j.gate == GateId::CiGreen).any(|j| j.verdict == Verdict::Pass));
    }
}

#[tokio::test]
async fn what_ci_of_all_parts_finds_red_never_lands_also_of_a_branch_that_did_not_move() {
    for history in [History::OneCommit, History::AsIs] {
        let (world, _) = world(Of::Ci, LandingPlan { history, ..LandingPlan::default() }).await;
        // The branch breaks the other part, whose own line nobody runs before the merge. The second repair stays where it was
        // judged by its own part alone: its reviewer leaves nothing new, and it is prepared as it is.
        world.runs.on(&both(Of::Ci).1, |run| {
            let text = std::fs::read_to_string(run.cwd.join("api/a.txt")).unwrap_or_default();
            Does::Exit(i32::from(text.starts_with("bad")))
        });
        world.runs.on("developer", |run| {
            run.write("api/a.txt", ["bad\n", "bad, too\n", "good\n"][run.nth - 1]);
            Does::Exit(0)
        });
        world.start();
        let item = world.begin("Api").await;
        let task = world.until_done(&item).await;
        assert_eq!((task.spent.rounds, world.runs.count("developer")), (2, 3), "{history:?}");
    }
}
