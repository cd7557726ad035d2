//! A copy of the whole instance, taken while it works and brought back: nothing that it calls done is missing in it, and
//! where the world is ahead of it, nothing is deployed twice. And a database that is gone, without a copy.
#![allow(clippy::unwrap_used, reason = "test code outside of test functions")]

mod common;

use common::{Setup, World};
use serde_json::Value;
use std::fs;

/// A world whose production is a list of revisions, and asks before each.
fn shipping() -> World {
    let mut world = World::new(&Setup::default());
    let deploy = format!(
        "\n[project.deploy]\nproduction = \"echo $ORCH_REVISION >> '{}/deployed'\"\napproval = true\n",
        world.root.display()
    );
    let text = fs::read_to_string(world.config_file()).unwrap();
    fs::write(world.config_file(), format!("{text}{deploy}")).unwrap();
    world.start();
    world
}

fn deployed(world: &World) -> usize {
    fs::read_to_string(world.root.join("deployed")).unwrap_or_default().lines().count()
}

fn ship(world: &World, title: &str) -> String {
    let id = world.task(title);
    world.wait(&id, &["awaiting_approval"]);
    world.orch(&["approve", &id]).ok();
    world.wait(&id, &["done"]);
    id
}

#[test]
fn a_copy_taken_while_it_works_comes_back_and_what_it_does_not_know_is_not_done_twice() {
    let mut world = shipping();
    let first = ship(&world, "Первая");
    let second = world.task("Вторая");
    world.wait(&second, &["awaiting_approval"]);
    let copy = world.root.join("copies/понедельник");
    let text = copy.to_str().unwrap().to_owned();
    let made = world.orch(&["backup", &text, "--json"]).ok().json();
    assert!(made["files"].as_u64().unwrap() > 5 && made["repositories"].as_array().unwrap().len() >= 2, "{made:#}");
    assert!(!copy.join("token").exists(), "whoever reads a backup may not speak for people");
    world.orch(&["restore", &text, "--verify"]).ok();
    assert_eq!(world.orch(&["backup", &text]).code, 3, "a backup never overwrites");
    assert_eq!(world.orch(&["restore", &text]).code, 1, "nor does a restore");

    // After the copy: its task is deployed, and another one that it has never heard of.
    world.orch(&["approve", &second]).ok();
    world.wait(&second, &["done"]);
    let third = ship(&world, "Третья");
    assert_eq!(deployed(&world), 3);
    assert!(world.terminate().0.success());
    let lost = world.root.join("lost");
    fs::rename(world.data(), &lost).unwrap();
    world.orch(&["restore", &text]).ok();
    // The forge was not lost with the machine: its default branch is as it was.
    let from = lost.join("forge").join(format!("{}.git", world.key));
    world.forge_git(&["fetch", "-q", from.to_str().unwrap(), "+refs/heads/trunk:refs/heads/trunk"]);

    world.start();
    let queue = world.orch(&["queue", "--json"]).ok().json();
    assert_eq!(queue["draining"], true, "a copy older than the default branch waits for a person: {queue:#}");
    assert!(world.log().contains(&format!("{third} landed as")), "{}", world.log());
    assert_eq!(world.show(&first)["phase"], "done");
    assert_eq!(world.runs_of("developer").len(), 2, "documents of runs are there");
    let evidence: Value = world.evidence(&first);
    assert!(!evidence["gates"].as_array().unwrap().is_empty());
    world.orch(&["resume"]).ok();
    // The copy waits for an approval that was given and acted upon after it was taken.
    world.wait(&second, &["awaiting_approval"]);
    world.orch(&["approve", &second]).ok();
    let why = world.why_blocked(&second);
    assert!(why.contains("came back from a copy"), "{why}");
    assert_eq!(deployed(&world), 3, "nothing is deployed twice");
    // A restart in between changes nothing; a person's retry does.
    assert!(world.terminate().0.success());
    world.start();
    assert_eq!(world.show(&second)["phase"], "blocked");
    world.orch(&["task", "retry", &second]).ok();
    world.until("it is done", || match world.show(&second)["phase"].as_str().unwrap() {
        "awaiting_approval" => {
            world.orch(&["approve", &second]);
            None
        }
        "done" => Some(()),
        _ => None,
    });
    assert_eq!(deployed(&world), 4, "a person decided");
    // What lands from now on needs no question.
    ship(&world, "Четвёртая");
    assert_eq!(deployed(&world), 5);
}

