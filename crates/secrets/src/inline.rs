//! Finds comments that ask a scanner to look away. They never suppress anything: whoever may write a secret may write the
//! comment beside it. The gate shows a newly added one to a person, who alone can let it through.

use aho_corasick::AhoCorasick;
use std::sync::LazyLock;

/// What the scanners of this world accept, lower case.
const MARKS: &[&str] = &[
    "gitleaks:allow",
    "betterleaks:allow",
    "nosecret",
    "pragma: allowlist secret",
    "pragma: allowlist nextline secret",
    "pragma: whitelist secret",
    "pragma: whitelist nextline secret",
    "pragma:allowlist secret",
    "trufflehog:ignore",
    "kingfisher:ignore",
    "ggignore",
];

static SEARCH: LazyLock<AhoCorasick> =
    LazyLock::new(|| match AhoCorasick::builder().ascii_case_insensitive(true).build(MARKS) {
        Ok(search) => search,
        Err(e) => unreachable!("a handful of short words: {e}"),
    });

/// The lines, from 1, that hold such a comment.
pub fn inline_allows(bytes: &[u8]) -> Vec<usize> {
    let mut lines: Vec<usize> = Vec::new();
    let (mut line, mut counted) = (1, 0);
    for found in SEARCH.find_iter(bytes) {
        let word = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_');
        if word(found.start().checked_sub(1).and_then(|at| bytes.get(at))) || word(bytes.get(found.end())) {
            continue;
        }
        line += memchr::memchr_iter(b'\n', &bytes[counted..found.start()]).count();
        counted = found.start();
        if lines.last() != Some(&line) {
            lines.push(line);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mark_is_found_on_its_line_and_a_word_that_holds_one_is_none() {
        let text =
            "a\nkey = 1 # gitleaks:allow\n// GitLeaks:Allow\nnosecrets here\nx # nosecret, pragma: allowlist secret\n";
        assert_eq!(inline_allows(text.as_bytes()), [2, 3, 5]);
        assert_eq!(inline_allows(b"nothing"), Vec::<usize>::new());
    }
}
