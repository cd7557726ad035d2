//! Where comments, texts and raw names are in Rust. It decides nothing about tests.

use super::lex::{Stretch, is_word, quoted, to, to_line_end};

/// Comments and texts of Rust.
pub(super) fn stretches(source: &str) -> Vec<Stretch> {
    let bytes = source.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let before_word = at > 0 && is_word(char::from(bytes[at - 1]));
        let (end, is_text) = if rest.starts_with(b"//") {
            (to_line_end(bytes, at), false)
        } else if rest.starts_with(b"/*") {
            (block_comment(bytes, at), false)
        } else if bytes[at] == b'"' {
            (quoted(bytes, at, true), true)
        } else if !before_word && let Some(end) = raw(bytes, at) {
            (end, true)
        } else if !before_word && rest.starts_with(b"r#") && rest.get(2).is_some_and(|b| is_word(char::from(*b))) {
            // `r#type` is the name `type`.
            (at + 2, false)
        } else if !before_word && bytes[at] == b'b' && rest.get(1) == Some(&b'\'') {
            (character(bytes, at + 1).unwrap_or(at + 2), true)
        } else if bytes[at] == b'\''
            && let Some(end) = character(bytes, at)
        {
            (end, true)
        } else {
            at += 1;
            continue;
        };
        found.push(Stretch { start: at, end, is_text });
        at = end;
    }
    found
}

/// Block comments nest.
fn block_comment(bytes: &[u8], start: usize) -> usize {
    let (mut depth, mut at) = (0_usize, start);
    while at < bytes.len() {
        if bytes[at..].starts_with(b"/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if bytes[at..].starts_with(b"*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    bytes.len()
}

/// The end of `r"..."`, `r#"..."#`, with `b` or `c` in front, or of `b"..."`, if one begins here.
fn raw(bytes: &[u8], start: usize) -> Option<usize> {
    let prefixed = matches!(bytes[start], b'b' | b'c');
    let at = start + usize::from(prefixed);
    if prefixed && bytes.get(at) == Some(&b'"') {
        return Some(quoted(bytes, at, true));
    }
    if bytes.get(at) != Some(&b'r') {
        return None;
    }
    let hashes = bytes[at + 1..].iter().take_while(|b| **b == b'#').count();
    let quote = at + 1 + hashes;
    (bytes.get(quote) == Some(&b'"')).then(|| to(bytes, quote + 1, &[&b"\""[..], &vec![b'#'; hashes]].concat()))
}

/// The end of a character literal; a lifetime is none.
fn character(bytes: &[u8], start: usize) -> Option<usize> {
    if bytes.get(start + 1) == Some(&b'\\') {
        let end = bytes.get(start + 3..)?.iter().take(12).position(|b| *b == b'\'')?;
        return Some(start + 3 + end + 1);
    }
    let length = std::str::from_utf8(&bytes[start + 1..(start + 5).min(bytes.len())])
        .map_or_else(|e| std::str::from_utf8(&bytes[start + 1..start + 1 + e.valid_up_to()]), Ok)
        .ok()?
        .chars()
        .next()?
        .len_utf8();
    (bytes.get(start + 1 + length) == Some(&b'\'')).then_some(start + 2 + length)
}
