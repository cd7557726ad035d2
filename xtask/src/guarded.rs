//! How often would a person be asked? It goes through the last commits of a repository as if each were a branch, derives
//! from the given commands what they run, as the security gate does, and counts the commits that change it. It only
//! reads the repository.

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use orch_testguard::guard::{self, Configured, Files, Guard};
use orch_testguard::tamper;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

#[derive(Args)]
pub(crate) struct GuardedArgs {
    /// Git directory to read; nothing in it is changed
    #[arg(long, required = true)]
    repo: PathBuf,
    /// A command as it stands in orch.toml: `commands.test=cargo test`, several times if need be
    #[arg(long, required = true, value_name = "KEY=LINE")]
    command: Vec<String>,
    /// How many commits, the newest first, merges aside
    #[arg(long, default_value_t = 500)]
    commits: usize,
    /// List the commits that would ask, and why
    #[arg(long)]
    each: bool,
}

/// The share of commits that may ask, in hundredths.
const AT_MOST: usize = 5;

pub(crate) fn run(args: &GuardedArgs) -> Result<()> {
    let mut out = std::io::stdout().lock();
    let command = |said: &String| {
        let (key, line) = said.split_once('=').with_context(|| format!("`{said}` is not KEY=LINE"))?;
        Ok(Configured { key: key.trim().to_owned(), line: line.trim().to_owned() })
    };
    let commands: Vec<Configured> = args.command.iter().map(command).collect::<Result<_>>()?;
    let mut repo = Repo::open(&args.repo)?;
    let list = repo.git(&["rev-list", "--no-merges", "-n", &args.commits.to_string(), "HEAD"])?;
    let (mut asked, mut protected, mut seen) = (0, 0, 0);
    let mut why: BTreeMap<String, usize> = BTreeMap::new();
    for commit in list.lines() {
        let Some(changes) = repo.changes(commit)? else { continue };
        seen += 1;
        let both = [format!("{commit}^"), commit.to_owned()];
        let guards = both.iter().map(|at| repo.guards(&commands, at));
        let guards: Vec<Guard> = guards.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect();
        let mut files = BTreeSet::new();
        for (path, before, after) in &changes {
            let mine = guard::of_path(&guards, path);
            if mine.is_empty() {
                continue;
            }
            let (before, after) = (repo.blob(before)?, repo.blob(after)?);
            if mine.iter().any(|g| guard::differs(&g.part, before.as_deref(), after.as_deref())) {
                files.insert(path.clone());
            }
        }
        protected += usize::from(changes.iter().any(|(path, ..)| tamper::protected(path, tamper::PROTECTED).is_some()));
        if files.is_empty() {
            continue;
        }
        asked += 1;
        if args.each {
            let names: Vec<&str> = files.iter().map(String::as_str).collect();
            writeln!(out, "{} {}", &commit[..12.min(commit.len())], names.join(" "))?;
        }
        for path in files {
            *why.entry(path).or_default() += 1;
        }
    }
    ensure!(seen > 0, "there is no commit with a parent");
    let mut why: Vec<(String, usize)> = why.into_iter().collect();
    why.sort_by_key(|(path, count)| (std::cmp::Reverse(*count), path.clone()));
    let most: Vec<String> = why.iter().take(4).map(|(path, count)| format!("{path} {count}")).collect();
    let hundredths = |n: usize| format!("{}.{} %", n * 100 / seen, n * 1_000 / seen % 10);
    writeln!(
        out,
        "{seen} commits: {asked} would ask because of what a command runs ({}), {protected} touch a protected path ({}); most often: {}",
        hundredths(asked),
        hundredths(protected),
        if most.is_empty() { "-".to_owned() } else { most.join(", ") }
    )?;
    if asked * 100 > AT_MOST * seen {
        bail!("more than {AT_MOST} % of the commits would ask");
    }
    Ok(())
}

/// A repository that is read, with one process that answers for objects.
struct Repo {
    dir: PathBuf,
    objects: Child,
    ask: ChildStdin,
    answers: BufReader<ChildStdout>,
    texts: BTreeMap<String, Vec<u8>>,
    derived: BTreeMap<String, Vec<Guard>>,
}

/// A path that a commit changes, with its objects before and behind it.
type Change = (String, String, String);

