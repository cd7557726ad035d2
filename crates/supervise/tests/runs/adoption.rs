//! Runs whose supervisor or whose caller dies: found again, started once, never twice.

use crate::place::{EXE, Place, pid, process_exists};
use orch_core::verdict::FaultKind;
use orch_ports::supervisor::{EndReason, RunState, Supervisor, files};
use orch_supervise::{ProcessSupervisor, exit_codes, sweep};
use std::fs;

/// Leaves a line per start, so that a second start cannot hide.
const COUNTED: &str = "echo x >>starts; touch up; while [ ! -e go ]; do sleep 0.01; done; exit 5";

#[tokio::test]
async fn a_lost_run_is_swept_and_reported_and_never_started_again() {
    let place = Place::new();
    let spec = place.script(COUNTED);
    place.begin(&spec).await;
    place.kill_supervisor().await;
    assert_eq!(place.state(), RunState::Lost);
    assert!(!place.survivors().is_empty(), "the program outlives its supervisor, that is the point");

    let fault = place.ensure(&spec).await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::Transient);
    assert!(fault.text.contains("its supervisor died without an exit record"), "{fault}");
    assert_eq!(fault.code, orch_core::fault_code::FaultCode::Lost);
    place.assert_empty();

    fs::write(place.work.join("go"), "").unwrap();
    assert!(place.ensure(&spec).await.is_err(), "lost once is lost for ever");
    assert_eq!(place.supervise_by_hand(), exit_codes::LOST);
    assert_eq!(place.state(), RunState::Lost);
    assert_eq!(place.worked("starts"), "x\n");
    assert!(!place.dir.join(files::EXIT).exists());
}

#[tokio::test]
async fn a_supervisor_started_on_a_lost_run_sweeps_it() {
    let place = Place::new();
    place.begin(&place.script(COUNTED)).await;
    place.kill_supervisor().await;
    assert_eq!(place.supervise_by_hand(), exit_codes::LOST);
    place.assert_empty();
    assert_eq!(place.worked("starts"), "x\n");
}

#[tokio::test]
async fn an_intent_to_spawn_without_a_child_counts_as_a_spawn() {
    let place = Place::new();
    let spec = place.script(COUNTED);
    place.write_spec(&serde_json::to_vec(&spec).unwrap());
    let pids = r#"{"boot_id":"another","supervisor":{"pid":1,"start_ticks":1},"leads_session":true,"child":null}"#;
    fs::write(place.dir.join(files::PIDS), pids).unwrap();
    assert_eq!(place.state(), RunState::Lost);
    assert!(place.ensure(&spec).await.unwrap_err().is_transient());
    assert_eq!(place.worked("starts"), "");
}

#[tokio::test]
async fn a_daemon_does_not_hold_the_lock_of_its_dead_supervisor_and_is_swept_by_its_marker() {
    let place = Place::new().without_cgroups();
    let daemon = "(setsid sh -c 'touch up; exec sleep 100' &) ; exec sleep 100";
    place.begin(&place.script(daemon)).await;
    place.until("only the two are left", || place.survivors().len() == 2).await;
    place.kill_supervisor().await;
    assert_eq!(place.state(), RunState::Lost, "a held lock would say live");
    assert_eq!(sweep(&place.dir), 2);
    place.assert_empty();
    assert_eq!(sweep(&place.dir), 0);
}

#[tokio::test]
async fn after_a_lost_supervisor_a_child_without_marker_and_session_is_found_by_descent() {
    let place = Place::new().without_cgroups();
    place
        .begin(&place.script("setsid -w env -i /bin/sh -c 'echo 1 >up; exec /bin/sleep 100' >/dev/null 2>&1 & wait"))
        .await;
    place.kill_supervisor().await;
    assert!(sweep(&place.dir) > 0);
    place.assert_empty();
}

