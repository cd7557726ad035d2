//! Which files are test files, by the names their runners look for. It only names files; what is in them is read by a
//! reader per language. Golden files and fixtures are not test files: changing them is how many tests are kept up to date.

use super::model::Tests;
use super::{go, javascript, python, rust, settings};

/// Endings of source code in which tests are written.
const CODE: [&str; 29] = [
    "rs", "py", "js", "jsx", "mjs", "cjs", "ts", "tsx", "mts", "cts", "go", "rb", "java", "kt", "kts", "scala", "cs",
    "fs", "php", "ex", "exs", "c", "cc", "cpp", "cxx", "swift", "dart", "sh", "bats",
];
/// Directories whose code is tests.
const DIRECTORIES: [&str; 6] = ["test", "tests", "spec", "specs", "__tests__", "e2e"];
/// Directories below those whose files are material for tests.
pub(super) const MATERIAL: [&str; 8] =
    ["fixtures", "fixture", "data", "testdata", "snapshots", "__snapshots__", "samples", "golden"];

/// Is this a file in which a runner looks for tests?
pub fn is_test_file(path: &str) -> bool {
    let mut parts: Vec<&str> = path.split('/').filter(|p| !p.is_empty()).collect();
    let Some(name) = parts.pop() else { return false };
    let Some((stem, ending)) = name.rsplit_once('.') else { return false };
    let ending = ending.to_ascii_lowercase();
    if !CODE.contains(&ending.as_str()) || parts.iter().any(|p| MATERIAL.contains(p)) {
        return false;
    }
    let in_tests = parts.iter().any(|p| DIRECTORIES.contains(p));
    let lower = stem.to_ascii_lowercase();
    match ending.as_str() {
        "go" => stem.ends_with("_test"),
        "py" => is_python_test(name) || name == "conftest.py",
        "bats" => true,
        "rs" => {
            in_tests
                || ["test", "tests"].contains(&lower.as_str())
                || lower.ends_with("_test")
                || lower.ends_with("_tests")
        }
        "java" | "kt" | "kts" | "scala" | "cs" | "fs" | "swift" | "php" => {
            let named = ["Test", "Tests", "TestCase", "IT", "Spec"].iter().any(|end| stem.ends_with(end));
            named || (stem.starts_with("Test") && stem.len() > 4)
        }
        "rb" | "ex" | "exs" | "dart" => {
            lower.ends_with("_spec") || lower.ends_with("_test") || lower.starts_with("test_")
        }
        "c" | "cc" | "cpp" | "cxx" => {
            lower.ends_with("_test") || lower.starts_with("test_") || lower.ends_with("_unittest")
        }
        "sh" => lower.starts_with("test") || lower.ends_with("_test") || lower.ends_with("-test") || in_tests,
        _ => is_script_test(&lower) || in_tests,
    }
}

/// `cart.test.ts`, `cart.spec.js`, `cart-test.mjs`, `test-cart.js`.
fn is_script_test(stem: &str) -> bool {
    [".test", ".spec", "-test", "_test", ".cy", ".e2e"].iter().any(|end| stem.ends_with(end))
        || stem.starts_with("test-")
        || stem == "test"
}

/// The names pytest, unittest and Django look for.
pub(super) fn is_python_test(name: &str) -> bool {
    let Some(stem) = name.strip_suffix(".py") else { return false };
    stem.starts_with("test_") || stem.ends_with("_test") || stem == "tests" || stem == "test"
}

/// Is what stands in this file looked at? Of all others only the name counts, and whether one of them is a test file
/// under another name.
pub fn reads(path: &str) -> bool {
    let ending = path.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase()).unwrap_or_default();
    ["rs", "py", "go"].contains(&ending.as_str()) || is_test_file(path) || settings::is_settings(path)
}

/// The tests in a file, if its language is known here. `None`: nobody can say.
pub(super) fn read(path: &str, bytes: &[u8]) -> Option<Tests> {
    let source = String::from_utf8_lossy(bytes);
    let source = source.strip_prefix('\u{feff}').unwrap_or(&source);
    let ending = path.rsplit_once('.').map(|(_, e)| e.to_ascii_lowercase()).unwrap_or_default();
    match ending.as_str() {
        "rs" => Some(rust::read(source, is_test_file(path))),
        "py" => Some(python::read(path, source)),
        "go" => Some(go::read(path, source)),
        "js" | "jsx" | "mjs" | "cjs" | "ts" | "tsx" | "mts" | "cts" if is_test_file(path) => {
            Some(javascript::read(source))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_files_are_known_by_their_names() {
        for path in [
            "tests/cart.rs",
            "src/cart_tests.rs",
            "src/cart/tests.rs",
            "src/tests/mod.rs",
            "tests/test_cart.py",
            "cart_test.py",
            "shop/tests.py",
            "conftest.py",
            "src/cart.test.ts",
            "src/cart.spec.jsx",
            "src/__tests__/cart.js",
            "test/cart.js",
            "cart_test.go",
            "CartTest.java",
            "CartIT.java",
            "CartTests.cs",
            "spec/cart_spec.rb",
            "cart_test.cc",
            "test.sh",
            "tests/run.sh",
            "tests/cart.bats",
            "e2e/login.ts",
        ] {
            assert!(is_test_file(path), "{path}");
        }
        for path in [
            "src/cart.rs",
            "src/latest.rs",
            "contest.py",
            "tests/data/x.json",
            "tests/fixtures/app.js",
            "tests/README.md",
            "testing.go",
            "cart.go",
            "src/attest.ts",
            "Latest.java",
            "protest.rb",
            "tests/helpers.py",
            "",
            "test",
            "tests/__snapshots__/a.js",
        ] {
            assert!(!is_test_file(path), "{path}");
        }
    }
}
