//! The scripted reviewer's judgement: rules over the lines a change adds. PURE. They decide what a careful person would
//! refuse without understanding the product: work left undone, debug output, `eval` of somebody's input, code without a
//! test. They may never look at who wrote it or for what.

use super::diff::FileDiff;
use orch_core::verdict::{Finding, Severity};
use std::path::Path;

/// Most findings a review lists; a change with more has other problems.
const MAX_FINDINGS: usize = 100;

/// What the rules look for, for people.
pub(super) const CHECKED: &[&str] = &[
    "conflict markers left in (P0)",
    "shell `eval` of a variable (P0)",
    "work left undone: TODO, FIXME, XXX (P1)",
    "debug output left in (P1)",
    "code changed without any test changed (P1)",
    "a test file deleted (P1)",
    "a test file that lost more lines than it got (P2)",
    "spaces at the end of a line (P2)",
];

/// Judges a change. Ids are `R1`, `R2` ... in the order of the files and lines.
pub(super) fn judge(files: &[FileDiff]) -> Vec<Finding> {
    let mut found: Vec<Finding> = files.iter().flat_map(judge_file).collect();
    if files.is_empty() {
        found.push(Finding::must_fix(
            "the branch changes nothing against its base: make the change the ticket asks for",
        ));
    }
    let code: Vec<&str> = files.iter().map(|f| f.path.as_str()).filter(|p| is_code(p)).collect();
    if !code.is_empty() && !files.iter().any(|f| is_test(&f.path) && !f.added.is_empty()) {
        let text =
            format!("no test was changed or added for {}: add one that fails without this change", code.join(", "));
        found.push(Finding { file: Some(code[0].to_owned()), ..Finding::must_fix(text) });
    }
    found.truncate(MAX_FINDINGS);
    for (number, finding) in found.iter_mut().enumerate() {
        finding.id = Some(format!("R{}", number + 1));
    }
    found
}

/// Does a finding stand in the way?
pub(super) fn blocks(finding: &Finding) -> bool {
    finding.severity <= Severity::P1
}

fn judge_file(file: &FileDiff) -> Vec<Finding> {
    let at = |severity, line, text: String| Finding { id: None, severity, file: Some(file.path.clone()), line, text };
    let mut found = Vec::new();
    if is_test(&file.path) && file.deleted {
        found.push(at(
            Severity::P1,
            None,
            "the test file was deleted: bring it back, or say why nothing has to be tested".into(),
        ));
    } else if is_test(&file.path) && file.removed as usize > file.added.len() {
        let text = format!(
            "the test lost {} lines and got {}: is anything not tested any more?",
            file.removed,
            file.added.len()
        );
        found.push(at(Severity::P2, None, text));
    }
    for (number, line) in &file.added {
        if let Some((severity, what)) = judge_line(&file.path, line) {
            found.push(at(severity, Some(*number), format!("{what}: `{}`", line.trim())));
        }
    }
    found
}

/// The worst thing about an added line.
fn judge_line(path: &str, line: &str) -> Option<(Severity, &'static str)> {
    let prose = is_prose(path);
    let lower = line.to_lowercase();
    let words = || line.split(|c: char| !c.is_alphanumeric() && c != '_');
    if line.starts_with("<<<<<<< ") || line.starts_with(">>>>>>> ") {
        Some((Severity::P0, "a conflict marker was left in; resolve it"))
    } else if prose {
        None
    } else if words().any(|w| w == "eval") && line.contains('$') {
        Some((Severity::P0, "`eval` runs whatever the variable holds; do without it"))
    } else if words().any(|w| ["TODO", "FIXME", "XXX"].contains(&w)) {
        Some((Severity::P1, "work was left undone (TODO); do it now, with a test"))
    } else if is_debug(&lower) {
        Some((Severity::P1, "debug output was left in; remove it"))
    } else if line.ends_with([' ', '\t']) {
        Some((Severity::P2, "spaces at the end of the line"))
    } else {
        None
    }
}

fn is_debug(lower: &str) -> bool {
    const CALLS: &[&str] =
        &["console.log(", "console.debug(", "dbg!(", "debugger;", "breakpoint()", "pdb.set_trace", "var_dump("];
    let bare: String = lower.chars().filter(|c| !c.is_whitespace() && !['"', '\'', '(', '['].contains(c)).collect();
    let prints = ["echodebug", "printfdebug", "printdebug", "println!debug", "eprintln!debug"];
    CALLS.iter().any(|call| lower.contains(call)) || prints.iter().any(|p| bare.contains(p)) || lower.trim() == "set -x"
}

