//! Numbers that are given out twice: two tasks that run side by side both add the next migration or the next decision
//! record, and git sees no conflict. Decides from names alone whether a directory gives out numbers, and which new
//! name takes one that is taken. A directory that uses a number twice already gives out none, and neither do dates.

use orch_core::verdict::Finding;
use std::collections::{BTreeMap, BTreeSet};

/// A name that begins with a number, maybe behind a word: `0007_users.up.sql`, `adr-0012-cache.md`, `V7__init.sql`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Numbered<'a> {
    /// What stands before the number, in lower case.
    word: String,
    number: u128,
    /// Digits as written, with leading zeros.
    digits: &'a str,
    /// The name up to its first dot: files that differ behind it belong together.
    stem: &'a str,
}

fn numbered(name: &str) -> Option<Numbered<'_>> {
    let stem = name.split('.').next().filter(|stem| !stem.is_empty())?;
    let start = stem.find(|c: char| c.is_ascii_digit())?;
    let (word, rest) = stem.split_at(start);
    if !word.chars().all(|c| c.is_ascii_alphabetic() || matches!(c, '-' | '_')) || word.len() > 20 {
        return None;
    }
    let digits = &rest[..rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len())];
    let behind = &rest[digits.len()..];
    // `2fa`, `3d-model`: the number is a part of a word. `2026-11-29-news`: a date.
    let alone = behind.is_empty() || behind.starts_with(['-', '_', ' ']);
    if !alone || digits.len() > 20 || is_date(digits, behind) {
        return None;
    }
    Some(Numbered { word: word.to_ascii_lowercase(), number: digits.parse().ok()?, digits, stem })
}

fn is_date(digits: &str, behind: &str) -> bool {
    let part = |at: usize| behind.get(at + 1..at + 3).is_some_and(|d| d.bytes().all(|b| b.is_ascii_digit()));
    digits.len() == 4 && behind.len() >= 3 && part(0)
}

/// Names that one directory gives numbers to: by number, the stems that have it.
#[derive(Default)]
struct Series<'a> {
    there: BTreeMap<u128, BTreeSet<&'a str>>,
    added: Vec<(Numbered<'a>, &'a str)>,
}

/// What of `added` takes a number that something else in its directory has. `all` are the paths of the tree with the new
/// ones in it.
pub fn taken_twice(added: &[&str], all: &[&str]) -> Vec<Finding> {
    let new: BTreeSet<&str> = added.iter().copied().collect();
    let mut series: BTreeMap<(&str, String), Series<'_>> = BTreeMap::new();
    for path in &new {
        for (dir, name) in components(path) {
            if let Some(n) = numbered(name) {
                let one = series.entry((dir, n.word.clone())).or_default();
                if !one.added.iter().any(|(other, _)| other.stem == n.stem) {
                    one.added.push((n, path));
                }
            }
        }
    }
    if series.is_empty() {
        return Vec::new();
    }
    for path in all.iter().filter(|path| !new.contains(*path)) {
        for (dir, name) in components(path) {
            let Some(n) = numbered(name) else { continue };
            if let Some(one) = series.get_mut(&(dir, n.word)) {
                one.there.entry(n.number).or_default().insert(n.stem);
            }
        }
    }
    series.iter().flat_map(|((dir, _), one)| one.findings(dir)).collect()
}

impl Series<'_> {
    fn findings(&self, dir: &str) -> Vec<Finding> {
        let padded = |n: &Numbered<'_>| n.digits.len() > 2 || n.digits.starts_with('0');
        let gives_out = self.there.values().all(|stems| stems.len() == 1);
        let mut found = Vec::new();
        let mut seen: BTreeMap<u128, &str> = BTreeMap::new();
        let highest = self.there.keys().chain(self.added.iter().map(|(n, _)| &n.number)).max().copied();
        let mut free = highest.unwrap_or_default();
        for (n, path) in &self.added {
            let of_main = self.there.get(&n.number).and_then(|stems| stems.iter().next());
            if of_main.is_some_and(|stem| *stem == n.stem) {
                continue;
            }
            let other = of_main.copied().or_else(|| seen.insert(n.number, n.stem));
            let Some(other) = other.filter(|_| gives_out && (padded(n) || self.there.len() > 1)) else { continue };
            free = free.saturating_add(1);
            let next = format!("{free:0width$}", width = n.digits.len());
            let place = if dir.is_empty() { "the top directory".to_owned() } else { format!("`{dir}`") };
            found.push(Finding {
                id: Some("number-taken-twice".into()),
                file: Some((*path).to_owned()),
                ..Finding::must_fix(format!(
                    "the number {} is given out twice in {place}: `{other}` has it too; give this one the next free number, \
                     {next}, and change what refers to it",
                    n.digits
                ))
            });
        }
        found
    }
}

