//! What takes tests out of the run from outside of them: scripts, hooks and manifests, and their honest neighbours.

mod tamper_kit;

use orch_testguard::tamper::Kind;
use tamper_kit::{Edit, found, loud, silent, told};

const IGNORED: Kind = Kind::TestIgnored;

fn all_loud(path: &str, base: &str, edits: &[Edit<'_>]) {
    let edits: Vec<(Kind, &str, Edit<'_>)> = edits.iter().map(|edit| (IGNORED, path, *edit)).collect();
    loud(path, base, &edits);
}

#[test]
fn only_scripts_that_run_tests_take_tests_away() {
    let package =
        "{\n  \"scripts\": {\n    \"build\": \"tsc\",\n    \"unit\": \"jest src\",\n    \"test\": \"jest\"\n  }\n}\n";
    let with = |script: &str| format!("\"build\": \"tsc\",\n    {script},");
    all_loud(
        "package.json",
        package,
        &[
            ("may fail", "\"jest\"", "\"jest || true\""),
            ("may fail, in a chain", "\"jest\"", "\"jest && tsc || true\""),
            ("may fail, by a starter", "\"jest\"", "\"CI=1 npx jest || exit 0\""),
            ("may fail, in a container", "\"jest\"", "\"docker compose run app npm test || true\""),
            ("may fail, then more", "\"jest\"", "\"jest || true && tsc\""),
            ("may fail, elsewhere", "\"jest src\"", "\"jest src || true\""),
            ("a choice", "\"jest\"", "\"jest -t fast\""),
            ("by another script", "\"jest\"", "\"npm run quick\",\n    \"quick\": \"jest || true\""),
        ],
    );
    for script in [
        "\"clean\": \"rimraf coverage test-results || true\"",
        "\"pretest\": \"rm -rf .test-cache || true\"",
        "\"test:e2e\": \"playwright test --grep @smoke\"",
        "\"watch\": \"jest --passWithNoTests --watch\"",
        "\"coverage\": \"jest --coverage || true\"",
    ] {
        silent("package.json", package, &[(script, "\"build\": \"tsc\",", &with(script))]);
    }
    silent(
        "package.json",
        package,
        &[
            ("cleans up", "\"jest\"", "\"rm -rf test-results || true; jest\""),
            ("cleans up in brackets", "\"jest\"", "\"jest && (rm -rf test-results || true)\""),
            ("starts a server", "\"jest\"", "\"docker rm -f test-db || true && jest\""),
            ("a pipe", "\"jest\"", "\"jest | tee true\""),
        ],
    );
    assert_eq!(told(&[("new/package.json", None, Some("{\n\"test\": \"jest --passWithNoTests\"\n}\n"))]), []);
    let config = ("new/jest.config.js", None, Some("module.exports = { passWithNoTests: true };\n"));
    assert_eq!(told(&[config]), [(IGNORED, "new/jest.config.js".to_owned())]);
    assert_eq!(told(&[config, ("new/package.json", None, Some("{}\n"))]), []);

    let make = ".PHONY: test\nFLAGS := -q\n\nunit: build\n\tpytest unit\n\ntest: build\n\tpytest tests\n";
    all_loud(
        "Makefile",
        make,
        &[
            ("may fail", "pytest tests", "pytest tests || true"),
            ("a choice", "pytest tests", "pytest -k fast tests"),
            ("another one", "pytest unit", "pytest unit || true"),
            ("by another target", "test: build\n", "quick:\n\tpytest a || true\n\ntest: build quick\n"),
            ("by a call", "\tpytest tests\n", "\t$(MAKE) quick\n\nquick:\n\tpytest || true\n"),
        ],
    );
    for target in [
        "bench:\n\tgo test -run=^$$ -bench=. ./...\n\n",
        "db:\n\tdocker rm -f test-db || true\n\n",
        "quick:\n\tpytest -m fast\n\n",
        "quick: FLAGS = -x\nquick:\n\tpytest -k fast || true\n\n",
    ] {
        silent("Makefile", make, &[(target, "test: build\n", &format!("{target}test: build\n"))]);
    }
    silent("Makefile", make, &[("cleans up", "pytest tests", "docker rm -f test-db || true\n\tpytest tests")]);
    let just = "build:\n    tsc\n\ntest *args: build\n    pytest {{args}}\n";
    all_loud("justfile", just, &[("may fail", "{{args}}", "{{args}} || true")]);
    silent("justfile", just, &[("a new one", "build:\n", "quick mark='fast':\n    pytest -m {{mark}}\n\nbuild:\n")]);
}

#[test]
fn a_hook_is_judged_by_what_it_does() {
    let base = "import pytest\n\n\ndef pytest_collection_modifyitems(config, items):\n    items.sort(key=len)\n";
    for to in [
        "items.clear()",
        "items[:] = []",
        "items[:] = [i for i in items if fast(i)]",
        "items[:] = sorted(i for i in items if fast(i))",
        "del items[0]",
        "items.pop()",
        "items.remove(items[0])",
        "for item in items:\n        item.add_marker(pytest.mark.skip(reason='x'))",
        "for item in items:\n        item.add_marker('xfail')",
        "config.hook.pytest_deselected(items=items)",
    ] {
        all_loud("tests/conftest.py", base, &[(to, "items.sort(key=len)", to)]);
        let whole = base.replace("items.sort(key=len)", to);
        assert_eq!(told(&[("conftest.py", None, Some(&whole))]), [(IGNORED, "conftest.py".to_owned())], "{to}");
        let moved = [("a/conftest.py", Some(whole.as_str()), None), ("conftest.py", None, Some(whole.as_str()))];
        assert_eq!(told(&moved), [], "{to} moved");
    }
    for to in [
        "for item in items:\n        item.add_marker(pytest.mark.anyio)",
        "items[:] = sorted(items, key=len)",
        "items.reverse()  # skip",
        "random.shuffle(items)",
    ] {
        silent("tests/conftest.py", base, &[(to, "items.sort(key=len)", to)]);
        let whole = base.replace("items.sort(key=len)", to);
        assert_eq!(told(&[("conftest.py", None, Some(&whole))]), [], "{to}");
    }
    let alias = "import pytest\n\nlater = pytest.mark.skip(reason='x')\n\n\ndef pytest_collection_modifyitems(items):\n    items.sort()\n";
    all_loud("conftest.py", alias, &[("by a name", "items.sort()", "items[0].add_marker(later)")]);

    let report = "import pytest\n\n\n@pytest.hookimpl(hookwrapper=True)\ndef pytest_runtest_makereport(item, call):\n    outcome = yield\n    rep = outcome.get_result()\n    setattr(item, 'rep_' + rep.when, rep)\n";
    assert_eq!(told(&[("conftest.py", None, Some(report))]), []);
    for to in [
        "rep.outcome = 'passed'",
        "outcome.force_result(rep)",
        "rep.wasxfail = 'x'",
        "setattr(rep, 'outcome', 'passed')",
        "return TestReport(outcome='passed')",
    ] {
        all_loud("conftest.py", report, &[(to, "setattr(item, 'rep_' + rep.when, rep)", to)]);
    }
    for to in ["if rep.outcome == 'failed':\n        shoot(item)", "item.failed = rep.failed", "log(rep.outcome)"] {
        silent("conftest.py", report, &[(to, "setattr(item, 'rep_' + rep.when, rep)", to)]);
    }
}

#[test]
fn a_target_that_is_new_takes_no_test_away() {
    let base =
        "[package]\nname = \"a\"\n\n[[bin]]\nname = \"old\"\npath = \"fuzz/old.rs\"\n\n[[test]]\nname = \"all\"\n";
    let manifest = |table: &str| format!("{base}\n{table}");
    let with = |table: &str, file: Option<&str>| {
        let after = manifest(table);
        let mut files = vec![("a/Cargo.toml", Some(base), Some(after.as_str()))];
        files.extend(file.map(|file| (file, None, Some("fn main() {}\n"))));
        told(&files)
    };
    let news = [(IGNORED, "a/Cargo.toml".to_owned())];
    let bin = "[[bin]]\nname = \"parse\"\npath = \"fuzz/parse.rs\"\ntest = false\ndoc = false\n";
    assert_eq!(with(bin, Some("a/fuzz/parse.rs")), []);
    assert_eq!(with(&bin.replace("fuzz/", "src/"), None), news, "a file that was there");
    assert_eq!(with(&bin.replace("fuzz/", "src/"), Some("a/src/parse.rs")), []);
    assert_eq!(with(&bin.replace("fuzz/", "tests/"), None), news, "a file of tests");
    assert_eq!(with("[[bin]]\nname = \"b\"\ntest = false\n", Some("a/src/bin/b.rs")), []);
    assert_eq!(with("[[example]]\nname = \"b\"\ntest = false\n", None), []);
    for key in ["harness = false", "required-features = [\"x\"]"] {
        let table = format!("[[test]]\nname = \"ui\"\n{key}\n");
        assert_eq!(with(&table, Some("a/tests/ui.rs")), [], "{key}");
        assert_eq!(with(&table, Some("a/tests/ui/main.rs")), [], "{key}");
        assert_eq!(with(&table, None), news, "{key}");
        all_loud("a/Cargo.toml", base, &[(key, "\"all\"", &format!("\"all\"\n{key}"))]);
    }
    assert_eq!(with("[[test]]\nname = \"ui\"\ntest = false\n", Some("a/tests/ui.rs")), news);
    all_loud("a/Cargo.toml", base, &[("that was there", "\"fuzz/old.rs\"", "\"fuzz/old.rs\"\ntest = false")]);

    let runner = |of: &str| format!("[target.{of}]\nrunner = 'x'\n");
    let path = ".cargo/config.toml";
    for of in
        ["wasm32-unknown-unknown", "thumbv7em-none-eabihf", "riscv32imc-unknown-none-elf", "x86_64-pc-windows-gnu"]
    {
        assert_eq!(told(&[(path, None, Some(&runner(of)))]), [], "{of}");
        let table = format!("[target.{of}]\n");
        assert_eq!(found(path, &table, &runner(of)), [(IGNORED, path.to_owned())], "{of}");
    }
    let here = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    for of in [here.as_str(), "'cfg(all())'", "'cfg(not(target_arch = \"wasm32\"))'"] {
        assert_eq!(told(&[(path, None, Some(&runner(of)))]), [(IGNORED, path.to_owned())], "{of}");
    }
}
