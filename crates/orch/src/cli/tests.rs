//! The command line as scripts see it: what each command prints, where, and with which exit code.

use super::*;
use clap::CommandFactory;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

mod people;
mod pulls;
mod server;
use server::{Server, free_port};

/// What a command said.
pub(super) struct Said {
    pub(super) code: u8,
    pub(super) out: String,
    pub(super) err: String,
}

pub(super) fn orch_in(cwd: &Path, env: &[(&str, &str)], args: &[&str]) -> Said {
    let cli = Cli::try_parse_from(std::iter::once("orch").chain(args.iter().copied())).unwrap();
    let path = std::env::var("PATH").unwrap_or_default();
    let base = [("PATH", path.as_str()), ("HOME", "/nowhere"), ("XDG_STATE_HOME", "/nowhere/state")];
    let env: BTreeMap<String, String> =
        base.iter().chain(env).map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let exit = run(&cli, &mut Context::new(env, cwd.to_owned(), (&mut out, &mut err), false));
    Said { code: exit.code(), out: String::from_utf8(out).unwrap(), err: String::from_utf8(err).unwrap() }
}

pub(super) fn git(dir: &Path, args: &[&str]) {
    let done = std::process::Command::new("git").arg("-C").arg(dir).args(args).output().unwrap();
    assert!(done.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&done.stderr));
}

/// A repository with one commit on a branch.
pub(super) fn repository(dir: &Path, branch: &str, files: &[(&str, &str)]) {
    std::fs::create_dir_all(dir).unwrap();
    git(dir, &["init", "-q", "-b", branch]);
    for (name, text) in files {
        std::fs::write(dir.join(name), text).unwrap();
    }
    git(dir, &["-c", "user.name=t", "-c", "user.email=t@t", "commit", "-q", "--allow-empty", "-m", "first"]);
}

#[test]
fn every_command_has_an_example_and_the_definitions_are_sound() {
    Cli::command().debug_assert();
    let mut seen = 0;
    let mut open = vec![Cli::command()];
    while let Some(mut command) = open.pop() {
        let help = command.render_long_help().to_string();
        assert!(help.contains("Example:\n  orch"), "`{}` has no example:\n{help}", command.get_name());
        seen += 1;
        open.extend(command.get_subcommands().filter(|c| c.get_name() != "help").cloned());
    }
    assert!(seen >= 32, "only {seen} commands");
}

#[test]
fn the_pinned_lines_are_understood() {
    for line in [
        "demo --dir d --keep --agent mine --fast --no-open",
        "init",
        "init dir",
        "serve --config orch.toml",
        "doctor --json",
        "project list",
        "people list --json",
        "people forget gitea:anna.b --yes --mentions",
        "project show DEMO",
        "task new --project DEMO --title T --body B --start",
        "task new --project DEMO --title T --body-file -",
        "task start DEMO-1",
        "task cancel DEMO-1",
        "task retry DEMO-1",
        "task retry DEMO-1 --as deploy",
        "task retry DEMO-1 --as accept --json",
        "task list",
        "task show DEMO-1 --json",
        "diff DEMO-1 --stat --json",
        "pr list --project DEMO --json",
        "pr diff 7 --stat",
        "pr open theirs --project DEMO --title T --body B --json",
        "why DEMO-1 --url http://127.0.0.1:1",
        "approve DEMO-1 --gate check_analysis_approved --comment fine",
        "reject DEMO-1 --comment no",
        "answer DEMO-1 yes",
        "logs DEMO-1 -f --run 2",
        "evidence DEMO-1",
        "queue --json",
        "gate list",
        "gate run check_ci_green --repo . --base main --head HEAD",
        "audit import npm.zip pypi.zip",
        "audit import dir --to mirror --json --config orch.toml",
        "init --global --json",
        "instance list --json",
        "instance move --config orch.toml",
        "db check --json",
        "db backup copy.db",
        "db migrate",
        "db new --yes",
        "backup /srv/backup/monday",
        "restore /srv/backup/monday --json",
        "drain",
        "pause",
        "pause --project SHOP --json",
        "resume",
        "resume --project SHOP",
        "config check",
        "config explain db.path",
        "config reference",
        "config env",
        "supervise /run/dir",
    ] {
        assert!(Cli::try_parse_from(format!("orch {line}").split(' ')).is_ok(), "{line}");
    }
    for wrong in [
        "tusk",
        "task new --project DEMO",
        "task new --project D --title T --body b --body-file f",
        "logs",
        "diff",
        "pr diff seven",
        "pr open",
        "audit import",
    ] {
        let refused = Cli::try_parse_from(format!("orch {wrong}").split(' ')).unwrap_err();
        assert_eq!(refused.exit_code(), i32::from(Exit::Usage.code()), "{wrong}");
    }
}

