//! The keys of agents, through the real binary: they reach the program, and nothing else of the machine learns them from orch,
//! however loudly the program says them.
#![allow(clippy::unwrap_used, reason = "test code outside of test functions")]

mod common;

use common::{Setup, World};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

const FILED: &str = "sk-canary-filed-Zm9v4711+bar/QUX";
const PASSED: &str = "pat_canary_passed_815XyZ0099abc";
/// What a terminal obeys, beside it.
const HOSTILE: &str = r"\033]52;c;aGk=\a\033[2J\302\2338m\342\200\256";

/// Every file below a directory, but what programs wrote themselves.
fn written_by_orch(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap().flatten() {
        let (path, kind) = (entry.path(), entry.file_type().unwrap());
        let name = entry.file_name().to_string_lossy().into_owned();
        if kind.is_dir() && !["home", "tmp"].contains(&name.as_str()) {
            written_by_orch(&path, found);
        } else if kind.is_file() && !["stdout.log", "stderr.log", "result.json", "exit.json"].contains(&name.as_str()) {
            found.push(path);
        }
    }
}

fn tells(text: &str) -> bool {
    // The middle of each: no half of one is told either.
    [&FILED[8..24], &PASSED[8..24], "c2stY2FuYXJ5LWZpbGVk"].iter().any(|part| text.contains(part))
}

#[test]
fn what_an_agent_says_of_its_keys_is_nowhere_but_in_its_own_output() {
    let agent = format!(
        r#"developer() {{
            [ "$FILED" = '{FILED}' ] && [ "$PASSED" = '{PASSED}' ] && echo "has both"
            printf '{HOSTILE}I was given %s and %s and %s\n' "$FILED" "$PASSED" "$(printf %s "$FILED" | base64)" >&2
            printf '{{"summary": "with %s", "question": null}}' "$FILED" > "$ORCH_RESULT_FILE"
            exit 1
        }}"#
    );
    let program = "env_file = \"keys.env\"\npass_env = [\"PASSED\"]".into();
    let mut world = World::new(&Setup { agent, program, ..Setup::default() });
    let file = world.repo.join("keys.env");
    fs::write(&file, format!("FILED='{FILED}'\n")).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    world.env.push(("PASSED", PASSED.into()));
    let said = world.orch(&["config", "check"]);
    assert!(said.code == 2 && said.err.contains("chmod 600") && !tells(&said.err), "{said:?}");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    world.orch(&["config", "check"]).ok();
    world.start();

    let id = world.task("Версия");
    let why = world.why_blocked(&id);
    assert!(why.contains("I was given *** and *** and ***"), "{why}");
    let runs = world.runs_of("developer");
    assert!(runs.iter().all(|run| run.out.contains("has both") && run.err.contains(FILED)), "{runs:?}");

    // Whatever is asked for, over HTTP and on the command line.
    for path in ["", "/why", "/evidence", "/journal", "/runs", "/runs/1/log", "/runs/1/log?stream=stderr"] {
        let (status, body) = world.http("GET", &format!("/api/v1/tasks/{id}{path}"), None, "").unwrap();
        assert!(status == 200 && !tells(&body), "{path}: {body}");
        assert!(!body.chars().any(orch_core::plain::is_hostile), "{path}: {body:?}");
    }
    for path in [format!("/tasks/{id}"), format!("/tasks/{id}/runs/1"), "/".into(), "/queue".into(), "/status".into()] {
        let (status, body) = world.http("GET", &path, None, "").unwrap();
        assert!(status == 200 && !tells(&body), "{path}: {body}");
        assert!(!body.chars().any(orch_core::plain::is_hostile), "{path}: {body:?}");
    }
    for line in ["why", "logs", "evidence", "task show"] {
        let said = world.orch(&line.split(' ').chain([id.as_str()]).collect::<Vec<_>>());
        let all = format!("{}{}", said.out, said.err);
        assert!(!tells(&all) && !all.chars().any(orch_core::plain::is_hostile), "{line}: {all:?}");
    }
    assert!(!tells(&world.log()), "{}", world.log());

    // Nor is it kept: database, tracker, forge, specifications, the brief of the next attempt.
    assert!(runs[1].prompt().contains("I was given ***"), "{}", runs[1].prompt());
    world.terminate();
    let mut files = Vec::new();
    written_by_orch(&world.data(), &mut files);
    assert!(files.iter().any(|f| f.ends_with("spec.json")) && files.iter().any(|f| f.ends_with("tracker.db")));
    for file in files {
        let text = fs::read(&file).unwrap();
        assert!(!tells(&String::from_utf8_lossy(&text)), "{}", file.display());
    }
}
