//! Stories of whole changes: what people move around without taking anything away, and what is taken away in the guise
//! of a move.

use orch_testguard::tamper::{Changed, Kind, Tampering, tampering};

const TOTAL: &str =
    "def test_total():\n    cart = Cart()\n    cart.add('apple', 3)\n    assert cart.total() == 3\n\n\n";
const EMPTY: &str =
    "def test_empty():\n    cart = Cart()\n    assert cart.is_empty()\n    assert cart.total() == 0\n\n\n";
const FULL: &str =
    "def test_full():\n    with pytest.raises(FullError):\n        Cart(limit=1).add_all(['pear', 'plum'])\n\n\n";

fn change<'a>(path: &'a str, before: Option<&'a str>, after: Option<&'a str>) -> Changed<'a> {
    Changed { path, before: before.map(str::as_bytes), after: after.map(str::as_bytes) }
}

fn names(found: &[Tampering]) -> Vec<(Kind, &str)> {
    found.iter().map(|t| (t.kind, t.name.as_str())).collect()
}

#[test]
fn a_file_is_renamed_and_its_tests_with_it() {
    let file = format!("{TOTAL}{EMPTY}{FULL}");
    let renamed = file.replace("test_empty", "test_nothing_in_it").replace("Cart(", "Basket(");
    assert_eq!(
        tampering(&[change("test_cart.py", Some(&file), None), change("test_basket.py", None, Some(&renamed))]),
        []
    );
}

#[test]
fn a_test_is_renamed_and_touched_up() {
    let body = "    cart = make_cart(user)\n    cart.add(apple)\n    cart.checkout(card)\n    assert cart.receipt.total == apple.price\n    assert card.charged == apple.price\n";
    let before = format!("def test_checkout():\n{body}");
    let after =
        format!("def test_a_checkout_charges_the_card():\n{}", body.replace("make_cart(user)", "make_cart(anna)"));
    assert_eq!(tampering(&[change("test_cart.py", Some(&before), Some(&after))]), []);
    let other =
        "def test_login():\n    page = open_page(user)\n    page.fill(name)\n    assert page.greeting == name\n";
    let found = tampering(&[change("test_cart.py", Some(&before), Some(other))]);
    assert_eq!(names(&found), [(Kind::TestDeleted, "test_checkout")]);
}

#[test]
fn a_file_is_split_and_a_test_goes_to_an_old_one() {
    let file = format!("{TOTAL}{EMPTY}{FULL}");
    let into_class = format!("    {}\n", EMPTY.trim_end().replace('\n', "\n    "));
    let old = "def test_old():\n    assert old()\n\n\n";
    let found = tampering(&[
        change("test_cart.py", Some(&file), Some(TOTAL)),
        change("test_limits.py", None, Some(FULL)),
        change("test_other.py", Some(old), Some(&format!("{old}class TestEmpty:\n{into_class}"))),
    ]);
    assert_eq!(found, []);
}

#[test]
fn a_file_is_deleted_and_one_of_its_tests_was_not_moved() {
    let file = format!("{TOTAL}{EMPTY}{FULL}");
    let kept = format!("{TOTAL}{FULL}");
    let found = tampering(&[change("test_cart.py", Some(&file), None), change("test_basket.py", None, Some(&kept))]);
    assert_eq!(names(&found), [(Kind::TestDeleted, "test_empty")]);
    assert_eq!((found[0].path.as_str(), found[0].line), ("test_cart.py", Some(7)));
    assert_eq!(found[0].text, "the test `test_empty` is gone");
}

#[test]
fn a_file_is_deleted_and_told_once() {
    let file = format!("{TOTAL}{EMPTY}{FULL}");
    let found = tampering(&[change("test_cart.py", Some(&file), None)]);
    assert_eq!(names(&found), [(Kind::TestFileDeleted, "test_cart.py")]);
    assert_eq!(found[0].text, "the test file `test_cart.py` is gone with its 3 tests");
    assert_eq!(found[0].finding().file.as_deref(), Some("test_cart.py"));
    let emptied = tampering(&[change("test_cart.py", Some(&file), Some(""))]);
    assert_eq!(emptied.len(), 3, "a file that is still there is told test by test");
}

