//! Names that stand for what declares or skips tests in JavaScript: `const d = ci ? describe : describe.skip`, and what a
//! test is handed to skip itself. The former are spelled out where they are used, so that everybody else reads the one way
//! to write it.

use super::javascript::function_start;
use super::lex::{self, Kind, Token, begins};
use std::collections::BTreeMap;

/// What declares tests and groups.
const ROOTS: [&str; 6] = ["describe", "it", "test", "suite", "context", "specify"];
/// Longest value that is read.
const MAX_VALUE: usize = 40;

/// What a name stands for.
#[derive(Clone, Copy)]
struct Alias<'a> {
    root: &'a str,
    /// `skip`, or `skipIf` if that is under a condition.
    member: Option<&'a str>,
    /// Is it called with the condition first, `describeIf(ci)("cart", ..)`?
    is_asked: bool,
}

/// The tokens with every such name spelled out.
pub(super) fn spelled_out(tokens: Vec<Token<'_>>) -> Vec<Token<'_>> {
    let declares = |at: &usize| {
        ["const", "let", "var"].iter().any(|word| tokens[*at].is(word))
            && tokens.get(at + 1).is_some_and(|t| t.kind == Kind::Word)
            && begins(&tokens, at + 2, &["="])
    };
    let mut names = BTreeMap::new();
    for at in (0..tokens.len()).filter(declares) {
        if let Some(alias) = stands_for(&tokens[at + 3..tokens.len().min(at + 3 + MAX_VALUE)]) {
            names.insert(tokens[at + 1].text, (at, alias));
        }
    }
    if names.is_empty() {
        return tokens;
    }
    let mut out = Vec::with_capacity(tokens.len());
    for (at, token) in tokens.iter().enumerate() {
        let used = names.get(token.text).filter(|(from, _)| token.kind == Kind::Word && at > from + 1);
        let is_used = ["(", "."].iter().any(|next| begins(&tokens, at + 1, &[next]));
        let is_member = at > 0 && [".", "function"].iter().any(|word| tokens[at - 1].is(word));
        // A root that is bound anew stands for itself in its own value.
        let in_value = used.is_some_and(|(from, _)| token.line == tokens[*from].line);
        let Some((_, alias)) = used.filter(|_| is_used && !is_member && !in_value) else {
            out.push(*token);
            continue;
        };
        let mut put = |kind: Kind, text| out.push(Token { kind, text, holds: 0, ..*token });
        put(Kind::Word, alias.root);
        if let Some(member) = alias.member {
            put(Kind::Mark, ".");
            put(Kind::Word, member);
            if member == "skipIf" && !alias.is_asked {
                put(Kind::Mark, "(");
                put(Kind::Mark, ")");
            }
        }
    }
    lex::pair(&mut out);
    out
}

/// What a value stands for: `describe`, `describe.skip`, `ci ? it : it.skip`, `(ci) => ci ? it : it.skip`.
fn stands_for<'a>(value: &[Token<'a>]) -> Option<Alias<'a>> {
    let goes_on = |token: &Token<'_>, with: &[&str]| with.iter().any(|mark| token.is(mark));
    let ends = |at: &usize| {
        let (before, token) = (&value[*at - 1], &value[*at]);
        let apart = token.line > before.line && !goes_on(token, &["?", ":", "."]);
        token.is(";") || (apart && !goes_on(before, &["?", ":", ".", ">", "=", "("]))
    };
    let end = (1..value.len()).find(ends).unwrap_or(value.len());
    // An arrow may give back something in brackets.
    let closing = value[..end].iter().rev().take_while(|t| t.is(")")).count();
    let value = &value[..end - closing];
    let branch = |from: usize| {
        let root = value.get(from).filter(|t| ROOTS.iter().any(|root| t.is(root)))?;
        let member = begins(value, from + 1, &["."]).then(|| value.get(from + 2)).flatten().map(|t| t.text);
        let skips = member.is_some_and(|m| ["skip", "todo", "fixme"].contains(&m));
        let length = if member.is_some() { 3 } else { 1 };
        (member.is_none() || skips || member == Some("only")).then_some((root.text, skips, from + length))
    };
    if let Some((root, skips, end)) = branch(0)
        && end == value.len()
    {
        return Some(Alias { root, member: skips.then_some("skip"), is_asked: false });
    }
    let asks = value.iter().rposition(|t| t.is("?"))?;
    let (root, one, colon) = branch(asks + 1)?;
    let (_, other, end) = begins(value, colon, &[":"]).then(|| branch(colon + 1)).flatten()?;
    let is_asked = (0..asks).any(|at| begins(value, at, &["=", ">"]));
    let member = if one && other { "skip" } else { "skipIf" };
    (end == value.len() && (one || other)).then_some(Alias { root, member: Some(member), is_asked })
}

/// What a test or hook is handed to skip itself: `(c) => c.skip()`, `({ skip }) => skip()`.
#[derive(Default)]
pub(super) struct Context<'a> {
    pub(super) name: Option<&'a str>,
    pub(super) skip: Option<&'a str>,
}

impl<'a> Context<'a> {
    /// That of the first function among these arguments.
    pub(super) fn of(tokens: &[Token<'a>]) -> Self {
        let start = function_start(tokens, 0, tokens.len());
        let Some(first) = tokens.get(start) else { return Self::default() };
        let open = if first.is("function") {
            (start + 1..tokens.len().min(start + 4)).find(|n| tokens[*n].is("("))
        } else if start > 0 && tokens[start - 1].kind == Kind::Word {
            return Self { name: Some(tokens[start - 1].text), skip: None };
        } else {
            (0..start).rev().find(|n| tokens[*n].is("(") && n + tokens[*n].holds == start)
        };
        let Some(open) = open else { return Self::default() };
        match tokens.get(open + 1) {
            Some(t) if t.kind == Kind::Word => Self { name: Some(t.text), skip: None },
            Some(t) if t.is("{") => {
                let inside = &tokens[open + 1..(open + 1 + t.holds.max(1)).min(tokens.len())];
                let at = inside.iter().position(|t| t.is("skip"));
                let renamed = at.filter(|at| begins(inside, at + 1, &[":"])).and_then(|at| inside.get(at + 2));
                Self { name: None, skip: at.map(|at| renamed.map_or(inside[at].text, |t| t.text)) }
            }
            _ => Self::default(),
        }
    }
}
