//! The default branch is judged before a task's first agent. What is red there by itself holds the task, costs nothing,
//! and ends when main, the command or the tools change, or when a person says that the ticket is there to repair it.

use crate::runs::{Does, Run};
use crate::world::{Choice, World, anna, demo};
use orch_core::effect::Effect;
use orch_core::event::Event;
use orch_core::ids::WorkItem;
use orch_core::task::{ApprovalKind, Phase, Task, WaitReason};
use orch_core::ticket::{self, TicketState};
use orch_engine::commands::Answer;
use orch_ports::git::Git as _;
use orch_ports::tracker::Tracker as _;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const MINUTE_MS: i64 = 60_000;

/// A run that printed this.
fn said(run: &Run, text: &str, code: i32) -> Does {
    std::fs::write(run.dir.join("stdout.log"), text).unwrap();
    Does::Exit(code)
}

fn red(run: &Run) -> Does {
    said(run, "test cart::old ... FAILED\n", 1)
}

async fn tested(choose: impl FnOnce(&mut Choice)) -> World {
    let world = World::with(|c| {
        (c.test, c.ci) = (Some("test".into()), None);
        c.policy.base_first = true;
        choose(c);
    })
    .await;
    world.runs.on("developer", |run| {
        run.write(&format!("{}.txt", run.var("ORCH_WORK_ITEM")), &format!("{}\n", run.nth));
        Does::Exit(0)
    });
    world
}

/// The tests are red until this is `false`.
fn red_while(world: &World, line: &str) -> Arc<AtomicBool> {
    let is_red = Arc::new(AtomicBool::new(true));
    let now = is_red.clone();
    world.runs.on(line, move |run| if now.load(Ordering::SeqCst) { red(run) } else { said(run, "ok\n", 0) });
    is_red
}

fn is_held(task: &Task) -> bool {
    matches!(&task.phase, Phase::Waiting { why: WaitReason::Approval { what: ApprovalKind::Base, .. }, .. })
}

async fn until_held(world: &World, item: &WorkItem) -> Task {
    world.until(item, "held by its base", is_held).await
}

fn why(task: &Task) -> String {
    orch_core::explain::explain(task).unwrap().reason
}

/// A person says that the ticket repairs it.
async fn approves(world: &World, item: &WorkItem) {
    let approve = Event::Approved { by: anna(), gate: None, subject: None, comment: None };
    let answer = world.ask(item, approve).await;
    assert!(matches!(answer, Answer::Done(_)), "{answer:?}");
}

/// How often it came back from a look.
async fn looks(world: &World, item: &WorkItem) -> usize {
    let task = world.task(item).await.id;
    let rows = world.store.journal(Some(task), 0, 10_000).await.unwrap();
    rows.iter().filter(|row| row.event == "job_ended" && row.ignored.is_none()).count()
}

/// Time for one more look.
async fn look(world: &World, item: &WorkItem, ms: i64) {
    let before = looks(world, item).await;
    world.clock.advance(ms);
    world.eventually("another look", async || before < looks(world, item).await).await;
    until_held(world, item).await;
}

#[tokio::test]
async fn a_red_base_holds_the_task_before_its_first_agent_and_ends_by_itself() {
    let world = tested(|_| {}).await;
    let is_red = red_while(&world, "test");
    world.start();
    let item = world.begin("One").await;
    let task = until_held(&world, &item).await;
    let why = why(&task);
    assert!(why.starts_with("the base itself fails: `test` on ") && why.contains("fails: cart::old"), "{why}");
    for _ in 0..3 {
        let runs = world.runs.count("test");
        world.clock.advance(10 * MINUTE_MS);
        world.eventually("another run", async || runs + 1 < world.runs.count("test")).await;
        until_held(&world, &item).await;
    }
    assert_eq!((world.runs.count("developer"), world.told_people().len()), (0, 1), "{:?}", world.told_people());
    assert_eq!(world.task(&item).await.branch.head, None, "its branch is not opened");
    is_red.store(false, Ordering::SeqCst);
    world.clock.advance(20 * MINUTE_MS);
    let task = world.until_done(&item).await;
    assert_eq!((task.spent.rounds, world.says(&item, "the base: `test` is green on ").await), (0, 1));
}

