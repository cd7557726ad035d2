//! `package-lock.json` and `npm-shrinkwrap.json`, `lockfileVersion` 1 to 3
//! (<https://docs.npmjs.com/cli/configuring-npm/package-lock-json>). Decides the exact packages, by their real name where
//! they are installed under another; workspaces and links are the repository's own.

use super::Sink;
use crate::text::{self, KeyLines};
use serde_json::{Map, Value};

pub(super) fn read(text: &str, out: &mut Sink<'_>) -> Result<(), String> {
    let root: Map<String, Value> = text::json(text)?;
    // npm 5 and 6 wrote 1; before that there was only the shrinkwrap, which has no number.
    let version = match root.get("lockfileVersion") {
        None => 1,
        Some(number) => number.as_u64().ok_or("has a lockfileVersion that is no number")?,
    };
    if !(1..=3).contains(&version) {
        return Err(format!("has lockfileVersion {version}, which is not known"));
    }
    let lines = KeyLines::of(text);
    match (root.get("packages"), root.get("dependencies")) {
        (Some(packages), _) if version > 1 => {
            let packages = packages.as_object().ok_or("has `packages` that are no map")?;
            for (key, package) in packages {
                modern(key, package, &lines, out);
            }
        }
        (_, Some(tree)) => old(tree.as_object().ok_or("has `dependencies` that are no map")?, &lines, out),
        (_, None) if root.contains_key("name") || root.contains_key("lockfileVersion") => {}
        (_, None) => return Err("is no lock file of npm".into()),
    }
    Ok(())
}

/// An entry of `packages`: the key is where it is installed.
fn modern(key: &str, package: &Value, lines: &KeyLines<'_>, out: &mut Sink<'_>) {
    let line = lines.line(key);
    let Some(package) = package.as_object() else {
        return out.problem(line, &format!("has a package that is no map: {key}"));
    };
    let installed = key.rsplit_once("node_modules/").map(|(_, name)| name);
    let linked = package.get("link").and_then(Value::as_bool) == Some(true);
    // What is not below node_modules is a workspace: the repository's own.
    let (Some(installed), false) = (installed, linked) else { return };
    let name = package.get("name").and_then(Value::as_str).unwrap_or(installed);
    out.package(name, package.get("version").and_then(Value::as_str), line);
}

/// The tree of version 1, walked without recursion: its depth is the input's choice.
fn old(tree: &Map<String, Value>, lines: &KeyLines<'_>, out: &mut Sink<'_>) {
    let mut open = vec![tree];
    while let Some(tree) = open.pop() {
        for (key, package) in tree {
            let line = lines.line(key);
            let Some(package) = package.as_object() else {
                out.problem(line, &format!("has a package that is no map: {key}"));
                continue;
            };
            match package.get("dependencies") {
                None => {}
                Some(Value::Object(inner)) => open.push(inner),
                Some(_) => out.problem(line, &format!("has dependencies of `{key}` that are no map")),
            }
            let version = package.get("version").and_then(Value::as_str).unwrap_or_default();
            let (name, version) = match version.strip_prefix("npm:").and_then(|alias| alias.rsplit_once('@')) {
                Some((name, version)) => (name, Some(version)),
                None if version.starts_with("file:") => continue,
                // An address has no version that could be compared.
                None if version.contains(':') || version.contains('/') => (key.as_str(), None),
                None => (key.as_str(), Some(version)),
            };
            out.package(name, version, line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Kind, Manifest, read};

    fn brief(text: &str) -> (Vec<String>, Manifest) {
        let manifest = read(Kind::PackageLock, "web/package-lock.json", text.as_bytes());
        let version = |v: &Option<String>| v.clone().unwrap_or_else(|| "open".into());
        let mut list: Vec<String> =
            manifest.dependencies.iter().map(|d| format!("{} {} {:?}", d.name, version(&d.version), d.line)).collect();
        list.sort();
        (list, manifest)
    }

    #[test]
    fn version_three_with_nested_copies_aliases_workspaces_and_links() {
        let text = r#"{
  "name": "web", "lockfileVersion": 3,
  "packages": {
    "": {"name": "web", "workspaces": ["packages/*"]},
    "node_modules/lodash": {
      "version": "4.17.20"
    },
    "node_modules/a/node_modules/lodash": {
      "version": "3.0.0"
    },
    "node_modules/@scope/b": {
      "version": "1.0.0-rc.1"
    },
    "node_modules/alias": {
      "name": "minimist", "version": "0.0.8"
    },
    "node_modules/own": {"resolved": "packages/own", "link": true},
    "packages/own": {"version": "1.0.0"}
  }
}"#;
        let (list, manifest) = brief(text);
        assert_eq!(
            list,
            [
                "@scope/b 1.0.0-rc.1 Some(11)",
                "lodash 3.0.0 Some(8)",
                "lodash 4.17.20 Some(5)",
                "minimist 0.0.8 Some(14)",
            ]
        );
        assert!(manifest.problems.is_empty());
    }

    #[test]
    fn version_one_is_a_tree_and_version_two_is_read_by_its_packages() {
        let one = r#"{"name": "x", "lockfileVersion": 1, "dependencies": {
"a": {"version": "1.0.0", "dependencies": {
"b": {"version": "2.0.0"}}},
"c": {"version": "npm:d@3.0.0"},
"e": {"version": "git+https://h/e.git#abc"},
"f": {"version": "file:../f"}}}"#;
        let (list, _) = brief(one);
        assert_eq!(list, ["a 1.0.0 Some(2)", "b 2.0.0 Some(3)", "d 3.0.0 Some(4)", "e open Some(5)"]);
        let two = r#"{"lockfileVersion": 2, "packages": {"node_modules/a": {"version": "1.0.0"}}, "dependencies": {"a": {"version": "1.0.0"}}}"#;
        assert_eq!(brief(two).0.len(), 1);
    }

    #[test]
    fn what_is_no_lock_file_of_a_known_form_is_a_problem() {
        for text in [
            "{}",
            r#"{"lockfileVersion": 4, "packages": {}}"#,
            r#"{"lockfileVersion": 3, "packages": []}"#,
            r#"{"lockfileVersion": "x"}"#,
        ] {
            assert_eq!(brief(text).1.problems.len(), 1, "{text}");
        }
        assert_eq!(brief(r#"{"name": "empty", "lockfileVersion": 3}"#).1, Manifest::default());
        let odd =
            r#"{"lockfileVersion": 3, "packages": {"node_modules/a": 1, "node_modules/b": {"version": "1.0.0"}}}"#;
        let (list, manifest) = brief(odd);
        assert_eq!((list.len(), manifest.problems.len()), (1, 1));
    }
}
