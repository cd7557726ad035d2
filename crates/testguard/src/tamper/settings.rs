//! Settings of test runners: a line that is new in a change and takes tests out of the run without touching any of them.
//! Only the plainest ones are known, each by file and word; a setting that was there before, in this file or in another
//! one of the change, is nobody's news, and one that only chooses where tests are looked for is not told, because tests
//! move.

use super::{Changed, entries, hooks, manifests, scripts};
use std::collections::BTreeMap;

/// A setting that hides tests: in these files, a line with one of these words.
struct Setting {
    files: &'static [&'static str],
    words: &'static [&'static str],
    /// Does a new file of this name rule tests that were there before it? The others come with a package of their own.
    rules_old_tests: bool,
}

const SETTINGS: [Setting; 6] = [
    // https://doc.rust-lang.org/cargo/reference/cargo-targets.html
    Setting {
        files: &["Cargo.toml"],
        words: &["autotests=false", "test=false", "[[test]]harness=false", "[[test]]required-features="],
        rules_old_tests: false,
    },
    // https://nexte.st/docs/configuration/reference/,
    // https://doc.rust-lang.org/cargo/reference/config.html#targettriplerunner
    Setting { files: &["nextest.toml"], words: &["default-filter="], rules_old_tests: true },
    Setting { files: &[".cargo/config.toml", ".cargo/config"], words: &["runner="], rules_old_tests: true },
    // https://docs.pytest.org/en/stable/example/pythoncollection.html
    Setting {
        files: &PYTEST,
        words: &["--ignore=", "--ignore-glob", "--deselect", "--collect-only", "norecursedirs"],
        rules_old_tests: true,
    },
    // https://docs.pytest.org/en/stable/reference/reference.html#hooks
    Setting {
        files: &["conftest.py"],
        words: &[
            "pytest_ignore_collect",
            "pytest_collect_file",
            "pytest_pycollect_makeitem",
            "pytest_runtest_protocol",
            "pytest_sessionfinish",
            "pytest_cmdline_main",
        ],
        rules_old_tests: true,
    },
    // https://jestjs.io/docs/configuration, https://vitest.dev/config/, https://mochajs.org
    Setting {
        files: &["package.json", "jest.config.", "vitest.config.", "vite.config.", ".mocharc"],
        words: &["passWithNoTests", "testNamePattern", "--testPathIgnore", "--invert"],
        rules_old_tests: true,
    },
];
/// Files in which people write the command that runs the tests.
const COMMANDS: [&str; 4] = ["package.json", "Makefile", "justfile", "tox.ini"];
/// Files of which pytest takes options.
const PYTEST: [&str; 7] =
    ["pytest.ini", ".pytest.ini", "pytest.toml", ".pytest.toml", "pyproject.toml", "setup.cfg", "tox.ini"];
const RUNNERS: [&str; 2] = ["pytest", "py.test"];
/// Options of pytest that leave tests out, each with its value behind a space or behind a `=`.
const LEAVING_OUT: [&str; 3] = ["--ignore", "--ignore-glob", "--deselect"];
/// Programs whose option `--ignore` is about something else.
const LINTERS: [&str; 7] = ["flake8", "pycodestyle", "pydocstyle", "pylint", "ruff", "autopep8", "isort"];
/// Options that choose some tests, by the words of the runners that have them.
const CHOOSING: [(&[&str], &[&str]); 5] = [
    (&["pytest"], &["-k", "-m"]),
    (&["jest", "vitest"], &["-t", "--exclude"]),
    (&["mocha", "playwright"], &["-g", "--grep", "-f", "--fgrep", "--grep-invert", "--ignore", "--exclude"]),
    (&["go"], &["-run", "-skip", "-test.run", "-test.skip"]),
    (&["cargo", "nextest"], &["--skip", "--exclude", "-E"]),
];

/// Is this a file with settings of a test runner?
pub(super) fn is_settings(path: &str) -> bool {
    COMMANDS.contains(&name(path)) || SETTINGS.iter().any(|s| s.applies(path)) || entries::has_lists(path)
}

impl Setting {
    fn applies(&self, path: &str) -> bool {
        self.files.iter().any(|file| match file.split_once('/') {
            Some(_) => path == *file || path.ends_with(&format!("/{file}")),
            None if file.ends_with('.') || *file == ".mocharc" => name(path).starts_with(file),
            None => name(path) == *file,
        })
    }
}

/// A line that hides tests and has no like before.
pub(super) struct Hiding<'p> {
    pub(super) path: &'p str,
    pub(super) line: u32,
    pub(super) text: String,
}

/// One line of a file, with what its words are read by.
struct Line<'t> {
    number: u32,
    /// The heading it stands under, as in `[[test]]`.
    section: &'t str,
    /// The key its value belongs to, which may stand lines above.
    key: &'t str,
    text: &'t str,
}

