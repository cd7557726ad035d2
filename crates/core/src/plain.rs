//! Characters of a text from outside that a reader would not see, or would see elsewhere than they stand. Decides which they
//! are; a diff that is approved must not look like another one.

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
}
