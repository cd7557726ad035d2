//! The sandbox, through the real binary and the real bubblewrap: what a hostile agent and a hostile test of its branch reach, and
//! what they may.
#![allow(clippy::unwrap_used, reason = "test code outside of test functions")]

mod common;

use common::{Setup, World};
use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;

/// True where nothing can be enclosed, and then that is said.
fn skipped() -> bool {
    let found = orch_sandbox::probe::probe(&std::env::var("PATH").unwrap_or_default());
    if found.kind != orch_sandbox::Kind::Off {
        return false;
    }
    let skipped = format!("skipped: needs bubblewrap (run scripts/tools.sh): {}\n", found.detail);
    // It can be installed everywhere; a machine that forbids it is what it is.
    let is_missing = found.detail.contains("not found on PATH");
    assert!(!is_missing || std::env::var_os("ORCH_NOTHING_SKIPPED").is_none(), "{skipped}");
    std::io::stdout().write_all(skipped.as_bytes()).unwrap();
    true
}

/// Shell lines that try a way each, and say which of them led somewhere. `$STATE`, `$OWN`, `$CHECKOUT`, `$PORT` and `$DAEMON` are put in.
const ATTACKS: &str = r#"
reached() { echo "REACHED $1"; }
cat "$STATE/token" 2>/dev/null && reached token
ls "$STATE" 2>/dev/null | grep -q db && reached databases
echo x 2>/dev/null > "$STATE/runs/planted"
ls "$STATE/runs" 2>/dev/null | grep -v planted | wc -l | grep -qx '[2-9]' && reached "other runs"
ls "$CHECKOUT/orch.toml" 2>/dev/null && reached configuration
cat "$CHECKOUT/keys.env" 2>/dev/null && reached keys
ls "$STATE/forge" 2>/dev/null && reached forge
cat "$OWN/private.txt" 2>/dev/null && reached "the home of the user"
ls -A /home 2>/dev/null | grep -q . && reached homes
cat /etc/shadow 2>/dev/null && reached shadow
grep -aq decoy /proc/*/environ 2>/dev/null && reached "the environment of the daemon"
[ -e "/proc/$DAEMON" ] && grep -aq serve "/proc/$DAEMON/cmdline" && reached "the daemon's process"
kill -0 "$DAEMON" 2>/dev/null && grep -aq serve "/proc/$DAEMON/cmdline" && reached "signals to the daemon"
bash -c "exec 3<>/dev/tcp/127.0.0.1/$PORT" 2>/dev/null && reached "the API"
bash -c 'exec 3<>/dev/tcp/1.1.1.1/80' 2>/dev/null && reached "the network"
echo x 2>/dev/null > /usr/planted && reached /usr
echo x 2>/dev/null > /etc/planted && reached /etc
echo x 2>/dev/null > /proc/sys/kernel/core_pattern && reached "the kernel's settings"
mount -t tmpfs none /usr 2>/dev/null && reached mounts
unshare -Ur true 2>/dev/null && reached "a namespace of its own"
"#;

fn attacks(world: &World) -> String {
    ATTACKS
        .replace("$STATE", &world.data().display().to_string())
        .replace("$OWN", &world.root.display().to_string())
        .replace("$CHECKOUT", &world.repo.display().to_string())
        .replace("$PORT", &world.port().to_string())
        .replace("$DAEMON", &world.pid().to_string())
}

fn sandboxed(setup: &Setup) -> World {
    let mut world = World::new(setup);
    world.env.push(("ORCH_SANDBOX_LEVEL", "bwrap".into()));
    world
}

#[test]
fn a_hostile_agent_and_a_hostile_test_reach_nothing_and_the_work_goes_on_all_the_same() {
    if skipped() {
        return;
    }
    let mut world = sandboxed(&Setup { program: "env_file = \"keys.env\"".into(), ..Setup::default() });
    let keys = world.repo.join("keys.env");
    fs::write(&keys, "KEY=canary-of-the-keys\n").unwrap();
    fs::set_permissions(&keys, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(world.root.join("private.txt"), "mine").unwrap();
    world.start();
    let attacks = attacks(&world);
    let test = r#"printf 'set +e\n%s\necho "the test is at its end"\n' "$ATTACKS" >> test.sh"#;
    world.agent(&format!(
        "ATTACKS=$(cat <<'ATTACKS_END'\n{attacks}\nATTACKS_END\n)\n\
         developer() {{ set +e\n{attacks}\nset -e; printf 'x\\n' >> \"$code\"; {test}; echo 'all was tried'; }}"
    ));
    let id = world.task("Версия");
    // A changed test is a person's matter; by then it has been run by CI and by the gate.
    world.wait(&id, &["awaiting_approval"]);
    let runs = world.runs();
    let tried: Vec<_> =
        runs.iter().filter(|r| r.out.contains("all was tried") || r.out.contains("the test is at its end")).collect();
    assert!(2 < tried.len(), "the developer, CI and the tests: {runs:#?}");
    for run in &runs {
        assert!(!run.out.contains("REACHED") && !run.err.contains("REACHED"), "{run:#?}");
    }
    assert!(!world.data().join("runs/planted").exists());
    let evidence = world.evidence(&id);
    let shown: Vec<&str> = evidence["runs"].as_array().unwrap().iter().filter_map(|r| r["sandbox"].as_str()).collect();
    assert!(!shown.is_empty() && shown.iter().all(|sandbox| *sandbox == "bwrap"), "{shown:?}");
    assert!(!evidence["not_checked"].to_string().contains("without a sandbox"), "{}", evidence["not_checked"]);
}

#[test]
fn a_host_that_is_named_is_reached_and_no_other_and_the_run_says_what_was_refused() {
    if skipped() {
        return;
    }
    let server = TcpListener::bind("127.0.0.2:0").unwrap();
    let port = server.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in server.incoming().flatten() {
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 12\r\n\r\nwhat it said");
        }
    });
    let ask = |host: &str| {
        format!(
            r#"bash -c 'proxy=${{http_proxy#http://}}; exec 3<>"/dev/tcp/${{proxy%:*}}/${{proxy#*:}}"; printf "GET http://{host}/ HTTP/1.0\r\n\r\n" >&3; cat <&3'"#
        )
    };
    let developer = format!(
        "developer() {{ {}; {}; printf 'x\\n' >> \"$code\"; }}",
        ask(&format!("127.0.0.2:{port}")),
        ask("evil.example:80")
    );
    let mut world = sandboxed(&Setup { agent: developer, ..Setup::default() });
    world.edit_config("[sandbox]\n", &format!("[sandbox]\nallow = [\"127.0.0.2:{port}\"]\n"));
    world.start();
    let id = world.task("Версия");
    world.wait(&id, &["done"]);
    let runs = world.runs_of("developer");
    let run = &runs[0];
    assert!(run.out.contains("what it said"), "{run:#?}");
    assert!(run.out.contains("evil.example:80 is not in [sandbox] `allow`"), "{run:#?}");
    assert!(run.err.contains("the sandbox refused evil.example:80"), "{run:#?}");
    let shown = world.evidence(&id)["runs"].to_string();
    assert!(shown.contains(&format!("bwrap; reaches 127.0.0.2:{port}")), "{shown}");
}

#[test]
fn what_would_open_the_instance_is_refused_and_off_is_a_word_that_is_shown() {
    let world = World::new(&Setup::default());
    let before = fs::read_to_string(world.config_file()).unwrap();
    let state = world.data();
    fs::create_dir_all(&state).unwrap();
    std::os::unix::fs::symlink(&state, world.root.join("link")).unwrap();
    for (line, says) in [
        (format!("allow_paths = [\"{}\"]", state.display()), "would open the state of the instance"),
        ("allow_paths = [\"/\"]".to_owned(), "would open the state of the instance"),
        (format!("allow_write_paths = [\"{}/runs\"]", state.display()), "would open the state of the instance"),
        (format!("allow_paths = [\"{}/link\"]", world.root.display()), "would open the state of the instance"),
        ("allow = [\"https://crates.io\"]".to_owned(), "is no name of a host"),
    ] {
        fs::write(world.config_file(), before.replace("[sandbox]\n", &format!("[sandbox]\n{line}\n"))).unwrap();
        let said = world.orch(&["config", "check"]);
        assert!(said.code == 2 && said.err.contains(says), "{line}: {said:#?}");
    }
    fs::write(world.config_file(), before.replace("[sandbox]\n", "[sandbox]\nlevel = \"off\"\n")).unwrap();
    let said = world.orch(&["doctor"]);
    assert!(said.out.contains("[sandbox] level = \"off\"") && said.out.contains("the API token"), "{said:#?}");
}

#[test]
fn a_run_that_is_stopped_is_asked_first_and_a_sandbox_that_cannot_be_made_is_no_verdict() {
    if skipped() {
        return;
    }
    let agent = "developer() { trap 'echo politely > \"$ORCH_OUT/said\"; exit 75' TERM; while :; do sleep 0.1; done; }";
    let setup = Setup { agent: agent.into(), program: "deadline_s = 2".into(), ..Setup::default() };
    let mut world = sandboxed(&setup);
    world.start();
    world.task("Версия");
    world.until("the agent says that it was asked", || {
        let runs = world.runs_of("developer");
        runs.iter()
            .find_map(|run| fs::read_to_string(run.dir.join("out/said")).ok())
            .filter(|said| said == "politely\n")
    });
    // Nothing enters: what ends behind the door is not what was to run.
    let socket = world.root.join("net.sock").display().to_string();
    let ended = world.orch(&["sandbox-door", "--socket", &socket, "--", "false"]);
    assert!(ended.code == 126 && ended.err.contains("the sandbox could not be made"), "{ended:?}");
}

#[test]
fn what_was_open_where_orch_was_started_is_not_open_in_a_run() {
    let world = World::new(&Setup::default());
    let line = format!(
        "exec 9</; exec {} sandbox-door --socket {}/net.sock -- readlink /proc/self/fd/9",
        env!("CARGO_BIN_EXE_orch"),
        world.root.display()
    );
    let output = std::process::Command::new("sh").args(["-c", &line]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "", "the root of the machine");
}
