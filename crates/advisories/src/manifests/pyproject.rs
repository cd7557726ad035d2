//! `pyproject.toml`: what a Python project asks for (PEP 621, PEP 735, PEP 518, and Poetry's tables). Decides names;
//! a version only where the requirement pins one, since the lock file beside it says the rest. Tables it does not know
//! belong to other tools and name no packages.

use super::{Sink, requirements};
use crate::text;
use toml::{Table, Value};

/// Up to which size lines are looked for: it is a search per requirement.
const MAX_SEARCHED: usize = 1024 * 1024;

pub(super) fn read(text: &str, out: &mut Sink<'_>) -> Result<(), String> {
    let root: Table = text::toml(text)?;
    let lines: Vec<&str> = if text.len() > MAX_SEARCHED { Vec::new() } else { text.lines().collect() };
    let line_of = |what: &str| {
        let at = lines.iter().position(|l| l.contains(what))?;
        u32::try_from(at + 1).ok()
    };
    let mut asked: Vec<&Value> = Vec::new();
    if let Some(project) = root.get("project") {
        asked.extend(project.get("dependencies"));
        asked.extend(values(project.get("optional-dependencies")));
    }
    asked.extend(root.get("build-system").and_then(|b| b.get("requires")));
    asked.extend(values(root.get("dependency-groups")));
    let tool = |name: &str| root.get("tool").and_then(|t| t.get(name));
    asked.extend(tool("uv").and_then(|u| u.get("dev-dependencies")));
    for list in asked {
        let Value::Array(list) = list else {
            out.problem(None, "has requirements that are no list");
            continue;
        };
        for item in list {
            match item {
                Value::String(text) => match requirements::requirement(text) {
                    Ok(asked) => asked.tell(line_of(text), out),
                    Err(why) => out.problem(line_of(text), &why),
                },
                // `{ include-group = "..." }`: the group itself is read.
                Value::Table(table) if table.contains_key("include-group") => {}
                _ => out.problem(None, "has a requirement that is no text"),
            }
        }
    }
    // Lists of requirements that stand in files of any name.
    let dynamic = tool("setuptools").and_then(|s| s.get("dynamic"));
    let hook = tool("hatch").and_then(|h| h.get("metadata")?.get("hooks")?.get("requirements_txt"));
    let mut tables: Vec<&Value> = dynamic.and_then(|d| d.get("dependencies")).into_iter().collect();
    tables.extend(values(dynamic.and_then(|d| d.get("optional-dependencies"))));
    let mut files: Vec<&Value> = tables.into_iter().filter_map(|t| t.get("file")).collect();
    files.extend(hook.and_then(|h| h.get("files")));
    files.extend(values(hook.and_then(|h| h.get("optional-dependencies"))));
    for file in files.into_iter().flat_map(|f| f.as_array().map_or(std::slice::from_ref(f), Vec::as_slice)) {
        let path = file.as_str().filter(|f| !f.is_empty()).and_then(|f| out.beside(f));
        match path {
            Some(path) => out.found.includes.push(path),
            None => out.problem(None, &format!("takes requirements from {file}, which is not in the repository")),
        }
    }
    let Some(poetry) = tool("poetry") else { return Ok(()) };
    let mut tables: Vec<&Value> = Vec::new();
    tables.extend(poetry.get("dependencies"));
    tables.extend(poetry.get("dev-dependencies"));
    tables.extend(values(poetry.get("group")).filter_map(|g| g.get("dependencies")));
    for table in tables {
        let Value::Table(table) = table else {
            out.problem(None, "has requirements of poetry that are no table");
            continue;
        };
        for (name, wanted) in table {
            let own = wanted.get("path").is_some();
            if name != "python" && !own {
                out.package(name, None, line_of(name));
            }
        }
    }
    Ok(())
}

fn values(table: Option<&Value>) -> impl Iterator<Item = &Value> {
    table.and_then(Value::as_table).into_iter().flat_map(|t| t.iter().map(|(_, v)| v))
}

#[cfg(test)]
mod tests {
    use super::super::{Kind, read};

    #[test]
    fn what_a_project_asks_for_has_names_and_hardly_ever_versions() {
        let text = r#"
[build-system]
requires = ["hatchling"]
[project]
name = "x"
dependencies = ["Requests>=2", "pinned==1.0", "./own"]
[project.optional-dependencies]
s3 = ["boto3"]
[dependency-groups]
dev = ["pytest", { include-group = "lint" }]
lint = ["ruff"]
[tool.poetry.dependencies]
python = "^3.9"
django = "^3.2"
mine = { path = "../mine" }
[tool.poetry.group.docs.dependencies]
sphinx = { version = "7" }
"#;
        let manifest = read(Kind::PyProject, "pyproject.toml", text.as_bytes());
        let mut names: Vec<&str> = manifest.dependencies.iter().map(|d| d.name.as_str()).collect();
        names.sort_unstable();
        assert_eq!(names, ["boto3", "django", "hatchling", "pinned", "pytest", "requests", "ruff", "sphinx"]);
        let pinned: Vec<_> = manifest.dependencies.iter().filter_map(|d| d.version.as_deref()).collect();
        assert_eq!(pinned, ["1.0"]);
        assert_eq!(manifest.dependencies.iter().find(|d| d.name == "boto3").unwrap().line, Some(8));
        assert_eq!(manifest.problems, Vec::<String>::new());
    }

    #[test]
    fn a_table_of_an_unknown_shape_is_a_problem_and_tool_settings_are_none() {
        let manifest = read(Kind::PyProject, "p", b"[project]\ndependencies = 'requests'\n");
        assert_eq!(manifest.problems.len(), 1);
        let manifest = read(Kind::PyProject, "p", b"[tool.ruff]\nline-length = 100\n");
        assert_eq!(manifest, super::super::Manifest::default());
    }

    #[test]
    fn requirements_that_stand_in_files_of_any_name_are_followed() {
        let text = r#"
[tool.setuptools.dynamic]
version = { file = "VERSION" }
dependencies = { file = ["deps.in", "more/x"] }
optional-dependencies.dev = { file = "dev.in" }
[tool.hatch.metadata.hooks.requirements_txt]
files = ["hatch.in"]
optional-dependencies.docs = ["docs.in"]
"#;
        let manifest = read(Kind::PyProject, "a/pyproject.toml", text.as_bytes());
        let wanted = ["deps.in", "more/x", "dev.in", "hatch.in", "docs.in"].map(|n| format!("a/{n}"));
        assert_eq!((manifest.includes.as_slice(), manifest.problems.len()), (&wanted[..], 0));
        let outside = read(Kind::PyProject, "p", b"[tool.setuptools.dynamic]\ndependencies = { file = ['../x', 7] }\n");
        assert_eq!((outside.includes.len(), outside.problems.len()), (0, 2));
    }
}
