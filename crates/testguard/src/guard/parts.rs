//! The parts of a manifest that decide what runs. A manifest holds much that decides nothing of it, and dependencies,
//! which are the security gate's; only a change of such a part is for a person. A part is text that can be compared:
//! without comments and blank lines. A manifest that cannot be read is compared whole.

use std::collections::{BTreeMap, BTreeSet};

/// What of a file is guarded.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// All of it.
    Whole,
    /// What `make` with these goals runs; none: the first target.
    Make(Vec<String>),
    /// What `just` with these recipes runs; none: the first.
    Just(Vec<String>),
    /// These scripts of a `package.json`, those they call, and the settings of test runners in it.
    Scripts(Vec<String>),
    /// Targets, build script and members of a `Cargo.toml`.
    Cargo,
    /// Tables of a TOML file with these names or below them, or sections of an INI file.
    Tables(&'static [&'static str]),
    /// All but tables, keys and blocks that name dependencies.
    NoDependencies,
    /// Lines with one of these words.
    Lines(&'static [&'static str]),
    /// A `pom.xml`: the build, what switches it, and properties that plugins of tests read.
    Pom,
    /// These keys of a JSON file.
    Json(&'static [&'static str]),
}

impl Part {
    /// What it is called in a sentence.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Whole => "it",
            Self::Make(_) => "what `make` runs",
            Self::Just(_) => "what `just` runs",
            Self::Scripts(_) => "the scripts",
            Self::Cargo => "targets, build script or members",
            Self::Tables(_) | Self::Pom | Self::Json(_) => "the settings of what runs",
            Self::NoDependencies => "more than dependencies",
            Self::Lines(_) => "what is run",
        }
    }

    /// That part of a file, for comparing.
    pub fn of(&self, bytes: &[u8]) -> String {
        let text = String::from_utf8_lossy(bytes);
        match self {
            Self::Whole => text.into_owned(),
            Self::Make(goals) => Recipes::read(&text, false).reached(goals),
            Self::Just(goals) => Recipes::read(&text, true).reached(goals),
            Self::Scripts(names) => scripts(&text, names).unwrap_or_else(|| text.into_owned()),
            Self::Cargo => keep(&text, of_cargo),
            Self::Tables(names) => keep(&text, |table, key| {
                let whole = if table.is_empty() { key.to_owned() } else { format!("{table}.{key}") };
                names.iter().any(|name| table == *name || below(&whole, name))
            }),
            Self::NoDependencies => keep(&without_block(&text, "dependencies"), |table, key| {
                let of = |word: &str| table.contains(word) || key.contains(word);
                !of("dependencies") && !["deps", "requires", "install_requires", "version"].contains(&key)
            }),
            Self::Lines(words) => {
                let said = text.lines().map(str::trim).filter(|line| words.iter().any(|word| line.contains(word)));
                said.collect::<Vec<_>>().join("\n")
            }
            Self::Pom => of_pom(&text),
            Self::Json(keys) => json(&text, keys).unwrap_or_else(|| text.into_owned()),
        }
    }
}

fn below(name: &str, of: &str) -> bool {
    name == of || name.strip_prefix(of).is_some_and(|rest| rest.starts_with(['.', ':', '_']))
}

/// Lines of a TOML or INI file whose table and key are wanted. A value that goes on over lines goes with its key.
fn keep(text: &str, wanted: impl Fn(&str, &str) -> bool) -> String {
    let (mut table, mut key, mut depth, mut quote) = (String::new(), String::new(), 0_i32, None);
    let mut kept = Vec::new();
    for line in text.lines() {
        let bare = line.trim();
        if let Some(mark) = quote {
            if bare.contains(mark) {
                quote = None;
            }
        } else if bare.is_empty() || bare.starts_with(['#', ';']) {
            continue;
        } else if depth == 0 && bare.starts_with('[') && !line.starts_with([' ', '\t']) {
            let name = bare.split('#').next().unwrap_or_default().trim();
            table = name.trim_matches(['[', ']', ' ']).replace(['"', '\'', ' '], "");
            key = String::new();
            if wanted(&table, "") {
                kept.push(bare.to_owned());
            }
            continue;
        } else {
            let found = bare.split_once(['=', ':']).map(|(key, _)| key.trim().trim_matches(['"', '\'']).to_owned());
            // A line further in goes on with the value before it, as in an INI file.
            let goes_on = depth > 0 || (line.starts_with([' ', '\t']) && !key.is_empty() && !bare.contains(" = "));
            if let (Some(found), false) = (found, goes_on) {
                key = found;
            } else if !goes_on {
                bare.clone_into(&mut key);
            }
            let code = bare.split(" #").next().unwrap_or_default();
            let count =
                |open: char, close: char| code.matches(open).count() as i32 - code.matches(close).count() as i32;
            depth = (depth + count('[', ']') + count('{', '}')).max(0);
            quote = ["\"\"\"", "'''"].into_iter().find(|mark| bare.matches(mark).count() % 2 == 1);
        }
        if wanted(&table, &key) {
            kept.push(bare.to_owned());
        }
    }
    kept.join("\n")
}