fn lines(text: &str) -> Vec<Line<'_>> {
    let (mut section, mut key) = ("", "");
    let mut found: Vec<Line<'_>> = Vec::new();
    for (number, text) in (1..).zip(text.lines().map(str::trim)) {
        if text.starts_with('[') {
            section = text;
        }
        key = key_of(text).unwrap_or(key);
        found.push(Line { number, section, key, text });
    }
    found
}

/// The key a line begins with: none in a line that goes on with the value of another one. A heading ends it.
fn key_of(line: &str) -> Option<&str> {
    if line.starts_with('[') && line.ends_with(']') && !line.contains(['"', '\'']) {
        return Some("");
    }
    let key = line.split_once('=')?.0.trim_end();
    let is_key = !key.starts_with('-') && key.chars().all(|c| c.is_alphanumeric() || "_-.".contains(c));
    (is_key && !key.is_empty()).then_some(key)
}

/// Lines after that hide tests and have no like before.
pub(super) fn hiding<'p>(changed: &[&Changed<'p>]) -> Vec<Hiding<'p>> {
    let files: Vec<&&Changed<'p>> = changed.iter().filter(|c| is_settings(c.path)).collect();
    // Of a file that is gone or changed, what it hid before may be hidden from another one.
    let mut gone: BTreeMap<String, usize> = BTreeMap::new();
    for file in files.iter().filter(|f| f.before.is_some()) {
        let texts = [file.before, file.after].map(|side| String::from_utf8_lossy(side.unwrap_or_default()));
        let [was, now] = [&texts[0], &texts[1]].map(|text| lines(text));
        for line in without(&was, &now).into_iter().filter(|line| hidden_words(file.path, line) > 0) {
            *gone.entry(line.text.to_owned()).or_default() += 1;
        }
    }
    let mut found = entries::left_out(changed);
    found.extend(hooks::passing_over(changed));
    for file in files {
        let is_new = file.before.is_none();
        if is_new && !SETTINGS.iter().any(|s| s.rules_old_tests && s.applies(file.path)) {
            continue;
        }
        // A package that is new comes with the tests it has.
        if is_new && comes_with_package(file.path, changed) {
            continue;
        }
        let Some(after) = file.after.map(String::from_utf8_lossy) else { continue };
        let before = String::from_utf8_lossy(file.before.unwrap_or_default());
        let (was, now) = (lines(&before), lines(&after));
        let (had, has) = (without(&was, &now), without(&now, &was));
        let hidden_before = had.iter().map(|old| hidden_words(file.path, old)).max().unwrap_or(0);
        let of_others = scripts::of_others(file.path, &before, &after);
        for line in has {
            if of_others.contains(&line.number)
                || manifests::is_of_new(file.path, changed, [&before, &after], line.number)
            {
                continue;
            }
            let words = if is_new { settings_words(file.path, line) } else { hidden_words(file.path, line) };
            // A line that was edited and hid something before is told only if it hides more.
            if words <= hidden_before {
                continue;
            }
            if let Some(moved) = gone.get_mut(line.text).filter(|n| **n > 0) {
                *moved -= 1;
                continue;
            }
            found.push(Hiding { path: file.path, line: line.number, text: line.text.to_owned() });
        }
        if !is_new && name(file.path) == "package.json" && has_test_script(&before) && !has_test_script(&after) {
            found.push(Hiding { path: file.path, line: 1, text: "there is no script `test` any more".to_owned() });
        }
    }
    found
}

/// Are these settings of a package of JavaScript that is new?
fn comes_with_package(path: &str, changed: &[&Changed<'_>]) -> bool {
    let name = name(path);
    let of_javascript = ["package.json", "jest.config.", "vitest.config.", "vite.config.", ".mocharc"];
    let package = format!("{}package.json", path.strip_suffix(name).unwrap_or_default());
    of_javascript.iter().any(|file| name.starts_with(file))
        && changed.iter().any(|c| c.before.is_none() && c.path == package)
}

/// The lines that `others` has no like of, each counted once.
fn without<'l, 't>(lines: &'l [Line<'t>], others: &'l [Line<'t>]) -> Vec<&'l Line<'t>> {
    let mut common: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for line in others {
        *common.entry((line.section, line.text)).or_default() += 1;
    }
    let is_new = |line: &&'l Line<'t>| match common.get_mut(&(line.section, line.text)) {
        Some(count) if *count > 0 => {
            *count -= 1;
            false
        }
        _ => true,
    };
    lines.iter().filter(is_new).collect()
}

fn has_test_script(text: &str) -> bool {
    tight(text).contains("\"test\":\"")
}

fn name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or_default()
}

fn tight(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace()).collect()
}

/// How many times a line hides something.
fn hidden_words(path: &str, line: &Line<'_>) -> usize {
    let command = COMMANDS.contains(&name(path)) && !is_comment(line.text) && cannot_fail(name(path), line.text);
    settings_words(path, line) + usize::from(command)
}

