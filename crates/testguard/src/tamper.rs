//! Were tests taken away? It decides, from the files of a change before and after, which tests are gone, switched off or
//! check nothing any more, so that a person approves what an agent may not decide: making the tests agree with the code
//! by removing them. It only reads text, knows four languages, and says nothing about moves, renames and reformatting;
//! tests that are new in the change may be as they like. It is an alarm wire, not a proof: what is weakened and still
//! checks something is for the reviewer.

mod built;
mod compare;
mod entries;
mod files;
mod go;
mod go_build;
mod hooks;
mod javascript;
mod javascript_hooks;
mod javascript_leave;
mod javascript_lex;
mod javascript_names;
mod leaving;
mod lex;
mod manifests;
mod model;
mod paths;
mod python;
mod python_fixtures;
mod python_leave;
mod python_lex;
mod python_names;
mod reach;
mod rust;
mod rust_lex;
mod scripts;
mod settings;

pub use files::{is_test_file, reads};
pub use paths::{PROTECTED, freed, protected, protected_below};

use compare::Placed;
use model::{Mark, Off, Test, Tests};
use orch_core::verdict::Finding;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// One file of a change. A rename is a deletion and an addition.
#[derive(Clone, Copy, Debug)]
pub struct Changed<'a> {
    /// Path in the repository.
    pub path: &'a str,
    /// Its content before; `None` if it was not there.
    pub before: Option<&'a [u8]>,
    /// Its content after; `None` if it is gone.
    pub after: Option<&'a [u8]>,
}

/// What was done to a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// It is gone, and nothing took its place.
    TestDeleted,
    /// A whole file of tests is gone.
    TestFileDeleted,
    /// It is there and passed over, or its failure does not count.
    TestSkipped,
    /// It is there and its runner does not see it any more.
    TestIgnored,
    /// It runs and checks nothing.
    AssertionsRemoved,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tampering {
    /// What was done.
    pub kind: Kind,
    /// The file: as it is after the change, or before it for what is gone.
    pub path: String,
    /// Line in that file.
    pub line: Option<u32>,
    /// Name of the test (the first, if one mark hits several), or of the file.
    pub name: String,
    /// One sentence for people.
    pub text: String,
}

impl Tampering {
    /// As a finding for a brief or a report.
    pub fn finding(&self) -> Finding {
        Finding { file: Some(self.path.clone()), line: self.line, ..Finding::must_fix(self.text.clone()) }
    }
}

/// One side of a change, read.
#[derive(Default)]
struct Side<'p> {
    tests: Vec<Placed<'p>>,
    files: BTreeMap<&'p str, Tests>,
}

impl<'p> Side<'p> {
    fn read(files: impl Iterator<Item = (&'p str, Option<&'p [u8]>)>) -> Self {
        let mut side = Self::default();
        for (path, bytes) in files {
            let Some(tests) = bytes.and_then(|bytes| files::read(path, bytes)) else { continue };
            side.files.insert(path, tests);
        }
        reach::through_helpers(&mut side.files);
        for (path, tests) in &mut side.files {
            side.tests.extend(std::mem::take(&mut tests.all).into_iter().map(|test| Placed { path, test }));
        }
        side
    }
    fn checks(&self) -> impl Fn(&Test) -> bool {
        let helpers: Vec<_> = self.files.values().flat_map(|f| f.helpers.iter().cloned()).collect();
        let known: Vec<String> = compare::checking(&helpers).into_iter().map(str::to_owned).collect();
        move |test| test.asserts > 0 || test.calls.iter().any(|call| known.binary_search(call).is_ok())
    }
}

