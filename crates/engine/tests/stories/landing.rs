//! A person's own branch on its way to production: copied, judged like any other change, merged, and never written to.

use crate::faults::How;
use crate::runs::Does;
use crate::world::{World, anna, demo, git};
use orch_core::event::Event;
use orch_core::ids::{Actor, Sha, WorkItem};
use orch_core::landing::{History, LandingPlan};
use orch_core::task::{BlockReason, DoneOutcome, Phase, Task, WaitReason, WayOut};
use orch_engine::land::{LandAnswer, Wish};
use orch_ports::forge::{Forge, PullState};
use orch_ports::tracker::{TicketState, Tracker};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

fn wish(branch: &str) -> Wish {
    Wish { project: demo(), branch: branch.into(), head: None, title: None, by: anna() }
}

async fn land(world: &World, branch: &str) -> WorkItem {
    match world.engine().land(&wish(branch)).await.unwrap() {
        LandAnswer::Taken { task, .. } => task.work_item,
        LandAnswer::Refused(why) => panic!("{branch} was refused: {why}"),
    }
}

async fn refused(world: &World, wish: &Wish) -> String {
    match world.engine().land(wish).await.unwrap() {
        LandAnswer::Taken { task, .. } => panic!("{} lands it", task.work_item),
        LandAnswer::Refused(why) => why,
    }
}

async fn head_of(world: &World, branch: &str) -> Option<Sha> {
    world.forge.branch_head(&demo(), branch).await.unwrap()
}

fn is_returned(task: &Task) -> bool {
    matches!(task.phase, Phase::Blocked { why: BlockReason::Returned { .. }, .. })
}

/// Somebody commits on top of a branch of the forge, as this person, with this message.
fn pushes_as(world: &World, branch: &str, (from, path, text): (&str, &str, &str), who: &str, message: &str) -> Sha {
    let (src, bare) = (world.path("src"), world.bare());
    let bare = bare.to_str().unwrap();
    git(&src, &["fetch", "--quiet", bare, "+refs/heads/*:refs/forge/*"]);
    git(&src, &["checkout", "--quiet", "--detach", &format!("refs/forge/{from}")]);
    std::fs::write(src.join(path), text).unwrap();
    git(&src, &["add", "."]);
    let author = format!("--author={who}");
    git(&src, &["commit", "--quiet", &author, "-m", message]);
    git(&src, &["push", "--quiet", "--force", bare, &format!("HEAD:refs/heads/{branch}")]);
    Sha::new(git(&src, &["rev-parse", "HEAD"]))
}

#[tokio::test]
async fn a_persons_branch_lands_without_an_agent_as_its_authors_commit_and_stays_as_it_was() {
    let world = World::with(|c| c.test = Some("test".into())).await;
    world.start();
    let message = "Round half up\n\nThe tax office asks for it.\n\nSigned-off-by: Eve <eve@x>";
    let head = pushes_as(&world, "bob/round", ("main", "sum.txt", "half up\n"), "Bob <bob@example.org>", message);
    let item = land(&world, "bob/round").await;
    let task = world.until_done(&item).await;
    world.until_quiet().await;
    assert!(matches!(task.phase, Phase::Done { outcome: DoneOutcome::Healthy, .. }));
    assert_eq!((world.runs.count("developer"), world.runs.count("reviewer")), (0, 0));
    assert!(0 < world.runs.count("ci") && 0 < world.runs.count("test") && world.runs.count("deploy") == 1);
    assert_eq!(world.show("main", "sum.txt"), "half up");
    assert_eq!(world.forge_did("merge-done").await, 1);
    let landed = git(&world.bare(), &["log", "-1", "--format=%an <%ae>|%cn|%B", "main"]);
    assert!(landed.starts_with("Bob <bob@example.org>|orch|Round half up\n\nThe tax office asks for it."), "{landed}");
    assert!(landed.contains("Requested-by: local:anna") && landed.contains("Work-item: DEMO-1"), "{landed}");
    assert!(
        !landed.lines().any(|l| l.starts_with("Signed-off-by")),
        "a trailer orch does not know to be true: {landed}"
    );
    assert_eq!(head_of(&world, "bob/round").await, Some(head), "the person's branch is the person's");
    assert_eq!(head_of(&world, &task.branch.name).await, None, "the copy is gone");
    assert!(!git(&world.bare(), &["ls-tree", "-r", "--name-only", "main"]).contains("work-items"), "no documents");
}

