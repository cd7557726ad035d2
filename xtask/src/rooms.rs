//! How the rooms stand to each other: which crate may know which, and which files of a crate know each other in a circle.
//! An arrow up is refused; so is a circle that is not written down in `xtask/rooms.txt`, and so is a decision by the text of a
//! fault, which is for people. It reads paths and words in sources (`crate::`, `super::`, a child module's name), not what the
//! compiler makes of them.

use crate::cargo::root;
use crate::fault_texts;
use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::Path;

/// Where floors and circles are written down.
const FILE: &str = "xtask/rooms.txt";

#[derive(Args)]
pub(crate) struct RoomsArgs {
    /// Write the circles down as they are now
    #[arg(long)]
    record: bool,
}

/// Files of one crate that know each other in a circle.
type Circle = BTreeSet<String>;

/// What is written down.
#[derive(Debug, Default, PartialEq, Eq)]
struct Plan {
    /// Rooms by floor, the lowest first.
    floors: Vec<Vec<String>>,
    circles: BTreeMap<String, Vec<Circle>>,
}

pub(crate) fn run(args: &RoomsArgs) -> Result<()> {
    let root = root();
    let file = root.join(FILE);
    let text = fs::read_to_string(&file).with_context(|| format!("read {FILE}"))?;
    let mut plan = parse(&text)?;
    let mut out = std::io::stdout();
    let mut wrong = Vec::new();
    let mut found = BTreeMap::new();
    let mut arrows = 0;
    for room in rooms(root)? {
        let manifest = fs::read_to_string(room.dir.join("Cargo.toml"))?;
        for known in dependencies(&manifest) {
            arrows += 1;
            if let Some(why) = plan.arrow(&room.name, &known) {
                wrong.push(why);
            }
        }
        let mut files = BTreeMap::new();
        list(&room.dir.join("src"), "", &mut files)?;
        let decides = files
            .iter()
            .flat_map(|(file, text)| fault_texts::decides(&sources(text)).into_iter().map(move |line| (file, line)));
        wrong.extend(decides.map(|(file, line)| {
            format!("{}: {file} decides by the text of a fault; compare its `code`: {line}", room.name)
        }));
        let circles = circles(&edges(&files));
        if !circles.is_empty() {
            found.insert(room.name, circles);
        }
    }
    wrong.extend(new_circles(&plan.circles, &found));
    let (count, files) = size(&found);
    writeln!(out, "{arrows} arrows between rooms; {count} circles of files, {files} files in them")?;
    if args.record {
        plan.circles = found;
        fs::write(&file, plan.to_text()).with_context(|| format!("write {FILE}"))?;
        writeln!(out, "wrote {FILE}")?;
        return Ok(());
    }
    if size(&plan.circles) != (count, files) && wrong.is_empty() {
        writeln!(out, "{FILE} has more than there is: `cargo xtask rooms --record`")?;
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

fn size(circles: &BTreeMap<String, Vec<Circle>>) -> (usize, usize) {
    let all = || circles.values().flatten();
    (all().count(), all().map(BTreeSet::len).sum())
}

/// Circles of which nothing is written down that holds all of their files.
fn new_circles(known: &BTreeMap<String, Vec<Circle>>, found: &BTreeMap<String, Vec<Circle>>) -> Vec<String> {
    let is_new =
        |room: &String, circle: &Circle| !known.get(room).is_some_and(|k| k.iter().any(|c| circle.is_subset(c)));
    let all = found.iter().flat_map(|(room, circles)| circles.iter().map(move |circle| (room, circle)));
    let new = all.filter(|(room, circle)| is_new(room, circle));
    new.map(|(room, circle)| {
        let files: Vec<&str> = circle.iter().map(String::as_str).collect();
        format!("{room}: a new circle of files: {}", files.join(" "))
    })
    .collect()
}

impl Plan {
    /// Why a room must not know another one, if it must not.
    fn arrow(&self, from: &str, to: &str) -> Option<String> {
        let floor = |room: &str| self.floors.iter().position(|floor| floor.iter().any(|name| name == room));
        match (floor(from), floor(to)) {
            (Some(from), Some(to)) if to < from => None,
            (Some(_), Some(_)) => Some(format!("an arrow up: {from} knows {to}, which is not on a lower floor")),
            (None, _) => Some(format!("{from} is on no floor of {FILE}")),
            (_, None) => Some(format!("{to} is on no floor of {FILE}")),
        }
    }

    fn to_text(&self) -> String {
        let mut text = String::from(
            "# Floors, the lowest first: a room knows rooms of lower floors only. Circles: files of a room that know each other; a\n\
             # new one is refused, one that is gone goes from here (`cargo xtask rooms --record`).\n",
        );
        for floor in &self.floors {
            let _ = writeln!(text, "floor {}", floor.join(" "));
        }
        for (room, circles) in &self.circles {
            for circle in circles {
                let files: Vec<&str> = circle.iter().map(String::as_str).collect();
                let _ = writeln!(text, "circle {room}: {}", files.join(" "));
            }
        }
        text
    }
}

fn parse(text: &str) -> Result<Plan> {
    let mut plan = Plan::default();
    for line in text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty()) {
        match line.split_once(' ') {
            Some(("floor", rest)) => plan.floors.push(words(rest)),
            Some(("circle", rest)) => {
                let (room, files) = rest.split_once(": ").with_context(|| format!("{FILE}: no room in `{line}`"))?;
                plan.circles.entry(room.to_owned()).or_default().push(words(files));
            }
            _ => bail!("{FILE}: neither a floor nor a circle: `{line}`"),
        }
    }
    Ok(plan)
}

fn words<T: FromIterator<String>>(text: &str) -> T {
    text.split_whitespace().map(str::to_owned).collect()
}

/// A crate of the workspace.
struct Room {
    name: String,
    dir: std::path::PathBuf,
}

fn rooms(root: &Path) -> Result<Vec<Room>> {
    let mut rooms = vec![Room { name: "xtask".into(), dir: root.join("xtask") }];
    for entry in fs::read_dir(root.join("crates"))? {
        let entry = entry?;
        if entry.path().join("Cargo.toml").is_file() {
            rooms.push(Room { name: entry.file_name().to_string_lossy().into_owned(), dir: entry.path() });
        }
    }
    rooms.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(rooms)
}

/// Rooms a manifest names outside of its tests, in any of the forms of such a table.
fn dependencies(manifest: &str) -> Vec<String> {
    let mut inside = false;
    let mut found = Vec::new();
    let name = |rest: &str| rest.split(['.', ' ', '=', ']']).next().unwrap_or_default().to_owned();
    for line in manifest.lines().map(str::trim) {
        if line.starts_with('[') {
            let table = !line.contains("dev-dependencies");
            inside = table && line.ends_with("dependencies]");
            found.extend(line.split_once("dependencies.orch-").filter(|_| table).map(|(_, rest)| name(rest)));
        } else if let Some(rest) = line.strip_prefix("orch-").filter(|_| inside) {
            found.push(name(rest));
        }
    }
    found
}

/// Which file knows which, by their names below `src`.
fn edges(files: &BTreeMap<String, String>) -> BTreeMap<String, BTreeSet<String>> {
    let modules: BTreeMap<Vec<String>, String> = files.keys().map(|file| (module(file), file.clone())).collect();
    let mut edges = BTreeMap::new();
    for (file, text) in files {
        let mine = module(file);
        let mut known = BTreeSet::new();
        for path in paths(&sources(text), &mine, &modules) {
            let there = (0..=path.len()).rev().find_map(|n| modules.get(&path[..n]));
            known.extend(there.filter(|there| *there != file).cloned());
        }
        edges.insert(file.clone(), known);
    }
    edges
}

fn list(dir: &Path, below: &str, files: &mut BTreeMap<String, String>) -> Result<()> {
    for entry in fs::read_dir(dir).with_context(|| format!("list {}", dir.display()))? {
        let entry = entry?;
        let name = format!("{below}{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() {
            list(&entry.path(), &format!("{name}/"), files)?;
        } else if entry.path().extension().is_some_and(|e| e == "rs")
            && !name.ends_with("tests.rs")
            && !name.contains("tests/")
        {
            files.insert(name, fs::read_to_string(entry.path())?);
        }
    }
    Ok(())
}

/// The module of a file: `a/b.rs` and `a/b/mod.rs` are `a::b`, `lib.rs` and `main.rs` the root.
fn module(file: &str) -> Vec<String> {
    let path = file.trim_end_matches(".rs");
    let path = path.strip_suffix("/mod").unwrap_or(path);
    if matches!(path, "lib" | "main" | "mod") { Vec::new() } else { path.split('/').map(str::to_owned).collect() }
}

/// A source without comments and without its tests.
fn sources(text: &str) -> String {
    let code = text.find("#[cfg(test)]\nmod tests {").map_or(text, |at| &text[..at]);
    let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    // Declaring a child is no use of it.
    let lines = lines.filter(|line| !line.trim_end().ends_with(';') || !line.contains("mod "));
    lines.collect::<Vec<_>>().join("\n")
}

/// Every path of a source that begins with `crate`, `super` or a child module, from the root of the crate.
fn paths(code: &str, mine: &[String], modules: &BTreeMap<Vec<String>, String>) -> Vec<Vec<String>> {
    let child = |name: &str| {
        let path: Vec<String> = mine.iter().cloned().chain([name.to_owned()]).collect();
        modules.contains_key(&path).then_some(path)
    };
    let mut found = Vec::new();
    let mut before = ' ';
    for (at, c) in code.char_indices() {
        let begins =
            (c.is_ascii_alphabetic() || c == '_') && !before.is_alphanumeric() && !matches!(before, '_' | ':' | '"');
        before = c;
        if !begins {
            continue;
        }
        let rest = &code[at..];
        let word = word(rest);
        let Some(mut behind) = rest[word.len()..].strip_prefix("::") else { continue };
        let mut base = match word {
            "crate" => Vec::new(),
            "super" => mine[..mine.len().saturating_sub(1)].to_vec(),
            name => match child(name) {
                Some(path) => path,
                None => continue,
            },
        };
        while let Some(more) = behind.strip_prefix("super::") {
            base.pop();
            behind = more;
        }
        follow(behind, &base, &mut found);
    }
    found
}

fn word(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    &text[..end]
}

/// Follows a path, into each branch of a group; what is left of the text behind it.
fn follow<'t>(text: &'t str, base: &[String], found: &mut Vec<Vec<String>>) -> &'t str {
    if let Some(mut rest) = text.strip_prefix('{') {
        loop {
            rest = follow(rest.trim_start(), base, found).trim_start();
            match rest.chars().next() {
                Some(',') => rest = &rest[1..],
                Some('}') => return &rest[1..],
                // An alias, or something that is no path.
                Some(_) => rest = rest.find([',', '}']).map_or("", |at| &rest[at..]),
                None => return "",
            }
        }
    }
    let name = word(text);
    let rest = &text[name.len()..];
    let mut path = base.to_vec();
    if !name.is_empty() && name != "self" {
        path.push(name.to_owned());
    }
    match rest.strip_prefix("::") {
        Some(more) if !name.is_empty() => follow(more, &path, found),
        _ => {
            found.push(path);
            rest.strip_prefix('*').unwrap_or(rest)
        }
    }
}

