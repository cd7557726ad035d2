//! Makes the repository that is measured: a branch of ordinary work with secrets in it, every trick that hides one from a
//! scanner that reads diffs, and look-alikes. It knows where each secret is and shows none. Written by `git fast-import`,
//! because five thousand commits by `git commit` take minutes.

use anyhow::{Context, ensure};
use orch_secrets::planted::{Dice, kinds, lookalikes, to_base64};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A secret and where a finding of it has to be.
pub(super) struct Expected {
    pub(super) name: String,
    pub(super) place: String,
}

/// What was made.
pub(super) struct Repository {
    pub(super) path: PathBuf,
    pub(super) kinds: Vec<Expected>,
    pub(super) tricks: Vec<Expected>,
    pub(super) look_alikes: usize,
}

/// Findings about any message or tag have this place.
pub(super) const MESSAGE: &str = "(commit message)";
pub(super) const TAG: &str = "(annotated tag)";

const WORDS: &[&str] = &[
    "order", "basket", "price", "token", "user", "password", "session", "key", "list", "item", "request", "reply",
    "store", "page", "secret", "total", "state", "event", "index", "value", "count", "cache", "queue", "worker",
    "access", "client", "field", "row", "table", "auth",
];

struct Stream {
    out: BufWriter<std::process::ChildStdin>,
    marks: usize,
    clock: usize,
}

impl Stream {
    fn data(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        writeln!(self.out, "data {}", bytes.len())?;
        self.out.write_all(bytes)?;
        self.out.write_all(b"\n")
    }

    /// A commit on a branch; returns its mark.
    fn commit(
        &mut self,
        branch: &str,
        message: &str,
        parents: &[usize],
        files: &[(String, Option<Vec<u8>>)],
    ) -> std::io::Result<usize> {
        self.marks += 1;
        self.clock += 60;
        let who = format!("Anna <anna@shop.invalid> {} +0000", 1_700_000_000 + self.clock);
        writeln!(self.out, "commit refs/heads/{branch}\nmark :{}\nauthor {who}\ncommitter {who}", self.marks)?;
        self.data(message.as_bytes())?;
        for (n, parent) in parents.iter().enumerate() {
            writeln!(self.out, "{} :{parent}", if n == 0 { "from" } else { "merge" })?;
        }
        for (path, content) in files {
            if let Some(bytes) = content {
                writeln!(self.out, "M 100644 inline {path}")?;
                self.data(bytes)?;
            } else {
                writeln!(self.out, "D {path}")?;
            }
        }
        Ok(self.marks)
    }
}

/// Source files that change a little with every commit.
struct Sources {
    files: Vec<Vec<String>>,
}

impl Sources {
    fn new(dice: &mut Dice) -> Sources {
        let files = (0..300).map(|_| (0..dice.between(20, 400)).map(|_| line(dice)).collect()).collect();
        Sources { files }
    }

    fn edit(&mut self, dice: &mut Dice) -> (String, Option<Vec<u8>>) {
        let n = dice.below(self.files.len());
        let file = &mut self.files[n];
        for _ in 0..dice.between(2, 12) {
            let at = dice.below(file.len());
            if dice.below(3) == 0 {
                file.insert(at, line(dice));
            } else {
                file[at] = line(dice);
            }
        }
        self.content(n)
    }

    fn content(&self, n: usize) -> (String, Option<Vec<u8>>) {
        let path = format!("src/{}/part_{n}.rs", WORDS[n % WORDS.len()]);
        (path, Some((self.files[n].join("\n") + "\n").into_bytes()))
    }
}

fn line(dice: &mut Dice) -> String {
    let word = |dice: &mut Dice| dice.one(WORDS);
    let (a, b, c) = (word(dice), word(dice), word(dice));
    match dice.below(9) {
        0 => format!("fn {a}_{b}({c}: &str) -> Result<Vec<u8>, Error> {{"),
        1 => format!("    let {a} = self.{b}.get(\"{c}\").ok_or(Error::Missing)?;"),
        2 => format!("    // The {a} of a {b} is not the {c}, whatever the {a} says."),
        3 => format!("    if {a}.{b}_{c} > {} {{ return Ok({a}); }}", dice.below(10_000)),
        4 => format!("    assert_eq!({a}({}), \"{b}-{c}\");", dice.below(100)),
        5 => "}".to_owned(),
        6 => format!("    {a}.{b} = {b}::from_env(\"{}_{}\")?;", b.to_uppercase(), c.to_uppercase()),
        7 => format!("use crate::{a}::{{{b}, {c}}};"),
        _ => String::new(),
    }
}

