//! What people arrange about their tasks, with the real binary: holds, edits, ends, other beginnings. Each story kills the
//! daemon between two acts, because nothing that was acknowledged may be lost.
#![allow(clippy::unwrap_used, reason = "test code outside of test functions")]

mod common;

use common::{Setup, World};
use serde_json::json;

#[test]
fn a_held_task_begins_nothing_over_restarts_and_failed_tries_until_it_is_released() {
    let mut world = World::new(&Setup::default());
    // The first try waits, and then meets a passing fault: it would be tried again.
    world.agent("developer() { [ -e \"$here/again\" ] && { echo x >> \"$code\"; return; }; wait_for go; exit 75; }");
    world.start();
    let task = world.task("Hold it");
    world.run_said("developer", 1, "start developer");
    world.orch(&["task", "hold", &task, "--reason", "after the release"]).ok();
    let twice = world.orch(&["task", "hold", &task]);
    assert!(twice.code == 1 && twice.err.contains("holds it already"), "{twice:?}");
    world.kill();
    world.start();
    let why = world.orch(&["why", &task]).ok().out;
    assert!(why.contains("after the release") && why.contains(&format!("orch task release {task}")), "{why}");
    assert!(why.contains("still under way: the developer is at work"), "{why}");
    world.allow("go");
    let held = world.wait(&task, &["on_hold"]);
    assert_eq!((&held["held"]["reason"], world.runs_of("developer").len()), (&json!("after the release"), 1));
    world.kill();
    world.start();
    assert_eq!((&world.show(&task)["phase"], world.runs_of("developer").len()), (&json!("on_hold"), 1));
    world.allow("again");
    world.orch(&["task", "release", &task]).ok();
    let done = world.wait(&task, &["done"]);
    assert!(done.get("held").is_none(), "{done:#}");
    let not = world.orch(&["task", "release", &task]);
    assert!(not.code == 1 && not.err.contains("not held"), "{not:?}");
    let story = world.story(&task);
    assert!(story.contains("held by local:") && story.contains("released by local:"), "{story}");
}

#[test]
fn an_edit_reaches_the_ticket_and_the_next_brief_over_a_restart() {
    let mut world = World::new(&Setup::default());
    world.agent("developer() { wait_for go; echo x >> \"$code\"; }");
    world.start();
    let made = world.orch(&["task", "new", "--project", &world.key, "--title", "Frist", "--json"]).ok().json();
    let task = made["id"].as_str().unwrap().to_owned();
    let nothing = world.orch(&["task", "edit", &task]);
    assert!(nothing.code == 2 && nothing.err.contains("--title"), "{nothing:?}");
    world.orch(&["task", "edit", &task, "--title", "First"]).ok();
    let shown = world.show(&task);
    assert!(shown["title"] == "First" && shown["branch"].as_str().unwrap().ends_with("-first"), "{shown:#}");
    world.orch(&["task", "start", &task]).ok();
    world.run_said("developer", 1, "start developer");
    world.orch_in(&["task", "edit", &task, "--body-file", "-"], "Only on the second page.\n").ok();
    world.kill();
    world.start();
    world.allow("go");
    world.wait(&task, &["done"]);
    let prompt = world.runs_of("reviewer")[0].prompt();
    assert!(prompt.contains("Only on the second page.") && prompt.contains("First"), "{prompt}");
    // The ticket itself says so: begun again, it is read from there.
    world.orch(&["task", "start", &task]).ok();
    world.wait(&task, &["done"]);
    let again = world.runs_of("developer").last().unwrap().prompt();
    assert!(again.contains("Only on the second page."), "{again}");
    assert!(world.story(&task).contains("edits the ticket"));
}

