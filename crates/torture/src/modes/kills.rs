//! SIGKILL of orchestrator, supervisors and agents at random moments, with all phases hit.

use super::in_world;
use crate::killer::kill;
use crate::oracle::Allowed;
use crate::outcome::Outcome;
use crate::world::Place;
use anyhow::Result;
use std::path::Path;

/// One world with that many kills.
pub fn world(orch: &Path, seed: u64, kills: u64) -> Result<Outcome> {
    let again = format!("cargo xtask torture kills --seed {seed} --count {kills} --per-world {kills}");
    in_world("kills", seed, again, orch, Allowed::default(), Place::beside, |world, outcome| {
        let (killed, done) = kill(world, seed, kills);
        outcome.counts = killed.counts;
        outcome.ended = killed.ended;
        done
    })
}
