//! Goes through lines of shell and through the scripts they name, with the directory and the variables as they are there,
//! and collects what is run.

use super::parts::Part;
use super::shell::{self, Item, Piece, Simple, Word};
use super::words::{
    assignment, braces, directory, feeds_interpreter, is_script, join, language_of, literal, pattern_of, quoted,
};
use super::{Configured, Derived, Files, Guard};
use crate::tamper;
use std::collections::{BTreeMap, BTreeSet};

/// Stands for what nobody can know before it runs.
pub(super) const UNKNOWN: char = '\u{E000}';
pub(super) const STAR: char = '\u{E001}';
pub(super) const ONE: char = '\u{E002}';
/// Begins a path that is read from the root of the repository.
pub(super) const ROOT: char = '\u{E003}';
/// How deep scripts call scripts.
const DEEPEST: usize = 12;
/// How many scripts and lines are looked at.
const MOST: usize = 4_000;
/// Longest script that is read, bytes.
const LONGEST: usize = 512 * 1024;

/// Where a line is read.
#[derive(Clone)]
pub(super) struct At {
    /// Directories it may be run in, from the root; never empty.
    pub(super) dirs: Vec<String>,
    /// It may be run elsewhere, too.
    lost: bool,
    /// The script it stands in.
    script: Option<String>,
    pub(super) vars: BTreeMap<String, Vec<String>>,
    /// Directories of the repository where programs are looked for.
    programs: Vec<String>,
    key: String,
    because: String,
    depth: usize,
    /// How many conditions, loops and functions are open.
    open: usize,
}

/// What a word stands for, as a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// This path.
    Path(String),
    /// Paths of this pattern.
    Pattern(String),
}

/// How a script is read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Language {
    Shell,
    Python,
    JavaScript,
    /// By its name or its first line.
    Guess,
}

pub(super) struct Walk<'f> {
    pub(super) files: &'f Files,
    guards: BTreeMap<(String, Part), (String, BTreeSet<String>)>,
    wanted: BTreeSet<String>,
    seen: BTreeSet<(String, String, String)>,
    left: usize,
}

impl<'f> Walk<'f> {
    pub(super) fn new(files: &'f Files) -> Self {
        Self { files, guards: BTreeMap::new(), wanted: BTreeSet::new(), seen: BTreeSet::new(), left: MOST }
    }

    pub(super) fn configured(&mut self, command: &Configured) {
        let shown: String = command.line.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(80).collect();
        let mut at = At {
            dirs: vec![String::new()],
            lost: false,
            script: None,
            vars: BTreeMap::new(),
            programs: Vec::new(),
            key: command.key.clone(),
            because: format!("`{}` runs `{shown}`", command.key),
            depth: 0,
            open: 0,
        };
        self.lines(&command.line, &mut at);
    }

    pub(super) fn derived(self) -> Derived {
        let guards = self.guards.into_iter();
        let guard = |((pattern, part), (because, keys))| Guard { pattern, part, because, keys };
        let guards = guards.map(guard).collect();
        Derived { guards, wanted: self.wanted.into_iter().collect() }
    }

    /// Guards paths of a pattern.
    pub(super) fn guard(&mut self, pattern: &str, part: Part, at: &At) {
        let known = self.guards.entry((pattern.to_owned(), part));
        known.or_insert_with(|| (at.because.clone(), BTreeSet::new())).1.insert(at.key.clone());
    }

    /// Guards a path, and where it leads.
    pub(super) fn guard_path(&mut self, path: &str, part: Part, at: &At) {
        if let Some(real) = self.files.follow(path).filter(|real| real != path && !real.is_empty()) {
            self.guard(&format!("/{real}"), part.clone(), at);
        }
        self.guard(&format!("/{path}"), part, at);
    }

    /// The text of a file; asks for it if it is not known yet.
    pub(super) fn text(&mut self, path: &str) -> Option<String> {
        let real = self.files.follow(path)?;
        if !self.files.is_file(&real) {
            return None;
        }
        let Some(bytes) = self.files.texts.get(&real) else {
            self.wanted.insert(real);
            return None;
        };
        (bytes.len() <= LONGEST && !bytes.contains(&0)).then(|| String::from_utf8_lossy(bytes).into_owned())
    }

    pub(super) fn exists(&self, path: &str) -> bool {
        self.files.follow(path).is_some_and(|real| self.files.is_file(&real))
    }

    pub(super) fn is_directory(&self, path: &str) -> bool {
        self.files.follow(path).is_some_and(|real| self.files.is_directory(&real))
    }