#[test]
fn a_finished_task_is_done_and_cleaned_up_and_its_evidence_says_who_and_why() {
    let mut world = World::new(&Setup::default());
    world.agent("reviewer() { wait_for never; }");
    world.start();
    let task = world.task("By hand");
    world.run_said("reviewer", 1, "start reviewer");
    let tip = world.trunk();
    assert_eq!(world.orch(&["task", "finish", &task]).code, 2, "a reason is needed");
    assert_eq!(world.orch(&["task", "finish", &task, "--reason", " "]).code, 2);
    world.orch(&["task", "finish", &task, "--reason", "changed in the console"]).ok();
    world.kill();
    world.start();
    let done = world.wait(&task, &["done"]);
    assert_eq!((&done["outcome"], &done["finished"]["reason"]), (&json!("finished"), &json!("changed in the console")));
    assert_eq!(world.trunk(), tip, "nothing is merged");
    let branch = done["branch"].as_str().unwrap().to_owned();
    world.until("its branch is gone", || world.forge_git(&["branch", "--list", &branch]).is_empty().then_some(()));
    let evidence = world.evidence(&task);
    let not_checked = evidence["not_checked"].to_string();
    assert!(not_checked.contains("changed in the console") && not_checked.contains("local:"), "{evidence:#}");
    let twice = world.orch(&["task", "finish", &task, "--reason", "again"]);
    assert!(twice.code == 1 && twice.err.contains("over already"), "{twice:?}");
}

#[test]
fn what_is_done_is_taken_back_and_begun_again_with_a_branch_of_its_own_each() {
    let mut world = World::new(&Setup::default());
    world.agent("developer() { echo x >> \"$code\"; }");
    world.start();
    let early = world.task("Show it");
    let before = world.tip.clone();
    let first = world.wait(&early, &["done"]);
    let file = "src/приложение с пробелом.txt";
    let at = |commit: &str| world.forge_git(&["show", &format!("{commit}:{file}")]);
    assert_ne!(at(&world.trunk()), at(&before));
    world.orch(&["task", "revert", &early, "--reason", "too loud"]).ok();
    world.kill();
    world.start();
    let back = world.wait(&early, &["done"]);
    assert_eq!(back["outcome"], json!("reverted"));
    let at = |commit: &str| world.forge_git(&["show", &format!("{commit}:{file}")]);
    assert_eq!(at(&world.trunk()), at(&before));
    let twice = world.orch(&["task", "revert", &early]);
    assert!(twice.code == 1 && twice.err.contains("taken back already"), "{twice:?}");

    // Another life: a new branch, the old evidence in its brief, and the old branches gone in the end.
    world.orch(&["task", "start", &early]).ok();
    world.kill();
    world.start();
    let again = world.wait(&early, &["done"]);
    assert!(again["branch"].as_str().unwrap().ends_with("-r3"), "{again:#}");
    assert_eq!(again["lives"].as_array().unwrap().len(), 1);
    let prompt = world.runs_of("developer").last().unwrap().prompt();
    assert!(prompt.contains("Life 1 ended as") && prompt.contains("reverted"), "{prompt}");
    assert_ne!(again["merge_commit"], first["merge_commit"]);
    let mine = format!("feature/{early}-*");
    world.until("no branch of it is left", || world.forge_git(&["branch", "--list", &mine]).is_empty().then_some(()));
}

#[test]
fn a_start_waits_for_others_over_a_restart_and_begins_in_the_step_that_ends_the_last() {
    let mut world = World::new(&Setup::default());
    world.agent("developer() { wait_for go; echo x >> \"$code\"; }");
    world.start();
    let key = world.key.clone();
    let new = |world: &World, title: &str, more: &[&str]| {
        let args = ["task", "new", "--project", &key, "--title", title, "--json"];
        let made = world.orch(&[&args[..], more].concat()).ok().json();
        made["id"].as_str().unwrap().to_owned()
    };
    let early = new(&world, "First", &["--start"]);
    let other = new(&world, "Other", &[]);
    let late = new(&world, "Second", &["--after", &early, "--after", &other, "--start"]);
    assert_eq!(world.show(&late)["phase"], json!("waiting_for_others"));
    for (args, code, words) in [
        (vec!["task", "new", "--project", &key, "--title", "x", "--after", "NONE-9"], 2, "there is no task `NONE-9`"),
        (vec!["task", "after", &late, &late], 1, "itself"),
        (vec!["task", "after", &other, &late], 1, "a cycle"),
        (vec!["task", "after", &late, "NONE-9"], 1, "there is no task NONE-9"),
        (vec!["task", "after", &late], 2, "OTHER"),
        (vec!["task", "after", &early, &other], 1, "it has begun"),
    ] {
        let refused = world.orch(&args);
        assert!(refused.code == code && refused.err.contains(words), "{args:?}: {refused:?}");
    }
    let cycle = world.orch(&["task", "after", &other, &late]).err;
    assert!(cycle.contains(&format!("{other} -> {late} -> {other}")), "{cycle}");
    let tasks = world.orch(&["task", "list", "--all", "--json"]).ok().json();
    assert_eq!(tasks["tasks"].as_array().unwrap().len(), 3, "nothing is made for a slip of the hand");
    world.kill();
    world.start();
    let why = world.orch(&["why", &late]).ok().out;
    assert!(why.contains(&format!("its start waits for {early}; {other}")), "{why}");
    // A cancelled one is over as well.
    world.orch(&["task", "cancel", &other]).ok();
    let why = world.orch(&["why", &late]).ok().out;
    assert!(why.contains(&format!("its start waits for {early}, since")), "{why}");
    world.allow("go");
    world.wait(&early, &["done"]);
    world.wait(&late, &["done"]);
    let story = world.story(&late);
    assert!(story.contains(&format!("{early} is over")) && story.contains("nothing holds its start"), "{story}");
    assert!(world.orch(&["task", "after", &late, &early]).err.contains("it has begun"));
}

