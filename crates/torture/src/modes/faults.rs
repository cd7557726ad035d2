//! Every fault point, with every fault that makes sense there: the process is killed before and behind the call, the
//! call is refused, its answer is lost. Several are planned at a time, so that rare points keep waiting for their moment
//! while frequent ones strike; a violation is narrowed down with `--only`.

use super::{Life, in_world};
use crate::killer::calm;
use crate::oracle::Allowed;
use crate::outcome::Outcome;
use crate::people::Person;
use crate::plan::Said;
use crate::rng::Rng;
use crate::world::{Place, World};
use anyhow::{Result, bail};
use std::collections::VecDeque;
use std::path::Path;
use std::time::{Duration, Instant};

/// Faults planned at the same time.
const PLANNED: usize = 9;
/// Faults of one world.
const PER_WORLD: u64 = 40;
/// How long planned faults wait for their moment before others get their place.
const PATIENCE: Duration = Duration::from_secs(6);
/// How often a fault may give its place to another one before its point counts as never reached.
const TRIES: u32 = 5;
/// Kinds of tasks.
const KINDS: &[&str] = &["own", "own", "shared", "flawed", "broken", "asking", "dropped", "dropped", "hopeless"];

/// A fault at a point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    point: String,
    act: &'static str,
    hit: u64,
    tries: u32,
}

impl Item {
    /// `forge.merge:after=kill`.
    pub fn name(&self) -> String {
        format!("{}={}", self.point, self.act)
    }

    /// `forge.merge`.
    pub fn method(&self) -> &str {
        self.point.split(':').next().unwrap_or(&self.point)
    }

    fn line(&self) -> String {
        format!("{}={}@{} #{}", self.point, self.act, self.hit, self.name())
    }
}

/// What is still to be tried.
#[derive(Debug, Default)]
pub struct Left {
    /// In this order.
    pub items: VecDeque<Item>,
    /// Whose points were not reached although they were waited for.
    pub unreached: Vec<Item>,
}

impl Left {
    /// All faults at all points, in an order of chance.
    pub fn all(points: &[String], seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let mut items = Vec::new();
        for point in points {
            let full = point.starts_with("store.") && point.ends_with(":before");
            for act in ["kill", "error"].into_iter().chain(full.then_some("full")) {
                items.push(Item { point: point.clone(), act, hit: rng.between(1, 5), tries: 0 });
            }
        }
        for n in (1..items.len()).rev() {
            items.swap(n, rng.between(0, n as u64 + 1) as usize);
        }
        Self { items: items.into(), unreached: Vec::new() }
    }
}

/// Every fault point, as the daemon lists them.
pub fn points(orch: &Path) -> Result<Vec<String>> {
    let temp = tempfile::tempdir()?;
    let world = World::new(temp.path(), orch, Place::beside)?;
    world.plan(&[])?;
    let mut daemon = world.serve()?;
    world.wait_until_up(&mut daemon)?;
    daemon.stop()?;
    for said in world.plan_log() {
        if let Said::Points(points) = said {
            return Ok(points);
        }
    }
    bail!("{} has no fault points: is it built with the feature?", orch.display())
}

/// One world: as many of the faults that are left as it takes.
pub fn world(orch: &Path, seed: u64, left: &mut Left, only: Option<&str>) -> Result<Outcome> {
    let only = only.map(|o| format!(" --only '{o}'")).unwrap_or_default();
    let again = format!("cargo xtask torture faults --seed {seed}{only}");
    in_world("faults", seed, again, orch, Allowed::default(), Place::beside, |world, outcome| {
        let mut rng = Rng::new(seed);
        let mut person = Person::default();
        let mut planned: Vec<Item> = Vec::new();
        let struck = strike_all(world, outcome, &mut rng, &mut person, left, &mut planned);
        // What was planned and has not struck is still to be tried.
        left.items.extend(planned);
        struck?;
        world.plan(&[])?;
        let mut daemon = world.serve()?;
        world.wait_until_up(&mut daemon)?;
        outcome.ended = calm(world, &mut person)?;
        outcome.add("cancellations by a person", person.cancels);
        daemon.stop()
    })
}

fn strike_all(
    world: &mut World,
    outcome: &mut Outcome,
    rng: &mut Rng,
    person: &mut Person,
    left: &mut Left,
    planned: &mut Vec<Item>,
) -> Result<()> {
    let mut read = 0;
    let struck = |outcome: &Outcome| outcome.of("faults that struck");
    while struck(outcome) < PER_WORLD {
        refill(left, planned);
        if planned.is_empty() {
            return Ok(());
        }
        world.plan(&planned.iter().map(Item::line).collect::<Vec<_>>())?;
        let daemon = world.serve()?;
        outcome.count("starts");
        let mut life = Life {
            world: &mut *world,
            daemon,
            person: &mut *person,
            rng: &mut *rng,
            kinds: KINDS,
            open: 6,
            most: 30,
            answered: Instant::now(),
        };
        let mut last = Instant::now();
        let mut killed = false;
        loop {
            let log = life.world.plan_log();
            let mut changed = false;
            for said in &log[read..] {
                match said {
                    Said::Fired { name, point, .. } => {
                        changed = true;
                        last = Instant::now();
                        killed |= name.ends_with("=kill");
                        planned.retain(|i| i.name() != *name);
                        outcome.count("faults that struck");
                        let (port, _) = point.split_once('.').unwrap_or((point, ""));
                        let act = name.rsplit('=').next().unwrap_or_default();
                        let side = point.rsplit(':').next().unwrap_or_default();
                        outcome.count(format!("fault that struck {side} a call/{port}: {act}"));
                        outcome.count(format!("struck/{name}"));
                    }
                    Said::Wrong(why) => bail!("the daemon cannot read its plan: {why}"),
                    Said::Resumed { .. } | Said::Seen(_) | Said::Points(_) => {}
                }
            }
            read = log.len();
            if let Some(status) = life.daemon.ended()? {
                let log = life.world.plan_log();
                let fired =
                    log[read..].iter().any(|s| matches!(s, Said::Fired { name, .. } if name.ends_with("=kill")));
                if !killed && !fired {
                    bail!("the daemon ended by itself ({status}):\n{}", life.world.log_tail());
                }
                if fired {
                    continue;
                }
                break;
            }
            if PER_WORLD <= struck(outcome) {
                break;
            }
            if PATIENCE < last.elapsed() {
                // The next ones may be at points that are reached at a start only.
                park(left, planned);
                break;
            }
            if changed {
                refill(left, planned);
                if planned.is_empty() {
                    break;
                }
                life.world.plan(&planned.iter().map(Item::line).collect::<Vec<_>>())?;
            }
            life.look();
            if Duration::from_secs(30) < life.answered.elapsed() {
                bail!("the daemon has not answered for 30 s:\n{}", life.world.log_tail());
            }
            std::thread::sleep(Duration::from_millis(15));
        }
        life.daemon.kill()?;
    }
    Ok(())
}

fn refill(left: &mut Left, planned: &mut Vec<Item>) {
    while planned.len() < PLANNED
        && let Some(item) = left.items.pop_front()
    {
        planned.push(item);
    }
}

/// Others get their turn.
fn park(left: &mut Left, planned: &mut Vec<Item>) {
    for mut item in planned.drain(..) {
        item.tries += 1;
        item.hit = 1;
        if item.tries < TRIES { left.items.push_back(item) } else { left.unreached.push(item) }
    }
}
