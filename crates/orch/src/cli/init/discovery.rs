//! The files of Python tests, and where unittest must begin to find all of them: it runs none without a word otherwise.

use super::plan::quoted;
use super::tree::Dir;

/// The last part of a path.
pub(super) fn name_of(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or_default()
}

/// The files of tests.
pub(super) fn tests<'d>(dir: &'d Dir<'_>) -> Vec<&'d str> {
    let is_test = |path: &&str| {
        let name = name_of(path);
        let by_name =
            name.starts_with("test_") || name.ends_with("_test.py") || name == "tests.py" || name == "test.py";
        name.strip_suffix(".py").is_some() && by_name && !path.contains("site-packages/")
    };
    dir.files().filter(is_test).collect()
}

/// Options with which unittest finds every file of tests: where it begins, and the pattern of their names. It enters only
/// directories that are packages. `None`: there are none.
pub(super) fn discovery(dir: &Dir<'_>) -> Option<String> {
    let tests = tests(dir);
    let pattern = if tests.iter().all(|path| name_of(path).starts_with("test")) {
        ""
    } else if tests.iter().all(|path| path.ends_with("_test.py")) {
        " -p '*_test.py'"
    } else {
        return None;
    };
    let first = tests.first()?;
    let finds = |start: &str| {
        tests.iter().all(|path| {
            let Some(rest) = path.strip_prefix(start) else { return false };
            let inner = rest.match_indices('/').map(|(at, _)| &path[..start.len() + at]);
            inner.into_iter().all(|package| dir.has(&format!("{package}/__init__.py")))
        })
    };
    let starts = std::iter::once("").chain(first.match_indices('/').map(|(at, _)| &first[..=at]));
    let start = starts.into_iter().find(|start| finds(start))?;
    // A name that begins with `-` would be an option.
    let dash = if start.starts_with('-') { "./" } else { "" };
    let place = match start.trim_end_matches('/') {
        "" => String::new(),
        start => format!(" -s {}", quoted(&format!("{dash}{start}"))),
    };
    Some(format!("{place}{pattern}"))
}

#[cfg(test)]
mod tests {
    use super::super::ci::Ci;
    use super::super::machine::Machine;
    use super::super::python;
    use super::super::tree::Tree;

    #[test]
    fn unittest_begins_where_it_finds_every_file_else_pytest_looks_for_them() {
        let plain = [("pyproject.toml", "")];
        let test = |files: &[&'static str]| {
            let files: Vec<_> =
                plain.into_iter().chain(files.iter().map(|name| (*name, "import unittest\n"))).collect();
            let tree = Tree::of_files(&files);
            let plan = python::plan(&tree.dir(""), &Ci::of(&tree), &Machine::with(&["python3"])).unwrap();
            (plan.setup.unwrap_or_default(), plan.test)
        };
        let unittest = |options: &str| (String::new(), format!("python3 -m unittest discover{options}"));
        assert_eq!(test(&["tests/foo_test.py"]), unittest(" -s tests -p '*_test.py'"));
        assert_eq!(test(&["tests/unit/test_foo.py"]), unittest(" -s tests/unit"));
        assert_eq!(test(&["foo_test.py"]), unittest(" -p '*_test.py'"));
        assert_eq!(test(&["a b/test_x.py"]), unittest(" -s 'a b'"));
        assert_eq!(test(&["tests/__init__.py", "tests/unit/__init__.py", "tests/unit/test_a.py"]), unittest(""));
        assert_eq!(test(&["tests/unit/__init__.py", "tests/unit/test_a.py", "tests/test_b.py"]), unittest(" -s tests"));
        let (setup, line) = test(&["tests/unit/test_a.py", "tests/more/test_b.py"]);
        assert!(setup.ends_with(" pytest"), "{setup}");
        assert_eq!(line, ".venv/bin/python -m pytest");
    }
}
