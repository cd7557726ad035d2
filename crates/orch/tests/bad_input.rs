//! What a person gets wrong on an evening: the daemon refuses with one clear sentence and what to do, with the exit code
//! scripts rely on, and leaves nothing half-made behind.
#![allow(clippy::unwrap_used, reason = "test code outside of test functions")]

mod common;

use common::{Ran, Setup, World};
use std::fs;
use std::net::TcpListener;
use std::path::Path;

const USAGE: i32 = 2;
const CANNOT_TELL: i32 = 3;

/// Everything below a directory, by path and content, without what git keeps of its own.
fn everything(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    let mut stack = vec![dir.to_owned()];
    while let Some(dir) = stack.pop() {
        for entry in fs::read_dir(&dir).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() && entry.file_name() != ".git" {
                found.push((path.display().to_string(), Vec::new()));
                stack.push(path);
            } else if path.is_file() {
                found.push((path.display().to_string(), fs::read(&path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

fn names(files: &[(String, Vec<u8>)]) -> Vec<&str> {
    files.iter().map(|(name, _)| name.as_str()).collect()
}

/// The refusal has this code, all these words, and none of the marks of a crash.
fn refused(ran: &Ran, code: i32, words: &[&str]) {
    assert_eq!(ran.code, code, "{ran:#?}");
    for word in words {
        assert!(ran.err.contains(word), "{word:?} is not in {ran:#?}");
    }
    for mark in ["panicked", "RUST_BACKTRACE", "Fault {", "Error(", "Os {"] {
        assert!(!ran.err.contains(mark) && !ran.out.contains(mark), "{ran:#?}");
    }
    let lines = ran.err.lines().filter(|l| !l.trim().is_empty() && !l.contains(" INFO ")).count();
    assert!((1..=3).contains(&lines), "one sentence and a fix, not {lines} lines: {ran:#?}");
}

/// `serve` refuses like this and changes not a byte.
fn refused_without_a_trace(world: &World, env: &[(&str, &str)], code: i32, words: &[&str]) {
    let before = everything(&world.root);
    refused(&world.serve_refuses(env), code, words);
    let after = everything(&world.root);
    assert_eq!(names(&before), names(&after), "something was left behind");
    assert!(before == after, "a file was changed");
}

/// After the cause is repaired the same directory serves.
fn serves_once_repaired(mut world: World) {
    world.start();
    let id = world.task("Версия");
    world.wait(&id, &["done"]);
}

#[test]
fn an_unknown_key_or_section_is_named_with_its_line_and_the_nearest_name() {
    let world = World::new(&Setup::default());
    let line = |text: &str| {
        let config = fs::read_to_string(world.config_file()).unwrap();
        config.lines().position(|l| l.contains(text)).unwrap() + 1
    };
    world.edit_config("max_concurrency = 1", "max_concurency = 1");
    let place = format!("orch.toml:{}", line("max_concurency"));
    refused_without_a_trace(&world, &[], USAGE, &[&place, "max_concurency", "max_concurrency"]);
    world.edit_config("max_concurency = 1", "max_concurrency = 1");

    world.edit_config("[merge]", "[merges]");
    let place = format!("orch.toml:{}", line("[merges]"));
    refused_without_a_trace(&world, &[], USAGE, &[&place, "merges", "`merge`"]);
    world.edit_config("[merges]", "[merge]");

    world.edit_config("default_branch = \"trunk\"", "default_branch = trunk");
    let place = format!("orch.toml:{}", line("default_branch = trunk"));
    refused_without_a_trace(&world, &[], USAGE, &[&place, "TOML"]);
}

#[test]
fn a_port_in_use_is_said_with_the_key_that_changes_it() {
    let world = World::new(&Setup::default());
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = other.local_addr().unwrap().to_string();
    let env = [("ORCH_SERVER_LISTEN", address.as_str())];
    refused_without_a_trace(&world, &env, CANNOT_TELL, &[&address, "in use", "[server] listen"]);
    drop(other);
    serves_once_repaired(world);
}

#[test]
fn a_data_directory_that_cannot_be_made_is_said_with_the_key() {
    let world = World::new(&Setup::default());
    // Below a file: not even the superuser can make a directory there.
    world.edit_config("[instance]", "[db]\npath = \"README.md/state/orch.db\"\n\n[instance]");
    refused_without_a_trace(&world, &[], CANNOT_TELL, &["README.md/state", "cannot", "[db] path"]);
}

#[test]
fn a_database_that_is_none_is_left_as_it_is() {
    let world = World::new(&Setup::default());
    fs::create_dir_all(world.data()).unwrap();
    fs::write(world.data().join("orch.db"), "this was a shopping list\n".repeat(500)).unwrap();
    refused_without_a_trace(&world, &[], CANNOT_TELL, &["orch.db", "damaged", "orch restore DIR", "orch db new"]);
    fs::remove_file(world.data().join("orch.db")).unwrap();
    serves_once_repaired(world);
}

#[test]
fn a_database_that_is_gone_beside_what_this_instance_made_is_refused_with_the_two_ways_out() {
    let mut world = World::up(&Setup::default());
    let file = world.data().join("orch.db");
    let id = world.task("Версия");
    world.wait(&id, &["done"]);
    world.terminate();
    let whole = fs::read(&file).unwrap();
    for (state, word) in [(Some(""), "is empty"), (None, "is not there")] {
        match state {
            Some(text) => fs::write(&file, text).unwrap(),
            None => fs::remove_file(&file).unwrap(),
        }
        let ran = world.serve_refuses(&[]);
        refused(&ran, CANNOT_TELL, &["orch.db", word, "tracker.db", "runs", "orch restore DIR", "orch db new"]);
        assert_eq!(fs::read(&file).ok().as_deref(), state.map(str::as_bytes), "it is left as it is");
    }
    // Each thing of its own is enough.
    for (kept, word) in [("tracker.db", "tickets"), ("forge", "pull requests"), ("runs", "runs")] {
        let aside = world.root.join(format!("aside-{kept}"));
        fs::create_dir(&aside).unwrap();
        for other in ["tracker.db", "forge", "runs"].into_iter().filter(|name| *name != kept) {
            fs::rename(world.data().join(other), aside.join(other)).unwrap();
        }
        refused(&world.serve_refuses(&[]), CANNOT_TELL, &[word, "orch restore DIR"]);
        for entry in fs::read_dir(&aside).unwrap().flatten() {
            fs::rename(entry.path(), world.data().join(entry.file_name())).unwrap();
        }
    }
    fs::write(&file, whole).unwrap();
    world.start();
    assert_eq!(world.show(&id)["phase"], "done");
}

#[test]
fn a_database_of_a_newer_orch_is_left_to_it() {
    let mut world = World::up(&Setup::default());
    let (status, _) = world.terminate();
    assert_eq!(status.code(), Some(0), "{status}:\n{}", world.log());
    let file = world.data().join("orch.db");
    assert!(!world.data().join("orch.db-wal").exists(), "a clean end leaves one whole file");
    let mut bytes = fs::read(&file).unwrap();
    let whole = bytes.clone();
    // `user_version` of SQLite's header: four bytes at 60, big-endian.
    bytes[60..64].copy_from_slice(&99_u32.to_be_bytes());
    fs::write(&file, &bytes).unwrap();
    refused(&world.serve_refuses(&[]), CANNOT_TELL, &["orch.db", "version 99", "newer orch"]);
    assert_eq!(fs::read(&file).unwrap(), bytes);
    fs::write(&file, whole).unwrap();
    serves_once_repaired(world);
}

#[test]
fn no_git_on_the_path_is_said_as_that() {
    let world = World::new(&Setup::default());
    let empty = world.root.join("empty");
    fs::create_dir(&empty).unwrap();
    let ran = world.serve_refuses(&[("PATH", empty.to_str().unwrap())]);
    refused(&ran, CANNOT_TELL, &["git", "install"]);
    assert!(!world.data().exists(), "a first start that came to nothing leaves nothing");
    serves_once_repaired(world);
}

#[test]
fn a_second_daemon_on_one_database_is_told_who_has_it() {
    let world = World::up(&Setup::default());
    let holder = format!("pid {}", world.pid());
    let ran = world.serve_refuses(&[("ORCH_SERVER_LISTEN", "127.0.0.1:0")]);
    refused(&ran, CANNOT_TELL, &["orch.db", "in use", &holder, "orch serve", "stop that process"]);
    let id = world.task("Версия");
    world.wait(&id, &["done"]);
}

#[test]
fn a_repo_that_is_no_repository_is_said_with_project_and_key() {
    let world = World::new(&Setup::default());
    let plain = world.root.join("just files");
    fs::create_dir(&plain).unwrap();
    world.edit_config("repo = \".\"", &format!("repo = {:?}", plain.display().to_string()));
    let ran = world.serve_refuses(&[]);
    refused(&ran, CANNOT_TELL, &[&world.key, "just files", "not a git repository", "`repo` in [[project]]"]);
    assert_eq!(fs::read_dir(&plain).unwrap().count(), 0);
    let nowhere = world.root.join("nowhere").display().to_string();
    world.edit_config(&plain.display().to_string(), &nowhere);
    let ran = world.serve_refuses(&[]);
    refused(&ran, CANNOT_TELL, &[&world.key, "nowhere", "no such directory", "`repo` in [[project]]"]);
    assert!(!world.data().exists(), "a first start that came to nothing leaves nothing");
    world.edit_config(&format!("repo = {nowhere:?}"), "repo = \".\"");
    serves_once_repaired(world);
}

#[test]
fn a_wrong_default_branch_is_said_with_those_that_are_there() {
    let world = World::new(&Setup::default());
    world.edit_config("default_branch = \"trunk\"", "default_branch = \"main\"");
    let ran = world.serve_refuses(&[]);
    refused(&ran, CANNOT_TELL, &[&world.key, "no branch main", "`default_branch` in [[project]]", "trunk"]);
    assert!(!world.data().exists(), "a first start that came to nothing leaves nothing");
    world.edit_config("default_branch = \"main\"", "default_branch = \"trunk\"");
    serves_once_repaired(world);
}

#[test]
fn a_task_of_a_project_or_a_name_that_is_not_there_is_said_so() {
    let world = World::up(&Setup::default());
    let ran = world.orch(&["task", "new", "--project", "NOPE", "--title", "x"]);
    refused(&ran, USAGE, &["NOPE"]);
    let ran = world.orch(&["why", &format!("{}-77", world.key)]);
    refused(&ran, USAGE, &[&format!("{}-77", world.key)]);
    let ran = world.orch(&["task", "new", "--project", &world.key, "--title", "  "]);
    refused(&ran, USAGE, &["title"]);
}

#[test]
fn without_a_daemon_commands_say_that_there_is_none() {
    let world = World::new(&Setup::default());
    let ran = world.orch(&["queue"]);
    refused(&ran, CANNOT_TELL, &["cannot be reached", "orch serve"]);
}
