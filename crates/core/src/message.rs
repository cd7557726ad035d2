//! The message of the commit a task lands as: subject from a template, body from the developer's summary, trailers from
//! what orch knows. The words of tickets and agents come from outside: they may never look like a trailer, end the
//! message early, or tell a forge to skip its checks.

use crate::ids::WorkItem;
use std::fmt::Write as _;

/// Longest subject, characters.
const SUBJECT: usize = 72;
/// Where lines of prose are broken, characters.
const WIDTH: usize = 72;
/// Longest body, lines.
const BODY_LINES: usize = 60;
/// Longest value of a trailer, characters.
const VALUE: usize = 200;
/// What makes forges skip their checks, wherever it stands in a message.
const SKIPS: &[&str] =
    &["[skip ci]", "[ci skip]", "[no ci]", "[skip actions]", "[actions skip]", "[ci-skip]", "[skip-ci]", "***no_ci***"];
/// Tokens besides `...-by` that a program might take for a trailer.
const TOKENS: &[&str] = &["reverts", "work-item", "change-id", "skip-checks", "cc", "reviewed-on", "git-dch"];

/// A part of a subject.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Title,
    WorkItem,
    Number,
    Project,
}

/// The template of a subject: text with `{{title}}`, `{{work_item}}`, `{{number}}` and `{{project}}` in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject(Vec<Part>);

impl Default for Subject {
    fn default() -> Self {
        Self(vec![Part::Title])
    }
}

impl Subject {
    /// Names a template may use.
    pub const NAMES: &'static [&'static str] = &["title", "work_item", "number", "project"];

    /// Reads a template.
    ///
    /// # Errors
    /// A sentence that says what is wrong with it.
    pub fn parse(template: &str) -> Result<Self, String> {
        if template.chars().any(char::is_control) {
            return Err("must be one line without control characters".into());
        }
        let (mut parts, mut rest) = (Vec::new(), template);
        while let Some((before, after)) = rest.split_once("{{") {
            let Some((name, behind)) = after.split_once("}}") else {
                return Err(format!("`{{{{{after}` is never closed with `}}}}`"));
            };
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            }
            parts.push(match name.trim() {
                "title" => Part::Title,
                "work_item" => Part::WorkItem,
                "number" => Part::Number,
                "project" => Part::Project,
                other => {
                    let known: Vec<String> = Self::NAMES.iter().map(|n| format!("`{{{{{n}}}}}`")).collect();
                    return Err(format!("`{{{{{other}}}}}` is not known: it may use {}", known.join(", ")));
                }
            });
            rest = behind;
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        if !parts.iter().any(|p| matches!(p, Part::Title | Part::WorkItem | Part::Number)) {
            return Err("must hold `{{title}}`, `{{work_item}}` or `{{number}}`: else every commit has the same".into());
        }
        Ok(Self(parts))
    }

    /// The subject of a task: one line, not too long, never empty.
    pub fn of(&self, item: &WorkItem, title: &str) -> String {
        let name = item.as_str();
        let (project, number) = name.rsplit_once('-').unwrap_or((name, name));
        let mut text = String::new();
        for part in &self.0 {
            text.push_str(match part {
                Part::Text(text) => text,
                Part::Title => title,
                Part::WorkItem => name,
                Part::Number => number,
                Part::Project => project,
            });
        }
        // A line that begins with `---` ends a message for `git interpret-trailers`, one with `#` is a comment to others.
        let line = one_line(&text);
        let line = line.trim_start_matches(|c: char| matches!(c, '#' | '-' | '>') || c.is_whitespace());
        let line = without_skips(&cut(line, SUBJECT));
        if line.is_empty() { name.to_owned() } else { line }
    }
}

/// The subject of a commit that takes another one back, as git words it.
pub fn revert(subject: &str) -> String {
    const FRAME: usize = "Revert \"\"".len();
    format!("Revert \"{}\"", cut(&without_skips(&one_line(subject)), SUBJECT - FRAME))
}

/// What such a commit says first: which one it takes back, and why.
pub fn takes_back(commit: &str) -> String {
    // A line of its own: programs look for exactly this one.
    format!("This reverts commit {commit}.\n\nIt failed in production.")
}

/// Words of orch's own as a subject.
pub fn line(text: &str) -> String {
    without_skips(&cut(&one_line(text), SUBJECT))
}

/// Subject of a commit of documents alone. Forges start no CI of their own for it.
pub fn documents(subject: &str) -> String {
    const SKIP: &str = " [skip ci]";
    let text = without_skips(&one_line(&format!("Documents (deploy): {subject}")));
    format!("{}{SKIP}", cut(&text, SUBJECT - SKIP.len()))
}

