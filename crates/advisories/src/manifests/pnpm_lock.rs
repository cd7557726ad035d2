//! `pnpm-lock.yaml`, forms 5.4 to 9. Decides the exact packages from the keys of `packages`, which spell name and
//! version differently in each form; links and workspace packages have no such key.

use super::{Sink, tarball};
use crate::text::{self, KeyLines};
use serde_json::Value;

pub(super) fn read(text: &str, out: &mut Sink<'_>) -> Result<(), String> {
    let root = text::yaml(text)?;
    let root = root.as_object().ok_or("is no map")?;
    let form = match root.get("lockfileVersion") {
        Some(Value::String(form)) => form.clone(),
        Some(Value::Number(form)) => form.to_string(),
        _ => return Err("is no pnpm-lock.yaml: it has no lockfileVersion".into()),
    };
    let major: u32 = form.split('.').next().and_then(|n| n.parse().ok()).unwrap_or(0);
    if !(5..=9).contains(&major) {
        return Err(format!("has lockfileVersion {form}, which is not known"));
    }
    // Form 9 has every key a second time below `snapshots`.
    let lines = KeyLines::of(text.split("\nsnapshots:").next().unwrap_or(text));
    let packages = match root.get("packages") {
        None | Some(Value::Null) => return Ok(()),
        Some(packages) => packages.as_object().ok_or("has `packages` that are no map")?,
    };
    for (key, package) in packages {
        let line = lines.line(key);
        let is = |kind: &Value| kind.get("type").and_then(Value::as_str) == Some("directory");
        let resolution = package.get("resolution");
        let from = resolution.and_then(|r| r.get("tarball")).and_then(Value::as_str);
        if resolution.is_some_and(is) && from.is_none() {
            continue;
        }
        // A package from an address carries its version, and before form 9 its name, inside.
        let within = |field: &str| package.get(field).and_then(Value::as_str);
        let told = if major == 5 { five(key) } else { six(key) };
        match (within("name").or(told.map(|(name, _)| name)).or_else(|| address(key)), told) {
            (Some(name), told) => {
                let version = within("version").or(told.map(|(_, v)| v));
                out.fetched(name, version, from.or_else(|| at_sign(key).map(|at| &key[at + 1..])), line);
                // What stands inside is not what the key says: whichever is installed, both were looked up.
                if let Some((key_name, key_version)) = told
                    && (key_name != name || !version.is_some_and(|v| tarball::same(v, key_version)))
                {
                    out.package(key_name, Some(key_version), line);
                    out.problem(line, &format!("has a package that is called something else inside: {key}"));
                }
            }
            (None, _) => out.problem(line, &format!("has a package whose name cannot be told: {key}")),
        }
    }
    Ok(())
}

/// `/name@1.0.0(peer@2.0.0)`, `@scope/name@1.0.0`, with or without the slash.
fn six(key: &str) -> Option<(&str, &str)> {
    let key = key.strip_prefix('/').unwrap_or(key);
    let key = key.split('(').next().unwrap_or(key);
    let at = at_sign(key)?;
    version(without_host(&key[..at]), &key[at + 1..])
}

/// Where the name of a key ends: at the first such sign that begins no scope.
fn at_sign(key: &str) -> Option<usize> {
    key.match_indices('@').map(|(at, _)| at).find(|at| *at > 0 && !key[..*at].ends_with('/'))
}

/// `@scope/name` of `registry.example.com/@scope/name`.
fn without_host(name: &str) -> &str {
    let Some(slash) = name.rfind('/') else { return name };
    let before = name[..slash].rfind('/').map_or(0, |at| at + 1);
    if name[before..].starts_with('@') { &name[before..] } else { &name[slash + 1..] }
}

/// `/name/1.0.0_peer@2.0.0`, `/@scope/name/1.0.0`.
fn five(key: &str) -> Option<(&str, &str)> {
    let key = key.strip_prefix('/')?;
    let slash = match key.strip_prefix('@') {
        Some(scoped) => scoped.match_indices('/').nth(1)?.0 + 1,
        None => key.find('/')?,
    };
    let tail = &key[slash + 1..];
    version(&key[..slash], tail.split('_').next().unwrap_or(tail))
}

/// The name of `name@https://...`.
fn address(key: &str) -> Option<&str> {
    let at = at_sign(key)?;
    key[at..].contains(':').then_some(&key[..at])
}

fn version<'a>(name: &'a str, version: &'a str) -> Option<(&'a str, &'a str)> {
    let plain = version.starts_with(|c: char| c.is_ascii_digit()) && !version.contains([':', '/']);
    plain.then_some((name, version))
}

#[cfg(test)]
mod tests {
    use super::super::{Kind, Manifest, read};

