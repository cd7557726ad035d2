//! Tests that leave before they check anything: a bare `return` in front of the first check, under a condition or not. A
//! function inside of a test leaves only itself; what it checks counts as a check of the test.

use super::lex::{Kind, Token};
use super::model::{Mark, Off, checks_something};

/// How a language says it.
pub(super) struct Language {
    pub(super) is_assert: fn(&[Token<'_>], usize) -> bool,
    /// The end of the function that begins here inside of another one.
    pub(super) nested: fn(&[Token<'_>], usize) -> Option<usize>,
    /// Does the `return` here give back nothing that checks?
    pub(super) is_bare: fn(&[Token<'_>], usize) -> bool,
}

/// Words that are a failure by themselves: `if let Err(_) = f() { return; } panic!()` checks that there is an error.
const FAILS: [&str; 10] =
    ["panic", "unreachable", "fail", "Fail", "FailNow", "Fatal", "Fatalf", "Error", "Errorf", "throw"];

/// The first bare `return` of a body, if it stands in front of its first check and leaves something out.
pub(super) fn early_return(body: &[Token<'_>], language: &Language) -> Mark {
    let (mut at, mut depth) = (0, 0_usize);
    while at < body.len() {
        let token = &body[at];
        if let Some(end) = (language.nested)(body, at) {
            if (at..end).any(|at| checks_something(body, at, language.is_assert)) {
                break;
            }
            at = end.max(at + 1);
            continue;
        }
        if checks_something(body, at, language.is_assert) {
            break;
        }
        match token.text {
            "{" if token.kind == Kind::Mark => depth += 1,
            "}" if token.kind == Kind::Mark => depth = depth.saturating_sub(1),
            "return" if token.kind == Kind::Word => {
                let guarded = at > 0 && [")", "else", ">", "|"].iter().any(|word| body[at - 1].is(word));
                let always = depth == 0 && !guarded;
                if (language.is_bare)(body, at) {
                    let off = if always { Off::Always } else { Off::Sometimes };
                    let leaves = leaves_something_out(body, at, depth, language);
                    return if leaves { Mark::new(off, false, token.line, "return") } else { Mark::default() };
                }
                if always {
                    break;
                }
            }
            _ => {}
        }
        at += 1;
    }
    Mark::default()
}

/// Is there a check behind a `return`, other than one that fails because it was not left? Without any, a call may be one.
fn leaves_something_out(body: &[Token<'_>], from: usize, depth: usize, language: &Language) -> bool {
    let (mut depth, mut calls) = (depth, false);
    for at in from + 1..body.len() {
        let token = &body[at];
        match token.text {
            "{" if token.kind == Kind::Mark => depth += 1,
            "}" if token.kind == Kind::Mark => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 && token.kind == Kind::Word && FAILS.contains(&token.text) {
            return false;
        }
        // `t.Fatal` begins with `t`, `assert.fail` with `assert`.
        let fails = depth == 0 && (1..=2).any(|n| body.get(at + n).is_some_and(|t| FAILS.contains(&t.text)));
        if !fails && checks_something(body, at, language.is_assert) {
            return true;
        }
        let called = token.kind == Kind::Word && body.get(at + 1).is_some_and(|t| t.is("("));
        calls |= called && !["if", "for", "while", "switch", "catch", "Ok"].contains(&token.text);
    }
    calls
}