#[test]
fn init_writes_a_file_that_passes_the_check_in_any_directory_and_on_any_branch() {
    let home = tempfile::tempdir().unwrap();
    let package = r#"{"scripts": {"test": "mocha \"a b\""}}"#;
    for (name, branch, file, text, test, key) in [
        ("my shop", "trunk", "Cargo.toml", "", "cargo test", "MYSHOP"),
        ("проект", "ветка", "package.json", package, "npm test", "PROEKT"),
        ("a\"b'c", "main", "go.mod", "module x\n", "go test ./...", "ABC"),
        ("2048", "release/1.x", "test.sh", "", "sh test.sh", "APP"),
    ] {
        let dir = home.path().join(name);
        repository(&dir, branch, &[(file, text)]);
        let made = orch_in(&dir, &[], &["init"]);
        assert_eq!(made.code, 0, "{}", made.err);
        let checked = orch_in(&dir, &[], &["config", "check"]);
        assert_eq!((checked.code, checked.out.as_str(), checked.err.as_str()), (0, "ok: orch.toml, 1 project\n", ""));
        let shown = orch_in(&dir, &[], &["project", "show", key, "--json"]);
        let project: Value = serde_json::from_str(&shown.out).unwrap();
        assert_eq!((&project["default_branch"], &project["test"]), (&json!(branch), &json!(test)));
        let whole = dir.canonicalize().unwrap();
        assert_eq!(project["repo"], json!(whole));
        assert!(project["approvers"][0].as_str().unwrap().starts_with("local:"));
        assert_eq!(project["starters"], project["approvers"]);
        // The state is no business of the clone's.
        let values = orch_in(&dir, &[], &["config", "explain", "db.path"]).out;
        let name = made.out.lines().find_map(|l| l.trim().strip_prefix("instance: ")?.split(',').next()).unwrap();
        assert!(values.contains(&format!("/nowhere/state/orch/{name}/orch.db")), "{values}");
        assert!(!std::fs::read_to_string(dir.join("orch.toml")).unwrap().contains(".orch-state"));
        assert!(!dir.join(".gitignore").exists());
    }
}

#[test]
fn init_never_writes_over_a_file_and_leaves_nothing_half_made() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("shop");
    repository(&dir, "main", &[("Makefile", "build:\n\ttrue\ntest: build\n\ttrue\n"), ("orch.toml", "mine\n")]);
    let refused = orch_in(&dir, &[], &["init"]);
    assert_eq!(refused.code, 2);
    assert!(refused.err.contains("exists already: it is left as it is"), "{}", refused.err);
    assert_eq!(std::fs::read_to_string(dir.join("orch.toml")).unwrap(), "mine\n");

    std::fs::remove_file(dir.join("orch.toml")).unwrap();
    std::fs::create_dir(dir.join("src")).unwrap();
    let made = orch_in(&dir.join("src"), &[], &["init"]);
    assert_eq!(made.code, 0, "{}", made.err);
    assert!(made.out.contains("tests: `make test` (because of Makefile)"), "{}", made.out);
    let mut names: Vec<_> =
        std::fs::read_dir(&dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, [".git", "Makefile", "orch.toml", "src"]);

    let outside = orch_in(home.path(), &[], &["init"]);
    assert_eq!(outside.code, 2);
    assert!(outside.err.contains("not in the working tree of a git repository"), "{}", outside.err);
    assert!(!home.path().join("orch.toml").exists());
}

#[test]
fn without_tests_init_says_so_and_the_check_asks_for_a_decision() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("bare-bones");
    repository(&dir, "main", &[("Makefile", "tests := 1\n")]);
    let made = orch_in(&dir, &[], &["init"]);
    assert_eq!(made.code, 0, "{}", made.err);
    assert!(made.out.contains("tests: none found"), "{}", made.out);
    let checked = orch_in(&dir, &[], &["config", "check"]);
    assert_eq!(checked.code, 2);
    assert!(checked.err.contains("write `allow_untested = true`"), "{}", checked.err);
    let text = std::fs::read_to_string(dir.join("orch.toml")).unwrap();
    std::fs::write(dir.join("orch.toml"), text.replace("# allow_untested", "allow_untested")).unwrap();
    assert_eq!(orch_in(&dir, &[], &["config", "check"]).code, 0);
}

