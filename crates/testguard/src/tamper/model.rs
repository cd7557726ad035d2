//! What every language is turned into: the tests of one file, how loudly each of them is switched off, and which helpers
//! check something. It decides nothing; comparing is done once, for all languages.

use super::lex::{Kind as TokenKind, Token, behind};

/// How far a test is switched off. More is worse.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Off {
    /// It runs.
    #[default]
    Runs,
    /// It is passed over under a condition, or may fail.
    Sometimes,
    /// It never counts.
    Always,
}

/// Why a test does not run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) off: Off,
    /// Is the test not even looked at (a build tag, `.only` elsewhere), rather than skipped by name?
    pub(super) unseen: bool,
    /// Line of the mark.
    pub(super) line: u32,
    /// The mark as written.
    pub(super) text: String,
}

impl Mark {
    pub(super) fn new(off: Off, unseen: bool, line: u32, text: impl Into<String>) -> Self {
        Self { off, unseen, line, text: text.into() }
    }
    /// The worse of two; of equal ones the first.
    pub(super) fn worse(self, other: Self) -> Self {
        if other.off > self.off { other } else { self }
    }
}

/// One test.
#[derive(Clone, Debug, Default)]
pub(super) struct Test {
    /// With the scopes it stands in: `tests::adds`, `TestCart.test_total`, `cart > sums`.
    pub(super) name: String,
    /// The last part of the name.
    pub(super) leaf: String,
    pub(super) line: u32,
    pub(super) mark: Mark,
    /// What it does, token by token, decorations included.
    pub(super) words: Vec<String>,
    /// Assertions in it.
    pub(super) asserts: usize,
    /// Names it calls.
    pub(super) calls: Vec<String>,
    /// Those of them that it calls whatever happens, where that is known.
    pub(super) at_once: Vec<String>,
    /// The suite it is a method of, if that is set up by methods of its own.
    pub(super) suite: Option<String>,
}

/// One file.
#[derive(Clone, Debug, Default)]
pub(super) struct Tests {
    pub(super) all: Vec<Test>,
    /// Functions that are no tests, with their assertions and what they call.
    pub(super) helpers: Vec<Helper>,
    /// Other things that take tests out of the run, by name: an ignored path, a module that is no longer declared.
    pub(super) hides: Vec<(String, Mark)>,
    /// Test modules that are declared here and live in files of their own.
    pub(super) declares: Vec<(String, u32)>,
    /// Modules that are declared here and live in files of their own, and in which builds they are there.
    pub(super) gates: Vec<(String, Mark)>,
    /// What brings other files into the build: names of modules that live in files of their own, and names of files.
    pub(super) brings: Vec<String>,
    /// What may set up tests that stand in other files.
    pub(super) sets_up: Vec<SetUp>,
}

/// Something that runs before tests of other files, and may pass them over.
#[derive(Clone, Debug)]
pub(super) struct SetUp {
    /// Whose tests these are, in words.
    pub(super) name: String,
    pub(super) mark: Mark,
    /// Does a new one reach tests that were there before it?
    pub(super) rules_old_tests: bool,
}

impl SetUp {
    /// That of a type or function which passes nothing over so far.
    pub(super) fn none(of: &str) -> Self {
        Self::by(of, Mark::default())
    }
    /// That of a type or function.
    pub(super) fn by(of: &str, mark: Mark) -> Self {
        Self { name: format!("the tests that `{of}` sets up"), mark, rules_old_tests: false }
    }
}

/// A function that is no test.
#[derive(Clone, Debug, Default)]
pub(super) struct Helper {
    pub(super) name: String,
    pub(super) asserts: usize,
    pub(super) calls: Vec<String>,
    /// Those of them that it calls whatever happens, where that is known.
    pub(super) at_once: Vec<String>,
    /// How it passes over the test that calls it, in a language where helpers are handed the test.
    pub(super) mark: Option<Mark>,
    /// The suite whose tests it sets up.
    pub(super) sets_up: Option<String>,
}

