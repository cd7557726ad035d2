//! A session: world after world until enough was tried, with one line of a state file for each, so that it can be broken
//! off and taken up again, and with a table at the end that adds up.

use crate::modes::outages::{self, Outage};
use crate::modes::{Binaries, faults, kills, power, zombies};
use crate::outcome::{Outcome, table};
use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::PathBuf;

/// A line of the state file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Entry {
    /// Commit the world ran on.
    pub commit: String,
    /// Were there changes that are not committed?
    pub dirty: bool,
    /// What came of it.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// What to do.
pub struct Session<'a> {
    /// Progress and tables go here.
    pub out: &'a mut dyn Write,
    /// The daemons.
    pub binaries: Binaries,
    /// File with one line per world, if it is to be kept.
    pub state: Option<PathBuf>,
    /// Commit of the daemons.
    pub commit: String,
    /// Were they built from something else, too?
    pub dirty: bool,
    /// First seed.
    pub seed: u64,
    /// At points with this in their name only.
    pub only: Option<String>,
}

impl Session<'_> {
    /// SIGKILLs until there were `count`, `per_world` in each world.
    pub fn kills(&mut self, count: u64, per_world: u64) -> Result<Vec<Outcome>> {
        let mut done = self.before("kills")?;
        while total(&done, "kills") < count {
            let kills = per_world.max(1).min(count - total(&done, "kills"));
            let seed = self.seed + done.len() as u64;
            let outcome = kills::world(&self.binaries.plain, seed, kills)?;
            self.note(&outcome, &format!("{} of {count} kills", total(&done, "kills") + outcome.of("kills")))?;
            let stands_still = outcome.of("kills") == 0;
            done.push(outcome);
            if stands_still {
                break;
            }
        }
        Ok(done)
    }

    /// Every fault at every point, once; at most so many worlds.
    pub fn faults(&mut self, worlds: u64) -> Result<Vec<Outcome>> {
        let mut done = self.before("faults")?;
        let points = faults::points(&self.binaries.faulty)?;
        let mut left = faults::Left::all(&points, self.seed);
        let struck: BTreeSet<String> = done
            .iter()
            .flat_map(|o| o.counts.keys())
            .filter_map(|name| Some(name.strip_prefix("struck/")?.to_owned()))
            .collect();
        let only = self.only.clone();
        left.items.retain(|i| {
            let name = i.name();
            only.as_ref().map_or(!struck.contains(&name), |o| name.contains(o.as_str()))
        });
        let planned = left.items.len();
        writeln!(self.out, "faults: {} points, {planned} faults to try", points.len())?;
        let mut new = 0;
        while !left.items.is_empty() && new < worlds {
            let seed = self.seed + done.len() as u64;
            let mut outcome = faults::world(&self.binaries.faulty, seed, &mut left, only.as_deref())?;
            if left.items.is_empty() {
                for item in &left.unreached {
                    outcome.count(format!("faults whose point was never reached/{}", item.method()));
                }
            }
            self.note(&outcome, &format!("{} of {planned} faults left", left.items.len()))?;
            done.push(outcome);
            new += 1;
        }
        Ok(done)
    }

    /// Paused workers until `count` of them had lost their claim.
    pub fn zombies(&mut self, count: u64, per_world: u64) -> Result<Vec<Outcome>> {
        let mut done = self.before("zombies")?;
        let points = faults::points(&self.binaries.faulty)?;
        let mut tried = BTreeMap::new();
        while total(&done, "zombies") < count {
            let zombies = per_world.max(1).min(count - total(&done, "zombies"));
            let seed = self.seed + done.len() as u64;
            let only = self.only.as_deref();
            let outcome = zombies::world(&self.binaries.faulty, seed, zombies, &points, &mut tried, only)?;
            self.note(&outcome, &format!("{} of {count} zombies", total(&done, "zombies") + outcome.of("zombies")))?;
            let stands_still = outcome.of("zombies") == 0;
            done.push(outcome);
            if stands_still {
                break;
            }
        }
        Ok(done)
    }

    /// Outages of one kind until there were `count`.
    pub fn outages(&mut self, outage: Outage, count: u64, per_world: u64) -> Result<Vec<Outcome>> {
        let mut done = self.before(outage.name())?;
        while total(&done, "outages") < count {
            let times = per_world.max(1).min(count - total(&done, "outages"));
            let seed = self.seed + done.len() as u64;
            let orch = match outage {
                Outage::Disk | Outage::Nofile => &self.binaries.plain,
                Outage::Io | Outage::Clock | Outage::ClockAndFaults => &self.binaries.faulty,
            };
            let outcome = outages::world(outage, orch, seed, times)?;
            self.note(&outcome, &format!("{} of {count} outages", total(&done, "outages") + outcome.of("outages")))?;
            let stands_still = outcome.of("outages") == 0;
            done.push(outcome);
            if stands_still {
                break;
            }
        }
        Ok(done)
    }

    /// Power cuts until there were `count`; `from` is the number of the first world.
    pub fn power(&mut self, count: u64, per_world: u64, from: u64) -> Result<Vec<Outcome>> {
        let mut done = self.before("power")?;
        while total(&done, "cuts") < count {
            let cuts = per_world.max(1).min(count - total(&done, "cuts"));
            let seed = self.seed + from + done.len() as u64;
            let outcome = power::world(&self.binaries.plain, seed, cuts)?;
            self.note(&outcome, &format!("{} of {count} cuts", total(&done, "cuts") + outcome.of("cuts")))?;
            let stands_still = outcome.of("cuts") == 0;
            done.push(outcome);
            if stands_still {
                break;
            }
        }
        Ok(done)
    }

    /// Worlds of a mode that were lived through in earlier sessions.
    fn before(&self, mode: &str) -> Result<Vec<Outcome>> {
        // One fault alone is a look at a detail, not a part of the whole.
        let Some(file) = self.state.as_ref().filter(|_| self.only.is_none()) else { return Ok(Vec::new()) };
        let entries = read(file)?.into_iter().filter(|e| e.outcome.mode == mode && e.outcome.skipped.is_none());
        Ok(entries.map(|e| e.outcome).collect())
    }

    /// Says and keeps what came of a world.
    fn note(&mut self, outcome: &Outcome, progress: &str) -> Result<()> {
        let Outcome { mode, seed, seconds, .. } = outcome;
        if let Some(why) = &outcome.skipped {
            writeln!(self.out, "{mode}: skipped: {why}")?;
        } else {
            let found = outcome.problems.len();
            writeln!(self.out, "{mode}: seed {seed}, {seconds} s, {progress}, {found} violations")?;
            for problem in &outcome.problems {
                writeln!(self.out, "  - {problem}")?;
            }
            if let Some(kept) = &outcome.kept {
                writeln!(self.out, "  kept in {kept}; again: {}", outcome.again)?;
            }
        }
        self.out.flush()?;
        if let Some(file) = &self.state {
            let entry = Entry { commit: self.commit.clone(), dirty: self.dirty, outcome: outcome.clone() };
            let mut file = OpenOptions::new().create(true).append(true).open(file)?;
            file.write_all(format!("{}\n", serde_json::to_string(&entry)?).as_bytes())?;
            file.sync_data()?;
        }
        Ok(())
    }
}

