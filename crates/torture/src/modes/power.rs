//! Power cuts: file systems in files, shut down without their log while the daemon is at work on them, and mounted again
//! as the disk has them. Cut is the data directory, the served repositories, or both, on one file system or on two. After
//! every cut git itself is asked for what was acknowledged, before the daemon starts and could repair anything; and every
//! daemon must start again by itself.

use super::{Life, in_world};
use crate::api::field;
use crate::killer::calm;
use crate::oracle::Allowed;
use crate::outcome::Outcome;
use crate::people::Person;
use crate::repo::git_in;
use crate::rng::Rng;
use crate::world::{Daemon, PROJECTS, Place, World};
use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde_json::Value;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// Kinds of tasks.
const KINDS: &[&str] = &["own", "own", "shared", "flawed", "broken"];
/// Size of a file system; the file behind it has holes.
const SIZE: &str = "600M";
/// `EXT4_IOC_SHUTDOWN` with `EXT4_GOING_FLAGS_NOLOGFLUSH`: dirty pages and the running transaction are lost. Not in the
/// safe part of any crate.
const SHUTDOWN: &str = "import fcntl, os, struct, sys
for place in [os.open(p, os.O_RDONLY) for p in sys.argv[1:]]:
    fcntl.ioctl(place, 0x8004587d, struct.pack('I', 2))
";

/// What is on file systems that lose their power.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cut {
    /// The data directory; the repositories are served elsewhere.
    Data,
    /// The repositories that are served.
    Served,
    /// Both, on one file system.
    Both,
    /// Both, each on its own.
    Apart,
    /// The data directory, with repositories that were imported into it.
    Imported,
}

impl Cut {
    const ALL: [Self; 5] = [Self::Both, Self::Served, Self::Imported, Self::Apart, Self::Data];

    fn name(self) -> &'static str {
        match self {
            Self::Data => "data directory",
            Self::Served => "served repositories",
            Self::Both => "both on one disk",
            Self::Apart => "both on two disks",
            Self::Imported => "imported repositories",
        }
    }

    /// Directories of the world to be mounted, and where things are then.
    fn place(self, dir: &Path) -> (Vec<PathBuf>, Place) {
        let (one, two) = (dir.join("disk-1"), dir.join("disk-2"));
        let place = |data: PathBuf, repos: PathBuf| Place { data, repos, imported: self == Self::Imported };
        match self {
            Self::Data => (vec![one.clone()], place(one.join("data"), dir.to_owned())),
            Self::Served => (vec![two.clone()], place(dir.join("data"), two)),
            Self::Both => (vec![one.clone()], place(one.join("data"), one)),
            Self::Apart => (vec![one.clone(), two.clone()], place(one.join("data"), two)),
            Self::Imported => (vec![one.clone()], place(one.join("data"), one.join("data/forge"))),
        }
    }
}

/// A file system in a file; dropped, it is let go.
#[derive(Debug)]
pub(crate) struct Disk {
    image: PathBuf,
    at: PathBuf,
    options: &'static str,
}

impl Disk {
    fn new(at: PathBuf, options: &'static str) -> Result<Self> {
        fs::create_dir_all(&at)?;
        let disk = Self { image: at.with_extension("img"), at, options };
        run(Command::new("truncate").args(["-s", SIZE]).arg(&disk.image))?;
        run(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(&disk.image))?;
        disk.mount()?;
        Ok(disk)
    }

    fn mount(&self) -> Result<()> {
        run(Command::new("mount").args(["-o", self.options]).arg(&self.image).arg(&self.at))
    }

    /// As it is found when the power is back: what reached the disk, from a copy, for the old one may still be held.
    fn come_back(&self) -> Result<()> {
        run(Command::new("umount").arg("--lazy").arg(&self.at))?;
        let copy = self.image.with_extension("copy");
        run(Command::new("cp").arg("--sparse=always").arg(&self.image).arg(&copy))?;
        fs::rename(&copy, &self.image)?;
        self.mount()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.at).status();
    }
}

fn run(command: &mut Command) -> Result<()> {
    let done = command.output().with_context(|| format!("start {}", command.get_program().to_string_lossy()))?;
    let said = String::from_utf8_lossy(&done.stderr);
    ensure!(done.status.success(), "{}: {}", command.get_program().to_string_lossy(), said.trim());
    Ok(())
}

