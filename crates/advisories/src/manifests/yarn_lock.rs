//! `yarn.lock`, the form of version 1 (its own) and that of version 2 and later (YAML). Decides the exact packages, by
//! their real name where they go by another; workspaces, links and directories are the repository's own.

use super::{Sink, tarball};
use crate::text::{self, KeyLines};
use serde_json::Value;

/// Protocols of a repository's own packages.
const OWN: [&str; 5] = ["workspace:", "link:", "portal:", "file:", "root-workspace"];

pub(super) fn read(text: &str, out: &mut Sink<'_>) -> Result<(), String> {
    // Put there empty, it marks a project of its own.
    if text.trim().is_empty() {
        return Ok(());
    }
    if text.lines().any(|line| line.trim_end() == "__metadata:") { berry(text, out) } else { classic(text, out) }
}

fn berry(text: &str, out: &mut Sink<'_>) -> Result<(), String> {
    let root = text::yaml(text)?;
    let root = root.as_object().ok_or("is no map")?;
    let lines = KeyLines::of(text);
    for (key, package) in root.iter().filter(|(key, _)| *key != "__metadata") {
        let line = lines.line(key);
        let field = |name: &str| package.get(name).and_then(Value::as_str);
        let Some((name, from)) = field("resolution").and_then(name_and_from) else {
            out.problem(line, &format!("has a package without a resolution: {key}"));
            continue;
        };
        if OWN.iter().any(|own| from.starts_with(own)) {
            continue;
        }
        resolved(name, from, field("version"), line, out);
    }
    Ok(())
}

/// What a resolution names is what is installed, whatever version stands beside it.
fn resolved(name: &str, from: &str, version: Option<&str>, line: Option<u32>, out: &mut Sink<'_>) {
    let (from, bound) = from.split_once("::").unwrap_or((from, ""));
    // A patch is one of another package, and a package of a registry may have an address of its own.
    let patched = from.strip_prefix("patch:").and_then(|p| text::percent(p.split('#').next().unwrap_or(p)));
    let archive = bound.split('&').find_map(|part| part.strip_prefix("__archiveUrl=")).and_then(text::percent);
    out.fetched(name, version, archive.as_deref().or(Some(from)), line);
    let named = match (&patched, from.strip_prefix("npm:")) {
        (Some(patched), _) => name_and_from(patched).map(|(n, from)| (n, from.strip_prefix("npm:").unwrap_or(""))),
        (None, Some(npm)) => Some(name_and_from(npm).unwrap_or((name, npm))),
        (None, None) => None,
    };
    let Some((real, fetched)) = named else { return };
    let fetched = Some(fetched).filter(|v| v.starts_with(|c: char| c.is_ascii_digit()));
    let agrees = match (version, fetched) {
        (Some(said), Some(fetched)) => tarball::same(said, fetched),
        _ => true,
    };
    if real != name || !agrees {
        out.package(real, fetched.or(version), line);
        out.problem(
            line,
            &format!("says {name} and resolves to {real}@{}: both were looked up", fetched.unwrap_or("?")),
        );
    }
}

/// `@scope/name@npm:1.0.0` apart.
fn name_and_from(spec: &str) -> Option<(&str, &str)> {
    let at = spec.get(1..)?.find('@')? + 1;
    Some((&spec[..at], &spec[at + 1..]))
}

/// In how many ways an entry may be read, each of which is looked up.
const MOST_WAYS: usize = 16;

/// An entry: its header, and what it says of itself, each as often as it does.
#[derive(Default)]
struct Entry {
    header: String,
    line: u32,
    versions: Vec<String>,
    from: Vec<String>,
}

fn classic(text: &str, out: &mut Sink<'_>) -> Result<(), String> {
    let mut open: Option<Entry> = None;
    let mut entries = false;
    for (number, whole) in text.lines().enumerate() {
        let number = u32::try_from(number + 1).unwrap_or(u32::MAX);
        let line = whole.trim_end();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if line.starts_with([' ', '\t']) {
            let Some(entry) = &mut open else { continue };
            if let Some(version) = field(line, "version") {
                entry.versions.push(version);
            } else if let Some(from) = field(line, "resolved") {
                entry.from.push(from);
            }
            continue;
        }
        if let Some(entry) = open.take() {
            tell(&entry, out);
        }
        match line.strip_suffix(':') {
            Some(header) => {
                entries = true;
                open = Some(Entry { header: header.to_owned(), line: number, ..Entry::default() });
            }
            None => out.problem(Some(number), &format!("has a line that is not known: `{line}`")),
        }
    }
    if let Some(entry) = open.take() {
        tell(&entry, out);
    }
    if entries || text.contains("# yarn lockfile v1") || !out.found.problems.is_empty() {
        return Ok(());
    }
    Err("is no yarn.lock".into())
}

