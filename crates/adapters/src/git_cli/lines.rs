//! Which lines differ between two commits. Paths and objects come from the list of changed entries, lines from the patch
//! of the same two trees, and both must agree entry by entry: a file name with a line break in it, an attribute or a
//! binary flag of the branch may neither hide a line nor lend its lines to another file. What does not add up is a fault,
//! never an empty list.

use super::tree::{Delta, Repo, shown};
use orch_core::ids::Sha;
use orch_core::verdict::ChangedRange;
use orch_ports::Fault;
use orch_ports::git::ChangedLines;

impl Repo {
    /// What the port calls the same.
    pub(super) async fn changed_lines(&self, from: &Sha, to: &Sha) -> Result<Vec<ChangedLines>, Fault> {
        let (from, to) = (self.tree_of(from).await?, self.tree_of(to).await?);
        let deltas = self.deltas(&from, &to).await?;
        let call = self.call("diff-tree").args(["-r", "-p", "--unified=0", "--full-index", "--no-renames"]);
        let call = call.args(["--no-color", "--no-ext-diff", "--no-textconv", "--text", "--submodule=short"]);
        let call = call.args(["--diff-algorithm=myers", "--no-indent-heuristic", "--inter-hunk-context=0"]);
        let diff = call.args(["--end-of-options", &from, &to, "--"]).ok().await?;
        matched(&deltas, sections(&diff)?)
    }
}

/// The patch of one side of an entry.
#[derive(Debug, Default, PartialEq, Eq)]
struct Section {
    /// Ids before and after, if the content differs.
    index: Option<(String, String)>,
    /// Lines on the new side.
    lines: Vec<ChangedRange>,
}

/// Gives every entry the lines of its own sections.
fn matched(deltas: &[Delta], sections: Vec<Section>) -> Result<Vec<ChangedLines>, Fault> {
    let odd = |why: &str| Fault::bug(format!("git diff-tree: {why}"));
    let mut sections = sections.into_iter();
    let mut files = Vec::with_capacity(deltas.len());
    for delta in deltas {
        let mut next = || sections.next().ok_or_else(|| odd("a changed file has no patch"));
        let section = if delta.how == 'T' {
            // A change of kind is shown as two: the old one goes, the new one comes.
            let gone = next()?;
            if gone.index.is_some_and(|(old, _)| old != delta.old.oid) {
                return Err(odd("a patch belongs to another file"));
            }
            next()?
        } else {
            next()?
        };
        match &section.index {
            Some((old, new)) if *new == delta.new.oid && (*old == delta.old.oid || delta.how == 'T') => {}
            // Only its mode changed.
            None if delta.old.oid == delta.new.oid && section.lines.is_empty() => {}
            _ => return Err(odd("a patch belongs to another file")),
        }
        let lines = if delta.new.is_absent() { Vec::new() } else { section.lines };
        files.push(ChangedLines { path: shown(&delta.new.path), how: delta.how, lines });
    }
    if sections.next().is_some() { Err(odd("a patch belongs to no changed file")) } else { Ok(files) }
}

/// The patches of a diff without context, read line by line: what a hunk announces must follow it.
fn sections(diff: &[u8]) -> Result<Vec<Section>, Fault> {
    let odd = |line: &[u8]| Fault::bug(format!("git diff-tree: `{}` is out of place", shown(line)));
    let mut all: Vec<Section> = Vec::new();
    let (mut taken, mut added) = (0, 0);
    for line in diff.split_inclusive(|b| *b == b'\n') {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        if 0 < taken && line.starts_with(b"-") {
            taken -= 1;
        } else if taken == 0 && 0 < added && line.starts_with(b"+") {
            added -= 1;
        } else if line.starts_with(b"\\ ") {
            // "No newline at end of file": belongs to the line before.
        } else if 0 < taken + added {
            return Err(odd(line));
        } else if line.starts_with(b"diff --git ") {
            all.push(Section::default());
        } else {
            let section = all.last_mut().ok_or_else(|| odd(line))?;
            if line.starts_with(b"@@ ") {
                let ((_, old), (start, new)) = hunk(line).ok_or_else(|| odd(line))?;
                let last = start.checked_add(if new == 0 { 1 } else { new - 1 }).ok_or_else(|| odd(line))?;
                let grown = i64::from(new) - i64::from(old);
                section.lines.push(ChangedRange { first: start.max(1), last, grown });
                (taken, added) = (old, new);
            } else if let Some(ids) = line.strip_prefix(b"index ") {
                let ids = shown(ids);
                let ids = ids.split(' ').next().and_then(|ids| ids.split_once("..")).ok_or_else(|| odd(line))?;
                section.index = Some((ids.0.to_owned(), ids.1.to_owned()));
            } else if !header(line) {
                return Err(odd(line));
            }
        }
    }
    if 0 < taken + added { Err(odd(b"the end")) } else { Ok(all) }
}

