//! P5 and P9 on a repository of 60,000 commits and 1 GB: what a long history costs a hand-over, and what tasks leave on the
//! disk. The repository is made once and used again.

use super::Bench;
use super::daemon::{Daemon, free_address};
use super::handover::{self, Handover, IMPORT, Neighbour};
use super::scale::instance;
use super::stats::{Line, Times, ms};
use anyhow::{Context, Result, ensure};
use std::collections::BTreeSet;
use std::fs;
use std::io::{BufWriter, Write};
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Commits of the large repository.
const COMMITS: u64 = 60_000;
/// Bytes each of them brings in, of which nothing can be compressed: 1 GB in all.
const BYTES: usize = 16_700;
/// Files a checkout has: what is large is the history.
const FILES: u64 = 200;
/// Tasks that are brought to their end before P9 counts: by then a repository has most of the 256 directories it keeps
/// single objects in, which no task adds to.
const BEFORE: usize = 40;
/// Tasks that P9 counts.
const TASKS: usize = 100;
/// Tasks P9 speaks of.
const MANY: u64 = 1_000;
/// Turns of the comparison, and tasks of a turn.
const TURNS: usize = 3;
const TASKS_OF_A_TURN: usize = 10;

/// P5 beside a repository of one commit with the same files, in turns: what differs is the history.
pub(super) fn handovers(bench: &Bench, lines: &mut Vec<Line>) -> Result<()> {
    let large = repository(bench)?;
    let short = without_history(bench, &large)?;
    let (mut of_short, mut of_large) = (Vec::new(), Vec::new());
    for _ in 0..TURNS {
        for (repo, handovers) in [(&short, &mut of_short), (&large, &mut of_large)] {
            handovers.extend(handover::handovers(bench, Neighbour::None, Some(repo), TASKS_OF_A_TURN)?);
        }
    }
    let of_each = [handover::parts(&of_short)?, handover::parts(&of_large)?];
    let whole = |all: Vec<Handover>| Times::of(all.iter().map(|h| h.whole).collect());
    let (short, large) = (whole(of_short)?, whole(of_large)?);
    let (alone, with) = (short.at(0.5), large.at(0.5));
    let ratio = with.as_secs_f64() / alone.as_secs_f64();
    lines.push(Line::goal(
        &format!("P5, p50 of {}, on 60,000 commits and 1 GB", large.count()),
        "<= 1.20 of one commit with the same 200 files",
        format!("{} (p99 {}) beside {} (p99 {})", ms(with), ms(large.at(0.99)), ms(alone), ms(short.at(0.99))),
        format!("{ratio:.2} of it"),
        ratio <= 1.2,
    ));
    for (what, parts) in ["of one commit, p50 / p99", "of 60,000 commits, p50 / p99"].into_iter().zip(of_each) {
        lines.push(Line::info(what, parts));
    }
    Ok(())
}

fn git_in(repo: &Path, args: &[&str]) -> Result<()> {
    let done = Command::new("git").args(args).current_dir(repo).status()?;
    ensure!(done.success(), "git {args:?} failed");
    Ok(())
}

/// The same files with one commit.
fn without_history(bench: &Bench, large: &Path) -> Result<PathBuf> {
    let repo = bench.dir()?.join("short");
    let _ = fs::remove_dir_all(&repo);
    fs::create_dir_all(&repo)?;
    let git = |args: &[&str]| git_in(&repo, args);
    git(&["init", "--quiet", "--initial-branch=main"])?;
    fs::create_dir(repo.join("data"))?;
    for entry in fs::read_dir(large.join("data"))? {
        let entry = entry?;
        fs::copy(entry.path(), repo.join("data").join(entry.file_name()))?;
    }
    git(&["add", "-A"])?;
    git(&["-c", "user.name=Anna", "-c", "user.email=anna@example.org", "commit", "--quiet", "-m", "All of it"])?;
    Ok(repo)
}

