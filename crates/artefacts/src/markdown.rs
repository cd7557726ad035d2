//! Text from outside in Markdown that orch writes. It decides how such text is shown: on one line, with everything that
//! means something to a reader of Markdown or HTML made plain. It may never let a text end the span or the list item it
//! stands in: a file may be named anything, and a finding may say anything.

use std::fmt::Write as _;

/// Longest text that is shown, in characters.
const MAX_TEXT: usize = 2_000;

/// Text from outside as a code span on one line. The fence is longer than any run of backticks in it, so that nothing
/// in it can end the span.
pub fn code(text: &str) -> String {
    let text = one_line(text);
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let bar = "`".repeat(longest + 1);
    let pad = if longest > 0 { " " } else { "" };
    if text.is_empty() { "` `".to_owned() } else { format!("{bar}{pad}{text}{pad}{bar}") }
}

/// Text from outside as prose on one line: every character that means something in Markdown or HTML is escaped.
pub fn prose(text: &str) -> String {
    let mut out = String::new();
    for c in one_line(text).chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '#' | '|' | '~' | '!' | '@' => out.extend(['\\', c]),
            c => out.push(c),
        }
    }
    out
}

/// One line: whatever breaks lines, hides or turns text is shown as its number, and a long text is cut.
fn one_line(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars().take(MAX_TEXT) {
        let hides =
            matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}');
        if c.is_control() || hides {
            let _ = write!(out, "<U+{:04X}>", u32::from(c));
        } else {
            out.push(c);
        }
    }
    if text.chars().nth(MAX_TEXT).is_some() {
        out.push('…');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_gets_out_of_its_line_or_its_span() {
        assert_eq!(code("a``b"), "``` a``b ```");
        assert_eq!(code(""), "` `");
        assert_eq!(
            prose("# <b>*x*</b>\n- @all [y](z)"),
            "\\# &lt;b&gt;\\*x\\*&lt;/b&gt;&lt;U+000A&gt;- \\@all \\[y\\](z)"
        );
        assert_eq!(prose("a\u{202e}b"), "a&lt;U+202E&gt;b");
        assert_eq!(prose(&"x".repeat(MAX_TEXT + 1)).chars().count(), MAX_TEXT + 1);
    }
}
