//! The tests of a repository, run once on the commit its tasks would start from: in a clean checkout, prepared as gates
//! prepare theirs. Another way is tried where a plan is red and its tests are not what is red.

use super::missing::{self, Missing};
use super::plan::Plan;
use super::verdict::{Outcome, Trial, duration, is_anothers, judged, lacks_generated};
use crate::by_hand::{Asked, Ground, unless_stopped, was_stopped};
use crate::config::Config;
use orch_engine::prepare::Phase;
use orch_ports::supervisor::files;
use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// So many ways are tried, the first one included.
const MOST: usize = 3;
/// How often something is said where nobody looks at a terminal.
const WORD_EVERY: Duration = Duration::from_secs(30);

/// It was stopped by whoever started it; everything is gone.
pub(super) struct Stopped;

/// Where and how it is run.
pub(super) struct Place<'a> {
    pub(super) top: &'a Path,
    pub(super) commit: &'a str,
    pub(super) env: &'a BTreeMap<String, String>,
    /// Say what is under way, on standard error.
    pub(super) tells: bool,
}

impl Place<'_> {
    fn path(&self) -> String {
        self.env.get("PATH").cloned().unwrap_or_else(|| "/usr/bin:/bin".into())
    }

    /// Runs a plan and, where it could not begin, its others. The plan that comes back is the one that was
    /// green, else the first.
    pub(super) fn run(
        &self,
        plan: &Plan,
        config: impl Fn(&Plan) -> Result<Config, String>,
        has: impl Fn(&str) -> bool,
    ) -> Result<(Plan, Trial), Stopped> {
        let mut before = Vec::new();
        let mut first: Option<Trial> = None;
        let others: Vec<Plan> = plan.others.iter().map(|other| plan.with(other)).collect();
        let generated: Vec<bool> = plan.others.iter().map(|other| other.if_generated).collect();
        let mut ways = std::iter::once((plan.clone(), false)).chain(others.into_iter().zip(generated));
        let mut tries = 0;
        while let Some((way, if_generated)) = ways.next().filter(|_| tries < MOST) {
            if if_generated && !first.as_ref().is_some_and(lacks_generated) {
                continue;
            }
            tries += 1;
            let trial = match way.tools.iter().find(|tool| !has(tool)) {
                Some(tool) => self.without(tool),
                None => match config(&way) {
                    Ok(config) => self.once(&config, &way)?,
                    Err(why) => self.unknown(why, Duration::ZERO),
                },
            };
            if matches!(trial.outcome, Outcome::Green) {
                return Ok((way, Trial { before, ..trial }));
            }
            let settled = !is_anothers(&trial);
            before.push(way.test.clone());
            first.get_or_insert(trial);
            if settled {
                break;
            }
        }
        let first = first.unwrap_or_else(|| self.unknown("nothing was run".into(), Duration::ZERO));
        Ok((
            Plan { others: Vec::new(), ..plan.clone() },
            Trial { before: before.split_off(1.min(before.len())), ..first },
        ))
    }

    /// Runs what a configuration says.
    pub(super) fn once(&self, config: &Config, plan: &Plan) -> Result<Trial, Stopped> {
        let began = Instant::now();
        let path = self.path();
        let Some(asked) = Asked::commit(self.top, self.env.get("PATH"), self.commit) else {
            return Ok(self.unknown(format!("cannot find the objects of {}", self.top.display()), began.elapsed()));
        };
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
        let runtime = match runtime {
            Ok(runtime) => runtime,
            Err(e) => return Ok(self.unknown(format!("cannot start: {e}"), began.elapsed())),
        };
        let progress = Progress::new(self.tells);
        let ran = runtime.block_on(unless_stopped(async {
            let ground = Ground::make(&asked, Some(config), path).await?;
            ground.tests(&|run| progress.look(run, plan)).await
        }));
        progress.end();
        let took = began.elapsed();
        match ran {
            Ok(Some(run)) => {
                let gave_up = progress.gave_up().then_some(PATIENCE);
                Ok(Trial { outcome: judged(&run, plan, gave_up), ..self.unknown(String::new(), took) })
            }
            Ok(None) => Ok(self.unknown("no test command is configured".into(), took)),
            Err(fault) if was_stopped(&fault) => Err(Stopped),
            Err(fault) => Ok(self.unknown(fault.text, took)),
        }
    }

    fn unknown(&self, why: String, took: Duration) -> Trial {
        Trial {
            commit: self.commit.to_owned(),
            outcome: Outcome::Unknown { missing: missing::read(&why, &Plan::default()), why },
            took,
            before: Vec::new(),
        }
    }

    fn without(&self, tool: &str) -> Trial {
        let outcome = Outcome::Red {
            step: "tools",
            end: format!("`{tool}` is not on this machine"),
            lines: Vec::new(),
            missing: vec![missing::tool(tool)],
            not_begun: true,
        };
        Trial { outcome, ..self.unknown(String::new(), Duration::ZERO) }
    }
}

