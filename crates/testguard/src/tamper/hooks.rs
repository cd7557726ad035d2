//! Hooks of pytest in a `conftest.py` that are judged by what they do: one that puts the tests in order, or notes how they
//! went, takes none of them away.

use super::Changed;
use super::lex::{self, Kind, Token, begins};
use super::python::body;
use super::python_lex::{logical_lines, stretches};
use super::python_names::spelled_out;
use super::settings::Hiding;
use std::collections::BTreeMap;

/// Does a body take tests away?
type Takes = fn(&[Token<'_>]) -> bool;

/// Hooks, and how to tell that they take tests away.
/// <https://docs.pytest.org/en/stable/reference/reference.html#hooks>
const HOOKS: [(&str, Takes); 2] =
    [("pytest_collection_modifyitems", leaves_out), ("pytest_runtest_makereport", sets_outcome)];

/// Hooks that take tests away now and did not before.
pub(super) fn passing_over<'p>(changed: &[&Changed<'p>]) -> Vec<Hiding<'p>> {
    let mut known: BTreeMap<&str, usize> = BTreeMap::new();
    let mut now = Vec::new();
    for file in changed.iter().filter(|c| c.path.rsplit('/').next() == Some("conftest.py")) {
        let of = |side: Option<&[u8]>| taking(&String::from_utf8_lossy(side.unwrap_or_default()));
        let (was, is) = (of(file.before), of(file.after));
        for (name, _) in was.iter().filter(|(name, _)| !is.iter().any(|(other, _)| name == other)) {
            *known.entry(name).or_default() += 1;
        }
        let news = is.into_iter().filter(|(name, _)| !was.iter().any(|(other, _)| name == other));
        now.extend(news.map(|(name, line)| Hiding { path: file.path, line, text: format!("the hook {name}") }));
    }
    // It may go to another file.
    now.retain(|hiding| {
        let count =
            HOOKS.iter().find(|(name, _)| hiding.text.ends_with(name)).and_then(|(name, _)| known.get_mut(name));
        count.is_none_or(|count| {
            let told = *count == 0;
            *count = count.saturating_sub(1);
            told
        })
    });
    now
}

/// The hooks of a source that take tests away, with their lines.
fn taking(source: &str) -> Vec<(&'static str, u32)> {
    let tokens = spelled_out(&lex::tokens(source, stretches));
    let lines = logical_lines(&tokens);
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let skip = usize::from(line.tokens[0].is("async"));
        let Some((name, takes)) = HOOKS.iter().find(|(name, _)| begins(line.tokens, skip, &["def", name])) else {
            continue;
        };
        let end = at + 1 + lines[at + 1..].iter().take_while(|l| l.indent > line.indent).count();
        if takes(&body(&lines[at..end])) {
            found.push((*name, line.tokens[0].line));
        }
    }
    found
}

/// Does a body skip tests, or take them out of the list?
fn leaves_out(tokens: &[Token<'_>]) -> bool {
    let words = ["skip", "skipif", "xfail", "deselect", "pytest_deselected"];
    (0..tokens.len()).any(|at| {
        let token = &tokens[at];
        let by_name = token.kind == Kind::Text && ["skip", "xfail"].contains(&token.text.trim_matches(['"', '\'']));
        let given = at >= 2 && begins(tokens, at - 2, &["add_marker", "("]);
        let taken = ["clear", "remove", "pop"].iter().any(|word| begins(tokens, at, &[".", word, "("]));
        let replaced = begins(tokens, at, &["items", "[", ":", "]"]) && !is_sorted(&tokens[at + 4..]);
        (by_name && given)
            || taken
            || replaced
            || begins(tokens, at, &["del", "items"])
            || words.iter().any(|w| token.is(w))
    })
}

/// Does `= sorted(items, key=..)` stand here?
fn is_sorted(tokens: &[Token<'_>]) -> bool {
    let sorts = ["sorted", "reversed"].iter().any(|word| begins(tokens, 0, &["=", word, "(", "items"]));
    sorts && tokens.get(4).is_some_and(|t| t.is(",") || t.is(")"))
}

/// Does a body say how a test went?
fn sets_outcome(tokens: &[Token<'_>]) -> bool {
    (0..tokens.len()).any(|at| {
        let set = begins(tokens, at + 1, &["="]) && !begins(tokens, at + 2, &["="]);
        let text = tokens[at].kind == Kind::Text && at >= 1 && tokens[at - 1].is(",");
        let name = tokens[at].text.trim_matches(['"', '\'']);
        let of_report = ["outcome", "wasxfail"].contains(&name);
        tokens[at].is("force_result")
            || (of_report && tokens[at].kind == Kind::Word && set && !begins(tokens, at + 2, &["yield"]))
            || (of_report && text && tokens.get(at + 1).is_some_and(|t| t.is(",")))
    })
}
