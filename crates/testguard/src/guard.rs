//! What do the configured commands run? A project's tests, its CI and its hooks are shell lines; the scripts they name, and
//! what those call, judge a change or bring it to people, so that a change of one of them is for a person. This derives
//! from the lines and from the files of a commit which paths those are, and of manifests which part. It reads text and
//! runs nothing. What only running would tell (a name that is put together, a program of the machine) it cannot see; it
//! may never leave out what stands there plainly because it is quoted, linked or written in another way.

mod containers;
mod manifests;
mod parts;
mod programs;
mod shell;
mod walk;
mod words;

pub use parts::Part;

use crate::tamper;
use std::collections::{BTreeMap, BTreeSet};

/// Most links that are followed one after the other.
const MOST_LINKS: usize = 40;

/// A command of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Configured {
    /// Its key: `commands.test`, `deploy.staging`.
    pub key: String,
    /// The shell line.
    pub line: String,
}

/// A path that is guarded because a configured command runs what stands there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guard {
    /// Pattern of the path, as in a `.gitignore`, from the root or at any depth.
    pub pattern: String,
    /// What of the file counts.
    pub part: Part,
    /// Who runs it: "`commands.test` runs `sh ci/all.sh`". Of several commands the first one.
    pub because: String,
    /// Keys of all the commands that run it.
    pub keys: BTreeSet<String>,
}

/// What was found, and what has to be read to find more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Derived {
    /// The guards, in the order of their patterns.
    pub guards: Vec<Guard>,
    /// Files whose text would tell more: read them and derive again. Empty when nothing is left to be read.
    pub wanted: Vec<String>,
}

/// The files of a commit, as far as they are known.
#[derive(Clone, Debug, Default)]
pub struct Files {
    paths: BTreeSet<String>,
    directories: BTreeSet<String>,
    links: BTreeMap<String, String>,
    texts: BTreeMap<String, Vec<u8>>,
}

impl Files {
    /// A file or a link of the commit; of a link, where it leads.
    pub fn add(&mut self, path: &str, leads_to: Option<&str>) {
        self.paths.insert(path.to_owned());
        for (at, _) in path.match_indices('/') {
            self.directories.insert(path[..at].to_owned());
        }
        if let Some(target) = leads_to {
            self.links.insert(path.to_owned(), target.to_owned());
        }
    }

    /// What stands in a file.
    pub fn set_text(&mut self, path: &str, bytes: Vec<u8>) {
        self.texts.insert(path.to_owned(), bytes);
    }

    fn is_file(&self, path: &str) -> bool {
        self.paths.contains(path) && !self.links.contains_key(path)
    }

    fn is_directory(&self, path: &str) -> bool {
        path.is_empty() || self.directories.contains(path)
    }

    /// Where a path leads when every link is followed; `None` out of the repository or in circles.
    fn follow(&self, path: &str) -> Option<String> {
        let (mut place, mut links): (Vec<String>, usize) = (Vec::new(), 0);
        let mut left: Vec<String> = path.rsplit('/').map(str::to_owned).collect();
        while let Some(part) = left.pop() {
            match part.as_str() {
                "" | "." => continue,
                ".." => {
                    place.pop()?;
                    continue;
                }
                _ => place.push(part),
            }
            if let Some(target) = self.links.get(&place.join("/")) {
                links += 1;
                if links > MOST_LINKS || target.starts_with('/') {
                    return None;
                }
                place.pop();
                left.extend(target.rsplit('/').map(str::to_owned));
            }
        }
        Some(place.join("/"))
    }
}

/// The guards of these commands on the files of one commit.
pub fn derive(commands: &[Configured], files: &Files) -> Derived {
    let mut walk = walk::Walk::new(files);
    for command in commands {
        walk.configured(command);
    }
    walk.derived()
}

/// The guards of a path.
pub fn of_path<'g>(guards: &'g [Guard], path: &str) -> Vec<&'g Guard> {
    guards.iter().filter(|g| tamper::protected(path, &[&g.pattern]).is_some()).collect()
}

/// Is what a guard guards of a file another one behind a change? What could not be read counts as changed.
pub fn differs(part: &Part, before: Option<&[u8]>, after: Option<&[u8]>) -> bool {
    if *part == Part::Whole || (before.is_none() && after.is_none()) {
        return true;
    }
    let of = |side: Option<&[u8]>| side.map(|bytes| part.of(bytes)).unwrap_or_default();
    of(before) != of(after)
}

#[cfg(test)]
mod tests;
