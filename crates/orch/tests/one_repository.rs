//! Two projects on one repository, with the real binary: one queue, one private repository, both land, and nobody is taken
//! for somebody else. Projects that came to share a repository otherwise than they were begun are not served, and say why.
#![allow(clippy::unwrap_used, reason = "test code outside of test functions")]

mod common;

use common::{Setup, World};
use serde_json::json;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// A developer whose change is a file of the task's own.
const OWN_FILE: &str = "developer() { echo \"$ORCH_WORK_ITEM\" > \"$ORCH_WORK_ITEM.txt\"; }";

/// A second `[[project]]` over this repository.
fn second(world: &World, key: &str, repo: &str, more: &str) -> String {
    let text = fs::read_to_string(world.config_file()).unwrap();
    let approvers = text.lines().find(|l| l.starts_with("approvers")).unwrap_or_default();
    format!(
        "\n[[project]]\nkey = \"{key}\"\nrepo = \"{repo}\"\ndefault_branch = \"trunk\"\npipeline = \"lite\"\n{approvers}\n\
         allow_untested = true\n{more}"
    )
}

fn add(world: &World, text: &str) {
    let whole = fs::read_to_string(world.config_file()).unwrap();
    fs::write(world.config_file(), whole + text).unwrap();
}

fn new_task(world: &World, project: &str, title: &str) -> String {
    let made = world.orch(&["task", "new", "--project", project, "--title", title, "--start", "--json"]).ok().json();
    made["id"].as_str().unwrap().to_owned()
}

fn troubles(world: &World) -> Vec<(String, String)> {
    let (_, body) = world.http("GET", "/health", None, "").unwrap();
    let found: serde_json::Value = serde_json::from_str(&body).unwrap();
    let text = |t: &serde_json::Value, key: &str| t[key].as_str().unwrap_or_default().to_owned();
    found["troubles"].as_array().into_iter().flatten().map(|t| (text(t, "project"), text(t, "why"))).collect()
}

/// Bare repositories in a directory.
fn bare_in(dir: &Path) -> Vec<String> {
    let all = fs::read_dir(dir).into_iter().flatten().flatten();
    let mut names: Vec<String> = all.map(|e| e.file_name().to_string_lossy().into_owned()).collect();
    names.retain(|name| Path::new(name).extension().is_some_and(|e| e == "git") && !name.starts_with('.'));
    names.sort();
    names
}

/// A bare repository that two projects name in two ways; its merges wait for as long as a file is there.
fn on_a_remote() -> (World, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let bare = dir.path().join("shop.git");
    let remote = Some(bare.display().to_string());
    let mut world = World::new(&Setup { remote, agent: OWN_FILE.into(), ..Setup::default() });
    world.git(&world.root, &["init", "--quiet", "--bare", "--initial-branch=trunk", &bare.display().to_string()]);
    world.git(&world.repo, &["push", "--quiet", &bare.display().to_string(), "HEAD:refs/heads/trunk"]);
    let (hook, hold) = (bare.join("hooks/update"), dir.path().join("hold"));
    fs::create_dir_all(hook.parent().unwrap()).unwrap();
    let waits = format!("while [ -e '{}' ]; do sleep 0.05; done", hold.display());
    fs::write(&hook, format!("#!/bin/sh\n[ \"$1\" != refs/heads/trunk ] && exit 0\n{waits}\nexit 0\n")).unwrap();
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
    add(&world, &second(&world, "WEB", &format!("file://{}/", bare.display()), "forge = \"git\"\n"));
    world.start();
    (world, dir)
}

#[test]
fn two_projects_on_one_repository_have_one_queue_and_both_land() {
    let (world, dir) = on_a_remote();
    let (bare, hold) = (dir.path().join("shop.git"), dir.path().join("hold"));
    fs::write(&hold, "").unwrap();
    let first = new_task(&world, &world.key, "From the first");
    let queue = |what: &str, line: String| {
        world.until(what, || world.orch(&["queue"]).ok().out.contains(&line).then_some(()));
    };
    let of = format!("the repository of {} and WEB", world.key);
    queue("the first merges", format!("{first} is merging into {of}"));
    let other = new_task(&world, "WEB", "From the second");
    queue("the second waits", format!("{first} is merging into {of}; waiting for that: {other}"));
    let why = world.orch(&["why", &other]).ok().out;
    assert!(why.contains(&first), "{why}");
    let json = world.orch(&["queue", "--json"]).ok().json();
    assert_eq!(json["merging"][0]["projects"], json!([world.key, "WEB"]), "{json:#}");
    assert_eq!(json["merging"].as_array().unwrap().len(), 1);

    fs::remove_file(&hold).unwrap();
    let (one, two) = (world.wait(&first, &["done"]), world.wait(&other, &["done"]));
    let history = world.git(&bare, &["rev-list", "--reverse", &format!("{}..trunk", world.tip)]);
    let history: Vec<&str> = history.lines().collect();
    assert_eq!(history, [one["merge_commit"].as_str().unwrap(), two["merge_commit"].as_str().unwrap()]);
    let files = world.git(&bare, &["ls-tree", "--name-only", "trunk"]);
    assert!(files.contains(&format!("{first}.txt")) && files.contains(&format!("{other}.txt")), "{files}");
    // One private repository, numbers that are the repository's, lists that are the project's, and no stranger.
    assert_eq!(bare_in(&world.data().join("repos")), [format!("{}.git", world.key)]);
    let pulls = (one["pull_request"].as_u64(), two["pull_request"].as_u64());
    assert_eq!(pulls, (Some(1), Some(2)));
    let main = world.orch(&["project", "main", "WEB", "--json"]).ok().json();
    assert_eq!(main["moved_by_others"], json!(0), "{main:#}");
    assert!(!world.log().contains("somebody else has moved main"), "{}", world.log());
}

