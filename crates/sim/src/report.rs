//! What a life, or many, came to: a violation if there was one, and what was visited on the way. A simulation that never
//! comes to a place proves nothing about it, so the visits are counted and tested.

use crate::words;
use orch_core::effect::Effect;
use orch_core::task::{Phase, Task};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// An invariant that does not hold.
#[derive(Clone, Debug)]
pub struct Violation {
    /// Its name: the function in `invariants.rs` without its prefix.
    pub invariant: &'static str,
    /// What was found.
    pub what: String,
}

impl Violation {
    pub(crate) fn new(invariant: &'static str, what: impl Into<String>) -> Self {
        Self { invariant, what: what.into() }
    }
}

/// How often what was visited.
#[derive(Clone, Debug, Default)]
pub struct Coverage(BTreeMap<(&'static str, &'static str), u64>);

impl Coverage {
    pub(crate) fn count(&mut self, kind: &'static str, name: &'static str) {
        *self.0.entry((kind, name)).or_default() += 1;
    }
    pub(crate) fn fault(&mut self, name: &'static str) {
        self.count("fault", name);
    }
    pub(crate) fn effect(&mut self, effect: &Effect) {
        self.count("effect", words::effect(effect));
    }

    pub(crate) fn task(&mut self, task: &Task) {
        self.count("phase", task.phase_word());
        match &task.phase {
            Phase::Waiting { why, .. } => self.count("wait", words::wait(why)),
            Phase::Blocked { why, .. } => self.count("block", words::block(why)),
            Phase::Done { outcome, .. } => self.count("done", outcome.as_str()),
            Phase::Idle | Phase::Working { .. } | Phase::Stopping { .. } | Phase::Cancelled { .. } => {}
        }
    }

    /// Adds what another life visited.
    pub fn add(&mut self, other: &Self) {
        for (key, n) in &other.0 {
            *self.0.entry(*key).or_default() += n;
        }
    }

    /// Names of everything there is to visit that was visited fewer than `least` times.
    pub fn missing(&self, least: u64) -> Vec<String> {
        let all: [(&'static str, &[&'static str]); 7] = [
            ("effect", words::EFFECTS),
            ("phase", words::PHASES),
            ("wait", words::WAITS),
            ("block", words::BLOCKS),
            ("verdict", words::VERDICTS),
            ("done", words::OUTCOMES),
            ("fault", crate::FAULTS),
        ];
        let mut missing = Vec::new();
        for (kind, names) in all {
            for name in names {
                let n = self.0.get(&(kind, name)).copied().unwrap_or(0);
                if n < least {
                    missing.push(format!("{kind} {name}: {n}"));
                }
            }
        }
        missing
    }

    /// As a table.
    pub fn table(&self) -> String {
        let mut text = String::new();
        let mut last = "";
        for ((kind, name), n) in &self.0 {
            if *kind != last {
                let _ = writeln!(text, "{kind}");
                last = kind;
            }
            let _ = writeln!(text, "  {n:>8}  {name}");
        }
        text
    }
}

/// What a life came to.
#[derive(Clone, Debug)]
pub struct Report {
    /// Its seed.
    pub seed: u64,
    /// Things that happened in it.
    pub steps: u64,
    /// What it visited.
    pub seen: Coverage,
    /// What did not hold.
    pub violation: Option<Violation>,
    /// The last things that happened, or all of them if a trace was asked for.
    pub lines: Vec<String>,
}

impl Report {
    /// What a person needs to find the cause.
    pub fn scenario(&self, options: &str) -> String {
        let mut text = String::new();
        for line in &self.lines {
            let _ = writeln!(text, "{line}");
        }
        if let Some(Violation { invariant, what }) = &self.violation {
            let _ = writeln!(text, "seed {}: invariant_{invariant} does not hold: {what}", self.seed);
            let _ = writeln!(text, "replay: cargo run -p orch-sim -- --seed {} --trace{options}", self.seed);
        }
        text
    }
}
