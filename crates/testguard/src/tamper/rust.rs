//! Rust: what is a test, what switches one off, what checks something. Attributes are read as the compiler reads them,
//! by their path; it may never take an attribute in a comment or a text for one. Test attributes of well-known crates
//! count: everything whose path ends in `test` (`#[tokio::test]`), `#[rstest]`, `#[test_case(..)]`, `proptest! { .. }`.

use super::leaving::{Language, early_return};
use super::lex::{self, Token, behind};
use super::model::{Helper, Mark, Off, Test, Tests, asserts_up_to, calls, count_asserts, promises, words};
use super::rust_lex::stretches;

/// Attributes that make a function a test, besides those whose path ends in `test`.
const TEST_ATTRIBUTES: [&str; 6] = ["rstest", "test_case", "quickcheck", "gtest", "test_matrix", "parameterized"];
/// Deepest nesting of modules and blocks that is followed.
const MAX_DEPTH: usize = 64;

/// Macros around tests that leave them tests: those in them run.
const MACROS: [&str; 4] = ["proptest", "quickcheck", "rusty_fork_test", "cfg_if"];

/// Modules below `tests` that hold no tests, by their usual names.
const HELPERS: [&str; 10] =
    ["common", "helper", "helpers", "util", "utils", "support", "fixture", "fixtures", "testing", "prelude"];

/// `in_tests`: the file is one of tests, and so is every module it declares.
pub(super) fn read(source: &str, in_tests: bool) -> Tests {
    let tokens = lex::tokens(source, stretches);
    let mut reader = Reader { found: Tests::default(), tests_by_macro: false, in_tests };
    reader.found.brings.extend(tokens.iter().filter(|t| t.kind == lex::Kind::Text).filter_map(named_file));
    reader.items(&tokens, &[], &Mark::default(), 0);
    reader.found
}

struct Reader {
    found: Tests,
    /// Inside `quickcheck! { .. }` every function is a test.
    tests_by_macro: bool,
    in_tests: bool,
}

/// The last part of a path to a file of Rust, as in `#[path = "old/a.rs"]`.
fn named_file(text: &Token<'_>) -> Option<String> {
    let name = text.text.trim_matches('"').rsplit('/').next()?;
    name.strip_suffix(".rs").map(|_| name.to_owned())
}

/// Attributes in front of an item.
#[derive(Default)]
struct Attributes {
    first: Option<usize>,
    is_test: bool,
    is_cfg_test: bool,
    /// Does it say by itself what has to come out?
    checks: bool,
    mark: Mark,
    /// What makes it a test in some builds only.
    tests_sometimes: Vec<Mark>,
}

