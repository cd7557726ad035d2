//! P1 and P4: what claiming and finishing jobs costs. The real verbs of the real store against the bare engine, in turns
//! of a second, so that a noisy neighbour disturbs both.

use super::raw::{self, Raw};
use super::stats::{Line, Met, Times, median, ms};
use super::{Bench, life};
use anyhow::{Context, Result};
use orch_core::decide::{Decided, LeaseView, Snapshot, decide};
use orch_core::effect::Lane;
use orch_core::ids::TaskId;
use orch_core::pipeline::Pipeline;
use orch_core::task::Task;
use orch_store::sqlite::OpenOptions;
use orch_store::{Queue, SqliteStore, Tasks};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// Jobs per turn of the comparison of single jobs.
const TURN: usize = 400;
/// Jobs per commit of the bare engine's batches.
const RAW_BATCH: usize = 100;

fn open(bench: &Bench, name: &str) -> Result<Arc<SqliteStore>> {
    Ok(Arc::new(SqliteStore::open(bench.fresh(name)?, OpenOptions::default())?))
}

/// A worker that lives one task after the other and finishes one job at a time.
struct Single {
    store: Arc<SqliteStore>,
    tasks: u64,
    lane: Option<Lane>,
}

impl Single {
    /// Time of so many jobs; making tasks is not counted, for it is no job.
    async fn turn(&mut self, jobs: usize) -> Result<Duration> {
        let mut took = Duration::ZERO;
        for _ in 0..jobs {
            let lane = if let Some(lane) = self.lane {
                lane
            } else {
                self.tasks += 1;
                life::begin(&*self.store, "RAW", self.tasks, Pipeline::full()).await?.1
            };
            let began = Instant::now();
            let job = self.store.claim(life::claim(lane, "w")).await?.context("a job that was made is not there")?;
            let stepped = self.store.step(life::settle(&job)).await?;
            took += began.elapsed();
            self.lane = life::next_lane(&stepped);
        }
        Ok(took)
    }
}

/// The bare engine for about so many jobs, two commits for as many as it has tasks side by side; the time and the number.
/// Making new tasks is counted where it is for the store.
fn raw_turn(raw: &mut Raw, jobs: usize, making_tasks: bool) -> Result<(Duration, usize)> {
    let (mut took, mut done) = (Duration::ZERO, 0);
    while done < jobs {
        let mut began = Instant::now();
        raw.begin()?;
        raw.prepare()?;
        if !making_tasks {
            raw.commit()?;
            began = Instant::now();
            raw.begin()?;
        }
        let claimed = raw.claim()?;
        raw.commit()?;
        raw.begin()?;
        done += claimed.len();
        for job in claimed {
            raw.finish(job)?;
        }
        raw.commit()?;
        took += began.elapsed();
    }
    Ok((took, done))
}

/// Many workers at once for a while: jobs per second, and how long each claim took.
async fn crowd(store: &Arc<SqliteStore>, workers: usize, first: u64, lasts: Duration) -> Result<(f64, Times)> {
    // A project each: the merge lease of one repository would make them wait for each other.
    let mut lanes = Vec::new();
    for n in 0..workers {
        lanes.push(life::begin(&**store, &format!("P{n}"), first, Pipeline::full()).await?.1);
    }
    let began = Instant::now();
    let mut all = JoinSet::new();
    for (n, mut lane) in lanes.into_iter().enumerate() {
        let store = Arc::clone(store);
        all.spawn(async move {
            let worker = format!("w{n}");
            let mut claims = Vec::new();
            let mut number = first;
            while began.elapsed() < lasts {
                let asked = Instant::now();
                let job = store.claim(life::claim(lane, &worker)).await?.context("a job that was made is not there")?;
                claims.push(asked.elapsed());
                let stepped = store.step(life::settle(&job)).await?;
                lane = if let Some(lane) = life::next_lane(&stepped) {
                    lane
                } else {
                    number += 1;
                    // The project whose task has ended gets the next one.
                    let number = number * 10_000 + n as u64;
                    life::begin(&*store, job.project.as_str(), number, Pipeline::full()).await?.1
                };
            }
            anyhow::Ok(claims)
        });
    }
    let mut claims = Vec::new();
    while let Some(of_one) = all.join_next().await {
        claims.extend(of_one??);
    }
    let rate = claims.len() as f64 / began.elapsed().as_secs_f64();
    Ok((rate, Times::of(claims)?))
}

fn per_second((took, done): (Duration, usize)) -> f64 {
    done as f64 / took.as_secs_f64()
}

/// What the peer came to in the same turns, if there is one.
fn against(what: &str, ours: &[f64], theirs: &[f64]) -> Option<Line> {
    (!theirs.is_empty()).then(|| {
        let ratio = median(ours.iter().zip(theirs).map(|(a, b)| a / b).collect());
        let (ours, theirs) = (median(ours.to_vec()), median(theirs.to_vec()));
        let mut line = Line::info(
            &format!("{what}, beside graphile-worker"),
            format!("{ours:.0}/s, graphile-worker {theirs:.0}/s"),
        );
        line.ratio = format!("{ratio:.2} of it");
        line
    })
}