#[test]
fn files_on_a_ticket_reach_agents_as_copies_and_never_the_branch() {
    let mut world = World::new(&Setup::default());
    world.agent("developer() { wait_for go; echo x >> \"$code\"; }");
    world.start();
    let task = world.task("With files");
    world.run_said("developer", 1, "start developer");
    let root = world.root.clone();
    let at = |name: &str| root.join(name);
    std::fs::write(at("screen shot.png"), b"first").unwrap();
    std::fs::write(at("empty"), b"").unwrap();
    std::fs::write(at("big"), vec![7_u8; 10 * 1024 * 1024 + 1]).unwrap();
    let attach = |world: &World, name: &str| world.orch(&["task", "attach", &task, at(name).to_str().unwrap()]);
    attach(&world, "screen shot.png").ok();
    for (name, code, words) in [
        ("empty", 2, "is empty"),
        ("big", 2, "has 10485761 bytes, and 10485760 are the most"),
        ("missing", 2, "cannot read"),
        ("", 2, "is no file"),
    ] {
        let refused = attach(&world, name);
        assert!(refused.code == code && refused.err.contains(words), "{name}: {refused:?}");
    }
    // The same name is the newer file; together they have a limit, too.
    std::fs::write(at("screen shot.png"), b"second").unwrap();
    attach(&world, "screen shot.png").ok();
    for (name, bytes) in [("a", 10 * 1024 * 1024), ("b", 10 * 1024 * 1024 - 6)] {
        std::fs::write(at(name), vec![1_u8; bytes]).unwrap();
        attach(&world, name).ok();
    }
    std::fs::write(at("c"), b"x").unwrap();
    let full = attach(&world, "c");
    assert!(full.code == 1 && full.err.contains("20971520"), "{full:?}");
    // Past the command line no name leads out of the directory either.
    for name in ["..%2Fevil", ".hidden", "%2Fetc%2Fpasswd"] {
        let (status, body) = world.http("POST", &format!("/api/v1/tasks/{task}/files/{name}"), None, "x").unwrap();
        assert!(status == 401 || status == 409, "{status}: {body}");
    }
    world.kill();
    world.start();
    let shown = world.orch(&["task", "show", &task]).ok().out;
    assert!(shown.contains("screen shot.png (6 bytes)"), "{shown}");
    world.allow("go");
    world.wait(&task, &["done"]);
    let review = world.runs_of("reviewer").remove(0);
    assert_eq!(std::fs::read(review.dir.join("input/screen shot.png")).unwrap(), b"second");
    assert!(review.prompt().contains("screen shot.png (6 bytes, from local:"), "{}", review.prompt());
    let tree = world.forge_git(&["-c", "core.quotePath=false", "ls-tree", "-r", "--name-only", "trunk"]);
    assert!(!tree.contains("screen shot"), "{tree}");
    assert!(world.story(&task).contains("attached screen shot.png (5 bytes"), "{}", world.story(&task));
    let over = attach(&world, "c");
    assert!(over.code == 1 && over.err.contains("it is over"), "{over:?}");
}
