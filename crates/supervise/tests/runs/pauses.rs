//! Runs that stand still: all of their tree, their limits with them, and they go on where they were.

use crate::place::Place;
use orch_ports::supervisor::{EndReason, ExitRecord, RunState, Supervisor};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// Processes in a session of their own and behind a double fork, and a program that ends with 3 once it may.
const TREE: &str = "setsid sh -c 'while :; do echo >> far; sleep 0.01; done' &
    sh -c '(sleep 100 & sleep 100 &)'; (setsid sleep 100 &)
    touch up; until test -e go; do echo .; sleep 0.01; done; exit 3";

/// State of a process, as the third field of its line in /proc has it.
fn state(pid: i32) -> char {
    let line = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    line.rsplit_once(')').and_then(|(_, rest)| rest.trim_start().chars().next()).unwrap_or('?')
}

impl Place {
    fn is_frozen(&self) -> bool {
        self.port.is_frozen(&self.dir).unwrap()
    }

    fn states(&self) -> Vec<char> {
        self.survivors().into_iter().map(state).collect()
    }

    /// Asks it to stand still and waits until it does. How long that took.
    async fn freeze(&self) -> Duration {
        let begun = Instant::now();
        self.port.freeze(&self.dir).unwrap();
        self.until("it stands", || self.is_frozen()).await;
        begun.elapsed()
    }

    async fn pass(&self, ms: u64) {
        let begun = Instant::now();
        self.until("time has passed", || Duration::from_millis(ms) <= begun.elapsed()).await;
    }
}

#[tokio::test]
async fn a_frozen_tree_stands_whole_and_goes_on_where_it_was() {
    let place = Place::new();
    let spec = place.script(TREE);
    place.begin(&spec).await;
    place.until("the far one lives", || !place.worked("far").is_empty() && 6 <= place.survivors().len()).await;
    place.freeze().await;
    let (far, said) = (place.worked("far").len(), place.stdout());
    let states = place.states();
    // A shell that has vforked sleeps in the kernel until its child is on its own, which stands: it takes its stop behind that.
    assert!(5 <= states.len() && states.iter().all(|s| matches!(s, 'T' | 'D')), "{states:?}");
    fs::write(place.work.join("go"), "").unwrap();
    place.pass(300).await;
    assert_eq!((place.worked("far").len(), place.stdout()), (far, said), "nothing was done meanwhile");
    assert_eq!(place.state(), RunState::Live);

    place.port.thaw(&place.dir).unwrap();
    let record = place.ensure(&spec).await.unwrap();
    assert_eq!((record.reason, record.code), (EndReason::Exited, Some(3)));
    assert!(!place.is_frozen());
    place.assert_empty();
}

#[tokio::test]
async fn limits_stand_still_with_the_run_and_what_was_left_of_them_is_left() {
    for reason in [EndReason::Deadline, EndReason::Silence] {
        let place = Place::new();
        let mut spec = place.script("touch up; sleep 100");
        match reason {
            EndReason::Deadline => spec.deadline_ms = 700,
            _ => spec.silence_ms = Some(700),
        }
        place.begin(&spec).await;
        place.freeze().await;
        place.pass(1_500).await;
        assert_eq!(place.state(), RunState::Live, "{reason:?} counted a pause");
        place.port.thaw(&place.dir).unwrap();
        let record = place.ensure(&spec).await.unwrap();
        assert_eq!(record.reason, reason);
        let lived = record.ended.since_ms(record.started);
        assert!((2_100..4_000).contains(&lived), "{reason:?} after {lived} ms");
    }
}

#[tokio::test]
async fn a_frozen_run_is_killed_when_it_is_cancelled_and_asked_nothing_before() {
    for place in Place::both() {
        let mut spec = place.script(&format!("trap 'touch asked' TERM; {TREE}"));
        spec.grace_ms = 20_000;
        place.begin(&spec).await;
        place.freeze().await;
        let begun = Instant::now();
        place.port.cancel(&place.dir).unwrap();
        let record = place.ensure(&spec).await.unwrap();
        assert_eq!((record.reason, record.signal), (EndReason::Cancelled, Some(9)));
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        assert!(!place.work.join("asked").exists());
        place.assert_empty();
    }
}

