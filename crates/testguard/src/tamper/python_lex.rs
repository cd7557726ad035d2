//! Where comments and texts are in Python, and where its lines end. It decides nothing about tests.

use super::lex::{Kind, Stretch, Token, is_word, quoted, to_line_end};

/// One logical line.
pub(super) struct Line<'t, 'a> {
    pub(super) indent: usize,
    pub(super) tokens: &'t [Token<'a>],
}

/// A line goes on while a bracket is open or behind a backslash.
pub(super) fn logical_lines<'t, 'a>(tokens: &'t [Token<'a>]) -> Vec<Line<'t, 'a>> {
    let mut lines = Vec::new();
    let (mut start, mut depth) = (0, 0_usize);
    for at in 0..tokens.len() {
        let token = &tokens[at];
        match token.text {
            "(" | "[" | "{" if token.kind == Kind::Mark => depth += 1,
            ")" | "]" | "}" if token.kind == Kind::Mark => depth = depth.saturating_sub(1),
            _ => {}
        }
        let last_line = token.line + token.text.matches('\n').count() as u32;
        let ends = tokens.get(at + 1).is_none_or(|next| next.line > last_line && depth == 0 && !token.is("\\"));
        if ends {
            lines.push(Line { indent: tokens[start].column, tokens: &tokens[start..=at] });
            start = at + 1;
        }
    }
    lines
}

/// Comments and texts of Python.
pub(super) fn stretches(source: &str) -> Vec<Stretch> {
    let bytes = source.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let prefix = bytes[at..].iter().take(3).take_while(|b| b"rRbBfFuUtT".contains(b)).count();
        let quote = at + prefix;
        let in_word = at > 0 && is_word(char::from(bytes[at - 1]));
        let is_quote = matches!(bytes.get(quote), Some(b'"' | b'\'')) && !(prefix > 0 && in_word);
        let (start, end, is_text) = if bytes[at] == b'#' {
            (at, to_line_end(bytes, at), false)
        } else if is_quote {
            let triple = [bytes[quote]; 3];
            let end = if bytes[quote..].starts_with(&triple) {
                long(bytes, quote + 3, triple)
            } else {
                quoted(bytes, quote, false)
            };
            (at, end, true)
        } else {
            at += 1;
            continue;
        };
        found.push(Stretch { start, end, is_text });
        at = end.max(at + 1);
    }
    found
}

/// The end of a triple-quoted text.
fn long(bytes: &[u8], from: usize, triple: [u8; 3]) -> usize {
    let mut at = from;
    while at < bytes.len() {
        if bytes[at] == b'\\' {
            at += 2;
        } else if bytes[at..].starts_with(&triple) {
            return at + 3;
        } else {
            at += 1;
        }
    }
    bytes.len()
}
