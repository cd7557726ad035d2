//! How runs end by themselves, and what is recorded of it.

use crate::place::{Place, process_exists};
use orch_ports::supervisor::{EndReason, RunState, files};
use orch_supervise::exit_codes;
use rustix::process::Signal;
use std::fs;
use std::os::unix::fs::PermissionsExt;

#[tokio::test]
async fn an_exit_code_and_both_outputs_are_recorded() {
    let place = Place::new();
    let record = place.run("echo out; echo err >&2; exit 7").await;
    assert_eq!((record.reason, record.code, record.signal), (EndReason::Exited, Some(7), None));
    assert_eq!((record.strays, record.error.as_deref(), record.ok()), (0, None, false));
    assert!(record.started <= record.ended);
    assert_eq!(place.stdout(), "out\n");
    assert_eq!(fs::read_to_string(place.dir.join(files::STDERR)).unwrap(), "err\n");
    assert_eq!(place.state(), RunState::Ended(record));
}

#[tokio::test]
async fn a_program_that_dies_of_a_signal_has_no_code() {
    let place = Place::new();
    let record = place.run("kill -SEGV $$").await;
    assert_eq!((record.reason, record.code, record.signal), (EndReason::Exited, None, Some(Signal::SEGV.as_raw())));
}

#[tokio::test]
async fn a_missing_program_is_reported_by_name() {
    let place = Place::new();
    let mut spec = place.script("");
    spec.argv = vec!["no-such-program-anywhere".into()];
    let record = place.ensure(&spec).await.unwrap();
    assert_eq!((record.reason, record.code, record.signal), (EndReason::SpawnFailed, None, None));
    assert!(record.describe().contains("start no-such-program-anywhere: "), "{}", record.describe());
}

#[tokio::test]
async fn a_missing_directory_or_input_is_not_blamed_on_the_program() {
    let place = Place::new();
    let mut spec = place.script("true");
    spec.cwd = place.work.join("gone");
    let error = place.ensure(&spec).await.unwrap().error.unwrap();
    assert!(error.contains("work/gone is not there"), "{error}");

    let place = Place::new();
    let mut spec = place.script("true");
    spec.stdin = Some(place.work.join("no-input"));
    let error = place.ensure(&spec).await.unwrap().error.unwrap();
    assert!(error.contains("open its input") && error.contains("no-input"), "{error}");
}

#[tokio::test]
async fn a_spec_that_cannot_be_read_ends_the_run_before_it_starts() {
    for (text, hint) in [(&b"{\"argv\": [\"sh\"]"[..], "read spec.json"), (b"[]", "read spec.json")] {
        let place = Place::new();
        place.write_spec(text);
        let record = place.run("touch started").await;
        assert_eq!(record.reason, EndReason::SpawnFailed);
        assert!(record.error.as_deref().unwrap().contains(hint), "{record:?}");
        assert!(!place.work.join("started").exists());
    }
    let place = Place::new();
    let mut spec = place.script("");
    spec.argv.clear();
    assert!(place.ensure(&spec).await.unwrap().error.unwrap().contains("argv is empty"));
}

#[tokio::test]
async fn the_environment_is_the_specs_and_the_marker_and_nothing_else() {
    let place = Place::new();
    let mut spec = place.script("");
    spec.argv = vec!["env".into()];
    spec.env.insert("GREETING".into(), "two words".into());
    // By hand, from an environment with more in it.
    place.write_spec(&serde_json::to_vec(&spec).unwrap());
    assert_eq!(place.supervise_by_hand(), exit_codes::DONE);
    let mut lines: Vec<String> = place.stdout().lines().map(String::from).collect();
    lines.sort();
    let marker = format!("ORCH_RUN_MARKER={}", place.dir.display());
    assert_eq!(lines, ["GREETING=two words".into(), marker, format!("PATH={}", spec.env["PATH"])]);
}

#[tokio::test]
async fn of_the_run_directory_a_program_has_its_two_outputs_open_and_not_the_lock() {
    let place = Place::new();
    let input = place.work.join("input");
    fs::write(&input, "a question\n").unwrap();
    let mut spec = place.script("cat; for fd in /proc/$$/fd/*; do readlink $fd; done");
    spec.stdin = Some(input.clone());
    place.ensure(&spec).await.unwrap();
    let out = place.stdout();
    assert!(out.starts_with("a question\n"), "{out}");
    let mut open: Vec<&str> = out.lines().filter(|line| line.starts_with(place.root())).collect();
    open.sort_unstable();
    // Pipes whose names are gone: their other ends are the supervisor's.
    let pipe = |log| format!("{} (deleted)", place.dir.join(log).with_extension("pipe").display());
    let mut expected = [input.display().to_string(), pipe(files::STDOUT), pipe(files::STDERR)];
    expected.sort();
    assert_eq!(open, expected);
}

#[tokio::test]
async fn without_an_input_a_program_reads_the_end_at_once() {
    let place = Place::new();
    assert!(place.run("cat; echo done").await.ok());
    assert_eq!(place.stdout(), "done\n");
}

#[tokio::test]
async fn three_megabytes_of_output_are_kept() {
    let place = Place::new();
    assert!(place.run("head -c 3000000 /dev/zero; head -c 1500000 /dev/zero >&2").await.ok());
    assert_eq!(fs::metadata(place.dir.join(files::STDOUT)).unwrap().len(), 3_000_000);
    assert_eq!(fs::metadata(place.dir.join(files::STDERR)).unwrap().len(), 1_500_000);
}

#[tokio::test]
async fn a_run_directory_is_nobody_elses_and_its_supervisor_leaves_no_zombie() {
    let place = Place::new();
    place.run("true").await;
    for (path, mode) in [(place.dir.clone(), 0o700), (place.dir.join(files::SPEC), 0o600)] {
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, mode, "{}", path.display());
    }
    assert_eq!(place.pids()["leads_session"], true);
    let supervisor = place.supervisor();
    place.until("the supervisor is reaped", || !process_exists(supervisor)).await;
}

#[tokio::test]
async fn a_record_that_cannot_be_written_yet_is_written_later() {
    let place = Place::new();
    let spec = place.script("touch up; while [ ! -e go ]; do sleep 0.01; done; exit 3");
    place.begin(&spec).await;
    // Stands for a disk that is full for a while: the rename onto a directory fails.
    let obstacle = place.dir.join(files::EXIT);
    fs::create_dir(&obstacle).unwrap();
    fs::write(place.work.join("go"), "").unwrap();
    let log = place.dir.join("supervisor.log");
    let complained = || fs::read_to_string(&log).unwrap().contains("write exit.json");
    place.until("the supervisor has failed once", complained).await;
    assert_eq!(place.state(), RunState::Live, "it holds the lock while it tries");
    fs::remove_dir(&obstacle).unwrap();
    assert_eq!(place.ensure(&spec).await.unwrap().code, Some(3));
}
