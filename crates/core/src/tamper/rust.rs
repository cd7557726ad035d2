//! Rust: what is a test, what switches one off, what checks something. Attributes are read as the compiler reads them,
//! by their path; it may never take an attribute in a comment or a text for one. Test attributes of well-known crates
//! count: everything whose path ends in `test` (`#[tokio::test]`), `#[rstest]`, `#[test_case(..)]`, `proptest! { .. }`.

use super::lex::{self, Stretch, Token, behind, is_word, quoted, to, to_line_end};
use super::model::{Helper, Mark, Off, Test, Tests, calls, count_asserts, promises, words};

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
    panics: bool,
    mark: Mark,
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
                self.found.brings.push(name.to_owned());
                if (self.in_tests && !HELPERS.contains(&name))
                    || attributes.is_cfg_test
                    || name == "tests"
                    || name == "test"
                    || name.ends_with("_tests")
                {
                    self.found.declares.push((name.to_owned(), token.line));
                    let mark = outer.clone().worse(attributes.mark.clone());
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
        let asserts = count_asserts(body, is_assert) + usize::from(attributes.panics);
        if !attributes.is_test && !self.tests_by_macro {
            self.found.helpers.push(Helper { name, asserts, calls: calls(body), ..Helper::default() });
            return end;
        }
        let mut mark = outer.clone().worse(attributes.mark.clone());
        if lex::begins(body, 0, &["return", ";"]) {
            mark = mark.worse(Mark::new(Off::Always, false, body[0].line, "return;"));
        }
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
        let path: Vec<&str> =
            body.iter().take_while(|t| t.is(":") || t.kind == lex::Kind::Word).map(|t| t.text).collect();
        let last = path.last().copied().unwrap_or_default();
        self.is_test |= last == "test" || last.ends_with("_test") || TEST_ATTRIBUTES.contains(&last);
        self.is_cfg_test |= last == "cfg" && body.iter().any(|t| t.is("test"));
        self.panics |= last == "should_panic";
        self.mark = std::mem::take(&mut self.mark).worse(mark(body, line));
    }
}

/// What an attribute switches off.
fn mark(body: &[Token<'_>], line: u32) -> Mark {
    let text = || body.iter().map(|t| t.text).collect::<String>();
    let Some(first) = body.first() else { return Mark::default() };
    let condition = || predicates(&body[1..]).first().map_or(Some(true), |predicate| holds(predicate, 0));
    if first.is("ignore") {
        Mark::new(Off::Always, false, line, text())
    } else if first.is("cfg_attr") && body.iter().rposition(|t| t.is("ignore")).is_some_and(|at| body[at - 1].is(",")) {
        let off = match condition() {
            Some(false) => Off::Runs,
            Some(true) => Off::Always,
            None => Off::Sometimes,
        };
        Mark::new(off, false, line, text())
    } else if first.is("cfg") {
        let off = match condition() {
            Some(true) => Off::Runs,
            Some(false) => Off::Always,
            None => Off::Sometimes,
        };
        Mark::new(off, true, line, text())
    } else {
        Mark::default()
    }
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

/// Comments and texts of Rust.
fn stretches(source: &str) -> Vec<Stretch> {
    let bytes = source.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let before_word = at > 0 && is_word(char::from(bytes[at - 1]));
        let (end, is_text) = if rest.starts_with(b"//") {
            (to_line_end(bytes, at), false)
        } else if rest.starts_with(b"/*") {
            (block_comment(bytes, at), false)
        } else if bytes[at] == b'"' {
            (quoted(bytes, at, true), true)
        } else if !before_word && let Some(end) = raw(bytes, at) {
            (end, true)
        } else if !before_word && bytes[at] == b'b' && rest.get(1) == Some(&b'\'') {
            (character(bytes, at + 1).unwrap_or(at + 2), true)
        } else if bytes[at] == b'\''
            && let Some(end) = character(bytes, at)
        {
            (end, true)
        } else {
            at += 1;
            continue;
        };
        found.push(Stretch { start: at, end, is_text });
        at = end;
    }
    found
}

/// Block comments nest.
fn block_comment(bytes: &[u8], start: usize) -> usize {
    let (mut depth, mut at) = (0_usize, start);
    while at < bytes.len() {
        if bytes[at..].starts_with(b"/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if bytes[at..].starts_with(b"*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    bytes.len()
}

/// The end of `r"..."`, `r#"..."#`, with `b` or `c` in front, or of `b"..."`, if one begins here.
fn raw(bytes: &[u8], start: usize) -> Option<usize> {
    let prefixed = matches!(bytes[start], b'b' | b'c');
    let at = start + usize::from(prefixed);
    if prefixed && bytes.get(at) == Some(&b'"') {
        return Some(quoted(bytes, at, true));
    }
    if bytes.get(at) != Some(&b'r') {
        return None;
    }
    let hashes = bytes[at + 1..].iter().take_while(|b| **b == b'#').count();
    let quote = at + 1 + hashes;
    (bytes.get(quote) == Some(&b'"')).then(|| to(bytes, quote + 1, &[&b"\""[..], &vec![b'#'; hashes]].concat()))
}

/// The end of a character literal; a lifetime is none.
fn character(bytes: &[u8], start: usize) -> Option<usize> {
    if bytes.get(start + 1) == Some(&b'\\') {
        let end = bytes.get(start + 3..)?.iter().take(12).position(|b| *b == b'\'')?;
        return Some(start + 3 + end + 1);
    }
    let length = std::str::from_utf8(&bytes[start + 1..(start + 5).min(bytes.len())])
        .map_or_else(|e| std::str::from_utf8(&bytes[start + 1..start + 1 + e.valid_up_to()]), Ok)
        .ok()?
        .chars()
        .next()?
        .len_utf8();
    (bytes.get(start + 1 + length) == Some(&b'\'')).then_some(start + 2 + length)
}
