//! Runs that were started by another process and another release: log, deadline, silence limit and cancel are theirs
//! still. The files are spelt out as the first release wrote them; they may never become unreadable.

use crate::place::{EXE, Place, pid, process_exists};
use orch_ports::supervisor::{EndReason, RunState, Supervisor, files};
use orch_supervise::ProcessSupervisor;
use std::fs;
use std::process::Command;

/// Speaks once, and again when it is told to; then lives for ever, deaf to SIGTERM.
const SCRIPT: &str = "trap '' TERM; echo x >>starts; echo before; touch up;
    while [ ! -e speak ]; do sleep 0.01; done; echo after; while :; do sleep 0.05; done";

/// `spec.json` as the first release wrote it.
fn first_spec(place: &Place, script: &str, deadline_ms: u64, silence: &str) -> String {
    let (work, path, script) = (place.work.display(), std::env::var("PATH").unwrap(), serde_json::json!(script));
    format!(
        r#"{{"argv": ["sh", "-c", {script}], "cwd": "{work}", "env": {{"PATH": "{path}"}}, "stdin": null,
            "deadline_ms": {deadline_ms}, "silence_ms": {silence}, "grace_ms": 100, "polite": "TERM"}}"#
    )
}

/// Starts the run the way an orch that is gone by now did: its supervisor is nobody's child here.
async fn begin_elsewhere(place: &Place, spec: &str) {
    place.write_spec(spec.as_bytes());
    let starter = format!("{EXE} supervise '{}' >'{}' 2>&1 &", place.dir.display(), place.dir.join("log").display());
    assert!(Command::new("sh").args(["-c", &starter]).status().unwrap().success());
    place.until("it is up", || place.dir.join(files::PIDS).exists() && place.is_up()).await;
}

/// `pids.json` as the first release wrote it.
fn rewrite_as_first_release(place: &Place) {
    let now = place.pids();
    let identity = |who: &str| format!(r#"{{"pid": {}, "start_ticks": {}}}"#, now[who]["pid"], now[who]["start_ticks"]);
    let text = format!(
        r#"{{"boot_id": {}, "supervisor": {}, "leads_session": {}, "child": {}}}"#,
        now["boot_id"],
        identity("supervisor"),
        now["leads_session"],
        identity("child")
    );
    fs::write(place.dir.join(files::PIDS), text).unwrap();
}

#[tokio::test]
async fn a_run_of_the_first_release_is_adopted_with_log_deadline_silence_and_cancel() {
    for (deadline_ms, silence, reason) in [
        (1_500, "null", EndReason::Deadline),
        (20_000, "700", EndReason::Silence),
        (20_000, "null", EndReason::Cancelled),
    ] {
        let place = Place::new();
        begin_elsewhere(&place, &first_spec(&place, SCRIPT, deadline_ms, silence)).await;
        rewrite_as_first_release(&place);
        assert_eq!(place.state(), RunState::Live);
        // Whoever adopts may ask for something else: the limits are those the run was started with.
        let mut asked = place.script("touch second");
        (asked.deadline_ms, asked.silence_ms) = (60_000, Some(60_000));
        let adopter = ProcessSupervisor::new("/an/exe/that/is/never/started".into());
        let (record, ()) = tokio::join!(adopter.ensure(&place.dir, &asked), async {
            fs::write(place.work.join("speak"), "").unwrap();
            place.until("it speaks on", || place.stdout() == "before\nafter\n").await;
            if reason == EndReason::Cancelled {
                adopter.cancel(&place.dir).unwrap();
            }
        });
        let record = record.unwrap();
        assert_eq!((record.reason, record.signal), (reason, Some(9)));
        let lived = record.ended.since_ms(record.started);
        match reason {
            EndReason::Deadline => assert!((1_500..8_000).contains(&lived), "{record:?}"),
            EndReason::Silence => assert!((700..8_000).contains(&lived), "{record:?}"),
            _ => assert!(lived < 8_000, "{record:?}"),
        }
        assert_eq!(place.worked("starts"), "x\n");
        assert!(!place.work.join("second").exists());
        place.assert_empty();
    }
}

#[tokio::test]
async fn a_run_of_the_first_release_that_is_lost_is_swept() {
    let place = Place::new();
    begin_elsewhere(&place, &first_spec(&place, SCRIPT, 20_000, "null")).await;
    let group = place.pids()["cgroup"].as_str().map(String::from);
    rewrite_as_first_release(&place);
    place.kill_supervisor().await;
    let fault = place.ensure(&place.script("touch second")).await.unwrap_err();
    assert!(fault.text.contains("its supervisor died without an exit record"), "{fault}");
    assert_eq!(fault.code, orch_core::fault_code::FaultCode::Lost);
    place.assert_empty();
    assert!(!place.work.join("second").exists());
    // Only because this release made a group and the story struck it out of the record.
    if let Some(group) = group {
        place.until("the group is gone", || fs::remove_dir(&group).is_ok()).await;
    }
}

#[tokio::test]
async fn what_a_later_release_adds_to_the_files_does_not_hide_the_run() {
    let place = Place::new();
    let spec = first_spec(&place, SCRIPT, 20_000, "null").replacen('{', r#"{"from_the_future": [1],"#, 1);
    begin_elsewhere(&place, &spec).await;
    let mut pids = place.pids();
    pids["from_the_future"] = 1.into();
    fs::write(place.dir.join(files::PIDS), pids.to_string()).unwrap();
    let supervisor = place.supervisor();
    place.port.cancel(&place.dir).unwrap();
    let record = place.ensure(&place.script("")).await.unwrap();
    assert_eq!(record.reason, EndReason::Cancelled);
    place.until("the supervisor is gone", || !process_exists(supervisor)).await;
}

#[tokio::test]
async fn whoever_adopts_hears_of_the_end_and_of_a_loss_at_once() {
    // By the fallback, a look every 200 ms, every end would be heard of 180 ms late. The fastest counts: on a loaded
    // machine the others say how loaded it is.
    let mut fastest = std::time::Duration::MAX;
    for lost in [false, true].repeat(5) {
        let place = Place::new();
        begin_elsewhere(&place, &first_spec(&place, "echo x >>starts; touch up; exec sleep 100", 20_000, "null")).await;
        let (adopter, asked) = (place.port.clone(), place.script(""));
        let program = pid(&place.pids()["child"]["pid"]);
        let dir = place.dir.clone();
        let waiting = tokio::spawn(async move {
            let ended = adopter.ensure(&dir, &asked).await;
            (ended, std::time::Instant::now())
        });
        // Long enough for the adopter to be in its wait; if it is not yet, the story is only easier.
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        let at = std::time::Instant::now();
        let hit = if lost { place.supervisor() } else { program };
        rustix::process::kill_process(hit, rustix::process::Signal::KILL).unwrap();
        let (ended, heard) = waiting.await.unwrap();
        assert_eq!(ended.is_err(), lost, "{ended:?}");
        if !lost {
            fastest = fastest.min(heard.saturating_duration_since(at));
        }
        place.assert_empty();
    }
    assert!(fastest < std::time::Duration::from_millis(150), "the fastest took {fastest:?}");
}