#[tokio::test]
async fn several_commits_and_authors_are_named_in_the_one_commit_or_stay_as_they_are() {
    for history in [History::OneCommit, History::AsIs] {
        let world = World::with(|c| c.landing = LandingPlan { history, ..LandingPlan::default() }).await;
        world.start();
        pushes_as(&world, "topic", ("main", "a.txt", "a\n"), "Bob <bob@example.org>", "Add a");
        pushes_as(&world, "topic", ("topic", "b.txt", "b\n"), "Eve <eve@example.org>", "Add b");
        world.outsider_merges("by-hand", "other.txt", "meanwhile\n").await;
        let item = land(&world, "topic").await;
        world.until_done(&item).await;
        let log = git(&world.bare(), &["log", "-2", "--format=%an|%s|%b", "main"]);
        if history == History::OneCommit {
            let first = log.split("Land topic").next().unwrap();
            assert_eq!(first, "Eve|", "{log}");
            assert!(log.contains("- Add a\n- Add b") && log.contains("Co-authored-by: Bob <bob@example.org>"), "{log}");
        } else {
            assert!(log.contains("Eve|Add b|") && log.contains("Bob|Add a|"), "{log}");
        }
    }
}

#[tokio::test]
async fn what_cannot_be_landed_is_refused_before_there_is_a_ticket() {
    let world = World::new().await;
    world.start();
    let head = world.outsider_pushes("topic", "main", "a.txt", "a\n");
    let agents = world.begin("Add a file").await;
    let branch = world.until(&agents, "a branch", |t| t.branch.head.is_some()).await.branch.name;
    git(&world.bare(), &["branch", "old", "main"]);
    let src = world.path("src");
    git(&src, &["checkout", "--quiet", "--orphan", "elsewhere"]);
    git(&src, &["commit", "--quiet", "-m", "another history"]);
    git(&src, &["push", "--quiet", world.bare().to_str().unwrap(), "HEAD:refs/heads/elsewhere"]);
    let mallory = Wish { by: Actor::new("local:mallory"), ..wish("topic") };
    let moved = Wish { head: Some(Sha::new("1".repeat(40))), ..wish("topic") };
    for (wish, why) in [
        (wish("main"), "default branch"),
        (wish("nowhere"), "there is no branch nowhere"),
        (wish("-x"), "no name of a branch"),
        (wish("old"), "nothing to land"),
        (wish("elsewhere"), "no history"),
        (wish(&branch), "is under way"),
        (wish("land/DEMO-7-fix"), "its own copies"),
        (mallory, "may not land"),
        (moved, "stands at"),
    ] {
        let said = refused(&world, &wish).await;
        assert!(said.contains(why), "{}: {said}", wish.branch);
    }
    assert_eq!(world.store.highest_number(&demo()).await.unwrap(), 1, "no ticket was made");
    let seen = Wish { head: Some(Sha::new(&head.as_str()[..10])), ..wish("topic") };
    assert!(matches!(world.engine().land(&seen).await.unwrap(), LandAnswer::Taken { .. }));
}

#[tokio::test]
async fn a_red_branch_waits_for_its_author_and_what_is_pushed_lands_only_when_it_is_asked_for() {
    let world = World::new().await;
    let red = Arc::new(AtomicBool::new(true));
    let is_red = red.clone();
    world.runs.on("ci", move |run| {
        let red = is_red.load(Ordering::SeqCst) && run.cwd.join("a.txt").exists();
        Does::Exit(i32::from(red))
    });
    world.start();
    world.outsider_pushes("topic", "main", "a.txt", "broken\n");
    let item = land(&world, "topic").await;
    let task = world.until(&item, "returned", is_returned).await;
    assert_eq!(task.spent.rounds, 0);
    assert!(world.told_people().iter().any(|t| t.contains("check_ci_green says no")), "{:?}", world.told_people());
    red.store(false, Ordering::SeqCst);
    let repaired = world.outsider_pushes("topic", "topic", "a.txt", "mended\n");
    world.until_quiet().await;
    assert!(
        is_returned(&world.task(&item).await),
        "a push alone starts nothing: whoever may push need not be who may land"
    );
    assert_eq!(land(&world, "topic").await, item, "the same task goes on");
    let task = world.until_done(&item).await;
    assert_eq!(task.branch.source.unwrap().head, repaired);
    assert_eq!(world.show("main", "a.txt"), "mended");
}

