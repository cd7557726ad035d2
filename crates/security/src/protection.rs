//! Changes of what guards a project: protected paths, tests that were taken away or switched off, comments that ask
//! scanners to look away, and deletions of much of it. None of them is wrong by itself, and none of them is for an agent to decide: a person approves
//! exactly these changes, and another change asks anew.

use super::deletions::deletions;
use super::guarded::{self, HOOKS};
use super::secrets::batches;
use super::tree::Tree;
use crate::{Range, hex};
use orch_core::task::{Approval, ApprovalKind};
use orch_core::verdict::{Finding, Verdict, WaitFor};
use orch_ports::Fault;
use orch_ports::git::{BlobAt, BroughtIn, Entry, EntryKind};
use orch_secrets::MAX_BLOB_BYTES;
use orch_testguard::guard::{self, Guard, Part};
use orch_testguard::tamper::{self, Changed};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// Of larger files only what asks scanners to look away is read: no test is written by hand in them.
const LARGEST: u64 = 2 * 1024 * 1024;

/// Id of the findings of a large deletion.
const DELETION: &str = "mass-deletion";
/// Of a large deletion this many lines are shown, of other changes as many as `OTHERS`.
const LINES: usize = 100;
/// See [`LINES`].
const OTHERS: usize = 20;

/// What a person has to approve, and whether one has.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Protection {
    /// Digest of exactly these changes; empty if there are none.
    pub subject: String,
    /// The changes, a finding each.
    pub changes: Vec<Finding>,
    /// Every path that a large deletion takes away.
    pub deleted: Vec<String>,
    /// The approval of exactly these.
    pub approval: Option<Approval>,
    /// Is one of them about what a deploy hook runs?
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub of_hooks: bool,
}

impl Protection {
    /// What is not approved yet makes the gate wait for a person; by hand, where nobody can approve, it fails.
    pub fn verdict(&self, by_hand: bool) -> Option<Verdict> {
        if self.changes.is_empty() || self.approval.is_some() {
            return None;
        }
        if by_hand {
            return Some(Verdict::Fail { findings: self.changes.clone() });
        }
        let why =
            WaitFor::Approval { what: ApprovalKind::Protected, subject: self.subject.clone(), shown: self.shown() };
        Some(Verdict::Wait { why, until: None, recheck: None })
    }

    /// The changes, a line each, as many as people read.
    pub fn shown(&self) -> Vec<String> {
        let place = |f: &Finding| match (&f.file, f.line) {
            (Some(file), Some(line)) => format!("{file}:{line}: {}", f.text),
            (Some(file), None) => format!("{file}: {}", f.text),
            (None, _) => f.text.clone(),
        };
        let is_deletion = |f: &&Finding| f.id.as_deref() == Some(DELETION);
        let (deleted, others): (Vec<&Finding>, Vec<&Finding>) = self.changes.iter().partition(is_deletion);
        let mut shown = Vec::new();
        for (some, most) in [(deleted, LINES), (others, OTHERS)] {
            shown.extend(some.iter().take(most).map(|f| place(f)));
            if some.len() > most {
                shown.push(format!("and {} more", some.len() - most));
            }
        }
        shown
    }
}

