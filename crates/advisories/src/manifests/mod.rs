//! From a manifest's bytes to what it depends on. Decides which files are manifests and what a package in them is
//! called; it may never leave out a package it did not understand: that is a problem in words, and the caller treats the
//! audit as degraded. It prevents a dependency that nobody looked up because its line was odd.
//!
//! A lock file counts wherever it is checked in, below `node_modules` and other vendored trees too: it says what is
//! installed when somebody runs the installer there. A repository's own packages (workspace members, path
//! dependencies, links) are not dependencies.

mod cargo_lock;
mod cargo_toml;
mod go_mod;
mod npm_lock;
mod package_json;
mod pnpm_lock;
mod pyproject;
mod python_locks;
mod requirements;
mod shell;
mod tarball;
mod unlocked;
mod yarn_lock;

pub use unlocked::unlocked;

use crate::text;
use crate::{Dependency, Ecosystem};
use serde::{Deserialize, Serialize};

/// What one manifest says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    /// Packages in the order of the file, each version once.
    pub dependencies: Vec<Dependency>,
    /// Other files this one names (`-r`, `-c`), as paths in the repository. To be read too, whatever they are called:
    /// as `Kind::Requirements`.
    pub includes: Vec<String>,
    /// What could not be read, beginning with the path. Not empty: the audit is degraded.
    pub problems: Vec<String>,
}

/// A kind of manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// `requirements*.txt`, constraints, files of a directory `requirements`.
    Requirements,
    /// `pyproject.toml`: names, hardly ever versions.
    PyProject,
    /// `uv.lock`.
    UvLock,
    /// `poetry.lock`.
    PoetryLock,
    /// `Pipfile.lock`.
    PipfileLock,
    /// `pylock.toml`, `pylock.*.toml`.
    Pylock,
    /// `Cargo.lock`.
    CargoLock,
    /// `Cargo.toml`: what a crate asks for.
    CargoToml,
    /// `package-lock.json`, `npm-shrinkwrap.json`.
    PackageLock,
    /// `package.json`: names, hardly ever versions. `is_manifest` does not find it: with a lock file beside it it says
    /// nothing more, and `unlocked` names those that have none.
    PackageJson,
    /// `pnpm-lock.yaml`.
    PnpmLock,
    /// `yarn.lock`, both forms.
    YarnLock,
    /// `go.mod`.
    GoMod,
}

impl Kind {
    /// Whose packages it names.
    pub const fn ecosystem(self) -> Ecosystem {
        match self {
            Self::Requirements
            | Self::PyProject
            | Self::UvLock
            | Self::PoetryLock
            | Self::PipfileLock
            | Self::Pylock => Ecosystem::PyPI,
            Self::CargoLock | Self::CargoToml => Ecosystem::CratesIo,
            Self::PackageLock | Self::PackageJson | Self::PnpmLock | Self::YarnLock => Ecosystem::Npm,
            Self::GoMod => Ecosystem::Go,
        }
    }
}

/// What kind of manifest a path is, if any; anywhere in the repository.
pub fn is_manifest(path: &str) -> Option<Kind> {
    let mut parts = path.rsplit('/');
    let name = parts.next()?.to_ascii_lowercase();
    let below = |dir: &str| parts.clone().any(|part| part == dir);
    let kind = match name.as_str() {
        "pyproject.toml" => Kind::PyProject,
        "uv.lock" => Kind::UvLock,
        "poetry.lock" => Kind::PoetryLock,
        "pipfile.lock" => Kind::PipfileLock,
        "cargo.lock" => Kind::CargoLock,
        // What `cargo vendor` has put there asks for more than anybody builds.
        "cargo.toml" if !below("vendor") => Kind::CargoToml,
        "package-lock.json" | "npm-shrinkwrap.json" => Kind::PackageLock,
        "pnpm-lock.yaml" => Kind::PnpmLock,
        "yarn.lock" => Kind::YarnLock,
        "go.mod" => Kind::GoMod,
        // What is installed already says what it asked for once; nobody installs that again.
        "package.json" if !below("node_modules") => Kind::PackageJson,
        "cargo.toml" | "package.json" => return None,
        "pylock.toml" => Kind::Pylock,
        _ if name.strip_suffix(".toml").is_some_and(|stem| stem.starts_with("pylock.")) => Kind::Pylock,
        _ => {
            let stem = name.strip_suffix(".txt")?;
            let said =
                stem.starts_with("requirements") || stem.ends_with("requirements") || stem.starts_with("constraints");
            let below = parts.next().is_some_and(|dir| dir.eq_ignore_ascii_case("requirements"));
            return (said || below).then_some(Kind::Requirements);
        }
    };
    Some(kind)
}