#[test]
fn a_project_that_comes_to_share_a_repository_with_a_copy_of_its_own_is_not_served_until_that_is_away() {
    let mut world = World::new(&Setup { agent: OWN_FILE.into(), ..Setup::default() });
    let clone = world.root.join("clone");
    world.git(&world.root, &["clone", "--quiet", &world.repo.display().to_string(), &clone.display().to_string()]);
    let alone = second(&world, "WEB", &clone.display().to_string(), "");
    add(&world, &alone);
    world.agent("developer() { wait_for go; echo x > \"$ORCH_WORK_ITEM.txt\"; }");
    world.start();
    assert_eq!(bare_in(&world.data().join("forge")), [format!("{}.git", world.key), "WEB.git".to_owned()]);
    let open = new_task(&world, "WEB", "Begun alone");
    world.run_said("developer", 1, "start developer");

    // While it runs nothing is changed under anybody's feet.
    let shared = second(&world, "WEB", &world.repo.join(".git").display().to_string(), "");
    world.edit_config(&alone, &shared);
    let refused = world.orch(&["reload"]);
    assert!(refused.code != 0 && refused.err.contains("it takes a restart"), "{refused:?}");

    // The task that is open began under its own lease.
    world.kill();
    world.start();
    let said = troubles(&world);
    let why = said.iter().find(|(key, _)| key == "WEB").map(|(_, why)| why.clone()).unwrap();
    assert!(why.contains(&open) && why.contains("began in the repository that goes by the key WEB"), "{why}");
    world.orch(&["task", "cancel", &open]).ok();
    // The other project goes on.
    let whole = new_task(&world, &world.key, "Whole");
    world.allow("go");
    world.wait(&whole, &["done"]);
    world.until("it is cancelled", || (world.show(&open)["phase"] == json!("cancelled")).then_some(()));

    // Then its own copy is in the way, by its name.
    world.kill();
    world.start();
    let why = troubles(&world).into_iter().find(|(key, _)| key == "WEB").map(|(_, why)| why).unwrap();
    let copy = world.data().join("forge").join("WEB.git");
    assert!(why.contains(&copy.display().to_string()) && why.contains("move it away"), "{why}");
    world.kill();
    fs::rename(&copy, world.root.join("WEB.git.before")).unwrap();
    world.start();
    let mirror = world.data().join("repos/WEB.git");
    let why = troubles(&world).into_iter().find(|(key, _)| key == "WEB").map(|(_, why)| why).unwrap();
    assert!(why.contains(&mirror.display().to_string()), "{why}");
    world.kill();
    fs::rename(&mirror, world.root.join("WEB.mirror.before")).unwrap();
    world.start();
    assert_eq!(troubles(&world), []);
    let last = new_task(&world, "WEB", "Shared");
    world.wait(&last, &["done"]);
    assert_eq!(bare_in(&world.data().join("forge")), [format!("{}.git", world.key)]);

    // The other order would make a second copy without what was merged.
    world.kill();
    let text = fs::read_to_string(world.config_file()).unwrap().replace(&shared, "");
    let at = text.find("[[project]]").unwrap();
    fs::write(world.config_file(), format!("{}{}\n{}", &text[..at], shared, &text[at..])).unwrap();
    world.start();
    let said = troubles(&world);
    assert_eq!(said.len(), 2, "{said:#?}");
    assert!(said.iter().any(|(key, why)| key == "WEB" && why.contains("before this one")), "{said:#?}");
    assert_eq!(bare_in(&world.data().join("forge")), [format!("{}.git", world.key)]);
}

#[test]
fn projects_on_one_repository_that_disagree_are_refused_by_name() {
    let world = World::new(&Setup::default());
    add(&world, &second(&world, "WEB", &world.repo.display().to_string(), "forge = \"git\"\n"));
    let checked = world.orch(&["config", "check"]);
    assert_ne!(checked.code, 0);
    let said = format!("{}{}", checked.out, checked.err);
    let both =
        format!("[[project]] {} and WEB have one repository and different `forge` (`local` and `git`)", world.key);
    assert!(said.contains(&both) && said.contains("write the same in both"), "{said}");
}
