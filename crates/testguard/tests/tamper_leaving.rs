//! Tests that are there and run, and cannot fail any more: they leave before they check, or nobody sees their failure.

mod tamper_kit;

use orch_testguard::tamper::Kind;
use tamper_kit::{loud, silent, told};

const SKIPPED: Kind = Kind::TestSkipped;

const PYTHON: &str = "def test_total():\n    cart = Cart()\n    cart.add(3)\n    assert cart.total() == 3\n\n\ndef test_fails():\n    try:\n        cart.add(-1)\n    except ValueError:\n        log()\n    self.fail()\n";
const SCRIPT: &str = "describe('cart', () => {\n  it('sums', async () => {\n    const cart = new Cart();\n    cart.add(3);\n    expect(cart.total()).toBe(3);\n  });\n});\n";
const RUST: &str =
    "#[test]\nfn adds() {\n    let mut cart = Cart::new();\n    cart.add(3);\n    assert_eq!(cart.total(), 3);\n}\n";
const GO: &str = "package cart\n\nfunc TestTotal(t *testing.T) {\n\tcart := New()\n\tcart.Add(3)\n\tif cart.Total() != 3 {\n\t\tt.Fatal(cart)\n\t}\n}\n";

#[test]
fn a_test_of_python_that_leaves_before_its_first_check_checks_nothing() {
    for to in [
        "if os.environ.get('CI'): return",
        "if os.environ.get('CI'):\n        return",
        "if os.environ.get('CI'):\n        print('no')\n        return None",
        "cart.add(4)\n    return",
        "return None",
        "for _ in range(3):\n        if slow():\n            return",
        "try:\n        connect()\n    except OSError:\n        return",
        "def help():\n        return 1\n    return",
    ] {
        let to = format!("{to}\n    cart.add(3)");
        loud("test_cart.py", PYTHON, &[(SKIPPED, "test_total", (&to, "cart.add(3)", &to))]);
    }
    for to in [
        "def help():\n        return\n    cart.add(3)",
        "def help():\n        if ci:\n            return None\n        return 1\n    cart.add(help())",
        "cart.add(lambda: None)",
        "assert cart.empty()\n    if cart.full(): return\n    cart.add(3)",
        "check_empty(cart)\n    return cart.add(3)",
        "cart.add(3)  # return",
    ] {
        silent("test_cart.py", PYTHON, &[(to, "cart.add(3)", to)]);
    }
    silent(
        "test_cart.py",
        PYTHON,
        &[
            ("the error that is awaited", "log()", "return"),
            ("gives back what checks", "assert cart.total() == 3", "return check_total(cart, 3)"),
            ("at its end", "assert cart.total() == 3", "assert cart.total() == 3\n    return"),
            ("a new one", "def test_fails", "def test_new():\n    return\n    assert x()\n\n\ndef test_fails"),
        ],
    );
}

#[test]
fn a_test_of_javascript_that_leaves_before_its_first_check_checks_nothing() {
    for to in [
        "if (!process.env.FULL) return;",
        "if (!process.env.FULL) { return; }",
        "if (!process.env.FULL) { return }",
        "if (a) b(); else return undefined;",
        "return undefined;",
        "return void 0",
        "for (const x of xs) { if (!x) return }",
        "switch (os) { case 'mac': return; }",
    ] {
        let to = format!("{to}\n    cart.add(3);");
        loud("cart.test.js", SCRIPT, &[(SKIPPED, "cart > sums", (&to, "cart.add(3);", &to))]);
    }
    for to in [
        "page.on('x', () => { return; });",
        "page.on('x', function () { return; });",
        "const one = { add(x) { return; } };",
        "const add = (x) => { if (!x) return; cart.add(x); };",
        "expect(cart).toBe(one); if (all) return;",
        "if (one) { return request(app).get('/').expect(200); }",
        "if (one) return expect(cart.total()).toBe(0);",
        "cart.note('return;');",
    ] {
        let to = format!("{to}\n    cart.add(3);");
        silent("cart.test.js", SCRIPT, &[(&to, "cart.add(3);", &to)]);
    }
    let check = "expect(cart.total()).toBe(3);";
    silent(
        "cart.test.js",
        SCRIPT,
        &[
            ("gives back what checks", check, "return request(app).get('/').expect(200);"),
            ("at its end", check, "expect(cart.total()).toBe(3);\n    return;"),
            ("the error that is awaited", check, "try { cart.add(-1); } catch (e) { return; }\n    assert.fail('no');"),
        ],
    );
}