#[tokio::test]
async fn a_retry_judges_what_was_asked_for_and_landing_again_takes_a_rewritten_branch_too() {
    let world = World::new().await;
    world.runs.on("ci", |run| if run.cwd.join("bad.txt").exists() { Does::Exit(1) } else { Does::Exit(0) });
    world.start();
    world.outsider_pushes("topic", "main", "bad.txt", "broken\n");
    let item = land(&world, "topic").await;
    world.until(&item, "returned", is_returned).await;
    // Not on top of what was there: amended.
    let amended = world.outsider_pushes("topic", "main", "good.txt", "mended\n");
    let runs = world.runs.count("ci");
    world.ask(&item, Event::RetryAsked { by: anna() }).await;
    let again = |t: &Task| is_returned(t) && runs < world.runs.count("ci");
    let task = world.until(&item, "judged again as it was", again).await;
    assert_ne!(task.branch.source.unwrap().head, amended, "whoever retries has seen the commit that was refused");
    land(&world, "topic").await;
    let task = world.until_done(&item).await;
    assert_eq!(task.branch.source.unwrap().head, amended);
    assert_eq!(world.show("main", "good.txt"), "mended");
    assert!(!git(&world.bare(), &["ls-tree", "--name-only", "main"]).contains("bad.txt"));
}

#[tokio::test]
async fn what_is_pushed_while_it_is_under_way_is_not_merged_and_not_lost() {
    let world = World::new().await;
    world.faults.plan("forge.merge", &[How::Pause]);
    world.start();
    let asked = world.outsider_pushes("topic", "main", "a.txt", "asked for\n");
    let item = land(&world, "topic").await;
    world.faults.reached("forge.merge").await;
    let later = world.outsider_pushes("topic", "topic", "b.txt", "never judged\n");
    let said = refused(&world, &wish("topic")).await;
    assert!(said.contains("is at work on topic"), "{said}");
    world.faults.release();
    let task = world.until_done(&item).await;
    world.until_quiet().await;
    assert_eq!(task.branch.source.unwrap().head, asked);
    assert!(!git(&world.bare(), &["ls-tree", "--name-only", "main"]).contains("b.txt"));
    assert_eq!(head_of(&world, "topic").await, Some(later), "what came later is where its author left it");
    let second = land(&world, "topic").await;
    assert_ne!(second, item);
    world.until_done(&second).await;
    assert_eq!(world.show("main", "b.txt"), "never judged");
}

#[tokio::test]
async fn asked_twice_it_is_one_task_and_a_landed_one_has_nothing_to_land() {
    let world = World::new().await;
    world.start();
    world.outsider_pushes("topic", "main", "a.txt", "a\n");
    let (one, two) = (wish("topic"), wish("topic"));
    let engine = world.engine();
    let (one, two) = tokio::join!(engine.land(&one), engine.land(&two));
    let items = [one, two].map(|answer| match answer.unwrap() {
        LandAnswer::Taken { task, .. } => task.work_item,
        LandAnswer::Refused(why) => panic!("{why}"),
    });
    assert_eq!(items[0], items[1]);
    world.until_done(&items[0]).await;
    // One commit took its place: the branch is no ancestor of main, and holds nothing main lacks.
    let again = land(&world, "topic").await;
    let task = world.until(&again, "returned", is_returned).await;
    assert!(format!("{:?}", task.phase).contains("nothing to land"), "{:?}", task.phase);
    assert_eq!(world.forge_did("merge-done").await, 1);
}

#[tokio::test]
async fn a_process_that_dies_at_any_call_lands_it_once() {
    for call in ["tracker.create", "git.fetch", "git.push", "forge.ensure_pull_request", "forge.merge", "git.written"] {
        for how in [How::Before, How::After] {
            let world = World::new().await;
            world.start();
            world.outsider_pushes("topic", "main", "a.txt", "a\n");
            world.faults.plan(call, &[how]);
            let first = world.engine().land(&wish("topic")).await;
            world.kill().await;
            world.start();
            if first.is_err() {
                drop(world.engine().land(&wish("topic")).await.unwrap());
            }
            let item = WorkItem::new("DEMO-1");
            world.until_done(&item).await;
            world.until_quiet().await;
            assert_eq!(world.forge_did("merge-done").await, 1, "{call}");
            assert_eq!(world.store.highest_number(&demo()).await.unwrap(), 1, "{call}: one ticket");
        }
    }
}

