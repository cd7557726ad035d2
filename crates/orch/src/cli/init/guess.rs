//! What the files of a clone say of its project: a key and a test command. Guesses, which the written file shows as such.

use crate::config::check::is_project_key;
use std::fs;
use std::path::Path;

/// A project key from the name of a directory, in any script.
pub(super) fn key_of(top: &Path) -> String {
    let name = top.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let upper = deunicode::deunicode(&name).to_ascii_uppercase();
    let letters = upper.chars().filter(char::is_ascii_alphanumeric).skip_while(char::is_ascii_digit);
    let key: String = letters.take(10).collect();
    if is_project_key(&key) { key } else { "APP".into() }
}

/// The usual test command of a kind of repository.
pub(super) fn guess_test(top: &Path) -> Option<(&'static str, &'static str)> {
    let has = |name: &str| top.join(name).is_file();
    if has("Cargo.toml") {
        return Some(("cargo test", "Cargo.toml"));
    }
    if has("package.json") {
        return Some(("npm test", "package.json"));
    }
    if has("pyproject.toml") {
        return Some(("pytest", "pyproject.toml"));
    }
    let makefile = fs::read_to_string(top.join("Makefile")).unwrap_or_default();
    if makefile
        .lines()
        .any(|l| l.strip_prefix("test").is_some_and(|r| r.trim_start().starts_with(':') && !r.contains(":=")))
    {
        return Some(("make test", "Makefile"));
    }
    has("test.sh").then_some(("sh test.sh", "test.sh"))
}
