//! Go: `func TestXxx` (and `FuzzXxx`, `ExampleXxx`) in `_test.go` files, what skips them, what a build tag takes out of
//! the build, what checks something. Names follow the rules of `go test`: `Testing` is no test, `TestMain` runs the others.

use super::go_build::{build_tag, name_tag, passed_over};
use super::leaving::{Language, early_return};
use super::lex::{self, Kind, Stretch, Token, behind, quoted, to, to_line_end};
use super::model::{Helper, Mark, Off, SetUp, Test, Tests, calls, count_asserts, promises, words};

/// Methods of a suite that run before its tests.
/// <https://pkg.go.dev/github.com/stretchr/testify/suite>
const SET_UP: [&str; 4] = ["SetupTest", "SetupSuite", "SetupSubTest", "BeforeTest"];
/// What tests that a `TestMain` keeps from counting are called.
const BESIDE: &str = "the tests beside TestMain";

pub(super) fn read(path: &str, source: &str) -> Tests {
    let tokens = lex::tokens(source, stretches);
    let is_test_file = path.ends_with("_test.go") && !passed_over(path);
    let outer = build_tag(source).worse(name_tag(path));
    let mut found = Tests::default();
    let mut at = 0;
    while at < tokens.len() {
        if lex::begins(&tokens, at, &["type"]) && lex::begins(&tokens, at + 2, &["struct"]) {
            found.sets_up.push(SetUp::none(tokens[at + 1].text));
        }
        if !tokens[at].is("func") || tokens[at].column > 0 {
            at += 1;
            continue;
        }
        let method = tokens.get(at + 1).is_some_and(|t| t.is("("));
        let named = if method { behind(&tokens, at + 1) } else { at + 1 };
        let Some(name) = tokens.get(named).filter(|t| t.kind == Kind::Word) else {
            at += 1;
            continue;
        };
        let Some(open) = body(&tokens, named + 1) else { break };
        let end = behind(&tokens, open);
        let inside = &tokens[open + 1..end.saturating_sub(1).max(open + 1)];
        let asserts = count_asserts(inside, is_assert);
        let suite = method.then(|| receiver(&tokens[at + 1..named])).flatten();
        if is_test_file && name.is("TestMain") {
            found.hides.extend(ends_well(inside, name.line).map(|mark| (BESIDE.to_owned(), mark)));
        }
        // A method of a suite (testify) is called by its runner as well.
        if is_test_file && is_test_name(name.text) {
            let mark = outer.clone().worse(in_body(inside));
            found.all.push(Test {
                name: name.text.to_owned(),
                leaf: name.text.to_owned(),
                line: name.line,
                mark,
                words: words(&tokens[named + 1..end]),
                asserts: asserts + usize::from(name.text.starts_with("Example")),
                calls: calls(inside),
                at_once: at_once(inside),
                suite: suite.map(str::to_owned),
            });
        } else {
            let handed = handed_tests(&tokens[named + 1..open]);
            found.helpers.push(Helper {
                name: name.text.to_owned(),
                asserts,
                calls: calls(inside),
                at_once: at_once(inside),
                mark: Some(skips(inside, |owner| owner == "T()" || handed.contains(&owner))),
                sets_up: suite.filter(|_| SET_UP.contains(&name.text)).map(str::to_owned),
            });
        }
        at = end.max(at + 1);
    }
    found
}

/// The `{` of a function whose parameters begin at or behind `from`.
fn body(tokens: &[Token<'_>], from: usize) -> Option<usize> {
    let mut at = from;
    while at < tokens.len() {
        if tokens[at].is("{") {
            // `interface{}` and `struct{}` among the results are types.
            if tokens[at - 1].is("interface") || tokens[at - 1].is("struct") {
                at = behind(tokens, at);
                continue;
            }
            return Some(at);
        }
        at = if tokens[at].is("(") || tokens[at].is("[") { behind(tokens, at) } else { at + 1 };
    }
    None
}

/// The type a method belongs to: the last word of its receiver that is no parameter of that type.
fn receiver<'a>(brackets: &[Token<'a>]) -> Option<&'a str> {
    let end = brackets.iter().position(|t| t.is("[")).unwrap_or(brackets.len());
    brackets[..end].iter().rev().find(|t| t.kind == Kind::Word).map(|t| t.text)
}

/// Names of the parameters that are tests: `t *testing.T`, `tb testing.TB`.
fn handed_tests<'a>(head: &[Token<'a>]) -> Vec<&'a str> {
    let is_test = |at: usize| {
        ["T", "TB", "B", "F"].iter().any(|kind| {
            lex::begins(head, at, &["*", "testing", ".", kind]) || lex::begins(head, at, &["testing", ".", kind])
        })
    };
    let named = (1..head.len()).filter(|at| head[at - 1].kind == Kind::Word && is_test(*at));
    named.map(|at| head[at - 1].text).collect()
}

/// Names that are called whatever happens: in no block. What is called with `go` or a literal is told apart nowhere.
fn at_once(tokens: &[Token<'_>]) -> Vec<String> {
    let mut outside = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if tokens[at].is("{") {
            at = behind(tokens, at);
        } else {
            outside.push(tokens[at]);
            at += 1;
        }
    }
    calls(&outside)
}

