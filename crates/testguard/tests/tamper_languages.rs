//! What counts as taking a test away, language by language: a table of small edits. The second half of each table is as
//! important as the first: edits that everybody makes every day and nobody wants to be asked about.

use orch_testguard::tamper::{Changed, Kind, tampering};

const DELETED: Kind = Kind::TestDeleted;
const SKIPPED: Kind = Kind::TestSkipped;
const IGNORED: Kind = Kind::TestIgnored;
const EMPTIED: Kind = Kind::AssertionsRemoved;

type Edit<'a> = (&'a str, &'a str, &'a str);

fn found(path: &str, from: &str, to: &str) -> Vec<(Kind, String)> {
    let changed = [Changed { path, before: Some(from.as_bytes()), after: Some(to.as_bytes()) }];
    tampering(&changed).into_iter().map(|t| (t.kind, t.name)).collect()
}

/// Replaces `from` with `to` in `base` and expects exactly one finding.
fn loud(path: &str, base: &str, edits: &[(Kind, &str, Edit<'_>)]) {
    for (kind, name, (what, from, to)) in edits {
        assert!(base.contains(from), "{what}: {from:?} is not in the file");
        let after = base.replacen(from, to, 1);
        assert_eq!(found(path, base, &after), [(*kind, (*name).to_owned())], "{what}:\n{after}");
        // Whatever was switched off before is nobody's news, and bringing it back is welcome.
        assert_eq!(found(path, &after, base), [], "{what}, taken back");
    }
}

fn silent(path: &str, base: &str, edits: &[Edit<'_>]) {
    for (what, from, to) in edits {
        assert!(base.contains(from), "{what}: {from:?} is not in the file");
        let after = base.replacen(from, to, 1);
        assert_eq!(found(path, base, &after), [], "{what}:\n{after}");
    }
}

const RUST: &str = r##"
use super::*;

fn check_total(cart: &Cart, total: u32) {
    assert_eq!(cart.total(), total, "the {} is wrong", "total");
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `#[ignore]` is a word in this comment.
    #[test]
    fn adds() {
        let mut cart = Cart::new();
        cart.add(Item::new("apple", 3));
        assert_eq!(cart.total(), 3);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn removes() -> Result<(), Error> {
        let text = "#[test] fn fake() {}";
        let c = '"';
        let r = r#"fn also_fake() { " "#;
        assert!(Cart::parse(text)?.remove(c, r).is_empty());
        Ok(())
    }

    #[rstest]
    #[case(1, 2)]
    #[case(3, 4)]
    fn doubles(#[case] a: u32, #[case] b: u32) {
        check_total(&Cart::of(a), b);
    }

    proptest! {
        #[test]
        fn never_negative(n in 0..100u32) {
            prop_assert!(Cart::of(n).total() >= n);
        }
    }
}
"##;

#[test]
fn rust() {
    let adds = "    #[test]\n    fn adds() {\n        let mut cart = Cart::new();\n        cart.add(Item::new(\"apple\", 3));\n        assert_eq!(cart.total(), 3);\n    }\n";
    let commented = format!("// {}\n", adds.trim_end().replace('\n', "\n// "));
    let blocked = format!("/* {adds} /* nested */ */\n");
    let in_text = format!("const OLD: &str = r#\"{adds}\"#;\n");
    loud(
        "src/cart.rs",
        RUST,
        &[
            (DELETED, "tests::adds", ("deleted", adds, "")),
            (DELETED, "tests::adds", ("commented out", adds, &commented)),
            (DELETED, "tests::adds", ("commented out as a block", adds, &blocked)),
            (DELETED, "tests::adds", ("put into a text", adds, &in_text)),
            (
                DELETED,
                "tests::adds",
                ("no attribute any more", "#[test]\n    fn adds", "#[allow(dead_code)]\n    fn adds"),
            ),
            (DELETED, "tests::never_negative", ("no property any more", "#[test]\n        fn never", "fn never")),
            (SKIPPED, "tests::adds", ("ignored", "#[test]\n    fn adds", "#[test]\n    #[ignore]\n    fn adds")),
            (
                SKIPPED,
                "tests::adds",
                ("ignored with a reason", "#[test]\n    fn adds", "#[ignore = \"flaky\"]\n#[test]\n    fn adds"),
            ),
            (
                SKIPPED,
                "tests::adds",
                (
                    "under a condition",
                    "#[test]\n    fn adds",
                    "#[cfg_attr(not(windows), ignore)]\n#[test]\n    fn adds",
                ),
            ),
            (SKIPPED, "tests::adds", ("returns", "let mut cart", "return;\n        let mut cart")),
            (
                IGNORED,
                "tests::adds",
                ("out of the build", "#[test]\n    fn adds", "#[test]\n    #[cfg(any())]\n    fn adds"),
            ),
            (
                IGNORED,
                "tests::adds",
                ("all out of the build", "#[cfg(test)]\nmod tests {", "#[cfg(FALSE)]\nmod tests {"),
            ),
            (IGNORED, "tests::adds", ("out from inside", "mod tests {", "mod tests {\n    #![cfg(any())]\n")),
            (
                IGNORED,
                "tests::adds",
                ("in another build", "#[test]\n    fn adds", "#[test]\n    #[cfg(feature = \"slow\")]\n    fn adds"),
            ),
            (
                IGNORED,
                "tests::adds",
                (
                    "all in another build",
                    "#[cfg(test)]\nmod tests {",
                    "#[cfg(all(test, not(any(unix, feature = \"x\"))))]\nmod tests {",
                ),
            ),
            (IGNORED, "tests::adds", ("into a macro", adds, &format!("    never! {{\n{adds}    }}\n"))),
            (SKIPPED, "tests::adds", ("never reached", "let mut cart", "if false {\n        } let mut cart")),
            (EMPTIED, "tests::adds", ("no assertion", "assert_eq!(cart.total(), 3);", "let _ = cart.total();")),
            (EMPTIED, "tests::adds", ("a constant is asserted", "assert_eq!(cart.total(), 3);", "assert!(true);")),
            (EMPTIED, "tests::adds", ("two constants", "assert_eq!(cart.total(), 3);", "assert_eq!(3, 3);")),
            (
                EMPTIED,
                "tests::adds",
                ("an assertion in a comment", "assert_eq!(cart.total(), 3);", "// assert_eq!(cart.total(), 3);"),
            ),
            (EMPTIED, "tests::doubles", ("no helper", "check_total(&Cart::of(a), b);", "let _ = (a, b);")),
        ],
    );
    silent(
        "src/cart.rs",
        RUST,
        &[
            ("renamed", "fn adds()", "fn adds_an_apple()"),
            ("another module", "mod tests {", "mod cart_tests {"),
            (
                "more",
                "assert_eq!(cart.total(), 3);",
                "assert_eq!(cart.total(), 3);\n        assert!(!cart.is_empty());",
            ),
            ("another expectation", "assert_eq!(cart.total(), 3);", "assert_eq!(cart.total(), 4);"),
            ("through a helper", "assert_eq!(cart.total(), 3);", "check_total(&cart, 3);"),
            (
                "a new test that is ignored",
                "    proptest! {",
                "    #[test]\n    #[ignore]\n    fn later() {}\n\n    proptest! {",
            ),
            ("a word in a comment", "let mut cart", "// #[ignore] return; #[cfg(any())]\n        let mut cart"),
            (
                "on one line",
                adds,
                "#[test] fn adds() { let mut cart = Cart::new(); cart.add(Item::new(\"apple\", 3)); assert_eq!(cart.total(), 3); }",
            ),
            ("not under Miri", "#[test]\n    fn adds", "#[test]\n    #[cfg_attr(miri, ignore)]\n    fn adds"),
            ("not built for Miri", "#[test]\n    fn adds", "#[test]\n    #[cfg(not(miri))]\n    fn adds"),
            (
                "where orch runs",
                "#[test]\n    fn adds",
                "#[test]\n    #[cfg(all(unix, target_os = \"linux\"))]\n    fn adds",
            ),
            ("not on Windows", "#[test]\n    fn adds", "#[test]\n    #[cfg_attr(windows, ignore)]\n    fn adds"),
            (
                "for other builds as well",
                "#[cfg(test)]\nmod tests {",
                "#[cfg(any(test, feature = \"x\"))]\nmod tests {",
            ),
            ("as a property", adds, &format!("    proptest! {{\n{adds}    }}\n")),
            ("async", "#[test]\n    fn adds()", "#[tokio::test]\n    async fn adds()"),
            ("a lifetime and a quote", "let mut cart", "let q: &'static str = \"'\"; let c = '\\''; let mut cart"),
            (
                "a panic is expected",
                "#[test]\n    fn adds",
                "#[test]\n    #[should_panic(expected = \"full\")]\n    fn adds",
            ),
        ],
    );
}

const PYTHON: &str = r#"
"""def test_fake(): pass"""
import pytest
from unittest import TestCase


@pytest.fixture
def test_cart():
    return Cart()


def same(a, b):
    assert a == b, f"{a} is not {b}"


def test_total(test_cart):
    """The total. @pytest.mark.skip is a word here."""
    test_cart.add(
        "apple", 3,
    )
    assert test_cart.total() == 3


@pytest.mark.parametrize("n", [1, 2])
async def test_many(n):
    text = """
def test_in_text():
    pytest.skip("no")
"""
    same(Cart.of(n).total(), n)


class TestEmpty:
    def test_is_empty(self):
        with pytest.raises(EmptyError):
            Cart().first()


class CartCase(TestCase):
    def testZero(self):
        self.assertEqual(Cart().total(), 0)

    def helper(self):
        pass
"#;

#[test]
fn python() {
    let zero = "    def testZero(self):\n        self.assertEqual(Cart().total(), 0)\n";
    let commented = zero.replace("    def", "    # def").replace("        self.", "    #    self.");
    loud(
        "tests/test_cart.py",
        PYTHON,
        &[
            (DELETED, "CartCase.testZero", ("deleted", zero, "")),
            (DELETED, "CartCase.testZero", ("commented out", zero, &commented)),
            (DELETED, "CartCase.testZero", ("put into a text", zero, &format!("    OLD = '''\n{zero}'''\n"))),
            (DELETED, "test_total", ("renamed out of sight", "def test_total", "def _test_total")),
            (DELETED, "TestEmpty.test_is_empty", ("its class renamed", "class TestEmpty", "class Empty")),
            (SKIPPED, "test_total", ("skipped", "def test_total", "@pytest.mark.skip\ndef test_total")),
            (
                SKIPPED,
                "test_total",
                ("with a reason", "def test_total", "@pytest.mark.skip(reason='flaky')\ndef test_total"),
            ),
            (
                SKIPPED,
                "test_total",
                ("under a condition", "def test_total", "@pytest.mark.skipif(CI, reason='x')\ndef test_total"),
            ),
            (SKIPPED, "test_total", ("may fail", "def test_total", "@pytest.mark.xfail\ndef test_total")),
            (SKIPPED, "test_many", ("one case", "[1, 2]", "[1, pytest.param(2, marks=pytest.mark.skip)]")),
            (
                SKIPPED,
                "test_total",
                ("in the body", "    test_cart.add(", "    pytest.skip('later')\n    test_cart.add("),
            ),
            (
                SKIPPED,
                "test_total",
                (
                    "in the body, if",
                    "    test_cart.add(",
                    "    if CI:\n        pytest.skip('later')\n    test_cart.add(",
                ),
            ),
            (SKIPPED, "test_total", ("returns", "    test_cart.add(", "    return\n    test_cart.add(")),
            (
                SKIPPED,
                "CartCase.testZero",
                ("by unittest", "    def testZero", "    @unittest.skip('x')\n    def testZero"),
            ),
            (
                SKIPPED,
                "CartCase.testZero",
                ("expected to fail", "    def testZero", "    @unittest.expectedFailure\n    def testZero"),
            ),
            (
                SKIPPED,
                "CartCase.testZero",
                ("by self", "        self.assertEqual", "        self.skipTest('x')\n        self.assertEqual"),
            ),
            (SKIPPED, "TestEmpty.test_is_empty", ("a class", "class TestEmpty", "@pytest.mark.skip\nclass TestEmpty")),
            (SKIPPED, "test_total", ("the file", "import pytest\n", "import pytest\npytestmark = pytest.mark.skip\n")),
            (
                IGNORED,
                "test_total",
                (
                    "the file, while it is read",
                    "import pytest\n",
                    "import pytest\npytest.skip('x', allow_module_level=True)\n",
                ),
            ),
            (
                IGNORED,
                "test_total",
                ("where a package is", "import pytest\n", "import pytest\nnp = pytest.importorskip('numpy')\n"),
            ),
            (
                EMPTIED,
                "test_total",
                ("defined again", "class TestEmpty:", "def test_total():\n    pass\n\n\nclass TestEmpty:"),
            ),
            (
                EMPTIED,
                "test_total",
                (
                    "emptied, and whole under a condition",
                    "    assert test_cart.total() == 3",
                    "    pass\nif NEVER:\n    def test_total(test_cart):\n        assert test_cart.total() == 3",
                ),
            ),
            (DELETED, "test_total", ("unbound", "class TestEmpty:", "del test_total\n\n\nclass TestEmpty:")),
            (DELETED, "test_total", ("bound anew", "class TestEmpty:", "test_total = None\n\n\nclass TestEmpty:")),
            (
                SKIPPED,
                "test_total",
                ("never reached", "    test_cart.add(", "    if False:\n        x()\n    test_cart.add("),
            ),
            (
                IGNORED,
                "TestEmpty.test_is_empty",
                ("not collected", "class TestEmpty:\n", "class TestEmpty:\n    __test__ = False\n"),
            ),
            (EMPTIED, "test_total", ("emptied", "    assert test_cart.total() == 3", "    pass")),
            (EMPTIED, "test_total", ("a constant", "assert test_cart.total() == 3", "assert True")),
            (EMPTIED, "test_total", ("over lines", "assert test_cart.total() == 3", "assert (\n        True\n    )")),
            (EMPTIED, "TestEmpty.test_is_empty", ("nothing is raised", "with pytest.raises(EmptyError):", "if True:")),
            (EMPTIED, "test_many", ("no helper", "    same(Cart.of(n).total(), n)", "    Cart.of(n).total()")),
        ],
    );
    silent(
        "tests/test_cart.py",
        PYTHON,
        &[
            ("renamed", "def test_total", "def test_total_of_an_apple"),
            ("a class around it", "class TestEmpty", "class TestEmptyCart"),
            ("another base", "CartCase(TestCase)", "CartCase(base.MyTestCase)"),
            ("reformatted", "    test_cart.add(\n        \"apple\", 3,\n    )\n", "    test_cart.add(\"apple\", 3)\n"),
            ("through a helper", "assert test_cart.total() == 3", "same(test_cart.total(), 3)"),
            (
                "over lines",
                "    assert test_cart.total() == 3",
                "    assert (\n        True\n        is (test_cart.total() == 3)\n    )",
            ),
            ("a fixture renamed", "def test_cart():", "def test_basket():"),
            ("marked below", "class TestEmpty:", "test_total = pytest.mark.slow(test_total)\n\n\nclass TestEmpty:"),
            ("another marker", "def test_total", "@pytest.mark.slow\ndef test_total"),
            (
                "a new one that is skipped",
                "class TestEmpty",
                "@pytest.mark.skip\ndef test_later():\n    pass\n\n\nclass TestEmpty",
            ),
            ("words in a comment", "    test_cart.add(", "    # pytest.skip('x'); return\n    test_cart.add("),
            ("a text over lines", "    same(", "    x = 'it''s \\\n@pytest.mark.skip'\n    same("),
            ("a helper deleted", "    def helper(self):\n        pass\n", ""),
        ],
    );
}

#[test]
fn what_conftest_hides() {
    let before = "import sys\ncollect_ignore = [\"setup.py\"]\n";
    let after = "import sys\ncollect_ignore = [\"setup.py\", \"test_cart.py\"]\n";
    assert_eq!(found("tests/conftest.py", before, after), [(IGNORED, "test_cart.py".to_owned())]);
    assert_eq!(found("tests/conftest.py", after, before), []);
    let new = [
        Changed { path: "tests/conftest.py", before: Some(before.as_bytes()), after: Some(after.as_bytes()) },
        Changed { path: "tests/test_cart.py", before: None, after: Some(b"def test_x():\n    assert f()\n") },
    ];
    assert_eq!(tampering(&new), [], "what is new may be ignored");
}
