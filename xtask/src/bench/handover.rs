//! P5: from the end of one agent to the start of the next, with the real binary, a real repository and real runs. The
//! times are the supervisors' own exit records; where they went is read from the finished jobs.

use super::Bench;
use super::daemon::{Daemon, free_address};
use super::scale::instance;
use super::stats::{Line, Times, ms};
use anyhow::{Context, Result, ensure};
use orch_ports::supervisor::{ExitRecord, files};
use rusqlite::Connection;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// Tasks, one after the other; each hands over twice.
const TASKS: usize = 30;
/// No more are begun after this.
const LONGEST: Duration = Duration::from_secs(90);
/// Bringing in a repository of 1 GB takes its time.
pub(super) const IMPORT: Duration = Duration::from_mins(10);

/// P5.
pub(super) fn measure(bench: &Bench, lines: &mut Vec<Line>) -> Result<()> {
    let handovers = handovers(bench, Neighbour::None, None, TASKS)?;
    let all = Times::of(handovers.iter().map(|h| h.whole).collect())?;
    for (name, share, most) in [("p50", 0.5, 80), ("p99", 0.99, 150)] {
        let what = format!("P5 agent exit → gate judged → next agent started, {name} of {}", all.count());
        lines.push(Line::time(&what, all.at(share), Duration::from_millis(most)));
    }
    lines.push(Line::info("of it, p50 / p99", parts(&handovers)?));
    Ok(())
}

/// Where the time went.
pub(super) fn parts(handovers: &[Handover]) -> Result<String> {
    let show = |name: &str, f: fn(&Handover) -> Duration| -> Result<String> {
        let times = Times::of(handovers.iter().map(f).collect())?;
        Ok(format!("{name} {} / {}", ms(times.at(0.5)), ms(times.at(0.99))))
    };
    let all = [
        show("whole", |h| h.whole)?,
        show("exit to settled", |h| h.settle)?,
        show("publish (git)", |h| h.publish)?,
        show("gates", |h| h.gates)?,
        show("claim, clone, brief and spawn (git)", |h| h.launch)?,
        show("between jobs", |h| h.between)?,
    ];
    Ok(all.join("; "))
}

/// The same while another project of the instance is broken, slow or flooded.
pub(super) fn beside_others(bench: &Bench, lines: &mut Vec<Line>) -> Result<()> {
    for (neighbour, what) in
        [(Neighbour::Broken, "broken"), (Neighbour::Slow, "slow"), (Neighbour::Flooded, "flooded with 50 tickets")]
    {
        // In turns, so that what the machine does meanwhile does not speak for or against either.
        let (mut alone, mut beside) = (Vec::new(), Vec::new());
        for _ in 0..TURNS {
            alone.extend(self::handovers(bench, Neighbour::None, None, TASKS_OF_A_TURN)?.iter().map(|h| h.whole));
            beside.extend(self::handovers(bench, neighbour, None, TASKS_OF_A_TURN)?.iter().map(|h| h.whole));
        }
        let (alone, beside) = (Times::of(alone)?.at(0.5), Times::of(beside)?.at(0.5));
        let ratio = beside.as_secs_f64() / alone.as_secs_f64();
        lines.push(Line::goal(
            &format!("P5, p50, with another project {what}"),
            "<= 1.20 of alone",
            format!("{} beside {}", ms(beside), ms(alone)),
            format!("{ratio:.2} of it"),
            ratio <= 1.2,
        ));
    }
    Ok(())
}

/// Turns of each comparison with a neighbour, and tasks of a turn.
const TURNS: usize = 3;
const TASKS_OF_A_TURN: usize = 5;

/// What the other project of the instance is like.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Neighbour {
    /// There is none.
    None,
    /// Its repository is empty.
    Broken,
    /// Each of its agents takes longer than the measurement.
    Slow,
    /// It has fifty tickets, of turns that take five seconds.
    Flooded,
}

/// Hand-overs of tasks, one after the other, on a repository of one commit or on this one.
pub(super) fn handovers(
    bench: &Bench,
    neighbour: Neighbour,
    repo: Option<&Path>,
    tasks: usize,
) -> Result<Vec<Handover>> {
    let dir = bench.dir()?.join("handover");
    let _ = fs::remove_dir_all(&dir);
    if let Some(repo) = repo {
        fs::create_dir_all(&dir)?;
        std::os::unix::fs::symlink(repo, dir.join("repo"))?;
    }
    let address = free_address()?;
    let config = instance(&dir, address)?;
    let text = fs::read_to_string(&config)?.replace("[agents]\n", "[agents]\nmax_concurrency = 4\n");
    fs::write(&config, format!("{text}\n[gates.check_analysis_approved]\nmode = \"off\"\n{}", beside(neighbour)))?;
    if neighbour != Neighbour::None {
        let args: &[&str] = match neighbour {
            Neighbour::Broken => &["init", "--quiet", "--bare", "other.git"],
            _ => &["clone", "--quiet", "--bare", "repo", "other.git"],
        };
        let made = std::process::Command::new("git").args(args).current_dir(&dir).status()?;
        ensure!(made.success(), "the other repository cannot be made");
    }
    let mut daemon = Daemon::start(&config, address)?;
    daemon.wait_live()?;
    let state = dir.join(".orch");
    let (token, c) = super::daemon::state(&dir)?;
    let begin = |daemon: &Daemon, project: &str, n: usize| begin(daemon, &token, project, n);
    let others = match neighbour {
        Neighbour::None => 0,
        Neighbour::Broken | Neighbour::Slow => 4,
        Neighbour::Flooded => 50,
    };
    for n in 1..=others {
        begin(&daemon, "OTHER", n)?;
    }
    let mut handovers = Vec::new();
    let mut first = Instant::now();
    for n in 1..=tasks {
        if LONGEST < first.elapsed() {
            break;
        }
        begin(&daemon, "BENCH", n)?;
        // The scripted developer cannot write software: the task ends up blocked, behind three agents.
        daemon.wait_for(IMPORT, |_| {
            let sql = "SELECT count(*) FROM task WHERE project = 'BENCH' AND number = ?1 AND phase = 'blocked'";
            c.query_row(sql, [n as i64], |r| r.get::<_, i64>(0)).is_ok_and(|n| n == 1)
        })?;
        handovers.extend(of_task(&c, &state, n as i64)?);
        if n == 1 {
            // Bringing in the repository is not what is measured.
            first = Instant::now();
        }
    }
    daemon.kill()?;
    Ok(handovers)
}