#[tokio::test]
async fn a_conflict_goes_to_its_author_with_the_paths_and_gives_the_lease_back() {
    let world = World::new().await;
    world.start();
    world.outsider_pushes("topic", "main", "shared.txt", "mine\n");
    world.outsider_merges("by-hand", "shared.txt", "theirs\n").await;
    let item = land(&world, "topic").await;
    let task = world.until(&item, "returned", is_returned).await;
    let Phase::Blocked { why: BlockReason::Returned { from, findings }, .. } = &task.phase else { unreachable!() };
    assert_eq!((from.to_string().as_str(), findings[0].file.as_deref()), ("the merge with main", Some("shared.txt")));
    let other = world.begin("Add a file").await;
    world.until_done(&other).await;
    world.outsider_pushes("topic", "main", "shared.txt", "both\n");
    land(&world, "topic").await;
    world.until_done(&item).await;
    assert_eq!(world.show("main", "shared.txt"), "both");
}

#[tokio::test]
async fn a_cancelled_landing_leaves_the_branch_and_it_can_be_landed_anew() {
    let world = World::new().await;
    world.runs.on("ci", |_| Does::Hang);
    world.start();
    let head = world.outsider_pushes("topic", "main", "a.txt", "a\n");
    let item = land(&world, "topic").await;
    let waits = |t: &Task| matches!(t.phase, Phase::Waiting { why: WaitReason::Report { .. }, .. });
    world.until(&item, "waiting for CI", waits).await;
    world.ask(&item, Event::CancelAsked { by: anna() }).await;
    world.until(&item, "cancelled", Task::is_closed).await;
    world.runs.on("ci", |_| Does::Exit(0));
    world.runs.finish("ci", |_| {});
    world.until_quiet().await;
    assert_eq!(head_of(&world, "topic").await, Some(head));
    let anew = land(&world, "topic").await;
    assert_ne!(anew, item);
    world.until_done(&anew).await;
}

#[tokio::test]
async fn a_landing_that_production_does_not_take_is_taken_back_through_the_same_gates() {
    let world = World::new().await;
    let broken = Arc::new(AtomicBool::new(true));
    let is_broken = broken.clone();
    world.runs.on("deploy", move |_| if is_broken.load(Ordering::SeqCst) { Does::Exit(1) } else { Does::Exit(0) });
    world.start();
    let head = world.outsider_pushes("topic", "main", "a.txt", "a\n");
    let item = land(&world, "topic").await;
    let waits = |t: &Task| matches!(t.phase, Phase::Waiting { why: WaitReason::Production { .. }, .. });
    world.until(&item, "production failed", waits).await;
    broken.store(false, Ordering::SeqCst);
    world.ask(&item, Event::WayChosen { by: anna(), way: WayOut::Revert }).await;
    let task = world.until_done(&item).await;
    world.until_quiet().await;
    assert!(matches!(task.phase, Phase::Done { outcome: DoneOutcome::Reverted, .. }), "{:?}", task.phase);
    assert!(!git(&world.bare(), &["ls-tree", "--name-only", "main"]).contains("a.txt"));
    assert_eq!(world.forge_did("merge-done").await, 2);
    assert_eq!(head_of(&world, "topic").await, Some(head));
}

#[tokio::test]
async fn a_ticket_that_was_made_for_a_landing_starts_no_agent_when_its_task_is_lost() {
    let world = World::new().await;
    let text = orch_core::source::ticket_text("`topic`", &Sha::new("1".repeat(40)));
    let ticket = world.tracker.create(&demo(), "Round half up", &text, &anna(), "k", 0).await.unwrap();
    world.start();
    world.move_ticket(ticket.number, TicketState::InProgress, &anna()).await;
    let other = world.begin("Add a file").await;
    world.until_done(&other).await;
    world.until_quiet().await;
    assert_eq!(world.runs.count("developer"), 1);
    assert!(world.store.task_by_item(&WorkItem::new(format!("DEMO-{}", ticket.number))).await.unwrap().is_none());
}

