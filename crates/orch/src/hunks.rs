//! Lines of a unified diff by what they are. Inside of a hunk the sign alone tells, whatever a line looks like; a line that
//! was made to look like the head of another file is still one that came or went.

/// What a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It came.
    Added,
    /// It went.
    Removed,
    /// It is there on both sides.
    Same,
    /// It says of which file and place the lines are.
    Head,
}

/// The lines of a text with what they are.
pub(crate) fn lines(text: &str) -> impl Iterator<Item = (Kind, &str)> {
    let mut in_hunk = false;
    text.lines().map(move |line| {
        let head = if line.starts_with("@@ ") {
            in_hunk = true;
            true
        } else {
            // No line of a hunk begins with a letter.
            in_hunk &= !line.starts_with("diff --git ");
            !in_hunk
        };
        let kind = match line.bytes().next() {
            _ if head => Kind::Head,
            Some(b'+') => Kind::Added,
            Some(b'-') => Kind::Removed,
            _ => Kind::Same,
        };
        (kind, line)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_told_by_its_sign_and_not_by_what_it_looks_like() {
        let text = "diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1,2 +1,3 @@\n--- gone\n+++ come\n+diff --git a/z b/z\n same\n\
                    diff --git a/y b/y\n";
        use Kind::{Added, Head, Removed, Same};
        let kinds: Vec<Kind> = lines(text).map(|(kind, _)| kind).collect();
        assert_eq!(kinds, [Head, Head, Head, Head, Removed, Added, Added, Same, Head]);
    }
}
