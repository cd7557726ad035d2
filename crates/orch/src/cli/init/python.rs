//! Python: which tool makes the environment, what of the project's declared dependencies its tests need, and what runs them.

use super::ci::Ci;
use super::discovery::{self, discovery, name_of};
use super::machine::Machine;
use super::plan::{Plan, quoted};
use super::tree::Dir;
use std::fmt::Write as _;
use toml::{Table, Value};

/// Names under which projects declare what their tests need, the most likely first.
const TEST_NAMES: &[&str] = &["test", "tests", "testing"];
/// The same, with more than tests need.
const DEV_NAMES: &[&str] = &["dev", "develop", "development"];

/// Files of requirements that tests need.
const REQUIREMENTS: &[&str] = &[
    "requirements.txt",
    "requirements-test.txt",
    "requirements-tests.txt",
    "requirements_test.txt",
    "test-requirements.txt",
    "test_requirements.txt",
    "requirements-dev.txt",
    "requirements_dev.txt",
    "dev-requirements.txt",
    "requirements/test.txt",
    "requirements/tests.txt",
    "requirements/testing.txt",
    "requirements/dev.txt",
    "tests/requirements.txt",
    "test/requirements.txt",
];

/// Environment of a project without a manager of its own.
const VENV: &str = "python3 -m venv .venv";

/// What runs the tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Runner {
    Pytest,
    /// From the top, which its tests import from.
    PytestHere,
    Unittest,
    Django,
}

impl Runner {
    fn is_pytest(self) -> bool {
        matches!(self, Self::Pytest | Self::PytestHere)
    }
}

/// What the files of a project say.
pub(super) fn plan(dir: &Dir<'_>, ci: &Ci, machine: &Machine) -> Option<Plan> {
    let marks = ["pyproject.toml", "setup.py", "setup.cfg", "tox.ini", "pytest.ini", "requirements.txt", "manage.py"];
    let mark = dir.first(&marks)?;
    let project = dir.toml("pyproject.toml");
    let runner = runner(dir, ci)?;
    let tool = |name: &str| table(&project, &["tool", name]);
    let uv = dir.has("uv.lock") || tool("uv").is_some();
    let poetry = dir.has("poetry.lock") || tool("poetry").is_some();
    let pdm = dir.has("pdm.lock") || tool("pdm").is_some();
    let tox = dir.has("tox.ini") || tool("tox").is_some();
    let mut plan = if uv {
        with_uv(dir, &project, runner, machine)
    } else if poetry {
        with_poetry(dir, &project, runner, machine)
    } else if pdm {
        with_pdm(dir, &project, runner, machine)
    } else {
        let plain = with_pip(dir, &project, runner, mark);
        let declared = plain.setup.as_ref().is_some_and(|setup| setup.contains(" -r ") || setup.contains('['));
        if !tox {
            return Some(plain);
        }
        let mut tox = with_tox(machine, mark);
        // Only tox knows what the tests need where nothing else is declared.
        let groups = plain.setup.as_ref().is_some_and(|setup| setup.contains("--group"));
        if declared || groups {
            let mut plain = plain;
            plain.others.push(tox.other("with tox"));
            return Some(plain);
        }
        tox.others.push(plain.other("without tox"));
        return Some(tox);
    };
    if tox {
        plan.others.push(with_tox(machine, mark).other("with tox"));
    }
    Some(plan)
}

/// Tests of Python where nothing else says what the project is.
pub(super) fn bare(dir: &Dir<'_>, ci: &Ci) -> Option<Plan> {
    let runner = runner(dir, ci)?;
    let first = discovery::tests(dir).first().map(|path| (*path).to_owned())?;
    Some(with_pip(dir, &Table::new(), runner, &first))
}

fn table<'t>(project: &'t Table, path: &[&str]) -> Option<&'t Table> {
    let (first, rest) = path.split_first()?;
    let mut value = project.get(*first)?;
    for key in rest {
        value = value.get(*key)?;
    }
    value.as_table()
}