#[tokio::test]
async fn a_push_that_repairs_main_lets_it_go_on_at_once() {
    // Nobody looks by itself in this world for a day.
    let world = tested(|c| c.policy.recheck_ms = 24 * 60 * MINUTE_MS).await;
    world.runs.on("test", |run| if run.read("repair.txt").is_empty() { red(run) } else { said(run, "ok\n", 0) });
    world.start();
    let item = world.begin("One").await;
    until_held(&world, &item).await;
    world.outsider_on_main("repair.txt", "whole\n");
    world.until_done(&item).await;
    assert_eq!(world.runs.count("developer"), 1);
}

#[tokio::test]
async fn what_is_red_is_run_ever_later_and_at_once_where_a_tool_changes() {
    let tools = tempfile::tempdir().unwrap();
    let path = format!("{}:/usr/bin:/bin", tools.path().display());
    let world = tested(|c| {
        c.policy.recheck_ms = 10 * MINUTE_MS;
        c.preparation.env.insert("PATH".into(), path);
    })
    .await;
    let is_red = red_while(&world, "test");
    world.start();
    let item = world.begin("One").await;
    until_held(&world, &item).await;
    look(&world, &item, 24 * 60 * MINUTE_MS).await;
    let runs = world.runs.count("test");
    // A day of red: it is run again after hours, and looked at in between.
    look(&world, &item, 100 * MINUTE_MS).await;
    look(&world, &item, 100 * MINUTE_MS).await;
    assert_eq!(world.runs.count("test"), runs, "nothing has changed");
    let cargo = tools.path().join("cargo");
    std::fs::write(&cargo, "#!/bin/sh\n").unwrap();
    std::fs::set_permissions(&cargo, std::fs::Permissions::from_mode(0o755)).unwrap();
    is_red.store(false, Ordering::SeqCst);
    world.clock.advance(100 * MINUTE_MS);
    world.until_done(&item).await;
}

#[tokio::test]
async fn another_command_setup_or_limit_is_another_verdict() {
    type Change = fn(&mut Choice);
    let changes: [(&str, Change); 3] = [
        ("other", |c| c.test = Some("other".into())),
        ("test", |c| c.preparation.setup = Some("install".into())),
        ("test", |c| drop(c.preparation.env.insert("LEVEL".into(), "2".into()))),
    ];
    for (line, change) in changes {
        let world = tested(|c| c.policy.recheck_ms = 10 * MINUTE_MS).await;
        let is_red = red_while(&world, "test");
        world.start();
        let item = world.begin("One").await;
        until_held(&world, &item).await;
        look(&world, &item, 24 * 60 * MINUTE_MS).await;
        world.kill().await;
        is_red.store(false, Ordering::SeqCst);
        for line in ["other", "install"] {
            world.runs.on(line, |_| Does::Exit(0));
        }
        let world = world.configured(change);
        world.start();
        world.clock.advance(100 * MINUTE_MS);
        world.until_done(&item).await;
        assert!(0 < world.runs.count(line));
    }
}

#[tokio::test]
async fn two_tasks_judge_the_base_once_whatever_came_out_and_a_restart_judges_it_no_more() {
    let world = tested(|c| c.policy.recheck_ms = 10 * MINUTE_MS).await;
    let is_red = red_while(&world, "test");
    world.start();
    let (one, two) = (world.begin("One").await, world.begin("Two").await);
    until_held(&world, &one).await;
    until_held(&world, &two).await;
    assert_eq!(world.runs.count("test"), 2, "red, and once more to be sure");
    world.kill().await;
    world.start();
    let three = world.begin("Three").await;
    until_held(&world, &three).await;
    assert_eq!(world.runs.count("test"), 2);
    is_red.store(false, Ordering::SeqCst);
    world.runs.on("developer", |_| Does::Hang);
    world.clock.advance(30 * MINUTE_MS);
    for item in [&one, &two, &three] {
        world.until(item, "its branch is opened", |t| t.branch.head.is_some()).await;
    }
    assert_eq!(world.runs.count("test"), 3, "green once, for all of them");
}

#[tokio::test]
async fn an_approver_says_that_the_ticket_repairs_the_base_and_the_brief_says_what_fails() {
    let world = tested(|_| {}).await;
    world.runs.on("developer", |run| {
        assert!(run.prompt().contains("the ticket is to repair it"), "{}", run.prompt());
        assert!(run.prompt().contains("fails: cart::old"), "{}", run.prompt());
        run.write("repair.txt", if run.nth == 1 { "half\n" } else { "whole\n" });
        Does::Exit(0)
    });
    world.runs.on("test", |run| if run.read("repair.txt") == "whole\n" { said(run, "ok\n", 0) } else { red(run) });
    world.start();
    let item = world.begin("One").await;
    until_held(&world, &item).await;
    approves(&world, &item).await;
    let task = world.until_done(&item).await;
    assert_eq!((task.spent.rounds, world.runs.count("developer")), (1, 2), "what it was to repair is its own red");
    assert_eq!(world.says(&item, "this ticket is to repair that").await, 1);
}

