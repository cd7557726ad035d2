//! Runs that are stopped: deadline, silence, cancel.

use crate::place::Place;
use orch_ports::supervisor::{EndReason, ExitRecord, PoliteSignal, RunState, Supervisor, files};
use rustix::process::Signal;
use std::fs;
use std::time::{Duration, Instant};

const KILLED: Option<i32> = Some(9);
/// Ignores SIGTERM and lives in a child too.
const STUBBORN: &str = "trap '' TERM; touch up; while :; do sleep 0.05; done";

fn end(record: &ExitRecord) -> (EndReason, Option<i32>, Option<i32>) {
    (record.reason, record.code, record.signal)
}

#[tokio::test]
async fn a_program_that_ignores_the_polite_signal_is_killed_at_its_deadline() {
    let place = Place::new();
    let mut spec = place.script(STUBBORN);
    (spec.deadline_ms, spec.grace_ms) = (200, 150);
    let begun = Instant::now();
    let record = place.ensure(&spec).await.unwrap();
    assert_eq!(end(&record), (EndReason::Deadline, None, KILLED));
    assert!(begun.elapsed() >= Duration::from_millis(350), "deadline and grace were cut short");
    assert!(record.ended.since_ms(record.started) < 3_000, "{record:?}");
    place.assert_empty();
}

#[tokio::test]
async fn a_program_that_tidies_up_within_its_grace_keeps_its_exit_code() {
    for (polite, name) in [(PoliteSignal::Term, "TERM"), (PoliteSignal::Int, "INT")] {
        let place = Place::new();
        let script = format!("trap 'echo tidied; exit 7' {name}; while :; do sleep 0.02; done");
        let mut spec = place.script(&script);
        (spec.deadline_ms, spec.grace_ms, spec.polite) = (150, 10_000, polite);
        let record = place.ensure(&spec).await.unwrap();
        assert_eq!(end(&record), (EndReason::Deadline, Some(7), None), "by SIG{name}");
        assert_eq!(place.stdout(), "tidied\n");
    }
}

#[tokio::test]
async fn silence_is_measured_from_the_last_byte() {
    let place = Place::new();
    let mut spec = place.script("for i in 1 2 3 4 5 6; do echo $i >&2; sleep 0.15; done; exec sleep 100");
    spec.silence_ms = Some(600);
    let record = place.ensure(&spec).await.unwrap();
    assert_eq!(end(&record), (EndReason::Silence, None, Some(Signal::TERM.as_raw())));
    assert_eq!(fs::read_to_string(place.dir.join(files::STDERR)).unwrap().lines().count(), 6, "cut while it spoke");
    assert!(record.ended.since_ms(record.started) >= 5 * 150 + 600, "{record:?}");
}

#[tokio::test]
async fn a_cancelled_run_says_so_and_is_gone() {
    let place = Place::new();
    let spec = place.script(STUBBORN);
    place.begin(&spec).await;
    assert_eq!(place.state(), RunState::Live);
    place.port.cancel(&place.dir).unwrap();
    assert_eq!(end(&place.ensure(&spec).await.unwrap()), (EndReason::Cancelled, None, KILLED));
    place.assert_empty();
}

#[tokio::test]
async fn sigterm_to_the_supervisor_is_a_cancel_and_terminal_signals_are_nothing() {
    let place = Place::new();
    let spec = place.script("trap '' HUP; touch up; while :; do sleep 0.02; echo tick; done");
    place.begin(&spec).await;
    for signal in [Signal::INT, Signal::HUP, Signal::QUIT] {
        place.signal_supervisor(signal);
    }
    let ticks = || fs::metadata(place.dir.join(files::STDOUT)).unwrap().len();
    let before = ticks();
    place.until("it goes on", || ticks() > before + 50).await;
    assert_eq!(place.state(), RunState::Live);
    place.signal_supervisor(Signal::TERM);
    assert_eq!(end(&place.ensure(&spec).await.unwrap()), (EndReason::Cancelled, None, Some(Signal::TERM.as_raw())));
}

#[tokio::test]
async fn a_run_that_is_not_live_is_left_as_it_is_by_a_cancel() {
    let place = Place::new();
    place.port.cancel(&place.dir).unwrap();
    assert!(!place.dir.exists());
    let record = place.run("exit 4").await;
    place.port.cancel(&place.dir).unwrap();
    assert_eq!(place.state(), RunState::Ended(record));
    assert!(!place.dir.join(files::CANCEL).exists());
}

#[tokio::test]
async fn a_cancel_that_comes_before_the_spawn_prevents_it() {
    let place = Place::new();
    fs::create_dir_all(&place.dir).unwrap();
    fs::write(place.dir.join(files::CANCEL), "").unwrap();
    let record = place.run("touch started").await;
    assert_eq!(end(&record), (EndReason::Cancelled, None, None));
    assert!(!place.work.join("started").exists());
}

#[tokio::test]
async fn the_programs_end_is_noticed_long_before_the_next_look() {
    // Five programs of 50 ms each. The port's own look every 200 ms would find each end 150 ms late.
    let begun = Instant::now();
    for _ in 0..5 {
        assert!(Place::new().run("sleep 0.05").await.ok());
    }
    assert!(begun.elapsed() < Duration::from_secs(1), "took {:?}", begun.elapsed());
}

#[tokio::test]
async fn a_loud_program_is_cut_in_the_middle_and_its_end_is_kept() {
    let mut place = Place::new();
    place.port = place.port.clone().keeping(100_000);
    // Not a line end in it, and more than any pipe holds.
    let record = place.run("head -c 3000000 /dev/zero | tr '\\0' x; echo; echo the end; echo 'and here' >&2").await;
    assert!(record.ok(), "{record:?}");
    let log = place.stdout();
    assert!(log.len() < 101_000, "{} bytes", log.len());
    assert!(log.starts_with("xxxx") && log.ends_with("x\nthe end\n"), "{}", &log[log.len() - 100..]);
    assert!(log.contains("of 3000009 bytes are left out here"), "the log does not say so");
    assert_eq!(fs::read_to_string(place.dir.join(files::STDERR)).unwrap(), "and here\n");
    place.assert_empty();
}

#[tokio::test]
async fn a_program_that_never_stops_talking_still_meets_its_deadline() {
    let mut place = Place::new();
    place.port = place.port.clone().keeping(10_000);
    let mut spec = place.script("exec yes");
    (spec.deadline_ms, spec.grace_ms, spec.silence_ms) = (300, 200, Some(250));
    let record = place.ensure(&spec).await.unwrap();
    assert_eq!(record.reason, EndReason::Deadline, "talking is no silence: {record:?}");
    assert!(fs::metadata(place.dir.join(files::STDOUT)).unwrap().len() < 11_000);
    place.assert_empty();
}