fn token(dice: &mut Dice) -> String {
    format!("gh{}_{}", "p", dice.text("ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789", 36))
}

fn utf16(text: &str) -> Vec<u8> {
    [0xff, 0xfe].into_iter().chain(text.encode_utf16().flat_map(u16::to_le_bytes)).collect()
}

type Files = Vec<(String, Option<Vec<u8>>)>;

/// A trick that is only files: its name, the file the secret is in, and the commits it takes.
fn tricks(dice: &mut Dice) -> Vec<(&'static str, String, Vec<Files>)> {
    let mut all = Vec::new();
    let mut trick = |name: &'static str, file: &str, bytes: Vec<u8>, beside: Files| {
        let path = format!("tricks/{}/{file}", name.replace(' ', "-"));
        let mut files = beside;
        files.push((path.clone(), Some(bytes)));
        all.push((name, path, vec![files]));
    };
    let assigned = |dice: &mut Dice| format!("login = \"{}\"\n", token(dice));
    for mark in ["gitleaks:allow", "betterleaks:allow"] {
        let name = if mark.starts_with('g') { "allow comment" } else { "other allow comment" };
        trick(name, "a.py", format!("login = \"{}\"  # {mark}\n", token(dice)).into_bytes(), Vec::new());
    }
    let own = "[extend]\nuseDefault = true\n[allowlist]\npaths = ['''^tricks/own-configuration/''']\n";
    let beside = vec![(".gitleaks.toml".to_owned(), Some(own.into()))];
    trick("own configuration", "a.py", assigned(dice).into_bytes(), beside);
    let beside = vec![("tricks/attributes/.gitattributes".to_owned(), Some(b"* -diff\n".to_vec()))];
    trick("attributes", "a.py", assigned(dice).into_bytes(), beside);
    trick("base64", "a.yaml", format!("data: {}\n", to_base64(assigned(dice).as_bytes())).into_bytes(), Vec::new());
    let encoded = to_base64(format!("{}{}", "nothing to see here\n".repeat(9), assigned(dice)).as_bytes());
    let lines: Vec<&str> = encoded.as_bytes().chunks(60).filter_map(|c| std::str::from_utf8(c).ok()).collect();
    trick("wrapped base64", "a.yaml", format!("data: |\n  {}\n", lines.join("\n  ")).into_bytes(), Vec::new());
    let hex = assigned(dice).bytes().map(|b| format!("{b:02x}")).collect::<Vec<_>>().concat();
    trick("hexadecimal", "a.txt", format!("blob {hex}\n").into_bytes(), Vec::new());
    let percent = token(dice).bytes().map(|b| format!("%{b:02X}")).collect::<Vec<_>>().concat();
    trick("percent signs", "a.md", format!("https://a.invalid/?q={percent}\n").into_bytes(), Vec::new());
    trick("binary file", "a.bin", [b"\x7fELF\0\0\x01\xff", assigned(dice).as_bytes(), b"\0\x02"].concat(), Vec::new());
    trick("utf-16 file", "a.txt", utf16(&assigned(dice)), Vec::new());
    let long = format!("{}{}{}", "var a=1;".repeat(20_000), assigned(dice).trim(), ";b()".repeat(20_000));
    trick("long line", "a.min.js", long.into_bytes(), Vec::new());
    let path = "tricks/deleted-later/a.py".to_owned();
    let twice = vec![vec![(path.clone(), Some(assigned(dice).into_bytes()))], vec![(path.clone(), None)]];
    all.push(("deleted later", path, twice));
    let path = format!("tricks/file-name/{}.txt", token(dice));
    all.push(("file name", path.clone(), vec![vec![(path, Some(b"nothing\n".to_vec()))]]));
    all
}

