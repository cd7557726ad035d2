//! Conflicts with the default branch, path by path: what git could not merge, what the developer says of it, and whether a
//! tree shows that it is resolved. PURE. It decides from the record that was made when the conflict was found and from
//! what a tree shows now; it may never ask git to merge again, because a half-repaired branch merges cleanly.

use crate::ids::Sha;
use crate::verdict::Finding;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Longest excerpt of a conflict that is shown of one path, in lines.
const MAX_EXCERPT_LINES: usize = 120;

/// A conflict the developer resolves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conflict {
    /// Tip of the default branch to be merged.
    pub onto: Sha,
    /// Files that conflict, for people.
    pub files: Vec<String>,
    /// The exact labels in the markers that were written: the branch's, then the default branch's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
    /// The record, one entry per path. Empty in what an earlier version stored.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<ConflictPath>,
    /// What the developer said of it so far.
    #[serde(default, skip_serializing_if = "Resolution::is_empty")]
    pub answer: Resolution,
    /// Finished repairs that this record refused since a person last looked.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub refused: u32,
}

impl Conflict {
    /// A conflict of which only the files are known.
    pub fn of_files(onto: Sha, files: Vec<String>) -> Self {
        Self { onto, files, labels: Vec::new(), paths: Vec::new(), answer: Resolution::default(), refused: 0 }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands it over so")]
fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// What kind of conflict a path has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConflictKind {
    /// Both sides changed the text.
    Content,
    /// Both sides added it, with other content.
    AddAdd,
    /// Both sides changed a file that is not text.
    Binary,
    /// One side deleted it, the other changed it.
    DeleteModify,
    /// A file on one side, a directory on the other.
    FileDirectory,
    /// A file on one side, a link or a submodule on the other.
    Types,
    /// Both sides changed where a symbolic link leads.
    Symlink,
    /// The same content with another mode on each side.
    Mode,
    /// A side renamed it, or its directory.
    Rename,
    /// Both sides moved a submodule.
    Submodule,
    /// What git does not name otherwise.
    Other,
}

impl ConflictKind {
    /// In words, for people and briefs.
    pub fn describe(self) -> &'static str {
        match self {
            Self::Content => "both sides changed its text",
            Self::AddAdd => "both sides added it, with different content",
            Self::Binary => "both sides changed it, and it is not text",
            Self::DeleteModify => "one side deleted it, the other changed it",
            Self::FileDirectory => "it is a file on one side and a directory on the other",
            Self::Types => "it is not the same type of file on both sides",
            Self::Symlink => "both sides changed where this symbolic link leads",
            Self::Mode => "both sides have it with different modes",
            Self::Rename => "a side renamed it or its directory",
            Self::Submodule => "both sides moved this submodule",
            Self::Other => "git could not merge it",
        }
    }
}

/// What a path is on one side.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Side {
    /// Git's mode, six digits; `040000` is a directory.
    pub mode: String,
    /// Object id.
    pub oid: String,
}

impl Side {
    /// Is it a file with content of its own?
    pub fn is_file(&self) -> bool {
        self.mode.starts_with("100")
    }
    /// What it is, in a word.
    pub fn what(&self) -> &'static str {
        match self.mode.as_str() {
            "040000" => "a directory",
            "120000" => "a symbolic link",
            "160000" => "a submodule",
            "100755" => "an executable file",
            _ => "a file",
        }
    }
}

/// A path that conflicts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConflictPath {
    /// Path; what is not UTF-8 in it is replaced.
    pub path: String,
    /// The path's exact bytes in hexadecimal, where they are not UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw: Option<String>,
    /// What kind of conflict it is.
    pub kind: ConflictKind,
    /// Were conflict markers written into it?
    pub marked: bool,
    /// What both sides started from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ancestor: Option<Side>,
    /// What it is on the task's branch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<Side>,
    /// What it is on the default branch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<Side>,
    /// What the merge wrote there, or beside it if git moved it out of the way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub written: Option<Side>,
    /// Lines that look like markers and are not ours: a right repair has no more of them.
    #[serde(default)]
    pub alike: Marks,
}

/// How often each part of a conflict stands in a text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Marks {
    /// Lines that begin with `<<<<<<<`.
    pub open: u32,
    /// Lines that begin with `|||||||`.
    pub ancestor: u32,
    /// Lines that are `=======`.
    pub middle: u32,
    /// Lines that begin with `>>>>>>>`.
    pub close: u32,
}

