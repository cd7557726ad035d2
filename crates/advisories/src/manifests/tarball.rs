//! The address a lock file of Node fetches a package from. Decides which package a registry serves there: that one is
//! installed, whatever name stands beside the address. It may never believe the name where the two disagree. Mirrors have
//! other hosts and longer paths, and the same end: `name/-/name-1.0.0.tgz`. Of other addresses nothing can be told.

use super::Sink;
use crate::Ecosystem;
use crate::osv::Version;
use crate::text;
use std::cmp::Ordering;

/// Registries that serve packages from addresses of this form alone.
const STRICT: [&str; 3] = ["registry.npmjs.org", "registry.npmjs.com", "registry.yarnpkg.com"];

/// What an address says.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Told {
    Package {
        name: String,
        version: Option<String>,
    },
    Nothing,
    /// A registry that is known, and no form that is.
    Odd,
}

/// Is it an address of somewhere else, and no path in the repository?
pub(super) fn is_remote(address: &str) -> bool {
    address.contains(':') && !address.starts_with("file:")
}

impl Sink<'_> {
    /// A package of Node by its name and by the address it is fetched from. Where they disagree, both count.
    pub(super) fn fetched(&mut self, name: &str, version: Option<&str>, from: Option<&str>, line: Option<u32>) {
        let (name, version) = (name.trim(), version.map(str::trim).filter(|v| !v.is_empty()));
        match from.map_or(Told::Nothing, told) {
            Told::Nothing => self.package(name, version, line),
            Told::Odd => {
                self.package(name, version, line);
                let from = from.unwrap_or_default();
                self.problem(line, &format!("fetches {name} from an address of no known form: {from}"));
            }
            Told::Package { name: real, version: fetched } => {
                let agrees = match (version, &fetched) {
                    (Some(said), Some(fetched)) => same(said, fetched),
                    _ => true,
                };
                let fetched = fetched.as_deref().or(version);
                if real == name && agrees {
                    return self.package(name, version.or(fetched), line);
                }
                self.package(name, version, line);
                self.package(&real, fetched, line);
                let shown = |name: &str, version: Option<&str>| {
                    version.map_or_else(|| name.to_owned(), |version| format!("{name} {version}"))
                };
                let (said, fetched) = (shown(name, version), shown(&real, fetched));
                self.problem(line, &format!("says {said} and fetches {fetched}: both were looked up"));
            }
        }
    }
}

/// Are two versions one? The address leaves out what was only a mark of the build.
pub(super) fn same(a: &str, b: &str) -> bool {
    let read = |text: &str| Version::read(Ecosystem::Npm, text);
    a == b || matches!((read(a), read(b)), (Some(a), Some(b)) if a.order(&b) == Some(Ordering::Equal))
}

fn told(address: &str) -> Told {
    let address = address.split(['#', '?']).next().unwrap_or(address);
    let Some((scheme, rest)) = address.split_once(':') else { return Told::Nothing };
    if !["http", "https"].iter().any(|web| scheme.trim().eq_ignore_ascii_case(web)) {
        return Told::Nothing;
    }
    let rest = rest.trim_start_matches(['/', '\\']);
    let (host, path) = rest.split_once(['/', '\\']).unwrap_or((rest, ""));
    let host = host.rsplit('@').next().unwrap_or(host).split(':').next().unwrap_or(host);
    let strict = STRICT.iter().any(|known| host.eq_ignore_ascii_case(known));
    match of_path(path) {
        None if strict => Told::Odd,
        None => Told::Nothing,
        Some((name, version)) => Told::Package { name, version },
    }
}

/// `any/prefix/@scope/name/-/name-1.0.0.tgz`, with letters as numbers, and with detours as a browser goes them.
fn of_path(path: &str) -> Option<(String, Option<String>)> {
    let path = text::percent(path)?;
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split(['/', '\\']).filter(|p| !p.is_empty() && *p != ".") {
        if part == ".." {
            parts.pop();
        } else {
            parts.push(part);
        }
    }
    let dash = parts.iter().rposition(|part| *part == "-")?;
    let (before, file) = (&parts[..dash], parts[dash + 1..].last()?.strip_suffix(".tgz")?);
    let plain = *before.last()?;
    let scope = before.len().checked_sub(2).map(|at| before[at]).filter(|part| part.starts_with('@'));
    let version = file.strip_prefix(plain).and_then(|rest| rest.strip_prefix('-'));
    let version = version.filter(|v| Version::read(Ecosystem::Npm, v).is_some()).map(ToOwned::to_owned);
    Some((scope.map_or_else(|| plain.to_owned(), |scope| format!("{scope}/{plain}")), version))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registries_and_their_mirrors_tell_which_package_they_serve() {
        for (address, name, version) in [
            ("https://registry.npmjs.org/lodash/-/lodash-4.17.20.tgz", "lodash", "4.17.20"),
            ("http://registry.yarnpkg.com/lodash/-/lodash-4.17.20.tgz#abc", "lodash", "4.17.20"),
            ("https://registry.npmjs.org/@a/b-c/-/b-c-1.0.0-rc.1.tgz", "@a/b-c", "1.0.0-rc.1"),
            ("https://registry.npmjs.org/@a%2fb/-/b-1.0.0.tgz", "@a/b", "1.0.0"),
            ("https://registry.npmjs.org/%40a%2Fb/-/b-1.0.0.tgz", "@a/b", "1.0.0"),
            ("https://h/artifactory/api/npm/all/@a/b/-/@a/b-1.0.0.tgz", "@a/b", "1.0.0"),
            ("https://u:p@h:8443/repository/npm/b/-/b-1.0.0.tgz?x=1", "b", "1.0.0"),
            ("https://npm.h.com/@a/b/-/6.1.1/b-6.1.1.tgz", "@a/b", "6.1.1"),
            ("https://registry.npmjs.org/good/-/../../evil/-/evil-1.0.0.tgz", "evil", "1.0.0"),
            ("https://registry.npmjs.org/@a/good/./../evil/-/evil-1.0.0.tgz", "@a/evil", "1.0.0"),
            ("HTTPS:\\\\registry.npmjs.org\\%65vil\\-\\evil-1.0.0.tgz", "evil", "1.0.0"),
        ] {
            let wanted = Told::Package { name: name.into(), version: Some(version.into()) };
            assert_eq!(told(address), wanted, "{address}");
        }
        let open = Told::Package { name: "a".into(), version: None };
        assert_eq!(told("https://h/a/-/other-1.0.0.tgz"), open);
    }

    #[test]
    fn other_addresses_tell_nothing() {
        for address in [
            "https://codeload.github.com/o/r/tar.gz/abc",
            "https://gitlab.com/g/p/-/archive/v1.0.0/p-v1.0.0.tar.gz",
            "https://npm.pkg.github.com/download/@a/b/1.0.0/abc",
            "git+ssh://git@h/o/r.git#abc",
            "file:a/-/a-1.0.0.tgz",
            "packages/own",
            "",
        ] {
            assert_eq!(told(address), Told::Nothing, "{address}");
        }
        assert_eq!(told("https://registry.npmjs.org/evil"), Told::Odd);
        assert!(is_remote("https://h") && is_remote("git@h:o/r") && !is_remote("../own") && !is_remote("file:../own"));
    }
}