/// P1.
pub(super) async fn throughput(bench: &Bench, lines: &mut Vec<Line>) -> Result<()> {
    let record = async || raw::record(&bench.fresh("record.db")?, Pipeline::full()).await;
    let mut raw = Raw::open(&bench.fresh("raw.db")?, record().await?, 1)?;
    let mut single = Single { store: open(bench, "single.db")?, tasks: 0, lane: None };
    raw_turn(&mut raw, TURN, false)?;
    single.turn(TURN).await?;
    let mut peer = bench.peer();
    let (mut bare, mut ours, mut beside) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..bench.rounds {
        // Each comes first as often as the others.
        for who in 0..3 {
            match ((round + who) % 3, peer.as_mut()) {
                (0, _) => bare.push(per_second(raw_turn(&mut raw, TURN, false)?)),
                (1, _) => ours.push(TURN as f64 / single.turn(TURN).await?.as_secs_f64()),
                (_, Some(peer)) => beside.push(peer.rate("single", TURN)?),
                (_, None) => {}
            }
        }
    }
    let share = median(ours.iter().zip(&bare).map(|(a, b)| a / b).collect());
    lines.push(Line::goal(
        "P1 single job: claim + finish, 2 durable commits",
        ">= 92 % of raw SQLite",
        format!("{:.0}/s, raw {:.0}/s, medians of {} turns", median(ours.clone()), median(bare), bench.rounds),
        format!("{:.1} % of raw", share * 100.0),
        share >= 0.92,
    ));
    lines.extend(against("P1 single job", &ours, &beside));
    drop(single);

    let mut raw = Raw::open(&bench.fresh("batches.db")?, record().await?, RAW_BATCH)?;
    let store = open(bench, "crowd.db")?;
    let (mut bare, mut ours, mut beside) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..bench.rounds {
        for who in 0..3 {
            match ((round + who) % 3, peer.as_mut()) {
                (0, _) => bare.push(per_second(raw_turn(&mut raw, 50 * RAW_BATCH, true)?)),
                (1, _) => {
                    ours.push(crowd(&store, bench.workers, 1_000 * (1 + round as u64), bench.turn).await?.0);
                }
                (_, Some(peer)) => beside.push(peer.rate("batched", 100 * RAW_BATCH)?),
                (_, None) => {}
            }
        }
    }
    let share = median(ours.iter().zip(&bare).map(|(a, b)| a / b).collect());
    lines.push(Line::goal(
        &format!("P1 batched: {} workers, group commit", bench.workers),
        ">= 75 % of raw SQLite",
        format!(
            "{:.0}/s, raw in batches of {RAW_BATCH} {:.0}/s, medians of {} turns",
            median(ours.clone()),
            median(bare),
            bench.rounds
        ),
        format!("{:.1} % of raw", share * 100.0),
        share >= 0.75,
    ));
    lines.extend(against("P1 batched", &ours, &beside));
    lines.extend(inside(&store).await?);
    Ok(())
}

/// Where a step's time goes, of what can be measured from outside: reading the task, deciding, writing it.
async fn inside(store: &Arc<SqliteStore>) -> Result<Vec<Line>> {
    let task = store.task(TaskId(1)).await?.context("the first task is gone")?;
    let text = serde_json::to_string(&task)?;
    let per = |times: u32, f: &mut dyn FnMut() -> Result<()>| -> Result<f64> {
        let began = Instant::now();
        for _ in 0..times {
            f()?;
        }
        Ok(began.elapsed().as_secs_f64() * 1e6 / f64::from(times))
    };
    let read = per(5_000, &mut || {
        std::hint::black_box(serde_json::from_str::<Task>(&text)?);
        Ok(())
    })?;
    let write = per(5_000, &mut || {
        std::hint::black_box(serde_json::to_string(&task)?);
        Ok(())
    })?;
    let mut fresh = task.clone();
    fresh.phase = orch_core::task::Phase::Idle;
    let snapshot = Snapshot { task: fresh, lease: LeaseView::default(), spent_micro_usd: 0 };
    let (policy, event) = (life::policy(), orch_core::event::Event::Started { by: life::anna() });
    let think = per(5_000, &mut || {
        anyhow::ensure!(matches!(decide(&snapshot, &policy, &event, life::now()), Decided::Apply(_)), "it was ignored");
        Ok(())
    })?;
    Ok(vec![Line::info(
        "of a step: read the task, decide, write it",
        format!("{read:.0} + {think:.0} + {write:.0} µs for {} bytes", text.len()),
    )])
}

/// P4.
pub(super) async fn contention(bench: &Bench, lines: &mut Vec<Line>) -> Result<()> {
    const WORKERS: usize = 64;
    let store = open(bench, "contention.db")?;
    let (mut worst, mut p99, mut count) = (Vec::new(), Vec::new(), 0);
    for round in 0..bench.rounds.div_ceil(3) {
        let (_, claims) = crowd(&store, WORKERS, 1_000 * (1 + round as u64), bench.turn).await?;
        worst.push(claims.worst().as_secs_f64());
        p99.push(claims.at(0.99).as_secs_f64());
        count += claims.count();
    }
    let all = worst.iter().copied().fold(0.0, f64::max);
    let (all, middle, p99) =
        (Duration::from_secs_f64(all), Duration::from_secs_f64(median(worst)), Duration::from_secs_f64(median(p99)));
    let goal = Duration::from_millis(50);
    lines.push(Line {
        what: format!("P4 worst claim of {WORKERS} workers ({count} claims)"),
        goal: format!("<= {}", ms(goal)),
        measured: format!("{}; median over rounds {}, p99 {}", ms(all), ms(middle), ms(p99)),
        ratio: format!("{:.2} of it", all.as_secs_f64() / goal.as_secs_f64()),
        met: Met::when(all <= goal),
    });
    Ok(())
}