/// A line between `diff --git` and the first hunk that says nothing about lines.
fn header(line: &[u8]) -> bool {
    const KNOWN: &[&[u8]] = &[b"old mode ", b"new mode ", b"deleted file mode ", b"new file mode ", b"--- ", b"+++ "];
    KNOWN.iter().any(|known| line.starts_with(known))
}

/// `@@ -3,2 +4 @@ ...`: first line and number of lines on either side.
fn hunk(line: &[u8]) -> Option<((u32, u32), (u32, u32))> {
    let text = std::str::from_utf8(line.get(3..)?.split(|b| *b == b'@').next()?).ok()?;
    let (old, new) = text.strip_suffix(' ')?.split_once(' ')?;
    let side = |text: &str| match text.split_once(',') {
        Some((start, count)) => Some((start.parse().ok()?, count.parse().ok()?)),
        None => Some((text.parse().ok()?, 1)),
    };
    Some((side(old.strip_prefix('-')?)?, side(new.strip_prefix('+')?)?))
}

#[cfg(test)]
mod tests {
    use super::super::tree::Entry;
    use super::*;

    fn lines(diff: &str) -> Result<Vec<(u32, u32, i64)>, Fault> {
        let head = "diff --git a/f b/f\nindex 1..2 100644\n--- a/f\n+++ b/f\n";
        let mut all = sections(format!("{head}{diff}").as_bytes())?;
        Ok(all.remove(0).lines.into_iter().map(|c| (c.first, c.last, c.grown)).collect())
    }

    #[test]
    fn hunks_are_lines_of_the_new_side() {
        assert_eq!(lines("@@ -1 +1 @@ fn x() @@\n-a\n+b\n").unwrap(), [(1, 1, 0)]);
        assert_eq!(
            lines("@@ -0,0 +4,2 @@\n+a\n+b\n@@ -9,2 +12,0 @@\n-@@ -1 +1 @@\n-y\n").unwrap(),
            [(4, 5, 2), (12, 13, -2)]
        );
        assert_eq!(lines("@@ -1,2 +0,0 @@\n-a\n-b\n").unwrap(), [(1, 1, -2)], "nothing is before the first line");
        let no_end =
            "@@ -1 +1 @@\n-a\n\\ No newline at end of file\n+diff --git a/x b/x\n\\ No newline at end of file\n";
        assert_eq!(lines(no_end).unwrap(), [(1, 1, 0)]);
    }

    #[test]
    fn what_does_not_add_up_is_a_fault() {
        for diff in [
            "@@ -1 +1 @@\n-a\n",
            "@@ -1 +1 @@\n+a\n-b\n",
            "@@ -1 +1 @@\n-a\n+b\n+c\n",
            "@@ -1 +x @@\n-a\n+b\n",
            "@@ -1 @@\n-a\n",
            "@@ -1 +1\n-a\n+b\n",
            "@@ -1 +1,99999999999 @@\n-a\n+b\n",
            "@@ -1 +4294967295,2 @@\n-a\n+b\n+c\n",
            "Binary files a/f and b/f differ\n",
            "GIT binary patch\n",
        ] {
            assert!(lines(diff).is_err(), "{diff}");
        }
        assert!(sections(b"@@ -1 +1 @@\n-a\n+b\n").is_err(), "a hunk of no file");
    }

    #[test]
    fn no_file_gets_the_lines_of_another() {
        let entry = |mode: &str, oid: &str| Entry { mode: mode.into(), oid: oid.into(), path: b"f".to_vec() };
        let delta = |how, old, new| Delta { old: entry("100644", old), new: entry("100644", new), how };
        let lines = vec![ChangedRange { first: 1, last: 1, grown: 0 }];
        let section = |old: &str, new: &str| Section { index: Some((old.into(), new.into())), lines: lines.clone() };
        assert!(matched(&[delta('M', "1", "2")], vec![section("1", "2")]).is_ok());
        assert!(matched(&[delta('M', "1", "2")], vec![section("1", "3")]).is_err());
        assert!(matched(&[delta('M', "1", "2")], vec![Section::default()]).is_err(), "its lines are missing");
        assert!(matched(&[delta('M', "1", "2")], Vec::new()).is_err());
        assert!(matched(&[], vec![section("1", "2")]).is_err());
        assert!(matched(&[delta('M', "1", "1")], vec![Section::default()]).is_ok(), "only the mode");
    }
}