#[tokio::test]
async fn a_ticket_that_does_not_repair_the_base_does_not_work_on_top_of_it() {
    let world = tested(|_| {}).await;
    world.runs.on("test", |run| if run.read("repair.txt").is_empty() { red(run) } else { said(run, "ok\n", 0) });
    world.runs.on("developer", |run| {
        let repairs = run.prompt().contains("the ticket is to repair it");
        run.write(if repairs { "repair.txt" } else { "other.txt" }, "whole\n");
        Does::Exit(0)
    });
    world.start();
    let (repair, other) = (world.begin("Repair").await, world.begin("Other").await);
    until_held(&world, &repair).await;
    until_held(&world, &other).await;
    approves(&world, &repair).await;
    world.until_done(&repair).await;
    // What repaired main was tested as the tree it is now.
    let task = world.until_done(&other).await;
    assert_eq!((task.spent.rounds, task.repairs_base()), (0, false));
    assert_eq!(world.says(&other, "was green on this code at ").await, 1);
}

#[tokio::test]
async fn what_landed_is_not_tested_again_as_the_next_ones_base() {
    for own_ci in [false, true] {
        let world = tested(|c| {
            if own_ci {
                (c.test, c.ci) = (None, Some("test".into()));
            }
        })
        .await;
        world.runs.on("test", |_| Does::Exit(0));
        world.start();
        let one = world.begin("One").await;
        world.until_done(&one).await;
        let runs = world.runs.count("test");
        let two = world.begin("Two").await;
        world.until_done(&two).await;
        let more = world.runs.count("test") - runs;
        assert_eq!(runs, more + 1, "the base once, own CI: {own_ci}");
        assert_eq!(world.says(&two, "was green on this code at ").await, 1);
    }
}

#[tokio::test]
async fn a_tool_that_is_missing_holds_with_the_setup_and_its_last_lines() {
    let world = tested(|c| c.preparation.setup = Some("npm ci".into())).await;
    world.runs.on("npm ci", |_| Does::Exit(0));
    world.runs.on("test", |run| {
        std::fs::write(run.dir.join("phase"), "setup\n").unwrap();
        said(run, "one\ntwo\nsh: 1: npm: not found\n", 127)
    });
    world.start();
    let item = world.begin("One").await;
    let why = why(&until_held(&world, &item).await);
    assert!(why.contains("the setup `npm ci` on ") && why.contains("exit 127"), "{why}");
    assert!(why.contains("two; sh: 1: npm: not found"), "{why}");
    let told = world.told_people();
    assert!(told.len() == 1 && told[0].contains("npm: not found"), "{told:?}");
    world.kill().await;
    world.start();
    until_held(&world, &item).await;
    assert_eq!(world.runs.count("developer"), 0);
    world.runs.on("test", |_| Does::Exit(0));
    world.clock.advance(10 * MINUTE_MS);
    world.until_done(&item).await;
}

#[tokio::test]
async fn tests_that_hang_until_their_limit_hold_with_that() {
    let world = tested(|_| {}).await;
    world.runs.on("test", |run| {
        std::fs::write(run.dir.join("stdout.log"), "test cart::waits ...\n").unwrap();
        Does::Deadline
    });
    world.start();
    let item = world.begin("One").await;
    let why = why(&until_held(&world, &item).await);
    assert!(why.contains("stopped at its deadline") && why.contains("test cart::waits ..."), "{why}");
    assert_eq!(world.runs.count("developer"), 0);
}

#[tokio::test]
async fn a_base_that_fails_by_chance_is_known_for_it_and_holds_nobody() {
    let world = tested(|_| {}).await;
    world.runs.on("test", |run| if run.nth == 1 { red(run) } else { said(run, "ok\n", 0) });
    world.start();
    let item = world.begin("One").await;
    world.until_done(&item).await;
    let known = orch_engine::flaky::of(&world.engine(), &demo()).await.unwrap();
    assert!(known["cart::old"].on_main, "{known:?}");
    assert_eq!(world.says(&item, "the base: `test` is green on ").await, 1);
    assert_eq!(world.says(&item, "failed by chance: 1 of 2 runs of the same tree failed: cart::old").await, 1);
}