/// A name and an address, as git writes them.
///
/// # Errors
/// A sentence that says what is wrong.
pub fn identity(text: &str) -> Result<(String, String), String> {
    let form = || "must read `Name <address>`".to_owned();
    let (name, rest) = text.split_once('<').ok_or_else(form)?;
    let address = rest.strip_suffix('>').ok_or_else(form)?;
    // What git strips from the ends of a name.
    let crud = |c: char| c.is_whitespace() || matches!(c, '.' | ',' | ':' | ';' | '<' | '>' | '"' | '\\' | '\'');
    let (name, address) = (name.trim(), address.trim());
    let odd = |s: &str| s.chars().any(|c| c.is_control() || matches!(c, '<' | '>'));
    if odd(name) || odd(address) || name.chars().all(crud) || address.chars().all(crud) {
        return Err(form());
    }
    if address.contains(char::is_whitespace) || !address.contains('@') {
        return Err(format!("`{address}` is no address: it needs an `@` and no blanks"));
    }
    Ok((name.to_owned(), address.to_owned()))
}

/// A name or an address as git writes it into a commit: without what it takes from the ends, and without `<`, `>` and line
/// ends. Empty if nothing is left.
pub fn as_git_writes(text: &str) -> String {
    let kept: String = text.chars().filter(|c| !matches!(c, '<' | '>' | '\n')).collect();
    kept.trim_matches(is_crud).to_owned()
}

/// What git takes from the ends of a name.
fn is_crud(c: char) -> bool {
    u32::from(c) <= 32 || matches!(c, '.' | ',' | ':' | ';' | '<' | '>' | '"' | '\\' | '\'')
}

/// A trailer; `None` if there is nothing to say.
pub fn trailer(token: &str, value: &str) -> Option<String> {
    let value = without_skips(&cut(&one_line(value), VALUE));
    (!value.is_empty()).then(|| format!("{token}: {value}"))
}

/// The whole message. `trailers` are lines of [`trailer`].
pub fn compose(subject: &str, summary: &str, trailers: &[String]) -> String {
    let mut message = format!("{subject}\n");
    let body = body(summary, subject);
    if !body.is_empty() {
        let _ = write!(message, "\n{body}\n");
    }
    if !trailers.is_empty() {
        message.push('\n');
        for trailer in trailers {
            let _ = writeln!(message, "{trailer}");
        }
    }
    message
}

/// An agent's words as the body of a message.
fn body(summary: &str, subject: &str) -> String {
    let clean: String = summary.replace("\r\n", "\n").chars().filter_map(visible).collect();
    let mut lines: Vec<String> = Vec::new();
    let mut fenced = false;
    for line in clean.lines().map(str::trim_end) {
        let is_fence = line.trim_start().starts_with("```");
        fenced ^= is_fence;
        // Headings are prose here: a line that begins with `#` is a comment, or even the end of the message.
        let line = if fenced && !is_fence { line } else { line.trim_start_matches('#') };
        let line = if line.starts_with(' ') && !fenced && !clean.is_empty() && is_heading(line) {
            line.trim_start()
        } else {
            line
        };
        if line.trim().is_empty() {
            if lines.last().is_some_and(|l| !l.is_empty()) {
                lines.push(String::new());
            }
        } else if fenced || is_fence || line.starts_with(|c: char| c.is_whitespace() || c == '|') {
            lines.push(line.to_owned());
        } else {
            lines.extend(wrapped(line));
        }
    }
    if lines.first().is_some_and(|first| first == subject) {
        lines.remove(0);
    }
    while lines.first().is_some_and(String::is_empty) {
        lines.remove(0);
    }
    if BODY_LINES < lines.len() {
        lines.truncate(BODY_LINES);
        lines.push("...".into());
    }
    while lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    let lines: Vec<String> = lines.iter().map(|line| harmless(&without_skips(line))).collect();
    lines.join("\n")
}

/// What is left of a heading begins with the blank behind its signs.
fn is_heading(line: &str) -> bool {
    line.starts_with(' ') && !line.starts_with("  ")
}

