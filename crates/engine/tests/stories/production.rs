//! Production that does not take it, and the way back.

use crate::faults::How;
use crate::runs::Does;
use crate::world::{World, anna, demo, git};
use orch_core::event::Event;
use orch_core::ids::{Environment, WorkItem};
use orch_core::task::{DoneOutcome, Phase, Task, WayOut};
use orch_engine::commands::Answer;
use orch_ports::Fault;
use orch_ports::tracker::TicketState;

fn outcome(task: &Task) -> DoneOutcome {
    match task.phase {
        Phase::Done { outcome, .. } => outcome,
        _ => panic!("not done: {:?}", task.phase),
    }
}

/// A hook that fails on its `bad`-th run.
fn deploy_fails_on(world: &World, bad: usize) {
    let production = world.production.clone();
    world.runs.on("deploy", move |run| {
        if run.nth == bad {
            std::fs::write(run.dir.join("stdout.log"), "port 80 is taken\n").unwrap();
            return Does::Exit(1);
        }
        *production.revision.lock().unwrap() = Some(run.var("ORCH_REVISION").to_owned());
        Does::Exit(0)
    });
}

fn developer_repairs(world: &World) {
    world.runs.on("developer", |run| {
        let repairs = run.var("ORCH_BRANCH").ends_with("-r2");
        if repairs {
            assert!(run.prompt().contains("port 80 is taken"), "the brief carries the log: {}", run.prompt());
        }
        let file = format!("{}.txt", run.var("ORCH_WORK_ITEM"));
        run.write(&file, if repairs { "repaired\n" } else { "first\n" });
        Does::Exit(0)
    });
}

async fn until_production_failed(world: &World, item: &WorkItem) -> Task {
    world.until(item, "a person is asked", |t| t.phase_word() == "production_failed").await
}

async fn choose(world: &World, item: &WorkItem, way: WayOut) {
    let answer = world.ask(item, Event::WayChosen { by: anna(), way }).await;
    assert!(matches!(answer, Answer::Done(_)), "{answer:?}");
}

/// One change is in production; the next one fails there, and production is back.
async fn second_fails(bad: usize) -> (World, WorkItem, Task) {
    let world = World::new().await;
    deploy_fails_on(&world, bad);
    developer_repairs(&world);
    world.start();
    let before = world.begin("First").await;
    world.until_done(&before).await;
    let item = world.begin("Second").await;
    let task = until_production_failed(&world, &item).await;
    world.until_quiet().await;
    (world, item, task)
}

#[tokio::test]
async fn a_failed_deploy_is_nobodys_fault_until_a_person_says_so() {
    let (world, item, task) = second_fails(2).await;
    let good = world.task(&"DEMO-1".into()).await.landing.merged.unwrap().commit;
    assert_eq!((task.branch.generation, task.spent.rounds, world.runs.count("developer")), (1, 0, 2));
    assert_eq!((world.runs.count("deploy"), world.runs.count("rollback")), (2, 1));
    assert_eq!(world.production.revision.lock().unwrap().as_deref(), Some(good.as_str()), "production is back");
    let told = world.told_people();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("port 80 is taken") && told[0].contains("--as deploy|repair|revert|accept"), "{told:?}");
    assert_eq!(world.ticket_now(2).await.state, TicketState::Blocked);
    // What is merged is not cancelled, neither by a person nor by a ticket.
    let refused = world.ask(&item, Event::CancelAsked { by: anna() }).await;
    assert!(matches!(&refused, Answer::Refused(why) if why.contains("--as")), "{refused:?}");
    world.move_ticket(2, TicketState::Cancelled, &anna()).await;
    world.eventually("the ticket is put back", async || world.ticket_now(2).await.state == TicketState::Blocked).await;
    let comments = world.comments(2).await;
    assert!(comments.iter().any(|c| c.starts_with("Not cancelled: it is merged as")), "{comments:?}");
    assert_eq!(world.task(&item).await.phase_word(), "production_failed");
}

