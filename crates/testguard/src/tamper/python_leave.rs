//! Tests of Python that leave before they check anything, and checks whose failure nobody sees.

use super::lex::{Kind, Token};
use super::model::{Mark, Off, checks_something};
use super::python::{is_assert, text};
use super::python_lex::Line;

/// Exceptions that a failed check is.
const FAILURES: [&str; 3] = ["AssertionError", "Exception", "BaseException"];
/// What a handler may call that does nothing about it.
const TELLS: [&str; 5] = ["print", "log", "logger", "logging", "warnings"];

fn checks(tokens: &[Token<'_>]) -> bool {
    (0..tokens.len()).any(|at| checks_something(tokens, at, is_assert))
}

/// A bare `return` in front of the first check of a test, if it leaves something out. A function in it leaves itself.
pub(super) fn early_return(lines: &[Line<'_, '_>]) -> Mark {
    let Some(level) = lines.get(1).map(|l| l.indent) else { return Mark::default() };
    let mut inner: Option<usize> = None;
    for (at, line) in lines.iter().enumerate().skip(1) {
        if inner.is_some_and(|indent| line.indent > indent) {
            continue;
        }
        let tokens = line.tokens;
        inner = ["def", "class"]
            .iter()
            .any(|word| tokens[0].is(word) || tokens.get(1).is_some_and(|t| t.is(word)))
            .then_some(line.indent);
        let returns =
            tokens.iter().enumerate().position(|(at, t)| t.is("return") && (at == 0 || tokens[at - 1].is(":")));
        if checks(&tokens[..returns.unwrap_or(tokens.len())]) {
            break;
        }
        let Some(returns) = returns.filter(|_| inner.is_none()) else { continue };
        let always = returns == 0 && line.indent == level;
        let value = &tokens[returns + 1..];
        if value.is_empty() || (value.len() == 1 && value[0].is("None")) {
            let off = if always { Off::Always } else { Off::Sometimes };
            let leaves = leaves_something_out(&lines[at + 1..], level);
            return if leaves { Mark::new(off, false, tokens[0].line, text(tokens)) } else { Mark::default() };
        }
        if always {
            break;
        }
    }
    Mark::default()
}

/// Is there a check behind a `return`, other than one that fails because it was not left? Without any, a call may be one.
fn leaves_something_out(lines: &[Line<'_, '_>], level: usize) -> bool {
    for line in lines {
        let fails = line.tokens[0].is("raise") || line.tokens.iter().take(3).any(|t| t.is("fail"));
        if line.indent == level && fails {
            return false;
        }
        if checks(line.tokens) {
            return true;
        }
    }
    lines.iter().any(|line| line.tokens.iter().any(|t| t.is("(")))
}

/// A check whose failure is caught and dropped: `except AssertionError: pass`, `with suppress(AssertionError):`.
pub(super) fn swallowed(lines: &[Line<'_, '_>]) -> Mark {
    if !lines.iter().any(|l| l.tokens[0].is("try") || l.tokens[0].is("with")) {
        return Mark::default();
    }
    let mut up_to = vec![0_usize];
    for (at, line) in lines.iter().enumerate() {
        up_to.push(up_to[at] + usize::from(checks(line.tokens)));
    }
    for (at, line) in lines.iter().enumerate().skip(1) {
        let end = at + 1 + lines[at + 1..].iter().take_while(|l| l.indent > line.indent).count();
        let block = || up_to[end] > up_to[at];
        if line.tokens[0].is("with") {
            let suppress = line.tokens.iter().position(|t| t.is("suppress"));
            if suppress.is_some_and(|at| is_failure(&line.tokens[at..])) && block() {
                return Mark::new(Off::Sometimes, false, line.tokens[0].line, text(line.tokens));
            }
        } else if line.tokens[0].is("try") && block() {
            let handler = handlers(&lines[end..], line.indent);
            if let Some(handler) = handler {
                return Mark::new(Off::Sometimes, false, handler.tokens[0].line, text(handler.tokens));
            }
        }
    }
    Mark::default()
}

fn is_failure(tokens: &[Token<'_>]) -> bool {
    tokens.iter().any(|t| t.kind == Kind::Word && FAILURES.contains(&t.text))
}

/// The first handler of a `try` that catches failures and does nothing about them.
fn handlers<'l, 't, 'a>(lines: &'l [Line<'t, 'a>], indent: usize) -> Option<&'l Line<'t, 'a>> {
    let mut at = 0;
    while at < lines.len() && lines[at].indent == indent && lines[at].tokens[0].is("except") {
        let tokens = lines[at].tokens;
        let colon = tokens.iter().position(|t| t.is(":")).unwrap_or(tokens.len() - 1);
        let end = at + 1 + lines[at + 1..].iter().take_while(|l| l.indent > indent).count();
        let catches = colon == 1 || is_failure(&tokens[..colon]);
        let rest = &tokens[colon + 1..];
        let idle = (rest.is_empty() || is_idle(rest)) && lines[at + 1..end].iter().all(|l| is_idle(l.tokens));
        if catches && idle {
            return Some(&lines[at]);
        }
        at = end;
    }
    None
}

/// Does a line do nothing about a failure?
fn is_idle(tokens: &[Token<'_>]) -> bool {
    let first = &tokens[0];
    let alone = tokens.len() == 1 && ["pass", "return", "continue", "break"].iter().any(|word| first.is(word));
    alone
        || first.kind == Kind::Text
        || tokens.iter().all(|t| t.is("."))
        || (tokens.len() == 2 && first.is("return") && tokens[1].is("None"))
        || TELLS.iter().any(|word| first.is(word))
}