/// One world with that many cuts.
pub fn world(orch: &Path, seed: u64, cuts: u64) -> Result<Outcome> {
    let again = format!("cargo xtask torture power --seed {seed} --count {cuts} --per-world {cuts}");
    let mut rng = Rng::new(seed);
    let what = Cut::ALL[(seed % Cut::ALL.len() as u64) as usize];
    // Rarely written back by itself, or as often as everybody's.
    let options = if rng.chance(60) { "loop,commit=30" } else { "loop" };
    let mounted = RefCell::new(None);
    let place = |dir: &Path| {
        let (mounts, place) = what.place(dir);
        let disks = mounts.into_iter().map(|at| Disk::new(at, options)).collect::<Result<Vec<_>>>();
        *mounted.borrow_mut() = Some(disks.and_then(|d| run(Command::new("python3").arg("--version")).map(|()| d)));
        place
    };
    let allowed = Allowed { broken_runs: true };
    in_world("power", seed, again, orch, allowed, place, |world, outcome| {
        let disks = match mounted.take().unwrap_or_else(|| Ok(Vec::new())) {
            Ok(disks) => disks,
            Err(why) => {
                outcome.skipped = Some(format!("needs root, loop devices, mkfs.ext4 and python3 ({why:#})"));
                return Ok(());
            }
        };
        outcome.count(format!("worlds/{}", what.name()));
        let lived = live(world, &disks, &mut rng, cuts, what, outcome);
        // The oracle looks at them before they go.
        world.disks = disks;
        lived
    })
}

fn live(world: &mut World, disks: &[Disk], rng: &mut Rng, cuts: u64, what: Cut, outcome: &mut Outcome) -> Result<()> {
    let mut person = Person { retries_all: true, ..Person::default() };
    let mut chance = Rng::new(rng.number());
    // What people had before orch came is theirs to keep: it is on disk.
    for disk in disks {
        run(Command::new("sync").arg("--file-system").arg(&disk.at))?;
    }
    world.boot()?;
    let daemon = world.serve()?;
    let mut life = Life {
        world,
        daemon,
        person: &mut person,
        rng,
        kinds: KINDS,
        open: 6,
        most: 12 + 3 * cuts as usize,
        answered: Instant::now(),
    };
    life.must_recover()?;
    let mut acknowledged = BTreeMap::new();
    for _ in 0..cuts {
        let moment = work(&mut life, &mut chance, &mut acknowledged)?;
        cut(life.world, &mut life.daemon, disks)?;
        outcome.count("cuts");
        outcome.count(format!("cuts/{}", what.name()));
        outcome.count(format!("moment/{moment}"));
        for problem in lost(life.world, &acknowledged) {
            outcome.problems.push(format!("after cut {}: {problem}", outcome.of("cuts")));
        }
        unreadable(life.world, outcome);
        life.world.boot()?;
        let began = Instant::now();
        life.daemon = life.world.serve()?;
        life.world.wait_until_up(&mut life.daemon).context("no start after a power cut")?;
        outcome.add("milliseconds until ready", began.elapsed().as_millis() as u64);
    }
    outcome.add("merges acknowledged before a cut", acknowledged.len() as u64);
    outcome.ended = calm(life.world, life.person)?;
    for task in &outcome.ended {
        note_merge(task, &mut acknowledged);
    }
    outcome.problems.extend(lost(life.world, &acknowledged));
    outcome.add("retries by a person", life.person.retries);
    let told = fs::read_to_string(life.world.serve_log()).unwrap_or_default();
    for (name, words) in [
        ("private repositories made anew", "is set aside and made anew"),
        ("branches of the forge that could not be read", "of the forge cannot be read"),
        ("merges said to be missing", "is recorded as merged and"),
    ] {
        outcome.add(format!("said/{name}"), told.lines().filter(|l| l.contains(words)).count() as u64);
    }
    life.daemon.stop()
}

