//! Runs the whole test suite: what `cargo test --workspace` runs, and the tests of the fault points, but several test
//! binaries at a time. Most of them wait for processes and disks, so that one after the other leaves processors idle. It
//! may never leave a test out: every binary that cargo built as a test is run whole, and one whose last lines are not
//! those of the test runner counts as failed.

use crate::cargo::{self, Built};
use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

#[derive(Args)]
pub(crate) struct SuiteArgs {
    /// Test binaries that run at the same time; as many as there are processors if it is not given
    #[arg(long)]
    jobs: Option<usize>,
    /// Only build
    #[arg(long)]
    no_run: bool,
    /// Only the tests that meet git, with the second git of this machine; `skipped` where there is only one
    #[arg(long)]
    second_git: bool,
}

/// A test binary, and which of its tests are run.
struct Part {
    name: String,
    built: Built,
    filters: Vec<&'static str>,
}

/// How it went.
struct Went {
    name: String,
    /// The last line of the test runner: `test result: ok. 12 passed; ...`.
    closing: Option<String>,
    ok: bool,
    log: PathBuf,
    took: Duration,
}

/// What takes longest is begun first, so that the end does not wait for it.
const LONG: [&str; 8] = [
    "orch-engine stories",
    "orch-sim sim",
    "orch kill",
    "orch recovery",
    "orch-supervise runs",
    "orch-store contract",
    "orch-sim scenarios",
    "orch-adapters lib",
];

/// Tests that meet git: those of the adapter and of the forge made of it, and the stories in which branches meet.
const OF_GIT: [(&str, &[&str]); 6] = [
    ("orch-adapters lib", &["git_cli", "git_forge"]),
    ("orch-adapters git_cli", &[]),
    ("orch-adapters git_forge", &[]),
    ("orch-engine stories", &["merg", "conflict", "branch", "patch"]),
    ("orch gate_by_hand", &[]),
    ("orch git_remote", &[]),
];

pub(crate) fn run(args: &SuiteArgs) -> Result<()> {
    let mut out = std::io::stdout();
    let all = cargo::build(&["test", "--no-run"])?.into_iter().filter(|b| b.test);
    let name = |b: &Built| match b.kind.as_str() {
        "test" => format!("{} {}", b.package, b.target),
        kind => format!("{} {kind}", b.package),
    };
    let mut parts: Vec<Part> = all.map(|built| Part { name: name(&built), built, filters: Vec::new() }).collect();
    ensure!(!parts.is_empty(), "cargo built no tests");
    if args.no_run {
        return Ok(writeln!(out, "{} test binaries are built", parts.len())?);
    }
    let mut path = None;
    if args.second_git {
        let Some(second) = second_git()? else {
            writeln!(out, "skipped: only one git here ({})", first_line("git".as_ref())?)?;
            return Ok(());
        };
        writeln!(out, "with {} ({})", first_line(&second)?, second.display())?;
        path = Some(before_others(&second)?);
        let mut of_git = Vec::new();
        for (wanted, filters) in OF_GIT {
            let at = parts.iter().position(|p| p.name == wanted).with_context(|| format!("there is no `{wanted}`"))?;
            let part = parts.swap_remove(at);
            of_git.push(Part { filters: filters.to_vec(), ..part });
        }
        parts = of_git;
    }
    parts.sort_by_key(|p| (LONG.iter().position(|name| *name == p.name).unwrap_or(LONG.len()), p.name.clone()));
    let processors = std::thread::available_parallelism().map_or(2, usize::from);
    let went = at_once(parts, args.jobs.unwrap_or(processors), path.as_ref())?;
    report(&mut out, &went)
}

/// Runs all of them, `jobs` at a time.
fn at_once(parts: Vec<Part>, jobs: usize, path: Option<&OsString>) -> Result<Vec<Went>> {
    let logs = cargo::target_dir().join("suite");
    fs::create_dir_all(&logs).with_context(|| format!("create {}", logs.display()))?;
    let (left, went) = (Mutex::new(parts.into_iter()), Mutex::new(Vec::new()));
    std::thread::scope(|scope| -> Result<()> {
        let workers: Vec<_> = (0..jobs.max(1))
            .map(|_| {
                scope.spawn(|| -> Result<()> {
                    loop {
                        let next = left.lock().unwrap_or_else(PoisonError::into_inner).next();
                        let Some(part) = next else { return Ok(()) };
                        let ended = one(&part, &logs, path)?;
                        tell(&ended)?;
                        went.lock().unwrap_or_else(PoisonError::into_inner).push(ended);
                    }
                })
            })
            .collect();
        for worker in workers {
            worker.join().map_err(|_| anyhow::anyhow!("a thread that runs tests panicked"))??;
        }
        Ok(())
    })?;
    Ok(went.into_inner().unwrap_or_else(PoisonError::into_inner))
}

fn one(part: &Part, logs: &Path, path: Option<&OsString>) -> Result<Went> {
    let log = logs.join(format!("{}.log", part.name.replace(' ', "-")));
    let file = File::create(&log).with_context(|| format!("create {}", log.display()))?;
    let began = Instant::now();
    let mut command = Command::new(&part.built.exe);
    command.args(&part.filters).current_dir(&part.built.dir);
    // As cargo sets them.
    command.env("CARGO_MANIFEST_DIR", &part.built.dir).env("CARGO_PKG_NAME", &part.built.package);
    if let Some(path) = path {
        command.env("PATH", path);
    }
    let status = command
        .stdin(Stdio::null())
        .stdout(file.try_clone()?)
        .stderr(file)
        .status()
        .with_context(|| format!("start {}", part.built.exe.display()))?;
    let text = String::from_utf8_lossy(&fs::read(&log)?).into_owned();
    let closing = text.lines().rev().find(|line| line.starts_with("test result: ")).map(str::to_owned);
    let ok = status.success() && closing.is_some();
    Ok(Went { name: part.name.clone(), closing, ok, log, took: began.elapsed() })
}

