//! Deaths in the middle of an agent's run: of the daemon, gently and not, and of the run's own supervisor. An agent's
//! work is never started twice while the first is alive, and never lost in silence.
#![allow(clippy::unwrap_used, reason = "test code outside of test functions")]

mod common;

use common::{CODE, RunDir, Setup, World, processes};
use std::time::Duration;

/// A developer that works until it is told to go on, with a child of its own.
const PATIENT: &str = r#"developer() {
    sleep "$NAP" &
    wait_for go
    kill $!
    echo "готово" >> "$code"
}"#;

fn begun() -> (World, String, RunDir) {
    let world = World::up(&Setup { agent: PATIENT.into(), ..Setup::default() });
    let id = world.task("Версия");
    let run = world.run_said("developer", 1, "start developer");
    world.until("its child runs", || processes::with_argument(&world.nap).pop());
    (world, id, run)
}

fn agent_pid(run: &RunDir) -> u32 {
    run.out.lines().find_map(|l| l.split_once("pid=")?.1.trim().parse().ok()).unwrap()
}

/// The daemon is back: the run goes on as the one it was, and ends as it would have ended.
fn goes_on_as_one_run(mut world: World, id: &str, run: &RunDir) {
    assert!(processes::alive(agent_pid(run)), "the agent outlives the daemon");
    world.start();
    let task = world.show(id);
    assert_eq!(task["phase"], "running", "{task:#}");
    assert!(processes::alive(agent_pid(run)), "and is left alone by the next one");
    world.allow("go");
    world.wait(id, &["done"]);
    let runs = world.runs_of("developer");
    assert_eq!(runs.len(), 1, "{runs:#?}");
    assert_eq!(runs[0].name, run.name);
    assert_eq!(runs[0].out.matches("start developer").count(), 1);
    let rows = world.evidence(id)["runs"].clone();
    let rows = rows.as_array().unwrap().iter().filter(|r| r["what"] == "developer").count();
    assert_eq!(rows, 1);
    assert_eq!(world.moves_of_trunk(), 1);
    let text = world.forge_git(&["show", &format!("trunk:{CODE}")]);
    assert_eq!(text.matches("готово").count(), 1);
}

#[test]
fn a_daemon_asked_to_end_leaves_the_agent_to_its_supervisor_and_the_next_one_adopts_it() {
    let (mut world, id, run) = begun();
    let (status, took) = world.terminate();
    assert_eq!(status.code(), Some(0), "{}", world.log());
    assert!(took < Duration::from_secs(5), "it took {took:?}");
    goes_on_as_one_run(world, &id, &run);
}

#[test]
fn a_daemon_that_is_killed_changes_nothing_for_the_agent() {
    let (mut world, id, run) = begun();
    world.kill();
    goes_on_as_one_run(world, &id, &run);
}

#[test]
fn an_agent_that_ends_while_no_daemon_is_there_is_found_ended() {
    let (mut world, id, run) = begun();
    world.kill();
    world.allow("go");
    world.until("its exit is on record", || run.dir.join("exit.json").exists().then_some(()));
    world.start();
    world.wait(&id, &["done"]);
    assert_eq!(world.runs_of("developer").len(), 1);
}

#[test]
fn a_supervisor_that_is_killed_costs_a_new_run_and_its_old_tree_is_swept() {
    let (world, id, run) = begun();
    let old = agent_pid(&run);
    let supervisor = u32::try_from(run.pids()["supervisor"]["pid"].as_u64().unwrap()).unwrap();
    processes::kill(supervisor);
    let second = world.run_said("developer", 2, "start developer");
    assert_ne!(second.name, run.name);
    assert!(!processes::alive(old), "the first agent is gone before the second starts");
    let naps = world.until("the second one's child runs", || {
        Some(processes::with_argument(&world.nap)).filter(|naps| !naps.is_empty())
    });
    assert_eq!(naps.len(), 1, "the first one's child is gone as well");
    world.allow("go");
    let task = world.wait(&id, &["done"]);
    assert_eq!(task["round"], 0);
    assert_eq!(world.runs_of("developer").len(), 2);
    let text = world.forge_git(&["show", &format!("trunk:{CODE}")]);
    assert_eq!(text.matches("готово").count(), 1);
}

/// What a power cut leaves of the file that says what a run is.
const CUT: [&str; 3] = ["", "{\"argv\": [\"s", "\0\0\0\0"];

#[test]
fn a_run_whose_request_a_power_cut_emptied_is_a_lost_run_and_no_persons_matter() {
    for left in CUT {
        let (mut world, id, run) = begun();
        let (old, supervisor) = (agent_pid(&run), run.pids()["supervisor"]["pid"].as_u64().unwrap());
        world.kill();
        processes::kill(u32::try_from(supervisor).unwrap());
        std::fs::write(run.dir.join("spec.json"), left).unwrap();
        world.start();
        let second = world.run_said("developer", 2, "start developer");
        assert_ne!(second.name, run.name);
        assert!(!processes::alive(old), "the first agent is gone before the second starts");
        world.allow("go");
        let task = world.wait(&id, &["done"]);
        assert_eq!(task["round"], 0, "{left:?}");
        assert!(!world.story(&id).contains("blocked"), "{}", world.story(&id));
        assert!(!world.runs().iter().any(|r| r.dir == run.dir && r.dir.join("exit.json").exists()));
    }
}

