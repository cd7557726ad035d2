//! What takes tests of Rust out of the build: attributes under a condition, and files that no root reaches.

mod tamper_kit;

use orch_testguard::tamper::Kind;
use tamper_kit::{found, loud, silent, told};

const SKIPPED: Kind = Kind::TestSkipped;
const IGNORED: Kind = Kind::TestIgnored;

const TESTS: &str =
    "#[cfg(test)]\nmod tests {\n    #[test]\n    fn adds() {\n        assert_eq!(sum(1, 2), 3);\n    }\n}\n";

#[test]
fn an_attribute_under_a_condition_counts_as_that_attribute() {
    let edit = |with: &'static str| (with, "    #[test]", format!("    {with}\n    #[test]"));
    for (kind, with) in [
        (IGNORED, "#[cfg_attr(all(), cfg(any()))]"),
        (IGNORED, "#[cfg_attr(test, cfg(FALSE))]"),
        (IGNORED, "#[cfg_attr(unix, allow(unused), cfg(windows))]"),
        (IGNORED, "#[cfg_attr(all(), cfg_attr(not(any()), cfg(any())))]"),
        (IGNORED, "#[cfg_attr(feature = \"x\", cfg(any()))]"),
        (IGNORED, "#[cfg_attr(all(), cfg(feature = \"x\"))]"),
        (SKIPPED, "#[cfg_attr(all(), ignore)]"),
        (SKIPPED, "#[cfg_attr(all(), ignore = \"later\")]"),
        (SKIPPED, "#[cfg_attr(all(), allow(unused), ignore, allow(dead_code))]"),
        (SKIPPED, "#[cfg_attr(feature = \"x\", ignore)]"),
        (SKIPPED, "#[r#ignore]"),
    ] {
        let (what, from, to) = edit(with);
        loud("src/sum.rs", TESTS, &[(kind, "tests::adds", (what, from, &to))]);
    }
    for with in [
        "#[cfg_attr(all(), cfg(all()))]",
        "#[cfg_attr(any(), cfg(any()))]",
        "#[cfg_attr(windows, cfg(any()), ignore)]",
        "#[cfg_attr(all(), allow(unused))]",
        "#[cfg_attr(feature = \"ignore\", doc = \", ignore\")]",
        "#[cfg_attr(feature = \"x\", cfg(test))]",
    ] {
        let (what, from, to) = edit(with);
        silent("src/sum.rs", TESTS, &[(what, from, &to)]);
    }
    // The attribute that makes it a test may stand under a condition as well.
    silent("src/sum.rs", TESTS, &[("not under Miri", "#[test]", "#[cfg_attr(not(miri), test)]")]);
    loud(
        "src/sum.rs",
        TESTS,
        &[(IGNORED, "tests::adds", ("asked for", "#[test]", "#[cfg_attr(feature = \"x\", test)]"))],
    );
    assert_eq!(
        found("src/sum.rs", TESTS, &TESTS.replace("#[test]", "#[cfg_attr(any(), test)]")),
        [(Kind::TestDeleted, "tests::adds".to_owned())]
    );
    let inside = "mod tests {\n    #![cfg_attr(all(), cfg(any()))]";
    loud("src/sum.rs", TESTS, &[(IGNORED, "tests::adds", ("the module", "mod tests {", inside))]);
}

#[test]
fn a_raw_name_is_the_name_without_its_mark() {
    let moved = |root: &str, to: &str| {
        told(&[
            ("src/lib.rs", Some("mod old;\n"), Some(root)),
            ("src/old.rs", Some(TESTS), None),
            (to, None, Some(TESTS)),
        ])
    };
    assert_eq!(moved("mod r#type;\n", "src/type.rs"), []);
    assert_eq!(moved("pub mod r#type;\n", "src/type/mod.rs"), []);
    assert_eq!(moved("mod r#typo;\n", "src/type.rs"), [(IGNORED, "src/old.rs".to_owned())]);
    let raw = "fn r#try() {}\nlet r = r#\"fn x() {\"#;\n#[cfg(test)]\nmod r#tests;\n";
    assert_eq!(found("src/lib.rs", raw, "fn r#try() {}\n"), [(IGNORED, "tests".to_owned())]);
    assert_eq!(found("src/lib.rs", raw, &raw.replace("r#tests", "tests")), []);
    silent(
        "src/sum.rs",
        TESTS,
        &[("a raw name", "fn adds", "fn r#adds"), ("a raw module", "mod tests", "mod r#tests")],
    );
}

