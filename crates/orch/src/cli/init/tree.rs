//! The files of a repository as they stand in a commit, or in a directory that has no commit yet; and a view of one
//! directory of it. Names that are no UTF-8 are left out and counted: nothing could open them by what is shown of them.

use super::super::git_probe;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A larger file is not read, bytes.
const LARGEST: usize = 1024 * 1024;
/// So many links are followed, one after the other.
const LINKS: usize = 8;

/// Modes of git.
const PLAIN: u32 = 0o100_644;
const EXECUTABLE: u32 = 0o100_755;
const LINK: u32 = 0o120_000;

/// The files of a repository.
pub(super) struct Tree {
    source: Source,
    /// In order: a repository of many projects is asked for many names.
    names: Vec<String>,
    /// Of a commit: what is no plain file.
    modes: BTreeMap<String, u32>,
    /// So many names are left out.
    unreadable: usize,
}

enum Source {
    Commit {
        top: PathBuf,
        commit: String,
    },
    Directory(PathBuf),
    #[cfg(test)]
    Memory(BTreeMap<String, String>),
}

impl Tree {
    /// As of a commit.
    pub(super) fn of_commit(top: &Path, commit: &str) -> Self {
        let entries = git_probe::entries(top, commit);
        let names = entries.iter().map(|(_, name)| name.clone()).collect();
        let modes = entries.into_iter().filter(|(mode, _)| *mode != PLAIN).map(|(mode, name)| (name, mode)).collect();
        Self { modes, ..Self::new(Source::Commit { top: top.to_owned(), commit: commit.to_owned() }, names) }
    }

    /// As they lie in a working tree: what git would commit.
    pub(super) fn of_directory(top: &Path) -> Self {
        let names = git_probe::list_names(top, &["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
        Self::new(Source::Directory(top.to_owned()), names)
    }

    #[cfg(test)]
    pub(super) fn of_files(files: &[(&str, &str)]) -> Self {
        let files: BTreeMap<String, String> = files.iter().map(|(n, t)| ((*n).to_owned(), (*t).to_owned())).collect();
        let names = files.keys().cloned().collect();
        Self::new(Source::Memory(files), names)
    }

    fn new(source: Source, mut names: Vec<String>) -> Self {
        names.sort_unstable();
        names.dedup();
        let all = names.len();
        names.retain(|name| !name.contains(char::REPLACEMENT_CHARACTER));
        Self { source, unreadable: all - names.len(), names, modes: BTreeMap::new() }
    }

    fn has(&self, name: &str) -> bool {
        self.names.binary_search_by(|known| known.as_str().cmp(name)).is_ok()
    }

    /// Every name, from the top.
    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    /// How many names are left out, because they are no UTF-8.
    pub(super) fn unreadable(&self) -> usize {
        self.unreadable
    }

    /// May a file be run as a program? `None`: nobody knows.
    fn executable(&self, name: &str) -> Option<bool> {
        use std::os::unix::fs::PermissionsExt as _;
        match &self.source {
            Source::Commit { .. } => match self.modes.get(name) {
                None => Some(false),
                Some(&EXECUTABLE) => Some(true),
                Some(_) => None,
            },
            Source::Directory(top) => {
                std::fs::symlink_metadata(top.join(name)).ok().map(|meta| meta.permissions().mode() & 0o111 != 0)
            }
            #[cfg(test)]
            Source::Memory(_) => None,
        }
    }

    /// What a name of a commit is read from: links are followed inside of it.
    fn behind(&self, top: &Path, commit: &str, name: &str) -> Option<String> {
        let mut name = name.to_owned();
        for _ in 0..LINKS {
            match self.modes.get(&name) {
                None | Some(&EXECUTABLE) => return self.has(&name).then_some(name),
                Some(&LINK) => {
                    let to = git_probe::blob(top, commit, &name, LARGEST)?;
                    name = target(&name, std::str::from_utf8(&to).ok()?)?;
                }
                Some(_) => return None,
            }
        }
        None
    }

    /// The text of a file or of what a link in the tree leads to, in the tree; nothing if it is not there or too large.
    pub(super) fn read(&self, name: &str) -> Option<String> {
        if !self.has(name) {
            return None;
        }
        let bytes = match &self.source {
            Source::Commit { top, commit } => git_probe::blob(top, commit, &self.behind(top, commit, name)?, LARGEST)?,
            Source::Directory(top) => regular(top, name)?,
            #[cfg(test)]
            Source::Memory(files) => files.get(name)?.clone().into_bytes(),
        };
        (bytes.len() <= LARGEST).then(|| String::from_utf8_lossy(&bytes).into_owned())
    }

    /// A directory of it; an empty path is the top.
    pub(super) fn dir(&self, path: &str) -> Dir<'_> {
        Dir { tree: self, path: path.to_owned() }
    }
}

/// A file of a directory, or what a link leads to inside of it. A pipe would wait for ever, and a device never ends.
fn regular(top: &Path, name: &str) -> Option<Vec<u8>> {
    use std::io::Read as _;
    let top = top.canonicalize().ok()?;
    let file = top.join(name).canonicalize().ok().filter(|file| file.starts_with(&top))?;
    let about = std::fs::metadata(&file).ok()?;
    let most = u64::try_from(LARGEST).ok()?;
    if !about.is_file() || most < about.len() {
        return None;
    }
    let mut bytes = Vec::new();
    std::fs::File::open(file).ok()?.take(most + 1).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// The name a link leads to, from the top; `None`: out of the tree.
fn target(link: &str, to: &str) -> Option<String> {
    let mut parts: Vec<&str> = link.split('/').collect();
    parts.pop();
    if to.starts_with('/') {
        return None;
    }
    for part in to.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// One directory of a repository.
pub(super) struct Dir<'a> {
    tree: &'a Tree,
    path: String,
}

impl Dir<'_> {
    fn full(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}/{name}", self.path) }
    }