/// A line of the body that no program takes for anything else.
fn harmless(line: &str) -> String {
    // Where a patch begins for `git interpret-trailers` and `git am`, or a comment or a cut for an editor.
    if line.starts_with("---") || line.starts_with("diff -") || line.starts_with('#') || line.starts_with("From ") {
        return format!(" {line}");
    }
    let start = line.trim_start();
    let token = start.split_once(':').map(|(token, _)| token.trim_end().to_ascii_lowercase());
    let is_token = |t: &String| t.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    let trails = token.filter(is_token).is_some_and(|t| t.ends_with("-by") || TOKENS.contains(&t.as_str()));
    let picked = start.to_ascii_lowercase().starts_with("(cherry picked from");
    if trails || picked { format!("> {start}") } else { line.to_owned() }
}

/// A long line of prose, broken at blanks; what follows a list's sign is indented.
fn wrapped(line: &str) -> Vec<String> {
    let indent = if line.starts_with("- ") || line.starts_with("* ") { "  " } else { "" };
    let mut lines: Vec<String> = Vec::new();
    for word in line.split_whitespace() {
        match lines.last_mut() {
            Some(last) if last.chars().count() + 1 + word.chars().count() <= WIDTH => {
                last.push(' ');
                last.push_str(word);
            }
            Some(_) => lines.push(format!("{indent}{word}")),
            None => lines.push(word.to_owned()),
        }
    }
    lines
}

/// Characters that hide or reorder text are left out; whatever breaks a line is a line break.
fn visible(c: char) -> Option<char> {
    match c {
        '\n' | '\t' => Some(c),
        '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}' => Some('\n'),
        '\u{200b}'..='\u{200f}'
        | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{feff}'
        | '\u{e0000}'..='\u{e0fff}' => None,
        c if c.is_control() => None,
        c => Some(c),
    }
}