    /// Reads lines of shell.
    pub(super) fn lines(&mut self, text: &str, at: &mut At) {
        if self.left == 0 || at.depth > DEEPEST {
            return;
        }
        self.left -= 1;
        let mut outside: Vec<At> = Vec::new();
        let items = shell::read(text);
        for (n, item) in items.iter().enumerate() {
            match item {
                Item::Open => outside.push(at.clone()),
                Item::Close => {
                    if let Some(before) = outside.pop() {
                        *at = before;
                    }
                }
                Item::Run(simple) => {
                    // What a pipe feeds to an interpreter is run by it.
                    let feeds = simple.piped && feeds_interpreter(&items[n..]);
                    self.simple(simple, feeds, at);
                }
            }
        }
    }

    /// The same, deeper and without consequences for what stands behind it.
    pub(super) fn inside(&mut self, text: &str, at: &At) {
        self.lines(text, &mut At { depth: at.depth + 1, ..at.clone() });
    }

    fn simple(&mut self, simple: &Simple, feeds: bool, at: &mut At) {
        let mut words = &simple.words[..];
        while let Some(first) = words.first().and_then(literal) {
            match first {
                "if" | "while" | "until" | "{" => at.open += 1,
                "fi" | "done" | "esac" | "}" => at.open = at.open.saturating_sub(1),
                "then" | "do" | "else" | "elif" | "!" | "time" | "coproc" => {}
                "for" | "select" => {
                    at.open += 1;
                    let name = words.get(1).and_then(literal).unwrap_or_default().to_owned();
                    let values = words.get(3..).unwrap_or_default().iter().flat_map(|word| self.values(word, at));
                    let values: Vec<String> = values.collect();
                    at.vars.insert(name, values);
                    return;
                }
                "case" => {
                    at.open += 1;
                    return;
                }
                "function" => {
                    words = &words[1.min(words.len())..];
                }
                _ => break,
            }
            words = &words[1..];
        }
        for read in &simple.reads {
            for value in self.values(read, at) {
                self.mentioned(&value, at);
            }
        }
        let mut own = at.clone();
        while let Some((name, value)) = words.first().and_then(assignment) {
            let values = self.values(&value, at);
            for value in &values {
                self.variable(&name, value, &mut own);
            }
            own.vars.insert(name, values);
            words = &words[1..];
        }
        let Some((program, arguments)) = words.split_first() else {
            at.vars = own.vars;
            at.programs = own.programs;
            return;
        };
        let mut args: Vec<String> = Vec::new();
        for word in arguments {
            let whole = matches!(&word[..], [Piece::Variable(_, _, false)]);
            for value in self.values(word, at) {
                if whole && value.contains(' ') {
                    args.extend(value.split_whitespace().map(str::to_owned));
                } else {
                    args.push(value);
                }
            }
        }
        own.dirs.clone_from(&at.dirs);
        for name in self.values(program, at) {
            if name.contains(' ') && matches!(&program[..], [Piece::Variable(_, _, false)]) {
                // A whole command in a variable.
                let more: Vec<String> = args.iter().map(|arg| quoted(arg)).collect();
                self.inside(&format!("{name} {}", more.join(" ")), at);
                continue;
            }
            self.program(&name, &args, simple.here.as_deref(), &mut own);
        }
        if feeds || simple.here.is_some() && !args.is_empty() {
            for value in &args {
                self.mentioned(value, at);
            }
        }
        // What a command changes for those behind it.
        at.dirs = own.dirs;
        at.lost = own.lost;
        for (name, values) in own.vars {
            at.vars.entry(name).or_insert(values);
        }
        at.programs = own.programs;
    }

    /// What a variable that is set means for what is run.
    pub(super) fn variable(&mut self, name: &str, value: &str, at: &mut At) {
        if name == "PATH" {
            for part in value.split(':') {
                let paths = self.places(part, at).into_iter();
                at.programs.extend(paths.filter_map(|p| if let Place::Path(path) = p { Some(path) } else { None }));
            }
        } else if name == "PYTHONPATH" {
            for part in value.split(':') {
                for place in self.places(part, at) {
                    if let Place::Path(dir) = place {
                        self.guard(&format!("/{}", join(&dir, "sitecustomize.py")), Part::Whole, at);
                        self.guard(&format!("/{}", join(&dir, "usercustomize.py")), Part::Whole, at);
                    }
                }
            }
        }
        for word in value.split([' ', '=', ':', ',']) {
            self.mentioned(word, at);
        }
    }

    pub(super) fn change_directory(&mut self, to: Option<&str>, at: &mut At) {
        let mut dirs: Vec<String> = Vec::new();
        for place in to.map(|to| self.places(to, at)).unwrap_or_default() {
            match place {
                Place::Path(path) => dirs.push(path),
                Place::Pattern(_) => at.lost = true,
            }
        }
        if dirs.is_empty() {
            at.lost = true;
            return;
        }
        // In a condition or a function it may not have happened.
        if at.open > 0 {
            dirs.extend(at.dirs.iter().cloned());
        }
        dirs.sort();
        dirs.dedup();
        dirs.truncate(8);
        at.dirs = dirs;
    }

