//! Settings of test runners: a line that is new in a change and takes tests out of the run without touching any of them.
//! Only the plainest ones are known, each by file and word; a setting that was there before is nobody's news, and one
//! that only chooses where tests are looked for is not told, because tests move.

/// A setting that hides tests: in these files, a line with one of these words.
struct Setting {
    files: &'static [&'static str],
    words: &'static [&'static str],
}

const SETTINGS: [Setting; 3] = [
    // https://doc.rust-lang.org/cargo/reference/cargo-targets.html
    Setting { files: &["Cargo.toml"], words: &["autotests=false", "test=false"] },
    // https://docs.pytest.org/en/stable/example/pythoncollection.html
    Setting {
        files: &["pytest.ini", ".pytest.ini", "pyproject.toml", "setup.cfg", "tox.ini"],
        words: &["--ignore=", "--ignore-glob", "--deselect", "--collect-only", "norecursedirs"],
    },
    // https://jestjs.io/docs/configuration, https://vitest.dev/config/, https://mochajs.org
    Setting {
        files: &["package.json", "jest.config.", "vitest.config.", "vite.config.", ".mocharc"],
        words: &["testPathIgnorePatterns", "passWithNoTests", "testNamePattern", "--testPathIgnore", "--invert"],
    },
];
/// Files in which people write the command that runs the tests.
const COMMANDS: [&str; 4] = ["package.json", "Makefile", "justfile", "tox.ini"];

/// Is this a file with settings of a test runner?
pub(super) fn is_settings(path: &str) -> bool {
    let name = name(path);
    COMMANDS.contains(&name) || SETTINGS.iter().any(|s| s.files.iter().any(|f| named(name, f)))
}

/// Lines after that hide tests and have no like before, with their numbers.
pub(super) fn hiding(path: &str, before: &[u8], after: &[u8]) -> Vec<(u32, String)> {
    let (before, after) = (String::from_utf8_lossy(before), String::from_utf8_lossy(after));
    let name = name(path);
    let mut had: Vec<&str> = before.lines().map(str::trim).collect();
    let mut found = Vec::new();
    for (at, line) in after.lines().enumerate() {
        let line = line.trim();
        if let Some(same) = had.iter().position(|l| *l == line) {
            had.swap_remove(same);
        } else if !line.starts_with('#') && !line.starts_with("//") && hides(name, line) {
            // A line that was edited and hid something before is told only if it hides more.
            let words = hidden_words(name, line);
            if !had.iter().any(|old| hidden_words(name, old) >= words) {
                found.push((at as u32 + 1, line.to_owned()));
            }
        }
    }
    found
}

fn name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or_default()
}

fn named(name: &str, wanted: &str) -> bool {
    if wanted.ends_with('.') || wanted == ".mocharc" { name.starts_with(wanted) } else { name == wanted }
}

fn hides(name: &str, line: &str) -> bool {
    hidden_words(name, line) > 0
}

/// How many times a line hides something.
fn hidden_words(name: &str, line: &str) -> usize {
    let tight: String = line.chars().filter(|c| !c.is_whitespace()).collect();
    let whole_key = |word: &str| {
        // `test=false` is a key of its own, `doctest=false` and `latest=false` are others.
        let at_start =
            tight.starts_with(word) || tight.contains(&format!("{{{word}")) || tight.contains(&format!(",{word}"));
        !word.ends_with("=false") || at_start
    };
    let words = SETTINGS
        .iter()
        .filter(|s| s.files.iter().any(|f| named(name, f)))
        .flat_map(|s| s.words)
        .map(|word| if whole_key(word) { tight.matches(word).count() } else { 0 })
        .sum::<usize>();
    words + usize::from(COMMANDS.contains(&name) && cannot_fail(name, line, &tight))
}

/// Is this a test command whose failure does not count, or that runs nothing?
fn cannot_fail(name: &str, line: &str, tight: &str) -> bool {
    let swallowed = tight.contains("||true") || tight.contains("||exit0") || tight.ends_with("||:");
    let runs_tests = line
        .split(|c: char| !c.is_alphanumeric())
        .any(|word| ["test", "tests", "pytest", "jest", "vitest", "mocha", "ava", "nextest"].contains(&word));
    let command = tight.strip_prefix("\"test\":\"").map(|rest| rest.trim_end_matches([',', '"']));
    let nothing = name == "package.json"
        && command.is_some_and(|c| {
            ["true", "exit0", ":", ""].contains(&c) || (c.starts_with("echo") && !c.contains("&&exit1"))
        });
    (swallowed && runs_tests) || nothing
}
