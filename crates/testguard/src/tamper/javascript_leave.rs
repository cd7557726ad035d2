//! JavaScript and TypeScript: how a test leaves, and a failure that nobody sees.

use super::javascript::{declaration, is_assert};
use super::leaving::Language;
use super::lex::{self, Kind, Token, behind};
use super::model::{Mark, Off, asserts_up_to};

pub(super) const LEAVING: Language = Language { is_assert, nested, is_bare };

/// The end of a function that begins here: `function () { .. }`, `=> { .. }`, or a method `name() { .. }`.
fn nested(tokens: &[Token<'_>], at: usize) -> Option<usize> {
    if lex::begins(tokens, at, &["=", ">", "{"]) {
        return Some(behind(tokens, at + 2));
    }
    let word = &tokens[at];
    let control = ["if", "for", "while", "switch", "catch", "with", "await", "return"];
    if word.kind != Kind::Word || control.contains(&word.text) {
        return None;
    }
    let named = usize::from(word.is("function") && !tokens.get(at + 1).is_some_and(|t| t.is("(")));
    let open = tokens.get(at + 1 + named).filter(|t| t.is("("))?;
    let end = at + 1 + named + open.holds.max(1);
    tokens.get(end).filter(|t| t.is("{")).map(|_| behind(tokens, end))
}

/// `return;`, `return }`, `return undefined;`
fn is_bare(tokens: &[Token<'_>], at: usize) -> bool {
    let line = tokens[at].line;
    let ends = |at: usize| tokens.get(at).is_none_or(|t| t.is(";") || t.is("}") || t.line > line);
    let nothing = ["undefined", "null"].iter().any(|word| lex::begins(tokens, at + 1, &[word]));
    ends(at + 1) || (nothing && ends(at + 2)) || (lex::begins(tokens, at + 1, &["void", "0"]) && ends(at + 3))
}

/// A check in a `try` whose failure an empty `catch` takes.
pub(super) fn swallowed(body: &[Token<'_>]) -> Mark {
    if !body.iter().any(|t| t.is("try")) {
        return Mark::default();
    }
    let up_to = asserts_up_to(body, is_assert);
    let is_swallowed = |at: &usize| {
        if !lex::begins(body, *at, &["try", "{"]) {
            return false;
        }
        let end = behind(body, *at + 1);
        let caught = lex::begins(body, end, &["catch"]);
        let open = if lex::begins(body, end + 1, &["("]) { behind(body, end + 1) } else { end + 1 };
        caught && lex::begins(body, open, &["{", "}"]) && up_to[end] > up_to[*at]
    };
    let mut at = 0;
    while at < body.len() {
        if is_swallowed(&at) {
            return Mark::new(Off::Sometimes, false, body[at].line, "an empty catch");
        }
        // What a test inside this one does is its own affair.
        at = declaration(body, at).map_or(at + 1, |nested| nested.end.max(at + 1));
    }
    Mark::default()
}