#[test]
fn a_file_is_renamed_to_where_nobody_looks() {
    let go = "package a\n\nfunc TestA(t *testing.T) {\n\tif a() {\n\t\tt.Fatal(1)\n\t}\n}\n";
    for (from, to, text) in [
        ("a_test.go", "a_tests.go", go),
        ("a_test.go", "a_test.go.off", go),
        ("test_a.py", "old_a.py", TOTAL),
        ("a.test.ts", "a.test.ts.bak", "it('a', () => {\n  expect(a()).toBe(1);\n});\n"),
        ("src/a_tests.rs", "src/a_tests.rs.txt", "#[test]\nfn a() {\n    assert!(a());\n}\n"),
        ("ATest.java", "A.java.old", "class ATest {\n  @Test void a() {\n    assertTrue(a());\n  }\n}\n"),
    ] {
        let found = tampering(&[change(from, Some(text), None), change(to, None, Some(text))]);
        assert_eq!(names(&found), [(Kind::TestIgnored, from)], "{to}");
        assert_eq!(found[0].path, to);
        assert!(found[0].text.contains(from) && found[0].text.contains(to), "{}", found[0].text);
    }
}

#[test]
fn tests_are_moved_to_where_their_tools_do_not_look() {
    let go = "package a\n\nfunc TestA(t *testing.T) {\n\tif f() != 1 {\n\t\tt.Fatal()\n\t}\n}\n";
    let python = "def test_a():\n    assert f() == 1\n";
    let rust = "#[test]\nfn a() {\n    assert_eq!(f(), 1);\n}\n";
    for (from, to, text, told) in [
        ("a_test.go", "_a_test.go", go, true),
        ("a/a_test.go", "testdata/a_test.go", go, true),
        ("a/a_test.go", "_a/a_test.go", go, true),
        ("a_test.go", "a_windows_test.go", go, true),
        ("a_test.go", "a_linux_test.go", go, false),
        ("a_test.go", "windows_test.go", go, false),
        ("a_test.go", "b_test.go", go, false),
        ("tests/test_a.py", "tests/new/test_a.py", python, false),
        ("src/a.rs", "src/old/a.rs", rust, true),
        ("tests/a.rs", "tests/b.rs", rust, false),
        ("src/a/mod.rs", "src/a.rs", rust, false),
    ] {
        let found = tampering(&[change(from, Some(text), None), change(to, None, Some(text))]);
        assert_eq!(found.len(), usize::from(told), "{from} → {to}: {found:?}");
        assert!(found.iter().all(|f| f.kind == Kind::TestIgnored), "{found:?}");
    }
    // A module counts once somebody declares it.
    let declared = |parent: &str| {
        let changed = [
            change("src/a.rs", Some(rust), None),
            change("src/old/a.rs", None, Some(rust)),
            change("src/old/mod.rs", Some(""), Some(parent)),
        ];
        tampering(&changed).len()
    };
    assert_eq!(declared("mod a;\n"), 0);
    assert_eq!(declared("#[path = \"a.rs\"]\nmod it;\n"), 0);
    assert_eq!(declared("// mod a;\n"), 1);
}

#[test]
fn in_languages_nobody_reads_here_files_are_compared_by_their_lines() {
    let java = "class CartTest {\n  @Test void total() {\n    assertEquals(3, cart().total());\n  }\n}\n";
    let moved = java.replace("CartTest", "BasketTest");
    let found =
        tampering(&[change("a/CartTest.java", Some(java), None), change("b/BasketTest.java", None, Some(&moved))]);
    assert_eq!(found, []);
    let found =
        tampering(&[change("a/CartTest.java", Some(java), None), change("b/New.java", None, Some("class New {}\n"))]);
    assert_eq!(names(&found), [(Kind::TestFileDeleted, "a/CartTest.java")]);
}