/// Works until the moment of the cut: soon after a merge was acknowledged, or at any other time.
fn work(life: &mut Life<'_>, chance: &mut Rng, acknowledged: &mut BTreeMap<String, String>) -> Result<&'static str> {
    let mut ends = Instant::now() + Duration::from_millis(chance.between(300, 9_000));
    let mut moment = "any";
    while Instant::now() < ends {
        life.must_live()?;
        life.look();
        let before = acknowledged.len();
        for task in life.world.tasks(true).unwrap_or_default() {
            note_merge(&task, acknowledged);
        }
        if before < acknowledged.len() && moment == "any" && chance.chance(70) {
            moment = "after a merge";
            ends = ends.min(Instant::now() + Duration::from_millis(chance.between(0, 900)));
        }
        std::thread::sleep(Duration::from_millis(15));
    }
    Ok(moment)
}

fn note_merge(task: &Value, acknowledged: &mut BTreeMap<String, String>) {
    let commit = field(task, "merge_commit");
    if !commit.is_empty() {
        acknowledged.insert(field(task, "id"), commit);
    }
}

/// The power goes, everything that ran is gone, the power comes back.
fn cut(world: &World, daemon: &mut Daemon, disks: &[Disk]) -> Result<()> {
    run(Command::new("python3").args(["-c", SHUTDOWN]).args(disks.iter().map(|d| &d.at)))?;
    daemon.kill()?;
    let ends = Instant::now() + Duration::from_secs(20);
    while kill_all(&world.dir) {
        if ends < Instant::now() {
            bail!("processes of the world cannot be ended");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    disks.iter().try_for_each(Disk::come_back)
}

/// Kills what has this world's directory in its arguments, environment or working directory; false: there was nothing.
fn kill_all(dir: &Path) -> bool {
    let mut any = false;
    let pids = fs::read_dir("/proc").into_iter().flatten().flatten();
    for pid in pids.filter_map(|e| e.file_name().to_str()?.parse::<i32>().ok()) {
        if pid == std::process::id() as i32 {
            continue;
        }
        let Some(fd) = Pid::from_raw(pid).and_then(|p| pidfd_open(p, PidfdFlags::empty()).ok()) else { continue };
        let says = |name: &str| {
            let dir = dir.as_os_str().as_bytes();
            fs::read(format!("/proc/{pid}/{name}")).is_ok_and(|text| text.windows(dir.len()).any(|w| w == dir))
        };
        let is_there = fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|at| at.starts_with(dir));
        if is_there || says("cmdline") || says("environ") {
            any |= pidfd_send_signal(&fd, Signal::KILL).is_ok();
        }
    }
    any
}

/// Merges that were acknowledged and are not in main, or not readable, by git's own words.
fn lost(world: &World, acknowledged: &BTreeMap<String, String>) -> Vec<String> {
    let mut found = Vec::new();
    for (project, _) in PROJECTS {
        let repo = world.repo(project);
        if !repo.exists() {
            continue;
        }
        for (item, commit) in acknowledged.iter().filter(|(item, _)| item.starts_with(project)) {
            if let Err(why) = git_in(&repo, &["merge-base", "--is-ancestor", commit, "refs/heads/main"], &[]) {
                found.push(format!("{item} was acknowledged as merged by {commit}, which is not in main: {why:#}"));
            }
        }
        // Every object of main's, to its last byte: a clone that copies nothing as it is reads them all.
        let copy = world.dir.join("whole.git");
        let (from, to) = (repo.display().to_string(), copy.display().to_string());
        let args = ["clone", "--quiet", "--bare", "--no-local", "--single-branch", "--branch", "main", &from, &to];
        if let Err(why) = git_in(&world.dir, &args, &[])
            && !acknowledged.is_empty()
        {
            found.push(format!("main of {project} is not whole: {why:#}"));
        }
        let _ = fs::remove_dir_all(&copy);
    }
    found
}

/// Counts what the cut left unreadable beside what was acknowledged.
fn unreadable(world: &World, outcome: &mut Outcome) {
    let sound =
        |dir: &Path| git_in(dir, &["fsck", "--connectivity-only", "--no-dangling"], &[("GIT_DIR", ".")]).is_ok();
    for (project, _) in PROJECTS {
        let served = world.repo(project);
        if served.exists() && !sound(&served) {
            outcome.count("cut/served repositories with something unreadable");
        }
        let mirror = world.data().join("repos").join(format!("{project}.git"));
        if mirror.exists() && !sound(&mirror) {
            outcome.count("cut/private repositories with something unreadable");
        }
    }
}