/// A task is made and begun.
pub(super) fn begin(daemon: &Daemon, token: &str, project: &str, n: usize) -> Result<()> {
    let body = format!(
        "{{\"project\":\"{project}\",\"title\":\"Task {n}\",\"body\":\"Acceptance criteria:\\n- The page shows {n}.\",\"start\":true}}"
    );
    let (status, answer) = daemon.ask("POST", "/api/v1/tasks", token, &body)?;
    ensure!(status == 201, "a task was refused: {answer}");
    Ok(())
}

/// The other project's part of the configuration.
fn beside(neighbour: Neighbour) -> String {
    let nap = match neighbour {
        Neighbour::None => return String::new(),
        Neighbour::Broken | Neighbour::Slow => "120",
        Neighbour::Flooded => "5",
    };
    format!(
        "\n[agents.programs.other]\ncommand = [\"sleep\", \"{nap}\"]\n\n[[project]]\nkey = \"OTHER\"\nrepo = \"other.git\"\n\
         default_branch = \"main\"\npipeline = \"full\"\napprovers = [\"local:anna\"]\nstarters = [\"local:anna\"]\n\
         allow_untested = true\n\n[project.agents]\nanalyst = \"other\"\narchitect = \"other\"\ndeveloper = \"other\"\n\
         reviewer = \"other\"\ntester = \"other\"\n"
    )
}

/// One hand-over and its parts.
pub(super) struct Handover {
    pub(super) whole: Duration,
    settle: Duration,
    publish: Duration,
    gates: Duration,
    launch: Duration,
    between: Duration,
}

struct Ended {
    kind: String,
    seq: i64,
    created: i64,
    claimed: i64,
    finished: i64,
}

fn of_task(c: &Connection, state: &Path, number: i64) -> Result<Vec<Handover>> {
    let task: i64 =
        c.query_row("SELECT id FROM task WHERE project = 'BENCH' AND number = ?1", [number], |r| r.get(0))?;
    let mut sql = c.prepare(
        "SELECT kind, seq, created_at, claimed_at, finished_at FROM job_done WHERE task = ?1 \
         AND kind IN ('run_agent', 'publish', 'judge') ORDER BY seq",
    )?;
    let read = |r: &rusqlite::Row<'_>| {
        Ok(Ended { kind: r.get(0)?, seq: r.get(1)?, created: r.get(2)?, claimed: r.get(3)?, finished: r.get(4)? })
    };
    let jobs: Vec<Ended> = sql.query_map([task], read)?.collect::<rusqlite::Result<_>>()?;
    let record = |seq: i64| -> Result<ExitRecord> {
        let path = state.join("runs").join(format!("{task}-{seq}-1")).join(files::EXIT);
        let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        Ok(serde_json::from_str(&text)?)
    };
    let span = |from: i64, to: i64| Duration::from_millis((to - from).max(0).unsigned_abs());
    let mut found = Vec::new();
    let agents: Vec<usize> = (0..jobs.len()).filter(|i| jobs[*i].kind == "run_agent").collect();
    for pair in agents.windows(2) {
        let (one, next) = (&jobs[pair[0]], &jobs[pair[1]]);
        let (exit, start) = (record(one.seq)?.ended.0, record(next.seq)?.started.0);
        let mut h = Handover {
            whole: span(exit, start),
            settle: span(exit, one.finished),
            publish: Duration::ZERO,
            gates: Duration::ZERO,
            // Not from its claim: a later attempt has overwritten when that was.
            launch: span(next.created, start),
            between: Duration::ZERO,
        };
        let mut before = one.finished;
        for job in &jobs[pair[0] + 1..pair[1]] {
            let took = span(job.claimed, job.finished);
            if job.kind == "publish" {
                h.publish += took;
            } else {
                h.gates += took;
            }
            h.between += span(before, job.claimed);
            before = job.finished;
        }
        found.push(h);
    }
    Ok(found)
}
