//! Python: what pytest and unittest collect, what makes them pass something over, what checks something. Blocks are read
//! by indentation of logical lines, so that text over several lines or an open bracket never ends one. Collection
//! follows the default names (`test*` in `test_*.py`, `Test*` classes, subclasses of `TestCase`).

use super::lex::{self, Kind, Stretch, Token, begins, is_word, quoted, to_line_end};
use super::model::{Helper, Mark, Off, Test, Tests, calls, count_asserts, promises, words};
use std::collections::{BTreeMap, BTreeSet};

/// Deepest nesting of blocks that is followed.
const MAX_DEPTH: usize = 64;
/// Names that a runner takes tests out of the collection by, in a `conftest.py`.
const COLLECT_IGNORE: [&str; 2] = ["collect_ignore", "collect_ignore_glob"];

pub(super) fn read(path: &str, source: &str) -> Tests {
    let tokens = lex::tokens(source, stretches);
    let lines = logical_lines(&tokens);
    let name = path.rsplit('/').next().unwrap_or_default();
    let collected = super::files::is_python_test(name);
    let mut reader = Reader { found: Tests::default(), collected, bound: BTreeMap::new(), conditional: false };
    let outer = file_mark(&lines);
    reader.block(&lines, &[], &Mark::default().worse(outer), None, 0);
    if name == "conftest.py" {
        reader.ignored_paths(&lines);
    }
    let Reader { mut found, bound, .. } = reader;
    let mut at = 0..;
    found.all.retain(|test| {
        let at = at.next();
        at.is_some_and(|at| bound.get(&test.name).is_some_and(|known| known.contains(&at)))
    });
    found
}

/// One logical line.
struct Line<'t, 'a> {
    indent: usize,
    tokens: &'t [Token<'a>],
}

/// A line goes on while a bracket is open or behind a backslash.
fn logical_lines<'t, 'a>(tokens: &'t [Token<'a>]) -> Vec<Line<'t, 'a>> {
    let mut lines = Vec::new();
    let (mut start, mut depth) = (0, 0_usize);
    for at in 0..tokens.len() {
        let token = &tokens[at];
        match token.text {
            "(" | "[" | "{" if token.kind == Kind::Mark => depth += 1,
            ")" | "]" | "}" if token.kind == Kind::Mark => depth = depth.saturating_sub(1),
            _ => {}
        }
        let last_line = token.line + token.text.matches('\n').count() as u32;
        let ends = tokens.get(at + 1).is_none_or(|next| next.line > last_line && depth == 0 && !token.is("\\"));
        if ends {
            lines.push(Line { indent: tokens[start].column, tokens: &tokens[start..=at] });
            start = at + 1;
        }
    }
    lines
}

struct Reader {
    found: Tests,
    /// Does the runner look into this file by default?
    collected: bool,
    /// Which of the tests a name may stand for: of two definitions of one name the later one counts, and both if that is
    /// under a condition.
    bound: BTreeMap<String, BTreeSet<usize>>,
    /// Is what is read under a condition?
    conditional: bool,
}

/// The class that functions stand in.
#[derive(Clone, Copy)]
struct Class {
    collects: bool,
}

impl Reader {
    fn block(&mut self, lines: &[Line<'_, '_>], scope: &[&str], outer: &Mark, class: Option<Class>, depth: usize) {
        let mut at = 0;
        let mut decorators = at..at;
        while at < lines.len() {
            let line = &lines[at];
            let first = &line.tokens[0];
            if first.is("@") {
                decorators = if decorators.is_empty() { at..at + 1 } else { decorators.start..at + 1 };
                at += 1;
                continue;
            }
            let end = at + 1 + lines[at + 1..].iter().take_while(|l| l.indent > line.indent).count();
            let skip = usize::from(first.is("async"));
            let word = line.tokens.get(skip).unwrap_or(first);
            let name = line.tokens.get(skip + 1).filter(|t| t.kind == Kind::Word).map(|t| t.text);
            match name {
                Some(name) if word.is("def") => {
                    self.function(&lines[at..end], &lines[decorators.clone()], name, scope, outer, class);
                }
                Some(name) if word.is("class") && depth < MAX_DEPTH => {
                    let mark = decorated(&lines[decorators.clone()]).worse(file_mark(&lines[at + 1..end]));
                    let mut scope = scope.to_vec();
                    scope.push(name);
                    let collects = Class { collects: collects(name, line.tokens, self.collected) };
                    self.block(&lines[at + 1..end], &scope, &outer.clone().worse(mark), Some(collects), depth + 1);
                }
                _ if end > at + 1 && depth < MAX_DEPTH => {
                    let mark = if is_dead(line) {
                        Mark::new(Off::Always, true, first.line, "if False:")
                    } else {
                        Mark::default()
                    };
                    let before = std::mem::replace(&mut self.conditional, true);
                    self.block(&lines[at + 1..end], scope, &outer.clone().worse(mark), class, depth + 1);
                    self.conditional = before;
                }
                _ => self.unbind(line, scope),
            }
            decorators = end..end;
            at = end;
        }
    }

