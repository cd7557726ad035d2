//! Make, just, scripts, CMake and autotools: what a repository names its tests itself.

use super::ci::Ci;
use super::plan::{Plan, quoted};
use super::tree::Dir;
use std::collections::BTreeMap;

/// Names of targets and recipes that run tests, the most likely first.
const NAMES: &[&str] = &["test", "check", "tests", "unittest", "unit-test", "test-unit", "unit"];

/// Scripts that run tests.
const SCRIPTS: &[&str] = &[
    "test.sh",
    "tests.sh",
    "run_tests.sh",
    "runtests.sh",
    "run-tests.sh",
    "script/test",
    "scripts/test",
    "scripts/test.sh",
    "ci/test.sh",
    "bin/test",
];

/// What is found, the most likely first.
pub(super) fn all(dir: &Dir<'_>, ci: &Ci) -> Vec<Plan> {
    [make(dir, ci), just(dir, ci), scripts(dir), autotools(dir), cmake(dir)].into_iter().flatten().collect()
}

/// A plan whose others are the ones behind it.
pub(super) fn first_of(mut plans: Vec<Plan>) -> Option<Plan> {
    if plans.is_empty() {
        return None;
    }
    let mut first = plans.remove(0);
    for next in plans {
        let because = format!("with `{}`", next.test);
        first.others.push(next.other(because));
    }
    Some(first)
}

fn make(dir: &Dir<'_>, ci: &Ci) -> Vec<Plan> {
    let Some(file) = dir.first(&["GNUmakefile", "makefile", "Makefile"]) else { return Vec::new() };
    let targets = targets(&dir.read(file).unwrap_or_default());
    let found = chosen(&targets, ci, "make");
    found.into_iter().map(|name| Plan::new(format!("make {name}"), file, &["make"])).collect()
}

fn just(dir: &Dir<'_>, ci: &Ci) -> Vec<Plan> {
    let Some(file) = dir.first(&["justfile", "Justfile", ".justfile"]) else { return Vec::new() };
    let recipes = recipes(&dir.read(file).unwrap_or_default());
    chosen(&recipes, ci, "just").into_iter().map(|name| Plan::new(format!("just {name}"), file, &["just"])).collect()
}

/// The names that run tests: first what CI runs, by name or by the script its recipe runs, then the usual ones.
fn chosen(recipes: &BTreeMap<String, String>, ci: &Ci, program: &str) -> Vec<String> {
    let is_test = |name: &str| NAMES.contains(&name) || name.starts_with("test") || name.ends_with("test");
    let named: Vec<&str> = ci.runs(program).flatten().filter(|w| recipes.contains_key(*w) && is_test(w)).collect();
    let scripted = recipes.iter().filter(|(name, recipe)| {
        is_test(name)
            && SCRIPTS
                .iter()
                .any(|script| recipe.contains(&format!("./{script}")) && ci.contains(&format!("/{script}")))
    });
    let usual = NAMES.iter().copied().filter(|name| recipes.contains_key(*name));
    let mut all: Vec<String> = Vec::new();
    for name in named.into_iter().chain(scripted.map(|(name, _)| name.as_str())).chain(usual) {
        let plain = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
        if name.starts_with('-') || !name.chars().all(plain) {
            continue;
        }
        // A list of targets that do nothing but name one another is no answer: `ci` may be red, `test` is asked.
        if !all.iter().any(|known| known == name) {
            all.push(name.to_owned());
        }
    }
    all
}

/// Targets of a makefile with their recipes. `.PHONY: test` alone makes none.
fn targets(text: &str) -> BTreeMap<String, String> {
    let mut found: BTreeMap<String, String> = BTreeMap::new();
    let mut open: Vec<String> = Vec::new();
    for line in text.lines() {
        if line.starts_with('\t') {
            for name in &open {
                let recipe = found.entry(name.clone()).or_default();
                recipe.push_str(line.trim());
                recipe.push('\n');
            }
            continue;
        }
        if line.starts_with('#') || line.trim().is_empty() {
            continue;
        }
        open.clear();
        let Some((names, rest)) = line.split_once(':') else { continue };
        if rest.starts_with(['=', ':']) && rest.contains('=') || names.contains('=') || line.starts_with([' ', '.']) {
            continue;
        }
        // `test: FLAGS = -v` sets a variable of a target that may not be there.
        if rest.contains('=') && !rest.contains(';') {
            continue;
        }
        for name in names.split_whitespace() {
            found.entry(name.to_owned()).or_default();
            open.push(name.to_owned());
        }
    }
    found
}

