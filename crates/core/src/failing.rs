//! What failed, out of what a test command printed. A runner names each failed test on a line of its own; those lines are
//! taken out, because a developer who is given the end of a long log may not see one of them. It decides nothing: what it
//! does not know is in the log, which is carried too.

use crate::statement;
use crate::verdict::Finding;
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

/// The failed tests, and how many more there are.
fn tests(output: &str) -> (Vec<String>, usize) {
    let mut all = tests_of(&plain(output));
    let more = all.len().saturating_sub(MOST);
    all.truncate(MOST);
    (all, more)
}

/// Every line that names a failed test, once.
fn tests_of(text: &str) -> Vec<String> {
    let mut seen = HashSet::new();
    let lines = text.lines().map(str::trim).filter(|line| line.len() <= LONGEST && names_a_failure(line));
    lines.filter(|line| seen.insert(*line)).map(str::to_owned).collect()
}

/// Does this line, without the space around it, name a test that failed? The forms are those of the runners themselves.
fn names_a_failure(line: &str) -> bool {
    let rest = |prefix: &str| line.strip_prefix(prefix).map(str::trim).is_some_and(|rest| !rest.is_empty());
    // libtest: `test cart::total ... FAILED`.
    rest("test ") && line.ends_with(" ... FAILED")
        // nextest: `FAIL [   0.004s] shop cart::total`, `TIMEOUT [ 60.000s] ...`.
        || ["FAIL [", "TIMEOUT [", "SIGSEGV [", "SIGABRT ["].iter().any(|p| rest(p)) && line.contains("s] ")
        // pytest: `FAILED tests/test_cart.py::test_total - assert 3 == 4`, `ERROR tests/test_cart.py`.
        || (rest("FAILED ") || rest("ERROR ")) && line.contains(".py")
        // unittest: `FAIL: test_total (cart.Total)`, `ERROR: test_total (cart.Total)`.
        || (rest("FAIL: ") || rest("ERROR: ")) && line.contains('(')
        // go: `--- FAIL: TestTotal (0.00s)`, `FAIL	example.com/cart [build failed]`.
        || rest("--- FAIL: ")
        || rest("FAIL\t")
        // jest, vitest: `● Cart › adds up`, `FAIL src/cart.test.ts`, `× adds up 3ms`, `✗ adds up`.
        || ["● ", "× ", "✗ ", "✘ "].iter().any(|p| rest(p))
        || rest("FAIL ") && [".js", ".ts", ".jsx", ".tsx", ".mjs", ".cjs"].iter().any(|ext| line.contains(ext))
        // node:test: `✖ adds up (1.2ms)`, and TAP, also of bats: `not ok 3 - adds up`.
        || rest("✖ ") && line != "✖ failing tests:"
        || rest("not ok ") && !line.contains("# TODO") && !line.contains("# SKIP")
        // gradle: `CartTest > addsUp() FAILED`; ctest: `3 - adds_up (Failed)`.
        || line.contains(" > ") && line.ends_with(" FAILED")
        || line.ends_with("(Failed)") || line.ends_with("(Timeout)")
        // surefire: `[ERROR]   CartTest.addsUp:12 expected:<3> but was:<4>`.
        || line.strip_prefix("[ERROR]").is_some_and(|rest| rest.starts_with("   ") && rest.contains(':'))
}

/// Without colours and what else terminals are told; a line ends where a terminal would show it end.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' => match chars.next() {
                Some('[') => {
                    // To the letter that ends the sequence.
                    while chars.next().is_some_and(|c| !('\u{40}'..='\u{7e}').contains(&c)) {}
                }
                Some(']') => while chars.next().is_some_and(|c| c != '\u{7}' && c != '\u{1b}') {},
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
        assert_eq!(findings("x", "no test is named\n").len(), 1);
    }

    #[test]
    fn what_a_terminal_would_not_show_is_left_out_and_nothing_else() {
        assert_eq!(plain("a\u{1b}[1;31mb\u{1b}[0mc\u{1b}]0;title\u{7}d\r\ne\rf"), "abcd\ne\nf");
        assert_eq!(plain("\u{1b}"), "");
        assert_eq!(plain("\u{1b}[31"), "");
    }
}
