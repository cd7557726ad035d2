//! Characters of a text from outside that a reader would not see, or would see elsewhere than they stand. The one place
//! that decides which they are and what becomes of them: a text must not control the terminal, log or page it is shown
//! on, and a diff that is approved must not look like another one.
//!
//! A diff shows all of them ([`marked`]). Everywhere else joiners and variants of letters and emoji stay as they are, and
//! what a program printed for a terminal is taken out ([`shown`]).

use std::borrow::Cow;
use std::iter::Peekable;
use std::str::Chars;

/// Does it control a terminal, turn the direction of a text, or take no room of its own? Line breaks and tabs do, too.
pub fn is_odd(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}'
            | '\u{61c}'
            | '\u{115f}'..='\u{1160}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e0fff}')
}

/// Can it do harm to whoever looks at it: control a terminal, turn the direction of what follows, break a line, or carry
/// text nobody sees? Line breaks and tabs are none. Joiners and variants are none either: scripts and emoji need them.
pub fn is_hostile(c: char) -> bool {
    (c.is_control() && c != '\n' && c != '\t')
        || matches!(c,
            '\u{61c}'
            | '\u{200e}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2066}'..='\u{206f}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e0fff}')
}

/// A text with its lines and tabs kept, and every other such character written out: `\u{202e}`, `\u{1b}`, `\r`.
pub fn marked(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_odd(c) && c != '\n' && c != '\t' {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

/// The same on one line.
pub fn marked_line(text: &str) -> String {
    marked(text).replace('\n', "\\n").replace('\t', "\\t")
}

/// What a program printed, for people: sequences that a terminal would obey are taken out whole, a lone carriage return, as
/// progress bars use it, becomes a line break, and every other hostile character is written out.
pub fn shown(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_hostile) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\r' if chars.peek() == Some(&'\n') => {}
            '\r' => out.push('\n'),
            '\u{1b}' => match chars.next_if(|c| (' '..='~').contains(c)) {
                Some('[') => control_sequence(&mut chars),
                Some(']' | 'P' | 'X' | '^' | '_') => control_string(&mut chars),
                Some(' '..='/') => {
                    while chars.next_if(|c| (' '..='/').contains(c)).is_some() {}
                    chars.next_if(|c| ('0'..='~').contains(c));
                }
                Some(_) | None => {}
            },
            '\u{9b}' => control_sequence(&mut chars),
            '\u{9d}' | '\u{90}' | '\u{98}' | '\u{9e}' | '\u{9f}' => control_string(&mut chars),
            // Bells, backspaces and the rest of their kind say nothing on paper.
            c if c.is_control() && c != '\n' && c != '\t' => {}
            c if is_hostile(c) => out.extend(c.escape_default()),
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// The same on one line: breaks and tabs become spaces.
pub fn shown_line(text: &str) -> String {
    shown(text).replace(['\n', '\t'], " ")
}

/// Behind its introducer: parameters, then one letter that ends it. A line break ends a broken one.
fn control_sequence(chars: &mut Peekable<Chars<'_>>) {
    while chars.next_if(|c| (' '..='?').contains(c)).is_some() {}
    chars.next_if(|c| ('@'..='~').contains(c));
}

/// Behind its introducer: everything up to a bell or a string terminator. A line break ends a broken one.
fn control_string(chars: &mut Peekable<Chars<'_>>) {
    while chars.next_if(|c| !['\u{7}', '\u{1b}', '\u{9c}', '\n'].contains(c)).is_some() {}
    if chars.next_if(|c| *c != '\n') == Some('\u{1b}') {
        chars.next_if_eq(&'\\');
    }
}

/// JSON that says the same and has no hostile character in it: inside of strings they are written as JSON writes them.
pub fn in_json(json: &str) -> Cow<'_, str> {
    if !json.chars().any(is_hostile) {
        return Cow::Borrowed(json);
    }
    let mut out = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        // Between strings JSON may have carriage returns, and nothing else of the kind.
        if is_hostile(c) && c != '\r' {
            for unit in c.encode_utf16(&mut [0; 2]) {
                use std::fmt::Write as _;
                let _ = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

/// A page with every hostile character of it written out.
pub fn in_page(html: &str) -> Cow<'_, str> {
    if !html.chars().any(is_hostile) {
        return Cow::Borrowed(html);
    }
    let mut out = String::with_capacity(html.len() + 16);
    for c in html.chars() {
        if is_hostile(c) {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_not_be_seen_is_written_out_and_nothing_else_is_touched() {
        let sly = "if admin\u{202e} /* \u{2066}begin\u{2069} */\r\n\tx\u{200b}y\u{1b}[2J\u{9b}1m\u{ad}\u{e0041}";
        let seen =
            "if admin\\u{202e} /* \\u{2066}begin\\u{2069} */\\r\n\tx\\u{200b}y\\u{1b}[2J\\u{9b}1m\\u{ad}\\u{e0041}";
        assert_eq!(marked(sly), seen);
        let honest = "größe = \"日本語\" // 'it\\'s' \u{1f600}\n";
        assert_eq!(marked(honest), honest);
        assert_eq!(marked_line("a\nb\tc"), "a\\nb\\tc");
    }

    #[test]
    fn nothing_a_program_printed_is_obeyed_by_a_terminal() {
        for (printed, read) in [
            ("\u{1b}[31mred\u{1b}[0m", "red"),
            ("\u{1b}[38;2;1;2;3mtrue colour\u{1b}[m", "true colour"),
            ("\u{1b}]0;title\u{7}after", "after"),
            ("\u{1b}]52;c;aGk=\u{1b}\\after", "after"),
            ("\u{1b}]8;;http://evil.example\u{1b}\\text\u{1b}]8;;\u{1b}\\", "text"),
            ("\u{9b}2Jcleared", "cleared"),
            ("\u{9d}52;c;aGk=\u{9c}after", "after"),
            ("\u{1b}Pq#0\u{1b}\\sixel", "sixel"),
            ("\u{1b}cafter a reset", "after a reset"),
            ("\u{1b}(0lqk", "lqk"),
            ("\u{1b}", ""),
            ("\u{1b}[", ""),
            ("\u{1b}]0;no end\nnext line", "\nnext line"),
            ("\u{1b}[12\nnext line", "\nnext line"),
            ("10%\r20%\r\ndone", "10%\n20%\ndone"),
            ("a\u{8}b\u{7}c\u{7f}", "abc"),
            ("\u{202e}gnp.exe", "\\u{202e}gnp.exe"),
            ("a\u{2028}b", "a\\u{2028}b"),
        ] {
            assert_eq!(shown(printed), read, "{printed:?}");
            assert!(!shown(printed).chars().any(is_hostile), "{printed:?}");
        }
        let honest = "größe\t日本語 👩\u{200d}💻 ❤\u{fe0f} [31m 100%\n";
        assert!(matches!(shown(honest), Cow::Borrowed(text) if text == honest));
        assert_eq!(shown_line("a\r\nb\tc"), "a b c");
    }

    #[test]
    fn json_and_pages_say_the_same_and_control_nothing() {
        let json = "{\"a\":\"\u{9b}2J \u{202e} \u{7f} \u{e0041} ü\",\r\n\"b\":1}";
        let clean = in_json(json);
        assert_eq!(clean, "{\"a\":\"\\u009b2J \\u202e \\u007f \\udb40\\udc41 ü\",\r\n\"b\":1}");
        assert!(matches!(in_json("{\"a\":\"ü\\u001b\"}"), Cow::Borrowed(_)));
        assert_eq!(in_page("<b>\u{202e}x\u{9b}</b>\n"), "<b>\\u{202e}x\\u{9b}</b>\n");
    }
}
