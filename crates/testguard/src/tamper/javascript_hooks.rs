//! JavaScript and TypeScript: what runs before the tests of a group or file, and passes all of them over.

use super::javascript::{declaration, skip};
use super::javascript_names::Context;
use super::lex::{self, Kind, Token, behind};
use super::model::{Mark, Off};

/// What runs before the tests of its group or file.
const HOOKS: [&str; 6] = ["beforeEach", "beforeAll", "before", "setup", "suiteSetup", "setupSuite"];
/// Who hands out a hook as its method.
const HOOK_OWNERS: [&str; 6] = ["test", "it", "t", "suite", "hooks", "describe"];
/// What passes over all tests of a group or file: a hook that skips, or `test.skip(condition)` beside its tests. Those
/// stand in so many braces.
pub(super) fn set_up(tokens: &[Token<'_>], level: usize) -> Mark {
    let (mut mark, mut depth, mut at) = (Mark::default(), 0_usize, 0);
    while at < tokens.len() {
        if let Some(nested) = declaration(tokens, at) {
            at = nested.end.max(at + 1);
            continue;
        }
        if let Some((open, end)) = hook(tokens, at) {
            mark = mark.worse(in_hook(&tokens[open..end]));
            at = end;
            continue;
        }
        match tokens[at].text {
            // What is called stands on its own: `page.on("x", () => test.skip())` is another one's business.
            "(" | "[" if tokens[at].kind == Kind::Mark => {
                at = behind(tokens, at);
                continue;
            }
            "{" if tokens[at].kind == Kind::Mark => depth += 1,
            "}" if tokens[at].kind == Kind::Mark => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == level
            && at >= 2
            && ["test", "it"].iter().any(|owner| tokens[at - 2].is(owner))
            && let Some((hard, text)) = skip(tokens, at, &Context::default())
        {
            let off = if hard { Off::Always } else { Off::Sometimes };
            mark = mark.worse(Mark::new(off, false, tokens[at].line, text));
        }
        at += 1;
    }
    mark
}

/// What a hook that begins here does, if one does: `beforeEach(() => { .. })`, or `beforeEach() { .. }` in an object.
fn hook(tokens: &[Token<'_>], at: usize) -> Option<(usize, usize)> {
    let word = &tokens[at];
    if word.kind != Kind::Word || !HOOKS.contains(&word.text) || !lex::begins(tokens, at + 1, &["("]) {
        return None;
    }
    let is_member = at >= 1 && tokens[at - 1].is(".");
    let of_another = is_member && !(at >= 2 && HOOK_OWNERS.contains(&tokens[at - 2].text));
    if of_another || (at >= 1 && tokens[at - 1].is("function")) {
        return None;
    }
    let end = behind(tokens, at + 1);
    if !tokens.get(end).is_some_and(|t| t.is("{")) {
        return Some((at + 2, end));
    }
    // Many things have a method `setup`.
    word.text.starts_with("before").then(|| (end, behind(tokens, end)))
}

fn in_hook(tokens: &[Token<'_>]) -> Mark {
    let (mut mark, mut depth, context) = (Mark::default(), 0_usize, Context::of(tokens));
    for at in 0..tokens.len() {
        match tokens[at].text {
            "{" if tokens[at].kind == Kind::Mark => depth += 1,
            "}" if tokens[at].kind == Kind::Mark => depth = depth.saturating_sub(1),
            _ => {}
        }
        if let Some((hard, text)) = skip(tokens, at, &context) {
            let off = if hard && depth <= 1 { Off::Always } else { Off::Sometimes };
            mark = mark.worse(Mark::new(off, false, tokens[at].line, text));
        }
    }
    mark
}
