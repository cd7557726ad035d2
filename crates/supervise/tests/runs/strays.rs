//! Trees that do not want to end with their program, while their supervisor lives.

use crate::place::Place;
use orch_ports::supervisor::{EndReason, RunSpec, RunState, Supervisor};
use std::fs;

/// A daemon by the book: own session, double fork, no descriptor of ours, parent gone.
const DAEMON: &str = "(setsid sh -c 'echo $$ >daemon; exec sleep 100' </dev/null >/dev/null 2>&1 &) ;";

#[tokio::test]
async fn a_daemon_left_behind_by_a_good_exit_is_swept_and_counted() {
    for place in Place::both() {
        let record = place.run(&format!("{DAEMON} while [ ! -s daemon ]; do sleep 0.01; done; exit 0")).await;
        assert!(record.ok());
        assert_eq!(record.strays, 1);
        place.assert_empty();
    }
}

#[tokio::test]
async fn a_service_in_a_session_of_its_own_is_left_alone_where_that_is_asked_for_and_nothing_else_is() {
    for place in Place::both() {
        let script =
            format!("{DAEMON} sleep 100 & echo $! >attached; while [ ! -s daemon ]; do sleep 0.01; done; exit 0");
        let record = place.ensure(&RunSpec { detach: true, ..place.script(&script) }).await.unwrap();
        assert_eq!((record.ok(), record.strays), (true, 1), "what stayed in the program's session is ended");
        let pid = |file: &str| place.worked(file).trim().to_owned();
        let lives = |pid: &str| fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|s| !s.contains(") Z "));
        assert!(lives(&pid("daemon")), "{}", place.log());
        assert!(!lives(&pid("attached")));
        assert!(place.log().contains("left 1 processes alone"), "{}", place.log());
        assert!(std::process::Command::new("kill").args(["-9", &pid("daemon")]).status().unwrap().success());
        place.until("it is gone", || !lives(&pid("daemon"))).await;
        place.assert_empty();
    }
}

/// Each is counted, the one included that had ended between two looks at who is there.
#[tokio::test]
async fn everything_that_is_ended_beside_a_service_is_counted() {
    let script = format!(
        "{DAEMON} i=0; while [ $i -lt 100 ]; do sleep 100 & i=$((i+1)); done; \
         while [ ! -s daemon ]; do sleep 0.01; done; exit 0"
    );
    for place in Place::both() {
        let record = place.ensure(&RunSpec { detach: true, ..place.script(&script) }).await.unwrap();
        assert_eq!((record.ok(), record.strays), (true, 100), "{}", place.log());
        let pid = place.worked("daemon").trim().to_owned();
        assert!(std::process::Command::new("kill").args(["-9", &pid]).status().unwrap().success());
        place.until("it is gone", || place.survivors().is_empty()).await;
    }
}

#[tokio::test]
async fn a_service_that_is_left_alone_can_go_on_printing() {
    let place = Place::new();
    let script = "setsid sh -c 'echo $$ >daemon; while :; do echo tick; sleep 0.02; done' & \
                  while [ ! -s daemon ]; do sleep 0.01; done; exit 0";
    assert!(place.ensure(&RunSpec { detach: true, ..place.script(script) }).await.unwrap().ok());
    // Its supervisor is gone: what it prints into must not have gone with it.
    let ticks = || place.stdout().lines().count();
    let before = ticks();
    place.until("it prints on", || ticks() > before + 3).await;
    let pid = place.worked("daemon").trim().to_owned();
    assert!(std::process::Command::new("kill").args(["-9", &pid]).status().unwrap().success());
    place.until("it is gone", || !std::path::Path::new("/proc").join(&pid).exists()).await;
}