#[test]
fn the_default_branch_is_what_the_remote_says() {
    let home = tempfile::tempdir().unwrap();
    let (origin, clone) = (home.path().join("origin"), home.path().join("clone"));
    repository(&origin, "stable", &[]);
    git(home.path(), &["clone", "-q", "origin", "clone"]);
    git(&clone, &["switch", "-q", "-c", "feature/x"]);
    let made = orch_in(&clone, &[], &["init", "--json"]);
    assert_eq!(serde_json::from_str::<Value>(&made.out).unwrap()["default_branch"], "stable");
}

#[test]
fn a_clone_is_worked_on_where_it_comes_from_and_only_one_without_a_remote_is_copied() {
    let home = tempfile::tempdir().unwrap();
    let set_up = |name: &str, remotes: &[(&str, &str)]| {
        let dir = home.path().join(name);
        repository(&dir, "main", &[("test.sh", "true\n")]);
        for (remote, url) in remotes {
            git(&dir, &["remote", "add", remote, url]);
        }
        let made = orch_in(&dir, &[], &["init"]);
        assert_eq!(made.code, 0, "{}", made.err);
        let text = std::fs::read_to_string(dir.join("orch.toml")).unwrap();
        assert!(!text.contains("t0ken") && !made.out.contains("t0ken") && !made.err.contains("t0ken"), "{text}");
        let (config, _) = crate::config::Config::load(&dir.join("orch.toml"), &BTreeMap::new()).unwrap();
        let project = config.projects[0].clone();
        (project.forge, project.repo, text, made.out + &made.err)
    };
    let (forge, repo, ..) = set_up("alone", &[]);
    assert_eq!((forge.as_str(), repo), ("local", home.path().join("alone").display().to_string()));
    let (forge, repo, text, said) =
        set_up("github", &[("backup", "/srv/x.git"), ("origin", "https://anna:t0ken@github.com/o/r.git")]);
    assert_eq!((forge.as_str(), repo.as_str()), ("git", "https://github.com/o/r.git"));
    assert!(text.contains("# token_env = \"GITHUB_GIT_TOKEN\"") && said.contains("GITHUB_GIT_TOKEN"), "{text}\n{said}");
    let (forge, repo, text, _) = set_up("ssh", &[("origin", "git@example.org:o/r.git")]);
    assert_eq!((forge.as_str(), repo.as_str()), ("git", "git@example.org:o/r.git"));
    assert!(!text.contains("token_env"), "{text}");
    let (forge, _, _, said) = set_up("tea", &[("origin", "https://gitea.example.org/o/r.git")]);
    assert!(forge == "git" && said.contains("forge = \"gitea\"") && said.contains("later"), "{said}");
    // A relative path, of a remote of another name.
    let (forge, repo, ..) = set_up("path", &[("upstream", "../served.git")]);
    assert_eq!((forge.as_str(), repo), ("git", home.path().join("served.git").display().to_string()));
}

#[test]
fn config_errors_name_file_line_and_key_and_end_with_two() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("orch.toml"), "[server]\nlisen = 1\n").unwrap();
    std::fs::create_dir(dir.path().join("below")).unwrap();
    let wanted = "[server] unknown key `lisen`: did you mean `listen`?\n";
    let told = orch_in(dir.path(), &[], &["config", "check"]);
    assert_eq!((told.code, told.out.as_str(), told.err), (2, "", format!("orch.toml:2: {wanted}")));
    let from_below = orch_in(&dir.path().join("below"), &[], &["project", "list"]);
    assert_eq!((from_below.code, from_below.err.ends_with(wanted)), (2, true));
    let as_json = orch_in(dir.path(), &[], &["config", "check", "--json"]);
    let value: Value = serde_json::from_str(&as_json.out).unwrap();
    assert_eq!((as_json.code, &value["ok"], &value["problems"][0]["where"]), (2, &json!(false), &json!("line 2")));
    let none = tempfile::tempdir().unwrap();
    assert_eq!(orch_in(none.path(), &[], &["config", "check"]).code, 2);
}