/// Groups of files each of which can be reached from each other one.
fn circles(edges: &BTreeMap<String, BTreeSet<String>>) -> Vec<Circle> {
    let reach = |from: &String| {
        let mut seen: BTreeSet<&String> = BTreeSet::new();
        let mut open: Vec<&String> = edges.get(from).into_iter().flatten().collect();
        while let Some(file) = open.pop() {
            if seen.insert(file) {
                open.extend(edges.get(file).into_iter().flatten());
            }
        }
        seen
    };
    let reached: BTreeMap<&String, BTreeSet<&String>> = edges.keys().map(|file| (file, reach(file))).collect();
    let both = |a: &String, b: &String| reached[a].contains(b) && reached.get(b).is_some_and(|r| r.contains(a));
    let mut left: BTreeSet<&String> = edges.keys().filter(|file| reached[*file].contains(*file)).collect();
    let mut found = Vec::new();
    while let Some(first) = left.pop_first() {
        let circle: BTreeSet<&String> = left.iter().copied().filter(|file| both(first, file)).chain([first]).collect();
        left.retain(|file| !circle.contains(file));
        found.push(circle.into_iter().cloned().collect());
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(all: &[(&str, &str)]) -> BTreeMap<String, BTreeSet<String>> {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in all {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let mut files = BTreeMap::new();
        list(dir.path(), "", &mut files).unwrap();
        edges(&files)
    }
    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_path_leads_to_the_file_that_holds_it() {
        let edges = files(&[
            ("lib.rs", "mod a;\nmod b;\npub use a::Thing;\n"),
            ("a.rs", "use crate::b::{self, c::{X as Y, Z}};\n// crate::gone\nfn f() { super::b::g() }\n"),
            ("b/mod.rs", "mod c;\n"),
            ("b/c.rs", "use super::super::a;\n#[cfg(test)]\nmod tests {\n    use crate::lib;\n}\n"),
        ]);
        assert_eq!(edges["lib.rs"], set(&["a.rs"]));
        assert_eq!(edges["a.rs"], set(&["b/c.rs", "b/mod.rs"]));
        assert_eq!(edges["b/mod.rs"], set(&[]));
        assert_eq!(edges["b/c.rs"], set(&["a.rs"]));
        assert_eq!(circles(&edges), [set(&["a.rs", "b/c.rs"])]);
    }

    #[test]
    fn an_arrow_up_and_a_new_circle_are_named_and_a_known_one_may_shrink() {
        let plan = parse("# x\nfloor core\nfloor ports store\ncircle store: a.rs b.rs c.rs\n").unwrap();
        assert_eq!(plan, parse(&plan.to_text()).unwrap());
        assert_eq!(plan.arrow("store", "core"), None);
        assert!(plan.arrow("core", "store").unwrap().contains("an arrow up: core knows store"));
        assert!(plan.arrow("ports", "store").is_some(), "nor to the same floor");
        assert!(plan.arrow("ports", "attic").unwrap().contains("attic is on no floor"));
        let found = |files: &[&str]| BTreeMap::from([("store".to_owned(), vec![set(files)])]);
        assert!(new_circles(&plan.circles, &found(&["a.rs", "b.rs"])).is_empty());
        let new = new_circles(&plan.circles, &found(&["a.rs", "d.rs"]));
        assert_eq!(new, ["store: a new circle of files: a.rs d.rs"]);
        let manifest = "[dependencies]\norch-core.workspace = true\n[target.'cfg(unix)'.dependencies]\norch-store = 1\n\
                        [dependencies.orch-engine]\npath = \"x\"\n[dev-dependencies]\norch-sim = 1\n\
                        [dev-dependencies.orch-torture]\npath = \"y\"\n";
        assert_eq!(dependencies(manifest), ["core", "store", "engine"]);
    }

    #[test]
    fn the_rooms_stand_as_they_are_written_down() {
        run(&RoomsArgs { record: false }).unwrap();
    }
}
