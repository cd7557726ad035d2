//! Scripts and targets that people run: which of them run the tests, and whether a command among them may fail without
//! anybody noticing. What did not exist before took no test away, unless `test` runs it now.

use std::collections::{BTreeMap, BTreeSet};

/// Words that are runners of tests, wherever they stand in a command.
const RUNNERS: [&str; 12] =
    ["pytest", "py.test", "jest", "vitest", "mocha", "ava", "nextest", "tox", "nox", "ctest", "phpunit", "rspec"];
/// Programs that run tests if they are told to by the next word.
const LAUNCHERS: [&str; 14] = [
    "npm",
    "pnpm",
    "yarn",
    "bun",
    "deno",
    "cargo",
    "go",
    "make",
    "just",
    "run",
    "dotnet",
    "mvn",
    "gradle",
    "playwright",
];
/// Programs that run no tests, however their arguments are called.
const OTHERS: [&str; 36] = [
    "rm",
    "rimraf",
    "del",
    "del-cli",
    "mkdir",
    "cp",
    "mv",
    "ln",
    "touch",
    "ls",
    "cat",
    "find",
    "chmod",
    "chown",
    "tar",
    "docker",
    "docker-compose",
    "podman",
    "kubectl",
    "kill",
    "pkill",
    "killall",
    "fuser",
    "git",
    "curl",
    "wget",
    "sleep",
    "echo",
    "printf",
    "test",
    "[",
    "createdb",
    "dropdb",
    "psql",
    "mysql",
    "grep",
];
/// Programs that only start the one behind them.
const STARTERS: [&str; 10] = ["npx", "cross-env", "env", "sudo", "time", "exec", "bunx", "command", "nohup", "dotenv"];

/// The scripts of a file: its names, and the lines it stands in.
struct Script<'t> {
    names: Vec<&'t str>,
    from: u32,
    text: Vec<&'t str>,
}

/// Lines of new scripts that `test` does not run.
pub(super) fn of_others(path: &str, before: &str, after: &str) -> BTreeSet<u32> {
    let (was, now) = (scripts(path, before), scripts(path, after));
    let known: BTreeSet<&str> = was.iter().flat_map(|s| s.names.iter().copied()).collect();
    let run = run_by_test(&now);
    let is_other = |s: &&Script<'_>| !s.names.iter().any(|name| known.contains(name) || run.contains(name));
    now.iter().filter(is_other).flat_map(|s| s.from..s.from + s.text.len() as u32).collect()
}

/// Names of the scripts that `test` runs, itself among them.
fn run_by_test<'t>(all: &[Script<'t>]) -> BTreeSet<&'t str> {
    let mut named: BTreeMap<&'t str, Vec<&Script<'t>>> = BTreeMap::new();
    for script in all {
        for name in &script.names {
            named.entry(name).or_default().push(script);
        }
    }
    let (mut run, mut left) = (BTreeSet::new(), vec!["test"]);
    while let Some(name) = left.pop() {
        if !run.insert(name) {
            continue;
        }
        let texts = named.get(name).into_iter().flatten().flat_map(|s| &s.text);
        let words = texts.flat_map(|text| text.split(|c: char| c.is_whitespace() || "\"'&|;()$@,".contains(c)));
        left.extend(words.filter(|word| named.contains_key(word)));
    }
    run
}

fn scripts<'t>(path: &str, text: &'t str) -> Vec<Script<'t>> {
    let mut found: Vec<Script<'t>> = Vec::new();
    let is_package = path.ends_with("package.json");
    if !is_package && !["Makefile", "justfile"].iter().any(|name| path.ends_with(name)) {
        return found;
    }
    for (number, line) in (1..).zip(text.lines()) {
        if is_package {
            if let Some((name, command)) = entry(line) {
                found.push(Script { names: vec![name], from: number, text: vec![command] });
            }
        } else if let Some((names, needs)) = head(line, path.ends_with("justfile")) {
            found.push(Script { names, from: number, text: vec![needs] });
        } else if let Some(script) = found.last_mut() {
            script.text.push(line);
        }
    }
    found
}

/// `"name": "command"` on a line of its own.
fn entry(line: &str) -> Option<(&str, &str)> {
    let (name, rest) = line.trim().strip_prefix('"')?.split_once('"')?;
    let command = rest.trim_start().strip_prefix(':')?.trim_start();
    command.starts_with('"').then_some((name, command))
}

/// `name other: what it needs` at the left edge.
fn head(line: &str, is_just: bool) -> Option<(Vec<&str>, &str)> {
    let (names, needs) = line.split_once(':')?;
    if line.starts_with([' ', '\t', '#', '.']) || needs.starts_with('=') || (!is_just && names.contains('=')) {
        return None;
    }
    let names = names.trim_start_matches('@').split_whitespace().take(if is_just { 1 } else { usize::MAX });
    Some((names.collect(), needs))
}

/// Does a line run tests and end well whatever they say?
pub(super) fn swallows(line: &str) -> bool {
    let line = line.trim_end_matches(['"', ',', '\'']);
    // What stands before each `||` and `;` ends well by what stands behind it.
    let mut from = 0;
    for (at, sign) in line.match_indices(['|', ';']) {
        if at < from || (sign == "|" && !line[at..].starts_with("||")) {
            continue;
        }
        let (before, behind) = (&line[from..at], line[at..].trim_start_matches(['|', ';']).trim_start());
        from = line.len() - behind.len();
        let tight: String = behind.chars().filter(|c| !c.is_whitespace()).collect();
        let well = ["true", "exit0", ":"].iter().any(|end| {
            let rest = tight.strip_prefix(end);
            rest.is_some_and(|rest| rest.is_empty() || (sign == "|" && !rest.starts_with(char::is_alphanumeric)))
        });
        // An open bracket keeps what stands before it out of this.
        let inside = before.rsplit_once('(').map_or(before, |(_, inside)| inside);
        if well && inside.split("&&").any(runs_tests) {
            return true;
        }
    }
    false
}

/// Is this command one that runs tests?
fn runs_tests(command: &str) -> bool {
    let words: Vec<&str> = command.split(|c: char| c.is_whitespace() || "\"'`@$".contains(c)).collect();
    // `"test": "jest` begins with the name of a script.
    let words: Vec<&str> = words.into_iter().filter(|word| !word.is_empty() && *word != ":").collect();
    let program = words.iter().find(|word| !(STARTERS.contains(word) || word.contains('=') || word.starts_with('-')));
    let Some(program) = program.map(|program| program.trim_start_matches('-')) else { return false };
    let told =
        words.windows(2).any(|two| LAUNCHERS.contains(&two[0]) && (two[1] == "test" || two[1].starts_with("test:")));
    let removes = ["rm", "rimraf", "mkdir", "echo"].contains(&program);
    if OTHERS.contains(&program) {
        return !removes && (told || words.iter().any(|word| RUNNERS.contains(word)));
    }
    let parts = command.split(|c: char| !c.is_alphanumeric());
    let known = ["test", "tests", "pytest", "jest", "vitest", "mocha", "ava", "nextest"];
    told || words.iter().any(|word| RUNNERS.contains(word)) || parts.into_iter().any(|part| known.contains(&part))
}
