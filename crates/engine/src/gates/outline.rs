//! What a document in Markdown says, line by line: its headings, and its text without whatever only looks like text. It
//! decides what counts as written: a form that nobody filled in has headings, comments and placeholders, and says nothing.

use orch_artefacts::testplan::is_placeholder;

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
    let mut in_comment = false;
    for line in without_front(text).lines() {
        let code = fence.is_some();
        let began = opens(line.trim()).filter(|_| !code && !in_comment);
        if fence.as_ref().is_some_and(|open| closes(line.trim(), open)) {
            fence = None;
            continue;
        }
        if began.is_some() {
            fence = began;
            continue;
        }
        let shown = if code { line.to_owned() } else { without_comments(line, &mut in_comment) };
        let bare = shown.trim();
        match heading(bare).filter(|_| !code) {
            Some(heading) => found.push(heading),
            None if says_something(bare) => found.push(Line::Text(bare.to_owned())),
            None => {}
        }
    }
    found
}

/// The marks with which a line begins a listing.
fn opens(line: &str) -> Option<String> {
    let mark = line.chars().next().filter(|c| matches!(c, '`' | '~'))?;
    let rest = line.trim_start_matches(mark);
    let length = line.len() - rest.len();
    // Backticks that come again in the same line are code within a text.
    (3 <= length && !(mark == '`' && rest.contains('`'))).then(|| line[..length].to_owned())
}

/// Does a line end the listing that `open` began?
fn closes(line: &str, open: &str) -> bool {
    line.starts_with(open) && line.chars().all(|c| open.starts_with(c))
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

/// A line without its comments; `inside` says whether it begins, and afterwards whether it ends, within one. What stands
/// between backticks is text. A comment that is never closed hides the rest, as it does for whoever reads the page.
fn without_comments(line: &str, inside: &mut bool) -> String {
    let mut out = String::new();
    let mut rest = line;
    loop {
        if *inside {
            let Some((_, after)) = rest.split_once("-->") else { return out };
            (*inside, rest) = (false, after);
        }
        let Some(at) = rest.find(['`', '<']) else { return out + rest };
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(comment) = rest.strip_prefix("<!--") {
            (*inside, rest) = (true, comment);
            continue;
        }
        let whole = code_span(rest).unwrap_or(1);
        out.push_str(&rest[..whole]);
        rest = &rest[whole..];
    }
}

/// How many bytes the code is long that begins here and ends in the same line: as many backticks as it began with.
fn code_span(text: &str) -> Option<usize> {
    let ticks = |text: &str| text.len() - text.trim_start_matches('`').len();
    let open = ticks(text);
    let mut at = open;
    while let Some(next) = text[at..].find('`').filter(|_| 0 < open) {
        let run = ticks(&text[at + next..]);
        at += next + run;
        if run == open {
            return Some(at);
        }
    }
    // Backticks that nothing closes are text, all of them.
    (0 < open).then_some(open)
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

    #[test]
    fn a_comment_in_code_hides_nothing() {
        let shown = |text: &str| -> Vec<String> {
            let said = lines(text).into_iter();
            said.map(|line| match line {
                Line::Heading { level, title } => format!("{} {title}", "#".repeat(level)),
                Line::Text(text) => text,
            })
            .collect()
        };
        let table: [(&str, &[&str]); 12] = [
            ("```html\n<!-- open\n```\n# Next\n", &["<!-- open", "# Next"]),
            ("~~~~\n<!-- open\n```\n~~~\n~~~~~\n# Next\n", &["<!-- open", "```", "~~~", "# Next"]),
            ("Write `<!--` first.\n# Next\n", &["Write `<!--` first.", "# Next"]),
            ("Write ``a ` <!--`` first.\n# Next\n", &["Write ``a ` <!--`` first.", "# Next"]),
            ("One ` <!-- no code --> tick\n# Next\n", &["One `  tick", "# Next"]),
            ("Two `` and ` <!-- x --> b\n", &["Two `` and `  b"]),
            ("Two `` and <!-- ` --> b\n", &["Two `` and  b"]),
            ("<!-- `a\n``` --> b `c` <!-- d\n```\n--> e\n", &["b `c`", "e"]),
            ("```a``` is code\n# Next\n", &["```a``` is code", "# Next"]),
            ("a < b <!-- x -->< c\n", &["a < b < c"]),
            ("```\nä `<!--\n", &["ä `<!--"]),
            ("``` <!-- x\na\n```\n# Next\n", &["a", "# Next"]),
        ];
        for (text, wanted) in table {
            assert_eq!(shown(text), wanted, "{text:?}");
        }
    }
}
