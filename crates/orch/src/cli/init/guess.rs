//! A key for a project, from the name of its clone.

use crate::config::check::is_project_key;
use std::path::Path;

/// A project key from the name of a directory, in any script.
pub(super) fn key_of(top: &Path) -> String {
    let name = top.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let upper = deunicode::deunicode(&name).to_ascii_uppercase();
    let letters = upper.chars().filter(char::is_ascii_alphanumeric).skip_while(char::is_ascii_digit);
    let key: String = letters.take(10).collect();
    if is_project_key(&key) { key } else { "APP".into() }
}
