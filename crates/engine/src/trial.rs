//! The project's tests or CI on a commit, run as often as it takes to tell whose fault a red is. What is to be run next, and
//! what it means, `orch_core::blame` says; here it is run, in the same way for both.

use crate::gates::bench::{Bench, CommandRun, ProjectCommand};
use crate::parts::Run;
use crate::quarantine::{self, Quarantine, Quarantined};
use crate::shell::REVISION;
use orch_artefacts::{failing, named};
use orch_core::blame::{self, Blame, Known, Runs, Seen, Tree};
use orch_core::ids::{ProjectKey, Sha};
use orch_core::run_of::RunOf;
use orch_core::verdict::{FaultKind, FaultNote, Finding};
use orch_ports::Fault;
use orch_ports::diff::DiffLimits;
use orch_ports::git::Git;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// What of a change is read to see which tests it brings, bytes.
const READ: DiffLimits = DiffLimits { text: 8 * 1024 * 1024, file: 1024 * 1024, files: 20_000, line: 2_000 };
/// A run that takes longer is not repeated more than it must be, milliseconds.
const SLOW_MS: u64 = 120_000;
/// A run in which more tests failed than this tells nothing about any of them.
const AT_ONCE: usize = 10;
/// Most tests that a sentence names.
const NAMED: usize = 5;

/// What is tried.
pub(crate) struct Trial<'a> {
    /// Name of its runs: `tests`, `ci`.
    pub(crate) name: &'a str,
    /// What its runs are, of what they run on.
    pub(crate) what: fn(String) -> RunOf,
    /// Shell line, and how people are told of it.
    pub(crate) run: &'a Run,
    /// Environment beyond the project's.
    pub(crate) env: BTreeMap<String, String>,
    /// Is the command told which commit it runs on, in `ORCH_REVISION`?
    pub(crate) tells_revision: bool,
    pub(crate) project: &'a ProjectKey,
    pub(crate) git: &'a dyn Git,
    pub(crate) bench: &'a dyn Bench,
    /// What is judged.
    pub(crate) head: &'a Sha,
    /// The commit of the default branch it stands on.
    pub(crate) base: &'a Sha,
    /// Is it the default branch itself that is judged, and no branch?
    pub(crate) is_base: bool,
    /// Where the default branch is, if the branch is judged again on top of it.
    pub(crate) tip: Option<&'a Sha>,
    pub(crate) artefact_dir: &'a str,
    /// Is it there to repair the base?
    pub(crate) repairs_base: bool,
}

/// A run, for the evidence.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Line {
    pub(crate) tree: Tree,
    pub(crate) commit: Sha,
    pub(crate) ok: bool,
    pub(crate) end: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) log: String,
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub(crate) failed: BTreeSet<String>,
}

/// What came of it.
#[derive(Debug, Serialize)]
pub(crate) struct Tried {
    /// Whose fault it is.
    pub(crate) blame: Blame,
    /// The run of the branch that shows it: the last red one, or the green one.
    pub(crate) run: CommandRun,
    /// Every run, in order.
    pub(crate) runs: Vec<Line>,
    /// Tests in quarantine that failed and were let be, with who said so.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) let_be: Quarantine,
}

