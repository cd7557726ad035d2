//! The way to run the tests of a whole repository, out of what its directories say.

use super::ci::Ci;
use super::machine::Machine;
use super::plan::Plan;
use super::tree::{Dir, Tree};
use super::{native, node, python, runners};

/// Directories that are not the product.
const ASIDE: &[&str] = &[
    "example",
    "examples",
    "sample",
    "samples",
    "demo",
    "demos",
    "docs",
    "doc",
    "vendor",
    "third_party",
    "node_modules",
    "testdata",
    "fixtures",
    "fixture",
    "test",
    "tests",
    "bench",
    "benches",
    "benchmarks",
    "fuzz",
    "tools",
    "scripts",
    "website",
    "dist",
    "build",
    "target",
];

/// So many directories of a repository without anything at its top are taken together.
const MOST: usize = 6;

/// What is found; `None`: no tests.
pub(super) fn plan(tree: &Tree, ci: &Ci, machine: &Machine) -> Option<Plan> {
    let top = tree.dir("");
    let mut found = match at(&top, ci, machine) {
        Some(mut found) => {
            found.notes.extend(left_out(tree, &found, ci, machine));
            found
        }
        None => below(tree, ci, machine)?,
    };
    if 0 < tree.unreadable() {
        found.notes.push(format!("{} files are not looked at: their names are no UTF-8", tree.unreadable()));
    }
    let services: Vec<&str> = ci.services().iter().map(String::as_str).collect();
    if !services.is_empty() {
        found.notes.push(format!(
            "its CI starts {}: where the tests need them, they must run on this machine",
            services.join(", ")
        ));
    }
    Some(found)
}

/// In one directory: what its language's own tool runs, and beside it what the repository calls its tests itself. The latter
/// comes first only where CI uses it and not the tool.
fn at(dir: &Dir<'_>, ci: &Ci, machine: &Machine) -> Option<Plan> {
    let natives = [
        native::rust(dir),
        native::go(dir),
        native::jvm(dir, ci, machine),
        python::plan(dir, ci, machine),
        node::plan(dir, ci, machine),
    ];
    let natives: Vec<Plan> = natives.into_iter().flatten().collect();
    let own = runners::first_of(runners::all(dir, ci));
    let native = match natives.len() {
        0 => return own.or_else(|| python::bare(dir, ci)),
        1 => natives.into_iter().next()?,
        _ => {
            let note = "there are several ecosystems at the top: the tests of all of them are run";
            natives.into_iter().reduce(Plan::and)?.note(note)
        }
    };
    let Some(own) = own else { return Some(native) };
    let (mut first, second) = if ci_prefers(&own, &native, ci, machine) { (own, native) } else { (native, own) };
    first.beside.extend(second.tools.iter().cloned());
    let because = format!("with `{}`", second.test);
    if second.tools.iter().all(|tool| machine.has(tool)) {
        first.others.push(second.other(because));
    }
    Some(first)
}

/// Does CI run what the repository calls its tests, and never the tool of its language?
fn ci_prefers(own: &Plan, native: &Plan, ci: &Ci, machine: &Machine) -> bool {
    let words: Vec<&str> = own.test.split_whitespace().collect();
    let [program @ ("make" | "just"), target] = words.as_slice() else { return false };
    let by_own = ci.runs(program).any(|words| words.contains(target));
    let by_tool = native.tools.iter().any(|tool| {
        let mut lines = ci.runs(tool);
        lines.any(|words| words.iter().any(|w| w.contains("test") || *w == "verify"))
    });
    machine.has(program) && by_own && !by_tool
}

/// Marks of a project, and its kind.
const MARKS: &[(&str, &str)] = &[
    ("Cargo.toml", "rust"),
    ("go.mod", "go"),
    ("pom.xml", "jvm"),
    ("build.gradle", "jvm"),
    ("build.gradle.kts", "jvm"),
    ("package.json", "node"),
    ("pyproject.toml", "python"),
    ("setup.py", "python"),
];

