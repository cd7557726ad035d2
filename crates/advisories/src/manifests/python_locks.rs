//! `uv.lock`, `poetry.lock`, `pylock.toml` (PEP 751) and `Pipfile.lock`. Decides the exact packages; the repository's own (editable, virtual,
//! directory) are left out, everything that was fetched from somewhere stays in, whichever index or repository it came
//! from: a private index is no proof that the code is other code.

use super::Sink;
use crate::text::{self, KeyLines, Offsets};
use serde::Deserialize;
use serde_json::{Map, Value as Json};
use toml::{Spanned, Table};

#[derive(Deserialize)]
struct Lock {
    #[serde(default)]
    package: Vec<Package>,
    version: Option<toml::Value>,
    metadata: Option<Table>,
}

#[derive(Deserialize)]
struct Package {
    name: Spanned<String>,
    version: Option<String>,
    source: Option<Table>,
}

pub(super) fn uv(text: &str, out: &mut Sink<'_>) -> Result<(), String> {
    let lock: Lock = text::toml(text)?;
    if lock.version.is_none() {
        return Err("is no uv.lock: it has no version".into());
    }
    packages(text, lock.package, out, |source| {
        ["editable", "virtual", "directory"].iter().any(|own| source.contains_key(*own))
    });
    Ok(())
}

pub(super) fn poetry(text: &str, out: &mut Sink<'_>) -> Result<(), String> {
    let lock: Lock = text::toml(text)?;
    if lock.metadata.is_none() {
        return Err("is no poetry.lock: it has no metadata".into());
    }
    packages(text, lock.package, out, |source| source.get("type").and_then(toml::Value::as_str) == Some("directory"));
    Ok(())
}

#[derive(Deserialize)]
struct Pylock {
    #[serde(rename = "lock-version")]
    lock_version: String,
    packages: Vec<Pinned>,
}

#[derive(Deserialize)]
struct Pinned {
    name: Spanned<String>,
    version: Option<String>,
    directory: Option<toml::Value>,
}

pub(super) fn pylock(text: &str, out: &mut Sink<'_>) -> Result<(), String> {
    let lock: Pylock = text::toml(text)?;
    if lock.lock_version.split('.').next() != Some("1") {
        return Err(format!("has lock-version {}, which is not known", lock.lock_version));
    }
    let offsets = Offsets::of(text);
    for package in lock.packages.iter().filter(|p| p.directory.is_none()) {
        out.package(package.name.get_ref(), package.version.as_deref(), offsets.line(package.name.span().start));
    }
    Ok(())
}

fn packages(text: &str, found: Vec<Package>, out: &mut Sink<'_>, own: impl Fn(&Table) -> bool) {
    let offsets = Offsets::of(text);
    for package in found {
        if package.source.as_ref().is_some_and(&own) {
            continue;
        }
        let line = offsets.line(package.name.span().start);
        out.package(package.name.get_ref(), package.version.as_deref(), line);
    }
}

