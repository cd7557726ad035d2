//! Reads what a branch changes. By the counts of the hunk headers and not by how a line looks, so that no added line can
//! pass for a header; as text whatever the branch's attributes say, so that nothing is hidden as "binary".

use super::desk::Desk;
use orch_core::artefact;

/// One changed file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct FileDiff {
    /// Path in the repository.
    pub(super) path: String,
    /// Lines that are new, with their numbers.
    pub(super) added: Vec<(u32, String)>,
    /// How many lines are gone.
    pub(super) removed: u32,
    /// Is the whole file gone?
    pub(super) deleted: bool,
}

/// What the branch changes against its base, the task's known artefacts aside.
pub(super) fn of_branch(desk: &Desk) -> Result<Vec<FileDiff>, String> {
    let range = format!("{}...HEAD", desk.base());
    let flags = ["diff", "--no-color", "--no-ext-diff", "--no-textconv", "--no-renames", "--text", "-U0"];
    let text = desk.git(&[&flags[..], &["--src-prefix=a/", "--dst-prefix=b/", &range, "--"]].concat())?;
    let own = format!("{}/", desk.artefact_dir());
    Ok(parse(&text)
        .into_iter()
        .filter(|f| f.path.strip_prefix(&own).is_none_or(|n| artefact::known(n).is_none()))
        .collect())
}

fn parse(text: &str) -> Vec<FileDiff> {
    let mut files: Vec<FileDiff> = Vec::new();
    // Lines of the hunk still to come (old side, new side) and the number of the next new one.
    let (mut old, mut new, mut at) = (0_u32, 0_u32, 0_u32);
    for line in text.split('\n') {
        if old + new > 0 {
            let Some(file) = files.last_mut() else { break };
            if let Some(content) = line.strip_prefix('+') {
                file.added.push((at, content.to_owned()));
                (new, at) = (new.saturating_sub(1), at + 1);
            } else if line.starts_with('-') {
                file.removed += 1;
                old = old.saturating_sub(1);
            }
        } else if let Some(header) = line.strip_prefix("diff --git ") {
            files.push(FileDiff { path: path_of(header), ..FileDiff::default() });
        } else if line.starts_with("deleted file mode ") {
            if let Some(file) = files.last_mut() {
                file.deleted = true;
            }
        } else if let Some((first_old, first_new)) = hunk(line) {
            (old, new, at) = (first_old.1, first_new.1, first_new.0);
        }
    }
    files
}

/// `a/x b/x`, where both are the same because renames are off.
fn path_of(header: &str) -> String {
    let header = header.trim_matches('"');
    let half = header.get(..header.len() / 2).unwrap_or(header);
    half.trim_end_matches(['"', ' ']).strip_prefix("a/").unwrap_or(half).to_owned()
}

/// `@@ -a,b +c,d @@`: start and count of both sides.
fn hunk(line: &str) -> Option<((u32, u32), (u32, u32))> {
    let mut words = line.strip_prefix("@@ ")?.split(' ');
    let mut side = |sign: char| {
        let (start, count) = words.next()?.strip_prefix(sign).map(|w| w.split_once(',').unwrap_or((w, "1")))?;
        Some((start.parse().ok()?, count.parse().ok()?))
    };
    Some((side('-')?, side('+')?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_counted_and_never_guessed() {
        let text = "diff --git a/x y.sh b/x y.sh\nindex 1..2 100644\n--- a/x y.sh\n+++ b/x y.sh\n@@ -2 +2,3 @@ f\n-- old\n+++ b/evil\n+@@ -1 +1 @@\n\
                    +diff --git a/z b/z\n\\ No newline at end of file\ndiff --git a/gone b/gone\ndeleted file mode 100644\n@@ -1,2 +0,0 @@\n-a\n-b\n";
        let files = parse(text);
        assert_eq!(files.len(), 2);
        assert_eq!((files[0].path.as_str(), files[0].removed), ("x y.sh", 1));
        assert_eq!(files[0].added[2], (4, "diff --git a/z b/z".into()));
        assert!(files[1].deleted && files[1].removed == 2 && files[1].path == "gone");
    }
}
