//! Tests that are skipped from where they are set up: one line there reaches every one of them, and none of them changes.

mod tamper_kit;

use orch_testguard::tamper::Kind;
use tamper_kit::{found, loud, silent, told};

const SKIPPED: Kind = Kind::TestSkipped;

const PYTHON: &str = r"
import unittest
import pytest


def setup_module():
    connect()


@pytest.fixture(autouse=True)
def clean():
    yield
    wipe()


@pytest.fixture
def basket():
    return Cart()


def test_total(basket):
    assert basket.total() == 0


class Base(unittest.TestCase):
    def setUp(self):
        self.cart = Cart()


class CartCase(Base):
    @classmethod
    def setUpClass(cls):
        cls.shop = Shop()

    def test_zero(self):
        self.assertEqual(self.cart.total(), 0)


class TestShop:
    def setup_method(self):
        self.shop = Shop()

    def tearDown(self):
        close()

    def test_open(self):
        assert self.shop.is_open()
";

#[test]
fn a_skip_in_the_set_up_of_python_reaches_every_test() {
    loud(
        "tests/test_cart.py",
        PYTHON,
        &[
            (
                SKIPPED,
                "CartCase.test_zero",
                ("of a base", "        self.cart = Cart()", "        self.skipTest('later')"),
            ),
            (
                SKIPPED,
                "CartCase.test_zero",
                ("of a class", "        cls.shop = Shop()", "        raise unittest.SkipTest('later')"),
            ),
            (
                SKIPPED,
                "CartCase.test_zero",
                (
                    "of a class, if",
                    "        cls.shop = Shop()",
                    "        if CI: raise unittest.SkipTest('later')\n        cls.shop = Shop()",
                ),
            ),
            (
                SKIPPED,
                "TestShop.test_open",
                ("of a method", "        self.shop = Shop()\n", "        pytest.skip('later')\n"),
            ),
            (
                SKIPPED,
                "TestShop.test_open",
                (
                    "a fixture for a class",
                    "    def tearDown",
                    "    @pytest.fixture(scope='class', autouse=True)\n    def off(self):\n        pytest.skip('x')\n\n    def tearDown",
                ),
            ),
            (SKIPPED, "test_total", ("of a module", "    connect()", "    pytest.skip('no database')")),
            (
                SKIPPED,
                "test_total",
                (
                    "of a module of unittest",
                    "def setup_module():\n    connect()",
                    "def setUpModule():\n    raise unittest.SkipTest('x')",
                ),
            ),
            (
                SKIPPED,
                "test_total",
                ("a fixture for all", "    yield\n", "    if CI:\n        pytest.skip('x')\n    yield\n"),
            ),
        ],
    );
    silent(
        "tests/test_cart.py",
        PYTHON,
        &[
            (
                "more to set up",
                "        self.cart = Cart()",
                "        self.cart = Cart()\n        self.skip_total = True",
            ),
            (
                "nothing to set up",
                "    def setup_method(self):\n        self.shop = Shop()",
                "    def setup_method(self):\n        return",
            ),
            ("when all is over", "        close()", "        close()\n        self.skipTest('x')"),
            ("words in a comment", "    connect()", "    connect()  # pytest.skip('x')"),
            ("words in a text", "    connect()", "    connect('pytest.skip()')"),
            (
                "another one for all",
                "def test_total",
                "@pytest.fixture(autouse=True)\ndef log():\n    start()\n\n\ndef test_total",
            ),
            (
                "one that has to be asked for",
                "def test_total",
                "@pytest.fixture(autouse=False)\ndef docker():\n    pytest.skip('x')\n\n\ndef test_total",
            ),
            (
                "a new class that is skipped",
                "class TestShop:",
                "class LaterCase(Base):\n    def setUp(self):\n        self.skipTest('x')\n\n    def test_later(self):\n        self.fail()\n\n\nclass TestShop:",
            ),
            (
                "a class without tests",
                "class TestShop:",
                "class Later:\n    def setUp(self):\n        self.skipTest('x')\n\n\nclass TestShop:",
            ),
        ],
    );
    // What every test skipped by itself may be skipped for all of them.
    let before = "class TestA:\n    def test_a(self):\n        pytest.skip('x')\n        assert a()\n";
    let after = "class TestA:\n    def setup_method(self):\n        pytest.skip('x')\n\n    def test_a(self):\n        assert a()\n";
    assert_eq!(found("test_a.py", before, after), []);
}