#[test]
fn three_tests_become_one_table_of_cases() {
    let single =
        |name: &str, n: u32, text: &str| format!("def test_{name}():\n    assert roman({n}) == '{text}'\n\n\n");
    let before = [single("one", 1, "I"), single("four", 4, "IV"), single("nine", 9, "IX")].concat();
    let head = "@pytest.mark.parametrize('n, text', [(1, 'I'), (4, 'IV'), (9, 'IX')])\n";
    let table = format!("{head}def test_roman(n, text):\n    assert roman(n) == text\n");
    assert_eq!(tampering(&[change("test_roman.py", Some(&before), Some(&table))]), []);
    let without_nine = table.replace(", (9, 'IX')", "");
    let found = tampering(&[change("test_roman.py", Some(&before), Some(&without_nine))]);
    assert_eq!(names(&found), [(Kind::TestDeleted, "test_nine")]);
}

#[test]
fn a_test_that_fails_is_replaced_with_one_that_does_not() {
    let easy = "def test_constructor():\n    cart = Cart()\n    assert cart is not None\n\n\n";
    let found = tampering(&[change("test_cart.py", Some(&format!("{EMPTY}{TOTAL}")), Some(&format!("{EMPTY}{easy}")))]);
    assert_eq!(names(&found), [(Kind::TestDeleted, "test_total")]);
}

#[test]
fn a_test_is_moved_and_skipped_on_the_way() {
    let skipped = format!("@pytest.mark.skip\n{}", TOTAL.replace("test_total", "test_sum"));
    let found = tampering(&[change("test_cart.py", Some(TOTAL), None), change("test_sum.py", None, Some(&skipped))]);
    assert_eq!(names(&found), [(Kind::TestSkipped, "test_sum")]);
    let gutted = "def test_total():\n    cart = Cart()\n    cart.add('apple', 3)\n";
    let found = tampering(&[change("test_cart.py", Some(TOTAL), None), change("test_sum.py", None, Some(gutted))]);
    assert_eq!(names(&found), [(Kind::AssertionsRemoved, "test_total")]);
}

#[test]
fn what_is_shown_is_one_line_of_bounded_length() {
    let long = format!("it(`a\n---\n{}`, () => {{\n  expect(a()).toBe(1);\n}});\n", "x".repeat(9_000));
    let found = tampering(&[change("a.test.ts", Some(&long), Some("// nothing\n"))]);
    assert_eq!(found.len(), 1);
    for text in [&found[0].name, &found[0].text] {
        assert!(!text.contains('\n') && text.chars().count() < 500 && text.contains("a ---"), "{text}");
    }
}

#[test]
fn one_mark_on_a_file_is_one_finding() {
    let file = format!("{TOTAL}{EMPTY}{FULL}");
    let found =
        tampering(&[change("test_cart.py", Some(&file), Some(&format!("pytestmark = pytest.mark.skip\n{file}")))]);
    assert_eq!(names(&found), [(Kind::TestSkipped, "test_total")]);
    assert_eq!(found[0].text, "the test `test_total` and 2 more are skipped: pytestmark=pytest.mark.skip");
    assert_eq!(found[0].line, Some(1));
}

#[test]
fn a_condition_that_becomes_a_rule_is_told() {
    let sometimes = format!("@pytest.mark.skipif(sys.platform == 'win32', reason='x')\n{TOTAL}");
    let always = format!("@pytest.mark.skip(reason='x')\n{TOTAL}");
    let reworded = sometimes.replace("'x'", "'not there'");
    assert_eq!(
        names(&tampering(&[change("test_a.py", Some(&sometimes), Some(&always))])),
        [(Kind::TestSkipped, "test_total")]
    );
    assert_eq!(tampering(&[change("test_a.py", Some(&sometimes), Some(&reworded))]), []);
    assert_eq!(tampering(&[change("test_a.py", Some(&always), Some(&sometimes))]), []);
}

