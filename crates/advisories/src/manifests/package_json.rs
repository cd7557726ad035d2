//! `package.json`: what a project of Node asks for. Decides names, and a version only where one is asked for exactly; the
//! lock file beside it says the rest. Where there is none, this is all that is known of what gets installed.

use super::{Sink, tarball};
use crate::Ecosystem;
use crate::osv::Version;
use crate::text;
use serde_json::{Map, Value};

const LISTS: [&str; 4] = ["dependencies", "devDependencies", "optionalDependencies", "peerDependencies"];

/// Protocols of a repository's own packages.
const OWN: [&str; 4] = ["workspace:", "file:", "link:", "portal:"];

pub(super) fn read(text: &str, out: &mut Sink<'_>) -> Result<(), String> {
    let root: Map<String, Value> = text::json(text)?;
    let lines = Lines::of(text);
    for list in LISTS {
        let packages = match root.get(list) {
            None | Some(Value::Null) => continue,
            Some(Value::Object(packages)) => packages,
            Some(_) => {
                out.problem(None, &format!("has `{list}` that are no map"));
                continue;
            }
        };
        for (name, asked) in packages {
            match asked.as_str() {
                // Nobody installs these for being named here.
                Some(_) if list == "peerDependencies" && is_optional(&root, name) => {}
                Some(asked) => one(name, asked, lines.line(name), out),
                None => out.problem(lines.line(name), &format!("asks for {name} by what is no text")),
            }
        }
    }
    // What takes the place of another package, however deep it stands.
    let pnpm = root.get("pnpm").and_then(|p| p.get("overrides"));
    let mut open: Vec<&Value> = [root.get("overrides"), root.get("resolutions"), pnpm].into_iter().flatten().collect();
    while let Some(value) = open.pop() {
        match value {
            Value::Object(map) => open.extend(map.values()),
            Value::String(asked) if alias(asked).is_some() || asked.contains("://") => one("", asked, None, out),
            _ => {}
        }
    }
    Ok(())
}

fn is_optional(root: &Map<String, Value>, name: &str) -> bool {
    let meta = root.get("peerDependenciesMeta").and_then(|all| all.get(name));
    meta.and_then(|one| one.get("optional")).and_then(Value::as_bool) == Some(true)
}

/// What stands behind `npm:`, which npm itself reads in capitals too.
fn alias(asked: &str) -> Option<&str> {
    let (protocol, rest) = asked.trim().split_at_checked(4)?;
    protocol.eq_ignore_ascii_case("npm:").then_some(rest)
}

/// A package by its name and by what is asked of it.
fn one(name: &str, asked: &str, line: Option<u32>, out: &mut Sink<'_>) {
    let asked = asked.trim();
    if let Some(real) = alias(asked) {
        // `@scope/name@range`: the sign at the beginning is the scope's.
        let at = real.match_indices('@').map(|(at, _)| at).find(|at| *at > 0);
        let (real, range) = at.map_or((real, ""), |at| (&real[..at], &real[at + 1..]));
        return ranged(real, range.trim(), line, out);
    }
    if OWN.iter().any(|own| asked.starts_with(own)) {
        return;
    }
    if asked.contains(':') || asked.contains('/') {
        return out.fetched(name, None, Some(asked).filter(|a| tarball::is_remote(a)), line);
    }
    ranged(name, asked, line, out);
}

fn ranged(name: &str, range: &str, line: Option<u32>, out: &mut Sink<'_>) {
    let plain = range.trim_start_matches(['=', 'v']).trim();
    let exact = plain.split(['-', '+']).next().is_some_and(|numbers| numbers.split('.').count() == 3)
        && Version::read(Ecosystem::Npm, plain).is_some();
    if exact { out.package(name, Some(plain), line) } else { out.asked(name, None, Some(range), line) }
}

/// On which line a package stands; one that stands there twice has no line.
struct Lines<'a>(std::collections::HashMap<&'a str, Option<u32>>);

impl<'a> Lines<'a> {
    fn of(text: &'a str) -> Self {
        let mut lines = std::collections::HashMap::new();
        for (number, line) in text.lines().enumerate() {
            let key = line.trim().strip_prefix('"').and_then(|rest| rest.split_once("\":"));
            if let Some((key, _)) = key {
                let number = u32::try_from(number + 1).ok();
                lines.entry(key).and_modify(|seen| *seen = None).or_insert(number);
            }
        }
        Self(lines)
    }

    fn line(&self, key: &str) -> Option<u32> {
        self.0.get(key).copied().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Kind, Manifest, read};

    fn brief(text: &str) -> (Vec<String>, Manifest) {
        let manifest = read(Kind::PackageJson, "web/package.json", text.as_bytes());
        let one = |d: &super::super::Dependency| {
            let version = d.version.clone().map(|v| format!("={v}")).or(d.wanted.clone());
            format!("{} {} {:?}", d.name, version.unwrap_or_else(|| "?".into()), d.line)
        };
        let mut list: Vec<String> = manifest.dependencies.iter().map(one).collect();
        list.sort();
        (list, manifest)
    }

    #[test]
    fn every_list_counts_with_the_real_names_and_without_our_own() {
        let text = r#"{
  "name": "web", "version": "1.0.0",
  "dependencies": {
    "range": "^1.0.0",
    "exact": "1.2.3-rc.1",
    "any": "",
    "alias": "npm:@s/real@~2.0",
    "bare": "NPM:other",
    "part": "1.2",
    "git": "github:o/r",
    "short": "o/r#v1",
    "url": "https://h/url/-/url-1.0.0.tgz",
    "mine": "workspace:*", "own": "file:../own"
  },
  "devDependencies": {
    "tag": "latest"
  },
  "optionalDependencies": {
    "maybe": "*"
  },
  "peerDependencies": {
    "peer": ">=1",
    "unneeded": "*"
  },
  "peerDependenciesMeta": {"unneeded": {"optional": true}},
  "overrides": {"a": {"b": "npm:deep@1.0.0"}, "c": "1.0.0"}
}"#;
        let (list, manifest) = brief(text);
        assert_eq!(
            list,
            [
                "@s/real ~2.0 Some(7)",
                "any  Some(6)",
                "deep =1.0.0 None",
                "exact =1.2.3-rc.1 Some(5)",
                "git ? Some(10)",
                "maybe * Some(19)",
                "other  Some(8)",
                "part 1.2 Some(9)",
                "peer >=1 Some(22)",
                "range ^1.0.0 Some(4)",
                "short ? Some(11)",
                "tag latest Some(16)",
                "url =1.0.0 Some(12)",
            ]
        );
        assert_eq!(manifest.problems, Vec::<String>::new());
        assert_eq!(brief(r#"{"name": "x"}"#).1, Manifest::default());
    }

    #[test]
    fn what_is_not_understood_is_a_problem_and_an_address_under_another_name_counts_twice() {
        for text in ["[]", "{", r#"{"dependencies": []}"#, r#"{"dependencies": {"a": 1}}"#] {
            assert_eq!(brief(text).1.problems.len(), 1, "{text}");
        }
        let (list, manifest) =
            brief(r#"{"dependencies": {"good": "https://registry.npmjs.org/evil/-/evil-1.0.0.tgz"}}"#);
        assert_eq!((list, manifest.problems.len()), (vec!["evil =1.0.0 None".into(), "good ? None".into()], 1));
    }
}