#[test]
fn a_run_that_lives_or_has_ended_goes_on_though_its_request_is_empty() {
    let (mut world, id, run) = begun();
    world.kill();
    std::fs::write(run.dir.join("spec.json"), "").unwrap();
    world.start();
    world.until("it is adopted", || world.log().contains("goes by what else its directory says").then_some(()));
    // And once more, with its record there.
    world.kill();
    world.allow("go");
    world.until("its exit is on record", || run.dir.join("exit.json").exists().then_some(()));
    world.start();
    world.wait(&id, &["done"]);
    let runs = world.runs();
    assert_eq!(runs.iter().filter(|r| r.dir == run.dir).count(), 1);
    assert_eq!(world.forge_git(&["show", &format!("trunk:{CODE}")]).matches("готово").count(), 1);
}

/// A scanner of secrets that does not come to an end the first time.
const SLOW_SCANNER: &str = r#"
[ "$1" = version ] && { echo 8.30.1; exit 0; }
if mkdir "$ROOT/first" 2>/dev/null; then exec sleep "$NAP"; fi
while [ "$1" != --report-path ]; do shift; done
echo '[]' > "$2"
"#;

#[test]
fn what_a_scanner_was_at_work_on_when_the_daemon_was_killed_is_removed_by_the_next_one() {
    let mut world = World::new(&Setup::default());
    let scanner = SLOW_SCANNER.replace("$ROOT", &world.root.display().to_string()).replace("$NAP", &world.nap);
    world.program("gitleaks", &scanner);
    world.start();
    let id = world.task("Версия");
    let sleeps = world.until("the scanner is at work", || processes::with_argument(&world.nap).pop());
    let scratch = world.data().join("scratch");
    let names = || -> Vec<String> {
        let names = std::fs::read_dir(&scratch).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
        names.collect()
    };
    assert!(names().iter().any(|name| name.starts_with("orch-gitleaks-")), "{:?}", names());
    world.kill();
    processes::kill(sleeps);
    assert_eq!(names().len(), 1, "{:?}", names());
    std::fs::write(scratch.join("somebody's"), "").unwrap();
    world.start();
    world.wait(&id, &["done"]);
    assert_eq!(names(), ["somebody's"], "and nobody else's is touched");
}

#[test]
fn draining_claims_nothing_more_lets_agents_end_and_resume_goes_on() {
    let (mut world, id, run) = begun();
    world.orch(&["drain"]).ok();
    let queue = world.orch(&["queue", "--json"]).ok().json();
    assert_eq!(queue["draining"], true, "{queue:#}");
    assert!(processes::alive(agent_pid(&run)), "the agent goes on");
    world.allow("go");
    world.until("the run is settled", || (world.show(&id)["phase"] == "publishing").then_some(()));
    let waits = |world: &World| {
        let queue = world.orch(&["queue", "--json"]).ok().json();
        let open = queue["open"].as_array().unwrap().clone();
        assert!(open.iter().all(|j| j["state"] == "queued"), "something was claimed: {queue:#}");
        assert_eq!(world.show(&id)["phase"], "publishing");
    };
    // Several looks, and a new daemon: a drain is kept.
    for _ in 0..5 {
        waits(&world);
    }
    assert!(world.terminate().0.success());
    world.start();
    waits(&world);
    world.orch(&["resume"]).ok();
    world.wait(&id, &["done"]);
    assert_eq!(world.runs_of("developer").len(), 1);
}

#[test]
fn a_cancel_during_a_run_ends_its_tree_and_the_task() {
    let (world, id, run) = begun();
    world.orch(&["task", "cancel", &id]).ok();
    let task = world.wait(&id, &["cancelled"]);
    assert!(task["merge_commit"].is_null());
    assert!(!processes::alive(agent_pid(&run)));
    assert_eq!(processes::with_argument(&world.nap), Vec::<u32>::new());
    world.until("its working directory is removed", || (!world.worktree(&id).exists()).then_some(()));
    assert_eq!(world.trunk(), world.tip);
    assert_eq!(world.orch(&["task", "retry", &id]).code, 1, "what is over is over");
    assert_eq!(world.runs_of("developer").len(), 1);
}

