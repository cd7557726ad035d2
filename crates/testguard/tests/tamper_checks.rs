//! What checks something, and what only looks as if it did.

mod tamper_kit;

use orch_testguard::tamper::Kind;
use tamper_kit::{loud, silent, told};

const EMPTIED: Kind = Kind::AssertionsRemoved;

const PYTHON: &str = "import unittest\n\n\nclass TestCart(unittest.TestCase):\n    def test_total(self):\n        cart = Cart(self.hook)\n        self.assertEqual(cart.total(), 3)\n";
const SCRIPT: &str = "describe('cart', () => {\n  it('sums', () => {\n    const cart = new Cart();\n    expect(cart.total()).toBe(3);\n  });\n});\n";
const RUST: &str =
    "#[test]\nfn adds() {\n    let mut cart = Cart::new();\n    cart.add(3);\n    assert_eq!(cart.total(), 3);\n}\n";

#[test]
fn what_is_given_a_constant_may_look_at_something_else() {
    let check = "self.assertEqual(cart.total(), 3)";
    for to in [
        "hook.assert_called_once_with(3)",
        "self.hook.assert_called_once_with(3)",
        "cart.hook().assert_called_with(True)",
        "check_total(3)",
        "self.assertEqual(3, cart.total())",
        "assert 3 == cart.total()",
    ] {
        silent("tests/test_cart.py", PYTHON, &[(to, check, to)]);
    }
    for to in
        ["self.assertEqual(1, 1)", "self.assertTrue(True)", "assert True", "assertEqual(1, 1)", "assertTrue(True)"]
    {
        loud("tests/test_cart.py", PYTHON, &[(EMPTIED, "TestCart.test_total", (to, check, to))]);
    }
    let check = "expect(cart.total()).toBe(3);";
    for to in [
        "return request(app).get('/').expect(200);",
        "await request(app)\n      .get('/')\n      .expect(200);",
        "client.expect(1).toBe(1);",
        "expectTotal(3);",
        "assert.equal(3, cart.total());",
        "expect(3).to.equal(cart.total());",
        "chai.expect(cart.total()).to.equal(3);",
    ] {
        silent("test/cart.test.js", SCRIPT, &[(to, check, to)]);
    }
    for to in [
        "expect(1).toBe(1);",
        "assert.equal(1, 1);",
        "chai.assert.equal(1, 1);",
        "t.equal(1, 1);",
        "return expect(1).to.equal(1);",
        "expect(true).toBe(true);",
        "assert(true);",
    ] {
        loud("test/cart.test.js", SCRIPT, &[(EMPTIED, "cart > sums", (to, check, to))]);
    }
    let check = "assert_eq!(cart.total(), 3);";
    for to in ["cart.mock().assert_hits(1);", "mock.assert_hits(1);", "check_total(3);", "assert_eq!(3, cart.total());"]
    {
        silent("tests/cart.rs", RUST, &[(to, check, to)]);
    }
    for to in ["assert_eq!(1, 1);", "assert!(true);", "assert!(true, \"x\");"] {
        loud("tests/cart.rs", RUST, &[(EMPTIED, "adds", (to, check, to))]);
    }
}

#[test]
fn a_case_may_say_what_has_to_come_out() {
    let plain = "#[test]\nfn adds() {\n    assert_eq!(sum(1, 2), 3);\n}\n";
    let case = "#[test_case(1, 2 => 3)]\nfn adds(a: u32, b: u32) -> u32 {\n    sum(a, b)\n}\n";
    assert_eq!(told(&[("tests/a.rs", Some(plain), Some(case))]), []);
    let hollow = case.replace(" => 3", "");
    assert_eq!(told(&[("tests/a.rs", Some(case), Some(&hollow))]), [(EMPTIED, "adds".to_owned())]);
    assert_eq!(told(&[("tests/a.rs", Some(plain), Some(&hollow))]), [(EMPTIED, "adds".to_owned())]);
    let cases = "#[rstest]\n#[case(1, 2, 3)]\nfn adds(#[case] a: u32, #[case] b: u32, #[case] c: u32) {\n    assert_eq!(sum(a, b), c);\n}\n";
    assert_eq!(told(&[("tests/a.rs", Some(plain), Some(cases))]), []);
    assert_eq!(told(&[("tests/a.rs", Some(cases), Some(""))]), [(Kind::TestDeleted, "adds".to_owned())]);
}
