//! JavaScript and TypeScript: `it`, `test` and `describe` of jest, vitest, mocha, jasmine, playwright and node:test,
//! what switches them off, what checks something. A call counts as a test only if it looks like one (a name, then a
//! function), so that `pattern.test(text)` is none. `.only` is read as what it does: it hides the other tests of the file.

use super::javascript_hooks::set_up;
use super::javascript_leave::{LEAVING, swallowed};
use super::javascript_lex::stretches;
use super::javascript_names::{Context, spelled_out};
use super::leaving::early_return;
use super::lex::{self, Kind, Token, behind};
use super::model::{Helper, Mark, Off, SetUp, Test, Tests, asserts_up_to, calls, count_asserts, promises, words};

const TESTS: [&str; 7] = ["it", "test", "specify", "xit", "xtest", "xspecify", "fit"];
const GROUPS: [&str; 7] = ["describe", "context", "suite", "xdescribe", "xcontext", "xsuite", "fdescribe"];
/// Deepest nesting of groups that is followed.
const MAX_DEPTH: usize = 64;
/// So many tokens are searched for the function among the arguments of a call.
const MAX_ARGUMENTS: usize = 400;
/// In so many tokens of a helper calls are looked for.
const MAX_HELPER: usize = 400;

pub(super) fn read(source: &str) -> Tests {
    let tokens = spelled_out(lex::tokens(source, stretches));
    let mut reader = Reader::default();
    let set_up = set_up(&tokens, 0);
    reader.block(&tokens, &[], &set_up, false, 0);
    if reader.found.all.is_empty() {
        let name = "the tests that this file sets up".to_owned();
        reader.found.sets_up.push(SetUp { name, mark: set_up, rules_old_tests: false });
    }
    if let Some(only) = reader.only {
        if reader.chosen.iter().all(|chosen| *chosen) {
            reader.found.hides.push(("the tests of other files".to_owned(), only.clone()));
        }
        for (test, chosen) in reader.found.all.iter_mut().zip(reader.chosen) {
            if !chosen {
                test.mark = std::mem::take(&mut test.mark).worse(only.clone());
            }
        }
    }
    reader.found.helpers = helpers(&tokens);
    reader.found
}

#[derive(Default)]
struct Reader {
    found: Tests,
    /// For each test: does it stand under an `.only`?
    chosen: Vec<bool>,
    only: Option<Mark>,
}

/// A call that declares a test or a group.
pub(super) struct Declared {
    is_group: bool,
    name: String,
    mark: Mark,
    only: bool,
    /// Of its arguments, brackets excluded.
    open: usize,
    pub(super) end: usize,
}