/// What a developer may say of a path without markers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Take {
    /// It is what the default branch has.
    Base,
    /// It is what the task's branch had.
    Branch,
    /// It is gone.
    Deleted,
    /// It is neither side's.
    Edited,
}

impl Take {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::Base, Self::Branch, Self::Deleted, Self::Edited];
    /// Its word in the result file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Base => "base",
            Self::Branch => "branch",
            Self::Deleted => "deleted",
            Self::Edited => "edited",
        }
    }
}

/// What the developer says of one path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resolved {
    /// Path.
    pub path: String,
    /// What was taken.
    pub take: Take,
    /// Why, in the developer's words; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
}

/// The key `resolved` of a result file, as it could be read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Resolution {
    /// A line per path.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub takes: Vec<Resolved>,
    /// What could not be read, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unreadable: Vec<String>,
    /// Why the result file could not be read at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub broken: Option<String>,
}

impl Resolution {
    /// Was nothing said?
    pub fn is_empty(&self) -> bool {
        self.takes.is_empty() && self.unreadable.is_empty() && self.broken.is_none()
    }
    /// Takes a later word in: it replaces what was said of the same path before.
    pub fn hear(&mut self, later: &Self) {
        self.takes.retain(|t| !later.takes.iter().any(|l| l.path == t.path));
        self.takes.extend(later.takes.iter().cloned());
        self.unreadable.clone_from(&later.unreadable);
        self.broken.clone_from(&later.broken);
    }
    /// What is said of a path.
    fn of(&self, path: &str) -> Option<&Resolved> {
        self.takes.iter().rev().find(|t| t.path == path)
    }
}

/// What a text holds of a conflict.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// How often each part stands there.
    pub marks: Marks,
    /// Lines (from 1) with one of our labels behind a marker.
    pub labelled: Vec<u32>,
    /// Of these, those that open a conflict.
    pub opened: u32,
    /// Of these, those that close one, and those that name the ancestor.
    pub closed: u32,
    /// First line of each part, in the order open, ancestor, middle, close.
    first: [Option<u32>; 4],
}

/// What a tree shows of a conflicted path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PathShown {
    /// What is there.
    pub entry: Option<Side>,
    /// What its text holds, if it is a file.
    pub found: Found,
    /// What the default branch has there now, and what looks like a marker in it, if that changed since the record.
    pub moved_on: Option<(Option<Side>, Marks)>,
}

/// What a tree shows of a recorded conflict.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// In the order of the record's paths.
    pub paths: Vec<PathShown>,
    /// Other files with a marker of ours, and its line.
    pub strays: Vec<(String, u32)>,
    /// Files git wrote beside a path it could not merge.
    pub helpers: Vec<String>,
}

const OPEN: &[u8] = b"<<<<<<<";
const ANCESTOR: &[u8] = b"|||||||";
const MIDDLE: &[u8] = b"=======";
const CLOSE: &[u8] = b">>>>>>>";

/// Looks for the parts of a conflict in a text. A label of ours behind a marker counts wherever it stands in a line.
pub fn look(text: &[u8], labels: &[String]) -> Found {
    let mut found = Found::default();
    let mut number = 0_u32;
    for line in text.split(|b| *b == b'\n') {
        number = number.saturating_add(1);
        let trimmed = line.trim_ascii();
        let part = |marker: &[u8]| {
            trimmed.strip_prefix(marker).is_some_and(|rest| rest.first().is_none_or(u8::is_ascii_whitespace))
        };
        let marks = &mut found.marks;
        let (at, count) = if part(OPEN) {
            (0, &mut marks.open)
        } else if part(ANCESTOR) {
            (1, &mut marks.ancestor)
        } else if trimmed == MIDDLE {
            (2, &mut marks.middle)
        } else if part(CLOSE) {
            (3, &mut marks.close)
        } else {
            if ours(line, labels).is_some() {
                found.labelled.push(number);
            }
            continue;
        };
        *count += 1;
        found.first[at].get_or_insert(number);
        if let Some(marker) = ours(line, labels) {
            found.labelled.push(number);
            if marker == OPEN {
                found.opened += 1;
            } else {
                found.closed += 1;
            }
        }
    }
    found
}

