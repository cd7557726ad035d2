//! `package-lock.json` and `npm-shrinkwrap.json`, `lockfileVersion` 1 to 3
//! (<https://docs.npmjs.com/cli/configuring-npm/package-lock-json>). Decides the exact packages, by their real name where
//! they are installed under another, and by what they are fetched from; workspaces and links are the repository's own.

use super::{Sink, tarball};
use crate::text::{self, KeyLines};
use serde_json::{Map, Value};
use std::collections::HashSet;

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
        (Some(packages), tree) => {
            let packages = packages.as_object().ok_or("has `packages` that are no map")?;
            for (key, package) in packages {
                modern(key, package, &lines, out);
            }
            // npm 6 and older read this and nothing else. It is the same list once more, without the versions of what
            // comes from addresses.
            let Some(tree) = tree else { return Ok(()) };
            let known: HashSet<String> = out.found.dependencies.iter().map(|d| d.name.clone()).collect();
            let first = out.found.dependencies.len();
            old(tree.as_object().ok_or("has `dependencies` that are no map")?, &lines, out);
            let again = out.found.dependencies.split_off(first);
            let more = again.into_iter().filter(|d| d.version.is_some() || !known.contains(&d.name));
            out.found.dependencies.extend(more);
        }
        (None, Some(tree)) => old(tree.as_object().ok_or("has `dependencies` that are no map")?, &lines, out),
        (None, None) if root.contains_key("name") || root.contains_key("lockfileVersion") => {}
        (None, None) => return Err("is no lock file of npm".into()),
    }
    Ok(())
}

