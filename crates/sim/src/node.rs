//! An engine on a store: one process after the other, and what a process only remembers.

use orch_core::circuit::Circuit;
use orch_core::ids::JobId;
use orch_core::reap::Sighting;
use orch_core::refusals::Refusals;
use std::collections::BTreeMap;

/// An engine, as far as it differs from another one on the same store.
#[derive(Debug, Default)]
pub(crate) struct Node {
    /// Number of its process, which none had before.
    pub(crate) process: u32,
    /// Circuits of outside services, as it sees them.
    pub(crate) circuits: BTreeMap<String, Circuit>,
    /// What its runner and its reaper remember.
    pub(crate) refusals: Refusals,
    pub(crate) sightings: BTreeMap<JobId, Sighting>,
}

impl Node {
    /// The process is another one: what was kept of the circuits is read again, and what it only remembered is gone.
    pub(crate) fn begin_again(&mut self, process: u32) {
        self.process = process;
        self.circuits.retain(|_, c| c.open.is_some());
        for open in self.circuits.values_mut().filter_map(|c| c.open.as_mut()) {
            open.probe = None;
        }
        self.sightings.clear();
        self.refusals = Refusals::default();
    }
}

/// Name of a process as a worker.
pub(crate) fn worker(process: u32) -> String {
    format!("w{process}")
}