#[test]
fn a_skip_for_the_tests_of_other_files_is_told_where_it_stands() {
    let base = "class Base(TestCase):\n    def setUp(self):\n        self.cart = Cart()\n";
    let off = base.replace("self.cart = Cart()", "self.skipTest('x')");
    let own = [(SKIPPED, "the tests that `Base` sets up".to_owned())];
    assert_eq!(found("tests/base.py", base, &off), own);
    assert_eq!(found("tests/base.py", &off, base), []);
    assert_eq!(found("tests/base.py", "x = 1\n", &off), [], "a new one sets up new tests");
    assert_eq!(found("tests/base.py", base, &base.replace("Cart()", "Cart(1)")), []);

    let fixture = "import pytest\n\n\n@pytest.fixture(autouse=True)\ndef clean():\n    wipe()\n";
    let off = fixture.replace("wipe()", "pytest.skip('x')");
    let below = [(SKIPPED, "the tests below this file".to_owned())];
    assert_eq!(found("tests/conftest.py", fixture, &off), below);
    assert_eq!(found("tests/conftest.py", &off, fixture), []);
    assert_eq!(found("tests/conftest.py", &off, &off.replace("'x'", "'why'")), []);
    assert_eq!(told(&[("conftest.py", None, Some(&off))]), below, "a new one rules old tests");
    let hook = "import pytest\n\n\ndef pytest_runtest_setup(item):\n    if slow(item):\n        pytest.skip('x')\n";
    assert_eq!(found("conftest.py", "import pytest\n", hook), below);
    for asked in [off.replace("(autouse=True)", ""), off.replace("autouse=True", "scope='session'")] {
        let by_name = [(SKIPPED, "the tests that `clean` sets up".to_owned())];
        assert_eq!(found("tests/conftest.py", fixture, &asked), by_name, "{asked}");
        assert_eq!(told(&[("conftest.py", None, Some(&asked))]), [], "one that nobody asked for so far");
    }
}

const TYPESCRIPT: &str = r#"
beforeAll(async () => {
  await connect();
});

describe("cart", () => {
  let cart: Cart;
  beforeEach(function () {
    cart = new Cart();
  });
  afterEach(() => { cart.close(); });

  it("sums", () => {
    expect(cart.total()).toBe(0);
  });
});

describe("shop", () => {
  it("opens", () => {
    expect(new Shop().open()).toBe(true);
  });
});
"#;