/// Each name on a path, with the directory it is in.
fn components(path: &str) -> impl Iterator<Item = (&str, &str)> {
    let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
    ends.map(move |end| path[..end].rsplit_once('/').unwrap_or(("", &path[..end])))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is found when `added` comes to what is `there`: file and next free number.
    fn found(there: &[&str], added: &[&str]) -> Vec<(String, String)> {
        let all: Vec<&str> = there.iter().chain(added).copied().collect();
        let next = |f: &Finding| f.text.split("number, ").nth(1).unwrap().split(',').next().unwrap().to_owned();
        taken_twice(added, &all).iter().map(|f| (f.file.clone().unwrap(), next(f))).collect()
    }
    fn one(file: &str, next: &str) -> Vec<(String, String)> {
        vec![(file.to_owned(), next.to_owned())]
    }

    #[test]
    fn a_number_that_is_taken_is_found_with_the_next_free_one() {
        for (there, added, next) in [
            (&["db/0006_x.sql", "db/0007_a.sql"][..], "db/0007_b.sql", "0008"),
            (&["db/0007_a.sql"], "db/0007_b.sql", "0008"),
            (&["docs/adr/0011-x.md", "docs/adr/0012-cache.md", "docs/adr/README.md"], "docs/adr/0012-queue.md", "0013"),
            (&["docs/adr-0007-x.md"], "docs/adr-0007-y.md", "0008"),
            (&["docs/ADR-007.md", "docs/ADR-006.md"], "docs/adr-007-again.md", "008"),
            (&["m/V1__a.sql", "m/V2__b.sql"], "m/V2__c.sql", "3"),
            (&["m/1_a.rb", "m/9_b.rb"], "m/9_c.rb", "10"),
            (&["m/0099_a.sql", "m/0100_b.sql"], "m/0099_c.sql", "0101"),
            (&["001_a.sql", "002_b.sql"], "002_c.sql", "003"),
            (&["m/0007_a.up.sql", "m/0007_a.down.sql"], "m/0007_b.up.sql", "0008"),
            (&["m/20260101120000_a.rb", "m/20260102120000_b.rb"], "m/20260102120000_c.rb", "20260102120001"),
            // A directory each, as some tools have it.
            (&["m/0001_a/up.sql", "m/0002_b/up.sql"], "m/0002_c/up.sql", "0003"),
        ] {
            assert_eq!(found(there, &[added]), one(added, next), "{there:?}");
        }
    }

    #[test]
    fn what_belongs_together_and_what_gives_out_no_numbers_is_left_alone() {
        for (there, added) in [
            (&["db/0007_a.sql"][..], "db/0008_b.sql"),
            (&["db/0007_a.sql"], "other/0007_b.sql"),
            (&["db/0007_a.up.sql"], "db/0007_a.down.sql"),
            (&["m/0001_a/up.sql"], "m/0001_a/down.sql"),
            (&["m/0001_a/up.sql", "m/0002_b/up.sql"], "m/0002_b/deeper/notes.md"),
            (&["t/01-x.in", "t/01-y.in", "t/02-z.in"], "t/02-w.in"),
            (&["news/2026-01-01-a.md"], "news/2026-02-01-b.md"),
            (&["m/V1__a.sql", "m/V2__b.sql"], "m/U2__b.sql"),
            (&["m/V1_1__a.sql", "m/V1_2__b.sql"], "m/V1_3__c.sql"),
            (&["src/2fa.rs", "src/3d.rs"], "src/2fa-backup.rs"),
            (&["src/utf8.rs"], "src/utf8-tests.rs"),
            (&["README.md"], "0001.md"),
        ] {
            assert_eq!(found(there, &[added]), [], "{there:?} {added}");
        }
        assert_eq!(taken_twice(&[], &["db/0007_a.sql", "db/0007_b.sql"]), [], "what main has done is done");
    }

    #[test]
    fn two_new_ones_of_one_number_are_found_too_and_each_gets_a_number_of_its_own() {
        assert_eq!(found(&["db/0001_x.sql"], &["db/0002_a.sql", "db/0002_b.sql"]), one("db/0002_b.sql", "0003"));
        let both = found(&["db/0001_x.sql", "db/0002_y.sql"], &["db/0001_a.sql", "db/0002_b.sql"]);
        let next: Vec<&str> = both.iter().map(|(_, next)| next.as_str()).collect();
        assert_eq!(next, ["0003", "0004"]);
    }
}
