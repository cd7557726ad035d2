//! Branch names people can read, whatever script the title is in.

use crate::ids::WorkItem;

/// Longest slug; long enough to recognise a ticket, short enough for a terminal.
const MAX: usize = 40;

/// An ASCII slug of a title: transliterated, lower-case, words joined by `-`, cut at a word.
pub fn slug(title: &str) -> String {
    let ascii = deunicode::deunicode(title).to_lowercase();
    let mut out = String::new();
    for word in ascii.split(|c: char| !c.is_ascii_alphanumeric()).filter(|w| !w.is_empty()) {
        if !out.is_empty() && MAX < out.len() + 1 + word.len() {
            break;
        }
        if !out.is_empty() {
            out.push('-');
        }
        out.push_str(word.get(..MAX).unwrap_or(word));
    }
    if out.is_empty() { "task".into() } else { out }
}

/// `feature/<work-item>-<slug>`, with `-r<n>` from the second generation on.
pub fn branch(work_item: &WorkItem, title: &str, generation: u32) -> String {
    named("feature", work_item, title, generation)
}

/// `land/<work-item>-<slug>`: the copy of a person's branch.
pub fn landing(work_item: &WorkItem, title: &str, generation: u32) -> String {
    named("land", work_item, title, generation)
}

fn named(kind: &str, work_item: &WorkItem, title: &str, generation: u32) -> String {
    let base = format!("{kind}/{work_item}-{}", slug(title));
    if generation <= 1 { base } else { format!("{base}-r{generation}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_in_any_script_make_ascii_branches() {
        assert_eq!(slug("Показать версию на странице"), "pokazat-versiiu-na-stranitse");
        assert_eq!(slug("  Fix: the/path & ..lock~^: "), "fix-the-path-lock");
        assert_eq!(slug("???"), "task");
        assert_eq!(slug("日本語"), "ri-ben-yu");
        assert!(slug(&"long ".repeat(50)).len() <= MAX);
        assert!(slug(&"x".repeat(500)).len() <= MAX);
        assert_eq!(branch(&"DEMO-1".into(), "Hi", 1), "feature/DEMO-1-hi");
        assert_eq!(branch(&"DEMO-1".into(), "Hi", 2), "feature/DEMO-1-hi-r2");
        assert_eq!(landing(&"DEMO-1".into(), "Hi", 2), "land/DEMO-1-hi-r2");
    }
}
