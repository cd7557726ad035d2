//! What failed, out of what a test command printed. A runner names each failed test on a line of its own; those lines are
//! taken out, because a developer who is given the end of a long log may not see one of them. It decides nothing: what it
//! does not know is in the log, which is carried too.

use crate::statement;
use orch_core::verdict::Finding;
use std::collections::HashSet;

/// Most tests that are named one by one.
const MOST: usize = 50;
/// Longest line that is taken for one that names a test, in characters.
const LONGEST: usize = 500;

/// The findings of a command that failed: every test it names, then what it printed, both ends of it. `what` is the
/// command and how it ended.
pub fn findings(what: &str, output: &str) -> Vec<Finding> {
    let (named, more) = tests(output);
    let mut all: Vec<Finding> = named.iter().map(|name| Finding::must_fix(format!("failed: {name}"))).collect();
    let mut log = statement::both_ends(&format!("{what}\n{}", plain(output)));
    if 0 < more {
        log = format!("{more} more tests failed than are listed\n{log}");
    }
    all.push(Finding::must_fix(log));
    all
}

/// The same as one text, for places that hold no list; `tests` finds the same names in it.
pub fn text(what: &str, output: &str) -> String {
    let (named, more) = tests(output);
    let log = statement::both_ends(&plain(output));
    // What the log still shows need not be said twice.
    let shown: HashSet<String> = tests_of(&log).into_iter().collect();
    let mut lost: Vec<String> = named.into_iter().filter(|name| !shown.contains(name)).collect();
    if 0 < more {
        lost.push(format!("{more} more tests failed than are listed"));
    }
    [vec![what.to_owned()], lost, vec![log]].concat().join("\n")
}

/// The last of the failed tests, because most runners name them all at the end, and how many more there are.
fn tests(output: &str) -> (Vec<String>, usize) {
    let mut all = tests_of(&plain(output));
    let more = all.len().saturating_sub(MOST);
    (all.split_off(more), more)
}

/// Every line that names a failed test, once.
pub(crate) fn tests_of(text: &str) -> Vec<String> {
    let mut seen = HashSet::new();
    let lines = text.lines().map(str::trim);
    let lines = lines.filter(|line| line.chars().count() <= LONGEST && names_a_failure(line));
    lines.filter(|line| seen.insert(*line)).map(str::to_owned).collect()
}