impl Repo {
    fn open(dir: &Path) -> Result<Self> {
        let mut objects = Command::new("git")
            .arg("--git-dir")
            .arg(dir)
            .args(["cat-file", "--batch"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("start git")?;
        let ask = objects.stdin.take().context("git has no input")?;
        let answers = BufReader::new(objects.stdout.take().context("git has no output")?);
        Ok(Self { dir: dir.to_owned(), objects, ask, answers, texts: BTreeMap::new(), derived: BTreeMap::new() })
    }

    fn git(&self, args: &[&str]) -> Result<String> {
        let said = Command::new("git").arg("--git-dir").arg(&self.dir).args(args).output().context("start git")?;
        ensure!(said.status.success(), "git {}: {}", args.join(" "), String::from_utf8_lossy(&said.stderr).trim());
        Ok(String::from_utf8_lossy(&said.stdout).into_owned())
    }

    /// What a commit changes against its parent; nothing if it has none.
    fn changes(&self, commit: &str) -> Result<Option<Vec<Change>>> {
        if self.git(&["rev-parse", "--quiet", "--verify", &format!("{commit}^")]).is_err() {
            return Ok(None);
        }
        let raw = self.git(&["diff-tree", "-r", "-z", "--no-renames", &format!("{commit}^"), commit])?;
        let parts: Vec<&str> = raw.split('\0').collect();
        let change = |two: &[&str]| {
            let words: Vec<&str> = two.first()?.split_whitespace().collect();
            Some(((*two.get(1)?).to_owned(), (*words.get(2)?).to_owned(), (*words.get(3)?).to_owned()))
        };
        Ok(Some(parts.chunks(2).filter_map(change).collect()))
    }

    fn blob(&mut self, id: &str) -> Result<Option<Vec<u8>>> {
        if id.bytes().all(|b| b == b'0') {
            return Ok(None);
        }
        if let Some(known) = self.texts.get(id) {
            return Ok(Some(known.clone()));
        }
        writeln!(self.ask, "{id}")?;
        self.ask.flush()?;
        let mut head = String::new();
        self.answers.read_line(&mut head)?;
        let words: Vec<&str> = head.split_whitespace().collect();
        let [_, _, size] = words[..] else { return Ok(None) };
        let mut bytes = vec![0; size.parse::<usize>()? + 1];
        self.answers.read_exact(&mut bytes)?;
        bytes.pop();
        if bytes.len() < 1 << 16 {
            self.texts.insert(id.to_owned(), bytes.clone());
        }
        Ok(Some(bytes))
    }

    /// What the commands run on the tree of a commit.
    fn guards(&mut self, commands: &[Configured], commit: &str) -> Result<Vec<Guard>> {
        let tree = self.git(&["rev-parse", &format!("{commit}^{{tree}}")])?.trim().to_owned();
        if let Some(known) = self.derived.get(&tree) {
            return Ok(known.clone());
        }
        let listed = self.git(&["ls-tree", "-r", "-z", &tree])?;
        let (mut files, mut ids) = (Files::default(), BTreeMap::new());
        for line in listed.split('\0') {
            let Some((meta, path)) = line.split_once('\t') else { continue };
            let words: Vec<&str> = meta.split_whitespace().collect();
            let [mode, "blob", id] = words[..] else { continue };
            let target = if mode == "120000" { self.blob(id)? } else { None };
            files.add(path, target.map(|t| String::from_utf8_lossy(&t).into_owned()).as_deref());
            ids.insert(path.to_owned(), id.to_owned());
        }
        let mut derived = guard::derive(commands, &files);
        for _ in 0..24 {
            if derived.wanted.is_empty() {
                break;
            }
            for path in &derived.wanted {
                let bytes = match ids.get(path) {
                    Some(id) => self.blob(id)?.unwrap_or_default(),
                    None => Vec::new(),
                };
                files.set_text(path, bytes);
            }
            derived = guard::derive(commands, &files);
        }
        self.derived.insert(tree, derived.guards.clone());
        Ok(derived.guards)
    }
}

impl Drop for Repo {
    fn drop(&mut self) {
        // It ends with its input; what it says then is of no use.
        let _ = self.objects.kill();
        let _ = self.objects.wait();
    }
}
