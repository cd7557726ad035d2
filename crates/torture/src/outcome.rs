//! What came of one world: numbers that add up over many, and everything that was not as it must be.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// A world's result.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Outcome {
    /// `kills`, `faults`, ...
    pub mode: String,
    /// Its seed.
    pub seed: u64,
    /// The command that does it again.
    pub again: String,
    /// How long it took.
    pub seconds: u64,
    /// Counts. A name like `phase/merging` belongs to the group `phase`.
    pub counts: BTreeMap<String, u64>,
    /// Violations.
    pub problems: Vec<String>,
    /// Why nothing was tried, if nothing was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skipped: Option<String>,
    /// Where the world is kept, if something was wrong with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept: Option<String>,
    /// Tasks at the end, as the API showed them.
    #[serde(skip)]
    pub ended: Vec<Value>,
}

impl Outcome {
    /// Counts one more.
    pub fn count(&mut self, name: impl Into<String>) {
        self.add(name, 1);
    }

    /// Counts more.
    pub fn add(&mut self, name: impl Into<String>, n: u64) {
        *self.counts.entry(name.into()).or_default() += n;
    }

    /// How many of that.
    pub fn of(&self, name: &str) -> u64 {
        self.counts.get(name).copied().unwrap_or_default()
    }
}

/// Numbers as a table: plain ones first, then group by group.
pub fn table(counts: &BTreeMap<String, u64>) -> String {
    let mut text = String::new();
    for (name, n) in counts.iter().filter(|(name, _)| !name.contains('/')) {
        let _ = writeln!(text, "  {name:<44} {n:>7}");
    }
    let mut group = "";
    for (name, n) in counts {
        let Some((of, member)) = name.split_once('/') else { continue };
        if of != group {
            group = of;
            let _ = writeln!(text, "  by {group}:");
        }
        let _ = writeln!(text, "    {member:<42} {n:>7}");
    }
    text
}
