//! Runs the engines over the branch, each as it would be run in a gate, and sorts what they find into expected and wrong.
//! The built-in engine reads objects, so no attribute, merge or later deletion hides one; it is measured with everything
//! it needs, git included.

use super::planting::{MESSAGE, Repository, TAG};
use anyhow::{Context, bail, ensure};
use orch_secrets::{Blob, Rules, Scanner};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// Who looks.
pub(super) enum Engine {
    BuiltIn,
    /// The whole security gate, as a person runs it by hand, with no other program to help it.
    Gate(PathBuf),
    /// As its documentation says.
    Gitleaks(PathBuf),
    /// With a configuration the branch cannot change, and every escape closed that has a flag.
    GitleaksStrict(PathBuf),
}

/// What it found.
pub(super) struct Outcome {
    pub(super) engine: &'static str,
    /// Places where there is a secret.
    pub(super) found: BTreeSet<String>,
    /// Places where there is none, with the rule.
    pub(super) wrong: BTreeSet<String>,
    pub(super) seconds: f64,
    pub(super) objects: Option<usize>,
}

/// (place, rule)
type Findings = BTreeSet<(String, String)>;

const RANGE: &str = "main..feature";

pub(super) fn version(gitleaks: &Path) -> anyhow::Result<String> {
    let output = Command::new(gitleaks).arg("version").output().with_context(|| gitleaks.display().to_string())?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

impl Engine {
    pub(super) fn measure(&self, repository: &Repository, scratch: &Path, runs: usize) -> anyhow::Result<Outcome> {
        let mut best: Option<(f64, Findings, Option<usize>)> = None;
        for _ in 0..runs.max(1) {
            let started = Instant::now();
            let (findings, objects) = self.run(&repository.path, scratch)?;
            let seconds = started.elapsed().as_secs_f64();
            if best.as_ref().is_none_or(|(fastest, ..)| seconds < *fastest) {
                best = Some((seconds, findings, objects));
            }
        }
        let (seconds, findings, objects) = best.context("no run")?;
        let expected: HashSet<&str> =
            repository.kinds.iter().chain(&repository.tricks).map(|e| e.place.as_str()).collect();
        // A secret in the name of a file is not shown: stars stand for it.
        let unmasked = |place: String| {
            let (before, after) = (place.split('*').next(), place.rsplit('*').next());
            let fits = |e: &&&str| before.zip(after).is_some_and(|(b, a)| e.starts_with(b) && e.ends_with(a));
            if place.contains('*') { expected.iter().find(fits).map_or(place, |e| (*e).to_owned()) } else { place }
        };
        let findings: Findings = findings.into_iter().map(|(place, rule)| (unmasked(place), rule)).collect();
        let (right, wrong): (Findings, Findings) =
            findings.into_iter().partition(|(place, _)| expected.contains(place.as_str()));
        Ok(Outcome {
            engine: self.name(),
            found: right.into_iter().map(|(place, _)| place).collect(),
            wrong: wrong.into_iter().map(|(place, rule)| format!("{place} ({rule})")).collect(),
            seconds,
            objects,
        })
    }

    fn name(&self) -> &'static str {
        match self {
            Engine::BuiltIn => "built-in",
            Engine::Gate(_) => "the whole gate",
            Engine::Gitleaks(_) => "gitleaks",
            Engine::GitleaksStrict(_) => "gitleaks, escapes closed",
        }
    }

    fn run(&self, repository: &Path, scratch: &Path) -> anyhow::Result<(Findings, Option<usize>)> {
        match self {
            Engine::BuiltIn => built_in(repository).map(|(findings, objects)| (findings, Some(objects))),
            Engine::Gate(orch) => Ok((gate(orch, repository, scratch)?, None)),
            Engine::Gitleaks(program) => {
                Ok((gitleaks(program, repository, scratch, &[format!("--log-opts={RANGE}")])?, None))
            }
            Engine::GitleaksStrict(program) => {
                let configuration = scratch.join("ours.toml");
                std::fs::write(&configuration, "[extend]\nuseDefault = true\n")?;
                let options = [
                    format!("--config={}", configuration.display()),
                    "--ignore-gitleaks-allow".to_owned(),
                    format!("--log-opts=--text -m {RANGE}"),
                ];
                Ok((gitleaks(program, repository, scratch, &options)?, None))
            }
        }
    }
}