/// The marker in this line that carries a label of ours.
fn ours(line: &[u8], labels: &[String]) -> Option<&'static [u8]> {
    for (at, _) in line.windows(MIDDLE.len() + 1).enumerate().filter(|(_, w)| w[MIDDLE.len()] == b' ') {
        let (marker, rest) = (&line[at..at + MIDDLE.len()], &line[at + MIDDLE.len() + 1..]);
        for known in [OPEN, ANCESTOR, CLOSE] {
            if marker == known && labels.iter().any(|label| !label.is_empty() && rest.starts_with(label.as_bytes())) {
                return Some(known);
            }
        }
    }
    None
}

/// What looks like a marker in what the merge wrote and is none of ours. `None`: it holds no marker of ours.
pub fn alike(written: &Found) -> Option<Marks> {
    let ours = written.opened;
    (ours > 0).then(|| Marks {
        open: written.marks.open.saturating_sub(ours),
        ancestor: written.marks.ancestor,
        middle: written.marks.middle.saturating_sub(ours),
        close: written.marks.close.saturating_sub(written.closed),
    })
}

/// The record, or what can be known where an earlier version stored only the files.
pub fn paths(conflict: &Conflict) -> Vec<ConflictPath> {
    if !conflict.paths.is_empty() {
        return conflict.paths.clone();
    }
    let old = |file: &String| ConflictPath {
        path: file.clone(),
        raw: None,
        kind: ConflictKind::Other,
        marked: true,
        ancestor: None,
        branch: None,
        base: None,
        written: None,
        alike: Marks::default(),
    };
    conflict.files.iter().map(old).collect()
}

/// Everything that is wrong with a repair; empty if it counts.
pub fn refusals(conflict: &Conflict, shown: &Shown) -> Vec<Finding> {
    let mut findings = leftovers(conflict, shown);
    let record = paths(conflict);
    let old = conflict.paths.is_empty();
    for (path, now) in record.iter().zip(&shown.paths) {
        if let Some(text) = word(path, now, conflict.answer.of(&path.path), old) {
            findings.push(at(&path.path, None, text));
        }
    }
    let known: BTreeSet<&str> = record.iter().map(|p| p.path.as_str()).collect();
    for text in &conflict.answer.unreadable {
        findings.push(Finding::must_fix(format!("`resolved` in the result file: {text}")));
    }
    if !findings.is_empty() {
        if let Some(why) = &conflict.answer.broken {
            findings
                .push(Finding::must_fix(format!("the result file, and `resolved` in it, could not be read: {why}")));
        }
        for said in conflict.answer.takes.iter().filter(|t| !known.contains(t.path.as_str())) {
            findings.push(at(&said.path, None, "`resolved` names this path, which was not in conflict".into()));
        }
    }
    findings
}

/// Paths the developer spoke of that were not in conflict.
pub fn not_in_conflict(conflict: &Conflict) -> Vec<String> {
    let record = paths(conflict);
    let known = |t: &&Resolved| record.iter().any(|p| p.path == t.path);
    conflict.answer.takes.iter().filter(|t| !known(t)).map(|t| t.path.clone()).collect()
}

/// What a tree still holds of a conflict, whoever put it there and whenever.
pub fn leftovers(conflict: &Conflict, shown: &Shown) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, now) in paths(conflict).iter().zip(&shown.paths) {
        if let Some((line, text)) = marker_left(path, now) {
            findings.push(at(&path.path, Some(line), text));
        }
    }
    for (path, line) in &shown.strays {
        let text = "conflict markers of the merge were moved into this file: resolve the conflict and remove them";
        findings.push(at(path, Some(*line), text.into()));
    }
    for path in &shown.helpers {
        let text = "git wrote this file beside one it could not merge: put its content where it belongs and remove it";
        findings.push(at(path, None, text.into()));
    }
    findings
}

/// On the final tree: what the default branch has at a path whose resolution said `base` was replaced without a word.
pub fn flipped(conflict: &Conflict, shown: &Shown) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, now) in paths(conflict).iter().zip(&shown.paths) {
        let said = conflict.answer.of(&path.path).map(|t| t.take);
        let shows = shows(path, now.entry.as_ref());
        let main_has_it_so = now.moved_on.as_ref().is_some_and(|(side, _)| *side == now.entry);
        if said == Some(Take::Base) && !shows.contains(&Take::Base) && shows.contains(&Take::Branch) && !main_has_it_so
        {
            let text = format!(
                "the conflict here was resolved by taking the default branch's version, and the branch's is back; if that \
                 is meant, say so in `resolved` ({})",
                usage(path)
            );
            findings.push(at(&path.path, None, text));
        }
    }
    findings
}

