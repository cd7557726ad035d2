//! Files on tickets: what is known of one, how large they may be, and which names they may have. A name is one part of a path
//! and nothing else, so that no file of a ticket can ever lie outside of the directory it is put into.

use orch_core::ids::{Actor, Time};
use orch_core::plain::is_hostile;
use serde::{Deserialize, Serialize};

/// Largest file, bytes.
pub const FILE_MOST: u64 = 10 * 1024 * 1024;
/// All files of a ticket together, bytes.
pub const FILES_MOST: u64 = 20 * 1024 * 1024;
/// Longest name, bytes.
const NAME_MOST: usize = 120;

/// A file on a ticket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    /// Its name, one part of a path.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// SHA-256, hexadecimal.
    pub sha256: String,
    /// Who put it there.
    pub by: Actor,
    /// When.
    pub at: Time,
}

/// What is wrong with a name; `None`: nothing.
pub fn wrong_name(name: &str) -> Option<String> {
    let shown = name.escape_debug();
    let why = if name.is_empty() {
        "is empty".to_owned()
    } else if NAME_MOST < name.len() {
        format!("is {} bytes long, and {NAME_MOST} are the most", name.len())
    } else if name.starts_with('.') {
        "begins with a dot".to_owned()
    } else if name.contains(['/', '\\']) {
        "is a path, and not a name".to_owned()
    } else if name.chars().any(|c| c.is_control() || is_hostile(c)) {
        "has characters that control a terminal or turn a text".to_owned()
    } else {
        return None;
    };
    Some(format!("the name `{shown}` {why}"))
}

/// What is wrong with a file of this size beside those that are there; `None`: nothing. One of the same name is replaced.
pub fn too_large(name: &str, size: u64, there: &[Attachment]) -> Option<String> {
    if size == 0 {
        return Some(format!("{name} is empty"));
    }
    if FILE_MOST < size {
        return Some(format!("{name} has {size} bytes, and {FILE_MOST} are the most for a file"));
    }
    let others: u64 = there.iter().filter(|a| a.name != name).map(|a| a.size).sum();
    (FILES_MOST < others + size).then(|| {
        format!("{name} has {size} bytes and the ticket {others} already; {FILES_MOST} are the most for all its files")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_part_of_a_path() {
        for good in ["a.png", "снимок экрана.png", "a b (1).txt", "-x"] {
            assert_eq!(wrong_name(good), None, "{good}");
        }
        for bad in [
            "",
            ".",
            "..",
            ".git",
            "a/b",
            "../a",
            "/etc/passwd",
            "a\\b",
            "a\nb",
            "a\0b",
            "a\u{202e}b",
            &"x".repeat(121),
        ] {
            assert!(wrong_name(bad).is_some(), "{bad:?}");
        }
    }

    #[test]
    fn what_is_too_large_is_named_with_its_size_and_the_limit() {
        let of = |name: &str, size| Attachment {
            name: name.into(),
            size,
            sha256: String::new(),
            by: "local:anna".into(),
            at: Time(0),
        };
        assert_eq!(too_large("a", FILE_MOST, &[]), None);
        assert!(too_large("a", 0, &[]).is_some_and(|why| why == "a is empty"));
        let why = too_large("a", FILE_MOST + 1, &[]).unwrap_or_default();
        assert!(why.contains("10485761") && why.contains("10485760"), "{why}");
        let there = [of("b", FILE_MOST), of("c", FILE_MOST - 1)];
        assert_eq!(too_large("a", 1, &there), None);
        let why = too_large("a", 2, &there).unwrap_or_default();
        assert!(why.contains("a has 2 bytes") && why.contains("20971520"), "{why}");
        assert_eq!(too_large("b", FILE_MOST, &there), None, "it is replaced");
    }
}
