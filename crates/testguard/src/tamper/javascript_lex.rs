//! Where comments, texts, templates and patterns are in JavaScript and TypeScript. It decides nothing about tests.

use super::lex::{Stretch, is_word, quoted, to, to_line_end};

/// Comments, texts, templates and patterns of JavaScript. Code inside `${..}` of a template is code.
pub(super) fn stretches(source: &str) -> Vec<Stretch> {
    let bytes = source.as_bytes();
    let mut found: Vec<Stretch> = Vec::new();
    // For each template that is open: the depth of braces inside its `${`.
    let mut templates: Vec<usize> = Vec::new();
    let (mut at, mut last) = (0, b'\n');
    while at < bytes.len() {
        let rest = &bytes[at..];
        let in_word = at > 0 && is_word(char::from(bytes[at - 1]));
        let mut stretch = |end: usize, is_text: bool| {
            found.push(Stretch { start: at, end, is_text });
            end
        };
        if rest.starts_with(b"//") {
            at = stretch(to_line_end(bytes, at), false);
            continue;
        } else if rest.starts_with(b"/*") {
            at = stretch(to(bytes, at + 2, b"*/"), false);
            continue;
        }
        match bytes[at] {
            // An apostrophe in JSX text, `don't`, begins nothing.
            b'"' | b'\'' if !in_word || keyword_before(source, at) => at = stretch(quoted(bytes, at, false), true),
            b'`' => {
                let end = template(bytes, at + 1);
                at = stretch(end, true);
                if bytes[..end].ends_with(b"${") {
                    templates.push(0);
                }
            }
            b'{' if !templates.is_empty() => {
                *templates.last_mut().unwrap_or(&mut 0) += 1;
                (at, last) = (at + 1, b'{');
                continue;
            }
            b'}' if templates.last() == Some(&0) => {
                let end = template(bytes, at + 1);
                at = stretch(end, true);
                if !bytes[..end].ends_with(b"${") {
                    templates.pop();
                }
            }
            b'}' if !templates.is_empty() => {
                *templates.last_mut().unwrap_or(&mut 1) -= 1;
                (at, last) = (at + 1, b'}');
                continue;
            }
            b'/' if b"(,=:[!&|?{};\n+*%>~^".contains(&last) || keyword_before(source, at) => {
                at = match pattern(bytes, at) {
                    Some(end) => stretch(end, true),
                    None => at + 1,
                };
            }
            c => {
                if !c.is_ascii_whitespace() {
                    last = c;
                }
                at += 1;
                continue;
            }
        }
        last = b'"';
    }
    found
}

/// Does a keyword that an expression may follow stand right before `at`?
fn keyword_before(source: &str, at: usize) -> bool {
    let before = source[..at].trim_end_matches([' ', '\t']);
    let word = &before
        [before.rfind(|c| !is_word(c)).map_or(0, |n| n + before[n..].chars().next().map_or(1, char::len_utf8))..];
    ["return", "case", "from", "import", "typeof", "of", "in", "await", "yield", "default"].contains(&word)
}

/// The end of a piece of a template: its closing backtick, or the `${` that begins code.
fn template(bytes: &[u8], from: usize) -> usize {
    let mut at = from;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'`' => return at + 1,
            b'$' if bytes.get(at + 1) == Some(&b'{') => return at + 2,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// The end of a regular expression on one line.
fn pattern(bytes: &[u8], start: usize) -> Option<usize> {
    let (mut at, mut in_class) = (start + 1, false);
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 1,
            b'\n' => return None,
            b'[' => in_class = true,
            b']' => in_class = false,
            b'/' if !in_class => return Some(at + 1),
            _ => {}
        }
        at += 1;
    }
    None
}
