//! What takes too long for every change: more lives, more worlds, every planted bug. Each step's last result is a row of
//! `docs/nightly.md`, with the commit it ran on; the page is committed. A step that fails keeps its row and says so.

use crate::cargo::{self, root};
use anyhow::{Context as _, Result, ensure};
use clap::Args;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

/// The page with the results.
const PAGE: &str = "docs/nightly.md";

#[derive(Args)]
pub(crate) struct NightlyArgs {
    /// Only the step of this name, several times if need be
    #[arg(long)]
    only: Vec<String>,
    /// Say which steps there are, and run nothing
    #[arg(long)]
    list: bool,
}

/// A step: its name, the program, its arguments, and what it is for.
struct Step {
    name: &'static str,
    program: &'static str,
    arguments: &'static [&'static str],
    shows: &'static str,
}

const STEPS: [Step; 8] = [
    Step {
        name: "lives",
        program: "orch-sim",
        arguments: &["--seeds", "5000", "--start", "100000"],
        shows: "5,000 random lives of core and store, other ones than the tests live",
    },
    Step {
        name: "lives-on-disk",
        program: "orch-sim",
        arguments: &["--seeds", "500", "--start", "200000", "--on", "file"],
        shows: "500 lives whose database is a file, opened again at every crash",
    },
    Step {
        name: "mutants",
        program: "xtask",
        arguments: &["mutants", "--all", "--seeds", "10000"],
        shows: "every planted bug, with five times as many lives before it has survived",
    },
    Step {
        name: "trees",
        program: "xtask",
        arguments: &["torture", "trees", "--count", "150", "--seed", "9"],
        shows: "150 hostile process trees in every way and end",
    },
    Step {
        name: "kills",
        program: "xtask",
        arguments: &["torture", "kills", "--count", "300", "--seed", "3000"],
        shows: "300 kills of daemon, supervisors and agents",
    },
    Step {
        name: "faults",
        program: "xtask",
        arguments: &["torture", "faults", "--worlds", "20", "--seed", "2000"],
        shows: "20 worlds of faults before and behind the calls of ports and store",
    },
    Step {
        name: "zombies",
        program: "xtask",
        arguments: &["torture", "zombies", "--count", "100", "--seed", "4000"],
        shows: "100 workers paused past their claim",
    },
    Step {
        name: "clock",
        program: "xtask",
        arguments: &["torture", "clock-and-faults", "--count", "8", "--seed", "700"],
        shows: "the wall clock jumps a day while calls fail",
    },
];

/// The last result of a step, as the page has it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Row {
    commit: String,
    seconds: u64,
    ok: bool,
    last: String,
}

pub(crate) fn run(args: &NightlyArgs) -> Result<()> {
    let mut out = std::io::stdout();
    for name in &args.only {
        ensure!(STEPS.iter().any(|s| s.name == name), "there is no step `{name}`: `cargo xtask nightly --list`");
    }
    if args.list {
        for step in &STEPS {
            writeln!(out, "{:<14} {}", step.name, step.shows)?;
        }
        return Ok(());
    }
    let commit = commit()?;
    let mut failed = Vec::new();
    for step in STEPS.iter().filter(|s| args.only.is_empty() || args.only.iter().any(|name| name == s.name)) {
        writeln!(out, "\n== {}: {}", step.name, step.shows)?;
        out.flush()?;
        let (began, exe) = (Instant::now(), cargo::program(step.program, &[])?);
        let ran = Command::new(exe).args(step.arguments).current_dir(root()).output();
        let ran = ran.with_context(|| format!("start {}", step.program))?;
        out.write_all(&ran.stdout)?;
        out.write_all(&ran.stderr)?;
        let ok = ran.status.success();
        if !ok {
            failed.push(step.name);
        }
        let row = Row { commit: commit.clone(), seconds: began.elapsed().as_secs(), ok, last: last_line(&ran.stdout) };
        // After each, so that what ran is kept when the night ends early.
        let page = root().join(PAGE);
        let mut rows = fs::read_to_string(&page).map(|text| rows(&text)).unwrap_or_default();
        rows.insert(step.name.to_owned(), row);
        write(&page, &rows)?;
    }
    writeln!(out, "\nwrote {PAGE}: commit it")?;
    ensure!(failed.is_empty(), "these failed: {}", failed.join(", "));
    Ok(())
}