fn is_test_name(name: &str) -> bool {
    name != "TestMain"
        && ["Test", "Fuzz", "Example"].iter().any(|prefix| {
            name.strip_prefix(prefix).is_some_and(|rest| !rest.chars().next().is_some_and(char::is_lowercase))
        })
}

/// A `TestMain` that runs nothing, or that says all is well whatever its tests say.
fn ends_well(body: &[Token<'_>], line: u32) -> Option<Mark> {
    // `m.Run()`, or whoever is given `m`: `goleak.VerifyTestMain(m)`.
    let given =
        |at: usize| ["(", ","].iter().any(|b| lex::begins(body, at, &[b, "m"])) && !lex::begins(body, at + 2, &["."]);
    let prints = |at: usize| at >= 2 && body[at - 1].text.starts_with("Print") && body[at - 2].is(".");
    let runs = (0..body.len()).any(|at| lex::begins(body, at, &[".", "Run", "("]) || (given(at) && !prints(at)));
    if !runs {
        return Some(Mark::new(Off::Always, true, line, "TestMain does not run them"));
    }
    let mut at = 0;
    while at < body.len() {
        if lex::begins(body, at, &["os", ".", "Exit", "(", "0", ")"]) {
            return Some(Mark::new(Off::Always, true, body[at].line, "TestMain ends with os.Exit(0)"));
        }
        // One in a block is under a condition: a process that the tests start, most often.
        at = if body[at].is("{") { behind(body, at) } else { at + 1 };
    }
    None
}

/// `t.Skip` and its relatives; at the level of the test itself they always hold.
fn in_body(tokens: &[Token<'_>]) -> Mark {
    let dead = (0..tokens.len()).find(|at| lex::begins(tokens, *at, &["if", "false", "{"]));
    let dead = dead.map(|at| Mark::new(Off::Sometimes, false, tokens[at].line, "if false"));
    dead.unwrap_or_default().worse(skips(tokens, |_| true)).worse(early_return(tokens, &LEAVING))
}

const LEAVING: Language = Language {
    is_assert,
    nested: |tokens, at| {
        let is_literal = tokens[at].is("func") && tokens.get(at + 1).is_some_and(|t| t.is("("));
        is_literal.then(|| body(tokens, at + 1).map(|open| behind(tokens, open))).flatten()
    },
    is_bare: |tokens, at| tokens.get(at + 1).is_none_or(|t| t.line > tokens[at].line || t.is("}") || t.is(";")),
};

/// What stands in front of the dot before `at`; a suite hands out its test with `s.T()`.
fn owner<'a>(tokens: &[Token<'a>], at: usize) -> &'a str {
    let of_suite = at >= 4 && lex::begins(tokens, at - 4, &["T", "(", ")", "."]);
    if of_suite { "T()" } else { tokens[at - 2].text }
}

/// Calls that pass over a test, by the word in front of their dot; in no block they always hold.
fn skips(tokens: &[Token<'_>], is_test: impl Fn(&str) -> bool) -> Mark {
    let (mut depth, mut mark) = (0_usize, Mark::default());
    for (at, token) in tokens.iter().enumerate() {
        match token.text {
            "{" if token.kind == Kind::Mark => depth += 1,
            "}" if token.kind == Kind::Mark => depth = depth.saturating_sub(1),
            "Skip" | "SkipNow" | "Skipf"
                if lex::begins(tokens, at + 1, &["("])
                    && at >= 2
                    && tokens[at - 1].is(".")
                    && is_test(owner(tokens, at)) =>
            {
                let off = if depth == 0 { Off::Always } else { Off::Sometimes };
                let text = format!("{}.{}", owner(tokens, at), token.text);
                mark = mark.worse(Mark::new(off, false, token.line, text));
            }
            _ => {}
        }
    }
    mark
}

/// Does an assertion begin at `at`?
fn is_assert(tokens: &[Token<'_>], at: usize) -> bool {
    let token = &tokens[at];
    if token.kind != Kind::Word {
        return false;
    }
    let called = tokens.get(at + 1).is_some_and(|t| t.is("("));
    let owner = (at >= 2 && tokens[at - 1].is(".")).then(|| tokens[at - 2].text);
    let fails = ["Error", "Errorf", "Fatal", "Fatalf", "Fail", "FailNow"].contains(&token.text);
    let by_package = owner.is_some_and(|o| ["assert", "require", "is", "qt", "c", "s", "suite", "g"].contains(&o));
    (called && fails && owner.is_some_and(|o| o != "err" && o != "fmt" && o != "errors" && o != "log"))
        || (called && by_package && token.text.starts_with(char::is_uppercase) && !token.text.starts_with("Skip"))
        || (called && promises(token.text))
        || (called && token.text == "panic")
}

/// Comments and texts of Go.
fn stretches(source: &str) -> Vec<Stretch> {
    let bytes = source.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let (end, is_text) = if rest.starts_with(b"//") {
            (to_line_end(bytes, at), false)
        } else if rest.starts_with(b"/*") {
            (to(bytes, at + 2, b"*/"), false)
        } else if matches!(bytes[at], b'"' | b'\'') {
            (quoted(bytes, at, false), true)
        } else if bytes[at] == b'`' {
            (to(bytes, at + 1, b"`"), true)
        } else {
            at += 1;
            continue;
        };
        found.push(Stretch { start: at, end, is_text });
        at = end.max(at + 1);
    }
    found
}
