//! Changes of what guards a project: protected paths, tests that were taken away or switched off, and comments that ask
//! scanners to look away. None of them is wrong by itself, and none of them is for an agent to decide: a person approves
//! exactly these changes, and another change asks anew.

use super::Security;
use crate::effects::hex;
use crate::gates::Look;
use orch_core::tamper::{self, Changed};
use orch_core::task::{Approval, ApprovalKind};
use orch_core::verdict::{Finding, Verdict, WaitFor};
use orch_ports::Fault;
use orch_ports::git::{BlobAt, BroughtIn};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// Larger files are compared by name only: no test is written by hand in them.
const LARGEST: u64 = 2 * 1024 * 1024;

/// What a person has to approve, and whether one has.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Protection {
    /// Digest of exactly these changes; empty if there are none.
    pub(crate) subject: String,
    /// The changes, a finding each.
    pub(crate) changes: Vec<Finding>,
    /// The approval of exactly these.
    pub(crate) approval: Option<Approval>,
}

impl Protection {
    /// What is not approved yet makes the gate wait for a person; by hand, where nobody can approve, it fails.
    pub(crate) fn verdict(&self, by_hand: bool) -> Option<Verdict> {
        if self.changes.is_empty() || self.approval.is_some() {
            return None;
        }
        if by_hand {
            return Some(Verdict::Fail { findings: self.changes.clone() });
        }
        let place = |f: &Finding| match (&f.file, f.line) {
            (Some(file), Some(line)) => format!("{file}:{line}: {}", f.text),
            (Some(file), None) => format!("{file}: {}", f.text),
            (None, _) => f.text.clone(),
        };
        let mut shown: Vec<String> = self.changes.iter().take(20).map(place).collect();
        if shown.len() < self.changes.len() {
            shown.push(format!("and {} more", self.changes.len() - shown.len()));
        }
        let why = WaitFor::Approval { what: ApprovalKind::Protected, subject: self.subject.clone(), shown };
        Some(Verdict::Wait { why, until: None, recheck: None })
    }
}

/// What the branch changes of what guards the project.
pub(crate) async fn protection(look: &Look<'_>, security: &Security, brought: &BroughtIn) -> Result<Protection, Fault> {
    let before: BTreeMap<&str, &BlobAt> = brought.before.iter().map(|b| (b.path.as_str(), b)).collect();
    let after: BTreeMap<&str, &BlobAt> = brought.after.iter().map(|b| (b.path.as_str(), b)).collect();
    let paths: BTreeSet<&str> = before.keys().chain(after.keys()).copied().collect();
    let text = contents(look, before.values().chain(after.values()).copied()).await?;
    let side = |blob: Option<&&BlobAt>| blob.and_then(|b| text.get(&b.oid)).map(Vec::as_slice);
    let changed: Vec<Changed<'_>> = paths
        .iter()
        .map(|path| Changed { path, before: side(before.get(path)), after: side(after.get(path)) })
        .collect();
    let patterns: Vec<&str> = security.protected.iter().map(String::as_str).collect();
    let mut sum = Sha256::new();
    let mut changes = Vec::new();
    for path in &paths {
        let Some(pattern) = tamper::protected(path, &patterns) else { continue };
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
    for found in tamper::tampering(&changed) {
        part(&mut sum, &["test", &found.path, &found.name, &format!("{:?}", found.kind)]);
        changes.push(Finding { id: Some("test-tampering".into()), ..found.finding() });
    }
    for change in &changed {
        let lines = |bytes: Option<&[u8]>| bytes.map(orch_secrets::inline_allows).unwrap_or_default();
        let (old, new) = (lines(change.before), lines(change.after));
        if old.len() < new.len() {
            part(&mut sum, &["allow", change.path, &format!("{new:?}")]);
            changes.push(Finding {
                id: Some("inline-allow".into()),
                file: Some(change.path.to_owned()),
                line: new.first().and_then(|line| u32::try_from(*line).ok()),
                ..Finding::must_fix(
                    "asks secret scanners to look away; it does not count here, and a person has to approve it",
                )
            });
        }
    }
    if changes.is_empty() {
        return Ok(Protection::default());
    }
    let subject = hex(&sum.finalize());
    let task = look.subject.task.as_ref();
    let approval = task.and_then(|t| t.approved(ApprovalKind::Protected, &subject)).cloned();
    Ok(Protection { subject, changes, approval })
}

fn part(sum: &mut Sha256, words: &[&str]) {
    for word in words {
        sum.update((word.len() as u64).to_be_bytes());
        sum.update(word.as_bytes());
    }
}

/// Contents by object id.
async fn contents<'b>(
    look: &Look<'_>,
    blobs: impl Iterator<Item = &'b BlobAt>,
) -> Result<BTreeMap<String, Vec<u8>>, Fault> {
    let ids: BTreeSet<String> = blobs.filter(|b| b.size <= LARGEST).map(|b| b.oid.clone()).collect();
    let ids: Vec<String> = ids.into_iter().collect();
    let mut all = BTreeMap::new();
    for some in ids.chunks(64) {
        let read = look.git.read_objects(&look.project.key, some).await?;
        all.extend(some.iter().cloned().zip(read));
    }
    Ok(all)
}
