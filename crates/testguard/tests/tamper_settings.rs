//! Settings of runners that leave tests out: options with a space, lists over lines, and entries of lists.

mod tamper_kit;

use orch_testguard::tamper::Kind;
use tamper_kit::{Edit, found, loud, silent, told};

const IGNORED: Kind = Kind::TestIgnored;

fn all_loud(path: &str, base: &str, edits: &[Edit<'_>]) {
    let edits: Vec<(Kind, &str, Edit<'_>)> = edits.iter().map(|edit| (IGNORED, path, *edit)).collect();
    loud(path, base, &edits);
}

#[test]
fn an_option_of_pytest_is_read_however_it_is_written() {
    let ini = "[pytest]\naddopts = -q\ntestpaths = tests\n";
    all_loud(
        "pytest.ini",
        ini,
        &[
            ("a space", "-q", "-q --ignore tests/test_cart.py"),
            ("many spaces", "-q", "-q  --ignore   tests/test_cart.py"),
            ("tight", " = -q", "=--ignore tests/test_cart.py"),
            ("a pattern", "-q", "-q --ignore-glob '*cart*'"),
            ("one test", "-q", "-q --deselect tests/test_cart.py::test_total"),
            ("a line of its own", "-q", "\n    -q\n    --ignore tests/test_cart.py"),
            ("a choice on a line of its own", "-q", "\n    -q\n    -k 'not total'"),
        ],
    );
    let toml = "[tool.pytest.ini_options]\naddopts = [\n  \"-q\",\n]\n\n[tool.ruff]\nline-length = 100\n";
    all_loud(
        "pyproject.toml",
        toml,
        &[
            ("in a list", "[\n  \"-q\",\n]", "[\"-q\", \"--ignore\", \"tests/test_cart.py\"]"),
            ("over lines", "  \"-q\",\n", "  \"-q\",\n  \"--ignore\",\n  \"tests/test_cart.py\",\n"),
            ("one test over lines", "  \"-q\",\n", "  \"-q\",\n  \"--deselect\", 'tests/test_cart.py::test_total',\n"),
            ("some over lines", "  \"-q\",\n", "  \"-q\",\n  \"-m\",\n  \"fast\",\n"),
        ],
    );
    all_loud("tox.ini", "[testenv]\ncommands = pytest tests\n", &[("a command", "tests", "tests --ignore tests/a.py")]);
    all_loud(
        "Makefile",
        "test:\n\tpytest tests\n",
        &[
            ("a command", "pytest tests", "pytest --ignore tests/a.py tests"),
            ("a command, tight", "pytest tests", "pytest --ignore=tests/a.py tests"),
            ("one test", "pytest tests", "python -m pytest --deselect tests/a.py::test_a tests"),
        ],
    );
    silent(
        "Makefile",
        "test:\n\tpytest tests\n",
        &[("of a linter", "pytest tests", "lint --ignore x && pytest tests")],
    );
    silent(
        "pytest.ini",
        ini,
        &[
            ("another option", "-q", "-q --ignored"),
            ("a comment", "testpaths", "# addopts = --ignore tests/a.py\ntestpaths"),
        ],
    );
    let with = ini.replace("-q", "-q --ignore docs");
    silent(
        "pytest.ini",
        &with,
        &[("written another way", "--ignore docs", "--ignore=docs"), ("less", " --ignore docs", "")],
    );
    let over_lines = toml.replace("\"-q\"", "\"--ignore\", \"docs\"");
    silent(
        "pyproject.toml",
        &over_lines,
        &[("on one line", "[\n  \"--ignore\", \"docs\",\n]", "[\"--ignore\", \"docs\"]")],
    );
    silent(
        "pyproject.toml",
        toml,
        &[
            ("of something else", "line-length", "extra = [\"--ignore\", \"E501\"]\nline-length"),
            ("of a list", "line-length", "args = [\n  \"-k\",\n]\nline-length"),
        ],
    );
    let linter = "[testenv]\ncommands =\n    pytest\n    flake8 src\n";
    silent(
        "tox.ini",
        linter,
        &[("of a linter", "flake8", "flake8 --ignore E501"), ("of a linter, tight", "flake8", "flake8 --ignore=E501")],
    );
}

const VITEST: &str = "import { defineConfig, configDefaults } from 'vitest/config';\n\nconst shared = ['old/**'];\n\nexport default defineConfig({\n  optimizeDeps: { exclude: ['a'] },\n  test: {\n    globals: true,\n    exclude: [...configDefaults.exclude, 'legacy/**'],\n    coverage: { exclude: ['src/main.ts'] },\n  },\n});\n";

#[test]
fn an_entry_that_leaves_tests_out_is_told() {
    let list = "[...configDefaults.exclude, 'legacy/**']";
    all_loud(
        "web/vitest.config.ts",
        VITEST,
        &[
            ("one more", "'legacy/**'", "'legacy/**', 'src/cart.test.ts'"),
            ("one more on a line", "'legacy/**'", "'legacy/**',\n      \"**/cart.*\"\n"),
            ("under a condition", list, "process.env.CI ? ['legacy', 'src/cart'] : ['legacy']"),
            ("from a list among others", "'legacy/**'", "'legacy/**', ...shared"),
            ("a list of a project", "globals: true", "projects: [{ test: { name: 'a', exclude: ['src/cart'] } }]"),
        ],
    );
    // One for another: each of them is news.
    for other in ["'src/cart/**'", "'**/*'", "...shared"] {
        let swapped = VITEST.replace("'legacy/**'", other);
        assert_eq!(found("web/vitest.config.ts", VITEST, &swapped).len(), 1, "{other}");
    }
    silent(
        "web/vitest.config.ts",
        VITEST,
        &[
            ("one less", ", 'legacy/**'", ""),
            ("written another way", "'legacy/**'", "\"**/legacy/**\""),
            ("of the coverage", "'src/main.ts'", "'src/main.ts', 'src/cart/**'"),
            ("of the build", "['a']", "['a', 'src/cart']"),
            (
                "what holds no tests",
                "'legacy/**'",
                "'legacy/**', '**/node_modules/**', 'dist', '.git/**', 'test/fixtures/**'",
            ),
            ("in a comment", "'legacy/**'", "'legacy/**' /*, 'src/cart' */"),
            ("taken in again", "'legacy/**'", "'legacy/**', '!src/cart'"),
            ("an include", "globals: true", "globals: true, include: ['src/**/*.test.ts']"),
        ],
    );
    let jest = "{\n  \"name\": \"shop\",\n  \"files\": [\"a\"],\n  \"jest\": {\n    \"testPathIgnorePatterns\": [\"/node_modules/\"]\n  },\n  \"mocha\": { \"spec\": [\"test\"] }\n}\n";
    all_loud(
        "package.json",
        jest,
        &[
            ("of jest", "[\"/node_modules/\"]", "[\"/node_modules/\", \"<rootDir>/src/cart/\"]"),
            ("of jest, on a line", "[\"/node_modules/\"]", "[\n      \"/node_modules/\",\n      \"cart\"\n    ]"),
            ("modules of jest", "[\"/node_modules/\"]", "[], \"modulePathIgnorePatterns\": [\"src/cart\"]"),
            ("of mocha", "[\"test\"]", "[\"test\"], \"ignore\": \"test/cart.js\""),
        ],
    );
    silent(
        "package.json",
        jest,
        &[
            ("which tests", "[\"/node_modules/\"]", "[], \"testMatch\": [\"**/*.test.ts\"]"),
            ("modules nobody tests", "[\"/node_modules/\"]", "[], \"modulePathIgnorePatterns\": [\"<rootDir>/dist/\"]"),
            ("of something else", "\"files\"", "\"exclude\": [\"src/cart\"], \"ignore\": [\"src/cart\"], \"files\""),
        ],
    );
    let config = "module.exports = {\n  testMatch: ['**/*.test.js'],\n};\n";
    all_loud("jest.config.js", config, &[("of jest", "testMatch", "testPathIgnorePatterns: ['cart'],\n  testMatch")]);
    silent("jest.config.js", config, &[("which tests", "'**/*.test.js'", "'src/**/*.test.js'")]);
    all_loud(
        ".mocharc.cjs",
        "module.exports = { spec: 'test' };\n",
        &[
            ("ignored", "spec", "ignore: ['test/cart.js'], spec"),
            ("excluded", "spec", "exclude: 'test/cart.js', spec"),
            ("chosen", "spec", "grep: 'fast', spec"),
        ],
    );
    let yaml = "spec: test\nignore:\n  - test/old.js\nui: bdd\n";
    all_loud(
        ".mocharc.yml",
        yaml,
        &[
            ("one more", "  - test/old.js", "  - test/old.js\n  - 'test/cart.js' # later"),
            ("without a list", "ui: bdd", "exclude: test/cart.js"),
            ("a list on a line", "ui: bdd", "exclude: [\"test/cart.js\"]"),
            ("not indented", "ui: bdd", "exclude:\n- test/cart.js"),
        ],
    );
    silent(
        ".mocharc.yml",
        yaml,
        &[
            ("another list", "ui: bdd", "require:\n  - test/setup.js"),
            ("in a comment", "  - test/old.js", "  - test/old.js\n  # - test/cart.js"),
            ("written another way", "  - test/old.js", "  - \"./test/old.js\""),
        ],
    );
    all_loud(
        "playwright.config.ts",
        "export default defineConfig({ testDir: 'e2e', projects: [{ name: 'a' }] });\n",
        &[
            ("ignored", "testDir", "testIgnore: '**/cart.spec.ts', testDir"),
            ("of a project", "name: 'a'", "name: 'a', testIgnore: [/cart/]"),
            ("by name", "testDir", "grepInvert: /@slow/, testDir"),
        ],
    );
    silent(
        "playwright.config.ts",
        "export default defineConfig({ testDir: 'e2e' });\n",
        &[("where", "'e2e'", "'tests/e2e'"), ("retried", "testDir", "retries: 2, testDir")],
    );
    let script = "{\n  \"scripts\": {\n    \"test\": \"vitest run\",\n    \"unit\": \"mocha test\"\n  }\n}\n";
    silent(
        "package.json",
        script,
        &[
            ("of the coverage", "mocha", "c8 --exclude test mocha"),
            ("of vitest's coverage", "vitest run", "vitest run --coverage.exclude=src/cart"),
            ("of a linter", "mocha", "eslint --ignore x && mocha"),
        ],
    );
    all_loud(
        "package.json",
        script,
        &[
            ("by an option", "vitest run", "vitest run --exclude src/cart"),
            ("of mocha", "mocha", "mocha --ignore test/cart.js"),
        ],
    );
}

#[test]
fn an_entry_about_what_is_new_or_was_left_out_elsewhere_is_no_news() {
    let more = VITEST.replace("'legacy/**'", "'legacy/**', 'e2e/**'");
    let config = ("web/vitest.config.ts", Some(VITEST), Some(more.as_str()));
    let text = "test('a', () => { expect(a()).toBe(1); });\n";
    let news = [(IGNORED, "web/vitest.config.ts".to_owned())];
    // The tests of another runner, which are new.
    assert_eq!(told(&[config, ("web/e2e/cart.spec.ts", None, Some(text))]), []);
    let changed = text.replace("toBe(1)", "toBe(2)");
    let old = ("web/e2e/shop.spec.ts", Some(text), Some(changed.as_str()));
    assert_eq!(told(&[config, ("web/e2e/cart.spec.ts", None, Some(text)), old]), news);
    assert_eq!(told(&[config, ("web/src/e2e.test.ts", None, Some(text))]), news);
    let wide = VITEST.replace("'legacy/**'", "'legacy/**', '**/*.spec.ts'");
    let config_wide = ("web/vitest.config.ts", Some(VITEST), Some(wide.as_str()));
    assert_eq!(told(&[config_wide, ("web/e2e/cart.spec.ts", None, Some(text))]), news, "and those of old files");
    // The entry goes from one runner to another.
    let jest = "module.exports = { testPathIgnorePatterns: ['<rootDir>/e2e/'] };\n";
    assert_eq!(told(&[config, ("web/jest.config.js", Some(jest), None)]), []);
    // A new file rules old tests, but not those of a new package.
    assert_eq!(told(&[("web/vitest.config.ts", None, Some(VITEST))]), news);
    let package = ("web/package.json", None, Some("{ \"name\": \"web\" }\n"));
    assert_eq!(told(&[("web/vitest.config.ts", None, Some(VITEST)), package]), []);
}
