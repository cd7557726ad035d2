//! Reads tables of a TOML file with the environment laid over them. Every value remembers where it came from, so that
//! an error three checks later can still name the line. Collects problems and never stops at the first.

use super::env;
use super::problem::{Problem, Source, Warning, did_you_mean};
use super::value::Field;
use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// State of one load.
pub(crate) struct Loader<'a> {
    file: &'a Path,
    /// Offsets at which lines begin.
    lines: Vec<usize>,
    env: &'a BTreeMap<String, String>,
    base: PathBuf,
    home: Option<PathBuf>,
    /// Found so far.
    pub(crate) problems: Vec<Problem>,
    /// Found so far.
    pub(crate) warnings: Vec<Warning>,
    /// Where each path (`server.listen`, `project[0].key`) was written down.
    pub(crate) sources: BTreeMap<String, Source>,
}

impl<'a> Loader<'a> {
    /// `base` is the absolute directory of the file.
    pub(crate) fn new(file: &'a Path, text: &str, base: PathBuf, env: &'a BTreeMap<String, String>) -> Self {
        let home = env.get("HOME").filter(|h| !h.is_empty()).map(PathBuf::from);
        let lines = text.bytes().zip(1..).filter_map(|(byte, next)| (byte == b'\n').then_some(next)).collect();
        Self { file, lines, env, base, home, problems: Vec::new(), warnings: Vec::new(), sources: BTreeMap::new() }
    }

    /// Line of a byte offset, from 1.
    pub(crate) fn line(&self, offset: usize) -> usize {
        self.lines.partition_point(|begin| *begin <= offset) + 1
    }

    /// Records a problem at an offset.
    pub(crate) fn at_offset(&mut self, offset: usize, text: String) {
        let line = self.line(offset);
        self.problems.push(Problem::new(self.file, Source::File { line }, text));
    }

    /// Records a problem about a path: at its own place, else at the nearest table that contains it.
    pub(crate) fn at_path(&mut self, path: &str, text: impl Into<String>) {
        let problem = Problem::new(self.file, self.source(path), text);
        self.problems.push(problem);
    }

    /// Records a warning about a path.
    pub(crate) fn warn_path(&mut self, path: &str, text: impl Into<String>) {
        let warning = Problem::new(self.file, self.source(path), text);
        self.warnings.push(warning);
    }

    fn source(&self, path: &str) -> Source {
        let mut path = path;
        loop {
            if let Some(found) = self.sources.get(path) {
                return found.clone();
            }
            match path.rsplit_once('.') {
                Some((parent, _)) => path = parent,
                None => return Source::Default,
            }
        }
    }

    /// Refuses keys nobody declared, each with the nearest that somebody did.
    pub(crate) fn unknown_keys(&mut self, path: &str, table: &DeTable<'_>, known: &[&str]) {
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            if known.contains(&name) {
                continue;
            }
            let hint = did_you_mean(name, known.iter().copied());
            let text = match (path.is_empty(), value.get_ref()) {
                (true, DeValue::Table(_) | DeValue::Array(_)) => format!("unknown section `{name}`{hint}"),
                (true, _) => format!("unknown key `{name}` outside of any section{hint}"),
                (false, _) => format!("{} unknown key `{name}`{hint}", label(path)),
            };
            self.at_offset(key.span().start, text);
        }
    }

    /// One key: environment, else file, else default. A bad value in the file is reported even if the environment wins.
    pub(crate) fn field<T: Field>(&mut self, path: &str, key: &str, table: Option<&DeTable<'_>>, default: T) -> T {
        let at = if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
        let from_file = match table.and_then(|t| t.get(key)) {
            Some(value) => {
                let line = self.line(value.span().start);
                self.sources.insert(at.clone(), Source::File { line });
                T::read(self, &at, value)
            }
            None => T::absent(self, &at),
        };
        let from_env = if T::ENV { self.environment(&at) } else { None };
        from_env.or(from_file).unwrap_or(default).resolve(self, &at)
    }

    fn environment<T: Field>(&mut self, at: &str) -> Option<T> {
        let names = env::names(at);
        let set: Vec<(&String, &String)> = names
            .iter()
            .filter_map(|name| self.env.get_key_value(name))
            .filter(|(_, text)| T::LIST || !text.trim().is_empty())
            .collect();
        let (name, text) = *set.first()?;
        if let Some((other, _)) = set.iter().find(|(_, other)| *other != text) {
            let text = format!("says something else than {other}, which means the same key: set only one of them");
            self.problems.push(Problem::new(self.file, Source::Env { name: name.clone() }, text));
        }
        match T::from_text(text) {
            Ok(value) => {
                self.sources.insert(at.to_owned(), Source::Env { name: name.clone() });
                Some(value)
            }
            Err(why) => {
                let text = format!("{why} (it stands for {})", full_key(at));
                self.problems.push(Problem::new(self.file, Source::Env { name: name.clone() }, text));
                None
            }
        }
    }

    /// Records that a value has the wrong type.
    pub(crate) fn wrong_type(&mut self, at: &str, wanted: &str, value: &Spanned<DeValue<'_>>) {
        let text = format!("{} must be {wanted}, not {}", full_key(at), kind_of(value.get_ref()));
        self.at_offset(value.span().start, text);
    }

    /// Records that a value of the right type is not one that is allowed.
    pub(crate) fn bad_value(&mut self, at: &str, why: &str, value: &Spanned<DeValue<'_>>) {
        self.at_offset(value.span().start, format!("{} {why}", full_key(at)));
    }

    /// `~` is the home directory; what is relative is relative to the file's directory.
    pub(crate) fn path(&mut self, at: &str, written: &Path) -> PathBuf {
        let Ok(rest) = written.strip_prefix("~") else { return normal(&self.base.join(written)) };
        if let Some(home) = &self.home {
            return normal(&home.join(rest));
        }
        self.at_path(at, homeless(at));
        written.to_owned()
    }
}

/// What is said of a path in a home that is not known.
pub(crate) fn homeless(at: &str) -> String {
    format!("{} begins with `~`, but HOME is not set: write the whole path", full_key(at))
}

/// Removes `.` and folds `..` by name, so that paths compare and read well.
fn normal(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                out.pop();
            }
            Component::Prefix(_) | Component::RootDir | Component::Normal(_) => out.push(part),
        }
    }
    out
}

/// `[server]`, `[[project]]`, `[project.commands]`: the header a path stands under in the file.
pub(crate) fn label(path: &str) -> String {
    let plain: String =
        path.split('.').map(|part| part.split_once('[').map_or(part, |(name, _)| name)).collect::<Vec<_>>().join(".");
    if plain == "project" { "[[project]]".into() } else { format!("[{plain}]") }
}

/// ``[server] `listen` ``: a key with its header.
pub(crate) fn full_key(at: &str) -> String {
    match at.rsplit_once('.') {
        Some((path, key)) => format!("{} `{key}`", label(path)),
        None => label(at),
    }
}

/// The kind of a TOML value, for people.
pub(crate) fn kind_of(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
