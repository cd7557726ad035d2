//! Tests before against tests after. It decides which test after is which test before: the same place, the same name
//! elsewhere, the same body under another name, or swallowed by a table of cases. Only what has no such heir is gone. It
//! may never be fooled by a move into reporting a deletion, nor take a test that does something else for the heir.

use super::Changed;
use super::model::{Helper, Test};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// From this share of common words on, a body under another name in the same file is the same test.
const RENAMED: f64 = 0.8;
/// The same in another file.
const MOVED: f64 = 0.85;
/// So much must a test of the same name elsewhere have in common with the old one.
const SAME_NAME: f64 = 0.3;
/// So many of the words of a test must be in the table that swallowed it.
const SWALLOWED: f64 = 0.7;
/// Beyond so many comparisons only equal bodies and names are matched.
const MAX_PAIRS: usize = 250_000;

/// A test and the file it is in.
pub(super) struct Placed<'p> {
    pub(super) path: &'p str,
    pub(super) test: Test,
}

/// For each test before, the index of its heir.
pub(super) fn heirs(before: &[Placed<'_>], after: &[Placed<'_>]) -> Vec<Option<usize>> {
    let mut match_up = MatchUp { before, after, heir: vec![None; before.len()], taken: vec![false; after.len()] };
    match_up.by(|t| Some((t.path.to_owned(), t.test.name.clone())), |_, _| true);
    match_up.by(|t| Some((t.path.to_owned(), t.test.leaf.clone())), |a, b| likeness(&a.words, &b.words) >= SAME_NAME);
    match_up.by(|t| Some(t.test.leaf.clone()), |a, b| likeness(&a.words, &b.words) >= SAME_NAME);
    match_up.by(|t| (!t.test.words.is_empty()).then(|| t.test.words.clone()), |_, _| true);
    match_up.by_likeness();
    match_up.swallowed();
    match_up.heir
}

struct MatchUp<'m, 'p> {
    before: &'m [Placed<'p>],
    after: &'m [Placed<'p>],
    heir: Vec<Option<usize>>,
    taken: Vec<bool>,
}

impl MatchUp<'_, '_> {
    /// Matches what has the same key and passes a look, in order.
    fn by<K: std::hash::Hash + Eq>(
        &mut self,
        key: impl Fn(&Placed<'_>) -> Option<K>,
        alike: impl Fn(&Test, &Test) -> bool,
    ) {
        let mut at: HashMap<K, Vec<usize>> = HashMap::new();
        for (i, placed) in self.after.iter().enumerate().filter(|(i, _)| !self.taken[*i]) {
            if let Some(key) = key(placed) {
                at.entry(key).or_default().push(i);
            }
        }
        for (i, placed) in self.before.iter().enumerate() {
            if self.heir[i].is_some() {
                continue;
            }
            let Some(all) = key(placed).and_then(|key| at.get(&key)) else { continue };
            if let Some(to) =
                all.iter().take(64).find(|to| !self.taken[**to] && alike(&placed.test, &self.after[**to].test))
            {
                self.heir[i] = Some(*to);
                self.taken[*to] = true;
            }
        }
    }

    /// Matches bodies that are much alike, the most alike first.
    fn by_likeness(&mut self) {
        let left: Vec<usize> = (0..self.before.len()).filter(|i| self.heir[*i].is_none()).collect();
        let free: Vec<usize> = (0..self.after.len()).filter(|i| !self.taken[*i]).collect();
        if left.len() * free.len() > MAX_PAIRS {
            return;
        }
        let mut pairs = Vec::new();
        for from in left {
            for to in &free {
                let (a, b) = (&self.before[from], &self.after[*to]);
                let like = likeness(&a.test.words, &b.test.words);
                if like >= if a.path == b.path { RENAMED } else { MOVED } {
                    pairs.push((like, from, *to));
                }
            }
        }
        pairs.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)).then(a.2.cmp(&b.2)));
        for (_, from, to) in pairs {
            if self.heir[from].is_none() && !self.taken[to] {
                self.heir[from] = Some(to);
                self.taken[to] = true;
            }
        }
    }

    /// Several tests that became one with a table of cases: the table has the words and, once for each, the literals.
    fn swallowed(&mut self) {
        let old: HashMap<usize, usize> = self.heir.iter().enumerate().filter_map(|(b, a)| Some(((*a)?, b))).collect();
        let left: Vec<usize> = (0..self.before.len()).filter(|i| self.heir[*i].is_none()).collect();
        if left.is_empty() || left.len() * self.after.len() > MAX_PAIRS {
            return;
        }
        for (to, placed) in self.after.iter().enumerate() {
            let mut literals = bag(placed.test.words.iter().filter(|w| is_literal(w)));
            if let Some(before) = old.get(&to) {
                let test = &self.before[*before].test;
                if test.words == placed.test.words {
                    continue;
                }
                for (word, count) in bag(test.words.iter().filter(|w| is_literal(w))) {
                    literals.entry(word).and_modify(|n| *n = n.saturating_sub(count));
                }
            }
            let names: BTreeSet<&String> = placed.test.words.iter().filter(|w| is_name(w)).collect();
            if placed.test.asserts == 0 {
                continue;
            }
            for from in &left {
                let test = &self.before[*from].test;
                let wanted = bag(test.words.iter().filter(|w| is_literal(w)));
                let used: BTreeSet<&String> = test.words.iter().filter(|w| is_name(w)).collect();
                let common = used.intersection(&names).count() as f64;
                let has_all = wanted.iter().all(|(word, count)| literals.get(word).is_some_and(|n| n >= count));
                if self.heir[*from].is_some() || wanted.is_empty() || !has_all || common < SWALLOWED * used.len() as f64
                {
                    continue;
                }
                for (word, count) in wanted {
                    literals.entry(word).and_modify(|n| *n -= count);
                }
                self.heir[*from] = Some(to);
            }
        }
    }
}