#[test]
fn explain_says_what_a_key_means_and_where_its_value_comes_from() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("orch.toml"), "[reaper]\ndead_ticks = 5\n").unwrap();
    let by_key = orch_in(dir.path(), &[], &["config", "explain", "reaper.dead_ticks"]);
    assert_eq!(by_key.code, 0, "{}", by_key.err);
    for part in ["default  2", "env      ORCH_REAPER_DEAD_TICKS", "now      5 (line 2)"] {
        assert!(by_key.out.contains(part), "{part} in {}", by_key.out);
    }
    let env = [("ORCH_MAX_CONCURRENCY", "3")];
    let by_alias = orch_in(dir.path(), &env, &["config", "explain", "ORCH_MAX_CONCURRENCY"]);
    assert!(by_alias.out.contains("now      3 (environment ORCH_MAX_CONCURRENCY)"), "{}", by_alias.out);
    let later = orch_in(dir.path(), &[], &["config", "explain", "telegram.chat_id"]);
    assert!(later.out.contains("accepted, not used yet"), "{}", later.out);
    let table = orch_in(dir.path(), &[], &["config", "explain", "[merge]"]);
    assert!(table.out.contains("lock_timeout_s"), "{}", table.out);
    let wrong = orch_in(dir.path(), &[], &["config", "explain", "reaper.deadticks"]);
    assert_eq!(wrong.code, 2);
    assert!(wrong.err.contains("did you mean `reaper.dead_ticks`?"), "{}", wrong.err);
}

#[test]
fn reference_and_env_print_the_whole_list() {
    let dir = tempfile::tempdir().unwrap();
    assert!(orch_in(dir.path(), &[], &["config", "reference"]).out.contains("`dead_ticks`"));
    assert!(orch_in(dir.path(), &[], &["config", "env"]).out.contains("#ORCH_MAX_CONCURRENCY=1"));
    let all: Value = serde_json::from_str(&orch_in(dir.path(), &[], &["config", "reference", "--json"]).out).unwrap();
    assert_eq!(all.as_array().unwrap().len(), crate::config::reference::keys().len());
}

/// Status of each check of `doctor --json`.
fn doctor(cwd: &Path, env: &[(&str, &str)]) -> (u8, BTreeMap<String, String>) {
    let said = orch_in(cwd, env, &["doctor", "--json"]);
    let value: Value = serde_json::from_str(&said.out).unwrap();
    let checks = value["checks"].as_array().unwrap();
    let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
    for check in checks {
        assert!(check["status"] == "ok" || check["fix"].is_string(), "no fix: {check}");
    }
    (said.code, checks.iter().map(|c| (text(&c["name"]), text(&c["status"]))).collect())
}

#[test]
fn doctor_finds_what_is_wrong_and_ends_with_one() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("shop");
    repository(&dir, "main", &[("test.sh", "true\n")]);
    assert_eq!(doctor(&dir, &[]).1["configuration"], "fail");
    assert_eq!(orch_in(&dir, &[], &["init"]).code, 0);
    let port = free_port().to_string();
    let listen = format!("127.0.0.1:{port}");
    let text = std::fs::read_to_string(dir.join("orch.toml"))
        .unwrap()
        .replace("program = \"claude\"", "program = \"true\"")
        .replace("exec codex", "exec true");
    std::fs::write(dir.join("orch.toml"), &text).unwrap();
    let (code, checks) = doctor(&dir, &[("ORCH_SERVER_LISTEN", &listen)]);
    for name in [
        "git",
        "sh",
        "kernel pidfd",
        "process trees",
        "configuration",
        "data directory",
        "database",
        "port",
        "project SHOP",
    ] {
        assert_eq!(checks[name], "ok", "{name}");
    }
    assert_eq!(code, u8::from(checks.values().any(|s| s == "fail")));
    assert!(!Path::new("/nowhere").exists(), "the doctor changed something");

    // A file that is no database is said with the fix, and left as it is.
    let state = home.path().join("state").display().to_string();
    let name = text.lines().find_map(|l| l.strip_prefix("name = \"")?.strip_suffix('"')).unwrap();
    let place = home.path().join("state/orch").join(name);
    std::fs::create_dir_all(&place).unwrap();
    std::fs::write(place.join("orch.db"), "notes of mine, no database at all").unwrap();
    let (code, checks) = doctor(&dir, &[("ORCH_SERVER_LISTEN", &listen), ("XDG_STATE_HOME", &state)]);
    assert_eq!((code, checks["database"].as_str(), checks["instance"].as_str()), (1, "fail", "ok"));

    // Another program holds the port, the agent is gone, the branch is not there.
    let holder = std::net::TcpListener::bind(&listen).unwrap();
    let broken = text
        .replace("exec true", "exec no-such-agent")
        .replace("program = \"true\"", "program = \"no-such-agent\"")
        .replace("default_branch = \"main\"", "default_branch = \"gone\"");
    std::fs::write(dir.join("orch.toml"), broken).unwrap();
    let server = std::thread::spawn(move || {
        // Answers like something that is not orch.
        use std::io::{Read, Write};
        let (mut peer, _) = holder.accept().unwrap();
        let _ = peer.read(&mut [0; 1024]);
        let _ = peer.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}");
    });
    let (code, checks) = doctor(&dir, &[("ORCH_SERVER_LISTEN", &listen)]);
    server.join().unwrap();
    assert_eq!(code, 1);
    assert_eq!((checks["port"].as_str(), checks["project SHOP"].as_str()), ("fail", "fail"));
    assert!(checks.iter().any(|(name, status)| name.starts_with("agent ") && status == "fail"), "{checks:?}");
}

