//! The reference: every key with its meaning, type, default and environment variable, straight from the declarations.

use super::later::not_used_yet;
use super::value::Field;
use super::{Tables, env};
use std::fmt::Write;

/// One key, or one table that holds keys.
#[derive(Clone, Debug)]
pub struct KeyDoc {
    /// Path: `reaper.dead_ticks`, `project.commands.test`, `agents.programs.NAME.kind`.
    pub path: String,
    /// What it means.
    pub doc: String,
    /// Its type; empty for a table.
    pub kind: String,
    /// Its default as it would stand in the file; `None`: a table, or not set by default.
    pub default: Option<String>,
    /// Variables that stand for it, the plain one first.
    pub env: Vec<String>,
}

impl KeyDoc {
    pub(crate) fn table(path: &str, doc: &str) -> Self {
        Self { path: path.into(), doc: unwrap_doc(doc), kind: String::new(), default: None, env: Vec::new() }
    }

    pub(crate) fn key<T: Field>(path: &str, doc: &str, default: &T) -> Self {
        let shown = default.show();
        Self {
            path: path.into(),
            doc: unwrap_doc(doc),
            kind: T::kind(),
            default: (shown != "(not set)").then_some(shown),
            env: if T::ENV { env::names(path) } else { Vec::new() },
        }
    }

    /// Is it a table, not a key?
    pub fn is_table(&self) -> bool {
        self.kind.is_empty()
    }

    /// Key without its table.
    pub fn name(&self) -> &str {
        self.path.rsplit_once('.').map_or(&self.path, |(_, key)| key)
    }
}

fn unwrap_doc(doc: &str) -> String {
    doc.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Every table and key, in the order of the file.
pub fn keys() -> Vec<KeyDoc> {
    let mut out = Vec::new();
    Tables::nested("", &mut out);
    out
}

/// The header of a table in the file.
fn header(path: &str) -> String {
    if path == "project" { "[[project]]".into() } else { format!("[{path}]") }
}

/// The whole reference as Markdown.
pub fn markdown() -> String {
    let mut out = String::from(
        "# Configuration\n\nOne TOML file, `orch.toml`, and the environment over it: a variable wins over the file. \
         Unknown keys are errors. Paths are relative to the file; `~` is the home directory. A variable that is set \
         but empty counts as not set, except for lists, where it is the empty list. Lists are separated by commas.\n",
    );
    for key in keys() {
        let later = if not_used_yet(&key.path) { " *Accepted, not used yet.*" } else { "" };
        if key.is_table() {
            let _ = writeln!(out, "\n## `{}`\n\n{}{later}\n", header(&key.path), key.doc);
            continue;
        }
        let default = key.default.as_ref().map_or("not set".to_owned(), |d| format!("`{d}`"));
        let kind = &key.kind;
        let _ = write!(out, "- `{}` ({kind}; default {default}): {}{later}", key.name(), key.doc);
        if !key.env.is_empty() {
            let names: Vec<String> = key.env.iter().map(|n| format!("`{n}`")).collect();
            let _ = write!(out, " Environment: {}.", names.join(" or "));
        }
        out.push('\n');
    }
    out
}

/// A `.env` with every variable, commented out, at its default.
pub fn dot_env() -> String {
    let mut out = String::from(
        "# Environment of orch. Every line is optional and wins over orch.toml.\n# For *_REPOS: not set means every \
         project, set but empty means only projects marked `self`.\n",
    );
    for key in keys() {
        let Some(name) = key.env.last() else { continue };
        let later = if not_used_yet(&key.path) { " (accepted, not used yet)" } else { "" };
        let default = key.default.as_deref().map(plain).unwrap_or_default();
        let _ = writeln!(out, "\n# {} [{}]{later}\n#{name}={default}", key.doc, key.kind);
    }
    out
}

/// A TOML literal as a shell file wants it.
fn plain(literal: &str) -> String {
    let inner = literal.strip_prefix('[').and_then(|l| l.strip_suffix(']')).unwrap_or(literal);
    inner.replace('"', "")
}