fn of_cargo(table: &str, key: &str) -> bool {
    match table {
        "lib" | "bin" | "test" | "bench" | "example" => true,
        "package" => {
            ["build", "links", "workspace", "default-run", "metadata"].contains(&key) || key.starts_with("auto")
        }
        "workspace" => ["members", "exclude", "default-members"].contains(&key),
        "features" => key == "default",
        _ => {
            table.starts_with("profile.") && ["debug-assertions", "overflow-checks", "panic"].contains(&key)
                || table.starts_with("alias")
        }
    }
}

/// A text without the blocks `name { ... }`.
fn without_block(text: &str, name: &str) -> String {
    let (mut kept, mut depth) = (Vec::new(), 0_i32);
    for line in text.lines() {
        let bare = line.trim_start();
        let begins = bare.strip_prefix(name).is_some_and(|rest| rest.trim_start().starts_with('{'));
        if depth == 0 && !begins {
            kept.push(line);
            continue;
        }
        depth += line.matches('{').count() as i32 - line.matches('}').count() as i32;
    }
    kept.join("\n")
}

/// Everything between `<tag>` and `</tag>`, without spaces.
fn inside(text: &str, tag: &str) -> String {
    let (open, close) = (format!("<{tag}>"), format!("</{tag}>"));
    let parts = text.split(&open).skip(1).filter_map(|rest| rest.split(&close).next());
    parts.flat_map(str::split_whitespace).collect::<Vec<_>>().join(" ")
}

/// Maven reads what runs from the build, its profiles and modules; and plugins of tests read properties by name
/// (`skipTests`, `maven.test.skip`, `surefire.*`, `argLine`). Properties that are versions change every day and run nothing.
fn of_pom(text: &str) -> String {
    const READ: [&str; 8] = ["skip", "test", "argline", "surefire", "failsafe", "groups", "exec.", "jacoco"];
    let mut found: Vec<String> = ["build", "profiles", "modules"].iter().map(|tag| inside(text, tag)).collect();
    let properties = text.split("<properties>").skip(1).filter_map(|rest| rest.split("</properties>").next());
    for property in properties.flat_map(|all| all.split('<').skip(1)).filter(|p| !p.starts_with(['/', '!'])) {
        let Some((name, value)) = property.split_once('>') else { continue };
        let lower = name.to_ascii_lowercase();
        if READ.iter().any(|word| lower.contains(word)) && !lower.ends_with("version") {
            found.push(format!("{}: {}", name.trim(), value.trim()));
        }
    }
    found.join("\n")
}

fn json(text: &str, keys: &[&str]) -> Option<String> {
    let whole: serde_json::Value = serde_json::from_str(text.trim_start_matches('\u{feff}')).ok()?;
    Some(keys.iter().filter_map(|key| Some(format!("{key}: {}", whole.get(key)?))).collect::<Vec<_>>().join("\n"))
}

/// Settings of test runners that people write into a `package.json`.
const RUNNERS: [&str; 12] =
    ["jest", "mocha", "ava", "tap", "nyc", "c8", "vitest", "playwright", "xo", "standard", "workspaces", "config"];

