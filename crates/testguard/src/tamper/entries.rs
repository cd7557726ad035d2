//! Lists in settings of JavaScript runners: an entry that is new leaves tests out. Which list an entry stands in is read
//! from the keys around it, because `exclude` means something else in other places. An entry that was there before, in
//! this list or in another one of the change, is no news, however it is written; neither is one about what is new, nor
//! about what holds no tests.

use super::Changed;
use super::files::MATERIAL;
use super::javascript_lex::stretches;
use super::lex::{self, Kind, Token, begins, behind};
use super::settings::Hiding;
use std::collections::{BTreeMap, BTreeSet};

/// Lists that leave tests out: in these files, the values of these keys, directly below that one.
struct Lists {
    files: &'static [&'static str],
    /// The key around; an empty one is anywhere.
    within: &'static str,
    keys: &'static [&'static str],
}

const LISTS: [Lists; 5] = [
    // https://vitest.dev/config/#exclude
    Lists { files: &["vitest.", "vite.config."], within: "test", keys: &["exclude"] },
    // https://jestjs.io/docs/configuration
    Lists {
        files: &["jest.config.", "package.json"],
        within: "",
        keys: &["testPathIgnorePatterns", "modulePathIgnorePatterns"],
    },
    // https://mochajs.org/#configuring-mocha-nodejs
    Lists { files: &[".mocharc"], within: "", keys: &["ignore", "exclude", "grep", "fgrep"] },
    Lists { files: &["package.json"], within: "mocha", keys: &["ignore", "exclude", "grep", "fgrep"] },
    // https://playwright.dev/docs/api/class-testconfig
    Lists { files: &["playwright.config."], within: "", keys: &["testIgnore", "grepInvert"] },
];
/// Directories that hold no tests, besides those of material.
const NO_TESTS: [&str; 9] =
    ["dist", "build", "out", "coverage", "target", "vendor", "cypress", "__mocks__", "__fixtures__"];
/// Deepest nesting of brackets that is followed.
const MAX_DEPTH: usize = 32;

/// May a file of this name have such a list?
pub(super) fn has_lists(path: &str) -> bool {
    LISTS.iter().any(|lists| lists.applies(path))
}

impl Lists {
    fn applies(&self, path: &str) -> bool {
        let name = name(path);
        self.files.iter().any(|file| if *file == "package.json" { name == *file } else { name.starts_with(file) })
    }
}

/// One entry of a list.
struct Entry {
    line: u32,
    key: String,
    text: String,
}

impl Entry {
    /// What it is about, without how it is written: `legacy` for `"**/legacy/**"` and for `<rootDir>/legacy/`.
    fn about(&self) -> String {
        let text = self.text.trim_matches(['"', '\'', '`']).replace("<rootDir>", "").replace('\\', "");
        let parts = text.split('/').filter(|part| !["", ".", "*", "**", "^", "$"].contains(part));
        parts.collect::<Vec<_>>().join("/")
    }
    fn takes_in_again(&self) -> bool {
        self.text.trim_matches(['"', '\'', '`']).starts_with('!')
    }
}

/// Entries after that have no like before.
pub(super) fn left_out<'p>(changed: &[&Changed<'p>]) -> Vec<Hiding<'p>> {
    let files = || changed.iter().filter(|c| has_lists(c.path));
    let known: BTreeSet<String> =
        files().filter_map(|c| Some(entries(c.path, c.before?))).flatten().map(|entry| entry.about()).collect();
    let mut found: Vec<Hiding<'p>> = Vec::new();
    for file in files() {
        let package = file.path.strip_suffix(name(file.path)).unwrap_or_default();
        let package = format!("{package}package.json");
        if file.before.is_none() && changed.iter().any(|c| c.before.is_none() && c.path == package) {
            continue;
        }
        for entry in file.after.map(|after| entries(file.path, after)).unwrap_or_default() {
            let about = entry.about();
            if entry.takes_in_again() || known.contains(&about) || holds_no_tests(&about) || is_new(&about, changed) {
                continue;
            }
            if let Some(same) = found.last_mut().filter(|f| f.path == file.path && f.line == entry.line) {
                same.text.extend([", ", &entry.text]);
            } else {
                let text = format!("{}: {}", entry.key, entry.text);
                found.push(Hiding { path: file.path, line: entry.line, text });
            }
        }
    }
    found
}

fn holds_no_tests(about: &str) -> bool {
    let hidden = |part: &str| part.starts_with('.') && !part.starts_with("..");
    let last = about.rsplit('/').next().unwrap_or_default();
    about.split('/').any(|part| part == "node_modules" || hidden(part))
        || NO_TESTS.contains(&last)
        || MATERIAL.contains(&last)
        || last.contains(".config.")
}