#[test]
fn a_test_of_rust_or_go_that_leaves_before_its_first_check_checks_nothing() {
    for to in [
        "if std::env::var_os(\"CI\").is_none() { return; }",
        "if ci() { return }",
        "return ();",
        "return;",
        "let Ok(x) = var() else { return };",
        "match var() { None => return, Some(x) => cart.add(x), }",
        "if ci() { return Ok(()); }",
    ] {
        let to = format!("{to}\n    cart.add(3);");
        loud("tests/cart.rs", RUST, &[(SKIPPED, "adds", (&to, "cart.add(3);", &to))]);
    }
    for to in [
        "cart.each(|x| { if x == 0 { return; } });",
        "cart.spawn(async move { return; });",
        "fn help(x: u32) { if x == 0 { return; } }",
        "assert!(cart.is_empty()); if all() { return; }",
        "if one() { return check(cart); }",
        "let text = \"return;\";",
    ] {
        let to = format!("{to}\n    cart.add(3);");
        silent("tests/cart.rs", RUST, &[(&to, "cart.add(3);", &to)]);
    }
    let check = "assert_eq!(cart.total(), 3);";
    silent(
        "tests/cart.rs",
        RUST,
        &[
            ("the error that is awaited", check, "if cart.total().is_err() { return; }\n    panic!(\"no error\");"),
            ("at its end", check, "assert_eq!(cart.total(), 3);\n    return;"),
        ],
    );
    for to in
        ["if os.Getenv(\"FULL\") == \"\" { return }", "if short {\n\t\treturn\n\t}", "return", "cart.Add(4)\n\treturn"]
    {
        let to = format!("{to}\n\tcart.Add(3)");
        loud("cart_test.go", GO, &[(SKIPPED, "TestTotal", (&to, "cart.Add(3)", &to))]);
    }
    for to in [
        "cart.Each(func(x int) {\n\t\tif x == 0 {\n\t\t\treturn\n\t\t}\n\t})",
        "cart.Each(func(x int) error { return nil })",
        "require.NotNil(t, cart)\n\tif all {\n\t\treturn\n\t}",
    ] {
        let to = format!("{to}\n\tcart.Add(3)");
        silent("cart_test.go", GO, &[(&to, "cart.Add(3)", &to)]);
    }
    let check = "if cart.Total() != 3 {\n\t\tt.Fatal(cart)\n\t}";
    silent(
        "cart_test.go",
        GO,
        &[
            ("the error that is awaited", check, "if cart.Err() != nil {\n\t\treturn\n\t}\n\tt.Fatal(cart)"),
            ("at its end", check, "if cart.Total() != 3 {\n\t\tt.Fatal(cart)\n\t}\n\treturn"),
        ],
    );
}

#[test]
fn a_failure_that_nobody_sees_is_none() {
    let check = "    assert cart.total() == 3\n";
    let inner = "    try:\n        assert cart.total() == 3\n";
    for handler in [
        "    except AssertionError:\n        pass\n",
        "    except Exception as e:\n        pass\n",
        "    except (ValueError, AssertionError): pass\n",
        "    except:\n        ...\n",
        "    except BaseException:\n        print('flaky')\n        return\n",
        "    except ValueError:\n        raise\n    except Exception:\n        pass\n",
    ] {
        let to = format!("{inner}{handler}");
        loud("test_cart.py", PYTHON, &[(SKIPPED, "test_total", (&to, check, &to))]);
    }
    for suppress in ["contextlib.suppress(AssertionError)", "suppress(Exception)", "open() as f, suppress(Exception)"] {
        let to = format!("    with {suppress}:\n        assert cart.total() == 3\n");
        loud("test_cart.py", PYTHON, &[(SKIPPED, "test_total", (&to, check, &to))]);
    }
    for to in [
        format!("{inner}    except AssertionError:\n        dump(cart)\n        raise\n"),
        format!("{inner}    except ValueError:\n        pass\n"),
        format!("{inner}    except AssertionError as e:\n        errors.append(e)\n"),
        format!("{inner}    finally:\n        pass\n"),
        format!("    try:\n        cart.add(9)\n    except Exception:\n        pass\n{check}"),
        format!("    with suppress(Exception):\n        cart.add(9)\n{check}"),
        "    with suppress(KeyError):\n        assert cart.total() == 3\n".to_owned(),
    ] {
        silent("test_cart.py", PYTHON, &[(&to, check, &to)]);
    }
    let check = "expect(cart.total()).toBe(3);";
    for to in [
        "try { expect(cart.total()).toBe(3); } catch {}",
        "try {\n expect(cart.total()).toBe(3);\n } catch (e) { /* flaky */ }",
    ] {
        loud("cart.test.js", SCRIPT, &[(SKIPPED, "cart > sums", (to, check, to))]);
    }
    for to in [
        "try { expect(cart.total()).toBe(3); } catch (e) { dump(cart); throw e; }",
        "try { expect(cart.total()).toBe(3); } finally {}",
        "try { cart.close(); } catch {}\n    expect(cart.total()).toBe(3);",
    ] {
        silent("cart.test.js", SCRIPT, &[(to, check, to)]);
    }
    let check = "assert_eq!(cart.total(), 3);";
    for to in [
        "let _ = std::panic::catch_unwind(|| { assert_eq!(cart.total(), 3); });",
        "let _unused = catch_unwind(|| assert_eq!(cart.total(), 3));",
        "catch_unwind(|| assert_eq!(cart.total(), 3)).ok();",
        "drop(panic::catch_unwind(|| assert_eq!(cart.total(), 3)));",
    ] {
        loud("tests/cart.rs", RUST, &[(SKIPPED, "adds", (to, check, to))]);
    }
    for to in [
        "let ended = catch_unwind(|| assert_eq!(cart.total(), 3));\n    assert!(ended.is_ok());",
        "let _ = catch_unwind(|| cart.add(9));\n    assert_eq!(cart.total(), 3);",
        "assert!(catch_unwind(|| assert_eq!(cart.total(), 3)).is_ok());",
    ] {
        silent("tests/cart.rs", RUST, &[(to, check, to)]);
    }
    for to in ["#[should_panic]", "#[should_panic(expected = \"assertion\")]", "#[should_panic = \"left == right\"]"] {
        loud("tests/cart.rs", RUST, &[(SKIPPED, "adds", (to, "#[test]", &format!("#[test]\n{to}")))]);
    }
    let panics = "#[test]\n#[should_panic]";
    silent("tests/cart.rs", RUST, &[("that of the code", "#[test]", "#[test]\n#[should_panic(expected = \"full\")]")]);
    let before = RUST.replace("#[test]", panics);
    silent("tests/cart.rs", &before, &[("a reason", "#[should_panic]", "#[should_panic(expected = \"full\")]")]);
    let new = RUST.replace("adds", "overflows").replace("#[test]", panics).replace('3', "9").replace("cart", "shop");
    assert_eq!(told(&[("tests/cart.rs", Some(RUST), Some(&format!("{RUST}{new}")))]), []);
}
