//! The lives every test run lives. More of them: `cargo run -p orch-sim -- --seconds 3600 --seeds 1000000000`.

use orch_sim::{Coverage, Life, Profile, Report, run};
use std::sync::OnceLock;

/// Lives in memory: as many as fit well below a minute on one core in a debug build.
const LIVES: u64 = 170;

fn life(seed: u64) -> Life {
    Life { seed, tasks: 3, profile: Profile::Mixed, file: false, trace: false }
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
fn every_place_and_every_fault_is_visited() {
    let mut seen = Coverage::default();
    for report in lives() {
        seen.add(&report.seen);
    }
    // Which life visits what changes with every change of the core: rare places get some more lives to be found in.
    for seed in LIVES + 1..=3 * LIVES {
        if seen.missing(5).is_empty() {
            break;
        }
        let report = run(&life(seed));
        must_hold(&report, "");
        seen.add(&report.seen);
    }
    let missing = seen.missing(5);
    assert!(missing.is_empty(), "visited fewer than 5 times: {missing:#?}");
}

#[test]
fn a_store_in_a_file_survives_every_kill() {
    for seed in 5_000..5_006 {
        must_hold(&run(&Life { file: true, ..life(seed) }), " --file");
    }
}

#[test]
fn the_same_seed_is_the_same_life() {
    let (one, two) = (run(&Life { trace: true, ..life(7) }), run(&Life { trace: true, ..life(7) }));
    assert!(100 < one.lines.len());
    assert_eq!(one.lines, two.lines);
    assert_ne!(one.lines, run(&Life { trace: true, ..life(8) }).lines);
}
