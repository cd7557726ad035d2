//! Changes as people read them before they approve and after they landed, and pull requests for people's own branches.

use crate::runs::Does;
use crate::world::{World, anna, demo, git};
use orch_core::ids::{Sha, WorkItem};
use orch_core::landing::{History, LandingPlan};
use orch_core::task::{Phase, Task, WaitReason};
use orch_engine::pulls::{Change, OpenedPull, Reply};
use orch_ports::diff::DiffLimits;
use orch_ports::forge::{Forge, MergeMethod, PullState, Right};
use orch_ports::git::Git;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const REQUEST: &str = "docs/work-items/DEMO-1/00-business-request.md";
const REVIEW: &str = "docs/work-items/DEMO-1/12-review.md";

fn given<T: std::fmt::Debug>(reply: Reply<T>) -> T {
    match reply {
        Reply::Given(value) => value,
        Reply::Refused { why, .. } => panic!("refused: {why}"),
    }
}

fn refused<T: std::fmt::Debug>(reply: Reply<T>) -> String {
    match reply {
        Reply::Given(value) => panic!("not refused: {value:?}"),
        Reply::Refused { why, hint } => format!("{why} | {}", hint.unwrap_or_default()),
    }
}

async fn asked(world: &World, item: &WorkItem) -> Reply<Change> {
    world.engine().change_of(&world.task(item).await, DiffLimits::default()).await.unwrap()
}

fn paths(change: &Change) -> Vec<&str> {
    change.diff.files.iter().map(|f| f.path.as_str()).collect()
}

fn waits_for_ci(task: &Task) -> bool {
    matches!(&task.phase, Phase::Waiting { why: WaitReason::Report { .. }, .. })
}

#[tokio::test]
async fn a_tasks_change_is_what_would_land_and_then_what_its_merge_brought() {
    let world = World::new().await;
    let gate = Arc::new(AtomicBool::new(false));
    let open = gate.clone();
    world.runs.on("ci", move |_| if open.load(Ordering::SeqCst) { Does::Exit(0) } else { Does::Hang });
    world.start();
    let item = world.ticket("Add a file").await;
    let none = asked(&world, &item).await;
    assert_eq!(refused(none), "DEMO-1 has no branch yet: nothing is changed | orch why DEMO-1");
    world.ask(&item, orch_core::event::Event::Started { by: crate::world::anna() }).await;
    let task = world.until(&item, "waiting for CI", waits_for_ci).await;
    let began = world.main_tip().await;
    let elsewhere = world.outsider_on_main("other.txt", "somebody else\n");
    world.git.fetch(&demo(), &world.forge.remote(&demo()).await.unwrap()).await.unwrap();
    let change = given(asked(&world, &item).await);
    assert_eq!((&change.from, Some(&change.to), change.merged), (&began, task.branch.head.as_ref(), false));
    assert_eq!(paths(&change), ["DEMO-1.txt", REQUEST], "and nothing of main");
    assert!(change.diff.text.contains("+written in run 1\n"), "{}", change.diff.text);

    gate.store(true, Ordering::SeqCst);
    world.runs.finish("ci", |_| {});
    let task = world.until_done(&item).await;
    let change = given(asked(&world, &item).await);
    let merged = task.landing.merged.unwrap().commit;
    assert_eq!((&change.from, &change.to, change.merged), (&elsewhere, &merged, true));
    assert_eq!(paths(&change), ["DEMO-1.txt", REQUEST, REVIEW], "its branch is gone, its change is not");
    // The private repository is a cache: without it the forge is asked.
    world.until_quiet().await;
    std::fs::remove_dir_all(world.git.repository(&demo())).unwrap();
    assert_eq!(given(asked(&world, &item).await), change);
}

#[tokio::test]
async fn what_somebody_else_merged_is_all_of_it_however_it_was_merged() {
    for method in [MergeMethod::FastForwardOnly, MergeMethod::Merge] {
        let plan = LandingPlan { history: History::AsIs, ..LandingPlan::default() };
        let world = World::with(|c| c.landing = plan).await;
        world.runs.on("ci", |_| Does::Hang);
        world.start();
        let item = world.begin("Add a file").await;
        world.until(&item, "waiting for CI", waits_for_ci).await;
        let before = given(asked(&world, &item).await);
        world.person_merges(&item, None, method).await;
        let landed = world.main_tip().await;
        world.until(&item, "asking", |t| t.landing.landed.is_some()).await;
        let change = given(asked(&world, &item).await);
        assert_eq!((&change.from, &change.to, change.merged), (&before.from, &landed, true), "{method:?}");
        assert_eq!(change.diff, before.diff, "{method:?}");
        let number = world.task(&item).await.branch.pull_request.unwrap();
        let limits = DiffLimits::default();
        let (pull, same) = given(world.engine().pull_change(&demo(), number, limits).await.unwrap());
        assert_eq!((pull.task, pull.pull.state, same), (Some(item), PullState::Merged, change));
    }
}

