//! The first rung of the ladder: a control group per run. Where this machine lets nobody make one, each story says so
//! and ends.

use crate::place::{Place, process_exists};
use orch_ports::supervisor::{EndReason, RunState, Supervisor, files};
use orch_supervise::{rungs, sweep};
use rustix::process::Pid;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

/// Leaves nothing a sweep could go by: no marker, no file of the run, no session, no parent.
const TRACELESS: &str = "(setsid env -i /bin/sh -c 'echo 1 >up; exec /bin/sleep 100' </dev/null >/dev/null 2>&1 &) ;";
/// Sets `group` to the directory of the program's own group, `home` to the one above it.
const OWN_GROUP: &str = "group=$(sed -n 's/.*\"cgroup\": \"\\(.*\\)\".*/\\1/p' $RUN/pids.json); home=${group%/*};";

/// Is the rung there? Says why not, so that a green run does not look like a proof.
fn exercised() -> bool {
    let ladder = rungs();
    let why = ladder[0].missing.as_ref();
    if let Some(why) = why {
        let _ = writeln!(std::io::stderr(), "not exercised here: {why}");
    }
    why.is_none()
}

/// The group written down for a run.
fn group(place: &Place) -> PathBuf {
    PathBuf::from(place.pids()["cgroup"].as_str().expect("a run with a control group"))
}

/// A process that is not the run's, in a group.
fn stranger_in(group: &Path) -> Child {
    let stranger = Command::new("sleep").arg("100").spawn().unwrap();
    fs::write(group.join("cgroup.procs"), stranger.id().to_string()).unwrap();
    stranger
}

fn end_of(mut stranger: Child) {
    assert!(stranger.try_wait().unwrap().is_none(), "a stranger was killed");
    stranger.kill().unwrap();
    stranger.wait().unwrap();
}

#[tokio::test]
async fn the_program_is_born_in_its_group_and_the_group_is_gone_at_the_end() {
    if !exercised() {
        return;
    }
    let place = Place::new();
    let spec = place.script("touch up; while [ ! -e go ]; do sleep 0.01; done; cat /proc/self/cgroup");
    place.begin(&spec).await;
    let group = group(&place);
    let lists = |pid: Pid| {
        let list = fs::read_to_string(group.join("cgroup.procs")).unwrap();
        list.lines().any(|line| line == pid.as_raw_pid().to_string())
    };
    assert!(lists(crate::place::pid(&place.pids()["child"]["pid"])));
    assert!(!lists(place.supervisor()), "it would kill itself");
    fs::write(place.work.join("go"), "").unwrap();
    assert!(place.ensure(&spec).await.unwrap().ok());
    let name = group.file_name().unwrap().to_str().unwrap().to_owned();
    assert!(place.stdout().contains(&name), "{}", place.stdout());
    assert!(!group.exists());
}

#[tokio::test]
async fn what_a_lost_run_left_without_a_trace_is_swept_by_its_group() {
    if !exercised() {
        return;
    }
    let place = Place::new();
    place.begin(&place.script(&format!("{TRACELESS} while [ ! -e go ]; do sleep 0.01; done"))).await;
    let group = group(&place);
    place.kill_supervisor().await;
    fs::write(place.work.join("go"), "").unwrap();
    place.until("only the one without a trace is left", || place.survivors().len() == 1).await;
    assert!(group.exists());
    assert_eq!(sweep(&place.dir), 1);
    place.assert_empty();
    assert!(!group.exists(), "nobody else would ever remove it");
    assert!(place.log().contains("killed 1 by control group"), "{}", place.log());
}

#[tokio::test]
async fn the_empty_group_of_a_killed_supervisor_is_removed_by_the_sweep() {
    if !exercised() {
        return;
    }
    let place = Place::new();
    place.begin(&place.script("touch up; while [ ! -e go ]; do sleep 0.01; done")).await;
    let group = group(&place);
    place.kill_supervisor().await;
    fs::write(place.work.join("go"), "").unwrap();
    place.until("it has ended", || place.survivors().is_empty()).await;
    assert!(group.exists());
    assert_eq!(sweep(&place.dir), 0);
    assert!(!group.exists());
}

#[tokio::test]
async fn a_process_that_left_the_group_is_killed_by_descent() {
    if !exercised() {
        return;
    }
    let place = Place::new();
    let mut spec = place.script(&format!(
        "{OWN_GROUP} setsid env -i /bin/sh -c \"echo \\$\\$ >$home/cgroup.procs && echo 1 >up; exec /bin/sleep 100\" &
        while [ ! -s up ]; do sleep 0.01; done; exit 0"
    ));
    spec.env.insert("RUN".into(), place.dir.display().to_string());
    let record = place.ensure(&spec).await.unwrap();
    assert_eq!((record.code, record.strays), (Some(0), 1));
    place.assert_empty();
    assert!(place.log().contains("killed 0 by control group, 1 by descent"), "{}", place.log());
}

