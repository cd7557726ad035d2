//! Failed tests by name, so that two runs can be held against each other, and a test against the change that brings it.

use crate::failing::{plain, tests_of};
use std::collections::BTreeSet;

/// Most names that are taken from a run.
const MOST: usize = 200;

/// The failed tests by name: what two runs of the same failure have in common, without times and messages.
pub fn names(output: &str) -> BTreeSet<String> {
    let lines = tests_of(&plain(output));
    // Go names the package of a failed test, jest its file: where tests are named, these are no tests.
    let holds_others = |line: &&String| {
        line.starts_with("FAIL\t") && !line.ends_with("failed]")
            || line.strip_prefix("FAIL ").is_some_and(|file| !file.contains([' ', '>', '[']))
    };
    let all = |of: &dyn Fn(&&String) -> bool| -> BTreeSet<String> {
        lines.iter().filter(of).map(|line| name_of(line)).filter(|name| !name.is_empty()).collect()
    };
    let tests = all(&|line| !holds_others(line));
    let tests = if tests.is_empty() { all(&|_| true) } else { tests };
    tests.into_iter().take(MOST).collect()
}

/// Is this test among lines that a change adds? Asked for the part of its name that stands in its source.
pub fn is_among(name: &str, added: &str) -> bool {
    let key = key_of(name);
    let part = |c: char| c.is_alphanumeric() || c == '_';
    3 <= key.len()
        && added.match_indices(key).any(|(at, _)| {
            let (before, after) = (added[..at].chars().next_back(), added[at + key.len()..].chars().next());
            !before.is_some_and(part) && !after.is_some_and(part)
        })
}

/// What a line that names a failed test calls it.
fn name_of(line: &str) -> String {
    let word = |text: &str| text.split_whitespace().next().unwrap_or_default().to_owned();
    for prefix in ["FAILED ", "ERROR "] {
        if let Some(rest) = line.strip_prefix(prefix)
            && word(rest).contains(".py")
        {
            // pytest puts its message behind ` - `; spaces belong to the name of a case: `test_total[a b]`.
            return rest.split(" - ").next().unwrap_or(rest).trim().to_owned();
        }
    }
    if let Some(rest) = line.strip_prefix("FAIL\t") {
        return word(rest);
    }
    if let Some(rest) = line.strip_prefix("[ERROR]") {
        // surefire: `CartTest.addsUp:12 expected:<3> but was:<4>`.
        return word(rest).split(':').next().unwrap_or_default().to_owned();
    }
    let ended = ["FAIL [", "TIMEOUT [", "SIGSEGV [", "SIGABRT ["].iter().any(|end| line.contains(end));
    if let Some((_, rest)) = line.split_once("s] ").filter(|_| ended) {
        // `(  8/100)`: which of how many ended, another in every run.
        let counted = rest.trim_start().strip_prefix('(').and_then(|inner| inner.split_once(") "));
        let is_count = |text: &str| text.chars().all(|c| c.is_ascii_digit() || "/ ─".contains(c));
        return counted.filter(|(count, _)| is_count(count)).map_or(rest, |(_, name)| name).trim().to_owned();
    }
    const BEFORE: [&str; 16] = [
        "test ",
        "--- FAIL: ",
        "=== FAIL: ",
        "FAIL: ",
        "ERROR: ",
        "FAIL ",
        "● ",
        "× ",
        "✗ ",
        "✘ ",
        "✖ ",
        "(fail) ",
        "[  FAILED  ] ",
        "Failed ",
        "rspec ",
        "not ok ",
    ];
    let name = BEFORE.iter().find_map(|prefix| line.strip_prefix(prefix)).unwrap_or(line);
    let name = name.split(" ... FAILED").next().unwrap_or(name);
    let name = if line.starts_with("rspec ") { name.split(" # ").next().unwrap_or(name) } else { name };
    // TAP and ctest count their tests: `3 - adds up`.
    let name = match name.split_once(" - ") {
        Some((number, rest)) if number.bytes().all(|b| b.is_ascii_digit()) => rest,
        _ => name,
    };
    let mut name = name.trim_start_matches("- ").trim();
    for behind in ["*** FAILED ***", "(Failed)", "(Timeout)", "FAILED"] {
        name = name.strip_suffix(behind).unwrap_or(name).trim_end();
    }
    let is_time = |text: &str| {
        let bare = text.trim_matches(|c| "()[]<>".contains(c));
        let number = bare.trim_end_matches(['s', 'm', 'µ', 'u', 'n']);
        bare.is_empty() && text != ">" || number.len() < bare.len() && number.parse::<f64>().is_ok()
    };
    let words: Vec<&str> = name.split_whitespace().collect();
    let mut kept = words.as_slice();
    while let [rest @ .., last] = kept
        && is_time(last)
        && !rest.is_empty()
    {
        kept = rest;
    }
    // `(0 ms)`: the number and its unit stand apart.
    while let [rest @ .., unit] = kept
        && ["ms)", "s)", "ms]", "s]"].contains(unit)
    {
        kept = rest.split_last().map_or(rest, |(_, rest)| rest);
    }
    kept.join(" ")
}