/// Makes the repository: `main` is the base, `feature` the branch.
pub(super) fn make(path: &Path, seed: u64, commits: usize, look_alikes: usize) -> anyhow::Result<Repository> {
    let mut dice = Dice::new(seed);
    git(path.parent().unwrap_or(path), &["init", "-q", "-b", "main", &path.to_string_lossy()])?;
    let mut import = Command::new("git")
        .args(["fast-import", "--quiet"])
        .current_dir(path)
        .stdin(Stdio::piped())
        .spawn()
        .context("git fast-import")?;
    let input = import.stdin.take().context("git fast-import has no input")?;
    let mut stream = Stream { out: BufWriter::new(input), marks: 0, clock: 0 };
    let mut sources = Sources::new(&mut dice);
    let first: Files = (0..sources.files.len()).map(|n| sources.content(n)).collect();
    let base = stream.commit("main", "Begin\n", &[], &first)?;

    // Everything that has to happen on the branch, each in a commit of its own, in a random order.
    let mut todo: Vec<Files> = Vec::new();
    let mut expected = Vec::new();
    for (n, plant) in kinds(seed).into_iter().enumerate() {
        let place = format!("planted/{n}/{}", plant.path);
        expected.push(Expected { name: plant.kind.to_owned(), place: place.clone() });
        todo.push(vec![(place, Some(plant.text.into_bytes()))]);
    }
    let mut hidden = Vec::new();
    let mut later = Vec::new();
    for (name, place, steps) in tricks(&mut dice) {
        hidden.push(Expected { name: name.to_owned(), place });
        let mut steps = steps.into_iter();
        todo.extend(steps.next());
        later.extend(steps);
    }
    let alike = lookalikes(seed, look_alikes);
    for (n, chunk) in alike.chunks(alike.len().div_ceil(commits / 4 + 1).max(1)).enumerate() {
        let file = |(m, like): (usize, &orch_secrets::planted::LookAlike)| {
            (format!("alike/{}/{n}/{m}/{}", like.kind, like.path), Some(like.text.clone().into_bytes()))
        };
        todo.push(chunk.iter().enumerate().map(file).collect());
    }
    for n in (1..todo.len()).rev() {
        todo.swap(n, dice.below(n + 1));
    }
    todo.extend(later);
    let mut head = base;
    let spread = (commits / todo.len().max(1)).max(1);
    let mut todo = todo.into_iter();
    for n in 0..commits {
        let mut files = if n % spread == 0 { todo.next().unwrap_or_default() } else { Vec::new() };
        let edits = dice.between(1, 3);
        files.extend((0..edits).map(|_| sources.edit(&mut dice)));
        head = stream.commit("feature", &format!("Change {n}\n"), &[head], &files)?;
    }
    // The rest, if there are fewer commits than things to do.
    for files in todo {
        head = stream.commit("feature", "One more\n", &[head], &files)?;
    }
    let said = format!("Try it\n\nUse {} until tomorrow.\n", token(&mut dice));
    head = stream.commit("feature", &said, &[head], &[])?;
    let side = stream.commit("side", "Aside\n", &[head], &[("side.txt".into(), Some(b"aside\n".to_vec()))])?;
    let merged = "tricks/merge/a.py".to_owned();
    let content = format!("login = \"{}\"\n", token(&mut dice)).into_bytes();
    head = stream.commit("feature", "Merge\n", &[head, side], &[(merged.clone(), Some(content))])?;
    let note = format!("First\n\nwith {}\n", token(&mut dice));
    writeln!(stream.out, "tag v1\nfrom :{head}\ntagger Anna <anna@shop.invalid> 1800000000 +0000")?;
    stream.data(note.as_bytes())?;
    for (name, place) in [("merge commit", merged.as_str()), ("commit message", MESSAGE), ("annotated tag", TAG)] {
        hidden.push(Expected { name: name.to_owned(), place: place.to_owned() });
    }
    stream.out.flush()?;
    drop(stream);
    ensure!(import.wait()?.success(), "git fast-import failed");
    git(path, &["checkout", "-q", "feature"])?;
    Ok(Repository { path: path.to_owned(), kinds: expected, tricks: hidden, look_alikes })
}

fn git(dir: &Path, args: &[&str]) -> anyhow::Result<()> {
    let status = Command::new("git").args(args).current_dir(dir).status()?;
    ensure!(status.success(), "git {args:?} failed");
    Ok(())
}