#[tokio::test]
async fn a_run_that_is_to_stand_still_before_it_begins_does_not_begin() {
    for cancelled in [false, true] {
        let place = Place::new();
        let spec = place.script("touch up; exit 4");
        fs::create_dir_all(&place.dir).unwrap();
        place.port.freeze(&place.dir).unwrap();
        let seen = async {
            place.until("its supervisor holds it back", || place.is_frozen()).await;
            place.pass(100).await;
            assert_eq!((place.state(), place.work.join("up").exists()), (RunState::Live, false));
            if cancelled {
                place.port.cancel(&place.dir).unwrap();
            } else {
                place.port.thaw(&place.dir).unwrap();
            }
        };
        let (record, ()) = tokio::join!(place.ensure(&spec), seen);
        let ExitRecord { reason, code, .. } = record.unwrap();
        let expected = if cancelled { (EndReason::Cancelled, None) } else { (EndReason::Exited, Some(4)) };
        assert_eq!(((reason, code), place.work.join("up").exists()), (expected, !cancelled));
    }
}

#[tokio::test]
async fn who_is_let_go_on_by_somebody_else_is_stopped_again_and_who_stood_by_itself_stays() {
    let place = Place::new();
    let spec = place.script("sleep 100 & kill -STOP $!; echo $! > own; sleep 100 & echo $! > far; touch up; wait");
    place.begin(&spec).await;
    let pid = |name: &str| place.worked(name).trim().parse::<i32>().unwrap();
    let (own, other) = (pid("own"), pid("far"));
    place.until("the own stop is taken", || state(own) == 'T').await;
    place.freeze().await;
    kill_process(Pid::from_raw(other).unwrap(), Signal::CONT).unwrap();
    place.until("it is stopped again", || state(other) == 'T').await;
    place.port.thaw(&place.dir).unwrap();
    place.until("it goes on", || state(other) == 'S').await;
    assert_eq!(state(own), 'T', "it had stopped before");
    place.port.cancel(&place.dir).unwrap();
    place.ensure(&spec).await.unwrap();
}

#[tokio::test]
async fn a_tree_that_forks_all_the_time_stands_too() {
    let place = Place::new();
    let storm = "f() { while :; do (sleep 0.02 &); sh -c true; done; }; f & f & f & touch up; f";
    let spec = place.script(storm);
    place.begin(&spec).await;
    place.freeze().await;
    place.until("all of it stands", || place.states().iter().all(|s| matches!(s, 'T' | '?' | 'D'))).await;
    let before = place.survivors();
    place.pass(200).await;
    assert_eq!(place.survivors(), before, "nobody was born and nobody ended");
    place.port.cancel(&place.dir).unwrap();
    place.ensure(&spec).await.unwrap();
    place.assert_empty();
}

#[tokio::test]
async fn fifty_processes_stand_within_a_second() {
    let place = Place::new();
    let spec =
        place.script("for i in $(seq 16); do setsid sh -c 'sleep 100 & sleep 100 & wait' & done; touch up; wait");
    place.begin(&spec).await;
    place.until("all are there", || 49 <= place.survivors().len()).await;
    let took = place.freeze().await;
    println!("{} processes stood {took:?} after the wish", place.survivors().len());
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert!(place.states().iter().all(|s| matches!(s, 'T' | 'D')));
    place.port.cancel(&place.dir).unwrap();
    place.ensure(&spec).await.unwrap();
}

#[tokio::test]
async fn a_directory_that_is_not_there_is_left_alone() {
    let place = Place::new();
    let nowhere = Path::new("/nowhere/at/all");
    place.port.freeze(nowhere).unwrap();
    place.port.thaw(nowhere).unwrap();
    assert!(!place.port.is_frozen(nowhere).unwrap() && !nowhere.exists());
}
