//! What counts as taking a test away in JavaScript, TypeScript and Go: tables as in `tamper_languages.rs`.

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

fn loud(path: &str, base: &str, edits: &[(Kind, &str, Edit<'_>)]) {
    for (kind, name, (what, from, to)) in edits {
        assert!(base.contains(from), "{what}: {from:?} is not in the file");
        let after = base.replacen(from, to, 1);
        assert_eq!(found(path, base, &after), [(*kind, (*name).to_owned())], "{what}:\n{after}");
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

const TYPESCRIPT: &str = r#"
import { describe, it, expect } from "vitest";
// it("fake", () => {});
const pattern = /it\("also fake", \(\) => {/;

function same<T>(a: T, b: T): void {
  expect(a).toEqual(b);
}

describe("cart", () => {
  const page = `<p>${render(`it('nested')`)}</p> it("in a template", () => {})`;

  it("sums", async () => {
    const cart = new Cart();
    cart.add("apple", 3);
    expect(cart.total()).toBe(3);
  });

  test('removes', function () {
    if (pattern.test("x")) { return; }
    same(new Cart().remove("apple"), "it's gone");
  });

  it.each([[1, 2], [3, 4]])("doubles %i", (a, b) => {
    expect(twice(a)).toBe(b);
  });

  describe.each`n\n${1}`("group $n", ({ n }) => {
    it(`counts ${n}`, () => {
      assert.equal(n, 1);
    });
  });

  it("shows", () => {
    render(<p>don't {name}</p>);
    expect(screen.getByText("don't")).toBeVisible();
  });
});
"#;

#[test]
fn typescript() {
    let sums = "  it(\"sums\", async () => {\n    const cart = new Cart();\n    cart.add(\"apple\", 3);\n    expect(cart.total()).toBe(3);\n  });\n";
    let commented = format!("  // {}\n", sums.trim_end().replace('\n', "\n  // "));
    loud(
        "src/cart.test.tsx",
        TYPESCRIPT,
        &[
            (DELETED, "cart > sums", ("deleted", sums, "")),
            (DELETED, "cart > sums", ("commented out", sums, &commented)),
            (DELETED, "cart > sums", ("commented out as a block", sums, &format!("/*{sums}*/"))),
            (DELETED, "cart > sums", ("put into a template", sums, &format!("const old = `{sums}`;"))),
            (DELETED, "cart > sums", ("without a body", sums, "  it(\"sums\");\n")),
            (SKIPPED, "cart > sums", ("skipped", "it(\"sums\"", "it.skip(\"sums\"")),
            (SKIPPED, "cart > sums", ("to do", "it(\"sums\"", "it.todo(\"sums\"")),
            (SKIPPED, "cart > sums", ("crossed out", "it(\"sums\"", "xit(\"sums\"")),
            (SKIPPED, "cart > removes", ("crossed out", "test('removes'", "xtest('removes'")),
            (SKIPPED, "cart > sums", ("may fail", "it(\"sums\"", "it.fails(\"sums\"")),
            (SKIPPED, "cart > sums", ("under a condition", "it(\"sums\"", "it.skipIf(process.env.CI)(\"sums\"")),
            (SKIPPED, "cart > sums", ("an option", "it(\"sums\", async", "it(\"sums\", { skip: true }, async")),
            (
                SKIPPED,
                "cart > sums",
                ("an option with a reason", "it(\"sums\", async", "it(\"sums\", { timeout: 5, todo: 'x' }, async"),
            ),
            (SKIPPED, "cart > sums", ("in the body", "const cart = new", "ctx.skip();\n    const cart = new")),
            (
                SKIPPED,
                "cart > sums",
                ("in the body, if", "const cart = new", "test.skip(isMac, 'no');\n    const cart = new"),
            ),
            (SKIPPED, "cart > sums", ("returns", "const cart = new", "return;\n    const cart = new")),
            (SKIPPED, "cart > sums", ("the group", "describe(\"cart\"", "describe.skip(\"cart\"")),
            (SKIPPED, "cart > sums", ("the group crossed out", "describe(\"cart\"", "xdescribe(\"cart\"")),
            (SKIPPED, "cart > doubles %i", ("a table", "it.each(", "it.skip.each(")),
            (SKIPPED, "cart > sums", ("never declared", "it(\"sums\"", "false && it(\"sums\"")),
            (SKIPPED, "cart > sums", ("in a dead block", "describe(\"cart\"", "if (false) describe(\"cart\"")),
            (SKIPPED, "cart > sums", ("never reached", "const cart = new", "if (false) {}\n    const cart = new")),
            (IGNORED, "the tests of other files", ("only this file", "describe(\"cart\"", "describe.only(\"cart\"")),
            (IGNORED, "cart > removes", ("only another one", "it(\"sums\"", "it.only(\"sums\"")),
            (IGNORED, "cart > removes", ("only another one, focused", "it(\"sums\"", "fit(\"sums\"")),
            (EMPTIED, "cart > sums", ("no expectation", "expect(cart.total()).toBe(3);", "cart.total();")),
            (EMPTIED, "cart > sums", ("a constant", "expect(cart.total()).toBe(3);", "expect(true).toBe(true);")),
            (
                EMPTIED,
                "cart > sums",
                ("in a comment", "expect(cart.total()).toBe(3);", "/* expect(cart.total()).toBe(3); */"),
            ),
            (
                EMPTIED,
                "cart > removes",
                ("no helper", "same(new Cart().remove(\"apple\"), \"it's gone\");", "new Cart().remove(\"apple\");"),
            ),
        ],
    );
    silent(
        "src/cart.test.tsx",
        TYPESCRIPT,
        &[
            ("renamed", "it(\"sums\"", "it(\"sums apples\""),
            ("another group", "describe(\"cart\"", "describe(\"the cart\""),
            ("another word", "it(\"sums\"", "test(\"sums\""),
            ("other quotes", "it(\"sums\"", "it('sums'"),
            (
                "reformatted",
                sums,
                "it(\"sums\", async () => { const cart = new Cart(); cart.add(\"apple\", 3); expect(cart.total()).toBe(3) })\n",
            ),
            ("more cases", "[[1, 2], [3, 4]]", "[[1, 2], [3, 4], [5, 6]]"),
            ("concurrent", "it(\"sums\"", "it.concurrent(\"sums\""),
            ("not skipped", "it(\"sums\", async", "it(\"sums\", { skip: false, timeout: 9 }, async"),
            ("through a helper", "expect(cart.total()).toBe(3);", "same(cart.total(), 3);"),
            ("words in a comment", "const cart = new", "// it.skip(\"sums\", t.skip()) return;\n    const cart = new"),
            ("a key of that name", "const cart = new", "const options = { skip: true };\n    const cart = new"),
            ("a new one that is to do", "  it(\"shows\"", "  it.todo(\"later\");\n\n  it(\"shows\""),
            (
                "an arrow without braces",
                "it(\"sums\", async () => {\n    const cart = new Cart();\n    cart.add(\"apple\", 3);\n    expect(cart.total()).toBe(3);\n  });",
                "it(\"sums\", () => expect(new Cart().add(\"apple\", 3).total()).toBe(3));",
            ),
        ],
    );
}

#[test]
fn the_test_runner_of_node() {
    let before = "import test from 'node:test';\nimport assert from 'node:assert';\n\ntest('a', (t) => {\n  assert.strictEqual(f(), 1);\n});\ntest('b', async (t) => {\n  await t.test('c', () => { assert.ok(g()); });\n});\n";
    for (from, to, name) in [
        ("test('a', (t)", "test('a', { skip: true }, (t)", "a"),
        ("test('a', (t)", "test('a', { skip: 'later' }, (t)", "a"),
        ("  assert.strict", "  t.skip('later');\n  assert.strict", "a"),
        ("test('a', (t)", "test.todo('a', (t)", "a"),
    ] {
        assert_eq!(found("test/f.mjs", before, &before.replace(from, to)), [(SKIPPED, name.to_owned())], "{to}");
    }
    // A test inside a test is one.
    let (inner, outer) = ("  await t.test('c', () => { assert.ok(g()); });\n", "test('b', async (t) => {\n");
    let whole = format!("{outer}{inner}}});\n");
    let tape = "  t.test('d', function (st) { st.deepEqual(h(), {}); });\n";
    let two = before.replace(inner, &format!("{inner}{tape}"));
    assert_eq!(found("test/f.mjs", &two, before), [(DELETED, "b > d".to_owned())]);
    assert_eq!(
        found("test/f.mjs", &two, &two.replace(&two[two.find(outer).unwrap()..], "")),
        [(DELETED, "b".to_owned())]
    );
    assert_eq!(found("test/f.mjs", before, &before.replace(&whole, "")), [(DELETED, "b".to_owned())]);
    let skipped = two.replace("t.test('d', function", "t.test('d', { skip: true }, function");
    assert_eq!(found("test/f.mjs", &two, &skipped), [(SKIPPED, "b > d".to_owned())]);
    let hollow = two.replace("st.deepEqual(h(), {});", "h();");
    assert_eq!(found("test/f.mjs", &two, &hollow), [(EMPTIED, "b > d".to_owned())]);
    let renamed = two.replace("t.test('d'", "t.test('nothing'");
    assert_eq!(found("test/f.mjs", &two, &renamed), []);
    let only = before.replace("test('a', (t)", "test('a', { only: true }, (t)");
    assert_eq!(found("test/f.mjs", before, &only), [(IGNORED, "b".to_owned())]);
}

const GO: &str = r#"package cart

import "testing"

// func TestFake(t *testing.T) {}

func TestMain(m *testing.M) { os.Exit(m.Run()) }

func same(t *testing.T, a, b int) {
	t.Helper()
	if a != b {
		t.Fatalf("%d is not %d", a, b)
	}
}

func TestTotal(t *testing.T) {
	cart := New()
	cart.Add("apple", '"', `func TestInText(t *testing.T) { t.Skip() }`)
	if cart.Total() != 3 {
		t.Errorf("total is %d", cart.Total())
	}
}

func TestTable(t *testing.T) {
	for _, tc := range []struct{ in, out int }{{1, 2}, {3, 4}} {
		t.Run("case", func(t *testing.T) { same(t, Twice(tc.in), tc.out) })
	}
}

func FuzzParse(f *testing.F) {
	f.Fuzz(func(t *testing.T, s string) { require.NoError(t, Parse(s)) })
}

func Testing() {}
"#;

#[test]
fn go() {
    let total = &GO[GO.find("func TestTotal").unwrap()..GO.find("func TestTable").unwrap()];
    let commented = format!("// {}\n", total.trim_end().replace('\n', "\n// "));
    loud(
        "cart_test.go",
        GO,
        &[
            (DELETED, "TestTotal", ("deleted", total, "")),
            (DELETED, "TestTotal", ("commented out", total, &commented)),
            (DELETED, "TestTotal", ("commented out as a block", total, &format!("/*{total}*/\n"))),
            (DELETED, "TestTotal", ("renamed out of sight", "func TestTotal", "func testTotal")),
            (DELETED, "TestTotal", ("a lower letter", "func TestTotal", "func Testtotal")),
            (SKIPPED, "TestTotal", ("skipped", "\tcart := New()", "\tt.Skip(\"flaky\")\n\tcart := New()")),
            (SKIPPED, "TestTotal", ("skipped now", "\tcart := New()", "\tt.SkipNow()\n\tcart := New()")),
            (
                SKIPPED,
                "TestTotal",
                ("skipped if", "\tcart := New()", "\tif testing.Short() {\n\t\tt.Skip()\n\t}\n\tcart := New()"),
            ),
            (SKIPPED, "TestTable", ("a case", "{ same(t", "{ t.Skipf(\"x\"); same(t")),
            (SKIPPED, "TestTotal", ("returns", "\tcart := New()", "\treturn\n\tcart := New()")),
            (IGNORED, "TestTotal", ("a build tag", "package cart", "//go:build ignore\n\npackage cart")),
            (IGNORED, "TestTotal", ("a tag to ask for", "package cart", "//go:build integration\n\npackage cart")),
            (IGNORED, "TestTotal", ("an old tag", "package cart", "// +build never\n\npackage cart")),
            (
                IGNORED,
                "the tests beside TestMain",
                ("ends well before them", "{ os.Exit(m.Run()) }", "{\n\tm.Run()\n\tos.Exit(0)\n}"),
            ),
            (IGNORED, "the tests beside TestMain", ("never runs them", "os.Exit(m.Run())", "fmt.Println(m)")),
            (SKIPPED, "TestTotal", ("never reached", "\tcart := New()", "\tif false {\n\t}\n\tcart := New()")),
            (
                EMPTIED,
                "TestTotal",
                ("nothing fails", "t.Errorf(\"total is %d\", cart.Total())", "fmt.Println(cart.Total())"),
            ),
            (EMPTIED, "TestTable", ("no helper", "same(t, Twice(tc.in), tc.out)", "Twice(tc.in)")),
        ],
    );
    silent(
        "cart_test.go",
        GO,
        &[
            ("renamed", "func TestTotal", "func TestTotalOfAnApple"),
            ("no test", "func Testing() {}", ""),
            ("more cases", "{3, 4}", "{3, 4}, {5, 6}"),
            (
                "on one line",
                "\tif cart.Total() != 3 {\n\t\tt.Errorf(\"total is %d\", cart.Total())\n\t}",
                "\tif cart.Total() != 3 { t.Errorf(\"total is %d\", cart.Total()) }",
            ),
            (
                "through a helper",
                "\tif cart.Total() != 3 {\n\t\tt.Errorf(\"total is %d\", cart.Total())\n\t}",
                "\tsame(t, cart.Total(), 3)",
            ),
            (
                "by a library",
                "\tif cart.Total() != 3 {\n\t\tt.Errorf(\"total is %d\", cart.Total())\n\t}",
                "\tassert.Equal(t, 3, cart.Total())",
            ),
            ("words in a comment", "\tcart := New()", "\t// t.Skip() return\n\tcart := New()"),
            ("run by another", "os.Exit(m.Run())", "goleak.VerifyTestMain(m)"),
            ("where orch runs", "package cart", "//go:build linux\n\npackage cart"),
            (
                "a process of its own",
                "{ os.Exit(m.Run()) }",
                "{\n\tif os.Getenv(\"X\") != \"\" {\n\t\tos.Exit(0)\n\t}\n\tos.Exit(m.Run())\n}",
            ),
            ("a comment in front", "package cart", "// Package cart tests carts.\npackage cart"),
            ("a new one that is skipped", "func Testing() {}", "func TestLater(t *testing.T) { t.Skip() }"),
        ],
    );
}