#[test]
fn doctor_knows_our_own_server() {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("orch.toml"), "").unwrap();
    let server = Server::start();
    let listen = server.url.trim_start_matches("http://").to_owned();
    let (_, checks) = doctor(home.path(), &[("ORCH_SERVER_LISTEN", &listen)]);
    assert_eq!(checks["port"], "ok");
}

#[test]
fn a_new_task_prints_its_id_and_carries_who_asks_and_a_key_of_its_own() {
    let server = Server::start();
    let said = server.orch(&["task", "new", "--project", "DEMO", "--title", "T", "--body", "B", "--start"]);
    assert_eq!((said.code, said.out.as_str(), said.err.as_str()), (0, "DEMO-7\n", ""));
    let first = server.last();
    assert_eq!(first.token, "Bearer sesame");
    assert!(first.actor.starts_with("local:") && first.actor.len() > 6, "{}", first.actor);
    let part = |name: &str| first.body[name].clone();
    assert_eq!(
        (part("project"), part("title"), part("body"), part("start")),
        (json!("DEMO"), json!("T"), json!("B"), json!(true))
    );
    server.orch(&["task", "new", "--project", "DEMO", "--title", "T"]);
    assert_ne!(server.last().body["key"], first.body["key"]);
    server.orch(&["task", "new", "--project", "DEMO", "--title", "T", "--key", "mine"]);
    assert_eq!(server.last().body["key"], "mine");
}

#[test]
fn exit_codes_tell_done_from_failed_from_wrong_from_unknown() {
    let server = Server::start();
    for (line, code, err) in [
        ("task show DEMO-1", 0, ""),
        ("task show DEMO-9", 1, ""),
        ("task show DEMO-9 --json", 1, ""),
        ("why DEMO-1", 0, ""),
        ("why DEMO-9", 1, ""),
        ("task show DEMO-404", 2, "orch: no task DEMO-404\n  do this\n"),
        ("approve DEMO-409", 1, "orch: DEMO-409 waits for no approval\n  do this\n"),
        ("task show DEMO-500", 3, "orch: the store does not answer\n  do this\n"),
        (
            "task show DEMO-401",
            2,
            "orch: the server answered 401 Unauthorized\n  set ORCH_URL to its address, and ORCH_TOKEN to the text of the \
             file `token` beside its database\n",
        ),
        ("queue", 0, ""),
        ("drain", 0, ""),
        ("pause", 0, ""),
        (
            "pause --project SHOP",
            1,
            "orch: 2 agents could not be stopped yet; `orch queue` shows them, `orch task cancel` ends one\n",
        ),
        ("resume", 0, ""),
        ("evidence DEMO-1", 0, ""),
    ] {
        let said = server.orch(&line.split(' ').collect::<Vec<_>>());
        assert_eq!((said.code, said.err.as_str()), (code, err), "{line}");
    }
}

