//! Chooses the moments, kills, starts again, and plays the person meanwhile. Rare phases are waited for, so that kills
//! are spread over all of them; what was hit is counted.

use crate::api::field;
use crate::outcome::Outcome;
use crate::people::Person;
use crate::processes::Process;
use crate::rng::Rng;
use crate::world::{Daemon, PROJECTS, World, may_end};
use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// Phases that must be hit. `starting` is the time before the daemon answers.
pub const PHASES: &[&str] = &[
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
/// Kinds of tasks that all end with a merge.
const KINDS: [&str; 4] = ["own", "shared", "flawed", "broken"];
/// Tasks under way at any time while kills are left.
const OPEN_TASKS: usize = 8;
/// Kills below which half as many are enough.
const FEW_KILLS: u64 = 100;
/// Tasks of one project that edit the same lines at the same time.
const RIVALS: usize = 2;
/// Longest wait for a rare phase.
const HUNT: Duration = Duration::from_millis(900);
/// Longest undisturbed time all tasks together need to end.
const CALM: Duration = Duration::from_mins(3);

/// Kills `kills` daemons of one world; it is left in peace afterwards.
pub fn kill(world: &mut World, seed: u64, kills: u64) -> (Outcome, Result<()>) {
    let outcome = Outcome { seed, ..Outcome::default() };
    let mut killer = Killer { world, rng: Rng::new(seed), kills, outcome, person: Person::default(), usual_ms: 200 };
    let done = killer.run();
    (killer.outcome, done)
}

struct Killer<'a> {
    world: &'a mut World,
    rng: Rng,
    kills: u64,
    outcome: Outcome,
    person: Person,
    /// How long the daemon took to start last.
    usual_ms: u64,
}

