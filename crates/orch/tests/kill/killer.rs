//! Chooses the moments, kills, starts again, and plays the person meanwhile. Rare phases are waited for, so that kills
//! are spread over all of them; what was hit is counted.

use crate::rng::Rng;
use crate::world::{KINDS, PROJECTS, World, field};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::Child;
use std::time::{Duration, Instant};

/// Phases that must be hit. `starting` is the time before the daemon answers.
pub(crate) const PHASES: &[&str] = &[
    "starting",
    "opening",
    "running",
    "publishing",
    "judging",
    "waiting",
    "awaiting_approval",
    "deploying",
    "preparing_merge",
    "merging",
    "watching",
];
/// Tasks under way at any time while kills are left.
const OPEN_TASKS: usize = 8;
/// Tasks of one project that edit the same lines at the same time.
const RIVALS: usize = 2;
/// Longest wait for a rare phase.
const HUNT: Duration = Duration::from_millis(900);
/// Longest undisturbed time all tasks together need to end.
const CALM: Duration = Duration::from_mins(3);

/// What was done.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) kills: u64,
    pub(crate) per_phase: BTreeMap<String, u64>,
    pub(crate) per_lane: BTreeMap<String, u64>,
    pub(crate) supervisors_killed: u64,
    pub(crate) agents_killed: u64,
    pub(crate) retries: u64,
    pub(crate) admin_commits: usize,
    pub(crate) ready_ms: Vec<u64>,
    pub(crate) seconds: u64,
    /// Tasks at the end, as the API showed them.
    pub(crate) ended: Vec<Value>,
}

pub(crate) struct Killer {
    world: World,
    rng: Rng,
    kills: u64,
    tally: Tally,
    /// Work items and roles whose agent was killed: a person may have to retry those.
    agents_killed: BTreeSet<(String, String)>,
}

impl Killer {
    pub(crate) fn new(world: World, seed: u64, kills: u64) -> Self {
        Self { world, rng: Rng::new(seed), kills, tally: Tally::default(), agents_killed: BTreeSet::new() }
    }

    pub(crate) fn into_parts(self) -> (World, Tally) {
        (self.world, self.tally)
    }

    /// All lives of the daemon; the last one is left in peace until every task has ended.
    pub(crate) fn run(&mut self) -> Result<(), String> {
        let began = Instant::now();
        while self.tally.kills < self.kills {
            let mut child = self.world.serve();
            let lived = self.one_life(&mut child);
            child.kill().map_err(|e| format!("kill orch serve: {e}"))?;
            child.wait().map_err(|e| format!("wait for orch serve: {e}"))?;
            let phases = lived?;
            self.tally.kills += 1;
            for phase in phases {
                *self.tally.per_phase.entry(phase).or_default() += 1;
            }
        }
        let mut child = self.world.serve();
        let calm = self.last_life(&mut child);
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let _ = pid.map(|pid| rustix::process::kill_process(pid, Signal::TERM));
        let status = child.wait().map_err(|e| format!("wait for orch serve: {e}"))?;
        self.tally.seconds = began.elapsed().as_secs();
        self.tally.admin_commits = self.world.admin.len();
        calm?;
        if status.success() { Ok(()) } else { Err(format!("orch serve ended with {status} on SIGTERM")) }
    }

    /// Runs the daemon up to the moment it is to be killed; the phases its tasks are in then.
    fn one_life(&mut self, child: &mut Child) -> Result<BTreeSet<String>, String> {
        if self.tally.kills != 0 && self.rng.chance(9) {
            let usual = self.tally.ready_ms.last().copied().unwrap_or(200);
            std::thread::sleep(Duration::from_millis(self.rng.between(1, usual.max(2))));
            return Ok(BTreeSet::from(["starting".to_owned()]));
        }
        let up = self.world.wait_until_up(child);
        self.tally.ready_ms.push(up.as_millis() as u64);
        self.make_tasks()?;
        let wanted = self.rarest();
        let hunting = wanted.is_some() && self.rng.chance(60);
        let pause = if hunting { HUNT } else { Duration::from_millis(self.rng.between(5, 600)) };
        let before_the_answer = self.rng.chance(50);
        let began = Instant::now();
        let ends = began + pause;
        let mut kill_a_run = self.rng.chance(15);
        let mut admin = self.rng.chance(6).then(|| self.rng.pick(&PROJECTS).map(|p| p.0)).flatten();
        loop {
            let tasks = self.world.tasks(false).map_err(|e| format!("list tasks: {e}\n{}", self.world.log_tail()))?;
            let phases: BTreeSet<String> = tasks.iter().map(|t| field(t, "phase")).collect();
            let found = hunting && wanted.as_ref().is_some_and(|w| phases.contains(w));
            if found && before_the_answer || ends <= Instant::now() {
                self.lanes();
                return Ok(phases);
            }
            let approved = self.answer(&tasks);
            if found {
                return Ok(phases);
            }
            if kill_a_run && pause / 3 <= began.elapsed() {
                kill_a_run = !self.kill_a_run();
            }
            // Main moves under somebody who is about to merge.
            if let Some(project) = admin
                && tasks.iter().any(|t| field(t, "project") == project && near_merge(&field(t, "phase")))
                && self.world.admin_commit(project)
            {
                admin = None;
            }
            if !approved {
                std::thread::sleep(Duration::from_millis(if hunting { 3 } else { 20 }).min(pause));
            }
        }
    }