#[tokio::test]
async fn after_a_lost_supervisor_an_orphan_without_marker_is_found_by_its_session() {
    let place = Place::new().without_cgroups();
    let script = "(env -i /bin/sh -c 'echo 1 >up; exec /bin/sleep 100' >/dev/null 2>&1 &) ; exec sleep 100";
    place.begin(&place.script(script)).await;
    place.until("only the two are left", || place.survivors().len() == 2).await;
    place.kill_supervisor().await;
    assert_eq!(sweep(&place.dir), 2);
    place.assert_empty();
}

#[tokio::test]
async fn after_a_lost_supervisor_the_last_orphan_without_marker_is_found_by_the_logs_it_holds() {
    let place = Place::new().without_cgroups();
    let script = "(env -i /bin/sh -c 'echo 1 >up; exec /bin/sleep 100' &) ; while [ ! -e go ]; do sleep 0.01; done";
    place.begin(&place.script(script)).await;
    place.kill_supervisor().await;
    fs::write(place.work.join("go"), "").unwrap();
    place.until("only the orphan is left", || place.survivors().len() == 1).await;
    assert_eq!(sweep(&place.dir), 1);
    place.assert_empty();
}

/// Each lives for a millisecond and is followed by the next: no scan of /proc shows who lives.
#[tokio::test]
async fn after_a_lost_supervisor_a_chain_that_forks_and_exits_without_end_is_caught() {
    for hop in ["[ -e stop ] || setsid sh ./hop & exit", "hop() { [ -e stop ] || (hop &) ; exit; }; hop"] {
        for _ in 0..5 {
            let place = Place::new().without_cgroups();
            fs::write(place.work.join("hop"), format!("{hop}\n")).unwrap();
            let spec = place.script("sh ./hop & touch up; while [ ! -e go ]; do sleep 0.01; done");
            place.begin(&spec).await;
            place.kill_supervisor().await;
            assert!(place.ensure(&spec).await.is_err());
            // Asked several times, because one look may miss it too.
            let missed = (0..50).any(|_| !place.survivors().is_empty());
            fs::write(place.work.join("stop"), "").unwrap();
            assert!(!missed, "{hop}: {}", place.log());
        }
    }
}

#[tokio::test]
async fn a_recycled_pid_is_never_hit() {
    let place = Place::new();
    let mut stranger = std::process::Command::new("sleep").arg("100").spawn().unwrap();
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    place.write_spec(b"{}");
    // The record names the stranger's pid as program and as supervisor, with the start times of the dead.
    let dead = serde_json::json!({"pid": stranger.id(), "start_ticks": 1});
    let pids = serde_json::json!({"boot_id": boot.trim(), "supervisor": dead, "leads_session": true, "child": dead});
    fs::write(place.dir.join(files::PIDS), pids.to_string()).unwrap();
    assert_eq!(sweep(&place.dir), 0);
    assert!(stranger.try_wait().unwrap().is_none(), "a stranger was killed");
    stranger.kill().unwrap();
    stranger.wait().unwrap();
}

#[tokio::test]
async fn a_dropped_future_leaves_the_run_to_whoever_comes_next() {
    let place = Place::new();
    let spec = place.script(COUNTED);
    place.begin(&spec).await;
    assert_eq!(sweep(&place.dir), 0, "a live run is not swept");
    let next = ProcessSupervisor::new(EXE.into());
    assert_eq!(next.look(&place.dir).unwrap(), RunState::Live);
    let (record, ()) = tokio::join!(next.ensure(&place.dir, &spec), async {
        fs::write(place.work.join("go"), "").unwrap();
    });
    let record = record.unwrap();
    assert_eq!(record.code, Some(5));
    assert_eq!(place.ensure(&spec).await.unwrap(), record, "everybody gets the same record");
    assert_eq!(place.worked("starts"), "x\n");
}