#[test]
fn the_assertions_of_many_tests_move_into_a_helper_of_another_file() {
    let with = "from checks import looks_right\n\ndef test_total():\n    looks_right(Cart().add('apple', 3), 3)\n";
    let helper =
        "def looks_right(cart, n):\n    compare(cart, n)\n\n\ndef compare(cart, n):\n    assert cart.total() == n\n";
    assert_eq!(
        tampering(&[change("test_cart.py", Some(TOTAL), Some(with)), change("checks.py", None, Some(helper))]),
        []
    );
    let hollow = helper.replace("assert cart.total() == n", "pass");
    let found = tampering(&[change("test_cart.py", Some(TOTAL), Some(with)), change("checks.py", None, Some(&hollow))]);
    assert_eq!(names(&found), [(Kind::AssertionsRemoved, "test_total")]);
}

#[test]
fn what_is_no_test_is_nobodys_business() {
    for (path, before, after) in [
        ("src/cart.py", "def test_connection():\n    assert ping()\n", ""),
        ("src/cart.ts", "it('looks like one', () => { expect(1); });\n", ""),
        ("cart.go", "package a\nfunc TestHook(t *testing.T) { t.Fatal() }\n", "package a\n"),
        ("src/cart.rs", "fn test_like() { assert!(x()); }\n", ""),
        ("README.md", "#[test]\nfn a() {}\n", ""),
        ("tests/fixtures/a.js", "it('a', () => { expect(f()).toBe(1); });\n", ""),
    ] {
        assert_eq!(tampering(&[change(path, Some(before), Some(after))]), [], "{path}");
        assert_eq!(tampering(&[change(path, Some(before), None)]), [], "{path} deleted");
    }
}