#[tokio::test]
async fn deployed_again_by_a_person_or_by_their_ticket_it_goes_live() {
    for by_ticket in [false, true] {
        let (world, item, failed) = second_fails(2).await;
        if by_ticket {
            world.move_ticket(2, TicketState::InProgress, &anna()).await;
        } else {
            choose(&world, &item, WayOut::Deploy).await;
        }
        let task = world.until_done(&item).await;
        world.until_quiet().await;
        assert_eq!(task.landing.merged, failed.landing.merged);
        assert_eq!((world.runs.count("deploy"), world.runs.count("developer")), (3, 2));
        let tip = world.main_tip().await;
        assert_eq!(world.production.revision.lock().unwrap().as_deref(), Some(tip.as_str()));
        assert_eq!(world.ticket_now(2).await.state, TicketState::Done);
    }
}

#[tokio::test]
async fn repaired_by_a_persons_word_on_a_new_branch() {
    let (world, item, _) = second_fails(2).await;
    choose(&world, &item, WayOut::Repair).await;
    let task = world.until_done(&item).await;
    world.until_quiet().await;
    assert_eq!((task.branch.generation, task.spent.rounds), (2, 0));
    assert_eq!((world.runs.count("deploy"), world.runs.count("rollback")), (3, 1));
    assert_eq!((world.forge_did("merge-done").await, world.forge_did("pull-opened").await), (3, 3));
    assert_eq!(world.show("main", "DEMO-2.txt"), "repaired");
    let good = world.task(&"DEMO-1".into()).await.landing.merged.unwrap().commit;
    let tip = world.main_tip().await;
    let deployed = world.store.deployments(&demo(), Environment::Production, 10).await.unwrap();
    let newest_first: Vec<_> = deployed.iter().map(|d| (d.revision.clone(), d.ok, d.rollback)).collect();
    assert_eq!(newest_first[0], (tip, true, false));
    assert_eq!(newest_first[1], (good.clone(), true, true), "in between production was back on what ran before");
    assert!(!newest_first[2].1);
    assert_eq!(newest_first[3], (good, true, false));
}

#[tokio::test]
async fn reverted_through_the_same_gates_it_is_gone_from_main_and_its_documents_stay() {
    let (world, item, failed) = second_fails(2).await;
    let reviews = world.runs.count("reviewer");
    choose(&world, &item, WayOut::Revert).await;
    let task = world.until_done(&item).await;
    world.until_quiet().await;
    assert_eq!(outcome(&task), DoneOutcome::Reverted);
    assert!(task.branch.name.ends_with("-r2"));
    assert_eq!((world.runs.count("developer"), world.runs.count("reviewer")), (2, reviews + 1));
    assert_eq!(world.forge_did("merge-done").await, 3);
    let files = git(&world.bare(), &["ls-tree", "-r", "--name-only", "main"]);
    assert!(!files.contains("DEMO-2.txt") && files.contains("DEMO-1.txt"), "{files}");
    assert!(files.contains("docs/work-items/DEMO-2/00-business-request.md"), "{files}");
    let commit = failed.landing.merged.unwrap().commit;
    git(&world.bare(), &["merge-base", "--is-ancestor", commit.as_str(), "main"]);
    let tip = world.main_tip().await;
    assert_eq!(world.production.revision.lock().unwrap().as_deref(), Some(tip.as_str()));
    assert_eq!(world.ticket_now(2).await.state, TicketState::Cancelled);
    let subjects = git(&world.bare(), &["log", "--format=%s", "-2", "main"]);
    let (of_revert, of_change) = subjects.split_once('\n').unwrap();
    assert_eq!(of_revert, format!("Revert \"{of_change}\""));
    let message = git(&world.bare(), &["log", "--format=%B", "-1", "main"]);
    assert!(message.contains(&format!("\nThis reverts commit {commit}.\n")), "{message}");
    let trailer = git(&world.bare(), &["log", "--format=%(trailers:key=Reverts,valueonly)", "-1", "main"]);
    assert_eq!(trailer.trim(), commit.as_str());
    assert!(!message.contains("Assisted-by"), "no agent wrote it: {message}");
}

#[tokio::test]
async fn a_check_that_prints_nothing_is_told_by_how_it_ended() {
    let world = World::with(|c| c.deploy.check = Some("check".into())).await;
    world.runs.on("check", |_| Does::Exit(3));
    world.start();
    let item = world.begin("First").await;
    let task = until_production_failed(&world, &item).await;
    assert_eq!(task.production.failures[0].cause, "the check ended with exit 3 and printed nothing");
    let told = world.told_people();
    assert!(told.iter().any(|t| t.contains("the check ended with exit 3 and printed nothing")), "{told:?}");
}