impl Reader {
    fn items(&mut self, tokens: &[Token<'_>], scope: &[&str], outer: &Mark, depth: usize) {
        let mut outer = outer.clone();
        let mut attributes = Attributes::default();
        let mut at = 0;
        while at < tokens.len() {
            let token = &tokens[at];
            let inner = token.is("#") && tokens.get(at + 1).is_some_and(|t| t.is("!"));
            let bracket = at + 1 + usize::from(inner);
            if token.is("#") && tokens.get(bracket).is_some_and(|t| t.is("[")) {
                let end = behind(tokens, bracket);
                let body = &tokens[(bracket + 1).min(end)..end.saturating_sub(1).max(bracket + 1).min(end)];
                if inner {
                    outer = outer.worse(mark(body, token.line));
                } else {
                    attributes.first.get_or_insert(at);
                    attributes.add(body, token.line);
                }
                at = end;
                continue;
            }
            if token.is("fn") && tokens.get(at + 1).is_some_and(|t| t.kind == lex::Kind::Word) {
                at = self.function(tokens, at, scope, &outer, &attributes);
                attributes = Attributes::default();
                continue;
            }
            let named_mod = token.is("mod") && tokens.get(at + 1).is_some_and(|t| t.kind == lex::Kind::Word);
            if named_mod && lex::begins(tokens, at + 2, &[";"]) {
                let name = tokens[at + 1].text;
                let mark = outer.clone().worse(attributes.mark.clone());
                self.found.gates.push((name.to_owned(), mark.clone()));
                if mark.off < Off::Always {
                    self.found.brings.push(name.to_owned());
                }
                if (self.in_tests && !HELPERS.contains(&name))
                    || attributes.is_cfg_test
                    || name == "tests"
                    || name == "test"
                    || name.ends_with("_tests")
                {
                    self.found.declares.push((name.to_owned(), token.line));
                    if mark.off > Off::Runs {
                        self.found.hides.push((name.to_owned(), mark));
                    }
                }
                at += 3;
                attributes = Attributes::default();
                continue;
            }
            if named_mod && lex::begins(tokens, at + 2, &["{"]) && depth < MAX_DEPTH {
                let end = behind(tokens, at + 2);
                let mut scope = scope.to_vec();
                scope.push(tokens[at + 1].text);
                let mark = outer.clone().worse(attributes.mark.clone());
                self.items(&tokens[at + 3..end], &scope, &mark, depth + 1);
                at = end;
                attributes = Attributes::default();
                continue;
            }
            if token.is("{") && depth < MAX_DEPTH {
                let by = at.checked_sub(2).filter(|_| tokens[at - 1].is("!")).map_or("", |name| tokens[name].text);
                let before = self.tests_by_macro;
                self.tests_by_macro |= by == "quickcheck";
                let mut mark = outer.clone().worse(attributes.mark.clone());
                if !by.is_empty() && !MACROS.contains(&by) {
                    mark = mark.worse(Mark::new(Off::Sometimes, true, token.line, format!("{by}! {{ .. }}")));
                }
                let end = behind(tokens, at);
                self.items(&tokens[at + 1..end], scope, &mark, depth + 1);
                self.tests_by_macro = before;
                at = end;
                attributes = Attributes::default();
                continue;
            }
            if token.is(";") || token.is("}") {
                attributes = Attributes::default();
            }
            at += 1;
        }
    }

    /// Takes one function in and says where it ends.
    fn function(
        &mut self,
        tokens: &[Token<'_>],
        at: usize,
        scope: &[&str],
        outer: &Mark,
        attributes: &Attributes,
    ) -> usize {
        let mut open = at + 2;
        while open < tokens.len() && !tokens[open].is("{") && !tokens[open].is(";") {
            open = if tokens[open].is("(") || tokens[open].is("[") { behind(tokens, open) } else { open + 1 };
        }
        if open >= tokens.len() || tokens[open].is(";") {
            return (open + 1).min(tokens.len());
        }
        let end = behind(tokens, open);
        let body = &tokens[open + 1..end.saturating_sub(1).max(open + 1)];
        let name = tokens[at + 1].text.to_owned();
        let asserts = count_asserts(body, is_assert) + usize::from(attributes.checks);
        let sometimes = &attributes.tests_sometimes;
        if !attributes.is_test && !self.tests_by_macro && sometimes.is_empty() {
            self.found.helpers.push(Helper { name, asserts, calls: calls(body), ..Helper::default() });
            return end;
        }
        let mut mark = outer.clone().worse(attributes.mark.clone());
        // Two of them are one for each build, as `tokio::test` with a feature and `test` without it.
        if let [only] = sometimes.as_slice()
            && !attributes.is_test
        {
            mark = mark.worse(only.clone());
        }
        mark = mark.worse(early_return(body, &LEAVING)).worse(unwound(body));
        if let Some(dead) = (0..body.len()).find(|at| lex::begins(body, *at, &["if", "false", "{"])) {
            mark = mark.worse(Mark::new(Off::Sometimes, false, body[dead].line, "if false"));
        }
        // The name is no part of what a test does: renamed, it is the same test.
        let mut does = words(&tokens[attributes.first.unwrap_or(at)..at]);
        does.extend(words(&tokens[at + 2..end]));
        // A property that gives back a boolean is checked by who calls it.
        let asserts = asserts + usize::from(self.tests_by_macro);
        self.found.all.push(Test {
            name: scope.iter().copied().chain([name.as_str()]).collect::<Vec<_>>().join("::"),
            leaf: name,
            line: tokens[at].line,
            mark,
            words: does,
            asserts,
            calls: calls(body),
            ..Test::default()
        });
        end
    }
}

impl Attributes {
    fn add(&mut self, body: &[Token<'_>], line: u32) {
        self.mark = std::mem::take(&mut self.mark).worse(mark(body, line));
        self.is(body, line, Some(true), 0);
    }

    /// What an attribute makes of a function, if it is one: always, or in some builds.
    fn is(&mut self, body: &[Token<'_>], line: u32, always: Option<bool>, depth: usize) {
        if body.first().is_some_and(|t| t.is("cfg_attr")) && depth < MAX_DEPTH {
            let (holds, inner) = under(body);
            let always = if holds == Some(true) { always } else { holds };
            for attribute in inner.into_iter().filter(|_| always != Some(false)) {
                self.is(attribute, line, always, depth + 1);
            }
            return;
        }
        let path: Vec<&str> =
            body.iter().take_while(|t| t.is(":") || t.kind == lex::Kind::Word).map(|t| t.text).collect();
        let last = path.last().copied().unwrap_or_default();
        let is_test = last == "test" || last.ends_with("_test") || TEST_ATTRIBUTES.contains(&last);
        self.is_test |= is_test && always == Some(true);
        if is_test && always.is_none() {
            let text = format!("{last} under a condition");
            self.tests_sometimes.push(Mark::new(Off::Sometimes, true, line, text));
        }
        // `cfg(not(test))` is about everything else.
        let is_of_test = |at: usize| body[at].is("test") && !(at >= 2 && lex::begins(body, at - 2, &["not", "("]));
        self.is_cfg_test |= last == "cfg" && (0..body.len()).any(is_of_test);
        // `#[test_case(1, 2 => 3)]`
        let of_case = last == "test_case" && (0..body.len()).any(|at| lex::begins(body, at, &["=", ">"]));
        if last == "should_panic" && always == Some(true) && any_panic(body) {
            self.mark = std::mem::take(&mut self.mark).worse(Mark::new(Off::Sometimes, false, line, "should_panic"));
        }
        self.checks |= last == "should_panic" || of_case;
    }
}

/// Does `#[should_panic]` take any panic for the right one, that of a failed assertion among them?
fn any_panic(body: &[Token<'_>]) -> bool {
    let expected = body.iter().find(|t| t.kind == lex::Kind::Text).map(|t| t.text.trim_matches('"'));
    expected.is_none_or(|text| text.is_empty() || text.starts_with("assert") || "`left == right` failed".contains(text))
}

/// What an attribute switches off.
fn mark(body: &[Token<'_>], line: u32) -> Mark {
    let (off, unseen) = switches_off(body, 0);
    Mark::new(off, unseen, line, body.iter().map(|t| t.text).collect::<String>())
}

/// How far an attribute switches off, and whether the test is not even built.
fn switches_off(body: &[Token<'_>], depth: usize) -> (Off, bool) {
    let Some(first) = body.first() else { return (Off::Runs, false) };
    if first.is("ignore") {
        return (Off::Always, false);
    }
    if first.is("cfg") {
        let off = match under(body).0 {
            Some(true) => Off::Runs,
            Some(false) => Off::Always,
            None => Off::Sometimes,
        };
        return (off, true);
    }
    if !first.is("cfg_attr") || depth >= MAX_DEPTH {
        return (Off::Runs, false);
    }
    let (holds, inner) = under(body);
    let all = inner.into_iter().map(|attribute| switches_off(attribute, depth + 1));
    let (off, unseen) = all.fold((Off::Runs, false), |worst, one| if one.0 > worst.0 { one } else { worst });
    let most = match holds {
        Some(true) => Off::Always,
        Some(false) => Off::Runs,
        None => Off::Sometimes,
    };
    (off.min(most), unseen)
}

/// Does the condition in the brackets of an attribute hold, and what stands behind it there?
fn under<'t, 'a>(body: &'t [Token<'a>]) -> (Option<bool>, Vec<&'t [Token<'a>]>) {
    let mut inside = predicates(&body[1..]).into_iter();
    let holds = inside.next().map_or(Some(true), |predicate| holds(predicate, 0));
    (holds, inside.collect())
}

/// What stands between the commas of the brackets that `tokens` begin with.
fn predicates<'t, 'a>(tokens: &'t [Token<'a>]) -> Vec<&'t [Token<'a>]> {
    if !tokens.first().is_some_and(|t| t.is("(")) {
        return Vec::new();
    }
    let end = behind(tokens, 0);
    let inside = &tokens[1..end.saturating_sub(1).max(1)];
    let (mut found, mut start, mut at) = (Vec::new(), 0, 0);
    while at < inside.len() {
        if inside[at].is(",") {
            found.push(&inside[start..at]);
            start = at + 1;
        }
        at = if inside[at].is("(") { behind(inside, at) } else { at + 1 };
    }
    if start < inside.len() {
        found.push(&inside[start..]);
    }
    found
}

/// Does a condition hold where orch runs tests, which is on Linux? `None`: that is asked for, or not. A test passed over
/// under Miri, or on another system, is no loss.
/// <https://doc.rust-lang.org/reference/conditional-compilation.html>
fn holds(predicate: &[Token<'_>], depth: usize) -> Option<bool> {
    let first = predicate.first()?;
    let all = || -> Vec<Option<bool>> {
        let inner = predicates(&predicate[1..]);
        inner.iter().map(|p| if depth < MAX_DEPTH { holds(p, depth + 1) } else { None }).collect()
    };
    match (first.text, predicate.len()) {
        ("test" | "unix" | "true", 1) => Some(true),
        ("miri" | "windows" | "false" | "FALSE", 1) => Some(false),
        ("target_os" | "target_family", 3) => Some(["\"linux\"", "\"unix\""].contains(&predicate[2].text)),
        ("not", _) => all().first().copied().flatten().map(|holds| !holds),
        ("all", _) => {
            let all = all();
            if all.contains(&Some(false)) { Some(false) } else { (!all.contains(&None)).then_some(true) }
        }
        ("any", _) => {
            let all = all();
            if all.contains(&Some(true)) { Some(true) } else { (!all.contains(&None)).then_some(false) }
        }
        _ => None,
    }
}

const LEAVING: Language = Language { is_assert, nested, is_bare };

/// The end of a function or closure that begins here.
fn nested(body: &[Token<'_>], at: usize) -> Option<usize> {
    if body[at].is("fn") && body.get(at + 1).is_some_and(|t| t.kind == lex::Kind::Word) {
        let open = (at..body.len()).find(|n| body[*n].is("{") || body[*n].is(";"))?;
        return Some(behind(body, open));
    }
    let of_closure = at > 0 && ["|", "async", "move"].iter().any(|word| body[at - 1].is(word));
    (body[at].is("{") && of_closure).then(|| behind(body, at))
}

/// `return;`, `return }`, `return ();`, `return Ok(());`
fn is_bare(body: &[Token<'_>], at: usize) -> bool {
    let values: [&[&str]; 3] = [&["Ok", "(", "(", ")", ")"], &["(", ")"], &[]];
    values.iter().any(|value| {
        let end = body.get(at + 1 + value.len());
        lex::begins(body, at + 1, value) && end.is_none_or(|t| [";", "}", ","].iter().any(|end| t.is(end)))
    })
}

/// A check whose failure is caught and dropped: `let _ = catch_unwind(|| assert!(..));`.
fn unwound(body: &[Token<'_>]) -> Mark {
    if !body.iter().any(|t| t.is("catch_unwind")) {
        return Mark::default();
    }
    let up_to = asserts_up_to(body, is_assert);
    let dropped = |at: &usize| {
        if !lex::begins(body, *at, &["catch_unwind", "("]) {
            return false;
        }
        let end = behind(body, *at + 1);
        let mut first = *at;
        while first >= 3 && body[first - 1].is(":") && body[first - 3].kind == lex::Kind::Word {
            first -= 3;
        }
        let alone = first == 0 || [";", "{", "}"].iter().any(|end| body[first - 1].is(end));
        let unused = first >= 3 && body[first - 1].is("=") && body[first - 2].text.starts_with('_');
        let unused = unused || (first >= 2 && lex::begins(body, first - 2, &["drop", "("]));
        let ends = [&[";"][..], &["}"], &[".", "ok", "(", ")", ";"], &[")", ";"]];
        (alone || unused)
            && (end == body.len() || ends.iter().any(|ends| lex::begins(body, end, ends)))
            && up_to[end] > up_to[*at + 2]
    };
    let at = (0..body.len()).find(dropped);
    at.map(|at| Mark::new(Off::Sometimes, false, body[at].line, "catch_unwind")).unwrap_or_default()
}

/// Does an assertion begin at `at`?
fn is_assert(tokens: &[Token<'_>], at: usize) -> bool {
    let token = &tokens[at];
    if token.kind != lex::Kind::Word {
        return false;
    }
    let by_macro = tokens.get(at + 1).is_some_and(|t| t.is("!"))
        && tokens.get(at + 2).is_some_and(|t| t.is("(") || t.is("[") || t.is("{"));
    let called = tokens.get(at + 1).is_some_and(|t| t.is("("));
    let panics = ["panic", "unreachable"].contains(&token.text);
    // `Option::expect` and `unwrap` make a test fail as well, but a test that only runs something checks nothing of it.
    (by_macro && (promises(token.text) || token.text.contains("assert") || panics))
        || (called && token.text != "expect" && (promises(token.text) || token.text == "unwrap_err"))
}