#[tokio::test]
async fn a_program_that_is_cut_short_leaves_nothing_even_where_it_may_leave_a_service() {
    for place in Place::both() {
        let spec = RunSpec {
            detach: true,
            ..place.script(&format!("{DAEMON} while [ ! -s daemon ]; do sleep 0.01; done; touch up; sleep 100"))
        };
        place.begin(&spec).await;
        place.port.cancel(&place.dir).unwrap();
        let record = place.ensure(&spec).await.unwrap();
        assert_eq!(record.reason, EndReason::Cancelled);
        place.assert_empty();
    }
}

#[tokio::test]
async fn a_process_that_cleared_its_environment_is_found_by_descent() {
    for place in Place::both() {
        let escape =
            "setsid env -i /bin/sh -c 'echo 1 >up; while :; do /bin/sleep 100; done' </dev/null >/dev/null 2>&1 &";
        let record = place.run(&format!("{escape} while [ ! -s up ]; do sleep 0.01; done; exit 0")).await;
        assert!(record.ok());
        assert!((1..=2).contains(&record.strays), "the shell and perhaps its sleep: {record:?}");
        place.assert_empty();
    }
}

#[tokio::test]
async fn a_tree_that_winds_down_by_itself_has_no_strays() {
    let place = Place::new();
    let record = place.run("(sleep 0.01; echo late) & exit 0").await;
    assert_eq!((record.ok(), record.strays), (true, 0));
    assert_eq!(place.stdout(), "late\n");
}

#[tokio::test]
async fn a_limit_kills_every_session_of_the_tree() {
    for place in Place::both() {
        let script = "i=0; while [ $i -lt 40 ]; do setsid sh -c 'trap \"\" TERM; sleep 100; :' & i=$((i+1)); done;
        touch up; wait";
        let spec = place.script(script);
        place.begin(&spec).await;
        place.until("all are there", || place.survivors().len() > 80).await;
        place.port.cancel(&place.dir).unwrap();
        let record = place.ensure(&spec).await.unwrap();
        assert_eq!(record.reason, EndReason::Cancelled);
        assert!(record.strays >= 40, "{record:?}");
        place.assert_empty();
    }
}

#[tokio::test]
async fn a_stopped_process_is_killed_too() {
    for place in Place::both() {
        let record =
            place.run("(echo 1 >up; kill -STOP $(sh -c 'echo $PPID')) & while [ ! -s up ]; do sleep 0.01; done").await;
        assert_eq!((record.ok(), record.strays), (true, 1));
        place.assert_empty();
    }
}

/// A chain that forks, leaves its session and exits, without end: no scan of /proc ever shows who lives.
#[tokio::test]
async fn a_process_that_forks_and_exits_without_end_is_caught() {
    let hops = ["setsid sh ./hop & exit", "hop() { (hop &) ; exit; }; hop"];
    for (hop, place) in hops.iter().flat_map(|hop| Place::both().map(|place| (hop, place))) {
        fs::write(place.work.join("hop"), format!("{hop}\n")).unwrap();
        let spec = place.script("sh ./hop & touch up; sleep 0.1; exit 0");
        let record = place.ensure(&spec).await.unwrap();
        assert!(record.ok(), "{record:?}");
        assert_eq!(place.state(), RunState::Ended(record.clone()));
        assert!(record.ended.since_ms(record.started) < 3_000, "{hop}: {record:?}");
        place.assert_empty();
    }
}

/// Doubles at every step, all in one group, cut off by a limit on its depth so that a failure does no harm.
#[tokio::test]
async fn a_fork_storm_is_ended() {
    for place in Place::both() {
        let script = "storm() { [ $1 -gt 0 ] && { storm $(($1-1)) & storm $(($1-1)) & } ; sleep 100; }; storm 7 & touch up; wait";
        let spec = place.script(script);
        place.begin(&spec).await;
        place.until("it rages", || place.survivors().len() > 30).await;
        place.port.cancel(&place.dir).unwrap();
        let record = place.ensure(&spec).await.unwrap();
        assert_eq!(record.reason, EndReason::Cancelled);
        assert!(record.ended.since_ms(record.started) < 5_000, "{record:?}");
        place.assert_empty();
    }
}