    /// `del name` and `name = ...` take away what the name stood for.
    fn unbind(&mut self, line: &Line<'_, '_>, scope: &[&str]) {
        if self.conditional {
            return;
        }
        let deleted = line.tokens[0].is("del");
        // `name = slow(name)` keeps what the name stands for.
        let kept = line.tokens.iter().skip(2).any(|t| t.is(line.tokens[0].text));
        let assigned = begins(line.tokens, 1, &["="]) && !begins(line.tokens, 2, &["="]) && !kept;
        let names = line.tokens.iter().skip(usize::from(deleted)).filter(|t| t.kind == Kind::Word);
        for name in names.take(if deleted { usize::MAX } else { usize::from(assigned) }) {
            let whole = scope.iter().copied().chain([name.text]).collect::<Vec<_>>().join(".");
            self.bound.remove(&whole);
        }
    }

    fn function(
        &mut self,
        lines: &[Line<'_, '_>],
        decorators: &[Line<'_, '_>],
        name: &str,
        scope: &[&str],
        outer: &Mark,
        class: Option<Class>,
    ) {
        let head = lines[0].tokens;
        // A body may stand on the line of the `def`.
        let colon = {
            let params = head.iter().position(|t| t.is("(")).map_or(0, |open| lex::behind(head, open));
            head.iter().enumerate().skip(params).find(|(_, t)| t.is(":")).map_or(head.len(), |(at, _)| at + 1)
        };
        let body: Vec<Token<'_>> =
            head[colon.min(head.len())..].iter().chain(lines[1..].iter().flat_map(|l| l.tokens)).copied().collect();
        let asserts = count_asserts(&body, is_assert);
        let is_fixture = decorators.iter().any(|d| d.tokens.iter().any(|t| t.is("fixture")));
        let is_test = name.starts_with("test") && !is_fixture && class.map_or(self.collected, |c| c.collects);
        if !is_test {
            self.found.helpers.push(Helper { name: name.to_owned(), asserts, calls: calls(&body) });
            return;
        }
        let mark = outer.clone().worse(decorated(decorators)).worse(in_body(lines, &body));
        let mut does: Vec<String> = decorators.iter().flat_map(|d| words(d.tokens)).collect();
        does.extend(words(&head[2.min(head.len())..]));
        does.extend(lines[1..].iter().flat_map(|l| words(l.tokens)));
        let whole = scope.iter().copied().chain([name]).collect::<Vec<_>>().join(".");
        let known = self.bound.entry(whole.clone()).or_default();
        if !self.conditional {
            known.clear();
        }
        known.insert(self.found.all.len());
        self.found.all.push(Test {
            name: whole,
            leaf: name.to_owned(),
            line: head[0].line,
            mark,
            words: does,
            asserts,
            calls: calls(&body),
        });
    }

    /// Entries of `collect_ignore = [...]`.
    fn ignored_paths(&mut self, lines: &[Line<'_, '_>]) {
        for line in lines.iter().filter(|l| COLLECT_IGNORE.iter().any(|n| l.tokens.iter().any(|t| t.is(n)))) {
            let texts = line.tokens.iter().filter(|t| t.kind == Kind::Text);
            self.found.hides.extend(texts.map(|text| {
                let name = text.text.trim_matches(['"', '\'']).to_owned();
                let mark = Mark::new(Off::Always, true, text.line, format!("{} {}", line.tokens[0].text, text.text));
                (name, mark)
            }));
        }
    }
}

