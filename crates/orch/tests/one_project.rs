//! One project does not stop another: a repository that cannot be served, a project that left the configuration, a changed
//! configuration, a daemon that is drained. Each story asks the real binary what it says of it, and that the other goes on.
#![allow(clippy::unwrap_used, reason = "test code outside of test functions")]

mod common;

use common::{Setup, World};
use serde_json::{Value, json};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A second `[[project]]` like the first, over this repository.
fn second(world: &World, key: &str, repo: &str) -> String {
    let text = fs::read_to_string(world.config_file()).unwrap();
    let approvers = text.lines().find(|l| l.starts_with("approvers")).unwrap_or_default();
    format!(
        "\n[[project]]\nkey = \"{key}\"\nrepo = \"{repo}\"\ndefault_branch = \"trunk\"\npipeline = \"lite\"\n{approvers}\n\
         allow_untested = true\n"
    )
}

fn add(world: &World, text: &str) {
    let whole = fs::read_to_string(world.config_file()).unwrap();
    fs::write(world.config_file(), whole + text).unwrap();
}

fn health(world: &World) -> Value {
    let (_, body) = world.http("GET", "/health", None, "").unwrap();
    serde_json::from_str(&body).unwrap()
}

/// A bare repository with one commit on `trunk`, or with nothing at all.
fn bare(world: &World, name: &str, filled: bool) -> String {
    let dir = world.root.join(name);
    world.git(&world.root, &["init", "--quiet", "--bare", "--initial-branch=trunk", dir.to_str().unwrap()]);
    if filled {
        world.git(&world.repo, &["push", "--quiet", dir.to_str().unwrap(), &format!("{}:refs/heads/trunk", world.tip)]);
    }
    dir.display().to_string()
}

#[test]
fn a_broken_and_an_empty_repository_stop_only_themselves_and_come_back_by_themselves() {
    let mut world = World::new(&Setup::default());
    let (empty, broken) = (bare(&world, "empty.git", false), bare(&world, "broken.git", true));
    fs::remove_dir_all(world.root.join("broken.git/objects")).unwrap();
    add(&world, &second(&world, "EMPTY", &empty));
    add(&world, &second(&world, "BROKEN", &broken));
    add(&world, "\n[reconcile]\ninterval_s = 1\n");
    world.start();
    let found = health(&world);
    assert_eq!(found["status"], json!("degraded"));
    let why = |key: &str| {
        let all = found["troubles"].as_array().unwrap();
        all.iter().find(|t| t["project"] == json!(key)).map(|t| t["why"].as_str().unwrap().to_owned()).unwrap()
    };
    assert!(why("EMPTY").contains("make a first commit"), "{}", why("EMPTY"));
    assert!(why("BROKEN").contains("broken.git"), "{}", why("BROKEN"));
    world.until("it is said at the start", || world.log().contains("project EMPTY is out of service").then_some(()));
    let doctor = world.orch(&["doctor"]);
    assert!(doctor.out.contains("project EMPTY"), "{doctor:?}");
    assert!(world.orch(&["queue"]).ok().out.contains("project BROKEN is out of service"));

    // The whole project goes to its end, and a task of the empty one waits, says why, and costs nothing.
    let args = ["task", "new", "--project", "EMPTY", "--title", "Waits", "--start", "--json"];
    let waiting = world.orch(&args).ok().json()["id"].as_str().unwrap().to_owned();
    let whole = world.task("Версия");
    world.wait(&whole, &["done"]);
    assert_eq!(world.show(&waiting)["waiting"]["command"], json!("orch doctor"));
    let said = world.orch(&["why", &waiting]).out;
    assert!(said.contains("out of service") && said.contains("make a first commit"), "{said}");

    // Repaired, it goes on without anybody asking.
    world.git(&world.repo, &["push", "--quiet", &empty, &format!("{}:refs/heads/trunk", world.tip)]);
    let task = world.wait(&waiting, &["done"]);
    assert_eq!(task["round"], json!(0));
    world.until("only the broken one is left", || {
        (health(&world)["troubles"].as_array().unwrap().len() == 1).then_some(())
    });
}

#[test]
fn tasks_of_a_project_that_left_the_configuration_wait_and_can_be_cancelled() {
    let mut world = World::new(&Setup::default());
    let other = bare(&world, "other.git", true);
    let lines = second(&world, "LEFT", &other);
    add(&world, &lines);
    // The developer waits until it is let go.
    world.agent("developer() { wait_for go; echo x >> \"$code\"; }");
    world.start();
    let new = |title: &str| {
        let made = world.orch(&["task", "new", "--project", "LEFT", "--title", title, "--start", "--json"]).ok().json();
        made["id"].as_str().unwrap().to_owned()
    };
    let (stays, goes) = (new("stays"), new("goes"));
    world.run_said("developer", 1, "start developer");
    world.kill();
    world.edit_config(&lines, "");
    world.start();
    let found = health(&world);
    let trouble = &found["troubles"][0];
    assert_eq!((&trouble["kind"], &trouble["project"]), (&json!("configuration"), &json!("LEFT")), "{found:#}");
    let said = || world.log().contains("project LEFT is not in the configuration").then_some(());
    world.until("it is said at the start", said);
    let why = world.orch(&["why", &stays]).out;
    assert!(why.contains("not in the configuration") && why.contains(&format!("orch task cancel {stays}")), "{why}");
    let list = world.orch(&["task", "list", "--project", "LEFT"]).ok().out;
    assert!(list.contains(&stays) && list.contains("not in the configuration"), "{list}");
    world.orch(&["task", "cancel", &goes]).ok();
    world.wait(&goes, &["cancelled"]);

    // It is back, and nothing was lost.
    add(&world, &lines);
    world.allow("go");
    world.orch(&["reload"]).ok();
    world.wait(&stays, &["done"]);
    assert_eq!(health(&world)["status"], json!("ok"));
}

