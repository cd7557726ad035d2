//! A project whose repository is somebody else's, reached over HTTP with a password: from a ticket to main of the remote,
//! also when the daemon dies with the merge. What is true is read from the server: its repository, and a log that its own
//! hook writes of every branch that moves.
#![allow(clippy::unwrap_used, reason = "test code outside of test functions")]

mod common;
#[path = "../../adapters/tests/git_forge/servers.rs"]
mod servers;

use common::{Setup, World};
use servers::Http;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

/// The password of orch; nobody else may ever see it.
const WORD: &str = "w0rd-of-orch-4712";

/// A server with an empty repository, and a user with a clone and a configuration that names it.
struct Remote {
    http: Http,
    dir: tempfile::TempDir,
}

impl Remote {
    /// Nothing if this git has no HTTP server.
    fn with_world(setup: &Setup) -> Option<(Self, World)> {
        let dir = tempfile::tempdir().unwrap();
        let http = Http::start(dir.path(), &[("orch", WORD), ("anna", "a")])?;
        let remote = Self { http, dir };
        let access = "\n[project.git]\nusername = \"orch\"\ntoken_env = \"SHOP_TOKEN\"\n";
        let mut world = World::new(&Setup {
            remote: Some(remote.http.url("shop.git")),
            project: format!("{access}{}", setup.project),
            agent: setup.agent.clone(),
            program: setup.program.clone(),
            pipeline: setup.pipeline,
        });
        let bare = remote.bare().display().to_string();
        world.git(&world.root, &["init", "--quiet", "--bare", "--initial-branch=trunk", &bare]);
        world.git(&world.repo, &["push", "--quiet", &bare, "HEAD:refs/heads/trunk"]);
        world.git(&remote.bare(), &["config", "http.receivepack", "true"]);
        remote.hook("echo \"${REMOTE_USER:-nobody} $1 $2 $3\" >> moves.log");
        world.env.push(("SHOP_TOKEN", WORD.to_owned()));
        Some((remote, world))
    }

    fn bare(&self) -> PathBuf {
        self.dir.path().join("shop.git")
    }

    fn hook(&self, script: &str) {
        let file = self.bare().join("hooks/update");
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Who moved a branch, from where to where.
    fn moves(&self, branch: &str) -> Vec<String> {
        let log = fs::read_to_string(self.bare().join("moves.log")).unwrap_or_default();
        let name = format!(" refs/heads/{branch} ");
        log.lines().filter(|line| line.contains(&name)).map(|line| line.replace(&name, " ")).collect()
    }
}

#[test]
fn a_ticket_lands_on_main_of_a_remote_over_http_as_the_commit_that_was_tested_and_nothing_else_pushes_main() {
    let Some((remote, mut world)) = Remote::with_world(&Setup::default()) else { return };
    let doctor = world.orch(&["doctor"]);
    assert!(doctor.out.contains(&remote.http.url("shop.git")), "{doctor:?}");
    world.start();
    remote.http.asked();
    let id = world.task("Показать версию");
    let task = world.wait(&id, &["done"]);
    let asked = remote.http.asked();

    let commit = task["merge_commit"].as_str().unwrap();
    assert_eq!(world.git(&remote.bare(), &["rev-parse", "trunk"]), commit);
    assert_eq!(task["head"].as_str(), Some(commit), "the tested commit itself");
    assert_eq!(world.git(&remote.bare(), &["rev-parse", "trunk^"]), world.tip);
    assert_eq!(remote.moves("trunk"), [format!("orch {} {commit}", world.tip)], "one push, and the merge's");
    // Nobody made a copy, and the password is nowhere but in the environment of the daemon.
    assert!(!world.forge().exists());
    let found = Command::new("grep").args(["-rlaF", WORD]).arg(&world.root).arg(remote.dir.path()).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&found.stdout), "");
    let calls = |service: &str| {
        asked.iter().filter(|l| l.starts_with("orch") && l.ends_with(&format!("info/refs?service={service}"))).count()
    };
    println!(
        "one lite task: {} calls of git to the remote that read, {} that push",
        calls("git-upload-pack"),
        calls("git-receive-pack")
    );
    // The look of the watcher of main comes on top, one each half minute.
    assert!(calls("git-upload-pack") <= 60 && calls("git-receive-pack") <= 8, "{asked:#?}");
}