impl Trial<'_> {
    /// Runs it until it is told.
    pub(crate) async fn run(&self) -> Result<Tried, Fault> {
        let mut seen: [Vec<Seen>; 3] = Default::default();
        let (mut red, mut green) = (None, None);
        let mut noted = Noted::default();
        let (quarantine, mut let_be) = (self.bench.quarantine().await?, Quarantine::new());
        let (mut runs, mut known, mut brings) = (Vec::new(), Known::default(), Brings::default());
        let blame = loop {
            let [branch, base, tip] = &seen;
            let tree = match blame::blame(Runs { branch, base, tip }, &known, |test| brings.test(test)) {
                Blame::Run { tree } => tree,
                told => break told,
            };
            let nth = seen[tree as usize].len() + 1;
            let ran = self.once(tree, nth).await?;
            let failed = if ran.ok { BTreeSet::new() } else { named::names(&ran.output) };
            let (quarantined, others) = quarantine::divided(failed.clone(), &quarantine);
            let ok = ran.ok || lets_through(&ran, &quarantined, &others);
            if tree == Tree::Branch {
                let_be.extend(
                    quarantined.into_iter().filter_map(|test| quarantine.get(&test).cloned().map(|q| (test, q))),
                );
            }
            let lacked = ran.lacked.clone();
            seen[tree as usize].push(Seen {
                ok,
                failed: if ok { BTreeSet::new() } else { others },
                in_setup: ran.failed_setup.is_some(),
                lacked,
            });
            let (commit, end, log) = (self.commit(tree).clone(), ran.end.clone(), ran.log.clone());
            runs.push(Line { tree, commit, ok: ran.ok, end, log, failed });
            if !ok && runs.len() == 1 {
                known = self.known(ran.took_ms).await?;
                brings = self.brings().await?;
            } else if 1 < runs.len() {
                // Known at once, and what others have met meanwhile: tasks that run side by side meet the same test.
                self.remember(&seen, &mut noted).await?;
                known.flaky = self.bench.flaky().await?;
                known.flaky_whole = known.flaky.contains(&self.whole());
            }
            if tree == Tree::Branch {
                let shown = if ok { &mut green } else { &mut red };
                *shown = Some(ran);
            }
        };
        let run = match &blame {
            Blame::Green | Blame::Chance { .. } => green.or(red),
            _ => red.or(green),
        };
        let run = run.ok_or_else(|| Fault::bug("nothing was run"))?;
        Ok(Tried { blame, run, runs, let_be })
    }

    fn commit(&self, tree: Tree) -> &Sha {
        match tree {
            Tree::Branch => self.head,
            Tree::Base => self.base,
            Tree::Tip => self.tip.unwrap_or(self.base),
        }
    }

    async fn once(&self, tree: Tree, nth: usize) -> Result<CommandRun, Fault> {
        let commit = self.commit(tree);
        let (name, of) = match tree {
            Tree::Branch if nth == 1 => (self.name.to_owned(), ""),
            Tree::Branch => (format!("{}-{nth}", self.name), ""),
            Tree::Base => (format!("{}-base-{nth}", self.name), "the base "),
            Tree::Tip => (format!("{}-tip-{nth}", self.name), "the tip "),
        };
        let again = if nth == 1 { String::new() } else { format!(", run {nth}") };
        let what = (self.what)(format!("{of}{}{again}", commit.short()));
        let mut env = self.env.clone();
        if self.tells_revision {
            env.insert(REVISION.to_owned(), commit.to_string());
        }
        let command = ProjectCommand { name, what, line: &self.run.line, commit, env, setup: true };
        self.bench.run(&command).await
    }

    async fn known(&self, took_ms: u64) -> Result<Known, Fault> {
        let digest = async |commit| self.git.code_digest(self.project, commit, self.artefact_dir).await;
        let is_base = self.is_base || self.head != self.base && digest(self.head).await? == digest(self.base).await?;
        let has_base = self.head != self.base && !is_base;
        let moved = self.tip.is_some_and(|tip| tip != self.base);
        let flaky = self.bench.flaky().await?;
        let flaky_whole = flaky.contains(&self.whole());
        Ok(Known {
            flaky,
            flaky_whole,
            slow: SLOW_MS < took_ms,
            has_base,
            is_base,
            moved,
            repairs_base: self.repairs_base,
        })
    }

    /// Stands for a test where the runner names none.
    fn whole(&self) -> String {
        format!("`{}`", self.run.shown)
    }

    async fn brings(&self) -> Result<Brings, Fault> {
        let diff = self.git.diff(self.project, self.base, self.head, READ).await?;
        Ok(Brings::of(&diff.text))
    }

    /// Tests that were red and green on one tree are known from now on.
    async fn remember(&self, seen: &[Vec<Seen>; 3], noted: &mut Noted) -> Result<(), Fault> {
        // So many at once are an accident, and what a machine lacked is none of the tests' doing.
        let counts = |seen: &&Seen| seen.lacked.is_none() && seen.failed.len() <= AT_ONCE;
        let failed =
            |all: &[Seen]| all.iter().filter(counts).flat_map(|seen| seen.failed.clone()).collect::<BTreeSet<_>>();
        let both = |all: &[Seen]| all.iter().any(|seen| seen.ok) && all.iter().any(|seen| !seen.ok);
        let [branch, base, tip] = seen;
        let of = |all: &[Seen]| if both(all) { failed(all) } else { BTreeSet::new() };
        let elsewhere: BTreeSet<String> = of(base).union(&of(tip)).cloned().collect();
        let mut tests: BTreeSet<String> = [of(branch), of(base), of(tip)].into_iter().flatten().collect();
        let named = seen.iter().flatten().any(|seen| !seen.failed.is_empty() || seen.lacked.is_some());
        if !named && seen.iter().any(|all| both(all)) {
            tests.insert(self.whole());
        }
        // Of the default branch as it is, all of them are.
        let is_main = |test: &&String| self.is_base || elsewhere.contains(*test);
        let on_main = tests.iter().filter(is_main).cloned().collect();
        let now = (tests, on_main);
        if now != *noted {
            self.bench.note_flaky(&now.0, &now.1).await?;
            *noted = now;
        }
        Ok(())
    }
}