async fn open(world: &World, branch: &str, title: Option<&str>) -> Reply<OpenedPull> {
    world.engine().open_pull(&demo(), &anna(), branch, (title, "Please look.")).await.unwrap()
}

#[tokio::test]
async fn a_persons_branch_gets_one_pull_request_however_often_it_is_asked_for() {
    let world = World::new().await;
    world.runs.on("ci", |_| Does::Hang);
    world.start();
    let item = world.begin("Add a file").await;
    let task = world.until(&item, "waiting for CI", waits_for_ci).await;
    let head = world.outsider_pushes("fix-the-footer", "main", "footer.txt", "fixed\n");
    let first = given(open(&world, "fix-the-footer", None).await);
    assert_eq!((first.existed, first.pull.task.as_ref(), first.pull.author.as_deref()), (false, None, Some("Anna")));
    let pull = &first.pull.pull;
    assert_eq!((pull.title.as_str(), pull.base_branch.as_str(), &pull.head), ("fix-the-footer", "main", &head));
    let again = given(open(&world, "refs/heads/fix-the-footer", Some("Another title")).await);
    assert_eq!((again.existed, again.pull.pull.number, &again.pull.pull.title), (true, pull.number, &pull.title));
    assert_eq!(world.forge_did("pull-opened").await, 2, "the task's and the person's");
    let listed = world.engine().pulls(&demo()).await.unwrap();
    let listed: Vec<_> = listed.iter().map(|p| (p.pull.number, p.task.as_ref())).collect();
    assert_eq!(listed, [(pull.number, None), (task.branch.pull_request.unwrap(), Some(&item))]);
    let limits = DiffLimits::default();
    let (_, change) = given(world.engine().pull_change(&demo(), pull.number, limits).await.unwrap());
    assert_eq!((paths(&change), change.merged), (vec!["footer.txt"], false));
    assert!(change.diff.text.ends_with("+fixed\n"), "{}", change.diff.text);
    // Merged as a merge it is still told; where main was moved to it, nobody knows where it began.
    let other = world.outsider_pushes("fix-the-header", "main", "header.txt", "fixed\n");
    let other = (given(open(&world, "fix-the-header", Some("Fix the header")).await).pull.pull.number, other);
    let merge = async |number: u64, head: &Sha, method| {
        world.forge.merge(&demo(), number, head, Right::Person, method, "by hand").await.unwrap();
        world.engine().pull_change(&demo(), number, limits).await.unwrap()
    };
    let why = refused(merge(pull.number, &head, MergeMethod::FastForwardOnly).await);
    assert!(why.contains("was merged by moving `main` to it"), "{why}");
    let (_, change) = given(merge(other.0, &other.1, MergeMethod::Merge).await);
    assert_eq!((paths(&change), change.merged, &change.from), (vec!["header.txt"], true, &head));
    let unknown = world.engine().pull_change(&demo(), 99, limits).await.unwrap_err();
    assert_eq!(unknown.kind, orch_core::verdict::FaultKind::Gone);
}

#[tokio::test]
async fn no_pull_request_is_opened_for_what_is_not_a_persons_or_brings_nothing() {
    let world = World::new().await;
    world.runs.on("ci", |_| Does::Hang);
    world.start();
    let item = world.begin("Add a file").await;
    let task = world.until(&item, "waiting for CI", waits_for_ci).await;
    let bare = world.bare();
    git(&bare, &["update-ref", "refs/heads/same", "main"]);
    let empty = git(&bare, &["commit-tree", "main^{tree}", "-p", "main", "-m", "nothing"]);
    git(&bare, &["update-ref", "refs/heads/empty", &empty]);
    let alone = git(&bare, &["commit-tree", "main^{tree}", "-m", "alone"]);
    git(&bare, &["update-ref", "refs/heads/alone", &alone]);
    git(&bare, &["update-ref", "refs/heads/feature/DEMO-77-mine", &empty]);
    for (branch, why) in [
        ("main", "`main` is the default branch of DEMO"),
        ("refs/heads/main", "`main` is the default branch of DEMO"),
        (task.branch.name.as_str(), "is a branch of DEMO-1: orch opens its pull request itself | orch why DEMO-1"),
        ("land/DEMO-1-x", "is a branch of DEMO-1"),
        ("feature/DEMO-77-mine", "has a name that orch keeps for branches of its tasks | give the branch another name"),
        ("nowhere", "there is no branch `nowhere` in the repository of DEMO"),
        ("--upload-pack=x", "`--upload-pack=x` is no name of a branch"),
        ("a\u{202e}b", "`a\\u{202e}b` is no name of a branch"),
        ("same", "`same` has nothing that `main` lacks"),
        ("empty", "`empty` has nothing that `main` lacks"),
        ("alone", "`alone` has no commit in common with `main`"),
    ] {
        let said = refused(open(&world, branch, None).await);
        assert!(said.contains(why), "{branch}: {said}");
    }
    assert_eq!(world.forge_did("pull-opened").await, 1, "the task's");
}
