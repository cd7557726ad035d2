//! Python: what pytest and unittest collect, what makes them pass something over, what checks something. Blocks are read
//! by indentation of logical lines, so that text over several lines or an open bracket never ends one. Collection
//! follows the default names (`test*` in `test_*.py`, `Test*` classes, subclasses of `TestCase`).

use super::lex::{self, Kind, Token, begins};
use super::model::{Helper, Mark, Off, SetUp, Test, Tests, calls, count_asserts, promises, words};
use super::python_fixtures::{Function, asked, called, through_functions};
use super::python_leave::{early_return, swallowed};
use super::python_lex::{Line, logical_lines, stretches};
use super::python_names::spelled_out;
use std::collections::{BTreeMap, BTreeSet};

/// Deepest nesting of blocks that is followed.
const MAX_DEPTH: usize = 64;
/// Names that a runner takes tests out of the collection by, in a `conftest.py`.
const COLLECT_IGNORE: [&str; 2] = ["collect_ignore", "collect_ignore_glob"];
/// What runs before every test of a module, and before every test of a class.
/// <https://docs.pytest.org/en/stable/how-to/xunit_setup.html>,
/// <https://docs.python.org/3/library/unittest.html#class-and-module-fixtures>
const OF_MODULE: [&str; 4] = ["setUpModule", "setup_module", "setup_function", "pytest_runtest_setup"];
const OF_CLASS: [&str; 7] =
    ["setUp", "asyncSetUp", "setUpClass", "setUpTestData", "setup_method", "setup_class", "setup"];

pub(super) fn read(path: &str, source: &str) -> Tests {
    let tokens = spelled_out(&lex::tokens(source, stretches));
    let lines = logical_lines(&tokens);
    let name = path.rsplit('/').next().unwrap_or_default();
    let collected = super::files::is_python_test(name);
    let mut reader = Reader { collected, ..Reader::default() };
    let set_up = set_up(&lines, &OF_MODULE);
    reader.block(&lines, &[], &file_mark(&lines).worse(set_up.clone()), None, 0);
    if name == "conftest.py" {
        reader.ignored_paths(&lines);
    }
    if reader.found.all.is_empty() {
        let rules_old_tests = name == "conftest.py";
        let whose = if rules_old_tests { "the tests below this file" } else { "the tests that this file sets up" };
        reader.found.sets_up.push(SetUp { name: whose.to_owned(), mark: set_up, rules_old_tests });
    }
    let Reader { mut found, bound, functions, asks, .. } = reader;
    through_functions(&mut found, &functions, &asks);
    let mut at = 0..;
    found.all.retain(|test| {
        let at = at.next();
        at.is_some_and(|at| bound.get(&test.name).is_some_and(|known| known.contains(&at)))
    });
    found
}

#[derive(Default)]
struct Reader {
    found: Tests,
    /// Does the runner look into this file by default?
    collected: bool,
    /// Which of the tests a name may stand for: of two definitions of one name the later one counts, and both if that is
    /// under a condition.
    bound: BTreeMap<String, BTreeSet<usize>>,
    /// Is what is read under a condition?
    conditional: bool,
    /// Functions of this file that are no tests.
    functions: Vec<Function>,
    /// For each test, the fixtures it asks for.
    asks: Vec<Vec<String>>,
    /// Classes of this file: what they hand on to those that are made of them.
    classes: BTreeMap<String, Handed>,
}

/// What a class hands on.
#[derive(Clone, Default)]
struct Handed {
    is_case: bool,
    mark: Mark,
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
                    let handed = self.handed(line.tokens, &lines[decorators.clone()], &lines[at + 1..end]);
                    let mark = handed.mark.clone().worse(file_mark(&lines[at + 1..end]));
                    let mut scope = scope.to_vec();
                    scope.push(name);
                    let is_collected = handed.is_case || collects(name, line.tokens, self.collected);
                    let (had, set_up) = (self.found.all.len(), handed.mark.clone());
                    self.classes.insert(name.to_owned(), handed);
                    let class = Some(Class { collects: is_collected });
                    self.block(&lines[at + 1..end], &scope, &outer.clone().worse(mark), class, depth + 1);
                    if self.found.all.len() == had {
                        self.found.sets_up.push(SetUp::by(name, set_up));
                    }
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