#[test]
fn only_what_a_root_reaches_is_built() {
    let with = |mods: &str| format!("{mods}{TESTS}");
    let gone = ("src/sum.rs", Some(TESTS), None);
    let lost = [(IGNORED, "src/sum.rs".to_owned())];
    // Two that declare each other, and one that declares itself.
    let (one, two) = (with("mod two;\n"), "mod one;\n");
    assert_eq!(told(&[gone, ("src/old/one.rs", None, Some(&one)), ("src/old/two.rs", None, Some(two))]), lost);
    assert_eq!(told(&[gone, ("src/old/one.rs", None, Some(&with("mod one;\n")))]), lost);
    let ring = [gone, ("src/one.rs", None, Some(one.as_str())), ("src/two.rs", None, Some(two))];
    assert_eq!(told(&ring), lost);
    // A root reaches one of them, and that one the other.
    let root = |text| ("src/lib.rs", Some("mod sum;\n"), Some(text));
    assert_eq!(told(&[ring[0], ring[1], ring[2], root("mod one;\n")]), []);
    let chain = [gone, ("src/two/one.rs", None, Some(one.as_str())), ring[2]];
    assert_eq!(told(&chain), lost);
    assert_eq!(told(&[chain[0], chain[1], chain[2], root("mod two;\n")]), []);
    assert_eq!(told(&[ring[0], ring[1], ring[2], root("mod three;\n")]), lost);
    assert_eq!(told(&[ring[0], ring[1], ring[2], root("#[cfg(any())]\nmod one;\n")]), lost);
    for (path, is_root) in [
        ("src/main.rs", true),
        ("src/bin/shop.rs", true),
        ("src/bin/shop/main.rs", true),
        ("tests/shop.rs", true),
        ("tests/shop/main.rs", true),
        ("crates/a/benches/shop.rs", true),
        ("examples/shop.rs", true),
        ("build.rs", true),
        ("src/tests/shop.rs", false),
        ("src/bin/old/shop.rs", false),
        ("src/old/main.rs", false),
        ("src/build.rs", false),
        ("tests/old/shop.rs", false),
        ("src/examples/shop.rs", false),
    ] {
        let expected = if is_root { vec![] } else { lost.to_vec() };
        assert_eq!(told(&[gone, (path, None, Some(TESTS))]), expected, "{path}");
    }
    // A package whose sources stand beside its manifest has its targets there as well.
    for beside in ["lib.rs", "build.rs", "Cargo.toml"] {
        let beside = (beside, Some("a"), Some("b"));
        assert_eq!(told(&[gone, beside, ("tests/shop.rs", None, Some(TESTS))]), []);
    }
    let module = ("src/cart/shop.rs", Some(""), Some("\n"));
    assert_eq!(told(&[gone, module, ("src/cart/tests/shop.rs", None, Some(TESTS))]), lost);
    let manifest = ("Cargo.toml", Some("[lib]\n"), Some("[lib]\npath = \"src/shop/all.rs\"\n"));
    assert_eq!(told(&[gone, manifest, ("src/shop/all.rs", None, Some(TESTS))]), []);
    // A module of another crate with the same name is another module.
    let other = ("crates/b/src/lib.rs", Some(""), Some("mod one;\n"));
    assert_eq!(told(&[gone, other, ("crates/a/src/one.rs", None, Some(TESTS))]), lost);
    assert_eq!(told(&[gone, other, ("crates/b/src/one.rs", None, Some(TESTS))]), []);
}

#[test]
fn a_module_of_tests_that_is_declared_no_more_is_not_run() {
    let (with, without) = ("mod cart;\n#[cfg(test)]\nmod tests;\n", "mod cart;\n");
    assert_eq!(found("src/lib.rs", with, without), [(IGNORED, "tests".to_owned())]);
    assert_eq!(found("src/lib.rs", with, "mod cart;\n#[cfg(any())]\nmod tests;\n"), [(IGNORED, "tests".to_owned())]);
    let feature = "mod cart;\n#[cfg(all(test, feature = \"x\"))]\nmod tests;\n";
    assert_eq!(found("src/lib.rs", with, feature), [(IGNORED, "tests".to_owned())]);
    assert_eq!(found("src/lib.rs", feature, "mod cart;\n#[cfg(any())]\nmod tests;\n"), [(IGNORED, "tests".to_owned())]);
    // Below `tests` every module is one of tests.
    assert_eq!(found("tests/all/main.rs", "mod cart;\nmod shop;\n", "mod shop;\n"), [(IGNORED, "cart".to_owned())]);
    assert_eq!(found("src/lib.rs", without, with), []);
    let moved =
        [("src/lib.rs", Some(with), Some(without)), ("src/cart/mod.rs", Some(""), Some("#[cfg(test)]\nmod tests;\n"))];
    assert_eq!(told(&moved), []);
}

#[test]
fn a_module_with_tests_may_not_go_under_a_condition() {
    let touched = TESTS.replace("sum(1, 2), 3", "sum(2, 2), 4");
    let with = |root: &'static str, to: &'static str, file: &'static str| {
        told(&[(root, Some("mod sum;\n"), Some(to)), (file, Some(TESTS), Some(&touched))])
    };
    let news = [(IGNORED, "sum".to_owned())];
    for to in ["#[cfg(feature = \"x\")]\nmod sum;\n", "#[cfg(not(test))]\nmod sum;\n", "#[cfg(any())]\npub mod sum;\n"]
    {
        assert_eq!(with("src/lib.rs", to, "src/sum.rs"), news, "{to}");
        assert_eq!(with("src/main.rs", to, "src/sum/mod.rs"), news, "{to}");
        assert_eq!(with("src/cart.rs", to, "src/cart/sum.rs"), news, "{to}");
        assert_eq!(with("src/cart.rs", to, "src/sum.rs"), [], "another module: {to}");
        assert_eq!(found("src/lib.rs", "mod sum;\n", to), [], "nobody knows what is in it: {to}");
        assert_eq!(found("src/lib.rs", to, "mod sum;\n"), [], "{to}");
    }
    for to in [
        "#[cfg(unix)]\nmod sum;\n",
        "#[cfg(feature = \"x\")]\nmod sum;\n#[cfg(not(windows))]\nmod sum;\n",
        "pub mod sum;\n",
    ] {
        assert_eq!(with("src/lib.rs", to, "src/sum.rs"), [], "{to}");
    }
    let plain = ("src/sum.rs", Some("fn sum() {}\n"), Some("fn sum() { }\n"));
    let root = ("src/lib.rs", Some("mod sum;\n"), Some("#[cfg(feature = \"x\")]\nmod sum;\n"));
    assert_eq!(told(&[root, plain]), [], "a module without tests");
    assert_eq!(found("src/lib.rs", "#[cfg(test)]\nmod sum;\n", "mod sum;\n"), [], "in every build");
    assert_eq!(found("src/lib.rs", "#[cfg(test)]\nmod sum;\n", ""), news, "in none");
}