    /// In these directories instead.
    pub(super) fn in_dirs(at: &At, dirs: Vec<String>) -> At {
        let dirs = if dirs.is_empty() { at.dirs.clone() } else { dirs };
        At { dirs, depth: at.depth + 1, ..at.clone() }
    }

    /// A program of the machine: is one of its name in a directory of the repository where programs are looked for?
    pub(super) fn looked_for(&mut self, name: &str, at: &At) {
        for dir in at.programs.clone() {
            let path = join(&dir, name);
            if self.exists(&path) {
                self.script(&path, Language::Guess, at);
            } else if self.is_directory(&dir) {
                self.guard(&format!("/{path}"), Part::Whole, at);
            }
        }
    }

    /// A script that is run: guarded whole, and read for what it runs.
    pub(super) fn run(&mut self, value: &str, language: Language, at: &At) {
        let endings: &[&str] = match language {
            Language::JavaScript => &["", ".js", ".mjs", ".cjs", ".ts", ".json", "/index.js", "/index.ts"],
            Language::Python => &["", "/__main__.py"],
            _ => &[""],
        };
        for place in self.places(value, at) {
            match place {
                Place::Path(path) => {
                    let there = endings.iter().map(|e| format!("{path}{e}")).find(|path| self.exists(path));
                    self.script(&there.unwrap_or(path), language, at);
                }
                Place::Pattern(pattern) => self.pattern(&pattern, language, at),
            }
        }
    }

    fn pattern(&mut self, pattern: &str, language: Language, at: &At) {
        self.guard(pattern, Part::Whole, at);
        let fits = |path: &&String| tamper::protected(path, &[pattern]).is_some();
        let some: Vec<String> = self.files.paths.iter().filter(fits).take(50).cloned().collect();
        for path in some {
            self.script(&path, language, at);
        }
    }

    fn script(&mut self, path: &str, language: Language, at: &At) {
        if path.is_empty() || self.is_directory(path) {
            return;
        }
        self.guard_path(path, Part::Whole, at);
        let dir = at.dirs.join(":");
        if !self.exists(path) || !self.seen.insert((at.key.clone(), path.to_owned(), dir)) {
            return;
        }
        let Some(text) = self.text(path) else {
            // Asked for; it is read the next time.
            return;
        };
        let because =
            if at.script.is_some() { at.because.clone() } else { format!("{}, by way of {path}", at.because) };
        let mut inner = At { script: Some(path.to_owned()), because, depth: at.depth + 1, ..at.clone() };
        match language_of(path, &text, language) {
            Language::Python => self.imports(path, &text, &inner),
            Language::JavaScript => self.requires(path, &text, &inner),
            Language::Shell => self.lines(&text, &mut inner),
            Language::Guess => {}
        }
    }

    /// A word that names a file of the repository, and the file is one that is run or says what is run.
    pub(super) fn mentioned(&mut self, value: &str, at: &At) {
        let value = value.split_once('=').filter(|(name, _)| name.starts_with('-')).map_or(value, |(_, value)| value);
        let value = value.trim_start_matches('@');
        if value.is_empty() || value.starts_with('-') {
            return;
        }
        for place in self.places(value, at) {
            match place {
                Place::Path(path) if self.exists(&path) && self.is_run(&path) => {
                    self.script(&path, Language::Guess, at);
                }
                Place::Pattern(pattern) if is_script(&pattern) => self.pattern(&pattern, Language::Guess, at),
                _ => {}
            }
        }
    }

    fn is_run(&mut self, path: &str) -> bool {
        if is_script(path) {
            return true;
        }
        let name = path.rsplit('/').next().unwrap_or_default();
        !name.contains('.') && self.text(path).is_some_and(|text| text.starts_with("#!"))
    }

    /// The paths a value stands for.
    pub(super) fn places(&self, value: &str, at: &At) -> Vec<Place> {
        let is_there = |place: &Place| match place {
            Place::Path(path) => self.exists(path) || self.is_directory(path),
            Place::Pattern(_) => true,
        };
        let mut all = Vec::new();
        for value in braces(value) {
            let mut found = Vec::new();
            if at.lost && !value.starts_with([ROOT, '/']) {
                let tail = value.trim_start_matches("./");
                found.extend(pattern_of(&format!("{UNKNOWN}/{tail}"), ""));
            }
            found.extend(at.dirs.iter().filter_map(|dir| pattern_of(&value, dir)));
            // Of several directories those count where it is there, if it is in any.
            if found.len() > 1 && found.iter().any(is_there) {
                found.retain(is_there);
            }
            all.append(&mut found);
        }
        all
    }