/// What runs the tests; `None`: there are none.
fn runner(dir: &Dir<'_>, ci: &Ci) -> Option<Runner> {
    let tests = discovery::tests(dir);
    if tests.is_empty() {
        return None;
    }
    let read = |name: &str| dir.read(name).unwrap_or_default();
    if dir.has("manage.py") && read("manage.py").contains("django") && !read("pyproject.toml").contains("pytest") {
        return Some(Runner::Django);
    }
    let settings = ["pyproject.toml", "tox.ini", "setup.cfg", "setup.py", "noxfile.py"];
    let says_pytest = settings.iter().chain(REQUIREMENTS).any(|name| read(name).contains("pytest"))
        || dir.has("pytest.ini")
        || dir.files().any(|path| name_of(path) == "conftest.py")
        || ci.contains("pytest");
    if says_pytest {
        return Some(Runner::Pytest);
    }
    let texts: Vec<String> = tests.iter().take(20).filter_map(|path| dir.read(path)).collect();
    let imports = |module: &str| {
        texts.iter().any(|t| t.contains(&format!("import {module}")) || t.contains(&format!("from {module}")))
    };
    Some(match imports("unittest") && !imports("pytest") {
        true if discovery(dir).is_some() => Runner::Unittest,
        true => Runner::PytestHere,
        false => Runner::Pytest,
    })
}

/// The command behind the interpreter's or the manager's own `run`.
fn command(dir: &Dir<'_>, runner: Runner) -> String {
    match runner {
        Runner::Pytest => "pytest".into(),
        Runner::PytestHere => "python -m pytest".into(),
        Runner::Django => "python manage.py test".into(),
        Runner::Unittest => format!("python -m unittest discover{}", discovery(dir).unwrap_or_default()),
    }
}

/// Names in a table that stand for tests; if there are none, those that stand for development.
fn named(table: Option<&Table>) -> Vec<String> {
    let Some(table) = table else { return Vec::new() };
    let of = |names: &[&str]| -> Vec<String> {
        names.iter().filter(|name| table.contains_key(**name)).map(|name| (*name).to_owned()).collect()
    };
    let tests = of(TEST_NAMES);
    if tests.is_empty() { of(DEV_NAMES) } else { tests }
}

fn extras(project: &Table) -> Vec<String> {
    named(table(project, &["project", "optional-dependencies"]))
}

fn groups(project: &Table) -> Vec<String> {
    named(table(project, &["dependency-groups"]))
}

fn flags(flag: &str, names: &[String]) -> String {
    names.iter().flat_map(|name| [" ", flag, " ", name]).collect()
}

/// How a tool is called, and what brings it where the machine lacks it: an environment of its own in the run's HOME.
fn called(tool: &str, machine: &Machine) -> (String, String, Option<String>) {
    if machine.has(tool) {
        return (tool.to_owned(), String::new(), None);
    }
    let note = format!(
        "{tool} is not installed here: the setup brings it for every run; `pipx install {tool}` and the plain name save that time"
    );
    (
        format!("\"$HOME/{tool}/bin/{tool}\""),
        format!("python3 -m venv \"$HOME/{tool}\" && \"$HOME/{tool}/bin/pip\" install --quiet {tool} && "),
        Some(note),
    )
}

fn managed(tool: &str, machine: &Machine, because: String, lines: impl Fn(&str) -> (String, String)) -> Plan {
    let (call, bring, note) = called(tool, machine);
    let (setup, test) = lines(&call);
    let tools = if note.is_some() { vec!["python3"] } else { vec![tool, "python3"] };
    let mut plan = Plan::new(test, because, &tools).setup(format!("{bring}{setup}"));
    plan.notes.extend(note);
    plan
}

fn because(dir: &Dir<'_>, lock: &str) -> String {
    if dir.has(lock) { format!("pyproject.toml and {lock}") } else { "pyproject.toml".into() }
}

fn with_uv(dir: &Dir<'_>, project: &Table, runner: Runner, machine: &Machine) -> Plan {
    let defaults = table(project, &["tool", "uv"]).and_then(|uv| uv.get("default-groups")).and_then(Value::as_array);
    let defaults: Vec<&str> = defaults.map_or(vec!["dev"], |all| all.iter().filter_map(Value::as_str).collect());
    let groups: Vec<String> = groups(project).into_iter().filter(|name| !defaults.contains(&name.as_str())).collect();
    let locked = if dir.has("uv.lock") { " --locked" } else { "" };
    let chosen = format!("{}{}", flags("--group", &groups), flags("--extra", &extras(project)));
    let declared = ["pyproject.toml", "uv.lock"].iter().any(|f| dir.read(f).is_some_and(|t| t.contains("pytest")));
    managed("uv", machine, because(dir, "uv.lock"), |uv| {
        let bring = if runner.is_pytest() && !declared { " --with pytest" } else { "" };
        let test = format!("{uv} run --no-sync{bring} {}", command(dir, runner));
        (format!("{uv} sync{locked}{chosen}"), test)
    })
}