/// Names the projects below a top that has tests, unless the tool of the top enters them or says so itself.
fn left_out(tree: &Tree, plan: &Plan, ci: &Ci, machine: &Machine) -> Option<String> {
    let top = tree.dir("");
    let enters = |kind: &str| match kind {
        "rust" => top.toml("Cargo.toml").get("workspace").and_then(|w| w.get("members")).is_some(),
        "node" => {
            top.has("pnpm-workspace.yaml")
                || top.read("package.json").is_some_and(|text| text.contains("\"workspaces\""))
        }
        kind => MARKS.iter().any(|(mark, of)| *of == kind && top.has(mark)) || kind == "go" && top.has("go.work"),
    };
    let entered: Vec<&str> = ["rust", "go", "jvm", "node", "python"].into_iter().filter(|kind| enters(kind)).collect();
    let mut found: Vec<&str> = Vec::new();
    for name in tree.names() {
        let Some((path, mark)) = name.rsplit_once('/') else { continue };
        let odd = |part: &str| part.starts_with('.') || part.chars().any(char::is_control) || ASIDE.contains(&part);
        let other = MARKS.iter().any(|(known, kind)| *known == mark && !entered.contains(kind));
        if other && !path.split('/').any(odd) && !found.contains(&path) && at(&tree.dir(path), ci, machine).is_some() {
            found.push(path);
        }
    }
    let all = found.clone();
    let inside = |path: &str, upper: &str| path.strip_prefix(upper).is_some_and(|rest| rest.starts_with('/'));
    found.retain(|path| !all.iter().any(|upper| inside(path, upper)));
    let (first, rest) = found.split_at(found.len().min(2 * MOST));
    let more = if rest.is_empty() { String::new() } else { format!(" and {} more", rest.len()) };
    let said = format!(
        "projects below the top: {}{more} with tests of their own: `{}` may not run them",
        first.join(", "),
        plan.test
    );
    (!first.is_empty()).then_some(said)
}