#[test]
fn a_changed_configuration_is_noticed_taken_up_and_named_key_by_key() {
    let world = World::up(&Setup::default());
    let first = world.orch(&["reload", "--json"]).ok().json();
    assert_eq!((&first["applied"], &first["needs_restart"]), (&json!([]), &json!([])));
    add(&world, "\n[budget]\ntask_usd = 7\nrun_usd = 1\n\n[reaper]\ninterval_s = 17\n");
    let pending = world.until("it is noticed", || {
        let found = health(&world);
        found.get("configuration").filter(|c| !c.is_null()).cloned()
    });
    assert!(pending["text"].as_str().unwrap().contains("orch reload"), "{pending}");
    let told = world.orch(&["reload", "--json"]).ok().json();
    assert_eq!(told["applied"], json!(["budget.run_usd", "budget.task_usd"]), "{told}");
    assert_eq!(told["needs_restart"], json!(["reaper.interval_s"]), "{told}");
    assert!(health(&world)["configuration"]["text"].as_str().unwrap().contains("restart"));

    // A file with a fault changes nothing, and says where it is.
    let good = fs::read_to_string(world.config_file()).unwrap();
    add(&world, "\n[budgit]\n");
    let refused = world.orch(&["reload"]);
    assert_ne!(refused.code, 0, "{refused:?}");
    assert!(refused.err.contains("budgit") && refused.err.contains("orch.toml:"), "{refused:?}");
    world.until("the fault is noticed", || (health(&world)["configuration"]["broken"] == json!(true)).then_some(()));
    fs::write(world.config_file(), good).unwrap();
    assert_eq!(world.orch(&["reload", "--json"]).ok().json()["applied"], json!([]));
    let id = world.task("Версия");
    world.wait(&id, &["done"]);
}

#[test]
fn drained_is_said_by_why_and_a_second_daemon_is_told_of_the_first() {
    let world = World::up(&Setup::default());
    world.orch(&["drain"]).ok();
    let id = world.task("Версия");
    let why = world.orch(&["why", &id]).out;
    assert!(why.contains("drained") && why.contains("orch resume"), "{why}");
    let second = world.serve_refuses(&[]);
    assert_eq!(second.code, 3, "{second:?}");
    let pid = format!("pid {}", world.pid());
    assert!(
        second.err.contains(&pid) && second.err.contains("http://127.0.0.1:") && second.err.contains("since 20"),
        "{second:?}"
    );
    world.orch(&["resume"]).ok();
    world.wait(&id, &["done"]);
}

#[test]
fn a_hangup_takes_up_the_changed_configuration_and_a_fault_in_it_changes_nothing() {
    let world = World::up(&Setup::default());
    let hang_up = || {
        let pid = world.pid().to_string();
        assert!(Command::new("kill").args(["-HUP", &pid]).status().unwrap().success());
    };
    let good = fs::read_to_string(world.config_file()).unwrap();
    add(&world, "\n[budgit]\n");
    hang_up();
    world.until("the fault is in the log", || {
        let log = world.log();
        log.lines().any(|l| l.contains("SIGHUP") && l.contains("budgit")).then_some(())
    });
    fs::write(world.config_file(), &good).unwrap();
    add(&world, "\n[budget]\ntask_usd = 7\nrun_usd = 1\n");
    hang_up();
    let taken = "configuration read again: budget.run_usd, budget.task_usd taken up";
    world.until("it is taken up", || world.log().contains(taken).then_some(()));
    let told = world.orch(&["reload", "--json"]).ok().json();
    assert_eq!(told["applied"], json!([]), "nothing is left to take up: {told}");
    let id = world.task("Версия");
    world.wait(&id, &["done"]);
}

/// Nothing can be written below a directory as long as this lives.
struct ReadOnly(PathBuf);

impl ReadOnly {
    /// `None`, and says so, where nothing may be mounted.
    fn over(dir: &Path) -> Option<Self> {
        fs::create_dir_all(dir).unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "ro", "tmpfs"]).arg(dir).output();
        if mounted.is_ok_and(|done| done.status.success()) {
            return Some(Self(dir.to_owned()));
        }
        let _ = std::io::stdout().write_all(b"skipped: needs the right to mount (run as root)\n");
        None
    }
}

impl Drop for ReadOnly {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

#[test]
fn a_directory_that_cannot_be_written_is_in_health_and_goes_from_there_by_itself() {
    let world = World::up(&Setup::default());
    assert_eq!(health(&world)["status"], json!("ok"));
    let dir = world.data().join("checkouts");
    let Some(read_only) = ReadOnly::over(&dir) else { return };
    let found = health(&world);
    assert_eq!(found["status"], json!("degraded"), "{found:#}");
    let trouble = &found["troubles"][0];
    let why = trouble["why"].as_str().unwrap();
    assert_eq!(trouble["kind"], json!("directory"), "{found:#}");
    assert!(why.contains(dir.to_str().unwrap()) && why.contains("Read-only"), "{why}");
    drop(read_only);
    assert_eq!(health(&world)["status"], json!("ok"));
    let id = world.task("Версия");
    world.wait(&id, &["done"]);
}
