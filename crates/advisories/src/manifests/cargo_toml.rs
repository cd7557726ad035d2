//! `Cargo.toml`: what a crate asks for. Decides names and ranges; the lock file beside it or above it says the rest. A
//! lock file that does not fit is written anew by whoever builds, so that what stands here alone is what gets installed.

use super::Sink;
use crate::text;
use toml::{Table, Value};

const LISTS: [&str; 5] =
    ["dependencies", "dev-dependencies", "dev_dependencies", "build-dependencies", "build_dependencies"];

pub(super) fn read(text: &str, out: &mut Sink<'_>) -> Result<(), String> {
    let root: Table = text::toml(text)?;
    let targets = root.get("target").and_then(Value::as_table);
    let targets = targets.into_iter().flat_map(Table::values).filter_map(Value::as_table);
    let workspace = root.get("workspace").and_then(Value::as_table);
    let patches = root.get("patch").and_then(Value::as_table);
    let mut lists: Vec<(&str, &Value)> = Vec::new();
    for table in std::iter::once(&root).chain(targets).chain(workspace) {
        lists.extend(LISTS.iter().filter_map(|list| table.get(*list).map(|value| (*list, value))));
    }
    lists.extend(patches.into_iter().flatten().map(|(_, value)| ("patch", value)));
    for (list, value) in lists {
        let Some(crates) = value.as_table() else {
            out.problem(None, &format!("has `{list}` that are no table"));
            continue;
        };
        for (name, asked) in crates {
            one(name, asked, out);
        }
    }
    Ok(())
}

fn one(name: &str, asked: &Value, out: &mut Sink<'_>) {
    let table = match asked {
        Value::String(range) => return ranged(name, range, out),
        Value::Table(table) => table,
        _ => return out.problem(None, &format!("asks for {name} by what is no text and no table")),
    };
    let word = |key: &str| table.get(key).and_then(Value::as_str);
    // Said once for all in the workspace, or a crate of the repository's own.
    if table.get("workspace").and_then(Value::as_bool) == Some(true) || word("path").is_some() {
        return;
    }
    let name = word("package").unwrap_or(name);
    match word("version") {
        Some(range) => ranged(name, range, out),
        None => out.package(name, None, None),
    }
}

fn ranged(name: &str, range: &str, out: &mut Sink<'_>) {
    match range.trim().strip_prefix('=').map(str::trim).filter(|exact| !exact.contains([',', '*'])) {
        Some(exact) => out.package(name, Some(exact), None),
        None => out.asked(name, None, Some(range.trim()), None),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Kind, read};

    fn brief(text: &str) -> (Vec<String>, Vec<String>) {
        let found = read(Kind::CargoToml, "a/Cargo.toml", text.as_bytes());
        let mut list: Vec<String> = found
            .dependencies
            .iter()
            .map(|d| format!("{} {}", d.name, d.version.as_deref().or(d.wanted.as_deref()).unwrap_or("?")))
            .collect();
        list.sort();
        (list, found.problems)
    }

    #[test]
    fn what_a_crate_asks_for_is_read_from_every_table_and_under_its_real_name() {
        let text = r#"
[package]
name = "a"
[dependencies]
one = "1.2"
two = { version = "=2.0.0", features = ["x"] }
alias = { package = "real", version = "3" }
own = { path = "../own", version = "1" }
shared.workspace = true
from-git = { git = "https://example.com/x" }
[dev-dependencies]
dev = "*"
[build-dependencies.build]
version = "4"
[target.'cfg(unix)'.dependencies]
unix = "5"
[workspace.dependencies]
shared = "6"
[patch.crates-io]
patched = { git = "https://example.com/y" }
"#;
        let list =
            ["build 4", "dev *", "from-git ?", "one 1.2", "patched ?", "real 3", "shared 6", "two 2.0.0", "unix 5"];
        assert_eq!(brief(text), (list.map(String::from).to_vec(), Vec::new()));
    }

    #[test]
    fn what_cannot_be_read_is_a_problem() {
        assert_eq!(brief("dependencies = 3\n").1, ["a/Cargo.toml: has `dependencies` that are no table"]);
        assert_eq!(brief("[dependencies]\nx = 3\n").1, ["a/Cargo.toml: asks for x by what is no text and no table"]);
        assert_eq!(brief("[package\n").1.len(), 1);
        assert_eq!(brief("[workspace]\nmembers = []\n"), (vec![], vec![]));
    }
}