fn is_literal(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_digit()) || (word.len() > 1 && word.ends_with(['"', '\'', '`']))
}

fn is_name(word: &str) -> bool {
    word.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

fn bag<'w>(words: impl Iterator<Item = &'w String>) -> BTreeMap<&'w str, usize> {
    let mut bag = BTreeMap::new();
    for word in words {
        *bag.entry(word.as_str()).or_insert(0) += 1;
    }
    bag
}

/// Share of words that two bodies have in common, 0 to 1 (Dice). Names and literals weigh, brackets do not.
fn likeness(a: &[String], b: &[String]) -> f64 {
    let (a, b) =
        (bag(a.iter().filter(|w| is_name(w) || is_literal(w))), bag(b.iter().filter(|w| is_name(w) || is_literal(w))));
    let total = (a.values().sum::<usize>() + b.values().sum::<usize>()) as f64;
    let common: usize = a.iter().map(|(word, n)| (*n).min(b.get(word).copied().unwrap_or(0))).sum();
    if total == 0.0 { 1.0 } else { 2.0 * common as f64 / total }
}

/// The new files of a change, to find the one that a file became whose language nobody reads here.
pub(super) struct NewFiles<'p> {
    /// By size.
    files: Vec<(&'p [u8], &'p str)>,
    same: HashMap<&'p [u8], &'p str>,
    /// So many bytes may be looked at still.
    left: usize,
}

impl<'p> NewFiles<'p> {
    pub(super) fn of(changed: &[&Changed<'p>]) -> Self {
        let new = changed.iter().filter(|c| c.before.is_none()).filter_map(|c| Some((c.after?, c.path)));
        let mut files: Vec<(&'p [u8], &'p str)> = new.collect();
        // The first of equal ones counts.
        let same = files.iter().rev().copied().collect();
        files.sort_by_key(|(text, path)| (text.len(), *path));
        Self { files, same, left: MAX_COMPARED }
    }

    /// The path of the file that is most alike, of those that have about the size and are nearest to it. Beyond a bound
    /// only equal ones are found.
    pub(super) fn like(&mut self, was: &[u8]) -> Option<&'p str> {
        if let Some(path) = self.same.get(was) {
            return Some(path);
        }
        let middle = self.files.partition_point(|(now, _)| now.len() < was.len());
        let (below, above) = self.files.split_at(middle);
        let near = |(now, _): &&(&[u8], &str)| now.len() / 4 <= was.len() && was.len() / 4 <= now.len();
        let below = below.iter().rev().take_while(near).take(MAX_CANDIDATES / 2);
        let above = above.iter().take_while(near).take(MAX_CANDIDATES / 2);
        let mut best: Option<(f64, &'p str)> = None;
        for (now, path) in below.chain(above) {
            let costs = was.len() + now.len();
            if costs > self.left {
                break;
            }
            self.left -= costs;
            let like = same_lines(was, now);
            if like >= SIMILAR && best.is_none_or(|(most, _)| like > most) {
                best = Some((like, path));
            }
        }
        best.map(|(_, path)| path)
    }
}

/// From this share of common lines on, a file of another name is the same file.
const SIMILAR: f64 = 0.6;
/// So many files are compared with one that is gone.
const MAX_CANDIDATES: usize = 200;
/// So many bytes are compared in all.
const MAX_COMPARED: usize = 16_000_000;

/// Share of lines two texts have in common, for files whose language nobody reads here.
fn same_lines(a: &[u8], b: &[u8]) -> f64 {
    let (a, b) = (String::from_utf8_lossy(a), String::from_utf8_lossy(b));
    let lines = |text: &'_ str| -> HashMap<String, usize> {
        let mut bag = HashMap::new();
        for line in text.lines().map(str::trim).filter(|l| l.len() > 1) {
            *bag.entry(line.to_owned()).or_insert(0) += 1;
        }
        bag
    };
    let (a, b) = (lines(&a), lines(&b));
    let total = (a.values().sum::<usize>() + b.values().sum::<usize>()) as f64;
    let common: usize = a.iter().map(|(line, n)| (*n).min(b.get(line).copied().unwrap_or(0))).sum();
    if total == 0.0 { 1.0 } else { 2.0 * common as f64 / total }
}

/// Names of helpers that check something, directly or through each other.
pub(super) fn checking(helpers: &[Helper]) -> BTreeSet<&str> {
    let mut known: BTreeSet<&str> = helpers.iter().filter(|h| h.asserts > 0).map(|h| h.name.as_str()).collect();
    // Each turn adds at least one name or is the last; chains of helpers are short.
    for _ in 0..8 {
        let more: Vec<&str> = helpers
            .iter()
            .filter(|h| !known.contains(h.name.as_str()) && h.calls.iter().any(|c| known.contains(c.as_str())))
            .map(|h| h.name.as_str())
            .collect();
        if more.is_empty() {
            break;
        }
        known.extend(more);
    }
    known
}