fn name_of(path: &str) -> String {
    let name = Path::new(path).file_name().map(|n| n.to_string_lossy().to_lowercase()).unwrap_or_default();
    // A template is what it becomes.
    [".in", ".tmpl", ".j2"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(&name).to_owned()
}

fn is_prose(path: &str) -> bool {
    let name = name_of(path);
    name.starts_with("license") || [".md", ".txt", ".rst", ".adoc"].iter().any(|end| name.ends_with(end))
}

fn is_test(path: &str) -> bool {
    let in_tests =
        path.split('/').rev().skip(1).any(|dir| ["test", "tests", "spec", "specs", "__tests__"].contains(&dir));
    let name = name_of(path);
    let stem = name.rsplit_once('.').map_or(name.as_str(), |(stem, _)| stem);
    let named = stem == "test" || stem == "tests" || ["test_", "test-"].iter().any(|start| stem.starts_with(start));
    !is_prose(path)
        && (in_tests || named || ["_test", ".test", "-test", "_spec", ".spec"].iter().any(|end| stem.ends_with(end)))
}

fn is_code(path: &str) -> bool {
    const ENDS: &[&str] = &[
        "sh", "bash", "html", "htm", "js", "mjs", "ts", "jsx", "tsx", "py", "rs", "go", "java", "kt", "c", "h", "cc",
        "cpp", "cs", "rb", "php", "swift", "sql", "pl", "lua",
    ];
    let name = name_of(path);
    !is_test(path) && name.rsplit_once('.').is_some_and(|(_, end)| ENDS.contains(&end))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, lines: &[&str]) -> FileDiff {
        let added = (1..).zip(lines.iter().map(ToString::to_string)).collect();
        FileDiff { path: path.into(), added, removed: 0, deleted: false }
    }
    fn worst(path: &str, line: &str) -> Option<Severity> {
        judge_line(path, line).map(|(severity, _)| severity)
    }

    #[test]
    fn a_tested_change_has_no_finding() {
        assert_eq!(judge(&[file("build.sh", &["sed s/x/y/ in > out"]), file("test.sh", &["grep -q y out"])]), []);
        assert_eq!(judge(&[file("README.md", &["TODO lists are a feature.  "])]), []);
    }

    #[test]
    fn what_is_left_undone_is_found_with_its_place() {
        let found = judge(&[file("build.sh", &["ok", "# TODO: escape it", "echo \"DEBUG: $x\" >&2"])]);
        let told: Vec<_> = found.iter().map(|f| (f.id.as_deref().unwrap(), f.line, f.severity)).collect();
        assert_eq!(told, [("R1", Some(2), Severity::P1), ("R2", Some(3), Severity::P1), ("R3", None, Severity::P1)]);
        assert!(found[2].text.starts_with("no test was changed"));
        assert!(found.iter().all(blocks));
    }

    #[test]
    fn each_rule_finds_its_own_and_leaves_look_alikes() {
        assert_eq!(worst("a.sh", "eval \"$input\""), Some(Severity::P0));
        assert_eq!(worst("a.sh", "evaluate $input"), None);
        assert_eq!(worst("a.sh", "<<<<<<< HEAD"), Some(Severity::P0));
        assert_eq!(worst("a.md", ">>>>>>> main"), Some(Severity::P0));
        assert_eq!(worst("a.js", "  console.log(user)"), Some(Severity::P1));
        assert_eq!(worst("a.sh", "set -x"), Some(Severity::P1));
        assert_eq!(worst("a.sh", "echo \"debt is $x\""), None);
        assert_eq!(worst("a.js", "TODOS.push(1)"), None);
        assert_eq!(worst("a.sh", "cat  "), Some(Severity::P2));
        assert!(!judge(&[]).is_empty());
    }

    #[test]
    fn a_deleted_test_blocks_and_does_not_count_as_a_test() {
        let gone = FileDiff { deleted: true, removed: 9, ..file("tests/page.sh", &[]) };
        let found = judge(&[gone, file("site/index.html.in", &["<p>new</p>"])]);
        assert_eq!(found.iter().filter(|f| blocks(f)).count(), 2, "{found:?}");
    }

    #[test]
    fn tests_are_known_by_name_and_place() {
        for path in ["test.sh", "tests/a.py", "src/page_test.go", "a.spec.ts", "test_page.py"] {
            assert!(is_test(path) && !is_code(path), "{path}");
        }
        for path in ["attest.sh", "latest.html", "src/contest.py", "site/index.html.in"] {
            assert!(!is_test(path) && is_code(path), "{path}");
        }
        assert!(!is_test("tests/README.md") && !is_code("notes.txt"));
    }
}