/// The part of a test's name that stands in its source.
fn key_of(name: &str) -> &str {
    let last = |text: &'static str| move |name: &str| name.rfind(text).map(|at| at + text.len());
    if let Some((test, _)) = name.split_once(" (") {
        // unittest: `test_total (cart.Total.test_total)`.
        return test;
    }
    let name = name.trim_end_matches("()");
    if let Some(at) = [last("::"), last(" › "), last(" > ")].iter().find_map(|find| find(name)) {
        return name[at..].split('[').next().unwrap_or_default();
    }
    if name.contains(' ') {
        // A sentence: node, bats, rspec.
        return name;
    }
    // go: `TestTotal/empty`; surefire and googletest: `CartTest.addsUp`.
    let name = name.split('/').next().unwrap_or(name);
    name.rsplit('.').next().unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_has_one_name_whatever_it_took_and_said() {
        for (line, name, key) in [
            ("test cart::total ... FAILED", "cart::total", "total"),
            ("test cart::total ... FAILED <0.003s>", "cart::total", "total"),
            ("FAIL [   0.004s] shop cart::total", "shop cart::total", "total"),
            ("TRY 1 FAIL [   1.204s] shop cart::total", "shop cart::total", "total"),
            ("FAIL [   1.204s] (  8/100) shop cart::total", "shop cart::total", "total"),
            ("FAIL [   1.204s] (───) shop cart::total", "shop cart::total", "total"),
            ("not ok 3 - waits 5s before retry", "waits 5s before retry", "waits 5s before retry"),
            (
                "FAILED tests/test_cart.py::test_total[a b] - assert 3 == 4",
                "tests/test_cart.py::test_total[a b]",
                "test_total",
            ),
            ("ERROR tests/test_cart.py - ImportError: no module", "tests/test_cart.py", "tests"),
            ("FAIL: test_total (cart.Total.test_total)", "test_total (cart.Total.test_total)", "test_total"),
            ("--- FAIL: TestTotal/empty (0.00s)", "TestTotal/empty", "TestTotal"),
            ("=== FAIL: cart TestTotal (0.00s)", "cart TestTotal", "cart TestTotal"),
            ("FAIL\texample.com/cart\t0.004s", "example.com/cart", "com"),
            ("● Cart › adds up", "Cart › adds up", "adds up"),
            ("FAIL src/cart.test.ts > Cart > adds up", "src/cart.test.ts > Cart > adds up", "adds up"),
            ("× adds up 3ms", "adds up", "adds up"),
            ("✖ adds up (1.2ms)", "adds up", "adds up"),
            ("not ok 3 - adds up", "adds up", "adds up"),
            ("CartTest > addsUp() FAILED", "CartTest > addsUp()", "addsUp"),
            ("3 - adds_up (Failed)", "adds_up", "adds_up"),
            ("[ERROR]   CartTest.addsUp:12 expected:<3> but was:<4>", "CartTest.addsUp", "addsUp"),
            ("(fail) Cart > adds up [1.00ms]", "Cart > adds up", "adds up"),
            ("[  FAILED  ] Cart.AddsUp (0 ms)", "Cart.AddsUp", "AddsUp"),
            ("Failed Cart.AddsUp [12 ms]", "Cart.AddsUp", "AddsUp"),
            ("- adds up *** FAILED ***", "adds up", "adds up"),
        ] {
            assert_eq!(Vec::from_iter(names(line)), [name], "{line:?}");
            assert_eq!(key_of(name), key, "{name:?}");
        }
    }

    #[test]
    fn a_package_or_a_file_is_no_test_where_tests_are_named() {
        let of = |output: &str| Vec::from_iter(names(output));
        assert_eq!(of("--- FAIL: TestTotal (0.00s)\nFAIL\texample.com/cart\t0.004s\n"), ["TestTotal"]);
        assert_eq!(of("FAIL\texample.com/cart [build failed]\n"), ["example.com/cart"]);
        assert_eq!(of("FAIL src/cart.test.ts\n● Cart › adds up\n"), ["Cart › adds up"]);
        assert_eq!(of("FAIL src/cart.test.ts\n"), ["src/cart.test.ts"]);
    }

    #[test]
    fn a_test_is_among_added_lines_by_its_whole_name() {
        assert!(is_among("cart::total", "+    fn total() {\n"));
        assert!(!is_among("cart::total", "+    fn subtotal() {\n+ let totals = 3;\n"));
        assert!(is_among("Cart › adds up", "+  it('adds up', () => {\n"));
        assert!(!is_among("a::b", "+fn b() {}\n"), "what is so short is in every change");
        assert!(is_among("größe::prüft_maß", "+fn prüft_maß() {"));
    }
}
