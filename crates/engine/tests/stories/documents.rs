//! Documents that come too late for a task's branch, brought to main by one small pull request: what lands, what does not
//! run for it, who goes first, and what a crash or a forge that refuses leaves.

use crate::faults::How;
use crate::runs::Does;
use crate::world::{Choice, World, anna, demo, git};
use orch_core::event::Event;
use orch_core::ids::WorkItem;
use orch_core::landing::{AfterMerge, LandingPlan};
use orch_core::task::{Phase, Task, WayOut};
use orch_ports::forge::{Forge, MergeMethod, PullState};

fn brought(choice: &mut Choice) {
    choice.landing = LandingPlan { after_merge: AfterMerge::PullRequest, ..LandingPlan::default() };
}

const SUBJECT: &str = "Documents (deploy): Add a file [skip ci]";

/// Files below the task's directory on main.
fn on_main(world: &World, item: &WorkItem) -> Vec<String> {
    let dir = format!("docs/work-items/{item}/");
    let all = git(&world.bare(), &["ls-tree", "-r", "--name-only", "main", &dir]);
    all.lines().map(|path| path[dir.len()..].to_owned()).collect()
}

/// Every commit of main is orch's, each once, and nobody was told that somebody else moved it.
async fn orchs_own(world: &World, commits: &[&str]) {
    assert_eq!(world.commits("main"), commits);
    let tip = world.main_tip().await;
    let record = async || world.engine().main_of(&demo(), 10).await.unwrap();
    world.eventually("main is seen", async || record().await.is_some_and(|(r, _)| r.tip == tip)).await;
    let (record, moves) = record().await.unwrap();
    assert_eq!((record.moves, record.documents.len()), (0, 0), "{record:?} {moves:?}");
    assert!(world.told_people().is_empty(), "{:?}", world.told_people());
}

/// No branch of the task is left.
fn no_branch(world: &World) {
    assert_eq!(git(&world.bare(), &["for-each-ref", "--format=%(refname)", "refs/heads"]), "refs/heads/main");
}

async fn until_done_and_quiet(world: &World, item: &WorkItem) -> Task {
    let task = world.until_done(item).await;
    world.until_quiet().await;
    task
}

#[tokio::test]
async fn late_documents_reach_main_by_one_pull_request_without_a_review_a_ci_or_a_deploy() {
    let world = World::with(brought).await;
    world.start();
    let item = world.begin("Add a file").await;
    let task = until_done_and_quiet(&world, &item).await;
    orchs_own(&world, &["first", "Add a file", SUBJECT]).await;
    let merged = task.landing.merged.unwrap().commit;
    let changed = git(&world.bare(), &["diff", "--name-only", merged.as_str(), "main"]);
    assert!(changed.lines().all(|path| path.starts_with("docs/work-items/DEMO-1/1")), "{changed}");
    let there = on_main(&world, &item);
    for name in ["14-deploy-log.md", "16-post-deploy-log.md", "17-security-report.md"] {
        assert!(there.iter().any(|n| n == name), "{name} is not in {there:?}");
    }
    assert_eq!(
        git(&world.bare(), &["log", "-1", "--format=%an <%ae>%n%b", "main"]).lines().last(),
        Some("Work-item: DEMO-1")
    );
    let author = |rev: &str| git(&world.bare(), &["log", "-1", "--format=%an <%ae> %cn <%ce>", rev]);
    assert_eq!(author("main"), author(merged.as_str()), "written as the project's commits are");
    let ran = |what| world.runs.count(what);
    assert_eq!((ran("ci"), ran("developer"), ran("reviewer"), ran("deploy")), (1, 1, 1, 1));
    assert_eq!((world.forge_did("pull-opened").await, world.forge_did("merge-done").await), (2, 2));
    no_branch(&world);
}