#[tokio::test]
async fn a_run_that_freezes_its_group_and_fills_it_with_groups_is_ended_and_cleared() {
    if !exercised() {
        return;
    }
    let place = Place::new();
    let mut spec = place.script(&format!(
        "trap : TERM; {OWN_GROUP} mkdir -p $group/a/b $group/c; sleep 100 & echo $! >$group/a/b/cgroup.procs; touch up;
        echo 1 >$group/cgroup.freeze; while :; do sleep 0.01; done"
    ));
    spec.env.insert("RUN".into(), place.dir.display().to_string());
    place.begin(&spec).await;
    let group = group(&place);
    let frozen = || fs::read_to_string(group.join("cgroup.events")).unwrap().contains("frozen 1");
    place.until("it is frozen", frozen).await;
    place.port.cancel(&place.dir).unwrap();
    let record = place.ensure(&spec).await.unwrap();
    assert_eq!((record.reason, record.signal), (EndReason::Cancelled, Some(9)));
    place.assert_empty();
    assert!(!group.exists());
}

#[tokio::test]
async fn a_supervisor_that_its_run_moved_into_the_group_steps_out_before_it_kills() {
    if !exercised() {
        return;
    }
    let place = Place::new();
    let mut spec = place.script(&format!(
        "{OWN_GROUP} echo $PPID >$group/cgroup.procs || exit 9; (setsid sleep 100 >/dev/null 2>&1 &) ; exit 0"
    ));
    spec.env.insert("RUN".into(), place.dir.display().to_string());
    let record = place.ensure(&spec).await.unwrap();
    assert_eq!((record.code, record.strays), (Some(0), 1));
    place.assert_empty();
    place.until("the group is gone", || !group(&place).exists()).await;
}

#[tokio::test]
async fn a_record_that_points_at_somebody_elses_group_kills_nobody() {
    if !exercised() {
        return;
    }
    let other = Place::new();
    let spec = other.script("touch up; while [ ! -e go ]; do sleep 0.01; done; exit 5");
    other.begin(&spec).await;
    let others = group(&other);
    let home = others.parent().unwrap().to_owned();
    for hostile in [others.clone(), home.clone(), others.join("."), home.join("..").join(home.file_name().unwrap())] {
        let place = Place::new();
        place.begin(&place.script("touch up; exec sleep 100")).await;
        let own = group(&place);
        place.kill_supervisor().await;
        let mut pids = place.pids();
        pids["cgroup"] = hostile.to_str().unwrap().into();
        fs::write(place.dir.join(files::PIDS), pids.to_string()).unwrap();
        assert_eq!(sweep(&place.dir), 1, "its own program, by its marker");
        place.assert_empty();
        assert_eq!(other.state(), RunState::Live, "{}", hostile.display());
        fs::remove_dir(own).unwrap();
    }
    fs::write(other.work.join("go"), "").unwrap();
    assert_eq!(other.ensure(&spec).await.unwrap().code, Some(5));
}

#[tokio::test]
async fn where_no_group_can_be_made_the_rest_of_the_ladder_does_it() {
    let daemon = format!("{TRACELESS} while [ ! -s up ]; do sleep 0.01; done; exit 3");
    let place = Place::new().without_cgroups();
    let record = place.run(&daemon).await;
    assert_eq!((record.code, record.strays), (Some(3), 1));
    assert!(place.pids().get("cgroup").is_none());
    assert!(place.log().contains("no control group for this run: ORCH_SUPERVISE_CGROUP is off"), "{}", place.log());
    place.assert_empty();
    if !exercised() {
        return;
    }

    // The same run again, its group taken by a stranger: it is neither used nor killed.
    let place = Place::new();
    place.run("true").await;
    let group = group(&place);
    fs::remove_dir_all(&place.dir).unwrap();
    fs::create_dir(&group).unwrap();
    let stranger = stranger_in(&group);
    let record = place.run(&daemon).await;
    assert_eq!((record.code, record.strays), (Some(3), 1));
    assert!(place.pids().get("cgroup").is_none());
    place.assert_empty();
    end_of(stranger);

    // Left empty by a supervisor that was killed before it wrote it down: it is used.
    fs::remove_dir_all(&place.dir).unwrap();
    place.until("the stranger is out", || fs::remove_dir(&group).is_ok()).await;
    fs::create_dir(&group).unwrap();
    assert_eq!(place.run(&daemon).await.strays, 1);
    assert!(place.log().contains("killed 1 by control group"), "{}", place.log());
    assert!(!group.exists());
}

#[tokio::test]
async fn supervisors_that_start_at_once_have_groups_of_their_own() {
    if !exercised() {
        return;
    }
    let places: Vec<Place> = (0..4).map(|_| Place::new()).collect();
    let script = format!("{TRACELESS} while [ ! -s up ]; do sleep 0.01; done; while [ ! -e go ]; do sleep 0.01; done");
    for place in &places {
        place.begin(&place.script(&script)).await;
    }
    let mut groups: Vec<PathBuf> = places.iter().map(group).collect();
    groups.dedup();
    assert_eq!(groups.len(), 4);
    // One ends; nobody else's tree is touched.
    places[0].port.cancel(&places[0].dir).unwrap();
    let record = places[0].ensure(&places[0].script(&script)).await.unwrap();
    assert_eq!(record.reason, EndReason::Cancelled);
    places[0].assert_empty();
    for place in &places[1..] {
        assert_eq!(place.state(), RunState::Live);
        assert!(place.survivors().len() >= 2);
        assert!(process_exists(place.supervisor()));
        fs::write(place.work.join("go"), "").unwrap();
        assert_eq!(place.ensure(&place.script(&script)).await.unwrap().strays, 1);
        place.assert_empty();
    }
}