    /// What a word may be, with variables put in. Commands in it are walked through.
    pub(super) fn values(&mut self, word: &Word, at: &At) -> Vec<String> {
        let mut all = vec![String::new()];
        let mut in_bracket = false;
        for piece in word {
            let mut more: Vec<String> = match piece {
                Piece::Text(_) if in_bracket => continue,
                Piece::Text(text) => vec![text.clone()],
                Piece::Glob('[') => {
                    in_bracket = true;
                    vec![ONE.to_string()]
                }
                Piece::Glob(']') => {
                    in_bracket = false;
                    continue;
                }
                Piece::Glob('*') => vec![STAR.to_string()],
                Piece::Glob(_) => vec![ONE.to_string()],
                Piece::Variable(name, rest, _) => self.looked_up(name, rest, at),
                Piece::Commands(commands) => vec![self.printed(commands, at)],
                Piece::Process(commands) => {
                    self.inside(commands, at);
                    vec![UNKNOWN.to_string()]
                }
            };
            more.truncate(16);
            all = all.iter().flat_map(|start| more.iter().map(move |end| format!("{start}{end}"))).take(32).collect();
        }
        all
    }

    fn looked_up(&mut self, name: &str, rest: &str, at: &At) -> Vec<String> {
        let own = at.script.as_ref().map(|path| format!("{ROOT}/{path}"));
        let known: Vec<String> = match name {
            "0" | "BASH_SOURCE" | "ZSH_ARGZERO" => own.into_iter().collect(),
            "PWD" => at.dirs.iter().map(|dir| format!("{ROOT}/{dir}")).collect(),
            "GITHUB_WORKSPACE" | "CI_PROJECT_DIR" | "WORKSPACE" => vec![format!("{ROOT}/")],
            "HOME" | "TMPDIR" | "RUNNER_TEMP" | "ORCH_RUN_DIR" => vec!["/outside".to_owned()],
            _ => at.vars.get(name).cloned().unwrap_or_default(),
        };
        let fallback = ["=", "-"].iter().find_map(|sign| {
            let rest = rest.strip_prefix(':').unwrap_or(rest);
            rest.strip_prefix(sign)
        });
        let changed = |value: String| match rest {
            "%/*" => directory(&value),
            "##*/" => value.rsplit('/').next().unwrap_or_default().to_owned(),
            _ => value,
        };
        let mut values: Vec<String> = known.into_iter().map(changed).collect();
        if let Some(fallback) = fallback {
            for item in shell::read(fallback) {
                if let Item::Run(simple) = item {
                    values.extend(simple.words.first().map(|word| self.values(word, at)).unwrap_or_default());
                }
            }
        }
        if values.is_empty() { vec![UNKNOWN.to_string()] } else { values }
    }

    /// What commands print, where it is plain: the directory of a script, the root.
    fn printed(&mut self, commands: &str, at: &At) -> String {
        let items = shell::read(commands);
        let runs: Vec<Vec<String>> = items
            .iter()
            .filter_map(|item| if let Item::Run(simple) = item { Some(simple) } else { None })
            .map(|simple| simple.words.iter().map(|w| self.values(w, at).swap_remove(0)).collect())
            .collect();
        let plain = |run: &Vec<String>| run.iter().filter(|w| !w.starts_with('-')).cloned().collect::<Vec<_>>();
        let runs: Vec<Vec<String>> = runs.iter().map(plain).collect();
        let told: Vec<Vec<&str>> = runs.iter().map(|run| run.iter().map(String::as_str).collect()).collect();
        match told.iter().map(Vec::as_slice).collect::<Vec<_>>()[..] {
            [["dirname", path]] => directory(path),
            [["realpath" | "readlink", path]] => (*path).to_owned(),
            [["basename", path]] => path.rsplit('/').next().unwrap_or_default().to_owned(),
            [["pwd"]] => format!("{ROOT}/{}", at.dirs.first().map_or("", String::as_str)),
            [["cd" | "pushd", to], ["pwd"]] | [["cd", to], ["realpath", "."]] => match self.places(to, at).first() {
                Some(Place::Path(path)) => format!("{ROOT}/{path}"),
                _ => UNKNOWN.to_string(),
            },
            [["git", "rev-parse", ..]] => format!("{ROOT}/"),
            [["echo" | "printf", words @ ..]] => words.join(" "),
            _ => {
                self.inside(commands, at);
                UNKNOWN.to_string()
            }
        }
    }
}