fn gitleaks(program: &Path, repository: &Path, scratch: &Path, options: &[String]) -> anyhow::Result<Findings> {
    let report = scratch.join("gitleaks.json");
    let output = Command::new(program)
        .args(["git", "--no-banner", "--exit-code=7", "--report-format=json", "--log-level=error"])
        .arg(format!("--report-path={}", report.display()))
        .args(options)
        .arg(repository)
        .current_dir(repository)
        .output()?;
    match output.status.code() {
        Some(0 | 7) => {}
        _ => bail!("gitleaks failed: {}", String::from_utf8_lossy(&output.stderr)),
    }
    let findings: Vec<serde_json::Value> = serde_json::from_slice(&std::fs::read(&report)?)?;
    let text = |finding: &serde_json::Value, key: &str| finding[key].as_str().unwrap_or_default().to_owned();
    Ok(findings.iter().map(|f| (text(f, "File"), text(f, "RuleID"))).collect())
}

/// Of what the gate says only the secrets count here: the planted files are not what their names promise.
fn gate(orch: &Path, repository: &Path, scratch: &Path) -> anyhow::Result<Findings> {
    let config = scratch.join("orch.toml");
    std::fs::write(
        &config,
        "[db]\npath = \"orch.db\"\n[security]\ngitleaks = \"off\"\nauditors = \"off\"\n[agents]\ndefault = \"none\"\n\
         [agents.programs.none]\nkind = \"command\"\ncommand = [\"false\"]\n\
         [[project]]\nkey = \"HERE\"\nrepo = \".\"\nallow_untested = true\napprovers = [\"nobody\"]\n",
    )?;
    let output = Command::new(orch)
        .args(["gate", "run", "security-gate", "--json", "--base", "main", "--head", "feature", "--config"])
        .arg(&config)
        .current_dir(repository)
        .output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    let answer: serde_json::Value =
        serde_json::from_str(&said).with_context(|| format!("{}: {said}", String::from_utf8_lossy(&output.stderr)))?;
    let findings = answer["evidence"]["findings"].as_array().context("no findings in the evidence")?;
    let text = |finding: &serde_json::Value, key: &str| finding[key].as_str().unwrap_or_default().to_owned();
    let place = |file: String| if file.starts_with("commit ") { MESSAGE.to_owned() } else { file };
    let all = findings.iter().map(|f| (place(text(f, "file")), text(f, "id")));
    Ok(all.filter(|(_, rule)| rule != "unreadable-manifest").collect())
}

struct Object {
    kind: String,
    id: String,
    path: String,
    bytes: Vec<u8>,
}

fn built_in(repository: &Path) -> anyhow::Result<(Findings, usize)> {
    let scanner = Scanner::new(&Rules::builtin(), b"xtask")?;
    let listed = lines(repository, &["rev-list", "--objects", RANGE])?;
    let mut objects: Vec<(String, String)> = listed
        .into_iter()
        .map(|line| {
            line.split_once(' ').map_or_else(|| (line.clone(), String::new()), |(id, path)| (id.into(), path.into()))
        })
        .collect();
    for line in lines(repository, &["for-each-ref", "--format=%(objecttype) %(objectname)", "refs/tags"])? {
        if let Some(id) = line.strip_prefix("tag ") {
            objects.push((id.to_owned(), String::new()));
        }
    }
    let count = objects.len();
    let mut cat = Command::new("git")
        .args(["cat-file", "--batch", "--buffer"])
        .current_dir(repository)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut input = cat.stdin.take().context("no input")?;
    let mut output = BufReader::with_capacity(1 << 20, cat.stdout.take().context("no output")?);
    let findings = Mutex::new(Findings::new());
    let (send, receive) = sync_channel::<Vec<Object>>(8);
    let receive = Mutex::new(receive);
    std::thread::scope(|scope| -> anyhow::Result<()> {
        let ids: Vec<u8> = objects.iter().flat_map(|(id, _)| format!("{id}\n").into_bytes()).collect();
        let feeder = scope.spawn(move || input.write_all(&ids));
        let width = std::thread::available_parallelism().map_or(2, usize::from);
        for _ in 0..width {
            scope.spawn(|| work(&scanner, &receive, &findings));
        }
        let mut names = Names::default();
        let mut batch = Vec::new();
        let mut held = 0;
        for (id, path) in &objects {
            let object = read_object(&mut output, id, path)?;
            if object.kind == "tree" {
                names.add(&object);
                continue;
            }
            held += object.bytes.len();
            batch.push(object);
            if held > 256 << 10 || batch.len() >= 64 {
                send.send(std::mem::take(&mut batch))?;
                held = 0;
            }
        }
        send.send(batch)?;
        drop(send);
        names.scan(&scanner, &findings);
        feeder.join().map_err(|_| anyhow::anyhow!("the feeder panicked"))??;
        Ok(())
    })?;
    ensure!(cat.wait()?.success(), "git cat-file failed");
    Ok((findings.into_inner().unwrap_or_else(PoisonError::into_inner), count))
}