impl Reader {
    fn block(&mut self, tokens: &[Token<'_>], scope: &[&str], outer: &Mark, chosen: bool, depth: usize) {
        let mut at = 0;
        while at < tokens.len() {
            let Some(declared) = declaration(tokens, at) else {
                if depth < MAX_DEPTH && is_dead(tokens, at) && tokens.get(at + 4).is_some_and(|t| t.is("{")) {
                    let end = behind(tokens, at + 4);
                    let mark = outer.clone().worse(Mark::new(Off::Always, false, tokens[at].line, "if (false)"));
                    self.block(&tokens[at + 5..end], scope, &mark, chosen, depth + 1);
                    at = end;
                    continue;
                }
                at += 1;
                continue;
            };
            let inside = &tokens[declared.open..declared.end];
            let dead = |from: usize| Mark::new(Off::Always, false, tokens[from].line, "false");
            let mut mark = outer.clone().worse(declared.mark.clone());
            if at >= 3 && lex::begins(tokens, at - 3, &["false", "&", "&"]) {
                mark = mark.worse(dead(at - 3));
            } else if at >= 4 && is_dead(tokens, at - 4) {
                mark = mark.worse(dead(at - 4));
            }
            if declared.only {
                let text = format!("{} is marked as the only one to run", declared.name);
                self.only.get_or_insert(Mark::new(Off::Always, true, tokens[at].line, text));
            }
            let chosen = chosen || declared.only;
            if declared.is_group && depth < MAX_DEPTH {
                let mut scope = scope.to_vec();
                scope.push(&declared.name);
                self.block(inside, &scope, &mark.worse(set_up(inside, 1)), chosen, depth + 1);
            } else if !declared.is_group {
                let first = self.found.all.len();
                self.chosen.push(chosen);
                self.found.all.push(Test {
                    name: scope.iter().copied().chain([declared.name.as_str()]).collect::<Vec<_>>().join(" > "),
                    leaf: declared.name.clone(),
                    line: tokens[at].line,
                    mark: mark.clone().worse(in_body(inside)),
                    words: does(&tokens[at..declared.end]),
                    asserts: count_asserts(inside, is_assert),
                    calls: calls(inside),
                    ..Test::default()
                });
                // Tests inside a test: `t.test("...", ...)`.
                if depth < MAX_DEPTH {
                    let mark = self.found.all[first].mark.clone();
                    let mut scope = scope.to_vec();
                    scope.push(&declared.name);
                    let mark = if mark.off == Off::Always { mark } else { outer.clone().worse(declared.mark) };
                    self.block(inside, &scope, &mark, chosen, depth + 1);
                }
            }
            at = declared.end.max(at + 1);
        }
    }
}

/// Does `if (false)` stand here?
fn is_dead(tokens: &[Token<'_>], at: usize) -> bool {
    lex::begins(tokens, at, &["if", "(", "false", ")"]) || lex::begins(tokens, at, &["if", "(", "0", ")"])
}

/// What a test does, without its name.
fn does(tokens: &[Token<'_>]) -> Vec<String> {
    let name = tokens.iter().position(|t| t.kind == Kind::Text);
    let rest: Vec<Token<'_>> = tokens.iter().enumerate().filter(|(at, _)| Some(*at) != name).map(|(_, t)| *t).collect();
    words(&rest)
}

/// Reads `it(...)`, `describe.skip(...)`, `test.each([...])(...)` at `at`, if that is what stands there.
pub(super) fn declaration(tokens: &[Token<'_>], at: usize) -> Option<Declared> {
    let word = &tokens[at];
    let is_group = GROUPS.contains(&word.text);
    if word.kind != Kind::Word || !(is_group || TESTS.contains(&word.text)) {
        return None;
    }
    let before = at.checked_sub(1).map(|n| &tokens[n]);
    let is_member = before.is_some_and(|t| t.is("."));
    if before.is_some_and(|t| t.is("function") || t.is("new")) {
        return None;
    }
    let mut mark = Mark::default();
    let mut only = word.text == "fit" || word.text == "fdescribe";
    let mut is_group = is_group;
    if word.text.starts_with('x') {
        mark = Mark::new(Off::Always, false, word.line, word.text);
    }
    let (mut next, mut table) = (at + 1, false);
    while tokens.get(next).is_some_and(|t| t.is(".")) {
        let member = tokens.get(next + 1).filter(|t| t.kind == Kind::Word)?;
        let off = match member.text {
            "skip" | "todo" | "fixme" => Off::Always,
            "failing" | "fails" | "fail" | "skipIf" | "runIf" => Off::Sometimes,
            _ => Off::Runs,
        };
        mark = mark.worse(Mark::new(off, false, member.line, format!("{}.{}", word.text, member.text)));
        only |= member.is("only");
        is_group |= member.is("describe");
        next += 2;
        if matches!(member.text, "each" | "for" | "skipIf" | "runIf") {
            table = true;
            next = match tokens.get(next) {
                Some(t) if t.is("(") => behind(tokens, next),
                Some(t) if t.kind == Kind::Text || t.is("`") => template_end(tokens, next),
                _ => return None,
            };
        }
    }
    if tokens.get(next).is_some_and(|t| t.is("<")) {
        next = (next..tokens.len().min(next + 64)).find(|n| tokens[*n].is("("))?;
    }
    if !tokens.get(next)?.is("(") {
        return None;
    }
    let end = behind(tokens, next);
    let close = if tokens[end - 1].is(")") { end - 1 } else { end };
    let first = tokens.get(next + 1)?;
    let comma = top_level_comma(tokens, next + 1, close);
    let named = matches!(first.kind, Kind::Text) || first.is("`");
    // A method of this name, `test(a, b) { .. }`, or `test.skip(condition, "why")` inside a body.
    if tokens.get(end).is_some_and(|t| t.is("{"))
        || !(named || table || comma.is_some_and(|comma| has_function(tokens, comma, close)))
    {
        return None;
    }
    // `t.test("name", ...)` inside a test, but not `pattern.test("text")`.
    if is_member && !(named && has_function(tokens, next + 1, close)) {
        return None;
    }
    if named && comma.is_none() && mark.off == Off::Runs {
        return None;
    }
    let name_end = comma.unwrap_or(close);
    let name = tokens[next + 1..name_end].iter().map(|t| t.text).collect::<String>();
    let name = name.trim_matches(['"', '\'', '`']).to_owned();
    mark = mark.worse(option(&tokens[name_end..close]));
    only |= (name_end..close)
        .any(|n| lex::begins(tokens, n, &["only", ":", "true"]) && n < function_start(tokens, name_end, close));
    Some(Declared { is_group, name, mark, only, open: next + 1, end: close })
}

/// The index of the first comma that belongs to the call itself.
fn top_level_comma(tokens: &[Token<'_>], from: usize, to: usize) -> Option<usize> {
    let mut at = from;
    while at < to {
        if tokens[at].is(",") {
            return Some(at);
        }
        let opens = ["(", "[", "{"].iter().any(|b| tokens[at].is(b));
        at = if opens { behind(tokens, at) } else { at + 1 };
    }
    None
}

/// Where the function among the arguments begins.
pub(super) fn function_start(tokens: &[Token<'_>], from: usize, to: usize) -> usize {
    let within = from..to.min(from + MAX_ARGUMENTS);
    within.into_iter().find(|n| tokens[*n].is("function") || lex::begins(tokens, *n, &["=", ">"])).unwrap_or(to)
}

fn has_function(tokens: &[Token<'_>], from: usize, to: usize) -> bool {
    function_start(tokens, from, to) < to
}

/// `{ skip: true }` of node:test, before the function.
fn option(arguments: &[Token<'_>]) -> Mark {
    let to = function_start(arguments, 0, arguments.len());
    (0..to)
        .find(|n| {
            let named = ["skip", "todo"].iter().any(|word| lex::begins(arguments, *n, &[word, ":"]));
            named && !arguments.get(n + 2).is_some_and(|t| t.is("false"))
        })
        .map(|n| {
            let constant = arguments.get(n + 2).is_some_and(|t| t.is("true") || t.kind == Kind::Text);
            let off = if constant { Off::Always } else { Off::Sometimes };
            Mark::new(off, false, arguments[n].line, format!("{}: ...", arguments[n].text))
        })
        .unwrap_or_default()
}

/// `t.skip()`, `this.skip()`, `test.skip(condition)`, a return before anything is checked, or a failure that nobody sees,
/// inside a test.
fn in_body(tokens: &[Token<'_>]) -> Mark {
    let start = function_start(tokens, 0, tokens.len());
    let open = (start..tokens.len()).find(|n| tokens[*n].is("{")).unwrap_or(tokens.len());
    let end = behind(tokens, open);
    let body = &tokens[(open + 1).min(end)..end.saturating_sub(1).max((open + 1).min(end))];
    // `(c) => c.skip()` has no braces.
    let arrow = lex::begins(tokens, start, &["=", ">"]) && open != start + 2;
    let from = if arrow { start + 2 } else { open };
    passes_over(tokens, from, usize::from(arrow)).worse(early_return(body, &LEAVING)).worse(swallowed(body))
}

fn passes_over(tokens: &[Token<'_>], from: usize, depth: usize) -> Mark {
    let context = Context::of(tokens);
    let (mut depth, mut at) = (depth, from);
    while at < tokens.len() {
        let token = &tokens[at];
        if is_dead(tokens, at) {
            return Mark::new(Off::Sometimes, false, token.line, "if (false)");
        }
        // What a test inside this one skips is its own affair.
        if let Some(nested) = declaration(tokens, at) {
            at = nested.end.max(at + 1);
            continue;
        }
        match token.text {
            "{" if token.kind == Kind::Mark => depth += 1,
            "}" if token.kind == Kind::Mark => depth = depth.saturating_sub(1),
            _ => {}
        }
        if let Some((hard, text)) = skip(tokens, at, &context) {
            let off = if depth == 1 && hard { Off::Always } else { Off::Sometimes };
            return Mark::new(off, false, token.line, text);
        }
        at += 1;
    }
    Mark::default()
}

/// Does a call stand here that passes over the test it is in: `this.skip()`, `test.skip(condition)`, `pending()`? Says
/// whether it always does so when it is reached, and how it reads.
pub(super) fn skip(tokens: &[Token<'_>], at: usize, context: &Context<'_>) -> Option<(bool, String)> {
    let token = &tokens[at];
    if token.kind != Kind::Word || !lex::begins(tokens, at + 1, &["("]) {
        return None;
    }
    let is_member = at > 0 && tokens[at - 1].is(".");
    let owner = (at >= 2 && is_member).then(|| tokens[at - 2].text);
    let owners = ["t", "st", "this", "ctx", "context", "test", "it"];
    let owner = match token.text {
        _ if !is_member && context.skip == Some(token.text) && (is_statement(tokens, at) || is_result(tokens, at)) => {
            None
        }
        "skip" | "todo" | "fixme" => Some(owner.filter(|o| owners.contains(o) || context.name == Some(o))?),
        "pending" if is_statement(tokens, at) => None,
        _ => return None,
    };
    let bare = tokens.get(at + 2).is_some_and(|t| t.is(")") || t.is("true") || t.kind == Kind::Text);
    let first = if owner.is_some() { at.checked_sub(3) } else { at.checked_sub(1) };
    let under_condition = [")", "&", "|", "?", ":", "else"];
    let guarded = first.is_some_and(|first| under_condition.iter().any(|word| tokens[first].is(word)));
    let text = owner.map_or_else(|| format!("{}()", token.text), |owner| format!("{owner}.{}()", token.text));
    Some((bare && !guarded, text))
}

/// Is this what an arrow gives back?
fn is_result(tokens: &[Token<'_>], at: usize) -> bool {
    at >= 2 && lex::begins(tokens, at - 2, &["=", ">"])
}

/// Does a statement of its own begin here? Many things are called `pending`.
fn is_statement(tokens: &[Token<'_>], at: usize) -> bool {
    let Some(before) = at.checked_sub(1).map(|n| &tokens[n]) else { return true };
    let ended = ["{", "}", ";", ")", "else"].iter().any(|end| before.is(end));
    let open = ["(", "[", ",", "=", ":", "?", "&", "|", "+", ".", ">", "return", "function"];
    ended || (before.line < tokens[at].line && !open.iter().any(|word| before.is(word)))
}

/// Functions that are no tests: `function name() { .. }`, `const name = (..) => { .. }`, `name(..) { .. }` in a class.
fn helpers(tokens: &[Token<'_>]) -> Vec<Helper> {
    let mut found = Vec::new();
    // Functions may stand in each other: how many assertions there are up to each token is counted once.
    let up_to = asserts_up_to(tokens, is_assert);
    for at in 0..tokens.len() {
        let named = (tokens[at].is("function") || tokens[at].is("const") || tokens[at].is("let"))
            .then(|| tokens.get(at + 1).filter(|t| t.kind == Kind::Word))
            .flatten();
        let Some(name) = named else { continue };
        let limit = tokens.len().min(at + 80);
        let body = if tokens[at].is("function") {
            (at..limit).find(|n| tokens[*n].is("(")).map(|open| behind(tokens, open))
        } else if tokens.get(at + 2).is_some_and(|t| t.is("=") || t.is(":")) {
            (at..limit)
                .take_while(|n| !tokens[*n].is(";"))
                .find(|n| lex::begins(tokens, *n, &["=", ">"]))
                .map(|n| n + 2)
        } else {
            None
        };
        let Some(open) = body.and_then(|from| (from..limit).find(|n| tokens[*n].is("{") || tokens[*n].is("("))) else {
            continue;
        };
        let end = behind(tokens, open);
        let asserts = up_to[end] - up_to[open];
        found.push(Helper {
            name: name.text.to_owned(),
            asserts,
            calls: calls(&tokens[open..end.min(open + MAX_HELPER)]),
            ..Helper::default()
        });
    }
    found
}

/// Does an assertion begin at `at`?
pub(super) fn is_assert(tokens: &[Token<'_>], at: usize) -> bool {
    let token = &tokens[at];
    if token.kind != Kind::Word {
        return false;
    }
    let called = tokens.get(at + 1).is_some_and(|t| t.is("("));
    let member = tokens.get(at + 1).is_some_and(|t| t.is("."));
    let of_t = at >= 2 && tokens[at - 1].is(".") && ["t", "st", "tt"].contains(&tokens[at - 2].text);
    let taken = ["is", "not", "true", "false", "ok", "same", "match", "like", "error", "fail", "pass"];
    let plain = [
        "equal",
        "equals",
        "deepEqual",
        "strictEqual",
        "deepStrictEqual",
        "notEqual",
        "notDeepEqual",
        "notStrictEqual",
        "deepLooseEqual",
        "notOk",
        "throws",
        "doesNotThrow",
        "rejects",
        "doesNotReject",
        "ifError",
    ];
    let is_member = at > 0 && tokens[at - 1].is(".");
    (called && promises(token.text) && token.text != "require")
        || (member && token.text == "assert" && !is_member)
        || (of_t && called && taken.contains(&token.text))
        || (is_member && called && plain.contains(&token.text))
        || (is_member && token.text == "should")
}

/// The token behind a template that begins at `at` and may have code in it.
fn template_end(tokens: &[Token<'_>], at: usize) -> usize {
    if tokens[at].kind == Kind::Text && tokens[at].text.len() > 1 && tokens[at].text.ends_with('`') {
        return at + 1;
    }
    (at + 1..tokens.len())
        .find(|n| tokens[*n].kind == Kind::Text && tokens[*n].text.ends_with('`'))
        .map_or(tokens.len(), |n| n + 1)
}