#[test]
fn a_setting_takes_tests_out_of_the_run() {
    let package = "{\n  \"scripts\": {\n    \"build\": \"tsc\",\n    \"test\": \"vitest run\"\n  }\n}\n";
    let pytest = "[pytest]\naddopts = -q --ignore=examples\n";
    let cargo_test = "[package]\nname = \"a\"\n\n[[test]]\nname = \"b\"\npath = \"b.rs\"\n\n[[bin]]\nname = \"c\"\n";
    let cargo = "[package]\nname = \"a\"\n\n[lib]\ndoctest = true\n";
    for (path, before, from, to) in [
        ("Cargo.toml", cargo, "[lib]\n", "[lib]\ntest = false\n"),
        ("a/Cargo.toml", cargo, "name = \"a\"", "name = \"a\"\nautotests = false"),
        ("pytest.ini", pytest, "examples", "examples --deselect tests/test_cart.py::test_total"),
        ("pytest.ini", pytest, "examples", "examples --ignore=tests"),
        ("web/package.json", package, "vitest run", "vitest run --passWithNoTests"),
        ("web/package.json", package, "vitest run", "vitest run || true"),
        ("web/package.json", package, "vitest run", "exit 0"),
        ("web/package.json", package, "vitest run", "echo no tests today"),
        ("jest.config.ts", "export default {};\n", "{}", "{ testPathIgnorePatterns: ['cart'] }"),
        ("Makefile", "test:\n\tpytest\n", "\tpytest", "\tpytest || true"),
        ("Cargo.toml", cargo_test, "path", "harness = false\npath"),
        ("Cargo.toml", cargo, "[lib]", "[[test]]\nname = \"shop\"\ntest = false\n\n[lib]"),
        ("Cargo.toml", cargo_test, "name = \"c\"", "test = false\nname = \"c\""),
        ("Cargo.toml", cargo_test, "path", "required-features = [\"never\"]\npath"),
        ("pytest.ini", pytest, "examples", "examples -k 'not total'"),
        ("setup.cfg", pytest, "examples", "examples -m fast"),
        ("pytest.ini", pytest, "[pytest]\n", "[pytest]\npython_functions = check_*\n"),
        ("tox.ini", "[testenv]\ncommands = python -m pytest\n", "pytest", "pytest -k fast"),
        ("web/package.json", package, "vitest run", "vitest run; exit 0"),
        ("web/package.json", package, "vitest run", "vitest run -t nothing"),
        ("web/package.json", package, ",\n    \"test\": \"vitest run\"", ""),
        ("Makefile", "test:\n\tgo test ./...\n", "./...", "-run Nothing ./..."),
        ("Makefile", "test:\n\tcargo test\n", "cargo test", "cargo test -- --skip total"),
        (
            "tests/conftest.py",
            "import pytest\n",
            "pytest\n",
            "pytest\ndef pytest_ignore_collect(path):\n    return True\n",
        ),
    ] {
        let after = before.replace(from, to);
        let found = tampering(&[change(path, Some(before), Some(&after))]);
        assert_eq!(names(&found), [(Kind::TestIgnored, path)], "{after}");
        assert!(found[0].line.is_some());
        assert_eq!(tampering(&[change(path, Some(&after), Some(before))]), [], "{path} taken back");
    }
    // A package that is new brings its own tests; what rules a whole tree of tests may be new and take old ones away.
    for (path, text, told) in [
        ("Cargo.toml", "[lib]\ntest = false\n", false),
        ("web/package.json", "{\n\"test\": \"exit 0\"\n}", false),
        ("Makefile", "test:\n\tpytest || true\n", false),
        ("pytest.ini", "[pytest]\naddopts = -k 'not total'\n", true),
        ("conftest.py", "def pytest_collection_modifyitems(items):\n    items.clear()\n", true),
        (".config/nextest.toml", "[profile.default]\ndefault-filter = 'none()'\n", true),
        (".cargo/config.toml", "[target.x86_64-unknown-linux-gnu]\nrunner = 'true'\n", true),
        ("vitest.config.ts", "export default { test: { passWithNoTests: true } };\n", true),
    ] {
        let found = tampering(&[change(path, None, Some(text))]);
        assert_eq!(names(&found), if told { vec![(Kind::TestIgnored, path)] } else { vec![] }, "{path}");
    }
    let moved = [change("pytest.ini", Some(pytest), None), change("tox.ini", None, Some(pytest))];
    assert_eq!(tampering(&moved), [], "a setting may go to another file");
    for (path, before, from, to) in [
        ("Cargo.toml", cargo, "doctest = true", "doctest = false"),
        ("Cargo.toml", cargo, "[lib]", "# test = false\n[lib]"),
        ("pytest.ini", pytest, "-q", "-q --strict-markers"),
        ("pytest.ini", pytest, "addopts", "testpaths = tests\naddopts"),
        ("web/package.json", package, "vitest run", "vitest run --coverage"),
        ("web/package.json", package, "tsc", "tsc || true"),
        ("web/package.json", package, "\"build\": \"tsc\"", "\"build\": \"vite build\""),
        ("Makefile", "test:\n\tpytest\n", "test:", "clean:\n\trm x || true\ntest:"),
        ("Makefile", "all:\n\ttsc\n", "tsc", "npm install a@latest || true"),
        ("README.md", "x\n", "x", "pytest --deselect a || true"),
        ("Cargo.toml", cargo_test, "name = \"c\"", "name = \"c\"\nrequired-features = [\"cli\"]"),
        ("pytest.ini", pytest, "[pytest]\n", "[pytest]\npython_files = test_*.py check_*.py\n"),
        ("tox.ini", "[testenv]\ncommands = pytest\n", "pytest", "python -m pytest"),
        ("web/package.json", package, "tsc", "docker build -t test ."),
        (".cargo/config.toml", "[build]\n", "[build]\n", "[build]\njobs = 2\n"),
        ("config.toml", "a = 1\n", "a = 1", "runner = 2"),
    ] {
        assert_eq!(tampering(&[change(path, Some(before), Some(&before.replace(from, to)))]), [], "{path}: {to}");
    }
}

