//! A branch that conflicts with main: what the developer is shown, what counts as a repair, and what lands.

use crate::faults::How;
use crate::runs::{Does, Run};
use crate::world::{World, anna, approve, demo, git};
use orch_core::event::Event;
use orch_core::ids::{Sha, WorkItem};
use orch_core::task::{BlockReason, Phase, Task};
use orch_ports::forge::{Forge, MergeMethod, Right};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// Main changes by somebody else's hand.
async fn main_changes(world: &World, branch: &str, change: impl FnOnce(&Path)) {
    let (src, bare) = (world.path("src"), world.bare());
    let bare = bare.to_str().unwrap();
    git(&src, &["fetch", "--quiet", bare, "+refs/heads/*:refs/forge/*"]);
    git(&src, &["checkout", "--quiet", "--detach", "refs/forge/main"]);
    change(&src);
    git(&src, &["add", "-A"]);
    git(&src, &["commit", "--quiet", "-m", "by hand"]);
    git(&src, &["push", "--quiet", bare, &format!("HEAD:refs/heads/{branch}")]);
    let head = Sha::new(git(&src, &["rev-parse", "HEAD"]));
    let pull = world.forge.ensure_pull_request(&demo(), branch, "main", branch, "").await.unwrap();
    world
        .forge
        .merge(&demo(), pull.number, &head, Right::Person, MergeMethod::FastForwardOnly, "by hand")
        .await
        .unwrap();
}

/// A developer by number of the run, from 1.
fn developer(world: &World, mut does: impl FnMut(&Run) -> Does + Send + 'static) {
    world.runs.on("developer", move |run| does(run));
}

fn says(run: &Run, resolved: &str) {
    std::fs::write(run.var("ORCH_RESULT_FILE"), format!("{{\"resolved\": {resolved}}}")).unwrap();
}

/// A task whose merge is about to happen while main changes under it.
async fn in_conflict(world: &World, change: impl FnOnce(&Path)) -> WorkItem {
    world.faults.plan("forge.merge", &[How::Pause]);
    world.start();
    let item = world.begin("Change things").await;
    world.faults.reached("forge.merge").await;
    main_changes(world, "by-hand", change).await;
    world.faults.release();
    item
}