impl Killer<'_> {
    /// All lives of the daemon; the last one is left in peace until every task has ended.
    fn run(&mut self) -> Result<()> {
        let began = Instant::now();
        while self.outcome.of("kills") < self.kills {
            let mut daemon = self.world.serve()?;
            let lived = self.one_life(&mut daemon);
            daemon.kill()?;
            let phases = lived?;
            self.outcome.count("kills");
            for phase in phases {
                self.outcome.count(format!("kills with a task in phase/{phase}"));
            }
        }
        let mut daemon = self.world.serve()?;
        let calm = self.last_life(&mut daemon);
        let stopped = daemon.stop();
        self.outcome.seconds = began.elapsed().as_secs();
        self.outcome.add("commits by an administrator", self.world.admin.len() as u64);
        self.outcome.add("retries by a person", self.person.retries);
        calm.and(stopped)
    }

    /// Runs the daemon up to the moment it is to be killed; the phases its tasks are in then.
    fn one_life(&mut self, daemon: &mut Daemon) -> Result<BTreeSet<String>> {
        if self.outcome.of("kills") != 0 && self.rng.chance(9) {
            std::thread::sleep(Duration::from_millis(self.rng.between(1, self.usual_ms.max(2))));
            return Ok(BTreeSet::from(["starting".to_owned()]));
        }
        self.usual_ms = self.world.wait_until_up(daemon)?.as_millis() as u64;
        self.outcome.count("starts");
        self.outcome.add("milliseconds until ready", self.usual_ms);
        self.make_tasks()?;
        let wanted = self.rarest();
        let hunting = wanted.is_some() && self.rng.chance(60);
        // On a machine that is slow now, lives are longer, or nothing would ever get far.
        let slow_ms = 3 * self.usual_ms;
        let pause = if hunting {
            HUNT + Duration::from_millis(slow_ms)
        } else {
            Duration::from_millis(self.rng.between(5, 600 + slow_ms))
        };
        let before_the_answer = self.rng.chance(50);
        let began = Instant::now();
        let ends = began + pause;
        let mut kill_a_run = self.rng.chance(15);
        let mut admin = self.rng.chance(6).then(|| self.rng.pick(&PROJECTS).map(|p| p.0)).flatten();
        loop {
            let tasks = self.world.tasks(false).with_context(|| format!("list tasks:\n{}", self.world.log_tail()))?;
            let phases: BTreeSet<String> = tasks.iter().map(|t| field(t, "phase")).collect();
            let found = hunting && wanted.as_ref().is_some_and(|w| phases.contains(w));
            if found && before_the_answer || ends <= Instant::now() {
                self.lanes();
                return Ok(phases);
            }
            let acted = self.person.look(self.world, &tasks);
            if found {
                return Ok(phases);
            }
            if kill_a_run && pause / 3 <= began.elapsed() {
                kill_a_run = !self.kill_a_run();
            }
            // Main moves under somebody who is about to merge.
            if let Some(project) = admin
                && tasks.iter().any(|t| field(t, "project") == project && near_merge(&field(t, "phase")))
                && self.world.admin_commit(project)?
            {
                admin = None;
            }
            if !acted {
                std::thread::sleep(Duration::from_millis(if hunting { 3 } else { 20 }).min(pause));
            }
        }
    }

    /// A phase that has had less than its share, the poorest first.
    fn rarest(&mut self) -> Option<String> {
        let share = (self.kills / 16).max(2);
        let hits = |phase: &str| self.outcome.of(&format!("kills with a task in phase/{phase}"));
        let mut poor: Vec<&str> = PHASES.iter().copied().filter(|p| *p != "starting" && hits(p) < share).collect();
        poor.sort_by_key(|p| hits(p));
        poor.truncate(3);
        self.rng.pick(&poor).map(|p| (*p).to_owned())
    }

    /// Sees to it that enough tasks of all kinds are under way.
    fn make_tasks(&mut self) -> Result<()> {
        let open = self.world.tasks(false)?;
        for (project, _) in PROJECTS {
            let mine: Vec<&Value> =
                open.iter().filter(|t| field(t, "project") == project && field(t, "phase") != "blocked").collect();
            let of_kind = |kind: &str| {
                mine.iter().filter(|t| self.world.made.get(&field(t, "id")).is_some_and(|k| *k == kind)).count()
            };
            let mut wanted = Vec::new();
            let mut rivals = of_kind("shared");
            let open_tasks = if self.kills < FEW_KILLS { OPEN_TASKS / 2 } else { OPEN_TASKS };
            for n in mine.len()..open_tasks / PROJECTS.len() {
                // The first ones are set, so that the shortest run has them all.
                let first = self.world.made.len() < OPEN_TASKS;
                let kind = if first {
                    ["shared", "shared", "own", "flawed"][(n + self.world.made.len()) % 4]
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

    /// Counts the lanes that have a running job.
    fn lanes(&mut self) {
        let Ok(queue) = self.world.get("/queue") else { return };
        let open = queue.get("open").and_then(Value::as_array).cloned().unwrap_or_default();
        let running = open.iter().filter(|j| field(j, "state") == "running");
        for lane in running.map(|j| field(j, "lane")).collect::<BTreeSet<_>>() {
            self.outcome.count(format!("kills with a job in lane/{lane}"));
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
                    !p.supervises && p.is_agent && !self.person.agents_killed.contains(&role)
                }
            })
            .collect();
        let Some(victim) = self.rng.pick(&some) else { return false };
        if !victim.kill() {
            return false;
        }
        self.world.killed_runs.insert(victim.run.clone());
        if victim.supervises {
            self.outcome.count("supervisors killed");
        } else {
            self.outcome.count("agents killed");
            self.person.agents_killed.insert((victim.item.clone(), victim.role.clone()));
        }
        true
    }

    fn last_life(&mut self, daemon: &mut Daemon) -> Result<()> {
        self.world.wait_until_up(daemon)?;
        self.outcome.count("starts");
        for (project, _) in PROJECTS {
            while !self.world.admin.iter().any(|c| c.project == project) {
                self.world.admin_commit(project)?;
            }
        }
        // Without kills it is a run in peace, of the same tasks.
        if self.world.made.is_empty() {
            self.make_tasks()?;
        }
        self.outcome.ended = calm(self.world, &mut self.person)?;
        Ok(())
    }
}

/// Nobody disturbs the daemon any more: every task ends. Tasks at the end, as the API shows them.
pub(crate) fn calm(world: &mut World, person: &mut Person) -> Result<Vec<Value>> {
    let ends = Instant::now() + CALM;
    loop {
        world.ask_again()?;
        let open = world.tasks(false)?;
        person.look(world, &open);
        let all = world.tasks(true)?;
        let over = |task: &Value| {
            let (id, phase) = (field(task, "id"), field(task, "phase"));
            may_end(world.made.get(&id).copied().unwrap_or_default(), &phase)
        };
        // Tickets, notices and clean-ups may come after the end; they are part of it.
        let queue = world.get("/queue")?;
        let busy = queue.get("open").and_then(Value::as_array).map_or(0, Vec::len);
        if all.iter().all(over) && busy == 0 {
            return Ok(all);
        }
        if ends <= Instant::now() {
            let stuck: Vec<String> = all.iter().filter(|t| !over(t)).map(stands).collect();
            let seconds = CALM.as_secs();
            bail!("not everything ended within {seconds} s ({busy} jobs are open): {}", stuck.join("; "));
        }
        std::thread::sleep(Duration::from_millis(60));
    }
}

/// `ALFA-3 is waiting: CI has not said anything`.
fn stands(task: &Value) -> String {
    format!("{} is {}: {}", field(task, "id"), field(task, "phase"), field(task, "line"))
}

/// A phase from which a merge is a moment away.
fn near_merge(phase: &str) -> bool {
    ["preparing_merge", "judging", "merging"].contains(&phase)
}