#[tokio::test]
async fn without_the_switch_they_stay_evidence_and_main_has_one_commit() {
    let world = World::new().await;
    world.start();
    let item = world.begin("Add a file").await;
    until_done_and_quiet(&world, &item).await;
    orchs_own(&world, &["first", "Add a file"]).await;
    assert!(!on_main(&world, &item).iter().any(|n| n == "14-deploy-log.md"));
}

/// Where only orch may move main, its documents are orch's, too; with every way a forge merges.
#[tokio::test]
async fn they_hold_nobody_up_where_only_orch_may_move_main_however_it_merges() {
    for method in [MergeMethod::FastForwardOnly, MergeMethod::Merge, MergeMethod::Squash] {
        let world = World::with(|c| {
            brought(c);
            c.merging.only_orch = true;
            c.merge_method = method;
        })
        .await;
        world.start();
        for title in ["One", "Two"] {
            let item = world.begin(title).await;
            until_done_and_quiet(&world, &item).await;
            assert!(on_main(&world, &item).iter().any(|n| n == "14-deploy-log.md"), "{method:?}");
        }
        let (record, moves) = world.engine().main_of(&demo(), 10).await.unwrap().unwrap();
        assert_eq!((record.moves, record.pending), (0, None), "{method:?}: {moves:?}");
        assert!(world.told_people().is_empty(), "{method:?}: {:?}", world.told_people());
        no_branch(&world);
    }
}

/// Dies at each act of bringing them, before and behind it; the watcher of main has its look before and after.
#[tokio::test]
async fn a_death_at_any_act_of_bringing_them_repeats_and_brings_them_once() {
    let well = |n| vec![How::Well; n];
    for (call, before) in
        [("git.push", 3), ("forge.merge", 1), ("forge.ensure_pull_request", 1), ("git.delete_branch", 0)]
    {
        for how in [How::DieBefore, How::DieAfter] {
            let world = World::with(brought).await;
            let mut plan = well(before);
            plan.push(how);
            world.faults.plan(call, &plan);
            world.start();
            let item = world.begin("Add a file").await;
            world.faults.reached(call).await;
            world.kill().await;
            world.start();
            until_done_and_quiet(&world, &item).await;
            orchs_own(&world, &["first", "Add a file", SUBJECT]).await;
            assert_eq!(world.forge_did("pull-opened").await, 2, "{call}");
            no_branch(&world);
        }
    }
}

#[tokio::test]
async fn a_merge_that_happened_behind_an_error_is_one_merge_of_theirs_too() {
    let world = World::with(brought).await;
    world.faults.plan("forge.merge", &[How::Well, How::After]);
    world.start();
    let item = world.begin("Add a file").await;
    until_done_and_quiet(&world, &item).await;
    orchs_own(&world, &["first", "Add a file", SUBJECT]).await;
}

#[tokio::test]
async fn main_that_moves_meanwhile_is_followed() {
    let world = World::with(brought).await;
    world.faults.plan("forge.merge", &[How::Well, How::Pause]);
    world.start();
    let item = world.begin("Add a file").await;
    world.faults.reached("forge.merge").await;
    world.outsider_on_main("other.txt", "theirs\n");
    world.faults.release();
    until_done_and_quiet(&world, &item).await;
    assert_eq!(world.commits("main"), ["first", "Add a file", "outsider", SUBJECT]);
    assert_eq!(world.show("main", "other.txt"), "theirs");
    let (record, moves) = world.engine().main_of(&demo(), 10).await.unwrap().unwrap();
    assert_eq!((record.moves, moves[0].commits.len()), (1, 1), "the outsider's, and nothing of orch's: {moves:?}");
    no_branch(&world);
}

