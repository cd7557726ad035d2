//! What reaches tests from outside of them: a helper that is handed the test and passes it over, a suite that does so
//! while it is set up. A test that is reached is as good as skipped itself. What sets up tests of files that did not
//! change is told where it stands, and only if it was there before: what is new sets up new tests.

use super::model::{Helper, Mark, Off, SetUp, Test, Tests};
use super::{Kind, Tampering};
use std::collections::BTreeMap;

/// Helpers call each other; chains are short.
const MAX_TURNS: usize = 8;

/// A helper that passes over who calls it, and where it stands.
struct Passing<'p> {
    path: &'p str,
    mark: Mark,
    sets_up: Option<String>,
}

/// Marks the tests that are reached through helpers, and says which helpers may reach others.
pub(super) fn through_helpers(files: &mut BTreeMap<&str, Tests>) {
    let mut passing: BTreeMap<String, Vec<Passing<'_>>> = BTreeMap::new();
    for _ in 0..MAX_TURNS {
        let mut more = Vec::new();
        for (path, tests) in files.iter() {
            for helper in tests.helpers.iter().filter(|h| h.mark.is_some()) {
                let own = helper.mark.clone().unwrap_or_default();
                let mark = called(&passing, path, &helper.calls, &helper.at_once, None, own);
                let known = passing.get(&helper.name).into_iter().flatten();
                let known = known.filter(|p| p.path == *path && p.sets_up == helper.sets_up).map(|p| p.mark.off).max();
                if mark.off > known.unwrap_or_default() {
                    more.push((helper.name.clone(), Passing { path, mark, sets_up: helper.sets_up.clone() }));
                }
            }
        }
        if more.is_empty() {
            break;
        }
        for (name, one) in more {
            passing.entry(name).or_default().push(one);
        }
    }
    // Only Go hands the test to its helpers; a function of the same name in another language is another one.
    for (path, tests) in files.iter_mut().filter(|(path, _)| path.strip_suffix(".go").is_some()) {
        for test in &mut tests.all {
            reach(&passing, path, test);
        }
        let reaching = tests.helpers.iter().filter_map(|helper| set_up(&passing, path, helper));
        tests.sets_up.extend(reaching.collect::<Vec<_>>());
    }
}

/// The mark that what is called at `path` leaves, `own` or worse.
fn called(
    passing: &BTreeMap<String, Vec<Passing<'_>>>,
    path: &str,
    calls: &[String],
    at_once: &[String],
    line: Option<u32>,
    own: Mark,
) -> Mark {
    let mut mark = own;
    for name in calls {
        for one in passing.get(name).into_iter().flatten().filter(|one| sees(path, one.path, name)) {
            let off = if at_once.contains(name) { one.mark.off } else { Off::Sometimes };
            // A line of another file says nothing here.
            let line = if one.path == path { one.mark.line } else { line.unwrap_or(one.mark.line) };
            mark = mark.worse(Mark::new(off, false, line, format!("{name}() calls {}", bare(&one.mark.text))));
        }
    }
    mark
}

/// `t.Skip` of `later() calls t.Skip`: the chain is of no interest.
fn bare(text: &str) -> &str {
    text.rsplit(" calls ").next().unwrap_or(text)
}

/// A small name is seen in its own package only.
fn sees(path: &str, helper: &str, name: &str) -> bool {
    directory(path) == directory(helper) || name.starts_with(char::is_uppercase)
}

fn directory(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(directory, _)| directory)
}

fn reach(passing: &BTreeMap<String, Vec<Passing<'_>>>, path: &str, test: &mut Test) {
    let own = std::mem::take(&mut test.mark);
    let mut mark = called(passing, path, &test.calls, &test.at_once, Some(test.line), own);
    let of_suite = passing.values().flatten().filter(|one| test.suite.is_some() && one.sets_up == test.suite);
    for one in of_suite.filter(|one| directory(one.path) == directory(path)) {
        let line = if one.path == path { one.mark.line } else { test.line };
        mark = mark.worse(Mark::new(one.mark.off, false, line, one.mark.text.clone()));
    }
    test.mark = mark;
}

fn set_up(passing: &BTreeMap<String, Vec<Passing<'_>>>, path: &str, helper: &Helper) -> Option<SetUp> {
    helper.mark.as_ref()?;
    let known = passing.get(&helper.name).into_iter().flatten();
    let worst = known.filter(|p| p.path == path && p.sets_up == helper.sets_up).max_by_key(|p| p.mark.off);
    let of = helper.sets_up.as_ref().unwrap_or(&helper.name);
    Some(SetUp::by(of, worst.map(|p| p.mark.clone()).unwrap_or_default()))
}

/// Tells of what passes over tests of other files, unless a test of the change told of it.
pub(super) fn elsewhere(before: &BTreeMap<&str, Tests>, after: &BTreeMap<&str, Tests>, found: &mut Vec<Tampering>) {
    for (path, now) in after {
        for set_up in now.sets_up.iter().filter(|s| s.mark.off > Off::Runs) {
            let was = before.get(path).into_iter().flat_map(|was| &was.sets_up);
            let was = was.filter(|s| s.name == set_up.name).map(|s| s.mark.off).max();
            let worse = was.map_or(set_up.rules_old_tests, |was| set_up.mark.off > was);
            let told = found.iter().any(|f| f.path == *path && f.line == Some(set_up.mark.line));
            if !worse || told {
                continue;
            }
            let how = if set_up.mark.off == Off::Always { "skipped" } else { "skipped under a condition" };
            found.push(Tampering {
                kind: Kind::TestSkipped,
                path: (*path).to_owned(),
                line: Some(set_up.mark.line),
                name: set_up.name.clone(),
                text: format!("{} are {how}: {}", set_up.name, set_up.mark.text),
            });
        }
    }
}
