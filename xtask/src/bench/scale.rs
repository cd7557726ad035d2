//! P6 and the part of R6 about a restart: the real binary, idle and with the database of years. And what keeps a claim
//! cheap there: finished rows are in another table than the one it looks at.

use super::daemon::{Daemon, free_address};
use super::stats::{Line, Times, median, ms};
use super::{Bench, fill, life};
use anyhow::{Context, Result, ensure};
use orch_core::effect::Lane;
use rusqlite::{Connection, OpenFlags};
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// How long an idle daemon is watched.
const IDLE: Duration = Duration::from_secs(30);
/// Requests per address.
const REQUESTS: usize = 200;

/// A repository and an `orch.toml` for it; the database is `.orch/orch.db` beside it.
pub(super) fn instance(dir: &Path, address: SocketAddr) -> Result<PathBuf> {
    let repo = dir.join("repo");
    if !repo.exists() {
        fs::create_dir_all(&repo)?;
        fs::write(repo.join("README.md"), "Nothing.\n")?;
        git(&repo, &["init", "--quiet", "--initial-branch=main"])?;
        git(&repo, &["add", "."])?;
        git(&repo, &["commit", "--quiet", "--message=first"])?;
    }
    let config = dir.join("orch.toml");
    fs::write(
        &config,
        format!(
            "[server]\nlisten = \"{address}\"\n\n[db]\npath = \".orch/orch.db\"\n\n[agents]\ndefault = \"scripted\"\n\n\
             [agents.programs.scripted]\nkind = \"scripted\"\n\n[[project]]\nkey = \"BENCH\"\nrepo = \"repo\"\n\
             default_branch = \"main\"\npipeline = \"full\"\napprovers = [\"local:anna\"]\nstarters = [\"local:anna\"]\n\
             allow_untested = true\n\n[project.deploy]\nstaging = \"true\"\nproduction = \"true\"\n"
        ),
    )?;
    Ok(config)
}

fn git(dir: &Path, args: &[&str]) -> Result<()> {
    let out = Command::new("git")
        .args(["-c", "user.name=Anna", "-c", "user.email=anna@example.org", "-c", "commit.gpgSign=false"])
        .args(args)
        .current_dir(dir)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .output()
        .context("run git")?;
    ensure!(out.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&out.stderr));
    Ok(())
}

fn starts(config: &Path, address: SocketAddr, times: usize) -> Result<Times> {
    let mut all = Vec::new();
    for _ in 0..times {
        let began = Instant::now();
        let mut daemon = Daemon::start(config, address)?;
        daemon.wait_live()?;
        all.push(began.elapsed());
        daemon.kill()?;
    }
    Times::of(all)
}

/// Memory and processor of a daemon nobody asks anything.
fn idle(daemon: &Daemon) -> Result<(u64, f64)> {
    let before = daemon.cpu()?;
    std::thread::sleep(IDLE);
    let used = daemon.cpu()?.saturating_sub(before);
    Ok((daemon.rss()?, used.as_secs_f64() / IDLE.as_secs_f64() * 100.0))
}

