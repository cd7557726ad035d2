//! The lives every test run lives. More of them: `cargo run -p orch-sim -- --seconds 3600 --seeds 1000000000`.

use orch_sim::{Coverage, Life, On, Profile, Report, quiet, run};
use std::sync::OnceLock;

/// Lives in memory: as many as fit well below a minute on one core in a debug build.
const LIVES: u64 = 1_000;
/// How often a place must be visited by them.
const LEAST: u64 = 5;

fn life(seed: u64) -> Life {
    Life { seed, tasks: 3, profile: Profile::Mixed, on: On::Memory, trace: false }
}

fn lives() -> &'static [Report] {
    static LIVED: OnceLock<Vec<Report>> = OnceLock::new();
    LIVED.get_or_init(|| (1..=LIVES).map(|seed| run(&life(seed))).collect())
}

fn must_hold(report: &Report, options: &str) {
    assert!(report.violation.is_none(), "\n{}", report.scenario(options));
}

#[test]
fn whatever_happens_the_invariants_hold() {
    for report in lives() {
        must_hold(report, "");
    }
}

#[test]
fn every_place_every_fault_and_every_crash_in_every_phase_is_visited() {
    let mut seen = Coverage::default();
    for report in lives() {
        seen.add(&report.seen);
    }
    // Which life visits what changes with every change of the core: rare places get some more lives to be found in.
    for seed in LIVES + 1..=3 * LIVES {
        if seen.missing(LEAST).is_empty() && seen.crashes_missing().is_empty() {
            break;
        }
        let report = run(&life(seed));
        must_hold(&report, "");
        seen.add(&report.seen);
    }
    let missing = seen.missing(LEAST);
    assert!(missing.is_empty(), "visited fewer than {LEAST} times: {missing:#?}\n{}", seen.table());
    let never = seen.crashes_missing();
    assert!(never.is_empty(), "crashes that never happened: {never:#?}\n{}", seen.table());
}

/// Branches of people beside tasks of agents: landed as they were asked for, or with their authors, and never written to.
#[test]
fn whatever_happens_a_persons_branch_is_landed_as_it_was_asked_for_or_is_with_its_author() {
    let mut seen = Coverage::default();
    // In the last one somebody merges a secret by hand, which others must be able to repair.
    for seed in (1..=300).chain([792]) {
        let report = run(&Life { profile: Profile::People, ..life(seed) });
        must_hold(&report, " --pipeline people");
        seen.add(&report.seen);
    }
    for (kind, name) in [
        ("block", "returned"),
        ("event", "land_asked"),
        ("answer", "take: nothing to land"),
        ("block", "branch_moved"),
        ("fault", "stranger pushes to the branch"),
    ] {
        assert!(LEAST <= seen.visits(kind, name), "{kind} {name}\n{}", seen.table());
    }
}

#[test]
fn a_store_in_a_file_survives_every_kill() {
    for seed in 5_000..5_006 {
        must_hold(&run(&Life { on: On::File, ..life(seed) }), " --on file");
    }
}

/// Two stores under one choreography: whatever one of them does otherwise shows as another life.
#[test]
fn a_life_is_the_same_on_every_store() {
    for seed in 1..=60 {
        let [memory, sqlite] = [On::Memory, On::Sqlite].map(|on| run(&Life { on, trace: true, ..life(seed) }));
        must_hold(&memory, "");
        must_hold(&sqlite, " --on sqlite");
        let differs = memory.story.iter().zip(&sqlite.story).find(|(a, b)| a != b);
        assert!(differs.is_none(), "seed {seed} goes another way in memory and on SQLite: {differs:?}");
        assert_eq!((memory.steps, &memory.transcript), (sqlite.steps, &sqlite.transcript), "seed {seed}");
    }
}

#[test]
fn the_same_seed_is_the_same_life() {
    let (one, two) = (run(&Life { trace: true, ..life(7) }), run(&Life { trace: true, ..life(7) }));
    assert!(100 < one.story.len());
    assert_eq!(one.story, two.story);
    assert_ne!(one.story, run(&Life { trace: true, ..life(8) }).story);
}

#[test]
fn tickets_that_are_only_polled_end_as_those_whose_every_change_was_told() {
    let (mut cancelled, mut done) = (0, 0);
    for seed in 1..=30 {
        let (told, polled) = (quiet(&life(seed), true), quiet(&life(seed), false));
        must_hold(&told, " (quiet, with hints)");
        must_hold(&polled, " (quiet, without hints)");
        assert_eq!(told.ends, polled.ends, "seed {seed}");
        cancelled += told.ends.iter().filter(|e| e.contains("cancelled by local:anna")).count();
        done += told.ends.iter().filter(|e| e.contains("done, ") && e.contains("approved: ")).count();
        assert_eq!(0, polled.seen.visits("fault", "ticket hint lost"));
        let found = |r: &Report| r.seen.visits("watcher", "poll found started");
        assert!(found(&told) == 0 && 0 < found(&polled), "seed {seed}");
    }
    assert!(3 < cancelled && 15 < done, "{cancelled} cancelled, {done} done");
}