    /// What a class has from those it is made of, and what it adds.
    fn handed(&self, head: &[Token<'_>], decorators: &[Line<'_, '_>], body: &[Line<'_, '_>]) -> Handed {
        let bases = head.iter().skip(2).filter_map(|token| self.classes.get(token.text));
        let inherited = bases.fold(Handed::default(), |all, base| Handed {
            is_case: all.is_case || base.is_case,
            mark: all.mark.worse(base.mark.clone()),
        });
        let mark = decorated(decorators).worse(set_up(body, &OF_CLASS)).worse(inherited.mark);
        Handed { is_case: inherited.is_case || is_case(head), mark }
    }

    /// `del name` and `name = ...` take away what the name stood for.
    fn unbind(&mut self, line: &Line<'_, '_>, scope: &[&str]) {
        if self.conditional {
            return;
        }
        let deleted = line.tokens[0].is("del");
        // `name = slow(name)` keeps what the name stands for.
        let kept = line.tokens.iter().skip(2).any(|t| t.is(line.tokens[0].text));
        if kept && begins(line.tokens, 1, &["="]) {
            let whole = scope.iter().copied().chain([line.tokens[0].text]).collect::<Vec<_>>().join(".");
            let mark = decorated(&[Line { indent: line.indent, tokens: &line.tokens[2..] }]);
            for at in self.bound.get(&whole).into_iter().flatten() {
                self.found.all[*at].mark = std::mem::take(&mut self.found.all[*at].mark).worse(mark.clone());
            }
        }
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
        let body = body(lines);
        let asserts = count_asserts(&body, is_assert);
        let is_fixture = decorators.iter().any(|d| d.tokens.iter().any(|t| t.is("fixture")));
        let is_test = name.starts_with("test") && !is_fixture && class.map_or(self.collected, |c| c.collects);
        if !is_test {
            let of_all = decorators
                .iter()
                .any(|d| (0..d.tokens.len()).any(|at| begins(d.tokens, at, &["autouse", "=", "True"])));
            self.functions.push(Function {
                name: called(decorators).unwrap_or(name).to_owned(),
                line: head[0].line,
                mark: skips(lines, &body),
                calls: calls(&body),
                asks: if is_fixture { asked(head, decorators) } else { Vec::new() },
                is_fixture,
                of_all: scope.is_empty() && (of_all || OF_MODULE.contains(&name)),
            });
            self.found.helpers.push(Helper {
                name: name.to_owned(),
                asserts,
                calls: calls(&body),
                ..Helper::default()
            });
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
        self.asks.push(asked(head, decorators));
        self.found.all.push(Test {
            name: whole,
            leaf: name.to_owned(),
            line: head[0].line,
            mark,
            words: does,
            asserts,
            calls: calls(&body),
            ..Test::default()
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

/// What a function does. It may stand on the line of the `def`.
pub(super) fn body<'a>(lines: &[Line<'_, 'a>]) -> Vec<Token<'a>> {
    let head = lines[0].tokens;
    let params = head.iter().position(|t| t.is("(")).map_or(0, |open| lex::behind(head, open));
    let colon = head.iter().enumerate().skip(params).find(|(_, t)| t.is(":")).map_or(head.len(), |(at, _)| at + 1);
    head[colon.min(head.len())..].iter().chain(lines[1..].iter().flat_map(|l| l.tokens)).copied().collect()
}

/// What is passed over while a module or a class is set up: by a function of one of these names, or by a fixture that
/// nobody has to ask for.
fn set_up(lines: &[Line<'_, '_>], names: &[&str]) -> Mark {
    let Some(indent) = lines.first().map(|l| l.indent) else { return Mark::default() };
    let (mut mark, mut for_all) = (Mark::default(), false);
    for (at, line) in lines.iter().enumerate().filter(|(_, line)| line.indent == indent) {
        let tokens = line.tokens;
        if tokens[0].is("@") {
            for_all |= (0..tokens.len()).any(|at| begins(tokens, at, &["autouse", "=", "True"]));
            continue;
        }
        let skip = usize::from(tokens[0].is("async"));
        let named = tokens.get(skip + 1).is_some_and(|t| names.contains(&t.text));
        if begins(tokens, skip, &["def"]) && (named || for_all) {
            let end = at + 1 + lines[at + 1..].iter().take_while(|l| l.indent > indent).count();
            mark = mark.worse(skips(&lines[at..end], &body(&lines[at..end])));
        }
        for_all = false;
    }
    mark
}

fn is_case(head: &[Token<'_>]) -> bool {
    head.iter().skip(2).any(|t| t.kind == Kind::Word && t.text.ends_with("TestCase"))
}

/// Is a class collected: a `TestCase`, or by its name?
fn collects(name: &str, head: &[Token<'_>], collected: bool) -> bool {
    let has_base = head.get(2).is_some_and(|t| t.is("(")) && !head.get(3).is_some_and(|t| t.is(")"));
    is_case(head) || (collected && (name.starts_with("Test") || (has_base && name.contains("Test"))))
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
pub(super) fn mentions(tokens: &[Token<'_>]) -> bool {
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

/// Skips and returns inside a test.
fn in_body(lines: &[Line<'_, '_>], body: &[Token<'_>]) -> Mark {
    let dead = lines.iter().skip(1).find(|line| is_dead(line));
    let dead = dead.map(|dead| Mark::new(Off::Sometimes, false, dead.tokens[0].line, "if False:"));
    dead.unwrap_or_default().worse(skips(lines, body)).worse(early_return(lines)).worse(swallowed(lines))
}

/// Skips inside a function: at its own level they always hold, deeper under a condition.
fn skips(lines: &[Line<'_, '_>], body: &[Token<'_>]) -> Mark {
    let level = lines.get(1).map(|l| l.indent);
    let mut mark = Mark::default();
    for (at, line) in lines.iter().enumerate() {
        let tokens = match at {
            0 if lines.len() == 1 => body,
            0 => continue,
            _ => line.tokens,
        };
        let skips = (0..tokens.len()).find(|at| {
            let is_called = |words: &[&str]| begins(tokens, *at, words);
            is_called(&["pytest", ".", "skip", "("])
                || is_called(&["pytest", ".", "xfail", "("])
                || is_called(&["self", ".", "skipTest", "("])
                || is_called(&["pytest", ".", "skip", ".", "Exception"])
                || (tokens[*at].is("SkipTest") && tokens[..*at].iter().any(|t| t.is("raise")))
                || is_called(&["importorskip", "("])
        });
        let Some(found) = skips else { continue };
        let hard = (at == 0 || Some(line.indent) == level) && !tokens[0].is("if") && !tokens[found].is("importorskip");
        mark =
            mark.worse(Mark::new(if hard { Off::Always } else { Off::Sometimes }, false, tokens[0].line, text(tokens)));
    }
    mark
}

/// Does a block begin here that never runs?
fn is_dead(line: &Line<'_, '_>) -> bool {
    ["False", "0"].iter().any(|no| begins(line.tokens, 0, &["if", no, ":"]))
}

/// A line as text, one space where there was white space is not needed: it is shown, never compared.
pub(super) fn text(tokens: &[Token<'_>]) -> String {
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
pub(super) fn is_assert(tokens: &[Token<'_>], at: usize) -> bool {
    let token = &tokens[at];
    if token.kind != Kind::Word {
        return false;
    }
    let called = tokens.get(at + 1).is_some_and(|t| t.is("("));
    let of_pytest = at >= 2 && tokens[at - 1].is(".") && ["raises", "warns", "fail"].contains(&token.text);
    token.text == "assert" || (called && (promises(token.text) || of_pytest))
}