fn mb(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

fn answers(daemon: &Daemon, path: &str, requests: usize) -> Result<(Times, usize)> {
    let mut all = Vec::new();
    let mut bytes = 0;
    for _ in 0..requests {
        let began = Instant::now();
        let (status, body) = daemon.get(path)?;
        all.push(began.elapsed());
        ensure!(status == 200, "{path} answers {status}: {body}");
        bytes = body.len();
    }
    Ok((Times::of(all)?, bytes))
}

/// P6 and R6.
pub(super) async fn measure(bench: &Bench, lines: &mut Vec<Line>) -> Result<()> {
    small(bench, lines)?;
    let dir = bench.dir()?.join("big");
    fs::create_dir_all(dir.join(".orch"))?;
    let db = dir.join(".orch/orch.db");
    let began = Instant::now();
    fill::ensure(&db).await?;
    let c = Connection::open_with_flags(&db, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let count =
        |what: &str| -> Result<i64> { Ok(c.query_row(&format!("SELECT count(*) FROM {what}"), [], |r| r.get(0))?) };
    let (finished, open, tasks) = (count("job_done")?, count("job")?, count("task")?);
    let size = fs::metadata(&db)?.len();
    lines.push(Line::info(
        "the database of years",
        format!(
            "{finished} finished and {open} open jobs, {tasks} tasks: {}, {} bytes a finished job (made in {} s)",
            mb(size),
            size as i64 / finished,
            began.elapsed().as_secs()
        ),
    ));
    hot_path(&c, lines)?;
    big(&dir, &db, &c, lines)
}

/// A new instance with nothing to do.
fn small(bench: &Bench, lines: &mut Vec<Line>) -> Result<()> {
    let dir = bench.dir()?.join("small");
    let _ = fs::remove_dir_all(&dir);
    let address = free_address()?;
    let config = instance(&dir, address)?;
    let first = starts(&config, address, 1)?;
    let again = starts(&config, address, 15)?;
    let most = Duration::from_millis(300);
    lines.push(Line::info("first start of all to /livez", ms(first.at(0.5))));
    lines.push(Line::time("P6 cold start to /livez, small database, median of 15", again.at(0.5), most));
    let mut daemon = Daemon::start(&config, address)?;
    daemon.wait_live()?;
    std::thread::sleep(Duration::from_secs(3));
    let (rss, cpu) = idle(&daemon)?;
    daemon.kill()?;
    lines.push(memory("P6 idle memory, small database", rss));
    lines.push(processor("P6 idle processor over 30 s, small database", cpu));
    Ok(())
}

fn memory(what: &str, rss: u64) -> Line {
    Line::goal(what, "<= 40 MB", mb(rss), format!("{:.2} of it", rss as f64 / 40e6), rss <= 40_000_000)
}

fn processor(what: &str, cpu: f64) -> Line {
    Line::goal(what, "<= 0.3 %", format!("{cpu:.2} %"), format!("{:.2} of it", cpu / 0.3), cpu <= 0.3)
}

fn big(dir: &Path, db: &Path, c: &Connection, lines: &mut Vec<Line>) -> Result<()> {
    let address = free_address()?;
    let config = instance(dir, address)?;
    let start = starts(&config, address, 5)?;
    lines.push(Line::time("P6 start to /livez at 1 M jobs, median of 5", start.at(0.5), Duration::from_millis(300)));

    let mut took = Vec::new();
    for _ in 0..5 {
        let mut daemon = Daemon::start(&config, address)?;
        daemon.wait_live()?;
        fill::put_in_flight(db)?;
        ensure!(fill::in_flight(c)? == fill::IN_FLIGHT, "the jobs in flight could not be planted");
        let began = Instant::now();
        daemon.kill()?;
        let mut next = Daemon::start(&config, address)?;
        next.wait_live()?;
        next.wait(|_| fill::in_flight(c).is_ok_and(|n| n == 0))?;
        took.push(began.elapsed());
        next.kill()?;
    }
    lines.push(Line::time(
        &format!("R6 SIGKILL to serving, {} in flight classified, worst of 5", fill::IN_FLIGHT),
        Times::of(took)?.worst(),
        Duration::from_secs(2),
    ));

    let mut daemon = Daemon::start(&config, address)?;
    daemon.wait_live()?;
    std::thread::sleep(Duration::from_secs(5));
    let (rss, cpu) = idle(&daemon)?;
    lines.push(memory("P6 idle memory at 1 M jobs", rss));
    lines.push(processor("P6 idle processor over 30 s at 1 M jobs", cpu));
    for path in ["/queue", "/status"] {
        answers(&daemon, path, 5)?;
        let (times, bytes) = answers(&daemon, path, REQUESTS)?;
        let p99 = times.at(0.99);
        let goal = Duration::from_millis(20);
        lines.push(Line::goal(
            &format!("P6 {path} p99 at 1 M jobs, {} open", fill::OPEN),
            "<= 20 ms",
            format!("{} (p50 {}, {bytes} bytes)", ms(p99), ms(times.at(0.5))),
            format!("{:.2} of it", p99.as_secs_f64() / goal.as_secs_f64()),
            p99 <= goal,
        ));
    }
    let newest = format!("/api/v1/tasks/{}", newest_task(c)?);
    for path in [newest.as_str(), "/api/v1/tasks", "/"] {
        let (times, bytes) = answers(&daemon, path, 5)?;
        lines.push(Line::info(&format!("{path} at 1 M jobs"), format!("p50 {}, {bytes} bytes", ms(times.at(0.5)))));
    }
    lines.push(Line::info("memory after these requests", mb(daemon.rss()?)));
    daemon.kill()
}

fn newest_task(c: &Connection) -> Result<String> {
    Ok(c.query_row("SELECT item FROM task ORDER BY id DESC LIMIT 1", [], |r| r.get(0))?)
}

/// The claim of a lane on this database: its plan, and its time with nothing to claim behind ten thousand jobs whose time
/// has not come.
fn hot_path(c: &Connection, lines: &mut Vec<Line>) -> Result<()> {
    let sql = "SELECT q.id FROM job q WHERE q.state = 'queued' AND q.lane = ?1 AND q.available_at <= ?2 \
               AND (q.exclusive IS NULL OR NOT EXISTS \
               (SELECT 1 FROM job r WHERE r.state = 'running' AND r.exclusive = q.exclusive)) \
               ORDER BY q.available_at, q.id LIMIT 1";
    let mut plan = c.prepare(&format!("EXPLAIN QUERY PLAN {sql}"))?;
    let lane = Lane::Gate.as_str();
    let plan: Vec<String> =
        plan.query_map(rusqlite::params![lane, 0], |r| r.get(3))?.collect::<rusqlite::Result<_>>()?;
    let plan = plan.join("; ");
    ensure!(!plan.contains("job_done") && !plan.contains("SCAN"), "a claim reads more than its index: {plan}");
    let mut query = c.prepare(sql)?;
    let mut times = Vec::new();
    for _ in 0..2_000 {
        let began = Instant::now();
        let _ = query.exists(rusqlite::params![lane, life::now().0])?;
        times.push(began.elapsed().as_secs_f64() * 1e6);
    }
    lines.push(Line::info("claim's search at 1 M finished jobs", format!("{:.1} µs; plan: {plan}", median(times))));
    Ok(())
}
