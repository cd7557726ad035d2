//! Tests of Python that are skipped under another name: what a name stands for counts, not how it reads.

mod tamper_kit;

use orch_testguard::tamper::Kind;
use tamper_kit::{found, loud, silent};

const SKIPPED: Kind = Kind::TestSkipped;

const PYTHON: &str = r#"
import pytest
import unittest

LIMIT = 3


def test_total():
    cart = Cart(LIMIT)
    assert cart.total() == 3


@pytest.mark.parametrize("n", [1, 2])
def test_many(n):
    assert Cart.of(n).total() == n


class CartCase(unittest.TestCase):
    def test_zero(self):
        self.assertEqual(Cart().total(), 0)
"#;

#[test]
fn a_skip_under_another_name_is_one() {
    let top = "LIMIT = 3\n\n\n";
    let with = |head: &str, mark: &str| format!("LIMIT = 3\n{head}\n\n\n{mark}\n");
    let body = "LIMIT = 3\n\n\ndef test_total():\n";
    let within = |head: &str, call: &str| format!("LIMIT = 3\n{head}\n\n\ndef test_total():\n    {call}\n");
    let case = "class CartCase(unittest.TestCase):\n";
    let marked = |head: &str, mark: &str| format!("{head}\n\n\n{mark}\n{case}");
    for (head, mark) in [
        ("broken = pytest.mark.skip(reason='x')", "@broken"),
        ("skip = pytest.mark.skip", "@skip(reason='x')"),
        ("skip = pytest.mark.skip\nbroken = skip('x')", "@broken"),
        ("mark = pytest.mark", "@mark.skip"),
        ("from pytest import mark", "@mark.skip('x')"),
        ("from pytest import (mark as m)", "@m.xfail"),
        ("import pytest as pt", "@pt.mark.skipif(CI, reason='x')"),
        ("from unittest import skip as later", "@later('x')"),
        ("from unittest import skipIf as later", "@later(CI, 'x')"),
        ("import unittest as ut\nlater = ut.skip('x')", "@later"),
        ("if CI:\n    broken = pytest.mark.skip", "@broken"),
    ] {
        loud("test_cart.py", PYTHON, &[(SKIPPED, "test_total", (head, top, &with(head, mark)))]);
    }
    for (head, call) in [
        ("from pytest import skip", "skip('x')"),
        ("from pytest import skip as later", "later('x')"),
        ("import pytest as pt", "pt.skip('x')"),
        ("later = pytest.skip", "later('x')"),
        ("from unittest import SkipTest as Later", "raise Later('x')"),
        ("from pytest import importorskip as needs", "needs('x')"),
    ] {
        loud("test_cart.py", PYTHON, &[(SKIPPED, "test_total", (head, body, &within(head, call)))]);
    }
    for (head, mark) in [
        ("from unittest import skip", "@skip('x')"),
        ("later = unittest.skipUnless(DB, 'x')", "@later"),
        ("from unittest import expectedFailure as later", "@later"),
    ] {
        loud("test_cart.py", PYTHON, &[(SKIPPED, "CartCase.test_zero", (head, case, &marked(head, mark)))]);
    }
    loud(
        "test_cart.py",
        PYTHON,
        &[
            (
                SKIPPED,
                "test_total",
                ("for a file", "LIMIT = 3", "broken = pytest.mark.skip('x')\npytestmark = [broken]"),
            ),
            (SKIPPED, "test_total", ("a list of marks", "LIMIT = 3", "marks = [pytest.mark.skip]\npytestmark = marks")),
            (
                SKIPPED,
                "test_many",
                (
                    "the cases",
                    "@pytest.mark.parametrize(\"n\", [1, 2])",
                    "later = pytest.mark.skip\n\n\n@pytest.mark.parametrize(\"n\", [1, pytest.param(2, marks=later)])",
                ),
            ),
            (
                SKIPPED,
                "test_many",
                (
                    "a list of cases",
                    "@pytest.mark.parametrize(\"n\", [1, 2])",
                    "CASES = [1, pytest.param(2, marks=pytest.mark.skip)]\n\n\n@pytest.mark.parametrize(\"n\", CASES)",
                ),
            ),
            (
                SKIPPED,
                "test_total",
                ("marked below", "class CartCase", "test_total = pytest.mark.skip(test_total)\n\n\nclass CartCase"),
            ),
            (
                SKIPPED,
                "test_many",
                (
                    "marked below with a reason",
                    "class CartCase",
                    "later = unittest.skip('x')\ntest_many = later(test_many)\n\n\nclass CartCase",
                ),
            ),
        ],
    );
}

#[test]
fn names_of_other_things_are_nobodys_business() {
    let top = "LIMIT = 3\n\n\n";
    let with = |head: &str, mark: &str| format!("LIMIT = 3\n{head}\n\n\n{mark}\n");
    for (head, mark) in [
        ("slow = pytest.mark.slow", "@slow"),
        ("from pytest import mark", "@mark.parametrize('n', [1])"),
        ("from pytest import mark, raises, skip", ""),
        ("broken = pytest.mark.skip(reason='x')", ""),
        ("broken = pytest.mark.skip\nbroken = pytest.mark.slow", "@broken"),
        ("broken = pytest.mark.skip\n\n\ndef broken(f):\n    return f", "@broken"),
        ("broken = pytest.mark.skip", "@marks.broken"),
        ("# broken = pytest.mark.skip", "@broken"),
    ] {
        silent("test_cart.py", PYTHON, &[(head, top, &with(head, mark))]);
    }
    silent(
        "test_cart.py",
        PYTHON,
        &[
            ("a name of the test itself", "    cart = Cart(LIMIT)", "    skip = 3\n    cart = Cart(skip=skip(LIMIT))"),
            ("from elsewhere", "LIMIT = 3", "from pytest import skip\nfrom cart import skip\nLIMIT = skip(3)"),
            (
                "a module that may be missing",
                "LIMIT = 3",
                "def numpy():\n    np = pytest.importorskip('numpy')\n    return np",
            ),
        ],
    );
    let long = format!("later = unittest.skipIf(max([{}]), 'x')", "1, ".repeat(200));
    let marks = format!("later = [{}pytest.mark.skip, (pytest.mark.slow)]", "pytest.mark.slow, ".repeat(50));
    for (head, mark) in [(long, "@later"), (marks, "@pytest.mark.parametrize('n', later)")] {
        loud("test_cart.py", PYTHON, &[(SKIPPED, "test_total", (mark, top, &with(&head, mark)))]);
    }
    // What was skipped may be skipped under another name.
    let before = "import pytest\n\n\n@pytest.mark.skip(reason='x')\ndef test_a():\n    assert a()\n";
    let after = "import pytest\nlater = pytest.mark.skip(reason='x')\n\n\n@later\ndef test_a():\n    assert a()\n";
    assert_eq!(found("test_a.py", before, after), []);
    assert_eq!(found("test_a.py", after, before), []);
}
