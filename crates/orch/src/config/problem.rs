//! What is wrong with a configuration, said so that a person can fix it at once: file, line, key, nearest name. All
//! problems are collected, because being told about them one start at a time is how an afternoon is lost.

use std::fmt;
use std::path::{Path, PathBuf};

/// Where something in the configuration was written down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Nowhere: the default holds.
    Default,
    /// In the file.
    File {
        /// Line, from 1.
        line: usize,
    },
    /// In the environment.
    Env {
        /// The variable.
        name: String,
    },
}

/// One problem or warning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where.
    pub source: Source,
    /// What is wrong, and what to write instead.
    pub text: String,
    file: PathBuf,
}

/// Something that does not stop a start but is probably not meant.
pub type Warning = Problem;

impl Problem {
    /// A problem of a file or of the environment over it.
    pub fn new(file: &Path, source: Source, text: impl Into<String>) -> Self {
        Self { source, text: text.into(), file: file.to_owned() }
    }

    /// The same, naming the file relative to a directory it lies below.
    #[must_use]
    pub fn seen_from(mut self, dir: &Path) -> Self {
        if let Ok(short) = self.file.strip_prefix(dir) {
            self.file = short.to_owned();
        }
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            Source::File { line } => write!(f, "{}:{line}: {}", self.file.display(), self.text),
            Source::Env { name } => write!(f, "environment {name}: {}", self.text),
            Source::Default => write!(f, "{}: {}", self.file.display(), self.text),
        }
    }
}

/// Everything that is wrong with a configuration, in the order of the file. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors(pub Vec<Problem>);

impl ConfigErrors {
    /// The same, naming the file relative to a directory it lies below.
    #[must_use]
    pub fn seen_from(self, dir: &Path) -> Self {
        Self(self.0.into_iter().map(|p| p.seen_from(dir)).collect())
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.0.iter().enumerate() {
            if i > 0 {
                writeln!(f)?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

/// `: did you mean X?` for the nearest of the known names, or nothing if none is near.
pub(crate) fn did_you_mean<'n>(wrong: &str, known: impl IntoIterator<Item = &'n str>) -> String {
    nearest(wrong, known).map_or_else(String::new, |name| format!(": did you mean `{name}`?"))
}

/// The nearest known name, if it is near enough to be a slip of the hand.
pub(crate) fn nearest<'n>(wrong: &str, known: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let lower = wrong.to_lowercase();
    known
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(&lower, &name.to_lowercase()), name))
        .filter(|(distance, name)| *distance <= (name.chars().count().max(lower.chars().count()) / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}