/// The first task is done while the second one is about to merge, under the lease.
async fn while_another_one_merges() -> (World, WorkItem, WorkItem) {
    let world = World::with(brought).await;
    let production = world.production.clone();
    world.runs.on("deploy", move |run| {
        *production.revision.lock().unwrap() = Some(run.var("ORCH_REVISION").to_owned());
        if run.nth == 1 { Does::Hang } else { Does::Exit(0) }
    });
    world.faults.plan("forge.merge", &[How::Well, How::Pause]);
    world.start();
    let first = world.begin("First").await;
    world.eventually("the first one is deployed", async || world.runs.live("deploy")).await;
    let second = world.begin("Second").await;
    world.faults.reached("forge.merge").await;
    world.runs.finish("deploy", |_| {});
    world.until_done(&first).await;
    (world, first, second)
}

#[tokio::test]
async fn a_task_that_merges_goes_first_and_is_not_tested_again() {
    let (world, first, second) = while_another_one_merges().await;
    let waits = async || {
        let jobs = world.store.open_jobs(None).await.unwrap();
        jobs.iter()
            .any(|j| j.last_fault.as_ref().is_some_and(|f| f.text == "DEMO-2 is merging; the documents go behind it"))
    };
    world.eventually("the documents wait, and say for whom", waits).await;
    assert_eq!(world.commits("main"), ["first", "First"]);
    let tested = world.runs.count("ci");
    world.faults.release();
    until_done_and_quiet(&world, &second).await;
    assert_eq!(world.commits("main")[..3], ["first", "First", "Second"], "it went first");
    assert_eq!(world.runs.count("ci"), tested, "and what was tested has landed");
    for item in [&first, &second] {
        assert!(on_main(&world, item).iter().any(|n| n == "14-deploy-log.md"), "{item}");
    }
}

/// Whoever begins a task again does not have to wait for what the life before still owes main, and loses none of it.
#[tokio::test]
async fn begun_again_before_they_landed_they_land_first_and_that_life_is_cleaned_up_as_ever() {
    let (world, first, second) = while_another_one_merges().await;
    let old = world.task(&first).await.branch;
    world.ask(&first, Event::Started { by: anna() }).await;
    let behind = "what the task left before is cleaned up first";
    let waits = async || {
        let jobs = world.store.open_jobs(None).await.unwrap();
        jobs.iter().any(|j| j.last_fault.as_ref().is_some_and(|f| f.text == behind))
    };
    world.eventually("its next branch waits, and says for what", waits).await;
    world.kill().await;
    world.start();
    world.faults.release();
    world.until_done(&second).await;
    world.until(&first, "done again", |t| matches!(t.phase, Phase::Done { .. }) && t.lives.past.len() == 1).await;
    world.until_quiet().await;
    let subjects = world.commits("main");
    let documents = |n: &str| subjects.iter().filter(|s| **s == format!("Documents (deploy): {n} [skip ci]")).count();
    assert_eq!((documents("First"), documents("Second")), (2, 1), "of each life: {subjects:?}");
    assert!(on_main(&world, &first).iter().any(|n| n == "14-deploy-log.md"));
    assert_eq!(world.forge.branch_head(&demo(), &old.name).await.unwrap(), None, "the branch before is gone");
    no_branch(&world);
    assert_eq!(world.task(&first).await.lives.before, None);
}

#[tokio::test]
async fn where_somebody_always_merges_they_go_after_half_an_hour_and_the_merge_is_prepared_again() {
    let (world, first, second) = while_another_one_merges().await;
    world.clock.advance(30 * 60 * 1_000);
    let there = async || on_main(&world, &first).iter().any(|n| n == "14-deploy-log.md");
    world.eventually("they are on main", there).await;
    assert_eq!(world.commits("main").len(), 3, "{:?}", world.commits("main"));
    world.faults.release();
    let task = until_done_and_quiet(&world, &second).await;
    assert_eq!((task.spent.rounds, world.runs.count("developer")), (0, 2), "no agent is asked again");
    assert_eq!(world.commits("main")[3], "Second");
}