    fn brief(text: &str) -> (Vec<String>, Manifest) {
        let manifest = read(Kind::PnpmLock, "pnpm-lock.yaml", text.as_bytes());
        let version = |v: &Option<String>| v.clone().unwrap_or_else(|| "open".into());
        let mut list: Vec<String> =
            manifest.dependencies.iter().map(|d| format!("{} {} {:?}", d.name, version(&d.version), d.line)).collect();
        list.sort();
        (list, manifest)
    }

    #[test]
    fn form_nine() {
        let text = "lockfileVersion: '9.0'\n\nimporters:\n  .:\n    dependencies:\n      lodash:\n        specifier: ^4\n        version: 4.17.20\n\
                    packages:\n\n  '@babel/core@7.0.0':\n    resolution: {integrity: sha512-a}\n\n  lodash@4.17.20:\n    resolution: {integrity: sha512-b}\n\n\
                    \x20 tool@https://h/t.tar.gz:\n    resolution: {tarball: https://h/t.tar.gz}\n    version: 1.2.3\n\n  own@file:../own:\n    resolution: {directory: ../own, type: directory}\n\nsnapshots:\n\n  '@babel/core@7.0.0': {}\n";
        let (list, manifest) = brief(text);
        assert_eq!(manifest.problems, Vec::<String>::new());
        assert_eq!(list, ["@babel/core 7.0.0 Some(11)", "lodash 4.17.20 Some(14)", "tool 1.2.3 Some(17)"]);
    }

    #[test]
    fn forms_six_and_five() {
        let six = "lockfileVersion: '6.0'\npackages:\n  /lodash@4.17.20:\n    dev: true\n  /@a/b@1.0.0-rc.1(react@18.0.0)(x@1.0.0):\n    dev: false\n\
                   \x20 github.com/o/r/abc:\n    name: forked\n    version: 2.0.0\n";
        assert_eq!(brief(six).0, ["@a/b 1.0.0-rc.1 Some(5)", "forked 2.0.0 Some(7)", "lodash 4.17.20 Some(3)"]);
        let five = "lockfileVersion: 5.4\npackages:\n  /lodash/4.17.20:\n    dev: true\n  /@a/b/1.0.0_react@18.0.0:\n    dev: false\n";
        assert_eq!(brief(five).0, ["@a/b 1.0.0 Some(5)", "lodash 4.17.20 Some(3)"]);
    }

    #[test]
    fn odd_files_are_problems_and_an_empty_one_is_not() {
        assert_eq!(brief("lockfileVersion: '9.0'\n").1, Manifest::default());
        for text in [
            "packages: {}\n",
            "lockfileVersion: '10.0'\npackages: {}\n",
            "lockfileVersion: 9.0\npackages: []\n",
            "lockfileVersion: 9.0\npackages:\n  odd: {}\n",
        ] {
            assert_eq!(brief(text).1.problems.len(), 1, "{text}");
        }
    }

    #[test]
    fn what_is_fetched_under_another_name_counts_too_and_is_told() {
        let at = |key: &str, more: &str| {
            let (list, manifest) = brief(&format!("lockfileVersion: '9.0'\npackages:\n  {key}:\n    {more}\n"));
            (list, manifest.problems.len())
        };
        let evil = "resolution: {tarball: https://registry.npmjs.org/evil/-/evil-1.0.0.tgz}";
        let (list, problems) = at("good@1.0.0", evil);
        assert_eq!((list, problems), (vec!["evil 1.0.0 Some(3)".into(), "good 1.0.0 Some(3)".into()], 1));
        assert_eq!(at("evil@1.0.0", evil), (vec!["evil 1.0.0 Some(3)".into()], 0));
        assert_eq!(at("evil@1.0.0", "name: good\n    version: 2.0.0").1, 1);
        assert_eq!(at("good@https://h/evil/-/evil-1.0.0.tgz", "version: 1.0.0").0.len(), 2);
        assert_eq!(at("'@a/good@https://h/@a/good/-/good-1.0.0.tgz'", "version: 1.0.0").1, 0);
        assert_eq!(at("'@a/good@https://h/evil/-/evil-1.0.0.tgz'", "version: 1.0.0").0.len(), 2);
        assert_eq!(at("registry.h.org/evil@1.0.0", "dev: true").0, ["evil 1.0.0 Some(3)"]);
        assert_eq!(at("registry.h.org/@a/evil@1.0.0", "dev: true").0, ["@a/evil 1.0.0 Some(3)"]);
        let (list, problems) =
            at("good@file:x", "resolution: {type: directory, tarball: https://h/evil/-/evil-1.0.0.tgz}");
        assert_eq!((list.len(), problems), (2, 1));
    }
}