/// What a change takes away from the tests, ordered by file and line.
pub fn tampering(changed: &[Changed<'_>]) -> Vec<Tampering> {
    let changed: Vec<&Changed<'_>> = changed.iter().filter(|c| c.before != c.after).collect();
    let before = Side::read(changed.iter().map(|c| (c.path, c.before)));
    let mut after = Side::read(changed.iter().map(|c| (c.path, c.after)));
    let dead = built::dead(&changed, &after.files);
    after.tests.retain(|test| !dead.contains(test.path));
    let heirs = compare::heirs(&before.tests, &after.tests);
    let mut found = Vec::new();
    let deleted_files = whole_files(&changed, &before, &heirs, &mut found);
    let gone = || before.tests.iter().zip(&heirs).filter(|(_, heir)| heir.is_none()).map(|(placed, _)| placed);
    let names: BTreeSet<(&str, &str)> = gone().map(|p| (p.path, p.test.name.as_str())).collect();
    for placed in gone().filter(|p| !deleted_files.contains(p.path)) {
        // A test inside a test that is gone goes without saying.
        let inside = placed
            .test
            .name
            .match_indices(" > ")
            .any(|(at, _)| names.contains(&(placed.path, &placed.test.name[..at])));
        if !inside {
            found.push(Tampering {
                kind: Kind::TestDeleted,
                path: placed.path.to_owned(),
                line: Some(placed.test.line),
                name: placed.test.name.clone(),
                text: format!("the test `{}` is gone", placed.test.name),
            });
        }
    }
    weaker(&before, &after, &heirs, &mut found);
    hidden(&changed, &before, &after, &mut found);
    reach::elsewhere(&before.files, &after.files, &mut found);
    for one in &mut found {
        (one.name, one.text) = (shown(&one.name), shown(&one.text));
    }
    found.sort_by(|a, b| (&a.path, a.line, a.kind, &a.name).cmp(&(&b.path, b.line, b.kind, &b.name)));
    found
}

/// Names and marks come from outside: one line of bounded length.
fn shown(text: &str) -> String {
    let mut line: String = text.chars().take(MAX_SHOWN).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(MAX_SHOWN).is_some() {
        line.push('…');
    }
    line
}

/// Files of tests that are gone as a whole, or renamed to where no runner looks. Returns their paths.
fn whole_files<'p>(
    changed: &[&Changed<'p>],
    before: &Side<'p>,
    heirs: &[Option<usize>],
    found: &mut Vec<Tampering>,
) -> BTreeSet<&'p str> {
    let mut whole = BTreeSet::new();
    // Of each file, for each of its tests, whether it has an heir.
    let mut had: BTreeMap<&str, Vec<bool>> = BTreeMap::new();
    for (placed, heir) in before.tests.iter().zip(heirs) {
        had.entry(placed.path).or_default().push(heir.is_some());
    }
    let mut new_files = compare::NewFiles::of(changed);
    for file in changed {
        let (Some(was), None) = (file.before, file.after) else { continue };
        let had = had.get(file.path).map_or(&[][..], Vec::as_slice);
        let is_read = before.files.contains_key(file.path);
        if (is_read && had.is_empty()) || had.iter().any(|kept| *kept) || !(is_read || is_test_file(file.path)) {
            continue;
        }
        let (kind, path, text) = match new_files.like(was) {
            Some(now) if !is_read && is_test_file(now) => continue,
            Some(now) => {
                let text = format!("`{}` became `{now}`, where no runner looks for tests", file.path);
                (Kind::TestIgnored, now, text)
            }
            None => {
                let tests = match had.len() {
                    0 => String::new(),
                    1 => " with its test".to_owned(),
                    n => format!(" with its {n} tests"),
                };
                let what = if is_test_file(file.path) { "the test file" } else { "the file" };
                (Kind::TestFileDeleted, file.path, format!("{what} `{}` is gone{tests}", file.path))
            }
        };
        found.push(Tampering { kind, path: path.to_owned(), line: None, name: file.path.to_owned(), text });
        whole.insert(file.path);
    }
    whole
}

/// Longest name or sentence, in characters.
const MAX_SHOWN: usize = 400;

