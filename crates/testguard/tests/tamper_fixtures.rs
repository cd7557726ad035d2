//! Fixtures and functions of Python that pass over the tests which ask for them or call them.

mod tamper_kit;

use orch_testguard::tamper::Kind;
use tamper_kit::{found, loud, silent, told};

const SKIPPED: Kind = Kind::TestSkipped;

const TESTS: &str = "import pytest\n\n\ndef connect():\n    return dial()\n\n\n@pytest.fixture\ndef cart():\n    made = Cart(connect())\n    yield made\n\n\n@pytest.fixture\ndef shop(cart):\n    return Shop(cart)\n\n\ndef test_total(shop):\n    assert shop.total() == 3\n\n\ndef test_other():\n    assert other() == 1\n";

#[test]
fn a_fixture_that_skips_passes_over_who_asks_for_it() {
    for (what, from, to) in [
        ("itself", "    return Shop(cart)", "    pytest.skip('x')\n    return Shop(cart)"),
        (
            "under a condition",
            "    return Shop(cart)",
            "    if slow():\n        pytest.skip('x')\n    return Shop(cart)",
        ),
        ("raised", "    return Shop(cart)", "    raise pytest.skip.Exception('x')"),
        ("one it asks for", "    made = Cart(connect())", "    pytest.skip('x')\n    made = Cart(connect())"),
        ("what one calls", "    return dial()", "    if not ci():\n        pytest.skip('x')\n    return dial()"),
        (
            "a new one",
            "def test_total(shop)",
            "@pytest.fixture\ndef later():\n    pytest.skip('x')\n\n\ndef test_total(shop, later)",
        ),
        (
            "a new one by use",
            "def test_total",
            "@pytest.fixture(name='no')\ndef later():\n    pytest.skip('x')\n\n\n@pytest.mark.usefixtures('no')\ndef test_total",
        ),
        ("a new function", "    assert shop.total()", "    later()\n    assert shop.total()"),
    ] {
        let base = if what == "a new function" {
            TESTS.replace("def test_total", "def later():\n    pytest.skip('x')\n\n\ndef test_total")
        } else {
            TESTS.to_owned()
        };
        loud("test_cart.py", &base, &[(SKIPPED, "test_total", (what, from, to))]);
    }
    let all = "import pytest\n\n\ndef connect():\n    return dial()\n\n\n@pytest.fixture(autouse=True)\ndef cart():\n    connect()\n\n\ndef test_total():\n    assert total() == 3\n";
    loud("test_cart.py", all, &[(SKIPPED, "test_total", ("for all", "return dial()", "pytest.skip('x')"))]);
    silent(
        "test_cart.py",
        TESTS,
        &[
            (
                "another one",
                "def test_total",
                "@pytest.fixture\ndef later():\n    pytest.skip('x')\n\n\ndef test_total",
            ),
            ("more to do", "    return Shop(cart)", "    log('pytest.skip()')\n    return Shop(cart)"),
            ("another name", "def shop(cart)", "def shop(cart, request)"),
            (
                "a new test of a new one",
                "def test_other",
                "@pytest.fixture\ndef docker():\n    pytest.skip('x')\n\n\ndef test_new(docker):\n    assert docker.up()\n\n\ndef test_other",
            ),
        ],
    );
    // The condition goes from the test into the fixture.
    let own =
        TESTS.replace("    assert shop.total()", "    if slow():\n        pytest.skip('x')\n    assert shop.total()");
    let of_fixture =
        TESTS.replace("    return Shop(cart)", "    if slow():\n        pytest.skip('x')\n    return Shop(cart)");
    assert_eq!(found("test_cart.py", &own, &of_fixture), []);
}

#[test]
fn a_fixture_for_other_files_is_told_where_it_stands() {
    let base = "import pytest\n\n\ndef connect():\n    return dial()\n\n\n@pytest.fixture\ndef cart():\n    yield Cart(connect())\n";
    let name = "the tests that `cart` sets up";
    for path in ["conftest.py", "tests/fixtures.py"] {
        loud(
            path,
            base,
            &[
                (SKIPPED, name, ("itself", "    yield", "    pytest.skip('x')\n    yield")),
                (SKIPPED, name, ("by a function", "return dial()", "pytest.skip('x')")),
                (SKIPPED, name, ("raised", "    yield", "    raise pytest.skip.Exception('x')\n    yield")),
            ],
        );
        silent(
            path,
            base,
            &[
                ("more to do", "    yield", "    log()\n    yield"),
                (
                    "a new one",
                    "@pytest.fixture\n",
                    "@pytest.fixture\ndef docker():\n    pytest.skip('x')\n\n\n@pytest.fixture\n",
                ),
                ("a function nobody calls", "def connect", "def later():\n    pytest.skip('x')\n\n\ndef connect"),
            ],
        );
    }
    let off = base.replace("yield", "pytest.skip('x')\n    yield");
    assert_eq!(told(&[("a/conftest.py", Some(&off), Some(&off.replace("'x'", "'y'")))]), []);
}