fn lines(repository: &Path, args: &[&str]) -> anyhow::Result<Vec<String>> {
    let output =
        Command::new("git").args(["-c", "core.quotePath=false"]).args(args).current_dir(repository).output()?;
    ensure!(output.status.success(), "git {args:?} failed");
    Ok(String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect())
}

fn read_object(from: &mut impl BufRead, id: &str, path: &str) -> anyhow::Result<Object> {
    let mut head = String::new();
    from.read_line(&mut head)?;
    let mut parts = head.split_whitespace().skip(1);
    let kind = parts.next().unwrap_or_default().to_owned();
    let size: usize = parts.next().and_then(|n| n.parse().ok()).with_context(|| format!("{id}: {head}"))?;
    let mut bytes = vec![0; size + 1];
    from.read_exact(&mut bytes)?;
    bytes.pop();
    Ok(Object { kind, id: id.to_owned(), path: path.to_owned(), bytes })
}

fn work(scanner: &Scanner, receive: &Mutex<Receiver<Vec<Object>>>, findings: &Mutex<Findings>) {
    loop {
        let next = receive.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(batch) = next else { return };
        for object in batch {
            let message = format!("{} {} message", object.kind, object.id);
            let (path, place) = match object.kind.as_str() {
                "commit" => (message.as_str(), MESSAGE),
                "tag" => (message.as_str(), TAG),
                _ => (object.path.as_str(), object.path.as_str()),
            };
            let found: Vec<String> = match scanner.scan(&Blob { path, bytes: &object.bytes, commit: None }) {
                Ok(hits) => hits.into_iter().filter(orch_secrets::Hit::blocks).map(|h| h.rule.to_string()).collect(),
                Err(e) => vec![e.to_string()],
            };
            if !found.is_empty() {
                let mut all = findings.lock().unwrap_or_else(PoisonError::into_inner);
                all.extend(found.into_iter().map(|rule| (place.to_owned(), rule)));
            }
        }
    }
}

/// Every path of the range. Taken from the trees, since a list of objects names a blob only once.
#[derive(Default)]
struct Names {
    known: HashMap<String, HashSet<Vec<u8>>>,
}

impl Names {
    fn add(&mut self, tree: &Object) {
        let known = self.known.entry(tree.path.clone()).or_default();
        let mut rest = &tree.bytes[..];
        while let Some(end) = rest.iter().position(|b| *b == 0) {
            let name = rest[..end].splitn(2, |b| *b == b' ').nth(1).unwrap_or_default();
            if !known.contains(name) {
                known.insert(name.to_owned());
            }
            rest = rest.get(end + 21..).unwrap_or_default();
        }
    }

    fn scan(&self, scanner: &Scanner, findings: &Mutex<Findings>) {
        for (directory, names) in &self.known {
            for name in names {
                let name = String::from_utf8_lossy(name);
                let path = if directory.is_empty() { name.into_owned() } else { format!("{directory}/{name}") };
                for hit in scanner.scan_name(&path).into_iter().filter(orch_secrets::Hit::blocks) {
                    findings
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .insert((path.clone(), hit.rule.to_string()));
                }
            }
        }
    }
}