fn is_comment(line: &str) -> bool {
    line.starts_with('#') || line.starts_with("//")
}

/// How many settings that hide something a line has.
fn settings_words(path: &str, line: &Line<'_>) -> usize {
    if is_comment(line.text) {
        return 0;
    }
    let tight = tight(line.text);
    let count = |word: &str| {
        if let Some(key) = word.strip_prefix("[[test]]") {
            return usize::from(line.section.starts_with("[[test]]") && tight.starts_with(key));
        }
        // `test=false` is a key of its own, `doctest=false` and `latest=false` are others.
        let at_start =
            tight.starts_with(word) || tight.contains(&format!("{{{word}")) || tight.contains(&format!(",{word}"));
        let whole_key = word.ends_with('=') && !word.starts_with('-') || word.ends_with("=false");
        if !whole_key || at_start { tight.matches(word).count() } else { 0 }
    };
    let of_linter = is_of(&words_of(line.text), &LINTERS);
    let words = SETTINGS.iter().filter(|s| s.applies(path)).flat_map(|s| s.words);
    let words = words.filter(|word| !(of_linter && word.starts_with("--ignore"))).map(|word| count(word));
    words.sum::<usize>() + choosing(path, line) + leaving_out(path, line) + usize::from(renames_tests(path, &tight))
}

fn words_of(line: &str) -> Vec<&str> {
    line.split(|c: char| c.is_whitespace() || "\"',[]()=`".contains(c)).collect()
}

/// Is one of these words in a line?
fn is_of(words: &[&str], one_of: &[&str]) -> bool {
    words.iter().any(|word| one_of.contains(word))
}

/// Does a line give options to pytest: those of its settings, or those of a command?
fn asks_pytest(path: &str, line: &Line<'_>) -> bool {
    let settings = PYTEST.contains(&name(path)) && (line.key == "addopts" || line.text.contains("addopts"));
    settings || (COMMANDS.contains(&name(path)) && is_of(&words_of(line.text), &RUNNERS))
}

/// How many options of pytest leave tests out, as far as no word of a setting is one.
fn leaving_out(path: &str, line: &Line<'_>) -> usize {
    if !asks_pytest(path, line) {
        return 0;
    }
    if !PYTEST.contains(&name(path)) {
        let words = words_of(line.text);
        let behind = words.iter().skip_while(|word| !RUNNERS.contains(word));
        return behind.filter(|word| LEAVING_OUT.contains(word)).count();
    }
    // The others count as words of settings, wherever they stand.
    let words = line.text.split(|c: char| c.is_whitespace() || "\"',[]()`".contains(c));
    words.filter(|word| *word == "--ignore" || word.ends_with("=--ignore")).count()
}

/// How many options of a line choose some of the tests.
fn choosing(path: &str, line: &Line<'_>) -> usize {
    let words = words_of(line.text);
    let mut count = 0;
    for (runners, options) in CHOOSING {
        let options_of_pytest = runners == ["pytest"] && asks_pytest(path, line);
        let asked = COMMANDS.contains(&name(path)) && words.iter().any(|word| runners.contains(word));
        // `cargo` and `go` have other work than tests.
        let of_tests = !["go", "cargo"].contains(&runners[0]) || words.contains(&"test") || words.contains(&"nextest");
        if !(options_of_pytest || (asked && of_tests)) {
            continue;
        }
        let python = |at: usize| at > 0 && words[at - 1].starts_with("python");
        let chosen = |(at, word): &(usize, &&str)| options.contains(word) && !(**word == "-m" && python(*at));
        // What stands in front of the runner is for another program.
        let runner = words.iter().position(|word| runners.contains(word)).unwrap_or(0);
        count += words.iter().enumerate().skip(runner).filter(chosen).count();
    }
    count
}

/// Are tests to have names that none has by default?
fn renames_tests(path: &str, tight: &str) -> bool {
    let keys = ["python_files=", "python_functions=", "python_classes="];
    let value = keys.iter().find_map(|key| tight.strip_prefix(key));
    PYTEST.contains(&name(path)) && value.is_some_and(|value| !value.to_ascii_lowercase().contains("test"))
}

/// Is this a test command whose failure does not count, or that runs nothing?
fn cannot_fail(name: &str, line: &str) -> bool {
    let is_package = name == "package.json";
    // Without the key, which may be called `test`.
    let command = line.trim_start().strip_prefix('"').filter(|_| is_package).and_then(|rest| rest.split_once("\":"));
    let command = command.filter(|(_, value)| value.trim_start().starts_with('"')).map(|(_, value)| value.trim());
    let tight = tight(line);
    let nothing = tight
        .strip_prefix("\"test\":\"")
        .map(|rest| rest.trim_end_matches([',', '"']))
        .is_some_and(|c| ["true", "exit0", ":", ""].contains(&c) || (c.starts_with("echo") && !c.contains("&&exit1")));
    scripts::swallows(command.unwrap_or(line)) || (is_package && nothing)
}