/// The other end of ssh is played by a program of that name; what it is asked is git's own way to ask.
#[test]
fn over_ssh_the_users_own_ssh_is_asked_without_a_question_and_with_the_users_agent() {
    let dir = tempfile::tempdir().unwrap();
    let bare = dir.path().join("shop.git");
    let remote = Some(format!("git@server:{}", bare.display()));
    let mut world = World::new(&Setup { remote, ..Setup::default() });
    world.git(&world.root, &["init", "--quiet", "--bare", "--initial-branch=trunk", &bare.display().to_string()]);
    world.git(&world.repo, &["push", "--quiet", &bare.display().to_string(), "HEAD:refs/heads/trunk"]);
    let asked = world.root.join("asked");
    let script = format!(
        "echo \"$* agent=${{SSH_AUTH_SOCK:-none}}\" >> '{}'\nwhile [ \"$1\" != git@server ]; do shift; done\nshift\neval \"$*\"",
        asked.display()
    );
    world.program("ssh", &script);
    world.env.push(("SSH_AUTH_SOCK", "/run/agent.of.the.user".to_owned()));
    world.start();
    let task = world.wait(&world.task("Показать версию"), &["done"]);
    assert_eq!(world.git(&bare, &["rev-parse", "trunk"]), task["merge_commit"].as_str().unwrap());
    let asked = fs::read_to_string(asked).unwrap();
    assert!(asked.contains("git-receive-pack") && asked.contains("git-upload-pack"), "{asked}");
    for line in asked.lines() {
        assert!(line.contains("-oBatchMode=yes") && line.ends_with("agent=/run/agent.of.the.user"), "{line}");
    }
    let environments: Vec<String> =
        world.runs().iter().filter_map(|run| fs::read_to_string(run.dir.join("tmp/environ.txt")).ok()).collect();
    assert!(!environments.is_empty() && !environments.iter().any(|env| env.contains("SSH_AUTH_SOCK")));
}

#[test]
fn what_a_remote_does_not_allow_is_said_before_anything_runs() {
    let Some((remote, mut world)) = Remote::with_world(&Setup::default()) else { return };
    let says = |world: &World, words: &[&str]| {
        let doctor = world.orch(&["doctor"]);
        assert_eq!(doctor.code, 1, "{doctor:?}");
        for word in words {
            assert!(doctor.out.contains(word), "{word} in {}", doctor.out);
        }
    };
    world.git(&remote.bare(), &["config", "http.receivepack", "false"]);
    says(&world, &["can be read, but not pushed to", "token_env"]);
    world.git(&remote.bare(), &["config", "http.receivepack", "true"]);
    world.env = vec![("SHOP_TOKEN", "another".to_owned())];
    says(&world, &["does not let orch in", "token_env"]);
    world.env.clear();
    says(&world, &["SHOP_TOKEN is not set"]);
    let refused = world.serve_refuses(&[]);
    assert!(refused.err.contains("SHOP_TOKEN is not set"), "{refused:?}");
    // One that is away is only a warning: the daemon starts without it, and its tasks wait.
    world.env.push(("SHOP_TOKEN", WORD.to_owned()));
    remote.http.weather(servers::Weather::Away);
    let doctor = world.orch(&["doctor"]);
    assert!(doctor.code == 0 && doctor.out.contains("it does not answer"), "{doctor:?}");
    world.start();
    let id = world.task("Показать версию");
    world.until("it waits for the remote", || world.orch(&["why", &id]).out.contains("forge").then_some(()));
    remote.http.weather(servers::Weather::Fair);
    let task = world.wait(&id, &["done"]);
    assert_eq!(task["round"].as_u64(), Some(0), "a remote that is away is nobody's round");
}

#[test]
fn a_daemon_that_is_killed_while_the_remote_takes_its_merge_finds_that_it_landed_and_a_colleague_loses_nothing() {
    let Some((remote, mut world)) = Remote::with_world(&Setup::default()) else { return };
    // Whoever pushes to main waits at the server until the test has seen it.
    remote.hook(
        "echo \"${REMOTE_USER:-nobody} $1 $2 $3\" >> moves.log\n\
         [ \"$1\" != refs/heads/trunk ] || { touch at-the-gate; until [ -e open-the-gate ]; do sleep 0.05; done; }",
    );
    world.start();
    let id = world.task("Показать версию");
    let gate = remote.bare().join("at-the-gate");
    world.until("the merge is at the server", || gate.exists().then_some(()));
    world.kill();
    // The server goes on alone: the answer finds nobody.
    fs::write(remote.bare().join("open-the-gate"), "").unwrap();
    world.until("the server has merged", || {
        (world.git(&remote.bare(), &["rev-parse", "trunk"]) != world.tip).then_some(())
    });
    // A colleague builds on it before orch is back.
    let work = world.root.join("colleague");
    world.git(&world.root, &["clone", "--quiet", &remote.bare().display().to_string(), &work.display().to_string()]);
    fs::write(work.join("theirs.txt"), "theirs\n").unwrap();
    world.git(&work, &["add", "--all"]);
    world.git(&work, &["commit", "--quiet", "--message=Theirs"]);
    let theirs = world.git(&work, &["rev-parse", "HEAD"]);
    world.git(&work, &["push", "--quiet", "origin", "HEAD:refs/heads/trunk"]);
    world.start();
    let task = world.wait(&id, &["done"]);
    let commit = task["merge_commit"].as_str().unwrap();
    assert_eq!(world.git(&remote.bare(), &["rev-parse", "trunk"]), theirs);
    assert_eq!(
        remote.moves("trunk"),
        [format!("orch {} {commit}", world.tip), format!("nobody {commit} {theirs}")],
        "one merge, and the colleague's push"
    );
}