/// An entry of `packages`: the key is where it is installed.
fn modern(key: &str, package: &Value, lines: &KeyLines<'_>, out: &mut Sink<'_>) {
    let line = lines.line(key);
    let Some(package) = package.as_object() else {
        return out.problem(line, &format!("has a package that is no map: {key}"));
    };
    let text = |field: &str| package.get(field).and_then(Value::as_str);
    let installed = key.rsplit_once("node_modules/").map(|(_, name)| name);
    let linked = package.get("link").and_then(Value::as_bool) == Some(true);
    let from = text("resolved");
    // What is not below node_modules is a workspace, and a link leads to one: the repository's own. Neither is fetched.
    let own = installed.is_none() || linked;
    if own && !from.is_some_and(tarball::is_remote) {
        return;
    }
    let name = text("name").or(installed).unwrap_or_else(|| key.rsplit('/').next().unwrap_or(key));
    out.fetched(name, text("version"), from, line);
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
            let mut from = package.get("resolved").and_then(Value::as_str);
            let (name, version) = match version.strip_prefix("npm:").and_then(|alias| alias.rsplit_once('@')) {
                Some((name, version)) => (name, Some(version)),
                None if version.starts_with("file:") && !from.is_some_and(tarball::is_remote) => continue,
                // An address has no version that could be compared, unless it is a registry's.
                None if version.contains(':') || version.contains('/') => {
                    from = from.or(Some(version));
                    (key.as_str(), None)
                }
                None => (key.as_str(), Some(version)),
            };
            out.fetched(name, version, from, line);
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

    fn names(text: &str) -> (Vec<String>, usize) {
        let (list, manifest) = brief(text);
        let without_line = |one: String| one.split(' ').take(2).collect::<Vec<_>>().join(" ");
        (list.into_iter().map(without_line).collect(), manifest.problems.len())
    }

    fn three(entry: &str) -> (Vec<String>, usize) {
        names(&format!(r#"{{"lockfileVersion": 3, "packages": {{{entry}}}}}"#))
    }

    #[test]
    fn what_is_fetched_under_another_name_or_version_counts_too_and_is_told() {
        let both = |name: &str, version: &str| {
            let resolved = format!("https://registry.npmjs.org/{name}/-/{name}-{version}.tgz");
            let three = three(&format!(
                r#""node_modules/good": {{"name": "good", "version": "1.0.0", "resolved": "{resolved}"}}"#
            ));
            let one = names(&format!(
                r#"{{"lockfileVersion": 1, "dependencies": {{"good": {{"version": "1.0.0", "resolved": "{resolved}"}}}}}}"#
            ));
            assert_eq!(three, one, "{resolved}");
            three
        };
        assert_eq!(both("good", "1.0.0"), (vec!["good 1.0.0".into()], 0));
        assert_eq!(both("evil", "1.0.0"), (vec!["evil 1.0.0".into(), "good 1.0.0".into()], 1));
        assert_eq!(both("good", "1.0.1"), (vec!["good 1.0.0".into(), "good 1.0.1".into()], 1));
        let aliased = r#"{"lockfileVersion": 1, "dependencies": {"good": {"version": "npm:evil@1.0.0",
            "resolved": "https://h/evil/-/evil-1.0.0.tgz"}, "tool": {"version": "https://h/evil/-/evil-2.0.0.tgz"}}}"#;
        assert_eq!(names(aliased), (vec!["evil 1.0.0".into(), "evil 2.0.0".into(), "tool open".into()], 1));
    }

    #[test]
    fn mirrors_scopes_aliases_and_what_comes_from_elsewhere_raise_no_alarm() {
        for (entry, found) in [
            (r#""node_modules/a": {"version": "1.0.0", "resolved": "https://mirror/npm/a/-/a-1.0.0.tgz"}"#, "a 1.0.0"),
            (
                r#""node_modules/@s/a": {"version": "1.0.0", "resolved": "https://h/@s%2fa/-/a-1.0.0.tgz"}"#,
                "@s/a 1.0.0",
            ),
            (
                r#""node_modules/x": {"name": "a", "version": "1.0.0", "resolved": "https://h/a/-/a-1.0.0.tgz"}"#,
                "a 1.0.0",
            ),
            (r#""node_modules/a": {"version": "1.0.0+b", "resolved": "https://h/a/-/a-1.0.0.tgz"}"#, "a 1.0.0+b"),
            (r#""node_modules/a": {"version": "1.0.0", "resolved": "git+ssh://git@h/o/r.git#abc"}"#, "a 1.0.0"),
            (r#""node_modules/a": {"version": "1.0.0", "resolved": "file:vendor/a.tgz"}"#, "a 1.0.0"),
            (r#""node_modules/a": {"version": "1.0.0", "inBundle": true}"#, "a 1.0.0"),
            (r#""node_modules/a": {"resolved": "https://h/a/-/a-1.0.0.tgz"}"#, "a 1.0.0"),
        ] {
            assert_eq!(three(entry), (vec![found.to_owned()], 0), "{entry}");
        }
    }

    #[test]
    fn a_link_or_a_workspace_that_is_fetched_from_elsewhere_is_none() {
        let (list, problems) = three(
            r#""node_modules/a": {"link": true, "resolved": "https://h/evil/-/evil-1.0.0.tgz"},
            "packages/b": {"version": "1.0.0", "resolved": "https://h/b/-/b-1.0.0.tgz"},
            "node_modules/c": {"link": true, "resolved": "packages/c"}, "packages/c": {"version": "1.0.0"}"#,
        );
        assert_eq!(list, ["a open", "b 1.0.0", "evil 1.0.0"]);
        assert_eq!(problems, 1);
    }

    #[test]
    fn the_list_for_older_programs_counts_too() {
        let two = r#"{"lockfileVersion": 2, "packages": {"node_modules/a": {"version": "1.0.0"},
            "node_modules/g": {"version": "2.0.0", "resolved": "git+https://h/g#abc"}},
            "dependencies": {"a": {"version": "1.0.0"}, "g": {"version": "git+https://h/g#abc"}, "evil": {"version": "1.0.0"}}}"#;
        assert_eq!(names(two), (vec!["a 1.0.0".into(), "evil 1.0.0".into(), "g 2.0.0".into()], 0));
    }
}