#[tokio::test]
async fn accepted_as_it_is_production_stays_and_the_next_one_goes() {
    let (world, item, _) = second_fails(2).await;
    choose(&world, &item, WayOut::Accept).await;
    let task = world.until_done(&item).await;
    assert_eq!(outcome(&task), DoneOutcome::Accepted);
    assert_eq!(task.production.failures[0].answer.as_ref().unwrap().by, anna());
    assert_eq!((world.runs.count("deploy"), world.runs.count("rollback")), (2, 1));
    let third = world.begin("Third").await;
    world.until_done(&third).await;
    let tip = world.main_tip().await;
    assert_eq!(world.production.revision.lock().unwrap().as_deref(), Some(tip.as_str()));
}

#[tokio::test]
async fn later_deploys_of_the_project_wait_for_the_repair_and_go_with_it() {
    for way in [WayOut::Deploy, WayOut::Repair, WayOut::Revert] {
        let (world, item, failed) = second_fails(2).await;
        let third = world.begin("Third").await;
        let held = world.until(&third, "held back", |t| t.phase_word() == "held_back").await;
        let why = orch_core::explain::explain(&held).unwrap();
        let bad = failed.landing.merged.unwrap().commit;
        assert!(why.reason.contains("DEMO-2") && why.reason.contains(bad.short()), "{}", why.reason);
        assert_eq!(world.runs.count("deploy"), 2, "nothing went past it");
        choose(&world, &item, way).await;
        world.until_done(&item).await;
        world.until_done(&third).await;
        world.until_quiet().await;
        assert_eq!(world.says(&third, "production did not take").await, 1, "said once, however often it was looked at");
        let running = world.production.revision.lock().unwrap().clone().unwrap();
        let merged = world.task(&third).await.landing.merged.unwrap().commit;
        git(&world.bare(), &["merge-base", "--is-ancestor", merged.as_str(), &running]);
    }
}

#[tokio::test]
async fn a_crash_while_the_second_branch_is_opened_opens_it_once() {
    for way in [WayOut::Repair, WayOut::Revert] {
        let (world, item, _) = second_fails(2).await;
        let developers = world.runs.count("developer");
        world.faults.plan("git.push", &[How::DieAfter]);
        choose(&world, &item, way).await;
        world.faults.reached("git.push").await;
        world.kill().await;
        world.start();
        let task = world.until_done(&item).await;
        assert_eq!((task.branch.generation, world.forge_did("merge-done").await), (2, 3));
        assert_eq!(world.runs.count("developer"), developers + usize::from(way == WayOut::Repair));
    }
}

#[tokio::test]
async fn what_was_never_deployed_before_has_nothing_to_go_back_to_and_says_so() {
    let world = World::new().await;
    deploy_fails_on(&world, 1);
    world.start();
    let item = world.begin("First").await;
    let task = until_production_failed(&world, &item).await;
    world.until_quiet().await;
    assert_eq!(world.runs.count("rollback"), 0, "nothing ran there before");
    assert!(task.production.failures[0].now.contains("nothing to bring back"), "{:?}", task.production.failures);
    choose(&world, &item, WayOut::Deploy).await;
    world.until_done(&item).await;
    assert_eq!((world.runs.count("deploy"), world.runs.count("developer")), (2, 1));
}

/// The record that a hook has ended belongs to the revision, not to the job that ran it.
#[tokio::test]
async fn a_hook_that_ended_is_not_run_again_by_another_job() {
    let world = World::with(|c| c.deploy.check = Some("check".into())).await;
    world.runs.on("check", |_| Does::Exit(0));
    world.faults.plan("git.checkout check", &[How::Never]);
    world.start();
    let item = world.begin("First").await;
    world.until_blocked(&item).await;
    assert_eq!((world.runs.count("deploy"), world.runs.count("check")), (1, 0));
    world.ask(&item, Event::RetryAsked { by: anna() }).await;
    let task = world.until_done(&item).await;
    assert_eq!((world.runs.count("deploy"), world.runs.count("check")), (1, 1), "{:?}", world.told_story(&item).await);
    assert_eq!(outcome(&task), DoneOutcome::Healthy);
}

