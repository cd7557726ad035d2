//! Stop means stop, on the real binary: every process of an agent stands still, whoever dies and comes back, and it goes
//! on where it was. A paused project stops no other.
#![allow(clippy::unwrap_used, reason = "test code outside of test functions")]

mod common;

use common::{Setup, World, processes};
use std::fs;

/// A developer with a child in a session of its own and one behind a double fork, that works until it may end.
const TREE: &str = r#"developer() {
    setsid sleep "$NAP" & (sleep "$NAP" &)
    until [ -e "$here/go" ]; do echo working; sleep 0.02; done
    echo "готово" >> "$code"
}"#;

/// State of a process, as the third field of its line in /proc has it.
fn state(pid: u32) -> char {
    let line = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    line.rsplit_once(')').and_then(|(_, rest)| rest.trim_start().chars().next()).unwrap_or('?')
}

/// States of all processes of agents, but for those that end just now. Supervisors are none.
fn states(world: &World) -> Vec<char> {
    let supervises = |pid: &u32| {
        fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.split(|b| *b == 0).nth(1) == Some(b"supervise"))
    };
    let all = processes::of_runs_below(&world.data()).into_iter().filter(|pid| !supervises(pid));
    all.map(state).filter(|s| *s != '?').collect()
}

/// A shell that has vforked sleeps in the kernel until its child is on its own, which stands: it takes its stop behind that.
fn stands(state: char) -> bool {
    matches!(state, 'T' | 'D')
}

fn all_stand(world: &World) {
    let states = states(world);
    assert!(3 <= states.len() && states.iter().all(|s| stands(*s)), "{states:?}");
}

#[test]
fn a_paused_agent_stands_still_over_deaths_of_the_daemon_and_goes_on_as_one_run() {
    let mut world = World::new(&Setup { agent: TREE.into(), program: "silence_s = 2\n".into(), ..Setup::default() });
    world.start();
    let id = world.task("Версия");
    let run = world.run_said("developer", 1, "working");
    world.until("its children run", || (processes::with_argument(&world.nap).len() == 2).then_some(()));
    let paused = world.orch(&["pause"]).ok();
    assert!(paused.out.contains("1 agent stands still"), "{paused:?}");
    all_stand(&world);
    let said = || fs::read_to_string(run.dir.join("stdout.log")).unwrap();
    let before = said();
    let waiting = world.task("Ждёт");
    for _ in 0..3 {
        world.kill();
        all_stand(&world);
        world.start();
        let queue = world.orch(&["queue"]).ok().out;
        assert!(queue.contains("paused by ") && queue.contains("`orch resume` ends it"), "{queue}");
    }
    // Longer than the agent may be silent.
    let begun = std::time::Instant::now();
    world.until("time has passed", || (3 <= begun.elapsed().as_secs()).then_some(()));
    all_stand(&world);
    assert_eq!(said(), before, "not a word meanwhile");
    let why = world.orch(&["why", &id]).ok().out;
    assert!(
        why.contains("paused by ") && why.contains("its agent stands still") && why.contains("orch resume"),
        "{why}"
    );
    assert_eq!((world.show(&waiting)["stage"].as_str(), world.runs_of("developer").len()), (Some("created"), 1));

    world.orch(&["resume"]).ok();
    world.until("it goes on", || (said() != before).then_some(()));
    world.allow("go");
    world.wait(&id, &["done"]);
    world.wait(&waiting, &["done"]);
    assert_eq!(world.runs_of("developer").len(), 2, "one run each");
}