#[test]
fn a_backup_that_is_not_what_it_was_restores_nothing() {
    let mut world = shipping();
    ship(&world, "Первая");
    let copy = world.root.join("copy");
    let text = copy.to_str().unwrap().to_owned();
    world.orch(&["backup", &text]).ok();
    assert!(world.terminate().0.success());
    fs::remove_dir_all(world.data()).unwrap();
    let bundle = copy.join("forge").join(format!("{}.bundle", world.key));
    let whole = fs::read(&bundle).unwrap();
    let mut bytes = whole.clone();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0xff;
    fs::write(&bundle, bytes).unwrap();
    for args in [&["restore", &text][..], &["restore", &text, "--verify"]] {
        let refused = world.orch(args);
        assert_eq!(refused.code, 1, "{refused:#?}");
        assert!(refused.err.contains("damaged") && refused.err.contains(".bundle"), "{refused:#?}");
    }
    assert!(!world.data().exists());
    fs::write(&bundle, whole).unwrap();
    world.orch(&["restore", &text]).ok();
    let checked = world.orch(&["db", "check", "--json"]).ok().json();
    assert_eq!(checked["databases"].as_array().unwrap().len(), 3, "{checked:#}");
    world.start();
    ship(&world, "Вторая");
}

#[test]
fn a_database_that_is_gone_is_begun_anew_only_by_a_person_and_open_tickets_go_on() {
    let mut world = shipping();
    let first = ship(&world, "Первая");
    let second = world.task("Вторая");
    world.wait(&second, &["awaiting_approval"]);
    world.agent("developer() { wait_for go; echo готово >> \"$code\"; }");
    let third = world.task("Третья");
    world.run_said("developer", 3, "start developer");
    assert!(world.terminate().0.success());
    world.allow("go");
    world.until("its agent ends", || world.runs().iter().all(|r| r.dir.join("exit.json").exists()).then_some(()));
    for name in ["orch.db", "orch.db-wal", "orch.db-shm"] {
        let _ = fs::remove_file(world.data().join(name));
    }
    let refused = world.serve_refuses(&[]);
    assert_eq!(refused.code, 3);
    for word in ["orch restore DIR", "orch db new", "tracker.db"] {
        assert!(refused.err.contains(word), "{refused:#?}");
    }
    let listed = world.orch(&["db", "new", "--json"]).ok().json();
    let items: Vec<&str> = listed["tasks"].as_array().unwrap().iter().map(|t| t["item"].as_str().unwrap()).collect();
    assert_eq!(items, [second.as_str(), third.as_str()], "{first} is done: {listed:#}");
    assert!(listed["tasks"][0]["merged"].is_string(), "{listed:#}");
    assert!(listed["tasks"][1]["branch"].is_string(), "{listed:#}");
    assert!(!world.data().join("orch.db").exists(), "asking changes nothing");
    world.orch(&["db", "new", "--yes"]).ok();
    assert_eq!(world.orch(&["db", "new", "--yes"]).code, 1, "it is there now");

    world.start();
    world.orch(&["resume"]).ok();
    assert_eq!(world.show(&third)["phase"], "idle", "a person starts it again");
    world.orch(&["task", "start", &third]).ok();
    world.wait(&third, &["awaiting_approval"]);
    world.orch(&["approve", &third]).ok();
    world.wait(&third, &["done"]);
    assert_eq!(deployed(&world), 2);
}

/// What the tracker shows of every ticket: number, title, state.
fn tickets(world: &World) -> Vec<(i64, String, String)> {
    let db = rusqlite::Connection::open(world.data().join("tracker.db")).unwrap();
    let mut rows = db.prepare("SELECT number, title, state FROM ticket ORDER BY number").unwrap();
    rows.query_map([], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?))).unwrap().map(Result::unwrap).collect()
}

/// Number, branch, state and merge commit of every pull request.
fn pulls(world: &World) -> Vec<(i64, String, String, Option<String>)> {
    let db = rusqlite::Connection::open(world.data().join("forge/forge.db")).unwrap();
    let mut rows =
        db.prepare("SELECT number, head_branch, state, merge_commit FROM pull_request ORDER BY number").unwrap();
    let shown = |r: &rusqlite::Row<'_>| Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?));
    rows.query_map([], shown).unwrap().map(Result::unwrap).collect()
}