fn total(outcomes: &[Outcome], name: &str) -> u64 {
    outcomes.iter().map(|o| o.of(name)).sum()
}

/// Reads a state file; a last line that was cut off is left out, for its world is lived again.
pub fn read(file: &PathBuf) -> Result<Vec<Entry>> {
    let text = match fs::read_to_string(file) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(e).with_context(|| format!("read {}", file.display())),
    };
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole.lines().map(|l| serde_json::from_str(l).with_context(|| format!("read {}: {l}", file.display()))).collect()
}

/// Sums of what was tried and found, mode by mode; whether nothing was found.
pub fn report(out: &mut dyn Write, entries: &[Entry]) -> Result<bool> {
    let modes: BTreeSet<&str> = entries.iter().map(|e| e.outcome.mode.as_str()).collect();
    let mut well = true;
    for mode in modes {
        let mine: Vec<&Entry> = entries.iter().filter(|e| e.outcome.mode == mode).collect();
        let mut counts: BTreeMap<String, u64> = BTreeMap::new();
        let mut commits: BTreeMap<String, u64> = BTreeMap::new();
        for entry in &mine {
            for (name, n) in &entry.outcome.counts {
                // Each of these is one; they are there for the next session, not for people.
                if !name.starts_with("struck/") {
                    *counts.entry(name.clone()).or_default() += n;
                }
            }
            let dirty = if entry.dirty { " with changes" } else { "" };
            *commits.entry(format!("{}{dirty}", entry.commit)).or_default() += 1;
        }
        let seconds: u64 = mine.iter().map(|e| e.outcome.seconds).sum();
        let found: u64 = mine.iter().map(|e| e.outcome.problems.len() as u64).sum();
        let commits: Vec<String> = commits.iter().map(|(commit, n)| format!("{n} on {commit}")).collect();
        writeln!(out, "\n{mode}: {} worlds ({}), {seconds} s, {found} violations", mine.len(), commits.join(", "))?;
        for why in mine.iter().filter_map(|e| e.outcome.skipped.as_ref()) {
            writeln!(out, "  skipped: {why}")?;
        }
        write!(out, "{}", table(&counts))?;
        for entry in mine.iter().filter(|e| !e.outcome.problems.is_empty()) {
            well = false;
            writeln!(out, "  violated: {}", entry.outcome.again)?;
            for problem in &entry.outcome.problems {
                writeln!(out, "    - {problem}")?;
            }
        }
    }
    Ok(well)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(mode: &str, kills: u64, problem: Option<&str>) -> Entry {
        let mut outcome = Outcome { mode: mode.into(), again: format!("again {kills}"), ..Outcome::default() };
        outcome.add("kills", kills);
        outcome.add("phase/merging", 1);
        outcome.problems.extend(problem.map(str::to_owned));
        Entry { commit: "abc".into(), dirty: kills == 7, outcome }
    }

    #[test]
    fn a_report_adds_up_and_says_how_to_see_a_violation_again() {
        let mut out = Vec::new();
        let entries = [entry("kills", 5, None), entry("kills", 7, None), entry("faults", 1, None)];
        assert!(report(&mut out, &entries).unwrap());
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains("kills: 2 worlds (1 on abc, 1 on abc with changes)"), "{text}");
        let row = |name: &str, n: &str| text.lines().any(|l| l.split_whitespace().eq([name, n]));
        assert!(row("kills", "12") && row("merging", "2"), "{text}");

        let mut out = Vec::new();
        assert!(!report(&mut out, &[entry("kills", 3, Some("merged twice"))]).unwrap());
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains("again 3") && text.contains("merged twice"), "{text}");
    }

    #[test]
    fn a_session_that_broke_off_is_taken_up_where_it_was() {
        let temp = tempfile::tempdir().unwrap();
        let file = temp.path().join("state");
        let line = serde_json::to_string(&entry("kills", 5, None)).unwrap();
        fs::write(&file, format!("{line}\n{}", &line[..20])).unwrap();
        let binaries = Binaries { plain: "a".into(), faulty: "b".into() };
        let mut out = Vec::new();
        let state = Some(file.clone());
        let only = None;
        let mut session = Session { out: &mut out, binaries, state, commit: "abc".into(), dirty: false, seed: 1, only };
        // All there is to do was done before: no world is begun, for there is no daemon.
        assert_eq!(session.kills(5, 5).unwrap().len(), 1);
        assert!(session.kills(6, 5).is_err());
        assert_eq!(read(&file).unwrap().len(), 1);
    }
}