#[test]
fn a_persons_branch_on_a_remote_lands_as_its_author_wrote_it_and_only_the_author_ever_moves_it() {
    let Some((remote, mut world)) = Remote::with_world(&Setup::default()) else { return };
    world.start();
    let work = world.root.join("anna");
    world.git(&world.root, &["clone", "--quiet", &remote.bare().display().to_string(), &work.display().to_string()]);
    let commit = |file: &str, text: &str, message: &str| {
        world.git(&work, &["checkout", "--quiet", "-B", "anna/fix"]);
        fs::write(work.join(file), text).unwrap();
        world.git(&work, &["add", "--all"]);
        let author = "--author=Anna <anna@example.org>";
        world.git(&work, &["commit", "--quiet", author, "--message", message]);
        let to = remote.http.url_of("anna", "shop.git");
        world.git(&work, &["push", "--quiet", &to, "HEAD:refs/heads/anna/fix"]);
        world.git(&work, &["rev-parse", "HEAD"])
    };
    // Refused with the reason and the exit code of a question that cannot be answered with yes.
    let nowhere = world.orch(&["land", "nowhere"]);
    assert!(nowhere.code == 1 && nowhere.err.contains("there is no branch nowhere"), "{nowhere:?}");
    assert!(!nowhere.err.contains(WORD), "{nowhere:?}");
    let odd = world.orch(&["land", "--", "-x"]);
    assert!(odd.code == 2 && odd.err.contains("no name of a branch"), "{odd:?}");

    let head = commit("fix.txt", "fixed\n", "Fix the rounding\n\nHalf up, as the tax office asks.");
    let stale = world.orch(&["land", "anna/fix", "--head", &"0".repeat(40)]);
    assert!(stale.code == 1 && stale.err.contains(&format!("stands at {}", &head[..7])), "{stale:?}");
    let said = world.orch(&["land", "anna/fix", "--head", &head]).ok();
    let id = said.out.split_whitespace().next().unwrap().to_owned();
    assert!(said.out.contains("lands anna/fix at") && said.err.contains(&format!("orch why {id}")), "{said:?}");
    let task = world.wait(&id, &["done"]);
    assert_eq!(task["lands"], serde_json::json!({ "branch": "anna/fix", "head": head }));
    let landed = task["merge_commit"].as_str().unwrap();
    assert_eq!(world.git(&remote.bare(), &["rev-parse", "trunk"]), landed);
    let log = world.git(&remote.bare(), &["log", "-1", "--format=%an <%ae>: %B", "trunk"]);
    assert!(log.starts_with("Anna <anna@example.org>: Fix the rounding\n\nHalf up, as the tax office asks."), "{log}");
    assert!(world.runs_of("developer").is_empty() && world.runs_of("reviewer").is_empty());
    assert_eq!(remote.moves("trunk"), [format!("orch {} {landed}", world.tip)], "one push, and the merge's");
    let moved = remote.moves("anna/fix");
    assert!(moved.len() == 1 && moved[0].starts_with("anna ") && moved[0].ends_with(&head), "{moved:?}");

    // The daemon dies as soon as it has answered, and the next one goes on.
    let head = commit("more.txt", "more\n", "Add more");
    let said = world.orch(&["land", "anna/fix", "--json"]).ok().json();
    world.kill();
    world.start();
    let task = world.wait(said["task"]["id"].as_str().unwrap(), &["done"]);
    assert_eq!(task["lands"]["head"].as_str(), Some(head.as_str()));
    assert_eq!(world.git(&remote.bare(), &["show", "trunk:more.txt"]), "more");
    assert_eq!(remote.moves("trunk").len(), 2);
}