#[test]
fn a_server_that_is_not_there_says_how_to_start_it() {
    let dir = tempfile::tempdir().unwrap();
    let url = format!("http://127.0.0.1:{}", free_port());
    let said = orch_in(dir.path(), &[("ORCH_URL", &url)], &["task", "list"]);
    assert_eq!((said.code, said.out.as_str()), (3, ""));
    assert_eq!(said.err, format!("orch: server at {url}/: cannot be reached\n  start it with `orch serve`\n"));
    let nonsense = orch_in(dir.path(), &[], &["queue", "--url", "nonsense"]);
    assert_eq!(nonsense.code, 2);
}

/// A data directory that a daemon owns which says it listens at `url`, with its token.
fn owned(dir: &Path, url: &str) -> orch_store::SqliteStore {
    std::fs::create_dir_all(dir).unwrap();
    std::fs::write(dir.join("token"), "from-file\n").unwrap();
    let options = orch_store::sqlite::OpenOptions {
        holder: format!("orch serve at {url}, since 2026-11-23T12:04:00Z"),
        ..orch_store::sqlite::OpenOptions::default()
    };
    orch_store::SqliteStore::open(dir.join("orch.db"), options).unwrap()
}

#[test]
fn on_the_same_machine_address_and_token_come_from_the_configuration() {
    let server = Server::start();
    let dir = tempfile::tempdir().unwrap();
    let listen = server.url.trim_start_matches("http://");
    let text = format!("[server]\nlisten = \"{listen}\"\n[db]\npath = \".orch/orch.db\"\n");
    std::fs::write(dir.path().join("orch.toml"), text).unwrap();
    std::fs::create_dir_all(dir.path().join(".orch/below")).unwrap();
    let _daemon = owned(&dir.path().join(".orch"), &server.url);
    let said = orch_in(&dir.path().join(".orch/below"), &[], &["task", "list", "--project", "D M", "--all"]);
    assert_eq!(said.code, 0, "{}", said.err);
    let seen = server.last();
    assert_eq!((seen.token.as_str(), seen.what.as_str()), ("Bearer from-file", "list project=D+M&all=true"));
    let lines: Vec<&str> = said.out.lines().collect();
    assert!(lines[0].starts_with("ID") && lines[1].starts_with("DEMO-1  review") && lines.len() == 3, "{}", said.out);
    let localhost = server.url.replace("127.0.0.1", "localhost");
    assert_eq!(orch_in(dir.path(), &[], &["task", "list", "--url", &localhost]).code, 0);
    assert_eq!(server.last().token, "Bearer from-file");
}

#[test]
fn the_token_goes_to_the_daemon_that_owns_its_directory_and_to_nobody_else() {
    let (server, trap) = (Server::start(), Server::start());
    let home = tempfile::tempdir().unwrap();
    let state = home.path().join("state");
    // A repository that somebody else wrote names an address of theirs, and leaves the database to be ours.
    let clone = home.path().join("clone");
    std::fs::create_dir_all(&clone).unwrap();
    let listen = trap.url.trim_start_matches("http://");
    let db = state.join("orch.db").display().to_string();
    let env = [("ORCH_DB_PATH", db.as_str())];
    std::fs::write(clone.join("orch.toml"), format!("[server]\nlisten = \"{listen}\"\n")).unwrap();
    std::fs::create_dir_all(&state).unwrap();
    std::fs::write(state.join("token"), "from-file\n").unwrap();
    // Our daemon is not there, and theirs is: it is asked, and shown nothing.
    orch_in(&clone, &env, &["task", "list"]);
    assert_eq!((trap.last().what.as_str(), trap.last().token.as_str()), ("list ", ""));
    orch_in(&clone, &[env[0], ("ORCH_TOKEN", "from-env")], &["task", "list"]);
    assert_eq!(trap.last().token, "", "the address is not this user's word");
    // Ours is there: it is asked, whatever the file says.
    let _daemon = owned(&state, &server.url);
    assert_eq!(orch_in(&clone, &env, &["task", "list"]).code, 0);
    assert_eq!(server.last().token, "Bearer from-file");
    orch_in(&clone, &[env[0], ("ORCH_TOKEN", "from-env")], &["task", "list"]);
    assert_eq!(server.last().token, "Bearer from-env");
    // Named by this user, another one gets what this user gives it, and never the file.
    orch_in(&clone, &env, &["task", "list", "--url", &trap.url]);
    assert_eq!(trap.last().token, "");
    orch_in(&clone, &[env[0], ("ORCH_TOKEN", "from-env")], &["task", "list", "--url", &trap.url]);
    assert_eq!(trap.last().token, "Bearer from-env");
}