/// The value of a field of the entry itself, which stands two blanks in.
fn field(line: &str, name: &str) -> Option<String> {
    let line = line.strip_prefix("  ").filter(|l| !l.starts_with([' ', '\t']))?;
    let (key, value) = line.split_once(' ')?;
    (key.trim_end_matches(':').trim_matches('"') == name).then(|| value.trim().trim_matches('"').to_owned())
}

fn tell(entry: &Entry, out: &mut Sink<'_>) {
    let Entry { header, line, versions, from } = entry;
    let line = Some(*line);
    let mut names: Vec<&str> = Vec::new();
    for (at, asked) in header.split(", ").enumerate() {
        let Some((name, from)) = name_and_from(asked.trim_matches('"')) else {
            if at == 0 {
                return out.problem(line, &format!("has a package whose name cannot be told: {header}"));
            }
            // A range with a comma in it.
            continue;
        };
        if OWN.iter().any(|own| from.starts_with(own)) && !entry.from.iter().any(|f| tarball::is_remote(f)) {
            continue;
        }
        let name = from.strip_prefix("npm:").and_then(name_and_from).map_or(name, |(real, _)| real);
        if !names.contains(&name) {
            names.push(name);
        }
    }
    if versions.is_empty() {
        return out.problem(line, &format!("has a package without a version: {header}"));
    }
    if versions.len() > 1 || from.len() > 1 || names.len() > 1 {
        out.problem(line, &format!("has a package that is more than one: {header}"));
    }
    let ways = versions.len().saturating_mul(from.len().max(1));
    for name in names {
        // Nobody writes such an entry but to be in the way.
        if ways > MOST_WAYS {
            out.package(name, None, line);
            continue;
        }
        for version in versions {
            for from in from.iter().map(|f| Some(f.as_str())).chain(from.is_empty().then_some(None)) {
                out.fetched(name, Some(version), from, line);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Kind, Manifest, read};

    fn brief(text: &str) -> (Vec<String>, Manifest) {
        let manifest = read(Kind::YarnLock, "yarn.lock", text.as_bytes());
        let one = |d: &super::super::Dependency| format!("{} {} {:?}", d.name, d.version.as_deref().unwrap(), d.line);
        let mut list: Vec<String> = manifest.dependencies.iter().map(one).collect();
        list.sort();
        (list, manifest)
    }

    #[test]
    fn the_form_of_version_one() {
        let text = "# THIS IS AN AUTOGENERATED FILE.\n# yarn lockfile v1\n\n\n\"@babel/core@^7.0.0\", \"@babel/core@^7.1.0\":\n  version \"7.2.2\"\n\
                    \x20 resolved \"https://r/x#abc\"\n  dependencies:\n    version \"^1.0.0\"\n\nlodash@^4:\n  version \"4.17.20\"\n\n\"alias@npm:minimist@0.0.8\":\n  version \"0.0.8\"\n\n\
                    \"own@file:../own\":\n  version \"1.0.0\"\n";
        let (list, manifest) = brief(text);
        assert_eq!(list, ["@babel/core 7.2.2 Some(5)", "lodash 4.17.20 Some(11)", "minimist 0.0.8 Some(14)"]);
        assert!(manifest.problems.is_empty());
        assert_eq!(brief("# yarn lockfile v1\n\n").1, Manifest::default());
    }

    #[test]
    fn the_form_of_later_versions() {
        let text = "# made by yarn\n\n__metadata:\n  version: 8\n  cacheKey: 10\n\n\"@a/b@npm:^1.0.0, @a/b@npm:^1.1.0\":\n  version: 1.2.3\n  resolution: \"@a/b@npm:1.2.3\"\n\
                    \x20 linkType: hard\n\n\"app@workspace:.\":\n  version: 0.0.0-use.local\n  resolution: \"app@workspace:.\"\n\n\"x@patch:x@npm%3A1.0.0#a.patch\":\n  version: 1.0.0\n\
                    \x20 resolution: \"x@patch:x@npm%3A1.0.0#a.patch\"\n\n\"other@npm:real@1.0.0\":\n  version: 1.0.0\n  resolution: \"real@npm:1.0.0\"\n";
        let (list, manifest) = brief(text);
        assert_eq!(list, ["@a/b 1.2.3 Some(7)", "real 1.0.0 Some(20)", "x 1.0.0 Some(16)"]);
        assert!(manifest.problems.is_empty());
    }

    #[test]
    fn a_package_without_a_version_is_a_problem() {
        for text in [
            "a@1:\n  resolved \"x\"\nb@1:\n  version \"1.0.0\"\n",
            "a@1:\n",
            "__metadata:\n  version: 8\n\"a@npm:1\":\n  version: 1.0.0\n",
            "odd line\n",
        ] {
            assert_eq!(brief(text).1.problems.len(), 1, "{text}");
        }
    }

    fn names(text: &str) -> (Vec<String>, usize) {
        let (list, manifest) = brief(text);
        let without_line = |one: String| one.split(' ').take(2).collect::<Vec<_>>().join(" ");
        (list.into_iter().map(without_line).collect(), manifest.problems.len())
    }

    #[test]
    fn what_is_fetched_under_another_name_or_version_counts_too_and_is_told() {
        let evil = "resolved \"https://registry.yarnpkg.com/evil/-/evil-1.0.0.tgz#abc\"";
        let version = "version \"1.0.0\"";
        let both = (vec!["evil 1.0.0".to_owned(), "good 1.0.0".to_owned()], 1);
        assert_eq!(names(&format!("good@^1:\n  {version}\n  {evil}\n")), both);
        assert_eq!(names(&format!("good@^1:\n  \"resolved\" {}\n  {version}\n", &evil[9..])), both);
        assert_eq!(names(&format!("good@^1, evil@^1:\n  {version}\n")), both);
        assert_eq!(names(&format!("\"own@file:../own\", evil@^1:\n  {version}\n")).0, ["evil 1.0.0"]);
        assert_eq!(names(&format!("\"own@file:../own\":\n  {version}\n  {evil}\n")).0, ["evil 1.0.0", "own 1.0.0"]);
        assert_eq!(names(&format!("good@^1:\n  {version}\n  version \"1.0.1\"\n")).0, ["good 1.0.0", "good 1.0.1"]);
        let honest =
            format!("\"alias@npm:evil@^1\", evil@^1, evil@1.0.0:\n  {version}\n  {evil}\n  integrity sha512-x\n");
        assert_eq!(names(&honest), (vec!["evil 1.0.0".into()], 0));
    }

    #[test]
    fn an_entry_of_very_many_versions_has_none() {
        let crowd = "  version \"1.0.0\"\n  resolved \"https://h/x\"\n".repeat(2_000);
        let manifest = read(Kind::YarnLock, "yarn.lock", format!("a@1:\n{crowd}").as_bytes());
        assert_eq!((manifest.dependencies.len(), manifest.problems.len()), (1, 1));
        assert_eq!(manifest.dependencies[0].version, None);
    }

    #[test]
    fn a_resolution_counts_and_not_what_stands_beside_it() {
        let at = |resolution: &str| {
            names(&format!(
                "__metadata:\n  version: 8\n\"good@npm:^1\":\n  version: 1.0.0\n  resolution: \"{resolution}\"\n"
            ))
        };
        let archive = "https%3A%2F%2Fregistry.npmjs.org%2Fevil%2F-%2Fevil-1.0.0.tgz";
        for evil in [
            "good@npm:evil@1.0.0".to_owned(),
            "good@https://h/evil/-/evil-1.0.0.tgz".to_owned(),
            "good@patch:evil@npm%3A1.0.0#a.patch".to_owned(),
            format!("good@npm:1.0.0::__archiveUrl={archive}"),
        ] {
            assert_eq!(at(&evil), (vec!["evil 1.0.0".into(), "good 1.0.0".into()], 1), "{evil}");
        }
        assert_eq!(at("good@npm:1.0.1"), (vec!["good 1.0.0".into(), "good 1.0.1".into()], 1));
        for honest in [
            "good@npm:1.0.0".to_owned(),
            "good@patch:good@npm%3A1.0.0#~builtin<compat/x>::version=1.0.0&hash=abc".to_owned(),
            format!("good@npm:1.0.0::__archiveUrl={}", archive.replace("evil", "good")),
            "good@https://github.com/o/r.git#commit=abc".to_owned(),
        ] {
            assert_eq!(at(&honest), (vec!["good 1.0.0".into()], 0), "{honest}");
        }
    }
}