fn left(task: &Task) -> Vec<(String, String)> {
    match &task.phase {
        Phase::Blocked { why: BlockReason::ConflictLeft { findings }, .. } => {
            findings.iter().map(|f| (f.file.clone().unwrap_or_default(), f.text.clone())).collect()
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn markers_never_land_however_often_the_developer_does_nothing_about_them() {
    let world = World::new().await;
    developer(&world, |run| {
        match run.nth {
            1 => run.write("shared.txt", "ours\n"),
            // Told of the conflict: another file, then a fault, then nothing.
            2 => run.write("other.txt", "done\n"),
            3 => return Does::Exit(75),
            4 => {}
            _ => {
                assert!(run.read("shared.txt").contains("<<<<<<<"), "the markers are still there to be resolved");
                run.write("shared.txt", "ours and theirs\n");
            }
        }
        Does::Exit(0)
    });
    let item = in_conflict(&world, |src| std::fs::write(src.join("shared.txt"), "theirs\n").unwrap()).await;
    let task = world.until_blocked(&item).await;
    assert_eq!(left(&task), [("shared.txt".into(), "conflict markers are still in this file".into())]);
    assert_eq!((task.spent.rounds, world.runs.count("developer")), (0, 4), "a conflict and a fault spend nothing");
    assert_eq!(world.show("main", "shared.txt"), "theirs");
    assert!(world.told_people().iter().any(|t| t.contains("shared.txt")), "{:?}", world.told_people());
    // A person lets it go on, and it is resolved: then it lands.
    world.ask(&item, Event::RetryAsked { by: anna() }).await;
    let task = world.until_done(&item).await;
    assert_eq!(world.show("main", "shared.txt"), "ours and theirs");
    assert_eq!((task.spent.rounds, world.forge_did("merge-done").await), (0, 2), "main's and ours");
}

#[tokio::test]
async fn a_conflict_without_markers_is_decided_by_a_word_that_the_files_bear_out() {
    let world = World::new().await;
    main_changes(&world, "before", |src| {
        std::fs::write(src.join("a.bin"), "O\0O").unwrap();
        std::fs::write(src.join("del.txt"), "k\n").unwrap();
    })
    .await;
    let briefs = Arc::new(Mutex::new(Vec::new()));
    let seen = briefs.clone();
    developer(&world, move |run| {
        seen.lock().unwrap().push(run.prompt());
        match run.nth {
            1 => {
                run.write("a.bin", "B\0B");
                run.write("del.txt", "k\nmore\n");
            }
            2 => {}
            3 => says(run, r#"[{"path": "a.bin", "take": "base"}, {"path": "del.txt", "take": "mine"}]"#),
            _ => {
                run.write("a.bin", "A\0A");
                says(
                    run,
                    r#"[{"path":"a.bin","take":"base","why":"shipped"},{"path":"del.txt","take":"branch","why":"needed"}]"#,
                );
            }
        }
        Does::Exit(0)
    });
    let reviews = Arc::new(Mutex::new(Vec::new()));
    let seen = reviews.clone();
    world.runs.on("reviewer", move |run| {
        seen.lock().unwrap().push(run.prompt());
        approve(run)
    });
    let item = in_conflict(&world, |src| {
        std::fs::write(src.join("a.bin"), "A\0A").unwrap();
        std::fs::remove_file(src.join("del.txt")).unwrap();
    })
    .await;
    let task = world.until_blocked(&item).await;
    let left = left(&task);
    assert!(
        left.iter().any(|(f, t)| f == "a.bin" && t.contains("says `base`, but the files show `branch`")),
        "{left:?}"
    );
    assert!(left.iter().any(|(f, _)| f == "del.txt") && left.iter().any(|(_, t)| t.contains("`mine`")), "{left:?}");
    assert_eq!((world.show("main", "a.bin"), task.spent.rounds), ("A\0A".into(), 0));
    world.ask(&item, Event::RetryAsked { by: anna() }).await;
    world.until_done(&item).await;
    assert_eq!((world.show("main", "a.bin"), world.show("main", "del.txt")), ("A\0A".into(), "k\nmore".into()));
    let briefs = briefs.lock().unwrap();
    assert!(!briefs[0].contains("Resolve these conflicts"), "{}", briefs[0]);
    let line =
        |brief: &str, path: &str| brief.lines().find(|l| l.starts_with(&format!("- `{path}`"))).unwrap().to_owned();
    for path in ["a.bin", "del.txt"] {
        assert!(!line(&briefs[1], path).contains("holds conflict markers"), "{}", line(&briefs[1], path));
        assert!(line(&briefs[1], path).contains("say in `resolved`"), "{}", line(&briefs[1], path));
    }
    assert!(
        briefs[3].contains("`mine`, which is none of"),
        "what could not be read is in the next brief: {}",
        briefs[3]
    );
    let reviews = reviews.lock().unwrap();
    let last = reviews.last().unwrap();
    for needed in ["were in conflict with `main`", "### `a.bin`", "says `base`", "shipped", "### `del.txt`", "needed"] {
        assert!(last.contains(needed), "the review lacks {needed:?}: {last}");
    }
}

#[tokio::test]
async fn the_reviewer_sees_both_sides_of_a_text_and_markers_that_come_back_do_not_land() {
    let world = World::new().await;
    let kept = Arc::new(Mutex::new(String::new()));
    let attempts = Arc::new(AtomicUsize::new(0));
    let now = attempts.clone();
    developer(&world, move |run| {
        now.store(run.nth, Ordering::SeqCst);
        match run.nth {
            1 => run.write("shared.txt", "ours\n"),
            2 => {
                *kept.lock().unwrap() = run.read("shared.txt");
                run.write("shared.txt", "ours and theirs\n");
            }
            // CI was red: the repair brings the markers back, in another file.
            3 => run.write("notes/log.txt", &kept.lock().unwrap()),
            _ => std::fs::remove_file(run.cwd.join("notes/log.txt")).unwrap(),
        }
        Does::Exit(0)
    });
    world.runs.on("ci", move |run| {
        let first = attempts.load(Ordering::SeqCst) == 2;
        Does::Exit(i32::from(first && run.read("shared.txt") == "ours and theirs\n"))
    });
    let reviews = Arc::new(Mutex::new(Vec::new()));
    let seen = reviews.clone();
    world.runs.on("reviewer", move |run| {
        seen.lock().unwrap().push(run.prompt());
        approve(run)
    });
    let item = in_conflict(&world, |src| std::fs::write(src.join("shared.txt"), "theirs\n").unwrap()).await;
    world.until_done(&item).await;
    assert_eq!(world.show("main", "shared.txt"), "ours and theirs");
    assert_eq!(world.says(&item, "conflict markers of the merge were moved into this file").await, 1);
    let files = git(&world.bare(), &["ls-tree", "-r", "--name-only", "main"]);
    assert!(!files.contains("log.txt"), "{files}");
    let reviews = reviews.lock().unwrap();
    let last = reviews.last().unwrap();
    for needed in ["### `shared.txt`", "both sides changed its text", "\nours\n", "\ntheirs\n"] {
        assert!(last.contains(needed), "the review lacks {needed:?}: {last}");
    }
}
