//! Workers that are paused past the life of their claim, at every kind of effect, on both sides of every call, and go on
//! after somebody else has done their job; and a whole daemon that stands still for longer than its claims live.

use super::{Life, in_world};
use crate::killer::calm;
use crate::oracle::Allowed;
use crate::outcome::Outcome;
use crate::people::Person;
use crate::plan::Said;
use crate::rng::Rng;
use crate::world::Place;
use anyhow::{Result, bail};
use rustix::process::Signal;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

/// Life of a claim here, milliseconds.
const CLAIM_MS: u64 = 1_500;
/// Workers that may be paused at the same time.
const PLANNED: usize = 5;
/// How long a planned pause waits for its moment.
const PATIENCE: Duration = Duration::from_secs(8);
/// Kinds of tasks.
const KINDS: &[&str] = &["own", "own", "shared", "flawed", "broken", "asking", "dropped", "hopeless"];
/// Longest world.
const LONGEST: Duration = Duration::from_mins(4);

/// Verbs that no effect calls.
const OUTSIDE: &[&str] =
    &["store.claim:", "store.reap:", "store.recover:", "store.renew_leases:", "store.reclaim_leases:"];

/// One world with about that many zombies. `tried` counts the pauses of each point over all worlds: the rarest come
/// first. `only`: at points with this in their name.
pub fn world(
    orch: &Path,
    seed: u64,
    zombies: u64,
    points: &[String],
    tried: &mut BTreeMap<String, u64>,
    only: Option<&str>,
) -> Result<Outcome> {
    let flag = only.map(|o| format!(" --only '{o}'")).unwrap_or_default();
    let again = format!("cargo xtask torture zombies --seed {seed} --count {zombies} --per-world {zombies}{flag}");
    let points: Vec<&String> = points
        .iter()
        .filter(|p| only.is_none_or(|o| p.contains(o)) && !OUTSIDE.iter().any(|o| p.starts_with(o)))
        .collect();
    in_world("zombies", seed, again, orch, Allowed::default(), Place::beside, |world, outcome| {
        let mut rng = Rng::new(seed);
        let mut person = Person::default();
        world.plan(&[format!("claim_ms={CLAIM_MS}")])?;
        let daemon = world.serve()?;
        let mut chance = Rng::new(seed ^ 0x5A5A);
        let mut life = Life {
            world,
            daemon,
            person: &mut person,
            rng: &mut rng,
            kinds: KINDS,
            open: 6,
            most: 40,
            answered: Instant::now(),
        };
        life.must_recover()?;
        let (began, mut planned, mut read, mut number) =
            (Instant::now(), Vec::<(String, String, Instant)>::new(), 0, 0);
        while outcome.of("zombies") < zombies && began.elapsed() < LONGEST {
            let log = life.world.plan_log();
            for said in &log[read..] {
                match said {
                    Said::Fired { name, .. } => planned.retain(|(n, ..)| n != name),
                    Said::Resumed { point, effect, became, goes_on } => note(outcome, point, effect, became, *goes_on),
                    Said::Wrong(why) => bail!("the daemon cannot read its plan: {why}"),
                    Said::Seen(_) | Said::Points(_) => {}
                }
            }
            let fresh = read != log.len();
            read = log.len();
            let before = planned.len();
            planned.retain(|(_, _, since)| since.elapsed() < PATIENCE);
            if fresh || before != planned.len() || planned.is_empty() {
                while planned.len() < PLANNED {
                    let Some(point) = rarest(&points, tried, &mut chance) else { bail!("there is no such point") };
                    number += 1;
                    *tried.entry(point.clone()).or_default() += 1;
                    let pause = chance.between(CLAIM_MS + 700, CLAIM_MS * 3);
                    let line = format!("{point}=pause:{pause}@{} #{number}", chance.between(1, 3));
                    planned.push((number.to_string(), line, Instant::now()));
                }
                let mut plan = vec![format!("claim_ms={CLAIM_MS}")];
                plan.extend(planned.iter().map(|(_, line, _)| line.clone()));
                life.world.plan(&plan)?;
            }
            if chance.chance(1) {
                life.daemon.signal(Signal::STOP)?;
                std::thread::sleep(Duration::from_millis(chance.between(CLAIM_MS + 300, CLAIM_MS * 3)));
                life.daemon.signal(Signal::CONT)?;
                outcome.count("stops of the whole daemon past its claims");
                life.must_recover()?;
            }
            life.look_for(Duration::from_millis(100))?;
        }
        life.world.plan(&[format!("claim_ms={CLAIM_MS}")])?;
        outcome.ended = calm(life.world, life.person)?;
        for said in &life.world.plan_log()[read..] {
            if let Said::Resumed { point, effect, became, goes_on } = said {
                note(outcome, point, effect, became, *goes_on);
            }
        }
        life.daemon.stop()
    })
}

fn note(outcome: &mut Outcome, point: &str, effect: &str, became: &str, goes_on: bool) {
    if became == "held" {
        // Nobody noticed: it was only slow.
        return outcome.count("pauses that cost no claim");
    }
    outcome.count("zombies");
    outcome.count(format!("zombies at work on/{effect}"));
    let port = point.split_once(':').map_or(point, |(method, _)| method);
    outcome.count(format!("zombies at/{port}"));
    outcome.count(format!("zombies whose job was by then/{became}"));
    if !goes_on {
        outcome.count("zombies ended in their pause");
    }
}

fn rarest(points: &[&String], tried: &BTreeMap<String, u64>, chance: &mut Rng) -> Option<String> {
    let times = |p: &str| tried.get(p).copied().unwrap_or_default();
    let least = points.iter().map(|p| times(p)).min()?;
    let rare: Vec<&&String> = points.iter().filter(|p| times(p) <= least + 1).collect();
    chance.pick(&rare).map(|p| (**p).clone())
}
