//! Go: which files are in the build where orch runs tests, which is on Linux: by build tags, by their names and by their
//! directories. It reads them as `go/build` does, and says of a tag it does not know that somebody may ask for it.

use super::model::{Mark, Off};

/// Systems that a file can be for by its name, now, before or some day, Linux excepted.
/// <https://pkg.go.dev/cmd/go#hdr-Build_constraints>, <https://go.dev/src/internal/syslist/syslist.go>
const SYSTEMS: [&str; 17] = [
    "aix",
    "android",
    "darwin",
    "dragonfly",
    "freebsd",
    "hurd",
    "illumos",
    "ios",
    "js",
    "nacl",
    "netbsd",
    "openbsd",
    "plan9",
    "solaris",
    "wasip1",
    "windows",
    "zos",
];
/// The same for processors.
const PROCESSORS: [&str; 24] = [
    "386",
    "amd64",
    "amd64p32",
    "arm",
    "armbe",
    "arm64",
    "arm64be",
    "loong64",
    "mips",
    "mipsle",
    "mips64",
    "mips64le",
    "mips64p32",
    "mips64p32le",
    "ppc",
    "ppc64",
    "ppc64le",
    "riscv",
    "riscv64",
    "s390",
    "s390x",
    "sparc",
    "sparc64",
    "wasm",
];
/// Tags that nobody sets.
const NEVER: [&str; 6] = ["ignore", "never", "none", "disabled", "skip", "false"];
/// Tags that hold only with an option of the same name: without it, their opposite does.
const UNLESS_ASKED: [&str; 3] = ["race", "msan", "asan"];
/// Every tag `go1.N` up to this one holds; a later one may be of a release that nobody has.
const RELEASED: u32 = 26;
/// Deepest nesting of brackets in a condition that is followed.
const MAX_DEPTH: usize = 64;

/// Does the go command pass over this file, wherever it is asked for `./...`?
pub(super) fn passed_over(path: &str) -> bool {
    let hidden = |part: &str| part.starts_with(['_', '.']);
    let (dirs, name) = path.rsplit_once('/').unwrap_or(("", path));
    hidden(name) || dirs.split('/').any(|dir| hidden(dir) || dir == "testdata" || dir == "vendor")
}

/// `cart_windows_test.go`, `cart_arm64_test.go`: for one system or processor by its name.
pub(super) fn name_tag(path: &str) -> Mark {
    let name = path.rsplit('/').next().unwrap_or_default();
    let stem = name.trim_end_matches(".go").trim_end_matches("_test");
    let tags: Vec<&str> = stem.split('_').skip(1).collect();
    if tags.last().is_some_and(|tag| SYSTEMS.contains(tag) || PROCESSORS.contains(tag)) {
        Mark::new(Off::Sometimes, true, 1, format!("named `{name}`"))
    } else {
        Mark::default()
    }
}

/// `//go:build` and `// +build` in front of the package clause, each at the beginning of a line of its own. A condition
/// that never holds takes the file out for good, one that may hold unless it is asked for.
pub(super) fn build_tag(source: &str) -> Mark {
    let (mut mark, mut in_comment) = (Mark::default(), false);
    for (at, line) in source.lines().enumerate() {
        let mut line = line.trim();
        if !in_comment && let Some(off) = condition(line) {
            mark = mark.worse(Mark::new(off, true, at as u32 + 1, line));
        }
        while !line.is_empty() {
            if in_comment {
                let Some((_, behind)) = line.split_once("*/") else { break };
                (in_comment, line) = (false, behind.trim());
            } else if line.starts_with("//") {
                break;
            } else if let Some(behind) = line.strip_prefix("/*") {
                (in_comment, line) = (true, behind);
            } else {
                return mark;
            }
        }
    }
    mark
}

/// How far the condition in a line takes a file out, if there is one.
fn condition(line: &str) -> Option<Off> {
    let spaced = |rest: &str| rest.is_empty() || rest.starts_with([' ', '\t']);
    if let Some(text) = line.strip_prefix("//go:build").filter(|rest| spaced(rest)) {
        return Some(Condition { rest: text }.takes_out());
    }
    let text = line.strip_prefix("//")?.trim_start().strip_prefix("+build").filter(|rest| spaced(rest))?;
    // A space is an "or", a comma an "and".
    let text = text.split_whitespace().map(|all| all.replace(',', "&&")).collect::<Vec<_>>().join("||");
    Some(Condition { rest: &text }.takes_out())
}

/// What is left of a condition. `None` of its parts: that is asked for, or not.
struct Condition<'t> {
    rest: &'t str,
}

impl Condition<'_> {
    fn takes_out(mut self) -> Off {
        match self.any(0).filter(|_| self.rest.trim().is_empty()) {
            Some(true) => Off::Runs,
            Some(false) => Off::Always,
            None => Off::Sometimes,
        }
    }

    fn takes(&mut self, sign: &str) -> bool {
        let rest = self.rest.trim_start().strip_prefix(sign);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn any(&mut self, depth: usize) -> Option<bool> {
        let mut holds = self.all(depth);
        while self.takes("||") {
            let other = self.all(depth);
            holds = if holds == Some(true) || other == Some(true) { Some(true) } else { both(holds, other) };
        }
        holds
    }

    fn all(&mut self, depth: usize) -> Option<bool> {
        let mut holds = self.one(depth);
        while self.takes("&&") {
            let other = self.one(depth);
            holds = if holds == Some(false) || other == Some(false) { Some(false) } else { both(holds, other) };
        }
        holds
    }

    fn one(&mut self, depth: usize) -> Option<bool> {
        if depth >= MAX_DEPTH {
            return None;
        }
        if self.takes("!") {
            let tag = self.rest.trim_start();
            if let Some(rest) = UNLESS_ASKED.iter().find_map(|no| tag.strip_prefix(no)).filter(|rest| !in_name(rest)) {
                self.rest = rest;
                return Some(true);
            }
            return self.one(depth + 1).map(|holds| !holds);
        }
        if self.takes("(") {
            let holds = self.any(depth + 1);
            return if self.takes(")") { holds } else { None };
        }
        let text = self.rest.trim_start();
        let end = text.find(|c: char| !is_of_name(c)).unwrap_or(text.len());
        self.rest = &text[end..];
        let tag = &text[..end];
        let release = tag.strip_prefix("go1.").and_then(|minor| minor.parse::<u32>().ok());
        if ["linux", "unix", "gc", "cgo"].contains(&tag) || release.is_some_and(|minor| minor <= RELEASED) {
            Some(true)
        } else if SYSTEMS.contains(&tag) || NEVER.contains(&tag) {
            Some(false)
        } else {
            None
        }
    }
}

fn is_of_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '.'
}

fn in_name(rest: &str) -> bool {
    rest.starts_with(is_of_name)
}

/// What both say, if they say the same.
fn both(one: Option<bool>, other: Option<bool>) -> Option<bool> {
    if one == other { one } else { None }
}
