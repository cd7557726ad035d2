//! Tables of cargo's files that are new in a change: one about a target that is new as well, or about a machine that is
//! not this one, takes no test away.

use super::Changed;
use super::files::is_test_file;

/// A table: its heading, and what it says.
struct Table<'t> {
    heading: &'t str,
    /// Its lines, from and to.
    lines: (u32, u32),
    keys: Vec<(&'t str, &'t str)>,
}

impl Table<'_> {
    fn value(&self, key: &str) -> Option<&str> {
        self.keys.iter().find(|(name, _)| *name == key).map(|(_, value)| *value)
    }
}

fn tables(text: &str) -> Vec<Table<'_>> {
    let mut found = vec![Table { heading: "", lines: (1, 0), keys: Vec::new() }];
    for (number, line) in (1..).zip(text.lines().map(str::trim)) {
        if line.starts_with('[') && line.split('#').next().unwrap_or_default().trim_end().ends_with(']') {
            let heading = line.split('#').next().unwrap_or_default().trim_end();
            found.push(Table { heading, lines: (number, number), keys: Vec::new() });
        } else if let Some(table) = found.last_mut() {
            table.lines.1 = number;
            table.keys.extend(line.split_once('=').map(|(key, value)| {
                let value = value.split(" #").next().unwrap_or_default();
                (key.trim(), value.trim().trim_matches(['"', '\'']))
            }));
        }
    }
    found
}

/// Does a line stand in a table that is new and takes no test away? `sides`: the file before and after.
pub(super) fn is_of_new(path: &str, changed: &[&Changed<'_>], sides: [&str; 2], line: u32) -> bool {
    let is_manifest = path.rsplit('/').next() == Some("Cargo.toml");
    let is_config = [".cargo/config.toml", ".cargo/config"].iter().any(|config| path.ends_with(config));
    if !is_manifest && !is_config {
        return false;
    }
    let (was, now) = (tables(sides[0]), tables(sides[1]));
    let Some(table) = now.iter().find(|t| t.lines.0 <= line && line <= t.lines.1) else { return false };
    let same = |old: &Table<'_>| {
        let alike = |key: &str| old.value(key).is_some() && old.value(key) == table.value(key);
        old.heading == table.heading && (is_config || alike("name") || alike("path"))
    };
    if was.iter().any(same) {
        return false;
    }
    if is_config {
        return is_foreign(table.heading);
    }
    let dir = path.strip_suffix("Cargo.toml").unwrap_or_default();
    let is_new = |file: &str| changed.iter().any(|c| c.before.is_none() && c.path.strip_prefix(dir) == Some(file));
    let (name, file) = (table.value("name").unwrap_or_default(), table.value("path"));
    let by_default = |above: &str| is_new(&format!("{above}/{name}.rs")) || is_new(&format!("{above}/{name}/main.rs"));
    let is_test = file.is_some_and(is_test_file);
    let key = sides[1].lines().nth(line as usize - 1).and_then(|text| text.split_once('=')).map(|(key, _)| key.trim());
    match (table.heading, key) {
        // Tests of examples are not run by default.
        ("[[example]]", Some("test")) => !is_test,
        ("[[bin]]", Some("test")) if !is_test => {
            file.map_or_else(|| by_default("src/bin"), |file| is_new(file) || !file.starts_with("src/"))
        }
        ("[[test]]", Some("harness" | "required-features")) => file.map_or_else(|| by_default("tests"), is_new),
        _ => false,
    }
}

/// Is this a table of a machine that is not this one, `[target.wasm32-unknown-unknown]`?
fn is_foreign(heading: &str) -> bool {
    let triple = heading.strip_prefix("[target.").map(|rest| rest.trim_matches([']', '"', '\'', ' ']));
    let Some(triple) = triple else { return false };
    if triple.starts_with("cfg(") {
        let about = triple.contains("target_arch") && !triple.contains("not(");
        return about && !triple.contains(std::env::consts::ARCH);
    }
    !(triple.starts_with(std::env::consts::ARCH) && triple.contains("linux"))
}