#[test]
fn a_skip_in_the_set_up_of_javascript_reaches_every_test() {
    loud(
        "test/cart.test.ts",
        TYPESCRIPT,
        &[
            (SKIPPED, "cart > sums", ("of a group", "cart = new Cart();", "this.skip();")),
            (SKIPPED, "cart > sums", ("if", "cart = new Cart();", "if (!process.env.DB) this.skip();")),
            (SKIPPED, "cart > sums", ("of jasmine", "cart = new Cart();", "pending('later');")),
            (SKIPPED, "cart > sums", ("of jasmine, if", "cart = new Cart();", "if (CI) pending();")),
            (SKIPPED, "cart > sums", ("of a file", "await connect();", "test.skip(true, 'later');")),
            (SKIPPED, "cart > sums", ("by a context", "async () => {\n  await connect();\n}", "(ctx) => ctx.skip()")),
            (SKIPPED, "cart > sums", ("of tdd", "beforeEach(function () {", "setup(function () { this.skip();")),
            (
                SKIPPED,
                "shop > opens",
                ("before all", "  it(\"opens\"", "  before(function () { this.skip(); });\n  it(\"opens\""),
            ),
            (
                SKIPPED,
                "shop > opens",
                (
                    "of playwright",
                    "  it(\"opens\"",
                    "  test.beforeEach(async ({ page }) => { test.fixme(); });\n  it(\"opens\"",
                ),
            ),
            (SKIPPED, "shop > opens", ("of its group", "  it(\"opens\"", "  test.skip(isMac, 'no');\n  it(\"opens\"")),
            (SKIPPED, "shop > opens", ("for good", "  it(\"opens\"", "  test.skip();\n  it(\"opens\"")),
        ],
    );
    silent(
        "test/cart.test.ts",
        TYPESCRIPT,
        &[
            ("more to set up", "cart = new Cart();", "cart = new Cart();\n    cart.skip();"),
            ("when all is over", "cart.close();", "this.skip();"),
            ("words in a comment", "cart = new Cart();", "cart = new Cart(); // this.skip()"),
            ("words in a text", "await connect();", "await connect(`this.skip()`);"),
            ("an action of that name", "cart = new Cart();", "cart = reduce(new Cart(), pending('x'));"),
            ("a state of that name", "cart = new Cart();", "const state = pending();\n    cart = new Cart(state);"),
            ("a list of that name", "cart = new Cart();", "cart = new Cart(\n      pending(),\n    );"),
            ("another set-up", "  it(\"opens\"", "  beforeEach(() => { open(); });\n  it(\"opens\""),
            ("not a hook", "  let cart: Cart;", "  $(page).before(function () { this.skip(); });\n  let cart: Cart;"),
            (
                "a new group that is skipped",
                "describe(\"shop\"",
                "describe(\"later\", () => {\n  beforeEach(function () { this.skip(); });\n  it(\"is new\", () => { expect(1).toBe(f()); });\n});\n\ndescribe(\"shop\"",
            ),
            ("a new one that is skipped", "  it(\"opens\"", "  test.skip('later', () => {});\n  it(\"opens\""),
        ],
    );
    let hooks = "beforeEach(function () {\n  connect();\n});\n";
    let off = hooks.replace("connect()", "this.skip()");
    assert_eq!(found("test/setup.js", hooks, &off), [(SKIPPED, "the tests that this file sets up".to_owned())]);
    assert_eq!(found("test/setup.js", &off, hooks), []);
    assert_eq!(found("test/setup.js", hooks, &hooks.replace("connect", "open")), []);
}

const GO: &str = r#"package cart

import "testing"

type CartSuite struct{ suite.Suite }

func (s *CartSuite) SetupTest() {
	s.cart = New()
}

func (s *CartSuite) TestZero() {
	s.Equal(0, s.cart.Total())
}

func (s *ShopSuite) TestOpen() {
	s.True(s.shop.Open())
}

func same(t *testing.T, a, b int) {
	t.Helper()
	if a != b {
		t.Fatalf("%d is not %d", a, b)
	}
}

func client(tb testing.TB, scanner *Scanner) *Client {
	return dial(tb)
}

func TestTotal(t *testing.T) {
	same(t, New().Total(), 0)
}

func TestAll(t *testing.T) {
	if testing.Short() {
		t.Skip()
	}
	same(t, All(), 3)
}
"#;

