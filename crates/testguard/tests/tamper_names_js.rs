//! Other names for what skips in JavaScript: those a file gives it, and what a test is handed.

mod tamper_kit;

use orch_testguard::tamper::Kind;
use tamper_kit::{found, loud, silent};

const SKIPPED: Kind = Kind::TestSkipped;

const SCRIPT: &str = "const slow = process.env.SLOW;\n\nbeforeEach(() => {\n  connect();\n});\n\ndescribe('cart', () => {\n  it('sums', () => {\n    const cart = new Cart();\n    expect(cart.total()).toBe(3);\n  });\n});\n";

#[test]
fn a_name_for_what_skips_skips() {
    for to in [
        "const d = slow ? describe : describe.skip;\nd('cart'",
        "const d = slow ? describe.skip : describe;\n\nd('cart'",
        "const d = slow\n  ? describe\n  : describe.skip;\nd('cart'",
        "const d = describe.skip;\nd('cart'",
        "const d = (on) => (on ? describe : describe.skip);\nd(slow)('cart'",
        "const d = on => on ? describe : describe.skip\nd(slow)('cart'",
    ] {
        loud("cart.test.js", SCRIPT, &[(SKIPPED, "cart > sums", (to, "describe('cart'", to))]);
    }
    loud(
        "cart.test.js",
        SCRIPT,
        &[(SKIPPED, "cart > sums", ("of a test", "  it('sums'", "  const on = slow ? it : it.skip;\n  on('sums'"))],
    );
    for to in [
        "const d = describe;\nd('cart'",
        "const d = slow ? describe : other.skip;\ndescribe('cart'",
        "const d = slow ? describe : describe.skip;\nd('new', () => {});\ndescribe('cart'",
        "const text = 'describe.skip';\ndescribe('cart'",
    ] {
        silent("cart.test.js", SCRIPT, &[(to, "describe('cart'", to)]);
    }
    // One that was under a condition by another name is no news.
    let was = SCRIPT.replace("describe('cart'", "describe.skipIf(!slow)('cart'");
    let now = SCRIPT.replace("describe('cart'", "const d = slow ? describe : describe.skip;\nd('cart'");
    assert_eq!(found("cart.test.js", &was, &now), []);
}

#[test]
fn what_a_test_is_handed_may_skip_it() {
    let head = "it('sums', () => {\n";
    for to in [
        "it('sums', ({ skip }) => {\n    skip();\n",
        "it('sums', ({ task, skip: later }) => {\n    if (slow) later();\n",
        "it('sums', async (c) => {\n    c.skip();\n",
        "it('sums', c => {\n    if (slow) { c.skip('x'); }\n",
        "it('sums', function (c) {\n    c.skip();\n",
    ] {
        loud("cart.test.js", SCRIPT, &[(SKIPPED, "cart > sums", (to, head, to))]);
    }
    let hook = "beforeEach(() => {\n  connect();\n});";
    for to in [
        "beforeEach(({ skip }) => skip());",
        "beforeEach((c) => c.skip());",
        "beforeEach((c) => { if (slow) c.skip(); });",
    ] {
        loud("cart.test.js", SCRIPT, &[(SKIPPED, "cart > sums", (to, hook, to))]);
    }
    for to in [
        "it('sums', ({ page }) => {\n    page.skip();\n",
        "it('sums', (c) => {\n    list.skip(3);\n",
        "it('sums', ({ skip }) => {\n    const cart = list.skip(3);\n",
        "it('sums', ({ task }) => {\n    skip(task);\n",
    ] {
        silent("cart.test.js", SCRIPT, &[(to, head, to)]);
    }
    let short = "it('sums', () => expect(sum()).toBe(3));\n";
    for to in ["it('sums', ({ skip }) => skip());\n", "it('sums', (c) => c.skip());\n"] {
        assert_eq!(found("cart.test.js", short, to), [(SKIPPED, "sums".to_owned())], "{to}");
    }
}
