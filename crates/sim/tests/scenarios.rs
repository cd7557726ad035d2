//! Lives that once mattered, kept in `scenarios/`: each still comes to the place it was kept for, and its journal is the
//! one beside it. A scenario names what happens, not random numbers: it survives most changes of core and simulation.
//!
//! After a change that is meant, write the journals anew and read the difference:
//! `ORCH_REWRITE=1 cargo test -p orch-sim --test scenarios`. If a scenario does not come to its place any more, its first
//! lines have the command that finds another one.
#![allow(clippy::unwrap_used)] // a test that cannot go on must say so where it stands

use orch_sim::{Coverage, Scenario, Wanted, replay};
use std::fs;
use std::path::{Path, PathBuf};

fn dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scenarios")
}

fn scenarios() -> Vec<PathBuf> {
    let files = fs::read_dir(dir()).unwrap().map(|f| f.unwrap().path());
    let mut files: Vec<PathBuf> = files.filter(|f| f.extension().is_some_and(|e| e == "scn")).collect();
    files.sort();
    files
}

#[test]
fn every_scenario_comes_to_its_place_and_its_journal_is_the_same() {
    let rewrite = std::env::var_os("ORCH_REWRITE").is_some();
    let mut wrong = Vec::new();
    let files = scenarios();
    assert!(8 <= files.len(), "{files:?}");
    for file in files {
        let scenario = Scenario::parse(&fs::read_to_string(&file).unwrap()).unwrap_or_else(|e| panic!("{file:?}: {e}"));
        assert_ne!(scenario.wanted, Wanted::Nothing, "{file:?} does not say what it is for");
        let report = replay(&scenario, true);
        if !scenario.wanted.is_met(&report) {
            wrong.push(format!(
                "{} does not come to {:?} any more\n{}",
                file.display(),
                scenario.wanted,
                report.told()
            ));
            continue;
        }
        let out = file.with_extension("out");
        let now = report.transcript.join("\n") + "\n";
        if rewrite {
            fs::write(&out, now).unwrap();
        } else if fs::read_to_string(&out).unwrap_or_default() != now {
            wrong.push(format!("{} is another life now:\n{now}", out.display()));
        }
    }
    assert!(wrong.is_empty(), "{}\nsee the top of {} for how to write them anew", wrong.join("\n"), file!());
}

#[test]
fn no_scenario_is_there_twice() {
    let mut places: Vec<String> = Vec::new();
    let mut seen = Coverage::default();
    for file in scenarios() {
        let scenario = Scenario::parse(&fs::read_to_string(&file).unwrap()).unwrap();
        seen.add(&replay(&scenario, false).seen);
        places.push(format!("{:?}", scenario.wanted));
    }
    let all = places.len();
    places.sort();
    places.dedup();
    assert_eq!(places.len(), all, "{places:#?}");
    assert!(0 < seen.visits("phase", "merging"));
}