/// Does this line, without the space around it, name a test that failed? The forms are those of the runners themselves.
fn names_a_failure(line: &str) -> bool {
    let rest = |prefix: &str| line.strip_prefix(prefix).map(str::trim).filter(|rest| !rest.is_empty());
    let begins = |prefixes: &[&str]| prefixes.iter().any(|p| rest(p).is_some());
    let word = |text: &str| text.split_whitespace().next().unwrap_or_default().to_owned();
    let is_script = |text: &str| [".js", ".ts", ".jsx", ".tsx", ".mjs", ".cjs"].iter().any(|e| text.contains(e));
    // libtest: `test cart::total ... FAILED`, with a time behind it on demand; deno writes the same without `test`.
    let libtest = || line.contains(" ... FAILED") && (rest("test ").is_some() || line.ends_with(')'));
    // nextest: `FAIL [   0.004s] shop cart::total`, `TRY 1 FAIL [...`, `TIMEOUT [ 60.000s] ...`.
    let nextest = || {
        let ended = ["FAIL [", "TIMEOUT [", "SIGSEGV [", "SIGABRT ["].iter().any(|p| line.contains(p));
        ended && line.contains("s] ") && line.starts_with(|c: char| c.is_ascii_uppercase())
    };
    // pytest: `FAILED tests/test_cart.py::test_total - assert 3 == 4`, `ERROR tests/test_cart.py - ImportError`.
    let pytest = || {
        let named = rest("FAILED ").or_else(|| line.strip_prefix("ERROR ").filter(|r| !r.starts_with(' ')));
        named.map(word).is_some_and(|path| path.contains(".py::") || path.rsplit('.').next() == Some("py"))
    };
    // unittest: `FAIL: test_total (cart.Total)`, `ERROR: test_total (cart.Total)`.
    let unittest = || {
        let named =
            rest("FAIL: ").or_else(|| rest("ERROR: ").filter(|r| r.starts_with("test") || r.starts_with("setUp")));
        named.is_some_and(|named| named.split_whitespace().nth(1).is_some_and(|second| second.starts_with('(')))
    };
    // go: `--- FAIL: TestTotal (0.00s)`, gotestsum `=== FAIL: cart TestTotal`, `FAIL	example.com/cart [build failed]`.
    let go = || begins(&["--- FAIL: ", "=== FAIL: ", "FAIL\t"]);
    // jest: `● Cart › adds up`, `FAIL src/cart.test.ts`; vitest: `× adds up 3ms`; bun: `(fail) adds up`; node: `✖ adds up (1ms)`.
    let script = || {
        let summary = ["✖ failing tests:", "● Console", "● Validation"].iter().any(|s| line.starts_with(s));
        let lint = line.contains(" problems (") || line.contains(" problem (");
        begins(&["● ", "× ", "✗ ", "✘ ", "✖ ", "(fail) "]) && !summary && !lint || rest("FAIL ").is_some_and(is_script)
    };
    // TAP, also of bats: `not ok 3 - adds up`.
    let tap = || begins(&["not ok "]) && !line.contains("# TODO") && !line.contains("# SKIP");
    // gradle `CartTest > addsUp() FAILED`; ctest `3 - adds_up (Failed)`; googletest `[  FAILED  ] Cart.AddsUp (0 ms)`; dotnet
    // `Failed Cart.AddsUp [12 ms]`; scalatest `- adds up *** FAILED ***`; rspec `rspec ./cart_spec.rb:12 # Cart adds up`.
    let others = || {
        line.contains(" > ") && line.ends_with(" FAILED")
            || line.ends_with("(Failed)")
            || line.ends_with("(Timeout)")
            || rest("[  FAILED  ] ").is_some_and(|named| word(named).contains('.'))
            || rest("Failed ").is_some_and(|named| named.ends_with(" ms]") || named.ends_with(" s]"))
            || line.ends_with("*** FAILED ***")
            || rest("rspec ./").is_some()
            || line.starts_with("Test Case ") && line.contains("' failed (")
    };
    // surefire: `[ERROR]   CartTest.addsUp:12 expected:<3> but was:<4>`.
    let surefire = || {
        let named = line.strip_prefix("[ERROR]").filter(|rest| rest.starts_with("   ")).map(word);
        named.is_some_and(|named| {
            let (test, at) = named.rsplit_once(':').unwrap_or_default();
            test.contains('.') && !at.is_empty() && at.bytes().all(|b| b.is_ascii_digit())
        })
    };
    libtest() || nextest() || pytest() || unittest() || go() || script() || tap() || others() || surefire()
}

