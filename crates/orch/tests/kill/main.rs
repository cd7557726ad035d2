//! The daemon is killed with SIGKILL at many moments, in every phase a task can be in, with several tasks under way;
//! afterwards every task must have ended well, with exactly one merge each. What happened is told by the bare
//! repositories, the logs of forge and tracker, and an append-only log written by the agents and hooks themselves;
//! orch's own database is not asked. `cargo xtask torture kills` does the same for longer.
//!
//! `ORCH_KILLS=2000 ORCH_KILL_SEED=7 cargo test -p orch --test kill -- --nocapture`

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use orch_torture::killer::{PHASES, kill};
use orch_torture::oracle::{Allowed, problems};
use orch_torture::{Place, World, outcome};
use std::path::Path;

/// Kills in an ordinary run.
const KILLS: u64 = 60;
/// Kills from which on every phase must have been hit often enough.
const MANY: u64 = 200;
/// Least number of kills in each phase then.
const PER_PHASE: u64 = 5;

fn number(name: &str) -> Option<u64> {
    std::env::var(name)
        .ok()
        .map(|text| text.parse().unwrap_or_else(|_| panic!("{name} must be a number, not {text:?}")))
}

#[test]
fn every_task_ends_well_with_one_merge_whenever_the_daemon_is_killed() {
    let kills = number("ORCH_KILLS").unwrap_or(KILLS);
    let seed = number("ORCH_KILL_SEED").unwrap_or(20_261_123);
    let temp = tempfile::Builder::new().prefix("orch-kill-").tempdir().unwrap();
    let mut world = World::new(temp.path(), Path::new(env!("CARGO_BIN_EXE_orch")), Place::beside).unwrap();
    let (result, ended) = kill(&mut world, seed, kills);
    let mut found: Vec<String> = ended.as_ref().err().map(|e| format!("{e:#}")).into_iter().collect();
    found.extend(problems(&world, ended.is_ok().then_some(&result.ended), Allowed::default()).unwrap());
    println!("seed {seed}, {} s\n{}", result.seconds, outcome::table(&result.counts));
    if MANY <= kills {
        for phase in PHASES {
            let hits = result.of(&format!("kills with a task in phase/{phase}"));
            if hits < PER_PHASE {
                found.push(format!("only {hits} kills hit the phase {phase}"));
            }
        }
    }
    if !found.is_empty() {
        let list = found.join("\n- ");
        panic!("seed {seed}, {kills} kills, everything is kept in {}:\n- {list}", temp.keep().display());
    }
}