/// Tokens as words for comparing.
pub(super) fn words(tokens: &[Token<'_>]) -> Vec<String> {
    tokens.iter().filter(|t| !matches!(t.text, "," | ";")).map(|t| t.text.to_owned()).collect()
}

/// Names that are called: a word before `(`, or before `!` and a bracket.
pub(super) fn calls(tokens: &[Token<'_>]) -> Vec<String> {
    tokens
        .iter()
        .enumerate()
        .filter(|(at, token)| {
            let next = |n: usize| tokens.get(at + n);
            token.kind == TokenKind::Word
                && (next(1).is_some_and(|t| t.is("("))
                    || (next(1).is_some_and(|t| t.is("!"))
                        && next(2).is_some_and(|t| t.is("(") || t.is("[") || t.is("{"))))
        })
        .map(|(_, token)| token.text.to_owned())
        .collect()
}

/// Does a name promise to check something?
pub(super) fn promises(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let bare = name.trim_start_matches('_');
    ["assert", "expect", "check", "verify", "should", "must", "ensure", "require", "validate"]
        .iter()
        .any(|word| bare.starts_with(word))
        || ["_assert", "_should", "_matches", "_eq"].iter().any(|part| bare.contains(part))
}

/// How many assertions there are, without those that check a constant.
pub(super) fn count_asserts(tokens: &[Token<'_>], is_assert: impl Fn(&[Token<'_>], usize) -> bool) -> usize {
    (0..tokens.len()).filter(|at| checks_something(tokens, *at, &is_assert)).count()
}

/// How many such assertions there are in front of each token, and in all: what is in a stretch is then known at once.
pub(super) fn asserts_up_to(tokens: &[Token<'_>], is_assert: impl Fn(&[Token<'_>], usize) -> bool) -> Vec<usize> {
    let mut up_to = vec![0_usize];
    for at in 0..tokens.len() {
        up_to.push(up_to[at] + usize::from(checks_something(tokens, at, &is_assert)));
    }
    up_to
}