#[test]
fn a_skip_in_the_set_up_of_go_reaches_every_test() {
    loud(
        "cart_test.go",
        GO,
        &[
            (SKIPPED, "TestZero", ("of a suite", "\ts.cart = New()", "\ts.T().Skip(\"later\")")),
            (SKIPPED, "TestZero", ("if", "\ts.cart = New()", "\tif ci {\n\t\ts.T().SkipNow()\n\t}")),
            (
                SKIPPED,
                "TestOpen",
                ("of another suite", "func same", "func (s *ShopSuite) SetupSuite() {\n\ts.T().Skip()\n}\n\nfunc same"),
            ),
            (
                SKIPPED,
                "TestTotal",
                ("in a helper", "\tt.Helper()", "\tt.Helper()\n\tif a < 0 {\n\t\tt.Skipf(\"%d\", a)\n\t}"),
            ),
            (
                SKIPPED,
                "the tests that `client` sets up",
                ("in one for others", "\treturn dial(tb)", "\ttb.Skip(\"x\")\n\treturn dial(tb)"),
            ),
            (
                SKIPPED,
                "TestTotal",
                (
                    "in a new helper",
                    "func TestTotal(t *testing.T) {",
                    "func later(t *testing.T) { t.SkipNow() }\n\nfunc TestTotal(t *testing.T) {\n\tlater(t)",
                ),
            ),
            (
                SKIPPED,
                "TestTotal",
                (
                    "in a helper of a helper",
                    "func TestTotal(t *testing.T) {",
                    "func later(t testing.TB) { t.SkipNow() }\n\nfunc docker(t *testing.T) { later(t) }\n\nfunc TestTotal(t *testing.T) {\n\tdocker(t)",
                ),
            ),
            (
                SKIPPED,
                "TestAll",
                (
                    "for good",
                    "\tsame(t, All(), 3)",
                    "\tlater(t)\n\tsame(t, All(), 3)\n}\n\nfunc later(t *testing.T) {\n\tt.Skip()",
                ),
            ),
        ],
    );
    silent(
        "cart_test.go",
        GO,
        &[
            ("more to set up", "\ts.cart = New()", "\ts.cart = New()\n\ts.cart.Skip(3)"),
            ("of a scanner", "\treturn dial(tb)", "\tscanner.Skip(3)\n\treturn dial(tb)"),
            ("words in a comment", "\tt.Helper()", "\tt.Helper() // t.Skip()"),
            (
                "a condition goes into a helper",
                "\tif testing.Short() {\n\t\tt.Skip()\n\t}\n\tsame(t, All(), 3)",
                "\tslow(t)\n\tsame(t, All(), 3)\n}\n\nfunc slow(t *testing.T) {\n\tif testing.Short() {\n\t\tt.Skip()\n\t}",
            ),
            (
                "a new test with a new helper",
                "func TestAll",
                "func later(t *testing.T) { t.Skip() }\n\nfunc TestLater(t *testing.T) {\n\tlater(t)\n}\n\nfunc TestAll",
            ),
            (
                "a new suite",
                "func same",
                "func (s *LaterSuite) SetupTest() {\n\ts.T().Skip()\n}\n\nfunc (s *LaterSuite) TestLater() {\n\ts.Equal(1, 2)\n}\n\nfunc same",
            ),
        ],
    );
    // A helper may stand in a file of its own, and may move there.
    let helper = "package cart\n\nfunc later(t *testing.T) { t.Skip() }\n";
    let with = GO.replace("\tsame(t, New().Total(), 0)", "\tlater(t)\n\tsame(t, New().Total(), 0)");
    let files = [("a/cart_test.go", Some(GO), Some(with.as_str())), ("a/help_test.go", None, Some(helper))];
    assert_eq!(told(&files), [(SKIPPED, "TestTotal".to_owned())]);
    let elsewhere = [files[0], ("b/help_test.go", None, Some(helper))];
    assert_eq!(told(&elsewhere), [], "a function of another package");
    let whole = format!("{with}\nfunc later(t *testing.T) {{ t.Skip() }}\n");
    assert_eq!(told(&[("a/cart_test.go", Some(&whole), Some(&with)), files[1]]), []);
    let python = "def test_a():\n    later()\n    assert a()\n";
    let calls = python.replace("later()", "New()");
    let new = helper.replace("later", "New");
    let files = [("a/test_a.py", Some(python), Some(calls.as_str())), ("a/help_test.go", None, Some(new.as_str()))];
    assert_eq!(told(&files), [], "a function of another language");
    let bare = "package a\n\ntype Base struct {\n\tsuite.Suite\n}\n";
    let added = format!("{bare}\nfunc (s *Base) SetupSuite() {{\n\ts.T().Skip()\n}}\n");
    assert_eq!(found("a_test.go", bare, &added), [(SKIPPED, "the tests that `Base` sets up".to_owned())]);
    assert_eq!(found("a_test.go", "package a\n", &added), [], "a new one sets up new tests");
    let suite = "package a\n\nfunc (s *Base) SetupTest() {\n\tconnect()\n}\n";
    let off = suite.replace("connect()", "s.T().Skip()");
    assert_eq!(found("a_test.go", suite, &off), [(SKIPPED, "the tests that `Base` sets up".to_owned())]);
    assert_eq!(found("a_test.go", &off, suite), []);
}