#[tokio::test]
async fn a_machine_that_is_to_blame_is_waited_for_and_nobody_is_asked_for_an_approval() {
    for (full, code) in [(true, 1), (false, 137)] {
        let world = tested(|c| c.least_free_bytes = if full { u64::MAX } else { 0 }).await;
        let bad = Arc::new(AtomicBool::new(true));
        let is_bad = bad.clone();
        world.runs.on("test", move |_| Does::Exit(if is_bad.load(Ordering::SeqCst) { code } else { 0 }));
        world.start();
        let item = world.begin("One").await;
        let cannot = |t: &Task| matches!(&t.phase, Phase::Waiting { why: WaitReason::CannotTell { .. }, .. });
        let task = world.until(&item, "waits for the machine", cannot).await;
        let text = if full { "bytes are free in" } else { "exit 137: something ends it" };
        assert!(why(&task).contains(text), "{}", why(&task));
        assert!(world.told_people().is_empty(), "{:?}", world.told_people());
        bad.store(false, Ordering::SeqCst);
        world.clock.advance(10 * MINUTE_MS);
        world.until_done(&item).await;
        assert_eq!(world.says(&item, "needs you").await, 0);
    }
}

#[tokio::test]
async fn who_dies_while_the_base_is_judged_finds_the_run_again() {
    let world = tested(|_| {}).await;
    world.runs.on("test", |_| Does::Hang);
    world.start();
    let item = world.begin("One").await;
    world.eventually("the base is judged", async || world.runs.live("test")).await;
    let view = world.engine().show(&world.task(&item).await).await.unwrap().waiting.unwrap();
    assert!(view.reason.starts_with("the default branch is judged as it is"), "{view:?}");
    world.kill().await;
    world.start();
    world.runs.on("test", |_| Does::Exit(0));
    world.runs.finish("test", |_| {});
    world.until_done(&item).await;
    assert_eq!(world.runs.count("test"), 3, "base, branch and what lands: none of them twice");
}

#[tokio::test]
async fn a_run_whose_supervisor_dies_is_begun_again() {
    let world = tested(|_| {}).await;
    world.runs.on("test", |run| if run.nth == 1 { Does::Vanish } else { Does::Exit(0) });
    world.start();
    let item = world.begin("One").await;
    world.until_done(&item).await;
    assert_eq!(world.says(&item, "the base: `test` is green on ").await, 1);
}

#[tokio::test]
async fn a_pause_while_the_base_is_judged_opens_no_branch_before_it_is_over() {
    let world = tested(|_| {}).await;
    world.runs.on("test", |_| Does::Hang);
    world.start();
    let item = world.begin("One").await;
    world.eventually("the base is judged", async || world.runs.live("test")).await;
    world.engine().pause(None, &anna()).await.unwrap();
    world.runs.on("test", |_| Does::Exit(0));
    world.runs.finish("test", |_| {});
    let opens = async || {
        let open = world.store.open_jobs(None).await.unwrap();
        open.iter().any(|job| job.effect == Effect::OpenBranch)
    };
    world.eventually("the branch is to be opened", opens).await;
    let sweeps = world.engine().watcher("reaper").runs;
    world.clock.advance(MINUTE_MS);
    world.eventually("looked at", async || sweeps + 2 < world.engine().watcher("reaper").runs).await;
    assert_eq!(world.task(&item).await.branch.head, None);
    world.engine().resume(None).await.unwrap();
    world.until_done(&item).await;
}

#[tokio::test]
async fn who_cancels_while_the_base_is_judged_ends_its_run() {
    let world = tested(|_| {}).await;
    world.runs.on("test", |_| Does::Hang);
    world.start();
    let item = world.begin("One").await;
    world.eventually("the base is judged", async || world.runs.live("test")).await;
    world.ask(&item, Event::CancelAsked { by: anna() }).await;
    world.until(&item, "cancelled", |t| matches!(t.phase, Phase::Cancelled { .. })).await;
    assert!(!world.runs.live("test"));
    world.until_quiet().await;
}

#[tokio::test]
async fn without_a_test_and_without_ci_nothing_is_judged() {
    let world = tested(|c| (c.test, c.ci) = (None, None)).await;
    world.start();
    let item = world.begin("One").await;
    world.until_done(&item).await;
    assert_eq!(world.says(&item, "the base").await, 0);
}

/// While the tests run on the default branch, `moves` happens to it; then they have ended well.
async fn green_while(world: &World, moves: impl AsyncFnOnce()) -> WorkItem {
    world.runs.on("test", |_| Does::Hang);
    world.start();
    let item = world.begin("One").await;
    world.eventually("the base is judged", async || world.runs.live("test")).await;
    moves().await;
    world.runs.on("test", |run| if run.read("broken.txt").is_empty() { said(run, "ok\n", 0) } else { red(run) });
    world.runs.finish("test", |_| {});
    item
}