    /// Is there such a file?
    pub(super) fn has(&self, name: &str) -> bool {
        self.tree.has(&self.full(name))
    }

    /// The first of these that is there.
    pub(super) fn first(&self, names: &[&'static str]) -> Option<&'static str> {
        names.iter().copied().find(|name| self.has(name))
    }

    /// The text of a file.
    pub(super) fn read(&self, name: &str) -> Option<String> {
        self.tree.read(&self.full(name))
    }

    /// May a file be run as a program? `None`: nobody knows.
    pub(super) fn executable(&self, name: &str) -> Option<bool> {
        self.tree.executable(&self.full(name))
    }

    /// A TOML file as a table; empty if it is not there or cannot be read.
    pub(super) fn toml(&self, name: &str) -> toml::Table {
        self.read(name).and_then(|text| toml::from_str(&text).ok()).unwrap_or_default()
    }

    /// Names of the files in and below it, from here.
    pub(super) fn files(&self) -> impl Iterator<Item = &str> {
        let prefix = self.full("");
        let from = self.tree.names.partition_point(|name| name.as_str() < prefix.as_str());
        self.tree.names[from..].iter().map_while(move |name| name.strip_prefix(prefix.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    use std::process::Command;

    #[test]
    fn only_regular_files_inside_the_tree_are_read_and_no_more_than_some_of_them() {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().join("shop");
        fs::create_dir_all(top.join("inner")).unwrap();
        let at = |name: &str| top.join(name);
        let run = |program: &str, args: &[&str]| {
            let mut command = Command::new(program);
            command.current_dir(&top).args(args).env("GIT_CONFIG_GLOBAL", "/dev/null");
            assert!(command.status().unwrap().success(), "{program} {args:?}");
        };
        run("git", &["init", "-q"]);
        run("mkfifo", &["../pipe"]);
        fs::write(dir.path().join("outside"), "secret").unwrap();
        fs::write(at("inner/real"), "text").unwrap();
        fs::write(at("large"), vec![b'x'; LARGEST + 1]).unwrap();
        fs::write(at("run"), "#!/bin/sh\n").unwrap();
        fs::set_permissions(at("run"), fs::Permissions::from_mode(0o755)).unwrap();
        let links = [("inside", "inner/real"), ("inner/up", "../inside"), ("pipe", "../pipe"), ("zero", "/dev/zero")];
        for (name, to) in links.into_iter().chain([("out", "../outside"), ("self", "self"), ("gone", "gone/x")]) {
            symlink(to, at(name)).unwrap();
        }
        let of_directory = Tree::of_directory(&top);
        run("git", &["add", "-A"]);
        run("git", &["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "x"]);
        for tree in [of_directory, Tree::of_commit(&top, "HEAD")] {
            for name in ["inner/real", "inside", "inner/up"] {
                assert_eq!(tree.read(name).as_deref(), Some("text"), "{name}");
            }
            for name in ["pipe", "zero", "out", "self", "gone", "large", "no such file"] {
                assert_eq!(tree.read(name), None, "{name}");
            }
            assert_eq!((tree.executable("run"), tree.executable("inner/real")), (Some(true), Some(false)));
        }
    }
}