fn with_poetry(dir: &Dir<'_>, project: &Table, runner: Runner, machine: &Machine) -> Plan {
    // Groups that are not optional are installed anyway.
    let all = table(project, &["tool", "poetry", "group"]);
    let optional = |name: &String| {
        all.and_then(|g| g.get(name)).and_then(|g| g.get("optional")).and_then(Value::as_bool).unwrap_or(false)
    };
    let groups: Vec<String> = named(all).into_iter().filter(optional).collect();
    let mut extras = extras(project);
    extras.extend(named(table(project, &["tool", "poetry", "extras"])));
    let chosen = format!("{}{}", flags("--with", &groups), flags("--extras", &extras));
    managed("poetry", machine, because(dir, "poetry.lock"), |poetry| {
        (format!("{poetry} install --no-interaction{chosen}"), format!("{poetry} run {}", command(dir, runner)))
    })
}

fn with_pdm(dir: &Dir<'_>, project: &Table, runner: Runner, machine: &Machine) -> Plan {
    let mut chosen = extras(project);
    chosen.extend(groups(project));
    chosen.extend(named(table(project, &["tool", "pdm", "dev-dependencies"])));
    chosen.dedup();
    let frozen = if dir.has("pdm.lock") { " --frozen-lockfile" } else { "" };
    let script = table(project, &["tool", "pdm", "scripts"]).is_some_and(|scripts| scripts.contains_key("test"));
    managed("pdm", machine, because(dir, "pdm.lock"), |pdm| {
        let test = if script { "test".to_owned() } else { command(dir, runner) };
        (format!("{pdm} install{frozen}{}", flags("-G", &chosen)), format!("{pdm} run {test}"))
    })
}

fn with_tox(machine: &Machine, because: &str) -> Plan {
    if machine.has("tox") {
        return Plan::new("tox run -e py", because, &["tox", "python3"]);
    }
    Plan::new(".venv/bin/tox run -e py", because, &["python3"])
        .setup(format!("{VENV} && .venv/bin/pip install --quiet tox"))
}

/// No manager: an environment beside the sources, with what is declared for tests.
fn with_pip(dir: &Dir<'_>, project: &Table, runner: Runner, because: &str) -> Plan {
    let (extras, groups) = (extras(project), groups(project));
    let is_package = project.contains_key("build-system") || project.contains_key("project");
    let is_package =
        is_package || dir.has("setup.py") || dir.read("setup.cfg").is_some_and(|t| t.contains("[metadata]"));
    let mut what = String::new();
    if is_package {
        let of = if extras.is_empty() { ".".to_owned() } else { format!(".[{}]", extras.join(",")) };
        let _ = write!(what, " -e {}", quoted(&of));
    }
    for file in REQUIREMENTS.iter().filter(|file| dir.has(file)) {
        let _ = write!(what, " -r {file}");
    }
    what.push_str(&flags("--group", &groups));
    if runner.is_pytest() {
        what.push_str(" pytest");
        let options = dir.read("pyproject.toml").unwrap_or_default() + &dir.read("pytest.ini").unwrap_or_default();
        let options = options + &dir.read("setup.cfg").unwrap_or_default();
        for (sign, plugin) in [("--cov", "pytest-cov"), ("asyncio_mode", "pytest-asyncio"), ("-n auto", "pytest-xdist")]
        {
            if options.contains(sign) {
                let _ = write!(what, " {plugin}");
            }
        }
    }
    let line = command(dir, runner);
    if what.is_empty() {
        let line = line.replacen("python ", "python3 ", 1);
        return Plan::new(line, because, &["python3"]);
    }
    // An older pip does not know groups.
    let newer = if groups.is_empty() { "" } else { ".venv/bin/pip install --quiet --upgrade pip && " };
    Plan::new(format!(".venv/bin/{line}"), because, &["python3"])
        .setup(format!("{VENV} && {newer}.venv/bin/pip install --quiet{what}"))
}

#[cfg(test)]
mod tests {
    use super::super::tree::Tree;
    use super::*;