/// P9: what is on the disk before and after.
pub(super) fn disk(bench: &Bench, lines: &mut Vec<Line>) -> Result<()> {
    let dir = bench.dir()?.join("disk");
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir)?;
    symlink(repository(bench)?, dir.join("repo"))?;
    let address = free_address()?;
    let config = instance(&dir, address)?;
    let text = fs::read_to_string(&config)?.replace("pipeline = \"full\"", "pipeline = \"lite\"");
    let text = text.replace("default = \"scripted\"", "default = \"worker\"");
    fs::write(&config, format!("{text}\n[agents.programs.worker]\ncommand = [\"sh\", \"-c\", '''{WORKER}''']\n"))?;
    let mut daemon = Daemon::start(&config, address)?;
    daemon.wait_live()?;
    let state = dir.join(".orch");
    let (token, c) = super::daemon::state(&dir)?;
    let done = |daemon: &mut Daemon, n: usize| -> Result<()> {
        handover::begin(daemon, &token, "BENCH", n)?;
        let sql = "SELECT (SELECT count(*) FROM task WHERE phase = 'done') = ?1 AND NOT EXISTS (SELECT 1 FROM job)";
        daemon.wait_for(IMPORT, |_| c.query_row(sql, [n as i64], |r| r.get(0)).unwrap_or(false))
    };
    // The first one brings in the repository, and every cache is there behind it.
    for n in 1..=BEFORE {
        done(&mut daemon, n)?;
    }
    let before = Used::of(&state)?;
    for n in BEFORE + 1..=BEFORE + TASKS {
        done(&mut daemon, n)?;
    }
    let after = Used::of(&state)?;
    daemon.kill()?;
    let tasks = TASKS as u64;
    let each = after.rest.saturating_sub(before.rest) / tasks;
    let logs = after.runs.saturating_sub(before.runs) / tasks;
    lines.push(Line::goal(
        &format!("P9: what a finished task leaves beside its logs, mean of {tasks}"),
        "<= 200 kB",
        format!("{} kB (and {} kB of runs)", each / 1_000, logs / 1_000),
        format!("{:.2} of it", each as f64 / 200e3),
        each <= 200_000,
    ));
    let first = before.rest + before.runs + after.logs_of_databases;
    let all = first + (each + logs) * (MANY - BEFORE as u64);
    lines.push(Line::goal(
        &format!("P9: {MANY} tasks on a repository of 1 GB, from {tasks}"),
        "<= 3 GB",
        format!("{:.2} GB, {:.2} GB of it behind the first {BEFORE} tasks", all as f64 / 1e9, first as f64 / 1e9),
        format!("{:.2} of it", all as f64 / 3e9),
        all <= 3_000_000_000,
    ));
    Ok(())
}

/// Does what its role must.
const WORKER: &str = r#"
case "$ORCH_ROLE" in
developer) echo "$ORCH_WORK_ITEM" >"$ORCH_WORK_ITEM.txt" ;;
reviewer) mkdir -p "$ORCH_ARTEFACT_DIR"; printf -- '---\nverdict: APPROVED\nfindings: []\n---\n\nFine.\n' >"$ORCH_ARTEFACT_DIR/12-review.md" ;;
esac
"#;

/// Bytes on the disk below a state directory.
struct Used {
    runs: u64,
    /// These are as large after ten tasks as after a thousand.
    logs_of_databases: u64,
    rest: u64,
}

impl Used {
    fn of(state: &Path) -> Result<Self> {
        let mut seen = BTreeSet::new();
        let runs = used(&state.join("runs"), &mut seen)?;
        let mut logs_of_databases = 0;
        for entry in fs::read_dir(state)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name.ends_with("-wal") || name.ends_with("-shm") {
                logs_of_databases += path.metadata().map_or(0, |meta| meta.blocks() * 512);
            }
        }
        let rest = used(state, &mut seen)? - logs_of_databases;
        Ok(Self { runs, logs_of_databases, rest })
    }
}

/// What has two names counts once.
fn used(dir: &Path, seen: &mut BTreeSet<(u64, u64)>) -> Result<u64> {
    let mut sum = 0;
    for entry in fs::read_dir(dir).with_context(|| format!("read {}", dir.display()))? {
        let entry = entry?;
        // What goes while it is counted is not there.
        let Ok(meta) = entry.path().symlink_metadata() else { continue };
        if seen.insert((meta.dev(), meta.ino())) {
            sum += meta.blocks() * 512;
            if meta.is_dir() {
                sum += used(&entry.path(), seen)?;
            }
        }
    }
    Ok(sum)
}

/// Made once.
fn repository(bench: &Bench) -> Result<PathBuf> {
    let dir = bench.dir()?.join(format!("large-{COMMITS}"));
    if dir.join("complete").exists() {
        return Ok(dir.join("repo"));
    }
    super::say("making a repository of 60,000 commits and 1 GB, once")?;
    let _ = fs::remove_dir_all(&dir);
    let repo = dir.join("repo");
    fs::create_dir_all(&repo)?;
    let git = |args: &[&str]| git_in(&repo, args);
    git(&["init", "--quiet", "--initial-branch=main"])?;
    let mut import = Command::new("git")
        .args(["-c", "core.compression=0", "fast-import", "--quiet"])
        .current_dir(&repo)
        .stdin(Stdio::piped())
        .spawn()?;
    let mut out = BufWriter::new(import.stdin.take().context("no stdin")?);
    let mut random = 0x9E37_79B9_7F4A_7C15_u64;
    let mut bytes = vec![0; BYTES];
    for n in 1..=COMMITS {
        for chunk in bytes.chunks_mut(8) {
            // Xorshift: nothing of it is worth packing.
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            chunk.copy_from_slice(&random.to_le_bytes()[..chunk.len()]);
        }
        let message = format!("Change {n}");
        write!(
            out,
            "commit refs/heads/main\ncommitter Anna <anna@example.org> {} +0000\ndata {}\n{message}\n",
            1_000_000_000 + n * 600,
            message.len()
        )?;
        write!(out, "M 100644 inline data/{:03}.bin\ndata {BYTES}\n", n % FILES)?;
        out.write_all(&bytes)?;
        out.write_all(b"\n")?;
    }
    out.flush()?;
    drop(out);
    ensure!(import.wait()?.success(), "git fast-import failed");
    git(&["reset", "--quiet", "--hard", "main"])?;
    fs::write(dir.join("complete"), "")?;
    Ok(repo)
}