/// Did a run fail at nothing but what is in quarantine? `let_be` and `failed`: as [`quarantine::divided`] gives them.
fn lets_through(ran: &CommandRun, let_be: &BTreeSet<String>, failed: &BTreeSet<String>) -> bool {
    let no_other_cause = ran.exited && ran.failed_setup.is_none() && ran.lacked.is_none();
    !ran.ok && no_other_cause && failed.is_empty() && !let_be.is_empty()
}

/// Tests that were written down as failing by chance, and those of them that do on the default branch.
type Noted = (BTreeSet<String>, BTreeSet<String>);

/// What a change adds, to see which tests it brings. What it only moves it does not bring.
#[derive(Default)]
struct Brings {
    added: String,
    removed: String,
}

impl Brings {
    fn of(diff: &str) -> Self {
        let mut brings = Self::default();
        for line in diff.lines() {
            let (kept, header) = match line.as_bytes().first() {
                Some(b'+') => (&mut brings.added, "+++ "),
                Some(b'-') => (&mut brings.removed, "--- "),
                _ => continue,
            };
            if !line.starts_with(header) {
                kept.push_str(&line[1..]);
                kept.push('\n');
            }
        }
        brings
    }

    fn test(&self, name: &str) -> bool {
        named::is_among(name, &self.added) && !named::is_among(name, &self.removed)
    }
}

/// What a trial that holds somebody up or lets something through means, in words.
impl Tried {
    /// Is it green here, and not on the tip alone or because a test is in quarantine?
    pub(crate) fn is_green_by_itself(&self) -> bool {
        self.let_be.is_empty() && matches!(self.blame, Blame::Green | Blame::Chance { .. })
    }

    /// Why nothing can be told; `None`: it can.
    pub(crate) fn cannot(&self, line: &str) -> Option<FaultNote> {
        let base = self.runs.iter().rev().find(|run| run.tree != Tree::Branch);
        let text = match &self.blame {
            Blame::Base => {
                let (commit, end) =
                    base.map_or_else(Default::default, |run| (run.commit.short().to_owned(), run.end.clone()));
                let failed = base.map(|run| list(&run.failed)).unwrap_or_default();
                let setup =
                    self.run.failed_setup.as_ref().map(|setup| format!(" (the setup `{setup}`)")).unwrap_or_default();
                format!(
                    "the base itself fails: `{line}`{setup} on {commit}: {end}{failed}; {}",
                    last_line(&self.run.output)
                )
            }
            Blame::Unlucky { tests } => format!(
                "tests that are known to fail by chance failed in {} runs of the same tree{}",
                self.runs.iter().filter(|run| run.tree == Tree::Branch).count(),
                list(tests)
            ),
            Blame::Machine { lacked } => format!("`{line}`: {}, and {lacked}", self.run.end),
            Blame::Run { .. } | Blame::Green | Blame::Chance { .. } | Blame::Branch { .. } | Blame::BaseBefore => {
                return None;
            }
        };
        Some(FaultNote::new(FaultKind::Permanent, text.trim_end_matches("; ").to_owned()))
    }

    /// What it saw less than it should, though it lets through.
    pub(crate) fn degraded(&self) -> Option<String> {
        let lets_through = matches!(self.blame, Blame::Green | Blame::Chance { .. } | Blame::BaseBefore);
        let said = |(test, q): (&String, &Quarantined)| {
            format!("failed in quarantine until {}: {test}, let be by {}: {}", q.day, q.by, q.because)
        };
        let let_be = self.let_be.iter().take(NAMED).filter(|_| lets_through).map(said);
        let all: Vec<String> = self.by_chance().into_iter().chain(let_be).collect();
        (!all.is_empty()).then(|| all.join("; "))
    }