#[tokio::test]
async fn a_check_that_failed_is_deployed_again_with_its_hook() {
    let world = World::with(|c| c.deploy.check = Some("check".into())).await;
    world.runs.on("check", |run| Does::Exit(i32::from(run.nth == 1)));
    world.start();
    let item = world.begin("First").await;
    until_production_failed(&world, &item).await;
    choose(&world, &item, WayOut::Deploy).await;
    world.until_done(&item).await;
    assert_eq!((world.runs.count("deploy"), world.runs.count("check")), (2, 2));
}

#[tokio::test]
async fn a_check_that_vanished_is_done_again_and_the_deploy_before_it_is_not() {
    let world = World::with(|c| c.deploy.check = Some("check".into())).await;
    world.runs.on("check", |run| if run.nth == 1 { Does::Vanish } else { Does::Exit(0) });
    world.start();
    let item = world.begin("Add a file").await;
    world.until_done(&item).await;
    assert_eq!((world.runs.count("deploy"), world.runs.count("check")), (1, 2));
}

#[tokio::test]
async fn a_deploy_that_vanished_is_done_again() {
    let world = World::with(|c| c.deploy.check = Some("check".into())).await;
    let production = world.production.clone();
    world.runs.on("deploy", move |run| {
        *production.revision.lock().unwrap() = Some(run.var("ORCH_REVISION").to_owned());
        if run.nth == 1 { Does::Vanish } else { Does::Exit(0) }
    });
    world.runs.on("check", |_| Does::Exit(0));
    world.start();
    let item = world.begin("Add a file").await;
    world.until_done(&item).await;
    assert_eq!((world.runs.count("deploy"), world.runs.count("check")), (2, 1));
}

#[tokio::test]
async fn a_deploy_whose_end_was_not_heard_is_not_done_again() {
    let world = World::new().await;
    world.faults.plan("answer deploy", &[How::Before, How::Before]);
    world.start();
    let item = world.begin("First").await;
    world.until_done(&item).await;
    assert_eq!(world.runs.count("deploy"), 1);
}

async fn degraded(auto_rollback: bool) -> (World, Task) {
    let world = World::with(|c| {
        c.watch_ms = 120_000;
        c.policy.auto_rollback = auto_rollback;
    })
    .await;
    world.start();
    let before = world.begin("First").await;
    world.until(&before, "watched", |t| t.phase_word() == "watching").await;
    world.clock.advance(130_000);
    world.until_done(&before).await;
    let item = world.begin("Second").await;
    world.until(&item, "watched", |t| t.phase_word() == "watching").await;
    *world.production.status.lock().unwrap() = Some(500);
    let task = world.until_done(&item).await;
    world.until_quiet().await;
    (world, task)
}

#[tokio::test]
async fn a_degraded_production_is_left_alone_and_told() {
    let (world, task) = degraded(false).await;
    assert_eq!(outcome(&task), DoneOutcome::Degraded);
    assert_eq!(world.runs.count("rollback"), 0);
    assert_eq!(world.told_people(), ["DEMO-2 is done, but production is degraded"]);
}

#[tokio::test]
async fn a_degraded_production_goes_back_once_where_the_project_allows_it() {
    let (world, task) = degraded(true).await;
    assert_eq!(outcome(&task), DoneOutcome::RolledBack);
    assert_eq!(world.runs.count("rollback"), 1);
    let before = world.task(&"DEMO-1".into()).await.landing.merged.unwrap().commit;
    assert_eq!(world.production.revision.lock().unwrap().as_deref(), Some(before.as_str()));
    assert_eq!(world.ticket_now(2).await.state, TicketState::Blocked);
}

#[tokio::test]
async fn a_watch_without_a_network_says_so_and_touches_nothing() {
    let world = World::with(|c| {
        c.watch_ms = 20_000;
        c.policy.auto_rollback = true;
    })
    .await;
    let production = world.production.clone();
    world.start();
    let item = world.begin("First").await;
    // The gate needs its look; the network goes right after it.
    world.until(&item, "watched or done", |t| matches!(t.phase_word(), "watching" | "done")).await;
    *production.fault.lock().unwrap() = Some(Fault::transient("no name resolution"));
    let task = world.until_done(&item).await;
    assert!(matches!(outcome(&task), DoneOutcome::Inconclusive | DoneOutcome::Healthy), "{:?}", task.phase);
    assert_eq!(world.runs.count("rollback"), 0);
}