#[tokio::test]
async fn a_branch_is_opened_on_what_was_judged_where_main_moves_during_the_look() {
    let world = tested(|_| {}).await;
    world.runs.on("developer", |_| Does::Hang);
    let judged = world.main_tip().await;
    let item = green_while(&world, async || drop(world.outsider_on_main("broken.txt", "x\n"))).await;
    let task = world.until(&item, "its branch is open", |t| t.branch.head.is_some()).await;
    assert_eq!(task.branch.base.as_ref(), Some(&judged), "nobody has judged {}", world.main_tip().await);
    let head = task.branch.head.unwrap();
    assert_eq!(world.git.read_file(&demo(), &head, "broken.txt").await.unwrap(), None);
}

#[tokio::test]
async fn a_main_that_is_rewritten_during_the_look_is_judged_again() {
    let world = tested(|_| {}).await;
    let before = world.main_tip().await;
    let first = world.outsider_on_main("first.txt", "x\n");
    let rewrites = async || {
        crate::world::git(&world.bare(), &["update-ref", "refs/heads/main", before.as_str()]);
        world.outsider_on_main("broken.txt", "x\n");
    };
    let item = green_while(&world, rewrites).await;
    let task = until_held(&world, &item).await;
    assert_eq!((world.says(&item, "it is judged again").await, task.branch.head), (1, None), "{first} was green");
}

/// Held by a red base, and the next look runs the tests.
async fn looked_at_again(world: &World) -> WorkItem {
    world.runs.on("test", red);
    world.start();
    let item = world.begin("One").await;
    until_held(world, &item).await;
    world.runs.on("test", |_| Does::Hang);
    world.clock.advance(10 * MINUTE_MS);
    world.eventually("the base is run again", async || world.runs.live("test")).await;
    item
}

#[tokio::test]
async fn an_approval_by_the_tickets_state_counts_while_the_base_is_run_again() {
    let world = tested(|c| c.policy.recheck_ms = 10 * MINUTE_MS).await;
    world.runs.on("developer", |_| Does::Hang);
    let item = looked_at_again(&world).await;
    let task = world.task(&item).await;
    assert!(why(&task).starts_with("the base itself fails: "), "{}", why(&task));
    let view = world.engine().show(&task).await.unwrap();
    assert_eq!((view.phase.as_str(), view.waiting.unwrap().reason), ("awaiting_approval", why(&task)));
    world.tracker.set_state(&demo(), task.number, TicketState::Approved, &anna()).await.unwrap();
    world.until(&item, "approved", |t| !t.approvals.is_empty()).await;
    assert_eq!(ticket::state(&world.task(&item).await), Some(TicketState::InProgress));
    world.runs.on("test", |_| Does::Exit(0));
    world.runs.finish("test", |_| {});
    world.until(&item, "its branch is open", |t| t.branch.head.is_some()).await;
}

#[tokio::test]
async fn a_no_while_the_base_is_run_again_ends_the_run_and_blocks() {
    let world = tested(|c| c.policy.recheck_ms = 10 * MINUTE_MS).await;
    let item = looked_at_again(&world).await;
    let no = Event::Rejected { by: anna(), gate: None, comment: "somebody else repairs it".into() };
    assert!(matches!(world.ask(&item, no).await, Answer::Done(_)));
    let task = world.until_blocked(&item).await;
    assert!(why(&task).contains("somebody else repairs it"), "{}", why(&task));
    assert!(!world.runs.live("test"));
    world.until_quiet().await;
}

#[tokio::test]
async fn a_red_without_names_of_tests_is_another_one_on_another_tree() {
    for (text, others) in [("it does not compile\n", 2), ("test cart::old ... FAILED\n", 1)] {
        let world = tested(|_| {}).await;
        world.runs.on("test", move |run| said(run, text, 1));
        world.start();
        let item = world.begin("One").await;
        until_held(&world, &item).await;
        let runs = world.runs.count("test");
        world.outsider_on_main("other.txt", "x\n");
        world.eventually("the new tree is run", async || runs + 1 < world.runs.count("test")).await;
        until_held(&world, &item).await;
        world.until(&item, "looked at", |t| !matches!(t.phase, Phase::Working { .. })).await;
        assert_eq!((world.says(&item, "the base itself fails").await, world.told_people().len()), (others, others));
    }
}