/// Is an entry about files that are all new, as those of another runner that comes with the change? A pattern may be
/// about others as well.
fn is_new(about: &str, changed: &[&Changed<'_>]) -> bool {
    let part = format!("/{about}/");
    let mut about_it = changed.iter().filter(|c| format!("/{}/", c.path).contains(&part)).peekable();
    let is_plain = !about.is_empty() && !about.contains(['*', '?', '{', '[', '(']);
    is_plain && about_it.peek().is_some() && about_it.all(|c| c.before.is_none())
}

fn entries(path: &str, bytes: &[u8]) -> Vec<Entry> {
    let source = String::from_utf8_lossy(bytes);
    let name = name(path);
    let ending = name.rsplit('.').next().unwrap_or_default();
    if name.starts_with(".mocharc") && ["yml", "yaml", "mocharc"].contains(&ending) {
        return of_yaml(&source);
    }
    let lists: Vec<&Lists> = LISTS.iter().filter(|lists| lists.applies(path)).collect();
    let tokens = lex::tokens(&source, stretches);
    let mut reader = Reader { named: named(&tokens), lists, found: Vec::new() };
    reader.read(&tokens, "", 0);
    reader.found
}

struct Reader<'t, 'a> {
    /// What `const name = [..]` says.
    named: BTreeMap<&'a str, &'t [Token<'a>]>,
    lists: Vec<&'static Lists>,
    found: Vec<Entry>,
}

impl<'a> Reader<'_, 'a> {
    fn read(&mut self, tokens: &[Token<'a>], within: &str, depth: usize) {
        let mut at = 0;
        while at < tokens.len() && depth < MAX_DEPTH {
            let token = &tokens[at];
            let is_name = matches!(token.kind, Kind::Word | Kind::Text);
            let key = token.text.trim_matches(['"', '\'', '`']);
            // `{ exclude }` is short for `{ exclude: exclude }`.
            let is_short = token.kind == Kind::Word && tokens.get(at + 1).is_none_or(|t| t.is(","));
            if is_name && begins(tokens, at + 1, &[":"]) {
                let value = &tokens[at + 2..value_end(tokens, at + 2)];
                if self.is_list(within, key) {
                    self.take(key, value);
                } else {
                    self.read(value, key, depth + 1);
                }
                at += 2 + value.len();
            } else if is_short && self.is_list(within, key) {
                self.take(key, &tokens[at..=at]);
                at += 1;
            } else if ["(", "[", "{"].iter().any(|b| token.is(b)) {
                let end = behind(tokens, at);
                self.read(&tokens[at + 1..end.saturating_sub(1).max(at + 1)], within, depth + 1);
                at = end;
            } else {
                at += 1;
            }
        }
    }

    fn is_list(&self, within: &str, key: &str) -> bool {
        self.lists.iter().any(|l| l.keys.contains(&key) && (l.within.is_empty() || l.within == within))
    }

    /// Takes the texts of a value, and those of the lists it names.
    fn take(&mut self, key: &str, value: &[Token<'a>]) {
        let entry = |line: u32, text: &str| Entry { line, key: key.to_owned(), text: text.to_owned() };
        let mut names = BTreeSet::new();
        for token in value {
            if token.kind == Kind::Text {
                self.found.push(entry(token.line, token.text));
            } else if token.kind == Kind::Word && names.insert(token.text) {
                let said = self.named.get(token.text).copied().unwrap_or_default();
                let texts = said.iter().filter(|t| t.kind == Kind::Text);
                self.found.extend(texts.map(|text| entry(token.line, text.text)));
            }
        }
    }
}

/// What `const name = [..]` says, for each name.
fn named<'t, 'a>(tokens: &'t [Token<'a>]) -> BTreeMap<&'a str, &'t [Token<'a>]> {
    let declares =
        |at: &usize| ["const", "let", "var"].iter().any(|word| tokens[*at].is(word)) && begins(tokens, at + 2, &["="]);
    let value = |at: usize| {
        let end = if begins(tokens, at + 3, &["["]) { behind(tokens, at + 3) } else { at + 4 };
        &tokens[(at + 3).min(tokens.len())..end.min(tokens.len())]
    };
    (0..tokens.len()).filter(declares).map(|at| (tokens[at + 1].text, value(at))).collect()
}

/// Where a value ends that begins at `from`: at the next comma that belongs to no bracket of its own.
fn value_end(tokens: &[Token<'_>], from: usize) -> usize {
    let mut at = from;
    while at < tokens.len() && !tokens[at].is(",") {
        at = if ["(", "[", "{"].iter().any(|b| tokens[at].is(b)) { behind(tokens, at) } else { at + 1 };
    }
    at.min(tokens.len())
}

/// Lists of a plain YAML file: `ignore: a`, `ignore: [a, b]`, or an entry on each line below.
fn of_yaml(source: &str) -> Vec<Entry> {
    let keys = LISTS.iter().filter(|lists| lists.applies(".mocharc")).flat_map(|lists| lists.keys);
    let keys: BTreeSet<&str> = keys.copied().collect();
    let (mut key, mut found) = ("", Vec::new());
    for (number, line) in (1..).zip(source.lines()) {
        let line = line.split(" #").next().unwrap_or_default();
        let text = line.trim();
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        let entry = text.strip_prefix("- ");
        let named = text.split_once(':').filter(|_| entry.is_none() && !line.starts_with([' ', '\t']));
        let values = if let Some((name, value)) = named {
            key = name.trim_matches(['"', '\'']);
            value
        } else {
            entry.unwrap_or(text)
        };
        let values = values.split([',', '[', ']']).map(str::trim).filter(|value| !value.is_empty());
        if keys.contains(key) {
            found.extend(values.map(|text| Entry { line: number, key: key.to_owned(), text: text.to_owned() }));
        }
    }
    found
}

fn name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or_default()
}
