//! The world breaks under a running daemon for a while and is mended: a full disk, a failing one, no descriptors left, a
//! clock that jumps a day. The daemon stays alive, answers again by itself, and everything ends as if nothing had been.

use super::{Life, in_world};
use crate::killer::calm;
use crate::oracle::Allowed;
use crate::outcome::Outcome;
use crate::people::Person;
use crate::rng::Rng;
use crate::world::{Daemon, Place, World};
use anyhow::{Context as _, Result, ensure};
use rustix::process::{Resource, Rlimit, prlimit};
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// What breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outage {
    /// The data directory is full.
    Disk,
    /// The store and the other ports fail at random.
    Io,
    /// No descriptors are left.
    Nofile,
    /// The wall clock jumps a day, either way.
    Clock,
    /// It jumps, and other things fail meanwhile: what is put off then is put off by a wrong clock.
    ClockAndFaults,
}

impl Outage {
    /// Those that end well.
    pub const MENDED: [Self; 4] = [Self::Disk, Self::Io, Self::Nofile, Self::Clock];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Disk => "disk",
            Self::Io => "io",
            Self::Nofile => "nofile",
            Self::Clock => "clock",
            Self::ClockAndFaults => "clock-and-faults",
        }
    }
}

/// Size of the small disk.
const DISK: &str = "64m";
/// A day.
const DAY_MS: i64 = 86_400_000;
/// Kinds of tasks.
const KINDS: &[&str] = &["own", "own", "shared", "flawed", "broken", "asking"];
/// What fails in an outage of the store or of another port.
const IO: &[&[&str]] = &[
    &["store.*:before=full@1+"],
    &["store.*:before=error@1+"],
    &["store.*:before=full@/3"],
    &["store.*:after=error@/3"],
    &["store.step:after=error@1+"],
    &["store.claim:after=error@1+"],
    &["store.heartbeat:before=error@1+"],
    &["git.*:before=error@/2", "git.*:after=error@/3"],
    &["forge.*:before=error@/2", "forge.*:after=error@/2"],
    &["tracker.*:before=error@1+"],
    &["tracker.*:after=error@1+"],
    &["supervisor.*:after=error@/2"],
    &["*=error@/7"],
];

/// A file system that goes with its world.
#[derive(Debug)]
pub struct Mounted(PathBuf);

impl Mounted {
    fn on(dir: &Path) -> Result<Self> {
        fs::create_dir_all(dir)?;
        let options = format!("size={DISK},mode=700");
        let done = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "orch-torture"]).arg(dir).output();
        let done = done.context("start mount")?;
        ensure!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr).trim());
        Ok(Self(dir.to_owned()))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // Lazily: a process of the world may still be in there for a moment.
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

/// One world with that many outages.
pub fn world(outage: Outage, orch: &Path, seed: u64, times: u64) -> Result<Outcome> {
    let name = outage.name();
    let again = format!("cargo xtask torture {name} --seed {seed} --count {times} --per-world {times}");
    // A program of a run may break down on a full disk; on a failing port or under a wrong clock it has no reason to.
    let allowed = Allowed { broken_runs: matches!(outage, Outage::Disk | Outage::Nofile) };
    in_world(name, seed, again, orch, allowed, Place::beside, |world, outcome| {
        if outage == Outage::Disk {
            match Mounted::on(&world.data()) {
                Ok(mounted) => world.mounted = Some(mounted),
                Err(why) => {
                    outcome.skipped = Some(format!("needs mount rights ({why:#})"));
                    return Ok(());
                }
            }
        }
        if matches!(outage, Outage::Io | Outage::Clock | Outage::ClockAndFaults) {
            world.plan(&[])?;
        }
        let mut rng = Rng::new(seed);
        let mut chance = Rng::new(seed ^ 0xD15C);
        let mut person = Person { retries_all: allowed.broken_runs, ..Person::default() };
        let daemon = world.serve()?;
        let mut life = Life {
            world,
            daemon,
            person: &mut person,
            rng: &mut rng,
            kinds: KINDS,
            open: 6,
            most: 24,
            answered: Instant::now(),
        };
        life.must_recover()?;
        for _ in 0..times {
            life.look_for(Duration::from_millis(chance.between(200, 1_500)))?;
            let what = strike(outage, &life, &mut chance)?;
            outcome.count("outages");
            outcome.count(format!("outage/{what}"));
            life.look_for(Duration::from_millis(chance.between(500, 3_000)))?;
            mend(outage, &life, &mut chance)?;
            life.must_recover()?;
        }
        if !matches!(outage, Outage::Clock | Outage::ClockAndFaults) {
            mend(outage, &life, &mut chance)?;
        }
        outcome.ended = calm(life.world, life.person)?;
        outcome.add("retries by a person", life.person.retries);
        life.daemon.stop()
    })
}