/// A line for each as it ends, and all of its output if it failed.
fn tell(went: &Went) -> Result<()> {
    let mut out = std::io::stdout().lock();
    let seconds = went.took.as_secs_f64();
    match &went.closing {
        Some(closing) if went.ok => writeln!(out, "{:<28} {seconds:>6.1} s  {closing}", went.name)?,
        _ => {
            let text = String::from_utf8_lossy(&fs::read(&went.log)?).into_owned();
            let failing = text.lines().filter(|line| !(line.starts_with("test ") && line.ends_with("... ok")));
            writeln!(out, "{:<28} {seconds:>6.1} s  FAILED", went.name)?;
            for line in failing {
                writeln!(out, "    {line}")?;
            }
        }
    }
    Ok(out.flush()?)
}

fn report(out: &mut impl std::io::Write, went: &[Went]) -> Result<()> {
    let closing = || went.iter().filter_map(|w| w.closing.as_deref());
    let sum = |what: &str| -> u64 { closing().filter_map(|line| number(line, what)).sum() };
    let failed: Vec<&Went> = went.iter().filter(|w| !w.ok).collect();
    let verdict = if failed.is_empty() { "ok" } else { "FAILED" };
    writeln!(
        out,
        "\ntest result: {verdict}. {} passed; {} failed; {} ignored; {} filtered out; in {} test binaries",
        sum("passed"),
        sum("failed"),
        sum("ignored"),
        sum("filtered out"),
        went.len()
    )?;
    let names: Vec<String> = failed.iter().map(|w| format!("{} ({})", w.name, w.log.display())).collect();
    if !names.is_empty() {
        bail!("these failed: {}", names.join(", "));
    }
    ensure!(sum("passed") > 0, "no test ran");
    Ok(())
}

/// The number before a word of the last line: `12 passed`.
fn number(closing: &str, what: &str) -> Option<u64> {
    let part = closing.split([';', '.']).map(str::trim).find(|part| part.ends_with(what))?;
    part.split_whitespace().next()?.parse().ok()
}

/// A git of another version than the first one on `PATH`: `ORCH_SECOND_GIT`, the rest of `PATH`, or where distributions
/// and people put a second one.
fn second_git() -> Result<Option<PathBuf>> {
    if let Some(named) = std::env::var_os("ORCH_SECOND_GIT") {
        return Ok(Some(PathBuf::from(named)));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let usual = ["/usr/bin", "/usr/local/bin", "/usr/local/git/bin", "/opt/git/bin", "/opt/homebrew/bin"];
    let first = first_line("git".as_ref())?;
    let places = std::env::split_paths(&path).chain(usual.iter().map(PathBuf::from)).map(|dir| dir.join("git"));
    let mut others = places.filter(|file| is_program(file)).filter(|file| first_line(file).is_ok_and(|v| v != first));
    Ok(others.next())
}

fn is_program(file: &Path) -> bool {
    fs::metadata(file).is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
}

fn first_line(git: &Path) -> Result<String> {
    let said = Command::new(git).arg("--version").output().with_context(|| format!("start {}", git.display()))?;
    Ok(String::from_utf8_lossy(&said.stdout).trim().to_owned())
}

/// `PATH` with a directory before it that holds nothing but this git.
fn before_others(git: &Path) -> Result<OsString> {
    let dir = cargo::target_dir().join("second-git");
    fs::create_dir_all(&dir)?;
    let link = dir.join("git");
    if fs::symlink_metadata(&link).is_ok() {
        fs::remove_file(&link)?;
    }
    std::os::unix::fs::symlink(git, &link).context("put the second git where it is found first")?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    Ok(std::env::join_paths(std::iter::once(dir).chain(std::env::split_paths(&path)))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_taken_from_the_last_line_of_the_test_runner() {
        let line = "test result: ok. 12 passed; 0 failed; 3 ignored; 0 measured; 7 filtered out; finished in 1.25s";
        let numbers = ["passed", "failed", "ignored", "filtered out", "nothing"].map(|what| number(line, what));
        assert_eq!(numbers, [Some(12), Some(0), Some(3), Some(7), None]);
    }

    fn went(script: &str) -> Went {
        let dir = tempfile::tempdir().unwrap();
        let exe = dir.path().join("tests");
        fs::write(&exe, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&exe, fs::Permissions::from_mode(0o755)).unwrap();
        let built = Built {
            package: "p".into(),
            dir: dir.path().to_owned(),
            target: "t".into(),
            kind: "test".into(),
            test: true,
            exe,
        };
        one(&Part { name: "p t".into(), built, filters: Vec::new() }, dir.path(), None).unwrap()
    }

    #[test]
    fn tests_that_end_without_the_last_line_of_the_runner_have_failed() {
        let closing = "echo 'test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out'";
        assert!(went(closing).ok);
        assert!(!went("exit 0").ok, "the runner was ended before it said anything");
        assert!(!went(&format!("{closing}; exit 101")).ok);
        let all = [went(closing), went("exit 0")];
        assert!(report(&mut Vec::new(), &all[..1]).is_ok() && report(&mut Vec::new(), &all).is_err());
        let nothing = went(&closing.replace('2', "0"));
        assert!(report(&mut Vec::new(), &[nothing]).is_err(), "a suite without a test is no suite");
    }
}