/// Recipes of a justfile.
fn recipes(text: &str) -> BTreeMap<String, String> {
    let mut found: BTreeMap<String, String> = BTreeMap::new();
    let mut open: Option<String> = None;
    for line in text.lines() {
        if line.starts_with([' ', '\t']) {
            if let Some(recipe) = open.as_ref().and_then(|name| found.get_mut(name)) {
                recipe.push_str(line.trim());
                recipe.push('\n');
            }
            continue;
        }
        open = None;
        let line = line.trim_start_matches('@');
        let Some((head, rest)) = line.split_once(':') else { continue };
        if rest.starts_with('=') || line.starts_with(['#', '[']) {
            continue;
        }
        let mut words = head.split_whitespace();
        let Some(name) = words.next() else { continue };
        // A recipe that must be given something is not run by its name alone.
        let needs = words.any(|word| !word.contains('=') && !word.starts_with('*'));
        if ["set", "alias", "export", "mod", "import"].contains(&name) || needs {
            continue;
        }
        open = Some(name.to_owned());
        found.insert(name.to_owned(), rest.trim().to_owned() + "\n");
    }
    found
}

fn scripts(dir: &Dir<'_>) -> Vec<Plan> {
    let Some(script) = dir.first(SCRIPTS) else { return Vec::new() };
    let interpreter = interpreter(&dir.read(script).unwrap_or_default());
    vec![match interpreter.as_deref() {
        None | Some("sh" | "dash" | "ash") => Plan::new(format!("sh {script}"), script, &[]),
        Some("bash") => Plan::new(format!("bash {script}"), script, &["bash"]),
        Some(other) if dir.executable(script) == Some(false) => {
            Plan::new(format!("{} {script}", quoted(other)), script, &[other])
        }
        Some(other) => Plan::new(format!("./{script}"), script, &[other]),
    }]
}

/// The base name of the program that a script names in its first line: `fish` of `#!/usr/bin/env -S fish -l`.
fn interpreter(text: &str) -> Option<String> {
    let mut words = text.lines().next()?.strip_prefix("#!")?.split_whitespace();
    let base = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
    let first = base(words.next()?);
    if first != "env" {
        return Some(first);
    }
    words.find(|word| !word.starts_with('-') && !word.contains('=')).map(base)
}

fn autotools(dir: &Dir<'_>) -> Vec<Plan> {
    if dir.has("configure.ac") && dir.has("Makefile.am") {
        let setup = if dir.has("configure") {
            "./configure && make"
        } else if dir.has("autogen.sh") {
            "sh ./autogen.sh && ./configure && make"
        } else {
            "autoreconf -fi && ./configure && make"
        };
        let tools: &[&str] = if setup.contains("auto") { &["autoreconf", "make", "cc"] } else { &["make", "cc"] };
        return vec![Plan::new("make check", "configure.ac", tools).setup(setup)];
    }
    Vec::new()
}