    /// A phase that has had less than its share, the poorest first.
    fn rarest(&mut self) -> Option<String> {
        let share = (self.kills / 16).max(2);
        let hits = |phase: &str| self.tally.per_phase.get(phase).copied().unwrap_or_default();
        let mut poor: Vec<&str> = PHASES.iter().copied().filter(|p| *p != "starting" && hits(p) < share).collect();
        poor.sort_by_key(|p| hits(p));
        poor.truncate(3);
        self.rng.pick(&poor).map(|p| (*p).to_owned())
    }

    /// Sees to it that enough tasks of all kinds are under way.
    fn make_tasks(&mut self) -> Result<(), String> {
        let open = self.world.tasks(false)?;
        for (project, _) in PROJECTS {
            let mine: Vec<&Value> =
                open.iter().filter(|t| field(t, "project") == project && field(t, "phase") != "blocked").collect();
            let of_kind = |kind: &str| {
                mine.iter().filter(|t| self.world.made.get(&field(t, "id")).is_some_and(|k| *k == kind)).count()
            };
            let mut wanted = Vec::new();
            let mut rivals = of_kind("shared");
            for n in mine.len()..OPEN_TASKS / PROJECTS.len() {
                // The first ones are set, so that the shortest run has them all.
                let first = self.world.made.len() < OPEN_TASKS;
                let kind = if first {
                    ["shared", "shared", "own", "flawed"][n % 4]
                } else {
                    self.rng.pick(&KINDS).copied().unwrap_or("own")
                };
                let kind = if kind == "shared" && RIVALS <= rivals { "own" } else { kind };
                rivals += usize::from(kind == "shared");
                wanted.push(kind);
            }
            for kind in wanted {
                self.world.new_task(project, kind)?;
            }
        }
        Ok(())
    }

    /// Gives approvals that are asked for and retries what stands still because an agent was killed.
    fn answer(&mut self, tasks: &[Value]) -> bool {
        let mut acted = false;
        for task in tasks {
            let id = field(task, "id");
            match field(task, "phase").as_str() {
                // Refused if it was given in the meantime: the next look shows what is.
                "awaiting_approval" => {
                    acted |= self.world.post(&format!("/api/v1/tasks/{id}/approve"), &json!({})).is_ok();
                }
                "blocked" if self.agents_killed.iter().any(|(item, _)| *item == id) => {
                    let asked = self.world.post(&format!("/api/v1/tasks/{id}/retry"), &json!({})).is_ok();
                    self.tally.retries += u64::from(asked);
                }
                _ => {}
            }
        }
        acted
    }

    /// Counts the lanes that have an open job.
    fn lanes(&mut self) {
        let Ok(queue) = self.world.get("/queue") else { return };
        let open = queue.get("open").and_then(Value::as_array).cloned().unwrap_or_default();
        let running = open.iter().filter(|j| field(j, "state") == "running");
        for lane in running.map(|j| field(j, "lane")).collect::<BTreeSet<_>>() {
            *self.tally.per_lane.entry(lane).or_default() += 1;
        }
    }

    /// Kills a supervisor, or an agent under one. False: there was none.
    fn kill_a_run(&mut self) -> bool {
        let processes = self.world.processes();
        let supervisors = self.rng.chance(50);
        let some: Vec<&Process> = processes
            .iter()
            .filter(|p| {
                if supervisors {
                    p.supervises
                } else {
                    let role = (p.item.clone(), p.role.clone());
                    !p.supervises && p.is_agent && !self.agents_killed.contains(&role)
                }
            })
            .collect();
        let Some(victim) = self.rng.pick(&some) else { return false };
        if !victim.kill() {
            return false;
        }
        self.world.killed_runs.insert(victim.run.clone());
        if victim.supervises {
            self.tally.supervisors_killed += 1;
        } else {
            self.tally.agents_killed += 1;
            self.agents_killed.insert((victim.item.clone(), victim.role.clone()));
        }
        true
    }

