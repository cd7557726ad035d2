//! The files of a repository as they stand in a commit, or in a directory that has no commit yet; and a view of one
//! directory of it. Names that are no UTF-8 are shown with replacement characters: nothing here needs to open those.

use super::super::git_probe;
#[cfg(test)]
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A larger file is not read, bytes.
const LARGEST: usize = 1024 * 1024;

/// The files of a repository.
pub(super) struct Tree {
    source: Source,
    /// In order: a repository of many projects is asked for many names.
    names: Vec<String>,
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
        let names = git_probe::list_names(top, &["ls-tree", "-r", "-z", "--full-tree", "--name-only", commit]);
        Self::new(Source::Commit { top: top.to_owned(), commit: commit.to_owned() }, names)
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
        Self { source, names }
    }

    fn has(&self, name: &str) -> bool {
        self.names.binary_search_by(|known| known.as_str().cmp(name)).is_ok()
    }

    /// Every name, from the top.
    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    /// The text of a file; nothing if it is not there or too large.
    pub(super) fn read(&self, name: &str) -> Option<String> {
        if !self.has(name) {
            return None;
        }
        let bytes = match &self.source {
            Source::Commit { top, commit } => git_probe::blob(top, commit, name)?,
            Source::Directory(top) => std::fs::read(top.join(name)).ok()?,
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