fn cmake(dir: &Dir<'_>) -> Vec<Plan> {
    let text = dir.read("CMakeLists.txt").unwrap_or_default().to_ascii_lowercase();
    let tests = ["enable_testing", "add_test", "include(ctest)", "include (ctest)"];
    if !tests.iter().any(|word| text.contains(word)) {
        return Vec::new();
    }
    let setup = "cmake -S . -B build-orch && cmake --build build-orch --parallel 2";
    vec![
        Plan::new("ctest --test-dir build-orch --output-on-failure", "CMakeLists.txt", &["cmake", "ctest"])
            .setup(setup),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::tree::Tree;
    use super::*;

    fn tests_of(files: &[(&str, &str)]) -> Vec<String> {
        let tree = Tree::of_files(files);
        all(&tree.dir(""), &Ci::of(&tree)).into_iter().map(|plan| plan.test).collect()
    }

    #[test]
    fn a_target_must_be_there_and_not_only_be_named() {
        for (makefile, expected) in [
            ("all:\n\tcc x.c\ntest: all\n\t./x\n", &["make test"][..]),
            ("check test:\n\t./x\n", &["make test", "make check"]),
            (".PHONY: test\nall:\n\tcc x.c\n", &[]),
            ("test := 1\ntest ?= 2\n", &[]),
            ("test: FLAGS = -v\n", &[]),
            ("testing:\n\techo\n", &[]),
            ("\ttest:\n", &[]),
        ] {
            assert_eq!(tests_of(&[("Makefile", makefile)]), expected, "{makefile:?}");
        }
    }

    #[test]
    fn what_ci_runs_comes_first() {
        let makefile = "test:\n\t./x\ncheck: x\n\tSSL=1 ./test.sh\ntest-unit:\n\t./y\n";
        let workflow = "jobs:\n  a:\n    steps:\n      - run: FOO=1 make test-unit\n";
        let files = [("Makefile", makefile), (".github/workflows/a.yml", workflow)];
        assert_eq!(tests_of(&files), ["make test-unit", "make test", "make check"]);
        let workflow = "      - run: |\n          $GITHUB_WORKSPACE/test.sh\n";
        let files = [("Makefile", makefile), ("test.sh", "#!/bin/sh\n"), (".github/workflows/a.yml", workflow)];
        assert_eq!(tests_of(&files), ["make check", "make test", "make test-unit", "sh test.sh"]);
    }

    #[test]
    fn a_target_whose_name_the_shell_would_read_is_no_test() {
        for name in ["test;touch", "test$(x)", "`x`test", "-test"] {
            let ci = format!("      - run: make {name}\n");
            let makefile = format!("{name}:\n\t./x\n");
            assert_eq!(tests_of(&[("Makefile", &makefile), (".github/workflows/a.yml", &ci)]), [""; 0], "{name}");
        }
    }

    #[test]
    fn a_script_is_run_by_the_program_it_names() {
        for (first, expected) in [
            ("", "sh test.sh"),
            ("#!/bin/sh -e", "sh test.sh"),
            ("#!/usr/bin/env bash", "bash test.sh"),
            ("#!/usr/bin/fish", "./test.sh"),
            ("#!/usr/bin/env -S A=1 zsh -f", "./test.sh"),
            ("#!/opt/bash/bin/python3", "./test.sh"),
        ] {
            assert_eq!(tests_of(&[("test.sh", &format!("{first}\n"))]), [expected], "{first}");
        }
        // One that is no program is given to it.
        let dir = tempfile::tempdir().unwrap();
        let init = std::process::Command::new("git").args(["init", "-q"]).current_dir(dir.path()).status();
        assert!(init.unwrap().success());
        std::fs::write(dir.path().join("test.sh"), "#!/usr/bin/env fish\n").unwrap();
        let plan = all(&Tree::of_directory(dir.path()).dir(""), &Ci::default()).remove(0);
        assert_eq!((&*plan.test, plan.tools), ("fish test.sh", vec!["fish".into()]));
    }

    #[test]
    fn a_recipe_that_needs_arguments_is_not_run_alone() {
        assert_eq!(tests_of(&[("justfile", "set shell := ['sh']\ntest *args:\n  cargo test\n")]), ["just test"]);
        assert_eq!(
            tests_of(&[(".justfile", "test name:\n  cargo test {{name}}\ncheck x='1': test\n  a\n")]),
            ["just check"]
        );
    }

    #[test]
    fn a_build_that_is_generated_first_has_a_setup() {
        let tree = Tree::of_files(&[("configure.ac", ""), ("Makefile.am", "")]);
        let plan = first_of(all(&tree.dir(""), &Ci::default())).unwrap();
        assert_eq!(plan.setup.unwrap(), "autoreconf -fi && ./configure && make");
        let tree = Tree::of_files(&[("CMakeLists.txt", "project(x)\nenable_testing()\n")]);
        let plan = first_of(all(&tree.dir(""), &Ci::default())).unwrap();
        assert!(plan.test.starts_with("ctest ") && plan.setup.unwrap().starts_with("cmake "));
    }
}
