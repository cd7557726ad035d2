//! The plan: which fault strikes at which point, at which of its hits. It is a text that can be changed while the
//! process runs, and everything it does is written to a log first, so that whoever planned it knows what happened.
//!
//! `ORCH_FAULT='forge.merge:after=kill@3'`, or `ORCH_FAULT=@FILE` with one fault a line, read again when the file
//! changes and logged to `FILE.log`. A point is `port.method:before` or `:after`; `*` stands for any method or side.
//! Actions: `kill` the process, `error` (a passing fault; behind the call: the answer is lost), `full` (the error of a
//! full disk), `pause:MS` (the worker is paused and its claim not renewed meanwhile). Hits: `@3` the third, `@3+` from
//! the third on, `@/7` every seventh. Behind `#` stands a name for the log. `claim_ms=1500` shortens the life of claims
//! and `clock_ms=-86400000` moves the wall clock.

use orch_core::ids::JobId;
use orch_engine::at_work;
use orch_ports::Fault;
use orch_store::{Fence, Job, Reaped, Stepped, StoreError};
use rustix::process::{Signal, getpid, kill_process};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// The variable that names the plan.
pub const VARIABLE: &str = "ORCH_FAULT";

/// How long a worker goes on after a pause before it hears that its claim is lost. A real one would hear it at its next
/// heartbeat.
const UNHEARD: Duration = Duration::from_secs(1);

/// What a fault point answers instead of the port.
#[derive(Debug)]
pub struct Injected {
    point: &'static str,
    full: bool,
}

impl From<Injected> for Fault {
    fn from(injected: Injected) -> Self {
        Self::transient(format!("a planned fault at {}", injected.point))
    }
}