/// Reads a manifest. Never fails: what could not be read is among the problems.
pub fn read(kind: Kind, path: &str, bytes: &[u8]) -> Manifest {
    let mut out = Sink { kind, path, found: Manifest::default() };
    // pip reads lists that Windows has written, too.
    let wide = if kind == Kind::Requirements { text::utf16(bytes) } else { None };
    let bytes = wide.as_ref().map_or(bytes, String::as_bytes);
    let read = text::utf8(bytes).and_then(|text| match kind {
        Kind::Requirements => {
            requirements::read(text, &mut out);
            Ok(())
        }
        Kind::PyProject => pyproject::read(text, &mut out),
        Kind::UvLock => python_locks::uv(text, &mut out),
        Kind::PoetryLock => python_locks::poetry(text, &mut out),
        Kind::PipfileLock => python_locks::pipfile(text, &mut out),
        Kind::Pylock => python_locks::pylock(text, &mut out),
        Kind::CargoLock => cargo_lock::read(text, &mut out),
        Kind::CargoToml => cargo_toml::read(text, &mut out),
        Kind::PackageLock => npm_lock::read(text, &mut out),
        Kind::PackageJson => package_json::read(text, &mut out),
        Kind::PnpmLock => pnpm_lock::read(text, &mut out),
        Kind::YarnLock => yarn_lock::read(text, &mut out),
        Kind::GoMod => {
            go_mod::read(text, &mut out);
            Ok(())
        }
    });
    if let Err(why) = read {
        out.problem(None, &why);
    }
    let mut seen = std::collections::HashSet::new();
    out.found.dependencies.retain(|d| seen.insert((d.name.clone(), d.version.clone(), d.wanted.clone())));
    out.found
}

/// Where the readers of this module put what they find.
struct Sink<'a> {
    kind: Kind,
    path: &'a str,
    found: Manifest,
}

/// Most problems one manifest is allowed to tell of; the rest are counted in the last.
const MAX_PROBLEMS: usize = 20;