/// Does an assertion begin at `at` that does not check a constant?
pub(super) fn checks_something(
    tokens: &[Token<'_>],
    at: usize,
    is_assert: impl Fn(&[Token<'_>], usize) -> bool,
) -> bool {
    is_assert(tokens, at) && !is_constant(tokens, at)
}

/// Who hands out assertions as methods, and nothing else: what they are given is all they look at.
const LIBRARIES: [&str; 16] = [
    "self", "cls", "this", "assert", "require", "chai", "expect", "should", "t", "st", "tt", "is", "qt", "c", "s",
    "suite",
];
/// What stands between `expect(..)` and what it is compared with.
const LINKS: [&str; 10] = ["to", "be", "been", "is", "that", "and", "have", "has", "not", "deep"];
/// Names of functions that check the one argument they are given, in small letters without `_`.
const OF_ONE: [&str; 9] =
    ["assert", "expect", "asserttrue", "assertthat", "assertfalse", "ok", "ensure", "debugassert", "propassert"];
/// So many tokens are searched for the beginning of a chain of calls.
const MAX_CHAIN: usize = 200;

/// Does the assertion at `at` look at nothing: `assert!(true)`, `assert True`, `expect(1).toBe(1)`?
fn is_constant(tokens: &[Token<'_>], at: usize) -> bool {
    match owner(tokens, at) {
        Owner::None if names_another_check(tokens, at) => false,
        Owner::None | Owner::Library => looks_at_nothing(tokens, at),
        Owner::Chain(head) => tokens[head].is("expect") && looks_at_nothing(tokens, head),
        Owner::Other => false,
    }
}

/// Whose method an assertion is.
enum Owner {
    None,
    Library,
    /// A link in a chain that begins there.
    Chain(usize),
    /// Something that looks at itself: `hook.assert_called_once_with(3)`, `request(app).get("/").expect(200)`.
    Other,
}

fn owner(tokens: &[Token<'_>], at: usize) -> Owner {
    if at < 2 || !tokens[at - 1].is(".") {
        return Owner::None;
    }
    let named = &tokens[at - 2];
    let of_another = at >= 4 && tokens[at - 3].is(".") && !tokens[at - 4].is("chai");
    if named.kind == TokenKind::Word && !LINKS.contains(&named.text) || (named.is("is") && !of_another) {
        return if LIBRARIES.contains(&named.text) && !of_another { Owner::Library } else { Owner::Other };
    }
    // Back to the word that the chain begins with.
    let (mut depth, mut from) = (0_usize, at - 1);
    for _ in 0..MAX_CHAIN {
        let Some(before) = from.checked_sub(1).map(|n| &tokens[n]) else { break };
        match before.text {
            ")" | "]" | "}" if before.kind == TokenKind::Mark => depth += 1,
            "(" | "[" | "{" if before.kind == TokenKind::Mark && depth > 0 => depth -= 1,
            _ if depth > 0 => {}
            "." if before.kind == TokenKind::Mark => {}
            // Two words in a row are two expressions: `return expect(..)`.
            _ if before.kind == TokenKind::Word && tokens[from].kind != TokenKind::Word => {}
            _ => return if tokens[from].kind == TokenKind::Word { Owner::Chain(from) } else { Owner::Other },
        }
        from -= 1;
    }
    if from == 0 && depth == 0 { Owner::Chain(0) } else { Owner::Other }
}

/// Is this a function whose name promises more than to look at its one argument: `check_total(3)`?
fn names_another_check(tokens: &[Token<'_>], at: usize) -> bool {
    let end = behind(tokens, at + 1).saturating_sub(1);
    let called = tokens.get(at + 1).is_some_and(|t| t.is("("));
    let one = called && !tokens[at + 2..end.max(at + 2)].iter().any(|t| t.is(","));
    let name: String = tokens[at].text.to_ascii_lowercase().replace('_', "");
    one && !OF_ONE.contains(&name.as_str())
}

/// Is all that the assertion at `at` is given a constant?
fn looks_at_nothing(tokens: &[Token<'_>], at: usize) -> bool {
    let mut first = at + 1;
    while tokens.get(first).is_some_and(|t| t.is("(") || t.is("!") || t.is(".") || t.is("ok") || t.is("equal")) {
        first += 1;
    }
    let Some(token) = tokens.get(first) else { return false };
    // In a bracket an expression goes on over lines.
    let in_bracket = tokens[at + 1..first].iter().any(|t| t.is("("));
    let ends = |t: &Token<'_>| matches!(t.text, ")" | "," | ";" | "=") || (t.line > token.line && !in_bracket);
    let is_bare = tokens.get(first + 1).is_none_or(ends);
    let literal = token.kind == TokenKind::Number || ["true", "True"].contains(&token.text);
    if !is_bare || !literal {
        return false;
    }
    // `assert_eq!(4, sum)` looks at something; `assert_eq!(4, 4)` does not.
    match tokens.get(first + 1) {
        Some(t) if t.is(",") || t.is("=") => {
            let other = tokens[first + 1..].iter().find(|t| !matches!(t.text, "," | "="));
            other.is_none_or(|t| t.kind == TokenKind::Number || t.kind == TokenKind::Text || t.text == token.text)
        }
        Some(t) if t.is(")") && tokens.get(first + 2).is_some_and(|t| t.is(".")) => {
            // `expect(true).toBe(true)`: what it is compared with must be a constant as well.
            let open = (first + 3..tokens.len()).find(|i| tokens[*i].is("("));
            let other = open.and_then(|i| tokens.get(i + 1));
            other.is_none_or(|t| t.kind == TokenKind::Number || t.is(")") || t.text == token.text)
        }
        _ => true,
    }
}