#[test]
fn a_pause_without_a_daemon_stops_agents_and_is_kept_by_the_next_one() {
    let mut world = World::new(&Setup { agent: TREE.into(), ..Setup::default() });
    world.start();
    let id = world.task("Версия");
    world.run_said("developer", 1, "working");
    world.until("its children run", || (processes::with_argument(&world.nap).len() == 2).then_some(()));
    world.kill();
    let refused = world.orch(&["pause", "--project", "NOBODY"]);
    assert_eq!(refused.code, 3, "{refused:?}");
    assert_eq!(world.orch(&["resume"]).code, 3);
    let paused = world.orch(&["pause"]).ok();
    assert!(paused.out.contains("paused without a daemon") && paused.out.contains("1 agent is told"), "{paused:?}");
    let flag = world.data().join("paused");
    assert!(flag.exists(), "model proxies see it");
    world.until("every process of the agent stands", || {
        let states = states(&world);
        (3 <= states.len() && states.iter().all(|s| stands(*s))).then_some(())
    });
    world.start();
    assert!(!flag.exists(), "it is the daemon's own now");
    let queue = world.orch(&["queue"]).ok().out;
    assert!(queue.contains("paused by ") && queue.contains("`orch resume` ends it"), "{queue}");
    all_stand(&world);
    world.orch(&["resume"]).ok();
    world.allow("go");
    world.wait(&id, &["done"]);
    assert_eq!(world.runs_of("developer").len(), 1);
}

#[test]
fn a_task_is_cancelled_while_everything_is_paused() {
    let world = World::up(&Setup { agent: TREE.into(), ..Setup::default() });
    let id = world.task("Версия");
    world.run_said("developer", 1, "working");
    world.orch(&["pause"]).ok();
    all_stand(&world);
    world.orch(&["task", "cancel", &id]).ok();
    world.wait(&id, &["cancelled"]);
    assert_eq!(processes::with_argument(&world.nap), Vec::<u32>::new());
    world.orch(&["resume"]).ok();
}

#[test]
fn a_paused_project_begins_nothing_and_the_other_one_goes_on() {
    let mut world = World::new(&Setup::default());
    let dir = world.root.join("other.git");
    world.git(&world.root, &["init", "--quiet", "--bare", "--initial-branch=trunk", dir.to_str().unwrap()]);
    world.git(&world.repo, &["push", "--quiet", dir.to_str().unwrap(), &format!("{}:refs/heads/trunk", world.tip)]);
    let text = fs::read_to_string(world.config_file()).unwrap();
    let approvers = text.lines().find(|l| l.starts_with("approvers")).unwrap_or_default();
    let other = format!(
        "\n[[project]]\nkey = \"OTHER\"\nrepo = \"{}\"\ndefault_branch = \"trunk\"\npipeline = \"lite\"\n{approvers}\n\
         allow_untested = true\n",
        dir.display()
    );
    fs::write(world.config_file(), text + &other).unwrap();
    world.start();
    let refused = world.orch(&["pause", "--project", "NOBODY"]);
    assert!(refused.code != 0 && refused.err.contains("no project NOBODY"), "{refused:?}");
    world.orch(&["pause", "--project", "OTHER"]).ok();
    let args = ["task", "new", "--project", "OTHER", "--title", "Waits", "--start", "--json"];
    let waiting = world.orch(&args).ok().json()["id"].as_str().unwrap().to_owned();
    let whole = world.task("Версия");
    world.wait(&whole, &["done"]);
    let why = world.orch(&["why", &waiting]).ok().out;
    assert!(why.contains("paused by ") && why.contains("orch resume --project OTHER"), "{why}");
    let queue = world.orch(&["queue", "--json"]).ok().json();
    let open = queue["open"].as_array().unwrap().iter().filter(|job| job["id"].as_str().unwrap().starts_with("1-"));
    let states: Vec<_> = open.map(|job| job["state"].as_str().unwrap()).collect();
    assert!(!states.is_empty() && states.iter().all(|state| *state == "queued"), "{queue:#}");
    let still = world.orch(&["resume"]).ok().out;
    assert!(still.contains("project OTHER is paused by "), "{still}");
    world.orch(&["resume", "--project", "OTHER"]).ok();
    world.wait(&waiting, &["done"]);
}