    fn last_life(&mut self, child: &mut Child) -> Result<(), String> {
        let up = self.world.wait_until_up(child);
        self.tally.ready_ms.push(up.as_millis() as u64);
        for (project, _) in PROJECTS {
            while !self.world.admin.iter().any(|c| c.project == project) {
                self.world.admin_commit(project);
            }
        }
        // Without kills it is a run in peace, of the same tasks.
        if self.world.made.is_empty() {
            self.make_tasks()?;
        }
        let ends = Instant::now() + CALM;
        loop {
            let open = self.world.tasks(false)?;
            self.answer(&open);
            let all = self.world.tasks(true)?;
            let over = all.iter().all(|t| ["done", "cancelled"].contains(&field(t, "phase").as_str()));
            let late = ends <= Instant::now();
            if over || late {
                self.tally.ended = all;
                return if over { Ok(()) } else { Err(format!("not all tasks ended within {} s", CALM.as_secs())) };
            }
            std::thread::sleep(Duration::from_millis(60));
        }
    }
}

/// A phase from which a merge is a moment away.
fn near_merge(phase: &str) -> bool {
    ["preparing_merge", "judging", "merging"].contains(&phase)
}

/// A process of a run.
pub(crate) struct Process {
    fd: rustix::fd::OwnedFd,
    pub(crate) pid: i32,
    pub(crate) run: PathBuf,
    item: String,
    role: String,
    is_agent: bool,
    supervises: bool,
}

impl Process {
    /// By pidfd: a number that is reused in the meantime cannot be hit.
    fn kill(&self) -> bool {
        pidfd_send_signal(&self.fd, Signal::KILL).is_ok()
    }
}

impl World {
    /// Every process of a run in this world.
    pub(crate) fn processes(&self) -> Vec<Process> {
        let pids = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids = pids.filter_map(|e| e.file_name().to_str()?.parse::<i32>().ok());
        pids.filter_map(|pid| self.process(pid)).collect()
    }

    fn process(&self, pid: i32) -> Option<Process> {
        let fd = pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok()?;
        let read = |name: &str| std::fs::read(format!("/proc/{pid}/{name}")).ok();
        let words = |bytes: Vec<u8>| -> Vec<String> {
            bytes.split(|b| *b == 0).map(|w| String::from_utf8_lossy(w).into_owned()).collect()
        };
        let (args, env) = (words(read("cmdline")?), words(read("environ")?));
        let get = |name: &str| env.iter().find_map(|v| v.strip_prefix(name)?.strip_prefix('=')).map(str::to_owned);
        let supervises = args.get(1).is_some_and(|a| a == "supervise");
        let run = if supervises { args.get(2).cloned() } else { get(orch_supervise::MARKER) }.map(PathBuf::from)?;
        if !run.starts_with(&self.dir) {
            return None;
        }
        let is_agent = args.iter().any(|a| a.ends_with("agent.sh"));
        let (item, role) = (get("ORCH_WORK_ITEM").unwrap_or_default(), get("ORCH_ROLE").unwrap_or_default());
        Some(Process { fd, pid, run, item, role, is_agent, supervises })
    }
}

impl Tally {
    /// What a person wants to see.
    pub(crate) fn table(&self, seed: u64) -> String {
        let mut text = format!("\nseed {seed}: {} kills in {} s\n", self.kills, self.seconds);
        for (name, counts) in [("phase", &self.per_phase), ("lane", &self.per_lane)] {
            let _ = writeln!(text, "  kills with a task in {name}:");
            for (key, count) in counts {
                let _ = writeln!(text, "    {key:<20} {count:>5}");
            }
        }
        let mut ready = self.ready_ms.clone();
        ready.sort_unstable();
        let at = |percent: usize| ready.get((ready.len().max(1) - 1) * percent / 100).copied().unwrap_or_default();
        let _ = writeln!(text, "  starts {}; ready after {} ms (p50), {} ms (p99)", ready.len() as u64, at(50), at(99));
        let _ = writeln!(
            text,
            "  supervisors killed {}, agents killed {}, retries by a person {}, commits by an administrator {}",
            self.supervisors_killed, self.agents_killed, self.retries, self.admin_commits
        );
        let mut outcomes: BTreeMap<String, usize> = BTreeMap::new();
        for task in &self.ended {
            *outcomes.entry(format!("{} {}", field(task, "phase"), field(task, "outcome"))).or_default() += 1;
        }
        for (outcome, count) in outcomes {
            let _ = writeln!(text, "  tasks {outcome:<23} {count:>5}");
        }
        text
    }
}