/// `{"_meta": ..., "default": {"name": {"version": "==1.0"}}, "develop": ...}`, and further groups by name.
pub(super) fn pipfile(text: &str, out: &mut Sink<'_>) -> Result<(), String> {
    let root: Map<String, Json> = text::json(text)?;
    if !root.contains_key("_meta") {
        return Err("is no Pipfile.lock: it has no _meta".into());
    }
    let lines = KeyLines::of(text);
    for (group, packages) in root.iter().filter(|(group, _)| *group != "_meta") {
        let Some(packages) = packages.as_object() else {
            out.problem(lines.line(group), &format!("has a group that is no map: {group}"));
            continue;
        };
        for (name, package) in packages {
            let line = lines.line(name);
            let Some(package) = package.as_object() else {
                out.problem(line, &format!("has a package that is no map: {name}"));
                continue;
            };
            if package.contains_key("path") {
                continue;
            }
            let version = package.get("version").and_then(Json::as_str).and_then(|v| v.strip_prefix("=="));
            out.package(name, version.map(|v| v.trim_start_matches('=')), line);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::{Kind, Manifest, read};

    fn brief(manifest: &Manifest) -> Vec<String> {
        let version = |v: &Option<String>| v.clone().unwrap_or_else(|| "open".into());
        manifest.dependencies.iter().map(|d| format!("{} {} {:?}", d.name, version(&d.version), d.line)).collect()
    }

    #[test]
    fn uv_lock_without_the_projects_own_packages() {
        let text = r#"version = 1
requires-python = ">=3.12"

[[package]]
name = "app"
version = "0.1.0"
source = { editable = "." }
dependencies = [{ name = "requests" }]

[[package]]
name = "Requests"
version = "2.19.1"
source = { registry = "https://pypi.org/simple" }

[[package]]
name = "tool"
version = "1.0"
source = { git = "https://h/o/tool?rev=1#abc" }
"#;
        let manifest = read(Kind::UvLock, "uv.lock", text.as_bytes());
        assert_eq!(brief(&manifest), ["requests 2.19.1 Some(11)", "tool 1.0 Some(16)"]);
        assert!(manifest.problems.is_empty());
    }

    #[test]
    fn poetry_lock_without_directories() {
        let text = "[[package]]\nname = \"jinja2\"\nversion = \"2.10\"\nfiles = []\n\n[[package]]\nname = \"own\"\nversion = \"1\"\n\
                    [package.source]\ntype = \"directory\"\nurl = \"../own\"\n\n[metadata]\nlock-version = \"2.0\"\n";
        assert_eq!(brief(&read(Kind::PoetryLock, "poetry.lock", text.as_bytes())), ["jinja2 2.10 Some(2)"]);
    }

    #[test]
    fn pylock_without_directories() {
        let text = "lock-version = \"1.0\"\ncreated-by = \"x\"\n[[packages]]\nname = \"attrs\"\nversion = \"25.1.0\"\n\
                    [[packages]]\nname = \"own\"\ndirectory = { path = \".\" }\n[[packages]]\nname = \"vcs\"\nvcs = { type = \"git\" }\n";
        let manifest = read(Kind::Pylock, "pylock.toml", text.as_bytes());
        assert_eq!(brief(&manifest), ["attrs 25.1.0 Some(4)", "vcs open Some(10)"]);
        let newer = text.replace("\"1.0\"", "\"2.0\"");
        assert_eq!(read(Kind::Pylock, "pylock.toml", newer.as_bytes()).problems.len(), 1);
    }

    #[test]
    fn pipfile_lock_with_groups_of_any_name() {
        let text = r#"{
  "_meta": {"sources": []},
  "default": {
    "urllib3": {
      "hashes": [], "version": "==1.24"
    },
    "mine": {"path": ".", "editable": true},
    "tool": {"git": "https://h/t", "ref": "abc"}
  },
  "docs": {
    "sphinx": {"version": "==7.0"}
  }
}"#;
        let manifest = read(Kind::PipfileLock, "Pipfile.lock", text.as_bytes());
        let mut found = brief(&manifest);
        found.sort();
        assert_eq!(found, ["sphinx 7.0 Some(11)", "tool open Some(8)", "urllib3 1.24 Some(4)"]);
    }

    #[test]
    fn a_package_without_a_version_stays_and_a_foreign_file_is_refused() {
        let found = read(Kind::UvLock, "l", b"version = 1\n[[package]]\nname = \"dyn\"\n");
        assert_eq!(brief(&found), ["dyn open Some(3)"]);
        for (kind, text) in
            [(Kind::UvLock, "a = 1"), (Kind::PoetryLock, "a = 1"), (Kind::PipfileLock, "{\"default\": {}}")]
        {
            assert_eq!(read(kind, "l", text.as_bytes()).problems.len(), 1, "{kind:?}");
        }
    }
}
