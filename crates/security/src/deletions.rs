//! Does a change take so much away that a person has to see it? Files that are absent were deleted on purpose or were
//! never shown to whoever made the change, and no look at the change alone tells which. So a large deletion waits. It
//! only counts; what a file was, and who made it, does not matter.

use orch_ports::git::{BroughtIn, Entry};
use std::collections::{BTreeMap, BTreeSet};

/// A change may delete this many files without a person.
const FILES: usize = 20;
/// A change may delete this part of the files without a person, per cent.
const PERCENT: usize = 10;

/// What a change takes away, where that is much.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Deletions {
    /// Every path, in order.
    pub(super) paths: Vec<String>,
    /// The same for people: a directory of which nothing is left is one line.
    pub(super) lines: Vec<String>,
    /// In one sentence.
    pub(super) sentence: String,
}

/// What a person has to see; nothing if the change takes little away. A file that git finds again under another name is
/// not deleted; one that is emptied is.
pub(super) fn deletions(brought: &BroughtIn, at_head: &[Entry]) -> Option<Deletions> {
    let before: BTreeMap<&str, u64> = brought.before.iter().map(|b| (b.path.as_str(), b.size)).collect();
    let after: BTreeMap<&str, u64> = brought.after.iter().map(|b| (b.path.as_str(), b.size)).collect();
    let emptied = |path: &&str| before.get(path).is_some_and(|size| *size > 0) && after.get(path) == Some(&0);
    let mut gone: BTreeSet<&str> = brought.gone.iter().map(String::as_str).collect();
    gone.extend(after.keys().filter(|path| emptied(path)));
    if gone.is_empty() {
        return None;
    }
    let head: BTreeSet<&str> = at_head.iter().map(|e| e.path.as_str()).collect();
    let absent = before.keys().filter(|path| !head.contains(*path)).count();
    let added = after.keys().filter(|path| !before.contains_key(*path)).count();
    let had = (head.len() + absent).saturating_sub(added);
    // Of a directory nothing is left when no path of the head begins with it.
    let is_left = |dir: &str| head.range(dir..).next().is_some_and(|path| path.starts_with(dir));
    let mut tops: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for path in before.keys() {
        let Some(slash) = path.find('/') else { continue };
        let count = tops.entry(&path[..=slash]).or_default();
        count.0 += 1;
        count.1 += usize::from(gone.contains(path));
    }
    // Of one whose files moved elsewhere, most must be gone for good.
    let whole: Vec<&str> = tops
        .iter()
        .filter(|(dir, (files, gone))| !is_left(dir) && *gone > 0 && gone * 2 >= *files)
        .map(|(dir, _)| *dir)
        .collect();
    let many = gone.len() > FILES && gone.len() * 100 > had * PERCENT;
    if !many && whole.is_empty() {
        return None;
    }
    let mut lines: Vec<(String, usize)> = Vec::new();
    for path in &gone {
        let mut ends = path.match_indices('/').map(|(at, _)| &path[..=at]);
        let line = ends.find(|dir| !is_left(dir)).unwrap_or(path);
        match lines.last_mut() {
            Some((last, count)) if last == line => *count += 1,
            _ => lines.push((line.to_owned(), 1)),
        }
    }
    let line = |(line, count): (String, usize)| match (line.ends_with('/'), count) {
        (true, 1) => format!("{line} (1 file)"),
        (true, count) => format!("{line} ({count} files)"),
        (false, _) if after.contains_key(line.as_str()) => format!("{line} (emptied)"),
        (false, _) => line,
    };
    let whole = match whole.as_slice() {
        [] => String::new(),
        [one] => format!(", and with them the whole directory {one}"),
        several => format!(", and with them the whole directories {}", several.join(", ")),
    };
    Some(Deletions {
        sentence: format!("deletes {} of {had} files{whole}; a person has to approve exactly this list", gone.len()),
        paths: gone.iter().map(|p| (*p).to_owned()).collect(),
        lines: lines.into_iter().map(line).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use orch_core::ids::Sha;
    use orch_ports::git::{BlobAt, EntryKind};

    fn blob(path: &str, size: u64) -> BlobAt {
        BlobAt { path: path.into(), oid: format!("{path}{size}"), size, commit: Sha::new("1".repeat(40)) }
    }

    /// A change of a repository that holds `had`: these go, these are added, these stay without content; of those that
    /// go, `found` stand under another name.
    fn change(
        had: &[String],
        go: &[String],
        added: &[String],
        emptied: &[String],
        found: &[String],
    ) -> Option<Deletions> {
        let kept = had.iter().filter(|p| !go.contains(p)).chain(added);
        let entry = |p: &String| Entry { path: p.clone(), kind: EntryKind::File, oid: "x".into(), size: 1 };
        let head: Vec<Entry> = kept.map(entry).collect();
        let brought = BroughtIn {
            before: go.iter().chain(emptied).map(|p| blob(p, 1)).collect(),
            after: added.iter().map(|p| blob(p, 1)).chain(emptied.iter().map(|p| blob(p, 0))).collect(),
            gone: go.iter().filter(|p| !found.contains(p)).cloned().collect(),
            ..BroughtIn::default()
        };
        deletions(&brought, &head)
    }
    fn some(dir: &str, count: usize) -> Vec<String> {
        (0..count).map(|n| format!("{dir}{n:04}")).collect()
    }
    fn all(parts: &[&[String]]) -> Vec<String> {
        parts.concat()
    }

    #[test]
    fn a_large_deletion_is_seen_by_a_person_and_a_small_one_is_not() {
        let (src, docs, root) = (some("src/", 150), some("docs/", 30), some("f", 20));
        let had = all(&[&src, &docs, &root]);
        let none: Vec<String> = Vec::new();
        let asks = |go: &[String]| change(&had, go, &none, &none, &none).is_some();
        for (go, asked, why) in [
            (none.clone(), false, "nothing"),
            (src[..20].to_vec(), false, "20 files of 200"),
            (src[..21].to_vec(), true, "21 files of 200: more than 20 and more than a tenth"),
            (docs[..29].to_vec(), true, "29 of 200"),
            (docs.clone(), true, "a whole top-level directory"),
            (root.clone(), false, "20 files that lie in no directory"),
            (had.clone(), true, "everything"),
        ] {
            assert_eq!(asks(&go), asked, "{why}");
        }
        let large = all(&[&some("src/", 5000), &some("one/", 1)]);
        let of_large = |go: &[String]| change(&large, go, &none, &none, &none);
        assert_eq!(of_large(&large[..500]), None, "a tenth of 5,001 files is more than 500");
        assert!(of_large(&large[..501]).is_some());
        let one = of_large(&some("one/", 1)).unwrap();
        assert_eq!(one.lines, ["one/ (1 file)"]);
        assert!(one.sentence.contains("deletes 1 of 5001 files") && one.sentence.contains("directory one/"), "{one:?}");
    }

    #[test]
    fn what_git_finds_again_under_another_name_is_not_deleted() {
        let (src, lib) = (some("src/", 40), some("lib/", 60));
        let had = all(&[&src, &lib]);
        let moved: Vec<String> = src.iter().map(|p| format!("crates/{p}")).collect();
        let none: Vec<String> = Vec::new();
        assert_eq!(change(&had, &src, &moved, &none, &src), None, "a directory that is moved as a whole");
        assert_eq!(change(&had, &src, &moved[1..], &none, &src[1..]), None, "and one file of it deleted on the way");
        let most_are_gone = change(&had, &src, &moved[..5], &none, &src[..5]).unwrap();
        assert_eq!(most_are_gone.paths.len(), 35);
        assert!(change(&had, &src[..30], &moved[..30], &none, &none).is_some(), "other files were added");
    }

    #[test]
    fn a_file_that_is_emptied_is_as_good_as_deleted() {
        let had = some("src/", 100);
        let none: Vec<String> = Vec::new();
        assert_eq!(change(&had, &none, &none, &had[..20], &none), None);
        let found = change(&had, &none, &none, &had[..30], &none).unwrap();
        assert_eq!((found.paths.len(), found.lines[0].as_str()), (30, "src/0000 (emptied)"));
    }

    #[test]
    fn the_list_names_directories_of_which_nothing_is_left_once() {
        let (a, b, c) = (some("a/x/", 3), some("a/y/", 2), some("b/", 30));
        let had = all(&[&a, &b, &c, &some("a/z/", 1)]);
        let none: Vec<String> = Vec::new();
        let go = all(&[&a, &b[..1], &c[..20]]);
        let found = change(&had, &go, &none, &none, &none).unwrap();
        assert_eq!(found.lines[..2], ["a/x/ (3 files)", "a/y/0000"]);
        assert_eq!((found.lines.len(), found.paths.len()), (22, 24));
    }
}