/// Is a class collected: a `TestCase`, or by its name?
fn collects(name: &str, head: &[Token<'_>], collected: bool) -> bool {
    let is_case = head.iter().skip(2).any(|t| t.kind == Kind::Word && t.text.ends_with("TestCase"));
    let has_base = head.get(2).is_some_and(|t| t.is("(")) && !head.get(3).is_some_and(|t| t.is(")"));
    is_case || (collected && (name.starts_with("Test") || (has_base && name.contains("Test"))))
}

/// What decorators switch off.
fn decorated(decorators: &[Line<'_, '_>]) -> Mark {
    decorators.iter().fold(Mark::default(), |mark, line| {
        let at = line.tokens.iter().position(|t| t.is("(")).unwrap_or(line.tokens.len());
        let path = &line.tokens[..at];
        let last = path.iter().rev().find(|t| t.kind == Kind::Word).map_or("", |t| t.text);
        let off = match last {
            "skip" | "expectedFailure" => Off::Always,
            "skipif" | "skipIf" | "skipUnless" | "xfail" => sometimes(line.tokens, last),
            // `@pytest.mark.parametrize(..., pytest.param(1, marks=pytest.mark.skip))`
            _ if mentions(line.tokens) => Off::Sometimes,
            _ => Off::Runs,
        };
        mark.worse(Mark::new(off, false, line.tokens[0].line, text(line.tokens)))
    })
}

/// A condition that is plainly always true switches off for good; so does `xfail` without a condition.
fn sometimes(tokens: &[Token<'_>], word: &str) -> Off {
    let open = tokens.iter().position(|t| t.is("("));
    let first = open.and_then(|at| tokens.get(at + 1));
    let constant = first.is_some_and(|t| match word {
        "skipUnless" => t.is("False") || t.is("0"),
        _ => t.is("True") || t.is("1"),
    });
    let bare = word == "xfail" && first.is_none_or(|t| t.is(")") || t.is("reason") || t.is("strict"));
    if constant || bare { Off::Always } else { Off::Sometimes }
}

/// Is a mark that skips mentioned: `mark.skip`, `mark.xfail`?
fn mentions(tokens: &[Token<'_>]) -> bool {
    (0..tokens.len()).any(|at| ["skip", "skipif", "xfail"].iter().any(|word| begins(tokens, at, &["mark", ".", word])))
}

/// What holds for a whole file or class: `pytestmark`, `__test__ = False`, a skip while it is read.
fn file_mark(lines: &[Line<'_, '_>]) -> Mark {
    let Some(indent) = lines.first().map(|l| l.indent) else { return Mark::default() };
    lines.iter().fold(Mark::default(), |mark, line| {
        let tokens = line.tokens;
        let off = if line.indent != indent {
            let nested =
                begins(tokens, 0, &["pytest", ".", "skip"]) && tokens.iter().any(|t| t.is("allow_module_level"));
            (if nested { Off::Sometimes } else { Off::Runs }, true)
        } else if begins(tokens, 0, &["__test__", "=", "False"]) {
            (Off::Always, true)
        } else if tokens[0].is("pytestmark") && mentions(tokens) {
            let hard = (0..tokens.len()).any(|at| begins(tokens, at, &["mark", ".", "skip"]));
            (if hard { Off::Always } else { Off::Sometimes }, false)
        } else if begins(tokens, 0, &["pytest", ".", "skip", "("])
            || (tokens[0].is("raise") && tokens.iter().any(|t| t.is("SkipTest")))
        {
            (Off::Always, true)
        } else if (0..tokens.len()).any(|at| begins(tokens, at, &["importorskip", "("])) {
            (Off::Sometimes, true)
        } else {
            (Off::Runs, false)
        };
        mark.worse(Mark::new(off.0, off.1, tokens[0].line, text(tokens)))
    })
}

/// Skips and returns inside a function: at its own level they always hold, deeper under a condition.
fn in_body(lines: &[Line<'_, '_>], body: &[Token<'_>]) -> Mark {
    let level = lines.get(1).map(|l| l.indent);
    let mut mark = Mark::default();
    if let Some(dead) = lines.iter().skip(1).find(|line| is_dead(line)) {
        mark = mark.worse(Mark::new(Off::Sometimes, false, dead.tokens[0].line, "if False:"));
    }
    for (at, line) in lines.iter().enumerate() {
        let tokens = match at {
            0 if lines.len() == 1 => body,
            0 => continue,
            _ => line.tokens,
        };
        let skips = (0..tokens.len()).find(|at| {
            let called = |words: &[&str]| begins(tokens, *at, words);
            called(&["pytest", ".", "skip", "("])
                || called(&["pytest", ".", "xfail", "("])
                || called(&["self", ".", "skipTest", "("])
                || (tokens[*at].is("SkipTest") && tokens[0].is("raise"))
                || called(&["importorskip", "("])
        });
        let Some(found) = skips else { continue };
        let hard = (at == 0 || Some(line.indent) == level) && !tokens[0].is("if") && !tokens[found].is("importorskip");
        mark =
            mark.worse(Mark::new(if hard { Off::Always } else { Off::Sometimes }, false, tokens[0].line, text(tokens)));
    }
    let first = lines.iter().skip(1).find(|l| l.tokens[0].kind != Kind::Text);
    let returns = first.filter(|l| l.tokens.len() == 1 && l.tokens[0].is("return"));
    mark.worse(returns.map(|l| Mark::new(Off::Always, false, l.tokens[0].line, "return")).unwrap_or_default())
}

/// Does a block begin here that never runs?
fn is_dead(line: &Line<'_, '_>) -> bool {
    ["False", "0"].iter().any(|no| begins(line.tokens, 0, &["if", no, ":"]))
}

/// A line as text, one space where there was white space is not needed: it is shown, never compared.
fn text(tokens: &[Token<'_>]) -> String {
    let mut out = String::new();
    for (at, token) in tokens.iter().take(24).enumerate() {
        let word = |t: &Token<'_>| t.kind != Kind::Mark;
        if at > 0 && ((word(token) && word(&tokens[at - 1])) || tokens[at - 1].is(",")) {
            out.push(' ');
        }
        out.push_str(token.text);
    }
    out
}

/// Does an assertion begin at `at`?
fn is_assert(tokens: &[Token<'_>], at: usize) -> bool {
    let token = &tokens[at];
    if token.kind != Kind::Word {
        return false;
    }
    let called = tokens.get(at + 1).is_some_and(|t| t.is("("));
    let of_pytest = at >= 2 && tokens[at - 1].is(".") && ["raises", "warns", "fail"].contains(&token.text);
    token.text == "assert" || (called && (promises(token.text) || of_pytest))
}

/// Comments and texts of Python.
fn stretches(source: &str) -> Vec<Stretch> {
    let bytes = source.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let prefix = bytes[at..].iter().take(3).take_while(|b| b"rRbBfFuUtT".contains(b)).count();
        let quote = at + prefix;
        let in_word = at > 0 && is_word(char::from(bytes[at - 1]));
        let is_quote = matches!(bytes.get(quote), Some(b'"' | b'\'')) && !(prefix > 0 && in_word);
        let (start, end, is_text) = if bytes[at] == b'#' {
            (at, to_line_end(bytes, at), false)
        } else if is_quote {
            let triple = [bytes[quote]; 3];
            let end = if bytes[quote..].starts_with(&triple) {
                long(bytes, quote + 3, triple)
            } else {
                quoted(bytes, quote, false)
            };
            (at, end, true)
        } else {
            at += 1;
            continue;
        };
        found.push(Stretch { start, end, is_text });
        at = end.max(at + 1);
    }
    found
}

/// The end of a triple-quoted text.
fn long(bytes: &[u8], from: usize, triple: [u8; 3]) -> usize {
    let mut at = from;
    while at < bytes.len() {
        if bytes[at] == b'\\' {
            at += 2;
        } else if bytes[at..].starts_with(&triple) {
            return at + 3;
        } else {
            at += 1;
        }
    }
    bytes.len()
}