/// What the branch changes of what guards the project.
pub(crate) async fn protection(range: &Range<'_>, brought: &BroughtIn, at_head: &[Entry]) -> Result<Protection, Fault> {
    let before: BTreeMap<&str, &BlobAt> = brought.before.iter().map(|b| (b.path.as_str(), b)).collect();
    let after: BTreeMap<&str, &BlobAt> = brought.after.iter().map(|b| (b.path.as_str(), b)).collect();
    let paths: BTreeSet<&str> = before.keys().chain(after.keys()).copied().collect();
    let patterns: Vec<&str> = range.security.protected.iter().map(String::as_str).collect();
    let tree = Tree::read(range, at_head).await?;
    let guards = if paths.is_empty() { Vec::new() } else { guards(range, &tree).await? };
    let mut of_hooks = false;
    let text = Texts::read(range, brought, &guards).await?;
    let side = |blob: Option<&&BlobAt>| blob.and_then(|b| text.whole.get(&b.oid)).map(Vec::as_slice);
    let changed: Vec<Changed<'_>> = paths
        .iter()
        .map(|path| Changed { path, before: side(before.get(path)), after: side(after.get(path)) })
        .collect();
    let mut sum = Sha256::new();
    let mut changes = Vec::new();
    for path in &paths {
        let mine = if tamper::freed(path, &patterns) { Vec::new() } else { guard::of_path(&guards, path) };
        let bytes = [side(before.get(path)), side(after.get(path))];
        let ids = [before.get(path), after.get(path)].map(|blob| blob.map_or("-", |b| b.oid.as_str()));
        of_hooks |= mine
            .iter()
            .any(|g| guard::differs(&g.part, bytes[0], bytes[1]) && g.keys.iter().any(|key| key.starts_with(HOOKS)));
        let Some(pattern) = tamper::protected(path, &patterns) else {
            guarded_change(path, &mine, (ids, bytes), &mut sum, &mut changes);
            continue;
        };
        let old = before.get(path).map_or("-", |b| b.oid.as_str());
        let new = after.get(path).map_or("-", |b| b.oid.as_str());
        let how = match (old, new) {
            ("-", _) => "is added",
            (_, "-") => "is removed",
            _ => "is changed",
        };
        part(&mut sum, &["path", path, old, new]);
        changes.push(Finding {
            id: Some("protected-path".into()),
            file: Some((*path).to_owned()),
            ..Finding::must_fix(format!("{how}; `{pattern}` is protected, so a person has to approve it"))
        });
    }
    // What a link brings in counts as what stands where the link is, for as long as the link is there. What frees a path
    // frees it of the commands, too.
    let whole = guards.iter().filter(|g| g.part == Part::Whole && g.pattern.starts_with('/'));
    let patterns: Vec<&str> = whole.map(|g| g.pattern.as_str()).chain(patterns).collect();
    for link in at_head.iter().filter(|e| e.kind == EntryKind::Link) {
        let Some(pattern) = tamper::protected_below(&link.path, &patterns) else { continue };
        let (links, place) = tree.trail(&link.path);
        let inside = |path: &str| {
            let rest = place.as_deref().and_then(|place| path.strip_prefix(place));
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        for path in paths.iter().filter(|path| **path != link.path) {
            let counts = links.iter().any(|link| link == path) || inside(path);
            if !counts || tamper::protected(path, &patterns).is_some() {
                continue;
            }
            let [old, new] = [&before, &after].map(|side| side.get(path).map_or("-", |b| b.oid.as_str()));
            part(&mut sum, &["behind", path, &link.path, old, new]);
            changes.push(Finding {
                id: Some("protected-path".into()),
                file: Some((*path).to_owned()),
                ..Finding::must_fix(format!(
                    "is changed, and the link {} leads to it: that counts as `{pattern}`, which is protected, so a person has to \
                     approve it",
                    link.path
                ))
            });
        }
    }
    for leading in &brought.leading {
        let submodule = leading.kind == EntryKind::Submodule && !tamper::freed(&leading.path, &patterns);
        let below = tamper::protected_below(&leading.path, &patterns);
        let how = match below {
            _ if submodule => "leads to a commit of another repository, and nothing in it is looked at".to_owned(),
            Some(pattern) if tamper::protected(&leading.path, &patterns).is_none() => {
                format!("is a link, and what it leads to counts as `{pattern}`, which is protected")
            }
            _ => continue,
        };
        part(&mut sum, &["leads", &leading.path, &leading.oid]);
        changes.push(Finding {
            id: Some("protected-path".into()),
            file: Some(leading.path.clone()),
            ..Finding::must_fix(format!("{how}; a person has to approve it"))
        });
    }
    for found in tamper::tampering(&changed) {
        part(&mut sum, &["test", &found.path, &found.name, &format!("{:?}", found.kind)]);
        changes.push(Finding { id: Some("test-tampering".into()), ..found.finding() });
    }
    for path in &paths {
        let lines = |blob: Option<&&BlobAt>| blob.and_then(|b| text.allows.get(&b.oid)).map_or(&[][..], Vec::as_slice);
        let (old, new) = (lines(before.get(path)), lines(after.get(path)));
        // One that stays where it is vouches for what it vouched for before; on another line it vouches for that.
        let mut known: Vec<&str> = old.iter().map(|(_, said)| said.as_str()).collect();
        let is_new = |(_, said): &&(usize, String)| {
            let place = known.iter().position(|k| k == said);
            place.map(|at| known.swap_remove(at)).is_none()
        };
        let fresh: Vec<&(usize, String)> = new.iter().filter(is_new).collect();
        if let [(line, _), ..] = fresh[..] {
            part(&mut sum, &["allow", path, &format!("{fresh:?}")]);
            changes.push(Finding {
                id: Some("inline-allow".into()),
                file: Some((*path).to_owned()),
                line: u32::try_from(*line).ok(),
                ..Finding::must_fix(
                    "asks secret scanners to look away; it does not count here, and a person has to approve it",
                )
            });
        }
    }
    let mut deleted = Vec::new();
    if let Some(found) = deletions(brought, at_head) {
        for path in &found.paths {
            part(&mut sum, &["deleted", path, before.get(path.as_str()).map_or("-", |b| b.oid.as_str())]);
        }
        let finding = |text: String| Finding { id: Some(DELETION.into()), ..Finding::must_fix(text) };
        changes.push(finding(found.sentence));
        changes.extend(found.lines.into_iter().map(|line| finding(format!("deleted: {line}"))));
        deleted = found.paths;
    }
    if changes.is_empty() {
        return Ok(Protection::default());
    }
    let subject = hex(&sum.finalize());
    let task = range.task;
    let approval = task.and_then(|t| t.approved(ApprovalKind::Protected, &subject)).cloned();
    Ok(Protection { subject, changes, deleted, approval, of_hooks })
}

/// What the project's commands run, before the change and with it.
async fn guards(range: &Range<'_>, head: &Tree<'_>) -> Result<Vec<Guard>, Fault> {
    if range.commands.is_empty() {
        return Ok(Vec::new());
    }
    let at_base = range.git.entries(range.project, range.base).await?;
    let base = Tree::read(range, &at_base).await?;
    guarded::guards(range, &[&base, head]).await
}

/// A change of what a configured command runs. `sides`: object ids, and what could be read.
fn guarded_change(
    path: &str,
    guards: &[&Guard],
    (ids, bytes): ([&str; 2], [Option<&[u8]>; 2]),
    sum: &mut Sha256,
    changes: &mut Vec<Finding>,
) {
    let changed: Vec<&&Guard> = guards.iter().filter(|g| guard::differs(&g.part, bytes[0], bytes[1])).collect();
    let whole = changed.iter().find(|g| g.part == Part::Whole);
    let Some(first) = whole.or(changed.first()) else { return };
    // A part is known by what it says, so that another change of the file asks nobody anew.
    let unread = ids.iter().zip(bytes).any(|(id, bytes)| *id != "-" && bytes.is_none());
    let said = |at: usize| match bytes[at] {
        Some(bytes) if whole.is_none() && !unread => {
            let parts: Vec<String> = changed.iter().map(|g| g.part.of(bytes)).collect();
            hex(&Sha256::digest(parts.join("\n")))
        }
        _ => ids[at].to_owned(),
    };
    part(sum, &["guarded", path, &said(0), &said(1)]);
    let how = match (ids, &first.part) {
        (["-", _], _) => "is added".to_owned(),
        ([_, "-"], _) => "is removed".to_owned(),
        (_, Part::Whole) => "is changed".to_owned(),
        (_, part) => format!("is changed in what counts ({})", part.name()),
    };
    changes.push(Finding {
        id: Some("guarded-command".into()),
        file: Some(path.to_owned()),
        ..Finding::must_fix(format!("{how}; {}, so a person has to approve it", first.because))
    });
}

fn part(sum: &mut Sha256, words: &[&str]) {
    for word in words {
        sum.update((word.len() as u64).to_be_bytes());
        sum.update(word.as_bytes());
    }
}

/// The lines that ask scanners to look away. What stands on one is a secret, maybe: a digest of it will do.
fn allows(bytes: &[u8]) -> Vec<(usize, String)> {
    let found = orch_secrets::inline_allows(bytes);
    if found.is_empty() {
        return Vec::new();
    }
    let lines: Vec<&[u8]> = bytes.split(|b| *b == b'\n').collect();
    let said = |line: usize| {
        let text = line.checked_sub(1).and_then(|at| lines.get(at)).copied().unwrap_or_default();
        hex(&Sha256::digest(text.trim_ascii()))
    };
    found.into_iter().map(|line| (line, said(line))).collect()
}

/// What is known of the contents of a change, by object id.
#[derive(Default)]
struct Texts {
    /// Whole contents, of what has to be read whole.
    whole: BTreeMap<String, Vec<u8>>,
    /// Lines that ask scanners to look away, where there are any: number, and a digest of what stands on it.
    allows: BTreeMap<String, Vec<(usize, String)>>,
}

impl Texts {
    async fn read(range: &Range<'_>, brought: &BroughtIn, guards: &[Guard]) -> Result<Self, Fault> {
        let after: BTreeSet<&str> = brought.after.iter().map(|b| b.path.as_str()).collect();
        let before: BTreeSet<&str> = brought.before.iter().map(|b| b.path.as_str()).collect();
        // A test file that is gone may be there under another name, about as long as it was.
        let gone = brought.before.iter().filter(|b| !after.contains(b.path.as_str()) && tamper::reads(&b.path));
        let gone: Vec<u64> = gone.map(|b| b.size).collect();
        let may_be_one = |size: u64| gone.iter().any(|was| size / 4 <= *was && was / 4 <= size);
        let mut wanted: BTreeMap<&str, (u64, bool)> = BTreeMap::new();
        for blob in brought.before.iter().chain(&brought.after).filter(|b| b.size < MAX_BLOB_BYTES as u64) {
            let guarded = guard::of_path(guards, &blob.path).iter().any(|g| g.part != Part::Whole);
            let reads =
                guarded || tamper::reads(&blob.path) || (!before.contains(blob.path.as_str()) && may_be_one(blob.size));
            let whole = reads && blob.size <= LARGEST;
            wanted.entry(&blob.oid).or_insert((blob.size, false)).1 |= whole;
        }
        let mut texts = Self::default();
        let wanted: Vec<(&str, u64, bool)> =
            wanted.into_iter().map(|(oid, (size, whole))| (oid, size, whole)).collect();
        for some in batches(&wanted, |(_, size, _)| *size) {
            let ids: Vec<String> = some.iter().map(|(oid, ..)| (*oid).to_owned()).collect();
            let read = range.git.read_objects(range.project, &ids).await?;
            for ((oid, bytes), (_, _, whole)) in ids.into_iter().zip(read).zip(some) {
                let lines = allows(&bytes);
                if !lines.is_empty() {
                    texts.allows.insert(oid.clone(), lines);
                }
                if *whole {
                    texts.whole.insert(oid, bytes);
                }
            }
        }
        Ok(texts)
    }
}

#[cfg(test)]
mod tests {
    use super::allows;

    #[test]
    fn a_line_that_asks_to_look_away_is_known_by_what_stands_on_it() {
        let said = |text: &str| allows(text.as_bytes()).into_iter().map(|(_, said)| said).collect::<Vec<_>>();
        let mark = ["gitleaks", ":allow"].concat();
        let (one, two) = (format!("a = 1 # {mark}"), format!("b = 2 # {mark}"));
        assert_eq!(said(&format!("{one}\nb = 2\n")), said(&format!("x\n  {one}\r\n")));
        assert_ne!(said(&format!("{one}\nb = 2\n")), said(&format!("a = 1\n{two}\n")));
        assert_eq!(said("nothing\n"), Vec::<String>::new());
    }
}