/// Scripts of a `package.json` by these names, with what runs before and behind them, and what they call by name.
pub(super) fn package_scripts(text: &str, names: &[String]) -> Option<BTreeMap<String, String>> {
    let package: serde_json::Value = serde_json::from_str(text.trim_start_matches('\u{feff}')).ok()?;
    let all: BTreeMap<&str, &str> =
        package.get("scripts").and_then(serde_json::Value::as_object).map_or_else(BTreeMap::new, |map| {
            map.iter().filter_map(|(name, line)| Some((name.as_str(), line.as_str()?))).collect()
        });
    let (mut reached, mut left) = (BTreeMap::new(), names.to_vec());
    while let Some(name) = left.pop() {
        for name in [format!("pre{name}"), format!("post{name}"), name] {
            let Some(line) = all.get(name.as_str()) else { continue };
            if reached.insert(name, (*line).to_owned()).is_some() {
                continue;
            }
            let words = line.split(|c: char| c.is_whitespace() || "\"'&|;()".contains(c));
            let mut before = "";
            for word in words.filter(|word| !word.is_empty()) {
                let program = std::mem::replace(&mut before, word);
                // `karma start` starts a browser, whatever the script `start` does.
                if super::programs::reads_its_arguments(program) {
                    continue;
                }
                // `npm-run-all lint:*`
                let group = word.strip_suffix('*').filter(|start| !start.is_empty());
                let called = all.keys().filter(|name| **name == word || group.is_some_and(|g| name.starts_with(g)));
                left.extend(called.map(|name| (*name).to_owned()).filter(|name| !reached.contains_key(name)));
            }
        }
    }
    Some(reached)
}

fn scripts(text: &str, names: &[String]) -> Option<String> {
    let reached = package_scripts(text, names)?;
    let package: serde_json::Value = serde_json::from_str(text.trim_start_matches('\u{feff}')).ok()?;
    let mut lines: Vec<String> = reached.iter().map(|(name, line)| format!("{name}: {line}")).collect();
    let settings = RUNNERS.iter().filter_map(|name| Some(format!("{name}: {}", package.get(name)?)));
    lines.extend(settings);
    Some(lines.join("\n"))
}

/// The recipes of a makefile or a justfile.
pub(super) struct Recipes<'t> {
    all: Vec<Recipe<'t>>,
    /// Names and lines of variables.
    variables: Vec<(String, String)>,
    /// What holds for all of them: `include`, `export`, conditions, `set shell`.
    always: Vec<&'t str>,
}

struct Recipe<'t> {
    names: Vec<&'t str>,
    needs: &'t str,
    lines: Vec<&'t str>,
}

impl<'t> Recipes<'t> {
    pub(super) fn read(text: &'t str, is_just: bool) -> Self {
        let mut found = Self { all: Vec::new(), variables: Vec::new(), always: Vec::new() };
        let (mut in_recipe, mut goes_on) = (false, false);
        for line in text.lines() {
            let bare = line.trim();
            let further_in = line.starts_with('\t') || (is_just && line.starts_with(' '));
            let was_going_on = std::mem::replace(&mut goes_on, bare.ends_with('\\'));
            if was_going_on && !in_recipe {
                if let Some((_, value)) = found.variables.last_mut() {
                    value.push(' ');
                    value.push_str(bare);
                }
                continue;
            }
            if bare.is_empty() || (bare.starts_with('#') && !further_in) {
                continue;
            }
            if in_recipe && (further_in || was_going_on) {
                if let Some(recipe) = found.all.last_mut() {
                    recipe.lines.push(bare);
                }
                continue;
            }
            in_recipe = false;
            if let Some((name, _)) = assignment(bare, is_just) {
                found.variables.push((name, bare.to_owned()));
            } else if let Some((names, needs)) = head(bare, is_just) {
                in_recipe = true;
                let (needs, first) = match needs.split_once(';').filter(|_| !is_just) {
                    Some((needs, first)) => (needs, Some(first.trim())),
                    None => (needs, None),
                };
                found.all.push(Recipe { names, needs, lines: first.into_iter().collect() });
            } else {
                found.always.push(bare);
            }
        }
        found
    }