/// Breaks the world; what was broken.
fn strike(outage: Outage, life: &Life<'_>, chance: &mut Rng) -> Result<String> {
    Ok(match outage {
        Outage::Disk => {
            let free = chance.between(0, 3) * 16 * 1024;
            fill(&life.world.data().join("ballast"), free)?;
            format!("{} KiB left", free / 1024)
        }
        Outage::Io => {
            let lines = chance.pick(IO).copied().unwrap_or_default();
            life.world.plan(&lines.iter().map(|l| (*l).to_owned()).collect::<Vec<_>>())?;
            lines.join(" ")
        }
        Outage::Nofile => {
            let spare = chance.between(0, 6);
            limit(&life.daemon, Some(spare))?;
            format!("{spare} descriptors to spare")
        }
        Outage::Clock => jump(life.world, chance, false)?,
        Outage::ClockAndFaults => jump(life.world, chance, true)?,
    })
}

fn mend(outage: Outage, life: &Life<'_>, chance: &mut Rng) -> Result<()> {
    match outage {
        Outage::Disk => match fs::remove_file(life.world.data().join("ballast")) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(e).context("free the disk"),
            _ => Ok(()),
        },
        Outage::Io => life.world.plan(&[]),
        Outage::Nofile => limit(&life.daemon, None),
        // A clock is not mended, it only jumps again, and stays where it is.
        Outage::Clock | Outage::ClockAndFaults => jump(life.world, chance, false).map(|_| ()),
    }
}

/// Sets the clock a day on, a day back, or right; where it may, something else fails meanwhile, so that what is put off is
/// put off by a wrong clock.
fn jump(world: &World, chance: &mut Rng, may_fail: bool) -> Result<String> {
    let days = chance.between(0, 3) as i64 - 1;
    let mut plan = vec![format!("clock_ms={}", days * DAY_MS)];
    let mut what = format!("{days:+} days");
    if may_fail && chance.chance(50) {
        plan.push("*=error@/9".to_owned());
        what.push_str(" and faults");
    }
    world.plan(&plan)?;
    Ok(what)
}

/// Fills the disk but for some bytes.
fn fill(ballast: &Path, free: u64) -> Result<()> {
    let mut file = File::create(ballast).context("make ballast")?;
    let block = vec![0_u8; 64 * 1024];
    // Ends with the disk's being full, which is what is wanted.
    while file.write_all(&block).is_ok() {}
    let len = file.metadata()?.len();
    Ok(file.set_len(len.saturating_sub(free))?)
}

/// Leaves the daemon so many descriptors more than it has open, or as many as we may have ourselves.
fn limit(daemon: &Daemon, spare: Option<u64>) -> Result<()> {
    let pid = daemon.pid()?;
    let most = rustix::process::getrlimit(Resource::Nofile);
    let current = match spare {
        Some(spare) => {
            let open = fs::read_dir(format!("/proc/{}/fd", pid.as_raw_nonzero()))?.count() as u64;
            Some(open + spare)
        }
        None => most.current,
    };
    prlimit(Some(pid), Resource::Nofile, Rlimit { current, maximum: most.maximum })?;
    Ok(())
}