#[test]
fn words_of_people_reach_the_server_as_they_were_said() {
    let server = Server::start();
    server.orch(&["approve", "DEMO-1", "--gate", "analysis-approved", "--comment", "fine by me"]);
    let seen = server.last();
    assert_eq!(seen.what, "approve DEMO-1");
    assert_eq!(seen.body, json!({ "gate": "check_analysis_approved", "comment": "fine by me" }));
    server.orch(&["reject", "DEMO-1"]);
    assert_eq!((server.last().what.as_str(), server.last().body), ("reject DEMO-1", json!({})));
    server.orch(&["answer", "DEMO-1", "use the old table"]);
    assert_eq!(server.last().body, json!({ "text": "use the old table" }));
    for verb in ["start", "cancel", "retry"] {
        let said = server.orch(&["task", verb, "DEMO-1"]);
        assert_eq!((said.code, server.last().what), (0, format!("{verb} DEMO-1")));
    }
    for way in ["deploy", "repair", "revert", "accept"] {
        let said = server.orch(&["task", "retry", "DEMO-1", "--as", way]);
        assert_eq!((said.code, server.last().body), (0, json!({ "as": way })));
    }
    let wrong = Cli::try_parse_from(["orch", "task", "retry", "DEMO-1", "--as", "undo"]).unwrap_err();
    assert_eq!(wrong.exit_code(), 2);
    let said = wrong.to_string();
    assert!(["deploy", "repair", "revert", "accept"].iter().all(|way| said.contains(way)), "{said}");
    // An identifier stays in its place in the path.
    server.orch(&["task", "show", "../queue"]);
    assert_eq!(server.last().what, "show ../queue");
}

#[test]
fn what_people_read_names_what_ends_the_wait() {
    let server = Server::start();
    let why = server.orch(&["why", "DEMO-1"]).out;
    assert!(why.starts_with("DEMO-1 waits for CI.\n") && why.contains("ends when  `build` reports"), "{why}");
    assert!(why.contains("orch logs DEMO-1"), "{why}");
    let show = server.orch(&["task", "show", "DEMO-1"]).out;
    assert!(show.contains("検査") && show.contains("waits for     CI since 19"), "{show}");
    let evidence = server.orch(&["evidence", "DEMO-1"]).out;
    assert!(evidence.contains("fail         check_ci_green") && evidence.contains("not checked"), "{evidence}");
    assert!(evidence.contains("staging: nothing to deploy") && evidence.contains("build"), "{evidence}");
    let queue = server.orch(&["queue"]).out;
    assert_eq!(
        queue,
        "0 running, 2 queued, 0 waiting for a time; 0 done, 0 failed, 0 cancelled so far\n\
         agent:claude is not asked before 2026-11-26T14:00:00Z: usage limit (3 jobs wait for it; then one tries first)\n\
         job 7-2 is of a kind this version does not know (`teleport`): it is kept for one that does\n"
    );
    let json: Value = serde_json::from_str(&server.orch(&["queue", "--json"]).out).unwrap();
    assert_eq!(json["counts"]["queued"], 2);
}

#[test]
fn a_log_is_copied_byte_for_byte_and_followed_to_its_end() {
    let server = Server::start();
    let said = server.orch(&["logs", "DEMO-1", "-f", "--run", "2"]);
    assert_eq!((said.code, said.out.as_str()), (0, "schön\nfertig\n"), "{}", said.err);
    let server = Server::start();
    let once = server.orch(&["logs", "DEMO-1"]);
    assert_eq!((once.code, once.out.as_str()), (0, "schön\nfertig\n"));
    // The task is blocked, so following ends with its newest run.
    let server = Server::start();
    let blocked = server.orch(&["logs", "DEMO-9", "-f"]);
    assert_eq!((blocked.code, blocked.err.as_str()), (0, "--- DEMO-9 run 2 ---\n"));
}

#[test]
fn what_is_not_in_this_machine_is_not_made_up() {
    let dir = tempfile::tempdir().unwrap();
    let said = orch_in(dir.path(), &[], &["project", "list"]);
    assert_eq!(said.code, 2);
    assert!(said.err.contains("orch init"), "{}", said.err);
}