#[tokio::test]
async fn two_who_ensure_at_once_start_it_once() {
    for _ in 0..5 {
        let place = Place::new();
        let spec = place.script("echo x >>starts; sleep 0.05; exit 5");
        // Both through one port, and through two as after a restart that overlaps.
        let other = ProcessSupervisor::new(EXE.into());
        let (a, b, c) = tokio::join!(place.ensure(&spec), place.ensure(&spec), other.ensure(&place.dir, &spec));
        let a = a.unwrap();
        assert_eq!((a.reason, a.code), (EndReason::Exited, Some(5)));
        assert_eq!((b.unwrap(), c.unwrap()), (a.clone(), a));
        assert_eq!(place.worked("starts"), "x\n");
    }
}

#[tokio::test]
async fn a_second_supervisor_leaves_quietly() {
    let place = Place::new();
    let spec = place.script(COUNTED);
    place.begin(&spec).await;
    assert_eq!(place.supervise_by_hand(), exit_codes::HELD);
    fs::write(place.work.join("go"), "").unwrap();
    place.ensure(&spec).await.unwrap();
    assert_eq!(place.supervise_by_hand(), exit_codes::DONE);
    assert_eq!(place.worked("starts"), "x\n");
}

#[tokio::test]
async fn a_run_asked_for_but_never_started_is_started() {
    let place = Place::new();
    assert_eq!(place.state(), RunState::Absent);
    let spec = place.script("exit 6");
    place.write_spec(&serde_json::to_vec(&spec).unwrap());
    assert_eq!(place.state(), RunState::Absent, "nothing of it runs and nothing is to be swept");
    // The spec that is there is the one that counts.
    assert_eq!(place.run("exit 0").await.code, Some(6));
}

#[tokio::test]
async fn what_a_loss_of_power_leaves_of_a_request_or_a_record_costs_no_more_than_the_run() {
    for left in [&b""[..], &[0; 64]] {
        let place = Place::new();
        place.write_spec(left);
        assert_eq!(place.run("exit 6").await.code, Some(6), "it is asked for anew");
        fs::write(place.dir.join(files::EXIT), left).unwrap();
        assert_eq!(place.state(), RunState::Lost, "how it ended is not known");
        let fault = place.ensure(&place.script("exit 0")).await.unwrap_err();
        assert!(fault.is_transient() && fault.text.contains("without an exit record"), "{fault}");
    }
}

#[tokio::test]
async fn a_supervisor_that_never_takes_the_run_is_given_up_and_the_run_is_not_spoilt() {
    let place = Place::new();
    let spec = place.script("exit 5");
    let fault = ProcessSupervisor::new("/bin/false".into()).ensure(&place.dir, &spec).await.unwrap_err();
    assert!(fault.is_transient() && fault.text.contains("3 times"), "{fault}");
    let fault = ProcessSupervisor::new("/no/such/orch".into()).ensure(&place.dir, &spec).await.unwrap_err();
    assert!(fault.is_transient() && fault.text.contains("start supervisor /no/such/orch"), "{fault}");
    assert_eq!(place.ensure(&spec).await.unwrap().code, Some(5));
}

#[tokio::test]
async fn a_run_survives_the_runtime_and_the_port_that_started_it() {
    let place = Place::new();
    let spec = place.script(COUNTED);
    std::thread::scope(|threads| {
        threads.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let port = ProcessSupervisor::new(EXE.into());
            runtime.block_on(async {
                tokio::select! {
                    ended = port.ensure(&place.dir, &spec) => panic!("ended early: {ended:?}"),
                    () = place.until("it is up", || place.is_up()) => {}
                }
            });
        });
    });
    let (supervisor, program) = (place.supervisor(), pid(&place.pids()["child"]["pid"]));
    assert!(process_exists(supervisor) && process_exists(program));
    fs::write(place.work.join("go"), "").unwrap();
    assert_eq!(place.ensure(&spec).await.unwrap().code, Some(5));
    place.until("the supervisor is reaped", || !process_exists(supervisor)).await;
}