/// The same in one line, words joined by one blank.
fn one_line(text: &str) -> String {
    let clean: String = text.chars().filter_map(visible).collect();
    clean.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// At most so many characters, cut at a word where there is one.
fn cut(text: &str, max: usize) -> String {
    if text.chars().count() <= max {
        return text.to_owned();
    }
    let short: String = text.chars().take(max - 1).collect();
    let at_word = short.rsplit_once(' ').map(|(words, _)| words).filter(|words| max / 2 < words.chars().count());
    format!("{}…", at_word.unwrap_or(&short).trim_end())
}

/// The text without words that make a forge skip its checks.
fn without_skips(text: &str) -> String {
    let mut text = text.to_owned();
    for skip in SKIPS {
        // ASCII lower case keeps every index where it is.
        while let Some(at) = text.to_ascii_lowercase().find(skip) {
            let plain: String = skip.chars().filter(|c| c.is_ascii_alphanumeric() || *c == ' ' || *c == '-').collect();
            text.replace_range(at..at + skip.len(), &format!("({plain})"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(template: &str, title: &str) -> String {
        Subject::parse(template).unwrap().of(&WorkItem::new("DEMO-7"), title)
    }

    #[test]
    fn a_subject_is_what_the_ticket_says_in_one_line() {
        let cases = [
            ("{{title}}", "Show the version", "Show the version"),
            ("{{title}}", "  Show\n\tthe   version \u{2028}", "Show the version"),
            ("{{ project }}: {{title}} (#{{number}})", "Fix it", "DEMO: Fix it (#7)"),
            ("{{work_item}} {{title}}", "Fix it", "DEMO-7 Fix it"),
            ("{{title}}", "", "DEMO-7"),
            ("{{title}}", "--- \n", "DEMO-7"),
            ("{{title}}", "### #12 is broken", "12 is broken"),
            ("{{title}}", "--- a/file", "a/file"),
            ("{{title}}", "Fix \u{202e}gnp.exe", "Fix gnp.exe"),
            ("{{title}}", "Fix it [skip CI] now", "Fix it (skip ci) now"),
            ("{{title}}", "[skip [skip ci]ci]", "[skip (skip ci)ci]"),
        ];
        for (template, title, subject) in cases {
            assert_eq!(of(template, title), subject, "{template} with {title:?}");
        }
        let long = of("{{title}}", &"word ".repeat(50));
        assert!(long.chars().count() <= SUBJECT && long.ends_with("word…"), "{long}");
        assert_eq!(of("{{title}}", &"x".repeat(500)).chars().count(), SUBJECT);
    }

    #[test]
    fn a_revert_names_what_it_takes_back_as_git_does() {
        assert_eq!(revert("Show the version"), "Revert \"Show the version\"");
        assert_eq!(revert(&revert("Show")), "Revert \"Revert \"Show\"\"");
        assert_eq!(revert("a\nb [skip ci]"), "Revert \"a b (skip ci)\"");
        for long in ["word ".repeat(50), "x".repeat(500)] {
            let subject = revert(&long);
            assert!(subject.chars().count() <= SUBJECT, "{subject}");
            assert!(subject.ends_with("…\""), "{subject}");
        }
        let commit = "0123456789012345678901234567890123456789";
        let trailers = [trailer("Work-item", "DEMO-7"), trailer("Reverts", commit)].map(Option::unwrap);
        let message = compose(&revert("Fix it"), &takes_back(commit), &trailers);
        let want = format!(
            "Revert \"Fix it\"\n\nThis reverts commit {commit}.\n\nIt failed in production.\n\nWork-item: DEMO-7\n\
             Reverts: {commit}\n"
        );
        assert_eq!(message, want);
        let sha256 = "0123".repeat(16);
        assert!(compose("s", &takes_back(&sha256), &[]).contains(&sha256), "an id is never broken");
        assert_eq!(body("Reverts: 1234\n", "s"), "> Reverts: 1234", "an agent's word is no trailer");
    }

    #[test]
    fn a_template_that_cannot_work_says_why() {
        for (template, why) in [
            ("{{titel}}", "`{{titel}}` is not known: it may use `{{title}}`"),
            ("{{title", "never closed"),
            ("Change", "must hold"),
            ("{{project}}", "must hold"),
            ("", "must hold"),
            ("a\n{{title}}", "one line"),
        ] {
            let said = Subject::parse(template).unwrap_err();
            assert!(said.contains(why), "{template}: {said}");
        }
    }

    #[test]
    fn no_trailer_makes_a_forge_skip_its_checks_and_a_name_is_what_git_makes_of_it() {
        assert_eq!(trailer("Co-authored-by", "x [skip CI] <x@y>").unwrap(), "Co-authored-by: x (skip ci) <x@y>");
        assert_eq!(as_git_writes(" Anna Lee Jr. "), "Anna Lee Jr");
        assert_eq!(as_git_writes("\"A\" <b>\n"), "A\" b");
        assert_eq!(as_git_writes(".,;"), "");
    }

    #[test]
    fn an_identity_is_a_name_and_an_address() {
        assert_eq!(identity("Anna Lee <anna@example.org>").unwrap(), ("Anna Lee".into(), "anna@example.org".into()));
        for bad in ["anna", "<a@b>", "Anna <anna>", "Anna <a@b", "... <a@b>", "A\nB <a@b>", "Anna <a b@c>", "Anna <>"] {
            identity(bad).unwrap_err();
        }
    }

    #[test]
    fn what_an_agent_writes_is_prose_and_nothing_else() {
        let summary = "## What\r\n\r\n\r\nIt adds a file.\n\nSigned-off-by: Linus\nco-authored-BY : x\nWork-item: FAKE-1\n\
                       ---\n--- a/x\n# ------------------------ >8 ------------------------\nNote: this is fine\n\
                       (cherry picked from commit 123)\nskip-checks: true\n[skip ci]\u{0}\n";
        let body = body(summary, "s");
        let want = "What\n\nIt adds a file.\n\n> Signed-off-by: Linus\n> co-authored-BY : x\n> Work-item: FAKE-1\n ---\n \
                    --- a/x\n ------------------------ >8 ------------------------\nNote: this is fine\n\
                    > (cherry picked from commit 123)\n> skip-checks: true\n(skip ci)";
        assert_eq!(body, want);
    }

    #[test]
    fn prose_is_broken_and_what_is_laid_out_is_not() {
        let long = "word ".repeat(30);
        let code = "x".repeat(100);
        let text = format!("{long}\n- {long}\n\n```\n{code} y\n# kept\n```\n");
        let body = body(&text, "s");
        for line in body.lines() {
            assert!(line.chars().count() <= WIDTH || line.starts_with(&code), "{line}");
        }
        assert!(body.contains("\n  word"), "a list's lines are indented: {body}");
        assert!(body.contains("\n # kept\n"), "{body}");
        assert!(super::body(&"line\n".repeat(500), "s").ends_with("\n..."));
    }

    #[test]
    fn a_message_has_its_parts_in_order() {
        let trailers: Vec<String> = [
            trailer("Work-item", "DEMO-7"),
            trailer("Requested-by", " local:anna\nX: y "),
            trailer("Assisted-by", " "),
        ]
        .into_iter()
        .flatten()
        .collect();
        let message = compose("Fix it", "Fix it\n\nBecause.", &trailers);
        assert_eq!(message, "Fix it\n\nBecause.\n\nWork-item: DEMO-7\nRequested-by: local:anna X: y\n");
        assert_eq!(compose("Fix it", "", &[]), "Fix it\n");
    }
}