impl From<Injected> for StoreError {
    fn from(injected: Injected) -> Self {
        if injected.full { Self::Full } else { Self::Io(format!("a planned fault at {}", injected.point)) }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    Kill,
    Error,
    Full,
    Pause(u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hits {
    At(u64),
    From(u64),
    Every(u64),
}

impl Hits {
    fn strikes(self, hit: u64) -> bool {
        match self {
            Self::At(n) => hit == n,
            Self::From(n) => n <= hit,
            Self::Every(n) => hit.is_multiple_of(n),
        }
    }
}

/// One planned fault.
#[derive(Clone, Debug)]
struct Planned {
    name: String,
    point: String,
    act: Act,
    hits: Hits,
}

impl Planned {
    fn is_at(&self, point: &str) -> bool {
        let parts = |text: &str| -> Option<[String; 3]> {
            let (port, rest) = text.split_once('.')?;
            let (method, side) = rest.split_once(':')?;
            Some([port.to_owned(), method.to_owned(), side.to_owned()])
        };
        self.point == "*"
            || match (parts(&self.point), parts(point)) {
                (Some(wanted), Some(here)) => wanted.iter().zip(&here).all(|(w, h)| w == "*" || w == h),
                _ => false,
            }
    }
}

/// A plan as it was read.
#[derive(Clone, Debug, Default)]
struct Plan {
    faults: Vec<Planned>,
    claim_ms: Option<i64>,
    clock_ms: i64,
}

impl Plan {
    fn parse(text: &str) -> Result<Self, String> {
        let mut plan = Self::default();
        for line in text.split(['\n', ';']).map(str::trim).filter(|l| !l.is_empty()) {
            let (rule, name) = line.split_once('#').map_or((line, line), |(r, n)| (r.trim(), n.trim()));
            let wrong = || format!("{VARIABLE}: cannot read {line:?}: write POINT=ACTION[@HITS]");
            let (point, what) = rule.split_once('=').ok_or_else(wrong)?;
            match point {
                "claim_ms" => plan.claim_ms = Some(what.parse().map_err(|_| wrong())?),
                "clock_ms" => plan.clock_ms = what.parse().map_err(|_| wrong())?,
                _ => {
                    let (act, hits) = what.split_once('@').unwrap_or((what, "1"));
                    let act = match act.split_once(':') {
                        None if act == "kill" => Act::Kill,
                        None if act == "error" => Act::Error,
                        None if act == "full" => Act::Full,
                        Some(("pause", ms)) => Act::Pause(ms.parse().map_err(|_| wrong())?),
                        _ => return Err(wrong()),
                    };
                    let number = |text: &str| text.parse::<u64>().ok().filter(|n| 0 < *n).ok_or_else(wrong);
                    let hits = match (hits.strip_prefix('/'), hits.strip_suffix('+')) {
                        (Some(n), _) => Hits::Every(number(n)?),
                        (None, Some(n)) => Hits::From(number(n)?),
                        (None, None) => Hits::At(number(hits)?),
                    };
                    let (name, point) = (name.to_owned(), point.to_owned());
                    plan.faults.push(Planned { name, point, act, hits });
                }
            }
        }
        Ok(plan)
    }
}

/// What is known of a claimed job.
#[derive(Debug)]
struct Known {
    epoch: u64,
    effect: String,
    lost: bool,
    settled: bool,
}

/// Identity and state of the plan's file when it was read.
type Stamp = (u64, SystemTime, u64);

#[derive(Debug, Default)]
struct State {
    plan: Plan,
    read: Option<Stamp>,
    /// Hits of each planned fault, by name.
    hits: BTreeMap<String, u64>,
    seen: BTreeSet<&'static str>,
    jobs: BTreeMap<JobId, Known>,
    /// Workers that are paused (no end yet), or have been until a moment ago; by job and epoch.
    paused: BTreeMap<(JobId, u64), Option<Instant>>,
}

/// The plan at work.
#[derive(Debug)]
pub struct Faults {
    file: Option<PathBuf>,
    log: Option<File>,
    state: Mutex<State>,
}

impl Faults {
    /// The plan this process was started with, for these points; without one, nothing ever strikes.
    pub(super) fn planned(env: &BTreeMap<String, String>, points: &[&str]) -> Result<Arc<Self>, Fault> {
        let wanted = env.get(VARIABLE).map(String::as_str).unwrap_or_default();
        let faults = if let Some(file) = wanted.strip_prefix('@') {
            let log = OpenOptions::new().create(true).append(true).open(format!("{file}.log"));
            let log = log.map_err(|e| Fault::permanent(format!("{VARIABLE}: open {file}.log: {e}")))?;
            Self { file: Some(PathBuf::from(file)), log: Some(log), state: Mutex::default() }
        } else {
            let plan = Plan::parse(wanted).map_err(Fault::permanent)?;
            Self { file: None, log: None, state: Mutex::new(State { plan, ..State::default() }) }
        };
        faults.say(&format!("points {}", points.join(" ")));
        drop(faults.state());
        Ok(Arc::new(faults))
    }

    /// The state, after the plan was read again if its file is another one now.
    fn state(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = &self.file {
            let stamp = stamp(file);
            if stamp.is_some() && stamp != state.read {
                match std::fs::read_to_string(file).map_err(|e| e.to_string()).and_then(|t| Plan::parse(&t)) {
                    Ok(plan) => state.plan = plan,
                    Err(why) => self.say(&format!("wrong {why}")),
                }
                state.read = stamp;
            }
        }
        state
    }

    /// One line of the log, in one write, so that it is there even if this process ends at once.
    fn say(&self, line: &str) {
        match self.log.as_ref() {
            // A log that cannot be written makes the run worthless, and whoever reads it will see that.
            Some(mut log) => drop(log.write_all(format!("{line}\n").as_bytes())),
            None if line.starts_with("points ") => {}
            None => tracing::warn!("fault points: {line}"),
        }
    }

    pub(super) fn claim_ms(&self) -> Option<i64> {
        self.state().plan.claim_ms
    }

    pub(super) fn clock_ms(&self) -> i64 {
        self.state().plan.clock_ms
    }

    /// The planned fault that strikes at this point now, and for whom.
    fn strike(&self, point: &'static str, by: Option<Fence>) -> Option<(Planned, Option<Fence>)> {
        let by = at_work().or(by);
        let mut state = self.state();
        if state.seen.insert(point) {
            self.say(&format!("seen {point}"));
        }
        let plan: Vec<Planned> = state.plan.faults.iter().filter(|f| f.is_at(point)).cloned().collect();
        for fault in plan {
            // Who has no claim cannot lose it.
            if matches!(fault.act, Act::Pause(_)) && by.is_none() {
                continue;
            }
            let hit = state.hits.entry(fault.name.clone()).or_default();
            *hit += 1;
            if fault.hits.strikes(*hit) {
                let whose = by.map_or_else(|| "- -".to_owned(), |by| describe(&state, by));
                self.say(&format!("fired {} {point} {whose}", fault.name));
                return Some((fault, by));
            }
        }
        None
    }

    /// A point of an asynchronous call.
    pub(super) async fn hit(&self, point: &'static str, by: Option<Fence>) -> Result<(), Injected> {
        if point == "store.heartbeat:before" && at_work().is_none() {
            // The claim of a paused worker is not renewed: the whole worker stands still.
            while by.is_some_and(|f| self.stands_still(f)) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        let Some((fault, by)) = self.strike(point, by) else { return Ok(()) };
        if let (Act::Pause(ms), Some(by)) = (fault.act, by) {
            let pause = Pause::begin(self, &fault, point, by);
            tokio::time::sleep(Duration::from_millis(ms)).await;
            pause.end();
            return Ok(());
        }
        refuse(&fault, point)
    }

    fn stands_still(&self, by: Fence) -> bool {
        match self.state().paused.get(&(by.job, by.epoch)) {
            Some(None) => true,
            Some(Some(until)) => Instant::now() < *until,
            None => false,
        }
    }

    /// A point of a call that blocks.
    pub(super) fn hit_here(&self, point: &'static str) -> Result<(), Injected> {
        let Some((fault, by)) = self.strike(point, None) else { return Ok(()) };
        if let (Act::Pause(ms), Some(by)) = (fault.act, by) {
            let pause = Pause::begin(self, &fault, point, by);
            tokio::task::block_in_place(|| std::thread::sleep(Duration::from_millis(ms)));
            pause.end();
            return Ok(());
        }
        refuse(&fault, point)
    }

    /// Learns of a claim.
    pub(super) fn claimed(&self, _: Option<Fence>, answer: &Result<Option<Job>, StoreError>) {
        if let Ok(Some(job)) = answer {
            let effect = format!("{:?}", job.effect);
            let effect = effect.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default().to_owned();
            let known = Known { epoch: job.epoch, effect, lost: false, settled: false };
            self.state().jobs.insert(job.id, known);
        }
    }

    /// Learns of claims that were taken back.
    pub(super) fn reaped(&self, _: Option<Fence>, answer: &Result<Vec<Reaped>, StoreError>) {
        let mut state = self.state();
        for reaped in answer.iter().flatten() {
            if let Some(known) = state.jobs.get_mut(&reaped.job) {
                known.lost = true;
            }
        }
    }

    /// Learns of a settled job.
    pub(super) fn stepped(&self, by: Option<Fence>, answer: &Result<Stepped, StoreError>) {
        if let (Some(by), Ok(Stepped::Applied { .. } | Stepped::Ignored { .. })) = (by, answer)
            && let Some(known) = self.state().jobs.get_mut(&by.job)
            && known.epoch == by.epoch
        {
            known.settled = true;
        }
    }
}

/// `7-3@2 Publish`.
fn describe(state: &State, by: Fence) -> String {
    let effect = state.jobs.get(&by.job).map_or("-", |k| k.effect.as_str());
    format!("{}@{} {effect}", by.job, by.epoch)
}

fn stamp(file: &Path) -> Option<Stamp> {
    use std::os::unix::fs::MetadataExt as _;
    let meta = std::fs::metadata(file).ok()?;
    Some((meta.ino(), meta.modified().ok()?, meta.len()))
}

fn refuse(fault: &Planned, point: &'static str) -> Result<(), Injected> {
    match fault.act {
        Act::Kill => {
            // Nothing may happen after this, in no thread: the signal ends them all.
            let _ = kill_process(getpid(), Signal::KILL);
            loop {
                std::thread::park();
            }
        }
        Act::Error => Err(Injected { point, full: false }),
        Act::Full => Err(Injected { point, full: true }),
        Act::Pause(_) => Ok(()),
    }
}

/// A worker that stands still. However the pause ends, the log says what had become of its claim.
struct Pause<'a> {
    faults: &'a Faults,
    name: String,
    point: &'static str,
    by: Fence,
    ended: bool,
}

impl<'a> Pause<'a> {
    fn begin(faults: &'a Faults, fault: &Planned, point: &'static str, by: Fence) -> Self {
        faults.state().paused.insert((by.job, by.epoch), None);
        Self { faults, name: fault.name.clone(), point, by, ended: false }
    }

    fn end(mut self) {
        self.ended = true;
    }
}

impl Drop for Pause<'_> {
    fn drop(&mut self) {
        let mut line = String::from(if self.ended { "resumed" } else { "dropped" });
        let mut state = self.faults.state();
        let became = match state.jobs.get(&self.by.job) {
            Some(k) if k.epoch != self.by.epoch && k.settled => "settled",
            Some(k) if k.epoch != self.by.epoch => "claimed",
            Some(k) if k.lost => "lost",
            Some(_) | None => "held",
        };
        let _ = write!(line, " {} {} {} {became}", self.name, self.point, describe(&state, self.by));
        self.faults.say(&line);
        let unheard = if became == "held" { Duration::ZERO } else { UNHEARD };
        state.paused.insert((self.by.job, self.by.epoch), Some(Instant::now() + unheard));
    }
}