#[tokio::test]
async fn what_main_has_got_another_way_meanwhile_goes_back_with_the_reason() {
    let world = World::new().await;
    world.faults.plan("forge.merge", &[How::Pause]);
    world.start();
    world.outsider_pushes("topic", "main", "a.txt", "a\n");
    let item = land(&world, "topic").await;
    world.faults.reached("forge.merge").await;
    world.outsider_merges("by-hand", "a.txt", "a\n").await;
    world.faults.release();
    let task = world.until(&item, "returned", is_returned).await;
    assert!(format!("{:?}", task.phase).contains("nothing to land"), "{:?}", task.phase);
}

#[tokio::test]
async fn a_name_that_git_writes_otherwise_is_one_commit_all_the_same() {
    let world = World::new().await;
    world.faults.plan("forge.merge", &[How::Pause]);
    world.start();
    let (src, bare) = (world.path("src"), world.bare());
    world.outsider_pushes("topic", "main", "a.txt", "a\n");
    git(&src, &["fetch", "--quiet", bare.to_str().unwrap(), "+refs/heads/topic:refs/heads/topic"]);
    let raw = git(&src, &["cat-file", "commit", "topic"]).replace("author Anna <", "author Anna Lee Jr. [skip ci] <");
    std::fs::write(src.join(".git/raw"), format!("{raw}\n")).unwrap();
    let odd = git(&src, &["hash-object", "-t", "commit", "-w", ".git/raw"]);
    git(&src, &["push", "--quiet", "--force", bare.to_str().unwrap(), &format!("{odd}:refs/heads/topic")]);
    world.outsider_pushes("topic", "topic", "b.txt", "b\n");
    let item = land(&world, "topic").await;
    world.faults.reached("forge.merge").await;
    world.outsider_merges("by-hand", "other.txt", "meanwhile\n").await;
    world.faults.release();
    world.until_done(&item).await;
    let landed = git(&bare, &["log", "-1", "--format=%an|%B", "main"]);
    assert!(landed.starts_with("Anna|") && landed.contains("Co-authored-by: Anna Lee Jr. (skip ci) <"), "{landed}");
}

#[tokio::test]
async fn what_a_stranger_pushes_to_the_copy_is_kept_aside_and_never_lands() {
    let world = World::new().await;
    world.runs.on("ci", |_| Does::Hang);
    world.start();
    world.outsider_pushes("topic", "main", "a.txt", "a\n");
    let item = land(&world, "topic").await;
    let waits = |t: &Task| matches!(t.phase, Phase::Waiting { why: WaitReason::Report { .. }, .. });
    let copy = world.until(&item, "waiting for CI", waits).await.branch.name;
    let foreign = world.outsider_pushes(&copy, &copy, "evil.txt", "x\n");
    world.runs.on("ci", |_| Does::Exit(0));
    world.runs.finish("ci", |_| {});
    let moved = |t: &Task| matches!(t.phase, Phase::Blocked { why: BlockReason::BranchMoved { .. }, .. });
    world.until(&item, "blocked", moved).await;
    assert!(world.told_people().iter().any(|t| t.contains("orch's copy of topic")), "{:?}", world.told_people());
    world.ask(&item, Event::RetryAsked { by: anna() }).await;
    world.until_done(&item).await;
    assert!(!git(&world.bare(), &["ls-tree", "--name-only", "main"]).contains("evil.txt"));
    let kept =
        git(&world.path("repos").join("DEMO.git"), &["for-each-ref", "--format=%(objectname)", "refs/orch/history"]);
    assert!(kept.contains(foreign.as_str()), "{kept}");
}

#[tokio::test]
async fn a_pull_request_of_the_landed_branch_is_closed_and_says_how_it_landed() {
    let world = World::new().await;
    world.start();
    for (branch, goes_on) in [("topic", false), ("other", true)] {
        world.outsider_pushes(branch, "main", &format!("{branch}.txt"), "a\n");
        let pull = world.forge.ensure_pull_request(&demo(), branch, "main", branch, "Please.").await.unwrap();
        let item = land(&world, branch).await;
        if goes_on {
            world.outsider_pushes(branch, branch, "more.txt", "more\n");
        }
        let task = world.until_done(&item).await;
        world.until_quiet().await;
        let state = world.forge.pull_request(&demo(), pull.number).await.unwrap().state;
        assert_eq!(state, if goes_on { PullState::Open } else { PullState::Closed }, "{branch}");
        let said = world.forge.comments(&demo(), pull.number).await.unwrap();
        let landed = task.landing.merged.unwrap().commit;
        assert_eq!(said.iter().any(|(_, text)| text.contains(landed.as_str())), !goes_on, "{said:?}");
    }
}