    fn by_chance(&self) -> Option<String> {
        let of = |tree: Tree| self.runs.iter().filter(move |run| run.tree == tree);
        match &self.blame {
            Blame::Chance { tests } => {
                let (all, red) = (of(Tree::Branch).count(), of(Tree::Branch).filter(|run| !run.ok).count());
                let what = if tests.is_empty() { " without naming a test".to_owned() } else { list(tests) };
                Some(format!("failed by chance: {red} of {all} runs of the same tree failed{what}"))
            }
            Blame::BaseBefore => {
                let failed = of(Tree::Base).next_back().map(|run| list(&run.failed)).unwrap_or_default();
                Some(format!(
                    "the base fails in the same way{failed}, and the default branch is green since: it is judged again on top of that"
                ))
            }
            _ => None,
        }
    }

    /// What the developer is to repair.
    pub(crate) fn findings(&self, what: &str) -> Vec<Finding> {
        self.flaky().chain(failing::findings(what, &self.run.output)).collect()
    }

    /// Tests that fail by chance since the branch.
    pub(crate) fn flaky(&self) -> impl Iterator<Item = Finding> {
        let tests = if let Blame::Branch { flaky } = &self.blame { Some(flaky) } else { None };
        tests.into_iter().flatten().take(AT_ONCE).map(|test| {
            let runs = || self.runs.iter().filter(|run| run.tree == Tree::Branch);
            let red = runs().filter(|run| run.failed.contains(test)).count();
            let text = format!(
                "flaky since this branch: {test} failed in {red} of {} runs of the same tree, and does not on the default \
                 branch; make it pass every time",
                runs().count()
            );
            Finding { id: Some(test.clone()), ..Finding::must_fix(text) }
        })
    }
}

/// `: a, b and 3 more`.
fn list(tests: &BTreeSet<String>) -> String {
    if tests.is_empty() {
        return String::new();
    }
    let some: Vec<&str> = tests.iter().take(NAMED).map(String::as_str).collect();
    let more = tests.len().saturating_sub(NAMED);
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    format!(": {}{more}", some.join(", "))
}

/// The last line that says anything, cut.
fn last_line(output: &str) -> String {
    let line = output.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    line.chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_that_a_change_only_moves_is_not_brought_by_it() {
        let diff = "--- a/x.rs\n+++ b/new_test.rs\n+fn total() {}\n-fn old() {}\n+fn old() {}\n context() {}\n";
        let brings = Brings::of(diff);
        assert!(brings.test("cart::total"));
        assert!(!brings.test("cart::old") && !brings.test("cart::context") && !brings.test("b::new_test"));
    }

    #[test]
    fn only_a_run_that_ended_by_itself_and_failed_at_nothing_else_is_let_through() {
        let set = |tests: &[&str]| tests.iter().map(|t| (*t).to_owned()).collect::<BTreeSet<_>>();
        let test = Quarantined {
            day: "2026-12-31".into(),
            until: orch_core::ids::Time(1),
            by: "local:anna".into(),
            at: orch_core::ids::Time(0),
            because: "flaky".into(),
        };
        let all = Quarantine::from([("cart::total".to_owned(), test)]);
        let ran = CommandRun {
            ok: false,
            exited: true,
            end: "exit 101".into(),
            tail: String::new(),
            log: String::new(),
            failed_setup: None,
            took_ms: 0,
            lacked: None,
            output: String::new(),
        };
        let through = |ran: &CommandRun, failed: &[&str]| {
            let (let_be, failed) = quarantine::divided(set(failed), &all);
            lets_through(ran, &let_be, &failed)
        };
        assert!(through(&ran, &["cart::total"]));
        assert!(!through(&ran, &["cart::total", "cart::other"]), "another one failed");
        assert!(!through(&ran, &["cart::tot"]), "a name is the whole name");
        assert!(!through(&ran, &[]), "a red that names no test, such as a build");
        assert!(!through(&CommandRun { exited: false, ..ran.clone() }, &["cart::total"]), "a crash or a limit");
        assert!(!through(&CommandRun { failed_setup: Some("make".into()), ..ran.clone() }, &["cart::total"]));
        assert!(!through(&CommandRun { lacked: Some("disk".into()), ..ran.clone() }, &["cart::total"]));
        assert!(!through(&CommandRun { ok: true, ..ran }, &["cart::total"]), "green is green by itself");
    }
}