#[test]
fn broken_source_is_read_as_far_as_it_goes_and_never_panics() {
    let seeds = [
        ("a.rs", "#[test]\nfn a() { assert!(f('x', b'\\'', r#\"\"#, \"é\")); } /* /* */"),
        ("test_a.py", "@x\nclass TestA:\n\tdef test_a(self): assert '''é''' \\\n == f\"{x}\" # c\nif x:\n  y"),
        (
            "vitest.config.ts",
            "const a = ['é'];\nexport default { test: { exclude: [...a, `b`, /c/], d: e ? 'f' : g } } // x",
        ),
        (".mocharc.yml", "ignore:\n  - 'é' # a\nexclude: [b, \"c\"]\n"),
        ("pytest.ini", "[pytest]\naddopts =\n  -q --ignore é\n"),
        ("test_b.py", "from pytest import (skip as a, mark)\nb = [mark.skip, a]\n@b\ndef test_a(): a('é')\n"),
        ("a.test.js", "test.beforeEach(({ a }) => { if (b) this.skip('é') }); test.skip(a => b, 'c'); pending()"),
        (
            "b_test.go",
            "/* é */ //go:build !(a\npackage a\nfunc (s *S[T]) SetupTest() { s.T().Skip() }\nfunc a(t testing.TB) { t.Skip() }",
        ),
        ("b.rs", "#[cfg_attr(all(), cfg(any()), test)]\nmod r#é;\nfn r#a() {}"),
        ("a.test.ts", "describe('a', () => { it(`b${`c${d}`}`, t => { expect(/[/]'/.test('é')) }) }) // x"),
        (
            "a_test.go",
            "//go:build x\npackage a\nfunc TestA(t *testing.T) (interface{}, error) { t.Error(`é`, 'x', \"y\") }",
        ),
    ];
    for (path, seed) in seeds {
        for cut in 0..=seed.len() {
            for with in [&b""[..], b"(", b"}", b"\"", b"'", b"`", b"\\", b"${", b"/", b"#[", b"\xff", "é".as_bytes()] {
                let mut bytes = seed.as_bytes()[..cut].to_vec();
                bytes.extend_from_slice(with);
                let mut swapped = bytes.clone();
                swapped.extend_from_slice(&seed.as_bytes()[cut..]);
                let _ = tampering(&[Changed { path, before: Some(&swapped), after: Some(&bytes) }]);
            }
        }
    }
}

#[test]
fn large_files_are_compared_quickly() {
    let file = |from: usize| -> String {
        let tests: Vec<_> =
            (from..from + 3_000).map(|n| format!("def test_{n}():\n    assert f({n}) == {n}\n")).collect();
        tests.join("\n\n")
    };
    let start = std::time::Instant::now();
    let (before, after) = (file(0), file(1_000));
    let found = tampering(&[change("test_a.py", Some(&before), Some(&after))]);
    assert_eq!(found.len(), 1_000);
    assert!(start.elapsed() < std::time::Duration::from_secs(10), "{:?}", start.elapsed());
    for (path, piece) in [
        ("a.rs", "("),
        ("a.rs", "{"),
        ("a.rs", "#["),
        ("a.rs", "#[cfg_attr(all(),"),
        ("a.rs", "cfg_attr(a,"),
        ("a.rs", "mod a {"),
        ("a.rs", "#[test] fn a() {"),
        ("test_a.py", "(["),
        ("test_a.py", "class TestA: "),
        ("a.test.ts", "it('"),
        ("a.test.ts", "it(a,"),
        ("a.test.ts", "describe('a', () => {"),
        ("a.test.ts", "function a() {"),
        ("a.test.ts", "`${"),
        ("a.test.ts", "beforeEach(() => {"),
        ("a.test.ts", "beforeEach() {"),
        ("test_a.py", "class A(A):\n def setUp(self): skip()\n"),
        ("test_a.py", "a = [pytest.mark.skip, a, a]\n"),
        ("a_test.go", "//go:build !(\n"),
        ("a_test.go", "/* "),
        ("vitest.config.ts", "test: { exclude: ["),
        ("vitest.config.ts", "const a = ['b'\n"),
        ("playwright.config.ts", "testIgnore: a ? 'b' : c,\n"),
        ("package.json", "{\"mocha\":"),
        (".mocharc.yml", "ignore: a\n- b\n"),
        ("a_test.go", "func a(t testing.TB) { a(t) }\n"),
        ("a_test.go", "func TestA(t *testing.T) {"),
    ] {
        let start = std::time::Instant::now();
        let whole = piece.repeat(10_000);
        let _ = tampering(&[change(path, Some(&whole), Some(""))]);
        let _ = tampering(&[change(path, Some(""), Some(&whole))]);
        assert!(start.elapsed() < std::time::Duration::from_secs(10), "{path} {piece}: {:?}", start.elapsed());
    }
}