/// Tests that are still there and worth less.
fn weaker(before: &Side<'_>, after: &Side<'_>, heirs: &[Option<usize>], found: &mut Vec<Tampering>) {
    let (checked, checks) = (before.checks(), after.checks());
    // One mark on a group or a file is one finding, however many tests it hits.
    let mut marks: BTreeMap<(&str, u32, bool), (&Mark, Vec<&Test>)> = BTreeMap::new();
    for (was, heir) in before.tests.iter().zip(heirs) {
        let Some(now) = heir.and_then(|at| after.tests.get(at)) else { continue };
        let mark = &now.test.mark;
        if mark.off > was.test.mark.off {
            marks.entry((now.path, mark.line, mark.unseen)).or_insert((mark, Vec::new())).1.push(&now.test);
        } else if checked(&was.test) && !checks(&now.test) {
            found.push(Tampering {
                kind: Kind::AssertionsRemoved,
                path: now.path.to_owned(),
                line: Some(now.test.line),
                name: now.test.name.clone(),
                text: format!("the test `{}` checks nothing any more", now.test.name),
            });
        }
    }
    for ((path, line, unseen), (mark, tests)) in marks {
        let Some(first) = tests.first() else { continue };
        let what = match tests.len() {
            1 => format!("the test `{}` is", first.name),
            2 => format!("the test `{}` and one more are", first.name),
            n => format!("the test `{}` and {} more are", first.name, n - 1),
        };
        let how = match (unseen, mark.off) {
            (true, Off::Always) => "not run any more",
            (true, _) => "only run where it is asked for",
            (false, Off::Always) => "skipped",
            (false, _) => "skipped or may fail under a condition",
        };
        found.push(Tampering {
            kind: if unseen { Kind::TestIgnored } else { Kind::TestSkipped },
            path: path.to_owned(),
            line: Some(line),
            name: first.name.clone(),
            text: format!("{what} {how}: {}", mark.text),
        });
    }
}

fn is_rust(path: &str) -> bool {
    std::path::Path::new(path).extension().is_some_and(|ending| ending == "rs")
}

/// Paths that a runner is told to ignore, and modules of tests that are no part of the crate any more.
fn hidden(changed: &[&Changed<'_>], before: &Side<'_>, after: &Side<'_>, found: &mut Vec<Tampering>) {
    let ignored = |path: &str, line: Option<u32>, name: &str, text: String| Tampering {
        kind: Kind::TestIgnored,
        path: path.to_owned(),
        line,
        name: name.to_owned(),
        text,
    };
    for (path, now) in &after.files {
        let was = before.files.get(path);
        for (name, mark) in &now.hides {
            let known = was.is_some_and(|w| w.hides.iter().any(|(n, m)| n == name && mark.off <= m.off));
            let is_new = changed.iter().any(|c| c.before.is_none() && c.path.ends_with(name.as_str()));
            let declared_now = is_rust(path) && !was.is_some_and(|w| w.declares.iter().any(|(n, _)| n == name));
            if !known && !is_new && !declared_now {
                found.push(ignored(
                    path,
                    Some(mark.line),
                    name,
                    format!("`{name}` is not run any more: {}", mark.text),
                ));
            }
        }
    }
    let tested: BTreeSet<&str> = before.tests.iter().map(|placed| placed.path).collect();
    let kept: BTreeSet<&str> = after.tests.iter().map(|placed| placed.path).filter(|p| tested.contains(p)).collect();
    for (path, name, mark) in built::gated(&before.files, &after.files, &kept) {
        let text = format!("the tests of the module `{name}` are not run any more: {}", mark.text);
        found.push(ignored(path, Some(mark.line), &name, text));
    }
    for hiding in settings::hiding(changed) {
        let said: String = hiding.text.chars().take(200).collect();
        let text = format!("a setting takes tests out of the run: {said}");
        found.push(ignored(hiding.path, Some(hiding.line), hiding.path, text));
    }
    for (path, was) in &before.files {
        for (name, line) in &was.declares {
            let declared = after.files.values().any(|f| f.declares.iter().any(|(n, _)| n == name));
            // One that is in every build now is in that of tests as well.
            let of_all = |now: &Tests| now.gates.iter().any(|(n, mark)| n == name && mark.off == Off::Runs);
            let declared = declared || after.files.get(path).is_some_and(of_all);
            // Its file is deleted as well, or its tests moved into this one: that is judged test by test.
            let file_changed = changed.iter().any(|c| {
                c.before.is_some()
                    && (c.path.ends_with(&format!("/{name}.rs")) || c.path.ends_with(&format!("/{name}/mod.rs")))
                    && c.after.is_none()
            });
            if !declared && !file_changed {
                found.push(ignored(
                    path,
                    Some(*line),
                    name,
                    format!("the module `{name}` is no part of the crate any more"),
                ));
            }
        }
    }
}
