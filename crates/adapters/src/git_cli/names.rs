//! What names are: of branches and objects, as git takes them, and of the one hook that is orch's own. Decides nothing else,
//! and asks no git.

/// What tells our hook from somebody else's.
pub(crate) const MARK: &str = "# orch: protects the default branch";

/// Is this text of a hook ours?
pub(crate) fn is_own_hook(text: &[u8]) -> bool {
    String::from_utf8_lossy(text).lines().any(|line| line.starts_with(MARK))
}

/// Would git take this as a branch, and can it not be mistaken for anything else? A part of what `git check-ref-format`
/// refuses, plus all that has a meaning in patterns and revision expressions.
pub(crate) fn is_branch_name(name: &str) -> bool {
    let forbidden = |c: char| c.is_control() || " ~^:?*[\\".contains(c);
    !name.is_empty()
        && !name.starts_with('-')
        && !name.ends_with('.')
        && !name.contains("..")
        && !name.contains("@{")
        && !name.contains(forbidden)
        && name
            .split('/')
            .all(|part| !part.is_empty() && !part.starts_with('.') && part.strip_suffix(".lock").is_none())
}

/// A full object id.
pub(crate) fn is_object_id(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_git_could_take_for_something_else_is_no_branch_name() {
        for good in ["main", "feature/DEMO-1-x", "r2", "ветка", "it's", "a@b", "feature/#1"] {
            assert!(is_branch_name(good), "{good}");
        }
        for bad in
            ["", "-d", "a b", "a..b", "a^", "a~1", "a:b", "a*", "a?", "[a", "a\\b", "/a", "a/", "a//b", ".a", "a/.b"]
        {
            assert!(!is_branch_name(bad), "{bad}");
        }
        for bad in ["a.lock", "a.lock/b", "a@{1}", "a.", "a\nb"] {
            assert!(!is_branch_name(bad), "{bad}");
        }
    }
}