fn at(path: &str, line: Option<u32>, text: String) -> Finding {
    Finding { file: Some(path.to_owned()), line, ..Finding::must_fix(text) }
}

/// The first marker that is still in a path, if it had any.
fn marker_left(path: &ConflictPath, now: &PathShown) -> Option<(u32, String)> {
    if let Some(line) = now.found.labelled.first() {
        return Some((*line, "conflict markers are still in this file".into()));
    }
    if !path.marked {
        return None;
    }
    let more = now.moved_on.as_ref().map(|(_, marks)| marks.clone()).unwrap_or_default();
    let (marks, may) = (&now.found.marks, &path.alike);
    let parts = [
        (marks.open, may.open + more.open, "<<<<<<<"),
        (marks.ancestor, may.ancestor + more.ancestor, "|||||||"),
        (marks.middle, may.middle + more.middle, "======="),
        (marks.close, may.close + more.close, ">>>>>>>"),
    ];
    for (nth, (there, allowed, marker)) in parts.into_iter().enumerate() {
        if allowed < there {
            let line = now.found.first[nth].unwrap_or(1);
            let way_out = if marker == "=======" {
                " (if the line is meant, as a heading's underline, make it longer or shorter than a marker)"
            } else {
                ""
            };
            return Some((line, format!("a conflict marker is still in this file: `{marker}`{way_out}")));
        }
    }
    None
}

/// What is wrong with what is said of a path.
fn word(path: &ConflictPath, now: &PathShown, said: Option<&Resolved>, old: bool) -> Option<String> {
    let shows = shows(path, now.entry.as_ref());
    if let Some(said) = said {
        return (!old && !shows.contains(&said.take)).then(|| {
            let words: Vec<String> = shows.iter().map(|t| format!("`{}`", t.as_str())).collect();
            format!("`resolved` says `{}`, but the files show {}", said.take.as_str(), words.join(" or "))
        });
    }
    let text = now.entry.as_ref().is_some_and(Side::is_file);
    if path.marked && (text || old) {
        return None;
    }
    // Both sides are rid of it, and so is the tree: there is nothing to be said.
    if path.branch.is_none() && path.base.is_none() && now.entry.is_none() {
        return None;
    }
    Some(if path.marked {
        format!("is no text file any more; if that is meant, say so in `resolved` ({})", usage(path))
    } else {
        format!("{}: decide, and say in `resolved` what was taken ({})", path.kind.describe(), usage(path))
    })
}

fn usage(path: &ConflictPath) -> String {
    let path = serde_json::to_string(&path.path).unwrap_or_default();
    format!("{{\"path\": {path}, \"take\": \"base|branch|deleted|edited\", \"why\": \"...\"}}")
}

/// Every word that is true of what a tree has at a path.
fn shows(path: &ConflictPath, entry: Option<&Side>) -> Vec<Take> {
    // The mode counts where it is what the sides differ in; else it merges by itself.
    let by_mode = match (&path.base, &path.branch) {
        (Some(base), Some(branch)) => base.oid == branch.oid,
        _ => false,
    };
    let same = |side: Option<&Side>| match (side, entry) {
        (None, None) => true,
        (Some(a), Some(b)) => a.oid == b.oid && (a.mode == b.mode || !by_mode && a.is_file() && b.is_file()),
        _ => false,
    };
    let (base, branch) = (same(path.base.as_ref()), same(path.branch.as_ref()));
    let mut true_words = Vec::new();
    if base {
        true_words.push(Take::Base);
    }
    if branch {
        true_words.push(Take::Branch);
    }
    if entry.is_none() {
        true_words.push(Take::Deleted);
    } else if !base && !branch {
        true_words.push(Take::Edited);
    }
    true_words
}

/// The conflicts in a text that git wrote, for people: from each opening marker to its closing one, bounded.
pub fn excerpt(written: &str, labels: &[String]) -> String {
    let mut shown: Vec<&str> = Vec::new();
    let mut inside = false;
    for line in written.lines() {
        let mark = ours(line.as_bytes(), labels);
        inside |= mark == Some(OPEN);
        if inside {
            if shown.len() == MAX_EXCERPT_LINES {
                shown.push("(shortened)");
                break;
            }
            shown.push(line);
        }
        inside &= mark != Some(CLOSE);
    }
    shown.join("\n")
}

#[cfg(test)]
#[path = "conflict_tests.rs"]
mod tests;
