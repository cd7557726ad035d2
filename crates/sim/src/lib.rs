//! Simulation of core and store: the real `decide` is driven through the real SQLite store by modelled workers, people,
//! a forge, CI, agents, hooks and clocks, under crashes before and after every effect, lost, late and duplicated results,
//! and paused workers that wake as zombies. One number decides a whole life; named invariants are checked at every step.
//!
//! It decides nothing about the product. What it prevents: a rule of core or store that holds on the sunny day only.

mod actions;
mod arranged;
mod choices;
mod crash;
mod effects;
mod gates;
mod helpers;
mod invariants;
mod landers;
mod ledger;
mod life;
mod main_moved;
pub mod memory;
mod money;
mod node;
mod nodes;
mod one_repository;
mod outside;
mod people;
mod promises;
mod repo;
mod report;
mod scenario;
mod services;
mod shrink;
mod sim;
mod site;
mod strangers;
mod tracker;
mod transcript;
mod watchers;
mod words;
mod workers;

pub use life::{quiet, replay, run};
pub use report::{Coverage, Report, Violation};
pub use scenario::{Scenario, Wanted};
pub use shrink::shrink;

/// Which pipelines the tasks of a life get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// The built-in `full`.
    Full,
    /// The built-in `lite`.
    Lite,
    /// Both, and one of the project's own.
    Mixed,
    /// Both, and every other one without agents: a person's own branch.
    People,
}

impl Profile {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Lite => "lite",
            Self::Mixed => "mixed",
            Self::People => "people",
        }
    }

    /// Reads a name.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "full" => Some(Self::Full),
            "lite" => Some(Self::Lite),
            "mixed" => Some(Self::Mixed),
            "people" => Some(Self::People),
            _ => None,
        }
    }
}

/// The store a life is lived on. What happens in it is the same on each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum On {
    /// Plain values under the choreography of every store.
    Memory,
    /// SQLite in memory.
    Sqlite,
    /// SQLite in a file that is closed and opened again at every crash.
    File,
}

impl On {
    /// Every store.
    pub const ALL: &'static [Self] = &[Self::Memory, Self::Sqlite, Self::File];
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Sqlite => "sqlite",
            Self::File => "file",
        }
    }
    /// Reads a name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|on| on.name() == name)
    }
}

/// A life to be lived.
#[derive(Clone, Debug)]
pub struct Life {
    /// Decides everything.
    pub seed: u64,
    /// How many tasks.
    pub tasks: u64,
    /// Their pipelines.
    pub profile: Profile,
    /// The store it lives on.
    pub on: On,
    /// Keep every line of the scenario, not just the last.
    pub trace: bool,
}

/// Everything that goes wrong. A test sees to it that each does, often.
pub const FAULTS: &[&str] = &[
    "a number is taken twice",
    "agent asks",
    "agent fails",
    "agent is denied",
    "agent meets a limit",
    "agent strays",
    "files are hidden",
    "answer lost",
    "branch deleted",
    "cancelled at any time",
    "cancelled while merging",
    "cancelled while opening",
    "check cannot be made",
    "CI broken",
    "CI flaky red",
    "CI report late",
    "CI report lost",
    "deploy fails",
    "developer does nothing",
    "developer errs",
    "forge hides its merge",
    "forge merges another tree",
    "forge refuses",
    "freed lease not told",
    "gate cannot tell",
    "gate gives up",
    "heartbeat lost",
    "hint lost",
    "hook lost",
    "inbox row stepped twice",
    "late result",
    "list of tickets is old",
    "lease heartbeat lost",
    "machine rebooted",
    "main moves before the merge",
    "markers left",
    "merge given up",
    "outside is down",
    "paper garbled",
    "paper missing",
    "paper says no",
    "person says no",
    "probe blind",
    "process ends in order",
    "process killed",
    "process killed after the effect",
    "process killed before the effect",
    "process stalls",
    "production sick",
    "pull request closed",
    "reaper is slow",
    "result lost",
    "result twice",
    "rollback fails",
    "service goes down",
    "stale subject",
    "stranger pushes to main",
    "stranger pushes to the branch",
    "supervisor lost",
    "ticket edited",
    "ticket hint lost",
    "ticket moved anywhere",
    "ticket taken up, not marked as seen",
    "tracker is down",
    "wish acknowledged, not stepped",
    "wish twice",
    "worker dies after the effect",
    "worker dies before the effect",
    "worker hangs",
    "worker paused after the effect",
    "worker paused before the effect",
    "wrong person",
    "zombie acts",
    "zombie goes on",
    "zombie merges blindly",
    "zombie of a merge wakes",
];
