//! The daemon is killed with SIGKILL at many moments, in every phase a task can be in, with several tasks under way;
//! afterwards every task must have ended well, with exactly one merge each. What happened is told by the bare
//! repositories, the logs of forge and tracker, and an append-only log written by the agents and hooks themselves;
//! orch's own database is not asked.
//!
//! `ORCH_KILLS=2000 ORCH_KILL_SEED=7 cargo test -p orch --test kill -- --nocapture`

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]
#![allow(clippy::disallowed_methods, reason = "real processes are timed and killed by the real clock")]

mod killer;
mod oracle;
mod rng;
mod scripts;
mod world;

use killer::{Killer, PHASES};
use world::World;

/// Kills in an ordinary run.
const KILLS: u64 = 200;
/// Least number of kills in each phase, from that many kills on.
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
    let mut killer = Killer::new(World::new(temp.path()), seed, kills);
    let mut problems = match killer.run() {
        Ok(()) => Vec::new(),
        Err(problem) => vec![problem],
    };
    let (world, tally) = killer.into_parts();
    problems.extend(oracle::problems(&world, &tally));
    println!("{}", tally.table(seed));
    if KILLS <= kills {
        for phase in PHASES {
            let hits = tally.per_phase.get(*phase).copied().unwrap_or_default();
            if hits < PER_PHASE {
                problems.push(format!("only {hits} kills hit the phase {phase}"));
            }
        }
    }
    if !problems.is_empty() {
        let kept = temp.keep();
        let list = problems.join("\n- ");
        panic!("seed {seed}, {kills} kills, everything is kept in {}:\n- {list}", kept.display());
    }
}
