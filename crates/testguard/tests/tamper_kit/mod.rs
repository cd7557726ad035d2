//! What the tables of edits share: one file before and after, and what is told of it.
#![allow(dead_code, reason = "every test binary uses its own part of this")]

use orch_testguard::tamper::{Changed, Kind, tampering};

/// What was done, where from and where to.
pub(crate) type Edit<'a> = (&'a str, &'a str, &'a str);

/// What is told of one file.
pub(crate) fn found(path: &str, from: &str, to: &str) -> Vec<(Kind, String)> {
    told(&[(path, Some(from), Some(to))])
}

/// What is told of a whole change.
pub(crate) fn told(files: &[(&str, Option<&str>, Option<&str>)]) -> Vec<(Kind, String)> {
    let changed: Vec<Changed<'_>> = files
        .iter()
        .map(|(path, before, after)| Changed {
            path,
            before: before.map(str::as_bytes),
            after: after.map(str::as_bytes),
        })
        .collect();
    tampering(&changed).into_iter().map(|t| (t.kind, t.name)).collect()
}

/// Replaces `from` with `to` in `base` and expects exactly one finding, and none when it is taken back.
pub(crate) fn loud(path: &str, base: &str, edits: &[(Kind, &str, Edit<'_>)]) {
    for (kind, name, (what, from, to)) in edits {
        assert!(base.contains(from), "{what}: {from:?} is not in the file");
        let after = base.replacen(from, to, 1);
        assert_eq!(found(path, base, &after), [(*kind, (*name).to_owned())], "{what}:\n{after}");
        assert_eq!(found(path, &after, base), [], "{what}, taken back");
    }
}

/// Replaces `from` with `to` in `base` and expects nothing.
pub(crate) fn silent(path: &str, base: &str, edits: &[Edit<'_>]) {
    for (what, from, to) in edits {
        assert!(base.contains(from), "{what}: {from:?} is not in the file");
        let after = base.replacen(from, to, 1);
        assert_eq!(found(path, base, &after), [], "{what}:\n{after}");
    }
}
