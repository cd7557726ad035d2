//! Names that stand for what skips in Python: `broken = pytest.mark.skip(..)`, `from pytest import skip as later`. Each
//! of them is spelled out where it is used, so that everybody else reads the one way to write it. Only what comes from
//! pytest and unittest is known, and a name that is bound to something else stands for nothing any more.

use super::lex::{self, Kind, Token, begins};
use super::python::mentions;
use super::python_lex::{Line, logical_lines};
use std::collections::BTreeMap;

/// Longest value that is spelled out whole; of a longer one only its first mark is.
const MAX_VALUE: usize = 48;

/// What the names known so far stand for.
type Names<'a> = BTreeMap<&'a str, Vec<Token<'a>>>;

/// The tokens with every known name spelled out.
pub(super) fn spelled_out<'a>(tokens: &[Token<'a>]) -> Vec<Token<'a>> {
    let mut names = Names::new();
    let mut out = Vec::with_capacity(tokens.len());
    for line in logical_lines(tokens) {
        let first = &line.tokens[0];
        if first.is("import") || first.is("from") {
            imported(line.tokens, &mut names);
            out.extend_from_slice(line.tokens);
            continue;
        }
        let from = out.len();
        spell(line.tokens, &names, &mut out);
        bind(&line, &out[from..], &mut names);
    }
    lex::pair(&mut out);
    out
}

/// `import pytest as pt`, `from unittest import skip, skipIf as later`.
fn imported<'a>(tokens: &[Token<'a>], names: &mut Names<'a>) {
    let plain = tokens[0].is("import");
    let start = if plain { Some(0) } else { tokens.iter().position(|t| t.is("import")) };
    let Some(start) = start else { return };
    let root = tokens.get(1).filter(|t| !plain && is_runner(t));
    let items = tokens[start + 1..].split(|t| t.is(","));
    for item in items {
        let mut words = item.iter().filter(|t| t.kind == Kind::Word && !t.is("as"));
        let (Some(name), last) = (words.next(), words.next_back()) else { continue };
        let known = last.unwrap_or(name);
        if let Some(root) = root {
            let dot = Token { kind: Kind::Mark, text: ".", ..*root };
            names.insert(known.text, vec![*root, dot, *name]);
        } else if plain && is_runner(name) && begins(item, 1, &["as"]) {
            names.insert(known.text, vec![*name]);
        } else {
            names.remove(known.text);
        }
    }
}

fn is_runner(token: &Token<'_>) -> bool {
    token.is("pytest") || token.is("unittest")
}

/// Puts a line down with its names spelled out. A member, an argument's name and what is bound here are other names.
fn spell<'a>(tokens: &[Token<'a>], names: &Names<'a>, out: &mut Vec<Token<'a>>) {
    for (at, token) in tokens.iter().enumerate() {
        let behind = |words: &[&str]| at > 0 && words.iter().any(|word| tokens[at - 1].is(word));
        let is_bound = begins(tokens, at + 1, &["="]) && !begins(tokens, at + 1, &["=", "="]);
        let value = names.get(token.text).filter(|_| token.kind == Kind::Word);
        match value {
            Some(value) if !is_bound && !behind(&[".", "def", "class", "as", "del"]) => {
                out.extend(value.iter().map(|t| Token { line: token.line, column: token.column, ..*t }));
            }
            _ => out.push(*token),
        }
    }
}

/// What a line binds a name to. At the left edge a name is bound for good; further in it may be one of many.
fn bind<'a>(line: &Line<'_, 'a>, spelled: &[Token<'a>], names: &mut Names<'a>) {
    let first = &spelled[0];
    if (first.is("def") || first.is("class")) && line.indent == 0 {
        let name = spelled.get(1).map_or("", |t| t.text);
        names.remove(name);
        return;
    }
    if first.kind != Kind::Word || !begins(spelled, 1, &["="]) || begins(spelled, 2, &["="]) {
        return;
    }
    match stands_for(&spelled[2..]) {
        Some(value) => {
            names.insert(first.text, value);
        }
        None if line.indent == 0 => {
            names.remove(first.text);
        }
        None => {}
    }
}

/// What a value stands for, if it skips: a mark, a function that skips, or a list with a mark in it.
fn stands_for<'a>(value: &[Token<'a>]) -> Option<Vec<Token<'a>>> {
    let is_all = |words: &[&str]| value.len() == words.len() && begins(value, 0, words);
    let skips = ["skip", "xfail", "importorskip"].iter().any(|word| is_all(&["pytest", ".", word]));
    let modules = is_all(&["pytest"]) || is_all(&["unittest"]) || is_all(&["pytest", ".", "mark"]);
    let by_unittest = ["skip", "skipIf", "skipUnless", "expectedFailure"];
    let decorates = by_unittest.iter().any(|word| begins(value, 0, &["unittest", ".", word]));
    let raised = is_all(&["unittest", ".", "SkipTest"]);
    let holds = ["[", "("].iter().any(|b| begins(value, 0, &[b])) || begins(value, 0, &["pytest", ".", "param"]);
    let marks = (holds || begins(value, 0, &["pytest", ".", "mark", "."])) && mentions(value);
    if !(skips || modules || decorates || raised || marks) {
        return None;
    }
    if value.len() <= MAX_VALUE {
        return Some(value.to_vec());
    }
    // Without brackets, so that none stays open.
    let mark = (0..value.len()).find(|at| mentions(&value[*at..value.len().min(at + 3)])).unwrap_or(0);
    Some(value[mark..value.len().min(mark + 3)].to_vec())
}