#[tokio::test]
async fn a_forge_that_will_not_merge_them_leaves_the_pull_request_and_one_person_is_told() {
    let world = World::with(brought).await;
    world.runs.on("deploy", |_| Does::Exit(0));
    world.faults.plan("forge.merge", &[How::Well, How::Pause]);
    world.start();
    let item = world.begin("Add a file").await;
    world.faults.reached("forge.merge").await;
    // Behind the pause the real forge refuses: its pull request is closed.
    world.forge.close_pull_request(&demo(), 2).await.unwrap();
    world.faults.release();
    until_done_and_quiet(&world, &item).await;
    let told = world.told_people();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("DEMO-1: its documents are not on the default branch"), "{told:?}");
    assert_eq!(world.commits("main"), ["first", "Add a file"]);
    assert_eq!(world.forge.pull_request(&demo(), 2).await.unwrap().state, PullState::Closed);
    let branch = format!("{}-documents", world.task(&item).await.branch.name);
    assert!(world.forge.branch_head(&demo(), &branch).await.unwrap().is_some(), "a person may still want it");
}

#[tokio::test]
async fn a_secret_in_a_log_never_reaches_main() {
    let world = World::with(brought).await;
    let production = world.production.clone();
    world.runs.on("deploy", move |run| {
        let text = format!("AWS_SECRET_ACCESS_KEY={}\n", ["wJalrXUtnFEMI", "K7MDENG", "bPxRfiCYzzq1vLmKQ8"].join("/"));
        std::fs::write(run.dir.join("stdout.log"), text).unwrap();
        *production.revision.lock().unwrap() = Some(run.var("ORCH_REVISION").to_owned());
        Does::Exit(0)
    });
    world.start();
    let item = world.begin("Add a file").await;
    until_done_and_quiet(&world, &item).await;
    let rows = world.store.artefacts(world.task(&item).await.id).await.unwrap();
    let log = rows.iter().find(|r| r.name == "14-deploy-log.md").unwrap();
    assert!(String::from_utf8_lossy(&log.bytes).contains("wJalrXUtnFEMI"), "else this shows nothing");
    assert_eq!(world.commits("main"), ["first", "Add a file"]);
    let told = world.told_people();
    assert!(told.len() == 1 && told[0].contains("14-deploy-log.md"), "{told:?}");
    assert!(!told[0].contains("wJalrXUtnFEMI"), "nobody's secret is told: {told:?}");
    no_branch(&world);
}

#[tokio::test]
async fn what_is_cancelled_or_given_up_brings_nothing() {
    let world = World::with(brought).await;
    world.runs.on("reviewer", |_| Does::Hang);
    world.start();
    let item = world.begin("Add a file").await;
    world.eventually("the reviewer is at work", async || world.runs.live("reviewer")).await;
    world.ask(&item, Event::CancelAsked { by: anna() }).await;
    world.until(&item, "cancelled", |t| matches!(t.phase, Phase::Cancelled { .. })).await;
    world.until_quiet().await;
    assert_eq!(world.commits("main"), ["first"]);
    no_branch(&world);
}

/// Production did not take it, and a person lets it be: the logs say so on main.
#[tokio::test]
async fn of_a_failed_deploy_that_was_accepted_the_logs_come_too() {
    let world = World::with(brought).await;
    world.runs.on("deploy", |run| {
        std::fs::write(run.dir.join("stdout.log"), "port 80 is taken\n").unwrap();
        Does::Exit(1)
    });
    world.start();
    let item = world.begin("Add a file").await;
    world.until(&item, "a person is asked", |t| t.phase_word() == "production_failed").await;
    assert_eq!(world.commits("main"), ["first", "Add a file"], "nothing before it is over");
    world.ask(&item, Event::WayChosen { by: anna(), way: WayOut::Accept }).await;
    until_done_and_quiet(&world, &item).await;
    assert_eq!(world.commits("main"), ["first", "Add a file", SUBJECT]);
    assert!(world.show("main", "docs/work-items/DEMO-1/14-deploy-log.md").contains("deploy_status: FAIL"));
}
