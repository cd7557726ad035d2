//! The ways to torture a daemon. Each mode lives in one world at a time, and the world is looked at by the oracle
//! whatever happened in it; one that is not as it must be is kept.

pub mod faults;
pub mod kills;
pub mod outages;
pub mod power;
pub mod zombies;

use crate::api::field;
use crate::oracle::{Allowed, problems};
use crate::outcome::Outcome;
use crate::people::Person;
use crate::rng::Rng;
use crate::world::{Daemon, PROJECTS, Place, World};
use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// Longest time the daemon may leave a person without an answer while the world is well.
const ANSWERS: Duration = Duration::from_secs(20);

/// What people look at.
const PAGES: [&str; 5] =
    ["/queue", "/status", "/api/v1/tasks/ITEM/journal", "/api/v1/tasks/ITEM/evidence", "/api/v1/tasks/ITEM/runs"];

/// The two builds of the daemon.
#[derive(Clone, Debug)]
pub struct Binaries {
    /// As people run it.
    pub plain: PathBuf,
    /// With fault points.
    pub faulty: PathBuf,
}

/// Lives in a world of its own and asks the oracle. `live` says why it came to nothing, if it did.
fn in_world(
    mode: &str,
    seed: u64,
    again: String,
    orch: &Path,
    allowed: Allowed,
    place: impl FnOnce(&Path) -> Place,
    live: impl FnOnce(&mut World, &mut Outcome) -> Result<()>,
) -> Result<Outcome> {
    let began = Instant::now();
    let temp = tempfile::Builder::new().prefix(&format!("orch-torture-{mode}-")).tempdir()?;
    let mut world = World::new(temp.path(), orch, place)?;
    let mut outcome = Outcome { mode: mode.to_owned(), seed, again, ..Outcome::default() };
    let lived = live(&mut world, &mut outcome);
    if let Err(why) = &lived {
        outcome.problems.push(format!("{why:#}"));
    }
    if outcome.skipped.is_none() {
        let ended = lived.is_ok().then_some(outcome.ended.as_slice());
        match problems(&world, ended, allowed) {
            Ok(found) => outcome.problems.extend(found),
            Err(why) => outcome.problems.push(format!("the oracle cannot look: {why:#}")),
        }
        outcome.add("tasks", world.made.len() as u64);
    }
    outcome.count("worlds");
    outcome.seconds = began.elapsed().as_secs();
    if !outcome.problems.is_empty() {
        outcome.kept = Some(temp.keep().display().to_string());
        world.keep_data()?;
    }
    Ok(outcome)
}

/// A daemon under torture and the person who works with it: requests may fail, the world may be broken.
struct Life<'a> {
    world: &'a mut World,
    daemon: Daemon,
    person: &'a mut Person,
    rng: &'a mut Rng,
    /// Kinds of tasks to choose from.
    kinds: &'static [&'static str],
    /// Tasks under way.
    open: usize,
    /// Tasks that may be made altogether.
    most: usize,
    /// When the daemon last answered.
    answered: Instant,
}

impl Life<'_> {
    /// Looks at the tasks once and does what they ask for. `None`: there was no answer.
    fn look(&mut self) -> Option<Vec<Value>> {
        let tasks = self.world.tasks(false).ok()?;
        self.answered = Instant::now();
        // Somebody looks around, too; what they see is not asked for here.
        let page = self.rng.pick(&PAGES).copied().unwrap_or("/queue");
        let item = self.rng.pick(&tasks).map(|t| field(t, "id")).unwrap_or_default();
        let _ = self.world.get(&page.replace("ITEM", &item));
        self.person.look(self.world, &tasks);
        // One request at a time: what was not answered is asked again before anything new.
        if self.world.ask_again().is_err() {
            return Some(tasks);
        }
        for (project, _) in PROJECTS {
            let busy = |t: &&Value| field(t, "project") == project && field(t, "phase") != "blocked";
            let mine = tasks.iter().filter(busy).count();
            if self.open / PROJECTS.len() <= mine || self.most <= self.world.made.len() {
                continue;
            }
            let kind = self.rng.pick(self.kinds).copied().unwrap_or("own");
            // No answer: asked again with the next one.
            let _ = self.world.new_task(project, kind);
            break;
        }
        Some(tasks)
    }

    /// Looks for a while.
    fn look_for(&mut self, time: Duration) -> Result<()> {
        let ends = Instant::now() + time;
        while Instant::now() < ends {
            self.must_live()?;
            self.look();
            std::thread::sleep(Duration::from_millis(25));
        }
        Ok(())
    }

    /// The world is well again: the daemon lives, and answers soon.
    fn must_recover(&mut self) -> Result<()> {
        let began = Instant::now();
        loop {
            self.must_live()?;
            if self.look().is_some() {
                return Ok(());
            }
            if ANSWERS < began.elapsed() {
                bail!("the daemon has not answered for {} s", ANSWERS.as_secs());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn must_live(&mut self) -> Result<()> {
        match self.daemon.ended()? {
            Some(status) => bail!("the daemon ended by itself ({status}):\n{}", self.world.log_tail()),
            None => Ok(()),
        }
    }
}

impl World {
    /// What is on a file system of its own would be gone with it.
    fn keep_data(&self) -> Result<()> {
        if self.mounted.is_some() {
            let copied = Command::new("cp").arg("-a").arg(self.data()).arg(self.dir.join("data.kept")).status();
            copied.context("keep the data directory")?;
        }
        Ok(())
    }
}