/// Without colours and what else terminals are told; a line ends where a terminal would show it end.
pub(crate) fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' => match chars.next() {
                Some('[') => {
                    // To the letter that ends the sequence.
                    while chars.next().is_some_and(|c| !('\u{40}'..='\u{7e}').contains(&c)) {}
                }
                Some(']') => {
                    while chars.next().is_some_and(|c| c != '\u{7}' && c != '\u{1b}') {}
                    let _ = chars.next_if_eq(&'\\');
                }
                // Which letters it shows: one more character.
                Some('(' | ')' | '*' | '+' | '#' | '%') => {
                    chars.next();
                }
                _ => {}
            },
            '\r' if chars.peek() != Some(&'\n') => out.push('\n'),
            '\r' => {}
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(output: &str) -> Vec<String> {
        tests(output).0
    }

    #[test]
    fn the_failed_tests_of_each_runner_are_named() {
        for line in [
            "test cart::total ... FAILED",
            "FAIL [   0.004s] shop cart::total",
            "FAILED tests/test_cart.py::test_total - assert 3 == 4",
            "ERROR tests/test_cart.py - ImportError: no module",
            "FAIL: test_total (cart.Total.test_total)",
            "--- FAIL: TestTotal/empty (0.00s)",
            "FAIL\texample.com/cart [build failed]",
            "● Cart › adds up",
            "FAIL src/cart.test.ts > Cart > adds up",
            "× adds up 3ms",
            "✖ adds up (1.2ms)",
            "not ok 3 - adds up",
            "CartTest > addsUp() FAILED",
            "3 - adds_up (Failed)",
            "[ERROR]   CartTest.addsUp:12 expected:<3> but was:<4>",
            "test cart::total ... FAILED <0.003s>",
            "adds up ... FAILED (3ms)",
            "TRY 1 FAIL [   0.004s] shop cart::total",
            "=== FAIL: cart TestTotal (0.00s)",
            "(fail) Cart > adds up [1.00ms]",
            "[  FAILED  ] Cart.AddsUp (0 ms)",
            "Failed Cart.AddsUp [12 ms]",
            "- adds up *** FAILED ***",
            "rspec ./spec/cart_spec.rb:12 # Cart adds up",
        ] {
            let output = format!("starting\n\u{1b}[31m    {line}\u{1b}[0m\r\ndone\n    {line}\n");
            assert_eq!(named(&output), [line], "{line:?}");
        }
        for line in [
            "test cart::total ... ok",
            "PASSED tests/test_cart.py::test_total",
            "ERROR: linking failed",
            "--- PASS: TestTotal (0.00s)",
            "FAIL",
            "FAILED",
            "ok 3 - adds up",
            "not ok 3 - adds up # TODO later",
            "test result: FAILED. 3 passed; 1 failed",
            "[ERROR] Failed to execute goal",
            "staging: FAILED",
            "✖ failing tests:",
            "ERROR    app.cart:cart.py:33 the cart is empty",
            "ERROR: Could not find a version that satisfies the requirement x (from versions: none)",
            "[ERROR]   symbol:   class Foo",
            "[ERROR]   location: package com.example",
            "✖ 12 problems (3 errors, 9 warnings)",
            "● Console",
            "[  FAILED  ] 2 tests, listed below:",
        ] {
            assert_eq!(named(line), Vec::<String>::new(), "{line:?}");
        }
    }

    /// The first of many failures scrolls out of sight; its name does not.
    #[test]
    fn a_test_that_failed_far_above_the_end_of_a_log_is_in_the_brief() {
        let log = format!("test first ... FAILED\n{}test last ... FAILED\n", "a long line of the log\n".repeat(3_000));
        let all = findings("`make test`: exit 1", &log);
        let texts: Vec<&str> = all.iter().map(|f| f.text.as_str()).collect();
        assert_eq!(&texts[..2], ["failed: test first ... FAILED", "failed: test last ... FAILED"]);
        assert!(texts.len() == 3 && texts[2].starts_with("`make test`: exit 1\ntest first") && texts[2].len() < 25_000);
        // As one text it is the same, with nothing said twice.
        let middle = format!("{}test mid ... FAILED\n{0}", "a long line of the log\n".repeat(3_000));
        let said = text("`make ci`: exit 1", &middle);
        assert!(said.starts_with("`make ci`: exit 1\ntest mid ... FAILED\n") && said.len() < 25_000);
        assert_eq!(named(&said), ["test mid ... FAILED"]);
        assert_eq!(text("x", "test mid ... FAILED\n").matches("mid").count(), 1);
    }

    #[test]
    fn of_very_many_failures_the_rest_is_counted() {
        let lines: Vec<String> = (0..60).map(|n| format!("test t{n} ... FAILED\n")).collect();
        let log = lines.concat();
        let all = findings("`make test`: exit 1", &log);
        assert_eq!(all.len(), MOST + 1);
        assert!(all[MOST].text.starts_with("10 more tests failed than are listed\n"));
        assert_eq!(all[MOST - 1].text, "failed: test t59 ... FAILED");
        assert_eq!(findings("x", "no test is named\n").len(), 1);
    }

    #[test]
    fn what_a_terminal_would_not_show_is_left_out_and_nothing_else() {
        assert_eq!(plain("a\u{1b}[1;31mb\u{1b}[0mc\u{1b}]0;title\u{7}d\r\ne\rf"), "abcd\ne\nf");
        assert_eq!(plain("\u{1b}(Ba\u{1b}]8;;x\u{1b}\\b"), "ab");
        assert_eq!(plain("\u{1b}"), "");
        assert_eq!(plain("\u{1b}[31"), "");
    }
}