    fn found(files: &[(&str, &str)], tools: &[&'static str]) -> Option<(String, String)> {
        let tree = Tree::of_files(files);
        let ci = Ci::of(&tree);
        let plan = plan(&tree.dir(""), &ci, &Machine::with(tools)).or_else(|| bare(&tree.dir(""), &ci))?;
        Some((plan.setup.unwrap_or_default(), plan.test))
    }

    const TEST: (&str, &str) = ("tests/test_a.py", "import pytest\n");
    const ALL: &[&str] = &["uv", "poetry", "pdm", "tox", "python3"];

    fn lines(files: &[(&str, &str)], tools: &[&'static str]) -> (String, String) {
        found(files, tools).unwrap()
    }

    #[test]
    fn the_lock_file_or_the_tools_own_table_says_who_makes_the_environment() {
        let uv = "[dependency-groups]\ntests = ['pytest']\ndev = ['ruff']\n";
        assert_eq!(
            lines(&[("pyproject.toml", uv), ("uv.lock", ""), TEST], ALL),
            ("uv sync --locked --group tests".into(), "uv run --no-sync pytest".into())
        );
        let defaults = format!("{uv}[tool.uv]\ndefault-groups = ['tests']\n");
        assert_eq!(lines(&[("pyproject.toml", &defaults), TEST], ALL).0, "uv sync");
        let poetry = "[tool.poetry]\nname = 'x'\n[tool.poetry.group.test]\noptional = true\n[tool.poetry.group.dev]\n";
        assert_eq!(
            lines(&[("pyproject.toml", poetry), TEST], ALL),
            ("poetry install --no-interaction --with test".into(), "poetry run pytest".into())
        );
        let pdm = "[tool.pdm.dev-dependencies]\ntest = ['pytest']\n[tool.pdm.scripts]\ntest = 'pytest -q'\n";
        assert_eq!(
            lines(&[("pyproject.toml", pdm), ("pdm.lock", ""), TEST], ALL),
            ("pdm install --frozen-lockfile -G test".into(), "pdm run test".into())
        );
    }

    #[test]
    fn a_tool_that_is_not_installed_is_brought_by_the_setup() {
        let (setup, test) = lines(&[("pyproject.toml", "[tool.poetry]\n"), TEST], &["python3"]);
        assert_eq!(
            setup,
            "python3 -m venv \"$HOME/poetry\" && \"$HOME/poetry/bin/pip\" install --quiet poetry && \
             \"$HOME/poetry/bin/poetry\" install --no-interaction"
        );
        assert_eq!(test, "\"$HOME/poetry/bin/poetry\" run pytest");
    }

    #[test]
    fn without_a_manager_what_is_declared_for_tests_is_installed_beside_the_sources() {
        let project = "[project]\nname = 'x'\n[project.optional-dependencies]\ntest = ['pytest']\ndev = ['ruff']\n";
        assert_eq!(
            lines(&[("pyproject.toml", project), TEST], ALL),
            (
                "python3 -m venv .venv && .venv/bin/pip install --quiet -e '.[test]' pytest".into(),
                ".venv/bin/pytest".into()
            )
        );
        let files = [("requirements.txt", "flask\n"), ("requirements-dev.txt", "pytest-cov\n"), TEST];
        assert_eq!(
            lines(&files, ALL).0,
            "python3 -m venv .venv && .venv/bin/pip install --quiet -r requirements.txt -r requirements-dev.txt pytest"
        );
        let tox = [("tox.ini", "[testenv]\ndeps = pytest\ncommands = pytest\n"), TEST];
        assert_eq!(lines(&tox, ALL), (String::new(), "tox run -e py".into()));
    }

    #[test]
    fn unittest_needs_nothing_and_a_project_without_tests_has_none() {
        let files = [("pyproject.toml", ""), ("tests/test_a.py", "import unittest\n")];
        assert_eq!(lines(&files, ALL), (String::new(), "python3 -m unittest discover -s tests".into()));
        let files = [("setup.py", ""), ("tests/__init__.py", ""), ("tests/test_a.py", "import unittest\n")];
        assert_eq!(lines(&files, ALL).1, ".venv/bin/python -m unittest discover");
        // Nothing says that it is a project but its tests.
        let files = [("README.md", ""), ("tests/test_a.py", "import unittest\n")];
        assert_eq!(lines(&files, ALL), (String::new(), "python3 -m unittest discover -s tests".into()));
        let files = [("app.py", ""), ("test_app.py", "import pytest\n")];
        assert!(lines(&files, ALL).1.ends_with("pytest"), "{:?}", lines(&files, ALL));
        assert_eq!(found(&[("pyproject.toml", "[project]\nname = 'x'\n"), ("x.py", "")], ALL), None);
    }
}