    /// Recipes that are run for these goals: the first one if there are none.
    fn run(&self, goals: &[String]) -> Vec<&Recipe<'t>> {
        let first = || self.all.iter().flat_map(|r| &r.names).find(|name| !name.starts_with('.'));
        let mut left: Vec<&str> = goals.iter().map(String::as_str).collect();
        if left.is_empty() {
            left.extend(first().copied());
        }
        let mut reached = BTreeSet::new();
        while let Some(name) = left.pop() {
            if !reached.insert(name) {
                continue;
            }
            for recipe in self.all.iter().filter(|r| r.names.contains(&name)) {
                let needs = recipe.needs.split_whitespace();
                // `$(MAKE) lint` and `just lint` run another one; a word that is a recipe's name is taken for that.
                let called = recipe.lines.iter().flat_map(|line| {
                    let runs = ["$(MAKE)", "${MAKE}", "make", "just"].iter().any(|word| line.contains(word));
                    line.split(|c: char| c.is_whitespace() || ";&|()\"'".contains(c)).filter(move |_| runs)
                });
                let named = |word: &&str| self.all.iter().any(|r| r.names.contains(word));
                left.extend(needs.chain(called).map(|w| w.trim_matches(['(', ')'])).filter(named));
            }
        }
        let pattern = |r: &&Recipe<'_>| r.names.iter().any(|name| name.contains('%') || reached.contains(name));
        self.all.iter().filter(pattern).collect()
    }

    /// Their lines, with variables put in.
    pub(super) fn lines(&self, goals: &[String]) -> Vec<String> {
        let lines = self.run(goals).into_iter().flat_map(|r| &r.lines);
        let mut text: Vec<String> = Vec::new();
        let mut goes_on = false;
        for line in lines {
            let line = line.trim_start_matches(['@', '-', '+']);
            match text.last_mut().filter(|_| goes_on) {
                Some(before) => {
                    before.pop();
                    before.push_str(line);
                }
                None => text.push(line.to_owned()),
            }
            goes_on = line.ends_with('\\');
        }
        text.into_iter().map(|line| self.filled(&line, 0)).collect()
    }

    fn filled(&self, line: &str, depth: usize) -> String {
        if depth > 4 {
            return line.to_owned();
        }
        let mut filled = line.replace("$(MAKE)", "make").replace("${MAKE}", "make").replace("$(CURDIR)", ".");
        for (name, whole) in &self.variables {
            for form in
                [format!("$({name})"), format!("${{{name}}}"), format!("{{{{{name}}}}}"), format!("{{{{ {name} }}}}")]
            {
                if filled.contains(&form) {
                    let value = whole.split_once('=').map(|(_, value)| value.trim()).unwrap_or_default();
                    filled = filled.replace(&form, &self.filled(value.trim_matches(['"', '\'']), depth + 1));
                }
            }
        }
        filled.replace("$$", "$")
    }

    /// Files it includes.
    pub(super) fn includes(&self) -> Vec<&'t str> {
        let words = |line: &'t str| {
            let mut words = line.split_whitespace();
            let first = words.next().unwrap_or_default();
            matches!(first, "include" | "-include" | "sinclude" | "import" | "import?" | "mod").then_some(words)
        };
        self.always.iter().filter_map(|line| words(line)).flatten().map(|w| w.trim_matches(['"', '\''])).collect()
    }

    /// What these goals run, for comparing.
    fn reached(&self, goals: &[String]) -> String {
        let mut said: Vec<String> = self.always.iter().map(|line| (*line).to_owned()).collect();
        for recipe in self.run(goals) {
            said.push(format!("{}: {}", recipe.names.join(" "), recipe.needs.trim()));
            said.extend(recipe.lines.iter().map(|line| (*line).to_owned()));
        }
        let mut used: BTreeSet<&str> = BTreeSet::new();
        loop {
            let text = said.join("\n");
            let is_used = |name: &str| {
                [format!("$({name}"), format!("${{{name}"), format!("{{{{{name}"), format!("{{{{ {name}")]
                    .iter()
                    .any(|form| text.contains(form.as_str()))
                    || ["SHELL", ".SHELLFLAGS", "MAKEFLAGS", "PATH", ".DEFAULT_GOAL", "BASH_ENV"].contains(&name)
            };
            let fresh: Vec<&(String, String)> =
                self.variables.iter().filter(|(name, _)| !used.contains(name.as_str()) && is_used(name)).collect();
            if fresh.is_empty() {
                return said.join("\n");
            }
            for (name, _) in fresh {
                used.insert(name);
                let lines = self.variables.iter().filter(|(other, _)| other == name).map(|(_, line)| line.clone());
                said.extend(lines);
            }
        }
    }
}

/// `NAME := value`; of a justfile also `export NAME := value`.
fn assignment(line: &str, is_just: bool) -> Option<(String, &str)> {
    let line = line.strip_prefix("export ").unwrap_or(line);
    let (name, value) = line.split_once('=')?;
    let name = name.trim_end_matches([':', '?', '+', '!', ' ', '\t']);
    let is_name = !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || "_-.".contains(c));
    (is_name && !(is_just && line.starts_with("set "))).then(|| (name.to_owned(), value))
}