/// A repository of several projects: each of them, the upper ones before those below.
fn below(tree: &Tree, ci: &Ci, machine: &Machine) -> Option<Plan> {
    let mut dirs: Vec<&str> = Vec::new();
    for name in tree.names() {
        let mut end = 0;
        // One or two directories down.
        for part in name.split('/').take(2) {
            end += part.len();
            let odd = part.starts_with('.') || part.chars().any(char::is_control);
            if end == name.len() || odd || ASIDE.contains(&part) {
                break;
            }
            let dir = &name[..end];
            if !dirs.contains(&dir) {
                dirs.push(dir);
            }
            end += 1;
        }
    }
    dirs.sort_by_key(|dir| (dir.matches('/').count(), *dir));
    let mut taken: Vec<&str> = Vec::new();
    let mut plans = Vec::new();
    let mut more = 0;
    for dir in dirs {
        let inside = |upper: &&str| dir.strip_prefix(*upper).is_some_and(|rest| rest.starts_with('/'));
        if taken.iter().any(inside) {
            continue;
        }
        let Some(plan) = at(&tree.dir(dir), ci, machine) else { continue };
        taken.push(dir);
        if plans.len() < MOST {
            plans.push(plan.in_dir(dir));
        } else {
            more += 1;
        }
    }
    let note =
        format!("nothing at the top says how to test; the tests of {} are run one after the other", taken.join(", "));
    let plan = plans.into_iter().reduce(Plan::and)?;
    let plan = if taken.len() < 2 { plan } else { plan.note(note) };
    Some(if more == 0 {
        plan
    } else {
        plan.note(format!("{more} more directories have tests of their own and are left out"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[(&str, &str)]) -> Option<Plan> {
        let tree = Tree::of_files(files);
        let tools = ["cargo", "go", "npm", "npx", "python3", "make", "mvn", "gradle", "java", "just"];
        plan(&tree, &Ci::of(&tree), &Machine::with(&tools))
    }

    fn test_of(files: &[(&str, &str)]) -> String {
        found(files).unwrap().test
    }

    #[test]
    fn each_ecosystem_is_known_by_its_files() {
        let repo = "-Dmaven.repo.local=\"$HOME/.m2\"";
        assert_eq!(test_of(&[("Cargo.toml", "[package]\n")]), "cargo test");
        assert_eq!(test_of(&[("Cargo.toml", "[workspace]\nmembers = ['a']\n")]), "cargo test --workspace");
        assert_eq!(test_of(&[("go.mod", "module x\n")]), "go test ./...");
        assert_eq!(test_of(&[("go.work", "go 1.22\nuse (\n\t./a\n\tb // x\n)\n")]), "go test ./a/... ./b/...");
        assert_eq!(test_of(&[("go.work", "use ./a\n")]), "go test ./a/...");
        assert_eq!(test_of(&[("pom.xml", "")]), format!("mvn -B -ntp {repo} test"));
        assert_eq!(test_of(&[("pom.xml", ""), ("mvnw", "")]), format!("sh ./mvnw -B -ntp {repo} test"));
        let ci = (".github/workflows/b.yml", "        run: mvn verify javadoc:jar\n");
        assert_eq!(test_of(&[("pom.xml", ""), ci]), format!("mvn -B -ntp {repo} verify"));
        assert_eq!(test_of(&[("build.gradle.kts", "")]), "gradle --no-daemon -g \"$HOME/.gradle\" test");
        assert_eq!(test_of(&[("Makefile", "test:\n\t./x\n")]), "make test");
        assert_eq!(test_of(&[("justfile", "test:\n  ./x\n")]), "just test");
        assert_eq!(test_of(&[("test.sh", "")]), "sh test.sh");
        assert_eq!(found(&[("README.md", ""), ("Makefile", ".PHONY: test\nall:\n")]), None);
    }

    #[test]
    fn a_makefile_comes_first_where_ci_uses_it_and_not_the_tool() {
        let make = ("Makefile", "test: generate\n\tgo test ./...\n");
        let files = [("go.mod", "module x\n"), make];
        let plan = found(&files).unwrap();
        assert_eq!((&*plan.test, &*plan.others[0].test), ("go test ./...", "make test"));
        let ci = (".github/workflows/b.yml", "      - run: make test\n");
        assert_eq!(test_of(&[files[0], make, ci]), "make test");
        let ci = (".github/workflows/b.yml", "      - run: make test\n      - run: go test -race ./...\n");
        assert_eq!(test_of(&[files[0], make, ci]), "go test ./...");
    }

    #[test]
    fn a_makefile_gets_what_the_tool_beside_it_needs_of_the_environment() {
        let files = [("Cargo.toml", "[package]\n"), ("Makefile", "test:\n\tcargo test\n")];
        let ci = (".github/workflows/b.yml", "      - run: make test\n");
        let plan = found(&[files[0], files[1], ci]).unwrap();
        assert_eq!((&*plan.test, plan.tools, plan.beside), ("make test", vec!["make".into()], vec!["cargo".into()]));
        let plan = found(&files).unwrap();
        assert_eq!(plan.test, "cargo test");
        assert!(plan.with(&plan.others[0]).beside.contains(&"cargo".to_owned()), "{plan:?}");
    }

    #[test]
    fn a_directory_is_no_option_of_cd() {
        assert_eq!(test_of(&[("-P/go.mod", "module x\n")]), "(cd ./-P && go test ./...)");
    }

    #[test]
    fn a_repository_of_two_ecosystems_has_the_tests_of_both() {
        let files = [
            ("README.md", ""),
            ("backend/go.mod", "module x\n"),
            ("front end/package.json", r#"{"scripts": {"test": "vitest"}}"#),
            ("front end/package-lock.json", "{}"),
            ("examples/go.mod", "module e\n"),
            ("backend/inner/go.mod", "module i\n"),
            ("x\n[project.deploy]/go.mod", "module l\n"),
        ];
        let plan = found(&files).unwrap();
        assert_eq!(plan.test, "(cd backend && go test ./...) && (cd 'front end' && npm test)");
        assert_eq!(plan.setup.unwrap(), "(cd 'front end' && npm ci)");
        assert!(plan.notes.iter().any(|note| note.contains("backend, front end")), "{:?}", plan.notes);
        let both = [("Cargo.toml", "[package]\n"), ("package.json", r#"{"scripts": {"test": "x"}}"#)];
        assert_eq!(test_of(&both), "cargo test && npm test");
    }

    #[test]
    fn projects_below_a_top_with_tests_are_named_unless_its_tool_enters_them() {
        let script = r#"{"scripts": {"test": "x"}}"#;
        let files = [
            ("Cargo.toml", "[workspace]\nmembers = ['a']\n"),
            ("a/Cargo.toml", "[package]\n"),
            ("web/app/package.json", script),
            ("web/app/inner/package.json", script),
            ("web/no-tests/package.json", "{}"),
            ("service/go.mod", "module s\n"),
            ("examples/go.mod", "module e\n"),
        ];
        let notes = found(&files).unwrap().notes;
        assert_eq!(
            notes,
            [
                "projects below the top: service, web/app with tests of their own: `cargo test --workspace` may not run them"
            ]
        );
        let alone = [("Cargo.toml", "[package]\n"), ("a/Cargo.toml", "[package]\n")];
        assert!(
            found(&alone).unwrap().notes[0].starts_with("projects below the top: a with"),
            "a crate outside of any workspace"
        );
        assert_eq!(found(&files[..2]).unwrap().notes, [""; 0]);
    }

    #[test]
    fn a_name_that_is_no_utf_8_is_left_out_and_counted() {
        let plan = found(&[("b\u{fffd}d/go.mod", "module x\n"), ("a/go.mod", "module x\n")]).unwrap();
        assert_eq!(plan.test, "(cd a && go test ./...)");
        assert!(plan.notes[0].starts_with("1 files are not looked at"), "{:?}", plan.notes);
    }

    #[test]
    fn services_of_ci_are_named() {
        let ci = (
            ".github/workflows/b.yml",
            "    services:\n      db:\n        image: postgres:16\n    matrix:\n      - image: macos-latest\n",
        );
        let plan = found(&[("go.mod", ""), ci]).unwrap();
        assert!(plan.notes[0].starts_with("its CI starts postgres:16:"), "{:?}", plan.notes);
    }
}