impl Sink<'_> {
    fn package(&mut self, name: &str, version: Option<&str>, line: Option<u32>) {
        self.asked(name, version, None, line);
    }

    fn asked(&mut self, name: &str, version: Option<&str>, wanted: Option<&str>, line: Option<u32>) {
        let ecosystem = self.kind.ecosystem();
        let name = ecosystem.normal(name);
        let version = version.map(str::trim).filter(|v| !v.is_empty()).map(ToOwned::to_owned);
        if name.is_empty() {
            return self.problem(line, "names a package without a name");
        }
        let (wanted, manifest) = (wanted.map(ToOwned::to_owned), self.path.to_owned());
        self.found.dependencies.push(Dependency { ecosystem, name, version, wanted, manifest, line });
    }

    fn problem(&mut self, line: Option<u32>, why: &str) {
        let at = line.map(|l| format!(", line {l}")).unwrap_or_default();
        match self.found.problems.len() {
            n if n < MAX_PROBLEMS => self.found.problems.push(format!("{}{at}: {}", self.path, text::short(why))),
            n if n == MAX_PROBLEMS => {
                self.found.problems.push(format!("{}: more of its lines cannot be read", self.path));
            }
            _ => {}
        }
    }

    /// A path this file names, relative to itself, as a path in the repository; `None` if it leads out of it.
    fn beside(&self, name: &str) -> Option<String> {
        let mut parts: Vec<&str> = self.path.split('/').collect();
        parts.pop();
        if name.starts_with('/') || name.contains("://") {
            return None;
        }
        for part in name.split('/') {
            match part {
                "" | "." => {}
                ".." => {
                    parts.pop()?;
                }
                _ => parts.push(part),
            }
        }
        Some(parts.join("/"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manifests_are_found_wherever_they_are() {
        for (path, kind) in [
            ("requirements.txt", Kind::Requirements),
            ("a/requirements-dev.txt", Kind::Requirements),
            ("a/dev-requirements.txt", Kind::Requirements),
            ("requirements/base.txt", Kind::Requirements),
            ("constraints.txt", Kind::Requirements),
            ("services/api/uv.lock", Kind::UvLock),
            ("poetry.lock", Kind::PoetryLock),
            ("Pipfile.lock", Kind::PipfileLock),
            ("pyproject.toml", Kind::PyProject),
            ("pylock.toml", Kind::Pylock),
            ("a/pylock.dev.toml", Kind::Pylock),
            ("crates/x/Cargo.lock", Kind::CargoLock),
            ("web/package-lock.json", Kind::PackageLock),
            ("web/node_modules/x/package-lock.json", Kind::PackageLock),
            ("npm-shrinkwrap.json", Kind::PackageLock),
            ("pnpm-lock.yaml", Kind::PnpmLock),
            ("yarn.lock", Kind::YarnLock),
            ("tools/go.mod", Kind::GoMod),
            ("web/package.json", Kind::PackageJson),
            ("crates/a/Cargo.toml", Kind::CargoToml),
        ] {
            assert_eq!(is_manifest(path), Some(kind), "{path}");
        }
        for path in [
            "notes.txt",
            "requirements/readme.md",
            "web/node_modules/x/package.json",
            "go.sum",
            "vendor/x/Cargo.toml",
            "",
            "a/",
        ] {
            assert_eq!(is_manifest(path), None, "{path}");
        }
    }

    #[test]
    fn a_list_that_windows_has_written_and_a_lock_file_that_is_only_a_mark_are_read() {
        let text = "\u{feff}sample-lib==1.4.0\r\n";
        for bytes in [
            text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>(),
            text.encode_utf16().flat_map(u16::to_be_bytes).collect(),
        ] {
            let found = read(Kind::Requirements, "requirements.txt", &bytes);
            assert_eq!((found.dependencies.len(), found.problems.len()), (1, 0), "{found:?}");
            assert_eq!(found.dependencies[0].version.as_deref(), Some("1.4.0"));
            assert_eq!(read(Kind::Requirements, "requirements.txt", &bytes[..bytes.len() - 1]).problems.len(), 1);
        }
        assert_eq!(read(Kind::YarnLock, "sub/yarn.lock", b"\n"), Manifest::default());
    }

    #[test]
    fn a_manifest_that_cannot_be_read_says_so() {
        for kind in [
            Kind::PyProject,
            Kind::UvLock,
            Kind::PoetryLock,
            Kind::PipfileLock,
            Kind::Pylock,
            Kind::CargoLock,
            Kind::PackageLock,
            Kind::PackageJson,
            Kind::CargoToml,
            Kind::PnpmLock,
            Kind::YarnLock,
        ] {
            for bytes in [&b"<<<<<<< HEAD\n{[\n=======\n"[..], b"\xff\xfe\x00", b"[1] x"] {
                let found = read(kind, "x/lock", bytes);
                assert!(found.dependencies.is_empty() && !found.problems.is_empty(), "{kind:?} {found:?}");
                assert!(found.problems[0].starts_with("x/lock"), "{found:?}");
            }
        }
    }
}
