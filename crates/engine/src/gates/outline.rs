//! What a document in Markdown says, line by line: its headings, and its text without whatever only looks like text. It
//! decides what counts as written: a form that nobody filled in has headings, comments and placeholders, and says nothing.

use orch_core::testplan::is_placeholder;

/// A line that says something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// A heading, `##` being level 2.
    Heading { level: usize, title: String },
    /// Text, also in lists, quotes and listings.
    Text(String),
}

/// The lines of a document. Front matter, comments, rules and placeholders are left out.
pub(super) fn lines(text: &str) -> Vec<Line> {
    let mut found = Vec::new();
    let mut fence: Option<String> = None;
    for line in without_comments(without_front(text)).lines() {
        let bare = line.trim();
        let ticks: String = bare.chars().take_while(|c| matches!(c, '`' | '~')).collect();
        match &fence {
            Some(open) if bare == ticks && ticks.starts_with(open.as_str()) => fence = None,
            None if 3 <= ticks.len() => fence = Some(ticks),
            None if heading(bare).is_some() => found.extend(heading(bare)),
            _ if says_something(bare) => found.push(Line::Text(bare.to_owned())),
            _ => {}
        }
    }
    found
}

fn heading(line: &str) -> Option<Line> {
    let title = line.trim_start_matches('#');
    let level = line.len() - title.len();
    let is = (1..=6).contains(&level) && (title.is_empty() || title.starts_with([' ', '\t']));
    is.then(|| Line::Heading { level, title: title.trim().trim_end_matches('#').trim().to_owned() })
}

fn says_something(line: &str) -> bool {
    let rule = line.chars().all(|c| matches!(c, '-' | '*' | '_' | '=' | '|' | ':' | '+') || c.is_whitespace());
    let said = item(line);
    // In a part of a document "none" is an answer.
    let none = ["none", "none.", "n/a"].iter().any(|word| said.eq_ignore_ascii_case(word));
    !rule && (none || !is_placeholder(said))
}

/// A line without what makes it an item of a list or a quote.
fn item(line: &str) -> &str {
    let number = line.trim_start_matches(|c: char| c.is_ascii_digit());
    let numbered =
        if number.len() < line.len() { number.strip_prefix(". ").or(number.strip_prefix(") ")) } else { None };
    let marked = ["- [ ]", "- [x]", "- ", "* ", "+ ", "> "].iter().find_map(|mark| line.strip_prefix(mark));
    marked.or(numbered).unwrap_or(line).trim()
}

fn without_front(text: &str) -> &str {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let Some(rest) = text.strip_prefix("---\n").or_else(|| text.strip_prefix("---\r\n")) else { return text };
    let mut read = 0;
    for line in rest.split_inclusive('\n') {
        read += line.len();
        if line.trim_end() == "---" {
            return &rest[read..];
        }
    }
    text
}

/// A comment that is never closed hides the rest, as it does for whoever reads the page.
fn without_comments(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, comment)) = rest.split_once("<!--") {
        out.push_str(before);
        rest = comment.split_once("-->").map_or("", |(_, after)| after);
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_says_something_is_a_line() {
        let text = "---\na: b\n---\n# One ##\n#tag\n---\n<!-- x\ny --> after\n- TODO\n- [ ] tbd\n1. first\n- None.\n> ...\n|---|:-:|\n\
                    ```sh\n# no heading\n~~~\n```\n####### seven\n";
        let heading = |level, title: &str| Line::Heading { level, title: title.into() };
        let text_is = |text: &str| Line::Text(text.into());
        assert_eq!(
            lines(text),
            [
                heading(1, "One"),
                text_is("#tag"),
                text_is("after"),
                text_is("1. first"),
                text_is("- None."),
                text_is("# no heading"),
                text_is("~~~"),
                text_is("####### seven"),
            ]
        );
        assert_eq!(lines("---\nnot closed\n"), [text_is("not closed")]);
        assert_eq!(lines("a\n<!-- the rest\nb\n"), [text_is("a")]);
        assert_eq!(lines(""), []);
    }
}