fn gone(world: &World, name: &str) {
    for end in ["", "-wal", "-shm"] {
        let _ = fs::remove_file(world.data().join(format!("{name}{end}")));
    }
}

fn empty(world: &World, name: &str) {
    gone(world, name);
    fs::write(world.data().join(name), "").unwrap();
}

#[test]
fn a_tracker_or_a_forge_that_is_gone_is_refused_and_made_again_from_the_tasks_with_the_same_numbers() {
    let mut world = World::up(&Setup::default());
    let first = world.task("Первая");
    world.wait(&first, &["done"]);
    world.agent("developer() { wait_for go; echo готово >> \"$code\"; }");
    let second = world.task("Вторая");
    world.run_said("developer", 2, "start developer");
    // Known, and never started.
    let third = world.orch(&["task", "new", "--project", &world.key, "--title", "Третья", "--json"]).ok().json();
    let third = third["id"].as_str().unwrap().to_owned();
    assert!(world.terminate().0.success());
    let (had_tickets, had_pulls) = (tickets(&world), pulls(&world));
    assert_eq!(had_tickets.len(), 3, "{had_tickets:?}");
    assert_eq!(had_pulls[0].2, "merged", "{had_pulls:?}");

    for (files, lose) in [
        (&["tracker.db"][..], gone as fn(&World, &str)),
        (&["tracker.db"][..], empty),
        (&["forge/forge.db"][..], gone),
        (&["forge/forge.db"][..], empty),
        (&["tracker.db", "forge/forge.db"][..], gone),
    ] {
        for name in files {
            lose(&world, name);
        }
        let refused = world.serve_refuses(&[]);
        assert_eq!(refused.code, 3);
        let doctor = world.orch(&["doctor"]);
        assert_eq!(doctor.code, 1, "{doctor:#?}");
        let checked = world.orch(&["db", "check"]);
        assert_eq!(checked.code, 1, "{checked:#?}");
        for said in [&refused.err, &doctor.out, &checked.out] {
            for word in files.iter().copied().chain(["orch restore DIR", "orch db new --yes", "give their numbers out"])
            {
                assert!(said.contains(word), "{word} in {said}");
            }
        }
        let listed = world.orch(&["db", "new", "--json"]).ok().json();
        assert_eq!(listed["begun"], false, "{listed:#}");
        assert!(!listed["lost"].as_array().unwrap().is_empty(), "{listed:#}");
        assert_eq!(world.serve_refuses(&[]).code, 3, "asking changes nothing");
        world.orch(&["db", "new", "--yes"]).ok();
        assert_eq!(world.orch(&["db", "new", "--yes"]).code, 1, "there is nothing lost any more");
        assert_eq!(tickets(&world), had_tickets);
        assert_eq!(pulls(&world), had_pulls);
    }

    world.start();
    // The next one has the next number, its own text and a task of its own.
    world.allow("go");
    let fourth = world.task("Четвёртая");
    assert_eq!(fourth, format!("{}-4", world.key));
    assert_eq!(world.show(&fourth)["title"], "Четвёртая");
    for id in [&second, &fourth] {
        world.wait(id, &["done"]);
        assert!(!world.story(id).contains("cancel"), "{}", world.story(id));
    }
    assert_eq!(world.show(&third)["phase"], "idle");
    assert_eq!(world.show(&first)["phase"], "done");
    world.until("the tickets say so", || {
        let states: Vec<String> = tickets(&world).into_iter().map(|(_, _, state)| state).collect();
        (states == ["Done", "Done", "Backlog", "Done"]).then_some(())
    });
    assert!(!world.log().contains("recorded as merged"), "{}", world.log());
    // What is moved in the tracker that was made again moves its task.
    assert_eq!(pulls(&world).len(), 3, "{:?}", pulls(&world));
}

#[test]
fn a_number_that_only_the_forge_knows_is_not_given_out_by_a_database_and_a_tracker_that_begin_anew() {
    let mut world = World::up(&Setup::default());
    let first = world.task("Первая");
    world.wait(&first, &["done"]);
    assert!(world.terminate().0.success());
    gone(&world, "orch.db");
    gone(&world, "tracker.db");
    assert_eq!(world.serve_refuses(&[]).code, 3);
    world.orch(&["db", "new", "--yes"]).ok();
    world.start();
    world.orch(&["resume"]).ok();
    assert_eq!(world.task("Вторая"), format!("{}-2", world.key));
}
