//! Python: fixtures that a test asks for and functions that it calls, of the same file, which pass it over. What passes over
//! tests of other files is told where it stands.

use super::lex::{Kind, Token, begins, behind};
use super::model::{Mark, Off, SetUp, Tests};
use super::python_lex::Line;
use std::collections::BTreeMap;

/// Functions call each other; chains are short.
const MAX_TURNS: usize = 8;

/// A function that is no test.
pub(super) struct Function {
    pub(super) name: String,
    pub(super) line: u32,
    /// How it passes over who calls it.
    pub(super) mark: Mark,
    pub(super) calls: Vec<String>,
    /// The fixtures it asks for.
    pub(super) asks: Vec<String>,
    pub(super) is_fixture: bool,
    /// Does it run for every test of its file?
    pub(super) of_all: bool,
}

/// The name that a fixture is asked for by, if it has another one: `@pytest.fixture(name="cart")`.
pub(super) fn called<'a>(decorators: &[Line<'_, 'a>]) -> Option<&'a str> {
    let fixture = decorators.iter().find(|d| d.tokens.iter().any(|t| t.is("fixture")))?.tokens;
    let at = (0..fixture.len()).find(|at| begins(fixture, *at, &["name", "="]))?;
    fixture.get(at + 2).filter(|t| t.kind == Kind::Text).map(|t| t.text.trim_matches(['"', '\'']))
}

/// The fixtures that a function asks for: its parameters, and those of `usefixtures("cart")`.
pub(super) fn asked(head: &[Token<'_>], decorators: &[Line<'_, '_>]) -> Vec<String> {
    let open = head.iter().position(|t| t.is("(")).unwrap_or(head.len());
    let end = behind(head, open);
    let inside = &head[(open + 1).min(end)..end];
    let is_name = |at: &usize| inside[*at].kind == Kind::Word && (*at == 0 || inside[*at - 1].is(","));
    let names = (0..inside.len()).filter(is_name).map(|at| inside[at].text.to_owned());
    let used = decorators.iter().filter(|d| d.tokens.iter().any(|t| t.is("usefixtures"))).flat_map(|d| d.tokens);
    let used = used.filter(|t| t.kind == Kind::Text).map(|t| t.text.trim_matches(['"', '\'']).to_owned());
    names.chain(used).collect()
}

/// Marks the tests that functions of their file pass over, and says which fixtures may pass over those of other files.
/// `asks`: for each test, the fixtures it asks for.
pub(super) fn through_functions(found: &mut Tests, functions: &[Function], asks: &[Vec<String>]) {
    // Of fixtures and of other functions, by name: how it passes over.
    let mut passing: [BTreeMap<&str, Mark>; 2] = [BTreeMap::new(), BTreeMap::new()];
    for _ in 0..MAX_TURNS {
        let mut more = Vec::new();
        for function in functions {
            let own = function.mark.clone();
            let mark = own.worse(reached(&passing, &function.calls, &function.asks, function.line));
            let known = passing[usize::from(function.is_fixture)].get(function.name.as_str());
            if mark.off > known.map_or(Off::Runs, |mark| mark.off) {
                more.push((function, mark));
            }
        }
        if more.is_empty() {
            break;
        }
        for (function, mark) in more {
            passing[usize::from(function.is_fixture)].insert(&function.name, mark);
        }
    }
    let of_all: Vec<String> = functions.iter().filter(|f| f.of_all).map(|f| f.name.clone()).collect();
    for (test, asks) in found.all.iter_mut().zip(asks) {
        let mark =
            reached(&passing, &test.calls, asks, test.line).worse(reached(&passing, &of_all, &of_all, test.line));
        test.mark = std::mem::take(&mut test.mark).worse(mark);
    }
    if found.all.is_empty() {
        let fixtures = functions.iter().filter(|f| f.is_fixture);
        found.sets_up.extend(fixtures.map(|fixture| {
            let mark = passing[1].get(fixture.name.as_str()).cloned().unwrap_or_default();
            SetUp::by(&fixture.name, mark)
        }));
    }
}

/// What is left by functions that are called, under a condition for all one knows, and by fixtures that are asked for.
fn reached(passing: &[BTreeMap<&str, Mark>; 2], calls: &[String], asks: &[String], line: u32) -> Mark {
    let by_call = calls.iter().filter_map(|name| Some((name, passing[0].get(name.as_str())?, Off::Sometimes)));
    let by_fixture = asks.iter().filter_map(|name| Some((name, passing[1].get(name.as_str())?, Off::Always)));
    by_call.chain(by_fixture).fold(Mark::default(), |mark, (name, one, most)| {
        let why = one.text.rsplit(" does ").next().unwrap_or(&one.text);
        mark.worse(Mark::new(one.off.min(most), false, line, format!("{name} does {why}")))
    })
}
