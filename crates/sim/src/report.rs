//! What a life, or many, came to: a violation if there was one, and what was visited on the way. A simulation that never
//! comes to a place proves nothing about it, so the visits are counted and tested.

use crate::choices::Line;
use crate::crash::{CRASHES, cell, needs_a_job};
use crate::words;
use orch_core::effect::Effect;
use orch_core::event::Event;
use orch_core::task::{ApprovalKind, Phase, Task, WaitReason};
use std::borrow::Cow;
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
pub struct Coverage(BTreeMap<(&'static str, Cow<'static, str>), u64>);

impl Coverage {
    pub(crate) fn count(&mut self, kind: &'static str, name: impl Into<Cow<'static, str>>) {
        *self.0.entry((kind, name.into())).or_default() += 1;
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

    /// An event that was applied; a person's word with what it was about.
    pub(crate) fn event(&mut self, before: &Task, event: &Event) {
        let production = matches!(
            before.phase,
            Phase::Waiting { why: WaitReason::Approval { what: ApprovalKind::Production, .. }, .. }
        );
        let name = match event {
            Event::Approved { .. } if production => "production approved",
            Event::Rejected { .. } if production => "production rejected",
            Event::Approved { .. } => "analysis approved",
            Event::Rejected { .. } => "analysis rejected",
            Event::TicketEdited { .. } if matches!(before.phase, Phase::Idle) => "ticket edited before the start",
            other => other.name(),
        };
        self.count("event", name);
        if event.actor().is_some() {
            self.count("wish", format!("{} while {}", event.name(), before.phase_word()));
        }
    }

    /// How often this was visited.
    pub fn visits(&self, kind: &str, name: &str) -> u64 {
        self.0.iter().find(|((k, n), _)| *k == kind && n == name).map_or(0, |(_, n)| *n)
    }

    /// Crashes that never met a phase in which they can happen.
    pub fn crashes_missing(&self) -> Vec<String> {
        let mut missing = Vec::new();
        for kind in CRASHES {
            for phase in words::PHASES {
                let cell = cell(kind, phase);
                // A task that was not started has no job; one that waits for a time or the lease seldom has a side one.
                let can = !(needs_a_job(kind) && ["idle", "holding", "waiting_for_lease"].contains(phase));
                if can && self.visits("crash", &cell) == 0 {
                    missing.push(cell);
                }
            }
        }
        missing
    }

    /// Adds what another life visited.
    pub fn add(&mut self, other: &Self) {
        for (key, n) in &other.0 {
            *self.0.entry(key.clone()).or_default() += n;
        }
    }

    /// Names of everything there is to visit that was visited fewer than `least` times.
    pub fn missing(&self, least: u64) -> Vec<String> {
        let all: [(&'static str, &[&'static str]); 10] = [
            ("effect", words::EFFECTS),
            ("phase", words::PHASES),
            ("wait", words::WAITS),
            ("block", words::BLOCKS),
            ("verdict", words::VERDICTS),
            ("done", words::OUTCOMES),
            ("fault", crate::FAULTS),
            ("event", words::EVENTS),
            ("answer", words::ANSWERS),
            ("watcher", words::WATCHERS),
        ];
        let mut missing = Vec::new();
        for (kind, names) in all {
            for name in names {
                let n = self.visits(kind, name);
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
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Its seed.
    pub seed: u64,
    /// Things that happened in it.
    pub steps: u64,
    /// What it visited.
    pub seen: Coverage,
    /// What did not hold.
    pub violation: Option<Violation>,
    /// The last things that happened, or all of them if a trace was asked for, each with its step.
    pub story: Vec<(u64, String)>,
    /// Where every task ended.
    pub ends: Vec<String>,
    /// What the journal says, if a trace was asked for.
    pub transcript: Vec<String>,
    pub(crate) choices: Vec<Line>,
}

impl Report {
    /// The story, a line for each thing that happened.
    pub fn told(&self) -> String {
        self.story.iter().fold(String::new(), |mut text, (step, told)| {
            let _ = writeln!(text, "{step:>5} {told}");
            text
        })
    }

    /// What a person needs to find the cause.
    pub fn scenario(&self, options: &str) -> String {
        let mut text = self.told();
        if let Some(Violation { invariant, what }) = &self.violation {
            let _ = writeln!(text, "seed {}: invariant_{invariant} does not hold: {what}", self.seed);
            let _ = writeln!(text, "replay: cargo run -p orch-sim -- --seed {} --trace{options}", self.seed);
        }
        text
    }
}
