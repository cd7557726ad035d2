//! What a run of trees found, in a form that adds up: counts and histograms only.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Milliseconds, and how often.
pub(crate) type Histogram = BTreeMap<u64, u64>;

/// What became of the trees of one end.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) tried: u64,
    pub(crate) recorded: u64,
    pub(crate) lost: u64,
    /// Living processes seen before the end.
    pub(crate) processes: u64,
    /// Living processes seen two seconds after it.
    pub(crate) survivors: u64,
    /// Killed by the control group; by descent, the supervisor living; by other evidence, the supervisor dead.
    pub(crate) by_group: u64,
    pub(crate) by_descent: u64,
    pub(crate) by_evidence: u64,
}

/// Which trees were counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Part {
    pub(crate) commit: String,
    pub(crate) seed: u64,
    pub(crate) from: u64,
    /// The first that was not counted: where to resume.
    pub(crate) to: u64,
}

/// The whole run, or several added up.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Summary {
    pub(crate) parts: Vec<Part>,
    pub(crate) trees: u64,
    pub(crate) bystanders: u64,
    pub(crate) bystanders_hit: u64,
    /// By ladder (with or without control groups), then by end.
    pub(crate) ends: BTreeMap<String, BTreeMap<String, Row>>,
    /// By way, then by end: how many trees had it.
    pub(crate) ways: BTreeMap<String, BTreeMap<String, u64>>,
    pub(crate) latency_ms: BTreeMap<String, Histogram>,
    /// What was left out, and how often.
    pub(crate) left_out: BTreeMap<String, u64>,
    /// What must not happen, with the command that shows it again.
    pub(crate) violations: Vec<String>,
}

impl Summary {
    /// Nothing yet of the trees of a seed from `from` on.
    pub(crate) fn of(commit: &str, seed: u64, from: u64) -> Self {
        let part = Part { commit: commit.to_owned(), seed, from, to: from };
        Self { parts: vec![part], ..Self::default() }
    }

    /// All trees before `to` are counted now.
    pub(crate) fn counted_to(&mut self, to: u64) {
        if let Some(part) = self.parts.last_mut() {
            part.to = to;
        }
    }

    pub(crate) fn row(&mut self, ladder: &str, end: &str) -> &mut Row {
        self.ends.entry(ladder.to_owned()).or_default().entry(end.to_owned()).or_default()
    }

    pub(crate) fn took(&mut self, what: &str, ms: u64) {
        *self.latency_ms.entry(what.to_owned()).or_default().entry(ms).or_default() += 1;
    }

    /// Adds another run to this one.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.parts.extend(other.parts.iter().cloned());
        self.trees += other.trees;
        self.bystanders += other.bystanders;
        self.bystanders_hit += other.bystanders_hit;
        for (ladder, ends) in &other.ends {
            for (end, theirs) in ends {
                let row = self.row(ladder, end);
                row.tried += theirs.tried;
                row.recorded += theirs.recorded;
                row.lost += theirs.lost;
                row.processes += theirs.processes;
                row.survivors += theirs.survivors;
                row.by_group += theirs.by_group;
                row.by_descent += theirs.by_descent;
                row.by_evidence += theirs.by_evidence;
            }
        }
        add(&mut self.ways, &other.ways);
        add(&mut self.latency_ms, &other.latency_ms);
        for (what, n) in &other.left_out {
            *self.left_out.entry(what.clone()).or_default() += n;
        }
        self.violations.extend(other.violations.iter().cloned());
    }

    /// For people.
    pub(crate) fn table(&self) -> String {
        let mut out = String::new();
        for Part { commit, seed, from, to } in &self.parts {
            let _ = writeln!(out, "commit {commit}, seed {seed}, trees {from} to {to}");
        }
        let (trees, bystanders, hit) = (self.trees, self.bystanders, self.bystanders_hit);
        let _ = writeln!(out, "{trees} trees; {bystanders} bystanders, {hit} hit");
        let _ = writeln!(
            out,
            "\n| ladder | end | trees | record | lost | processes | killed by group | by descent | by evidence | survivors |"
        );
        let _ = writeln!(out, "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|");
        for (ladder, ends) in &self.ends {
            for (end, r) in ends {
                let _ = writeln!(
                    out,
                    "| {ladder} | {end} | {} | {} | {} | {} | {} | {} | {} | {} |",
                    r.tried, r.recorded, r.lost, r.processes, r.by_group, r.by_descent, r.by_evidence, r.survivors
                );
            }
        }
        let ends: Vec<&String> = {
            let mut all: Vec<&String> = self.ways.values().flat_map(BTreeMap::keys).collect();
            all.sort();
            all.dedup();
            all
        };
        let _ = write!(out, "\n| trees with |");
        for end in &ends {
            let _ = write!(out, " {end} |");
        }
        let _ = writeln!(out, "\n|---|{}", "--:|".repeat(ends.len()));
        for (way, counts) in &self.ways {
            let _ = write!(out, "| {way} |");
            for end in &ends {
                let _ = write!(out, " {} |", counts.get(*end).copied().unwrap_or(0));
            }
            let _ = writeln!(out);
        }
        let _ = writeln!(out, "\n| milliseconds | n | p50 | p99 | max |\n|---|--:|--:|--:|--:|");
        for (what, histogram) in &self.latency_ms {
            let n: u64 = histogram.values().sum();
            let (p50, p99) = (quantile(histogram, 50), quantile(histogram, 99));
            let _ = writeln!(out, "| {what} | {n} | {p50} | {p99} | {} |", quantile(histogram, 100));
        }
        for (what, n) in &self.left_out {
            let _ = writeln!(out, "\nnot exercised: {what} ({n} times)");
        }
        out
    }
}

fn add<K: Ord + Clone>(mine: &mut BTreeMap<String, BTreeMap<K, u64>>, theirs: &BTreeMap<String, BTreeMap<K, u64>>) {
    for (what, counts) in theirs {
        let sums = mine.entry(what.clone()).or_default();
        for (key, n) in counts {
            *sums.entry(key.clone()).or_default() += n;
        }
    }
}

/// The smallest value that `percent` of all are not above.
pub(crate) fn quantile(histogram: &Histogram, percent: u64) -> u64 {
    let wanted = (histogram.values().sum::<u64>() * percent).div_ceil(100);
    let mut seen = 0;
    for (value, n) in histogram {
        seen += n;
        if seen >= wanted {
            return *value;
        }
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_runs_add_up_to_one() {
        let mut a = Summary { trees: 2, ..Summary::default() };
        a.row("with", "exit").tried = 2;
        a.took("end", 5);
        a.took("end", 9);
        let mut b = Summary { trees: 1, violations: vec!["v".into()], ..Summary::default() };
        b.row("with", "exit").tried = 1;
        b.row("with", "exit").survivors = 1;
        b.took("end", 9);
        a.merge(&b);
        assert_eq!((a.trees, a.row("with", "exit").tried, a.row("with", "exit").survivors), (3, 3, 1));
        assert_eq!((quantile(&a.latency_ms["end"], 50), quantile(&a.latency_ms["end"], 30)), (9, 5));
        assert_eq!(a.violations, ["v"]);
    }
}
