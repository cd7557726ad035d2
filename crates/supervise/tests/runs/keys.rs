//! Keys of a program: it gets them, and nobody else.

use crate::place::Place;
use orch_ports::Secret;
use orch_ports::supervisor::{EndReason, Keys, RunSpec, RunState, files};
use std::collections::BTreeMap;
use std::fs;

const KEY: &str = "sk-canary-of-the-supervisor-4711";

fn keyed(place: &Place, script: &str) -> RunSpec {
    let keys = BTreeMap::from([("CANARY".to_owned(), Secret::new(KEY))]);
    RunSpec { keys: Keys::new(keys), ..place.script(script) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_reaches_its_program_and_no_file_no_command_line_and_no_other_environment() {
    let place = Place::new();
    let spec = keyed(&place, "printf %s \"$CANARY\" | tr a-z A-Z; touch up; until [ -e go ]; do sleep 0.01; done");
    place.begin(&spec).await;
    // The supervisor of a run that lives shows it to nobody.
    let supervisor = place.supervisor().as_raw_nonzero();
    for what in ["environ", "cmdline"] {
        let text = fs::read(format!("/proc/{supervisor}/{what}")).unwrap();
        assert!(!String::from_utf8_lossy(&text).contains(KEY), "{what}");
    }
    fs::write(place.work.join("go"), "").unwrap();
    assert!(place.ensure(&spec).await.unwrap().ok());
    assert_eq!(place.stdout(), KEY.to_uppercase());
    let written: Vec<String> = fs::read_dir(&place.dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|file| file.is_file() && String::from_utf8_lossy(&fs::read(file).unwrap()).contains(KEY))
        .map(|file| file.display().to_string())
        .collect();
    assert!(written.is_empty(), "{written:?}");
    let kept: RunSpec = serde_json::from_slice(&fs::read(place.dir.join(files::SPEC)).unwrap()).unwrap();
    assert_eq!(kept.keys.values(), Err("CANARY"), "the name is kept, so that who starts it knows what to bring");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_not_started_without_its_keys_and_adopted_without_them() {
    let place = Place::new();
    let spec = keyed(&place, "touch up; until [ -e go ]; do sleep 0.01; done; printf %s \"${CANARY#sk-}\"");
    let json = serde_json::to_string(&spec).unwrap();
    assert!(!json.contains(KEY), "{json}");
    let nameless: RunSpec = serde_json::from_str(&json).unwrap();
    let fault = place.ensure(&nameless).await.unwrap_err();
    assert!(fault.is_transient() && fault.text.contains("CANARY"), "{fault}");
    assert_eq!(place.state(), RunState::Absent, "nothing was begun");

    let mut filled = nameless.clone();
    filled.keys.fill(BTreeMap::from([
        ("CANARY".to_owned(), Secret::new(KEY)),
        ("OTHER".to_owned(), Secret::new("not-asked-for")),
    ]));
    place.begin(&filled).await;
    fs::write(place.work.join("go"), "").unwrap();
    // A daemon that was started meanwhile knows only what is written down.
    assert!(place.ensure(&nameless).await.unwrap().ok());
    assert_eq!(place.stdout(), KEY.trim_start_matches("sk-"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_supervisor_that_was_started_without_the_keys_starts_nothing() {
    let place = Place::new();
    fs::create_dir_all(&place.dir).unwrap();
    let spec = keyed(&place, "touch up");
    fs::write(place.dir.join(files::SPEC), serde_json::to_vec(&spec).unwrap()).unwrap();
    // By hand, or by a daemon that died before it had handed them over.
    let run = |keys: &str| {
        let mut command = std::process::Command::new(crate::place::EXE);
        command.arg("supervise").arg(&place.dir).stdin(std::process::Stdio::piped());
        if !keys.is_empty() {
            command.env("ORCH_RUN_KEYS", "stdin");
        }
        let mut child = command.stderr(std::process::Stdio::null()).spawn().unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), keys.as_bytes()).unwrap();
        child.wait().unwrap().code()
    };
    assert_eq!(run("{\"CANARY\": \"sk-can"), Some(2));
    assert_eq!(place.state(), RunState::Absent, "it can be asked for again");
    assert_eq!(run(""), Some(0));
    let RunState::Ended(exit) = place.state() else { panic!("it has no record") };
    assert_eq!(exit.reason, EndReason::SpawnFailed);
    assert!(exit.error.unwrap().contains("CANARY"));
    assert!(!place.work.join("up").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_may_get_its_keys_on_its_input_and_then_no_environment_has_them() {
    let place = Place::new();
    let script = "cat | tr a-z A-Z; tr '\\0' '\\n' </proc/$$/environ >environ; cat >again; [ -z \"${CANARY:-}\" ]";
    let spec = RunSpec { keys_on_stdin: true, ..keyed(&place, script) };
    assert!(place.ensure(&spec).await.unwrap().ok());
    assert_eq!(place.stdout(), format!("{{\"CANARY\":\"{KEY}\"}}").to_uppercase());
    let environ = fs::read_to_string(place.work.join("environ")).unwrap();
    assert!(environ.contains("ORCH_RUN_MARKER=") && !environ.contains(KEY), "{environ}");
    assert_eq!(fs::read_to_string(place.work.join("again")).unwrap(), "", "it is said once");
    let kept = fs::read_to_string(place.dir.join(files::SPEC)).unwrap();
    assert!(kept.contains("keys_on_stdin") && !kept.contains(KEY), "{kept}");
}