/// `name other: what it needs`.
fn head(line: &str, is_just: bool) -> Option<(Vec<&str>, &str)> {
    let (names, needs) = line.split_once(':')?;
    let settings = ["set ", "import ", "include ", "-include ", "alias ", "ifeq", "ifneq", "define ", "["];
    if settings.iter().any(|word| line.starts_with(word)) {
        return None;
    }
    let names = names.trim_start_matches('@').split_whitespace().take(if is_just { 1 } else { usize::MAX });
    Some((names.collect(), needs.trim_start_matches(':')))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(part: &Part, before: &str, after: &str) -> bool {
        part.of(before.as_bytes()) == part.of(after.as_bytes())
    }
    fn names(of: &[&str]) -> Vec<String> {
        of.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn only_what_a_goal_runs_is_compared() {
        let make = "VERSION := 1\nGO ?= go\nFLAGS = -race\n\nall: build\n\ntest: lint unit ## tests\n\nunit:\n\t$(GO) test \
                    $(FLAGS) ./...\n\nlint:\n\tgolangci-lint run\n\nrelease:\n\tgoreleaser $(VERSION)\n";
        let part = Part::Make(names(&["test"]));
        for (from, to, is_same) in [
            ("goreleaser", "other", true),
            ("VERSION := 1", "VERSION := 2", true),
            ("all: build", "all: build docs", true),
            ("golangci-lint run", "true", false),
            ("-race", "-run=NONE", false),
            ("test: lint unit", "test: lint", false),
            ("unit:\n", "unit:\n\t@exit 0\n", false),
            ("VERSION := 1", "SHELL := ./sh", false),
            ("VERSION := 1", "include ci.mk", false),
            ("\n\nlint", "\n# a remark\n\nlint", true),
        ] {
            assert_eq!(same(&part, make, &make.replacen(from, to, 1)), is_same, "{from} -> {to}");
        }
        assert!(!same(&Part::Make(Vec::new()), make, &make.replacen("all: build", "all: b", 1)));
        assert_eq!(Recipes::read(make, false).lines(&names(&["unit"])), ["go test -race ./..."]);
        let called = "ci:\n\t$(MAKE) -s lint\n\nlint:\n\t./lint.sh \\\n\t  all\n";
        assert!(!same(&Part::Make(names(&["ci"])), called, &called.replace("all", "none")));
        assert_eq!(Recipes::read(called, false).lines(&names(&["lint"])), ["./lint.sh all"]);
    }

    #[test]
    fn a_justfile_is_read_as_one() {
        let just = "set shell := [\"bash\", \"-c\"]\nbin := \"x\"\n\ndefault:\n  just --list\n\ntest *args: build\n  \
                    ./{{bin}} {{args}}\n\nbuild:\n  cargo build\n\nrelease:\n  ./release\n";
        let part = Part::Just(names(&["test"]));
        for (from, to, is_same) in [
            ("./release", "./other", true),
            ("cargo build", "true", false),
            ("\"x\"", "\"y\"", false),
            ("\"bash\"", "\"./bash\"", false),
        ] {
            assert_eq!(same(&part, just, &just.replacen(from, to, 1)), is_same, "{from} -> {to}");
        }
        assert_eq!(Recipes::read(just, true).lines(&names(&["test"])), ["./x {{args}}", "cargo build"]);
    }

    #[test]
    fn the_scripts_that_a_name_reaches_are_compared() {
        let browser = r#"{"scripts":{"test":"x karma start a.cjs && mocha lint","start":"node s.js","lint":"./l.sh","all":"npm start"}}"#;
        let run_by = |name: &str| package_scripts(browser, &[name.to_owned()]).unwrap().into_keys().collect::<Vec<_>>();
        assert_eq!(run_by("test"), ["test"], "these are words of karma and mocha");
        assert_eq!(run_by("all"), ["all", "start"]);
        let package = r#"{"name":"a","version":"1","scripts":{"pretest":"./setup.sh","test":"npm run lint && mocha",
            "lint":"eslint .","docs":"x","ci:a":"1","ci":"run-s ci:*"},"mocha":{"bail":true},"dependencies":{"b":"1"}}"#;
        let part = Part::Scripts(names(&["test"]));
        for (from, to, is_same) in [
            ("\"version\":\"1\"", "\"version\":\"2\"", true),
            ("{\"b\":\"1\"}", "{\"b\":\"2\"}", true),
            ("\"docs\":\"x\"", "\"docs\":\"y\"", true),
            ("./setup.sh", "true", false),
            ("eslint .", "true", false),
            ("mocha\"", "true\"", false),
            ("\"bail\":true", "\"bail\":false", false),
            ("\"docs\":\"x\"", "\"posttest\":\"y\"", false),
            ("}", "", false),
        ] {
            assert_eq!(same(&part, package, &package.replacen(from, to, 1)), is_same, "{from} -> {to}");
        }
        let ci = Part::Scripts(names(&["ci"]));
        assert!(!same(&ci, package, &package.replace("\"ci:a\":\"1\"", "\"ci:a\":\"2\"")));
    }

    #[test]
    fn targets_are_compared_and_dependencies_are_not() {
        let cargo = "[package]\nname = \"a\"\nversion = \"1\"\n\n[dependencies]\nb = \"1\"\n\n[workspace]\nmembers = [\n  \
                     \"x\",\n]\n\n[[test]]\nname = \"t\"\nharness = false\n\n[features]\ndefault = [\"f\"]\n";
        for (from, to, is_same) in [
            ("version = \"1\"", "version = \"2\"", true),
            ("b = \"1\"", "b = \"2\"", true),
            ("harness = false", "harness = true", false),
            ("name = \"a\"", "name = \"a\"\nbuild = \"evil.rs\"", false),
            ("name = \"a\"", "name = \"a\"\nautotests = false", false),
            ("\"x\"", "\"y\"", false),
            ("[\"f\"]", "[]", false),
            ("[dependencies]", "[lib]\ntest = false\n\n[dependencies]", false),
            ("[dependencies]", "# a remark\n[dependencies]", true),
        ] {
            assert_eq!(same(&Part::Cargo, cargo, &cargo.replacen(from, to, 1)), is_same, "{from} -> {to}");
        }
    }

    #[test]
    fn tables_sections_blocks_tags_and_lines_are_compared() {
        let toml = "[project]\ndependencies = [\n  \"a\",\n]\n[tool.pytest.ini_options]\naddopts = \"-q\"\n[tool.other]\nx = 1\n";
        let part = Part::Tables(&["tool.pytest"]);
        assert!(same(&part, toml, &toml.replace("\"a\"", "\"b\"").replace("x = 1", "x = 2")));
        assert!(!same(&part, toml, &toml.replace("-q", "-k none")));
        let ini = "[tox]\nenvlist = a\n[testenv]\ndeps =\n  b\n  c==1\ncommands =\n  pytest {posargs}\n";
        assert!(same(&Part::NoDependencies, ini, &ini.replace("c==1", "c==2")));
        assert!(!same(&Part::NoDependencies, ini, &ini.replace("pytest", "true")));
        let gradle = "plugins { id 'java' }\ndependencies {\n  implementation 'a:1'\n}\ntest { useJUnit() }\n";
        assert!(same(&Part::NoDependencies, gradle, &gradle.replace("a:1", "a:2")));
        assert!(!same(&Part::NoDependencies, gradle, &gradle.replace("useJUnit()", "enabled = false")));
        let pom = "<project><dependencies>a</dependencies><build><plugins>b</plugins></build></project>";
        assert!(same(&Part::Pom, pom, &pom.replace(">a<", ">c<")));
        assert!(!same(&Part::Pom, pom, &pom.replace(">b<", ">c<")));
        let with = |line: &str| format!("<project>\n  <properties>\n    {line}\n  </properties>\n</project>");
        let plain = with("<java.version>17</java.version>");
        for free in ["<java.version>21</java.version>", "<surefire.version>3</surefire.version>", "<!-- skip -->"] {
            assert!(same(&Part::Pom, &plain, &with(free)), "{free}");
        }
        for read in ["<skipTests>true</skipTests>", "<maven.test.skip>true</maven.test.skip>", "<argLine>-x</argLine>"]
        {
            assert!(!same(&Part::Pom, &plain, &with(read)), "{read}");
        }
        let composer = r#"{"require": {"a": "1"}, "scripts": {"test": "phpunit"}}"#;
        assert!(same(&Part::Json(&["scripts"]), composer, &composer.replace("\"1\"", "\"2\"")));
        assert!(!same(&Part::Json(&["scripts"]), composer, &composer.replace("phpunit", "true")));
        assert!(!same(&Part::Json(&["scripts"]), composer, "{"), "what cannot be read counts whole");
        let cmake = "project(x)\nadd_test(NAME a COMMAND b)\n";
        assert!(same(&Part::Lines(&["add_test"]), cmake, &cmake.replace("(x)", "(y)")));
        assert!(!same(&Part::Lines(&["add_test"]), cmake, &cmake.replace("COMMAND b", "COMMAND true")));
    }
}