/// How long a run may be silent that has said what it lacks: some wait for a server for ever.
const PATIENCE: Duration = Duration::from_mins(1);

/// Says what is under way: on a terminal in one line that is written again and again, elsewhere now and then.
struct Progress {
    tells: bool,
    on_terminal: bool,
    began: Instant,
    said: Mutex<Instant>,
    gave_up: AtomicBool,
}

impl Progress {
    fn new(tells: bool) -> Self {
        let now = Instant::now();
        Self {
            tells,
            on_terminal: std::io::stderr().is_terminal(),
            began: now,
            said: Mutex::new(now),
            gave_up: AtomicBool::new(false),
        }
    }

    /// Tells of a run; `true`: there is nothing to wait for.
    fn look(&self, run: &Path, plan: &Plan) -> bool {
        self.tell(run);
        let outputs = [files::STDOUT, files::STDERR].map(|name| run.join(name));
        let silent = |file: &PathBuf| {
            let written = std::fs::metadata(file).and_then(|meta| meta.modified()).ok();
            written.and_then(|at| at.elapsed().ok()).is_some_and(|quiet| PATIENCE <= quiet)
        };
        if self.gave_up() || !outputs.iter().all(silent) {
            return false;
        }
        let lacks = |m: &Missing| ["tool", "service"].contains(&m.kind);
        let known = outputs.iter().any(|file| missing::read(&end_of(file), plan).iter().any(lacks));
        self.gave_up.store(known, Ordering::Relaxed);
        known
    }

    fn gave_up(&self) -> bool {
        self.gave_up.load(Ordering::Relaxed)
    }

    fn tell(&self, run: &Path) {
        if !self.tells {
            return;
        }
        let mut said = self.said.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if !self.on_terminal && said.elapsed() < WORD_EVERY {
            return;
        }
        *said = Instant::now();
        let has_setup = run.join("phase").exists();
        let phase = if has_setup && Phase::of(run) == Phase::Setup { "setup" } else { "tests" };
        let last: String = last_line(run).chars().take(60).collect();
        let line = format!("  {phase}, {}: {last}", duration(self.began.elapsed()));
        let mut err = std::io::stderr();
        let _ = if self.on_terminal { write!(err, "\r\x1b[2K{line}") } else { writeln!(err, "{line}") };
        let _ = err.flush();
    }

    fn end(&self) {
        if self.tells && self.on_terminal {
            let _ = write!(std::io::stderr(), "\r\x1b[2K");
        }
    }
}

/// The last line of the output that was written to last.
fn last_line(run: &Path) -> String {
    let written = |file: &PathBuf| std::fs::metadata(file).and_then(|meta| meta.modified()).ok();
    let file = [files::STDOUT, files::STDERR].map(|name| run.join(name)).into_iter().max_by_key(written);
    let text = file.map(|file| end_of(&file)).unwrap_or_default();
    let line = text.lines().rev().find(|line| line.chars().any(char::is_alphanumeric)).unwrap_or_default();
    missing::plain(line).chars().filter(|c| !c.is_control()).collect()
}

fn end_of(file: &Path) -> String {
    use std::io::{Read as _, Seek as _, SeekFrom};
    let Ok(mut file) = std::fs::File::open(file) else { return String::new() };
    let len = file.metadata().map_or(0, |meta| meta.len());
    let mut bytes = Vec::new();
    if file.seek(SeekFrom::Start(len.saturating_sub(2_000))).is_ok() {
        let _ = file.read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