#[test]
fn a_merge_that_was_lost_is_said_in_health_and_stops_no_project() {
    let mut world = World::up(&Setup::default());
    let first = world.task("Первая");
    world.wait(&first, &["done"]);
    world.terminate();
    // Main is where it was before, as a file system leaves it that lost what it had acknowledged.
    let tip = world.tip.clone();
    world.forge_git(&["update-ref", "refs/heads/trunk", &tip]);
    world.start();
    let doctor = world.until("doctor names it", || {
        let checks = world.orch(&["doctor", "--json"]).json()["checks"].clone();
        let found = checks.as_array()?.iter().find(|c| c["name"] == "recorded merges")?.clone();
        Some(found)
    });
    let detail = doctor["detail"].as_str().unwrap().to_owned();
    assert!(doctor["status"] == "warn" && detail.contains(&first) && detail.contains("is not in trunk"), "{doctor:#}");
    assert!(world.log().contains(&first) && world.log().contains("brought back"), "{}", world.log());
    let second = world.task("Вторая");
    world.wait(&second, &["done"]);
}

#[test]
fn an_emptied_default_branch_is_said_by_doctor_and_written_again_by_the_start_and_an_emptied_file_of_a_merge_is_said() {
    let mut world = World::up(&Setup::default());
    let id = world.task("Версия");
    world.wait(&id, &["done"]);
    let trunk = world.trunk();
    assert!(world.terminate().0.success());
    let file = world.forge().join("refs/heads/trunk");
    std::fs::write(&file, "").unwrap();
    let doctor = world.orch(&["doctor"]);
    assert!(doctor.out.contains("refs/heads/trunk is empty; the next start lets it name"), "{doctor:#?}");
    world.start();
    assert_eq!(world.trunk(), trunk);
    assert!(world.log().contains("as a power cut leaves it"), "{}", world.log());
    assert!(!world.orch(&["doctor"]).out.contains("is empty"));

    let blob = world.forge_git(&["rev-parse", &format!("trunk:{CODE}")]);
    let object = world.forge().join("objects").join(&blob[..2]).join(&blob[2..]);
    let kept = std::fs::read(&object).unwrap();
    std::fs::remove_file(&object).unwrap();
    std::fs::write(&object, "").unwrap();
    assert!(world.terminate().0.success());
    world.start();
    world.until("health says it", || {
        let (_, body) = world.http("GET", "/health", None, "")?;
        (body.contains("recorded merges") && body.contains("brought in cannot be read") && body.contains(&blob[2..]))
            .then_some(())
    });
    assert!(world.orch(&["doctor"]).out.contains("brought in cannot be read"));
    std::fs::remove_file(&object).unwrap();
    std::fs::write(&object, kept).unwrap();

    // Nothing of the repository says any more what the branch named.
    assert!(world.terminate().0.success());
    std::fs::write(&file, "").unwrap();
    std::fs::remove_file(world.forge().join("logs/refs/heads/trunk")).unwrap();
    let db = rusqlite::Connection::open(world.data().join("forge/forge.db")).unwrap();
    db.execute("UPDATE pull_request SET base_branch = 'other'", []).unwrap();
    let _ = std::fs::remove_file(world.forge().join("packed-refs"));
    let refused = world.serve_refuses(&[]);
    let doctor = world.orch(&["doctor"]);
    assert_eq!((refused.code, doctor.code), (3, 1), "{refused:#?} {doctor:#?}");
    for said in [&refused.err, &doctor.out] {
        assert!(said.contains("refs/heads/trunk is empty") && said.contains("write its id into that file"), "{said}");
    }
    std::fs::write(&file, format!("{trunk}\n")).unwrap();
    world.start();
    assert_eq!(world.show(&id)["phase"], "done");
}

#[test]
fn a_submodule_whose_directory_is_gone_is_said_by_doctor_and_refused_at_the_start() {
    let mut world = World::new(&Setup::default());
    let lib = world.root.join("lib");
    std::fs::create_dir(&lib).unwrap();
    world.git(&lib, &["init", "-q"]);
    std::fs::write(lib.join("lib.txt"), "x\n").unwrap();
    world.git(&lib, &["add", "-A"]);
    world.git(&lib, &["commit", "-q", "-m", "lib"]);
    let tip = world.git(&lib, &["rev-parse", "HEAD"]);
    let modules = format!("[submodule \"sub\"]\n\tpath = sub\n\turl = {}\n", lib.display());
    std::fs::write(world.repo.join(".gitmodules"), modules).unwrap();
    world.git(&world.repo, &["add", ".gitmodules"]);
    world.git(&world.repo, &["update-index", "--add", "--cacheinfo", &format!("160000,{tip},sub")]);
    world.git(&world.repo, &["commit", "-q", "-m", "a submodule"]);
    world.orch(&["doctor"]).ok();
    std::fs::rename(&lib, world.root.join("away")).unwrap();
    let refused = world.serve_refuses(&[]);
    let doctor = world.orch(&["doctor"]);
    assert_eq!((refused.code, doctor.code), (3, 1), "{refused:#?} {doctor:#?}");
    for said in [&refused.err, &doctor.out] {
        for word in ["the submodule sub", "there is no repository at", "lib", ".gitmodules", "submodules = false"] {
            assert!(said.contains(word), "{word}: {said}");
        }
    }
    std::fs::rename(world.root.join("away"), &lib).unwrap();
    world.start();
}