fn commit() -> Result<String> {
    let git = |args: &[&str]| -> Result<String> {
        let said = Command::new("git").args(args).current_dir(root()).output().context("start git")?;
        ensure!(said.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&said.stderr).trim());
        Ok(String::from_utf8_lossy(&said.stdout).trim().to_owned())
    };
    // Its own page is no change of what ran.
    let others = git(&["status", "--porcelain", "--", ".", ":!docs/nightly.md"])?;
    let head = git(&["rev-parse", "--short=12", "HEAD"])?;
    Ok(if others.is_empty() { head } else { format!("{head} and uncommitted changes") })
}

/// The last line that says what it came to, fit for a table: of a table of numbers the last row says nothing.
fn last_line(output: &[u8]) -> String {
    let text = String::from_utf8_lossy(output);
    let lines = || text.lines().rev().map(str::trim).filter(|line| !line.is_empty());
    let says = |line: &&str| ["violation", " lives, ", "not caught", "survived"].iter().any(|word| line.contains(word));
    let last = lines().find(says).or_else(|| lines().next()).unwrap_or("(nothing was printed)");
    last.replace('|', "/").chars().take(160).collect()
}

fn rows(page: &str) -> BTreeMap<String, Row> {
    let row = |line: &str| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [name, _, commit, seconds, result, last] = cells[..] else { return None };
        let row = Row {
            commit: commit.trim_matches('`').to_owned(),
            seconds: seconds.replace(',', "").parse().ok()?,
            ok: result == "passed",
            last: last.to_owned(),
        };
        Some((name.to_owned(), row))
    };
    page.lines().filter(|line| line.starts_with("| ")).filter_map(row).collect()
}

fn write(page: &Path, rows: &BTreeMap<String, Row>) -> Result<()> {
    let mut text = String::from(
        "# Nightly\n\nWhat takes too long for every change runs with `cargo xtask nightly`: all of it, or `--only STEP`. This page is \
         written\nby that command and committed; each row is the last result of its step, on the commit it names.\n\n\
         | step | what it shows | commit | seconds | result | its last line |\n|---|---|---|---|---|---|\n",
    );
    for step in &STEPS {
        let Some(row) = rows.get(step.name) else {
            let _ = writeln!(text, "| {} | {} | - | - | not run yet | - |", step.name, step.shows);
            continue;
        };
        let result = if row.ok { "passed" } else { "FAILED" };
        let Row { commit, seconds, last, .. } = row;
        let _ = writeln!(text, "| {} | {} | `{commit}` | {seconds} | {result} | {last} |", step.name, step.shows);
    }
    fs::write(page, text).with_context(|| format!("write {}", page.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_says_what_a_step_came_to_and_not_the_last_number_of_its_table() {
        assert_eq!(last_line(b"8 worlds, 0 violations\n\nby outage:\n  +1 days   2\n"), "8 worlds, 0 violations");
        assert_eq!(last_line(b"one\ntwo | three\n\n"), "two / three");
        assert_eq!(last_line(b"\n"), "(nothing was printed)");
    }

    #[test]
    fn a_row_stays_as_it_is_while_others_are_run_again() {
        let dir = tempfile::tempdir().unwrap();
        let page = dir.path().join("nightly.md");
        let row = |ok, last: &str| Row { commit: "c1".into(), seconds: 1_234, ok, last: last.into() };
        let first = BTreeMap::from([
            ("lives".to_owned(), row(true, "5000 lives, 0 violations")),
            ("trees".to_owned(), row(false, "(nothing was printed)")),
        ]);
        write(&page, &first).unwrap();
        let text = fs::read_to_string(&page).unwrap();
        assert_eq!(rows(&text), first);
        assert!(text.contains("| kills | 300 kills") && text.contains("not run yet"));
        assert_eq!(last_line(b"one\ntwo | three\n\n"), "two / three");
    }
}
